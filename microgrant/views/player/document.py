"""The player: one step of backpropagation as a page, to be walked through event by event.

With this module you can

- write the page:        Path("step.html").write_text(page(loss), encoding="utf-8")
- name what it shows:    page(loss, names=locals(), title="One step of my network")
- begin with a mistake:  page(loss, mistake="overwrite")

The page is one file that asks nothing of any network. Graphviz lays the graph out when the page is
written, once for each view: the whole, and the inside of every module that is folded into a box.
The pictures, the table and the numbers are written here, and can be read without JavaScript; what
moves is in player.js, which recomputes the step with functions spelled by the table of operations.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import product
from typing import Any, TypeAlias

from ...engine.conditions import Choice, Condition, sources
from ...engine.value import Value
from ...ops.table import FAMILIES, OPERATIONS, Operation
from ...ops.words import Term, derivative, forward, number, spell
from ..events import MISTAKES, Contribution, Forward, Record, Seed, record_of
from ..formulas import MOST_WRITTEN_OUT, OperandOf, names_of, numbers_of, rule_of, term_of
from ..graph import MOST_EDGES, Box, Boxes, Graph, Thing, common, open_levels, thing_at
from ..style import THEMES, clean, sign

__all__ = ["LARGEST", "TooLargeError", "page"]

LARGEST = 20_000  # values; a page of more would open slowly, and nobody would walk through it
MOST_THINGS = 300  # in one view; Graphviz takes its time beyond that, and so do people
PART = 100  # values in each part that a larger heap is cut into


class TooLargeError(ValueError):
    """A graph with more values than a page can walk through."""


def page(
    root: Value,
    names: Mapping[str, Any] | None = None,
    *,
    title: str = "",
    mistake: str | None = None,
) -> str:
    """A complete HTML document that walks through the step that computed `root`.

    names: variables and what they hold, such as ``locals()``, for Values without a label.
    title: what stands at the top; by default the name of `root`, and what is done with it.
    mistake: one of `MISTAKES` that the backward pass makes when the page opens; its reader can
        switch it off, and on again.

    A `TooLargeError` says what to do beyond 20,000 values; a ValueError names the mistakes; a
    `NoGraphvizError` says how to get a Graphviz, without which there is no layout.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> document = page(a * b, title="A product")
    >>> "<title>A product</title>" in document, "v1 = a × b = 2 × −3 = −6" in document
    (True, True)
    """
    if not isinstance(root, Value):
        raise TypeError(f"page needs a Value, but got {type(root).__name__}: pass one output")
    graph = Graph(root, names)
    _check_size(graph)
    return page_of(graph, record_of(graph, mistake), title)


def page_of(graph: Graph, record: Record, title: str = "") -> str:
    """`page`, for a graph whose record is there already."""
    _check_size(graph)
    order, mistake = graph.order, record.mistake
    step = _Step(graph, record)
    title = clean(title) or f"{step.names[-1]}: one step of backpropagation"
    operations = _operations(order)
    data = _json(_data(step, operations, title))
    functions = _javascript(map(step.functions, operations))
    scripts = {"operations": functions, "player": _file("player.js")}
    style = _palette() + _file("player.css")
    layout = step.views[0].layout
    parts = {
        "policy": _policy([style], list(scripts.values())),
        "title": html.escape(title),
        "style": style,
        "area": f"-20 -20 {layout.width + 40} {layout.height + 40}",
        "view": step.svg(step.views[0]),
        "views": "".join(map(_template, map(step.svg, step.views[1:]))),
        "count": f"{len(step.record):,}",
        "mistake": html.escape(f"With a mistake: {MISTAKES[mistake]}.") if mistake else "",
        "rows": "".join(_rows(step.record)),
        "data": data,
        **scripts,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("player.html"))


def _check_size(graph: Graph) -> None:
    if len(graph.order) > LARGEST:
        raise TooLargeError(
            f"the graph has {len(graph.order):,} values, and a page walks through {LARGEST:,} at "
            "most: explain the loss of one example rather than of a batch"
        )


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A content security policy: what the page brings along may run, and nothing is fetched."""
    style, script = (" ".join(map(_hash, texts)) for texts in (styles, scripts))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _palette() -> str:
    """The colours of drawings, as variables of the style sheet."""

    def rules(theme: str) -> str:
        return "".join(f"--{name}: {colour}; " for name, colour in THEMES[theme].items())

    dark = f"{{ color-scheme: dark; {rules('dark')}}}"
    return (
        f"\n:root {{ color-scheme: light; {rules('light')}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {dark} }}\n"
        f":root[data-theme=dark] {dark}\n"
        f"@media print {{ :root:root:root {{ color-scheme: light; {rules('light')}}} }}\n"
    )


# --- Views: what is shown together ----------------------------------------------------------------


@dataclass(eq=False)
class _View:
    """What can be seen at once: the whole (box None), or the inside of a box.

    level: boxes that deep are shown folded, those around them as frames.
    """

    box: Box | None
    level: int
    parent: int
    inside: list[int]
    shown: dict[int, Thing] = field(default_factory=dict)
    stubs: set[Thing] = field(default_factory=set)
    layout: _Layout = field(default_factory=lambda: _Layout(0, 0))


class _Step:
    """The record of the step, its boxes, and its views, laid out."""

    def __init__(self, graph: Graph, record: Record) -> None:
        self.record, self.order, self.operands = record, graph.order, graph.operands
        self.names = [clean(node.name) for node in record.nodes]
        self.short = [
            clean(graph.short(place, len(path))) for place, path in enumerate(graph.paths)
        ]
        self.choices: dict[Operation | None, _WrittenChoice] = {
            value._operation: _written_choice(value, graph.called, graph.places)
            for value in self.order
            if isinstance(value._operation, Choice)
        }
        self.uses: list[list[int]] = [[] for _ in self.order]
        for place, operands in enumerate(self.operands):
            for operand in operands:
                self.uses[operand].append(place)
        self.boxes = list(dict.fromkeys(box for path in graph.paths for box in path))
        self.paths = self._with_parts(graph.paths)
        self.home = [0] * len(self.order)
        self.views = self._views()
        _lay_out(self)
        _, self.gradients = record.state(len(record) - 1)

    def words(self, operation: Operation) -> dict[str, Any]:
        """How the page writes an operation."""
        chosen = self.choices.get(operation)
        return chosen.words if chosen else _words(operation)

    def functions(self, operation: Operation) -> str | None:
        """How the page computes an operation."""
        chosen = self.choices.get(operation)
        return chosen.functions if chosen else _functions(operation)

    def _with_parts(self, paths: list[Boxes]) -> list[Boxes]:
        """Cut what holds too many things for one view into parts, in topological order."""
        inner: tuple[Thing, ...]
        things: dict[Box | None, dict[Thing, int]] = {}
        for place, path in enumerate(paths):
            inner = (*path, place)
            for around, thing in zip((None, *path), inner, strict=True):
                members = things.setdefault(around, {})
                members.pop(thing, None)  # ordered by what comes last: the result of a module
                members[thing] = place
        part_of: dict[Thing, Box] = {}
        for members in things.values():
            if len(members) <= MOST_THINGS:
                continue
            pieces = [list(members)[i : i + PART] for i in range(0, len(members), PART)]
            for count, piece in enumerate(pieces):
                values = sum(thing.values if isinstance(thing, Box) else 1 for thing in piece)
                box = Box(len(self.boxes), f"part {count + 1}", f"of {len(pieces)}", values)
                self.boxes.append(box)
                part_of.update((thing, box) for thing in piece)
        result = []
        for place, path in enumerate(paths):
            longer: list[Box] = []
            inner = (*path, place)
            for thing in inner:
                if thing in part_of:
                    longer.append(part_of[thing])
                if isinstance(thing, Box):
                    longer.append(thing)
            result.append(tuple(longer))
        return result

    def _views(self) -> list[_View]:
        """The whole, from folded to as open as can be read; then the inside of each box in it."""
        everything = list(range(len(self.order)))
        fitting = open_levels(self.paths, self.operands)
        views = [_View(None, level, 0, everything) for level in range(fitting, -1, -1)]
        inside: dict[Box, list[int]] = {}
        for place, path in enumerate(self.paths):
            for box in path:
                inside.setdefault(box, []).append(place)
        waiting = deque([0])
        for view in views:
            self._fill(view)
        while waiting:
            number_of_view = waiting.popleft()
            view = views[number_of_view]
            boxes: dict[Box, None] = {}
            for place in view.inside:
                thing = view.shown[place]
                if isinstance(thing, Box):
                    boxes[thing] = None
                else:
                    self.home[place] = number_of_view
            for box in boxes:
                depth = len(self.paths[inside[box][0]][: view.level]) + 1
                level = open_levels(self.paths, self.operands, inside[box], depth)
                views.append(_View(box, level, number_of_view, inside[box]))
                self._fill(views[-1])
                waiting.append(len(views) - 1)
        return views

    def _fill(self, view: _View) -> None:
        """What is shown for each value inside of a view, and for its neighbours outside."""
        view.shown = {
            place: thing_at(place, self.paths[place], view.level) for place in view.inside
        }
        if view.box is None:
            return
        wires = {
            (operand, view.shown[place])
            for place in view.inside
            for operand in self.operands[place]
            if operand not in view.shown
        }
        sources = dict.fromkeys(operand for operand, _ in sorted(wires, key=lambda wire: wire[0]))
        own = self.paths[view.inside[0]]
        own = own[: own.index(view.box) + 1]
        for place in sources:  # as values, if there are not too many
            view.shown[place] = place if len(wires) <= MOST_EDGES else self._sibling(place, own)
            view.stubs.add(view.shown[place])
        for place in view.inside:
            for use in self.uses[place]:
                if use not in view.shown:
                    view.shown[use] = self._sibling(use, own)
                    view.stubs.add(view.shown[use])

    def _sibling(self, place: int, own: Boxes) -> Thing:
        """A value outside, or the outermost box around it that is not around this view as well."""
        path = self.paths[place]
        shared = len(common(path, own))
        return path[shared] if shared < len(path) else place

    # --- The picture of a view ------------------------------------------------------------------

    def edges(self, view: _View) -> Iterator[tuple[Thing, Thing, str]]:
        """Tail, head and identifier: one for each use of a value, one in all between boxes."""
        drawn: set[tuple[Thing, Thing]] = set()
        inside = set(view.inside)
        for place, head in view.shown.items():
            for use, operand in enumerate(self.operands[place]):
                tail = view.shown.get(operand)
                if tail is None or tail is head or not (place in inside or operand in inside):
                    continue
                if isinstance(tail, int) and isinstance(head, int):
                    yield tail, head, f"{place}-{use}"
                elif (tail, head) not in drawn:
                    drawn.add((tail, head))
                    yield tail, head, ""

    def svg(self, view: _View) -> str:
        """A view as SVG; the script will fill in other numbers."""
        layout = view.layout
        content = [_frame(box, area) for box, area in layout.frames.items()]
        for thing, area in layout.things.items():
            stub = " stub" if thing in view.stubs else ""
            if isinstance(thing, Box):
                content.append(_folded(thing, area, stub))
            else:
                content.append(self._node(thing, area, stub))
        content += ['<rect class="ring source"/><rect class="ring active"/>']
        content += [_wire(link, path) for link, path in layout.edges]
        return f'<g class="view">{"".join(content)}<text class="flow"></text></g>'

    def _node(self, place: int, area: _Area, stub: str) -> str:
        node, gradient = self.record.nodes[place], self.gradients[place]
        x, y, width, height = area
        name = "constant" if node.constant else _middle_out(self.short[place])
        value, reached = number(node.value), "–" if gradient is None else number(gradient)
        corner = 8 if node.operation else 2
        symbol = f'<text class="sign" x="{width - 10}" y="21">{_text(_printed(node.symbol))}</text>'
        kind = "constant" if node.constant else "node" if node.operation else "leaf"
        label = f"{self.names[place]}: value {value}, gradient {reached}"
        return (
            f'<g class="value {kind}{stub}" data-node="{place}" tabindex="0" role="button" '
            f'aria-label="{_text(label)}" transform="translate({x} {y})">'
            f'<rect class="body" width="{width}" height="{height}" rx="{corner}"/>'
            f'<text class="name" x="10" y="21">{_text(name)}</text>{symbol if node.symbol else ""}'
            f'<text class="word" x="10" y="45">data</text><text class="word" x="10" y="68">grad'
            f'</text><text class="data" x="{width - 10}" y="46">{value}</text>'
            f'<text class="grad" x="{width - 10}" y="69">{reached}</text></g>'
        )


def _template(view: str) -> str:
    """A view that is not open yet costs nothing in a template."""
    return f"<template><svg>{view}</svg></template>\n"


def _key(thing: Thing) -> str:
    return f"b{thing.identifier}" if isinstance(thing, Box) else f"n{thing}"


def _text(text: str) -> str:
    return html.escape(clean(text))


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _middle_out(name: str, most: int = 24) -> str:
    """A name cut in the middle: what tells it from others is often an index at its end."""
    half = most // 2
    return name if len(name) <= most else f"{name[: most - half - 1]}…{name[-half:]}"


def _printed(symbol: str) -> str:
    return _shortened(sign(symbol), 12)


def _wire(link: tuple[Thing, Thing, str], path: str) -> str:
    """An edge between values has the identifier of its use, one between boxes has its ends."""
    tail, head, use = link
    ends = f'data-use="{use}"' if use else f'data-from="{_key(tail)}" data-to="{_key(head)}"'
    return f'<path class="edge" {ends} d="{path}"/>'


def _frame(box: Box, area: _Area) -> str:
    """An open box: its frame, and a title that folds it."""
    x, y, width, height = area
    title = _text(_shortened(box.title, 60))
    return (
        f'<g class="frame" transform="translate({x} {y})">'
        f'<rect width="{width}" height="{height}" rx="10"/>'
        f'<text data-fold="{box.identifier}" tabindex="0" role="button" x="12" y="20" '
        f'aria-label="fold {_text(box.title)}">{title}</text></g>'
    )


def _folded(box: Box, area: _Area, stub: str) -> str:
    x, y, width, height = area
    inside = f"{box.values:,} value{'s' * (box.values != 1)} inside"
    return (
        f'<g class="box{stub}" data-box="{box.identifier}" tabindex="0" role="button" '
        f'aria-label="open {_text(box.title)}: {inside}" transform="translate({x} {y})">'
        f'<rect class="body" width="{width}" height="{height}" rx="10"/>'
        f'<text class="name" x="14" y="25">{_text(_middle_out(box.name or "module", 40))}</text>'
        f'<text class="word" x="14" y="47">{_text(_shortened(box.summary, 48))}</text>'
        f'<text class="word inside" x="14" y="68">{inside}</text></g>'
    )


# --- Layout, by Graphviz --------------------------------------------------------------------------

_Area: TypeAlias = "tuple[int, int, int, int]"  # left, top, width, height


@dataclass
class _Layout:
    """Where things are, and along which paths the edges run."""

    width: int
    height: int
    things: dict[Thing, _Area] = field(default_factory=dict)
    frames: dict[Box, _Area] = field(default_factory=dict)
    edges: list[tuple[tuple[Thing, Thing, str], str]] = field(default_factory=list)


def _lay_out(step: _Step) -> None:
    """Give every view its layout; one run of Graphviz does them all."""
    edges = [list(step.edges(view)) for view in step.views]
    sources = [_source(step, view, links) for view, links in zip(step.views, edges, strict=True)]
    for view, links, found in zip(step.views, edges, _graphviz(sources), strict=True):
        view.layout = _parsed(view, links, found, step.boxes)


def _size(step: _Step, thing: Thing) -> tuple[int, int]:
    """Wide enough for the name, and for any number that a live change may bring."""
    if isinstance(thing, Box):
        lines = (1.25 * len(_middle_out(thing.name, 40)), len(_shortened(thing.summary, 48)), 18)
        return round(max(150, 32 + 7.6 * max(lines))), 82
    name = _middle_out(step.short[thing])
    symbol = _printed(step.record.nodes[thing].symbol)
    return max(138, 44 + 9 * len(name) + 9 * len(symbol)), 80


def _source(step: _Step, view: _View, edges: Iterable[tuple[Thing, Thing, str]]) -> str:
    """The view in DOT. No text of the user's is in it: only sizes count."""
    lines = [
        "digraph {",
        'graph [rankdir=LR, ordering=in, nodesep=0.3, ranksep=0.9, pad=0, margin=0, bb=""]',
        'node [shape=box, fixedsize=true, label=""]',
        "edge [dir=none]",
    ]
    framed: dict[Boxes, list[Thing]] = {}
    base = 0 if view.box is None else step.paths[view.inside[0]].index(view.box) + 1
    for place in view.inside:
        path = step.paths[place][base : view.level]
        for level in range(len(path) + 1):
            framed.setdefault(path[:level], [])
        framed[path].append(view.shown[place])
    depth = 0
    open_path: Boxes = ()
    # Graphviz stacks siblings from the bottom: the last goes first.
    for path in sorted(framed, key=lambda path: [-box.identifier for box in path]):
        while open_path != path[: len(open_path)]:
            lines.append("}")
            open_path = open_path[:-1]
            depth -= 1
        if path != open_path:
            box = path[-1]
            room = "m" * round(0.7 * len(_shortened(box.title, 60)))
            lines.append(
                f'subgraph cluster_{box.identifier} {{ label="{room}"; fontsize=15; margin=14;'
            )
            open_path = path
            depth += 1
        things = dict.fromkeys(framed[path])
        lines += [_dot_node(step, thing) for thing in things if isinstance(thing, int)]
        folded = [thing for thing in things if isinstance(thing, Box)]
        folded.sort(key=lambda box: -box.identifier)
        lines += [_dot_node(step, box) for box in folded]
    lines.append("}" * depth)
    lines += [_dot_node(step, thing) for thing in sorted(view.stubs, key=_key)]
    lines += [f"{_key(tail)} -> {_key(head)}" for tail, head, _ in edges]
    return "\n".join([*lines, "}"])


def _dot_node(step: _Step, thing: Thing) -> str:
    width, height = _size(step, thing)
    return f"{_key(thing)} [width={width / 72:.3f}, height={height / 72:.3f}]"


def _graphviz(sources: Sequence[str]) -> list[dict[str, Any]]:
    """What Graphviz answers for each source, in one run of the program dot if there is one."""
    import graphviz  # here, so that `import microgrant` does not need it

    from ..rendering import UNUSABLE, bundled_graphviz

    try:
        return _answers(graphviz.pipe("dot", "json0", "\n".join(sources).encode()), len(sources))
    except (*UNUSABLE, ValueError):  # ValueError: it ran, and what it wrote is no JSON
        return [json.loads(bundled_graphviz(source, "json0")) for source in sources]


def _answers(written: bytes, count: int) -> list[dict[str, Any]]:
    text, decoder, start = written.decode(), json.JSONDecoder(), 0
    results: list[dict[str, Any]] = []
    while len(results) < count:
        start = text.index("{", start)
        found, start = decoder.raw_decode(text, start)
        results.append(found)
    return results


def _parsed(
    view: _View,
    links: Sequence[tuple[Thing, Thing, str]],
    found: Mapping[str, Any],
    boxes: Sequence[Box],
) -> _Layout:
    """Graphviz's answer, with the origin at the top left."""
    left, bottom, right, top = map(float, found["bb"].split(","))
    things = {_key(thing): thing for thing in (*view.shown.values(), *view.stubs)}
    layout = _Layout(round(right - left), round(top - bottom))
    for each in found.get("objects", ()):
        name = each["name"]
        if name.startswith("cluster_"):
            x0, y0, x1, y1 = map(float, each["bb"].split(","))
            area = (round(x0 - left), round(top - y1), round(x1 - x0), round(y1 - y0))
            layout.frames[boxes[int(name.removeprefix("cluster_"))]] = area
        else:
            width, height = round(72 * float(each["width"])), round(72 * float(each["height"]))
            x, y = map(float, each["pos"].split(","))
            place = (round(x - left - width / 2), round(top - y - height / 2), width, height)
            layout.things[things[name]] = place
    # The order of the page is that of the Tab key: that of the step; frames from the outside in.
    layout.things = {thing: layout.things[thing] for thing in dict.fromkeys(view.shown.values())}
    layout.frames = dict(sorted(layout.frames.items(), key=lambda item: item[1]))
    for link, edge in zip(links, found.get("edges", ()), strict=True):
        points = [tuple(map(float, point.split(","))) for point in edge["pos"].split()]
        path = " ".join(f"{x - left:.0f},{top - y:.0f}" for x, y in points)
        start, _, rest = path.partition(" ")
        layout.edges.append((link, f"M{start}C{rest}"))
    return layout


# --- The operations, in words and in JavaScript ---------------------------------------------------

_HOLES = "".join(map(chr, range(0xE000, 0xE008)))  # stand for operands in a template
_OUT = "\ue00f"
_STAND_INS = (7319.0, 8623.0, 5417.0, 6791.0)  # numbers that no operation of the table holds
_FORMS = (1.0, -1.0, 1e6)  # make of a stand-in 7319, −7319 and 7.319e9: the cases of a number


def _operations(order: Sequence[Value]) -> dict[Operation, int]:
    """The operations that occur, numbered."""
    found: dict[Operation, int] = {}
    for value in order:
        if value._operation is not None:
            found.setdefault(value._operation, len(found))
    return found


def _words(operation: Operation) -> dict[str, Any]:
    """How the page writes an operation: with holes for names, and for numbers.

    How an operand begins decides about parentheses, and so does an exponent of ten: there is a
    template for each case, in the order of `product`.
    """
    held = operation.arity <= len(_STAND_INS)
    signs = list(product((False, True) if held else (False,), repeat=operation.arity))
    numbers = product(_FORMS if held else _FORMS[:1], repeat=operation.arity)
    own = operation is not OPERATIONS.get(operation.name) and operation.name not in FAMILIES
    return {
        "symbol": clean(operation.symbol),
        "formula": _single([_formula(operation, minus) for minus in signs]),
        "numbers": _single([_arithmetic(operation, forms) for forms in numbers]),
        "rules": _single([_rules(operation, minus) for minus in signs]),
        "own": own,
        "live": _functions(operation) is not None,
    }


def _single(templates: list[Any]) -> list[Any]:
    return templates[:1] if all(each == templates[0] for each in templates) else templates


def _named_holes(minus: Sequence[bool]) -> list[str]:
    return [f"−{hole}" if is_minus else hole for hole, is_minus in zip(_HOLES, minus, strict=False)]


def _without_minus(text: str, minus: Sequence[bool]) -> str:
    """The minus sign belongs to the name that will fill the hole."""
    text = clean(text)
    for hole, is_minus in zip(_HOLES, minus, strict=False):
        text = text.replace(f"−{hole}", hole) if is_minus else text
    return text


def _formula(operation: Operation, minus: Sequence[bool]) -> str:
    return _without_minus(forward(operation, _named_holes(minus)), minus)


def _rules(operation: Operation, minus: Sequence[bool]) -> list[str]:
    holes = _named_holes(minus)
    try:
        return [_without_minus(rule, minus) for rule in derivative(operation, _OUT, holes)]
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return [f"∂{clean(operation.name)}/∂{hole}" for hole in _HOLES[: len(holes)]]


def _arithmetic(operation: Operation, forms: Sequence[float]) -> str:
    if len(forms) > len(_STAND_INS):
        return _formula(operation, [False] * len(forms))
    numbers = [x * form for x, form in zip(_STAND_INS, forms, strict=False)]
    text = clean(spell(Term(operation, tuple(numbers))))
    for hole, x in zip(_HOLES, numbers, strict=False):
        text = text.replace(number(x), hole)
    return text


def _functions(operation: Operation) -> str | None:
    """The operation as an object of JavaScript; None if it has no spelling there."""
    if "javascript" not in operation.spelling and operation is not OPERATIONS.get(operation.name):
        return None
    names = [f"x{i}" for i in range(operation.arity)]
    try:
        value = forward(operation, names, "javascript")
        partials = derivative(operation, "out", names, "javascript", textbook=False)
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return None
    return _object(names, value, partials)


def _object(names: Sequence[str], value: str, partials: Sequence[str]) -> str | None:
    arguments = ", ".join(names)
    text = (
        f"{{forward: ({arguments}) => {value}, "
        f"partials: (out, {arguments}) => [{', '.join(partials)}]}}"
    )
    return None if "</" in text or "<!--" in text else clean(text)


def _javascript(functions: Iterable[str | None]) -> str:
    """The functions of all operations. They stand in a script of their own, so that one of the
    user's that JavaScript cannot read does not take the player with it."""
    written = ",\n".join(f"  {each or 'null'}" for each in functions)
    return f'"use strict";\nwindow.operations = [\n{written}\n];\n'


@dataclass
class _WrittenChoice:
    """A `where` on the page: its words, its functions, and what decides it.

    mentions: the places of the values that it reads besides its operand.
    """

    words: dict[str, Any]
    functions: str | None = None
    mentions: list[int] = field(default_factory=list)


def _written_choice(
    value: Value, called: Mapping[Value, str], places: Mapping[Value, int]
) -> _WrittenChoice:
    """It chooses anew when values change, if its page can show what follows from that."""
    choice: Any = value._operation
    known = _what_decides(choice, places)
    named, amounts = names_of(called), numbers_of(places)
    words = {"symbol": choice.symbol, "own": False, "live": known is not None, "choice": True}
    if known is None:
        return _WrittenChoice(words | _choice_in_words(value, named, amounts))
    holes = {x: Term(hole) for x, hole in zip(known, _HOLES, strict=False)}
    words |= _choice_in_words(value, lambda x: holes.get(x) or named(x), holes.get)
    names = [f"x{i}" for i in range(len(known))]
    arguments = {x: Term(name) for x, name in zip(known, names, strict=True)}
    result = spell(term_of(value, arguments.get), "javascript")
    partial = spell(rule_of(choice, arguments.get), "javascript")
    functions = _object(names, result, [partial])
    return _WrittenChoice(words, functions, [places[x] for x in known[1:]])


def _choice_in_words(value: Value, named: OperandOf, amounts: OperandOf) -> dict[str, Any]:
    choice: Any = value._operation
    return {
        "formula": [clean(spell(term_of(value, named)))],
        "numbers": [clean(spell(term_of(value, amounts)))],
        "rules": [[clean(spell(rule_of(choice, named)))]],
    }


def _what_decides(choice: Choice, places: Mapping[Value, int]) -> list[Value] | None:
    """The branch taken, and the values on the page that decide whether it is.

    None if the other branch is more than a number: the page has no edge for the gradient that would
    flow along it. None too if what decides is computed from values, and is not on the page.
    """
    found = {choice.taken: None}
    waiting: list[Any] = [choice.condition]
    waiting.append(choice.if_false if choice.condition.truth else choice.if_true)
    for _ in range(MOST_WRITTEN_OUT):
        if not waiting:
            return list(found) if len(found) <= len(_HOLES) else None
        x = waiting.pop()
        if isinstance(x, Condition):
            compared = sources(x)
            waiting += (each for each in compared if isinstance(each, Condition))
            values = [each for each in compared if isinstance(each, Value)]
            if any(each not in places and each._operation is not None for each in values):
                return None
            found |= dict.fromkeys(each for each in values if each in places)
        elif x in places:
            return None
        elif isinstance(x._operation, Choice):
            waiting += sources(x)
        elif x._operation is not None:
            return None
    return None


# --- The data of the page, and the table ----------------------------------------------------------


def _data(step: _Step, operations: Mapping[Operation, int], title: str) -> dict[str, Any]:
    nodes = step.record.nodes
    return {
        "title": title,
        "names": step.names,
        "short": {
            place: short for place, short in enumerate(step.short) if short != step.names[place]
        },
        "values": [_encoded(node.value) for node in nodes],
        "operation": [
            -1 if value._operation is None else operations[value._operation] for value in step.order
        ],
        "operands": [node.operands for node in nodes],
        "partials": [list(map(_encoded, value._partials)) for value in step.order],
        "constants": [place for place, node in enumerate(nodes) if node.constant],
        "operations": [step.words(operation) for operation in operations],
        "mentions": {
            place: step.choices[value._operation].mentions
            for place, value in enumerate(step.order)
            if value._operation in step.choices
        },
        "mistakes": MISTAKES,
        "mistake": step.record.mistake,
        "boxes": [
            {"title": clean(box.title), "name": clean(box.name), "values": box.values}
            for box in step.boxes
        ],
        "paths": [[box.identifier for box in path] for path in step.paths],
        "home": step.home,
        "views": [
            {
                "box": -1 if view.box is None else view.box.identifier,
                "level": view.level,
                "parent": view.parent,
                "width": view.layout.width,
                "height": view.layout.height,
            }
            for view in step.views
        ],
    }


def _encoded(x: float) -> float | str:
    """JSON has no nan and no infinities."""
    return x if math.isfinite(x) else str(x)


def _json(data: Any) -> str:
    """JSON that can stand inside of a script element, whatever its strings hold."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _rows(step: Record) -> Iterator[str]:
    """The table of the step: one row for each event."""
    for count, event in enumerate(step, 1):
        half = "forward" if isinstance(event, Forward) else "backward"
        line, constant = _line(step, count - 1)
        half += " constant" if constant else ""
        yield (
            f'<tr class="{half}"><td><a href="#step={count}">{count}</a></td>'
            f"<td>{_text(line)}</td></tr>\n"
        )


def _line(step: Record, place: int) -> tuple[str, bool]:
    """The line of an event, and whether it is about a constant.

    A constant has a gradient too, but nobody asks for it: its row is there, since steps are
    counted, but it is quiet, and 1.1.grad is not taken for a name.
    """
    event, line = step.events[place], step.line(place)
    if isinstance(event, Seed):
        return line, False
    node = step.nodes[event.operand if isinstance(event, Contribution) else event.node]
    if not node.constant:
        return line, False
    name = clean(node.name)
    if isinstance(event, Contribution):
        return f"(constant {name}){line.removeprefix(name)}", True
    return f"constant {name}", True
