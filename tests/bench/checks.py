# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks that go on after one has failed, for the tests of benchmarks."""
import sys

failures = 0


def check(ok, what):
    global failures
    if not ok:
        failures += 1
        print("FAILED:", what)


def end():
    sys.exit(1 if failures else 0)
