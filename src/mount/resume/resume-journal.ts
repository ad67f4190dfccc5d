import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import type { KernelProtocol } from '../fuse/handshake.ts';
import type { InitFlagName } from '../fuse/opcodes.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { rootIno } from '../vfs/operations.ts';
import type { Fh, Ino } from '../vfs/operations.ts';
import type { NodePlace } from '../vfs/vnode.ts';

/** A directory that the kernel knows by its number, or a file that is open. */
export interface KnownNode extends NodePlace {
  readonly isDirectory: boolean;
}

/** An open file or directory, by the number that the kernel has for it. */
export interface KnownHandle {
  readonly ino: Ino;
  /** Those of open(2); `undefined` for a directory. */
  readonly flags: number | undefined;
  /** What was written through it died with a daemon. */
  readonly isLost: boolean;
}

/**
 * What of a file's content is not known to be on stable storage: `written` since it was last stored,
 * or the id of the content that was stored at a close. Neither: all of it is.
 */
export type Unsynced = 'written' | { readonly oid: string };

/** A line of the journal. */
type JournalRecord =
  | readonly ['life', number]
  | readonly ['agreed', minor: number, features: readonly InitFlagName[], maxWriteBytes: number]
  | readonly ['node', Ino, parent: Ino, name: ByteString, isDirectory: boolean]
  | readonly ['forgotten', Ino]
  | readonly ['open', Fh, Ino, flags: number | null]
  | readonly ['lost', Fh]
  | readonly ['close', Fh]
  | readonly ['unsynced', Ino, Unsynced | null];

/** The journal is written anew when it has so many times more lines than are needed. */
const wasteFactor = 4;
const fewLines = 10_000;
/** How long to wait before a file is written anew again, after there was no room for it. */
const retryMs = 100;

/**
 * What the next daemon has to know of this one when it dies: which directories the kernel knows by
 * number, what is open, and whether what was written is safe. It is a file of lines, appended to
 * before the kernel is told of what they say. The system keeps what was appended when the daemon
 * dies, so nothing is synced; when the system itself goes, so does the mount.
 *
 * A disk that is full must not end what can be done without. What a daemon does not know of a node or
 * a handle it answers with ESTALE and EIO, so those lines may be missing, and come when there is room.
 * Only that content is about to be written has to be there before it is: else the next daemon would
 * take the handle for whole. No line is ever written after one that is missing.
 */
export class ResumeJournal {
  readonly #path: string;
  readonly #nodes = new Map<Ino, KnownNode>();
  readonly #byPlace = new Map<string, Ino>();
  readonly #handles = new Map<Fh, KnownHandle>();
  readonly #openCounts = new Map<Ino, number>();
  readonly #unsynced = new Map<Ino, Unsynced>();
  #life = -1;
  #agreed: KernelProtocol | undefined;
  #fd: number;
  #lines = 0;
  #sizeBytes = 0;
  /** Lines are missing; all is written anew before the next one. */
  #isBehind = false;
  #retryAtMs = 0;

  private constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a', 0o600);
  }

  /** Opens the journal for a daemon that begins: empty for the first, else as the one before has left it. */
  static open(path: string): ResumeJournal {
    const journal = new ResumeJournal(path);
    const text = readFileSync(path, 'latin1');
    // A line without an end was not finished, and the kernel not told of it.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    for (const line of whole.split('\n')) {
      if (line !== '') journal.#apply(JSON.parse(line) as JournalRecord);
    }
    journal.#life += 1;
    journal.#begin(whole.length);
    return journal;
  }

  /** How many daemons were there before. */
  get life(): number {
    return this.#life;
  }

  /** `undefined` before the kernel and the first daemon have agreed. */
  get agreed(): KernelProtocol | undefined {
    return this.#agreed;
  }

  get nodes(): ReadonlyMap<Ino, KnownNode> {
    return this.#nodes;
  }

  get handles(): ReadonlyMap<Fh, KnownHandle> {
    return this.#handles;
  }

  unsynced(ino: Ino): Unsynced | undefined {
    return this.#unsynced.get(ino);
  }

  isOpen(ino: Ino): boolean {
    return this.#openCounts.has(ino);
  }

  nodeAt(parent: Ino, name: ByteString): Ino | undefined {
    return this.#byPlace.get(placeKey(parent, name));
  }

  agree(protocol: KernelProtocol): void {
    this.#append(agreement(protocol));
  }

  /** The kernel is about to be told of a directory, or of a file that is opened; or it has moved. */
  place(ino: Ino, { parent, name }: NodePlace, isDirectory: boolean): void {
    const known = this.#nodes.get(ino);
    if (known?.parent === parent && known.name === name) return;
    this.#append(['node', ino, parent, name, isDirectory]);
  }

  /** The kernel has forgotten a node, or it has no name any more by which it could be found again. */
  forget(ino: Ino): void {
    if (this.#nodes.has(ino)) this.#append(['forgotten', ino]);
  }

  opened(fh: Fh, ino: Ino, flags: number | undefined): void {
    this.#append(['open', fh, ino, flags ?? null]);
  }

  lost(fh: Fh): void {
    this.#append(['lost', fh]);
  }

  closed(fh: Fh): void {
    if (this.#handles.has(fh)) this.#append(['close', fh]);
  }

  /**
   * Content of a file that is open is about to be changed, was stored, or (`undefined`) made durable.
   * @throws the error of the system when it cannot be noted that it is about to be changed
   */
  setUnsynced(ino: Ino, unsynced: Unsynced | undefined): void {
    const isNews = this.#unsynced.get(ino) !== unsynced;
    if (isNews && this.#openCounts.has(ino)) this.#append(['unsynced', ino, unsynced ?? null]);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Where another daemon has left a file of that many bytes. */
  #begin(sizeBytes: number): void {
    ftruncateSync(this.#fd, sizeBytes);
    this.#sizeBytes = sizeBytes;
    // Where there is no room for a second file, the one that is there goes on.
    if (!this.#rewrite()) this.#write(['life', this.#life]);
  }

  #append(record: JournalRecord): void {
    try {
      if (this.#isBehind) this.#catchUp();
      this.#write(record);
    } catch (error) {
      if (isNeeded(record)) throw error;
      this.#isBehind = true;
    }
    this.#apply(record);
    const needed = this.#nodes.size + this.#handles.size + this.#unsynced.size;
    if (this.#lines > fewLines + wasteFactor * needed) this.#rewrite();
  }

  #catchUp(): void {
    if (!this.#rewrite()) throw new ErrnoError('ENOSPC', 'the journal has no room');
  }

  /** Appends a line, as a whole or not at all. */
  #write(record: JournalRecord): void {
    const line = Buffer.from(lineOf(record), 'latin1');
    try {
      for (let done = 0; done < line.length;) done += writeSync(this.#fd, line, done);
    } catch (error) {
      ftruncateSync(this.#fd, this.#sizeBytes);
      throw error;
    }
    this.#sizeBytes += line.length;
    this.#lines += 1;
  }

  #apply(record: JournalRecord): void {
    switch (record[0]) {
      case 'life':
        this.#life = record[1];
        return;
      case 'agreed': {
        const [, minor, features, maxWriteBytes] = record;
        this.#agreed = { minor, features: new Set(features), maxWriteBytes };
        return;
      }
      case 'node': {
        const [, ino, parent, name, isDirectory] = record;
        this.#removeNode(ino);
        this.#nodes.set(ino, { parent, name, isDirectory });
        this.#byPlace.set(placeKey(parent, name), ino);
        return;
      }
      case 'forgotten':
        this.#removeNode(record[1]);
        return;
      case 'open': {
        const [, fh, ino, flags] = record;
        this.#handles.set(fh, { ino, flags: flags ?? undefined, isLost: false });
        this.#openCounts.set(ino, (this.#openCounts.get(ino) ?? 0) + 1);
        return;
      }
      case 'lost': {
        const handle = this.#handles.get(record[1]);
        if (handle !== undefined) this.#handles.set(record[1], { ...handle, isLost: true });
        return;
      }
      case 'close':
        this.#removeHandle(record[1]);
        return;
      case 'unsynced': {
        const [, ino, unsynced] = record;
        if (unsynced === null) this.#unsynced.delete(ino);
        else this.#unsynced.set(ino, unsynced);
        return;
      }
    }
  }

  #removeNode(ino: Ino): void {
    const known = this.#nodes.get(ino);
    if (known === undefined) return;
    this.#nodes.delete(ino);
    const key = placeKey(known.parent, known.name);
    if (this.#byPlace.get(key) === ino) this.#byPlace.delete(key);
  }

  #removeHandle(fh: Fh): void {
    const handle = this.#handles.get(fh);
    if (handle === undefined) return;
    const { ino } = handle;
    this.#handles.delete(fh);
    const left = (this.#openCounts.get(ino) ?? 1) - 1;
    if (left > 0) {
      this.#openCounts.set(ino, left);
      return;
    }
    this.#openCounts.delete(ino);
    this.#unsynced.delete(ino);
    // A file is known for its handles' sake; a directory may be somebody's working directory.
    if (this.#nodes.get(ino)?.isDirectory === false) this.#removeNode(ino);
  }

  /** Puts a journal of what is needed in the place of this one, in one step. False when there is no room. */
  #rewrite(): boolean {
    if (performance.now() < this.#retryAtMs) return false;
    const lines = [...this.#needed()].map(lineOf);
    const text = lines.join('');
    const next = `${this.#path}.next`;
    let fd: number | undefined;
    try {
      writeFileSync(next, text, { encoding: 'latin1', mode: 0o600 });
      fd = openSync(next, 'a');
      renameSync(next, this.#path);
    } catch {
      // Whatever it is, the file that is there still counts, and says what it said.
      if (fd !== undefined) closeSync(fd);
      rmSync(next, { force: true });
      this.#retryAtMs = performance.now() + retryMs;
      return false;
    }
    closeSync(this.#fd);
    this.#fd = fd;
    this.#lines = lines.length;
    this.#sizeBytes = text.length;
    this.#isBehind = false;
    return true;
  }

  *#needed(): Generator<JournalRecord, void, undefined> {
    yield ['life', this.#life];
    if (this.#agreed !== undefined) yield agreement(this.#agreed);
    for (const [ino, { parent, name, isDirectory }] of this.#nodes) {
      yield ['node', ino, parent, name, isDirectory];
    }
    for (const [fh, { ino, flags, isLost }] of this.#handles) {
      yield ['open', fh, ino, flags ?? null];
      if (isLost) yield ['lost', fh];
    }
    for (const [ino, unsynced] of this.#unsynced) yield ['unsynced', ino, unsynced];
  }
}

/** Whether what it says must not happen before it is written. */
function isNeeded(record: JournalRecord): boolean {
  return record[0] === 'agreed' || (record[0] === 'unsynced' && record[2] === 'written');
}

function agreement({ minor, features, maxWriteBytes }: KernelProtocol): JournalRecord {
  return ['agreed', minor, [...features], maxWriteBytes];
}

function lineOf(record: JournalRecord): string {
  return `${JSON.stringify(record)}\n`;
}

function placeKey(parent: Ino, name: ByteString): string {
  return `${parent}/${name}`;
}

/** The numbers that one daemon gives begin behind all that those before it can have given. */
export function firstNumber(life: number): number {
  return life * 2 ** 40 + rootIno + 1;
}
