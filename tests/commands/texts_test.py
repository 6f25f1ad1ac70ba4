# SPDX-License-Identifier: LGPL-2.1-or-later
"""texts_test.py: what texts.py finds in a tree that is written here."""
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import texts

README = """# Title

Start `./new.sh --fast` first, or `gst-launch-1.0 a ! b`; `tools/gone.py` is no more, `sync=false` no command,
and with `SOME_SETTING=1` it is another. Call tools/other.sh --all, then read on. `gst-launch-1.0` is a name.

```sh
./new.sh "A B" [OUT]   # a comment
make \\
  all
```

```
pipelines in words: tools/other.sh NAME
```

```python
import this
```
"""
FILES = {
    "README.md": README,
    "new.sh": "#!/bin/sh\n# Usage: new.sh FILE...\necho 'run tools/other.sh --broken to mend it' # ninja all\nninja -C build\n",
    "tools/other.sh": "#!/bin/sh\n",
    "tools/table.py": '"""Writes: python3 tools/table.py > out"""\n',
    "meson.build": "executable('motioncache-thing', 'a.cpp')\n",
    "a.cpp": '// motioncache-thing MODEL\nconst char* help = "motioncache-thing MODEL "\n    "--deep; libmotioncache-thing.so";\n',
    "untracked.md": "`./untracked.sh`\n",
}
EXPECTED = {
    "new.sh --fast", "gst-launch-1.0 a ! b", "tools/gone.py", "SOME_SETTING=1", "tools/other.sh --all",
    'new.sh "A B" [OUT]',
    "make all", "tools/other.sh NAME", "README.md: python program", "new.sh FILE...", "tools/other.sh --broken",
    "python3 tools/table.py", "motioncache-thing MODEL", "motioncache-thing MODEL --deep", "motioncache-thing",
}

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", *(name for name in FILES if name != "untracked.md")], check=True)
    told = {t.command: t for t in texts.Reader(folder).read()}
    found = set(told)

for command in sorted(EXPECTED - found):
    print("FAILED: not found:", command)
for command in sorted(found - EXPECTED):
    print(f"FAILED: found in {told[command].where}, and is none: {command}")
if told["README.md: python program"].program != "import this\n":
    print("FAILED: the program of a code block")
    sys.exit(1)
sys.exit(found != EXPECTED)
