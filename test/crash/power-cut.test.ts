import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  checkAcknowledged,
  lastOf,
  startStoreWriter,
  startWriter,
} from '../helpers/acknowledged-writers.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git, gitResult } from '../helpers/git.ts';
import { mountRepository, vostMount } from '../helpers/mount.ts';
import { program, shell } from '../helpers/program.ts';
import { recordedDisk } from '../helpers/recorded-disk.ts';
import type { Loss, RecordedDisk } from '../helpers/recorded-disk.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import type { Acknowledgement } from './crash-writers.ts';
import type { RefAcknowledgement } from './store-writer.ts';

// VOST_POWER_FORMAT='mkfs.xfs -q -f' (or mkfs.btrfs) with VOST_POWER_MIB=320 tries another filesystem.
const format = (process.env['VOST_POWER_FORMAT'] ?? 'mkfs.ext4 -q -F').split(' ');
const diskBytes = Number(process.env['VOST_POWER_MIB'] ?? 96) * 2 ** 20;
const cuts = Number(process.env['VOST_POWER_CUTS'] ?? 3);
const seed = Number(process.env['VOST_POWER_SEED'] ?? Date.now() % 1_000_000);
const losses: readonly Loss[] = ['some', 'everything', 'nothing'];
const timeout = 60_000 + 20_000 * cuts;
const workMs = 2000;

function parsed<T>(said: string): T[] {
  const lines = said.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as T);
}

interface Scene<T> {
  readonly disk: RecordedDisk;
  readonly gitDir: string;
  readonly mountpoint: string;
  /** Of the mounts. */
  readonly args: readonly string[];
  /** Whether those who write mark their locks, so that the next mount takes them away. */
  readonly marksLocks: boolean;
  /** Has everything at work, and ends when that is done. */
  readonly work: () => Promise<void>;
  /** Finds what was acknowledged before the power was cut. */
  readonly check: (acknowledged: readonly T[]) => Promise<void>;
}

/** Looks at the disk as it was left by power cuts at moments of the work. */
async function cutPower<T>(scene: Scene<T>): Promise<void> {
  const { disk, gitDir, mountpoint, args, marksLocks, work, check } = scene;
  const random = seededRandom(seed);
  // Git does not sync a ref.
  await program('sync', ['-f', disk.directory]);
  const start = disk.record().length;
  await work();
  const record = disk.record();
  await disk.unmount();
  await disk.end();
  for (let cut = 0; cut < cuts; cut++) {
    const at = start + Math.floor(random() * (record.length - start));
    const loss = losses[cut % losses.length]!;
    const acknowledged = parsed<T>(record.said(at));
    console.log(
      `before step ${at} of ${record.length}, ${loss} lost, ${acknowledged.length} acknowledged`,
    );
    await disk.mountCopy(record.contentAt(at, loss, random));
    await fsck(gitDir);
    // With no step by hand.
    const mounted = await mountRepository(gitDir, { mountpoint, args });
    await check(acknowledged);
    await shell('echo after > after', { cwd: join(mountpoint, 'main') });
    expect(await vostMount(['commit', mountpoint])).toMatchObject({ exitCode: 0 });
    await mounted.unmount();
    await fsck(gitDir);
    expect(await git(['--git-dir', gitDir, 'show', 'main:after'])).toBe('after\n');
    if (marksLocks) expect(await program('find', [gitDir, '-name', '*.lock'])).toBe('');
    await disk.unmount();
  }
}

async function freshScene(): Promise<
  Pick<Scene<unknown>, 'disk' | 'gitDir' | 'mountpoint' | 'args'>
> {
  const disk = await recordedDisk(diskBytes, format);
  const gitDir = join(disk.directory, 'repo.git');
  const mounted = await mountRepository(gitDir);
  await mounted.unmount();
  return { disk, gitDir, mountpoint: mounted.mountpoint, args: [] };
}

test.each(['close', 'manual'])(
  `what an fsync acknowledged is there after the power was cut, ${cuts} times over (%s, seed ${seed})`,
  { timeout },
  async (policy) => {
    const args = ['--commit-on', policy];
    const scene = await freshScene();
    const { disk, gitDir, mountpoint } = scene;
    await git(['--git-dir', gitDir, 'branch', 'topic/a', 'main']);
    const branches = ['main', 'main', 'topic/a'];
    const work = async (): Promise<void> => {
      const mounted = await mountRepository(gitDir, { mountpoint, args });
      try {
        const writers = branches.map((branch, index) =>
          startWriter(join(mountpoint, branch, `writer-${index}`), index + 1, disk.sayHere),
        );
        await eventually(() => {
          const paths = parsed<Acknowledgement>(disk.said()).map(({ path }) => path);
          for (const index of branches.keys()) {
            const its = paths.filter((path) => path.includes(`/writer-${index}/`));
            expect(its.length).toBeGreaterThan(5);
          }
        }, 20_000);
        await sleep(workMs);
        for (const writer of writers) await writer.finish();
      } finally {
        await mounted.stop('SIGKILL');
      }
    };
    const check = (acknowledged: readonly Acknowledgement[]): Promise<void> =>
      checkAcknowledged(lastOf(acknowledged));
    await cutPower({ ...scene, args, marksLocks: true, work, check });
  },
);

test(
  `what the library has done is there after the power was cut, ${cuts} times over (seed ${seed})`,
  { timeout },
  async () => {
    const scene = await freshScene();
    const { disk, gitDir } = scene;
    await git(['--git-dir', gitDir, 'branch', 'single', 'main']);
    const work = async (): Promise<void> => {
      const writer = startStoreWriter(gitDir, disk.sayHere);
      await eventually(() => expect(disk.said()).toContain('"refs/heads/large"'), 30_000);
      await sleep(workMs);
      await writer.finish();
    };
    const check = async (acknowledged: readonly RefAcknowledgement[]): Promise<void> => {
      const last = new Map(acknowledged.map((each) => [`${each.gitDir} ${each.ref}`, each]));
      for (const { gitDir: where, ref, commit } of last.values()) {
        if (commit === undefined) continue;
        if (where !== gitDir) await fsck(where);
        const args =
          commit === null
            ? ['show-ref', '--verify', '-q', ref]
            : ['merge-base', '--is-ancestor', commit, ref];
        const { exitCode } = await gitResult(['--git-dir', where, ...args]);
        expect({ ref, exitCode }).toEqual({ ref, exitCode: commit === null ? 1 : 0 });
      }
    };
    await cutPower({ ...scene, marksLocks: false, work, check });
  },
);
