# SPDX-License-Identifier: LGPL-2.1-or-later
"""MAGI-1 at the published sizes of 4.5B, on random weights: nobody needs to have its weights to know what its steps cost.

Run by pipelines/benchmark.sh --family magi1 --caches, which builds first. Of all sizes only the layers (of 34) and the
picture are reduced. Three measurements: what uncached, TeaCache, FlowCache and MotionCache compute in which time, from
noise to latents, with the settings published for MAGI-1; how long a step takes of which a share f of a chunk's tokens is
computed, bar 1.10 f + 0.03; and how long a whole step takes beside its matrix products and attention calls run alone, bar
1.25. Uncached is the official sampler, which passes a finished chunk once more and mixes in a copy of the oldest; caches
are run as they were published, with neither. What a cache decides depends on the weights, so its share of tokens and
seconds say nothing of trained ones. The status is 0 whether bars are met or not.
"""
import argparse
import json
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from benchmark import number, run, table
from cache_report import sparse_name, sparse_table, sparse_verdicts, verdict, verdict_lines

RUNS = (("uncached", "cache=none"), ("TeaCache", "cache=teacache"), ("FlowCache", "cache=flowcache"),
        ("MotionCache", "cache=motioncache"))
BAR = 1.25


def alone_verdicts(benches):
    return [verdict(f"a whole step against its products and attention alone, {sparse_name(bench)}",
                    f"{bench['alone']['ratio']:.3f} ({bench['alone']['step']:.3f} s; {bench['alone']['gemm']:.3f} s + "
                    f"{bench['alone']['attention']:.3f} s)", f"<= {BAR}", bench["alone"]["ratio"] <= BAR)
            for bench in benches]


def caches_table(caches):
    first = caches["runs"][0]
    rows = [("run", "GFLOP", "% of uncached", "seconds", "x uncached", "transformer s", "cache s", "tokens computed", "%",
             "turns: whole", "partial", "reused", "extra passes")]
    for r in caches["runs"]:
        rows.append((r["name"], number(r["flop"] / 1e9, 0), number(100 * r["flop"] / first["flop"], 1), number(r["seconds"]),
                     number(first["seconds"] / r["seconds"], 2), number(r["transformer"]), number(r["cache"]),
                     str(r["tokens_computed"]), number(100 * r["tokens_computed"] / r["tokens"], 1), str(r["turns_whole"]),
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
    print()
    verdict_lines(result["verdicts"])


def main():
    p = argparse.ArgumentParser(prog="benchmark.sh --family magi1 --caches", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: the steps in both, the caches in float32")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--layers", type=int, default=1, help="of the runs with caches; default 1")
    p.add_argument("--steps", type=int, default=64, help="default 64, as the caches were published with")
    p.add_argument("--frames", type=int, default=72, help="default 72, three chunks")
    p.add_argument("--width", type=int, default=96, help="default 96")
    p.add_argument("--height", type=int, default=64, help="default 64")
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

    steps = min(a.steps, 32) if a.quick else a.steps  # with fewer, FlowCache reuses nothing
    command = ["--layers", str(a.layers), "--steps", str(steps), "--frames", str(a.frames), "--width", str(a.width),
               "--height", str(a.height), "--dtype", a.dtype or "float32"]
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
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
