#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Measures where the time of a generation goes, and compares it with other programs:
#
#   pipelines/benchmark.sh [--json FILE] [--peer CMD] [--help for the rest]
#   pipelines/benchmark.sh --caches [--json FILE] [--pictures FOLDER] [--peer CMD] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --family magi1 --caches [--model PATH] [--json FILE] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --presets [--json FILE] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --tokens [--json FILE] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --beside [--json FILE] [--help for the rest]
#   pipelines/benchmark.sh --live [--json FILE] [--quick] [--help for the rest]
#   pipelines/benchmark.sh --long [--json FILE] [--help for the rest]
#
# --caches: speed-up and video quality of MotionCache and other caches; ten minutes on two cores.
# --family magi1 --caches: FLOP, seconds and tokens of MAGI-1 with each cache, on random weights of the published
#   sizes; some minutes. With --model: what each cache does to videos of that model.
# --presets: whether presets reach their stated PSNR with other steps, sizes, guidance; half an hour, or with
#   --quick one minute.
# --tokens: whether choosing tokens pays over choosing steps, with the spread over the prompts; takes about as
#   long as --presets.
# --beside: how much longer a video takes beside a busy process and an encoder; a minute.
# --live: a live stream on a machine that is too slow, with and without qos-cache; some minutes.
# --long: seconds and memory of each quarter of an hour of stream without end; most of an hour.
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
family=skyreels-v2
while [ $# -gt 0 ]; do
    argument=$1
    shift
    case $argument in
        --caches) report=caches.py programs=(tools/bench/motioncache-{cache,sparse}-bench) ;;
        --family)
            family=${1-}
            shift || true
            ;;
        --presets) report=presets.py programs=(tools/bench/motioncache-cache-bench) ;;
        --beside) report=beside.py programs=(tools/bench/motioncache-element-bench) ;;
        --live) report=live.py programs=(tools/bench/motioncache-{element,cache}-bench) ;;
        --long) report=long.py programs=(tools/bench/motioncache-element-bench) ;;
        --tokens) report=tokens.py programs=(tools/bench/motioncache-{cache,token}-bench) ;;
        *) arguments+=("$argument") ;;
    esac
done
case $family in
    skyreels-v2) ;;
    magi1)
        if [ "$report" != caches.py ]; then
            echo "benchmark: --family magi1 is measured with --caches: add it." >&2
            exit 2
        fi
        report=magi1.py programs=(tools/bench/motioncache-{magi1,cache,sparse}-bench)
        ;;
    *)
        echo "benchmark: --family is \"$family\" but must be skyreels-v2 or magi1." >&2
        exit 2
        ;;
esac
ninja -C build --quiet all "${programs[@]}"
root=$PWD
cd "$here"
exec meson devenv -C "$root/build" --workdir "$here" python3 "$root/tools/bench/$report" --build "$root/build" ${arguments[@]+"${arguments[@]}"}
