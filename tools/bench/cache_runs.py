# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pipelines/benchmark.sh --caches runs: which caches with which settings, on which prompts."""
import json
import pathlib
from typing import NamedTuple

# Family of runs -> what tables and charts call it. A family is one line of a chart: only thresholds differ.
FAMILIES = {
    "full": "full window, uncached",
    "kv": "key/value-cached, uncached",
    "teacache": "TeaCache",
    "flowcache": "FlowCache",
    "published": "MotionCache as published",
    "ours": "MotionCache",
    "presets": "MotionCache presets",
    "ours-repeat": "MotionCache, reuse=repeat",
    "ours-taylor": "MotionCache, reuse=taylor",
    "teacache-solver": "TeaCache, reuse=solver",
}
PRESETS = ("quality", "balanced", "fast")

# They begin below the published ones, which start at 0.1, so that as much is computed as with MotionCache: runs are
# only compared at amounts of work that both reach.
THRESHOLDS = {"teacache": (0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.2, 0.3),
              "flowcache": (0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.3),
              "published": (0.01, 0.02, 0.03, 0.045, 0.1, 0.2)}
PUBLISHED = {"attention": "kv", "cache": "motioncache", "preset": "custom", "warmup": "4",
             "coarse-updates": "6",
             "weight-floor": "0.6"}
# Of the balanced preset's threshold.
MULTIPLES = (0.5, 0.7, 1, 1.4, 2)
# Where the model has no motioncache.json: settings of the kind that a calibration finds.
UNCALIBRATED = {"attention": "kv", "cache": "motioncache", "preset": "custom", "warmup": "0",
                "coarse-updates": "0",
                "weight-floor": "0.8", "min-ratio": "0.2", "first-share": "0.4", "noise-power": "2",
                "reuse": "solver"}
UNCALIBRATED_THRESHOLDS = (0.06, 0.09, 0.12, 0.18, 0.25)


class Run(NamedTuple):
    name: str
    family: str
    label: str  # at its point in a chart: threshold or preset
    settings: dict  # as motioncache-cache-bench takes them

    def argument(self):
        return self.name + ":" + ",".join(f"{key}={value}" for key, value in self.settings.items())


class Prompt(NamedTuple):
    text: str
    kind: str  # the comment line above it: "large motion" or "still"


def read_prompts(path):
    prompts, kind = [], ""
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            kind = line[1:].strip()
        elif line.strip():
            prompts.append(Prompt(line.strip(), kind))
    return prompts


def quick_prompts(prompts):
    """The first of each kind."""
    return list({prompt.kind: prompt for prompt in reversed(prompts)}.values())[::-1]


def balanced_threshold(model):
    """None: the model was not calibrated."""
    file = pathlib.Path(model) / "motioncache.json"
    return json.loads(file.read_text())["presets"]["balanced"]["threshold"] if file.exists() else None


def quick_settings(values):
    return (values[0], values[-1])


def choose(balanced, quick=False):
    """All runs; the first two are what the others are compared with. balanced: see balanced_threshold."""
    pick = quick_settings if quick else tuple

    def family(key, settings, thresholds):
        return [Run(f"{FAMILIES[key]} {threshold:.3g}", key, f"{threshold:.3g}",
                    {**settings, "threshold": f"{threshold:.6g}"})
                for threshold in pick(thresholds)]

    if balanced is None:
        ours, thresholds = UNCALIBRATED, UNCALIBRATED_THRESHOLDS
    else:
        ours = {"attention": "kv", "cache": "motioncache", "preset": "balanced"}
        thresholds = [multiple * balanced for multiple in MULTIPLES]
    kv = {"attention": "kv"}
    runs = [Run(FAMILIES["full"], "full", "", {"attention": "causal", "cache": "none"}),
            Run(FAMILIES["kv"], "kv", "", {**kv, "cache": "none"})]
    runs += family("teacache", {**kv, "cache": "teacache"}, THRESHOLDS["teacache"])
    runs += family("flowcache", {**kv, "cache": "flowcache"}, THRESHOLDS["flowcache"])
    runs += family("published", PUBLISHED, THRESHOLDS["published"])
    runs += family("ours", ours, thresholds)
    if balanced is not None:
        runs += [Run(f"preset={preset}", "presets", preset, {**kv, "cache": "motioncache", "preset": preset})
                 for preset in PRESETS]
    # What the rule of reuse does to each: ours to the others, and the others' to ours.
    runs += family("ours-repeat", {**ours, "reuse": "repeat"}, thresholds)
    runs += family("ours-taylor", {**ours, "reuse": "taylor"}, thresholds)
    runs += family("teacache-solver", {**kv, "cache": "teacache", "reuse": "solver"}, THRESHOLDS["teacache"])
    return runs


def choose_long(runs):
    """For a video of several windows: both uncached runs, and the middle setting of MotionCache."""
    ours = [run for run in runs if run.family == "presets" and run.label == "balanced"]
    if not ours:
        ours = [run for run in runs if run.family == "ours"]
    return runs[:2] + [ours[len(ours) // 2]]
