# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files and HLS: complete, finished by Ctrl-C, playable after kill -9; and what a wrong command line is told."""
import pathlib
import re
import shlex
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from stream import (MAIN, ROOT, Stream, decoded, hashes, main, missing_elements, missing_programs, on_one_processor,
                    packets, probe, run_of)

SLOW = 5  # ms per step, of 30: a chunk of half a second takes less than that


def printed(*words):
    return subprocess.run([sys.executable, str(MAIN), *words, "--print"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def size(file):
    return file.stat().st_size if file.exists() else 0


def test_mp4_has_every_frame_and_says_what_it_is(folder):
    file = folder / "new folder" / "it's a \"film\".mp4"
    with Stream("mp4", str(file), "prompt=\"a\" 'red' \\ ball", "num-frames=33", "--size", "320x176", "--fps",
                "16") as stream:
        assert "33 frames" in stream.end()
    assert decoded(file) == 33
    form = probe(file, "-show_entries", "stream=width,height,r_frame_rate", "-of", "csv=p=0")
    assert form.split() == ["320,176,16/1"]
    assert "TAG:title=\"a\" 'red' \\ ball" in probe(file, "-show_entries", "format_tags=title")


def test_ctrl_c_finishes_the_file(folder):
    file = folder / "a.mp4"
    with Stream("mp4", str(file), "num-frames=-1", steps_ms=SLOW) as stream:
        stream.await_that("something is written", lambda: size(file) > 0)
        time.sleep(2)
        stream.interrupt()
        frames = int(re.search(r"Done: .*, (\d+) frames", stream.end()).group(1))
    assert frames > 9 and decoded(file) == frames


def test_ctrl_c_before_the_first_frame_leaves_no_broken_file(folder):
    file = folder / "a.mp4"
    with Stream("mp4", str(file), "num-frames=57", steps_ms=2000) as stream: # a minute for the first chunk
        stream.await_that("it has begun", file.exists)
        stream.await_that("a line of progress", lambda: any(
            re.match(r"Generating: chunk 1 of 5, step \d+ of 30  \d+ s left$", line) for line in stream.lines))
        stream.interrupt()
        assert "Nothing was generated" in stream.end(seconds=120)
    assert not file.exists()


def test_a_fragmented_file_plays_after_kill_9(folder):
    file, whole = folder / "a.mp4", folder / "whole.mp4"
    with Stream("fmp4", str(whole), "num-frames=240") as stream:
        stream.end()
    with Stream("fmp4", str(file), "num-frames=-1", steps_ms=SLOW) as stream:
        stream.await_that("some fragments are written", lambda: size(file) > 50000)
        stream.process.kill()
        stream.process.wait()
    part = hashes(file)
    assert len(part) >= 24 and decoded(file) == len(part)
    assert run_of(part[:240], hashes(whole)) == 0


def playlist(folder):
    lines = (folder / "index.m3u8").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")], lines


def test_hls_is_complete(folder):
    file = folder / "whole.mp4"
    with Stream("hls", str(folder / "hls"), "num-frames=240") as stream:
        assert "240 frames" in stream.end()
    segments, lines = playlist(folder / "hls")
    assert lines[-1] == "#EXT-X-ENDLIST" and len(segments) == 5
    assert {f.name for f in (folder / "hls").iterdir()} == {"index.m3u8", *segments}
    lengths = [float(line[8:].rstrip(",")) for line in lines if line.startswith("#EXTINF:")]
    assert abs(sum(lengths) - 10) < 0.1 and max(lengths) <= 2.0, lengths
    for segment in segments:
        flags = probe(folder / "hls" / segment, "-select_streams", "v", "-show_entries", "packet=flags", "-of",
                      "csv=p=0")
        assert flags.startswith("K"), f"{segment} begins within a group of pictures"
    times = sorted(at for at, _ in packets(folder / "hls" / "index.m3u8"))
    assert len(times) == 240 == decoded(folder / "hls" / "index.m3u8")
    assert all(abs(at - times[0] - i / 24) < 0.001 for i, at in enumerate(times))


def test_hls_without_end_moves_along_and_ctrl_c_ends_it(folder):
    with Stream("hls", str(folder), "num-frames=-1", "--fps", "120") as stream:
        # Segments are two seconds long: it takes as long as it takes.
        stream.await_that("two segments", lambda: (folder / "index.m3u8").exists() and len(playlist(folder)[0]) >= 2)
        assert playlist(folder)[1][-1] != "#EXT-X-ENDLIST"
        stream.interrupt()
        stream.end()
    segments, lines = playlist(folder)
    assert lines[-1] == "#EXT-X-ENDLIST" and 2 <= len(segments) <= 5


def test_the_window_and_the_camera_take_frames(folder):
    with Stream("play", "fakevideosink", "num-frames=12") as stream:
        assert "12 frames" in stream.end()
    with Stream("playbin", "fakevideosink", "num-frames=12", "prompt=what, 100 % & more?") as stream:
        assert "12 frames" in stream.end()
    subprocess.run(shlex.split(printed("playbin", "fakevideosink", "num-frames=5", "prompt=it's")), check=True,
                   timeout=300,
                   stdout=subprocess.DEVNULL)
    # There is no virtual camera in a container: the same pipeline, with the camera's place taken.
    words = [word if not word.startswith("device=") else "sync=false"
             for word in shlex.split(printed("v4l2", "num-frames=5"))]
    words[words.index("v4l2sink")] = "fakevideosink"
    subprocess.run(words, check=True, timeout=300, stdout=subprocess.DEVNULL)


def test_a_printed_line_does_the_same(folder):
    on_one_processor()
    for kind in ("mp4", "fmp4", "hls"):
        target = folder / f"a {kind}"
        target.parent.mkdir(exist_ok=True)
        if kind == "hls":
            target.mkdir()
        line = printed(kind, str(target), "prompt=it's \"me\"", "num-frames=30", "seed=1", "cache=none")
        subprocess.run(["bash", "-c", line], check=True, timeout=300, stdout=subprocess.DEVNULL)
        other = folder / f"b {kind}"
        with Stream(kind, str(other), "prompt=it's \"me\"", "num-frames=30") as stream:
            stream.end()
        inner = "index.m3u8" if kind == "hls" else ""
        assert hashes(target / inner) == hashes(other / inner) and len(hashes(other / inner)) == 30


def test_the_lines_of_the_readme_are_those_of_the_program(folder):
    readme = (ROOT / "README.md").read_text()
    for kind, *target in (["mp4"], ["fmp4"], ["hls", "."], ["rtmp"], ["srt"], ["v4l2"], ["play"], ["playbin"]):
        line = printed(kind, *target)
        assert f"./pipelines/devenv.sh {line}" in readme, f"README.md has not this line: {line}"


def test_a_wrong_command_line_is_one_clear_error(folder):
    a = str(folder / "a.mp4")
    for words, status, text in (
            (["mp4", a, "num-frames=-7"], 1, "num-frames=-7 is not a value that it can have"),
            (["mp4", a, "steps=many"], 1, "steps=many is not a value that it can have"),
            (["mp4", a, "attention=what"], 1, "attention=what is not a value that it can have"),
            (["mp4", a, "is-live=perhaps"], 1, "is-live=perhaps is not a value that it can have"),
            (["mp4", a, "nonsense=1"], 1, "motioncachegen has no property nonsense"),
            (["mp4", a, "seed-used=1"], 1, "seed-used can be read only"),
            (["mp4", a, "prompt="], 1, "No prompt is given"),
            (["mp4", a, "model-path=/nowhere"], 1, "/nowhere"),
            (["mp4", a, "--size", "17x17"], 1, "asks for width=17"),
            (["mp4", a, "--size", "big"], 2, "--size big: give width and height"),
            (["mp4", a, "--fps", "0"], 2, "--fps 0: give frames per second"),
            (["mp4", a, "--bitrate", "-3"], 2, "give a whole number above 0"),
            (["mp4", a, "a", "red", "ball"], 2, "Put a prompt into quotes"),
            (["mp4", str(folder)], 1, "is a folder: name a file"),
            (["mp4", "/proc/none/a.mp4"], 1, "/proc/none/a.mp4 cannot be written"),
            (["hls", "/proc/none"], 1, "/proc/none cannot be written"),
            (["v4l2", "/dev/video77"], 1, "modprobe v4l2loopback"),
            (["play", "nosuchsink"], 1, "nosuchsink"),
            (["playbin", "nosuchsink"], 1, "nosuchsink"),
            (["playbin", "fakevideosink", "num-frames=-7"], 1, "num-frames is -7"),
            (["playbin", "fakevideosink", "image=a.png"], 1, "image, which names a file"),
            (["playbin", "--fps", "16"], 2, "a URI has no size and rate"),
            (["webrtc"], 2, "./pipelines/live.sh serves it"),
            (["film"], 2, "invalid choice: 'film'")):
        with Stream(*words) as stream:
            said = stream.end(status)
            assert text in said and said.lower().count("error:") == 1, f"{words}: {said}"
        assert not list(folder.iterdir()), f"{words} leaves {list(folder.iterdir())}"


main([value for name, value in list(globals().items()) if name.startswith("test_")],
     missing_elements("x264enc", "mp4mux", "hlssink2", "fakevideosink"), missing_programs("ffprobe", "gst-launch-1.0"))
