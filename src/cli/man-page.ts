import { mountOptions, verbs } from './options.ts';

/**
 * The manual, `vost-mount.1`, from the same tables as `--help`; the build writes it.
 *
 * @param version of the package
 */
export function manPage(version: string): string {
  return [
    `.TH VOST-MOUNT 1 "" "vost ${version}" "User Commands"`,
    '.SH NAME',
    'vost\\-mount \\- mount a git repository as a filesystem',
    '.SH SYNOPSIS',
    '.B vost\\-mount',
    '.I repository mountpoint',
    '.RI [ options ]',
    '.br',
    '.B vost\\-mount list',
    '.RB [ \\-\\-json ]',
    ...['status', 'commit', 'unmount'].flatMap((verb) => [
      '.br',
      `.B vost\\-mount ${verb}`,
      '.I mountpoint',
      ...(verb === 'status' ? ['.RB [ \\-\\-json ]'] : []),
      ...(verb === 'commit' ? ['.RB [ \\-m', '.IR message ]'] : []),
    ]),
    '.SH DESCRIPTION',
    text(verbs.mount),
    'The command returns when the mount answers, with exit code 0, or with the reason why it does not:',
    '2 for a wrong command line, 1 for anything else. The repository is made when there is none.',
    'It stays an ordinary one: git and other mounts may use it at the same time.',
    '.SH COMMANDS',
    ...Object.entries(verbs)
      .filter(([verb]) => verb !== 'mount')
      .flatMap(([verb, describe]) => ['.TP', `.B ${text(verb)}`, sentence(describe)]),
    '.SH OPTIONS',
    ...Object.entries(mountOptions)
      .filter(([, { hidden }]) => hidden !== true)
      .flatMap(([name, option]) => optionLines(name, option)),
    '.TP',
    '.BR \\-o " " \\fIlist\\fR',
    'Options separated by commas, as in fstab(5):',
    '.BR \\-o " " ro,branch=main,allow_other .',
    'Each option above may stand there without its dashes;',
    '.BR ro ", " rw ", " noexec ", " noatime " and " relatime',
    'are known too, and words for mount(8) or systemd are passed over.',
    '.SH FILES',
    ...files.flatMap(([path, describe]) => ['.TP', `.I ${text(path)}`, text(describe)]),
    '.SH SIGNALS',
    'SIGTERM, SIGINT and SIGHUP commit what is closed and unmount; a second one ends at once.',
    '.SH EXAMPLES',
    '.nf',
    ...examples.map((line) => text(line)),
    '.fi',
    '.SH SEE ALSO',
    '.BR git (1),',
    '.BR mount (8),',
    '.BR fstab (5),',
    '.BR fusermount3 (1)',
    '',
  ].join('\n');
}

const files: readonly (readonly [string, string])[] = [
  ['MOUNTPOINT/BRANCH/', 'A branch, writable.'],
  ['MOUNTPOINT/.tags/TAG/', 'A tag, read-only.'],
  ['MOUNTPOINT/.commits/HASH/', 'Any commit, read-only.'],
  ['MOUNTPOINT/.history/BRANCH/', 'The commits of a branch.'],
  ['MOUNTPOINT/.versions/BRANCH/FILE', 'The versions of a file.'],
  ['MOUNTPOINT/.vost/status.json', 'The state of the mount.'],
  ['MOUNTPOINT/.vost/metrics', 'Counters and latencies, in the text format of Prometheus.'],
];

const examples: readonly string[] = [
  'vost-mount project.git /mnt/project',
  'vost-mount --tag v1 project.git /mnt/v1',
  'vost-mount unmount /mnt/project',
  'mount -t fuse.vost-mount -o branch=main /srv/project.git /mnt/project',
];

function optionLines(
  name: string,
  option: { readonly alias?: unknown; readonly type?: unknown; readonly describe?: unknown },
): string[] {
  const names = [...(typeof option.alias === 'string' ? [`-${option.alias}`] : []), `--${name}`];
  const shown = names.map((one) => `\\fB${text(one)}\\fR`).join(', ');
  const value = option.type === 'string' ? ' \\fIvalue\\fR' : '';
  return ['.TP', `${shown}${value}`, sentence(String(option.describe))];
}

function sentence(words: string): string {
  return text(`${words.charAt(0).toUpperCase()}${words.slice(1)}.`);
}

/** As it is: a backslash, a dash, and a dot or quote at the start of a line mean something to troff. */
function text(words: string): string {
  return words.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&');
}
