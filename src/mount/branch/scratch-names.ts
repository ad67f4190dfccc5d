import { bytesFromText } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';

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

/** Names that live for the session only: they are never committed, until renamed to another name. */
export class ScratchNames {
  readonly #pattern: RegExp;

  /** In a pattern `*` stands for any bytes and `?` for one; it is compared with a name, not with a path. */
  constructor(patterns: readonly string[] = defaultScratchPatterns) {
    this.#pattern = new RegExp(`^(?:${patterns.map(patternSource).join('|')})$`, 's');
    this.#isEmpty = patterns.length === 0;
  }

  readonly #isEmpty: boolean;

  has(name: ByteString): boolean {
    return !this.#isEmpty && this.#pattern.test(name);
  }
}

function patternSource(pattern: string): string {
  return bytesFromText(pattern)
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
}
