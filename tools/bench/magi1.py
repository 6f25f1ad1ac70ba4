# SPDX-License-Identifier: LGPL-2.1-or-later
"""MAGI-1 at the published sizes of 4.5B, on random weights: nobody needs to have its weights to know what its steps cost.

Run by pipelines/benchmark.sh --family magi1 --caches, which builds first. Of all sizes only the layers (of 34) and the
picture are reduced. Three measurements: what uncached, TeaCache, FlowCache and MotionCache compute in which time, from
noise to latents, with the settings published for MAGI-1; how long a step takes of which a share f of a chunk's tokens is
computed, bar 1.10 f + 0.03; and how long a whole step takes beside its matrix products and attention calls run alone, bar
1.25. Uncached is the official sampler, which passes a finished chunk once more and mixes in a copy of the oldest; caches
are run as they were published, with neither. What a cache decides depends on the weights, so its share of tokens and
seconds say nothing of trained ones, and their pictures are none to be compared.

With --model, a MAGI-1 model with one branch, whole videos of it are made instead, and what a cache does to them is
measured: PSNR and SSIM against the official sampler, and against the sampler that caches have, with nothing reused.
The status is 0 whether bars are met or not.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from benchmark import number, run, table
from cache_report import sparse_name, sparse_table, sparse_verdicts, verdict, verdict_lines
from cache_runs import quick_prompts, read_prompts

RUNS = (("uncached", "cache=none"), ("TeaCache", "cache=teacache"), ("FlowCache", "cache=flowcache"),
        ("MotionCache", "cache=motioncache"))
BAR = 1.25
# With a model: the first two are what all are compared with. A warm-up of more steps than there are reuses nothing.
QUALITY_RUNS = (("official, uncached", "cache=none"), ("nothing reused", "cache=flowcache,warmup=1000"), *RUNS[1:])


def quality_table(quality):
    rows = [("run", "GFLOP", "seconds", "tokens computed %", "PSNR, official", "SSIM", "PSNR, nothing reused", "SSIM")]
    for run in quality["runs"]:
        def mean(value, videos=run["videos"]):
            return sum(value(v) for v in videos) / len(videos)

        def score(against, name, decimals):
            return number(mean(lambda v: v[against][name]), decimals) if against in run["videos"][0] else "-"
        rows.append((run["name"], number(mean(lambda v: v["flop"]) / 1e9, 0), number(mean(lambda v: v["denoising"])),
                     number(mean(lambda v: 100 * v["tokens_computed"] / v["tokens"]), 1),
                     score("against_full", "psnr", 2), score("against_full", "ssim", 4),
                     score("against_kv", "psnr", 2), score("against_kv", "ssim", 4)))
    table(rows)


def measure_quality(a, measure):
    prompts = quick_prompts(read_prompts(a.prompts))
    prompts = prompts[:1] if a.quick else prompts
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(prompt.text + "\n" for prompt in prompts))
        file.flush()
        command = [a.model, "--prompts", file.name]
        for name in ("steps", "frames", "width", "height", "dtype"):
            if getattr(a, name):
                command += ["--" + name, str(getattr(a, name))]
        for name, settings in QUALITY_RUNS:
            command += ["--run", f"{name}:{settings}"]
        quality = measure("motioncache-cache-bench", command)
    print(f"\n{a.model}, {quality['width']}x{quality['height']}, {quality['frames']} frames, {len(quality['prompts'])} prompts, "
          f"{quality['dtype']}, {quality['threads']} threads; dB and SSIM are means over prompts and frames\n")
    quality_table(quality)
    return {"quality": quality}


def alone_verdicts(benches):
    return [verdict(f"a whole step against its products and attention alone, {sparse_name(bench)}",
                    f"{bench['alone']['ratio']:.3f} ({bench['alone']['step']:.3f} s; {bench['alone']['gemm']:.3f} s + "
                    f"{bench['alone']['attention']:.3f} s)", f"<= {BAR}", bench["alone"]["ratio"] <= BAR)
            for bench in benches]


def caches_table(caches):
    first = caches["runs"][0]
    rows = [("run", "GFLOP", "% of uncached", "seconds", "x uncached", "transformer s", "cache s", "tokens computed",
             "%",
             "turns: whole", "partial", "reused", "extra passes")]
    for r in caches["runs"]:
        rows.append((r["name"], number(r["flop"] / 1e9, 0), number(100 * r["flop"] / first["flop"], 1),
                     number(r["seconds"]),
                     number(first["seconds"] / r["seconds"], 2), number(r["transformer"]), number(r["cache"]),
                     str(r["tokens_computed"]), number(100 * r["tokens_computed"] / r["tokens"], 1),
                     str(r["turns_whole"]),
                     str(r["turns_partial"]), str(r["turns_reused"]), str(r["passes_extra"])))
    table(rows)


def report(result):
    for caches in result["caches"]:
        r = caches["runs"][0]
        print(f"\nMAGI-1, random weights of the 4.5B sizes with {caches['layers']} of 34 layers, {r['width']}x{r['height']}, "
              f"{r['chunks']} chunks of 24 frames, {r['steps']} steps, {caches['dtype']}, {caches['threads']} threads; "
              "from noise to latents\n")
        caches_table(caches)
    if result["sparse"]:
        one = result["sparse"][0]
        print(f"\na step of which a share f of a chunk's tokens is computed, {one['rows']}x{one['columns']} latent pixels, "
              f"{one['frames']} latent frames in memory\n")
        sparse_table(result["sparse"])
    print("\nquality: not measured, for random weights make no pictures; give --model\n")
    verdict_lines(result["verdicts"])


def finish(a, result):
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")


def main():
    p = argparse.ArgumentParser(prog="benchmark.sh --family magi1 --caches", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", metavar="PATH", help="JSON file or folder of a model: measure quality with its weights")
    p.add_argument("--prompts", metavar="FILE", default=str(pathlib.Path(__file__).resolve().parent / "prompts.txt"),
                   help="with --model: of which the first of each kind is taken")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: the steps in both, the caches in float32")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--layers", type=int, default=1, help="of the runs with caches; default 1")
    p.add_argument("--steps", type=int, help="default 64, as the caches were published with; with --model its own")
    p.add_argument("--frames", type=int, help="default 72, three chunks; with --model its own")
    p.add_argument("--width", type=int, help="default 96; with --model its own")
    p.add_argument("--height", type=int, help="default 64; with --model its own")
    p.add_argument("--no-sparse", action="store_true", help="leave the measurements of one step out")
    p.add_argument("--quick", action="store_true", help="few steps, one measurement of each: a smoke test")
    p.add_argument("--json", metavar="FILE", help="write all figures here")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    folder = pathlib.Path(a.build) / "tools" / "bench"
    threads = ["--threads", str(a.threads)]

    def measure(program, arguments):
        print(f"{program}: {' '.join(arguments)}", file=sys.stderr, flush=True)
        return run([str(folder / program), *arguments, *threads])

    if a.model:
        finish(a, measure_quality(a, measure))
        return
    steps = min(a.steps or 64, 32) if a.quick else a.steps or 64  # with fewer, FlowCache reuses nothing
    command = ["--layers", str(a.layers), "--steps", str(steps), "--frames", str(a.frames or 72), "--width",
               str(a.width or 96),
               "--height", str(a.height or 64), "--dtype", a.dtype or "float32"]
    for name, settings in RUNS:
        command += ["--run", f"{name}:{settings}"]
    result = {"caches": [measure("motioncache-magi1-bench", command)], "sparse": []}
    if not a.no_sparse:
        for dtype in [a.dtype] if a.dtype else ["float32", "bfloat16"]:
            more = ["--layers", "1", "--rounds", "1", "--alone", "1", "--size", "12x4x6"] if a.quick else \
                ["--layers", "2", "--rounds", "5", "--alone", "3"]
            result["sparse"].append(measure("motioncache-sparse-bench", ["magi1-4.5B", "--dtype", dtype, *more]))
    result["verdicts"] = sparse_verdicts(result["sparse"]) + alone_verdicts(result["sparse"])
    report(result)
    finish(a, result)


if __name__ == "__main__":
    main()
