#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# launch.sh MODE: the element on gst-launch-1.0's command line, as its users meet it.
#   file      MP4 of the wanted number of frames, size and colour
#   demo      the same with the demo model
#   interrupt Ctrl-C with -e leaves a playable file; Ctrl-C while loading ends at once; an error at once does too
#   play      gst-play-1.0 plays a URI
#   leaks     no object is left alive: after EOS, an error, and an interrupt
set -eu
skip() { echo "skipped: $1"; exit 77; }
fail() { echo "FAILED: $1"; exit 1; }
need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }
need gst-launch-1.0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

export MOTIONCACHE_ENGINE=testpattern MOTIONCACHE_TESTPATTERN=
prompt="a red ball bouncing over green hills"

need_mp4() {
    need ffprobe
    for element in x264enc mp4mux; do
        gst-inspect-1.0 --exists $element || skip "the GStreamer element $element is not installed"
    done
}
probe() { # FILE: what ffprobe sees, one value per line: codec, width, height, colour, rate, frames
    ffprobe -v error -select_streams v -count_frames -of default=noprint_wrappers=1:nokey=1 \
        -show_entries stream=codec_name,width,height,color_space,r_frame_rate,nb_read_frames "$1" | tr '\n' ' '
}
await() { # LOG TEXT: until gst-launch-1.0 has printed it
    for i in $(seq 600); do
        grep -q "$2" "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    cat "$1"
    fail "\"$2\" was not printed within a minute"
}
expect() { # FILE VALUES
    seen=$(probe "$1")
    [ "$seen" = "$2 " ] || fail "$1 has \"$seen\", expected \"$2 \""
}

case "$1" in
file)
    need_mp4
    gst-launch-1.0 -e motioncachegen prompt="$prompt" ! x264enc ! mp4mux ! filesink location="$tmp/a.mp4"
    expect "$tmp/a.mp4" "h264 160 96 bt709 24/1 57"
    gst-launch-1.0 -e motioncachegen prompt="$prompt" num-frames=10 ! \
        video/x-raw,format=NV12,width=320,height=176,framerate=16/1 ! x264enc ! mp4mux ! filesink location="$tmp/b.mp4"
    expect "$tmp/b.mp4" "h264 320 176 bt709 16/1 10"
    ;;
demo)
    need_mp4
    unset MOTIONCACHE_ENGINE
    gst-launch-1.0 -e motioncachegen prompt="$prompt" num-frames=7 steps=2 ! x264enc ! mp4mux ! \
        filesink location="$tmp/a.mp4"
    expect "$tmp/a.mp4" "h264 160 96 bt709 24/1 7"
    ;;
interrupt)
    need_mp4
    export MOTIONCACHE_TESTPATTERN=step-ms=100
    gst-launch-1.0 -em motioncachegen prompt="$prompt" steps=1 num-frames=5000 ! x264enc tune=zerolatency ! mp4mux ! \
        filesink location="$tmp/a.mp4" >"$tmp/log" &
    launch=$!
    await "$tmp/log" "motioncache-plan, device=(string)cpu, fits=(boolean)true"
    await "$tmp/log" "motioncache-chunk, index=(int)5"
    kill -INT $launch
    wait $launch || fail "gst-launch-1.0 ended with $?"
    frames=$(probe "$tmp/a.mp4" | cut -d' ' -f6)
    [ "$frames" -ge 9 ] && [ "$frames" -lt 2500 ] || fail "$frames frames are in the file"

    export MOTIONCACHE_TESTPATTERN=load-ms=60000
    gst-launch-1.0 -e motioncachegen prompt="$prompt" ! fakesink >"$tmp/log" &
    launch=$!
    await "$tmp/log" "Loading the model"
    kill -INT $launch
    ended=no
    for i in $(seq 200); do # 20 seconds
        kill -0 $launch 2>/dev/null || { ended=yes; break; }
        sleep 0.1
    done
    [ $ended = yes ] || { kill -KILL $launch; fail "Ctrl-C while loading does not end gst-launch-1.0"; }

    # Errors that come while gst-launch-1.0 is still getting ready: it would miss them and never end.
    for i in 1 2 3 4 5 6 7 8; do
        timeout 20 gst-launch-1.0 -q motioncachegen prompt="$prompt" image="$tmp/none" causal-block-size=1 ! fakesink \
            2>"$tmp/log" && fail "a missing image is no error"
        grep -q "$tmp/none" "$tmp/log" || fail "a missing image ends so: $(cat "$tmp/log")"
        timeout 20 gst-launch-1.0 -q motioncachegen prompt="$prompt" ! video/x-raw,width=17 ! fakesink 2>"$tmp/log" &&
            fail "a width of 17 is no error"
        grep -q "asks for width=17,.*ask for width=16 or 32 instead" "$tmp/log" || fail "a width of 17 ends so: $(cat "$tmp/log")"
    done
    ;;
play)
    need gst-play-1.0
    # A line of the log for each frame that leaves the element.
    GST_DEBUG=motioncachegen:6 GST_DEBUG_NO_COLOR=1 gst-play-1.0 --no-interactive --videosink=fakesink \
        "motioncache://?prompt=a%20red%20ball&num-frames=9&seed=3" >"$tmp/out" 2>"$tmp/log" </dev/null ||
        fail "gst-play-1.0 ends with $?: $(cat "$tmp/out")"
    grep -q "Reached end of play list" "$tmp/out" || fail "gst-play-1.0 prints $(cat "$tmp/out")"
    frames=$(grep -c "motioncachegen .*> frame [0-9]*$" "$tmp/log") || true
    [ "$frames" = 9 ] || fail "gst-play-1.0 plays $frames frames: $(tail "$tmp/log")"
    gst-play-1.0 --no-interactive --videosink=fakesink "motioncache://?steps=none" >"$tmp/out" 2>&1 </dev/null || true
    grep -q "steps" "$tmp/out" || fail "a URI that is wrong ends so: $(cat "$tmp/out")"
    ;;
leaks)
    alive=":0:: object-alive"
    export GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1
    # First of all that the tracer would tell: asked in the middle, it lists what lives.
    MOTIONCACHE_TESTPATTERN=step-ms=60000 GST_LEAKS_TRACER_SIG=1 \
        gst-launch-1.0 motioncachegen prompt="$prompt" ! fakesink >"$tmp/out" 2>"$tmp/log" &
    launch=$!
    await "$tmp/out" "The model is loaded"
    kill -USR1 $launch
    await "$tmp/log" "$alive.*GstMotionCacheGen"
    kill -INT $launch
    wait $launch || true

    check() { # what is still alive is told when the process ends
        "$@" 2>"$tmp/log" || true
        if grep "$alive" "$tmp/log"; then fail "objects leak from: $*"; fi
    }
    check gst-launch-1.0 -q motioncachegen prompt="$prompt" num-frames=500 ! fakesink num-buffers=20
    check gst-launch-1.0 -q motioncachegen prompt="$prompt" ! fakesink
    check gst-launch-1.0 -q motioncachegen prompt="$prompt" num-buffers=3 ! fakesink
    check env MOTIONCACHE_TESTPATTERN=fail=next:1 gst-launch-1.0 -q motioncachegen prompt="$prompt" ! fakesink
    check gst-launch-1.0 -q motioncachegen ! fakesink
    check gst-launch-1.0 -q motioncachegen prompt="$prompt" num-frames=3 ! videoscale ! videorate ! \
        video/x-raw,width=320,height=240,framerate=30/1 ! fakesink
    check gst-launch-1.0 -q motioncachegen prompt="$prompt" ! video/x-raw,width=960,height=540,framerate=0/1 ! fakesink
    check gst-launch-1.0 -q motioncachegen prompt="$prompt" ! aspectratiocrop aspect-ratio=1/1 ! video/x-raw,width=64 ! \
        fakesink
    # Live, with frames that are repeated; with the map over it; prompts that follow each other; by URI.
    check env MOTIONCACHE_TESTPATTERN=step-ms=60 gst-launch-1.0 -q motioncachegen prompt="$prompt" is-live=true \
        underrun=repeat latency=50 steps=16 num-frames=33 ! fakesink sync=true
    check env MOTIONCACHE_TESTPATTERN=step-ms=60 gst-launch-1.0 -q motioncachegen prompt="$prompt" is-live=true \
        underrun=slow qos-cache=true cache=motioncache steps=16 num-frames=-1 num-buffers=30 ! fakesink sync=true
    check env MOTIONCACHE_TESTPATTERN=reuse=1 gst-launch-1.0 -q motioncachegen prompt="$prompt" num-frames=21 ! \
        motioncacheoverlay ! fakesink
    printf '12f: a red ball\n12f: a blue star\na green fish\n' >"$tmp/prompts.txt"
    check gst-launch-1.0 -q motioncachegen prompts-file="$tmp/prompts.txt" num-frames=45 ! fakesink
    uri="motioncache://?prompt=a%20red%20ball&num-frames=9"
    check gst-launch-1.0 -q uridecodebin uri="$uri" ! fakesink
    check gst-launch-1.0 -q playbin uri="$uri" video-sink=fakesink
    check gst-launch-1.0 -q playbin uri="$uri&is-live=true" video-sink=fakesink
    check gst-launch-1.0 -q playbin uri="$uri&steps=none" video-sink=fakesink
    ;;
esac
