import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LogFile } from '../../../../src/mount/observe/log-file.ts';
import { Log } from '../../../../src/mount/observe/log.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

function lineOf(fields: Record<string, string | number | boolean | undefined>): string {
  const lines: string[] = [];
  new Log({ write: (line) => lines.push(line) }).warn('event', fields);
  expect(lines).toHaveLength(1);
  return lines[0]!.replace(/^\S+ /, '');
}

describe('Log', () => {
  it('writes the time, the level, the event and its fields', () => {
    const lines: string[] = [];
    const log = new Log({ write: (line) => lines.push(line) }, 'debug');
    log.error('a');
    log.info('b', { count: 3, ok: true, nothing: undefined });
    expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z error a\n$/);
    expect(lines[1]).toMatch(/Z info b count=3 ok=true\n$/);
  });

  it('leaves out what is below its level', () => {
    const lines: string[] = [];
    const log = new Log({ write: (line) => lines.push(line) }, 'warn');
    log.info('a');
    log.debug('b');
    log.warn('c');
    log.error('d');
    expect(lines.map((line) => line.trim().split(' ').at(-1))).toEqual(['c', 'd']);
    expect([log.writes('warn'), log.writes('info')]).toEqual([true, false]);
  });

  it('keeps a line one line, whatever a name holds', () => {
    expect(lineOf({ path: 'src/a-b_c.ts' })).toBe('warn event path=src/a-b_c.ts\n');
    expect(lineOf({ path: '' })).toBe('warn event path=""\n');
    expect(lineOf({ path: 'a b="c"' })).toBe('warn event path="a b=\\"c\\""\n');
    expect(lineOf({ path: 'a\n2026 error fake' })).toBe('warn event path="a\\n2026 error fake"\n');
    expect(lineOf({ path: '\x1b[31mred\x7f\x9b' })).toBe(
      'warn event path="\\u001b[31mred\\u007f\\u009b"\n',
    );
    expect(lineOf({ path: 'a\u202egpj.exe\u2028' })).toBe(
      'warn event path="a\\u202egpj.exe\\u2028"\n',
    );
    expect(lineOf({ path: '\udcff' })).toBe('warn event path="\\udcff"\n');
    expect(lineOf({ path: 'größe' })).toBe('warn event path="größe"\n');
  });
});

describe('LogFile', () => {
  it('appends lines in their order, and has written all of them when it is closed', async () => {
    const path = join(await temporaryDirectory(), 'log');
    for (const round of ['a', 'b']) {
      const file = await LogFile.open(path);
      for (let count = 0; count < 1000; count++) file.write(`${round} ${count}\n`);
      await file.close();
    }
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(2000);
    expect(lines[0]).toBe('a 0');
    expect(lines[1999]).toBe('b 999');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('drops what a bounded queue cannot hold, and says so', async () => {
    const path = join(await temporaryDirectory(), 'log');
    const file = await LogFile.open(path);
    const line = `${'x'.repeat(1023)}\n`;
    for (let count = 0; count < 1500; count++) file.write(line);
    await file.close();
    const content = await readFile(path, 'utf8');
    expect(content.split(line).length - 1).toBe(1024);
    expect(content).toContain('warn log-lines-lost count=476\n');
  });

  it('survives a disk that takes nothing', async () => {
    const file = await LogFile.open('/dev/full');
    file.write('lost\n');
    await new Promise((resolve) => setTimeout(resolve, 20));
    file.write('lost too\n');
    await file.close();
    await expect((await open('/dev/full')).close()).resolves.toBeUndefined();
  });
});
