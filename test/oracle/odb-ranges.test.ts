import { describe, expect, it } from 'vitest';
import type { Oid } from '../../src/git/oid.ts';
import {
  createBareRepository,
  noise,
  openObjects,
  packObjects,
  seededRandom,
  text,
} from '../helpers/git-objects.ts';
import { git } from '../helpers/git.ts';

const mebibyte = 1024 * 1024;

/** How the same large content can be stored. */
const storages: readonly (readonly [
  string,
  (gitDir: string, oids: readonly Oid[]) => Promise<unknown>,
])[] = [
  ['loose', () => Promise.resolve()],
  [
    'in a pack, as a delta',
    async (gitDir, oids) => {
      await packObjects(gitDir, oids);
      await git(['prune-packed', '-q'], { cwd: gitDir });
      const format = '--batch-check=%(deltabase)';
      const bases = await git(['cat-file', format], { cwd: gitDir, input: oids.join('\n') });
      expect(bases.match(/[1-9a-f]/)).not.toBeNull();
    },
  ],
  [
    'in a pack, whole',
    async (gitDir, oids) => {
      await git(['config', 'core.bigFileThreshold', '1m'], { cwd: gitDir });
      await packObjects(gitDir, oids);
      await git(['prune-packed', '-q'], { cwd: gitDir });
    },
  ],
  [
    'in a pack, not compressed',
    async (gitDir, oids) => {
      await git(['config', 'pack.compression', '0'], { cwd: gitDir });
      await git(['config', 'core.bigFileThreshold', '1m'], { cwd: gitDir });
      await packObjects(gitDir, oids);
      await git(['prune-packed', '-q'], { cwd: gitDir });
    },
  ],
];

describe.each(storages)('a large blob, stored %s', (_, store) => {
  const before = Buffer.concat([text(9 * mebibyte, 1), noise(2 * mebibyte, 2)]);
  const after = Buffer.concat([
    before.subarray(0, 4_999_999),
    Buffer.from('new'),
    before.subarray(5_000_050),
  ]);

  async function repository(): Promise<{ gitDir: string; oids: Oid[] }> {
    const gitDir = await createBareRepository();
    const oids: Oid[] = [];
    for (const input of [before, after]) {
      oids.push(
        (await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input })).trim() as Oid,
      );
    }
    await store(gitDir, oids);
    return { gitDir, oids };
  }

  it('is read from front to end, and anywhere, at the price of a few passes', async () => {
    const { gitDir, oids } = await repository();
    const database = await openObjects(gitDir, { cacheSizeBytes: 8 * mebibyte });
    for (const [at, data] of [before, after].entries()) {
      const oid = oids[at]!;
      expect(await database.header(oid)).toEqual({ type: 'blob', sizeBytes: data.length });
      for (let offset = 0; offset < data.length; offset += mebibyte) {
        const part = await database.readRange(oid, offset, mebibyte);
        expect(part.equals(data.subarray(offset, offset + mebibyte))).toBe(true);
      }
      // Each of these alone would take some 20 ms, if it began at the front.
      const random = seededRandom(at);
      const ranges = Array.from({ length: 2000 }, () => Math.floor(random() * data.length));
      const started = performance.now();
      for (const offset of ranges) {
        const part = await database.readRange(oid, offset, 4096);
        if (!part.equals(data.subarray(offset, offset + 4096))) expect.fail(`at ${offset}`);
      }
      expect(performance.now() - started).toBeLessThan(10_000);
      let total = 0;
      for await (const chunk of database.stream(oid)) {
        if (!chunk.equals(data.subarray(total, total + chunk.length))) expect.fail(`at ${total}`);
        total += chunk.length;
      }
      expect(total).toBe(data.length);
      expect((await database.read(oid)).data.equals(data)).toBe(true);
    }
  });
});
