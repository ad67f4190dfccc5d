import { CorruptObjectError } from '../../errors.ts';
import { oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm } from '../oid.ts';
import { ChunkTable } from './chunk-table.ts';
import type { ByteRange } from './chunk-table.ts';
import { OidTable } from './oid-table.ts';
import type { PageCache } from './page-cache.ts';
import { PagedFile } from './paged-file.ts';

const magic = 0x4d494458; // "MIDX"
const headerSizeBytes = 12;
const largeOffsetFlag = 0x80000000;
// The names of 20 000 packs.
const nameBytesLimit = 1024 * 1024;
const chunk = {
  packNames: 'PNAM',
  fanout: 'OIDF',
  oids: 'OIDL',
  offsets: 'OOFF',
  largeOffsets: 'LOFF',
};

interface Layout {
  readonly oids: OidTable;
  readonly packNames: readonly string[];
  readonly offsets: ByteRange;
  readonly largeOffsets: ByteRange | undefined;
}

/** Where an object is: the name of a pack's index, as `pack-….idx`, and an offset in that pack. */
export interface MultiPackLocation {
  readonly indexName: string;
  readonly offset: number;
}

/**
 * The index over many packs (git's gitformat-pack, "multi-pack-index (MIDX) files"), version 1, read
 * in place. The methods throw a `Fault` when they need a page that is not in memory, and a
 * `CorruptObjectError` when the file is not what it should be; then the packs' own indexes serve.
 */
export class MultiPackIndex {
  readonly file: PagedFile;
  readonly #algorithm: HashAlgorithm;
  #layout: Layout | undefined;

  constructor(path: string, algorithm: HashAlgorithm, cache: PageCache) {
    this.file = new PagedFile(path, cache);
    this.#algorithm = algorithm;
  }

  /** The ids of all the objects. */
  get oids(): OidTable {
    return this.#read().oids;
  }

  /** The names of the packs that it covers, as `pack-….idx`. */
  get indexNames(): readonly string[] {
    return this.#read().packNames;
  }

  /** Where an object is; undefined when none of the packs holds it. */
  find(raw: Buffer): MultiPackLocation | undefined {
    const { oids, packNames, offsets, largeOffsets } = this.#read();
    const index = oids.find(raw);
    if (index < 0) return undefined;
    const pack = this.file.readUInt32(offsets.start + 8 * index);
    const indexName = packNames[pack];
    if (indexName === undefined) {
      throw new CorruptObjectError(`${this.file.path} names pack ${pack} of ${packNames.length}`);
    }
    const offset = this.file.readUInt32(offsets.start + 8 * index + 4);
    // Without a table of large offsets all 32 bits count, and the first is no flag.
    if (offset < largeOffsetFlag || largeOffsets === undefined) return { indexName, offset };
    const at = largeOffsets.start + 8 * (offset - largeOffsetFlag);
    if (at + 8 <= largeOffsets.end) return { indexName, offset: this.file.readUInt64(at) };
    throw new CorruptObjectError(`${this.file.path} points outside of its table of large offsets`);
  }

  #read(): Layout {
    return (this.#layout ??= this.#readLayout());
  }

  #readLayout(): Layout {
    const file = this.file;
    const header = file.slice(0, headerSizeBytes);
    const oidVersion = this.#algorithm === 'sha1' ? 1 : 2;
    if (header.readUInt32BE(0) !== magic || header[4] !== 1 || header[5] !== oidVersion) {
      throw new CorruptObjectError(`${file.path} is no multi-pack-index of version 1`);
    }
    const chunks = new ChunkTable(file, headerSizeBytes, header.readUInt8(6));
    const packCount = header.readUInt32BE(8);
    const oids = new OidTable(file, {
      fanoutOffset: chunks.require(chunk.fanout, 4 * 256).start,
      firstOidOffset: chunks.require(chunk.oids, 0).start,
      strideBytes: oidSizeBytes[this.#algorithm],
      oidSizeBytes: oidSizeBytes[this.#algorithm],
    });
    chunks.require(chunk.oids, oids.size * oidSizeBytes[this.#algorithm]);
    return {
      oids,
      packNames: this.#readNames(chunks.require(chunk.packNames, packCount), packCount),
      offsets: chunks.require(chunk.offsets, 8 * oids.size),
      largeOffsets: chunks.get(chunk.largeOffsets),
    };
  }

  /** Names that end in NUL each, then padding. */
  #readNames({ start, end }: ByteRange, count: number): string[] {
    if (end - start > nameBytesLimit) {
      throw new CorruptObjectError(`${this.file.path} has ${end - start} bytes of pack names`);
    }
    const names = this.file
      .slice(start, end - start)
      .toString('latin1')
      .split('\0', count);
    if (names.length === count && names.every((name) => /^[^/]+\.(?:idx|pack)$/.test(name))) {
      return names.map((name) => name.replace(/pack$/, 'idx'));
    }
    throw new CorruptObjectError(`${this.file.path} has names that are no packs`);
  }
}
