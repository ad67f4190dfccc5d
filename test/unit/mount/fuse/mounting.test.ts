import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/errors.ts';
import { fusermountOptions } from '../../../../src/mount/fuse/fusermount.ts';
import { mountCall } from '../../../../src/mount/fuse/mount-call.ts';
import { mountArguments } from '../../../../src/mount/fuse/mounting.ts';

const request = { mountpoint: '/mnt/x', source: '/srv/a,allow_other.git' };

describe('the arguments of mount(8)', () => {
  it('keep paths apart from options', () => {
    const args = mountArguments(request);
    expect(args.slice(-3)).toEqual(['--', '/srv/a,allow_other.git', '/mnt/x']);
    const options = args[args.indexOf('-o') + 1]?.split(',') ?? [];
    expect(options).toEqual(expect.arrayContaining(['fd=3', 'rootmode=40000', 'nosuid', 'rw']));
    expect(options).not.toContain('allow_other');
  });

  it('hold what was asked for', () => {
    const args = mountArguments({
      ...request,
      ...{ readOnly: true, allowOther: true, extraOptions: ['noatime', 'context=a:b'] },
    });
    const options = args[args.indexOf('-o') + 1]?.split(',') ?? [];
    expect(options).toEqual(
      expect.arrayContaining(['ro', 'allow_other', 'noatime', 'context=a:b']),
    );
    expect(options).not.toContain('rw');
  });

  it.each(['noatime,suid', 'x=a,b', 'x=a b', '', '-v', 'a=\n', 'A=1'])(
    'refuse the option %j',
    (option) => {
      expect(() => mountArguments({ ...request, extraOptions: [option] })).toThrow(
        InvalidArgumentError,
      );
    },
  );
});

describe('the call of mount(2)', () => {
  it('says what the arguments of mount(8) do', () => {
    expect(mountCall(request, ['fd=7', 'rootmode=40000'])).toEqual({
      flags: 2 | 4,
      data: 'fd=7,rootmode=40000',
    });
    expect(mountCall({ ...request, readOnly: true }, [])?.flags).toBe(1 | 2 | 4);
  });

  it('is left to mount(8) for options that only that knows', () => {
    expect(mountCall({ ...request, extraOptions: [] }, [])).toBeDefined();
    expect(mountCall({ ...request, extraOptions: ['noatime'] }, [])).toBeUndefined();
  });
});

describe('the options of fusermount3', () => {
  it('keep the source apart from options', () => {
    const options = fusermountOptions({ ...request, source: '/srv/a,allow_other\\.git' });
    expect(options).toContain('fsname=/srv/a\\,allow_other\\\\.git,subtype=vost,');
    expect(options).toMatch(/,rw$/);
  });

  it('hold what was asked for, and nothing that holds more than one', () => {
    const asked = { ...request, readOnly: true, allowOther: true, extraOptions: ['noatime'] };
    expect(fusermountOptions(asked)).toMatch(/,ro,allow_other,noatime$/);
    expect(() => fusermountOptions({ ...request, extraOptions: ['noatime,suid'] })).toThrow(
      InvalidArgumentError,
    );
  });
});
