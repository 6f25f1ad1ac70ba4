#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes code and text from fields.toml, which says what its entries mean.

  generate.py header TABLE TEMPLATE OUT   motioncache.h from motioncache.h.in
  generate.py fields TABLE OUT_H          the values: mc::Fields and the enums
  generate.py policies TABLE [OUT_H]      the names of the cache policies, or the variant of their settings
  generate.py table TABLE OUT_CPP         the table of descriptors, and the way to and from the C structs
  generate.py check TABLE                 only looks for mistakes
  generate.py readme TABLE README [--write]   compares README's table of properties with this one, or writes it

A mistake in the table ends with its name and 1.
"""
import json
import os
import re
import sys
import textwrap
import tomllib

TYPES = {"text", "file", "picture", "clip", "int", "int64", "number", "flag", "choice"}
NUMBERS = {"int", "int64", "number"}
STRUCTS = ("model", "request", "cache")
ABI = 3  # the version from which on fields are only appended
UPDATE_CACHE = 7  # the `since` of McUpdate::cache: members with a higher one stand behind it
FIELD_KEYS = {"name", "type", "choice", "range", "above", "unit", "unset", "none", "default", "struct", "c_name", "families",
              "instead", "caches", "none_c", "when", "element", "c_default", "nick", "blurb", "short", "since", "when_since", "alone"}
CHOICE_KEYS = {"name", "c", "cpp", "prefix", "auto", "values"}
VALUE_KEYS = {"families", "instead", "policies"}
FAMILY_KEYS = {"name", "title"}


class Mistake(Exception):
    pass


def literal(text):
    return json.dumps(text, ensure_ascii=False)


def camel(name):
    return "".join(part.capitalize() for part in name.split("-"))


class Known:
    """Which families know something, and what does it in the others. Families, here and below: titles by name."""

    def __init__(self, what, entry, families):
        self.names, self.instead = entry.get("families", []), entry.get("instead", "")
        others = [name for name in families if name not in self.names]
        for name in self.names:
            if name not in families:
                raise Mistake(f"{what}: family {name!r} is none of {', '.join(families)}")
        if "families" in entry and (not self.names or len(set(self.names)) == len(families)):
            raise Mistake(f"{what}: families must be some of them, and is left out where all know it")
        if isinstance(self.instead, dict) and sorted(self.instead) != sorted(others):
            raise Mistake(f"{what}: instead by family has {', '.join(self.instead)}, and the others are {', '.join(others)}")
        said = self.instead.values() if isinstance(self.instead, dict) else [self.instead]
        if bool(self.names) != all(text.strip() for text in said):
            raise Mistake(f"{what}: families, and instead for the others, are given together or not at all")
        self.titles = " and ".join(families[name] for name in self.names)

    def blurb(self):
        return f" Only for {self.titles}." if self.names else ""

    def tail(self):
        return f"; only for {self.titles}" if self.names else ""

    def cpp(self):
        families = " | ".join(f"bit(ModelFamily::{enumerator(name)})" for name in self.names) or "ALL_FAMILIES"
        if not self.names:
            return f'{{{families}, nullptr, ""}}'
        parameter, text = "", literal(self.instead)
        if isinstance(self.instead, dict):
            *several, (_, last) = self.instead.items()
            parameter = " other" if several else ""
            text = "".join(f"other == ModelFamily::{enumerator(name)} ? {literal(said)} : " for name, said in several)
            text += literal(last)
        return f"{{{families}, [](ModelFamily{parameter}) -> const char* {{ return {text}; }}, {literal(self.titles)}}}"


class Value:
    def __init__(self, choice, entry, families):
        self.name, self.blurb, *rest = entry
        more = rest[0] if rest else {}
        if len(rest) > 1 or set(more) - VALUE_KEYS:
            raise Mistake(f"choice {choice}: {self.name} has more than name, description and {{{', '.join(sorted(VALUE_KEYS))}}}")
        self.known = Known(f"choice {choice}, {self.name}", more, families)
        self.policies = more.get("policies", {})
        if bool(self.policies) != (choice == "cache"):
            raise Mistake(f"choice {choice}: {self.name} {'lacks policies' if choice == 'cache' else 'has policies'}, "
                          "which each value of cache has and no other")


def enumerator(name):
    return name.upper().replace("-", "_")


class Choice:
    def __init__(self, entry, families):
        unknown = set(entry) - CHOICE_KEYS
        if unknown:
            raise Mistake(f"choice {entry.get('name')}: unknown key {sorted(unknown)[0]}")
        for key in ("name", "c", "prefix", "auto", "values"):
            if not entry.get(key):
                raise Mistake(f"choice {entry.get('name', '?')}: {key} is missing or empty")
        self.name, self.c, self.prefix, self.auto = entry["name"], entry["c"], entry["prefix"], entry["auto"]
        self.cpp = entry.get("cpp", camel(self.name))
        self.values = [Value(self.name, value, families) for value in entry["values"]]
        names = [value.name for value in self.values]
        if "auto" in names or len(set(names)) != len(names):
            raise Mistake(f"choice {self.name}: two values of one name, or one named auto")
        for value in self.values:
            if not value.blurb:
                raise Mistake(f"choice {self.name}: {value.name} has no description")
            if value.blurb in names + ["auto"]:  # GStreamer looks at descriptions before it looks at names
                raise Mistake(f"choice {self.name}: the description of {value.name} is a name")
        if self.auto in names:
            raise Mistake(f"choice {self.name}: the description of auto is a name")


class Field:
    def __init__(self, entry, choices, families):
        name = entry.get("name")
        if not name or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
            raise Mistake(f"a field has no name, or one that is no property name: {name!r}")

        def wrong(what):
            raise Mistake(f"field {name}: {what}")

        unknown = set(entry) - FIELD_KEYS
        if unknown:
            wrong(f"unknown key {sorted(unknown)[0]}")
        self.name = name
        self.type = entry.get("type")
        if self.type not in TYPES:
            wrong(f"type {self.type!r} is none of {', '.join(sorted(TYPES))}")
        self.struct = entry.get("struct", "request")
        if self.struct not in STRUCTS:
            wrong(f"struct {self.struct!r} is none of {', '.join(STRUCTS)}")
        self.element = entry.get("element", True)
        for key in ("blurb", "default") + (("nick", "short") if self.element else ()):
            if not str(entry.get(key, "")).strip():
                wrong(f"{key} is missing or empty")
        self.nick, self.blurb, self.short = entry.get("nick", ""), entry["blurb"], entry.get("short", "")
        self.default = entry["default"]
        if self.default not in ("required", "model", "preset", "none") and not self.default.startswith("is "):
            wrong("default must be required, model, preset, none or begin with \"is \"")
        if self.default == "preset" and self.struct != "cache":
            wrong("default preset is for the cache alone")
        self.c_default = entry.get("c_default", "")
        when = entry.get("when", "start")
        if when not in ("start", "next chunk"):
            wrong(f"when {when!r} is none of start, next chunk")
        self.playing = when == "next chunk"
        kinds_of_change = ("text", "int", "number") if self.struct == "request" else ("int", "number", "choice")
        if self.playing and (self.struct == "model" or self.type not in kinds_of_change):
            wrong("when next chunk is for texts, ints and numbers of the request, and ints, numbers and choices of the cache")
        self.alone = entry.get("alone", False)
        if self.alone and not (self.playing and self.struct == "cache" and self.type != "choice"):
            wrong("alone is for ints and numbers of the cache that change with the next chunk")
        self.since = entry.get("since", ABI)
        if "when_since" in entry and (not self.playing or entry["when_since"] <= self.since):
            wrong("when_since is for a field whose when came later than the field: above its since")
        self.update_since = entry.get("when_since", self.since)
        self.known = Known(f"field {name}", entry, families)
        self.caches = entry.get("caches", [])
        if bool(self.caches) != (self.struct == "cache" and name != "cache"):
            wrong("caches, which have it, are given for each field of the cache but cache itself, and for no other")
        kinds = [value.name for value in choices["cache"].values] if self.caches else []
        if other := set(self.caches) - set(kinds):
            wrong(f"cache {sorted(other)[0]!r} is none of {', '.join(kinds)}")
        if self.caches and set(kinds) - set(self.caches) - {"none"}:
            self.blurb = f"With {' or '.join(self.caches)}: {self.blurb[0].lower()}{self.blurb[1:]}"
        short = name.removeprefix("cache-") if self.struct == "cache" else name
        self.member = entry.get("c_name", short).replace("-", "_")
        self.cpp_member = self.member + ("_file" if self.type in ("picture", "clip") else "")
        self.choice = None
        if self.type == "choice":
            self.choice = choices.get(entry.get("choice"))
            if not self.choice:
                wrong(f"choice {entry.get('choice')!r} is not in the table")
        self.none, self.none_c = entry.get("none"), entry.get("none_c")
        self.above = entry.get("above", False)
        self.unit = entry.get("unit", "")
        self.unset_text = entry.get("unset") if self.type == "text" else None
        if self.type in NUMBERS:
            if "range" not in entry or "unit" not in entry:
                wrong("a number needs range and unit")
            self.least, self.most = entry["range"]
            if not self.least < self.most:
                wrong("its range is empty")
            self.unset = entry.get("unset", -1)
            inside = self.least <= self.unset <= self.most and not (self.above and self.unset == self.least)
            if inside and not self.default.startswith(f"is {self.unset},"):
                wrong(f"unset is {self.unset}, which is a value of its range")
            if self.none is not None and self.least <= self.none <= self.most:
                wrong("none lies in its range")
            given = re.match(r"is (-?[0-9.]+)\b", self.default)
            if given and not self.least <= float(given[1]) <= self.most:
                wrong("its default is out of its range")
        elif "range" in entry:
            wrong("only numbers have a range")
        if self.type == "choice" and (given := re.match(r"is ([a-z0-9-]+)", self.default)):
            if given[1] not in ["auto"] + [value.name for value in self.choice.values]:
                wrong("its default is none of its choice")

    # In words, for gst-inspect and the header.
    def range_text(self, names=True):
        if self.type not in NUMBERS:
            return ""
        least, most = plain(self.least), plain(self.most)
        if self.most == 9223372036854775807:
            most = "2^63-1"
        span = f"above {least} up to {most}" if self.above else f"{least} to {most}"
        return f"{span} {self.unit}".strip() if self.unit else span

    def default_text(self, unset):
        source = {"required": "none, it is required", "model": "the model's", "preset": "the preset's", "none": "none"}
        text = source.get(self.default, self.default.removeprefix("is "))
        return f"{text} ({unset})" if unset else text

    def property_blurb(self):
        text = self.blurb
        if self.type in NUMBERS:
            text += f" Range: {self.range_text()}."
        unset = ""
        if self.type in NUMBERS and not (self.least <= self.unset <= self.most):
            unset = plain(self.unset)
        if self.type == "choice" and not self.default.startswith("is auto"):
            unset = "auto"
        return text + f" Default: {self.default_text(unset)}." + self.known.blurb()


def plain(number):
    return str(int(number)) if float(number).is_integer() else repr(number)


def read(path):
    with open(path, "rb") as file:
        table = tomllib.load(file)
    families = {}
    for entry in table.get("family", []):
        if set(entry) != FAMILY_KEYS or not all(entry.values()):
            raise Mistake(f"family {entry.get('name', '?')}: has {', '.join(sorted(entry))} instead of name and title")
        if entry["name"] in families:
            raise Mistake(f"two families are named {entry['name']}")
        families[entry["name"]] = entry["title"]
    choices = {}
    for entry in table.get("choice", []):
        choice = Choice(entry, families)
        if choice.name in choices:
            raise Mistake(f"two choices are named {choice.name}")
        choices[choice.name] = choice
    fields, seen = [], set()
    for entry in table.get("field", []):
        field = Field(entry, choices, families)
        if field.name in seen:
            raise Mistake(f"two fields are named {field.name}")
        if (field.struct, field.member) in seen:
            raise Mistake(f"field {field.name}: its struct has a {field.member} already")
        seen |= {field.name, (field.struct, field.member)}
        fields.append(field)
    return families, choices, fields


# ---- C ----

C_TYPES = {"text": "const char *", "file": "const char *", "picture": "McImage ", "clip": "McClip ", "int": "int32_t ", "int64": "int64_t ",
           "number": "double ", "flag": "int32_t "}


def in_order(fields, struct):
    return sorted((f for f in fields if f.struct == struct), key=lambda f: f.since)


def c_comment(text, indent):
    lines = textwrap.wrap(text, 112 - len(indent), break_on_hyphens=False)
    return f"{indent}/* " + f"\n{indent} * ".join(lines) + " */"


def c_members(fields, struct):
    lines = []
    for field in in_order(fields, struct):
        kind = field.choice.c + " " if field.choice else C_TYPES[field.type]
        text = field.blurb
        if field.type in NUMBERS:
            text += f" Range: {field.range_text()}."
        if field.none is not None:
            text = re.sub(rf" {plain(field.none)}: ", f" {none_macro(field)}: ", text)
        text += f" Default: {field.c_default or field.default_text('')}." + field.known.blurb()
        lines += [c_comment(text, "  "), f"  {kind}{field.member};"]
    return "\n".join(lines)


# McUpdate: the fields that may change while a video is made, under the names of their properties; those of the cache
# change together, with McUpdate::cache.
def update_member(field):
    return field.name.replace("-", "_")


def update_fields(fields):
    return sorted((f for f in fields if f.playing and (f.struct == "request" or f.alone)), key=lambda f: f.update_since)


# In front of McUpdate::cache, or behind it.
def update_members(fields, later):
    return "\n".join(f"  {C_TYPES[f.type]}{update_member(f)};" for f in update_fields(fields)
                     if (f.update_since > UPDATE_CACHE) == later)


def none_macro(field):
    return field.none_c or "MC_NO_" + field.member.upper()


def c_choices(choices, fields):
    lines = []
    for choice in choices.values():
        lines.append(c_comment(f"auto: {choice.auto}.", ""))
        lines.append("typedef enum {")
        lines.append(f"  {choice.prefix}_AUTO = 0,")
        width = max(len(value.name) for value in choice.values) + len(choice.prefix) + 2
        for value in choice.values:
            comma = "," if value is not choice.values[-1] else ""
            name = choice.prefix + "_" + enumerator(value.name) + comma
            lines.append(f"  {name.ljust(width)} /* {value.blurb}{value.known.tail()} */")
        lines.append(f"}} {choice.c};\n")
    for field in fields:
        if field.none is not None:
            lines.append(f"#define {none_macro(field)} ({cpp_number(field, field.none)})\n")
    return "\n".join(lines)


def header(fields, choices, template, out):
    with open(template, encoding="utf-8") as file:
        text = file.read()
    parts = {"CHOICES": c_choices(choices, fields)}
    parts |= {f"{struct.upper()}_MEMBERS": c_members(fields, struct) for struct in STRUCTS}
    parts |= {"UPDATE_MEMBERS": update_members(fields, False), "LATER_UPDATE_MEMBERS": update_members(fields, True)}
    for name, part in parts.items():
        if f"@{name}@" not in text:
            raise Mistake(f"{template} has no @{name}@")
        text = text.replace(f"@{name}@\n", part + "\n" if part else "")
    write(out, text)


# ---- C++ ----

CPP_TYPES = {"text": "std::string", "file": "std::string", "picture": "std::string", "clip": "std::string", "int": "int", "int64": "int64_t",
             "number": "double", "flag": "bool"}
CPP_STRUCTS = {"model": "ModelFields", "cache": "CacheFields", "request": "Fields"}


def cpp_type(field):
    return field.choice.cpp if field.choice else CPP_TYPES[field.type]


def place(field):
    return field.cpp_member if field.struct == "request" else f"{field.struct}.{field.cpp_member}"


def cpp_header(includes, namespace, lines, out):
    head = ["// Made by engine/request/generate.py from fields.toml.", "#pragma once"]
    head += [f"#include {include}" for include in includes] + ["", f"namespace {namespace} {{", ""]
    write(out, "\n".join(head + lines + ["", f"}} // namespace {namespace}", ""]))


def fields_header(fields, choices, families, out):
    lines = ["enum class ModelFamily {"] + [f"    {enumerator(name)}," for name in families] + ["};", ""]
    for choice in choices.values():
        lines.append(f"enum class {choice.cpp} {{")
        lines += [f"    {enumerator(value.name)}, // {value.blurb}" for value in choice.values]
        lines += ["};", f"const char* name_of({choice.cpp} value);", ""]
    if "cache" in choices:
        kinds = ", ".join(f"CacheKind::{enumerator(value.name)}" for value in choices["cache"].values)
        lines += [f"inline constexpr CacheKind CACHE_KINDS[] = {{{kinds}}};", ""]
    lines.append("// Not set: empty.")
    for struct in ("model", "cache", "request"):
        name = CPP_STRUCTS[struct]
        lines.append(f"struct {name} {{")
        for field in fields:
            if field.struct == struct:
                lines.append(f"    std::optional<{cpp_type(field)}> {field.cpp_member};")
        if struct == "request":
            lines += ["    ModelFields model;", "    CacheFields cache;"]
        lines += [f"    bool operator==(const {name}&) const = default;", "};", ""]
    cpp_header(["<cstdint>", "<optional>", "<string>"], "mc", lines[:-1], out)


def descriptor(field):
    at = f"[](Fields& f) -> auto& {{ return f.{place(field)}; }}"
    if field.type == "choice":
        kind = (f"ChoiceField{{&{variable(field.choice)}, "
                f"[](const Fields& f) {{ return f.{place(field)} ? static_cast<int>(*f.{place(field)}) : -1; }}, "
                f"[](Fields& f, int value) {{ if (value < 0) f.{place(field)}.reset(); "
                f"else f.{place(field)} = static_cast<{field.choice.cpp}>(value); }}}}")
    elif field.type in ("int", "int64", "number"):
        kind_name = {"int": "IntField", "int64": "Int64Field", "number": "NumberField"}[field.type]
        least, most = (cpp_number(field, x) for x in (field.least, field.most))
        kind = f"{kind_name}{{{at}, {least}, {most}, {cpp_number(field, field.unset)}"
        none = "std::nullopt" if field.none is None else cpp_number(field, field.none)
        if field.type == "number":
            kind += f", {str(field.above).lower()}, {none}"
        if field.type == "int":
            kind += f", {none}"
        kind += "}"
    elif field.type == "flag":
        kind = f"FlagField{{{at}}}"
    else:
        unset = literal(field.unset_text) if field.unset_text else "nullptr"
        kind = ("TextField" if field.type == "text" else "FileField") + f"{{{at}, {unset}}}"
    source = {"required": "REQUIRED", "model": "MODEL", "preset": "PRESET", "none": "NONE"}.get(field.default, "FIXED")
    caches = " | ".join(f"bit(CacheKind::{enumerator(name)})" for name in field.caches) or "ALL_CACHES"
    return (f"    {{{literal(field.name)}, {literal(field.nick)}, {literal(field.property_blurb())}, Source::{source}, "
            f"Part::{field.struct.upper()}, {field.known.cpp()}, {caches}, {str(field.playing).lower()}, {str(field.element).lower()}, {kind}}},")


def cpp_number(field, value):
    if field.type == "number":
        return repr(float(value))
    return f"INT64_C({value})" if field.type == "int64" else str(value)


def variable(choice):
    return choice.name.upper().replace("-", "_") + "_CHOICE"


def from_c(field, value):
    to = f"f.{place(field)}"
    if field.type in ("text", "file"):
        return f"    if ({value}) {to} = {value};"
    if field.type in ("picture", "clip"):
        return f"    // {field.name}: pixels here, a file there"
    if field.type == "choice":
        return f"    {to} = chosen<{field.choice.cpp}>({value}, {variable(field.choice)});"
    if field.type == "flag":
        return f"    if ({value} != MC_UNSET) {to} = {value} != 0;"
    return f"    if ({value} != MC_UNSET) {to} = {value};"


def to_c(field, value):
    source = f"f.{place(field)}"
    if field.type in ("text", "file"):
        return f"    {value} = {source} ? {source}->c_str() : nullptr;"
    if field.type in ("picture", "clip"):
        return f"    // {field.name}: pixels there, a file here"
    if field.type == "choice":
        return f"    {value} = {field.choice.c}({source} ? static_cast<int>(*{source}) + 1 : 0);"
    return f"    {value} = {source} ? {C_TYPES[field.type].strip()}(*{source}) : MC_UNSET;"


def table(fields, choices, families, out):
    lines = ["// Made by engine/request/generate.py from fields.toml.", '#include "engine/request/field.h"',
             '#include "engine/request/c_request.h"', "", "namespace mc {", "", "namespace {", ""]
    for choice in choices.values():
        lines.append(f"constexpr ChoiceValue {variable(choice)}_VALUES[] = {{")
        lines += [f"    {{{literal(value.name)}, {literal(value.blurb + value.known.tail())}, {value.known.cpp()}}},"
                  for value in choice.values]
        lines.append("};")
        lines.append(f"constexpr Choice {variable(choice)}{{{literal(choice.name)}, {literal(choice.c)}, "
                     f"{literal(choice.auto)}, {variable(choice)}_VALUES}};\n")
    lines += ["} // namespace", ""]
    for choice in choices.values():
        lines += [f"const char* name_of({choice.cpp} value) {{",
                  f"    return {variable(choice)}_VALUES[static_cast<int>(value)].name;", "}"]
    lines += ["", "std::span<const FamilyName> families() {", "    static const FamilyName table[] = {"]
    lines += [f"        {{{literal(name)}, {literal(title)}}}," for name, title in families.items()]
    lines += ["    };", "    return table;", "}"]
    lines += ["", "std::span<const Field> fields() {", "    static const Field table[] = {"]
    lines += ["    " + descriptor(field) for field in fields]
    lines += ["    };", "    return table;", "}", ""]
    members = {c_struct: [(f, f.member) for f in fields if f.struct == struct] for c_struct, struct in
               (("McModelOptions", "model"), ("McCacheOptions", "cache"), ("McRequest", "request"))}
    members["McUpdate"] = [(f, update_member(f)) for f in update_fields(fields)]
    for c_struct, chosen in members.items():
        lines += [f"void read_c(const {c_struct}& c, Fields& f) {{"] + [from_c(f, "c." + m) for f, m in chosen] + ["}"]
        lines += [f"void write_c(const Fields& f, {c_struct}& c) {{"] + [to_c(f, "c." + m) for f, m in chosen] + ["}", ""]
    lines += ["} // namespace mc", ""]
    write(out, "\n".join(lines))


# The policies of all caches, by the name of their files: their settings.
def policies(choices):
    return {name: settings for value in choices["cache"].values for name, settings in value.policies.items()}


def policy_list(choices, out):
    settings = ", ".join(policies(choices).values())
    includes = ["<variant>"] + [f'"engine/cache/{name}.h"' for name in policies(choices)]
    cpp_header(includes, "mc::cache", [f"using AnyPolicy = std::variant<{settings}>;"], out)


# ---- README ----

def readme_rows(fields):
    source = {"required": "required", "model": "the model's", "preset": "the preset's", "none": "none"}
    rows = ["| property | default | what it is |", "|---|---|---|"]
    for field in fields:
        if not field.element:
            continue
        default = source.get(field.default)
        if not default:
            default = field.default.removeprefix("is ")
            default = re.split(r"[,:]", default)[0].strip('"') if field.type != "file" else "`$MOTIONCACHE_MODEL`, else the demo model"
        only = f"; only {field.known.titles}" if field.known.names else ""
        rows.append(f"| `{field.name}` | {default} | {field.short}{only} |")
    return rows


def readme(fields, path, write_it):
    begin, end = "<!-- properties: made from engine/request/fields.toml -->\n", "<!-- end of properties -->"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if begin not in text or end not in text:
        raise Mistake(f"{path} has no table of properties between {begin.strip()} and {end}")
    head, rest = text.split(begin, 1)
    old, tail = rest.split(end, 1)
    new = "\n".join(readme_rows(fields)) + "\n"
    if write_it:
        write(path, head + begin + new + end + tail)
    elif old != new:
        for a, b in zip(old.splitlines() + [""], new.splitlines() + [""]):
            if a != b:
                raise Mistake(f"{path} is not what the table says; run engine/request/generate.py readme ... --write\n- {a}\n+ {b}")
        raise Mistake(f"{path} has more or fewer properties than the table; run engine/request/generate.py readme ... --write")


# A file that stays as it is keeps its time: what includes it is not compiled again.
def write(path, text):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(arguments):
    what, *rest = arguments or ["help"]
    try:
        if what not in ("header", "fields", "policies", "table", "check", "readme"):
            print(__doc__)
            return 0 if what in ("help", "--help", "-h") else 2
        families, choices, fields = read(rest[0])
        if what == "header":
            header(fields, choices, rest[1], rest[2])
        if what == "fields":
            fields_header(fields, choices, families, rest[1])
        if what == "policies" and len(rest) > 1:
            policy_list(choices, rest[1])
        elif what == "policies":
            print("\n".join(policies(choices)))
        if what == "table":
            table(fields, choices, families, rest[1])
        if what == "readme":
            readme(fields, rest[1], "--write" in rest)
    except Mistake as mistake:
        print(f"fields.toml: {mistake}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
