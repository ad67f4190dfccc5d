import { normalizePath } from './path.ts';

/** What one source of a copy names, under rsync's rules. */
export interface SourcePath {
  /** The path of the file or directory in its one form; `''` is the root. */
  readonly path: string;
  /** Whether what is in the directory is meant, instead of the directory itself. */
  readonly contents: boolean;
  /** What follows a `/./` pivot, to be kept below the destination; `null` without a pivot. */
  readonly kept: string | null;
}

/**
 * Takes apart a source: `dir` is the directory, `dir/` and `dir/.` what is in it, `''` and `/` all
 * that the root holds; after a pivot, as in `base/./a/b`, the rest of the path (`a/b`) is kept.
 */
export function parseSource(source: string): SourcePath {
  const text = source.replaceAll('\\', '/');
  const path = normalizePath(text);
  const contents = path === '' || /(?:^|\/)\.?$/.test(text);
  const pivot = text.indexOf('/./');
  const rest = pivot < 0 ? '' : normalizePath(text.slice(pivot + 3));
  return { path, contents, kept: pivot < 0 ? null : rest };
}

/** The sources that a caller gave: one text, or a list. */
export function sourceList(sources: string | readonly string[]): readonly string[] {
  return typeof sources === 'string' ? [sources] : sources;
}
