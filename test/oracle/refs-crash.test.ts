import { spawn } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { parseRefName } from '../../src/git/refs/ref-name.ts';
import { RefStore } from '../../src/git/refs/ref-store.ts';
import { fsck, git } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const rounds = 4;

// Moves a branch, and renames another one to and fro between two names of which one is a directory
// in the other; prints what was acknowledged.
const script = `
  const [source, gitDir, round, ...oids] = process.argv.slice(1);
  const { RefStore } = await import(source + '/ref-store.ts');
  const { parseRefName } = await import(source + '/ref-name.ts');
  const refs = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always' });
  const identity = { name: 'A', email: 'a@example.com' };
  const [moved, one, two] = ['refs/heads/moved', 'refs/heads/r', 'refs/heads/r/s'].map(parseRefName);
  for (let step = 0; ; step++) {
    const message = 'round ' + round + ' step ' + step;
    const oid = (await refs.resolve(moved))?.oid === oids[0] ? oids[1] : oids[0];
    await refs.update({ name: moved, oid, message, identity });
    console.log(message);
    const [from, to] = (await refs.read(one)) ? [one, two] : [two, one];
    await refs.rename(from, to, { message, identity });
  }`;

test('a process that is killed at any moment loses no ref and no acknowledged line', async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  const run = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);
  await git(['init', '--quiet', '--bare', gitDir]);
  const tree = (await run('mktree')).trim();
  const oids: string[] = [];
  for (const message of ['one', 'two']) {
    oids.push((await run('commit-tree', tree, '-m', message)).trim());
  }
  const [moved, one, two] = ['refs/heads/moved', 'refs/heads/r', 'refs/heads/r/s'].map(
    parseRefName,
  );
  await run('update-ref', one!, oids[0]!);
  const refs = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always' });
  const acknowledged: string[] = [];

  for (let round = 0; round < rounds; round++) {
    const loader = join(import.meta.dirname, '../../scripts/typescript-loader.mjs');
    const source = join(import.meta.dirname, '../../src/git/refs');
    const child = spawn(
      process.execPath,
      [
        '--import',
        loader,
        '--input-type=module',
        '--eval',
        script,
        source,
        gitDir,
        String(round),
        ...oids,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const ended = new Promise<string | null>((resolve) =>
      child.once('close', (_, signal) => resolve(signal)),
    );
    let output = '';
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    while (output === '' && child.exitCode === null) await delay(5);
    await delay(50 + Math.random() * 300);
    child.kill('SIGKILL');
    expect(await ended, complaint).toBe('SIGKILL');
    acknowledged.push(...output.trim().split('\n'));

    const values = await Promise.all([refs.resolve(one!), refs.resolve(two!)]);
    expect(values.find((value) => value !== null)?.oid).toBe(oids[0]);
    expect(await refs.resolve(moved!)).not.toBeNull();
    const messages = (await refs.reflog(moved!)).map((record) => record.message);
    expect(messages).toEqual(expect.arrayContaining(acknowledged));
    // What the error about a stale lock tells people to do.
    for (const name of await readdir(gitDir, { recursive: true })) {
      if (name.endsWith('.lock') || name === 'packed-refs.new') await rm(join(gitDir, name));
    }
    if (values[0] !== null && values[1] !== null) {
      // Cut off in a rename: both are there, and either can be deleted.
      const identity = { name: 'A', email: 'a@example.com' };
      await refs.update({ name: one!, oid: null, message: 'tidy', identity });
    }
    await fsck(gitDir);
  }
  expect(acknowledged.length).toBeGreaterThan(rounds);
});
