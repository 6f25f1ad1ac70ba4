#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Draws a frame of a video, and beside it the same one with the map of what was computed over it (motioncacheoverlay):
#
#   pipelines/overlay.sh [OUT.png]
#
# Installs what is missing and builds, as quickstart.sh does. TORCH_DIR=FOLDER: use that LibTorch.
set -euo pipefail
out=${1-overlay.png}
# Each frame overwrites the file, so the last one stays. The map is drawn after scaling, so that its letters are sharp.
exec "$(dirname "$0")/devenv.sh" gst-launch-1.0 -q \
    motioncachegen prompt="a white boat moving left on the sea" seed=3 num-frames=33 cache-preset=quality ! \
    videoscale ! video/x-raw,width=400,height=240 ! tee name=video \
    compositor name=both sink_1::xpos=400 ! videoconvert ! video/x-raw,format=RGB ! pngenc ! \
    multifilesink location="$out" \
    video. ! queue ! both.sink_0 \
    video. ! queue ! motioncacheoverlay ! both.sink_1
