import { adler32, adler32Joined } from './adler32.ts';
import { deflateTreePart, zlibHead, zlibTail } from './deflate.ts';

// Smaller trees are deflated whole in less than a millisecond.
const leastTreeBytes = 64 * 1024;
const partBytes = 16 * 1024;
// Less than this is deflated together with its neighbour, for every part costs some bytes more.
const leastPartBytes = 4 * 1024;
const mostTrees = 4;
const mostRememberedBytes = 2 * 1024 * 1024;

/** Some bytes of a tree, deflated for themselves: blocks (RFC 1951) that end at a byte. */
interface Part {
  readonly raw: Buffer;
  readonly deflated: Buffer;
  readonly checksum: number;
}

/**
 * The large trees that were deflated last, in parts. Whoever saves a file in a large directory makes a
 * tree that is the one before but for one entry; so all but one part of its zlib stream is there
 * already, and to deflate the others again would take longer than all else about the commit.
 */
export class DeflatedTrees {
  /** The parts of each tree in their order; the latest tree comes last. */
  #trees: (readonly Part[])[] = [];

  /** Tells whether a tree is so large that it is deflated here. */
  static isLarge(raw: Buffer): boolean {
    return raw.length >= leastTreeBytes;
  }

  /** The zlib stream of a tree whose bytes will never change, in parts. */
  async deflate(raw: Buffer): Promise<Buffer[]> {
    const { tree, before, after } = this.#similar(raw);
    const start = sizeOf(before);
    const end = raw.length - sizeOf(after);
    const between = await deflatedParts(raw.subarray(start, end));
    const parts = [...moved(before, raw, 0), ...between, ...moved(after, raw, end)];
    this.#remember(parts, tree);
    let checksum = 1;
    for (const part of parts) checksum = adler32Joined(checksum, part.checksum, part.raw.length);
    return [zlibHead, ...parts.map((part) => part.deflated), zlibTail(checksum)];
  }

  /** The latest tree that this one has parts in common with, and those parts at its start and its end. */
  #similar(raw: Buffer): {
    readonly tree?: readonly Part[];
    readonly before: readonly Part[];
    readonly after: readonly Part[];
  } {
    for (const tree of this.#trees.toReversed()) {
      let first = 0;
      let start = 0;
      for (const part of tree) {
        if (!isAt(raw, start, part)) break;
        start += part.raw.length;
        first += 1;
      }
      let last = tree.length;
      let end = raw.length;
      for (; last > first; last--) {
        const part = tree[last - 1];
        if (part === undefined || end - part.raw.length < start) break;
        if (!isAt(raw, end - part.raw.length, part)) break;
        end -= part.raw.length;
      }
      if (first === 0 && last === tree.length) continue;
      // What is between them must not become ever smaller parts.
      if (end - start < leastPartBytes && first > 0) first -= 1;
      else if (end - start < leastPartBytes && last < tree.length) last += 1;
      return { tree, before: tree.slice(0, first), after: tree.slice(last) };
    }
    return { before: [], after: [] };
  }

  #remember(parts: readonly Part[], replaced: readonly Part[] | undefined): void {
    this.#trees = this.#trees.filter((tree) => tree !== replaced);
    this.#trees.push(parts);
    let sizeBytes = this.#trees.reduce((sum, tree) => sum + sizeOf(tree), 0);
    while (this.#trees.length > mostTrees || sizeBytes > mostRememberedBytes) {
      sizeBytes -= sizeOf(this.#trees.shift() ?? []);
    }
  }
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { raw }) => sum + raw.length, 0);
}

function isAt(raw: Buffer, start: number, part: Part): boolean {
  return raw.subarray(start, start + part.raw.length).equals(part.raw);
}

/** The same parts in the memory of another tree, so that the old one is not held by them. */
function moved(parts: readonly Part[], raw: Buffer, start: number): Part[] {
  let at = start;
  return parts.map((part) => {
    const here = raw.subarray(at, at + part.raw.length);
    at += here.length;
    return { ...part, raw: here };
  });
}

async function deflatedParts(raw: Buffer): Promise<Part[]> {
  // Of about the same length: a few bytes at the end would be a part for ever.
  const count = raw.length === 0 ? 0 : Math.max(1, Math.round(raw.length / partBytes));
  const length = Math.ceil(raw.length / count);
  const parts = Array.from({ length: count }, async (_, index): Promise<Part> => {
    const part = raw.subarray(index * length, (index + 1) * length);
    // The pool is at work while this thread sums up.
    const deflating = deflateTreePart(part, count > 1);
    const checksum = adler32(part, 1);
    return { raw: part, deflated: await deflating, checksum };
  });
  return Promise.all(parts);
}
