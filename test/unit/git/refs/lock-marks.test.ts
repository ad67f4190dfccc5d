import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { bytesFromText } from '../../../../src/git/byte-string.ts';
import { Disk } from '../../../../src/git/disk.ts';
import { LateLockMarks } from '../../../../src/git/refs/late-lock-marks.ts';
import { deadlineAfter, LockFile } from '../../../../src/git/refs/lock.ts';
import { LockMarks } from '../../../../src/git/refs/lock-marks.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

async function freshRefs(): Promise<string> {
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'refs/heads/deep'), { recursive: true });
  return directory;
}

/** A process that takes locks, marked, and never lets go of them. */
async function holder(
  commonDir: string,
  refs: readonly string[],
): Promise<{ end: (signal: NodeJS.Signals) => Promise<void> }> {
  const script = `
    import { LockMarks } from '${root}src/git/refs/lock-marks.ts';
    import { LockFile, deadlineAfter } from '${root}src/git/refs/lock.ts';
    const marks = await LockMarks.open(${JSON.stringify(commonDir)});
    for (const ref of ${JSON.stringify(refs)}) {
      await LockFile.acquire(${JSON.stringify(commonDir)} + '/' + ref, deadlineAfter(0), marks);
    }
    console.log('held');
    setInterval(() => undefined, 1000);
  `;
  const loader = join(root, 'scripts/typescript-loader.mjs');
  const child = spawn(process.execPath, ['--import', loader, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('the holder ended before it had its locks'))),
  ]);
  return {
    end: async (signal) => {
      child.kill(signal);
      await ended;
    },
  };
}

async function locks(commonDir: string): Promise<string[]> {
  const names = await readdir(commonDir, { recursive: true });
  return names.filter((name) => name.endsWith('.lock')).sort();
}

async function take(commonDir: string, ref: string, marks?: LockMarks): Promise<LockFile> {
  return LockFile.acquire(bytesFromText(join(commonDir, ref)), deadlineAfter(0), marks);
}

test('the locks of a killed process are removed by who never takes one, when he ends', async () => {
  const commonDir = await freshRefs();
  const killed = await holder(commonDir, ['refs/heads/main']);
  await killed.end('SIGKILL');
  const marks = await LateLockMarks.prepare(commonDir, new Disk(true));
  expect(await locks(commonDir)).toEqual(['refs/heads/main.lock']);
  await marks.close();
  expect(await locks(commonDir)).toEqual([]);
  expect(await readdir(join(commonDir, 'vost/locks'))).toEqual([]);
});

test('the locks of a killed process are removed, those of a live one and of strangers are not', async () => {
  const commonDir = await freshRefs();
  await writeFile(join(commonDir, 'refs/heads/stranger.lock'), '');
  const killed = await holder(commonDir, ['HEAD', 'refs/heads/deep/main', 'packed-refs']);
  const alive = await holder(commonDir, ['refs/heads/other']);
  await killed.end('SIGKILL');
  const all = [
    'HEAD',
    'packed-refs',
    ...['deep/main', 'other', 'stranger'].map((name) => `refs/heads/${name}`),
  ];
  expect(await locks(commonDir)).toEqual(all.map((name) => `${name}.lock`));

  const marks = (await LockMarks.open(commonDir))!;
  expect(await locks(commonDir)).toEqual(['refs/heads/other.lock', 'refs/heads/stranger.lock']);
  await expect(take(commonDir, 'refs/heads/other', marks)).rejects.toThrow('other.lock exists');
  await alive.end('SIGKILL');
  await marks.close();

  const again = (await LockMarks.open(commonDir))!;
  expect(await locks(commonDir)).toEqual(['refs/heads/stranger.lock']);
  await again.close();
  expect(await readdir(join(commonDir, 'vost/locks'))).toEqual([]);
});

test('several who clear up at once do it once, and never a lock that was taken since', async () => {
  const commonDir = await freshRefs();
  for (let round = 0; round < 3; round++) {
    const killed = await holder(commonDir, ['refs/heads/main']);
    await killed.end('SIGKILL');
    await Promise.all(
      Array.from({ length: 4 }, async (_, index) => {
        const marks = (await LockMarks.open(commonDir))!;
        // All of them want the lock that was abandoned; whoever has it keeps it for a moment.
        const path = bytesFromText(join(commonDir, 'refs/heads/main'));
        const lock = await LockFile.acquire(path, deadlineAfter(10_000), marks);
        await lock.write(`${index}\n`, false);
        expect((await stat(join(commonDir, 'refs/heads/main.lock'))).size).toBe(2);
        await lock.commit();
        await marks.close();
      }),
    );
    expect(await locks(commonDir)).toEqual([]);
  }
});

test('a lock that was let go of leaves no mark', async () => {
  const commonDir = await freshRefs();
  const marks = (await LockMarks.open(commonDir))!;
  const [owner] = await readdir(join(commonDir, 'vost/locks'));
  const committed = await take(commonDir, 'refs/heads/a', marks);
  await committed.write('a\n', true);
  await committed.commit();
  await (await take(commonDir, 'refs/heads/b', marks)).release();
  const held = await take(commonDir, 'refs/heads/c', marks);
  await expect(take(commonDir, 'refs/heads/c', marks)).rejects.toThrow('c.lock exists');
  // That of the one that was committed goes when the commit is over.
  await eventually(async () => {
    const names = await readdir(join(commonDir, 'vost/locks', owner!));
    expect(names.sort()).toEqual(['3', 'alive']);
  });
  await held.release();
  expect((await stat(join(commonDir, 'refs/heads/a'))).nlink).toBe(1);
  await marks.close();
});

test('works below a path that is longer than a socket may have', async () => {
  const commonDir = join(await freshRefs(), 'x'.repeat(120));
  await mkdir(join(commonDir, 'refs/heads'), { recursive: true });
  const killed = await holder(commonDir, ['refs/heads/main']);
  const marks = (await LockMarks.open(commonDir))!;
  expect(await locks(commonDir)).toEqual(['refs/heads/main.lock']);
  await killed.end('SIGKILL');
  await marks.close();
  await (await LockMarks.open(commonDir))!.close();
  expect(await locks(commonDir)).toEqual([]);
});

test('what a process of another machine holds is left alone', async () => {
  const commonDir = await freshRefs();
  const marks = (await LockMarks.open(commonDir))!;
  await marks.close();
  const foreign = join(commonDir, 'vost/locks', `${'0'.repeat(16)}-${'1'.repeat(16)}-abc`);
  await mkdir(foreign);
  await (await LockMarks.open(commonDir))!.close();
  expect(await readdir(join(commonDir, 'vost/locks'))).toHaveLength(1);
});
