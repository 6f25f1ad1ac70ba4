# SPDX-License-Identifier: LGPL-2.1-or-later
"""How much longer a video takes where other programs want the processors too.

Run by pipelines/benchmark.sh --beside, which builds first. The element makes the same video alone, beside a process that
keeps one processor busy, and through x264enc speed-preset=medium, in turn; each ratio is the median of those of the
rounds. With N processors and N threads a fair share beside one busy process is N / (N + 1), so that two processors
would allow a ratio of 1.5.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from benchmark import number, run, table
from busy import busy

BESIDE = {"alone": "alone", "busy": "beside one busy process", "encoder": "through x264enc"}


def ratios(rounds):
    """{name: {"seconds", "ratio"}}: medians; a ratio is of two runs of one round."""
    return {name: {"seconds": statistics.median(r[name] for r in rounds),
                   "ratio": statistics.median(r[name] / r["alone"] for r in rounds)} for name in BESIDE}


def report(result):
    print(f"\n{result['frames']} frames, {result['threads']} threads, {len(result['rounds'])} rounds")
    result["ratios"] = ratios(result["rounds"])
    table([("", "seconds", "ratio")] + [(BESIDE[name], number(r["seconds"]), number(r["ratio"], 2))
                                       for name, r in result["ratios"].items()])


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    p = argparse.ArgumentParser(prog="benchmark.sh --beside", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(root / "models" / "demo"), help="a model folder; default: the demo model")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--frames", type=int, default=57, help="default 57")
    p.add_argument("--steps", type=int, help="default: the model's")
    p.add_argument("--rounds", type=int, default=7, help="default 7")
    p.add_argument("--json", metavar="FILE", help="write every run and the ratios here")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    program = str(pathlib.Path(a.build) / "tools" / "bench" / "motioncache-element-bench")
    settings = [f"model-path={a.model}", f"threads={a.threads}", f"num-frames={a.frames}", "seed=0", "device=cpu",
                "prompt=a white boat moving left on the sea"]
    if a.steps:
        settings.append(f"steps={a.steps}")
    rounds = []
    for i in range(a.rounds):
        print(f"round {i + 1} of {a.rounds}", file=sys.stderr)
        seconds = {"alone": run([program, *settings])["seconds"]}
        with busy(1):
            seconds["busy"] = run([program, *settings])["seconds"]
        seconds["encoder"] = run([program, "--encode", *settings])["seconds"]
        rounds.append(seconds)
    result = {"model": a.model, "threads": a.threads, "frames": a.frames, "rounds": rounds}
    report(result)
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
