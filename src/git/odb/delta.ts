import { CorruptObjectError } from '../../errors.ts';
import { allocateObject } from './allocate.ts';

/** The sizes that a delta starts with, and where its instructions start. */
export interface DeltaHeader {
  readonly baseSizeBytes: number;
  readonly resultSizeBytes: number;
  readonly instructionsOffset: number;
}

const copyFlag = 0x80;
const copySizeOfZero = 0x10000;

/**
 * Reads the start of a delta (git's gitformat-pack, "Deltified representation"); its first 20 bytes
 * are enough.
 */
export function parseDeltaHeader(delta: Buffer): DeltaHeader {
  let at = 0;
  const readSize = (): number => {
    let size = 0;
    // 49 bits; what comes after them would not be an exact number, nor a file.
    for (let unit = 1; unit <= 2 ** 42; unit *= 128) {
      const byte = byteAt(delta, at++);
      size += (byte & 0x7f) * unit;
      if (byte < 0x80) return size;
    }
    throw new CorruptObjectError('a delta has an impossible size');
  };
  const baseSizeBytes = readSize();
  const resultSizeBytes = readSize();
  return { baseSizeBytes, resultSizeBytes, instructionsOffset: at };
}

/**
 * Makes an object out of a base and a delta. A delta that does not fit the base, that reads outside
 * of it, or that makes more or less than it declares is a `CorruptObjectError`.
 */
export function applyDelta(base: Buffer, delta: Buffer): Buffer {
  const application = new DeltaApplication(base, delta);
  application.step(Infinity);
  return application.result;
}

/** A delta that is applied step by step, so that a large one does not hold up everything else. */
export class DeltaApplication {
  /** What it makes; complete when `step` has said so. */
  readonly result: Buffer;
  readonly #base: Buffer;
  readonly #delta: Buffer;
  readonly #instructions: Instructions;
  #filled = 0;

  constructor(base: Buffer, delta: Buffer) {
    const { baseSizeBytes, resultSizeBytes, instructionsOffset } = parseDeltaHeader(delta);
    if (baseSizeBytes !== base.length) {
      throw new CorruptObjectError(
        `a delta is made for a base of ${baseSizeBytes} bytes, and its base has ${base.length}`,
      );
    }
    // Looked through first: a few bytes of delta can declare gigabytes, and only what it really
    // makes may be allocated.
    const made = checkInstructions(new Instructions(delta, instructionsOffset), delta, base);
    if (made !== resultSizeBytes) {
      throw new CorruptObjectError(`a delta declares ${resultSizeBytes} bytes and makes ${made}`);
    }
    this.#base = base;
    this.#delta = delta;
    this.#instructions = new Instructions(delta, instructionsOffset);
    this.result = allocateObject(resultSizeBytes);
  }

  /** Goes on until about `workBytes` more bytes are written; true when the result is complete. */
  step(workBytes: number): boolean {
    const instructions = this.#instructions;
    const pauseAt = this.#filled + workBytes;
    while (this.#filled < pauseAt) {
      if (!instructions.next()) return true;
      const source = instructions.copies ? this.#base : this.#delta;
      copyBytes(source, instructions.start, instructions.length, this.result, this.#filled);
      this.#filled += instructions.length;
    }
    return false;
  }
}

/** The instructions of a delta, one after the other. */
class Instructions {
  /** Whether this one copies from the base; else it inserts bytes of the delta. */
  copies = false;
  /** Where its bytes start, in the base or in the delta. */
  start = 0;
  length = 0;
  readonly #delta: Buffer;
  #at: number;

  constructor(delta: Buffer, offset: number) {
    this.#delta = delta;
    this.#at = offset;
  }

  /** Reads the next one; false at the end. */
  next(): boolean {
    const delta = this.#delta;
    let at = this.#at;
    const instruction = delta[at];
    if (instruction === undefined) return false;
    at += 1;
    this.copies = instruction >= copyFlag;
    if (this.copies) {
      // A bit for each byte of the two numbers, little end first, that is not zero and so stored.
      let start = 0;
      if ((instruction & 0x01) !== 0) start = delta[at++] ?? 0;
      if ((instruction & 0x02) !== 0) start += (delta[at++] ?? 0) * 0x100;
      if ((instruction & 0x04) !== 0) start += (delta[at++] ?? 0) * 0x1_0000;
      if ((instruction & 0x08) !== 0) start += (delta[at++] ?? 0) * 0x100_0000;
      let length = 0;
      if ((instruction & 0x10) !== 0) length = delta[at++] ?? 0;
      if ((instruction & 0x20) !== 0) length += (delta[at++] ?? 0) * 0x100;
      if ((instruction & 0x40) !== 0) length += (delta[at++] ?? 0) * 0x1_0000;
      if (at > delta.length) throw cutOff();
      this.start = start;
      this.length = length === 0 ? copySizeOfZero : length;
    } else {
      if (instruction === 0) throw new CorruptObjectError('a delta has an unknown instruction');
      this.start = at;
      this.length = instruction;
      at += instruction;
    }
    this.#at = at;
    return true;
  }
}

/** Checks that each instruction stays within its source; gives the number of bytes that they make. */
function checkInstructions(instructions: Instructions, delta: Buffer, base: Buffer): number {
  let made = 0;
  while (instructions.next()) {
    const source = instructions.copies ? base : delta;
    if (instructions.start + instructions.length > source.length) {
      throw new CorruptObjectError('a delta reads beyond its base or its own end');
    }
    made += instructions.length;
  }
  return made;
}

// Below this a call into native code takes longer than the copy.
const shortCopyBytes = 24;

function copyBytes(source: Buffer, start: number, length: number, to: Buffer, at: number): void {
  if (length > shortCopyBytes) {
    source.copy(to, at, start, start + length);
    return;
  }
  for (let index = 0; index < length; index++) to[at + index] = source[start + index] ?? 0;
}

function byteAt(delta: Buffer, at: number): number {
  const byte = delta[at];
  if (byte === undefined) throw cutOff();
  return byte;
}

function cutOff(): CorruptObjectError {
  return new CorruptObjectError('a delta is cut off');
}
