import type { FileType } from './file-type.ts';

/** What is known about a path of a snapshot without reading its content. */
export interface StatResult {
  /** git's file mode as a number: `0o100644`, `0o100755`, `0o120000`, `0o40000`. */
  mode: number;
  fileType: FileType;
  /** In bytes; 0 for a directory. */
  size: number;
  /** The id of the blob or tree. */
  hash: string;
  /** 1, or for a directory 2 and one for each directory in it. */
  nlink: number;
  /** When the snapshot was committed, in seconds since the epoch. */
  mtime: number;
}

/** A name in a directory. */
export interface WalkEntry {
  name: string;
  /** The id of the blob or tree (of a submodule: its commit). */
  oid: string;
  /** git's file mode in octal, as `MODE_BLOB`. */
  mode: string;
}

/** Who committed, as text. */
export interface Signature {
  name: string;
  email: string;
}

/** What a commit says about itself. */
export interface CommitInfo {
  /** Without the newline that ends it. */
  message: string;
  /** When it was committed. */
  time: Date;
  authorName: string;
  authorEmail: string;
}
