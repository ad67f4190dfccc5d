import type { Summary } from './samples.ts';

/** A line of the table: one thing measured against another, or a number against a bound. */
export type Row = SpeedRow | BoundRow;

/** How many times as fast as a rival. */
export interface SpeedRow {
  readonly kind: 'speed';
  /** The name of the measure, as given with `--only`. */
  readonly measure: string;
  readonly what: string;
  readonly rival: string;
  readonly oursMs: Summary;
  readonly rivalMs: Summary;
  readonly speed: Summary;
  /** How many times as fast it should be; only for information without one. */
  readonly atLeast?: number;
  /** How many times as fast as the rival a filesystem is that does nothing, over the same transport. */
  readonly limit?: Summary;
}

/** A number that should not be larger than another. */
export interface BoundRow {
  readonly kind: 'bound';
  readonly measure: string;
  readonly what: string;
  readonly value: Summary;
  readonly unit: 'ms' | 'MB' | '×';
  readonly atMost: number;
}

/** `limit`: nothing over this transport, on this machine, could be as fast as the target says. */
export type Verdict = 'met' | 'missed' | 'limit' | '';

export function verdict(row: Row): Verdict {
  if (row.kind === 'bound') return row.value.median <= row.atMost ? 'met' : 'missed';
  if (row.atLeast === undefined) return '';
  if (row.speed.median >= row.atLeast) return 'met';
  return row.limit !== undefined && row.limit.median < row.atLeast ? 'limit' : 'missed';
}

export const columns = [
  ...['measure', 'what', 'against', 'ours', 'rival', 'speed', 'target', 'limit', ''],
];

/** The row as cells, for any kind of table. */
export function cells(row: Row): string[] {
  const { measure, what } = row;
  if (row.kind === 'bound') {
    const { value, unit, atMost } = row;
    const range = `${amount(value.median)} (${amount(value.least)}–${amount(value.most)}) ${unit}`;
    return [measure, what, '', range, '', '', `≤ ${atMost} ${unit}`, '', verdict(row)];
  }
  const { rival, oursMs, rivalMs, speed, atLeast, limit } = row;
  const ratio = `${amount(speed.median)} (${amount(speed.least)}–${amount(speed.most)})`;
  const target = atLeast === undefined ? '' : `≥ ${amount(atLeast)}`;
  const times = [`${amount(oursMs.median)} ms`, `${amount(rivalMs.median)} ms`];
  const most = atLeast === undefined || limit === undefined ? '' : amount(limit.median);
  return [measure, what, rival, ...times, ratio, target, most, verdict(row)];
}

/** Three digits, or all that stand before the point. */
export function amount(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** For a terminal. */
export function textTable(rows: readonly Row[]): string {
  const lines = [columns, ...rows.map(cells)];
  const widths = columns.map((_column, index) =>
    Math.max(...lines.map((line) => line[index]!.length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** For the notes. */
export function markdownTable(rows: readonly Row[]): string {
  const line = (parts: readonly string[]): string => `| ${parts.join(' | ')} |`;
  return [columns, columns.map(() => '---'), ...rows.map(cells)].map(line).join('\n');
}
