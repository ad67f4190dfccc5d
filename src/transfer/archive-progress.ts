import { textFromBytes } from '../git/byte-string.ts';
import type { ArchiveEntry } from './archive-entry.ts';
import type { TransferProgress } from './transfer-options.ts';

/** The same entries; tells of each file and link when it has been dealt with. */
export async function* counting(
  entries: AsyncIterable<ArchiveEntry>,
  progress: ((progress: TransferProgress) => void) | undefined,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  let files = 0;
  let bytes = 0;
  for await (const entry of entries) {
    yield entry;
    if (progress === undefined || entry.kind === 'directory' || entry.kind === 'other') continue;
    files += 1;
    bytes += entry.sizeBytes;
    progress({ files, bytes, path: textFromBytes(entry.path) });
  }
}
