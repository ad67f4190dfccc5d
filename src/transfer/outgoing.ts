import type { Oid } from '../git/oid.ts';
import { reachableObjects } from '../git/reachable.ts';
import type { ReachableObject } from '../git/reachable.ts';
import type { Repository } from '../git/repository.ts';
import type { RefMove } from './mirror-diff.ts';
import type { TransferContext } from './mirror-options.ts';

const leastStep = 256;

/** What the refs shall hold that do not go. */
export function tipsOf(moves: readonly RefMove[]): Oid[] {
  return moves.flatMap(({ to }) => (to === null ? [] : [to]));
}

/** All that can be reached from these tips, and not from what the other side has. */
export async function objectsToSend(
  { odb }: Repository,
  tips: Iterable<Oid>,
  excluded: Iterable<Oid>,
  context: Pick<TransferContext, 'signal' | 'progress'>,
): Promise<ReachableObject[]> {
  const objects: ReachableObject[] = [];
  const { signal } = context;
  const report = reporting(context, 'Counting objects');
  for await (const object of reachableObjects(odb, { tips, excluded, signal })) {
    objects.push(object);
    report(objects.length);
  }
  return objects;
}

/** Passes on how far something has come: every so often, and at the end. */
export function reporting(
  { progress }: Pick<TransferContext, 'progress'>,
  phase: string,
  total?: number,
): (loaded: number) => void {
  return (loaded) => {
    if (progress === undefined || (loaded % leastStep !== 0 && loaded !== total)) return;
    progress({ phase, loaded, ...(total !== undefined && { total }) });
  };
}
