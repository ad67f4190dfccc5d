import * as promises from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { BranchTurn } from '../../../../src/mount/branch/branch-turn.ts';
import { systemError } from '../../../helpers/staging.ts';
import { BranchMount, mainRef } from './branch-mount.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof promises>();
  return { ...original, writeFile: vi.fn(original.writeFile) };
});

test('who may not ask for a turn, or has no room to, goes on all the same', async () => {
  const mount = await BranchMount.open();
  const turn = new BranchTurn(mount.repository, mainRef);
  for (const code of ['ENOSPC', 'EACCES', 'EROFS']) {
    vi.mocked(promises.writeFile).mockRejectedValueOnce(systemError(code));
    await turn.ask();
    await turn.end();
  }
  vi.mocked(promises.writeFile).mockRejectedValueOnce(systemError('EIO'));
  await expect(turn.ask()).rejects.toMatchObject({ code: 'EIO' });
});
