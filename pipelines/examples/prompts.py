#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""prompts.py [SINK...]: a live stream in a window; each line that is typed is the next prompt. Ends with the input.

SINK is what the video goes to, as in gst-launch-1.0; default: a window."""
import os
import sys
import threading

import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

Gst.init(None)
sink = " ".join(sys.argv[1:]) or "videoconvert ! autovideosink"
pipeline = Gst.parse_launch(f"motioncachegen name=gen num-frames=-1 is-live=true underrun=repeat ! {sink}")
gen = pipeline.get_by_name("gen")
gen.set_property("prompt", "a white boat moving left on the sea")
loop = GLib.MainLoop()
status = 0


def message(_, told):
    global status
    if told.type == Gst.MessageType.ERROR:
        print("Error:", told.parse_error()[0].message, file=sys.stderr)
        status = 1
        loop.quit()
    elif told.type == Gst.MessageType.EOS:
        loop.quit()
    elif told.type == Gst.MessageType.LATENCY:
        pipeline.recalculate_latency()
    elif told.type == Gst.MessageType.ELEMENT and told.get_structure().get_name() == "motioncache-prompt":
        shown = told.get_structure()
        print(f"frame {shown.get_value('frame')}: {shown.get_value('prompt')}", flush=True)


def read():
    """In a thread of its own: properties may be set from any thread."""
    for line in sys.stdin:
        if line.strip():
            gen.set_property("prompt", line.strip())  # counts from the next chunk on
    pipeline.send_event(Gst.Event.new_eos())


bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message", message)
pipeline.set_state(Gst.State.PLAYING)
threading.Thread(target=read, daemon=True).start()
loop.run()
pipeline.set_state(Gst.State.NULL)
sys.exit(status)
