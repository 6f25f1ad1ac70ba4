#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Compares the engine with golden cases: tests/golden.sh [OPTION...] FOLDER...
# Prints a table (case, file layout, worst difference divided by its tolerance, result) and ends with 1 when a case
# fails. --help lists the options. Builds in build-tests/ (BUILD=FOLDER: there).
set -euo pipefail
folder=${BUILD-$(dirname "$0")/../build-tests}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
(
    cd "$(dirname "$0")/.."
    source tools/setup.sh
    if [ ! -f "$folder/build.ninja" ]; then
        need_packages "${packages_build[@]}"
        need_torch
        configure "$folder" -Dwerror=true -Dtests=true # as tests/run.sh, which shares the folder
    fi
    ninja -C "$folder" tests/golden/golden >"$folder/golden-build.log" 2>&1 || { cat "$folder/golden-build.log" >&2; exit 2; }
) >&2
exec "$folder/tests/golden/golden" "$@"
