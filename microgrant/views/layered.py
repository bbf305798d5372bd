"""A layout of our own, for where there is no Graphviz: a result stands behind its operands.

With this module you can

- lay a graph out:                  plan = layered(sizes, edges, members)
- find a thing, or a frame:         plan.things["a"], plan.frames["f"]
- have an edge as a path of SVG:    path(plan.wires[0])

It works in the steps of Sugiyama's method. Everything has ranks, and a frame those of its members;
an edge over several ranks has a lane through them. Everything has a place in one order, from the
top to the bottom, in which the members of a frame follow one another. So no frame holds what does
not belong to it, and no edge runs over a thing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from .graph import common
from .ranks import paths_of, ranks_of
from .sifting import Item, flat, sift

__all__ = ["Layered", "Spacing", "layered", "path"]

K = TypeVar("K", bound=Hashable)
Area: TypeAlias = tuple[float, float, float, float]  # left, top, width, height
Point: TypeAlias = tuple[float, float]

ROUNDS = 9  # of letting everything move to where its edges pull it
FRAME = 3  # an edge over a frame is as bad as so many crossings


class Spacing(NamedTuple):
    """Lengths: between things of a rank, between ranks, for a lane, between edges that end at one
    thing; and inside of a frame: above, for its title, below, at its first and its last rank."""

    apart: float = 20
    ranks: float = 60
    lane: float = 14
    ends: float = 18
    above: float = 24
    below: float = 4
    first: float = 14
    last: float = 14


@dataclass
class Layered(Generic[K]):
    """Where everything is, from the top left; wires are the points that the edges run over."""

    width: float
    height: float
    things: dict[K, Area]
    frames: dict[K, Area]
    wires: list[list[Point]]


def layered(
    sizes: Mapping[K, tuple[float, float]],
    edges: Sequence[tuple[K, K]],
    members: Mapping[K | None, Iterable[K]],
    rows: Iterable[Sequence[K]] = (),
    spacing: Spacing | None = None,
    words: Mapping[K, float] | None = None,
    titles: Mapping[K, float] | None = None,
) -> Layered[K]:
    """Lay a graph out from the left to the right.

    sizes: the width and height of each thing.
    edges: from what to what; those into one thing in the order of its operands.
    members: what stands in each frame, things and further frames; under None, in none.
    rows: what keeps this order from the top, where it stands side by side.
    words: how much room there is for words on the edges into a thing, before it.
    titles: how wide each frame is at least.

    >>> plan = layered({x: (10, 10) for x in "abc"}, [("a", "c"), ("b", "c")], {None: "abc"})
    >>> plan.things["a"][0] < plan.things["c"][0], plan.things["a"][1] < plan.things["b"][1]
    (True, True)
    """
    builder = _Builder(sizes, edges, members, rows, spacing or Spacing())
    return builder.result(words or {}, titles or {})


def path(points: Sequence[Point], down: bool = False) -> str:
    """A wire as a path of SVG, which bends in the direction of the ranks: to the right, or down.

    >>> path([(0, 0), (30, 8)])
    'M0,0C15,0 15,8 30,8'
    """
    told = f"M{points[0][0]:.0f},{points[0][1]:.0f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        (a, b), (c, d) = ((x0, y), (x1, y)) if down else ((x, y0), (x, y1))
        told += f"C{a:.0f},{b:.0f} {c:.0f},{d:.0f} {x1:.0f},{y1:.0f}"
    return told


class _Builder(Generic[K]):
    def __init__(
        self, sizes: Mapping[K, tuple[float, float]], edges: Sequence[tuple[K, K]],
        members: Mapping[K | None, Iterable[K]], rows: Iterable[Sequence[K]], spacing: Spacing,
    ) -> None:  # fmt: skip
        self.sizes, self.edges, self.spacing = sizes, edges, spacing
        self.members = {around: list(inside) for around, inside in members.items()}
        self.paths = paths_of(self.members)
        self.frames = [x for x in self.paths if x in self.members]  # from the outside in
        self.first, self.last = ranks_of(self.members, self.paths, edges)
        self.ranks = 1 + max(self.last.values(), default=0)
        self.items = {x: self._item(x, sizes[x][1] + spacing.apart) for x in sizes}
        for x in self.frames:
            self.items[x] = self._item(x, spacing.above)
            self.items[x].lower = self._item(x, spacing.below + spacing.apart)
            self.items[x].weight = FRAME
        self.lanes: dict[K | None, dict[K, Item]] = {around: {} for around in self.members}
        self.routes = [self._route(tail, head) for tail, head in edges]
        self._connect()
        self._begin([*self._operands(), *rows])
        sift(self.order)
        self._settle()

    # --- Edges ------------------------------------------------------------------------------------

    def _item(self, x: K, size: float) -> Item:
        return Item(self.first[x], self.last[x], size)

    def _route(self, tail: K, head: K) -> list[tuple[Item, int, int]]:
        """What an edge runs through, from and to which rank: out of frames, and into others. Edges
        of one tail share a lane."""
        out, into = self.paths[tail], self.paths[head]
        same, rank = len(common(out, into)), self.last[tail] + 1
        ends: list[tuple[K | None, int]] = [(x, self.last[x]) for x in reversed(out[same:])]
        inwards = zip((None, *into)[same:], (*into, head)[same:], strict=True)
        ends += [(around, self.first[x] - 1) for around, x in inwards]
        route = [(self.items[tail], self.first[tail], self.last[tail])]
        for around, end in ends:
            if rank <= end:
                lane = self.lanes[around].setdefault(tail, Item(rank, end, self.spacing.lane))
                lane.last = max(lane.last, end)
                route.append((lane, rank, end))
                rank = end + 1
        return [*route, (self.items[head], self.first[head], self.last[head])]

    def _connect(self) -> None:
        """Tell the items of their edges; a frame of those that leave it."""
        entering, met = Counter(head for _, head in self.edges), Counter[K]()
        known: set[tuple[Item, Item]] = set()
        for (_, head), route in zip(self.edges, self.routes, strict=True):
            end = self._end(head, met[head], entering[head])
            met[head] += 1
            for (a, _, rank), (b, _, _) in pairwise(route):
                last = b is self.items[head]
                beside = end * last
                if last or (a, b) not in known:
                    known.add((a, b))
                    a.behind.append((b, beside))
                    b.before.append((a, -beside))
                    a.ends.setdefault(2 * rank, []).append(b)
                    b.ends.setdefault(2 * rank + 1, []).append(a)
        for x in reversed(self.frames):
            held = [self.items[y] for y in self.members[x]] + list(self.lanes[x].values())
            self.items[x].inside = held
            inside = set(flat(held))
            for gap, found in ((gap, found) for y in held for gap, found in y.ends.items()):
                outside = [y for y in found if y not in inside]
                self.items[x].ends.setdefault(gap, []).extend(outside)

    def _end(self, head: K, place: int, count: int) -> float:
        """How far from the middle of a thing one of so many edges ends."""
        step = min(self.spacing.ends, self.sizes[head][1] / (count + 1))
        return step * (place - (count - 1) / 2)

    # --- The order --------------------------------------------------------------------------------

    def _operands(self) -> Iterator[list[K]]:
        """What is used once stands in the order in which it is used."""
        uses = Counter(tail for tail, _ in self.edges)
        rows: dict[tuple[K, tuple[K, ...]], list[K]] = {}
        for tail, head in self.edges:
            if uses[tail] == 1:
                rows.setdefault((head, self.paths[tail]), []).append(tail)
        yield from rows.values()

    def _begin(self, rows: Sequence[Sequence[K]]) -> None:
        """As one writes an expression: from the first operand to the last, and a result between."""
        operands: dict[K, list[K]] = {}
        for tail, head in self.edges:
            operands.setdefault(head, []).append(tail)
        used = {tail for tail, _ in self.edges}
        keys: dict[Item, float] = {}
        stack = [*reversed([*self.sizes]), *reversed([x for x in self.sizes if x not in used])]
        begun: set[K] = set()
        while stack:
            x = stack[-1]
            if x not in begun:
                begun.add(x)
                stack += [y for y in reversed(operands.get(x, [])) if y not in begun]
            elif self.items[stack.pop()] not in keys:
                known = [keys[y] for y in map(self.items.get, operands.get(x, ())) if y in keys]
                keys[self.items[x]] = sum(known) / len(known) if known else len(keys)
        for lanes in self.lanes.values():
            keys |= {lane: keys[self.items[tail]] for tail, lane in lanes.items()}
        self.order = [self.items[x] for x in self.members.get(None, [])]
        self.order += self.lanes.get(None, {}).values()
        groups: dict[K | None, list[list[Item]]] = {}
        for number, row in enumerate(rows):
            around = [None, *self.paths[row[0]]][-1] if row else None
            groups.setdefault(around, []).extend(self._side_by_side(row, number))
        for around in (*reversed(self.frames), None):
            inside = self.order if around is None else self.items[around].inside
            for item in inside:
                if item.lower:
                    keys[item] = sum(map(keys.__getitem__, item.inside)) / len(item.inside)
            inside.sort(key=keys.__getitem__)
            for group in groups.get(around, ()):
                for place, item in zip(sorted(map(inside.index, group)), group, strict=True):
                    inside[place] = item

    def _side_by_side(self, row: Sequence[K], number: int) -> list[list[Item]]:
        """What shares ranks in a row, one after the other."""
        groups: list[list[Item]] = []
        for item in map(self.items.__getitem__, row):
            if groups and item.first <= groups[-1][0].last and item.last >= groups[-1][0].first:
                groups[-1].append(item)
            else:
                groups.append([item])
            item.rows.add(number)
        return groups

    # --- Places -----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Everything moves to where its edges pull it, but what is above something stays there."""
        order = list(flat(self.order))
        wanted = dict.fromkeys(order, 0.0)
        for count in range(ROUNDS):
            for item, down, up in zip(order, *self._swept(order, wanted), strict=True):
                wanted[item] = item.y = (down + up) / 2
            forward = count % 2 == 0
            for item in sorted(order, key=lambda item: item.first, reverse=not forward):
                pulls = item.before if forward else item.behind
                if pulls:
                    wanted[item] = sum(wanted[x] + beside for x, beside in pulls) / len(pulls)
            self._draw_in(wanted)
        ys = {item: item.y for item in order}
        self._draw_in(ys)
        for item, y in ys.items():
            item.y = y

    def _swept(
        self, order: Sequence[Item], wanted: Mapping[Item, float]
    ) -> tuple[list[float], list[float]]:
        """Where everything can stand if what is above goes first, and if what is below does."""
        found: list[list[float]] = []
        for sign in (1, -1):
            taken, ys = [-math.inf] * self.ranks, list[float]()
            for item in order[::sign]:
                ranks = slice(item.first, item.last + 1)
                y = max(sign * wanted[item], max(taken[ranks]) + item.size / 2)
                taken[ranks] = [y + item.size / 2] * (item.last + 1 - item.first)
                ys.append(sign * y)
            found.append(ys[::sign])
        return found[0], found[1]

    def _draw_in(self, ys: dict[Item, float]) -> None:
        """The borders of a frame are close to what is in it."""
        for top in (self.items[x] for x in reversed(self.frames)):
            bottom = top.lower or top
            inside = [(ys[x], x.size / 2) for x in flat(top.inside)]
            ys[top] = min(y - half for y, half in inside) - top.size / 2
            ys[bottom] = max(y + half for y, half in inside) + bottom.size / 2

    def result(self, words: Mapping[K, float], titles: Mapping[K, float]) -> Layered[K]:
        """The places, with the origin at the top left."""
        first, last, spacing = self.first, self.last, self.spacing
        opened, closed = self._margins(first, spacing.first), self._margins(last, spacing.last)
        openings, closings = self._largest(first, opened), self._largest(last, closed)
        rooms = self._largest(first, {x: words.get(x, 0) for x in self.sizes})
        widths = self._largest(first, {x: width for x, (width, _) in self.sizes.items()})
        for x in reversed(self.frames):
            inside = range(first[x], last[x] + 1)
            width = sum(rooms[r] + widths[r] for r in inside) + opened[x] + closed[x]
            width += sum(closings[r] + spacing.ranks + openings[r + 1] for r in inside[:-1])
            for r in inside:
                widths[r] += max(0.0, titles.get(x, 0) - width) / len(inside)
        begin, left, end = list[float](), list[float](), [-spacing.ranks]  # of each rank
        for each in zip(openings, rooms, widths, closings, strict=True):
            begin.append(end[-1] + spacing.ranks)
            left.append(begin[-1] + each[0] + each[1])
            end.append(left[-1] + each[2] + each[3])
        lanes = [lane.y for around in self.lanes.values() for lane in around.values()]
        tops = [self.items[x].y - self.sizes[x][1] / 2 for x in self.sizes]
        tops += [self.items[x].y - spacing.above / 2 for x in self.frames]
        top = min([*tops, *lanes], default=0)
        plan = Layered[K](max(0.0, end[-1]), 0, {}, {}, [])
        for x, (width, height) in self.sizes.items():
            start = left[first[x]] + (widths[first[x]] - width) / 2
            plan.things[x] = (start, self.items[x].y - height / 2 - top, width, height)
        for x in self.frames:
            upper, lower = self.items[x], self.items[x].lower or self.items[x]
            start = left[first[x]] - rooms[first[x]] - opened[x]
            width = left[last[x]] + widths[last[x]] + closed[x] - start
            y, low = upper.y - upper.size / 2, lower.y + lower.size / 2 - spacing.apart
            plan.frames[x] = (start, y - top, width, low - y)
        plan.wires += self._wires(plan.things, begin, end[1:], top)
        lows = [y + height for _, y, _, height in (*plan.things.values(), *plan.frames.values())]
        plan.height = max([*lows, *(lane - top for lane in lanes)], default=0)
        return plan

    def _margins(self, rank: Mapping[K, int], margin: float) -> dict[K, float]:
        """How far each frame reaches beyond the things of its first rank, or of its last."""
        found: dict[K, float] = {}
        for x in reversed(self.frames):
            inner = [found[y] for y in self.members[x] if y in found and rank[y] == rank[x]]
            found[x] = max(inner, default=0) + margin
        return found

    def _largest(self, rank: Mapping[K, int], amounts: Mapping[K, float]) -> list[float]:
        """The largest amount in each rank."""
        found = [0.0] * self.ranks
        for x, amount in amounts.items():
            found[rank[x]] = max(found[rank[x]], amount)
        return found

    def _wires(
        self, things: Mapping[K, Area], begin: Sequence[float], end: Sequence[float], top: float
    ) -> Iterator[list[Point]]:
        """Edges bend between ranks. If more than two end at a thing, they do as they come."""
        coming: dict[K, list[tuple[float, int]]] = {}
        for number, ((_, head), route) in enumerate(zip(self.edges, self.routes, strict=True)):
            coming.setdefault(head, []).append((route[-2][0].y, number))
        ends: dict[int, float] = {}
        for head, group in coming.items():
            for place, (_, number) in enumerate(sorted(group) if len(group) > 2 else group):
                ends[number] = self._end(head, place, len(group))
        for number, ((tail, head), route) in enumerate(zip(self.edges, self.routes, strict=True)):
            *through, (item, rank, _) = route
            points = [(x, item.y) for item, a, b in through for x in (begin[a], end[b])]
            points[0] = (things[tail][0] + things[tail][2], points[0][1])
            points += [(x, item.y + ends[number]) for x in (begin[rank], things[head][0])]
            yield [(x, y - top) for x, y in points]
