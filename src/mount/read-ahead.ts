import { writeFileSync } from 'node:fs';
import type { Log } from './observe/log.ts';

/** Eight of the largest READs: while one is copied, others are on their way. */
const readAheadKib = 8 * 1024;

/**
 * Has the kernel read further ahead where a file is read in order. The protocol can only lower what it begins
 * with, 128 KiB, so this goes by the device's setting (Documentation/ABI/testing/sysfs-class-bdi),
 * which only root can change and which a container may not have: then reads stay small.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- what may take longer elsewhere is over at once here
export async function readFurtherAhead(device: string, log: Log): Promise<void> {
  const setting = `/sys/class/bdi/${device}/read_ahead_kb`;
  try {
    writeFileSync(setting, String(readAheadKib));
  } catch (error) {
    log.debug('short-read-ahead', { reason: String(error) });
  }
}
