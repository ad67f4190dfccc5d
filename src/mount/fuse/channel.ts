import { close, read, write, writeSync, writevSync } from 'node:fs';
import { GitStoreError } from '../../errors.ts';
import { BusyPoll } from './busy-poll.ts';
import { transferLimitBytes } from './handshake.ts';
import { pollableHandle } from './pollable-handle.ts';
import type { PollableHandle } from './pollable-handle.ts';

/** Called with the size of each request, which stands in the channel's buffer until this returns. Must not throw. */
export type RequestListener = (sizeBytes: number) => void;
/** Called once when no more requests will come. `code` is the system's name for why: ENODEV after an unmount. */
export type EndListener = (code: string) => void;

/** The way to the kernel: requests come out of it one by one, answers and notices go in. */
export interface FuseChannel {
  /** Where a request stands. */
  readonly requestBuffer: Buffer;
  /** How requests are read, for the log. */
  readonly reading: RequestReading;
  /** Begins to read. Only after the mount: before it, reading is refused. */
  start(onRequest: RequestListener, onEnd: EndListener): void;
  /**
   * Writes one answer, at once; the kernel takes all of it or nothing.
   * @throws the system's error: ENOENT when nobody waits for this answer any more
   */
  write(message: Uint8Array, payload?: Uint8Array): void;
  /** Writes one message without ever stopping the event loop: a notice can wait for locks in the kernel. */
  writeInBackground(message: Uint8Array): Promise<void>;
  /** Ends the connection. Processes that still wait for an answer get ECONNABORTED from the kernel. */
  close(): Promise<void>;
}

/**
 * `event-loop`: the descriptor is watched like a socket. `thread-pool`: one read at a time waits in a
 * thread; slower, and the process cannot exit while it waits. See native-notes/fuse-protocol.md.
 */
export type RequestReading = 'event-loop' | 'thread-pool';

/** The channel was used after its descriptor was closed (`CHANNEL_CLOSED`). */
export class ChannelClosedError extends GitStoreError {
  constructor() {
    super('CHANNEL_CLOSED', 'the connection to the kernel is closed');
  }
}

/** How requests are read from the device. */
export interface ChannelOptions {
  /** Default is the event loop, where this version of Node lets us. */
  readonly reading?: RequestReading;
  /** See `BusyPoll`; default 100, 0 never. */
  readonly busyPollUs?: number;
}

/** A channel over an open /dev/fuse, which it closes in the end. */
export function openChannel(fd: number, options: ChannelOptions = {}): FuseChannel {
  const poll = new BusyPoll({ windowUs: options.busyPollUs ?? 100 });
  if (options.reading !== 'thread-pool') {
    const handle = pollableHandle(fd);
    if (handle !== undefined) return new EventLoopChannel(fd, poll, handle);
    if (options.reading === 'event-loop') {
      throw new Error('this version of Node cannot watch a device on its event loop');
    }
  }
  return new ThreadPoolChannel(fd, poll);
}

/** Room for the largest WRITE with its headers; a smaller buffer is refused by the kernel. */
const requestBufferSizeBytes = transferLimitBytes + 4096;

/**
 * What both ways of reading share. A closed descriptor's number is soon another file's, so nothing
 * may be written once it is closed: it is closed only when no notice is on its way to a thread or
 * waits in the kernel. Requests are read and can be answered until then, since such a notice may
 * wait for a lock that a process holds until it has its answer.
 */
abstract class DeviceChannel implements FuseChannel {
  readonly requestBuffer: Buffer = Buffer.alloc(requestBufferSizeBytes);
  abstract readonly reading: RequestReading;
  protected readonly fd: number;
  readonly #backgroundWrites = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;
  #isClosed = false;

  constructor(fd: number) {
    this.fd = fd;
  }

  abstract start(onRequest: RequestListener, onEnd: EndListener): void;
  protected abstract closeDescriptor(): Promise<void>;

  protected get isClosed(): boolean {
    return this.#isClosed;
  }

  write(message: Uint8Array, payload?: Uint8Array): void {
    if (this.#isClosed) throw new ChannelClosedError();
    if (payload === undefined) writeSync(this.fd, message);
    else writevSync(this.fd, [message, payload]);
  }

  writeInBackground(message: Uint8Array): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(new ChannelClosedError());
    const written = new Promise<void>((resolve, reject) => {
      write(this.fd, message, (error) => {
        this.#backgroundWrites.delete(written);
        if (error === null) resolve();
        else reject(error);
      });
    });
    this.#backgroundWrites.add(written);
    return written;
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#backgroundWrites).then(() => {
      this.#isClosed = true;
      return this.closeDescriptor();
    });
    return this.#closing;
  }
}

class EventLoopChannel extends DeviceChannel {
  readonly reading = 'event-loop';
  readonly #poll: BusyPoll;
  readonly #handle: PollableHandle;

  constructor(fd: number, poll: BusyPoll, handle: PollableHandle) {
    super(fd);
    this.#poll = poll;
    this.#handle = handle;
  }

  start(onRequest: RequestListener, onEnd: EndListener): void {
    this.#handle.read(
      this.requestBuffer,
      (sizeBytes) => {
        onRequest(sizeBytes);
        this.#poll.requestCame();
      },
      onEnd,
    );
  }

  protected closeDescriptor(): Promise<void> {
    return this.#handle.close();
  }
}

/** Errors of a read that are no end: a request was taken back, or a signal came. */
const passingErrors: ReadonlySet<string | undefined> = new Set(['ENOENT', 'EINTR', 'EAGAIN']);

class ThreadPoolChannel extends DeviceChannel {
  readonly reading = 'thread-pool';
  readonly #poll: BusyPoll;

  constructor(fd: number, poll: BusyPoll) {
    super(fd);
    this.#poll = poll;
  }

  start(onRequest: RequestListener, onEnd: EndListener): void {
    const { requestBuffer } = this;
    const next = (): void =>
      read(this.fd, requestBuffer, 0, requestBuffer.length, null, (error, sizeBytes) => {
        if (error === null) {
          onRequest(sizeBytes);
          this.#poll.requestCame();
        } else if (!passingErrors.has(error.code)) {
          onEnd(error.code ?? error.message);
          return;
        }
        if (this.isClosed) onEnd('CLOSED');
        else next();
      });
    next();
  }

  protected closeDescriptor(): Promise<void> {
    return new Promise((resolve, reject) => {
      close(this.fd, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}
