import { execFileSync } from 'node:child_process';
import { existsSync, writeSync } from 'node:fs';
import { GitStore } from '../../src/index.ts';

// A program: commits to the repository GITDIR with the library, in small and in large steps, moves refs,
// packs what there is and makes further repositories beside it, until the file STOP is there. Prints a line
// of JSON for each thing that is done.

/** What must be found after a crash: a ref that is at a commit or behind it, or none. */
export interface RefAcknowledgement {
  readonly gitDir: string;
  readonly ref: string;
  /** `null`: it is gone. `undefined`: it is being made or deleted, and may be there or not. */
  readonly commit?: string | null;
}

/** Git does not sync refs unless it is told to, neither loose ones nor packed ones. */
const syncsAll = ['-c', 'core.fsync=all'];
/** More than are stored as loose objects. */
const largeCount = 1100;

async function run(gitDir: string, stop: string): Promise<void> {
  const acknowledge = (acknowledgement: Partial<RefAcknowledgement>): void =>
    void writeSync(1, `${JSON.stringify({ gitDir, ...acknowledgement })}\n`);
  const store = await GitStore.open(gitDir, { branch: 'single' });
  const { branches, tags } = store;
  await branches.set('large', await branches.get('single'));
  for (let step = 1; !existsSync(stop); step++) {
    const single = await branches.get('single');
    const { commitHash } = await single.writeText(`directory-${step % 3}/file`, `${step}\n`);
    acknowledge({ ref: 'refs/heads/single', commit: commitHash });
    if (step % 5 === 0) {
      const batch = (await branches.get('large')).batch();
      for (let file = 0; file < largeCount; file++) {
        await batch.writeText(`${file % 10}/file-${file}`, `${step}, ${file}\n`);
      }
      acknowledge({ ref: 'refs/heads/large', commit: (await batch.commit()).commitHash });
    }
    if (step % 7 === 0) await store.pack();
    if (step % 11 === 0)
      execFileSync('git', ['--git-dir', gitDir, ...syncsAll, 'pack-refs', '--all']);
    if (step % 13 === 1) {
      const made = `${gitDir}/../made/${step}.git`;
      const other = await GitStore.open(made);
      const { commitHash } = await other.branches.get('main');
      acknowledge({ gitDir: made, ref: 'refs/heads/main', commit: commitHash });
      await other.close();
    }
    const here = await branches.get('single');
    await branches.set(`some/branch-${step}`, here);
    acknowledge({ ref: `refs/heads/some/branch-${step}`, commit: here.commitHash });
    await tags.set(`tag-${step}`, here);
    acknowledge({ ref: `refs/tags/tag-${step}`, commit: here.commitHash });
    if (step > 3) {
      const ref = `refs/heads/some/branch-${step - 3}`;
      acknowledge({ ref });
      await branches.delete(`some/branch-${step - 3}`);
      acknowledge({ ref, commit: null });
    }
  }
  await store.close();
}

const [gitDir, stop] = process.argv.slice(2);
if (gitDir !== undefined && stop !== undefined) await run(gitDir, stop);
