import { appendFile, open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { InvalidArgumentError } from '../../../src/index.ts';
import type { StagingArea } from '../../../src/git/odb/staging-area.ts';
import { stageLocalFile } from '../../../src/snapshot/content.ts';
import { fsck } from '../../helpers/git.ts';
import { newStagingArea, randomContents } from '../../helpers/staging.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

/** An area that something happens to the disk before: each stream begins with it. */
function after(area: StagingArea, happens: () => Promise<void>): StagingArea {
  const writeStream: StagingArea['writeStream'] = async (...args) => {
    await happens();
    return area.writeStream(...args);
  };
  return new Proxy(area, {
    get: (target, name) => {
      if (name === 'writeStream') return writeStream;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

const sizes = [300_000, 3_000_000];

test.each(sizes)('a file of %i bytes that grows is stored as it was opened', async (size) => {
  const { gitDir, area } = await newStagingArea();
  const path = join(await temporaryDirectory(), 'log');
  const [content = Buffer.alloc(0)] = randomContents(1, size);
  await writeFile(path, content);
  const growing = after(area, () => appendFile(path, Buffer.alloc(2_000_000)));
  const { oid } = await stageLocalFile(growing, { path });
  expect((await area.read(oid)).data.equals(content)).toBe(true);
  await area.publish([oid], { fsync: false });
  await area.discard();
  await fsck(gitDir);
});

test.each(sizes)('a file of %i bytes that becomes shorter is an error', async (size) => {
  const { gitDir, area } = await newStagingArea();
  const path = join(await temporaryDirectory(), 'log');
  await writeFile(path, Buffer.alloc(size));
  const shrinking = after(area, () => truncate(path, 1000));
  const storing = stageLocalFile(shrinking, { path });
  await expect(storing).rejects.toBeInstanceOf(InvalidArgumentError);
  await expect(storing).rejects.toThrow(`${size} bytes of content were announced`);
  await area.discard();
  await fsck(gitDir);
});

test('of a file that says to be empty and is not, all is stored', async () => {
  const { area } = await newStagingArea();
  const path = '/proc/self/cmdline';
  const handle = await open(path);
  const content = await handle.readFile();
  await handle.close();
  const { oid } = await stageLocalFile(area, { path });
  expect((await area.read(oid)).data.equals(content)).toBe(true);
  await area.discard();
});
