"""Where the neurons of a network stand: in columns, from left to right.

With this module you can

- lay a network out:                          plan = columns_of(network)
- find a neuron, a pixel, or a filter's weight: plan.areas[place]
- go through what else there is to see:       plan.lines, plan.links, plan.more, plan.captions
- draw a line between two neurons:            plan.path(line)
- see how thick a weight is drawn:            thickness(-0.5, plan.thickest)

A layer that is too long is cut in its middle. Lengths are those of the page; of a drawing, points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import NamedTuple

from .network import Filters, Group, Line, Network, Pixel

__all__ = ["Area", "Caption", "Columns", "columns_of", "thickness"]

MOST = 24  # neurons of a layer that are drawn; of more, the first and the last
MOST_CIRCLES = 8  # in a layer; with more of them, they are lower, and as wide as their numbers
THICK = ((60, 9.0), (200, 5.0))  # up to so many lines are so thick at most
THIN = 3.0  # of more of them
LARGEST = 12  # rows or columns of a grid in which numbers can be written

CIRCLE, PILL, CELL, DOT = (108.0, 108.0), (184.0, 44.0), (70.0, 46.0), (14.0, 14.0)
CLEAR, NARROW = 26.0, 9.0  # between circles, and between pills
BESIDE = 90.0  # before images and filters: what goes there needs no room to be told apart
APART = 64.0  # between layers in one column, with room for a title
TITLE = 34.0  # above each column
ABOVE = -6.0  # where lines go that reach over a column
LETTER = 8.4  # in a title, on average


class Area(NamedTuple):
    """Left and top, width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """The point in its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def moved(self, x: float, y: float) -> Area:
        """The same, so far to the right and down."""
        return self._replace(x=self.x + x, y=self.y + y)


class Caption(NamedTuple):
    """A text around x; kind is "title", "step" or "note"."""

    x: float
    y: float
    text: str
    kind: str


@dataclass
class Columns:
    """The places of everything in a network.

    areas: by the place of the value: of neurons, pixels, and the weights in filters.
    more: where some neurons are left out, and which.
    lines: those that are drawn one by one; links: those between images, and their filters.
    captions: the titles of layers, and the steps of a recurrence.
    thickest: how thick a line can be.
    compact: whether neurons are too many to be circles.
    cells: what is in a grid, and no circle; tiny: where that is too large for numbers.
    """

    network: Network
    areas: dict[int, Area] = field(default_factory=dict)
    more: list[tuple[Area, list[int]]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    links: list[tuple[Area, Area]] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    thickest: float = THIN
    compact: bool = False
    cells: set[int] = field(default_factory=set)
    tiny: set[int] = field(default_factory=set)
    width: float = 0
    height: float = 0
    ranks: dict[int, int] = field(default_factory=dict)

    def path(self, line: Line) -> list[tuple[float, float]]:
        """The points of a line; one that reaches over a column goes past above all."""
        tail, head = self.areas[line.tail], self.areas[line.head]
        if self.ranks[line.head] - self.ranks[line.tail] <= 1:
            return [_border(tail, head.middle), _border(head, tail.middle)]
        left, right = tail.x + tail.width + 40, head.x - 40
        over = [(left, ABOVE), (right, ABOVE)]
        return [_border(tail, over[0]), *over, _border(head, over[1])]


def thickness(weight: float, thickest: float) -> float:
    """How thick the line of a weight is: it grows with its size, and has room for any.

    >>> [thickness(weight, 9) for weight in (0.0, -1.0, 3.0, math.inf, math.nan)]
    [1.0, 5.0, 7.0, 9.0, 1.0]
    """
    size = abs(weight)
    share = size / (1 + size) if size < math.inf else float(size == math.inf)
    return 1 + (thickest - 1) * share


def columns_of(network: Network) -> Columns:
    """The places of everything in a network, from its top left."""
    return _Builder(network).columns


@dataclass
class _Block:
    """What is set down at once, from its own top left: a layer, an image, filters."""

    title: str
    areas: dict[int, Area]
    more: list[tuple[Area, list[int]]] = field(default_factory=list)

    @property
    def size(self) -> tuple[float, float]:
        around = _around([*self.areas.values(), *(area for area, _ in self.more)])
        return around.width, around.height


class _Builder:
    """Sets blocks down, column by column."""

    def __init__(self, network: Network) -> None:
        self.network, self.columns = network, Columns(network)
        self.filters = {id(each.group): each for each in network.filters}
        lengths = [len(group.members) for group in network.groups if not group.pixels]
        self.columns.compact = max(lengths, default=0) > MOST_CIRCLES
        columns: list[list[_Block]] = []
        asides: list[tuple[_Block, int]] = []
        for _, same in groupby(network.groups, lambda group: group.rank):
            groups = list(same)
            if before := [
                self._cells(_filters(self.filters[id(x)])) for x in groups if id(x) in self.filters
            ]:
                columns.append(before)
            columns.append([self._block(group) for group in groups if not group.aside])
            asides += [(self._block(x), len(columns) - 1) for x in groups if x.aside]
        self._set_down(columns, asides)
        self._connect()
        self._name_steps()
        self._measure()

    def _block(self, group: Group) -> _Block:
        self.columns.ranks.update(dict.fromkeys(group.members, group.rank))
        if group.pixels:
            grids = _grids(group.pixels, _cell(group.pixels.values()), downwards=True)
            return self._cells(_Block(group.title, grids))
        (width, height), clear = (PILL, NARROW) if self.columns.compact else (CIRCLE, CLEAR)
        members, left_out = group.members, group.members[MOST // 2 : -(MOST // 2 - 1)]
        if len(members) <= MOST:
            left_out = []
        slots = [x for x in members if x not in left_out]
        if left_out:
            slots.insert(MOST // 2, left_out[0])
        areas = {x: Area(0, i * (height + clear), width, height) for i, x in enumerate(slots)}
        more = [(areas.pop(left_out[0]), left_out)] if left_out else []
        return _Block(group.title, areas, more)

    def _cells(self, block: _Block) -> _Block:
        self.columns.cells |= block.areas.keys()
        self.columns.tiny |= {place for place, area in block.areas.items() if area[2:] == DOT}
        return block

    def _set_down(
        self, columns: Sequence[Sequence[_Block]], asides: Sequence[tuple[_Block, int]]
    ) -> None:
        heights = [sum(block.size[1] + APART for block in column) - APART for column in columns]
        tallest = max(heights)
        gap = max(150.0, min(0.65 * tallest, 460.0))
        first = columns[0] or [asides[0][0]]
        x = max(0.0, *(LETTER * len(block.title) / 2 - block.size[0] / 2 for block in first))
        middles: list[float] = []
        for column, height in zip(columns, heights, strict=True):
            if column and all(block.areas.keys() <= self.columns.cells for block in column):
                x -= max(0.0, gap - BESIDE) * bool(middles)
            width = max((block.size[0] for block in column), default=0.0)
            y = TITLE + (tallest - height) / 2
            for block in column:
                self._put(block, x + width / 2, y)
                y += block.size[1] + APART
            x += width + gap
            middles.append(x - gap / 2)
        for block, column_before in asides:
            self._put(block, middles[column_before], TITLE + tallest + CLEAR)

    def _put(self, block: _Block, middle: float, y: float) -> None:
        """Set a block down below its title."""
        left = middle - block.size[0] / 2
        self.columns.areas |= {place: x.moved(left, y) for place, x in block.areas.items()}
        self.columns.more += [(area.moved(left, y), hidden) for area, hidden in block.more]
        self.columns.captions.append(Caption(middle, y - 13, block.title, "title"))

    def _connect(self) -> None:
        """Lines between neurons; and between images, links from channel to channel."""
        columns, areas = self.columns, self.columns.areas
        images = {x: group for group in self.network.groups if group.pixels for x in group.members}
        links: dict[tuple[Area, Area], None] = {}
        linked: set[tuple[Group, int, Group, int]] = set()
        for line in self.network.lines:
            if line.head not in images:
                if {line.tail, line.head} <= areas.keys():
                    columns.lines.append(line)
                continue
            image, source = images[line.head], images[line.tail]
            of, into = image.pixels[line.head][0], source.pixels[line.tail][0]
            if (image, of, source, into) in linked:
                continue
            linked.add((image, of, source, into))
            ends = [
                _around([areas[x] for x, pixel in pixels.items() if pixel[0] == channel])
                for pixels, channel in ((source.pixels, into), (image.pixels, of))
            ]
            if filters := self.filters.get(id(image)):
                grid = filters.grids[of].items()
                ends.insert(1, _around([areas[x] for x, cell in grid if cell[0] == into]))
            links |= dict.fromkeys(pairwise(ends))
        columns.links = list(links)
        count = len(columns.lines)
        columns.thickest = next((thick for most, thick in THICK if count <= most), THIN)

    def _name_steps(self) -> None:
        """In place of the titles of its modules, the step of a recurrence."""
        columns = self.columns
        for count, groups in enumerate(self.network.steps, 1):
            members = [place for group in groups for place in group.members]
            area = _around([columns.areas[x] for x in members if x in columns.areas])
            (middle, _), titles = area.middle, {group.title for group in groups}
            columns.captions = [
                x for x in columns.captions
                if x.text not in titles or abs(x.x - middle) > area.width / 2
            ]  # fmt: skip
            columns.captions.append(Caption(middle, area.y - 13, f"t = {count}", "step"))

    def _measure(self) -> None:
        columns = self.columns
        everything = _around([*columns.areas.values(), *(area for area, _ in columns.more)])
        columns.width, columns.height = (
            everything.x + everything.width,
            everything.y + everything.height,
        )
        if self.network.examples > 1:
            note = f"the first of {self.network.examples:,} examples"
            columns.captions.append(Caption(columns.width / 2, columns.height + 36, note, "note"))
            columns.height += 42
        columns.captions = [caption for caption in columns.captions if caption.text]
        rights = [caption.x + LETTER * len(caption.text) / 2 for caption in columns.captions]
        columns.width = max(columns.width, *rights)


def _filters(filters: Filters) -> _Block:
    """A row for each, with the grid of each channel that it looks at, and its bias at the end."""
    cell = _cell([x for grid in filters.grids for x in grid.values()])
    areas: dict[int, Area] = {}
    y = 0.0
    for grid, bias in zip(filters.grids, filters.biases, strict=True):
        row = _grids(grid, cell, downwards=False)
        around = _around(row.values())
        if bias is not None:
            row[bias] = Area(around.width + CLEAR / 2, (around.height - CELL[1]) / 2, *CELL)
        areas |= {place: area.moved(0, y) for place, area in row.items()}
        y += around.height + CLEAR
    return _Block("filters and biases" if len(filters.grids) > 1 else "filter and bias", areas)


def _grids(pixels: dict[int, Pixel], cell: tuple[float, float], downwards: bool) -> dict[int, Area]:
    """A grid for each channel, one after the other."""
    width, height = cell
    rows, columns = (max(pixel[axis] for pixel in pixels.values()) + 1 for axis in (1, 2))
    down = (rows * height + CLEAR) * downwards
    aside = (columns * width + CLEAR / 2) * (not downwards)
    return {
        place: Area(column * width + channel * aside, row * height + channel * down, width, height)
        for place, (channel, row, column) in pixels.items()
    }


def _cell(pixels: Iterable[Pixel]) -> tuple[float, float]:
    """How large each pixel is drawn: with numbers, if it is not one of too many."""
    largest = max(max(row, column) for _, row, column in pixels)
    return CELL if largest < LARGEST else DOT


def _around(areas: Iterable[Area]) -> Area:
    areas = list(areas)
    if not areas:
        return Area(0, 0, 0, 0)
    left, top = min(area.x for area in areas), min(area.y for area in areas)
    right = max(area.x + area.width for area in areas)
    return Area(left, top, right - left, max(area.y + area.height for area in areas) - top)


def _border(area: Area, towards: tuple[float, float]) -> tuple[float, float]:
    """Where a line from the middle leaves what is round; of all else, the middle of a side."""
    x, y = area.middle
    if area.width != area.height:
        return x + math.copysign(area.width / 2, towards[0] - x), y
    far = math.dist((x, y), towards) or 1
    radius = area.width / 2
    return x + radius * (towards[0] - x) / far, y + radius * (towards[1] - y) / far
