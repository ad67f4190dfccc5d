/** What is used of koffi. Not its own types: the build must not need what is not always installed. */
export interface Koffi {
  load(library: null): { func(name: string, result: string, args: unknown[]): CFunction };
  struct(members: Readonly<Record<string, unknown>>): unknown;
  pointer(type: unknown): unknown;
  out(type: unknown): unknown;
  errno(): number;
}

/** A function of the C library. */
export type CFunction = (...args: unknown[]) => number;

/** Loads koffi, which calls functions of the C library; throws where it is not there. */
export async function loadKoffi(): Promise<Koffi> {
  const name: string = 'koffi';
  return ((await import(name)) as { default: Koffi }).default;
}
