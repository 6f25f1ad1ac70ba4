# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other programs that want the processors, for benchmarks."""
import contextlib
import subprocess
import sys


class Busy:
    """`count` processes that do nothing but take a processor each; stop() or the end of the block ends them."""

    def __init__(self, count):
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []


@contextlib.contextmanager
def busy(count):
    others = Busy(count)
    try:
        yield others
    finally:
        others.stop()
