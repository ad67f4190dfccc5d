import { isUtf8 } from 'node:buffer';
import type { ByteString } from '../git/byte-string.ts';
import { collectContent } from './archive-entry.ts';
import type { ArchiveEntry } from './archive-entry.ts';
import { paddingAfter, tarBlockBytes } from './archive-tar-reader.ts';
import { paxRecord } from './pax-records.ts';

const longestField = 100;
const largestOctalSize = 0o77777777777;
// eslint-disable-next-line no-control-regex
const isAscii = /^[\x00-\x7f]*$/;

/**
 * A tar file of these entries, owned by root and last changed at one time. What a POSIX header cannot
 * say comes before it in a pax header; names that are no UTF-8 are marked as binary there.
 */
export async function* writeTar(
  entries: AsyncIterable<ArchiveEntry>,
  mtimeSec: number,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const entry of entries) {
    if (entry.kind === 'link') {
      const target = (await collectContent(entry.content())).toString('latin1') as ByteString;
      yield headersOf(entry, { target, mtimeSec });
      continue;
    }
    yield headersOf(entry, { target: '' as ByteString, mtimeSec });
    if (entry.kind === 'directory') continue;
    yield* entry.content();
    const padding = paddingAfter(entry.sizeBytes);
    if (padding > 0) yield Buffer.alloc(padding);
  }
  yield Buffer.alloc(2 * tarBlockBytes);
}

interface HeaderParts {
  readonly target: ByteString;
  readonly mtimeSec: number;
}

function headersOf(entry: ArchiveEntry, { target, mtimeSec }: HeaderParts): Buffer {
  const isFile = entry.kind === 'file';
  const path = (entry.kind === 'directory' ? `${entry.path}/` : entry.path) as ByteString;
  const sizeBytes = isFile ? entry.sizeBytes : 0;
  const records = [...textRecords({ path, linkpath: target })];
  if (sizeBytes > largestOctalSize) {
    records.push(paxRecord('size', String(sizeBytes) as ByteString));
  }
  const header = makeHeader({
    path,
    target,
    type: isFile ? '0' : entry.kind === 'link' ? '2' : '5',
    mode: isFile && !entry.isExecutable ? 0o644 : entry.kind === 'link' ? 0o777 : 0o755,
    sizeBytes,
    mtimeSec,
  });
  if (records.length === 0) return header;
  const pax = Buffer.from(records.join(''), 'latin1');
  const paxHeader = makeHeader({
    path: 'PaxHeader' as ByteString,
    target: '' as ByteString,
    type: 'x',
    mode: 0o644,
    sizeBytes: pax.length,
    mtimeSec,
  });
  return Buffer.concat([paxHeader, pax, Buffer.alloc(paddingAfter(pax.length)), header]);
}

function* textRecords(fields: Record<string, ByteString>): Generator<string, void, undefined> {
  const all = Object.entries(fields);
  const isBinary = all.some(([, value]) => !isUtf8(Buffer.from(value, 'latin1')));
  const wanted = all.filter(([, value]) => value.length > longestField || !isAscii.test(value));
  if (isBinary) yield paxRecord('hdrcharset', 'BINARY' as ByteString);
  for (const [key, value] of wanted) yield paxRecord(key, value);
}

interface HeaderFields extends HeaderParts {
  readonly path: ByteString;
  readonly type: string;
  readonly mode: number;
  readonly sizeBytes: number;
}

function makeHeader({ path, target, type, mode, sizeBytes, mtimeSec }: HeaderFields): Buffer {
  const header = Buffer.alloc(tarBlockBytes);
  header.write(path.slice(0, longestField), 0, 'latin1');
  writeNumber(header, mode, { start: 100, length: 8 });
  writeNumber(header, 0, { start: 108, length: 8 });
  writeNumber(header, 0, { start: 116, length: 8 });
  writeNumber(header, sizeBytes, { start: 124, length: 12 });
  writeNumber(header, Math.max(0, mtimeSec), { start: 136, length: 12 });
  header.write(type, 156, 'latin1');
  header.write(target.slice(0, longestField), 157, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  header.write('root', 265, 'latin1');
  header.write('root', 297, 'latin1');
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

function writeNumber(
  header: Buffer,
  value: number,
  { start, length }: { readonly start: number; readonly length: number },
): void {
  const digits = value.toString(8);
  if (digits.length < length) {
    header.write(`${digits.padStart(length - 1, '0')}\0`, start, 'latin1');
    return;
  }
  // GNU's form of large numbers, for readers that look here although pax has the number too.
  header[start] = 0x80;
  header.writeBigUInt64BE(BigInt(value), start + length - 8);
}
