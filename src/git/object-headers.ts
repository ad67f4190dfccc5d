import { CorruptObjectError, InvalidArgumentError } from '../errors.ts';
import type { ByteString } from './byte-string.ts';
import type { Oid } from './oid.ts';

/** One header of a commit or tag. A value of several lines holds newlines, without their indent. */
export interface ObjectHeader {
  readonly name: ByteString;
  readonly value: ByteString;
}

/** A commit or tag, taken apart: headers in their order, then what stands after the empty line. */
export interface HeadersAndMessage {
  readonly headers: readonly ObjectHeader[];
  readonly message: ByteString;
}

/**
 * Takes a commit or tag apart. A header is `<name> <value>\n`; a line that starts with a space goes
 * on with the value before it (git's gitformat-signature).
 */
export function parseHeaders(text: ByteString): HeadersAndMessage {
  const headers: ObjectHeader[] = [];
  let start = 0;
  while (start < text.length && text[start] !== '\n') {
    let end = text.indexOf('\n', start);
    while (end >= 0 && text[end + 1] === ' ') end = text.indexOf('\n', end + 1);
    if (end < 0) throw new CorruptObjectError('a header has no end');
    const header = text.slice(start, end).replaceAll('\n ', '\n');
    const space = header.indexOf(' ');
    const nameEnd = space < 0 ? header.length : space;
    headers.push({
      name: header.slice(0, nameEnd) as ByteString,
      value: header.slice(nameEnd + 1) as ByteString,
    });
    start = end + 1;
  }
  return { headers, message: text.slice(start + 1) as ByteString };
}

/** Puts a commit or tag together again. */
export function serializeHeaders({ headers, message }: HeadersAndMessage): Buffer {
  let text = '';
  for (const { name, value } of headers) {
    if (!/^[^ \n\0]+$/.test(name) || value.includes('\0')) {
      throw new InvalidArgumentError(`not a header: ${JSON.stringify(name)}`);
    }
    text += `${name} ${value.replaceAll('\n', '\n ')}\n`;
  }
  if (message.includes('\0')) throw new InvalidArgumentError('a message cannot hold NUL bytes');
  return Buffer.from(`${text}\n${message}`, 'latin1');
}

/** Runs the reading of an object, and says in a `CorruptObjectError` which object is broken. */
export function readingObject<Parsed>(
  kind: string,
  oid: Oid | undefined,
  parse: () => Parsed,
): Parsed {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof CorruptObjectError)) throw cause;
    const subject = oid === undefined ? `a ${kind}` : `${kind} ${oid}`;
    throw new CorruptObjectError(`${subject} is broken: ${cause.message}`, {
      cause,
      ...(oid !== undefined && { oid }),
    });
  }
}
