import { fileURLToPath } from 'node:url';
import { program } from './program.ts';

/** The tests of the mount run the built program: build it when it is older than its source. */
export default async function buildBefore(): Promise<void> {
  const build = fileURLToPath(new URL('../../scripts/build.mjs', import.meta.url));
  await program(process.execPath, [build, '--if-older'], { timeoutMs: 180_000 });
}
