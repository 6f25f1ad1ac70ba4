# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is wrong with the citations of a tree: a reader who follows one must find something in the tree.

Looked at are all tracked texts. A Markdown file that is named, in a comment or anywhere else, must be tracked, and
the anchor behind its # must be one of it; a Markdown link must lead to a tracked file or a folder of such.
"""
import functools
import os
import pathlib
import re
import sys
from urllib.parse import unquote

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "commands"))
from texts import tracked

# Their files are data, named for no reader; citations_test.py and texts_test.py write trees of their own.
NOT_READ = ("tests/golden/data/", "tests/fuzz/corpus/", "tests/docs/citations_test.py", "tests/commands/texts_test.py")

MENTION = re.compile(r"(?<![\w./:-])((?:[\w.-]+/)*[\w.-]*\w\.md)\b(#[\w-]*)?")
LINK = re.compile(r"\]\(\s*<?([^\s)>]+)>?[^)]*\)")
LINK_BELOW = re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.M)  # [name]: target
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|//")


def blank(pattern, text):
    """Without what matches, each line in its place."""
    return re.sub(pattern, lambda found: re.sub(r"[^\n]", " ", found.group(0)), text, flags=re.M | re.S)


def without_code(markdown):
    fences = blank(r"^ *(```+|~~~+).*?(?:^ *\1|\Z)", markdown)
    return blank(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", fences)


def ids_of(markdown):
    """Anchors of a text in order, as GitHub gives them: of headings, and those that it sets itself."""
    ids, seen = [], {}
    text = blank(r"^ *(```+|~~~+).*?(?:^ *\1|\Z)", markdown)
    for found in re.finditer(r"^#{1,6}[ \t]+(.+?)[ \t#]*$|<a\s+(?:id|name)=\"([^\"]+)\"", text, re.M):
        if found.group(2):
            ids.append(found.group(2))
            continue
        title = re.sub(r"<[^>]*>|\]\([^)]*\)", "", found.group(1)).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        number = seen.get(slug, 0)
        seen[slug] = number + 1
        ids.append(f"{slug}-{number}" if number else slug)
    return ids


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.names = tracked(self.root)
        self.files = set(self.names)
        self.folders = {str(folder) for name in self.names for folder in pathlib.PurePosixPath(name).parents}

    @functools.lru_cache(None)
    def text(self, name):
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return "" # no text

    @functools.lru_cache(None)
    def anchors(self, name):
        return frozenset(ids_of(self.text(name)))

    def anchor_fault(self, name, anchor):
        if anchor is None:
            return None
        if name.endswith(".md"):
            return None if unquote(anchor) in self.anchors(name) else f"{name} has no anchor {anchor!r}"
        lines = re.fullmatch(r"L(\d+)(?:-L(\d+))?", anchor)
        if lines and int(lines.group(2) or lines.group(1)) <= self.text(name).count("\n"):
            return None
        return f"{name} has no line {anchor!r}"

    def mention_fault(self, name, cited, anchor):
        """A file may be named as from the top of the tree or as from the folder of the one that names it."""
        beside = os.path.normpath(os.path.join(os.path.dirname(name), cited))
        for path in (os.path.normpath(cited), beside):
            if path in self.files:
                return self.anchor_fault(path, anchor)
        return f"{cited} is not in the tree"

    def link_fault(self, name, target):
        path, hash, anchor = target.partition("#")
        anchor = anchor if hash else None
        if not path:
            return self.anchor_fault(name, anchor)
        path = os.path.normpath(os.path.join(os.path.dirname(name), unquote(path)))
        if path in self.files:
            return self.anchor_fault(path, anchor)
        return None if path in self.folders and anchor is None else f"{path} is not in the tree"

    def faults(self):
        found = []

        def add(name, text, at, fault):
            if fault:
                found.append(f"{name}:{text.count(chr(10), 0, at) + 1}: {fault}")

        for name in self.names:
            if name.startswith(NOT_READ):
                continue
            text = self.text(name)
            mentions = text
            if name.endswith(".md"):
                ids = ids_of(text)
                for twice in sorted({i for i in ids if ids.count(i) > 1}):
                    add(name, text, 0, f"the anchor {twice!r} is there twice")
                prose = without_code(text)
                links = [*LINK.finditer(prose), *LINK_BELOW.finditer(prose)]
                for link in links:
                    if not OUTSIDE.match(link.group(1)):
                        add(name, text, link.start(), self.link_fault(name, link.group(1)))
                # Each target once, as a link.
                for link in links:
                    mentions = mentions[:link.start(1)] + " " * len(link.group(1)) + mentions[link.end(1):]
            for mention in MENTION.finditer(mentions):
                anchor = mention.group(2)
                add(name, text, mention.start(),
                    self.mention_fault(name, mention.group(1), anchor[1:] if anchor else None))
        return found


if __name__ == "__main__":
    wrong = Tree(sys.argv[1]).faults()
    for fault in wrong:
        print("FAILED:", fault)
    sys.exit(bool(wrong))
