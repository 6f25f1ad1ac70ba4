# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands that the texts of the tree tell of: README.md, docs, comments, help and error messages."""
import pathlib
import re
import subprocess
from typing import NamedTuple


class Told(NamedTuple):
    command: str  # as written, without ./ in front, comments and doubled spaces
    where: str    # file:line
    program: str = ""  # of a code block that is no shell: its whole text


# Programs that a text may ask for by name; scripts of the tree and its own programs come to them.
PROGRAMS = ("meson", "ninja", "apt-get", "pip", "pip3", "python3", "pkg-config", "ldd", "git", "cc", "gcc", "make",
            "cmake", "sudo", "docker", "ffmpeg", "ffplay", "ffprobe", "curl", "wget", "bash", "sh", "su")
# Words after a program's name that still belong to the command, in a sentence.
SUBCOMMAND = ("install", "test", "devenv", "setup", "update", "compile", "configure", "download", "clone", "build")


def tracked(root):
    git = ["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "-z"]
    names = subprocess.run(git, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
    return sorted(name for name in names if name and (root / name).is_file())


def scripts(root):
    """What can be started: executable files, and Python programs, which are those that no other file imports."""
    names = [name for name in tracked(root) if not name.startswith(("tests/golden/data/", "tests/commands/", ".ci/"))]
    python = {name: (root / name).read_text(encoding="utf-8") for name in names if name.endswith(".py")}
    imported = set(re.findall(r"^(?:import|from) ([\w, ]+?)(?: import.*)?$", "\n".join(python.values()), re.M))
    imported = {stem for line in imported for stem in line.split(", ")}
    return [name for name in names if (root / name).stat().st_mode & 0o100 or
            name in python and (pathlib.PurePath(name).stem not in imported or "ArgumentParser" in python[name])]


def own_programs(root):
    """Names of the executables that somebody may start by name."""
    names = []
    for name in tracked(root):
        if name.endswith("meson.build"):
            names += re.findall(r"executable\('(motioncache-[\w-]+)'", (root / name).read_text(encoding="utf-8"))
    return names


def tidy(command):
    command = re.sub(r"\s+#.*", "", command) # a comment, as the shell has it
    return re.sub(r"\s+", " ", command.replace("…", "...")).strip().removeprefix("./")


class Reader:
    def __init__(self, root):
        self.root = root
        self.scripts = scripts(root)
        self.by_name = {}
        for script in self.scripts:
            self.by_name.setdefault(pathlib.PurePath(script).name, []).append(script)
        self.own = own_programs(root)
        self.told = []
        names = "|".join(re.escape(name) for name in sorted(self.by_name, key=len, reverse=True))
        programs = "|".join(re.escape(name) for name in PROGRAMS + tuple(self.own)) + r"|gst-[a-z]+-1\.0"
        argument = (r"(?:--?[A-Za-z][\w=+-]*|\[[^\]\n]*\]|[A-Z][A-Z_]+(?:\.\.\.|…)?(?![\w.])|"
                    r"(?:" + "|".join(SUBCOMMAND) + r")\b|(?:" + programs + r")(?![\w.-])|[\w.-]+/[\w./-]+|\.\.\.)")
        self.mention = re.compile(rf"(?<![\w./-])((?:[\w.-]*/)*(?:{names})|{programs})((?: {argument})*)(?![\w-]*\.\w)")

    def add(self, command, where, program=""):
        told = Told(command if program else tidy(command), where, program)
        if told.command:
            self.told.append(told)

    def full_name(self, script, where):
        """The path of a script that a text calls by its name alone: of the same folder, else the only one."""
        script = script.removeprefix("./")
        if script in self.scripts:
            return script
        # tests/fuzz/run.sh as run.sh, in its own header or in a file beside it
        beside = str(pathlib.PurePath(where.rsplit(":", 1)[0]).parent / script)
        if beside in self.scripts:
            return beside
        candidates = [s for s in self.by_name[pathlib.PurePath(script).name] if s.endswith("/" + script)]
        return candidates[0] if len(candidates) == 1 else script

    def prose(self, text, where):
        for found in re.finditer(r"\b[A-Z][A-Z_]{4,}=[A-Z]{3,}\b", text):
            self.add(found.group(0), where)
        for found in self.mention.finditer(text):
            name, arguments = found.group(1), found.group(2)
            base = pathlib.PurePath(name).name
            if base in self.by_name:
                self.add(self.full_name(name, where) + arguments, where)
            elif arguments or name in self.own:
                self.add(name + arguments, where)

    def code_span(self, span, where):
        """Inline code is a command when it starts with one, or sets a variable of the environment."""
        words = span.split()
        while words and re.fullmatch(r"[A-Z][A-Z_0-9]+=\S*", words[0]):
            words.pop(0)
        first = words[0] if words else ""
        base = pathlib.PurePath(first).name
        if base in self.by_name:
            self.add(span.replace(first, self.full_name(first, where), 1), where)
        elif first in self.own or (len(words) > 1 and (first in PROGRAMS or re.fullmatch(r"gst-[a-z]+-1\.0", first))):
            self.add(span, where)
        elif first.startswith("./") or re.fullmatch(r"[\w./-]+/[\w-]+\.(sh|py)", first) or not words:
            self.add(span, where)

    def markdown(self, name):
        lines = (self.root / name).read_text(encoding="utf-8").splitlines()
        fence, block, start, pending, text = None, [], 0, "", []
        for number, line in enumerate(lines, 1):
            if line.lstrip().startswith("```"):
                if fence is None:
                    fence, block, start = line.strip("` ") or "text", [], number
                    continue
                if fence in ("c", "cpp", "python"):
                    self.add(f"{name}: {fence} program", f"{name}:{start}", "\n".join(block) + "\n")
                fence = None
            elif fence in ("sh", "bash", "console"):
                if line.endswith("\\"):
                    pending += line[:-1] + " "
                else:
                    self.add((pending + line).removeprefix("$ "), f"{name}:{number}")
                    pending = ""
            elif fence in ("c", "cpp", "python"):
                block.append(line)
            elif fence:
                self.prose(line, f"{name}:{number}")
            else:
                text.append((number, line))
        # Spans may go over the end of a line.
        joined = "\n".join(line for _, line in text)
        starts = [number for number, _ in text]
        outside = []
        last = 0
        for span in re.finditer(r"(?<!`)`([^`]+)`(?!`)", joined):
            where = f"{name}:{starts[joined.count(chr(10), 0, span.start())]}"
            self.code_span(" ".join(span.group(1).split()), where)
            outside.append(joined[last:span.start()])
            last = span.end()
        outside.append(joined[last:])
        self.prose(" ".join(outside).replace("\n", " "), f"{name}:1")

    def source(self, name):
        """Comments and strings, in which a sentence may go on in the next line."""
        text = (self.root / name).read_text(encoding="utf-8")
        if re.match("tests/.*/", name) and not name.endswith("meson.build") and "usage:" not in text:
            # Of a test, what it says at its top; its strings are its data.
            text = re.match(r'(?:(?://|#).*\n)*(?:"""(?:.|\n)*?""")?', text).group(0)
        if name.endswith((".cpp", ".h", ".cu")):
            text = re.sub(r'(?<!\\)"\s*\n\s*"', "", text) # one string in pieces
            kept = r'//.*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"'
        elif name.endswith(".py"):
            kept = r'"""(?:.|\n)*?"""|#.*|"(?:\\.|[^"\\\n])*"'
        elif name.endswith("meson.build") or name == "meson_options.txt":
            kept = r"#.*|'(?:\\.|[^'\\\n])*'"
        else: # a shell's code is what runs, and its texts are comments and what it prints
            kept = r"^\s*#.*|(?:\b(?:die|fail|say|echo|printf|skip)\b|\bline=).*(?:\n\n  \$line\")?"
        for part in re.finditer(kept, text, re.M):
            where = f"{name}:{text.count(chr(10), 0, part.start()) + 1}"
            for line in part.group(0).splitlines():
                self.prose(line.replace("\\n", " "), where)

    def read(self):
        for name in tracked(self.root):
            if name.startswith(("tests/golden/data/", "tests/commands/")):
                continue
            if name.endswith(".md"):
                self.markdown(name)
            elif name.endswith((".cpp", ".h", ".cu", ".py", "meson.build",
                                "meson_options.txt")) or name in self.scripts \
                    or name.endswith(".sh"):
                self.source(name)
        return self.told
