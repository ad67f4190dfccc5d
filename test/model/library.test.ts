import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GitStore, GitStoreError } from '../../src/index.ts';
import type { Batch, FS } from '../../src/index.ts';
import { hashObject } from '../../src/git/object.ts';
import { fsck, git } from '../helpers/git.ts';
import { libraryListing } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { Refusal, TreeModel } from './tree-model.ts';
import type { ModelFile } from './tree-model.ts';

/** A snapshot of the library, and what the model holds at the same time. */
interface State {
  readonly fs: FS;
  readonly model: TreeModel;
}

interface Operation {
  readonly name: string;
  /** What fast-check shows of it. */
  readonly [fc.toStringMethod]?: () => string;
  readonly onModel: (model: TreeModel, past: readonly State[]) => void;
  readonly onLibrary: (fs: FS, past: readonly State[]) => Promise<FS>;
}

interface BatchStep {
  readonly onModel: (model: TreeModel, past: readonly State[]) => void;
  readonly onBatch: (batch: Batch, past: readonly State[]) => Promise<void>;
}

const names = fc.constantFrom('a', 'b', 'c', 'a.b');
const path = fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const file: fc.Arbitrary<ModelFile> = fc.record({
  mode: fc.constantFrom('100644', '100755'),
  content: fc.constantFrom('', '1', '2', 'some longer content\n'),
});
const moment = fc.nat(20);
const at = (past: readonly State[], index: number): State => past[index % past.length]!;
const bytes = (text: string): Buffer => Buffer.from(text);

const write: fc.Arbitrary<Operation> = fc.tuple(path, file).map(([place, { mode, content }]) => ({
  name: `write ${place}`,
  onModel: (model) => {
    model.write(place, { mode, content });
  },
  onLibrary: (fs) => fs.write(place, bytes(content), { mode }),
}));

const writeSymlink: fc.Arbitrary<Operation> = path.map((place) => ({
  name: `link ${place}`,
  onModel: (model) => {
    model.write(place, { mode: '120000', content: 'target' });
  },
  onLibrary: (fs) => fs.writeSymlink(place, 'target'),
}));

const apply: fc.Arbitrary<Operation> = fc
  .tuple(fc.dictionary(path, file, { maxKeys: 3 }), fc.uniqueArray(path, { maxLength: 2 }))
  .map(([writes, removes]) => ({
    name: `apply ${JSON.stringify({ writes, removes })}`,
    onModel: (model) => {
      for (const place of removes) model.removeFile(place);
      for (const [place, content] of Object.entries(writes)) model.write(place, content);
    },
    onLibrary: (fs) =>
      fs.apply(
        Object.fromEntries(
          Object.entries(writes).map(([place, { mode, content }]) => [
            place,
            { data: content, mode },
          ]),
        ),
        removes,
      ),
  }));

const remove: fc.Arbitrary<Operation> = fc
  .tuple(fc.array(path, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([sources, recursive]) => ({
    name: `remove ${sources.join(' ')}`,
    onModel: (model) => {
      model.remove(sources, recursive);
    },
    onLibrary: (fs) => fs.remove(sources, { recursive }),
  }));

const dest = fc.oneof({ weight: 5, arbitrary: path }, { weight: 1, arbitrary: fc.constant('') });

const move: fc.Arbitrary<Operation> = fc
  .tuple(fc.array(path, { minLength: 1, maxLength: 2 }), dest, fc.boolean(), fc.boolean())
  .map(([sources, to, slash, recursive]) => ({
    name: `move ${sources.join(' ')} to ${to}${slash ? '/' : ''}`,
    onModel: (model) => {
      model.move(sources, to, slash, recursive);
    },
    onLibrary: (fs) => fs.move(sources, slash ? `${to}/` : to, { recursive }),
  }));

const source = fc.oneof(
  { weight: 4, arbitrary: fc.record({ path, contents: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ path: '', contents: true }) },
);

const copyFromRef: fc.Arbitrary<Operation> = fc
  .record({
    from: moment,
    sources: fc.array(source, { minLength: 1, maxLength: 2 }),
    to: dest,
    slash: fc.boolean(),
    deletes: fc.boolean(),
  })
  .map(({ from, sources, to, slash, deletes }) => ({
    name: `copy ${JSON.stringify(sources)} of ${from} to ${to}${slash ? '/' : ''}`,
    onModel: (model, past) => {
      const { fs, model: other } = at(past, from);
      const isSame = fs.commitHash === past.at(-1)?.fs.commitHash;
      model.copyFrom(other.copy(), sources, to, { slash, delete: deletes, isSame });
    },
    onLibrary: (fs, past) =>
      fs.copyFromRef(
        at(past, from).fs,
        sources.map(({ path: place, contents }) => (contents ? `${place}/` : place)),
        slash ? `${to}/` : to,
        { delete: deletes },
      ),
  }));

const batchStep: fc.Arbitrary<BatchStep> = fc.oneof(
  fc.tuple(path, file).map(([place, { mode, content }]) => ({
    onModel: (model: TreeModel) => {
      model.write(place, { mode, content });
    },
    onBatch: (batch: Batch) => batch.write(place, bytes(content), { mode }),
  })),
  path.map((place) => ({
    onModel: (model: TreeModel) => {
      model.removeFile(place);
    },
    onBatch: (batch: Batch) => batch.remove(place),
  })),
  fc.tuple(path, fc.constantFrom('a', 'b', ''), moment).map(([place, directory, index]) => ({
    onModel: (model: TreeModel, past: readonly State[]) => {
      const from = at(past, index).model;
      // A tree that is not there cannot be named by its hash, and an empty one is not stored.
      if (from.below(directory).length === 0) return;
      model.replaceDirectory(place, from, directory);
    },
    onBatch: async (batch: Batch, past: readonly State[]) => {
      const { fs, model } = at(past, index);
      if (model.below(directory).length === 0) return;
      await batch.writeTree(place, await fs.objectHash(directory));
    },
  })),
);

const batch: fc.Arbitrary<Operation> = fc
  .array(batchStep, { minLength: 1, maxLength: 6 })
  .map((steps) => ({
    name: `batch of ${steps.length}`,
    // What a batch refuses, it refuses step by step; the others count.
    onModel: (model, past) => {
      for (const step of steps) ignoringRefusals(() => step.onModel(model, past));
    },
    onLibrary: async (fs, past) => {
      const opened = fs.batch();
      for (const step of steps) {
        await step.onBatch(opened, past).catch((error: unknown) => {
          if (!(error instanceof GitStoreError)) throw error;
        });
      }
      return opened.commit();
    },
  }));

const operation = fc
  .oneof(write, writeSymlink, apply, remove, move, copyFromRef, batch, batch)
  .map((some): Operation => ({ ...some, [fc.toStringMethod]: () => some.name }));

function ignoringRefusals(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}

/** What an operation leads to in the model, or the code of what it refuses. */
function expected(
  { onModel }: Operation,
  past: readonly State[],
): { model: TreeModel } | { code: string } {
  const model = at(past, past.length - 1).model.copy();
  try {
    onModel(model, past);
    return { model };
  } catch (error) {
    if (error instanceof Refusal) return { code: error.code };
    throw error;
  }
}

function modelListing({ files }: TreeModel): string[] {
  const lines = [...files].map(([place, { mode, content }]) => {
    return { place, line: `${mode} ${hashObject('sha1', 'blob', bytes(content))} ${place}` };
  });
  return lines.sort((a, b) => (a.place < b.place ? -1 : 1)).map(({ line }) => line);
}

/** The tree that `git mktree` makes of the model's files, the deepest directories first. */
async function gitTree(gitDir: string, { files }: TreeModel): Promise<string> {
  const directories = new Map<string, string[]>([['', []]]);
  const put = (place: string, what: string): void => {
    const slash = place.lastIndexOf('/');
    const parent = place.slice(0, Math.max(slash, 0));
    const entries = directories.get(parent) ?? [];
    entries.push(`${what}\t${place.slice(slash + 1)}\0`);
    directories.set(parent, entries);
  };
  for (const [place, { mode, content }] of files) {
    put(place, `${mode} blob ${hashObject('sha1', 'blob', bytes(content))}`);
  }
  for (;;) {
    // All that is in the deepest one is known: no other directory lies below it.
    const [deepest] = [...directories.keys()].sort((a, b) => depth(b) - depth(a));
    const input = directories.get(deepest!)!.join('');
    const tree = (await git(['mktree', '--missing', '-z'], { cwd: gitDir, input })).trim();
    if (deepest === '') return tree;
    directories.delete(deepest!);
    put(deepest!, `040000 tree ${tree}`);
  }
}

function depth(place: string): number {
  return place === '' ? 0 : place.split('/').length;
}

test('whatever is done, the library does what the model does, and git makes the same tree', async () => {
  const gitDir = join(await temporaryDirectory(), 'model.git');
  const store = await GitStore.open(gitDir);
  const empty = await store.branches.get('main');
  const check = async (operations: readonly Operation[]): Promise<void> => {
    await store.branches.set('main', empty);
    const past: State[] = [{ fs: await store.branches.get('main'), model: new TreeModel() }];
    for (const step of operations) {
      const { fs } = at(past, past.length - 1);
      const wanted = expected(step, past);
      if ('code' in wanted) {
        await expect(step.onLibrary(fs, past), step.name).rejects.toMatchObject(wanted);
      } else {
        const next = await step.onLibrary(fs, past);
        expect(await libraryListing(next), step.name).toEqual(modelListing(wanted.model));
        past.push({ fs: next, model: wanted.model });
      }
    }
    const { fs, model } = at(past, past.length - 1);
    expect(fs.treeHash).toBe(await gitTree(gitDir, model));
    expect((await store.branches.get('main')).commitHash).toBe(fs.commitHash);
    expect(await fs.glob('**')).toEqual(await fs.ls('', { recursive: true }));
  };
  await fc.assert(fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 20 }), check), {
    numRuns: 50,
  });
  await store.close();
  await fsck(gitDir);
});
