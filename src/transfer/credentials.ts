import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { GitCommandError, GitNotFoundError } from '../errors.ts';
import { runGit } from '../git/git-cli.ts';

const timeoutMs = 15_000;
// eslint-disable-next-line no-control-regex
const controlCharacter = /[\x00-\x1f\x7f]/;
const githubHost = /(?:^|\.)(?:github\.com|ghe\.com|githubusercontent\.com)$|^github\./i;

/**
 * Puts the user's credentials into an https url, when there are some: those that `git credential fill`
 * knows, and for hosts of GitHub, else the token of `gh auth token`. Nobody is asked. Other urls, and
 * those that hold credentials, come back as they are. The result must not be shown or logged.
 */
export async function resolveCredentials(url: string): Promise<string> {
  if (!URL.canParse(url) || controlCharacter.test(url)) return url;
  const parsed = new URL(url);
  if (parsed.protocol !== 'https:' || parsed.username !== '' || parsed.password !== '') return url;
  const found = (await fromGit(parsed)) ?? (await fromGithub(parsed));
  if (found === null) return url;
  const { username, password } = found;
  // Not through `URL`, which would rewrite the rest of it.
  const credentials = `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
  return url.replace(/^(https:\/\/)/i, (start) => `${start}${credentials}`);
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

async function fromGit({ host, pathname }: URL): Promise<Credentials | null> {
  const path = pathname.replace(/^\//, '');
  const input = `protocol=https\nhost=${host}\n${path === '' ? '' : `path=${path}\n`}\n`;
  try {
    const { stdout } = await runGit(['credential', 'fill'], {
      input,
      timeoutMs,
      // An empty one keeps git from the programs that ask in a window.
      env: { GIT_ASKPASS: '', SSH_ASKPASS: '' },
    });
    const fields = new Map(
      stdout
        .toString('utf8')
        .split('\n')
        .map((line) => {
          const [name = '', ...value] = line.split('=');
          return [name, value.join('=')];
        }),
    );
    const [username, password] = [fields.get('username'), fields.get('password')];
    return username === undefined || password === undefined ? null : { username, password };
  } catch (error) {
    // It ends so when nothing is known and nobody may be asked.
    if (error instanceof GitCommandError || error instanceof GitNotFoundError) return null;
    throw error;
  }
}

async function fromGithub({ host, hostname }: URL): Promise<Credentials | null> {
  if (!githubHost.test(hostname)) return null;
  try {
    const args = ['auth', 'token', '--hostname', host];
    const { stdout } = await promisify(execFile)('gh', args, { timeout: timeoutMs });
    const token = stdout.trim();
    return token === '' ? null : { username: 'x-access-token', password: token };
  } catch {
    // There is no such program, or it knows no token: then there are no credentials.
    return null;
  }
}
