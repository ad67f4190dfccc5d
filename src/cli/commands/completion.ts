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
  const verbNames = Object.keys(verbs).filter((name) => name !== 'mount');
  return `_vost_mount() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb=\${COMP_WORDS[1]}
  local IFS=$' \\t\\n'
  case $before in
${cases.join('\n')}
  esac
  if [[ $COMP_CWORD -gt 1 && " status commit unmount " == *" $verb "* ]]; then
    # Taken from the table of mounts, which hangs with none of them.
    local mounts=$(awk '/ - ${vostMountType} / { print $5 }' /proc/self/mountinfo)
    COMPREPLY=($(compgen -W "$mounts" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W '${flags} --help --version' -- "$word"))
  else
    # zsh has none, and sees to this by itself.
    [[ -n \${ZSH_VERSION-} ]] || compopt -o filenames
    COMPREPLY=($(compgen -f -- "$word"))
    if [[ $COMP_CWORD -eq 1 ]]; then COMPREPLY+=($(compgen -W '${verbNames.join(' ')}' -- "$word")); fi
  fi
}
complete -F _vost_mount vost-mount
`;
}
