# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream without end, as fast as it is generated: whether its memory, and the time that a second of it takes, grow.

Run by pipelines/benchmark.sh --long, which builds first. The default is an hour of the demo model's stream, which takes most of an
hour on two cores. The first quarter has in it what is made once; the machine should have nothing else to do.
"""
import argparse
import json
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from benchmark import run, table

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE = 24 # frames per second: of the demo model, and asked of the others


def rows(quarters, frames):
    """Of each quarter: its number, its seconds, how many seconds of stream in one, MiB at its end."""
    made, before = [], 0
    for number, quarter in enumerate(quarters, 1):
        seconds, before = quarter["seconds"] - before, quarter["seconds"]
        made.append((str(number), f"{seconds:.1f}", f"{frames / 4 / RATE / seconds:.2f}", f"{quarter['bytes'] / 2**20:.1f}"))
    return made


def main():
    p = argparse.ArgumentParser(prog="benchmark.sh --long", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(ROOT / "models" / "demo"), help="a model folder; default: the demo model")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--frames", type=int, default=3600 * RATE, help=f"default {3600 * RATE}, an hour")
    p.add_argument("--steps", type=int, help="default: the model's")
    p.add_argument("--json", metavar="FILE", help="write the figures here")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    program = str(pathlib.Path(a.build) / "tools" / "bench" / "motioncache-element-bench")
    steps = [f"steps={a.steps}"] if a.steps else []
    result = run([program, f"model-path={a.model}", f"threads={a.threads}", "num-frames=-1", f"num-buffers={a.frames}", "seed=0",
                  "device=cpu", "prompt=a white boat moving left on the sea", *steps])
    result |= {"model": a.model, "threads": a.threads}
    print(f"{result['frames']} frames of a stream without end, {a.threads} threads\n")
    table([("quarter", "seconds", "seconds of stream in one", "MiB at its end"), *rows(result["quarters"], result["frames"])])
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
