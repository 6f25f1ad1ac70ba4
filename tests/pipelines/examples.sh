#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# examples.sh FRAMES ENGINE MODEL PROMPTS: the programs of pipelines/examples do what their first lines say.
set -euo pipefail
frames=$1 engine=$2 model=$3 prompts=$4
fail() { echo "FAILED: $*"; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# In C: an appsink.
export MOTIONCACHE_ENGINE=testpattern
"$frames" "a red ball" 10 >"$tmp/out" 2>"$tmp/err" || fail "frames ends with $?: $(cat "$tmp/err")"
[ "$(grep -cE '^0:00:00\.[0-9]{9}  +[0-9]+ +[0-9]+ +[0-9]+$' "$tmp/out")" = 10 ] ||
    fail "frames prints $(cat "$tmp/out")"
grep -q "^10 frames$" "$tmp/err" || fail "frames says $(cat "$tmp/err")"
"$frames" "" 2>"$tmp/err" && fail "frames takes an empty prompt"
grep -q "Error: No prompt is given" "$tmp/err" || fail "an empty prompt ends so: $(cat "$tmp/err")"
MOTIONCACHE_TESTPATTERN=fail=next:1 "$frames" "a red ball" >"$tmp/out" 2>"$tmp/err" &&
    fail "frames takes a fault for a video"
[ "$(wc -l <"$tmp/out")" = 9 ] || fail "a chunk is made, $(wc -l <"$tmp/out") frames are printed"
"$frames" >/dev/null 2>&1 && fail "frames needs no prompt"

# In Python: prompts that are typed.
if /usr/bin/python3 -c 'import gi; gi.require_version("Gst", "1.0")' 2>/dev/null; then
    { sleep 2; echo "a blue star"; sleep 2; echo; echo "a green fish"; sleep 2; } |
        /usr/bin/python3 "$prompts" fakevideosink >"$tmp/out" 2>"$tmp/err" ||
        fail "prompts.py ends with $?: $(cat "$tmp/err")"
    told=$(sed 's/^frame [0-9]*: //' "$tmp/out" | tr '\n' ';')
    [ "$told" = "a white boat moving left on the sea;a blue star;a green fish;" ] ||
        fail "prompts.py prints $(cat "$tmp/out")"
    /usr/bin/python3 "$prompts" nosuchsink </dev/null >"$tmp/out" 2>&1 && fail "prompts.py takes any sink"
else
    echo "skip prompts.py: python3-gi is not installed"
fi

# In C++: the engine alone.
unset MOTIONCACHE_ENGINE
"$engine" "$model" "a red ball" 5 >"$tmp/a.y4m" 2>"$tmp/err" || fail "engine ends with $?: $(cat "$tmp/err")"
head -c 9 "$tmp/a.y4m" | grep -q YUV4MPEG2 || fail "engine writes no YUV4MPEG2"
size=$(stat -c %s "$tmp/a.y4m")
[ "$size" = $((43 + 5 * (6 + 160 * 96 * 3 / 2))) ] || fail "engine writes $size bytes"
if command -v ffprobe >/dev/null; then
    seen=$(ffprobe -v error -count_frames -show_entries stream=width,height,nb_read_frames -of csv=p=0 "$tmp/a.y4m")
    [ "$seen" = "160,96,5" ] || fail "ffprobe sees $seen"
fi
"$engine" /nowhere "a red ball" >/dev/null 2>"$tmp/err" && fail "engine takes any folder"
grep -q /nowhere "$tmp/err" || fail "a folder that is none ends so: $(cat "$tmp/err")"
