import { once } from 'node:events';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { statusCommand } from '../../src/cli/commands/status.ts';
import { unmountCommand } from '../../src/cli/commands/unmount.ts';
import { controlSocketPath } from '../../src/cli/control-protocol.ts';
import { BackgroundDaemon } from '../../src/cli/daemonize.ts';
import type { MountInvocation } from '../../src/cli/mount-invocation.ts';
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
  expect(await vostMount([gitDir, mountpoint], { env: { PATH } })).toMatchObject({
    exitCode: 1,
    stderr: `vost-mount: ${mountpoint} is mounted, but it does not answer\n`,
  });
});

test('a mount that cannot be looked at is told of in the words of the system', async () => {
  process.env['PATH'] = await pathWith('stat', 'echo "stat: out of luck" >&2; exit 1');
  await expect(probeMount('/somewhere')).rejects.toThrow(
    'cannot look at /somewhere: stat: out of luck',
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
  const server = createServer((client) => client.end('{"ok":true,"pid":1}\n')).listen(socket);
  await once(server, 'listening');
  try {
    await expect(statusCommand({ mountpoint, json: false })).rejects.toThrow(
      'the daemon answered without a status',
    );
  } finally {
    server.close();
  }
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
