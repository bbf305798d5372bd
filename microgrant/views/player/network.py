"""The network of a page as SVG: one more view of the step, which the same script paints.

With this module you can

- draw the network of a step:                 network_picture(plan, columns, moment(step, 12))
- say what the script has to know about it:   network_data(columns, view=4)
"""

from __future__ import annotations

from html import escape
from typing import Any

from ...ops.numbers import number
from ..columns import Area, Caption, Columns, thickness
from ..network import Line
from .svg import Moment, escaped
from .views import Plan, middle_out

__all__ = ["network_data", "network_picture", "size_of"]

# Where the texts of a circle stand, of one that is compact, and of a cell in a grid.
CIRCLE = {"name": (54, 28), "data": (54, 56), "grad": (54, 77), "bias": (54, 95)}
PILL = {"name": (16, 19), "data": (170, 20), "grad": (170, 38), "bias": (16, 36)}
CELL = {"data": (35, 21), "grad": (35, 39)}
LEGEND = 46  # its height, below the network
LONG = 8  # characters; a longer number is written smaller


def network_picture(plan: Plan, columns: Columns, now: Moment) -> str:
    """The network as it is at a moment: lines, above them what they join, above that the rings."""
    content = [
        *(_link(*link) for link in columns.links),
        *(_line(columns, line, now) for line in columns.lines),
        *(_unit(plan, columns, place, now) for place in sorted(columns.areas)),
        *(_more(area, hidden) for area, hidden in columns.more),
        *map(_caption, columns.captions),
        _legend(columns) if any(line.weight is not None for line in columns.lines) else "",
        '<rect class="ring source"/><rect class="ring active"/><text class="flow"></text>',
    ]
    return f'<g class="view network{" compact" * columns.compact}">{"".join(content)}</g>'


def network_data(columns: Columns, view: int) -> dict[str, Any]:
    """What the script needs to know: which view it is, how thick lines are, where values are."""
    stands = columns.network.stands | {place: place for place in columns.areas}
    places = range(len(columns.network.graph.order))
    return {
        "view": view,
        "thickest": columns.thickest,
        "stands": [stands.get(place, -1) for place in places],
    }


def size_of(columns: Columns) -> dict[str, int]:
    """The size of the picture, with its legend."""
    return {"width": round(columns.width), "height": round(columns.height) + LEGEND}


def _unit(plan: Plan, columns: Columns, place: int, now: Moment) -> str:
    """A neuron, or a pixel, or a weight in a filter."""
    node, value, gradient = plan.step.nodes[place], now.values[place], now.gradients[place]
    neuron = None if place in columns.cells else columns.network.neurons[place]
    texts = {"data": "" if value is None else number(value)}
    texts["grad"] = "–" if gradient is None else number(gradient)
    spots, kind = CELL, "cell"
    if neuron:
        spots, kind = PILL if columns.compact else CIRCLE, "neuron"
        given = plan.graph.order[place] in plan.graph.given and not node.constant
        texts["name"] = neuron.sign or middle_out(plan.labels[place], 12) * given
        if neuron.bias is not None:
            bias = now.values[neuron.bias]
            texts["bias"] = "" if bias is None else f"b {number(bias)}"
    kind += " constant" if node.constant else " leaf" if not node.operation else ""
    kind += " tiny" * (place in columns.tiny) + " waiting" * (value is None)
    x, y, width, height = map(round, columns.areas[place])
    size = f'width="{width}" height="{height}" rx="{height // 2 if neuron else 0}"'
    shade = f'class="shade{" negative" * ((value or 0) < 0)}" opacity="{_depth(value or 0):.3f}"'
    title = ".".join(box.name for box in plan.graph.paths[place] if box.name)
    name = title if title and node.operation else plan.names[place]
    label = (
        f"{name}: value {texts['data'] or 'not computed yet'}, "
        f"gradient {'not reached yet' if gradient is None else texts['grad']}"
    )
    return (
        f'<g class="unit {kind}" data-node="{place}" data-name="{escaped(name)}" '
        f'aria-label="{escaped(label)}" transform="translate({x} {y})">'
        f'<rect class="body" {size}/><rect {shade} {size}/>'
        + "".join(_text(each, text, spots[each]) for each, text in texts.items())
        + "</g>"
    ).replace('class="bias"', f'class="bias" data-bias="{neuron.bias if neuron else ""}"')


def _text(kind: str, text: str, spot: tuple[int, int]) -> str:
    long = " long" * (kind in ("data", "grad") and len(text) > LONG)
    return f'<text class="{kind}{long}" x="{spot[0]}" y="{spot[1]}">{escaped(text)}</text>'


def _depth(value: float) -> float:
    """How dark a number is shown: it grows with its size, and what is written on it can be read."""
    return 0.3 * (thickness(value, 2) - 1)


def _line(columns: Columns, line: Line, now: Moment) -> str:
    """The path of a weight; of one neuron that another is computed from without one, a thin one."""
    (x, y), *rest = columns.path(line)
    path = f"M{x:.0f} {y:.0f}{'C' if len(rest) > 1 else 'L'}"
    path += " ".join(f"{x:.0f} {y:.0f}" for x, y in rest)
    kind, weight = "line", ""
    thick = 1.5
    if line.weight is not None:
        value = now.values[line.weight] or 0.0
        kind += " weight" + " negative" * (value < 0)
        weight, thick = f' data-weight="{line.weight}"', thickness(value, columns.thickest)
    ends = f'data-from="n{line.tail}" data-to="n{line.head}"{weight}'
    return f'<path class="{kind}" {ends} stroke-width="{thick:.2f}" d="{path}"/>'


def _link(tail: Area, head: Area) -> str:
    """Between a channel of an image and a filter: from side to side."""
    x0, y0 = tail.x + tail.width + 6, tail.middle[1]
    x1, y1 = head.x - 6, head.middle[1]
    return f'<path class="link" d="M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}"/>'


def _more(area: Area, hidden: list[int]) -> str:
    """What stands for neurons that are left out."""
    x, y, width, height = map(round, area)
    middle = f'x="{width // 2}" y="{height // 2 + 6}"'
    return (
        f'<g class="unit more" data-more="{" ".join(map(str, hidden))}" '
        f'transform="translate({x} {y})">'
        f'<rect class="body" width="{width}" height="{height}" rx="{height // 2}"/>'
        f"<text {middle}>… {len(hidden):,} more</text></g>"
    )


def _caption(caption: Caption) -> str:
    x, y, text, kind = caption
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escaped(text)}</text>'


def _legend(columns: Columns) -> str:
    """How the sign of a weight is drawn."""
    y = round(columns.height) + LEGEND - 12
    samples = (("positive", "", 0), ("negative", " negative", 130))
    words = "".join(
        f'<path class="sample weight{kind}" stroke-width="5" d="M{x} {y - 5}h44"/>'
        f'<text class="legend" x="{x + 52}" y="{y}">{escape(word)}</text>'
        for word, kind, x in samples
    )
    return f'{words}<text class="legend" x="262" y="{y}">weights; thicker is larger; b: bias</text>'
