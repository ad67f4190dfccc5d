import { fileTargets } from './file-targets.ts';
import { fuseTarget } from './fuse-target.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { parserTargets } from './parser-targets.ts';

export const fuzzTargets: readonly FuzzTarget[] = [...parserTargets, ...fileTargets, fuseTarget];
