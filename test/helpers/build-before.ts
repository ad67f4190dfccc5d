import { readdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { program } from './program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The tests of the mount run the built program: build it when it is older than its source. */
export default async function buildBefore(): Promise<void> {
  const built = await stat(`${root}/dist/cli/vost-mount.js`).catch(() => undefined);
  if (built !== undefined && built.mtimeMs > (await newestMs(`${root}/src`))) return;
  await program('npm', ['run', 'build'], { cwd: root, timeoutMs: 180_000 });
}

async function newestMs(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const times = entries.map(
    async (entry) => (await stat(`${entry.parentPath}/${entry.name}`)).mtimeMs,
  );
  return Math.max(...(await Promise.all(times)));
}
