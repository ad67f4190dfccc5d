/** Tells whether a pattern holds `*` or `?`. */
export function hasWildcard(pattern: string): boolean {
  return /[*?]/.test(pattern);
}

/**
 * A test for texts that match a pattern from start to end: `*` is any run of characters (none, and
 * line ends, included), `?` is one character, everything else is itself.
 */
export function compileWildcard(pattern: string): (text: string) => boolean {
  const wanted = Array.from(pattern);
  return (text) => matchesAll(wanted, Array.from(text));
}

/**
 * A test for names that match one segment of a glob pattern: as `compileWildcard`, but a leading
 * dot is matched only by a pattern that begins with one.
 */
export function compileSegment(segment: string): (name: string) => boolean {
  const matches = compileWildcard(segment);
  if (segment.startsWith('.')) return matches;
  return (name) => !name.startsWith('.') && matches(name);
}

function matchesAll(pattern: readonly string[], text: readonly string[]): boolean {
  let at = 0;
  let wanted = 0;
  // Where to go on when what follows the last star does not match: that star takes one more. An
  // earlier star never has to, so the time is bounded by the product of the two lengths.
  let retryAt = -1;
  let retryWanted = -1;
  while (at < text.length) {
    if (pattern[wanted] === '*') {
      retryAt = at;
      retryWanted = ++wanted;
    } else if (pattern[wanted] === '?' || pattern[wanted] === text[at]) {
      at += 1;
      wanted += 1;
    } else if (retryAt >= 0) {
      at = ++retryAt;
      wanted = retryWanted;
    } else {
      return false;
    }
  }
  while (pattern[wanted] === '*') wanted += 1;
  return wanted === pattern.length;
}
