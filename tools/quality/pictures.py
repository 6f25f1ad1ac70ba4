# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pictures for a report on quality: a chart of what PSNR a saving costs (SVG), and frames side by side (PNG).

To be imported, tools/quality being on sys.path; the standard library is all that it needs.

    pictures.trade_off("psnr.svg", [("reuse", [(60, 31.2, "0.1"), (40, 27.5, "0.2")]), ...],
                       title="Quality against work", x_title="FLOP computed", x_unit=" %")
    pictures.contact_sheet("frames.png", [("no cache", video), ("reuse 0.2\\n27.5 dB", other), ...], [0, 28, 56],
                           width=160, height=96)
"""
import html
import math
import re
import struct
import zlib

import pixel_font

INK, FAINT, GRID, PAPER = "#1f2933", "#5f6b7a", "#e3e7ec", "#ffffff"
# Dark enough for text on white, and apart from each other for those who see red and green alike; the marks differ, too.
COLOURS = ("#1f6fb5", "#b85c00", "#1a7f4f", "#b83280", "#6b46c1", "#0f7c8a", "#7b5b3a", "#566070")
MARKS = ("circle", "square", "diamond", "up", "down")


# ---- the chart

def trade_off(path, lines, *, title, x_title, x_unit="", y_title="PSNR", y_unit=" dB", subtitle="", size=(900, 540)):
    """Writes a line chart as SVG. lines: (name, points) each, points: (x, y, label) in the order of the line.

    A y of math.inf, of a video that equals the reference, has a place of its own above the axis; the 100 dB for which
    such frames count in a mean would leave little room to the rest.
    """
    points = [p for _, line in lines for p in line]
    if not points:
        raise ValueError("a chart of no points")
    for x, y, label in points:
        if not math.isfinite(x) or math.isnan(y) or y == -math.inf:
            raise ValueError(f"the point {label!r} is at {x}, {y}")
    width, height = size
    left, right, bottom = 64, width - 28, height - 62
    legend_top = 79 if subtitle else 57
    legend = _legend_places([name for name, _ in lines], left, right)
    top = legend_top + 22 * legend[-1][1] + 27
    infinite = any(math.isinf(y) for _, y, _ in points)
    ceiling = top + (34 if infinite else 0)  # where the axis ends
    x_low, x_high = _range([x for x, _, _ in points])
    y_low, y_high = _range([y for _, y, _ in points if not math.isinf(y)] or [0])

    def place(x, y):
        return (left + (x - x_low) / (x_high - x_low) * (right - left),
                top + 8 if math.isinf(y) else bottom - (y - y_low) / (y_high - y_low) * (bottom - ceiling))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
           'font-family="system-ui, \'Segoe UI\', Helvetica, Arial, \'DejaVu Sans\', sans-serif" font-size="13">',
           f"<title>{_escape(title)}</title>", f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
           _text(left, 34, title, INK, size=19, weight="600")]
    if subtitle:
        out.append(_text(left, 56, subtitle, FAINT, size=13))
    for tick in _ticks(x_low, x_high):
        x, _ = place(tick, y_low)
        out += [_line([(x, top), (x, bottom)], GRID, 1),
                _text(x, bottom + 20, _number(tick) + x_unit, FAINT, "middle")]
    for tick in _ticks(y_low, y_high):
        _, y = place(x_low, tick)
        out += [_line([(left, y), (right, y)], GRID, 1), _text(left - 10, y + 4.5, _number(tick), FAINT, "end")]
    if infinite:
        y = top + 8
        out += [_line([(left, y), (right, y)], GRID, 1, dashes="2 4"),
                _text(left - 10, y + 4.5, "equal", FAINT, "end")]
    out += [_line([(left, bottom), (right, bottom)], FAINT, 1),
            _text((left + right) / 2, bottom + 46, x_title, INK, "middle"),
            f'<g transform="translate(20 {(ceiling + bottom) / 2:.1f}) rotate(-90)">'
            + _text(0, 0, f"{y_title},{y_unit}" if y_unit else y_title, INK, "middle") + "</g>"]

    placed = [[place(x, y) for x, y, _ in line] for _, line in lines]
    for i, (_, line) in enumerate(lines):
        for j in range(len(line) - 1):
            leaves_axis = math.isinf(line[j][1]) != math.isinf(line[j + 1][1])
            out.append(_line(placed[i][j:j + 2], _line_colour(i), 2.2, dashes="2 5" if leaves_axis else ""))
    for i, (name, line) in reversed(list(enumerate(lines))):  # where points meet, the first line's is seen
        for (x, y, label), at in zip(line, placed[i]):
            value = "equal" if math.isinf(y) else f"{y:.4g}{y_unit}"
            out.append(_mark(i, *at, f"{name} {label}: {_number(x)}{x_unit}, {value}"))
    labels = [(i, label, at) for i, (_, line) in enumerate(lines) for (_, _, label), at in zip(line, placed[i])]
    for i, label, x, y, anchor in _label_places(labels, placed, (left + 2, top - 12, width - 2, bottom - 2)):
        # The halo as a text of its own: not every viewer knows paint-order.
        out += [_text(x, y, label, PAPER, anchor, size=12, halo=True),
                _text(x, y, label, _line_colour(i), anchor, size=12)]
    for i, ((name, _), (x, row)) in enumerate(zip(lines, legend)):
        y = legend_top + 22 * row
        out += [_line([(x, y), (x + 24, y)], _line_colour(i), 2.2), _mark(i, x + 12, y),
                _text(x + 31, y + 4.5, name, INK)]
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


def _line_colour(index):
    return COLOURS[index % len(COLOURS)]


def _escape(text):
    # Without the control characters that XML has no way to write.
    return html.escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(text)))


def _text(x, y, text, colour, anchor="start", size=13, weight="", halo=False):
    more = f' stroke="{colour}" stroke-width="3.5" stroke-linejoin="round"' if halo else ""
    more += f' font-weight="{weight}"' if weight else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"{more}>'
            f"{_escape(text)}</text>")


def _text_width(text, size):
    return 0.58 * size * len(str(text))  # a guess that is seldom too small


def _line(points, colour, width, dashes=""):
    more = f' stroke-dasharray="{dashes}"' if dashes else ""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-linecap="round"{more}/>')


def _mark(index, x, y, hint=""):
    style = f'fill="{_line_colour(index)}" stroke="{PAPER}" stroke-width="1.5"'
    hint = f"<title>{_escape(hint)}</title>" if hint else ""
    kind = MARKS[index % len(MARKS)]
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" {style}>{hint}</circle>'
    corners = {"square": [(-5, -5), (5, -5), (5, 5), (-5, 5)], "diamond": [(0, -7), (7, 0), (0, 7), (-7, 0)],
               "up": [(0, -7), (6.5, 5), (-6.5, 5)], "down": [(0, 7), (6.5, -5), (-6.5, -5)]}[kind]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" {style}>{hint}</polygon>'


def _number(value):
    return f"{value:.10g}"


def _range(values):
    low, high = min(values), max(values)
    room = 0.07 * (high - low) or max(0.07 * abs(low), 1)
    return low - room, high + room


def _ticks(low, high):
    """Round numbers from low to high, about six."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(s for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.999)
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _legend_places(names, left, right):
    """x and row of each name."""
    places, x, row = [], left, 0
    for name in names:
        width = 31 + _text_width(name, 13) + 22
        if x > left and x + width > right:
            x, row = left, row + 1
        places.append((x, row))
        x += width
    return places


# Where a label may stand beside its point, the best places first.
LABEL_PLACES = ((9, -8, "start"), (-9, -8, "end"), (0, -12, "middle"), (9, 17, "start"), (-9, 17, "end"),
                (0, 21, "middle"), (12, 4, "start"), (-12, 4, "end"), (9, -22, "start"), (-9, -22, "end"),
                (9, 31, "start"), (-9, 31, "end"))


def _label_places(labels, lines, bounds):
    """Each label to where it is least in the way of marks, lines and other labels, in three rounds over all of them."""
    marks = [mark for line in lines for mark in line]
    dots = []  # the lines, a dot every 6 pixels
    for line in lines:
        for a, b in zip(line, line[1:]):
            steps = max(1, round(math.dist(a, b) / 6))
            dots += [(a[0] + (b[0] - a[0]) * t / steps, a[1] + (b[1] - a[1]) * t / steps) for t in range(steps + 1)]
    labels = [label for label in labels if str(label[1])]
    places, boxes = [None] * len(labels), [None] * len(labels)

    def inside(box, points, room):
        return sum(box[0] - room < x < box[2] + room and box[1] - room < y < box[3] + room for x, y in points)

    for n in list(range(len(labels))) * 3:
        i, label, (px, py) = labels[n]
        least = math.inf
        others = [o for m, o in enumerate(boxes) if o and m != n]
        for preference, (dx, dy, anchor) in enumerate(LABEL_PLACES):
            x, y, width = px + dx, py + dy, _text_width(label, 12)
            start = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
            box = (start, y - 10, start + width, y + 3)
            cost = 0.3 * preference + 20 * inside(box, marks, 6) + 2 * inside(box, dots, 1)
            cost += 30 * sum(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)
            cost += 200 * (box[0] < bounds[0] or box[1] < bounds[1] or box[2] > bounds[2] or box[3] > bounds[3])
            if cost < least:
                least, boxes[n], places[n] = cost, box, (i, label, x, y, anchor)
    return places


# ---- the frames

def contact_sheet(path, rows, columns, width, height, *, scale=2, title="", heads=None):
    """Writes frames as PNG: a row per method, a column per frame. rows: (label, video) each, columns: numbers of frames.
    heads: what stands above the columns.

    A video is bytes: frame after frame of RGB, lines from the top. A label may have several lines.
    """
    if not rows or not columns:
        raise ValueError("a sheet of no frames")
    size = 3 * width * height
    for label, video in rows:
        if not video or len(video) % size:
            raise ValueError(f"{label!r} has {len(video)} bytes, not whole frames of {width} x {height}")
        for column in columns:
            if not 0 <= column < len(video) // size:
                raise ValueError(f"{label!r} has {len(video) // size} frames, none numbered {column}")
    margin, gap, letter = 16, 6, (pixel_font.WIDTH + 1) * 2
    line = pixel_font.HEIGHT * 2 + 4
    labels = [label.split("\n") for label, _ in rows]
    heads = heads or [f"frame {column}" for column in columns]
    left = margin + letter * max(len(text) for label in labels for text in label) + 12
    top = margin + (line + 10 if title else 0) + line + 2
    cell = max(width * scale, letter * max(len(head) for head in heads)) + gap
    row_height = max(height * scale, line * max(len(label) for label in labels)) + gap
    canvas = _Canvas(max(left + cell * len(columns) - gap, margin + letter * len(title)) + margin,
                     top + row_height * len(rows) - gap + margin)
    canvas.text(margin, margin, title, INK)
    for j, head in enumerate(heads):
        canvas.text(left + j * cell, top - line - 2, head, FAINT)
    for i, (label, video) in enumerate(rows):
        y = top + i * row_height
        for n, text in enumerate(labels[i]):
            canvas.text(margin, y + n * line, text, FAINT if n else INK)
        for j, column in enumerate(columns):
            canvas.picture(left + j * cell, y, memoryview(video)[column * size:(column + 1) * size], width, scale)
    write_png(path, canvas.width, canvas.height, canvas.rgb)


class _Canvas:
    def __init__(self, width, height):
        self.width, self.height, self.rgb = width, height, bytearray(_colour(PAPER) * (width * height))

    def _put(self, x, y, pixels):
        start = 3 * (y * self.width + x)
        self.rgb[start:start + len(pixels)] = pixels

    def text(self, x, y, text, colour):
        """Pixels of the font are squares of 2 x 2."""
        for character in text:
            for i, row in enumerate(pixel_font.glyph(character)):
                for j in range(pixel_font.WIDTH):
                    if row >> (pixel_font.WIDTH - 1 - j) & 1:
                        self._put(x + 2 * j, y + 2 * i, _colour(colour) * 2)
                        self._put(x + 2 * j, y + 2 * i + 1, _colour(colour) * 2)
            x += 2 * (pixel_font.WIDTH + 1)

    def picture(self, x, y, rgb, width, scale):
        for i in range(len(rgb) // (3 * width)):
            row, wide = rgb[3 * width * i:3 * width * (i + 1)], bytearray(3 * width * scale)
            for copy in range(scale):
                for channel in range(3):
                    wide[3 * copy + channel::3 * scale] = row[channel::3]
            for copy in range(scale):
                self._put(x, y + i * scale + copy, wide)


def _colour(text):
    return bytes.fromhex(text[1:])


def write_png(path, width, height, rgb):
    """RGB, 8 bits, lines from the top."""
    if len(rgb) != 3 * width * height or not rgb:
        raise ValueError(f"{len(rgb)} bytes are not a picture of {width} x {height}")
    stride, lines, before = 3 * width, [], None
    for y in range(height):
        row = bytes(rgb[y * stride:(y + 1) * stride])
        # As differences to the pixel on the left, or to the row above where that is the same: so it packs better.
        if row == before:
            lines.append(b"\2" + bytes(stride))
        else:
            lines.append(b"\1" + bytes((a - b) & 255 for a, b in zip(row, b"\0\0\0" + row)))
        before = row

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(b"".join(lines), 9)) + chunk(b"IEND", b""))
