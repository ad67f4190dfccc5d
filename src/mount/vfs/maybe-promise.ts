import type { MaybePromise } from './operations.ts';

/** Goes on with a result: at once when it is there, else when it comes. */
export function whenReady<T, U>(
  result: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return result instanceof Promise ? result.then(next) : next(result);
}

/** Does some work; when it fails, at once or later, undoes what was done for it and passes the error on. */
export function undoOnFailure<T>(
  work: () => MaybePromise<T>,
  undo: () => MaybePromise<void>,
): MaybePromise<T> {
  const failed = (error: unknown): MaybePromise<never> =>
    whenReady(undo(), () => {
      throw error;
    });
  let result: MaybePromise<T>;
  try {
    result = work();
  } catch (error) {
    return failed(error);
  }
  return result instanceof Promise ? result.catch(failed) : result;
}
