import { describe, expect, test } from 'vitest';
import {
  changeReportActions,
  changeReportInSync,
  changeReportTotal,
  emptyChangeReport,
} from '../../../src/snapshot/change-report.ts';
import type { ChangeReport, FileEntry } from '../../../src/snapshot/change-report.ts';
import { formatCommitMessage } from '../../../src/snapshot/commit-message.ts';

const entry = (path: string, type: FileEntry['type'] = 'blob'): FileEntry => ({ path, type });

function report(changes: Partial<ChangeReport>): ChangeReport {
  return { ...emptyChangeReport(), ...changes };
}

describe('commit messages', () => {
  test('name one change', () => {
    expect(formatCommitMessage(report({ add: [entry('a/b')] }))).toBe('+ a/b');
    expect(formatCommitMessage(report({ update: [entry('a', 'executable')] }))).toBe(
      '~ a (executable)',
    );
    expect(formatCommitMessage(report({ delete: [entry('a', 'link')] }))).toBe('- a (link)');
  });

  test('count several, and name the operation', () => {
    const several = report({
      add: [entry('a'), entry('b')],
      update: [entry('c')],
      delete: [entry('d')],
    });
    expect(formatCommitMessage(several)).toBe('Batch: +2 ~1 -1');
    expect(formatCommitMessage(several, null, 'cp')).toBe('Batch cp: +2 ~1 -1');
    expect(formatCommitMessage(report({ delete: [entry('a'), entry('b')] }))).toBe('Batch: -2');
    expect(formatCommitMessage(report({ add: [entry('a')] }), undefined, 'sync')).toBe(
      'Batch sync: +1',
    );
    expect(formatCommitMessage(emptyChangeReport())).toBe('No changes');
  });

  test('fill in templates', () => {
    const changes = report({ add: [entry('a'), entry('b')], delete: [entry('c')] });
    const template = '{op}|{default}|{add_count} {update_count} {delete_count} {total_count}';
    expect(formatCommitMessage(changes, template, 'cp')).toBe('cp|Batch cp: +2 -1|2 0 1 3');
    expect(formatCommitMessage(changes, template)).toBe('|Batch: +2 -1|2 0 1 3');
    expect(formatCommitMessage(changes, '{"json": {x} {constructor}}')).toBe(
      '{"json": {x} {constructor}}',
    );
    expect(formatCommitMessage(changes, '')).toBe('');
    expect(formatCommitMessage(report({ add: [entry('{op}')] }), '{default}', 'x')).toBe(
      'Batch x: +1',
    );
    expect(formatCommitMessage(report({ add: [entry('{op}$&')] }), '{default}')).toBe('+ {op}$&');
  });
});

describe('change reports', () => {
  test('are summed up', () => {
    expect(changeReportInSync(emptyChangeReport())).toBe(true);
    expect(changeReportTotal(emptyChangeReport())).toBe(0);
    expect(emptyChangeReport()).not.toBe(emptyChangeReport());
    const changes = report({
      add: [entry('b'), entry('\u{10000}')],
      update: [entry('\uffff')],
      delete: [entry('a')],
      errors: [{ path: 'x', error: 'y' }],
    });
    expect(changeReportInSync(changes)).toBe(false);
    expect(changeReportTotal(changes)).toBe(4);
    expect(changeReportActions(changes)).toEqual([
      { path: 'a', action: 'delete' },
      { path: 'b', action: 'add' },
      { path: '\uffff', action: 'update' },
      { path: '\u{10000}', action: 'add' },
    ]);
  });
});
