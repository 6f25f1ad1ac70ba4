# SPDX-License-Identifier: LGPL-2.1-or-later
"""tokens_test.py BUILD MODEL: what pipelines/benchmark.sh --tokens makes of results, here written by hand, and all of it at tiny sizes."""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tools" / "bench"))
import cache_runs
import tokens
import checks
from checks import check


prompts = cache_runs.read_prompts(tokens.caches.ROOT / "tools" / "bench" / "token_prompts.txt")
check(len(prompts) == len({p.text for p in prompts}) >= 16, "at least sixteen prompts, no two alike")
calibration = (root / "tools" / "calibrate" / "prompts.cpp").read_text(encoding="utf-8")
check(not any(f'"{p.text}"' in calibration for p in prompts), "none of them is fitted to")

runs = tokens.choose(0.2)
for reuse in tokens.REUSES:
    mine = {family: [r for r in runs if r.family == f"{family} {reuse}"] for family in ("ours", "steps", "teacache")}
    check(all(r.settings["reuse"] == reuse for family in mine.values() for r in family), "the same rule of reuse")
    check([{**a.settings, "weights": "none"} for a in mine["ours"]] == [b.settings for b in mine["steps"]],
          "without weights nothing else differs")

s = tokens.spread([4, 1, 3, 2, 5])
check((s["least"], s["low"], s["median"], s["high"], s["most"], s["mean"]) == (1, 2, 3, 4, 5, 3), "quartiles")
r = tokens.ratios([{"seen": [1, 2, 4], "finished": [2, 2, 2]}, {"seen": [4, 2, 1], "finished": [8, 8, 8]}])
check(math.isclose(r["seen"]["early"]["mean"], 2.5) and math.isclose(r["seen"]["all"]["most"], 2),
      "thirds of the steps")
check(math.isclose(r["finished"]["all"]["median"], 5), "the median of the prompts")


def run(family, *points):
    """points: (FLOP, PSNR) of each prompt."""
    return {"family": family, "videos": [{"flop": flop, "against_kv": {"psnr": psnr}} for flop, psnr in points]}


made = tokens.margins([run("ours solver", (1, 30), (1, 30), (1, 30)), run("ours solver", (9, 40), (9, 40), (9, 40)),
                       run("teacache solver", (1, 28), (1, 33), (20, 33)),
                       run("teacache solver", (9, 38), (9, 43), (90, 43))])["solver"]["teacache"]
check((made["won"], made["count"], made["not_shared"]) == (1, 2, 1), "prompts won, and those that share no FLOP")
check(math.isclose(made["least"], -3) and math.isclose(made["most"], 2), "margins of prompts")
check([tokens.choice_verdict(tokens.spread(v)) for v in ([1, 2, 3], [-1, -2, -3], [-1, 2, -2, 1])]
      == ["choosing tokens wins", "choosing steps wins", "neither wins clearly"], "verdicts whichever way it goes")
check(len({tokens.moving_verdict(tokens.spread([v])) for v in (3, 1.2, 0.5)}) == 3, "and of moving tokens")

with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / "out.json"
    done = subprocess.run([sys.executable, root / "tools" / "bench" / "tokens.py", "--build", sys.argv[1], "--model",
                           sys.argv[2],
                           "--quick", "--steps", "6", "--width", "32", "--height", "32", "--frames", "21", "--threads",
                           "1",
                           "--json", out], stdout=subprocess.PIPE, text=True,
                           env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    print(done.stdout)
    check(done.returncode == 0, "all of it")
    result = json.loads(out.read_text())
    check(all(len(v["finished"]) == len(v["seen"]) == 5 and min(v["finished"]) > 0 for v in result["videos"]),
          "a ratio of each step from the second one")
checks.end()
