import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const loader = join(root, 'scripts/typescript-loader.mjs');
const memoryDaemon = join(root, 'test/fixtures/memory-filesystem-daemon.ts');

/** A directory that can be measured, and how to get rid of it. */
export interface Place {
  readonly name: string;
  readonly path: string;
  /** The process that serves it; to ask takes a while. */
  readonly pid?: () => number;
  readonly close: () => void;
}

/** What a filesystem in memory is like. */
export interface MemoryOptions {
  readonly tree?: string;
  readonly savedBytes?: readonly number[];
}

/** Makes mounts below one directory; what is left at the end is unmounted. */
export class Places {
  readonly #scratch: string;
  readonly #vostMount: string;
  readonly #open = new Set<string>();

  /** `dist` is the compiled package. */
  constructor(scratch: string, dist: string) {
    this.#scratch = scratch;
    this.#vostMount = join(dist, 'bin/vost-mount');
  }

  /** Whatever went wrong: no mount is left behind. */
  closeAll(): void {
    for (const path of this.#open) spawnSync('umount', ['-i', '-l', path], { stdio: 'ignore' });
    this.#open.clear();
  }

  /** A mount of this package. */
  vost(name: string, repository: string, args: readonly string[]): Place {
    const path = this.directory();
    this.#run([repository, path, ...args]);
    this.#open.add(path);
    const close = (): void => void this.#run(['unmount', path]);
    const pid = (): number =>
      (JSON.parse(this.#run(['status', '--json', path])) as { pid: number }).pid;
    return this.#place(name, path, close, pid);
  }

  /**
   * Mounts as the README does, from a shell, and reads the first byte of a file: how many milliseconds
   * that took. (To start a program takes a process of Node 15 ms more.)
   */
  firstByte(repository: string, file: string): { readonly ms: number; readonly close: () => void } {
    const path = this.directory();
    const script = `from=$EPOCHREALTIME; "$0" "$1" "$2"; read -rN1 < "$2/$3"; echo "$from $EPOCHREALTIME"`;
    const args = ['-ec', script, this.#vostMount, repository, path, file];
    const env = { ...process.env, LC_ALL: 'C' };
    const printed = execFileSync('bash', args, { encoding: 'utf8', env });
    this.#open.add(path);
    const [from = NaN, to = NaN] = printed.split(' ').map(Number);
    const { close } = this.#place(path, path, () => void this.#run(['unmount', path]));
    return { ms: (to - from) * 1000, close };
  }

  /** A libfuse filesystem that passes everything on to a directory. */
  bindfs(name: string, target: string): Place {
    const path = this.directory();
    execFileSync('bindfs', [target, path]);
    this.#open.add(path);
    return this.#place(name, path, () => void execFileSync('umount', [path]));
  }

  /**
   * What the transport can do at best: a filesystem in memory over it. Empty, or with a copy of `tree`, in
   * which case nobody has asked it for anything of that. With `savedBytes` each fsync asks of the disk what
   * a save does whose objects have these sizes. Its process gets its memory as the script of `vost-mount`
   * has it, and as many threads as its daemon.
   */
  memory(name: string, { tree, savedBytes }: MemoryOptions = {}): Place {
    const path = this.directory();
    const saves = savedBytes && { directory: this.directory(), sizesBytes: savedBytes };
    const args = [
      '--import',
      loader,
      memoryDaemon,
      path,
      JSON.stringify({ tree, saves, isPrivate: true }),
    ];
    const script = readFileSync(this.#vostMount, 'utf8');
    const [, tunables = ''] = /GLIBC_TUNABLES-(.*)\}"/.exec(script) ?? [];
    if (tunables === '') throw new Error(`${this.#vostMount} sets no GLIBC_TUNABLES`);
    const env = { GLIBC_TUNABLES: tunables, UV_THREADPOOL_SIZE: '8', ...process.env };
    const daemon = spawn(process.execPath, args, { stdio: 'ignore', env });
    daemon.unref();
    this.#open.add(path);
    waitFor(() => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `));
    const unmount = (): void => void execFileSync('umount', ['-i', path]);
    // Beside the files that it makes trouble with.
    const inside = join(path, 'tree');
    // This waits until it serves, too.
    if (tree === undefined) execFileSync('mkdir', [inside]);
    else statSync(path);
    return { ...this.#place(name, path, unmount), path: inside };
  }

  /** A fresh directory on the disk. */
  directory(): string {
    return mkdtempSync(join(this.#scratch, 'place-'));
  }

  #place(name: string, path: string, unmount: () => void, pid?: () => number): Place {
    const close = (): void => {
      unmount();
      this.#open.delete(path);
      rmSync(path, { recursive: true });
    };
    return { name, path, close, ...(pid === undefined ? {} : { pid }) };
  }

  #run(args: readonly string[]): string {
    return execFileSync(this.#vostMount, args, { encoding: 'utf8' });
  }
}

/** The memory of a process in bytes: now, and at most so far. */
export function memoryOf(pid: number): { readonly nowBytes: number; readonly peakBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { nowBytes: field('VmRSS'), peakBytes: field('VmHWM') };
}

function waitFor(condition: () => boolean): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; !condition(); tries++) {
    if (tries === 1000) throw new Error('no mount after 10 s');
    Atomics.wait(cell, 0, 0, 10);
  }
}
