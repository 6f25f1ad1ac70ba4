#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Downloads LibTorch once for all checkouts on this machine; a second run finds it and does nothing.
#
#   tools/torch/fetch.sh          LibTorch, and the CUDA runtime that it is linked with if no toolkit provides it
#   tools/torch/fetch.sh --cuda   also what device=cuda needs (about 2 GB more), for machines without a complete
#                                 CUDA 13 toolkit, cuDNN, NCCL, cuSPARSELt and NVSHMEM
#
# The wheels come through pip's configured index, are checked against the hashes in requirements*.txt, and are
# unpacked without being installed into any Python. They go to $MOTIONCACHE_CACHE, else $XDG_CACHE_HOME or ~/.cache,
# there motioncachegen/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/cache.sh"

fail() {
    echo "fetch.sh: $*" >&2
    exit 1
}
want_cuda=no
case "${1-}" in
    "") ;;
    --cuda) want_cuda=yes ;;
    *) fail "unknown argument '$1' (--cuda is the only one)" ;;
esac

has_torch() { [ -f "$torch_root/torch/lib/libtorch_cpu.so" ]; }
# Asks the dynamic linker itself, ignoring LD_LIBRARY_PATH of this shell.
resolves() {
    local found
    found=$(env -u LD_LIBRARY_PATH ldd "$torch_root/torch/lib/$1") || return 1
    case "$found" in *"not found"*) return 1 ;; esac
}
complete() {
    has_torch && resolves libtorch_cpu.so && { [ $want_cuda = no ] || resolves libtorch_cuda.so; }
}
if complete; then
    echo "LibTorch $torch_version is in $torch_root"
    exit 0
fi

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || fail "the pinned wheel of LibTorch is for Linux on x86_64, this is $(uname -s) on $(uname -m): \
build LibTorch $torch_version for it, or install Python's torch, and pass its folder to meson as -Dtorch_dir=FOLDER"
command -v unzip >/dev/null || fail "needs unzip: apt-get install unzip"
python3 -m pip --version >/dev/null 2>&1 || fail "needs pip: apt-get install python3-pip"

mkdir -p "$torch_cache"
exec 9>"$torch_cache/lock"
if ! flock -n 9; then
    echo "waiting for another fetch.sh to finish"
    flock 9
fi
staging="$torch_cache/staging.$$"
trap 'rm -rf "$staging"' EXIT
# A fetch that was killed leaves its folder behind; no other runs while the lock is held.
rm -rf "$torch_cache"/staging.*
mkdir -p "$staging/tree" "$torch_root"

# download FILE: every wheel of a requirements file, for Python 3.11 and the platforms below, whatever python3 is here.
download() {
    python3 -m pip download --quiet --progress-bar off --no-input --no-deps --no-cache-dir --require-hashes --only-binary=:all: \
        --python-version 3.11 --implementation cp --abi cp311 --abi none \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
        --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2010_x86_64 --platform manylinux1_x86_64 \
        --platform manylinux_2_18_x86_64 \
        --dest "$staging/wheels" --requirement "$here/$1" ||
        fail "pip could not download what $1 names (its words are above)"
}

if ! has_torch; then
    echo "fetching LibTorch $torch_version (about 540 MB, once)"
    download requirements.txt
    # Headers, the libraries for CPU and CUDA and the licences are unpacked; Python's own files are not.
    unzip -q "$staging"/wheels/torch-*.whl 'torch/include/*' 'torch/lib/*' 'torch-*.dist-info/licenses/*' 'torch-*.dist-info/METADATA' \
        -x 'torch/lib/libtorch_python.so' 'torch/lib/libshm*' -d "$staging/tree"
    rm -r "$staging/wheels"
    mv "$staging/tree/torch"-*.dist-info "$staging/tree/torch/licenses"
    rm -rf "$torch_root/torch"
    mv -T "$staging/tree/torch" "$torch_root/torch"
fi

# fetch_nvidia FILE: unpacks the libraries beside torch/, where the run path of LibTorch's libraries looks.
fetch_nvidia() {
    local wheel library
    download "$1"
    mkdir -p "$staging/tree/nvidia/licenses"
    for wheel in "$staging"/wheels/*.whl; do
        unzip -q -o "$wheel" 'nvidia/*/lib/*.so*' -d "$staging/tree"
        # 11: this wheel has no licence file of its own.
        unzip -q -o -j "$wheel" '*.dist-info/*icense*' -d "$staging/tree/nvidia/licenses/$(basename "${wheel%%-*}")" 2>/dev/null || [ $? = 11 ]
    done
    (cd "$staging/tree" && find nvidia -type f) | while read -r library; do
        mkdir -p "$torch_root/$(dirname "$library")"
        mv -f "$staging/tree/$library" "$torch_root/$library"
    done
    rm -r "$staging/wheels"
}
if ! resolves libtorch_cpu.so; then
    echo "fetching the CUDA runtime that LibTorch is linked with (14 MB, once; needs no GPU)"
    fetch_nvidia requirements-cudart.txt
fi
if [ $want_cuda = yes ] && ! resolves libtorch_cuda.so; then
    echo "fetching what libtorch_cuda.so needs (about 2 GB, once)"
    fetch_nvidia requirements-cuda.txt
fi
complete || fail "libraries that LibTorch needs are still missing: $(env -u LD_LIBRARY_PATH ldd "$torch_root"/torch/lib/libtorch_c*.so | grep 'not found' | sort -u | tr -s '\t\n' ' ')"
echo "LibTorch $torch_version is in $torch_root"
