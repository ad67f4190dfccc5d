import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished, describe, expect, test } from 'vitest';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import { Repository } from '../../../../src/git/repository.ts';
import { RefWatcher } from '../../../../src/mount/branch/ref-watcher.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { git } from '../../../helpers/git.ts';
import { memoryLog } from '../helpers/fake-nodes.ts';
import { newRepository } from './branch-mount.ts';

async function watched() {
  const gitDir = await newRepository({ a: '1' }, ['other', 'feature/x']);
  const repository = await Repository.open(gitDir);
  const seen: string[][] = [];
  const { log, lines } = memoryLog();
  const state = { failure: undefined as Error | undefined };
  const watcher = new RefWatcher({
    commonDir: gitDir,
    disk: repository.disk,
    refs: repository.refs,
    log,
    onChange: (changed) => {
      if (state.failure !== undefined) return Promise.reject(state.failure);
      seen.push(changed.map((name) => name.replace('refs/', '')).sort());
      return Promise.resolve();
    },
  });
  onTestFinished(async () => {
    await watcher.stop();
    await repository.close();
  });
  await watcher.start();
  const run = async (...args: readonly string[]): Promise<string> =>
    (await git(['--git-dir', gitDir, ...args])).trim();
  const commit = async (ref: string): Promise<void> => {
    const oid = await run('commit-tree', '-m', `to ${ref} ${Math.random()}`, `${ref}^{tree}`);
    await run('update-ref', ref, oid);
  };
  return { watcher, seen, lines, state, run, commit };
}

describe('RefWatcher', () => {
  test('sees refs appear, move and go within a second, whoever did it', async () => {
    const { seen, run, commit } = await watched();
    const expectSeen = (...names: string[]): Promise<void> =>
      eventually(() => expect(seen.at(-1)).toEqual(names), 1000);
    await commit('refs/heads/main');
    await expectSeen('heads/main');
    await run('branch', 'feature/deep/er', 'main');
    await expectSeen('heads/feature/deep/er');
    await commit('refs/heads/feature/deep/er');
    await eventually(() => expect(seen).toHaveLength(3), 1000);
    await run('tag', 'v1', 'main');
    await expectSeen('tags/v1');
    await run('branch', '-D', 'feature/x', 'feature/deep/er');
    await expectSeen('heads/feature/deep/er', 'heads/feature/x');
    await run('pack-refs', '--all', '--prune');
    await sleep(600);
    expect(seen).toHaveLength(5);
    // Moves that only packed-refs tells of, and a branch that goes from there.
    await run('update-ref', '-d', 'refs/heads/other');
    await expectSeen('heads/other');
    await commit('refs/heads/main');
    await expectSeen('heads/main');
  });

  test('sees the last of many quick moves', async () => {
    const { seen, commit, run, watcher } = await watched();
    for (let round = 0; round < 15; round++) {
      await commit('refs/heads/main');
      if (round % 3 === 0) await watcher.look();
    }
    await run('branch', 'last', 'main');
    await eventually(() => expect(seen.flat()).toContain('heads/last'), 1000);
    const { length } = seen;
    await sleep(600);
    expect(seen).toHaveLength(length);
  });

  test('tells of a ref that somebody asks it to look at again, though it is what it was', async () => {
    const { seen, state, watcher } = await watched();
    const { length } = seen;
    state.failure = new Error('not now');
    watcher.lookAgain(parseRefName('refs/heads/main'));
    await expect(watcher.look()).rejects.toThrow('not now');
    state.failure = undefined;
    await watcher.look();
    await watcher.look();
    expect(seen.slice(length)).toEqual([['heads/main']]);
  });

  test('what could not be passed on is tried again, and told once', async () => {
    const { seen, lines, state, commit } = await watched();
    state.failure = new Error('not now');
    await commit('refs/heads/main');
    await sleep(1200);
    expect(seen).toEqual([]);
    expect(lines.filter((line) => line.includes('not now'))).toHaveLength(1);
    state.failure = undefined;
    await eventually(() => expect(seen).toEqual([['heads/main']]), 1500);
  });

  test('sees nothing after its end', async () => {
    const { watcher, seen, commit } = await watched();
    await watcher.stop();
    await commit('refs/heads/main');
    await sleep(500);
    expect(seen).toEqual([]);
  });
});
