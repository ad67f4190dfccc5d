import { InvalidArchiveError } from '../errors.ts';
import { byteStringFromBuffer } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';

/** The records of a pax header, `<length> <key>=<value>` and a newline each; values are bytes, whatever they claim to be. */
export function parsePaxRecords(data: Buffer): Map<string, ByteString> {
  const records = new Map<string, ByteString>();
  for (let start = 0; start < data.length;) {
    const [head = '', digits] =
      /^([1-9]\d{0,6}) /.exec(data.toString('latin1', start, start + 8)) ?? [];
    const end = start + Number(digits ?? 0);
    const equals = data.indexOf('=', start + head.length);
    const isWhole = digits !== undefined && end <= data.length && data[end - 1] === 0x0a;
    if (!isWhole || equals < 0 || equals >= end) {
      throw new InvalidArchiveError('a pax header in the tar file is damaged');
    }
    const key = data.toString('latin1', start + head.length, equals);
    const value = byteStringFromBuffer(data, equals + 1, end - 1);
    const mayHoldNul = key !== 'path' && key !== 'linkpath';
    if (!mayHoldNul && value.includes('\0')) {
      throw new InvalidArchiveError('a path in the tar file holds a NUL byte');
    }
    records.set(key, value);
    start = end;
  }
  return records;
}

/** One record; its length counts its own digits too. */
export function paxRecord(key: string, value: ByteString): string {
  const restBytes = key.length + value.length + 3;
  let length = restBytes + 1;
  while (restBytes + String(length).length !== length) length = restBytes + String(length).length;
  return `${length} ${key}=${value}\n`;
}
