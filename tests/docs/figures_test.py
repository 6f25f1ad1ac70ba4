# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every figure of the demo model in the documentation was measured on the model that lies in models/demo.

tools/demo/take-in.sh measures them, writes docs/figures.json, and from it the figures in the Markdown.
"""
import json
import pathlib
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tools" / "demo"))
import figures
import pages
import sheets
import weights

failures = cases = 0


def check(ok, what):
    global failures, cases
    cases += 1
    if not ok:
        failures += 1
        print("FAILED:", what)


def faults_of_model(data, model):
    out = []
    if data["model"] != weights.fingerprint(model):
        out.append("the figures are of other weights than those in models/demo")
    if data["settings"] != weights.fingerprint(model, weights.SETTINGS):
        out.append("the figures are of other defaults, or of another calibration, than those in models/demo")
    return out


def faults_of_pages(data, texts):
    blocks = figures.blocks(data)
    return [fault for name, text in texts.items() for fault in pages.faults(name, text, data["figures"], blocks)]


data = json.loads(figures.FILE.read_text(encoding="utf-8"))
texts = {name: (root / name).read_text(encoding="utf-8") for name in figures.PAGES}
model = root / "models" / "demo"

# ---- the tree

for fault in faults_of_model(data, model) + faults_of_pages(data, texts):
    check(False, f"{fault}; run tools/demo/take-in.sh")
check(set(data["pictures"]) == set(figures.PICTURES), "a picture was not drawn")
for name, digest in figures.pictures_now().items():
    check(data["pictures"].get(name) == digest, f"{name} is not what was drawn with these figures")
check((root / "docs" / "contact-sheet.png").stat().st_size < 2 << 20, "the contact sheet is under 2 MiB")
if data["quick"]:
    print("note: the figures are those of a quick run")

# One sentence is the first that a stranger sees, wherever it stands.
first = sheets.first_prompt(texts["README.md"])
for name in ("gst/motioncachegen.cpp", "pipelines/quickstart.sh", "engine/motioncache.h.in"):
    check(first in (root / name).read_text(encoding="utf-8"),
          f"{name} has another first prompt than the README: {first}")
check(first in sheets.sheet_prompts(False), "it is on the contact sheet")
check(len(sheets.sheet_prompts(False)) >= 24, "the contact sheet shows at least 24 prompts")

# ---- that each of these can fail

key = "balanced.psnr"
other = {**data, "figures": {**data["figures"], key: "99.9"}}
check(any('"speed"' in fault for fault in faults_of_pages(other, texts)), "a figure of another run is seen in a table")
text = "A gain of 1.4<!--=kv.faster--> times and 12 dB more, on 160 x 96, 99.9 %<!--bound--> of it.\n"
check(pages.faults("x", text, {"kv.faster": "1.4"}, {}) == [
    'x: "12 dB" has no name of a figure: A gain of 1.4<!--=kv.faster--> times and 12 dB more, on 160 x 96, 99.9 %<!--bound--> '
    "of it."], "a figure without a name")
check(any("was measured as 1.5" in fault for fault in pages.faults("x", text, {"kv.faster": "1.5"}, {})),
      "a figure that is not the measured one")
for unit in (" dB", " s", " x", " %", " MiB", "x", "%", " ms", " times"):
    check(len(pages.faults("x", f"It is 3.5{unit}, so.", {}, {})) == 1, f"the unit{unit}")
check(not pages.faults("x", "544 x 960, 8 layers, 24 frames\n```\n3 dB\n```\n", {}, {}),
      "sizes, counts and code are none")
block = "<!-- measured: t -->\n| 3 dB |\n<!-- /measured -->\n"
check(not pages.faults("x", block, {}, {"t": "| 3 dB |"}), "a block")
check(len(pages.faults("x", block, {}, {"t": "| 4 dB |"})) == 1, "another block")
check(len(pages.faults("x", block, {}, {})) == 1, "a block that nothing was measured for")
check(pages.faults("x", block.replace("/measured", "measured"), {}, {"t": "| 3 dB |"}), "a block without an end")
check(pages.faults("x", "a lot<!--=kv.faster--> more", {"kv.faster": "2"}, {}), "a name without a number")
written = pages.write(block + text, {"kv.faster": "2.5"}, {"t": "| 7 dB |"})
check("| 7 dB |" in written and "2.5<!--=kv.faster--> times" in written, "figures are written where they stand")
check(pages.write(written, {"kv.faster": "2.5"}, {"t": "| 7 dB |"}) == written, "once more changes nothing")

with tempfile.TemporaryDirectory() as folder:
    copy = pathlib.Path(folder) / "demo"
    shutil.copytree(model, copy)
    check(not faults_of_model({"model": weights.fingerprint(model),
                               "settings": weights.fingerprint(model, weights.SETTINGS)}, copy), "the same model")
    config = copy / "generation_config.json"
    config.write_text(config.read_text().replace('"steps"', '"steps" '))
    check(len(faults_of_model(data, copy)) >= 1, "another default")
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    check(any("other weights" in fault for fault in faults_of_model(data, copy)), "another weight")

print(f"cases: {cases - failures} passed, {failures} failed, 0 skipped")
sys.exit(1 if failures else 0)
