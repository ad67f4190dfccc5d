import { resolve } from 'node:path';
import { BackgroundDaemon } from './daemonize.ts';
import type { Invocation } from './options.ts';

/** With any of these words there is no such daemon, or it is started in another way. */
const otherwise =
  /^(?:list|status|commit|unmount|completion)$|^--?(?:f|h|help|version)$|foreground|resilient|log.file/;

/**
 * Starts the daemon of a mount before the command line is read, so that the two go side by side:
 * each takes about as long as the start of Node itself. The paths are a guess, from where they
 * mostly stand; it need not be right, for the daemon does nothing until it is told what to do.
 */
export function startAhead(argv: readonly string[]): BackgroundDaemon | undefined {
  if (argv.some((word) => otherwise.test(word))) return undefined;
  const paths = argv[0]?.startsWith('-') === true ? argv.slice(-2) : argv.slice(0, 2);
  const [repository = '', mountpoint = ''] = paths;
  if (paths.some((path) => path.startsWith('-')) || repository === '' || mountpoint === '') {
    return undefined;
  }
  return BackgroundDaemon.start(resolve(repository), resolve(mountpoint));
}

/** The daemon, if it is the one for this command line; otherwise it is ended. */
export function claim(
  daemon: BackgroundDaemon | undefined,
  invocation: Invocation,
): BackgroundDaemon | undefined {
  if (daemon === undefined) return undefined;
  const isIts =
    invocation.verb === 'mount' &&
    !(invocation.foreground || invocation.resilient || invocation.logFile !== undefined) &&
    invocation.repository === daemon.repository &&
    invocation.mountpoint === daemon.mountpoint;
  if (isIts) return daemon;
  daemon.abandon();
  return undefined;
}
