import { InvalidArgumentError } from '../errors.ts';

/** What can be asked for; a tar file may be compressed as its name says. */
export type ArchiveFormatName = 'zip' | 'tar' | 'tar.gz' | 'tgz' | 'tar.bz2' | 'tar.xz';

/** How a tar file is compressed as a whole. */
export type TarCompression = 'gzip' | 'bzip2' | 'xz';

/** How an archive is put together. */
export type ArchiveFormat =
  | { readonly container: 'zip' }
  | { readonly container: 'tar'; readonly compression: TarCompression | null };

const formats: Readonly<Record<ArchiveFormatName, ArchiveFormat>> = {
  zip: { container: 'zip' },
  tar: { container: 'tar', compression: null },
  'tar.gz': { container: 'tar', compression: 'gzip' },
  tgz: { container: 'tar', compression: 'gzip' },
  'tar.bz2': { container: 'tar', compression: 'bzip2' },
  'tar.xz': { container: 'tar', compression: 'xz' },
};

function isFormatName(name: string): name is ArchiveFormatName {
  return Object.hasOwn(formats, name);
}

/**
 * The format of an archive, by what was asked for and by the name of its file, `null` for a stream.
 * `tar` for a file called `x.tar.gz` means what the name says. An `InvalidArgumentError` when neither
 * tells.
 */
export function archiveFormat(
  fileName: string | null,
  asked: ArchiveFormatName | undefined,
): ArchiveFormat {
  const named = fileName === null ? undefined : formatOfName(fileName);
  if (asked === undefined) {
    if (named !== undefined) return named;
    const what = fileName === null ? 'a stream' : JSON.stringify(fileName);
    const known = Object.keys(formats).join(', ');
    throw new InvalidArgumentError(`which format has ${what}? Give one of ${known}`);
  }
  if (!isFormatName(asked)) {
    throw new InvalidArgumentError(`not a format of archives: ${JSON.stringify(asked)}`);
  }
  return asked === 'tar' && named?.container === 'tar' ? named : formats[asked];
}

function formatOfName(fileName: string): ArchiveFormat | undefined {
  const [, extension] = /\.(zip|tgz|tar(?:\.(?:gz|bz2|xz))?)$/i.exec(fileName) ?? [];
  const name = extension?.toLowerCase() ?? '';
  return isFormatName(name) ? formats[name] : undefined;
}
