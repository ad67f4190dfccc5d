import { UsageError } from './exit-codes.ts';

/** Words of fstab(5) that are about mount(8) and the boot, not about this filesystem. */
const notOurs =
  /^(defaults|auto|noauto|user(=.*)?|nouser|users|owner|group|nofail|_netdev|comment=.*|x-.*|X-.*)$/;

/**
 * Mounts are always nosuid and nodev, and git stores nothing that would make a difference; but
 * mount.fuse(8) adds these words by itself.
 */
const withoutEffect = /^(no)?(suid|dev)$|^exec$|^async$/;

/** What the kernel itself sees to, for a mount of any type. */
const kernelOptions = /^(noexec|(no|rel|strict)atime|nodiratime)$/;

/** The words that have no long option of the same name. */
const spelledOtherwise: Readonly<Record<string, string>> = {
  ro: '--read-only',
  rw: '--read-only=false',
};

/** The long option behind the words for the kernel; it has no other use, so `--help` does not show it. */
export const kernelOptionName = 'kernel-option';

/** The long options there are: those that take no value, and those that take one. */
export interface OptionNames {
  readonly flags: ReadonlySet<string>;
  readonly valued: ReadonlySet<string>;
}

/**
 * Replaces each `-o a,b=c` by the long options that it stands for, so that there is one parser
 * for both forms. `_` may stand for `-` in a name (`allow_other`), `\,` is a comma in a value.
 */
export function expandFstabOptions(argv: readonly string[], names: OptionNames): string[] {
  const expanded: string[] = [];
  const rest = [...argv];
  for (let token = rest.shift(); token !== undefined; token = rest.shift()) {
    if (token === '--') {
      // What follows are paths, whatever they look like.
      return [...expanded, ...rest.map((path) => (path.startsWith('-') ? `./${path}` : path))];
    }
    if (!token.startsWith('-o')) {
      const flag = /^--([^=]+)=/.exec(token)?.[1];
      if (flag !== undefined && names.flags.has(flag)) {
        throw new UsageError(`--${flag} takes no value`);
      }
      expanded.push(token);
      continue;
    }
    const list = token === '-o' ? rest.shift() : token.slice(2).replace(/^=/, '');
    if (list === undefined) throw new UsageError('-o needs a list of options');
    for (const item of splitAtCommas(list)) {
      if (notOurs.test(item) || withoutEffect.test(item)) continue;
      expanded.push(longOption(item, names));
    }
  }
  return expanded;
}

function longOption(item: string, names: OptionNames): string {
  const equals = item.indexOf('=');
  const word = equals < 0 ? item : item.slice(0, equals);
  const long = equals < 0 ? spelledOtherwise[word] : undefined;
  if (long !== undefined) return long;
  if (kernelOptions.test(item)) return `--${kernelOptionName}=${item}`;
  const name = word.replaceAll('_', '-');
  if (names.flags.has(name)) {
    if (equals >= 0) throw new UsageError(`-o ${word} takes no value`);
    return `--${name}`;
  }
  if (names.valued.has(name)) {
    if (equals < 0) throw new UsageError(`-o ${word} needs a value, as in ${word}=…`);
    return `--${name}=${item.slice(equals + 1)}`;
  }
  throw new UsageError(`unknown mount option "${item}"`);
}

function splitAtCommas(list: string): string[] {
  return (list.match(/(?:\\.|[^,\\]|\\$)+/gs) ?? []).map((item) => item.replace(/\\(.)/gs, '$1'));
}
