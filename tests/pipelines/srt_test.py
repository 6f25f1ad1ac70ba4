# SPDX-License-Identifier: LGPL-2.1-or-later
"""SRT to ffmpeg on loopback: complete, after the peer has come back too, and to a peer that calls."""
import pathlib
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import socket

from servers import free_port
from stream import Stream, decoded, main, missing_elements, missing_programs, packets

RATE = 24
FRAMES = 16 * RATE  # it takes five seconds to notice that a peer is gone
# SRT drops what comes later than its latency, and a busy machine is late.
LATENCY_MS = 5000
WHOLE = ("is-live=false", f"num-frames={FRAMES}", "--fps", str(RATE))


def receiver(port, file, mode="listener"):
    url = f"srt://127.0.0.1:{port}?mode={mode}&latency={LATENCY_MS * 1000}"
    return subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-i", url, "-map", "0", "-c", "copy",
                             "-flush_packets", "1", "-y", str(file)])


def frames_of(file):
    """Numbers of the pictures: MPEG-TS stamps count from the stream's beginning, 90000 a second."""
    return [round(at * RATE) for at, _ in packets(file)]


def test_all_of_it_arrives(folder):
    port, file = free_port(socket.SOCK_DGRAM), folder / "a.ts"
    peer = receiver(port, file)
    try:
        time.sleep(1)
        with Stream("srt", f"srt://127.0.0.1:{port}?latency={LATENCY_MS}", *WHOLE) as stream:
            assert f"{FRAMES} frames" in stream.end()
        peer.wait(300)
    finally:
        peer.kill()
    numbers = frames_of(file)
    assert numbers == list(range(numbers[0], numbers[0] + FRAMES)), numbers
    assert decoded(file) == FRAMES


def test_a_peer_that_is_killed_and_comes_back_misses_nothing(folder):
    port, first, second = free_port(socket.SOCK_DGRAM), folder / "a.ts", folder / "b.ts"
    peer = receiver(port, first)
    try:
        time.sleep(1)
        with Stream("srt", f"srt://127.0.0.1:{port}?latency={LATENCY_MS}", *WHOLE, "--resend", "20") as stream:
            stream.await_that("some of it has arrived", lambda: first.exists() and first.stat().st_size > 20000)
            peer.kill()
            peer.wait()
            stream.await_line("The connection is lost")
            peer = receiver(port, second)
            stream.await_line("Connected again")
            stream.end()
        peer.wait(300)
    finally:
        peer.kill()
    numbers = sorted({*frames_of(first), *frames_of(second)})
    assert numbers == list(range(numbers[0], numbers[0] + FRAMES)), numbers


def test_whoever_calls_is_served(folder):
    port, file = free_port(socket.SOCK_DGRAM), folder / "a.ts"
    with Stream("srt", f"srt://:{port}?mode=listener&latency={LATENCY_MS}") as stream:
        time.sleep(2)
        peer = receiver(port, file, "caller")
        try:
            stream.await_that("something has arrived", lambda: file.exists() and file.stat().st_size > 20000)
            stream.interrupt()
            stream.end()
            peer.send_signal(signal.SIGINT)
            peer.wait(300)
        finally:
            peer.kill()
    assert decoded(file) > 0


# Waiting for a caller is no reason to wait when it is told to end: a second or two, and on a busy machine not the
# thirty after which any stream is stopped.
def test_a_listener_without_a_caller_ends_when_it_is_told_to(folder):
    for called in (False, True):
        port, file = free_port(socket.SOCK_DGRAM), folder / "a.ts"
        with Stream("srt", f"srt://:{port}?mode=listener&latency={LATENCY_MS}") as stream:
            stream.await_line("frame ")
            if called:  # and gone again
                peer = receiver(port, file, "caller")
                try:
                    stream.await_that("something has arrived", lambda: file.exists() and file.stat().st_size > 20000)
                finally:
                    peer.kill()
                    peer.wait()
            stream.interrupt()
            text = stream.end(seconds=20)
            assert called or text.count("Nobody takes the stream: the last ") == 1, text
            assert "Error" not in text, text


def test_nobody_there_is_an_error(folder):
    with Stream("srt", f"srt://127.0.0.1:{free_port(socket.SOCK_DGRAM)}") as stream:
        text = stream.end(status=1)
        assert text.count("Error:") == 1 and "Check that the server runs" in text, text


formats = subprocess.run(["ffmpeg", "-v", "error", "-protocols"], stdout=subprocess.PIPE, text=True).stdout \
    if not missing_programs("ffmpeg") else ""
main([value for name, value in list(globals().items()) if name.startswith("test_")],
     missing_elements("x264enc", "mpegtsmux", "srtsink"), missing_programs("ffmpeg", "ffprobe"),
     None if "srt" in formats.split() else "this ffmpeg has no SRT")
