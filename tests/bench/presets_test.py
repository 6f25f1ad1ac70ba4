# SPDX-License-Identifier: LGPL-2.1-or-later
"""presets_test.py: what pipelines/benchmark.sh --presets makes of results, here written by hand."""
import contextlib
import io
import math
import pathlib
import re
import sys

sys.dont_write_bytecode = True
root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tools" / "bench"))
import presets
import checks
from checks import check


def video(denoising, flop, computed, psnr=None):
    v = {"denoising": denoising, "flop": flop, "tokens_computed": computed, "tokens": 1000}
    return {**v, "against_kv": {"psnr": psnr}} if psnr is not None else v


uncached = [video(4, 100, 1000), video(9, 100, 1000), video(8, 100, 1000)]
cached = [video(2, 30, 300, 30), video(3, 40, 400, 36), video(2, 50, 500, 33)]
row = presets.row_of("6 steps", "balanced", 35, uncached, cached)
check(math.isclose(row["psnr"], 33) and row["worst"] == 30, "mean and worst prompt")
check(math.isclose(row["tokens"], 0.4) and math.isclose(row["flop"], 0.4), "shares of tokens and FLOP")
check(row["faster"] == 3, "the median of pairs")
check(row["kept"], "2 dB under what is stated is still kept")
low = presets.row_of("6 steps", "balanced", 35.01, uncached, cached)
check(not low["kept"], "more is not")
out = io.StringIO()
with contextlib.redirect_stdout(out):
    presets.report([row, low])
lines = out.getvalue().splitlines()
check(re.fullmatch(r"6 steps +balanced +35.0 +33.0 +30.0 +40.0 % +3.00 x +kept", lines[1]), "a row: " + lines[1])
check(lines[2].endswith("NOT kept"), "a row that does not")
check(lines[-1].startswith("1 of 2 rows keep the promise"), "the sum")

names = [name for name, _ in presets.SETTINGS]
check(len(set(names)) == len(names) and names[0] == "as calibrated", "names are unique")
check(set(presets.QUICK) <= set(names), "the quick ones are among them")
check(presets.SETTINGS[0][1] == {}, "the first row changes nothing")
steps = [change["steps"] for _, change in presets.SETTINGS if "steps" in change]
check(min(steps) == 4 and max(steps) == 200, "from 4 to 200 steps")
checks.end()
