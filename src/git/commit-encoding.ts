import { InvalidArgumentError } from '../errors.ts';
import { bufferFromByteString, bytesFromText, textFromBytes } from './byte-string.ts';
import type { ByteString } from './byte-string.ts';

/** How the text of one commit is stored, by its `encoding` header. */
export interface CommitEncoding {
  readonly decode: (bytes: ByteString) => string;
  /** Text that the encoding has no bytes for is an `InvalidArgumentError`. */
  readonly encode: (text: string) => ByteString;
}

const utf8: CommitEncoding = {
  decode: textFromBytes,
  encode(text) {
    try {
      return bytesFromText(text);
    } catch (cause) {
      throw new InvalidArgumentError(`a commit cannot hold the text ${JSON.stringify(text)}`, {
        cause,
      });
    }
  },
};

// Bytes in a string are latin1 already. (To a TextDecoder "latin1" means windows-1252.)
const latin1: CommitEncoding = {
  decode: (bytes) => bytes,
  encode(text) {
    if (/[^\0-\xff]/.test(text)) {
      throw new InvalidArgumentError(`latin1 cannot hold the text ${JSON.stringify(text)}`);
    }
    return text as ByteString;
  },
};

function foreign(label: string, decoder: InstanceType<typeof TextDecoder>): CommitEncoding {
  return {
    decode: (bytes) => decoder.decode(bufferFromByteString(bytes)),
    encode() {
      throw new InvalidArgumentError(`commits with the encoding ${label} can only be read`);
    },
  };
}

/**
 * The encoding that a label in a commit means; none is UTF-8. Text under a label that nobody knows
 * is taken as UTF-8, for git too shows it as it stands. UTF-8 and latin1 can be written, what else
 * the platform's `TextDecoder` knows can only be read.
 */
export function commitEncoding(label: string | undefined): CommitEncoding {
  if (label === undefined || /^utf-?8$/i.test(label)) return utf8;
  if (/^(?:iso[-_]?8859-1|latin-?1)$/i.test(label)) return latin1;
  try {
    return foreign(label, new TextDecoder(label));
  } catch (error) {
    if (error instanceof RangeError) return utf8;
    throw error;
  }
}
