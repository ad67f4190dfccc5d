import { constants } from 'node:fs';
import { onTestFinished, describe, expect, test, vi } from 'vitest';
import { Repository } from '../../../src/git/repository.ts';
import { Namespace } from '../../../src/mount/namespace/namespace.ts';
import { Metrics } from '../../../src/mount/observe/metrics.ts';
import { serveRepository } from '../../../src/mount/served-branches.ts';
import type { ServedTree } from '../../../src/mount/serve-tree.ts';
import type { DirectoryVnode } from '../../../src/mount/vfs/vnode.ts';
import { eventually } from '../../helpers/eventually.ts';
import { git } from '../../helpers/git.ts';
import { newRepository } from './branch/branch-mount.ts';
import { MemoryNotifier, caller, memoryLog, name, newContext } from './helpers/fake-nodes.ts';

test('a branch that comes and goes while the names are read is shown as it is at last', async () => {
  const gitDir = await newRepository({ a: '1' }, ['goes']);
  const repository = await Repository.open(gitDir);
  const open = Namespace.open.bind(Namespace);
  vi.spyOn(Namespace, 'open').mockImplementationOnce(async (options) => {
    const namespace = await open(options);
    await git(['--git-dir', gitDir, 'branch', 'comes', 'main']);
    await git(['--git-dir', gitDir, 'branch', '-D', 'goes']);
    return namespace;
  });
  const served = await serve(repository);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(await served.root.lookup(name('comes'))).not.toBeNull();
  expect(await served.root.lookup(name('goes'))).toBeNull();
});

async function serve(repository: Repository): Promise<ServedTree> {
  const served = await serveRepository({
    ...{ repository, options: {}, readOnly: false, context: newContext() },
    identity: { name: 'tester', email: 'tester@example.com' },
    ...{ notifier: new MemoryNotifier(), log: memoryLog().log, metrics: new Metrics() },
    status: () => {
      throw new Error('nobody asks for it');
    },
  });
  onTestFinished(async () => {
    await served.close();
    await repository.close();
  });
  return served;
}

describe('what others put back at once to what it was before the mount changed it', () => {
  async function served() {
    const gitDir = await newRepository({ a: '1' }, ['other']);
    const tree = await serve(await Repository.open(gitDir));
    const run = async (...args: string[]): Promise<string> =>
      (await git(['--git-dir', gitDir, ...args])).trim();
    const branch = async (text: string): Promise<DirectoryVnode | null> =>
      (await tree.root.lookup(name(text))) as DirectoryVnode | null;
    return { tree, root: tree.root, run, branch };
  }

  test('is shown: a branch of the name that another one had', async () => {
    const { root, run, branch } = await served();
    await root.rename(name('other'), root, name('moved'), 0);
    await run('branch', 'other', 'moved');
    await eventually(async () => expect(await branch('other')).not.toBeNull(), 2000);
    expect(await branch('moved')).not.toBe(await branch('other'));
  });

  test('is shown: a new branch that is gone', async () => {
    const { root, run, branch } = await served();
    await root.mkdir(name('new'), 0o755, caller);
    await run('update-ref', '-d', 'refs/heads/new');
    await eventually(async () => expect(await branch('new')).toBeNull(), 2000);
  });

  test('is shown: a branch without the last commit', async () => {
    const { tree, run, branch } = await served();
    const before = await run('rev-parse', 'main');
    const main = (await branch('main'))!;
    const { handle } = await main.create(name('file'), 0o644, constants.O_WRONLY, caller);
    await handle.write(0, Buffer.from('text'));
    await handle.flush();
    await handle.release();
    await tree.sync();
    await run('update-ref', 'refs/heads/main', before);
    expect(await run('rev-parse', 'main@{1}~1')).toBe(before);
    await eventually(async () => expect(await main.lookup(name('file'))).toBeNull(), 2000);
  });
});
