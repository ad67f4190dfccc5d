import { setTimeout as sleep } from 'node:timers/promises';

/** Repeats a check until it passes; after `timeoutMs` its last failure is thrown. */
export async function eventually<T>(
  check: () => Promise<T> | T,
  timeoutMs = 5000,
  intervalMs = 20,
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadlineMs) throw error;
    }
    await sleep(intervalMs);
  }
}
