# SPDX-License-Identifier: LGPL-2.1-or-later
"""pipelines/stream.sh behind the setup: reads the command line, makes the pipeline and plays it."""
import argparse
import os
import re
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst
except (ImportError, ValueError) as missing:
    sys.exit(f"{missing}: install python3-gi and gir1.2-gstreamer-1.0")
import recipes
import settings
from player import Line, Player
from relay import Relay

RESEND_SECONDS = {"rtmp": 4, "srt": 10}
PROMPT = "a white boat moving left on the sea"


def arguments():
    kinds = "\n".join(f"  {kind:7} {recipe.what}\n        TARGET: {recipe.target}, {recipe.default}\n        "
                      f"{recipes.line(recipe, recipe.default, {'prompt': '...'}, '')}"
                      for kind, recipe in recipes.RECIPES.items())
    parser = argparse.ArgumentParser(
        prog="stream.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="stream.sh KIND [TARGET] [NAME=VALUE...] [OPTION...]",
        description="Generates a video and writes, streams or shows it. Ctrl-C ends it properly: files are finished.",
        epilog="NAME=VALUE: properties of motioncachegen, as in gst-launch-1.0, for example prompt=\"a red ball\" "
               "num-frames=96.\n"
               "Live streams have no end (num-frames=-1) and hold their rate (underrun=repeat) unless told so.\n\n"
               f"KIND, with the pipeline that it plays:\n{kinds}")
    parser.add_argument("kind", choices=[*recipes.RECIPES, *recipes.ELSEWHERE], metavar="KIND",
                        help="the recipe, see below")
    parser.add_argument("words", nargs="*", metavar="TARGET, NAME=VALUE", help="where to, and settings of the element")
    settings.add_picture_options(parser)
    parser.add_argument("--bitrate", type=positive, metavar="KBIT",
                        help="bit rate of the encoder, in kbit/s (default: x264enc's, 2048)")
    parser.add_argument("--print", action="store_true", help="print the line for gst-launch-1.0, and play nothing")
    lost = parser.add_argument_group("when the connection of rtmp or srt is lost")
    lost.add_argument("--keep", type=seconds, default=60, metavar="SECONDS",
                      help="how much of a live stream is kept meanwhile; older parts are dropped. With "
                      "is-live=false generation waits instead (default: 60)")
    lost.add_argument("--resend", type=seconds, metavar="SECONDS",
                      help="how much is sent again after the break, since it is not known what had arrived (default: 4 "
                      "for rtmp; 10 for srt, which takes five seconds to notice a break)")
    lost.add_argument("--stall", type=seconds, default=10, metavar="SECONDS",
                      help="a server that takes nothing for this long counts as lost; 0: never (default: 10)")
    lost.add_argument("--retry", type=seconds, default=0, metavar="SECONDS",
                      help="give up after this long without a connection; 0: never (default: 0)")
    options = parser.parse_intermixed_args()
    if options.kind in recipes.ELSEWHERE:
        parser.error(recipes.ELSEWHERE[options.kind])
    options.recipe = recipes.RECIPES[options.kind]
    properties, targets = settings.split(options.words)
    if len(targets) > 1:
        parser.error(f"one TARGET, not {len(targets)}: {', '.join(targets)}. Put a prompt into quotes: "
                     "prompt=\"a red ball\"")
    options.target = targets[0] if targets else options.recipe.default
    options.properties = with_defaults(properties, options.recipe)
    options.caps = settings.caps(parser, options)
    if options.caps and options.kind == "playbin":
        parser.error("a URI has no size and rate: use stream.sh play with --size and --fps")
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a whole number above 0")
    return number


def seconds(text):
    number = float(text)
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError("give seconds, 0 or more")
    return number


def with_defaults(given, recipe):
    """The recipe's defaults, overridden by the settings that are given."""
    properties = {} if "prompts-file" in given else {"prompt": PROMPT}
    endless = given.get("num-frames") == "-1"
    if recipe.live == "always" or recipe.live == "endless" and endless:
        properties |= {"num-frames": "-1", "is-live": "true", "underrun": "repeat"}
    return properties | given


def follow_video(silence, sound, gen):
    """The sound begins with the first frame, which comes when the model is loaded, and ends with the last one."""
    begin, end = [], []
    live = gen.get_property("is-live") # else sound is as quick as it is taken: dropped, it would be far ahead by then

    def video(_, info):
        if info.type & Gst.PadProbeType.BUFFER:
            buffer = info.get_buffer()
            begin or begin.append(buffer.pts)
            end[:] = [buffer.pts + buffer.duration]
        elif info.get_event().type == Gst.EventType.EOS:
            end.append(True)
            # Not from this thread: it may wait for the other one.
            threading.Thread(target=silence.send_event, args=(Gst.Event.new_eos(),), daemon=True).start()
        return Gst.PadProbeReturn.OK

    def within(_, info):
        pts = info.get_buffer().pts
        early = pts < begin[0] if begin else live
        outside = early or len(end) > 1 and pts >= end[0]
        return Gst.PadProbeReturn.DROP if outside else Gst.PadProbeReturn.OK

    gen.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.EVENT_DOWNSTREAM, video)
    sound.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, within)


def pipeline_of(options):
    recipe, live = options.recipe, recipes.is_live(options.properties)
    if options.kind == "playbin":
        return playbin_of(options), live
    relayed = "appsink name=relayed emit-signals=true max-buffers=16"
    sink = relayed if recipe.relay else recipe.sink.format(options.target)
    parts = ["motioncachegen name=gen", *([options.caps] if options.caps else []),
             recipes.launch(recipe, options.caps, live)]
    pipeline = Gst.parse_launch(" ! ".join(parts) + f" ! {sink}")
    gen = pipeline.get_by_name("gen")
    settings.set_properties(gen, options.properties)
    encoder, silence, out = (pipeline.get_by_name(name) for name in ("enc", "silence", "sink"))
    if encoder:
        if options.bitrate:
            encoder.set_property("bitrate", options.bitrate)
    if silence:
        follow_video(silence, pipeline.get_by_name("sound"), gen)
    if out:
        for name, value in recipes.locations(recipe, options.target).items():
            out.set_property(name, value)
        if options.kind == "hls" and live:  # a window that moves along
            out.set_property("playlist-length", 5)
            out.set_property("max-files", 10)
    return pipeline, live


def playbin_of(options):
    pipeline = Gst.ElementFactory.make("playbin")
    pipeline.set_property("uri", recipes.uri(options.properties))
    sink = Gst.parse_bin_from_description(options.recipe.sink.format(options.target), True)
    pipeline.set_property("video-sink", sink)
    return pipeline


def relay_of(options, pipeline, live, line):
    appsink = pipeline.get_by_name("relayed")
    appsink.set_property("sync", not live)  # what is not live is paced here
    sink = options.recipe.sink
    if options.kind == "srt":
        sink += " auto-reconnect=false"
        if "mode=listener" in options.target or re.match(r"srt://:", options.target):
            options.stall = 0  # waits for somebody who calls
    if options.resend is None:
        options.resend = RESEND_SECONDS[options.kind]
    locations = recipes.locations(options.recipe, options.target)
    return Relay(appsink, sink, locations, live, options, line.say)


def written_since(path, began):
    return os.path.isfile(path) and os.path.getmtime(path) >= began - 1


def main():
    options = arguments()
    if options.print:
        print(recipes.line(options.recipe, options.target, options.properties, options.caps))
        return 0
    Gst.init(None)
    try:
        recipes.prepare(options.recipe, options.target)
        pipeline, live = pipeline_of(options)
    except (ValueError, GLib.Error) as wrong:
        print(f"Error: {getattr(wrong, 'message', wrong)}", file=sys.stderr)
        return 1
    line = Line()
    relay = relay_of(options, pipeline, live, line) if options.recipe.relay else None
    player = Player(pipeline, line, relay)
    began = time.time()
    status = player.play()
    if not player.frames and options.recipe.writes == "file" and written_since(options.target, began):
        os.remove(options.target)  # players refuse a file without frames
        line.say(f"Nothing was generated: {options.target} is not kept.")
    elif not status:
        line.say(f"Done: {options.target}, {player.frames} frames")
    return status


if __name__ == "__main__":
    sys.exit(main())
