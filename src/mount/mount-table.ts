import { readFileSync } from 'node:fs';

/** A line of the kernel's mount table. Paths are text; bytes that are no UTF-8 do not survive. */
export interface MountTableEntry {
  /** The device number that files on the mount show, `major:minor`. No two mounts share it. */
  readonly device: string;
  readonly mountpoint: string;
  /** For example `ext4`, `fuse.vost`. */
  readonly type: string;
  /** What is mounted: a device, or the name that a FUSE daemon gave. */
  readonly source: string;
  readonly options: readonly string[];
}

/** Ids as this process sees them: in a user namespace they may be other ones than outside. */
export interface UserAndGroup {
  readonly uid: number;
  readonly gid: number;
}

/** Who mounted, as it stands in the options of every FUSE mount. */
export function mountOwner({ options }: MountTableEntry): UserAndGroup {
  const id = (name: string): number => {
    const option = options.find((one) => one.startsWith(`${name}=`));
    return option === undefined ? 0 : Number(option.slice(name.length + 1));
  };
  return { uid: id('user_id'), gid: id('group_id') };
}

/** The type under which the mounts of this package stand in the mount table. */
export const vostMountType = 'fuse.vost';

/**
 * The mounts that this process sees, in the order in which they were made: of two entries with one
 * mountpoint the later one is on top. The format is that of proc_pid_mountinfo(5). Reading it
 * touches no mount, so it is safe even when one of them hangs; and no disk, so it is read in this
 * thread, in a tenth of the time of another one.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- a failure is told as that of any other read
export async function readMountTable(): Promise<MountTableEntry[]> {
  return parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** The mounts in the text of a mountinfo file; lines that are not of its form are passed over. */
export function parseMountTable(text: string): MountTableEntry[] {
  const entries: MountTableEntry[] = [];
  for (const line of text.split('\n')) {
    const [mount, filesystem] = line.split(' - ', 2);
    const [, , device, , mountpoint, mountOptions] = mount?.split(' ') ?? [];
    const [type, source, superOptions] = filesystem?.split(' ') ?? [];
    if (device === undefined || mountpoint === undefined || type === undefined) continue;
    entries.push({
      device,
      mountpoint: unescapeOctal(mountpoint),
      type: unescapeOctal(type),
      source: unescapeOctal(source ?? ''),
      options: [...(mountOptions?.split(',') ?? []), ...(superOptions?.split(',') ?? [])],
    });
  }
  return entries;
}

/** The mount on top at exactly this path, which must be absolute and free of symbolic links. */
export async function mountAt(path: string): Promise<MountTableEntry | undefined> {
  return (await readMountTable()).findLast((entry) => entry.mountpoint === path);
}

/**
 * Whether a mount is on top at this path. Whoever unmounts goes by the path, so he has to ask before:
 * ours may have been taken away, and another been made there since.
 */
export async function isOnTop(path: string, device: string): Promise<boolean> {
  return (await mountAt(path))?.device === device;
}

/** Whether a mount is still there, on its mountpoint or wherever it was moved to. */
export async function isInTree({ device }: Pick<MountTableEntry, 'device'>): Promise<boolean> {
  return (await readMountTable()).some((entry) => entry.device === device);
}

function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
