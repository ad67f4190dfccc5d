import { join } from 'node:path';
import { onTestFinished, describe, expect, test, vi } from 'vitest';
import { ObjectDatabase } from '../../../../src/git/odb/object-database.ts';
import { ContentStore } from '../../../../src/mount/branch/content-store.ts';
import type { BufferContent } from '../../../../src/mount/branch/write-buffer.ts';
import { memoryLog } from '../helpers/fake-nodes.ts';
import { newRepository } from './branch-mount.ts';

async function newStore() {
  const gitDir = await newRepository({});
  const odb = await ObjectDatabase.open({
    objectsDirectory: join(gitDir, 'objects'),
    algorithm: 'sha1',
    compressionLevel: 1,
    // Nothing stays in memory, so that what was released is seen to be gone.
    cacheSizeBytes: 1,
  });
  onTestFinished(() => odb.close());
  const staging = odb.stage();
  return { odb, staging, contents: new ContentStore(staging, odb, memoryLog().log) };
}

const bytesOf = (text: string): [BufferContent, number] => [
  { kind: 'bytes', bytes: Buffer.from(text) },
  text.length,
];

/** Lets the time pass after which unused content goes. */
async function later(work: () => Promise<void>): Promise<void> {
  const spy = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000);
  await work();
  spy.mockRestore();
}

describe('ContentStore', () => {
  test('keeps what anybody needs, and gives back what nobody does, after a while', async () => {
    const { staging, contents } = await newStore();
    const first = await contents.store(...bytesOf('shared'));
    const second = await contents.store(...bytesOf('shared'));
    const third = contents.hold(first.oid);
    contents.drop(first);
    contents.drop(third);
    await later(() => contents.releaseUnused());
    expect(staging.hasStaged(first.oid)).toBe(true);
    contents.drop(second);
    await contents.releaseUnused();
    expect(staging.hasStaged(first.oid)).toBe(true);
    const fourth = contents.hold(first.oid);
    await later(() => contents.releaseUnused());
    expect(staging.hasStaged(first.oid)).toBe(true);
    contents.drop(fourth);
    await later(() => contents.releaseUnused());
    expect(staging.hasStaged(first.oid)).toBe(false);
  });

  test('much of it goes without a commit', async () => {
    const { staging, contents } = await newStore();
    for (let index = 0; index < 60; index++) {
      contents.drop(await contents.store(...bytesOf(`scratch ${index}`)));
    }
    await later(async () => {
      for (let index = 60; index < 70; index++) {
        contents.drop(await contents.store(...bytesOf(`scratch ${index}`)));
      }
      await contents.releaseUnused();
    });
    expect([...staging.stagedOids()].length).toBeLessThanOrEqual(10);
  });

  test('what a commit took is given back at once, and old claims to it mean nothing', async () => {
    const { odb, staging, contents } = await newStore();
    const before = await contents.store(...bytesOf('committed'));
    await staging.publish([before.oid], { fsync: false });
    await contents.committed([before.oid]);
    expect(staging.hasStaged(before.oid)).toBe(false);
    expect((await odb.read(before.oid)).data.toString()).toBe('committed');
    const other = await contents.store(...bytesOf('again'));
    contents.drop(before);
    contents.drop(contents.hold(before.oid));
    await later(() => contents.releaseUnused());
    expect(staging.hasStaged(other.oid)).toBe(true);
  });

  test('content that is released while it is stored again is there all the same', async () => {
    const { odb, staging, contents } = await newStore();
    for (let round = 0; round < 20; round++) {
      const held = await contents.store(...bytesOf('popular'));
      contents.drop(held);
      const [again] = await Promise.all([
        contents.store(...bytesOf('popular')),
        later(() => contents.releaseUnused()),
      ]);
      expect(staging.hasStaged(again.oid)).toBe(true);
      expect((await odb.read(again.oid)).data.toString()).toBe('popular');
      contents.drop(again);
    }
  });

  test.each([
    ['before it', false],
    ['beside another store', true],
  ])('so is what is released %s, and has to wait for a commit', async (_when, isBesideAnother) => {
    const { odb, staging, contents } = await newStore();
    const other = await contents.store(...bytesOf('of a commit'));
    contents.drop(await contents.store(...bytesOf('popular')));
    const publishing = staging.publish([other.oid], { fsync: true });
    const beside = isBesideAnother ? contents.store(...bytesOf('other')) : undefined;
    const releasing: Promise<void>[] = [];
    await later(() => {
      releasing.push(contents.releaseUnused());
      return Promise.resolve();
    });
    await beside;
    const again = await contents.store(...bytesOf('popular'));
    await Promise.all([publishing, ...releasing]);
    expect(staging.hasStaged(again.oid)).toBe(true);
    expect((await odb.read(again.oid)).data.toString()).toBe('popular');
  });
});
