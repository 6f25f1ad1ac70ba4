# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compilers that take what another build folder has compiled with the same arguments, so that a clean clone is built in
seconds. Which targets are built, and every link, is still what the clone's own ninja makes of it."""
import json
import shlex
import shutil
import subprocess

# To the real compiler unless the seeds hold an object file of this name that was compiled with these arguments.
WRAPPER = """#!/bin/sh
out= dep= previous= key=
for word; do
    case $previous in
        -o) out=$word ;;
        -MF) dep=$word ;;
    esac
    previous=$word
    [ "$word" = -Werror ] || key="$key $word"
done
seed={seeds}/$out.arguments
if [ -n "$out" ] && [ -f "$seed" ] && read -r expected <"$seed" && [ "$key" = " $expected" ]; then
    cp {build}/"$out" "$out" && {{ [ -z "$dep" ] || printf '%s:\\n' "$out" >"$dep"; }} && exit 0
fi
exec {real} "$@"
"""


def arguments(command, source, clone):
    """As the wrapper writes them: without the compiler, and without -Werror, which changes no object file."""
    words = shlex.split(command)
    while words and not words[0].startswith("-"):
        words.pop(0)
    return " ".join(word.replace(str(source), str(clone)) for word in words if word != "-Werror")


def plant(build, source, clone, folder):
    """Writes the compilers for a checkout at `clone` and returns their folder. `build` is a build folder of `source`."""
    seeds = folder / "seeds"
    ninja = ["ninja", "-C", str(build)]
    compdb = subprocess.check_output([*ninja, "-t", "compdb"], text=True)
    stale = subprocess.check_output([*ninja, "-n", "-v"], text=True) # what ninja would do there now
    for edge in json.loads(compdb[compdb.index("["):]):
        # Object files alone, no libraries and programs.
        if not edge["output"].endswith((".o", ".gch")) or not (build / edge["output"]).is_file():
            continue
        if edge["command"] in stale:
            continue
        file = seeds / (edge["output"] + ".arguments")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(arguments(edge["command"], source, clone) + "\n")
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name in ("cc", "c++", "gcc", "g++", "clang++"):
        real = shutil.which(name)
        if real:
            path = programs / name
            path.write_text(WRAPPER.format(seeds=seeds, build=build, real=real))
            path.chmod(0o755)
    return programs
