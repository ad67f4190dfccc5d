import {
  chmod,
  mkdir,
  readFile,
  readdir,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Script } from 'node:vm';
import { beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import {
  daemonEnvironment,
  freshMountpoint,
  installedCommand,
  pathOfNode,
  processesNaming,
  vostMount,
} from '../helpers/mount.ts';
import { program as runProgram, programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const libraryPath = join(dirname(installedCommand), 'code-cache.js');

/** A program of one module, which prints what it is, and where it keeps what was compiled. */
let [directory, program, caches, cacheFile] = ['', '', '', ''];

beforeEach(async () => {
  directory = await temporaryDirectory();
  caches = join(directory, 'caches');
  program = join(directory, 'app.js');
  cacheFile = join(caches, 'vost', `${program}.v8`);
  await writeFile(program, `console.log('the real program');`);
});

/** Runs the program as a daemon is run, and gives what it printed. */
async function run(): Promise<string> {
  const library = `require(${JSON.stringify(libraryPath)})`;
  const script = `const { runCached, compileAtOnce, keepCompiledCode } = ${library};
    runCached(${JSON.stringify(program)});
    compileAtOnce();
    keepCompiledCode();`;
  return runProgram(process.execPath, ['-e', script], {
    env: { ...daemonEnvironment, XDG_CACHE_HOME: caches },
  });
}

/** What the file would hold if another program, of the same length, had been compiled in place of the real one. */
async function planted(): Promise<Buffer> {
  const real = await readFile(program, 'utf8');
  const wrap = (text: string): string =>
    `(function (exports, require, module, __filename, __dirname) {${text}\n})`;
  const other = real.replace('the real program', 'somebody else   ');
  const compiled = new Script(wrap(other), { filename: program });
  compiled.runInThisContext();
  const code = compiled.createCachedData();
  const text = Buffer.from(wrap(real));
  const sizes = { textBytes: text.length, dataBytes: code.length };
  const entry = { file: basename(program), ...sizes };
  const header = Buffer.from(JSON.stringify([entry]));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  return Buffer.concat([length, header, text, code]);
}

describe('what was compiled', () => {
  test('is kept, for this user alone, and used', async () => {
    expect(await run()).toBe('the real program\n');
    expect(await readdir(dirname(cacheFile))).toEqual([basename(cacheFile)]);
    expect((await stat(dirname(cacheFile))).mode & 0o777).toBe(0o700);
    const { mode, ino } = await stat(cacheFile);
    expect(mode & 0o777).toBe(0o600);
    // Nothing is new, so nothing is written.
    expect(await run()).toBe('the real program\n');
    expect((await stat(cacheFile)).ino).toBe(ino);
    // That it is used at all shows where it is not what it should be.
    await writeFile(cacheFile, await planted());
    expect(await run()).toBe('somebody else   \n');
  });

  test('is machine code at once when the start is over, and after the rest was kept', async () => {
    const script = `const { runCached, compileAtOnce, keepCompiledCode } = require(${JSON.stringify(libraryPath)});
      const isCompiled = (called) => [called(), %ActiveTierIsSparkplug(called)][1];
      const tiers = [isCompiled(() => 1)];
      compileAtOnce();
      tiers.push(isCompiled(() => 2));
      keepCompiledCode();
      tiers.push(isCompiled(() => 3));
      console.log(tiers.join());`;
    const output = await runProgram(process.execPath, ['--allow-natives-syntax', '-e', script]);
    expect(output).toBe('false,true,true\n');
  });

  test.each([
    ['when it is used', 'hash()'],
    ['when the start is over', 'loadLateModules()'],
  ])('comes with what a start can do without %s', async (_when, call) => {
    await writeFile(
      program,
      `const crypto = require('node:crypto');
      globalThis.hash = () => crypto.createHash('sha1').update('').digest('hex');`,
    );
    // What is given to Node on its command line is compiled by something that loads it.
    const main = join(directory, 'main.js');
    const script = `const { runCached, loadLateModules } = require(${JSON.stringify(libraryPath)});
      const isLoaded = () => process.moduleLoadList.includes('NativeModule crypto');
      runCached(${JSON.stringify(program)});
      const before = isLoaded();
      ${call};
      console.log(before, isLoaded(), hash());`;
    const emptySha1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';
    await writeFile(main, script);
    expect(await runProgram(process.execPath, [main])).toBe(`false true ${emptySha1}\n`);
  });

  test.each([
    ['nothing', '', ''],
    ['letters beyond ASCII', `console.log('caf\u00e9 \u2713')`, 'caf\u00e9 \u2713\n'],
    ['a comment at its end', `console.log('x') // y`, 'x\n'],
  ])('may be a program of %s', async (_what, text, output) => {
    await writeFile(program, text);
    expect(await run()).toBe(output);
    expect(await run()).toBe(output);
  });

  test('is made again when the program is another one', async () => {
    await run();
    const { ino } = await stat(cacheFile);
    await writeFile(program, `console.log('the next program');`);
    expect(await run()).toBe('the next program\n');
    expect((await stat(cacheFile)).ino).not.toBe(ino);
  });

  test.each([
    ['a directory that others can write to', () => chmod(dirname(cacheFile), 0o777)],
    ['a file that its group can write to', () => chmod(cacheFile, 0o620)],
    ['the file of another user', () => runProgram('chown', ['65534', cacheFile])],
    ['the directory of another user', () => runProgram('chown', ['65534', dirname(cacheFile)])],
    [
      'a link',
      async () => {
        const elsewhere = join(directory, 'elsewhere');
        await writeFile(elsewhere, await readFile(cacheFile), { mode: 0o600 });
        await unlink(cacheFile);
        await symlink(elsewhere, cacheFile);
      },
    ],
  ])('is not taken from %s', async (_what, spoil) => {
    await run();
    await writeFile(cacheFile, await planted());
    await spoil();
    expect(await run()).toBe('the real program\n');
  });

  test.each([
    ['is empty', Buffer.alloc(0)],
    ['is no cache', Buffer.from('{}\n'.repeat(100))],
    ['promises a header that it has not', Buffer.from([0xff, 0xff, 0xff, 0x7f, 0x5b])],
  ])('is made again when the file %s', async (_what, content) => {
    await run();
    await writeFile(cacheFile, content);
    expect(await run()).toBe('the real program\n');
    expect((await stat(cacheFile)).size).toBeGreaterThan(content.length);
  });

  test('is made again when the file is cut off', async () => {
    await run();
    const whole = await readFile(cacheFile);
    await writeFile(cacheFile, whole.subarray(0, whole.length - 40));
    expect(await run()).toBe('the real program\n');
    expect((await stat(cacheFile)).size).toBe(whole.length);
  });

  test('is not kept where there is no place for it', async () => {
    await writeFile(caches, 'a file');
    expect(await run()).toBe('the real program\n');
  });
});

test('a daemon keeps what it has compiled, and the next one starts with it', async () => {
  const repository = join(await temporaryDirectory(), 'new.git');
  const env = { ...daemonEnvironment, PATH: pathOfNode, XDG_CACHE_HOME: caches };
  await mkdir(caches);
  const mountAndStop = async (): Promise<void> => {
    const mountpoint = await freshMountpoint();
    const mounted = await programResult(installedCommand, [repository, mountpoint], { env });
    expect(mounted).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
    // The daemon does that last.
    await eventually(() => expect(processesNaming(mountpoint)).toEqual([]));
  };
  const kept = async (): Promise<{ ino: number; size: number }> => {
    const found = await readdir(caches, { recursive: true });
    const [name = '', ...others] = found.filter((one) => one.endsWith('.v8'));
    expect(others).toEqual([]);
    return stat(join(caches, name));
  };
  await mountAndStop();
  const { ino, size } = await kept();
  expect(size).toBeGreaterThan(100_000);
  await mountAndStop();
  expect((await kept()).ino).toBe(ino);
});

test('a program that is kept has no import(), which would fail when it comes from the file', async () => {
  const programs = dirname(installedCommand);
  const names = (await readdir(programs)).filter((name) => name.endsWith('.js'));
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) {
    expect(await readFile(join(programs, name), 'utf8'), name).not.toMatch(/[^.\w]import\(/);
  }
});

test('what a daemon loads late is there when the daemon comes from the file', async () => {
  const gitDir = join(await temporaryDirectory(), 'new.git');
  const env = { ...daemonEnvironment, PATH: pathOfNode, XDG_CACHE_HOME: caches };
  await mkdir(caches);
  for (const round of ['first', 'second']) {
    const mountpoint = await freshMountpoint();
    const args = ['--gitignore', gitDir, mountpoint];
    const mounted = await programResult(installedCommand, args, { env });
    expect(mounted).toMatchObject({ exitCode: 0, stderr: '' });
    const cwd = join(mountpoint, 'main');
    // The rules are read by a package that is loaded for them.
    await shell(`echo '*.o' > .gitignore; echo > ${round}.o; echo > ${round}; sync ${round}`, {
      cwd,
    });
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
    await eventually(() => expect(processesNaming(mountpoint)).toEqual([]));
  }
  const tree = await git(['--git-dir', gitDir, 'ls-tree', '--name-only', 'main']);
  expect(tree).toBe('.gitignore\nfirst\nsecond\n');
  await fsck(gitDir);
});
