"""Draw the graph of a step: values, gradients, and what flowed along each edge.

With this module you can

- draw a graph:                                  draw(loss)
- name values after your variables:              draw(loss, names=locals())
- write the picture:                             draw(loss).write("step.svg")
- draw it as the circuit diagrams of CS231n do:  draw(loss, style="circuit")
- fold modules into boxes, or open them all:     draw(loss, collapse=True), collapse=False

Blue numbers are values, vermillion numbers gradients; a dash is a gradient that no backward pass
has reached, which is not the same as 0. After `backward`, an edge carries the local derivative
times the gradient that came from above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..engine.conditions import Choice
from ..engine.value import NO_GRADIENT, Value, topological_order
from ..ops.words import number, spell
from .events import given_names, name_values, names_of, order_of, record, rules_of, term_of

if TYPE_CHECKING:
    from ..nn import ModuleCall
    from .rendering import Drawing

__all__ = ["COLLAPSE_ABOVE", "THEMES", "draw"]

COLLAPSE_ABOVE = 60  # more values than a picture can show at a readable size
TABLE_LIMIT = 200

THEMES: dict[str, dict[str, str]] = {
    "light": {
        "background": "#FFFFFF",
        "node": "#FFFFFF",
        "leaf": "#F2F5F8",
        "cluster": "#F8F8F5",
        "line": "#5B6570",
        "text": "#1A1A1A",
        "quiet": "#5B6570",
        "value": "#005A9C",
        "gradient": "#A63D00",
    },
    "dark": {
        "background": "#14181C",
        "node": "#1D2329",
        "leaf": "#262E36",
        "cluster": "#1A1F24",
        "line": "#9AA5B1",
        "text": "#F2F2F2",
        "quiet": "#AAB4BE",
        "value": "#56B4E9",
        "gradient": "#E69F00",
    },
}
"""Colours that a colour-blind viewer tells apart. Each has its place too, above or below."""


def draw(
    root: Value,
    names: Mapping[str, Any] | None = None,
    *,
    style: str = "node",
    theme: str = "light",
    rankdir: str = "LR",
    collapse: bool | int | None = None,
    limit: int = 1000,
    format: str = "svg",
) -> Drawing:
    """A picture of everything that `root` was computed from, as a `graphviz.Digraph`.

    names: variables and what they hold, such as ``locals()``, for Values without a label.
    style: "node" puts value and gradient into the node of the operation; "circuit" writes values
        above the wires and gradients below them, as the diagrams of Stanford's CS231n do
        (https://cs231n.github.io/optimization-2/).
    theme: "light" or "dark".
    rankdir: the direction of the forward pass: "LR" (to the right), "TB" (down), "RL" or "BT".
    collapse: how many levels of modules are open: False for all, True for none, a number for so
        many; None opens as many as fit into a picture of about 60 values.
    limit: the largest number of values shown; a ValueError says what to do beyond it.
    format: what `render` and `pipe` make unless they are told: "svg", "png" or "pdf".

    >>> a = Value(3.0, label="a")
    >>> b = (a * a).relu()
    >>> b.backward()
    >>> picture = draw(b)
    >>> "ReLU" in picture.source and "3 × 1" in picture.source  # local derivative × upstream
    True
    """
    if not isinstance(root, Value):
        raise TypeError(f"draw needs a Value, but got {type(root).__name__}: draw one output")
    for name, given, known in (
        ("style", style, ("node", "circuit")),
        ("theme", theme, tuple(THEMES)),
        ("rankdir", rankdir, ("LR", "TB", "RL", "BT")),
    ):
        if given not in known:
            raise ValueError(f"{name} is one of {', '.join(known)}, but got {given!r}")
    if collapse is not None and not isinstance(collapse, int):
        raise TypeError(
            f"collapse is True, False, None or a number of levels, but got {collapse!r}"
        )
    picture = _Picture(root, names, THEMES[theme], collapse)
    if len(picture.shown) > limit:
        raise ValueError(
            f"the picture would show {len(picture.shown):,} values, more than limit={limit:,}: "
            "draw one example rather than a batch, or fold modules with collapse=True"
        )
    return picture.drawing(style, rankdir, format)


@dataclass
class _Group:
    """One call of a module in the picture: a cluster, or a box if it is collapsed."""

    identifier: str
    name: str
    summary: str
    values: int = 0
    members: list[int] = field(default_factory=list)
    groups: dict[int, _Group] = field(default_factory=dict)
    collapsed: bool = False


class _Picture:
    """What is to be drawn, and where: the graph, its names, and its modules."""

    def __init__(
        self,
        root: Value,
        names: Mapping[str, Any] | None,
        colours: Mapping[str, str],
        collapse: bool | int | None,
    ) -> None:
        self.order = order_of(root)
        self.colours = colours
        self.paths = module_paths(self.order)
        depth = _open_levels(self.order, self.paths, collapse)
        self.top = _Group("", "", "")
        self.box_of: dict[int, _Group] = {}  # places inside of a collapsed module
        counter = 0
        self.paths[-1] = self.paths[-1][:depth]  # the root is never hidden in a box
        for place, path in enumerate(self.paths):
            group = self.top
            group.values += 1
            for level, call in enumerate(path):
                if id(call) not in group.groups:
                    outer = path[level - 1] if level else None
                    name, summary = call_name(call, outer)
                    group.groups[id(call)] = _Group(f"m{counter}", name, summary)
                    counter += 1
                group = group.groups[id(call)]
                group.values += 1
                if level >= depth:
                    group.collapsed = True
                    self.box_of[place] = group
                    break
            else:
                group.members.append(place)
        self.shown = [place for place in range(len(self.order)) if place not in self.box_of]
        self.hidden = len(self.order) - len(self.shown)
        self.names = names
        self.all_names, self.parameter_paths = parameter_names(self.paths, names)
        self.given = given_names(self.order, self.all_names)
        self.called = name_values(self.order, self.all_names)

    def drawing(self, style: str, rankdir: str, format: str) -> Drawing:
        from .rendering import Drawing

        small = len(self.order) <= TABLE_LIMIT
        table = str(record(self.order[-1], self.all_names)) if small else self._size()
        line, text = self.colours["line"], self.colours["text"]
        picture = Drawing("step", format=format, table=table)
        picture.attr(
            "graph",
            rankdir=rankdir,
            bgcolor=self.colours["background"],
            fontname="Helvetica",
            fontcolor=text,
            nodesep="0.25",
            ranksep="0.5",
            pad="0.2",
            ordering="in",  # the left operand stays on the left
            tooltip=self._size(),
        )
        if len(self.shown) > 100:  # curves and exact ranks would take minutes from here on
            picture.attr("graph", splines="line", nslimit="1", nslimit1="1")
        font = {"fontname": "Helvetica", "fontsize": "14", "fontcolor": text, "color": line}
        picture.attr("node", shape="plain", **font)
        picture.attr("edge", **(font | {"fontsize": "11", "arrowsize": "0.7"}))
        if self.hidden:
            note = f"{self.hidden:,} of {len(self.order):,} values are inside of boxes"
            picture.attr("graph", label=note, labelloc="b", fontsize="12")
        nodes = self._circuit_node if style == "circuit" else self._node
        self._group(picture, self.top, nodes)
        edges = self._circuit_edges() if style == "circuit" else self._edges()
        for tail, head, attributes in edges:
            picture.edge(tail, head, **attributes)
        return picture

    def _size(self) -> str:
        count = len(self.order)
        return f"a graph of {count:,} value{'s' * (count != 1)}"

    # --- Modules ----------------------------------------------------------------------------------

    def _group(self, picture: Any, group: _Group, node: Any) -> None:
        for place in group.members:
            node(picture, place)
        for inner in reversed(group.groups.values()):  # dot stacks them from the bottom
            title = " · ".join(filter(None, (inner.name, inner.summary)))
            if inner.collapsed:
                self._box(picture, inner, title)
                continue
            with picture.subgraph(name=f"cluster_{inner.identifier}") as cluster:
                cluster.attr(
                    label=_html(title),
                    labelloc="t",
                    id=inner.identifier,
                    **{"class": "module"},
                    style="rounded,filled",
                    color=self.colours["line"],
                    fillcolor=self.colours["cluster"],
                    fontname="Helvetica",
                    fontsize="12",
                    tooltip=_plain(title),
                )
                self._group(cluster, inner, node)

    def _box(self, picture: Any, group: _Group, title: str) -> None:
        inside = f"{group.values:,} value{'s' * (group.values != 1)} inside"
        rows = _cell(title, self.colours["text"], bold=True) + _cell(inside, self.colours["quiet"])
        picture.node(
            group.identifier,
            label=_table(rows, self.colours["line"], self.colours["cluster"], border=2, padding=5),
            id=group.identifier,
            tooltip=_plain(f"{title}: {inside}"),
            **{"class": "module collapsed"},
        )

    # --- Value and gradient in the node of the operation ------------------------------------------

    def _node(self, picture: Any, place: int) -> None:
        value, colours = self.order[place], self.colours
        name, symbol = self._label(place), sign(value._op)
        title = _font(name, colours["text"], bold=True) if name else ""
        if symbol:  # bold where it is all there is, quiet beside a name
            title += (
                f" {_font(symbol, colours['quiet'])}"
                if name
                else _font(symbol, colours["text"], bold=True)
            )
        shown = f'<TR><TD COLSPAN="2">{title}</TD></TR>' if title else ""
        shown += _pair("data", number(value.data), colours["quiet"], colours["value"])
        shown += _pair("grad", _gradient(value), colours["quiet"], colours["gradient"])
        leaf = value.operation is None
        picture.node(
            f"n{place}",
            label=_table(shown, colours["line"], colours["leaf" if leaf else "node"], not leaf),
            id=f"n{place}",
            tooltip=self._tooltip(place),
            **{"class": self._class(place)},
        )

    def _label(self, place: int) -> str:
        """The name to show: those that we make up, such as v1, would say nothing in a picture."""
        value, name = self.order[place], self.called[self.order[place]]
        if value not in self.given:
            return ""
        path = self.paths[place]
        return shortened(self.parameter_paths.get(name, name), path) if path else name

    def _tooltip(self, place: int) -> str:
        value, name = self.order[place], self.called[self.order[place]]
        gradient = repr(float(value.grad)) if _reached(value) else "not reached yet"
        if isinstance(value.operation, Choice):  # its node does not show what it chose between
            name += f" = {spell(term_of(value, names_of(self.called)))}"
        return _plain(f"{name}: data = {value.data!r}, grad = {gradient}")

    def _class(self, place: int) -> str:
        operation = self.order[place].operation
        return "value leaf" if operation is None else f"value {operation.name}"

    def _edges(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        for tail, head, place in self._uses():
            if place is None:
                yield tail, head, {"class": "operand"}
                continue
            attributes = self._edge_attributes(head, place)
            if local_times_upstream := self._flow(head, place):
                attributes["label"] = f" {local_times_upstream} "
                attributes["fontcolor"] = self.colours["gradient"]
            yield tail, head, attributes

    def _uses(self) -> Iterator[tuple[str, str, int | None]]:
        """The edges: one for each use of a value, or one in all between a box and its neighbour."""
        places = {value: place for place, value in enumerate(self.order)}
        drawn: set[tuple[str, str]] = set()
        for place, value in enumerate(self.order):
            for use, operand in enumerate(value._prev):
                tail, head = self._place_name(places[operand]), self._place_name(place)
                if tail[0] == head[0] == "n":
                    yield tail, head, use
                elif tail != head and (tail, head) not in drawn:
                    drawn.add((tail, head))
                    yield tail, head, None

    def _place_name(self, place: int) -> str:
        return self.box_of[place].identifier if place in self.box_of else f"n{place}"

    def _flow(self, head: str, use: int) -> str:
        """Local derivative × upstream, once backward has been there."""
        result = self.order[int(head[1:])]
        if not _reached(result):
            return ""
        return f"{number(result.partials[use])} × {number(result.grad)}"

    def _edge_attributes(self, head: str, use: int) -> dict[str, str]:
        result = self.order[int(head[1:])]
        out, operand = self.called[result], self.called[result._prev[use]]
        local = result.partials[use]
        words = f"∂{out}/∂{operand} = {rules_of(result, self.called)[use]}"
        if words.rpartition(" = ")[2] != number(local):
            words += f" = {number(local)}"
        if _reached(result):
            words += (
                f"; × upstream {number(result.grad)} = contribution {number(local * result.grad)}"
            )
        return {"id": f"{head}-{use}", "class": "operand", "tooltip": _plain(words)}

    # --- Values above the wires, gradients below --------------------------------------------------

    def _circuit_node(self, picture: Any, place: int) -> None:
        value, colours = self.order[place], self.colours
        name, symbol = self._label(place), value._op
        above = f"<TR><TD>{_font(number(value.data), colours['value'])}</TD></TR>"
        below = f"<TR><TD>{_font(_gradient(value), colours['gradient'])}</TD></TR>"
        wire = (
            f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2" '
            f'COLOR="{colours["line"]}">{above}<HR/>{below}</TABLE>'
        )
        title = f"{_font(name, colours['text'], bold=True)}" if name else ""
        label = (
            f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2"><TR>'
            f"<TD>{title}</TD><TD>{wire}</TD></TR></TABLE>"
            if title
            else wire
        )
        picture.node(
            f"n{place}",
            label=f"<{label}>",
            id=f"n{place}",
            tooltip=self._tooltip(place),
            **{"class": self._class(place)},
        )
        if symbol:
            picture.node(
                f"o{place}",
                label=_html(sign(symbol)),
                shape="circle",
                style="filled",
                fillcolor=colours["node"],
                margin="0.03",
                width="0.45",
                tooltip=self._tooltip(place),
                **{"class": "operation"},
            )
            picture.edge(f"o{place}", f"n{place}", dir="none", **{"class": "wire"})

    def _circuit_edges(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        for tail, head, use in self._uses():
            goal = f"o{head[1:]}" if head[0] == "n" else head
            yield (
                tail,
                goal,
                {"class": "operand"} if use is None else self._edge_attributes(head, use),
            )


# --- Which module a value belongs to --------------------------------------------------------------


def module_paths(order: Sequence[Value]) -> list[tuple[ModuleCall, ...]]:
    """For each value the calls of modules around it, from the outside in.

    Found backwards from the outputs of calls: what an output was computed from is inside of the
    call, up to the inputs of that call. What several calls use is in what they have in common.
    """
    paths: dict[Value, tuple[ModuleCall, ...]] = {}
    inputs: dict[int, set[int]] = {}
    for value in reversed(order):
        around = paths.get(value, ())
        returned_by = reversed(getattr(value, "_scope", ()))
        paths[value] = path = (*around, *(call for call in returned_by if call not in around))
        for call in path:
            if id(call) not in inputs:
                inputs[id(call)] = set(map(id, call.inputs))
        for operand in value._prev:
            outside = tuple(call for call in path if id(operand) not in inputs[id(call)])
            known = paths.get(operand)
            paths[operand] = outside if known is None else common(known, outside)
    return [paths[value] for value in order]


def parameter_names(
    paths: Sequence[Sequence[ModuleCall]], names: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The caller's names, then those of parameters in the modules called; and what the latter are
    called by their own model."""
    found: dict[str, Any] = dict(names or {})
    own: dict[str, str] = {}
    seen: set[int] = set()
    for path in paths:
        module = path[0].module() if path else None
        if module is not None and id(module) not in seen:
            seen.add(id(module))
            for name, parameter in module.named_parameters():
                unique = name
                while unique in found and found[unique] is not parameter:
                    unique += "′"  # two models may both have a layers[0]
                found[unique] = parameter
                own[unique] = name
    return found, own


def shortened(name: str, path: Sequence[ModuleCall]) -> str:
    """The name of a parameter, from where it is drawn: in the cluster of its own neuron, w[1] says
    as much as layers[0].neurons[3].w[1]; in that of a layer, the neuron has to be said."""
    parts = name.split(".")
    return ".".join(parts[min(max(len(path) - 1, 0), len(parts) - 1) :])


def common(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    """What two paths have in common, from their beginning."""
    same = 0
    while same < min(len(a), len(b)) and a[same] is b[same]:
        same += 1
    return a[:same]


def _open_levels(
    order: Sequence[Value], paths: Sequence[Sequence[Any]], collapse: bool | int | None
) -> int:
    """How many levels of modules are drawn open."""
    deepest = max(map(len, paths))
    if collapse is None:
        fitting = (levels for levels in range(deepest, 0, -1) if _fits(order, paths, levels))
        return next(fitting, 0)
    return {False: deepest, True: 0}[collapse] if isinstance(collapse, bool) else collapse


def _fits(order: Sequence[Value], paths: Sequence[Sequence[Any]], levels: int) -> bool:
    """Whether a picture with so many open levels can be read: neither too many things nor edges."""
    shown = {
        value: path[levels] if len(path) > levels else value
        for value, path in zip(order, paths, strict=True)
    }
    things = set(map(id, shown.values()))
    edges = {(id(shown[x]), id(shown[value])) for value in order for x in value._prev}
    return len(things) <= COLLAPSE_ABOVE and len(edges) <= 2 * COLLAPSE_ABOVE


def call_name(call: ModuleCall, outer: ModuleCall | None) -> tuple[str, str]:
    """What a module is called in the module around it, and what it is."""
    module = call.module()
    if module is None:  # the graph has outlived it
        return "", "a module"
    around = outer.module() if outer is not None else None
    children = around.named_modules() if around is not None else ()
    name = next((name for name, child in children if child is module), "")
    count = len(module.parameters())
    return name, f"{module.describe()}, {count:,} parameter{'s' * (count != 1)}"


# --- Words and numbers, escaped -------------------------------------------------------------------

_NOT_TEXT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _plain(text: str) -> str:
    """Text for an attribute such as a tooltip: no control characters, no escapes of Graphviz's."""
    # Graphviz resolves the escapes of a tooltip twice.
    text = _NOT_TEXT.sub("\ufffd", text).replace("&", "&amp;").replace("\\", "\\" * 4)
    return text.replace("\n", " ")


def _escaped(text: str) -> str:
    """Text for an HTML-like label."""
    text = text if len(text) <= 80 else text[:79] + "…"
    text = _NOT_TEXT.sub("\ufffd", text).replace("\\", "\\\\")
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text.replace("\n", "<BR/>") or " "


def _html(text: str) -> str:
    return f"<{_escaped(text)}>"


def _font(text: str, colour: str, bold: bool = False, size: int = 0) -> str:
    inside = f"<B>{_escaped(text)}</B>" if bold else _escaped(text)
    points = f' POINT-SIZE="{size}"' if size else ""
    return f'<FONT COLOR="{colour}"{points}>{inside}</FONT>'


def _cell(text: str, colour: str, bold: bool = False) -> str:
    return f'<TR><TD COLSPAN="2">{_font(text, colour, bold)}</TD></TR>'


def _pair(word: str, amount: str, quiet: str, colour: str) -> str:
    return (
        f'<TR><TD ALIGN="LEFT">{_font(word, quiet, size=11)}</TD>'
        f'<TD ALIGN="RIGHT">{_font(amount, colour)}</TD></TR>'
    )


def _table(
    rows: str, line: str, background: str, rounded: bool = True, border: int = 1, padding: int = 2
) -> str:
    style = ' STYLE="ROUNDED"' if rounded else ""
    return (
        f'<<TABLE BORDER="{border}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="{padding}" '
        f'COLOR="{line}" BGCOLOR="{background}"{style}>{rows}</TABLE>>'
    )


def sign(symbol: str) -> str:
    """An operation's sign in print.

    >>> sign("*"), sign("tanh")
    ('×', 'tanh')
    """
    if symbol.startswith("**") and symbol != "**":  # as exact as micrograd's, which is too long
        return f"^{number(float(symbol[2:]))}"
    return {"*": "×", "-": "−", "neg": "−", "**": "^"}.get(symbol, symbol)


def _reached(value: Value) -> bool:
    """Whether a backward pass has been here; None is how PyTorch sets a gradient back."""
    return value.grad is not NO_GRADIENT and value.grad is not None


def _gradient(value: Value) -> str:
    return number(value.grad) if _reached(value) else "–"


# --- In a notebook --------------------------------------------------------------------------------


def _show_value(value: Value, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """What a notebook shows of a Value: its graph, if that is small."""
    size = len(topological_order(value))
    if size <= COLLAPSE_ABOVE:
        bundle: dict[str, str] = draw(value)._repr_mimebundle_()
        return {"text/plain": repr(value)} | bundle
    advice = "draw(v) draws it with its modules folded, draw(v, collapse=False) in full"
    return {"text/plain": f"{value!r}\na graph of {size:,} values: {advice}"}


# The engine knows nothing of notebooks: what they show is given to it here.
Value._repr_mimebundle_ = _show_value  # type: ignore[attr-defined]
