// Controls but for the tab, separators of lines and paragraphs, and marks that turn the direction of
// writing.
const treacherous = /(?!\t)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * Escapes what a terminal, or whoever reads line by line, would take for something else than text.
 * Names of files come from whoever writes to the repository, and other users choose the directories
 * that they mount on.
 */
export function printable(text: string): string {
  return text.replace(
    treacherous,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
