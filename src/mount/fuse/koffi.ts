import { createRequire } from 'node:module';

/** What is used of koffi. Not its own types: the build must not need what is not always installed. */
export interface Koffi {
  load(library: null): { func(name: string, result: string, args: unknown[]): CFunction };
  struct(members: Readonly<Record<string, unknown>>): unknown;
  pointer(type: unknown): unknown;
  out(type: unknown): unknown;
  errno(): number;
}

/** A function of the C library. */
export interface CFunction {
  (...args: unknown[]): number;
  /** Calls it in a thread; the last argument is told the error or the result. */
  async: (...args: [...unknown[], done: (error: unknown, result: number) => void]) => void;
}

/** Loads koffi, which calls functions of the C library; throws where it is not there. */
export async function loadKoffi(): Promise<Koffi> {
  const name: string = 'koffi';
  return ((await import(name)) as { default: Koffi }).default;
}

/**
 * The native part of koffi alone, which has all of `Koffi` and is loaded in a third of the time, from where
 * npm puts it for this system; throws where it is not there.
 */
export function loadNativeKoffi(): Koffi {
  const system = `${process.platform}-${process.arch}`;
  const path = `@koromix/koffi-${system}/${system.replace('-', '_')}/koffi.node`;
  return createRequire(import.meta.url)(path) as Koffi;
}
