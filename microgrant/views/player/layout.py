"""Where the things of each view stand: Graphviz lays them out, and its answer is read back; where
there is none, `layered` does.

With this module you can

- lay out all views of a plan, in one run of Graphviz:    layouts = lay_out(plan)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..graph import Box, Link, Members, Row, Thing, depths, nest, side_by_side, spans
from ..layered import Layered, Spacing, layered, path
from .views import MOST_OUTPUTS, Plan, View, key, middle_out, shortened

__all__ = ["Area", "Layout", "lay_out"]

# Graphviz works on each edge rank by rank, and where many are long it takes minutes. From so many
# ranks on it betters what it has in fewer rounds; it is told of so many in one view, and in all
# views of so many beyond the first of each edge.
FEW_RANKS, MOST_RANKS, MOST_RANKS_IN_ALL = 500, 2_000, 3_000
MOST_CURVES = 1_000  # edges
NEAR = 3  # ranks: edges that are told where that is too many
# Of our own layout; edges bend before the room for the number that goes along them.
SPACING, ROOM = Spacing(apart=22, ranks=52), 38
LANE = 16  # between edges above the picture
# Frames stand in the order that they are told in, where Graphviz betters it in one round only.
IN_ORDER = "graph [newrank=true, remincross=false, mclimit=0.01]"

Area: TypeAlias = tuple[int, int, int, int]  # left, top, width, height


@dataclass
class Layout:
    """Where the things of a view are, and along which paths the edges run."""

    view: View
    width: int
    height: int
    things: dict[Thing, Area]
    frames: dict[Box, Area]
    edges: list[tuple[Link, str]]


def lay_out(plan: Plan) -> list[Layout]:
    """The layout of every view; one run of Graphviz does them all."""
    from ..rendering import NoGraphvizError  # here, as below

    told = list(_told(plan.views))
    pairs = list(zip(plan.views, told, strict=True))
    try:
        answers = _graphviz([_source(plan, *pair) for pair in pairs])
    except (NoGraphvizError, json.JSONDecodeError):
        return [_plain(plan, view) for view in plan.views]
    return [_parsed(plan, *pair, answer) for pair, answer in zip(pairs, answers, strict=True)]


def _told(views: Sequence[View]) -> Iterator[list[Link]]:
    """The edges of each view that Graphviz lays out; the others run above the picture."""
    room = MOST_RANKS_IN_ALL
    for view in views:
        reach = spans(view.edges)
        beyond = sum(reach) - len(reach)
        if sum(reach) <= MOST_RANKS and beyond <= room:
            room -= beyond
            yield view.edges
        else:
            firsts: dict[tuple[Thing, Thing], Link] = {}
            for link, ranks in zip(view.edges, reach, strict=True):
                if ranks <= NEAR:
                    firsts.setdefault(link[:2], link)
            yield list(firsts.values())


def _source(plan: Plan, view: View, told: Sequence[Link]) -> str:
    """The view in DOT. No text of the user's is in it: only sizes count."""
    lines = [
        "digraph {",
        'graph [rankdir=LR, ordering=in, nodesep=0.3, ranksep=0.9, pad=0, margin=0, bb=""]',
        'node [shape=box, fixedsize=true, label=""]',
        "edge [dir=none]",
    ]
    if len(told) < len(view.edges):
        lines.append("graph [nslimit=0.1, mclimit=0.1]")
    elif sum(spans(told)) > FEW_RANKS:
        lines.append("graph [nslimit=1]")
    if len(told) > MOST_CURVES:
        lines.append("graph [splines=line]")
    members = _nested(plan, view)
    rows = side_by_side(members, depths(view.edges))
    if any(rows.values()):
        lines.append(IN_ORDER)
    lines += _members(plan, members, rows, None)
    lines += [_node(plan, thing) for thing in sorted(set(view.outside.values()), key=key)]
    lines += [f"{key(tail)} -> {key(head)}" for tail, head, _ in told]
    return "\n".join([*lines, "}"])


def _members(
    plan: Plan, members: Members, rows: Mapping[Thing | None, list[Row]], around: Box | None
) -> Iterator[str]:
    """What stands in a frame: values, folded boxes, and further frames."""
    boxes = [thing for thing in members[around] if isinstance(thing, Box)]
    boxes.sort(key=lambda box: box.identifier, reverse=True)  # Graphviz stacks from the bottom
    yield from (_node(plan, thing) for thing in members[around] if isinstance(thing, int))
    yield from (_node(plan, box) for box in boxes if box not in members)
    for box in boxes:
        if box in members:
            room = "m" * round(0.7 * len(shortened(box.title, 60)))
            yield f'subgraph cluster_{box.identifier} {{ label="{room}"; fontsize=15; margin=14;'
            yield from _members(plan, members, rows, box)
            yield "}"
    for row in rows[around]:
        firsts = [key(first) for first in row.values()]
        if around:
            firsts.reverse()
        if all(box is first for box, first in row.items()):
            yield f"{{rank=same; {' -> '.join(firsts)} [style=invis]}}"
        elif around:  # an older dot stacks the boxes the other way, but for those that one leads to
            yield f"to_{firsts[0]} [width=0, height=0, style=invis]"
            yield from (f"to_{firsts[0]} -> {first} [style=invis]" for first in firsts)


def _node(plan: Plan, thing: Thing) -> str:
    width, height = _size(plan, thing)
    return f"{key(thing)} [width={width / 72:.3f}, height={height / 72:.3f}]"


def _size(plan: Plan, thing: Thing) -> tuple[int, int]:
    """Wide enough for the name, and for any number that a live change may bring."""
    if isinstance(thing, Box):
        lines = (1.25 * len(middle_out(thing.name, 40)), len(shortened(thing.summary, 48)))
        numbers = 70 + 70 * min(len(plan.outputs[thing]), MOST_OUTPUTS)
        return round(max(150, 32 + 7.6 * max(lines), numbers)), 102
    return max(138, 44 + 9 * len(plan.labels[thing]) + 9 * len(plan.signs[thing])), 80


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


def _plain(plan: Plan, view: View) -> Layout:
    """A layout without Graphviz; every edge is in it."""
    things = dict.fromkeys((*_in_tab_order(view), *view.outside.values()))
    members = _nested(plan, view)
    members[None] |= dict.fromkeys(view.outside.values())
    boxes = [[x for x in inside if isinstance(x, Box)] for inside in members.values()]
    rows = [sorted(row, key=lambda box: box.identifier) for row in boxes]
    frames = [x for x in members if isinstance(x, Box)]
    titles: dict[Thing, float] = {x: 24 + 8.2 * len(shortened(x.title, 60)) for x in frames}
    sizes = {thing: _size(plan, thing) for thing in things}
    edges = [(tail, head) for tail, head, _ in view.edges]
    rooms = {head: ROOM for _, head in edges}
    found: Layered[Thing] = layered(sizes, edges, members, rows, SPACING, rooms, titles)
    areas = _whole(found.things | found.frames)
    paths = [(link, path(wire)) for link, wire in zip(view.edges, found.wires, strict=True)]
    places = {x: areas[x] for x in things}, {x: areas[x] for x in frames}
    return Layout(view, round(found.width), round(found.height), *places, paths)


def _whole(areas: Mapping[Thing, tuple[float, float, float, float]]) -> dict[Thing, Area]:
    """With whole numbers."""
    return {
        x: (round(left), round(top), round(width), round(height))
        for x, (left, top, width, height) in areas.items()
    }


def _in_tab_order(view: View) -> list[Thing]:
    """The order of the page is that of the Tab key: that of the step."""
    return [view.shown[place] for place in sorted(view.shown)]


def _nested(plan: Plan, view: View) -> Members:
    shown = view.shown.items()
    return nest((*plan.paths[place][view.depth : view.level], thing) for place, thing in shown)


def _parsed(plan: Plan, view: View, told: Sequence[Link], found: Mapping[str, Any]) -> Layout:
    """Graphviz's answer, with the origin at the top left."""
    left, bottom, right, top = map(float, found["bb"].split(","))
    near = set(told)
    far = dict.fromkeys(link[0] for link in view.edges if link not in near)
    lanes = {tail: lane for lane, tail in enumerate(far)}
    top += LANE * len(lanes)
    areas: dict[str, Area] = {}
    for each in found.get("objects", ()):
        if "pos" in each:
            width, height = round(72 * float(each["width"])), round(72 * float(each["height"]))
            x, y = map(float, each["pos"].split(","))
            corner = round(x - left - width / 2), round(top - y - height / 2)
        elif "bb" not in each:  # only a rank
            continue
        else:  # a frame
            x0, y0, x1, y1 = map(float, each["bb"].split(","))
            width, height = round(x1 - x0), round(y1 - y0)
            corner = round(x0 - left), round(top - y1)
        areas[each["name"]] = (*corner, width, height)
    shown = (*_in_tab_order(view), *view.outside.values())
    things = {thing: areas[key(thing)] for thing in shown}
    boxes = {f"cluster_{box.identifier}": box for box in plan.boxes}  # from the outside in
    inwards = sorted((name for name in boxes if name in areas), key=areas.__getitem__)
    frames = {boxes[name]: areas[name] for name in inwards}
    # Not every Graphviz answers in the order in which it was asked, but for edges of the same ends.
    ends = [(key(tail), key(head)) for tail, head, _ in told]
    names = {each["_gvid"]: each["name"] for each in found.get("objects", ())}
    asked = sorted(range(len(told)), key=ends.__getitem__)
    lines = (edge for edge in found.get("edges", ()) if edge.get("style") != "invis")
    answered = sorted(lines, key=lambda edge: (names[edge["tail"]], names[edge["head"]]))
    paths = {}
    for place, edge in zip(asked, answered, strict=True):
        points = [tuple(map(float, point.split(","))) for point in edge["pos"].split()]
        start, *rest = [f"{x - left:.0f},{top - y:.0f}" for x, y in points]
        paths[told[place]] = f"M{start}C{' '.join(rest)}"
    edges = [
        (link, paths.get(link) or _above(things[link[0]], things[link[1]], lanes[link[0]]))
        for link in view.edges
    ]
    return Layout(view, round(right - left), round(top - bottom), things, frames, edges)


def _above(tail: Area, head: Area, lane: int) -> str:
    """The path of an edge that Graphviz was not told of: up behind the rank of its tail, over the
    picture, and down before that of its head. Edges from one tail share a lane."""
    aside = 8 + 5 * (lane % 9)
    start, end = tail[0] + tail[2], head[0]
    return (
        f"M{start},{tail[1] + tail[3] // 2}H{start + aside}V{lane * LANE}"
        f"H{end - aside}V{head[1] + head[3] // 2}H{end}"
    )
