"""FIFOs, sockets, device nodes, locks, extended attributes, statfs."""

import fcntl
import os
import socket
import stat
import subprocess

from harness import as_user, bound, in_child, opened, permissions, read, table, tried, write

R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
NULL = os.makedev(1, 3)
NOBODY = os.makedev(240, 77)


def kind(path):
    return oct(stat.S_IFMT(os.lstat(path).st_mode))


def piped():
    reader = subprocess.Popen(['cat', 'fifo'], stdout=subprocess.PIPE)
    opened('fifo', W, lambda fd: os.write(fd, b'through'))
    return reader.communicate(timeout=10)[0]


def talked():
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind('sock')
        server.listen()
        client.connect('sock')
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b'hello')
            return accepted.recv(9)


def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


table('mkfifo', (
    ('carries bytes between processes', piped, 'through'),
    ('heeds the umask', lambda: (os.umask(0o027), os.mkfifo('new', 0o666), permissions('new'))[2], '0o640'),
    ('a name that is taken', lambda: os.mkfifo('file'), 'EEXIST'),
    ('a name that a dangling link has', lambda: os.mkfifo('dangling'), 'EEXIST'),
    ('where one may not write', lambda: as_user(lambda: os.mkfifo('dir/new')), 'EACCES'),
    ('to write without a reader', lambda: opened('fifo', W | os.O_NONBLOCK), 'ENXIO'),
    ('to read without a writer', lambda: opened('fifo', R | os.O_NONBLOCK, lambda fd: os.read(fd, 1)), ''),
    ('is another one under another name', lambda: (os.mkfifo('new'), os.stat('new').st_ino != os.stat('fifo').st_ino)[1], True),
    ('goes on under another name', lambda: opened('fifo', RW, lambda fd: (os.write(fd, b'x'), os.rename('fifo', 'new'), opened('new', RW, lambda other: os.read(other, 1)))[2]), 'x'),
    ('that was unlinked carries on', lambda: opened('fifo', RW, lambda fd: (os.unlink('fifo'), os.write(fd, b'x'), os.read(fd, 1))[2]), 'x'),
))

table('mknod', (
    ('a file', lambda: (os.mknod('new', 0o640 | stat.S_IFREG), kind('new'), permissions('new'), os.stat('new').st_size)[1:], ('0o100000', '0o640', 0)),
    ('a file that can be written', lambda: (os.mknod('new'), write('new', 'x'), read('new'))[2], 'x'),
    ('a file whose name is taken', lambda: os.mknod('file', 0o644 | stat.S_IFREG), 'EEXIST'),
    ('a character device', lambda: (os.mknod('new', 0o666 | stat.S_IFCHR, NULL), kind('new'), os.stat('new').st_rdev == NULL)[1:], ('0o20000', True)),
    ('a block device', lambda: (os.mknod('new', 0o600 | stat.S_IFBLK, os.makedev(7, 300)), kind('new'), os.minor(os.stat('new').st_rdev))[1:], ('0o60000', 300)),
    ('a socket', lambda: (os.mknod('new', 0o600 | stat.S_IFSOCK), kind('new'))[1], '0o140000'),
    ('a directory', lambda: os.mknod('new', 0o755 | stat.S_IFDIR), 'EPERM'),
    ('a link', lambda: os.mknod('new', 0o755 | stat.S_IFLNK), 'EINVAL'),
    ('a device by somebody else than root', lambda: (os.chmod('dir', 0o777), as_user(lambda: os.mknod('dir/new', 0o666 | stat.S_IFCHR, NULL)))[1], 'EPERM'),
    ('a fifo by somebody else', lambda: (os.chmod('dir', 0o777), as_user(lambda: os.mknod('dir/new', 0o600 | stat.S_IFIFO)), os.stat('dir/new').st_uid)[1:], (None, 12345)),
    ('the null device works', lambda: (os.mknod('new', 0o666 | stat.S_IFCHR, NULL), tried(opened, 'new', RW, lambda fd: (os.write(fd, b'x'), os.read(fd, 1))))[1], (1, '')),
    ('a device that nobody drives', lambda: (os.mknod('new', 0o666 | stat.S_IFCHR, NOBODY), tried(opened, 'new', R))[1], 'ENXIO'),
    ('a device is renamed, linked and unlinked', lambda: (os.mknod('new', 0o666 | stat.S_IFCHR, NULL), os.rename('new', 'other'), os.link('other', 'dir/third'), os.unlink('other'), kind('dir/third'))[4], '0o20000'),
))

table('a socket', (
    ('is bound and found', talked, 'hello'),
    ('has its kind', lambda: (bound('sock'), kind('sock'))[1], '0o140000'),
    ('on a name that is taken', lambda: bound('file'), 'EADDRINUSE'),
    ('twice', lambda: (bound('sock'), tried(bound, 'sock'))[1], 'EADDRINUSE'),
    ('where one may not write', lambda: as_user(lambda: bound('dir/sock')), 'EACCES'),
    ('that nobody listens on', lambda: (bound('sock'), tried(connect, 'sock'))[1], 'ECONNREFUSED'),
    ('that is a file', lambda: connect('file'), 'ECONNREFUSED'),
    ('that one may not write', lambda: (bound('sock'), os.chmod('sock', 0o600), as_user(lambda: connect('sock')))[2], 'EACCES'),
    ('is renamed', lambda: (bound('sock'), os.rename('sock', 'dir/sock'), kind('dir/sock'))[2], '0o140000'),
))


def held(lock, then):
    """Runs in another process while this one holds a lock."""
    def run():
        def on(fd):
            lock(fd)
            return in_child(lambda: opened('file', RW, then))
        return opened('file', RW, on)
    return run


def now(kind):
    return lambda fd: fcntl.flock(fd, kind | fcntl.LOCK_NB)


def record(kind, start=0, length=0):
    return lambda fd: fcntl.lockf(fd, kind | fcntl.LOCK_NB, length, start)


def released():
    opened('file', RW, now(fcntl.LOCK_EX))
    return in_child(lambda: opened('file', RW, now(fcntl.LOCK_EX)))


table('locks', (
    ('flock keeps others out', held(now(fcntl.LOCK_EX), now(fcntl.LOCK_EX)), 'EAGAIN'),
    ('shared ones go together', held(now(fcntl.LOCK_SH), now(fcntl.LOCK_SH)), None),
    ('a shared one keeps an exclusive one out', held(now(fcntl.LOCK_SH), now(fcntl.LOCK_EX)), 'EAGAIN'),
    ('flock ends with the file', released, None),
    ('two of one process keep each other out', lambda: opened('file', R, lambda one: (now(fcntl.LOCK_EX)(one), tried(opened, 'file', R, now(fcntl.LOCK_EX)))[1]), 'EAGAIN'),
    ('record locks keep others out', held(record(fcntl.LOCK_EX, 0, 10), record(fcntl.LOCK_EX, 5, 10)), 'EAGAIN'),
    ('record locks of other ranges do not', held(record(fcntl.LOCK_EX, 0, 10), record(fcntl.LOCK_EX, 10, 10)), None),
    ('shared record locks go together', held(record(fcntl.LOCK_SH), record(fcntl.LOCK_SH)), None),
    ('of both kinds do not meet', held(now(fcntl.LOCK_EX), record(fcntl.LOCK_EX)), None),
    ('a record lock to write takes a file that is open to write', lambda: opened('file', R, record(fcntl.LOCK_EX)), 'EBADF'),
    ('hold for the file, not the name', lambda: (os.link('file', 'new'), opened('file', RW, lambda fd: (now(fcntl.LOCK_EX)(fd), in_child(lambda: opened('new', RW, now(fcntl.LOCK_EX))))[1]))[1], 'EAGAIN'),
))

table('extended attributes', (
    ('one that is not there', lambda: os.getxattr('file', 'user.none'), 'ENODATA'),
    ('one of no namespace', lambda: os.getxattr('file', 'nothing'), 'ENOTSUP'),
    ('can be set', lambda: (os.setxattr('file', 'user.test', b'value'), os.getxattr('file', 'user.test'))[1], 'value'),
    ('can be removed', lambda: os.removexattr('file', 'user.none'), 'ENODATA'),
    ('are listed', lambda: os.listxattr('file'), []),
    ('user ones are not for fifos', lambda: os.setxattr('fifo', 'user.test', b'x'), 'EPERM'),
    ('of a file that one may not write', lambda: as_user(lambda: os.setxattr('file', 'user.test', b'x')), 'EACCES'),
    ('of a file that one may not read', lambda: (os.chmod('file', 0), as_user(lambda: os.getxattr('file', 'user.test')))[1], 'EACCES'),
    ('a name of 256 bytes', lambda: os.getxattr('file', 'user.' + 'n' * 251), 'ERANGE'),
    ('an access control list', lambda: os.getxattr('file', 'system.posix_acl_access'), 'ENODATA'),
))

table('statfs', (
    ('names may have 255 bytes', lambda: os.statvfs('.').f_namemax, 255),
    ('counts blocks', lambda: (lambda s: s.f_bsize > 0 and s.f_blocks >= s.f_bfree >= s.f_bavail > 0)(os.statvfs('file')), True),
    ('is the same for all files', lambda: os.statvfs('dir').f_blocks == os.statvfs('file').f_blocks, True),
    ('of an open file', lambda: opened('file', R, lambda fd: os.statvfs(fd).f_namemax), 255),
))
