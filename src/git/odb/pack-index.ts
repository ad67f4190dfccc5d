import { CorruptObjectError } from '../../errors.ts';
import { oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm } from '../oid.ts';
import { OidTable } from './oid-table.ts';
import type { PageCache } from './page-cache.ts';
import { PagedFile } from './paged-file.ts';

const magic = 0xff744f63;
const fanoutSizeBytes = 4 * 256;
const headerSizeBytes = 8;
const largeOffsetFlag = 0x80000000;

interface IndexLayout {
  readonly oids: OidTable;
  /** The offset in the pack of an object, by its index; version 1 has them in front of the ids. */
  offsetAt(index: number): number;
}

/**
 * The index of a pack (git's gitformat-pack, "Pack index files"), version 1 or 2, read in place. The
 * methods throw a `Fault` when they need a page that is not in memory, and a `CorruptObjectError` when
 * the file is not what it should be.
 */
export class PackIndex {
  readonly file: PagedFile;
  readonly #oidSizeBytes: number;
  #layout: IndexLayout | undefined;

  constructor(path: string, algorithm: HashAlgorithm, cache: PageCache) {
    this.file = new PagedFile(path, cache);
    this.#oidSizeBytes = oidSizeBytes[algorithm];
  }

  /** Throws when the file as a whole is not what it should be. */
  check(): void {
    this.#read();
  }

  /** The ids of the pack's objects. */
  get oids(): OidTable {
    return this.#read().oids;
  }

  /** The offset in the pack of an object; undefined when the pack does not hold it. */
  find(raw: Buffer): number | undefined {
    const layout = this.#read();
    const index = layout.oids.find(raw);
    return index < 0 ? undefined : layout.offsetAt(index);
  }

  /** The checksum that the pack ends with. */
  packChecksum(): Buffer {
    const size = this.#oidSizeBytes;
    return Buffer.from(this.file.slice(this.file.sizeBytes - 2 * size, size));
  }

  #read(): IndexLayout {
    return (this.#layout ??= this.#readLayout());
  }

  #readLayout(): IndexLayout {
    if (this.file.readUInt32(0) !== magic) return this.#readVersion1();
    const version = this.file.readUInt32(4);
    if (version === 2) return this.#readVersion2();
    throw new CorruptObjectError(`${this.file.path} has the unknown version ${version}`);
  }

  #readVersion1(): IndexLayout {
    const file = this.file;
    const strideBytes = 4 + this.#oidSizeBytes;
    const oids = new OidTable(file, {
      fanoutOffset: 0,
      firstOidOffset: fanoutSizeBytes + 4,
      strideBytes,
      oidSizeBytes: this.#oidSizeBytes,
    });
    const sizeBytes = fanoutSizeBytes + oids.size * strideBytes + 2 * this.#oidSizeBytes;
    this.#checkSize(sizeBytes, sizeBytes);
    return {
      oids,
      offsetAt: (index) => file.readUInt32(fanoutSizeBytes + index * strideBytes),
    };
  }

  #readVersion2(): IndexLayout {
    const file = this.file;
    const firstOidOffset = headerSizeBytes + fanoutSizeBytes;
    const oids = new OidTable(file, {
      fanoutOffset: headerSizeBytes,
      firstOidOffset,
      strideBytes: this.#oidSizeBytes,
      oidSizeBytes: this.#oidSizeBytes,
    });
    // After the ids: a CRC of 4 bytes each, an offset of 4 bytes each, then 8 bytes for each offset
    // of more than 31 bits, then the two checksums.
    const offsetsOffset = firstOidOffset + oids.size * (this.#oidSizeBytes + 4);
    const largeOffset = offsetsOffset + oids.size * 4;
    const leastBytes = largeOffset + 2 * this.#oidSizeBytes;
    this.#checkSize(leastBytes, leastBytes + 8 * oids.size);
    const largeCount = (file.sizeBytes - leastBytes) / 8;
    return {
      oids,
      offsetAt: (index) => {
        const at = offsetsOffset + 4 * index;
        const offset = file.glance(at, 4)?.readUInt32BE(0) ?? file.readUInt32(at);
        if (offset < largeOffsetFlag) return offset;
        const large = offset - largeOffsetFlag;
        if (large < largeCount) return file.readUInt64(largeOffset + 8 * large);
        throw new CorruptObjectError(`${file.path} points outside of its table of large offsets`);
      },
    };
  }

  #checkSize(leastBytes: number, mostBytes: number): void {
    const size = this.file.sizeBytes;
    if (size >= leastBytes && size <= mostBytes) return;
    throw new CorruptObjectError(`${this.file.path} has ${size} bytes, not ${leastBytes}`);
  }
}
