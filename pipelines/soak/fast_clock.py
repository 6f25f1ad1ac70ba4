# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pipeline's clock that runs several times as fast as time does, and that can jump."""
import threading
import time

from gi.repository import Gst

EARLIEST = 3600 * Gst.SECOND  # where the clock begins, so that it can jump back


class FastClock(Gst.Clock):
    """GStreamer's own clock can be told to run faster, but waits as long as before."""

    def __init__(self, pace):
        super().__init__()
        self.pace = pace
        self.began = time.monotonic_ns()
        self.jumped = 0  # nanoseconds
        self.changed = threading.Condition()
        self.unscheduled = set()  # entries that somebody waits for, or will

    def jump(self, seconds):
        """Back as well: GstClock shows the last time again until it is reached once more."""
        with self.changed:
            self.jumped += int(seconds * Gst.SECOND)
            self.changed.notify_all()

    def do_get_internal_time(self):
        return max(0, EARLIEST + int((time.monotonic_ns() - self.began) * self.pace) + self.jumped)

    def do_wait(self, entry):
        due, jitter = entry.time, self.get_time() - entry.time
        with self.changed:
            while hash(entry) not in self.unscheduled:
                left = (due - self.get_time()) / Gst.SECOND / self.pace
                if left <= 0:
                    return Gst.ClockReturn.OK, jitter
                self.changed.wait(left)
            self.unscheduled.discard(hash(entry))
        return Gst.ClockReturn.UNSCHEDULED, jitter

    def do_unschedule(self, entry):
        with self.changed:
            self.unscheduled.add(hash(entry))
            self.changed.notify_all()
