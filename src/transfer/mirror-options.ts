import type { Identity } from '../git/object.ts';
import type { Repository } from '../git/repository.ts';
import type { AuthCallback, HttpClient } from './http-client.ts';

/** How far a transfer has come. */
export interface MirrorProgress {
  /** What is being done, in words. */
  readonly phase: string;
  /** Objects that are dealt with, of `total`. */
  readonly loaded: number;
  /** Left out where it is not known. */
  readonly total?: number;
  /** How much was sent or received in this phase so far; left out where that is not known. */
  readonly bytes?: number;
}

/** Which refs are transferred: names, or from names to other names; short (`main`, `v1`) or full. */
export type RefSelection = readonly string[] | Readonly<Record<string, string>>;

/** What every transfer takes. */
export interface MirrorOptions {
  /** Default: all refs. One that is not there is a `KeyNotFoundError`. */
  refs?: RefSelection | undefined;
  /** Told how far it has come. An error that it throws is not caught. */
  progress?: ((progress: MirrorProgress) => void) | undefined;
  /** Ends the transfer; refs stay as they are. */
  signal?: AbortSignal | undefined;
}

/** How a bundle is written. */
export interface BundleExportOptions extends MirrorOptions {
  /** Each ref gets one commit without parents, of the same tree. Default `false`. */
  squash?: boolean | undefined;
}

/** How refs are fetched from a mirror. */
export interface RestoreOptions extends MirrorOptions {
  /** Only tell what would change. Default `false`. */
  dryRun?: boolean | undefined;
  /** `bundle` takes the url for the path of a bundle, whatever it ends in. */
  format?: 'bundle' | null | undefined;
  /** An HTTP client as for isomorphic-git. With it, or `onAuth`, http(s) does not go through git. */
  http?: HttpClient | undefined;
  /** Asked for credentials when an http(s) server wants some, as by isomorphic-git. */
  onAuth?: AuthCallback | undefined;
}

/** How refs are sent to a mirror. */
export interface BackupOptions extends RestoreOptions {
  /** As for `bundleExport`; only where a bundle is written. */
  squash?: boolean | undefined;
}

/** What a transfer works with. */
export interface TransferContext extends Pick<MirrorOptions, 'progress' | 'signal'> {
  readonly repository: Repository;
  /** Who stands in the reflogs. */
  readonly identity: Identity;
}
