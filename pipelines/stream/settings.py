# SPDX-License-Identifier: LGPL-2.1-or-later
"""Settings of the element on a command line, as gst-launch-1.0 has them, but checked: NAME=VALUE, size and rate."""
import re

from gi.repository import GObject


def split(words):
    """Settings by name, and the other words."""
    properties, others = {}, []
    for word in words:
        setting = re.match(r"([a-z][a-z0-9-]*)=(.*)", word, re.S)
        if setting:
            properties[setting.group(1)] = setting.group(2)
        else:
            others.append(word)
    return properties, others


def add_picture_options(parser):
    parser.add_argument("--size", metavar="WxH", help="generate this size, in multiples of 16 (default: the model's)")
    parser.add_argument("--fps", metavar="N[/M]", help="generate this rate (default: the model's)")


def caps(parser, options):
    fields = ["video/x-raw"]
    if options.size:
        size = re.fullmatch(r"(\d{2,5})x(\d{2,5})", options.size)
        if not size:
            parser.error(f"--size {options.size}: give width and height, for example --size 160x96")
        fields += [f"width={size.group(1)}", f"height={size.group(2)}"]
    if options.fps:
        rate = re.fullmatch(r"(\d{1,4})(?:/(\d{1,4}))?", options.fps)
        if not rate or not int(rate.group(1)) or rate.group(2) and not int(rate.group(2)):
            parser.error(f"--fps {options.fps}: give frames per second, for example --fps 24")
        fields.append(f"framerate={rate.group(1)}/{rate.group(2) or 1}")
    return ",".join(fields) if len(fields) > 1 else ""


def set_properties(element, properties):
    for name, text in properties.items():
        spec = element.find_property(name)
        if not spec:
            raise ValueError(f"motioncachegen has no property {name}: gst-inspect-1.0 motioncachegen lists them.")
        if not spec.flags & GObject.ParamFlags.WRITABLE:
            raise ValueError(f"{name} can be read only: leave it out.")
        try:
            element.set_property(name, value_of(spec, text))
        except (ValueError, KeyError):
            raise ValueError(f"{name}={text} is not a value that it can have: gst-inspect-1.0 motioncachegen tells "
                             "its range.") from None


def value_of(spec, text):
    """Any text for a string, without another layer of quotes. GObject would move a number into the range, silently."""
    kind = spec.value_type
    if kind == GObject.TYPE_STRING:
        return text
    if kind == GObject.TYPE_BOOLEAN:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
    if kind.is_a(GObject.TYPE_ENUM):
        return {value.value_nick: value for value in spec.enum_class.__enum_values__.values()}[text]
    number = float(text) if kind in (GObject.TYPE_DOUBLE, GObject.TYPE_FLOAT) else int(text)
    if not spec.minimum <= number <= spec.maximum:
        raise ValueError
    return number
