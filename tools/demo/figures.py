# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/figures.json and the blocks of Markdown that are made of it: what was measured on the demo model, as it is printed."""
import datetime
import hashlib
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "bench"))
import cache_report
import tokens
import weights

FILE = ROOT / "docs" / "figures.json"
PAGES = ("README.md", "models/demo/README.md", *sorted(f"docs/{page.name}" for page in ROOT.glob("docs/*.md")))
PICTURES = ("docs/sample.png", "docs/contact-sheet.png", "docs/overlay.png", "docs/caches-quality.svg",
            "docs/caches-sheet.png")

# Rows of the table in docs/caches.md: key, and of which run; "" is a family's only one.
ROWS = {"full": ("full", ""), "kv": ("kv", ""),
        "teacache-0.03": ("teacache", "0.03"), "teacache-0.1": ("teacache", "0.1"), "teacache-0.2": ("teacache", "0.2"),
        "flowcache-0.03": ("flowcache", "0.03"), "flowcache-0.1": ("flowcache", "0.1"),
        "published-0.03": ("published", "0.03"), "published-0.1": ("published", "0.1"),
        "quality": ("presets", "quality"), "balanced": ("presets", "balanced"), "fast": ("presets", "fast"),
        "balanced-repeat": ("ours-repeat", None), "balanced-taylor": ("ours-taylor", None),
        "teacache-solver-0.03": ("teacache-solver", "0.03"), "teacache-solver-0.1": ("teacache-solver", "0.1")}
NAMES = {"full": "full window, uncached", "kv": "key/value-cached, uncached", "quality": "**quality**",
         "balanced": "**balanced**", "fast": "**fast**", "balanced-repeat": "balanced with reuse=repeat",
         "balanced-taylor": "balanced with reuse=taylor"}


def name_of(key):
    family, label = ROWS[key]
    if key in NAMES:
        return NAMES[key]
    return {"published": "MotionCache as published,", "teacache": "TeaCache", "flowcache": "FlowCache",
            "teacache-solver": "TeaCache, reuse=solver,"}[family] + f" {label}"


def number(value, digits=3):
    """So many digits that count, none beyond the point of a number of more."""
    return f"{value:.{max(0, digits - len(str(int(abs(value)))))}f}" if abs(value) >= 1 else f"{value:.{digits - 1}f}"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def pictures_now():
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in PICTURES if (ROOT / name).exists()}


def of_run(result, family, label):
    runs = [run for run in result["runs"] if run["family"] == family]
    if label is None:  # the threshold of the balanced preset is the middle one
        return runs[len(runs) // 2] if len(runs) % 2 else None
    return next((run for run in runs if run["label"] == label), None)


def from_caches(result):
    """Figures by name."""
    figures = {"prompts": str(len(result["prompts"])), "steps": str(result["steps"])}
    for key, (family, label) in ROWS.items():
        run = of_run(result, family, label)
        if not run:
            continue
        f = result["figures"][run["name"]]
        values = {"flop": number(100 * f["flop_of_kv"]), "denoising": f"{f['denoising']:.2f}",
                  "seconds": f"{f['seconds']:.2f}", "vae": f"{f['vae']:.2f}",
                  "rest": f"{f['text'] + f['colour']:.2f}", "faster-kv": number(f["faster_than_kv"]),
                  "faster": number(f["faster_than_full"]), "tokens": number(100 * f["tokens"])}
        if f["partial"] is not None and key not in ("full", "kv"):
            values["partial"] = f"{100 * f['partial']:.0f}"
        scores = f.get("against_kv") or (f.get("against_full") if key == "kv" else None)
        if key == "full":  # the comparison is the same from either side
            scores = result["figures"][result["runs"][1]["name"]].get("against_full")
        if scores:
            values.update(psnr=f"{scores['psnr']:.1f}", ssim=f"{scores['ssim']:.4f}")
        values["cache-mib"] = f"{f['bytes_cache'] / 2**20:.1f}"
        values["kv-mib"] = f"{f['bytes_keys_values'] / 2**20:.1f}"
        figures.update({f"{key}.{what}": value for what, value in values.items()})

    def points(family):
        return [(result["figures"][run["name"]]["flop"], result["figures"][run["name"]]["against_kv"]["psnr"])
                for run in result["runs"] if run["family"] == family]
    for rival in ("teacache", "flowcache", "published", "teacache-solver"):
        over = cache_report.margin(points("ours"), points(rival))
        if over:
            figures[f"above.{rival}.mean"] = f"{over['mean']:+.1f}"
            figures[f"above.{rival}.least"] = f"{over['smallest']:+.1f}"
    if result.get("long"):
        windows = [v["against_kv"]["windows"] for v in result["long"]["runs"][2]["videos"]]
        figures["long.frames"] = str(result["long"]["frames"])
        for i in range(len(windows[0])):
            figures[f"long.window{i + 1}.psnr"] = f"{sum(w[i]['psnr'] for w in windows) / len(windows):.1f}"
    sparse = [bench for bench in result.get("sparse", []) if bench["model"] != "1.3B" and bench["dtype"] == "float32"]
    for bench in sparse:
        worst = max(bench["curve"], key=lambda row: row["ratio"] - row["bar"])
        figures.update({"sparse.ratio": f"{worst['ratio']:.3f}", "sparse.share": f"{worst['share']:.2f}",
                        "sparse.bar": f"{worst['bar']:.3f}"})
    if result.get("peer"):
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(result["peer"]["ours"], result["peer"]["peer"])]
        figures["peer.ratio"] = f"{sorted(ratios)[len(ratios) // 2]:.2f}"
    return figures


def from_tokens(result):
    figures = {"tokens.prompts": str(len(result["prompts"])), "tokens.steps": str(result["steps"])}
    for measure, phases in result["ratios"].items():
        for phase, s in phases.items():
            for what in ("median", "low", "high", "least", "most"):
                figures[f"moving.{measure}.{phase}.{what}"] = f"{s[what]:.2f}"
    for reuse, rivals in result["margins"].items():
        for rival, s in rivals.items():
            for what in ("mean", "low", "high", "least", "most"):
                figures[f"choice.{reuse}.{rival}.{what}"] = f"{s[what]:+.2f}"
            figures[f"choice.{reuse}.{rival}.won"] = str(s["won"])
            figures[f"choice.{reuse}.{rival}.count"] = str(s["count"])
    return figures


def gather(caches, token_result, model, training, sheet, quick):
    """What docs/figures.json holds."""
    return {"about": "Written by tools/demo/take-in.sh from what it measured; figures as they are printed. Do not edit.",
            "quick": quick, "date": datetime.date.today().isoformat(),
            "machine": processor(), "threads": caches["threads"], "precision": caches["dtype"],
            "size": f"{caches['width']} x {caches['height']}", "frames": caches["frames"],
            "model": weights.fingerprint(model), "settings": weights.fingerprint(model, weights.SETTINGS),
            "pictures": pictures_now(), "sheet": sheet, "training": training,
            "figures": {**from_caches(caches), **from_tokens(token_result)}}


# ---- blocks

def blocks(data):
    """{name: Markdown} of every block; all numbers are those of data."""
    f = data["figures"]
    note = ("*A quick run: these figures only show that the measuring works. `tools/demo/take-in.sh` measures "
            "them properly.*\n\n") if data["quick"] else ""
    return {"speed": note + speed(data, f), "caches": note + caches_table(data, f), "equal-flop": equal_flop(f),
            "memory": memory(f), "sparse": sparse(f), "moving": note + moving(data, f), "choice": note + choice(f),
            "training": "\n".join(data["training"]), "sheet": sheet_caption(data)}


def ssim(text):
    return text.lstrip("0")


def speed(data, f):
    head = ("| the demo model, {steps} steps, {prompts} prompts, half of them with large motion | denoising | times as "
            "fast | PSNR, SSIM against kv, uncached |\n|---|---|---|---|\n").format(**f)
    rows = ""
    for key, text in (("full", "`attention=causal cache=none` (the full window)"), ("kv", "`attention=kv cache=none`"),
                      ("quality", "`cache-preset=quality`"), ("balanced", "`cache-preset=balanced` (the default)"),
                      ("fast", "`cache-preset=fast`")):
        quality = f"{f[key + '.psnr']} dB, {ssim(f[key + '.ssim'])}" if key != "kv" else ""
        rows += f"| {text} | {f[key + '.denoising']} s | {f[key + '.faster']} x | {quality} |\n"
    end = (f"\nMeasured in one run on {data['date']}, {data['precision']}, {data['threads']} threads of "
           f"{data['machine']}.")
    if "peer.ratio" in f:
        slow = float(f["peer.ratio"])
        end += (f" The full window takes {f['peer.ratio']} of the time of Diffusers on the same machine"
                + (", so the gain is not over a slow baseline." if slow < 1 else "."))
    return head + rows + wrap(end)


def caches_table(data, f):
    out = wrap(f"{data['size']}, {data['frames']} frames, {f['steps']} steps, {data['precision']}, {data['threads']} "
               f"threads of {data['machine']}, nothing on a GPU.") + "\n\n"
    out += ("| run | FLOP of kv | denoising s | x kv | x full | tokens | partial forwards | PSNR | SSIM |\n"
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
    for key in ROWS:
        if key + ".flop" not in f:
            continue

        def value(what, unit=""):
            shown = f"{key}.{what}" in f and (key != "kv" or what not in ("psnr", "ssim"))
            return f[f"{key}.{what}"] + unit if shown else ""
        out += (f"| {name_of(key)} | {value('flop')} % | {value('denoising')} | {value('faster-kv')} | {value('faster')} | "
                f"{value('tokens')} % | {value('partial', ' %')} | {value('psnr')} | {ssim(value('ssim'))} |\n")
    end = (f"Means over {f['prompts']} prompts, half of them with large motion, none of them used for calibrating; "
           "seconds are medians, speed-ups medians of pairs; quality against the key/value-cached uncached video. \"As "
           "published\" is the published method with this model's polynomial. A partial forward computes some tokens of a "
           "chunk and not all; the share is of all after warm-up, those that compute nothing included. Of balanced the "
           f"whole video takes {f['balanced.seconds']} s: {f['balanced.denoising']} denoising, {f['balanced.vae']} VAE, "
           f"{f['balanced.rest']} text and colour; without any cache {f['full.seconds']} s.")
    if "long.window2.psnr" in f:
        end += (f" A video of two windows ({f['long.frames']} frames) has {f['long.window1.psnr']} dB in its first and "
                f"{f['long.window2.psnr']} dB in its second.")
    return out + "\n" + wrap(end)


def equal_flop(f):
    parts = []
    for rival, name in (("teacache", "TeaCache"), ("flowcache", "FlowCache"), ("published", "MotionCache as published"),
                        ("teacache-solver", "TeaCache with our rule of reuse")):
        key = f"above.{rival}"
        parts.append(f"{name} {f[key + '.mean']} dB in the mean ({f[key + '.least']} at the least)"
                     if key + ".mean" in f
                     else f"{name}: no FLOP that both reach")
    return wrap("At equal FLOP, interpolated where both have settings, MotionCache with its balanced preset's settings "
                "and other thresholds lies above its rivals, or below where there is a minus, by: " + "; ".join(parts) + ".")


def memory(f):
    text = f"Memory: keys and values of a window {f['balanced.kv-mib']} MiB, what a cache keeps {f['balanced.cache-mib']} MiB"
    if "balanced-repeat.cache-mib" in f:
        text += f" (reuse=repeat {f['balanced-repeat.cache-mib']} MiB, taylor {f['balanced-taylor.cache-mib']} MiB)"
    return wrap(text + ".")


def sparse(f):
    if "sparse.ratio" not in f:
        return "How long a step takes that computes a share of a chunk's tokens was not measured."
    met = float(f["sparse.ratio"]) <= float(f["sparse.bar"])
    return wrap("**Fewer tokens in a step**: with a share f of a chunk's tokens a step is to take at most 1.10 f + 0.03 of a "
                f"whole one. Measured at its worst: {f['sparse.ratio']} at f = {f['sparse.share']}, where "
                f"{f['sparse.bar']} is the most; " + ("so it does." if met else "so it does not there."))


def moving(data, f):
    out = "| moving tokens | steps | median | quartiles | least to most |\n|---|---|--:|--:|--:|\n"
    for measure, text in tokens.MEASURES.items():
        for phase in (*tokens.PHASES, "all"):
            k = f"moving.{measure}.{phase}"
            if k + ".median" in f:
                out += (f"| {text} | {phase} | {f[k + '.median']} | {f[k + '.low']} to {f[k + '.high']} | "
                        f"{f[k + '.least']} to {f[k + '.most']} |\n")
    s = {what: float(f[f"moving.finished.all.{what}"]) for what in ("median", "low", "high")}
    return out + "\n" + wrap(f"Over {f['tokens.prompts']} prompts, {f['tokens.steps']} steps. " + tokens.moving_verdict(s))


def choice(f):
    out = "| MotionCache against | reuse | mean | quartiles | least to most | prompts won | |\n|---|---|--:|--:|--:|--:|---|\n"
    verdicts = {}
    for reuse in tokens.REUSES:
        for rival, text in tokens.RIVALS.items():
            k = f"choice.{reuse}.{rival}"
            if k + ".mean" not in f:
                out += f"| {text} | {reuse} | | | | | no FLOP that both reach |\n"
                continue
            said = tokens.choice_verdict({"low": float(f[k + ".low"]), "high": float(f[k + ".high"])})
            verdicts[reuse, rival] = said
            out += (f"| {text} | {reuse} | {f[k + '.mean']} | {f[k + '.low']} to {f[k + '.high']} | {f[k + '.least']} to "
                    f"{f[k + '.most']} | {f[k + '.won']} of {f[k + '.count']} | {said} |\n")
    end = f"PSNR in dB above the rival's at equal FLOP, over {f['tokens.prompts']} prompts. "
    end += " ".join(f"With reuse={reuse}, against {tokens.RIVALS[rival]}, {said}."
                    for (reuse, rival), said in verdicts.items())
    return out + "\n" + wrap(end + (" " if verdicts else "") + "Clear is what holds for three prompts in four.")


def sheet_caption(data):
    s = data["sheet"]
    return wrap(f"{s['prompts']} prompts, seeds {', '.join(map(str, s['seeds']))}, of each video the frames "
                f"{', '.join(map(str, s['frames']))} of {data['frames']}: made with the model's own defaults "
                f"({s['steps']} steps, guidance {s['guidance']}, shift {s['shift']}, no negative prompt, the balanced cache). "
                "No video was left out or chosen.")


def wrap(text):
    import textwrap
    start = "\n" if text.startswith("\n") else ""
    return start + textwrap.fill(text.strip(), 118, break_long_words=False, break_on_hyphens=False)
