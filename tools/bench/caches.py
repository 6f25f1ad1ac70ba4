# SPDX-License-Identifier: LGPL-2.1-or-later
"""Caches beside each other, on the same prompts and seeds: what they save and what it does to the video.

Run by pipelines/benchmark.sh --caches, which builds first. Runs the full window (attention=causal) and attention=kv
without a cache, then TeaCache, FlowCache and MotionCache at several settings each; prints tables of
work, seconds and quality, the curve of partial steps, and each bar with its figure. The status is 0 whether
bars are met or not.

A peer is a command as --help without --caches describes it, which must understand --steps N too; it is run in
turn with the full window.
"""
import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cache_pictures
import cache_report
import cache_runs

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(command, **kwargs):
    """The JSON line that a command prints; what it says besides is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        sys.stderr.write(done.stderr[-4000:])
        shown = command if isinstance(command, str) else " ".join(command)
        sys.exit(f"benchmark: failed with {done.returncode}: {shown}")
    return json.loads(lines[-1])


def say(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def prompt_file(prompts):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(prompt.text + "\n" for prompt in prompts))
        file.flush()
        yield file.name


class Bench:
    def __init__(self, a):
        self.folder = pathlib.Path(a.build) / "tools" / "bench"
        self.model = a.model
        self.common = ["--dtype", a.dtype, "--threads", str(a.threads)]
        self.sizes = ["--steps", str(a.steps)]
        for name in ("width", "height", "base_num_frames"):
            if getattr(a, name):
                self.sizes += ["--" + name.replace("_", "-"), str(getattr(a, name))]

    def caches(self, prompts, runs, frames=None, seed=0, dump=None):
        with prompt_file(prompts) as name:
            command = [str(self.folder / "motioncache-cache-bench"), self.model, "--prompts", name,
                       "--seed", str(seed),
                       *self.common, *self.sizes]
            for each in runs:
                command += ["--run", each.argument()]
            if frames:
                command += ["--frames", str(frames)]
            if dump:
                command += ["--dump", str(dump)]
            return run(command)

    def section(self, what, prompts, runs, frames=None, dump=None):
        """A process per prompt, so that there is something to see meanwhile; loading is not timed."""
        section = None
        for i, prompt in enumerate(prompts):
            start = time.monotonic()
            part = self.caches([prompt], runs, frames, i, None if i else dump)
            took = time.monotonic() - start
            say(f"{what}: prompt {i + 1} of {len(prompts)}, {len(runs)} videos in {took:.0f} s")
            if not section:
                section = part
                for mine, each in zip(section["runs"], runs):
                    mine.update(family=each.family, label=each.label)
            else:
                section["prompts"] += part["prompts"]
                for mine, other in zip(section["runs"], part["runs"]):
                    mine["videos"] += other["videos"]
        section["prompt_kinds"] = [prompt.kind for prompt in prompts]
        return section

    def tokens(self, prompts, frames=None):
        """One entry per prompt: how much more moving tokens change."""
        videos = []
        for i, prompt in enumerate(prompts):
            say(f"moving and still tokens: prompt {i + 1} of {len(prompts)}")
            with prompt_file([prompt]) as name:
                videos += run([str(self.folder / "motioncache-token-bench"), self.model, "--prompts", name, "--seed",
                               str(i),
                               *self.common, *self.sizes, *(["--frames", str(frames)] if frames else [])])["videos"]
        return videos

    def sparse(self, threads, quick):
        program = str(self.folder / "motioncache-sparse-bench")
        benches = []
        # The bar is one of medians of 9; the demo's steps are short enough for more.
        for model, more in ((self.model, ["--rounds", "1" if quick else "15"]),
                            ("1.3B", ["--rounds", "9", "--layers", "2"])):
            for dtype in ("float32", "bfloat16"):
                if quick and (model == "1.3B" or dtype == "bfloat16"):
                    continue
                say(f"partial steps: {model}, {dtype}")
                benches.append(run([program, model, "--dtype", dtype, "--threads", str(threads), *more]))
        return benches

    def peer(self, a, prompt, full):
        runs = {"ours": [], "peer": [], "bar": a.peer_bar}
        for i in range(a.repeat):
            say(f"the peer and the full window in turn: {i + 1} of {a.repeat}")
            runs["ours"].append(self.caches([prompt], [full], a.frames)["runs"][0]["videos"][0])
            runs["peer"].append(run(f"{a.peer} --dtype {a.dtype} --threads {a.threads} --steps {a.steps}",
                                    shell=True))
        return runs


def arguments():
    p = argparse.ArgumentParser(prog="benchmark.sh --caches", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(ROOT / "models" / "demo"),
                   help="a model folder; default: the demo model")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32",
                   help="of the videos; default float32")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--steps", type=int, help="default: 50 as published, 12 with --quick")
    p.add_argument("--frames", type=int, help="default: the model's")
    p.add_argument("--long-frames", type=int, default=97,
                   help="of a video of several windows; default 97, 0 for none")
    p.add_argument("--base-num-frames", type=int, help="of a window; default: the model's")
    p.add_argument("--width", type=int, help="default: the model's")
    p.add_argument("--height", type=int, help="default: the model's")
    p.add_argument("--prompts", metavar="FILE", default=str(ROOT / "tools" / "bench" / "prompts.txt"))
    p.add_argument("--json", metavar="FILE", help="write every video's figures, all tables and verdicts here")
    p.add_argument("--again", metavar="FILE", help="run nothing, print the tables and verdicts of such a file")
    p.add_argument("--pictures", metavar="FOLDER", default="benchmark-caches",
                   help="charts (SVG) and a contact sheet (PNG); default: benchmark-caches, here")
    p.add_argument("--peer", metavar="CMD", help="another program to run in turn, see above")
    p.add_argument("--peer-bar", metavar="X", type=float, default=0.6,
                   help="the full window should take at most X times the seconds of the peer; default 0.6")
    p.add_argument("--repeat", type=int, default=3, help="runs of the peer; default 3")
    p.add_argument("--no-sparse", action="store_true", help="leave the curve of partial steps out")
    p.add_argument("--quick", action="store_true",
                   help="two prompts, two settings each, few steps: a smoke test")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.steps = a.steps or (12 if a.quick else 50)
    return a


def main():
    a = arguments()
    if a.again:
        cache_report.report(json.loads(pathlib.Path(a.again).read_text()))
        return
    bench = Bench(a)
    prompts = cache_runs.read_prompts(a.prompts)
    if a.quick:
        prompts = cache_runs.quick_prompts(prompts)
    balanced = cache_runs.balanced_threshold(a.model)
    runs = cache_runs.choose(balanced, a.quick)
    folder = pathlib.Path(a.pictures)
    folder.mkdir(parents=True, exist_ok=True)
    if a.json:
        pathlib.Path(a.json).touch()  # rather now than after ten minutes
    with tempfile.TemporaryDirectory() as dump:
        result = {"model": a.model, "steps": a.steps, "calibrated": balanced is not None}
        result.update(bench.section("caches", prompts, runs, a.frames, pathlib.Path(dump)))
        if a.long_frames:
            result["long"] = bench.section("long video",
                                           cache_runs.quick_prompts(prompts)[:1 if a.quick else 2],
                                           cache_runs.choose_long(runs), a.long_frames)
        if a.peer:
            result["peer"] = bench.peer(a, prompts[0], runs[0])
        if not a.no_sparse:
            result["sparse"] = bench.sparse(a.threads, a.quick)
        cache_report.report(result)
        made = cache_pictures.charts(folder, result) + cache_pictures.contact_sheet(folder, result,
                                                                                    pathlib.Path(dump))
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")
        made.append(pathlib.Path(a.json))
    print("\nwritten: " + ", ".join(map(str, made)))


if __name__ == "__main__":
    main()
