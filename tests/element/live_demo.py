# SPDX-License-Identifier: LGPL-2.1-or-later
"""README.md's live line with the demo model, on a clock so slow that any machine generates faster than the stream plays: each frame
is in its place on the clock, over several windows, and none comes too late for a sink that keeps time. On a clock that is too fast
the same stream underruns, so that it would be seen."""
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "pipelines" / "soak"))
os.environ.pop("MOTIONCACHE_ENGINE", None)
try:
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
except (ImportError, ValueError) as missing:
    print("skipped: python3-gi or gir1.2-gstreamer-1.0 is not installed:", missing)
    sys.exit(77)
from fast_clock import FastClock

RATE = 24
SLOW, FAST = 0.1, 20 # seconds of stream in a second
WINDOWS = 105        # frames: two windows of 57, of which the second begins with 9 of the first

Gst.init(None)
if not Gst.ElementFactory.find("x264enc"):
    print("skipped: the GStreamer element x264enc is not installed")
    sys.exit(77)


def play(pace, frames):
    """Stamps of the frames that leave the element, what the sink has to say, the element's statistics."""
    pipeline = Gst.parse_launch(
        f"motioncachegen name=gen prompt=\"a white boat moving left on the sea\" seed=1 num-frames={frames} is-live=true ! "
        "x264enc tune=zerolatency speed-preset=veryfast key-int-max=48 ! "
        "fakesink name=sink sync=true qos=true max-lateness=20000000 enable-last-sample=false")
    clock = FastClock(pace)
    pipeline.use_clock(clock)
    gen, sink = pipeline.get_by_name("gen"), pipeline.get_by_name("sink")
    stamps = []

    def note(pad, info):
        buffer = info.get_buffer()
        stamps.append((buffer.pts, buffer.offset, buffer.has_flags(Gst.BufferFlags.DISCONT)))
        return Gst.PadProbeReturn.OK

    gen.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, note)
    pipeline.set_state(Gst.State.PLAYING)
    bus = pipeline.get_bus()
    while True:
        message = bus.timed_pop_filtered(240 * Gst.SECOND,
                                         Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.LATENCY)
        assert message, f"{len(stamps)} of {frames} frames in four minutes"
        assert message.type != Gst.MessageType.ERROR, message.parse_error().gerror.message
        if message.type == Gst.MessageType.EOS:
            break
        pipeline.recalculate_latency() # as gst-launch-1.0 does
    stats, told = gen.get_property("stats"), sink.get_property("stats")
    pipeline.set_state(Gst.State.NULL)
    return stamps, told, stats


stamps, told, stats = play(SLOW, WINDOWS)
print(f"{WINDOWS} frames at {SLOW} of real time: real-time-factor {stats.get_value('real-time-factor'):.2f}, "
      f"{stats.get_value('underruns')} underruns, sink: {told.to_string()}")
assert stats.get_value("underruns") == 0
assert [offset for _, offset, _ in stamps] == list(range(WINDOWS))
first = stamps[0][0]
for pts, offset, discont in stamps:
    assert abs(pts - first - offset * Gst.SECOND / RATE) <= 1, (pts, offset)
    assert discont == (offset == 0), offset
assert told.get_value("dropped") == 0 and told.get_value("rendered") == WINDOWS, told.to_string()

stamps, told, stats = play(FAST, 57)
print(f"57 frames at {FAST} times real time: {stats.get_value('underruns')} underruns")
assert stats.get_value("underruns") > 0 and len(stamps) == 57
