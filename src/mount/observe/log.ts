import { logLevels } from '../mount-options.ts';
import type { LogLevel } from '../mount-options.ts';
import { printable } from './printable.ts';

/** What an event concerns. Text is escaped where it needs to be; `undefined` leaves a field out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Where lines go; each ends with a newline. Must not block. */
export interface LogTarget {
  write(line: string): void;
}

/**
 * What happens in the daemon, one line for each event: the time, the level, the event's name and
 * its fields as `name=value`. Names of files come from whoever writes to the repository, so a value
 * that could be taken for something else (white space, quotes, control characters, a change of the
 * direction of writing) stands in quotes, escaped as in JSON.
 */
export class Log {
  readonly #target: LogTarget;
  readonly #level: number;

  constructor(target: LogTarget, level: LogLevel = 'warn') {
    this.#target = target;
    this.#level = logLevels.indexOf(level);
  }

  /** Tells whether lines of a level are written, for events whose fields cost something to collect. */
  writes(level: LogLevel): boolean {
    return logLevels.indexOf(level) <= this.#level;
  }

  error(event: string, fields?: LogFields): void {
    this.#write('error', event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#write('warn', event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#write('info', event, fields);
  }

  debug(event: string, fields?: LogFields): void {
    this.#write('debug', event, fields);
  }

  #write(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (!this.writes(level)) return;
    let line = `${new Date().toISOString()} ${level} ${event}`;
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) line += ` ${name}=${escaped(String(value))}`;
    }
    this.#target.write(`${line}\n`);
  }
}

const plain = /^[\w./:@+,~-]+$/;

function escaped(value: string): string {
  if (plain.test(value)) return value;
  return printable(JSON.stringify(value));
}
