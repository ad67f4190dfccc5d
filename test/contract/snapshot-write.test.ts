import { createHash } from 'node:crypto';
import { chmod, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'vitest';
import {
  FileNotFoundError,
  FileType,
  GitStore,
  InvalidArgumentError,
  InvalidPathError,
  IsADirectoryError,
  MODE_BLOB_EXEC,
  NotADirectoryError,
  PermissionError,
  StaleSnapshotError,
  WriterClosedError,
  changeReportTotal,
  diskGlob,
} from '../../src/index.ts';
import type { FS } from '../../src/index.ts';
import {
  bigFile,
  describeOnEveryRepository,
  expectBytes,
  gitListing,
  libraryListing,
} from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

describeOnEveryRepository('writing to a snapshot', (it) => {
  it('stores content as it is when it is given', async ({ main, git }) => {
    for (const size of [10, 100_000, 1024 * 1024]) {
      const content = Buffer.alloc(size, 'a');
      const writing = main.write('new', content);
      content.fill('b');
      const fs = await writing;
      expect((await fs.read('new')).equals(Buffer.alloc(size, 'a'))).toBe(true);
      await git('update-ref', 'refs/heads/main', main.commitHash);
    }
  });

  it('stores large content that changes meanwhile under the hash of what it stores', async (fixture) => {
    const content = Buffer.alloc(3_000_000, 'a');
    const writing = fixture.main.write('new', content);
    content.fill('b');
    const fs = await writing;
    const stored = await fs.read('new');
    expect(stored.length).toBe(content.length);
    const blob = Buffer.concat([Buffer.from(`blob ${stored.length}\0`), stored]);
    const hash = createHash('sha1').update(blob).digest('hex');
    expect(await fixture.git('rev-parse', 'main:new')).toBe(hash);
  });

  it('takes bytes, and no other views of memory', async ({ main, git }) => {
    const views = [
      'text',
      new Uint16Array([1, 2]),
      new ArrayBuffer(3),
      new DataView(new ArrayBuffer(2)),
    ];
    for (const view of [...views, null, [1]]) {
      const data = view as unknown as Uint8Array;
      await expect(main.write('new', data)).rejects.toBeInstanceOf(InvalidArgumentError);
      await expect(main.batch().write('new', data)).rejects.toBeInstanceOf(InvalidArgumentError);
      if (typeof view === 'string') continue;
      const applied = main.apply({ new: { data } });
      await expect(applied).rejects.toBeInstanceOf(InvalidArgumentError);
      const writer = main.writer('new');
      expect(() => writer.write(data)).toThrow(InvalidArgumentError);
      await writer[Symbol.asyncDispose]();
    }
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('has a text for names with a backslash, which separates nothing in them', async ({
    main,
    git,
  }) => {
    const disk = await temporaryDirectory();
    await writeFile(join(disk, 'a\\b'), 'a name');
    let fs = await main.writeText('a/b', 'in a directory');
    fs = await fs.copyIn(`${disk}/`, '');
    const [name = ''] = await fs.glob('a?b');
    expect(name).toBe('a\udc5cb');
    expect(await fs.ls()).toContain(name);
    expect((await fs.listdir()).map((entry) => entry.name)).toContain(name);
    expect(fs.changes?.add).toMatchObject([{ path: name }]);
    expect([await fs.readText(name), await fs.readText('a\\b')]).toEqual([
      'a name',
      'in a directory',
    ]);
    fs = await fs.write(name, bytes('changed'));
    expect(await git('log', '-1', '--format=%s%n%gs', '-g', 'main')).toBe('~ a\\b\ncommit: ~ a\\b');
    const copy = join(disk, 'copy');
    await fs.copyOut(name, copy);
    expect(await readFile(join(copy, 'a\\b'), 'utf8')).toBe('changed');
    fs = await fs.move(name, 'moved\udc5c');
    expect((await git('ls-tree', '-z', '--name-only', 'main')).split('\0')).toContain('moved\\');
    fs = await fs.remove('moved\udc5c');
    expect(fs.changes?.delete).toMatchObject([{ path: 'moved\udc5c' }]);
    expect(await fs.readText('a/b')).toBe('in a directory');
    await expect(fs.read(name)).rejects.toMatchObject({ path: name });
  });

  it('makes one commit for each write', async (fixture) => {
    const { main, git, store } = fixture;
    const fs = await main.write('new/file.bin', bytes('content'));
    expect(await git('rev-parse', 'main', 'main^')).toBe(`${fs.commitHash}\n${main.commitHash}`);
    expect(await git('show', 'main:new/file.bin')).toBe('content');
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
    expect([fs.refName, fs.writable]).toEqual(['main', true]);
    expect(fs.changes).toMatchObject({ add: [{ path: 'new/file.bin', type: 'blob' }], update: [] });
    expect((await store.branches.get('main')).commitHash).toBe(fs.commitHash);
    expect(await main.exists('new')).toBe(false);
  });

  it('names the author and says what changed', async ({ main, git }) => {
    const fs = await main.write('new', bytes('1'));
    expect(await git('log', '-1', '--format=%an <%ae> %cn <%ce>|%B')).toBe(
      'vost <vost@localhost> vost <vost@localhost>|+ new\n',
    );
    const updated = await fs.write('new', bytes('2'), { mode: FileType.EXECUTABLE });
    expect(await updated.getMessage()).toBe('~ new (executable)');
    const linked = await updated.writeSymlink('l', 'new');
    expect(await linked.getMessage()).toBe('+ l (link)');
    const told = await linked.write('new', bytes('3'), {
      message: '{default} [{op}{total_count}]',
    });
    expect(await told.getMessage()).toBe('~ new [1]');
  });

  it('takes the mode that is asked for', async ({ main, git }) => {
    let fs = await main.write('a', bytes('a'), { mode: FileType.EXECUTABLE });
    fs = await fs.write('b', bytes('b'), { mode: MODE_BLOB_EXEC });
    fs = await fs.write('c', bytes('docs'), { mode: FileType.LINK });
    fs = await fs.write('run.sh', bytes('no longer executable'));
    expect(
      await git('ls-tree', '--format=%(objectmode) %(path)', 'main', 'a', 'b', 'c', 'run.sh'),
    ).toBe('100755 a\n100755 b\n120000 c\n100644 run.sh');
    for (const mode of [FileType.TREE, '040000', '160000', '7', 'directory']) {
      await expect(fs.write('d', bytes(''), { mode })).rejects.toBeInstanceOf(InvalidArgumentError);
    }
  });

  it('writes text in an encoding', async ({ main }) => {
    let fs = await main.writeText('utf8', 'ä☃');
    fs = await fs.writeText('latin', 'ä', { encoding: 'latin1', mode: FileType.EXECUTABLE });
    expect([...(await fs.read('utf8'))]).toEqual([0xc3, 0xa4, 0xe2, 0x98, 0x83]);
    expect([...(await fs.read('latin'))]).toEqual([0xe4]);
    expect(await fs.fileType('latin')).toBe(FileType.EXECUTABLE);
    const impossible = fs.writeText('latin', '☃', { encoding: 'latin1' });
    await expect(impossible).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('copies local files, with their executable bit', async ({ main }) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'plain'), bigFile);
    await writeFile(join(directory, 'script'), 'run');
    await chmod(join(directory, 'script'), 0o755);
    await symlink('script', join(directory, 'link'));
    let fs = await main.writeFromFile('plain', join(directory, 'plain'));
    fs = await fs.writeFromFile('script', join(directory, 'script'));
    fs = await fs.writeFromFile('followed', join(directory, 'link'), { mode: FileType.BLOB });
    expectBytes(await fs.read('plain'), bigFile);
    expect(await fs.fileType('plain')).toBe(FileType.BLOB);
    expect(await fs.fileType('script')).toBe(FileType.EXECUTABLE);
    expect(await fs.fileType('followed')).toBe(FileType.BLOB);
    const missing = fs.writeFromFile('x', join(directory, 'none'));
    await expect(missing).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(fs.writeFromFile('x', directory)).rejects.toBeInstanceOf(IsADirectoryError);
  });

  it('writes files of the disk whose names are no UTF-8', async ({ main, git }) => {
    const directory = await temporaryDirectory();
    const name = Buffer.concat([Buffer.from(`${directory}/n`), Buffer.from([0xff])]);
    await writeFile(name, 'content');
    const [path = ''] = await diskGlob(`${directory}/n*`);
    const fs = await main.writeFromFile('written', path);
    await fs.apply({ applied: { data: { path } } });
    expect(await git('cat-file', 'blob', 'main:written')).toBe('content');
    expect(await git('cat-file', 'blob', 'main:applied')).toBe('content');
  });

  it('writes links', async ({ main, git }) => {
    const fs = await main.writeSymlink('a/link', '../docs');
    expect(await fs.readlink('a/link')).toBe('../docs');
    expect(await git('ls-tree', '--format=%(objectmode)', 'main', 'a/link')).toBe('120000');
    await expect(fs.writeSymlink('b', '')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(fs.writeSymlink('b', 'a\0b')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(fs.writeSymlink('.gitmodules', 'a')).rejects.toBeInstanceOf(InvalidPathError);
  });

  it('makes no commit when nothing changes', async ({ main, git }) => {
    expect(await main.writeText('docs/guide.md', 'guide')).toBe(main);
    expect(await main.apply({ 'README.md': 'second\n' })).toBe(main);
    expect(await main.batch().commit()).toBe(main);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('refuses paths that git cannot hold', async ({ main, git }) => {
    for (const path of [
      '',
      '/',
      '.',
      '..',
      'a/../b',
      'a//b',
      'a\0b',
      '.git',
      'a/.GIT/b',
      'git~1',
    ]) {
      await expect(main.write(path, bytes('x'))).rejects.toBeInstanceOf(InvalidPathError);
      await expect(main.apply({ [path]: 'x' })).rejects.toBeInstanceOf(InvalidPathError);
      expect(() => main.writer(path)).toThrow(InvalidPathError);
    }
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('keeps any other name', async (fixture) => {
    const names = [
      'back\\slash/x',
      ' ',
      '-',
      'a:b',
      'new\nline',
      '"quoted"',
      'x'.repeat(300),
      '.gitignore',
      '\udcff',
    ];
    const fs = await fixture.main.apply(
      Object.fromEntries(names.map((name) => [name, name.length.toString()])),
    );
    for (const name of names) expect(await fs.readText(name)).toBe(String(name.length));
    expect(await fixture.git('ls-tree', '-r', '--name-only', 'main', 'back')).toBe('back/slash/x');
  });

  it('puts no file where a directory is, and none below a file', async ({ main, git }) => {
    await expect(main.write('docs', bytes('x'))).rejects.toBeInstanceOf(IsADirectoryError);
    await expect(main.write('README.md/x', bytes('x'))).rejects.toBeInstanceOf(NotADirectoryError);
    await expect(main.write('link/x', bytes('x'))).rejects.toBeInstanceOf(NotADirectoryError);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('refuses snapshots of tags and commits', async ({ store, main, git }) => {
    for (const fs of [
      await store.fs('v1'),
      await store.fs('annotated'),
      await store.fs(main.commitHash),
    ]) {
      const attempts: (() => Promise<unknown>)[] = [
        () => fs.write('a', bytes('')),
        () => fs.writeText('a', ''),
        () => fs.writeFromFile('a', '/dev/null'),
        () => fs.writeSymlink('a', 'b'),
        () => fs.apply({ a: '' }),
        () => fs.remove('README.md'),
        () => fs.move('README.md', 'b'),
        () => fs.copyFromRef('main', 'docs', 'b', { dryRun: true }),
        () => fs.undo(),
        () => fs.redo(),
      ];
      for (const attempt of attempts) {
        await expect(attempt()).rejects.toBeInstanceOf(PermissionError);
      }
      expect(() => fs.batch()).toThrow(PermissionError);
      expect(() => fs.writer('a')).toThrow(PermissionError);
    }
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('refuses snapshots that the branch has left', async ({ main, git }) => {
    const writer = main.writer('w');
    await writer.write('late');
    const batch = main.batch();
    await batch.write('b', bytes('late'));
    const newer = await main.write('a', bytes('1'));
    const attempts: (() => Promise<unknown>)[] = [
      () => main.write('a', bytes('2')),
      () => main.writeText('docs/guide.md', 'guide'),
      () => main.apply({ a: '2' }),
      () => main.remove('README.md'),
      () => main.undo(),
      () => writer.close(),
      () => batch.commit(),
    ];
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toBeInstanceOf(StaleSnapshotError);
    }
    expect(await git('rev-parse', 'main')).toBe(newer.commitHash);
    expect(writer.fs).toBeNull();
  });

  it('notices that git, or another store, moved the branch', async ({ main, git, reopen }) => {
    await git('update-ref', 'refs/heads/main', `${main.commitHash}^`);
    await expect(main.write('a', bytes('2'))).rejects.toBeInstanceOf(StaleSnapshotError);
    await git('update-ref', 'refs/heads/main', main.commitHash);
    const other = await (await reopen()).branches.get('main');
    await other.write('a', bytes('other'));
    await expect(main.write('a', bytes('2'))).rejects.toBeInstanceOf(StaleSnapshotError);
    await git('update-ref', '-d', 'refs/heads/main');
    await expect(main.write('a', bytes('2'))).rejects.toBeInstanceOf(StaleSnapshotError);
  });

  it('notices that another branch stands in the way of its own', async ({ store, main, git }) => {
    const nested = await store.branches.get('feature/x');
    await git('update-ref', '-d', 'refs/heads/feature/x');
    await git('update-ref', 'refs/heads/feature', main.commitHash);
    await expect(nested.write('a', bytes('2'))).rejects.toBeInstanceOf(StaleSnapshotError);
  });

  it('takes further parents', async ({ store, main, git }) => {
    const side = await (await store.branches.get('feature/x')).write('side', bytes('s'));
    const fs = await main.write('merged', bytes('m'), { parents: [side, main, side] });
    expect(await git('log', '-1', '--format=%P')).toBe(`${main.commitHash} ${side.commitHash}`);
    expect(await fs.exists('side')).toBe(false);
    expect(await git('log', '-g', '-1', '--format=%gs', 'main')).toBe('commit (merge): + merged');
    const elsewhere = await GitStore.open(join(await temporaryDirectory(), 'other.git'));
    const stranger = await elsewhere.branches.get('main');
    const write = fs.write('x', bytes('x'), { parents: [stranger] });
    await expect(write).rejects.toBeInstanceOf(InvalidArgumentError);
    expect(() => fs.batch({ parents: [stranger] })).toThrow(InvalidArgumentError);
    await elsewhere.close();
  });

  it('writes a reflog line for each move', async ({ main, git }) => {
    const fs = await main.write('a', bytes('1'), { message: 'subject\n\nbody' });
    await fs.undo();
    expect(await git('log', '-g', '-2', '--format=%H %gn <%ge> %gs', 'main')).toBe(
      `${main.commitHash} vost <vost@localhost> undo: move back 1\n` +
        `${fs.commitHash} vost <vost@localhost> commit: subject`,
    );
  });
});

describeOnEveryRepository('a writer', (it) => {
  it('commits what it was given when it is closed', async ({ main, git }) => {
    const writer = main.writer('out/log.txt', 'w');
    expect([writer.closed, writer.fs]).toEqual([false, null]);
    await writer.write('one\n');
    void writer.write(bytes('two\n'));
    void writer.write('thréé\n');
    await writer.close();
    expect(writer.closed).toBe(true);
    expect(writer.fs?.commitHash).toBe(await git('rev-parse', 'main'));
    expect(await git('show', 'main:out/log.txt')).toBe('one\ntwo\nthréé');
    await writer.close();
    expect(await git('rev-list', '--count', `${main.commitHash}..main`)).toBe('1');
    expect(() => writer.write('more')).toThrow(WriterClosedError);
  });

  it('takes content of any size, and copies what it is given', async ({ main }) => {
    const writer = main.writer('big');
    const piece = Buffer.alloc(300_000);
    for (let index = 0; index < 12; index++) {
      piece.fill(index);
      await writer.write(piece);
    }
    await writer.close();
    const content = await (writer.fs as FS).read('big');
    expect(content.length).toBe(3_600_000);
    for (let index = 0; index < 12; index++) {
      expect(
        content.subarray(index * 300_000, (index + 1) * 300_000).every((b) => b === index),
      ).toBe(true);
    }
  });

  it('writes an empty file when it is given nothing', async ({ main }) => {
    const writer = main.writer('empty');
    await writer.close();
    expect(await writer.fs?.size('empty')).toBe(0);
  });

  it('knows two modes', ({ main }) => {
    expect(() => main.writer('a', 'r' as 'w')).toThrow(InvalidArgumentError);
    return Promise.resolve();
  });

  it('gives up its content when it goes out of scope', async ({ main, git }) => {
    {
      await using writer = main.writer('never');
      await writer.write(bigFile);
    }
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
    expect(await git('count-objects', '-v')).toContain('garbage: 0');
  });
});

describeOnEveryRepository('apply', (it) => {
  it('writes and removes in one commit', async ({ main, git }) => {
    const directory = await temporaryDirectory();
    const local = join(directory, 'tool');
    await writeFile(local, 'tool');
    await chmod(local, 0o700);
    const fs = await main.apply(
      {
        bytes: bytes('bytes'),
        text: 'täxt',
        entry: { data: 'entry', mode: FileType.EXECUTABLE },
        link: { target: 'elsewhere' },
        byPath: { data: { path: local } },
        byUrl: { data: pathToFileURL(local), mode: FileType.BLOB },
      },
      ['README.md', 'docs/deep/er/page.md'],
      { operation: 'ar' },
    );
    expect(await git('rev-list', '--count', `${main.commitHash}..main`)).toBe('1');
    expect(await fs.getMessage()).toBe('Batch ar: +5 ~1 -2');
    expect(await fs.readText('text')).toBe('täxt');
    expect(await fs.fileType('entry')).toBe(FileType.EXECUTABLE);
    expect(await fs.readlink('link')).toBe('elsewhere');
    expect(await fs.fileType('byPath')).toBe(FileType.EXECUTABLE);
    expect(await fs.fileType('byUrl')).toBe(FileType.BLOB);
    expect(await fs.exists('README.md')).toBe(false);
    expect(await fs.exists('docs/deep')).toBe(false);
    expect(fs.changes && changeReportTotal(fs.changes)).toBe(8);
  });

  it('takes maps, lists and sets', async ({ main }) => {
    let fs = await main.apply(new Map([['a', 'map']]), 'README.md');
    fs = await fs.apply({}, new Set(['a', 'link']));
    expect(await fs.getMessage()).toBe('Batch: -2');
    expect(await fs.exists('README.md')).toBe(false);
    expect(await fs.exists('a')).toBe(false);
  });

  it('removes before it writes', async ({ main }) => {
    const fs = await main.apply({ 'run.sh/inner': 'x', 'README.md': 'new' }, [
      'run.sh',
      'README.md',
    ]);
    expect(await fs.ls('run.sh')).toEqual(['inner']);
    expect(await fs.readText('README.md')).toBe('new');
  });

  it('keeps one tree of a directory in memory, not all that it was', async ({ main, store }) => {
    const cachedBytes = (): number =>
      store.context.repository.odb.cacheCounts().find(({ name }) => name === 'trees')!.sizeBytes;
    const names = Array.from({ length: 500 }, (_, at) => `large/file-${at}`);
    let fs = await main.apply(Object.fromEntries(names.map((name) => [name, { data: name }])));
    const before = cachedBytes();
    const snapshots = [fs];
    for (let save = 0; save < 10; save++) {
      fs = await fs.write('large/file-7', bytes(`${save}`));
      snapshots.push(fs);
    }
    expect(cachedBytes()).toBeLessThan(1.5 * before);
    expect(await fs.readText('large/file-7')).toBe('9');
    // What was forgotten is read again.
    expect(await snapshots[3]!.readText('large/file-7')).toBe('2');
  });

  it('changes nothing when a part of it fails', async ({ main, git }) => {
    const failing: (() => Promise<unknown>)[] = [
      () => main.apply({ a: { data: 'x', target: 'y' } }),
      () => main.apply({ a: {} }),
      () => main.apply({ a: { target: 'y', mode: FileType.BLOB } }),
    ];
    for (const attempt of failing) {
      await expect(attempt()).rejects.toBeInstanceOf(InvalidArgumentError);
    }
    await expect(main.apply({ a: 'x' }, 'none')).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(main.apply({ a: 'x' }, 'docs')).rejects.toBeInstanceOf(IsADirectoryError);
    const missing = main.apply({ a: 'x', b: { data: { path: '/none/such' } } });
    await expect(missing).rejects.toBeInstanceOf(FileNotFoundError);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });
});
