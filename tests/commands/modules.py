# SPDX-License-Identifier: LGPL-2.1-or-later
"""modules.py BUILD: what a program or library opens at run time is built with it, whichever target is asked of ninja.

A file names what it opens, so its bytes are searched for the names of the libraries of this build and of the element.
"""
import json
import pathlib
import re
import subprocess
import sys

build = pathlib.Path(sys.argv[1]).resolve()
targets = json.loads(subprocess.check_output(["meson", "introspect", "--targets", str(build)]))
linked = {pathlib.Path(t["filename"][0]): t["type"] for t in targets
          if t["type"] in ("executable", "shared library", "shared module")}
# What may be opened -> how a file names it.
# Libraries that tests build once more, under a sanitizer, are theirs alone.
linked = {file: kind for file, kind in linked.items()
          if kind == "executable" or file.relative_to(build).parts[0] != "tests"}
opened = {file: re.escape(file.name.encode()) for file, kind in linked.items() if kind != "executable"}
plugin = next(file for file in opened if "gstmotioncache" in file.name)
opened[plugin] = rb"\0motioncachegen[ \0]" # a pipeline, or the element's name

wrong = checked = 0
for file in linked:
    if not file.is_file():
        continue # not asked for
    data = file.read_bytes()
    name = str(file.relative_to(build))
    inputs = subprocess.check_output(["ninja", "-C", str(build), "-t", "inputs", name], text=True).split("\n")
    for library, word in opened.items():
        if library == file or not re.search(word, data):
            continue
        checked += 1
        if str(library.relative_to(build)) not in inputs:
            wrong += 1
            print(f"FAILED: {name} opens {library.name}, and `ninja {name}` does not build that")
print(f"cases: {checked - wrong} passed, {wrong} failed, 0 skipped")
sys.exit(bool(wrong) or not checked)
