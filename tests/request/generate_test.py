#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The generator of the table of fields: what is wrong in a table is told by name, and a new field needs no other edit.

  generate_test.py SOURCE_ROOT
"""
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
GENERATE = ROOT / "engine/request/generate.py"
TABLE = ROOT / "engine/request/fields.toml"
GOOD = '''
[[family]]
name = "roses"
title = "Roses"

[[family]]
name = "seas"
title = "Seas"

[[choice]]
name = "colour"
c = "McColour"
prefix = "MC_COLOUR"
auto = "As it comes"
values = [["red", "Like a rose"], ["blue", "Like the sea", {families = ["seas"], instead = "roses are red"}]]

[[field]]
name = "number"
type = "int"
range = [1, 9]
unit = "things"
default = "model"
nick = "Number"
blurb = "How many things."
short = "how many"

[[field]]
name = "colour"
type = "choice"
choice = "colour"
default = "is auto"
families = ["roses"]
instead = "seas are blue"
nick = "Colour"
blurb = "Which colour."
short = "which colour"
'''


def run(*arguments):
    return subprocess.run([sys.executable, GENERATE, *map(str, arguments)], capture_output=True, text=True)


class Generate(unittest.TestCase):
    def check(self, text, *words):
        with tempfile.TemporaryDirectory() as folder:
            table = pathlib.Path(folder) / "fields.toml"
            table.write_text(text, encoding="utf-8")
            result = run("check", table)
            if not words:
                self.assertEqual(result.returncode, 0, result.stderr)
                return
            self.assertEqual(result.returncode, 1, f"not refused: {words}")
            for word in words:
                self.assertIn(word, result.stderr)

    def test_what_is_wrong_is_told_by_name(self):
        self.check(GOOD)
        wrong = {
            ('blurb = "How many things."\n', ""): ("number", "blurb"),
            ('blurb = "How many things."', 'blurb = " "'): ("number", "blurb"),
            ('nick = "Number"\n', ""): ("number", "nick"),
            ('short = "how many"\n', ""): ("number", "short"),
            ('name = "colour"\ntype', 'name = "number"\ntype'): ("two fields", "number"),
            ('default = "model"', 'default = "is 12, a dozen"'): ("number", "default is out of its range"),
            ('default = "is auto"', 'default = "is green"'): ("colour", "default"),
            ('default = "model"', 'default = "somewhere"'): ("number", "default"),
            ("range = [1, 9]", "range = [9, 1]"): ("number", "range"),
            ("range = [1, 9]", "range = [-5, 9]"): ("number", "unset"),
            ("range = [1, 9]\n", ""): ("number", "range"),
            ('type = "int"', 'type = "integer"'): ("number", "integer"),
            ('choice = "colour"', 'choice = "color"'): ("colour", "color"),
            ('"Like a rose"', '""'): ("colour", "red"),
            ('"Like a rose"', '"blue"'): ("colour", "red"),
            ('["red", ', '["blue", '): ("colour", "two values"),
            ('unit = "things"', 'units = "things"'): ("number", "units"),
            ('name = "number"', 'name = "Number_"'): ("Number_",),
            ('["roses"]', '["tulips"]'): ("colour", "tulips", "roses, seas"),
            ('["roses"]', '["roses", "seas"]'): ("colour", "some of them"),
            ('["roses"]', "[]"): ("colour", "some of them"),
            ('instead = "seas are blue"\n', ""): ("colour", "instead"),
            ('families = ["roses"]\n', ""): ("colour", "instead"),
            ('["seas"]', '["lakes"]'): ("colour", "blue", "lakes"),
            ('instead = "roses', 'because = "roses'): ("colour", "blue"),
            ('instead = "seas are blue"', 'instead = {roses = "no"}'): ("colour", "instead by family", "seas"),
            ('instead = "seas are blue"', 'instead = {seas = " "}'): ("colour", "instead"),
            ('title = "Seas"\n', ""): ("seas", "title"),
            ('name = "seas"', 'name = "roses"'): ("two families", "roses"),
        }
        for (old, new), words in wrong.items():
            self.assertIn(old, GOOD)
            self.check(GOOD.replace(old, new, 1), *words)

    def test_a_cache_names_its_policies_and_a_setting_its_caches(self):
        real = TABLE.read_text(encoding="utf-8")
        self.check(real)
        wrong = {
            ('policies = {teacache = "TeaCacheSettings"}', "policies = {}"): ("teacache", "lacks policies"),
            ('["pixel", "Decode the overlap and encode it again"]',
             '["pixel", "Decode the overlap and encode it again", {policies = {pixel = "Pixel"}}]'):
                ("pixel", "has policies"),
            ('name = "cache-vote"\nstruct = "cache"\ncaches = ["motioncache"]\n',
             'name = "cache-vote"\nstruct = "cache"\n'):
                ("cache-vote", "caches"),
            ('name = "steps"\n', 'name = "steps"\ncaches = ["motioncache"]\n'): ("steps", "caches"),
            ('name = "cache-vote"\nstruct = "cache"\ncaches = ["motioncache"]',
             'name = "cache-vote"\nstruct = "cache"\ncaches = ["notion"]'):
                ("cache-vote", "notion", "motioncache"),
        }
        for (old, new), words in wrong.items():
            self.assertIn(old, real)
            self.check(real.replace(old, new, 1), *words)

    def test_a_new_policy_is_in_the_variant_and_in_the_lists(self):
        with tempfile.TemporaryDirectory() as folder:
            table = pathlib.Path(folder) / "fields.toml"
            # Names that no recipe of CONTRIBUTING.md takes, so that the test holds while one follows it.
            old = '  ["flowcache", '
            new = '  ["every-third", "Each third", {policies = {every_third = "EveryThirdSettings"}}],\n' + old
            table.write_text(TABLE.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
            self.assertIn("every_third", run("policies", table).stdout.split())
            made = pathlib.Path(folder) / "policy_list.h"
            self.assertEqual(run("policies", table, made).returncode, 0)
            self.assertIn('#include "engine/cache/every_third.h"', made.read_text())
            self.assertIn("TeaCacheSettings, EveryThirdSettings", made.read_text())

    def test_what_does_it_instead_may_differ_by_family(self):
        with tempfile.TemporaryDirectory() as folder:
            table, made = pathlib.Path(folder) / "fields.toml", pathlib.Path(folder) / "table.cpp"
            table.write_text(GOOD.replace('[[choice]]', '[[family]]\nname = "hills"\ntitle = "Hills"\n\n[[choice]]',
                                          1).replace(
                'instead = "seas are blue"', 'instead = {seas = "seas are blue", hills = "hills are green"}'),
                encoding="utf-8")
            self.assertEqual(run("table", table, made).returncode, 0)
            self.assertIn('[](ModelFamily other) -> const char* { return other == ModelFamily::SEAS ? "seas are blue" : "hills are green"', made.read_text())

    def test_each_family_of_the_table_is_a_folder(self):
        table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
        names = sorted(family["name"].replace("-", "_") for family in table["family"])
        folders = sorted(folder.name for folder in (ROOT / "engine/families").iterdir() if folder.is_dir())
        self.assertEqual(names, folders)

    def test_a_new_field_is_everywhere(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            table = folder / "fields.toml"
            table.write_text(TABLE.read_text(encoding="utf-8") + '\n[[field]]\nname = "test-smear"\ntype = "number"\nrange = [0, 2]\n'
                             'unit = "frames"\ndefault = "model"\nnick = "Smear"\nblurb = "How far a picture is smeared."\n'
                             'short = "how far a picture is smeared"\n', encoding="utf-8")
            self.assertEqual(run("header", table, ROOT / "engine/motioncache.h.in",
                                 folder / "motioncache.h").returncode, 0)
            self.assertEqual(run("fields", table, folder / "fields.h").returncode, 0)
            self.assertEqual(run("table", table, folder / "table.cpp").returncode, 0)
            self.assertRegex((folder / "motioncache.h").read_text(),
                             r"smeared\. Range: 0 to 2 frames\. Default: the model's\. \*/\n  double test_smear;")
            self.assertIn("std::optional<double> test_smear;", (folder / "fields.h").read_text())
            made = (folder / "table.cpp").read_text()
            self.assertIn('"test-smear"', made)
            self.assertIn("c.test_smear != MC_UNSET", made)
            old = run("readme", table, ROOT / "README.md")
            self.assertEqual(old.returncode, 1)
            self.assertIn("test-smear", old.stderr)

    def test_what_is_added_comes_last_in_an_update(self):
        real = TABLE.read_text(encoding="utf-8")
        highest = max(field.get("since", 3) for field in tomllib.loads(real)["field"])
        entry = ('\n[[field]]\nname = "test-smear"\ntype = "number"\nrange = [0, 2]\nunit = ""\ndefault = "model"\n'
                 f'since = {highest + 1}\nwhen = "next chunk"\nnick = "Smear"\nblurb = "How far."\nshort = "how far"\n')
        steps = 'name = "steps"\ntype = "int"\n'  # a field of old that may now change
        self.assertIn(steps, real)
        changed = real.replace(steps, f'{steps}when = "next chunk"\nwhen_since = {highest + 1}\n')
        for text, member in ((entry + real, "double test_smear"), (real + entry, "double test_smear"),
                             (changed, "int32_t steps")):
            with tempfile.TemporaryDirectory() as folder:
                table, made = pathlib.Path(folder) / "fields.toml", pathlib.Path(folder) / "motioncache.h"
                table.write_text(text, encoding="utf-8")
                self.assertEqual(run("header", table, ROOT / "engine/motioncache.h.in", made).returncode, 0)
                update = made.read_text().split("} McUpdate;")[0].split("typedef struct {")[-1]
                members = [line.split(";")[0].strip() for line in update.splitlines() if ";" in line.split("/*")[0]]
                self.assertEqual(members[-2:], ["const McCacheOptions *cache", member])
        self.check(changed.replace(f"when_since = {highest + 1}", "when_since = 3"), "steps", "when_since")
        self.check(real.replace(steps, f"{steps}when_since = {highest + 1}\n"), "steps", "when_since")

    def test_the_readme_is_what_the_table_says(self):
        result = run("readme", TABLE, ROOT / "README.md")
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main()
