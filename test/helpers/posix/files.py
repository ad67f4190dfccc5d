"""Opening files, and what is in them: read, write, truncate, fallocate, lseek, copy_file_range, mmap."""

import mmap
import os
import resource
import shutil
import signal
import subprocess

from harness import (
    COLLAPSE_RANGE, INSERT_RANGE, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, as_user, bound, changed,
    fallocate, fallocated, in_child, linkat_fd, opened, permissions, read, table, tried, write,
)

R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
CREATE = W | os.O_CREAT
MIB = 1024 * 1024
# Linux 6.9, in linux/fs.h.
RWF_NOAPPEND = 0x20


def opens(path, flags):
    return lambda: opened(path, flags)


def with_file(content, then):
    """Runs on a descriptor of a file of its own, open for reading and writing."""
    def run():
        write('new', content)
        return opened('new', RW, then)
    return run


table('open', (
    ('creates an empty file', lambda: (opened('new', CREATE), read('new'))[1], ''),
    ('heeds the umask', lambda: (os.umask(0o027), opened('new', CREATE, mode=0o777), permissions('new'))[2], '0o750'),
    ('creates a file that only the opener can write', lambda: (opened('new', RW | os.O_CREAT, lambda fd: (os.write(fd, b'x'), os.pread(fd, 1, 0)), mode=0), permissions('new')), ((1, 'x'), '0o0')),
    ('takes an existing file with O_CREAT', lambda: (opened('file', CREATE), read('file'))[1], 'content'),
    ('creates what a dangling link leads to', lambda: (opened('dangling', CREATE), os.stat('nowhere').st_size)[1], 0),
    ('what is not there', opens('new', R), 'ENOENT'),
    ('a dangling link', opens('dangling', R), 'ENOENT'),
    ('O_EXCL creates', opens('new', CREATE | os.O_EXCL), None),
    ('O_EXCL of a file', opens('file', CREATE | os.O_EXCL), 'EEXIST'),
    ('O_EXCL of a directory', opens('dir', CREATE | os.O_EXCL), 'EEXIST'),
    ('O_EXCL of a dangling link', opens('dangling', CREATE | os.O_EXCL), 'EEXIST'),
    ('O_TRUNC empties', lambda: (opened('file', W | os.O_TRUNC), os.stat('file').st_size)[1], 0),
    ('O_TRUNC of what is not there', opens('new', W | os.O_TRUNC), 'ENOENT'),
    ('O_TRUNC empties what another one has open', lambda: opened('file', R, lambda fd: (opened('file', W | os.O_TRUNC), os.read(fd, 10))[1]), ''),
    ('a directory to write', opens('dir', W), 'EISDIR'),
    ('a directory to read and write', opens('dir', RW), 'EISDIR'),
    ('a directory with O_CREAT', opens('dir', R | os.O_CREAT), 'EISDIR'),
    ('a directory with O_TRUNC', opens('dir', W | os.O_TRUNC), 'EISDIR'),
    ('a new name with a slash', opens('new/', CREATE), 'EISDIR'),
    ('a file with a slash', opens('file/', R), 'ENOTDIR'),
    ('O_DIRECTORY of a directory', opens('dir', R | os.O_DIRECTORY), None),
    ('O_DIRECTORY of a file', opens('file', R | os.O_DIRECTORY), 'ENOTDIR'),
    ('O_DIRECTORY of a link to a directory', opens('dirlink', R | os.O_DIRECTORY), None),
    ('O_DIRECTORY of a link to a file', opens('link', R | os.O_DIRECTORY), 'ENOTDIR'),
    ('O_DIRECTORY with O_CREAT', opens('new', R | os.O_DIRECTORY | os.O_CREAT), 'EINVAL'),
    ('O_NOFOLLOW of a file', opens('file', R | os.O_NOFOLLOW), None),
    ('O_NOFOLLOW of a link', opens('link', R | os.O_NOFOLLOW), 'ELOOP'),
    ('O_NOFOLLOW below a link', opens('dirlink/inside', R | os.O_NOFOLLOW), None),
    ('a link to itself', opens('loop', R), 'ELOOP'),
    ('O_PATH of a link', lambda: opened('link', os.O_PATH | os.O_NOFOLLOW, lambda fd: os.readlink('', dir_fd=fd)), 'file'),
    ('O_PATH cannot be read', lambda: opened('file', os.O_PATH, lambda fd: os.read(fd, 1)), 'EBADF'),
    ('O_NOATIME of the own file', opens('file', R | os.O_NOATIME), None),
    ('O_NOATIME of a file of others', lambda: as_user(opens('file', R | os.O_NOATIME)), 'EPERM'),
    ('a socket', lambda: (bound('sock'), tried(opened, 'sock', R))[1], 'ENXIO'),
    ('a file that one may not read', lambda: (os.chmod('file', 0o222), as_user(opens('file', R)))[1], 'EACCES'),
    ('a file that one may not write', lambda: as_user(opens('file', W)), 'EACCES'),
    ('a file that one may not write, with O_TRUNC', lambda: (as_user(opens('file', R | os.O_TRUNC)), read('file')), ('EACCES', 'content')),
    ('to create where one may not write', lambda: as_user(opens('dir/new', CREATE)), 'EACCES'),
    ('to create what is there, where one may not write', lambda: (os.chmod('dir/inside', 0o666), as_user(opens('dir/inside', CREATE)))[1], None),
    ('of another user belongs to him', lambda: (os.chmod('dir', 0o777), as_user(opens('dir/new', CREATE)), os.stat('dir/new').st_uid)[2], 12345),
    ('a program that runs, to write', lambda: running(opens('program', W)), 'ETXTBSY'),
    ('a program that is open to write, to run', lambda: (shutil.copy('/bin/true', 'program'), opened('program', W, lambda fd: tried(os.execv, 'program', ['x'])))[1], 'ETXTBSY'),
    ('a file that was unlinked, through /proc', lambda: opened('file', R, lambda fd: (os.unlink('file'), opened(f'/proc/self/fd/{fd}', R, lambda again: os.read(again, 9)))[1]), 'content'),
))


def nameless(then, directory='.', flags=RW):
    """Runs on the descriptor of a file that has no name."""
    return lambda: opened(directory, flags | os.O_TMPFILE, then)


def linked(fd, target='new'):
    os.write(fd, b'later')
    linkat_fd(fd, target)


def linked_when_only_read():
    writer = os.open('.', RW | os.O_TMPFILE, 0o644)
    reader = os.open(f'/proc/self/fd/{writer}', R)
    os.write(writer, b'later')
    os.close(writer)
    linkat_fd(reader, 'new')
    os.close(reader)
    return read('new')


table('O_TMPFILE', (
    ('has no name', nameless(lambda fd: (os.fstat(fd).st_nlink, len(os.listdir('.')))), (0, 9)),
    ('is written and read', nameless(lambda fd: (os.write(fd, b'abc'), os.pread(fd, 9, 1), os.fstat(fd).st_size)), (3, 'bc', 3)),
    ('can be cut', nameless(lambda fd: (os.write(fd, b'abc'), os.ftruncate(fd, 1), os.pread(fd, 9, 0), os.fsync(fd))), (3, None, 'a', None)),
    ('heeds the umask', lambda: (os.umask(0o027), opened('.', RW | os.O_TMPFILE, lambda fd: oct(os.fstat(fd).st_mode & 0o7777), mode=0o777))[1], '0o750'),
    ('to write alone', nameless(lambda fd: os.write(fd, b'x'), flags=W), 1),
    ('to read alone', nameless(None, flags=R), 'EINVAL'),
    ('of a file', nameless(None, 'file'), 'ENOTDIR'),
    ('of what is not there', nameless(None, 'nowhere'), 'ENOENT'),
    ('where one may not write', lambda: as_user(nameless(None, 'dir')), 'EACCES'),
    ('of another user belongs to him', lambda: (os.chmod('dir', 0o777), as_user(nameless(lambda fd: os.fstat(fd).st_uid, 'dir')))[1], 12345),
    ('leaves the times of the directory', lambda: changed(nameless(None), '.'), ['']),
    ('gets a name', nameless(lambda fd: (linked(fd), read('new'), os.stat('new').st_nlink, os.fstat(fd).st_nlink)), (None, 'later', 1, 1)),
    ('keeps its number', nameless(lambda fd: (linked(fd), os.stat('new').st_ino == os.fstat(fd).st_ino)[1]), True),
    ('is there after the close', lambda: (nameless(linked)(), read('new'))[1], 'later'),
    ('is written to after it got a name', lambda: (nameless(lambda fd: (linked(fd), os.write(fd, b' on')))(), read('new'))[1], 'later on'),
    ('gets two names', nameless(lambda fd: (linked(fd), os.link('new', 'other'), linkat_fd(fd, 'third'), os.fstat(fd).st_nlink)), (None, None, None, 3)),
    ('gets a name when it is only read', linked_when_only_read, 'later'),
    ('keeps its mode with the name', nameless(lambda fd: (os.fchmod(fd, 0o4710), linked(fd), permissions('new'))[2]), '0o4710'),
    ('gets a name in another directory', lambda: (nameless(lambda fd: linked(fd, 'dir/new'), 'emptydir')(), read('dir/new'))[1], 'later'),
    ('outlives its directory', nameless(lambda fd: (os.rmdir('emptydir'), linked(fd), read('new')), 'emptydir'), (None, None, 'later')),
    ('gets no name that is there', nameless(lambda fd: (tried(linkat_fd, fd, 'file'), read('file'), tried(linkat_fd, fd, 'new'))), ('EEXIST', 'content', None)),
    ('gets no name with O_EXCL', nameless(lambda fd: linkat_fd(fd, 'new'), flags=RW | os.O_EXCL), 'ENOENT'),
    ('gets no second life', nameless(lambda fd: (linked(fd), os.unlink('new'), tried(linkat_fd, fd, 'new'), os.pread(fd, 9, 0))), (None, None, 'ENOENT', 'later')),
))


def running(then):
    shutil.copy('/bin/sleep', 'program')
    process = subprocess.Popen(['./program', '60'])
    try:
        return tried(then)
    finally:
        process.kill()
        process.wait()


table('read and write', (
    ('gives what was written', with_file('', lambda fd: (os.write(fd, b'abc'), os.pread(fd, 9, 0))), (3, 'abc')),
    ('moves the position', with_file('abcdef', lambda fd: (os.read(fd, 2), os.write(fd, b'X'), os.read(fd, 2))), ('ab', 1, 'de')),
    ('nothing', with_file('abc', lambda fd: (os.write(fd, b''), os.read(fd, 0))), (0, '')),
    ('at the end of the file', with_file('abc', lambda fd: os.pread(fd, 9, 3)), ''),
    ('far beyond the end', with_file('abc', lambda fd: os.pread(fd, 9, 1 << 40)), ''),
    ('across the end', with_file('abc', lambda fd: os.pread(fd, 9, 1)), 'bc'),
    ('beyond the end leaves zeros', with_file('abc', lambda fd: (os.pwrite(fd, b'x', 5), os.pread(fd, 9, 0))[1]), 'abc\0\0x'),
    ('over the end', with_file('abc', lambda fd: (os.pwrite(fd, b'xyz', 2), os.pread(fd, 9, 0))[1]), 'abxyz'),
    ('a few bytes in the middle of a big file', with_file('a' * MIB, lambda fd: (os.pwrite(fd, b'XY', 500_001), os.pread(fd, 4, 500_000), os.fstat(fd).st_size)), (2, 'aXYa', MIB)),
    ('five mebibytes at once', lambda: (write('new', 'abcde' * MIB), read('new') == b'abcde' * MIB)[1], True),
    ('from several buffers', with_file('', lambda fd: (os.writev(fd, [b'ab', b'', b'cd']), os.pread(fd, 9, 0))), (4, 'abcd')),
    ('a file that is open to read', lambda: opened('file', R, lambda fd: os.write(fd, b'x')), 'EBADF'),
    ('a file that is open to write', lambda: opened('file', W, lambda fd: os.read(fd, 1)), 'EBADF'),
    ('a directory', lambda: opened('dir', R, lambda fd: os.read(fd, 1)), 'EISDIR'),
    ('before the beginning', with_file('abc', lambda fd: os.pread(fd, 1, -1)), 'EINVAL'),
    ('what two handles see is one content', lambda: opened('file', RW, lambda one: opened('file', RW, lambda two: (os.pwrite(one, b'X', 0), os.pread(two, 9, 0), os.pwrite(two, b'Y', 1), os.pread(one, 9, 0)))), (1, 'Xontent', 1, 'XYntent')),
    ('what was not closed yet is seen by other processes', lambda: opened('file', RW, lambda fd: (os.write(fd, b'seen'), in_child(lambda: read('file')))[1]), 'seenent'),
    ('and so is the size', lambda: opened('file', W, lambda fd: (os.pwrite(fd, b'x', 99), in_child(lambda: os.stat('file').st_size))[1]), 100),
    ('fsync and fdatasync', with_file('abc', lambda fd: (os.fsync(fd), os.fdatasync(fd))), (None, None)),
    ('fsync of a file that is open to read', lambda: opened('file', R, os.fsync), None),
    ('fsync of a directory', lambda: opened('dir', R, os.fsync), None),
    ('O_SYNC', lambda: (opened('file', W | os.O_SYNC, lambda fd: os.write(fd, b'x')), read('file')), (1, 'xontent')),
    ('O_APPEND writes at the end wherever the position is', lambda: (opened('file', W | os.O_APPEND, lambda fd: (os.lseek(fd, 0, 0), os.write(fd, b'X'), os.lseek(fd, 0, 1))), read('file')), ((0, 1, 8), 'contentX')),
    ('O_APPEND with pwrite', lambda: (opened('file', W | os.O_APPEND, lambda fd: os.pwrite(fd, b'X', 0)), read('file'))[1], 'contentX'),
    ('O_APPEND with pwritev2 that is not to append', lambda: (opened('file', W | os.O_APPEND, lambda fd: os.pwritev(fd, [b'X'], 0, RWF_NOAPPEND)), read('file'))[1], 'Xontent'),
    ('O_APPEND of two handles', lambda: (opened('file', W | os.O_APPEND, lambda one: opened('file', W | os.O_APPEND, lambda two: [os.write(fd, b) for fd, b in ((one, b'1'), (two, b'2'), (one, b'3'))])), read('file'))[1], 'content123'),
    ('O_APPEND between processes loses nothing', lambda: appended_by(4, 100), (400, True)),
    ('beyond the limit of the process', lambda: in_child(lambda: limited(lambda: opened('file', W, lambda fd: os.pwrite(fd, b'x', 1000)))), 'EFBIG'),
    ('up to the limit of the process', lambda: in_child(lambda: limited(lambda: opened('file', W, lambda fd: os.pwrite(fd, b'x' * 100, 950)))), 50),
))


def appended_by(processes, count):
    def append(index):
        with open('log', 'ab', buffering=0) as log:
            for number in range(count):
                log.write(f'{index} {number:04}\n'.encode())
    children = []
    for index in range(processes):
        pid = os.fork()
        if pid == 0:
            append(index)
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    lines = read('log').decode().splitlines()
    return len(lines), set(lines) == {f'{i} {n:04}' for i in range(processes) for n in range(count)}


def limited(run):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    return run()


table('truncate', (
    ('shortens', lambda: (os.truncate('file', 3), read('file'))[1], 'con'),
    ('lengthens with zeros', lambda: (os.truncate('file', 9), read('file'))[1], 'content\0\0'),
    ('does not bring back what it cut off', lambda: (os.truncate('file', 3), os.truncate('file', 7), read('file'))[2], 'con\0\0\0\0'),
    ('to nothing', lambda: (os.truncate('file', 0), os.stat('file').st_size)[1], 0),
    ('to 32 GiB takes no room', with_file('', lambda fd: (os.ftruncate(fd, 1 << 35), os.fstat(fd).st_size, os.fstat(fd).st_blocks, os.ftruncate(fd, 1))[1:3]), (1 << 35, 0)),
    ('takes no room when nothing is open', lambda: (os.truncate('empty', MIB), os.stat('empty').st_size, os.stat('empty').st_blocks)[1:], (MIB, 0)),
    ('follows links', lambda: (os.truncate('link', 3), read('file'))[1], 'con'),
    ('below nothing', lambda: os.truncate('file', -1), 'EINVAL'),
    ('a directory', lambda: os.truncate('dir', 0), 'EISDIR'),
    ('a fifo', lambda: os.truncate('fifo', 0), 'EINVAL'),
    ('a dangling link', lambda: os.truncate('dangling', 0), 'ENOENT'),
    ('a file that one may not write', lambda: as_user(lambda: os.truncate('file', 0)), 'EACCES'),
    ('a program that runs', lambda: running(lambda: os.truncate('program', 0)), 'ETXTBSY'),
    ('beyond the limit of the process', lambda: in_child(lambda: limited(lambda: os.truncate('file', 2000))), 'EFBIG'),
    ('beyond what a file can be', lambda: os.truncate('file', (1 << 63) - 1), 'EFBIG'),
    ('ftruncate shortens, and the position stays', with_file('abcdef', lambda fd: (os.read(fd, 5), os.ftruncate(fd, 2), os.write(fd, b'X'), os.pread(fd, 9, 0))[3]), 'ab\0\0\0X'),
    ('ftruncate of a file that is open to read', lambda: opened('file', R, lambda fd: os.ftruncate(fd, 0)), 'EINVAL'),
    ('ftruncate of a directory', lambda: opened('dir', R, lambda fd: os.ftruncate(fd, 0)), 'EINVAL'),
    ('ftruncate while others read', lambda: opened('file', RW, lambda one: opened('file', R, lambda two: (os.ftruncate(one, 2), os.read(two, 9), os.fstat(two).st_size)[1:])), ('co', 2)),
))

HOLED = 'a' * 4096 + 'b' * 4096 + 'c' * 4096

table('fallocate', (
    ('makes the file longer', lambda: (fallocated('file', 0, 0, 100), os.stat('file').st_size, read('file')[:8])[1:], (100, 'content\0')),
    ('leaves a file that is long enough', lambda: (fallocated('file', 0, 0, 3), read('file'))[1], 'content'),
    ('keeps the size', lambda: (fallocated('file', KEEP_SIZE, 0, 100), read('file'))[1], 'content'),
    ('punches a hole', with_file(HOLED, lambda fd: (fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 4096, 4096), os.pread(fd, 4100, 4095))[1]), 'a' + '\0' * 4096 + 'ccc'),
    ('a hole takes no room', with_file(HOLED, lambda fd: (fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 8192), os.fstat(fd).st_blocks)[1]), 8),
    ('punches a part of a page', with_file('abcdef', lambda fd: (fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 2, 2), os.pread(fd, 9, 0))[1]), 'ab\0\0ef'),
    ('punches beyond the end', with_file('abc', lambda fd: (fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 2, 9000), os.pread(fd, 9, 0))[1]), 'ab\0'),
    ('does not punch without keeping the size', lambda: fallocated('file', PUNCH_HOLE, 0, 1), 'ENOTSUP'),
    ('makes zeros', with_file('abcdef', lambda fd: (fallocate(fd, ZERO_RANGE, 2, 6), os.pread(fd, 99, 0))[1]), 'ab\0\0\0\0\0\0'),
    ('makes zeros and keeps the size', with_file('abcdef', lambda fd: (fallocate(fd, ZERO_RANGE | KEEP_SIZE, 2, 6), os.pread(fd, 99, 0))[1]), 'ab\0\0\0\0'),
    ('takes a range out', with_file(HOLED, lambda fd: (fallocate(fd, COLLAPSE_RANGE, 0, 4096), os.fstat(fd).st_size)[1]), 8192),
    ('puts a range in', with_file(HOLED, lambda fd: (fallocate(fd, INSERT_RANGE, 0, 4096), os.fstat(fd).st_size)[1]), 16384),
    ('of no length', lambda: fallocated('file', 0, 0, 0), 'EINVAL'),
    ('before the beginning', lambda: fallocated('file', 0, -1, 1), 'EINVAL'),
    ('beyond what a file can be', lambda: fallocated('file', 0, (1 << 63) - 2, 1 << 62), 'EFBIG'),
    ('beyond the limit of the process', lambda: in_child(lambda: limited(lambda: fallocated('file', 0, 0, 2000))), 'EFBIG'),
    ('of a file that is open to read', lambda: opened('file', R, lambda fd: fallocate(fd, 0, 0, 1)), 'EBADF'),
    ('of a directory', lambda: opened('dir', R, lambda fd: fallocate(fd, 0, 0, 1)), 'EBADF'),
    ('of a fifo', lambda: opened('fifo', RW, lambda fd: fallocate(fd, 0, 0, 1)), 'ESPIPE'),
    ('by posix_fallocate', lambda: (opened('file', RW, lambda fd: os.posix_fallocate(fd, 0, 100)), os.stat('file').st_size)[1], 100),
))


def sparse(then):
    """A hole of 64 KiB, a page of data, another hole of 64 KiB."""
    def run():
        def fill(fd):
            os.ftruncate(fd, 135_168)
            os.pwrite(fd, b'x' * 4096, 65_536)
            return then(fd)
        return opened('new', RW | os.O_CREAT, fill)
    return run


table('lseek', (
    ('SEEK_DATA in a hole', sparse(lambda fd: os.lseek(fd, 0, os.SEEK_DATA)), 65_536),
    ('SEEK_DATA in data', sparse(lambda fd: os.lseek(fd, 65_600, os.SEEK_DATA)), 65_600),
    ('SEEK_DATA behind the last data', sparse(lambda fd: os.lseek(fd, 70_000, os.SEEK_DATA)), 'ENXIO'),
    ('SEEK_HOLE in a hole', sparse(lambda fd: os.lseek(fd, 100, os.SEEK_HOLE)), 100),
    ('SEEK_HOLE in data', sparse(lambda fd: os.lseek(fd, 65_600, os.SEEK_HOLE)), 69_632),
    ('SEEK_HOLE without holes', with_file('abc', lambda fd: os.lseek(fd, 0, os.SEEK_HOLE)), 3),
    ('SEEK_DATA without holes', with_file('abc', lambda fd: os.lseek(fd, 1, os.SEEK_DATA)), 1),
    ('SEEK_DATA at the end', with_file('abc', lambda fd: os.lseek(fd, 3, os.SEEK_DATA)), 'ENXIO'),
    ('SEEK_HOLE at the end', with_file('abc', lambda fd: os.lseek(fd, 3, os.SEEK_HOLE)), 'ENXIO'),
    ('SEEK_HOLE beyond the end', with_file('abc', lambda fd: os.lseek(fd, 9, os.SEEK_HOLE)), 'ENXIO'),
    ('SEEK_DATA before the beginning', with_file('abc', lambda fd: os.lseek(fd, -1, os.SEEK_DATA)), 'ENXIO'),
    ('sees a hole that was punched', with_file(HOLED, lambda fd: (fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 4096, 4096), os.lseek(fd, 0, os.SEEK_HOLE), os.lseek(fd, 4096, os.SEEK_DATA))[1:]), (4096, 8192)),
    ('SEEK_END', with_file('abc', lambda fd: os.lseek(fd, -1, os.SEEK_END)), 2),
    ('beyond the end', with_file('abc', lambda fd: os.lseek(fd, 1 << 40, os.SEEK_SET)), 1 << 40),
    ('before the beginning', with_file('abc', lambda fd: os.lseek(fd, -1, os.SEEK_SET)), 'EINVAL'),
    ('from where nobody knows', with_file('abc', lambda fd: os.lseek(fd, 0, 99)), 'EINVAL'),
    ('in a fifo', lambda: opened('fifo', RW, lambda fd: os.lseek(fd, 0, os.SEEK_SET)), 'ESPIPE'),
))


def copied(length, from_offset=0, to_offset=0, content='abcdef', flags=RW | os.O_CREAT):
    def run():
        write('source', content)
        count = opened('source', R, lambda source: opened('target', flags, lambda target: os.copy_file_range(source, target, length, from_offset, to_offset)))
        return count, read('target')
    return run


table('copy_file_range', (
    ('a whole file', copied(6), (6, 'abcdef')),
    ('more than there is', copied(99), (6, 'abcdef')),
    ('a part', copied(2, 2), (2, 'cd')),
    ('from the end', copied(5, 6), (0, '')),
    ('to somewhere behind the end', copied(2, 0, 3), (2, '\0\0\0ab')),
    ('moves both positions', lambda: (write('target'), opened('file', R, lambda one: opened('target', RW, lambda two: (os.copy_file_range(one, two, 3), os.read(one, 9), os.lseek(two, 0, 1)))))[1], (3, 'tent', 3)),
    ('a big file', lambda: (write('source', 'abc' * MIB), subprocess.run(['cp', '--reflink=never', 'source', 'target'], check=True), read('target') == read('source'))[2], True),
    ('within one file', with_file('abcdef', lambda fd: (os.copy_file_range(fd, fd, 2, 0, 4), os.pread(fd, 9, 0))), (2, 'abcdab')),
    ('over itself', with_file('abcdef', lambda fd: os.copy_file_range(fd, fd, 4, 0, 2)), 'EINVAL'),
    ('over what is there', lambda: (write('target', '123456789'), copied(3, 0, 2)())[1], (3, '12abc6789')),
    ('what was written and not closed', with_file('', lambda source: (os.write(source, b'fresh'), opened('target', W | os.O_CREAT, lambda target: os.copy_file_range(source, target, 9, 0)), read('target'))), (5, 5, 'fresh')),
    ('to a file that is open to read', copied(6, flags=R | os.O_CREAT), 'EBADF'),
    ('to a file that is open to append', copied(6, flags=W | os.O_APPEND | os.O_CREAT), 'EBADF'),
    ('from a file that is open to write', lambda: opened('file', W, lambda source: opened('new', CREATE, lambda target: os.copy_file_range(source, target, 3))), 'EBADF'),
    ('from a directory', lambda: opened('dir', R, lambda source: opened('new', CREATE, lambda target: os.copy_file_range(source, target, 3))), 'EISDIR'),
    ('from a fifo', lambda: opened('fifo', RW, lambda source: opened('new', CREATE, lambda target: os.copy_file_range(source, target, 3))), 'EINVAL'),
    ('beyond the limit of the process', lambda: in_child(lambda: limited(copied(6, 0, 1000))), 'EFBIG'),
))


def shown(content, then, flags=mmap.MAP_SHARED):
    """Runs on a file that is mapped as a whole."""
    def on(fd):
        with mmap.mmap(fd, 0, flags) as memory:
            return then(fd, memory)
    return with_file(content, on)


def mapped(content, then, flags=mmap.MAP_SHARED):
    """The same, and what is in the file afterwards."""
    return lambda: (shown(content, then, flags)(), read('new'))


def assign(memory, at, data):
    memory[at : at + len(data)] = data


def through_map(path, data):
    """Another process writes through a mapping of its own."""
    def run():
        fd = os.open(path, RW)
        with mmap.mmap(fd, 0) as memory:
            assign(memory, 0, data)
        os.close(fd)
    return in_child(run)


def mapped_and_closed():
    write('new', 'abcdef')
    fd = os.open('new', RW)
    memory = mmap.mmap(fd, 0)
    os.close(fd)
    assign(memory, 0, b'XY')
    memory.flush()
    memory.close()
    return read('new')


table('mmap', (
    ('shows what is there', mapped('abcdef', lambda fd, memory: memory[:]), ('abcdef', 'abcdef')),
    ('what is written to it is in the file', mapped('abcdef', lambda fd, memory: assign(memory, 2, b'XY')), (None, 'abXYef')),
    ('and read at once through the descriptor', mapped('abcdef', lambda fd, memory: (assign(memory, 2, b'XY'), os.pread(fd, 9, 0))[1]), ('abXYef', 'abXYef')),
    ('shows what is written through the descriptor', mapped('abcdef', lambda fd, memory: (os.pwrite(fd, b'XY', 2), memory[:])[1]), ('abXYef', 'abXYef')),
    ('beside a file that is open to append', mapped('abcdef', lambda fd, memory: opened('new', W | os.O_APPEND, lambda other: (assign(memory, 0, b'X'), memory.flush())[1])), (None, 'Xbcdef')),
    ('msync', mapped('abcdef', lambda fd, memory: (assign(memory, 0, b'X'), memory.flush())[1]), (None, 'Xbcdef')),
    ('of two processes is the same memory', mapped('abcdef', lambda fd, memory: (through_map('new', b'XY'), memory[:])[1]), ('XYcdef', 'XYcdef')),
    ('private stays private', mapped('abcdef', lambda fd, memory: (assign(memory, 0, b'X'), memory[:])[1], mmap.MAP_PRIVATE), ('Xbcdef', 'abcdef')),
    ('is written after the descriptor was closed', mapped_and_closed, 'XYcdef'),
    ('of an unlinked file', lambda: opened('file', RW, lambda fd: (os.unlink('file'), through_map(f'/proc/self/fd/{fd}', b'X'), os.pread(fd, 9, 0))[2]), 'Xontent'),
    ('of a big file, a page in the middle', shown('a' * MIB, lambda fd, memory: (assign(memory, 600_000, b'Z'), os.pread(fd, 3, 599_999))[1]), 'aZa'),
    ('to write a file that is open to read', lambda: opened('file', R, lambda fd: mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)), 'EACCES'),
    ('of a file that is open to write alone', lambda: opened('file', W, lambda fd: mmap.mmap(fd, 7, mmap.MAP_SHARED, mmap.PROT_READ)), 'EACCES'),
    ('of a directory', lambda: opened('dir', R, lambda fd: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)), 'ENODEV'),
    ('beyond the end is a signal', lambda: in_child(lambda: opened('file', RW, lambda fd: beyond_end(fd))), 'signal 7'),
    ('grows with the file', shown('a' * 4096, lambda fd, memory: (os.ftruncate(fd, 8192), memory.resize(8192), assign(memory, 8000, b'X'), os.pread(fd, 1, 8000))[3]), 'X'),
))


def beyond_end(fd):
    os.ftruncate(fd, 8192)
    with mmap.mmap(fd, 8192) as memory:
        os.ftruncate(fd, 10)
        return memory[5000]


def unlinked(then):
    def run():
        def on(fd):
            os.unlink('file')
            return then(fd)
        return opened('file', RW, on)
    return run


def covered(then):
    """The file is open, and another one takes its name."""
    def run():
        write('other', 'another')
        def on(fd):
            os.rename('other', 'file')
            return then(fd)
        return opened('file', RW, on)
    return run


table('an open file', (
    ('that was unlinked can be read', unlinked(lambda fd: os.read(fd, 99)), 'content'),
    ('that was unlinked can be written', unlinked(lambda fd: (os.pwrite(fd, b'X', 9), os.pread(fd, 99, 0))[1]), 'content\0\0X'),
    ('that was unlinked can be truncated', unlinked(lambda fd: (os.ftruncate(fd, 3), os.pread(fd, 99, 0), os.fstat(fd).st_size)[1:]), ('con', 3)),
    ('that was unlinked has no links', unlinked(lambda fd: os.fstat(fd).st_nlink), 0),
    ('that was unlinked can get another mode', unlinked(lambda fd: (os.fchmod(fd, 0o600), oct(os.fstat(fd).st_mode & 0o7777))[1]), '0o600'),
    ('that was unlinked can get other times', unlinked(lambda fd: (os.utime(fd, ns=(1, 123456789)), os.fstat(fd).st_mtime_ns)[1]), 123456789),
    ('that was unlinked can get another owner', unlinked(lambda fd: (os.fchown(fd, 5, 6), os.fstat(fd).st_uid, os.fstat(fd).st_gid)[1:]), (5, 6)),
    ('that was unlinked can be synced', unlinked(os.fsync), None),
    ('that was unlinked can be allocated and punched', unlinked(lambda fd: (fallocate(fd, 0, 0, 9), fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 3), os.pread(fd, 99, 0))[2]), '\0\0\0tent\0\0'),
    ('that was unlinked leaves nothing behind', unlinked(lambda fd: [name for name in os.listdir('.') if 'file' in name or 'fuse' in name]), []),
    ('that was unlinked is another one than a new one', unlinked(lambda fd: (write('file', 'new'), os.pread(fd, 99, 0), os.fstat(fd).st_ino != os.stat('file').st_ino)[1:]), ('content', True)),
    ('that was renamed over can be read', covered(lambda fd: (os.pread(fd, 99, 0), read('file'))), ('content', 'another')),
    ('that was renamed over can be written', covered(lambda fd: (os.pwrite(fd, b'X', 0), os.pread(fd, 99, 0), read('file'))[1:]), ('Xontent', 'another')),
    ('that was renamed over has no links', covered(lambda fd: os.fstat(fd).st_nlink), 0),
    ('keeps its position when renamed', lambda: opened('file', RW, lambda fd: (os.read(fd, 3), os.rename('file', 'dir/new'), os.read(fd, 9), os.pwrite(fd, b'X', 0), read('dir/new'))[2:]), ('tent', 1, 'Xontent')),
    ('in a directory that is renamed', lambda: opened('dir/inside', RW, lambda fd: (os.rename('dir', 'new'), os.pwrite(fd, b'X', 0), read('new/inside'))[2]), 'Xnside'),
    ('made and unlinked at once', lambda: opened('new', RW | os.O_CREAT, lambda fd: (os.unlink('new'), os.write(fd, b'x' * MIB), os.fstat(fd).st_size)[1:]), (MIB, MIB)),
    ('that was created and renamed before it is closed', lambda: (opened('new', CREATE, lambda fd: (os.write(fd, b'data'), os.rename('new', 'file'))), read('file'))[1], 'data'),
))
