# SPDX-License-Identifier: LGPL-2.1-or-later
"""A live stream through x264enc, alone and on a machine that is too slow for it: what qos-cache does, and what it costs.

Run by pipelines/benchmark.sh --live, which builds first. The stream is that of README.md's live lines; it plays alone,
then beside one busy process more each time, with the cache as it is and with qos-cache=true, until it underruns without;
then once more with those processes in the second and third quarter only. The PSNR of videos with the thresholds at which
it rested is that of one window, against one without a cache, and as a difference to the threshold of the preset.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cache_runs
import caches
from benchmark import number, run, table
from busy import Busy, busy

RATE = 24  # frames per second: of the demo model, and asked of the others


class Stream:
    def __init__(self, a):
        self.program = str(pathlib.Path(a.build) / "tools" / "bench" / "motioncache-element-bench")
        self.settings = [f"model-path={a.model}", f"threads={a.threads}", f"num-frames={a.frames}", "is-live=true",
                         "seed=0",
                         "device=cpu", "prompt=a white boat moving left on the sea"]
        if a.steps:
            self.settings.append(f"steps={a.steps}")

    def run(self, *more):
        return run([self.program, "--stream", *self.settings, *more])


def quarters(result):
    """Of the counts so far: how many underruns in each quarter."""
    counts = [quarter["underruns"] for quarter in result["quarters"]]
    return [now - before for before, now in zip([0] + counts, counts)]


def rests(thresholds, frames):
    """The threshold after three quarters; None where there was no change by then."""
    known = [threshold for frame, threshold, _ in thresholds if frame <= 3 * frames / 4]
    return known[-1] if known else None


def report(result):
    print(f"\n{result['frames']} frames at {RATE} a second, live, {result['threads']} threads; the cache's own threshold is "
          f"{number(result['own'])}\n")
    alone = result["streams"][0]
    if alone["busy"] == "0":
        print(f"Alone with its encoder it plays with {alone['stats']['underruns'] or 'no'} underruns, at "
              f"{number(alone['stats']['real-time-factor'], 2)} times real time.\n")
    rows = [("busy processes", "threshold", "underruns by quarter", "tokens computed", "threshold at the end",
             "changes",
             "last one at")]
    for r in result["streams"]:
        stats = r["stats"]
        tokens = stats["tokens-computed"] + stats["tokens-reused"]
        rows.append((r["busy"], r["kind"], " ".join(map(str, quarters(r))),
                     f"{100 * stats['tokens-computed'] / tokens:.0f} %", number(stats["cache-threshold"]),
                     str(len(r["thresholds"])), str(r["thresholds"][-1][0]) if r["thresholds"] else ""))
    table(rows)
    for r in result["streams"]:
        if r["thresholds"]:
            print(f"\n{r['busy']} busy: " + ", ".join(f"{t:.3f} from frame {f} on, after a load of {load:.2f}"
                                                     for f, t, load in r["thresholds"]))
    if result["quality"]:
        print()
        first = result["quality"][0]["psnr"]
        table([("threshold", "PSNR, dB", "cost, dB")] +
              [(number(q["threshold"]), number(q["psnr"], 1), number(first - q["psnr"], 1)) for q in result["quality"]])


def quality(a, own, thresholds):
    prompts = cache_runs.read_prompts(a.prompts)
    if a.quick:
        prompts = cache_runs.quick_prompts(prompts)[:1]
    runs = [cache_runs.Run("uncached", "kv", "", {"attention": "kv", "cache": "none"})]
    wanted = [own, *sorted(thresholds)]
    for threshold in wanted:
        runs.append(cache_runs.Run(f"{threshold:.6g}", "ours", "", {"attention": "kv", "cache": "motioncache",
                                                                   "preset": "balanced",
                                                                   "threshold": f"{threshold:.6g}"}))
    a.width = a.height = a.base_num_frames = None
    a.dtype = "float32"
    bench = caches.Bench(a)
    bench.sizes = ["--steps", str(a.steps)] if a.steps else []
    bench.sizes += ["--references", "1"]
    section = bench.section("quality", prompts, runs)
    return [{"threshold": threshold,
             "psnr": statistics.mean(video["against_kv"]["psnr"] for video in each["videos"])}
            for threshold, each in zip(wanted, section["runs"][1:])]


def main():
    p = argparse.ArgumentParser(prog="benchmark.sh --live", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(caches.ROOT / "models" / "demo"),
                   help="a model folder; default: the demo model")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--frames", type=int, default=960, help="of each stream; default 960, 40 seconds")
    p.add_argument("--steps", type=int, help="default: the model's")
    p.add_argument("--busy", type=int,
                   help="only beside this number of busy processes; default: none, one, ..., as many as it takes")
    p.add_argument("--prompts", metavar="FILE", default=str(caches.ROOT / "tools" / "bench" / "prompts.txt"))
    p.add_argument("--json", metavar="FILE", help="write every run here")
    p.add_argument("--quick", action="store_true", help="one prompt: a smoke test")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    own = cache_runs.balanced_threshold(a.model)
    if own is None:
        sys.exit(f"benchmark: {a.model} is not calibrated, so that nothing says which threshold to begin with")
    stream, streams = Stream(a), []

    def take(kind, others, *more):
        print(f"{others} busy processes, {kind}: {a.frames / RATE:.0f} s", file=sys.stderr)
        with busy(others):
            streams.append({"busy": str(others), "kind": kind, **stream.run(*more)})
        return streams[-1]

    count = a.busy or 0
    if not a.busy:
        take("fixed", 0)
    while True:
        count += not a.busy
        held = sum(quarters(take("fixed", count))[2:]) == 0
        take("qos-cache", count, "qos-cache=true")
        if a.busy or not held or count == 4 * a.threads:
            break
    print(f"{count} busy processes that come and go: {a.frames / RATE:.0f} s", file=sys.stderr)
    others = []
    timers = [threading.Timer(a.frames / RATE / 4, lambda: others.append(Busy(count))),
              threading.Timer(3 * a.frames / RATE / 4, lambda: [other.stop() for other in others])]
    for timer in timers:
        timer.start()
    streams.append({"busy": f"0, {count}, 0", "kind": "qos-cache", **stream.run("qos-cache=true")})
    for timer in timers:
        timer.cancel()
    for other in others:
        other.stop()
    rested = {rests(r["thresholds"], a.frames) for r in streams} - {None}
    result = {"model": a.model, "threads": a.threads, "frames": a.frames, "own": own, "streams": streams,
              "quality": quality(a, own, rested) if rested else []}
    report(result)
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
