import { bufferFromByteString } from '../byte-string.ts';
import type { ByteString } from '../byte-string.ts';
import { murmur3 } from './murmur3.ts';

/** How the filters of a commit-graph file were made, from the head of its `BDAT` chunk. */
export interface FilterSettings {
  /** 1, or 2 since git 2.46. */
  readonly hashVersion: number;
  /** How many bits of a filter a path sets. */
  readonly hashCount: number;
}

// From git's gitformat-commit-graph, where the second one lacks its last digit.
const seeds = [0x293ae76f, 0x7e646e2c] as const;
const slash = 0x2f;
// Git takes 7. Each costs time, so a file that asks for very many is not asked.
const mostHashes = 64;

/** The two numbers that all bits of a path in a filter follow from. */
type Key = readonly [number, number];

/**
 * A path to be looked up in the filters of changed paths (git's gitformat-commit-graph, "Bloom Filter
 * Data"). A filter holds the paths that differ between a commit and its first parent, and the
 * directories above them; it may seem to hold others too.
 */
export class ChangedPathQuery {
  readonly path: ByteString;
  /** For each version: the path and the directories above it, each with the keys it may be stored under. */
  readonly #keys = new Map<number, readonly (readonly Key[])[]>();

  constructor(path: ByteString) {
    this.path = path;
  }

  /** True where the path cannot be among those of a filter. */
  isMissingIn(filter: Buffer, { hashVersion, hashCount }: FilterSettings): boolean {
    const bits = 8 * filter.length;
    // No filter was made for this commit; the root is in none.
    if (bits === 0 || this.path === '' || hashCount < 1 || hashCount > mostHashes) return false;
    return this.#keysOf(hashVersion).some((alternatives) =>
      alternatives.every((key) => !holds(filter, bits, key, hashCount)),
    );
  }

  #keysOf(hashVersion: number): readonly (readonly Key[])[] {
    let keys = this.#keys.get(hashVersion);
    if (keys === undefined) {
      keys = [...prefixes(bufferFromByteString(this.path))].map((path) =>
        keysOf(path, hashVersion),
      );
      this.#keys.set(hashVersion, keys);
    }
    return keys;
  }
}

/** A path and the directories above it, the whole path first. */
function* prefixes(path: Buffer): Generator<Buffer, void, undefined> {
  for (let end = path.length; end > 0; end = path.lastIndexOf(slash, end - 1)) {
    yield path.subarray(0, end);
  }
}

/**
 * In version 1, bytes from 0x80 on are hashed as C's `char` is extended: with its sign where git ran
 * on a machine whose `char` has one (x86), without it elsewhere (ARM). The file does not say where it
 * was written, so a path with such bytes is looked for in both forms. Version 2 has no sign.
 */
function keysOf(path: Buffer, hashVersion: number): Key[] {
  const unsigned = keyOf(path, false);
  const isAscii = path.every((byte) => byte < 0x80);
  return hashVersion === 1 && !isAscii ? [unsigned, keyOf(path, true)] : [unsigned];
}

function keyOf(path: Buffer, isSigned: boolean): Key {
  return [murmur3(path, seeds[0], isSigned), murmur3(path, seeds[1], isSigned)];
}

function holds(filter: Buffer, bits: number, [first, step]: Key, hashCount: number): boolean {
  for (let index = 0; index < hashCount; index++) {
    const bit = ((first + Math.imul(index, step)) >>> 0) % bits;
    if ((filter.readUInt8(bit >>> 3) & (1 << (bit & 7))) === 0) return false;
  }
  return true;
}
