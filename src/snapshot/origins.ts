import { bytesFromText, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import type { ChangeReport, FileEntry } from './change-report.ts';
import { isWithin, joinPath, parentPath, rootPath } from './path.ts';

/** Where files of a report came from: for the path of a file or directory, the one it was taken from. */
export type Origins = ReadonlyMap<ByteString, ByteString>;

/** Fills in `src` for the files that have an origin, or lie in a directory that has one. */
export function addOrigins(report: ChangeReport, origins: Origins): void {
  if (origins.size === 0) return;
  for (const entry of [...report.add, ...report.update]) addOrigin(entry, origins);
}

function addOrigin(entry: FileEntry, origins: Origins): void {
  const path = bytesFromText(entry.path);
  for (let target = path; isWithin(path, target); target = parentPath(target)) {
    const origin = origins.get(target);
    if (origin !== undefined) {
      const rest = path.slice(target === rootPath ? 0 : target.length + 1) as ByteString;
      entry.src = textFromBytes(joinPath(origin, rest));
      return;
    }
    if (target === rootPath) return;
  }
}
