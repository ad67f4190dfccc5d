import { InvalidConfigError } from '../errors.ts';

/** A line of a configuration file that sets a variable. */
export interface ConfigEntry {
  /**
   * `section.variable` or `section.subsection.variable`: section and variable in lower case, the
   * subsection as it is written.
   */
  readonly key: string;
  /** `null` when the variable stands without `=`, which is true as a boolean. */
  readonly value: string | null;
  /** The file that it stands in. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * Parses a configuration file by the rules under "Syntax" in git-config(1). What breaks them is an
 * `InvalidConfigError` that names the file and the line.
 */
export function parseConfig(text: string, file: string): ConfigEntry[] {
  return new ConfigParser(text, file).parse();
}

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\',
  '"': '"',
  n: '\n',
  t: '\t',
  b: '\b',
  // A backslash at the end of a line: the value goes on in the next one.
  '\n': '',
};

class ConfigParser {
  readonly #text: string;
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    // A line ends in LF or CR LF, the last one at the latest with the text; a CR anywhere else is
    // white space. A byte order mark is passed over.
    this.#text = `${text.replace(/^\ufeff/, '').replaceAll('\r\n', '\n')}\n`;
    this.#file = file;
  }

  parse(): ConfigEntry[] {
    const entries: ConfigEntry[] = [];
    let section: string | undefined;
    for (;;) {
      this.#take(/(?:[ \t\r\n]|[#;].*)*/y);
      if (this.#at === this.#text.length) return entries;
      if (this.#text[this.#at] === '[') section = this.#section();
      else entries.push(this.#variable(section));
    }
  }

  // `[section]`, `[section "subsection"]`, or the old form `[section.subsection]`.
  #section(): string {
    const plain = this.#take(/\[[A-Za-z0-9.-]+\]/y);
    if (plain !== '') return plain.slice(1, -1).toLowerCase();
    const name = this.#take(/\[[A-Za-z0-9.-]+[ \t\r]+(?=")/y);
    const quoted = this.#take(/"(?:[^"\\\n]|\\[^\n])*"\]/y);
    if (name === '' || quoted === '') throw this.#error();
    const subsection = quoted.slice(1, -2).replaceAll(/\\(.)/gs, '$1');
    return `${name.slice(1).trimEnd().toLowerCase()}.${subsection}`;
  }

  #variable(section: string | undefined): ConfigEntry {
    const line = this.#line();
    const name = this.#take(/[A-Za-z][A-Za-z0-9-]*/y);
    if (name === '') throw this.#error();
    // As git does, take variables that stand before the first section; nobody asks for them.
    const key = `${section === undefined ? '' : `${section}.`}${name.toLowerCase()}`;
    this.#take(/[ \t]*/y);
    if (this.#take(/=/y) !== '') return { key, value: this.#value(), file: this.#file, line };
    if (this.#take(/\n/y) === '') throw this.#error();
    return { key, value: null, file: this.#file, line };
  }

  #value(): string {
    let value = '';
    let quoted = false;
    // White space counts only when something comes after it.
    let space = '';
    for (;;) {
      const character = this.#take(/[^]/y);
      if (character === '\n') {
        if (quoted) throw this.#error(-1);
        return value;
      }
      if (!quoted && /[ \t\r]/.test(character)) {
        if (value !== '') space += character;
        continue;
      }
      if (!quoted && /[#;]/.test(character)) {
        this.#take(/.*\n/y);
        return value;
      }
      value += space;
      space = '';
      if (character === '"') quoted = !quoted;
      else value += character === '\\' ? this.#escaped() : character;
    }
  }

  #escaped(): string {
    const character = this.#take(/[^]/y);
    const meaning = escapes[character];
    // A file that ends in a backslash ends the value, too.
    if (this.#at === this.#text.length) this.#at -= 1;
    if (meaning === undefined) throw this.#error(-1);
    return meaning;
  }

  /** Goes past what a sticky expression matches here, and gives it. */
  #take(expression: RegExp): string {
    expression.lastIndex = this.#at;
    const match = expression.exec(this.#text)?.[0] ?? '';
    this.#at += match.length;
    return match;
  }

  #line(): number {
    return this.#text.slice(0, this.#at).split('\n').length;
  }

  #error(offset = 0): InvalidConfigError {
    this.#at += offset;
    const message = `bad configuration in line ${this.#line()} of ${this.#file}`;
    return new InvalidConfigError(message, { path: this.#file });
  }
}
