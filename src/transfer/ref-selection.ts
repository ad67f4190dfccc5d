import { InvalidArgumentError, KeyNotFoundError } from '../errors.ts';
import type { CorruptRefError } from '../errors.ts';
import { bytesFromText } from '../git/byte-string.ts';
import type { Oid } from '../git/oid.ts';
import {
  branchPrefix,
  isRefName,
  notesPrefix,
  parseRefName,
  refNameIn,
  refNameText,
  tagPrefix,
} from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { ListOptions } from '../git/refs/ref-reader.ts';
import type { Repository } from '../git/repository.ts';
import type { RefSelection } from './mirror-options.ts';

// In the order in which a short name is looked for.
const namespaces = [branchPrefix, tagPrefix, notesPrefix, 'refs/'];

/** All refs of a repository that lead to something. */
export async function allRefs(
  repository: Repository,
  options: ListOptions = {},
): Promise<Map<RefName, Oid>> {
  const refs = await repository.refs.list('refs/', options);
  return new Map(refs.map(({ name, oid }) => [name, oid]));
}

/** The refs of one side, and which of them only stand for others. */
export interface PresentRefs {
  /** What they hold, symbolic ones what they lead to. */
  readonly refs: ReadonlyMap<RefName, Oid>;
  /** The ref at the end of each symbolic one, also of one that leads nowhere. */
  readonly ends: ReadonlyMap<RefName, RefName>;
}

/** The refs of a repository that is about to be changed. */
export async function presentRefs({ refs }: Repository): Promise<PresentRefs> {
  const symbolic: RefName[] = [];
  const listed = await refs.list('refs/', { onDangling: (name) => symbolic.push(name) });
  for (const { name, target } of listed) if (target !== undefined) symbolic.push(name);
  const ends = new Map<RefName, RefName>();
  for (const name of symbolic) ends.set(name, await refs.end(name));
  return { refs: new Map(listed.map(({ name, oid }) => [name, oid])), ends };
}

/**
 * The refs of a repository that are chosen, by their names on the other side. A broken one among them
 * is a `CorruptRefError`: without it the copy would pass for a whole one, and a full mirror would lose
 * what may be the last good copy of that ref.
 */
export async function refsToSend(
  repository: Repository,
  selection: RefSelection | undefined,
): Promise<ReadonlyMap<RefName, Oid>> {
  const broken = new Map<RefName, CorruptRefError>();
  const onBroken = (error: CorruptRefError, name: RefName): unknown => broken.set(name, error);
  const refs = await allRefs(repository, { onBroken });
  const [first] = broken.values();
  if (selection === undefined && first !== undefined) throw first;
  return selectRefs(refs, selection, broken);
}

/**
 * What the refs of the other side shall be, by their names there: all of them, or those that are
 * chosen, under new names where the choice says so. A short new name stays in the namespace. Choosing
 * one of the `broken` throws its error.
 */
export function selectRefs(
  available: ReadonlyMap<RefName, Oid>,
  selection: RefSelection | undefined,
  broken: ReadonlyMap<RefName, CorruptRefError> = new Map(),
): ReadonlyMap<RefName, Oid> {
  if (selection === undefined) return available;
  const selected = new Map<RefName, Oid>();
  for (const [source, destination] of pairsOf(selection)) {
    const { name, oid } = find(available, broken, source);
    const target = destination === undefined ? name : destinationOf(name, destination);
    if (selected.has(target)) {
      const ref = refNameText(target);
      throw new InvalidArgumentError(`two refs cannot both become ${ref}`, { ref });
    }
    selected.set(target, oid);
  }
  return selected;
}

function pairsOf(selection: RefSelection): (readonly [string, string | undefined])[] {
  return isList(selection)
    ? Array.from(new Set(selection), (name) => [name, undefined] as const)
    : Object.entries(selection);
}

function isList(selection: RefSelection): selection is readonly string[] {
  return Array.isArray(selection);
}

function find(
  available: ReadonlyMap<RefName, Oid>,
  broken: ReadonlyMap<RefName, CorruptRefError>,
  text: string,
): { readonly name: RefName; readonly oid: Oid } {
  const bytes = bytesFromText(text);
  const candidates = text.startsWith('refs/')
    ? [parseRefName(text)]
    : namespaces.map((namespace) => namespace + bytes).filter(isRefName);
  for (const name of candidates) {
    const error = broken.get(name);
    if (error !== undefined) throw error;
    const oid = available.get(name);
    if (oid !== undefined) return { name, oid };
  }
  throw new KeyNotFoundError(`there is no ref ${JSON.stringify(text)} to transfer`, { ref: text });
}

function destinationOf(source: RefName, text: string): RefName {
  if (text.startsWith('refs/')) return parseRefName(text);
  const namespace = namespaces.find((prefix) => source.startsWith(prefix)) ?? 'refs/';
  return refNameIn(namespace, bytesFromText(text));
}
