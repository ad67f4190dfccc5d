import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { GitStore } from '../../src/index.ts';
import { compiledProgram } from '../helpers/compiled-program.ts';
import { fsck, git, gitResult } from '../helpers/git.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// VOST_TEST_ROUNDS makes it longer: that many times the writes and pushes.
const rounds = Number(process.env['VOST_TEST_ROUNDS'] ?? 1);
const leastWrites = 4 * rounds;
const pushes = 2 * rounds;
const timeoutMs = 60_000 * rounds;

test(
  'two processes with four writers each, and one who pushes, lose no commit on one branch',
  async () => {
    const directory = await temporaryDirectory();
    const [gitDir, clone, stop] = ['shared.git', 'clone', 'stop'].map((name) =>
      join(directory, name),
    ) as [string, string, string];
    await (await GitStore.open(gitDir)).close();
    await git(['clone', '--quiet', gitDir, clone]);

    const writers = await compiledProgram(
      new URL('../fixtures/branch-writers.ts', import.meta.url),
    );
    const write = async (label: string): Promise<string[]> => {
      const args = [writers, gitDir, label, String(leastWrites), stop];
      return (await program(process.execPath, args, { timeoutMs })).trim().split('\n');
    };
    const tip = async (): Promise<string> =>
      (await git(['rev-parse', 'main'], { cwd: gitDir })).trim();
    const push = async (): Promise<string[]> => {
      const pushed: string[] = [];
      // Nobody is known to write before the first commit is there.
      for (const first = await tip(); (await tip()) === first;) await pause(20);
      for (let step = 0; step < pushes; step++) {
        await writeFile(join(clone, `pushed-${step}`), `pushed ${step}\n`);
        await git(['add', '-A'], { cwd: clone });
        await git(['commit', '--quiet', '-m', `push ${step}`], { cwd: clone });
        do await git(['pull', '--quiet', '--rebase'], { cwd: clone });
        while ((await gitResult(['push', '--quiet'], { cwd: clone })).exitCode !== 0);
        pushed.push((await git(['rev-parse', 'HEAD'], { cwd: clone })).trim());
      }
      // Only now may the writers end: there were commits before and after each push.
      await writeFile(stop, '');
      return pushed;
    };
    const [one, two, pushed] = await Promise.all([write('one'), write('two'), push()]);

    const written = [...one, ...two].map((line) => line.split(' ') as [string, string]);
    expect(written.length).toBeGreaterThanOrEqual(8 * leastWrites);
    const history = (await git(['rev-list', 'main'], { cwd: gitDir })).trim().split('\n');
    // The commit that the store began with, and all those that were acknowledged: no other, none twice.
    const acknowledged = [...written.map(([, commit]) => commit), ...pushed];
    expect(history.slice(0, -1).sort()).toEqual(acknowledged.sort());
    const places = pushed.map((commit) => history.indexOf(commit));
    expect(Math.max(...places)).toBeLessThan(history.length - 2);
    const merges = await git(['rev-list', '--min-parents=2', 'main'], { cwd: gitDir });
    expect(merges).toBe('');

    const store = await GitStore.open(gitDir, { create: false });
    const fs = await store.branches.get('main');
    for (const [path] of written) expect(await fs.readText(path)).toBe(`${path}\n`);
    for (let step = 0; step < pushes; step++) {
      expect(await fs.readText(`pushed-${step}`)).toBe(`pushed ${step}\n`);
    }
    const reflog = await store.branches.reflog('main');
    for (const [index, { oldSha }] of reflog.entries()) {
      if (index > 0) expect(oldSha).toBe(reflog[index - 1]?.newSha);
    }
    expect(reflog).toHaveLength(history.length);
    await store.close();
    await fsck(gitDir);
  },
  timeoutMs,
);
