import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pollableHandle } from '../../../../src/mount/fuse/pollable-handle.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

test('what is taken back between the notice that there is something and the read is no end', async () => {
  const path = join(await temporaryDirectory(), 'fifo');
  execFileSync('mkfifo', [path]);
  const flags = constants.O_RDWR | constants.O_NONBLOCK;
  const writer = openSync(path, flags);
  onTestFinished(() => closeSync(writer));
  // Both are told at once that there is something; the one that comes second finds nothing.
  const read: string[] = [];
  const ends: string[] = [];
  for (let count = 0; count < 2; count++) {
    const handle = pollableHandle(openSync(path, flags))!;
    onTestFinished(() => handle.close());
    const buffer = Buffer.alloc(100);
    handle.read(
      buffer,
      (sizeBytes) => read.push(buffer.toString('latin1', 0, sizeBytes)),
      (code) => ends.push(code),
    );
  }
  const messages = Array.from({ length: 20 }, (_, index) => `request ${index}`);
  for (const [index, message] of messages.entries()) {
    writeSync(writer, message);
    await eventually(() => expect(read).toHaveLength(index + 1));
  }
  expect(read).toEqual(messages);
  expect(ends).toEqual([]);
});
