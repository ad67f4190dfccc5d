/** A program that tests filesystems, and how it is driven. */
export interface Suite {
  readonly name: string;
  /** The program that has to be there, and the Debian package that has it. */
  readonly program: string;
  readonly package: string;
  /** What bash runs in an empty directory; exit codes 3 and 4 say that it cannot be done there. */
  readonly script: string;
  /** What it runs there once more after another mount: what was written has to be there still. */
  readonly again?: string;
  readonly timeoutSec: number;
  /** What the table shows of what it printed. */
  readonly figure: (output: string) => string;
  /** Why it cannot give the same as on a disk. */
  readonly differs?: string | undefined;
}

/** How a suite ended in one place. */
export type Outcome =
  | { readonly kind: 'passed'; readonly figure: string }
  | { readonly kind: 'skipped' | 'failed'; readonly reason: string };

/** A line of the table. */
export interface Row {
  readonly suite: Suite;
  readonly disk: Outcome;
  readonly mount: Outcome;
  /** What was wrong with the repository, the mount or its daemon afterwards. */
  readonly faults: readonly string[];
  readonly daemonPeakBytes: number;
}

/** What a row says in the end: a failure is what a disk does not show, and nothing explains. */
export function verdict({ suite, disk, mount, faults }: Row): { text: string; isFailure: boolean } {
  if (faults.length > 0) return { text: `FAILED: ${faults.join('; ')}`, isFailure: true };
  if (mount.kind === 'passed') return { text: 'passed', isFailure: false };
  const text = `${mount.kind}: ${mount.reason}`;
  if (mount.kind === disk.kind) return { text: `${text} (on the disk too)`, isFailure: false };
  if (suite.differs !== undefined) {
    return { text: `${text} (${suite.differs})`, isFailure: false };
  }
  return { text: `FAILED: ${text}`, isFailure: true };
}

/** The table as lines of Markdown. */
export function table(rows: readonly Row[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const columns = ['suite', 'mount', 'disk', 'daemon at most', ''];
  return [
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map((row) =>
      line([
        row.suite.name,
        shown(row.mount),
        shown(row.disk),
        `${(row.daemonPeakBytes / 1e6).toFixed(0)} MB`,
        verdict(row).text,
      ]),
    ),
  ].join('\n');
}

function shown(outcome: Outcome): string {
  return outcome.kind === 'passed' ? outcome.figure : outcome.kind;
}
