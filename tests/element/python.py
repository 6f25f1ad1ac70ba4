# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an application in Python sees, with python3-gi alone: statistics, messages, and the metadata of each frame."""
import array
import os
import sys

os.environ["MOTIONCACHE_ENGINE"] = "testpattern"
os.environ["MOTIONCACHE_TESTPATTERN"] = "reuse=1"
try:
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
except (ImportError, ValueError) as missing:
    print("skipped: python3-gi or gir1.2-gstreamer-1.0 is not installed:", missing)
    sys.exit(77)

Gst.init(None)
pipeline = Gst.parse_launch("motioncachegen name=gen prompt=ball num-frames=21 steps=4 ! "
                            "fakesink name=sink signal-handoffs=true")
gen = pipeline.get_by_name("gen")
frames = []  # of each: structure of its metadata as a dictionary


def fields_of(structure):
    return {structure.nth_field_name(i): structure.get_value(structure.nth_field_name(i))
            for i in range(structure.n_fields())}


def note(sink, buffer, pad):
    meta = buffer.get_custom_meta("GstMotionCacheMeta")
    fields = fields_of(meta.get_structure())
    fields["computed"] = fields["computed"].get_data()
    fields["motion"] = array.array("f", fields["motion"].get_data())
    frames.append(fields)


pipeline.get_by_name("sink").connect("handoff", note)
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
assert message.type == Gst.MessageType.EOS, message.get_structure().to_string()

stats = gen.get_property("stats")
assert stats.get_name() == "motioncachegen-stats"
fields = fields_of(stats)
assert fields["frames"] == 21 and fields["cache"] == "none" and fields["underruns"] == 0, fields
assert [c.get_value("first-frame") for c in fields["chunks"]] == [0, 9], fields["chunks"]
assert [c.get_value("frames") for c in fields["chunks"]] == [9, 12], fields["chunks"]
pipeline.set_state(Gst.State.NULL)

assert [f["frame"] for f in frames] == list(range(21)), frames
assert [f["chunk"] for f in frames] == 9 * [0] + 12 * [1], frames
for f in frames:
    assert f["turns"] == 8 and f["turns-whole"] == 2 and f["turns-reused"] == 6, f
    assert len(f["computed"]) == len(f["motion"]) == f["map-width"] * f["map-height"] == 60, f
    assert set(f["computed"]) == {63, 255} and set(f["motion"]) == {0.25, 1.0}, f
