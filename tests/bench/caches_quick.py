# SPDX-License-Identifier: LGPL-2.1-or-later
"""caches_quick.py BUILD MODEL: pipelines/benchmark.sh --caches --quick from end to end, at tiny sizes."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import checks
from checks import check

build, model = sys.argv[1:3]
program = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench" / "caches.py"

# A peer that is done at once.
PEER = """echo '{"seconds": 0.5}' #"""

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    done = subprocess.run([sys.executable, str(program), "--build", build, "--model", model, "--quick",
                           "--json", str(folder / "out.json"), "--pictures", str(folder / "pictures"),
                           "--peer", PEER, "--peer-bar", "1e-9", "--repeat", "1", "--threads", "1",
                           "--steps", "6", "--width", "32", "--height", "32", "--frames", "21",
                           "--base-num-frames", "33", "--long-frames", "57"],
                          stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    print(done.stdout)
    check(done.returncode == 0, "the status is 0 whatever the verdicts")
    result = json.loads((folder / "out.json").read_text())
    check((result["steps"], result["width"], result["frames"], result["dtype"]) == (6, 32, 21, "float32"),
          "sizes")
    check(all(len(run["videos"]) == 2 for run in result["runs"]) and len(result["prompts"]) == 2,
          "each run, each prompt")
    check(set(result["figures"]) == {run["name"] for run in result["runs"]}, "figures of each run")
    kv, tokens = result["runs"][1]["videos"][0], lambda run: run["videos"][0]["tokens_computed"]
    check(all(tokens(run) <= kv["tokens"] for run in result["runs"][1:]), "no cache computes more than none")
    check(any(tokens(run) < kv["tokens"] for run in result["runs"] if run["family"] == "ours"),
          "and MotionCache less")
    check(all(run["videos"][0]["against_kv"]["psnr"] > 5 for run in result["runs"][2:]), "quality of each")
    check(len(result["long"]["runs"][2]["videos"][0]["against_kv"]["windows"]) == 2, "quality of each window")
    check(len(result["sparse"]) == 1 and len(result["peer"]["ours"]) == 1, "partial steps and the peer")
    check(any(v["met"] is False and "peer" in v["what"] for v in result["verdicts"]),
          "a bar that cannot be met")
    check("NOT met  whole seconds of the full window against the peer" in done.stdout,
          "is printed as not met")
    check({p.suffix for p in (folder / "pictures").iterdir()} == {".svg", ".png"}, "pictures")
checks.end()
