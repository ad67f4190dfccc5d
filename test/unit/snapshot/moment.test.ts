import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseMoment } from '../../../src/snapshot/moment.ts';

const nowMs = Date.UTC(2026, 10, 21, 3, 0, 0) + 999;
const nowSec = Date.UTC(2026, 10, 21, 3, 0, 0) / 1000;
const utc = (text: string): number => Date.parse(text) / 1000;

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a moment', () => {
  it.each([
    ['now', 0],
    ['90s', 90],
    ['30m', 1800],
    ['2h', 7200],
    ['3d', 3 * 86_400],
    ['2w', 14 * 86_400],
    ['0h', 0],
    ['yesterday', 86_400],
  ])('%s is so many seconds ago', (text, ago) => {
    expect(parseMoment(text, nowMs)).toBe(nowSec - ago);
  });

  it.each([
    ['2026-11-20T10:30Z', '2026-11-20T10:30:00Z'],
    ['2026-11-20 10:30:15Z', '2026-11-20T10:30:15Z'],
    ['2026-11-20T10:30:15.999Z', '2026-11-20T10:30:15Z'],
    ['2026-11-20T10:30+01:00', '2026-11-20T09:30:00Z'],
    ['2026-11-20T10:30-0530', '2026-11-20T16:00:00Z'],
    ['2026-11-20T10+02', '2026-11-20T08:00:00Z'],
    ['20261120T221003Z', '2026-11-20T22:10:03Z'],
    ['2024-02-29T00:00Z', '2024-02-29T00:00:00Z'],
  ])('%s is %s', (text, expected) => {
    expect(parseMoment(text, nowMs)).toBe(utc(expected));
  });

  it.each([
    ['America/New_York', '2026-07-04', '2026-07-04T04:00:00Z'],
    ['America/New_York', '2026-11-20T10:30', '2026-11-20T15:30:00Z'],
    ['Asia/Kolkata', '2026-11-20T10:30:01', '2026-11-20T05:00:01Z'],
    ['UTC', '2026-11-20', '2026-11-20T00:00:00Z'],
  ])('without a zone is local: in %s, %s is %s', (zone, text, expected) => {
    vi.stubEnv('TZ', zone);
    expect(parseMoment(text, nowMs)).toBe(utc(expected));
  });

  it.each([
    '',
    'notadate',
    'Now',
    '2',
    '-2h',
    '2y',
    '1234567890h',
    '2026-13-01',
    '2026-00-10',
    '2026-02-29',
    '2026-11-20T24:00',
    '2026-11-20T10:60',
    '2026-11-20T10:30:60',
    '2026-11-20T10:30+24:00',
    '2026-11-20T10:30+01:60',
    '2026-11-20T',
    '2026-11-20Z',
    '0099-01-01',
    '2026-11-20T10:30 ',
    ' 2026-11-20',
    '2026-11-20\n',
  ])('%j is none', (text) => {
    expect(parseMoment(text, nowMs)).toBeUndefined();
  });
});
