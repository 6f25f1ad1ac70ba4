# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an application in Python sees, with python3-gi alone: statistics, messages, and the metadata of each frame."""
import os
import sys

os.environ["MOTIONCACHE_ENGINE"] = "testpattern"
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
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
assert message.type == Gst.MessageType.EOS, message.get_structure().to_string()

stats = gen.get_property("stats")
assert stats.get_name() == "motioncachegen-stats"
fields = {stats.nth_field_name(i): stats.get_value(stats.nth_field_name(i)) for i in range(stats.n_fields())}
assert fields["frames"] == 21 and fields["cache"] == "none" and fields["underruns"] == 0, fields
assert [c.get_value("first-frame") for c in fields["chunks"]] == [0, 9], fields["chunks"]
assert [c.get_value("frames") for c in fields["chunks"]] == [9, 12], fields["chunks"]
pipeline.set_state(Gst.State.NULL)
