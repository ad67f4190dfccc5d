import { bytesFromText } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { repositoryName } from '../../git/forbidden-name.ts';

/**
 * What editors and network filesystems call their swap, backup and lock files: vim (`.name.swp`,
 * `4913`), emacs (`#name#`, `.#name`), most others (`name~`), GLib, Kate, NFS and libfuse.
 */
export const defaultScratchPatterns: readonly string[] = [
  '.*.sw?',
  '.*.sw??',
  '4913',
  '*~',
  '#*#',
  '.#*',
  '.goutputstream-*',
  '.*.kate-swp',
  '.nfs*',
  '.fuse_hidden*',
];

/**
 * The repository of a working tree that somebody has made in a branch. Git can store no entry of
 * this name, and yet `git init` and `git clone` have to work; so it lives for the session only.
 */
export const nestedRepositoryName: ByteString = repositoryName;

/**
 * Names that live for the session only: they are never committed, until renamed to another name.
 * What is below them is not committed either.
 */
export class ScratchNames {
  readonly #pattern: RegExp;

  /** In a pattern `*` stands for any bytes and `?` for one; it is compared with a name, not with a path. */
  constructor(patterns: readonly string[] = defaultScratchPatterns) {
    const sources = [nestedRepositoryName, ...patterns].map(patternSource);
    this.#pattern = new RegExp(`^(?:${sources.join('|')})$`, 's');
  }

  has(name: ByteString): boolean {
    return this.#pattern.test(name);
  }
}

function patternSource(pattern: string): string {
  return bytesFromText(pattern)
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
}
