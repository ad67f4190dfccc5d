import { RefChangedError } from '../../errors.ts';

const mostAttempts = 20;

/** Does something again that found a ref elsewhere than where it had looked at it, a bounded number of times. */
export async function whileRefChanges(work: () => Promise<void>): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      await work();
      return;
    } catch (error) {
      if (!(error instanceof RefChangedError) || attempts >= mostAttempts) throw error;
    }
  }
}
