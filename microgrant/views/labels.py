"""Labels that are like HTML, as SVG: texts in fonts, and tables of them.

With this module you can

- measure a label:    label = label_of("<B>a</B>", Font(14, "#000000")); label.width, label.height
- draw it:            label.draw((10, 20, label.width, label.height))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate
from typing import NamedTuple, TypeAlias
from xml.etree.ElementTree import Element, ParseError, fromstring

__all__ = ["Area", "Font", "Label", "label_of", "rectangle", "width_of", "written"]

Area: TypeAlias = tuple[float, float, float, float]  # left, top, width, height

FAMILY = "Helvetica,Arial,sans-serif"
ROUND = 7.0
LINE, BASE = 1.25, 0.9  # the height of a line, and of its letters above its base, in their size
WIDE = {**dict.fromkeys("mwMW—%@…", 0.9), **dict.fromkeys("ijltfrI.,:;'|!()[]{}/\\ ", 0.3)}
SIDES = {"LEFT": ("start", 0.0), "CENTER": ("middle", 0.5), "RIGHT": ("end", 1.0)}


class Font(NamedTuple):
    """How a text is written."""

    size: float
    colour: str
    bold: bool = False


@dataclass
class Label:
    """What has a size, and draws itself in an area that is as large, or larger.

    ports: the middles of the parts at which edges can end.
    """

    width: float
    height: float
    draw: Callable[[Area], str]
    ports: dict[str, tuple[float, float]] = field(default_factory=dict)


def label_of(markup: str, font: Font) -> Label:
    """The label that is written like HTML; a ValueError says so if it is not.

    >>> label_of("ab<BR/>c", Font(10, "#000000")).height
    25.0
    """
    try:
        element = fromstring(f"<LABEL>{markup}</LABEL>")
    except ParseError as problem:
        raise ValueError(f"the label {markup!r} is not written like HTML: {problem}") from None
    return _cell(element, font, 0)


def width_of(text: str, font: Font) -> float:
    """About how wide a text is in Helvetica, or in what a viewer has for it."""
    letters = (WIDE.get(x, 1.0 if x > "\u2e80" else 0.7 if x.isupper() else 0.56) for x in text)
    return sum(letters) * font.size * (1.07 if font.bold else 1)


def written(text: str, font: Font, x: float, y: float, anchor: str) -> str:
    """A text whose start, middle or end is at x; y is the line that its letters stand on."""
    bold = ' font-weight="bold"' if font.bold else ""
    look = f'font-family="{FAMILY}" font-size="{font.size:g}" fill="{font.colour.lower()}"{bold}'
    text = escape(text, quote=False)
    return f'<text text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}" {look}>{text}</text>'


def rectangle(
    area: Area, fill: str | None, line: str | None = None, thick: float = 1, rounded: bool = False
) -> str:
    """A box, with a ground and a border if they have colours."""
    if fill is None and line is None:
        return ""
    x, y, width, height = area
    right, low = x + width, y + height
    look = f'fill="{(fill or "none").lower()}"'
    look += f' stroke="{line.lower()}" stroke-width="{thick:g}"' if line else ""
    if not rounded:
        corners = ((x, y), (right, y), (right, low), (x, low))
        return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}" {look}/>'
    corner, told = min(ROUND, width / 2, height / 2), f"M{x + width / 2:.1f},{y:.1f}"
    for a, b, across, along in (
        (right, y, 1, 0),
        (right, low, 0, 1),
        (x, low, -1, 0),
        (x, y, 0, -1),
    ):
        told += f"L{a - corner * across:.1f},{b - corner * along:.1f}"
        told += f"Q{a:.1f},{b:.1f} {a - corner * along:.1f},{b + corner * across:.1f}"
    return f'<path d="{told}Z" {look}/>'


def _cell(element: Element, font: Font, padding: float) -> Label:
    """A table, or lines of text."""
    table = element.find("TABLE")
    label = _lines(element, font) if table is None else _table(table, font)
    width = max(label.width + 2 * padding, float(element.get("WIDTH", 0)))
    height = max(label.height + 2 * padding, float(element.get("HEIGHT", 0)))

    def draw(area: Area) -> str:
        x, y, wide, high = area
        inside = (x + padding, y + padding, wide - 2 * padding, high - 2 * padding)
        return rectangle(area, element.get("BGCOLOR")) + label.draw(inside)

    left, top = (width - label.width) / 2, (height - label.height) / 2
    ports = {name: (x + left, y + top) for name, (x, y) in label.ports.items()}
    return Label(width, height, draw, {element.get("PORT", ""): (width / 2, height / 2), **ports})


def _lines(element: Element, font: Font) -> Label:
    lines: list[list[tuple[str, Font]]] = [[]]
    for text, its_font in _runs(element, font):
        if text == "\n":
            lines.append([])
        elif text:
            lines[-1].append((text, its_font))
    heights = [LINE * max((each.size for _, each in line), default=0) for line in lines]
    widths = [sum(width_of(*run) for run in line) for line in lines]
    anchor, share = SIDES[element.get("ALIGN", "CENTER")]

    def draw(area: Area) -> str:
        x, y, wide, high = area
        shown, y = "", y + (high - sum(heights)) / 2
        for line, width, height in zip(lines, widths, heights, strict=True):
            base = y + BASE * height / LINE
            if len(line) == 1:  # it keeps its side, or its middle, in whatever font there is
                shown += written(*line[0], x + share * wide, base, anchor)
            else:
                start = x + share * (wide - width)
                for run in line:
                    shown += written(*run, start, base, "start") * bool(run[0].strip())
                    start += width_of(*run)
            y += height
        return shown

    return Label(max(widths), sum(heights), draw)


def _runs(element: Element, font: Font) -> Iterator[tuple[str, Font]]:
    """The text of an element, each piece with its font."""
    yield element.text or "", font
    for child in element:
        if child.tag == "BR":
            yield "\n", font
        size, colour = float(child.get("POINT-SIZE", font.size)), child.get("COLOR", font.colour)
        yield from _runs(child, Font(size, colour, font.bold or child.tag == "B"))
        yield child.tail or "", font


class _Placed(NamedTuple):
    """A cell of a table, from which column to which, and in which row."""

    label: Label
    start: int
    stop: int
    row: int


def _table(table: Element, font: Font) -> Label:
    """Cells in rows, in a frame if it has a border, with a line where there is a rule."""
    border, cells = float(table.get("BORDER", 1)), list(_cells(table, font))
    columns = [0.0] * max(cell.stop for cell in cells)
    for label, start, stop, _ in sorted(cells, key=lambda cell: cell.stop - cell.start):
        missing = max(0.0, label.width - sum(columns[start:stop]))
        for column in range(start, stop):
            columns[column] += missing / (stop - start)
    heights = [0.0] * (1 + max(cell.row for cell in cells))
    for cell in cells:
        heights[cell.row] = max(heights[cell.row], cell.label.height)
    xs, ys = [*accumulate(columns, initial=border)], [*accumulate(heights, initial=border)]
    areas = [(xs[a], ys[row], xs[b] - xs[a], heights[row]) for _, a, b, row in cells]
    width, height = xs[-1] + border, ys[-1] + border
    rules = [row - i for i, row in enumerate(i for i, x in enumerate(table) if x.tag == "HR")]
    colour, rounded = table.get("COLOR", "#000000"), table.get("STYLE") == "ROUNDED"

    def draw(area: Area) -> str:
        left, top, wide, high = area
        around = (left + border / 2, top + border / 2, wide - border, high - border)
        shown = rectangle(around, table.get("BGCOLOR"), colour if border else None, border, rounded)
        x, y = left + (wide - width) / 2, top + (high - height) / 2
        for row in rules:
            shown += rectangle((x, y + ys[row] - 0.5, width, 1), colour)
        for cell, (at, under, *size) in zip(cells, areas, strict=True):
            shown += cell.label.draw((x + at, y + under, size[0], size[1]))
        return shown

    ports = {table.get("PORT", ""): (width / 2, height / 2)}
    for (label, *_), (at, under, wide, high) in zip(cells, areas, strict=True):
        left, top = at + (wide - label.width) / 2, under + (high - label.height) / 2
        ports |= {name: (left + x, top + y) for name, (x, y) in label.ports.items()}
    return Label(width, height, draw, ports)


def _cells(table: Element, font: Font) -> Iterator[_Placed]:
    padding = table.get("CELLPADDING", "2")
    for number, row in enumerate(table.findall("TR")):
        start = 0
        for cell in row:
            stop = start + int(cell.get("COLSPAN", 1))
            label = _cell(cell, font, float(cell.get("CELLPADDING", padding)))
            yield _Placed(label, start, stop, number)
            start = stop
