import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FileNotFoundError, GitCommandError, GitNotFoundError } from '../../../src/errors.ts';
import { findGit, runGit, streamGit } from '../../../src/git/git-cli.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

// A program called git that does what a test wants; gives the environment in which it is found.
async function pretendGit(script: string): Promise<{ PATH: string }> {
  const directory = await temporaryDirectory();
  const path = join(directory, 'git');
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
}

async function bareRepository(): Promise<string> {
  const gitDir = join(await temporaryDirectory(), 'a $(repo)');
  await runGit(['init', '--quiet', '--bare', '--', gitDir]);
  return gitDir;
}

async function* pieces(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) {
    await new Promise(setImmediate);
    yield Buffer.from(text);
  }
}

const timeoutMs = 20_000;

describe('runGit', () => {
  test('passes arguments and input as they are', async () => {
    const gitDir = await bareRepository();
    const args = ['hash-object', '-w', '--stdin'];
    const inputs = ['a $HOME\n', Buffer.from('a $HOME\n'), pieces('a $', 'HOME\n')];
    for (const input of inputs) {
      const { stdout } = await runGit(args, { gitDir, input, timeoutMs });
      const oid = stdout.toString().trim();
      const object = await runGit(['cat-file', 'blob', oid], { gitDir, timeoutMs });
      expect(object.stdout.toString()).toBe('a $HOME\n');
    }
    await expect(runGit(['cat-file', '\0'])).rejects.toThrow('NUL');
  });

  test('a failure says what git said, without arguments and passwords', async () => {
    const gitDir = await bareRepository();
    const error = await runGit(['-c', 'a.b=secret', 'cat-file', 'blob', 'nothing'], {
      gitDir,
    }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(GitCommandError);
    expect(error).toMatchObject({
      code: 'GIT_COMMAND_FAILED',
      exitCode: 128,
      signal: null,
      message: 'git cat-file failed (exit code 128): fatal: Not a valid object name nothing',
    });
    const env = await pretendGit('echo "no access to https://user:secret@host/x" >&2; exit 3');
    await expect(runGit(['fetch'], { env })).rejects.toThrow(
      'git fetch failed (exit code 3): no access to https://***@host/x',
    );
  });

  test('git knows nothing of a repository around this process, and never asks', async () => {
    const env = await pretendGit('echo "$GIT_DIR|$GIT_INDEX_FILE|$GIT_TERMINAL_PROMPT|$X|$HOME"');
    process.env['GIT_DIR'] = '/elsewhere';
    process.env['GIT_INDEX_FILE'] = '/elsewhere/index';
    try {
      const { stdout } = await runGit(['x'], { env: { ...env, X: 'given', HOME: undefined } });
      expect(stdout.toString()).toBe('||0|given|\n');
    } finally {
      delete process.env['GIT_DIR'];
      delete process.env['GIT_INDEX_FILE'];
    }
  });

  test('time and abortion end it', async () => {
    const env = await pretendGit('echo waiting >&2; exec sleep 30');
    await expect(runGit(['wait'], { env, timeoutMs: 100 })).rejects.toThrow(
      'git wait took longer than 100 ms: waiting',
    );
    const abort = new AbortController();
    const reason = new Error('enough');
    const waiting = runGit(['wait'], { env, signal: abort.signal });
    setTimeout(() => abort.abort(reason), 50);
    await expect(waiting).rejects.toMatchObject({ signal: 'SIGTERM', cause: reason });
    await expect(runGit(['wait'], { env, signal: abort.signal })).rejects.toThrow('was aborted');
  });

  test('input that breaks off ends it', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield* pieces('a');
      throw new Error('the disk is gone');
    }
    await expect(runGit(['hash-object', '--stdin'], { input: broken() })).rejects.toMatchObject({
      message: 'git hash-object could not be given its input',
      cause: { message: 'the disk is gone' },
    });
  });

  test('input that git does not want is no failure', async () => {
    const input = pieces(...Array.from({ length: 64 }, () => 'x'.repeat(65_536)));
    expect((await runGit(['version'], { input, timeoutMs })).stdout.toString()).toMatch(
      /^git version/,
    );
  });

  test('what is missing is named', async () => {
    const empty = await temporaryDirectory();
    await expect(runGit(['version'], { env: { PATH: empty } })).rejects.toThrow(GitNotFoundError);
    const cwd = join(empty, 'nothing');
    await expect(runGit(['version'], { cwd })).rejects.toThrow(FileNotFoundError);
  });
});

describe('streamGit', () => {
  test('streams both ways, and tells of progress', async () => {
    const env = await pretendGit('echo begun >&2; cat; echo over >&2');
    const told: string[] = [];
    const input = pieces(...Array.from({ length: 100 }, () => 'x'.repeat(10_000)));
    const run = streamGit(['cat'], { env, input, timeoutMs, onStderr: (text) => told.push(text) });
    let sizeBytes = 0;
    for await (const chunk of run.stdout) sizeBytes += chunk.length;
    expect(sizeBytes).toBe(1_000_000);
    expect(await run.done).toBe('begun\nover\n');
    expect(told.join('')).toBe('begun\nover\n');
  });

  test('the iteration fails when git does, and ends it when it is left', async () => {
    const failing = streamGit(['x'], { env: await pretendGit('echo part; exit 1') });
    const read = async (): Promise<string> => {
      let text = '';
      for await (const chunk of failing.stdout) text += chunk.toString();
      return text;
    };
    await expect(read()).rejects.toThrow('git x failed (exit code 1)');
    const endless = streamGit(['y'], {
      env: await pretendGit('echo part; exec sleep 30'),
      timeoutMs,
    });
    await expect(
      (async () => {
        for await (const chunk of endless.stdout)
          if (chunk.length > 0) throw new Error('seen enough');
      })(),
    ).rejects.toThrow('seen enough');
    await expect(endless.done).rejects.toThrow('git y was not listened to any more');
  });
});

test('findGit looks along the PATH for a program', async () => {
  const env = await pretendGit('exit 0');
  const other = await temporaryDirectory();
  await mkdir(join(other, 'git'));
  expect(await findGit({ PATH: `relative:${other}:/nonexistent:${env.PATH}` })).toBe(
    join(env.PATH.split(':')[0] ?? '', 'git'),
  );
  expect(await findGit({ PATH: other })).toBeNull();
});
