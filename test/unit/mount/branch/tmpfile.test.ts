import { constants as fsConstants } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, test, vi } from 'vitest';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount } from './branch-mount.ts';

const { EEXIST, ENOENT, ENOSPC } = constants.errno;
const { O_RDWR, O_EXCL } = fsConstants;
type Nameless = Awaited<ReturnType<BranchMount['create']>>;

async function makeNameless(mount: BranchMount, flags: number = O_RDWR): Promise<Nameless> {
  const { entry, open } = await mount.vfs.tmpfile(rootIno, 0o600, flags, caller);
  return { ino: entry.attr!.ino, fh: open.fh };
}

async function link(mount: BranchMount, { ino }: Nameless, path: string): Promise<void> {
  await mount.vfs.link(ino, rootIno, name(path));
}

describe('a file made without a name', () => {
  test('is in no commit, and leaves nothing when it is closed', async () => {
    const mount = await BranchMount.open({ files: { kept: 'kept' } });
    const before = mount.branch.tip;
    const file = await makeNameless(mount);
    await mount.writeAt(file, 0, 'secret');
    await mount.fsync(file);
    await mount.close(file);
    mount.forgetAll(file.ino);
    await mount.commit();
    expect(mount.branch.tip).toBe(before);
    expect([...mount.root.inode.context.contents.staging.stagedOids()]).toEqual([]);
    await mount.expectCommitted();
  });

  test('is in the next commit once it was linked, though it is open still', async () => {
    const mount = await BranchMount.open({ files: { kept: 'kept' } });
    const file = await makeNameless(mount);
    await mount.writeAt(file, 0, 'whole');
    await mount.fsync(file);
    await link(mount, file, 'named');
    await mount.vfs.fsyncdir(rootIno, undefined);
    expect(await mount.git('show', 'main:named')).toBe('whole');
    await mount.writeAt(file, 5, ' and more');
    await mount.close(file);
    await mount.commit();
    expect(await mount.git('show', 'main:named')).toBe('whole and more');
    await mount.expectCommitted();
  });

  test('that nobody writes any more needs no buffer once it has a name', async () => {
    const mount = await BranchMount.open({ files: {} });
    const file = await makeNameless(mount);
    await mount.writeAt(file, 0, 'content');
    const reader = await mount.vfs.open(file.ino, fsConstants.O_RDONLY, caller);
    await mount.close(file);
    await link(mount, file, 'named');
    await mount.vfs.release(file.ino, reader.fh);
    await mount.commit();
    expect(await mount.xattr('named', 'state')).toBe('committed');
    expect(await mount.text('named')).toBe('content');
    await mount.expectCommitted();
  });

  test('gets none of a file that is there, none with O_EXCL, and none twice', async () => {
    const mount = await BranchMount.open({ files: { taken: 'taken' } });
    const file = await makeNameless(mount);
    expect(await mount.errnoOf(() => link(mount, file, 'taken'))).toBe(EEXIST);
    await link(mount, file, 'free');
    await mount.unlink('free');
    expect(await mount.errnoOf(() => link(mount, file, 'free'))).toBe(ENOENT);
    const exclusive = await makeNameless(mount, O_RDWR | O_EXCL);
    expect(await mount.errnoOf(() => link(mount, exclusive, 'free'))).toBe(ENOENT);
    for (const open of [file, exclusive]) await mount.close(open);
    await mount.commit();
    await mount.expectCommitted();
  });

  test('that cannot be stored gets no name, and its name when there is room again', async () => {
    const mount = await BranchMount.open({ files: {} });
    const file = await makeNameless(mount);
    await mount.writeAt(file, 0, 'precious');
    const { contents } = mount.root.inode.context;
    const full = Object.assign(new Error('no space left'), { code: 'ENOSPC', syscall: 'write' });
    const store = vi.spyOn(contents, 'store').mockRejectedValueOnce(full);
    expect(await mount.errnoOf(() => link(mount, file, 'named'))).toBe(ENOSPC);
    expect(await mount.find('named')).toBeNull();
    store.mockRestore();
    await link(mount, file, 'named');
    await mount.close(file);
    await mount.commit();
    expect(await mount.git('show', 'main:named')).toBe('precious');
    await mount.expectCommitted();
  });
});
