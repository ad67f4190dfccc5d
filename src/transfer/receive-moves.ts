import { ObjectNotFoundError, TransferError } from '../errors.ts';
import { receivePack } from '../git/odb/pack-receiver.ts';
import { checkConnected } from '../git/reachable.ts';
import type { TransferContext } from './mirror-options.ts';
import type { RefMove } from './mirror-diff.ts';
import { reporting, tipsOf } from './outgoing.ts';
import { allRefs } from './ref-selection.ts';
import { moveRefs } from './ref-updates.ts';

/**
 * Takes a pack into the repository and moves refs to what it brings: after all that they will reach
 * has been seen to be there, so that nobody can leave a ref that leads to holes.
 */
export async function receiveMoves(
  context: TransferContext,
  pack: AsyncIterable<Uint8Array>,
  { moves, message }: { readonly moves: readonly RefMove[]; readonly message: string },
): Promise<void> {
  const { repository, identity, signal } = context;
  const received = await receivePack(repository.odb, pack, {
    signal,
    onBytes: (bytes) => context.progress?.({ phase: 'Receiving objects', loaded: 0, bytes }),
    onEntry: (loaded, total) => reporting(context, 'Indexing objects', total)(loaded),
  });
  try {
    const present = await allRefs(repository);
    await checkConnected(repository.odb, tipsOf(moves), present.values(), signal).catch(incomplete);
    await moveRefs(repository, moves, { identity, message });
  } finally {
    await received.letGo();
  }
}

function incomplete(error: unknown): never {
  if (!(error instanceof ObjectNotFoundError)) throw error;
  const { oid = '' } = error;
  const message = `what was received is incomplete: it lacks object ${oid}`;
  throw new TransferError(message, { oid, cause: error });
}
