import { TransferError } from '../errors.ts';
import { systemErrorCode } from '../git/system-error.ts';
import { resolveCredentials } from './credentials.ts';
import { fetchClient } from './http-client.ts';
import type { AuthCallback, HttpClient, HttpRequest, HttpResponse } from './http-client.ts';
import { withoutCredentials } from './mirror-url.ts';
import { PacketReader } from './pkt-line.ts';

/** How a server is spoken to. */
export interface HttpOptions {
  readonly http?: HttpClient | undefined;
  readonly onAuth?: AuthCallback | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is to be done there: git has a service for each. */
export type HttpService = 'git-upload-pack' | 'git-receive-pack';

const agent = { 'user-agent': 'git/vost' };

/**
 * Requests to one repository on a server, made by isomorphic-git: `GitRemoteHTTP` finds the service,
 * asks for credentials when the server wants some, and sends what is to be sent. It is given its
 * answers through this class, which reads them itself: isomorphic-git would take a list of refs that
 * is cut short for a whole one and names that are no UTF-8 for others, and leave connections open.
 */
export class HttpSession {
  readonly #client: HttpClient;
  readonly #options: HttpOptions;
  #base: string;
  // isomorphic-git puts the credentials here that it was given.
  #headers: Record<string, string>;

  /** Credentials in the url are sent as such. */
  constructor(url: string, options: HttpOptions) {
    this.#client = options.http ?? fetchClient;
    this.#options = options;
    const parsed = new URL(url);
    this.#headers = { ...agent, ...basicAuth(credentialsOf(parsed)) };
    parsed.username = '';
    parsed.password = '';
    this.#base = parsed.href.replace(/\/$/, '');
  }

  /** The url without credentials. */
  get url(): string {
    return withoutCredentials(this.#base);
  }

  /**
   * Looks for a service, and gives what `read` makes of its answer: refs and capabilities. Later
   * requests go where this one was redirected to.
   */
  async discover<T>(
    service: HttpService,
    read: (answer: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    const suffix = `/info/refs?service=${service}`;
    let found: { readonly result: T } | undefined;
    const request = async (asked: HttpRequest): Promise<AnyResponse> => {
      const response = await this.#request(asked);
      if (response.statusCode !== 200) return response;
      const body = this.#bodyOf(response, `application/x-${service}-advertisement`);
      const answer = await collect(new PacketReader(body).rest());
      found = { result: await read(chunksOf(answer)) };
      this.#followRedirect(response, suffix);
      return { ...response, body: chunksOf(answer) };
    };
    const [url, headers] = [this.#base, this.#headers];
    const onAuth = this.#options.onAuth ?? ((): Promise<object | undefined> => this.#known());
    await this.#explaining(async () => {
      const { GitRemoteHTTP } = await import('isomorphic-git/managers');
      const http = { request };
      await GitRemoteHTTP.discover({ http, service, url, headers, onAuth, protocolVersion: 1 });
    });
    if (found === undefined) throw new TransferError(`${this.url} gives no answer`);
    return found.result;
  }

  /** Sends a request to a service, and gives what `read` makes of the answer. */
  async connect<T>(
    service: HttpService,
    body: AsyncGenerator<Buffer, void, undefined>,
    read: (answer: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    const guarded = new GuardedBody(body);
    const http = { request: (asked: HttpRequest) => this.#request(asked) };
    const [url, headers] = [this.#base, { ...this.#headers }];
    try {
      return await this.#explaining(async () => {
        const { GitRemoteHTTP } = await import('isomorphic-git/managers');
        const sent = { service, url, headers, body: guarded.chunks(), auth: {} };
        const response = await GitRemoteHTTP.connect({ http, ...sent });
        return read(this.#bodyOf(response, `application/x-${service}-result`));
      });
    } finally {
      // Whatever the server makes of a request that is cut short, this is what was wrong.
      guarded.check();
    }
  }

  async #request(asked: HttpRequest): Promise<AnyResponse> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    const response = await this.#client.request({ ...asked, signal });
    const { statusCode, body } = response;
    if (statusCode === 200) return { ...response, body: body ?? chunksOf() };
    await body?.return?.();
    return { ...response, body: chunksOf() };
  }

  /** What the user has for this server, unless it stands in the url and was refused. */
  async #known(): Promise<Credentials | undefined> {
    if ('Authorization' in this.#headers) return undefined;
    const { username, password } = credentialsOf(new URL(await resolveCredentials(this.#base)));
    return username === '' && password === '' ? undefined : { username, password };
  }

  #followRedirect({ url }: HttpResponse, suffix: string): void {
    const asked = new URL(`${this.#base}${suffix}`);
    if (!URL.canParse(url) || url === asked.href || !url.endsWith(suffix)) return;
    const answered = new URL(url);
    if (asked.protocol === 'https:' && answered.protocol !== 'https:') {
      throw new TransferError(`${this.url} redirects to a connection that is not safe`);
    }
    // Credentials are for the host that they were given for.
    if (answered.origin !== asked.origin) this.#headers = agent;
    this.#base = url.slice(0, -suffix.length);
  }

  #bodyOf({ headers = {}, body }: HttpResponse, contentType: string): AsyncIterable<Uint8Array> {
    const type = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type');
    if (type?.[1] === contentType && body !== undefined) return body;
    throw new TransferError(`${this.url} is no repository that speaks git's smart protocol`);
  }

  /** Does some work, and tells the errors of isomorphic-git as ours. */
  async #explaining<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      switch (systemErrorCode(error)) {
        case 'HttpError': {
          const { statusCode, statusMessage } = (error as HttpError).data;
          const isDenied = statusCode === 401 || statusCode === 403;
          const what = `${statusCode} ${statusMessage}`;
          throw new TransferError(
            isDenied ? `${this.url} denies access (${what})` : `${this.url} answers ${what}`,
          );
        }
        case 'UserCanceledError':
          throw new TransferError(`access to ${this.url} was cancelled`);
        case 'ParseError':
        case 'EmptyServerResponseError':
          throw new TransferError(`${this.url} does not speak as git does`, { cause: error });
        default:
          throw error;
      }
    }
  }
}

// isomorphic-git relies on a body.
interface AnyResponse extends HttpResponse {
  readonly body: AsyncIterableIterator<Uint8Array>;
}

// As isomorphic-git makes it; its classes of errors are not told apart by their types.
interface HttpError {
  readonly data: { readonly statusCode: number; readonly statusMessage: string };
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

// eslint-disable-next-line @typescript-eslint/require-await -- a body is asynchronous
async function* chunksOf(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const collected: Uint8Array[] = [];
  for await (const chunk of chunks) collected.push(chunk);
  return Buffer.concat(collected);
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

function credentialsOf({ username, password }: URL): Credentials {
  return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
}

function basicAuth({ username, password }: Credentials): Record<string, string> {
  if (username === '' && password === '') return {};
  const encoded = Buffer.from(`${username}:${password}`).toString('base64');
  // Under the name by which isomorphic-git replaces it.
  return { Authorization: `Basic ${encoded}` };
}
