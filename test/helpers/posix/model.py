"""Does the same random operations in two directories and compares every result: a tmpfs tells what is right.

model.py TMPFS MOUNT MOUNTPOINT SEED COUNT

TMPFS and MOUNT are empty directories, the second one below MOUNTPOINT. An operation does not depend on
those before it, so any part of a sequence can be run: after a failure, ever fewer operations are tried
in fresh directories until none can be left out, and those are printed.
"""

import collections
import ctypes
import mmap
import os
import random
import shutil
import stat
import sys
import time

from harness import EXCHANGE, KEEP_SIZE, NOREPLACE, PUNCH_HOLE, check, fallocate, libc, renameat2, tried

R, W, RW, CREATE = os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_CREAT
FLAGS = (
    R, RW, RW, RW, W | CREATE, RW | CREATE, RW | CREATE, RW | CREATE | os.O_EXCL, W | os.O_TRUNC, RW | CREATE | os.O_TRUNC,
    W | CREATE | os.O_APPEND, RW | os.O_APPEND, R | os.O_DIRECTORY,
)
MODES = (0o644, 0o755, 0o600, 0o711, 0, 0o4755)
# The last two are scratch names, which live for the session.
NAMES = ('a', 'b', 'c', 'd', 'e', 'f~', '4913')
HANDLES, MAPPINGS = 4, 2
COMPARE_EVERY = 1000
MS_NOSUID, MS_NODEV, MS_REMOUNT = 2, 4, 32


class Side:
    """One of the two directories, with what is open in it."""

    def __init__(self, root, mountpoint=None):
        self.root = root
        self.mountpoint = mountpoint
        self.handles = {}
        self.mappings = {}

    def at(self, path):
        return f'{self.root}/{path}'

    def handle(self, slot):
        return self.handles.get(slot, -1)

    def close_all(self):
        for slot in list(self.mappings):
            self.unmap(slot)
        for slot in list(self.handles):
            self.close(slot)

    # Each of these is an operation.

    def open(self, slot, path, flags):
        # A fifo would wait for its other end.
        fd = os.open(self.at(path), flags | os.O_NONBLOCK, 0o644)
        self.close(slot)
        self.handles[slot] = fd

    def close(self, slot):
        if slot in self.handles:
            os.close(self.handles.pop(slot))

    def pread(self, slot, offset, size):
        return os.pread(self.handle(slot), size, offset)

    def pwrite(self, slot, offset, size, byte):
        return os.pwrite(self.handle(slot), bytes([byte]) * size, offset)

    def write(self, slot, size, byte):
        # Not into a fifo, which can be full.
        if slot in self.handles and stat.S_ISFIFO(os.fstat(self.handles[slot]).st_mode):
            return None
        return os.write(self.handle(slot), bytes([byte]) * size)

    def ftruncate(self, slot, size):
        os.ftruncate(self.handle(slot), size)

    def fallocate(self, slot, mode, offset, size):
        fallocate(self.handle(slot), mode, offset, size)

    def fsync(self, slot):
        os.fsync(self.handle(slot))

    def fchmod(self, slot, mode):
        os.fchmod(self.handle(slot), mode)

    def fstat(self, slot):
        return seen(os.fstat(self.handle(slot)))

    def list_open(self, slot):
        if slot not in self.handles:
            return None
        return sorted(os.listdir(self.handles[slot]))

    def copy(self, source, offset, target, to, size):
        return os.copy_file_range(self.handle(source), self.handle(target), size, offset, to)

    def map(self, slot, handle):
        self.unmap(slot)
        if handle not in self.handles or os.fstat(self.handles[handle]).st_size == 0:
            return
        self.mappings[slot] = mmap.mmap(self.handles[handle], 0)

    def unmap(self, slot):
        if slot in self.mappings:
            self.mappings.pop(slot).close()

    def map_write(self, slot, offset, byte):
        mapping = self.mappings.get(slot)
        # Beyond the end of the file it would be a signal.
        if mapping is None or offset >= min(len(mapping), mapping.size()):
            return None
        mapping[offset] = byte
        return mapping[max(0, offset - 10) : offset + 1]

    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def unlink(self, path):
        os.unlink(self.at(path))

    def mkfifo(self, path):
        os.mkfifo(self.at(path))

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def readlink(self, path):
        return os.readlink(self.at(path))

    def link(self, path, to):
        os.link(self.at(path), self.at(to))

    def rename(self, path, to, flags):
        renameat2(self.at(path), self.at(to), flags)

    def truncate(self, path, size):
        os.truncate(self.at(path), size)

    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def stat(self, path):
        return seen(os.stat(self.at(path)))

    def lstat(self, path):
        return seen(os.lstat(self.at(path)))

    def list(self, path):
        return sorted(os.listdir(self.at(path)))

    def read(self, path):
        if stat.S_ISFIFO(os.stat(self.at(path)).st_mode):
            return None
        with open(self.at(path), 'rb') as file:
            return file.read()

    def replace(self, path, size, byte):
        """As editors save: a new file takes the name."""
        with open(self.at(path + '.new'), 'wb') as file:
            file.write(bytes([byte]) * size)
        os.rename(self.at(path + '.new'), self.at(path))

    def sync(self, path):
        fd = os.open(self.at(path), R | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def forget(self):
        """Has the kernel forget every name that is not in use; remounting does that, and only on this mount."""
        if self.mountpoint is not None:
            flags = MS_REMOUNT | MS_NOSUID | MS_NODEV
            check(libc.mount(None, os.fsencode(self.mountpoint), None, ctypes.c_ulong(flags), None))


def seen(stats):
    size = None if stat.S_ISDIR(stats.st_mode) else stats.st_size
    return oct(stats.st_mode), stats.st_nlink, size


def slot(rng):
    return rng.randrange(HANDLES)


def any_path(rng):
    return '/'.join(rng.choice(NAMES) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))


def any_size(rng):
    return rng.choice((0, 1, 100, 4095, 4096, 4097, 10_000, rng.randrange(70_000), rng.randrange(70_000)))


def any_offset(rng):
    far = rng.random() < 0.02
    return rng.randrange(3_000_000) if far else rng.choice((0, 0, 1, 4096, 8191, rng.randrange(70_000)))


GENERATORS = {
    'open': (16, lambda rng: (slot(rng), any_path(rng), rng.choice(FLAGS))),
    'close': (4, lambda rng: (slot(rng),)),
    'pread': (6, lambda rng: (slot(rng), any_offset(rng), any_size(rng))),
    'pwrite': (10, lambda rng: (slot(rng), any_offset(rng), any_size(rng), rng.randrange(256))),
    'write': (4, lambda rng: (slot(rng), any_size(rng), rng.randrange(256))),
    'ftruncate': (3, lambda rng: (slot(rng), any_offset(rng))),
    'fallocate': (3, lambda rng: (slot(rng), rng.choice((0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE)), any_offset(rng), any_size(rng))),
    'fsync': (1, lambda rng: (slot(rng),)),
    'fchmod': (1, lambda rng: (slot(rng), rng.choice(MODES))),
    'fstat': (4, lambda rng: (slot(rng),)),
    'list_open': (1, lambda rng: (slot(rng),)),
    'copy': (6, lambda rng: (slot(rng), any_offset(rng), slot(rng), any_offset(rng), any_size(rng))),
    'map': (4, lambda rng: (rng.randrange(MAPPINGS), slot(rng))),
    'unmap': (1, lambda rng: (rng.randrange(MAPPINGS),)),
    'map_write': (5, lambda rng: (rng.randrange(MAPPINGS), any_offset(rng), rng.randrange(256))),
    'mkdir': (3, lambda rng: (any_path(rng), rng.choice((0o755, 0o700)))),
    'rmdir': (3, lambda rng: (any_path(rng),)),
    'unlink': (5, lambda rng: (any_path(rng),)),
    'mkfifo': (1, lambda rng: (any_path(rng),)),
    'symlink': (2, lambda rng: (any_path(rng), any_path(rng))),
    'readlink': (1, lambda rng: (any_path(rng),)),
    'link': (6, lambda rng: (any_path(rng), any_path(rng))),
    'rename': (10, lambda rng: (any_path(rng), any_path(rng), rng.choice((0, 0, 0, 0, NOREPLACE, EXCHANGE)))),
    'truncate': (3, lambda rng: (any_path(rng), any_offset(rng))),
    'chmod': (2, lambda rng: (any_path(rng), rng.choice(MODES))),
    'stat': (4, lambda rng: (any_path(rng),)),
    'lstat': (2, lambda rng: (any_path(rng),)),
    'list': (3, lambda rng: (rng.choice(('.', any_path(rng))),)),
    'read': (5, lambda rng: (any_path(rng),)),
    'replace': (3, lambda rng: (any_path(rng), any_size(rng), rng.randrange(256))),
    'sync': (0.3, lambda rng: (rng.choice(('.', any_path(rng))),)),
    'forget': (0.3, lambda rng: ()),
}


def sequence(seed, count):
    rng = random.Random(seed)
    kinds = rng.choices(list(GENERATORS), [weight for weight, _ in GENERATORS.values()], k=count)
    return [(kind, *GENERATORS[kind][1](rng)) for kind in kinds]


def tree(root):
    """Everything below a directory, and which names are one file."""
    shown, names_of = {}, collections.defaultdict(list)
    for path, directories, files in os.walk(root):
        for name in directories + files:
            full = os.path.join(path, name)
            short = os.path.relpath(full, root)
            stats = os.lstat(full)
            names_of[stats.st_ino].append(short)
            content = None
            if stat.S_ISREG(stats.st_mode):
                with open(full, 'rb') as file:
                    content = file.read()
            elif stat.S_ISLNK(stats.st_mode):
                content = os.readlink(full)
            shown[short] = (seen(stats), content)
    return shown, sorted(sorted(names) for names in names_of.values())


def difference(right, other):
    """What differs between two trees, in a few words."""
    for path in sorted({*right[0], *other[0]}):
        if right[0].get(path) != other[0].get(path):
            return f'{path}: {shortened(right[0].get(path))} is {shortened(other[0].get(path))}'
    return f'names of one file: {right[1]} are {other[1]}' if right[1] != other[1] else None


def shortened(value):
    text = repr(value)
    return text if len(text) < 300 else f'{text[:200]}…{text[-80:]} ({len(text)} letters)'


def run(operations, right, other):
    """Gives the index of the operation that came out differently and how, or None."""
    for index, (kind, *arguments) in enumerate(operations):
        expected = tried(getattr(right, kind), *arguments)
        actual = tried(getattr(other, kind), *arguments)
        if expected != actual:
            return index, f'{shortened(expected)} is {shortened(actual)}'
        if index % COMPARE_EVERY == COMPARE_EVERY - 1 or index == len(operations) - 1:
            found = difference(tree(right.root), tree(other.root))
            if found:
                return index, found
    return None


def attempt(operations, right, other, mountpoint, number):
    """Runs operations in fresh directories."""
    sides = Side(f'{right}/try-{number}'), Side(f'{other}/try-{number}', mountpoint)
    for side in sides:
        os.mkdir(side.root)
    try:
        return run(operations, *sides)
    finally:
        for side in sides:
            side.close_all()


def shrunk(operations, fails):
    """Leaves out what can be left out: first long runs of operations, then shorter ones."""
    length = len(operations) // 2
    while length > 0:
        start = 0
        while start < len(operations):
            fewer = operations[:start] + operations[start + length :]
            if fails(fewer):
                operations = fewer
            else:
                start += length
        length //= 2
    return operations


def without_session_names(root):
    """Removes what no commit takes, so that the branch can be compared with what is left."""
    for path, directories, files in os.walk(root):
        for name in [*directories, *files]:
            full = os.path.join(path, name)
            is_scratch = name.endswith('~') or name == '4913'
            if is_scratch and name in directories and not os.path.islink(full):
                shutil.rmtree(full)
                directories.remove(name)
            elif is_scratch or stat.S_ISFIFO(os.lstat(full).st_mode):
                os.unlink(full)


def main(right, other, mountpoint, seed, count):
    operations = sequence(int(seed), int(count))
    numbers = iter(range(1_000_000))
    started = time.monotonic()
    failed = attempt(operations, right, other, mountpoint, next(numbers))
    seconds = time.monotonic() - started
    if failed is None:
        without_session_names(other)
        print(f'seed {seed}: {count} operations, {int(count) / seconds:.0f} a second')
        return
    index, how = failed
    print(f'seed {seed}: operation {index} {operations[index]}: {how}', flush=True)
    def fails(fewer):
        return attempt(fewer, right, other, mountpoint, next(numbers)) is not None
    short = operations[: index + 1]
    if fails(short):
        short = shrunk(short, fails)
        print(f'these are enough: {attempt(short, right, other, mountpoint, next(numbers))}')
    else:
        print('which did not happen again; it took all of these, or the time they took:')
    for operation in short:
        print(f'  {operation}')
    sys.exit(1)


main(*sys.argv[1:])
