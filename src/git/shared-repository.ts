import type { GitConfig } from './config.ts';

const groupBits = 0o070;
const groupAndReadByAll = 0o075;

/**
 * The umask under which what is made in a repository gets the rights that `core.sharedRepository` asks for
 * (git-config(1)), from the one that there is: of files and directories alike, so what may be read may be
 * entered, too. Directories hand on their group by their setgid bit, which `git init --shared` sets. Values that
 * git does not know ask for nothing.
 */
export function sharedUmask(config: GitConfig, umask: number): number {
  const value = config.get('core.sharedRepository')?.toLowerCase();
  switch (value) {
    case undefined:
    case 'umask':
    case 'false':
    case 'no':
    case 'off':
    case '0':
      return umask;
    case '':
    case 'group':
    case 'true':
    case 'yes':
    case 'on':
    case '1':
      return umask & ~groupBits;
    case 'all':
    case 'world':
    case 'everybody':
    case '2':
      return umask & ~groupAndReadByAll;
    default:
      return /^0?[0-7]{3}$/.test(value) ? umaskOf(Number.parseInt(value, 8)) : umask;
  }
}

/** The umask that gives files this mode. */
function umaskOf(mode: number): number {
  const entered = (mode & 0o444) >> 2;
  return 0o777 & ~(mode | entered | 0o700);
}
