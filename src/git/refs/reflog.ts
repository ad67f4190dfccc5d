import { open, type FileHandle } from 'node:fs/promises';
import {
  bufferFromByteString,
  bytesFromText,
  isEscapedByte,
  byteStringFromBuffer,
  textFromBytes,
  type ByteString,
} from '../byte-string.ts';
import { formatCommitStamp, parseZone, type CommitStamp } from '../identity.ts';
import { isOid, type Oid } from '../oid.ts';
import { readFully } from '../read-write-fully.ts';
import { isNothingThere } from '../system-error.ts';
import { isFile } from './ref-directories.ts';

/** One move of a ref, as a line of its reflog records it. */
export interface ReflogRecord {
  /** All zeros when the ref did not exist before. */
  readonly oldOid: Oid;
  /** All zeros when the ref was deleted (only the reflog of `HEAD` outlives that). */
  readonly newOid: Oid;
  /** Who moved it, as it is written there: `Name <email>`. */
  readonly identity: string;
  readonly timeSec: number;
  /** Minutes east of UTC. */
  readonly zoneMinutes: number;
  readonly message: string;
}

/** What goes into a line of a reflog. */
export interface ReflogLine {
  readonly oldOid: Oid;
  readonly newOid: Oid;
  readonly committer: CommitStamp;
  readonly message: string;
}

const newline = 0x0a;
const blockSizeBytes = 32 * 1024;
const anyLine = /^([0-9a-f]+) ([0-9a-f]+) ([^>]*>) (\d+) ([+-]\d+)(?:\t(.*))?$/s;
const loneSurrogate = /\p{Surrogate}/gu;

/**
 * A line of a reflog, its newline included. The message becomes one line: as git does, runs of
 * white space are one space. A character that no bytes stand for is replaced.
 */
export function formatReflogLine(line: ReflogLine): Buffer {
  const message = line.message.replace(/[ \t\r\n\0]+/g, ' ').replace(/^ | $/g, '');
  const tail = message === '' ? '' : `\t${message}`;
  const text = `${line.oldOid} ${line.newOid} ${formatCommitStamp(line.committer)}${tail}\n`;
  return bufferFromByteString(bytesFromText(text.replace(loneSurrogate, storable)));
}

/** Some lone surrogates stand for bytes, the others for nothing. */
function storable(surrogate: string): string {
  return isEscapedByte(surrogate) ? surrogate : '\ufffd';
}

/** Reads a line without its newline; `undefined` when it is damaged, which git passes over too. */
export function parseReflogLine(line: ByteString): ReflogRecord | undefined {
  const [, oldOid = '', newOid = '', identity = '', time, zone = '', message = ''] =
    anyLine.exec(line) ?? [];
  if (!isOid(oldOid) || !isOid(newOid)) return undefined;
  return {
    oldOid,
    newOid,
    identity: textFromBytes(identity as ByteString),
    timeSec: Number(time),
    zoneMinutes: parseZone(zone),
    message: textFromBytes(message as ByteString),
  };
}

/** The whole log at a path, oldest line first; empty when there is none. */
export async function readReflog(path: ByteString): Promise<ReflogRecord[]> {
  const handle = await openLog(path);
  if (handle === null) return [];
  try {
    const lines = byteStringFromBuffer(await handle.readFile()).split('\n') as ByteString[];
    return lines.map(parseReflogLine).filter((record) => record !== undefined);
  } finally {
    await handle.close();
  }
}

/**
 * The log at a path, newest line first, read block by block from the end: the first lines of a log
 * of any size cost little. What is appended after the first step is not seen.
 */
export async function* readReflogNewestFirst(path: ByteString): AsyncGenerator<ReflogRecord> {
  const handle = await openLog(path);
  if (handle === null) return;
  try {
    for await (const line of linesFromEnd(handle)) {
      const record = parseReflogLine(line);
      if (record !== undefined) yield record;
    }
  } finally {
    await handle.close();
  }
}

// A directory at the path is one with the logs of refs below the name: no log either.
async function openLog(path: ByteString): Promise<FileHandle | null> {
  if (!(await isFile(path))) return null;
  try {
    return await open(bufferFromByteString(path), 'r');
  } catch (error) {
    if (isNothingThere(error)) return null;
    throw error;
  }
}

async function* linesFromEnd(handle: FileHandle): AsyncGenerator<ByteString> {
  const { size: sizeBytes } = await handle.stat();
  // What was read of a line whose beginning is in a block that comes next, last part first.
  let ending: Buffer[] = [];
  for (let end = sizeBytes; end > 0;) {
    const start = Math.max(0, end - blockSizeBytes);
    const block = await readFully(handle, start, end - start);
    let lineEnd = block.length;
    for (let at = block.lastIndexOf(newline); at >= 0; at = lastNewlineBefore(block, at)) {
      yield joined(block.subarray(at + 1, lineEnd), ending);
      ending = [];
      lineEnd = at;
    }
    ending.push(block.subarray(0, lineEnd));
    end = start;
  }
  yield joined(Buffer.alloc(0), ending);
}

function lastNewlineBefore(block: Buffer, at: number): number {
  // A negative offset would count from the end.
  return at === 0 ? -1 : block.lastIndexOf(newline, at - 1);
}

function joined(beginning: Buffer, ending: readonly Buffer[]): ByteString {
  return byteStringFromBuffer(Buffer.concat([beginning, ...ending.toReversed()]));
}
