"""What a page shows together: the whole of a step, and the inside of each box folded in it.

With this module you can

- plan the views of a step:          plan = Plan(graph, record_of(graph))
- go through what a view shows:      plan.views[0].shown

A box is a call of a module; or a part of a heap of values which is too large for one picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..events import Record
from ..graph import (
    FAR,
    MOST_EDGES,
    Box,
    Graph,
    Link,
    Thing,
    common,
    detours,
    links,
    nest,
    open_levels,
    thing_at,
)
from ..style import clean, sign

__all__ = ["MOST_OUTPUTS", "Plan", "View", "key", "middle_out", "shortened"]

MOST_THINGS = 300  # in one view; Graphviz takes its time beyond that, and so do people
MOST_OUTPUTS = 3  # of a box, which are shown on it
PART = 100  # values in each part that a larger heap is cut into


@dataclass(eq=False)
class View:
    """What can be seen at once: the whole (box None), or the inside of a box.

    level: boxes that deep are shown folded, those around them as frames.
    depth: so many boxes are around all of it.
    parent: the place of the view in which `box` is shown folded.
    shown: for each value that is in it, what is to be seen: itself or a box.
    outside: likewise, for their neighbours.
    edges: those between what is to be seen.
    """

    box: Box | None
    level: int
    depth: int
    parent: int
    shown: dict[int, Thing]
    outside: dict[int, Thing]
    edges: list[Link]


class Plan:
    """What the page of a graph and its record shows: boxes, and the views of what is in them.

    names, short: what the values are called, and what from inside of their boxes.
    labels, signs: what is written on their nodes.
    weights: the places of the parameters of modules.
    boxes: those of the graph, and the parts of what is too large for one picture.
    paths: the boxes around each value.
    views: the whole, from open to folded; then the inside of each box.
    home: for each value, the view in which it can be seen.
    """

    def __init__(self, graph: Graph, step: Record) -> None:
        self.graph, self.step = graph, step
        self.names = [clean(node.name) for node in step.nodes]
        self.short = [
            clean(graph.short(place, len(path))) for place, path in enumerate(graph.paths)
        ]
        self.labels = [middle_out(name) for name in self.short]
        self.signs = [shortened(sign(node.symbol), 12) for node in step.nodes]
        self.uses: list[list[int]] = [[] for _ in graph.order]
        for place, operands in enumerate(graph.operands):
            for operand in operands:
                self.uses[operand].append(place)
        self.weights = {graph.places[x] for x in graph.own_names if x in graph.places}
        self.boxes = list(dict.fromkeys(box for path in graph.paths for box in path))
        self.paths = self._with_parts(graph.paths)
        self.home = [0] * len(graph.order)
        self.views = self._views()

    def _with_parts(self, paths: list[tuple[Box, ...]]) -> list[tuple[Box, ...]]:
        """Cut what holds too many things for one view into parts, in the order of the step."""
        nested: list[tuple[Thing, ...]] = [(*path, place) for place, path in enumerate(paths)]
        backwards = nest(reversed(nested))  # what comes last counts: the result of a module
        part_of: dict[Thing, Box] = {}
        for around in (None, *self.boxes):
            members = [*reversed(backwards[around])]
            if len(members) <= MOST_THINGS:
                continue
            pieces = [members[i : i + PART] for i in range(0, len(members), PART)]
            for count, piece in enumerate(pieces):
                values = sum(thing.values if isinstance(thing, Box) else 1 for thing in piece)
                box = Box(len(self.boxes), f"part {count + 1}", f"of {len(pieces)}", values)
                self.boxes.append(box)
                part_of.update((thing, box) for thing in piece)
        longer = ([x for thing in inner for x in (part_of.get(thing), thing)] for inner in nested)
        return [tuple(x for x in path if isinstance(x, Box)) for path in longer]

    @cached_property
    def inside(self) -> dict[Box, list[int]]:
        """The places of the values in each box."""
        inside: dict[Box, list[int]] = {box: [] for box in self.boxes}
        for place, path in enumerate(self.paths):
            for box in path:
                inside[box].append(place)
        return inside

    @cached_property
    def outputs(self) -> dict[Box, list[int]]:
        """The places of what is computed in each box and used outside of it, or the root."""
        outputs: dict[Box, list[int]] = {box: [] for box in self.boxes}
        for place, path in enumerate(self.paths):
            around = [self.paths[use] for use in self.uses[place]] or [()]
            reach = min(len(common(path, other)) for other in around)
            for box in path[reach:] if self.graph.operands[place] else ():
                outputs[box].append(place)
        return outputs

    def _views(self) -> list[View]:
        """The whole, from as open as can be read to folded; then the inside of each box in it."""
        # Depth first: where dot has a choice, it lays out in the order of what it reads.
        everything = self.graph.engine_order
        fitting = self._open_levels(everything, 0)
        views = [self._view(None, level, 0, 0, everything) for level in range(fitting, -1, -1)]
        waiting = deque([0])
        while waiting:
            parent = waiting.popleft()
            folded: dict[Box, list[int]] = {}
            for place, thing in views[parent].shown.items():
                if isinstance(thing, Box):
                    folded.setdefault(thing, []).append(place)
                else:
                    self.home[place] = parent
            for place in views[parent].outside:  # where a weight of several boxes is seen first
                self.home[place] = self.home[place] or parent * (place in self.weights)
            depth = views[parent].level + 1
            for box, inside in folded.items():
                level = self._open_levels(inside, depth)
                waiting.append(len(views))
                views.append(self._view(box, level, depth, parent, inside))
        return views

    def _open_levels(self, inside: list[int], least: int) -> int:
        """How many levels of boxes are open: as many as can be read, without a tangle of edges."""
        operands = self.graph.operands
        level = open_levels(self.paths, operands, inside, least)
        while level > least and detours(self._shown(inside, level), operands) > FAR:
            level -= 1
        return level

    def _shown(self, inside: Iterable[int], level: int) -> dict[int, Thing]:
        """What is to be seen of some values where so many levels are open; of a weight that only
        folded boxes use nothing, since all its wires would say is that they have weights."""
        shown = {place: thing_at(place, self.paths[place], level) for place in inside}
        for place in self.weights & shown.keys():
            users = [shown.get(use) for use in self.uses[place]]
            if shown[place] == place and all(isinstance(user, Box) for user in users):
                del shown[place]
        return shown

    def _view(
        self, box: Box | None, level: int, depth: int, parent: int, inside: list[int]
    ) -> View:
        """What is shown for each value inside of a view, and for its neighbours outside."""
        shown = self._shown(inside, level)
        outside = self._outside(set(inside), shown, depth)
        edges = list(links(shown | outside, self.graph.operands, shown))
        return View(box, level, depth, parent, shown, outside, edges)

    def _outside(self, inside: set[int], shown: dict[int, Thing], depth: int) -> dict[int, Thing]:
        """What is shown for each neighbour of what a box holds: operands first."""
        wires = {
            (operand, thing)
            for place, thing in shown.items()
            for operand in self.graph.operands[place]
            if operand not in inside
        }
        around = self.paths[next(iter(shown))][:depth]
        outside: dict[int, Thing] = {}
        for place in sorted({operand for operand, _ in wires}):  # as values, if not too many
            outside[place] = place if len(wires) <= MOST_EDGES else self._sibling(place, around)
        for place in shown:
            for use in self.uses[place]:
                if use not in inside and use not in outside:
                    outside[use] = self._sibling(use, around)
        return outside

    def _sibling(self, place: int, around: tuple[Box, ...]) -> Thing:
        """A value outside, or the outermost box around it that is not around the view as well."""
        path = self.paths[place]
        return thing_at(place, path, len(common(path, around)))


def key(thing: Thing) -> str:
    """What a thing is called in DOT and in the page."""
    return f"b{thing.identifier}" if isinstance(thing, Box) else f"n{thing}"


def shortened(text: str, most: int) -> str:
    """A text cut at its end."""
    return text if len(text) <= most else text[: most - 1] + "…"


def middle_out(name: str, most: int = 24) -> str:
    """A name cut in the middle: what tells it from others is often an index at its end.

    >>> middle_out("layers[0].neurons[1].w[0]")
    'layers[0].n…rons[1].w[0]'
    """
    half = most // 2
    return name if len(name) <= most else f"{name[: most - half - 1]}…{name[-half:]}"
