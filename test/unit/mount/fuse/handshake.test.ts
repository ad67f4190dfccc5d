import { describe, expect, it } from 'vitest';
import {
  UnsupportedKernelError,
  defaultFeatures,
  negotiate,
} from '../../../../src/mount/fuse/handshake.ts';
import type { KernelProtocol } from '../../../../src/mount/fuse/handshake.ts';
import { initFlags, opcodes } from '../../../../src/mount/fuse/opcodes.ts';
import type { InitFlagName } from '../../../../src/mount/fuse/opcodes.ts';
import { Reply, replyHeaderSizeBytes } from '../../../../src/mount/fuse/reply.ts';
import { RequestReader } from '../../../../src/mount/fuse/request-reader.ts';
import { pack, packRequest, structSizeBytes, unpack } from '../../../helpers/fuse-structs.ts';
import type { StructValues } from '../../../helpers/fuse-structs.ts';

const everyFlag = 0xffff_ffff;

function introduce(
  init: StructValues,
  wanted: readonly InitFlagName[] = defaultFeatures,
): {
  protocol: KernelProtocol | undefined;
  answer: StructValues;
} {
  const values = { major: 7, minor: 45, max_readahead: 131_072, flags: everyFlag, ...init };
  const bytes = packRequest({ opcode: opcodes.init, body: [pack('init_in', values)] });
  const request = new RequestReader(bytes);
  request.begin(bytes.length);
  const reply = new Reply();
  reply.buffer.fill(0xee);
  const protocol = negotiate(request, reply, wanted);
  expect(reply.sizeBytes).toBe(replyHeaderSizeBytes + structSizeBytes('init_out'));
  return { protocol, answer: unpack('init_out', reply.buffer, replyHeaderSizeBytes) };
}

describe('the handshake', () => {
  it('takes the lower of both versions', () => {
    expect(introduce({ minor: 99 }).protocol?.minor).toBe(45);
    expect(introduce({ minor: 99 }).answer).toMatchObject({ major: 7, minor: 45 });
    expect(introduce({ minor: 31 }).answer).toMatchObject({ major: 7, minor: 31 });
  });

  it('refuses kernels that are too old, and says what is needed', () => {
    expect(() => introduce({ minor: 30 })).toThrow(UnsupportedKernelError);
    expect(() => introduce({ major: 6, minor: 99 })).toThrow(/6\.99.*Linux 5\.4/);
  });

  it('asks a kernel of a later major version to come again', () => {
    const { protocol, answer } = introduce({ major: 8, minor: 0 });
    expect(protocol).toBeUndefined();
    expect(answer).toMatchObject({ major: 7, flags: 0 });
  });

  it('wants only what the kernel has', () => {
    const offered = initFlags.asyncRead | initFlags.maxPages | (1 << 16);
    const { protocol, answer } = introduce({ flags: offered });
    expect(protocol?.features).toEqual(new Set(['asyncRead', 'maxPages']));
    expect(answer['flags']).toBe(initFlags.asyncRead | initFlags.maxPages);
  });

  it('says how much may be sent at once', () => {
    expect(introduce({}).answer).toMatchObject({
      ...{ max_write: 1 << 20, max_pages: 256, time_gran: 1, max_readahead: 131_072 },
      ...{ map_alignment: 0, flags2: 0, max_stack_depth: 0, unused6: 0 },
    });
    const { protocol, answer } = introduce({ flags: everyFlag & ~initFlags.maxPages });
    expect(answer).toMatchObject({ max_write: 131_072, max_pages: 0 });
    expect(protocol?.maxWriteBytes).toBe(131_072);
  });

  it('agrees on passthrough where it is wanted and there is a second word of flags', () => {
    const wanted = [...defaultFeatures, 'passthrough'] as const;
    const extended = 1 << 30;
    const { protocol, answer } = introduce({ flags2: everyFlag }, wanted);
    expect(protocol?.features.has('passthrough')).toBe(true);
    expect(answer).toMatchObject({ flags2: 1 << 5, max_stack_depth: 1 });
    expect(Number(answer['flags']) & extended).toBe(extended);
    for (const lacking of [{ flags: everyFlag & ~extended, flags2: everyFlag }, { flags2: 0 }]) {
      const without = introduce(lacking, wanted);
      expect(without.protocol?.features).toEqual(new Set(defaultFeatures));
      expect(without.answer).toMatchObject({ flags2: 0, max_stack_depth: 0 });
      expect(Number(without.answer['flags']) & extended).toBe(0);
    }
  });

  it('leaves locks and the write-back cache to the kernel', () => {
    const flags = Number(introduce({}).answer['flags']);
    const posixLocks = 1 << 1;
    const flockLocks = 1 << 10;
    const writebackCache = 1 << 16;
    expect(flags & (posixLocks | flockLocks | writebackCache)).toBe(0);
  });
});
