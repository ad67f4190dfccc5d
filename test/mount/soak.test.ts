import { readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { checkAcknowledged, lastOf, startWriter } from '../helpers/acknowledged-writers.ts';
import type { Writer } from '../helpers/acknowledged-writers.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git as runGit, gitResult as gitResultOf } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { program, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// Everything that may run beside a mount, all at once: two mounts whose writers sync what they
// write, git's housekeeping, pushes, moves of refs. VOST_SOAK_SECONDS makes it last longer than the
// moment that is spent on it in each run of the tests.

/** Longer than a commit is put off. */
const restMs = 800;
const lastsMs = 1000 * Number(process.env['VOST_SOAK_SECONDS'] ?? 20);
// After an hour the repository is large, and on a busy machine git may need ten minutes to repack it.
const patience = { timeoutMs: 300_000 + lastsMs };
const git = (args: string[]): Promise<string> => runGit(args, patience);
const gitResult = (args: string[]): ReturnType<typeof gitResultOf> => gitResultOf(args, patience);

test(
  'mounts, pushes and housekeeping side by side lose nothing and leave nothing',
  {
    timeout: 3 * lastsMs + 240_000,
  },
  async () => {
    const directory = await temporaryDirectory();
    const gitDir = join(directory, 'repo.git');
    const inRepository = async (...args: string[]): Promise<string> =>
      (await git(['--git-dir', gitDir, ...args])).trimEnd();
    await git(['init', '--quiet', '--bare', '--initial-branch=main', gitDir]);
    // Git's own commands take turns below, so none may start by itself after a push.
    await inRepository('config', 'gc.auto', '0');
    const start = await inRepository('commit-tree', '-m', 'start', await emptyTree(gitDir));
    for (const branch of ['main', 'topic/a', 'topic/b'])
      await inRepository('branch', branch, start);

    // The caches are full early on, so that what grows is something else.
    const mounts: MountedRepository[] = [];
    for (const size of ['64m', '16m']) {
      mounts.push(await mountRepository(gitDir, { args: ['--cache-size', size] }));
    }
    const before = await Promise.all(mounts.map(usage));
    const deadlineMs = Date.now() + lastsMs;
    const writers = [
      ['main/one', 'main/two', 'topic/a/three'],
      ['main/four', 'topic/b/five'],
    ].flatMap((places, mount) =>
      places.map((place, index) =>
        startWriter(join(mounts[mount]!.mountpoint, place), 10 * mount + index + 1),
      ),
    );
    const outside = new Outside(gitDir, join(directory, 'clone'), writers);
    // On a busy machine it takes longer until everybody has had enough of a part in it.
    await outside.run(() => {
      // `finish` says why; nobody needs to wait an hour for that.
      if (writers.some((writer) => writer.hasEnded())) return true;
      const { pushes, moves, housekeepings } = outside.counts;
      const least = Math.min(pushes, moves, housekeepings);
      const hasAll = least > 2 && writers.every(({ acknowledged }) => acknowledged.length > 10);
      return Date.now() > deadlineMs + (hasAll ? 0 : 60_000);
    });
    for (const writer of writers) await writer.finish();

    for (const mount of mounts) {
      // What was closed is committed, and the kernel forgets what nobody uses.
      await shell('sync main; sync topic/a; sync topic/b', { cwd: mount.mountpoint, ...patience });
    }
    const usages: unknown[] = [];
    for (const [index, mount] of mounts.entries()) {
      await eventually(
        async () => {
          await writeFile('/proc/sys/vm/drop_caches', '2');
          const after = await usage(mount);
          usages[index] = { before: before[index], after };
          expect(after.openFiles).toBe(0);
          expect(after.inodes).toBeLessThan(before[index]!.inodes + 50);
          expect(after.descriptors).toBeLessThan(before[index]!.descriptors + 40);
          expect(after.residentMiB).toBeLessThan(before[index]!.residentMiB + 200);
        },
        // Packs that git has replaced are closed when nobody has read them for a while.
        40_000,
        1000,
      );
      expect(mount.daemonLog()).not.toMatch(/ error /);
    }
    expect(writers.every(({ acknowledged }) => acknowledged.length > 10)).toBe(true);
    expect(outside.counts).toEqual({
      pushes: expect.toSatisfy((count: number) => count > 2) as number,
      moves: expect.toSatisfy((count: number) => count > 2) as number,
      housekeepings: expect.toSatisfy((count: number) => count > 2) as number,
    });
    console.log(
      `${writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)} acknowledged, ${JSON.stringify({ ...outside.counts, disturbances: outside.disturbances, usages })}`,
    );
    for (const mount of mounts) await mount.unmount();

    await outside.check();
    const fresh = await mountRepository(gitDir, { mountpoint: mounts[0]!.mountpoint });
    for (const [index, writer] of writers.entries()) {
      const written = lastOf(writer.acknowledged).map((entry) => ({
        ...entry,
        path: entry.path.replace(mounts[index < 3 ? 0 : 1]!.mountpoint, fresh.mountpoint),
      }));
      for (let at = 0; at < written.length; at += 500) {
        await checkAcknowledged(written.slice(at, at + 500));
      }
    }
    await fresh.unmount();
    await fsck(gitDir);
    expect(await program('find', [gitDir, '-name', '*.lock', '-o', '-name', 'tmp_*'])).toBe('');
  },
);

async function emptyTree(gitDir: string): Promise<string> {
  return (
    await git(['--git-dir', gitDir, 'hash-object', '-t', 'tree', '-w', '/dev/null'])
  ).trimEnd();
}

interface Usage {
  readonly inodes: number;
  readonly openFiles: number;
  /** Those of packs that are still there do not count: they are as many as there are packs. */
  readonly descriptors: number;
  readonly residentMiB: number;
}

/** What a daemon holds. */
async function usage({ mountpoint, pid }: MountedRepository): Promise<Usage> {
  const text = await program('cat', [join(mountpoint, '.vost/status.json')]);
  const status = JSON.parse(text) as Pick<Usage, 'inodes' | 'openFiles'> & {
    readonly memory: { readonly residentBytes: number };
  };
  return {
    inodes: status.inodes,
    openFiles: status.openFiles,
    descriptors: (await openPaths(pid)).filter((path) => !/\.(?:pack|idx)$/.test(path)).length,
    residentMiB: Math.round(status.memory.residentBytes / 2 ** 20),
  };
}

async function openPaths(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`;
  const paths: string[] = [];
  for (const descriptor of await readdir(directory)) {
    // It may be closed meanwhile.
    const path = await readlink(join(directory, descriptor)).catch(() => undefined);
    if (path !== undefined) paths.push(path);
  }
  return paths;
}

/** What others do to the repository, until it is over; and what must be true of it afterwards. */
class Outside {
  readonly counts = { pushes: 0, moves: 0, housekeepings: 0 };
  /** What git said when it gave up. */
  readonly disturbances: string[] = [];
  readonly #gitDir: string;
  readonly #clone: string;
  readonly #writers: readonly Writer[];
  /** How often in a row. */
  readonly #refused = { pushes: 0, moves: 0 };
  /** What pushes bring. */
  #blob = '';
  /** Commits that a branch took in. */
  readonly #accepted: { readonly branch: string; readonly oid: string }[] = [];
  /** Git's own commands take turns: `gc --prune=now` may take what another of them is about to use. */
  #turn: Promise<unknown> = Promise.resolve();
  /** What the branches were at, one after the other. */
  readonly #seen = new Map<string, string[]>();

  constructor(gitDir: string, clone: string, writers: readonly Writer[]) {
    this.#gitDir = gitDir;
    this.#clone = clone;
    this.#writers = writers;
  }

  async run(isOver: () => boolean): Promise<void> {
    await git(['clone', '--quiet', '--no-checkout', this.#gitDir, this.#clone]);
    const blob = ['-C', this.#clone, 'hash-object', '-w', '/dev/null'];
    this.#blob = (await git(blob)).trimEnd();
    await Promise.all([
      this.#repeat(isOver, 100, () => this.#inTurn(() => this.#keepHouse())),
      this.#repeat(isOver, 100, () =>
        this.#inTurn(() => this.#inTime('pushes', () => this.#push())),
      ),
      this.#repeat(isOver, 100, () =>
        this.#inTurn(() => this.#inTime('moves', () => this.#moveRef())),
      ),
      this.#repeat(isOver, 100, () => this.#watch()),
    ]);
  }

  /** Nothing that was accepted is missing, and no branch ever went back. */
  async check(): Promise<void> {
    for (const [branch, tips] of this.#seen) {
      // One walk tells of all: after an hour there are tens of thousands of them. The newest are first.
      const walk = ['--git-dir', this.#gitDir, 'rev-list', '--topo-order', branch];
      const places = new Map((await git(walk)).split('\n').map((oid, place) => [oid, place]));
      expect(tips.filter((tip) => !places.has(tip))).toEqual([]);
      const seen = tips.map((tip) => places.get(tip) ?? 0);
      expect(seen, `${branch} went back`).toEqual(seen.toSorted((a, b) => b - a));
      const accepted = this.#accepted.filter((one) => `refs/heads/${one.branch}` === branch);
      expect(accepted.filter(({ oid }) => !places.has(oid))).toEqual([]);
    }
    expect(this.#seen.size).toBe(3);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #repeat(isOver: () => boolean, pauseMs: number, work: () => Promise<void>): Promise<void> {
    while (!isOver()) {
      await work();
      await sleep(pauseMs);
    }
  }

  async #keepHouse(): Promise<void> {
    const ways = [
      ['gc', '--quiet', '--prune=now'],
      ['repack', '-adq'],
      ['pack-refs', '--all'],
    ];
    const way = ways[this.counts.housekeepings % ways.length]!;
    const { exitCode, stderr } = await gitResult(['--git-dir', this.#gitDir, ...way]);
    if (exitCode === 0) this.counts.housekeepings += 1;
    else this.#disturbed(stderr);
  }

  /**
   * Writers move a branch faster than git can follow. When it was refused eight times in a row they rest,
   * and what they have closed gets the time to be committed.
   */
  async #inTime(kind: 'pushes' | 'moves', work: () => Promise<boolean>): Promise<void> {
    const resting = this.#refused[kind] < 8 ? [] : this.#writers;
    for (const writer of resting) writer.rest();
    if (resting.length > 0) await sleep(restMs);
    try {
      const isAccepted = await work();
      this.#refused[kind] = isAccepted ? 0 : this.#refused[kind] + 1;
      if (isAccepted) this.counts[kind] += 1;
    } finally {
      for (const writer of resting) writer.goOn();
    }
  }

  /** Tells whether the push was accepted. */
  async #push(): Promise<boolean> {
    const inClone = async (...args: string[]): Promise<string> =>
      (await git(['-C', this.#clone, ...args])).trimEnd();
    const fetched = await gitResult(['-C', this.#clone, 'fetch', '--quiet', 'origin', 'main']);
    if (fetched.exitCode !== 0) {
      this.#disturbed(fetched.stderr);
      return false;
    }
    // Nothing is checked out: a push is refused when a writer was faster.
    const name = `outside-${this.counts.pushes}`;
    await inClone('read-tree', 'FETCH_HEAD');
    await inClone('update-index', '--add', '--cacheinfo', `100644,${this.#blob},${name}`);
    const tree = await inClone('write-tree');
    const oid = await inClone('commit-tree', '-p', 'FETCH_HEAD', '-m', name, tree);
    const push = ['-C', this.#clone, 'push', 'origin', `${oid}:refs/heads/main`];
    const { exitCode, stderr } = await gitResult(push);
    if (exitCode === 0) this.#accepted.push({ branch: 'main', oid });
    else expect(stderr.toString()).toMatch(/rejected|failed to update ref|cannot lock ref/);
    return exitCode === 0;
  }

  /** Git gives up when it meets a lock for longer than a second; there is nothing else that it may meet. */
  #disturbed(stderr: Buffer): void {
    this.disturbances.push(stderr.toString().trim());
    expect(stderr.toString()).toMatch(/cannot lock ref|\.lock': File exists/);
  }

  /** Tells whether the ref was moved. */
  async #moveRef(): Promise<boolean> {
    const inRepository = async (...args: string[]): Promise<string> =>
      (await git(['--git-dir', this.#gitDir, ...args])).trimEnd();
    const branch = ['main', 'topic/a', 'topic/b'][this.counts.moves % 3]!;
    const tip = await inRepository('rev-parse', branch);
    const oid = await inRepository('commit-tree', '-p', tip, '-m', 'moved', `${tip}^{tree}`);
    const args = ['--git-dir', this.#gitDir, 'update-ref', `refs/heads/${branch}`, oid, tip];
    const { exitCode, stderr } = await gitResult(args);
    if (exitCode === 0) this.#accepted.push({ branch, oid });
    else expect(stderr.toString()).toMatch(/cannot lock ref/);
    return exitCode === 0;
  }

  async #watch(): Promise<void> {
    const format = '--format=%(refname) %(objectname)';
    const refs = await git(['--git-dir', this.#gitDir, 'for-each-ref', format, 'refs/heads']);
    for (const line of refs.trimEnd().split('\n')) {
      const [branch = '', tip = ''] = line.split(' ');
      const tips = this.#seen.get(branch) ?? [];
      if (tips.at(-1) !== tip) tips.push(tip);
      this.#seen.set(branch, tips);
    }
  }
}
