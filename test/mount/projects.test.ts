import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { shell } from '../helpers/program.ts';
import type { ProgramOptions } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

/** What people do in a directory; each works on any filesystem, and prints what it found. */
interface Work {
  readonly script: string;
  /** What it prints. */
  readonly prints: string | RegExp;
}

const works: Readonly<Record<string, Work>> = {
  'npm install': {
    script: `
      npm init --yes >/dev/null
      npm install --no-audit --no-fund --loglevel=error which@4.0.0 mkdirp@3.0.1 >&2
      node_modules/.bin/node-which node >/dev/null
      node -p 'typeof require("mkdirp").mkdirp'
      test -L node_modules/.bin/mkdirp
    `,
    prints: 'function\n',
  },
  'tar x': {
    script: `
      mkdir "$SCRATCH/source"; cd "$SCRATCH/source"
      mkdir -p a/b empty; echo one > a/b/one; ln a/b/one a/hard; ln -s b/one a/soft
      head -c 2000000 /dev/urandom > random; touch -d '2001-02-03 04:05:06' a/b/one
      install -m 755 /dev/stdin run <<< '#!/bin/sh'; for i in $(seq 300); do echo $i > a/$i; done
      tar cf "$SCRATCH/archive.tar" .; cd "$OLDPWD"
      tar xf "$SCRATCH/archive.tar"
      tar df "$SCRATCH/archive.tar"
      diff -r "$SCRATCH/source" .
      stat -c %h a/hard
    `,
    prints: '2\n',
  },
  'git init, add and commit': {
    script: `
      git init --quiet
      mkdir dir; echo one > one; echo two > dir/two; ln -s one link; chmod 755 one
      git add -A && git commit --quiet -m first
      git status --porcelain; echo changed >> dir/two; git status --porcelain
      git checkout --quiet -- dir/two; git mv one three; git status --porcelain
      git commit --quiet -m second
      git stash list; git checkout --quiet HEAD~1; cat one; git checkout --quiet -; cat three
      git fsck --strict
    `,
    prints: ' M dir/two\nR  one -> three\none\none\n',
  },
  'git clone, rebase, worktree and gc': {
    script: `
      git init --quiet --initial-branch=main "$SCRATCH/origin"; cd "$SCRATCH/origin"
      for i in $(seq 30); do echo $i > file-$i; git add -A; git commit --quiet -m "add $i"; done
      cd "$OLDPWD"
      git clone --quiet "$SCRATCH/origin" clone; cd clone
      git checkout --quiet -b topic HEAD~10; echo mine > mine
      git add mine; git commit --quiet -m mine
      git rebase --quiet main; git log -2 --format=%s
      git worktree add --quiet ../other main~3; ls ../other | wc -l; git worktree remove ../other
      git gc --quiet --prune=now; git fsck --strict; git status --porcelain
      git push --quiet origin topic; git -C "$SCRATCH/origin" log -1 --format=%s topic
    `,
    prints: 'mine\nadd 30\n27\nmine\n',
  },
  'a separate git directory': {
    script: `
      git init --quiet --separate-git-dir "$SCRATCH/inner.git"; echo one > one
      git add -A && git commit --quiet -m first; git status --porcelain; cut -c1-7 .git
    `,
    prints: 'gitdir:\n',
  },
  'sqlite with a rollback journal': {
    script: `
      db() { sqlite3 -cmd '.timeout 10000' data.db "$@"; }
      db 'pragma journal_mode=delete' 'create table t (id integer primary key, words text)'
      for writer in 1 2 3; do
        ( for i in $(seq 10); do db "insert into t (words) values ('$writer $i')"; done ) &
      done; wait
      db 'begin; delete from t; rollback' 'pragma integrity_check' 'select count(*) from t'
    `,
    prints: 'delete\nok\n30\n',
  },
  'sqlite with a write-ahead log': {
    script: `
      db() { sqlite3 -cmd '.timeout 10000' data.db "$@"; }
      db 'pragma journal_mode=wal' 'create table t (id integer primary key, words text)'
      for writer in 1 2 3; do
        ( for i in $(seq 10); do db "insert into t (words) values ('$writer $i')"; done ) &
      done; wait
      db 'pragma wal_checkpoint(truncate)' 'pragma integrity_check' 'select count(*) from t'
    `,
    prints: 'wal\n0|0|0\nok\n30\n',
  },
  'a save in vim': {
    script: `
      printf 'first\\nsecond\\n' > text.txt; chmod 755 text.txt
      vim -N -u NONE -i NONE -es -c 'set swapfile writebackup' -c 'edit text.txt' \\
        -c '2substitute/second/changed/' -c 'write' -c '1delete' -c 'wq' </dev/null
      cat text.txt; stat -c %a text.txt; ls -A
    `,
    prints: 'changed\n755\ntext.txt\n',
  },
  rsync: {
    script: `
      mkdir -p "$SCRATCH/from/dir"; echo 1 > "$SCRATCH/from/dir/file"; ln -s dir "$SCRATCH/from/link"
      touch -d '2001-02-03 04:05:06' "$SCRATCH/from/dir/file"
      rsync -a "$SCRATCH/from/" .
      rsync -a --itemize-changes --checksum "$SCRATCH/from/" .
      echo 2 > "$SCRATCH/from/dir/file"; rsync -a --delete --inplace "$SCRATCH/from/" .; cat dir/file
    `,
    prints: '2\n',
  },
};

const committer = {
  ...{ GIT_AUTHOR_NAME: 'Worker', GIT_AUTHOR_EMAIL: 'worker@example.com' },
  ...{ GIT_COMMITTER_NAME: 'Worker', GIT_COMMITTER_EMAIL: 'worker@example.com' },
};

async function work({ script }: Work, directory: string): Promise<string> {
  const options: ProgramOptions = {
    cwd: directory,
    env: {
      SCRATCH: await temporaryDirectory(),
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_SYSTEM: '/dev/null',
      ...committer,
    },
    timeoutMs: 60_000,
  };
  return await shell(script, options);
}

/** A line of a listing: `.git`, which lives for the session only, or what is below one. */
const nestedRepository = /[ /]\.git(?:$|\/)/;

// What fails on a disk says nothing about the mount.
describe('on the disk', () => {
  test.for(Object.entries(works))('%s', async ([, task]) => {
    expect(await work(task, await temporaryDirectory())).toEqual(task.prints);
  });
});

describe('on a branch of the mount', () => {
  let mounted: MountedRepository;
  beforeAll(async () => {
    mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
  });

  test.for(Object.entries(works))('%s', async ([name, task]) => {
    const branch = name.replaceAll(/\W/g, '-');
    const { gitDir, mountpoint } = mounted;
    const directory = join(mountpoint, branch);
    await mkdir(directory);
    expect(await work(task, directory)).toEqual(task.prints);
    await shell(`sync ${branch}`, { cwd: mountpoint });
    const shown = await shownTree(gitDir, directory);
    const committed = shown.filter((line) => !nestedRepository.test(line));
    expect(committed).toEqual(await storedTree(gitDir, branch));
    const subjects = await git(['--git-dir', gitDir, 'log', '--format=%s', branch]);
    for (const subject of subjects.trim().split('\n')) {
      expect(subject).toMatch(/^([+~-] \S|Batch: [+~-]\d|Initialize )/);
    }
    const everCommitted = await git([
      '--git-dir',
      gitDir,
      'log',
      '--format=',
      '--name-only',
      branch,
    ]);
    expect(everCommitted).not.toMatch(/\.sw[a-z]$|~$|\.fuse_hidden|^4913$/m);
    await fsck(gitDir);
  });

  test('the daemon ends well', async () => {
    await mounted.unmount();
  });
});
