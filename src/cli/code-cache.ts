import { isAscii } from 'node:buffer';
import {
  closeSync,
  constants as fsConstants,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { Script } from 'node:vm';

// To compile a program is a good part of loading it. V8 can write down what it has compiled, down to
// the functions that ran, and take it up again in another process. Node 22 can keep that by itself
// (`module.enableCompileCache`), Node 20 cannot; so this does it for both, in one file for each program,
// in the user's directory for caches. It is nothing but faster: without the file, or a place for it,
// everything is compiled as usual.
//
// The file is code, so it must be one that nobody else can have written. What it has of a module is
// used only with the very text that it was made from, which stands in it too, for V8 compares nothing but
// the length; what another version of V8 or other flags have made, V8 refuses by itself.

/** What Node wraps a module of CommonJS in. */
type ModuleFunction = (
  exports: unknown,
  require: (id: string) => unknown,
  module: { exports: unknown },
  filename: string,
  directory: string,
) => void;

interface KeptCode {
  /** What it was made from. */
  readonly text: Buffer;
  readonly data: Buffer;
}

interface LoadedModule {
  readonly file: string;
  readonly text: Buffer;
  readonly script: Script;
}

/** What stands in front: of each module its file, and how many bytes its text and its code have. */
type CacheHeader = readonly {
  readonly file: string;
  readonly textBytes: number;
  readonly dataBytes: number;
}[];

/**
 * Those of Node's modules that no start needs, and that take long to load: crypto up to 8 ms. Each is loaded
 * when something of it is used, or when the start is over.
 */
const lateModules: ReadonlySet<string> = new Set(['node:crypto']);

const moduleHead = Buffer.from('(function (exports, require, module, __filename, __dirname) {');
const moduleTail = Buffer.from('\n})');

const headerLengthBytes = 4;
const writableByOthers = 0o022;

let running: CachedProgram | undefined;
let compilesAtOnce = false;

/** Runs a program whose own modules, in its directory, are all CommonJS, and have no `import()`. */
export function runCached(program: string): void {
  running = new CachedProgram(program);
  running.load(program);
}

/**
 * Keeps what was compiled so far for the next start, unless all of it came from the last one. Only the
 * first call does that: later V8 may have forgotten what ran at the start alone.
 */
export function keepCompiledCode(): void {
  // V8 takes it up only with the flags that it was written with.
  setFlag('--no-always-sparkplug');
  running?.keep();
  if (compilesAtOnce) setFlag('--always-sparkplug');
}

/**
 * From now on V8 makes machine code (its baseline) of a function that is called for the first time. By itself
 * it does so after some hundred calls, and of what a save needs each is called once or twice a save. Not
 * during the start, nor for who comes right behind it: Node has compiled its own modules with other flags, and
 * V8 would compile them again; and what is needed once is sooner interpreted.
 */
export function compileAtOnce(): void {
  compilesAtOnce = true;
  setFlag('--always-sparkplug');
}

/** Loads what the start did without, before somebody has to wait for it. */
export function loadLateModules(): void {
  running?.loadLateModules();
}

function setFlag(flag: string): void {
  process.getBuiltinModule('node:v8').setFlagsFromString(flag);
}

class CachedProgram {
  readonly #program: string;
  readonly #directory: string;
  #kept: ReadonlyMap<string, KeptCode>;
  readonly #modules = new Map<string, { exports: unknown }>();
  readonly #requireOther: NodeJS.Require;
  #loaded: LoadedModule[] = [];
  #late: (() => unknown)[] = [];
  #hasNews = false;

  constructor(program: string) {
    this.#directory = dirname(program);
    this.#requireOther = createRequire(program);
    this.#program = program;
    this.#kept = readCache(program);
  }

  load(path: string): unknown {
    const known = this.#modules.get(path);
    if (known !== undefined) return known.exports;
    const module = { exports: {} };
    this.#modules.set(path, module);
    const compiled = this.#compile(path).runInThisContext() as ModuleFunction;
    compiled(module.exports, (id) => this.#require(id), module, path, this.#directory);
    return module.exports;
  }

  keep(): void {
    const [loaded, kept] = [this.#loaded, this.#kept];
    this.#loaded = [];
    this.#kept = new Map();
    if (!this.#hasNews) return;
    this.#hasNews = false;
    const code = new Map<string, KeptCode>();
    // What this start did not need, another kind of mount does.
    for (const [file, one] of kept) {
      if (existsSync(join(this.#directory, file))) code.set(file, one);
    }
    try {
      for (const { file, text, script } of loaded) {
        code.set(file, { text, data: script.createCachedData() });
      }
      writeCache(this.#program, code);
    } catch {
      // A full disk, or no place of one's own: the next start takes as long as this one did.
    }
  }

  #require(id: string): unknown {
    if (lateModules.has(id)) return this.#requireLate(id);
    if (!id.startsWith('./')) return this.#requireOther(id);
    const path = join(this.#directory, id);
    return path in this.#requireOther.cache ? this.#requireOther(path) : this.load(path);
  }

  /** What is imported of a module is asked for each time that it is used, and not before. */
  #requireLate(id: string): unknown {
    let loaded: object | undefined;
    const load = (): object => (loaded ??= this.#requireOther(id) as object);
    this.#late.push(load);
    return new Proxy({}, { get: (_, name): unknown => Reflect.get(load(), name) });
  }

  loadLateModules(): void {
    for (const load of this.#late) load();
    this.#late = [];
  }

  #compile(path: string): Script {
    const text = readWrapped(path);
    const file = basename(path);
    const kept = this.#kept.get(file);
    const script = new Script(isAscii(text) ? text.toString('latin1') : text.toString(), {
      filename: path,
      ...(kept?.text.equals(text) === true && { cachedData: kept.data }),
    });
    if (script.cachedDataRejected !== false) this.#hasNews = true;
    this.#loaded.push({ file, text, script });
    return script;
  }
}

/**
 * A module as the text of its function. Strings put together would be copied once more by V8, which for the
 * largest module takes as long as all the rest.
 */
function readWrapped(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.allocUnsafeSlow(moduleHead.length + size + moduleTail.length);
    moduleHead.copy(bytes);
    let end = moduleHead.length;
    for (let count = size; count > 0; end += count) {
      count = readSync(fd, bytes, end, moduleHead.length + size - end, null);
    }
    moduleTail.copy(bytes, end);
    return bytes.subarray(0, end + moduleTail.length);
  } finally {
    closeSync(fd);
  }
}

/**
 * Where the XDG Base Directory Specification wants it, below a directory like that of the program. An
 * error when this user has no home.
 */
function cachePath(program: string): string {
  const configured = process.env['XDG_CACHE_HOME'] ?? '';
  const caches = isAbsolute(configured) ? configured : join(homedir(), '.cache');
  return join(caches, 'vost', `${program}.v8`);
}

function isOwn({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & writableByOthers) === 0;
}

/** What the file holds; nothing when there is none that can be trusted, or it is not of this form. */
function readCache(program: string): ReadonlyMap<string, KeptCode> {
  const kept = new Map<string, KeptCode>();
  try {
    const bytes = readOwn(cachePath(program));
    const headerEnd = headerLengthBytes + bytes.readUInt32LE(0);
    const header = JSON.parse(bytes.toString('utf8', headerLengthBytes, headerEnd)) as CacheHeader;
    let start = headerEnd;
    const take = (sizeBytes: number): Buffer => bytes.subarray(start, (start += sizeBytes));
    for (const { file, textBytes, dataBytes } of header) {
      kept.set(file, { text: take(textBytes), data: take(dataBytes) });
    }
    return kept;
  } catch {
    return new Map();
  }
}

/** Reads a file that nobody but this user can have put there; another one is an error. */
function readOwn(path: string): Buffer {
  const directory = lstatSync(dirname(path));
  const fd = openSync(path, fsConstants.O_RDONLY | fsConstants.O_NOFOLLOW);
  try {
    const status = fstatSync(fd);
    if (!isOwn(directory) || !isOwn(status)) throw new Error('others can write it');
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeCache(program: string, code: ReadonlyMap<string, KeptCode>): void {
  const path = cachePath(program);
  const header: CacheHeader = Array.from(code, ([file, { text, data }]) => {
    return { file, textBytes: text.length, dataBytes: data.length };
  });
  const headerBytes = Buffer.from(JSON.stringify(header));
  const lengthBytes = Buffer.alloc(headerLengthBytes);
  lengthBytes.writeUInt32LE(headerBytes.length);

  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    try {
      const parts = Array.from(code.values(), ({ text, data }) => [text, data]);
      for (const part of [lengthBytes, headerBytes, ...parts.flat()]) writeFileSync(fd, part);
      // What has a name after a power cut is whole.
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
