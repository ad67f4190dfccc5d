import { spawn } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { eventually } from './eventually.ts';
import { daemonEnvironment } from './mount.ts';
import { program, programResult, shell } from './program.ts';
import type { ProgramOptions, ProgramResult } from './program.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** Nobody in particular, and nobody else. */
export const user = 65534;
export const otherUser = 65533;

/**
 * A private mount namespace in which users without rights may open /dev/fuse, and what they mount
 * is seen by nobody outside. It goes with the test file, and all mounts in it.
 */
export class UserNamespace {
  /** A directory that belongs to `user`. */
  readonly home: string;
  /** Where `vost-mount` is, for every user, wherever this checkout is. */
  readonly #vostMount: string;
  readonly #pid: number;

  private constructor(directory: string, pid: number) {
    this.home = join(directory, 'home');
    this.#vostMount = join(directory, 'checkout/dist/bin/vost-mount.js');
    this.#pid = pid;
  }

  static async create(): Promise<UserNamespace> {
    const directory = await temporaryDirectory();
    await chmod(directory, 0o755);
    for (const name of ['home', 'checkout', 'device']) await mkdir(join(directory, name));
    await writeFile(join(directory, 'fuse.conf'), '');
    await shell(`chown ${user}:${user} home; mknod device/fuse c 10 229; chmod 666 device/fuse`, {
      cwd: directory,
    });
    const holder = spawn('unshare', ['-m', 'sleep', '600'], { stdio: 'ignore' });
    afterAll(() => holder.kill('SIGKILL'));
    const namespace = new UserNamespace(directory, holder.pid!);
    await eventually(async () => {
      const [inside, outside] = await Promise.all(
        [holder.pid!, 'self'].map((pid) => program('readlink', [`/proc/${pid}/ns/mnt`])),
      );
      if (inside === outside) throw new Error('the namespace is not there after 5 s');
    });
    await namespace.asRoot(`
      mount --bind ${checkout} ${directory}/checkout
      mount --bind ${directory}/device/fuse /dev/fuse
      mount --bind ${directory}/fuse.conf /etc/fuse.conf
    `);
    return namespace;
  }

  /** Runs a script as root. */
  asRoot(script: string): Promise<string> {
    return program('nsenter', [...this.#enter(), 'bash', '-euc', script]);
  }

  /** Runs a script as a user, in their home; `$vost` there is the program under test. */
  as(uid: number, script: string, options: ProgramOptions = {}): Promise<ProgramResult> {
    const drop = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
    return programResult(
      'nsenter',
      [
        ...this.#enter(),
        ...['setpriv', ...drop, '--inh-caps=-all', 'bash', '-c'],
        `cd ${this.home}; vost="${process.execPath} ${this.#vostMount}"; ${script}`,
      ],
      { ...options, env: { ...daemonEnvironment, ...options.env } },
    );
  }

  #enter(): string[] {
    return [`--mount=/proc/${this.#pid}/ns/mnt`];
  }
}
