import { readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { cacheOf, prefixOf } from './temporary-directory.ts';

/** Fails the run when tests have left a directory behind; what is mounted in one keeps it from being removed. */
export default function nothingLeft(): () => void {
  return () => {
    if (process.env['VOST_TEST_KEEP'] !== undefined) return;
    rmSync(cacheOf(process.pid), { recursive: true, force: true });
    const left = readdirSync(tmpdir()).filter((name) => name.startsWith(prefixOf(process.pid)));
    if (left.length === 0) return;
    // Vitest says what a teardown throws, and calls the run a success.
    process.exitCode = 1;
    throw new Error(`tests have left behind: ${left.join(' ')}`);
  };
}
