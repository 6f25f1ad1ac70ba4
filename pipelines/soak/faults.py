# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes wrong on a night on air, in a random order that a seed repeats."""
import random
import threading

from gi.repository import Gst

WORDS = "a red ball; a blue boat on the sea; snow over the hills; a yellow bird; the city at night; ü 雪 🎈".split("; ")


class Faults:
    """`throw` throws one, and returns when it is over. `counts`: how often each kind was thrown."""
    KINDS = ("server restarts", "property storms", "flushes", "clock jumps", "pauses")

    def __init__(self, pipeline, gen, clock, server, ledger, stop, seed, kinds):
        self.pipeline, self.gen, self.clock, self.server, self.ledger = pipeline, gen, clock, server, ledger
        self.stop = stop  # an event that ends waits
        self.random = random.Random(seed)
        self.counts = dict.fromkeys(self.KINDS, 0)
        self.refused = 0  # changes of state that failed
        self.kinds, self.order = kinds, []

    def throw(self):
        """Each kind once before any comes again. The result says what was done."""
        if not self.order:
            self.order = list(self.kinds)
            self.random.shuffle(self.order)
        kind = self.order.pop()
        self.counts[kind] += 1
        self.ledger.note(kind)
        return getattr(self, "_" + kind.replace(" ", "_"))()

    def _server_restarts(self):
        away = self.random.uniform(0.1, 2)
        self.server.kill()
        self.stop.wait(away)
        self.server.start()
        return f"The server was killed and away for {away:.1f} s."

    def _property_storms(self):
        threads = [threading.Thread(target=self._storm, args=(self.random.randrange(1 << 30),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "A storm of properties."

    def _storm(self, seed):
        chance = random.Random(seed)
        for _ in range(300):
            kind = chance.randrange(6)
            if kind == 0:
                self.gen.set_property("prompt", chance.choice(WORDS))
            elif kind == 1:
                self.gen.set_property("guidance-scale", chance.uniform(1.5, 9))
            elif kind == 2:
                self.gen.set_property("cache-threshold", chance.uniform(0, 1))
            elif kind == 3:
                self.gen.emit("queue-prompt", chance.choice(WORDS), chance.randrange(1, 100))
            elif kind == 4:
                self.gen.get_property("stats").get_value("chunks-queued")
            else:
                self.gen.emit("clear-prompts")
            self.stop.wait(0.001)

    def _flushes(self):
        number = self.random.randrange(1, 8)
        for _ in range(number):
            self.ledger.flush()
            self.gen.send_event(Gst.Event.new_flush_start())
            self.stop.wait(self.random.uniform(0, 0.02))
            self.gen.send_event(Gst.Event.new_flush_stop(False))
            self.ledger.flush()
            self.stop.wait(self.random.uniform(0, 0.05))
        return f"{number} flushes."

    def _clock_jumps(self):
        seconds = self.random.choice((-1, 1)) * self.random.uniform(1, 60)
        self.clock.jump(seconds)
        return f"The clock jumped by {seconds:+.0f} s."

    def _pauses(self):
        for state in (Gst.State.PAUSED, Gst.State.PLAYING):
            if self.pipeline.set_state(state) == Gst.StateChangeReturn.FAILURE:
                self.refused += 1
            self.stop.wait(self.random.uniform(0, 0.3))
        return "A pause."
