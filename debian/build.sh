#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the Debian packages of plugin, engine, tools, headers, demo model and LibTorch into build-debian/:
#
#   ./debian/build.sh
#   sudo apt install ./build-debian/*.deb
#
# Installs what is missing and fetches LibTorch like pipelines/quickstart.sh. The packages run on the CPU; a GPU needs a
# build from source.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1-}" in
    "") ;;
    -h | --help) sed -n '3,9s/^# \?//p' debian/build.sh && exit ;;
    *) echo "build.sh: unknown argument '$1' (there is none but --help)" >&2 && exit 2 ;;
esac
source tools/setup.sh
need_packages "${packages_build[@]}" "${packages_debian[@]}"
need_torch
export TORCH_DIR=${TORCH_DIR:-$(tools/torch/find.sh)}

# dpkg-buildpackage puts packages beside the folder that it builds, so a copy of the source is built.
out=build-debian
rm -rf $out
mkdir -p $out/source
tar --exclude='./build*' --exclude=./.git -cf - . | tar -xf - -C $out/source
say "Building packages (ten minutes)"
(cd $out/source && dpkg-buildpackage -b -us -uc >../build.log 2>&1) || {
    tail -n 25 $out/build.log >&2
    die "the packages could not be built; $out/build.log is the whole log"
}
rm -rf $out/source
ls -sh $out/*.deb
