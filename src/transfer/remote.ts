import type { Oid } from '../git/oid.ts';
import type { RefMove } from './mirror-diff.ts';
import type { PresentRefs } from './ref-selection.ts';

/** A ref here that is to hold what the other side has. */
export type ReceivedMove = RefMove & { readonly to: Oid };

/** The other side of a transfer, connected to, with its refs; which are symbolic is not always known. */
export interface Remote extends PresentRefs {
  /**
   * The moves without the deletions of refs that the other side hides from who pushes
   * (`receive.hideRefs`): those are its own, and it would refuse.
   */
  withoutHidden(moves: readonly RefMove[]): Promise<readonly RefMove[]>;
  /**
   * Sends what its refs need and moves them: all of them or none, where the other side can do that.
   * Refs that need the place of others follow in a second step.
   */
  send(moves: readonly RefMove[]): Promise<void>;
  /** Fetches what refs here need and moves them, all or none. */
  receive(moves: readonly ReceivedMove[]): Promise<void>;
  /** Lets go of it. */
  close(): Promise<void>;
}
