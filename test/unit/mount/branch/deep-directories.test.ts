import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { fsck } from '../../../helpers/git.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount, commitOutside } from './branch-mount.ts';

const deepest = 1024;

/** Makes directories one in another, and gives them all, the outermost first. */
async function chain(mount: BranchMount, top: string, count: number): Promise<Ino[]> {
  const made: Ino[] = [];
  for (let level = 0; level < count; level++) {
    const parent = made.at(-1) ?? rootIno;
    const { attr } = await mount.vfs.mkdir(parent, name(level === 0 ? top : 'd'), 0o755, caller);
    made.push(attr!.ino);
  }
  return made;
}

async function write(mount: BranchMount, parent: Ino, content: string): Promise<void> {
  const { entry, open } = await mount.vfs.create(parent, name('file'), 0o644, 0o101, caller);
  const file = { ino: entry.attr!.ino, fh: open.fh };
  await mount.writeAt(file, 0, content);
  await mount.close(file);
}

test('directories are made so deep in each other that git can follow, and no deeper', async () => {
  const mount = await BranchMount.open();
  const inner = (await chain(mount, 'a', deepest)).at(-1)!;
  const mkdir = (): Promise<unknown> =>
    Promise.resolve(mount.vfs.mkdir(inner, name('d'), 0o755, caller));
  expect(await mount.errnoOf(mkdir)).toBe(constants.errno.ENAMETOOLONG);
  await mount.mkdir('b');
  const move = (): Promise<unknown> =>
    Promise.resolve(mount.vfs.rename(rootIno, name('b'), inner, name('b'), 0));
  expect(await mount.errnoOf(move)).toBe(constants.errno.ENAMETOOLONG);

  await write(mount, inner, 'first');
  await mount.commit();
  const path = `a/${'d/'.repeat(deepest - 1)}file`;
  expect(await mount.git('show', `main:${path}`)).toBe('first');
  // What others change there is followed.
  await commitOutside(mount.gitDir, { [path]: 'second', other: '' });
  await mount.branch.follow();
  const { attr } = await mount.vfs.lookup(inner, name('file'), caller);
  expect((await mount.readFile(attr!.ino)).toString()).toBe('second');
  await fsck(mount.gitDir);
});

test(
  'what was moved into each other is committed however deep it stands',
  { timeout: 180_000 },
  async () => {
    const mount = await BranchMount.open();
    let height = 0;
    let inner: Ino | undefined;
    for (const top of 'abcdefghijkl'.split('')) {
      const made = await chain(mount, top, deepest - 1);
      inner ??= made.at(-1)!;
      if (height > 0) await mount.vfs.rename(rootIno, name('top'), made.at(-1)!, name('d'), 0);
      await mount.rename(top, 'top');
      height += deepest - 1;
    }
    await mount.commit();
    await write(mount, inner!, 'at the bottom');
    expect(mount.status.stagedFiles).toBe(1);
    await mount.commit();
    mount.expectNothingStaged();
    let tree = await mount.git('rev-parse', 'main:top');
    for (let level = 1; level < height; level += 512) {
      const below = Math.min(512, height - level);
      tree = await mount.git('rev-parse', `${tree}:${'d/'.repeat(below).slice(0, -1)}`);
    }
    expect(await mount.git('show', `${tree}:file`)).toBe('at the bottom');
  },
);
