import { TransferError } from '../errors.ts';
import { withoutCredentials } from './mirror-url.ts';

/** A request, in the form that isomorphic-git's HTTP clients take. */
export interface HttpRequest {
  readonly url: string;
  readonly method?: string | undefined;
  readonly headers?: Record<string, string> | undefined;
  readonly body?: AsyncIterableIterator<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An answer, in the form that isomorphic-git's HTTP clients give. */
export interface HttpResponse {
  /** The url that answered, after redirections. */
  readonly url: string;
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly headers?: Record<string, string> | undefined;
  readonly body?: AsyncIterableIterator<Uint8Array> | undefined;
}

/** An HTTP client as isomorphic-git has them, `isomorphic-git/http/node` say. */
export interface HttpClient {
  request(request: HttpRequest): Promise<HttpResponse>;
}

/** Credentials for an HTTP server. */
export interface GitAuth {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Sent instead of user name and password. */
  readonly headers?: Record<string, string> | undefined;
  /** Give up. */
  readonly cancel?: boolean | undefined;
}

/* eslint-disable @typescript-eslint/no-invalid-void-type -- as isomorphic-git types it */
/** Gives credentials for a url; nothing when it has none. `auth` is what has been tried. */
export type AuthCallback = (
  url: string,
  auth: GitAuth,
) => GitAuth | undefined | void | Promise<GitAuth | undefined | void>;
/* eslint-enable @typescript-eslint/no-invalid-void-type */

/** The client that is used when none is given: Node's own `fetch`, streaming in both directions. */
export const fetchClient: HttpClient = {
  async request({ url, method = 'GET', headers = {}, body, signal }: HttpRequest) {
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers,
        ...(signal !== undefined && { signal }),
        ...(body !== undefined && { body: ReadableStream.from(body), duplex: 'half' }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new TransferError(`${withoutCredentials(url)} cannot be reached`, { cause });
    }
    return {
      url: response.url,
      statusCode: response.status,
      statusMessage: response.statusText,
      headers: Object.fromEntries(response.headers),
      body: response.body?.[Symbol.asyncIterator]() as
        AsyncIterableIterator<Uint8Array> | undefined,
    };
  },
};
