"""A network as a drawing: for each value or weight, what Graphviz is told of it.

With this module you can

- draw a network:    drawing_of(columns_of(network), THEMES["light"], "svg").write("network.svg")
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from ..engine.value import NO_GRADIENT, Value
from ..ops.numbers import number
from .columns import Area, Columns, thickness
from .network import Line
from .style import in_attribute, in_label

if TYPE_CHECKING:
    from .rendering import Drawing
else:  # a forward reference, for `typing.get_type_hints`: an import would bring in graphviz
    import importlib  # noqa: F401

    Drawing = "importlib.import_module('microgrant.views.rendering').Drawing"

__all__ = ["drawing_of"]

# Everything stands where it is told to, in points, and lines go behind what they join.
LAYOUT = {"layout": "neato", "inputscale": "72", "splines": "line"}
LAYOUT |= {"outputorder": "edgesfirst", "pad": "0.2"}
LONG = 8  # characters; a longer number is written smaller
LEGEND = 46  # how far below the network


def drawing_of(columns: Columns, colours: Mapping[str, str], format: str) -> Drawing:
    """The drawing of a network that has been laid out."""
    return _Diagram(columns, colours, format).picture


class _Diagram:
    def __init__(self, columns: Columns, colours: Mapping[str, str], format: str) -> None:
        from .rendering import Drawing

        self.columns, self.colours, self.graph = columns, colours, columns.network.graph
        self.picture = Drawing("network", format=format)
        text = {"fontname": "Helvetica", "fontcolor": colours["text"], "color": colours["line"]}
        self.picture.attr("graph", bgcolor=colours["background"], tooltip="a network", **LAYOUT)
        self.picture.attr("node", fixedsize="shape", **text)
        self.picture.attr("edge", dir="none", **text)
        for place, area in sorted(columns.areas.items()):
            self._unit(place, area)
        for count, (area, hidden) in enumerate(columns.more):
            look = {"shape": "box", "style": "rounded,dotted", "label": f"… {len(hidden):,} more"}
            self._node(f"more{count}", area, **look)
        for count, (tail, head) in enumerate(columns.links):
            self._stroke(f"link{count}", _sides(tail, head), style="dotted")
        for line in columns.lines:
            self._line(line)
        for count, (x, y, words, kind) in enumerate(columns.captions):
            size = "20" if kind == "step" else "15"
            self._words(f"caption{count}", x, y - 5, words, size)
        if any(line.weight is not None for line in columns.lines):
            self._legend()

    # --- What stands there ------------------------------------------------------------------------

    def _node(self, name: str, area: Area, **attributes: str) -> None:
        (x, y), size = area.middle, {"width": area.width / 72, "height": area.height / 72}
        sizes = {side: f"{inches:.3f}" for side, inches in size.items()}
        self.picture.node(name, pos=f"{x:.1f},{-y:.1f}!", **sizes, **attributes)

    def _unit(self, place: int, area: Area) -> None:
        """A neuron, or a pixel, or a weight in a filter."""
        colours, columns, value = self.colours, self.columns, self.graph.order[place]
        cell, leaf = place in columns.cells, value.operation is None
        look = {"shape": "circle", "style": "filled", "label": self._label(place)}
        if cell or columns.compact:
            look |= {"shape": "box", "style": "filled" if cell else "filled,rounded"}
        look["fillcolor"] = colours["leaf" if leaf else "node"]
        tooltip = f"{self._name(place)}: {_told(value)}"
        kind = {"id": f"n{place}", "class": "cell" if cell else "neuron"}
        self._node(f"n{place}", area, tooltip=in_attribute(tooltip), **look, **kind)

    def _name(self, place: int) -> str:
        path = ".".join(box.name for box in self.graph.paths[place] if box.name)
        value = self.graph.order[place]
        return path if path and value.operation else self.graph.called[value]

    def _label(self, place: int) -> str:
        """Lines of text: a name or the activation, the value, the gradient, the bias."""
        colours, columns, value = self.colours, self.columns, self.graph.order[place]
        if place in columns.tiny:
            return ""
        data, gradient = number(value.data), _gradient(value)
        sizes = (13, 11) if place in columns.cells else (16, 14) if columns.compact else (18, 15)
        data, gradient = (
            _font(text, colours[kind], size - 4 * (len(text) > LONG))
            for text, kind, size in zip((data, gradient), ("value", "gradient"), sizes, strict=True)
        )
        if place in columns.cells:
            return _rows([data], [gradient])
        neuron, name = columns.network.neurons[place], ""
        if value in self.graph.given and not value._constant:
            name = self.graph.short(place, len(self.graph.paths[place]))
        name = _font(neuron.sign or name[:12], colours["text"], 13)
        bias = "" if neuron.bias is None else number(self.graph.order[neuron.bias].data)
        bias = _font(f"b {bias}" * bool(bias), colours["quiet"], 12)
        if columns.compact:
            return _rows([name, data], [bias, gradient])
        return _rows([name], [data], [gradient], [bias])

    def _words(self, name: str, x: float, y: float, words: str, size: str) -> None:
        area = Area(x - 6 * len(words), y - 13, 12 * len(words), 26)
        look = {
            "shape": "plaintext",
            "margin": "0",
            "fontsize": size,
            "fontcolor": self.colours["quiet"],
        }
        self._node(name, area, label=f"<{in_label(words)}>", **look)

    # --- Lines ------------------------------------------------------------------------------------

    def _stroke(self, name: str, points: list[tuple[float, float]], **attributes: str) -> None:
        """A line over some points, which are nodes that cannot be seen."""
        names = [f"{name}-{count}" for count in range(len(points))]
        for each, (x, y) in zip(names, points, strict=True):
            self._node(each, Area(x, y, 0.1, 0.1), shape="point", style="invis")
        for tail, head in pairwise(names):
            self.picture.edge(tail, head, **attributes)

    def _line(self, line: Line) -> None:
        weight = None if line.weight is None else self.graph.order[line.weight]
        look = {"id": f"n{line.tail}-n{line.head}"}
        for end, port in ((line.tail, "tailport"), (line.head, "headport")):
            if end in self.columns.cells or self.columns.compact:
                look[port] = "e" if end == line.tail else "w"
        if weight is not None:
            name = self.graph.called[weight]
            look |= {"tooltip": in_attribute(f"{name}: {_told(weight)}"), "class": "weight"}
            look |= self._weighed(weight.data)
        path = self.columns.path(line)
        if len(path) > 2:
            self._stroke(
                f"n{line.tail}-n{line.head}",
                path,
                **{**look, "id": "", "tailport": "", "headport": ""},
            )
        else:
            self.picture.edge(f"n{line.tail}", f"n{line.head}", **look)

    def _weighed(self, weight: float, thick: float | None = None) -> dict[str, str]:
        """How a weight is drawn: thick if it is large, dashed if it is negative."""
        thick = thickness(weight, self.columns.thickest) if thick is None else thick
        negative = weight < 0
        return {
            "penwidth": f"{thick:.2f}",
            "style": "dashed" if negative else "solid",
            "color": self.colours["text" if negative else "value"],
        }

    def _legend(self) -> None:
        y = self.columns.height + LEGEND - 16
        for x, weight, words in ((0, 1.0, "positive"), (130, -1.0, "negative")):
            self._stroke(f"legend{x}", [(x, y), (x + 44.0, y)], **self._weighed(weight, 5))
            self._words(f"words{x}", x + 84, y, words, "15")
        self._words("words", 395, y, "weights; thicker is larger; b: bias", "15")


def _sides(tail: Area, head: Area) -> list[tuple[float, float]]:
    """From the right of one thing to the left of another."""
    return [(tail.x + tail.width + 6, tail.middle[1]), (head.x - 6, head.middle[1])]


def _gradient(value: Value) -> str:
    return "–" if value.grad is NO_GRADIENT else number(value.grad)


def _told(value: Value) -> str:
    """All digits, for a tooltip."""
    gradient = "not reached yet" if value.grad is NO_GRADIENT else repr(value.grad)
    return f"data = {value.data!r}, grad = {gradient}"


def _font(text: str, colour: str, size: int) -> str:
    return f'<FONT COLOR="{colour}" POINT-SIZE="{size}">{in_label(text)}</FONT>' if text else ""


def _rows(*rows: list[str]) -> str:
    """A table like HTML; the last of two in a row stands on the right."""
    cells = (
        "".join(
            f'<TD ALIGN="{"RIGHT" if count else "CENTER" if len(row) == 1 else "LEFT"}">{x}</TD>'
            for count, x in enumerate(row)
        )
        for row in rows
    )
    inside = "".join(f"<TR>{row}</TR>" for row in cells)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{inside}</TABLE>>'
