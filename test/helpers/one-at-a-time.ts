import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { cleanUp } from './after-file.ts';

// Of the files that load this, one runs at a time in all processes of a run. The address goes with the
// process that has it, however that ends.
const address = `\0vost-tests-${process.ppid}`;
const longestWaitMs = 900_000;
const lookAgainMs = 50;

let turn = createServer();

beforeAll(async () => {
  for (;;) {
    turn = createServer().listen(address);
    try {
      await once(turn, 'listening');
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
    await sleep(lookAgainMs);
  }
}, longestWaitMs);

afterAll(async () => {
  try {
    // Nothing that this file has mounted is to stand when the next one begins.
    await cleanUp();
  } finally {
    turn.close();
  }
});
