import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { checkAcknowledged, lastOf, startWriter } from '../helpers/acknowledged-writers.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';
import type { Acknowledgement } from './crash-writers.ts';

const rounds = Number(process.env['VOST_CRASH_ROUNDS'] ?? 5);
const branches = ['main', 'main', 'main', 'topic/a', 'topic/b'];

async function tips(gitDir: string): Promise<string[]> {
  const refs = await git([
    '--git-dir',
    gitDir,
    'for-each-ref',
    '--format=%(refname) %(objectname)',
  ]);
  return refs.trim().split('\n');
}

/** Until all writers of a round had something acknowledged, in the slowest round. */
let slowestStartMs = 0;

async function crash(mounted: MountedRepository, round: number): Promise<Acknowledgement[]> {
  const started = branches.map((branch, index) =>
    startWriter(
      join(mounted.mountpoint, branch, `round-${round}-writer-${index}`),
      round * 10 + index + 1,
    ),
  );
  // All writers are at work before the clock runs.
  const startedMs = Date.now();
  while (started.some((writer) => writer.acknowledged.length < 3)) {
    if (Date.now() - startedMs > 20_000) {
      const counts = started.map(({ acknowledged }) => acknowledged.length).join(', ');
      throw new Error(`writers got ${counts} acknowledged in 20 s:\n${mounted.daemonLog()}`);
    }
    await sleep(20);
  }
  slowestStartMs = Math.max(slowestStartMs, Date.now() - startedMs);
  await sleep(100 + Math.random() * 900);
  await mounted.stop('SIGKILL');
  // A crashed mount ends a writer with these; anything else was wrong before the crash.
  await Promise.all(started.map((writer) => writer.kill(/ENOTCONN|ECONNABORTED/)));
  return started.flatMap(({ acknowledged }) => lastOf(acknowledged));
}

test(
  `kill -9 loses nothing that an fsync acknowledged, ${rounds} times over`,
  { timeout: 40_000 * rounds },
  async () => {
    const gitDir = join(await temporaryDirectory(), 'repo.git');
    let mounted = await mountRepository(gitDir);
    const { mountpoint } = mounted;
    await mounted.unmount();
    for (const branch of new Set(branches.slice(1))) {
      if (branch !== 'main') await git(['--git-dir', gitDir, 'branch', branch, 'main']);
    }
    let acknowledgements = 0;
    for (let round = 1; round <= rounds; round++) {
      mounted = await mountRepository(gitDir, { mountpoint });
      const before = await tips(gitDir);
      const acknowledged = await crash(mounted, round);
      expect(acknowledged.length).toBeGreaterThanOrEqual(branches.length * 2);
      acknowledgements += acknowledged.length;

      await fsck(gitDir);
      // The next mount takes the place of the dead one, with no step by hand.
      mounted = await mountRepository(gitDir, { mountpoint });
      await checkAcknowledged(acknowledged);
      for (const line of before) {
        const [ref, oid] = line.split(' ');
        await git(['--git-dir', gitDir, 'merge-base', '--is-ancestor', oid!, ref!]);
      }
      await mounted.unmount();
      await fsck(gitDir);
      const leftBehind = await program('find', [gitDir, '-name', '*.lock']);
      expect(leftBehind).toBe('');
    }
    console.log(
      `${rounds} rounds, ${acknowledgements} paths acknowledged; writers began within ${slowestStartMs} ms`,
    );
    mounted = await mountRepository(gitDir, { mountpoint });
    expect(await shownTree(gitDir, join(mountpoint, 'main'))).toEqual(
      await storedTree(gitDir, 'main'),
    );
    await mounted.unmount();
    expect((await readFile(join(gitDir, 'HEAD'))).toString()).toBe('ref: refs/heads/main\n');
  },
);
