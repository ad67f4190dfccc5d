import { InvalidArgumentError, ObjectNotFoundError, TransferError } from '../errors.ts';
import { byteStringFromBuffer } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { parseCommit } from '../git/object.ts';
import { packStream } from '../git/odb/pack-stream.ts';
import { isOid, zeroOid } from '../git/oid.ts';
import type { Oid } from '../git/oid.ts';
import { checkConnected } from '../git/reachable.ts';
import { isRefName } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';
import { HttpSession } from './http-session.ts';
import type { HttpOptions, HttpService } from './http-session.ts';
import type { RefMove } from './mirror-diff.ts';
import type { TransferContext } from './mirror-options.ts';
import { inSteps, objectsToSend, reporting, tipsOf } from './outgoing.ts';
import { PacketReader, demultiplex, flushPacket, packet, refusal } from './pkt-line.ts';
import { receiveMoves } from './receive-moves.ts';
import { allRefs } from './ref-selection.ts';
import { moveRefs } from './ref-updates.ts';
import type { ReceivedMove, Remote } from './remote.ts';

const mostHaves = 256;

/**
 * A repository on a server that speaks git's smart HTTP protocol (gitprotocol-http), version 0, used
 * without git: packs come out of and go into our own object database.
 */
export class HttpRemote implements Remote {
  readonly refs: ReadonlyMap<RefName, Oid>;
  /** Of symbolic refs, version 0 of the protocol tells only `HEAD`. */
  readonly ends: ReadonlyMap<RefName, RefName> = new Map();
  readonly #session: HttpSession;
  readonly #capabilities: ReadonlySet<string>;
  readonly #context: TransferContext;

  private constructor(session: HttpSession, advertised: Advertisement, context: TransferContext) {
    this.#session = session;
    this.refs = advertised.refs;
    this.#capabilities = advertised.capabilities;
    this.#context = context;
  }

  static async open(
    url: string,
    service: HttpService,
    context: TransferContext & HttpOptions,
  ): Promise<HttpRemote> {
    const session = new HttpSession(url, context);
    const advertised = await session.discover(service, (answer) =>
      readAdvertisement(new PacketReader(answer)),
    );
    checkAlgorithm(advertised, context.repository, session.url);
    return new HttpRemote(session, advertised, context);
  }

  withoutHidden(moves: readonly RefMove[]): Promise<readonly RefMove[]> {
    // What is listed for a push has none.
    return Promise.resolve(moves);
  }

  async send(moves: readonly RefMove[]): Promise<void> {
    this.#requireCapability('report-status');
    if (moves.some(({ to }) => to === null)) this.#requireCapability('delete-refs');
    for (const step of inSteps(moves)) await this.#sendAtOnce(step);
  }

  async #sendAtOnce(moves: readonly RefMove[]): Promise<void> {
    await this.#session.connect('git-receive-pack', this.#pushRequest(moves), async (answer) => {
      const reader = new PacketReader(answer);
      const isBanded = this.#capabilities.has('side-band-64k');
      await checkReport(isBanded ? new PacketReader(demultiplex(reader)) : reader);
    });
  }

  async *#pushRequest(moves: readonly RefMove[]): AsyncGenerator<Buffer, void, undefined> {
    const { repository, signal } = this.#context;
    const nothing = zeroOid(repository.algorithm);
    const capabilities = this.#offered(['report-status', 'side-band-64k', 'atomic']);
    for (const [index, { name, from, to }] of moves.entries()) {
      const command = `${from ?? nothing} ${to ?? nothing} ${name}`;
      yield packet(index === 0 ? `${command}\0${capabilities}` : command);
    }
    yield flushPacket;
    const tips = tipsOf(moves);
    if (tips.length === 0) return;
    const objects = await objectsToSend(repository, tips, this.refs.values(), this.#context);
    const onObject = reporting(this.#context, 'Writing objects', objects.length);
    const deltas = this.#capabilities.has('ofs-delta');
    yield* packStream(repository.odb, objects, { deltas, signal, onObject });
  }

  async receive(moves: readonly ReceivedMove[]): Promise<void> {
    const { repository, identity, signal } = this.#context;
    const present = [...(await allRefs(repository)).values()];
    if (await isComplete(repository, tipsOf(moves), present, signal)) {
      await moveRefs(repository, moves, { identity, message: 'restore' });
      return;
    }
    this.#requireCapability('side-band-64k');
    const haves = await someHistory(repository, present);
    const request = this.#fetchRequest([...new Set(tipsOf(moves))], haves);
    await this.#session.connect('git-upload-pack', request, async (answer) => {
      const reader = new PacketReader(answer);
      const pack = demultiplex(reader, await skipAcknowledgements(reader));
      await receiveMoves(this.#context, pack, { moves, message: 'restore' });
    });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- a body is asynchronous
  async *#fetchRequest(
    wants: readonly Oid[],
    haves: readonly Oid[],
  ): AsyncGenerator<Buffer, void, undefined> {
    const capabilities = this.#offered(['side-band-64k', 'ofs-delta', 'thin-pack', 'no-progress']);
    const lines = wants.map((oid, index) => {
      return packet(index === 0 ? `want ${oid} ${capabilities}\n` : `want ${oid}\n`);
    });
    lines.push(flushPacket, ...haves.map((oid) => packet(`have ${oid}\n`)), packet('done\n'));
    yield Buffer.concat(lines);
  }

  async close(): Promise<void> {
    // Nothing stays open between requests.
  }

  #offered(wanted: readonly string[]): string {
    const { algorithm } = this.#context.repository;
    const used = wanted.filter((name) => this.#capabilities.has(name));
    const format = `object-format=${algorithm}`;
    if (this.#capabilities.has(format)) used.push(format);
    return [...used, 'agent=vost'].join(' ');
  }

  #requireCapability(name: string): void {
    if (this.#capabilities.has(name)) return;
    throw new TransferError(`${this.#session.url} cannot do what is needed (${name})`);
  }
}

interface Advertisement {
  readonly refs: ReadonlyMap<RefName, Oid>;
  readonly capabilities: ReadonlySet<string>;
}

async function readAdvertisement(reader: PacketReader): Promise<Advertisement> {
  const refs = new Map<RefName, Oid>();
  let capabilities = new Set<string>();
  const start = await reader.next();
  // The name of the service and a flush come first, by gitprotocol-http.
  let next = start?.toString('latin1').startsWith('# service=') === true ? undefined : start;
  if (next === undefined) {
    await reader.next();
    next = await reader.next();
  }
  for (; next !== null; next = await reader.next()) {
    const line = byteStringFromBuffer(next).replace(/\n$/, '');
    if (line.startsWith('ERR ')) throw refusal(line.slice(4));
    const [ref = '', offered] = line.split('\0');
    if (offered !== undefined) capabilities = new Set(offered.trim().split(' '));
    const [oid = '', ...rest] = ref.split(' ');
    const name = rest.join(' ') as ByteString;
    if (isOid(oid) && name.startsWith('refs/') && isRefName(name)) refs.set(name, oid);
  }
  return { refs, capabilities };
}

function checkAlgorithm(
  { capabilities }: Advertisement,
  { algorithm }: Repository,
  url: string,
): void {
  const theirs = capabilities.has('object-format=sha256') ? 'sha256' : 'sha1';
  if (theirs === algorithm) return;
  throw new InvalidArgumentError(`${url} uses ${theirs}, and this repository ${algorithm}`);
}

async function checkReport(report: PacketReader): Promise<void> {
  const refused: string[] = [];
  let isUnpacked = false;
  for (let next = await report.next(); next !== null; next = await report.next()) {
    const line = next.toString('utf8').replace(/\n$/, '');
    if (line === 'unpack ok') isUnpacked = true;
    else if (line.startsWith('unpack ')) throw refusal(line);
    else if (line.startsWith('ng ')) refused.push(line.slice(3));
  }
  if (refused.length > 0) throw refusal(refused.join('; '));
  if (!isUnpacked) throw new TransferError('the other side does not say what became of the refs');
}

async function skipAcknowledgements(reader: PacketReader): Promise<Buffer | null> {
  for (;;) {
    const next = await reader.next();
    const text = next?.toString('latin1', 0, 4) ?? '';
    if (text.startsWith('ERR')) throw refusal(next?.toString('utf8', 4) ?? '');
    if (!text.startsWith('ACK') && !text.startsWith('NAK')) return next;
  }
}

/** Tells whether nothing has to be fetched for these. */
async function isComplete(
  { odb }: Repository,
  tips: readonly Oid[],
  present: readonly Oid[],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  for (const oid of tips) if (!(await odb.has(oid))) return false;
  try {
    await checkConnected(odb, tips, present, signal);
    return true;
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return false;
    throw error;
  }
}

/** Commits to tell the other side of, so that it sends only what is new: the refs, then what is before them. */
async function someHistory({ odb }: Repository, tips: readonly Oid[]): Promise<Oid[]> {
  const haves = new Set(tips);
  for (const oid of haves) {
    if (haves.size >= mostHaves) break;
    const { type } = await odb.header(oid);
    if (type !== 'commit') continue;
    const { parents } = parseCommit((await odb.read(oid)).data, oid);
    for (const parent of parents) haves.add(parent);
  }
  return [...haves].slice(0, mostHaves);
}
