#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds with warnings as errors and runs every test. The last line counts them: N passed, N failed[, N skipped].
# Arguments go to `meson test`, and only what these tests need is built: tests/run.sh --suite unit, tests/run.sh session
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup.sh

need_packages "${packages_build[@]}" "${packages_play[@]}" "${packages_test[@]}"
need_torch
need_gst_cuda
configure build-tests -Dwerror=true -Dtests=true
knows_gst_cuda build-tests
if [ $# = 0 ]; then
    say "Building"
    ninja -C build-tests
    set -- --no-rebuild
fi
say "Testing"
# Tests run beside each other: LibTorch's own threads, which spin while they wait, would hold each other up at every
# barrier.
export OMP_WAIT_POLICY=passive
# The tests expect what float32 gives, which precision=auto takes only where there are no matrix units. The tests of
# kernels use the processor's, where it has them.
export MOTIONCACHE_AMX=${MOTIONCACHE_AMX-off}
# Where LibTorch's library stands for a device, in bfloat16, it sums in the same order and takes the same memory on all.
export ONEDNN_MAX_CPU_ISA=${ONEDNN_MAX_CPU_ISA-AVX512_CORE_BF16}
log=build-tests/meson-logs/testlog.json
rm -f "$log"
meson test -C build-tests --print-errorlogs "$@" || true # the summary says what failed
[ -f "$log" ] || die "No test was run: none has such a name or suite (tests/meson.build)."
python3 tests/summary.py "$log"
