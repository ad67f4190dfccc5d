import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BusyPoll } from '../../../../src/mount/fuse/busy-poll.ts';

/** A poll whose clock the test moves. */
function pollOf(options: { windowUs?: number; processors?: number } = {}): {
  poll: BusyPoll;
  pass: (ms: number) => void;
} {
  let nowMs = 1000;
  const poll = new BusyPoll({ windowUs: 100, processors: 2, now: () => nowMs, ...options });
  return { poll, pass: (ms) => (nowMs += ms) };
}

/** A burst in which a request takes `awakeMs` while the loop is awake, and `asleepMs` else. */
async function burst(
  { poll, pass }: ReturnType<typeof pollOf>,
  times: { awakeMs: number; asleepMs: number; requests: number },
): Promise<void> {
  for (let count = 0; count < times.requests; count++) {
    await nextTurn();
    pass(poll.isPolling ? times.awakeMs : times.asleepMs);
    poll.requestCame();
  }
}

describe('BusyPoll', () => {
  it('keeps the loop awake within a burst, and not for long after it', async () => {
    const { poll, pass } = pollOf();
    poll.requestCame();
    expect(poll.isPolling).toBe(false);
    pass(0.05);
    poll.requestCame();
    expect(poll.isPolling).toBe(true);
    expect(process.getActiveResourcesInfo()).toContain('Immediate');
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    expect(poll.isPolling).toBe(true);
    pass(0.2);
    await nextTurn();
    expect(poll.isPolling).toBe(false);
    await nextTurn();
    expect(process.getActiveResourcesInfo()).not.toContain('Immediate');
  });

  it.each([
    ['goes on with it where it helps', 0.02, 0.07, true],
    ['leaves it where it does not', 0.03, 0.007, false],
    ['leaves it where it makes no great difference', 0.069, 0.07, false],
  ])('%s', async (_case, awakeMs, asleepMs, expected) => {
    const bursting = pollOf();
    await burst(bursting, { awakeMs, asleepMs, requests: 200 });
    expect(bursting.poll.isPolling).toBe(expected);
  });

  it('tries again when things may have changed', async () => {
    const bursting = pollOf();
    await burst(bursting, { awakeMs: 0.03, asleepMs: 0.007, requests: 200 });
    expect(bursting.poll.isPolling).toBe(false);
    await burst(bursting, { awakeMs: 0.02, asleepMs: 0.07, requests: 4400 });
    expect(bursting.poll.isPolling).toBe(true);
  });

  it('rests when the processor is wanted elsewhere', async () => {
    const { poll, pass } = pollOf();
    const twoRequests = (): void => {
      poll.requestCame();
      pass(0.05);
      poll.requestCame();
    };
    twoRequests();
    // A turn that takes long looks like the loss of the processor.
    pass(5);
    await nextTurn();
    expect(poll.isPolling).toBe(false);
    pass(500);
    twoRequests();
    expect(poll.isPolling).toBe(false);
    pass(600);
    twoRequests();
    expect(poll.isPolling).toBe(true);
  });

  it('does nothing when it is turned off, or would be in the way', () => {
    for (const options of [{ windowUs: 0 }, { processors: 1 }]) {
      const { poll } = pollOf(options);
      poll.requestCame();
      poll.requestCame();
      expect(poll.isPolling).toBe(false);
    }
  });
});
