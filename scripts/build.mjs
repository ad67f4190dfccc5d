// Compiles src/ to dist/ from scratch, so that a renamed file leaves nothing behind, and makes the
// bins executable. The old dist/ is replaced only by a whole new one: a build that fails, or that
// runs beside a daemon which still loads its modules, leaves no half of it.
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const next = join(root, `.dist-${process.pid}`);
try {
  execFileSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'src', '--outDir', next],
    { cwd: root, stdio: 'inherit' },
  );
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const file of Object.values(bin)) chmodSync(join(next, relative('dist', file)), 0o755);
  rmSync(dist, { recursive: true, force: true });
  renameSync(next, dist);
} finally {
  rmSync(next, { recursive: true, force: true });
}
