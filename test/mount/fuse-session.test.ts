import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MountFailedError, rootMounter } from '../../src/mount/fuse/mounting.ts';
import { mountAt } from '../../src/mount/mount-table.ts';
import type { DaemonOptions } from '../fixtures/memory-filesystem-daemon.ts';
import { troublesome } from '../fixtures/memory-filesystem.ts';
import { eventually } from '../helpers/eventually.ts';
import { mountMemory } from '../helpers/memory-mount.ts';
import { freshMountpoint } from '../helpers/mount.ts';
import { program, programResult, shell } from '../helpers/program.ts';

const variants: [string, DaemonOptions][] = [
  ['as usual', {}],
  ['with requests read in a thread', { reading: 'thread-pool' }],
  ['with every answer late', { isSlow: true }],
  ['with nothing kept by the kernel', { validSec: 0, keepCache: false }],
  [
    'with as few features as can be',
    {
      busyPollUs: 0,
      withheld: ['readdirPlus', 'maxPages', 'killPrivileges', 'atomicTruncate', 'cacheSymlinks'],
    },
  ],
];

describe.each(variants)('a filesystem in memory, %s', (_name, options) => {
  it('serves ordinary programs', async () => {
    const mount = await mountMemory(options);
    expect(mount.ready.reading).toBe(options.reading ?? 'event-loop');
    const script = `
      mkdir -p a/b/c
      printf 'one\\n' > a/file
      printf 'two\\n' >> a/file
      test "$(cat a/file)" = "$(printf 'one\\ntwo')"
      truncate -s 2 a/file; test "$(cat a/file)" = on
      truncate -s 5000 a/file; test "$(tr -d '\\000' < a/file)" = on; test "$(stat -c %s a/file)" = 5000
      : > a/file; test ! -s a/file
      mv a/file a/b/moved; test ! -e a/file; test -e a/b/moved
      mv -n a/b/moved a/b/c/moved; mv a/b/c/moved a/b/moved
      ln a/b/moved a/hard; test a/hard -ef a/b/moved
      ln -s b/moved a/soft; test "$(readlink a/soft)" = b/moved; test a/soft -ef a/b/moved
      chmod 640 a/hard; test "$(stat -c %a a/b/moved)" = 640
      chown 12:34 a/hard; test "$(stat -c %u:%g a/hard)" = 12:34
      touch -d '1960-02-03 04:05:06.789 UTC' a/hard; test "$(TZ=UTC stat -c %y a/hard)" = '1960-02-03 04:05:06.789000000 +0000'
      mkfifo a/fifo; test -p a/fifo
      test "$(stat -f -c '%b %f %a %c %d %l' .)" = '1000 500 400 300 200 255'
      if rmdir a/b 2> /dev/null; then exit 1; fi
      if mkdir a/b 2> /dev/null; then exit 1; fi
      dd if=/dev/urandom of=random bs=1M count=5 status=none
      cp random copy; cmp random copy
      dd if=random of=direct bs=1M oflag=direct iflag=direct status=none; cmp random direct
      dd if=copy of=random conv=notrunc bs=1000 skip=3 seek=7 count=100 status=none
      cmp -n 100000 -i 7000:3000 random copy
      fallocate -l 10000 reserved; test "$(stat -c %s reserved)" = 10000
      flock copy -c 'if flock -n copy true; then exit 1; fi'
      name=$(printf 'bytes \\377\\n\\t"'); echo x > "$name"; test "$(cat "$name")" = x
      exec 3> held; rm held; echo still >&3; exec 3>&-
      cp -a a a2; diff -r a/b a2/b; rm -r a a2; test ! -e a
    `;
    await shell(script, { cwd: mount.mountpoint });
    const { openCount, reports, log } = await eventually(async () => {
      const status = await mount.status();
      expect(status.openCount).toBe(0);
      return status;
    });
    expect({ openCount, reports, log }).toEqual({ openCount: 0, reports: [], log: [] });
    expect(await mount.unmount()).toMatchObject({ code: 'ENODEV', isDestroyed: true });
  });

  it('lists very many names, each once, while others are removed', async () => {
    const count = options === variants[0]?.[1] ? 10_000 : 1_000;
    const mount = await mountMemory(options);
    const cwd = mount.mountpoint;
    await shell(
      `mkdir d; cd d; seq -f stay-%.0f ${count} | xargs touch; seq -f go-%.0f 500 | xargs touch`,
      { cwd },
    );
    const [listed] = await Promise.all([
      shell('for i in 1 2; do ls -U d | grep stay | sort | uniq -c; done', { cwd }),
      shell('seq -f d/go-%.0f 500 | xargs -n 100 rm', { cwd }),
    ]);
    const lines = listed.trim().split('\n');
    expect(lines.length).toBe(2 * count);
    expect(new Set(lines.map((line) => line.trim().split(' ')[0]))).toEqual(new Set(['1']));
    expect(await shell('ls -l d | tail -n +2 | wc -l; find d -type f | wc -l', { cwd })).toBe(
      `${count}\n${count}\n`,
    );
    await shell('rm -r d', { cwd });
    await eventually(async () => {
      expect((await mount.status()).lookupCount).toBeLessThan(20);
    });
    expect((await mount.status()).reports).toEqual([]);
    await mount.unmount();
  });
});

describe('a request that goes wrong', () => {
  it('is one error for one program, and nothing for the others', async () => {
    const mount = await mountMemory();
    const cwd = mount.mountpoint;
    for (const name of [troublesome.throws, troublesome.rejects, troublesome.nonsense]) {
      const { exitCode, stderr } = await programResult('cat', [name], { cwd });
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr: `cat: ${name}: Input/output error\n`,
      });
      expect(await shell('echo fine > f; cat f', { cwd })).toBe('fine\n');
    }
    const { reports } = await mount.status();
    expect(new Set(reports)).toEqual(
      new Set([
        'read: TypeError: a bug in read',
        'read: RangeError: read gave more than was asked for',
      ]),
    );
    await mount.unmount();
  });

  it('can be waited for, or left: a killed reader goes at once', async () => {
    const mount = await mountMemory();
    const cwd = mount.mountpoint;
    const reader = spawn('cat', [troublesome.late], { cwd, stdio: 'ignore' });
    await eventually(async () => expect((await mount.status()).pendingCount).toBe(1));
    const startedMs = performance.now();
    reader.kill('SIGKILL');
    await once(reader, 'exit', { signal: AbortSignal.timeout(10_000) });
    expect(performance.now() - startedMs).toBeLessThan(1000);
    expect(await program('head', ['-c', '5', troublesome.late], { cwd })).toBe('late ');
    await mount.unmount();
  });

  it('may have no end: other requests are served, and a lazy unmount gets rid of the mount', async () => {
    const mount = await mountMemory();
    const { mountpoint } = mount;
    const reader = spawn('cat', [`${mountpoint}/${troublesome.never}`], { stdio: 'ignore' });
    await eventually(async () => expect((await mount.status()).pendingCount).toBe(1));
    expect(await shell('echo fine > f; cat f', { cwd: mountpoint })).toBe('fine\n');
    const { lazyReason } = await rootMounter.unmount(mountpoint);
    expect(lazyReason).toContain('busy');
    expect(await mountAt(mountpoint)).toBeUndefined();
    reader.kill('SIGKILL');
    expect(await mount.ended()).toMatchObject({ code: 'ENODEV', pendingCount: 0 });
  });

  it('does not keep the daemon from leaving, not even when a notice waits for it', async () => {
    const mount = await mountMemory();
    const { mountpoint } = mount;
    const never = `${mountpoint}/${troublesome.never}`;
    const reader = programResult('cat', [never]);
    await eventually(async () => expect((await mount.status()).pendingCount).toBe(1));
    // The kernel holds the page that is being read, so the notice about it does not come through.
    let isNotified = false;
    const notice = { do: 'replace', path: troublesome.never, text: 'new', notify: true } as const;
    const notified = mount.command(notice).then(() => (isNotified = true));
    await sleep(300);
    expect(isNotified).toBe(false);
    expect(await shell('echo fine > f; cat f', { cwd: mountpoint })).toBe('fine\n');
    const closed = mount.close();
    await notified;
    expect((await reader).exitCode).toBe(1);
    expect(await closed).toMatchObject({ code: 'CLOSED', isDestroyed: true });
    expect((await programResult('ls', [mountpoint])).stderr).toContain('not connected');
    expect(await rootMounter.unmount(mountpoint)).toEqual({ lazyReason: undefined });
  });
});

describe('what the kernel keeps', () => {
  it('is right after a notice, and as it was without', async () => {
    const mount = await mountMemory();
    const cwd = mount.mountpoint;
    const replace = (path: string, text: string, notify: boolean): Promise<unknown> =>
      mount.command({ do: 'replace', path, text, notify });
    const content = (path: string): Promise<string> => shell(`cat ${path} 2>&1 || true`, { cwd });
    // Writing and reading leave attributes unknown to the kernel; stat makes them known.
    await shell('mkdir d; echo old > d/f; cat d/f; stat d/f', { cwd });

    await replace('d/f', 'a longer text', false);
    expect(await content('d/f')).toBe('old\n');
    await replace('d/f', 'another text', true);
    expect(await content('d/f')).toBe('another text');
    expect(await shell('stat -c %s d/f', { cwd })).toBe('12\n');

    expect(await content('d/new')).toContain('No such file');
    await replace('d/new', 'here', false);
    expect(await content('d/new')).toContain('No such file');
    await mount.command({ do: 'notify-name', path: 'd/new' });
    expect(await content('d/new')).toBe('here');

    await mount.command({ do: 'remove', path: 'd/new', notify: false });
    expect(await content('d/new')).toBe('here');
    await mount.command({ do: 'notify-name', path: 'd/new' });
    expect(await content('d/new')).toContain('No such file');

    // The kernel keeps listings too, of names that it was never asked for.
    expect(await shell('ls d; ls d', { cwd })).toBe('f\nf\n');
    await replace('d/unheard-of', 'x', true);
    expect(await shell('ls d', { cwd })).toBe('f\nunheard-of\n');
    await mount.command({ do: 'remove', path: 'd/unheard-of', notify: true });
    expect(await shell('ls d', { cwd })).toBe('f\n');

    // Somebody works in a directory whose name is said to lead elsewhere, though it does not.
    const worker = shell('cd d; sleep 0.5; cat f; echo > g; cd ..; ls d', { cwd });
    await sleep(200);
    await mount.command({ do: 'notify-name', path: 'd' });
    expect(await worker).toBe('another textf\ng\n');
    await mount.unmount();
  });

  it('is asked for again, all of it, when very many names changed', async () => {
    const mount = await mountMemory();
    const cwd = mount.mountpoint;
    if (mount.ready.minor < 44) return;
    await programResult('cat', ['name-7'], { cwd });
    await mount.command({ do: 'replace', path: 'name-7', text: 'here', notify: false });
    expect((await programResult('cat', ['name-7'], { cwd })).exitCode).toBe(1);
    await shell('ls > /dev/null', { cwd });
    await mount.command({ do: 'replace', path: 'name-8', text: 'here', notify: false });
    expect(await mount.command({ do: 'notify-names', count: 50_000 })).toMatchObject({ length: 2 });
    expect(await program('cat', ['name-7'], { cwd })).toBe('here');
    expect(await program('ls', [], { cwd })).toContain('name-8');
    expect((await mount.unmount()).log).toEqual([]);
  });

  it('holds no set-user-id bit that a write has taken away', async () => {
    const mount = await mountMemory();
    const script = `
      echo content > f; chmod 6777 f; stat -c %a f
      setpriv --reuid 65534 --regid 65534 --clear-groups dd if=/dev/zero of=f bs=1 count=1 conv=notrunc status=none
      stat -c %a f
      chmod 6777 f; setpriv --reuid 65534 --regid 65534 --clear-groups truncate -s 1 f; stat -c %a f
      chmod 6777 f; echo as root > f; stat -c %a f
    `;
    expect(await shell(script, { cwd: mount.mountpoint })).toBe('6777\n777\n777\n6777\n');
    // The kernel need not ask before each write whether there is something to take away.
    await shell('dd if=/dev/zero of=many bs=100 count=200 status=none', { cwd: mount.mountpoint });
    const { requests } = await mount.status();
    expect(requests['write']).toBeGreaterThan(200);
    expect(requests['getxattr']).toBeLessThan(20);
    await mount.unmount();
  });

  it('lets a listing with attributes do without lookups', async () => {
    const mount = await mountMemory({ validSec: 3600 });
    const cwd = mount.mountpoint;
    await mount.command({ do: 'replace', path: 'f0', text: '', notify: true });
    for (let index = 1; index < 300; index++) {
      await mount.command({ do: 'replace', path: `f${index}`, text: '', notify: false });
    }
    await shell('ls -l > /dev/null; stat f1 f150 f299 > /dev/null', { cwd });
    const { requests } = await mount.status();
    expect(requests['readdirplus']).toBeGreaterThan(0);
    expect(requests['lookup'] ?? 0).toBe(0);
    await mount.unmount();
  });
});

describe('mounting as root', () => {
  afterEach(() => vi.restoreAllMocks());

  it('shows the source in the mount table, whatever is in it', async () => {
    const mount = await mountMemory();
    expect(await mountAt(mount.mountpoint)).toMatchObject({
      ...{ type: 'fuse.vost', source: '/memory, with "a\\ name' },
      options: expect.arrayContaining([
        'nosuid',
        'nodev',
        'allow_other',
        'default_permissions',
      ]) as unknown,
    });
    expect(await rootMounter.unmount(mount.mountpoint)).toEqual({ lazyReason: undefined });
    await mount.ended();
    expect(await mountAt(mount.mountpoint)).toBeUndefined();
    expect(await rootMounter.unmount(mount.mountpoint)).toEqual({ lazyReason: undefined });
  });

  it.each([
    ['by a call', process.arch],
    ['by mount(8) where koffi is not', 'another'],
  ])('gives the same mount %s', async (_way, arch) => {
    const mountpoint = await freshMountpoint();
    vi.spyOn(process, 'arch', 'get').mockReturnValue(arch as NodeJS.Architecture);
    const { fd } = await rootMounter.mount({ mountpoint, source: 'x', readOnly: true });
    const { options, ...entry } = (await mountAt(mountpoint))!;
    expect(entry).toMatchObject({ mountpoint, type: 'fuse.vost', source: 'x' });
    expect([...options].sort().join()).toBe(
      'default_permissions,group_id=0,max_read=1048576,nodev,nosuid,relatime,ro,ro,user_id=0',
    );
    expect(await rootMounter.unmount(mountpoint)).toEqual({ lazyReason: undefined });
    closeSync(fd);
  });

  it('fails with what mount(8) says', async () => {
    const mountpoint = `${await freshMountpoint()}/missing`;
    await expect(rootMounter.mount({ mountpoint, source: 'x' })).rejects.toThrow(MountFailedError);
    await expect(rootMounter.mount({ mountpoint, source: 'x' })).rejects.toThrow(/does not exist/);
  });

  it('leaves a dead mount when the daemon is killed, which can be taken away', async () => {
    const mount = await mountMemory();
    mount.daemon.kill('SIGKILL');
    await once(mount.daemon, 'exit');
    expect((await programResult('stat', ['-f', mount.mountpoint])).stderr).toContain(
      'not connected',
    );
    expect(await rootMounter.unmount(mount.mountpoint)).toEqual({ lazyReason: undefined });
    expect(await mountAt(mount.mountpoint)).toBeUndefined();
  });
});
