import { join } from 'node:path';
import { expect } from 'vitest';
import {
  FileNotFoundError,
  GitStore,
  InvalidArgumentError,
  InvalidPathError,
  IsADirectoryError,
  KeyNotFoundError,
  NotADirectoryError,
} from '../../src/index.ts';
import type { FS } from '../../src/index.ts';
import {
  describeOnEveryRepository,
  gitListing,
  libraryListing,
} from '../helpers/library-fixture.ts';
import { git as runGit } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const paths = (fs: FS, directory = ''): Promise<string[]> => fs.glob(join(directory, '**'));

async function files(fs: FS): Promise<string[]> {
  return (await libraryListing(fs)).map((line) => line.slice(48)).sort();
}

describeOnEveryRepository('remove', (it) => {
  it('removes files and directories', async (fixture) => {
    const { main, git } = fixture;
    const fs = await main.remove(['README.md', 'docs/'], { recursive: true });
    expect(await fs.getMessage()).toBe('Batch rm: -3');
    expect(fs.changes?.delete.map(({ path }) => path)).toEqual([
      ...['README.md', 'docs/deep/er/page.md', 'docs/guide.md'],
    ]);
    expect(await fs.exists('docs')).toBe(false);
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
    expect(await git('rev-list', '--count', `${main.commitHash}..main`)).toBe('1');
    expect(await fs.remove([])).toMatchObject({ commitHash: fs.commitHash });
  });

  it('takes a directory and what is in it in any order', async ({ main }) => {
    const fs = await main.remove(['docs', 'docs/guide.md', 'docs/guide.md'], { recursive: true });
    expect(await fs.exists('docs')).toBe(false);
  });

  it('can remove everything', async ({ main, git }) => {
    const fs = await main.remove(await main.ls(), { recursive: true });
    expect(await fs.ls()).toEqual([]);
    expect(await git('ls-tree', 'main')).toBe('');
  });

  it('removes all or nothing', async ({ main, git }) => {
    await expect(main.remove('docs')).rejects.toBeInstanceOf(IsADirectoryError);
    await expect(main.remove(['README.md', 'none'])).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(main.remove('/', { recursive: true })).rejects.toBeInstanceOf(InvalidPathError);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('shows what it would do', async ({ main, git }) => {
    const fs = await main.remove('src', { recursive: true, dryRun: true });
    expect(fs.changes?.delete).toHaveLength(3);
    expect([fs.commitHash, fs.treeHash]).toEqual([main.commitHash, main.treeHash]);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
    expect((await fs.write('x', Buffer.from('x'))).writable).toBe(true);
  });
});

describeOnEveryRepository('move', (it) => {
  it('moves submodules, and copies them, whose commits are elsewhere', async ({
    store,
    git,
    gitDir,
  }) => {
    const oid = '2'.repeat(40);
    const input = `160000 commit ${oid}\tsub\n`;
    const tree = (await runGit(['mktree', '--missing'], { cwd: gitDir, input })).trim();
    await git('branch', 'with-submodule', await git('commit-tree', '-m', 's', tree));
    const fs = await store.branches.get('with-submodule');
    await fs.move('sub', 'moved', { recursive: true });
    expect(await git('ls-tree', 'with-submodule')).toBe(`160000 commit ${oid}\tmoved`);
    await (await store.branches.get('feature/x')).copyFromRef('with-submodule', 'moved', 'copied');
    expect(await git('ls-tree', 'feature/x', 'copied')).toBe(`160000 commit ${oid}\tcopied`);
  });

  it('renames', async (fixture) => {
    const { main, git } = fixture;
    const blob = await main.objectHash('README.md');
    const tree = await main.objectHash('docs');
    let fs = await main.move('README.md', 'new/name.md');
    expect(await fs.getMessage()).toBe('Batch mv: +1 -1');
    expect(fs.changes).toMatchObject({
      add: [{ path: 'new/name.md', src: 'README.md' }],
      delete: [{ path: 'README.md' }],
    });
    fs = await fs.move('docs', 'manual', { recursive: true });
    expect(await git('rev-parse', 'main:new/name.md', 'main:manual')).toBe(`${blob}\n${tree}`);
    expect(await fs.exists('docs')).toBe(false);
    expect(fs.changes?.add).toContainEqual({
      path: 'manual/deep/er/page.md',
      type: 'blob',
      src: 'docs/deep/er/page.md',
    });
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
  });

  it('moves into a directory that exists, that a slash announces, or that several sources need', async ({
    main,
  }) => {
    let fs = await main.move('README.md', 'docs');
    expect(await fs.exists('docs/README.md')).toBe(true);
    fs = await fs.move('run.sh', 'made/');
    expect(await fs.exists('made/run.sh')).toBe(true);
    fs = await fs.move(['big.txt', 'link'], 'several');
    expect(await fs.ls('several')).toEqual(['big.txt', 'link']);
    fs = await fs.move('src/', 'docs', { recursive: true });
    expect(await fs.exists('docs/src/lib/util.ts')).toBe(true);
    fs = await fs.move('docs/src/main.ts', '');
    expect(await fs.exists('main.ts')).toBe(true);
  });

  it('replaces a file by a file', async ({ main }) => {
    const fs = await main.move('run.sh', 'README.md');
    expect(await fs.readText('README.md')).toBe('#!/bin/sh\n');
    expect(await fs.fileType('README.md')).toBe('executable');
    expect(fs.changes).toMatchObject({ update: [{ path: 'README.md', src: 'run.sh' }] });
  });

  it('moves one thing after the other', async ({ main }) => {
    const fs = await main.move(['docs/deep/er', 'docs'], 'out', { recursive: true });
    expect(await paths(fs, 'out')).toEqual([
      'out/docs',
      'out/docs/guide.md',
      'out/er',
      'out/er/page.md',
    ]);
  });

  it('refuses what mv refuses', async ({ main, git }) => {
    const same = [
      () => main.move('README.md', 'README.md'),
      () => main.move('docs/guide.md', 'docs'),
      () => main.move('docs', 'docs', { recursive: true }),
      () => main.move('docs', 'docs/deep', { recursive: true }),
      () => main.move(['docs/guide.md', 'docs/guide.md/'], 'src'),
      () => main.move(['src/lib', 'src'], '', { recursive: true }),
    ];
    for (const attempt of same) {
      await expect(attempt()).rejects.toMatchObject({ code: /^(INVALID_ARGUMENT|ENOENT)$/ });
    }
    const twice = main
      .apply({ 'x/guide.md': '1' })
      .then((fs) => fs.move(['docs/guide.md', 'x/guide.md'], 'y'));
    await expect(twice).rejects.toBeInstanceOf(InvalidArgumentError);
    await git('update-ref', 'refs/heads/main', main.commitHash);
    await expect(main.move('docs', 'manual')).rejects.toBeInstanceOf(IsADirectoryError);
    await expect(main.move('none', 'manual')).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(main.move(['run.sh', 'link'], 'README.md')).rejects.toBeInstanceOf(
      NotADirectoryError,
    );
    await expect(main.move('run.sh', 'README.md/')).rejects.toBeInstanceOf(NotADirectoryError);
    const overFile = main.move('docs', 'README.md', { recursive: true });
    await expect(overFile).rejects.toBeInstanceOf(NotADirectoryError);
    await expect(main.move('', 'manual', { recursive: true })).rejects.toBeInstanceOf(
      InvalidPathError,
    );
    await expect(main.move('link', '.gitmodules')).rejects.toBeInstanceOf(InvalidPathError);
    await expect(main.move('run.sh', '.git/run')).rejects.toBeInstanceOf(InvalidPathError);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('never replaces a directory', async ({ main }) => {
    const fs = await main.apply({ 'x/src/other': '1', 'x/run.sh/inner': '2' });
    await expect(fs.move('src', 'x', { recursive: true })).rejects.toBeInstanceOf(
      IsADirectoryError,
    );
    await expect(fs.move('run.sh', 'x')).rejects.toBeInstanceOf(IsADirectoryError);
  });

  it('shows what it would do', async ({ main, git }) => {
    const fs = await main.move('docs', 'manual', { recursive: true, dryRun: true });
    expect([fs.changes?.add.length, fs.changes?.delete.length]).toEqual([2, 2]);
    expect(await git('rev-parse', 'main')).toBe(fs.commitHash);
  });
});

describeOnEveryRepository('copyFromRef', (it) => {
  it('copies files and directories by their hashes', async (fixture) => {
    const { store, main, git } = fixture;
    const old = await store.fs('v1');
    let fs = await main.copyFromRef(old, 'README.md');
    expect(await fs.readText('README.md')).toBe('first\n');
    expect(await fs.getMessage()).toBe('Batch cp: ~1');
    expect(fs.changes?.update).toEqual([{ path: 'README.md', type: 'blob', src: 'README.md' }]);
    fs = await fs.copyFromRef('v1', 'docs', 'copy');
    expect(await git('rev-parse', 'main:copy')).toBe(await old.objectHash('docs'));
    fs = await fs.copyFromRef('feature/x', ['docs', 'run.sh'], 'several');
    expect(await fs.ls('several')).toEqual(['docs', 'run.sh']);
    fs = await fs.copyFromRef(old.commitHash, 'docs', 'several/');
    expect(await fs.exists('several/docs/guide.md')).toBe(true);
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
  });

  it('pours contents where the source ends in a slash, or is the root', async ({ main, git }) => {
    let fs = await main.copyFromRef('v1', 'docs/', 'poured');
    expect(await paths(fs, 'poured')).toEqual([
      ...['poured/deep', 'poured/deep/er', 'poured/deep/er/page.md', 'poured/guide.md'],
    ]);
    fs = await fs.copyFromRef('v1', ['docs/', 'src/.'], 'both');
    expect(await fs.ls('both')).toEqual(['deep', 'guide.md', 'lib', 'main.ts']);
    fs = await fs.copyFromRef('v1');
    expect(await fs.readText('README.md')).toBe('first\n');
    expect(await fs.exists('poured')).toBe(true);
    fs = await fs.copyFromRef('v1', '/', 'whole');
    expect(await fs.objectHash('whole')).toBe(await git('rev-parse', 'v1^{tree}'));
  });

  it('lays submodules over submodules: the same ones stay, others are replaced', async ({
    store,
    git,
    gitDir,
  }) => {
    const [same, ours, theirs] = ['2', '3', '4'].map((digit) => digit.repeat(40));
    const branch = async (name: string, moved: string, own: string): Promise<void> => {
      const blob = (
        await runGit(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: own })
      ).trim();
      const lines = [
        `160000 commit ${moved}\tmoved`,
        `100644 blob ${blob}\t${own}`,
        `160000 commit ${same}\tsub`,
      ];
      const input = `${lines.join('\n')}\n`;
      const dir = (await runGit(['mktree', '--missing'], { cwd: gitDir, input })).trim();
      const root = await runGit(['mktree'], { cwd: gitDir, input: `040000 tree ${dir}\tdir\n` });
      await git('branch', name, await git('commit-tree', '-m', name, root.trim()));
    };
    await branch('ours', ours ?? '', 'one');
    await branch('theirs', theirs ?? '', 'two');
    const fs = await (await store.branches.get('ours')).copyFromRef('theirs');
    expect(
      (await git('ls-tree', '--format=%(objectname) %(path)', 'ours', 'dir/')).split('\n'),
    ).toEqual([
      `${theirs} dir/moved`,
      expect.stringMatching(/ dir\/one$/),
      `${same} dir/sub`,
      expect.stringMatching(/ dir\/two$/),
    ]);
    expect(fs.changes?.update.map(({ path }) => path)).toEqual(['dir/moved']);
    expect(fs.changes?.add.map(({ path }) => path)).toEqual(['dir/two']);
    const file = fs.write('dir/sub', Buffer.from('no file'));
    await expect(file).rejects.toBeInstanceOf(IsADirectoryError);
  });

  it('keeps the path after a pivot', async ({ main }) => {
    let fs = await main.copyFromRef('v1', 'docs/./deep/er', 'kept');
    expect(await files(fs)).toContain('kept/deep/er/page.md');
    fs = await fs.copyFromRef('v1', './docs/./deep/', 'poured');
    expect(await files(fs)).toContain('poured/deep/er/page.md');
  });

  it('adds to what is there, unless it deletes', async (fixture) => {
    const { main, git } = fixture;
    const own = await main.apply({ 'docs/own.md': 'own', 'docs/guide.md': 'changed' });
    const added = await own.copyFromRef('v1', 'docs');
    expect(await added.readText('docs/own.md')).toBe('own');
    expect(await added.readText('docs/guide.md')).toBe('guide');
    const same = await added.copyFromRef('v1', 'docs', '', { delete: true });
    expect(same.changes).toMatchObject({ delete: [{ path: 'docs/own.md' }], add: [], update: [] });
    expect(await git('rev-parse', 'main:docs')).toBe(await git('rev-parse', 'v1:docs'));
    expect(await same.readText('README.md')).toBe('second\n');
    const again = await same.copyFromRef('v1', 'docs', '', { delete: true });
    expect(again.commitHash).toBe(same.commitHash);
    expect(again.changes).toEqual({ add: [], update: [], delete: [], errors: [], warnings: [] });
    const mirrored = await same.copyFromRef('v1', '', '', { delete: true });
    expect(mirrored.treeHash).toBe(await git('rev-parse', 'v1^{tree}'));
    const filled = await mirrored.copyFromRef('v1', ['docs/', 'src/'], 'src', { delete: true });
    expect(await filled.ls('src')).toEqual(['deep', 'guide.md', 'lib', 'main.ts']);
    expect(await libraryListing(filled)).toEqual(await gitListing(fixture, 'main'));
  });

  it('renames a file when the destination is no directory', async ({ main }) => {
    const fs = await main.copyFromRef('v1', 'README.md', 'old/READ');
    expect(await fs.readText('old/READ')).toBe('first\n');
    const replaced = await fs.copyFromRef('v1', 'run.sh', 'README.md');
    expect(await replaced.fileType('README.md')).toBe('executable');
  });

  it('refuses what cp refuses', async ({ store, main, git }) => {
    await expect(main.copyFromRef('none')).rejects.toBeInstanceOf(KeyNotFoundError);
    await expect(main.copyFromRef('v1', 'none')).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(main.copyFromRef('v1', 'README.md/')).rejects.toBeInstanceOf(NotADirectoryError);
    await expect(main.copyFromRef('v1', 'docs', 'README.md')).rejects.toBeInstanceOf(
      NotADirectoryError,
    );
    await expect(main.copyFromRef('v1', 'docs/', 'README.md')).rejects.toBeInstanceOf(
      NotADirectoryError,
    );
    await expect(main.copyFromRef('v1', 'docs', 'README.md/x')).rejects.toBeInstanceOf(
      NotADirectoryError,
    );
    await expect(main.copyFromRef(main, 'README.md')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.copyFromRef('main', 'docs', '')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.copyFromRef('v1', 'run.sh', '.git/x')).rejects.toBeInstanceOf(
      InvalidPathError,
    );
    const elsewhere = await GitStore.open(join(await temporaryDirectory(), 'other.git'));
    const stranger = await elsewhere.branches.get('main');
    await expect(main.copyFromRef(stranger)).rejects.toBeInstanceOf(InvalidArgumentError);
    await elsewhere.close();
    const clash = await store.branches
      .get('feature/x')
      .then((fs) => fs.apply({ 'd/README.md/x': '1', 'd/docs': 'a file' }));
    await expect(clash.copyFromRef('v1', 'README.md', 'd')).rejects.toBeInstanceOf(
      IsADirectoryError,
    );
    await expect(clash.copyFromRef('v1', 'docs', 'd')).rejects.toBeInstanceOf(NotADirectoryError);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('replaces no file above its destination, also when it deletes', async ({ main }) => {
    const copy = main.copyFromRef('v1', 'docs', 'README.md/x', { delete: true });
    await expect(copy).rejects.toBeInstanceOf(NotADirectoryError);
  });

  it('shows what it would do', async ({ main, git }) => {
    const fs = await main.copyFromRef('v1', '', '', { dryRun: true, delete: true });
    expect(fs.changes).toMatchObject({ update: [{ path: 'README.md' }], add: [], delete: [] });
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });
});

describeOnEveryRepository('names that git would not make', (it) => {
  it('can be removed, and moved to a name that it would', async ({ store, main, git, gitDir }) => {
    // Old or careless tools leave such trees behind; afterwards git finds no fault with what is left.
    const blob = await git('rev-parse', 'main:README.md');
    const input = `100644 blob ${blob}\t.GIT\n100644 blob ${blob}\tgit~1\n`;
    const tree = (await runGit(['mktree'], { cwd: gitDir, input })).trim();
    const commit = await git('commit-tree', '-m', 'bad', tree);
    await git('update-ref', 'refs/heads/bad', commit);
    const bad = await store.branches.get('bad');
    const fs = await (await bad.move('.GIT', 'good')).remove('git~1');
    expect(await fs.ls()).toEqual(['good']);
    await store.branches.set('bad', main);
    await git('reflog', 'expire', '--expire=all', '--all');
    await git('prune', '--expire=now');
  });
});
