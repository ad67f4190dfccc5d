import { CorruptObjectError } from '../errors.ts';
import { byteStringFromBuffer } from './byte-string.ts';
import type { ByteString } from './byte-string.ts';
import { commitEncoding } from './commit-encoding.ts';
import type { CommitEncoding } from './commit-encoding.ts';
import { formatCommitStamp, parseCommitStamp } from './identity.ts';
import type { CommitStamp } from './identity.ts';
import { parseHeaders, readingObject, serializeHeaders } from './object-headers.ts';
import type { ObjectHeader } from './object-headers.ts';
import { isOid } from './oid.ts';
import type { Oid } from './oid.ts';

/** A commit. Names and the message are text, whatever the commit's encoding is. */
export interface Commit {
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  readonly author: CommitStamp;
  readonly committer: CommitStamp;
  /** The message with its newlines, as it is stored. */
  readonly message: string;
  /** What follows the committer (`encoding`, `gpgsig`, `mergetag`, …), raw and in its order. */
  readonly extraHeaders?: readonly ObjectHeader[];
}

/**
 * Reads a commit. An `encoding` header says how its text is stored; bytes that are no UTF-8 in one
 * without it are escaped as `textFromBytes` does. `oid` is named in the `CorruptObjectError` that
 * is thrown when the tree, author or committer is missing or cannot be read.
 */
export function parseCommit(raw: Buffer, oid?: Oid): Commit {
  return readingObject('commit', oid, () => commitFromText(byteStringFromBuffer(raw)));
}

function commitFromText(text: ByteString): Commit {
  const { headers, message } = parseHeaders(text);
  const tree = headers[0];
  if (tree?.name !== 'tree') throw new CorruptObjectError('it does not start with its tree');
  let next = 1;
  const parents: Oid[] = [];
  for (let parent = headers[next]; parent?.name === 'parent'; parent = headers[next]) {
    parents.push(oidOf(parent));
    next += 1;
  }
  const rest = headers.slice(next);
  const encoding = encodingOf(rest);
  const author = rest.find(({ name }) => name === 'author');
  const committer = rest.find(({ name }) => name === 'committer');
  if (author === undefined) throw new CorruptObjectError('it has no author');
  if (committer === undefined) throw new CorruptObjectError('it has no committer');
  const extraHeaders = rest.filter((header) => header !== author && header !== committer);
  return {
    tree: oidOf(tree),
    parents,
    author: parseCommitStamp(author.value, encoding.decode),
    committer: parseCommitStamp(committer.value, encoding.decode),
    message: encoding.decode(message),
    ...(extraHeaders.length > 0 && { extraHeaders }),
  };
}

function oidOf({ name, value }: ObjectHeader): Oid {
  if (!isOid(value)) throw new CorruptObjectError(`its ${name} is ${JSON.stringify(value)}`);
  return value;
}

function encodingOf(headers: readonly ObjectHeader[]): CommitEncoding {
  return commitEncoding(headers.find(({ name }) => name === 'encoding')?.value);
}

/**
 * Writes a commit, its text in the encoding that its `encoding` header names. For every commit that
 * git writes, `serializeCommit(parseCommit(raw))` is `raw`; irregular dates and author lines of old
 * tools come out regular. What cannot be stored (a NUL byte in the message, `<` in a name, text
 * that the encoding lacks) is an `InvalidArgumentError`.
 */
export function serializeCommit(commit: Commit): Buffer {
  const extraHeaders = commit.extraHeaders ?? [];
  const encoding = encodingOf(extraHeaders);
  const header = (name: string, value: string): ObjectHeader => ({
    name: name as ByteString,
    value: encoding.encode(value),
  });
  return serializeHeaders({
    headers: [
      header('tree', commit.tree),
      ...commit.parents.map((parent) => header('parent', parent)),
      header('author', formatCommitStamp(commit.author)),
      header('committer', formatCommitStamp(commit.committer)),
      ...extraHeaders,
    ],
    message: encoding.encode(commit.message),
  });
}
