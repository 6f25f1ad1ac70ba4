# SPDX-License-Identifier: LGPL-2.1-or-later
"""citations_test.py: what citations.py finds in a tree that is written here."""
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import citations

FILES = {
    "README.md": """# Title
See [one](docs/one.md), [its part](docs/one.md#part), [a line](a.cpp#L2), [the folder](docs), [above](#title) and
[the world](https://example.com/none.md#none). `[no link](nowhere)`

[gone](docs/gone.md) [no part](docs/one.md#gone) [none here](#gone) [no line](a.cpp#L9) [no folder](doc) [by][name]

[name]: docs/other.md
""",
    "docs/one.md": """<a id="part"></a>
# Two words, `code` & more
[back](../README.md#title) [heading](#two-words-code--more) [second](#again-1) [lost](../docs/two.md)
## Again
## Again
```
# no heading
[no link](nowhere)
```
[in code](#no-heading)
""",
    "docs/two.md": "never added\n",
    "docs/twice.md": '<a id="here"></a>\n# Here\n',
    "a.cpp": """// As docs/one.md#part has it, and one.md is not here; README.md is.
// notes.md 4.2 nobody has. docs/one.md#nothing, docs/one.md# and docs/two.md.
const char* url = "https://example.com/elsewhere.md";
""",
    "docs/b.py": "# one.md#part, beside this file\n",
    "tests/golden/data/note.txt": "made from gone.md\n",
}
EXPECTED = {
    "README.md:5: docs/gone.md is not in the tree",
    "README.md:5: docs/one.md has no anchor 'gone'",
    "README.md:5: README.md has no anchor 'gone'",
    "README.md:5: a.cpp has no line 'L9'",
    "README.md:5: doc is not in the tree",
    "README.md:7: docs/other.md is not in the tree",
    "docs/one.md:3: docs/two.md is not in the tree",
    "docs/one.md:10: docs/one.md has no anchor 'no-heading'",
    "docs/twice.md:1: the anchor 'here' is there twice",
    "a.cpp:1: one.md is not in the tree",
    "a.cpp:2: notes.md is not in the tree",
    "a.cpp:2: docs/one.md has no anchor 'nothing'",
    "a.cpp:2: docs/one.md has no anchor ''",
    "a.cpp:2: docs/two.md is not in the tree",
}

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    added = [name for name in FILES if name != "docs/two.md"]
    subprocess.run(["git", "-C", str(folder), "add", *added], check=True)
    found = citations.Tree(folder).faults()

for fault in sorted(EXPECTED - set(found)):
    print("FAILED: not found:", fault)
for fault in sorted(set(found) - EXPECTED):
    print("FAILED: found, and is none:", fault)
if len(found) != len(set(found)):
    print("FAILED: found twice:", sorted(fault for fault in set(found) if found.count(fault) > 1))
sys.exit(sorted(found) != sorted(EXPECTED))
