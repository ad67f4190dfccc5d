import type { CommitPolicy } from '../mount-options.ts';
import { Turns } from './turns.ts';

/** What is wanted of a commit. */
export interface CommitOrder {
  /**
   * Somebody asked for this commit. Otherwise it is enough that everything is on stable storage,
   * which takes a commit under most policies, but not under `manual`.
   */
  readonly isExplicit: boolean;
  readonly message?: string | undefined;
}

/** When a branch is committed. */
export interface CommitterOptions {
  readonly policy: CommitPolicy;
  /** How long nothing must have changed before a commit, and how long it is put off at most. */
  readonly quietMs: number;
  readonly longestMs: number;
  /** Does what is ordered with all that waits for it at this moment; nothing waiting is no fault. */
  readonly perform: (order: CommitOrder) => Promise<void>;
  /** Told of each failure and of the recovery after it. */
  readonly onFailure: (error: unknown, retryMs: number) => void;
  readonly onRecovery: () => void;
}

const firstRetryMs = 250;
const longestRetryMs = 5000;

interface WaitingOrder {
  order: CommitOrder;
  readonly durable: Promise<void>;
  done: Promise<void>;
}

interface Failure {
  readonly error: unknown;
  readonly timeMs: number;
  readonly retryMs: number;
  /** A close has been told of it. */
  isReported: boolean;
}

/**
 * Says when the commits of a branch are made: one at a time, soon after a change but not for each
 * one, at once when somebody waits, and again after a failure.
 *
 * Why nothing is lost, and nobody is told of a commit that does not hold his data:
 *
 * - What waits for a commit is a property of the working tree (its pending names), not of a queue
 *   here. A commit collects it in one step, without waiting for anything, when its turn has come;
 *   so a change is either in it or still pending.
 * - An order that has not begun collects later than this moment. Whoever orders a commit while one
 *   waits for its turn shares it, and whoever orders while one runs shares the next. So `commitNow`
 *   resolves after a commit (or the finding that there is nothing to commit) which began after the
 *   call, and many callers of fsync share few commits.
 * - While a commit runs, the tree may change in any way: nodes are written, moved, removed. What the
 *   commit took is compared with what stands there when it has ended (`CommitPlan.settle`, one step
 *   again), and what differs stays pending, or becomes so.
 * - A rename or removal of the branch, and following a commit from outside, take turns with commits
 *   (`exclusive`): the tip and the origins that a commit begins with are those that it ends with.
 * - A file is stored before its name becomes pending. A commit therefore never waits for content.
 * - A commit that fails has changed nothing but the object store: everything stays pending. The next
 *   close and every fsync are told, and it is tried again until it works, at growing intervals; an
 *   fsync meanwhile does not wait for the interval.
 */
export class Committer {
  readonly #options: CommitterOptions;
  readonly #turns = new Turns();
  /** Ordered, but not begun. */
  #waiting: WaitingOrder | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When what waits has first and last changed; of the monotonic clock. */
  #firstChangeMs: number | undefined;
  #lastChangeMs = 0;
  #failure: Failure | undefined;
  /** Tells those who wait for what is being performed that it is on stable storage. */
  #onDurable: (() => void) | undefined;
  #isStopped = false;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Why the last attempt failed, and when (milliseconds since 1970), unless one has succeeded since. */
  get failure(): { readonly error: unknown; readonly timeMs: number } | undefined {
    return this.#failure;
  }

  /** Something waits for a commit. */
  changed(): void {
    this.#lastChangeMs = performance.now();
    this.#firstChangeMs ??= this.#lastChangeMs;
    if (this.#failure === undefined) this.#arm();
  }

  /** Makes everything that waits now durable. */
  sync(): Promise<void> {
    return this.#take({ isExplicit: false }).done;
  }

  /** The same, for whoever does not care what is left to do then. */
  durable(): Promise<void> {
    const { durable, done } = this.#take({ isExplicit: false });
    return Promise.race([durable, done]);
  }

  /** Commits everything that waits now, with this message if there is one. */
  commit(message?: string): Promise<void> {
    return this.#take({ isExplicit: true, message }).done;
  }

  /** Runs some work while no commit is made. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.take(work);
  }

  /** What is being performed is on stable storage by now, and some bookkeeping is left. */
  becameDurable(): void {
    this.#onDurable?.();
  }

  /** Something that a commit needs has failed: it is tried again as if the commit had. */
  failed(error: unknown): void {
    const retryMs = Math.min(longestRetryMs, 2 * (this.#failure?.retryMs ?? firstRetryMs / 2));
    this.#failure = { error, timeMs: Date.now(), retryMs, isReported: false };
    this.#options.onFailure(error, retryMs);
    this.#arm();
  }

  /** Throws the last failure, once. */
  throwFailure(): void {
    const failure = this.#failure;
    if (failure === undefined || failure.isReported) return;
    failure.isReported = true;
    throw failure.error;
  }

  /** Makes no commits any more but those that are ordered. */
  stop(): void {
    this.#isStopped = true;
    this.#disarm();
  }

  #take(order: CommitOrder): WaitingOrder {
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      waiting.order = merged(waiting.order, order);
      return waiting;
    }
    let onDurable = (): void => undefined;
    const durable = new Promise<void>((resolve) => (onDurable = resolve));
    const taken: WaitingOrder = { order, durable, done: Promise.resolve() };
    this.#waiting = taken;
    taken.done = this.exclusive(() => {
      this.#waiting = undefined;
      return this.#attempt(taken.order, onDurable);
    });
    return taken;
  }

  async #attempt(order: CommitOrder, onDurable: () => void): Promise<void> {
    this.#disarm();
    this.#firstChangeMs = undefined;
    const before = this.#failure;
    const succeeded = (): void => {
      // Unless a part has failed that others need not wait for.
      if (before === undefined || this.#failure !== before) return;
      this.#failure = undefined;
      this.#options.onRecovery();
      // For what changed during the attempt, which did not set a timer because of the failure.
      this.#arm();
    };
    this.#onDurable = () => {
      succeeded();
      onDurable();
    };
    try {
      await this.#options.perform(order);
    } catch (error) {
      this.failed(error);
      throw error;
    } finally {
      this.#onDurable = undefined;
    }
    succeeded();
  }

  /** Sees to it that an attempt is made in time. */
  #arm(): void {
    if (this.#isStopped || this.#timer !== undefined) return;
    const delayMs = this.#delayMs();
    if (delayMs === undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#due();
    }, delayMs);
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #due(): void {
    // The changes since the timer was set put the commit off, instead of setting it each time.
    if (this.#failure === undefined && (this.#delayMs() ?? 0) >= 1) {
      this.#arm();
      return;
    }
    // Whoever needs to know of a failure is told by `throwFailure` and by the next order.
    this.sync().catch(() => undefined);
  }

  /** How long until an attempt is due; `undefined` for never. */
  #delayMs(): number | undefined {
    if (this.#failure !== undefined) return this.#failure.retryMs;
    if (this.#firstChangeMs === undefined) return undefined;
    const { policy, quietMs, longestMs } = this.#options;
    const nowMs = performance.now();
    if (policy === 'close') {
      const dueMs = Math.min(this.#lastChangeMs + quietMs, this.#firstChangeMs + longestMs);
      return Math.max(0, dueMs - nowMs);
    }
    if (typeof policy === 'object') return Math.max(0, this.#lastChangeMs + policy.idleMs - nowMs);
    return undefined;
  }
}

function merged(first: CommitOrder, second: CommitOrder): CommitOrder {
  return {
    isExplicit: first.isExplicit || second.isExplicit,
    message: first.message ?? second.message,
  };
}
