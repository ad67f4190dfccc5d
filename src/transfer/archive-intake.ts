import { InvalidArchiveError, InvalidPathError } from '../errors.ts';
import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { modeBlob, modeExecutable, modeSymlink } from '../git/mode.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { ChangeError } from '../snapshot/change-report.ts';
import { parentPath, refuseForbiddenNames, rootPath } from '../snapshot/path.ts';
import type { StagedTree } from '../snapshot/staged-tree.ts';
import type { PlacedObject } from '../snapshot/tree-edit.ts';
import { collectContent, placeInArchive } from './archive-entry.ts';
import type { ArchiveEntry } from './archive-entry.ts';
import type { ArchiveBudget } from './archive-limits.ts';

const wholeBytes = 1024 * 1024;
// No system has longer links.
const longestTargetBytes = 4096;

/** Takes the entries of an archive into a tree, one after the other. */
export class ArchiveIntake {
  /** What was left out because no repository can hold it. */
  readonly warnings: ChangeError[] = [];
  readonly #staged: StagedTree;
  readonly #staging: StagingArea;
  readonly #budget: ArchiveBudget;
  // What the archive itself has put.
  readonly #placed = new Map<ByteString, PlacedObject | 'directory'>();

  constructor(staged: StagedTree, staging: StagingArea, budget: ArchiveBudget) {
    this.#staged = staged;
    this.#staging = staging;
    this.#budget = budget;
  }

  /** Takes one entry. An `InvalidPathError` or `InvalidArchiveError` for one that does not belong into an archive. */
  async take(entry: ArchiveEntry): Promise<void> {
    const text = textFromBytes(entry.path);
    this.#budget.take(entry.sizeBytes, text);
    const path = placeInArchive(entry.path);
    refuseForbiddenNames(path, entry.kind === 'link' ? modeSymlink : undefined);
    if (entry.kind === 'directory') {
      this.#placeDirectory(path);
      return;
    }
    if (path === rootPath) throw new InvalidPathError(`a file without a name: ${text}`);
    if (entry.kind === 'other') {
      this.warnings.push({ path: text, error: 'neither a file, nor a directory or a link' });
      return;
    }
    this.#placeDirectory(parentPath(path));
    if (this.#placed.has(path)) throw refused(path, 'is there twice');
    const object = await this.#stage(entry, path);
    this.#placed.set(path, object);
    await this.#staged.write(path, object);
  }

  /** Notes a directory and those above it; a link or file that the archive has put there leads nowhere. */
  #placeDirectory(path: ByteString): void {
    for (let at = path; at !== rootPath; at = parentPath(at)) {
      const standing = this.#placed.get(at);
      if (standing === 'directory') return;
      if (standing !== undefined) throw refused(at, 'is a directory and something else');
      this.#placed.set(at, 'directory');
    }
  }

  async #stage(entry: ArchiveEntry, path: ByteString): Promise<PlacedObject> {
    if (entry.kind === 'hard link') return this.#sameAs(entry.target ?? rootPath, path);
    if (entry.kind === 'link') return this.#stageLink(entry, path);
    const mode = entry.isExecutable ? modeExecutable : modeBlob;
    const { sizeBytes } = entry;
    const oid =
      sizeBytes <= wholeBytes
        ? await this.#staging.write('blob', await collectContent(entry.content()))
        : await this.#staging.writeStream('blob', sizeBytes, entry.content());
    return { mode, oid };
  }

  async #stageLink(entry: ArchiveEntry, path: ByteString): Promise<PlacedObject> {
    if (entry.sizeBytes > longestTargetBytes) throw refused(path, 'is a link that is too long');
    const target = await collectContent(entry.content());
    if (target.length === 0 || target.includes(0)) throw refused(path, 'is a link to no path');
    return { mode: modeSymlink, oid: await this.#staging.write('blob', target) };
  }

  #sameAs(target: ByteString, path: ByteString): PlacedObject {
    const standing = this.#placed.get(placeInArchive(target));
    if (standing !== undefined && standing !== 'directory') return standing;
    throw refused(path, 'is a link to a file that is not there');
  }
}

function refused(path: ByteString, fault: string): InvalidArchiveError {
  const text = textFromBytes(path);
  return new InvalidArchiveError(`the archive is refused: ${JSON.stringify(text)} ${fault}`, {
    path: text,
  });
}
