import { constants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import { ErrnoError } from '../vfs/errno.ts';
import type { InodeTable } from '../vfs/inode-table.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import { rootIno } from '../vfs/operations.ts';
import type {
  Attr,
  Caller,
  EntryReply,
  Ino,
  KernelNotifier,
  MaybePromise,
  VfsOperations,
} from '../vfs/operations.ts';
import { firstNumber } from './resume-journal.ts';
import type { ResumeJournal } from './resume-journal.ts';

/** Nobody asks: it is this daemon that looks for what the kernel knows. */
const nobody: Caller = { uid: 0, gid: 0, pid: 0 };

/** What an old number stands for in this daemon. */
interface FoundNode {
  readonly ino: Ino;
  /** Lookups that this daemon has answered. What those before it have answered counts one more. */
  lookups: number;
}

/**
 * Node numbers as the kernel has them, and as this daemon has them. They differ for directories and
 * open files of which the kernel was told by a daemon that died: such a number is found again by its
 * place, when it is named, and the node goes on under it. Any other number of a dead daemon is
 * unknown (ESTALE), upon which the kernel looks the path up again.
 */
export class NodeNumbers {
  readonly #vfs: VfsOperations;
  readonly #inodes: InodeTable;
  readonly #journal: ResumeJournal;
  readonly #firstOwn: number;
  readonly #found = new Map<Ino, FoundNode>();
  readonly #kernelNumbers = new Map<Ino, Ino>();

  constructor(vfs: VfsOperations, inodes: InodeTable, journal: ResumeJournal) {
    this.#vfs = vfs;
    this.#inodes = inodes;
    this.#journal = journal;
    this.#firstOwn = firstNumber(journal.life);
  }

  /** Our number of what the kernel names. */
  ours(number: Ino): MaybePromise<Ino> {
    if (!this.#isOld(number)) return number;
    return this.#found.get(number)?.ino ?? this.#find(number);
  }

  /** The kernel's number of a node of ours. */
  kernels(ino: Ino): Ino {
    return this.#kernelNumbers.get(ino) ?? ino;
  }

  /** The kernel's number of an entry in a listing. */
  kernelsAt(parent: Ino, name: ByteString, ino: Ino): Ino {
    return this.#kernelNumbers.get(ino) ?? this.#unfoundAt(parent, name) ?? ino;
  }

  attr(attr: Attr): Attr {
    const number = this.#kernelNumbers.get(attr.ino);
    return number === undefined ? attr : { ...attr, ino: number };
  }

  /** What the kernel may be told of a node under a name. */
  entry(parent: Ino, name: ByteString, entry: EntryReply): EntryReply {
    const { attr } = entry;
    if (attr === null) return entry;
    const old = this.#unfoundAt(parent, name);
    if (old !== undefined && !this.#kernelNumbers.has(attr.ino)) {
      const known = this.#journal.nodes.get(old);
      if (known?.isDirectory === isDirectoryMode(attr.mode)) this.#bind(old, attr.ino);
    }
    const numbered = this.attr(attr);
    return numbered === attr ? entry : { ...entry, attr: numbered };
  }

  /** The kernel will be told of this entry, which has counted a lookup. */
  tell(parent: Ino, name: ByteString, { attr }: EntryReply): void {
    if (attr === null) return;
    const found = this.#found.get(attr.ino);
    if (found !== undefined) found.lookups += 1;
    if (isDirectoryMode(attr.mode)) this.#journal.place(attr.ino, { parent, name }, true);
  }

  told(parent: Ino, name: ByteString, entry: EntryReply): EntryReply {
    const numbered = this.entry(parent, name, entry);
    this.tell(parent, name, numbered);
    return numbered;
  }

  forget(number: Ino, lookups: number): void {
    if (this.#isOld(number)) {
      this.#forgetOld(number, lookups);
      return;
    }
    this.#vfs.forget(number, lookups);
    this.#forgetIfGone(number);
  }

  /** Tells the kernel by its own numbers. */
  notifier(target: KernelNotifier): KernelNotifier {
    return {
      invalidateInode: (ino) => target.invalidateInode(this.kernels(ino)),
      invalidateEntry: (parent, name) => target.invalidateEntry(this.kernels(parent), name),
    };
  }

  #isOld(number: Ino): boolean {
    return number < this.#firstOwn && number !== rootIno;
  }

  /** The old number of a place that was not looked for yet. */
  #unfoundAt(parent: Ino, name: ByteString): Ino | undefined {
    if (this.#journal.life === 0) return undefined;
    const number = this.#journal.nodeAt(parent, name);
    const isUnfound = number !== undefined && this.#isOld(number) && !this.#found.has(number);
    return isUnfound ? number : undefined;
  }

  #find(number: Ino): MaybePromise<Ino> {
    const known = this.#journal.nodes.get(number);
    if (known === undefined) throw new ErrnoError('ESTALE', `inode ${number} is not known`);
    return whenReady(this.ours(known.parent), (parent) =>
      whenReady(this.#vfs.lookup(parent, known.name, nobody), ({ attr }) => {
        // Another request may have found it meanwhile.
        const found = this.#found.get(number);
        const isIt = attr !== null && isDirectoryMode(attr.mode) === known.isDirectory;
        if (found === undefined && isIt && !this.#kernelNumbers.has(attr.ino)) {
          this.#bind(number, attr.ino);
        }
        if (attr !== null) this.#vfs.forget(attr.ino, 1);
        return this.#found.get(number)?.ino ?? this.#gone(number);
      }),
    );
  }

  #gone(number: Ino): never {
    this.#journal.forget(number);
    throw new ErrnoError('ESTALE', `what was inode ${number} is not there any more`);
  }

  #bind(number: Ino, ino: Ino): void {
    const node = this.#inodes.get(ino);
    if (node === undefined) throw new Error('a node that was just looked up is not there');
    this.#inodes.hold(node);
    this.#found.set(number, { ino, lookups: 0 });
    this.#kernelNumbers.set(ino, number);
  }

  /** Nobody knows how many lookups daemons before this one have answered: at least one. */
  #forgetOld(number: Ino, lookups: number): void {
    const found = this.#found.get(number);
    if (found !== undefined && lookups <= found.lookups) {
      found.lookups -= lookups;
      this.#vfs.forget(found.ino, lookups);
      return;
    }
    this.#journal.forget(number);
    if (found === undefined) return;
    this.#found.delete(number);
    this.#kernelNumbers.delete(found.ino);
    this.#vfs.forget(found.ino, found.lookups + 1);
  }

  #forgetIfGone(number: Ino): void {
    const isGone = this.#journal.nodes.has(number) && this.#inodes.get(number) === undefined;
    if (isGone) this.#journal.forget(number);
  }
}

function isDirectoryMode(mode: number): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFDIR;
}
