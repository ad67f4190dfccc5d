import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptObjectError } from '../../../../src/errors.ts';
import { DeltaApplication, applyDelta, parseDeltaHeader } from '../../../../src/git/odb/delta.ts';
import {
  copyInstruction,
  delta,
  deltaSize,
  insertInstruction,
} from '../../../helpers/handmade-pack.ts';

const base = Buffer.from('The quick brown fox jumps over the lazy dog.');

describe('applyDelta', () => {
  it('copies from the base and inserts what is new', () => {
    const made = applyDelta(
      base,
      delta(
        base.length,
        17,
        copyInstruction(4, 6),
        insertInstruction(Buffer.from('red ')),
        copyInstruction(16, 3),
        insertInstruction(Buffer.from('es.!')),
      ),
    );
    expect(made.toString()).toBe('quick red foxes.!');
  });

  it('reads copies whose zero bytes are left out, and a length of zero as 65536', () => {
    const large = Buffer.alloc(70_000, 'abcdefg');
    const short = Buffer.from([0x80]);
    const copied = applyDelta(large, delta(70_000, 65_536, short));
    expect(copied.equals(large.subarray(0, 65_536))).toBe(true);
    const oneByteEach = Buffer.from([0x91, 3, 5]);
    expect(applyDelta(large, delta(70_000, 5, oneByteEach)).toString()).toBe('defga');
    const highBytes = Buffer.from([0x80 | 0x02 | 0x20, 1, 1]);
    expect(applyDelta(large, delta(70_000, 256, highBytes)).equals(large.subarray(256, 512))).toBe(
      true,
    );
  });

  it('makes an empty object', () => {
    expect(applyDelta(base, delta(base.length, 0))).toHaveLength(0);
  });

  it('gives what the instructions say, whatever they are', () => {
    const instruction = fc.oneof(
      fc.record({ start: fc.nat(900), length: fc.integer({ min: 1, max: 100 }) }),
      fc.uint8Array({ minLength: 1, maxLength: 127 }),
    );
    fc.assert(
      fc.property(
        fc.array(instruction, { maxLength: 30 }),
        fc.integer({ min: 1, max: 500 }),
        (list, work) => {
          const source = Buffer.from(Array.from({ length: 1000 }, (_, at) => (at * 7) % 251));
          const parts = list.map((item) =>
            'start' in item
              ? source.subarray(item.start, item.start + item.length)
              : Buffer.from(item),
          );
          const instructions = list.map((item) =>
            'start' in item
              ? copyInstruction(item.start, item.length)
              : insertInstruction(Buffer.from(item)),
          );
          const expected = Buffer.concat(parts);
          const bytes = delta(source.length, expected.length, ...instructions);
          expect(applyDelta(source, bytes).equals(expected)).toBe(true);
          const stepwise = new DeltaApplication(source, bytes);
          let steps = 0;
          while (!stepwise.step(work)) steps += 1;
          expect(stepwise.result.equals(expected)).toBe(true);
          expect(steps).toBeLessThanOrEqual(Math.floor(expected.length / work));
        },
      ),
    );
  });

  it.each([
    ['a base of another size', delta(base.length + 1, 1, copyInstruction(0, 1))],
    ['a copy that starts behind the base', delta(base.length, 1, copyInstruction(base.length, 1))],
    [
      'a copy that ends behind the base',
      delta(base.length, 9, copyInstruction(base.length - 8, 9)),
    ],
    ['an insertion that is cut off', delta(base.length, 5, Buffer.from([5, 1, 2]))],
    ['a copy that is cut off', delta(base.length, 5, Buffer.from([0xff, 0, 0]))],
    ['an unknown instruction', delta(base.length, 1, Buffer.from([0]))],
    ['fewer bytes than it declares', delta(base.length, 5, copyInstruction(0, 4))],
    ['more bytes than it declares', delta(base.length, 3, copyInstruction(0, 4))],
    ['a size without an end', Buffer.from([0x80, 0x80])],
    ['a size beyond all measure', Buffer.alloc(20, 0xff)],
    ['nothing at all', Buffer.alloc(0)],
  ])('refuses %s', (_, bytes) => {
    expect(() => applyDelta(base, bytes)).toThrow(CorruptObjectError);
  });

  it('refuses a size of terabytes without making room for it', () => {
    const lie = delta(base.length, 2 ** 40, copyInstruction(0, 4));
    expect(() => applyDelta(base, lie)).toThrow(/declares 1099511627776 bytes and makes 4/);
  });

  it('never breaks in another way on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const lie = Buffer.concat([deltaSize(base.length), bytes]);
        try {
          const { resultSizeBytes } = parseDeltaHeader(lie);
          expect(applyDelta(base, lie)).toHaveLength(resultSizeBytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptObjectError);
        }
      }),
    );
  });
});
