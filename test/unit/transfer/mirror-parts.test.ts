import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { GitStore, resolveCredentials } from '../../../src/index.ts';
import { parseOid } from '../../../src/git/oid.ts';
import { parseRefName } from '../../../src/git/refs/ref-name.ts';
import { Repository } from '../../../src/git/repository.ts';
import {
  bundlePath,
  parseMirrorUrl,
  withoutCredentials,
} from '../../../src/transfer/mirror-url.ts';
import { inSteps } from '../../../src/transfer/outgoing.ts';
import { PacketReader, demultiplex, packet } from '../../../src/transfer/pkt-line.ts';
import { selectRefs } from '../../../src/transfer/ref-selection.ts';
import { moveRefs } from '../../../src/transfer/ref-updates.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

const a = parseOid('a'.repeat(40));
const b = parseOid('b'.repeat(40));
const path = process.env['PATH'];

afterEach(() => {
  process.env['PATH'] = path;
  delete process.env['GIT_CONFIG_GLOBAL'];
});

describe('the url of a mirror', () => {
  test.each([
    ['/a/b.git', { kind: 'local', path: '/a/b.git' }],
    ['./x:y', { kind: 'local', path: join(process.cwd(), 'x:y') }],
    ['file:///a%20b', { kind: 'local', path: '/a b' }],
    ['https://host/x', { kind: 'http', url: 'https://host/x' }],
    ['ssh://git@host/x', { kind: 'other', url: 'ssh://git@host/x' }],
    ['git@host:x.git', { kind: 'other', url: 'git@host:x.git' }],
  ])('%s is understood as git does', (url, expected) => {
    expect(parseMirrorUrl(url)).toEqual(expected);
  });

  test.each(['', '-oProxyCommand=x', '--upload-pack=x', 'a\nb', 'ssh://-oX=y/z', '-h:x', 'u@-h:x'])(
    '%j is refused',
    (url) => {
      expect(() => parseMirrorUrl(url)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    },
  );

  test('is shown without what could be secret', () => {
    expect(withoutCredentials('https://u:p@h/x?token=1#f')).toBe('https://h/x');
    expect(withoutCredentials('https://token@h:1/x@y')).toBe('https://h:1/x@y');
  });

  test('is that of a bundle by its end or by the format', () => {
    expect(bundlePath('/x/y.bundle', undefined)).toBe('/x/y.bundle');
    expect(bundlePath('/x/y', 'bundle')).toBe('/x/y');
    expect(bundlePath('/x/y', null)).toBeNull();
    expect(() => bundlePath('/x/y', 'zip')).toThrow(/not a format/);
    expect(() => bundlePath('https://u:secret@h/x.bundle', null)).toThrow(/^(?!.*secret).*bundle/);
  });
});

test('refs are chosen by short and full names: branches before tags', () => {
  const refs = new Map(
    ['refs/heads/x', 'refs/tags/x', 'refs/tags/t', 'refs/notes/n', 'refs/other/o'].map(
      (name, index) => [parseRefName(name), parseOid(String(index).repeat(40))],
    ),
  );
  const chosen = (selection: Parameters<typeof selectRefs>[1]): Record<string, string> =>
    Object.fromEntries(
      Array.from(selectRefs(refs, selection), ([name, oid]) => [name, oid.slice(0, 1)]),
    );
  expect(chosen(['x', 't', 'n', 'other/o'])).toEqual({
    'refs/heads/x': '0',
    'refs/tags/t': '2',
    'refs/notes/n': '3',
    'refs/other/o': '4',
  });
  expect(chosen({ t: 'u', 'refs/tags/x': 'refs/heads/y' })).toEqual({
    'refs/tags/u': '2',
    'refs/heads/y': '1',
  });
  expect(() => chosen(['y'])).toThrow(expect.objectContaining({ code: 'KEY_NOT_FOUND' }));
  expect(() => chosen({ x: 'z', 'refs/heads/x': 'z' })).toThrow(/two refs/);
  expect(() => chosen({ x: 'a..b' })).toThrow(
    expect.objectContaining({ code: 'INVALID_REF_NAME' }),
  );
});

test('a ref that takes the place of another one waits for it', () => {
  const move = (name: string, from: typeof a | null, to: typeof a | null) =>
    ({ name: parseRefName(name), from, to }) as const;
  const plain = [move('refs/heads/m', a, b), move('refs/heads/n', null, b)];
  expect(inSteps(plain)).toEqual([plain]);
  const gone = [move('refs/heads/d/e', a, null), move('refs/heads/f', a, null)];
  const instead = [move('refs/heads/d', null, b), move('refs/heads/f/g', null, b)];
  expect(inSteps([...plain, ...gone, ...instead])).toEqual([[...plain, ...gone], instead]);
});

test('when one ref cannot be moved, none is', async () => {
  const gitDir = join(await temporaryDirectory(), 'r.git');
  const store = await GitStore.open(gitDir);
  const main = await store.branches.get('main');
  const next = await main.writeText('a', 'a');
  await store.close();
  const repository = await Repository.open(gitDir);
  onTestFinished(() => repository.close());
  const [from, to] = [parseOid(next.commitHash), parseOid(main.commitHash)];
  const moves = [
    { name: parseRefName('refs/heads/main'), from, to },
    { name: parseRefName('refs/heads/new'), from: null, to },
    { name: parseRefName('refs/heads/wrong'), from: to, to: from },
  ];
  const note = { identity: { name: 'n', email: 'e' }, message: 'restore' };
  await expect(moveRefs(repository, moves, note)).rejects.toMatchObject({ code: 'REF_CHANGED' });
  expect(await repository.refs.list('refs/')).toEqual([{ name: 'refs/heads/main', oid: from }]);
});

async function* chunks(...parts: (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(Buffer.from(part as string));
}

describe('packets', () => {
  test('are read however they are cut', async () => {
    const bytes = Buffer.concat([packet('one\n'), Buffer.from('0000'), packet(''), packet('two')]);
    for (let size = 1; size < 12; size++) {
      const parts: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
      const reader = new PacketReader(chunks(...parts, 'rest'));
      expect((await reader.next())?.toString()).toBe('one\n');
      expect(await reader.next()).toBeNull();
      expect(await reader.next()).toHaveLength(0);
      expect((await reader.next())?.toString()).toBe('two');
    }
  });

  test.each(['', '00', '0008abc', 'zzzz', 'HTTP/1.1', 'ffff'])('%j is refused', async (text) => {
    const reader = new PacketReader(chunks(text));
    await expect(reader.next()).rejects.toMatchObject({ code: 'TRANSFER_FAILED' });
  });

  test('of bands are told apart, and an error of the other side is shown safely', async () => {
    const bands = [packet('\x02progress'), packet('\x01data')];
    const error = packet('\x03no \x1b[2J https://u:secret@h/');
    const reader = new PacketReader(chunks(...bands, error));
    const data = demultiplex(reader);
    expect((await data.next()).value?.toString()).toBe('data');
    await expect(data.next()).rejects.toThrow('the other side refuses: no  [2J https://***@h/');
  });
});

async function program(directory: string, name: string, script: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, name), `#!/bin/sh\n${script}`);
  await chmod(join(directory, name), 0o755);
}

describe('resolveCredentials', () => {
  test('leaves urls alone that need none', async () => {
    process.env['PATH'] = '/nonexistent';
    for (const url of [
      'http://h/x',
      '/path',
      'git@h:x',
      'ssh://h/x',
      'https://u@h/x',
      'https://h/x',
    ]) {
      expect(await resolveCredentials(url)).toBe(url);
    }
  });

  test('asks what git is configured to ask', async () => {
    const directory = await temporaryDirectory();
    const config = join(directory, 'config');
    const helper = `!f() { echo username=me@home; echo "password=p/w:%"; }; f`;
    await writeFile(
      config,
      `[credential "https://known"]\nhelper = "${helper.replaceAll('"', '\\"')}"\n`,
    );
    process.env['GIT_CONFIG_GLOBAL'] = config;
    expect(await resolveCredentials('https://known/x?y=z')).toBe(
      'https://me%40home:p%2Fw%3A%25@known/x?y=z',
    );
    expect(await resolveCredentials('https://unknown/x')).toBe('https://unknown/x');
  });

  test('asks gh for the hosts of GitHub', async () => {
    const directory = await temporaryDirectory();
    process.env['GIT_CONFIG_GLOBAL'] = '/dev/null';
    await program(directory, 'gh', 'test "$*" = "auth token --hostname github.com" && echo tok\n');
    process.env['PATH'] = `${directory}${delimiter}${path ?? ''}`;
    expect(await resolveCredentials('https://github.com/a/b')).toBe(
      'https://x-access-token:tok@github.com/a/b',
    );
    expect(await resolveCredentials('https://example.com/a')).toBe('https://example.com/a');
    await program(directory, 'gh', 'echo wrong >&2; exit 1\n');
    expect(await resolveCredentials('https://github.com/a/b')).toBe('https://github.com/a/b');
  });
});

describe('a server that is none of git', () => {
  test.each([
    [200, 'text/html', 'is no repository'],
    [404, 'text/plain', 'answers 404'],
    [401, 'text/plain', 'denies access'],
    [200, 'application/x-git-upload-pack-advertisement', 'does not speak|cut short'],
  ])('and says %i %s is told, without the password', async (status, type, message) => {
    const server = createServer((_, response) => {
      response.writeHead(status, { 'content-type': type }).end('<html>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const store = await GitStore.open(join(await temporaryDirectory(), 'r.git'));
    onTestFinished(() => store.close());
    process.env['PATH'] = '/nonexistent';
    const error: unknown = await store
      .restore(`http://me:secret@127.0.0.1:${port}/x`)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'TRANSFER_FAILED' });
    expect(String(error)).toMatch(new RegExp(message));
    expect(String(error)).not.toMatch(/secret/);
  });

  test('that cannot be reached is told, and what only git can reach', async () => {
    const store = await GitStore.open(join(await temporaryDirectory(), 'r.git'));
    onTestFinished(() => store.close());
    process.env['PATH'] = '/nonexistent';
    await expect(store.backup('http://me:secret@127.0.0.1:1/x')).rejects.toThrow(
      'http://127.0.0.1:1/x/info/refs cannot be reached',
    );
    const refused = store.backup('ssh://me:secret@host/x');
    await expect(refused).rejects.toMatchObject({ code: 'GIT_NOT_FOUND' });
    await expect(refused).rejects.toThrow(/^(?!.*secret)/);
  });
});
