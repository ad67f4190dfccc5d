import { readFile, stat } from 'node:fs/promises';
import { CorruptObjectError } from '../../errors.ts';
import type { HashAlgorithm } from '../oid.ts';
import { isSystemError } from '../system-error.ts';
import { CommitGraph } from './commit-graph.ts';
import { CommitGraphFile } from './commit-graph-file.ts';
import type { PageCache } from './page-cache.ts';
import { FileGoneError } from './paged-file.ts';

/** One state of the files in `objects/info`, and the graph that they make. */
interface State {
  readonly identity: string;
  readonly graph: Promise<CommitGraph | undefined>;
}

interface Layer {
  readonly file: CommitGraphFile;
  readonly size: number;
}

/**
 * The commit-graph of an object directory: `info/commit-graph`, or else the chain of files that
 * `info/commit-graphs/commit-graph-chain` lists, the lowest first. Others write a new one at any time,
 * always under another name that is then renamed.
 */
export class CommitGraphFinder {
  readonly #directory: string;
  readonly #algorithm: HashAlgorithm;
  readonly #pages: PageCache;
  #state: State | undefined;

  constructor(objectsDirectory: string, algorithm: HashAlgorithm, pages: PageCache) {
    this.#directory = `${objectsDirectory}/info`;
    this.#algorithm = algorithm;
    this.#pages = pages;
  }

  /**
   * The graph that is there now; undefined when there is none, or none that is whole. Of a chain,
   * the files below a damaged one still serve. Each file is read once to check it.
   */
  async current(): Promise<CommitGraph | undefined> {
    const single = await this.#identifySingle();
    const names = single === undefined ? await this.#chain() : [];
    const identity = single ?? names.join('\n');
    if (this.#state?.identity !== identity) {
      const last = this.#state;
      const graph = single === undefined ? this.#openChain(names) : this.#openSingle();
      this.#state = { identity, graph };
      last?.graph.then((old) => old?.close()).catch(() => undefined);
      // Whoever waits has the error; the next one tries again.
      graph.catch(() => {
        if (this.#state?.graph === graph) this.#state = undefined;
      });
    }
    return this.#state.graph;
  }

  /** Lets go of all files. */
  close(): void {
    this.#state?.graph.then((graph) => graph?.close()).catch(() => undefined);
    this.#state = undefined;
  }

  async #identifySingle(): Promise<string | undefined> {
    const found = await ifThere(stat(`${this.#directory}/commit-graph`, { bigint: true }));
    return found && `${found.ino}:${found.size}:${found.mtimeNs}`;
  }

  /** The checksums of the files of a chain, which their names are made of. */
  async #chain(): Promise<string[]> {
    const path = `${this.#directory}/commit-graphs/commit-graph-chain`;
    const lines = (await ifThere(readFile(path, 'latin1')))?.trimEnd().split('\n') ?? [];
    const end = lines.findIndex((line) => !/^[0-9a-f]{40,64}$/.test(line));
    return end < 0 ? lines : lines.slice(0, end);
  }

  async #openSingle(): Promise<CommitGraph | undefined> {
    const layer = await this.#openLayer('commit-graph', undefined, []);
    return layer && new CommitGraph([layer]);
  }

  async #openChain(names: readonly string[]): Promise<CommitGraph | undefined> {
    const layers: Layer[] = [];
    for (const [at, name] of names.entries()) {
      const path = `commit-graphs/graph-${name}.graph`;
      const layer = await this.#openLayer(path, name, names.slice(0, at));
      if (layer === undefined) break;
      layers.push(layer);
    }
    return layers.length === 0 ? undefined : new CommitGraph(layers);
  }

  async #openLayer(
    name: string,
    checksum: string | undefined,
    bases: readonly string[],
  ): Promise<Layer | undefined> {
    const file = new CommitGraphFile(`${this.#directory}/${name}`, this.#algorithm, this.#pages);
    try {
      const found = await file.check();
      const isInPlace = file.bases.join() === bases.join() && found === (checksum ?? found);
      if (isInPlace) return { file, size: file.size };
    } catch (error) {
      if (!(error instanceof CorruptObjectError || error instanceof FileGoneError)) throw error;
    }
    file.file.close();
    return undefined;
  }
}

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}
