import { CorruptRefError } from '../../errors.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { looseRefNames, readLooseRef, type RefValue } from './loose-refs.ts';
import { PackedRefsFile } from './packed-refs-file.ts';
import type { PackedRef } from './packed-refs.ts';
import { refNameText, type RefName } from './ref-name.ts';
import { isPerWorktree, type RefPaths } from './ref-paths.ts';

/** A ref that leads to an object: the name at the end of a chain of symbolic refs, and what it holds. */
export interface ResolvedRef {
  readonly name: RefName;
  readonly oid: Oid;
}

/** A ref as `list` gives it. */
export interface ListedRef {
  readonly name: RefName;
  readonly oid: Oid;
  /**
   * The object that is found at the end when annotated tags are followed (`oid` itself when it is
   * no tag), for a ref of which packed-refs tells it. Otherwise look at the object.
   */
  readonly peeled?: Oid;
  /** The ref that this one stands for, when it is symbolic. */
  readonly target?: RefName;
}

/** How `list` treats what it finds. */
export interface ListOptions {
  /**
   * Told of each ref that cannot be read and is therefore left out, by its name; the error is about
   * another one when it leads there.
   */
  readonly onBroken?: (error: CorruptRefError, name: RefName) => void;
  /** Told of each symbolic ref that leads to a ref which does not exist, and is therefore left out. */
  readonly onDangling?: (name: RefName) => void;
}

// As git's SYMREF_MAXDEPTH.
const longestChain = 5;
// Bound on reading again because packed-refs was replaced meanwhile.
const readAttempts = 5;
const readsAtATime = 64;

/** Reads refs: loose ones first, packed-refs where there is none. */
export class RefReader {
  readonly paths: RefPaths;
  readonly packed: PackedRefsFile;
  readonly #algorithm: HashAlgorithm;

  constructor(paths: RefPaths, algorithm: HashAlgorithm) {
    this.paths = paths;
    this.packed = new PackedRefsFile(paths.packedRefs, algorithm, paths);
    this.#algorithm = algorithm;
  }

  /** What a ref holds itself; `null` when it does not exist. A broken one is a `CorruptRefError`. */
  async read(name: RefName): Promise<RefValue | null> {
    for (let attempt = 1; ; attempt++) {
      const before = this.packed.current;
      const loose = await this.#readLoose(name);
      if (loose !== null || !name.startsWith('refs/')) return loose;
      const packed = await this.packed.load();
      const oid = packed.get(name)?.oid;
      if (oid !== undefined) return { kind: 'oid', oid };
      // Between the two looks the ref can have gone from packed-refs and come back loose; it did
      // not if packed-refs is the same as before the first look.
      if (packed === before || attempt === readAttempts) return null;
    }
  }

  /** The names that lead from a ref to the one that is not symbolic, be it broken or absent. */
  async chain(start: RefName): Promise<RefName[]> {
    const chain = [start];
    for (let name = start; chain.length <= longestChain;) {
      const value = await this.read(name).catch(nullIfBroken);
      if (value?.kind !== 'symbolic') return chain;
      name = value.target;
      chain.push(name);
    }
    throw leadsNowhere(start);
  }

  /** Follows symbolic refs. `null` when the last one does not exist, `CorruptRefError` for a loop. */
  async resolve(start: RefName): Promise<ResolvedRef | null> {
    let name = start;
    for (let length = 1; length <= longestChain; length++) {
      const value = await this.read(name);
      if (value === null) return null;
      if (value.kind === 'oid') return { name, oid: value.oid };
      name = value.target;
    }
    throw leadsNowhere(start);
  }

  /**
   * The refs whose names begin with `prefix` (bytes: `refs/heads/`), sorted by name. As git does, it
   * leaves out broken refs and symbolic ones that lead nowhere.
   */
  async list(prefix: string, options: ListOptions = {}): Promise<ListedRef[]> {
    // Loose refs first: `git pack-refs` moves them to packed-refs, so one that is not found loose
    // any more is found there.
    const loose = await this.#listLoose(prefix, options);
    const packed = await this.packed.load();
    return [...merged(loose, packed.startingWith(prefix))];
  }

  /** The names of the loose refs that begin with a prefix, sorted. */
  async looseNames(prefix: string): Promise<RefName[]> {
    const directory = prefix.slice(0, Math.max(0, prefix.lastIndexOf('/'))) || 'refs';
    const { commonDir, gitDir, disk } = this.paths;
    let names = await looseRefNames(commonDir, directory, disk);
    if (gitDir !== commonDir) {
      const own = await looseRefNames(gitDir, directory, disk);
      names = [...names.filter((name) => !isPerWorktree(name)), ...own.filter(isPerWorktree)];
    }
    return names.filter((name) => name.startsWith(prefix)).sort();
  }

  #readLoose(name: RefName): Promise<RefValue | null> {
    return readLooseRef(this.paths.ref(name), name, this.#algorithm, this.paths.disk);
  }

  async #listLoose(prefix: string, options: ListOptions): Promise<LooseRef[]> {
    const names = await this.looseNames(prefix);
    const refs: LooseRef[] = [];
    for (let start = 0; start < names.length; start += readsAtATime) {
      const some = names.slice(start, start + readsAtATime);
      refs.push(...(await Promise.all(some.map((name) => this.#readListed(name, options)))));
    }
    return refs;
  }

  async #readListed(name: RefName, options: ListOptions): Promise<LooseRef> {
    try {
      const value = await this.#readLoose(name);
      if (value === null) return { name, found: 'nothing' };
      if (value.kind === 'oid') return { name, found: { name, oid: value.oid } };
      const end = await this.resolve(value.target);
      if (end === null) {
        options.onDangling?.(name);
        return { name, found: 'broken' };
      }
      return { name, found: { name, oid: end.oid, target: value.target } };
    } catch (error) {
      if (!isBrokenRef(error)) throw error;
      options.onBroken?.(error, name);
      return { name, found: 'broken' };
    }
  }
}

/** Tells whether an error says that one ref is broken; damage of packed-refs concerns them all. */
export function isBrokenRef(error: unknown): error is CorruptRefError {
  return error instanceof CorruptRefError && error.ref !== undefined;
}

function nullIfBroken(error: unknown): null {
  if (isBrokenRef(error)) return null;
  throw error;
}

function leadsNowhere(name: RefName): CorruptRefError {
  const ref = refNameText(name);
  const message = `ref ${ref} leads in a circle, or through too many symbolic refs`;
  return new CorruptRefError(message, { ref });
}

// A file that vanished meanwhile hides nothing; a broken one hides what packed-refs says.
interface LooseRef {
  readonly name: RefName;
  readonly found: ListedRef | 'broken' | 'nothing';
}

// Both are sorted; a loose ref goes before the packed one of the same name.
function* merged(loose: readonly LooseRef[], packed: Iterable<PackedRef>): Generator<ListedRef> {
  let at = 0;
  for (const ref of packed) {
    let hidden = false;
    for (let next = loose[at]; next !== undefined && next.name <= ref.name; next = loose[++at]) {
      hidden = next.name === ref.name && next.found !== 'nothing';
      if (typeof next.found !== 'string') yield next.found;
    }
    if (!hidden) yield listed(ref);
  }
  for (const { found } of loose.slice(at)) if (typeof found !== 'string') yield found;
}

function listed({ name, oid, peeled }: PackedRef): ListedRef {
  return peeled === undefined ? { name, oid } : { name, oid, peeled };
}
