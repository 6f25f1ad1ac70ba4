# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a process holds of the machine, over time: memory, threads, descriptors."""
import os
import time

KEPT = 4096  # samples; then every other one is dropped, and half as many are taken
PAGE = os.sysconf("SC_PAGE_SIZE")


def now():
    """(MiB, threads, descriptors)"""
    with open("/proc/self/statm") as file:
        memory = int(file.read().split()[1]) * PAGE / 2**20
    return memory, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def slope(points):
    """Least squares: y per x."""
    count = len(points)
    if count < 2:
        return 0.0
    x0, y0 = (sum(column) / count for column in zip(*points))
    spread = sum((x - x0) ** 2 for x, _ in points)
    return sum((x - x0) * (y - y0) for x, y in points) / spread if spread else 0.0


class Health:
    def __init__(self, seconds):
        self.began = time.monotonic()
        self.every = max(0.25, seconds / KEPT)
        self.samples = []  # (seconds, MiB, threads, descriptors)
        self.last = float("-inf")

    def look(self):
        at = time.monotonic() - self.began
        if at - self.last >= self.every:
            self.last = at
            self.samples.append((at, *now()))
        if len(self.samples) > KEPT:
            del self.samples[::2]
            self.every *= 2

    def steady(self):
        """Samples without the beginning, when what is made only once is made: a quarter of the time, at most 5 minutes."""
        if not self.samples:
            return []
        warm = min(300, self.samples[-1][0] / 4)
        return [sample for sample in self.samples if sample[0] >= warm]

    def memory_slope(self):
        """MiB per hour."""
        return 3600 * slope([sample[:2] for sample in self.steady()])

    def memory_growth(self):
        """MiB of the fit, over the time that it covers."""
        steady = self.steady()
        return self.memory_slope() * (steady[-1][0] - steady[0][0]) / 3600 if steady else 0.0

    def ends(self, column):
        """The least in the first and in the last third of the steady time: what a fault takes for a while does not count."""
        values = [sample[column] for sample in self.steady()] or [now()[column - 1]]
        third = max(1, len(values) // 3)
        return min(values[:third]), min(values[-third:])
