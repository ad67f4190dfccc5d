import { setImmediate as nextTurn } from 'node:timers/promises';
import { ObjectNotFoundError } from '../errors.ts';
import { CommitFrontier } from './commit-frontier.ts';
import { isGitlinkMode, isTreeMode } from './mode.ts';
import { parseTag } from './object.ts';
import type { ObjectType, Tree } from './object.ts';
import type { ObjectDatabase } from './odb/object-database.ts';
import type { Oid } from './oid.ts';

/** An object that a walk has found. */
export interface ReachableObject {
  readonly oid: Oid;
  readonly type: ObjectType;
}

/** From where to where a walk goes. */
export interface ReachableOptions {
  /** What the walk begins from: objects of any type. */
  readonly tips: Iterable<Oid>;
  /** What is left out with all that it reaches. Objects that are not in the database do not count. */
  readonly excluded?: Iterable<Oid>;
  readonly signal?: AbortSignal | undefined;
  /** Look whether each blob is there too, which takes a lookup for each. */
  readonly checkBlobs?: boolean;
}

interface WalkOptions extends ReachableOptions {
  readonly mayLackTrees?: boolean;
}

const objectsInOneTurn = 2048;

/**
 * All objects that can be reached from some tips and not from others: tags and commits first, newest
 * first, then trees and blobs, each once. As in git, a few that are excluded can be among them (a
 * file that comes back after it was gone). Commits of submodules are not looked for. It keeps the id
 * of everything that it gives. Something missing is an `ObjectNotFoundError`.
 */
export async function* reachableObjects(
  odb: ObjectDatabase,
  options: ReachableOptions,
): AsyncGenerator<ReachableObject, void, undefined> {
  const seen = new Set<Oid>();
  const frontier = new CommitFrontier(odb, options.signal);
  for (const oid of new Set(options.excluded ?? [])) {
    if (!(await odb.has(oid))) continue;
    for (const found of await peel(odb, oid, seen, frontier, true)) {
      if (found.type === 'tree') await leaveOut(odb, found.oid, seen, options);
    }
  }
  const roots: ReachableObject[] = [];
  for (const oid of new Set(options.tips)) {
    for (const object of await peel(odb, oid, seen, frontier, false)) {
      if (object.type === 'tag') yield object;
      else roots.push(object);
    }
  }
  const commits = await frontier.walk();
  const wanted = commits.filter(({ isExcluded }) => !isExcluded);
  wanted.sort((a, b) => b.timeSec - a.timeSec);
  for (const { oid } of wanted) yield { oid, type: 'commit' };
  if (wanted.length > 0) {
    // What the commits at the edge hold is what is most likely still held by those behind it.
    const edge = new Set([
      ...(options.excluded ?? []),
      ...wanted.flatMap(({ parents }) => parents),
    ]);
    for (const { oid, tree, isExcluded } of commits) {
      if (isExcluded && edge.has(oid)) await leaveOut(odb, tree, seen, options);
    }
  }
  for (const { tree } of wanted) yield* walkTree(odb, tree, seen, options);
  for (const { oid, type } of roots) {
    if (type === 'tree') yield* walkTree(odb, oid, seen, options);
    else if (!seen.has(oid)) yield { oid, type };
    seen.add(oid);
  }
}

/** Follows tags: they, and a tree or blob at the end, come back; a commit goes to the frontier. */
async function peel(
  odb: ObjectDatabase,
  start: Oid,
  seen: Set<Oid>,
  frontier: CommitFrontier,
  isExcluded: boolean,
): Promise<ReachableObject[]> {
  const found: ReachableObject[] = [];
  for (let oid = start; ;) {
    const { type } = await odb.header(oid);
    if (type === 'commit') await frontier.add(oid, isExcluded);
    else if (type === 'tree' || (type === 'blob' && !seen.has(oid))) found.push({ oid, type });
    if (type === 'blob' && isExcluded) seen.add(oid);
    if (type !== 'tag' || seen.has(oid)) return found;
    seen.add(oid);
    found.push({ oid, type });
    oid = parseTag((await odb.read(oid)).data, oid).object;
  }
}

/** Takes a tree and all that is in it for seen. What is missing of it may be: nobody is to get it. */
async function leaveOut(
  odb: ObjectDatabase,
  root: Oid,
  seen: Set<Oid>,
  { signal }: ReachableOptions,
): Promise<void> {
  await exhaust(walkTree(odb, root, seen, { tips: [], signal, mayLackTrees: true }));
}

/** A tree and all that is in it and was not seen yet. */
async function* walkTree(
  odb: ObjectDatabase,
  root: Oid,
  seen: Set<Oid>,
  { signal, checkBlobs = false, mayLackTrees = false }: WalkOptions,
): AsyncGenerator<ReachableObject, void, undefined> {
  if (seen.has(root)) return;
  seen.add(root);
  const stack = [root];
  let sinceTurn = 0;
  for (let oid = stack.pop(); oid !== undefined; oid = stack.pop()) {
    const tree = mayLackTrees ? await treeIfThere(odb, oid) : await odb.tree(oid);
    if (tree === null) continue;
    yield { oid, type: 'tree' };
    for (const entry of tree) {
      if (seen.has(entry.oid) || isGitlinkMode(entry.mode)) continue;
      seen.add(entry.oid);
      if (isTreeMode(entry.mode)) {
        stack.push(entry.oid);
        continue;
      }
      if (checkBlobs && !(await odb.has(entry.oid))) throw new ObjectNotFoundError(entry.oid);
      yield { oid: entry.oid, type: 'blob' };
    }
    sinceTurn += tree.size + 1;
    if (sinceTurn < objectsInOneTurn) continue;
    sinceTurn = 0;
    signal?.throwIfAborted();
    await nextTurn();
  }
}

async function treeIfThere(odb: ObjectDatabase, oid: Oid): Promise<Tree | null> {
  try {
    return await odb.tree(oid);
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return null;
    throw error;
  }
}

/**
 * Throws an `ObjectNotFoundError` unless all that the tips reach is in the database, believing that
 * what `complete` reaches is.
 */
export async function checkConnected(
  odb: ObjectDatabase,
  tips: Iterable<Oid>,
  complete: Iterable<Oid>,
  signal?: AbortSignal,
): Promise<void> {
  await exhaust(reachableObjects(odb, { tips, excluded: complete, signal, checkBlobs: true }));
}

async function exhaust(walk: AsyncGenerator<ReachableObject, void, undefined>): Promise<void> {
  while ((await walk.next()).done !== true);
}
