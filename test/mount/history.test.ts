import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildBranchHistory } from '../fixtures/branch-history.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository, vostMount } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

let gitDir: string;
const inRepository = async (...args: string[]): Promise<string> =>
  (await git(['--git-dir', gitDir, ...args])).trimEnd();

beforeAll(async () => {
  gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '--quiet', '--bare', gitDir]);
  await buildBranchHistory(gitDir);
});

function shellIn({ mountpoint }: MountedRepository): (script: string) => Promise<string> {
  return async (script) => (await shell(script, { cwd: mountpoint })).trimEnd();
}

test('ordinary programs read what a branch was, whole', async () => {
  const mount = await mountRepository(gitDir);
  const sh = shellIn(mount);
  expect(await sh('ls -A')).not.toContain('.history');
  const log = await inRepository('log', '--first-parent', '--format=%ct %H', 'main');
  const names = log.split('\n').map((line) => {
    const [time, oid = ''] = line.split(' ');
    const text = new Date(Number(time) * 1000).toISOString().replace(/[-:]|\.000/g, '');
    return `${text}-${oid.slice(0, 7)}`;
  });
  expect((await sh('ls -U .history/main')).split('\n')).toEqual(names);
  for (const [index, name] of names.entries()) {
    if (index % 8 !== 0) continue;
    const stored = await storedTree(gitDir, `main~${index}`);
    for (const place of [name, `~${index}`]) {
      expect(await shownTree(gitDir, join(mount.mountpoint, '.history/main', place))).toEqual(
        stored,
      );
    }
  }
  // The second look goes through what the kernel has kept.
  expect((await sh('ls -l .history/main | tail -n +2')).split('\n').length).toBe(40);
  expect(await sh('cd .history/main/~3 && pwd -P && cat counter')).toBe(
    `${mount.mountpoint}/.history/main/~3\n37`,
  );
  await mount.unmount();
});

test('the recipes of the manual work', async () => {
  const mount = await mountRepository(gitDir);
  const sh = shellIn(mount);
  await sh('printf "one\\ntwo\\n" > main/poem.txt; sync main');
  await sh('printf "one\\ntwo\\nthree\\n" > main/poem.txt; sync main');
  await sh('printf "one\\n2\\nthree\\n" > main/poem.txt; sync main');
  // Everything that was committed is there at once, newest first.
  expect((await sh('ls -U .versions/main/poem.txt')).split('\n').length).toBe(3);
  expect(await sh('cat .history/main/~0/poem.txt')).toBe('one\n2\nthree');
  expect(await sh('cat .history/main/~2/poem.txt')).toBe('one\ntwo');
  // Which version brought a line: the last one of the listing that has it.
  const introduced = await sh(
    'cd .versions/main/poem.txt && ls -U | xargs grep -l three | tail -n 1 | xargs cat',
  );
  expect(introduced).toBe('one\ntwo\nthree');
  const { exitCode, stdout } = await programResult(
    'diff',
    ['-r', '.history/main/@2020-01-01', 'main'],
    { cwd: mount.mountpoint },
  );
  expect([exitCode, stdout]).toEqual([2, '']);
  expect(
    (await programResult('diff', ['-rq', '.history/main/~1', 'main'], { cwd: mount.mountpoint }))
      .stdout,
  ).toBe('Files .history/main/~1/poem.txt and main/poem.txt differ\n');
  await sh('rm main/poem.txt; sync main');
  expect(await sh('ls .versions/main')).not.toContain('poem');
  await sh(
    'cp ".versions/main/poem.txt/$(ls -U .versions/main/poem.txt | sed -n 2p)" main/poem.txt',
  );
  expect(await sh('cat main/poem.txt')).toBe('one\ntwo\nthree');
  await sh('sync main');
  expect(await inRepository('show', 'main:poem.txt')).toBe('one\ntwo\nthree');
  await mount.unmount();
  await fsck(gitDir);
});

test('whatever moves a branch, its history follows at once, and stays what it was where somebody is', async () => {
  const mount = await mountRepository(gitDir);
  const sh = shellIn(mount);
  const [tip, third] = [
    await inRepository('rev-parse', 'import'),
    await inRepository('rev-parse', 'import~3'),
  ];
  expect(await sh('cat .history/import/~0/counter')).toBe('40');
  const short = tip.slice(0, 8);
  await sh(
    `cat .history/import/${tip}/counter; cat .history/import/${short}/counter; ls .history/import/*`,
  );
  await inRepository('update-ref', 'refs/heads/import', third);
  expect(await sh('cat .history/import/~0/counter')).toBe('37');
  for (const gone of [tip, short]) {
    expect(await sh(`cat .history/import/${gone}/counter 2>&1 || true`)).toContain('No such file');
  }
  expect((await sh('ls .history/import')).split('\n').length).toBe(37);
  expect(await sh('ls -U .versions/import/counter | wc -l')).toBe('37');
  await inRepository('update-ref', 'refs/heads/import', tip);
  expect(await sh('cat .history/import/~0/counter')).toBe('40');
  expect(await sh('ls -U .versions/import/counter | wc -l')).toBe('40');
  await mount.unmount();
});

test('nothing in it can be changed', async () => {
  const mount = await mountRepository(gitDir);
  for (const script of [
    'echo x > .history/main/~0/counter',
    'mkdir .history/x',
    'rmdir .history/main',
    'rm .history/main/~0/counter',
    'mv .history/main/~1 main/here',
    'touch .versions/main/x',
    'rmdir .versions/main/counter',
    'rm .versions/main/counter/*',
    'rmdir .versions',
  ]) {
    const { stderr } = await programResult('sh', ['-c', script], { cwd: mount.mountpoint });
    expect(stderr, script).toContain('Read-only file system');
  }
  await mount.unmount();
});

test('memory stays bounded when programs read every version', async () => {
  const mount = await mountRepository(gitDir, { args: ['--cache-size', '16M'] });
  const sh = shellIn(mount);
  const residentKb = async (): Promise<number> =>
    Number(/VmRSS:\s+(\d+) kB/.exec(await shell(`cat /proc/${mount.pid}/status`))?.[1]);
  await sh('du -s .history/main > /dev/null');
  const before = await residentKb();
  for (let round = 0; round < 5; round++) {
    await sh(
      'du -s .history/main; find .versions/main; grep -r "no such text" .history/main || true',
    );
  }
  expect((await residentKb()) - before).toBeLessThan(96 * 1024);
  await mount.unmount();
});

describe('one commit of a history as the root', () => {
  const at25 = new Date((1_700_000_000 + 31 * 60) * 1000).toISOString();

  test.each([
    [['--ref', `main@${at25}`], 'import~14'],
    [['--ref', `main@${at25}~2`], 'import~16'],
    // Its clock was five minutes late.
    [['--ref', 'import', '--before', at25], 'import~4'],
    [['--ref', 'import', '--match', 'commit 1?'], 'import~21'],
    [['--ref', 'import', '--path', 'gone.txt'], 'import~29'],
    [['--ref', 'import', '--path', 'gone.txt', '--back', '1'], 'import~31'],
    [['-o', 'ro,branch=import,back=1'], 'import~1'],
  ])('%j is %s', async (args, expected) => {
    const mount = await mountRepository(gitDir, { args });
    expect(await shownTree(gitDir, mount.mountpoint)).toEqual(await storedTree(gitDir, expected));
    const { stderr } = await programResult('touch', ['x'], { cwd: mount.mountpoint });
    expect(stderr).toContain('Read-only file system');
    await mount.unmount();
  });

  test.each([
    [['--ref', 'main@2000-01-01'], 1, 'there was no main at that time'],
    [['--ref', 'main', '--back', '1000'], 1, 'there are only'],
    [['--back', '1'], 2, '--back needs --ref, --tag or --branch'],
    [['--ref', 'main', '--back', 'x'], 2, '--back: "x" is no number'],
    [['--ref', 'main', '--before', 'soon'], 2, '--before: "soon" is no time'],
  ])('%j is refused', async (args, exitCode, message) => {
    const mountpoint = await temporaryDirectory();
    const result = await vostMount([gitDir, mountpoint, ...args]);
    expect([result.exitCode, result.stderr]).toEqual([exitCode, expect.stringContaining(message)]);
  });
});
