#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes engine/text/html_entities.inc, the named character references of HTML 5, from Python's own table.

    python3 tools/text/html_entities.py > engine/text/html_entities.inc

An entry is {name without "&" and ";", {code points, 0 where there is only one}, also valid without ";"}.
"""
import textwrap
from html.entities import html5

strict = sorted(name[:-1] for name in html5 if name.endswith(";"))
bare = {name for name in html5 if not name.endswith(";")}
assert bare <= set(strict) and all(html5[name] == html5[name + ";"] for name in bare)


def entry(name):
    points = [f"0x{ord(c):X}" for c in html5[name + ";"]]
    points += ["0"] * (2 - len(points))
    return f'{{"{name}",~{{{",~".join(points)}}},~{"true" if name in bare else "false"}}},'


print("// SPDX-License-Identifier: LGPL-2.1-or-later")
print("// Made by tools/text/html_entities.py; sorted by name. clang-format off")
text = " ".join(entry(name) for name in strict)
for line in textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False):
    print(line.replace("~", " "))
