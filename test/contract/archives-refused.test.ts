import { chmod, readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ArchiveLimitError,
  FileNotFoundError,
  InvalidArchiveError,
  InvalidArgumentError,
  InvalidPathError,
  IsADirectoryError,
  NotADirectoryError,
  PermissionError,
  ProgramNotFoundError,
  archiveIn,
  archiveOut,
} from '../../src/index.ts';
import type { ArchiveFormatName, ArchiveInOptions, FS, GitStore } from '../../src/index.ts';
import type { ByteString } from '../../src/git/byte-string.ts';
import type { ArchiveEntry } from '../../src/transfer/archive-entry.ts';
import { writeTar } from '../../src/transfer/archive-tar-writer.ts';
import { writeZip } from '../../src/transfer/archive-zip-writer.ts';
import { archiveStore } from '../helpers/archive-fixture.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

let store: GitStore;
let main: FS;

beforeAll(async () => {
  ({ store, main } = await archiveStore());
});

afterAll(async () => {
  // Whatever was tried, nothing was committed.
  expect((await store.branches.get('main')).commitHash).toBe(main.commitHash);
  await store.close();
});

function entry(path: string, kind: ArchiveEntry['kind'] = 'file', text = 'x'): ArchiveEntry {
  const data = Buffer.from(text);
  return {
    path: path as ByteString,
    kind,
    isExecutable: false,
    sizeBytes: data.length,
    content: () => Readable.from([data]),
  };
}

async function archiveOf(format: 'tar' | 'zip', entries: ArchiveEntry[]): Promise<Buffer> {
  const write = format === 'tar' ? writeTar : writeZip;
  return buffer(write(Readable.from(entries), 1_700_000_000));
}

function take(
  bytes: Buffer,
  format: ArchiveFormatName,
  options: ArchiveInOptions = {},
): Promise<FS> {
  return archiveIn(main, Readable.from([bytes]), { format, ...options });
}

type ErrorClass = abstract new (...args: never[]) => Error;

describe.each(['tar', 'zip'] as const)('a %s file is refused', (format) => {
  const hostile: [string, ArchiveEntry[], ErrorClass][] = [
    ['climbs out', [entry('a/../../b')], InvalidPathError],
    ['is nothing but ..', [entry('..', 'directory')], InvalidPathError],
    ['climbs out on Windows', [entry('a\\..\\..\\b')], InvalidPathError],
    ['is absolute', [entry('/etc/passwd')], InvalidPathError],
    ['has a drive', [entry('C:\\boot.ini')], InvalidPathError],
    ['is a .git', [entry('sub/.GIT/config')], InvalidPathError],
    ['is a link for .gitmodules', [entry('.gitmodules', 'link')], InvalidPathError],
    ['is no name', [entry('./.')], InvalidPathError],
    ['is too long', [entry('d/'.repeat(3000) + 'f')], InvalidPathError],
    ['is below a link', [entry('a', 'link', '/etc'), entry('a/passwd')], InvalidArchiveError],
    ['is below a file', [entry('a'), entry('a/b')], InvalidArchiveError],
    ['is there twice', [entry('a'), entry('./a')], InvalidArchiveError],
    ['is a directory too', [entry('a/b'), entry('a')], InvalidArchiveError],
    ['is a file too', [entry('a'), entry('a', 'directory')], InvalidArchiveError],
    ['is a link to no path', [entry('a', 'link', '')], InvalidArchiveError],
    ['is a link that is too long', [entry('a', 'link', 'x'.repeat(5000))], InvalidArchiveError],
  ];
  test.each(hostile)('when a path %s', async (_, entries, error) => {
    const bytes = await archiveOf(format, [entry('good'), ...entries]);
    await expect(take(bytes, format)).rejects.toThrow(error);
  });

  test('when it holds more than the caller wants', async () => {
    const bytes = await archiveOf(format, [
      entry('a', 'file', 'x'.repeat(60)),
      entry('b'),
      entry('c'),
    ]);
    for (const limits of [
      { maxEntries: 2 },
      { maxEntrySizeBytes: 59 },
      { maxTotalSizeBytes: 61 },
    ]) {
      await expect(take(bytes, format, limits)).rejects.toThrow(ArchiveLimitError);
    }
    await expect(take(bytes, format, { maxEntries: -1 })).rejects.toThrow(InvalidArgumentError);
  });

  test('when it is cut anywhere', async () => {
    const whole = await archiveOf(format, [
      entry('a', 'file', 'x'.repeat(600)),
      entry('b', 'link'),
    ]);
    await fc.assert(
      // The second block of zeros at the end of a tar file is the only thing that may be missing.
      fc.asyncProperty(
        fc.nat(whole.length - 512 - (format === 'tar' ? 1 : -511)),
        async (length) => {
          await expect(take(whole.subarray(0, length), format)).rejects.toThrow(
            InvalidArchiveError,
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  test('when its headers are damaged, or else read as what it is', async () => {
    const whole = await archiveOf(format, [
      entry('a', 'file', 'x'.repeat(600)),
      entry('b', 'link'),
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const bytes = Buffer.from(whole);
          bytes[at] = (bytes[at] ?? 0) ^ flip;
          const branch = await store.branches.setAndGet('damaged', main);
          const result = await archiveIn(branch, Readable.from([bytes]), { format }).catch(
            (error: unknown) => error,
          );
          // tar has no checksum of contents, nor zip one of names.
          if (result instanceof Error)
            expect(result).toHaveProperty('code', expect.stringMatching(/^[A-Z_]+$/));
          else expect(result).toHaveProperty('commitHash');
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('a zip file with damaged content is refused', async () => {
  const bytes = await archiveOf('zip', [entry('a', 'file', 'stored as it is')]);
  bytes[bytes.indexOf('stored as')] = 0x53;
  await expect(take(bytes, 'zip')).rejects.toThrow(InvalidArchiveError);
});

test('files that are no zip files leave no descriptor open', async () => {
  const noZip = Buffer.from('no zip file at all');
  const path = join(await temporaryDirectory(), 'bad.zip');
  await writeFile(path, noZip);
  for (let round = 0; round < 20; round++) {
    await expect(archiveIn(main, path)).rejects.toThrow(InvalidArchiveError);
    await expect(take(noZip, 'zip')).rejects.toThrow(InvalidArchiveError);
  }
  expect(await openFilesNamed(/\/(?:bad|archive)\.zip/)).toEqual([]);
});

/** What this process has open under such a name, also when that has gone; Linux tells. */
async function openFilesNamed(name: RegExp): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd');
  // The one that lists the directory has gone.
  const read = (descriptor: string): Promise<string> =>
    readlink(`/proc/self/fd/${descriptor}`).catch(() => '');
  const paths = await Promise.all(descriptors.map(read));
  return paths.filter((path) => name.test(path));
}

test('an encrypted zip file is refused', async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, 'f'), 'secret');
  await program('zip', ['-q', '-P', 'password', 'a.zip', 'f'], { cwd: directory });
  await expect(archiveIn(main, join(directory, 'a.zip'))).rejects.toThrow(InvalidArchiveError);
});

test.each(['tar.gz', 'tar.bz2', 'tar.xz'] as const)('a damaged %s is refused', async (format) => {
  const path = join(await temporaryDirectory(), `a.${format}`);
  await archiveOut(main, path);
  const whole = await readFile(path);
  for (const length of [0, 5, whole.length - 1]) {
    await expect(take(whole.subarray(0, length), format)).rejects.toThrow(InvalidArchiveError);
  }
  await expect(take(Buffer.from('no archive at all'), format)).rejects.toThrow(InvalidArchiveError);
});

test('a bomb is refused before it is unpacked', async () => {
  const bomb = await archiveOf('tar', [entry('a', 'file', '\0'.repeat(20_000_000))]);
  const limits = { maxTotalSizeBytes: 1_000_000 };
  await expect(take(gzipSync(bomb), 'tgz', limits)).rejects.toThrow(ArchiveLimitError);
  const zip = await archiveOf('zip', [entry('a', 'file', '\0'.repeat(20_000_000))]);
  await expect(take(zip, 'zip', limits)).rejects.toThrow(ArchiveLimitError);
  const extension = Buffer.from(bomb.subarray(0, 512));
  extension.write('x', 156);
  const sum = extension.fill(' ', 148, 156).reduce((total, byte) => total + byte, 0);
  extension.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  await expect(take(Buffer.concat([extension, bomb]), 'tar')).rejects.toThrow(InvalidArchiveError);
});

test('what stands in the way is an error', async () => {
  const branch = await store.branches.setAndGet('standing', main);
  const fs = await branch.apply({ file: 'x', 'dir/file': 'x' });
  const into = async (...entries: ArchiveEntry[]): Promise<FS> =>
    archiveIn(fs, Readable.from([await archiveOf('tar', entries)]), { format: 'tar' });
  await expect(into(entry('file/below'))).rejects.toThrow(NotADirectoryError);
  await expect(into(entry('dir'))).rejects.toThrow(IsADirectoryError);
  const tag = await store.fs(main.commitHash);
  await expect(archiveIn(tag, 'no.zip')).rejects.toThrow(PermissionError);
});

test('wrong arguments have errors of their own', async () => {
  const directory = await temporaryDirectory();
  await expect(archiveIn(main, join(directory, 'none.tar'))).rejects.toThrow(FileNotFoundError);
  await expect(archiveIn(main, directory, { format: 'zip' })).rejects.toThrow(IsADirectoryError);
  await expect(archiveIn(main, 'a.rar')).rejects.toThrow(InvalidArgumentError);
  await expect(archiveIn(main, Readable.from([]))).rejects.toThrow(InvalidArgumentError);
  await expect(archiveOut(main, '')).rejects.toThrow(InvalidArgumentError);
  const controller = new AbortController();
  controller.abort(new Error('enough'));
  const { signal } = controller;
  await expect(take(Buffer.alloc(1024), 'tar', { signal })).rejects.toThrow('enough');
});

test('a stream that fails or never goes on ends it', async () => {
  const failing = new Readable({ read: () => failing.destroy(new Error('the line is dead')) });
  await expect(archiveIn(main, failing, { format: 'tar.xz' })).rejects.toThrow('the line is dead');
  const silent = new Readable({ read: () => undefined });
  const signal = AbortSignal.timeout(50);
  await expect(archiveIn(main, silent, { format: 'tgz', signal })).rejects.toThrow(/timeout/);
});

test('a program that is missing is named', async () => {
  const path = process.env['PATH'];
  const directory = await temporaryDirectory();
  process.env['PATH'] = directory;
  try {
    const archive = join(directory, 'a.tar.xz');
    await expect(archiveOut(main, archive)).rejects.toThrow(ProgramNotFoundError);
    await expect(take(Buffer.alloc(99), 'tar.bz2')).rejects.toThrow(ProgramNotFoundError);
    await writeFile(join(directory, 'xz'), '#!/bin/sh\necho broken >&2; exit 3\n');
    await chmod(join(directory, 'xz'), 0o755);
    await expect(take(Buffer.alloc(99), 'tar.xz')).rejects.toThrow(/broken/);
  } finally {
    process.env['PATH'] = path;
  }
});
