#!/usr/bin/env bash
# Builds with warnings as errors and runs every test. The last line counts them: N passed, N failed[, N skipped].
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup.sh

need_packages "${packages_build[@]}" "${packages_play[@]}" "${packages_test[@]}"
need_torch
configure build-tests -Dwerror=true -Dtests=true
say "Building"
ninja -C build-tests
say "Testing"
# Tests run beside each other: threads that spin while they wait would hold each other up at every barrier.
export OMP_WAIT_POLICY=passive
meson test -C build-tests --no-rebuild --print-errorlogs || true
python3 tests/summary.py build-tests/meson-logs/testlog.json
