import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import { isMounted, mountRepository, vostMount } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { program, programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

/** A daemon that would wait long before it commits by itself: what is there at the end came from the end. */
async function slowToCommit(
  env: Record<string, string> = {},
  lockTimeoutMs = 5000,
): Promise<MountedRepository> {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '--quiet', '--bare', '--initial-branch=main', gitDir]);
  const tree = await git(['--git-dir', gitDir, 'mktree'], { input: '' });
  const start = await git(['--git-dir', gitDir, 'commit-tree', '-m', 'start', tree.trim()]);
  await git(['--git-dir', gitDir, 'update-ref', 'refs/heads/main', start.trim()]);
  const setting = ['core.filesRefLockTimeout', String(lockTimeoutMs)];
  await git(['--git-dir', gitDir, 'config', ...setting]);
  return mountRepository(gitDir, { args: ['--commit-on', 'fsync', '--log-level', 'info'], env });
}

async function expectCommitted({ gitDir, mountpoint }: MountedRepository): Promise<void> {
  expect(await isMounted(mountpoint)).toBe(false);
  expect(await git(['--git-dir', gitDir, 'show', 'main:closed'])).toBe('closed\n');
  await fsck(gitDir);
}

const ends: Readonly<Record<string, (mounted: MountedRepository) => Promise<unknown>>> = {
  SIGTERM: ({ stop }) => stop('SIGTERM'),
  SIGINT: ({ stop }) => stop('SIGINT'),
  SIGHUP: ({ stop }) => stop('SIGHUP'),
  'umount from outside': ({ mountpoint }) => program('umount', [mountpoint]),
  'umount -l from outside': ({ mountpoint }) => program('umount', ['-l', mountpoint]),
  'vost-mount unmount': async ({ mountpoint }) => {
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0, stderr: '' });
  },
};

/** Of a mount that is in use. */
const endsOfUse: Readonly<Record<string, (mounted: MountedRepository) => Promise<unknown>>> = {
  SIGTERM: ({ stop }) => stop('SIGTERM'),
  // Ends the connection; the mount itself stays as long as it is in use.
  'umount -f from outside': ({ mountpoint }) => programResult('umount', ['-f', mountpoint]),
};

describe('commits what is closed and ends with 0', () => {
  test.for(Object.keys(ends))('%s', async (name) => {
    const mounted = await slowToCommit();
    await shell('echo closed > main/closed', { cwd: mounted.mountpoint });
    await ends[name]!(mounted);
    expect(await mounted.ended()).toEqual({ exitCode: 0, signal: null });
    expect(mounted.daemonLog()).toContain(` info unmounted mountpoint=${mounted.mountpoint}\n`);
    await expectCommitted(mounted);
  });

  test.for(Object.keys(endsOfUse))('%s while a process has files half written', async (end) => {
    const mounted = await slowToCommit();
    // flock(1) makes its file by an open(2) that cannot write.
    await shell('echo closed > main/closed; flock main/lock true; mkdir main/dir', {
      cwd: mounted.mountpoint,
    });
    // `synced` is half written over what its fsync has acknowledged, and `half` was never closed.
    const script = `
import os, time
synced = os.open('synced', os.O_RDWR | os.O_CREAT)
os.write(synced, b'A' * 8192)
os.fsync(synced)
os.pwrite(synced, b'B' * 4096, 0)
half = os.open('half', os.O_WRONLY | os.O_CREAT)
os.write(half, b'half')
print('ready', flush=True)
time.sleep(30)`;
    const sitting = spawn('python3', ['-c', script], {
      cwd: join(mounted.mountpoint, 'main/dir'),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      await once(sitting.stdout, 'data');
      await endsOfUse[end]!(mounted);
      expect(await mounted.ended()).toEqual({ exitCode: 0, signal: null });
      if (end === 'SIGTERM') expect(await isMounted(mounted.mountpoint)).toBe(false);
      const { gitDir } = mounted;
      expect(await git(['--git-dir', gitDir, 'show', 'main:closed'])).toBe('closed\n');
      expect(await git(['--git-dir', gitDir, 'ls-tree', '-r', '--name-only', 'main'])).toBe(
        'closed\ndir/synced\nlock\n',
      );
      expect(await git(['--git-dir', gitDir, 'show', 'main:dir/synced'])).toBe('A'.repeat(8192));
      await fsck(gitDir);
    } finally {
      sitting.kill('SIGKILL');
    }
  });

  test('while writers are at work', async () => {
    const mounted = await slowToCommit();
    await shell('echo closed > main/closed', { cwd: mounted.mountpoint });
    const writing = spawn('sh', ['-c', 'i=0; while echo $i > main/w$i; do i=$((i+1)); done'], {
      cwd: mounted.mountpoint,
      stdio: 'ignore',
    });
    try {
      await shell('until test -e main/w50; do sleep 0.02; done', { cwd: mounted.mountpoint });
      expect(await mounted.stop('SIGTERM')).toEqual({ exitCode: 0, signal: null });
      await expectCommitted(mounted);
    } finally {
      writing.kill('SIGKILL');
    }
  });
});

describe('a daemon whose mount was taken away while in use leaves the next one alone', () => {
  /** A daemon without a name, somebody who keeps it alive, and the mount that was made in its place. */
  async function replaced(): Promise<{ old: MountedRepository; next: MountedRepository }> {
    const old = await slowToCommit();
    await shell('echo closed > main/closed; mkdir main/dir', { cwd: old.mountpoint });
    const sitting = spawn('sleep', ['60'], {
      cwd: join(old.mountpoint, 'main/dir'),
      stdio: 'ignore',
    });
    onTestFinished(() => void sitting.kill('SIGKILL'));
    await once(sitting, 'spawn');
    await program('umount', ['-l', old.mountpoint]);
    const gitDir = join(await temporaryDirectory(), 'next.git');
    const next = await mountRepository(gitDir, { mountpoint: old.mountpoint });
    return { old, next };
  }

  test('when it is asked to end', async () => {
    const { old, next } = await replaced();
    expect(await old.stop('SIGTERM')).toEqual({ exitCode: 0, signal: null });
    expect(await git(['--git-dir', old.gitDir, 'show', 'main:closed'])).toBe('closed\n');
    await shell('echo next > main/file', { cwd: next.mountpoint });
    await next.unmount();
    expect(await git(['--git-dir', next.gitDir, 'show', 'main:file'])).toBe('next\n');
    for (const { gitDir } of [old, next]) await fsck(gitDir);
  });

  test('when it is forced to end', async () => {
    const { old, next } = await replaced();
    await shell('touch refs/heads/main.lock', { cwd: old.gitDir });
    process.kill(old.pid, 'SIGTERM');
    process.kill(old.pid, 'SIGINT');
    expect((await old.ended(10_000)).exitCode).not.toBe(0);
    await shell('echo next > main/file', { cwd: next.mountpoint });
    await next.unmount();
  });
});

test('a second signal ends a daemon that cannot end in order', async () => {
  const mounted = await slowToCommit();
  await shell('echo closed > main/closed', { cwd: mounted.mountpoint });
  // Somebody holds the branch: the last commit waits for the lock.
  await shell('touch refs/heads/main.lock', { cwd: mounted.gitDir });
  process.kill(mounted.pid, 'SIGTERM');
  // Another one, for the same twice may come as one.
  process.kill(mounted.pid, 'SIGINT');
  const { exitCode } = await mounted.ended(10_000);
  expect(exitCode).not.toBe(0);
  expect(mounted.daemonLog()).toMatch(/SIG(TERM|INT), again: ending without a last commit/);
  expect(await isMounted(mounted.mountpoint)).toBe(false);
});

test('a daemon that does not come to its end is ended after two minutes', async () => {
  const hasty = join(await temporaryDirectory(), 'hasty.mjs');
  // Nothing else waits for two minutes, and here they are half a second.
  await writeFile(
    hasty,
    `const { setTimeout: real } = globalThis;
    globalThis.setTimeout = (work, ms, ...args) => real(work, ms === 120_000 ? 500 : ms, ...args);`,
  );
  const mounted = await slowToCommit({ NODE_OPTIONS: `--import=${hasty}` });
  await shell('echo closed > main/closed', { cwd: mounted.mountpoint });
  // The last commit waits for the lock, for longer than that.
  await shell('touch refs/heads/main.lock', { cwd: mounted.gitDir });
  expect(await mounted.stop('SIGTERM')).toEqual({ exitCode: null, signal: 'SIGKILL' });
  expect(mounted.daemonLog()).toContain(
    'vost-mount: no orderly end within 120 s: ending without a last commit\n',
  );
  expect(await isMounted(mounted.mountpoint)).toBe(false);
});

test('what cannot be committed at the end is said, with exit code 1', async () => {
  const mounted = await slowToCommit({}, 500);
  await shell('echo closed > main/closed', { cwd: mounted.mountpoint });
  // One that is young would be waited for.
  await shell('touch -d "1 hour ago" refs/heads/main.lock', { cwd: mounted.gitDir });
  expect(await mounted.stop('SIGTERM')).toEqual({ exitCode: 1, signal: null });
  expect(mounted.daemonLog()).toMatch(/main.*lock/s);
  expect(mounted.daemonLog()).toContain(
    `vost-mount: ${mounted.mountpoint} is unmounted, but not all could be committed: `,
  );
  expect(await isMounted(mounted.mountpoint)).toBe(false);
});

test('whoever asks for the unmount hears what cannot be committed', async () => {
  const mounted = await slowToCommit({}, 500);
  await shell('echo closed > main/closed', { cwd: mounted.mountpoint });
  // One that is young would be waited for.
  await shell('touch -d "1 hour ago" refs/heads/main.lock', { cwd: mounted.gitDir });
  const { exitCode, stderr } = await vostMount(['unmount', mounted.mountpoint]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /^vost-mount: .*\/mnt is unmounted, but not all could be committed: .*main.*\n$/,
  );
  expect(await mounted.ended()).toEqual({ exitCode: 1, signal: null });
});
