# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the recipes share: the program as a process, and what is in a file that it wrote."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback

from servers import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAIN = ROOT / "pipelines" / "stream" / "main.py"
os.environ["MOTIONCACHE_ENGINE"] = "testpattern"
PATTERN = ["seed=1", "cache=none"]  # the same pictures, and so the same coded ones, in each run


class Stream:
    """stream.sh behind its setup."""
    program = MAIN
    settings = PATTERN

    def __init__(self, *words, steps_ms=0):
        env = dict(os.environ, MOTIONCACHE_TESTPATTERN=f"step-ms={steps_ms}")
        self.words = words
        self.process = subprocess.Popen([sys.executable, str(self.program), *words, *self.settings], env=env,
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.lines = []
        read = iter(self.process.stderr.readline, "")
        self.reader = threading.Thread(target=lambda: self.lines.extend(read), daemon=True)
        self.reader.start()

    def said(self, text):
        return any(text in line for line in self.lines)

    def await_that(self, what, condition):
        """While it runs."""
        wait_for(what, lambda: condition() or self.process.poll() is not None, said=lambda: "".join(self.lines))
        if not condition():
            self.reader.join(10)
            raise AssertionError(f"{self.words} ended before this: {what}\n{''.join(self.lines)}")

    def await_line(self, text):
        self.await_that(repr(text), lambda: self.said(text))

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self, status=0, seconds=600):
        try:
            seen = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.words} has not ended within {seconds} s:\n{''.join(self.lines)}") from None
        self.reader.join(10)
        text = "".join(self.lines)
        assert seen == status, f"{self.words} ended with {seen}:\n{text}"
        assert "Traceback" not in text, text
        return text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def probe(file, *options):
    command = ["ffprobe", "-v", "error", *options, str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def packets(file):
    """Of the video: (seconds, hash of what is coded) each."""
    told = json.loads(probe(file, "-select_streams", "v", "-show_packets", "-show_data_hash", "md5", "-of", "json"))
    return [(float(p["pts_time"]), p["data_hash"]) for p in told["packets"]]


def decoded(file):
    """The number of pictures that a decoder gets from it."""
    told = probe(file, "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of",
                 "csv=p=0")
    return int(told.split()[0].strip(","))


def run_of(part, whole):
    """Where `part` stands in `whole`, without a gap; hashes are compared."""
    assert part, "there is nothing in it"
    for start in range(len(whole) - len(part) + 1):
        if whole[start:start + len(part)] == part:
            return start
    known = [whole.index(h) if h in whole else None for h in part]
    raise AssertionError(f"not one run of the {len(whole)} that were made: {known}")


def on_one_processor():
    """From here on, for programs that are started too. x264 with several threads codes a picture a little differently each
    time, by how they take turns: pictures of two runs could not be compared. On one processor it takes one thread."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def hashes(file):
    return [h for _, h in packets(file)]


def reference(folder, *words):
    """The coded pictures of a stream, in order, from a file that no server has touched."""
    file = pathlib.Path(folder) / "reference.mp4"
    with Stream("fmp4", str(file), *words) as stream:
        stream.end()
    return hashes(file)


def main(tests, *missing):
    """Runs them, or the one that is named; prints what summary.py counts."""
    for reason in missing:
        if reason:
            print("skipped:", reason)
            sys.exit(77)
    failed = 0
    chosen = [test for test in tests if test.__name__ in sys.argv[1:]] or tests
    for test in chosen:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="stream-"))
        try:
            test(folder)
            print("ok", test.__name__, flush=True)
        except Exception:
            failed += 1
            print(f"FAILED: {test.__name__}\n{traceback.format_exc()}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"cases: {len(chosen) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


def missing_elements(*names):
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
    Gst.init(None)
    absent = [name for name in names if not Gst.ElementFactory.find(name)]
    return f"the GStreamer elements {', '.join(absent)} are not installed" if absent else None


def missing_programs(*names):
    absent = [name for name in names if not shutil.which(name)]
    return f"{', '.join(absent)} is not installed" if absent else None
