import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openDescriptorSocket } from '../../../../src/mount/fuse/descriptor-socket.ts';
import { MountFailedError } from '../../../../src/mount/fuse/mounting.ts';

/** Sends something over the socket that it inherits as descriptor 3, as fusermount3 would, or not quite. */
async function sender(socket: number, send: string): Promise<void> {
  const program = `import array, os, socket\ns = socket.socket(fileno=3)\n${send}`;
  const child = spawn('python3', ['-c', program], {
    stdio: ['ignore', 'inherit', 'inherit', socket],
  });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  expect(exitCode).toBe(0);
}

const withDescriptor = `
fd = os.memfd_create('x')
os.write(fd, b'sent along')
s.sendmsg([b'\\0'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
`;

test('takes the descriptor that another process sent', async () => {
  const socket = await openDescriptorSocket('/mnt');
  await sender(socket.theirs, withDescriptor);
  const fd = socket.receive();
  await socket.close();
  const text = Buffer.alloc(100);
  const length = readSync(fd, text, 0, text.length, 0);
  expect(text.toString('utf8', 0, length)).toBe('sent along');
  closeSync(fd);
});

test.each([
  ['nothing', 'pass', 'no descriptor was sent: resource temporarily unavailable'],
  ['a byte alone', "s.send(b'x')", 'no descriptor was sent'],
])('says so when what comes is %s', async (_, send, message) => {
  const socket = await openDescriptorSocket('/mnt');
  await sender(socket.theirs, send);
  expect(() => socket.receive()).toThrow(new MountFailedError(message, '/mnt'));
  await socket.close();
});
