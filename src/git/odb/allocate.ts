import { ObjectTooLargeError } from '../../errors.ts';

/** Room for the content of an object; `ObjectTooLargeError` when there is none. */
export function allocateObject(sizeBytes: number): Buffer {
  return allocating(sizeBytes, () => Buffer.allocUnsafe(sizeBytes));
}

/** What takes about this much memory for an object; `ObjectTooLargeError` when there is not as much. */
export function allocating<Made>(sizeBytes: number, make: () => Made): Made {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ObjectTooLargeError(sizeBytes, { cause });
  }
}
