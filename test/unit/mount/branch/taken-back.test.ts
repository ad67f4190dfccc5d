import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseOid } from '../../../../src/git/oid.ts';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount, commitOutside } from './branch-mount.ts';
import type { OpenFile } from './branch-mount.ts';

// Content that the mount only refers to, by its hash, when others delete or set back what it came from.

const files = { 'README.md': 'read me', 'src/a.txt': 'a' };
const content = 'content of the other branch\n'.repeat(10_000);
const other = parseRefName('refs/heads/other');

/** A mount beside whose branch another one has something of its own. */
async function mountWithOther(commitOn: 'fsync' | 'close' | 'manual' = 'fsync') {
  const mount = await BranchMount.open({ files, branches: ['other'], mount: { commitOn } });
  const tip = await commitOutside(
    mount.gitDir,
    { big: content, 'd/deep/x': 'x' },
    { branch: 'other' },
  );
  const root = await mount.openBranch('other');
  const inOther = async (path: string): Promise<Ino> => {
    const { attr } = await mount.vfs.lookup(root.ino, name(path), caller);
    return attr!.ino;
  };
  return { mount, tip, root, inOther };
}

/** What copy_file_range(2) does with a whole file, or with its first bytes. */
async function copy(mount: BranchMount, from: Ino, to: OpenFile, length = 1 << 30): Promise<void> {
  const { fh } = await mount.vfs.open(from, constants.O_RDONLY, caller);
  expect(await mount.vfs.copyFileRange(from, fh, 0, to.ino, to.fh, 0, length)).toBeGreaterThan(0);
  await mount.vfs.release(from, fh);
}

const savedRefs = (mount: BranchMount): Promise<string> =>
  mount.git('for-each-ref', '--format=%(refname)', 'refs/vost/staged/main');

/** Deletes the other branch; the mount sees it, and has done what it must when `kept` holds. Then prunes it. */
async function deleteOther(mount: BranchMount, kept: () => Promise<void> | void) {
  await mount.git('update-ref', '-d', 'refs/heads/other');
  await mount.branches.refsChanged([other]);
  await eventually(kept);
  await mount.git('gc', '--prune=now', '--quiet');
}

function expectStaged(mount: BranchMount, oid: string): void {
  expect(mount.root.inode.context.contents.isStaged(parseOid(oid))).toBe(true);
}

describe('when the branch is deleted and pruned that it came from', () => {
  test('a copy that waits for a commit is saved, and committed later', async () => {
    const { mount, inOther } = await mountWithOther();
    const target = await mount.create('copy');
    await copy(mount, await inOther('big'), target);
    await mount.close(target);
    await deleteOther(mount, async () => expect(await savedRefs(mount)).not.toBe(''));
    expect(await mount.git('rev-list', '--count', 'main')).toBe('1');
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.git('show', 'main:copy')).toBe(content.trim());
    expect(await savedRefs(mount)).toBe('');
  });

  test('a directory that was moved here is saved, with all that is below it', async () => {
    const { mount, root } = await mountWithOther('manual');
    await mount.vfs.rename(root.ino, name('d'), mount.root.ino, name('moved'), 0);
    await deleteOther(mount, async () => expect(await savedRefs(mount)).not.toBe(''));
    expect(await mount.text('moved/deep/x')).toBe('x');
    await mount.commit();
    await mount.expectCommitted();
  });

  test('a copy is committed at once under the policy close', async () => {
    const { mount, inOther } = await mountWithOther('close');
    const target = await mount.create('copy');
    await copy(mount, await inOther('big'), target);
    await mount.close(target);
    await deleteOther(mount, async () =>
      expect(await mount.git('rev-list', '--count', 'main')).toBe('2'),
    );
    await mount.expectCommitted();
  });

  test('a part that was copied into an open file is staged', async () => {
    const { mount, inOther } = await mountWithOther();
    const oid = await mount.git('rev-parse', 'other:big');
    const target = await mount.create('part');
    await copy(mount, await inOther('big'), target, 8192);
    await deleteOther(mount, () => expectStaged(mount, oid));
    await mount.close(target);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('part')).toBe(content.slice(0, 8192));
  });

  test('a file that is read in it is staged, until it is closed', async () => {
    const { mount, inOther } = await mountWithOther();
    const oid = await mount.git('rev-parse', 'other:big');
    const ino = await inOther('big');
    const { fh } = await mount.vfs.open(ino, constants.O_RDONLY, caller);
    await deleteOther(mount, () => expectStaged(mount, oid));
    expect(await mount.readAt({ ino, fh }, 200_000, 1000)).toBe(content.slice(200_000, 201_000));
    const drops = mount.root.inode.context.contents;
    await mount.vfs.release(ino, fh);
    mount.forgetAll(ino);
    const later = performance.now() + 60_000;
    await eventually(async () => {
      const now = performance.now.bind(performance);
      performance.now = () => later;
      await drops.releaseUnused().finally(() => (performance.now = now));
      expect(drops.isStaged(parseOid(oid))).toBe(false);
    });
  });

  test('a file that the mount has removed, and somebody reads, is staged', async () => {
    const { mount, tip, root, inOther } = await mountWithOther();
    const oid = await mount.git('rev-parse', 'other:big');
    const ino = await inOther('big');
    const { fh } = await mount.vfs.open(ino, constants.O_RDONLY, caller);
    await mount.vfs.unlink(root.ino, name('big'));
    await mount.commit();
    const last = parseOid(await mount.git('rev-parse', 'other'));
    expect(last).not.toBe(tip);
    await deleteOther(mount, () => expectStaged(mount, oid));
    expect(await mount.readAt({ ino, fh }, 200_000, 1000)).toBe(content.slice(200_000, 201_000));
  });
});

describe('nothing is copied and nothing saved', () => {
  test('when a ref moves on, or what is open is in a branch', async () => {
    const { mount, tip, inOther } = await mountWithOther();
    const target = await mount.create('copy');
    await copy(mount, await inOther('big'), target);
    await mount.close(target);
    const reader = await inOther('big');
    await mount.vfs.open(reader, constants.O_RDONLY, caller);
    const oid = await mount.git('rev-parse', 'other:big');
    const next = await commitOutside(mount.gitDir, { new: '1' }, { branch: 'other' });
    mount.branches.tipsLeft([{ from: tip, to: next }]);
    await mount.branches.refsChanged([other]);
    // A deletion that is seen later is dealt with later, so this has been by then.
    await mount.git('tag', 'gone', next);
    mount.branches.tipsLeft([{ from: next, to: null }]);
    await eventually(async () => expect(await savedRefs(mount)).not.toBe(''));
    expect((await savedRefs(mount)).split('\n')).toHaveLength(1);
    expect(await mount.git('rev-list', '--count', '--all', '--reflog')).toBe('4');
    expect(mount.root.inode.context.contents.isStaged(parseOid(oid))).toBe(false);
  });
});
