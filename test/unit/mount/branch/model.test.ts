import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashObject } from '../../../../src/git/object.ts';
import { renameExchange } from '../../../../src/mount/vfs/operations.ts';
import { ErrnoError } from '../../../../src/mount/vfs/errno.ts';
import { BranchMount, commitOutside, mainRef } from './branch-mount.ts';

/** A directory tree in memory: what the mount should show. */
type Model = Map<string, Model | { content: string }>;

const name = fc.constantFrom('a', 'b', 'c');
const path = fc.oneof(
  fc.array(name, { minLength: 1, maxLength: 2 }),
  fc.array(name, { minLength: 1, maxLength: 3 }),
);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      path,
      content: fc.string({ maxLength: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('mkdir' as const), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), path }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('rename' as const), path, to: path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('exchange' as const), path, to: path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), path }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('commit' as const), waits: fc.boolean() }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function find(model: Model, at: readonly string[]): Model | { content: string } | undefined {
  let found: Model | { content: string } | undefined = model;
  for (const part of at) found = found instanceof Map ? found.get(part) : undefined;
  return found;
}

function directoryOf(model: Model, at: readonly string[]): Model | undefined {
  const directory = find(model, at.slice(0, -1));
  return directory instanceof Map ? directory : undefined;
}

/** Does to the model what the step should do to the mount; false when it should fail. */
function runOnModel(model: Model, taken: Step): boolean {
  if (taken.kind === 'commit' || taken.kind === 'forget') return true;
  const directory = directoryOf(model, taken.path);
  const last = taken.path.at(-1)!;
  const node = directory?.get(last);
  switch (taken.kind) {
    case 'write':
      if (directory === undefined || node instanceof Map) return false;
      directory.set(last, { content: taken.content });
      return true;
    case 'mkdir':
      if (directory === undefined || node !== undefined) return false;
      directory.set(last, new Map());
      return true;
    case 'remove':
      if (node === undefined || (node instanceof Map && node.size > 0)) return false;
      directory!.delete(last);
      return true;
    case 'rename':
    case 'exchange': {
      const target = directoryOf(model, taken.to);
      const newName = taken.to.at(-1)!;
      const other = target?.get(newName);
      if (node === undefined || target === undefined) return false;
      if (
        isWithin(taken.to, taken.path) &&
        node instanceof Map &&
        taken.to.length > taken.path.length
      )
        return false;
      if (taken.kind === 'exchange') {
        if (other === undefined) return false;
        if (isWithin(taken.path, taken.to) && taken.path.length > taken.to.length) return false;
        if (node === other) return true;
        directory!.set(last, other);
        target.set(newName, node);
        return true;
      }
      if (other === node) return true;
      if (other !== undefined) {
        if (other instanceof Map !== node instanceof Map) return false;
        if (other instanceof Map && other.size > 0) return false;
      }
      directory!.delete(last);
      target.set(newName, node);
      return true;
    }
  }
}

function isWithin(inner: readonly string[], outer: readonly string[]): boolean {
  return outer.every((part, index) => inner[index] === part);
}

async function runOnMount(mount: BranchMount, taken: Step): Promise<void> {
  const at = 'path' in taken ? taken.path.join('/') : '';
  switch (taken.kind) {
    case 'write':
      return mount.write(at, taken.content);
    case 'mkdir':
      return mount.mkdir(at);
    case 'remove': {
      const { mode } = await mount.stat(at);
      return (mode & 0o170000) === 0o040000 ? mount.rmdir(at) : mount.unlink(at);
    }
    case 'rename':
      return mount.rename(at, taken.to.join('/'));
    case 'exchange':
      return mount.rename(at, taken.to.join('/'), renameExchange);
    case 'forget': {
      const ino = await mount.find(at).catch(() => null);
      if (ino !== null) mount.forgetAll(ino);
      break;
    }
    case 'commit':
      // What follows races with it, unless it is waited for.
      if (taken.waits) await mount.commit();
      else void mount.commit();
      break;
  }
}

function expectedLines(model: Model, prefix = ''): string[] {
  return [...model].flatMap(([entry, node]) => {
    if (node instanceof Map) {
      return [`040000 tree  ${prefix}${entry}`, ...expectedLines(node, `${prefix}${entry}/`)];
    }
    const oid = hashObject('sha1', 'blob', Buffer.from(node.content));
    return [`100644 blob ${oid} ${prefix}${entry}`];
  });
}

describe('any sequence of changes', () => {
  test('shows as on any filesystem, and is what git has after the commit', async () => {
    const seen = { failed: 0, done: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        const mount = await BranchMount.open({ files: { 'a/b/c': '1', 'b/a': '2', c: '3' } });
        const model: Model = new Map<string, Model | { content: string }>([
          ['a', new Map([['b', new Map([['c', { content: '1' }]])]])],
          ['b', new Map([['a', { content: '2' }]])],
          ['c', { content: '3' }],
        ]);
        for (const taken of steps) {
          const works = runOnModel(model, taken);
          seen[works ? 'done' : 'failed'] += 1;
          if (works) await runOnMount(mount, taken);
          else await expect(runOnMount(mount, taken)).rejects.toThrow();
        }
        const expected = expectedLines(model).sort();
        expect(await mount.shown()).toEqual(expected);
        await mount.commit();
        await mount.expectCommitted();
        expect(await mount.shown()).toEqual(expected);
        await mount.branches.stop();
        await mount.repository.close();
      }),
      { numRuns: 40 },
    );
    expect(seen.done).toBeGreaterThan(100);
  });

  test('with others committing in between, the mount shows what git has in the end', async () => {
    const outside = fc.record({
      kind: fc.constant('outside' as const),
      changes: fc.dictionary(
        path.map((parts) => parts.join('/')),
        fc.option(fc.string({ maxLength: 3 })),
        { minKeys: 1, maxKeys: 2 },
      ),
      follows: fc.boolean(),
    });
    const steps = fc.array(fc.oneof({ weight: 5, arbitrary: step }, outside), {
      minLength: 8,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const mount = await BranchMount.open({ files: { 'a/b/c': '1', 'b/a': '2', c: '3' } });
        const handles = [await mount.openFile('b/a'), await mount.openFile('c', 0)];
        for (const one of taken) {
          if (one.kind !== 'outside') {
            await runOnMount(mount, one).catch(expectErrno);
            continue;
          }
          await commitOutside(mount.gitDir, one.changes).catch(() => undefined);
          if (one.follows) await mount.branches.refsChanged([mainRef]);
        }
        for (const handle of handles) await mount.close(handle);
        await mount.branches.refsChanged([mainRef]);
        await mount.commit();
        await mount.expectCommitted();
        await mount.branches.stop();
        await mount.repository.close();
      }),
      { numRuns: 25 },
    );
  });
});

/** A step need not be possible, but it must not fail in a way of its own. */
function expectErrno(error: unknown): void {
  expect(error).toBeInstanceOf(ErrnoError);
}
