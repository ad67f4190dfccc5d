// Creates files of 1 KiB in a directory, then syncs that; says how long both took. A process of its
// own, so that its start does not count.
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [directory = '', count = ''] = process.argv.slice(2);
const content = Buffer.alloc(1024);
const start = performance.now();
for (let file = 0; file < Number(count); file++) {
  const fd = openSync(join(directory, `file-${file}`), 'wx');
  content.write(`${file} ${Math.random()}`);
  writeSync(fd, content);
  closeSync(fd);
}
const closed = performance.now();
const fd = openSync(directory, 'r');
fsyncSync(fd);
closeSync(fd);
const synced = performance.now();
console.log(JSON.stringify({ closedMs: closed - start, syncedMs: synced - closed }));
