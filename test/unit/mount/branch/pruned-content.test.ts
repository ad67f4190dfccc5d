import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseOid } from '../../../../src/git/oid.ts';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { fsck, git } from '../../../helpers/git.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount, commitOutside, newRepository } from './branch-mount.ts';

const files = { 'README.md': 'read me', 'src/a.txt': 'a' };
const big = 'content that does not fit into one piece\n'.repeat(100_000);

/** Puts content into the repository that no ref leads to. */
function leaveBehind(gitDir: string, content: string): Promise<string> {
  return git(['--git-dir', gitDir, 'hash-object', '-w', '--stdin'], { input: content });
}

async function looseObjects(gitDir: string): Promise<number> {
  const counted = await git(['--git-dir', gitDir, 'count-objects', '-v']);
  return Number(/^count: (\d+)$/m.exec(counted)?.[1]);
}

describe('content that was in the repository when a file was closed', () => {
  test.each([
    ['small', 'left behind'],
    ['big', big],
  ])('and is pruned before the commit is written again: %s', async (_size, content) => {
    const mount = await BranchMount.open({ files, mount: { commitOn: 'fsync' } });
    await leaveBehind(mount.gitDir, content);
    await mount.write('src/new', content);
    await mount.git('gc', '--prune=now', '--quiet');
    await mount.commit();
    await mount.expectCommitted();
    expect(await git(['--git-dir', mount.gitDir, 'show', 'main:src/new'])).toBe(content);
  });

  test('is not stored twice when it is still there', async () => {
    const gitDir = await newRepository(files);
    const oid = await leaveBehind(gitDir, big);
    await git(['pack-objects', '-q', 'objects/pack/pack'], { cwd: gitDir, input: oid });
    await git(['prune-packed', '-q'], { cwd: gitDir });
    const looseBefore = await looseObjects(gitDir);
    const mount = await BranchMount.open({ gitDir, mount: { commitOn: 'fsync' } });
    await mount.write('src/new', big);
    await mount.commit();
    // The commit and its two trees.
    expect(await looseObjects(gitDir)).toBe(looseBefore + 3);
    await mount.expectCommitted();
  });
});

test('a directory that was moved, and whose tree others have taken away for good, is in no commit', async () => {
  const mount = await BranchMount.open({ files, mount: { commitOn: 'fsync' } });
  await mount.rename('src', 'moved');
  const empty = await mount.git('mktree', '--missing', '-z');
  const commit = await mount.git('commit-tree', '-m', 'without it', empty);
  await mount.git('update-ref', 'refs/heads/main', commit);
  await mount.git('reflog', 'expire', '--expire=now', '--all');
  await mount.git('gc', '-q', '--prune=now');
  await expect(mount.commit()).rejects.toThrow();
  expect(await mount.git('rev-parse', 'main')).toBe(commit);
  await fsck(mount.gitDir);
});

test('a file that is open outlives its branch being set back and pruned', async () => {
  const content = randomBytes(3_000_000).toString('hex');
  const mount = await BranchMount.open({ files: { ...files, other: content } });
  const open = await mount.openFile('other', constants.O_RDONLY);
  const oid = parseOid(await mount.git('rev-parse', 'main:other'));
  await commitOutside(mount.gitDir, { other: null });
  const commit = await mount.git('commit-tree', 'main^{tree}', '-m', 'without a past');
  await mount.git('update-ref', 'refs/heads/main', commit);
  await mount.branch.follow();
  const { staging } = mount.root.inode.context.contents;
  await eventually(() => expect(staging.hasStaged(oid)).toBe(true));
  await mount.git('reflog', 'expire', '--expire=now', '--all');
  await mount.git('gc', '--prune=now', '--quiet');
  expect(await mount.readAt(open, 4_000_000, 1000)).toBe(content.slice(4_000_000, 4_001_000));
  await mount.close(open);
});

test.each([
  ['its tree and its commit', { unique: 'x' }],
  ['its commit alone, for another branch has the tree', {}],
])('what was staged on a branch that is deleted and pruned is kept: %s', async (_what, changes) => {
  const mount = await BranchMount.open({
    files,
    branches: ['other'],
    mount: { commitOn: 'fsync' },
  });
  await commitOutside(mount.gitDir, changes, { branch: 'other' });
  const other = await mount.openBranch('other');
  const made = await mount.vfs.create(other.ino, name('new'), 0o644, constants.O_RDWR, caller);
  const file = { ino: made.entry.attr!.ino, fh: made.open.fh };
  await mount.writeAt(file, 0, 'precious');
  await mount.close(file);
  await mount.git('update-ref', '-d', 'refs/heads/other');
  await mount.git('gc', '-q', '--prune=now');
  await mount.branches.refsChanged([parseRefName('refs/heads/other')]);
  const ref = await mount.git('for-each-ref', '--format=%(refname)', 'refs/vost/orphaned');
  expect(await mount.git('show', `${ref}:new`)).toBe('precious');
  expect(await mount.git('rev-list', '--count', ref)).toBe('1');
  await fsck(mount.gitDir);
});
