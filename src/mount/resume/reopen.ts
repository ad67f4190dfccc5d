import { constants } from 'node:fs';
import { textFromBytes } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import type { Log } from '../observe/log.ts';
import type { Caller, Fh, Ino, VfsOperations } from '../vfs/operations.ts';
import type { KernelHandles } from './kernel-handles.ts';
import type { NodeNumbers } from './node-numbers.ts';
import type { KnownHandle, ResumeJournal } from './resume-journal.ts';

/** The access modes of open(2) that can write. */
const writing = constants.O_WRONLY | constants.O_RDWR;
/** What opening a file does once only. */
const once = constants.O_CREAT | constants.O_EXCL | constants.O_TRUNC;
/** The rights were checked by the kernel when it was opened. */
const noCaller: Caller = { uid: 0, gid: 0, pid: 0 };
const oidAttribute = 'user.vost.oid' as ByteString;

/** What a daemon that follows on another one opens its handles with. */
export interface Reopening {
  readonly vfs: VfsOperations;
  readonly journal: ResumeJournal;
  readonly numbers: NodeNumbers;
  readonly handles: KernelHandles;
  readonly log: Log;
}

/**
 * Opens what is open in the kernel once more. What is not there any more, or has lost what was
 * written to it, stays without: its number answers EIO from then on, to later daemons too.
 */
export async function reopen(reopening: Reopening): Promise<void> {
  const { journal, log } = reopening;
  const opened = [...journal.handles];
  let lost = 0;
  for (const [fh, handle] of opened) {
    if (!handle.isLost && (await tryToReopen(reopening, fh, handle))) continue;
    lost += 1;
    if (!handle.isLost) journal.lost(fh);
  }
  // What was not durable is gone, and those who wrote it will be told.
  for (const [, { ino }] of opened) journal.setUnsynced(ino, undefined);
  log.info('handles-resumed', { open: opened.length - lost, lost });
}

async function tryToReopen(
  { vfs, journal, numbers, handles, log }: Reopening,
  fh: Fh,
  { ino: number, flags }: KnownHandle,
): Promise<boolean> {
  try {
    const ino = await numbers.ours(number);
    if (flags === undefined) {
      handles.resumed(fh, (await vfs.opendir(ino)).fh);
      return true;
    }
    const unsynced = (flags & writing) === 0 ? undefined : journal.unsynced(number);
    const isAllThere =
      unsynced === undefined ||
      (unsynced !== 'written' && unsynced.oid === (await oidOf(vfs, ino)));
    if (!isAllThere) throw new Error('it was written and not synced');
    handles.resumed(fh, (await vfs.open(ino, flags & ~once, noCaller)).fh);
    return true;
  } catch (error) {
    const name = journal.nodes.get(number)?.name;
    const { message } = error as Error;
    log.warn('open-file-lost', { name: name && textFromBytes(name), reason: message });
    return false;
  }
}

/** The blob that was stored of a file; ENODATA when there is none. */
export async function oidOf(vfs: VfsOperations, ino: Ino): Promise<string> {
  return Buffer.from(await vfs.getxattr(ino, oidAttribute)).toString('latin1');
}
