import { ErrnoError } from '../vfs/errno.ts';
import type { VfsOperations } from '../vfs/operations.ts';
import type { Log } from '../observe/log.ts';
import { BackedInodes } from './backed-inodes.ts';
import type { BackingDevice } from './backing-device.ts';
import type { FuseChannel } from './channel.ts';
import { ForgetQueue } from './forget-queue.ts';
import { defaultFeatures, negotiate } from './handshake.ts';
import type { KernelProtocol } from './handshake.ts';
import { directWritesMinor } from './direct-writes.ts';
import { NoticeQueue, encodeNotice, encodeStoreHeader } from './notify.ts';
import type { Notice } from './notify.ts';
import { opcodeName, opcodes } from './opcodes.ts';
import type { InitFlagName } from './opcodes.ts';
import { operationOf } from './operation-table.ts';
import type { KernelCache, Operation } from './operation-table.ts';
import { Reply, replyHeaderSizeBytes } from './reply.ts';
import { MalformedRequestError, RequestReader } from './request-reader.ts';
import { printableName } from './request-trace.ts';
import { callAgain } from './resent-requests.ts';
import type { RequestTrace } from './request-trace.ts';

/** How a session behaves, and who is told of what it does. */
export interface SessionOptions {
  readonly log: Log;
  /** What to ask of the kernel; default is `defaultFeatures`. */
  readonly features?: readonly InitFlagName[];
  /** Told of each request with an answer. Costs nothing when absent. Must not throw. */
  readonly trace?: (request: RequestTrace) => void;
  /**
   * Loads what hands files to the kernel, which has to be asked for as a feature too: `passthrough`.
   * Called when it is needed first, if the kernel has agreed.
   */
  readonly backingDevice?: () => Promise<BackingDevice>;
  /** Nobody else may open anything, or ask for a name: for a mount whose modes nobody checks. */
  readonly onlyUid?: number;
  /** What another daemon has agreed on with the kernel, for one that goes on where that died. */
  readonly agreed?: KernelProtocol;
  /** Told to the kernel before any request is served, so none that waits for a lock or a page. */
  readonly firstNotices?: Iterable<Notice>;
  /**
   * Told how long each request took, and the bytes of content that it moved. Costs nothing when
   * absent. Must not throw.
   */
  readonly measure?: (
    operation: string,
    durationMs: number,
    errno: number,
    contentBytes: number,
  ) => void;
}

/** `struct fuse_write_in`, which stands before the content. */
const writeInSizeBytes = 40;

/** Why a session ended: `ENODEV` after an unmount, or the name of another error of the device. */
export interface SessionEnd {
  readonly code: string;
}

/** Errors of a write that say that nobody waits for the answer any more: interrupted, or unmounted. */
const uninteresting: ReadonlySet<unknown> = new Set(['ENOENT', 'ENODEV', 'CHANNEL_CLOSED']);

/** What was opened may be used by whoever has got it, and attributes are no secret. */
const openToAll: ReadonlySet<string> = new Set([
  ...['read', 'write', 'lseek', 'fallocate', 'copy_file_range', 'flush', 'fsync', 'release'],
  ...['fsyncdir', 'releasedir', 'getattr', 'statfs'],
]);

/** A request on its way; what is needed to answer it when the next one stands in the buffer. */
interface Pending {
  readonly unique: number;
  readonly isResent: boolean;
  readonly bodySizeBytes: number;
  readonly operation: string;
  readonly startedMs: number;
  readonly ino: number;
  readonly name: string | undefined;
}

/**
 * The kernel's requests, answered by a filesystem: decodes each, calls the method, encodes what it
 * gives. A result that is there at once is answered in the same turn. Whatever goes wrong in one
 * request is the errno of that one; nothing that the kernel sends or the filesystem throws ends the
 * session, only the unmount does.
 *
 * INTERRUPT is left alone: the request goes on and is answered, as with a disk. (It comes for any
 * signal, and a program that catches one does not expect EINTR from a file. A killed process that
 * reads cached pages ends at once all the same; the kernel does that by itself.)
 */
export class FuseSession {
  /** The agreement with the kernel; rejects when there can be none. */
  readonly ready: Promise<KernelProtocol>;
  /** When the kernel is gone and the filesystem has been told. Never rejects. */
  readonly done: Promise<SessionEnd>;
  readonly notifier: NoticeQueue;
  readonly #channel: FuseChannel;
  readonly #vfs: VfsOperations;
  readonly #options: SessionOptions;
  readonly #log: Log;
  readonly #isObserved: boolean;
  readonly #request: RequestReader;
  readonly #reply = new Reply();
  readonly #forgets: ForgetQueue;
  readonly #pending = new Map<number, Pending>();
  /**
   * A notice about attributes alone takes no lock and waits for no page, unlike any other, so it
   * can be written before the answer that it belongs to.
   */
  readonly #kernelCache: KernelCache = {
    dropAttributes: (ino) => this.#write('notice', encodeNotice({ kind: 'attributes', ino })),
    storeContent: (ino, content) =>
      this.#write('notice', encodeStoreHeader(ino, content.length), content),
    openBacked: (ino, backing) => this.#backed?.opened(ino, backing),
    released: (ino) => this.#backed?.released(ino),
    takesDirectWrites: () => this.#takesDirectWrites,
    dropContent: (ino, offset, sizeBytes) => this.notifier.dropContent(ino, offset, sizeBytes),
  };
  #takesDirectWrites = false;
  #backed: BackedInodes | undefined;
  #resolveReady: (protocol: KernelProtocol) => void = unset;
  #rejectReady: (error: Error) => void = unset;
  #resolveDone: (end: SessionEnd) => void = unset;
  #state: 'handshake' | 'open' | 'ended' = 'handshake';

  constructor(channel: FuseChannel, vfs: VfsOperations, options: SessionOptions) {
    this.#channel = channel;
    this.#vfs = vfs;
    this.#options = options;
    this.#log = options.log;
    this.#isObserved = options.trace !== undefined || options.measure !== undefined;
    this.#request = new RequestReader(channel.requestBuffer);
    this.notifier = new NoticeQueue((message) => channel.writeInBackground(message), this.#log);
    this.#forgets = new ForgetQueue((ino, lookups) => {
      this.#guarded('forget', () => this.#vfs.forget(ino, lookups));
    });
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // Whoever does not look at it learns of it by `done`.
    this.ready.catch(() => undefined);
    this.done = new Promise((resolve) => (this.#resolveDone = resolve));
  }

  /** How many requests wait for the filesystem. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Begins to serve. Only after the mount. */
  start(): void {
    const { agreed, firstNotices = [] } = this.#options;
    if (agreed !== undefined) this.#open(agreed);
    this.#channel.start(
      (sizeBytes) => this.#receive(sizeBytes),
      (code) => void this.#end(code),
    );
    for (const notice of firstNotices) this.#write('notice', encodeNotice(notice));
  }

  /**
   * Lets go of the device, mounted or not: what waits for the filesystem is answered with ENOTCONN
   * (a notice that waits for a lock held by such a request can go on then), and the kernel ends the
   * rest. Harmless after the end.
   */
  async close(): Promise<void> {
    for (const pending of this.#pending.values()) this.#fail(pending, new ErrnoError('ENOTCONN'));
    await this.#end('CLOSED');
    await this.done;
  }

  async #end(code: string): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#pending.clear();
    this.notifier.close();
    this.#rejectReady(new Error(`the kernel went away before it was ready: ${code}`));
    try {
      await this.#channel.close();
    } catch (error) {
      this.#log.error('close-failed', { reason: String(error) });
    }
    try {
      await this.#vfs.destroy();
    } catch (error) {
      this.#vfs.errnoOf(error, 'destroy');
    }
    this.#resolveDone({ code });
  }

  #receive(sizeBytes: number): void {
    const request = this.#request;
    try {
      request.begin(sizeBytes);
      this.#dispatch();
    } catch (error) {
      this.#refuse(error);
    }
  }

  #dispatch(): void {
    const request = this.#request;
    switch (request.opcode) {
      case opcodes.forget:
        this.#guarded('forget', () => this.#vfs.forget(request.ino, request.byteCount(0)));
        return;
      case opcodes.batchforget:
        this.#forgets.add(request);
        return;
      case opcodes.interrupt:
        return;
      case opcodes.init:
        this.#handshake();
        return;
      case opcodes.destroy:
        this.#reply.reset();
        this.#send(this.#pendingRequest('destroy'), 0);
        return;
    }
    const operation = operationOf(request.opcode);
    if (operation === undefined) throw new ErrnoError('ENOSYS');
    if (this.#state !== 'open') throw new ErrnoError('ENOTCONN');
    const { onlyUid } = this.#options;
    if (onlyUid !== undefined && request.uid !== onlyUid && !openToAll.has(operation.name)) {
      throw new ErrnoError('EACCES');
    }
    this.#perform(operation);
  }

  #perform(operation: Operation<unknown>): void {
    const pending = this.#pendingRequest(operation.name, operation.nameOffset);
    let result;
    try {
      result = this.#request.isResent
        ? callAgain(operation, this.#vfs, this.#request.copy(), this.#kernelCache)
        : operation.call(this.#vfs, this.#request, this.#kernelCache);
    } catch (error) {
      if (error instanceof MalformedRequestError) throw error;
      this.#fail(pending, error);
      return;
    }
    if (!(result instanceof Promise)) {
      this.#answer(pending, operation, result);
      return;
    }
    this.#pending.set(pending.unique, pending);
    result.then(
      (value) => {
        if (this.#isStillPending(pending)) this.#answer(pending, operation, value);
      },
      (error: unknown) => {
        if (this.#isStillPending(pending)) this.#fail(pending, error);
      },
    );
  }

  #handshake(): void {
    const pending = this.#pendingRequest('init');
    if (this.#state !== 'handshake') {
      throw new MalformedRequestError('the kernel has introduced itself already');
    }
    let protocol: KernelProtocol | undefined;
    try {
      this.#reply.reset();
      protocol = negotiate(this.#request, this.#reply, this.#options.features ?? defaultFeatures);
    } catch (error) {
      this.#rejectReady(error as Error);
      this.#fail(
        pending,
        new ErrnoError('EPROTO', 'no agreement with the kernel', { cause: error }),
      );
      return;
    }
    this.#send(pending, 0);
    if (protocol !== undefined) this.#open(protocol);
  }

  #open(protocol: KernelProtocol): void {
    this.#state = 'open';
    const { backingDevice } = this.#options;
    if (backingDevice !== undefined && protocol.features.has('passthrough')) {
      this.#backed = new BackedInodes(backingDevice, this.#log);
    }
    this.#takesDirectWrites = protocol.minor >= directWritesMinor;
    this.notifier.open(protocol.minor);
    this.#resolveReady(protocol);
  }

  /** Answers with a result, or with an error when it cannot be encoded. */
  #answer<T>(pending: Pending, operation: Operation<T>, result: T): void {
    this.#reply.reset();
    try {
      operation.encode(this.#reply, result);
    } catch (error) {
      this.#fail(pending, error);
      return;
    }
    this.#send(pending, 0);
    operation.answered?.(result);
  }

  #fail(pending: Pending, error: unknown): void {
    this.#reply.reset();
    this.#send(pending, this.#vfs.errnoOf(error, pending.operation));
  }

  #send(pending: Pending, errno: number): void {
    const reply = this.#reply;
    reply.finish(pending.unique, errno, pending.isResent);
    this.#write(pending.operation, reply.message, reply.payload);
    if (this.#isObserved) this.#observe(pending, errno, reply.totalSizeBytes);
    reply.reset();
  }

  #write(operation: string, message: Uint8Array, payload?: Uint8Array): void {
    try {
      this.#channel.write(message, payload);
    } catch (error) {
      // Answers are lost only when the connection is over: an interrupted request still waits for
      // its own. So there is no lookup to take back here, `destroy` voids them all.
      const { code, message: reason } = error as NodeJS.ErrnoException;
      if (!uninteresting.has(code)) this.#log.error('reply-failed', { operation, reason });
    }
  }

  /** Answers a request that is not served, if it is one that waits for an answer. */
  #refuse(error: unknown): void {
    const { opcode, unique } = this.#request;
    const operation = opcodeName(opcode);
    if (error instanceof MalformedRequestError) {
      this.#log.warn('request-refused', { operation, reason: error.message });
    }
    if (unique === 0 || opcode === opcodes.forget || opcode === opcodes.batchforget) return;
    this.#fail(this.#pendingRequest(operation), error);
  }

  #guarded(operation: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#vfs.errnoOf(error, operation);
    }
  }

  #isStillPending(pending: Pending): boolean {
    return this.#pending.delete(pending.unique);
  }

  #pendingRequest(operation: string, nameOffset?: number): Pending {
    const { unique, isResent, bodySizeBytes, ino } = this.#request;
    const startedMs = this.#isObserved ? performance.now() : 0;
    const name = nameOffset === undefined ? undefined : this.#printableName(nameOffset);
    return { unique, isResent, bodySizeBytes, operation, startedMs, ino, name };
  }

  #printableName(offset: number): string | undefined {
    if (this.#options.trace === undefined) return undefined;
    return printableName(this.#request.text(offset));
  }

  #observe(pending: Pending, errno: number, replySizeBytes: number): void {
    const { operation, unique, isResent, ino, name, startedMs } = pending;
    const durationMs = performance.now() - startedMs;
    const contentBytes = errno === 0 ? contentOf(pending, replySizeBytes) : 0;
    this.#options.measure?.(operation, durationMs, errno, contentBytes);
    this.#options.trace?.({
      ...{ operation, unique, resent: isResent ? true : undefined, ino, name },
      ...{ errno, replySizeBytes, durationMs: Math.round(durationMs * 1000) / 1000 },
    });
  }
}

/** The content in an answer of READ, or in a WRITE. */
function contentOf({ operation, bodySizeBytes }: Pending, replySizeBytes: number): number {
  if (operation === 'read') return replySizeBytes - replyHeaderSizeBytes;
  return operation === 'write' ? bodySizeBytes - writeInSizeBytes : 0;
}

function unset(): void {
  throw new Error('used before it was set');
}
