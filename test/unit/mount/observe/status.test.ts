import { describe, expect, it } from 'vitest';
import { statusGauges } from '../../../../src/mount/observe/gauges.ts';
import type { BranchStatus } from '../../../../src/mount/observe/status.ts';
import { mountStatus, statusJson } from '../../../../src/mount/observe/status.ts';

describe('mountStatus', () => {
  it('tells the state of this moment as JSON', () => {
    let inodes = 1;
    const source = {
      version: '1.2.3',
      repository: '/srv/repo.git',
      mountpoint: '/mnt/a b',
      readOnly: false,
      restarts: 0,
      startedMs: Date.now() - 5000,
      branches: () => [],
      counts: () => ({ inodes, openFiles: 2, openDirectories: 3 }),
    };
    expect(mountStatus(source).inodes).toBe(1);
    inodes = 7;
    const status = mountStatus(source);
    expect(status).toMatchObject({
      version: '1.2.3',
      mountpoint: '/mnt/a b',
      pid: process.pid,
      uptimeSec: 5,
      branches: [],
      inodes: 7,
      openFiles: 2,
      openDirectories: 3,
    });
    expect(status.memory.residentBytes).toBeGreaterThan(1e6);
    expect(JSON.parse(statusJson(status))).toEqual(status);
  });
});

describe('statusGauges', () => {
  it('adds up what the branches wait for', () => {
    const branch: BranchStatus = {
      name: 'main',
      tip: null,
      stagedFiles: 2,
      stagedBytes: 300,
      lastCommit: null,
      lastError: null,
      conflicts: [],
    };
    const lastError = { message: 'disk full', time: '2026-11-21T00:00:00.000Z' };
    const status = mountStatus({
      version: '1.2.3',
      repository: '/srv/repo.git',
      mountpoint: '/mnt/a',
      readOnly: false,
      restarts: 0,
      startedMs: Date.now(),
      branches: () => [branch, { ...branch, name: 'other', stagedFiles: 1, lastError }],
      counts: () => ({ inodes: 1, openFiles: 2, openDirectories: 3 }),
    });
    const values = new Map(statusGauges(status).map(({ name, value }) => [name, value]));
    expect(values.get('vost_staged_files')).toBe(3);
    expect(values.get('vost_staged_bytes')).toBe(600);
    expect(values.get('vost_failing_branches')).toBe(1);
    expect(values.get('vost_open_branches')).toBe(2);
    expect(values.get('vost_open_directories')).toBe(3);
    expect([...values.keys()].every((name) => /^vost_[a-z_]+$/.test(name))).toBe(true);
  });
});
