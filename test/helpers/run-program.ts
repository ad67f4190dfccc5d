import { access, constants } from 'node:fs/promises';
import { Socket } from 'node:net';
import { constants as system } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

/** What is run, and where. */
export interface ProgramRun {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string | undefined;
  /** All of its environment. `PATH` there tells where the program is. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Written to its standard input, which is then closed. */
  readonly input?: string | Uint8Array | undefined;
  /** The program and all that it started are ended after that, and the promise rejects. */
  readonly timeoutMs: number;
}

/** What a program left behind, whatever its exit code. */
export interface RunResult {
  /** `null` when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

// Node starts programs with fork(2), which copies the page tables of a process that runs tests: 15 to
// 40 ms, and a test starts dozens. posix_spawn(3) copies nothing.
const libc = koffi.load('libc.so.6');
const pipe2 = libc.func('int pipe2(_Out_ int *fds, int flags)');
const close = libc.func('int close(int fd)');
const waitpid = libc.func('int waitpid(int pid, _Out_ int *status, int options)');
const spawn = libc.func(
  'int posix_spawn(_Out_ int *pid, str path, void *actions, void *attributes, str *argv, str *envp)',
);
const actions = {
  init: libc.func('int posix_spawn_file_actions_init(void *actions)'),
  destroy: libc.func('int posix_spawn_file_actions_destroy(void *actions)'),
  chdir: libc.func('int posix_spawn_file_actions_addchdir_np(void *actions, str path)'),
  dup2: libc.func('int posix_spawn_file_actions_adddup2(void *actions, int fd, int to)'),
};
const attributes = {
  init: libc.func('int posix_spawnattr_init(void *attributes)'),
  setFlags: libc.func('int posix_spawnattr_setflags(void *attributes, short flags)'),
  setDefaultSignals: libc.func('int posix_spawnattr_setsigdefault(void *attributes, void *set)'),
};
// From <fcntl.h>, <spawn.h> and <sys/wait.h> of glibc; its structures take 336 bytes at most.
const O_CLOEXEC = 0o2000000;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
const WNOHANG = 1;
const structureBytes = 512;

/**
 * Runs a program to its end, in a session of its own, until nobody holds its output any more. Rejects only
 * when it cannot be started or runs past its time.
 */
export async function runProgram(run: ProgramRun): Promise<RunResult> {
  const path = await findProgram(run.program, run.env['PATH'] ?? '');
  const child = start(path, run);
  const tooLate = new AbortController();
  const timer = setTimeout(() => {
    tooLate.abort(
      new Error(`${run.program} ${run.args.join(' ')} ran longer than ${run.timeoutMs} ms`),
    );
    killGroup(child.pid);
  }, run.timeoutMs);
  try {
    const stdin = new Socket({ fd: child.stdin, readable: false, writable: true });
    // A program that does not read its input ends the pipe early; its exit code tells the story.
    stdin.on('error', () => undefined);
    stdin.end(run.input ?? '');
    const output = [child.stdout, child.stderr].map((fd) => readAll(fd, tooLate.signal));
    const [stdout, stderr] = (await Promise.all(output)) as [Buffer, Buffer];
    const exitCode = await exitOf(child.pid, tooLate.signal);
    return { exitCode, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

async function findProgram(program: string, searched: string): Promise<string> {
  if (program.includes('/')) return program;
  for (const directory of searched.split(delimiter)) {
    const path = join(directory, program);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  throw new Error(`there is no program ${program} in ${searched}`);
}

interface Child {
  readonly pid: number;
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
}

function start(path: string, { program, args, cwd, env }: ProgramRun): Child {
  const [stdin, stdout, stderr] = [pipe(), pipe(), pipe()];
  const files = Buffer.alloc(structureBytes);
  const settings = Buffer.alloc(structureBytes);
  check(actions.init(files));
  try {
    if (cwd !== undefined) check(actions.chdir(files, cwd));
    for (const [to, fd] of [stdin.reads, stdout.writes, stderr.writes].entries()) {
      check(actions.dup2(files, fd, to));
    }
    check(attributes.init(settings));
    const flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    check(attributes.setFlags(settings, flags));
    check(attributes.setDefaultSignals(settings, signalSet(system.signals.SIGPIPE)));
    const pid = [0];
    const variables = Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const argv = [program, ...args, null];
    check(spawn(pid, path, files, settings, argv, [...variables, null]), path);
    return { pid: pid[0]!, stdin: stdin.writes, stdout: stdout.reads, stderr: stderr.reads };
  } catch (error) {
    for (const fd of [stdin.writes, stdout.reads, stderr.reads]) close(fd);
    throw error;
  } finally {
    actions.destroy(files);
    for (const fd of [stdin.reads, stdout.writes, stderr.writes]) close(fd);
  }
}

function pipe(): { readonly reads: number; readonly writes: number } {
  const fds = [0, 0];
  if (pipe2(fds, O_CLOEXEC) !== 0) throw new Error('no pipe can be made');
  return { reads: fds[0]!, writes: fds[1]! };
}

/** Node ignores SIGPIPE, and what is ignored stays so in a program that is started. */
function signalSet(signal: number): Buffer {
  const set = Buffer.alloc(structureBytes);
  set.writeUInt32LE(1 << (signal - 1));
  return set;
}

/** These functions return what went wrong. */
function check(errno: unknown, path = 'posix_spawn'): void {
  if (errno !== 0) throw new Error(`${path}: ${getSystemErrorName(-Number(errno))}`);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended just now.
  }
}

/** All that comes out of a pipe, until nobody writes to it any more. */
function readAll(fd: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const pipe = new Socket({ fd, readable: true, writable: false, signal });
    pipe.on('data', (part: Buffer) => parts.push(part));
    pipe.on('error', () => reject(signal.reason as Error));
    pipe.on('end', () => resolve(Buffer.concat(parts)));
  });
}

async function exitOf(pid: number, signal: AbortSignal): Promise<number | null> {
  const status = [0];
  // What has closed its output ends, as a rule, within the millisecond.
  for (let waitMs = 0; waitpid(pid, status, WNOHANG) !== pid; waitMs = Math.min(50, waitMs + 1)) {
    signal.throwIfAborted();
    await sleep(waitMs);
  }
  const found = status[0]!;
  return (found & 0x7f) === 0 ? found >> 8 : null;
}
