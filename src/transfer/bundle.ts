import { InvalidArgumentError, InvalidBundleError, ObjectNotFoundError } from '../errors.ts';
import { BundleFile, writeBundle } from '../git/bundle-file.ts';
import type { BundleHeader } from '../git/bundle-file.ts';
import { parseCommit, parseTag, serializeCommit } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import { packStream } from '../git/odb/pack-stream.ts';
import type { Oid } from '../git/oid.ts';
import { headRef } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';
import type { RefSelection, TransferContext } from './mirror-options.ts';
import { objectsToSend, reporting } from './outgoing.ts';
import { receiveMoves } from './receive-moves.ts';
import { refsToSend } from './ref-selection.ts';
import type { ReceivedMove, Remote } from './remote.ts';

/** What is put into a bundle. */
export interface BundleContent {
  readonly refs: RefSelection | undefined;
  readonly squash: boolean;
}

/**
 * Writes refs and all that they reach to a bundle file, and gives what they hold in it. One of the
 * whole repository also tells which branch is the current one, so that `git clone` checks it out.
 * Without a path, only what would be in it is found out.
 */
export async function exportBundle(
  path: string | null,
  content: BundleContent,
  context: TransferContext,
): Promise<ReadonlyMap<RefName, Oid>> {
  const { repository } = context;
  const selected = await refsToSend(repository, content.refs);
  if (selected.size === 0) {
    throw new InvalidArgumentError('a bundle without refs cannot be written: git would refuse it');
  }
  const staging = repository.odb.stage();
  try {
    const refs = content.squash ? await squashAll(repository.odb, staging, selected) : selected;
    if (path !== null) {
      const isWhole = content.refs === undefined;
      await writeRefs(path, isWhole ? await withHead(repository, refs) : refs, context);
    }
    return refs;
  } finally {
    await staging.discard();
  }
}

async function writeRefs(
  path: string,
  refs: ReadonlyMap<RefName, Oid>,
  context: TransferContext,
): Promise<void> {
  const { repository, signal } = context;
  const objects = await objectsToSend(repository, refs.values(), [], context);
  const onObject = reporting(context, 'Writing objects', objects.length);
  const pack = packStream(repository.odb, objects, { signal, onObject });
  const header = { algorithm: repository.algorithm, prerequisites: [], refs };
  await writeBundle(path, header, pack);
}

async function withHead(
  repository: Repository,
  refs: ReadonlyMap<RefName, Oid>,
): Promise<ReadonlyMap<RefName, Oid>> {
  const head = await repository.refs.resolve(headRef);
  const oid = head === null ? undefined : refs.get(head.name);
  return oid === undefined ? refs : new Map([[headRef, oid], ...refs]);
}

async function squashAll(
  odb: ObjectDatabase,
  staging: StagingArea,
  refs: ReadonlyMap<RefName, Oid>,
): Promise<ReadonlyMap<RefName, Oid>> {
  const squashed = new Map<RefName, Oid>();
  for (const [name, oid] of refs) squashed.set(name, await squash(odb, staging, oid));
  return squashed;
}

/** A commit of the same tree, author and message without parents; of what leads to no commit, that itself. */
async function squash(odb: ObjectDatabase, staging: StagingArea, start: Oid): Promise<Oid> {
  for (let oid = start; ;) {
    const { type } = await odb.header(oid);
    if (type === 'tag') {
      oid = parseTag((await odb.read(oid)).data, oid).object;
      continue;
    }
    if (type !== 'commit') return start;
    const { extraHeaders = [], ...commit } = parseCommit((await odb.read(oid)).data, oid);
    // A signature was made for another commit.
    const kept = extraHeaders.filter(({ name }) => name === 'encoding');
    const parentless = { ...commit, parents: [], extraHeaders: kept };
    return staging.write('commit', serializeCommit(parentless));
  }
}

/** A bundle that refs are restored from. */
export class BundleSource implements Pick<Remote, 'refs' | 'receive' | 'close'> {
  readonly refs: ReadonlyMap<RefName, Oid>;
  readonly #file: BundleFile;
  readonly #context: TransferContext;

  private constructor(file: BundleFile, context: TransferContext) {
    this.#file = file;
    this.#context = context;
    this.refs = new Map([...file.header.refs].filter(([name]) => name.startsWith('refs/')));
  }

  static async open(path: string, context: TransferContext): Promise<BundleSource> {
    const file = await BundleFile.open(path);
    try {
      await checkFits(context.repository, file.header, path);
      return new BundleSource(file, context);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Takes in all of the bundle's objects, and moves refs. */
  async receive(moves: readonly ReceivedMove[]): Promise<void> {
    await receiveMoves(this.#context, this.#file.pack(), { moves, message: 'restore' });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function checkFits(
  { odb, algorithm }: Repository,
  header: BundleHeader,
  path: string,
): Promise<void> {
  if (header.algorithm !== algorithm) {
    const message = `${path} is a bundle of ${header.algorithm}, and this repository uses ${algorithm}`;
    throw new InvalidBundleError(message, { path });
  }
  for (const oid of header.prerequisites) {
    if (await odb.has(oid)) continue;
    const message = `${path} builds on commit ${oid}, which this repository lacks`;
    throw new InvalidBundleError(message, { path, oid, cause: new ObjectNotFoundError(oid) });
  }
}
