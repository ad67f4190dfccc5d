import { close } from 'node:fs';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { fromFdPromise, getFileNameLowLevel } from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { InvalidArchiveError } from '../errors.ts';
import { byteStringFromBuffer, bytesFromText, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { noContent } from './archive-entry.ts';
import type { ArchiveEntry } from './archive-entry.ts';

const closeAsync = promisify(close);

const hostUnix = 3;
const hostMac = 19;
const utf8Flag = 0x800;
const unicodePathField = 0x7075;

/**
 * The entries of a zip file, by its central directory. Takes over the descriptor and closes it.
 * Damage, encryption, and methods other than store and deflate are an `InvalidArchiveError`.
 *
 * Format: PKWARE's APPNOTE.TXT; modes and links as Info-ZIP stores them.
 */
export async function* readZip(descriptor: number): AsyncGenerator<ArchiveEntry, void, undefined> {
  const zip = await openZip(descriptor);
  const entries = zip.eachEntry();
  try {
    for (;;) {
      const next = await naming(() => entries.next());
      if (next.done === true) return;
      yield entryOf(zip, next.value);
    }
  } finally {
    zip.close();
  }
}

async function openZip(descriptor: number): Promise<ZipFile> {
  const options = { decodeStrings: false, autoClose: false, lazyEntries: true };
  try {
    return await naming(() => fromFdPromise(descriptor, options));
  } catch (error) {
    // The reader closes the descriptor of what it could open, and of nothing else.
    await closeAsync(descriptor);
    throw error;
  }
}

function entryOf(zip: ZipFile, entry: Entry): ArchiveEntry {
  const host = entry.versionMadeBy >>> 8;
  const isUnix = host === hostUnix || host === hostMac;
  const mode = isUnix ? entry.externalFileAttributes >>> 16 : 0;
  const fullPath = pathOf(entry, isUnix);
  const path = (fullPath.replace(/\/+$/, '') || fullPath) as ByteString;
  const common = { path, isExecutable: (mode & 0o100) !== 0 };
  const format = mode & 0o170000;
  if (fullPath.endsWith('/') || format === 0o040000) {
    return { ...common, kind: 'directory', sizeBytes: 0, content: noContent };
  }
  if (format !== 0 && format !== 0o100000 && format !== 0o120000) {
    return { ...common, kind: 'other', sizeBytes: 0, content: noContent };
  }
  return {
    ...common,
    kind: format === 0o120000 ? 'link' : 'file',
    sizeBytes: entry.uncompressedSize,
    content: () => contentOf(zip, entry, path),
  };
}

/** Programs on Unix store the bytes of names as they are; others say UTF-8, or mean the code page of DOS. */
function pathOf(entry: Entry, isUnix: boolean): ByteString {
  const { generalPurposeBitFlag, fileNameRaw, extraFields } = entry;
  const isRaw = isUnix && !extraFields.some(({ id }) => id === unicodePathField);
  if (isRaw || (generalPurposeBitFlag & utf8Flag) !== 0) return byteStringFromBuffer(fileNameRaw);
  // Not strict: backslashes become slashes, which is what those who write them mean.
  return bytesFromText(
    getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, isUnix),
  );
}

async function* contentOf(
  zip: ZipFile,
  entry: Entry,
  path: ByteString,
): AsyncGenerator<Buffer, void, undefined> {
  const text = textFromBytes(path);
  if (!entry.canDecodeFileData()) {
    const fault = entry.isEncrypted() ? 'is encrypted' : 'is compressed in a way that is not read';
    throw new InvalidArchiveError(`${text} in the zip file ${fault}`, { path: text });
  }
  const content = await naming(() => zip.openReadStreamPromise(entry));
  const chunks = content[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let checksum = 0;
  try {
    for (;;) {
      const next = await naming(() => chunks.next());
      if (next.done === true) break;
      checksum = crc32(next.value, checksum);
      yield next.value;
    }
  } finally {
    content.destroy();
  }
  // The reader compares sizes, but not checksums.
  if (checksum !== entry.crc32) {
    throw new InvalidArchiveError(`${text} in the zip file is damaged`, { path: text });
  }
}

/** Makes errors of the reader ours; those of the system stay what they are. */
async function naming<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof Error) || 'syscall' in error) throw error;
    throw new InvalidArchiveError(`the zip file cannot be read: ${error.message}`, {
      cause: error,
    });
  }
}
