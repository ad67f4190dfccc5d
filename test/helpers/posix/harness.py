"""What the cases of the suite are made of. Python, since it has nearly every system call by its own name."""

import ctypes
import errno
import os
import shutil
import socket
import time
import traceback

# name -> (what to run, what it must give)
cases = {}

# Somebody who owns nothing and is in no group of the files here.
STRANGER = 12345
LONG_AGO = 1_000_000_000_000_000_000

libc = ctypes.CDLL(None, use_errno=True)


def table(subject, rows):
    """Adds cases: each row has a name, what to run in a directory that `furnish` made, and its outcome."""
    for name, run, expected in rows:
        full = f'{subject}: {name}'
        assert full not in cases, full
        cases[full] = (run, plain(expected))


def outcome(run):
    """What a case gives: its value, the name of its errno, or how else it failed."""
    try:
        return plain(run())
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception:  # Reported as the outcome, which then differs from what is expected.
        return traceback.format_exc()


def plain(value):
    """As it is after a way through JSON."""
    if isinstance(value, bytes):
        return value.decode('latin1')
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def furnish():
    """What every case finds in its directory."""
    for directory in ('dir', 'dir/sub', 'emptydir'):
        os.mkdir(directory)
    for path, content in (('file', 'content'), ('empty', ''), ('dir/inside', 'inside')):
        write(path, content)
    for path, target in (('link', 'file'), ('dirlink', 'dir'), ('dangling', 'nowhere'), ('loop', 'loop')):
        os.symlink(target, path)
    os.mkfifo('fifo')


def tried(call, *arguments, **named):
    """The outcome of one step, so that a case can go on after a failure."""
    return outcome(lambda: call(*arguments, **named))


def write(path, content=''):
    with open(path, 'w') as file:
        file.write(content)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def opened(path, flags, then=None, mode=0o644):
    """Opens, does something with the descriptor, and closes it."""
    fd = os.open(path, flags, mode)
    try:
        return then(fd) if then else None
    finally:
        os.close(fd)


def permissions(path):
    return oct(os.lstat(path).st_mode & 0o7777)


def in_child(run):
    """Runs in a process of its own; gives the outcome, or the signal that ended it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.write(writer, repr(outcome(run)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, 'rb') as result:
        text = result.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f'signal {os.WTERMSIG(status)}'
    return eval(text)


def as_user(run, uid=STRANGER, gid=STRANGER, groups=()):
    """Runs as somebody else, without any privilege."""
    def become():
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        return run()
    return in_child(become)


def changed(run, *paths):
    """Which times of each path a step changes, of `a`, `m` and `c`; access times are not looked at."""
    for path in paths:
        os.utime(path, ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
    before = {path: os.lstat(path) for path in paths}
    time.sleep(0.012)  # The clock that files get their times from goes in steps of up to 10 ms.
    run()
    return [
        ('m' if os.lstat(path).st_mtime_ns != before[path].st_mtime_ns else '')
        + ('c' if os.lstat(path).st_ctime_ns != before[path].st_ctime_ns else '')
        for path in paths
    ]


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# System calls that Python has no function for.

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
NOREPLACE, EXCHANGE = 1, 2
KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE = 1, 2, 8, 16, 32
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


def renameat2(source, target, flags):
    check(libc.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags))


def fallocate(fd, mode, offset, length):
    check(libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def fallocated(path, mode, offset, length):
    opened(path, os.O_RDWR, lambda fd: fallocate(fd, mode, offset, length))


def linkat_fd(fd, target):
    check(libc.linkat(fd, b'', AT_FDCWD, os.fsencode(target), AT_EMPTY_PATH))


def utimensat(path, atime, mtime):
    """Each time as seconds and nanoseconds, of which the latter may be UTIME_NOW or UTIME_OMIT."""
    times = (ctypes.c_int64 * 4)(*atime, *mtime)
    check(libc.utimensat(AT_FDCWD, os.fsencode(path), times, 0))


def getdents(fd, size):
    """The names that one getdents64 gives."""
    buffer = ctypes.create_string_buffer(size)
    length = check(libc.getdents64(fd, buffer, ctypes.c_size_t(size)))
    names, at = [], 0
    while at < length:
        record = int.from_bytes(buffer.raw[at + 16 : at + 18], 'little')
        names.append(os.fsdecode(buffer.raw[at + 19 : at + record].split(b'\0', 1)[0]))
        at += record
    return names


def bound(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


def run_case(name, directory):
    """Runs a case in a directory of its own; gives its outcome."""
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    os.chdir(directory)
    os.umask(0o022)
    furnish()
    actual = outcome(cases[name][0])
    os.chdir('/')
    shutil.rmtree(directory, ignore_errors=True)
    return actual
