#!/usr/bin/env bash
# A new training of the demo model, from its folder to the last figure in the documentation:
#
#   tools/demo/take-in.sh FOLDER [--quick] [--from STAGE | --only STAGE] [--no-peer | --peer-python PYTHON] [--help]
#
# Stages: weights (copied and described), calibration, pictures, caches, tokens, pages (figures written where they stand),
# check. One that was done for these weights is not done again; --from and --only do. After `weights` FOLDER may be left
# out. Half an hour on two cores, which should have nothing else to do.
#
# Sets up and builds like quickstart.sh; the work is in take_in.py.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/../.."
source tools/setup.sh

need_packages "${packages_build[@]}" "${packages_play[@]}"
need_torch
configure build -Dtests=false
ninja -C build --quiet all tools/bench/motioncache-{cache,sparse,token}-bench
root=$PWD
cd "$here"
exec meson devenv -C "$root/build" --workdir "$here" python3 "$root/tools/demo/take_in.py" --build "$root/build" "$@"
