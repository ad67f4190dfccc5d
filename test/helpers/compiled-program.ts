import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program } from './program.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles a TypeScript program and what it imports, for a process of its own: a daemon under test
 * must not share one with the test. Types are not checked here.
 *
 * @returns the path of a file for `node` to run
 */
export async function compiledProgram(entry: URL): Promise<string> {
  const outDir = join(await temporaryDirectory(), 'program');
  const source = fileURLToPath(entry);
  await mkdir(outDir);
  await writeFile(join(outDir, 'package.json'), '{ "type": "module" }');
  await program(
    process.execPath,
    [
      ...[join(root, 'node_modules/typescript/bin/tsc'), source, '--ignoreConfig', '--noCheck'],
      ...['--outDir', outDir, '--rootDir', root, '--target', 'es2022', '--module', 'nodenext'],
      ...['--types', 'node', '--rewriteRelativeImportExtensions', '--inlineSourceMap'],
    ],
    { cwd: root },
  );
  return join(outDir, relative(root, source).replace(/\.ts$/, '.js'));
}
