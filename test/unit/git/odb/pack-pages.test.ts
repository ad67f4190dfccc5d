import { join } from 'node:path';
import { Deflate, constants } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createBareRepository, noise, openObjects, text } from '../../../helpers/git-objects.ts';
import {
  copyInstruction,
  delta,
  deltaEntry,
  insertInstruction,
  wholeEntry,
  writeHandmadePack,
} from '../../../helpers/handmade-pack.ts';
import type { HandmadeEntry } from '../../../helpers/handmade-pack.ts';

const pageSizeBytes = 64 * 1024;

/** A stream that takes several times the room of its content, as zlib is free to write. */
async function wasteful(data: Buffer): Promise<Buffer> {
  const deflate = new Deflate();
  const chunks: Buffer[] = [];
  deflate.on('data', (chunk: Buffer) => chunks.push(chunk));
  for (const byte of data) {
    deflate.write(Buffer.of(byte));
    await new Promise<void>((resolve) => {
      deflate.flush(constants.Z_FULL_FLUSH, () => resolve());
    });
  }
  await new Promise<void>((resolve) => {
    deflate.on('end', resolve);
    deflate.end();
  });
  return Buffer.concat(chunks);
}

describe('an entry of a pack', () => {
  it('may stand anywhere around the end of a page', async () => {
    const gitDir = await createBareRepository();
    const base = text(300, 1);
    const entries: HandmadeEntry[] = [wholeEntry('blob', base)];
    const contents = [base];
    for (let page = 1; page <= 60; page++) {
      // From well in front of the end to just behind it, so that each part of an entry is cut once.
      const offset = page * pageSizeBytes - 55 + page;
      const inserted = noise(40, page);
      const content = Buffer.concat([base, inserted]);
      const bytes = delta(
        base.length,
        content.length,
        copyInstruction(0, base.length),
        insertInstruction(inserted),
      );
      const byDistance = page % 2 === 0;
      const entry = deltaEntry(bytes, byDistance ? offset - 12 : entries[0]!.oid, content);
      entries.push({ ...entry, offset });
      contents.push(content);
    }
    writeHandmadePack(join(gitDir, 'objects/pack'), 'edges', entries);
    const database = await openObjects(gitDir, { cacheSizeBytes: 1 });
    for (const [at, { oid }] of entries.entries()) {
      const sizeBytes = contents[at]!.length;
      expect(await database.header(oid)).toEqual({ type: 'blob', sizeBytes });
      expect((await database.read(oid)).data).toEqual(contents[at]);
    }
  });

  it('may be compressed worse than zlib ever does it', async () => {
    const gitDir = await createBareRepository();
    const data = text(1500, 2);
    const compressed = await wasteful(data);
    expect(compressed.length).toBeGreaterThan(3 * data.length);
    const entry = { ...wholeEntry('blob', data), compressed, offset: pageSizeBytes - 100 };
    writeHandmadePack(join(gitDir, 'objects/pack'), 'waste', [entry]);
    const database = await openObjects(gitDir);
    expect((await database.read(entry.oid)).data).toEqual(data);
  });

  it('may be empty', async () => {
    const gitDir = await createBareRepository();
    const entry = wholeEntry('blob', Buffer.alloc(0));
    writeHandmadePack(join(gitDir, 'objects/pack'), 'empty', [entry]);
    const database = await openObjects(gitDir);
    expect((await database.read(entry.oid)).data).toHaveLength(0);
    expect(await database.stream(entry.oid).next()).toEqual({ done: true, value: undefined });
  });
});
