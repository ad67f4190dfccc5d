const cleanups: (() => unknown)[] = [];

/**
 * Has something called behind the tests of each file from now on, and before what was to be called so far.
 * A helper stays loaded from one file to the next, so a hook of its own would be one of the first file alone.
 */
export function afterEachFile(cleanUp: () => unknown): void {
  cleanups.push(cleanUp);
}

/** Calls all of that, also when some of it fails; throws the first failure. */
export async function cleanUp(): Promise<void> {
  const failures: unknown[] = [];
  for (const one of cleanups.toReversed()) {
    try {
      await one();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
