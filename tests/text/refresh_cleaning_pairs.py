#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recomputes the right-hand sides of cleaning_pairs.json, [prompt, cleaned prompt], with what the reference
pipelines call. Needs `ftfy` (the file in the tree was made with 6.3.1). Add a prompt as ["prompt", ""] and run it.
"""
import html
import json
import pathlib
import re

import ftfy

file = pathlib.Path(__file__).with_name("cleaning_pairs.json")
lines = []
for prompt, _ in json.loads(file.read_text()):
    assert ftfy.fix_text(prompt) == ftfy.fix_text(prompt, fix_encoding=False), f"needs the left out repair: {prompt!a}"
    text = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    lines.append(json.dumps([prompt, re.sub(r"\s+", " ", text.strip()).strip()]))
file.write_text("[\n" + ",\n".join(lines) + "\n]\n")
