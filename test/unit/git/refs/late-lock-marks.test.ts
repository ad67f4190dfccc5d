import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bytesFromText } from '../../../../src/git/byte-string.ts';
import { Disk } from '../../../../src/git/disk.ts';
import { LateLockMarks } from '../../../../src/git/refs/late-lock-marks.ts';
import { LockMarks } from '../../../../src/git/refs/lock-marks.ts';
import { LockFile, deadlineAfter } from '../../../../src/git/refs/lock.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const disk = new Disk(true);

async function freshRefs(): Promise<{ commonDir: string; owners: () => Promise<string[]> }> {
  const commonDir = await temporaryDirectory();
  await mkdir(join(commonDir, 'refs/heads'), { recursive: true });
  return { commonDir, owners: () => readdir(join(commonDir, 'vost/locks')) };
}

test('nobody is there before the first lock, whose mark is that of the owner', async () => {
  const { commonDir, owners } = await freshRefs();
  const marks = await LateLockMarks.prepare(commonDir, disk);
  expect(await owners()).toEqual([]);
  const path = bytesFromText(join(commonDir, 'refs/heads/main'));
  const [lock] = await Promise.all([LockFile.acquire(path, deadlineAfter(0), marks), marks.open()]);
  const [owner = '', ...others] = await owners();
  expect(others).toEqual([]);
  expect((await marks.open())?.owner).toBe(owner);
  expect((await readdir(join(commonDir, 'vost/locks', owner))).sort()).toEqual(['1', 'alive']);
  await lock.release();
  await marks.close();
  expect(await owners()).toEqual([]);
});

test('what was closed opens nothing any more, and one that is being opened is closed', async () => {
  const { commonDir, owners } = await freshRefs();
  const untouched = await LateLockMarks.prepare(commonDir, disk);
  await untouched.close();
  expect(await untouched.open()).toBeUndefined();
  const busy = await LateLockMarks.prepare(commonDir, disk);
  const opening = busy.open();
  await busy.close();
  expect(await opening).toBeInstanceOf(LockMarks);
  expect(await owners()).toEqual([]);
});

test('makes no directory in the place of a repository that was moved away', async () => {
  const { commonDir } = await freshRefs();
  const marks = await LateLockMarks.prepare(commonDir, disk);
  await rename(commonDir, `${commonDir}.away`);
  await expect(marks.open()).rejects.toThrow('the repository is not there any more');
  await rename(`${commonDir}.away`, commonDir);
  expect(await marks.open()).toBeInstanceOf(LockMarks);
  await marks.close();
});

test('fails at once where nothing can be written, and again with each lock while that is so', async () => {
  const { commonDir, owners } = await freshRefs();
  await writeFile(join(commonDir, 'vost'), 'a file');
  await expect(LateLockMarks.prepare(commonDir, disk)).rejects.toThrow('ENOTDIR');
  await rm(join(commonDir, 'vost'));

  const marks = await LateLockMarks.prepare(commonDir, disk);
  await rm(join(commonDir, 'vost'), { recursive: true });
  await writeFile(join(commonDir, 'vost'), 'a file');
  const path = bytesFromText(join(commonDir, 'refs/heads/main'));
  for (let round = 0; round < 2; round++) {
    await expect(LockFile.acquire(path, deadlineAfter(0), marks)).rejects.toThrow('ENOTDIR');
  }
  await rm(join(commonDir, 'vost'));
  const lock = await LockFile.acquire(path, deadlineAfter(0), marks);
  expect(await owners()).toHaveLength(1);
  await lock.release();
  await marks.close();
});
