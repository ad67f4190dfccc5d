import { TransferError } from '../errors.ts';

/** A packet that holds nothing and ends a section. */
export const flushPacket: Buffer = Buffer.from('0000');

const largestPayloadBytes = 65516;

/** A packet of git's protocols (gitprotocol-common): four hex digits of length, then the payload. */
export function packet(payload: string): Buffer {
  const bytes = Buffer.from(payload, 'latin1');
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
}

/** Reads packets, and what may follow them, from a stream. */
export class PacketReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #buffered: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The payload of the next packet; `null` for a flush packet. The end of the stream is a `TransferError`. */
  async next(): Promise<Buffer | null> {
    const packet = await this.nextIfAny();
    if (packet === undefined) throw cutOff();
    return packet;
  }

  /** As `next`, and undefined where the stream ends. */
  async nextIfAny(): Promise<Buffer | null | undefined> {
    const digits = (await this.#take(4))?.toString('latin1');
    if (digits === undefined) return undefined;
    if (!/^[0-9a-f]{4}$/i.test(digits)) {
      throw new TransferError('the other side does not speak the protocol of git');
    }
    const length = Number.parseInt(digits, 16);
    if (length < 4) return null;
    if (length - 4 > largestPayloadBytes) throw new TransferError('a packet is too long');
    const payload = await this.#take(length - 4);
    if (payload === undefined && length > 4) throw cutOff();
    return payload ?? Buffer.alloc(0);
  }

  /** Everything behind the packets that were read. */
  async *rest(): AsyncGenerator<Buffer, void, undefined> {
    if (this.#buffered.length > 0) yield this.#buffered;
    this.#buffered = Buffer.alloc(0);
    for (;;) {
      const chunk = await this.#read();
      if (chunk === undefined) return;
      yield chunk;
    }
  }

  /** So many bytes; undefined where the stream ends in front of the first. */
  async #take(length: number): Promise<Buffer | undefined> {
    if (length === 0) return undefined;
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#buffered.length === 0) {
        const chunk = await this.#read();
        if (chunk === undefined && parts.length === 0) return undefined;
        if (chunk === undefined) throw cutOff();
        this.#buffered = chunk;
      }
      const part = this.#buffered.subarray(0, missing);
      this.#buffered = this.#buffered.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  async #read(): Promise<Buffer | undefined> {
    let result: IteratorResult<Uint8Array>;
    try {
      result = await this.#chunks.next();
    } catch (cause) {
      throw new TransferError('the connection broke off', { cause });
    }
    if (result.done === true) return undefined;
    const { buffer, byteOffset, byteLength } = result.value;
    return Buffer.from(buffer, byteOffset, byteLength);
  }
}

function cutOff(): TransferError {
  return new TransferError('the connection broke off: the answer is cut short');
}

const dataBand = 1;
const progressBand = 2;
const errorBand = 3;

/**
 * What comes on the data band of a side-band stream, to its flush packet; `first` is a packet of it
 * that has been read. An error of the other side is a `TransferError`, what it says of its progress
 * is passed over.
 */
export async function* demultiplex(
  reader: PacketReader,
  first?: Buffer | null,
): AsyncGenerator<Buffer, void, undefined> {
  let packet = first === undefined ? await reader.next() : first;
  for (; packet !== null; packet = await reader.next()) {
    const band = packet[0];
    const payload = packet.subarray(1);
    if (band === progressBand) continue;
    if (band === dataBand) yield payload;
    else if (band === errorBand) throw refusal(payload.toString('utf8'));
    else throw new TransferError('the other side sends on an unknown band');
  }
}

// eslint-disable-next-line no-control-regex
const controlCharacters = /[\x00-\x1f\x7f]+/g;

/** What the other side says, without what could hold credentials or confuse a terminal. */
export function refusal(text: string): TransferError {
  const said = text.replaceAll(controlCharacters, ' ').trim().slice(0, 1000);
  const shown = said.replaceAll(/(\w:\/\/)[^\s/@]*@/g, '$1***@');
  return new TransferError(`the other side refuses: ${shown}`);
}
