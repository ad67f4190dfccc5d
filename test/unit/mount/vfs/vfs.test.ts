import { constants } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { plainAttr } from '../../../../src/mount/vfs/attr.ts';
import { InodeRow } from '../../../../src/mount/vfs/inode-rows.ts';
import type {
  Attr,
  EntryReply,
  Fh,
  Ino,
  MaybePromise,
} from '../../../../src/mount/vfs/operations.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Vnode } from '../../../../src/mount/vfs/vnode.ts';
import { MemorySink, caller, fakeVfs, name } from '../helpers/fake-nodes.ts';
import type { FakeDirectory } from '../helpers/fake-nodes.ts';

/** The answer of an operation that must not need a promise. */
function now<T>(answer: MaybePromise<T>): T {
  expect(answer).not.toBeInstanceOf(Promise);
  return answer as T;
}

function errnoOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return (error as { errno: string }).errno;
  }
  return undefined;
}

function inoOf(entry: EntryReply): Ino {
  expect(entry.attr).not.toBeNull();
  return entry.attr!.ino;
}

const long = name('x'.repeat(256));

describe('lookup', () => {
  it('answers at once when the node does, and counts the lookup', () => {
    const { vfs, root, context } = fakeVfs();
    const file = root.addFile('a', 'hello');
    const entry = now(vfs.lookup(rootIno, name('a'), caller));
    expect(entry).toMatchObject({ attr: { ino: file.ino, size: 5 }, attrValidSec: 7 });
    expect(context.inodes.get(file.ino)).toBe(file);
    expect(now(vfs.getattr(file.ino, undefined)).attr.size).toBe(5);
    vfs.forget(file.ino, 1);
    expect(file.timesForgotten).toBe(1);
    expect(errnoOf(() => vfs.getattr(file.ino, undefined))).toBe('ESTALE');
  });

  it('tells for how long a name is missing', () => {
    const { vfs, root } = fakeVfs();
    expect(now(vfs.lookup(rootIno, name('a'), caller))).toEqual({
      attr: null,
      entryValidSec: root.cache.entriesValidSec,
      attrValidSec: 0,
    });
    Object.assign(root, { cache: { ...root.cache, missingValidSec: 0 } });
    expect(now(vfs.lookup(rootIno, name('a'), caller)).entryValidSec).toBe(0);
  });

  it('refuses names that are too long, before it asks anybody', () => {
    const { vfs, root } = fakeVfs();
    root.children.set(long, root.addFile('a'));
    expect(errnoOf(() => vfs.lookup(rootIno, long, caller))).toBe('ENAMETOOLONG');
    expect(errnoOf(() => vfs.mkdir(rootIno, long, 0o755, caller))).toBe('ENAMETOOLONG');
    expect(errnoOf(() => vfs.rename(rootIno, name('a'), rootIno, long, 0))).toBe('ENAMETOOLONG');
    expect(now(vfs.lookup(rootIno, name('y'.repeat(255)), caller)).attr).toBeNull();
  });

  it('keeps a node alive while its attributes are waited for', async () => {
    const { vfs, root, gate, context } = fakeVfs();
    const file = root.addFile('a');
    now(vfs.lookup(rootIno, name('a'), caller));
    const lookup = root.lookup.bind(root);
    // The node is found at once, its attributes need the disk.
    root.lookup = (child) => {
      const found = lookup(child);
      gate.close();
      return found;
    };
    const second = vfs.lookup(rootIno, name('a'), caller);
    expect(second).toBeInstanceOf(Promise);
    vfs.forget(file.ino, 1);
    expect(file.timesForgotten).toBe(0);
    gate.open();
    expect(inoOf(await second)).toBe(file.ino);
    expect(context.inodes.get(file.ino)).toBe(file);
    vfs.forget(file.ino, 1);
    expect(file.timesForgotten).toBe(1);
  });

  it('takes the reference back when the attributes fail, at once or later', async () => {
    const { vfs, root, gate, context } = fakeVfs();
    const file = root.addFile('a');
    file.failure = new Error('broken');
    expect(() => vfs.lookup(rootIno, name('a'), caller)).toThrow('broken');
    expect(context.inodes.get(file.ino)).toBeUndefined();
    gate.close();
    const later = vfs.lookup(rootIno, name('a'), caller);
    gate.open();
    await expect(later).rejects.toThrow('broken');
    expect(context.inodes.get(file.ino)).toBeUndefined();
    expect(file.references).toBe(0);
  });

  it('never forgets the root', () => {
    const { vfs } = fakeVfs();
    vfs.forget(rootIno, 1000);
    expect(now(vfs.getattr(rootIno, undefined)).attr.ino).toBe(rootIno);
  });

  it('answers ENOTDIR for a name in a file', () => {
    const { vfs, root } = fakeVfs();
    root.addFile('a');
    const ino = inoOf(now(vfs.lookup(rootIno, name('a'), caller)));
    expect(errnoOf(() => vfs.lookup(ino, name('b'), caller))).toBe('ENOTDIR');
    expect(errnoOf(() => vfs.opendir(ino))).toBe('ENOTDIR');
    expect(errnoOf(() => vfs.readlink(ino))).toBe('EINVAL');
    expect(errnoOf(() => vfs.open(rootIno, 0, caller))).toBe('EISDIR');
  });
});

describe('open files', () => {
  it('hold their inode after the name and the lookups are gone', () => {
    const { vfs, root } = fakeVfs();
    const file = root.addFile('a', 'hello');
    const ino = inoOf(now(vfs.lookup(rootIno, name('a'), caller)));
    const { fh } = now(vfs.open(ino, 0, caller));
    expect(fh).toBeGreaterThanOrEqual(1);
    root.children.delete(name('a'));
    vfs.forget(ino, 1);
    expect(file.timesForgotten).toBe(0);
    expect(Buffer.from(now(vfs.read(ino, fh, 1, 3))).toString()).toBe('ell');
    expect(now(vfs.getattr(ino, fh)).attr.size).toBe(5);
    now(vfs.release(ino, fh));
    expect(file.timesForgotten).toBe(1);
    expect(file.handles[0]!.timesReleased).toBe(1);
    expect(errnoOf(() => vfs.read(ino, fh, 0, 1))).toBe('EBADF');
    expect(errnoOf(() => vfs.release(ino, fh))).toBe('EBADF');
    expect(errnoOf(() => vfs.read(ino, undefined, 0, 1))).toBe('EBADF');
  });

  it('are held until a slow release has ended, even badly', async () => {
    const { vfs, root, gate } = fakeVfs();
    const file = root.addFile('a');
    const ino = inoOf(now(vfs.lookup(rootIno, name('a'), caller)));
    const { fh } = now(vfs.open(ino, 0, caller));
    vfs.forget(ino, 1);
    file.handles[0]!.releaseFailure = new Error('no space');
    gate.close();
    const released = vfs.release(ino, fh);
    expect(file.timesForgotten).toBe(0);
    gate.open();
    await expect(released).rejects.toThrow('no space');
    expect(file.timesForgotten).toBe(1);
  });

  it('are created with one lookup and one handle', () => {
    const { vfs, context } = fakeVfs();
    const { entry, open } = now(vfs.create(rootIno, name('new'), 0o644, constants.O_RDWR, caller));
    const node = context.inodes.get(inoOf(entry))!;
    expect(node.references).toBe(2);
    expect(now(vfs.write(node.ino, open.fh, 0, Buffer.from('data')))).toBe(4);
    expect(now(vfs.getattr(node.ino, open.fh)).attr.size).toBe(4);
    now(vfs.release(node.ino, open.fh));
    vfs.forget(node.ino, 1);
    expect(context.inodes.get(node.ino)).toBeUndefined();
  });

  it('are released when a created file cannot be told of', () => {
    const { vfs, root, context } = fakeVfs();
    const file = root.addFile('prepared');
    file.failure = new Error('broken');
    root.create = () => ({ node: file, handle: file.open() });
    expect(() => vfs.create(rootIno, name('new'), 0o644, 0, caller)).toThrow('broken');
    expect(file.handles[0]!.timesReleased).toBe(1);
    expect(context.inodes.get(file.ino)).toBeUndefined();
    expect(vfs.counts().openFiles).toBe(0);
  });

  it('are all released when the kernel is gone, and errors told', async () => {
    const { vfs, root, lines } = fakeVfs();
    const files = ['a', 'b'].map((text) => root.addFile(text));
    for (const text of ['a', 'b']) {
      now(vfs.open(inoOf(now(vfs.lookup(rootIno, name(text), caller))), 0, caller));
    }
    files[0]!.handles[0]!.releaseFailure = new Error('no space');
    now(vfs.opendir(rootIno));
    await vfs.destroy();
    expect(files.map((file) => file.handles[0]!.timesReleased)).toEqual([1, 1]);
    expect(files.map((file) => file.timesForgotten)).toEqual([1, 1]);
    expect(vfs.counts()).toEqual({ inodes: 0, openFiles: 0, openDirectories: 0 });
    expect(lines.join('')).toContain('no space');
  });
});

describe('copyFileRange', () => {
  function twoOpenFiles() {
    const { vfs, root, gate } = fakeVfs();
    const source = root.addFile('source', 'x'.repeat(600_000));
    const target = root.addFile('target');
    const [from, to] = ['source', 'target'].map((text) => {
      const ino = inoOf(now(vfs.lookup(rootIno, name(text), caller)));
      return { ino, fh: now(vfs.open(ino, 0, caller)).fh };
    }) as [{ ino: Ino; fh: Fh }, { ino: Ino; fh: Fh }];
    const copy = (offset: number, toOffset: number, length: number) =>
      vfs.copyFileRange(from.ino, from.fh, offset, to.ino, to.fh, toOffset, length);
    return { source, target, copy, gate };
  }

  it('moves the bytes when nobody can do better, up to the end of the source', async () => {
    const { source, target, copy } = twoOpenFiles();
    expect(await copy(0, 0, 1e9)).toBe(600_000);
    expect(target.content.equals(source.content)).toBe(true);
    expect(await copy(599_990, 600_000, 100)).toBe(10);
    expect(target.content.length).toBe(600_010);
    expect(await copy(600_000, 0, 10)).toBe(0);
  });

  it('leaves stored content to the target', async () => {
    const { source, target, copy } = twoOpenFiles();
    const stored = { oid: 'a'.repeat(40) as never, sizeBytes: 600_000 };
    Object.assign(source.handles[0]!, { stored: () => stored });
    const asked: unknown[] = [];
    let answer: number | undefined = 600_000;
    Object.assign(target.handles[0]!, {
      copyStored: (...args: unknown[]) => {
        asked.push(args);
        return answer;
      },
    });
    expect(now(copy(0, 0, 700_000))).toBe(600_000);
    expect(asked).toEqual([[stored, 0, 0, 700_000]]);
    expect(target.content.length).toBe(0);
    answer = undefined;
    expect(await copy(0, 0, 700_000)).toBe(600_000);
    expect(target.content.length).toBe(600_000);
  });
});

describe('readdir', () => {
  function openRoot(names: readonly string[]) {
    const made = fakeVfs();
    for (const text of names) made.root.addFile(text, text);
    const { fh } = now(made.vfs.opendir(rootIno));
    return { ...made, fh };
  }

  it('lists `.` and `..` first, and the offsets at which to go on', () => {
    const { vfs, fh, root } = openRoot(['a', 'b']);
    const sink = new MemorySink();
    now(vfs.readdir(rootIno, fh, 0, false, sink));
    expect(sink.names).toEqual(['.', '..', 'a', 'b']);
    expect(sink.offsets).toEqual([1, 2, 3, 4]);
    expect(sink.inos.slice(0, 2)).toEqual([rootIno, rootIno]);
    const sub = root.addDirectory('sub');
    const ino = inoOf(now(vfs.lookup(rootIno, name('sub'), caller)));
    const subSink = new MemorySink();
    now(vfs.readdir(ino, now(vfs.opendir(ino)).fh, 0, false, subSink));
    expect(subSink.inos).toEqual([sub.ino, rootIno]);
  });

  it('goes on where a full answer ended', () => {
    const { vfs, fh } = openRoot(['a', 'b', 'c']);
    const names: string[] = [];
    for (let offset = 0; ;) {
      const sink = new MemorySink(2);
      now(vfs.readdir(rootIno, fh, offset, false, sink));
      if (sink.names.length === 0) break;
      names.push(...sink.names);
      offset = sink.offsets.at(-1)!;
    }
    expect(names).toEqual(['.', '..', 'a', 'b', 'c']);
  });

  it('shows what stays exactly once, and starts over at offset 0', () => {
    const { vfs, fh, root } = openRoot(['a', 'b', 'c']);
    const first = new MemorySink(3);
    now(vfs.readdir(rootIno, fh, 0, false, first));
    root.children.delete(name('a'));
    root.addFile('d');
    const second = new MemorySink();
    now(vfs.readdir(rootIno, fh, first.offsets.at(-1)!, false, second));
    expect(second.names).toEqual(['b', 'c']);
    const rewound = new MemorySink();
    now(vfs.readdir(rootIno, fh, 0, false, rewound));
    expect(rewound.names).toEqual(['.', '..', 'b', 'c', 'd']);
    expect(root.timesListed).toBe(2);
    now(vfs.releasedir(rootIno, fh));
    expect(errnoOf(() => vfs.readdir(rootIno, fh, 0, false, rewound))).toBe('EBADF');
  });

  it('counts a lookup for each entry with attributes that was taken, and no other', () => {
    const { vfs, fh, root, context } = openRoot(['a', 'b', 'c']);
    const sink = new MemorySink(4);
    now(vfs.readdir(rootIno, fh, 0, true, sink));
    expect(sink.names).toEqual(['.', '..', 'a', 'b']);
    expect(sink.plus.map((entry) => entry.name)).toEqual(['a', 'b']);
    expect(sink.plus[0]!.entry).toMatchObject({ attr: { size: 1 }, attrValidSec: 7 });
    const references = ['a', 'b', 'c'].map((text) => root.children.get(name(text))!.references);
    expect(references).toEqual([1, 1, 0]);
    expect(context.inodes.size).toBe(3);
  });

  it('makes no node for what needs none, and counts its lookups in its row', () => {
    const { vfs, fh, root, context } = openRoot(['a', 'b', 'c', 'd']);
    const made: number[] = [];
    const file = root.addFile('made');
    const rowNode = (index: number): Vnode => {
      made.push(index);
      return file;
    };
    const row = new InodeRow(context.inos.reserve(4), 4, { rowNode });
    const inos = [0, 1, 2, 3].map((index) => (row.first + index) as Ino);
    const attrOf = (ino: Ino): Attr => plainAttr(context, ino, 0o100644, 5, { sec: 1, nsec: 2 });
    const asked: number[] = [];
    root.entries = () => ({
      entry: (position) => {
        asked.push(position);
        const child = [...root.children.keys()][position];
        return child && { name: child, ino: root.children.get(child)!.ino, mode: 0o100000 };
      },
      placed: (position) => {
        // The second one has a node, and the name of the third cannot be looked up.
        if (position === 1 || position > 3) return undefined;
        const text = position === 2 ? long : name(`placed-${position}`);
        return { name: text, attr: attrOf(inos[position]!), row };
      },
    });
    const sink = new MemorySink(4);
    now(vfs.readdir(rootIno, fh, 0, true, sink));
    expect(sink.names).toEqual(['.', '..', 'placed-0', 'b']);
    const [first] = sink.plus;
    expect(first!.entry).toEqual({
      attr: attrOf(inos[0]!),
      entryValidSec: root.cache.entriesValidSec,
      attrValidSec: root.cache.attrValidSec,
    });
    // What did not fit is not counted.
    expect([row.live, asked, made]).toEqual([1, [1, 2], []]);
    const rest = new MemorySink();
    now(vfs.readdir(rootIno, fh, sink.offsets.at(-1)!, true, rest));
    expect(rest.names).toEqual(['c', 'placed-3', 'made']);
    expect(row.live).toBe(2);
    vfs.forget(inos[0]!, 1);
    vfs.forget(inos[3]!, 1);
    expect([row.live, made]).toEqual([0, []]);
    // Names alone need no attributes.
    const plain = new MemorySink();
    now(vfs.readdir(rootIno, fh, 0, false, plain));
    expect(plain.names).toEqual(['.', '..', 'a', 'b', 'c', 'd', 'made']);
    expect(row.live).toBe(0);
  });

  it('counts the same when the entries come from the disk', async () => {
    const names = Array.from({ length: 200 }, (_, index) => `file-${index}`);
    const { vfs, fh, root, gate, context } = openRoot(names);
    gate.close();
    const sink = new MemorySink(102);
    const listed = vfs.readdir(rootIno, fh, 0, true, sink);
    expect(listed).toBeInstanceOf(Promise);
    gate.open();
    await listed;
    expect(sink.names).toEqual(['.', '..', ...names.slice(0, 100)]);
    const held = names.filter((text) => root.children.get(name(text))!.references === 1);
    expect(held).toEqual(names.slice(0, 100));
    expect(context.inodes.size).toBe(101);
    const rest = new MemorySink();
    now(vfs.readdir(rootIno, fh, sink.offsets.at(-1)!, true, rest));
    expect(rest.names).toEqual(names.slice(100));
  });

  it('shows a name whose attributes cannot be read, without them', async () => {
    const { vfs, fh, root, gate, lines } = openRoot(['a', 'b', 'c']);
    root.children.get(name('b'))!.getattr = () => {
      throw new Error('broken');
    };
    const sink = new MemorySink();
    now(vfs.readdir(rootIno, fh, 0, true, sink));
    gate.close();
    const slow = new MemorySink();
    const listed = vfs.readdir(rootIno, fh, 0, true, slow);
    gate.open();
    await listed;
    for (const { names, plus } of [sink, slow]) {
      expect(names).toEqual(['.', '..', 'a', 'b', 'c']);
      expect(plus.map((entry) => entry.name)).toEqual(['a', 'c']);
    }
    expect(root.children.get(name('b'))!.references).toBe(0);
    expect(lines.join('')).toContain('broken');
  });

  it('leaves out a name that went meanwhile', () => {
    const { vfs, fh, root } = openRoot(['a', 'b', 'c']);
    now(vfs.readdir(rootIno, fh, 0, true, new MemorySink(1)));
    root.children.delete(name('b'));
    const sink = new MemorySink();
    now(vfs.readdir(rootIno, fh, 2, true, sink));
    expect(sink.names).toEqual(['a', 'c']);
    expect(sink.offsets).toEqual([3, 5]);
  });

  it('reports an error behind entries that were taken with the next call', () => {
    const { vfs, fh, root } = openRoot(['a', 'b']);
    const entries = root.entries.bind(root);
    root.entries = () => {
      const stream = entries() as Exclude<ReturnType<FakeDirectory['entries']>, Promise<unknown>>;
      return {
        entry: (position) => {
          if (position === 1) throw new Error('broken tree');
          return stream.entry(position);
        },
      };
    };
    const sink = new MemorySink();
    now(vfs.readdir(rootIno, fh, 0, true, sink));
    expect(sink.names).toEqual(['.', '..', 'a']);
    expect(() => vfs.readdir(rootIno, fh, 3, true, new MemorySink())).toThrow('broken tree');
  });

  it('lets go of what was loaded behind an error', async () => {
    const { vfs, fh, root, context } = openRoot(['a', 'b', 'c']);
    const entries = root.entries.bind(root);
    root.entries = () => {
      const stream = entries() as Exclude<ReturnType<FakeDirectory['entries']>, Promise<unknown>>;
      return {
        entry: (position) =>
          position === 1 ? Promise.reject(new Error('broken tree')) : stream.entry(position),
      };
    };
    const known = context.inodes.size;
    await expect(vfs.readdir(rootIno, fh, 3, true, new MemorySink())).rejects.toThrow(
      'broken tree',
    );
    expect(context.inodes.size).toBe(known);
  });

  it('lists again after an error, and waits only for the first answer', async () => {
    const { vfs, fh, root, gate } = openRoot(['a']);
    const entries = root.entries.bind(root);
    root.entries = () => Promise.reject(new Error('not now'));
    await expect(vfs.readdir(rootIno, fh, 0, false, new MemorySink())).rejects.toThrow('not now');
    root.entries = entries;
    gate.close();
    const first = vfs.readdir(rootIno, fh, 2, false, new MemorySink());
    expect(first).toBeInstanceOf(Promise);
    gate.open();
    await first;
    const sink = new MemorySink();
    now(vfs.readdir(rootIno, fh, 2, false, sink));
    expect(sink.names).toEqual(['a']);
  });

  it('leaves out names that no file on the mount can have', () => {
    const { vfs, fh, root, lines } = openRoot(['a']);
    root.children.set(long, root.addFile('b'));
    for (const plus of [false, true]) {
      const sink = new MemorySink();
      now(vfs.readdir(rootIno, fh, 0, plus, sink));
      expect(sink.names).toEqual(['.', '..', 'a', 'b']);
    }
    expect(lines.filter((line) => line.includes('name-too-long'))).toHaveLength(1);
  });
});

describe('what cannot be written', () => {
  const attempts = (vfs: ReturnType<typeof fakeVfs>['vfs'], ino: Ino): (() => unknown)[] => [
    () => vfs.create(ino, name('n'), 0o644, 0, caller),
    () => vfs.tmpfile(ino, 0o644, 2, caller),
    () => vfs.mkdir(ino, name('n'), 0o755, caller),
    () => vfs.mknod(ino, name('n'), 0o010644, 0, caller),
    () => vfs.symlink(ino, name('n'), name('t'), caller),
    () => vfs.unlink(ino, name('a')),
    () => vfs.rmdir(ino, name('a')),
    () => vfs.rename(ino, name('a'), ino, name('b'), 0),
    () => vfs.setattr(ino, { mode: 0o700 }, undefined, caller),
    () => vfs.setxattr(ino, name('user.x'), Buffer.from('v'), 0),
    () => vfs.removexattr(ino, name('user.x')),
    () => vfs.access(ino, 2, caller),
  ];

  it('answers EROFS to every change on a read-only mount', () => {
    const { vfs, root } = fakeVfs({ readOnly: true });
    root.addFile('a');
    const ino = inoOf(now(vfs.lookup(rootIno, name('a'), caller)));
    for (const attempt of attempts(vfs, rootIno)) expect(errnoOf(attempt)).toBe('EROFS');
    expect(errnoOf(() => vfs.link(ino, rootIno, name('b')))).toBe('EROFS');
    for (const flags of [constants.O_WRONLY, constants.O_RDWR, constants.O_TRUNC]) {
      expect(errnoOf(() => vfs.open(ino, flags, caller))).toBe('EROFS');
    }
    const { fh } = now(vfs.open(ino, constants.O_RDONLY, caller));
    expect(errnoOf(() => vfs.write(ino, fh, 0, Buffer.from('x')))).toBe('EROFS');
    expect(errnoOf(() => vfs.fallocate(ino, fh, 0, 1, 0))).toBe('EROFS');
    now(vfs.access(ino, 4, caller));
  });

  it('answers EROFS in a read-only directory, also as the target of a rename', () => {
    const { vfs, root } = fakeVfs();
    root.addFile('a');
    const frozen = root.addDirectory('frozen');
    frozen.isReadOnly = true;
    const ino = inoOf(now(vfs.lookup(rootIno, name('frozen'), caller)));
    for (const attempt of attempts(vfs, ino)) expect(errnoOf(attempt)).toBe('EROFS');
    expect(errnoOf(() => vfs.rename(rootIno, name('a'), ino, name('a'), 0))).toBe('EROFS');
    expect(errnoOf(() => vfs.rename(ino, name('a'), rootIno, name('b'), 0))).toBe('EROFS');
  });

  it('refuses attributes with ENOTSUP and unknown rename flags with EINVAL where it can be written', () => {
    const { vfs } = fakeVfs();
    expect(errnoOf(() => vfs.setxattr(rootIno, name('user.x'), Buffer.alloc(0), 0))).toBe(
      'ENOTSUP',
    );
    expect(errnoOf(() => vfs.rename(rootIno, name('a'), rootIno, name('b'), 4))).toBe('EINVAL');
    expect(errnoOf(() => vfs.rename(rootIno, name('a'), rootIno, name('b'), 3))).toBe('EINVAL');
  });
});

describe('extended attributes', () => {
  it('answer ENOSYS where the nodes have none, so that the kernel stops asking', () => {
    const { vfs } = fakeVfs();
    expect(errnoOf(() => vfs.getxattr(rootIno, name('user.vost.oid')))).toBe('ENOSYS');
    expect(errnoOf(() => vfs.listxattr(rootIno))).toBe('ENOSYS');
  });

  it('ask the node for ours alone', () => {
    const { vfs, root } = fakeVfs({ xattrs: true });
    root.getxattr = (attribute) => Buffer.from(attribute);
    root.listxattr = () => [name('user.vost.ref')];
    expect(Buffer.from(now(vfs.getxattr(rootIno, name('user.vost.ref')))).toString()).toBe(
      'user.vost.ref',
    );
    expect(errnoOf(() => vfs.getxattr(rootIno, name('user.other')))).toBe('ENODATA');
    // Told this once, `ls -l` asks for no other file.
    for (const other of ['security.selinux', 'system.posix_acl_access']) {
      expect(errnoOf(() => vfs.getxattr(rootIno, name(other)))).toBe('ENOTSUP');
    }
    expect(now(vfs.listxattr(rootIno))).toEqual(['user.vost.ref']);
  });
});

it('where all listings may be kept, a directory is read without being opened', () => {
  const { vfs } = fakeVfs({ keepsListings: true });
  expect(errnoOf(() => vfs.opendir(rootIno))).toBe('ENOSYS');
  const sink = new MemorySink();
  now(vfs.readdir(rootIno, undefined, 0, false, sink));
  expect(sink.names.slice(0, 2)).toEqual(['.', '..']);
});

describe('an immutable mount', () => {
  it('does without open and opendir', () => {
    const { vfs, root } = fakeVfs({ immutable: true });
    root.addFile('a', 'hello');
    const ino = inoOf(now(vfs.lookup(rootIno, name('a'), caller)));
    expect(errnoOf(() => vfs.open(ino, constants.O_RDONLY, caller))).toBe('ENOSYS');
    expect(errnoOf(() => vfs.open(ino, constants.O_WRONLY, caller))).toBe('EROFS');
    expect(errnoOf(() => vfs.opendir(rootIno))).toBe('ENOSYS');
    expect(Buffer.from(now(vfs.read(ino, undefined, 1, 2))).toString()).toBe('el');
    expect(errnoOf(() => vfs.read(rootIno, undefined, 1, 2))).toBe('EBADF');
    expect(errnoOf(() => vfs.flush(ino, undefined))).toBe('ENOSYS');
    expect(errnoOf(() => vfs.fsync(ino, undefined, false))).toBe('ENOSYS');
    expect(errnoOf(() => vfs.lseek(ino, undefined, 0, 3))).toBe('ENOSYS');
    const sink = new MemorySink();
    now(vfs.readdir(rootIno, undefined, 1, true, sink));
    expect(sink.names).toEqual(['..', 'a']);
    expect(errnoOf(() => vfs.mkdir(rootIno, name('b'), 0o755, caller))).toBe('EROFS');
  });
});
