import { expect, test } from 'vitest';
import { parseMountTable, readMountTable } from '../../../src/mount/mount-table.ts';

test('reads the lines of mountinfo, with and without optional fields', () => {
  const text = [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro',
    '39 22 0:45 / /mnt/a\\040b\\011c\\134d ro,nosuid - fuse.vost /srv/x\\012y.git rw,user_id=0',
    '',
  ].join('\n');
  expect(parseMountTable(text)).toEqual([
    {
      ...{ device: '254:0', mountpoint: '/', type: 'ext4', source: '/dev/vda' },
      options: ['rw', 'relatime', 'rw', 'errors=remount-ro'],
    },
    {
      ...{
        device: '0:45',
        mountpoint: '/mnt/a b\tc\\d',
        type: 'fuse.vost',
        source: '/srv/x\ny.git',
      },
      options: ['ro', 'nosuid', 'rw', 'user_id=0'],
    },
  ]);
});

test('reads the table of this system', async () => {
  const mountpoints = (await readMountTable()).map((entry) => entry.mountpoint);
  expect(mountpoints).toContain('/');
  expect(mountpoints).toContain('/proc');
});
