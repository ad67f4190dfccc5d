"""Directories as they are read, with others at work in them, and what stat says of all of it."""

import os
import stat
import subprocess

from harness import getdents, opened, read, table, write

R = os.O_RDONLY


def files(count, directory='big', prefix='f'):
    os.makedirs(directory, exist_ok=True)
    for number in range(count):
        write(f'{directory}/{prefix}{number}')


def entries(fd, size, between=lambda step: None):
    """All entries by many small reads, with something done after each."""
    names, step = [], 0
    while True:
        part = getdents(fd, size)
        if not part:
            return names
        names += part
        between(step)
        step += 1


def read_while(count, between, size=1024):
    files(count)
    return opened('big', R, lambda fd: entries(fd, size, between))


def once_each(names, expected):
    return all(names.count(name) == 1 for name in expected)


def while_others_go():
    names = read_while(1000, lambda step: [os.unlink(f'big/f{n}') for n in range(step * 3, step * 3 + 3) if os.path.exists(f'big/f{n}')])
    left = set(os.listdir('big'))
    return 0 < len(left) < 1000, once_each(names, left)


def while_others_come():
    names = read_while(1000, lambda step: write(f'big/new{step}'))
    return once_each(names, [f'f{number}' for number in range(1000)]), max(map(names.count, names))


def while_others_are_renamed():
    names = read_while(600, lambda step: os.rename(f'big/f{step}', f'big/g{step}') if step < 20 else None)
    return once_each(names, [f'f{number}' for number in range(20, 600)]), max(map(names.count, names))


def while_emptied():
    """As rm -r does it: what was read is removed at once."""
    files(500)
    removed = []
    def remove(fd):
        while True:
            names = [name for name in getdents(fd, 512) if name not in ('.', '..')]
            if not names and not getdents(fd, 512):
                return
            for name in names:
                os.unlink(f'big/{name}')
                removed.append(name)
    opened('big', R, remove)
    os.rmdir('big')
    return len(removed)


def from_the_start(fd):
    first = entries(fd, 4096)
    write('dir/new')
    os.lseek(fd, 0, os.SEEK_SET)
    return sorted(set(entries(fd, 4096)) - set(first))


def to_a_place(fd):
    """A position that was given before leads to the same place again."""
    first = getdents(fd, 512)
    position = os.lseek(fd, 0, os.SEEK_CUR)
    second = getdents(fd, 512)
    entries(fd, 4096)
    os.lseek(fd, position, os.SEEK_SET)
    return len(first) > 0, getdents(fd, 512) == second


def types():
    subprocess.run(['python3', '-c', 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'], check=True)
    with os.scandir('.') as found:
        return sorted(
            (entry.name, 'd' if entry.is_dir(follow_symlinks=False) else 'l' if entry.is_symlink() else 'f' if entry.is_file() else '?')
            for entry in found if entry.name in ('dir', 'link', 'file', 'fifo', 'sock')
        )


def same_numbers():
    with os.scandir('.') as found:
        return all(entry.inode() == os.lstat(entry.name).st_ino for entry in found)


table('readdir', (
    ('gives every name once', lambda: (files(2000), sorted(os.listdir('big')) == sorted(f'f{n}' for n in range(2000)))[1], True),
    ('gives . and ..', lambda: sorted(opened('dir', R, lambda fd: entries(fd, 4096))), ['.', '..', 'inside', 'sub']),
    ('gives types', types, [('dir', 'd'), ('fifo', '?'), ('file', 'f'), ('link', 'l'), ('sock', '?')]),
    ('gives the numbers that stat gives', same_numbers, True),
    ('gives names of bytes', lambda: (write(b'\xff\x80\n"'), b'\xff\x80\n"' in os.listdir(b'.'))[1], True),
    ('tells composed letters from decomposed ones', lambda: (write('dir/\u00dc', 'one'), write('dir/U\u0308', 'two'), read('dir/\u00dc'), read('dir/U\u0308'), len(os.listdir('dir')))[2:], ('one', 'two', 4)),
    ('while others go', while_others_go, (True, True)),
    ('while others come', while_others_come, (True, 1)),
    ('while others are renamed', while_others_are_renamed, (True, 1)),
    ('while it is emptied', while_emptied, 500),
    ('from the start again shows what is new', lambda: opened('dir', R, from_the_start), ['new']),
    ('to a place again', lambda: (files(200), opened('big', R, to_a_place))[1], (True, True)),
    ('into a buffer that is too small', lambda: opened('.', R, lambda fd: getdents(fd, 8)), 'EINVAL'),
    ('of a file', lambda: opened('file', R, lambda fd: getdents(fd, 512)), 'ENOTDIR'),
    ('of a removed directory', lambda: opened('emptydir', R, lambda fd: (os.rmdir('emptydir'), getdents(fd, 512))[1]), 'ENOENT'),
    ('shows what is made at once', lambda: (os.listdir('dir'), write('dir/new'), sorted(os.listdir('dir')))[2], ['inside', 'new', 'sub']),
    ('hides what is removed at once', lambda: (os.listdir('dir'), os.unlink('dir/inside'), os.listdir('dir'))[2], ['sub']),
    ('shows what is renamed at once', lambda: (os.listdir('dir'), os.rename('dir/inside', 'dir/new'), sorted(os.listdir('dir')))[2], ['new', 'sub']),
    ('a tree that rm -r removes', lambda: ([files(20, f'tree/{a}/{b}') for a in range(5) for b in range(5)], subprocess.run(['rm', '-r', 'tree'], check=True), os.path.exists('tree'))[2], False),
    ('a tree that cp -a copies', lambda: (subprocess.run('mkdir t; mv dir file link t; cp -a t u; diff -r t u', shell=True, check=True), os.readlink('u/link'))[1], 'file'),
    ('a thousand files come and go', lambda: (files(1000), [os.unlink(f'big/f{n}') for n in range(1000)], os.listdir('big'))[2], []),
))


def kind(path):
    return oct(stat.S_IFMT(os.lstat(path).st_mode))


table('stat', (
    ('a file', lambda: (kind('file'), os.stat('file').st_size, os.stat('file').st_nlink), ('0o100000', 7, 1)),
    ('a directory', lambda: (kind('dir'), os.stat('dir').st_nlink), ('0o40000', 3)),
    ('a link', lambda: (kind('link'), os.lstat('link').st_nlink), ('0o120000', 1)),
    ('a fifo', lambda: (kind('fifo'), os.stat('fifo').st_size), ('0o10000', 0)),
    ('counts blocks of 512 bytes', lambda: (write('new', 'x' * 8192), os.stat('new').st_blocks)[1], 16),
    ('one filesystem', lambda: len({os.stat(p).st_dev for p in ('.', 'dir', 'dir/sub', 'file')}), 1),
    ('a number for each', lambda: len({os.lstat(name).st_ino for name in os.listdir('.')}), 9),
    ('the number stays', lambda: (lambda number: (read('file'), write('file', 'x'), os.chmod('file', 0), os.stat('file').st_ino == number)[3])(os.stat('file').st_ino), True),
    ('the number of a directory stays when it is renamed', lambda: (lambda number: (os.rename('dir', 'new'), os.stat('new').st_ino == number)[1])(os.stat('dir').st_ino), True),
    ('an open file', lambda: opened('file', R, lambda fd: (os.fstat(fd).st_size, os.fstat(fd).st_ino == os.stat('file').st_ino)), (7, True)),
    ('.. of the root of a tree', lambda: os.path.samefile('dir/sub/../..', '.'), True),
))
