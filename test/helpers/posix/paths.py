"""What each call that takes a path says when the path leads nowhere."""

import os
import socket

from harness import EXCHANGE, NOREPLACE, as_user, bound, opened, renameat2, table


def connected(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


CALLS = {
    'open to read': lambda path: opened(path, os.O_RDONLY),
    'open to create': lambda path: opened(path, os.O_WRONLY | os.O_CREAT),
    'stat': os.stat,
    'lstat': os.lstat,
    'access': lambda path: None if os.access(path, os.F_OK) else os.stat(path),
    'chmod': lambda path: os.chmod(path, 0o600),
    'chown': lambda path: os.chown(path, 0, 0),
    'lchown': lambda path: os.lchown(path, 0, 0),
    'utimensat': os.utime,
    'truncate': lambda path: os.truncate(path, 0),
    'readlink': os.readlink,
    'readdir': os.listdir,
    'chdir': os.chdir,
    'statfs': os.statvfs,
    'mkdir': os.mkdir,
    'rmdir': os.rmdir,
    'unlink': os.unlink,
    'symlink': lambda path: os.symlink('file', path),
    'link from': lambda path: os.link(path, 'new'),
    'link to': lambda path: os.link('file', path),
    'rename from': lambda path: os.rename(path, 'new'),
    'rename to': lambda path: os.rename('file', path),
    'rename to, keeping what is there': lambda path: renameat2('file', path, NOREPLACE),
    'exchange': lambda path: renameat2('file', path, EXCHANGE),
    'mkfifo': os.mkfifo,
    'mknod': lambda path: os.mknod(path, 0o644 | 0o020000, os.makedev(1, 3)),
    'bind': bound,
    'execve': lambda path: os.execve(path, ['x'], {}),
    'getxattr': lambda path: os.getxattr(path, 'user.vost.test'),
    'listxattr': os.listxattr,
}
PATHS = (
    ('below a name that is not there', 'nowhere/new', 'ENOENT'),
    ('below a file', 'file/new', 'ENOTDIR'),
    ('below a link that leads to itself', 'loop/new', 'ELOOP'),
    ('a name of 256 bytes', 'n' * 256, 'ENAMETOOLONG'),
    ('a path of 4096 bytes', './' * 2046 + 'file', 'ENAMETOOLONG'),
    ('an empty path', '', 'ENOENT'),
)
# The address of a socket is shorter than either, and an empty one is an address of another kind.
NOT_FOR_BIND = ('a name of 256 bytes', 'a path of 4096 bytes', 'an empty path')


def locked(call):
    def run():
        os.chmod('dir', 0o644)
        return as_user(lambda: call('dir/inside'))
    return run


for name, call in CALLS.items():
    rows = [
        (situation, lambda call=call, path=path: call(path), expected)
        for situation, path, expected in PATHS
        if name != 'bind' or situation not in NOT_FOR_BIND
    ]
    table(name, rows)
    table(name, [('below a directory that one may not search', locked(call), 'EACCES')])
