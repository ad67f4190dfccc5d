import { execFileSync } from 'node:child_process';
import {
  chmod,
  mkdir,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  FileNotFoundError,
  InvalidArgumentError,
  IsADirectoryError,
  NotADirectoryError,
  diskGlob,
} from '../../src/index.ts';
import type { CopyOutOptions, FS, GitStore } from '../../src/index.ts';
import { diskBytes, makeFiles, shownFiles } from '../helpers/disk-tree.ts';
import type { DiskFiles } from '../helpers/disk-tree.ts';
import { git, gitBytes } from '../helpers/git.ts';
import { describeOnEveryRepository } from '../helpers/library-fixture.ts';
import type { LibraryFixture } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

interface Scene {
  readonly store: GitStore;
  readonly gitDir: string;
  /** A snapshot with the files asked for. */
  readonly fs: FS;
  /** A local directory that is not there yet, in a directory of its own. */
  readonly disk: string;
}

async function onScene(
  { store, gitDir }: LibraryFixture,
  files: DiskFiles,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const place = join(gitDir, '../place');
  const source = await temporaryDirectory();
  await makeFiles(source, files);
  await rm(place, { recursive: true, force: true });
  await mkdir(place);
  const fs = await (await store.fs('main')).syncIn(source, '');
  await body({ store, gitDir, fs, disk: join(place, 'disk') });
}

const sample = { 'd/a': 'one', 'd/sub/b': 'x:two', 'd/l': '-> ../nowhere', top: 'three' };

describeOnEveryRepository('copyOut and syncOut', (it) => {
  it('write what is stored', async ({ main, store, gitDir }) => {
    const disk = join(await temporaryDirectory(), 'disk');
    const fs = await main.syncOut('', disk);
    const index = join(disk, '../index');
    const env = { GIT_DIR: gitDir, GIT_WORK_TREE: disk, GIT_INDEX_FILE: index };
    await git(['read-tree', 'main'], { env });
    await git(['add', '--all'], { cwd: disk, env });
    expect((await git(['write-tree'], { env })).trim()).toBe(main.treeHash);
    expect(fs.commitHash).toBe(main.commitHash);
    expect(fs.changes?.add).toContainEqual({ path: 'run.sh', type: 'executable', src: 'run.sh' });
    const tag = await store.fs('v1');
    const after = await tag.copyOut('docs', disk);
    expect(after.changes).toEqual({ add: [], update: [], delete: [], errors: [], warnings: [] });
    expect((await tag.copyOut('README.md', disk)).changes).toMatchObject({
      add: [],
      update: [{ path: 'README.md', type: 'blob', src: 'README.md' }],
    });
  });
});

describeOnEveryRepository('sources', (it) => {
  const cases: readonly [string | string[], Record<string, string>][] = [
    ['d', { 'd/a': 'one', 'd/l': '-> ../nowhere', 'd/sub/b': 'x:two' }],
    ['/d/', { a: 'one', l: '-> ../nowhere', 'sub/b': 'x:two' }],
    ['d/sub/b', { b: 'x:two' }],
    ['d/./sub/b', { 'sub/b': 'x:two' }],
    ['d/./sub/', { 'sub/b': 'x:two' }],
    [['top', 'd/sub'], { 'sub/b': 'x:two', top: 'three' }],
    ['', sample],
    ['/', sample],
  ];
  for (const [sources, expected] of cases) {
    it(JSON.stringify(sources), (fixture) =>
      onScene(fixture, sample, async ({ fs, disk }) => {
        await fs.copyOut(sources, `${disk}/made/`);
        expect(await shownFiles(`${disk}/made`)).toEqual(expected);
      }),
    );
  }

  it('that are missing, or no directory, are refused', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      await expect(fs.copyOut('none', disk)).rejects.toBeInstanceOf(FileNotFoundError);
      await expect(fs.copyOut('top/', disk)).rejects.toBeInstanceOf(NotADirectoryError);
      await expect(fs.syncOut('top', disk)).rejects.toBeInstanceOf(NotADirectoryError);
      await expect(fs.syncOut('none', disk)).rejects.toBeInstanceOf(FileNotFoundError);
      await expect(fs.copyOut('d', '')).rejects.toBeInstanceOf(FileNotFoundError);
      await writeFile(disk, 'a file');
      await expect(fs.copyOut('d', disk)).rejects.toBeInstanceOf(NotADirectoryError);
      expect(await readFile(disk, 'utf8')).toBe('a file');
    }));

  it('have names that are no UTF-8', (fixture) =>
    onScene(fixture, { 'd\xff/\xfe': 'bytes' }, async ({ fs, disk }) => {
      const after = await fs.copyOut('d\udcff', disk);
      expect(await shownFiles(disk)).toEqual({ 'd\xff/\xfe': 'bytes' });
      expect(after.changes?.add[0]?.path).toBe('d\udcff/\udcfe');
      expect(await readFile(diskBytes(`${disk}/d\xff/\xfe`), 'utf8')).toBe('bytes');
    }));
});

describeOnEveryRepository('what stands on the disk', (it) => {
  const before = { 'd/a': 'old', 'd/extra/x': 'more', 'd/sub': 'a file', 'd/l': '-> a', o: 'p' };

  async function after(
    fixture: LibraryFixture,
    files: DiskFiles,
    options: CopyOutOptions,
    check?: (after: FS) => void,
  ): Promise<Record<string, string>> {
    let result: Record<string, string> = {};
    await onScene(fixture, sample, async ({ fs, disk }) => {
      await makeFiles(disk, files);
      const done = await fs.copyOut('d', disk, options);
      result = await shownFiles(disk);
      check?.(done);
    });
    return result;
  }

  it('stays, but for what is copied', async (fixture) => {
    const all = { 'd/a': 'one', 'd/extra/x': 'more', 'd/l': '-> ../nowhere', 'd/sub/b': 'x:two' };
    expect(await after(fixture, before, {})).toEqual({ ...all, o: 'p' });
  });
  it('goes away with delete, and is reported', async (fixture) => {
    const all = { 'd/a': 'one', 'd/l': '-> ../nowhere', 'd/sub/b': 'x:two', o: 'p' };
    expect(
      await after(fixture, before, { delete: true }, ({ changes }) => {
        expect(changes).toMatchObject({
          add: [{ path: 'd/sub/b', type: 'executable', src: 'd/sub/b' }],
          update: [{ path: 'd/a' }, { path: 'd/l', type: 'link' }],
          delete: [{ path: 'd/extra/x', type: 'blob' }, { path: 'd/sub' }],
        });
      }),
    ).toEqual(all);
  });
  it('is only looked at with dryRun', async (fixture) => {
    expect(
      await after(fixture, before, { delete: true, dryRun: true }, ({ changes }) => {
        expect(changes?.add.map(({ path }) => path)).toEqual(['d/sub/b']);
        expect(changes?.update.map(({ path }) => path)).toEqual(['d/a', 'd/l']);
        expect(changes?.delete.map(({ path }) => path)).toEqual(['d/extra/x', 'd/sub']);
      }),
    ).toEqual(Object.fromEntries(Object.entries(before).sort()));
    await onScene(fixture, sample, async ({ fs, disk }) => {
      expect((await fs.syncOut('', disk, { dryRun: true })).changes?.add).toHaveLength(4);
      await expect(stat(disk)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });
  it('is left alone with ignoreExisting', async (fixture) => {
    expect(await after(fixture, before, { ignoreExisting: true })).toEqual(before);
  });
  it('and is a directory in place of a file, goes away only with delete', async (fixture) => {
    const files = { 'd/a/b/c': 'deep' };
    await expect(after(fixture, files, {})).rejects.toBeInstanceOf(IsADirectoryError);
    expect(await after(fixture, files, { delete: true })).toMatchObject({ 'd/a': 'one' });
    expect(
      await after(fixture, files, { ignoreErrors: true }, ({ changes }) => {
        expect(changes?.errors.map(({ path }) => path)).toEqual(['d/a']);
      }),
    ).toMatchObject({ 'd/a/b/c': 'deep', 'd/sub/b': 'x:two' });
  });
  it('and is a FIFO, makes nobody wait', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      await mkdir(disk);
      for (const name of ['top', 'other']) execFileSync('mkfifo', [join(disk, name)]);
      await fs.syncOut('', disk);
      expect(await shownFiles(disk)).toEqual(sample);
    }));
});

describeOnEveryRepository('files', (it) => {
  it('keep their permissions, and other names of them their content', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      await makeFiles(disk, { top: 'before', 'sub/b': 'two' });
      await chmod(join(disk, 'top'), 0o640);
      await chmod(join(disk, 'sub/b'), 0o640);
      execFileSync('ln', [join(disk, 'top'), join(disk, 'twin')]);
      await fs.copyOut(['top', 'd/sub'], disk);
      expect((await stat(join(disk, 'top'))).mode & 0o777).toBe(0o640);
      expect((await stat(join(disk, 'sub/b'))).mode & 0o777).toBe(0o750);
      expect(await readFile(join(disk, 'twin'), 'utf8')).toBe('before');
      expect((await readdir(disk)).sort()).toEqual(['sub', 'top', 'twin']);
    }));
  it('have the time of the commit, and are not touched when they are the same', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      await fs.syncOut('', disk);
      const time = await fs.getTime();
      const file = join(disk, 'top');
      expect((await stat(file)).mtime).toEqual(time);
      const before = await stat(file, { bigint: true });
      await fs.syncOut('', disk);
      expect((await stat(file, { bigint: true })).ctimeNs).toBe(before.ctimeNs);
    }));
  it('are compared by size and time with checksum: false', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      await fs.syncOut('', disk);
      await writeFile(join(disk, 'top'), 'THREE');
      await utimes(join(disk, 'top'), new Date(), await fs.getTime());
      await writeFile(join(disk, 'd/a'), 'ONE');
      const quick = await fs.syncOut('', disk, { checksum: false });
      expect(quick.changes?.update.map(({ path }) => path)).toEqual(['d/a']);
      expect(await readFile(join(disk, 'top'), 'utf8')).toBe('THREE');
      await utimes(join(disk, 'd/a'), new Date(), 1);
      expect((await fs.syncOut('d', join(disk, 'd'), { checksum: false })).changes?.update).toEqual(
        [],
      );
      expect((await stat(join(disk, 'd/a'))).mtime).toEqual(await fs.getTime());
      await fs.syncOut('', disk);
      expect(await shownFiles(disk)).toEqual(sample);
    }));
  it('may be big', (fixture) =>
    onScene(fixture, {}, async ({ fs, disk }) => {
      const big = Buffer.alloc(5_000_000, 'not so random ');
      const after = await fs.write('big', big);
      await after.syncOut('', disk);
      expect((await readFile(join(disk, 'big'))).equals(big)).toBe(true);
      expect((await after.syncOut('', disk)).changes?.update).toEqual([]);
    }));
  it('and progress and signal', (fixture) =>
    onScene(fixture, sample, async ({ fs, disk }) => {
      const seen: string[] = [];
      await fs.copyOut('', disk, { progress: ({ path }) => void seen.push(path) });
      const paths = Object.keys(sample).map((path) => join(disk, path));
      expect(seen.sort()).toEqual(paths.sort());
      const signal = AbortSignal.abort(new RangeError('enough'));
      await expect(fs.copyOut('', disk, { signal })).rejects.toThrow('enough');
    }));
});

describeOnEveryRepository('nothing outside of the destination is written', (it) => {
  it('nor is the repository itself', async ({ main, gitDir, git: inRepository }) => {
    const link = join(await temporaryDirectory(), 'link');
    await symlink(gitDir, link);
    for (const path of [
      gitDir,
      join(gitDir, 'objects'),
      join(gitDir, 'new/deep'),
      join(link, 'x'),
      `${gitDir}.new/../${basename(gitDir)}`,
    ]) {
      await expect(main.syncOut('', path)).rejects.toBeInstanceOf(InvalidArgumentError);
      await expect(main.copyOut('', path)).rejects.toBeInstanceOf(InvalidArgumentError);
    }
    const head = await readFile(join(gitDir, 'HEAD'), 'utf8');
    const evil = await main.writeText(`${basename(gitDir)}/HEAD`, 'evil');
    const above = join(gitDir, '..');
    await expect(evil.copyOut('', above)).rejects.toBeInstanceOf(InvalidArgumentError);
    const after = await evil.copyOut('', above, { ignoreErrors: true });
    expect(after.changes?.errors).toMatchObject([{ path: basename(gitDir) }]);
    expect(await readFile(join(gitDir, 'HEAD'), 'utf8')).toBe(head);
    expect(await inRepository('rev-parse', 'main')).toBe(evil.commitHash);
  });

  it('nor anything below a file', async ({ main }) => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    await expect(main.copyOut('', join(file, 'x'))).rejects.toBeInstanceOf(NotADirectoryError);
  });

  it('through links in place of directories', (fixture) =>
    onScene(fixture, { 'd/sub/b': 'x' }, async ({ fs, disk }) => {
      const outside = join(disk, '../outside');
      await makeFiles(outside, { 'sub/b': 'safe', other: 'safe' });
      for (const options of [{}, { delete: true }]) {
        await makeFiles(disk, { 'd/x': 'y' });
        execFileSync('rm', ['-rf', join(disk, 'd')]);
        await makeFiles(disk, { d: '-> ../outside' });
        await fs.copyOut('d', disk, options);
        expect(await shownFiles(disk)).toEqual({ 'd/sub/b': 'x' });
      }
      execFileSync('rm', ['-rf', join(disk, 'd')]);
      await makeFiles(disk, { d: '-> ../outside' });
      await fs.copyOut('d', disk, { ignoreExisting: true });
      expect(await shownFiles(disk)).toEqual({ d: '-> ../outside' });
      expect(await shownFiles(outside)).toEqual({ other: 'safe', 'sub/b': 'safe' });
    }));
  it('through links in place of files', (fixture) =>
    onScene(fixture, { f: 'x' }, async ({ fs, disk }) => {
      await makeFiles(disk, { f: '-> ../outside', '../outside': 'safe' });
      await fs.syncOut('', disk);
      expect(await shownFiles(disk)).toEqual({ f: 'x' });
      expect(await readFile(join(disk, '../outside'), 'utf8')).toBe('safe');
    }));
  it('by deleting what links lead to', (fixture) =>
    onScene(fixture, { f: 'x' }, async ({ fs, disk }) => {
      await makeFiles(disk, {
        l: '-> ../outside',
        '../outside/f': 'safe',
        'e/m': '-> ../../outside',
      });
      await fs.syncOut('', disk);
      expect(await shownFiles(join(disk, '..'))).toEqual({ 'disk/f': 'x', 'outside/f': 'safe' });
    }));
  it('by a link and a directory of one name from two sources', (fixture) =>
    onScene(fixture, { 'p/d': '-> ../../outside', 'q/d/f': 'x' }, async ({ fs, disk }) => {
      await makeFiles(join(disk, '../outside'), { f: 'safe' });
      await fs.copyOut(['p/', 'q/'], disk);
      expect(await shownFiles(join(disk, '..'))).toEqual({ 'disk/d/f': 'x', 'outside/f': 'safe' });
    }));
  it('by trees that no honest program makes', (fixture) =>
    onScene(fixture, { ok: 'x' }, async ({ store, gitDir, disk }) => {
      const blob = (
        await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: 'evil' })
      ).trim();
      const entry = (mode: string, name: string, oid: string): Buffer =>
        Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')]);
      const write = async (...entries: Buffer[]): Promise<string> => {
        const args = ['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'];
        return (await gitBytes(args, { cwd: gitDir, input: Buffer.concat(entries) }))
          .toString()
          .trim();
      };
      const branch = async (tree: string): Promise<FS> => {
        const commit = (await git(['commit-tree', '-m', 'm', tree], { cwd: gitDir })).trim();
        await git(['update-ref', 'refs/heads/evil', commit], { cwd: gitDir });
        return store.fs('evil');
      };
      const up = await branch(
        await write(entry('40000', '..', await write(entry('100644', 'e', blob)))),
      );
      await expect(up.copyOut('', disk)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
      const slash = await branch(await write(entry('100644', '../e', blob)));
      await expect(slash.copyOut('', disk)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
      const hooks = await write(entry('100755', 'post-checkout', blob));
      const dotGit = await branch(
        await write(entry('40000', '.GIT', hooks), entry('100644', 'ok', blob)),
      );
      await expect(dotGit.copyOut('', disk)).rejects.toMatchObject({ code: 'INVALID_PATH' });
      const after = await dotGit.copyOut('', disk, { ignoreErrors: true });
      expect(after.changes?.errors.map(({ path }) => path)).toEqual(['.GIT']);
      expect(await shownFiles(join(disk, '..'))).toEqual({ 'disk/ok': 'evil' });
      await git(['update-ref', '-d', 'refs/heads/evil'], { cwd: gitDir });
      await git(['prune', '--expire=now'], { cwd: gitDir });
    }));
  it('nor the repository deleted', (fixture) =>
    onScene(fixture, { f: 'x' }, async ({ fs, gitDir }) => {
      const after = await fs.syncOut('', join(gitDir, '..'));
      expect(await fs.readText('f')).toBe('x');
      expect(after.changes?.warnings.map(({ path }) => path)).toEqual(['repository.git']);
      expect((await readdir(join(gitDir, '..'))).sort()).toEqual(['f', 'repository.git']);
    }));
});

describe('diskGlob', () => {
  const files = {
    'a.txt': '1',
    'b.md': '2',
    '.hidden.txt': '3',
    'd/a.txt': '4',
    'd/.e/x.txt': '5',
    'd/f/y.txt': '6',
    'd/\xff.txt': '7',
    link: '-> d',
    dead: '-> none',
    'w*t': '8',
  };
  test.each([
    ['*.txt', ['a.txt']],
    ['.*.txt', ['.hidden.txt']],
    ['**/*.txt', ['a.txt', 'd/a.txt', 'd/f/y.txt', 'd/\udcff.txt']],
    ['d/**', ['d/a.txt', 'd/f', 'd/f/y.txt', 'd/\udcff.txt']],
    ['link/*.txt', ['link/a.txt', 'link/\udcff.txt']],
    ['d/./*/y.txt', ['d/./f/y.txt']],
    ['d/.e/*', ['d/.e/x.txt']],
    ['d/f/../?.txt', ['d/f/../a.txt', 'd/f/../\udcff.txt']],
    ['dead', ['dead']],
    ['none/*', []],
    ['a.txt/*', []],
    ['w[*]t', []],
    ['', []],
  ])('%s', async (pattern, expected) => {
    const disk = join(await temporaryDirectory(), 'disk');
    await makeFiles(disk, files);
    const found = pattern === '' ? await diskGlob('') : await diskGlob(`${disk}/${pattern}`);
    expect(found).toEqual(expected.map((path) => `${disk}/${path}`));
  });
  test('counts from the working directory', async () => {
    expect(await diskGlob('./package.*on')).toEqual(['package.json']);
    expect(await diskGlob('src/inde?.ts')).toEqual(['src/index.ts']);
    expect((await diskGlob('../*')).every((path) => path.startsWith('../'))).toBe(true);
    await expect(diskGlob('a\0')).rejects.toMatchObject({ code: 'INVALID_PATH' });
  });
});

describeOnEveryRepository('what diskGlob finds', (it) => {
  it('is copied in, pivots included', (fixture) =>
    onScene(fixture, {}, async ({ fs, disk }) => {
      await makeFiles(disk, { 'd/a.txt': '4', 'd/\xff.txt': '7', 'd/b.md': '2', 'e.txt': '1' });
      const after = await fs.copyIn(await diskGlob(`${disk}/./d/*.txt`), 'to');
      expect(await after.ls('to/d')).toEqual(['a.txt', '\udcff.txt']);
    }));
});
