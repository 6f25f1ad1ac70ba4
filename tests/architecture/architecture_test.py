# SPDX-License-Identifier: LGPL-2.1-or-later
"""The layout that docs/architecture.md describes is the one in the tree: every file and folder that it names exists,
every module is in its table, and includes only go down; and CONTRIBUTING's rules about the length of lines and files, and
about casts. Usage: architecture_test.py SOURCE_ROOT"""
import os
import re
import sys
import unittest

ROOT = sys.argv.pop(1)
TOP = ("engine", "gst", "kernels", "pipelines", "tests", "tools")
EXTENSIONS = ("", ".h", ".cpp", ".h.in", ".inc", ".py")
TORCH = re.compile(r"^<(ATen|c10|torch)/")
GSTREAMER = re.compile(r"^<(gst|gdk-pixbuf)/")
# The interface between the session and the families, which implement it.
INTERFACE = {"engine/session/" + name for name in
        ("device_errors.h", "family.h", "loading.h", "memory.h", "memory_plan.h", "meter.h", "request.h",
         "streaming.h", "text_encoder.h")}
# Where numbers are cast with static_cast; elsewhere with int(x).
STATIC = ("kernels/", "engine/networks/", "engine/session/")
NUMBER = r"(?:u?int(?:8|16|32|64)_t|int|unsigned|size_t|ptrdiff_t|double|float)"
MOST_LINES = 620  # of a file: one idea
# The two lists of families: with their networks, and without Torch.
LISTS = {"engine/families/families.cpp", "engine/model/model_folder.cpp"}


def folder_of(path):
    """The module that a file belongs to: a family by its own name, all networks as one."""
    parts = path.split("/")
    if parts[0] != "engine" or len(parts) < 3:
        return parts[0]
    return "/".join(parts[:3] if parts[1] == "families" and len(parts) > 3 else parts[:2])


def fault(path, include):
    """Why `path` may not include `include` (as written, with its quotes or brackets); None where it may."""
    here, name = folder_of(path), include.strip('"')
    there = folder_of(name) if include.startswith('"') else ""
    if here == "kernels":
        if TORCH.match(include) or GSTREAMER.match(include) or there in TOP and there != "kernels" or \
                there.startswith("engine/"):
            return "kernels know pointers, strides and sizes alone"
    if here == "gst":
        if TORCH.match(include):
            return "the plugin has no Torch in it"
        if there.startswith("engine/") and there not in ("engine/model", "engine/request"):
            return "the plugin knows the C header, engine/model and engine/request"
    if path.startswith("engine/"):
        if GSTREAMER.match(include) or there in ("gst", "tests", "tools"):
            return "the engine knows no GStreamer and none of its users"
        if there.startswith("engine/families") and here != there and path not in LISTS:
            return "a family is named in its own folder and in the two lists"
        if here in ("engine/networks", "engine/text", "engine/sampler", "engine/model") and there == "engine/session":
            return "the session stands above"
        if here.startswith("engine/families/") and there == "engine/session" and name not in INTERFACE:
            return "a family sees no more of the session than its interface"
    if here == "engine/model" and there in ("engine/networks", "engine/sampler", "engine/text"):
        return "files are read without Torch and for any network"
    if here == "engine/cache" and (TORCH.match(include) or there in ("engine/networks", "engine/text", "engine/model",
                                                                       "engine/session", "engine/sampler")):
        return "policies see plain numbers alone"
    return None


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def sources(tops=("engine", "gst", "kernels")):
    for top in tops:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith((".h", ".cpp", ".cu")):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def exists(path):
    return any(os.path.exists(os.path.join(ROOT, path + extension)) for extension in EXTENSIONS)


class Architecture(unittest.TestCase):
    def test_includes_go_down(self):
        seen = 0
        for path in sources():
            for include in re.findall(r'^#include\s+("[^"]+"|<[^>]+>)', read(path), re.M):
                seen += 1
                self.assertIsNone(fault(path, include), f"{path} includes {include}")
        self.assertGreater(seen, 500)

    def test_what_goes_up_is_noticed(self):
        for path, include in (
                ("kernels/gemm.cpp", "<ATen/ATen.h>"), ("kernels/gemm.cpp", '"engine/error.h"'),
                ("gst/stats.cpp", "<c10/core/Device.h>"), ("gst/stats.cpp", '"engine/session/session.h"'),
                ("engine/session/session.cpp", "<gst/gst.h>"), ("engine/session/session.cpp", '"gst/stats.h"'),
                ("engine/networks/wan_dit/window.cpp", '"engine/families/skyreels_v2/settings.h"'),
                ("engine/networks/wan_dit/window.cpp", '"engine/session/family.h"'),
                ("engine/session/session.cpp", '"engine/families/skyreels_v2/model.h"'),
                ("engine/families/other/video.cpp", '"engine/families/skyreels_v2/model.h"'),
                ("engine/families/skyreels_v2/video.cpp", '"engine/session/session.h"'),
                ("engine/cache/policy.h", "<ATen/core/Tensor.h>"),
                ("engine/cache/policy.h", '"engine/networks/linear.h"'),
                ("engine/cache/policy.h", '"engine/families/skyreels_v2/settings.h"'),
                ("engine/model/tensors.h", '"engine/networks/linear.h"')):
            self.assertIsNotNone(fault(path, include), f"{path} may include {include}")
        for path, include in (
                ("kernels/gemm.cpp", '"kernels/tiles.h"'), ("gst/stats.cpp", '"engine/motioncache.h"'),
                ("gst/video_caps.h", '"engine/model/model_folder.h"'),
                ("engine/families/skyreels_v2/video.cpp", '"engine/families/skyreels_v2/settings.h"'),
                ("engine/families/skyreels_v2/video.cpp", '"engine/session/family.h"'),
                ("engine/families/skyreels_v2/video.cpp", '"engine/networks/wan_dit/transformer.h"'),
                ("engine/networks/wan_dit/window.cpp", '"engine/cache/plan.h"')):
            self.assertIsNone(fault(path, include))

    def test_comments_run_to_120_columns(self):
        seen = 0
        for top in TOP:
            for folder, _, names in os.walk(os.path.join(ROOT, top)):
                for name in names:
                    if not name.endswith((".h", ".cpp", ".cu", ".inc", ".build", ".py", ".sh", ".toml")):
                        continue
                    path = os.path.relpath(os.path.join(folder, name), ROOT)
                    for number, line in enumerate(read(path).splitlines(), 1):
                        if re.match(r"\s*(//|#( |$))", line):
                            seen += 1
                            self.assertLessEqual(len(line), 120, f"{path}:{number}")
        self.assertGreater(seen, 3000)

    def test_lines_of_code_run_to_120_columns_unless_a_string_does(self):
        for path in sources(TOP):
            for number, line in enumerate(read(path).splitlines(), 1):
                if not re.search(r'"|//|^ \*', line):
                    self.assertLessEqual(len(line), 120, f"{path}:{number}")

    def test_a_file_has_one_idea(self):
        for path in sources(TOP):
            self.assertLessEqual(len(read(path).splitlines()), MOST_LINES, path)

    def test_numbers_are_cast_as_the_folder_casts_them(self):
        seen = {True: 0, False: 0}
        called, static = re.compile(rf"(?<![\w:.>*&]){NUMBER}\((?=[\w(*-])(?!\w+ )"), re.compile(rf"static_cast<{NUMBER}>")
        for path in sources(TOP):
            here = path.startswith(STATIC)
            for number, line in enumerate(read(path).splitlines(), 1):
                line = re.sub(r'"(\\.|[^"\\])*"|//.*', "", line)
                seen[here] += bool((static if here else called).search(line))
                self.assertIsNone((called if here else static).search(line), f"{path}:{number}: {line.strip()}")
        self.assertGreater(min(seen.values()), 200)

    def test_no_family_is_asked_for_by_name(self):
        for path in sources():
            if path not in LISTS:
                self.assertIsNone(re.search(r"\bfamily\s*[=!]=", read(path)), path)

    def test_a_family_names_policies_only_where_it_chooses_them(self):
        table = read("engine/request/fields.toml")
        settings = re.findall(r'"(\w+Settings)"', " ".join(re.findall(r"^ .*policies = {(.*?)}", table, re.M)))
        self.assertGreater(len(settings), 3)
        for path in sources(("engine/families", "engine/networks")):
            if not os.path.basename(path).startswith("published_caches"):
                self.assertIsNone(re.search("|".join(settings), read(path)), path)

    def test_what_the_document_names_exists(self):
        seen = 0
        for line in read("docs/architecture.md").splitlines():
            folder = None
            # The table of terms gives a folder once; what follows lies in it.
            terms = line.startswith("| ") and line.count("|") == 3
            for name in re.findall(r"`([^`]+)`", line.split("|")[2] if terms else line):
                if name.split("/")[0] in TOP and re.fullmatch(r"[\w./-]+", name) and "/" in name:
                    self.assertTrue(exists(name.rstrip("/")), f"{name} in: {line}")
                    folder, seen = os.path.dirname(name), seen + 1
                elif terms and folder and re.fullmatch(r"[a-z_]\w*(\.\w+)?", name):
                    self.assertTrue(exists(os.path.join(folder, name)), f"{name} behind {folder}/ in: {line}")
                    seen += 1
        self.assertGreater(seen, 60)

    def test_every_module_is_in_the_document(self):
        text = read("docs/architecture.md")
        modules = [os.path.join("engine", name) for name in os.listdir(os.path.join(ROOT, "engine"))]
        for group in ("families", "networks"):
            modules += [os.path.join("engine", group, name) for name in os.listdir(os.path.join(ROOT, "engine", group))]
        for module in modules:
            if os.path.isdir(os.path.join(ROOT, module)) and os.path.basename(module) != "pch":
                self.assertTrue(f"`{module}" in text, f"{module} has no row in docs/architecture.md")


unittest.main()
