import { describe, expect, it } from 'vitest';
import { mountStatus, statusJson } from '../../../../src/mount/observe/status.ts';

describe('mountStatus', () => {
  it('tells the state of this moment as JSON', () => {
    let inodes = 1;
    const source = {
      version: '1.2.3',
      repository: '/srv/repo.git',
      mountpoint: '/mnt/a b',
      readOnly: false,
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
