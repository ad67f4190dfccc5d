import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

let mounted: MountedRepository;

beforeEach(async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '--quiet', '--bare', gitDir]);
  mounted = await mountRepository(gitDir);
  await mkdir(join(mounted.mountpoint, 'main'), { recursive: true });
});

/** Runs a program in Python in the branch `main`; `committed(name)` is what git has of a file there. */
async function python(program: string): Promise<string> {
  const prelude = `
import mmap, os, subprocess, sys, threading
def committed(name):
    return subprocess.run(['git', '--git-dir', ${JSON.stringify(mounted.gitDir)}, 'show', 'main:' + name], capture_output=True).stdout
NEW = os.O_WRONLY | os.O_CREAT
`;
  return shell('python3 -', {
    cwd: join(mounted.mountpoint, 'main'),
    input: prelude + program,
  });
}

async function unmounted(): Promise<void> {
  await mounted.unmount();
  await fsck(mounted.gitDir);
}

test('a write with O_SYNC or O_DSYNC, of the file or of the call alone, is committed when it returns', async () => {
  await python(`
for flag in os.O_SYNC, os.O_DSYNC, os.O_SYNC | os.O_APPEND, os.O_SYNC | os.O_DIRECT:
    name = f'file-{flag}'
    fd = os.open(name, NEW | flag)
    content = b''
    for part in b'one', b'two':
        part *= 4096 // 4 if flag & os.O_DIRECT else 1
        piece = mmap.mmap(-1, 4096) if flag & os.O_DIRECT else part
        if flag & os.O_DIRECT: piece[:] = part.ljust(4096)
        content += bytes(piece)
        assert os.write(fd, piece) == len(piece)
        assert committed(name) == content, (flag, len(committed(name)))
    os.close(fd)
fd = os.open('one-call', NEW)
os.pwritev(fd, [b'synced'], 0, os.RWF_DSYNC)
assert committed('one-call') == b'synced', committed('one-call')
os.pwritev(fd, [b'SYNCED'], 0, os.RWF_SYNC)
assert committed('one-call') == b'SYNCED', committed('one-call')
os.close(fd)
`);
  await unmounted();
});

test('whoever reads a file, or has it mapped, sees each write when it has returned', async () => {
  // Two who read all the time bring back what a write drops from the cache, if anything can.
  await python(`
writer = os.open('file', NEW)
os.pwrite(writer, bytes(3 * 4096), 0)
reader = os.open('file', os.O_RDONLY)
shared = mmap.mmap(reader, 3 * 4096, prot=mmap.PROT_READ)
sys.setswitchinterval(1e-5)
done = False
def readAll():
    while not done:
        os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(reader, 3 * 4096, 0)
def touchAll():
    while not done:
        for page in range(3): shared[4096 * page]
threads = [threading.Thread(target=readAll), threading.Thread(target=touchAll)]
for thread in threads: thread.start()
try:
    for number in range(1, 1500):
        at = number * 5 % (3 * 4096 - 8)
        value = number.to_bytes(8, 'little')
        assert os.pwrite(writer, value, at) == 8
        assert os.pread(reader, 8, at) == value, number
        assert shared[at:at + 8] == value, number
finally:
    done = True
    for thread in threads: thread.join()
`);
  await unmounted();
});

test('writers of all kinds work on one file: appending, mapped, with and without the cache', async () => {
  await python(`
first = os.open('file', NEW | os.O_APPEND)
os.write(first, b'a' * 5000)
second = os.open('file', os.O_RDWR)
os.pwrite(second, b'B' * 10, 4090)
both = mmap.mmap(second, 5000)
assert both[4085:4105] == b'a' * 5 + b'B' * 10 + b'a' * 5
both[0:3] = b'CCC'
third = os.open('file', os.O_WRONLY)
os.pwrite(third, b'D', 1)
assert both[0:5] == b'CDCaa', both[0:5]
assert os.pread(second, 5, 0) == b'CDCaa'
os.write(first, b'end')
os.lseek(second, 0, os.SEEK_END)
os.write(second, b'!')
os.write(first, b'?')
expected = b'CDC' + b'a' * 4087 + b'B' * 10 + b'a' * 900 + b'end!?'
assert os.pread(second, 10000, 0) == expected
both.flush()
os.fsync(first)
assert committed('file') == expected
`);
  await unmounted();
});

test('a file that others truncate while it is appended to has no holes, in memory or on disk', async () => {
  // Those that are too big for memory are truncated on disk, for which an append has to wait.
  await python(`
log = os.open('log', NEW | os.O_APPEND)
done = False
def appendAll():
    while not done: os.write(log, b'x' * 65535 + b'\\n')
thread = threading.Thread(target=appendAll)
thread.start()
try:
    for at in [1 << 21] * 20 + [1 << 17] * 20:
        while os.stat('log').st_size < at: pass
        os.close(os.open('log', os.O_WRONLY | os.O_TRUNC))
        with open('log', 'rb') as file: assert b'\\0' not in file.read(), at
finally:
    done = True
    thread.join()
os.close(log)
assert b'\\0' not in open('log', 'rb').read()
`);
  await unmounted();
});

test('what the kernel moves from elsewhere arrives: sendfile, splice, and buffers at any address', async () => {
  await python(`
source = os.urandom(5_000_001)
open('source', 'wb').write(source)
def check(name, copy):
    into = os.open(name, NEW)
    copy(into)
    os.close(into)
    assert open(name, 'rb').read() == source, name
def sent(into):
    with open('source', 'rb') as out:
        while os.sendfile(into, out.fileno(), None, 1 << 24) > 0: pass
def spliced(into):
    end, start = os.pipe()
    with open('source', 'rb') as out:
        while (count := os.splice(out.fileno(), start, 65536)) > 0:
            while count > 0: count -= os.splice(end, into, count)
def copied(into):
    with open('source', 'rb') as out:
        while os.copy_file_range(out.fileno(), into, 1 << 24) > 0: pass
def unaligned(into):
    at = 0
    memory = memoryview(b'xyz' + source)[3:]
    while at < len(source): at += os.write(into, memory[at:at + 1_300_001])
def vectors(into):
    memory = memoryview(source)
    assert os.writev(into, [memory[:1], memory[1:700_000], memory[700_000:]]) == len(source)
check('sent', sent)
check('copied', copied)
check('unaligned', unaligned)
check('vectors', vectors)
if hasattr(os, 'splice'): check('spliced', spliced)
`);
  await shell('cat source | dd of=piped bs=70001 iflag=fullblock status=none; cmp source piped', {
    cwd: join(mounted.mountpoint, 'main'),
  });
  await unmounted();
});
