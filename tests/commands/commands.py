# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands that the texts tell of, as the first ones in a clean clone.

commands.py list SOURCE                  says how each is tried; fails where table.py does not say so
commands.py run SOURCE BUILD [CLONE...]  tries them, in the clones of table.py that are named, else in all

A clone is the tracked files as they are now. What BUILD has compiled is not compiled again, see seeds.py.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import seeds
import table
import texts

MISSING = "a package that a test does not fetch:"


def check(source):
    """Prints each command with what becomes of it; returns what is wrong with table and texts."""
    told = texts.Reader(source).read()
    entries = {}
    wrong = []
    for entry in [*table.TRIED, *table.NOT_TRIED]:
        for text in entry.texts:
            if text in entries:
                wrong.append(f"table.py has {text!r} twice")
            entries[text] = entry
    # A text that only names a script or program tells of no command but of those with its other arguments.
    named = {text.split()[0] for text in entries} | {text.split()[1] for text in entries if text.startswith("python3 ")}
    places = {}
    for t in told:
        places.setdefault(t.command, []).append(t.where)
    for command, where in sorted(places.items()):
        entry = entries.get(command)
        if not entry and " " not in command and "=" not in command and command in named:
            continue
        at = ", ".join(where[:3]) + (", ..." if len(where) > 3 else "")
        if not entry:
            wrong.append(f"{at} tells of {command!r}, and tests/commands/table.py does not say how it is tried")
        elif isinstance(entry, table.NotTried):
            print(f"not tried, {entry.why}: {command}  ({at})")
        else:
            print(f"tried in the clone {entry.clone!r}: {command}  ({at})")
    scripts, known = texts.scripts(source), " ".join(entries)
    wrong += [f"{name} can be started, and tests/commands/table.py does not say how it is tried"
              for name in scripts if name not in known]
    wrong += [f"table.py has {text!r}, of which no text tells" 
              for text in entries if text not in places and text not in scripts]
    return wrong, {t.command: t.program for t in told if t.program}


def clone_to(source, folder):
    """The tracked files as they are now, and nothing that was built."""
    for name in texts.tracked(source):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target)


def environment(programs, source, temporary):
    """That of a shell that knows nothing of the build; where LibTorch was found, it is found again."""
    kept = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TORCH_DIR", "MOTIONCACHE_CACHE", "XDG_CACHE_HOME")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    if "TORCH_DIR" not in env:
        find = 'source tools/torch/cache.sh; [ -f "$torch_root/torch/lib/libtorch_cpu.so" ]'
        if subprocess.run(["bash", "-c", find], cwd=source).returncode:
            env["TORCH_DIR"] = subprocess.check_output(["tools/torch/find.sh"], cwd=source, text=True).strip()
    # Debian's own programs first, as on the machine that README.md speaks of: its python3 is the one with python3-gi.
    return {**env, "PATH": f"{programs}:/usr/bin:{env['PATH']}", "CC": str(programs / "cc"),
            "CXX": str(programs / "c++"),
            "OMP_WAIT_POLICY": "passive", "GST_REGISTRY": str(temporary / "gst-registry")}


def attempt(entry, clone, env, programs):
    """What is wrong with a command, and what it printed."""
    for program, file in entry.writes.items():
        (clone / file).write_text(programs[program])
    try:
        done = subprocess.run(["bash", "-c", entry.run], cwd=clone, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    except subprocess.TimeoutExpired as late:
        return "not done within 15 minutes", (late.stdout or b"").decode(errors="replace")
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        return f"ended with {done.returncode}", output
    if entry.shows and not re.search(entry.shows, output):
        return f"printed nothing like {entry.shows!r}", output
    if entry.makes and not ((clone / entry.makes).is_file() and (clone / entry.makes).stat().st_size):
        return f"left no {entry.makes}", output
    return "", output


def run(source, build, wanted, code):
    failed, skipped = [], 0
    with tempfile.TemporaryDirectory(prefix="clones-") as temporary:
        temporary = pathlib.Path(temporary).resolve()
        clone = temporary / "motioncachegen" # always there, so that object files name the same folder
        programs = seeds.plant(build, source, clone, temporary / "compilers")
        # A test fetches nothing: a command that would is left out, and says what it misses.
        for name in ("apt-get", "sudo", "pip"):
            (programs / name).write_text(f'#!/bin/sh\necho "{MISSING} $*" >&2\nexit 1\n')
            (programs / name).chmod(0o755)
        env = environment(programs, source, temporary)
        for name in dict.fromkeys(entry.clone for entry in table.TRIED):
            if wanted and name not in wanted:
                continue
            clone_to(source, clone)
            for entry in table.TRIED:
                if entry.clone != name:
                    continue
                start = time.monotonic()
                wrong, output = attempt(entry, clone, env, code)
                missing = re.search(rf"{MISSING}.*", output) if wrong else None
                if missing:
                    skipped += 1
                    print(f"skip {entry.run}: {missing.group(0)}", flush=True)
                    continue
                seconds = time.monotonic() - start
                print(f"{'FAILED' if wrong else 'ok'}  {seconds:5.1f} s  clone {name}: {entry.run}", flush=True)
                if wrong:
                    failed.append(entry.run)
                    print(output[-6000:])
                    print(f"FAILED, {wrong}: {entry.run}", flush=True)
            shutil.rmtree(clone)
    tried = sum(not wanted or entry.clone in wanted for entry in table.TRIED)
    print(f"cases: {tried - len(failed) - skipped} passed, {len(failed)} failed, {skipped} skipped")
    return bool(failed) or not tried


if __name__ == "__main__":
    mode, source = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    if subprocess.run(["git", "-c", "safe.directory=*", "-C", str(source), "rev-parse"],
                      stderr=subprocess.DEVNULL).returncode:
        print("skipped: this is no checkout of git, which knows what a clone has")
        sys.exit(77)
    wrong, code = check(source)
    print(*(f"FAILED: {line}" for line in wrong), sep="\n")
    if mode == "list" or wrong:
        sys.exit(bool(wrong))
    sys.exit(run(source, pathlib.Path(sys.argv[3]).resolve(), sys.argv[4:], code))
