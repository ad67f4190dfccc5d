import { GitStoreError } from '../../errors.ts';
import { textFromBytes } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import type { Log } from '../observe/log.ts';
import { errnoNameOf, errnoNumber } from './errno.ts';

/** The same error is told once in this time, whatever asks for it again and again. */
const quietMs = 60_000;
/** How many errors are remembered for that; beyond it they are told anew. */
const rememberedLimit = 1000;

/** Turns errors into the numbers that answer them, and tells the log what somebody should look at. */
export class ErrorReport {
  readonly #log: Log;
  readonly #toldMs = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * The number (positive) that answers an error. Damage in the repository is told with its object,
   * an error that nobody foresaw is EIO and told with its stack; both are told once a minute.
   */
  errnoOf(error: unknown, operation: string): number {
    const name = errnoNameOf(error);
    if (name === undefined) this.#unforeseen(error, operation);
    else if (name === 'EIO') this.#damage(error, operation);
    return errnoNumber(name ?? 'EIO');
  }

  /** Tells of a name that the repository holds and the mount does not show. */
  nameTooLong(name: ByteString): void {
    if (this.#isNews(name)) this.#log.warn('name-too-long', { name: textFromBytes(name) });
  }

  #unforeseen(error: unknown, operation: string): void {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    if (!this.#isNews(`${operation} ${message}`)) return;
    this.#log.error('unexpected-error', { operation, message, stack });
  }

  #damage(error: unknown, operation: string): void {
    const { oid, path } = error instanceof GitStoreError ? error : {};
    const message = error instanceof Error ? error.message : String(error);
    if (!this.#isNews(oid ?? message)) return;
    const event = oid === undefined ? 'input-output-error' : 'damaged-object';
    this.#log.error(event, { operation, oid, path, message });
  }

  #isNews(key: string): boolean {
    const nowMs = performance.now();
    const toldMs = this.#toldMs.get(key);
    if (toldMs !== undefined && nowMs - toldMs < quietMs) return false;
    if (this.#toldMs.size >= rememberedLimit) this.#toldMs.clear();
    this.#toldMs.set(key, nowMs);
    return true;
  }
}
