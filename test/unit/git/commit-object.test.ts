import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptObjectError, InvalidArgumentError } from '../../../src/errors.ts';
import type { ByteString } from '../../../src/git/byte-string.ts';
import { parseCommit, parseTag, serializeCommit, serializeTag } from '../../../src/git/object.ts';
import type { Commit, ObjectHeader, Tag } from '../../../src/git/object.ts';
import type { Oid } from '../../../src/git/oid.ts';

const oidA = 'ce013625030ba8dba906f756967f9e9ca394464a' as Oid;
const oidB = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;
const stamp = { identity: { name: 'Ada', email: 'ada@x' }, timeSec: 1700000000, zoneMinutes: 90 };
const commit: Commit = {
  tree: oidB,
  parents: [oidA],
  author: stamp,
  committer: stamp,
  message: 'why\n',
};
const header = (name: string, value: string): ObjectHeader => ({
  name: name as ByteString,
  value: value as ByteString,
});
const rawCommit = (text: string): Buffer => Buffer.from(text, 'latin1');
const start = `tree ${oidB}\n`;
const people = 'author Ada <ada@x> 1700000000 +0130\ncommitter Ada <ada@x> 1700000000 +0130\n';

describe('reading a commit', () => {
  test('gives its parts', () => {
    const raw = rawCommit(`${start}parent ${oidA}\n${people}\nwhy\n`);
    expect(parseCommit(raw)).toEqual(commit);
    expect(serializeCommit(commit)).toEqual(raw);
  });

  test('keeps what it does not know, with its lines', () => {
    const signature = '-----BEGIN-----\n\nabc\n-----END-----\n';
    const extraHeaders = [header('mergetag', 'object x\n\n y'), header('gpgsig', signature)];
    const raw = rawCommit(
      `${start}${people}mergetag object x\n \n  y\ngpgsig -----BEGIN-----\n \n abc\n -----END-----\n \n\nm`,
    );
    const parsed = parseCommit(raw);
    expect(parsed.extraHeaders).toEqual(extraHeaders);
    expect(parsed.message).toBe('m');
    expect(serializeCommit(parsed)).toEqual(raw);
  });

  test('text is in the encoding that the commit names', () => {
    const latin1 = rawCommit(
      `${start}author J\xf6 <a@b> 1 +0000\ncommitter J\xf6 <a@b> 1 +0000\nencoding ISO-8859-1\n\ngr\xfc\xdfe \x80`,
    );
    const parsed = parseCommit(latin1);
    expect(parsed.author.identity.name).toBe('Jö');
    expect(parsed.message).toBe('grüße \x80');
    expect(serializeCommit(parsed)).toEqual(latin1);

    const japanese = rawCommit(`${start}${people}encoding Shift_JIS\n\n\x93\xfa\x96{`);
    expect(parseCommit(japanese).message).toBe('日本');
    expect(() => serializeCommit(parseCommit(japanese))).toThrow(InvalidArgumentError);
  });

  test('an encoding that nobody knows, and bytes that are no UTF-8, are kept as they are', () => {
    for (const encoding of ['', 'encoding klingon\n', 'encoding UTF-8\n', 'encoding utf8\n']) {
      const raw = rawCommit(`${start}${people}${encoding}\n\xc3\xbc \xff`);
      const parsed = parseCommit(raw);
      expect(parsed.message).toBe('ü \udcff');
      expect(serializeCommit(parsed)).toEqual(raw);
    }
  });

  test.each([
    ['A U Thor<a@b>12 +0100', { name: 'A U Thor', email: 'a@b' }, 12, 60],
    ['<a@b> 12 +0100', { name: '', email: 'a@b' }, 12, 60],
    ['A <> 12 -0730', { name: 'A', email: '' }, 12, -450],
    ['A <a@b>', { name: 'A', email: 'a@b' }, 0, 0],
    ['A <a@b> soon +0100', { name: 'A', email: 'a@b' }, 0, 0],
    ['A <a@b> -5 +0100', { name: 'A', email: 'a@b' }, 0, 0],
    ['A <a@b> 99999999999999999999 +0100', { name: 'A', email: 'a@b' }, 0, 0],
    ['A <a@b> b> 12 -0000', { name: 'A', email: 'a@b' }, 12, 0],
    ['A > B <a@b> 12 +051800', { name: 'A > B', email: 'a@b' }, 12, 518 * 60],
  ])('makes of the irregular author %j what git does', (line, identity, timeSec, zoneMinutes) => {
    const raw = rawCommit(`${start}author ${line}\ncommitter A <b> 1 +0000\n\n`);
    expect(parseCommit(raw).author).toEqual({ identity, timeSec, zoneMinutes });
  });

  test.each([
    ['nothing', ''],
    ['no tree', `${people}\nm`],
    ['a tree that is no id', `tree ${oidB}0\n${people}\nm`],
    ['a parent that is no id', `${start}parent x\n${people}\nm`],
    ['no author', `${start}committer A <b> 1 +0000\n\nm`],
    ['no committer', `${start}author A <b> 1 +0000\n\nm`],
    ['an author without address', `${start}author A\ncommitter A <b> 1 +0000\n\nm`],
    ['a header without an end', `${start}${people.trimEnd()}`],
  ])('refuses %s, and names the commit', (_, text) => {
    expect(() => parseCommit(rawCommit(text), oidA)).toThrow(CorruptObjectError);
    expect(() => parseCommit(rawCommit(text), oidA)).toThrow(
      expect.objectContaining({ oid: oidA }),
    );
    expect(() => parseCommit(rawCommit(text))).toThrow('a commit is broken');
  });
});

describe('writing a commit', () => {
  const named = (name: string, email = 'a@b') => ({ ...stamp, identity: { name, email } });
  test.each<[string, Partial<Commit>]>([
    ['a newline in a name', { author: named('a\nparent x') }],
    ['< in a name', { author: named('a <b>') }],
    ['> in an address', { committer: named('a', 'b>c') }],
    ['NUL in a name', { committer: named('a\0') }],
    ['a time before 1970', { author: { ...stamp, timeSec: -1 } }],
    ['half a second', { author: { ...stamp, timeSec: 1.5 } }],
    ['no time', { author: { ...stamp, timeSec: Number.NaN } }],
    ['a zone of half a minute', { author: { ...stamp, zoneMinutes: 0.5 } }],
    ['a zone from nowhere', { author: { ...stamp, zoneMinutes: 6000 } }],
    ['NUL in the message', { message: 'a\0b' }],
    ['a header without a name', { extraHeaders: [header('', 'x')] }],
    ['a header with a space in its name', { extraHeaders: [header('a b', 'x')] }],
    ['NUL in a header', { extraHeaders: [header('a', '\0')] }],
    ['text that latin1 lacks', { message: '日', extraHeaders: [header('encoding', 'latin1')] }],
  ])('refuses %s', (_, wrong) => {
    expect(() => serializeCommit({ ...commit, ...wrong })).toThrow(InvalidArgumentError);
  });
});

describe('tags', () => {
  const tag: Tag = { object: oidA, type: 'commit', tag: 'v1', tagger: stamp, message: 'm\n' };
  const raw = Buffer.from(
    `object ${oidA}\ntype commit\ntag v1\ntagger Ada <ada@x> 1700000000 +0130\n\nm\n`,
  );

  test('are read and written', () => {
    expect(parseTag(raw)).toEqual(tag);
    expect(serializeTag(tag)).toEqual(raw);
  });

  test('may have no tagger, and headers of later times', () => {
    const old = Buffer.from(`object ${oidA}\ntype tree\ntag v0\ngpgsig-sha256 a\n b\n\nm`);
    const parsed = parseTag(old);
    expect(parsed).not.toHaveProperty('tagger');
    expect(parsed.extraHeaders).toEqual([header('gpgsig-sha256', 'a\nb')]);
    expect(serializeTag(parsed)).toEqual(old);
  });

  test.each([
    ['no object', 'type commit\ntag a\n\n'],
    ['an object that is no id', 'object x\ntype commit\ntag a\n\n'],
    ['a type that is none', `object ${oidA}\ntype folder\ntag a\n\n`],
    ['no name', `object ${oidA}\ntype commit\n\n`],
    ['another order', `object ${oidA}\ntag a\ntype commit\n\n`],
    ['a tagger without address', `object ${oidA}\ntype commit\ntag a\ntagger A\n\n`],
  ])('refuse %s, and name the tag', (_, text) => {
    expect(() => parseTag(Buffer.from(text), oidB)).toThrow(CorruptObjectError);
    expect(() => parseTag(Buffer.from(text), oidB)).toThrow(expect.objectContaining({ oid: oidB }));
  });
});

// Any text that git stores, lone bytes included; people have no spaces around them.
const text = fc
  .string({ unit: 'binary', maxLength: 20 })
  .map((wild) => wild.replaceAll('\0', ''))
  .map((wild) => (wild.isWellFormed() ? wild : wild.toWellFormed()));
const personText = text.map((wild) => wild.replaceAll(/[<>\n]/g, '').trim());
const stamps = fc.record({
  identity: fc.record({ name: personText, email: personText }),
  timeSec: fc.nat(),
  zoneMinutes: fc.integer({ min: -840, max: 840 }),
});
const oids = fc.constantFrom(oidA, oidB, 'a'.repeat(64) as Oid);
const headerValues = fc
  .array(fc.constantFrom('a', ' ', '\n', '\xff', '-'), { maxLength: 8 })
  .map((parts) => parts.join(''));
const extraHeaders = fc.array(
  fc.record({
    name: fc.constantFrom('gpgsig', 'mergetag', 'x').map((name) => name as ByteString),
    value: headerValues.map((value) => value as ByteString),
  }),
  { minLength: 1, maxLength: 3 },
);

test('every commit that is written is read back the same, and gives the same bytes again', () => {
  const commits = fc.record(
    {
      tree: oids,
      parents: fc.array(oids, { maxLength: 3 }),
      author: stamps,
      committer: stamps,
      message: text,
      extraHeaders,
    },
    { requiredKeys: ['tree', 'parents', 'author', 'committer', 'message'] },
  );
  fc.assert(
    fc.property(commits, (value) => {
      const raw = serializeCommit(value);
      expect(parseCommit(raw)).toEqual(value);
      expect(serializeCommit(parseCommit(raw))).toEqual(raw);
    }),
  );
});

test('every tag that is written is read back the same', () => {
  const tags = fc.record(
    {
      object: oids,
      type: fc.constantFrom('commit', 'tree', 'blob', 'tag'),
      tag: personText,
      tagger: stamps,
      message: text,
      extraHeaders,
    },
    { requiredKeys: ['object', 'type', 'tag', 'message'] },
  );
  fc.assert(
    fc.property(tags, (value) => {
      expect(parseTag(serializeTag(value))).toEqual(value);
    }),
  );
});

test('bytes that are no commit or tag are refused with a CorruptObjectError, never something else', () => {
  const words = fc.constantFrom(
    ...[
      'tree',
      'parent',
      'author',
      'object',
      'type',
      'tag',
      ' ',
      '\n',
      '\n ',
      '\n\n',
      oidA,
      'A <b> 1 +0000',
      'commit',
    ],
  );
  const noise = fc.array(words, { maxLength: 16 }).map((parts) => parts.join(''));
  const parsers = [parseCommit, parseTag];
  fc.assert(
    fc.property(noise, fc.constantFrom('', start, `${start}${people}`), (tail, head) => {
      for (const parse of parsers) {
        try {
          expect(parse(rawCommit(head + tail)).message).toBeTypeOf('string');
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptObjectError);
        }
      }
    }),
    { examples: [[' no end', '']] },
  );
});
