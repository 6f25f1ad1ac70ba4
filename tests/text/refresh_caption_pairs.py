#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recomputes the right-hand sides of caption_pairs.json, [caption, cleaned once, cleaned twice], with the function of
MAGI-1, whose folder is the argument. Needs `ftfy` and `beautifulsoup4` (the file in the tree was made with
6.3.1, 4.15.0 and Python 3.11). Add a caption as ["caption", "", ""] and run it.
"""
import json
import pathlib
import sys
import types
import warnings

for name, members in {"torch": ("bfloat16",), "huggingface_hub": ("hf_hub_download",),
                      "transformers": ("AutoTokenizer", "T5EncoderModel")}.items():
    sys.modules[name] = types.SimpleNamespace(**dict.fromkeys(members))  # the function itself needs none of them
warnings.simplefilter("ignore")  # Beautiful Soup's, of captions that look like addresses

source = pathlib.Path(sys.argv[1], "inference/model/t5/t5_model.py")
module = {}
exec(compile(source.read_text(), source, "exec"), module)
embedder = module["T5Embedder"].__new__(module["T5Embedder"])
repair = module["ftfy"].fix_text

file = pathlib.Path(__file__).with_name("caption_pairs.json")
lines = []
for caption, *_ in json.loads(file.read_text()):
    once = embedder.clean_caption(caption)
    twice = embedder.clean_caption(once)
    module["ftfy"].fix_text = lambda text: repair(text, fix_encoding=False)
    assert embedder.clean_caption(caption) == once, f"needs the left out repair: {caption!a}"
    module["ftfy"].fix_text = repair
    lines.append(json.dumps([caption, once, twice]))
file.write_text("[\n" + ",\n".join(lines) + "\n]\n")
