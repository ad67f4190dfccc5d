#!/usr/bin/env bash
# Everything that must hold before a commit lands: what `npm test` runs.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ]; then bash scripts/install-test-programs.sh; fi
npm run --silent format:check
npm run --silent lint
npm run --silent typecheck
npm run --silent build
# As `vost-mount` has its memory: a fifth of what tests take is faults for pages of 4 KiB.
export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=67108864}"
npm run --silent vitest
