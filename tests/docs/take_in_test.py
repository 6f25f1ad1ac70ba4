# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tools/demo/take-in.sh refuses to take in, and what it takes."""
import json
import pathlib
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tools" / "demo"))
import weights

model = root / "models" / "demo"
failures = cases = 0
README = """# Weights

Trained for 160 x 96.

What it was taught: a ball. Captions look like:

    a red ball

How well:

| part | figure |
|---|---|
| VAE | 26 dB |

The rest is not copied.
"""
VAE = "vae/diffusion_pytorch_model.safetensors"


def check(ok, what):
    global failures, cases
    cases += 1
    if not ok:
        failures += 1
        print("FAILED:", what)


def refused(what, part, change):
    """change(folder) spoils a good one."""
    with tempfile.TemporaryDirectory() as place:
        folder = new_folder(place)
        change(folder)
        try:
            weights.check(folder, model)
            check(False, f"{what}: taken")
        except weights.Refused as refusal:
            check(part in str(refusal) and str(refusal).endswith("."), f"{what}: {refusal}")


def new_folder(place):
    folder = pathlib.Path(place) / "new"
    shutil.copytree(model, folder)
    (folder / "README.md").write_text(README)
    return folder


def config(name, **values):
    def change(folder):
        text = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**text, **values}))
    return change


def bytes_of(name, change):
    return lambda folder: (folder / name).write_bytes(change(bytearray((folder / name).read_bytes())))


refused("no folder", "no such folder", lambda folder: shutil.rmtree(folder))
refused("a missing file", "lacks tokenizer/spiece.model", lambda folder: (folder / "tokenizer/spiece.model").unlink())
refused("no README", "lacks README.md", lambda folder: (folder / "README.md").unlink())
refused("other layers", "another num_layers", config("transformer/config.json", num_layers=9))
refused("another key", "another new_key", config("vae/config.json", new_key=1))
refused("another size", "another width", config("generation_config.json", width=320))
refused("a cut file", "is cut off", bytes_of(VAE, lambda data: data[:-4]))
refused("no safetensors", "is no safetensors file", bytes_of(VAE, lambda data: data[:4]))
refused("NaN", "no finite number", bytes_of(VAE, lambda data: data[:-2] + b"\xc0\x7f"))
refused("another tensor", "tensors are not those", bytes_of(VAE, lambda data: data.replace(b'"F32"', b'"I32"', 1)))
refused("no table", '"How well" with a table',
        lambda folder: (folder / "README.md").write_text(README.split("How well")[0]))
refused("a place of a machine", "a place of one machine",
        lambda folder: (folder / "README.md").write_text(README.replace("26 dB", "26 dB, see /home/me/log")))

with tempfile.TemporaryDirectory() as place:
    folder = new_folder(place)
    # Another training: other values, other statistics of the latents, other defaults that are chosen by eye.
    bytes_of(VAE, lambda data: data[:-4] + b"\0\0\0\0")(folder)
    config("vae/config.json", latents_mean=[0.5] * 16)(folder)
    config("generation_config.json", steps=77)(folder)
    weights.check(folder, model)
    ours = pathlib.Path(place) / "ours"
    shutil.copytree(model, ours)
    (ours / "motioncache.json").write_text("{}")
    check(not weights.copy(model, ours) and (ours / "motioncache.json").exists(), "the same weights change nothing")
    check(weights.copy(folder, ours), "other weights are told")
    check(weights.fingerprint(ours) == weights.fingerprint(folder), "all of it is copied")
    check(not (ours / "motioncache.json").exists(), "a calibration of other weights goes")
    check("77" not in (ours / "generation_config.json").read_text(), "what was chosen by eye stays")
    lines = weights.training(folder)
    check("    a red ball" in lines and "| VAE | 26 dB |" in lines and "not copied" not in "".join(lines),
          "what the model was taught and how well")

print(f"cases: {cases - failures} passed, {failures} failed, 0 skipped")
sys.exit(1 if failures else 0)
