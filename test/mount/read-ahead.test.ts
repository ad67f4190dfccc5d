import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mountAt } from '../../src/mount/mount-table.ts';
import { git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

test('the kernel reads several of the largest requests ahead', async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '-q', '--bare', gitDir]);
  const mount = await mountRepository(gitDir);
  const entry = await mountAt(mount.mountpoint);
  const setting = await readFile(`/sys/class/bdi/${entry?.device}/read_ahead_kb`, 'utf8');
  expect(Number(setting)).toBe(8192);
  await mount.unmount();
});
