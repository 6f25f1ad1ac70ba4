# SPDX-License-Identifier: LGPL-2.1-or-later
"""What became of each frame: made, coded, recorded by the server, or lost, and why."""
import collections
import threading


class Ledger:
    """A frame is known by its number in the element, by its timestamp from there to the muxer, and by the timestamp of
    its FLV tag, in milliseconds, in the recordings. Nothing here grows with the length of the stream."""

    def __init__(self):
        self.lock = threading.Lock()
        self.made = self.coded = self.recorded = self.again = 0
        self.first = self.expected = None  # numbers of frames
        self.flushes = 0
        self.flushed = 0       # were between element and muxer when a flush came
        self.skipped = 0       # numbers that never left the element
        self.vanished = 0      # between element and muxer, without a flush
        self.backwards = 0     # timestamps that do not rise
        self.unknown = 0       # recorded, and never sent
        self.gaps = 0          # where the stream goes on at another time
        self.pts = self.end = None
        self.done = "nothing"
        self.notes = collections.deque(maxlen=20)   # of what has no cause
        self.on_way = collections.deque()           # (pts, flushes before it), to the muxer
        self.sent = collections.OrderedDict()       # milliseconds of what is not recorded yet
        self.last_sent = -1

    def frame(self, number, pts, duration, discont):
        """A frame leaves the element."""
        with self.lock:
            if self.expected is None:
                self.first = number
            elif number != self.expected:
                self.skipped += abs(number - self.expected)
                self._tell(f"frame {number} left the element, {self.expected} was due")
            self.expected = number + 1
            if self.pts is not None and pts <= self.pts:
                self.backwards += 1
            self.gaps += discont and self.made > 0
            self.made += 1
            self.pts, self.end = pts, pts + duration
            self.on_way.append((pts, self.flushes))

    def note(self, text):
        """What was last done to the stream: it stands beside what has no cause."""
        self.done = f"{text}, at {(self.pts or 0) / 1e9:.3f} s"

    def _tell(self, text):
        self.notes.append(f"{text} (last: {self.done})")

    def flush(self):
        """To be called before a flush begins, and after it has ended: `flushes` is odd while one lasts."""
        with self.lock:
            self.flushes += 1

    def tag(self, pts, milliseconds):
        """A frame leaves the muxer."""
        with self.lock:
            self._arrived(pts)
            self.coded += 1
            self.sent[milliseconds] = None
            self.last_sent = max(self.last_sent, milliseconds)

    def _arrived(self, pts):
        lost = []
        while self.on_way:
            at, flushes = self.on_way.popleft()
            if at == pts:
                # A flush takes frames made before it or while it lasts. A frame is lost without a cause when this one,
                # which arrived, left the element with no flush in between.
                taken = sum(before < flushes or before % 2 for before in lost)
                self.flushed += taken
                self._vanished(len(lost) - taken, pts)
                return
            lost.append(flushes)
        self.unknown += 1
        self._vanished(len(lost), pts)

    def _vanished(self, count, pts):
        self.vanished += count
        if count:
            self._tell(f"{count} frames before {pts / 1e9:.3f} s did not reach the muxer's end")

    def record(self, milliseconds):
        """A frame is found in a recording."""
        with self.lock:
            if milliseconds in self.sent:
                del self.sent[milliseconds]
                self.recorded += 1
            elif milliseconds <= self.last_sent:
                self.again += 1
            else:
                self.unknown += 1

    def close(self):
        """At the end: what still was on its way was not taken by a flush, unless one came after it."""
        with self.lock:
            taken = sum(flushes < self.flushes or flushes % 2 for _, flushes in self.on_way)
            self.flushed += taken
            self._vanished(len(self.on_way) - taken, self.pts)
            self.on_way.clear()
            if self.sent:
                first, last = next(iter(self.sent)), next(reversed(self.sent))
                self._tell(f"{len(self.sent)} frames of {first / 1e3:.3f} to {last / 1e3:.3f} s were not recorded")
