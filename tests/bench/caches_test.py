# SPDX-License-Identifier: LGPL-2.1-or-later
"""caches_test.py: what pipelines/benchmark.sh --caches makes of results, here written by hand."""
import contextlib
import copy
import io
import math
import pathlib
import re
import sys
import tempfile

sys.dont_write_bytecode = True
root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tools" / "bench"))
import cache_pictures
import cache_report
import cache_runs
import checks
from checks import check


def near(a, b):
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


# ---- prompts and runs

prompts = cache_runs.read_prompts(root / "tools" / "bench" / "prompts.txt")
check(len(prompts) == len({p.text for p in prompts}) >= 8, "at least eight prompts, no two alike")
check(sum(p.kind == "large motion" for p in prompts) * 2 == len(prompts), "half of them with large motion")
check([p.kind for p in cache_runs.quick_prompts(prompts)] == ["large motion", "still"],
      "one of each kind where it is to be quick")
calibration = (root / "tools" / "calibrate" / "prompts.cpp").read_text(encoding="utf-8")
fitted = set(re.findall(r'"([^"\n]* [^"\n]*)"', calibration))
check(len(fitted) >= 6, "the calibration's prompts are found")
both = fitted & {p.text for p in prompts}
check(not both, f"prompts that the calibration fits to: {both}")

for balanced in (None, 0.2):
    runs = cache_runs.choose(balanced)
    check([r.settings for r in runs[:2]] == [{"attention": "causal", "cache": "none"},
                                             {"attention": "kv", "cache": "none"}],
          "first what the others are compared with")
    check(len({r.name for r in runs}) == len(runs), "names of runs are unique")
    check(not any(":" in r.name for r in runs), "and may stand before the colon of --run")
    for family in ("teacache", "flowcache", "published", "ours"):
        check(len({r.settings["threshold"] for r in runs if r.family == family}) >= 5,
              f"five settings of {family}")
    check(all(r.settings["attention"] == "kv" for r in runs[1:]), "caches run on attention=kv")
    presets = [r.label for r in runs if r.family == "presets"]
    check(presets == ([] if balanced is None else ["quality", "balanced", "fast"]), "presets if any")
    check(all(r in runs for r in cache_runs.choose_long(runs)), "the long video's settings are among them")
    check(len(cache_runs.choose(balanced, quick=True)) < len(runs) / 2, "fewer where it is to be quick")
thresholds = [r.settings["threshold"] for r in cache_runs.choose(0.2) if r.family == "ours"]
check(thresholds == ["0.1", "0.14", "0.2", "0.28", "0.4"], "multiples of the balanced threshold")
check(runs[2].argument() == "TeaCache 0.01:attention=kv,cache=teacache,threshold=0.01", "a run as an argument")

# ---- PSNR at equal FLOP

e = math.e
ours, rival = [(1, 30), (e**2, 40), (e**4, 44)], [(e, 33), (e**3, 43), (e**5, 50)]
over = cache_report.margin(ours, rival)
# Shared: log FLOP 1 to 4. Ours 35, 40, 42, 44 at 1, 2, 3, 4; the rival 33, 38, 43, 46.5.
check(near(over["smallest"], -2.5) and near(over["at"], e**4), "the smallest margin, and where")
check(near(over["mean"], (2 + (2 - 1) / 2 + (-1 - 2.5) / 2) / 3), "the mean margin is over log FLOP")
check(near(over["low"], e) and near(over["high"], e**4), "the range that both reach")
check(cache_report.margin(ours, [(e**4, 30), (e**6, 40)]) is None, "curves that only touch share no range")
check(cache_report.margin(ours, []) is None, "no rival")
check(near(cache_report.margin(list(reversed(ours)),
                               [(e**p, y - 1) for p, y in ((0, 30), (2, 40), (4, 44))])["smallest"], 1),
      "points in any order")
check(near(cache_report.margin(ours + [(1, 20)], ours)["smallest"], 0), "of equal FLOP the best counts")


# ---- figures and verdicts


def score(psnr, ssim):
    return {"psnr": psnr, "ssim": ssim, "psnr_luma": psnr + 1, "ssim_luma": ssim}


def video(denoising, flop, kv=None, full=None, partial=0, reused=0):
    v = {"denoising": denoising, "seconds": denoising + 1, "text": 0.125, "vae": 0.5, "flop": flop,
         "bytes_cache": 2**20, "bytes_keys_values": 2**21, "turns": 100,
         "turns_whole": 100 - partial - reused, "turns_partial": partial, "turns_reused": reused,
         "turns_after_warmup": 80,
         "tokens_computed": 1000 - 5 * partial - 10 * reused, "tokens": 1000}
    if kv:
        v["against_kv"] = score(*kv)
    if full:
        v["against_full"] = score(*full)
    return v


def entry(family, label, *videos):
    return {"name": f"{family} {label}", "family": family, "label": label, "settings": {},
            "videos": list(videos)}


def curve(*rows):
    return [{"share": f, "tokens": 1, "seconds": r, "ratio": r, "bar": 1.1 * f + 0.03} for f, r in rows]


result = {
    "prompts": ["a", "b"], "prompt_kinds": ["large motion", "still"], "width": 2, "height": 2, "frames": 5,
    "steps": 50,
    "dtype": "float32", "threads": 2,
    "runs": [
        entry("full", "", video(12, 1500e9), video(24, 1500e9)),
        entry("kv", "", video(8, 1000e9, full=(50, 1)), video(16, 1000e9, full=(40, 1))),
        entry("teacache", "low", video(4, 500e9, (36, .98), (35, .98)),
              video(8, 500e9, (34, .98), (33, .98))),
        entry("teacache", "high", video(1, 125e9, (22, .9), (21, .9)), video(2, 125e9, (20, .9), (19, .9))),
        entry("flowcache", "", video(4, 2000e9, (40, .99), (40, .99)),
              video(8, 2000e9, (40, .99), (40, .99))),
        entry("ours", "low", video(2, 250e9, (34, .98), (35, .98)), video(4, 250e9, (34, .98), (33, .98))),
        entry("ours", "high", video(1, 125e9, (28, .96), (21, .9)), video(2, 125e9, (26, .96), (19, .9))),
        entry("presets", "quality", video(2, 250e9, (33, .98), (35, .98), 20, 40),
              video(4, 250e9, (35, .98), (33, .98), 30, 10)),
        entry("presets", "balanced", video(1.6, 200e9, (32, .975), (35, .98), 8, 56),
              video(3.2, 200e9, (31, .975), (33, .98), 8, 56)),
        entry("presets", "fast", video(0.8, 100e9, (29, .975), (35, .98), 16, 50),
              video(1.6, 100e9, (29, .975), (33, .98), 16, 50)),
    ],
    "sparse": [{"model": "somewhere", "dtype": "float32", "layers": 8,
                "curve": curve((0.5, 0.5), (1, 1), (0, 0.01))},
               {"model": "1.3B", "dtype": "bfloat16", "layers": 2,
                "curve": curve((0.5, 0.6), (1, 1), (0, 0.01))}],
    "peer": {"bar": 0.5, "ours": [{"seconds": s, "forwards": 100} for s in (4, 9, 5)],
             "peer": [{"seconds": s, "transformer_calls": 100} for s in (10, 15, 12.5)]},
}
result["long"] = {**copy.deepcopy({k: result[k] for k in ("prompts", "prompt_kinds", "frames")}),
                  "runs": copy.deepcopy(result["runs"][:3])}
for run in result["long"]["runs"]:
    for v in run["videos"]:
        for s in (v.get("against_kv"), v.get("against_full")):
            if s:
                s["windows"] = [score(s["psnr"] + 3, .9), score(s["psnr"] - 3, .8)]


def printed(result):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        cache_report.report(result)
    return out.getvalue()


text = printed(result)
f = result["figures"]["presets quality"]
check(near(f["faster_than_kv"], 4) and near(f["faster_than_full"], 6), "speed-ups")
check(near(f["denoising"], 3) and near(f["seconds"], 4) and near(f["colour"], 0.375),
      "seconds, and what is left is colour")
check(near(f["partial"], 50 / 160) and near(f["partial_of_computed"], 50 / 110), "shares of partial forwards")
check(near(f["tokens"], (2000 - 250 - 500) / 2000) and near(f["flop_of_kv"], 0.25), "tokens and FLOP")
check(near(f["against_kv"]["psnr"], 34) and near(f["against_kv"]["worst_psnr"], 33),
      "PSNR, and that of the worst prompt")
check(f["against_kv"]["kinds"] == {"large motion": 33, "still": 35}, "PSNR of each kind of prompts")


def verdicts(result):
    return {v["what"]: v for v in cache_report.verdicts_of(result)}


def of(part, result=result):
    found = [v for what, v in verdicts(result).items() if part in what]
    check(len(found) == 1, f"one verdict of {part!r}, not {len(found)}")
    return found[0]


check(of("denoising against key/value")["met"] is True
      and "5.00 x (presets balanced" in of("denoising against key/value")["figure"],
      "the fastest preset that has the quality; a faster one that lacks it does not count")
check(of("denoising against full")["met"] is True and "7.50 x" in of("denoising against full")["figure"],
      "against the full window")
check(of("the mark")["met"] is False, "5 is not 8")
check(of("above TeaCache at")["met"] is True, "above TeaCache")
check("+6.00 dB at the least (125 GFLOP), +6.00 in the mean (125 to 250 GFLOP)"
      in of("above TeaCache at")["figure"], "by how much")
check(of("above FlowCache")["met"] is False and "no FLOP" in of("above FlowCache")["figure"],
      "where nothing is shared nothing is shown")
check(of("preset=quality")["met"] is True and of("preset=balanced")["met"] is False
      and of("preset=fast")["met"] is True,
      "a fifth of the forwards: 31, 10 and exactly 20 per cent")
check(of("the model, float32")["met"] is True and of("1.3B sizes")["met"] is False, "curves of partial steps")
check("0.6000 at f = 0.50, where the bar is 0.5800" in of("1.3B sizes")["figure"], "the worst point of a curve")
check(of("against the peer")["met"] is True and of("against the peer")["figure"].startswith("0.40 of it"),
      "the median of pairs")
check(text.count("NOT met") == sum(v["met"] is False for v in result["verdicts"]) == 4,
      "what is not met is printed so")

other = copy.deepcopy(result)
other["peer"]["ours"][0]["forwards"] = 140
check("not equal work" in of("against the peer", other)["what"], "a peer that does other work is told")
other["peer"]["bar"] = None
check(of("against the peer", other)["met"] is None, "no bar, no verdict")
for run in other["runs"]:
    for v in run["videos"]:
        if "against_kv" in v:
            v["against_kv"]["ssim"] = .969
printed(other)
check(of("denoising against key/value", other)["met"] is False
      and "no run has the quality" in of("denoising against key/value", other)["figure"],
      "SSIM counts as PSNR does")
other["runs"] = [run for run in result["runs"] if run["family"] not in ("presets", "teacache")]
del other["peer"], other["sparse"], other["long"]
printed(other)
check(of("denoising against key/value", other)["met"] is True, "without presets any threshold counts")
check(of("preset=fast", other)["met"] is None and of("above TeaCache at", other)["met"] is None
      and of("against the peer", other)["met"] is None,
      "nothing is said of what was not measured")

check(re.search(r"^presets quality +250 +25\.0 +3\.000 +4\.00 +6\.00 ", text, re.M), "the table of work")
check(re.search(r"^teacache low +2 +32\.00 +0\.8000 ", text, re.M),
      "the table of windows: 35 dB in the mean, 3 less in the second")
check(re.search(r"^1\.3B sizes, 2 layers, bfloat16 +0\.600 +1\.000 +0\.010$", text, re.M),
      "the curve's table")

# ---- pictures

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for i in range(len(result["runs"])):
        (folder / f"{i}.rgb").write_bytes(bytes([i]) * (5 * 2 * 2 * 3))
    made = cache_pictures.charts(folder, result) + cache_pictures.contact_sheet(folder, result, folder)
    check(all(path.stat().st_size > 500 for path in made) and len(made) == 4, "charts and the contact sheet")
    check("MotionCache presets" in made[0].read_text() and "TeaCache" in made[0].read_text(),
          "a chart names its lines")
names = [r["name"] for r in cache_pictures.sheet_runs(result)]
check(names == ["full ", "kv ", "presets balanced", "teacache high", "flowcache "],
      "beside each other what costs the same")
checks.end()
