# SPDX-License-Identifier: LGPL-2.1-or-later
"""report.py SESSION_BENCH MODEL: the benchmark's figures add up, and its calls are those that the model's sizes make."""
import json
import pathlib
import subprocess
import sys

import checks
from checks import check

bench, model = sys.argv[1], pathlib.Path(sys.argv[2])
frames, width, height, steps = 9, 160, 96, 2
line = subprocess.run([bench, str(model), "--dtype", "float32", "--threads", "1", "--frames", str(frames), "--width",
                       str(width),
                       "--height", str(height), "--steps", str(steps)], check=True, stdout=subprocess.PIPE,
                       text=True).stdout
run = json.loads(line)
config = json.loads((model / "transformer" / "config.json").read_text())
wide, layers = config["num_attention_heads"] * config["attention_head_dim"], config["num_layers"]
tokens = (1 + (frames - 1) // 4) * (height // 16) * (width // 16)
forwards = run["transformer_calls"]


def count(**wanted):
    return sum(c["count"] for c in run["calls"] if all(c[k] == v for k, v in wanted.items()))


check(run["frames"] == frames, "frames delivered")
check(forwards == 2 * steps, "a forward for each step and branch: one chunk, with guidance")
check(count(kind="gemm", m=tokens, n=config["ffn_dim"], k=wide) == layers * forwards, "feed-forward in")
check(count(kind="gemm", m=tokens, n=wide, k=config["ffn_dim"]) == layers * forwards, "feed-forward out")
check(count(kind="gemm", m=tokens, n=wide, k=wide) == 6 * layers * forwards,
      "query, key, value and output of self-attention, query and output of cross-attention")
check(count(kind="attention", m=tokens, n=tokens, k=wide) == layers * forwards, "self-attention")
flop = sum((2 if c["kind"] == "gemm" else 4) * c["m"] * c["n"] * c["k"] * c["count"] for c in run["calls"])
check(flop == run["flop"]["transformer"], "FLOP of the calls and of the transformer")
parts = sum(run[part] for part in ("text", "transformer", "scheduler", "vae", "colour"))
check(0.8 * run["seconds"] < parts <= run["seconds"], "the parts make up the whole")
check(0 < run["first_frame"] <= run["seconds"], "time to the first frame")
check(run["alone"]["gemm"] > 0 and run["alone"]["attention"] > 0, "the calls alone take time")
check(run["product_rate"]["library"] > 0 and run["product_rate"]["own"] > 0, "the machine multiplies")
check(run["bytes"]["peak"] > run["bytes"]["before_loading"] + run["bytes"]["weights"] > 0,
      "peak memory holds the weights")
print(line, end="")
checks.end()
