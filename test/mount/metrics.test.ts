import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import { shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

test('metrics tell what was done', async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  const mounted = await mountRepository(gitDir, { args: ['--commit-on', 'fsync'] });
  const { mountpoint } = mounted;
  const inGit = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);
  /** By name, with its labels. */
  const metrics = async (): Promise<Map<string, number>> => {
    const text = await readFile(join(mountpoint, '.vost/metrics'), 'utf8');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(lines.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])]));
  };
  const before = await metrics();
  const grown = async (name: string): Promise<number> =>
    (await metrics()).get(name)! - before.get(name)!;
  for (const [name, value] of before) expect([name, value]).toEqual([name, expect.any(Number)]);

  await writeFile(join(mountpoint, 'main/file'), Buffer.alloc(300_000));
  expect(await grown('vost_written_bytes_total')).toBe(300_000);
  expect((await metrics()).get('vost_staged_files')).toBe(1);
  expect((await metrics()).get('vost_staged_bytes')).toBe(300_000);
  expect(await grown('vost_commits_total')).toBe(0);
  await shell('sync main/file', { cwd: mountpoint });
  expect(await grown('vost_commits_total')).toBe(1);
  expect((await metrics()).get('vost_staged_files')).toBe(0);

  // What the kernel has not cached: the same content under another name.
  const tip = (await inGit('rev-parse', 'main')).trim();
  const readBefore = await grown('vost_read_bytes_total');
  await readFile(join(mountpoint, '.commits', tip, 'file'));
  expect(await grown('vost_read_bytes_total')).toBeGreaterThanOrEqual(readBefore + 300_000);

  const treeHits = await grown('vost_cache_hits_total{cache="trees"}');
  await shell('cat main/no-such-file || true', { cwd: mountpoint });
  expect((await metrics()).has('vost_operation_errors_total{operation="lookup",errno="2"}')).toBe(
    false,
  );
  await shell(`touch .commits/${tip}/file || true`, { cwd: mountpoint });
  expect((await metrics()).get('vost_operation_errors_total{operation="open",errno="30"}')).toBe(1);
  expect(await grown('vost_cache_hits_total{cache="trees"}')).toBeGreaterThan(treeHits);

  const misses = await grown('vost_cache_misses_total{cache="objects"}');
  await commitWithGit(gitDir);
  await eventually(async () => expect(await grown('vost_reconciles_total')).toBe(1));
  expect(await readFile(join(mountpoint, 'main/outside'), 'utf8')).toBe('outside\n');
  expect(await grown('vost_cache_misses_total{cache="objects"}')).toBeGreaterThan(misses);

  // Of an hour ago: one that is young would be waited for.
  await shell('touch -d "1 hour ago" refs/heads/main.lock', { cwd: gitDir });
  await writeFile(join(mountpoint, 'main/late'), 'late');
  await expect(shell('sync main/late', { cwd: mountpoint })).rejects.toThrow(/busy/i);
  expect(await grown('vost_commit_failures_total')).toBeGreaterThanOrEqual(1);
  expect((await metrics()).get('vost_failing_branches')).toBe(1);
  await rm(join(gitDir, 'refs/heads/main.lock'));
  await shell('sync main/late', { cwd: mountpoint });
  expect(await grown('vost_commits_total')).toBe(2);
  expect(await grown('vost_commit_retries_total')).toBe(0);
  await mounted.unmount();
  await fsck(gitDir);
});

/** A commit on `main` by somebody else. */
async function commitWithGit(gitDir: string): Promise<void> {
  await shell(
    `export GIT_AUTHOR_NAME=G GIT_AUTHOR_EMAIL=g@x GIT_COMMITTER_NAME=G GIT_COMMITTER_EMAIL=g@x
    blob=$(echo outside | git hash-object -w --stdin)
    tree=$({ git ls-tree main; printf '100644 blob %s\\toutside\\n' $blob; } | git mktree)
    git update-ref refs/heads/main $(git commit-tree -p main -m outside $tree)`,
    { cwd: gitDir },
  );
}
