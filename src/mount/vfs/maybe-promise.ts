import type { MaybePromise } from './operations.ts';

/** Goes on with a result: at once when it is there, else when it comes. */
export function whenReady<T, U>(
  result: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return result instanceof Promise ? result.then(next) : next(result);
}
