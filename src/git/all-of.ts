/**
 * Waits for all of them, also when one fails, and throws the first failure: nothing goes on behind the back
 * of whoever cleans up then.
 */
export async function allOf(parts: readonly unknown[]): Promise<void> {
  const outcomes = await Promise.allSettled(parts);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
