import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEachFile } from './after-file.ts';

const directories = new Set<string>();

afterEachFile(async () => {
  const made = [...directories];
  directories.clear();
  // To look at what a failure left behind.
  if (process.env['VOST_TEST_KEEP'] !== undefined) return;
  // Retries: a process that a test ended may still be writing its last file.
  for (const directory of made) {
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
});

/** What the names of directories begin with that are made by the processes of a run of tests. */
export function prefixOf(run: number): string {
  return `vost-test-${run}-`;
}

/** Where all daemons of a run keep their compiled code; removed when it ends. */
export function cacheOf(run: number): string {
  return join(tmpdir(), `${prefixOf(run)}cache`);
}

/** A fresh empty directory, removed with all it holds when the test file has run. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefixOf(process.ppid)));
  directories.add(directory);
  return directory;
}
