import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository, MountRepositoryOptions } from '../helpers/mount.ts';
import { programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

/** How soon a change from outside must show. */
const visibleWithinMs = 1000;

let gitDir: string;
let clone: string;

const inRepository = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);
const inClone = (...args: string[]): Promise<string> => git(['-C', clone, ...args]);

beforeEach(async () => {
  const directory = await temporaryDirectory();
  gitDir = join(directory, 'repo.git');
  clone = join(directory, 'clone');
  await git(['init', '--quiet', '--bare', gitDir]);
  await git(['clone', '--quiet', gitDir, clone]);
  await outsideCommit('file', 'first\n');
  await outsideCommit('dir/other', 'other\n');
  await inClone('push', '--quiet', 'origin', 'HEAD:main');
});

/** Commits in the clone; nothing is pushed. */
async function outsideCommit(path: string, content: string): Promise<string> {
  await shell(`mkdir -p "$(dirname "${path}")"; cat > "${path}"`, { cwd: clone, input: content });
  await inClone('add', '-A');
  await inClone('commit', '--quiet', '-m', `Outside: ${path}`);
  return (await inClone('rev-parse', 'HEAD')).trim();
}

async function mountIt(options?: MountRepositoryOptions): Promise<
  MountedRepository & {
    sh: (script: string) => Promise<string>;
    /** Passes when a command on the mount prints this, soon enough. */
    soon: (script: string, printed: string) => Promise<void>;
  }
> {
  const mounted = await mountRepository(gitDir, options);
  const sh = (script: string): Promise<string> => shell(script, { cwd: mounted.mountpoint });
  const soon = (script: string, printed: string): Promise<void> =>
    eventually(async () => {
      const { stdout, stderr } = await programResult('sh', ['-c', script], {
        cwd: mounted.mountpoint,
      });
      expect(stdout + stderr).toBe(printed);
    }, visibleWithinMs);
  return { ...mounted, sh, soon };
}

describe('seen within a second', () => {
  test('a push: changed, new, removed and replaced files', async () => {
    const { sh, soon, unmount, mountpoint } = await mountIt();
    // All of it is in the kernel's caches, names that do not exist included.
    expect(await sh('cat main/file main/dir/other; ls main; ls main/new 2>&1 || true')).toContain(
      'No such file',
    );
    await shell('git rm -rq dir; echo now a file > dir', { cwd: clone });
    await outsideCommit('new', 'new\n');
    await outsideCommit('file', 'second, and longer\n');
    await inClone('push', '--quiet', 'origin', 'HEAD:main');
    await soon('cat main/file main/new main/dir', 'second, and longer\nnew\nnow a file\n');
    expect(await shownTree(gitDir, join(mountpoint, 'main'))).toEqual(
      await storedTree(gitDir, 'main'),
    );
    await unmount();
  });

  test('update-ref, forwards, back and to another history', async () => {
    const { sh, soon, unmount } = await mountIt();
    const [tip, older] = await Promise.all([
      inRepository('rev-parse', 'main'),
      inRepository('rev-parse', 'main~1'),
    ]);
    expect(await sh('ls main')).toBe('dir\nfile\n');
    await inRepository('update-ref', 'refs/heads/main', older.trim());
    await soon('ls main', 'file\n');
    await inRepository('update-ref', 'refs/heads/main', tip.trim());
    await soon('ls main', 'dir\nfile\n');
    await inClone('checkout', '--quiet', '--orphan', 'unrelated');
    await inClone('rm', '-rqf', '.');
    await outsideCommit('elsewhere', 'x\n');
    await inClone('push', '--quiet', '--force', 'origin', 'HEAD:main');
    await soon('ls main', 'elsewhere\n');
    await unmount();
  });

  test('branches and tags that come and go, loose and packed', async () => {
    const { sh, soon, unmount } = await mountIt();
    expect(await sh('ls')).toBe('main\n');
    await inRepository('branch', 'topic', 'main');
    await inRepository('branch', 'deep/er/name', 'main');
    await inRepository('tag', 'v1', 'main');
    await soon(
      'ls; ls topic deep/er/name; ls .tags',
      [...['deep\nmain\ntopic\n', 'deep/er/name:\ndir\nfile\n\ntopic:\ndir\nfile\n', 'v1\n']].join(
        '',
      ),
    );
    await inRepository('pack-refs', '--all');
    await soon('ls; ls .tags', 'deep\nmain\ntopic\nv1\n');
    await inRepository('branch', '-D', 'topic', 'deep/er/name');
    await inRepository('tag', '-d', 'v1');
    await soon('ls; ls .tags', 'main\n');
    await unmount();
  });

  test('whatever the commit of another branch waits for', async () => {
    await inRepository('branch', 'other', 'main');
    const { sh, soon, unmount } = await mountIt();
    await sh('cat other/file; echo 1 > main/mine; sync main');
    const lock = join(gitDir, 'refs/heads/main.lock');
    await writeFile(lock, '');
    await sh('echo 2 > main/mine');
    const synced = sh('sync main');
    // The commit has begun, and the branch that it moved is looked at again.
    await sleep(500);
    for (const content of ['once', 'twice']) {
      await outsideCommit('file', content);
      await inClone('push', '--quiet', 'origin', 'HEAD:other');
      await soon('cat other/file', content);
    }
    await rm(lock);
    await synced;
    await sh('echo 3 > main/mine; sync main');
    await unmount();
    expect(await inRepository('show', 'main:mine')).toBe('3\n');
    await fsck(gitDir);
  });

  test('an open file keeps the content that it was opened with', async () => {
    const { mountpoint, unmount } = await mountIt();
    const printed = shell(
      `exec 3<main/file; touch "$READY"; until [ "$(cat main/file)" = second ]; do sleep 0.02; done; cat <&3`,
      { cwd: mountpoint, env: { READY: join(clone, '../ready') }, timeoutMs: 10_000 },
    );
    await shell('until test -e ready; do sleep 0.02; done', { cwd: join(clone, '..') });
    await outsideCommit('file', 'second\n');
    await inClone('push', '--quiet', 'origin', 'HEAD:main');
    expect(await printed).toBe('first\n');
    await unmount();
  });
});

describe('changes here and outside at once', () => {
  const staged = { args: ['--commit-on', 'fsync'] };

  test('staged changes are applied again on what was pushed', async () => {
    const { sh, soon, unmount, mountpoint } = await mountIt(staged);
    await sh('echo mine > main/mine; rm main/dir/other; mkdir main/kept; echo 1 > main/kept/1');
    const pushed = await outsideCommit('theirs', 'theirs\n');
    await inClone('push', '--quiet', 'origin', 'HEAD:main');
    await soon(
      'cat main/theirs main/mine; ls main',
      'theirs\nmine\ndir\nfile\nkept\nmine\ntheirs\n',
    );
    expect((await inRepository('rev-parse', 'main')).trim()).toBe(pushed);
    await sh('sync main');
    expect((await inRepository('rev-parse', 'main~1')).trim()).toBe(pushed);
    expect(await shownTree(gitDir, join(mountpoint, 'main'))).toEqual(
      await storedTree(gitDir, 'main'),
    );
    await unmount();
    await fsck(gitDir);
  });

  test('staged changes survive a branch that was set back', async () => {
    const { sh, soon, unmount } = await mountIt(staged);
    await sh('echo mine > main/mine');
    const older = (await inRepository('rev-parse', 'main~1')).trim();
    await inRepository('update-ref', 'refs/heads/main', older);
    await soon('ls main', 'file\nmine\n');
    await sh('sync main');
    expect((await inRepository('rev-parse', 'main~1')).trim()).toBe(older);
    expect(await inRepository('ls-tree', '--name-only', 'main')).toBe('file\nmine\n');
    await unmount();
    await fsck(gitDir);
  });

  test('of one file changed twice the mount keeps its own, and history the other', async () => {
    const { sh, soon, unmount } = await mountIt(staged);
    await sh('echo mine > main/file');
    const pushed = await outsideCommit('file', 'theirs\n');
    await outsideCommit('signal', '');
    await inClone('push', '--quiet', 'origin', 'HEAD:main');
    await soon('ls main', 'dir\nfile\nsignal\n');
    expect(await sh('cat main/file')).toBe('mine\n');
    await sh('sync main');
    expect(await inRepository('show', 'main:file')).toBe('mine\n');
    expect(await inRepository('show', `${pushed}:file`)).toBe('theirs\n');
    expect(await inRepository('merge-base', 'main', pushed)).toBe(`${pushed}\n`);
    const status = JSON.parse(await sh('cat .vost/status.json')) as {
      branches: { name: string; conflicts: string[] }[];
    };
    expect(status.branches.find(({ name }) => name === 'main')?.conflicts).toEqual(['file']);
    await unmount();
    await fsck(gitDir);
  });

  test('no commit of either side is lost when both commit all the time', async () => {
    const { sh, unmount } = await mountIt();
    // In bursts: a push takes longer than a commit of the mount, and must fit in somewhere.
    const burst = 'for i in $(seq $1 $2); do echo $i > main/ours-$i; sync main/ours-$i; done';
    const ours = sh(
      `burst() { ${burst}; }; burst 1 15; sleep 1; burst 16 30; sleep 1; burst 31 40`,
    );
    let pushes = 0;
    for (let round = 0; round < 15; round++) {
      await inClone('pull', '--quiet', '--rebase', 'origin', 'main');
      await outsideCommit(`theirs-${round}`, `${round}\n`);
      const { exitCode } = await programResult('git', [
        '-C',
        clone,
        'push',
        '-q',
        'origin',
        'HEAD:main',
      ]);
      if (exitCode === 0) pushes += 1;
    }
    await ours;
    await inClone('pull', '--quiet', '--rebase', 'origin', 'main');
    await eventually(() => inClone('push', '--quiet', 'origin', 'HEAD:main'));
    await sh('sync main');
    const names = (await inRepository('ls-tree', '--name-only', 'main')).split('\n');
    expect(names.filter((name) => name.startsWith('ours-')).length).toBe(40);
    expect(names.filter((name) => name.startsWith('theirs-')).length).toBe(15);
    expect(pushes).toBeGreaterThan(0);
    await unmount();
    await fsck(gitDir);
  });
});

describe('two daemons on one repository', () => {
  test('see each other, and lose nothing', async () => {
    const [one, other] = [await mountIt(), await mountIt()];
    await Promise.all([
      one.sh('for i in $(seq 30); do echo $i > main/one-$i; done; sync main'),
      other.sh('for i in $(seq 30); do echo $i > main/other-$i; done; sync main'),
    ]);
    for (const { soon } of [one, other]) {
      await soon('ls main | wc -l; cat main/one-30 main/other-30', '62\n30\n30\n');
    }
    await one.unmount();
    await other.unmount();
    const names = (await inRepository('ls-tree', '--name-only', 'main')).trim().split('\n');
    expect(names.length).toBe(62);
    await fsck(gitDir);
  });
});
