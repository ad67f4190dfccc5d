import { readdirSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { RefLockedError } from '../../../../src/errors.ts';
import { bytesFromText } from '../../../../src/git/byte-string.ts';
import { Disk } from '../../../../src/git/disk.ts';
import { LockMarks } from '../../../../src/git/refs/lock-marks.ts';
import { acquireAll, deadlineAfter, LockFile, releaseAll } from '../../../../src/git/refs/lock.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { program, programResult } from '../../../helpers/program.ts';
import type { ProgramResult } from '../../../helpers/program.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

async function place(
  name: string,
): Promise<{ directory: string; path: string; target: ReturnType<typeof bytesFromText> }> {
  const directory = await temporaryDirectory();
  const path = join(directory, name);
  return { directory, path, target: bytesFromText(path) };
}

/** Where a link leads; nothing when it is gone. */
function readLink(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return [];
  }
}

afterEach(() => vi.useRealTimers());

describe('LockFile', () => {
  test('keeps others out until it is given up, and leaves nothing behind', async () => {
    const { directory, path, target } = await place('ref');
    const lock = await LockFile.acquire(target, deadlineAfter(0));
    const second = LockFile.acquire(target, deadlineAfter(30));
    await expect(second).rejects.toThrow(RefLockedError);
    await expect(second).rejects.toThrow(`${path}.lock exists`);
    await expect(second).rejects.toMatchObject({ path: `${path}.lock` });
    const third = LockFile.acquire(target, deadlineAfter(10_000));
    await lock.write('new', true);
    await lock.commit();
    await lock.release();
    const next = await third;
    expect(await readFile(path, 'utf8')).toBe('new');
    await next.release();
    await next.release();
    expect(await readdir(directory)).toEqual(['ref']);
  });

  test('replaces whatever is there, and lets go of it when the commit is over', async () => {
    const { directory, path, target } = await place('ref');
    // By which a repository is known that is there.
    await mkdir(join(directory, 'refs'));
    const marks = await LockMarks.open(directory, new Disk(true));
    const heldOpen = (): string[] =>
      readdirSync('/proc/self/fd')
        .flatMap((fd) => readLink(`/proc/self/fd/${fd}`))
        .filter((link) => link.startsWith(path));
    const put = async (content: string): Promise<void> => {
      const lock = await LockFile.acquire(target, deadlineAfter(0), marks);
      await lock.write(content, true);
      await lock.commit();
      expect(await readFile(path, 'utf8')).toBe(content);
    };
    await put('first');
    expect(heldOpen()).toEqual([]);
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    await put('second');
    expect(heldOpen()).toEqual([`${path} (deleted)`]);
    vi.runAllTimers();
    vi.useRealTimers();
    await eventually(() => expect(heldOpen()).toEqual([]));
    await program('rm', [path]);
    await program('mkfifo', [path]);
    await put('third');
    const refused = await LockFile.acquire(target, deadlineAfter(0), marks);
    await refused.write('never', true);
    await refused.release();
    await eventually(() => expect(heldOpen()).toEqual([]));
    expect(await readFile(path, 'utf8')).toBe('third');
    await marks?.close();
  });

  test('makes the directories that it needs, and replaces an empty one', async () => {
    const { directory, path, target } = await place('a/b/ref');
    await mkdir(join(path, 'empty'), { recursive: true });
    const lock = await LockFile.acquire(target, deadlineAfter(0));
    await lock.write('x', false);
    await lock.commit();
    expect(await readFile(path, 'utf8')).toBe('x');
    expect(await readdir(join(directory, 'a/b'))).toEqual(['ref']);
  });

  test('one that cannot be put in place still stands, and can be given up', async () => {
    const { directory, path, target } = await place('ref');
    await mkdir(path);
    await writeFile(join(path, 'file'), '');
    const lock = await LockFile.acquire(target, deadlineAfter(0));
    await lock.write('x', false);
    await expect(lock.commit()).rejects.toThrow();
    expect((await readdir(directory)).sort()).toEqual(['ref', 'ref.lock']);
    await lock.release();
    expect(await readdir(directory)).toEqual(['ref']);
  });

  test('a directory that others remove again and again is made again and again', async () => {
    const { directory, target } = await place('a/b/c/ref');
    let going = true;
    const remove = async (): Promise<void> => {
      while (going) {
        for (const name of ['a/b/c', 'a/b', 'a']) {
          await rmdir(join(directory, name)).catch(() => undefined);
        }
      }
    };
    const removing = remove();
    for (let round = 0; round < 100; round++) {
      const lock = await LockFile.acquire(target, deadlineAfter(0));
      await lock.release();
    }
    going = false;
    await removing;
  });

  /** Takes a lock in a process of its own, which then does something. */
  async function inProcess(path: string, then: string): Promise<ProgramResult> {
    const module = join(import.meta.dirname, '../../../../src/git/refs/lock.ts');
    const script = `
      const { deadlineAfter, LockFile } = await import(${JSON.stringify(module)});
      const lock = await LockFile.acquire(${JSON.stringify(path)}, deadlineAfter(0));
      console.log((await import('node:fs')).readdirSync(${JSON.stringify(dirname(path))}).join());
      setTimeout(() => process.exit(4), 20_000);
      ${then}`;
    const loader = join(import.meta.dirname, '../../../../scripts/typescript-loader.mjs');
    const args = ['--import', loader, '--input-type=module', '--eval', script];
    return programResult(process.execPath, args);
  }

  test('a process that ends by itself takes its locks along', async () => {
    const { directory, path } = await place('ref');
    const result = await inProcess(path, 'process.exit(3);');
    expect(result).toMatchObject({ exitCode: 3, stdout: 'ref.lock\n' });
    expect(await readdir(directory)).toEqual([]);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('so does one that %s ends', async (signal) => {
    const { directory, path } = await place('ref');
    const result = await inProcess(path, `process.kill(process.pid, '${signal}');`);
    expect(result).toMatchObject({ exitCode: null, stdout: 'ref.lock\n', stderr: '' });
    expect(await readdir(directory)).toEqual([]);
  });

  test('a program that listens to a signal itself goes on, and keeps its locks until it is done', async () => {
    const { directory, path } = await place('ref');
    const result = await inProcess(
      path,
      `process.once('SIGTERM', () => setTimeout(async () => {
        await lock.write('new', false);
        await lock.commit();
        console.log(process.listenerCount('SIGTERM'), process.listenerCount('SIGINT'));
        process.exit(5);
      }, 50));
      process.kill(process.pid, 'SIGTERM');`,
    );
    expect(result).toMatchObject({ exitCode: 5, stdout: 'ref.lock\n0 0\n', stderr: '' });
    expect(await readdir(directory)).toEqual(['ref']);
  });
});

test('those who take two locks in opposite orders do not wait for each other for ever', async () => {
  const { target: one } = await place('one');
  const { target: two } = await place('two');
  const take = async (...targets: (typeof one)[]): Promise<void> => {
    for (let round = 0; round < 20; round++) {
      const files = new Map(targets.map((target) => [target, target]));
      const locks = await acquireAll(files, deadlineAfter(20_000));
      await new Promise(setImmediate);
      await releaseAll(locks.values());
    }
  };
  await Promise.all([take(one, two), take(two, one)]);
});

test('all locks or none', async () => {
  const { directory, target } = await place('one');
  const other = bytesFromText(join(directory, 'two'));
  const held = await LockFile.acquire(other, deadlineAfter(0));
  const files = new Map([
    ['one', target],
    ['two', other],
  ]);
  await expect(acquireAll(files, deadlineAfter(100))).rejects.toThrow('two.lock exists');
  expect(await readdir(directory)).toEqual(['two.lock']);
  await held.release();
});
