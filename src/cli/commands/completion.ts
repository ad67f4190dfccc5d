import { logLevels, transports } from '../../mount/mount-options.ts';
import { vostMountType } from '../../mount/mount-table.ts';
import { exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { mountOptions, verbs } from '../options.ts';

/** Values that an option has; others complete to nothing, but for those that name a path. */
const choices: Readonly<Record<string, readonly string[]>> = {
  'commit-on': ['close', 'fsync', 'manual', 'idle:'],
  'log-level': logLevels,
  snapdir: ['visible', 'hidden'],
  transport: transports,
};
const paths: ReadonlySet<string> = new Set(['log-file', 'spool-dir']);

/** Of the verbs; without one, it is those of a mount. */
const verbOptions: Readonly<Record<string, string>> = {
  list: '--json',
  status: '--json',
  commit: '--message',
  unmount: '',
  completion: '',
};

/** `vost-mount completion`: a script for bash, from the same tables as `--help`. */
export function completionCommand(): ExitCode {
  process.stdout.write(completionScript());
  return exitCode.success;
}

function completionScript(): string {
  const shown = Object.entries(mountOptions).filter(([, { hidden }]) => hidden !== true);
  const flags = shown.map(([name]) => `--${name}`).join(' ');
  const valued = shown.filter(([name, { type }]) => type === 'string' && !paths.has(name));
  const cases = valued.map(([name]) => {
    return `    --${name}) COMPREPLY=($(compgen -W '${choices[name]?.join(' ') ?? ''}' -- "$word")); return ;;`;
  });
  const own = Object.entries(verbOptions).map(([verb, options]) => {
    return `    ${verb}) own='${options}' ;;`;
  });
  const verbNames = Object.keys(verbs).filter((name) => name !== 'mount');
  return `_vost_mount() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb=\${COMP_WORDS[1]}
  local IFS=$' \\t\\n'
  case $before in
${cases.join('\n')}
  esac
  local own='${flags} --help --version'
  if [[ $COMP_CWORD -gt 1 ]]; then case $verb in
${own.join('\n')}
  esac; fi
  if [[ $word != -* && $COMP_CWORD -gt 1 && " status commit unmount " == *" $verb "* ]]; then
    # Taken from the table of mounts, which hangs with none of them. Whoever mounts chooses the name:
    # it is no wordlist, for words of that are expanded, commands in them included.
    local mount
    COMPREPLY=()
    while IFS= read -r mount; do
      [[ $mount == "$word"* ]] || continue
      [[ -n \${ZSH_VERSION-} ]] || printf -v mount %q "$mount"
      COMPREPLY+=("$mount")
    done < <(awk '/ - ${vostMountType} / {
      gsub(/\\\\040/, " ", $5); gsub(/\\\\011/, "\\t", $5); gsub(/\\\\134/, "\\\\", $5); print $5
    }' /proc/self/mountinfo)
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$own" -- "$word"))
  else
    # zsh has none, and sees to this by itself.
    [[ -n \${ZSH_VERSION-} ]] || compopt -o filenames
    IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$word"))
    IFS=$' \\t\\n'
    if [[ $COMP_CWORD -eq 1 ]]; then COMPREPLY+=($(compgen -W '${verbNames.join(' ')}' -- "$word")); fi
  fi
}
complete -F _vost_mount vost-mount
`;
}
