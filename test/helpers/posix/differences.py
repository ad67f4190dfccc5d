"""Where a filesystem gives something else than ext4, which gives what every case says."""

# The outcome is another one from kernel to kernel.
VARIES = object()

NOT_STORED = 'user.vost.* alone can be read, and nothing can be stored: git has no place for it'
NO_DEVICES = 'mounted nodev, as every FUSE filesystem: a node can be made and seen, not opened'
STILL_APPENDS = 'FUSE tells of the flags of the open file, and not that one call is not to append'
NO_SHIFTING = 'no part of a file is moved, as on tmpfs'

ON_TMPFS = {
    'read and write: O_APPEND with pwritev2 that is not to append': (VARIES, 'RWF_NOAPPEND is known since 6.9'),
    'readdir: while others are renamed': (VARIES, 'some kernels give names twice'),
    'truncate: beyond what a file can be': (None, 'tmpfs knows no limit below that of the kernel'),
    'fallocate: makes zeros': ('ENOTSUP', 'tmpfs knows holes alone'),
    'fallocate: makes zeros and keeps the size': ('ENOTSUP', 'tmpfs knows holes alone'),
    'fallocate: takes a range out': ('ENOTSUP', 'tmpfs knows holes alone'),
    'fallocate: puts a range in': ('ENOTSUP', 'tmpfs knows holes alone'),
    'extended attributes: can be set': (VARIES, 'tmpfs takes user attributes since 6.6'),
    'extended attributes: can be removed': (VARIES, 'tmpfs takes user attributes since 6.6'),
    'extended attributes: one that is not there': (VARIES, 'tmpfs takes user attributes since 6.6'),
}

ON_MOUNT = {
    'read and write: O_APPEND with pwritev2 that is not to append': ('contentX', STILL_APPENDS),
    'truncate: takes no room when nothing is open': ([1 << 20, 2048], 'closed content is a blob, whose zeros are no holes'),
    'fallocate: takes a range out': ('ENOTSUP', NO_SHIFTING),
    'fallocate: puts a range in': ('ENOTSUP', NO_SHIFTING),
    'mknod: the null device works': ('EACCES', NO_DEVICES),
    'mknod: a device that nobody drives': ('EACCES', NO_DEVICES),
    'extended attributes: can be set': ('ENOTSUP', NOT_STORED),
    'extended attributes: can be removed': ('ENOTSUP', NOT_STORED),
    'extended attributes: are listed': ([f'user.vost.{name}' for name in ('commit', 'oid', 'ref', 'state')], NOT_STORED),
    'extended attributes: an access control list': ('ENOTSUP', NOT_STORED),
}

DIFFERENCES = {'ext4': {}, 'tmpfs': ON_TMPFS, 'mount': ON_MOUNT}
