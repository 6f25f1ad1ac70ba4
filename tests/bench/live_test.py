# SPDX-License-Identifier: LGPL-2.1-or-later
"""live_test.py BUILD MODEL: what pipelines/benchmark.sh --beside, --live and --long make of results, here written by hand, and each once at
tiny sizes."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tools" / "bench"))
import beside
import busy
import live
import long
import checks
from checks import check


rounds = [{"alone": 1, "busy": 1.5, "encoder": 1.2}, {"alone": 2, "busy": 3.2, "encoder": 2},
          {"alone": 4, "busy": 6, "encoder": 4}]
made = beside.ratios(rounds)
check(made["alone"] == {"seconds": 2, "ratio": 1} and made["busy"] == {"seconds": 3.2, "ratio": 1.5},
      "ratios of one round")

check(live.quarters({"quarters": [{"underruns": n} for n in (0, 3, 7, 7)]}) == [0, 3, 4, 0], "underruns by quarter")
check([row[1:] for row in long.rows([{"seconds": 10, "bytes": 8 << 20}, {"seconds": 25, "bytes": 9 << 20}], 96)] ==
      [("10.0", "0.10", "8.0"), ("15.0", "0.07", "9.0")], "a quarter's own seconds, and the memory at its end")
check(live.rests([], 100) is None, "no change, no other threshold")
check(live.rests([[10, 0.2, 1.3], [60, 0.3, 1.1], [90, 0.1, 0.5]], 100) == 0.3, "where it rested before the load went")

with busy.busy(2) as others:
    pids = [process.pid for process in others.processes]
    check(all(process.poll() is None for process in others.processes), "they run")
check(not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids), "they are gone")

build, model = sys.argv[1:3]
env = dict(os.environ, GST_PLUGIN_PATH=f"{build}/gst", MOTIONCACHE_ENGINE_DIR=f"{build}/engine")
with tempfile.TemporaryDirectory() as folder:
    env["GST_REGISTRY"] = f"{folder}/registry"
    for program, arguments, shown in (("beside", ["--frames", "9", "--steps", "1", "--rounds", "1"], "beside one busy process"),
                                      ("long", ["--frames", "96", "--steps", "1"], "MiB at its end"),
                                      ("live", ["--frames", "96", "--steps", "2", "--busy", "1", "--quick"], "underruns by quarter")):
        file = pathlib.Path(folder) / "out.json"
        done = subprocess.run([sys.executable, str(root / "tools" / "bench" / f"{program}.py"), "--build", build,
                               "--model", model,
                               "--json", str(file), *arguments], env=env, stdout=subprocess.PIPE, text=True)
        check(done.returncode == 0 and shown in done.stdout, f"{program} runs: {done.stdout}")
        check(json.loads(file.read_text())["model"] == model, f"{program} writes its figures")

checks.end()
