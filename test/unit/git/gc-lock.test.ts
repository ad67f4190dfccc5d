import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isGcRunning } from '../../../src/git/gc-lock.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

async function withLock(content: string, ageHours = 0): Promise<string> {
  const directory = await temporaryDirectory();
  const path = join(directory, 'gc.pid');
  await writeFile(path, content);
  const time = new Date(Date.now() - ageHours * 3_600_000);
  await utimes(path, time, time);
  return directory;
}

async function endedProcess(): Promise<number> {
  const child = spawn('true');
  await once(child, 'close');
  return child.pid ?? -1;
}

describe('the lock of git gc', () => {
  test('counts while its process lives', async () => {
    expect(await isGcRunning(await temporaryDirectory())).toBe(false);
    expect(await isGcRunning(await withLock(`${process.pid} ${hostname()}`))).toBe(true);
    expect(await isGcRunning(await withLock(`${await endedProcess()} ${hostname()}`))).toBe(false);
  });

  test('of another machine counts for half a day', async () => {
    expect(await isGcRunning(await withLock('1 elsewhere', 11))).toBe(true);
    expect(await isGcRunning(await withLock('1 elsewhere', 13))).toBe(false);
  });

  test('counts before anything is written to it', async () => {
    expect(await isGcRunning(await withLock(''))).toBe(true);
  });
});
