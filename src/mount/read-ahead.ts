import { writeFileSync } from 'node:fs';
import { transferLimitBytes } from './fuse/handshake.ts';
import type { Log } from './observe/log.ts';

/**
 * Has the kernel read as far ahead as one READ can hold. The protocol can only lower what it begins
 * with, 128 KiB, so this goes by the device's setting (Documentation/ABI/testing/sysfs-class-bdi),
 * which only root can change and which a container may not have: then reads stay small.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- what may take longer elsewhere is over at once here
export async function readFurtherAhead(device: string, log: Log): Promise<void> {
  const setting = `/sys/class/bdi/${device}/read_ahead_kb`;
  try {
    writeFileSync(setting, String(transferLimitBytes / 1024));
  } catch (error) {
    log.debug('short-read-ahead', { reason: String(error) });
  }
}
