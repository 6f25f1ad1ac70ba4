# SPDX-License-Identifier: LGPL-2.1-or-later
"""magi1_quick.py BUILD RANDOM_WEIGHTS: pipelines/benchmark.sh --family magi1 --caches --quick from end to end, in a tiny picture, and
with a small model."""
import json
import pathlib
import subprocess
import sys
import tempfile

import checks
from checks import check

build = sys.argv[1]
program = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench" / "magi1.py"

with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / "out.json"
    done = subprocess.run([sys.executable, str(program), "--build", build, "--quick", "--json", str(out), "--dtype",
                           "float32",
                           "--threads", "1", "--width", "32", "--height", "32", "--frames", "48"],
                          stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    check(done.returncode == 0, "the status is 0 whatever the verdicts")
    check("quality: not measured" in done.stdout, "and that they have no quality to measure")
    check("random weights" in done.stdout, "it says what the weights are")
    result = json.loads(out.read_text())
    model = folder + "/model"
    subprocess.run([sys.argv[2], "--model", "magi1-small", model], stdout=subprocess.DEVNULL, check=True)
    done = subprocess.run([sys.executable, str(program), "--build", build, "--quick", "--json", str(out), "--model",
                           model,
                           "--threads", "1", "--frames", "48", "--width", "48", "--height", "32", "--steps", "16"],
                           stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    check(done.returncode == 0, "with a model: the status")
    quality = json.loads(out.read_text())["quality"]
    # What is measured with the other family alone says so.
    tokens = subprocess.run([build + "/tools/bench/motioncache-token-bench", model, "--prompts", model],
                            stderr=subprocess.PIPE, text=True)
    check(tokens.returncode == 1 and "is not of SkyReels-V2" in tokens.stderr, "tokens are refused by name")

caches = result["caches"][0]
uncached, *cached = caches["runs"]
tokens = 6 * (32 // 16) ** 2
check([run["name"] for run in caches["runs"]] == ["uncached", "TeaCache", "FlowCache", "MotionCache"], "all of them")
check((caches["weights"], caches["layers"], uncached["steps"], uncached["chunks"]) == ("random", 1, 32, 2), "sizes")
check(uncached["tokens_computed"] == uncached["tokens"] == 2 * 32 * tokens, "uncached, every token is computed")
check(uncached["passes_extra"] == 1, "and the finished chunk once more")
for run in cached:
    check(run["tokens"] == uncached["tokens"] and run["tokens_computed"] < run["tokens"],
          run["name"] + " computes less")
    check(run["flop"] < uncached["flop"] * 0.95, run["name"] + " has less to compute")
    check(run["turns_whole"] + run["turns_partial"] + run["turns_reused"] == run["turns"] == 64,
          run["name"] + ": turns")
    check(run["transformer"] > 0 and run["cache"] > 0, run["name"] + ": seconds")
sparse = result["sparse"][0]
check(len(sparse["curve"]) == 11 and sparse["curve"][-1]["tokens"] == 0, "the curve of partial steps")
check(sparse["alone"]["gemm"] > 0 and sparse["alone"]["attention"] > 0 and sparse["alone"]["flop"] > 1e9,
      "a step beside its calls alone")
check(len(result["verdicts"]) == 2 and all(v["met"] in (True, False) for v in result["verdicts"]), "verdicts")
check("PSNR, official" in done.stdout, "quality in a table")
official, nothing, *cached = [run["videos"][0] for run in quality["runs"]]
check(official["turns"] == official["turns_whole"] == nothing["turns_whole"] == 2 * 16, "nothing is reused in either")
check(nothing["against_full"]["psnr"] < 99, "the official sampler makes another video")
check(all(video["turns"] == 2 * 16 for video in cached), "turns of a cache")
for video in cached:
    same = video["turns_reused"] + video["turns_partial"] == 0
    # TeaCache sees other keys than chunks one by one do, in the last bits.
    check((video["against_kv"]["psnr"] > 60) == same or video["against_kv"]["psnr"] > 60,
          "what reuses nothing changes nothing")
    check(0 < video["against_full"]["psnr"] < 99 and -1 <= video["against_full"]["ssim"] <= 1, "quality")
checks.end()
