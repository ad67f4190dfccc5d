import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { branchPrefix, tagPrefix } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { ChangeReport } from './change-report.ts';
import { fileTypeFromMode } from './file-type.ts';
import type { FileType } from './file-type.ts';
import { globTree } from './glob.ts';
import { messageText } from './history.ts';
import type { IdentifiedCommit } from './history.ts';
import { pathFromText, pathText } from './path.ts';
import type { SnapshotContext } from './snapshot-context.ts';
import { SnapshotReader, isDirectoryEntry, readBlobByHash, walkEntry } from './snapshot-reader.ts';
import type { ReadRange } from './snapshot-reader.ts';
import type { CommitInfo, StatResult, WalkEntry } from './stat.ts';
import { decodeText } from './text-encoding.ts';

/** What can be asked of a snapshot; paths follow the rules of `normalizePath`. See `FS`. */
export abstract class SnapshotView {
  /** The hash of the commit, in hex. */
  readonly commitHash: string;
  /** The hash of the root tree, in hex. */
  readonly treeHash: string;
  /** The branch or tag that this was reached by, without `refs/…/`; `null` for a bare commit. */
  readonly refName: string | null;
  /** Whether this is a snapshot of a branch. */
  readonly writable: boolean;
  /** What the operation that led here changed; `null` when none did. */
  readonly changes: ChangeReport | null;
  readonly #context: SnapshotContext;
  readonly #head: IdentifiedCommit;
  readonly #ref: RefName | null;
  readonly #reader: SnapshotReader;

  /** @internal */
  constructor(
    context: SnapshotContext,
    head: IdentifiedCommit,
    ref: RefName | null,
    changes: ChangeReport | null,
  ) {
    this.#context = context;
    this.#head = head;
    this.#ref = ref;
    this.#reader = new SnapshotReader(context.repository.odb, head.commit.tree);
    this.commitHash = head.oid;
    this.treeHash = head.commit.tree;
    this.refName = ref === null ? null : shortName(ref);
    this.writable = ref?.startsWith(branchPrefix) ?? false;
    this.changes = changes;
  }

  /** @internal What this shares with the other snapshots of its store. */
  get context(): SnapshotContext {
    return this.#context;
  }

  /** @internal The commit that this shows. */
  get head(): IdentifiedCommit {
    return this.#head;
  }

  /** @internal The full name of the branch or tag. */
  get ref(): RefName | null {
    return this.#ref;
  }

  /** The commit's message, time (of the committer) and author. */
  getCommitInfo(): Promise<CommitInfo> {
    const { commit } = this.#head;
    return Promise.resolve({
      message: messageText(commit),
      time: new Date(commit.committer.timeSec * 1000),
      authorName: commit.author.identity.name,
      authorEmail: commit.author.identity.email,
    });
  }

  /** The commit's message, without the newline that ends it. */
  async getMessage(): Promise<string> {
    return (await this.getCommitInfo()).message;
  }

  /** When it was committed. */
  async getTime(): Promise<Date> {
    return (await this.getCommitInfo()).time;
  }

  /** The name of the commit's author. */
  async getAuthorName(): Promise<string> {
    return (await this.getCommitInfo()).authorName;
  }

  /** The e-mail address of the commit's author. */
  async getAuthorEmail(): Promise<string> {
    return (await this.getCommitInfo()).authorEmail;
  }

  /** Tells whether a file or directory stands at a path. */
  async exists(path: string): Promise<boolean> {
    return (await this.#reader.find(pathFromText(path))) !== null;
  }

  /** Tells whether a directory stands at a path; a submodule counts as an empty one. */
  async isDir(path: string): Promise<boolean> {
    const entry = await this.#reader.find(pathFromText(path));
    return entry !== null && isDirectoryEntry(entry);
  }

  /** The kind of what stands at a path; a `FileNotFoundError` for nothing, also in all that follows. */
  async fileType(path: string): Promise<FileType> {
    return fileTypeFromMode((await this.#reader.require(pathFromText(path))).mode);
  }

  /** The size of a file in bytes, without reading it; 0 for a directory. */
  async size(path: string): Promise<number> {
    return this.#reader.size(pathFromText(path));
  }

  /** The hash of the blob or tree at a path, in hex. */
  async objectHash(path: string): Promise<string> {
    return (await this.#reader.require(pathFromText(path))).oid;
  }

  /** Type, size, hash and time of a path (default the root) at once. */
  async stat(path?: string | null): Promise<StatResult> {
    return this.#reader.stat(pathFromText(path ?? ''), this.#head.commit.committer.timeSec);
  }

  /**
   * The content of a file, from `offset` on and at most `size` bytes of it; of a link, its target.
   * An `IsADirectoryError` for a directory.
   */
  async read(path: string, range: ReadRange = {}): Promise<Buffer> {
    return this.#reader.read(pathFromText(path), range);
  }

  /** The content of a file as text; an `InvalidArgumentError` when it is none in this encoding. */
  async readText(path: string, encoding = 'utf-8'): Promise<string> {
    return decodeText(await this.read(path), encoding);
  }

  /** The content of the blob with a hash (hex or raw bytes), or a part of it, wherever it is in the repository. */
  async readByHash(hash: string | Uint8Array, range: ReadRange = {}): Promise<Buffer> {
    return readBlobByHash(this.#context.repository.odb, hash, range);
  }

  /** The target of a symbolic link; an `InvalidArgumentError` for anything else. */
  async readlink(path: string): Promise<string> {
    return textFromBytes(await this.#reader.readlink(pathFromText(path)));
  }

  /**
   * The names in a directory (default the root), or with `recursive` the paths of all that is in it
   * and below, seen from there. A `NotADirectoryError` for a file, also in all that follows.
   */
  async ls(
    path?: string | null,
    options: { recursive?: boolean | undefined } = {},
  ): Promise<string[]> {
    const directory = pathFromText(path ?? '');
    if (options.recursive === true) {
      return (await this.#reader.pathsBelow(directory)).map(pathText);
    }
    return (await this.#reader.entries(directory)).map(({ name }) => pathText(name));
  }

  /** The entries of a directory (default the root). */
  async listdir(path?: string | null): Promise<WalkEntry[]> {
    return (await this.#reader.entries(pathFromText(path ?? ''))).map(walkEntry);
  }

  /**
   * All directories from one on (default the root), each with the names of its directories and its
   * other entries, parents first. Names that are taken out of the list of directories before the
   * next step are not entered.
   */
  walk(path?: string | null): AsyncGenerator<[string, string[], WalkEntry[]], void, undefined> {
    return this.#reader.walk(pathFromText(path ?? ''));
  }

  /** The paths that match a pattern, sorted; see `iglob`. */
  async glob(pattern: string): Promise<string[]> {
    const paths: ByteString[] = [];
    for await (const path of this.#glob(pattern)) paths.push(path);
    return paths.sort().map(pathText);
  }

  /**
   * The paths that match a pattern, each once, in no order. `*` and `?` match within a name, but no
   * leading dot unless the pattern's segment begins with one; `**` is any number of directories,
   * none included, whose names do not begin with a dot. A `/./` pivot is kept in the results.
   */
  async *iglob(pattern: string): AsyncGenerator<string, void, undefined> {
    for await (const path of this.#glob(pattern)) yield pathText(path);
  }

  #glob(pattern: string): AsyncGenerator<ByteString, void, undefined> {
    return globTree(this.#context.repository.odb, this.#head.commit.tree, pattern);
  }
}

function shortName(ref: RefName): string {
  const prefix = [branchPrefix, tagPrefix].find((candidate) => ref.startsWith(candidate)) ?? '';
  return textFromBytes(ref.slice(prefix.length) as ByteString);
}
