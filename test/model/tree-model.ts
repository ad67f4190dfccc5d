/** A file of the model. */
export interface ModelFile {
  readonly mode: '100644' | '100755' | '120000';
  readonly content: string;
}

/** What a model operation refuses, by the code of the library's error. */
export class Refusal extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/**
 * The files of a snapshot as a plain map: directories are only what paths imply. It does what the
 * library promises in the most obvious way, and knows neither trees nor hashes.
 */
export class TreeModel {
  readonly files: Map<string, ModelFile>;

  constructor(files: Iterable<readonly [string, ModelFile]> = []) {
    this.files = new Map(files);
  }

  copy(): TreeModel {
    return new TreeModel(this.files);
  }

  isFile(path: string): boolean {
    return this.files.has(path);
  }

  isDirectory(path: string): boolean {
    return path === '' || this.below(path).length > 0;
  }

  /** The paths below a directory. */
  below(path: string): string[] {
    return [...this.files.keys()].filter((key) => path === '' || key.startsWith(`${path}/`));
  }

  write(path: string, file: ModelFile): void {
    this.#checkParents(path);
    if (this.isDirectory(path)) throw new Refusal('EISDIR');
    this.files.set(path, file);
  }

  removeFile(path: string): void {
    if (this.isDirectory(path)) throw new Refusal('EISDIR');
    if (!this.files.delete(path)) throw new Refusal('ENOENT');
  }

  /** Puts a whole directory in place of whatever is there. */
  replaceDirectory(path: string, from: TreeModel, fromPath: string): void {
    if (path !== '') this.#checkParents(path);
    const inside = from.below(fromPath).map((key) => [key, from.get(key)] as const);
    this.#clear(path);
    for (const [key, file] of inside) {
      this.files.set(join(path, relative(key, fromPath)), file);
    }
  }

  remove(sources: readonly string[], recursive: boolean): void {
    for (const source of sources) {
      if (this.isDirectory(source)) {
        if (!recursive) throw new Refusal('EISDIR');
      } else if (!this.isFile(source)) {
        throw new Refusal('ENOENT');
      }
    }
    for (const source of sources) this.#clear(source);
  }

  move(sources: readonly string[], dest: string, slash: boolean, recursive: boolean): void {
    const into = this.#isInto(dest, sources.length > 1 || slash);
    const taken = new Set<string>();
    for (const source of sources) {
      const isDirectory = this.isDirectory(source);
      if (!isDirectory && !this.isFile(source)) throw new Refusal('ENOENT');
      if (isDirectory && !recursive) throw new Refusal('EISDIR');
      const target = into ? join(dest, baseName(source)) : dest;
      if (isWithin(target, source)) throw new Refusal('INVALID_ARGUMENT');
      if (this.isFile(target) && isDirectory) throw new Refusal('ENOTDIR');
      if (this.isDirectory(target)) throw new Refusal('EISDIR');
      if (taken.has(target)) throw new Refusal('INVALID_ARGUMENT');
      taken.add(target);
      const moved = this.#take(source);
      this.#checkParents(target);
      this.#clear(target);
      for (const [key, file] of moved) this.files.set(join(target, relative(key, source)), file);
    }
  }

  /** Sources are paths with what they say beside it: their contents, not themselves. */
  copyFrom(
    from: TreeModel,
    sources: readonly { path: string; contents: boolean }[],
    dest: string,
    options: { slash: boolean; delete: boolean; isSame: boolean },
  ): void {
    const pours = sources.some(({ contents }) => contents);
    const into = this.#isInto(dest, pours || sources.length > 1 || options.slash);
    const steps = sources.map(({ path, contents }) => {
      const isDirectory = from.isDirectory(path);
      if (!isDirectory && !from.isFile(path)) throw new Refusal('ENOENT');
      if (contents && !isDirectory) throw new Refusal('ENOTDIR');
      const target = into && !contents ? join(dest, baseName(path)) : dest;
      if (options.isSame && path === target) throw new Refusal('INVALID_ARGUMENT');
      return { path, target, isDirectory };
    });
    if (options.delete) {
      for (const { target, isDirectory } of steps) if (isDirectory) this.#clear(target);
    }
    for (const { path, target, isDirectory } of steps) {
      if (!isDirectory) {
        this.write(target, from.get(path));
        continue;
      }
      this.#checkParents(target);
      if (this.isFile(target)) throw new Refusal('ENOTDIR');
      // In the order of git's trees: of several refusals the first one counts.
      for (const key of from.below(path).sort()) {
        this.write(join(target, relative(key, path)), from.get(key));
      }
    }
  }

  get(path: string): ModelFile {
    const file = this.files.get(path);
    if (file === undefined) throw new Error(`the model has no ${path}`);
    return file;
  }

  #isInto(dest: string, mustBe: boolean): boolean {
    const into = mustBe || this.isDirectory(dest);
    if (into && this.isFile(dest)) throw new Refusal('ENOTDIR');
    return into;
  }

  #take(path: string): [string, ModelFile][] {
    const keys = this.isFile(path) ? [path] : this.below(path);
    const taken = keys.map((key): [string, ModelFile] => [key, this.get(key)]);
    for (const key of keys) this.files.delete(key);
    return taken;
  }

  #clear(path: string): void {
    this.#take(path);
  }

  #checkParents(path: string): void {
    const names = path.split('/');
    for (let count = 1; count < names.length; count++) {
      if (this.isFile(names.slice(0, count).join('/'))) throw new Refusal('ENOTDIR');
    }
  }
}

function join(directory: string, name: string): string {
  return directory === '' || name === '' ? directory + name : `${directory}/${name}`;
}

function relative(path: string, directory: string): string {
  return directory === '' ? path : path.slice(directory.length + 1);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
