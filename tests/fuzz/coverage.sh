#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Line coverage of the parsers by the fuzzers, with the number of executions; fails below 80 % of the lines of any
# parser file. Usage: tests/fuzz/coverage.sh [EXECUTIONS, default 20000]
set -euo pipefail
cd "$(dirname "$0")/../.."
source tools/setup.sh
executions=${1:-20000}
need_packages g++ nlohmann-json3-dev "${packages_fuzz[@]}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What works on bytes. Files and folders are opened by data_file, folder_listing,
# weight_files and folder, which tests/model covers.
parsers="model/calibration_json model/json_object model/npz model/pickle model/safetensors model/tensor_view model/torch_archive
         model/zip_archive families/skyreels_v2/generation_config networks/t5/t5_files networks/wan_dit/wan_dit_files
         networks/wan_vae/wan_vae_files"
mkdir -p "$work/engine/request" "$work/engine/cache"
made() { python3 engine/request/generate.py "$1" engine/request/fields.toml "${@:2}"; }
made header engine/motioncache.h.in "$work/engine/motioncache.h"
made fields "$work/engine/request/fields.h"
made policies "$work/engine/cache/policy_list.h"
made table "$work/field_table.cpp"
flags="-std=c++20 -g -O0 -I. -I$work -fprofile-instr-generate -fcoverage-mapping"

printf '%s\0' engine/model/*.cpp engine/networks/*/*_files.cpp engine/families/*/folder.cpp \
    engine/families/*/generation_config.cpp engine/cache/*.cpp engine/request/field.cpp "$work/field_table.cpp" |
    xargs -0 -P "$(nproc)" -I SOURCE sh -c 'clang++ '"$flags"' -fsanitize=fuzzer-no-link -c SOURCE -o "$0/$(echo SOURCE | tr / _).o"' "$work"
objects=$(echo "$work"/*.o)
binaries=
for target in safetensors torch_archive npz config; do
    clang++ $flags -fsanitize=fuzzer tests/fuzz/fuzz_$target.cpp $objects -o "$work/$target"
    mkdir "$work/corpus-$target"
    cp tests/fuzz/corpus/$target/* "$work/corpus-$target"
    LLVM_PROFILE_FILE="$work/$target.profraw" "$work/$target" -runs="$executions" -seed=1 -print_final_stats=1 \
        "$work/corpus-$target" 2>&1 |
        sed -n "s/stat::number_of_executed_units: */$target executions: /p"
    binaries="$binaries ${binaries:+-object} $work/$target"
done
llvm-profdata merge "$work"/*.profraw -o "$work/all.profdata"
sources=
for parser in $parsers; do sources="$sources engine/$parser.cpp"; done
llvm-cov report $binaries -instr-profile="$work/all.profdata" $sources >"$work/report"
# The columns: file, regions (3), functions (3), lines, missed lines, cover, branches (3).
awk '$1 ~ /\.cpp$|^TOTAL$/ {
    printf "%-36s %5d lines, %6s covered\n", $1, $8, $10
    if ($10 + 0 < 80) low = 1
} END { exit low }' "$work/report"
