import { expect, test } from 'vitest';
import { GitConfig } from '../../../src/git/config.ts';
import { sharedUmask } from '../../../src/git/shared-repository.ts';

test.each([
  [null, 0o077, 0o007],
  ['umask', 0o077, 0o077],
  ['0', 0o022, 0o022],
  ['group', 0o022, 0o002],
  ['group', 0o077, 0o007],
  ['true', 0o077, 0o007],
  ['1', 0o022, 0o002],
  ['all', 0o077, 0o002],
  ['World', 0o027, 0o002],
  ['0640', 0o022, 0o027],
  ['640', 0o022, 0o027],
  ['0660', 0o077, 0o007],
  ['0600', 0o022, 0o077],
  ['0664', 0o077, 0o002],
  ['what?', 0o022, 0o022],
])('core.sharedRepository = %s makes the umask %o', (value, umask, expected) => {
  const entry = { key: 'core.sharedrepository', value, file: 'config', line: 1 };
  expect(sharedUmask(new GitConfig([entry]), umask)).toBe(expected);
});

test('without core.sharedRepository the umask stays', () => {
  expect(sharedUmask(new GitConfig([]), 0o027)).toBe(0o027);
});
