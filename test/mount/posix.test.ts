import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fsck } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// What the cases say is what ext4 does (`run.py ext4 DIRECTORY` checks that by hand). Here they run
// on a tmpfs, where a case that fails says nothing about the mount, and on a branch; where these
// differ from ext4 stands in differences.py.

interface Outcome {
  readonly expected: unknown;
  readonly actual: unknown;
}

const suite = fileURLToPath(new URL('../helpers/posix/run.py', import.meta.url));
const python = { env: { PYTHONDONTWRITEBYTECODE: '1' }, timeoutMs: 120_000 };
const list = execFileSync('python3', [suite, '--list'], {
  encoding: 'utf8',
  env: { ...process.env, ...python.env },
  timeout: 30_000,
});
const names = JSON.parse(list) as readonly string[];

async function runCases(kind: string, directory: string): Promise<ReadonlyMap<string, Outcome>> {
  const output = await program('python3', [suite, kind, directory], python);
  const outcomes = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Outcome & { readonly name: string });
  return new Map(outcomes.map((outcome) => [outcome.name, outcome]));
}

function expectOutcome(outcome: Outcome | undefined): void {
  expect(outcome).toBeDefined();
  expect(outcome?.actual).toEqual(outcome?.expected);
}

describe('on a tmpfs', () => {
  let directory: string;
  let outcomes: ReadonlyMap<string, Outcome>;
  beforeAll(async () => {
    directory = await mkdtemp('/dev/shm/vost-test-');
    await chmod(directory, 0o755);
    outcomes = await runCases('tmpfs', directory);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  test.for(names)('%s', (name) => {
    expectOutcome(outcomes.get(name));
  });
});

describe('on a branch of the mount', () => {
  let outcomes: ReadonlyMap<string, Outcome>;
  let mounted: MountedRepository;
  beforeAll(async () => {
    const directory = await temporaryDirectory();
    // Some cases run as another user, who has to get there.
    await chmod(directory, 0o755);
    const mountpoint = join(directory, 'mnt');
    await mkdir(mountpoint);
    mounted = await mountRepository(join(directory, 'repo.git'), {
      mountpoint,
      args: ['--allow-other'],
    });
    const cases = join(mounted.mountpoint, 'main/posix');
    await mkdir(cases);
    outcomes = await runCases('mount', cases);
  }, 180_000);
  test.for(names)('%s', (name) => {
    expectOutcome(outcomes.get(name));
  });
  test('the repository is sound afterwards', async () => {
    await mounted.unmount();
    await fsck(mounted.gitDir);
  });
});
