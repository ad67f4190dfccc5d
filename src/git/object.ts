/** The codecs of git's objects, in one place; each has its own file. */
export { emptyTreeOid, hashObject, objectHeader } from './hash-object.ts';
export type { ObjectType } from './hash-object.ts';
export { Tree, serializeTree } from './tree-object.ts';
export type { TreeEntry } from './tree-object.ts';
export { parseCommit, serializeCommit } from './commit-object.ts';
export type { Commit } from './commit-object.ts';
export { parseTag, serializeTag } from './tag-object.ts';
export type { Tag } from './tag-object.ts';
export type { CommitStamp, Identity } from './identity.ts';
export type { ObjectHeader } from './object-headers.ts';
