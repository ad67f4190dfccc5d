import { InvalidPathError } from '../errors.ts';
import { bytesFromText } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { isTreeMode, modeTree } from '../git/mode.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { Descent, depthFirst } from './depth-first.ts';
import type { Walk } from './depth-first.ts';
import { joinPath, pathText, rootPath } from './path.ts';
import type { PlacedObject } from './tree-edit.ts';
import { treeOf } from './tree.ts';
import { compileSegment, hasWildcard } from './wildcard.ts';

type Segment =
  | { readonly kind: 'name'; readonly name: ByteString }
  | { readonly kind: 'wildcard'; readonly matches: (name: string) => boolean }
  | { readonly kind: 'any-depth' }
  | { readonly kind: 'pivot' };

/** Where a pattern is looked for: a tree of names. What is no directory has no entries. */
export interface GlobSource<Node> {
  /** What stands at a name in a directory. */
  entry(directory: Node, name: ByteString): Node | undefined | Promise<Node | undefined>;
  /** All that is in a directory, by name. */
  entries(
    directory: Node,
  ): Iterable<readonly [ByteString, Node]> | Promise<Iterable<readonly [ByteString, Node]>>;
  /** Whether `**` goes on below. */
  isEntered(node: Node): boolean;
}

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
  const inner = pattern.replaceAll('\\', '/').replace(/^\/+|\/+$/g, '');
  const texts = inner === '' ? [] : inner.split('/');
  if (texts.includes('') || texts.includes('..')) throw invalidPattern(pattern);
  yield* globSource(new TreeSource(odb), { mode: modeTree, oid: root }, pattern, texts);
}

/** As `globTree`, in any source, for a pattern whose segments are known. */
export async function* globSource<Node>(
  source: GlobSource<Node>,
  root: Node,
  pattern: string,
  texts: readonly string[],
): AsyncGenerator<ByteString, void, undefined> {
  if (pattern.includes('\0')) throw invalidPattern(pattern);
  const found = new Set<ByteString>();
  for await (const path of new Globber(source, parseSegments(texts)).paths(root)) {
    if (found.has(path)) continue;
    found.add(path);
    yield path;
  }
}

/** The segments of a pattern. Only the first `/./` is a pivot; other dots mean nothing. */
function parseSegments(texts: readonly string[]): Segment[] {
  const segments: Segment[] = [];
  texts.forEach((text, index) => {
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

class TreeSource implements GlobSource<PlacedObject> {
  readonly #odb: ObjectDatabase;

  constructor(odb: ObjectDatabase) {
    this.#odb = odb;
  }

  async entry(directory: PlacedObject, name: ByteString): Promise<PlacedObject | undefined> {
    if (!isTreeMode(directory.mode)) return undefined;
    return (await treeOf(this.#odb, directory.oid)).get(name);
  }

  async entries(directory: PlacedObject): Promise<(readonly [ByteString, PlacedObject])[]> {
    if (!isTreeMode(directory.mode)) return [];
    const tree = await treeOf(this.#odb, directory.oid);
    return Array.from(tree, (entry) => [entry.name, entry] as const);
  }

  isEntered({ mode }: PlacedObject): boolean {
    return isTreeMode(mode);
  }
}

class Globber<Node> {
  readonly #source: GlobSource<Node>;
  readonly #segments: readonly Segment[];

  constructor(source: GlobSource<Node>, segments: readonly Segment[]) {
    this.#source = source;
    this.#segments = segments;
  }

  paths(root: Node): AsyncGenerator<ByteString> {
    return depthFirst(this.#match(root, rootPath, 0));
  }

  /** What matches the segments from `index` on, below a node that matched those before. */
  async *#match(node: Node, path: ByteString, index: number): Walk<ByteString> {
    const segment = this.#segments[index];
    if (segment === undefined) {
      if (path !== rootPath) yield path;
      return;
    }
    switch (segment.kind) {
      case 'pivot':
        yield new Descent(this.#match(node, joinPath(path, pivotMark), index + 1));
        return;
      case 'name': {
        const entry = await this.#source.entry(node, segment.name);
        if (entry !== undefined) {
          yield new Descent(this.#match(entry, joinPath(path, segment.name), index + 1));
        }
        return;
      }
      case 'wildcard':
        for (const [name, entry] of await this.#source.entries(node)) {
          if (!segment.matches(pathText(name))) continue;
          yield new Descent(this.#match(entry, joinPath(path, name), index + 1));
        }
        return;
      case 'any-depth':
        yield new Descent(this.#anyDepth(node, path, index));
    }
  }

  async *#anyDepth(node: Node, path: ByteString, index: number): Walk<ByteString> {
    const isLast = index === this.#segments.length - 1;
    if (!isLast) yield new Descent(this.#match(node, path, index + 1));
    for (const [name, entry] of await this.#source.entries(node)) {
      if (name.startsWith('.')) continue;
      const entryPath = joinPath(path, name);
      if (isLast) yield entryPath;
      if (this.#source.isEntered(entry)) yield new Descent(this.#match(entry, entryPath, index));
    }
  }
}
