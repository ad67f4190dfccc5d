import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { checkAcknowledged, lastOf, startWriter } from '../helpers/acknowledged-writers.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import { program, shell } from '../helpers/program.ts';
import { recordedDisk } from '../helpers/recorded-disk.ts';
import type { Loss, RecordedDisk } from '../helpers/recorded-disk.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import type { Acknowledgement } from './crash-writers.ts';

const cuts = Number(process.env['VOST_POWER_CUTS'] ?? 6);
const seed = Number(process.env['VOST_POWER_SEED'] ?? Date.now() % 1_000_000);
const format = (process.env['VOST_POWER_FORMAT'] ?? 'mkfs.ext4 -q -F').split(' ');
const diskBytes = Number(process.env['VOST_POWER_MIB'] ?? 64) * 2 ** 20;
const losses: readonly Loss[] = ['some', 'everything', 'nothing'];
const branches = ['main', 'main', 'topic/a'];

function acknowledgementsIn(said: string): Acknowledgement[] {
  const lines = said.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Acknowledgement);
}

/** Writers are at work in a mount of a repository on the disk, for so long. */
async function write(disk: RecordedDisk, gitDir: string, mountpoint: string): Promise<void> {
  const mounted = await mountRepository(gitDir, { mountpoint });
  try {
    const writers = branches.map((branch, index) =>
      startWriter(join(mountpoint, branch, `writer-${index}`), index + 1, disk.sayHere),
    );
    await eventually(() => {
      const paths = acknowledgementsIn(disk.said()).map(({ path }) => path);
      for (const index of branches.keys()) {
        expect(paths.filter((path) => path.includes(`/writer-${index}/`)).length).toBeGreaterThan(
          5,
        );
      }
    }, 20_000);
    await sleep(1500);
    for (const writer of writers) await writer.finish();
  } finally {
    await mounted.stop('SIGKILL');
  }
}

test(
  `what an fsync acknowledged is there after the power was cut, ${cuts} times over (seed ${seed})`,
  { timeout: 60_000 + 20_000 * cuts },
  async () => {
    const random = seededRandom(seed);
    const disk = await recordedDisk(diskBytes, format);
    const gitDir = join(disk.directory, 'repo.git');
    const first = await mountRepository(gitDir);
    const { mountpoint } = first;
    await first.unmount();
    await git(['--git-dir', gitDir, 'branch', 'topic/a', 'main']);
    // Git does not sync a ref.
    await program('sync', ['-f', disk.directory]);
    const start = disk.record().length;
    await write(disk, gitDir, mountpoint);
    const record = disk.record();
    await disk.unmount();
    await disk.end();

    for (let cut = 0; cut < cuts; cut++) {
      const at = start + Math.floor(random() * (record.length - start));
      const loss = losses[cut % losses.length]!;
      const acknowledged = lastOf(acknowledgementsIn(record.said(at)));
      console.log(
        `cut ${cut}: step ${at} of ${record.length}, ${loss} lost, ${acknowledged.length} paths`,
      );
      await disk.mountCopy(record.contentAt(at, loss, random));
      await fsck(gitDir);
      // With no step by hand.
      const mounted = await mountRepository(gitDir, { mountpoint });
      await checkAcknowledged(acknowledged);
      await shell('echo after > after; sync after', { cwd: join(mountpoint, 'main') });
      await mounted.unmount();
      await fsck(gitDir);
      expect(await git(['--git-dir', gitDir, 'show', 'main:after'])).toBe('after\n');
      expect(await program('find', [gitDir, '-name', '*.lock'])).toBe('');
      await disk.unmount();
    }
  },
);
