import { isUtf8 } from 'node:buffer';
import type { ByteString } from '../../git/byte-string.ts';
import type { Attr, Timespec } from '../vfs/operations.ts';
import type { NativeStat } from './fuse-native.ts';

/** Attributes as fuse-native takes them. */
export function nativeStat(attr: Attr): NativeStat {
  const { mode, nlink, uid, gid, rdev, ino, size, blocks } = attr;
  const times = {
    atime: milliseconds(attr.atime),
    mtime: milliseconds(attr.mtime),
    ctime: milliseconds(attr.ctime),
  };
  return { mode, nlink, uid, gid, rdev, ino, size, blocks, ...times };
}

/** Times before 1970 do not come through. */
function milliseconds({ sec, nsec }: Timespec): number {
  return Math.max(0, sec * 1000 + Math.floor(nsec / 1e6));
}

/** The point in time that some milliseconds stand for. */
export function timespec(timeMs: number): Timespec {
  return { sec: Math.floor(timeMs / 1000), nsec: (timeMs % 1000) * 1e6 };
}

/** The bytes of a path or name, which comes as text. */
export function bytesOf(text: string): ByteString {
  return Buffer.from(text).toString('latin1') as ByteString;
}

/** The text of a name; `undefined` for bytes that are no UTF-8: fuse-native has no way to hand them on. */
export function textOf(bytes: ByteString): string | undefined {
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString() : undefined;
}
