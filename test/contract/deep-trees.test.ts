import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GitStore, archiveOut, diskGlob } from '../../src/index.ts';
import type { FS } from '../../src/index.ts';
import { fsck, git } from '../helpers/git.ts';
import { collect } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// More calls than there can be within each other.
const levels = 5000;
// As many as a path of the system can have, with something to spare for where it begins.
const levelsOnDisk = 1900;

function deepPath(depth: number): string {
  return Array.from({ length: depth }, () => 'd').join('/');
}

async function onDeepTree(
  depth: number,
  body: (fs: FS, path: string, directory: string) => Promise<void>,
): Promise<void> {
  const directory = await temporaryDirectory();
  const gitDir = join(directory, 'r.git');
  const store = await GitStore.open(gitDir);
  const path = `${deepPath(depth)}/file`;
  const empty = await store.branches.get('main');
  await body(await empty.write(path, Buffer.from('deep')), path, directory);
  await store.close();
  await fsck(gitDir);
}

test('deep trees are walked and listed', async () => {
  await onDeepTree(levels, async (fs, path, directory) => {
    const visits = await collect(fs.walk());
    expect(visits).toHaveLength(levels + 1);
    expect(visits.at(-1)?.[0]).toBe(deepPath(levels));
    const names = await fs.ls('', { recursive: true });
    expect(names).toHaveLength(levels + 1);
    expect(names).toContain(path);
    const listed = await git(['ls-tree', '-r', '--name-only', 'main'], {
      cwd: join(directory, 'r.git'),
    });
    expect(listed).toBe(`${path}\n`);
  });
});

test('patterns are looked for in deep trees, and may be as deep', async () => {
  await onDeepTree(levels, async (fs, path) => {
    expect(await fs.glob('**/file')).toEqual([path]);
    expect(await fs.glob('**')).toHaveLength(levels + 1);
    expect(await fs.glob(path)).toEqual([path]);
    expect(await fs.glob(path.replaceAll('d', '?'))).toEqual([path]);
  });
});

test('a walk of a deep tree leaves out what is taken from it, and can end early', async () => {
  await onDeepTree(levels, async (fs) => {
    let visits = 0;
    for await (const [, dirnames] of fs.walk()) {
      visits += 1;
      if (visits === 3000) dirnames.length = 0;
    }
    expect(visits).toBe(3000);
    for await (const found of fs.iglob('**')) {
      expect(found).toBe('d');
      break;
    }
  });
});

test('deep trees are written to archives', async () => {
  await onDeepTree(levels, async (fs, path, directory) => {
    for (const name of ['deep.tar', 'deep.zip']) {
      let entries = 0;
      await archiveOut(fs, join(directory, name), {
        progress: (progress) => {
          entries += 1;
          expect(progress.path).toBe(path);
        },
      });
      expect(entries).toBe(1);
    }
  });
});

test('deep trees are changed, compared and moved', async () => {
  await onDeepTree(levels, async (fs, path) => {
    const added = await fs.write(`${deepPath(levels)}/other`, Buffer.from('other'));
    expect(added.changes?.add).toHaveLength(1);
    const moved = await added.move('d', 'e', { recursive: true });
    expect(moved.changes?.delete).toHaveLength(2);
    const removed = await moved.remove(`e${path.slice(1)}`);
    expect(await removed.glob('**/other')).toHaveLength(1);
    const copied = await removed.copyFromRef(fs, 'd');
    expect(await copied.readText(path)).toBe('deep');
  });
});

test('as deep as the disk can be, trees are copied out and in, and found there', async () => {
  await onDeepTree(levelsOnDisk, async (fs, path, directory) => {
    const disk = join(directory, 'o');
    expect((await fs.copyOut('/', disk)).changes?.add).toHaveLength(1);
    expect(await diskGlob(`${disk}/**/file`)).toEqual([`${disk}/${path}`]);
    const copied = await fs.copyIn(`${disk}/`, 'in');
    expect(copied.changes?.add).toMatchObject([{ path: `in/${path}` }]);
    expect(await copied.objectHash('in')).toBe(fs.treeHash);
    const emptied = await (
      await copied.remove('d', { recursive: true })
    ).remove('in', {
      recursive: true,
    });
    expect((await emptied.syncOut('', disk)).changes?.delete).toHaveLength(1);
  });
});
