import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { statusCommand } from '../../src/cli/commands/status.ts';
import { unmountCommand } from '../../src/cli/commands/unmount.ts';
import { controlSocketPath } from '../../src/cli/control-protocol.ts';
import { BackgroundDaemon } from '../../src/cli/daemonize.ts';
import { CommandError } from '../../src/cli/exit-codes.ts';
import { readLine } from '../../src/cli/line-channel.ts';
import type { MountInvocation } from '../../src/cli/mount-invocation.ts';
import { describeFailure } from '../../src/cli/run-command.ts';
import { runProgram } from '../../src/mount/fuse/mounting.ts';
import { nativeMount } from '../../src/mount/libfuse/fuse-native.ts';
import type { NativeOperations } from '../../src/mount/libfuse/fuse-native.ts';
import { mount } from '../../src/mount/mount.ts';
import { mountAt } from '../../src/mount/mount-table.ts';
import { probeMount } from '../../src/mount/mountpoint.ts';
import { freshMountpoint, mountRepository, vostMount } from '../helpers/mount.ts';
import { vostMountProgram } from '../helpers/mount.ts';
import { programResult } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// What goes wrong in ways that a sound system has to be made to show: programs of the system are
// replaced by others, found first on the path.

const path = process.env['PATH']!;
afterEach(() => {
  process.env['PATH'] = path;
});

/** A path on which this script stands for a program of the system. */
async function pathWith(program: string, script: string): Promise<string> {
  const directory = join(await temporaryDirectory(), 'bin');
  await mkdir(directory);
  await writeFile(join(directory, program), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, program), 0o755);
  return `${directory}:${path}`;
}

const invocation: MountInvocation = {
  ...{ verb: 'mount', repository: '/r', mountpoint: '/m', foreground: false, resilient: false },
  options: {},
};

/** Starts this program in the place of the daemon, and has it mount. */
function startAndMount(program: string, timeoutMs: number): Promise<void> {
  return BackgroundDaemon.start('/r', '/m', { program }).mount(invocation, timeoutMs);
}

describe('a daemon that is started', () => {
  test('and never says that it is ready is ended', async () => {
    const program = join(await temporaryDirectory(), 'silent.mjs');
    await writeFile(program, 'setInterval(() => undefined, 1000);');
    await expect(startAndMount(program, 300)).rejects.toThrow(
      'the daemon did not get ready in time',
    );
  });

  test('and ends without a word is told of', async () => {
    const program = join(await temporaryDirectory(), 'ending.mjs');
    await writeFile(program, 'process.exitCode = 7;');
    await expect(startAndMount(program, 20_000)).rejects.toThrow(
      'the daemon ended with exit code 7 before the mount was ready; -f or --log-file shows why',
    );
    await writeFile(program, "process.kill(process.pid, 'SIGKILL');");
    await expect(startAndMount(program, 20_000)).rejects.toThrow(
      'the daemon ended by SIGKILL before the mount was ready',
    );
  });
});

test('a mount that is made and does not answer is told of', async () => {
  const mountpoint = await freshMountpoint();
  const PATH = await pathWith('stat', 'echo "Transport endpoint is not connected" >&2; exit 1');
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  expect(await vostMount([gitDir, mountpoint, '-o', 'rw'], { env: { PATH } })).toMatchObject({
    exitCode: 1,
    stderr: `vost-mount: ${mountpoint} is mounted, but it does not answer\n`,
  });
});

test('programs of the system that are missing are named', async () => {
  process.env['PATH'] = '/nonexistent';
  await expect(probeMount('/somewhere')).rejects.toThrow(
    'cannot run stat: it is needed for /somewhere, and is not on the path',
  );
  process.env['PATH'] = await pathWith('stat', '');
  await chmod(join(process.env['PATH'].split(':')[0]!, 'stat'), 0o644);
  process.env['PATH'] = process.env['PATH'].split(':')[0];
  await expect(probeMount('/somewhere')).rejects.toThrow('cannot run stat: spawn stat EACCES');
});

test('a program of the system that fails, or does not end, is told of', async () => {
  const fails = (script: string): Promise<void> => runProgram('sh', ['-c', script], '/m');
  await expect(fails('exit 3')).rejects.toThrow('sh /m: ended with 3');
  await expect(fails('kill -9 $$')).rejects.toThrow('sh /m: ended with SIGKILL');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const hanging = expect(fails('exec sleep 600')).rejects.toThrow(
      'sh /m: does not return after 30 s',
    );
    vi.advanceTimersByTime(30_000);
    await hanging;
  } finally {
    vi.useRealTimers();
  }
});

test('a program that is held back gets what it is called with, and its end is told of', async () => {
  const path = join(await temporaryDirectory(), 'called with');
  const script = 'read -r line; printf "<%s>" "$line" "$@" > "$0"';
  const args = ['-c', script, path, 'a  b', '"$x"', '', '-n'];
  await runProgram('sh', args, '/m', { isHeldBack: true });
  expect(readFileSync(path, 'utf8')).toBe('<><a  b><"$x"><><-n>');
  const fails = (program: string, ...rest: string[]): Promise<void> =>
    runProgram(program, rest, '/m', { isHeldBack: true });
  await expect(fails('sh', '-c', 'echo no >&2; exit 3')).rejects.toThrow('sh /m: no');
  await expect(fails('no-such-program')).rejects.toThrow(/^no-such-program \/m: .*not found/);
});

test('what is said stays one line, whatever it holds', () => {
  const error = new CommandError('umount: no\n   see \x1b[31m dmesg\u202e\x85\n');
  expect(describeFailure(error)).toBe('umount: no see \\u001b[31m dmesg\\u202e\\u0085');
});

test('a line that never comes to its end', async () => {
  const endless = Readable.from([Buffer.alloc(2 ** 20 + 1, 'x')]);
  await expect(readLine(endless, 5000)).rejects.toThrow('the line has no end');
  await expect(readLine(new PassThrough(), 10)).rejects.toThrow('no answer within 0.01 s');
});

test('options of the library that mean nothing together', async () => {
  const [gitDir, mountpoint] = [join(await temporaryDirectory(), 'r'), await freshMountpoint()];
  await expect(mount(gitDir, mountpoint, { branch: 'main', tag: 'v1' })).rejects.toThrow(
    'branch, ref and tag exclude each other',
  );
  await expect(mount(gitDir, mountpoint, { back: 1 })).rejects.toThrow(
    'a commit is chosen along a history: name a ref, tag or branch',
  );
});

test('paths that are too long for libfuse', () => {
  const options = `fsname=${'x'.repeat(1024)}`;
  expect(() => nativeMount('/m', {} as NativeOperations, options)).toThrow(
    'the paths of the repository and the mountpoint are too long for fuse-native; use --transport kernel',
  );
});

test('a mount that cannot be looked at is told of in the words of the system', async () => {
  process.env['PATH'] = await pathWith('stat', 'echo "stat: out of luck" >&2; exit 1');
  await expect(probeMount('/somewhere')).rejects.toThrow(
    'cannot look at /somewhere: stat: out of luck',
  );
});

test('a mount that goes while it is looked at is left out of the list', async () => {
  const mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
  const { mountpoint } = mounted;
  const PATH = await pathWith(
    'stat',
    `for path; do :; done
     test "$path" = '${mountpoint}' || PATH='${path}' exec stat "$@"
     umount -l "$path"; rmdir "$path"; PATH='${path}' exec stat "$@"`,
  );
  const { exitCode, stdout, stderr } = await vostMount(['list'], { env: { PATH } });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout).not.toContain(mountpoint);
  expect(await mounted.ended()).toMatchObject({ exitCode: 0 });
});

test('a mount that the system keeps is told of in its words', async () => {
  const mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
  const { mountpoint } = mounted;
  await mounted.stop('SIGKILL');
  process.env['PATH'] = await pathWith('umount', 'echo "umount: not today" >&2; exit 32');
  await expect(unmountCommand({ mountpoint })).rejects.toThrow(
    `cannot unmount ${mountpoint}: umount: not today`,
  );
});

test('a mount that stays when it was taken away is told of', async () => {
  const mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
  const { mountpoint } = mounted;
  await mounted.stop('SIGKILL');
  process.env['PATH'] = await pathWith('umount', 'exit 0');
  await expect(unmountCommand({ mountpoint }, 100)).rejects.toThrow(
    `${mountpoint} is still mounted`,
  );
});

test('what keeps libfuse from mounting is told, with where its reason stands', async () => {
  const mountpoint = await freshMountpoint();
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  const command = [process.execPath, vostMountProgram, gitDir, mountpoint, '-f'];
  const script = `mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec ${command.join(' ')} --transport fuse-native`;
  const { exitCode, stderr } = await programResult('unshare', ['-m', 'sh', '-c', script]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /vost-mount: libfuse cannot mount on \S+: .*; its reason is on the standard error/,
  );
});

test('a daemon that answers in another way is told of', async () => {
  const mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
  const { mountpoint } = mounted;
  const socket = controlSocketPath((await mountAt(mountpoint))!);
  await mounted.stop('SIGKILL');
  await rm(socket, { force: true });
  const answered = async (answer: string): Promise<void> => {
    const server = createServer((client) => client.end(answer)).listen(socket);
    await once(server, 'listening');
    try {
      await statusCommand({ mountpoint, json: false });
    } finally {
      server.close();
    }
  };
  await expect(answered('{"ok":true,"pid":1}\n')).rejects.toThrow(
    'the daemon answered without a status',
  );
  await expect(answered('')).rejects.toThrow(
    `the daemon of ${mountpoint} does not answer (it ended without an answer); wait, or take`,
  );
});

test('a system that has no sockets left is told of', async () => {
  const source = fileURLToPath(new URL('../../src/mount/fuse/', import.meta.url));
  const loader = fileURLToPath(new URL('../../scripts/typescript-loader.mjs', import.meta.url));
  const script = `
    import { execFileSync } from 'node:child_process';
    const { openDescriptorSocket } = await import('${source}descriptor-socket.ts');
    await openDescriptorSocket('/m');
    execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=3:']);
    await openDescriptorSocket('/m').catch(({ message }) => console.log(message));
  `;
  const args = ['--import', loader, '--input-type=module', '--eval', script];
  expect(await programResult(process.execPath, args)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining('cannot make a socket: too many open files') as string,
  });
});
