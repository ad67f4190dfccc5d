import { appendFile, writeFile } from 'node:fs/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import type { NamespaceOptions } from '../../../../src/mount/namespace/namespace-options.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Vfs } from '../../../../src/mount/vfs/vfs.ts';
import type { DirectoryVnode } from '../../../../src/mount/vfs/vnode.ts';
import { fsck } from '../../../helpers/git.ts';
import type { FakeBranches } from '../helpers/fake-branches.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import type { MemoryNotifier } from '../helpers/fake-nodes.ts';
import { MountedNamespace } from '../helpers/mounted.ts';
import { TestRepository } from '../helpers/repositories.ts';

let repository: TestRepository;
let mounted: MountedNamespace;
let vfs: Vfs;
let branches: FakeBranches;
let notifier: MemoryNotifier;

/** Mounts the repository as it is now. */
async function mount(options: Partial<NamespaceOptions> = {}): Promise<void> {
  mounted = await MountedNamespace.open(repository, options);
  ({ vfs, branches, notifier } = mounted);
}

const get = (path: string): Promise<DirectoryVnode> => mounted.directory(path);
const find = (path: string): Promise<unknown> => mounted.find(path);
const errnoOf = (work: () => unknown): Promise<number> => mounted.errnoOf(work);
const listing = async (directory?: DirectoryVnode): Promise<string[]> =>
  (await mounted.list(directory?.ino)).names;

const [EPERM, ENOENT, EEXIST, EXDEV, EISDIR, EINVAL, EROFS, ENOTEMPTY] = [
  1, 2, 17, 18, 21, 22, 30, 39,
];

const refsNow = (): Promise<string> =>
  repository.git(['for-each-ref', '--format=%(refname) %(objectname)']);

beforeEach(async () => {
  repository = await TestRepository.create();
  const tip = await repository.branch('main');
  await repository.branch('feature/x', tip);
  await repository.branch('feature/deep/y', tip);
  await repository.git(['pack-refs', '--all']);
  await repository.branch('topic', tip);
  await mount();
});

describe('the root', () => {
  it('lists the branches, and finds the dot directories without listing them', async () => {
    expect(await listing()).toEqual(['feature', 'main', 'topic']);
    expect(await listing(await get('feature'))).toEqual(['deep', 'x']);
    for (const dot of ['.tags', '.commits', '.vost']) await get(dot);
    expect(await find('.git')).toBeNull();
    await mount({ showDotDirectories: true });
    expect(await listing()).toEqual([
      '.tags',
      '.commits',
      '.history',
      '.versions',
      '.vost',
      'feature',
      'main',
      'topic',
    ]);
  });

  it('answers from memory: names, missing ones, attributes and listings', () => {
    const known = vfs.lookup(rootIno, name('feature'), caller);
    expect(known).toMatchObject({ attr: { nlink: 4, mode: 0o040755, uid: 1000, gid: 100 } });
    expect(vfs.lookup(rootIno, name('nothing'), caller)).toMatchObject({ attr: null });
    expect(vfs.lookup(rootIno, name('main'), caller)).toMatchObject({ attr: { nlink: 2 } });
    expect(vfs.getattr(rootIno, undefined)).toMatchObject({ attr: { ino: 1, nlink: 5 } });
    expect(mounted.namespace.root.entries(true)).not.toBeInstanceOf(Promise);
  });

  it('opens a branch once while it is known, and again after it was forgotten, in the same place', async () => {
    const main = await get('main');
    expect(await get('main')).toBe(main);
    expect(branches.opened).toEqual(['refs/heads/main']);
    expect(main.parent).toBe(mounted.namespace.root);
    vfs.forget(main.ino, 2);
    const again = await get('main');
    expect(again).not.toBe(main);
    expect(again.ino).toBe(main.ino);
    expect(branches.opened).toHaveLength(2);
  });

  it('agrees with stat about the number of each entry', async () => {
    const sink = await mounted.list();
    const found = await Promise.all(sink.names.map(async (entry) => (await get(entry)).ino));
    expect(sink.inos).toEqual(found);
  });

  it('holds nothing but directories', async () => {
    for (const directory of [rootIno, (await get('feature')).ino]) {
      expect(await errnoOf(() => vfs.create(directory, name('f'), 0o644, 0, caller))).toBe(EPERM);
      expect(await errnoOf(() => vfs.tmpfile(directory, 0o644, 2, caller))).toBe(EPERM);
      expect(await errnoOf(() => vfs.mknod(directory, name('f'), 0o10644, 0, caller))).toBe(EPERM);
      expect(await errnoOf(() => vfs.symlink(directory, name('f'), name('t'), caller))).toBe(EPERM);
    }
    expect(await errnoOf(() => vfs.unlink(rootIno, name('main')))).toBe(EISDIR);
    expect(await errnoOf(() => vfs.unlink(rootIno, name('nothing')))).toBe(ENOENT);
  });

  it('shows the first of two branches that cannot stand beside each other', async () => {
    const tip = await repository.git(['rev-parse', 'main']);
    await appendFile(
      `${repository.gitDir}/packed-refs`,
      `${tip} refs/heads/zoo\n${tip} refs/heads/zoo/ape\n`,
    );
    await mount();
    expect(await listing()).toContain('zoo');
    expect(await find('zoo/ape')).toBeNull();
    expect(mounted.lines.join('')).toContain('warn ref-in-the-way ref=refs/heads/zoo/ape');
  });

  it('leaves out a branch that cannot be read, and says so', async () => {
    await writeFile(`${repository.gitDir}/refs/heads/broken`, '');
    await mount();
    expect(await listing()).toEqual(['feature', 'main', 'topic']);
    expect(mounted.lines.join('')).toContain('warn broken-ref ref=refs/heads/broken');
  });

  it('protects what is read-only', async () => {
    const tags = await get('.tags');
    expect(await errnoOf(() => vfs.rmdir(rootIno, name('.tags')))).toBe(EROFS);
    expect(await errnoOf(() => vfs.rename(rootIno, name('.tags'), rootIno, name('a'), 0))).toBe(
      EROFS,
    );
    expect(await errnoOf(() => vfs.rename(rootIno, name('main'), rootIno, name('.vost'), 0))).toBe(
      EROFS,
    );
    expect(await errnoOf(() => vfs.mkdir(tags.ino, name('v2'), 0o755, caller))).toBe(EROFS);
    expect(await errnoOf(() => vfs.rename(rootIno, name('main'), tags.ino, name('v2'), 0))).toBe(
      EROFS,
    );
  });
});

describe('mkdir', () => {
  it('makes a branch with an empty tree, that git agrees with', async () => {
    const entry = await vfs.mkdir(rootIno, name('new'), 0o755, caller);
    expect((await get('new')).ino).toBe(entry.attr!.ino);
    expect(await listing()).toContain('new');
    expect(await repository.git(['ls-tree', 'refs/heads/new'])).toBe('');
    await fsck(repository.gitDir);
    expect(notifier.entries).toEqual([]);
  });

  it('makes nested branches where there is a directory of them', async () => {
    const feature = await get('feature');
    await vfs.mkdir(feature.ino, name('z'), 0o755, caller);
    expect(await refsNow()).toContain('refs/heads/feature/z');
    expect((await get('feature/z')).parent).toBe(feature);
  });

  it.each(['.hidden', 'a..b', 'a.lock', 'a b', 'a~', 'HEAD', '-x', 'end.', '@{', 'a:b', 'tab\t'])(
    'refuses %j with EINVAL',
    async (bad) => {
      const before = await refsNow();
      expect(await errnoOf(() => vfs.mkdir(rootIno, name(bad), 0o755, caller))).toBe(EINVAL);
      expect(await refsNow()).toBe(before);
    },
  );

  it('takes every byte that git takes in a ref', async () => {
    const bytes = name('gr\xfc\xdfe-\xff');
    await vfs.mkdir(rootIno, bytes, 0o755, caller);
    expect(await listing()).toContain(bytes);
    await mount();
    expect(await listing()).toContain(bytes);
  });

  it('answers EEXIST for a branch that others made unseen', async () => {
    await repository.branch('race');
    expect(await errnoOf(() => vfs.mkdir(rootIno, name('race'), 0o755, caller))).toBe(EEXIST);
    expect(await errnoOf(() => vfs.mkdir(rootIno, name('main'), 0o755, caller))).toBe(EEXIST);
  });
});

describe('rmdir', () => {
  it('keeps the last commit of the branch', async () => {
    const tip = await repository.git(['rev-parse', 'topic']);
    await vfs.rmdir(rootIno, name('topic'));
    expect(await listing()).toEqual(['feature', 'main']);
    expect(await find('topic')).toBeNull();
    const kept = (await refsNow()).split('\n').filter((line) => line.includes('/topic'));
    expect(kept).toHaveLength(1);
    expect(kept[0]).toMatch(new RegExp(`^refs/vost/deleted/topic/\\d{8}T\\d{6}Z ${tip}$`));
    await fsck(repository.gitDir);
  });

  it('keeps each of several removed in one second', async () => {
    for (let count = 0; count < 3; count++) {
      if (count > 0) await vfs.mkdir(rootIno, name('topic'), 0o755, caller);
      await vfs.rmdir(rootIno, name('topic'));
    }
    expect((await refsNow()).match(/refs\/vost\/deleted\/topic\//g)).toHaveLength(3);
  });

  it('refuses what is not empty, is a directory of branches, or is not there', async () => {
    branches.notEmpty.add('refs/heads/main');
    const before = await refsNow();
    expect(await errnoOf(() => vfs.rmdir(rootIno, name('main')))).toBe(ENOTEMPTY);
    expect(await errnoOf(() => vfs.rmdir(rootIno, name('feature')))).toBe(ENOTEMPTY);
    expect(await errnoOf(() => vfs.rmdir(rootIno, name('nothing')))).toBe(ENOENT);
    expect(await refsNow()).toBe(before);
    expect(await listing()).toEqual(['feature', 'main', 'topic']);
  });

  it('takes a directory of branches away with its last one, and tells the kernel', async () => {
    const feature = await get('feature');
    const deep = await get('feature/deep');
    await vfs.rmdir(deep.ino, name('y'));
    expect(notifier.entries).toEqual([`${feature.ino}/deep`]);
    await vfs.rmdir(feature.ino, name('x'));
    expect(notifier.entries).toEqual([`${feature.ino}/deep`, '1/feature']);
    expect(await listing()).toEqual(['main', 'topic']);
    // A process may still stand in it.
    expect(await errnoOf(() => vfs.mkdir(feature.ino, name('z'), 0o755, caller))).toBe(ENOENT);
    expect(await errnoOf(() => vfs.rename(rootIno, name('main'), feature.ino, name('z'), 0))).toBe(
      ENOENT,
    );
  });

  it('leaves the branch alone when its ref is locked', async () => {
    await writeFile(`${repository.gitDir}/refs/heads/topic.lock`, '');
    const before = await refsNow();
    expect(await errnoOf(() => vfs.rmdir(rootIno, name('topic')))).toBe(16);
    expect(await refsNow()).toBe(before);
    expect(await listing()).toContain('topic');
  });

  it('keeps a branch that is not at the commit which was found to be empty', async () => {
    const before = await refsNow();
    const other = await repository.commit(undefined, 'another');
    branches.remove = (_branch, deleteRef) => deleteRef(other);
    expect(await errnoOf(() => vfs.rmdir(rootIno, name('topic')))).not.toBe(0);
    expect(await refsNow()).toBe(before);
  });

  it('removes a symbolic branch, and not the branch that it stands for', async () => {
    await repository.git(['symbolic-ref', 'refs/heads/alias', 'refs/heads/main']);
    await mounted.namespace.refsChanged([parseRefName('refs/heads/alias')]);
    await vfs.rmdir(rootIno, name('alias'));
    expect(await refsNow()).toContain('refs/heads/main');
    expect(await refsNow()).not.toContain('alias');
  });
});

describe('rename', () => {
  it('keeps the inode, the node and the reflog', async () => {
    const main = await get('main');
    await vfs.rename(rootIno, name('main'), rootIno, name('trunk'), 0);
    expect(await get('trunk')).toBe(main);
    expect(await find('main')).toBeNull();
    expect(await repository.git(['symbolic-ref', 'HEAD'])).toBe('refs/heads/trunk');
    const reflog = await repository.git(['reflog', 'show', '--format=%gs', 'refs/heads/trunk']);
    expect(reflog).toContain('vost: renamed main to trunk');
    expect(branches.opened).toHaveLength(1);
    await fsck(repository.gitDir);
  });

  it('moves between directories of names, and `..` with it', async () => {
    const x = await get('feature/x');
    await vfs.rename((await get('feature')).ino, name('x'), rootIno, name('x'), 0);
    expect(x.parent).toBe(mounted.namespace.root);
    const feature = await get('feature');
    await vfs.rename(rootIno, name('topic'), feature.ino, name('topic'), 0);
    expect(await listing(feature)).toEqual(['deep', 'topic']);
    expect(await listing()).toEqual(['feature', 'main', 'x']);
  });

  it('keeps a directory whose only branch gets another name in it', async () => {
    const deep = await get('feature/deep');
    await vfs.rename(deep.ino, name('y'), deep.ino, name('z'), 0);
    expect(await get('feature/deep')).toBe(deep);
    expect(await listing(deep)).toEqual(['z']);
    expect(notifier.entries).toEqual([]);
  });

  it('replaces an empty branch, which is kept as a removed one is', async () => {
    await vfs.rename(rootIno, name('topic'), rootIno, name('main'), 0);
    expect(await listing()).toEqual(['feature', 'main']);
    expect(await refsNow()).toContain('refs/vost/deleted/main/');
    branches.notEmpty.add('refs/heads/main');
    await vfs.mkdir(rootIno, name('new'), 0o755, caller);
    expect(await errnoOf(() => vfs.rename(rootIno, name('new'), rootIno, name('main'), 0))).toBe(
      ENOTEMPTY,
    );
    expect(await errnoOf(() => vfs.rename(rootIno, name('new'), rootIno, name('feature'), 0))).toBe(
      ENOTEMPTY,
    );
  });

  it('obeys the flags', async () => {
    expect(await errnoOf(() => vfs.rename(rootIno, name('main'), rootIno, name('topic'), 1))).toBe(
      EEXIST,
    );
    expect(await errnoOf(() => vfs.rename(rootIno, name('main'), rootIno, name('topic'), 2))).toBe(
      EINVAL,
    );
    await vfs.rename(rootIno, name('main'), rootIno, name('free'), 1);
    await vfs.rename(rootIno, name('free'), rootIno, name('free'), 0);
    expect(await listing()).toEqual(['feature', 'topic', 'free']);
  });

  it('refuses directories of branches, bad names, and other places', async () => {
    const before = await refsNow();
    const main = await get('main');
    const move = (from: string, to: string) => () =>
      vfs.rename(rootIno, name(from), rootIno, name(to), 0);
    expect(await errnoOf(move('feature', 'topics'))).toBe(EPERM);
    expect(await errnoOf(move('nothing', 'topics'))).toBe(ENOENT);
    expect(await errnoOf(move('main', 'a..b'))).toBe(EINVAL);
    const into = () => vfs.rename(rootIno, name('topic'), main.ino, name('dir'), 0);
    expect(await errnoOf(into)).toBe(EXDEV);
    expect(await refsNow()).toBe(before);
  });
});

describe('refs that others change', () => {
  const changed = (...names: string[]): Promise<void> =>
    mounted.namespace.refsChanged(names.map((ref) => parseRefName(ref)));

  it('appear, and the kernel hears of it', async () => {
    expect(await find('new')).toBeNull();
    await repository.branch('new');
    await repository.branch('deep/er');
    await changed('refs/heads/new', 'refs/heads/deep/er', 'refs/notes/commits');
    await get('new');
    const deep = await get('deep');
    expect([...notifier.entries].sort()).toEqual(['1/deep', '1/new', `${deep.ino}/er`].sort());
    expect([...notifier.inodes].sort()).toEqual([1, 1, deep.ino]);
  });

  it('go, and with them the directories that held nothing else', async () => {
    const deep = await get('feature/deep');
    const feature = await get('feature');
    await repository.git(['update-ref', '-d', 'refs/heads/feature/deep/y']);
    await changed('refs/heads/feature/deep/y');
    expect(await find('feature/deep')).toBeNull();
    expect(notifier.entries).toEqual([`${deep.ino}/y`, `${feature.ino}/deep`]);
  });

  it('move without a word: what is in a branch is its own affair', async () => {
    const main = await get('main');
    await repository.branch('main', await repository.commit(undefined, 'another'));
    await changed('refs/heads/main');
    expect(notifier.entries).toEqual([]);
    expect(await get('main')).toBe(main);
  });

  it('can take the place of others in one step', async () => {
    await repository.git(['update-ref', '-d', 'refs/heads/topic']);
    await repository.branch('topic/one');
    await changed('refs/heads/topic/one', 'refs/heads/topic');
    expect(await listing(await get('topic'))).toEqual(['one']);
  });

  it('are left as they were when they cannot be read', async () => {
    await writeFile(`${repository.gitDir}/refs/heads/topic`, 'no object id\n');
    await changed('refs/heads/topic');
    await get('topic');
    expect(mounted.lines.join('')).toContain('warn broken-ref ref=refs/heads/topic');
  });

  it('do not tear a branch away that the mount itself renames at that moment', async () => {
    const main = await get('main');
    let noticed: Promise<void> | undefined;
    branches.afterRefChange = () => {
      // The watcher is quick: it reports while the rename is still on its way.
      noticed = changed('refs/heads/main', 'refs/heads/trunk');
      return Promise.resolve();
    };
    await vfs.rename(rootIno, name('main'), rootIno, name('trunk'), 0);
    await noticed;
    expect(await get('trunk')).toBe(main);
    expect(notifier.entries).toEqual([]);
    expect(await listing()).toEqual(['feature', 'topic', 'trunk']);
  });
});
