import type { ByteString } from '../../git/byte-string.ts';

/** A request that was answered. */
export interface RequestTrace {
  readonly operation: string;
  readonly unique: number;
  /** A daemon that died had read it before; `undefined` for all others. */
  readonly resent: true | undefined;
  readonly ino: number;
  /** The file name in the request, with every byte but printable ASCII escaped. */
  readonly name: string | undefined;
  /** 0, or the number of the error that was the answer. */
  readonly errno: number;
  /** The size of the answer, its header included. */
  readonly replySizeBytes: number;
  readonly durationMs: number;
}

/** A name as it can be shown anywhere, one way for each. */
export function printableName(name: ByteString): string {
  return name.replace(/[^\x20-\x7e]|\\/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
