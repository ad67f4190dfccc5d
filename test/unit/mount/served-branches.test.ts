import { onTestFinished, expect, test, vi } from 'vitest';
import { Repository } from '../../../src/git/repository.ts';
import { Namespace } from '../../../src/mount/namespace/namespace.ts';
import { Metrics } from '../../../src/mount/observe/metrics.ts';
import { serveRepository } from '../../../src/mount/served-branches.ts';
import { git } from '../../helpers/git.ts';
import { newRepository } from './branch/branch-mount.ts';
import { MemoryNotifier, memoryLog, name, newContext } from './helpers/fake-nodes.ts';

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
  const served = await serveRepository({
    ...{ repository, options: {}, readOnly: false, context: newContext() },
    identity: { name: 'tester', email: 'tester@example.com' },
    ...{ notifier: new MemoryNotifier(), log: memoryLog().log, metrics: new Metrics() },
    status: () => {
      throw new Error('nobody asks for it');
    },
  });
  onTestFinished(async () => {
    vi.restoreAllMocks();
    await served.close();
    await repository.close();
  });
  expect(await served.root.lookup(name('comes'))).not.toBeNull();
  expect(await served.root.lookup(name('goes'))).toBeNull();
});
