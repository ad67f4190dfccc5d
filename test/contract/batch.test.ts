import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  BatchClosedError,
  FileNotFoundError,
  FileType,
  InvalidPathError,
  IsADirectoryError,
  KeyNotFoundError,
  NotADirectoryError,
  WriterClosedError,
} from '../../src/index.ts';
import type { Batch } from '../../src/index.ts';
import {
  bigFile,
  describeOnEveryRepository,
  gitListing,
  libraryListing,
} from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

describeOnEveryRepository('a batch', (it) => {
  it('takes operations that nobody waits for in the order of their calls', async ({ main }) => {
    const batch = main.batch();
    const buffer = Buffer.alloc(16);
    const calls: Promise<void>[] = [];
    for (const name of ['one', 'two', 'three']) {
      buffer.fill(name);
      calls.push(batch.write(name, buffer));
    }
    const writer = batch.writer('written');
    calls.push(writer.write('in '), writer.write('pieces'), writer.close());
    calls.push(batch.writeText('three', 'last'));
    const fs = await batch.commit();
    await Promise.all(calls);
    expect(await fs.readText('one')).toBe('oneoneoneoneoneo');
    expect(await fs.readText('two')).toBe('twotwotwotwotwot');
    expect(await fs.readText('three')).toBe('last');
    expect(await fs.readText('written')).toBe('in pieces');
  });

  it('makes one commit of many changes', async (fixture) => {
    const { main, git } = fixture;
    const local = join(await temporaryDirectory(), 'local');
    await writeFile(local, 'local');
    const batch = main.batch();
    await batch.write('a/bytes', bytes('1'), { mode: FileType.EXECUTABLE });
    await batch.writeText('a/text', 'ä', { encoding: 'latin1' });
    await batch.writeFromFile('a/local', local);
    await batch.writeSymlink('a/link', 'text');
    await batch.remove('README.md');
    await batch.write('run.sh', bytes('changed'), { mode: FileType.EXECUTABLE });
    expect([batch.fs, batch.closed]).toEqual([null, false]);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
    const fs = await batch.commit();
    expect(batch.closed).toBe(true);
    expect(batch.fs).toBe(fs);
    expect(await git('rev-list', '--count', `${main.commitHash}..main`)).toBe('1');
    expect(await fs.getMessage()).toBe('Batch: +4 ~1 -1');
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
    expect(fs.changes).toEqual({
      add: [
        { path: 'a/bytes', type: 'executable' },
        { path: 'a/link', type: 'link' },
        { path: 'a/local', type: 'blob' },
        { path: 'a/text', type: 'blob' },
      ],
      update: [{ path: 'run.sh', type: 'executable' }],
      delete: [{ path: 'README.md', type: 'blob' }],
      errors: [],
      warnings: [],
    });
  });

  it('takes a message, an operation and parents', async ({ store, main, git }) => {
    const side = await store.branches.get('feature/x');
    const batch = main.batch({ operation: 'import', message: '{op}: {default}', parents: [side] });
    await batch.write('a', bytes('1'));
    const fs = await batch.commit();
    expect(await fs.getMessage()).toBe('import: Batch import: +1');
    expect(await git('log', '-1', '--format=%P')).toBe(`${main.commitHash} ${side.commitHash}`);
  });

  it('lets the last operation on a path win', async ({ main }) => {
    const batch = main.batch();
    // Not awaited: the order of the calls counts, whatever is stored first.
    void batch.write('a', Buffer.concat([bigFile, bigFile, bigFile]));
    void batch.write('a', bytes('2'));
    void batch.remove('a');
    void batch.write('a', bytes('last'));
    void batch.remove('README.md');
    void batch.write('README.md', bytes('back'));
    void batch.write('gone', bytes('x'));
    void batch.remove('gone');
    const fs = await batch.commit();
    expect(await fs.readText('a')).toBe('last');
    expect(await fs.readText('README.md')).toBe('back');
    expect(await fs.exists('gone')).toBe(false);
    expect(await fs.getMessage()).toBe('Batch: +1 ~1');
  });

  it('can turn files into directories and back', async ({ main }) => {
    const batch = main.batch();
    await batch.remove('README.md');
    await batch.write('README.md/inner', bytes('1'));
    await batch.remove('src/main.ts');
    await batch.remove('src/lib/util.ts');
    await expect(batch.write('src', bytes('x'))).rejects.toBeInstanceOf(IsADirectoryError);
    await batch.remove('src/lib/.eslintrc');
    await batch.write('src', bytes('now a file'));
    const fs = await batch.commit();
    expect(await fs.readText('README.md/inner')).toBe('1');
    expect(await fs.readText('src')).toBe('now a file');
  });

  it('refuses what no filesystem would do', async ({ main }) => {
    const batch = main.batch();
    await batch.write('new/file', bytes('1'));
    await expect(batch.remove('none')).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(batch.remove('docs')).rejects.toBeInstanceOf(IsADirectoryError);
    await expect(batch.remove('new')).rejects.toBeInstanceOf(IsADirectoryError);
    await expect(batch.write('new', bytes('1'))).rejects.toBeInstanceOf(IsADirectoryError);
    await expect(batch.write('new/file/x', bytes('1'))).rejects.toBeInstanceOf(NotADirectoryError);
    await expect(batch.write('.git/x', bytes('1'))).rejects.toBeInstanceOf(InvalidPathError);
    await batch.remove('new/file');
    await expect(batch.remove('new/file')).rejects.toBeInstanceOf(FileNotFoundError);
    expect(await batch.commit()).toBe(main);
  });

  it('prunes the directories that it empties', async ({ main, git }) => {
    const batch = main.batch();
    await batch.remove('docs/deep/er/page.md');
    await batch.commit();
    expect(await git('ls-tree', '--name-only', 'main:docs')).toBe('guide.md');
  });

  it('puts stored objects at paths by their hash', async (fixture) => {
    const { main, git } = fixture;
    const docs = await main.objectHash('docs');
    const batch = main.batch();
    await batch.writeBlob('copy.sh', await main.objectHash('run.sh'), { mode: '100755' });
    await batch.writeTree('a/docs', docs);
    await batch.write('a/docs/deep/more', bytes('inside a tree by its hash'));
    await batch.remove('a/docs/guide.md');
    await batch.writeTree('src', docs);
    const fs = await batch.commit();
    expect(await git('rev-parse', 'main:src')).toBe(docs);
    expect(await fs.ls('a', { recursive: true })).toEqual([
      ...['docs', 'docs/deep', 'docs/deep/er', 'docs/deep/er/page.md', 'docs/deep/more'],
    ]);
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
    const whole = fs.batch();
    await whole.writeTree('', docs);
    await whole.write('top', bytes('1'));
    expect(await (await whole.commit()).ls()).toEqual(['deep', 'guide.md', 'top']);
  });

  it('takes only objects that are there and of the right kind', async ({ main }) => {
    const batch = main.batch();
    const blob = await main.objectHash('run.sh');
    const attempts = [
      () => batch.writeBlob('a', '1'.repeat(40)),
      () => batch.writeBlob('a', main.treeHash),
      () => batch.writeTree('a', '1'.repeat(40)),
      () => batch.writeTree('a', blob),
    ];
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toBeInstanceOf(KeyNotFoundError);
    }
    expect(await batch.commit()).toBe(main);
  });

  it('has writers that stage at their close', async ({ main }) => {
    const batch = main.batch();
    const writer = batch.writer('w', 'w');
    const lost = batch.writer('lost');
    await lost.write(bigFile);
    await writer.write('1');
    await writer.write(bytes('2'));
    expect(writer.closed).toBe(false);
    await writer.close();
    await writer.close();
    expect(writer.closed).toBe(true);
    expect(() => writer.write('3')).toThrow(WriterClosedError);
    const fs = await batch.commit();
    expect(await fs.readText('w')).toBe('12');
    expect(await fs.exists('lost')).toBe(false);
    await expect(lost.close()).rejects.toBeInstanceOf(WriterClosedError);
    expect(() => main.batch().writer('..')).toThrow(InvalidPathError);
  });

  it('ends quietly behind its store, with a writer that had nothing to write to', async (fixture) => {
    const store = await fixture.reopen();
    const batch = (await store.branches.get('main')).batch();
    await batch.write('a', bytes('1'));
    const writer = batch.writer('b');
    await store.close();
    const written = writer.write('2').catch(() => undefined);
    await writer[Symbol.asyncDispose]();
    await written;
    await batch[Symbol.asyncDispose]();
  });

  it('does not keep its store from being closed by a writer that is open', async (fixture) => {
    const store = await fixture.reopen();
    const fs = await store.branches.get('main');
    const batch = fs.batch();
    const writers = [fs.writer('a'), batch.writer('b')];
    for (const writer of writers) await writer.write('not all of it');
    await store.close();
    for (const writer of writers) {
      await expect(writer.close()).rejects.toBeInstanceOf(BatchClosedError);
    }
    await batch[Symbol.asyncDispose]();
    expect(await fixture.git('rev-parse', 'main')).toBe(fixture.main.commitHash);
  });

  it('is closed by its commit', async ({ main }) => {
    const batch = main.batch();
    await batch.write('a', bytes('1'));
    await batch.commit();
    await expectClosed(batch);
  });

  it('is closed by a commit that fails', async ({ main }) => {
    const batch = main.batch();
    await batch.write('a', bytes('1'));
    await main.write('b', bytes('2'));
    await expect(batch.commit()).rejects.toMatchObject({ code: 'STALE_SNAPSHOT' });
    expect([batch.closed, batch.fs]).toEqual([true, null]);
    await expectClosed(batch);
  });

  it('discards what is not committed when it goes out of scope', async ({ main, git, gitDir }) => {
    let left: Batch;
    {
      await using batch = main.batch();
      await batch.write('never', bigFile);
      left = batch;
    }
    await expectClosed(left);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
    const packs = await readdir(join(gitDir, 'objects', 'pack'));
    expect(packs.filter((name) => name.startsWith('tmp_'))).toEqual([]);
  });

  it('leaves one pack for many objects, and no temporary file', async (fixture) => {
    const { main, git, gitDir } = fixture;
    const before = await packFiles(gitDir);
    const batch = main.batch();
    await Promise.all(
      Array.from({ length: 500 }, (_, index) =>
        batch.write(`many/${index % 7}/${index}`, bytes(`content ${index}`)),
      ),
    );
    const fs = await batch.commit();
    const after = await packFiles(gitDir);
    expect(after.filter((name) => name.endsWith('.pack'))).toHaveLength(
      before.filter((name) => name.endsWith('.pack')).length + 1,
    );
    expect(after.filter((name) => name.startsWith('tmp_'))).toEqual([]);
    expect(await git('ls-tree', '-r', '--name-only', 'main:many')).toMatch(/^(?:\S+\n){499}\S+$/);
    expect(await libraryListing(fs)).toEqual(await gitListing(fixture, 'main'));
  });
});

async function expectClosed(batch: Batch): Promise<void> {
  const calls = [
    () => batch.write('x', bytes('')),
    () => batch.writeText('x', ''),
    () => batch.writeFromFile('x', '/dev/null'),
    () => batch.writeSymlink('x', 'y'),
    () => batch.writeBlob('x', '1'.repeat(40)),
    () => batch.writeTree('x', '1'.repeat(40)),
    () => batch.remove('x'),
    () => batch.commit(),
  ];
  for (const call of calls) await expect(call()).rejects.toBeInstanceOf(BatchClosedError);
  expect(() => batch.writer('x')).toThrow(BatchClosedError);
  await batch[Symbol.asyncDispose]();
}

function packFiles(gitDir: string): Promise<string[]> {
  return readdir(join(gitDir, 'objects', 'pack'));
}
