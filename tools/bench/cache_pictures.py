# SPDX-License-Identifier: LGPL-2.1-or-later
"""Charts and the contact sheet of pipelines/benchmark.sh --caches."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "quality"))
import pictures

from cache_runs import FAMILIES

METHODS = ("teacache", "flowcache", "published", "ours", "presets")
REUSES = ("teacache", "teacache-solver", "ours-repeat", "ours-taylor", "ours")


def chart(path, result, families, x, **texts):
    """x(figures): where a run's point lies."""
    lines = []
    for family in families:
        points = [(x(figures), figures["against_kv"]["psnr"], run["label"]) for run in result["runs"]
                  if run["family"] == family for figures in [result["figures"][run["name"]]]]
        if points:
            lines.append((FAMILIES[family], sorted(points)))
    pictures.trade_off(str(path), lines, y_title="PSNR against key/value-cached, uncached", **texts)


def charts(folder, result):
    """Returns the files."""
    subtitle = (f"{len(result['prompts'])} prompts, {result['width']}x{result['height']}, "
                f"{result['frames']} frames, {result['steps']} steps, {result['dtype']}, "
                f"{result['threads']} threads")
    work = {"x": lambda f: round(100 * f["flop_of_kv"], 2), "x_title": "FLOP of the run without a cache",
            "x_unit": " %"}
    time = {"x": lambda f: round(f["faster_than_kv"], 2),
            "x_title": "denoising, times as fast as without a cache", "x_unit": " x"}
    made = []
    for name, families, axis, title in (("quality-over-flop", METHODS, work, "Quality against work"),
                                        ("quality-over-speed", METHODS, time, "Quality against speed"),
                                        ("reuse-rules", REUSES, work, "What the rule of reuse does")):
        made.append(folder / f"{name}.svg")
        chart(made[-1], result, families, title=title, subtitle=subtitle, **axis)
    return made


def nearest(result, family, flop):
    runs = [run for run in result["runs"] if run["family"] == family]
    return min(runs, key=lambda run: abs(result["figures"][run["name"]]["flop"] - flop), default=None)


def sheet_runs(result):
    """Both uncached runs, MotionCache's balanced preset (or its middle setting), and of each other family the
    run of most nearly the same FLOP: what is seen side by side has cost the same."""
    runs = result["runs"]
    ours = [run for run in runs if run["family"] == "presets" and run["label"] == "balanced"]
    if not ours:
        ours = [run for run in runs if run["family"] == "ours"]
    ours = ours[len(ours) // 2]
    flop = result["figures"][ours["name"]]["flop"]
    return runs[:2] + [ours] + [run for family in ("published", "teacache", "flowcache")
                                for run in [nearest(result, family, flop)] if run]


def contact_sheet(folder, result, dump):
    """dump: folder of what motioncache-cache-bench --dump wrote, for the first prompt."""
    index = {run["name"]: i for i, run in enumerate(result["runs"])}
    rows = []
    for run in sheet_runs(result):
        label, video = run["name"].replace(", ", "\n"), run["videos"][0]
        if "against_kv" in video:
            faster = result["runs"][1]["videos"][0]["denoising"] / video["denoising"]
            psnr, gflop = video["against_kv"]["psnr"], video["flop"] / 1e9
            label += f"\n{psnr:.1f} dB\n{gflop:.0f} GFLOP\n{faster:.1f} x"
        rows.append((label, (dump / f"{index[run['name']]}.rgb").read_bytes()))
    last = result["frames"] - 1
    columns = list(dict.fromkeys(round(last * share / 4) for share in range(5)))
    path = folder / "contact-sheet.png"
    pictures.contact_sheet(str(path), rows, columns, result["width"], result["height"],
                           title=result["prompts"][0])
    return [path]
