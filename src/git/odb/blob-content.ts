import type { Oid } from '../oid.ts';
import { whenReady } from './fault.ts';
import type { LooseObjects } from './loose-objects.ts';
import type { PackLocation } from './pack-directory.ts';
import type { Unpacking } from './unpacking.ts';

/** The content of an object, to be read once from its start. It has to be closed, also when it was not read. */
export interface BlobContent {
  readonly sizeBytes: number;
  /** All of it, when it had to be put together in memory anyway (out of deltas). */
  readonly whole: Buffer | undefined;
  chunks(): AsyncGenerator<Buffer, void, undefined>;
  close(): Promise<void>;
}

const pieceSizeBytes = 256 * 1024;

/** Opens an object in a pack, whose file is held until the content is closed. */
export async function openPackedContent(
  { pack, offset }: PackLocation,
  unpacking: Unpacking,
): Promise<BlobContent> {
  const entry = await whenReady(() => pack.entryAt(offset));
  if (entry.type === undefined)
    return wholeContent((await whenReady(() => unpacking.object())).data);
  const release = await pack.file.hold();
  return {
    sizeBytes: entry.sizeBytes,
    whole: undefined,
    chunks: () => pack.inflateChunks(entry),
    close: () => {
      release();
      return Promise.resolve();
    },
  };
}

/** Opens a loose object; undefined when it is not there. */
export async function openLooseContent(
  objects: LooseObjects,
  oid: Oid,
): Promise<BlobContent | undefined> {
  const file = await objects.open(oid);
  if (file === undefined) return undefined;
  return {
    sizeBytes: file.info.sizeBytes,
    whole: undefined,
    chunks: () => file.chunks(),
    close: () => file.close(),
  };
}

function wholeContent(whole: Buffer): BlobContent {
  return {
    sizeBytes: whole.length,
    whole,
    chunks: () => piecesOf(whole),
    close: () => Promise.resolve(),
  };
}

// eslint-disable-next-line @typescript-eslint/require-await -- the other contents do wait
async function* piecesOf(whole: Buffer): AsyncGenerator<Buffer, void, undefined> {
  for (let start = 0; start < whole.length; start += pieceSizeBytes) {
    yield whole.subarray(start, start + pieceSizeBytes);
  }
}
