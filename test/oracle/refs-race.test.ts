import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseRefName } from '../../src/git/refs/ref-name.ts';
import { RefStore } from '../../src/git/refs/ref-store.ts';
import { compiledProgram } from '../helpers/compiled-program.ts';
import { fsck, git, gitResult } from '../helpers/git.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const durationMs = 3000;
const oneWayRef = 'refs/heads/one-way';

function oneWayCommit(index: number): string {
  return `commit ${oneWayRef}\ncommitter A <a@example.com> ${index} +0000\ndata 0\n\n`;
}

test('two processes and git move one ref, while git packs it: every acknowledged move is in one chain', async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  const run = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);
  const attempt = async (...args: string[]): Promise<boolean> =>
    (await gitResult(['--git-dir', gitDir, ...args])).exitCode === 0;
  await git(['init', '--quiet', '--bare', gitDir]);
  await run('config', 'core.logAllRefUpdates', 'always');
  const tree = (await run('mktree')).trim();
  const commits: string[] = [];
  for (let index = 0; index < 14; index++) {
    commits.push((await run('commit-tree', tree, '-m', `commit ${index}`)).trim());
  }
  // For refs that come and go: git prunes what it has packed when it has the value that was packed, so one that
  // was deleted meanwhile and made again with the same value would be gone.
  const oneWay = await git(['--git-dir', gitDir, 'fast-import', '--quiet'], {
    input: Array.from({ length: 2000 }, (_, index) => oneWayCommit(index)).join(''),
  }).then(() => run('rev-list', oneWayRef));
  await run('update-ref', '-d', oneWayRef);
  const oneWayFile = join(gitDir, '../one-way');
  await writeFile(oneWayFile, oneWay);
  // Git has its own, so that each of its moves is one.
  const [oids, ofGit] = [commits.slice(0, 7), commits.slice(7)];
  const shared = parseRefName('refs/heads/race/shared');
  await run('update-ref', '-m', 'start', shared, oids[0]!);

  const racer = await compiledProgram(new URL('../fixtures/ref-racer.ts', import.meta.url));
  const acknowledged: string[] = [];
  const endMs = performance.now() + durationMs;
  const race = async (label: string): Promise<void> => {
    const args = [racer, gitDir, label, String(durationMs), oneWayFile, ...oids];
    acknowledged.push(...(await program(process.execPath, args)).trim().split('\n'));
  };
  const moveByGit = async (): Promise<void> => {
    for (let step = 0; performance.now() < endMs; step++) {
      const oid = ofGit[step % ofGit.length]!;
      const message = `git-${step}`;
      // While a program starts, the others move on: what git compares with is out of date, mostly. So
      // that it has a part in this on any machine, it moves the ref from whatever it is at as well.
      const expected = step % 4 === 0 ? [(await run('rev-parse', shared)).trim()] : [];
      if (await attempt('update-ref', '-m', message, shared, oid, ...expected)) {
        acknowledged.push(message);
      }
    }
  };
  const packByGit = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await attempt('pack-refs', '--all', '--prune');
      await attempt('update-ref', 'refs/heads/race/directory', oids[0]!);
      await attempt('update-ref', '-d', 'refs/heads/race/directory');
    }
  };
  await Promise.all([race('one'), race('two'), moveByGit(), packByGit()]);

  const refs = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always' });
  const records = await refs.reflog(shared);
  for (const [index, record] of records.entries()) {
    if (index > 0) expect(record.oldOid, record.message).toBe(records[index - 1]?.newOid);
  }
  expect((await refs.resolve(shared))?.oid).toBe(records.at(-1)?.newOid);
  expect(records.map((record) => record.message).sort()).toEqual(['start', ...acknowledged].sort());
  for (const label of ['one', 'two', 'git']) {
    expect(acknowledged.filter((message) => message.startsWith(label)).length).toBeGreaterThan(5);
  }
  expect((await run('for-each-ref', '--format=%(refname)')).split('\n')[0]).toBe(shared);
  expect(
    (await readdir(gitDir, { recursive: true })).filter((name) => name.endsWith('.lock')),
  ).toEqual([]);
  await fsck(gitDir);
});
