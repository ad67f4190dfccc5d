import type { Readable } from 'node:stream';
import type { FS } from '../snapshot/fs.ts';
import type { CommitOptions } from '../snapshot/write-options.ts';
import { archiveFormat } from './archive-format.ts';
import type { ArchiveFormatName } from './archive-format.ts';
import { ArchiveIntake } from './archive-intake.ts';
import { ArchiveBudget } from './archive-limits.ts';
import type { ArchiveLimits } from './archive-limits.ts';
import { counting } from './archive-progress.ts';
import { readArchive } from './archive-source.ts';
import type { TransferProgress } from './transfer-options.ts';

/** How an archive is taken into a snapshot. */
export interface ArchiveInOptions extends CommitOptions, ArchiveLimits {
  /** What the name of the file says by default; a stream needs it. */
  format?: ArchiveFormatName | undefined;
  /** Called after each file and link. An error that it throws ends it, and nothing is committed. */
  progress?: ((progress: TransferProgress) => void) | undefined;
  /** Ends it, with the signal's reason; then nothing is committed. */
  signal?: AbortSignal | undefined;
}

/**
 * Writes all files and symbolic links of an archive into a snapshot, from its root on, in one commit;
 * what stands there otherwise stays. `source` is the path of a local file or a stream; formats as for
 * `archiveOut`. A zip file that comes as a stream is kept in a temporary file, for its directory is at
 * its end. Devices and FIFOs are left out, each with a line in `changes.warnings`.
 *
 * Nothing is committed when anything is wrong: an `InvalidPathError` for paths that are absolute, hold
 * `..` or a name that git forbids; an `InvalidArchiveError` for an archive that is truncated or
 * damaged, has a path twice, or an entry below a link; an `ArchiveLimitError` for one that holds more
 * than it may; else as for other writes. Links are stored as they are and never followed.
 */
export async function archiveIn(
  fs: FS,
  source: string | Readable,
  options: ArchiveInOptions = {},
): Promise<FS> {
  const { message, parents, progress, signal } = options;
  const format = archiveFormat(typeof source === 'string' ? source : null, options.format);
  const budget = new ArchiveBudget(options);
  const how = { message, parents, operation: 'ar' };
  try {
    return await fs.transact(how, async ({ staged, staging }) => {
      signal?.throwIfAborted();
      const intake = new ArchiveIntake(staged, staging, budget);
      const entries = readArchive(source, { format, budget, signal });
      for await (const entry of counting(entries, progress)) {
        signal?.throwIfAborted();
        await intake.take(entry);
      }
      signal?.throwIfAborted();
      return { warnings: intake.warnings };
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
