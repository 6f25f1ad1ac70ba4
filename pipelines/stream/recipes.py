# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recipes: what stands behind motioncachegen in the pipeline, in the language of gst-launch-1.0."""
import os
import re
import shlex
import urllib.parse
from typing import NamedTuple

# Names that only the program needs; a line that is printed has none of them.
NAMES = (" name=enc", " name=sink", " name=silence", " name=sound")


class Recipe(NamedTuple):
    what: str
    target: str    # what TARGET is
    default: str   # TARGET where none is given
    launch: str    # what stands between the source and the sink
    sink: str
    location: str  # the sink's properties that take the target: name=format, separated by spaces
    live: str      # is-live: never, always, or for streams without end
    relay: bool = False  # the sink is in a pipeline of its own, made anew whenever the connection is lost
    writes: str = ""     # what TARGET becomes: "file" or "folder"; "": nothing on disk


H264 = "x264enc name=enc tune=zerolatency speed-preset=veryfast key-int-max={gop}"
# In a live stream the muxer waits for pictures that are late: sound that goes ahead would push them out of their times.
PATIENCE = " latency=10000000000"
SILENCE = ("audiotestsrc name=silence wave=silence is-live=true ! audioconvert ! audio/x-raw,rate=44100,channels=2 ! "
           "voaacenc bitrate=64000 ! aacparse ! queue name=sound ! mux.")

RECIPES = {
    "mp4": Recipe("an MP4 file", "FILE", "out.mp4", "x264enc name=enc ! mp4mux", "filesink name=sink", "location={}",
                  "never", writes="file"),
    "fmp4": Recipe("a fragmented MP4 file, which plays even if the program is killed", "FILE", "out.mp4",
                   H264 + " ! mp4mux fragment-duration=500 streamable=true",
                   "filesink name=sink buffer-mode=unbuffered", "location={}", "never", writes="file"),
    # async-handling: GStreamer 1.22 may lose the end of a pipeline that is set to PLAYING the moment it has prerolled,
    # as gst-launch-1.0 does (gst_bin_post_message forgets that it is PLAYING). With it the pipeline prerolls at once.
    "hls": Recipe("HLS: segments and a playlist, for any web server", "FOLDER", "hls",
                  "x264enc name=enc speed-preset=veryfast key-int-max={gop} ! h264parse",
                  "hlssink2 name=sink async-handling=true target-duration=2 playlist-length=0",
                  "location={}/segment%05d.ts playlist-location={}/index.m3u8", "endless", writes="folder"),
    "rtmp": Recipe("RTMP with a silent audio track; connects again when the server comes back", "URL",
                   "rtmp://127.0.0.1/live/motioncache",
                   H264 + " ! h264parse ! queue ! mux. " + SILENCE +
                   " flvmux name=mux streamable=true{patience}", "rtmp2sink name=sink", "location={}",
                   "always", relay=True),
    "srt": Recipe("MPEG-TS by SRT; connects again when the peer comes back", "URL", "srt://127.0.0.1:7001",
                  H264 + " ! h264parse config-interval=-1 ! mpegtsmux alignment=7", "srtsink name=sink", "uri={}",
                  "always", relay=True),
    "v4l2": Recipe("a virtual camera of v4l2loopback", "DEVICE", "/dev/video0",
                   "videoconvert ! video/x-raw,format=YUY2 ! identity drop-allocation=true", "v4l2sink name=sink",
                   "device={}", "always"),
    "play": Recipe("a window", "SINK", "autovideosink", "videoconvert", "{} name=sink", "", "always"),
    "playbin": Recipe("a window, by the URI that any player takes", "SINK", "autovideosink", "playbin", "{} name=sink",
                      "",
                      "always"),
}
# What somebody may look for here.
ELSEWHERE = {"webrtc": "WebRTC is negotiated with everybody who watches: ./pipelines/live.sh serves it, with a page, and by "
                       "WHEP for players."}


def uri(properties):
    """All of them in one, as gst-play-1.0 and others take it."""
    return "motioncache://?" + "&".join(f"{name}={urllib.parse.quote(value, safe='')}"
                                        for name, value in properties.items())


def launch(recipe, caps, live):
    """With a key frame every two seconds: what servers ask for, and players wait for."""
    rate = re.search(r"framerate=(\d+)/(\d+)", caps)
    gop = round(2 * int(rate.group(1)) / int(rate.group(2))) if rate else 48  # models have 24 frames per second
    text = recipe.launch.replace("{gop}", str(max(1, gop))).replace("{patience}", PATIENCE if live else "")
    return text if live else text.replace("is-live=true", "is-live=false")


def is_live(properties):
    return properties.get("is-live", "false").lower() in ("true", "yes", "1")


def locations(recipe, target):
    """The sink's properties and their values."""
    pairs = (item.split("=", 1) for item in recipe.location.split())
    return {name: text.replace("{}", target) for name, text in pairs}


def quoted(value):
    """For gst-launch-1.0 on a shell's command line. It parses its arguments again, so that a text with quotes needs
    another pair."""
    if re.fullmatch(r"[\w./:%+-]+", value):
        return value
    if not re.search(r"""["'\\$`!]""", value):
        return f'"{value}"'
    return shlex.quote('"' + re.sub(r'(["\\])', r"\\\1", value) + '"')


def line(recipe, target, properties, caps):
    """The recipe as a line for gst-launch-1.0."""
    if recipe.launch == "playbin":
        return f"gst-launch-1.0 -e playbin uri={quoted(uri(properties))} video-sink={quoted(target)}"
    source = "motioncachegen" + "".join(f" {name}={quoted(value)}" for name, value in properties.items())
    sink = recipe.sink.format(target)
    for name, value in locations(recipe, target).items():
        sink += f" {name}={quoted(value)}"
    if recipe.relay and is_live(properties):
        sink += " sync=false"  # the source is on the clock already
    parts = [source, *([caps] if caps else []), f"{launch(recipe, caps, is_live(properties))} ! {sink}"]
    text = " ! ".join(parts)
    for name in NAMES:
        text = text.replace(name, "")
    return f"gst-launch-1.0 -e {text}"


def prepare(recipe, target):
    """Makes the folder that is written to; raises ValueError with the remedy where that is not possible."""
    try:
        if recipe.writes == "folder":
            os.makedirs(target, exist_ok=True)
        elif recipe.writes == "file":
            if os.path.isdir(target):
                example = os.path.join(target, recipe.default)
                raise ValueError(f"{target} is a folder: name a file, for example {example}.")
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        elif recipe.sink.startswith("v4l2sink") and not os.path.exists(target):
            raise ValueError(f"{target} does not exist. Make it with v4l2loopback (package v4l2loopback-dkms): "
                             "modprobe v4l2loopback exclusive_caps=1.")
    except OSError as e:
        raise ValueError(f"{target} cannot be written: {e.strerror}. Name another place.") from e
