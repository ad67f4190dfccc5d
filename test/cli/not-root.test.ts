import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import type { ProgramResult } from '../helpers/program.ts';
import { otherUser, user, UserNamespace } from '../helpers/unprivileged.ts';

let namespace: UserNamespace;

beforeAll(async () => {
  namespace = await UserNamespace.create();
  // A run that was cut off may have left it as somebody else's.
  await namespace.asRoot(`test ! -e /tmp/vost-${user} || chown ${user} /tmp/vost-${user}`);
});

const asUser = (script: string): Promise<ProgramResult> => namespace.as(user, script);

async function succeeds(script: string): Promise<string> {
  const result = await asUser(script);
  expect(result).toMatchObject({ exitCode: 0, stderr: '' });
  return result.stdout;
}

/** Other mounts of the machine are listed too. */
const mountsHere = '$vost list | { grep -F "$PWD" || true; }';

/** One line about what to do, and nothing is left mounted. */
async function refusal(script: string): Promise<string> {
  const result = await asUser(script);
  expect(result).toMatchObject({ exitCode: 1, stdout: '' });
  expect(result.stderr).toMatch(/^vost-mount: .*\n$/);
  expect(await succeeds(mountsHere)).toBe('');
  return result.stderr;
}

describe('a user mounts without the help of root', () => {
  test('writes, is listed, commits and unmounts', async () => {
    const repository = join(namespace.home, 'a repo,allow_other\\.git');
    const shown = await succeeds(`
      set -e
      mkdir -p mnt
      $vost '${repository}' mnt --commit-on manual
      echo hello > mnt/main/greeting
      sync mnt/main
      cat mnt/main/greeting
      ${mountsHere}
      $vost status mnt | grep -c '^branch *main: at'
      echo 'staged' > mnt/main/second
      $vost commit mnt -m 'By a user' | cut -d ' ' -f 1
      $vost unmount mnt
      ${mountsHere}
    `);
    expect(shown).toBe(`hello\n${repository}  ${namespace.home}/mnt\n1\nmain\n`);
    const log = await git([
      '-C',
      repository,
      '-c',
      'safe.directory=*',
      'log',
      '--format=%s',
      'main',
    ]);
    expect(log.split('\n')).toContain('By a user');
    await fsck(repository);
  });

  test('and umount from outside, or a signal, ends the daemon', async () => {
    await succeeds(`
      set -e
      mkdir -p mnt
      $vost r.git mnt
      pid=$($vost status mnt --json | grep -o '"pid": [0-9]*' | cut -d' ' -f2)
      echo 1 > mnt/main/file
      fusermount3 -u mnt
      timeout 10 tail --pid=$pid -f /dev/null
      $vost r.git mnt
      cat mnt/main/file >/dev/null
      pid=$($vost status mnt --json | grep -o '"pid": [0-9]*' | cut -d' ' -f2)
      kill $pid
      timeout 10 tail --pid=$pid -f /dev/null
      test -z "$(${mountsHere})"
    `);
  });

  test('in use, it disappears all the same; a crashed one is replaced', async () => {
    await succeeds(`
      set -e
      mkdir -p mnt
      $vost r.git mnt
      exec 9< mnt/main
      $vost unmount mnt
      exec 9<&-
      $vost r.git mnt
      kill -9 $($vost status mnt --json | grep -o '"pid": [0-9]*' | cut -d' ' -f2)
      ${mountsHere} | grep -q '(dead)'
      $vost r.git mnt -o noexec,noatime
      ls mnt
      grep ' ${namespace.home}/mnt .*noexec' /proc/self/mountinfo >/dev/null
      $vost unmount mnt
    `);
  });

  test('and it is theirs alone: nobody else looks in, root included', async () => {
    await succeeds('mkdir -p mnt && $vost r.git mnt && echo secret > mnt/main/file');
    for (const uid of [otherUser, 0]) {
      for (const look of ['ls mnt', 'cat mnt/main/file', 'stat mnt/main', 'echo > mnt/main/new']) {
        const { exitCode, stderr } = await namespace.as(uid, look);
        expect(exitCode).not.toBe(0);
        expect(stderr).toContain('Permission denied');
      }
    }
    // Nor does anybody else learn of it by the control socket.
    const status = await namespace.as(otherUser, `$vost status ${namespace.home}/mnt`);
    expect(status).toMatchObject({ exitCode: 1, stdout: '' });
    expect(status.stderr).toContain('belongs to another user');
    await succeeds('$vost unmount mnt');
  });

  test('with --allow-other where the system lets users, and modes still hold', async () => {
    await namespace.asRoot('echo user_allow_other > /etc/fuse.conf');
    await succeeds('mkdir -p mnt && $vost r.git mnt --allow-other && echo seen > mnt/main/file');
    expect(await namespace.as(otherUser, 'cat mnt/main/file')).toMatchObject({ stdout: 'seen\n' });
    const write = await namespace.as(otherUser, 'echo > mnt/main/file');
    expect(write.stderr).toContain('Permission denied');
    await succeeds('$vost unmount mnt');
    await namespace.asRoot(': > /etc/fuse.conf');
  });
});

describe("a mount outlives the sessions of its user, whose directory in /run/user doesn't", () => {
  const session = {
    begin: () =>
      namespace.asRoot(`
        mkdir -p /run/user; mount -t tmpfs none /run/user
        mkdir -m 700 /run/user/${user}; chown ${user}:${user} /run/user/${user}
      `),
    end: () => namespace.asRoot('umount -l /run/user'),
  };

  test('one that is made within, and asked after', async () => {
    await session.begin();
    try {
      await succeeds('mkdir -p mnt && $vost r.git mnt');
    } finally {
      await session.end();
    }
    await succeeds('$vost status mnt && $vost unmount mnt');
    expect(await succeeds(mountsHere)).toBe('');
  });

  test('one that is made before, and asked within', async () => {
    await succeeds('mkdir -p mnt && $vost r.git mnt');
    await session.begin();
    try {
      await succeeds('$vost status mnt && $vost unmount mnt');
    } finally {
      await session.end();
    }
    expect(await succeeds(mountsHere)).toBe('');
  });

  test('one that is to outlive its daemon as well', async () => {
    await session.begin();
    try {
      await succeeds('mkdir -p mnt && $vost r.git mnt --resilient');
    } finally {
      await session.end();
    }
    const shown = await succeeds(`
      set -e
      exec 3> mnt/main/open; echo 1 >&3; sync mnt/main/open
      kill -9 $($vost status mnt --json | grep -o '"pid": [0-9]*' | cut -d' ' -f2)
      echo 2 >&3; exec 3>&-
      cat mnt/main/open
      $vost status mnt | grep restarts
      $vost unmount mnt
    `);
    expect(shown).toBe('1\n2\nrestarts    1\n');
  });

  test('unless somebody else has made the directory in /tmp', async () => {
    const taken = `/tmp/vost-${user}`;
    await namespace.asRoot(`mkdir -p ${taken}; chown ${otherUser} ${taken}`);
    await session.begin();
    try {
      await succeeds('mkdir -p mnt && $vost r.git mnt && $vost status mnt && $vost unmount mnt');
    } finally {
      await session.end();
      await namespace.asRoot(`chown ${user} ${taken}`);
    }
  });
});

describe('root and the mount of a user', () => {
  const asRoot = (script: string): Promise<ProgramResult> => namespace.as(0, script);
  const pidOfDaemon = `$($vost status mnt --json | grep -o '"pid": [0-9]*' | cut -d' ' -f2)`;

  test('sees that the daemon died, and takes the mount away or its place', async () => {
    await succeeds(`mkdir -p mnt && $vost r.git mnt && kill -9 ${pidOfDaemon}`);
    expect((await asRoot(mountsHere)).stdout).toContain('/mnt  (dead)\n');
    expect(await asRoot('$vost unmount mnt')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(await succeeds(mountsHere)).toBe('');

    await succeeds(`$vost r.git mnt && kill -9 ${pidOfDaemon}`);
    const replaced = await asRoot('$vost root.git mnt && ls mnt && $vost unmount mnt');
    expect(replaced).toEqual({ exitCode: 0, stdout: 'main\n', stderr: '' });
  });

  test('sees that the daemon hangs, and takes the mount away', async () => {
    const pid = (await succeeds(`mkdir -p mnt && $vost r.git mnt && echo ${pidOfDaemon}`)).trim();
    process.kill(Number(pid), 'SIGSTOP');
    try {
      expect((await asRoot(mountsHere)).stdout).toContain('/mnt  (hanging)\n');
      const { exitCode, stderr } = await asRoot('$vost unmount mnt');
      expect([exitCode, stderr]).toEqual([0, expect.stringContaining('but its daemon hangs')]);
      expect(await succeeds(mountsHere)).toBe('');
    } finally {
      process.kill(Number(pid), 'SIGCONT');
    }
    await succeeds(`timeout 10 tail --pid=${pid} -f /dev/null`);
  });

  test('asks the daemon that lives; somebody else learns that there is a mount', async () => {
    await succeeds('mkdir -p mnt && $vost r.git mnt');
    expect((await namespace.as(otherUser, mountsHere)).stdout).toContain('/mnt  (unreachable)\n');
    const over = await namespace.as(otherUser, `$vost r.git ${namespace.home}/mnt`);
    expect(over).toMatchObject({ exitCode: 1, stdout: '' });
    expect(over.stderr).toMatch(/^vost-mount: .* already has .*, by another user; .*\n$/);
    expect(await asRoot('$vost status mnt | grep -c daemon')).toMatchObject({ stdout: '1\n' });
    expect(await asRoot('$vost unmount mnt')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(await succeeds(mountsHere)).toBe('');
  });
});

test('fstab lets a user mount and unmount', async () => {
  await succeeds('mkdir -p mnt');
  const { home } = namespace;
  await namespace.asRoot(`
    touch ${home}/../fstab; mount --bind ${home}/../fstab /etc/fstab
    echo '${home}/r.git ${home}/mnt fuse.vost-mount user,noauto,nofail,x-own=1 0 0' > /etc/fstab
    mkdir -p ${home}/../bin; mount --bind ${home}/../bin /usr/local/bin
    printf '#!/bin/sh\\nexec ${process.execPath} ${home}/../checkout/dist/bin/vost-mount.js "$@"\\n' > /usr/local/bin/vost-mount
    chmod 755 /usr/local/bin/vost-mount
  `);
  try {
    expect(await succeeds('mount ~+/mnt && ls mnt && umount ~+/mnt')).toBe('main\n');
  } finally {
    await namespace.asRoot('umount /etc/fstab /usr/local/bin');
  }
});

describe('what is in the way is said with what to do', () => {
  beforeAll(async () => {
    await succeeds('mkdir -p mnt');
  });

  test('no user_allow_other', async () => {
    const message = await refusal('$vost r.git mnt --allow-other');
    expect(message).toContain('"user_allow_other" to /etc/fuse.conf');
  });

  test('no fusermount3', async () => {
    // Only what starts Node is on the path.
    const message = await refusal('PATH=/no/such/directory $vost r.git mnt');
    expect(message).toContain('install the package fuse3');
  });

  test('a fusermount3 that is for others', async () => {
    await succeeds('mkdir -p bin && touch bin/fusermount3 && chmod 644 bin/fusermount3');
    const message = await refusal('PATH=$PWD/bin $vost r.git mnt');
    expect(message).toContain('this user may not run fusermount3; let root allow it');
  });

  test('no koffi', async () => {
    const home = namespace.home;
    await namespace.asRoot(`mount -t tmpfs none ${home}/../checkout/node_modules/koffi`);
    const message = await refusal('$vost r.git mnt');
    await namespace.asRoot(`umount ${home}/../checkout/node_modules/koffi`);
    expect(message).toContain('npm install koffi');
  });

  test('a /dev/fuse that this user may not open', async () => {
    await namespace.asRoot('chmod 600 /dev/fuse');
    const message = await refusal('$vost r.git mnt');
    await namespace.asRoot('chmod 666 /dev/fuse');
    expect(message).toContain('chmod 666 /dev/fuse');
  });

  test('no /dev/fuse', async () => {
    const result = await namespace.as(
      0,
      `exec unshare -m bash -c 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 &&
        exec setpriv --reuid ${user} --regid ${user} --clear-groups '"$vost"' r.git mnt'`,
    );
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(/^vost-mount: .*no \/dev\/fuse.*modprobe fuse.*\n$/);
  });

  test("a directory that is not the user's", async () => {
    await namespace.asRoot(`mkdir -p ${namespace.home}/../roots`);
    expect(await refusal('$vost r.git ../roots')).toContain('a directory that is their own');
  });

  test('a directory that the user may not look into', async () => {
    await namespace.asRoot(`mkdir -p -m 700 ${namespace.home}/../roots-alone/mnt`);
    expect(await refusal('$vost r.git ../roots-alone/mnt')).toContain(
      '/roots-alone/mnt: this user may not look there; choose another directory',
    );
  });

  test('a process that may gain no rights', async () => {
    const message = await refusal('exec setpriv --no-new-privs $vost r.git mnt');
    expect(message).toContain('set-user-id root');
  });

  test('an option that only root can use', async () => {
    const message = await refusal('$vost r.git mnt -o nodiratime');
    expect(message).toContain('only root can mount with the option nodiratime');
  });

  test('a repository that the user may not write or read', async () => {
    await namespace.asRoot(`
      git init --quiet --bare ${namespace.home}/roots.git
      chmod 700 ${namespace.home}/roots.git
    `);
    const message = await refusal('$vost roots.git mnt');
    expect(message).toContain('roots.git');
    expect(message).toMatch(/permission/i);
  });
});

test('without a place for the control socket nothing stays mounted', async () => {
  await namespace.asRoot(
    `test ! -e /run/user/${user}; mkdir -p /tmp/vost-${user}; chown ${otherUser} /tmp/vost-${user}`,
  );
  const message = await refusal('$vost r.git mnt').finally(() =>
    namespace.asRoot(`chown ${user} /tmp/vost-${user}`),
  );
  expect(message).toMatch(/no control socket at .* belongs to another user/);
});

test('root of a user namespace mounts as root does', async () => {
  const shown = await succeeds(`
    mkdir -p mnt
    unshare --user --map-root-user --mount bash -euc '
      $0 $1 r.git mnt; echo inside > mnt/main/ns; cat mnt/main/ns; $0 $1 unmount mnt
    ' $vost
  `);
  expect(shown).toBe('inside\n');
});
