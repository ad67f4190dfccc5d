import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { fsck } from '../helpers/git.ts';
import { freshMountpoint, mountRepository } from '../helpers/mount.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

// `npm run test:model` runs a million; VOST_MODEL_SEED repeats a run.
const operations = Number(process.env['VOST_MODEL_OPERATIONS'] ?? 10_000);
const firstSeed = Number(process.env['VOST_MODEL_SEED'] ?? Date.now() % 1_000_000);
const operationsPerSeed = 10_000;

const model = fileURLToPath(new URL('../helpers/posix/model.py', import.meta.url));
const temporary: string[] = [];
afterAll(async () => {
  for (const directory of temporary) await rm(directory, { recursive: true, force: true });
});

/** What only the session has of a mode is nothing to compare with a tree of git. */
async function gitModesAlone(directory: string): Promise<void> {
  await program('find', [
    directory,
    '-type',
    'f',
    '-perm',
    '-100',
    '-exec',
    'chmod',
    '755',
    '{}',
    '+',
  ]);
  await program('find', [
    directory,
    '-type',
    'f',
    '!',
    '-perm',
    '-100',
    '-exec',
    'chmod',
    '644',
    '{}',
    '+',
  ]);
  await program('find', [directory, '-type', 'd', '-exec', 'chmod', '755', '{}', '+']);
}

test(
  `${operations} random operations give on the mount what they give on a tmpfs (seed ${firstSeed})`,
  { timeout: 120_000 + operations * 20 },
  async () => {
    const repositories = await temporaryDirectory();
    const mountpoint = await freshMountpoint();
    const branch = join(mountpoint, 'main');
    for (let done = 0; done < operations; done += operationsPerSeed) {
      const seed = firstSeed + done / operationsPerSeed;
      const count = Math.min(operationsPerSeed, operations - done);
      const right = await mkdtemp('/dev/shm/vost-test-');
      temporary.push(right);
      await chmod(right, 0o755);
      const gitDir = join(await mkdtemp(join(repositories, `${seed}-`)), 'repo.git');
      let mounted = await mountRepository(gitDir, { mountpoint });
      const other = join(branch, 'tree');
      await mkdir(other);
      const said = await program(
        'python3',
        [model, right, other, mountpoint, String(seed), String(count)],
        { env: { PYTHONDONTWRITEBYTECODE: '1' }, timeoutMs: 110_000 },
      );
      console.log(said.trim());
      await rm(right, { recursive: true });

      await gitModesAlone(other);
      await program('sync', [branch]);
      const shown = await shownTree(gitDir, branch);
      expect(shown).toEqual(await storedTree(gitDir, 'main'));
      await mounted.unmount();
      await fsck(gitDir);
      mounted = await mountRepository(gitDir, { mountpoint });
      expect(await shownTree(gitDir, branch)).toEqual(shown);
      await program('rm', ['-r', other]);
      await mounted.unmount();
      await rm(dirname(gitDir), { recursive: true });
    }
  },
);
