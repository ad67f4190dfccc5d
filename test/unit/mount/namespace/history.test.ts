import { beforeAll, describe, expect, it } from 'vitest';
import { bytesFromText } from '../../../../src/git/byte-string.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { buildBranchHistory, historySpan } from '../../../fixtures/branch-history.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { MountedNamespace } from '../helpers/mounted.ts';
import { TestRepository } from '../helpers/repositories.ts';

const EROFS = 30;

let repository: TestRepository;
let mounted: MountedNamespace;
let commits: string[];

async function lines(...args: string[]): Promise<string[]> {
  return (await repository.git(args)).split('\n').filter((line) => line !== '');
}

function listedName(oid: string, timeSec: number): string {
  const time = new Date(timeSec * 1000).toISOString().replace(/[-:]|\.000/g, '');
  return `${time}-${oid.slice(0, 7)}`;
}

async function listedNames(rev: string): Promise<string[]> {
  const shown = await lines('log', '--first-parent', '--format=%H %ct', rev);
  return shown.map((line) => {
    const [oid = '', time] = line.split(' ');
    return listedName(oid, Number(time));
  });
}

/** The commit that a path of the mount shows, as its extended attribute says; `null` when it is not there. */
async function commitAt(path: string): Promise<string | null> {
  const ino = await mounted.find(path);
  if (ino === null) return null;
  return Buffer.from(await mounted.vfs.getxattr(ino, name('user.vost.commit'))).toString();
}

beforeAll(async () => {
  repository = await TestRepository.createForAll();
  await buildBranchHistory(repository.gitDir);
  commits = await lines('rev-list', '--first-parent', 'main');
  mounted = await MountedNamespace.open(repository, {}, { xattrs: true });
});

describe('.history', () => {
  it('lists branches, and nested ones in directories', async () => {
    expect(await mounted.ls('.history')).toEqual(['feature', 'import', 'main', 'side']);
    expect(await mounted.ls('.history/feature')).toEqual(['nested']);
    for (const path of [
      '.history/none',
      '.history/feature/none',
      '.history/.git',
      '.history/a..b',
    ]) {
      expect(await mounted.find(path), path).toBeNull();
    }
  });

  it.each(['main', 'import', 'feature/nested', 'side'])(
    'lists the commits of %s newest first, and each leads to its snapshot',
    async (branch) => {
      const names = await mounted.ls(`.history/${branch}`);
      expect(names).toEqual(await listedNames(branch));
      const oids = await lines('rev-list', '--first-parent', branch);
      for (const [index, oid] of oids.entries()) {
        expect(await commitAt(`.history/${branch}/${names[index]!}`)).toBe(oid);
      }
    },
  );

  it('gives names and numbers that stat agrees with, with and without attributes', async () => {
    const ino = await mounted.get('.history/main');
    for (const plus of [false, true]) {
      const { names, inos } = await mounted.list(ino, plus);
      expect(new Set(inos).size).toBe(names.length);
      for (const index of [0, 7, names.length - 1]) {
        expect(await mounted.get(`.history/main/${names[index]!}`)).toBe(inos[index]);
      }
    }
    const branches = await mounted.list(await mounted.get('.history'));
    for (const [index, branch] of branches.names.entries()) {
      expect(await mounted.get(`.history/${branch}`)).toBe(branches.inos[index]);
    }
  });

  it('counts first parents', async () => {
    for (const steps of [0, 1, 2, 17, 39]) {
      const expected = await repository.git(['rev-parse', `main~${steps}`]);
      expect(await commitAt(`.history/main/~${steps}`)).toBe(expected);
    }
    expect(await commitAt('.history/main/~40')).toBeNull();
  });

  it('takes hashes of its own history alone, whole or shortened', async () => {
    for (const oid of commits.slice(0, 5)) {
      expect(await commitAt(`.history/main/${oid}`)).toBe(oid);
      expect(await commitAt(`.history/main/${oid.slice(0, 9)}`)).toBe(oid);
    }
    const side = await repository.git(['rev-parse', 'side']);
    expect(await mounted.find(`.commits/${side}`)).not.toBeNull();
    expect(await mounted.find(`.history/main/${side}`)).toBeNull();
    expect(await mounted.find(`.history/main/${side.slice(0, 10)}`)).toBeNull();
  });

  it('finds nothing under names that mean nothing', async () => {
    const blob = await repository.git(['rev-parse', 'main:counter']);
    const tree = await repository.git(['rev-parse', 'main^{tree}']);
    const malformed = [
      '@',
      '@notadate',
      '@{1.day}',
      '~',
      '~-1',
      '~01',
      '~999999999',
      '~1x',
      'HEAD',
    ];
    const hashes = [blob, blob.slice(0, 8), tree, 'f'.repeat(40), 'f'.repeat(41), 'abc', 'ABCDEF0'];
    const listed = listedName(commits[0]!, 1_600_000_000);
    for (const path of [...malformed, ...hashes, listed, '20231314T221320Z-1a2b3c4', '.git']) {
      const startMs = performance.now();
      expect(await mounted.find(`.history/main/${path}`), path).toBeNull();
      expect(performance.now() - startMs).toBeLessThan(200);
    }
  });

  it('does not choose between commits with the same short hash', async () => {
    const twins = await TestRepository.create();
    const byPrefix = new Map<string, Oid>();
    let other: Oid | undefined;
    let stream = '';
    for (let number = 0; number < 1500; number++) {
      stream += `commit refs/heads/main\ncommitter A <a@b> ${1_700_000_000 + number} +0000\ndata 0\n`;
    }
    await twins.git(['fast-import', '--quiet'], stream);
    const all = (await twins.git(['rev-list', 'main'])).split('\n') as Oid[];
    const twin = all.find((oid) => {
      const known = byPrefix.get(oid.slice(0, 4));
      byPrefix.set(oid.slice(0, 4), oid);
      other = known;
      return known !== undefined;
    })!;
    const two = await MountedNamespace.open(twins);
    expect(await two.find(`.history/main/${twin.slice(0, 4)}`)).toBeNull();
    expect(await two.find(`.history/main/${twin}`)).not.toBeNull();
    expect(await two.find(`.history/main/${other!}`)).not.toBeNull();
  });

  it('follows the reflog where it reaches, as git does', async () => {
    const [, endSec] = historySpan;
    const oldest = 1_700_000_000 + 25 * 60;
    for (let timeSec = oldest; timeSec <= endSec; timeSec += 150) {
      const date = new Date(timeSec * 1000).toISOString();
      const expected = await repository.git(['rev-parse', `main@{${timeSec} +0000}`]);
      expect(await commitAt(`.history/main/@${date}`), date).toBe(expected);
    }
    // At this minute the branch was at a commit that is not in its history any more, by number 40.
    const rewound = new Date((1_700_000_000 + 38 * 60) * 1000).toISOString();
    expect(await commitAt(`.history/main/@${rewound}`)).toBe(
      await repository.git(['rev-parse', 'import~10']),
    );
  });

  it.each([
    ['import', historySpan[0], historySpan[1]],
    ['main', historySpan[0], 1_700_000_000 + 25 * 60 - 1],
  ])('goes by the times of commits where no reflog of %s reaches', async (branch, start, end) => {
    for (let timeSec = start; timeSec <= end; timeSec += 130) {
      const date = new Date(timeSec * 1000).toISOString();
      const tip = branch === 'main' ? 'import~20' : branch;
      const args = ['rev-list', '--first-parent', '-1', `--before=${timeSec} +0000`, tip];
      const expected = await repository.git(args);
      expect(await commitAt(`.history/${branch}/@${date}`), date).toBe(expected || null);
    }
  });

  it('knows no branch at a time when it was not made yet', async () => {
    const before = new Date((1_700_000_000 + 35 * 60) * 1000).toISOString();
    const after = new Date((1_700_000_000 + 37 * 60) * 1000).toISOString();
    expect(await commitAt(`.history/feature/nested/@${before}`)).toBeNull();
    expect(await commitAt(`.history/feature/nested/@${after}`)).toBe(
      await repository.git(['rev-parse', 'import~10']),
    );
    for (const when of ['@2000-01-01', '@1971-01-01T00:00Z']) {
      expect(await commitAt(`.history/main/${when}`), when).toBeNull();
    }
    for (const when of ['@now', '@0s', '@2h', '@yesterday', '@9999-12-31']) {
      expect(await commitAt(`.history/main/${when}`), when).toBe(commits[0]);
    }
  });

  it('lets the kernel keep hashes, and nothing that means another commit tomorrow', async () => {
    const history = await mounted.get('.history/main');
    const valid = async (text: string): Promise<number> =>
      (await mounted.vfs.lookup(history, name(text), caller)).entryValidSec;
    for (const text of ['~0', '@2h', '@2026-01-01', '~999999', '@', 'ffffffff']) {
      expect(await valid(text), text).toBe(0);
    }
    for (const text of [
      commits[1]!,
      commits[1]!.slice(0, 8),
      (await mounted.ls('.history/main'))[0]!,
    ]) {
      expect(await valid(text), text).toBeGreaterThan(1e6);
    }
    expect(
      (await mounted.vfs.lookup(await mounted.get('.history'), name('main'), caller)).entryValidSec,
    ).toBe(0);
  });

  it('cannot be changed', async () => {
    const history = await mounted.get('.history/main');
    for (const [parent, child] of [
      [history, 'x'],
      [await mounted.get('.history'), 'x'],
      [await mounted.get('.versions/main'), 'x'],
      [await mounted.get('.versions/main/counter'), 'x'],
    ] as const) {
      const { vfs } = mounted;
      expect(await mounted.errnoOf(() => vfs.mkdir(parent, name(child), 0o755, caller))).toBe(
        EROFS,
      );
      expect(await mounted.errnoOf(() => vfs.unlink(parent, name(child)))).toBe(EROFS);
      expect(await mounted.errnoOf(() => vfs.create(parent, name(child), 0o644, 1, caller))).toBe(
        EROFS,
      );
    }
  });
});

/** What git says about the contents of a path along first parents, newest first. */
async function versionsOf(branch: string, path: string): Promise<string[]> {
  const log = await lines(
    'log',
    '--first-parent',
    '--reverse',
    '--format=%H %ct',
    branch,
    '--',
    path,
  );
  const versions: { name: string; key: string; shown: string }[] = [];
  let last = '';
  for (const line of log) {
    const [oid = '', time] = line.split(' ');
    const [mode = '', type, blob = ''] = (await repository.git(['ls-tree', oid, path])).split(
      /[ \t]/,
    );
    const key = type === 'blob' ? `${mode.slice(0, 2)} ${blob}` : '';
    if (key !== last && key !== '') {
      const dot = path.lastIndexOf('.');
      const extension = dot > path.lastIndexOf('/') + 1 ? path.slice(dot) : '';
      const listed = `${listedName(oid, Number(time))}${extension}`;
      versions.push({ name: listed, key, shown: `${listed} ${mode} ${blob}` });
    }
    last = key;
  }
  const seen = new Set<string>();
  return versions
    .reverse()
    .filter(({ key }) => !seen.has(key) && seen.add(key))
    .map(({ shown }) => shown);
}

async function shownVersions(path: string): Promise<string[]> {
  const shown: string[] = [];
  for (const version of await mounted.ls(path)) {
    const at = `${path}/${version}`;
    const { mode } = await mounted.stat(at);
    const ino = await mounted.get(at);
    const oid = Buffer.from(await mounted.vfs.getxattr(ino, name('user.vost.oid'))).toString();
    const isLink = (mode & 0o170000) === 0o120000;
    if (!isLink) {
      const content = await mounted.read(at);
      expect(await repository.git(['hash-object', '--stdin'], content)).toBe(oid);
    }
    shown.push(`${version} ${isLink ? '120000' : mode.toString(8)} ${oid}`);
  }
  return shown;
}

describe('.versions', () => {
  it('mirrors the directories of the branch', async () => {
    const tree = await lines('ls-tree', '-z', '--name-only', 'main');
    const names = tree.join('').split('\0').slice(0, -1).map(bytesFromText);
    expect(await mounted.ls('.versions/main')).toEqual(names);
    expect(await mounted.ls('.versions/main/dir/deep')).toEqual(['file.tar.gz']);
    expect((await mounted.stat('.versions/main/dir/deep')).mode & 0o170000).toBe(0o040000);
    expect(await mounted.ls('.versions/feature')).toEqual(['nested']);
    const { names: listed, inos } = await mounted.list(await mounted.get('.versions/main'));
    for (const [index, entry] of listed.entries()) {
      expect(await mounted.get(`.versions/main/${entry}`)).toBe(inos[index]);
    }
  });

  it.each([
    'counter',
    'notes.txt',
    'bin/tool.sh',
    'link',
    'dir/deep/file.tar.gz',
    '.bashrc',
    'flip',
    'side/6',
    'gone.txt',
    'olddir/inner/file',
  ])('holds each content of %s once, as git logs them', async (path) => {
    for (const branch of ['main', 'feature/nested']) {
      const expected = await versionsOf(branch, path);
      expect(expected.length).toBeGreaterThan(0);
      expect(await shownVersions(`.versions/${branch}/${path}`)).toEqual(expected);
    }
  });

  it.each([
    ['and its filters', 'main', ['--changed-paths']],
    ['that has no filters', 'main', []],
    ['of the older commits', 'main~9', ['--changed-paths']],
  ])('says the same with the help of a commit-graph %s', async (_, covered, flags) => {
    const copy = await TestRepository.create();
    await copy.git(['fetch', '-q', repository.gitDir, 'main:main']);
    const oid = await copy.git(['rev-parse', covered]);
    await copy.git(['update-ref', 'refs/heads/main', oid]);
    await copy.git(['commit-graph', 'write', '--reachable', ...flags]);
    await copy.git(['fetch', '-q', repository.gitDir, 'main:main']);
    const graphed = await MountedNamespace.open(copy);
    expect(await graphed.ls('.history/main')).toEqual(await mounted.ls('.history/main'));
    for (const path of [
      'counter',
      'notes.txt',
      'bin/tool.sh',
      'flip',
      'gone.txt',
      'olddir/inner/file',
    ]) {
      const at = `.versions/main/${path}`;
      // The first look reads the graph, the second finds it in memory.
      for (let round = 0; round < 2; round++) {
        expect(await graphed.ls(at), path).toEqual(await mounted.ls(at));
      }
    }
    expect(await graphed.find('.versions/main/never')).toBeNull();
  });

  it('finds what was deleted by its name, and does not list it', async () => {
    expect(await mounted.ls('.versions/main')).not.toContain('gone.txt');
    expect((await mounted.ls('.versions/main/gone.txt')).length).toBe(2);
    expect(await mounted.ls('.versions/main/olddir')).toEqual([]);
    expect(await mounted.ls('.versions/main/olddir/inner')).toEqual([]);
    expect((await mounted.ls('.versions/main/olddir/inner/file')).length).toBe(1);
    expect(await mounted.find('.versions/main/olddir/inner/never')).toBeNull();
    expect(await mounted.find('.versions/main/never')).toBeNull();
    expect(await mounted.find('.versions/main/.git')).toBeNull();
  });

  it('shows the time, the commit and the target of a version', async () => {
    const [newest = ''] = await mounted.ls('.versions/main/link');
    const path = `.versions/main/link/${newest}`;
    const oid = (await commitAt(path))!;
    expect(newest.endsWith(`-${oid.slice(0, 7)}`)).toBe(true);
    const { mtime } = await mounted.stat(path);
    expect(String(mtime.sec)).toBe(await repository.git(['log', '-1', '--format=%ct', oid]));
    expect(await mounted.vfs.readlink(await mounted.get(path))).toBe(
      await repository.git(['cat-file', 'blob', `${oid}:link`]),
    );
  });

  it('knows no commits that did not change the file, and no other names', async () => {
    const [newest = ''] = await mounted.ls('.versions/main/bin/tool.sh');
    const other = (await mounted.ls('.versions/main/counter'))[0]!;
    for (const wrong of [newest.slice(0, -3), `${other}.sh`, 'x.sh', `${newest}.sh`, '~0', '@2h']) {
      expect(await mounted.find(`.versions/main/bin/tool.sh/${wrong}`), wrong).toBeNull();
    }
  });
});

describe('commits with odd dates', () => {
  it('are found under the names that list them', async () => {
    const own = await TestRepository.create();
    // Before git, in the last year that a name can hold, and in years that none can.
    const times = [0, 253_402_300_799, 253_402_300_800, 999_999_999_999_999];
    const parents: string[] = [];
    for (const time of times) {
      const tree = await own.tree([`100644 blob ${await own.blob(`${time}`)}\tfile.txt`]);
      const who = `A <a@example.com> ${time} +0000`;
      const text = `tree ${tree}\n${parents.join('')}author ${who}\ncommitter ${who}\n\n${time}\n`;
      const commit = await own.object('commit', Buffer.from(text));
      parents.splice(0, 1, `parent ${commit}\n`);
      await own.branch('main', commit);
    }
    const mount = await MountedNamespace.open(own);
    const newestFirst = times.toReversed();
    for (const path of ['.history/main', '.versions/main/file.txt']) {
      const names = await mount.ls(path);
      expect(names.length, path).toBe(times.length);
      const file = path.startsWith('.history') ? '/file.txt' : '';
      for (const [index, listed] of names.entries()) {
        const content = await mount.read(`${path}/${listed}${file}`);
        expect(content.toString(), listed).toBe(String(newestFirst[index]));
      }
    }
  });
});

describe('a branch that moves', () => {
  it('is shown as it is then, without anybody being told', async () => {
    const own = await TestRepository.create();
    const tree = async (text: string): Promise<Oid> =>
      own.tree([`100644 blob ${await own.blob(text)}\tfile`]);
    const commit = async (text: string, parent?: Oid): Promise<Oid> => {
      const parents = parent === undefined ? [] : ['-p', parent];
      return (await own.git(['commit-tree', ...parents, '-m', text, await tree(text)])) as Oid;
    };
    const first = await commit('one');
    const second = await commit('two', first);
    await own.branch('main', first);
    const mount = await MountedNamespace.open(own);
    const history = await mount.get('.history/main');
    expect((await mount.ls('.history/main')).length).toBe(1);
    expect(await mount.find('.versions/main/file/x')).toBeNull();
    expect(await mount.find('.versions/main/later')).toBeNull();

    await own.branch('main', second);
    expect(await mount.get('.history/main')).toBe(history);
    expect((await mount.ls('.history/main')).map((entry) => entry.slice(-7))).toEqual([
      second.slice(0, 7),
      first.slice(0, 7),
    ]);
    expect((await mount.ls('.versions/main/file')).length).toBe(2);
    expect((await mount.read('.history/main/~0/file')).toString()).toBe('two');
    expect((await mount.read('.history/main/~1/file')).toString()).toBe('one');

    const away = await commit('other', first);
    await own.branch('main', away);
    // Another history: what the kernel keeps of the names in the old one does not count for it.
    expect(await mount.get('.history/main')).not.toBe(history);
    expect(await mount.find(`.history/main/${second}`)).toBeNull();
    expect((await mount.ls('.history/main')).map((entry) => entry.slice(-7))).toEqual([
      away.slice(0, 7),
      first.slice(0, 7),
    ]);

    await own.git(['update-ref', '-d', 'refs/heads/main']);
    expect(await mount.find('.history/main')).toBeNull();
    expect(await mount.find('.versions/main')).toBeNull();
  });
});
