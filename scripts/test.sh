#!/usr/bin/env bash
# Everything that must hold before a commit lands: what `npm test` runs.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ]; then bash scripts/install-test-programs.sh; fi
npm run --silent format:check
npm run --silent lint
npm run --silent typecheck:all
# Checks src/ by stricter rules than the rest; `npm ci` has just done it, as a rule.
npm run --silent prepare
# As `vost-mount.sh` has its memory, in large pages: the tests of contracts take 3 to 10 % less (two pairs).
export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=67108864}"
npm run --silent vitest
