import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findAlternates } from '../../../../src/git/odb/alternates.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

let root: string;

/** An object directory that borrows from these paths. */
function objects(name: string, ...alternates: string[]): string {
  const path = join(root, name);
  mkdirSync(join(path, 'info'), { recursive: true });
  if (alternates.length > 0) {
    writeFileSync(join(path, 'info/alternates'), alternates.map((line) => `${line}\n`).join(''));
  }
  return path;
}

beforeEach(async () => {
  root = await temporaryDirectory();
});

describe('findAlternates', () => {
  it('finds none where nothing is borrowed', async () => {
    expect(await findAlternates(objects('own'))).toEqual([]);
    expect(await findAlternates(objects('comments', '# a comment', ''))).toEqual([]);
  });

  it('finds absolute and relative paths, and those of theirs', async () => {
    const far = objects('far');
    const near = objects('near', relative(join(root, 'near'), far));
    const other = objects('other');
    const own = objects('own', near, '# not this', '../other');
    expect(await findAlternates(own)).toEqual([near, other, far]);
  });

  it('undoes quotes as C and git write them', async () => {
    const strange = objects('a "b"\n\\c\té');
    const quoted = `"${root}/a \\"b\\"\\n\\\\c\\t\\303\\251"`;
    const half = objects('"half');
    expect(await findAlternates(objects('own', quoted, `../"half`))).toEqual([strange, half]);
  });

  it('goes in no circle, and nowhere twice', async () => {
    const one = objects('one', '../own', '../two');
    const two = objects('two', '../one', '../own', '../two');
    const own = objects('own', '../one', '../two', '../one/../two', '../own');
    expect(await findAlternates(own)).toEqual([one, two]);
  });

  it('leaves out what is not there', async () => {
    const there = objects('there');
    writeFileSync(join(root, 'file'), '');
    const own = objects('own', '../nowhere', '../file/objects', '../there');
    expect(await findAlternates(own)).toEqual([there]);
  });

  it('goes five levels deep', async () => {
    for (let level = 9; level > 0; level--) objects(`${level}`, `../${level + 1}`);
    objects('10');
    const found = await findAlternates(objects('own', '../1'));
    expect(found).toEqual([1, 2, 3, 4, 5].map((level) => join(root, `${level}`)));
  });
});
