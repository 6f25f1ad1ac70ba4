#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Generates a video from a text prompt, on a machine with nothing installed yet:
#
#   pipelines/quickstart.sh ["PROMPT"] [OUT.mp4]
#
# Installs what is missing (Debian packages with apt, LibTorch with tools/torch/fetch.sh), builds in build/ and writes
# the video with the demo model. A second run only does what is new. TORCH_DIR=FOLDER: use that LibTorch.
set -euo pipefail
prompt=${1-a white boat moving left on the sea}
out=${2-out.mp4}
here=$PWD
cd "$(dirname "$0")/.."
source tools/setup.sh

need_packages "${packages_build[@]}" "${packages_play[@]}" "${packages_stream[@]}"
need_torch
configure build -Dtests=false
build build

say "Writing $out: $prompt"
[[ $out == /* ]] || out=./$out # a name with an equals sign is no property
(in_build "$here" /usr/bin/python3 "$PWD/pipelines/stream/main.py" mp4 "$out" prompt="$prompt")

cd "$here"
if command -v ffprobe >/dev/null; then
    ffprobe -v error -select_streams v -show_entries stream=codec_name,width,height,nb_frames,duration -of default=noprint_wrappers=1 "$out"
elif command -v gst-discoverer-1.0 >/dev/null; then
    gst-discoverer-1.0 "$out"
fi
