import { CorruptObjectError, InvalidArgumentError } from '../errors.ts';
import type { ByteString } from './byte-string.ts';

/** Who did something: text, without `<`, `>`, newline or NUL. */
export interface Identity {
  readonly name: string;
  readonly email: string;
}

/** Who did something, and when: seconds since the epoch, and the zone as minutes east of UTC. */
export interface CommitStamp {
  readonly identity: Identity;
  readonly timeSec: number;
  readonly zoneMinutes: number;
}

// What would end the field, or the line, that the text stands in.
const breaksTheLine = /[<>\n\0]/;
// Not `trimEnd`: in bytes, what that takes for a space may be a part of a letter.
const trailingSpace = /[ \t\r]+$/;
const largestZoneMinutes = 99 * 60 + 59;

/** `Name <email>`, as commits, tags and reflogs hold it. */
export function formatIdentity(identity: Identity): string {
  for (const text of [identity.name, identity.email]) {
    if (breaksTheLine.test(text)) {
      throw new InvalidArgumentError(`not a name or e-mail address: ${JSON.stringify(text)}`);
    }
  }
  return `${identity.name} <${identity.email}>`;
}

/**
 * `Name <email> <seconds> <zone>`, as commits, tags and reflogs hold it.
 * A time before the epoch, or one that is no whole number, is an `InvalidArgumentError`.
 */
export function formatCommitStamp(stamp: CommitStamp): string {
  const { identity, timeSec, zoneMinutes } = stamp;
  if (!Number.isSafeInteger(timeSec) || timeSec < 0) {
    throw new InvalidArgumentError(`not a time that git can store: ${timeSec}`);
  }
  return `${formatIdentity(identity)} ${timeSec} ${formatZone(zoneMinutes)}`;
}

/** `+hhmm` or `-hhmm`. */
export function formatZone(zoneMinutes: number): string {
  const minutes = Math.abs(zoneMinutes);
  if (!Number.isInteger(minutes) || minutes > largestZoneMinutes) {
    throw new InvalidArgumentError(`not a time zone: ${zoneMinutes} minutes`);
  }
  const digits = Math.floor(minutes / 60) * 100 + (minutes % 60);
  return `${zoneMinutes < 0 ? '-' : '+'}${String(digits).padStart(4, '0')}`;
}

/** Minutes east of UTC of a zone such as `+0530`; git reads any number of digits, and so does this. */
export function parseZone(zone: string): number {
  const digits = Number.parseInt(zone.slice(1), 10);
  const minutes = Math.floor(digits / 100) * 60 + (digits % 100);
  return zone.startsWith('-') && minutes !== 0 ? -minutes : minutes;
}

/**
 * Takes apart what `formatCommitStamp` writes, and the irregular forms that old repositories hold:
 * as git does, the address is what stands between the first `<` and the next `>`, and a date that
 * cannot be read is the epoch. Without an address it is a `CorruptObjectError`.
 */
export function parseCommitStamp(
  line: ByteString,
  decode: (bytes: ByteString) => string,
): CommitStamp {
  const emailStart = line.indexOf('<');
  const emailEnd = line.indexOf('>', emailStart + 1);
  if (emailStart < 0 || emailEnd < 0) {
    throw new CorruptObjectError(`no e-mail address in ${JSON.stringify(line)}`);
  }
  const name = line.slice(0, emailStart).replace(trailingSpace, '') as ByteString;
  const email = line.slice(emailStart + 1, emailEnd) as ByteString;
  const identity = { name: decode(name), email: decode(email) };
  const date = /^ *(\d+) ([+-]\d+)$/.exec(line.slice(line.lastIndexOf('>') + 1));
  const timeSec = Number(date?.[1]);
  if (!Number.isSafeInteger(timeSec)) return { identity, timeSec: 0, zoneMinutes: 0 };
  return { identity, timeSec, zoneMinutes: parseZone(date?.[2] ?? '+0000') };
}
