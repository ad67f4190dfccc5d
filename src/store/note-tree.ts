import type { ByteString } from '../git/byte-string.ts';
import { isTreeMode } from '../git/mode.ts';
import type { Tree } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import { isOid } from '../git/oid.ts';
import type { Oid } from '../git/oid.ts';
import { joinPath, rootPath } from '../snapshot/path.ts';
import { treeOf } from '../snapshot/tree.ts';

/** A note: where it stands in the tree of its ref, and its text. */
export interface Note {
  readonly path: ByteString;
  readonly blob: Oid;
}

const fanOutName = /^[0-9a-f]{2}$/;

/**
 * Finds the note on an object. A tree of notes holds blobs called as the objects that they are on;
 * with many of them git cuts the name up into directories of two digits (`ab/cdef…`,
 * `ab/cd/ef…`), and different parts of one tree may be cut differently.
 */
export async function findNote(
  odb: ObjectDatabase,
  root: Oid | null,
  target: Oid,
): Promise<Note | null> {
  let oid = root;
  let path = rootPath;
  for (let depth = 0; oid !== null; depth++) {
    const tree: Tree = await treeOf(odb, oid);
    const rest = target.slice(2 * depth) as ByteString;
    const note = tree.get(rest);
    if (note !== undefined && !isTreeMode(note.mode)) {
      return { path: joinPath(path, rest), blob: note.oid };
    }
    const name = rest.slice(0, 2) as ByteString;
    const directory = tree.get(name);
    oid = directory !== undefined && isTreeMode(directory.mode) ? directory.oid : null;
    path = joinPath(path, name);
  }
  return null;
}

/** Where a new note belongs: below as many directories as the notes beside it have. */
export async function placeForNote(
  odb: ObjectDatabase,
  root: Oid | null,
  target: Oid,
): Promise<ByteString> {
  let oid = root;
  let path = rootPath;
  for (let depth = 0; ; depth++) {
    const rest = target.slice(2 * depth) as ByteString;
    const tree: Tree | null = oid === null ? null : await treeOf(odb, oid);
    if (tree === null || !hasFanOut(tree)) return joinPath(path, rest);
    const name = rest.slice(0, 2) as ByteString;
    const directory = tree.get(name);
    oid = directory !== undefined && isTreeMode(directory.mode) ? directory.oid : null;
    path = joinPath(path, name);
  }
}

/**
 * All notes of a tree; other files in it are passed over. `digits` are those of the names of the
 * directories that led here.
 */
export async function* allNotes(
  odb: ObjectDatabase,
  root: Oid,
  digits = '',
): AsyncGenerator<Oid, void, undefined> {
  for (const { name, mode, oid } of await treeOf(odb, root)) {
    const target = digits + name;
    if (!isTreeMode(mode)) {
      if (isOid(target)) yield target;
    } else if (fanOutName.test(name)) {
      yield* allNotes(odb, oid, target);
    }
  }
}

function hasFanOut(tree: Tree): boolean {
  for (let index = 0; index < tree.size; index++) {
    if (isTreeMode(tree.modeAt(index)) && fanOutName.test(tree.nameAt(index))) return true;
  }
  return false;
}
