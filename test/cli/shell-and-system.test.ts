import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { mountOptions } from '../../src/cli/options.ts';
import { eventually } from '../helpers/eventually.ts';
import { mountRepository, vostMount } from '../helpers/mount.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const shown = Object.entries(mountOptions).filter(([, { hidden }]) => hidden !== true);

test('the manual and --help name the same options, with the same words', async () => {
  const manual = await readFile(
    fileURLToPath(new URL('../../dist/man/vost-mount.1', import.meta.url)),
    'utf8',
  );
  const plain = manual.replaceAll('\\-', '-').replaceAll(/\\f[BIR]/g, '');
  const help = (await vostMount(['--help'])).stdout.replaceAll(/\s+/g, ' ');
  expect(shown.length).toBeGreaterThan(25);
  for (const [name, { describe }] of shown) {
    expect(plain).toContain(`--${name}`);
    expect(help).toContain(`--${name} `);
    expect(plain.toLowerCase()).toContain(String(describe).toLowerCase());
  }
  // Nothing that troff would take for a request, but for requests.
  for (const line of manual.split('\n'))
    expect(line).not.toMatch(/^[.'](?!([A-Z]{1,2}|nf|fi|br)\b)/);
});

test('bash completes verbs, options, values, files and mountpoints', async () => {
  const mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
  const script = (await vostMount(['completion'])).stdout;
  const complete = async (...words: string[]): Promise<string[]> => {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const output = await program('bash', [
      '-c',
      `${script}
       compopt() { :; }
       COMP_WORDS=(vost-mount ${quoted}); COMP_CWORD=${words.length}; _vost_mount
       printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]);
    return output.trim().split('\n');
  };
  expect(await complete('unm')).toEqual(['unmount']);
  expect(await complete('x.git', '/mnt', '--read')).toEqual(['--read-only']);
  expect(await complete('x.git', '/mnt', '--log-level', 'w')).toEqual(['warn']);
  expect(await complete('x.git', '/mnt', '--transport', 'fu')).toEqual(['fuse-native']);
  expect(await complete('x.git', '/etc/pass')).toContain('/etc/passwd');
  expect(await complete('--log-file', '/etc/pass')).toContain('/etc/passwd');
  expect(await complete('status', mounted.mountpoint.slice(0, -1))).toEqual([mounted.mountpoint]);
  await mounted.unmount();
});

test('the directory that somebody mounts on is completed as a name, whatever is in it', async () => {
  const directory = await temporaryDirectory();
  const mountpoint = join(directory, 'a b$(touch${IFS}pwned)`touch${IFS}pwned`\\\t*');
  await mkdir(mountpoint);
  const mounted = await mountRepository(join(directory, 'repo.git'), { mountpoint });
  const script = (await vostMount(['completion'])).stdout;
  const completed = `${script}
    COMP_WORDS=(vost-mount status "$0"); COMP_CWORD=2; _vost_mount
    eval "printf '%s\\n' \${COMPREPLY[*]}"; ls`;
  const output = await program('bash', ['-c', completed, join(directory, 'a')], { cwd: directory });
  expect(output.split('\n').slice(0, 1)).toEqual([mountpoint]);
  expect(output).not.toContain('\npwned\n');
  await mounted.unmount();
});

test('options are completed that belong to the verb', async () => {
  const script = (await vostMount(['completion'])).stdout;
  const complete = (...words: string[]): Promise<string> =>
    program('bash', [
      '-c',
      `${script}
       COMP_WORDS=(vost-mount "$@"); COMP_CWORD=$#; _vost_mount; echo "\${COMPREPLY[@]}"`,
      ...['bash', ...words],
    ]);
  expect(await complete('list', '--')).toBe('--json\n');
  expect(await complete('status', '/mnt', '--')).toBe('--json\n');
  expect(await complete('commit', '/mnt', '--')).toBe('--message\n');
  expect(await complete('unmount', '--')).toBe('\n');
});

test('systemd is told when the mount answers', async () => {
  const directory = await temporaryDirectory();
  const socket = join(directory, 'notify');
  const listener = `
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
listener.settimeout(20)
print(listener.recv(4096).decode(), flush=True)
`;
  const received = program('python3', ['-c', listener, socket], { timeoutMs: 25_000 });
  await eventually(() => program('test', ['-S', socket]));
  const mounted = await mountRepository(join(directory, 'repo.git'), {
    env: { NOTIFY_SOCKET: socket },
  });
  const message = await received;
  expect(message.split('\n')).toEqual(
    expect.arrayContaining([
      'READY=1',
      `STATUS=serving ${mounted.mountpoint}`,
      `MAINPID=${mounted.pid}`,
    ]),
  );
  await mounted.unmount();
});

test('a mount goes on when systemd cannot be told, and says so', async () => {
  const mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'), {
    env: { NOTIFY_SOCKET: '/nonexistent/notify' },
  });
  await eventually(() => {
    expect(mounted.daemonLog()).toContain('systemd was not told that the mount is ready');
  });
  await mounted.unmount();
});
