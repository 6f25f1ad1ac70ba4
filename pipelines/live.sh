#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A live stream with a web page on this machine: the video, a field for the next prompt, a queue of prompts, figures:
#
#   pipelines/live.sh [NAME=VALUE...] [--port N] [--help for the rest]
#
# Installs what is missing and builds, as quickstart.sh does. TORCH_DIR=FOLDER: use that LibTorch.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
source tools/setup.sh
{
    need_packages "${packages_build[@]}" "${packages_play[@]}" "${packages_stream[@]}" "${packages_live[@]}"
    need_torch
    configure build -Dtests=false
    build build
} >&2
in_build "$here" /usr/bin/python3 "$PWD/pipelines/live/main.py" "$@"
