"""The pictures of a page: each view as SVG, with the numbers of the finished step.

With this module you can

- draw a view where Graphviz has put it:    picture(plan, layout, gradients)
- write a text of the user's into a page:   escaped("a < b")
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from ...ops.numbers import number
from ..graph import Box, Link, counted
from ..style import clean
from .layout import Area, Layout
from .views import Plan, key, middle_out, shortened

__all__ = ["escaped", "picture"]


def picture(plan: Plan, layout: Layout, gradients: Sequence[float | None]) -> str:
    """A view as SVG; the script of the page will fill in other numbers.

    gradients: those of all values of the step; None where the backward pass has not been.
    """
    content = [_frame(box, area) for box, area in layout.frames.items()]
    outside = set(layout.view.outside.values())
    for thing, area in layout.things.items():
        stub = " stub" if thing in outside else ""
        if isinstance(thing, Box):
            content.append(_folded(thing, area, stub))
        else:
            content.append(_node(plan, thing, area, stub, gradients[thing]))
    content += ['<rect class="ring source"/><rect class="ring active"/>']
    content += [_wire(link, path) for link, path in layout.edges]
    return f'<g class="view">{"".join(content)}<text class="flow"></text></g>'


def escaped(text: str) -> str:
    """A text of the user's, as it can stand in HTML.

    >>> escaped("a < b")
    'a &lt; b'
    """
    return html.escape(clean(text))


def _node(plan: Plan, place: int, area: Area, stub: str, gradient: float | None) -> str:
    node = plan.step.nodes[place]
    x, y, width, height = area
    name = "constant" if node.constant else plan.labels[place]
    value, reached = number(node.value), "–" if gradient is None else number(gradient)
    corner = 8 if node.operation else 2
    symbol = f'<text class="sign" x="{width - 10}" y="21">{escaped(plan.signs[place])}</text>'
    kind = "constant" if node.constant else "node" if node.operation else "leaf"
    label = f"{plan.names[place]}: value {value}, gradient {reached}"
    return (
        f'<g class="value {kind}{stub}" data-node="{place}" tabindex="0" role="button" '
        f'aria-label="{escaped(label)}" transform="translate({x} {y})">'
        f'<rect class="body" width="{width}" height="{height}" rx="{corner}"/>'
        f'<text class="name" x="10" y="21">{escaped(name)}</text>{symbol if node.symbol else ""}'
        f'<text class="word" x="10" y="45">data</text><text class="word" x="10" y="68">grad'
        f'</text><text class="data" x="{width - 10}" y="46">{value}</text>'
        f'<text class="grad" x="{width - 10}" y="69">{reached}</text></g>'
    )


def _wire(link: Link, path: str) -> str:
    """An edge between values has the identifier of its use, one between boxes has its ends."""
    tail, head, use = link
    if use is None:
        ends = f'data-from="{key(tail)}" data-to="{key(head)}"'
    else:
        ends = f'data-use="{head}-{use}"'
    return f'<path class="edge" {ends} d="{path}"/>'


def _frame(box: Box, area: Area) -> str:
    """An open box: its frame, and a title that folds it."""
    x, y, width, height = area
    return (
        f'<g class="frame" transform="translate({x} {y})">'
        f'<rect width="{width}" height="{height}" rx="10"/>'
        f'<text data-fold="{box.identifier}" tabindex="0" role="button" x="12" y="20" '
        f'aria-label="fold {escaped(box.title)}">{escaped(shortened(box.title, 60))}</text></g>'
    )


def _folded(box: Box, area: Area, stub: str) -> str:
    x, y, width, height = area
    inside = f"{counted(box.values, 'value')} inside"
    return (
        f'<g class="box{stub}" data-box="{box.identifier}" tabindex="0" role="button" '
        f'aria-label="open {escaped(box.title)}: {inside}" transform="translate({x} {y})">'
        f'<rect class="body" width="{width}" height="{height}" rx="10"/>'
        f'<text class="name" x="14" y="25">{escaped(middle_out(box.name or "module", 40))}</text>'
        f'<text class="word" x="14" y="47">{escaped(shortened(box.summary, 48))}</text>'
        f'<text class="word inside" x="14" y="68">{inside}</text></g>'
    )
