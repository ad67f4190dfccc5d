import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  FileNotFoundError,
  InvalidConfigError,
  NotARepositoryError,
  UnsupportedRepositoryError,
} from '../../../src/errors.ts';
import { headRef, parseRefName } from '../../../src/git/refs/ref-name.ts';
import {
  Repository,
  type CreationOptions,
  type RepositoryOptions,
} from '../../../src/git/repository.ts';
import { fsck, git } from '../../helpers/git.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

const main = parseRefName('refs/heads/main');

// Opens, looks with `look`, and closes.
async function opened<T>(path: string, look: (repository: Repository) => T): Promise<Awaited<T>> {
  const repository = await Repository.open(path);
  try {
    return await look(repository);
  } finally {
    await repository.close();
  }
}

async function created(path: string, options: Partial<CreationOptions> = {}): Promise<void> {
  await (await Repository.create(path, { initialBranch: null, ...options })).close();
}

test('new objects are compressed as is told, as is configured, or by a default', async () => {
  const path = join(await temporaryDirectory(), 'repo.git');
  await created(path);
  // FLEVEL of RFC 1950: 0 for the level 1, 2 for 6, 3 for 9.
  const flevel = async (options: RepositoryOptions): Promise<number> => {
    const repository = await Repository.open(path, options);
    const data = Buffer.from(
      `${JSON.stringify(options)} ${await readFile(join(path, 'config'), 'utf8')}`,
    );
    const oid = await repository.odb.write('blob', data);
    await repository.close();
    const stored = await readFile(join(path, 'objects', oid.slice(0, 2), oid.slice(2)));
    return stored[1]! >> 6;
  };
  expect(await flevel({})).toBe(2);
  expect(await flevel({ defaultCompressionLevel: 1 })).toBe(0);
  expect(await flevel({ defaultCompressionLevel: 1, compressionLevel: 6 })).toBe(2);
  await git(['-C', path, 'config', 'core.compression', '9']);
  expect(await flevel({ defaultCompressionLevel: 1 })).toBe(3);
  await git(['-C', path, 'config', 'core.looseCompression', '-1']);
  expect(await flevel({ defaultCompressionLevel: 1 })).toBe(2);
  await fsck(path);
});

describe('open', () => {
  test('a bare repository, a worktree, its .git, and linked worktrees', async () => {
    const directory = await temporaryDirectory();
    const at = (...names: string[]): string => join(directory, ...names);
    await git(['init', '-q', '--bare', at('bare.git')]);
    await git(['init', '-q', at('work')]);
    await git(['-C', at('work'), 'commit', '-q', '--allow-empty', '-m', 'first']);
    const oid = (await git(['-C', at('work'), 'rev-parse', 'HEAD'])).trim();
    await git(['-C', at('work'), 'worktree', 'add', '-q', '-b', 'side', at('linked')]);
    await git(['init', '-q', '--separate-git-dir', at('apart'), at('with-file')]);
    await symlink('work', at('by-symlink'));
    const places = async (path: string): Promise<unknown> =>
      opened(at(path), ({ gitDir, commonDir, isBare }) => [gitDir, commonDir, isBare]);
    expect(await places('bare.git')).toEqual([at('bare.git'), at('bare.git'), true]);
    expect(await places('work')).toEqual([at('work/.git'), at('work/.git'), false]);
    expect(await places('work/.git')).toEqual([at('work/.git'), at('work/.git'), false]);
    expect(await places('by-symlink')).toEqual([
      at('by-symlink/.git'),
      at('by-symlink/.git'),
      false,
    ]);
    expect(await places('with-file')).toEqual([at('apart'), at('apart'), false]);
    expect(await places('with-file/.git')).toEqual([at('apart'), at('apart'), false]);
    const linked = at('work/.git/worktrees/linked');
    expect(await places('linked')).toEqual([linked, at('work/.git'), false]);
    await opened(at('linked'), async ({ refs, algorithm }) => {
      expect(algorithm).toBe('sha1');
      expect(await refs.resolve(headRef)).toEqual({ name: 'refs/heads/side', oid });
      expect(await refs.resolve(main)).toEqual({ name: main, oid });
      expect((await refs.list('refs/')).map(({ name }) => name)).toEqual([main, 'refs/heads/side']);
      const identity = { name: 'A', email: 'a@example.com' };
      const update = { name: headRef, oid: null, message: 'gone', identity };
      await refs.update(update);
      expect((await refs.reflog(headRef)).at(-1)).toMatchObject({ oldOid: oid, message: 'gone' });
    });
    expect(await git(['-C', at('work'), 'for-each-ref', '--format=%(refname)'])).toBe(`${main}\n`);
  });

  test('what is no repository is told from what is not there', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'file'), 'content');
    await writeFile(join(directory, 'leads'), 'gitdir: nowhere\n');
    for (const path of ['nothing', 'file/below']) {
      await expect(Repository.open(join(directory, path))).rejects.toThrow(FileNotFoundError);
    }
    for (const [path, why] of [
      ['.', 'it holds no HEAD'],
      ['file', 'does not say where one is'],
      ['leads', 'and it holds no HEAD'],
    ] as const) {
      const open = Repository.open(join(directory, path));
      await expect(open).rejects.toThrow(NotARepositoryError);
      await expect(open).rejects.toThrow(why);
    }
    await created(join(directory, 'torn'));
    await writeFile(join(directory, 'torn/HEAD'), '');
    await expect(Repository.open(join(directory, 'torn'))).rejects.toThrow('neither');
    await expect(created(join(directory, 'torn'))).rejects.toThrow('it holds "HEAD"');
  });

  test.each([
    ['version = 2', 'version 2'],
    ['version = 1\n[extensions] refStorage = reftable', 'refs are stored as "reftable"'],
    ['version = 1\n[extensions] partialClone = origin', 'partial clone (of "origin")'],
    ['version = 1\n[extensions] objectFormat = md5', 'object format "md5"'],
    ['version = 1\n[extensions] surprise = 1', 'extension surprise is not known'],
    ['version = 0\n[extensions] objectFormat = sha256', 'needs format version 1'],
    ['version = 0\n[extensions] partialClone = origin', 'partial clone'],
    ['version = 0\n[remote "origin"] promisor = true', 'partial clone (of "origin")'],
  ])('%j is refused, and the reason is named', async (text, why) => {
    const path = await temporaryDirectory();
    await created(path);
    await writeFile(join(path, 'config'), `[core] repositoryFormat${text}\n`);
    const open = Repository.open(path);
    await expect(open).rejects.toThrow(UnsupportedRepositoryError);
    await expect(open).rejects.toThrow(why);
  });

  test('extensions that change nothing, and unknown ones where they mean nothing, are fine', async () => {
    const path = await temporaryDirectory();
    await created(path);
    const harmless = 'noop\npreciousObjects = true\nworktreeConfig\nrefStorage = files\n';
    await writeFile(
      join(path, 'config'),
      `[core] repositoryFormatVersion = 1\n[extensions]\n${harmless}`,
    );
    await opened(path, ({ algorithm }) => expect(algorithm).toBe('sha1'));
    await writeFile(join(path, 'config'), `[extensions] surprise = 1\n`);
    await opened(path, ({ algorithm }) => expect(algorithm).toBe('sha1'));
    await git(['--git-dir', path, 'rev-parse', '--git-dir']);
  });

  test('the configuration speaks, and a damaged one is named', async () => {
    const path = await temporaryDirectory();
    await created(path);
    await writeFile(join(path, 'config'), '[user] name = U\nemail = u@example.com\n[core] bare');
    await opened(path, ({ configuredIdentity, isBare }) => {
      expect(configuredIdentity).toEqual({ name: 'U', email: 'u@example.com' });
      expect(isBare).toBe(true);
    });
    for (const text of ['[core', '[core] compression = 10', '[core] logAllRefUpdates = perhaps']) {
      await writeFile(join(path, 'config'), text);
      await expect(Repository.open(path), text).rejects.toThrow(InvalidConfigError);
    }
  });
});

describe('create', () => {
  test.each(['sha1', 'sha256'] as const)('git takes it for its own: %s', async (algorithm) => {
    const path = join(await temporaryDirectory(), 'deep', 'repo.git');
    await created(path, { initialBranch: 'trunk', algorithm });
    const run = (...args: string[]): Promise<string> => git(['--git-dir', path, ...args]);
    expect(await run('symbolic-ref', 'HEAD')).toBe('refs/heads/trunk\n');
    expect(await run('rev-parse', '--is-bare-repository')).toBe('true\n');
    expect(await run('rev-parse', '--show-object-format')).toBe(`${algorithm}\n`);
    const tree = (await run('mktree')).trim();
    const commit = (await run('commit-tree', tree, '-m', 'first')).trim();
    await run('update-ref', '-m', 'by git', 'refs/vost/deleted/x', commit);
    await opened(path, async (repository) => {
      expect(repository.algorithm).toBe(algorithm);
      const name = parseRefName('refs/vost/deleted/x');
      expect(await repository.refs.read(name)).toEqual({ kind: 'oid', oid: commit });
      expect(await repository.refs.reflog(name)).toMatchObject([{ message: 'by git' }]);
    });
    expect((await readdir(path)).sort()).toEqual(['HEAD', 'config', 'logs', 'objects', 'refs']);
    await fsck(path);
  });

  test('an empty directory is filled, another one is left alone, a repository is opened', async () => {
    const path = await temporaryDirectory();
    await mkdir(join(path, 'lost+found'));
    await created(path);
    await created(path, { algorithm: 'sha256', initialBranch: 'other' });
    expect(await git(['--git-dir', path, 'symbolic-ref', 'HEAD'])).toBe('refs/heads/main\n');
    const full = await temporaryDirectory();
    await writeFile(join(full, 'notes.txt'), '');
    await expect(created(full)).rejects.toThrow('it holds "notes.txt"; name an empty or a new');
    expect(await readdir(full)).toEqual(['notes.txt']);
    await expect(created(join(full, 'notes.txt'))).rejects.toThrow(NotARepositoryError);
    await expect(created(join(full, 'x'), { initialBranch: 'a..b' })).rejects.toThrow('..');
    expect(await readdir(full)).toEqual(['notes.txt']);
  });

  test('one that was cut off is no repository, and is completed', async () => {
    const path = join(await temporaryDirectory(), 'repo');
    const identity = { name: 'A', email: 'a@example.com' };
    const steps: string[] = [];
    const populate = async ({ odb, refs }: Repository): Promise<void> => {
      const oid = await odb.write('blob', Buffer.from('content'));
      await refs.update({ name: parseRefName('refs/notes/x'), oid, message: '', identity });
      steps.push('populated');
      if (steps.length === 1) throw new Error('cut off');
    };
    await expect(created(path, { populate })).rejects.toThrow('cut off');
    await writeFile(join(path, 'HEAD.0123456789ab.tmp'), 'ref: ');
    await expect(Repository.open(path)).rejects.toThrow(NotARepositoryError);
    await created(path, { populate });
    await created(path, { populate });
    expect(steps).toEqual(['populated', 'populated']);
    await rm(join(path, 'HEAD.0123456789ab.tmp'));
    await fsck(path);
  });

  test('several at once make one', async () => {
    const path = join(await temporaryDirectory(), 'repo');
    const all = (['sha1', 'sha256', 'sha256', 'sha1'] as const).map((algorithm, index) =>
      Repository.create(path, { algorithm, initialBranch: `b${index}` }),
    );
    const repositories = await Promise.all(all);
    const format = (await git(['--git-dir', path, 'rev-parse', '--show-object-format'])).trim();
    for (const repository of repositories) {
      expect(repository.algorithm).toBe(format);
      await repository.close();
    }
    expect((await readdir(path)).sort()).toEqual(['HEAD', 'config', 'objects', 'refs']);
    await fsck(path);
  });
});
