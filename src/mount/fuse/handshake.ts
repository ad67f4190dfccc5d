import { GitStoreError } from '../../errors.ts';
import { initExtended, initFlags, secondInitFlags } from './opcodes.ts';
import type { InitFlagName } from './opcodes.ts';
import type { Reply } from './reply.ts';
import type { RequestReader } from './request-reader.ts';

/** What the kernel and this daemon agreed on. */
export interface KernelProtocol {
  /** The minor version that both speak; the major one is 7. */
  readonly minor: number;
  readonly features: ReadonlySet<InitFlagName>;
  /** The most that one WRITE holds, in bytes. */
  readonly maxWriteBytes: number;
}

/** The kernel speaks a version of the protocol that is too old (`FUSE_VERSION`). */
export class UnsupportedKernelError extends GitStoreError {
  constructor(major: number, minor: number) {
    super(
      'FUSE_VERSION',
      `the kernel speaks version ${major}.${minor} of the FUSE protocol; ${protocolMajor}.${oldestMinor} (Linux 5.4) or later is needed`,
    );
  }
}

const protocolMajor = 7;
/** Linux 5.4. What came before has other sizes of some structs, and no EXPLICIT_INVAL_DATA. */
const oldestMinor = 31;
/** The latest version whose changes were looked at. They add opcodes and flags; structs stay. */
const newestMinor = 45;

/**
 * What is asked of the kernel unless a session says otherwise. Without `readdirPlusAuto` every
 * listing comes with attributes: it stops that after the first part of a large directory, and then
 * `ls -l` looks up one name after the other (see native-notes/fuse-protocol.md for numbers).
 */
export const defaultFeatures: readonly InitFlagName[] = [
  'asyncRead',
  'atomicTruncate',
  'bigWrites',
  'readdirPlus',
  'asyncDirectIo',
  'parallelDirectoryOperations',
  'maxPages',
  'cacheSymlinks',
  'explicitInvalidation',
  'killPrivileges',
];

/** The largest READ, WRITE and READDIR: 256 pages, the most that kernels allow without a sysctl. */
export const transferLimitBytes = 0x10_0000;
const pageSizeBytes = 4096;

const initOutSizeBytes = 64;
/** How many requests of readahead and the like may wait at once, and how many make a disk look busy. */
const maxBackground = 64;
const congestionThreshold = 48;

/**
 * Answers INIT: the lower of both versions, and of the features wanted those that the kernel has.
 * @returns the agreement, or `undefined` when the kernel must ask again with a version of ours
 * @throws {UnsupportedKernelError}
 */
export function negotiate(
  request: RequestReader,
  reply: Reply,
  wanted: readonly InitFlagName[],
): KernelProtocol | undefined {
  const major = request.u32(0);
  const minor = request.u32(4);
  if (major < protocolMajor || (major === protocolMajor && minor < oldestMinor)) {
    throw new UnsupportedKernelError(major, minor);
  }
  const at = reply.grow(initOutSizeBytes);
  const { buffer } = reply;
  buffer.fill(0, at, at + initOutSizeBytes);
  buffer.writeUInt32LE(protocolMajor, at);
  buffer.writeUInt32LE(Math.min(minor, newestMinor), at + 4);
  if (major > protocolMajor) {
    buffer.writeUInt32LE(newestMinor, at + 4);
    return undefined;
  }
  const offered = request.u32(12);
  const flags = wantedOf(offered, initFlags, wanted);
  const secondOffered = (offered & initExtended) === 0 ? 0 : request.u32(16);
  const secondFlags = wantedOf(secondOffered, secondInitFlags, wanted);
  const features = [...flags.keys(), ...secondFlags.keys()];
  // Without maxPages the kernel holds at 32 pages, whatever else is said.
  const hasMaxPages = features.includes('maxPages');
  const maxWriteBytes = hasMaxPages ? transferLimitBytes : 32 * pageSizeBytes;
  buffer.writeUInt32LE(request.u32(8), at + 8);
  buffer.writeUInt32LE(sumOf(flags) + (secondFlags.size > 0 ? initExtended : 0), at + 12);
  buffer.writeUInt16LE(maxBackground, at + 16);
  buffer.writeUInt16LE(congestionThreshold, at + 18);
  buffer.writeUInt32LE(maxWriteBytes, at + 20);
  // Times are kept to the nanosecond.
  buffer.writeUInt32LE(1, at + 24);
  if (hasMaxPages) buffer.writeUInt16LE(maxWriteBytes / pageSizeBytes, at + 28);
  buffer.writeUInt32LE(sumOf(secondFlags), at + 32);
  // What the kernel reads from is no stack of filesystems itself.
  if (features.includes('passthrough')) buffer.writeUInt32LE(1, at + 36);
  return { minor: Math.min(minor, newestMinor), features: new Set(features), maxWriteBytes };
}

/** The flags of one word that are both offered and wanted. */
function wantedOf<Name extends InitFlagName>(
  offered: number,
  word: Readonly<Record<Name, number>>,
  wanted: readonly InitFlagName[],
): Map<Name, number> {
  const all = Object.entries(word) as [Name, number][];
  return new Map(all.filter(([name, flag]) => wanted.includes(name) && (offered & flag) !== 0));
}

function sumOf(flags: ReadonlyMap<InitFlagName, number>): number {
  return [...flags.values()].reduce((sum, flag) => sum + flag, 0);
}
