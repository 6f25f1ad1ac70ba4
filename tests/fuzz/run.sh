#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs one fuzzer over a copy of its corpus, for a bounded number of executions and seconds; libFuzzer's report of
# both is the last line. What crashes is kept in the working directory.
# Usage: run.sh FUZZER CORPUS [LIBFUZZER_OPTION...]
set -eu
fuzzer=$1
corpus=$2
shift 2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp "$corpus"/* "$copy"
"$fuzzer" -runs=20000 -max_total_time=15 -seed=1 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "$@" "$copy"
