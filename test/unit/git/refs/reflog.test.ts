import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesFromText, byteStringFromBuffer } from '../../../../src/git/byte-string.ts';
import { parseOid } from '../../../../src/git/oid.ts';
import {
  formatReflogLine,
  parseReflogLine,
  readReflog,
  readReflogNewestFirst,
} from '../../../../src/git/refs/reflog.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const [a, b] = [parseOid('a'.repeat(40)), parseOid('b'.repeat(40))];
const committer = {
  identity: { name: 'Zoë', email: 'z@example.com' },
  timeSec: 1_700_000_000,
  zoneMinutes: -150,
};

function lineFor(message: string): string {
  return formatReflogLine({ oldOid: a, newOid: b, committer, message }).toString();
}

test('a message is one line, and none leaves no trace', () => {
  const start = `${a} ${b} Zoë <z@example.com> 1700000000 -0230`;
  expect(lineFor('')).toBe(`${start}\n`);
  expect(lineFor(' \n\t')).toBe(`${start}\n`);
  expect(lineFor(' one\r\n\n two\0three\u00a0')).toBe(`${start}\tone two three\u00a0\n`);
  expect(lineFor('lost \ud800 half')).toBe(`${start}\tlost \ufffd half\n`);
});

test('what is written is read', () => {
  const text = fc.string({ unit: 'binary', maxLength: 20 });
  fc.assert(
    fc.property(text, fc.integer({ min: -839, max: 839 }), (message, zoneMinutes) => {
      const written = { ...committer, zoneMinutes };
      const line = formatReflogLine({ oldOid: a, newOid: b, committer: written, message });
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(parseReflogLine(byteStringFromBuffer(line, 0, line.length - 1))).toEqual({
        oldOid: a,
        newOid: b,
        identity: 'Zoë <z@example.com>',
        timeSec: 1_700_000_000,
        zoneMinutes,
        message: message.replaceAll(/[ \t\r\n\0]+/g, ' ').replaceAll(/^ | $/g, ''),
      });
    }),
  );
});

test.each([
  '',
  'rubbish',
  `${a} ${b}`,
  `${a} ${b} Name 1 +0000`,
  `${a} ${b} N <e> x +0000`,
  `${a} b N <e> 1 +0000`,
])('a damaged line is none: %j', (line) =>
  expect(parseReflogLine(bytesFromText(line))).toBeUndefined(),
);

test('backwards is forwards turned round, whatever the lengths of lines', async () => {
  const path = join(await temporaryDirectory(), 'log');
  const message = fc.integer({ min: 0, max: 80_000 }).map((size) => 'x'.repeat(size));
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 6 }), fc.boolean(), async (messages, torn) => {
      await writeFile(path, messages.map(lineFor).join('') + (torn ? `${a} ${b} cut` : ''));
      const forwards = await readReflog(bytesFromText(path));
      expect(forwards.map((record) => record.message)).toEqual(messages);
      const backwards = [];
      for await (const record of readReflogNewestFirst(bytesFromText(path))) backwards.push(record);
      expect(backwards.reverse()).toEqual(forwards);
    }),
    { numRuns: 40 },
  );
});
