# SPDX-License-Identifier: LGPL-2.1-or-later
"""packages_test.py SOURCE_ROOT BUILD: debian/ agrees with what the build installs, needs and calls itself."""
import fnmatch
import json
import pathlib
import re
import subprocess
import sys
import unittest

ROOT, BUILD = map(pathlib.Path, sys.argv[1:3])
DEBIAN = ROOT / "debian"
# Not in the packages, which are for the CPU: debian/rules builds without them.
CUDA = {"libmotioncache-cuda.so", "libmotioncache-cuda-frames.so"}


def meson(what):
    done = subprocess.run(["meson", "introspect", what, str(BUILD)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def installed():
    """Where each file goes, as debian/*.install name it."""
    options = {option["name"]: option["value"] for option in meson("--buildoptions")}
    prefix, libdir = options["prefix"], options["libdir"]
    for place in meson("--installed").values():
        path = pathlib.PurePath(place).relative_to(prefix)
        inside = pathlib.PurePath(libdir)
        if path.is_relative_to(inside):
            path = pathlib.PurePath("lib/${DEB_HOST_MULTIARCH}") / path.relative_to(inside)
        if path.name not in CUDA:
            yield str("usr" / path)


def lists():
    return {file.name.removesuffix(".install"): file.read_text().split() for file in DEBIAN.glob("*.install")}


def owners(path):
    return [package for package, patterns in lists().items() for pattern in patterns
            if fnmatch.fnmatchcase(path, pattern) or path.startswith(pattern + "/")]


def control():
    return [dict(re.findall(r"^([A-Za-z-]+):\s*((?:.+(?:\n[ \t].+)*))", part, re.M))
            for part in (DEBIAN / "control").read_text().split("\n\n")]


def names(field):
    return {re.split(r"[ (]", item.strip())[0] for item in field.split(",")}


class Packages(unittest.TestCase):
    def test_every_installed_file_is_in_one_package(self):
        paths = list(installed())
        self.assertGreater(len(paths), 5)
        for path in paths:
            self.assertEqual(len(owners(path)), 1, f"{path} is in {owners(path)} of debian/*.install")

    def test_no_list_names_what_is_not_installed(self):
        paths = list(installed())
        for package, patterns in lists().items():
            for pattern in patterns:
                if package == "motioncache-libtorch":  # from the wheel, by debian/libtorch.sh
                    continue
                self.assertTrue(any(package in owners(path) for path in paths), f"{package}: {pattern}")

    def test_every_list_has_its_package(self):
        self.assertEqual({part["Package"] for part in control()[1:]}, set(lists()))

    def test_version_is_that_of_the_project(self):
        first = (DEBIAN / "changelog").read_text().splitlines()[0]
        project = meson("--projectinfo")
        self.assertEqual(first.split()[:2], [project["descriptive_name"], f"({project['version']})"])

    def test_building_needs_what_the_build_needs(self):
        script = f'source "{ROOT}/tools/packages.sh"; echo "${{packages_build[@]}}"; echo "${{packages_play[@]}}"'
        build, play = (set(line.split()) for line in
                       subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True,
                                      check=True).stdout.splitlines())
        fetch = {"unzip", "python3-pip"}  # for tools/torch/fetch.sh, which comes first
        self.assertLessEqual(build - fetch, names(control()[0]["Build-Depends"]))
        plugin = next(part for part in control() if part.get("Package") == "gstreamer1.0-motioncache")
        self.assertLessEqual(play, names(plugin["Recommends"]) | names(plugin["Suggests"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
