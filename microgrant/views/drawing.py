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

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..engine.conditions import Choice
from ..engine.value import NO_GRADIENT, Value, topological_order
from ..ops.numbers import number
from .events import record_of
from .graph import COLLAPSE_ABOVE, Box, Boxes, Graph, Thing, open_levels
from .style import THEMES, escaped, plain, sign

if TYPE_CHECKING:
    from graphviz import Digraph

    from .rendering import Drawing

__all__ = ["draw"]

TABLE_LIMIT = 200


def draw(
    root: Value,
    names: Mapping[str, object] | None = None,
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
    picture = _Picture(Graph(root, names), THEMES[theme], collapse)
    if picture.shown > limit:
        raise ValueError(
            f"the picture would show {picture.shown:,} values, more than limit={limit:,}: "
            "draw one example rather than a batch, or fold modules with collapse=True"
        )
    return picture.drawing(style, rankdir, format)


class _Picture:
    """What is to be drawn, and where: the graph, and the boxes of its modules."""

    def __init__(
        self, graph: Graph, colours: Mapping[str, str], collapse: bool | int | None
    ) -> None:
        self.graph, self.colours = graph, colours
        levels = _open_levels(graph, collapse)
        self.around: list[Boxes] = [path[:levels] for path in graph.paths]  # the open ones
        self.folded: dict[int, Box] = {}  # those around places that are not to be seen
        self.members: dict[Box | None, dict[Thing, None]] = {None: {}}  # of open boxes, and of all
        self.identifiers: dict[Box, str] = {}
        for place, path in enumerate(graph.paths[:-1]):
            if len(path) > levels:
                self.folded[place] = path[levels]
            self._add(self.around[place], self._thing(place))
        self._add(self.around[-1], len(graph.order) - 1)  # the root is never hidden in a box
        self.hidden = Counter(self.folded.values())
        self.shown = len(graph.order) - len(self.folded)

    def _add(self, around: Boxes, thing: Thing) -> None:
        things = (*around, thing)
        for box, member in zip((None, *around), things, strict=True):
            self.members.setdefault(box, {})[member] = None
            if isinstance(member, Box):
                self.identifiers.setdefault(member, f"m{len(self.identifiers)}")

    def _thing(self, place: int) -> Thing:
        return self.folded.get(place, place)

    def _identifier(self, thing: Thing) -> str:
        return self.identifiers[thing] if isinstance(thing, Box) else f"n{thing}"

    def drawing(self, style: str, rankdir: str, format: str) -> Drawing:
        picture = self._blank(rankdir, format)
        self._members(picture, None, circuit=style == "circuit")
        self._edges(picture, circuit=style == "circuit")
        return picture

    def _blank(self, rankdir: str, format: str) -> Drawing:
        """A drawing without anything on it: what holds for all of it."""
        from .rendering import Drawing

        picture, count = Drawing("step", format=format), len(self.graph.order)
        size = f"a graph of {_counted(count)}"
        picture.table = str(record_of(self.graph)) if count <= TABLE_LIMIT else size
        line, text = self.colours["line"], self.colours["text"]
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
            tooltip=size,
        )
        if self.shown > 100:  # curves and exact ranks would take minutes from here on
            picture.attr("graph", splines="line", nslimit="1", nslimit1="1")
        font = {"fontname": "Helvetica", "fontsize": "14", "fontcolor": text, "color": line}
        picture.attr("node", shape="plain", **font)
        picture.attr("edge", **(font | {"fontsize": "11", "arrowsize": "0.7"}))
        if self.folded:
            note = f"{len(self.folded):,} of {count:,} values are inside of boxes"
            picture.attr("graph", label=note, labelloc="b", fontsize="12")
        return picture

    # --- Modules ----------------------------------------------------------------------------------

    def _members(self, picture: Digraph, around: Box | None, circuit: bool) -> None:
        """What stands directly in a box: its values, then the boxes in it."""
        members = self.members[around]
        for member in members:
            if not isinstance(member, Box):
                self._value(picture, member, circuit)
        for box in reversed(members):  # dot stacks them from the bottom
            if not isinstance(box, Box):
                continue
            if box not in self.members:
                self._folded(picture, box)
                continue
            with picture.subgraph(name=f"cluster_{self.identifiers[box]}") as cluster:
                cluster.attr(
                    label=f"<{escaped(box.title)}>",
                    labelloc="t",
                    id=self.identifiers[box],
                    **{"class": "module"},
                    style="rounded,filled",
                    color=self.colours["line"],
                    fillcolor=self.colours["cluster"],
                    fontname="Helvetica",
                    fontsize="12",
                    tooltip=plain(box.title),
                )
                self._members(cluster, box, circuit)

    def _folded(self, picture: Digraph, box: Box) -> None:
        inside = f"{_counted(self.hidden[box])} inside"
        rows = _cell(box.title, self.colours["text"], bold=True)
        rows += _cell(inside, self.colours["quiet"])
        picture.node(
            self.identifiers[box],
            label=_table(rows, self.colours["line"], self.colours["cluster"], border=2, padding=5),
            id=self.identifiers[box],
            tooltip=plain(f"{box.title}: {inside}"),
            **{"class": "module collapsed"},
        )

    # --- Values -----------------------------------------------------------------------------------

    def _value(self, picture: Digraph, place: int, circuit: bool) -> None:
        value, operation = self.graph.order[place], self.graph.order[place].operation
        picture.node(
            f"n{place}",
            label=self._on_wire(place) if circuit else self._in_node(place),
            id=f"n{place}",
            tooltip=self._tooltip(place),
            **{"class": "value leaf" if operation is None else f"value {operation.name}"},
        )
        if circuit and operation is not None:
            picture.node(
                f"o{place}",
                label=f"<{escaped(sign(value._op))}>",
                shape="circle",
                style="filled",
                fillcolor=self.colours["node"],
                margin="0.03",
                width="0.45",
                tooltip=self._tooltip(place),
                **{"class": "operation"},
            )
            picture.edge(f"o{place}", f"n{place}", dir="none", **{"class": "wire"})

    def _in_node(self, place: int) -> str:
        """Value and gradient in the node of the operation."""
        value, colours = self.graph.order[place], self.colours
        name, symbol = self._name(place), sign(value._op)
        # The sign is bold where it is all there is, quiet beside a name.
        titles = [_font(name, colours["text"], bold=True)] if name else []
        if symbol:
            titles.append(_font(symbol, colours["quiet" if name else "text"], bold=not name))
        rows = f'<TR><TD COLSPAN="2">{" ".join(titles)}</TD></TR>' if titles else ""
        rows += _pair("data", number(value.data), colours["quiet"], colours["value"])
        rows += _pair("grad", _gradient(value), colours["quiet"], colours["gradient"])
        leaf = value.operation is None
        return _table(rows, colours["line"], colours["leaf" if leaf else "node"], rounded=not leaf)

    def _on_wire(self, place: int) -> str:
        """The value above the wire, the gradient below."""
        value, colours, name = self.graph.order[place], self.colours, self._name(place)
        begin = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2"'
        above = f"<TR><TD>{_font(number(value.data), colours['value'])}</TD></TR>"
        below = f"<TR><TD>{_font(_gradient(value), colours['gradient'])}</TD></TR>"
        wire = f'{begin} COLOR="{colours["line"]}">{above}<HR/>{below}</TABLE>'
        if not name:
            return f"<{wire}>"
        title = _font(name, colours["text"], bold=True)
        return f"<{begin}><TR><TD>{title}</TD><TD>{wire}</TD></TR></TABLE>>"

    def _name(self, place: int) -> str:
        """The name to show: those that we make up, such as v1, would say nothing in a picture."""
        given = self.graph.order[place] in self.graph.given
        return self.graph.short(place, len(self.around[place])) if given else ""

    def _tooltip(self, place: int) -> str:
        value = self.graph.order[place]
        name = self.graph.called[value]
        gradient = repr(float(value.grad)) if _reached(value) else "not reached yet"
        if isinstance(value.operation, Choice):  # its node does not show what it chose between
            name += f" = {self.graph.formula(value)}"
        return plain(f"{name}: data = {value.data!r}, grad = {gradient}")

    # --- Edges ------------------------------------------------------------------------------------

    def _edges(self, picture: Digraph, circuit: bool) -> None:
        for tail, head, use in self._uses():
            into_sign = circuit and isinstance(head, int)
            goal = f"o{head}" if into_sign else self._identifier(head)
            attributes = {"class": "operand"}
            if use is not None and isinstance(head, int):
                attributes |= self._use(head, use, circuit)
            picture.edge(self._identifier(tail), goal, **attributes)

    def _uses(self) -> Iterator[tuple[Thing, Thing, int | None]]:
        """The edges: one for each use of a value, or one in all between a box and its neighbour."""
        drawn: set[tuple[Thing, Thing]] = set()
        for place, operands in enumerate(self.graph.operands):
            head = self._thing(place)
            for use, operand in enumerate(operands):
                tail = self._thing(operand)
                if isinstance(tail, int) and isinstance(head, int):
                    yield tail, head, use
                elif tail != head and (tail, head) not in drawn:
                    drawn.add((tail, head))
                    yield tail, head, None

    def _use(self, place: int, use: int, circuit: bool) -> dict[str, str]:
        """An edge from an operand: the local derivative, and × upstream where backward has been."""
        graph = self.graph
        result, operand = graph.order[place], graph.order[graph.operands[place][use]]
        local, rule = result.partials[use], graph.rules(result)[use]
        words = f"∂{graph.called[result]}/∂{graph.called[operand]} = {rule}"
        if words.rpartition(" = ")[2] != number(local):
            words += f" = {number(local)}"
        attributes = {"id": f"n{place}-{use}"}
        if _reached(result):
            upstream = number(result.grad)
            words += f"; × upstream {upstream} = contribution {number(local * result.grad)}"
            if not circuit:
                attributes["label"] = f" {number(local)} × {upstream} "
                attributes["fontcolor"] = self.colours["gradient"]
        return attributes | {"tooltip": plain(words)}


def _open_levels(graph: Graph, collapse: bool | int | None) -> int:
    """How many levels of modules are drawn open."""
    if collapse is None:
        return open_levels(graph.paths, graph.operands)
    if isinstance(collapse, bool):
        return 0 if collapse else max(map(len, graph.paths))
    return max(collapse, 0)


def _counted(values: int) -> str:
    return f"{values:,} value{'s' * (values != 1)}"


# --- Labels like HTML -----------------------------------------------------------------------------


def _font(text: str, colour: str, bold: bool = False, size: int = 0) -> str:
    inside = f"<B>{escaped(text)}</B>" if bold else escaped(text)
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


def _reached(value: Value) -> bool:
    """Whether a backward pass has been here; None is how PyTorch sets a gradient back."""
    return value.grad is not NO_GRADIENT and value.grad is not None


def _gradient(value: Value) -> str:
    return number(value.grad) if _reached(value) else "–"


# --- In a notebook --------------------------------------------------------------------------------


def _show_value(value: Value, include: object = None, exclude: object = None) -> dict[str, str]:
    """What a notebook shows of a Value: its graph, if that is small."""
    size = len(topological_order(value))
    if size <= COLLAPSE_ABOVE:
        return {"text/plain": repr(value)} | draw(value)._repr_mimebundle_()
    advice = "draw(v) draws it with its modules folded, draw(v, collapse=False) in full"
    return {"text/plain": f"{value!r}\na graph of {size:,} values: {advice}"}


# The engine knows nothing of notebooks: what they show is given to it here.
Value._repr_mimebundle_ = _show_value  # type: ignore[attr-defined]
