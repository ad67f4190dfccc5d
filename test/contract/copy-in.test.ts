import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  ExcludeFilter,
  FileNotFoundError,
  FileType,
  InvalidPathError,
  IsADirectoryError,
  NotADirectoryError,
  PermissionError,
  StaleSnapshotError,
} from '../../src/index.ts';
import type { CopyInOptions, FS, GitStore, TransferProgress } from '../../src/index.ts';
import { makeFiles } from '../helpers/disk-tree.ts';
import type { DiskFiles } from '../helpers/disk-tree.ts';
import { git } from '../helpers/git.ts';
import {
  describeOnEveryRepository,
  gitListing,
  libraryListing,
} from '../helpers/library-fixture.ts';
import type { LibraryFixture } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

interface Scene {
  readonly store: GitStore;
  readonly gitDir: string;
  /** A snapshot with nothing in it. */
  readonly fs: FS;
  /** A local directory with the files asked for. */
  readonly disk: string;
}

async function onScene(
  { store, gitDir, git }: LibraryFixture,
  files: DiskFiles,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const disk = join(gitDir, '../disk');
  await rm(disk, { recursive: true, force: true });
  await makeFiles(disk, files);
  await git('update-ref', 'refs/heads/main', await git('rev-list', '--max-parents=0', 'main'));
  await body({ store, gitDir, disk, fs: await store.fs('main') });
}

/** Paths and contents of a snapshot, marked as `makeFiles` does. */
async function stored(fs: FS): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const path of await fs.ls('', { recursive: true })) {
    const type = await fs.fileType(path);
    if (type === FileType.TREE) continue;
    const mark = { blob: '', executable: 'x:', link: '-> ' }[type];
    files[path] = mark + (await fs.readText(path));
  }
  return Object.fromEntries(Object.entries(files).sort());
}

const sample = { 'd/a': 'one', 'd/sub/b': 'x:two', 'd/l': '-> ../nowhere', top: 'three' };

describeOnEveryRepository('copyIn', (it) => {
  it('copies files and directories under the destination, in one commit', async (fixture) => {
    const { main, git } = fixture;
    const disk = join(await temporaryDirectory(), 'disk');
    await makeFiles(disk, sample);
    const fs = await main.copyIn([`${disk}/d`, `${disk}/top`], 'docs/new');
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
    expect(await fs.getMessage()).toBe('Batch cp: +4');
    expect(await git('rev-list', '--count', `${main.commitHash}..main`)).toBe('1');
    expect(fs.changes).toEqual({
      add: [
        { path: 'docs/new/d/a', type: 'blob', src: `${disk}/d/a` },
        { path: 'docs/new/d/l', type: 'link', src: `${disk}/d/l` },
        { path: 'docs/new/d/sub/b', type: 'executable', src: `${disk}/d/sub/b` },
        { path: 'docs/new/top', type: 'blob', src: `${disk}/top` },
      ],
      ...{ update: [], delete: [], errors: [], warnings: [] },
    });
    expect(await fs.readText('docs/guide.md')).toBe('guide');
  });

  it('makes a directory the same with sync', async (fixture) => {
    const disk = join(await temporaryDirectory(), 'disk');
    await makeFiles(disk, sample);
    const fs = await fixture.main.syncIn(disk, '');
    expect(await stored(fs)).toEqual(sample);
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
    expect(await fs.getMessage()).toMatch(/^Batch sync: \+4 -\d+$/);
    const again = await fs.syncIn(disk, '');
    expect(again.commitHash).toBe(fs.commitHash);
    expect(again.changes).toEqual({ add: [], update: [], delete: [], errors: [], warnings: [] });
  });
});

describeOnEveryRepository('sources', (it) => {
  const cases: readonly [string[], Record<string, string>][] = [
    [['d'], { 'to/d/a': 'one', 'to/d/l': '-> ../nowhere', 'to/d/sub/b': 'x:two' }],
    [['d/'], { 'to/a': 'one', 'to/l': '-> ../nowhere', 'to/sub/b': 'x:two' }],
    [['d/.'], { 'to/a': 'one', 'to/l': '-> ../nowhere', 'to/sub/b': 'x:two' }],
    [['d/sub/..'], { 'to/a': 'one', 'to/l': '-> ../nowhere', 'to/sub/b': 'x:two' }],
    [['./d/sub/b'], { 'to/d/sub/b': 'x:two' }],
    [['d/./sub'], { 'to/sub/b': 'x:two' }],
    [['d/./sub/'], { 'to/sub/b': 'x:two' }],
    [['d/./sub/b'], { 'to/sub/b': 'x:two' }],
    [['top', 'd/sub'], { 'to/sub/b': 'x:two', 'to/top': 'three' }],
    [[], {}],
  ];
  for (const [sources, expected] of cases) {
    it(JSON.stringify(sources), (fixture) =>
      onScene(fixture, sample, async ({ fs, disk }) => {
        const all = sources.map((source) => `${disk}/${source}`);
        expect(await stored(await fs.copyIn(all, '/to/'))).toEqual(expected);
      }),
    );
  }

  it('that meet are laid over each other, the first above', (fixture) =>
    onScene(
      fixture,
      { 'p/x': '1', 'p/y/z': '2', 'q/x': '3', 'q/y/w': '4' },
      async ({ fs, disk }) => {
        const poured = await fs.copyIn([`${disk}/p/`, `${disk}/q/`], '', { delete: true });
        expect(await stored(poured)).toEqual({ x: '1', 'y/w': '4', 'y/z': '2' });
      },
    ));

  it('that are missing, or no directory, are refused', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk, gitDir }) => {
      await expect(fs.copyIn('', 'to')).rejects.toBeInstanceOf(FileNotFoundError);
      await expect(fs.copyIn(['none', `${disk}/top`], '')).rejects.toMatchObject({ path: 'none' });
      await expect(fs.copyIn(`${disk}/top/`, '')).rejects.toBeInstanceOf(NotADirectoryError);
      await expect(fs.copyIn(`${disk}/./../disk/d`, '')).rejects.toBeInstanceOf(InvalidPathError);
      await expect(fs.copyIn(`${disk}/d\0`, '')).rejects.toBeInstanceOf(InvalidPathError);
      await expect(fs.copyIn(`${disk}/d`, '../up')).rejects.toBeInstanceOf(InvalidPathError);
      await expect(fs.copyIn(`${disk}/d`, '.git')).rejects.toBeInstanceOf(InvalidPathError);
      await expect(fs.syncIn(`${disk}/none`, '')).rejects.toBeInstanceOf(FileNotFoundError);
      await expect(fs.syncIn(`${disk}/top`, '')).rejects.toBeInstanceOf(NotADirectoryError);
      expect(await git(['rev-parse', 'main'], { cwd: gitDir })).toBe(`${fs.commitHash}\n`);
    }));

  it('have names that are no UTF-8', (fixture) =>
    onScene(fixture, { 'd\xff/\xfe': 'bytes', 'd\xff/\xc3\xa9': 'text' }, async ({ fs, disk }) => {
      const after = await fs.copyIn(`${disk}/d\udcff`, '');
      expect(await stored(after)).toEqual({ 'd\udcff/é': 'text', 'd\udcff/\udcfe': 'bytes' });
      expect(after.changes?.add[0]?.src).toBe(`${disk}/d\udcff/é`);
    }));
});

describeOnEveryRepository('what stands at the destination', (it) => {
  const before = { 'd/a': 'old', 'd/extra': 'more', 'd/sub': 'a file' };

  async function after(
    fixture: LibraryFixture,
    files: DiskFiles,
    options: CopyInOptions,
  ): Promise<Record<string, string>> {
    let result: Record<string, string> = {};
    await onScene(fixture, sample, async ({ fs, disk }) => {
      await makeFiles(`${disk}/before`, files);
      const base = await fs.syncIn(`${disk}/before`, '');
      result = await stored(await base.copyIn(`${disk}/d`, '', options));
    });
    return result;
  }

  it('stays, but for what is copied', async (fixture) => {
    expect(await after(fixture, before, {})).toEqual({
      ...{ 'd/a': 'one', 'd/extra': 'more', 'd/l': '-> ../nowhere', 'd/sub/b': 'x:two' },
    });
  });
  it('goes away with delete', async (fixture) => {
    expect(await after(fixture, { ...before, top: 'outside' }, { delete: true })).toEqual({
      ...{ 'd/a': 'one', 'd/l': '-> ../nowhere', 'd/sub/b': 'x:two', top: 'outside' },
    });
  });
  it('is left alone with ignoreExisting', async (fixture) => {
    const expected = { ...before, 'd/l': '-> ../nowhere' };
    expect(await after(fixture, before, { ignoreExisting: true })).toEqual(expected);
  });
  it('and is a directory in place of a file, goes away only with delete', async (fixture) => {
    const files = { 'd/a/b/c': 'deep' };
    await expect(after(fixture, files, {})).rejects.toBeInstanceOf(IsADirectoryError);
    expect(await after(fixture, files, { delete: true })).toMatchObject({ 'd/a': 'one' });
    expect(await after(fixture, files, { ignoreErrors: true })).toMatchObject({
      'd/a/b/c': 'deep',
    });
  });
  it('must be a directory itself', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      const base = await fs.writeText('file', 'x');
      for (const dest of ['file', 'file/below']) {
        await expect(base.copyIn(`${disk}/d`, dest)).rejects.toBeInstanceOf(NotADirectoryError);
        await expect(base.copyIn(`${disk}/d`, dest, { ignoreErrors: true })).rejects.toBeInstanceOf(
          NotADirectoryError,
        );
      }
    }));
  it('and is a submodule, stays', (fixture) =>
    onScene(fixture, { 'm/file': 'x', other: 'y' }, async ({ fs, disk, gitDir, store }) => {
      const oid = fs.commitHash;
      const tree = await git(['mktree'], { cwd: gitDir, input: `160000 commit ${oid}\tm\n` });
      const made = await git(['commit-tree', '-m', 'm', '-p', oid, tree.trim()], { cwd: gitDir });
      await git(['update-ref', 'refs/heads/main', made.trim()], { cwd: gitDir });
      const after = await (await store.fs('main')).syncIn(disk, '');
      expect(await after.objectHash('m')).toBe(oid);
      expect(after.changes?.warnings).toEqual([
        { path: 'm', error: expect.stringContaining('submodule') as string },
      ]);
    }));
});

describeOnEveryRepository('exclude', (it) => {
  it('hides files on both sides', (fixture) =>
    onScene(fixture, { 'a.log': 'new', 'a.txt': 'new', 'd/b.log': 'new' }, async ({ fs, disk }) => {
      const before = await fs.apply({
        ...{ 'a.log': 'old', 'gone.log': 'old', 'gone.txt': 'old' },
        ...{ 'x/kept.log': 'old', 'x/gone': 'old' },
      });
      const exclude = new ExcludeFilter({ patterns: ['*.log'] });
      const after = await before.syncIn(disk, '', { exclude });
      expect(await stored(after)).toEqual({
        ...{ 'a.log': 'old', 'a.txt': 'new', 'gone.log': 'old', 'x/kept.log': 'old' },
      });
    }));
  it('takes its rules from .gitignore files', (fixture) =>
    onScene(
      fixture,
      { '.gitignore': '/build/\n', 'build/x': '1', 'src/build/y': '2', 'src/.gitignore': 'y\n' },
      async ({ fs, disk }) => {
        const exclude = new ExcludeFilter({ gitignore: true });
        const base = await fs.apply({ 'build/old': 'kept', 'src/gone': 'x' });
        const after = await base.syncIn(disk, '', { exclude });
        expect(Object.keys(await stored(after))).toEqual([
          '.gitignore',
          'build/old',
          'src/.gitignore',
        ]);
        // Rules of one walk are not those of the next.
        await rm(join(disk, '.gitignore'));
        const next = await after.copyIn(`${disk}/build`, '', { exclude });
        expect(await next.exists('build/x')).toBe(true);
      },
    ));
  it('does not let a directory with hidden files make way', (fixture) =>
    onScene(fixture, { d: 'file' }, async ({ fs, disk }) => {
      const base = await fs.apply({ 'd/x.log': 'kept', 'd/y': 'z' });
      const exclude = new ExcludeFilter({ patterns: ['*.log'] });
      await expect(base.syncIn(disk, '', { exclude })).rejects.toBeInstanceOf(IsADirectoryError);
    }));
  it('of directories does not keep one from making way for a file', (fixture) =>
    onScene(fixture, { 'p/d': 'file' }, async ({ fs, disk }) => {
      const base = await fs.apply({ 'd/x': 'y', 'p/d/e/d': 'z', 'p/d/x': 'gone' });
      const exclude = new ExcludeFilter({ patterns: ['d/'] });
      const after = await base.syncIn(disk, '', { exclude });
      expect(await stored(after)).toEqual({ 'd/x': 'y', 'p/d': 'file' });
      // What is in it is judged by itself, and may keep it.
      exclude.addPatterns(['x']);
      await expect(base.syncIn(disk, '', { exclude })).rejects.toBeInstanceOf(IsADirectoryError);
    }));
});

describeOnEveryRepository('links', (it) => {
  const files = { 'real/f': 'x:content', 'd/link': '-> ../real', 'd/dead': '-> none' };

  it('are stored as links', (fixture) =>
    onScene(fixture, files, async ({ fs, disk }) => {
      expect(await stored(await fs.copyIn(`${disk}/d/`, ''))).toEqual({
        ...{ dead: '-> none', link: '-> ../real' },
      });
    }));
  it('are stored as what they lead to when followed', (fixture) =>
    onScene(fixture, files, async ({ fs, disk }) => {
      await expect(fs.copyIn(`${disk}/d/`, '', { followSymlinks: true })).rejects.toMatchObject({
        code: 'ENOENT',
      });
      const after = await fs.copyIn(`${disk}/d/`, '', { followSymlinks: true, ignoreErrors: true });
      expect(await stored(after)).toEqual({ 'link/f': 'x:content' });
      expect(after.changes?.errors.map(({ path }) => path)).toEqual([`${disk}/d/dead`]);
    }));
  it('that lead in circles are errors of their own', (fixture) =>
    onScene(
      fixture,
      { 'd/a': 'x', 'd/up': '-> ..', 'd/self': '-> self', 'd/e/back': '-> ../../d' },
      async ({ fs, disk }) => {
        const options = { followSymlinks: true, ignoreErrors: true };
        const after = await fs.copyIn(`${disk}/d`, '', options);
        expect(await stored(after)).toEqual({ 'd/a': 'x' });
        const failed = after.changes?.errors.map(({ path }) => path);
        expect(failed).toEqual(['e/back', 'self', 'up/d'].map((name) => `${disk}/d/${name}`));
      },
    ));
  it('name a directory with a slash behind them', (fixture) =>
    onScene(fixture, files, async ({ fs, disk }) => {
      expect(await stored(await fs.copyIn(`${disk}/d/link/`, ''))).toEqual({ f: 'x:content' });
    }));
});

describeOnEveryRepository('what git cannot store', (it) => {
  it('is left out with a warning, and nothing waits for a FIFO', (fixture) =>
    onScene(
      fixture,
      { '.git/config': 'x', 'sub/.git': 'gitdir: x', f: 'y' },
      async ({ fs, disk }) => {
        execFileSync('mkfifo', [join(disk, 'fifo')]);
        await mkdir(join(disk, 'empty'));
        const base = await fs.apply({ fifo: 'a file before' });
        const after = await base.syncIn(disk, '');
        expect(await stored(after)).toEqual({ f: 'y', fifo: 'a file before' });
        expect(after.changes?.warnings.map(({ path }) => path)).toEqual([
          ...['.git', `${disk}/fifo`, 'sub/.git'],
        ]);
        const named = await after.copyIn(`${disk}/fifo`, 'x', { followSymlinks: true });
        expect(named.changes?.warnings).toHaveLength(1);
      },
    ));
  it('because of a name, is an error', (fixture) =>
    onScene(fixture, { 'git~1': 'x', f: 'y' }, async ({ fs, disk }) => {
      await expect(fs.syncIn(disk, '')).rejects.toBeInstanceOf(InvalidPathError);
      const after = await fs.syncIn(disk, '', { ignoreErrors: true });
      expect(await stored(after)).toEqual({ f: 'y' });
      expect(after.changes?.errors.map(({ path }) => path)).toEqual([`${disk}/git~1`]);
    }));
  it('is the repository itself', (fixture) =>
    onScene(fixture, { f: 'y' }, async ({ fs, gitDir }) => {
      const after = await fs.copyIn(join(gitDir, '../'), '');
      expect(await stored(after)).toEqual({ 'disk/f': 'y' });
      expect(after.changes?.warnings.map(({ path }) => path)).toEqual([gitDir]);
    }));
});

describeOnEveryRepository('options', (it) => {
  it('dryRun commits nothing and stores nothing', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk, gitDir }) => {
      const base = await fs.apply({ a: 'old', gone: 'x' });
      const objects = await git(['count-objects'], { cwd: gitDir });
      const after = await base.copyIn(`${disk}/d/`, '', { dryRun: true, delete: true });
      expect(after.commitHash).toBe(base.commitHash);
      expect(after.changes).toMatchObject({
        add: [{ path: 'l' }, { path: 'sub/b' }],
        update: [{ path: 'a', src: `${disk}/d/a` }],
        delete: [{ path: 'gone' }],
      });
      expect(await git(['count-objects'], { cwd: gitDir })).toBe(objects);
    }));
  it('message and parents', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk, store }) => {
      const other = await (await store.branches.setAndGet('other', fs)).writeText('x', 'y');
      const after = await fs.copyIn(`${disk}/d`, '', {
        message: 'op {op}: {default} of {total_count}',
        parents: [other],
      });
      expect(await after.getMessage()).toBe('op cp: Batch cp: +3 of 3');
      const parents = await git(['rev-list', '--parents', '-1', 'main'], {
        cwd: store.context.repository.gitDir,
      });
      expect(parents.trim().split(' ').slice(1)).toEqual([fs.commitHash, other.commitHash]);
    }));
  it('mode', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      const after = await fs.copyIn(`${disk}/d/`, '', { mode: FileType.EXECUTABLE });
      expect(await stored(after)).toEqual({ a: 'x:one', l: '-> ../nowhere', 'sub/b': 'x:two' });
      const plain = await after.copyIn(`${disk}/d/`, '', { mode: 0o100644 });
      expect(plain.changes?.update.map(({ path }) => path)).toEqual(['a', 'sub/b']);
    }));
  it('checksum: false trusts size and time, and nothing else', (fixture) =>
    onScene(fixture, { f: 'aaa', g: 'aaa' }, async ({ fs, disk }) => {
      const base = await fs.syncIn(disk, '');
      await makeFiles(disk, { f: 'bbb', g: 'bbb' });
      await utimes(join(disk, 'f'), new Date(), await base.getTime());
      const quick = await base.syncIn(disk, '', { checksum: false });
      expect(await stored(quick)).toEqual({ f: 'aaa', g: 'bbb' });
      await utimes(join(disk, 'f'), new Date(), await quick.getTime());
      expect(await stored(await quick.syncIn(disk, ''))).toEqual({ f: 'bbb', g: 'bbb' });
    }));
  it('ignoreErrors keeps what a missing source might hold', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      const base = await fs.apply({ kept: 'x' });
      const sources = [`${disk}/none/`, `${disk}/d/`];
      const after = await base.copyIn(sources, '', { ignoreErrors: true, delete: true });
      expect(await stored(after)).toMatchObject({ a: 'one', kept: 'x' });
      expect(after.changes?.errors).toEqual([
        { path: `${disk}/none`, error: expect.stringContaining('no such') as string },
      ]);
    }));
  it('progress tells of each file, and signal ends it', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      const seen: TransferProgress[] = [];
      const controller = new AbortController();
      const { signal } = controller;
      const options = { signal, ignoreErrors: true };
      const progress = (step: TransferProgress): void => void seen.push(step);
      const after = await fs.copyIn(`${disk}/d/`, '', { ...options, progress });
      expect(seen.map(({ files }) => files)).toEqual([1, 2, 3]);
      expect(seen.at(-1)?.bytes).toBe('onetwo../nowhere'.length);
      expect(seen.map(({ path }) => path).sort()).toEqual(
        ['a', 'l', 'sub/b'].map((name) => `${disk}/d/${name}`),
      );
      const stop = (): void => controller.abort(new RangeError('enough'));
      await expect(after.syncIn(disk, 'more', { ...options, progress: stop })).rejects.toThrow(
        'enough',
      );
      expect(await (await after.back(0)).exists('more')).toBe(false);
    }));
});

describeOnEveryRepository('commits', (it) => {
  it('are refused on snapshots that cannot be written', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk, store }) => {
      await store.tags.set('t', fs);
      const tag = await store.fs('t');
      await expect(tag.copyIn(disk, '')).rejects.toBeInstanceOf(PermissionError);
      await fs.writeText('x', 'y');
      await expect(fs.syncIn(disk, '')).rejects.toBeInstanceOf(StaleSnapshotError);
    }));
  it('of many files are one pack', (fixture) =>
    onScene(fixture, {}, async ({ fs, disk, gitDir }) => {
      for (let index = 0; index < 300; index++) {
        await writeFile(join(disk, `f${index}`), `content ${index}`);
      }
      const packs = async (): Promise<number> => {
        const names = await readdir(join(gitDir, 'objects/pack'));
        return names.filter((file) => file.endsWith('.pack')).length;
      };
      const before = await packs();
      const after = await fs.syncIn(disk, '');
      expect(after.changes?.add).toHaveLength(300);
      expect(await packs()).toBe(before + 1);
    }));
  it('of big files stream them', (fixture) =>
    onScene(fixture, { f1: 'x' }, async ({ fs, disk }) => {
      const big = Buffer.alloc(3_000_000, 'not so random ');
      await writeFile(join(disk, 'big'), big);
      const after = await fs.syncIn(disk, '');
      expect((await after.read('big')).equals(big)).toBe(true);
      big.write('changed', 1_000_000);
      await writeFile(join(disk, 'big'), big);
      await rename(join(disk, 'f1'), join(disk, 'g1'));
      const next = await after.syncIn(disk, '');
      expect(await next.getMessage()).toBe('Batch sync: +1 ~1 -1');
      expect((await next.read('big')).equals(big)).toBe(true);
    }));
});
