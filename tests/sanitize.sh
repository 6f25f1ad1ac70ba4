#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The whole test suite under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer. Arguments go to
# `meson test`, and only what these tests need is built: tests/sanitize.sh --suite unit, tests/sanitize.sh session
# What is suppressed, and why, stands in tests/sanitizers/.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup.sh

need_packages "${packages_build[@]}" "${packages_play[@]}" "${packages_test[@]}"
need_torch
need_gst_cuda
# The fuzzers bring sanitizers of their own, and tests/run.sh runs them.
configure build-sanitize --buildtype=debugoptimized -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=disabled
knows_gst_cuda build-sanitize
if [ $# = 0 ]; then
    say "Building"
    ninja -C build-sanitize
    set -- --no-rebuild
fi
say "Testing"
suppressions=$PWD/tests/sanitizers
# Slow unwinding: third-party libraries have no frame pointers, and a suppression needs the whole stack.
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:fast_unwind_on_malloc=0
export LSAN_OPTIONS=suppressions=$suppressions/leaks.txt:print_suppressions=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# First in every program: gst-launch and the plugin scanner are not built with it and open our plugin.
preload="LD_PRELOAD=$(g++ -print-file-name=libasan.so):$(g++ -print-file-name=libubsan.so)"
log=build-sanitize/meson-logs/testlog-env.json # named after the wrapper
rm -f "$log"
meson test -C build-sanitize --print-errorlogs --timeout-multiplier 10 --wrapper "env $preload" "$@" || [ -f "$log" ] || die "No test was run."
python3 tests/summary.py "$log"
