#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The test pattern on air for HOURS at 100 times real time, through encoder and RTMP to a server on loopback, with
# faults thrown in. A table at the end says what was lost and what grew; the exit status is 1 where a frame was lost
# without a cause or anything grew:
#
#   pipelines/soak.sh HOURS [--pace N] [--help for the rest]
#
# Installs what is missing and builds, as quickstart.sh does. TORCH_DIR=FOLDER: use that LibTorch.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
source tools/setup.sh
{
    need_packages "${packages_build[@]}" "${packages_play[@]}" "${packages_stream[@]}" "${packages_server[@]}"
    need_torch
    configure build -Dtests=false
    build build
} >&2
in_build "$here" /usr/bin/python3 "$PWD/pipelines/soak/main.py" "$@"
