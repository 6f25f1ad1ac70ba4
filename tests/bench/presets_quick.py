# SPDX-License-Identifier: LGPL-2.1-or-later
"""presets_quick.py BUILD MODEL: pipelines/benchmark.sh --presets from end to end, at tiny sizes."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import checks
from checks import check

build, model = sys.argv[1:3]
program = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench" / "presets.py"
environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}


def run(*arguments):
    return subprocess.run([sys.executable, str(program), "--build", build, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment)


tiny = ["--threads", "1", "--steps", "8", "--width", "32", "--height", "32", "--frames", "21"]
with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / "out.json"
    done = run("--model", model, "--quick", "--json", str(out), *tiny)
    print(done.stdout, done.stderr)
    check(done.returncode == 0, "the status is 0 whatever the verdicts")
    rows = json.loads(out.read_text())
    stated = json.loads((pathlib.Path(model) / "motioncache.json").read_text())["presets"]
    check([row["setting"] for row in rows] == ["as calibrated", "6 steps", "no guidance", "chunks of 1"], "settings")
    check(all(row["preset"] == "balanced" and row["stated"] == stated["balanced"]["psnr"] for row in rows), "stated")
    check(all(0 < row["tokens"] <= 1 and 5 < row["psnr"] <= 100 and row["worst"] <= row["psnr"] for row in rows),
          "figures")
    check(len({row["psnr"] for row in rows}) == 4, "each row is another request")
    check(done.stdout.count("kept") == 4 and "of 4 rows keep the promise" in done.stdout, "verdicts")

    done = run("--model", model, "--setting", "4 steps", "--setting", "three windows", "--preset", "quality",
               "--preset",
               "fast", "--json", str(out), *tiny, "--base-num-frames", "57")
    check(done.returncode == 0, "chosen rows: " + done.stderr)
    rows = json.loads(out.read_text())
    check([(row["setting"], row["preset"]) for row in rows]
          == [("4 steps", "quality"), ("4 steps", "fast"), ("three windows", "quality"), ("three windows", "fast")],
          "chosen rows, each with both presets")

    done = run("--model", folder, "--quick")
    check(done.returncode == 1 and "no preset states anything" in done.stderr, "a model that was not calibrated")
checks.end()
