"""Draw the graph of a step: values, gradients, and what flowed along each edge.

With this module you can

- draw a graph:                                  draw(loss)
- name values after your variables:              draw(loss, names=locals())
- write the picture:                             draw(loss).write("step.svg")
- draw it as the circuit diagrams of CS231n do:  draw(loss, style="circuit")
- draw the network that it was computed by:      draw(loss, style="network")
- fold modules into boxes, or open them all:     draw(loss, collapse=True), collapse=False

Blue numbers are values, vermillion numbers gradients; a dash is a gradient that no backward pass
has reached, which is not the same as 0. After `backward`, an edge carries the local derivative
times the gradient that came from above.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from itertools import groupby, pairwise
from numbers import Real
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ..engine.arguments import one_of, unboxed
from ..engine.by_hand import local_derivatives
from ..engine.conditions import Choice
from ..engine.value import NO_GRADIENT, Value, topological_order
from ..ops.numbers import number
from .columns import columns_of
from .events import record_of
from .graph import (
    COLLAPSE_ABOVE,
    FAR,
    Box,
    Graph,
    Thing,
    counted,
    depths,
    detours,
    links,
    nest,
    open_levels,
    side_by_side,
    spans,
    thing_at,
)
from .network import network_of
from .network_drawing import drawing_of
from .style import THEMES, in_attribute, in_label, sign

if TYPE_CHECKING:
    from .rendering import Drawing
else:  # a forward reference, for `typing.get_type_hints`: an import would bring in graphviz
    import importlib  # noqa: F401

    Drawing = "importlib.import_module('microgrant.views.rendering').Drawing"

__all__ = ["draw"]

TABLE_LIMIT = 200
MANY = 10  # a sum of so many terms, or more, is one node

# Graphviz works rank by rank, so that what costs it time are edges over many ranks. Beyond so many
# ranks more than those of a tree, edges carry no words, which it would lay out as well, and what it
# betters in rounds ends sooner; then they are no curves; with so many for each value, it would take
# minutes.
WORDS, CURVES, RANKS = 500, 2_500, 20
ADVICE = "draw one example rather than a batch, or fold modules with collapse=True"
LIMITS = {"nslimit": "0.1", "nslimit1": "1", "mclimit": "0.1"}

SPACING = {"nodesep": "0.25", "ranksep": "0.5", "pad": "0.2"}
# Modules stand in the order in which they are written: a second search for crossings would forget
# it, and so would more than one round of the first one.
IN_ORDER = {"newrank": "true", "remincross": "false", "mclimit": "0.01"}
# From layer to layer: straight, with room, as textbooks draw it.
LAYERS = {"splines": "line", "ranksep": "1.2"}
# Where edges go into a box, and where they leave it.
SIDES = {"LR": ("w", "e"), "TB": ("n", "s"), "RL": ("e", "w"), "BT": ("s", "n")}
# Likewise at a wire, which is so long, or longer.
WIRES = {
    "LR": ("w", "wire:e"),
    "TB": ("wire:n", "wire:s"),
    "RL": ("e", "wire:w"),
    "BT": ("wire:s", "wire:n"),
}
WIRE = 50
CLUSTER = {"class": "module", "labelloc": "t", "style": "rounded,filled"}
CLUSTER |= {"fontname": "Helvetica", "fontsize": "12"}
OPERATION = {"class": "operation", "shape": "circle", "style": "filled"}
OPERATION |= {"margin": "0.03", "width": "0.45"}


def draw(
    root: Value,
    names: Mapping[str, object] | None = None,
    *,
    style: str = "node",
    theme: str | None = None,
    rankdir: str = "LR",
    collapse: bool | int | None = None,
    limit: int = 1000,
    format: str = "svg",
) -> Drawing:
    """A picture of everything that `root` was computed from, as a `graphviz.Digraph`.

    names: variables and what they hold, such as ``locals()``, for Values without a label.
    style: "node" puts value and gradient into the node of the operation; "circuit" writes values
        above the wires and gradients below them, as the diagrams of Stanford's CS231n do
        (https://cs231n.github.io/optimization-2/); left and right of them, where they go down;
        "network" shows the neurons of the modules of `microgrant.nn`, with their values, gradients
        and biases, and the weights between them: as thick as they are large, dashed where they are
        negative. It goes from left to right, whatever rankdir and collapse say.
    theme: "light" or "dark"; None is light, and turns dark in a notebook that is dark.
    rankdir: the direction of the forward pass: "LR" (to the right), "TB" (down), "RL" or "BT".
    collapse: how many levels of modules are open: False for all, True for none, a number for so
        many; None opens as many as fit into a picture of about 60 values, and can be read. A sum of
        many terms is one node, but for False.
    limit: the largest number of values shown, and a bound of how far edges reach; a ValueError says
        what to do beyond it.
    format: what `render` and `pipe` make unless they are told: "svg", "png" or "pdf".

    >>> a = Value(3.0, label="a")
    >>> b = (a * a).relu()
    >>> b.backward()
    >>> picture = draw(b)
    >>> "ReLU" in picture.source and "3 × 1" in picture.source  # local derivative × upstream
    True
    """
    root = unboxed(root)
    if not isinstance(root, Value):
        raise TypeError(f"draw needs a Value, but got {type(root).__name__}: draw one output")
    one_of("style", style, ("node", "circuit", "network"))
    one_of("theme", theme or "light", THEMES)
    one_of("rankdir", rankdir, ("LR", "TB", "RL", "BT"))
    if collapse is not None and not isinstance(collapse, int):
        raise TypeError(
            f"collapse is True, False, None or a number of levels, but got {collapse!r}"
        )
    if not isinstance(limit, Real):
        raise TypeError(f"limit is a number of values, or math.inf, but got {limit!r}")
    graph, colours = Graph(root, names), THEMES[theme or "light"]
    if style == "network":
        return _network(graph, theme, limit, format)
    picture = _Picture(graph, colours, collapse, rankdir, circuit=style == "circuit")
    if picture.shown > limit:
        raise ValueError(
            f"the picture would show {picture.shown:,} values, more than limit={limit:,}: {ADVICE}"
        )
    if picture.excess > limit * RANKS:
        raise ValueError(
            f"the edges of the picture would reach over {picture.excess:,} ranks, more than "
            f"limit={limit:,} allows, {limit * RANKS:,}: {ADVICE}; explain(root).save() writes a "
            "page, which shows them too"
        )
    drawing = picture.drawing(format)
    drawing.follows = theme is None
    return drawing


def _network(graph: Graph, theme: str | None, limit: int, format: str) -> Drawing:
    network = network_of(graph)
    if network is None:
        raise ValueError(
            'style="network" draws what modules of microgrant.nn have computed, such as '
            'draw(MLP(2, [4, 1])([1.0, 2.0]), style="network"), and there is none in this graph: '
            'draw it with style="node"'
        )
    columns = columns_of(network)
    if len(columns.areas) > limit:
        raise ValueError(
            f"the network would show {len(columns.areas):,} values, more than limit={limit:,}"
        )
    drawing = drawing_of(columns, THEMES[theme or "light"], format)
    drawing.table, drawing.follows = _in_words(graph), theme is None
    return drawing


def _in_words(graph: Graph) -> str:
    """For a notebook that may not show pictures: the table of the step, or how large it is."""
    count = len(graph.order)
    if count <= TABLE_LIMIT:
        return str(record_of(graph))
    return f"a graph of {counted(count, 'value')}"


class _Picture:
    """What is to be drawn, and where: the graph, and the boxes of its modules."""

    def __init__(
        self, graph: Graph, colours: Mapping[str, str], collapse: bool | int | None, rankdir: str,
        circuit: bool,
    ) -> None:  # fmt: skip
        self.graph, self.colours, self.circuit, self.rankdir = graph, colours, circuit, rankdir
        self.upwards = rankdir in ("LR", "RL")  # what is in a box, dot stacks from the bottom
        self.levels = levels = _open_levels(graph, collapse)
        self.things, operands, self.shared, self.sums = _seen(graph, levels, collapse is not False)
        self.hidden = Counter(thing for thing in self.things.values() if isinstance(thing, Box))
        self.shown = len(self.things) - sum(self.hidden.values())
        paths = ((*graph.paths[place][:levels], x) for place, x in self.things.items())
        self.members = nest(paths)
        self.links = list(links(self.things, operands, self.things))
        reach = spans(self.links)
        ranks = sum(reach) * (2 if circuit else 1)
        self.depths = depths(self.links)
        self.rows = side_by_side(self.members, self.depths)
        self.excess = ranks - len(set(self.things.values()))
        self.layered = self._layered(reach)
        self.derivatives: dict[int, list[tuple[float, str]]] = {}
        boxes = dict.fromkeys(box for path in graph.paths for box in path[: levels + 1])
        self.identifiers = {box: f"m{count}" for count, box in enumerate(boxes)}

    def _layered(self, reach: list[int]) -> bool:
        """Whether boxes are layers of a network: what is given is given to the first of them, and
        no edge goes past another."""
        between: Counter[Box] = Counter()
        for (tail, head, _), far in zip(self.links, reach, strict=True):
            if isinstance(tail, Box) and isinstance(head, Box):
                between[head] += 1
            elif isinstance(head, Box) and self.depths[head] > 1:
                return False
            if far > 1 and (isinstance(tail, Box) or isinstance(head, Box)):
                return False
        return max(between.values(), default=0) > 1

    def drawing(self, format: str) -> Drawing:
        from .rendering import Drawing

        picture, count = Drawing("step", format=format), len(self.graph.order)
        size = f"a graph of {counted(count, 'value')}"
        picture.table = _in_words(self.graph)
        text = {"fontname": "Helvetica", "fontcolor": self.colours["text"]}
        background = self.colours["background"]
        picture.attr("graph", bgcolor=background, tooltip=size, **text, **SPACING)
        picture.attr("graph", rankdir=self.rankdir)
        if len(self.members) > 1 or self.hidden:
            picture.attr("graph", **IN_ORDER)
        if self.layered:
            picture.attr("graph", **LAYERS)
        if self.excess > WORDS:
            picture.attr("graph", **LIMITS)
        if self.excess > CURVES:
            picture.attr("graph", splines="line")
        text["color"] = self.colours["line"]
        picture.attr("node", shape="plain", fontsize="14", **text)
        picture.attr("edge", fontsize="11", arrowsize="0.7", **text)
        partial = sum(len(terms) - 2 for terms in self.sums.values())
        inside = count - self.shown - partial
        notes = [f"{inside:,} of {count:,} values are inside of boxes"] * bool(inside)
        notes += [f"{partial:,} of {count:,} are sums of the first terms"] * bool(partial)
        if self.sums and len(set(self.things.values())) > COLLAPSE_ABOVE:
            notes.append("one example would be a smaller picture")
        if notes:
            picture.attr("graph", label=", ".join(notes), labelloc="b", fontsize="12")
        self._members(picture, None)
        for link in self.links:
            self._edge(picture, *link)
        if len(self.members) > 1:
            self._operands_in_order(picture)
        else:
            picture.attr("graph", ordering="in")
        return picture

    def _identifier(self, thing: Thing) -> str:
        return self.identifiers[thing] if isinstance(thing, Box) else f"n{thing}"

    # --- Modules ----------------------------------------------------------------------------------

    def _members(self, picture: Drawing, around: Box | None) -> None:
        """What stands directly in a box: its values, then the boxes in it."""
        members = self.members[around]
        for member in members:
            if not isinstance(member, Box):
                self._value(picture, member)
        boxes = [member for member in members if isinstance(member, Box)]
        boxes.sort(key=lambda box: box.identifier, reverse=self.upwards)
        for box in boxes:
            self._box(picture, box)
        for row in self.rows[around]:
            firsts = list(map(self._identifier, row.values()))
            if all(box is first for box, first in row.items()):
                self._beside(picture, firsts, around)
            elif around:
                self._under_one(picture, firsts)

    def _operands_in_order(self, picture: Drawing) -> None:
        """The left operand stays on the left, where nothing else uses them: what ordering="in" does
        by itself in a picture without boxes, and in these only for edges without words."""
        uses = Counter(tail for tail, _, _ in self.links)
        around = {thing: box for box, things in self.members.items() for thing in things}
        for head, group in groupby(self.links, key=itemgetter(1)):
            box = around[head]
            tails = [tail for tail, _, _ in group if uses[tail] == 1 and around[tail] is box]
            if len(tails) > 1 and not any(isinstance(thing, Box) for thing in (head, *tails)):
                self._beside(picture, list(map(self._identifier, tails)), box)

    def _beside(self, picture: Drawing, row: list[str], around: Thing | None) -> None:
        """Nodes stand in the order of edges between them."""
        if self.upwards and around:
            row.reverse()
        with picture.subgraph() as same:
            same.attr(rank="same")
            for left, right in pairwise(row):
                same.edge(left, right, style="invis")

    def _under_one(self, picture: Drawing, row: list[str]) -> None:
        """Boxes that are open stand in the order in which they are written; an older dot, such as
        2.43, turns that around, but for boxes to which one node leads: they are in its order."""
        above = f"to_{row[0]}"
        picture.node(above, shape="point", width="0", height="0", style="invis")
        for first in reversed(row) if self.upwards else row:
            picture.edge(above, first, style="invis")

    def _box(self, picture: Drawing, box: Box) -> None:
        """A box that is folded is a node, and one that is open a cluster."""
        colours, identifier = self.colours, self.identifiers[box]
        if box in self.hidden:
            inside = f"{counted(self.hidden[box], 'value')} inside"
            if self.shared[box]:
                inside += f", {self.shared[box]:,} shared"
            rows = _row(_font(box.title, colours["text"], bold=True))
            rows += _row(_font(inside, colours["quiet"]))
            label = _table(rows, colours["line"], colours["cluster"], border=2, padding=5)
            tooltip, kind = in_attribute(f"{box.title}: {inside}"), {"class": "module collapsed"}
            picture.node(identifier, label=label, id=identifier, tooltip=tooltip, **kind)
            return
        title = {"label": f"<{in_label(box.title)}>", "tooltip": in_attribute(box.title)}
        look = CLUSTER | {"color": colours["line"], "fillcolor": colours["cluster"]}
        with picture.subgraph(name=f"cluster_{identifier}") as cluster:
            cluster.attr(id=identifier, **title, **look)
            self._members(cluster, box)

    # --- Values -----------------------------------------------------------------------------------

    def _value(self, picture: Drawing, place: int) -> None:
        operation = self.graph.order[place].operation
        tooltip = self._tooltip(place)
        kind = "leaf" if operation is None else in_attribute(operation.name)
        picture.node(
            f"n{place}",
            label=self._on_wire(place) if self.circuit else self._in_node(place),
            id=f"n{place}",
            tooltip=tooltip,
            **{"class": f"value {kind}"},
        )
        if self.circuit and operation is not None:
            label, colour = f"<{in_label(self._sign(place))}>", self.colours["node"]
            picture.node(f"o{place}", label=label, fillcolor=colour, tooltip=tooltip, **OPERATION)
            into, _ = WIRES[self.rankdir]
            out_of = SIDES[self.rankdir][1]
            attributes = {"class": "wire", "tailport": out_of, "headport": into, "weight": "4"}
            picture.edge(f"o{place}", f"n{place}", dir="none", **attributes)

    def _in_node(self, place: int) -> str:
        """Value and gradient in the node of the operation."""
        value, colours = self.graph.order[place], self.colours
        name, symbol = self._name(place), self._sign(place)
        # The sign is bold where it is all there is, quiet beside a name.
        titles = [_font(name, colours["text"], bold=True)] if name else []
        if symbol:
            titles.append(_font(symbol, colours["quiet" if name else "text"], bold=not name))
        rows = _row(" ".join(titles)) if titles else ""
        rows += _pair("data", number(value.data), colours["quiet"], colours["value"])
        rows += _pair("grad", _gradient(value), colours["quiet"], colours["gradient"])
        leaf = value.operation is None
        return _table(rows, colours["line"], colours["leaf" if leaf else "node"], rounded=not leaf)

    def _on_wire(self, place: int) -> str:
        """The value on one side of the wire, the gradient on the other."""
        value, colours, name = self.graph.order[place], self.colours, self._name(place)
        begin = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2"'
        data = _font(number(value.data), colours["value"])
        gradient = _font(_gradient(value), colours["gradient"])
        if self.rankdir in ("LR", "RL"):  # longer than what stands above and below: no fraction
            data, gradient = (f'<TR><TD WIDTH="{WIRE}">{x}</TD></TR>' for x in (data, gradient))
            port = f'PORT="wire" COLOR="{colours["line"]}"'
            wire = f"{begin} {port}>{data}<HR/>{gradient}</TABLE>"
        else:  # a cell, since an edge can end at the middle of that
            size = f'CELLPADDING="0" WIDTH="1" HEIGHT="{WIRE}"'
            line = f'<TD PORT="wire" {size} BGCOLOR="{colours["line"]}"></TD>'
            wire = f"{begin}><TR><TD>{data} </TD>{line}<TD> {gradient}</TD></TR></TABLE>"
        if not name:
            return f"<{wire}>"
        title = f"<TD>{_font(name, colours['text'], bold=True)}</TD>"
        cells = [title, f'<TD CELLPADDING="0">{wire}</TD>']  # so that edges touch the wire
        if self.rankdir == "RL":  # it goes on to the left
            cells.reverse()
        return f"<{begin}><TR>{''.join(cells)}</TR></TABLE>>"

    def _sign(self, place: int) -> str:
        """That of its operation."""
        if place not in self.sums:
            return sign(self.graph.order[place]._op)
        return "Σ" if self.circuit else f"Σ, {len(self.sums[place])} terms"

    def _name(self, place: int) -> str:
        """The name to show: those that we make up, such as v1, would say nothing in a picture."""
        around = len(self.graph.paths[place][: self.levels])
        given = self.graph.order[place] in self.graph.given
        return self.graph.short(place, around) if given else ""

    def _tooltip(self, place: int) -> str:
        value = self.graph.order[place]
        name = self.graph.called[value]
        gradient = repr(value.grad) if _reached(value) else "not reached yet"
        if isinstance(value.operation, Choice):  # its node does not show what it chose between
            name += f" = {self.graph.formula(value)}"
        return in_attribute(f"{name}: data = {value.data!r}, grad = {gradient}")

    # --- Edges ------------------------------------------------------------------------------------

    def _edge(self, picture: Drawing, tail: Thing, head: Thing, use: int | None) -> None:
        goal, attributes = self._identifier(head), {"class": "operand"}
        if isinstance(head, int) and self.circuit:
            goal = f"o{head}"
        if isinstance(head, int) and use is not None:
            attributes |= self._use(head, use)
        into, out_of = SIDES[self.rankdir]
        if isinstance(head, Box) or (head in self.sums and not self.circuit):
            attributes["headport"] = into
        if head in self.sums:
            attributes["minlen"] = "2"  # room for so many edges
        if isinstance(tail, Box):
            attributes["tailport"] = out_of
        elif self.circuit:
            attributes["tailport"] = WIRES[self.rankdir][1]
        picture.edge(self._identifier(tail), goal, **attributes)

    def _use(self, place: int, use: int) -> dict[str, str]:
        """An edge from an operand: the local derivative, and × upstream where backward has been."""
        if place in self.sums:
            place, use = self.sums[place][use]
        graph, result = self.graph, self.graph.order[place]
        local, rule = self._derivatives(place)[use]
        words = f"∂{graph.called[result]}/∂{graph.called[result.operands[use]]} = {rule}"
        if words.rpartition(" = ")[2] != number(local):
            words += f" = {number(local)}"
        attributes = {"id": f"n{place}-{use}"}
        if _reached(result):
            upstream = number(result.grad)
            words += f"; × upstream {upstream} = contribution {number(local * result.grad)}"
            if not self.circuit and self.excess <= WORDS:
                attributes["label"] = f" {number(local)} × {upstream} "
                attributes["fontcolor"] = self.colours["gradient"]
        return attributes | {"tooltip": in_attribute(words)}

    def _derivatives(self, place: int) -> list[tuple[float, str]]:
        """The local derivatives of a result, in numbers and words."""
        if place not in self.derivatives:
            result = self.graph.order[place]
            numbers = local_derivatives(result, result.grad)
            self.derivatives[place] = list(zip(numbers, self.graph.rules(result), strict=True))
        return self.derivatives[place]


class _Seen(NamedTuple):
    """What is to be seen of a graph.

    things: of each value; of some nothing.
    operands: for each place those of the values that are seen.
    shared: how many values each folded box has in common with others.
    sums: for each sum that is drawn as one node, where its terms are added, and as which operand.
    """

    things: dict[int, Thing]
    operands: list[tuple[int, ...]]
    shared: Counter[Box]
    sums: dict[int, list[tuple[int, int]]]


def _seen(graph: Graph, levels: int, fold: bool) -> _Seen:
    """What is to be seen where so many levels are open; with `fold`, long sums are one node."""
    # Depth first: where dot has a choice, it lays out in the order of what it reads.
    things = {place: thing_at(place, graph.paths[place], levels) for place in graph.engine_order}
    things[len(graph.order) - 1] = len(graph.order) - 1  # the root is never hidden
    shared = Counter[Box]()
    for place, boxes in _weights(graph, levels, things).items():
        del things[place]
        shared.update(boxes)
    operands = list(graph.operands)
    sums = _sums(graph, things) if fold else {}
    for place, terms in sums.items():
        operands[place] = tuple(graph.operands[head][use] for head, use in terms)
        for head, _ in terms[:-1]:
            things.pop(head, None)
    return _Seen(things, operands, shared, sums)


def _weights(graph: Graph, levels: int, things: Mapping[int, Thing]) -> dict[int, list[Box]]:
    """The leaves that nothing but folded boxes uses, which were not given to the calls of these;
    and the boxes."""
    users: dict[int, dict[Box, None]] = {}
    others: set[int] = set()
    inputs: dict[Box, set[Value]] = {}
    for place, thing in things.items():
        if isinstance(thing, Box) and thing not in inputs:
            inputs[thing] = set(graph.calls[place][levels].inputs)
        for operand in graph.operands[place]:
            leaf = graph.order[operand].operation is None
            if leaf and isinstance(thing, Box) and graph.order[operand] not in inputs[thing]:
                users.setdefault(operand, {})[thing] = None
            else:
                others.add(operand)
    return {
        place: list(boxes)
        for place, boxes in users.items()
        if place not in others and not isinstance(things[place], Box)
    }


def _sums(graph: Graph, things: Mapping[int, Thing]) -> dict[int, list[tuple[int, int]]]:
    """The sums of many terms, and where each term is added: those of which each part, from the
    left, has no name, is used once, and is in the same boxes."""
    uses = Counter(operand for operands in graph.operands for operand in operands)
    found: dict[int, list[tuple[int, int]]] = {}
    for place, value in enumerate(graph.order):
        if value._op != "+" or things.get(place) != place:
            continue
        part = graph.operands[place][0]
        goes_on = part in found and uses[part] == 1 and graph.order[part] not in graph.given
        if goes_on and graph.paths[part] == graph.paths[place]:
            found[place] = found.pop(part)
        else:
            found[place] = [(place, 0)]
        found[place].append((place, 1))
    return {place: terms for place, terms in found.items() if len(terms) >= MANY}


def _open_levels(graph: Graph, collapse: bool | int | None) -> int:
    """How many levels of modules are drawn open."""
    if collapse is None:
        levels = open_levels(graph.paths, graph.operands)
        while levels:
            seen = _seen(graph, levels, fold=True)
            if detours(seen.things, seen.operands) <= FAR:
                break
            levels -= 1
        return levels
    if collapse is False:
        return max(map(len, graph.paths))
    return 0 if collapse is True else max(collapse, 0)


# --- Labels like HTML -----------------------------------------------------------------------------


def _font(text: str, colour: str, bold: bool = False, size: int = 0) -> str:
    inside = f"<B>{in_label(text)}</B>" if bold else in_label(text)
    points = f' POINT-SIZE="{size}"' if size else ""
    return f'<FONT COLOR="{colour}"{points}>{inside}</FONT>'


def _row(inside: str) -> str:
    return f'<TR><TD COLSPAN="2">{inside}</TD></TR>'


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
    """Whether a backward pass has been here."""
    return value.grad is not NO_GRADIENT


def _gradient(value: Value) -> str:
    return number(value.grad) if _reached(value) else "–"


# --- In a notebook --------------------------------------------------------------------------------


def _show_value(value: Value, **_: object) -> dict[str, str]:
    """What a notebook shows of a Value: its graph, if that is small."""
    size = len(topological_order(value))
    if size <= COLLAPSE_ABOVE:
        return draw(value)._repr_mimebundle_() | {"text/plain": repr(value)}
    advice = "draw(v) draws it with its modules folded, draw(v, collapse=False) in full"
    return {"text/plain": f"{value!r}\na graph of {size:,} values: {advice}"}


def _show_in_marimo(value: Value) -> tuple[str, str]:
    """What marimo shows of a Value, in a list as well: its words, and the graph of a result."""
    if not value.operands:
        return "text/plain", repr(value)
    words, *pictures = _show_value(value).values()
    return "text/html", "".join([f"<pre>{html.escape(words)}</pre>", *pictures])


# The engine knows nothing of notebooks: what they show is given to it here.
Value._repr_mimebundle_ = _show_value  # type: ignore[attr-defined]
Value._mime_ = _show_in_marimo  # type: ignore[attr-defined]
