import { byteStringFromBuffer } from '../../src/git/byte-string.ts';
import { parseConfig } from '../../src/git/config-parser.ts';
import {
  parseCommit,
  parseTag,
  serializeCommit,
  serializeTag,
  Tree,
} from '../../src/git/object.ts';
import { applyDelta } from '../../src/git/odb/delta.ts';
import { PackedRefs } from '../../src/git/refs/packed-refs.ts';
import { parseReflogLine } from '../../src/git/refs/reflog.ts';
import type { FuzzTarget, OpenTarget } from './fuzz-target.ts';

function parser(
  name: string,
  seeds: readonly (string | Buffer)[],
  read: OpenTarget['read'],
): FuzzTarget {
  const open: OpenTarget = {
    seeds: seeds.map((seed) => (typeof seed === 'string' ? Buffer.from(seed, 'latin1') : seed)),
    read,
    close: () => Promise.resolve(),
  };
  return { name, open: () => Promise.resolve(open) };
}

const oid = '0123456789abcdef0123456789abcdef01234567';
const raw = Buffer.from(oid, 'hex');
const person = 'A U Thor <author@example.com> 1700000000 +0100';
const treeOf = (...entries: string[]): Buffer =>
  Buffer.concat(entries.flatMap((entry) => [Buffer.from(`${entry}\0`, 'latin1'), raw]));

/** What is parsed out of memory. */
export const parserTargets: readonly FuzzTarget[] = [
  parser(
    'tree',
    [
      treeOf('100644 a', '100755 b.c', '40000 b', '120000 link', '160000 sub'),
      treeOf('100664 \xff\xfe', '40000 \xff\xff'),
      treeOf(),
    ],
    (input) => {
      const tree = Tree.parse(input, 'sha1');
      for (let index = 0; index < tree.size; index++) {
        if (tree.indexOf(tree.at(index).name) !== index)
          throw new Error(`entry ${index} is not found`);
      }
    },
  ),
  parser(
    'commit',
    [
      `tree ${oid}\nparent ${oid}\nparent ${oid}\nauthor ${person}\ncommitter ${person}\n\nSubject\n\nBody\n`,
      `tree ${oid}\nauthor ${person}\ncommitter ${person}\nencoding ISO-8859-1\ngpgsig -----BEGIN\n  x\n  -----END\n\n\xe4\n`,
    ],
    (input) => {
      serializeCommit(parseCommit(input));
    },
  ),
  parser(
    'tag',
    [
      `object ${oid}\ntype commit\ntag v1\ntagger ${person}\n\nRelease\n`,
      `object ${oid}\ntype tree\ntag x\n\n`,
    ],
    (input) => {
      serializeTag(parseTag(input));
    },
  ),
  parser(
    'config',
    [
      '[core]\n\tbare = true\n\trepositoryformatversion = 0 ; why\n[remote "a b"]\n\turl = "x\\ty\\"" # z\n',
      '[a.b]c\n[include]\n\tpath = ~/x\\\n y\n[extensions]\n objectFormat=sha256\n',
    ],
    (input) => {
      parseConfig(input.toString('latin1'), 'config');
    },
  ),
  parser(
    'packed-refs',
    [
      `# pack-refs with: peeled fully-peeled sorted \n${oid} refs/heads/main\n${oid} refs/tags/v1\n^${oid}\n`,
      `${oid} refs/heads/b\n${oid} refs/heads/a\n`,
    ],
    (input) => {
      const refs = PackedRefs.parse(input, 'sha1');
      for (const { name } of refs.startingWith('refs/')) refs.get(name);
    },
  ),
  parser('reflog', [`${oid} ${oid} ${person}\tcommit: x`, `${oid} ${oid} ${person}`], (input) => {
    parseReflogLine(byteStringFromBuffer(input));
  }),
  parser('delta', [deltaSeed()], (input) => {
    applyDelta(Buffer.alloc(300, 'base'), input);
  }),
];

/** A base of 300 bytes, a copy of 200, then 5 new bytes. */
function deltaSeed(): Buffer {
  return Buffer.from([0xac, 0x02, 0xcd, 0x01, 0x91, 10, 200, 5, ...Buffer.from('hello')]);
}
