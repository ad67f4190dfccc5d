import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { answers, freePort, started } from './git-servers.ts';
import type { GitServer } from './git-servers.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const run = promisify(execFile);

/** A running sshd, and how to be let in. */
export interface SshServer extends GitServer {
  /** A value for `GIT_SSH_COMMAND`: a client with the key, which knows the server on any port. */
  readonly command: string;
  /** A name that the client's configuration has for the server, its port included. */
  readonly alias: string;
}

/**
 * Debian's sshd on loopback, for the user of this process, with a host key and a user key made for
 * this and configuration of its own: no password, nothing from `/etc/ssh` or the user's home.
 */
export async function sshServer(): Promise<SshServer> {
  const directory = await temporaryDirectory();
  const path = (name: string): string => join(directory, name);
  for (const name of ['host', 'user']) {
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path(name)]);
  }
  await copyFile(path('user.pub'), path('authorized'));
  const hostKey = await readFile(path('host.pub'), 'utf8');
  await writeFile(path('known'), `vost-test ${hostKey}`);
  const port = await freePort();
  await writeFile(path('sshd_config'), serverConfiguration(port, path));
  await writeFile(path('ssh_config'), clientConfiguration(port, path));
  // sshd wants this directory for the part of it that has no rights; Debian makes it at boot.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  // By its full path, for it runs itself once more for each connection.
  const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', path('sshd_config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-4000)));
  const deadline = Date.now() + 10_000;
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`sshd ended: ${log}`);
    if (Date.now() > deadline) throw new Error(`sshd does not begin to listen: ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const server = started(port, async () => {
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  });
  return { ...server, command: `ssh -F ${path('ssh_config')}`, alias: 'vost-test' };
}

function serverConfiguration(port: number, path: (name: string) => string): string {
  return [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${path('host')}`,
    `AuthorizedKeysFile ${path('authorized')}`,
    `AllowUsers ${userInfo().username}`,
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    // They are below the directory for temporary files, which anybody may write to.
    'StrictModes no',
    // Or bash takes itself for a login, and reads what somebody's home has it do: a second, at times.
    'SetEnv SHLVL=1',
    'PidFile none',
    '',
  ].join('\n');
}

function clientConfiguration(port: number, path: (name: string) => string): string {
  return [
    'Host vost-test',
    'HostName 127.0.0.1',
    `Port ${port}`,
    'Host *',
    `User ${userInfo().username}`,
    'HostKeyAlias vost-test',
    `UserKnownHostsFile ${path('known')}`,
    'GlobalKnownHostsFile none',
    'StrictHostKeyChecking yes',
    `IdentityFile ${path('user')}`,
    'IdentitiesOnly yes',
    'BatchMode yes',
    'LogLevel ERROR',
    '',
  ].join('\n');
}
