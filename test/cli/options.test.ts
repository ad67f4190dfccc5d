import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../src/cli/options.ts';
import { UsageError } from '../../src/cli/exit-codes.ts';

async function mountOptions(...args: string[]): Promise<unknown> {
  const invocation = await parseCommandLine(['repo.git', '/mnt/x', ...args]);
  if (invocation.verb !== 'mount') throw new Error(`not a mount: ${invocation.verb}`);
  return invocation.options;
}

async function complaint(args: readonly string[]): Promise<string> {
  try {
    await parseCommandLine(args);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).exitCode).toBe(2);
    return (error as Error).message;
  }
  throw new Error(`accepted: ${args.join(' ')}`);
}

describe('a command line for mounting', () => {
  test('names paths as they are from here', async () => {
    expect(await parseCommandLine(['repo.git', '7'])).toEqual({
      verb: 'mount',
      repository: `${process.cwd()}/repo.git`,
      mountpoint: `${process.cwd()}/7`,
      foreground: false,
      resilient: false,
      options: {},
    });
  });

  test('may have paths that look like options after --', async () => {
    expect(await parseCommandLine(['-f', '--resilient', '--', '-a', '--b'])).toMatchObject({
      repository: `${process.cwd()}/-a`,
      mountpoint: `${process.cwd()}/--b`,
      foreground: true,
      resilient: true,
    });
  });

  test.for<[string[], object]>([
    [['--branch', 'main'], { branch: 'main' }],
    [['-b', '007'], { branch: '007' }],
    [['--ref=main~3'], { ref: 'main~3' }],
    [['--tag', 'v1'], { tag: 'v1' }],
    [['--read-only'], { readOnly: true }],
    [['--no-create'], { create: false }],
    [['--commit-on', 'close'], { commitOn: 'close' }],
    [['--commit-on', 'fsync'], { commitOn: 'fsync' }],
    [['--commit-delay', '250'], { commitDelayMs: 250 }],
    [['--commit-delay', '2s'], { commitDelayMs: 2000 }],
    [['--message', ''], { message: '' }],
    [['--author', 'A B', '--email', 'a@b'], { author: 'A B', email: 'a@b' }],
    [['--scratch', '*.x'], { scratch: ['*.x'] }],
    [['--scratch', '*.x', '--scratch', 'y'], { scratch: ['*.x', 'y'] }],
    [['--gitignore'], { gitignore: true }],
    [['--max-file-size', '5'], { maxFileSizeBytes: 5 }],
    [['--max-file-size', '3GiB'], { maxFileSizeBytes: 3 * 2 ** 30 }],
    [['--cache-size', '64k'], { cacheSizeBytes: 65536 }],
    [['--spool-dir', '/var/spool'], { spoolDirectory: '/var/spool' }],
    [['--allow-other', '--nonempty'], { allowOther: true, nonEmpty: true }],
    [['--uid', '0', '--gid', '65534'], { uid: 0, gid: 65534 }],
    [['--snapdir', 'visible'], { showDotDirectories: true }],
    [['--transport', 'fuse-native'], { transport: 'fuse-native' }],
    [['--log-level', 'info'], { logLevel: 'info' }],
    [['--debug'], { logLevel: 'debug' }],
  ])('%j', async ([args, expected]) => {
    expect(await mountOptions(...args)).toEqual(expected);
  });

  test.for<[string, object]>([
    ['ro', { readOnly: true }],
    ['ro,rw', { readOnly: false }],
    ['rw,ro', { readOnly: true }],
    ['branch=a=b', { branch: 'a=b' }],
    ['message=one\\, two', { message: 'one, two' }],
    ['allow_other,commit_delay=1s,', { allowOther: true, commitDelayMs: 1000 }],
    ['rw,nosuid,nodev,suid,dev,exec', { readOnly: false }],
    ['noexec,noatime', { kernelOptions: ['noexec', 'noatime'] }],
    ['snapdir=visible,nonempty', { showDotDirectories: true, nonEmpty: true }],
    ['rw,noexec,nosuid,nodev,user=somebody', { readOnly: false, kernelOptions: ['noexec'] }],
    ['defaults,noauto,user,_netdev,nofail,x-systemd.automount,comment=x', {}],
  ])('-o %s', async ([list, expected]) => {
    expect(await mountOptions('-o', list)).toEqual(expected);
    expect(await mountOptions(`-o${list}`)).toEqual(expected);
  });
});

describe('a wrong command line says what is wrong', () => {
  test.for<[string[], RegExp]>([
    [[], /a repository and a mountpoint are needed/],
    [['repo'], /a repository and a mountpoint are needed/],
    [['repo', ''], /the mountpoint needs a path/],
    [['repo', 'mnt', 'more'], /"more" is one argument too many/],
    [['repo', 'mnt', '--colour'], /there is no option --colour/],
    [['repo', 'mnt', '-z'], /there is no option -z/],
    [['repo', 'mnt', '--json'], /there is no option --json/],
    [['repo', 'mnt', '--create'], /there is no option --create/],
    [['repo', 'mnt', '--branch'], /--branch needs a value/],
    [['repo', 'mnt', '-b', 'x', '-b', 'y'], /--branch is given twice/],
    [['repo', 'mnt', '--branch', 'x', '--tag', 'y'], /--branch and --tag exclude each other/],
    [['repo', 'mnt', '--read-only=yes'], /--read-only takes no value/],
    [['repo', 'mnt', '--uid', 'root'], /--uid: "root" is no numeric id/],
    [['repo', 'mnt', '--gid', '4294967295'], /--gid: "4294967295" is no numeric id/],
    [['repo', 'mnt', '--cache-size', 'big'], /--cache-size: "big" is no size/],
    [['repo', 'mnt', '--max-file-size', '0'], /--max-file-size: "0" is no size/],
    [['repo', 'mnt', '--commit-delay', '-1'], /--commit-delay/],
    [
      ['repo', 'mnt', '--commit-delay', 'soon'],
      /"soon" is no time; give milliseconds or 250ms, 2s/,
    ],
    [['repo', 'mnt', '--commit-on', 'idle:soon'], /--commit-on: "soon" is no time; give milli/],
    [['repo', 'mnt', '--tag', 'v1', '--back', 'x'], /--back: "x" is no number/],
    [['repo', 'mnt', '--tag', 'v1', '--before', 'x'], /--before: "x" is no time; give 2026-11-20/],
    [['repo', 'mnt', '--match', 'x'], /--match needs --ref, --tag or --branch/],
    [
      ['repo', 'mnt', '--commit-on', 'never'],
      /--commit-on: "never" is not one of close, fsync, manual, idle:MS/,
    ],
    [['repo', 'mnt', '--log-level', 'loud'], /--log-level: "loud" is not one of error, warn/],
    [['repo', 'mnt', '--transport', 'tcp'], /--transport: "tcp" is not one of auto, kernel, fuse/],
    [
      ['repo', 'mnt', '--resilient', '--transport', 'fuse-native'],
      /--resilient needs the kernel transport/,
    ],
    [['repo', 'mnt', '--snapdir', 'x'], /--snapdir: "x" is not one of visible, hidden/],
    [['repo', 'mnt', '--log-file', ''], /--log-file needs a path/],
    [['repo', 'mnt', '-o'], /-o needs a list of options/],
    [['repo', 'mnt', '-o', 'ro=1'], /unknown mount option "ro=1"|ro takes no value/],
    [['repo', 'mnt', '-o', 'allow_other=1'], /-o allow_other takes no value/],
    [['repo', 'mnt', '-o', 'branch'], /-o branch needs a value/],
    [['repo', 'mnt', '-o', 'colour=red'], /unknown mount option "colour=red"/],
    [['repo', 'mnt', '-fo', 'ro'], /-o stands on its own/],
    [['status'], /a mountpoint is needed/],
    [['unmount', 'a', 'b'], /"b" is one argument too many/],
    [['list', '--verbose'], /there is no option --verbose/],
  ])('%j', async ([args, expected]) => {
    const message = await complaint(args);
    expect(message).toMatch(expected);
    expect(message).toContain('vost-mount --help');
    expect(message).not.toContain('\n');
  });
});

describe('the verbs', () => {
  test.for<[string[], object]>([
    [['list'], { verb: 'list', json: false }],
    [['list', '--json'], { verb: 'list', json: true }],
    [['status', '/mnt'], { verb: 'status', mountpoint: '/mnt', json: false }],
    [['commit', '/mnt'], { verb: 'commit', mountpoint: '/mnt' }],
    [['commit', '/mnt', '-m', 'text'], { verb: 'commit', mountpoint: '/mnt', message: 'text' }],
    [['unmount', '/mnt'], { verb: 'unmount', mountpoint: '/mnt' }],
  ])('%j', async ([args, expected]) => {
    expect(await parseCommandLine(args)).toEqual(expected);
  });
});
