#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Everything that wants a GPU, the most telling first; ten minutes at most: a part gets its own limit or what is left of
# them. In two halves, because the machine with the GPU may have no network, no GStreamer and another LibTorch (its
# python3's torch):
#
#   tests/gpu.sh pack      here, no GPU needed: builds in build-gpu/ against the wheel of that torch and puts stripped
#                          programs and the libraries that they need into .gpu/ (minutes, once)
#   tests/gpu.sh run       there, in a copy of this folder: python3 with torch, and a GPU. A log each and a summary in
#                          $OUT, default gpu-results/; ends with 1 where a part failed or missed its goal
#   tests/gpu.sh --help
#
# TORCH=2.11.0     the version of torch over there, for pack; TORCH_DIR=FOLDER: its torch/ folder, already unpacked
# PARTS="step vae" for run: these alone, for a machine that is lent for less; BUDGET=600: seconds for all of it
# DEVICE=cuda:0    for run; cpu runs what runs without a GPU, to try the script
#
# Nothing of it has run on a GPU yet. tests/gpu/goals.py has the goals beside the figures.
set -uo pipefail
cd "$(dirname "$0")/.."

help() {
    sed -n '3,20s/^# \{0,1\}//p' "$0"
}

torch_for_pack() {
    local version=${TORCH-2.11.0} cache
    cache=${XDG_CACHE_HOME-$HOME/.cache}/motioncachegen/torch-$version
    if [ ! -f "$cache/torch/lib/libtorch_cuda.so" ]; then
        mkdir -p "$cache"
        python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: --python-version 3.12 \
            --implementation cp --abi cp312 --platform manylinux_2_28_x86_64 -d "$cache" "torch==$version" >&2
        unzip -q -o "$cache"/torch-*.whl 'torch/include/*' 'torch/lib/lib*.so*' -x '*libtorch_python*' -d "$cache" >&2
        rm "$cache"/torch-*.whl
    fi
    echo "$cache/torch"
}

pack() {
    set -e
    local torch=${TORCH_DIR-} library
    [ -n "$torch" ] || torch=$(torch_for_pack)
    # libtorch_cpu.so of a wheel names CUDA's runtime, which stands elsewhere at run time.
    [ -f build-gpu/build.ninja ] || LDFLAGS="-Wl,-rpath-link,/usr/local/cuda/lib64" \
        meson setup build-gpu -Dtorch_dir="$torch" -Dcuda=enabled -Dtests=true >/dev/null
    ninja -C build-gpu tests/golden/golden tests/gpu/gpu-session tests/gpu/gpu-kernels tests/gpu/gpu-vae \
        tests/gpu/gpu-video tests/model/random-weights tools/bench/motioncache-sparse-bench engine/libmotioncache-cuda.so engine/libmotioncache-sentencepiece.so \
        gst/libgstmotioncache.so
    rm -rf .gpu && mkdir -p .gpu/bin .gpu/lib
    cp build-gpu/tests/golden/golden build-gpu/tests/gpu/gpu-{session,kernels,vae,video} build-gpu/tests/model/random-weights \
        build-gpu/tools/bench/motioncache-sparse-bench build-gpu/engine/libmotioncache-{cuda,sentencepiece}.so .gpu/bin/
    # For an encoder on the GPU, where GStreamer is there: the module is built where its library for CUDA is here.
    if [ -f build-gpu/gst/cuda_frames/libmotioncache-cuda-frames.so ]; then
        mkdir .gpu/gst
        cp build-gpu/gst/libgstmotioncache.so .gpu/gst/
        cp build-gpu/engine/libmotioncache.so build-gpu/gst/cuda_frames/libmotioncache-cuda-frames.so .gpu/bin/
    fi
    # What else they need that a machine with torch has not.
    for library in libsentencepiece.so.0 libhwy.so.1 libglib-2.0.so.0 libpcre2-8.so.0; do
        cp -L "/usr/lib/x86_64-linux-gnu/$library" .gpu/lib/
    done
    find .gpu -type f -exec strip {} +
    du -sh .gpu
}

run() {
    local out=${OUT-gpu-results} device=${DEVICE-cuda:0} torch failed=0
    [ -d .gpu/bin ] || { echo "There is no .gpu here: run tests/gpu.sh pack first, where the network is." >&2; exit 2; }
    mkdir -p "$out"
    : >"$out/summary"
    torch=${TORCH_DIR-$(python3 -c 'import torch; print(torch.__path__[0])')} || exit 2
    local nvidia
    nvidia=$(find "$(dirname "$torch")/nvidia" -type d -name lib 2>/dev/null | tr '\n' ':')
    export LD_LIBRARY_PATH=$torch/lib:$nvidia/usr/local/cuda/lib64:$PWD/.gpu/lib
    local end_at=$((SECONDS + ${BUDGET-600}))
    part() { # NAME SECONDS LINES COMMAND...: within its time, logged; never the end of the script
        local name=$1 limit=$2 lines=$3 from=$SECONDS rc end
        shift 3
        [ -z "${PARTS-}" ] || [[ " $PARTS " = *" $name "* ]] || return 0
        [ $((end_at - SECONDS)) -ge "$limit" ] || limit=$((end_at - SECONDS))
        if [ "$limit" -le 0 ]; then
            failed=1
            printf '%-11s %-12s %4d s\n' "$name" "no time left" 0 | tee -a "$out/summary"
            return
        fi
        timeout -k 5 "$limit" "$@" >"$out/$name.log" 2>&1
        rc=$?
        case $rc in
        0) end=ok ;;
        77) end=skipped ;;
        *) end="FAILED ($rc)" failed=1 ;;
        esac
        printf '%-11s %-12s %4d s\n' "$name" "$end" $((SECONDS - from)) |
            tee -a "$out/summary"
        tail -n "$lines" "$out/$name.log" | cut -c1-160
    }
    local gpu=yes layers=30 size=25x68x120 vae=68x120 picture=(--width 960 --height 544 --steps 30)
    [ "$device" != cpu ] || { gpu=no layers=1 size=10x20x32 vae=6x10 picture=(--width 64 --height 32 --steps 1); }
    [ $gpu = no ] || part facts 15 5 bash -c 'nvidia-smi -L; nvcc --version | tail -1; ls .gpu/bin'
    [ $gpu = no ] || part kernels 30 5 .gpu/bin/gpu-kernels
    part session 90 40 .gpu/bin/gpu-session "$device" models/demo
    part golden 120 3 .gpu/bin/golden --device "$device" --layout diffusers tests/golden/data tests/golden/data/magi1
    [ $gpu = no ] || part backends 100 40 python3 tests/gpu/backends.py 90
    # 1.3B at 960x544: a chunk of 5 latent frames behind 20 others, both branches.
    part step 120 1 .gpu/bin/motioncache-sparse-bench 1.3B --layers "$layers" --rounds 2 --device "$device" \
        --size "$size" --dtype bfloat16
    # A chunk of it as a whole video, from prompt to frames, with random weights that are written there.
    part video 150 2 bash -c 'folder=$(mktemp -d) && trap "rm -r $folder" EXIT
        MC_SOURCE_ROOT=$PWD .gpu/bin/random-weights --sparse --layers "$1" --text-layers 1 "$folder/1.3B" &&
            .gpu/bin/gpu-video "$folder/1.3B" --device "${@:2}"' \
        video "$layers" "$device" --dtype bfloat16 "${picture[@]}" --num-frames 17 --base-num-frames 17 \
        --causal-block-size 5 --attention kv --cache none
    # Frames stay on the GPU up to the encoder, where GStreamer has one.
    if [ $gpu = yes ] && command -v gst-launch-1.0 >/dev/null && [ -f .gpu/bin/libmotioncache-cuda-frames.so ]; then
        # GLib is GStreamer's there, not that of .gpu/lib.
        LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:$LD_LIBRARY_PATH GST_PLUGIN_PATH=$PWD/.gpu/gst \
            MOTIONCACHE_ENGINE_DIR=$PWD/.gpu/bin part encode 120 3 tests/gpu/encode.sh "$device" models/demo
    else
        echo "encode      left out: no GPU, no GStreamer, or no module for its frames" | tee -a "$out/summary"
    fi
    # The same with every layer on the host.
    [ $gpu = no ] || part streamed 120 1 .gpu/bin/motioncache-sparse-bench 1.3B --layers "$layers" --rounds 2 \
        --device "$device" --size "$size" --dtype bfloat16 --streamed "$layers"
    part vae 90 2 .gpu/bin/gpu-vae "$device" "$vae"
    [ $gpu = no ] || part sanitizer 60 3 compute-sanitizer --error-exitcode 9 .gpu/bin/gpu-kernels 64
    part golden16 60 5 .gpu/bin/golden --device "$device" --layout diffusers --precision bfloat16 --case 'unit_*' \
        tests/golden/data
    end_at=$((SECONDS + 15)) # it only reads what there is
    [ $gpu = no ] || part goals 15 20 python3 tests/gpu/goals.py "$out"
    cat "$out/summary"
    exit $failed
}

case ${1-} in
pack | run) "$1" ;;
--help) help ;;
*)
    help >&2
    exit 2
    ;;
esac
