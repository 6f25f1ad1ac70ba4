#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# valgrind.sh TEST SUPPRESSIONS [CASE]: a program of gst-check, or one case of it, under valgrind. It reads and writes
# no memory that is not its own or has no value yet, and loses none.
set -euo pipefail
command -v valgrind >/dev/null || {
    echo "skipped: valgrind is not installed"
    exit 77
}
case "${LD_PRELOAD-}" in *asan*)
    echo "skipped: valgrind and AddressSanitizer exclude each other"
    exit 77
    ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# GLib's slices hide what is lost; in a process of its own, a case would be looked at twice.
export G_SLICE=always-malloc CK_FORK=no
[ -z "${3-}" ] || export GST_CHECKS=$3
found=0
valgrind --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=40 \
    --suppressions="$2" --error-exitcode=9 --log-file="$log" "$1" || found=$?
cat "$log"
[ $found = 0 ] || echo "FAILED: valgrind ends with $found"
exit $found
