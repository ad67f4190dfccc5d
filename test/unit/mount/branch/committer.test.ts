import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Committer } from '../../../../src/mount/branch/committer.ts';
import type { CommitOrder, CommitterOptions } from '../../../../src/mount/branch/committer.ts';

/** Commits that end when the test says so. */
class Commits {
  readonly messages: (string | undefined)[] = [];
  readonly #running: { end: () => void; fail: (error: Error) => void }[] = [];
  isSlow = false;
  failure: Error | undefined;

  get count(): number {
    return this.messages.length;
  }

  readonly perform = ({ message }: CommitOrder): Promise<void> => {
    this.messages.push(message);
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (!this.isSlow) return Promise.resolve();
    return new Promise((end, fail) => this.#running.push({ end, fail }));
  };

  async end(): Promise<void> {
    this.#running.shift()?.end();
    await settled();
  }

  async fail(error: Error): Promise<void> {
    this.#running.shift()?.fail(error);
    await settled();
  }
}

/** Lets promises that are due settle, without time going on. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

function newCommitter(change: Partial<CommitterOptions> = {}) {
  const commits = new Commits();
  const failures: string[] = [];
  const committer = new Committer({
    policy: 'close',
    quietMs: 100,
    longestMs: 1000,
    perform: commits.perform,
    onFailure: (error, retryMs) => failures.push(`${String(error)} ${retryMs}`),
    onRecovery: () => failures.push('recovered'),
    ...change,
  });
  return { committer, commits, failures };
}

describe('Committer', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('commits once it has been quiet, or at last', async () => {
    const { committer, commits } = newCommitter();
    committer.changed();
    await vi.advanceTimersByTimeAsync(99);
    expect(commits.count).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(commits.count).toBe(1);
    for (let elapsedMs = 0; elapsedMs < 990; elapsedMs += 50) {
      committer.changed();
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(commits.count).toBe(2);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(commits.count).toBe(2);
  });

  test.each([
    { policy: 'fsync' as const, countAfter: [0, 0] },
    { policy: 'manual' as const, countAfter: [0, 0] },
    { policy: { idleMs: 3000 }, countAfter: [0, 1] },
  ])('leaves it to others when the policy says so: $policy', async ({ policy, countAfter }) => {
    const { committer, commits } = newCommitter({ policy });
    for (let changes = 0; changes < 5; changes++) {
      committer.changed();
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(commits.count).toBe(countAfter[0]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(commits.count).toBe(countAfter[1]);
  });

  test('who waits for a commit gets one that began afterwards, and shares it with others', async () => {
    const { committer, commits } = newCommitter();
    commits.isSlow = true;
    const ended: string[] = [];
    const order = (label: string): void => {
      void committer.sync().then(() => ended.push(label));
    };
    order('first');
    expect(commits.count).toBe(1);
    for (let index = 0; index < 100; index++) order(`second ${index}`);
    await settled();
    expect(commits.count).toBe(1);
    await commits.end();
    expect(ended).toEqual(['first']);
    expect(commits.count).toBe(2);
    order('third');
    await commits.end();
    expect(ended).toHaveLength(101);
    expect(commits.count).toBe(3);
    await commits.end();
    expect(ended.at(-1)).toBe('third');
    expect(commits.count).toBe(3);
  });

  test('who waits for stable storage is told before the rest is done, whatever becomes of that', async () => {
    const { committer, commits, failures } = newCommitter();
    commits.failure = new Error('disk full');
    await expect(committer.durable()).rejects.toThrow('disk full');
    commits.failure = undefined;
    commits.isSlow = true;
    const told: string[] = [];
    void committer.durable().then(() => told.push('durable'));
    // These wait for their turn, together.
    void committer.sync().then(
      () => told.push('done'),
      () => told.push('failed'),
    );
    void committer.durable().then(() => told.push('durable, too'));
    await settled();
    expect(told).toEqual([]);
    committer.becameDurable();
    await settled();
    expect(told).toEqual(['durable']);
    // A close that comes now is not told of what is over.
    expect(() => committer.throwFailure()).not.toThrow();
    expect(failures).toEqual(['Error: disk full 250', 'recovered']);
    await commits.end();
    committer.becameDurable();
    await settled();
    expect(told).toEqual(['durable', 'durable, too']);
    await commits.fail(new Error('read error'));
    expect(told).toEqual(['durable', 'durable, too', 'failed']);
    expect(failures.at(-1)).toBe('Error: read error 250');
  });

  test('a message that is asked for reaches the commit that waits', async () => {
    const { committer, commits } = newCommitter();
    commits.isSlow = true;
    void committer.sync();
    void committer.sync();
    void committer.commit('by hand');
    void committer.commit('too late');
    await commits.end();
    await commits.end();
    expect(commits.messages).toEqual([undefined, 'by hand']);
  });

  test('work that needs the branch for itself waits for a commit, and holds further ones back', async () => {
    const { committer, commits } = newCommitter();
    commits.isSlow = true;
    const order: string[] = [];
    void committer.sync().then(() => order.push('committed'));
    const exclusive = committer.exclusive(async () => {
      order.push('begun');
      await sleep(20);
      order.push('done');
      throw new Error('and failed');
    });
    const after = committer.sync().then(() => order.push('committed again'));
    await settled();
    expect(order).toEqual([]);
    await commits.end();
    expect(order.sort()).toEqual(['begun', 'committed']);
    expect(commits.count).toBe(1);
    const failed = expect(exclusive).rejects.toThrow('and failed');
    await failed;
    await commits.end();
    await after;
    expect(order.slice(2)).toEqual(['done', 'committed again']);
  });

  test('a failure is told to the next close and to whoever waits, and tried again until it works', async () => {
    const { committer, commits, failures } = newCommitter();
    commits.failure = new Error('disk full');
    committer.changed();
    await vi.advanceTimersByTimeAsync(100);
    expect(committer.failure?.error).toBe(commits.failure);
    expect(() => committer.throwFailure()).toThrow('disk full');
    expect(() => committer.throwFailure()).not.toThrow();
    await expect(committer.sync()).rejects.toThrow('disk full');
    expect(() => committer.throwFailure()).toThrow('disk full');
    // Changes meanwhile do not make it try more often.
    for (let elapsedMs = 0; elapsedMs < 60_000; elapsedMs += 100) {
      committer.changed();
      await vi.advanceTimersByTimeAsync(100);
    }
    const attempts = commits.count;
    expect(attempts).toBeGreaterThan(12);
    expect(attempts).toBeLessThan(20);
    expect(failures.slice(0, 3)).toEqual([
      'Error: disk full 250',
      'Error: disk full 500',
      'Error: disk full 1000',
    ]);
    expect(failures.at(-1)).toBe('Error: disk full 5000');
    commits.failure = undefined;
    await vi.advanceTimersByTimeAsync(5000);
    expect(commits.count).toBe(attempts + 1);
    expect(failures.at(-1)).toBe('recovered');
    expect(committer.failure).toBeUndefined();
    expect(() => committer.throwFailure()).not.toThrow();
  });

  test('what changed while a retry succeeded is committed in its time', async () => {
    const { committer, commits } = newCommitter();
    commits.failure = new Error('locked');
    committer.changed();
    await vi.advanceTimersByTimeAsync(100);
    commits.failure = undefined;
    commits.isSlow = true;
    await vi.advanceTimersByTimeAsync(250);
    expect(commits.count).toBe(2);
    committer.changed();
    await commits.end();
    await vi.advanceTimersByTimeAsync(100);
    expect(commits.count).toBe(3);
  });

  test('a part that fails does not count as recovered', async () => {
    const failures: string[] = [];
    let isBroken = true;
    const committer: Committer = new Committer({
      policy: 'close',
      quietMs: 1,
      longestMs: 1,
      perform: () => {
        if (isBroken) committer.failed(new Error('one file'));
        return Promise.resolve();
      },
      onFailure: (error) => failures.push(String(error)),
      onRecovery: () => failures.push('recovered'),
    });
    await committer.sync();
    expect(failures).toEqual(['Error: one file']);
    await vi.advanceTimersByTimeAsync(250);
    expect(failures).toHaveLength(2);
    isBroken = false;
    await vi.advanceTimersByTimeAsync(500);
    expect(failures.at(-1)).toBe('recovered');
  });

  test('stopped, it commits only what is ordered', async () => {
    const { committer, commits } = newCommitter();
    committer.changed();
    committer.stop();
    committer.changed();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(commits.count).toBe(0);
    await committer.sync();
    expect(commits.count).toBe(1);
  });
});
