# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures, tables and verdicts of pipelines/benchmark.sh --caches, from what its programs printed.

Every function takes parts of the JSON file that the benchmark writes, so that a report can be printed again.
"""
import math
import statistics

from benchmark import number, table
from cache_runs import FAMILIES, PRESETS

# The bars. Quality is that against the key/value-cached uncached run, in RGB.
PSNR, SSIM = 30, 0.97
OVER_KV, OVER_FULL, MARK = 4, 6, 8
PARTIAL = 0.2
SCORES = ("psnr", "ssim", "psnr_luma", "ssim_luma")


# ---- figures

def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def figures_of(run, full, kv, kinds):
    """Over a run's videos, one per prompt; full, kv: the uncached runs' videos; kinds: of each prompt."""
    videos = run["videos"]

    def median(key):
        return statistics.median(key(video) for video in videos)

    def faster(than):
        # In pairs, prompt by prompt: what the machine did meanwhile met both.
        return statistics.median(a["denoising"] / b["denoising"] for a, b in zip(than, videos))

    def share(part, of):
        of = sum(map(of, videos))
        return sum(map(part, videos)) / of if of else None

    figures = {
        "flop": mean(v["flop"] for v in videos),
        "denoising": median(lambda v: v["denoising"]),
        "text": median(lambda v: v["text"]),
        "vae": median(lambda v: v["vae"]),
        "colour": median(lambda v: v["seconds"] - v["text"] - v["denoising"] - v["vae"]),
        "seconds": median(lambda v: v["seconds"]),
        "faster_than_kv": faster(kv),
        "faster_than_full": faster(full),
        "flop_of_kv": share(lambda v: v["flop"], lambda v: mean(k["flop"] for k in kv)),
        "tokens": share(lambda v: v["tokens_computed"], lambda v: v["tokens"]),
        # Of all turns of a chunk after warm-up, and of those that compute anything.
        "partial": share(lambda v: v["turns_partial"], lambda v: v["turns_after_warmup"]),
        "partial_of_computed": share(lambda v: v["turns_partial"],
                                     lambda v: v["turns_after_warmup"] - v["turns_reused"]),
        "bytes_cache": max(v["bytes_cache"] for v in videos),
        "bytes_keys_values": max(v["bytes_keys_values"] for v in videos),
    }
    for reference in ("kv", "full"):
        scores = [v.get("against_" + reference) for v in videos]
        if None in scores:
            continue
        figures["against_" + reference] = {
            **{key: mean(s[key] for s in scores) for key in SCORES},
            "worst_psnr": min(s["psnr"] for s in scores),
            "kinds": {kind: mean(s["psnr"] for s, k in zip(scores, kinds) if k == kind)
                      for kind in dict.fromkeys(kinds)}}
    return figures


def all_figures(section, kinds):
    full, kv = section["runs"][0]["videos"], section["runs"][1]["videos"]
    return {run["name"]: figures_of(run, full, kv, kinds) for run in section["runs"]}


# ---- PSNR at equal FLOP

def at(curve, x):
    """Of (x, y) points in ascending x, x within them."""
    for (x0, y0), (x1, y1) in zip(curve, curve[1:]):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1] if x >= curve[-1][0] else curve[0][1]


def curve(points):
    """(FLOP, PSNR) points to (log FLOP, PSNR), ascending; of equal FLOP, the best."""
    best = {}
    for flop, psnr in points:
        best[math.log(flop)] = max(psnr, best.get(math.log(flop), -math.inf))
    return sorted(best.items())


def margin(ours, rival):
    """How many dB ours lies above rival where both have points on both sides; piecewise linear over log FLOP.

    Returns smallest and mean margin, the FLOP of the smallest and the shared range; None if they share none.
    """
    ours, rival = curve(ours), curve(rival)
    if not ours or not rival:
        return None
    low, high = max(ours[0][0], rival[0][0]), min(ours[-1][0], rival[-1][0])
    if low >= high:
        return None
    # Both are straight between these, so nothing happens in between.
    knots = sorted({low, high} | {x for x, _ in ours + rival if low < x < high})
    over = [at(ours, x) - at(rival, x) for x in knots]
    area = sum((b - a) * (y + z) / 2 for a, b, y, z in zip(knots, knots[1:], over, over[1:]))
    smallest = min(over)
    return {"smallest": smallest, "mean": area / (high - low), "at": math.exp(knots[over.index(smallest)]),
            "low": math.exp(low), "high": math.exp(high)}


# ---- verdicts

def verdict(what, figure, bar, met):
    """met: None where it was not measured, or where there is a figure but no bar."""
    return {"what": what, "figure": figure, "bar": bar, "met": met}


def quality(figures):
    scores = figures["against_kv"]
    return f"{scores['psnr']:.2f} dB, {scores['ssim']:.4f}"


def speed_verdicts(runs, figures):
    # What a user picks by name counts; without a calibration there is nothing to pick: any threshold does.
    family = "presets" if any(run["family"] == "presets" for run in runs) else "ours"
    names = [run["name"] for run in runs if run["family"] == family]
    good = [n for n in names if figures[n]["against_kv"]["psnr"] >= PSNR
            and figures[n]["against_kv"]["ssim"] >= SSIM]
    condition = f"at PSNR >= {PSNR} dB and SSIM >= {SSIM}"
    verdicts = []
    for key, of, bar in (("faster_than_kv", "kv", OVER_KV), ("faster_than_full", "full", OVER_FULL),
                         ("faster_than_kv", "kv", MARK)):
        what = f"denoising against {FAMILIES[of]}, {condition}"
        if bar == MARK:
            what = f"the mark, against {FAMILIES[of]}"
        limit = f">= {bar} x"
        if good:
            best = max(good, key=lambda n: figures[n][key])
            text = f"{figures[best][key]:.2f} x ({best}: {quality(figures[best])})"
            verdicts.append(verdict(what, text, limit, figures[best][key] >= bar))
        else:
            text = "no run has the quality" if names else "not measured"
            verdicts.append(verdict(what, text, limit, False if names else None))
    return verdicts


def margin_verdicts(runs, figures):
    def points(family):
        return [(figures[run["name"]]["flop"], figures[run["name"]]["against_kv"]["psnr"]) for run in runs
                if run["family"] == family]

    verdicts = []
    # With our rule of reuse TeaCache is not the published one any more; its figure is there to compare.
    for rival, judged in (("teacache", True), ("flowcache", True), ("teacache-solver", False),
                          ("published", False)):
        what = f"PSNR of MotionCache above {FAMILIES[rival]} at equal FLOP"
        limit = "> 0 dB" if judged else "no bar"
        if not points("ours") or not points(rival):
            verdicts.append(verdict(what, "not measured", limit, None))
            continue
        over = margin(points("ours"), points(rival))
        if over is None:
            verdicts.append(verdict(what, "no FLOP that both reach", limit, False if judged else None))
            continue
        text = (f"{over['smallest']:+.2f} dB at the least ({gflop(over['at'])} GFLOP), "
                f"{over['mean']:+.2f} in the mean ({gflop(over['low'])} to {gflop(over['high'])} GFLOP)")
        verdicts.append(verdict(what, text, limit, over["smallest"] > 0 if judged else None))
    return verdicts


def partial_verdicts(runs, figures):
    verdicts = []
    for preset in PRESETS:
        what = f"forwards after warm-up that compute a part of the tokens, preset={preset}"
        limit = f">= {PARTIAL:.0%}"
        found = [figures[run["name"]] for run in runs if run["family"] == "presets"
                 and run["label"] == preset]
        share = found[0]["partial"] if found else None
        if share is None:
            verdicts.append(verdict(what, "not measured" if found else "the model is not calibrated", limit,
                                    None))
        else:
            text = f"{share:.1%} of all, {found[0]['partial_of_computed'] or 0:.1%} of those that compute any"
            verdicts.append(verdict(what, text, limit, share >= PARTIAL))
    return verdicts


def sparse_verdicts(sparse):
    verdicts = []
    for bench in sparse or []:
        worst = max(bench["curve"], key=lambda row: row["ratio"] - row["bar"])
        text = f"{worst['ratio']:.4f} at f = {worst['share']:.2f}, where the bar is {worst['bar']:.4f}"
        verdicts.append(verdict(f"time of a partial step, {sparse_name(bench)}", text, "<= 1.10 f + 0.03",
                                all(row["ratio"] <= row["bar"] for row in bench["curve"])))
    return verdicts


def peer_verdicts(peer):
    what = "whole seconds of the full window against the peer"
    if not peer:
        return [verdict(what, "not measured: give --peer", "no bar", None)]
    # In pairs, as they ran.
    ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(peer["ours"], peer["peer"]))
    ours, theirs = (statistics.median(run["seconds"] for run in peer[side]) for side in ("ours", "peer"))
    calls = peer["peer"][0].get("transformer_calls")
    if calls and calls != peer["ours"][0]["forwards"]:
        what += f" (not equal work: {calls} forwards there, {peer['ours'][0]['forwards']} here)"
    bar = peer.get("bar")
    return [verdict(what, f"{ratio:.2f} of it ({ours:.2f} s, {theirs:.2f} s)",
                    f"<= {bar:g}" if bar else "no bar",
                    ratio <= bar if bar else None)]


def verdicts_of(result):
    runs, figures = result["runs"], result["figures"]
    return (speed_verdicts(runs, figures) + margin_verdicts(runs, figures) + partial_verdicts(runs, figures)
            + sparse_verdicts(result.get("sparse")) + peer_verdicts(result.get("peer")))


# ---- what is printed

def percent(value):
    return "" if value is None else f"{100 * value:.1f}"


def gflop(value):
    return number(value / 1e9, 0 if value >= 1e11 else 2)


def mib(value):
    return f"{value / 2**20:.1f}"


def work_table(runs, figures):
    rows = [("run", "GFLOP", "% of kv", "denoising s", "x kv", "x full", "text s", "VAE s", "colour s",
             "whole s", "tokens %",
             "partial %", "of computed", "cache MiB", "K/V MiB")]
    for run in runs:
        f = figures[run["name"]]
        rows.append((run["name"], gflop(f["flop"]), percent(f["flop_of_kv"]), number(f["denoising"]),
                     number(f["faster_than_kv"], 2), number(f["faster_than_full"], 2), number(f["text"]),
                     number(f["vae"]),
                     number(f["colour"]), number(f["seconds"]), percent(f["tokens"]), percent(f["partial"]),
                     percent(f["partial_of_computed"]), mib(f["bytes_cache"]), mib(f["bytes_keys_values"])))
    table(rows)


def quality_table(runs, figures):
    kinds = list(figures[runs[0]["name"]].get("against_kv", {}).get("kinds", {}))
    kinds = kinds or list(dict.fromkeys(k for f in figures.values()
                                        for k in f.get("against_kv", {}).get("kinds", {})))
    rows = [("run, against", "kv: PSNR", "SSIM", "Y PSNR", "Y SSIM", "worst", *kinds, "full: PSNR", "SSIM",
             "Y PSNR", "Y SSIM")]
    for run in runs[1:]:
        kv, full = figures[run["name"]].get("against_kv"), figures[run["name"]].get("against_full")
        cells = [run["name"]]
        for scores in (kv, full):
            cells += [number(scores and scores[key], 2 if "psnr" in key else 4) for key in SCORES]
            if scores is kv:
                cells.append(number(kv and kv["worst_psnr"], 2))
                cells += [number(kv and kv["kinds"][kind], 2) for kind in kinds]
        rows.append(tuple(cells))
    table(rows)


def windows_table(section):
    rows = [("run", "window", "kv: PSNR", "SSIM", "Y PSNR", "Y SSIM", "full: PSNR", "SSIM", "Y PSNR",
             "Y SSIM")]
    for run in section["runs"][1:]:
        scores = {reference: [v.get("against_" + reference) for v in run["videos"]]
                  for reference in ("kv", "full")}
        windows = len(run["videos"][0]["against_full"].get("windows", []))
        for window in [*range(windows), None]:
            cells = [run["name"], "all" if window is None else str(window + 1)]
            for reference in ("kv", "full"):
                for key in SCORES:
                    values = [s if window is None else s["windows"][window] for s in scores[reference] if s]
                    cells.append(number(mean(v[key] for v in values), 2 if "psnr" in key else 4))
            rows.append(tuple(cells))
    table(rows)


def sparse_name(bench):
    sizes = {"1.3B": "1.3B", "magi1-4.5B": "MAGI-1 4.5B"}.get(bench["model"])
    model = f"{sizes} sizes, {bench['layers']} layers" if sizes else "the model"
    return f"{model}, {bench['dtype']}"


def sparse_table(sparse):
    shares = [row["share"] for row in sparse[0]["curve"]]
    rows = [("time(f) / time(1)", *(f"f={share:.1f}" for share in shares))]
    rows += [(sparse_name(bench), *(f"{row['ratio']:.3f}" for row in bench["curve"])) for bench in sparse]
    rows.append(("bar: 1.10 f + 0.03", *(f"{row['bar']:.3f}" for row in sparse[0]["curve"])))
    table(rows)


def verdict_lines(verdicts):
    words = {True: "met", False: "NOT met", None: "-"}
    for v in verdicts:
        print(f"{words[v['met']]:7}  {v['what']}: {v['figure']} (wanted: {v['bar']})")


def report(result):
    """Prints it all; result["figures"] and result["verdicts"] are made anew."""
    kinds = result["prompt_kinds"]
    result["figures"] = all_figures(result, kinds)
    result["verdicts"] = verdicts_of(result)
    print(f"\n{len(result['prompts'])} prompts, {result['width']}x{result['height']}, {result['frames']} "
          f"frames, {result['steps']} steps, {result['dtype']}, {result['threads']} threads; seconds are "
          "medians over the prompts, speed-ups medians of pairs, the rest means\n")
    work_table(result["runs"], result["figures"])
    print("\nPSNR in dB and SSIM, of RGB and of luma, means over frames\n")
    quality_table(result["runs"], result["figures"])
    if result.get("long"):
        section = result["long"]
        section["figures"] = all_figures(section, section["prompt_kinds"])
        print(f"\na long video: {section['frames']} frames, {len(section['prompts'])} prompts\n")
        work_table(section["runs"], section["figures"])
        print()
        windows_table(section)
    if result.get("sparse"):
        print("\na step of which a share f of the tokens is computed\n")
        sparse_table(result["sparse"])
    print()
    verdict_lines(result["verdicts"])
