import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

let gitDir: string;
let mounted: MountedRepository;
let root: string;

const inRepository = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);
const sh = (script: string): Promise<string> => shell(script, { cwd: root });
/** Returns when all that is closed on the branch is committed. */
const settle = (branch = 'main'): Promise<string> => sh(`sync ${branch}`);

beforeEach(async () => {
  gitDir = join(await temporaryDirectory(), 'repo.git');
  mounted = await mountRepository(gitDir, {
    args: ['--author', 'Mary Mount', '--email', 'mary@example.com'],
  });
  root = mounted.mountpoint;
});

async function unmountSound(): Promise<void> {
  await mounted.unmount();
  await fsck(gitDir);
}

describe('a repository that did not exist', () => {
  test('is created with a branch that can be written', async () => {
    expect(await sh('ls -A')).toBe('main\n');
    await sh('echo hello > main/greeting');
    await settle();
    expect(await inRepository('show', 'main:greeting')).toBe('hello\n');
    expect((await inRepository('symbolic-ref', 'HEAD')).trim()).toBe('refs/heads/main');
    // FLEVEL of RFC 1950: deflated for speed, as by `git add`.
    const oid = (await inRepository('rev-parse', 'main:greeting')).trim();
    const stored = await readFile(join(gitDir, 'objects', oid.slice(0, 2), oid.slice(2)));
    expect(stored[1]! >> 6).toBe(0);
    await unmountSound();
  });
});

describe('commits', () => {
  test('say what was done, by whom and when', async () => {
    const startedSec = Math.floor(Date.now() / 1000);
    await sh('echo 1 > main/file');
    await settle();
    await sh('echo 2 > main/file');
    await settle();
    await sh('install -m 755 /dev/stdin main/run <<< "#!/bin/sh"; ln -s file main/link');
    await settle();
    await sh('rm main/file');
    await settle();
    const log = await inRepository('log', '--format=%an <%ae>|%cn <%ce>|%at|%ct|%s', 'main');
    const lines = log.trim().split('\n');
    const messages = lines.map((line) => line.split('|')[4]);
    expect(messages[0]).toBe('- file');
    expect(messages).toContain('~ file');
    expect(messages).toContain('+ file');
    // The executable and the link came together or apart, as the clock would have it.
    expect(messages.join('\n')).toMatch(/Batch: \+2|\+ run \(executable\)/);
    for (const line of lines.slice(0, -1)) {
      const [author, committer, authorSec, committerSec] = line.split('|');
      expect(author).toBe('Mary Mount <mary@example.com>');
      expect(committer).toBe(author);
      for (const timeSec of [authorSec, committerSec].map(Number)) {
        expect(timeSec).toBeGreaterThanOrEqual(startedSec);
        expect(timeSec).toBeLessThanOrEqual(Date.now() / 1000 + 1);
      }
    }
    const reflog = await inRepository('reflog', 'show', '--format=%gs', 'main');
    expect(reflog.trim().split('\n').length).toBe(lines.length);
    await unmountSound();
  });

  test('a burst becomes few commits', async () => {
    await sh('mkdir main/many; for i in $(seq 500); do echo $i > main/many/$i; done');
    await settle();
    const count = Number(await inRepository('rev-list', '--count', 'main'));
    expect(count).toBeLessThan(30);
    expect(await shownTree(gitDir, join(root, 'main'))).toEqual(await storedTree(gitDir, 'main'));
    await unmountSound();
  });

  test('a close that changed nothing makes none', async () => {
    await sh('echo same > main/file');
    await settle();
    const tip = await inRepository('rev-parse', 'main');
    await sh('echo same > main/file; touch main/file; true >> main/file');
    await settle();
    expect(await inRepository('rev-parse', 'main')).toBe(tip);
    await unmountSound();
  });

  test('come by themselves after a close', async () => {
    await sh('echo by itself > main/file');
    const deadlineMs = Date.now() + 3000;
    for (;;) {
      const shown = await inRepository('ls-tree', '--name-only', 'main');
      if (shown === 'file\n') break;
      if (Date.now() > deadlineMs) throw new Error(`no commit within 3 s:\n${mounted.daemonLog()}`);
    }
    await unmountSound();
  });

  test('hold no scratch files of editors', async () => {
    await sh('cd main; touch .file.swp 4913 file~ .#file; echo 1 > file');
    await settle();
    expect(await inRepository('ls-tree', '--name-only', 'main')).toBe('file\n');
    await sh('mv main/file~ main/kept');
    await settle();
    expect(await inRepository('ls-tree', '--name-only', 'main')).toBe('file\nkept\n');
    await unmountSound();
  });
});

describe('branches', () => {
  test('a copy with cp -a has the same tree', async () => {
    await sh(`
      mkdir -p main/a/b; echo text > main/a/b/file; ln -s b/file main/a/link
      install -m 755 /dev/stdin main/run <<< '#!/bin/sh'; head -c 3000000 /dev/urandom > main/random
      mkdir main/empty; mkdir copy; cp -a main/. copy/
    `);
    await settle('main');
    await settle('copy');
    const tree = (branch: string): Promise<string> => inRepository('rev-parse', `${branch}^{tree}`);
    expect(await tree('copy')).toBe(await tree('main'));
    await unmountSound();
  });

  test('mkdir makes one, mv renames it, rmdir keeps its tip', async () => {
    await sh('mkdir topic; echo 1 > topic/file; sync topic; mv topic renamed');
    expect((await inRepository('for-each-ref', '--format=%(refname)', 'refs/heads')).trim()).toBe(
      'refs/heads/main\nrefs/heads/renamed',
    );
    const full = await programResult('rmdir', ['renamed'], { cwd: root });
    expect(full.stderr).toContain('Directory not empty');
    await sh('rm renamed/file; sync renamed; rmdir renamed');
    expect(await sh('ls -A')).toBe('main\n');
    expect(
      await inRepository('for-each-ref', '--format=%(refname)', 'refs/vost/deleted'),
    ).toContain('refs/vost/deleted/renamed');
    await unmountSound();
  });

  test('names with slashes nest', async () => {
    await inRepository('branch', 'feature/one', 'main');
    await inRepository('branch', 'feature/two', 'main');
    await sh(
      'until test -d feature/two; do sleep 0.05; done; echo 1 > feature/two/file; sync feature/two',
    );
    expect(await sh('ls feature')).toBe('one\ntwo\n');
    expect(await inRepository('show', 'feature/two:file')).toBe('1\n');
    expect(await inRepository('ls-tree', 'feature/one')).toBe('');
    await unmountSound();
  });

  test('the root takes no files and no names that git refuses', async () => {
    const attempts: readonly (readonly [string, string])[] = [
      ['touch file', 'Operation not permitted'],
      ['mkdir name..with..dots', 'Invalid argument'],
      ['mkdir .tags/x', 'Read-only file system'],
      ['touch .commits/x', 'Read-only file system'],
      ['mkdir main/.GIT', 'Operation not permitted'],
      ['mkdir .git', 'Invalid argument'],
      ['mkdir main/git~1', 'Operation not permitted'],
      ['touch main/.GIT', 'Operation not permitted'],
    ];
    for (const [attempt, words] of attempts) {
      const { exitCode, stderr } = await programResult('sh', ['-c', attempt], { cwd: root });
      expect(exitCode, attempt).not.toBe(0);
      expect(stderr, attempt).toContain(words);
    }
    await unmountSound();
  });

  test('moving a directory from branch to branch keeps its content', async () => {
    await sh('mkdir -p main/dir/sub other; echo 1 > main/dir/sub/file; sync main');
    const tree = await inRepository('rev-parse', 'main:dir');
    await sh('mv main/dir other/moved; sync main; sync other');
    expect(await inRepository('rev-parse', 'other:moved')).toBe(tree);
    expect(await inRepository('ls-tree', 'main')).toBe('');
    await unmountSound();
  });
});

describe('while mounted', () => {
  test('git clones the repository', async () => {
    await sh('mkdir main/dir; echo 1 > main/dir/file; sync main');
    const clone = join(await temporaryDirectory(), 'clone');
    await git(['clone', '--quiet', gitDir, clone]);
    expect(await git(['-C', clone, 'show', 'HEAD:dir/file'])).toBe('1\n');
    await unmountSound();
  });

  test('git collects garbage, and the mount goes on', async () => {
    await sh('for i in $(seq 50); do echo $i > main/$i; done; sync main');
    await inRepository('repack', '-adq');
    await inRepository('gc', '--quiet', '--prune=now');
    await inRepository('pack-refs', '--all');
    expect(await sh('cat main/7')).toBe('7\n');
    await sh('echo more > main/more; sync main');
    await inRepository('gc', '--quiet', '--prune=now');
    expect(await shownTree(gitDir, join(root, 'main'))).toEqual(await storedTree(gitDir, 'main'));
    await unmountSound();
  });
});
