# SPDX-License-Identifier: LGPL-2.1-or-later
"""The goals beside the figures of a run: tests/gpu/goals.py FOLDER, the results of tests/gpu.sh run. Ends with 1 where one is missed."""
import json
import os
import sys

D, FFN, HEADS = 1536, 8960, 12
CHUNK, TEXT = 5, 512  # latent frames, text rows: of the benchmark's shape


def lines(folder, name):
    path = os.path.join(folder, name + ".log")
    if not os.path.exists(path):
        return []
    found = []
    for line in open(path, encoding="utf-8", errors="replace"):
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found


def flop_of_step(layers, tokens, keys):
    """Both branches: products of a row of the layers, and its attention to keys and text."""
    row = 2 * (6 * D * D + 2 * D * FFN) + 4 * D * (keys + TEXT)
    return 2 * layers * tokens * row


def main(folder):
    rows, missed = [], False
    peak = next((x["gemm_tflops"] for x in lines(folder, "backends") if "gemm_tflops" in x), None)
    for step in lines(folder, "step"):
        whole = step["curve"][9]
        frame = whole["tokens"] / CHUNK
        rate = flop_of_step(step["layers"], whole["tokens"], frame * step["frames"]) / whole["seconds"] / 1e12
        if peak:
            share = rate / peak
            rows.append(("dense step, share of the measured bf16 product rate", f"{share:.2f}", ">= 0.60",
                         share >= 0.60))
        else:
            rows.append(("dense step, TFLOP/s", f"{rate:.3f}", "", True))
        some = step["curve"][1]
        if peak:
            rate = flop_of_step(step["layers"], some["tokens"], frame * step["frames"]) / some["seconds"] / 1e12
            rows.append(("partial step at 20 % of the tokens, share of that rate", f"{rate / peak:.2f}", "", True))
        sparse = some["ratio"]
        rows.append(("partial step at 20 % of the tokens, of a whole one", f"{sparse:.2f}", "<= 0.25", sparse <= 0.25))
        later = some["first"] / some["seconds"]
        rows.append(("the same, its first time, of later ones", f"{later:.1f}", "", True))
        streamed = next(iter(lines(folder, "streamed")), None)
        if streamed and streamed["layers"] == step["layers"]:
            times = streamed["curve"][9]["seconds"] / whole["seconds"]
            rows.append(("dense step, all layers streamed, of a resident one", f"{times:.2f}", "<= 1.10",
                         times <= 1.10))
    vae = {line["dtype"]: line for line in lines(folder, "vae")}
    for dtype, line in vae.items():
        share = line["taken"] / line["planned"]
        rows.append((f"VAE in {dtype}, memory taken of planned", f"{share:.2f}", "<= 1", share <= 1))
    if "bfloat16" in vae:
        half = vae["bfloat16"]
        rate = half["flop_per_latent"] / half["seconds_per_latent"] / 1e12
        if peak:
            rows.append(("VAE in bfloat16, share of that rate", f"{rate / peak:.2f}", ">= 0.25", rate / peak >= 0.25))
        else:
            rows.append(("VAE in bfloat16, TFLOP/s", f"{rate:.3f}", "", True))
    for line in lines(folder, "video"):
        which = f"1.3B, a chunk of {line['width']}x{line['height']}, {line['which']} time"
        parts = ", ".join(f"{part} {line[part]:.2f}" for part in ("text", "transformer", "scheduler", "vae"))
        rows.append((f"{which}: seconds", f"{line['seconds']:.2f}", parts, True))
        share = line["taken"] / line["planned"]
        rows.append((f"{which}: memory taken of planned", f"{share:.2f}", "<= 1", share <= 1))
    for what, got, goal, met in rows:
        print(f"{what:62} {got:>8} {goal:>8} {'' if met else 'MISSED'}".rstrip())
        missed = missed or not met
    if not rows:
        print("no figures: the part \"step\" has none")
    return missed or not rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
