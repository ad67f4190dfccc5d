import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BusyPoll } from '../../../../src/mount/fuse/busy-poll.ts';

/** Whether the event loop has been asked for another turn at once. */
function isAwake(): boolean {
  return process.getActiveResourcesInfo().includes('Immediate');
}

describe('BusyPoll', () => {
  it('keeps the loop awake between requests that follow each other closely, and not for long', async () => {
    const poll = new BusyPoll(100_000, 2);
    poll.requestCame();
    expect(isAwake()).toBe(false);
    poll.requestCame();
    expect(isAwake()).toBe(true);
    await sleep(300);
    expect(isAwake()).toBe(false);
  });

  it('rests when the processor is wanted elsewhere', async () => {
    const poll = new BusyPoll(1_000_000, 2);
    poll.requestCame();
    poll.requestCame();
    // A turn that takes long looks like the loss of the processor.
    for (const endMs = performance.now() + 20; performance.now() < endMs;);
    await sleep(1);
    await sleep(1);
    expect(isAwake()).toBe(false);
    poll.requestCame();
    poll.requestCame();
    expect(isAwake()).toBe(false);
  });

  it('does nothing when it is turned off, or would be in the way', () => {
    for (const poll of [new BusyPoll(0, 2), new BusyPoll(100_000, 1)]) {
      poll.requestCame();
      poll.requestCame();
      expect(isAwake()).toBe(false);
    }
  });
});
