import type { ByteString } from '../../git/byte-string.ts';
import type { Ino, KernelNotifier } from '../vfs/operations.ts';
import type { Log } from '../observe/log.ts';
import { notices } from './opcodes.ts';
import { replyHeaderSizeBytes } from './reply.ts';
import { wordsOf, writeU64 } from './wire.ts';

/** One thing that the kernel is to be told. */
export type Notice =
  /** The attributes and all content of an inode, or the attributes alone. */
  | { readonly kind: 'inode' | 'attributes'; readonly ino: Ino }
  /** The attributes of an inode, and the pages of its content that hold some of these bytes. */
  | {
      readonly kind: 'content';
      readonly ino: Ino;
      readonly offset: number;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'entry'; readonly parent: Ino; readonly name: ByteString }
  | { readonly kind: 'epoch' }
  /** What was read and never answered is to come again. */
  | { readonly kind: 'resend' };

/** The first version that knows `notices.nextEpoch`. */
export const epochMinor = 44;
/** With more names waiting than this, the kernel is told to ask again for all of them instead. */
const entryLimit = 16_384;
/** What the kernel answers when it keeps nothing of what the notice is about, or is gone. */
const uninteresting: ReadonlySet<unknown> = new Set([
  'ENOENT',
  'ENODEV',
  'ENOTCONN',
  'CHANNEL_CLOSED',
]);

/**
 * Tells the kernel what is no longer so, one notice at a time and in order, off the event loop's
 * thread. What waits is kept once: a notice says "as of now", so one that is still to be sent
 * covers what is said again. The queue is therefore no longer than what the kernel can hold.
 *
 * The kernel takes a notice only when it gets hold of the directory or of the pages that it is
 * about, and a process may hold these while it waits for an answer of ours. Nobody may wait for a
 * notice before answering, then (but for `dropContent`); `drained` is for the end of a session and for tests. What this
 * races with is written down in native-notes/fuse-protocol.md.
 */
export class NoticeQueue implements KernelNotifier {
  readonly #write: (message: Buffer) => Promise<void>;
  readonly #log: Log;
  readonly #waiting = new Map<string | number, Notice>();
  #entryCount = 0;
  #minor = 0;
  #sending: Promise<void> | undefined;
  #dropping: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(write: (message: Buffer) => Promise<void>, log: Log) {
    this.#write = write;
    this.#log = log;
  }

  /** How many notices wait. */
  get length(): number {
    return this.#waiting.size;
  }

  /** From now on notices are sent; before the handshake the kernel keeps nothing. */
  open(minor: number): void {
    this.#minor = minor;
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
  }

  invalidateInode(ino: Ino): void {
    this.#add(ino, { kind: 'inode', ino });
  }

  invalidateEntry(parent: Ino, name: ByteString): void {
    const key = `${parent}/${name}`;
    if (this.#waiting.has(key)) return;
    if (!this.#waiting.has('epoch')) {
      if (this.#entryCount < entryLimit || this.#minor < epochMinor) {
        this.#add(key, { kind: 'entry', parent, name });
        return;
      }
      this.#startEpoch();
    }
    // An epoch says nothing about the listings that the kernel keeps.
    this.invalidateInode(parent);
  }

  /**
   * Takes what is in the kernel's cache of these bytes out of it, past the notices that wait; resolves when that
   * is done. It waits for pages, not for a lock: whoever reads them into the cache has to get his answer meanwhile.
   */
  dropContent(ino: Ino, offset: number, sizeBytes: number): Promise<void> {
    if (this.#isClosed || this.#minor === 0 || sizeBytes === 0) return Promise.resolve();
    // One at a time, or they would keep all threads of the pool from those who read.
    this.#dropping = this.#dropping.then(() =>
      this.#send({ kind: 'content', ino, offset, sizeBytes }),
    );
    return this.#dropping;
  }

  /** When all that waits now has been sent. */
  async drained(): Promise<void> {
    await this.#sending;
  }

  /** Puts one notice about all names in the place of those that wait, and their directories'. */
  #startEpoch(): void {
    for (const [key, notice] of this.#waiting) {
      if (notice.kind !== 'entry') continue;
      this.#waiting.delete(key);
      this.invalidateInode(notice.parent);
    }
    this.#entryCount = 0;
    this.#add('epoch', { kind: 'epoch' });
  }

  #add(key: string | number, notice: Notice): void {
    if (this.#isClosed || this.#minor === 0 || this.#waiting.has(key)) return;
    this.#waiting.set(key, notice);
    if (notice.kind === 'entry') this.#entryCount += 1;
    this.#sending ??= this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    // Not at once: what the caller says next may be the same again.
    await Promise.resolve();
    for (const [key, notice] of this.#waiting) {
      this.#waiting.delete(key);
      if (notice.kind === 'entry') this.#entryCount -= 1;
      await this.#send(notice);
    }
    this.#sending = undefined;
  }

  async #send(notice: Notice): Promise<void> {
    try {
      await this.#write(encodeNotice(notice));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (!uninteresting.has(code)) {
        this.#log.error('notice-failed', { kind: notice.kind, message });
      } else if (code === 'ENOENT' && notice.kind === 'entry') {
        // A name that the kernel keeps takes the listing of its directory along; one that it has
        // never heard of does not, and may well be missing in a listing that it keeps.
        this.invalidateInode(notice.parent);
      }
    }
  }
}

/** A message with `unique` 0 and the kind of notice where an answer has its error. */
export function encodeNotice(notice: Notice): Buffer {
  switch (notice.kind) {
    // The content from offset 0 to the end (length 0); a negative offset spares it.
    case 'inode':
      return inodeNotice(notice.ino, 0, 0);
    case 'attributes':
      return inodeNotice(notice.ino, -1, 0);
    case 'content':
      return inodeNotice(notice.ino, notice.offset, notice.sizeBytes);
    case 'entry': {
      const { parent, name } = notice;
      const message = emptyNotice(notices.invalidateEntry, 16 + name.length + 1);
      writeU64(wordsOf(message), parent, replyHeaderSizeBytes);
      message.writeUInt32LE(name.length, replyHeaderSizeBytes + 8);
      message.write(name, replyHeaderSizeBytes + 16, 'latin1');
      return message;
    }
    case 'epoch':
      return emptyNotice(notices.nextEpoch, 0);
    case 'resend':
      return emptyNotice(notices.resend, 0);
  }
}

/** What stands in front of the content that the kernel is to keep of an inode, from its start on. */
export function encodeStoreHeader(ino: Ino, sizeBytes: number): Buffer {
  const message = emptyNotice(notices.store, 24);
  message.writeUInt32LE(message.length + sizeBytes, 0);
  writeU64(wordsOf(message), ino, replyHeaderSizeBytes);
  message.writeUInt32LE(sizeBytes, replyHeaderSizeBytes + 16);
  return message;
}

/** `struct fuse_notify_inval_inode_out` */
function inodeNotice(ino: Ino, offset: number, sizeBytes: number): Buffer {
  const message = emptyNotice(notices.invalidateInode, 24);
  const words = wordsOf(message);
  writeU64(words, ino, replyHeaderSizeBytes);
  writeU64(words, offset, replyHeaderSizeBytes + 8);
  writeU64(words, sizeBytes, replyHeaderSizeBytes + 16);
  return message;
}

function emptyNotice(kind: number, bodySizeBytes: number): Buffer {
  const message = Buffer.alloc(replyHeaderSizeBytes + bodySizeBytes);
  message.writeUInt32LE(message.length, 0);
  message.writeInt32LE(kind, 4);
  return message;
}
