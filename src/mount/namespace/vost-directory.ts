import type { ByteString } from '../../git/byte-string.ts';
import { modeBlob } from '../../git/mode.ts';
import { directoryAttr, plainAttr, timespecNow } from '../vfs/attr.ts';
import { FixedStream } from '../vfs/fixed-stream.ts';
import type { NodeContext } from '../vfs/node-context.ts';
import { forever } from '../vfs/operations.ts';
import type { Attr, Ino, Timespec } from '../vfs/operations.ts';
import { ReadOnlyHandle, refuseWriting } from '../vfs/read-only-handle.ts';
import { DirectoryVnode, FileVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryStream } from '../vfs/vnode.ts';

/** `/.vost`: what the daemon says about itself. */
export class VostDirectory extends DirectoryVnode {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
  readonly cache: CacheRule = {
    entriesValidSec: forever,
    attrValidSec: forever,
    keepListing: true,
  };
  readonly #context: NodeContext;
  readonly #time: Timespec = timespecNow();
  readonly #files: ReadonlyMap<ByteString, GeneratedFile>;

  /** `files` is what each file holds when it is opened, by its name. */
  constructor(
    context: NodeContext,
    parent: DirectoryVnode,
    files: Readonly<Record<string, () => string>>,
  ) {
    super();
    this.ino = context.inos.next();
    this.parent = parent;
    this.#context = context;
    this.#files = new Map(
      Object.entries(files).map(([name, text]) => [
        name as ByteString,
        new GeneratedFile(context, text),
      ]),
    );
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): Attr {
    return directoryAttr(this.#context, this.ino, 0, this.#time);
  }

  lookup(name: ByteString): GeneratedFile | null {
    return this.#files.get(name) ?? null;
  }

  entries(): DirectoryStream {
    return new FixedStream(
      Array.from(this.#files, ([name, { ino }]) => ({ name, ino, mode: modeBlob })),
    );
  }
}

/** A file whose content is made when it is opened; until it is closed, the handle shows that content. */
class GeneratedFile extends FileVnode {
  readonly ino: Ino;
  readonly cache: CacheRule = { entriesValidSec: 0, attrValidSec: 0 };
  readonly #context: NodeContext;
  readonly #text: () => string;

  constructor(context: NodeContext, text: () => string) {
    super();
    this.ino = context.inos.next();
    this.#context = context;
    this.#text = text;
  }

  override get readOnly(): boolean {
    return true;
  }

  /** The size of what an open would find now; a program that trusts it may miss the end of a longer one. */
  getattr(): Attr {
    const sizeBytes = Buffer.byteLength(this.#text());
    return plainAttr(this.#context, this.ino, modeBlob, sizeBytes, timespecNow());
  }

  open(flags: number): GeneratedHandle {
    refuseWriting(flags);
    return new GeneratedHandle(Buffer.from(this.#text()));
  }
}

class GeneratedHandle extends ReadOnlyHandle {
  readonly keepCache = false;
  // Without this the kernel would read no further than the size it was told, which may be out of date.
  readonly directIo = true;
  readonly #content: Buffer;

  constructor(content: Buffer) {
    super();
    this.#content = content;
  }

  get sizeBytes(): number {
    return this.#content.length;
  }

  read(offset: number, sizeBytes: number): Uint8Array {
    return this.#content.subarray(offset, offset + sizeBytes);
  }
}
