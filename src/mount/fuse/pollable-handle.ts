import { getSystemErrorName } from 'node:util';

/** Reads a descriptor when it has something to read, on the event loop and without a thread. */
export interface PollableHandle {
  /** Fills `buffer` with one read(2) at a time, to the first error; the descriptor stays open then. */
  read(buffer: Buffer, onRead: (sizeBytes: number) => void, onEnd: (code: string) => void): void;
  /** Closes the descriptor. */
  close(): Promise<void>;
}

/** What is used of Node's own handle of a pipe (src/pipe_wrap.cc, src/stream_base.cc). */
interface PipeHandle {
  onread: () => void;
  /** Gives 0 or a negative error number. */
  open(fd: number): number;
  useUserBuffer(buffer: Buffer): void;
  readStart(): number;
  readStop(): number;
  close(callback: () => void): void;
}

interface Bindings {
  readonly Pipe: new (type: number) => PipeHandle;
  readonly pipeType: number;
  /** Node puts the outcome of each read here before it calls `onread`. */
  readonly state: ArrayLike<number>;
  readonly outcomeIndex: number;
}

/**
 * Takes over a descriptor, to be watched on the event loop.
 *
 * Node's streams open sockets, pipes and terminals by descriptor, but no device, though its handle
 * of a pipe can: to the event loop below a readable descriptor is like another. That handle is
 * internal, so each part of it is looked for first; `undefined` where one is missing (a later
 * version, or a process that was forbidden to use it), and the descriptor is still the caller's.
 */
export function pollableHandle(fd: number): PollableHandle | undefined {
  const bindings = findBindings();
  return bindings === undefined ? undefined : new PipePollable(fd, bindings);
}

class PipePollable implements PollableHandle {
  readonly #bindings: Bindings;
  readonly #handle: PipeHandle;

  constructor(fd: number, bindings: Bindings) {
    this.#bindings = bindings;
    this.#handle = new bindings.Pipe(bindings.pipeType);
    checkOutcome(this.#handle.open(fd));
  }

  read(buffer: Buffer, onRead: (sizeBytes: number) => void, onEnd: (code: string) => void): void {
    const handle = this.#handle;
    const { state, outcomeIndex } = this.#bindings;
    handle.useUserBuffer(buffer);
    handle.onread = () => {
      const outcome = state[outcomeIndex] ?? 0;
      if (outcome > 0) {
        onRead(outcome);
      } else if (outcome < 0) {
        handle.readStop();
        onEnd(getSystemErrorName(outcome));
      }
      // 0 is no end, which would be EOF: what there was to read was taken back before the read (EAGAIN).
      // The kernel does so with the request of a process that is killed.
    };
    checkOutcome(handle.readStart());
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#handle.close(resolve);
    });
  }
}

function checkOutcome(outcome: number): void {
  if (outcome < 0) throw new Error(`cannot watch the FUSE device: ${getSystemErrorName(outcome)}`);
}

function findBindings(): Bindings | undefined {
  const { binding } = process as { binding?: (name: string) => Record<string, unknown> };
  if (binding === undefined) return undefined;
  try {
    const { Pipe, constants } = binding('pipe_wrap');
    const { streamBaseState, kReadBytesOrError } = binding('stream_wrap');
    if (typeof Pipe !== 'function' || !hasMethods(Pipe.prototype as object)) return undefined;
    const pipeType = (constants as Record<string, unknown> | undefined)?.['SOCKET'];
    if (typeof pipeType !== 'number' || typeof kReadBytesOrError !== 'number') return undefined;
    if (!ArrayBuffer.isView(streamBaseState)) return undefined;
    return {
      Pipe: Pipe as Bindings['Pipe'],
      pipeType,
      state: streamBaseState as unknown as ArrayLike<number>,
      outcomeIndex: kReadBytesOrError,
    };
  } catch {
    // Refused, as under Node's permission model: there is another way.
    return undefined;
  }
}

const methods = ['open', 'useUserBuffer', 'readStart', 'readStop', 'close'] as const;

function hasMethods(prototype: object): boolean {
  return methods.every(
    (name) => typeof (prototype as Record<string, unknown>)[name] === 'function',
  );
}
