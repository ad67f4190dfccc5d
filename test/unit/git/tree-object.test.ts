import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptObjectError, InvalidArgumentError } from '../../../src/errors.ts';
import type { ByteString } from '../../../src/git/byte-string.ts';
import { Tree, emptyTreeOid, hashObject, serializeTree } from '../../../src/git/object.ts';
import type { TreeEntry } from '../../../src/git/object.ts';
import type { HashAlgorithm, Oid } from '../../../src/git/oid.ts';
import { TreeScanner, scanTree } from '../../../src/git/tree-scan.ts';
import type { TreeScan } from '../../../src/git/tree-scan.ts';

const someOid = 'ce013625030ba8dba906f756967f9e9ca394464a' as Oid;
const name = (text: string): ByteString => text as ByteString;
const entry = (text: string, mode = 0o100644): TreeEntry => ({
  name: name(text),
  mode,
  oid: someOid,
});
const rawOid = Buffer.from(someOid, 'hex');
const rawEntry = (head: string): Buffer => Buffer.concat([Buffer.from(head, 'latin1'), rawOid]);
const rawTree = (...heads: string[]): Buffer => Buffer.concat(heads.map(rawEntry));

test.each(['sha1', 'sha256'] as const)('the empty tree has its id in %s', (algorithm) => {
  expect(emptyTreeOid(algorithm)).toBe(hashObject(algorithm, 'tree', Buffer.alloc(0)));
});

describe('reading a tree', () => {
  test('gives names, modes and ids by index and by name', () => {
    const tree = Tree.parse(rawTree('100644 a\0', '100755 b\xff\0', '40000 c\0'), 'sha1');
    expect(tree.size).toBe(3);
    expect([...tree]).toEqual([entry('a'), entry('b\xff', 0o100755), entry('c', 0o40000)]);
    expect(tree.at(1)).toEqual(entry('b\xff', 0o100755));
    expect(tree.indexOf(name('c'))).toBe(2);
    expect(tree.get(name('a'))).toEqual(entry('a'));
    expect(tree.get(name('b'))).toBeUndefined();
    expect(() => tree.at(3)).toThrow(RangeError);
    expect(() => tree.at(-1)).toThrow(RangeError);
    expect(tree.sizeBytes).toBeGreaterThan(3 * rawOid.length);
  });

  test('finds files and directories where git sorts them', () => {
    const entries = [
      entry('a', 0o40000),
      entry('a-b'),
      entry('a.b', 0o40000),
      entry('a0'),
      entry('aa'),
    ];
    const tree = Tree.parse(serializeTree(entries, 'sha1'), 'sha1');
    expect(Array.from(tree, (found) => found.name)).toEqual(['a-b', 'a.b', 'a', 'a0', 'aa']);
    for (const wanted of entries) expect(tree.get(wanted.name)).toEqual(wanted);
    for (const missing of ['', '-', 'a-', 'a/', 'a.', 'a1', 'aaa', 'b']) {
      expect(tree.indexOf(name(missing))).toBe(-1);
    }
  });

  test('takes the modes of old repositories as they are', () => {
    const tree = Tree.parse(rawTree('100664 a\0', '040000 b\0'), 'sha1');
    expect(tree.modeAt(0)).toBe(0o100664);
    expect(tree.modeAt(1)).toBe(0o40000);
  });

  test('an empty tree is a tree', () => {
    expect(Tree.parse(Buffer.alloc(0), 'sha256').size).toBe(0);
  });

  test.each([
    ['an id that is cut off', rawTree('100644 a\0').subarray(0, -1)],
    ['a name without an end', Buffer.from('100644 a')],
    ['a mode without an end', Buffer.from('100644')],
    ['a sha256 tree', serializeTree([{ ...entry('a'), oid: 'a'.repeat(64) as Oid }], 'sha256')],
    ['an empty name', rawTree('100644 \0')],
    ['the name .', rawTree('40000 .\0')],
    ['the name ..', rawTree('40000 ..\0')],
    ['a slash in a name', rawTree('100644 a/b\0')],
    ['no mode', rawTree(' a\0')],
    ['a mode that is no number', rawTree('10064x a\0')],
    ['a mode with an 8', rawTree('100648 a\0')],
    ['a mode of no kind of file', rawTree('644 a\0')],
    ['a mode of a device', rawTree('20644 a\0')],
    ['a mode that is too big', rawTree('1100644 a\0')],
    ['a mode without end', Buffer.from('1'.repeat(100))],
    ['a name twice', rawTree('100644 a\0', '100755 a\0')],
    ['a file and a directory of one name', rawTree('100644 a\0', '40000 a\0')],
    ['the same, and not next to each other', rawTree('100644 a\0', '100644 a.b\0', '40000 a\0')],
    ['names out of order', rawTree('100644 b\0', '100644 a\0')],
    ['a directory sorted as a file', rawTree('40000 a\0', '100644 a.b\0')],
  ])('refuses %s', (_, raw) => {
    expect(() => Tree.parse(raw, 'sha1')).toThrow(CorruptObjectError);
  });

  test('names that begin alike are not taken for one', () => {
    const names = ['a', 'a-', 'a--', 'a-b'];
    const tree = serializeTree(
      names.map((text) => entry(text, 0o40000)),
      'sha1',
    );
    expect(Tree.parse(tree, 'sha1').size).toBe(4);
  });
});

describe('writing a tree', () => {
  test.each([
    ['a name twice', [entry('a'), entry('a', 0o100755)]],
    ['a file and a directory of one name', [entry('a'), entry('a.b'), entry('a', 0o40000)]],
    ['an empty name', [entry('')]],
    ['..', [entry('..', 0o40000)]],
    ['a slash', [entry('a/b')]],
    ['a NUL byte', [entry(`a\0${'x'.repeat(20)}`)]],
    ['a mode of nothing', [entry('a', 0)]],
    ['a mode that is no number', [entry('a', Number.NaN)]],
    ['an id of another hash', [{ ...entry('a'), oid: 'a'.repeat(64) as Oid }]],
    ['an id that is none', [{ ...entry('a'), oid: 'x'.repeat(40) as Oid }]],
  ])('refuses %s', (_, entries) => {
    expect(() => serializeTree(entries, 'sha1')).toThrow(InvalidArgumentError);
  });

  test('the ids of empty trees are the well-known ones', () => {
    expect(emptyTreeOid('sha1')).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
    expect(emptyTreeOid('sha256')).toBe(
      '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321',
    );
    expect(hashObject('sha1', 'tree', Buffer.alloc(0))).toBe(emptyTreeOid('sha1'));
  });
});

const algorithms = fc.constantFrom<HashAlgorithm>('sha1', 'sha256');
// Few letters, so that names are often the beginnings of others; bytes over 0x7f sort as bytes.
const names = fc
  .array(fc.constantFrom('a', 'b', '-', '.', '0', '\xff', ' ', '\x01'), {
    minLength: 1,
    maxLength: 4,
  })
  .map((letters) => letters.join(''))
  .filter((text) => text !== '.' && text !== '..');
const modes = fc.constantFrom(0o100644, 0o100755, 0o120000, 0o40000, 0o160000);

function treesOf(algorithm: HashAlgorithm): fc.Arbitrary<TreeEntry[]> {
  const digits = algorithm === 'sha1' ? 40 : 64;
  const oids = fc
    .uint8Array({ minLength: digits / 2, maxLength: digits / 2 })
    .map((bytes) => Buffer.from(bytes).toString('hex') as Oid);
  const entries = fc.record({ name: names.map(name), mode: modes, oid: oids });
  return fc.uniqueArray(entries, { selector: (one) => one.name, maxLength: 30 });
}

test('what is written is read back, whatever the order, and each entry is found', () => {
  const cases = algorithms.chain((algorithm) =>
    fc.record({ algorithm: fc.constant(algorithm), entries: treesOf(algorithm), other: names }),
  );
  fc.assert(
    fc.property(cases, ({ algorithm, entries, other }) => {
      const raw = serializeTree(entries, algorithm);
      expect(serializeTree(entries.toReversed(), algorithm)).toEqual(raw);
      const tree = Tree.parse(raw, algorithm);
      expect(serializeTree(tree, algorithm)).toEqual(raw);
      expect(tree.size).toBe(entries.length);
      for (const wanted of entries) expect(tree.get(wanted.name)).toEqual(wanted);
      const found = entries.find((one) => one.name === other);
      expect(tree.get(name(other))).toEqual(found);
    }),
  );
});

test('an edited tree is the tree that is written of the same entries', () => {
  const cases = algorithms.chain((algorithm) =>
    fc.record({
      algorithm: fc.constant(algorithm),
      before: treesOf(algorithm),
      set: treesOf(algorithm),
      gone: fc.array(names),
    }),
  );
  fc.assert(
    fc.property(cases, ({ algorithm, before, set, gone }) => {
      const changes = new Map<ByteString, Omit<TreeEntry, 'name'> | null>([
        ...gone.map((text): [ByteString, null] => [name(text), null]),
        ...set.map(({ name: key, ...object }): [ByteString, typeof object] => [key, object]),
      ]);
      // Some of what stood there is set again or taken out, too.
      before.slice(0, 6).forEach(({ name: key, oid }, index) => {
        changes.set(key, index % 2 === 0 ? null : { mode: index < 3 ? 0o40000 : 0o100644, oid });
      });
      const tree = Tree.parse(serializeTree(before, algorithm), algorithm);
      const after = before.filter((one) => !changes.has(one.name));
      for (const [key, object] of changes)
        if (object !== null) after.push({ name: key, ...object });
      const edited = tree.edited(changes, algorithm);
      expect(edited.raw).toEqual(serializeTree(after, algorithm));
      expect([...edited]).toEqual([...Tree.parse(edited.raw, algorithm)]);
    }),
    { numRuns: 500 },
  );
});

test('bytes that are no tree are refused with a CorruptObjectError, never something else', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.nat(200),
      fc.nat(255),
      (noise, position, byte) => {
        const damaged = serializeTree([entry('a'), entry('bc', 0o40000), entry('d')], 'sha1');
        damaged[position % damaged.length] = byte;
        for (const raw of [Buffer.from(noise), damaged]) {
          try {
            for (const one of Tree.parse(raw, 'sha1')) expect(one.name.length).toBeGreaterThan(0);
          } catch (error) {
            expect(error).toBeInstanceOf(CorruptObjectError);
          }
        }
      },
    ),
  );
});

test('a tree that is looked at while it comes is seen as one that is there', () => {
  const outcome = (scan: () => TreeScan): unknown => {
    try {
      const { offsets, doubtful, directories } = scan();
      return { offsets: [...offsets], doubtful, directories };
    } catch (error) {
      return error;
    }
  };
  // Some are longer than an entry is taken to be.
  const repeats = fc.oneof(
    { arbitrary: fc.integer({ min: 1, max: 61 }), weight: 8 },
    { arbitrary: fc.integer({ min: 10, max: 610 }), weight: 1 },
  );
  const manyNames = fc.uniqueArray(fc.tuple(names, repeats, fc.boolean()), {
    selector: ([text, count]) => text.repeat(count),
    maxLength: 60,
  });
  fc.assert(
    fc.property(
      manyNames,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 }),
      fc.option(fc.nat(5000)),
      (chosen, cuts, damage) => {
        const entries = chosen.map(([text, count, isTree]) =>
          entry(text.repeat(count), isTree ? 0o40000 : 0o100644),
        );
        const raw = serializeTree(entries, 'sha1');
        if (damage !== null && raw.length > 0) raw[damage % raw.length]! ^= 0x40;
        const scanner = new TreeScanner(raw.length, 20);
        for (const cut of cuts.toSorted((a, b) => a - b)) {
          // What comes behind is not there yet, and may be anything.
          const start = raw.subarray(0, Math.floor(cut * raw.length));
          while (scanner.advance(start));
        }
        const expected = outcome(() => scanTree(raw, 20));
        expect(outcome(() => scanner.finish(raw))).toEqual(expected);
        expect(outcome(() => scanner.finish(raw))).toEqual(expected);
      },
    ),
    { numRuns: 500 },
  );
});
