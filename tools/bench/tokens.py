# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does it pay to choose tokens? How much more moving tokens change than still ones, and MotionCache beside TeaCache.

Run by pipelines/benchmark.sh --tokens, which builds first. Two answers, each with its spread over the prompts:

1. From one step to the next, how many times as much do the tokens that move change as those that do not: the quarter of
   each latent frame that moves most against the quarter that moves least, as the cache sees motion and in the finished
   video. Uncached videos.
2. The PSNR of MotionCache above that of what chooses steps only, with the same rule of reuse, at equal FLOP:
   interpolated between thresholds over the range that both reach, prompt by prompt. What chooses steps only is TeaCache,
   and MotionCache with weights=none, which differs in nothing but the choice of tokens.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cache_runs
import caches
from benchmark import number, table
from cache_report import margin
from cache_runs import Run

PHASES = ("early", "middle", "late")  # thirds of the steps
MEASURES = {"seen": "as the cache sees motion", "finished": "in the finished video"}
REUSES = ("solver", "repeat")
RIVALS = {"teacache": "TeaCache", "steps": "MotionCache, weights=none"}
MULTIPLES = (0.5, 1, 2)  # of the balanced preset's threshold
TEACACHE = (0.01, 0.02, 0.03, 0.045)  # those at which it does as much work


# ---- what is run

def choose(balanced, quick=False):
    """balanced: see cache_runs.balanced_threshold. The first two are what the others are compared with."""
    kv = {"attention": "kv"}
    ours = {**kv, "cache": "motioncache", "preset": "balanced"}
    thresholds = [multiple * (balanced or 0) for multiple in MULTIPLES]
    if balanced is None:
        ours, thresholds = cache_runs.UNCALIBRATED, cache_runs.UNCALIBRATED_THRESHOLDS
    pick = cache_runs.quick_settings if quick else tuple
    runs = [Run("uncached", "kv", "", {**kv, "cache": "none"}),
            Run("uncached again", "kv", "", {**kv, "cache": "none"})]
    for reuse in REUSES:
        for family, settings, values in (("ours", ours, thresholds),
                                         ("steps", {**ours, "weights": "none"}, thresholds),
                                         ("teacache", {**kv, "cache": "teacache"}, TEACACHE)):
            runs += [Run(f"{family} {reuse} {value:.3g}", f"{family} {reuse}", f"{value:.3g}",
                         {**settings, "reuse": reuse, "threshold": f"{value:.6g}"}) for value in pick(values)]
    return runs


# ---- what is made of it

def spread(values):
    """Of one value per prompt. A quartile is that of statistics.quantiles, inclusive."""
    values = sorted(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"mean": statistics.mean(values), "median": statistics.median(values), "least": values[0],
            "low": low, "high": high, "most": values[-1], "count": len(values)}


def ratios(videos):
    """{measure: {phase: spread}} of the geometric means of each prompt's steps."""
    made = {}
    for measure in MEASURES:
        phases = {phase: [] for phase in (*PHASES, "all")}
        for video in videos:
            steps = video[measure]
            if len(steps) < len(PHASES):
                continue
            phases["all"].append(statistics.geometric_mean(steps))
            for i, phase in enumerate(PHASES):
                third = steps[i * len(steps) // 3:(i + 1) * len(steps) // 3]
                phases[phase].append(statistics.geometric_mean(third))
        made[measure] = {phase: spread(values) for phase, values in phases.items() if values}
    return made


def margins(runs):
    """{reuse: {rival: spread of each prompt's mean margin, how many were won, prompts that share no FLOP}}."""
    def points(family, prompt):
        return [(run["videos"][prompt]["flop"], run["videos"][prompt]["against_kv"]["psnr"])
                for run in runs if run["family"] == family]

    made = {}
    for reuse in REUSES:
        made[reuse] = {}
        for rival in RIVALS:
            over = [margin(points(f"ours {reuse}", i), points(f"{rival} {reuse}", i))
                    for i in range(len(runs[0]["videos"]))]
            shared = [m["mean"] for m in over if m]
            if shared:
                made[reuse][rival] = {**spread(shared), "won": sum(m > 0 for m in shared), "prompts": shared,
                                      "not_shared": len(over) - len(shared)}
    return made


def moving_verdict(ratio):
    """ratio: a spread, of "finished" or "seen" over all steps."""
    more = f"The tokens that move change {ratio['median']:.1f} times as much as those that do not, in the median of the prompts"
    if ratio["low"] > 1.5:
        return more + ": there is something for a choice of tokens to win."
    if ratio["high"] < 1 / 1.1:
        return more + ": a choice that favours moving tokens computes the wrong ones."
    return more + ": little for a choice of tokens to win."


def choice_verdict(over):
    """over: of one rule of reuse and rival. Clear is what holds for three prompts in four."""
    if over["low"] > 0:
        return "choosing tokens wins"
    if over["high"] < 0:
        return "choosing steps wins"
    return "neither wins clearly"


def report(result):
    """Prints it; result["ratios"], ["margins"] are made anew."""
    result["ratios"], result["margins"] = ratios(result["videos"]), margins(result["runs"])
    print(f"\n{len(result['prompts'])} prompts, {result['width']}x{result['height']}, {result['frames']} frames, "
          f"{result['steps']} steps, {result['dtype']}\n\nchange of moving tokens over that of still ones\n")
    rows = [("motion", "steps", "median", "quartiles", "least", "most")]
    for measure, phases in result["ratios"].items():
        for phase, s in phases.items():
            rows.append((MEASURES[measure], phase, number(s["median"], 2), f"{s['low']:.2f} to {s['high']:.2f}",
                         number(s["least"], 2), number(s["most"], 2)))
    table(rows)
    if result["ratios"]["finished"]:
        print(moving_verdict(result["ratios"]["finished"]["all"]))
    print("\nPSNR of MotionCache above the rival's at equal FLOP, dB\n")
    rows = [("rival", "reuse", "mean", "quartiles", "least", "most", "prompts won", "")]
    for reuse, rivals in result["margins"].items():
        for rival, s in rivals.items():
            rows.append((RIVALS[rival], reuse, f"{s['mean']:+.2f}", f"{s['low']:+.2f} to {s['high']:+.2f}",
                         f"{s['least']:+.2f}", f"{s['most']:+.2f}", f"{s['won']} of {s['count']}", choice_verdict(s)))
    table(rows)


def arguments():
    p = argparse.ArgumentParser(prog="benchmark.sh --tokens", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(caches.ROOT / "models" / "demo"),
                   help="a model folder; default: the demo model")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--steps", type=int, help="default: 50 as published, 12 with --quick")
    p.add_argument("--frames", type=int, help="length, at most one window; default: the model's")
    p.add_argument("--width", type=int, help="default: the model's")
    p.add_argument("--height", type=int, help="default: the model's")
    p.add_argument("--prompts", metavar="FILE", default=str(caches.ROOT / "tools" / "bench" / "token_prompts.txt"))
    p.add_argument("--json", metavar="FILE", help="write every video's figures here")
    p.add_argument("--again", metavar="FILE", help="run nothing, print the tables of such a file")
    p.add_argument("--quick", action="store_true", help="two prompts, two settings each, few steps: a smoke test")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.steps = a.steps or (12 if a.quick else 50)
    a.base_num_frames = None
    return a


def main():
    a = arguments()
    if a.again:
        report(json.loads(pathlib.Path(a.again).read_text()))
        return
    prompts = cache_runs.read_prompts(a.prompts)
    if a.quick:
        prompts = cache_runs.quick_prompts(prompts)
    if a.json:
        pathlib.Path(a.json).touch()
    bench = caches.Bench(a)
    result = {"model": a.model, "steps": a.steps, "videos": bench.tokens(prompts, a.frames)}
    balanced = cache_runs.balanced_threshold(a.model)
    result.update(bench.section("tokens", prompts, choose(balanced, a.quick), a.frames))
    report(result)
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
