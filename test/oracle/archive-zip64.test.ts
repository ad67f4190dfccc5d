import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { archiveIn, archiveOut } from '../../src/index.ts';
import type { FS, GitStore } from '../../src/index.ts';
import { bytesFromText } from '../../src/git/byte-string.ts';
import type { ArchiveEntry } from '../../src/transfer/archive-entry.ts';
import { writeZip } from '../../src/transfer/archive-zip-writer.ts';
import { archiveStore, freshDirectory, gitTreeOf } from '../helpers/archive-fixture.ts';
import { noise } from '../helpers/git-objects.ts';
import { fsck, git } from '../helpers/git.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

let store: GitStore;
let gitDir: string;
let empty: FS;

beforeAll(async () => {
  ({ store, gitDir, main: empty } = await archiveStore());
});

afterAll(async () => {
  await store.close();
  await fsck(gitDir);
});

const programs = ['unzip', 'bsdtar'] as const;

async function extract(name: (typeof programs)[number], archive: string): Promise<string> {
  const directory = await freshDirectory('out');
  const args =
    name === 'unzip' ? ['-q', archive, '-d', directory] : ['-xf', archive, '-C', directory];
  await program(name, args);
  return directory;
}

describe('a zip file of more entries than 16 bits count', () => {
  const count = 66_000;
  let archive: string;
  let tree: string;

  beforeAll(async () => {
    const blob = (await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: '' })).trim();
    const names = Array.from({ length: count }, (_, index) => `file ${index}`);
    const input = names.map((name) => `100644 blob ${blob}\t${name}\n`).join('');
    tree = (await git(['mktree'], { cwd: gitDir, input })).trim();
    const commit = (await git(['commit-tree', '-m', 'many', tree], { cwd: gitDir })).trim();
    // A loose blob would be touched once for each of its names.
    await git(['update-ref', 'refs/heads/source', commit], { cwd: gitDir });
    await git(['repack', '-adq'], { cwd: gitDir });
    archive = join(await temporaryDirectory(), 'many.zip');
    await archiveOut(await store.fs(commit), archive);
  });

  test('comes back as it was', async () => {
    const back = await archiveIn(await store.branches.setAndGet('many', empty), archive);
    expect(back.treeHash).toBe(tree);
  });

  test.each([
    ['unzip', ['-Z1']],
    ['bsdtar', ['-tf']],
  ] as const)('is listed by %s', async (name, args) => {
    const listed = (await program(name, [...args, archive])).trimEnd().split('\n');
    expect(new Set(listed).size).toBe(count);
  });
});

describe('a zip file whose numbers take 64 bits', () => {
  // As if the numbers were so large; to write more than 4 GiB takes too long for a test.
  const cases = [
    ['the sizes', { sizeBytes: 2_000_000, offset: 0xffffffff }],
    ['the offsets', { sizeBytes: 0xf0000000, offset: 1000 }],
    ['all', { sizeBytes: 2_000_000, offset: 1 }],
  ] as const;
  const contents = new Map([
    ['a', noise(700, 1)],
    ['big', Buffer.concat([noise(1_500_000, 2), Buffer.alloc(1_500_000)])],
    ['less', Buffer.alloc(1_200_000, 'less')],
    ['z', Buffer.from('the last')],
  ]);

  // eslint-disable-next-line @typescript-eslint/require-await -- it has to be an async iterable
  async function* entries(): AsyncGenerator<ArchiveEntry> {
    for (const [name, content] of contents) {
      yield {
        path: bytesFromText(name),
        kind: 'file',
        isExecutable: name === 'z',
        sizeBytes: content.length,
        content: () => Readable.from([content]) as AsyncIterable<Buffer>,
      };
    }
  }

  test.each(cases)('%s, is read by all', async (what, limits) => {
    const archive = join(await temporaryDirectory(), 'large.zip');
    await pipeline(writeZip(entries(), 1_700_000_000, limits), createWriteStream(archive));
    const details = await program('unzip', ['-Z', '-v', archive]);
    const needed = details.match(/minimum software version required to extract: +4\.5/g) ?? [];
    expect(needed).toHaveLength({ 'the sizes': 1, 'the offsets': 2, all: 3 }[what]);
    const branch = await store.branches.setAndGet(`large-${what.replace(' ', '-')}`, empty);
    const { treeHash } = await archiveIn(branch, archive);
    for (const name of programs) {
      expect(await gitTreeOf(await extract(name, archive), gitDir)).toBe(treeHash);
    }
    const back = await store.branches.get(`large-${what.replace(' ', '-')}`);
    for (const [name, content] of contents) {
      expect((await back.read(name)).equals(content)).toBe(true);
    }
  });
});
