import { CorruptObjectError, ObjectTooLargeError } from '../../errors.ts';
import type { ObjectType } from '../object.ts';
import type { Oid } from '../oid.ts';
import type { ObjectData } from './delta-base-cache.ts';

/** The error with the id of the object that it concerns, when it is about its bytes. */
export function named(oid: Oid, error: unknown): unknown {
  if (error instanceof CorruptObjectError && error.oid === undefined) {
    return new CorruptObjectError(`object ${oid} is damaged: ${error.message}`, {
      oid,
      cause: error,
    });
  }
  if (error instanceof ObjectTooLargeError && error.oid === undefined) {
    return new ObjectTooLargeError(error.sizeBytes, { oid, cause: error });
  }
  return error;
}

/** Runs `read`, and names the object in its errors. */
export async function namingObject<T>(oid: Oid, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw named(oid, error);
  }
}

/** The object, when it has the type that is expected or none is; else a `CorruptObjectError`. */
export function ofType(oid: Oid, object: ObjectData, type: ObjectType | undefined): ObjectData {
  if (type === undefined || object.type === type) return object;
  throw new CorruptObjectError(`object ${oid} is a ${object.type}, not a ${type}`, { oid });
}
