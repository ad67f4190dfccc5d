import { isAscii } from 'node:buffer';
import { createHash } from 'node:crypto';
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
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

// To compile a program is a good part of loading it. V8 can write down what it has compiled, down to
// the functions that ran, and take it up again in another process. Node 22 can keep that by itself
// (`module.enableCompileCache`), Node 20 cannot; so this does it for both, in one file for each program,
// in the user's directory for caches. It is nothing but faster: without the file, or a place for it,
// everything is compiled as usual.
//
// The file is code, so it must be one that nobody else can have written. What it has of a module is
// used only with the very text that it was made from, for V8 compares nothing but the length; what
// another version of V8 or other flags have made, V8 refuses by itself.

/** What Node wraps a module of CommonJS in. */
type ModuleFunction = (
  exports: unknown,
  require: (id: string) => unknown,
  module: { exports: unknown },
  filename: string,
  directory: string,
) => void;

interface KeptCode {
  readonly sha256: string;
  readonly data: Buffer;
}

interface LoadedModule {
  readonly file: string;
  readonly sha256: string;
  readonly script: Script;
}

/** What stands in front of the code: of each module its file, what it was made from, and its size. */
type CacheHeader = readonly {
  readonly file: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}[];

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
  setFlagsFromString('--no-always-sparkplug');
  running?.keep();
  if (compilesAtOnce) setFlagsFromString('--always-sparkplug');
}

/**
 * From now on V8 makes machine code (its baseline) of a function that is called for the first time. By itself
 * it does so after some hundred calls, and of what a save needs each is called once or twice a save. Not
 * during the start, nor for who comes right behind it: Node has compiled its own modules with other flags, and
 * V8 would compile them again; and what is needed once is sooner interpreted.
 */
export function compileAtOnce(): void {
  compilesAtOnce = true;
  setFlagsFromString('--always-sparkplug');
}

class CachedProgram {
  readonly #program: string;
  readonly #directory: string;
  #kept: ReadonlyMap<string, KeptCode>;
  readonly #modules = new Map<string, { exports: unknown }>();
  readonly #requireOther: NodeJS.Require;
  #loaded: LoadedModule[] = [];
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
      for (const { file, sha256, script } of loaded) {
        code.set(file, { sha256, data: script.createCachedData() });
      }
      writeCache(this.#program, code);
    } catch {
      // A full disk, or no place of one's own: the next start takes as long as this one did.
    }
  }

  #require(id: string): unknown {
    if (!id.startsWith('./')) return this.#requireOther(id);
    const path = join(this.#directory, id);
    return path in this.#requireOther.cache ? this.#requireOther(path) : this.load(path);
  }

  #compile(path: string): Script {
    const bytes = readWrapped(path);
    const sha256 = digest(bytes.subarray(moduleHead.length, -moduleTail.length));
    const file = basename(path);
    const kept = this.#kept.get(file);
    const script = new Script(isAscii(bytes) ? bytes.toString('latin1') : bytes.toString(), {
      filename: path,
      ...(kept?.sha256 === sha256 && { cachedData: kept.data }),
    });
    if (script.cachedDataRejected !== false) this.#hasNews = true;
    this.#loaded.push({ file, sha256, script });
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

/** Where the XDG Base Directory Specification wants it. An error when this user has no home. */
function cachePath(program: string): string {
  const configured = process.env['XDG_CACHE_HOME'] ?? '';
  const caches = isAbsolute(configured) ? configured : join(homedir(), '.cache');
  const name = `${basename(program, '.js')}-${digest(program).slice(0, 16)}.v8`;
  return join(caches, 'vost', name);
}

function digest(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
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
    for (const { file, sha256, sizeBytes } of header) {
      kept.set(file, { sha256, data: bytes.subarray(start, start + sizeBytes) });
      start += sizeBytes;
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
  const header: CacheHeader = Array.from(code, ([file, { sha256, data }]) => {
    return { file, sha256, sizeBytes: data.length };
  });
  const headerBytes = Buffer.from(JSON.stringify(header));
  const lengthBytes = Buffer.alloc(headerLengthBytes);
  lengthBytes.writeUInt32LE(headerBytes.length);

  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    try {
      for (const part of [
        lengthBytes,
        headerBytes,
        ...Array.from(code.values(), ({ data }) => data),
      ]) {
        writeFileSync(fd, part);
      }
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
