import { readFileSync } from 'node:fs';

/** `CAP_DAC_OVERRIDE` in linux/capability.h, as a bit. */
const overridesModes = 2n;

/** Whether modes keep this process from nothing (proc_pid_status(5), capabilities(7)). */
export function mayOverrideModes(): boolean {
  let status: string;
  try {
    status = readFileSync('/proc/self/status', 'latin1');
  } catch {
    // Without /proc nobody can tell.
    return false;
  }
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return (BigInt(`0x${effective}`) & overridesModes) !== 0n;
}
