import { InvalidPathError } from '../errors.ts';
import { bytesFromText, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { isTreeMode, modeTree } from '../git/mode.ts';
import type { Tree } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { joinPath, rootPath } from './path.ts';
import type { PlacedObject } from './tree-edit.ts';
import { treeOf } from './tree.ts';
import { compileSegment, hasWildcard } from './wildcard.ts';

type Segment =
  | { readonly kind: 'name'; readonly name: ByteString }
  | { readonly kind: 'wildcard'; readonly matches: (name: string) => boolean }
  | { readonly kind: 'any-depth' }
  | { readonly kind: 'pivot' };

const pivotMark = '.' as ByteString;

/**
 * The paths below a root tree that match a pattern, each once, in no order. `*` and `?` match
 * within a name, and no leading dot unless the segment begins with one; `**` is any number of
 * directories, none included, whose names do not begin with a dot (as the last segment: everything
 * in them). A `/./` in the pattern comes back in the paths. Patterns follow the rules of paths:
 * `..` and empty segments are an `InvalidPathError`.
 */
export async function* globTree(
  odb: ObjectDatabase,
  root: Oid,
  pattern: string,
): AsyncGenerator<ByteString, void, undefined> {
  const segments = parsePattern(pattern);
  if (segments.length === 0) return;
  const found = new Set<ByteString>();
  for await (const path of new Globber(odb, segments).paths({ mode: modeTree, oid: root })) {
    if (found.has(path)) continue;
    found.add(path);
    yield path;
  }
}

/** The segments of a pattern. Only the first `/./` is a pivot; other dots mean nothing. */
function parsePattern(pattern: string): Segment[] {
  if (pattern.includes('\0')) throw invalidPattern(pattern);
  const texts = pattern
    .replaceAll('\\', '/')
    .replace(/^\/+|\/+$/g, '')
    .split('/');
  if (texts.length === 1 && texts[0] === '') return [];
  const segments: Segment[] = [];
  texts.forEach((text, index) => {
    if (text === '' || text === '..') throw invalidPattern(pattern);
    // Several in a row mean what one does; left in, they would multiply the work.
    if (text === '**' && segments.at(-1)?.kind === 'any-depth') return;
    if (text !== '.') segments.push(parseSegment(text));
    else if (index > 0 && index < texts.length - 1 && !segments.some(isPivot)) {
      segments.push({ kind: 'pivot' });
    }
  });
  return segments;
}

function parseSegment(text: string): Segment {
  if (text === '**') return { kind: 'any-depth' };
  if (hasWildcard(text)) return { kind: 'wildcard', matches: compileSegment(text) };
  return { kind: 'name', name: bytesFromText(text) };
}

function isPivot(segment: Segment): boolean {
  return segment.kind === 'pivot';
}

function invalidPattern(pattern: string): InvalidPathError {
  return new InvalidPathError(`not a pattern for paths: ${JSON.stringify(pattern)}`, {
    path: pattern,
  });
}

class Globber {
  readonly #odb: ObjectDatabase;
  readonly #segments: readonly Segment[];

  constructor(odb: ObjectDatabase, segments: readonly Segment[]) {
    this.#odb = odb;
    this.#segments = segments;
  }

  paths(root: PlacedObject): AsyncGenerator<ByteString> {
    return this.#match(root, rootPath, 0);
  }

  /** What matches the segments from `index` on, below an object that matched those before. */
  async *#match(object: PlacedObject, path: ByteString, index: number): AsyncGenerator<ByteString> {
    const segment = this.#segments[index];
    if (segment === undefined) {
      if (path !== rootPath) yield path;
      return;
    }
    if (!isTreeMode(object.mode)) return;
    switch (segment.kind) {
      case 'pivot':
        yield* this.#match(object, joinPath(path, pivotMark), index + 1);
        return;
      case 'name': {
        const entry = (await treeOf(this.#odb, object.oid)).get(segment.name);
        if (entry) yield* this.#match(entry, joinPath(path, entry.name), index + 1);
        return;
      }
      case 'wildcard':
        for (const entry of await treeOf(this.#odb, object.oid)) {
          if (!segment.matches(textFromBytes(entry.name))) continue;
          yield* this.#match(entry, joinPath(path, entry.name), index + 1);
        }
        return;
      case 'any-depth':
        yield* this.#anyDepth(await treeOf(this.#odb, object.oid), object, path, index);
    }
  }

  async *#anyDepth(
    tree: Tree,
    object: PlacedObject,
    path: ByteString,
    index: number,
  ): AsyncGenerator<ByteString> {
    const isLast = index === this.#segments.length - 1;
    if (!isLast) yield* this.#match(object, path, index + 1);
    for (const entry of tree) {
      if (entry.name.startsWith('.')) continue;
      const entryPath = joinPath(path, entry.name);
      if (isLast) yield entryPath;
      if (isTreeMode(entry.mode)) yield* this.#match(entry, entryPath, index);
    }
  }
}
