import { afterAll } from 'vitest';
import { cleanUp } from './after-file.ts';

// Test files share a process: what one of them has made or set must not be there for the next.
const before = { ...process.env };

afterAll(() => {
  for (const name of Object.keys(process.env))
    if (!(name in before)) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, before);
});
afterAll(cleanUp);
