import { ObjectTooLargeError } from '../../errors.ts';

/** Room for the content of an object; `ObjectTooLargeError` when there is none. */
export function allocateObject(sizeBytes: number): Buffer {
  try {
    return Buffer.allocUnsafe(sizeBytes);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ObjectTooLargeError(sizeBytes, { cause });
  }
}
