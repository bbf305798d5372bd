"""The pictures of a step: each view as SVG, in a page or as a file of its own.

With this module you can

- draw a view as it is after a step:        picture(plan, layout, moment(plan.step, 12))
- make a file of it:                        standalone(plan, layout, now, title, "light")
- write a text of the user's into a page:   escaped("a < b")
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise

from ...ops.numbers import number
from ..events import Contribution, Event, Forward, Given, Record, Seed, Update
from ..graph import Box, Link, Thing, counted
from ..style import THEMES, clean
from .layout import Area, Layout
from .views import MOST_OUTPUTS, Plan, key, middle_out, shortened

__all__ = ["LOOK", "MARKERS", "Moment", "escaped", "moment", "picture", "standalone"]
__all__ += ["touched"]

LOOK = files(__package__).joinpath("picture.css").read_text(encoding="utf-8")
"""How pictures look: a style sheet in which colours are variables."""

MARKERS = "".join(
    f'<marker id="tip{name}" class="tip{direction}" viewBox="0 0 10 10" refX="9" refY="5" '
    f'markerWidth="{size}" markerHeight="{size}" markerUnits="userSpaceOnUse" '
    'orient="auto-start-reverse"><path d="M0 1L10 5L0 9z"/></marker>'
    for name, direction, size in (
        ("", "", 11),
        ("-forward", " forward", 17),
        ("-reached", " backward", 11),
        ("-backward", " backward", 19),
    )
)
"""The heads of arrows."""

MARGIN = 20  # around a picture, for rings and the heads of arrows
SAMPLES = 16  # points on each piece of a curve, to measure it


@dataclass(frozen=True)
class Moment:
    """What there is to be seen of a step, at some time.

    values, gradients: of each node; None where there is none yet.
    computed, reached: the nodes whose value or gradient the step has come to.
    passed: the uses, as node and place, along which a gradient has gone back.
    event: what happens; None if all is over.
    wrong: what the gradient should be, of each node where it is complete and, by a mistake, wrong.
    """

    values: list[float | None]
    gradients: list[float | None]
    computed: frozenset[int]
    reached: frozenset[int]
    passed: frozenset[tuple[int, int]]
    event: Event | None
    wrong: Mapping[int, float]


def moment(
    step: Record, count: int, right: Sequence[float | None] | None = None, *, over: bool = False
) -> Moment:
    """What there is to be seen at step number `count` of the page.

    right: what the gradients are without the mistake that the step makes.
    over: whether what happens at that step is over as well.
    """
    happened, coming = step.events[:count], step.events[count:]
    flows = [event for event in happened if isinstance(event, Contribution)]
    seeds = (event.node for event in happened if isinstance(event, Seed))
    pending = {event.operand for event in coming if isinstance(event, Contribution)}
    values, gradients = step.state(count)
    return Moment(
        values,
        gradients,
        frozenset(event.node for event in happened if isinstance(event, Forward)),
        frozenset((*seeds, *(event.operand for event in flows))),
        frozenset((event.node, event.place) for event in flows),
        None if over else happened[-1],
        {
            place: y
            for place, (x, y) in enumerate(zip(gradients, right or gradients, strict=True))
            if not (x is None or y is None or place in pending or _close(x, y))
        },
    )


def touched(event: Event | None) -> tuple[int, ...]:
    """The node that an event writes to, and then the one that a gradient comes from."""
    if isinstance(event, Contribution):
        return event.operand, event.node
    return (event.node,) if isinstance(event, (Forward, Seed, Update)) else ()


def _close(x: float, y: float) -> bool:
    """Whether two numbers agree but for rounding."""
    return x == y or math.isclose(x, y, rel_tol=1e-9) or (x != x and y != y)


def standalone(plan: Plan, layout: Layout, now: Moment, title: str, theme: str) -> str:
    """A view as a file of its own, with its style in it."""
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    # Not every program that shows SVG knows variables.
    style = re.sub(r"var\(--(\w+)\)", lambda found: THEMES[theme][found[1]], LOOK)
    half = "backward" if isinstance(now.event, (Seed, Contribution)) else "forward"
    place = f'x="{-MARGIN}" y="{-MARGIN}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{half}" width="{width}" '
        f'height="{height}" viewBox="{-MARGIN} {-MARGIN} {width} {height}" role="img">'
        f"<title>{escaped(title)}</title><style>{style}</style><defs>{MARKERS}</defs>"
        f'<rect {place} fill="{THEMES[theme]["background"]}"/>'
        f"{picture(plan, layout, now)}</svg>\n"
    )


def picture(plan: Plan, layout: Layout, now: Moment) -> str:
    """A view as SVG, as it is at a moment; the script of a page goes on to others."""
    seen, outside = layout.view.shown | layout.view.outside, set(layout.view.outside.values())
    event = now.event
    active, source, *_ = [*map(seen.get, touched(event)), None, None]
    content = [_frame(box, area) for box, area in layout.frames.items()]
    for thing, area in layout.things.items():
        given = isinstance(event, Given) and thing in event.nodes
        marks = " stub" * (thing in outside) + " active" * (given or thing == active)
        if isinstance(thing, Box):
            content.append(_folded(plan, thing, area, marks, now))
        else:
            content.append(_node(plan, thing, area, marks, now))
    content += [_ring("source", layout.things, source), _ring("active", layout.things, active)]
    flow = '<text class="flow"></text>'
    uses = _uses(plan, layout)
    for link, path in layout.edges:
        (tail, head, use), flows = link, False
        if isinstance(event, Contribution):
            used = (head, use) == (event.node, event.place)
            flows = used if use is not None else tail == active and head == source
        elif isinstance(event, Forward):
            operands = plan.step.nodes[event.node].operands
            into = head == active and tail in map(seen.get, operands)
            flows = head == event.node if use is not None else into
        if flows and isinstance(event, Contribution):
            flow = _label(number(event.contribution), path)
        content.append(_wire(link, path, " active" * flows, now, uses[link]))
    content += [flow, *(_sign(layout.things[x]) for x in now.wrong if x in layout.things)]
    return f'<g class="view">{"".join(content)}</g>'


def escaped(text: str) -> str:
    """A text of the user's, as it can stand in HTML.

    >>> escaped("a < b")
    'a &lt; b'
    """
    return html.escape(clean(text))


def _uses(plan: Plan, layout: Layout) -> dict[Link, list[tuple[int, int]]]:
    """The uses of values that each edge stands for, as node and place."""
    seen = layout.view.shown | layout.view.outside
    uses: dict[Link, list[tuple[int, int]]] = {link: [] for link, _ in layout.edges}
    for place, head in seen.items():
        for use, operand in enumerate(plan.graph.operands[place]):
            tail = seen.get(operand)
            for link in ((tail, head, use), (tail, head, None)):
                if link in uses:
                    uses[link].append((place, use))
    return uses


def _progress(now: Moment, inside: Iterable[int]) -> str:
    """How far the step has come in a box."""
    waiting, reached = now.computed.isdisjoint(inside), not now.reached.isdisjoint(inside)
    return " waiting" * waiting + " reached" * reached


def _node(plan: Plan, place: int, area: Area, marks: str, now: Moment) -> str:
    node, value, gradient = plan.step.nodes[place], now.values[place], now.gradients[place]
    x, y, width, height = area
    name = "constant" if node.constant else plan.labels[place]
    data, grad = (
        "" if value is None else number(value),
        "–" if gradient is None else number(gradient),
    )
    corner = 8 if node.operation else 2
    symbol = f'<text class="sign" x="{width - 10}" y="21">{escaped(plan.signs[place])}</text>'
    kind = "constant" if node.constant else "node" if node.operation else "leaf"
    marks += " waiting" * (value is None) + " reached" * (gradient is not None)
    label = (
        f"{plan.names[place]}: value {data or 'not computed yet'}, "
        f"gradient {'not reached yet' if gradient is None else grad}"
        + (f", which is wrong: it is {number(now.wrong[place])}" if place in now.wrong else "")
    )
    return (
        f'<g class="value {kind}{marks}" data-node="{place}" '
        f'aria-label="{escaped(label)}" transform="translate({x} {y})">'
        f'<rect class="body" width="{width}" height="{height}" rx="{corner}"/>'
        f'<text class="name" x="10" y="21">{escaped(name)}</text>{symbol if node.symbol else ""}'
        f'<text class="word" x="10" y="45">data</text><text class="word" x="10" y="68">grad'
        f'</text><text class="data{_long(data)}" x="{width - 10}" y="46">{data}</text>'
        f'<text class="grad{_long(grad)}" x="{width - 10}" y="69">{grad}</text></g>'
    )


def _long(text: str) -> str:
    return " long" * (len(text) > 8)


def _wire(link: Link, path: str, marks: str, now: Moment, uses: Sequence[tuple[int, int]]) -> str:
    """An edge between values has the identifier of its use, one between boxes has its ends. It
    turns with the first gradient that goes back along it."""
    tail, head, use = link
    ends = f'data-from="{key(tail)}" data-to="{key(head)}"'
    if isinstance(head, int) and use is not None:
        ends = f'data-use="{head}-{use}"'
    marks += " waiting" * all(now.values[node] is None for node, _ in uses)
    marks += " reached" * (not now.passed.isdisjoint(uses))
    return f'<path class="edge{marks}" {ends} d="{path}"/>'


def _ring(kind: str, areas: Mapping[Thing, Area], thing: Thing | None) -> str:
    if thing is None:
        return f'<rect class="ring {kind}"/>'
    x, y, width, height = areas[thing]
    place = f'x="{x - 6}" y="{y - 6}" width="{width + 12}" height="{height + 12}" rx="13"'
    return f'<rect class="ring {kind} shown" {place}/>'


def _sign(area: Area) -> str:
    """The sign at the corner of a node whose gradient is wrong."""
    x, y, width, height = area
    return f'<text class="wrong" x="{x + width + 1}" y="{y + height + 9}">≠</text>'


def _label(text: str, path: str) -> str:
    """A text above the middle of an edge: higher, where the edge is steep and would cross it."""
    before, middle, after = (_along(path, part) for part in (0.45, 0.5, 0.55))
    slope = abs((after - before).imag / ((after - before).real or 1))
    steep, long = slope > 1.5, len(text) > 6
    half = (3.7 if long else 5) * len(text)
    x = middle.real + (12 + half) * steep
    y = middle.imag + (6 if steep else -9 - slope * half)
    return f'<text class="flow{" long" * long}" x="{x:.1f}" y="{y:.1f}">{text}</text>'


def _along(path: str, part: float) -> complex:
    """The point that lies so far along a path, of its length."""
    points = _points(path)
    lengths = [abs(b - a) for a, b in pairwise(points)]
    rest = part * sum(lengths)
    for length, (a, b) in zip(lengths, pairwise(points), strict=True):
        if rest <= length:
            return a + (b - a) * rest / (length or 1)
        rest -= length
    return points[-1]


def _points(path: str) -> list[complex]:
    """Points along a path, close to one another; those of a layout are made of M, C, H and V."""
    points: list[complex] = []
    for command, told in re.findall("([MCHV])([^MCHV]*)", path):
        numbers = [float(each) for each in re.findall(r"-?[\d.]+", told)]
        if command == "H":
            points.append(complex(numbers[0], points[-1].imag))
        elif command == "V":
            points.append(complex(points[-1].real, numbers[0]))
        elif command == "M":
            points.append(complex(*numbers))
        else:
            corners = [complex(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
            for b, c, d in zip(corners[::3], corners[1::3], corners[2::3], strict=True):
                a = points[-1]
                for t in (i / SAMPLES for i in range(1, SAMPLES + 1)):
                    s = 1 - t
                    points.append(s**3 * a + 3 * s * s * t * b + 3 * s * t * t * c + t**3 * d)
    return points


def _frame(box: Box, area: Area) -> str:
    """An open box: its frame, and a title that folds it."""
    x, y, width, height = area
    return (
        f'<g class="frame" transform="translate({x} {y})">'
        f'<rect width="{width}" height="{height}" rx="10"/>'
        f'<text data-fold="{box.identifier}" x="12" y="20" '
        f'aria-label="fold {escaped(box.title)}">{escaped(shortened(box.title, 60))}</text></g>'
    )


def _folded(plan: Plan, box: Box, area: Area, marks: str, now: Moment) -> str:
    """A box with what comes out of it, and the gradients of that."""
    x, y, width, height = area
    marks += _progress(now, plan.inside[box])
    data = _listed(plan.outputs[box], now.values)
    grad = _listed(plan.outputs[box], now.gradients) or "–"
    inside = f"{counted(box.values, 'value')} inside"
    few = " few" * (len(plan.outputs[box]) == 1)
    return (
        f'<g class="box{marks}" data-box="{box.identifier}" '
        f'aria-label="open {escaped(box.title)}: {inside}" transform="translate({x} {y})">'
        f'<rect class="body" width="{width}" height="{height}" rx="10"/>'
        f'<text class="name" x="14" y="24">{escaped(middle_out(box.name or "module", 40))}</text>'
        f'<text class="word" x="14" y="43">{escaped(shortened(box.summary, 48))}</text>'
        f'<text class="word" x="14" y="66">data</text><text class="word" x="14" y="88">grad'
        f'</text><text class="data{few}" x="{width - 12}" y="67">{data}</text>'
        f'<text class="grad{few}" x="{width - 12}" y="89">{grad}</text></g>'
    )


def _listed(places: Sequence[int], numbers: Sequence[float | None]) -> str:
    """The first of the numbers at some places, as many as a box has room for."""
    shown = [numbers[place] for place in places[:MOST_OUTPUTS]]
    if all(x is None for x in shown):
        return ""
    more = ["…"] * (len(places) > MOST_OUTPUTS)
    return ", ".join(["–" if x is None else number(x) for x in shown] + more)
