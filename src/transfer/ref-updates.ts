import { RefChangedError } from '../errors.ts';
import type { Identity } from '../git/object.ts';
import type { Repository } from '../git/repository.ts';
import type { RefMove } from './mirror-diff.ts';

/** What the reflogs say about moves. */
export interface MoveNote {
  readonly identity: Identity;
  readonly message: string;
}

/**
 * Moves refs, each from where it must be: all of them or, when one cannot be moved, none. (A ref that
 * somebody moves on in that moment is left to them.) Those that go come first: `a` may make room for
 * `a/b`.
 */
export async function moveRefs(
  repository: Repository,
  moves: readonly RefMove[],
  note: MoveNote,
): Promise<void> {
  const done: RefMove[] = [];
  const inOrder = moves.toSorted((a, b) => Number(a.to !== null) - Number(b.to !== null));
  try {
    for (const move of inOrder) {
      await moveOne(repository, move, note);
      done.push(move);
    }
  } catch (error) {
    const undo = { ...note, message: `undo ${note.message}` };
    for (const { name, from, to } of done.reverse()) {
      await moveOne(repository, { name, from: to, to: from }, undo).catch(unlessChanged);
    }
    throw error;
  }
}

async function moveOne(
  { refs }: Repository,
  { name, from, to }: RefMove,
  note: MoveNote,
): Promise<void> {
  await refs.update({ ...note, name, oid: to, expected: from });
}

function unlessChanged(error: unknown): void {
  if (!(error instanceof RefChangedError)) throw error;
}
