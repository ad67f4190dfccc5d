import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { byteStringFromBuffer } from '../../../../src/git/byte-string.ts';
import { removeFile } from '../../../../src/git/refs/ref-directories.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

test('a directory that comes and goes in the place of a file is no error of removing the file', async () => {
  const path = join(await temporaryDirectory(), 'directory');
  const bytes = byteStringFromBuffer(Buffer.from(path));
  let over = false;
  const comeAndGo = async (): Promise<void> => {
    while (!over) {
      await mkdir(path);
      await rmdir(path);
    }
  };
  const coming = comeAndGo();
  const failures: unknown[] = [];
  for (let attempt = 0; attempt < 2000; attempt++) {
    await removeFile(bytes).catch((error: unknown) => failures.push(error));
  }
  over = true;
  await coming;
  expect(failures).toEqual([]);
});
