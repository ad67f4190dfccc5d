import type { Readable } from 'node:stream';

const longestLineBytes = 1 << 20;

/**
 * Reads one line of a stream, without its end.
 *
 * @returns `undefined` when the stream ends before the line does
 * @throws when it takes longer than `timeoutMs`, or the line is absurdly long
 */
export function readLine(stream: Readable, timeoutMs: number): Promise<string | undefined> {
  return new Promise((done, fail) => {
    let text = '';
    const timer = setTimeout(() => {
      settle(() => fail(new Error(`no answer within ${timeoutMs / 1000} s`)));
    }, timeoutMs);
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\n');
      if (end >= 0) settle(() => done(Buffer.from(text.slice(0, end), 'latin1').toString()));
      else if (text.length > longestLineBytes) settle(() => fail(new Error('the line has no end')));
    };
    const onEnd = (): void => settle(() => done(undefined));
    const settle = (outcome: () => void): void => {
      clearTimeout(timer);
      stream.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onEnd);
      // What fails after the line was read is nobody's concern, but it must not be fatal either.
      stream.on('error', () => undefined);
      outcome();
    };
    stream.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd);
  });
}

/** Hands on each line of a stream. What breaks it off is no error: a process at its other end may die. */
export function onLines(stream: Readable, onLine: (line: string) => void): void {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (text + chunk).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  stream.on('error', () => undefined);
}
