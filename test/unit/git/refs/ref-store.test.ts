import { readlinkSync } from 'node:fs';
import { readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  InvalidArgumentError,
  InvalidRefNameError,
  RefChangedError,
  RefLockedError,
} from '../../../../src/errors.ts';
import type { OpenFile } from '../../../../src/git/open-file.ts';
import { parseOid, zeroOid, type Oid } from '../../../../src/git/oid.ts';
import { headRef, parseRefName, type RefName } from '../../../../src/git/refs/ref-name.ts';
import { RefStore } from '../../../../src/git/refs/ref-store.ts';
import { git } from '../../../helpers/git.ts';
import { openFileMethods, originalOf } from '../../../helpers/staging.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

// RefStore does not look at objects, so any ids will do.
const [a, b] = [parseOid('a'.repeat(40)), parseOid('b'.repeat(40))];
const main = parseRefName('refs/heads/main');
const topic = parseRefName('refs/heads/topic');
const change = { message: 'moved', identity: { name: 'A', email: 'a@example.com' } };

let gitDir = '';
let refs: RefStore;

beforeEach(async () => {
  gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '--quiet', '--bare', gitDir]);
  const timeouts = { lockTimeoutMs: 150, packedRefsTimeoutMs: 150 };
  refs = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always', ...timeouts });
});

async function locks(): Promise<string[]> {
  return (await readdir(gitDir, { recursive: true })).filter((name) => name.endsWith('.lock'));
}

async function messages(name: RefName): Promise<string[]> {
  return (await refs.reflog(name)).map((record) => record.message);
}

describe('a stale lock', () => {
  test('blocks its ref alone, with an error that says what to do, and is not stolen', async () => {
    await refs.update({ name: topic, oid: a, ...change });
    const lock = join(gitDir, 'refs/heads/topic.lock');
    await writeFile(lock, '');
    for (const update of [
      refs.update({ name: topic, oid: b, ...change }),
      refs.update({ name: topic, oid: null, ...change }),
      refs.setSymbolic(topic, main, change),
      refs.rename(topic, parseRefName('refs/heads/other'), change),
    ]) {
      await expect(update).rejects.toThrow(RefLockedError);
      await expect(update).rejects.toThrow(`${lock} exists`);
      await expect(update).rejects.toThrow('remove that file and try again');
    }
    await refs.update({ name: main, oid: b, ...change });
    expect(await refs.resolve(topic)).toEqual({ name: topic, oid: a });
    expect(await locks()).toEqual(['refs/heads/topic.lock']);
    await rm(lock);
    await refs.update({ name: topic, oid: b, expected: a, ...change });
  });

  test('of HEAD blocks the branch that HEAD leads to', async () => {
    await writeFile(join(gitDir, 'HEAD.lock'), '');
    const update = refs.update({ name: main, oid: a, ...change });
    await expect(update).rejects.toThrow('HEAD.lock exists');
    expect(await refs.read(main)).toBeNull();
    expect(await messages(main)).toEqual([]);
    await refs.update({ name: topic, oid: a, ...change });
    expect(await locks()).toEqual(['HEAD.lock']);
  });

  test('of packed-refs blocks deletion, and the ref keeps its reflog', async () => {
    await refs.update({ name: topic, oid: a, ...change });
    await writeFile(join(gitDir, 'packed-refs.lock'), '');
    const update = refs.update({ name: topic, oid: null, ...change });
    await expect(update).rejects.toThrow('packed-refs.lock exists');
    await expect(refs.rename(topic, main, change)).rejects.toThrow('packed-refs.lock exists');
    expect(await refs.resolve(topic)).toEqual({ name: topic, oid: a });
    expect(await messages(topic)).toEqual(['moved']);
    expect(await locks()).toEqual(['packed-refs.lock']);
  });
});

test('a lock that is given up in time is waited for', async () => {
  const lock = join(gitDir, 'refs/heads/topic.lock');
  await writeFile(lock, '');
  const update = refs.update({ name: topic, oid: a, ...change });
  setTimeout(() => void rm(lock), 50);
  await update;
});

test('changes of one ref within a process wait for each other, however many', async () => {
  let current = a;
  await refs.update({ name: topic, oid: a, ...change });
  await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const oid = parseOid(index.toString(16).padStart(40, 'c'));
      const update = refs.update({ name: topic, oid, expected: current, ...change });
      current = oid;
      await update;
    }),
  );
  expect(await refs.resolve(topic)).toEqual({ name: topic, oid: current });
  const records = await refs.reflog(topic);
  expect(records).toHaveLength(201);
  for (const [index, record] of records.entries()) {
    expect(record.oldOid).toBe(index === 0 ? zeroOid('sha1') : records[index - 1]?.newOid);
  }
});

test('a failure does not hold up those who wait behind it', async () => {
  const wrong = refs.update({ name: topic, oid: a, expected: b, ...change });
  const right = refs.update({ name: topic, oid: a, expected: null, ...change });
  await expect(wrong).rejects.toThrow('does not exist, and was expected at');
  await right;
});

describe('a full disk', () => {
  test.each(['refs/heads/main', 'HEAD'])('at the reflog of %s leaves no trace', async (full) => {
    await refs.update({ name: main, oid: a, ...change });
    const before = await readFile(join(gitDir, 'logs/refs/heads/main'), 'utf8');
    const log = join(gitDir, 'logs', full);
    await rm(log);
    await symlink('/dev/full', log);
    const update = refs.update({ name: main, oid: b, ...change });
    await expect(update).rejects.toMatchObject({ code: 'ENOSPC' });
    await rm(log, { force: true });
    expect(await refs.resolve(main)).toEqual({ name: main, oid: a });
    if (full === 'HEAD') expect(await readFile(join(gitDir, 'logs', main), 'utf8')).toBe(before);
    expect(await locks()).toEqual([]);
    await refs.update({ name: main, oid: b, expected: a, ...change });
  });
});

test('nothing is written when the value is the same', async () => {
  await refs.update({ name: topic, oid: a, ...change });
  await refs.update({ name: topic, oid: a, expected: a, ...change });
  expect(await messages(topic)).toEqual(['moved']);
});

function storeThatSyncs(fsync: boolean): RefStore {
  return new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always', fsync });
}

test.each([true, false])('everything is done just the same, with fsync %s', async (fsync) => {
  const store = storeThatSyncs(fsync);
  const nested = parseRefName('refs/heads/x/y/z');
  await store.update({ name: nested, oid: a, expected: null, ...change });
  await store.rename(nested, topic, change);
  await store.setSymbolic(headRef, topic, change);
  expect(await store.resolve(headRef)).toEqual({ name: topic, oid: a });
  expect(await messages(topic)).toEqual(['moved', 'moved']);
  await store.update({ name: headRef, oid: null, expected: a, ...change });
  expect(await store.list('refs/')).toEqual([]);
});

test('the ref and its log are synced, and the names of those that are new', async () => {
  const synced: string[] = [];
  const sync = originalOf('sync');
  vi.spyOn(openFileMethods, 'sync').mockImplementation(function (this: OpenFile) {
    synced.push(relative(gitDir, readlinkSync(`/proc/self/fd/${this.fd}`)));
    return sync.call(this);
  });
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  const moved = async (from: Oid | null, oid: Oid): Promise<string[]> => {
    synced.length = 0;
    await refs.update({ name: topic, ...change, oid, expected: from });
    return synced.toSorted();
  };
  const each = ['logs/refs/heads/topic', 'refs/heads', 'refs/heads/topic.lock'];
  expect(await moved(null, a)).toEqual(
    expect.arrayContaining([...each, 'logs/refs/heads', 'logs']),
  );
  expect(await moved(a, b)).toEqual(each);
  // As `git reflog expire` does.
  const log = join(gitDir, 'logs/refs/heads/topic');
  await writeFile(`${log}.new`, await readFile(log));
  await rename(`${log}.new`, log);
  expect(await moved(b, a)).toEqual(['logs/refs/heads', ...each]);
  expect(await moved(a, b)).toEqual(each);
  expect(await messages(topic)).toHaveLength(4);
  synced.length = 0;
  await refs.rename(topic, parseRefName('refs/heads/other'), change);
  const logs = synced.filter((path) => path.startsWith('logs/refs/heads/'));
  expect(logs).toEqual(['logs/refs/heads/other']);
  synced.length = 0;
  await storeThatSyncs(false).update({ name: topic, ...change, oid: a });
  expect(synced).toEqual([]);
});

test('a ref is where it is to be, and locked, before it moves, and has moved afterwards', async () => {
  await refs.update({ name: topic, oid: a, ...change });
  const seen: unknown[] = [];
  const look = async (): Promise<void> => {
    seen.push((await refs.resolve(topic))?.oid, await locks());
  };
  const hooks = { beforeMove: look, afterMove: look };
  await refs.update({ name: topic, oid: b, expected: a, ...change, ...hooks });
  expect(seen).toEqual([a, ['refs/heads/topic.lock'], b, []]);
  const late = refs.update({ name: topic, oid: b, expected: a, ...change, ...hooks });
  await expect(late).rejects.toThrow(RefChangedError);
  expect(seen).toHaveLength(4);
  const refused = { ...hooks, beforeMove: () => Promise.reject(new RangeError('no')) };
  const update = refs.update({ name: topic, oid: a, expected: b, ...change, ...refused });
  await expect(update).rejects.toThrow('no');
  expect(seen).toHaveLength(4);
  expect(await messages(topic)).toHaveLength(2);
  expect(await locks()).toEqual([]);
});

test.each([true, false])('a ref that is not made gets no log, with fsync %s', async (fsync) => {
  const store = storeThatSyncs(fsync);
  const beforeMove = (): Promise<void> => Promise.reject(new RangeError('no'));
  const made = { name: topic, oid: a, expected: null, ...change, createReflog: true };
  await expect(store.update({ ...made, beforeMove })).rejects.toThrow('no');
  expect(await readdir(join(gitDir, 'logs/refs/heads')).catch(() => [])).toEqual([]);
  await store.update(made);
  const log = join(gitDir, 'logs/refs/heads/topic');
  const { mtimeMs } = await stat(log);
  await expect(store.update({ ...made, oid: b, expected: a, beforeMove })).rejects.toThrow('no');
  expect((await stat(log)).mtimeMs).toBe(mtimeMs);
  expect(await messages(topic)).toHaveLength(1);
  expect(await locks()).toEqual([]);
});

test('what cannot be stored is refused', async () => {
  for (const oid of [zeroOid('sha1'), parseOid('a'.repeat(64))]) {
    const update = refs.update({ name: topic, oid, ...change });
    await expect(update).rejects.toThrow(InvalidArgumentError);
  }
  await expect(refs.setSymbolic(headRef, parseRefName('ORIG_HEAD'), change)).rejects.toThrow(
    InvalidArgumentError,
  );
  const long = parseRefName(`refs/heads/${'x'.repeat(252)}`);
  await expect(refs.update({ name: long, oid: a, ...change })).rejects.toThrow(InvalidRefNameError);
  expect(await readdir(join(gitDir, 'refs/heads'))).toEqual([]);
});

test('list is sorted by bytes, and takes a prefix that ends anywhere', async () => {
  for (const name of ['b', 'a/b', 'a', 'a-b', 'ab'].filter((short) => short !== 'a')) {
    await refs.update({ name: parseRefName(`refs/heads/${name}`), oid: a, ...change });
  }
  const names = async (prefix: string): Promise<string[]> =>
    (await refs.list(prefix)).map(({ name }) => name.slice('refs/heads/'.length));
  expect(await names('refs/')).toEqual(['a-b', 'a/b', 'ab', 'b']);
  expect(await names('refs/heads/a')).toEqual(['a-b', 'a/b', 'ab']);
  expect(await names('refs/heads/a/')).toEqual(['a/b']);
  expect(await names('refs/tags/')).toEqual([]);
});
