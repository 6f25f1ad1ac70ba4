# SPDX-License-Identifier: LGPL-2.1-or-later
"""script_test.py SOURCE [GPU_KERNELS]: tests/gpu.sh run, with programs that stand in for those of a machine with a GPU:
which parts run, how long at most, and the table of goals from figures that are known. GPU_KERNELS, the real program,
says what it finds."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

source = pathlib.Path(sys.argv[1])
PARTS = ["facts", "kernels", "session", "golden", "backends", "step", "video", "streamed", "vae", "sanitizer", "golden16", "goals"]


def check(met, what):
    if not met:
        sys.exit("FAILED: " + what)


def step(dense, ratio, streamed=0):
    """A line of motioncache-sparse-bench: 1.3B at 960x544."""
    curve = [{"share": n / 10, "tokens": 1020 * n, "first": 2 * dense, "seconds": dense * (1 if n == 10 else ratio), "ratio": ratio}
             for n in (*range(1, 11), 0)]
    return json.dumps({"layers": 30, "frames": 25, "streamed": streamed, "curve": curve})


def vae(dtype, taken):
    return json.dumps({"part": "vae", "dtype": dtype, "flop_per_latent": 17.7e12, "seconds_per_latent": 0.05, "taken": taken,
                       "planned": 100})


VIDEO = [json.dumps({"part": "video", "which": which, "width": 960, "height": 544, "seconds": 9, "text": 1, "transformer": 6,
                     "scheduler": 0.5, "vae": 1.5, "taken": 80, "planned": 100}) for which in ("first", "then")]


def run(folder, what, **environment):
    """Seconds, status, summary by part, and all that it said, of the script with `what` in place of its programs."""
    root = pathlib.Path(folder)
    shutil.rmtree(root / ".gpu", ignore_errors=True)
    (root / ".gpu" / "bin").mkdir(parents=True)
    (root / "tests" / "gpu").mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "tests" / "gpu.sh", root / "tests")
    shutil.copy(source / "tests" / "gpu" / "goals.py", root / "tests" / "gpu")
    (root / "tests" / "gpu" / "backends.py").write_text("print(%r)" % json.dumps({"part": "ceiling", "gemm_tflops": 700}))
    usual = dict.fromkeys(("gpu-kernels", "gpu-session", "golden", "random-weights", "compute-sanitizer"), "echo done")
    usual["gpu-video"] = "\n".join(f"echo '{line}'" for line in VIDEO)
    usual["gpu-vae"] = f"echo '{vae('float32', 90)}'; echo '{vae('bfloat16', 70)}'"
    usual["motioncache-sparse-bench"] = f"case \"$*\" in *streamed*) echo '{step(0.42, 0.22, 30)}';; *) echo '{step(0.4, 0.22)}';; esac"
    for name, script in {**usual, **what}.items():
        program = root / ".gpu" / "bin" / name
        program.write_text("#!/bin/sh\n" + script + "\n")
        program.chmod(0o755)
    begin = time.monotonic()
    done = subprocess.run([str(root / "tests" / "gpu.sh"), "run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "PATH": f"{root}/.gpu/bin:{os.environ['PATH']}", "TORCH_DIR": "/nowhere",
                               "OUT": str(root / "out"), "DEVICE": "cuda:0", **environment})
    took = time.monotonic() - begin
    lines = (root / "out" / "summary").read_text().splitlines()
    summary = {line.split()[0]: line[12:24].strip() for line in lines if not line.startswith("encode")}
    print(done.stdout)
    return took, done.returncode, summary, done.stdout


with tempfile.TemporaryDirectory() as folder:
    _, status, summary, said = run(folder, {})
    check(list(summary) == PARTS and set(summary.values()) == {"ok"} and status == 0, "all parts run")
    # 10200 tokens of two branches in 30 layers, to 51000 keys and 512 of the text:
    # 2 * 30 * 10200 * (2 * 41.7e6 + 316.5e6) = 245 TFLOP in 0.4 s, of 700 TFLOP/s; and a fifth of it in 0.088 s.
    table = {line[:62].strip(): line[62:].split() for line in said.splitlines()}
    check(table["dense step, share of the measured bf16 product rate"] == ["0.87", ">=", "0.60"], "the share of a dense step")
    check(table["partial step at 20 % of the tokens, share of that rate"] == ["0.79"], "that of a partial one")
    check(table["partial step at 20 % of the tokens, of a whole one"] == ["0.22", "<=", "0.25"], "their ratio")
    check(table["the same, its first time, of later ones"] == ["9.1"], "what the first step costs")
    check(table["dense step, all layers streamed, of a resident one"] == ["1.05", "<=", "1.10"], "streamed layers")
    check(table["VAE in bfloat16, share of that rate"] == ["0.51", ">=", "0.25"], "the VAE")
    check(table["1.3B, a chunk of 960x544, then time: memory taken of planned"] == ["0.80", "<=", "1"], "a whole video")

    _, status, summary, said = run(folder, {"motioncache-sparse-bench": f"echo '{step(0.4, 0.3)}'", "golden": "exit 1",
                                            "gpu-kernels": "exit 77"})
    check(status == 1 and summary["goals"] == summary["golden"] == "FAILED (1)", "a goal that is missed and a part that fails")
    check(summary["kernels"] == "skipped" and said.count("MISSED") == 1, "and nothing else")

    took, status, summary, _ = run(folder, {"gpu-session": "sleep 60"}, BUDGET="2")
    check(took < 60 and status == 1 and summary["session"] == "FAILED (124)", "a part gets what is left")
    check(summary["golden"] == summary["golden16"] == "no time left", "and the next ones nothing")
    check(summary["facts"] == "ok" and "goals" in summary, "but what there is is told")

    _, status, summary, _ = run(folder, {}, PARTS="step vae")
    check(list(summary) == ["step", "vae"] and status == 0, "parts by name")

if len(sys.argv) > 2:
    kernels = subprocess.run([sys.argv[2], "64"], stdout=subprocess.PIPE, text=True)
    print(kernels.stdout)
    no_gpu = kernels.returncode == 77 and "there is no GPU: " in kernels.stdout
    check(no_gpu or kernels.returncode == 0, "the kernels are right, or there is no GPU")
