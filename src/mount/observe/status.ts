/** What status.json says about one branch that is open on the mount. */
export interface BranchStatus {
  /** The short name, as text: `main`, `feature/x`. */
  readonly name: string;
  /** The commit that the branch points at; `null` before its first. */
  readonly tip: string | null;
  /** Files, links and directories changed since that commit. */
  readonly stagedFiles: number;
  /** Bytes of content that wait for a commit. */
  readonly stagedBytes: number;
  /** The last commit that this mount made on the branch. */
  readonly lastCommit: { readonly oid: string; readonly time: string } | null;
  /** Why the last commit failed; `null` when it did not. */
  readonly lastError: { readonly message: string; readonly time: string } | null;
  /** Paths that were changed here and outside at once, the newest first; the mount's content won. */
  readonly conflicts: readonly string[];
}
