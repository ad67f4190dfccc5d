import type { Oid } from '../git/oid.ts';
import { reachableObjects } from '../git/reachable.ts';
import type { ReachableObject } from '../git/reachable.ts';
import { namesAbove } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';
import type { RefMove } from './mirror-diff.ts';
import type { TransferContext } from './mirror-options.ts';

const leastStep = 256;

/** What the refs shall hold that do not go. */
export function tipsOf(moves: readonly RefMove[]): Oid[] {
  return moves.flatMap(({ to }) => (to === null ? [] : [to]));
}

/**
 * The moves in the order in which another repository has to be asked for them: at once, unless a new
 * ref needs the place that another one leaves, `a/b` that of `a`, for which git wants two requests.
 */
export function inSteps(moves: readonly RefMove[]): (readonly RefMove[])[] {
  const leaving = new Set<string>();
  const aboveLeaving = new Set<string>();
  for (const { name, to } of moves) {
    if (to !== null) continue;
    leaving.add(name);
    for (const above of namesAbove(name)) aboveLeaving.add(above);
  }
  const waits = ({ name, from }: RefMove): boolean =>
    from === null &&
    (aboveLeaving.has(name) || namesAbove(name).some((above) => leaving.has(above)));
  const steps = [moves.filter((move) => !waits(move)), moves.filter(waits)];
  return steps.filter((step) => step.length > 0);
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
): (loaded: number, bytes?: number) => void {
  return (loaded, bytes) => {
    if (progress === undefined || (loaded % leastStep !== 0 && loaded !== total)) return;
    const known = { ...(total !== undefined && { total }), ...(bytes !== undefined && { bytes }) };
    progress({ phase, loaded, ...known });
  };
}
