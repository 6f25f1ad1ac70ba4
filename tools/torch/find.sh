#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Prints the folder of LibTorch that a build without -Dtorch_dir uses: the one that fetch.sh has unpacked, else the
# torch package of the python3 on PATH.
set -eu
source "$(dirname "$0")/cache.sh"
if [ -f "$torch_root/torch/lib/libtorch_cpu.so" ]; then
    echo "$torch_root/torch"
    exit 0
fi
# find_spec does not import torch, which takes seconds.
python_torch=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])' 2>/dev/null || true)
if [ -n "$python_torch" ] && [ -f "$python_torch/lib/libtorch_cpu.so" ]; then
    echo "$python_torch"
    exit 0
fi
echo "LibTorch not found: run tools/torch/fetch.sh, or pass -Dtorch_dir=FOLDER" >&2
exit 1
