#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Measures where the time of a generation goes, and compares it with other programs:
#
#   pipelines/benchmark.sh [--json FILE] [--peer CMD] [--help for the rest]
#   pipelines/benchmark.sh --caches [--json FILE] [--pictures FOLDER] [--peer CMD] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --presets [--json FILE] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --tokens [--json FILE] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --beside [--json FILE] [--help for the rest]
#   pipelines/benchmark.sh --live [--json FILE] [--quick] [--help for the rest]
#
# --caches: speed-up and video quality of MotionCache and other caches; ten minutes on two cores.
# --presets: whether presets reach their stated PSNR with other steps, sizes, guidance; half an hour, or with
#   --quick one minute.
# --tokens: whether choosing tokens pays over choosing steps, with the spread over the prompts; about as long.
# --beside: how much longer a video takes beside a busy process and an encoder; a minute.
# --live: a live stream on a machine that is too slow, with and without qos-cache; some minutes.
#
# Sets up and builds like quickstart.sh; the measurements are in tools/bench/.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
source tools/setup.sh

need_packages "${packages_build[@]}" "${packages_play[@]}"
need_torch
configure build -Dtests=false
report=benchmark.py programs=(tools/bench/motioncache-{session,element}-bench) arguments=()
for argument; do
    case $argument in
        --caches) report=caches.py programs=(tools/bench/motioncache-{cache,sparse}-bench) ;;
        --presets) report=presets.py programs=(tools/bench/motioncache-cache-bench) ;;
        --beside) report=beside.py programs=(tools/bench/motioncache-element-bench) ;;
        --live) report=live.py programs=(tools/bench/motioncache-{element,cache}-bench) ;;
        --tokens) report=tokens.py programs=(tools/bench/motioncache-{cache,token}-bench) ;;
        *) arguments+=("$argument") ;;
    esac
done
ninja -C build --quiet all "${programs[@]}"
root=$PWD
cd "$here"
exec meson devenv -C "$root/build" --workdir "$here" python3 "$root/tools/bench/$report" --build "$root/build" ${arguments[@]+"${arguments[@]}"}
