import { expect } from 'vitest';
import {
  FileNotFoundError,
  FileType,
  InvalidArgumentError,
  InvalidPathError,
  IsADirectoryError,
  KeyNotFoundError,
  NotADirectoryError,
} from '../../src/index.ts';
import {
  bigFile,
  collect,
  describeOnEveryRepository,
  expectBytes,
  gitListing,
  libraryListing,
} from '../helpers/library-fixture.ts';

describeOnEveryRepository('a snapshot', (it) => {
  it('knows its commit', async ({ store, main, git }) => {
    expect(main.commitHash).toBe(await git('rev-parse', 'main'));
    expect(main.treeHash).toBe(await git('rev-parse', 'main^{tree}'));
    expect([main.refName, main.writable, main.changes]).toEqual(['main', true, null]);
    const tag = await store.fs('v1');
    expect([tag.refName, tag.writable]).toEqual(['v1', false]);
    const detached = await store.fs(main.commitHash);
    expect([detached.refName, detached.writable]).toEqual([null, false]);
  });

  it('tells what the commit says of itself', async ({ main, git }) => {
    expect(await main.getMessage()).toBe('second');
    expect(await main.getAuthorName()).toBe('vost');
    expect(await main.getAuthorEmail()).toBe('vost@localhost');
    const time = new Date(Number(await git('log', '-1', '--format=%ct', 'main')) * 1000);
    expect(await main.getTime()).toEqual(time);
    expect(await main.getCommitInfo()).toEqual({
      message: 'second',
      time,
      authorName: 'vost',
      authorEmail: 'vost@localhost',
    });
  });

  it('answers what stands at a path', async ({ main, git }) => {
    expect(await main.exists('docs/guide.md')).toBe(true);
    expect(await main.exists('docs')).toBe(true);
    expect(await main.exists('')).toBe(true);
    expect(await main.exists('docs/none')).toBe(false);
    expect(await main.exists('README.md/below')).toBe(false);
    expect(await main.isDir('docs')).toBe(true);
    expect(await main.isDir('/')).toBe(true);
    expect(await main.isDir('README.md')).toBe(false);
    expect(await main.isDir('none')).toBe(false);
    expect(await main.fileType('README.md')).toBe(FileType.BLOB);
    expect(await main.fileType('run.sh')).toBe(FileType.EXECUTABLE);
    expect(await main.fileType('link')).toBe(FileType.LINK);
    expect(await main.fileType('docs')).toBe(FileType.TREE);
    expect(await main.size('big.txt')).toBe(bigFile.length);
    expect(await main.size('link')).toBe('docs/guide.md'.length);
    expect(await main.size('docs')).toBe(0);
    expect(await main.objectHash('docs/guide.md')).toBe(
      await git('rev-parse', 'main:docs/guide.md'),
    );
    expect(await main.objectHash('docs')).toBe(await git('rev-parse', 'main:docs'));
    expect(await main.objectHash('')).toBe(main.treeHash);
  });

  it('writes paths in one form', async ({ main }) => {
    for (const path of [
      '/docs/guide.md',
      'docs/guide.md/',
      'docs\\guide.md',
      './docs/./guide.md',
    ]) {
      expect(await main.readText(path)).toBe('guide');
    }
    for (const path of ['docs/../README.md', 'docs//guide.md', '..', 'docs/\0']) {
      await expect(main.read(path)).rejects.toBeInstanceOf(InvalidPathError);
      await expect(main.exists(path)).rejects.toBeInstanceOf(InvalidPathError);
    }
    expect(await main.readText('ünï/cödé ☃.txt')).toBe('names are UTF-8');
  });

  it('refuses questions about what is not there', async ({ main }) => {
    const questions = [
      () => main.fileType('none'),
      () => main.size('none'),
      () => main.objectHash('docs/none'),
      () => main.stat('none'),
      () => main.read('none'),
      () => main.read('README.md/below'),
      () => main.readText('none'),
      () => main.readlink('none'),
      () => main.ls('none'),
      () => main.listdir('none'),
      () => main.walk('none').next(),
    ];
    for (const question of questions) {
      await expect(question()).rejects.toBeInstanceOf(FileNotFoundError);
      await expect(question()).rejects.toMatchObject({ code: 'ENOENT' });
    }
  });

  it('gives the stat of a path', async ({ main, git }) => {
    const mtime = Number(await git('log', '-1', '--format=%ct', 'main'));
    expect(await main.stat('run.sh')).toEqual({
      mode: 0o100755,
      fileType: FileType.EXECUTABLE,
      size: 10,
      hash: await git('rev-parse', 'main:run.sh'),
      nlink: 1,
      mtime,
    });
    expect(await main.stat('link')).toMatchObject({ mode: 0o120000, fileType: 'link', size: 13 });
    expect(await main.stat('docs')).toMatchObject({ mode: 0o40000, size: 0, nlink: 3 });
    expect(await main.stat()).toMatchObject({ hash: main.treeHash, fileType: 'tree', nlink: 6 });
  });

  it('reads files and parts of them', async ({ main }) => {
    expectBytes(await main.read('big.txt'), bigFile);
    expectBytes(await main.read('big.txt', { offset: 100, size: 50 }), bigFile.subarray(100, 150));
    expectBytes(await main.read('big.txt', { offset: 300_000 }), bigFile.subarray(300_000));
    expectBytes(await main.read('big.txt', { size: 7 }), bigFile.subarray(0, 7));
    expect(await main.read('big.txt', { offset: bigFile.length - 1, size: 9 })).toHaveLength(1);
    expect(await main.read('big.txt', { offset: bigFile.length + 5 })).toHaveLength(0);
    expect(await main.read('big.txt', { size: 0 })).toHaveLength(0);
    expect((await main.read('link')).toString()).toBe('docs/guide.md');
    expect(await main.readlink('link')).toBe('docs/guide.md');
    await expect(main.read('docs')).rejects.toBeInstanceOf(IsADirectoryError);
    await expect(main.readlink('README.md')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.read('big.txt', { offset: -1 })).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.read('big.txt', { size: 1.5 })).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('reads text in an encoding', async ({ main }) => {
    const fs = await main.write('latin', Buffer.from([0xe4, 0x80]));
    expect(await fs.readText('README.md')).toBe('second\n');
    expect(await fs.readText('latin', 'latin1')).toBe('ä\u0080');
    await expect(fs.readText('latin')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(fs.readText('README.md', 'klingon')).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('gives bytes that the caller may change', async ({ main }) => {
    for (const range of [{}, { offset: 0, size: 3 }]) {
      (await main.read('docs/guide.md', range)).fill(0);
      expect(await main.readText('docs/guide.md')).toBe('guide');
    }
  });

  it('reads blobs by their hash', async ({ store, main, git }) => {
    const hash = await git('rev-parse', 'main:big.txt');
    const raw = Buffer.from(hash, 'hex');
    for (const reader of [main, store]) {
      expectBytes(await reader.readByHash(hash), bigFile);
      expectBytes(await reader.readByHash(raw, { offset: 4, size: 4 }), bigFile.subarray(4, 8));
      await expect(reader.readByHash('0'.repeat(40))).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(reader.readByHash(main.treeHash)).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(reader.readByHash('xyz')).rejects.toBeInstanceOf(InvalidArgumentError);
    }
    expect(await store.hasHash(hash)).toBe(true);
    expect(await store.hasHash(raw)).toBe(true);
    expect(await store.hasHash('0'.repeat(40))).toBe(false);
    expect(await store.hasHash(main.commitHash)).toBe(false);
  });

  it('lists directories', async ({ main, git }) => {
    expect(await main.ls('docs')).toEqual(['deep', 'guide.md']);
    expect(await main.ls()).toEqual(
      (await git('ls-tree', '--name-only', '-z', 'main')).split('\0').slice(0, -1),
    );
    expect(await main.ls('docs', { recursive: true })).toEqual([
      ...['deep', 'deep/er', 'deep/er/page.md', 'guide.md'],
    ]);
    expect(await main.listdir('docs')).toEqual([
      { name: 'deep', oid: await git('rev-parse', 'main:docs/deep'), mode: '040000' },
      { name: 'guide.md', oid: await git('rev-parse', 'main:docs/guide.md'), mode: '100644' },
    ]);
    await expect(main.ls('README.md')).rejects.toBeInstanceOf(NotADirectoryError);
    await expect(main.listdir('README.md')).rejects.toBeInstanceOf(NotADirectoryError);
    await expect(main.ls('README.md', { recursive: true })).rejects.toBeInstanceOf(
      NotADirectoryError,
    );
  });

  it('walks from the top down', async (fixture) => {
    const { main } = fixture;
    expect(await libraryListing(main)).toEqual(await gitListing(fixture, 'main'));
    const docs = await collect(main.walk('docs'));
    expect(docs.map(([path, dirs, files]) => [path, dirs, files.map(({ name }) => name)])).toEqual([
      ['docs', ['deep'], ['guide.md']],
      ['docs/deep', ['er'], []],
      ['docs/deep/er', [], ['page.md']],
    ]);
    const visited: string[] = [];
    for await (const [path, directories] of main.walk()) {
      visited.push(path);
      directories.splice(0, directories.length, ...directories.filter((name) => name === 'src'));
    }
    expect(visited).toEqual(['', 'src']);
    await expect(main.walk('README.md').next()).rejects.toBeInstanceOf(NotADirectoryError);
  });

  it('expands patterns', async ({ main }) => {
    expect(await main.glob('*')).toEqual([
      ...['README.md', 'big.txt', 'docs', 'link', 'run.sh', 'src', 'ünï'],
    ]);
    expect(await main.glob('.*')).toEqual(['.config', '.hidden']);
    expect(await main.glob('**/*.md')).toEqual([
      ...['README.md', 'docs/deep/er/page.md', 'docs/guide.md'],
    ]);
    expect(await main.glob('**')).not.toContain('.config/settings');
    expect(await main.glob('**/.eslintrc')).toEqual(['src/lib/.eslintrc']);
    expect(await main.glob('docs/**')).toEqual([
      ...['docs/deep', 'docs/deep/er', 'docs/deep/er/page.md', 'docs/guide.md'],
    ]);
    expect(await main.glob('src/*/util.??')).toEqual(['src/lib/util.ts']);
    expect(await main.glob('.config/*')).toEqual(['.config/settings']);
    expect(await main.glob('docs/guide.md')).toEqual(['docs/guide.md']);
    expect(await main.glob('*/c?d? ?.txt')).toEqual(['ünï/cödé ☃.txt']);
    expect(await main.glob('docs/./**/*.md')).toEqual([
      ...['docs/./deep/er/page.md', 'docs/./guide.md'],
    ]);
    expect(await main.glob('none/*')).toEqual([]);
    expect(await main.glob('README.md/*')).toEqual([]);
    expect(await main.glob('')).toEqual([]);
    const some = await collect(main.iglob('**/**/*.md'));
    expect(new Set(some).size).toBe(some.length);
    expect(some.sort()).toEqual(await main.glob('**/*.md'));
    await expect(main.glob('../*')).rejects.toBeInstanceOf(InvalidPathError);
    await expect(main.glob('docs//*')).rejects.toBeInstanceOf(InvalidPathError);
  });

  it('can be closed twice', async ({ main }) => {
    await main.close();
    await main.close();
  });
});
