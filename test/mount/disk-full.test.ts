import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { program, programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

const mebibyte = 2 ** 20;

/** Writes files that do not shrink until the disk is full for a while, and tells what each call said. */
const fill = `
import errno, hashlib, json, os, sys

def tried(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]

for number in range(16):
    name = f'fill-{number}'
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
    parts = [os.urandom(500_000) for _ in range(4)]
    written = [tried(os.write, fd, part) for part in parts]
    synced, closed = tried(os.fsync, fd), tried(os.close, fd)
    digest = hashlib.sha1(b''.join(parts)).hexdigest()
    print(json.dumps({'name': name, 'written': written, 'synced': synced, 'closed': closed, 'digest': digest}))
`;

interface Filled {
  readonly name: string;
  readonly written: readonly (string | null)[];
  readonly synced: string | null;
  readonly closed: string | null;
  readonly digest: string;
}

describe('a full disk', () => {
  let disk: string;
  let gitDir: string;
  let mounted: MountedRepository;
  let main: string;
  let files: readonly Filled[];
  const acknowledged = (): Filled[] =>
    files.filter(({ written, synced }) => synced === null && written.every((code) => !code));
  const ballast = (): string => join(disk, 'ballast');
  const status = async (): Promise<{ lastError: unknown; stagedFiles: number }> => {
    const text = await program('cat', [join(mounted.mountpoint, '.vost/status.json')]);
    const { branches } = JSON.parse(text) as {
      branches: { lastError: unknown; stagedFiles: number }[];
    };
    return branches[0]!;
  };

  beforeAll(async () => {
    disk = join(await temporaryDirectory(), 'disk');
    await mkdir(disk);
    await program('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]);
    gitDir = join(disk, 'repo.git');
    mounted = await mountRepository(gitDir);
    main = join(mounted.mountpoint, 'main');
    await shell('head -c 1000000 /dev/urandom > keep; sync keep', { cwd: main });
    await writeFile(ballast(), Buffer.alloc(12 * mebibyte));
    const output = await program('python3', ['-c', fill], { cwd: main });
    files = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Filled);
  });
  afterAll(async () => {
    await mounted.stop('SIGKILL').catch(() => undefined);
    await programResult('umount', ['-l', disk]);
  });

  test('is told by write, fsync and close, and as nothing else', () => {
    expect(acknowledged().length).toBeGreaterThan(0);
    const told = (codes: readonly (string | null)[]): Set<string | null> => new Set(codes);
    expect(told(files.flatMap(({ written }) => written))).toEqual(new Set([null, 'ENOSPC']));
    expect(told(files.map(({ synced }) => synced))).toEqual(new Set([null, 'ENOSPC']));
    expect(told(files.map(({ closed }) => closed))).toEqual(new Set([null, 'ENOSPC']));
  });

  test('leaves what was acknowledged, and everything can be read', async () => {
    const names = acknowledged().map(({ name }) => name);
    const sums = await program('sha1sum', names, { cwd: main });
    expect(sums.trim().split('\n')).toEqual(
      acknowledged().map(({ name, digest }) => `${digest}  ${name}`),
    );
    for (const { name, digest } of acknowledged()) {
      const blob = await git(['--git-dir', gitDir, 'rev-parse', `main:${name}`]);
      const sum = await shell(`git --git-dir '${gitDir}' cat-file blob ${blob.trim()} | sha1sum`);
      expect(sum).toBe(`${digest}  -\n`);
    }
    await shell('cat * > /dev/null', { cwd: main });
    expect((await status()).lastError).toMatchObject({
      message: expect.stringContaining('ENOSPC') as string,
    });
  });

  test('ends when somebody removes what had no room', async () => {
    const lost = files.filter((file) => !acknowledged().includes(file)).map(({ name }) => name);
    await program('rm', lost, { cwd: main });
    await eventually(async () => {
      await shell('echo small > small; sync small', { cwd: main });
    }, 20_000);
    expect(await git(['--git-dir', gitDir, 'show', 'main:small'])).toBe('small\n');
  });

  test('ends when room is made elsewhere, with all that waited', async () => {
    const output = await program('python3', ['-c', fill.replaceAll('fill-', 'again-')], {
      cwd: main,
    });
    expect(output).toContain('ENOSPC');
    // All of it would not fit without the ballast either.
    await shell('rm $(ls -d again-* | tail -n +5)', { cwd: main });
    await rm(ballast());
    await program('sync', [main]);
    expect(await status()).toMatchObject({ lastError: null, stagedFiles: 0 });
    await shell('echo more > more', { cwd: main });
    await program('sync', [main]);
    expect(await shownTree(gitDir, main)).toEqual(await storedTree(gitDir, 'main'));
  });

  test('leaves no lock and no temporary file', async () => {
    await mounted.unmount();
    await fsck(gitDir);
    const left = await program('find', [
      ...[gitDir, '-name', '*.lock', '-o', '-name', 'tmp_*', '-o', '-name', '*.keep'],
      ...['-o', '-name', 'vost[-_]*', '-o', '-path', '*/vost/locks/*'],
    ]);
    expect(left).toBe('');
  });
});
