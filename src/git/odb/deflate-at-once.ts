import { constants, createDeflate, createDeflateRaw, inflateRawSync, inflateSync } from 'node:zlib';
import type { DeflateSettings } from './deflate.ts';
import { ZlibContext } from './zlib-context.ts';

// What comes out goes here first, so that what is kept has the room that it needs and no more.
const mostOutputBytes = 64 * 1024;
let output: Buffer | undefined;

/** `zlib` is a whole stream (RFC 1950), `part` are blocks (RFC 1951) that end at a byte. */
type Form = 'zlib' | 'part';

const forms = {
  zlib: {
    create: createDeflate,
    flush: constants.Z_FINISH,
    inflate: (deflated: Buffer) => inflateSync(deflated),
  },
  part: {
    create: createDeflateRaw,
    flush: constants.Z_SYNC_FLUSH,
    inflate: (deflated: Buffer) =>
      inflateRawSync(deflated, { finishFlush: constants.Z_SYNC_FLUSH }),
  },
} as const;

/** By form, level and window; `null` where Node does not let us. */
const contexts = new Map<string, ZlibContext | null>();

/** To see whether a context does what it should. */
const sample = Buffer.from('a sample, a sample');

function findContext(
  form: Form,
  { level, windowBits }: Pick<DeflateSettings, 'level' | 'windowBits'>,
): ZlibContext | null {
  const { create, flush, inflate } = forms[form];
  return ZlibContext.tried(create({ level, windowBits }), (context) => {
    const deflated = deflateWith(context, flush, sample, Buffer.alloc(200));
    return deflated !== undefined && inflate(deflated).equals(sample);
  });
}

/** Deflates into `room`, and gives what is filled of it; `undefined` when all is, for it may have been too little. */
function deflateWith(
  context: ZlibContext,
  flush: number,
  data: Uint8Array,
  room: Buffer,
): Buffer | undefined {
  if (!context.run(flush, data, room)) return undefined;
  const { roomLeft } = context;
  return roomLeft === 0 ? undefined : room.subarray(0, room.length - roomLeft);
}

/** Deflates content; `undefined` when it may need more than 64 KiB then, or Node does not let us. */
export function deflateAtOnce(
  form: Form,
  data: Uint8Array,
  settings: DeflateSettings,
): Buffer | undefined {
  output ??= Buffer.allocUnsafeSlow(mostOutputBytes);
  const deflated = deflateInto(output, form, data, settings);
  return deflated && Buffer.from(deflated);
}

/** Deflates content into `room`, and gives what is filled of it; `undefined` where that cannot be. */
export function deflateInto(
  room: Buffer,
  form: Form,
  data: Uint8Array,
  settings: Pick<DeflateSettings, 'level' | 'windowBits'>,
): Buffer | undefined {
  const key = `${form} ${settings.level} ${settings.windowBits}`;
  let context = contexts.get(key);
  if (context === undefined) contexts.set(key, (context = findContext(form, settings)));
  return context === null ? undefined : deflateWith(context, forms[form].flush, data, room);
}
