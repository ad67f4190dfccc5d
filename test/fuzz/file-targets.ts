import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesFromText } from '../../src/git/byte-string.ts';
import { BundleFile } from '../../src/git/bundle-file.ts';
import { ChangedPathQuery } from '../../src/git/odb/changed-paths.ts';
import { CommitGraphFinder } from '../../src/git/odb/commit-graph-finder.ts';
import { ObjectDatabase } from '../../src/git/odb/object-database.ts';
import { PageCache } from '../../src/git/odb/page-cache.ts';
import { receivePack } from '../../src/git/odb/pack-receiver.ts';
import { parseOid } from '../../src/git/oid.ts';
import type { Oid } from '../../src/git/oid.ts';
import type { FuzzTarget, OpenTarget } from './fuzz-target.ts';
import { withChecksum } from './mutations.ts';
import type { Mutator } from './mutations.ts';

/** A repository in memory, made by git: two packs with deltas, a graph with filters, an index over all. */
class Scratch {
  readonly path: string = mkdtempSync('/dev/shm/vost-fuzz-');
  readonly objects: string = join(this.path, 'objects');
  readonly oids: readonly Oid[];

  constructor() {
    this.git('init', '--quiet', '--bare', '.');
    this.#import(0, 12);
    this.git('repack', '-q', '-adf', '--depth=10');
    this.#import(12, 16);
    this.git('repack', '-q');
    this.git('commit-graph', 'write', '--reachable', '--changed-paths', '--no-progress');
    this.git('multi-pack-index', 'write', '--no-progress');
    this.oids = this.git('cat-file', '--batch-all-objects', '--batch-check=%(objectname)')
      .trim()
      .split('\n')
      .map((oid) => parseOid(oid));
  }

  git(...args: string[]): string {
    return execFileSync('git', args, {
      cwd: this.path,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' },
    });
  }

  /** The files in `objects/pack` with an ending. */
  packed(ending: string): string[] {
    return readdirSync(join(this.objects, 'pack'))
      .filter((name) => name.endsWith(ending))
      .map((name) => join(this.objects, 'pack', name));
  }

  database(): Promise<ObjectDatabase> {
    return ObjectDatabase.open({
      ...{ objectsDirectory: this.objects, algorithm: 'sha1', compressionLevel: 1 },
      cacheSizeBytes: 1 << 20,
    });
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true });
  }

  #import(from: number, to: number): void {
    const lines: string[] = [];
    for (let commit = from; commit < to; commit++) {
      const text = Array.from(
        { length: 40 },
        (_, line) => `${line === commit ? commit : ''} line ${line}\n`,
      ).join('');
      lines.push(
        `commit refs/heads/main\ncommitter C <c@x> ${1_700_000_000 + commit} +0000\ndata 2\nx`,
        commit > 0 && commit === from ? 'from refs/heads/main^0' : '',
        `M 100644 inline d/f${commit % 3}\ndata ${text.length}\n${text}`,
      );
    }
    const input = `${lines.filter((line) => line !== '').join('\n')}\n`;
    execFileSync('git', ['fast-import', '--quiet', '--force'], { cwd: this.path, input });
  }
}

/** A file of a repository takes the place of the good one, then the repository is read. */
function fileTarget(
  name: string,
  file: (scratch: Scratch) => string,
  read: (scratch: Scratch, mutator: Mutator) => Promise<void>,
): FuzzTarget {
  const open = (): Promise<OpenTarget> => {
    const scratch = new Scratch();
    const path = file(scratch);
    const good = readFileSync(path);
    rmSync(path);
    return Promise.resolve({
      seeds: [good],
      read: (input, mutator) => {
        writeFileSync(path, mutator.below(4) === 0 ? input : withChecksum(input));
        return read(scratch, mutator);
      },
      close: () => scratch.remove(),
    });
  };
  return { name, open };
}

async function readObjects(scratch: Scratch, mutator: Mutator): Promise<void> {
  const database = await scratch.database();
  try {
    for (let count = 0; count < 4; count++) {
      const oid = mutator.pick(scratch.oids);
      if (count % 2 === 0) await database.header(oid);
      await database.read(oid);
    }
  } finally {
    await database.close();
  }
}

const paths = ['d', 'd/f1', 'none'].map((path) => new ChangedPathQuery(bytesFromText(path)));

async function readGraph(scratch: Scratch): Promise<void> {
  const finder = new CommitGraphFinder(
    scratch.objects,
    'sha1',
    new PageCache({ maxSizeBytes: 1 << 20 }),
  );
  try {
    const graph = await finder.current();
    if (graph === undefined) return;
    for (const oid of scratch.oids) await graph.answer(() => graph.find(oid));
    for (let position = 0; position < Math.min(graph.size, 30); position++) {
      await graph.answer(() => [
        ...[graph.oidAt(position), graph.treeAt(position), graph.parentsAt(position)],
        ...[graph.timeSecAt(position), graph.levelAt(position), graph.linksAt(position)],
        ...paths.map((path) => graph.changedPathAt(position, path)),
      ]);
    }
  } finally {
    finder.close();
  }
}

const bundle: FuzzTarget = {
  name: 'bundle',
  open: () => {
    const scratch = new Scratch();
    const path = join(scratch.path, 'all.bundle');
    scratch.git('bundle', 'create', '--quiet', path, '--all');
    scratch.git('bundle', 'create', '--quiet', `${path}2`, 'main~4..main');
    const seeds = [path, `${path}2`].map((file) => readFileSync(file));
    rmSync(join(scratch.objects, 'info/commit-graph'));
    const before = new Set(scratch.packed(''));
    return Promise.resolve({
      seeds,
      read: async (input, mutator) => {
        writeFileSync(path, mutator.below(4) === 0 ? input : withPackChecksum(input));
        const file = await BundleFile.open(path);
        const database = await scratch.database();
        try {
          await (await receivePack(database, file.pack())).letGo();
        } finally {
          await database.close();
          await file.close();
          for (const made of scratch.packed('')) if (!before.has(made)) rmSync(made);
        }
      },
      close: () => scratch.remove(),
    });
  },
};

/** The checksum is that of the pack, which begins behind the header. */
function withPackChecksum(input: Buffer): Buffer {
  const start = input.indexOf('PACK');
  if (start < 0) return input;
  return Buffer.concat([input.subarray(0, start), withChecksum(input.subarray(start))]);
}

/** What is read from files, in place. */
export const fileTargets: readonly FuzzTarget[] = [
  fileTarget('pack', (scratch) => largest(scratch.packed('.pack')), readObjects),
  fileTarget(
    'pack-index',
    (scratch) => {
      // Otherwise the index over all answers.
      rmSync(join(scratch.objects, 'pack/multi-pack-index'));
      return largest(scratch.packed('.idx'));
    },
    readObjects,
  ),
  fileTarget(
    'multi-pack-index',
    (scratch) => join(scratch.objects, 'pack/multi-pack-index'),
    readObjects,
  ),
  fileTarget('commit-graph', (scratch) => join(scratch.objects, 'info/commit-graph'), readGraph),
  fileTarget(
    'loose-object',
    (scratch) => {
      // All of them, of which one is then mutated.
      const packs = scratch.packed('.pack').map((path) => readFileSync(path));
      rmSync(join(scratch.objects, 'pack'), { recursive: true });
      for (const input of packs) {
        execFileSync('git', ['unpack-objects', '-q'], { cwd: scratch.path, input });
      }
      const oid = scratch.oids[0]!;
      return join(scratch.objects, oid.slice(0, 2), oid.slice(2));
    },
    async (scratch) => {
      const database = await scratch.database();
      try {
        await database.header(scratch.oids[0]!);
        await database.read(scratch.oids[0]!);
      } finally {
        await database.close();
      }
    },
  ),
  bundle,
];

function largest(paths: readonly string[]): string {
  return paths.reduce((a, b) => (readFileSync(a).length >= readFileSync(b).length ? a : b));
}
