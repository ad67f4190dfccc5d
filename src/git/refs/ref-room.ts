import { RefConflictError } from '../../errors.ts';
import { textFromBytes } from '../byte-string.ts';
import { pause, type DeadlineMs } from './lock.ts';
import { removeEmptyDirectories } from './ref-directories.ts';
import { namesAbove, refNameText, type RefName } from './ref-name.ts';
import { isBrokenRef, type RefReader } from './ref-reader.ts';

// `a` and `a/b` cannot both be refs: loose, one would be a file where the other needs a directory.

/** The ref, if any, that stands where a new ref needs a directory. A broken one counts. */
export async function refAbove(reader: RefReader, name: RefName): Promise<RefName | undefined> {
  for (const above of namesAbove(name)) {
    try {
      if ((await reader.read(above)) !== null) return above;
    } catch (error) {
      if (isBrokenRef(error)) return above;
      throw error;
    }
  }
  return undefined;
}

/**
 * Makes sure that a ref can come to exist: none stands above or below its name, and no directory
 * stands in the place of its file. The caller holds its lock, which keeps loose refs from appearing
 * above; otherwise `except`, a ref that will be gone when this one exists, tells that it need not.
 */
export async function makeRoom(
  reader: RefReader,
  name: RefName,
  deadlineMs: DeadlineMs,
  except?: RefName,
): Promise<void> {
  const packed = await reader.packed.load();
  const above = namesAbove(name).find(
    (candidate) => candidate !== except && packed.get(candidate) !== undefined,
  );
  if (above !== undefined) throw conflict(name, above);
  const below = `${name}/`;
  for (const ref of packed.startingWith(below)) {
    if (ref.name !== except) throw conflict(name, ref.name);
  }
  for (let attempt = 0; ; attempt++) {
    const loose = (await reader.looseNames(below)).find((candidate) => candidate !== except);
    if (loose !== undefined) throw conflict(name, loose);
    if (except?.startsWith(below) === true) return;
    const path = reader.paths.ref(name);
    if (await removeEmptyDirectories(path)) return;
    // It may hold the lock of a ref that is about to appear, or to vanish.
    if (performance.now() >= deadlineMs) {
      const text = textFromBytes(path);
      throw new RefConflictError(
        `ref ${refNameText(name)} cannot be created: ${text} is a directory that is not empty`,
        { ref: refNameText(name), path: text },
      );
    }
    await pause(attempt, deadlineMs);
  }
}

/** The error for a ref that cannot exist beside another one. */
export function conflict(name: RefName, existing: RefName): RefConflictError {
  const [text, other] = [refNameText(name), refNameText(existing)];
  return new RefConflictError(
    name === existing
      ? `ref ${text} exists already`
      : `ref ${text} cannot exist beside ref ${other}`,
    { ref: text },
  );
}
