import { constants } from 'node:os';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import * as errors from '../../../../src/errors.ts';
import { ErrnoError, errnoNameOf, errnoNumber } from '../../../../src/mount/vfs/errno.ts';
import { ErrorReport } from '../../../../src/mount/vfs/error-report.ts';
import { memoryLog } from '../helpers/fake-nodes.ts';

const oid = 'a'.repeat(40);

describe('errnoNameOf', () => {
  const cases: [Error, string][] = [
    [new ErrnoError('ENOTEMPTY'), 'ENOTEMPTY'],
    [new errors.FileNotFoundError('x'), 'ENOENT'],
    [new errors.NotADirectoryError('x'), 'ENOTDIR'],
    [new errors.IsADirectoryError('x'), 'EISDIR'],
    [new errors.PermissionError('x'), 'EPERM'],
    [new errors.InvalidRefNameError('x'), 'EINVAL'],
    [new errors.RefConflictError('x'), 'EEXIST'],
    [new errors.RefLockedError('x'), 'EBUSY'],
    [new errors.ObjectNotFoundError(oid), 'EIO'],
    [new errors.CorruptObjectError('x'), 'EIO'],
    [new errors.CorruptRefError('x'), 'EIO'],
  ];
  it.each(cases)('%s is %s', (error, name) => {
    expect(errnoNameOf(error)).toBe(name);
  });

  it('passes on what a failed system call says about the disk, and not about our own files', async () => {
    const full = Object.assign(new Error('full'), { code: 'ENOSPC', syscall: 'write' });
    expect(errnoNameOf(full)).toBe('ENOSPC');
    const missing: unknown = await readFile('/nonexistent/file').catch((error: unknown) => error);
    expect(missing).toMatchObject({ code: 'ENOENT' });
    expect(errnoNameOf(missing)).toBeUndefined();
  });

  const unknown: unknown[] = [
    new Error('x'),
    new errors.InvalidConfigError('x'),
    'text',
    null,
    undefined,
  ];
  it.each(unknown)('does not know %s', (error) => {
    expect(errnoNameOf(error)).toBeUndefined();
  });

  it('has the numbers of this system', () => {
    expect(errnoNumber('EROFS')).toBe(constants.errno.EROFS);
    expect(errnoNumber('ESTALE')).toBe(116);
  });
});

describe('ErrorReport', () => {
  it('answers what was foreseen without a word', () => {
    const { log, lines } = memoryLog();
    expect(new ErrorReport(log).errnoOf(new ErrnoError('EROFS'), 'write')).toBe(30);
    expect(lines).toEqual([]);
  });

  it('tells of a damaged object once, with its hash', () => {
    const { log, lines } = memoryLog();
    const report = new ErrorReport(log);
    for (const operation of ['read', 'getattr', 'read']) {
      const error = new errors.CorruptObjectError('it is broken', { oid });
      expect(report.errnoOf(error, operation)).toBe(constants.errno.EIO);
    }
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`error damaged-object operation=read oid=${oid}`);
    report.errnoOf(new errors.ObjectNotFoundError('b'.repeat(40)), 'read');
    expect(lines).toHaveLength(2);
  });

  it('answers EIO for what nobody foresaw, and tells where it came from', () => {
    const { log, lines } = memoryLog();
    const report = new ErrorReport(log);
    expect(report.errnoOf(new TypeError('undefined is not a function'), 'mkdir')).toBe(5);
    expect(report.errnoOf('a string', 'mkdir')).toBe(5);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain('error unexpected-error operation=mkdir');
    expect(lines[0]).toContain('errno.test.ts');
    expect(lines[0]!.trimEnd()).not.toContain('\n');
  });

  it('remembers a bounded number of errors', () => {
    const { log, lines } = memoryLog();
    const report = new ErrorReport(log);
    for (let index = 0; index < 3000; index++) report.errnoOf(new Error(`number ${index}`), 'read');
    expect(lines).toHaveLength(3000);
    report.errnoOf(new Error('number 2999'), 'read');
    expect(lines).toHaveLength(3000);
  });
});
