import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// What POSIX promises to programs, each case in an empty directory of its own. This file is a
// program as well (`posix-cases.ts DIRECTORY`): it uses synchronous calls, so it must never run in
// the process that serves the directory.

type Case = (directory: string) => void | Promise<void>;

function throwsCode(code: string, call: () => unknown): void {
  assert.throws(call, (error: NodeJS.ErrnoException) => {
    assert.equal(error.code, code);
    return true;
  });
}

export const posixCases: Readonly<Record<string, Case>> = {
  'a file reads back what was written': (directory) => {
    const content = Buffer.alloc(300_000, 'some words that repeat, ');
    fs.writeFileSync(join(directory, 'a'), content);
    assert.deepEqual(fs.readFileSync(join(directory, 'a')), content);
    assert.equal(fs.statSync(join(directory, 'a')).size, content.length);
  },

  'an open file shows each write to other handles at once': (directory) => {
    const path = join(directory, 'a');
    const writer = fs.openSync(path, 'w');
    const reader = fs.openSync(path, 'r');
    fs.writeSync(writer, 'one');
    assert.equal(fs.readFileSync(path, 'utf8'), 'one');
    fs.writeSync(writer, 'two');
    const buffer = Buffer.alloc(10);
    assert.equal(fs.readSync(reader, buffer, 0, 10, 0), 6);
    assert.equal(fs.fstatSync(reader).size, 6);
    fs.closeSync(writer);
    fs.closeSync(reader);
  },

  'O_APPEND writes at the end, wherever that is by then': (directory) => {
    const path = join(directory, 'a');
    const first = fs.openSync(path, 'a');
    const second = fs.openSync(path, 'a');
    fs.writeSync(first, '1');
    fs.writeSync(second, '2');
    fs.writeSync(first, '3');
    fs.closeSync(first);
    fs.closeSync(second);
    assert.equal(fs.readFileSync(path, 'utf8'), '123');
  },

  'a write past the end leaves zeros between': (directory) => {
    const path = join(directory, 'a');
    const fd = fs.openSync(path, 'w+');
    fs.writeSync(fd, 'x', 1_000_000);
    fs.writeSync(fd, 'y', 10);
    fs.closeSync(fd);
    const expected = Buffer.alloc(1_000_001);
    expected.write('x', 1_000_000);
    expected.write('y', 10);
    assert.deepEqual(fs.readFileSync(path), expected);
  },

  'truncate shortens, and lengthens with zeros': (directory) => {
    const path = join(directory, 'a');
    fs.writeFileSync(path, 'abcdef');
    fs.truncateSync(path, 3);
    fs.truncateSync(path, 5);
    assert.equal(fs.readFileSync(path, 'latin1'), 'abc\0\0');
  },

  'O_TRUNC empties and O_EXCL refuses a name that is taken': (directory) => {
    const path = join(directory, 'a');
    fs.writeFileSync(path, 'abcdef');
    throwsCode('EEXIST', () => fs.openSync(path, 'wx'));
    fs.closeSync(fs.openSync(path, 'w'));
    assert.equal(fs.statSync(path).size, 0);
  },

  'what is missing, no directory or not empty has its own error': (directory) => {
    fs.writeFileSync(join(directory, 'file'), '');
    fs.mkdirSync(join(directory, 'full/inside'), { recursive: true });
    throwsCode('ENOENT', () => fs.readFileSync(join(directory, 'nothing')));
    throwsCode('ENOENT', () => fs.writeFileSync(join(directory, 'nothing/there'), ''));
    throwsCode('ENOTDIR', () => fs.readFileSync(join(directory, 'file/inside')));
    throwsCode('ENOTDIR', () => fs.readdirSync(join(directory, 'file')));
    throwsCode('EISDIR', () => fs.writeFileSync(join(directory, 'full'), ''));
    throwsCode('EEXIST', () => fs.mkdirSync(join(directory, 'full')));
    throwsCode('ENOTEMPTY', () => fs.rmdirSync(join(directory, 'full')));
    throwsCode('ENOTDIR', () => fs.rmdirSync(join(directory, 'file')));
    throwsCode('EISDIR', () => fs.unlinkSync(join(directory, 'full')));
    throwsCode('ENAMETOOLONG', () => fs.writeFileSync(join(directory, 'n'.repeat(256)), ''));
    fs.writeFileSync(join(directory, 'n'.repeat(255)), '');
  },

  'rename replaces a file in one step': (directory) => {
    const [from, to] = [join(directory, 'new'), join(directory, 'old')];
    fs.writeFileSync(from, 'new');
    fs.writeFileSync(to, 'old');
    const open = fs.openSync(to, 'r');
    fs.renameSync(from, to);
    assert.equal(fs.readFileSync(to, 'utf8'), 'new');
    assert.equal(fs.readFileSync(open, 'utf8'), 'old');
    assert.equal(fs.fstatSync(open).nlink, 0);
    fs.closeSync(open);
    assert.deepEqual(fs.readdirSync(directory), ['old']);
  },

  'rename moves directories with all they hold': (directory) => {
    fs.mkdirSync(join(directory, 'a/b/c'), { recursive: true });
    fs.writeFileSync(join(directory, 'a/b/c/file'), 'deep');
    fs.mkdirSync(join(directory, 'empty'));
    fs.mkdirSync(join(directory, 'full/x'), { recursive: true });
    fs.renameSync(join(directory, 'a'), join(directory, 'empty'));
    assert.equal(fs.readFileSync(join(directory, 'empty/b/c/file'), 'utf8'), 'deep');
    throwsCode('ENOENT', () => fs.statSync(join(directory, 'a')));
    throwsCode('ENOTEMPTY', () => fs.renameSync(join(directory, 'empty'), join(directory, 'full')));
    throwsCode('EINVAL', () => fs.renameSync(join(directory, 'full'), join(directory, 'full/x/y')));
    fs.writeFileSync(join(directory, 'file'), '');
    throwsCode('EISDIR', () => fs.renameSync(join(directory, 'file'), join(directory, 'full')));
    throwsCode('ENOTDIR', () => fs.renameSync(join(directory, 'full'), join(directory, 'file')));
  },

  'an open file lives on when its directory is renamed': (directory) => {
    fs.mkdirSync(join(directory, 'a'));
    const fd = fs.openSync(join(directory, 'a/file'), 'w');
    fs.writeSync(fd, 'before ');
    fs.renameSync(join(directory, 'a'), join(directory, 'b'));
    fs.writeSync(fd, 'after');
    fs.closeSync(fd);
    assert.equal(fs.readFileSync(join(directory, 'b/file'), 'utf8'), 'before after');
  },

  'an unlinked file stays as long as it is open': (directory) => {
    const path = join(directory, 'a');
    const fd = fs.openSync(path, 'w+');
    fs.writeSync(fd, 'still ');
    fs.unlinkSync(path);
    fs.writeSync(fd, 'here');
    assert.deepEqual(fs.readdirSync(directory), []);
    const buffer = Buffer.alloc(20);
    assert.equal(buffer.toString('utf8', 0, fs.readSync(fd, buffer, 0, 20, 0)), 'still here');
    assert.equal(fs.fstatSync(fd).nlink, 0);
    fs.writeFileSync(path, 'another');
    fs.closeSync(fd);
    assert.equal(fs.readFileSync(path, 'utf8'), 'another');
  },

  'hard links are one file': (directory) => {
    const [one, other] = [join(directory, 'one'), join(directory, 'other')];
    fs.writeFileSync(one, 'shared');
    fs.linkSync(one, other);
    fs.appendFileSync(other, ' content');
    assert.equal(fs.readFileSync(one, 'utf8'), 'shared content');
    assert.equal(fs.statSync(one).nlink, 2);
    assert.equal(fs.statSync(one).ino, fs.statSync(other).ino);
    fs.unlinkSync(one);
    assert.equal(fs.statSync(other).nlink, 1);
    assert.equal(fs.readFileSync(other, 'utf8'), 'shared content');
  },

  'symbolic links lead where they say': (directory) => {
    fs.writeFileSync(join(directory, 'target'), 'text');
    fs.symlinkSync('target', join(directory, 'link'));
    fs.symlinkSync('/nowhere at all', join(directory, 'dangling'));
    fs.symlinkSync('loop', join(directory, 'loop'));
    assert.equal(fs.readFileSync(join(directory, 'link'), 'utf8'), 'text');
    assert.equal(fs.readlinkSync(join(directory, 'dangling')), '/nowhere at all');
    assert.equal(fs.lstatSync(join(directory, 'link')).size, 'target'.length);
    throwsCode('ENOENT', () => fs.readFileSync(join(directory, 'dangling')));
    throwsCode('ELOOP', () => fs.readFileSync(join(directory, 'loop')));
  },

  'modes are kept, and the umask is heeded': (directory) => {
    const path = join(directory, 'a');
    const umask = process.umask(0o027);
    fs.writeFileSync(path, '', { mode: 0o777 });
    process.umask(umask);
    assert.equal(fs.statSync(path).mode & 0o7777, 0o750);
    fs.chmodSync(path, 0o600);
    assert.equal(fs.statSync(path).mode & 0o7777, 0o600);
    fs.mkdirSync(join(directory, 'd'));
    fs.chmodSync(join(directory, 'd'), 0o700);
    assert.equal(fs.statSync(join(directory, 'd')).mode & 0o7777, 0o700);
  },

  'utimes sets times, and writing moves them on': (directory) => {
    const path = join(directory, 'a');
    fs.writeFileSync(path, 'x');
    fs.utimesSync(path, 1_000_000_000.25, 1_000_000_001.5);
    assert.equal(fs.statSync(path).atimeMs, 1_000_000_000_250);
    assert.equal(fs.statSync(path).mtimeMs, 1_000_000_001_500);
    fs.readFileSync(path);
    assert.equal(fs.statSync(path).mtimeMs, 1_000_000_001_500);
    fs.appendFileSync(path, 'y');
    assert.ok(Math.abs(fs.statSync(path).mtimeMs - Date.now()) < 10_000);
  },

  'a directory changes its time with its entries': (directory) => {
    const old = 1_000_000_000;
    fs.utimesSync(directory, old, old);
    fs.writeFileSync(join(directory, 'a'), '');
    assert.ok(fs.statSync(directory).mtimeMs > old * 1000);
    fs.utimesSync(directory, old, old);
    fs.unlinkSync(join(directory, 'a'));
    assert.ok(fs.statSync(directory).mtimeMs > old * 1000);
  },

  'the link count of a directory tells its subdirectories': (directory) => {
    fs.mkdirSync(join(directory, 'a/b'), { recursive: true });
    fs.mkdirSync(join(directory, 'a/c'));
    fs.writeFileSync(join(directory, 'a/file'), '');
    assert.equal(fs.statSync(join(directory, 'a')).nlink, 4);
    fs.rmdirSync(join(directory, 'a/b'));
    assert.equal(fs.statSync(join(directory, 'a')).nlink, 3);
  },

  'names are bytes': (directory) => {
    const name = Buffer.from([0x66, 0xff, 0x80, 0x20, 0x0a, 0x22]);
    const path = Buffer.concat([Buffer.from(`${directory}/`), name]);
    fs.writeFileSync(path, 'bytes');
    fs.writeFileSync(join(directory, '\u00dcbung'), 'composed');
    fs.writeFileSync(join(directory, 'U\u0308bung'), 'decomposed');
    const names = fs.readdirSync(directory, { encoding: 'buffer' });
    assert.equal(names.length, 3);
    assert.ok(names.some((found) => found.equals(name)));
    assert.equal(fs.readFileSync(path, 'utf8'), 'bytes');
    assert.equal(fs.readFileSync(join(directory, '\u00dcbung'), 'utf8'), 'composed');
  },

  'a listing shows each entry that stays exactly once': (directory) => {
    const count = 3000;
    for (let index = 0; index < count; index++) {
      fs.writeFileSync(join(directory, `stays-${index}`), '');
    }
    for (let index = 0; index < 200; index++)
      fs.writeFileSync(join(directory, `goes-${index}`), '');
    const listing = fs.opendirSync(directory, { bufferSize: 32 });
    const seen = new Map<string, number>();
    for (let step = 0; ; step++) {
      const entry = listing.readSync();
      if (entry === null) break;
      seen.set(entry.name, (seen.get(entry.name) ?? 0) + 1);
      if (step < 200) {
        fs.rmSync(join(directory, `goes-${step}`), { force: true });
        fs.writeFileSync(join(directory, `comes-${step}`), '');
      }
    }
    listing.closeSync();
    const stayed = [...seen].filter(([name]) => name.startsWith('stays-'));
    assert.equal(stayed.length, count);
    assert.ok([...seen.values()].every((times) => times === 1));
  },

  'removing a tree while listing it empties it': (directory) => {
    for (let index = 0; index < 500; index++) {
      fs.mkdirSync(join(directory, `tree/${index % 20}/${index}`), { recursive: true });
      fs.writeFileSync(join(directory, `tree/${index % 20}/${index}/file`), String(index));
    }
    execFileSync('rm', ['-r', join(directory, 'tree')]);
    assert.deepEqual(fs.readdirSync(directory), []);
  },

  'fsync works on files and directories': (directory) => {
    const file = fs.openSync(join(directory, 'a'), 'w');
    fs.writeSync(file, 'data');
    fs.fsyncSync(file);
    fs.fdatasyncSync(file);
    fs.closeSync(file);
    const handle = fs.openSync(directory, 'r');
    fs.fsyncSync(handle);
    fs.closeSync(handle);
  },

  'a read-only handle does not write and a write-only one does not read': (directory) => {
    const path = join(directory, 'a');
    fs.writeFileSync(path, 'x');
    const reader = fs.openSync(path, 'r');
    throwsCode('EBADF', () => fs.writeSync(reader, 'y'));
    fs.closeSync(reader);
    const writer = fs.openSync(path, 'a');
    throwsCode('EBADF', () => fs.readSync(writer, Buffer.alloc(1)));
    fs.closeSync(writer);
  },

  'cp copies, and mv moves, what is there': (directory) => {
    fs.mkdirSync(join(directory, 'from/sub'), { recursive: true });
    const content = Buffer.alloc(700_001, 'copy me ');
    fs.writeFileSync(join(directory, 'from/sub/file'), content, { mode: 0o755 });
    fs.symlinkSync('sub/file', join(directory, 'from/link'));
    execFileSync('cp', ['-a', join(directory, 'from'), join(directory, 'to')]);
    execFileSync('diff', ['-r', join(directory, 'from'), join(directory, 'to')]);
    assert.equal(fs.readlinkSync(join(directory, 'to/link')), 'sub/file');
    assert.equal(fs.statSync(join(directory, 'to/sub/file')).mode & 0o777, 0o755);
    execFileSync('mv', [join(directory, 'to/sub/file'), join(directory, 'moved')]);
    assert.deepEqual(fs.readFileSync(join(directory, 'moved')), content);
  },

  'holes read as zeros': (directory) => {
    const path = join(directory, 'sparse');
    execFileSync('truncate', ['-s', '64M', path]);
    const fd = fs.openSync(path, 'r+');
    fs.writeSync(fd, 'end', 2 ** 26 - 3);
    assert.equal(fs.fstatSync(fd).size, 2 ** 26);
    const buffer = Buffer.alloc(6);
    fs.readSync(fd, buffer, 0, 6, 2 ** 26 - 6);
    assert.equal(buffer.toString('latin1'), '\0\0\0end');
    fs.closeSync(fd);
    fs.unlinkSync(path);
  },

  'locks hold between processes': (directory) => {
    const path = join(directory, 'lock');
    const script =
      'exec 9>"$0"; flock -n 9; flock -n "$0" true && exit 9; exec 9>&-; flock -n "$0" true';
    execFileSync('bash', ['-c', script, path], { timeout: 10_000 });
  },

  'a fifo carries bytes between processes': async (directory) => {
    const path = join(directory, 'fifo');
    execFileSync('mkfifo', [path]);
    assert.ok(fs.statSync(path).isFIFO());
    const reader = spawn('cat', [path]);
    let text = '';
    reader.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise((resolve) => reader.once('close', resolve));
    execFileSync('sh', ['-c', 'echo through > "$0"', path], { timeout: 10_000 });
    await ended;
    assert.equal(text, 'through\n');
    fs.unlinkSync(path);
  },

  'many small files can be made, read and removed': (directory) => {
    const count = 1000;
    for (let index = 0; index < count; index++) {
      fs.writeFileSync(join(directory, `file-${index}`), `content ${index}`);
    }
    assert.equal(fs.readdirSync(directory).length, count);
    for (let index = 0; index < count; index += 7) {
      assert.equal(fs.readFileSync(join(directory, `file-${index}`), 'utf8'), `content ${index}`);
    }
    for (let index = 0; index < count; index++) fs.unlinkSync(join(directory, `file-${index}`));
    assert.deepEqual(fs.readdirSync(directory), []);
  },
};

/** One line of the program's output. */
export interface PosixOutcome {
  readonly name: string;
  /** The failure's stack; `null` when the case passed. */
  readonly failure: string | null;
}

async function runAll(directory: string): Promise<void> {
  for (const [index, [name, run]] of Object.entries(posixCases).entries()) {
    const own = join(directory, `case-${index}`);
    fs.mkdirSync(own);
    let failure: string | null = null;
    try {
      await run(own);
    } catch (error) {
      failure = (error as Error).stack ?? String(error);
    }
    process.stdout.write(`${JSON.stringify({ name, failure } satisfies PosixOutcome)}\n`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await runAll(process.argv[2] ?? '');
}
