import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { fsck } from '../../test/helpers/git.ts';
import { program, programResult } from '../../test/helpers/program.ts';
import { shownTree, storedTree } from '../../test/helpers/tree-listing.ts';
import { memoryOf } from '../bench/suite/places.ts';
import type { Outcome, Row, Suite } from './suite.ts';

const vostMount = fileURLToPath(new URL('../../dist/bin/vost-mount.js', import.meta.url));
const branch = 'suite';
const startTimeoutMs = 60_000;
const endTimeoutMs = 130_000;

/** Runs a suite on the disk and on a branch, below an empty directory. */
export async function runSuite(suite: Suite, directory: string): Promise<Row> {
  const onDisk = join(directory, 'disk');
  await mkdir(onDisk);
  const disk = await run(suite, suite.script, onDisk);
  const mount = new Mount(directory);
  const faults: string[] = [];
  let outcome: Outcome = { kind: 'failed', reason: 'did not begin' };
  const check = async (what: string, look: () => Promise<void>): Promise<void> => {
    try {
      await look();
    } catch (error) {
      faults.push(`${what}: ${firstLines((error as Error).message)}`);
    }
  };
  try {
    await mount.open();
    await mkdir(mount.branchPath);
    outcome = await run(suite, suite.script, mount.branchPath);
    await check('what is committed', () => mount.compare());
    await mount.close();
    await mount.open();
    if (suite.again !== undefined && outcome.kind === 'passed') {
      const again = await run(suite, suite.again, mount.branchPath);
      if (again.kind !== 'passed') outcome = { kind: 'failed', reason: `again: ${again.reason}` };
    }
    await check('after another mount', () => mount.compare());
    await mount.close();
  } catch (error) {
    faults.push(firstLines((error as Error).message));
    await mount.kill();
  }
  await check('git fsck', () => fsck(mount.gitDir));
  await check('the log', () => mount.checkLog());
  return { suite, disk, mount: outcome, faults, daemonPeakBytes: mount.peakBytes };
}

async function run(suite: Suite, script: string, cwd: string): Promise<Outcome> {
  const timeoutMs = suite.timeoutSec * 1000;
  try {
    const result = await programResult('bash', ['-c', script], { cwd, timeoutMs });
    const output = result.stdout + result.stderr;
    if (result.exitCode === 0) return { kind: 'passed', figure: suite.figure(result.stdout) };
    const kind = result.exitCode === 3 || result.exitCode === 4 ? 'skipped' : 'failed';
    return { kind, reason: telling(output) };
  } catch (error) {
    return { kind: 'failed', reason: (error as Error).message.split('\n').at(-1)! };
  }
}

/** The lines that say why. */
function telling(output: string): string {
  const lines = output.trim().split('\n');
  const said = lines.filter((line) => /fail|error|skip|cannot|verify|not /i.test(line));
  return firstLines((said.length > 0 ? said : lines.slice(-2)).join('\n'));
}

function firstLines(text: string): string {
  return text.trim().split('\n').slice(0, 3).join(' / ').replaceAll('|', '¦').slice(0, 300);
}

/** A repository, and its mount. */
class Mount {
  readonly gitDir: string;
  readonly branchPath: string;
  peakBytes = 0;
  readonly #mountpoint: string;
  readonly #log: string;
  #pid: number | undefined;
  #end: Promise<{ readonly code: number | null; readonly signal: string | null }> | undefined;

  constructor(directory: string) {
    this.gitDir = join(directory, 'repo.git');
    this.#mountpoint = join(directory, 'mnt');
    this.branchPath = join(this.#mountpoint, branch);
    this.#log = join(directory, 'log');
  }

  async open(): Promise<void> {
    await mkdir(this.#mountpoint, { recursive: true });
    const args = [vostMount, '-f', this.gitDir, this.#mountpoint, '--log-file', this.#log];
    const daemon = spawn(process.execPath, args, { cwd: '/', stdio: 'ignore' });
    this.#pid = daemon.pid;
    this.#end = once(daemon, 'exit').then(([code, signal]) => {
      this.#pid = undefined;
      return { code: code as number | null, signal: signal as string | null };
    });
    const deadlineMs = Date.now() + startTimeoutMs;
    while (!(await this.#isThere())) {
      if (this.#pid === undefined) throw new Error(`the daemon ended: ${await this.#howItEnded()}`);
      if (Date.now() > deadlineMs) throw new Error('it did not mount in time');
      await sleep(50);
    }
  }

  /** The orderly end. */
  async close(): Promise<void> {
    this.#measure();
    if (this.#pid !== undefined) process.kill(this.#pid, 'SIGTERM');
    const how = await this.#howItEnded();
    if (how !== 'exit code 0') throw new Error(`the daemon ended: ${how}`);
  }

  /** The mount goes, whatever hangs. */
  async kill(): Promise<void> {
    this.#measure();
    if (this.#pid !== undefined) process.kill(this.#pid, 'SIGKILL');
    await programResult('umount', ['-i', '-l', this.#mountpoint]);
  }

  async #isThere(): Promise<boolean> {
    const type = await programResult('findmnt', ['-n', '-o', 'FSTYPE', '-M', this.#mountpoint]);
    return type.stdout.trim() === 'fuse.vost';
  }

  async #howItEnded(): Promise<string> {
    const end = await Promise.race([this.#end, sleep(endTimeoutMs)]);
    if (end === undefined) return 'not in time';
    return end.signal ?? `exit code ${end.code ?? '?'}`;
  }

  /** Throws unless the last commit is what the branch shows. */
  async compare(): Promise<void> {
    await program('sync', [this.branchPath], { timeoutMs: 120_000 });
    const shown = (await shownTree(this.gitDir, this.branchPath)).map(asStored);
    const stored = await storedTree(this.gitDir, branch);
    const missing = without(shown, stored);
    const extra = without(stored, shown);
    if (missing.length + extra.length === 0) return;
    const some = (lines: readonly string[]): string => lines.slice(0, 2).join(', ');
    throw new Error(`not committed: ${some(missing)}; only committed: ${some(extra)}`);
  }

  /** Throws when the daemon has met an error. */
  async checkLog(): Promise<void> {
    const errors = (await readFile(this.#log, 'utf8'))
      .split('\n')
      .filter((line) => /^\S+ error /.test(line));
    if (errors.length > 0) throw new Error(errors.join('\n'));
  }

  #measure(): void {
    if (this.#pid === undefined) return;
    this.peakBytes = Math.max(this.peakBytes, memoryOf(this.#pid).peakBytes);
  }
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return lines.filter((line) => !known.has(line));
}

/** Of a mode git keeps whether the owner executes. */
function asStored(line: string): string {
  return line.replace(/^100(\d)\d\d /, (_all, owner: string) => {
    return (Number(owner) & 1) === 0 ? '100644 ' : '100755 ';
  });
}
