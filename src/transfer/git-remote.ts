import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteStringFromBuffer } from '../git/byte-string.ts';
import { runGit } from '../git/git-cli.ts';
import type { GitOutput } from '../git/git-cli.ts';
import { isOid } from '../git/oid.ts';
import type { Oid } from '../git/oid.ts';
import { isRefName } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { GitCommandError } from '../errors.ts';
import type { RefMove } from './mirror-diff.ts';
import type { MirrorUrl } from './mirror-url.ts';
import type { TransferContext, MirrorProgress } from './mirror-options.ts';
import { inSteps } from './outgoing.ts';
import type { PresentRefs } from './ref-selection.ts';
import type { ReceivedMove, Remote } from './remote.ts';

// A full mirror may take the branch away that HEAD names there, which git refuses by default.
const localReceivePack = 'git -c receive.denyDeleteCurrent=ignore receive-pack';

/**
 * A repository that the git program talks to: by whatever transport, ssh configuration and credential
 * helpers it has. The url, which may hold credentials, and refspecs, which may be many, reach git in
 * a file that only this user can read, and not by its arguments.
 */
export class GitRemote implements Remote {
  readonly refs: ReadonlyMap<RefName, Oid>;
  /** Those that version 2 of the protocol tells. */
  readonly ends: ReadonlyMap<RefName, RefName>;
  readonly #address: string;
  readonly #isLocal: boolean;
  readonly #context: TransferContext;

  private constructor(
    where: { readonly address: string; readonly isLocal: boolean },
    present: PresentRefs,
    context: TransferContext,
  ) {
    this.#address = where.address;
    this.#isLocal = where.isLocal;
    this.refs = present.refs;
    this.ends = present.ends;
    this.#context = context;
  }

  static async open(mirror: MirrorUrl, context: TransferContext): Promise<GitRemote> {
    const isLocal = mirror.kind === 'local';
    const address = isLocal ? mirror.path : mirror.url;
    const { stdout } = await runOnRemote(address, context, (remote) => {
      return { lines: [], args: ['ls-remote', '--refs', '--symref', '--quiet', remote] };
    });
    return new GitRemote({ address, isLocal }, refsFromListing(stdout), context);
  }

  async withoutHidden(moves: readonly RefMove[]): Promise<readonly RefMove[]> {
    if (moves.every(({ to }) => to !== null)) return moves;
    const shown = await this.#shownToPushes();
    return moves.filter(({ name, to }) => to !== null || shown.has(name));
  }

  /** git lists refs as who fetches sees them; it tells those that a push sees by what pruning would delete. */
  async #shownToPushes(): Promise<ReadonlySet<string>> {
    try {
      const { stdout } = await runOnRemote(this.#address, this.#context, (remote) => {
        // No ref here is in there, so all are deleted that are there: in words only.
        const lines = [`push = "refs/${remote}/*:refs/*"`];
        const args = ['push', '--dry-run', '--porcelain', '--prune', '--no-verify'];
        return { lines, args: [...args, ...this.#pushOptions, remote] };
      });
      const lines = byteStringFromBuffer(stdout).split('\n');
      return new Set(lines.map((line) => /^-\t:(.*)\t/.exec(line)?.[1] ?? ''));
    } catch (error) {
      // What git says when it sees no ref at all.
      if (!(error instanceof GitCommandError) || !error.stderr.includes('No refs in common')) {
        throw error;
      }
      return new Set();
    }
  }

  async send(moves: readonly RefMove[]): Promise<void> {
    for (const step of inSteps(moves)) await this.#sendAtOnce(step);
  }

  async #sendAtOnce(moves: readonly RefMove[]): Promise<void> {
    try {
      await this.#push(moves, ['--atomic']);
    } catch (error) {
      // Older servers cannot do that, and then a refused ref leaves the others moved.
      if (!(error instanceof GitCommandError) || !isWithoutAtomic(error)) throw error;
      await this.#push(moves, []);
    }
  }

  async #push(moves: readonly RefMove[], options: readonly string[]): Promise<void> {
    const lines = moves.map(
      ({ name, to }) => `push = ${quoted(to === null ? `:${name}` : `+${to}:${name}`)}`,
    );
    await runOnRemote(this.#address, this.#context, (remote) => {
      return { lines, args: ['push', '--progress', ...options, ...this.#pushOptions, remote] };
    });
  }

  get #pushOptions(): string[] {
    const receiver = this.#isLocal ? [`--receive-pack=${localReceivePack}`] : [];
    return ['--no-follow-tags', '--recurse-submodules=no', ...receiver];
  }

  async receive(moves: readonly ReceivedMove[]): Promise<void> {
    // By id and not by name, so that refs become what was announced, whatever happens there meanwhile.
    const lines = moves.map(({ name, to }) => `fetch = ${quoted(`+${to}:${name}`)}`);
    await runOnRemote(this.#address, this.#context, (remote) => {
      const args = ['fetch', '--progress', '--atomic', '--no-tags', '--no-prune'];
      const quiet = ['--no-write-fetch-head', '--no-auto-gc', '--no-recurse-submodules'];
      return { lines, args: [...args, ...quiet, '--update-head-ok', remote] };
    });
    await this.#context.repository.odb.refresh();
  }

  async close(): Promise<void> {
    // git has ended already.
  }
}

function isWithoutAtomic({ stderr }: GitCommandError): boolean {
  return stderr.includes('does not support --atomic');
}

/** Reads lines as `<oid>\t<name>`, before which `ref: <target>\t<name>` stands for a symbolic ref. */
function refsFromListing(stdout: Buffer): PresentRefs {
  const refs = new Map<RefName, Oid>();
  const targets = new Map<RefName, RefName>();
  for (const line of byteStringFromBuffer(stdout).split('\n')) {
    const [value = '', name = ''] = line.split('\t');
    if (!isRefName(name)) continue;
    const target = value.replace(/^ref: /, '');
    if (isOid(value)) refs.set(name, value);
    else if (target !== value && isRefName(target)) targets.set(name, target);
  }
  const ends = new Map(Array.from(targets, ([name, target]) => [name, endOf(target, targets)]));
  return { refs, ends };
}

function endOf(start: RefName, targets: ReadonlyMap<RefName, RefName>): RefName {
  // The other side may say anything, that they lead in a circle as well.
  const seen = new Set<RefName>();
  let end = start;
  for (
    let next = targets.get(end);
    next !== undefined && !seen.has(next);
    next = targets.get(end)
  ) {
    seen.add(next);
    end = next;
  }
  return end;
}

async function runOnRemote(
  address: string,
  { repository, identity, signal, progress }: TransferContext,
  command: (remote: string) => {
    readonly lines: readonly string[];
    readonly args: readonly string[];
  },
): Promise<GitOutput> {
  // No name that a remote of the user has.
  const remote = `vost-${randomBytes(8).toString('hex')}`;
  const { lines, args } = command(remote);
  const directory = await mkdtemp(join(tmpdir(), 'vost-remote-'));
  try {
    const file = join(directory, 'config');
    const start = Buffer.from(`[remote "${remote}"]\nurl = ${quoted(address)}\n`);
    // Names of refs are bytes.
    const refspecs = Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1');
    await writeFile(file, Buffer.concat([start, refspecs]), { mode: 0o600 });
    return await runGit(['-c', `include.path=${file}`, ...args], {
      gitDir: repository.gitDir,
      ...(signal !== undefined && { signal }),
      ...(progress !== undefined && { onStderr: progressReader(progress) }),
      env: {
        GIT_COMMITTER_NAME: identity.name,
        GIT_COMMITTER_EMAIL: identity.email,
        GIT_REFLOG_ACTION: 'restore',
      },
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

// As a value in git's configuration.
function quoted(value: string): string {
  return `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
}

const progressLine =
  /^(?:remote: )?([A-Z][A-Za-z ]+): +(?:\d+% \((\d+)\/(\d+)\)(?:, ([\d.]+) (bytes|[KMG]iB))?|(\d+))/;
const unitBytes = new Map([
  ['bytes', 1],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
]);

/** Reads what git says about its progress, as `Writing objects:  50% (2/4), 1.20 MiB | 3.00 MiB/s`. */
function progressReader(progress: (progress: MirrorProgress) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split(/[\r\n]/);
    rest = (lines.pop() ?? '').slice(-1024);
    for (const line of lines) {
      const [, phase, loaded, total, size, unit, counted] = progressLine.exec(line) ?? [];
      if (phase === undefined) continue;
      if (total === undefined) {
        progress({ phase, loaded: Number(counted) });
        continue;
      }
      const bytes = Math.round(Number(size) * (unitBytes.get(unit ?? '') ?? NaN));
      const known = Number.isNaN(bytes) ? {} : { bytes };
      progress({ phase, loaded: Number(loaded), total: Number(total), ...known });
    }
  };
}
