# SPDX-License-Identifier: LGPL-2.1-or-later
"""Times the bare session part by part, its arithmetic alone, the element, and another program in turn with them.

Run by pipelines/benchmark.sh, which builds first. All but the peer use the model's own defaults unless an
option says otherwise. Each program runs --repeat times, all of them in turn; the table shows medians, the JSON file
every run.

A peer is a command that understands `--dtype float32|bfloat16 --threads N`, loads, generates, and prints a line of
JSON with "seconds", the time without loading, and what it knows of "text", "transformer", "vae", "transformer_calls".
A peer without a key/value cache does the work of --attention causal or full.

With --caches, --presets, --tokens, --beside or --live this is another benchmark, each with a --help of its own.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

PARTS = ("text", "transformer", "scheduler", "vae", "colour")


def run(command, **kwargs):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **kwargs)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        shown = command if isinstance(command, str) else " ".join(command)
        sys.exit(f"benchmark: failed with {done.returncode}: {shown}")
    return json.loads(lines[-1])


def median(runs, *path):
    values = []
    for value in runs:
        for key in path:
            value = value.get(key) if value else None
        if value is not None:
            values.append(value)
    return statistics.median(values) if values else None


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))))


def number(value, digits=3):
    return "" if value is None else f"{value:.{digits}f}"


def report(dtype, ours, element, peer):
    """Prints the tables of one precision and returns the figures in them."""
    first = ours[0]
    total, gemm, attention = median(ours, "seconds"), median(ours, "alone", "gemm"), median(ours, "alone", "attention")
    transformer = median(ours, "transformer")
    figures = {"transformer_over_alone": transformer / (gemm + attention)}
    print(f"\n{dtype}, {first['threads']} threads, {first['width']}x{first['height']}, {first['frames']} frames, "
          f"{first['transformer_calls']} forwards, median of {len(ours)}")
    rows = [("part", "seconds", "GFLOP", "GFLOP/s", "peer", "ours/peer")]
    known = 0
    for part in PARTS:
        seconds, flop, other = median(ours, part), first["flop"].get(part), median(peer, part)
        known += seconds
        rows.append((part, number(seconds), number(flop and flop / 1e9, 1), number(flop and flop / seconds / 1e9, 1),
                     number(other), number(other and seconds / other, 2)))
    rows.append(("other", number(total - known), "", "", "", ""))
    other = median(peer, "seconds")
    flop = sum(first["flop"].values())
    rows.append(("all", number(total), number(flop / 1e9, 1), number(flop / total / 1e9, 1), number(other),
                 number(other and total / other, 2)))
    table(rows)
    if peer:
        figures["seconds_over_peer"] = total / other
        if median(peer, "transformer"):
            figures["transformer_over_peer"] = transformer / median(peer, "transformer")
        calls = median(peer, "transformer_calls")
        if calls and calls != first["transformer_calls"]:
            print(f"not equal work: the peer ran its transformer {calls:.0f} times, this program {first['transformer_calls']} times")
    print(f"the transformer's calls alone: GEMM {gemm:.3f} s, attention {attention:.3f} s; the transformer takes "
          f"{figures['transformer_over_alone']:.2f} times as long")
    library = median(ours, "alone", "library")
    figures["gemm_over_library"] = gemm / library
    print(f"LibTorch's library takes {library:.3f} s for the same products, the transformer's kernels "
          f"{figures['gemm_over_library']:.2f} of that")
    rates = {who: median(ours, "product_rate", who) for who in ("library", "own")}
    most = max(rates.values())
    products = sum(2e-9 * c["m"] * c["n"] * c["k"] * c["count"] for c in first["calls"] if c["kind"] == "gemm")
    figures["transformer_over_machine"] = first["flop"]["transformer"] / 1e9 / transformer / most
    figures["products_over_machine"] = products / gemm / most
    print(f"this machine multiplies 2048 x 2048 matrices in {dtype} at {rates['library']:.0f} GFLOP/s with LibTorch's library and "
          f"at {rates['own']:.0f} with the transformer's kernels; of the faster, the transformer reaches "
          f"{100 * figures['transformer_over_machine']:.0f} %, its GEMM alone {100 * figures['products_over_machine']:.0f} %")
    print(f"first frame after {median(ours, 'first_frame'):.3f} s; loading {median(ours, 'load'):.3f} s")
    size = {key: median(ours, "bytes", key) / 2**20 for key in first["bytes"]}
    figures["peak_over_weights"] = (size["peak"] - size["before_loading"]) / size["weights"]
    print(f"memory: peak {size['peak']:.0f} MiB, {size['before_loading']:.0f} MiB of it the libraries before loading; "
          f"weights {size['weights']:.1f} MiB, planned {size['planned']:.1f} MiB; the peak above the libraries is "
          f"{figures['peak_over_weights']:.1f} times the weights")
    if element:
        # In pairs, as they ran: what the machine did meanwhile met both.
        figures["element_over_session"] = statistics.median(e["seconds"] / o["seconds"] for e, o in zip(element, ours))
        print(f"the element takes {median(element, 'seconds'):.3f} s, {100 * (figures['element_over_session'] - 1):+.1f} % "
              f"against the session; first buffer after {median(element, 'first_frame'):.3f} s")
    return figures


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    p = argparse.ArgumentParser(prog="benchmark.sh", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(root / "models" / "demo"), help="a model folder; default: the demo model")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: both, one after the other")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--repeat", type=int, default=3, help="runs of each program; default 3")
    p.add_argument("--prompt", default="a white boat moving left on the sea")
    p.add_argument("--frames", type=int, help="default: the model's")
    p.add_argument("--steps", type=int, help="default: the model's")
    p.add_argument("--attention", choices=("full", "causal", "kv"), help="default: the model's")
    p.add_argument("--json", metavar="FILE", help="write every run and the figures here")
    p.add_argument("--peer", metavar="CMD", help="another program to run in turn, see above")
    p.add_argument("--no-element", action="store_true", help="leave the element out")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    bench = pathlib.Path(a.build) / "tools" / "bench"
    result = {"model": a.model, "threads": a.threads, "prompt": a.prompt, "precisions": {}}
    dtypes = [a.dtype] if a.dtype else ["float32", "bfloat16"]
    runs = {dtype: {"session": [], "element": [], "peer": []} for dtype in dtypes}
    given = {name: str(getattr(a, name)) for name in ("frames", "steps", "attention") if getattr(a, name)}
    session = [str(bench / "motioncache-session-bench"), a.model, "--threads", str(a.threads), "--prompt", a.prompt]
    session += [x for name, value in given.items() for x in (f"--{name}", value)]
    stream = [str(bench / "motioncache-element-bench"), f"model-path={a.model}", f"threads={a.threads}",
              f"prompt={a.prompt}", "seed=0", "device=cpu"]
    stream += [f"{'num-frames' if name == 'frames' else name}={value}" for name, value in given.items()]
    for i in range(a.repeat):
        for dtype in dtypes:  # in turn, so that what the machine does meanwhile meets both
            print(f"{dtype}: run {i + 1} of {a.repeat}", file=sys.stderr)
            runs[dtype]["session"].append(run([*session, "--dtype", dtype]))
            if not a.no_element:
                runs[dtype]["element"].append(run([*stream, f"precision={dtype}"]))
            if a.peer:
                runs[dtype]["peer"].append(run(f"{a.peer} --dtype {dtype} --threads {a.threads}", shell=True))
    for dtype, r in runs.items():
        result["precisions"][dtype] = {"figures": report(dtype, r["session"], r["element"], r["peer"]), **r}
    if len(dtypes) == 2:
        seconds = [median(runs[dtype]["session"], "transformer") for dtype in dtypes]
        result["transformer_bfloat16_over_float32"] = seconds[1] / seconds[0]
        print(f"\nthe transformer in bfloat16 takes {seconds[1] / seconds[0]:.2f} of its time in float32")
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
