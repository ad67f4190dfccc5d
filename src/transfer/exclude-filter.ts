import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { FileNotFoundError, IsADirectoryError } from '../errors.ts';
import { bufferFromByteString, bytesFromText } from '../git/byte-string.ts';
import { localError } from '../git/local-error.ts';
import { isNothingThere } from '../git/system-error.ts';

/** What an `ExcludeFilter` starts with. */
export interface ExcludeFilterOptions {
  /** Patterns in gitignore form; they outrank what files say. */
  readonly patterns?: readonly string[];
  /** A file of such patterns, read at once. */
  readonly excludeFrom?: string;
  /** Honour the `.gitignore` files of the directories that are entered. */
  readonly gitignore?: boolean;
}

/**
 * Decides which files a copy from disk leaves out, by gitignore's rules (gitignore(5)): the last
 * pattern that matches wins, `!` takes back, and nothing below an excluded directory can be taken
 * back. Patterns given by the caller outrank `.gitignore` files, and a deeper `.gitignore` outranks
 * one above it. Paths are relative to the root of the walk, with `/` between names.
 */
export class ExcludeFilter {
  readonly #gitignore: boolean;
  // Patterns and paths are compared as bytes, as git does: `?` is one byte, not one letter.
  #patterns: readonly string[] = [];
  #base: Ignore = matcher([]);
  /** The rules found in each entered directory, rewritten so that they count from the root. */
  readonly #rules = new Map<string, readonly string[]>();
  /** Rules that take single directories back. */
  #admitted: readonly string[] = [];
  /** What decides below a directory that has rules: those above it, its own, then the caller's. */
  readonly #matchers = new Map<string, Ignore>();

  constructor(options: ExcludeFilterOptions = {}) {
    this.#gitignore = options.gitignore ?? false;
    if (options.patterns !== undefined) this.addPatterns(options.patterns);
    if (options.excludeFrom !== undefined) this.loadFromFile(options.excludeFrom);
  }

  /** True when anything could be excluded. */
  get active(): boolean {
    return this.#gitignore || this.#patterns.length > 0;
  }

  /** Adds patterns after those that are there; later ones outrank earlier ones. */
  addPatterns(patterns: Iterable<string>): void {
    this.#addBytePatterns([...patterns].map((pattern) => bytesFromText(pattern)));
  }

  #addBytePatterns(patterns: readonly string[]): void {
    this.#patterns = [...this.#patterns, ...patterns];
    this.#base = matcher(this.#patterns);
    this.#matchers.clear();
  }

  /** Adds the patterns of a file, one a line. A missing file is a `FileNotFoundError`. */
  loadFromFile(path: string): void {
    const lines = readPatternLines(path);
    if (lines === null) {
      throw new FileNotFoundError(`no such file of exclude patterns: ${path}`, { path });
    }
    this.#addBytePatterns(lines);
  }

  /** Judges a path by the caller's patterns alone. */
  isExcluded(rel: string, isDir = false): boolean {
    return excludes(this.#base, trimSlashes(bytesFromText(rel)), isDir);
  }

  /**
   * Takes in the `.gitignore` of a directory, when the filter honours them and there is one. To be
   * called for each directory from the root (`relDir` empty) downwards, before its entries are judged.
   */
  enterDirectory(absDir: string, relDir: string): void {
    if (!this.#gitignore) return;
    const directory = trimSlashes(bytesFromText(relDir));
    const lines = rulesOfDirectory(absDir);
    if (lines === null) this.#rules.delete(directory);
    else this.#rules.set(directory, rulesFromRoot(lines, directory));
    this.#matchers.clear();
  }

  /**
   * Takes a directory back in for the rest of the walk, whatever excludes it, so that what is in it is
   * judged by itself.
   */
  admitDirectory(relDir: string): void {
    this.#admitted = [...this.#admitted, `!${rooted(trimSlashes(bytesFromText(relDir)))}/`];
    this.#matchers.clear();
  }

  /** Forgets the directories that were entered or admitted, so that another walk can begin. */
  leaveDirectories(): void {
    this.#rules.clear();
    this.#admitted = [];
    this.#matchers.clear();
  }

  /** Judges a path by the caller's patterns and by every `.gitignore` above it that was entered. */
  isExcludedInWalk(rel: string, isDir = false): boolean {
    const path = trimSlashes(bytesFromText(rel));
    return excludes(this.#matcherFor(parentOf(path)), path, isDir);
  }

  #matcherFor(directory: string): Ignore {
    let nearest = directory;
    while (nearest !== '' && !this.#rules.has(nearest)) nearest = parentOf(nearest);
    const known = this.#matchers.get(nearest);
    if (known !== undefined) return known;
    const rules: (readonly string[])[] = [this.#patterns];
    for (let at = nearest; ; at = parentOf(at)) {
      rules.unshift(this.#rules.get(at) ?? []);
      if (at === '') break;
    }
    const made = matcher([...rules.flat(), ...this.#admitted]);
    this.#matchers.set(nearest, made);
    return made;
  }
}

function matcher(patterns: readonly string[]): Ignore {
  // Git compares names byte by byte unless core.ignoreCase says otherwise; the package does not.
  return ignore({ ignorecase: false, allowRelativePaths: true }).add([...patterns]);
}

function excludes(rules: Ignore, path: string, isDir: boolean): boolean {
  return path !== '' && rules.ignores(isDir ? `${path}/` : path);
}

/** The lines of a pattern file as git splits them (no byte order mark, CRLF allowed); null when missing. */
function readPatternLines(path: string): string[] | null {
  let bytes: string;
  try {
    bytes = readFileSync(bufferFromByteString(bytesFromText(path)), 'latin1');
  } catch (error) {
    if (isNothingThere(error)) return null;
    throw localError(path, error);
  }
  return bytes.replace(/^\xef\xbb\xbf/, '').split(/\r?\n/);
}

/** What its `.gitignore` says; a directory of that name says nothing, as for git. */
function rulesOfDirectory(directory: string): string[] | null {
  try {
    return readPatternLines(join(directory, '.gitignore'));
  } catch (error) {
    if (error instanceof IsADirectoryError) return null;
    throw error;
  }
}

/** Rewrites the rules of a directory's `.gitignore` so that they mean the same from the root. */
function rulesFromRoot(lines: readonly string[], directory: string): string[] {
  if (directory === '') return [...lines];
  const prefix = rooted(directory);
  const rules: string[] = [];
  for (const line of lines) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const negated = line.startsWith('!');
    const pattern = negated ? line.slice(1) : line;
    // As git does: what compares with no name takes nothing out and nothing back.
    if (/^\/* *$/.test(pattern)) continue;
    // A slash before the end ties a pattern to its directory; without one it matches at any depth.
    const tied = /\/(?! *$)/.test(pattern);
    const below = tied ? pattern.replace(/^\//, '') : `**/${pattern}`;
    rules.push(`${negated ? '!' : ''}${prefix}/${below}`);
  }
  return rules;
}

/** A pattern that matches this path alone. */
function rooted(path: string): string {
  return `/${path.replace(/[\\*?[\]! #]/g, '\\$&')}`;
}

function trimSlashes(path: string): string {
  return path.replace(/^(?:\.?\/)+|\/+$/g, '');
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}
