import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { chmod, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import { freshMountpoint, isMounted, mountRepository, vostMount } from '../helpers/mount.ts';
import { program, programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--inh-caps=-all'];
const modeOf = async (path: string): Promise<string> =>
  ((await stat(path)).mode & 0o7777).toString(8);

/** A repository that anybody could have made; objects are stored as they are, with no check. */
class HandmadeRepository {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<HandmadeRepository> {
    const path = join(await temporaryDirectory(), 'repo.git');
    await git(['init', '--quiet', '--bare', path]);
    return new HandmadeRepository(path);
  }

  /** @param content what is deflated in place of the object, when they differ */
  store(type: string, data: Buffer, content: Buffer = data): Buffer {
    const header = Buffer.from(`${type} ${data.length}\0`);
    const oid = createHash('sha1').update(header).update(data).digest();
    const hex = oid.toString('hex');
    const directory = join(this.path, 'objects', hex.slice(0, 2));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, hex.slice(2)), deflateSync(Buffer.concat([header, content])));
    return oid;
  }

  tree(...entries: [mode: string, name: string, oid: Buffer][]): Buffer {
    return this.store(
      'tree',
      Buffer.concat(
        entries.flatMap(([mode, name, oid]) => [Buffer.from(`${mode} ${name}\0`, 'latin1'), oid]),
      ),
    );
  }

  async branch(name: string, tree: Buffer): Promise<void> {
    const who = 'H <h@x> 1700000000 +0000';
    const text = `tree ${tree.toString('hex')}\nauthor ${who}\ncommitter ${who}\n\nx\n`;
    const commit = this.store('commit', Buffer.from(text)).toString('hex');
    await git(['--git-dir', this.path, 'update-ref', `refs/heads/${name}`, commit]);
  }
}

describe('who may look', () => {
  test('nobody else without --allow-other, and then by the modes', async () => {
    const directory = await temporaryDirectory();
    await chmod(directory, 0o755);
    const as = (script: string) => programResult('setpriv', [...nobody, 'sh', '-c', script]);
    const mountpoint = join(directory, 'mnt');
    mkdirSync(mountpoint);
    const gitDir = join(directory, 'repo.git');
    const closed = await mountRepository(gitDir, { mountpoint });
    await shell('echo secret > main/file; echo mine > main/private; chmod 600 main/private', {
      cwd: mountpoint,
    });
    for (const look of ['ls', 'stat', 'cat']) {
      const { exitCode, stderr } = await as(`${look} ${mountpoint}/main/file`);
      expect(exitCode).not.toBe(0);
      expect(stderr).toContain('Permission denied');
    }
    const status = await as(`stat -c %a /run/vost && ls /run/vost`);
    expect(status).toMatchObject({ stdout: '700\n' });
    expect(status.stderr).toContain('Permission denied');
    await closed.unmount();

    const open = await mountRepository(gitDir, { mountpoint, args: ['--allow-other'] });
    expect((await as(`cat ${mountpoint}/main/file`)).stdout).toBe('secret\n');
    const write = await as(`echo no > ${mountpoint}/main/file; mkdir ${mountpoint}/new`);
    expect(write.stderr.match(/Permission denied/g)).toHaveLength(2);
    await open.unmount();
    await fsck(gitDir);
  });

  test.for([['-f'], []])('the log is for its owner (%j)', async (form) => {
    const log = join(await temporaryDirectory(), 'log');
    const gitDir = join(await temporaryDirectory(), 'repo.git');
    const more = ['--log-file', log, '--log-level', 'info'];
    if (form.length > 0) {
      await (await mountRepository(gitDir, { args: more })).unmount();
    } else {
      const mountpoint = await freshMountpoint();
      expect(await vostMount([gitDir, mountpoint, ...more])).toMatchObject({ exitCode: 0 });
      expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
    }
    expect(await modeOf(log)).toBe('600');
  });
});

describe('values that are meant to be more than one option are refused', () => {
  test.for([
    ['--kernel-option', 'noatime,suid'],
    ['--kernel-option', 'fd=0'.concat(',', 'dev')],
    ['-o', 'noatime\\,suid'],
    ['-o', 'fd=7'],
    ['-o', 'context=a'],
    ['-o', 'user_id=0'],
    ['-o', 'subtype=x'],
  ])('%j', async (args) => {
    const mountpoint = await freshMountpoint();
    const gitDir = join(await temporaryDirectory(), 'repo.git');
    const { exitCode, stdout, stderr } = await vostMount([gitDir, mountpoint, ...args]);
    expect(exitCode).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^vost-mount: .*(is no mount option|unknown mount option).*\n$/);
    expect(await isMounted(mountpoint)).toBe(false);
  });
});

describe('a repository that means harm', () => {
  test('shows its names as they are, and leads nowhere by itself', async () => {
    const repository = await HandmadeRepository.create();
    const blob = repository.store('blob', Buffer.from('x\n'));
    const out = repository.store('blob', Buffer.from('/etc/passwd'));
    const up = repository.store('blob', Buffer.from('../../../../../../etc/passwd'));
    await repository.branch(
      'main',
      repository.tree(
        ['100644', '\n2026 error forged', blob],
        ['100644', '\x1b[31mred', blob],
        ['100644', '$(touch pwned)`touch pwned`;', blob],
        ['120000', 'absolute', out],
        ['120000', 'upwards', up],
      ),
    );
    const mounted = await mountRepository(repository.path, { args: ['--debug'] });
    const names = await program('ls', ['-N', '--zero', join(mounted.mountpoint, 'main')]);
    expect(names.split('\0')).toEqual(
      expect.arrayContaining([
        '\n2026 error forged',
        '\x1b[31mred',
        '$(touch pwned)`touch pwned`;',
      ]),
    );
    const red = join(mounted.mountpoint, 'main', '\x1b[31mred');
    expect(await program('cat', [red])).toBe('x\n');
    // A link is only text here; it is the kernel that follows it, in the tree of whoever looks.
    const link = await program('readlink', [join(mounted.mountpoint, 'main/absolute')]);
    expect(link).toBe('/etc/passwd\n');
    await mounted.unmount();
    const lines = mounted.daemonLog().trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) {
      expect(line).toMatch(
        /^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info) [a-z-]+( \w+=("[\x20-\x7e]*"|\S+))*$/,
      );
    }
  });

  test.for<[string, (repository: HandmadeRepository, blob: Buffer) => Buffer]>([
    ['..', (repository, blob) => repository.tree(['100644', '..', blob])],
    ['a slash', (repository, blob) => repository.tree(['100644', 'a/../../b', blob])],
    ['no name', (repository, blob) => repository.tree(['100644', '', blob])],
    [
      'a name twice',
      (repository, blob) => repository.tree(['100644', 'a', blob], ['100644', 'a', blob]),
    ],
    ['a mode of a device', (repository, blob) => repository.tree(['20644', 'device', blob])],
    [
      'the end cut off',
      (repository, blob) =>
        repository.store('tree', Buffer.concat([Buffer.from('100644 a\0'), blob.subarray(9)])),
    ],
    ['a blob for a tree', (_repository, blob) => blob],
  ])('a tree with %s is an error of that directory alone', async ([, make]) => {
    const repository = await HandmadeRepository.create();
    const blob = repository.store('blob', Buffer.from('x\n'));
    await repository.branch(
      'main',
      repository.tree(['40000', 'bad', make(repository, blob)], ['100644', 'good', blob]),
    );
    const mounted = await mountRepository(repository.path);
    const listing = await programResult('ls', [join(mounted.mountpoint, 'main/bad')]);
    expect(listing.exitCode).not.toBe(0);
    expect(listing.stderr).toContain('Input/output error');
    expect(await program('cat', [join(mounted.mountpoint, 'main/good')])).toBe('x\n');
    await mounted.unmount();
  });

  test('entries that pass for .git are not written through a mount', async () => {
    const mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
    await shell('mkdir -p main/.git/hooks; echo "echo owned" > main/.git/hooks/x; sync main', {
      cwd: mounted.mountpoint,
    });
    for (const name of ['.GIT', 'git~1', '.g\u200cit']) {
      const made = await programResult('mkdir', [join(mounted.mountpoint, 'main', name)]);
      expect(made.exitCode).not.toBe(0);
    }
    await mounted.unmount();
    await fsck(mounted.gitDir);
    const tree = await git(['--git-dir', mounted.gitDir, 'ls-tree', '-r', '--name-only', 'main']);
    expect(tree).toBe('');
  });

  test('a tree of 2,000 levels, and one that says it is 100 million files', async () => {
    const repository = await HandmadeRepository.create();
    const blob = repository.store('blob', Buffer.from('x\n'));
    let deep = repository.tree(['100644', 'f', blob]);
    for (let level = 0; level < 2000; level++) deep = repository.tree(['40000', 'd', deep]);
    // Each directory ten times the one below: nothing but what somebody looks at is read.
    let wide = repository.tree(['100644', 'f', blob]);
    for (let level = 0; level < 8; level++) {
      wide = repository.tree(
        ...Array.from({ length: 10 }, (_, n): [string, string, Buffer] => ['40000', `${n}`, wide]),
      );
    }
    await repository.branch(
      'main',
      repository.tree(['40000', 'deep', deep], ['40000', 'wide', wide]),
    );
    const mounted = await mountRepository(repository.path);
    // The whole path is longer than a path can be, so the way goes name by name.
    const walk = `
import os
os.chdir('main/deep')
for level in range(2000): os.chdir('d')
print(open('f').read(), end='')
os.chdir(os.environ['ROOT'] + '/main/wide/1/2/3/4/5/6/7/8')
print(open('f').read(), end='')
`;
    const options = { cwd: mounted.mountpoint, env: { ROOT: mounted.mountpoint } };
    expect(await program('python3', ['-c', walk], options)).toBe('x\nx\n');
    await mounted.unmount();
  });

  test('a bomb is an error of its file, and fills no memory', async () => {
    const repository = await HandmadeRepository.create();
    const good = repository.store('blob', Buffer.from('x\n'));
    const bomb = repository.store('blob', Buffer.from('small\n'), Buffer.alloc(300_000_000));
    const claim = repository.store('blob', Buffer.alloc(100_000_000), Buffer.from('nothing'));
    await repository.branch(
      'main',
      repository.tree(
        ['100644', 'bomb', bomb],
        ['100644', 'claim', claim],
        ['100644', 'good', good],
      ),
    );
    const mounted = await mountRepository(repository.path);
    for (const name of ['bomb', 'claim']) {
      const read = await programResult('cat', [join(mounted.mountpoint, 'main', name)]);
      expect(read.exitCode).not.toBe(0);
      expect(read.stderr).toContain('Input/output error');
    }
    expect(await program('cat', [join(mounted.mountpoint, 'main/good')])).toBe('x\n');
    const { memory } = JSON.parse(
      (await vostMount(['status', mounted.mountpoint, '--json'])).stdout,
    ) as {
      memory: { residentBytes: number };
    };
    expect(memory.residentBytes).toBeLessThan(280_000_000);
    await mounted.unmount();
  });
});
