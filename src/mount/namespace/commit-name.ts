import type { ByteString } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import type { TimeSpan } from '../../snapshot/first-parent-walk.ts';

/** How many digits of a hash stand in the name of a commit. */
const shortDigits = 7;

/** The last second with a year of four digits; what claims to be made later is listed so. */
const lastTimeMs = Date.UTC(9999, 11, 31, 23, 59, 59);

const pattern = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-([0-9a-f]{7})$/;

/** When a commit was made, and what its hash begins with. */
export interface CommitName {
  readonly time: TimeSpan;
  readonly prefix: string;
}

/** How long each name is. Not measured by making one: a mount that starts has no need of time zones yet. */
export const commitNameLength: number = '20261120T221003Z-1a2b3c4'.length;

/** A name that sorts by time: `20261120T221003Z-1a2b3c4`, in UTC. */
export function commitName(oid: Oid, timeSec: number): ByteString {
  return `${timeText(timeSec * 1000)}-${oid.slice(0, shortDigits)}` as ByteString;
}

function timeText(timeMs: number): string {
  return new Date(Math.min(timeMs, lastTimeMs)).toISOString().replace(/[-:]|\.\d+/g, '');
}

/** Reads what `commitName` writes; `undefined` for anything else. */
export function parseCommitName(name: string): CommitName | undefined {
  const [, year, month, day, hour, minute, second, prefix] = pattern.exec(name) ?? [];
  if (prefix === undefined) return undefined;
  const date = [Number(year), Number(month) - 1, Number(day)] as const;
  const timeMs = Date.UTC(...date, Number(hour), Number(minute), Number(second));
  // A month 13 would be found as the first one of the next year.
  const isCanonical = timeText(timeMs) === name.slice(0, -1 - shortDigits);
  if (!isCanonical) return undefined;
  const firstSec = timeMs / 1000;
  return { time: { firstSec, lastSec: timeMs === lastTimeMs ? Infinity : firstSec }, prefix };
}
