import { InvalidArgumentError } from '../errors.ts';
import { bytesFromText } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { packStream } from '../git/odb/pack-stream.ts';
import type { Oid } from '../git/oid.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { Repository } from '../git/repository.ts';
import type { RefMove } from './mirror-diff.ts';
import type { TransferContext } from './mirror-options.ts';
import { objectsToSend, reporting, tipsOf } from './outgoing.ts';
import { receiveMoves } from './receive-moves.ts';
import { allRefs, presentRefs } from './ref-selection.ts';
import type { PresentRefs } from './ref-selection.ts';
import type { ReceivedMove, Remote } from './remote.ts';

/** A repository on this machine, used without git. */
export class LocalRemote implements Remote {
  readonly refs: ReadonlyMap<RefName, Oid>;
  readonly ends: ReadonlyMap<RefName, RefName>;
  readonly #other: Repository;
  readonly #context: TransferContext;

  private constructor(other: Repository, present: PresentRefs, context: TransferContext) {
    this.#other = other;
    this.refs = present.refs;
    this.ends = present.ends;
    this.#context = context;
  }

  static async open(path: string, context: TransferContext): Promise<LocalRemote> {
    const other = await Repository.open(path);
    try {
      requireSameAlgorithm(other, context.repository, path);
      return new LocalRemote(other, await presentRefs(other), context);
    } catch (error) {
      await other.close();
      throw error;
    }
  }

  withoutHidden(moves: readonly RefMove[]): Promise<readonly RefMove[]> {
    const { config } = this.#other;
    const patterns = [...config.getAll('transfer.hideRefs'), ...config.getAll('receive.hideRefs')];
    const hidden = patterns.map((pattern) => bytesFromText(pattern));
    return Promise.resolve(moves.filter(({ name, to }) => to !== null || !isHidden(name, hidden)));
  }

  async send(moves: readonly RefMove[]): Promise<void> {
    await this.#copy(this.#context.repository, this.#other, moves, 'backup');
  }

  async receive(moves: readonly ReceivedMove[]): Promise<void> {
    await this.#copy(this.#other, this.#context.repository, moves, 'restore');
  }

  async close(): Promise<void> {
    await this.#other.close();
  }

  async #copy(
    from: Repository,
    to: Repository,
    moves: readonly RefMove[],
    message: string,
  ): Promise<void> {
    const { signal } = this.#context;
    const present = await allRefs(to);
    const objects = await objectsToSend(from, tipsOf(moves), present.values(), this.#context);
    const onObject = reporting(this.#context, 'Copying objects', objects.length);
    const pack = packStream(from.odb, objects, { signal, onObject });
    await receiveMoves({ ...this.#context, repository: to }, pack, { moves, message });
  }
}

/** As git-config(1) says of `transfer.hideRefs`: the last pattern that is a ref or one above it decides. */
function isHidden(name: RefName, patterns: readonly ByteString[]): boolean {
  for (const pattern of patterns.toReversed()) {
    const isShown = pattern.startsWith('!');
    // `^` asks for the full name in a namespace of git; here all names are full.
    const prefix = pattern.replace(/^!?\^?/, '').replace(/\/+$/, '');
    if (name === prefix || name.startsWith(`${prefix}/`)) return !isShown;
  }
  return false;
}

/** Objects of one hash function are of no use to a repository of the other. */
export function requireSameAlgorithm(other: Repository, ours: Repository, path: string): void {
  if (other.algorithm === ours.algorithm) return;
  const message = `${path} uses ${other.algorithm}, and this repository ${ours.algorithm}`;
  throw new InvalidArgumentError(message, { path });
}
