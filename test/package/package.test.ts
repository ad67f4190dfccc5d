import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import { program, programResult } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// The package as others get it: packed, and installed where there is nothing else.

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const npm = (args: readonly string[], cwd: string): Promise<string> =>
  program('npm', args, { cwd, timeoutMs: 240_000 });

let tarball: string;
let packed: readonly { readonly path: string; readonly mode: number }[];

beforeAll(async () => {
  const directory = await temporaryDirectory();
  // What the build prints goes before the report.
  const output = await npm(['pack', '--json', '--pack-destination', directory], checkout);
  const [report] = JSON.parse(output.slice(output.indexOf('[\n'))) as [
    { filename: string; files: typeof packed },
  ];
  tarball = join(directory, report.filename);
  packed = report.files;
}, 300_000);

async function installed(...args: string[]): Promise<string> {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, 'package.json'), '{ "type": "module", "private": true }');
  await npm(['install', '--prefer-offline', '--no-audit', ...args, tarball], directory);
  return directory;
}

/** Mounts with the installed command, writes, and looks at what git has of it. */
async function mountAndWrite(directory: string, ...args: string[]): Promise<void> {
  const mountpoint = join(directory, 'mnt');
  await mkdir(mountpoint, { recursive: true });
  const repository = join(directory, `repo-${args.length}.git`);
  const run = (...words: string[]): Promise<string> =>
    program('npx', ['--no-install', 'vost-mount', ...words], { cwd: directory });
  await run(repository, mountpoint, ...args);
  try {
    await program('sh', ['-c', 'echo written > main/file'], { cwd: mountpoint });
  } finally {
    await run('unmount', mountpoint);
  }
  expect(await git(['--git-dir', repository, 'show', 'main:file'])).toBe('written\n');
  await fsck(repository);
}

const useLibrary = `
import { GitStore } from 'vost';
import { mount } from 'vost/mount';
const store = await GitStore.open('library.git');
const fs = await (await store.branches.get('main')).writeText('a.txt', 'by the library');
console.log(await fs.readText('a.txt'), typeof mount);
await store.close();
`;

describe('what is packed', () => {
  test('is what was built, and notes; no sources, no tests', () => {
    const paths = packed.map(({ path }) => path);
    for (const path of paths) {
      expect(path).toMatch(
        /^(dist\/(.*\.(js|d\.ts|map|1)|bin\/(package\.json|vost-mount))|native-notes\/[a-z-]+\.(md|svg)|README\.md|LICENSE|package\.json)$/,
      );
    }
    for (const path of [
      ...['dist/index.js', 'dist/index.d.ts', 'dist/mount/index.js', 'dist/mount/index.d.ts'],
      ...[
        'dist/bin/vost-mount',
        'dist/bin/vost-mount.js',
        'dist/man/vost-mount.1',
        'README.md',
        'LICENSE',
      ],
    ]) {
      expect(paths).toContain(path);
    }
    const command = packed.find(({ path }) => path === 'dist/bin/vost-mount');
    expect((command?.mode ?? 0) & 0o111).toBe(0o111);
  });

  test('is what publint accepts', async () => {
    const { messages } = await publint({ pkgDir: checkout, strict: true, pack: 'npm' });
    expect(messages).toEqual([]);
  });
});

describe('installed in an empty directory', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await installed();
  }, 300_000);

  test('the command runs, with its manual', async () => {
    const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as {
      version: string;
    };
    const command = ['--no-install', 'vost-mount', '--version'];
    expect(await program('npx', command, { cwd: directory })).toBe(`${version}\n`);
    const manual = join(directory, 'node_modules/vost/dist/man/vost-mount.1');
    expect(await readFile(manual, 'utf8')).toContain(`vost ${version}`);
  });

  test('it mounts, over both transports', async () => {
    await mountAndWrite(directory);
    await mountAndWrite(directory, '--transport', 'fuse-native');
  });

  test('the library runs, and its types are whole', async () => {
    await writeFile(join(directory, 'use.mjs'), useLibrary);
    const run = await program(process.execPath, ['use.mjs'], { cwd: directory });
    expect(run).toBe('by the library function\n');
    await writeFile(
      join(directory, 'use.ts'),
      `${useLibrary}
       import type { FS } from 'vost';
       import type { MountHandle, MountOptions } from 'vost/mount';
       const options: MountOptions = { branch: 'main', commitOn: { idleMs: 5 } };
       export const given: [FS, (handle: MountHandle) => Promise<void>] = [fs, (handle) => handle.unmount()];
       export const mounted: Promise<MountHandle> = mount('x.git', '/mnt', options);
       // @ts-expect-error: no such policy
       export const wrong: MountOptions = { commitOn: 'never' };
      `,
    );
    const check = await programResult(
      process.execPath,
      [
        join(checkout, 'node_modules/typescript/bin/tsc'),
        ...['--ignoreConfig', '--noEmit', '--strict', '--exactOptionalPropertyTypes'],
        ...['--module', 'nodenext', '--target', 'es2022', '--types', 'node'],
        ...['--typeRoots', join(checkout, 'node_modules/@types'), 'use.ts'],
      ],
      { cwd: directory, timeoutMs: 60_000 },
    );
    expect(check).toMatchObject({ exitCode: 0, stdout: '' });
  });
});

describe('installed without what is optional', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await installed('--omit=optional');
  }, 300_000);

  test('library and kernel transport work', async () => {
    for (const name of ['koffi', 'fuse-native']) {
      const look = await programResult('ls', [join(directory, 'node_modules', name)]);
      expect(look.exitCode).not.toBe(0);
    }
    await writeFile(join(directory, 'use.mjs'), useLibrary);
    const run = await program(process.execPath, ['use.mjs'], { cwd: directory });
    expect(run).toBe('by the library function\n');
    await mountAndWrite(directory);
  });

  test('the other transport says what is missing', async () => {
    await mkdir(join(directory, 'other'));
    // Should it mount after all.
    onTestFinished(async () => {
      await programResult('umount', ['-i', '-l', join(directory, 'other')]);
    });
    const { exitCode, stderr } = await programResult(
      'npx',
      ['--no-install', 'vost-mount', 'x.git', 'other', '--transport', 'fuse-native'],
      { cwd: directory },
    );
    expect(exitCode).toBe(1);
    expect(stderr).toContain('npm install fuse-native');
  });
});
