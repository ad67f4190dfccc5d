import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ObjectDatabase } from '../../src/git/odb/object-database.ts';
import { PackKeeps } from '../../src/git/odb/pack-keeps.ts';
import type { Oid } from '../../src/git/oid.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { countObjects, openFileMethods, temporaryFiles } from '../helpers/staging.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

let gitDir = '';
let packs = '';
let odb: ObjectDatabase;

beforeEach(async () => {
  gitDir = await temporaryDirectory();
  packs = join(gitDir, 'objects/pack');
  await git(['init', '-q', '--bare', gitDir]);
  // A `git gc` is at work.
  await writeFile(join(gitDir, 'gc.pid'), `${process.pid} ${hostname()}`);
  odb = await openDatabase();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await odb.close();
  await endGc();
  await fsck(gitDir);
});

function openDatabase(): Promise<ObjectDatabase> {
  return ObjectDatabase.open({
    objectsDirectory: join(gitDir, 'objects'),
    algorithm: 'sha1',
    compressionLevel: 1,
  });
}

/** Publishes some objects as many commits do, each in a pack of its own; gives their ids. */
async function publish(count: number, text: (at: number) => string): Promise<Oid[]> {
  const area = odb.stage();
  const oids: Oid[] = [];
  for (let at = 0; at < count; at++) {
    const oid = await area.write('blob', Buffer.from(text(at)));
    const keeps = new PackKeeps();
    await area.publish([oid], { fsync: false, besideGc: true, keeps });
    await keeps.letGo();
    oids.push(oid);
  }
  await area.discard();
  return oids;
}

async function listed(ending: string): Promise<string[]> {
  return (await readdir(packs)).filter((name) => name.endsWith(ending));
}

const indexes = (): Promise<string[]> => listed('.idx');

async function endGc(): Promise<void> {
  await rm(join(gitDir, 'gc.pid'), { force: true });
}

/** Waits until there are no more than that when the `git gc` has ended. */
async function untilMerged(most: number): Promise<void> {
  await endGc();
  await eventually(async () => expect((await indexes()).length).toBeLessThanOrEqual(most));
}

/** Removes the loose copies, and looks for all of them in what is left. */
async function expectAllPacked(oids: readonly Oid[]): Promise<void> {
  await eventually(async () => {
    // What goes from one pack to another meanwhile is not pruned.
    await git(['prune-packed', '-q'], { cwd: gitDir });
    expect((await countObjects(gitDir)).loose).toBe(0);
  });
  const found = await git(['cat-file', '--batch-check'], { cwd: gitDir, input: oids.join('\n') });
  expect(
    found
      .trimEnd()
      .split('\n')
      .filter((line) => !line.includes(' blob ')),
  ).toEqual([]);
  const other = await openDatabase();
  for (const database of [odb, other]) expect(await database.firstMissing(oids)).toBeUndefined();
  await other.close();
}

describe('packs that were made beside a git gc', () => {
  test('are merged, and merged ones again, and hold what they held', async () => {
    // So that there are never many of them, which takes its time.
    await endGc();
    const oids = await publish(32 * 33, (at) => `content ${at}`);
    await untilMerged(8);
    await expectAllPacked(oids);
    // One that was merged twice has a thousand of them.
    const counts = await Promise.all(
      (await indexes()).map(async (name) => {
        const lines = await git(['show-index'], {
          cwd: gitDir,
          input: await readFile(join(packs, name)),
        });
        return lines.trimEnd().split('\n').length;
      }),
    );
    expect(Math.max(...counts)).toBeGreaterThan(500);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(oids.length);
  });

  test('leave nothing half done when the repository is closed', async () => {
    const oids = await publish(32, (at) => `content ${at}`);
    await odb.close();
    expect((await temporaryFiles(gitDir)).filter((name) => !name.includes('spare'))).toEqual([]);
    odb = await openDatabase();
    await expectAllPacked(oids);
  });

  test('go beside it already, their indexes when it has ended', async () => {
    const oids = await publish(32, (at) => `content ${at}`);
    const old = await indexes();
    await eventually(async () => expect((await listed('.pack')).length).toBeLessThanOrEqual(2));
    expect(await indexes()).toEqual(expect.arrayContaining(old));
    // Git takes them for leftovers, and finds everything.
    await expectAllPacked(oids);
    await sleep(1200);
    expect(await indexes()).toEqual(expect.arrayContaining(old));
    await untilMerged(2);
    await eventually(async () => expect(await temporaryFiles(gitDir)).toEqual([]));
  });

  test('leave no index behind when the repository is closed after it', async () => {
    const oids = await publish(32, (at) => `content ${at}`);
    await eventually(async () => expect((await listed('.pack')).length).toBeLessThanOrEqual(2));
    expect((await indexes()).length).toBeGreaterThan(32);
    await endGc();
    await odb.close();
    expect((await indexes()).length).toBe((await listed('.pack')).length);
    odb = await openDatabase();
    await expectAllPacked(oids);
  });

  test('leave the index of a pack alone that has got the name of one', async () => {
    const oids = await publish(32, (at) => `content ${at}`);
    const old = await indexes();
    const kept = await mkdtemp(join(gitDir, 'kept-'));
    for (const name of await readdir(packs)) {
      if (name.startsWith('pack-')) await copyFile(join(packs, name), join(kept, name));
    }
    await eventually(async () => expect((await listed('.pack')).length).toBeLessThanOrEqual(2));
    // The `git gc` removes a leftover, and a commit comes to the same pack as before.
    const name = old.find((one) => existsSync(join(kept, one.replace('.idx', '.pack'))))!;
    await rm(join(packs, name));
    for (const one of [name.replace('.idx', '.pack'), name]) {
      await copyFile(join(kept, one), join(packs, one));
    }
    await untilMerged(3);
    await eventually(async () => expect(await temporaryFiles(gitDir)).toEqual([]));
    expect(await indexes()).toContain(name);
    await rm(kept, { recursive: true });
    await expectAllPacked(oids);
  });

  test('stay when the one in their place is gone, or has lost its index until it is put back', async () => {
    const oids = await publish(32, (at) => `content ${at}`);
    const before = await indexes();
    await eventually(async () => expect((await indexes()).length).toBeGreaterThan(32));
    const [merged] = (await indexes()).filter((name) => !before.includes(name));
    await rm(join(packs, merged!.replace('pack-', 'vost_spare_').replace('.idx', '')));
    for (const name of [merged!, merged!.replace('.idx', '.pack')]) await rm(join(packs, name));
    await sleep(1500);
    expect(await listed('.pack')).toHaveLength(32);

    const more = await publish(32, (at) => `more ${at}`);
    const known = await indexes();
    await eventually(async () => expect((await indexes()).length).toBeGreaterThan(known.length));
    const [next] = (await indexes()).filter((name) => !known.includes(name));
    await rm(join(packs, next!));
    await eventually(async () => expect(await indexes()).toContain(next));
    await endGc();
    await expectAllPacked([...oids, ...more]);
  });

  test('stay when they are protected, or somebody has added to them', async () => {
    const oids = await publish(20, (at) => `content ${at}`);
    const [kept, mapped] = await indexes();
    await writeFile(join(packs, kept!.replace('.idx', '.keep')), '');
    await writeFile(join(packs, mapped!.replace('.idx', '.rev')), '');
    oids.push(...(await publish(12, (at) => `more ${at}`)));
    await untilMerged(4);
    expect(await indexes()).toEqual(expect.arrayContaining([kept, mapped]));
    await rm(join(packs, mapped!.replace('.idx', '.rev')));
    await expectAllPacked(oids);
  });

  test('stay beside an index over many packs, and go when that has gone', async () => {
    const oids = await publish(10, (at) => `content ${at}`);
    await git(['multi-pack-index', 'write'], { cwd: gitDir });
    oids.push(...(await publish(40, (at) => `more ${at}`)));
    expect(await indexes()).toHaveLength(50);
    await rm(join(packs, 'multi-pack-index'));
    oids.push(...(await publish(14, (at) => `last ${at}`)));
    await untilMerged(2);
    await expectAllPacked(oids);
  });

  test('stay when one of them is damaged: that one alone', async () => {
    await publish(1, () => 'damaged');
    const [damaged] = await indexes();
    const path = join(packs, damaged!.replace('.idx', '.pack'));
    const bytes = await readFile(path);
    const undamaged = Buffer.from(bytes);
    bytes.fill(0xff, 14, bytes.length - 24);
    await chmod(path, 0o644);
    await writeFile(path, bytes);
    const oids = await publish(31, (at) => `content ${at}`);
    await untilMerged(3);
    expect(await indexes()).toContain(damaged);
    await writeFile(path, undamaged);
    await expectAllPacked(oids);
  });

  test('stay when there is no room for a new one, and are merged when there is', async () => {
    const oids = await publish(31, (at) => `content ${at}`);
    const sync = vi.spyOn(openFileMethods, 'sync');
    sync.mockRejectedValue(Object.assign(new Error('no room'), { code: 'ENOSPC' }));
    oids.push(...(await publish(1, () => 'one more')));
    await eventually(() => expect(sync).toHaveBeenCalled());
    await eventually(async () => {
      const names = (await temporaryFiles(gitDir)).filter((name) => !name.includes('spare'));
      expect(names).toEqual([]);
    });
    expect(await indexes()).toHaveLength(32);
    sync.mockRestore();
    oids.push(...(await publish(32, (at) => `more ${at}`)));
    await untilMerged(4);
    await expectAllPacked(oids);
  });
});
