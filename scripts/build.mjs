// Compiles src/ to dist/ from scratch, so that a renamed file leaves nothing behind. The library is
// compiled module by module; the programs are bundled into dist/bin, for loading two hundred modules
// one at a time is most of what it takes to start. The manual is made of the tables behind --help.
// The old dist/ is replaced only by a whole new one: a build that fails, or that runs beside a daemon
// which still loads its modules, leaves no half of it.
//
//   node scripts/build.mjs [--if-older]     --if-older: only when src/, or how it is built, is newer than dist/
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const { bin, version, dependencies, optionalDependencies } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);
const bins = Object.values(bin);
/** The programs that the script `vost-mount` starts. */
const startedByShell = ['vost-mount', 'daemon'];
/** Those that run for long, and whose compiled code is kept from one start to the next. */
const daemons = ['daemon', 'guarded-daemon'];
// To find and load a package takes as long as a good part of our own code: each mount needs the first, and
// each command the second, which is many modules with those that it needs.
const bundled = ['lru-cache', 'yargs'];
const outside = Object.keys({ ...dependencies, ...optionalDependencies }).filter(
  (name) => !bundled.includes(name),
);

if (!process.argv.includes('--if-older') || !isUpToDate()) await build();

async function build() {
  const next = join(root, `.dist-${process.pid}`);
  try {
    execFileSync(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'src', '--outDir', next],
      { cwd: root, stdio: 'inherit' },
    );
    await writeManual(next);
    await makePrograms(next);
    copyFileSync(join(root, 'src/cli/vost-mount.sh'), join(next, 'bin/vost-mount'));
    for (const file of [...bins, 'dist/bin/vost-mount.js'])
      chmodSync(join(next, relative('dist', file)), 0o755);
    rmSync(dist, { recursive: true, force: true });
    renameSync(next, dist);
  } catch (error) {
    // The compiler has said what is wrong.
    if (error.status === undefined) throw error;
    process.exitCode = 1;
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
}

/** The command and the daemon it starts; packages stay outside, and what is imported late stays apart. */
async function makePrograms(next) {
  const programs = join(next, 'bin');
  let rolldown;
  try {
    rolldown = await import('rolldown');
  } catch (error) {
    // Its native part is optional to npm, and so missing after `npm ci --omit=optional`.
    console.warn(
      `the programs are not bundled and start more slowly: ${error.message.split('.', 1)}`,
    );
    mkdirSync(programs);
    for (const name of startedByShell) {
      writeFileSync(
        join(programs, `${name}.js`),
        `#!/usr/bin/env node\nimport '../cli/${name}.js';\n`,
      );
    }
    return;
  }
  const inputs = { 'vost-mount': 'vost-mount', 'code-cache': 'code-cache' };
  for (const name of daemons) inputs[`${name}-program`] = name;
  await rolldown.build({
    input: Object.fromEntries(
      Object.entries(inputs).map(([name, source]) => [name, join(root, `src/cli/${source}.ts`)]),
    ),
    platform: 'node',
    external: (id) => isBuiltin(id) || outside.some((name) => `${id}/`.startsWith(`${name}/`)),
    // Yargs would ask where a configuration stands that another one extends; here is none.
    onLog: (level, log, tell) => {
      if (log.code !== 'EMPTY_IMPORT_META') tell(level, log);
    },
    // As CommonJS, for an `import` from a module of Node loads all that this has to offer, web crypto
    // and streams among them, which takes as long as everything else.
    output: {
      dir: programs,
      format: 'cjs',
      sourcemap: true,
      comments: false,
      // Half as much to read and to check. What is thrown still says in which functions.
      minify: {
        mangle: { keepNames: true },
        compress: { keepNames: { function: true, class: true } },
      },
      // What was compiled before cannot import any more (`code-cache.ts`): V8 does not keep what that needs.
      dynamicImportInCjs: false,
      chunkFileNames: '[name]-[hash].js',
    },
  });
  for (const name of readdirSync(programs))
    if (name.endsWith('.js')) makeAscii(join(programs, name));
  for (const name of daemons) {
    writeFileSync(
      join(programs, `${name}.js`),
      `require('./code-cache.js').runCached(require.resolve('./${name}-program.js'));\n`,
    );
  }
  writeFileSync(join(programs, 'package.json'), '{ "type": "commonjs" }\n');
  rmSync(join(next, 'cli'), { recursive: true });
}

/** One character beyond ASCII, in a text or an expression, makes reading a program three times as slow. */
function makeAscii(path) {
  const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  writeFileSync(path, readFileSync(path, 'utf8').replace(/[^\0-\x7f]/g, escaped));
}

/** The manual is made from what `--help` shows. */
async function writeManual(next) {
  const { manPage } = await import(pathToFileURL(join(next, 'cli/man-page.js')).href);
  mkdirSync(join(next, 'man'));
  writeFileSync(join(next, 'man/vost-mount.1'), manPage(version));
}

function isUpToDate() {
  const built = statSync(join(root, bins[0]), { throwIfNoEntry: false });
  if (built === undefined) return false;
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true });
  const paths = sources.map((entry) => join(entry.parentPath, entry.name));
  // What decides how they are built.
  for (const name of ['package.json', 'tsconfig.json', 'scripts/build.mjs'])
    paths.push(join(root, name));
  return paths.every((path) => statSync(path).mtimeMs < built.mtimeMs);
}
