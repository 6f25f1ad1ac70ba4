# SPDX-License-Identifier: LGPL-2.1-or-later
"""pictures_test.py: what tools/quality/pictures.py draws, read back."""
import math
import pathlib
import struct
import sys
import tempfile
import xml.etree.ElementTree
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "quality"))
import pictures
import pixel_font

failures = 0


def check(ok, what):
    global failures
    if not ok:
        failures += 1
        print("FAILED:", what)


def refused(what, why, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
        check(False, f"no error from {what}")
    except ValueError as e:
        check(why in str(e), f"{what}: {e}")


def read_png(path):
    """Width, height and lines of an RGB picture."""
    data, at, packed = path.read_bytes(), 8, b""
    check(data[:8] == b"\x89PNG\r\n\x1a\n", "PNG signature")
    kinds = []
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        check(struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body),
              f"CRC of {kind}")
        kinds.append(kind)
        if kind == b"IHDR":
            width, height, *rest = struct.unpack(">IIBBBBB", body)
            check(rest == [8, 2, 0, 0, 0], "8-bit RGB, not interlaced")
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    check(kinds[0] == b"IHDR" and kinds[-1] == b"IEND" and kinds.count(b"IDAT") == 1, f"chunks {kinds}")
    raw, stride = zlib.decompress(packed), 3 * width
    check(len(raw) == height * (stride + 1), "a filter byte and a line for each line")
    lines = [bytearray(stride)]
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        check(kind in (0, 1, 2), f"filter {kind} is not known here")
        for i in range(stride):
            line[i] = (line[i] + {0: 0, 1: line[i - 3] if i >= 3 else 0, 2: lines[-1][i]}[kind]) & 255
        lines.append(line)
    return width, height, [bytes(line) for line in lines[1:]]


def find(lines, block):
    """Where lines of pixels lie in a picture: [(x, y)]."""
    found = []
    for y in range(len(lines) - len(block) + 1):
        at = lines[y].find(block[0])
        while at >= 0:
            if at % 3 == 0 and all(lines[y + i][at:at + len(row)] == row for i, row in enumerate(block)):
                found.append((at // 3, y))
            at = lines[y].find(block[0], at + 1)
    return found


def written(text, colour):
    """Lines of pixels of a text in the font, as it is drawn."""
    ink, paper, lines = bytes.fromhex(colour[1:]), bytes.fromhex(pictures.PAPER[1:]), []
    for row in range(pixel_font.HEIGHT):
        bits = "".join(f"{pixel_font.glyph(c)[row]:05b}0" for c in text)
        lines += [b"".join((ink if bit == "1" else paper) * 2 for bit in bits)] * 2
    return lines


def test_png(folder):
    rgb = bytes(i * i % 251 for i in range(3 * 5 * 4))
    rgb = rgb[:30] + rgb[15:30] + rgb[45:]  # the third line is the second
    pictures.write_png(folder / "a.png", 5, 4, rgb)
    width, height, lines = read_png(folder / "a.png")
    check((width, height) == (5, 4) and b"".join(lines) == rgb, "a PNG's pixels")
    refused("pixels that are missing", "not a picture of 5 x 4", pictures.write_png, folder / "b.png", 5, 4, rgb[1:])
    refused("a picture of nothing", "not a picture", pictures.write_png, folder / "b.png", 0, 0, b"")


def test_contact_sheet(folder):
    width, height, frames = 7, 6, 5
    size = 3 * width * height
    videos = [bytes((i * (v + 3) + i // size * 40) % 256 for i in range(frames * size)) for v in (0, 1)]
    rows = [("one", videos[0]), ("two & <2>\n31.2 dB é", bytearray(videos[1]))]
    for scale in (1, 2, 3):
        pictures.contact_sheet(folder / "sheet.png", rows, [4, 0], width, height, scale=scale, title="A title")
        _, _, lines = read_png(folder / "sheet.png")
        places = []
        for video in videos:
            for column in (4, 0):
                frame = video[column * size:(column + 1) * size]
                block = []
                for y in range(height):
                    pixels = [frame[3 * (y * width + x):3 * (y * width + x) + 3] * scale for x in range(width)]
                    block += [b"".join(pixels)] * scale
                places.append(find(lines, block))
        check(all(len(p) == 1 for p in places), f"each frame is there once: {places}")
        (a, b, c, d) = (p[0] for p in places)
        for x, y in (a, b, c, d):
            below = lines[y + height * scale][3 * x:3 * (x + width * scale)]
            check(set(below) == {255}, "a frame ends where it should")
        check(a[1] == b[1] and c[1] == d[1] and a[0] == c[0] and b[0] == d[0], "rows and columns")
        check(a[0] + width * scale < b[0] and a[1] + height * scale < c[1], "frame 4 before 0, one above two")
        for text, colour in (("A title", pictures.INK), ("frame 4", pictures.FAINT), ("frame 0", pictures.FAINT),
                             ("one", pictures.INK), ("two & <2>", pictures.INK), ("31.2 dB ?", pictures.FAINT)):
            check(len(find(lines, written(text, colour))) == 1, f"{text!r} is written once")
        check(find(lines, written("one", pictures.INK))[0][1] >= a[1], "a label beside its row")
    sheet = folder / "bad.png"
    refused("no rows", "no frames", pictures.contact_sheet, sheet, [], [0], width, height)
    refused("no columns", "no frames", pictures.contact_sheet, sheet, rows, [], width, height)
    refused("a frame too many", "none numbered 5", pictures.contact_sheet, sheet, rows, [5], width, height)
    refused("frame -1", "none numbered -1", pictures.contact_sheet, sheet, rows, [-1], width, height)
    refused("a part of a frame", "not whole frames", pictures.contact_sheet, sheet, [("", videos[0][1:])], [0], width,
            height)
    refused("an empty video", "not whole frames", pictures.contact_sheet, sheet, [("", b"")], [0], width, height)
    check(not sheet.exists(), "what is refused writes no file")


def test_font():
    shapes = {c: tuple(pixel_font.glyph(c)) for c in map(chr, range(32, 127))}
    check(len(set(shapes.values())) == 95, "no two characters look the same")
    check(all(len(s) == pixel_font.HEIGHT and max(s) < 32 for s in shapes.values()), "glyphs of 5 x 9")
    check(shapes["A"] == (14, 17, 17, 17, 31, 17, 17, 0, 0), "A")
    check(not any(shapes[" "]) and all(any(s) for c, s in shapes.items() if c != " "), "the space alone is empty")


SVG = "{http://www.w3.org/2000/svg}"


def read_svg(path):
    root = xml.etree.ElementTree.fromstring(path.read_bytes())
    check(root.tag == SVG + "svg" and root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}", "svg")
    texts = ["".join(t.itertext()) for t in root.iter(SVG + "text")]
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(SVG + "circle")
               if c.find(SVG + "title") is not None]
    return root, texts, circles


def test_trade_off(folder):
    chart = folder / "chart.svg"
    nasty = "a<b> & \"c\" 'd' \0\x1b\ud800 €"
    shown = "a<b> & \"c\" 'd' \ufffd\ufffd\ufffd €"
    lines = [(nasty, [(100, math.inf, "off"), (60, 31.25, nasty), (40, 25, "0.2")]), ("other", [(50, 28, 0.5)]),
             ("third", [(55, 29, "")])]
    pictures.trade_off(chart, lines, title=nasty, subtitle="8 prompts", x_title="FLOP & co", x_unit=" %")
    root, texts, circles = read_svg(chart)
    check(texts.count(shown) == 4, f"title, legend, label and its halo, escaped: {texts.count(shown)}")
    for text in ("8 prompts", "FLOP & co", "PSNR, dB", "other", "third", "off", "0.2", "0.5", "equal", "60 %", "30"):
        check(text in texts, f"{text!r} is written")
    check(len(circles) == 3, "a mark a point of the first line")
    hints = ["".join(t.itertext()) for t in root.iter(SVG + "title")]
    check(any(h.endswith("60 %, 31.25 dB") for h in hints) and any(h.endswith("100 %, equal") for h in hints), "hints")
    (x, y) = zip(*circles)
    check(x[0] > x[1] > x[2] and y[0] < y[1] < y[2], "more FLOP to the right, more dB up, equal at the top")
    check(all(0 < x < 900 and 0 < y < 540 for x, y in circles), "within the picture")
    ticks = {float(t.text): float(t.get("y")) for t in root.iter(SVG + "text")
             if t.get("text-anchor") == "end" and t.text.replace(".", "").isdigit() and t.get("font-size") == "13"}
    first, *_, last = sorted(ticks)
    at_25 = ticks[first] + (25 - first) / (last - first) * (ticks[last] - ticks[first]) - 4.5
    check(abs(at_25 - y[2]) < 0.2, f"25 dB where the axis has it: {at_25}, {y[2]}")

    pictures.trade_off(chart, [("one", [(1, 30, "x")])], title="t", x_title="x")
    check(len(read_svg(chart)[2]) == 1, "one point alone")
    pictures.trade_off(chart, [("one", [(1, math.inf, "x")]), ("none", [])], title="t", x_title="x")
    check(len(read_svg(chart)[2]) == 1, "equal ones alone")
    many = [(f"a method of some length {i}", [(j, 20 + i + j, f"{i}/{j}") for j in range(6)]) for i in range(12)]
    pictures.trade_off(chart, many, title="t", x_title="x")
    _, texts, circles = read_svg(chart)
    check(all(text in texts for name, line in many for text in [name] + [label for _, _, label in line]), "many lines")

    refused("no lines", "no points", pictures.trade_off, chart, [], title="t", x_title="x")
    refused("no points", "no points", pictures.trade_off, chart, [("a", [])], title="t", x_title="x")
    for x, y in ((math.nan, 1), (math.inf, 1), (1, math.nan), (1, -math.inf)):
        refused(f"{x}, {y}", "the point 'p' is at", pictures.trade_off, chart, [("a", [(x, y, "p")])], title="t",
                x_title="x")


def test_ticks():
    for low, high in ((0, 1), (0.93, 1.0001), (20, 45), (-3, 7), (35.8, 104.2), (0, 1e9), (1e-7, 2e-7)):
        ticks = pictures._ticks(low, high)
        check(3 <= len(ticks) <= 8 and low <= ticks[0] and ticks[-1] <= high, f"ticks of {low} to {high}: {ticks}")


with tempfile.TemporaryDirectory() as name:
    test_png(pathlib.Path(name))
    test_contact_sheet(pathlib.Path(name))
    test_trade_off(pathlib.Path(name))
test_font()
test_ticks()
print("FAILED" if failures else "ok")
sys.exit(1 if failures else 0)
