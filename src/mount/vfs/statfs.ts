import { statfs } from 'node:fs/promises';
import type { StatfsReply } from './operations.ts';

/** The longest name, in bytes. */
export const nameLimitBytes = 255;

/** The numbers of the filesystem that holds a directory: what is free there is free on the mount. */
export async function statfsOf(directory: string): Promise<StatfsReply> {
  const { blocks, bfree, bavail, files, ffree, bsize } = await statfs(directory);
  return { blocks, bfree, bavail, files, ffree, bsize, namelen: nameLimitBytes };
}
