import { parseMoment } from '../snapshot/moment.ts';
import { UsageError } from './exit-codes.ts';

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

const timeUnitsMs: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1000, m: 60_000 };

/** A number of bytes, `4096`, `64k`, `512M`, `2GiB`: units are powers of 1024. */
export function parseSizeBytes(option: string, text: string): number {
  const sizeBytes = scaled(/^(\d+)([kmgt]?)(?:i?b)?$/i.exec(text), sizeUnits);
  if (sizeBytes === undefined || sizeBytes === 0) {
    throw new UsageError(`${option}: "${text}" is no size; give bytes or 64k, 512M, 2G`);
  }
  return sizeBytes;
}

/** A time span in milliseconds: `250`, `250ms`, `2s`, `1m`. */
export function parseDurationMs(option: string, text: string): number {
  const durationMs = scaled(/^(\d+)(ms|s|m|)$/.exec(text), timeUnitsMs);
  if (durationMs === undefined || durationMs > 2 ** 31 - 1) {
    throw new UsageError(`${option}: "${text}" is no time; give milliseconds or 250ms, 2s`);
  }
  return durationMs;
}

/** A number of things. */
export function parseCount(option: string, text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count)) throw new UsageError(`${option}: "${text}" is no number`);
  return count;
}

/** A date or time, in seconds since the epoch: `2026-11-20`, `2026-11-20T10:30Z`, `3d`, `yesterday`. */
export function parseTimeSec(option: string, text: string): number {
  const timeSec = parseMoment(text);
  if (timeSec !== undefined) return timeSec;
  throw new UsageError(`${option}: "${text}" is no time; give 2026-11-20, 2026-11-20T10:30 or 3d`);
}

/** A user or group id. */
export function parseId(option: string, text: string): number {
  const id = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  // 2^32 - 1 means "leave as it is" to chown(2), so it is nobody's id.
  if (!(id < 2 ** 32 - 1)) throw new UsageError(`${option}: "${text}" is no numeric id`);
  return id;
}

/** One of a few words; `others` are told of as well when it is none of them. */
export function parseChoice<const T extends string>(
  option: string,
  text: string,
  choices: readonly T[],
  others: readonly string[] = [],
): T {
  const choice = choices.find((known) => known === text);
  if (choice === undefined) {
    throw new UsageError(
      `${option}: "${text}" is not one of ${[...choices, ...others].join(', ')}`,
    );
  }
  return choice;
}

function scaled(
  match: RegExpExecArray | null,
  units: Readonly<Record<string, number>>,
): number | undefined {
  const [, digits, unit] = match ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  const value = Number(digits) * (units[unit.toLowerCase()] ?? Number.NaN);
  return Number.isSafeInteger(value) ? value : undefined;
}
