import {
  constants,
  existsSync,
  fstatSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Disk, diskAt, farDisk } from '../../../src/git/disk.ts';
import { readWhole, writeFully } from '../../../src/git/read-write-fully.ts';
import { ThreadPace } from '../../../src/git/thread-pace.ts';
import { program } from '../../helpers/program.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

describe.each([
  ['near, in this thread', new Disk(true)],
  ['far, in another thread', farDisk],
])('a disk that is %s', (_where, disk) => {
  test('gives files that are written, read, synced and closed', async () => {
    const path = join(await temporaryDirectory(), 'a');
    const file = await disk.open(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
      0o444,
    );
    const bytes = Buffer.from('some bytes');
    expect(await file.write(bytes, 5, 5, 3)).toMatchObject({ bytesWritten: 5 });
    expect(await file.writev([Buffer.from('a'), Buffer.from('bc')], 0)).toMatchObject({
      bytesWritten: 3,
    });
    await file.sync();
    const buffer = Buffer.alloc(20);
    expect(await file.read(buffer, 1, 19, 0)).toMatchObject({ bytesRead: 8 });
    expect(buffer.toString('latin1', 1, 9)).toBe('abcbytes');
    expect(file.stat().size).toBe(8n);
    await file.truncate(2);
    await file.close();
    expect(readFileSync(path, 'latin1')).toBe('ab');
    expect(statSync(path).mode & 0o777).toBe(0o444);
  });

  test('makes directories, renames, links, touches and removes', async () => {
    const directory = await temporaryDirectory();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(a, '1');
    await disk.mkdir(join(directory, 'd'));
    expect(statSync(join(directory, 'd')).isDirectory()).toBe(true);
    await expect(disk.mkdir(a)).rejects.toMatchObject({ code: 'EEXIST' });
    await disk.rename(a, b);
    await disk.link(b, c);
    utimesSync(c, 1000, 1000);
    expect(await disk.touch(b)).toBe(true);
    expect(Math.abs(statSync(c).mtimeMs - Date.now())).toBeLessThan(10_000);
    await disk.access(c);
    expect((await disk.lstat(c))?.nlink).toBe(2);
    await disk.unlink(c);
    expect(existsSync(c)).toBe(false);
    expect(await disk.lstat(c)).toBeUndefined();
    expect(await disk.lstat(join(b, 'below a file'))).toBeUndefined();
  });

  test('fails as the system does', async () => {
    const directory = await temporaryDirectory();
    const none = join(directory, 'none');
    const code = 'ENOENT';
    await expect(disk.open(none, 'r')).rejects.toMatchObject({ code });
    await expect(disk.rename(none, `${none}-2`)).rejects.toMatchObject({ code });
    await expect(disk.link(none, `${none}-2`)).rejects.toMatchObject({ code });
    await expect(disk.unlink(none)).rejects.toMatchObject({ code });
    await expect(disk.access(none)).rejects.toMatchObject({ code });
    expect(await disk.touch(none)).toBe(false);
    expect(await disk.touch('/none\0')).toBe(false);
    await expect(disk.lstat('/none\0')).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
  });

  test('closes a file after what is under way, and lets nothing begin then', async () => {
    const path = join(await temporaryDirectory(), 'a');
    const file = await disk.open(path, 'wx+');
    const large = Buffer.alloc(4 * 1024 * 1024, 'x');
    const writing = file.write(large, 0, large.length, 0);
    const closing = file.close();
    // Its number would belong to another file soon.
    expect(file.fd).toBe(-1);
    await expect(file.write(large, 0, 1, 0)).rejects.toThrow();
    await expect(file.sync()).rejects.toThrow();
    expect(await writing).toMatchObject({ bytesWritten: large.length });
    await closing;
    expect(statSync(path).size).toBe(large.length);
  });

  test('tells what is there, and what is not', async () => {
    const directory = await temporaryDirectory();
    const [file, link, none] = ['file', 'link', 'none'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    expect(await disk.isEmptyDirectory(directory)).toBe(true);
    writeFileSync(file, 'some content');
    symlinkSync('file', link);
    expect(await disk.isEmptyDirectory(directory)).toBe(false);
    expect((await disk.stat(link))?.size).toBe(12n);
    expect((await disk.lstat(link))?.isSymbolicLink()).toBe(true);
    expect(await disk.realpath(link)).toBe(file);
    expect((await disk.readFile(link))?.toString()).toBe('some content');
    expect((await disk.readStart(file, 4, constants.O_NOFOLLOW)).toString()).toBe('some');
    const names = (await disk.readdir(directory)).map((entry) => [
      entry.name.toString(),
      entry.isFile(),
    ]);
    expect(names.sort()).toEqual([
      ['file', true],
      ['link', false],
    ]);

    for (const path of [none, join(file, 'below')]) {
      expect(await disk.stat(path)).toBeUndefined();
      expect(await disk.readFile(path)).toBeUndefined();
      expect(await disk.readdir(path)).toEqual([]);
    }
    const code = 'ENOENT';
    await expect(disk.realpath(none)).rejects.toMatchObject({ code });
    await expect(disk.readStart(none, 4, 0)).rejects.toMatchObject({ code });
    await expect(disk.isEmptyDirectory(none)).rejects.toMatchObject({ code });
    await expect(disk.readFile(directory)).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(disk.readStart(link, 4, constants.O_NOFOLLOW)).rejects.toMatchObject({
      code: 'ELOOP',
    });
  });

  test('does not wait for the other end of a pipe', async () => {
    const pipe = join(await temporaryDirectory(), 'pipe');
    await program('mkfifo', [pipe]);
    expect(await disk.readFile(pipe)).toEqual(Buffer.alloc(0));
    await expect(disk.readStart(pipe, 4, 0)).rejects.toMatchObject({ code: 'ESPIPE' });
  });

  test.each([0, 1, 5000, 300_000])('reads a file of %i bytes to its end', async (sizeBytes) => {
    const path = join(await temporaryDirectory(), 'a');
    const content = Buffer.from(Array.from({ length: sizeBytes }, (_, at) => at % 251));
    writeFileSync(path, content);
    const file = await disk.open(path, 'r');
    expect((await readWhole(file)).equals(content)).toBe(true);
    await file.close();
  });

  test('appends behind what is there', async () => {
    const path = join(await temporaryDirectory(), 'a');
    writeFileSync(path, 'one ');
    const file = await disk.open(path, 'a');
    await writeFully(file, Buffer.from('two'), null);
    await file.close();
    expect(readFileSync(path, 'latin1')).toBe('one two');
  });
});

test('a path is where its filesystem is, one that is not there is far, and others fail', async () => {
  expect((await diskAt(await temporaryDirectory())).isNear).toBe(true);
  expect((await diskAt('/proc/self')).isNear).toBe(false);
  expect(await diskAt('/none')).toBe(farDisk);
  await expect(diskAt('/none\0')).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
});

test('small writes to a near disk that is not slow are over when the call returns', async () => {
  vi.spyOn(ThreadPace.prototype, 'takeNext').mockReturnValue(true);
  onTestFinished(() => void vi.restoreAllMocks());
  const path = join(await temporaryDirectory(), 'a');
  const file = await new Disk(true).open(path, 'wx');
  const writing = file.write(Buffer.alloc(1000), 0, 1000, 0);
  expect(fstatSync(file.fd).size).toBe(1000);
  await writing;
  await file.close();
});
