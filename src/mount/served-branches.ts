import { KeyNotFoundError } from '../errors.ts';
import { branchPrefix } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { refNamed } from '../snapshot/revision.ts';
import { RefWatcher } from './branch/ref-watcher.ts';
import type { RefWatcherOptions } from './branch/ref-watcher.ts';
import { WritableBranches } from './branch/writable-branches.ts';
import { Namespace } from './namespace/namespace.ts';
import { commitMeasures } from './observe/gauges.ts';
import { statusJson } from './observe/status.ts';
import type { ServedTree, TreeSource } from './serve-tree.ts';
import { rootIno } from './vfs/operations.ts';
import type { DirectoryVnode } from './vfs/vnode.ts';

/** A whole repository: its branches at the root, with tags, commits and the state of the mount beside them. */
export async function serveRepository(source: TreeSource): Promise<ServedTree> {
  const { repository, options, metrics, status } = source;
  const followed = await follow(source, async (branches, lookAgain) => {
    const namespace = await Namespace.open({
      ...{ ...source, branches, lookAgain },
      ...{ algorithm: repository.algorithm, odb: repository.odb, refs: repository.refs },
      status: () => statusJson(status()),
      metrics: () => metrics.text(),
      showDotDirectories: options.showDotDirectories ?? false,
    });
    const onChange: OpenedBranches['onChange'] = async (changed, left) => {
      branches.tipsLeft(left);
      // The names come first: whoever sees new content has to find it under its name.
      await namespace.refsChanged(changed);
      await branches.refsChanged(changed);
    };
    return { root: namespace.root, onChange };
  });
  return { ...followed, keepsListings: false };
}

/**
 * One branch as the root of a mount.
 * @throws {KeyNotFoundError} when there is no such branch
 */
export async function serveBranch(source: TreeSource, name: string): Promise<ServedTree> {
  const ref = refNamed(branchPrefix, name);
  if (ref === null || (await source.repository.refs.resolve(ref)) === null) {
    throw new KeyNotFoundError(`there is no branch ${name}`, { ref: name });
  }
  const followed = await follow(source, async (branches) => ({
    root: await branches.open(ref, { ino: rootIno, parent: null }),
    onChange: (changed, left) => {
      branches.tipsLeft(left);
      return branches.refsChanged(changed);
    },
  }));
  return { ...followed, keepsListings: true };
}

/** What is served of the branches, and who has to know when refs change. */
interface OpenedBranches {
  readonly root: DirectoryVnode;
  readonly onChange: RefWatcherOptions['onChange'];
}

/** Opens the branches, and has them show what others make of their refs as long as they are served. */
async function follow(
  source: TreeSource,
  open: (branches: WritableBranches, lookAgain: (ref: RefName) => void) => Promise<OpenedBranches>,
): Promise<Omit<ServedTree, 'keepsListings'>> {
  const { repository, options, log, metrics } = source;
  const { commonDir, disk, refs } = repository;
  const watcher = new RefWatcher({
    commonDir,
    disk,
    refs,
    onChange: (changed, left) => onChange(changed, left),
    log,
  });
  const lookAgain = (ref: RefName): void => watcher.lookAgain(ref);
  const branches = new WritableBranches({ ...source, mount: options, lookAgain });
  metrics.measure(() => commitMeasures(branches.counts));
  // Before they are opened: what moves meanwhile is told by the next look.
  await watcher.look();
  const { root, onChange } = await open(branches, lookAgain);
  await watcher.start();
  return {
    root,
    immutable: false,
    branches: () => branches.status(),
    commit: (message) => branches.commitAll(message),
    sync: () => branches.syncAll(),
    close: async () => {
      await watcher.stop();
      await branches.stop();
    },
  };
}
