const secondsOf: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 7 * 86_400,
};

const agoPattern = /^(\d{1,9})([smhdw])$/;
const datePattern =
  /^(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.\d{1,9})?)?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/;
// `Date` takes the years 0 to 99 for those of the twentieth century.
const firstYear = 100;

/**
 * The time that a text names, in seconds since the epoch; `undefined` when it names none:
 *
 * - `now`, `yesterday` (24 hours ago), `90s`, `30m`, `2h`, `3d`, `2w` ago;
 * - dates and times of ISO 8601, with or without their separators: `2026-11-20` (its first moment),
 *   `2026-11-20T10:30`, `2026-11-20 10:30:15`, `20261120T103015Z`, `2026-11-20T10:30+01:00`. Without
 *   a zone they are in that of this process. Fractions of a second are cut off.
 */
export function parseMoment(text: string, nowMs: number = Date.now()): number | undefined {
  const nowSec = Math.floor(nowMs / 1000);
  if (text === 'now') return nowSec;
  if (text === 'yesterday') return nowSec - 86_400;
  const [, count, unit] = agoPattern.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) {
    return nowSec - Number(count) * (secondsOf[unit] ?? 0);
  }
  const [whole, year, month, day, hour = '0', minute = '0', second = '0', zone] =
    datePattern.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const date = [Number(year), Number(month) - 1, Number(day)] as const;
  const time = [Number(hour), Number(minute), Number(second)] as const;
  if (!isInCalendar(date) || time[0] > 23 || time[1] > 59 || time[2] > 59) return undefined;
  if (zone === undefined) return Math.floor(new Date(...date, ...time).getTime() / 1000);
  const offsetMinutes = zoneMinutes(zone);
  if (offsetMinutes === undefined) return undefined;
  return Date.UTC(...date, ...time) / 1000 - offsetMinutes * 60;
}

function isInCalendar([year, month, day]: readonly [number, number, number]): boolean {
  if (year < firstYear) return false;
  const date = new Date(Date.UTC(year, month, day));
  return date.getUTCMonth() === month && date.getUTCDate() === day;
}

/** Minutes east of UTC. */
function zoneMinutes(zone: string): number | undefined {
  if (zone === 'Z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const [hours, minutes] = [Number(digits.slice(0, 2)), Number(digits.slice(2))];
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}
