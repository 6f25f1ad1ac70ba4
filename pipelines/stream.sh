#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Generates a video and writes, streams or shows it, with a line of progress; Ctrl-C ends it properly:
#
#   pipelines/stream.sh KIND [TARGET] [NAME=VALUE...] [OPTION...]
#   pipelines/stream.sh --help
#
# Installs what is missing and builds, as quickstart.sh does. TORCH_DIR=FOLDER: use that LibTorch.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
source tools/setup.sh
{
    need_packages "${packages_build[@]}" "${packages_play[@]}" "${packages_stream[@]}"
    need_torch
    configure build -Dtests=false
    build build
} >&2
# Debian's own interpreter: another python3 on the path has no gi.
in_build "$here" /usr/bin/python3 "$PWD/pipelines/stream/main.py" "$@"
