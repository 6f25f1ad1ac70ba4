# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who watches: by WebRTC, a pipeline for each, and by HLS, one for all. None of them can hold up the stream."""
import os
import re
import shutil
import tempfile
import threading
import time

from gi.repository import Gst, GstSdp, GstWebRTC

ANSWER_SECONDS = 10
# Takes the stream's samples with their segments, and drops old ones where nobody takes them.
SOURCE = ("appsrc name=in is-live=true format=time handle-segment-change=true max-bytes=0 max-time=0 "
          "leaky-type=downstream")


def h264_payload(offer):
    """The number under which a browser's offer has constrained baseline H.264 in packets as they are sent here."""
    for number, settings in re.findall(r"^a=fmtp:(\d+) (.*)$", offer, re.M):
        if not re.search(rf"^a=rtpmap:{number} H264/90000", offer, re.M | re.I):
            continue
        if "packetization-mode=1" in settings and re.search(r"profile-level-id=42[0-9a-f]{4}", settings, re.I):
            return int(number)
    raise ValueError("The offer has no H.264 of the constrained baseline profile, packetization-mode=1.")


class Viewer:
    """Answers an offer, and sends. `closed` is called with the viewer when the other side is gone."""

    def __init__(self, offer, pipeline, key_frame, closed):
        payload = h264_payload(offer)
        code, sdp = GstSdp.SDPMessage.new_from_text(offer)
        if code != GstSdp.SDPResult.OK:
            raise ValueError("The offer is not valid SDP.")
        self.closed = closed
        self.lock = threading.Lock()
        self.waiting = True  # for a key frame
        self.pipeline = Gst.parse_launch(
            f"{SOURCE} max-buffers=100 ! h264parse config-interval=-1 ! "
            f"rtph264pay aggregate-mode=zero-latency config-interval=-1 pt={payload} ! "
            f"application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload={payload} ! "
            "webrtcbin name=rtc bundle-policy=max-bundle")
        self.source, self.rtc = self.pipeline.get_by_name("in"), self.pipeline.get_by_name("rtc")
        # The same running time as the stream's.
        self.pipeline.use_clock(pipeline.get_clock() or Gst.SystemClock.obtain())
        self.pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
        self.pipeline.set_base_time(pipeline.get_base_time())
        self.source.get_static_pad("src").add_probe(
            Gst.PadProbeType.EVENT_UPSTREAM, self._wish, key_frame)
        self.rtc.connect("notify::connection-state", self._state)
        try:
            self.answer = self._answer(sdp)
        except Exception:
            self.close()
            raise

    def _wish(self, _, info, key_frame):
        if info.get_event().has_name("GstForceKeyUnit"):
            key_frame()
        return Gst.PadProbeReturn.OK

    def _state(self, rtc, _):
        if rtc.get_property("connection-state") in (GstWebRTC.WebRTCPeerConnectionState.FAILED,
                                                    GstWebRTC.WebRTCPeerConnectionState.CLOSED):
            # Not from webrtcbin's own thread, which the end of the pipeline waits for.
            threading.Thread(target=self.closed, args=(self,), daemon=True).start()

    def _ask(self, signal, *arguments):
        promise = Gst.Promise.new()
        self.rtc.emit(signal, *arguments, promise)
        if promise.wait() != Gst.PromiseResult.REPLIED:
            raise ValueError(f"WebRTC has not answered: {signal}.")
        reply = promise.get_reply()
        if reply and reply.has_field("error"):
            raise ValueError(f"The offer cannot be answered: {reply.get_value('error').message}.")
        return reply

    def _answer(self, sdp):
        self.pipeline.set_state(Gst.State.PLAYING)
        self.rtc.emit("get-transceiver", 0).set_property(
            "direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        offer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, sdp)
        self._ask("set-remote-description", offer)
        reply = self._ask("create-answer", None) # owns the answer
        self._ask("set-local-description", reply.get_value("answer"))
        # All addresses in the answer: nothing has to be sent later.
        end = time.monotonic() + ANSWER_SECONDS
        while self.rtc.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            if time.monotonic() > end:
                raise ValueError(f"No address for WebRTC was found within {ANSWER_SECONDS} s.")
            time.sleep(0.02)
        return self.rtc.get_property("local-description").sdp.as_text()

    def push(self, sample):
        if self.waiting and sample.get_buffer().has_flags(Gst.BufferFlags.DELTA_UNIT):
            return
        self.waiting = False
        self.source.emit("push-sample", sample)

    def close(self):
        with self.lock:
            self.pipeline.set_state(Gst.State.NULL)


class Hls:
    """Segments for browsers without WebRTC; begins when somebody asks for the playlist first."""

    def __init__(self, pipeline):
        self.folder = tempfile.mkdtemp(prefix="motioncache-hls-")
        self.waiting = True
        self.pipeline = Gst.parse_launch(
            f"{SOURCE} max-buffers=500 ! h264parse ! "
            "hlssink2 name=sink target-duration=2 playlist-length=5 max-files=10 send-keyframe-requests=false")
        sink = self.pipeline.get_by_name("sink")
        sink.set_property("location", os.path.join(self.folder, "segment%05d.ts"))
        sink.set_property("playlist-location", os.path.join(self.folder, "index.m3u8"))
        self.source = self.pipeline.get_by_name("in")
        self.pipeline.use_clock(pipeline.get_clock() or Gst.SystemClock.obtain())
        self.pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
        self.pipeline.set_base_time(pipeline.get_base_time())
        self.pipeline.set_state(Gst.State.PLAYING)

    push = Viewer.push

    def close(self):
        self.pipeline.set_state(Gst.State.NULL)
        shutil.rmtree(self.folder, ignore_errors=True)
