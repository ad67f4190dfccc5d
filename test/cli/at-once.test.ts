import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, readdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import {
  daemonEnvironment,
  freshMountpoint,
  installedCommand,
  isMounted,
  pathOfNode,
  processesNaming,
  vostMount,
  vostMountProgram,
} from '../helpers/mount.ts';
import { program, programResult } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// `vost-mount REPOSITORY MOUNTPOINT`, for which a shell starts the daemon without anybody between them.

/** A path on which `node` is this script; `$real` there is the one that runs the tests. */
async function pathWithNode(script: string): Promise<string> {
  const directory = join(await temporaryDirectory(), 'bin');
  await mkdir(directory);
  const text = `#!/bin/sh\nreal=${process.execPath}\n${script}\n`;
  await writeFile(join(directory, 'node'), text);
  await chmod(join(directory, 'node'), 0o755);
  return `${directory}:${pathOfNode}`;
}

async function newRepository(): Promise<string> {
  return join(await temporaryDirectory(), 'new.git');
}

describe('the plain form of a mount', () => {
  test('starts one process, on its own, away from where it was started', async () => {
    const mountpoint = await freshMountpoint();
    expect(await vostMount([await newRepository(), mountpoint])).toEqual({
      ...{ exitCode: 0, stdout: '', stderr: '' },
    });
    const [pid, ...others] = processesNaming(mountpoint);
    expect(others).toEqual([]);
    expect(await readlink(`/proc/${pid}/cwd`)).toBe('/');
    for (const descriptor of [0, 1, 2]) {
      expect(await readlink(`/proc/${pid}/fd/${descriptor}`)).toBe('/dev/null');
    }
    expect(Number(await program('ps', ['-o', 'sid=', '-p', String(pid)]))).toBe(pid);
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
    await eventually(() => expect(processesNaming(mountpoint)).toEqual([]));
  });

  test('has as many threads to sync with as it is told, and eight by itself', async () => {
    const threads = async (env: Readonly<Record<string, string>>): Promise<number> => {
      const mountpoint = await freshMountpoint();
      await vostMount([await newRepository(), mountpoint], {
        env: { ...daemonEnvironment, ...env },
      });
      await writeFile(join(mountpoint, 'main/file'), 'content', { flush: true });
      const [pid] = processesNaming(mountpoint);
      const tasks = await readdir(`/proc/${pid}/task`);
      expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
      return tasks.length;
    };
    const few = await threads({ UV_THREADPOOL_SIZE: '2' });
    expect(await threads({})).toBe(few + 6);
  });

  test('has its memory in large pages, unless somebody says how glibc is to take it', async () => {
    const repository = await newRepository();
    const tunables = async (...variable: string[]): Promise<string | undefined> => {
      const mountpoint = await freshMountpoint();
      const args = [...variable, installedCommand, repository, mountpoint];
      const env = { ...daemonEnvironment, PATH: pathOfNode };
      expect(await programResult('env', args, { env })).toMatchObject({ exitCode: 0 });
      const [pid] = processesNaming(mountpoint);
      const variables = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
      expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
      return variables.find((variable) => variable.startsWith('GLIBC_TUNABLES='));
    };
    expect(await tunables('-u', 'GLIBC_TUNABLES')).toMatch(/=glibc\.malloc\.hugetlb=1/);
    expect(await tunables('GLIBC_TUNABLES=')).toBe('GLIBC_TUNABLES=');
  });

  test('takes paths as they are, from where it is started, through a link to the command', async () => {
    const directory = await temporaryDirectory();
    const link = join(directory, 'a link');
    await symlink(installedCommand, link);
    const mountpoint = await freshMountpoint();
    const [above, name] = [join(mountpoint, '..'), `${basename(mountpoint)}/in  "$HOME": *\n`];
    await mkdir(join(above, name));
    const env = { ...daemonEnvironment, PATH: pathOfNode };
    const mounted = await programResult(link, ['new  "one".git', name], { cwd: above, env });
    expect(mounted).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(await isMounted(join(above, name))).toBe(true);
    expect(await program('ls', [above])).toBe('mnt\nnew  "one".git\n');
    expect(await vostMount(['unmount', name], { cwd: above })).toMatchObject({ exitCode: 0 });
  });

  test('fails with the words and the exit code of the other form', async () => {
    const mountpoint = await freshMountpoint();
    await writeFile(join(mountpoint, 'covered'), '');
    const repository = await newRepository();
    const file = join(mountpoint, 'covered');
    for (const args of [
      [repository, mountpoint],
      [repository, join(mountpoint, 'missing')],
      [repository, file],
      [file, mountpoint],
      ['', mountpoint],
      [repository, ''],
    ]) {
      const { exitCode, stderr, stdout } = await vostMount(args);
      const other = await programResult(process.execPath, [vostMountProgram, '-f', ...args]);
      expect({ exitCode, stderr, stdout }).toEqual(other);
      expect(exitCode).toBeGreaterThan(0);
      expect(await isMounted(mountpoint)).toBe(false);
    }
  });

  test('says so when the daemon ends without a word', async () => {
    const mountpoint = await freshMountpoint();
    const PATH = await pathWithNode('kill -9 $$');
    expect(await vostMount([await newRepository(), mountpoint], { env: { PATH } })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        'vost-mount: the daemon ended before the mount was ready; -f or --log-file shows why\n',
    });
  });

  test('says so when what was mounted does not answer', async () => {
    const missing = join(await freshMountpoint(), 'missing');
    const PATH = await pathWithNode('echo 0 >&3');
    expect(await vostMount([await newRepository(), missing], { env: { PATH } })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `vost-mount: ${missing} is mounted, but it does not answer\n`,
    });
  });

  test('that is interrupted leaves no mount', async () => {
    const mountpoint = await freshMountpoint();
    const PATH = await pathWithNode('sleep 1; exec $real "$@"');
    const command = spawn(installedCommand, [await newRepository(), mountpoint], {
      env: { ...process.env, ...daemonEnvironment, PATH },
      stdio: 'ignore',
      detached: true,
    });
    await eventually(() => expect(processesNaming(mountpoint).length).toBeGreaterThan(1));
    process.kill(-command.pid!, 'SIGINT');
    await once(command, 'exit');
    await eventually(() => expect(processesNaming(mountpoint)).toEqual([]), 20_000);
    expect(await isMounted(mountpoint)).toBe(false);
  });

  test('works without setsid', async () => {
    const directory = join(await temporaryDirectory(), 'bin');
    await mkdir(directory);
    for (const name of ['readlink', 'stat', 'mount', 'umount', 'git', 'sh']) {
      const path = await program('sh', ['-c', `command -v ${name}`]);
      await symlink(path.trim(), join(directory, name));
    }
    await symlink(process.execPath, join(directory, 'node'));
    const mountpoint = await freshMountpoint();
    const env = { PATH: directory };
    expect(await vostMount([await newRepository(), mountpoint], { env })).toMatchObject({
      exitCode: 0,
    });
    expect(await isMounted(mountpoint)).toBe(true);
    expect(await vostMount(['unmount', mountpoint], { env })).toMatchObject({ exitCode: 0 });
  });
});

test.each([
  ['--version'],
  ['list', '--json'],
  ['status', '/nonexistent/place'],
  ['--branch', 'main'],
  ['here'],
  [],
])('vost-mount %s %s is read as before', async (...args: string[]) => {
  const other = await programResult(process.execPath, [vostMountProgram, ...args]);
  expect(await vostMount(args)).toEqual(other);
});
