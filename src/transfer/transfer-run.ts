import { GitStoreError } from '../errors.ts';
import { bytesFromText, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import type { ChangeError } from '../snapshot/change-report.ts';
import type { TransferOptions, TransferProgress } from './transfer-options.ts';

/** What one copy keeps account of: what failed, how far it came, and whether it is to end. */
export class TransferRun {
  readonly #options: TransferOptions;
  readonly #errors: ChangeError[] = [];
  readonly #warnings: ChangeError[] = [];
  #files = 0;
  #bytes = 0;

  constructor(options: TransferOptions) {
    this.#options = options;
  }

  /** The failures that the copy went on after, in the order of their paths. */
  get errors(): ChangeError[] {
    return this.#errors.toSorted(byPath);
  }

  /** What was left out on purpose, in the order of the paths. */
  get warnings(): ChangeError[] {
    return this.#warnings.toSorted(byPath);
  }

  /** Whether something failed that the copy went on after. */
  get hasFailed(): boolean {
    return this.#errors.length > 0;
  }

  /**
   * Does the work on one path. A failure of it is noted, and gives `undefined`, when errors are to be
   * ignored; a fault of the program or the caller's wish to end never is.
   */
  async attempt<Result>(
    path: ByteString,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    this.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (this.#options.ignoreErrors !== true || !isFailure(error)) throw error;
      this.#errors.push({ path: textFromBytes(path), error: error.message });
      return undefined;
    }
  }

  /** Throws the reason of the caller's signal when that says to end. */
  throwIfAborted(): void {
    this.#options.signal?.throwIfAborted();
  }

  /** Notes something that is left out. */
  warn(path: ByteString, warning: string): void {
    this.#warnings.push({ path: textFromBytes(path), error: warning });
  }

  /** Notes that a file is dealt with. */
  advance(path: ByteString, sizeBytes: number): void {
    this.#files += 1;
    this.#bytes += sizeBytes;
    if (this.#options.progress === undefined) return;
    const progress: TransferProgress = {
      files: this.#files,
      bytes: this.#bytes,
      path: textFromBytes(path),
    };
    this.#options.progress(progress);
  }
}

/** Tells whether an error is one of the disk, or one that this library throws on purpose. */
function isFailure(error: unknown): error is Error {
  return error instanceof GitStoreError || (error instanceof Error && 'syscall' in error);
}

/** Puts the lines of a report into the order of their paths as bytes. */
export function byPath(one: { readonly path: string }, other: { readonly path: string }): number {
  const [a, b] = [bytesFromText(one.path), bytesFromText(other.path)];
  return a < b ? -1 : a > b ? 1 : 0;
}
