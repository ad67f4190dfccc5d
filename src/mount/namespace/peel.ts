import { CorruptObjectError } from '../../errors.ts';
import { parseTag } from '../../git/object.ts';
import type { ObjectType } from '../../git/object.ts';
import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { Oid } from '../../git/oid.ts';

/** What a ref leads to when annotated tags are followed. */
export interface Peeled {
  readonly oid: Oid;
  readonly type: Exclude<ObjectType, 'tag'>;
  /** When the last tag on the way was made, in seconds since 1970, if it says so. */
  readonly taggedTimeSec?: number;
}

/** Tags of tags; nobody makes so many, and each one is a read. */
const longestChain = 64;

/** Follows annotated tags to the end. Damage on the way is passed on as the object database tells it. */
export async function peel(
  odb: Pick<ObjectDatabase, 'header' | 'read'>,
  from: Oid,
): Promise<Peeled> {
  let oid = from;
  let taggedTimeSec: number | undefined;
  for (let length = 0; length < longestChain; length++) {
    const { type } = await odb.header(oid);
    if (type !== 'tag') return { oid, type, ...(taggedTimeSec !== undefined && { taggedTimeSec }) };
    const tag = parseTag((await odb.read(oid, 'tag')).data, oid);
    oid = tag.object;
    taggedTimeSec = tag.tagger?.timeSec;
  }
  throw new CorruptObjectError('a tag leads to more than 64 other tags', { oid: from });
}
