#!/usr/bin/env bash
# Where the time of a generation goes, and how it compares:
#
#   pipelines/benchmark.sh [--json FILE] [--peer CMD] [--help for the rest]
#
# Sets up and builds like quickstart.sh; the measuring is in tools/bench/.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
source tools/setup.sh

need_packages "${packages_build[@]}" "${packages_play[@]}"
need_torch
configure build -Dtests=false
ninja -C build --quiet all tools/bench/motioncache-session-bench tools/bench/motioncache-element-bench
root=$PWD
cd "$here"
exec meson devenv -C "$root/build" --workdir "$here" python3 "$root/tools/bench/benchmark.py" --build "$root/build" "$@"
