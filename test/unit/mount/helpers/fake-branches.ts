import type { Oid } from '../../../../src/git/oid.ts';
import type { RefName } from '../../../../src/git/refs/ref-name.ts';
import type {
  BranchPlace,
  BranchProvider,
} from '../../../../src/mount/namespace/branch-provider.ts';
import type { BranchStatus } from '../../../../src/mount/observe/status.ts';
import { ErrnoError } from '../../../../src/mount/vfs/errno.ts';
import type { NodeContext } from '../../../../src/mount/vfs/node-context.ts';
import type { Attr, Ino } from '../../../../src/mount/vfs/operations.ts';
import { directoryAttr } from '../../../../src/mount/vfs/attr.ts';
import { DirectoryVnode } from '../../../../src/mount/vfs/vnode.ts';
import type { CacheRule, DirectoryStream } from '../../../../src/mount/vfs/vnode.ts';
import type { TestRepository } from './repositories.ts';

/** The root of a branch, as the namespace sees it: nothing but its place. */
export class FakeBranch extends DirectoryVnode {
  readonly cache: CacheRule = { entriesValidSec: 0, attrValidSec: 0 };
  readonly place: BranchPlace;
  readonly #context: NodeContext;

  constructor(context: NodeContext, place: BranchPlace) {
    super();
    this.#context = context;
    this.place = place;
  }

  get ino(): Ino {
    return this.place.ino;
  }

  get parent(): DirectoryVnode {
    return this.place.parent ?? this;
  }

  getattr(): Attr {
    return directoryAttr(this.#context, this.ino, 0, { sec: 0, nsec: 0 });
  }

  lookup(): null {
    return null;
  }

  entries(): DirectoryStream {
    return { entry: () => undefined };
  }
}

/** Branches of a repository that git made; which of them are empty is for the test to say. */
export class FakeBranches implements BranchProvider {
  readonly opened: string[] = [];
  readonly notEmpty = new Set<string>();
  readonly #context: NodeContext;
  readonly #repository: TestRepository;
  /** Runs in the middle of a rename or removal, when the ref has changed and the names have not. */
  afterRefChange: () => Promise<void> = () => Promise.resolve();

  constructor(context: NodeContext, repository: TestRepository) {
    this.#context = context;
    this.#repository = repository;
  }

  open(branch: RefName, place: BranchPlace): FakeBranch {
    this.opened.push(branch);
    return new FakeBranch(this.#context, place);
  }

  async create(branch: RefName): Promise<void> {
    const identity = { name: 'Bo Brancher', email: 'bo@example.com' };
    const oid = await this.#repository.commit();
    const update = { name: branch, oid, expected: null, message: 'created', identity };
    await this.#repository.refs.update(update);
  }

  async rename(_from: RefName, _to: RefName, moveRef: () => Promise<void>): Promise<void> {
    await moveRef();
    await this.afterRefChange();
  }

  async remove(branch: RefName, deleteRef: (tip: Oid | null) => Promise<void>): Promise<void> {
    if (this.notEmpty.has(branch)) throw new ErrnoError('ENOTEMPTY');
    const tip = await this.#repository.refs.resolve(branch);
    await deleteRef(tip?.oid ?? null);
    await this.afterRefChange();
  }

  status(): readonly BranchStatus[] {
    return [];
  }
}
