/** What the branches of a mount have done since it is there. */
export interface CommitCounts {
  /** Commits made. */
  commits: number;
  /** Commits that were begun again, on what others had made the branch meanwhile. */
  retries: number;
  /** Attempts that failed; each is tried again later. */
  failures: number;
  /** How often a branch took in what others had made of it. */
  reconciles: number;
}

/** Nothing was done yet. */
export function noCommits(): CommitCounts {
  return { commits: 0, retries: 0, failures: 0, reconciles: 0 };
}
