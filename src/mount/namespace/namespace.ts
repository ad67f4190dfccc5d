import { branchPrefix } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { DirectoryVnode } from '../vfs/vnode.ts';
import { BranchLeaf, BranchNames } from './branch-names.ts';
import { Branches } from './branches.ts';
import { CommitsDirectory } from './commits-directory.ts';
import { historyDirectories } from './history-directories.ts';
import { NameTree } from './name-tree.ts';
import type { NamespaceOptions } from './namespace-options.ts';
import { RefNames } from './ref-names.ts';
import { RootDirectory } from './root-directory.ts';
import { openTags } from './tags.ts';
import type { TagLeaf } from './tags.ts';
import { VostDirectory } from './vost-directory.ts';

/** The top of a mount that serves a whole repository: what stands in `/`, and how it follows the refs. */
export class Namespace {
  /** Its inode number is `rootIno`. */
  readonly root: DirectoryVnode;
  readonly #branches: RefNames<BranchLeaf>;
  readonly #tags: RefNames<TagLeaf>;

  private constructor(
    root: DirectoryVnode,
    branches: RefNames<BranchLeaf>,
    tags: RefNames<TagLeaf>,
  ) {
    this.root = root;
    this.#branches = branches;
    this.#tags = tags;
  }

  /** Reads the names of all branches and tags. */
  static async open(options: NamespaceOptions): Promise<Namespace> {
    const { context, branches: provider, refs, notifier, log, status, metrics } = options;
    const operations = new Branches(options, () => branches);
    const root = new RootDirectory(context, operations, options.showDotDirectories ?? false);
    const branches: RefNames<BranchLeaf> = new RefNames({
      prefix: branchPrefix,
      refs,
      names: new NameTree(
        root,
        (place) => new BranchNames(context, { ...place, ino: context.inos.next() }, operations),
        notifier,
      ),
      makeLeaf: ({ name }, parent) => new BranchLeaf(context, provider, name, parent),
      log,
    });
    const tags = openTags(options, root);
    root.addDotDirectory('.tags', tags.names.root);
    root.addDotDirectory('.commits', new CommitsDirectory(options, root));
    for (const [name, directory] of Object.entries(historyDirectories(options, root))) {
      root.addDotDirectory(name, directory);
    }
    const files = { 'status.json': status, metrics };
    root.addDotDirectory('.vost', new VostDirectory(context, root, files));
    await Promise.all([branches.load(), tags.load()]);
    return new Namespace(root, branches, tags);
  }

  /**
   * Looks again at refs that appeared, moved or went; others than branches and tags do not matter.
   * Names that lead elsewhere now are told to the kernel. What is inside a branch is not looked at:
   * that is for the provider of the branches to follow.
   */
  async refsChanged(changed: readonly RefName[]): Promise<void> {
    await Promise.all([this.#branches.refsChanged(changed), this.#tags.refsChanged(changed)]);
  }
}
