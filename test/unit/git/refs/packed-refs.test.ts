import { rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptRefError, RefLockedError } from '../../../../src/errors.ts';
import { bytesFromText } from '../../../../src/git/byte-string.ts';
import { isOid, type Oid } from '../../../../src/git/oid.ts';
import { deadlineAfter } from '../../../../src/git/refs/lock.ts';
import { PackedRefsFile } from '../../../../src/git/refs/packed-refs-file.ts';
import { PackedRefs } from '../../../../src/git/refs/packed-refs.ts';
import { parseRefName, type RefName } from '../../../../src/git/refs/ref-name.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

function oid(index: number): Oid {
  const text = index.toString(16).padStart(40, '1');
  if (!isOid(text)) throw new Error(`not an oid: ${text}`);
  return text;
}

const header = '# pack-refs with: peeled fully-peeled sorted \n';
const parse = (text: string): PackedRefs => PackedRefs.parse(Buffer.from(text, 'latin1'), 'sha1');
const all = (packed: PackedRefs): unknown[] => [...packed.startingWith('')];

// Names that are each other's beginnings, so that order and search meet their edges.
const name = fc
  .array(fc.constantFrom('a', 'b', '-', 'a/z', '0', 'ab'), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join(''))
  .map((short) => parseRefName(`refs/heads/${short}`));
const ref = fc.record({
  oid: fc.nat(99).map(oid),
  peeled: fc.option(fc.integer({ min: 100, max: 199 }).map(oid)),
});
const table = fc.dictionary(name, ref).map((entries) => new Map(Object.entries(entries)));

type Table = Map<string, { oid: Oid; peeled: Oid | null }>;

function textOf(entries: Table, order: 'sorted' | 'reversed'): string {
  const lines = [...entries]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => {
      const peeled = value.peeled === null ? '' : `^${value.peeled}\n`;
      return `${value.oid} ${key}\n${peeled}`;
    });
  return (order === 'sorted' ? lines : lines.reverse()).join('');
}

describe('reading', () => {
  test('finds every ref and no other, sorted or not', () => {
    fc.assert(
      fc.property(table, name, fc.boolean(), (entries, other, sorted) => {
        const text = sorted
          ? header + textOf(entries, 'sorted')
          : '# pack-refs with: peeled fully-peeled \n' + textOf(entries, 'reversed');
        const packed = parse(text);
        for (const [key, value] of entries) {
          const expected = { name: key, oid: value.oid, peeled: value.peeled ?? value.oid };
          expect(packed.get(key as RefName)).toEqual(expected);
        }
        if (!entries.has(other)) expect(packed.get(other)).toBeUndefined();
        const prefix = other.slice(0, -1);
        const names = [...packed.startingWith(prefix)].map((found) => found.name);
        expect(names).toEqual([...entries.keys()].filter((key) => key.startsWith(prefix)).sort());
      }),
    );
  });

  test.each([
    ['# pack-refs with: peeled fully-peeled sorted \n', [oid(1), oid(1)]],
    ['# pack-refs with: peeled sorted \n', [undefined, oid(1)]],
    ['# pack-refs with: sorted \n', [undefined, undefined]],
    ['', [undefined, undefined]],
  ])('the header %j tells what is known of tags', (line, expected) => {
    const packed = parse(`${line}${oid(1)} refs/heads/a\n${oid(1)} refs/tags/a\n`);
    expect([...packed.startingWith('refs/')].map(({ peeled }) => peeled)).toEqual(expected);
  });

  test('a file of a hundred thousand refs is searched, not parsed', () => {
    const lines = Array.from(
      { length: 100_000 },
      (_, index) => `${oid(index)} refs/heads/b${String(index).padStart(6, '0')}\n`,
    );
    // A damaged line that no search comes upon.
    lines[10] = 'damaged\n';
    const packed = parse(header + lines.join(''));
    expect(packed.get(parseRefName('refs/heads/b077777'))?.oid).toBe(oid(77_777));
    expect(() => packed.get(parseRefName('refs/heads/b000010'))).toThrow(CorruptRefError);
  });

  test('names that no ref can have are passed over', () => {
    const packed = parse(`${header}${oid(1)} refs/heads/../../config\n${oid(2)} refs/heads/a\n`);
    expect(all(packed)).toMatchObject([{ name: 'refs/heads/a' }]);
  });

  test.each([
    'cut off',
    '# other header\n',
    `${oid(1)}\n`,
    `${oid(1)}x refs/heads/a\n`,
    `${oid(1)} refs/heads/a\n^12\n`,
  ])('%j is damaged', (text) => {
    expect(() => all(parse(text))).toThrow(CorruptRefError);
  });
});

test('changing some refs leaves the others as they are', () => {
  const changes = fc.dictionary(name, fc.option(ref)).map((entries) => Object.entries(entries));
  fc.assert(
    fc.property(table, changes, (entries, changed) => {
      const before = parse(header + textOf(entries, 'sorted'));
      const expected: Table = new Map(entries);
      const given = new Map<RefName, { oid: Oid; peeled: Oid } | null>();
      for (const [key, value] of changed) {
        if (value === null) expected.delete(key);
        else expected.set(key, value);
        given.set(key as RefName, value && { oid: value.oid, peeled: value.peeled ?? value.oid });
      }
      const after = before.with(given).toString('latin1');
      expect(after).toBe(header + textOf(expected, 'sorted'));
    }),
  );
});

test('the header promises nothing of a ref that nobody has looked at', () => {
  const packed = parse(`${header}${oid(1)} refs/heads/a\n`);
  const changes = new Map([[parseRefName('refs/tags/t'), { oid: oid(2), peeled: undefined }]]);
  expect(packed.with(changes).toString()).toBe(
    `# pack-refs with: sorted \n${oid(1)} refs/heads/a\n${oid(2)} refs/tags/t\n`,
  );
});

describe('the file', () => {
  const content = (index: number): string => `${header}${oid(index)} refs/heads/a\n`;

  async function fileWith(index: number): Promise<{ path: string; file: PackedRefsFile }> {
    const path = join(await temporaryDirectory(), 'packed-refs');
    await writeFile(path, content(index));
    return { path, file: new PackedRefsFile(bytesFromText(path), 'sha1') };
  }
  const valueIn = async (file: PackedRefsFile): Promise<string | undefined> =>
    (await file.load()).get(parseRefName('refs/heads/a'))?.oid;

  test('is read again when it is replaced, however fast', async () => {
    const { path, file } = await fileWith(0);
    for (let index = 0; index < 200; index++) {
      await writeFile(`${path}.other`, content(index));
      await rename(`${path}.other`, path);
      expect(await valueIn(file)).toBe(oid(index));
    }
    await rm(path);
    expect(await valueIn(file)).toBeUndefined();
  });

  test('is the same object as long as nothing has changed', async () => {
    const { path, file } = await fileWith(1);
    const first = await file.load();
    await utimes(path, 1, 1);
    expect(await file.load()).toBe(first);
    expect(file.current).toBe(first);
    expect(await Promise.all([file.load(), file.load()])).toEqual([first, first]);
  });

  test('is locked against others, and says so', async () => {
    const { path, file } = await fileWith(1);
    const changes = new Map([[parseRefName('refs/heads/a'), null]]);
    await file.locked(deadlineAfter(0), async (packed) => {
      await expect(file.locked(deadlineAfter(50), () => Promise.resolve())).rejects.toThrow(
        RefLockedError,
      );
      const prepared = await file.prepare(packed, changes);
      await prepared.discard();
      expect(await valueIn(file)).toBe(oid(1));
      await file.replace(packed, changes);
    });
    expect(await valueIn(file)).toBeUndefined();
    await file.locked(deadlineAfter(0), () => Promise.resolve());
    expect(path).toBeTruthy();
  });
});
