import { amount } from './report.ts';
import type { SpeedRow } from './report.ts';
import { verdict } from './report.ts';

const width = 860;
const labelWidth = 400;
const barHeight = 18;
const gap = 6;
const top = 34;
const colors = { met: '#2e7d32', missed: '#c62828', limit: '#f9a825', '': '#607d8b' } as const;

/**
 * Bars of how many times as fast we are, on a logarithmic scale around 1, with a line for the spread
 * and a mark where the target is.
 */
export function speedPlot(title: string, rows: readonly SpeedRow[]): string {
  const values = rows.flatMap(({ speed, atLeast }) => [speed.least, speed.most, atLeast ?? 1]);
  const least = Math.log2(Math.min(0.5, ...values));
  const most = Math.log2(Math.max(2, ...values));
  const x = (value: number): number =>
    labelWidth + ((Math.log2(value) - least) / (most - least)) * (width - labelWidth - 70);
  const height = top + rows.length * (barHeight + gap) + 10;
  const one = x(1).toFixed(1);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    `<text x="10" y="20" font-size="14" font-weight="bold">${escaped(title)}</text>`,
    `<line x1="${one}" x2="${one}" y1="${top - 6}" y2="${height - 6}" stroke="#888"/>`,
  ];
  for (const [index, row] of rows.entries()) {
    const y = top + index * (barHeight + gap);
    const middle = y + barHeight / 2;
    const { median, least: low, most: high } = row.speed;
    const from = Math.min(x(1), x(median));
    const length = Math.abs(x(median) - x(1));
    const label = `${row.what} / ${row.rival}`;
    parts.push(
      `<text x="${labelWidth - 8}" y="${middle + 4}" text-anchor="end">${escaped(label)}</text>`,
      `<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, length).toFixed(1)}" height="${barHeight}" fill="${colors[verdict(row)]}" opacity="0.75"/>`,
      `<line x1="${x(low).toFixed(1)}" x2="${x(high).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="black"/>`,
      `<text x="${(Math.max(x(high), x(1)) + 6).toFixed(1)}" y="${middle + 4}">${amount(median)}×</text>`,
    );
    if (row.atLeast !== undefined) {
      const mark = x(row.atLeast).toFixed(1);
      parts.push(
        `<line x1="${mark}" x2="${mark}" y1="${y - 2}" y2="${y + barHeight + 2}" stroke="#1565c0" stroke-width="2"/>`,
      );
    }
  }
  return [...parts, '</svg>', ''].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
