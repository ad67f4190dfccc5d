import { readdir } from 'node:fs/promises';
import {
  FileNotFoundError,
  GitNotFoundError,
  InvalidArgumentError,
  NotARepositoryError,
} from '../errors.ts';
import type { ByteString } from '../git/byte-string.ts';
import { textFromBytes } from '../git/byte-string.ts';
import { findGit } from '../git/git-cli.ts';
import { branchPrefix, headRef } from '../git/refs/ref-name.ts';
import { Repository } from '../git/repository.ts';
import { BundleSource, exportBundle } from './bundle.ts';
import { GitRemote } from './git-remote.ts';
import { HttpRemote } from './http-remote.ts';
import type { HttpService } from './http-session.ts';
import { LocalRemote, requireSameAlgorithm } from './local-remote.ts';
import { mirrorDiff, movesBetween } from './mirror-diff.ts';
import type { MirrorDiff } from './mirror-diff.ts';
import type { BackupOptions, RestoreOptions, TransferContext } from './mirror-options.ts';
import { bundlePath, parseMirrorUrl, withoutCredentials } from './mirror-url.ts';
import type { MirrorUrl } from './mirror-url.ts';
import { presentRefs, refsToSend, selectRefs } from './ref-selection.ts';
import type { PresentRefs } from './ref-selection.ts';
import type { ReceivedMove, Remote } from './remote.ts';

const noRefs: PresentRefs = { refs: new Map(), ends: new Map() };

/** See `GitStore.backup`. */
export async function backup(
  context: TransferContext,
  url: string,
  options: BackupOptions,
): Promise<MirrorDiff> {
  const { refs, squash = false, dryRun = false } = options;
  const bundle = bundlePath(url, options.format);
  if (bundle !== null) {
    const written = await exportBundle(dryRun ? null : bundle, { refs, squash }, context);
    return mirrorDiff(movesBetween(noRefs, written, { prune: false }));
  }
  if (squash) throw new InvalidArgumentError('only a bundle can be squashed');
  const wanted = await refsToSend(context.repository, refs);
  const mirror = parseMirrorUrl(url);
  const prune = refs === undefined;
  if (mirror.kind === 'local' && !(await prepareTarget(mirror.path, context, dryRun))) {
    return mirrorDiff(movesBetween(noRefs, wanted, { prune }));
  }
  const remote = await openRemote(mirror, 'git-receive-pack', context, options);
  try {
    const moves = await remote.withoutHidden(movesBetween(remote, wanted, { prune }));
    if (!dryRun && moves.length > 0) await remote.send(moves);
    return mirrorDiff(moves);
  } finally {
    await remote.close();
  }
}

/** See `GitStore.restore`. */
export async function restore(
  context: TransferContext,
  url: string,
  options: RestoreOptions,
): Promise<MirrorDiff> {
  const bundle = bundlePath(url, options.format);
  if (bundle !== null) return restoreBundle(context, bundle, options);
  const remote = await openRemote(parseMirrorUrl(url), 'git-upload-pack', context, options);
  return restoreFrom(remote, context, options);
}

/** See `GitStore.bundleImport`; with `dryRun` nothing moves. */
export async function restoreBundle(
  context: TransferContext,
  path: string,
  options: Pick<RestoreOptions, 'refs' | 'dryRun'>,
): Promise<MirrorDiff> {
  return restoreFrom(await BundleSource.open(path, context), context, options);
}

async function restoreFrom(
  source: Pick<Remote, 'refs' | 'receive' | 'close'>,
  { repository }: TransferContext,
  { refs, dryRun = false }: Pick<RestoreOptions, 'refs' | 'dryRun'>,
): Promise<MirrorDiff> {
  try {
    const wanted = selectRefs(source.refs, refs);
    const present = await presentRefs(repository);
    // As `git fetch` of refs/*:refs/* does, which leaves symbolic refs alone.
    const moves = movesBetween(present, wanted, { prune: false, follows: refs === undefined });
    const received = moves.filter((move): move is ReceivedMove => move.to !== null);
    if (!dryRun && received.length > 0) await source.receive(received);
    return mirrorDiff(moves);
  } finally {
    await source.close();
  }
}

async function openRemote(
  mirror: MirrorUrl,
  service: HttpService,
  context: TransferContext,
  { http, onAuth }: RestoreOptions,
): Promise<Remote> {
  const isOurHttp = mirror.kind === 'http' && (http !== undefined || onAuth !== undefined);
  if (mirror.kind === 'local') await checkLocal(mirror.path, context);
  if (!isOurHttp && (await findGit()) !== null) return GitRemote.open(mirror, context);
  if (mirror.kind === 'local') return LocalRemote.open(mirror.path, context);
  if (mirror.kind === 'http') {
    return HttpRemote.open(mirror.url, service, { ...context, http, onAuth });
  }
  throw new GitNotFoundError(
    `there is no git program on the PATH, which alone can reach ${withoutCredentials(mirror.url)}; ` +
      'without it, only http(s) urls, local paths and bundles can be used',
  );
}

/** Throws when a path holds no repository, or one that cannot take our objects. */
async function checkLocal(path: string, { repository }: TransferContext): Promise<void> {
  const other = await Repository.open(path);
  try {
    requireSameAlgorithm(other, repository, path);
  } finally {
    await other.close();
  }
}

/** Makes a bare repository at a path where nothing is; `false` when it was not made because of `dryRun`. */
async function prepareTarget(
  path: string,
  { repository }: TransferContext,
  dryRun: boolean,
): Promise<boolean> {
  if (!(await isVacant(path))) return true;
  if (dryRun) return false;
  const initialBranch = await currentBranch(repository);
  const { algorithm } = repository;
  const made = await Repository.create(path, { initialBranch, algorithm });
  await made.close();
  return true;
}

async function isVacant(path: string): Promise<boolean> {
  try {
    await (await Repository.open(path)).close();
    return false;
  } catch (error) {
    if (error instanceof FileNotFoundError) return true;
    if (!(error instanceof NotARepositoryError)) throw error;
    // An empty directory is as good as none.
    const entries = await readdir(path).catch(() => ['not a directory']);
    if (entries.length === 0) return true;
    throw error;
  }
}

async function currentBranch({ refs }: Repository): Promise<string | null> {
  const head = await refs.read(headRef);
  if (head?.kind !== 'symbolic' || !head.target.startsWith(branchPrefix)) return null;
  return textFromBytes(head.target.slice(branchPrefix.length) as ByteString);
}
