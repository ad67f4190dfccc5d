import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import { freshMountpoint, mountRepository, vostMount } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const write = (mount: MountedRepository, name: string): Promise<string> =>
  shell(`echo ${name} > ${name}; sync ${name}`, { cwd: join(mount.mountpoint, 'main') });
const list = (mount: MountedRepository): Promise<string> =>
  shell('ls', { cwd: join(mount.mountpoint, 'main') });

test('two daemons with the policy manual keep their changes apart, whoever is killed', async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  const args = ['--commit-on', 'manual'];
  const mountpoint = await freshMountpoint();
  const killed = await mountRepository(gitDir, { args, mountpoint });
  await write(killed, 'one');
  const other = await mountRepository(gitDir, { args });
  await write(other, 'two');
  expect(await list(other)).toBe('two\n');

  await killed.stop('SIGKILL');
  const again = await mountRepository(gitDir, { args, mountpoint });
  expect(await list(again)).toBe('one\n');
  expect(await list(other)).toBe('two\n');

  // Nothing was committed so far, and both can be.
  expect(await git(['--git-dir', gitDir, 'ls-tree', 'main'])).toBe('');
  for (const { mountpoint: at } of [again, other]) {
    expect((await vostMount(['commit', at, '-m', 'by hand'])).exitCode).toBe(0);
  }
  expect(await git(['--git-dir', gitDir, 'ls-tree', '--name-only', 'main'])).toBe('one\ntwo\n');
  await again.unmount();
  await other.unmount();
  expect(await git(['--git-dir', gitDir, 'for-each-ref', 'refs/vost'])).toBe('');
  await fsck(gitDir);
});
