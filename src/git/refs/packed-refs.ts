import { CorruptRefError } from '../../errors.ts';
import { byteStringFromBuffer, textFromBytes } from '../byte-string.ts';
import { isOid, oidSizeBytes, type HashAlgorithm, type Oid } from '../oid.ts';
import { isRefName, type RefName } from './ref-name.ts';

/** A ref in packed-refs. */
export interface PackedRef {
  readonly name: RefName;
  readonly oid: Oid;
  /**
   * What is found at the end when annotated tags are followed: `oid` itself when it is no tag.
   * `undefined` when the file does not tell.
   */
  readonly peeled: Oid | undefined;
}

const newline = 0x0a;
const caret = 0x5e;
const hash = 0x23;
const headerStart = '# pack-refs with:';

/**
 * The content of a packed-refs file; the format is described in git's refs/packed-backend.c. It is
 * kept as it was read, sorted, and searched by bisection: opening a file with a hundred thousand refs
 * costs no more than reading it. Immutable.
 */
export class PackedRefs {
  readonly #raw: Buffer;
  readonly #path: string;
  readonly #hexSize: number;
  readonly #start: number;
  readonly #traits: ReadonlySet<string>;

  private constructor(
    raw: Buffer,
    path: string,
    hexSize: number,
    start: number,
    traits: ReadonlySet<string>,
  ) {
    this.#raw = raw;
    this.#path = path;
    this.#hexSize = hexSize;
    this.#start = start;
    this.#traits = traits;
  }

  /**
   * Takes the bytes of a packed-refs file, which may be empty. A `CorruptRefError` when the header
   * or the end is damaged; damage elsewhere shows when it is come upon.
   */
  static parse(raw: Buffer, algorithm: HashAlgorithm, path = 'packed-refs'): PackedRefs {
    const hexSize = 2 * oidSizeBytes[algorithm];
    if (raw.length > 0 && raw[raw.length - 1] !== newline)
      throw damaged(path, 'the last line is cut off');
    if (raw[0] !== hash) return new PackedRefs(raw, path, hexSize, 0, new Set()).#sorted();
    const start = raw.indexOf(newline) + 1;
    const header = raw.toString('latin1', 0, start - 1);
    if (!header.startsWith(headerStart)) throw damaged(path, 'the first line is not known');
    const traits = new Set(header.slice(headerStart.length).split(' '));
    const parsed = new PackedRefs(raw, path, hexSize, start, traits);
    return traits.has('sorted') ? parsed : parsed.#sorted();
  }

  /** Looks a ref up. */
  get(name: RefName): PackedRef | undefined {
    const at = this.#seek(name);
    if (at === this.#raw.length) return undefined;
    const found = this.#refAt(at);
    return found.name === name ? found : undefined;
  }

  /** The refs whose names begin with `prefix` (bytes), sorted. Names that no ref can have are left out. */
  *startingWith(prefix: string): Generator<PackedRef> {
    for (let at = this.#seek(prefix); at < this.#raw.length; at = this.#next(at)) {
      const ref = this.#refAt(at);
      if (!ref.name.startsWith(prefix)) return;
      if (isRefName(ref.name)) yield ref;
    }
  }

  /**
   * The bytes of a file with some refs set (or, with `null`, left out); everything else stays as it
   * is, what is known of peeled tags included.
   */
  with(changes: ReadonlyMap<RefName, Omit<PackedRef, 'name'> | null>): Buffer {
    const parts: Buffer[] = [];
    let copied = this.#start;
    let peelingKnown = true;
    for (const [name, change] of [...changes].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const at = this.#seek(name);
      parts.push(this.#raw.subarray(copied, at));
      const exists = at < this.#raw.length && this.#nameAt(at) === name;
      copied = exists ? this.#next(at) : at;
      if (change === null) continue;
      parts.push(line(name, change));
      peelingKnown &&= change.peeled !== undefined;
    }
    parts.push(this.#raw.subarray(copied));
    // The header promises that what has no peeled value needs none.
    const kept = ['peeled', 'fully-peeled'].filter((trait) => peelingKnown && this.#tells(trait));
    const header = Buffer.from(`${headerStart} ${[...kept, 'sorted'].join(' ')} \n`);
    return Buffer.concat([header, ...parts]);
  }

  // A file without any ref yet promises everything.
  #tells(trait: string): boolean {
    return this.#traits.has(trait) || this.#start === this.#raw.length;
  }

  // git wrote files without the trait `sorted` until 2.16; also these are sorted as a rule.
  #sorted(): PackedRefs {
    const records: { name: string; bytes: Buffer }[] = [];
    let inOrder = true;
    let previous = '';
    for (let at = this.#start; at < this.#raw.length;) {
      const next = this.#next(at);
      const name = this.#nameAt(at);
      inOrder &&= previous < name;
      records.push({ name, bytes: this.#raw.subarray(at, next) });
      [previous, at] = [name, next];
    }
    if (inOrder) return this;
    records.sort((a, b) => (a.name < b.name ? -1 : 1));
    const raw = Buffer.concat([
      this.#raw.subarray(0, this.#start),
      ...records.map((record) => record.bytes),
    ]);
    return new PackedRefs(raw, this.#path, this.#hexSize, this.#start, this.#traits);
  }

  // The offset of the first ref whose name is not less than `name`.
  #seek(name: string): number {
    const wanted = Buffer.from(name, 'latin1');
    let low = this.#start;
    let high = this.#raw.length;
    while (low < high) {
      const middle = this.#recordAround(low, (low + high) >>> 1);
      const nameStart = middle + this.#hexSize + 1;
      const nameEnd = this.#raw.indexOf(newline, middle);
      if (nameStart >= nameEnd) throw this.#damagedAt(middle);
      const order = this.#raw.compare(wanted, 0, wanted.length, nameStart, nameEnd);
      if (order < 0) low = this.#next(middle);
      else high = middle;
    }
    return low;
  }

  // The offset of the record that the byte at `offset` belongs to; `low` is where a record begins.
  #recordAround(low: number, offset: number): number {
    if (offset === low) return low;
    const start = this.#raw.lastIndexOf(newline, offset - 1) + 1;
    if (start <= low) return low;
    if (this.#raw[start] !== caret) return start;
    return Math.max(low, this.#raw.lastIndexOf(newline, start - 2) + 1);
  }

  // The offset after the record at `offset`, which may have a second line with the peeled value.
  #next(offset: number): number {
    const next = this.#raw.indexOf(newline, offset) + 1;
    return this.#raw[next] === caret ? this.#raw.indexOf(newline, next) + 1 : next;
  }

  #nameAt(offset: number): string {
    const nameEnd = this.#raw.indexOf(newline, offset);
    return this.#raw.toString('latin1', offset + this.#hexSize + 1, nameEnd);
  }

  #refAt(offset: number): PackedRef {
    const nameStart = offset + this.#hexSize + 1;
    const nameEnd = this.#raw.indexOf(newline, offset);
    const oid = this.#raw.toString('latin1', offset, nameStart - 1);
    if (!isOid(oid) || this.#raw[nameStart - 1] !== 0x20) throw this.#damagedAt(offset);
    const name = byteStringFromBuffer(this.#raw, nameStart, nameEnd) as RefName;
    return { name, oid, peeled: this.#peeledAt(offset, nameEnd + 1, oid, name) };
  }

  #peeledAt(offset: number, next: number, oid: Oid, name: RefName): Oid | undefined {
    if (this.#raw[next] === caret) {
      const peeled = this.#raw.toString('latin1', next + 1, next + 1 + this.#hexSize);
      if (!isOid(peeled) || this.#raw[next + 1 + this.#hexSize] !== newline)
        throw this.#damagedAt(offset);
      return peeled;
    }
    const looked =
      this.#traits.has('fully-peeled') ||
      (this.#traits.has('peeled') && name.startsWith('refs/tags/'));
    return looked ? oid : undefined;
  }

  #damagedAt(offset: number): CorruptRefError {
    const end = this.#raw.indexOf(newline, offset);
    const text = textFromBytes(byteStringFromBuffer(this.#raw, offset, Math.min(end, offset + 80)));
    return damaged(this.#path, `a line reads ${JSON.stringify(text)}`);
  }
}

function line(name: RefName, value: Omit<PackedRef, 'name'>): Buffer {
  const peeled =
    value.peeled === undefined || value.peeled === value.oid ? '' : `^${value.peeled}\n`;
  return Buffer.from(`${value.oid} ${name}\n${peeled}`, 'latin1');
}

function damaged(path: string, what: string): CorruptRefError {
  return new CorruptRefError(`${path} is damaged: ${what}`, { path });
}
