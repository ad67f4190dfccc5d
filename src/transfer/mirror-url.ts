import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError } from '../errors.ts';

/** Where a mirror is: on this machine, or at a url that is spoken to over http(s) or by git only. */
export type MirrorUrl =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'other'; readonly url: string };

// eslint-disable-next-line no-control-regex
const controlCharacter = /[\x00-\x1f\x7f]/;
const scheme = /^([a-z][a-z0-9+.-]*):\/\//i;

/**
 * Takes apart where a mirror is, as git does: `scheme://…`, `[user@]host:path`, else a local path
 * (also one with a colon behind a slash). What begins with `-` or holds a control character is an
 * `InvalidArgumentError`.
 */
export function parseMirrorUrl(url: string): MirrorUrl {
  if (url === '') throw new InvalidArgumentError('a mirror has no url');
  if (url.startsWith('-')) throw new InvalidArgumentError('the url of a mirror begins with "-"');
  if (controlCharacter.test(url)) {
    throw new InvalidArgumentError('the url of a mirror holds a control character');
  }
  const protocol = scheme.exec(url)?.[1]?.toLowerCase();
  if (protocol === 'file') return { kind: 'local', path: pathOfFileUrl(url) };
  if (protocol === 'http' || protocol === 'https') return { kind: 'http', url };
  if (protocol !== undefined || /^[^/]*:/.test(url)) {
    // `ssh://-oProxyCommand=…` and its like: git refuses them, and so does this.
    const host = url.replace(scheme, '').replace(/^[^/@]*@/, '');
    if (host.startsWith('-')) {
      throw new InvalidArgumentError('the host of a mirror begins with "-"');
    }
    return { kind: 'other', url };
  }
  return { kind: 'local', path: resolve(url) };
}

function pathOfFileUrl(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new InvalidArgumentError(`not the url of a local file: ${url}`, { cause });
  }
}

/** Tells whether a mirror is a bundle file, and where; a bundle on another machine is an `InvalidArgumentError`. */
export function bundlePath(url: string, format: string | null | undefined): string | null {
  if (format !== undefined && format !== null && format !== 'bundle') {
    throw new InvalidArgumentError(`not a format for a mirror: ${JSON.stringify(format)}`);
  }
  const parsed = parseMirrorUrl(url);
  const isBundle =
    format === 'bundle' || (parsed.kind === 'local' ? parsed.path : url).endsWith('.bundle');
  if (!isBundle) return null;
  if (parsed.kind === 'local') return parsed.path;
  const message = `a bundle is a file on this machine, which ${withoutCredentials(url)} is not`;
  throw new InvalidArgumentError(message);
}

/** A url as it may be shown: without user, password, query and fragment. */
export function withoutCredentials(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1').replace(/[?#].*$/, '');
}
