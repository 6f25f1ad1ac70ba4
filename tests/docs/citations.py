#!/usr/bin/env python3
"""Everything that code and documents cite is in the tree: files, and anchors in them.

  citations.py ROOT    citations that do not resolve, and 1 if there are any
  citations.py         tries itself on a small tree
"""
import pathlib
import re
import subprocess
import sys
import tempfile

TEXT = {".cpp", ".h", ".in", ".inc", ".cu", ".cuh", ".py", ".sh", ".md", ".toml", ".build", ".txt", ".c"}
CITED = re.compile(r"\b((?:docs|tests|models|tools|engine)/[\w./-]*\.md|[A-Z]+\.md)(?:#([\w-]+))?")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ANY_PAGE = re.compile(r"(?<![\w/.{*-])([\w-]+\.md)\b")
HEADING = re.compile(r"^#+\s+(.*)$", re.M)


def anchors(text):
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for heading in HEADING.findall(text):
        plain = re.sub(r"[`*_\[\]()]", "", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def tracked(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.decode().split("\0")
        return [root / name for name in names if name and (root / name).is_file()]
    return [path for path in root.rglob("*") if path.is_file() and not any(p.startswith(("build", ".")) for p in path.relative_to(root).parts)]


def faults(root):
    files = tracked(root)
    pages = {path.resolve(): anchors(path.read_text(encoding="utf-8")) for path in files if path.suffix == ".md"}
    names = {path.name for path in pages}
    for path in files:
        # This file and the test of the commands in texts make up pages of their own.
        if path.suffix not in TEXT or path.name in ("citations.py", "texts_test.py"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            place = f"{path.relative_to(root)}:{number}"
            cited = [(root / page, anchor, page) for page, anchor in CITED.findall(line)]
            if path.suffix == ".md":
                for target in LINK.findall(line):
                    if re.match(r"[a-z]+:", target):
                        continue
                    page, _, anchor = target.partition("#")
                    cited.append((path.parent / page if page else path, anchor, target))
            for page, anchor, text in cited:
                page = page.resolve()
                if not page.exists():
                    yield f"{place}: there is no {text}"
                elif anchor and anchor not in pages.get(page, ()):
                    yield f"{place}: {text.split('#')[0]} has no anchor {anchor}"
            for name in ANY_PAGE.findall(line):
                if name not in names:
                    yield f"{place}: {name} is not in the tree"


def try_itself():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "docs").mkdir()
        (root / "docs" / "page.md").write_text('# A heading\n<a id="here"></a>\n[self](#here) [there](#nowhere)\n')
        (root / "code.cpp").write_text("// docs/page.md#here docs/page.md#a-heading\n// docs/page.md#gone\n// docs/other.md\n// lost.md 5\n")
        found = list(faults(root))
        wanted = ["docs/page.md:3", "code.cpp:2", "code.cpp:3", "code.cpp:4"]
        missing = [place for place in wanted if not any(fault.startswith(place) for fault in found)]
        if missing or any(fault.startswith("code.cpp:1:") for fault in found):
            sys.exit(f"the check does not see {missing}; it says {found}")


if __name__ == "__main__":
    try_itself()
    if len(sys.argv) > 1:
        wrong = list(dict.fromkeys(faults(pathlib.Path(sys.argv[1]).resolve())))
        print("\n".join(wrong) or "all citations resolve")
        sys.exit(1 if wrong else 0)
