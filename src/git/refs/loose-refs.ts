import { constants } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { CorruptRefError } from '../../errors.ts';
import {
  bufferFromByteString,
  byteStringFromBuffer,
  textFromBytes,
  type ByteString,
} from '../byte-string.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import { isOid, oidSizeBytes, type HashAlgorithm, type Oid } from '../oid.ts';
import { isNothingThere, systemErrorCode } from '../system-error.ts';
import { isRefName, refNameText, type RefName } from './ref-name.ts';

/** What a ref holds: an object id, or the name of another ref. */
export type RefValue =
  | { readonly kind: 'oid'; readonly oid: Oid }
  | { readonly kind: 'symbolic'; readonly target: RefName };

// Longer than any name that a filesystem takes as a path.
const largestRefSizeBytes = 8192;
// As git's isspace.
const outerSpace = /^[ \t\r\n]+|[ \t\r\n]+$/g;
const anyOid = /^([0-9a-fA-F]+)(?:[ \t\r\n]|$)/;

/**
 * Reads the file of a ref: an object id, or `ref: ` and a name, or, in the oldest form, a symbolic
 * link to another ref. `null` when there is no such file; a file that holds neither (empty after a
 * power loss, say) is a `CorruptRefError`.
 */
export async function readLooseRef(
  path: ByteString,
  name: RefName,
  algorithm: HashAlgorithm,
  disk: Disk,
): Promise<RefValue | null> {
  const content = await readRefFile(path, disk);
  if (content === null || typeof content !== 'string') return content;
  return parseRefValue(content, name, path, algorithm);
}

async function readRefFile(path: ByteString, disk: Disk): Promise<ByteString | RefValue | null> {
  const file = bufferFromByteString(path);
  try {
    return await readSmallFile(file, disk, constants.O_NOFOLLOW);
  } catch (error) {
    const code = systemErrorCode(error);
    // No file can have a name that is too long for one.
    if (isNothingThere(error) || code === 'ENAMETOOLONG') return null;
    // ELOOP is what Linux and macOS answer for a symbolic link, EMLINK what FreeBSD does.
    if (code !== 'ELOOP' && code !== 'EMLINK') return nullIfDirectory(error);
  }
  const target = (await readlink(file, { encoding: 'buffer' })).toString('latin1');
  if (target.startsWith('refs/') && isRefName(target)) return { kind: 'symbolic', target };
  return readSmallFile(file, farDisk).catch(nullIfDirectory);
}

/** A directory holds refs below this name. */
function nullIfDirectory(error: unknown): null {
  if (systemErrorCode(error) === 'EISDIR') return null;
  throw error;
}

async function readSmallFile(file: Buffer, disk: Disk, flags = 0): Promise<ByteString> {
  return byteStringFromBuffer(await disk.readStart(file, largestRefSizeBytes, flags));
}

function parseRefValue(
  content: string,
  name: RefName,
  path: ByteString,
  algorithm: HashAlgorithm,
): RefValue {
  if (content.startsWith('ref:')) {
    const target = content.slice('ref:'.length).replaceAll(outerSpace, '');
    if (isRefName(target)) return { kind: 'symbolic', target };
  } else {
    const oid = anyOid.exec(content)?.[1]?.toLowerCase() ?? '';
    if (oid.length === 2 * oidSizeBytes[algorithm] && isOid(oid) && !/^0+$/.test(oid)) {
      return { kind: 'oid', oid };
    }
  }
  const start = JSON.stringify(textFromBytes(content.slice(0, 60) as ByteString));
  throw new CorruptRefError(
    `ref ${refNameText(name)} is broken: ${textFromBytes(path)} holds ${start}. ` +
      'Set the ref again (its reflog may know the last value), or delete it.',
    { ref: refNameText(name), path: textFromBytes(path) },
  );
}

/**
 * The names of the loose refs in the directory `base/<directory>` and below, in no order. Locks and
 * files with names that no ref can have are passed over, as are directories that vanish meanwhile.
 */
export async function looseRefNames(
  base: ByteString,
  directory: string,
  disk: Disk,
): Promise<RefName[]> {
  const entries = await disk.readdir(bufferFromByteString(`${base}/${directory}` as ByteString));
  const names: RefName[] = [];
  for (const entry of entries) {
    const name = `${directory}/${entry.name.toString('latin1')}`;
    if (!isRefName(name)) continue;
    if (entry.isDirectory()) names.push(...(await looseRefNames(base, name, disk)));
    else names.push(name);
  }
  return names;
}
