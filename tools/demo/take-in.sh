#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs newly trained weights of the demo model, and updates everything up to the last figure in the documentation:
#
#   tools/demo/take-in.sh FOLDER [--quick] [--from STAGE | --only STAGE] [--no-peer | --peer-python PYTHON] [--help]
#
# Stages: weights (copied and described), calibration, pictures, caches, tokens, pages (figures written where they
# stand), check. A stage that was completed for these weights is skipped, unless --from or --only asks for it. After
# `weights` FOLDER may be omitted. Takes half an hour on two cores, which should be idle otherwise.
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
