import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noise } from '../helpers/git-objects.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// Big files of snapshots, which the kernel reads from the spool by itself where it can: as root, and
// since Linux 6.9.

const content = noise(6 * 1024 * 1024, 1);
const digest = createHash('sha256').update(content).digest('hex');

let mount: MountedRepository;
let file: string;

beforeEach(async () => {
  const directory = await temporaryDirectory();
  const gitDir = join(directory, 'repo.git');
  await git(['init', '-q', '--bare', gitDir]);
  const oid = (
    await git(['--git-dir', gitDir, 'hash-object', '-w', '--stdin'], { input: content })
  ).trim();
  const tree = (
    await git(['--git-dir', gitDir, 'mktree'], { input: `100644 blob ${oid}\tbig\n` })
  ).trim();
  const commit = (await git(['--git-dir', gitDir, 'commit-tree', '-m', 'big', tree])).trim();
  await git(['--git-dir', gitDir, 'tag', 'v1', commit]);
  mount = await mountRepository(gitDir);
  file = join(mount.mountpoint, '.tags/v1/big');
});

afterEach(async () => {
  await mount.unmount();
  await fsck(mount.gitDir);
});

/** Reads the file in a process of its own, without what the kernel has kept of it. */
async function hashOf(how: 'read' | 'mmap'): Promise<string> {
  const script = `
import hashlib, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
data = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) if sys.argv[2] == 'mmap' else os.fdopen(fd, 'rb')
if sys.argv[2] == 'mmap': os.close(fd)
print(hashlib.sha256(data.read()).hexdigest())
`;
  return (await program('python3', ['-c', script, file, how])).trim();
}

/** What the daemon has been asked to read of files, in bytes. */
async function daemonReadBytes(): Promise<number> {
  const metrics = await readFile(join(mount.mountpoint, '.vost/metrics'), 'utf8');
  return Number(/^vost_read_bytes_total (\d+)/m.exec(metrics)?.[1]);
}

/** Whether the kernel reads all of the file without asking the daemon. */
async function isReadByTheKernel(how: 'read' | 'mmap' = 'read'): Promise<boolean> {
  const before = await daemonReadBytes();
  expect(await hashOf(how)).toBe(digest);
  const bytes = (await daemonReadBytes()) - before;
  if (bytes >= content.length) return false;
  // The metrics are read too.
  expect(bytes).toBeLessThan(200_000);
  return true;
}

/** Has the blob written to the spool: by a long jump. */
async function spool(fd: number): Promise<void> {
  const buffer = Buffer.alloc(4096);
  expect(readSync(fd, buffer, 0, 4096, content.length - 4096)).toBe(4096);
  expect(buffer.equals(content.subarray(-4096))).toBe(true);
  const spools = async (): Promise<number> => {
    const { pid } = mount;
    const entries = await readdir(`/proc/${pid}/fd`);
    const links = await Promise.all(
      entries.map((name) => program('readlink', [`/proc/${pid}/fd/${name}`]).catch(() => '')),
    );
    return links.filter((link) => link.includes('tmp_blob_vost')).length;
  };
  await eventually(async () => expect(await spools()).toBe(1));
}

async function openDescriptors(): Promise<number> {
  return (await readdir(`/proc/${mount.pid}/fd`)).length;
}

test('a file that was spooled is read by the kernel itself', async () => {
  const fd = openSync(file, 'r');
  await spool(fd);
  // Beside a handle that asks the daemon, no other kind can be opened.
  expect(await isReadByTheKernel()).toBe(false);
  closeSync(fd);
  await eventually(async () => expect(await isReadByTheKernel()).toBe(true));
  expect(await isReadByTheKernel('mmap')).toBe(true);

  const descriptors = await openDescriptors();
  const buffer = Buffer.alloc(4096);
  for (let round = 0; round < 20; round++) {
    const handles = [openSync(file, 'r'), openSync(file, 'r'), openSync(file, 'r')];
    closeSync(handles[round % 3]!);
    handles.splice(round % 3, 1);
    for (const handle of handles) {
      expect(readSync(handle, buffer, 0, 4096, 4096 * round)).toBe(4096);
      expect(buffer.equals(content.subarray(4096 * round, 4096 * (round + 1)))).toBe(true);
      closeSync(handle);
    }
  }
  expect(await openDescriptors()).toBeLessThanOrEqual(descriptors);
  expect(await isReadByTheKernel()).toBe(true);
});
