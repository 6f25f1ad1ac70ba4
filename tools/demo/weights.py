# SPDX-License-Identifier: LGPL-2.1-or-later
"""A model folder taken in: checked against the shape of the one in models/demo, copied, described, told by a hash."""
import hashlib
import json
import pathlib
import re
import shutil
import struct

PARTS = {"transformer": "diffusion_pytorch_model.safetensors", "text_encoder": "model.safetensors",
         "vae": "diffusion_pytorch_model.safetensors"}
CONFIGS = ("model_index.json", "scheduler/scheduler_config.json", "transformer/config.json",
           "text_encoder/config.json", "vae/config.json", "tokenizer/special_tokens_map.json",
           "tokenizer/tokenizer_config.json")
FILES = (*CONFIGS, "tokenizer/spiece.model", *(f"{part}/{file}" for part, file in PARTS.items()))
TRAINED = {"latents_mean", "latents_std"}  # of configs: figures of the training, not of the shape
SETTINGS = ("generation_config.json", "motioncache.json")
# What is chosen by eye on contact sheets and stays as it is in the tree.
CHOSEN = ("steps", "guidance_scale", "shift")


class Refused(Exception):
    """A sentence with the cause and the remedy."""


def fingerprint(model, files=FILES):
    """Of the weights and configs; pass SETTINGS for what they are run with."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256((model / name).read_bytes()).digest())
    return "sha256:" + digest.hexdigest()


def tensors(path):
    """{name: (type, shape)}; refuses a file that is cut off or holds what is no number."""
    data = path.read_bytes()
    try:
        size, = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + size])
    except (struct.error, ValueError):
        raise Refused(f"{path}: is no safetensors file; fetch it again.") from None
    header.pop("__metadata__", None)
    if max(t["data_offsets"][1] for t in header.values()) != len(data) - 8 - size:
        raise Refused(f"{path}: is cut off; fetch it again.")
    for name, t in header.items():
        begin, end = (8 + size + offset for offset in t["data_offsets"])
        if t["dtype"] in ("BF16", "F32"):
            wide = 2 if t["dtype"] == "BF16" else 4
            # Infinite or not a number: all bits of the exponent are set. The two highest bytes have them.
            high, low = data[begin + wide - 1:end:wide], data[begin + wide - 2:end:wide]
            if any(h & 0x7F == 0x7F and l & 0x80 for h, l in zip(high, low)):
                raise Refused(f"{path}: {name} holds a value that is no finite number; train it again.")
    return {name: (t["dtype"], t["shape"]) for name, t in header.items()}


def shape_of(model, name):
    config = json.loads((model / name).read_text())
    return {key: value for key, value in config.items() if key not in TRAINED and not key.startswith("_")}


def check(folder, model):
    """Refuses a folder that lacks a file or is of another shape than model."""
    if not folder.is_dir():
        raise Refused(f"{folder}: there is no such folder; name the one that the training wrote.")
    missing = [name for name in (*FILES, "README.md", "generation_config.json") if not (folder / name).is_file()]
    if missing:
        raise Refused(f"{folder}: lacks {', '.join(missing)}; copy the whole folder.")
    for name in CONFIGS:
        theirs, ours = shape_of(folder, name), shape_of(model, name)
        other = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
        if other:
            raise Refused(f"{folder}/{name}: has another {', '.join(other)} than models/demo; only a model of the same "
                          "shape can be taken in.")
    theirs, ours = (json.loads((f / "generation_config.json").read_text()) for f in (folder, model))
    other = sorted(key for key in {*theirs, *ours} - set(CHOSEN) if theirs.get(key) != ours.get(key))
    if other:
        raise Refused(f"{folder}/generation_config.json: has another {', '.join(other)} than models/demo; only a model "
                      "that runs with the same sizes can be taken in.")
    for part, file in PARTS.items():
        theirs, ours = tensors(folder / part / file), tensors(model / part / file)
        other = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
        if other:
            raise Refused(f"{folder}/{part}/{file}: {len(other)} tensors are not those of models/demo, {other[0]} among "
                          "them; only a model of the same shape can be taken in.")
    training(folder)


def copy(folder, model):
    """Returns whether anything changed. A calibration of other weights goes."""
    before = fingerprint(model)
    for name in FILES:
        new = (model / name).with_suffix(".new")
        shutil.copyfile(folder / name, new)
        new.replace(model / name)
    changed = fingerprint(model) != before
    if changed:
        (model / "motioncache.json").unlink(missing_ok=True)
    return changed


def training(folder):
    """What the folder's README says of the model, as lines of Markdown: what it was taught, and how well."""
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8")
    lines = []
    for what, pattern in (("a paragraph \"Trained for\"", r"^Trained for .*$"),
                          ("a paragraph \"What it was taught\" with captions",
                           r"^What it was taught: .*\n(?:\n(?:    .+\n)+)"),
                          ("\"How well\" with a table", r"^How well.*\n\n(?:\|.*\n)+")):
        found = re.search(pattern, text, re.M)
        if not found:
            raise Refused(f"{path}: has no {what}; write it, it goes into models/demo/README.md.")
        lines += wrap(found.group().strip("\n")) + [""]
    bad = [line for line in lines if re.search(r"(^|[\s(`])~?/\w+/", line) or "<!--" in line]
    if bad:
        raise Refused(f"{path}: \"{bad[0].strip()}\" names a place of one machine, or has a comment; take it out.")
    return lines[:-1]


def wrap(text):
    import textwrap
    out = []
    for line in text.split("\n"):
        out += [line] if line.startswith(("|", "    ")) or not line else textwrap.wrap(
            line, 118, break_long_words=False, break_on_hyphens=False)
    return out
