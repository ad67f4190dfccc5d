import { CorruptObjectError } from '../errors.ts';
import { byteStringFromBuffer, bytesFromText, textFromBytes } from './byte-string.ts';
import type { ByteString } from './byte-string.ts';
import type { ObjectType } from './hash-object.ts';
import { formatCommitStamp, parseCommitStamp } from './identity.ts';
import type { CommitStamp } from './identity.ts';
import { parseHeaders, readingObject, serializeHeaders } from './object-headers.ts';
import type { ObjectHeader } from './object-headers.ts';
import { isOid } from './oid.ts';
import type { Oid } from './oid.ts';

/** An annotated tag. */
export interface Tag {
  readonly object: Oid;
  readonly type: ObjectType;
  /** The tag's own name, without `refs/tags/`. */
  readonly tag: string;
  /** Tags made before 2005 have none. */
  readonly tagger?: CommitStamp;
  /** The message, with the signature that may follow it. */
  readonly message: string;
  /** What follows the tagger (`gpgsig-sha256`), raw and in its order. */
  readonly extraHeaders?: readonly ObjectHeader[];
}

/**
 * Reads an annotated tag. `oid` is named in the `CorruptObjectError` that is thrown when a header
 * is missing or cannot be read.
 */
export function parseTag(raw: Buffer, oid?: Oid): Tag {
  return readingObject('tag', oid, () => tagFromText(byteStringFromBuffer(raw)));
}

function tagFromText(text: ByteString): Tag {
  const { headers, message } = parseHeaders(text);
  const [object, type, tag] = ['object', 'type', 'tag'].map((name, index) => {
    const header = headers[index];
    if (header?.name !== name) throw new CorruptObjectError(`it has no ${name} in its place`);
    return header.value;
  }) as [ByteString, ByteString, ByteString];
  if (!isOid(object)) throw new CorruptObjectError(`its object is ${JSON.stringify(object)}`);
  if (!isObjectType(type)) throw new CorruptObjectError(`its type is ${JSON.stringify(type)}`);
  const tagger = headers[3]?.name === 'tagger' ? headers[3] : undefined;
  const extraHeaders = headers.slice(tagger === undefined ? 3 : 4);
  return {
    object,
    type,
    tag: textFromBytes(tag),
    ...(tagger !== undefined && { tagger: parseCommitStamp(tagger.value, textFromBytes) }),
    message: textFromBytes(message),
    ...(extraHeaders.length > 0 && { extraHeaders }),
  };
}

function isObjectType(text: string): text is ObjectType {
  return text === 'commit' || text === 'tree' || text === 'blob' || text === 'tag';
}

/** Writes an annotated tag; the reverse of `parseTag`, with the errors of `serializeCommit`. */
export function serializeTag(tag: Tag): Buffer {
  const header = (name: string, value: string): ObjectHeader => ({
    name: name as ByteString,
    value: bytesFromText(value),
  });
  return serializeHeaders({
    headers: [
      header('object', tag.object),
      header('type', tag.type),
      header('tag', tag.tag),
      ...(tag.tagger === undefined ? [] : [header('tagger', formatCommitStamp(tag.tagger))]),
      ...(tag.extraHeaders ?? []),
    ],
    message: bytesFromText(tag.message),
  });
}
