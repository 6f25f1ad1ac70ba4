# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hands an encoded stream to a server that may go away.

The generator's pipeline ends in an appsink. What it gives is kept in a backlog, and a thread feeds it to a second,
short pipeline, appsrc ! SINK, that is made anew whenever the connection is lost: the generator runs on, and a server
that comes back gets everything from a key frame shortly before the break on. Neither RTMP nor SRT tells what the other
side has stored, so the last seconds that were handed over are sent again.
"""
import collections
import threading
import time

from gi.repository import Gst

QUEUED_BYTES = 1 << 20   # in the appsrc of a connection
RETRY = (0.5, 1, 2, 4)   # seconds between attempts; the last one goes on
LINGER = 0.5             # seconds beyond the latency of SRT
PATIENCE = 1             # seconds from Ctrl-C on that are waited for somebody to take the rest
CHECK = 0.01             # seconds between looks at a connection that is busy


class Backlog:
    """Samples in order, and the position of the next one to send. Numbers count from the first sample of all. Old ones
    are dropped in whole groups, from key frame to key frame."""

    def __init__(self, keep, resend, live):
        self.keep, self.resend, self.live = keep, resend, live  # seconds; live: add() never waits
        self.changed = threading.Condition()
        self.samples = collections.deque()  # (sample, seconds)
        self.keys = collections.deque()     # numbers of those that start at a key frame
        self.first = 0      # number of samples[0]
        self.position = 0   # number of the next one to send
        self.dropped = 0.0  # seconds that were never sent
        self.ended = self.closed = False

    def seconds(self):
        """Of stream that wait to be sent."""
        with self.changed:
            return self._waiting()

    def add(self, sample):
        buffer = sample.get_buffer()
        stamp = buffer.dts if buffer.dts != Gst.CLOCK_TIME_NONE else buffer.pts
        with self.changed:
            if stamp != Gst.CLOCK_TIME_NONE:
                seconds = stamp / Gst.SECOND
            else:
                seconds = self.samples[-1][1] if self.samples else 0.0
            if not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT):
                self.keys.append(self.first + len(self.samples))
            self.samples.append((sample, seconds))
            self._forget()
            self.changed.notify_all()
            while not self.live and not self.closed and self._waiting() > self.keep:
                self.changed.wait()

    def _at(self, number):
        """Time of a sample in seconds; for numbers beyond the last one, that of the last one."""
        return self.samples[min(number - self.first, len(self.samples) - 1)][1]

    def _waiting(self):
        return self.samples[-1][1] - self._at(self.position) if self.samples else 0.0

    def _forget(self):
        """Drops groups at the front: those sent long enough ago, and the oldest that wait where too much does."""
        while len(self.keys) > 1:
            following = self.keys[0] if self.keys[0] > self.first else self.keys[1]
            if following <= self.position:
                if self._at(following) >= self._at(self.position) - self.resend:
                    return
            elif not self.live or self._waiting() <= self.keep:
                return
            self.dropped += max(0.0, self._at(following) - self._at(self.position))
            for _ in range(following - self.first):
                self.samples.popleft()
            while self.keys[0] < following:
                self.keys.popleft()
            self.first = following
            self.position = max(self.position, following)

    def next(self, timeout):
        """The next sample to send, or None."""
        with self.changed:
            if self.position - self.first >= len(self.samples) and not self.ended:
                self.changed.wait(timeout)
            at = self.position - self.first
            return self.samples[at][0] if at < len(self.samples) else None

    def sent(self):
        with self.changed:
            self.position += 1
            self._forget()
            self.changed.notify_all()

    def done(self):
        with self.changed:
            return self.ended and self.position - self.first >= len(self.samples)

    def rewind(self, number, again):
        """Continues with the sample of that number; again: with a key frame `resend` seconds before it."""
        with self.changed:
            self.position = max(self.first, min(self.position, number))
            if again and self.samples:
                since = self._at(self.position) - self.resend
                keys = [key for key in self.keys if key <= self.position]
                early = [key for key in keys if self._at(key) <= since]
                self.position = early[-1] if early else keys[0] if keys else self.first

    def end(self):
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.ended = self.closed = True
            self.changed.notify_all()


class Connection:
    """appsrc ! SINK, from its first sample until something fails."""

    def __init__(self, sink, locations):
        self.pipeline = Gst.parse_launch(f"appsrc name=in format=time max-bytes=0 ! {sink} sync=false")
        self.source = self.pipeline.get_by_name("in")
        self.sink = self.pipeline.get_by_name("sink")
        for name, value in locations.items():
            self.sink.set_property(name, value)
        self.pushed = 0
        self.error = None
        self.moved = time.monotonic()  # when it last took something
        self.taken = 0
        self.pipeline.set_state(Gst.State.PLAYING)

    def queued(self):
        return self.source.get_property("current-level-buffers")

    def full(self):
        return self.source.get_property("current-level-bytes") > QUEUED_BYTES

    def push(self, sample):
        self.pushed += 1
        self.source.emit("push-sample", sample)

    def look(self, stall):
        """Notices errors, the end, and a peer that takes nothing any more. True: the end has arrived."""
        kinds = Gst.MessageType.ERROR | Gst.MessageType.EOS
        message = self.pipeline.get_bus().pop_filtered(kinds)
        taken = self.pushed - self.queued()
        if taken != self.taken or not self.queued():
            self.moved = time.monotonic()
        self.taken = taken
        if message and message.type == Gst.MessageType.ERROR:
            self.error = message.parse_error()[0].message.rstrip(".")
        elif not message and stall and time.monotonic() - self.moved > stall:
            self.error = f"the peer has taken nothing for {stall:g} s"
        return bool(message) and message.type == Gst.MessageType.EOS

    def linger(self):
        """Seconds to wait before the end: an SRT peer holds back what it has got that long, and loses it if we go."""
        stats = self.sink.get_property("stats")
        callers = stats.get_value("callers") if stats.has_field("callers") else [stats]
        known = [one.get_value("negotiated-latency-ms") for one in callers if one.has_field("negotiated-latency-ms")]
        return max(known) / 1000 + LINGER if known else 0

    def close(self):
        self.pipeline.set_state(Gst.State.NULL)


class Relay:
    """From an appsink to connections. `tell` gets sentences; `finished` is called once, from the thread, with an error
    or None."""

    def __init__(self, appsink, sink, locations, live, options, tell):
        self.backlog = Backlog(options.keep, options.resend, live)
        self.sink, self.locations, self.stall, self.retry = sink, locations, options.stall, options.retry
        self.tell, self.finished = tell, lambda error: None
        self.connected, self.reconnects = False, 0
        self.broken, self.fault = None, None  # since when there is no connection, and why
        self.stopping = threading.Event()
        self.hurried = None  # since when
        appsink.connect("new-sample", self._sample)
        appsink.connect("eos", lambda _: self.backlog.end())
        self.thread = threading.Thread(target=self._run, name="relay")

    def start(self):
        self.thread.start()

    def hurry(self):
        """Ctrl-C: what is finished is still sent, but nobody is waited for."""
        self.hurried = time.monotonic()

    def _alone(self, connection):
        """Whether nobody takes the rest. A listener has a connection also where nobody calls, or the caller has gone."""
        if self.hurried is None or self.connected and self.stall:
            return False
        since = max(self.hurried, connection.moved) if self.connected else self.hurried
        return time.monotonic() - since > PATIENCE

    def _pause(self, seconds):
        end = time.monotonic() + seconds
        while self.hurried is None and time.monotonic() < end and not self.stopping.wait(0.1):
            pass

    def stop(self):
        self.stopping.set()
        self.backlog.close()
        self.thread.join()

    def state(self):
        waiting = self.backlog.seconds()
        text = "connected" if self.connected else f"connecting, {self.fault}" if self.fault else "connecting"
        if waiting >= 0.5:
            text += f", {waiting:.1f} s waiting"
        if self.reconnects:
            text += f", {self.reconnects} reconnects"
        if self.backlog.dropped:
            text += f", {self.backlog.dropped:.1f} s of the stream lost"
        return text

    def _sample(self, appsink):
        sample = appsink.emit("pull-sample")
        if sample and not sample.get_buffer().has_flags(Gst.BufferFlags.HEADER):  # those are in the caps
            # A sample of our own: the appsink writes new caps into the one that it has given, also while we keep it.
            self.backlog.add(Gst.Sample.new(sample.get_buffer(), sample.get_caps(), sample.get_segment(), None))
        return Gst.FlowReturn.OK

    def _run(self):
        error = None
        attempt = 0
        while not self.stopping.is_set() and not error:
            # Connect when there is something to say: servers do not like silent ones.
            if not self.backlog.next(0.1):
                if self.backlog.done():
                    break
                continue
            connection = Connection(self.sink, self.locations)
            begin = self.backlog.position
            complete = self._feed(connection)
            if complete:
                self.stopping.wait(connection.linger())
            connection.close()
            if complete or self.stopping.is_set():
                break
            if self._alone(connection):
                self.backlog.rewind(begin + connection.taken if self.connected else begin, again=False)
                self.tell(f"Nobody takes the stream: the last {self.backlog.seconds():.1f} s of it were not sent.")
                break
            if self.connected:
                attempt = 0
                self.broken = time.monotonic()
                self.tell(f"The connection is lost: {connection.error}. Trying again.")
                self.backlog.rewind(begin + connection.taken, again=True)
            else:
                self.backlog.rewind(begin, again=False)
            self.connected, self.fault = False, connection.error
            if self.broken is None:
                error = f"{connection.error}. Check that the server runs and takes {' '.join(self.locations.values())}."
            elif self.retry and time.monotonic() - self.broken > self.retry:
                error = f"No connection for {self.retry:g} s: {connection.error}."
            self._pause(RETRY[min(attempt, len(RETRY) - 1)])
            attempt += 1
        self.finished(error)

    def _feed(self, connection):
        """True when the stream has ended and everything is handed over."""
        ending = False
        while not self.stopping.is_set():
            ended = connection.look(self.stall)
            # The sink takes nothing before it is connected, but for the one that it holds.
            if not self.connected and not connection.error and (ended or connection.taken > 2):
                self.connected = True
                if self.broken is not None:
                    self.reconnects += 1
                    self.tell(f"Connected again after {time.monotonic() - self.broken:.1f} s.")
                    self.broken = self.fault = None
            if ended or connection.error or self._alone(connection):
                return ended
            if ending or connection.full():
                time.sleep(CHECK)
                continue
            sample = self.backlog.next(0.1)
            if sample:
                connection.push(sample)
                self.backlog.sent()
            elif self.backlog.done():
                connection.source.emit("end-of-stream")
                ending = True
        return False
