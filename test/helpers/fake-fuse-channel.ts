import type { FuseChannel } from '../../src/mount/fuse/channel.ts';
import { unpack } from './fuse-structs.ts';

/** An answer or a notice that was written. */
export interface SentMessage {
  readonly unique: number;
  /** The header's field: 0, a negative error number, or the kind of a notice. */
  readonly error: number;
  readonly body: Buffer;
}

/** The kernel's end of a session, played by a test. */
export class FakeFuseChannel implements FuseChannel {
  readonly requestBuffer: Buffer = Buffer.alloc((1 << 20) + 4096);
  readonly reading = 'event-loop';
  readonly sent: SentMessage[] = [];
  /** Thrown by the next write. */
  writeError: Error | undefined;
  isClosed = false;
  #onRequest: (sizeBytes: number) => void = () => undefined;
  #onEnd: (code: string) => void = () => undefined;

  start(onRequest: (sizeBytes: number) => void, onEnd: (code: string) => void): void {
    this.#onRequest = onRequest;
    this.#onEnd = onEnd;
  }

  /** Hands a request to the session; what it writes at once is given back. */
  deliver(request: Uint8Array): SentMessage[] {
    const before = this.sent.length;
    // What an earlier request left must not matter.
    this.requestBuffer.fill(0xaa, 0, request.length + 512);
    this.requestBuffer.set(request);
    this.#onRequest(request.length);
    this.requestBuffer.fill(0xbb, 0, request.length);
    return this.sent.slice(before);
  }

  end(code: string): void {
    this.#onEnd(code);
  }

  write(message: Uint8Array, payload: Uint8Array = Buffer.alloc(0)): void {
    const error = this.writeError;
    this.writeError = undefined;
    if (error !== undefined) throw error;
    const bytes = Buffer.concat([message, payload]);
    const header = unpack('out_header', bytes);
    if (header['len'] !== bytes.length) {
      throw new Error(
        `a message of ${bytes.length} bytes says that it has ${String(header['len'])}`,
      );
    }
    this.sent.push({
      unique: Number(header['unique']),
      error: Number(header['error']),
      body: bytes.subarray(16),
    });
  }

  writeInBackground(message: Uint8Array): Promise<void> {
    return Promise.resolve().then(() => this.write(message));
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}
