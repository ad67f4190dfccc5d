import type { Ignore } from 'ignore';
import type { ByteString } from '../../git/byte-string.ts';
import { isRegularMode } from '../../git/mode.ts';
import type { Tree } from '../../git/object.ts';
import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { Oid } from '../../git/oid.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import { BranchDirectory } from './branch-directory.ts';
import type { BranchNode } from './branch-node.ts';
import { CommitPlan } from './commit-plan.ts';
import { reconsider, ruleFileName } from './left-out.ts';

/** How many rule files are remembered; beyond it they are read again. */
const mostRuleFiles = 1000;

/** A rule file, or a tree, that has to be read before it is known what is ignored. */
interface Missing {
  readonly rules: Set<Oid>;
  readonly trees: Set<Oid>;
}

/**
 * Leaves what a branch's own `.gitignore` files name out of its commits, by the rules of
 * gitignore(5): the deepest file with a pattern that matches decides, and what git tracks already is
 * not ignored. A file counts as it was closed last, committed or not. What was left out is looked at again
 * when it may be named no more: a rule file above it was changed, by the mount or by others, or a directory
 * above it was moved.
 */
export class IgnoreRules {
  readonly #odb: ObjectDatabase;
  readonly #rules = new Map<Oid, Ignore>();
  /** Trees of the directories that are looked at, as long as a plan is made. */
  #trees = new Map<Oid, Tree>();

  constructor(odb: ObjectDatabase) {
    this.#odb = odb;
  }

  /** The plan of a commit without what is ignored. What it needs is read first; then it is made in one step. */
  async plan(root: BranchDirectory): Promise<CommitPlan> {
    if (this.#rules.size > mostRuleFiles) this.#rules.clear();
    try {
      for (;;) {
        const missing: Missing = { rules: new Set(), trees: new Set() };
        this.#survey(root, missing);
        if (missing.rules.size === 0 && missing.trees.size === 0) {
          return new CommitPlan(root, (...place) => this.#leavesOut(...place));
        }
        for (const oid of missing.trees) this.#trees.set(oid, await this.#odb.tree(oid));
        for (const oid of missing.rules) this.#rules.set(oid, await this.#read(oid));
      }
    } finally {
      this.#trees = new Map();
    }
  }

  /** Finds what is missing for the directories in which something is pending. */
  #survey(root: BranchDirectory, missing: Missing): void {
    const waiting = [root];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const { origin, pending, children } = at.names;
      if (pending.has(ruleFileName) || !at.isInPlace) reconsider(at);
      if (origin !== null && !this.#trees.has(origin)) {
        missing.trees.add(origin);
        continue;
      }
      const rules = this.#ruleFile(at);
      if (rules !== undefined && !this.#rules.has(rules)) missing.rules.add(rules);
      for (const name of pending) {
        const node = children.get(name);
        if (node instanceof BranchDirectory) waiting.push(node);
      }
    }
  }

  #leavesOut(directory: BranchDirectory, name: ByteString, node: BranchNode): boolean {
    const isIgnored = this.#ignores(directory, name, node);
    if (isIgnored) directory.names.ignored.add(name);
    return isIgnored;
  }

  #ignores(directory: BranchDirectory, name: ByteString, node: BranchNode): boolean {
    // A directory that git knows may hold files that it knows.
    if (this.#treeOf(directory)?.get(name) !== undefined) return false;
    let path: string = node instanceof DirectoryVnode ? `${name}/` : name;
    for (let at = directory; ;) {
      const oid = this.#ruleFile(at);
      const rules = oid === undefined ? undefined : this.#rules.get(oid);
      if (rules !== undefined) {
        const { ignored, unignored } = rules.test(path);
        if (ignored || unignored) return ignored;
      }
      const [link] = at.inode.links;
      if (link === undefined) return false;
      path = `${link.name}/${path}`;
      at = link.parent;
    }
  }

  /** The content of a directory's rule file. */
  #ruleFile(directory: BranchDirectory): Oid | undefined {
    const { children, removed } = directory.names;
    const node = children.get(ruleFileName);
    if (node instanceof BranchDirectory) return undefined;
    if (node !== undefined) return node.placed?.oid;
    if (removed.has(ruleFileName)) return undefined;
    const entry = this.#treeOf(directory)?.get(ruleFileName);
    return entry !== undefined && isRegularMode(entry.mode) ? entry.oid : undefined;
  }

  #treeOf({ names }: BranchDirectory): Tree | undefined {
    return names.origin === null ? undefined : this.#trees.get(names.origin);
  }

  async #read(oid: Oid): Promise<Ignore> {
    const { data } = await this.#odb.read(oid, 'blob');
    // Loaded here, for most mounts never need it.
    const { default: ignore } = await import('ignore');
    // Patterns and paths are compared as bytes, as git does it.
    const text = data.toString('latin1').replace(/^\xef\xbb\xbf/, '');
    return ignore({ ignorecase: false, allowRelativePaths: true }).add(text);
  }
}
