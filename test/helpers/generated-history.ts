import { byteStringFromBuffer, bytesFromText } from '../../src/git/byte-string.ts';
import type { ByteString } from '../../src/git/byte-string.ts';
import { gitBytes } from './git.ts';

/** Paths whose names collide as files and directories, that are no ASCII, and one that is no UTF-8. */
const paths: readonly ByteString[] = [
  ...['a', 'a/b', 'a/b/c', 'a.b', 'dir/x.txt', 'dir/sub/y', 'dir/sub/z', 'top'].map(bytesFromText),
  ...['ünï/cödé', 'ünï/☃ snow', 'ünï', 'naïve', '日本/語/ファイル'].map(bytesFromText),
  byteStringFromBuffer(Buffer.from([0x72, 0x61, 0x77, 0xff, 0xfe, 0x2f, 0x80])),
];

/** All that can be asked for: those paths, what is above and below them, and what never was. */
export const askedPaths: readonly ByteString[] = [
  ...new Set([
    ...paths.flatMap((path) => {
      const names = path.split('/');
      return names.map((_, depth) => names.slice(0, depth + 1).join('/') as ByteString);
    }),
    ...['none', 'a/b/c/d', 'dir/none', 'ünï/none', 'many', 'many/7', 'mode'].map(bytesFromText),
  ]),
];

/**
 * Commands for `git fast-import`: commits on `main`, numbered from `first` on, with merges of up to
 * four other commits, renames, files that become directories and back, and commits that change
 * nothing, one file's mode, or very much.
 */
export function historyCommands(seed: number, first: number, count: number): Buffer {
  const random = randomNumbers(seed + first);
  const pick = <T>(items: readonly T[]): T => items[random(items.length)]!;
  const parts: Buffer[] = [];
  const text = (line: string): number => parts.push(Buffer.from(line, 'latin1'));
  const stamp = (at: number): string => `Ann <ann@example.com> ${1_600_000_000 + 60 * at} +0000`;
  const file = (path: ByteString, mode = '100644'): void => {
    text(`M ${mode} inline ${quoted(path)}\ndata 4\n${String(random(10_000)).padStart(4, '0')}\n`);
  };
  if (first > 0) text('reset refs/heads/main\nfrom refs/heads/main^0\n\n');
  for (let at = first; at < first + count; at++) {
    const sides = at > 0 && random(5) === 0 ? 1 + random(4) : 0;
    for (let side = 0; side < sides; side++) {
      text(`commit refs/heads/side-${at}-${side}\nmark :${1000 * (side + 1) + at}\n`);
      text(`committer ${stamp(at)}\ndata 0\nfrom refs/heads/main\n`);
      file(pick(paths));
    }
    text(`commit refs/heads/main\ncommitter ${stamp(at)}\ndata 0\n`);
    for (let side = 0; side < sides; side++) text(`merge :${1000 * (side + 1) + at}\n`);
    if (at === 0) file(bytesFromText('mode'));
    else if (at % 20 === 7) text('D mode\nM 100755 inline mode\ndata 1\nx\n');
    else if (at % 20 === 17) text('D mode\nM 100644 inline mode\ndata 1\nx\n');
    if (at === 31) for (let index = 0; index < 600; index++) file(bytesFromText(`many/${index}`));
    // A rename needs something to move, so that is made in the same commit.
    if (random(8) === 0) {
      const [from, to] = [pick(paths), pick(paths)];
      if (!from.startsWith(to) && !to.startsWith(from)) {
        file(from);
        text(`R ${quoted(from)} ${quoted(to)}\n`);
      }
    }
    for (let change = random(4); change > 0; change--) {
      if (random(3) === 0) text(`D ${quoted(pick(paths))}\n`);
      else file(pick(paths), pick(['100644', '100755', '120000']));
    }
    text('\n');
  }
  return Buffer.concat(parts);
}

function quoted(path: ByteString): string {
  const escape = (letter: string): string => `\\${letter.charCodeAt(0).toString(8)}`;
  return `"${path.replace(/[\x80-\xff]/g, escape)}"`;
}

function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) % below;
  };
}

/** A commit, as git tells of it. */
export interface KnownCommit {
  readonly oid: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly timeSec: number;
  /** The files that differ from its first parent. */
  readonly changed: readonly ByteString[];
}

/** What git itself finds out about commits, without any help of a commit-graph. */
export async function knownCommits(
  gitDir: string,
  ...args: readonly string[]
): Promise<KnownCommit[]> {
  const output = await gitBytes(
    [
      ...['-c', 'core.commitGraph=false', 'log', '--diff-merges=first-parent', '--no-renames'],
      ...['--name-only', '-z', '--root', '--format=%x01%H %T %ct %P%x02', ...args],
    ],
    { cwd: gitDir },
  );
  const records = output.toString('latin1').split('\x01').slice(1);
  return records.map((record) => {
    const [head = '', files = ''] = record.split('\x02');
    const [oid = '', tree = '', timeSec = '', ...parents] = head.trim().split(' ');
    const changed = files.split(/[\0\n]/).filter((path) => path !== '') as ByteString[];
    return { oid, tree, parents, timeSec: Number(timeSec), changed };
  });
}

export function touches({ changed }: KnownCommit, path: ByteString): boolean {
  return changed.some((file) => file === path || file.startsWith(`${path}/`));
}
