# SPDX-License-Identifier: LGPL-2.1-or-later
"""RTMP to nginx on loopback: what it has recorded, picture by picture, also when it goes away and comes back."""
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from servers import Nginx, Proxy
from stream import (Stream, decoded, hashes, main, missing_elements, missing_programs, on_one_processor, packets, probe,
                    reference, run_of)

on_one_processor() # pictures are compared

RATE = 48
FRAMES = 6 * RATE
# Everything arrives, whatever the machine has to do: nothing is on the clock but the appsink.
WHOLE = ("is-live=false", f"num-frames={FRAMES}", "--fps", str(RATE))


SECOND = 50000  # bytes of it, about


def await_recording(stream, server, size, number=1):
    """Until there are so many recordings, and so many bytes in the last one."""
    def long_enough():
        files = server.recordings()
        return len(files) >= number and files[-1].stat().st_size >= size
    stream.await_that(f"{size} bytes of recording {number}", long_enough)


def expect_whole(files, whole):
    """Each recording is a run of the stream, and together they are all of it."""
    end = 0
    for file in files:
        part = hashes(file)
        start = run_of(part, whole)
        assert start <= end, f"pictures {end} to {start - 1} are in no recording"
        assert decoded(file) == len(part), f"{file}: {decoded(file)} of {len(part)} pictures can be decoded"
        end = max(end, start + len(part))
    assert end == len(whole), f"recorded up to picture {end} of {len(whole)}"


def test_the_recording_is_the_stream(folder):
    whole = reference(folder, *WHOLE[1:])
    assert len(whole) == FRAMES
    with Nginx(folder) as server, Stream("rtmp", server.url, *WHOLE) as stream:
        stream.await_that("picture and sound arrive",
                          lambda: all(f"<codec>{codec}</codec>" in server.stat() for codec in ("H264", "AAC")))
        assert f"Done: {server.url}, {FRAMES} frames" in stream.end()
        server.settle()
        file, = server.recordings()
        assert hashes(file) == whole
        expect_whole([file], whole)
        for i, (at, _) in enumerate(packets(file)):
            assert abs(at - i / RATE) < 0.0015, f"picture {i} is at {at} s"
        volume = subprocess.run(["ffmpeg", "-v", "info", "-i", str(file), "-vn", "-af", "volumedetect", "-f", "null",
                                 "-"], stderr=subprocess.PIPE, text=True, check=True).stderr
        assert "max_volume: -91.0 dB" in volume, volume
        sound = probe(file, "-select_streams", "a", "-show_entries", "packet=pts_time", "-of", "csv=p=0")
        sound = float(sound.split()[-1].strip(","))
        assert abs(sound - FRAMES / RATE) < 0.3, f"the sound ends at {sound} s"
        assert list((folder / "hls").glob("stream-*.ts")), "nginx has made no HLS of it"


def test_a_server_that_is_killed_and_comes_back_misses_nothing(folder):
    whole = reference(folder, *WHOLE[1:])
    with Nginx(folder) as server, Stream("rtmp", server.url, *WHOLE) as stream:
        await_recording(stream, server, SECOND)
        server.kill()
        stream.await_line("The connection is lost")
        time.sleep(1)
        server.start()
        stream.await_line("Connected again")
        stream.end()
        server.settle()
        assert len(server.recordings()) == 2
        expect_whole(server.recordings(), whole)


def test_a_live_stream_runs_on_while_the_server_is_away(folder):
    with Nginx(folder) as server, Stream("rtmp", server.url, "--fps", str(RATE)) as stream:
        await_recording(stream, server, SECOND)
        server.kill()
        stream.await_line("The connection is lost")
        time.sleep(2)
        server.start()
        stream.await_line("Connected again")
        await_recording(stream, server, 6 * SECOND, 2)
        stream.interrupt()
        frames = int(re.search(r"Done: .*, (\d+) frames", stream.end()).group(1))
        server.settle()
        first, second = (packets(file) for file in server.recordings())
        times = {round(at, 3) for at, _ in first + second}
        assert len(times) == frames, f"{len(times)} of {frames} pictures are recorded"
        assert second[0][0] <= first[-1][0], "nothing was sent again"


def test_a_peer_that_stops_reading_is_left(folder):
    big = (*WHOLE, "--size", "640x352", "--bitrate", "20000")  # more than sockets swallow
    whole = reference(folder, *big[1:])
    with Nginx(folder) as server, Proxy(server.port, 10 * SECOND) as proxy:
        url = server.url.replace(str(server.port), str(proxy.port))
        with Stream("rtmp", url, *big, "--stall", "2", "--resend", "20") as stream:
            stream.await_line("the peer has taken nothing for 2 s")
            stream.await_line("Connected again")
            stream.end()
        server.settle()
        expect_whole(server.recordings(), whole)


def test_ctrl_c_ends_the_recording(folder):
    with Nginx(folder) as server, Stream("rtmp", server.url) as stream:
        await_recording(stream, server, SECOND)
        stream.interrupt()
        text = stream.end()
        server.settle()
        assert "Done:" in text and "frame " in text, text


def test_a_wrong_address_is_an_error_at_once(folder):
    with Nginx(folder) as server:
        for url in (server.url.replace("live", "closed"), "rtmp://127.0.0.1:1/live/stream", "rtmp://", "nowhere"):
            with Stream("rtmp", url) as stream:
                text = stream.end(status=1)
                assert text.count("Error:") == 1 and "Check that the server runs" in text, text


def test_no_connection_for_too_long_ends_it(folder):
    with Nginx(folder) as server, Stream("rtmp", server.url, "--retry", "2") as stream:
        await_recording(stream, server, SECOND)
        server.kill()
        assert "No connection for 2 s" in stream.end(status=1)


main([value for name, value in list(globals().items()) if name.startswith("test_")], Nginx.missing(),
     missing_elements("x264enc", "flvmux", "rtmp2sink", "voaacenc"), missing_programs("ffmpeg", "ffprobe"))
