import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { fsck } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { posixCases } from '../helpers/posix-cases.ts';
import type { PosixOutcome } from '../helpers/posix-cases.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const names = Object.keys(posixCases);

async function runCases(directory: string): Promise<ReadonlyMap<string, string | null>> {
  const path = (relative: string): string =>
    fileURLToPath(new URL(`../../${relative}`, import.meta.url));
  const output = await program(
    process.execPath,
    [
      ...['--import', path('scripts/typescript-loader.mjs')],
      ...[path('test/helpers/posix-cases.ts'), directory],
    ],
    { timeoutMs: 60_000 },
  );
  const outcomes = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as PosixOutcome);
  return new Map(outcomes.map(({ name, failure }) => [name, failure]));
}

// A case that an ordinary filesystem fails says nothing about the mount.
describe('on the disk', () => {
  let outcomes: ReadonlyMap<string, string | null>;
  beforeAll(async () => {
    outcomes = await runCases(await temporaryDirectory());
  });
  test.for(names)('%s', (name) => {
    expect(outcomes.get(name)).toBeNull();
  });
});

describe('on a branch of the mount', () => {
  let outcomes: ReadonlyMap<string, string | null>;
  let mounted: MountedRepository;
  beforeAll(async () => {
    mounted = await mountRepository(join(await temporaryDirectory(), 'repo.git'));
    const directory = join(mounted.mountpoint, 'main/posix');
    await mkdir(directory);
    outcomes = await runCases(directory);
  });
  test.for(names)('%s', (name) => {
    expect(outcomes.get(name)).toBeNull();
  });
  test('the repository is sound afterwards', async () => {
    await mounted.unmount();
    await fsck(mounted.gitDir);
  });
});
