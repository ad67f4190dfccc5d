export { mount } from './mount.ts';
export type { MountHandle } from './mount.ts';
export type { CommitPolicy, LogLevel, MountOptions, Transport } from './mount-options.ts';
export type { LogTarget } from './observe/log.ts';
export type { BranchStatus, MountStatus } from './observe/status.ts';
