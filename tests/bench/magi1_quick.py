# SPDX-License-Identifier: LGPL-2.1-or-later
"""magi1_quick.py BUILD: pipelines/benchmark.sh --family magi1 --caches --quick from end to end, in a tiny picture."""
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
    done = subprocess.run([sys.executable, str(program), "--build", build, "--quick", "--json", str(out), "--dtype", "float32",
                           "--threads", "1", "--width", "32", "--height", "32", "--frames", "48"],
                          stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    check(done.returncode == 0, "the status is 0 whatever the verdicts")
    check("random weights" in done.stdout, "it says what the weights are")
    result = json.loads(out.read_text())

caches = result["caches"][0]
uncached, *cached = caches["runs"]
tokens = 6 * (32 // 16) ** 2
check([run["name"] for run in caches["runs"]] == ["uncached", "TeaCache", "FlowCache", "MotionCache"], "all of them")
check((caches["weights"], caches["layers"], uncached["steps"], uncached["chunks"]) == ("random", 1, 32, 2), "sizes")
check(uncached["tokens_computed"] == uncached["tokens"] == 2 * 32 * tokens, "uncached, every token is computed")
check(uncached["passes_extra"] == 1, "and the finished chunk once more")
for run in cached:
    check(run["tokens"] == uncached["tokens"] and run["tokens_computed"] < run["tokens"], run["name"] + " computes less")
    check(run["flop"] < uncached["flop"] * 0.95, run["name"] + " has less to compute")
    check(run["turns_whole"] + run["turns_partial"] + run["turns_reused"] == run["turns"] == 64, run["name"] + ": turns")
    check(run["transformer"] > 0 and run["cache"] > 0, run["name"] + ": seconds")
sparse = result["sparse"][0]
check(len(sparse["curve"]) == 11 and sparse["curve"][-1]["tokens"] == 0, "the curve of sparse steps")
check(sparse["alone"]["gemm"] > 0 and sparse["alone"]["attention"] > 0 and sparse["alone"]["flop"] > 1e9,
      "a step beside its calls alone")
check(len(result["verdicts"]) == 2 and all(v["met"] in (True, False) for v in result["verdicts"]), "verdicts")
checks.end()
