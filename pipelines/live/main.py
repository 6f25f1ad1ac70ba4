# SPDX-License-Identifier: LGPL-2.1-or-later
"""pipelines/live.sh behind the setup: the stream, and its page on loopback."""
import argparse
import os
import sys
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "stream")]
try:
    import gi
    for name in ("Gst", "GstSdp", "GstWebRTC"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst
except (ImportError, ValueError) as missing:
    sys.exit(f"{missing}: install python3-gi, gir1.2-gstreamer-1.0, gir1.2-gst-plugins-base-1.0 and "
             "gir1.2-gst-plugins-bad-1.0")
import settings
from player import Line, Player
from studio import Studio
from viewers import Hls, Viewer
from web import Site

DEFAULTS = {"prompt": "a white boat moving left on the sea", "num-frames": "-1", "is-live": "true",
            "underrun": "repeat"}


def main():
    parser = argparse.ArgumentParser(
        prog="live.sh", usage="live.sh [NAME=VALUE...] [OPTION...]",
        description="A live stream with a web page on this machine. Ctrl-C ends it.",
        epilog="NAME=VALUE: properties of motioncachegen, as in gst-launch-1.0, for example prompt=\"a red ball\" "
               "steps=8.")
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="settings of the element")
    parser.add_argument("--port", type=port, default=8080, metavar="N",
                        help="port of the page (default: 8080; 0: a free one)")
    settings.add_picture_options(parser)
    options = parser.parse_intermixed_args()
    properties, others = settings.split(options.words)
    if others:
        parser.error(f"{others[0]} is not NAME=VALUE: put a prompt into quotes, prompt=\"a red ball\"")
    caps = settings.caps(parser, options)
    Gst.init(None)
    line = Line()
    try:
        for element, package in (("webrtcbin", "gstreamer1.0-plugins-bad"), ("nicesink", "gstreamer1.0-nice"),
                                 ("x264enc", "gstreamer1.0-plugins-ugly")):
            if not Gst.ElementFactory.find(element):
                raise ValueError(f"There is no element {element}: install {package}.")
        studio = Studio(caps)
        settings.set_properties(studio.gen, DEFAULTS | properties)
        pipeline = studio.pipeline
        site = Site(options.port, studio, lambda offer, closed: Viewer(offer, pipeline, studio.key_frame, closed),
                    lambda: Hls(pipeline))
    except OSError as wrong:
        return error(f"port {options.port} cannot be used: {wrong.strerror}. Name another one with --port.")
    except (ValueError, GLib.Error) as wrong:
        return error(getattr(wrong, "message", wrong))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    line.say(f"The page: http://127.0.0.1:{site.server_port}/")
    player = Player(pipeline, line)
    status = player.play(before_stop=site.close)
    line.say(f"Done: {player.frames} frames")
    return status


def error(text):
    print(f"Error: {text}", file=sys.stderr)
    return 1


def port(text):
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("give a number from 0 to 65535")
    return number


if __name__ == "__main__":
    sys.exit(main())
