# SPDX-License-Identifier: LGPL-2.1-or-later
"""pipelines/soak.sh behind the setup: the stream, the server, the faults, and the table at the end."""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "pipelines", "stream"), os.path.join(ROOT, "tests", "pipelines")]
try:
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
except (ImportError, ValueError) as missing:
    sys.exit(f"{missing}: install python3-gi and gir1.2-gstreamer-1.0")
from fast_clock import FastClock
from faults import Faults
from health import Health, now
from ledger import Ledger
from player import Line
from recordings import Recordings, stamp_of
from relay import Relay
from servers import Nginx

RATE, CHUNK = 24, 12  # frames per second, frames of a chunk
HEAD = 13             # bytes of a tag that tell what it is
# What may grow without a cause: allocators keep pieces, GStreamer's and GLib's pools of threads come and go.
MEMORY, THREADS, DESCRIPTORS = 16, 3, 2  # MiB, number, number
JUDGED = 600          # seconds; in a shorter run what is allocated once, and the backlog, look like growth
STUCK = 30            # seconds without a frame, or without a connection, are a hang
BEHIND = 60           # seconds that the end of the stream may take


def arguments():
    parser = argparse.ArgumentParser(
        prog="soak.sh", usage="soak.sh HOURS [OPTION...]",
        description="The test pattern on air: motioncachegen, a queue, x264enc and RTMP to nginx on loopback, faster than "
        "real time, while the server is killed and comes back, properties change in storms, flushes and pauses come and the "
        "clock jumps. At the end, also after Ctrl-C, a table: what became of each frame, and whether memory, threads and "
        "descriptors grew. Exit status: 0; 1 where a frame was lost without a cause, or anything grew, hung or failed. "
        f"Memory is judged in runs of {JUDGED // 60} minutes or more.")
    parser.add_argument("hours", type=positive, metavar="HOURS", help="how long, for example 0.5")
    parser.add_argument("--pace", type=positive, default=100, metavar="N",
                        help="seconds of stream per second (default: 100)")
    parser.add_argument("--every", type=positive, default=5, metavar="SECONDS",
                        help="seconds on the wall clock from fault to fault (default: 5)")
    parser.add_argument("--faults", type=kinds, default=list(Faults.KINDS), metavar="LIST", help="some of: "
                        f"{', '.join(Faults.KINDS)}; or none (default: all)")
    parser.add_argument("--size", default="64x48", metavar="WxH", help="of the pictures (default: 64x48)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the order of the faults (default: 1)")
    options = parser.parse_args()
    width, _, height = options.size.partition("x")
    if not width.isdigit() or not height.isdigit() or int(width) % 16 or int(height) % 16 or not int(width) * int(height):
        parser.error(f"--size {options.size}: give width and height in multiples of 16, for example 64x48")
    options.width, options.height = int(width), int(height)
    return options


def positive(text):
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError("give a number above 0")
    return number


def kinds(text):
    chosen = [] if text == "none" else [kind.strip() for kind in text.split(",")]
    if unknown := [kind for kind in chosen if kind not in Faults.KINDS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of: {', '.join(Faults.KINDS)}")
    return chosen


class Soak:
    def __init__(self, options, folder):
        self.options, self.line = options, Line()
        self.ledger, self.stop = Ledger(), threading.Event()
        self.errors, self.warnings = [], 0
        self.server = Nginx(folder, hls=False)
        self.recordings = Recordings(self.server.recordings, self.ledger.record)
        steps = max(1, round(1000 * CHUNK / RATE / options.pace / 2))  # half the time of a chunk
        os.environ["MOTIONCACHE_ENGINE"] = "testpattern"
        os.environ["MOTIONCACHE_TESTPATTERN"] = f"step-ms={steps}"
        self.pipeline = Gst.parse_launch(
            "motioncachegen name=gen prompt=\"a red ball\" seed=1 steps=1 num-frames=-1 is-live=true queue-chunks=8 ! "
            f"video/x-raw,width={options.width},height={options.height},framerate={RATE}/1 ! queue ! "
            f"x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={2 * RATE} ! h264parse name=parse ! "
            "flvmux name=mux streamable=true ! appsink name=relayed emit-signals=true sync=false max-buffers=16")
        self.gen = self.pipeline.get_by_name("gen")
        appsink = self.pipeline.get_by_name("relayed")
        self.gen.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self._frame)
        # Flushes end here: flvmux would begin again at time 0, in the middle of a stream.
        self.pipeline.get_by_name("parse").get_static_pad("src").add_probe(Gst.PadProbeType.EVENT_FLUSH,
                                                                           lambda *_: Gst.PadProbeReturn.DROP)
        appsink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self._tag)
        self.clock = FastClock(options.pace)
        self.pipeline.use_clock(self.clock)
        # Seconds of stream: what is kept while the server is away, and what is sent again.
        lost = argparse.Namespace(keep=60 * options.pace, resend=2 * options.pace, stall=10, retry=STUCK)
        self.relay = Relay(appsink, "rtmp2sink name=sink", {"location": self.server.url}, True, lost, self._told)
        self.ended = threading.Event()
        self.relay.finished = self._finished
        self.faults = Faults(self.pipeline, self.gen, self.clock, self.server, self.ledger, self.stop, options.seed,
                             options.faults)

    def _frame(self, _, info):
        buffer = info.get_buffer()
        self.ledger.frame(buffer.offset, buffer.pts, buffer.duration, buffer.has_flags(Gst.BufferFlags.DISCONT))
        return Gst.PadProbeReturn.OK

    def _tag(self, _, info):
        buffer = info.get_buffer()
        stamp = stamp_of(buffer.extract_dup(0, HEAD))
        if stamp is not None:
            self.ledger.tag(buffer.pts, stamp)
        return Gst.PadProbeReturn.OK

    def _told(self, text):
        pass  # nothing is printed: the relay counts connections that are lost and come back

    def _finished(self, error):
        if error:
            self.errors.append(error)
        self.ended.set()

    def _messages(self):
        bus = self.pipeline.get_bus()
        while message := bus.pop():
            if message.type == Gst.MessageType.ERROR:
                error, detail = message.parse_error()
                self.errors.append(f"{message.src.get_name()}: {error.message} {detail or ''}".strip())
            elif message.type == Gst.MessageType.WARNING:
                self.warnings += 1
            elif message.type == Gst.MessageType.LATENCY:
                self.pipeline.recalculate_latency()

    # ---- the time on air ----

    def run(self):
        seconds = 3600 * self.options.hours
        self.began = time.monotonic()
        self.health = Health(seconds)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.relay.start()
        thrower = threading.Thread(target=self._throw, name="faults")
        if self.options.faults:
            thrower.start()
        moved = made = linked = 0
        while not self.stop.wait(0.25) and not self.errors:
            at = time.monotonic() - self.began
            self._messages()
            self.recordings.look()
            self.health.look()
            if self.ledger.made > made:
                made, moved = self.ledger.made, at
            if self.relay.connected:
                linked = at
            if at - moved > STUCK:
                self.errors.append(f"no frame has left the element for {STUCK} s")
            elif at - linked > STUCK:
                self.errors.append(f"no connection for {STUCK} s")
            self.line.show(self.progress(at, seconds))
            if at >= seconds:
                break
        self.seconds = time.monotonic() - self.began
        self.stop.set()
        if thrower.ident:
            thrower.join()
        self._end()

    def _throw(self):
        while not self.stop.wait(self.options.every):
            try:
                self.faults.throw()
            except Exception as e:
                self.errors.append(f"a fault could not be thrown: {e}")
                return

    def _end(self):
        """Waits until the last frame is coded, sent, and in the server's recording."""
        self.line.show("Ending")
        if not self.errors:
            threading.Thread(target=self.pipeline.send_event, args=(Gst.Event.new_eos(),), daemon=True).start()
            if not self.ended.wait(BEHIND):
                self.errors.append(f"the stream has not ended within {BEHIND} s")
        self.stats = self.gen.get_property("stats")
        self.relay.stop()
        self.pipeline.set_state(Gst.State.NULL)
        self._messages()
        try:
            self.server.settle()
        except (AssertionError, OSError) as e:
            self.errors.append(str(e))
            self.server.stop()
        self.recordings.look()
        self.ledger.close()
        self.after = now()

    def progress(self, at, seconds):
        ledger = self.ledger
        return (f"{100 * at / seconds:.0f} %  {ledger.made} frames, {ledger.recorded} recorded, "
                f"{sum(self.faults.counts.values())} faults, {now()[0]:.0f} MiB  {self.relay.state()}")

    # ---- what came of it ----

    def table(self):
        ledger, health = self.ledger, self.health
        made = self.stats.get_value("frames")
        hours = self.seconds * self.options.pace / 3600
        (memory0, memory1), (threads0, threads1), (files0, files1) = (health.ends(column) for column in (1, 2, 3))
        faults = ", ".join(f"{count} {kind}" for kind, count in self.faults.counts.items()) or "none"
        rows = [
            ("time", f"{self.seconds / 3600:.3f} h, {hours:.2f} h of stream on a clock of {self.options.pace:g} times"),
            ("faults", faults),
            ("frames made", f"{made}, {made / self.seconds / RATE:.0f} times real time"),
            ("frames from the element", f"{ledger.made}; {made - ledger.made} in its queue at the end"),
            ("frames coded", ledger.coded),
            ("frames recorded", f"{ledger.recorded}; {ledger.again} sent again; {self.recordings.files} recordings, "
                                f"{self.recordings.bytes / 2**20:.0f} MiB"),
            ("lost to flushes", ledger.flushed),
            ("lost while the server was away", self.relay.backlog.dropped),
            ("lost without a cause",
             f"{self.lost()} ({ledger.skipped} in the element, {ledger.vanished} before the muxer, "
                                     f"{self.unrecorded()} on the way to the server)"),
            ("underruns, gaps in time", f"{self.stats.get_value('underruns')}, {ledger.gaps}"),
            ("times that do not rise", ledger.backwards),
            ("reconnects", self.relay.reconnects),
            ("memory", f"{memory0:.1f} MiB, at the end {memory1:.1f}; {health.memory_slope():+.2f} MiB per hour, "
                       f"{health.memory_growth():+.2f} in all; {self.after[0]:.1f} after NULL"),
            ("threads", f"{threads0}, at the end {threads1}; {self.after[1]} after NULL"),
            ("descriptors", f"{files0}, at the end {files1}; {self.after[2]} after NULL"),
            ("warnings, errors", f"{self.warnings}, {len(self.errors)}"),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {value}" for name, value in rows)

    def unrecorded(self):
        return max(0, len(self.ledger.sent) - self.relay.backlog.dropped)

    def lost(self):
        return self.ledger.skipped + self.ledger.vanished + self.unrecorded()

    def verdict(self):
        """One sentence where something is wrong, else None."""
        ledger, health = self.ledger, self.health
        _, (threads0, threads1), (files0, files1) = (health.ends(column) for column in (1, 2, 3))
        if self.errors:
            return f"{self.errors[0].rstrip('.')}."
        if not ledger.recorded:
            return "Nothing was recorded."
        if self.lost():
            return f"{self.lost()} frames were lost without a cause."
        if ledger.backwards or ledger.unknown:
            return f"{ledger.backwards} timestamps do not rise, {ledger.unknown} frames came that nobody had sent."
        if self.seconds >= JUDGED and health.memory_growth() > MEMORY:
            return f"Memory grew by {health.memory_growth():.0f} MiB, {health.memory_slope():.1f} MiB per hour."
        if threads1 > threads0 + THREADS:
            return f"Threads grew from {threads0} to {threads1}."
        if files1 > files0 + DESCRIPTORS:
            return f"Descriptors grew from {files0} to {files1}."
        if self.faults.refused:
            return f"{self.faults.refused} state changes were refused."
        return None


def main():
    options = arguments()
    Gst.init(None)
    if Nginx.missing():
        sys.exit(f"Error: {Nginx.missing()}: apt-get install nginx libnginx-mod-rtmp")
    folder = tempfile.mkdtemp(prefix="soak-")
    soak = Soak(options, folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: soak.stop.set())
    try:
        soak.run()
    finally:
        soak.server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    soak.line.say("")
    print(soak.table())
    for note in soak.ledger.notes:
        print(note)
    wrong = soak.verdict()
    print(wrong or "Nothing grew, and nothing was lost without a cause.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
