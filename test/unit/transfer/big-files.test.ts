import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { GitStore } from '../../../src/index.ts';
import { ObjectDatabase } from '../../../src/git/odb/object-database.ts';
import { StagingArea } from '../../../src/git/odb/staging-area.ts';
import { fsck, git } from '../../helpers/git.ts';
import { countObjects, randomContents } from '../../helpers/staging.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

const fileCount = 24;
const fileBytes = 1_500_000;
// Counted in files that have some pieces in memory each; all at once took 800 MB.
const mostAtOnce = { stored: 1, written: 8 };

afterEach(() => vi.restoreAllMocks());

/** Counts streams of chunks that have begun and not ended. */
class StreamCount {
  most = 0;
  #now = 0;

  async *counting<Chunk>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk, void, undefined> {
    this.#now += 1;
    this.most = Math.max(this.most, this.#now);
    try {
      yield* chunks;
    } finally {
      this.#now -= 1;
    }
  }
}

function methodOf<Owner, Name extends keyof Owner>(owner: Owner, name: Name): Owner[Name] {
  return Object.getOwnPropertyDescriptor(owner, name)?.value as Owner[Name];
}

test('big files are copied in and out a few at a time, and into one pack', async () => {
  const directory = await temporaryDirectory();
  const [gitDir, disk] = [join(directory, 'r.git'), join(directory, 'disk')];
  await mkdir(disk);
  const contents = randomContents(fileCount, fileBytes);
  await Promise.all(contents.map((data, index) => writeFile(join(disk, `${index}`), data)));
  const store = await GitStore.open(gitDir);
  const empty = await store.branches.get('main');

  const stored = new StreamCount();
  const writeStream = methodOf(StagingArea.prototype, 'writeStream');
  vi.spyOn(StagingArea.prototype, 'writeStream').mockImplementation(function (
    this: StagingArea,
    type,
    sizeBytes,
    chunks,
  ) {
    return writeStream.call(this, type, sizeBytes, stored.counting(chunks));
  });
  const fs = await empty.copyIn(`${disk}/`, '');
  expect(stored.most).toBe(mostAtOnce.stored);
  expect((await countObjects(gitDir)).packs).toBe(1);

  const written = new StreamCount();
  const stream = methodOf(ObjectDatabase.prototype, 'stream');
  vi.spyOn(ObjectDatabase.prototype, 'stream').mockImplementation(function (
    this: ObjectDatabase,
    ...args
  ) {
    return written.counting(stream.apply(this, args));
  });
  await fs.copyOut('/', join(directory, 'out'));
  expect(written.most).toBeGreaterThan(0);
  expect(written.most).toBeLessThanOrEqual(mostAtOnce.written);

  for (const index of [0, fileCount - 1]) {
    const oid = await fs.objectHash(`${index}`);
    for (const place of [disk, join(directory, 'out')]) {
      const found = await git(['hash-object', join(place, `${index}`)], { cwd: gitDir });
      expect(found.trim()).toBe(oid);
    }
  }
  await store.close();
  await fsck(gitDir);
});
