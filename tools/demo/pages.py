# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures in Markdown, written and checked. Two kinds of places take what was measured:

    <!-- measured: NAME -->          a block, whole: a table or a paragraph that is made of figures
    ...
    <!-- /measured -->

    1.4<!--=kv.faster--> times       a figure within a sentence, followed by its name in docs/figures.json

A number with a unit elsewhere is refused, so that none stays behind when the model changes; `<!--bound-->` after it says
that it is no measurement of this model but a limit that a test keeps.
"""
import re

BLOCK = re.compile(r"(<!-- measured: ([\w-]+) -->\n)(.*?)(<!-- /measured -->)", re.S)
INLINE = re.compile(r"(-?\d+(?:\.\d+)?|-?\.\d+)((?: ?[A-Za-z%]+)?)<!--=([\w.-]+)-->")
# "160 x 96" is a size, and no figure has a digit after its "x".
BARE = re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?|\.\d+)[  ]?(?:dB|MiB|ms|seconds|times|s|x|%)(?![\w%])(?! \d)(?!<!--)")


def write(text, figures, blocks):
    """Returns the text with today's figures. blocks: {name: text}."""
    def block(found):
        if found.group(2) not in blocks:
            raise KeyError(f"there is no block {found.group(2)}")
        return found.group(1) + blocks[found.group(2)].strip("\n") + "\n" + found.group(4)

    def inline(found):
        return figures[found.group(3)] + found.group(2) + f"<!--={found.group(3)}-->"
    return INLINE.sub(inline, BLOCK.sub(block, text))


def faults(name, text, figures, blocks):
    """Sentences on what does not come from the figures."""
    out = []
    for found in BLOCK.finditer(text):
        if found.group(2) not in blocks:
            out.append(f"{name}: nothing is measured for the block \"{found.group(2)}\"")
        elif found.group(3).strip("\n") != blocks[found.group(2)].strip("\n"):
            out.append(f"{name}: the block \"{found.group(2)}\" is not what docs/figures.json says")
    if text.count("<!-- measured:") != len(BLOCK.findall(text)):
        out.append(f"{name}: a block does not end")
    rest = re.sub(r"^```.*?^```$", "", BLOCK.sub("", text), flags=re.S | re.M)
    for number, _, key in INLINE.findall(rest):
        if figures.get(key) != number:
            out.append(f"{name}: {key} is {number} but was measured as {figures.get(key)}")
    if rest.count("<!--=") != len(INLINE.findall(rest)):
        out.append(f"{name}: a name of a figure follows no number")
    for found in BARE.finditer(INLINE.sub("", rest)):
        line = next(line for line in rest.splitlines() if found.group() in line)
        out.append(f"{name}: \"{found.group()}\" has no name of a figure: {line.strip()}")
    return out
