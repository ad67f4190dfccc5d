import type { ByteString } from '../../git/byte-string.ts';
import { modeTree } from '../../git/mode.ts';
import type { NodeContext } from '../vfs/node-context.ts';
import { rootIno } from '../vfs/operations.ts';
import type { MaybePromise } from '../vfs/operations.ts';
import type { DirectoryEntry, DirectoryVnode } from '../vfs/vnode.ts';
import { BranchNames } from './branch-names.ts';
import type { BranchOperations } from './branch-names.ts';

/**
 * The root of a mount: the branches, and beside them the directories whose names begin with a dot,
 * which no branch's name can. They are found by name; listing them would have `grep -r` and `du`
 * walk all of history.
 */
export class RootDirectory extends BranchNames {
  readonly #showsDotDirectories: boolean;
  readonly #dotDirectories = new Map<ByteString, DirectoryVnode>();

  constructor(context: NodeContext, operations: BranchOperations, showsDotDirectories: boolean) {
    super(context, { ino: rootIno, parent: null, path: '' as ByteString }, operations);
    this.#showsDotDirectories = showsDotDirectories;
  }

  addDotDirectory(name: string, directory: DirectoryVnode): void {
    this.#dotDirectories.set(name as ByteString, directory);
  }

  override protects(name: ByteString): boolean {
    return this.#dotDirectories.has(name);
  }

  override lookup(name: ByteString): MaybePromise<DirectoryVnode | null> {
    return this.#dotDirectories.get(name) ?? super.lookup(name);
  }

  protected override shown(): DirectoryEntry[] {
    const branches = super.shown();
    if (!this.#showsDotDirectories) return branches;
    const dots = [...this.#dotDirectories];
    return [...dots.map(([name, { ino }]) => ({ name, ino, mode: modeTree })), ...branches];
  }
}
