import type { OpenFile } from './open-file.ts';

// One call may read or write fewer bytes than it is asked to.

/**
 * Writes all of the bytes at a position, or with `null` behind what was written before. The system may take
 * fewer at a time, on a full disk say.
 */
export async function writeFully(
  handle: Pick<OpenFile, 'write'>,
  bytes: Uint8Array,
  position: number | null,
): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const at = position === null ? null : position + done;
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at);
    done += bytesWritten;
  }
}

// Parts up to here cost less to copy into one buffer than to hand over.
const copiedBytes = 16 * 1024;

/** `writeFully` for bytes in several parts, without making one of them where that would cost more. */
export async function writePartsFully(
  handle: OpenFile,
  parts: readonly Uint8Array[],
  position: number,
): Promise<void> {
  if (parts.every(({ length }) => length <= copiedBytes)) {
    await writeFully(handle, Buffer.concat(parts), position);
    return;
  }
  const { bytesWritten: done } = await handle.writev(parts, position);
  if (done === parts.reduce((sum, { length }) => sum + length, 0)) return;
  await writeFully(handle, Buffer.concat(parts).subarray(done), position + done);
}

/** Reads `length` bytes at a position, into `buffer`; fewer only where the file ends. */
export async function readFully(
  handle: Pick<OpenFile, 'read'>,
  position: number,
  length: number,
  buffer: Buffer = Buffer.allocUnsafe(length),
): Promise<Buffer> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

/** All that a file holds. */
export async function readWhole(file: OpenFile): Promise<Buffer> {
  return readFully(file, 0, Number(file.stat().size));
}
