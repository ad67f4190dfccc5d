#!/usr/bin/env bash
# Everything that must hold before a commit lands: what `npm test` runs.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ]; then bash scripts/install-test-programs.sh; fi
# Some hundreds of times Node is started, and to read these each time takes it more than half as long again.
unset NODE_EXTRA_CA_CERTS

# What only reads the sources gets what the tests leave of the processors: they wait a fifth of their time. In a
# group of its own, so that all of it ends with this script.
checked=$(mktemp)
set -m
nice -n 19 bash -ec '
  npm run --silent format:check
  npm run --silent lint
  npm run --silent typecheck:all
' > "$checked" 2>&1 < /dev/null &
checks=$!
set +m
trap 'kill -- "-$checks" 2> /dev/null || true; rm -f "$checked"' EXIT

# Checks src/ by stricter rules than the rest; `npm ci` has just done it, as a rule.
npm run --silent prepare
# As `vost-mount.sh` has its memory, in large pages: the tests of contracts take 3 to 10 % less (two pairs).
export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=67108864}"
status=0
npm run --silent vitest || status=$?
if ! wait "$checks"; then
  cat "$checked"
  echo 'format, lint or types: see above'
  exit 1
fi
exit "$status"
