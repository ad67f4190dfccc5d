import { mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { fsck } from '../helpers/git.ts';
import { daemonEnvironment, freshMountpoint, vostMountProgram } from '../helpers/mount.ts';
import { shell } from '../helpers/program.ts';
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
