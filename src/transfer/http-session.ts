import { TransferError } from '../errors.ts';
import { resolveCredentials } from './credentials.ts';
import { fetchClient } from './http-client.ts';
import type { AuthCallback, HttpClient, HttpResponse } from './http-client.ts';
import { withoutCredentials } from './mirror-url.ts';

/** How a server is spoken to. */
export interface HttpOptions {
  readonly http?: HttpClient | undefined;
  readonly onAuth?: AuthCallback | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Requests to one repository on a server, with credentials when that wants them. */
export class HttpSession {
  readonly #client: HttpClient;
  readonly #options: HttpOptions;
  #base: string;
  #headers: Record<string, string>;

  /** Credentials in the url are sent as such. */
  constructor(url: string, options: HttpOptions) {
    this.#client = options.http ?? fetchClient;
    this.#options = options;
    const parsed = new URL(url);
    this.#headers = basicAuth(
      decodeURIComponent(parsed.username),
      decodeURIComponent(parsed.password),
    );
    parsed.username = '';
    parsed.password = '';
    this.#base = parsed.href.replace(/\/$/, '');
  }

  /** The url without credentials. */
  get url(): string {
    return withoutCredentials(this.#base);
  }

  /**
   * Asks which refs there are, with credentials when the server wants some. Later requests go where
   * this one was redirected to.
   */
  async get(suffix: string, contentType: string): Promise<AsyncIterable<Uint8Array>> {
    let response = await this.#request({ suffix });
    if (response.statusCode === 401 && (await this.#authenticate())) {
      await discard(response);
      response = await this.#request({ suffix });
    }
    this.#followRedirect(response, suffix);
    return this.#bodyOf(response, contentType);
  }

  /** Sends a request of the protocol, and gives what `read` makes of the answer. */
  async post<T>(
    service: string,
    body: AsyncGenerator<Buffer, void, undefined>,
    read: (answer: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    const guarded = new GuardedBody(body);
    const suffix = `/${service}`;
    try {
      const response = await this.#request({ suffix, service, body: guarded.chunks() });
      return await read(await this.#bodyOf(response, `application/x-${service}-result`));
    } finally {
      // Whatever the server makes of a request that is cut short, this is what was wrong.
      guarded.check();
    }
  }

  async #request(request: {
    readonly suffix: string;
    readonly service?: string;
    readonly body?: AsyncGenerator<Buffer, void, undefined>;
  }): Promise<HttpResponse> {
    const { signal } = this.#options;
    const { suffix, service, body } = request;
    signal?.throwIfAborted();
    return this.#client.request({
      url: `${this.#base}${suffix}`,
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...this.#headers,
        'user-agent': 'git/vost',
        ...(service !== undefined && {
          'content-type': `application/x-${service}-request`,
          accept: `application/x-${service}-result`,
        }),
      },
      ...(body !== undefined && { body }),
      ...(signal !== undefined && { signal }),
    });
  }

  /** Looks for credentials; tells whether there are some that were not tried. */
  async #authenticate(): Promise<boolean> {
    const before = this.#headers;
    const { onAuth } = this.#options;
    if (onAuth !== undefined) {
      const auth = (await onAuth(this.url, { headers: { ...before } })) ?? {};
      if (auth.cancel === true) throw new TransferError(`access to ${this.url} was cancelled`);
      this.#headers = auth.headers ?? basicAuth(auth.username ?? '', auth.password ?? '');
    } else if (Object.keys(before).length === 0) {
      const { username, password } = new URL(await resolveCredentials(this.#base));
      this.#headers = basicAuth(decodeURIComponent(username), decodeURIComponent(password));
    }
    return JSON.stringify(this.#headers) !== JSON.stringify(before);
  }

  #followRedirect({ url }: HttpResponse, suffix: string): void {
    const asked = new URL(`${this.#base}${suffix}`);
    if (!URL.canParse(url) || url === asked.href || !url.endsWith(suffix)) return;
    const answered = new URL(url);
    if (asked.protocol === 'https:' && answered.protocol !== 'https:') {
      throw new TransferError(`${this.url} redirects to a connection that is not safe`);
    }
    // Credentials are for the host that they were given for.
    if (answered.origin !== asked.origin) this.#headers = {};
    this.#base = url.slice(0, -suffix.length);
  }

  async #bodyOf(response: HttpResponse, contentType: string): Promise<AsyncIterable<Uint8Array>> {
    const { statusCode, statusMessage, headers = {}, body } = response;
    const type = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type');
    if (statusCode === 200 && type?.[1] === contentType && body !== undefined) return body;
    await discard(response);
    if (statusCode === 401 || statusCode === 403) {
      throw new TransferError(`${this.url} denies access (${statusCode} ${statusMessage})`);
    }
    throw statusCode === 200
      ? new TransferError(`${this.url} is no repository that speaks git's smart protocol`)
      : new TransferError(`${this.url} answers ${statusCode} ${statusMessage}`);
  }
}

/**
 * A body whose failure shows as its end, for not every client can cope with one: to the server the
 * request is cut short then, which it refuses, and the failure is told here.
 */
class GuardedBody {
  readonly #body: AsyncGenerator<Buffer, void, undefined>;
  #failure: { readonly error: unknown } | undefined;

  constructor(body: AsyncGenerator<Buffer, void, undefined>) {
    this.#body = body;
  }

  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#body;
    } catch (error) {
      this.#failure = { error };
    }
  }

  /** Throws what went wrong. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

async function discard({ body }: HttpResponse): Promise<void> {
  await body?.return?.();
}

function basicAuth(username: string, password: string): Record<string, string> {
  if (username === '' && password === '') return {};
  const credentials = Buffer.from(`${username}:${password}`).toString('base64');
  return { authorization: `Basic ${credentials}` };
}
