#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libtorch.sh TORCH_DIR FOLDER: copies into one folder, where they find each other, the libraries of LibTorch that the
# engine needs, and those libraries that these need in turn and no Debian package brings.
set -euo pipefail
torch=$1/lib to=$2
mkdir -p "$to"
copied=()
copy() { # FILE NAME
    install -m 644 "$1" "$to/$2"
    copied+=("$2")
}
copy "$torch/libtorch_cpu.so" libtorch_cpu.so
# What ldd found, except for libraries of the system and of the C++ compiler.
while read -r name _ path _; do
    case "$path" in
        /lib/* | /usr/lib/x86_64-linux-gnu/* | "") continue ;;
        not) echo "libtorch.sh: $name, which libtorch_cpu.so needs, is not there: tools/torch/fetch.sh brings it" >&2; exit 1 ;;
    esac
    copy "$path" "$name"
done < <(env -u LD_LIBRARY_PATH ldd "$torch/libtorch_cpu.so" | sed -n 's/^\s*\(\S* => .*\)/\1/p')
for name in "${copied[@]}"; do patchelf --set-rpath '$ORIGIN' "$to/$name"; done
echo "LibTorch: ${copied[*]}"
