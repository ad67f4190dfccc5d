import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const directories = new Set<string>();

afterAll(async () => {
  const made = [...directories];
  directories.clear();
  // To look at what a failure left behind.
  if (process.env['VOST_TEST_KEEP'] !== undefined) return;
  // Retries: a process that a test ended may still be writing its last file.
  for (const directory of made) {
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
});

/** A fresh empty directory, removed with all it holds when the test file has run. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'vost-test-'));
  directories.add(directory);
  return directory;
}
