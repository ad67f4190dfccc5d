import { describe, expect, test, vi } from 'vitest';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import { fsck, git } from '../../../helpers/git.ts';
import { BranchMount, commitOutside, mainRef, newRepository } from './branch-mount.ts';

const files = {
  'README.md': 'read me',
  'src/a.txt': 'a',
  'src/b.txt': 'b',
  'src/deep/c.txt': 'c',
  'other/x': 'x',
};
const manual = { mount: { commitOn: 'manual' as const } };

async function savedRefs(mount: BranchMount): Promise<string[]> {
  const listed = await mount.git('for-each-ref', '--format=%(refname)', 'refs/vost/staged');
  return listed === '' ? [] : listed.split('\n');
}

/** Changes of every kind, made durable without a commit. */
async function changeAndSync(mount: BranchMount): Promise<void> {
  await mount.write('new.txt', 'new');
  await mount.write('src/a.txt', 'A');
  await mount.unlink('src/b.txt');
  await mount.rename('other', 'moved');
  await mount.write('moved/y', 'y');
  await mount.mkdir('empty');
  await mount.chmod('README.md', 0o755);
  await mount.symlink('new.txt', 'src/deep/link');
  await mount.vfs.fsyncdir(await mount.get('src'), undefined);
}

describe('the policy manual', () => {
  test('makes data durable without a commit, and a later mount goes on with it', async () => {
    const mount = await BranchMount.open({ files, ...manual });
    await changeAndSync(mount);
    const shown = await mount.shown();
    expect(await mount.git('rev-list', '--count', 'main')).toBe('1');
    expect(await savedRefs(mount)).toHaveLength(1);
    await fsck(mount.gitDir);

    // The first mount ends without a word, as if the power had gone.
    const later = await BranchMount.open({ gitDir: mount.gitDir, ...manual });
    expect(await later.shown()).toEqual(shown);
    expect(later.status.stagedFiles).toBeGreaterThan(5);
    await later.write('src/a.txt', 'AA');
    const file = await later.openFile('new.txt');
    await later.fsync(file);
    await later.close(file);
    expect(await savedRefs(later)).toHaveLength(1);
    expect(await later.git('rev-list', '--count', 'main')).toBe('1');
    await later.commit('by hand');
    expect(await later.git('log', '-1', '--format=%s')).toBe('by hand');
    expect(await savedRefs(later)).toEqual([]);
    await later.expectCommitted();
    expect(await later.git('show', 'main:src/a.txt')).toBe('AA');
  });

  test('a new directory that was saved takes what others put there meanwhile', async () => {
    const mount = await BranchMount.open({ files, ...manual });
    await mount.mkdir('made');
    await mount.mkdir('made/deep');
    await mount.write('made/deep/ours', 'ours');
    await mount.fsync(await mount.openFile('made/deep/ours'));
    await commitOutside(mount.gitDir, { 'made/theirs': 'theirs', 'made/deep/theirs': 'theirs' });
    const later = await BranchMount.open({ gitDir: mount.gitDir, ...manual });
    await later.commit();
    await later.expectCommitted();
    expect(await later.ls('made')).toEqual(['deep', 'theirs']);
    expect(await later.ls('made/deep')).toEqual(['ours', 'theirs']);
    expect(later.status.conflicts).toEqual([]);
  });

  test('an orderly end saves too, and does not commit', async () => {
    const mount = await BranchMount.open({ files, ...manual });
    await mount.write('closed', 'x');
    const shown = await mount.shown();
    await mount.branches.stop();
    expect(await mount.git('rev-list', '--count', 'main')).toBe('1');
    const later = await BranchMount.open({ gitDir: mount.gitDir, ...manual });
    expect(await later.shown()).toEqual(shown);
    // What is taken back leaves nothing to save.
    await later.unlink('closed');
    await later.branches.syncAll();
    expect(await savedRefs(later)).toEqual([]);
    expect(await later.git('rev-list', '--count', 'main')).toBe('1');
  });

  test('what was saved is applied on the tip of the branch, wherever that is by then', async () => {
    const mount = await BranchMount.open({ files, ...manual });
    await changeAndSync(mount);
    const outside = await commitOutside(mount.gitDir, { 'src/a.txt': 'theirs', 'other/z': 'z' });
    const later = await BranchMount.open({ gitDir: mount.gitDir });
    expect(later.status.conflicts).toEqual(['src/a.txt']);
    await later.commit();
    await later.expectCommitted();
    expect(await later.git('rev-parse', 'main^')).toBe(outside);
    expect(await later.text('src/a.txt')).toBe('A');
    expect(await later.ls('other')).toEqual(['z']);
    expect(await later.ls('moved')).toEqual(['x', 'y']);
    expect(await savedRefs(later)).toEqual([]);
  });

  test('what was saved follows the name of the branch', async () => {
    const mount = await BranchMount.open({ files, ...manual });
    await changeAndSync(mount);
    const shown = await mount.shown();
    const renamed = parseRefName('refs/heads/main/renamed');
    await mount.branches.rename(mainRef, renamed, async () => {
      await mount.git('branch', '-m', 'main', 'main/renamed');
    });
    expect((await savedRefs(mount)).map((ref) => ref.replace(/\d.*/, ''))).toEqual([
      'refs/vost/staged/main/renamed/',
    ]);
    const later = await BranchMount.open({ gitDir: mount.gitDir, ...manual, files: {} }).catch(
      (error: unknown) => error,
    );
    // There is no branch main any more, and what was saved for another one is not its own.
    expect(later).toMatchObject({ errno: 'ESTALE' });
    await mount.git('branch', 'main/other', 'main/renamed');
    const root = await mount.openBranch('main/other');
    expect(await root.lookup('new.txt' as never)).toBeNull();
    expect(await mount.shown()).toEqual(shown);
  });

  test.each(['deleted', 'moved'])(
    'what was saved is forgotten when others have %s its ref',
    async (what) => {
      const mount = await BranchMount.open({ files, ...manual });
      await changeAndSync(mount);
      const [saved] = await savedRefs(mount);
      await (what === 'deleted'
        ? mount.git('update-ref', '-d', saved!)
        : mount.git('update-ref', saved!, 'main'));
      await mount.commit();
      await mount.write('later', 'x');
      await mount.commit();
      await mount.expectCommitted();
    },
  );

  test('what is saved has the name that the branch has, at any moment of its renaming', async () => {
    const mount = await BranchMount.open({ files, ...manual });
    await changeAndSync(mount);
    const [before] = await savedRefs(mount);
    const renamed = parseRefName('refs/heads/renamed');
    const saved = mount.git('rev-parse', before!);
    await mount.branches.rename(mainRef, renamed, async () => {
      const [first, second, ...more] = await savedRefs(mount);
      expect(more).toEqual([]);
      expect([first, second?.replace(/\d.*/, '')]).toEqual([before, 'refs/vost/staged/renamed/']);
      expect(await mount.git('rev-parse', second!)).toBe(await saved);
      await mount.git('branch', '-m', 'main', 'renamed');
    });
    expect(await savedRefs(mount)).toHaveLength(1);
    const failed = mount.branches.rename(renamed, mainRef, () => Promise.reject(new Error('no')));
    await expect(failed).rejects.toThrow('no');
    expect((await savedRefs(mount)).join().replace(/\d.*/, '')).toBe('refs/vost/staged/renamed/');
    await mount.commit();
    expect(await savedRefs(mount)).toEqual([]);
  });

  describe('killed while it commits', () => {
    /** As if the process had been killed instead of changing such a ref, or anything after it. */
    function killedBefore(mount: BranchMount, prefix: string, isDeletion: boolean): void {
      const { refs } = mount.repository;
      const update = refs.update.bind(refs);
      let isDead = false;
      vi.spyOn(refs, 'update').mockImplementation((change) => {
        isDead ||= change.name.startsWith(prefix) && (change.oid === null) === isDeletion;
        return isDead ? Promise.reject(new Error('killed')) : update(change);
      });
    }

    test('after the branch moved, it has left nothing that another one takes up', async () => {
      const mount = await BranchMount.open({ files, ...manual });
      await changeAndSync(mount);
      await mount.write('src/deep/c.txt', 'not synced');
      killedBefore(mount, 'refs/vost/staged/', true);
      await expect(mount.commit()).rejects.toThrow('killed');
      expect(await mount.git('show', 'main:src/a.txt')).toBe('A');
      await commitOutside(mount.gitDir, { 'src/a.txt': 'theirs', 'src/deep/c.txt': 'theirs' });
      const later = await BranchMount.open({ gitDir: mount.gitDir, ...manual });
      expect(later.status.conflicts).toEqual([]);
      expect(await later.text('src/a.txt')).toBe('theirs');
      expect(await later.text('src/deep/c.txt')).toBe('theirs');
      await later.expectCommitted();
      expect(await savedRefs(later)).toEqual([]);
    });

    test('before the branch moved, another one takes all of it up', async () => {
      const mount = await BranchMount.open({ files, ...manual });
      await changeAndSync(mount);
      const shown = await mount.shown();
      const tip = await mount.git('rev-parse', 'main');
      killedBefore(mount, 'refs/heads/', false);
      await expect(mount.commit()).rejects.toThrow('killed');
      expect(await mount.git('rev-parse', 'main')).toBe(tip);
      const later = await BranchMount.open({ gitDir: mount.gitDir, ...manual });
      expect(await later.shown()).toEqual(shown);
      await later.commit();
      await later.expectCommitted();
      expect(await savedRefs(later)).toEqual([]);
    });
  });

  test('fsyncs that come together are saved together', async () => {
    const mount = await BranchMount.open({ files, ...manual });
    const open = await Promise.all([1, 2, 3, 4, 5, 6].map((index) => mount.create(`f${index}`)));
    await Promise.all(
      open.map(async (file, index) => {
        await mount.writeAt(file, 0, `${index}`);
        await mount.fsync(file);
      }),
    );
    const format = '--batch-check=%(objecttype)';
    const types = await mount.git('cat-file', '--batch-all-objects', format);
    // The first, then what came while that was saved.
    expect(types.match(/^commit$/gm)!.length).toBeLessThan(5);
  });
});

describe('several mounts under the policy manual', () => {
  const marked = { ...manual, markLocks: true };

  /** A mount that has saved a file, and may have ended since. */
  async function saver(gitDir: string, path: string): Promise<BranchMount> {
    const mount = await BranchMount.open({ gitDir, ...marked });
    await mount.write(path, path);
    await mount.branches.syncAll();
    return mount;
  }

  test('take up once what one left twice that was killed while it took it over', async () => {
    const first = await saver(await newRepository(files), 'first');
    const { gitDir } = first;
    const [saved] = await savedRefs(first);
    // Of another owner, and of the name that the branch had or was about to get.
    await first.git('update-ref', saved!.replace(/-.*/, '-vost-mount-1-gone'), saved!);
    await first.git('update-ref', saved!.replace('/main/', '/other/'), saved!);
    await first.die();
    const later = await BranchMount.open({ gitDir, ...marked });
    expect(await later.text('first')).toBe('first');
    await later.commit();
    expect(await savedRefs(later)).toEqual([]);
  });

  test('keep what each has saved for itself as long as it lives', async () => {
    const first = await BranchMount.open({ files, ...marked });
    const { gitDir } = first;
    await first.write('first', 'first');
    await first.branches.syncAll();
    const second = await saver(gitDir, 'second');
    expect(await second.ls()).not.toContain('first');
    expect(await savedRefs(first)).toHaveLength(2);

    // The first ends, and a third goes on with its changes alone.
    await first.branches.stop();
    await first.die();
    const third = await BranchMount.open({ gitDir, ...marked });
    expect(await third.ls()).toContain('first');
    expect(await third.ls()).not.toContain('second');
    await third.commit('the first');
    await second.commit('the second');
    expect(await savedRefs(second)).toEqual([]);
    await second.expectCommitted();
    expect(await second.git('ls-tree', '--name-only', 'main', 'first', 'second')).toBe(
      'first\nsecond',
    );
    await fsck(gitDir);
  });

  test('what two have left is taken up one after the other', async () => {
    const first = await BranchMount.open({ files, ...marked });
    const { gitDir } = first;
    await first.write('first', 'first');
    await first.branches.syncAll();
    const second = await saver(gitDir, 'second');
    await first.die();
    await second.die();
    for (const path of ['second', 'first']) {
      const later = await BranchMount.open({ gitDir, ...marked });
      expect(await later.text(path)).toBe(path);
      await later.commit();
      await later.expectCommitted();
      await later.die();
    }
    const names = await git(['--git-dir', gitDir, 'ls-tree', '--name-only', 'main']);
    expect(names.split('\n')).toEqual(expect.arrayContaining(['first', 'second']));
  });

  test('only one of two that come at once takes up what was left', async () => {
    const first = await BranchMount.open({ files, ...marked });
    const { gitDir } = first;
    await first.write('first', 'first');
    await first.branches.syncAll();
    await first.die();
    const mounts = await Promise.all([1, 2, 3].map(() => BranchMount.open({ gitDir, ...marked })));
    const staged = mounts.map(({ status }) => status.stagedFiles);
    expect(staged.toSorted()).toEqual([0, 0, 1]);
    expect(await savedRefs(mounts[0]!)).toHaveLength(1);
  });
});
