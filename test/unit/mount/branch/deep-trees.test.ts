import { constants } from 'node:fs';
import { expect, test } from 'vitest';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount } from './branch-mount.ts';

/** More than calls can be nested, and about as many as git takes. */
const depth = 4000;

test('what is made below thousands of directories is committed, and seen again', async () => {
  const mount = await BranchMount.open();
  let ino: Ino = rootIno;
  for (let level = 0; level < depth; level++) {
    const { attr } = await mount.vfs.mkdir(ino, name('d'), 0o755, caller);
    ino = attr!.ino;
  }
  await mount.vfs.fsyncdir(ino, undefined);
  expect(mount.status.stagedFiles).toBe(0);
  const made = await mount.vfs.create(ino, name('file'), 0o644, constants.O_RDWR, caller);
  const file = { ino: made.entry.attr!.ino, fh: made.open.fh };
  await mount.writeAt(file, 0, 'content');
  await mount.fsync(file);
  expect(mount.status.stagedFiles).toBe(0);
  await mount.close(file);
  const path = `${'d/'.repeat(depth)}file`;
  expect(await mount.git('cat-file', 'blob', `main:${path}`)).toBe('content');
  expect(await mount.text(path)).toBe('content');
});
