import { InvalidPathError, NotADirectoryError } from '../errors.ts';
import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { localError } from '../git/local-error.ts';
import { isForbiddenName } from '../git/forbidden-name.ts';
import { isGitlinkMode } from '../git/mode.ts';
import { forEachBounded } from '../git/odb/for-each-bounded.ts';
import { emptyChangeReport } from '../snapshot/change-report.ts';
import type { ChangeReport } from '../snapshot/change-report.ts';
import { Descent, depthFirst } from '../snapshot/depth-first.ts';
import type { Walk } from '../snapshot/depth-first.ts';
import { fileTypeFromMode } from '../snapshot/file-type.ts';
import type { FS } from '../snapshot/fs.ts';
import { fileAt, nothingAt } from '../snapshot/path-errors.ts';
import {
  baseName,
  joinPath,
  pathFromText,
  pathText,
  rootPath,
  splitPath,
} from '../snapshot/path.ts';
import type { SourcePath } from '../snapshot/source-path.ts';
import { entryAt } from '../snapshot/tree.ts';
import type { DiskKind } from './disk-source.ts';
import { DiskTarget } from './disk-target.ts';
import { FileWriter } from './file-writer.ts';
import { joinLocalPath, localPathFromText, statIfThere } from './local-path.ts';
import { identitiesOfRepository } from './own-repository.ts';
import { listStored, storedItem } from './stored-item.ts';
import type { StoredItem } from './stored-item.ts';
import { mergeParts } from './source-parts.ts';
import type { SourcePart } from './source-parts.ts';
import type { CopyOutOptions } from './transfer-options.ts';
import { TransferRun, byPath } from './transfer-run.ts';

/** A copy from a snapshot to the disk. */
export interface CopyOut {
  readonly sources: readonly SourcePath[];
  /** The local directory that is copied into. */
  readonly dest: string;
  readonly options: CopyOutOptions;
}

type Part = SourcePart<StoredItem>;

// As many files as are written at the same time.
const filesAtOnce = 64;

/**
 * Copies files of a snapshot to the disk under rsync's rules, and gives what changed there; paths in
 * the report are seen from the destination. Whatever a tree or the disk holds, nothing outside of the
 * destination is written or removed: names that git forbids are failures, and a link that stands
 * where a directory belongs is replaced by one.
 */
export async function copyOut(fs: FS, copy: CopyOut): Promise<FS> {
  const run = new TransferRun(copy.options);
  const dest = localPathFromText(copy.dest);
  const parts = await partsOf(fs, copy.sources, run);
  const standing = await statIfThere(dest);
  if (standing?.isDirectory() === false) {
    throw new NotADirectoryError(`the destination is a file: ${copy.dest}`, { path: copy.dest });
  }
  const forbidden = await identitiesOfRepository(fs.context.repository);
  const target = new DiskTarget(copy.options.dryRun ?? false, forbidden);
  await target.refuseWithin(dest);
  const walk = new CopyOutWalk(fs, dest, { run, target, options: copy.options });
  if (standing === null) await makeDestination(target, dest);
  await walk.copy(parts, standing !== null);
  for (const entries of [walk.changes.add, walk.changes.update, walk.changes.delete]) {
    entries.sort(byPath);
  }
  return fs.withChanges({ ...walk.changes, errors: run.errors, warnings: run.warnings });
}

async function makeDestination(target: DiskTarget, dest: ByteString): Promise<void> {
  try {
    await target.makeDirectory(dest, { recursive: true });
  } catch (error) {
    throw localError(textFromBytes(dest), error);
  }
  // What was not there may have been on the way (`new/../repository`).
  await target.refuseWithin(dest);
}

async function partsOf(fs: FS, sources: readonly SourcePath[], run: TransferRun): Promise<Part[]> {
  const { odb } = fs.context.repository;
  const parts: Part[] = [];
  for (const source of sources) {
    const path = pathFromText(source.path);
    const entry = await run.attempt(path, async () => {
      const found = await entryAt(odb, fs.head.commit.tree, path);
      if (found === null) throw nothingAt(path);
      if (source.contents && !storedItem(path, found).isDirectory) throw fileAt(path);
      return found;
    });
    if (entry === undefined) continue;
    const kept = source.kept ?? (source.contents ? '' : pathText(baseName(path)));
    parts.push({ names: splitPath(pathFromText(kept)), item: storedItem(path, entry) });
  }
  return parts;
}

interface Task {
  readonly rel: ByteString;
  readonly item: StoredItem;
  readonly standing: DiskKind | undefined;
}

class CopyOutWalk {
  readonly changes: ChangeReport = emptyChangeReport();
  readonly #fs: FS;
  readonly #dest: ByteString;
  readonly #run: TransferRun;
  readonly #target: DiskTarget;
  readonly #writer: FileWriter;
  readonly #ignoreExisting: boolean;
  readonly #deletes: boolean;

  constructor(
    fs: FS,
    dest: ByteString,
    parts: {
      readonly run: TransferRun;
      readonly target: DiskTarget;
      readonly options: CopyOutOptions;
    },
  ) {
    const { checksum = true, ignoreExisting = false } = parts.options;
    this.#fs = fs;
    this.#dest = dest;
    this.#run = parts.run;
    this.#target = parts.target;
    this.#writer = new FileWriter(fs.context.repository.odb, parts.target, {
      mtimeSec: fs.head.commit.committer.timeSec,
      checksum,
    });
    this.#ignoreExisting = ignoreExisting;
    // What a source that is missing holds is not known, so nothing is known to be too much.
    this.#deletes = parts.options.delete === true && !parts.run.hasFailed;
  }

  async copy(parts: readonly Part[], exists: boolean): Promise<void> {
    const tasks = depthFirst(this.#directory(rootPath, parts, exists));
    await forEachBounded(tasks, filesAtOnce, async (task) => {
      await this.#run.attempt(task.rel, () => this.#place(task));
    });
  }

  /** The files that a directory, which stands on the disk if it `exists`, and those below it come to. */
  async *#directory(rel: ByteString, parts: readonly Part[], exists: boolean): Walk<Task> {
    const { named, pours, isComplete } = await this.#list(rel, parts);
    const standing = exists
      ? await this.#run.attempt(rel, () => this.#target.list(this.#local(rel)))
      : new Map<ByteString, DiskKind>();
    if (standing === undefined) return;
    const merged = mergeParts(named);
    if (this.#deletes && pours && isComplete) {
      for (const [name, kind] of standing) {
        if (merged.has(name)) continue;
        const path = joinPath(rel, name);
        await this.#run.attempt(path, () => this.#remove(path, kind));
      }
    }
    for (const [name, next] of merged) {
      const path = joinPath(rel, name);
      const kind = standing.get(name);
      const mode = next.kind === 'leaf' ? next.item.entry.mode : undefined;
      if (isForbiddenName(name, mode)) {
        await this.#run.attempt(path, () => Promise.reject(forbiddenName(path)));
        continue;
      }
      if (next.kind === 'leaf') {
        yield { rel: path, item: next.item, standing: kind };
      } else if (kind === undefined || kind === 'directory' || !this.#ignoreExisting) {
        const made = await this.#run.attempt(path, () => this.#enter(path, kind));
        if (made === undefined) continue;
        yield new Descent(this.#directory(path, next.parts, kind === 'directory'));
      }
    }
  }

  async #list(
    rel: ByteString,
    parts: readonly Part[],
  ): Promise<{
    readonly named: (readonly [ByteString, Part])[];
    /** Whether a directory of the snapshot belongs here with all that is in it. */
    readonly pours: boolean;
    readonly isComplete: boolean;
  }> {
    const named: (readonly [ByteString, Part])[] = [];
    let pours = false;
    let isComplete = true;
    for (const { names, item } of parts) {
      const [name, ...rest] = names;
      if (name !== undefined) {
        named.push([name, { names: rest, item }]);
      } else if (isGitlinkMode(item.entry.mode)) {
        this.#run.warn(rel, 'a submodule: what is in it is not stored here');
      } else {
        const items = await this.#run.attempt(rel, () =>
          listStored(this.#fs.context.repository.odb, item),
        );
        pours = true;
        if (items === undefined) isComplete = false;
        for (const child of items ?? []) named.push([child.entry.name, { names: [], item: child }]);
      }
    }
    return { named, pours, isComplete };
  }

  /** Makes sure that a directory stands at a path, and no link to one. */
  async #enter(rel: ByteString, standing: DiskKind | undefined): Promise<true> {
    if (standing === 'directory') {
      await this.#target.refuseRepository(this.#local(rel));
      return true;
    }
    if (standing !== undefined) await this.#remove(rel, standing);
    await this.#target.makeDirectory(this.#local(rel), { recursive: false });
    return true;
  }

  async #place({ rel, item, standing }: Task): Promise<void> {
    if (this.#ignoreExisting && standing !== undefined) return;
    const path = this.#local(rel);
    if (standing === 'directory') {
      if (!this.#deletes) await this.#target.removeEmptyDirectory(path);
      else await this.#remove(rel, standing);
    }
    const isUpdate = standing !== undefined && standing !== 'directory';
    const { isChanged, sizeBytes } = await this.#writer.write(path, item, isUpdate);
    if (isChanged) {
      const type = fileTypeFromMode(item.entry.mode);
      const entry = { path: textFromBytes(rel), type, src: pathText(item.path) };
      this.changes[isUpdate ? 'update' : 'add'].push(entry);
    }
    this.#run.advance(path, sizeBytes);
  }

  async #remove(rel: ByteString, kind: DiskKind): Promise<void> {
    const prefix = this.#local(rel).length;
    const isGone = await this.#target.remove(this.#local(rel), kind, (path, mode) => {
      const removed = textFromBytes(`${rel}${path.slice(prefix)}` as ByteString);
      this.changes.delete.push({ path: removed, type: fileTypeFromMode(mode) });
    });
    if (!isGone) this.#run.warn(rel, 'the repository itself is not deleted');
  }

  #local(rel: ByteString): ByteString {
    return rel === rootPath ? this.#dest : joinLocalPath(this.#dest, rel);
  }
}

function forbiddenName(path: ByteString): InvalidPathError {
  const text = textFromBytes(path);
  return new InvalidPathError(`git does not allow this name, so it is not written: ${text}`, {
    path: text,
  });
}
