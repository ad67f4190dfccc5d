#!/usr/bin/env bash
# Everything that must hold before a commit lands: what `npm test` runs.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ]; then bash scripts/install-test-programs.sh; fi
npm run --silent format:check
npm run --silent lint
npm run --silent typecheck
npm run --silent build
npm run --silent vitest
