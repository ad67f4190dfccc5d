/*
 * The structs of linux/fuse.h, written down once more and read by other means than the source does,
 * so that both can be held against each other.
 */

const layouts = {
  in_header: 'len:4 opcode:4 unique:8 nodeid:8 uid:4 gid:4 pid:4 total_extlen:2 padding:2',
  out_header: 'len:4 error:-4 unique:8',
  attr:
    'ino:8 size:8 blocks:8 atime:-8 mtime:-8 ctime:-8 atimensec:4 mtimensec:4 ctimensec:4 mode:4 ' +
    'nlink:4 uid:4 gid:4 rdev:4 blksize:4 flags:4',
  kstatfs:
    'blocks:8 bfree:8 bavail:8 files:8 ffree:8 bsize:4 namelen:4 frsize:4 padding:4 ' +
    'spare0:4 spare1:4 spare2:4 spare3:4 spare4:4 spare5:4',
  entry_out:
    'nodeid:8 generation:8 entry_valid:8 attr_valid:8 entry_valid_nsec:4 attr_valid_nsec:4',
  attr_out: 'attr_valid:8 attr_valid_nsec:4 dummy:4',
  open_out: 'fh:8 open_flags:4 backing_id:4',
  write_out: 'size:4 padding:4',
  getxattr_out: 'size:4 padding:4',
  lseek_out: 'offset:8',
  copy_file_range_out: 'bytes_copied:8',
  dirent: 'ino:8 off:8 namelen:4 type:4',
  init_in: 'major:4 minor:4 max_readahead:4 flags:4 flags2:4',
  init_out:
    'major:4 minor:4 max_readahead:4 flags:4 max_background:2 congestion_threshold:2 max_write:4 ' +
    'time_gran:4 max_pages:2 map_alignment:2 flags2:4 max_stack_depth:4 unused1:4 unused2:4 unused3:4 ' +
    'unused4:4 unused5:4 unused6:4',
  forget_in: 'nlookup:8',
  forget_one: 'nodeid:8 nlookup:8',
  batch_forget_in: 'count:4 dummy:4',
  getattr_in: 'getattr_flags:4 dummy:4 fh:8',
  setattr_in:
    'valid:4 padding:4 fh:8 size:8 lock_owner:8 atime:-8 mtime:-8 ctime:-8 atimensec:4 mtimensec:4 ' +
    'ctimensec:4 mode:4 unused4:4 uid:4 gid:4 unused5:4',
  mknod_in: 'mode:4 rdev:4 umask:4 padding:4',
  mkdir_in: 'mode:4 umask:4',
  rename_in: 'newdir:8',
  rename2_in: 'newdir:8 flags:4 padding:4',
  link_in: 'oldnodeid:8',
  open_in: 'flags:4 open_flags:4',
  create_in: 'flags:4 mode:4 umask:4 open_flags:4',
  read_in: 'fh:8 offset:8 size:4 read_flags:4 lock_owner:8 flags:4 padding:4',
  write_in: 'fh:8 offset:8 size:4 write_flags:4 lock_owner:8 flags:4 padding:4',
  release_in: 'fh:8 flags:4 release_flags:4 lock_owner:8',
  flush_in: 'fh:8 unused:4 padding:4 lock_owner:8',
  fsync_in: 'fh:8 fsync_flags:4 padding:4',
  setxattr_in: 'size:4 flags:4',
  getxattr_in: 'size:4 padding:4',
  access_in: 'mask:4 padding:4',
  interrupt_in: 'unique:8',
  fallocate_in: 'fh:8 offset:8 length:8 mode:4 padding:4',
  lseek_in: 'fh:8 offset:8 whence:4 padding:4',
  copy_file_range_in: 'fh_in:8 off_in:8 nodeid_out:8 fh_out:8 off_out:8 len:8 flags:8',
  notify_inval_inode_out: 'ino:8 off:-8 len:-8',
  notify_inval_entry_out: 'parent:8 namelen:4 flags:4',
} as const;

export type StructName = keyof typeof layouts;
export type StructValues = Record<string, number | bigint>;

interface Field {
  readonly name: string;
  readonly sizeBytes: number;
  readonly isSigned: boolean;
}

function fieldsOf(struct: StructName): Field[] {
  return layouts[struct].split(' ').map((field) => {
    const [name, size] = field.split(':') as [string, string];
    return { name, sizeBytes: Math.abs(Number(size)), isSigned: size.startsWith('-') };
  });
}

/** The names of the fields. */
export function structFields(struct: StructName): string[] {
  return fieldsOf(struct).map(({ name }) => name);
}

export function structSizeBytes(struct: StructName): number {
  return fieldsOf(struct).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** The bytes of a struct; fields that are not given are filled with a pattern, not with zeros. */
export function pack(struct: StructName, values: StructValues): Buffer {
  const fields = fieldsOf(struct);
  for (const name of Object.keys(values)) {
    if (!fields.some((field) => field.name === name)) throw new Error(`${struct} has no ${name}`);
  }
  const parts = fields.map(({ name, sizeBytes }) => {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt.asUintN(64, BigInt(values[name] ?? 0x5a5a_5a5a)));
    return part.subarray(0, sizeBytes);
  });
  return Buffer.concat(parts);
}

/** The fields of a struct in a buffer; what does not fit a number stays a bigint. */
export function unpack(struct: StructName, bytes: Buffer, start = 0): StructValues {
  const values: StructValues = {};
  let at = start;
  for (const { name, sizeBytes, isSigned } of fieldsOf(struct)) {
    const padded = Buffer.alloc(8);
    bytes.copy(padded, 0, at, at + sizeBytes);
    if (at + sizeBytes > bytes.length) throw new Error(`${struct} ends before ${name}`);
    const raw = padded.readBigUInt64LE();
    const value = isSigned ? BigInt.asIntN(8 * sizeBytes, raw) : raw;
    values[name] = Number.isSafeInteger(Number(value)) ? Number(value) : value;
    at += sizeBytes;
  }
  return values;
}

export interface RequestValues {
  readonly opcode: number;
  readonly unique?: number | bigint;
  readonly nodeid?: number | bigint;
  readonly body?: readonly Buffer[];
}

/** A whole request: the header, and the parts of the body behind it. */
export function packRequest({ opcode, unique = 2, nodeid = 1, body = [] }: RequestValues): Buffer {
  const parts = Buffer.concat(body);
  const header = pack('in_header', {
    len: structSizeBytes('in_header') + parts.length,
    opcode,
    unique,
    nodeid,
    uid: 1000,
    gid: 100,
    pid: 4242,
    total_extlen: 0,
    padding: 0,
  });
  return Buffer.concat([header, parts]);
}

/** A name as it stands in a request. */
export function nameBytes(name: string): Buffer {
  return Buffer.from(`${name}\0`, 'latin1');
}
