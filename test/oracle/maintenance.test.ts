import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { chmod, mkdir, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CorruptObjectError, GitStore } from '../../src/index.ts';
import type { MaintenanceProgress } from '../../src/index.ts';
import { fsck, git } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const looseCount = Number(process.env['VOST_TEST_LOOSE'] ?? 3000);

let gitDir: string;
let store: GitStore;

beforeEach(async () => {
  gitDir = join(await temporaryDirectory(), 'repository.git');
  store = await GitStore.open(gitDir);
});

afterEach(async () => {
  await store.close();
  await fsck(gitDir);
  // Nothing that was temporary is left, and no pack is kept.
  const left = (await readdir(join(gitDir, 'objects/pack'))).filter(
    (name) => !/^(pack-.*\.(pack|idx|rev)|multi-pack-index)$/.test(name),
  );
  expect(left).toEqual([]);
});

function content(index: number): string {
  return `file ${index}\n`.repeat(1 + (index % 50));
}

/** Puts so many files on `main`, all of them and their trees as loose objects. */
async function writeLoose(count: number): Promise<void> {
  const lines = [
    'commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\n',
  ];
  for (let index = 0; index < count; index++) {
    const data = content(index);
    lines.push(`M 100644 inline d${index % 40}/f${index}\ndata ${data.length}\n${data}\n`);
  }
  const input = lines.join('');
  await git(
    ['-c', 'fastimport.unpackLimit=1000000', '-c', 'core.fsync=none', 'fast-import', '--quiet'],
    {
      cwd: gitDir,
      input,
    },
  );
}

async function looseObjects(): Promise<string[]> {
  const found: string[] = [];
  for (const directory of await readdir(join(gitDir, 'objects'))) {
    if (!/^[0-9a-f]{2}$/.test(directory)) continue;
    for (const name of await readdir(join(gitDir, 'objects', directory)))
      found.push(directory + name);
  }
  return found;
}

async function packs(): Promise<string[]> {
  const names = await readdir(join(gitDir, 'objects/pack'));
  return names.filter((name) => name.endsWith('.pack'));
}

test(`packs ${looseCount} loose objects while others read and write, and loses nothing`, async () => {
  await writeLoose(looseCount);
  const big = Buffer.alloc(3_000_000, 'big ');
  const unreachable = (
    await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: big })
  ).trim();
  const before = await looseObjects();
  expect(before.length).toBeGreaterThan(looseCount);

  let isPacked = false;
  let rounds = 0;
  const untilPacked = async (work: (round: number) => Promise<void>): Promise<void> => {
    for (let round = 0; !isPacked || round < 3; round++) {
      await work(round);
      rounds += 1;
      // Starting programs without a break would leave the packing hardly a turn where that is slow.
      await pause(50);
    }
  };
  const others = [await GitStore.open(gitDir), await GitStore.open(gitDir)];
  const [reader, writer] = others as [GitStore, GitStore];
  const written: string[] = [];
  const snapshot = await reader.branches.get('main');
  await writer.branches.set('ours', snapshot);
  const packing = store.pack().finally(() => (isPacked = true));
  const [count] = await Promise.all([
    packing,
    untilPacked(async (round) => {
      const index = (round * 37) % looseCount;
      expect(await snapshot.readText(`d${index % 40}/f${index}`)).toBe(content(index));
    }),
    untilPacked(async (round) => {
      // What is written again is there already, loose or packed, and is relied on.
      const branch = await writer.branches.get('ours');
      await branch.writeText(`copy/${round}`, content(round % looseCount));
    }),
    untilPacked(async (round) => {
      const input = content(round % looseCount);
      const blob = (await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input })).trim();
      const fresh = await git(['hash-object', '-w', '--stdin'], {
        cwd: gitDir,
        input: `git ${round}`,
      });
      written.push(blob, fresh.trim());
      const entries = `100644 blob ${blob}\told\n100644 blob ${fresh.trim()}\tnew\n`;
      const tree = (await git(['mktree'], { cwd: gitDir, input: entries })).trim();
      const commit = (await git(['commit-tree', '-m', 'x', tree], { cwd: gitDir })).trim();
      await git(['update-ref', 'refs/heads/git', commit], { cwd: gitDir });
    }),
    untilPacked(async () => {
      await git(['rev-list', '--objects', '--quiet', 'main'], { cwd: gitDir });
    }),
  ]);
  expect(rounds).toBeGreaterThan(12);

  expect(count).toBeGreaterThanOrEqual(before.length);
  const left = new Set(await looseObjects());
  expect(before.filter((oid) => left.has(oid))).toEqual([]);
  const wanted = [...before, ...written].join('\n');
  const checked = await git(['cat-file', '--batch-check'], { cwd: gitDir, input: wanted });
  expect(checked).not.toContain('missing');
  expect((await store.readByHash(unreachable)).equals(big)).toBe(true);
  const after = await store.branches.get('ours');
  expect((await after.ls('copy')).length).toBeGreaterThanOrEqual(3);
  for (const other of others) await other.close();
  expect(await packs()).toHaveLength(1);
});

describe('pack', () => {
  test('says what it does, and does nothing where nothing is loose', async () => {
    await writeLoose(30);
    const before = await looseObjects();
    const seen: MaintenanceProgress[] = [];
    expect(await store.pack({ progress: (progress) => seen.push(progress) })).toBe(before.length);
    expect(seen.at(-1)?.bytes).toBeGreaterThan(2000);
    expect(seen.at(-1)).toMatchObject({
      phase: 'removing loose objects',
      loaded: before.length,
      total: before.length,
    });
    expect(seen.filter(({ phase }) => phase === 'packing')).toHaveLength(before.length);
    expect(await looseObjects()).toEqual([]);
    expect(await store.pack()).toBe(0);
    expect(await packs()).toHaveLength(1);
    const main = await store.branches.get('main');
    await main.writeText('later', 'x');
    expect(await store.pack()).toBe(3);
    expect(await packs()).toHaveLength(2);
  });

  test.each(['packing', 'removing loose objects'])(
    'ends when it is told to while %s',
    async (phase) => {
      await writeLoose(600);
      const before = await looseObjects();
      const controller = new AbortController();
      const progress = (at: MaintenanceProgress): void => {
        if (at.phase === phase && at.loaded > 100) controller.abort(new Error('enough'));
      };
      await expect(store.pack({ progress, signal: controller.signal })).rejects.toThrow('enough');
      const left = await looseObjects();
      if (phase === 'packing') expect([await packs(), left]).toEqual([[], before]);
      else expect(left.length).toBeGreaterThan(0);
      const checked = await git(['cat-file', '--batch-check'], {
        cwd: gitDir,
        input: before.join('\n'),
      });
      expect(checked).not.toContain('missing');
    },
  );

  test('takes a damaged object for a reason to change nothing', async () => {
    await writeLoose(20);
    const oid = (await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: 'one' })).trim();
    const other = (
      await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: 'two' })
    ).trim();
    const path = (of: string): string => join(gitDir, 'objects', of.slice(0, 2), of.slice(2));
    const good = await readFile(path(oid));
    const before = await looseObjects();
    await chmod(path(oid), 0o644);
    for (const bad of [await readFile(path(other)), good.subarray(0, 5), Buffer.alloc(0)]) {
      await writeFile(path(oid), bad);
      const error = await store.pack().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(CorruptObjectError);
      expect(error).toHaveProperty('oid', oid);
      expect(await looseObjects()).toEqual(before);
    }
    await writeFile(path(oid), good);
  });

  test('packs a repository of SHA-256', async () => {
    await store.close();
    gitDir = join(await temporaryDirectory(), 'sha256.git');
    await git(['init', '-q', '--bare', '--object-format=sha256', gitDir]);
    store = await GitStore.open(gitDir);
    const from = (
      await git(['commit-tree', '-m', 'x', (await git(['mktree'], { cwd: gitDir })).trim()], {
        cwd: gitDir,
      })
    ).trim();
    await git(['update-ref', 'refs/heads/main', from], { cwd: gitDir });
    const main = await store.branches.get('main');
    await main.apply({ a: 'x', 'b/c': 'y' });
    const before = await looseObjects();
    expect(await store.pack()).toBe(before.length);
    expect(await looseObjects()).toEqual([]);
  });
});

async function idOfEndedProcess(): Promise<number> {
  const child = spawn('true');
  await once(child, 'exit');
  return child.pid ?? 0;
}

describe('gc', () => {
  test('removes what ended processes left behind, and nothing else', async () => {
    const dead = await idOfEndedProcess();
    const random = '0123456789ab';
    const old = [
      'pack/tmp_pack_Abc123',
      'pack/tmp_idx_Abc123',
      `pack/.tmp-${dead}-pack-1234.pack`,
      `pack/tmp_pack_vost_${dead}_${random}`,
      `pack/vost_idx_${dead}_${random}`,
      'aa/tmp_obj_Abc123',
      `ab/tmp_obj_${dead}_${random}`,
      'tmp_alternate',
    ];
    const kept = [
      `pack/tmp_pack_vost_${process.pid}_${random}`,
      `pack/.tmp-${process.pid}-pack-12.idx`,
    ];
    const young = [`pack/tmp_pack_vost_${dead}_${random.replace('0', '1')}`, 'aa/tmp_obj_Def456'];
    const keeps: [string, string][] = [
      ['pack/pack-1.keep', `vost ${dead} ${hostname()}\n`],
      ['pack/pack-2.keep', `vost ${process.pid} ${hostname()}\n`],
      ['pack/pack-3.keep', `vost ${dead} another.${hostname()}\n`],
      ['pack/pack-4.keep', ''],
    ];
    const objects = join(gitDir, 'objects');
    const put = async (name: string, text: string, ageHours: number): Promise<void> => {
      await mkdir(dirname(join(objects, name)), { recursive: true });
      await writeFile(join(objects, name), text);
      const time = Date.now() / 1000 - 3600 * ageHours;
      await utimes(join(objects, name), time, time);
    };
    for (const name of [...old, ...kept]) await put(name, 'x', 25);
    for (const name of young) await put(name, 'x', 23);
    for (const [name, text] of keeps) await put(name, text, 0);
    await store.gc();
    const left = (await readdir(objects, { recursive: true })).filter((name) =>
      /tmp|vost_|keep/.test(name),
    );
    expect(left.sort()).toEqual(
      [...kept, ...young, ...keeps.slice(1).map(([name]) => name)].sort(),
    );
    for (const name of left) await rm(join(objects, name));
  });

  test('packs, and has git write a commit-graph and an index over the packs', async () => {
    await writeLoose(50);
    const before = await looseObjects();
    expect(await store.gc()).toBe(before.length);
    await git(['commit-graph', 'verify'], { cwd: gitDir });
    await git(['multi-pack-index', 'verify'], { cwd: gitDir });
    const graph = await readFile(join(gitDir, 'objects/info/commit-graph'));
    expect(graph.includes('BIDX')).toBe(true);
    const main = await store.branches.get('main');
    expect(await main.readText('d7/f7')).toBe(content(7));
    expect(await store.gc()).toBe(0);
  });

  test('does without git where there is none', async () => {
    await writeLoose(50);
    const path = process.env['PATH'];
    process.env['PATH'] = await temporaryDirectory();
    try {
      expect(await store.gc()).toBeGreaterThan(50);
    } finally {
      process.env['PATH'] = path;
    }
    expect(await looseObjects()).toEqual([]);
  });

  test('leaves it to another process that writes the same', async () => {
    await writeLoose(5);
    await mkdir(join(gitDir, 'objects/info'), { recursive: true });
    const lock = join(gitDir, 'objects/info/commit-graph.lock');
    await writeFile(lock, '');
    expect(await store.gc()).toBeGreaterThan(5);
    await rm(lock);
  });
});
