import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { git } from '../../../helpers/git.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';
import { BranchMount, commitOutside, mainRef } from './branch-mount.ts';

const files = {
  '.gitignore': '*.log\nbuild/\n/top-only\n!keep.log\n',
  'src/.gitignore': '!debug.log\ngenerated\n',
  'src/a.txt': 'a',
  'tracked.log': 'tracked',
  'build/tracked': 'tracked',
};
const options = { files, mount: { gitignore: true } };

async function committed(mount: BranchMount): Promise<string[]> {
  await mount.commit();
  return (await mount.git('ls-tree', '-r', '--name-only', 'main')).split('\n');
}

/** Which of the paths git ignores, in a worktree with the same rule files. */
async function ignoredByGit(paths: readonly string[]): Promise<string[]> {
  const worktree = await temporaryDirectory();
  await git(['init', '-q', worktree]);
  await mkdir(join(worktree, 'src'));
  for (const path of ['.gitignore', 'src/.gitignore'] as const) {
    await writeFile(join(worktree, path), files[path]);
  }
  const input = `${paths.join('\n')}\n`;
  const output = await git(['check-ignore', '--stdin', '--no-index'], { cwd: worktree, input });
  return output.trimEnd().split('\n');
}

describe('.gitignore', () => {
  test('keeps out of commits what it names, and git agrees', async () => {
    const mount = await BranchMount.open(options);
    const paths = [
      'x.log',
      'keep.log',
      'top-only',
      'src/top-only',
      'src/debug.log',
      'src/other.log',
      'src/generated',
      'build/new',
      'build/deep/new',
      'src/build/new',
      'fine',
      'src/fine',
    ];
    for (const directory of ['build/deep', 'src/build']) await mount.mkdir(directory);
    for (const path of paths) await mount.write(path, path);
    const listed = await committed(mount);
    const ignored = paths.filter((path) => !listed.includes(path));
    expect(ignored).toEqual(await ignoredByGit(paths));
    expect(ignored).toHaveLength(7);
    expect(await mount.text('build/deep/new')).toBe('build/deep/new');
    expect(mount.status.stagedFiles).toBe(0);
  });

  test('does not concern what is tracked, and lets go of what gets a real name', async () => {
    const mount = await BranchMount.open(options);
    await mount.write('tracked.log', 'changed');
    await mount.write('build/tracked', 'changed');
    await mount.mkdir('out');
    await mount.write('out/x.log', 'log');
    await mount.mkdir('dist');
    await mount.rename('dist', 'build/inner');
    await mount.write('build/inner/file', 'x');
    expect(await committed(mount)).not.toContain('out/x.log');
    expect(await mount.git('show', 'main:tracked.log')).toBe('changed');
    expect(await mount.git('show', 'main:build/tracked')).toBe('changed');
    await mount.rename('out/x.log', 'out/real');
    await mount.rename('build/inner', 'inner');
    expect(await committed(mount)).toEqual(expect.arrayContaining(['inner/file', 'out/real']));
    await mount.unlink('tracked.log');
    expect(await committed(mount)).not.toContain('tracked.log');
  });

  test('follows its own changes', async () => {
    const mount = await BranchMount.open(options);
    await mount.write('.gitignore', '*.tmp\n');
    await mount.write('x.log', '1');
    await mount.write('x.tmp', '1');
    const listed = await committed(mount);
    expect(listed).toContain('x.log');
    expect(listed).not.toContain('x.tmp');
    await mount.unlink('.gitignore');
    await mount.write('x.tmp', '2');
    expect(await committed(mount)).toContain('x.tmp');
  });

  test('no more names what was left out before, also deep below', async () => {
    const mount = await BranchMount.open(options);
    await mount.mkdir('src/deep');
    await mount.mkdir('build/out');
    const left = ['x.log', 'src/deep/y.log', 'build/out/z'];
    for (const path of left) await mount.write(path, path);
    await mount.rename('src/a.txt', 'src/a.log');
    for (const path of [...left, 'src/a.log']) expect(await committed(mount)).not.toContain(path);
    await mount.write('src/.gitignore', '# nothing\n');
    // Still named by the file above.
    for (const path of [...left, 'src/a.log']) expect(await committed(mount)).not.toContain(path);
    await mount.write('.gitignore', '/build\n');
    const later = await committed(mount);
    expect(later).toEqual(expect.arrayContaining(['x.log', 'src/deep/y.log', 'src/a.log']));
    expect(later).not.toContain('build/out/z');
    await mount.unlink('.gitignore');
    expect(await committed(mount)).toContain('build/out/z');
    await mount.expectCommitted();
  });

  test('names no more what is in a directory that was moved', async () => {
    const rules = { '.gitignore': '/build/*.o\n/build/*/*.o\n*.log\n', 'build/tracked': '1' };
    const mount = await BranchMount.open({ files: rules, mount: { gitignore: true } });
    await mount.mkdir('build/deep');
    const left = ['build/x.o', 'build/deep/y.o', 'build/deep/z.log'];
    for (const path of left) await mount.write(path, path);
    for (const path of left) expect(await committed(mount)).not.toContain(path);
    await mount.rename('build', 'out');
    const moved = ['.gitignore', 'out/deep/y.o', 'out/tracked', 'out/x.o'];
    expect(await committed(mount)).toEqual(moved);
    await mount.unlink('out/deep/z.log');
    await mount.expectCommitted();
    await mount.rename('out', 'build');
    const back = ['.gitignore', 'build/deep/y.o', 'build/tracked', 'build/x.o'];
    expect(await committed(mount)).toEqual(back);
  });

  test('nor when others have put something where it was moved', async () => {
    const rules = { '.gitignore': '/build/*.o\n', 'build/tracked': '1' };
    const mount = await BranchMount.open({ files: rules, mount: { gitignore: true } });
    await mount.write('build/x.o', 'x');
    expect(await committed(mount)).not.toContain('build/x.o');
    await mount.rename('build', 'out');
    await commitOutside(mount.gitDir, { 'out/theirs': 'theirs' });
    await mount.branches.refsChanged([mainRef]);
    expect(await committed(mount)).toEqual(['.gitignore', 'out/theirs', 'out/tracked', 'out/x.o']);
    await mount.expectCommitted();
  });

  test('names no more what others took out of the rules', async () => {
    const mount = await BranchMount.open(options);
    const left = ['x.log', 'src/y.log', 'src/generated', 'top-only'];
    for (const path of left) await mount.write(path, path);
    for (const path of left) expect(await committed(mount)).not.toContain(path);
    await commitOutside(mount.gitDir, { '.gitignore': '/top-only\n' });
    await mount.branches.refsChanged([mainRef]);
    const later = await committed(mount);
    expect(later).toEqual(expect.arrayContaining(['x.log', 'src/y.log']));
    expect(later).not.toContain('src/generated');
    await commitOutside(mount.gitDir, { '.gitignore': null, 'src/.gitignore': null });
    await mount.branches.refsChanged([mainRef]);
    expect(await committed(mount)).toEqual(expect.arrayContaining(left));
    await mount.expectCommitted();
  });

  test('means nothing unless it is asked for', async () => {
    const mount = await BranchMount.open({ files });
    await mount.write('x.log', '1');
    expect(await committed(mount)).toContain('x.log');
    await mount.expectCommitted();
  });
});
