import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Acknowledgement } from '../crash/crash-writers.ts';
import { afterEachFile } from './after-file.ts';
import { program } from './program.ts';

const loader = fileURLToPath(new URL('../../scripts/typescript-loader.mjs', import.meta.url));

/** An fsync waits for whoever holds a lock, and the machine may be busy. */
const finishTimeoutMs = 120_000;

const writers = new Set<ChildProcess>();
afterEachFile(() => writers.forEach((writer) => writer.kill('SIGKILL')));

/** A process that writes, and what it was told to be safe. */
export interface Writer {
  readonly acknowledged: readonly Acknowledgement[];
  /** Kills it, in the middle of what it does. All that it has complained of must match. */
  kill(allowed: RegExp): Promise<void>;
  hasEnded(): boolean;
  /** Has it pause after what it does now, until `goOn`. */
  rest(): void;
  goOn(): void;
  /** Has it end after what it does now. It must not have complained of anything. */
  finish(): Promise<void>;
}

/**
 * Starts a writer in a directory of a mount.
 *
 * @param sayHere the descriptor to which it writes what it was told, in place of `acknowledged`
 */
export function startWriter(
  directory: string,
  seed: number,
  sayHere: number | 'pipe' = 'pipe',
): Writer {
  return start('crash-writers.ts', [directory, `${seed}`], sayHere);
}

/** Starts a process that commits to a repository with the library. */
export function startStoreWriter(gitDir: string, sayHere: number): Writer {
  return start('store-writer.ts', [gitDir], sayHere);
}

function start(name: string, its: readonly string[], sayHere: number | 'pipe'): Writer {
  const stop = join(mkdtempSync(join(tmpdir(), 'vost-test-')), 'stop');
  const path = fileURLToPath(new URL(`../crash/${name}`, import.meta.url));
  const args = ['--import', loader, path, ...its, stop];
  const child = spawn(process.execPath, args, { stdio: ['ignore', sayHere, 'pipe'] });
  writers.add(child);
  const closed = once(child, 'close').finally(() => rmSync(dirname(stop), { recursive: true }));
  let text = '';
  let said = '';
  const acknowledged: Acknowledgement[] = [];
  child.stdout?.on('data', (chunk: Buffer) => {
    const lines = (text + chunk.toString()).split('\n');
    text = lines.pop()!;
    for (const line of lines) acknowledged.push(JSON.parse(line) as Acknowledgement);
  });
  child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return {
    acknowledged,
    kill: async (allowed) => {
      child.kill('SIGKILL');
      await closed;
      if (said !== '') expect(said).toMatch(allowed);
    },
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    rest: () => {
      if (child.exitCode === null) writeFileSync(`${stop}-rest`, '');
    },
    goOn: () => rmSync(`${stop}-rest`, { force: true }),
    finish: async () => {
      if (child.exitCode === null) writeFileSync(stop, '');
      const timer = setTimeout(() => child.kill('SIGKILL'), finishTimeoutMs);
      const [exitCode] = (await closed) as [number | null];
      clearTimeout(timer);
      expect({ exitCode, said }).toEqual({ exitCode: 0, said: '' });
    },
  };
}

/** The last word about each path. */
export function lastOf(acknowledged: readonly Acknowledgement[]): Acknowledgement[] {
  return [...new Map(acknowledged.map((entry) => [entry.path, entry])).values()];
}

/** Finds everything that was acknowledged. In processes of their own, as everything that touches a mount. */
export async function checkAcknowledged(acknowledged: readonly Acknowledgement[]): Promise<void> {
  const of = (...kinds: readonly Acknowledgement['kind'][]): Acknowledgement[] =>
    acknowledged.filter(({ kind }) => kinds.includes(kind));
  const files = of('file');
  const sums = await program('sha1sum', ['/dev/null', ...files.map(({ path }) => path)]);
  const expected = files.map(({ path, value }) => `${value}  ${path}`);
  expect(sums.trimEnd().split('\n').slice(1)).toEqual(expected);
  const gone = of('gone').map(({ path }) => path);
  expect(
    await program('sh', [
      '-c',
      'for path; do ! test -e "$path" || echo "$path"; done',
      'sh',
      ...gone,
    ]),
  ).toBe('');
  for (const entry of of('record', 'rewrite')) await checkLines(entry);
}

async function checkLines({ kind, path, value }: Acknowledgement): Promise<void> {
  const lines = (await program('cat', [path], { timeoutMs: 10_000 })).split('\n');
  expect(lines.pop(), `${path} is torn`).toBe('');
  if (kind === 'record') {
    expect(lines, path).toContain(`record ${value}`);
    expect(
      lines.every((line) => /^record \d+$/.test(line)),
      `${path} is torn`,
    ).toBe(true);
  } else {
    const step = Number(lines[0]);
    expect(step, path).toBeGreaterThanOrEqual(Number(value));
    expect(lines, `${path} is torn`).toEqual(
      Array.from({ length: 1 + (step % 3000) }, () => `${step}`),
    );
  }
}
