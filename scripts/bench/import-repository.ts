import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Makes a bare repository of commands for `git fast-import`, packed, with what `finish` adds. One that
 * is there and complete is left as it is.
 */
export async function importRepository(
  gitDir: string,
  commands: Iterable<string>,
  finish: () => void = () => undefined,
): Promise<void> {
  if (existsSync(join(gitDir, 'complete'))) return;
  rmSync(gitDir, { recursive: true, force: true });
  mkdirSync(dirname(gitDir), { recursive: true });
  git(['init', '--quiet', '--bare', '--initial-branch=main', gitDir]);
  const importer = spawn('git', ['--git-dir', gitDir, 'fast-import', '--quiet'], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const ended = once(importer, 'close') as Promise<[number | null]>;
  let pending = '';
  for (const part of commands) {
    pending += part;
    if (pending.length < 65_536) continue;
    if (!importer.stdin.write(pending)) await once(importer.stdin, 'drain');
    pending = '';
  }
  importer.stdin.end(pending);
  if ((await ended)[0] !== 0) throw new Error('git fast-import failed');
  git(['--git-dir', gitDir, 'repack', '-adq']);
  git(['--git-dir', gitDir, 'pack-refs', '--all']);
  finish();
  writeFileSync(join(gitDir, 'complete'), '');
}

function git(args: readonly string[]): void {
  execFileSync('git', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
