#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Frames go from the model to an encoder on the same GPU without a copy: tests/gpu/encode.sh DEVICE MODEL, with the
# plugin on GST_PLUGIN_PATH and the engine in MOTIONCACHE_ENGINE_DIR. Ends with 77 where GStreamer has no such encoder.
set -uo pipefail
device=$1 model=$2 frames=21 failed=0 found=0
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
for encoder in nvh264enc nvcudah264enc; do
    gst-inspect-1.0 --exists "$encoder" 2>/dev/null || continue
    found=1
    # Pictures below 145 x 49 pixels no such encoder takes.
    GST_DEBUG_NO_COLOR=1 GST_DEBUG='nv*:6,cuda*:6,motioncachegen:5' GST_DEBUG_FILE=$folder/log timeout 50 \
        gst-launch-1.0 -q motioncachegen model-path="$model" prompt="a white boat moving left on the sea" \
        num-frames=$frames device="$device" ! 'video/x-raw(memory:CUDAMemory),format=NV12,width=160,height=96' ! \
        "$encoder" ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au ! \
        multifilesink location="$folder/$encoder-%03d"
    rc=$?
    made=$(find "$folder" -name "$encoder-*" | wc -l)
    copies=$(grep -c 'system copy' "$folder/log")
    echo "$encoder: ends with $rc, $made of $frames frames, $copies copies through main memory"
    [ $rc = 0 ] && [ "$made" = $frames ] && [ "$copies" = 0 ] || failed=1
done
[ $found = 1 ] || { echo "GStreamer here has neither nvh264enc nor nvcudah264enc"; exit 77; }
exit $failed
