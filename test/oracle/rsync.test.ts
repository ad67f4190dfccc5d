import { chmod, lstat, mkdir, readFile, readdir, readlink, rm } from 'node:fs/promises';
import { symlink, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExcludeFilter, GitStore } from '../../src/index.ts';
import type { FS } from '../../src/index.ts';
import { fsck } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// rsync is the reference for what copies between the disk and a snapshot do. What git cannot store
// is left out of the comparison: empty directories, and permissions but for the executable bit.

// VOST_TEST_ROUNDS makes it longer: that many times the cases.
const rounds = Number(process.env['VOST_TEST_ROUNDS'] ?? 1);
const timeout = 60_000 * rounds;

type Node =
  | { readonly kind: 'file'; readonly content: string; readonly isExecutable: boolean }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'directory'; readonly children: Directory };
interface Directory {
  readonly [name: string]: Node;
}

// Names are bytes, one a character; the last is no UTF-8.
const name = fc.constantFrom('a', 'b', 'c.x', '.d', 'e f', '\xff');
const { directory } = fc.letrec<{ node: Node; directory: Directory }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('file' as const),
        content: fc.constantFrom('', 'one', 'two', 'three'),
        isExecutable: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('link' as const),
        target: fc.constantFrom('a', '../b', '.', '/nowhere', '\xfe'),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('directory' as const), children: tie('directory') }),
    },
  ),
  directory: fc.dictionary(name, tie('node'), { maxKeys: 4 }),
}));

const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');

async function make(path: string, tree: Directory): Promise<void> {
  await mkdir(bytes(path), { recursive: true });
  for (const [name, node] of Object.entries(tree)) {
    const child = `${path}/${name}`;
    if (node.kind === 'directory') await make(child, node.children);
    else if (node.kind === 'link') await symlink(bytes(node.target), bytes(child));
    else {
      await writeFile(bytes(child), node.content);
      if (node.isExecutable) await chmod(bytes(child), 0o755);
    }
  }
}

/** All files and links below a directory, with what git stores of them. */
async function listing(path: string, prefix = ''): Promise<string[]> {
  const lines: string[] = [];
  for (const entry of await readdir(bytes(path), { encoding: 'buffer' })) {
    const name = entry.toString('latin1');
    const child = `${path}/${name}`;
    const found = await lstat(bytes(child));
    if (found.isDirectory()) lines.push(...(await listing(child, `${prefix}${name}/`)));
    else if (found.isSymbolicLink()) {
      const target = await readlink(bytes(child), { encoding: 'buffer' });
      lines.push(`${prefix}${name} -> ${target.toString('latin1')}`);
    } else {
      const mode = (found.mode & 0o100) === 0 ? '' : ' (executable)';
      lines.push(`${prefix}${name}${mode}: ${(await readFile(bytes(child))).toString()}`);
    }
  }
  return lines.sort();
}

/** Runs rsync; what it could not copy (23) is part of the comparison. */
function rsync(args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('rsync', ['--archive', '--checksum', ...args], { cwd, timeout: 30_000 });
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0 || code === 23) resolve();
      else reject(new Error(`rsync ${args.join(' ')} ended with ${String(code)}: ${output}`));
    });
  });
}

class Playground {
  readonly #root: string;
  readonly #store: GitStore;
  #cases = 0;
  #empty: FS | undefined;

  constructor(root: string, store: GitStore) {
    this.#root = root;
    this.#store = store;
  }

  static async open(): Promise<Playground> {
    const root = await temporaryDirectory();
    return new Playground(root, await GitStore.open(join(root, 'repository.git')));
  }

  /** A fresh directory with these directories in it, and the snapshot of a branch with nothing in it. */
  async begin(trees: { one: Directory; two: Directory; dest: Directory }) {
    const at = join(this.#root, `case-${this.#cases++}`);
    for (const [name, tree] of Object.entries(trees)) await make(join(at, name), tree);
    await make(join(at, 'expected'), trees.dest);
    const empty = (this.#empty ??= await this.#store.fs('main'));
    const fs = await this.#store.branches.setAndGet(`case-${this.#cases}`, empty);
    return { at, fs, end: () => rm(at, { recursive: true }) };
  }

  async close(): Promise<void> {
    await this.#store.close();
    await fsck(join(this.#root, 'repository.git'));
  }
}

const sources = fc.constantFrom(
  ['one/'],
  ['one'],
  ['one/', 'two/'],
  ['two/', 'one'],
  ['one/', 'two'],
);
const options = {
  delete: fc.boolean(),
  ignoreExisting: fc.boolean(),
};

const trees = fc.tuple(directory, directory, directory);

/** Two generated trees to copy, and one that is partly the same: what they find at their destination. */
function casesFrom([one, two, other]: readonly Directory[], how: { ignoreExisting: boolean }) {
  const dest = { ...one, ...other, one: { kind: 'directory', children: two! } } as Directory;
  return { one: one!, two: two!, dest: how.ignoreExisting ? withDeadLinks(dest) : dest };
}

/**
 * A link that exists, and is left alone for that, is followed by rsync where the source has a
 * directory, and written through. We never do, and these links lead nowhere.
 */
function withDeadLinks(tree: Directory): Directory {
  const dead = (node: Node): Node => {
    if (node.kind === 'link') return { ...node, target: '/nowhere/at/all' };
    return node.kind === 'file' ? node : { ...node, children: withDeadLinks(node.children) };
  };
  return Object.fromEntries(Object.entries(tree).map(([name, node]) => [name, dead(node)]));
}

function flags(given: { delete: boolean; ignoreExisting: boolean }): string[] {
  return [
    // What cannot be copied keeps rsync from deleting anything at all, unless told so.
    ...(given.delete ? ['--delete-before', '--ignore-errors'] : []),
    ...(given.ignoreExisting ? ['--ignore-existing'] : []),
  ];
}

describe('copies do what rsync does', { timeout }, () => {
  test('into a snapshot', async () => {
    const ground = await Playground.open();
    const exclude = fc.uniqueArray(fc.constantFrom('a', '*.x', 'b/', '/a', '/one/b', '.d', 'e f'), {
      maxLength: 2,
    });
    await fc.assert(
      fc.asyncProperty(
        trees,
        sources,
        fc.record({ ...options, exclude }),
        async (given, from, { exclude: patterns, ...how }) => {
          const { at, fs, end } = await ground.begin(casesFrom(given, how));
          // A destination in git has no empty directories that could be in the way.
          await pruneEmpty(join(at, 'expected'));
          const excludes = patterns.map((pattern) => `--exclude=${pattern}`);
          await rsync([...flags(how), ...excludes, ...from, 'expected/'], at);
          const before = await fs.syncIn(join(at, 'dest'), 'to');
          const after = await before.copyIn(
            from.map((source) => `${at}/${source}`),
            'to',
            { ...how, ignoreErrors: true, exclude: new ExcludeFilter({ patterns }) },
          );
          await make(join(at, 'actual'), {});
          if (await after.exists('to')) await after.syncOut('to', join(at, 'actual'));
          expect(await listing(join(at, 'actual'))).toEqual(await listing(join(at, 'expected')));
          await end();
        },
      ),
      { numRuns: 101 * rounds },
    );
    await ground.close();
  });

  test('onto the disk', async () => {
    const ground = await Playground.open();
    await fc.assert(
      fc.asyncProperty(trees, sources, fc.record(options), async (given, from, how) => {
        const { at, fs, end } = await ground.begin(casesFrom(given, how));
        let stored = await fs.syncIn(join(at, 'one'), 'one');
        stored = await stored.syncIn(join(at, 'two'), 'two');
        // A directory that git does not store is none that could be copied.
        const stands = await Promise.all(from.map((source) => stored.exists(source)));
        const there = from.filter((_, index) => stands[index]);
        if (there.length > 0) {
          await pruneEmpty(join(at, 'one'));
          await pruneEmpty(join(at, 'two'));
          await rsync([...flags(how), ...there, 'expected/'], at);
          await stored.copyOut(there, join(at, 'dest'), { ...how, ignoreErrors: true });
          expect(await listing(join(at, 'dest'))).toEqual(await listing(join(at, 'expected')));
        }
        await end();
      }),
      { numRuns: 101 * rounds },
    );
    await ground.close();
  });
});

/** Removes the directories that hold no file; tells whether this one does not. */
async function pruneEmpty(path: string): Promise<boolean> {
  let isEmpty = true;
  for (const entry of await readdir(bytes(path), { encoding: 'buffer', withFileTypes: true })) {
    const child = `${path}/${entry.name.toString('latin1')}`;
    if (!entry.isDirectory() || !(await pruneEmpty(child))) isEmpty = false;
    else await rm(bytes(child), { recursive: true });
  }
  return isEmpty;
}
