# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether presets hold what motioncache.json states, at settings that were not calibrated.

Run by pipelines/benchmark.sh --presets, which builds first. A row per setting and preset: the PSNR stated, what is measured
against the same videos without a cache (mean over the prompts, and the worst prompt), the share of the tokens
that are computed and how much faster the denoising is. A row keeps the promise if the mean is at most 2 dB under
what is stated. The status is 0 whether promises are kept or not.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from benchmark import number, table
from cache_runs import PRESETS, quick_prompts, read_prompts

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARGIN = 2  # dB

# What is changed of the model's own settings.
SETTINGS = [("as calibrated", {})]
SETTINGS += [(f"{steps} steps", {"steps": steps}) for steps in (4, 6, 8, 12, 20, 50, 100, 200)]
SETTINGS += [
    ("no guidance", {"guidance-scale": 1}),
    ("chunks of 1", {"causal-block-size": 1, "ar-step": 2}),
    ("chunks of 5", {"causal-block-size": 5}),
    ("all chunks at once", {"ar-step": 0}),
    ("chunks 10 steps apart", {"ar-step": 10}),
    ("shift 1", {"shift": 1}),
    ("shift 8", {"shift": 8}),
    ("wide", {"width": 224, "height": 128}),
    ("square", {"width": 96, "height": 96}),
    ("two windows", {"frames": 97}),
    ("three windows", {"frames": 137}),
]
QUICK = ("as calibrated", "6 steps", "no guidance", "chunks of 1")


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        sys.stderr.write(done.stderr[-4000:])
        sys.exit(f"benchmark: failed with {done.returncode}: {' '.join(command)}")
    return json.loads(lines[-1])


def row_of(setting, preset, stated, uncached, cached):
    """uncached, cached: the videos of one run each, one per prompt."""
    psnr = [video["against_kv"]["psnr"] for video in cached]
    mean = statistics.fmean(psnr)
    tokens = sum(video["tokens_computed"] for video in cached) / sum(video["tokens"] for video in cached)
    return {"setting": setting, "preset": preset, "stated": stated, "psnr": mean, "worst": min(psnr), "tokens": tokens,
            "flop": sum(v["flop"] for v in cached) / sum(v["flop"] for v in uncached),
            "faster": statistics.median(a["denoising"] / b["denoising"] for a, b in zip(uncached, cached)),
            "kept": mean >= stated - MARGIN}


def report(rows):
    lines = [("setting", "preset", "stated dB", "mean dB", "worst dB", "tokens", "faster", "")]
    for row in rows:
        lines.append((row["setting"], row["preset"], number(row["stated"], 1), number(row["psnr"], 1),
                      number(row["worst"], 1), f"{100 * row['tokens']:.1f} %", f"{row['faster']:.2f} x",
                      "kept" if row["kept"] else "NOT kept"))
    table(lines)
    kept = sum(row["kept"] for row in rows)
    print(f"\n{kept} of {len(rows)} rows keep the promise: at most {MARGIN} dB under what motioncache.json states.")


def stated_of(model):
    file = pathlib.Path(model) / "motioncache.json"
    if not file.exists():
        sys.exit(f"benchmark: {file} is not there, so no preset states anything; run motioncache-calibrate {model}")
    return {name: preset["psnr"] for name, preset in json.loads(file.read_text())["presets"].items()}


def measure(a, prompts, setting, change, presets, stated):
    # What the command line says of every row, unless the row is about just that.
    common = {key: getattr(a, key.replace("-", "_"))
              for key in ("steps", "frames", "width", "height", "base-num-frames")}
    common = {key: value for key, value in common.items() if value is not None}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(prompt.text + "\n" for prompt in prompts))
        file.flush()
        command = [str(pathlib.Path(a.build) / "tools" / "bench" / "motioncache-cache-bench"), a.model, "--prompts",
                   file.name, "--dtype", a.dtype, "--threads", str(a.threads), "--references", "1"]
        for key, value in {**common, **change}.items():
            command += ["--" + key, str(value)]
        command += ["--run", "uncached:attention=kv,cache=none"]
        for preset in presets:
            command += ["--run", f"{preset}:attention=kv,cache=motioncache,preset={preset}"]
        uncached, *cached = run(command)["runs"]
    return [row_of(setting, each["name"], stated[each["name"]], uncached["videos"], each["videos"]) for each in cached]


def arguments():
    p = argparse.ArgumentParser(prog="benchmark.sh --presets", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(ROOT / "models" / "demo"), help="a model folder; default: the demo model")
    p.add_argument("--preset", action="append", choices=PRESETS, help="may be given again; default: all three")
    p.add_argument("--setting", action="append", choices=[name for name, _ in SETTINGS], metavar="NAME",
                   help="a row's name; may be given again; default: all")
    p.add_argument("--prompts", metavar="FILE", default=str(ROOT / "tools" / "bench" / "prompts.txt"))
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="default float32")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    for name in ("steps", "frames", "width", "height", "base-num-frames"):
        p.add_argument("--" + name, type=int, help="default: the model's")
    p.add_argument("--json", metavar="FILE", help="write the rows here")
    p.add_argument("--quick", action="store_true", help="two prompts, four settings, preset balanced")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.preset = a.preset or (["balanced"] if a.quick else list(PRESETS))
    a.setting = a.setting or (QUICK if a.quick else [name for name, _ in SETTINGS])
    return a


def main():
    a = arguments()
    stated = stated_of(a.model)
    prompts = read_prompts(a.prompts)
    if a.quick:
        prompts = quick_prompts(prompts)
    if a.json:
        pathlib.Path(a.json).touch()  # rather now than after all of it
    rows = []
    for setting, change in SETTINGS:
        if setting not in a.setting:
            continue
        start = time.monotonic()
        rows += measure(a, prompts, setting, change, a.preset, stated)
        print(f"{setting}: {len(prompts)} prompts in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    report(rows)
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
