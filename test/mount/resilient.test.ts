import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, open, opendir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { askDaemon } from '../../src/cli/control-client.ts';
import { controlSocketPath } from '../../src/cli/control-protocol.ts';
import { mountAt } from '../../src/mount/mount-table.ts';
import type { MountTableEntry } from '../../src/mount/mount-table.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { freshMountpoint, isMounted, vostMount } from '../helpers/mount.ts';
import { program, shell } from '../helpers/program.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

interface Resilient {
  readonly gitDir: string;
  readonly mountpoint: string;
  readonly main: string;
  readonly log: () => string;
  /** Kills the daemon; whoever asks the mount for something from now on waits for the next. */
  readonly crash: () => void;
}

async function resilient(...args: string[]): Promise<Resilient> {
  return resilientAt(await freshMountpoint(), ...args);
}

async function resilientAt(mountpoint: string, ...args: string[]): Promise<Resilient> {
  const directory = await temporaryDirectory();
  const gitDir = join(directory, 'repo.git');
  const logPath = join(directory, 'log');
  const options = ['--resilient', '--log-level', 'info', '--log-file', logPath, ...args];
  const { exitCode, stderr } = await vostMount([gitDir, mountpoint, ...options]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return {
    ...{ gitDir, mountpoint, main: join(mountpoint, 'main') },
    log: () => readFileSync(logPath, 'utf8'),
    crash: () => {
      for (const pid of daemonsOf(mountpoint)) process.kill(pid, 'SIGKILL');
    },
  };
}

async function restartsOf(mountpoint: string): Promise<number> {
  const { status } = await askDaemon((await mountAt(mountpoint))!, { verb: 'status' }, 5000);
  return status!.restarts;
}

/** The control socket of a mount, and the journals that are there for its number of a device. */
function runtimeFilesOf(entry: MountTableEntry): string[] {
  const socket = controlSocketPath(entry);
  const stem = basename(socket, 'sock');
  const names = readdirSync(dirname(socket)).filter((name) => name.startsWith(stem));
  return names.map((name) => join(dirname(socket), name)).toSorted();
}

/** The next mount gets this number of a device: the least that is free, so lower ones are taken. */
async function makeNext(device: string): Promise<void> {
  for (;;) {
    const mountpoint = await freshMountpoint();
    execFileSync('mount', ['-t', 'tmpfs', 'none', mountpoint], { timeout: 5000 });
    if ((await mountAt(mountpoint))!.device !== device) continue;
    execFileSync('umount', [mountpoint], { timeout: 5000 });
    return;
  }
}

/** The processes of a mount, by the programs that they run. */
function processesOf(mountpoint: string, program = 'daemon.js'): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .filter((pid) => {
      // Behind Node and its options.
      const path = commandLine(pid).find((word, index) => index > 0 && !word.startsWith('-'));
      return path?.endsWith(program) === true && commandLine(pid).includes(mountpoint);
    });
}

const guardianOf = (mountpoint: string): number => processesOf(mountpoint, '/daemon.js')[0]!;
const daemonsOf = (mountpoint: string): number[] => processesOf(mountpoint, '/guarded-daemon.js');

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // It ended meanwhile.
  }
}

async function unmount({ gitDir, mountpoint }: Resilient): Promise<void> {
  const entry = await mountAt(mountpoint);
  await askDaemon(entry!, { verb: 'unmount' }, 10_000);
  await eventually(() => expect(processesOf(mountpoint)).toEqual([]));
  expect(await isMounted(mountpoint)).toBe(false);
  expect(runtimeFilesOf(entry!)).toEqual([]);
  await fsck(gitDir);
}

async function textOf(handle: FileHandle): Promise<string> {
  const buffer = Buffer.alloc(100);
  const { bytesRead } = await handle.read(buffer, 0, 100, 0);
  return buffer.toString('utf8', 0, bytesRead);
}

describe('after a daemon was killed', () => {
  test('whoever asks by the rights of another user is refused, as before', async () => {
    const mounted = await resilient();
    await writeFile(join(mounted.main, 'mine'), 'x');
    const script = `
import ctypes
ctypes.CDLL(None).setfsuid(1000)
for mode in 'r', 'w':
    try: open('mine', mode)
    except PermissionError: print('refused')
`;
    const attempts = (): Promise<string> =>
      program('python3', ['-c', script], { cwd: mounted.main });
    expect(await attempts()).toBe('refused\nrefused\n');
    mounted.crash();
    expect(await readFile(join(mounted.main, 'mine'), 'utf8')).toBe('x');
    expect(await restartsOf(mounted.mountpoint)).toBe(1);
    expect(await attempts()).toBe('refused\nrefused\n');
    expect(await readFile(join(mounted.main, 'mine'), 'utf8')).toBe('x');
    await unmount(mounted);
  });

  test('what was synced is there, and whoever has it open goes on', async () => {
    const mounted = await resilient('--commit-on', 'fsync');
    const { main, crash } = mounted;
    await mkdir(join(main, 'dir'));
    const writer = await open(join(main, 'dir/file'), 'a+');
    const reader = await open(join(main, 'dir/file'), 'r');
    await writer.write('one\n');
    await writer.sync();
    const { ino } = await stat(join(main, 'dir'));
    crash();
    expect(await textOf(reader)).toBe('one\n');
    await writer.write('two\n');
    await writer.sync();
    expect(await textOf(reader)).toBe('one\ntwo\n');
    expect((await stat(join(main, 'dir'))).ino).toBe(ino);
    crash();
    await writer.write('three\n');
    expect(await textOf(reader)).toBe('one\ntwo\nthree\n');
    // What is renamed by the second daemon is found by the third.
    await writer.sync();
    await rename(join(main, 'dir/file'), join(main, 'moved'));
    await writer.sync();
    crash();
    expect(await textOf(reader)).toBe('one\ntwo\nthree\n');
    await Promise.all([writer.close(), reader.close()]);
    await unmount(mounted);
    const content = await git(['--git-dir', mounted.gitDir, 'show', 'main:moved']);
    expect(content).toBe('one\ntwo\nthree\n');
  });

  test('what was written and not synced is EIO on its handle, and nowhere else', async () => {
    const mounted = await resilient('--commit-on', 'fsync');
    const { main, crash, log } = mounted;
    const writer = await open(join(main, 'file'), 'a+');
    await writer.write('one\n');
    await writer.sync();
    await writer.write('two\n');
    const reader = await open(join(main, 'file'), 'r');
    expect(await textOf(reader)).toBe('one\ntwo\n');
    const neverStored = await open(join(main, 'new'), 'w');
    crash();
    await expect(writer.sync()).rejects.toThrow(/EIO/);
    await expect(writer.write('three\n')).rejects.toThrow(/EIO/);
    await expect(neverStored.write('x')).rejects.toThrow(/EIO/);
    expect(await textOf(reader)).toBe('one\n');
    await expect(stat(join(main, 'new'))).rejects.toThrow(/ENOENT/);
    // It stays so for the next daemon, while others write the same file.
    const second = await open(join(main, 'file'), 'a');
    await second.write('2\n');
    await second.sync();
    crash();
    await expect(writer.write('three\n')).rejects.toThrow(/EIO/);
    await second.write('3\n');
    expect(await textOf(reader)).toBe('one\n2\n3\n');
    expect(log()).toMatch(/warn open-file-lost name=file reason="it was written and not synced"/);
    expect(log().match(/error daemon-died signal=SIGKILL/g)).toHaveLength(2);
    await expect(writer.close()).rejects.toThrow(/EIO/);
    await expect(neverStored.close()).rejects.toThrow(/EIO/);
    await Promise.all([second.close(), reader.close()]);
    await unmount(mounted);
  });

  test('whoever opens a file before the next daemon is there appends where the file ends then', async () => {
    const mounted = await resilient('--commit-on', 'fsync');
    const { main, crash } = mounted;
    const path = join(main, 'file');
    const writer = await open(path, 'a');
    await writer.write('one\n');
    await writer.sync();
    await writer.write('lost\n');
    crash();
    // The kernel knows the name still, and a size that the file does not have any more.
    const next = await open(path, 'a');
    await next.write('two\n');
    await next.sync();
    await next.close();
    await expect(writer.close()).rejects.toThrow(/EIO/);
    expect(await readFile(path, 'utf8')).toBe('one\ntwo\n');
    // Nor one that is less than that.
    const cutter = await open(path, 'r+');
    await cutter.truncate(1);
    crash();
    await writeFile(path, 'three\n', { flag: 'a' });
    await expect(cutter.close()).rejects.toThrow(/EIO/);
    expect(await readFile(path, 'utf8')).toBe('one\ntwo\nthree\n');
    await unmount(mounted);
  });

  test('a writer goes on whose content was committed when another name of it was closed', async () => {
    const mounted = await resilient('--commit-delay', '10ms');
    const script = `exec 3>>main/log; echo one >&3
      until git -C ${mounted.gitDir} show main:log | grep -q one; do sleep 0.02; done
      kill -9 ${daemonsOf(mounted.mountpoint).join(' ')}
      echo two >&3`;
    await shell(script, { cwd: mounted.mountpoint });
    expect(await readFile(join(mounted.main, 'log'), 'utf8')).toBe('one\ntwo\n');
    await unmount(mounted);
  });

  test('working directories, listings and read-only files go on', async () => {
    const mounted = await resilient();
    const { main, mountpoint, crash } = mounted;
    const names = Array.from({ length: 300 }, (_, index) => `f${index}`);
    await mkdir(join(main, 'a/b'), { recursive: true });
    for (const name of names) await writeFile(join(main, 'a/b', name), name);
    await shell('sync main/a', { cwd: mountpoint });
    const tip = (await git(['--git-dir', mounted.gitDir, 'rev-parse', 'main'])).trim();
    const old = await open(join(mountpoint, '.commits', tip, 'a/b/f7'), 'r');
    const listing = await opendir(join(main, 'a/b'));
    const seen = [(await listing.read())!.name];
    const ready = join(await temporaryDirectory(), 'ready');
    const sitting = shell(`echo sits > here; touch ${ready}; sleep 0.3; cat f8; ls ..; pwd -P`, {
      cwd: join(main, 'a/b'),
    });
    // Not before it has closed the file: a daemon that dies sooner takes what it writes along.
    await eventually(() => stat(ready));
    crash();
    expect(await textOf(old)).toBe('f7');
    for await (const { name } of listing) seen.push(name);
    expect(new Set(seen)).toEqual(new Set(seen.includes('here') ? [...names, 'here'] : names));
    expect(seen.length).toBe(new Set(seen).size);
    expect(await sitting).toBe(`f8b\n${join(main, 'a/b')}\n`);
    await old.close();
    await unmount(mounted);
  });

  test('a file of a snapshot that is the whole mount goes on being read', async () => {
    const first = await resilient();
    await writeFile(join(first.main, 'file'), 'content');
    await shell('sync main', { cwd: first.mountpoint });
    await unmount(first);
    const mountpoint = await freshMountpoint();
    expect(
      await vostMount([first.gitDir, mountpoint, '--resilient', '--ref', 'main']),
    ).toMatchObject({ exitCode: 0 });
    const reader = await open(join(mountpoint, 'file'), 'r');
    for (const pid of daemonsOf(mountpoint)) process.kill(pid, 'SIGKILL');
    expect(await textOf(reader)).toBe('content');
    expect(await restartsOf(mountpoint)).toBe(1);
    await reader.close();
    await unmount({ ...first, mountpoint });
  });

  test('at any moment, nothing that was acknowledged is missing', async () => {
    const random = seededRandom(16);
    const mounted = await resilient();
    const { main, mountpoint, crash } = mounted;
    let isOver = false;
    const acknowledged: string[] = [];
    const writing = (async () => {
      for (let count = 0; !isOver; count++) {
        const handle = await open(join(main, 'lines'), 'a');
        try {
          await handle.write(`line ${count}\n`);
          await handle.sync();
          acknowledged.push(`line ${count}`);
        } catch (error) {
          expect(String(error)).toContain('EIO');
        }
        await handle.close().catch((error: unknown) => expect(String(error)).toContain('EIO'));
      }
    })();
    const making = (async () => {
      for (let count = 0; !isOver; count++) {
        const branch = join(mountpoint, `branch-${count}`);
        await mkdir(branch);
        await rename(branch, `${branch}-renamed`);
      }
    })();
    const reading = (async () => {
      await eventually(() => stat(join(main, 'lines')));
      const reader = await open(join(main, 'lines'), 'r');
      while (!isOver) expect(await textOf(reader)).toMatch(/^(line \d+\n?)*/);
      await reader.close();
    })();
    const moreAcknowledged = async (): Promise<void> => {
      const before = acknowledged.length;
      await eventually(() => expect(acknowledged.length).toBeGreaterThan(before), 10_000);
    };
    for (let crashes = 0; crashes < 4; crashes++) {
      await moreAcknowledged();
      await sleep(100 * random());
      await eventually(async () => expect(await restartsOf(mountpoint)).toBe(crashes), 10_000);
      crash();
    }
    await moreAcknowledged();
    isOver = true;
    await Promise.all([writing, making, reading]);
    expect(await restartsOf(mountpoint)).toBe(4);
    await unmount(mounted);
    const stored = await git(['--git-dir', mounted.gitDir, 'show', 'main:lines']);
    const lines = new Set(stored.split('\n'));
    expect(acknowledged.filter((line) => !lines.has(line))).toEqual([]);
  });
});

test('a daemon that keeps dying is given up, and its mount taken away', async () => {
  const { mountpoint, log } = await resilient();
  await eventually(async () => {
    for (const pid of daemonsOf(mountpoint)) process.kill(pid, 'SIGKILL');
    expect(await isMounted(mountpoint)).toBe(false);
  }, 20_000);
  await eventually(() => expect(processesOf(mountpoint)).toEqual([]));
  expect(log().match(/error daemon-died signal=SIGKILL/g)).toHaveLength(5);
  expect(log()).toContain(
    `vost-mount: the daemon died 5 times within 30 s; ${mountpoint} is unmounted\n`,
  );
});

test('a daemon that dies without its journal is not followed by one that knows nothing', async () => {
  const { mountpoint, log, crash } = await resilient();
  const [journal = ''] = runtimeFilesOf((await mountAt(mountpoint))!);
  expect(journal).toMatch(/\.journal$/);
  await rm(journal);
  crash();
  await eventually(() => expect(processesOf(mountpoint)).toEqual([]));
  expect(await isMounted(mountpoint)).toBe(false);
  expect(log()).toContain(
    `vost-mount: the daemon died, and its journal ${journal} is gone; ${mountpoint} is unmounted\n`,
  );
});

test('a signal to the guardian, or to all processes, commits and ends both', async () => {
  for (const reached of [guardianOf, processesOf]) {
    const mounted = await resilient('--commit-on', 'fsync');
    const { gitDir, mountpoint, main } = mounted;
    await writeFile(join(main, 'closed'), 'closed\n');
    for (const pid of [reached(mountpoint)].flat()) process.kill(pid, 'SIGTERM');
    await eventually(() => expect(processesOf(mountpoint)).toEqual([]));
    expect(await isMounted(mountpoint)).toBe(false);
    expect(await git(['--git-dir', gitDir, 'show', 'main:closed'])).toBe('closed\n');
  }
});

test('a second signal to the guardian ends a daemon that cannot end in order', async () => {
  const { gitDir, mountpoint, log } = await resilient('--commit-on', 'fsync');
  await shell('echo closed > main/closed', { cwd: mountpoint });
  // The last commit waits for the lock.
  await shell('touch refs/heads/main.lock', { cwd: gitDir });
  const guardian = guardianOf(mountpoint);
  process.kill(guardian, 'SIGTERM');
  // Another one, for the same twice may come as one.
  process.kill(guardian, 'SIGINT');
  await eventually(() => expect(processesOf(mountpoint)).toEqual([]));
  expect(log()).toContain('vost-mount: a second signal: ending without a last commit\n');
  expect(await isMounted(mountpoint)).toBe(false);
});

test('umount(8) while the daemon is dead ends the guardian', async () => {
  const { mountpoint } = await resilient();
  const guardian = guardianOf(mountpoint);
  process.kill(guardian, 'SIGSTOP');
  for (const pid of daemonsOf(mountpoint)) process.kill(pid, 'SIGKILL');
  execFileSync('umount', ['-l', mountpoint], { timeout: 5000 });
  process.kill(guardian, 'SIGCONT');
  await eventually(() => expect(processesOf(mountpoint)).toEqual([]));
});

test('a guardian that ends late leaves the next mount alone, which has its place and number', async () => {
  const first = await resilient();
  const { device } = (await mountAt(first.mountpoint))!;
  const late = guardianOf(first.mountpoint);
  process.kill(late, 'SIGSTOP');
  let next: Resilient;
  try {
    execFileSync('umount', [first.mountpoint], { timeout: 5000 });
    await makeNext(device);
    next = await resilientAt(first.mountpoint);
    expect((await mountAt(next.mountpoint))!.device).toBe(device);
  } finally {
    process.kill(late, 'SIGCONT');
  }
  await eventually(() => expect(existsSync(`/proc/${late}`)).toBe(false));
  const [journal, socket, ...others] = runtimeFilesOf((await mountAt(next.mountpoint))!);
  expect([journal, socket, others]).toEqual([
    expect.stringMatching(/\.journal$/),
    expect.stringMatching(/\.sock$/),
    [],
  ]);
  await shell('echo content > file; sync file', { cwd: next.main });
  next.crash();
  expect(await readFile(join(next.main, 'file'), 'utf8')).toBe('content\n');
  await unmount(next);
});

test('a journal that a killed guardian has left goes when its number comes again', async () => {
  const { mountpoint } = await resilient();
  const entry = (await mountAt(mountpoint))!;
  const guardian = guardianOf(mountpoint);
  process.kill(guardian, 'SIGKILL');
  execFileSync('umount', [mountpoint], { timeout: 5000 });
  await eventually(() => expect(processesOf(mountpoint)).toEqual([]));
  await eventually(() => expect(existsSync(`/proc/${guardian}`)).toBe(false));
  expect(runtimeFilesOf(entry).filter((path) => path.endsWith('.journal'))).toHaveLength(1);
  await makeNext(entry.device);
  const next = await resilientAt(mountpoint);
  expect((await mountAt(mountpoint))!.device).toBe(entry.device);
  expect(runtimeFilesOf(entry).filter((path) => path.endsWith('.journal'))).toHaveLength(1);
  await unmount(next);
});

test('a mount goes on without its guardian', async () => {
  const mounted = await resilient();
  process.kill(guardianOf(mounted.mountpoint), 'SIGKILL');
  await writeFile(join(mounted.main, 'file'), 'content');
  expect(await vostMount(['unmount', mounted.mountpoint])).toMatchObject({ exitCode: 0 });
  const content = await git(['--git-dir', mounted.gitDir, 'show', 'main:file']);
  expect(content).toBe('content');
});

test('what keeps the first daemon from serving is said', async () => {
  const mountpoint = await freshMountpoint();
  const result = await vostMount(['/nowhere', mountpoint, '--no-create', '--resilient']);
  expect(result).toMatchObject({
    exitCode: 1,
    stderr: 'vost-mount: /nowhere does not exist, and it is not to be created\n',
  });
  expect(await isMounted(mountpoint)).toBe(false);
});

test('a first daemon that dies before it serves is told of', async () => {
  const mountpoint = await freshMountpoint();
  const mounting = vostMount([
    join(await temporaryDirectory(), 'repo.git'),
    mountpoint,
    '--resilient',
  ]);
  await eventually(
    () => {
      const daemons = daemonsOf(mountpoint);
      expect(daemons).not.toEqual([]);
      for (const pid of daemons) process.kill(pid, 'SIGKILL');
    },
    10_000,
    5,
  );
  expect(await mounting).toMatchObject({
    exitCode: 1,
    stderr: 'vost-mount: the daemon ended by SIGKILL; -f or --log-file shows why\n',
  });
  expect(await isMounted(mountpoint)).toBe(false);
});
