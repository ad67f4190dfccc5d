import { mkdir, readFile, rmdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { fsck, git } from '../helpers/git.ts';
import {
  daemonEnvironment,
  freshMountpoint,
  mountRepository,
  vostMount,
  vostMountProgram,
} from '../helpers/mount.ts';
import { program, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const readme = fileURLToPath(new URL('../../README.md', import.meta.url));

/** The commands of a README are pasted as they are, so they have to work as they are. */
test('the session in the README works, in a directory of its own', async () => {
  const blocks = [...(await readFile(readme, 'utf8')).matchAll(/^```sh\n(.*?)^```/gms)];
  const [setup, , session] = blocks.map(([, commands]) => commands!);
  expect(setup).toContain('npx vost-mount demo.git /mnt/vost');
  expect(session).toContain('git --git-dir');

  const directory = await temporaryDirectory();
  const [vost, v1] = [await freshMountpoint(), await freshMountpoint()];
  const bin = join(await temporaryDirectory(), 'bin');
  await mkdir(bin);
  await symlink(vostMountProgram, join(bin, 'vost-mount'));
  const script = `${setup}\n${session}`
    .replaceAll('npm ci && ', '')
    .replaceAll('npx vost-mount', 'vost-mount')
    .replaceAll('/mnt/vost', vost)
    .replaceAll('/mnt/v1', v1);
  const output = await shell(script, {
    cwd: directory,
    env: { ...daemonEnvironment, PATH: `${bin}:${process.env['PATH'] ?? ''}`, GIT_PAGER: 'cat' },
  });
  expect(output).toContain('+ greeting');
  expect(output.match(/^hello$/gm)).toHaveLength(1);
  expect(output.match(/^hello again$/gm)).toHaveLength(2);
  expect(output).toContain(v1);
  await fsck(join(directory, 'demo.git'));
});

test('the recipes for ordinary tools work on a repository with some history', async () => {
  const blocks = [...(await readFile(readme, 'utf8')).matchAll(/^```sh\n(.*?)^```/gms)];
  const recipes = blocks.map(([, commands]) => commands!).find((text) => text.includes('diff -ru'));
  expect(recipes).toContain('.versions/main');

  const gitDir = join(await temporaryDirectory(), 'demo.git');
  await git(['init', '--quiet', '--bare', '--initial-branch=main', gitDir]);
  const daysAgo = (days: number): number => Math.floor(Date.now() / 1000) - days * 86_400;
  await git(['--git-dir', gitDir, 'fast-import', '--quiet'], {
    input: [
      commitOf('hello\n', daysAgo(20)),
      commitOf('hello again\n', daysAgo(3)),
      'reset refs/tags/v1\nfrom refs/heads/main\n\n',
      commitOf('gone\n', daysAgo(2)),
    ].join(''),
  });
  const mount = await mountRepository(gitDir);
  const script = `${recipes!.replace('diff -ru', '! diff -ru')}\ncat main/greeting`;
  const output = await shell(script.replaceAll('/mnt/vost', mount.mountpoint), { cwd: '/' });
  expect(output).toMatch(/^-hello$/m);
  expect(output).toMatch(/^\d{8}T\d{6}Z-[0-9a-f]{7}$/m);
  expect(output).toContain('user.vost.commit=');
  expect(output).toMatch(/\ngone\n$/);
  await mount.unmount();
  await fsck(gitDir);
});

test('the recipes for mounts of old commits work', async () => {
  const blocks = [...(await readFile(readme, 'utf8')).matchAll(/^```sh\n(.*?)^```/gms)];
  const recipes = blocks.map(([, commands]) => commands!).find((text) => text.includes('--before'));
  const directory = await temporaryDirectory();
  const cwd = join(directory, 'demo.git');
  await git(['init', '--quiet', '--bare', '--initial-branch=main', cwd]);
  const old = Date.parse('2026-11-01') / 1000;
  await git(['fast-import', '--quiet'], {
    cwd,
    input: [
      commitOf('1\n', old, 'docs/page'),
      commitOf('2\n', old + 86_400, 'other'),
      'reset refs/tags/v1\nfrom refs/heads/main\n\n',
      commitOf('3\n', Math.floor(Date.now() / 1000), 'docs/page'),
    ].join(''),
  });
  const bin = join(directory, 'bin');
  await mkdir(bin);
  await symlink(vostMountProgram, join(bin, 'vost-mount'));
  const places = [await freshMountpoint(), await freshMountpoint(), await freshMountpoint()];
  const [v1, before, docs] = places;
  const script = recipes!
    .replaceAll('npx vost-mount', 'vost-mount')
    .replaceAll('/mnt/v1', v1!)
    .replaceAll('/mnt/before', before!)
    .replaceAll('/mnt/docs', docs!);
  for (const place of places) await rmdir(place);
  await shell(script, {
    cwd: directory,
    env: { ...daemonEnvironment, PATH: `${bin}:${process.env['PATH'] ?? ''}` },
  });
  expect(await shell(`cat ${v1}/docs/page ${v1}/other ${before}/other`)).toBe('1\n2\n2\n');
  expect(await shell(`cd ${docs}; find . -type f`)).toBe('./docs/page\n');
  for (const place of places) await vostMount(['unmount', place]);
  await fsck(cwd);
});

function commitOf(content: string, timeSec: number, path = 'greeting'): string {
  return `commit refs/heads/main
committer Writer <writer@example.com> ${timeSec} +0000
data 3
New
M 100644 inline ${path}
data ${content.length}
${content}
`;
}

/** As somebody would try it who has installed the package: a module of its own, with `vost` beside it. */
test('the first page of the library in the README runs, and git sees what it did', async () => {
  const [page] = [...(await readFile(readme, 'utf8')).matchAll(/^```js\n(.*?)^```/gms)];
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'node_modules'));
  await symlink(fileURLToPath(new URL('../..', import.meta.url)), `${directory}/node_modules/vost`);
  await writeFile(join(directory, 'page.mjs'), page![1]!);
  await mkdir(join(directory, 'results'));
  await writeFile(join(directory, 'results/first'), '1\n');

  const output = await program(process.execPath, ['page.mjs'], { cwd: directory });
  const [logged] = output.trim().split('\n');
  const cwd = join(directory, 'data.git');
  expect(await git(['log', '--format=%H', 'main', '--', 'a.txt'], { cwd })).toBe(`${logged!}\n`);
  expect(await git(['show', '-s', '--format=%s', logged!], { cwd })).toBe('Two files\n');
  expect(await git(['notes', 'show', logged!], { cwd })).toBe('reviewed');
  expect(await git(['ls-tree', '-r', '--name-only', 'main'], { cwd })).toBe(
    'a.txt\nb.txt\ncounter\nnotes/today.txt\nresults/first\n',
  );
  expect(await git(['rev-list', '--count', 'experiment..main'], { cwd })).toBe('1\n');
  expect(await readFile(join(directory, 'restored/results/first'), 'utf8')).toBe('1\n');
  await fsck(cwd);
});
