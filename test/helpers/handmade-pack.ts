import { createHash } from 'node:crypto';
import { ftruncateSync, openSync, closeSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { hashObject } from '../../src/git/object.ts';
import type { ObjectType } from '../../src/git/object.ts';
import { oidToBytes } from '../../src/git/oid.ts';
import type { Oid } from '../../src/git/oid.ts';

/** One entry of a pack that is made by hand, right or wrong. */
export interface HandmadeEntry {
  /** 1 to 4 for commit, tree, blob and tag, 6 for a delta by distance, 7 for one by id. */
  readonly kind: number;
  /** What is compressed. */
  readonly data: Buffer;
  readonly oid: Oid;
  /** For a delta: how far back its base starts, or the id of the base. */
  readonly base?: number | Oid;
  /** Said instead of the true size. */
  readonly declaredSizeBytes?: number;
  /** Written instead of the compressed data. */
  readonly compressed?: Buffer;
  /** Where the entry starts; the file is sparse in front of it. */
  readonly offset?: number;
}

const kinds: Record<ObjectType, number> = { commit: 1, tree: 2, blob: 3, tag: 4 };

/** An object that is not a delta. */
export function wholeEntry(type: ObjectType, data: Buffer): HandmadeEntry {
  return { kind: kinds[type], data, oid: hashObject('sha1', type, data) };
}

/** A delta, with the id that the object would have if it were a blob with this content. */
export function deltaEntry(delta: Buffer, base: number | Oid, content: Buffer): HandmadeEntry {
  const kind = typeof base === 'number' ? 6 : 7;
  return { kind, data: delta, oid: hashObject('sha1', 'blob', content), base };
}

/** A number as it starts a delta: 7 bits at a time, little end first. */
export function deltaSize(size: number): Buffer {
  const bytes: number[] = [];
  let rest = size;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128));
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** The instruction to copy from the base, with all its bytes written out. */
export function copyInstruction(start: number, length: number): Buffer {
  const instruction = Buffer.alloc(8);
  instruction[0] = 0xff;
  instruction.writeUInt32LE(start, 1);
  instruction.writeUIntLE(length, 5, 3);
  return instruction;
}

/** The instruction to insert up to 127 bytes. */
export function insertInstruction(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** A delta out of its parts. */
export function delta(baseSize: number, resultSize: number, ...instructions: Buffer[]): Buffer {
  return Buffer.concat([deltaSize(baseSize), deltaSize(resultSize), ...instructions]);
}

/** Writes `pack-<name>.pack` and its index, version 2; gives the paths of both. */
export function writeHandmadePack(
  packDirectory: string,
  name: string,
  entries: readonly HandmadeEntry[],
): { readonly pack: string; readonly index: string } {
  const pack = join(packDirectory, `pack-${name}.pack`);
  const index = join(packDirectory, `pack-${name}.idx`);
  const header = Buffer.alloc(12);
  header.write('PACK');
  header.writeUInt32BE(2, 4);
  header.writeUInt32BE(entries.length, 8);
  const descriptor = openSync(pack, 'w');
  writeSync(descriptor, header, 0, header.length, 0);
  let position = header.length;
  const offsets: number[] = [];
  for (const entry of entries) {
    position = entry.offset ?? position;
    offsets.push(position);
    const bytes = Buffer.concat([entryHead(entry), entry.compressed ?? deflateSync(entry.data)]);
    writeSync(descriptor, bytes, 0, bytes.length, position);
    position += bytes.length;
  }
  // Nobody hashes a pack to read it, so the checksum need only be the one that the index has.
  const checksum = createHash('sha1').update(name).digest();
  writeSync(descriptor, checksum, 0, checksum.length, position);
  ftruncateSync(descriptor, position + checksum.length);
  closeSync(descriptor);
  const placed = entries.map(({ oid }, at) => ({ oid, offset: offsets[at] ?? 0 }));
  writeFileSync(index, packIndex(placed, checksum));
  return { pack, index };
}

/** The index of a pack, version 2 (git's gitformat-pack). */
export function packIndex(
  objects: readonly { readonly oid: Oid; readonly offset: number }[],
  packChecksum: Buffer,
): Buffer {
  const sorted = [...objects].sort((a, b) => (a.oid < b.oid ? -1 : 1));
  const fanout = Buffer.alloc(1024);
  for (let byte = 0; byte < 256; byte++) {
    const count = sorted.filter(({ oid }) => parseInt(oid.slice(0, 2), 16) <= byte).length;
    fanout.writeUInt32BE(count, 4 * byte);
  }
  const large: Buffer[] = [];
  const offsets = sorted.map(({ offset }) => {
    const field = Buffer.alloc(4);
    if (offset < 2 ** 31) {
      field.writeUInt32BE(offset);
      return field;
    }
    field.writeUInt32BE(2 ** 31 + large.length);
    const wide = Buffer.alloc(8);
    wide.writeBigUInt64BE(BigInt(offset));
    large.push(wide);
    return field;
  });
  const body = Buffer.concat([
    Buffer.from([0xff, 0x74, 0x4f, 0x63, 0, 0, 0, 2]),
    fanout,
    ...sorted.map(({ oid }) => oidToBytes(oid)),
    Buffer.alloc(4 * sorted.length),
    ...offsets,
    ...large,
    packChecksum,
  ]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

function entryHead({ kind, data, base, declaredSizeBytes }: HandmadeEntry): Buffer {
  const bytes: number[] = [];
  let rest = declaredSizeBytes ?? data.length;
  let byte = kind * 16 + (rest % 16);
  for (rest = Math.floor(rest / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(byte + 128);
    byte = rest % 128;
  }
  bytes.push(byte);
  if (base === undefined) return Buffer.from(bytes);
  return Buffer.concat([
    Buffer.from(bytes),
    typeof base === 'number' ? distance(base) : oidToBytes(base),
  ]);
}

/** A distance: 7 bits at a time, big end first, each longer form starting where the shorter ends. */
function distance(value: number): Buffer {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest -= 1;
    bytes.unshift(128 + (rest % 128));
  }
  return Buffer.from(bytes);
}
