import { join } from 'node:path';
import { afterAll, onTestFinished } from 'vitest';
import { ObjectDatabase } from '../../../../src/git/odb/object-database.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { RefStore } from '../../../../src/git/refs/ref-store.ts';
import { git } from '../../../helpers/git.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

async function openObjects(
  gitDir: string,
  onEnd: (close: () => Promise<void>) => void = onTestFinished,
): Promise<ObjectDatabase> {
  const odb = await ObjectDatabase.open({
    objectsDirectory: join(gitDir, 'objects'),
    algorithm: 'sha1',
    compressionLevel: 6,
  });
  onEnd(() => odb.close());
  return odb;
}

/** A bare repository that git made, and ways to fill it. */
export class TestRepository {
  readonly gitDir: string;
  readonly refs: RefStore;
  readonly odb: ObjectDatabase;

  private constructor(gitDir: string, odb: ObjectDatabase) {
    this.gitDir = gitDir;
    this.odb = odb;
    this.refs = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always' });
  }

  static create(): Promise<TestRepository> {
    return TestRepository.#create(onTestFinished);
  }

  /** One that outlives a test: all tests of a file use it. */
  static createForAll(): Promise<TestRepository> {
    return TestRepository.#create(afterAll);
  }

  static async #create(onEnd: (close: () => Promise<void>) => void): Promise<TestRepository> {
    const gitDir = join(await temporaryDirectory(), 'repo.git');
    await git(['init', '-q', '--bare', gitDir]);
    await git(['--git-dir', gitDir, 'config', 'core.logAllRefUpdates', 'always']);
    return new TestRepository(gitDir, await openObjects(gitDir, onEnd));
  }

  /** Another view of the objects, with empty caches. */
  openObjects(): Promise<ObjectDatabase> {
    return openObjects(this.gitDir);
  }

  /** Runs git; its output without the newline at the end. */
  async git(args: readonly string[], input?: string | Uint8Array): Promise<string> {
    const options = input === undefined ? {} : { input };
    return (await git(['--git-dir', this.gitDir, ...args], options)).trimEnd();
  }

  async blob(content: string | Uint8Array): Promise<Oid> {
    return (await this.git(['hash-object', '-w', '--stdin'], content)) as Oid;
  }

  /** A tree of the lines that `git ls-tree` would show; the objects may be missing. */
  async tree(lines: readonly string[]): Promise<Oid> {
    return (await this.git(['mktree', '--missing', '-z'], lines.join('\0'))) as Oid;
  }

  /** An object with any bytes. */
  async object(type: string, bytes: Uint8Array): Promise<Oid> {
    const args = ['hash-object', '-t', type, '-w', '--literally', '--stdin'];
    return (await this.git(args, bytes)) as Oid;
  }

  /** A commit of a tree, the empty one by default, made in the year 2023. */
  async commit(tree?: Oid, message = 'a commit'): Promise<Oid> {
    const root = tree ?? (await this.tree([]));
    return (await this.git(['commit-tree', '-m', message, root])) as Oid;
  }

  async branch(name: string, commit?: Oid): Promise<Oid> {
    const oid = commit ?? (await this.commit());
    await this.git(['update-ref', `refs/heads/${name}`, oid]);
    return oid;
  }
}
