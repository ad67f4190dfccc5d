import { join } from 'node:path';
import type { Disk } from '../../git/disk.ts';
import type { Oid } from '../../git/oid.ts';
import { branchPrefix, tagPrefix } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { RefStore } from '../../git/refs/ref-store.ts';
import { requireStillThere } from '../../git/repository-layout.ts';
import type { Log } from '../observe/log.ts';

/** What a watcher needs. */
export interface RefWatcherOptions {
  /** The git directory that holds `refs` and `packed-refs`. */
  readonly commonDir: string;
  /** Where that is. */
  readonly disk: Disk;
  readonly refs: Pick<RefStore, 'list'>;
  /**
   * Told of refs that appeared, moved or went, whoever did it, and again when it fails. `left` are the
   * commits that refs have left since the last look, each told once. Its end is waited for.
   */
  readonly onChange: (changed: readonly RefName[], left: readonly LeftTip[]) => Promise<void>;
  readonly log: Log;
}

/** Where a ref led to, and where it leads to now; `null` when it is gone. */
export interface LeftTip {
  readonly from: Oid;
  readonly to: Oid | null;
}

const intervalMs = 250;
/** Looking takes at most about a tenth of the time, as long as a change is still seen within a second. */
const restFactor = 10;
const longestIntervalMs = 700;
/** A directory that changed so shortly before it was looked at may have changed again unseen. */
const racyMs = 50;

/**
 * Sees branches and tags move that others move. Every writer of a ref makes a lock file beside it,
 * so the directories below `refs` tell by their times that something happened, and `packed-refs`
 * by its own; only then are the refs read. A few calls of stat(2) four times a second do it on every
 * filesystem, network ones included, where notices of the system would need this as a safety net.
 */
export class RefWatcher {
  readonly #options: RefWatcherOptions;
  readonly #directories: RefDirectories;
  /** What everybody knows of who has to. */
  #known: ReadonlyMap<RefName, Oid> | undefined;
  readonly #again = new Set<RefName>();
  /** What the last look has found. */
  #seen: ReadonlyMap<RefName, Oid> = new Map();
  #signature = '';
  #lastFailure = '';
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: RefWatcherOptions) {
    this.#options = options;
    this.#directories = new RefDirectories(options);
  }

  /** Looks now, and again from then on. */
  async start(): Promise<void> {
    await this.look();
    this.#schedule(intervalMs);
  }

  /**
   * The mount has moved a ref, or read it, at a moment of its own. What the refs were at the last look
   * says nothing about it then: a ref that others have put back since to what it was is no other than
   * it was, and yet not what the mount shows. So it is told of after the next look, whatever that finds.
   */
  lookAgain(ref: RefName): void {
    this.#again.add(ref);
  }

  /** Looks now; resolved when everybody who has to know of a change does. The first look notes what the refs are. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Ends the watch, after the look that may be under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking?.catch(() => undefined);
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#lookAndSchedule(), delayMs);
    this.#timer.unref();
  }

  async #lookAndSchedule(): Promise<void> {
    const startMs = performance.now();
    try {
      await this.look();
      this.#lastFailure = '';
    } catch (error) {
      const message = String(error);
      if (message !== this.#lastFailure) {
        this.#options.log.warn('ref-watch-failed', { message });
      }
      this.#lastFailure = message;
    }
    const restMs = restFactor * (performance.now() - startMs);
    this.#schedule(Math.min(longestIntervalMs, Math.max(intervalMs, restMs)));
  }

  async #look(): Promise<void> {
    const { commonDir, disk } = this.#options;
    await requireStillThere(commonDir, disk);
    // Taken before the refs are read: what changes in between is read again the next time.
    const { text, isRacy } = await this.#directories.signature();
    if (this.#known !== undefined && text === this.#signature && this.#again.size === 0) return;
    // Those that are named while the refs are read are for the next look.
    const again = [...this.#again];
    this.#again.clear();
    try {
      await this.#compare(again);
    } catch (error) {
      for (const ref of again) this.#again.add(ref);
      throw error;
    }
    this.#signature = isRacy ? '' : text;
  }

  async #compare(again: readonly RefName[]): Promise<void> {
    const { commonDir, disk, refs } = this.#options;
    const now = new Map<RefName, Oid>();
    const lists = [branchPrefix, tagPrefix].map((prefix) => refs.list(prefix));
    for (const { name, oid } of (await Promise.all(lists)).flat()) now.set(name, oid);
    // What was listed while all of the repository was away says nothing.
    await requireStillThere(commonDir, disk);
    const moved = this.#known === undefined ? [] : changedNames(this.#known, now);
    const changed = [...new Set([...moved, ...again])];
    const left = leftTips(this.#seen, now);
    this.#seen = now;
    if (changed.length + left.length > 0) await this.#options.onChange(changed, left);
    this.#known = now;
  }
}

function changedNames(
  before: ReadonlyMap<RefName, Oid>,
  after: ReadonlyMap<RefName, Oid>,
): RefName[] {
  const changed: RefName[] = [];
  for (const [name, oid] of after) if (before.get(name) !== oid) changed.push(name);
  for (const name of before.keys()) if (!after.has(name)) changed.push(name);
  return changed;
}

function leftTips(before: ReadonlyMap<RefName, Oid>, after: ReadonlyMap<RefName, Oid>): LeftTip[] {
  const left: LeftTip[] = [];
  for (const [name, from] of before) {
    const to = after.get(name) ?? null;
    if (to !== from) left.push({ from, to });
  }
  return left;
}

interface KnownDirectory {
  readonly stamp: string;
  readonly subdirectories: readonly string[];
}

/** The directories of refs, and what was in them when they last changed. */
class RefDirectories {
  readonly #commonDir: string;
  readonly #disk: Disk;
  #known = new Map<string, KnownDirectory>();

  constructor({ commonDir, disk }: Pick<RefWatcherOptions, 'commonDir' | 'disk'>) {
    this.#commonDir = commonDir;
    this.#disk = disk;
  }

  /** What changes whenever a ref does; `isRacy` when something may still change without it. */
  async signature(): Promise<{ text: string; isRacy: boolean }> {
    const packed = await this.#stampOf(join(this.#commonDir, 'packed-refs'));
    const parts = [packed?.text ?? ''];
    let newestMs = packed?.timeMs ?? 0;
    const found = new Map<string, KnownDirectory>();
    const paths = ['heads', 'tags'].map((name) => join(this.#commonDir, 'refs', name));
    for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
      const stamp = await this.#stampOf(path);
      // An empty directory that git has just removed.
      if (stamp === null) continue;
      newestMs = Math.max(newestMs, stamp.timeMs);
      const known = this.#known.get(path);
      const isKnown = known?.stamp === stamp.text && !isRecent(stamp.timeMs);
      const subdirectories = isKnown ? known.subdirectories : await this.#subdirectoriesOf(path);
      found.set(path, { stamp: stamp.text, subdirectories });
      parts.push(`${path} ${stamp.text}`);
      paths.push(...subdirectories);
    }
    this.#known = found;
    return { text: parts.join('\n'), isRacy: isRecent(newestMs) };
  }

  async #subdirectoriesOf(path: string): Promise<string[]> {
    const entries = await this.#disk.readdir(path);
    return entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(path, name.toString()));
  }

  async #stampOf(path: string): Promise<{ text: string; timeMs: number } | null> {
    const found = await this.#disk.stat(path);
    if (found === undefined) return null;
    const { mtimeNs, ctimeNs, ino, size } = found;
    const text = `${mtimeNs} ${ctimeNs} ${ino} ${size}`;
    return { text, timeMs: Number(mtimeNs / 1_000_000n) };
  }
}

function isRecent(timeMs: number): boolean {
  return Date.now() - timeMs < racyMs;
}
