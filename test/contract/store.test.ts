import * as nodeFs from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import * as vost from '../../src/index.ts';
import {
  FileNotFoundError,
  GitStore,
  GitStoreError,
  InvalidArgumentError,
  InvalidPathError,
  InvalidRefNameError,
  NotARepositoryError,
  StaleSnapshotError,
  UnsupportedRepositoryError,
} from '../../src/index.ts';
import { fsck, git } from '../helpers/git.ts';
import { bigFile, describeOnEveryRepository, expectBytes } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

async function newPath(): Promise<string> {
  return join(await temporaryDirectory(), 'new.git');
}

describe('opening a store', () => {
  test('needs a path', async () => {
    await expect(GitStore.open('')).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(GitStore.open('a\0b')).rejects.toBeInstanceOf(InvalidPathError);
    const path = await newPath();
    await expect(GitStore.open(path, { author: '\ud800' })).rejects.toBeInstanceOf(
      InvalidArgumentError,
    );
  });

  test('makes a repository with one empty commit', async () => {
    const path = await newPath();
    const store = await GitStore.open(path);
    const main = await store.branches.get('main');
    expect(await main.ls()).toEqual([]);
    expect(await main.getParent()).toBeNull();
    await store.close();
    await store.close();
    const run = (...args: string[]): Promise<string> => git(args, { cwd: path });
    expect(await run('log', '--format=%s|%an <%ae>', 'main')).toBe(
      'Initialize main|vost <vost@localhost>\n',
    );
    expect(await run('symbolic-ref', 'HEAD')).toBe('refs/heads/main\n');
    expect(await run('rev-parse', '--is-bare-repository')).toBe('true\n');
    expect(await run('config', 'core.logAllRefUpdates')).toBe('always\n');
    expect(await run('log', '-g', '--format=%gs', 'main')).toBe(
      'commit (initial): Initialize main\n',
    );
    await fsck(path);
    await git(['clone', '--quiet', path, join(path, '..', 'clone')]);
  });

  test('takes another branch, author and e-mail address', async () => {
    const path = await newPath();
    const store = await GitStore.open(path, { branch: 'trunk/x', author: 'Jö', email: 'j@x' });
    const fs = await (await store.branches.get('trunk/x')).write('a', Buffer.from('1'));
    expect(await fs.getAuthorName()).toBe('Jö');
    expect(await git(['log', '-1', '--format=%an <%ae> %cn', 'trunk/x'], { cwd: path })).toBe(
      'Jö <j@x> Jö\n',
    );
    expect(await store.branches.getCurrentName()).toBe('trunk/x');
    await store.close();
    await fsck(path);
  });

  test('can begin without a branch', async () => {
    const path = await newPath();
    const store = await GitStore.open(path, { branch: null });
    expect(await store.branches.list()).toEqual([]);
    expect(await store.branches.getCurrent()).toBeNull();
    await store.close();
    await fsck(path);
  });

  test('finds the repository that is there, and leaves it as it is', async () => {
    const path = await newPath();
    const first = await GitStore.open(path);
    const fs = await (await first.branches.get('main')).write('a', Buffer.from('1'));
    await first.close();
    const config = await readFile(join(path, 'config'), 'utf8');
    for (const options of [{}, { create: false }, { branch: 'other' }, { branch: null }]) {
      const store = await GitStore.open(path, options);
      expect(await store.branches.list()).toEqual(['main']);
      expect((await store.branches.get('main')).commitHash).toBe(fs.commitHash);
      await store.close();
    }
    expect(await readFile(join(path, 'config'), 'utf8')).toBe(config);
  });

  test('opens the repository of a worktree', async () => {
    const path = await temporaryDirectory();
    await git(['init', '--quiet', path]);
    await git(['commit', '--quiet', '--allow-empty', '-m', 'first'], { cwd: path });
    const store = await GitStore.open(path, { create: false });
    const fs = await (await store.branches.get('main')).write('a', Buffer.from('1'));
    expect(await git(['show', 'main:a'], { cwd: path })).toBe('1');
    expect(fs.writable).toBe(true);
    await store.close();
    await fsck(join(path, '.git'));
  });

  test('makes nothing when told so', async () => {
    const path = await newPath();
    await expect(GitStore.open(path, { create: false })).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('refuses a directory of something else', async () => {
    const path = await temporaryDirectory();
    await writeFile(join(path, 'file'), '');
    await expect(GitStore.open(path)).rejects.toBeInstanceOf(NotARepositoryError);
    await expect(GitStore.open(join(path, 'file'))).rejects.toBeInstanceOf(GitStoreError);
    const empty = join(path, 'empty');
    await mkdir(empty);
    await (await GitStore.open(empty)).close();
    await fsck(empty);
  });

  test('refuses formats that it cannot read', async () => {
    const path = await newPath();
    await git(['init', '--quiet', '--bare', path]);
    await git(['config', 'core.repositoryFormatVersion', '1'], { cwd: path });
    await git(['config', 'extensions.refStorage', 'reftable'], { cwd: path });
    await expect(GitStore.open(path)).rejects.toBeInstanceOf(UnsupportedRepositoryError);
    await expect(GitStore.open(path)).rejects.toThrow('reftable');
  });

  test('refuses arguments that would fail later', async () => {
    const path = await newPath();
    await expect(GitStore.open(path, { branch: 'a b' })).rejects.toBeInstanceOf(
      InvalidRefNameError,
    );
    const invalid = [
      { author: 'a\nb' },
      { email: '<>' },
      { compression: 10 },
      { compression: 0.5 },
      { bigFileThreshold: -1 },
      { fs: { promises: { open: () => undefined } } },
    ];
    for (const options of invalid) {
      await expect(GitStore.open(path, options)).rejects.toBeInstanceOf(InvalidArgumentError);
    }
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    for (const fs of [nodeFs, nodeFs.promises]) await (await GitStore.open(path, { fs })).close();
  });

  test('made by several at once is made once', async () => {
    const path = await newPath();
    const stores = await Promise.all(Array.from({ length: 6 }, () => GitStore.open(path)));
    const tips = await Promise.all(stores.map(({ branches }) => branches.get('main')));
    expect(new Set(tips.map(({ commitHash }) => commitHash)).size).toBe(1);
    for (const store of stores) await store.close();
    await fsck(path);
  });

  test('works with SHA-256 repositories', async () => {
    const path = await newPath();
    await git(['init', '--quiet', '--bare', '--object-format=sha256', path]);
    const store = await GitStore.open(path);
    expect(await store.branches.list()).toEqual([]);
    await git(['fast-import', '--quiet'], {
      cwd: path,
      input:
        'commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\nM 644 inline f\ndata 1\ny\n',
    });
    let fs = await store.branches.get('main');
    fs = await fs.apply({ 'd/g': 'text', f: 'changed' });
    await store.notes.commits.set(fs, 'note');
    expect(fs.commitHash).toHaveLength(64);
    expect(await git(['show', 'main:f'], { cwd: path })).toBe('changed');
    expect(await git(['notes', 'show', 'main'], { cwd: path })).toBe('note');
    expect((await store.fs(fs.commitHash.slice(0, 8))).treeHash).toBe(fs.treeHash);
    await store.close();
    await fsck(path);
  });

  test('compresses as it is told, or as the repository says', async () => {
    const path = await newPath();
    const sizeWith = async (options: { compression?: number }): Promise<number> => {
      const store = await GitStore.open(path, options);
      const name = `file${String(options.compression)}`;
      const content = Buffer.concat([Buffer.from(name), bigFile]);
      const fs = await (await store.branches.get('main')).write(name, content);
      const hash = await fs.objectHash(name);
      expectBytes(await fs.read(name), content);
      await store.close();
      return (await stat(join(path, 'objects', hash.slice(0, 2), hash.slice(2)))).size;
    };
    expect(await sizeWith({ compression: 0 })).toBeGreaterThan(bigFile.length);
    expect(await sizeWith({ compression: 9 })).toBeLessThan(bigFile.length / 3);
    await git(['config', 'core.compression', '0'], { cwd: path });
    expect(await sizeWith({})).toBeGreaterThan(bigFile.length);
    await fsck(path);
  });
});

describeOnEveryRepository('retryWrite', (it) => {
  it('writes on whatever the branch is at', async ({ main, reopen, git }) => {
    const before = Number(await git('rev-list', '--count', 'main'));
    const stores = await Promise.all(Array.from({ length: 4 }, reopen));
    await Promise.all(
      stores.flatMap((store, writer) =>
        Array.from({ length: 5 }, (_, index) =>
          vost.retryWrite(
            store,
            'main',
            `w/${writer}/${index}`,
            Buffer.from(`${writer} ${index}`),
            {
              retries: 100,
            },
          ),
        ),
      ),
    );
    const tip = await stores[0]!.branches.get('main');
    expect(await tip.glob('w/*/*')).toHaveLength(20);
    expect(await git('rev-list', '--count', 'main')).toBe(String(before + 20));
    expect(await git('merge-base', 'main', main.commitHash)).toBe(main.commitHash);
  });

  it('gives up after its retries', async ({ store }) => {
    const data = Buffer.from('x');
    let attempts = 0;
    const busy = {
      branches: {
        get: async () => {
          attempts += 1;
          const fs = await store.branches.get('main');
          await fs.write('other', Buffer.from(String(attempts)));
          return fs;
        },
      },
    } as unknown as GitStore;
    const write = vost.retryWrite(busy, 'main', 'a', data, { retries: 3 });
    await expect(write).rejects.toBeInstanceOf(StaleSnapshotError);
    expect(attempts).toBe(4);
  });

  it('waits for who has locked the branch, and not for ever', async ({ store, gitDir, git }) => {
    const lock = join(gitDir, 'refs/heads/main.lock');
    await mkdir(dirname(lock), { recursive: true });
    await writeFile(lock, '');
    const data = Buffer.from('x');
    await expect(vost.retryWrite(store, 'main', 'a', data, { retries: 1 })).rejects.toBeInstanceOf(
      vost.RefLockedError,
    );
    const write = vost.retryWrite(store, 'main', 'a', data, { retries: 1000 });
    await Promise.all([write, pause(1000).then(() => rm(lock))]);
    expect(await git('show', 'main:a')).toBe('x');
  });

  it('takes the options of a write, and only branches', async ({ store, main, git }) => {
    const data = Buffer.from('x');
    for (const name of ['none', 'v1', main.commitHash]) {
      const write = vost.retryWrite(store, name, 'a', data);
      await expect(write).rejects.toBeInstanceOf(vost.KeyNotFoundError);
    }
    const fs = await vost.retryWrite(store, 'main', 'a', data, {
      message: 'told',
      mode: vost.FileType.EXECUTABLE,
      parents: [await store.fs('feature/x')],
    });
    expect([await fs.getMessage(), await fs.fileType('a')]).toEqual(['told', 'executable']);
    expect(await git('rev-parse', 'main^2')).toBe(await git('rev-parse', 'feature/x'));
  });
});

describe('the package', () => {
  test('throws errors of one family, with codes', () => {
    const codes = {
      FileNotFoundError: 'ENOENT',
      IsADirectoryError: 'EISDIR',
      NotADirectoryError: 'ENOTDIR',
      PermissionError: 'EPERM',
    };
    for (const [name, code] of Object.entries(codes)) {
      const kind = vost[name as keyof typeof codes];
      const error = new kind('message', { path: 'p' });
      expect(error).toBeInstanceOf(GitStoreError);
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ code, name, path: 'p', message: 'message' });
    }
  });
});
