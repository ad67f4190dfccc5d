import { describe, expect, test } from 'vitest';
import { InvalidArgumentError } from '../../../src/errors.ts';
import {
  FileType,
  MODE_BLOB,
  MODE_BLOB_EXEC,
  MODE_LINK,
  MODE_TREE,
  fileModeFromOption,
  fileModeFromType,
  fileTypeFromMode,
} from '../../../src/snapshot/file-type.ts';

describe('file types', () => {
  test('and modes lead to each other', () => {
    const pairs = [
      [FileType.BLOB, MODE_BLOB, 0o100644],
      [FileType.EXECUTABLE, MODE_BLOB_EXEC, 0o100755],
      [FileType.LINK, MODE_LINK, 0o120000],
      [FileType.TREE, MODE_TREE, 0o40000],
    ] as const;
    for (const [type, mode, number] of pairs) {
      expect(fileModeFromType(type)).toBe(mode);
      expect(fileTypeFromMode(mode)).toBe(type);
      expect(fileTypeFromMode(number)).toBe(type);
    }
    expect(Object.values(FileType)).toEqual(['blob', 'executable', 'link', 'tree']);
    expect(fileTypeFromMode('40000')).toBe(FileType.TREE);
    expect(fileTypeFromMode('100664')).toBe(FileType.BLOB);
    expect(fileTypeFromMode(0o160000)).toBe(FileType.TREE);
    for (const mode of ['', '644', '0644', '100648', 'blob', 0, 0o644, 0o60000, -1, 0.5]) {
      expect(() => fileTypeFromMode(mode)).toThrow(InvalidArgumentError);
    }
  });

  test('are options of writes', () => {
    expect(fileModeFromOption(undefined)).toBe(0o100644);
    expect(fileModeFromOption(FileType.EXECUTABLE)).toBe(0o100755);
    expect(fileModeFromOption('100755')).toBe(0o100755);
    expect(fileModeFromOption(0o100755)).toBe(0o100755);
    expect(fileModeFromOption('100664')).toBe(0o100644);
    for (const mode of [FileType.TREE, MODE_TREE, 0o160000, 'exec', 7]) {
      expect(() => fileModeFromOption(mode)).toThrow(InvalidArgumentError);
    }
  });
});
