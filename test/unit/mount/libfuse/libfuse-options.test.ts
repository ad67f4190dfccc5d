import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/errors.ts';
import { MountFailedError } from '../../../../src/mount/fuse/mounting.ts';
import { nativeMount } from '../../../../src/mount/libfuse/fuse-native.ts';
import type { NativeOperations } from '../../../../src/mount/libfuse/fuse-native.ts';
import { libfuseOptions } from '../../../../src/mount/libfuse/libfuse-mount.ts';

const request = { mountpoint: '/mnt/x', source: '/srv/a,allow_other\\.git' };

describe('the options of libfuse', () => {
  it('keep the source apart from options, and let nothing be kept', () => {
    const options = libfuseOptions(request);
    expect(options).toContain('fsname=/srv/a\\,allow_other\\\\.git,subtype=vost,');
    expect(options).toContain('entry_timeout=0,attr_timeout=0,negative_timeout=0');
    expect(options).toMatch(/,rw$/);
  });

  it('hold what was asked for, and nothing that holds more than one', () => {
    const asked = { ...request, readOnly: true, allowOther: true, extraOptions: ['noatime'] };
    expect(libfuseOptions(asked)).toMatch(/,ro,allow_other,noatime$/);
    expect(() => libfuseOptions({ ...request, extraOptions: ['noatime,suid'] })).toThrow(
      InvalidArgumentError,
    );
  });

  it('are refused where they would be cut off', () => {
    const none = {} as NativeOperations;
    for (const [mountpoint, source] of [
      ['/mnt', 'ü'.repeat(600)],
      [`/${'m'.repeat(1100)}`, '/srv/a'],
    ] as const) {
      const options = libfuseOptions({ mountpoint, source });
      expect(() => nativeMount(mountpoint, none, options)).toThrow(MountFailedError);
      expect(() => nativeMount(mountpoint, none, options)).toThrow(/too long.*--transport kernel/);
    }
  });
});
