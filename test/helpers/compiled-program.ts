import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';
import { temporaryDirectory } from './temporary-directory.ts';

// Compiled for this machine by their own packages; whoever needs them finds out that they are missing.
const nativePackages = ['fuse-native', 'koffi'];

/**
 * Makes one file of a TypeScript program and all that it imports, for processes of its own: a daemon
 * under test must not share one with the test. Types are not checked here. It takes a second, and the
 * program then starts at once; the loader of scripts/ would compile every module at every start.
 *
 * @returns the path of a file for `node` to run
 */
export async function compiledProgram(entry: URL): Promise<string> {
  const file = join(await temporaryDirectory(), 'program.mjs');
  await build({
    input: fileURLToPath(entry),
    platform: 'node',
    external: nativePackages,
    output: { file, codeSplitting: false, sourcemap: 'inline' },
  });
  return file;
}
