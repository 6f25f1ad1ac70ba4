#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs a command in an environment with the element, the C library and programs of this checkout, and first
# builds in build/ what is out of date:
#
#   pipelines/devenv.sh COMMAND [ARGUMENT...]
#
# Installs what is missing, as quickstart.sh does. TORCH_DIR=FOLDER: use that LibTorch.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '3,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$PWD
cd "$(dirname "$0")/.."
source tools/setup.sh
{
    need_packages "${packages_build[@]}" "${packages_play[@]}"
    need_torch
    configure build -Dtests=false
    build build
} >&2
in_build "$here" "$@"
