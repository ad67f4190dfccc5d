import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ErrnoError } from '../../../../src/mount/vfs/errno.ts';
import { renameExchange } from '../../../../src/mount/vfs/operations.ts';
import { storedTree } from '../../../helpers/tree-listing.ts';
import { BranchMount, commitOutside, mainRef } from './branch-mount.ts';

/** What stands at each path: `tree`, or the mode and id of a blob. */
type Entries = ReadonlyMap<string, string>;

/** What the mount should show after it has followed, and at which paths the sides got in each other's way. */
interface Merged {
  readonly entries: Entries;
  readonly conflicts: readonly string[];
}

const directory = 'tree';

function entriesOf(lines: readonly string[]): Entries {
  return new Map(
    lines.map((line): [string, string] => {
      const [, mode, type, oid, path] = /^(\d+) (\w+) (\w*) (.*)$/.exec(line)!;
      return [path!, type === 'tree' ? directory : `${mode} ${oid}`];
    }),
  );
}

function fileAt(entries: Entries, path: string): string | undefined {
  const entry = entries.get(path);
  return entry === directory ? undefined : entry;
}

function isBelow(path: string, above: string): boolean {
  return path.startsWith(`${above}/`);
}

/** What one side changed has its version, and what both changed that of the mount. */
function threeWay<T>(base: T, mount: T, outside: T): T {
  return mount === base ? outside : mount;
}

/** Each path for itself; where one side has a file and the other something in a directory, the mount's stays. */
function merge(base: Entries, mount: Entries, outside: Entries): Merged {
  const paths = [...new Set([...base.keys(), ...mount.keys(), ...outside.keys()])].sort();
  const files = new Map<string, string>();
  const conflicts: string[] = [];
  for (const path of paths) {
    const [was, ours, theirs] = [base, mount, outside].map((side) => fileAt(side, path));
    const file = threeWay(was, ours, theirs);
    if (file !== undefined) files.set(path, file);
    if (ours !== was && theirs !== was && ours !== theirs) conflicts.push(path);
  }
  const directories = new Set<string>();
  // What stands in a directory comes before it.
  for (const path of paths.toReversed()) {
    const [was, ours, theirs] = [base, mount, outside].map((side) => side.get(path) === directory);
    const isNeeded = [...files.keys(), ...directories].some((inner) => isBelow(inner, path));
    if (isNeeded || threeWay(was, ours, theirs) === true) directories.add(path);
  }
  for (const path of paths) {
    if (!files.has(path) || !directories.has(path)) continue;
    conflicts.push(path);
    if (fileAt(mount, path) === undefined) {
      files.delete(path);
      continue;
    }
    directories.delete(path);
    for (const other of paths) {
      if (!isBelow(other, path)) continue;
      files.delete(other);
      directories.delete(other);
    }
  }
  const entries = [...files, ...[...directories].map((path) => [path, directory] as const)];
  return { entries: new Map(entries), conflicts };
}

const path = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'));
const content = fc.constantFrom('1', '2', '3');
const change = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), path, content }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('mkdir', 'remove', 'makeAgain', 'writeBack', 'save', 'chmod', 'return'),
      path,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('rename', 'exchange'), path, to: path }),
  },
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

const outsideChanges = fc.dictionary(
  fc.tuple(path, fc.constantFrom('', '', '', '*')).map(([at, suffix]) => `${at}${suffix}`),
  fc.option(content),
  { minKeys: 1, maxKeys: 4 },
);
/** What happens from one look at the outside to the next. */
const round = fc.record({
  committed: fc.array(change, { maxLength: 4 }),
  commits: fc.boolean(),
  staged: fc.array(change, { maxLength: 5 }),
  outside: outsideChanges,
});

async function isDirectory(mount: BranchMount, at: string): Promise<boolean> {
  return ((await mount.stat(at)).mode & 0o170000) === 0o040000;
}

async function removeAll(mount: BranchMount, at: string): Promise<void> {
  if (!(await isDirectory(mount, at))) return mount.unlink(at);
  for (const name of await mount.ls(at)) await removeAll(mount, `${at}/${name}`);
  await mount.rmdir(at);
}

async function run(mount: BranchMount, made: Change): Promise<void> {
  const at = made.path;
  switch (made.kind) {
    case 'write':
      return mount.write(at, 'content' in made ? made.content : '');
    case 'mkdir':
      return mount.mkdir(at);
    case 'remove':
      return removeAll(mount, at);
    case 'makeAgain':
      await removeAll(mount, at);
      return mount.mkdir(at);
    case 'writeBack': {
      const before = await mount.text(at);
      await mount.write(at, 'other');
      return mount.write(at, before);
    }
    case 'save':
      await mount.write('new', await mount.text(at));
      return mount.rename('new', at);
    case 'chmod':
      if (await isDirectory(mount, at)) return;
      await mount.chmod(at, 0o755);
      await mount.chmod(at, 0o644);
      return;
    case 'return':
      await mount.rename(at, 'away');
      return mount.rename('away', at);
    case 'rename':
    case 'exchange':
      if (!('to' in made)) throw new Error('no target');
      return mount.rename(at, made.to, made.kind === 'exchange' ? renameExchange : 0);
  }
}

/** A change need not be possible, but it must not fail in a way of its own. */
function expectErrno(error: unknown): void {
  expect(error).toBeInstanceOf(ErrnoError);
}

async function tipEntries(mount: BranchMount): Promise<Entries> {
  return entriesOf(await storedTree(mount.gitDir, 'main'));
}

function conflictsIn(lines: readonly string[]): string[] {
  return lines.flatMap((line) => / conflict .*\bpath=(\S+)/.exec(line)?.[1] ?? []);
}

function expectConflicts(recorded: readonly string[], expected: readonly string[]): void {
  const covers = (told: string, one: string): boolean => told === one || isBelow(one, told);
  // Of a directory that the mount removed, the whole may be told.
  const missing = expected.filter((one) => !recorded.some((told) => covers(told, one)));
  const needless = recorded.filter((told) => !expected.some((one) => covers(told, one)));
  expect({ missing, needless }).toEqual({ missing: [], needless: [] });
}

const files = {
  'a/a': '1',
  'a/b/a': '1',
  'a/b/b': '2',
  'a/c': '3',
  'b/a': '2',
  'b/c*': '1',
  c: '3',
};

// More of it: VOST_MERGE_RUNS=1000 VOST_MERGE_SEED=$RANDOM npx vitest run --testTimeout=0 path-merge
test('whatever the mount and others change, each path has the version of who changed it', async () => {
  const seed = Number(process.env['VOST_MERGE_SEED'] ?? 4);
  const numRuns = Number(process.env['VOST_MERGE_RUNS'] ?? 25);
  const rounds = fc.array(round, { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(rounds, async (taken) => {
      const mount = await BranchMount.open({ files });
      for (const { committed, commits, staged, outside } of taken) {
        for (const made of committed) await run(mount, made).catch(expectErrno);
        if (commits) await mount.commit();
        for (const made of staged) await run(mount, made).catch(expectErrno);
        const [base, ours] = [await tipEntries(mount), entriesOf(await mount.shown())];
        const linesBefore = mount.lines.length;
        await commitOutside(mount.gitDir, outside);
        const expected = merge(base, ours, await tipEntries(mount));
        await mount.branches.refsChanged([mainRef]);
        expect([...entriesOf(await mount.shown())].sort()).toEqual([...expected.entries].sort());
        expectConflicts(conflictsIn(mount.lines.slice(linesBefore)), expected.conflicts);
      }
      const shown = await mount.shown();
      await mount.commit();
      expect(await mount.shown()).toEqual(shown);
      await mount.expectCommitted();
      await mount.branches.stop();
      await mount.repository.close();
    }),
    { numRuns, seed },
  );
});
