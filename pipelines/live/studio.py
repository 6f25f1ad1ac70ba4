# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream: generated, coded once, and handed to everybody who watches."""
import threading

from gi.repository import Gst

# Every browser decodes this profile, and HLS takes it as it is.
CODED = "video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au"
PROMPT_LETTERS = 1000
QUEUE_PROMPTS = 100


class Studio:
    """`watchers` have push(sample) and close(). Methods may be called from any thread."""

    def __init__(self, caps):
        heat = "motioncacheoverlay name=heat enabled=false ! " if Gst.ElementFactory.find("motioncacheoverlay") else ""
        self.pipeline = Gst.parse_launch(
            f"motioncachegen name=gen {'! ' + caps if caps else ''} ! {heat}videoconvert ! "
            f"x264enc name=enc tune=zerolatency speed-preset=veryfast key-int-max=48 ! {CODED} ! "
            "h264parse config-interval=-1 ! appsink name=coded emit-signals=true sync=false max-buffers=16")
        self.gen, self.heat = self.pipeline.get_by_name("gen"), self.pipeline.get_by_name("heat")
        self.encoder = self.pipeline.get_by_name("enc")
        self.pipeline.get_by_name("coded").connect("new-sample", self._sample)
        self.lock = threading.Lock()
        self.watchers = []
        self.queued = []                     # texts that have not begun
        self.shown, self.shown_frame = "", 0 # the prompt, and the frame since which it is shown
        self.pipeline.get_bus().enable_sync_message_emission()
        self.pipeline.get_bus().connect("sync-message::element", self._message)

    # ---- who watches ----

    def _sample(self, appsink):
        sample = appsink.emit("pull-sample")
        with self.lock:
            watchers = list(self.watchers)
        for watcher in watchers:
            watcher.push(sample)
        return Gst.FlowReturn.OK

    def add(self, watcher):
        with self.lock:
            self.watchers.append(watcher)
        self.key_frame()

    def remove(self, watcher):
        with self.lock:
            if watcher not in self.watchers:
                return
            self.watchers.remove(watcher)
        watcher.close()

    def key_frame(self):
        wish = Gst.Structure.new_from_string("GstForceKeyUnit, all-headers=(boolean)true")
        self.encoder.get_static_pad("src").send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, wish))

    # ---- what is shown ----

    def _message(self, _, message):
        told = message.get_structure()
        if told.get_name() == "motioncache-prompt":
            with self.lock:
                self.shown, self.shown_frame = told.get_value("prompt"), told.get_value("frame")
                if told.get_value("id") > 0 and self.shown in self.queued:
                    del self.queued[:self.queued.index(self.shown) + 1]

    def set_prompt(self, text):
        self.gen.set_property("prompt", checked(text))

    def queue_prompt(self, text, seconds):
        text = checked(text)
        with self.lock:
            if len(self.queued) >= QUEUE_PROMPTS:
                raise ValueError(f"{QUEUE_PROMPTS} prompts are waiting already: clear the queue, or wait.")
            if not self.gen.emit("queue-prompt", text, round(seconds * self._rate())):
                raise ValueError("The prompt cannot be queued: see the messages of the stream.")
            self.queued.append(text)

    def clear_prompts(self):
        self.gen.emit("clear-prompts")
        with self.lock:
            self.queued.clear()

    def _rate(self):
        caps = self.gen.get_static_pad("src").get_current_caps()
        known, n, d = caps.get_structure(0).get_fraction("framerate") if caps else (False, 0, 1)
        return n / d if known and n else 24

    def show_heat(self, on):
        if not self.heat:
            raise ValueError("This build has no motioncacheoverlay, which draws the map.")
        self.heat.set_property("enabled", on)

    def state(self):
        """What the page shows, ready for JSON."""
        stats = self.gen.get_property("stats")
        names = ("frames", "tokens-computed", "tokens-reused", "chunks-queued", "underruns", "frames-repeated",
                 "real-time-factor")
        with self.lock:
            return {name: stats.get_value(name) for name in names} | {
                "cache": stats.get_value("cache"), "prompt": self.shown, "since-frame": self.shown_frame,
                "queue": list(self.queued), "viewers": len(self.watchers),
                "heat": self.heat.get_property("enabled") if self.heat else None}


def checked(text):
    """A prompt as the element takes it."""
    if not isinstance(text, str):
        raise ValueError("The prompt has to be a text.")
    text = " ".join(text.split())
    if not text:
        raise ValueError("The prompt is empty: say what the video should show.")
    if len(text) > PROMPT_LETTERS:
        raise ValueError(f"The prompt has {len(text)} letters, and {PROMPT_LETTERS} are allowed: make it shorter.")
    if any(not letter.isprintable() for letter in text):
        raise ValueError("The prompt has letters that cannot be printed: leave them out.")
    return text
