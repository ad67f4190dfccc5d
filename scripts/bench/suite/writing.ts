import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';
import { compare, freshBranch, git, names } from './bench.ts';
import type { Measure } from './bench.ts';
import { memoryOf } from './places.ts';
import type { Place } from './places.ts';
import { forgetDeletions, interleave, shell, summary, touchMemory } from './samples.ts';
import type { Contender } from './samples.ts';

const createFiles = fileURLToPath(new URL('create-files.ts', import.meta.url));
const loader = ['--import', fileURLToPath(new URL('../../typescript-loader.mjs', import.meta.url))];
const megabyte = 1e6;

/** Creates files, then syncs their directory. */
export function makeFiles(
  directory: string,
  count: number,
): { readonly closedMs: number; readonly syncedMs: number } {
  const args = [...loader, createFiles, directory, `${count}`];
  const said = execFileSync(process.execPath, args, { encoding: 'utf8' });
  return JSON.parse(said) as { closedMs: number; syncedMs: number };
}

export const tar: Measure = {
  name: 'tar',
  run: ({ data, places, rounds, isQuick }) => {
    const extract = `tar xf ${data.projectTar}${isQuick ? ' lib/components' : ''}`;
    let fresh: ReturnType<typeof freshBranch>;
    let directory: string;
    const ours: Contender = {
      name: names.branch,
      before: () => {
        fresh = freshBranch(places);
      },
      run: () => shell(`${extract} && sync .`, fresh.branch),
      after: () => {
        fresh.place.close();
      },
    };
    const withGit: Contender = {
      name: 'tar, git add and commit',
      before: () => {
        directory = places.directory();
        git('init', '--quiet', directory);
      },
      // What it makes stays until the end: removed here, it would slow down what the disk makes next.
      run: () => shell(`${extract} && git add -A && git commit -qm All`, directory),
    };
    let memory: Place;
    const limit: Contender = {
      name: names.limit,
      before: () => {
        memory = places.memory(names.limit);
      },
      run: () => shell(extract, memory.path),
      after: () => {
        memory.close();
      },
    };
    if (!isQuick) forgetDeletions();
    const samples = interleave(2 * rounds - 1, [ours, withGit, limit]);
    const shared = { measure: 'tar', what: 'tar x until committed', ours: names.branch };
    return [
      compare(samples, { ...shared, rival: withGit.name, atLeast: 1 }),
      compare(samples, { ...shared, rival: names.limit }),
    ];
  },
};

export const create: Measure = {
  name: 'create',
  run: ({ places, rounds, isQuick }) => {
    const count = isQuick ? 2000 : 10_000;
    const committed: number[] = [];
    let close: () => void;
    let directory: string;
    if (!isQuick) forgetDeletions();
    const contender = (name: string, open: () => void): Contender => ({
      name,
      before: open,
      run: () => {
        const { closedMs, syncedMs } = makeFiles(directory, count);
        if (name === names.branch) committed.push(syncedMs);
        return closedMs;
      },
      after: () => {
        close();
      },
    });
    const samples = interleave(rounds, [
      contender(names.branch, () => {
        const { place, branch } = freshBranch(places);
        directory = branch;
        close = place.close;
      }),
      contender(names.disk, () => {
        directory = places.directory();
        // As in `tar`, what was made stays.
        close = () => undefined;
      }),
      contender(names.limit, () => {
        const place = places.memory(names.limit);
        directory = place.path;
        close = place.close;
      }),
    ]);
    const shared = {
      measure: 'create',
      what: `${count} files of 1 KiB, closed`,
      ours: names.branch,
    };
    return [
      compare(samples, { ...shared, rival: names.disk, atLeast: 0.6 }),
      compare(samples, { ...shared, rival: names.limit }),
      {
        kind: 'bound',
        measure: 'create',
        what: 'from then until committed',
        value: summary(committed),
        unit: 'ms',
        atMost: 2000,
      },
    ];
  },
};

export const save: Measure = {
  name: 'save',
  run: ({ data, places, rounds, isQuick }) => {
    const scratch = places.directory();
    const bare = join(scratch, 'entries.git');
    const tree = join(scratch, 'tree');
    git('clone', '--quiet', '--bare', '--single-branch', '--branch=entries', data.synthetic, bare);
    git('clone', '--quiet', bare, tree);
    const place = places.vost(names.branch, bare, ['--branch', 'entries']);
    const memory = places.memory(names.limit);
    const saving = places.memory(names.saving, { savedBytes: savedBytes(bare) });
    if (!isQuick) forgetDeletions();
    let count = 0;
    const content = (): string => `content number ${(count += 1)}\n`;
    const write = (path: string, sync: boolean): undefined => {
      const fd = openSync(path, 'w');
      writeSync(fd, content());
      if (sync) fsyncSync(fd);
      closeSync(fd);
    };
    const name = 'entries/file-4711';
    const samples = interleave(rounds * 10, [
      { name: names.branch, run: () => write(join(place.path, name), true) },
      {
        name: 'git commit',
        before: () => {
          write(join(tree, name), false);
        },
        run: () => shell(`git commit -qm Save -- ${name}`, tree),
      },
      {
        name: names.disk,
        run: () => write(join(scratch, 'plain'), true),
      },
      { name: names.limit, run: () => write(join(memory.path, 'plain'), true) },
    ]);
    // For information: without git, behind whose work everything takes longer, and what the disk alone takes.
    const undisturbed = interleave(rounds * 10, [
      { name: names.branch, before: pause, run: () => write(join(place.path, name), true) },
      { name: names.saving, before: pause, run: () => write(join(saving.path, 'plain'), true) },
    ]);
    place.close();
    memory.close();
    saving.close();
    rmSync(scratch, { recursive: true });
    const what = 'save and fsync, 10,000 entries';
    const shared = { measure: 'save', what, ours: names.branch };
    return [
      compare(samples, { ...shared, rival: 'git commit', atLeast: 5 }),
      compare(samples, { ...shared, rival: names.disk }),
      compare(samples, { ...shared, rival: names.limit }),
      compare(undisturbed, { ...shared, what: `${what}, nothing in between`, rival: names.saving }),
      {
        kind: 'bound',
        measure: 'save',
        what,
        value: summary(samples.get(names.branch)!),
        unit: 'ms',
        atMost: 10,
      },
    ];
  },
};

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
}

/** What the objects of a save in the directory of 10,000 take: of the blob, of two trees, and of the commit. */
function savedBytes(repository: string): number[] {
  const options = { maxBuffer: 1024 * 1024 };
  const here = ['--git-dir', repository, 'cat-file', 'tree', 'entries:entries'];
  const tree = deflateSync(execFileSync('git', here, options), { level: 1 });
  return [40, tree.length, 60, 150];
}

export const bigWrite: Measure = {
  name: 'big-write',
  run: ({ data, places, rounds, isQuick }) => {
    const mebibytes = isQuick ? 256 : 1024;
    const peaks: number[] = [];
    const dd = `dd if=${data.bigFile} of=big bs=1M count=${mebibytes} conv=fsync status=none`;
    // So that no run waits for the disk to read it.
    shell(`cat ${data.bigFile}`, '/');
    let fresh: ReturnType<typeof freshBranch>;
    let directory: string;
    let memory: Place;
    // As much as any of them is going to use.
    const touch = (): void => {
      touchMemory(places.directory(), 3 * mebibytes);
    };
    const samples = interleave(2 * rounds - 1, [
      {
        name: names.branch,
        before: () => {
          fresh = freshBranch(places);
          touch();
        },
        run: () => shell(dd, fresh.branch),
        after: () => {
          peaks.push(memoryOf(fresh.place.pid!()).peakBytes / megabyte);
          fresh.place.close();
          rmSync(fresh.repository, { recursive: true });
        },
      },
      {
        name: names.disk,
        before: () => {
          directory = places.directory();
          touch();
        },
        run: () => shell(dd, directory),
        after: () => {
          rmSync(directory, { recursive: true });
        },
      },
      {
        name: names.limit,
        before: () => {
          memory = places.memory(names.limit);
          touch();
        },
        run: () => shell(dd, memory.path),
        after: () => {
          memory.close();
        },
      },
    ]);
    const what = `write ${mebibytes} MiB and fsync`;
    return [
      compare(samples, {
        measure: 'big-write',
        what,
        ours: names.branch,
        rival: names.disk,
        atLeast: 0.3,
      }),
      compare(samples, { measure: 'big-write', what, ours: names.branch, rival: names.limit }),
      {
        kind: 'bound',
        measure: 'big-write',
        what: 'memory of the daemon, peak',
        value: summary(peaks),
        unit: 'MB',
        atMost: 200,
      },
    ];
  },
};
