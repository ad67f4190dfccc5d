import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type {
  DaemonCommand,
  DaemonOptions,
  DaemonStatus,
} from '../fixtures/memory-filesystem-daemon.ts';
import { afterEachFile } from './after-file.ts';
import { compiledProgram } from './compiled-program.ts';
import { freshMountpoint } from './mount.ts';
import { program } from './program.ts';

export interface DaemonReady {
  readonly reading: string;
  readonly minor: number;
  readonly maxWriteBytes: number;
  readonly features: readonly string[];
}

export interface DaemonEnd extends DaemonStatus {
  readonly code: string;
  readonly isDestroyed: boolean;
}

/** The filesystem in memory, mounted by a process of its own. */
export interface MemoryMount {
  readonly mountpoint: string;
  readonly ready: DaemonReady;
  readonly daemon: ChildProcess;
  command(command: DaemonCommand): Promise<unknown>;
  status(): Promise<DaemonStatus>;
  /** What the daemon says at its end, which somebody else brings about. */
  ended(): Promise<DaemonEnd>;
  /** Makes the daemon let go of the device. The mount stays, without anybody behind it. */
  close(): Promise<DaemonEnd>;
  /** Unmounts, and waits for the daemon's end. */
  unmount(): Promise<DaemonEnd>;
}

const daemons = new Map<ChildProcess, string>();
let compiled: Promise<string> | undefined;

function removeLeftovers(): void {
  for (const [daemon, mountpoint] of daemons) {
    spawnSync('umount', ['-i', '-l', mountpoint], { timeout: 5000, stdio: 'ignore' });
    if (daemon.exitCode === null && daemon.signalCode === null) daemon.kill('SIGKILL');
  }
  daemons.clear();
}
process.on('exit', removeLeftovers);
afterEachFile(() => {
  removeLeftovers();
  // Its directory goes as well.
  compiled = undefined;
});

export async function mountMemory(options: DaemonOptions = {}): Promise<MemoryMount> {
  compiled ??= compiledProgram(new URL('../fixtures/memory-filesystem-daemon.ts', import.meta.url));
  const mountpoint = await freshMountpoint();
  const daemon = spawn(process.execPath, [await compiled, mountpoint, JSON.stringify(options)], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  daemons.set(daemon, mountpoint);
  const lines = createInterface({ input: daemon.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const timeout = AbortSignal.timeout(20_000);
    const line = await Promise.race([
      lines.next(),
      once(timeout, 'abort').then(() => {
        throw new Error('the daemon says nothing');
      }),
    ]);
    if (line.done === true) throw new Error('the daemon has gone');
    return JSON.parse(line.value) as unknown;
  };
  const { ready } = (await next()) as { ready: DaemonReady };
  const send = (wanted: DaemonCommand): void =>
    void daemon.stdin.write(`${JSON.stringify(wanted)}\n`);
  const command = (wanted: DaemonCommand): Promise<unknown> => {
    send(wanted);
    return next();
  };
  const ended = async (): Promise<DaemonEnd> => {
    const { end } = (await next()) as { end: DaemonEnd };
    if (daemon.exitCode === null)
      await once(daemon, 'exit', { signal: AbortSignal.timeout(10_000) });
    return end;
  };
  return {
    ...{ mountpoint, ready, daemon, command, ended },
    status: async () => (await command({ do: 'status' })) as DaemonStatus,
    close: () => {
      send({ do: 'close' });
      return ended();
    },
    unmount: async () => {
      await program('umount', ['-i', mountpoint]);
      return ended();
    },
  };
}
