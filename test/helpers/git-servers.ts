import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEachFile } from './after-file.ts';
import { gitEnvironment } from './git.ts';

/** Something that listens on loopback. */
export interface GitServer {
  readonly port: number;
  close(): Promise<void>;
}

const running = new Set<GitServer>();
afterEachFile(async () => {
  for (const server of running) await server.close();
});

/** Has a server closed when the tests of a file are over, unless it has been before. */
export function started(port: number, close: () => Promise<void>): GitServer {
  const server: GitServer = {
    port,
    close: async () => {
      if (running.delete(server)) await close();
    },
  };
  running.add(server);
  return server;
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A key and a certificate, in PEM. */
export interface ServerCertificate {
  readonly key: string;
  readonly cert: string;
}

/**
 * `git http-backend` behind a small server; with `user` and `password` for all that they are asked
 * of, and with a certificate over https.
 */
export async function gitHttpServer(
  root: string,
  credentials?: { readonly user: string; readonly password: string },
  certificate?: ServerCertificate,
): Promise<GitServer> {
  const expected =
    credentials &&
    `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    if (expected !== undefined && request.headers.authorization !== expected) {
      request.resume();
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      return;
    }
    serve(root, request, response);
  };
  const server =
    certificate === undefined ? createHttpServer(answer) : createHttpsServer(certificate, answer);
  const port = await listening(server);
  return started(port, async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
}

function serve(root: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const header = (name: string): string => request.headers[name]?.toString() ?? '';
  const child = spawn('git', ['http-backend'], {
    env: {
      ...gitEnvironment,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REMOTE_USER: 'tester',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: header('content-type'),
      ...(header('content-length') !== '' && { CONTENT_LENGTH: header('content-length') }),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      GIT_PROTOCOL: header('git-protocol'),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
    // A group of its own: `git` starts the backend as its child, and a backend whose request was
    // cut short reads the end of its input over and over until it is killed itself.
    detached: true,
  });
  child.stdin.on('error', () => undefined);
  request.on('error', () => undefined).pipe(child.stdin);
  let head = Buffer.alloc(0);
  child.stdout.on('data', (chunk: Buffer) => {
    if (response.headersSent) {
      response.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    let status = 200;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(': ');
      if (name === 'Status') status = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.writeHead(status);
    response.write(head.subarray(end + 4));
  });
  child.stdout.on('end', () => response.end());
  response.on('close', () => endGroup(child));
}

function endGroup(leader: ChildProcess): void {
  if (leader.pid === undefined) return;
  try {
    process.kill(-leader.pid, 'SIGTERM');
  } catch (error) {
    // Nobody of the group is left: it had come to its end by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** `git daemon` that takes pushes. */
export async function gitDaemon(root: string): Promise<GitServer> {
  const port = await freePort();
  const args = ['daemon', '--reuseaddr', '--export-all', '--enable=receive-pack'];
  const child = spawn(
    'git',
    [...args, `--base-path=${root}`, '--listen=127.0.0.1', `--port=${port}`, root],
    // A group of its own, for `git daemon` is another process than `git`.
    { env: gitEnvironment, stdio: 'ignore', detached: true },
  );
  const deadline = Date.now() + 10_000;
  while (!(await answers(port))) {
    if (Date.now() > deadline) throw new Error('git daemon does not begin to listen');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return started(port, async () => {
    const ended = once(child, 'exit');
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    await ended;
  });
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  const port = await listening(probe);
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Tells whether somebody listens on a port. */
export async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Passes connections on, and cuts each off after so many bytes in one of the directions. */
export async function cuttingProxy(
  target: number,
  limits: { readonly toServerBytes?: number; readonly toClientBytes?: number },
): Promise<GitServer> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    const forward = (from: Socket, to: Socket, limitBytes = Infinity): void => {
      let passed = 0;
      sockets.add(from);
      from.on('error', cut).on('close', cut);
      from.on('data', (chunk: Buffer) => {
        passed += chunk.length;
        if (passed < limitBytes) to.write(chunk);
        else to.write(chunk.subarray(0, chunk.length - (passed - limitBytes)), cut);
      });
      from.on('end', () => to.end());
    };
    forward(client, upstream, limits.toServerBytes);
    forward(upstream, client, limits.toClientBytes);
  });
  const port = await listening(server);
  return started(port, async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
}
