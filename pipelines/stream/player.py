# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays a pipeline to its end: messages, a line of progress, Ctrl-C."""
import shutil
import signal
import sys
import threading
import time

from gi.repository import GLib, Gst

ENDING_SECONDS = 30  # from Ctrl-C to the end of the stream; then the pipeline is stopped


class Line:
    """One line that is overwritten on a terminal; elsewhere, a line every few seconds."""

    def __init__(self, out=sys.stderr, seconds=5):
        self.out, self.seconds = out, seconds
        self.shown, self.last = "", float("-inf")
        self.lock = threading.Lock()

    def show(self, text):
        with self.lock:
            if self.out.isatty():
                text = text[:shutil.get_terminal_size().columns - 1]  # what wraps cannot be written over
                self.out.write("\r" + text.ljust(len(self.shown)))
                self.shown = text
            elif time.monotonic() - self.last >= self.seconds:
                self.last = time.monotonic()
                self.out.write(text + "\n")
            self.out.flush()

    def say(self, text):
        """A line that stays."""
        with self.lock:
            if self.shown:
                self.out.write("\r" + " " * len(self.shown) + "\r")
                self.shown = ""
            self.out.write(text + "\n")
            self.out.flush()


def clock_text(nanoseconds):
    tenths = nanoseconds // (Gst.SECOND // 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


class Player:
    """`relay` may be None. The result of play() is the exit status."""

    def __init__(self, pipeline, line, relay=None):
        self.pipeline, self.line, self.relay = pipeline, line, relay
        self.loop = GLib.MainLoop()
        self.loading, self.failed, self.interrupted = "Getting ready", False, 0
        self.told = {}  # the last motioncache-progress
        self.frames, self.end = 0, 0  # that have left the element; nanoseconds of video
        self.began = None
        self.gen = pipeline.get_by_name("gen")
        if self.gen:
            self._watch(self.gen)
        else:  # playbin makes it
            pipeline.connect("source-setup", lambda _, source: self._watch(source))

    def _watch(self, gen):
        self.gen = gen
        gen.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self._frame)

    def _frame(self, _, info):
        buffer = info.get_buffer()
        self.frames += 1
        if self.began is None:
            self.began = time.monotonic(), buffer.pts
        self.end = buffer.pts + buffer.duration
        return Gst.PadProbeReturn.OK

    # ---- what is shown ----

    def progress(self):
        if self.began is None:
            return self.loading if not self.told else "Generating: " + self._making()
        stats = self.gen.get_property("stats")
        total = stats.get_value("frames-total")
        of = f" of {total}" if total > 0 else ""
        parts = [f"frame {self.frames}{of}", clock_text(self.end - self.began[1])]
        factor = stats.get_value("real-time-factor")
        if factor > 0:
            parts.append(f"{factor:.2f}x real time" if factor < 100 else "over 100x real time")
        underruns, repeated = stats.get_value("underruns"), stats.get_value("frames-repeated")
        if self.gen.get_property("is-live"):
            told = f"{underruns} underrun{'s' * (underruns > 1)}" if underruns else "no underruns"
            parts.append(told + (f", {repeated} frames repeated" if repeated else ""))
        if self.relay:
            parts.append(self.relay.state())
        if stats.get_value("frames") != total:
            parts.append(self._making())
        parts.append(f"queue {stats.get_value('chunks-queued')}")
        tokens = stats.get_value("tokens-computed"), stats.get_value("tokens-reused")
        if sum(tokens):
            parts.append(f"{100 * tokens[1] / sum(tokens):.0f} % reused")
        return "  ".join(part for part in parts if part)

    def _making(self):
        """What is being made, as the element has told last."""
        told = self.told
        if not told:
            return ""
        chunk = f"chunk {told['chunk'] + 1}" + (f" of {told['chunks']}" if told["chunks"] > 0 else "")
        step = f", step {told['step']} of {told['steps']}" if told["steps"] else ""
        return chunk + step + (f"  {told['seconds-left']:.0f} s left" if told["seconds-left"] >= 0 else "")

    def _tick(self):
        self.line.show(self.progress())
        return GLib.SOURCE_CONTINUE

    # ---- what happens ----

    def fail(self, text):
        self.line.say(f"Error: {text}")
        self.failed = True
        self.loop.quit()

    def _message(self, _, message):
        kind = message.type
        if kind == Gst.MessageType.EOS:
            if not self.relay:
                self.loop.quit()
        elif kind == Gst.MessageType.ERROR:
            error, detail = message.parse_error()
            self.fail(f"{error.message}" + (f"\n{detail}" if message.src != self.gen and detail else ""))
        elif kind == Gst.MessageType.WARNING:
            self.line.say(f"Warning: {message.parse_warning()[0].message}")
        elif kind == Gst.MessageType.LATENCY:
            self.pipeline.recalculate_latency()
        elif kind == Gst.MessageType.CLOCK_LOST:
            self.pipeline.set_state(Gst.State.PAUSED)
            self.pipeline.set_state(Gst.State.PLAYING)
        elif kind == Gst.MessageType.PROGRESS:
            _, _, text = message.parse_progress()
            self.loading = text
        elif kind == Gst.MessageType.ELEMENT:
            told = message.get_structure()
            if told.get_name() == "motioncache-progress":
                self.told = {name: told.get_value(name)
                             for name in ("chunk", "chunks", "step", "steps", "seconds-left")}
            elif told.get_name() == "motioncache-prompt" and told.get_value("id") > 0:
                self.line.say(f"From frame {told.get_value('frame')} on: {told.get_value('prompt')}")
        return True

    def _interrupt(self):
        self.interrupted += 1
        if self.interrupted > 1:
            self.loop.quit()
        else:
            self.line.say("Ending; Ctrl-C again stops at once.")
            if self.relay:
                self.relay.hurry()
            # Not from here: sending the event may wait for the streaming thread.
            threading.Thread(target=self.pipeline.send_event, args=(Gst.Event.new_eos(),), daemon=True).start()
            GLib.timeout_add_seconds(ENDING_SECONDS, lambda: self.fail(
                f"the stream has not ended within {ENDING_SECONDS} s and is stopped"))
        return GLib.SOURCE_CONTINUE

    def _relayed(self, error):
        GLib.idle_add(lambda: self.fail(error) if error else self.loop.quit())

    def play(self, before_stop=lambda: None):
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self._message)
        for number in (signal.SIGINT, signal.SIGTERM):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self._interrupt)
        GLib.timeout_add(500, self._tick)
        if self.relay:
            self.relay.finished = self._relayed
            self.relay.start()
        if self.pipeline.set_state(Gst.State.PLAYING) != Gst.StateChangeReturn.FAILURE or self._told():
            self.loop.run()
        if self.relay:
            self.relay.stop()
        before_stop()
        last = self.progress() if self.began is not None else ""
        self.pipeline.set_state(Gst.State.NULL)
        bus.remove_signal_watch()
        if last:
            self.line.say(last)
        return 1 if self.failed else 0

    def _told(self):
        """A state change that fails posts why; the loop reads it. Without a message there is nothing to wait for."""
        if self.pipeline.get_bus().have_pending():
            return True
        self.fail("the pipeline cannot be started")
        return False
