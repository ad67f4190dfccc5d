import { bytesFromText, type ByteString } from '../byte-string.ts';
import type { LockMarks } from './lock-marks.ts';

// What each linked worktree has of its own; see "REFS" in git-worktree(1).
const ofOneWorktree = /^(?!refs\/)|^refs\/(?:bisect|worktree|rewritten)(?:\/|$)/;

/** Tells whether a ref belongs to one worktree, as `HEAD` does, instead of to the whole repository. */
export function isPerWorktree(name: string): boolean {
  return ofOneWorktree.test(name);
}

/** Where the refs of a repository and their logs are on disk; see gitrepository-layout(5). */
export class RefPaths {
  /** The git directory of this worktree. */
  readonly gitDir: ByteString;
  /** The git directory that all worktrees share; the same one when there is only one. */
  readonly commonDir: ByteString;

  /** How locks that are taken on these paths are marked; `undefined` for not at all. */
  readonly marks: LockMarks | undefined;

  constructor(gitDir: string, commonDir: string, marks?: LockMarks) {
    this.gitDir = bytesFromText(gitDir);
    this.commonDir = bytesFromText(commonDir);
    this.marks = marks;
  }

  /** The directory that the name of a ref is a path in. */
  base(name: string): ByteString {
    return isPerWorktree(name) ? this.gitDir : this.commonDir;
  }

  /** The file that holds a loose ref. */
  ref(name: string): ByteString {
    return `${this.base(name)}/${name}` as ByteString;
  }

  /** The file that holds the reflog of a ref. */
  log(name: string): ByteString {
    return `${this.base(name)}/logs/${name}` as ByteString;
  }

  /**
   * The directories whose entries lead to the files of some refs and to their logs. All of them, up
   * to the git directory: any can have been made a moment ago by somebody who did not sync it.
   */
  *directories(names: Iterable<string>): Generator<ByteString> {
    for (const name of names) {
      for (const file of [name, `logs/${name}`]) {
        const parts = [this.base(name), ...file.split('/').slice(0, -1)];
        for (const index of parts.keys()) {
          yield parts.slice(0, index + 1).join('/') as ByteString;
        }
      }
    }
  }

  /** Where a log stands for a moment while its ref is renamed; no ref can have this name. */
  get logOnTheMove(): ByteString {
    return `${this.commonDir}/logs/refs/.tmp-renamed-log` as ByteString;
  }

  get packedRefs(): ByteString {
    return `${this.commonDir}/packed-refs` as ByteString;
  }
}
