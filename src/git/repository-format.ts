import { UnsupportedRepositoryError } from '../errors.ts';
import type { ConfigEntry } from './config-parser.ts';
import { GitConfig } from './config.ts';
import type { HashAlgorithm } from './oid.ts';

// What git heeds in a repository of version 0, too; other extensions mean nothing there.
const sinceVersion0 = new Set(['noop', 'partialclone', 'preciousobjects', 'worktreeconfig']);
// What a repository of version 0 must not have: git refuses it, since it changes what is on disk.
const sinceVersion1 = new Set(['noop-v1', 'objectformat', 'compatobjectformat', 'refstorage']);
// Extensions that ask nothing of a program that only adds objects and moves refs.
const harmless = new Set([
  'noop',
  'noop-v1',
  'preciousobjects',
  'worktreeconfig',
  'relativeworktrees',
]);

/**
 * The hash function of a repository, from the variables of its own config file (those of files that
 * it includes do not count). An `UnsupportedRepositoryError` names what is not understood: see
 * Documentation/technical/repository-version.txt in git.
 */
export function algorithmOf(entries: readonly ConfigEntry[], path: string): HashAlgorithm {
  const config = new GitConfig(entries);
  const version = config.getInt('core.repositoryFormatVersion') ?? 0;
  if (version !== 0 && version !== 1) {
    throw unsupported(path, `its format has version ${version}, and only 0 and 1 are known`);
  }
  for (const { key } of entries) {
    if (!key.startsWith('extensions.')) continue;
    const name = key.slice('extensions.'.length);
    if (version === 0 && sinceVersion1.has(name)) {
      throw unsupported(path, `extension ${name} needs format version 1, and it has version 0`);
    }
    if (version === 0 && !sinceVersion0.has(name)) continue;
    checkExtension(name, config.get(key) ?? '', path);
  }
  // What git's own clones say, where the extension is not written.
  const promisor = entries.find(({ key }) => /^remote\..*\.promisor$/.test(key));
  if (promisor !== undefined && config.getBool(promisor.key) === true) {
    throw partialClone(path, promisor.key.slice('remote.'.length, -'.promisor'.length));
  }
  return config.get('extensions.objectFormat') === 'sha256' ? 'sha256' : 'sha1';
}

function checkExtension(name: string, value: string, path: string): void {
  if (harmless.has(name)) return;
  switch (name) {
    case 'objectformat':
      if (value === 'sha1' || value === 'sha256') return;
      throw unsupported(path, `its object format ${JSON.stringify(value)} is not known`);
    case 'refstorage':
      if (value === 'files') return;
      throw unsupported(
        path,
        `its refs are stored as ${JSON.stringify(value)}, and only "files" is known; ` +
          'git refs migrate --ref-format=files converts it',
      );
    case 'partialclone':
      throw partialClone(path, value);
    default:
      throw unsupported(path, `extension ${name} is not known`);
  }
}

function partialClone(path: string, remote: string): UnsupportedRepositoryError {
  return unsupported(
    path,
    `it is a partial clone (of ${JSON.stringify(remote)}), and lacks objects; ` +
      'clone it without a filter',
  );
}

function unsupported(path: string, why: string): UnsupportedRepositoryError {
  return new UnsupportedRepositoryError(`the repository at ${path} cannot be used: ${why}`, {
    path,
  });
}
