"""Draws without Graphviz what our drawings tell it: SVG from DOT.

With this module you can

- draw the source of a drawing:    svg = svg_of(draw(loss).source)

Nodes, edges and boxes have the places of `layered`, or those that the source gives them; they look
as Graphviz would draw them, and have the same identifiers, classes and tooltips.
"""

from __future__ import annotations

import math
import re
from html import escape, unescape

from .dot_reader import Attributes, Dot, read
from .labels import Area, Font, label_of, rectangle, width_of, written
from .layered import Layered, Point, Spacing, layered, path

__all__ = ["svg_of"]

PAD, TITLE, ARROW, WING, ROW = 14.4, 26, 7.0, 2.6, 15  # ROW: of words on edges, one above the other
SIDEWAYS = Spacing(apart=18, ranks=40, ends=16, above=TITLE - 2)
DOWN = Spacing(apart=18, ranks=40, ends=24, above=4, first=TITLE)
UP = DOWN._replace(first=DOWN.last, last=TITLE)


def svg_of(source: str) -> str:
    """The picture of a drawing, from its source in DOT.

    A ValueError says so if it is written as our drawings are not.

    >>> svg_of('digraph { a [id="n0", class="value"]; a -> b }').count('class="node')
    2
    """
    graph = read(source)
    if graph.look.get("layout") == "neato":
        return _Placed(graph).svg()
    return _Ranked(graph).svg()


class _Picture:
    """What both kinds of pictures are made of: their nodes and edges, and where they are."""

    def __init__(self, graph: Dot) -> None:
        self.graph, self.look = graph, graph.look
        self.nodes = {x: look for x, look in graph.nodes.items() if look.get("style") != "invis"}
        self.labels = {
            x: label_of(look.get("label", escape(x)), _font(look)) for x, look in self.nodes.items()
        }
        shown = (x for x in graph.edges if x.look.get("style") != "invis" and x.tail != x.head)
        self.edges = list(shown)
        self.areas: dict[str, Area] = {}
        self.clusters: dict[str, Area] = {}
        self.wires: list[list[Point]] = []
        self.down = False

    def size(self, name: str) -> tuple[float, float]:
        """As large as its label, if it is not told to be larger, or of what size it is."""
        look, label = self.nodes[name], self.labels[name]
        width, height = (72 * float(look.get(side, 0)) for side in ("width", "height"))
        if "fixedsize" in look:
            return width, height
        if look.get("shape") == "circle":
            width = height = max(width, math.hypot(label.width, label.height) + 4)
        return max(width, label.width), max(height, label.height)

    def words(self, number: int) -> str:
        """What is written on an edge."""
        return ""

    def svg(self) -> str:
        """The whole picture."""
        areas = [*self.areas.values(), *self.clusters.values()]
        points = [(x, y) for x, y, _, _ in areas] + [point for x in self.wires for point in x]
        points += [(x + width, y + height) for x, y, width, height in areas] or [(0, 0)]
        xs, ys = zip(*points, strict=True)
        left, top, right, low = min(xs) - PAD, min(ys) - PAD, max(xs) + PAD, max(ys) + PAD
        note = ""
        if "label" in self.look:
            label = label_of(self.look["label"], _font(self.look))
            right = max(right, left + label.width + 2 * PAD)
            note = label.draw(((left + right - label.width) / 2, low, label.width, label.height))
            low += label.height + PAD
        corners = _corners([(left, top), (left, low), (right, low), (right, top)])
        ground = f'<polygon fill="{_colour(self.look, "bgcolor")}" points="{corners}"/>'
        size = f'width="{right - left:.0f}pt" height="{low - top:.0f}pt"'
        content = [
            *map(self._cluster, self.clusters),
            *map(self._edge, range(len(self.edges))),
            *map(self._node, sorted(self.nodes, key=self.areas.__getitem__)),
        ]
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<svg {size} '
            f'viewBox="{left:.1f} {top:.1f} {right - left:.1f} {low - top:.1f}" '
            'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">\n'
            f'<g id="graph0" class="graph">{_told(self.look, ground)}\n'
            f"{''.join(content)}{note}</g>\n</svg>\n"
        )

    def _cluster(self, name: str) -> str:
        look, (x, y, width, height) = self.graph.clusters[name], self.clusters[name]
        font = _font(look)
        label = label_of(_fitting(look.get("label", ""), width - 12, font), font)
        shown = rectangle((x, y, width, height), look.get("fillcolor"), look.get("color"), 1, True)
        return _group("cluster", name, look, shown + label.draw((x, y, width, TITLE)))

    def _node(self, name: str) -> str:
        look, area, style = self.nodes[name], self.areas[name], self.nodes[name].get("style", "")
        fill, line = (_colour(look, "fillcolor") if "filled" in style else "none"), _colour(look)
        shown, shape = "", look.get("shape", "box")
        if shape == "circle":
            x, y, size, _ = area
            middle = f'cx="{x + size / 2:.1f}" cy="{y + size / 2:.1f}" r="{size / 2:.1f}"'
            shown = f'<circle {middle} fill="{fill}" stroke="{line}"/>'
        elif shape in ("box", "ellipse"):
            shown = rectangle(area, fill, line, 1, "rounded" in style)
        return _group("node", name, look, _dashed(shown, style) + self.labels[name].draw(area))

    def _edge(self, number: int) -> str:
        edge, points, arrow = self.edges[number], [*self.wires[number]], ""
        look = {"id": f"edge{number + 1}"} | edge.look
        name = f"{_end(edge.tail, edge.tail_port)}->{_end(edge.head, edge.head_port)}"
        line = _colour(look)
        if look.get("dir") != "none":
            points[-1], corners = _arrow(points, self.down)
            arrow = f'<polygon fill="{line}" stroke="{line}" points="{_corners(corners)}"/>'
        stroke = f'stroke="{line}" stroke-width="{look.get("penwidth", "1")}"'
        shown = f'<path fill="none" {stroke} d="{self.route(points)}"/>'
        shown = _dashed(shown, look.get("style", "")) + arrow + self.words(number)
        return _group("edge", name, look, shown)

    def route(self, points: list[Point]) -> str:
        """The path of an edge."""
        return path(points, self.down)


class _Ranked(_Picture):
    """One that is laid out here."""

    def __init__(self, graph: Dot) -> None:
        super().__init__(graph)
        self.rankdir = graph.look.get("rankdir", "TB")
        self.down = self.rankdir in ("TB", "BT")
        self.into: dict[str, list[int]] = {}
        for number, edge in enumerate(self.edges):
            self.into.setdefault(edge.head, []).append(number)
        self.texts = {
            number: (edge.look["label"].strip(), _font(edge.look))
            for number, edge in enumerate(self.edges)
            if "label" in edge.look
        }
        plan = self._plan()
        self.clusters = {x: self._turned(area, plan) for x, area in plan.frames.items()}
        self.wires = [[self._turned((*point, 0, 0), plan)[:2] for point in x] for x in plan.wires]
        for name, area in plan.things.items():
            x, y, width, height = self._turned(area, plan)
            w, h = (width, height) if not self.down else self.size(name)
            beside = self._axis(name) if self.down else width / 2
            self.areas[name] = (x + width / 2 - beside, y, w, h)

    def _plan(self) -> Layered[str]:
        members = {
            around: [x for x in inside if x in self.nodes or self.graph.members.get(x)]
            for around, inside in self.graph.members.items()
            if inside or around is None
        }
        sizes = {x: self._room(x) for x in self.nodes}
        modules = [
            sorted((x for x in inside if "module" in self._class(x)), key=_number)
            for inside in members.values()
        ]
        rooms = {head: self._words_before(numbers) for head, numbers in self.into.items()}
        edges = [edge[:2] for edge in self.edges]
        if self.down:
            spacing = DOWN if self.rankdir == "TB" else UP
            return layered(sizes, edges, members, modules, spacing, rooms)
        looks = self.graph.clusters.items()
        titles = {x: label_of(look.get("label", ""), _font(look)).width + 12 for x, look in looks}
        return layered(sizes, edges, members, modules, SIDEWAYS, rooms, titles)

    def _class(self, name: str) -> str:
        look = self.nodes[name] if name in self.nodes else self.graph.clusters[name]
        return look.get("class", "")

    def _axis(self, name: str) -> float:
        """Where edges end at it, from its left, where they come from above."""
        return self.labels[name].ports.get("wire", (self.size(name)[0] / 2, 0))[0]

    def size(self, name: str) -> tuple[float, float]:
        """With room for all edges that end at it with words."""
        width, height = super().size(name)
        terms = sum(x in self.texts for x in self.into.get(name, ()))
        least = (terms > 2) * (terms + 1)
        if self.down:
            return max(width, DOWN.ends * least), height
        return width, max(height, SIDEWAYS.ends * least)

    def _room(self, name: str) -> tuple[float, float]:
        """Its size along the ranks and across them, with what is written on the edges into it."""
        width, height = self.size(name)
        numbers = self.into.get(name, [])
        texts = [self.texts[x] for x in numbers if x in self.texts]
        if not self.down:
            return width, height
        axis = self._axis(name)
        words = max((width_of(*each) for each in texts), default=0) + 5 + DOWN.ends / 2
        return height, 2 * max(axis, width - axis, words)

    def _words_before(self, numbers: list[int]) -> float:
        texts = [self.texts[x] for x in numbers if x in self.texts]
        if not texts:
            return 0
        longest = max(width_of(*each) for each in texts)
        return ARROW + 8 + (ROW * ((len(texts) + 1) // 2) if self.down else longest)

    def _turned(self, area: Area, plan: Layered[str]) -> Area:
        """A place in the direction of the drawing."""
        x, y, width, height = area
        if self.rankdir in ("RL", "BT"):
            x = plan.width - x - width
        return (y, x, height, width) if self.down else (x, y, width, height)

    def words(self, number: int) -> str:
        """Before the head of an edge: above it, or, where edges go down, at their outer sides."""
        if number not in self.texts:
            return ""
        back = -1 if self.rankdir in ("LR", "TB") else 1
        x, y = self.wires[number][-1]
        if not self.down:
            anchor = "end" if back < 0 else "start"
            return written(*self.texts[number], x + back * (ARROW + 3), y - 3, anchor)
        others = [
            self.wires[i][-1][0] for i in self.into[self.edges[number].head] if i in self.texts
        ]
        before, behind = sum(other < x for other in others), sum(other > x for other in others)
        y += back * (ARROW + 5 + ROW * min(before, behind)) + 9 * (back > 0)
        left = before < behind
        return written(*self.texts[number], x + (-5 if left else 5), y, "end" if left else "start")


class _Placed(_Picture):
    """One in which everything has its place, and edges are straight."""

    def __init__(self, graph: Dot) -> None:
        super().__init__(graph)
        spots = {x: _spot(look["pos"]) for x, look in graph.nodes.items()}
        for name in self.nodes:
            (x, y), (width, height) = spots[name], self.size(name)
            self.areas[name] = (x - width / 2, y - height / 2, width, height)
        self.wires = [
            [
                self._border(edge.tail, edge.tail_port, spots[edge.tail], spots[edge.head]),
                self._border(edge.head, edge.head_port, spots[edge.head], spots[edge.tail]),
            ]
            for edge in self.edges
        ]

    def _border(self, name: str, port: str, middle: Point, other: Point) -> Point:
        """Where an edge ends at a circle, at the side of a box, or at what cannot be seen."""
        x, y = middle
        if name not in self.areas:
            return middle
        half = self.areas[name][2] / 2
        if port:
            return x + half * (1 if port == "e" else -1), y
        far = math.dist(middle, other) or 1
        return x + half * (other[0] - x) / far, y + half * (other[1] - y) / far

    def route(self, points: list[Point]) -> str:
        (x0, y0), (x1, y1) = points
        return f"M{x0:.1f},{y0:.1f}L{x1:.1f},{y1:.1f}"


def _arrow(points: list[Point], down: bool) -> tuple[Point, list[Point]]:
    """Where a line ends that has the head of an arrow, and the corners of that."""
    (x0, y0), (x, y) = points[-2:]
    if down:
        back = y - math.copysign(ARROW, y - y0)
        return (x, back), [(x - WING, back), (x, y), (x + WING, back)]
    back = x - math.copysign(ARROW, x - x0)
    return (back, y), [(back, y - WING), (x, y), (back, y + WING)]


def _corners(points: list[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _colour(look: Attributes, of: str = "color") -> str:
    return look.get(of, "none" if of == "bgcolor" else "#000000").lower()


def _dashed(shown: str, style: str) -> str:
    """What is drawn first, with the dashes of its style."""
    dashes = {"dashed": "5,4", "dotted": "1,4"}.get(style.split(",")[-1])
    return shown.replace("/>", f' stroke-dasharray="{dashes}"/>', 1) if dashes else shown


def _font(look: Attributes) -> Font:
    return Font(float(look.get("fontsize", 14)), look.get("fontcolor", "#000000"))


def _end(name: str, port: str) -> str:
    return f"{name}:{port}" if port else name


def _fitting(markup: str, width: float, font: Font) -> str:
    """A title that is cut at its end, if there is no room for it."""
    if label_of(markup, font).width <= width:
        return markup
    text = unescape(re.sub("<BR/>", " ", markup))
    while text and width_of(f"{text}…", font) > width:
        text = text[:-1]
    return escape(f"{text.strip()}…", quote=False)


def _spot(position: str) -> Point:
    x, y = position.rstrip("!").split(",")
    return float(x), -float(y)


def _number(name: str) -> int:
    """The one at the end of a name."""
    return int("0" + re.findall(r"\d*$", name)[0])


def _group(kind: str, name: str, look: Attributes, shown: str) -> str:
    """What Graphviz makes of each thing: a group with its identifier, classes, name and tooltip."""
    classes = f"{kind} {look.get('class', '')}".strip()
    title = f"<title>{escape(name)}</title>"
    begin = f'<g id="{escape(look.get("id", name))}" class="{escape(classes)}">{title}'
    return f"{begin}{_told(look, shown)}</g>\n"


def _told(look: Attributes, shown: str) -> str:
    """With its tooltip, which Graphviz would resolve twice, and so it is escaped twice."""
    if "tooltip" not in look:
        return f"<g>{shown}</g>"
    text = unescape(look["tooltip"].replace("\\" * 4, "\\"))
    return f'<g><a xlink:title="{escape(text)}">{shown}</a></g>'
