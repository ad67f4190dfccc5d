"""Modes, owners and times, who may change them, and who may do what because of them."""

import os
import time

from harness import (
    EXCHANGE, KEEP_SIZE, PUNCH_HOLE, STRANGER, UTIME_NOW, UTIME_OMIT, as_user, changed,
    fallocated, opened, permissions, read, renameat2, table, tried, utimensat, write,
)

R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
OTHER = 23456


def owner(path):
    stats = os.lstat(path)
    return stats.st_uid, stats.st_gid


def given(path, mode=None):
    """Gives a file to the stranger."""
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    if mode is not None:
        os.chmod(path, mode)


def times(path, **named):
    stats = os.stat(path, **named)
    return stats.st_atime_ns, stats.st_mtime_ns


def is_now(time_ns):
    return abs(time.time_ns() - time_ns) < 10_000_000_000


table('chmod', (
    ('sets every bit', lambda: (os.chmod('file', 0o7777), permissions('file'))[1], '0o7777'),
    ('clears every bit', lambda: (os.chmod('file', 0), permissions('file'))[1], '0o0'),
    ('of a directory', lambda: (os.chmod('dir', 0o1711), permissions('dir'))[1], '0o1711'),
    ('follows links', lambda: (os.chmod('link', 0o600), permissions('file'), permissions('link'))[1:], ('0o600', '0o777')),
    ('of a fifo', lambda: (os.chmod('fifo', 0o600), permissions('fifo'))[1], '0o600'),
    ('of an open file', lambda: (opened('file', R, lambda fd: os.fchmod(fd, 0o640)), permissions('file'))[1], '0o640'),
    ('does not hold for what is open', lambda: opened('file', RW, lambda fd: (os.chmod('file', 0), os.write(fd, b'x'), os.pread(fd, 9, 0))[1:]), (1, 'xontent')),
    ('of a file of others', lambda: as_user(lambda: os.chmod('file', 0o777)), 'EPERM'),
    ('of the own file', lambda: (given('file'), as_user(lambda: os.chmod('file', 0o600)), permissions('file'))[1:], (None, '0o600')),
    ('takes setgid off when the owner is not in the group', lambda: (os.chown('file', STRANGER, OTHER), as_user(lambda: os.chmod('file', 0o2755)), permissions('file'))[1:], (None, '0o755')),
    ('leaves setgid when the owner is in the group', lambda: (os.chown('file', STRANGER, OTHER), as_user(lambda: os.chmod('file', 0o2755), groups=[OTHER]), permissions('file'))[1:], (None, '0o2755')),
    ('setuid by the owner', lambda: (given('file'), as_user(lambda: os.chmod('file', 0o4755)), permissions('file'))[1:], (None, '0o4755')),
    ('sticky of a file by the owner', lambda: (given('file'), as_user(lambda: os.chmod('file', 0o1755)), permissions('file'))[1:], (None, '0o1755')),
))

table('chown', (
    ('sets both', lambda: (os.chown('file', 5, 6), owner('file'))[1], (5, 6)),
    ('sets the owner alone', lambda: (os.chown('file', 5, -1), owner('file'))[1], (5, 0)),
    ('sets the group alone', lambda: (os.chown('file', -1, 6), owner('file'))[1], (0, 6)),
    ('of a directory', lambda: (os.chown('dir', 5, 6), owner('dir'))[1], (5, 6)),
    ('follows links', lambda: (os.chown('link', 5, 6), owner('file'), owner('link'))[1:], ((5, 6), (0, 0))),
    ('lchown does not', lambda: (os.lchown('link', 5, 6), owner('file'), owner('link'))[1:], ((0, 0), (5, 6))),
    ('of a fifo', lambda: (os.chown('fifo', 5, 6), owner('fifo'))[1], (5, 6)),
    ('of an open file', lambda: (opened('file', R, lambda fd: os.fchown(fd, 5, 6)), owner('file'))[1], (5, 6)),
    ('large ids', lambda: (os.chown('file', 4_000_000_000, 4_000_000_001), owner('file'))[1], (4_000_000_000, 4_000_000_001)),
    ('of a file of others', lambda: as_user(lambda: os.chown('file', STRANGER, -1)), 'EPERM'),
    ('the own file to another owner', lambda: (given('file'), as_user(lambda: os.chown('file', OTHER, -1)))[1], 'EPERM'),
    ('the own file to a group that one is in', lambda: (given('file'), as_user(lambda: os.chown('file', -1, OTHER), groups=[OTHER]), owner('file'))[1:], (None, (STRANGER, OTHER))),
    ('the own file to a group that one is not in', lambda: (given('file'), as_user(lambda: os.chown('file', -1, OTHER)))[1], 'EPERM'),
    ('takes setuid and setgid off a program', lambda: (os.chmod('file', 0o6755), os.chown('file', 5, 6), permissions('file'))[2], '0o755'),
    ('takes them off when the owner does it', lambda: (given('file', 0o6755), as_user(lambda: os.chown('file', -1, STRANGER)), permissions('file'))[1:], (None, '0o755')),
    ('leaves setgid of what cannot be run', lambda: (os.chmod('file', 0o2644), os.chown('file', 5, 6), permissions('file'))[2], '0o2644'),
    ('leaves setgid of a directory', lambda: (os.chmod('dir', 0o2755), os.chown('dir', 5, 6), permissions('dir'))[2], '0o2755'),
))


def after_write(mode, by=as_user):
    def run():
        given('file', mode)
        by(lambda: opened('file', W, lambda fd: os.write(fd, b'x')))
        return permissions('file')
    return run


table('setuid and setgid', (
    ('go when somebody writes', after_write(0o6777), '0o777'),
    ('setgid of what cannot be run stays', after_write(0o2666), '0o2666'),
    ('stay when root writes', after_write(0o6755, lambda run: run()), '0o6755'),
    ('go when somebody truncates', lambda: (given('file', 0o6777), as_user(lambda: os.truncate('file', 1)), permissions('file'))[2], '0o777'),
    ('go when somebody opens with O_TRUNC', lambda: (given('file', 0o6777), as_user(lambda: opened('file', W | os.O_TRUNC)), permissions('file'))[2], '0o777'),
    ('go when somebody punches a hole', lambda: (given('file', 0o6777), as_user(lambda: fallocated('file', PUNCH_HOLE | KEEP_SIZE, 0, 3)), permissions('file'))[2], '0o777'),
    ('go when somebody copies into it', lambda: (given('file', 0o6777), as_user(lambda: opened('dir/inside', R, lambda source: opened('file', W, lambda target: os.copy_file_range(source, target, 3)))), permissions('file'))[2], '0o777'),
    ('stay when root punches a hole', lambda: (given('file', 0o6755), fallocated('file', PUNCH_HOLE | KEEP_SIZE, 0, 3), permissions('file'))[2], '0o6755'),
    ('a new file has the group of its setgid directory', lambda: (os.chown('dir', 0, OTHER), os.chmod('dir', 0o2755), write('dir/new'), owner('dir/new'))[3], (0, OTHER)),
    ('a new directory has it too, and is setgid', lambda: (os.chown('dir', 0, OTHER), os.chmod('dir', 0o2755), os.mkdir('dir/new'), owner('dir/new'), permissions('dir/new'))[3:], ((0, OTHER), '0o2755')),
    ('a new link has it', lambda: (os.chown('dir', 0, OTHER), os.chmod('dir', 0o2755), os.symlink('x', 'dir/new'), owner('dir/new'))[3], (0, OTHER)),
    ('a new fifo has it', lambda: (os.chown('dir', 0, OTHER), os.chmod('dir', 0o2755), os.mkfifo('dir/new'), owner('dir/new'))[3], (0, OTHER)),
    ('a new file is not setgid in a group that one is not in', lambda: (os.chown('dir', 0, OTHER), os.chmod('dir', 0o2777), as_user(lambda: opened('dir/new', W | os.O_CREAT, mode=0o2755)), permissions('dir/new'))[3], '0o755'),
    ('what is moved into it keeps its group', lambda: (os.chown('dir', 0, OTHER), os.chmod('dir', 0o2755), os.rename('file', 'dir/new'), owner('dir/new'))[3], (0, 0)),
))


def sticky(then, mode=0o1777):
    def run():
        os.chmod('dir', mode)
        os.chmod('emptydir', 0o777)
        return as_user(then)
    return run


def own_in_sticky(then):
    def run():
        os.chmod('dir', 0o1777)
        given('dir/inside')
        return as_user(then)
    return run


table('a sticky directory', (
    ('keeps files of others', sticky(lambda: os.unlink('dir/inside')), 'EPERM'),
    ('keeps directories of others', sticky(lambda: os.rmdir('dir/sub')), 'EPERM'),
    ('keeps files of others from being renamed', sticky(lambda: os.rename('dir/inside', 'dir/new')), 'EPERM'),
    ('keeps files of others from being moved away', sticky(lambda: os.rename('dir/inside', 'emptydir/new')), 'EPERM'),
    ('keeps files of others from being replaced', sticky(lambda: (write('dir/new'), os.rename('dir/new', 'dir/inside'))), 'EPERM'),
    ('keeps files of others from being exchanged', sticky(lambda: (write('dir/new'), renameat2('dir/new', 'dir/inside', EXCHANGE))), 'EPERM'),
    ('lets go of the own files', own_in_sticky(lambda: os.unlink('dir/inside')), None),
    ('lets the own files be renamed', own_in_sticky(lambda: os.rename('dir/inside', 'dir/new')), None),
    ('lets everything go for its owner', lambda: (given('dir', 0o1777), as_user(lambda: os.unlink('dir/inside')))[1], None),
    ('without the bit everybody may', sticky(lambda: os.unlink('dir/inside'), 0o777), None),
))

table('utimensat', (
    ('sets both to the nanosecond', lambda: (os.utime('file', ns=(1_000_000_001_123_456_789, 1_000_000_002_987_654_321)), times('file'))[1], (1_000_000_001_123_456_789, 1_000_000_002_987_654_321)),
    ('of a directory', lambda: (os.utime('dir', ns=(1, 2)), times('dir'))[1], (1, 2)),
    ('of a link itself', lambda: (os.utime('link', ns=(1, 2), follow_symlinks=False), times('link', follow_symlinks=False))[1], (1, 2)),
    ('follows links', lambda: (os.utime('link', ns=(1, 2)), times('file'))[1], (1, 2)),
    ('of a fifo', lambda: (os.utime('fifo', ns=(1, 2)), times('fifo'))[1], (1, 2)),
    ('of an open file', lambda: (opened('file', R, lambda fd: os.utime(fd, ns=(1, 2))), times('file'))[1], (1, 2)),
    ('1970', lambda: (os.utime('file', ns=(0, 0)), times('file'))[1], (0, 0)),
    ('before 1970', lambda: (os.utime('file', ns=(-1_500_000_000, -1)), times('file'))[1], (-1_500_000_000, -1)),
    ('after 2106', lambda: (os.utime('file', ns=(5_000_000_000_000_000_001,) * 2), times('file'))[1], (5_000_000_000_000_000_001,) * 2),
    ('now', lambda: (os.utime('file', ns=(1, 2)), os.utime('file'), [is_now(t) for t in times('file')])[2], (True, True)),
    ('leaves one out', lambda: (os.utime('file', ns=(1, 2)), utimensat('file', (0, UTIME_OMIT), (5, 6)), times('file'))[2], (1, 5_000_000_006)),
    ('leaves the other out', lambda: (os.utime('file', ns=(1, 2)), utimensat('file', (5, 6), (0, UTIME_OMIT)), times('file'))[2], (5_000_000_006, 2)),
    ('leaves both out', lambda: (os.utime('file', ns=(1, 2)), utimensat('file', (0, UTIME_OMIT), (0, UTIME_OMIT)), times('file'))[2], (1, 2)),
    ('one now', lambda: (os.utime('file', ns=(1, 2)), utimensat('file', (0, UTIME_NOW), (5, 6)), is_now(times('file')[0]), times('file')[1])[2:], (True, 5_000_000_006)),
    ('a second with too many nanoseconds', lambda: utimensat('file', (0, 1_000_000_000), (0, 0)), 'EINVAL'),
    ('outlives a write by others to another file', lambda: (os.utime('file', ns=(1, 2)), write('empty', 'x'), times('file')[1])[2], 2),
    ('outlives an fsync', lambda: opened('file', RW, lambda fd: (os.write(fd, b'x'), os.utime(fd, ns=(1, 2)), os.fsync(fd), os.fstat(fd).st_mtime_ns)[3]), 2),
    ('outlives the close', lambda: (opened('file', RW, lambda fd: (os.write(fd, b'x'), os.utime(fd, ns=(1, 2)))), times('file')[1])[1], 2),
    ('of a file of others', lambda: as_user(lambda: os.utime('file', ns=(1, 2))), 'EPERM'),
    ('now, of a file that one may not write', lambda: as_user(lambda: os.utime('file')), 'EACCES'),
    ('now, of a file that one may write', lambda: (os.chmod('file', 0o666), as_user(lambda: os.utime('file')))[1], None),
    ('of the own file that one may not write', lambda: (given('file', 0), as_user(lambda: os.utime('file', ns=(1, 2))), times('file'))[1:], (None, (1, 2))),
))

WRITTEN = 'mc'
table('times change', (
    ('with a write', lambda: changed(lambda: write('file', 'x'), 'file', '.'), (WRITTEN, '')),
    ('not with a read', lambda: changed(lambda: read('file'), 'file', '.'), ('', '')),
    ('with an append', lambda: changed(lambda: opened('file', W | os.O_APPEND, lambda fd: os.write(fd, b'x')), 'file'), (WRITTEN,)),
    ('not with a write of nothing', lambda: changed(lambda: opened('file', W, lambda fd: os.write(fd, b'')), 'file'), ('',)),
    ('not with an open', lambda: changed(lambda: opened('file', RW), 'file'), ('',)),
    ('with O_TRUNC', lambda: changed(lambda: opened('file', W | os.O_TRUNC), 'file'), (WRITTEN,)),
    ('with O_TRUNC of an empty file', lambda: changed(lambda: opened('empty', W | os.O_TRUNC), 'empty'), (WRITTEN,)),
    ('with truncate', lambda: changed(lambda: os.truncate('file', 3), 'file'), (WRITTEN,)),
    ('with ftruncate to the same size', lambda: changed(lambda: opened('file', W, lambda fd: os.ftruncate(fd, 7)), 'file'), (WRITTEN,)),
    ('with truncate to the same size', lambda: changed(lambda: os.truncate('file', 7), 'file'), (WRITTEN,)),
    ('with fallocate', lambda: changed(lambda: fallocated('file', 0, 0, 100), 'file'), (WRITTEN,)),
    ('with a hole', lambda: changed(lambda: fallocated('file', PUNCH_HOLE | KEEP_SIZE, 0, 3), 'file'), (WRITTEN,)),
    ('with chmod', lambda: changed(lambda: os.chmod('file', 0o600), 'file', '.'), ('c', '')),
    ('with chown', lambda: changed(lambda: os.chown('file', 5, 6), 'file'), ('c',)),
    ('of a new file in its directory', lambda: changed(lambda: write('dir/new'), 'dir', '.'), (WRITTEN, '')),
    ('of a new directory in its parent', lambda: changed(lambda: os.mkdir('dir/new'), 'dir'), (WRITTEN,)),
    ('of a new link in its directory', lambda: changed(lambda: os.symlink('x', 'dir/new'), 'dir'), (WRITTEN,)),
    ('of a new fifo in its directory', lambda: changed(lambda: os.mkfifo('dir/new'), 'dir'), (WRITTEN,)),
    ('with a second name', lambda: changed(lambda: os.link('file', 'dir/new'), 'file', 'dir', '.'), ('c', WRITTEN, '')),
    ('with unlink', lambda: changed(lambda: os.unlink('dir/inside'), 'dir', '.'), (WRITTEN, '')),
    ('with unlink, of the second name', lambda: (os.link('file', 'dir/new'), changed(lambda: os.unlink('dir/new'), 'file'))[1], ('c',)),
    ('with unlink, of what is open', lambda: opened('file', R, lambda fd: (lambda before: (time.sleep(0.012), os.unlink('file'), os.fstat(fd).st_ctime_ns != before)[2])(os.fstat(fd).st_ctime_ns)), True),
    ('with rmdir', lambda: changed(lambda: os.rmdir('dir/sub'), 'dir'), (WRITTEN,)),
    ('with rename, of both directories', lambda: changed(lambda: os.rename('dir/inside', 'emptydir/new'), 'dir', 'emptydir', '.'), (WRITTEN, WRITTEN, '')),
    ('with rename, of what is renamed', lambda: (lambda before: (time.sleep(0.012), os.rename('file', 'new'), os.stat('new').st_ctime_ns != before.st_ctime_ns, os.stat('new').st_mtime_ns == before.st_mtime_ns)[2:])(os.stat('file')), (True, True)),
    ('not with a rename to the own name', lambda: changed(lambda: os.rename('file', 'file'), 'file', '.'), ('', '')),
    ('not with a mkdir that fails', lambda: changed(lambda: tried(os.mkdir, 'dir/sub'), 'dir', '.'), ('', '')),
    ('not with an unlink that fails', lambda: changed(lambda: tried(os.unlink, 'dir/new'), 'dir'), ('',)),
    ('not with a rename that fails', lambda: changed(lambda: tried(os.rename, 'emptydir', 'dir'), 'dir', 'emptydir', '.'), ('', '', '')),
    ('for a new file to now', lambda: (write('new'), [is_now(t) for t in (os.stat('new').st_atime_ns, *times('new'))])[1], (True, True, True)),
    ('with every write while the file is open', lambda: opened('file', RW, lambda fd: changed(lambda: os.write(fd, b'x'), 'file')), (WRITTEN,)),
))


def allowed(mode, uid=0, gid=0):
    """What a stranger may do with a file of this mode: read, write, run."""
    def run():
        os.chown('file', uid, gid)
        os.chmod('file', mode)
        ways = (os.R_OK, os.W_OK, os.X_OK)
        return as_user(lambda: ''.join(letter for letter, way in zip('rwx', ways) if os.access('file', way)))
    return run


table('who may do what', (
    ('others by the last bits', allowed(0o005), 'rx'),
    ('the group by those in the middle', allowed(0o060, gid=STRANGER), 'rw'),
    ('the group has no part in those of others', allowed(0o007, gid=STRANGER), ''),
    ('the owner by the first', allowed(0o700, uid=STRANGER), 'rwx'),
    ('the owner has no part in those of the group', allowed(0o077, uid=STRANGER, gid=STRANGER), ''),
    ('root may read and write everything', lambda: (os.chmod('file', 0), read('file'), os.access('file', os.W_OK))[1:], ('content', True)),
    ('root runs only what somebody may run', lambda: (os.chmod('file', 0o666), os.access('file', os.X_OK))[1], False),
    ('a further group counts', lambda: (os.chown('file', 0, OTHER), os.chmod('file', 0o040), as_user(lambda: read('file'), groups=[OTHER]))[2], 'content'),
    ('listing takes the right to read', lambda: (os.chmod('dir', 0o711), as_user(lambda: os.listdir('dir')))[1], 'EACCES'),
    ('reading below takes the right to search', lambda: (os.chmod('dir', 0o744), as_user(lambda: (sorted(os.listdir('dir')), tried(read, 'dir/inside'))))[1], (['inside', 'sub'], 'EACCES')),
    ('the right to search is enough to read below', lambda: (os.chmod('dir', 0o711), as_user(lambda: read('dir/inside')))[1], 'inside'),
    ('the right to write a directory is enough to unlink', lambda: (os.chmod('dir', 0o777), os.chmod('dir/inside', 0), as_user(lambda: os.unlink('dir/inside')))[2], None),
    ('the working directory takes the right to search', lambda: (os.chmod('dir', 0o666), as_user(lambda: os.chdir('dir')))[1], 'EACCES'),
    ('a program takes the right to run it', lambda: as_user(lambda: os.execv('file', ['x'])), 'EACCES'),
))
