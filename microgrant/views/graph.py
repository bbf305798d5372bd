"""A graph as all views see it: in order, with names, and in the boxes of its modules.

With this module you can

- look at the graph of a value:             graph = Graph(loss, locals())
- go through it as one would compute it:    for value in graph.order: graph.called[value]
- write a value as a formula:               graph.formula(loss)
- see which modules are around a value:     graph.paths[graph.places[loss]]
- ask how many boxes fit into a picture:    open_levels(graph.paths, graph.operands)
- find what stands in each, and the edges:  nest(paths), links(shown, operands, inside)
- ask how deep in it each thing stands:     depths(edges)
- find boxes that stand side by side:       side_by_side(nest(paths), depths(edges))
- ask how far each edge reaches:            spans(edges), detours(shown, operands)

A `Graph` is made once, and then shared by the record, the drawing, the page and all other views.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias, TypeVar

from ..engine.by_hand import ByHand
from ..engine.conditions import Choice
from ..engine.value import Value, topological_order
from ..nn import Module, ModuleCall
from ..ops.numbers import number, superscript
from ..ops.words import spell
from .formulas import derivative_in_words, names_of, numbers_of, rule_of, term_of
from .naming import add_names, given_names, held
from .order import mentioned_by, order_of

__all__ = ["COLLAPSE_ABOVE", "FAR", "MOST_EDGES", "Box", "Boxes", "Graph", "Link", "Members", "Row"]
__all__ += ["Thing", "common", "counted", "depths", "detours", "links", "nest", "numbered"]
__all__ += ["open_levels", "side_by_side", "spans", "thing_at"]

COLLAPSE_ABOVE = 60  # more things than a picture can show at a readable size
MOST_EDGES = 2 * COLLAPSE_ABOVE
FAR = 20  # with edges that reach over more ranks than so many, in all, modules start folded

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Box:
    """What can be drawn open, with a frame around what is in it, or folded: a call of a module.

    identifier: its number, in the order in which the boxes are met.
    name, summary: what the module is called in the one around it, and what it is.
    values: how many are inside.
    """

    identifier: int
    name: str
    summary: str
    values: int

    @property
    def title(self) -> str:
        """Name and summary, as far as there are any."""
        return " · ".join(filter(None, (self.name, self.summary)))


Boxes: TypeAlias = tuple[Box, ...]  # those around a value, from the outside in
Calls: TypeAlias = tuple[ModuleCall, ...]  # likewise
Thing: TypeAlias = int | Box  # what a picture shows: the place of a value, or a folded box
Members: TypeAlias = dict[Thing | None, dict[Thing, None]]  # what is in each box, and in none
Row: TypeAlias = dict[Box, Thing]  # boxes side by side, and what is computed first in each
# An edge: its tail and its head; between values, which operand of the head the tail is.
Link: TypeAlias = tuple[Thing, Thing, int | None]


class Graph:
    """All that `root` was computed from.

    order: the Values, operands before results, as one would compute them by hand.
    engine_order: their places in the order from the end of which `backward` goes.
    places, operands: the place of each Value in `order`; for each place, those of its operands.
    called: a name for each Value, all different but for constants; and for what a `where` compared
        or did not take, if the user has given one.
    given: the Values among them that the user has named: the others are called x1, v1 or 2.
    own_names: what a parameter is called in its model, which may not be the only one.

    names: variables and what they hold, such as ``locals()``, for Values without a label. A
        parameter without a name is called as in the module that was called, and added to them.
    parameters: False leaves parameters without such names.
    flat: of all that the variables hold, keep only the Values of this graph; for a graph that is
        kept itself.
    engine_order: what it was, for a graph that has travelled: the notes of modules have not.

    >>> a, b = Value(2.0, "a"), Value(-3.0)
    >>> graph = Graph((a * b).tanh(), {"b": b})
    >>> [graph.called[value] for value in graph.order]
    ['a', 'b', 'v1', 'v2']
    >>> graph.formula(graph.root), graph.arithmetic(graph.root), graph.rules(graph.root)
    ('tanh(v1)', 'tanh(−6)', ['1 − v2²'])
    """

    def __init__(
        self,
        root: Value,
        names: Mapping[str, object] | None = None,
        *,
        parameters: bool = True,
        flat: bool = False,
        engine_order: Sequence[int] | None = None,
    ) -> None:
        if names is not None and not isinstance(names, Mapping):
            kind = type(names).__name__
            raise TypeError(f"names is a dictionary of variables, such as locals(), but got {kind}")
        self.root = root
        walked = topological_order(root)
        if engine_order is None:
            self.order = order_of(walked)
        else:
            self.order = [value for _, value in sorted(zip(engine_order, walked, strict=True))]
        self.places: dict[Value, int] = {value: place for place, value in enumerate(self.order)}
        self.engine_order: list[int] = [self.places[value] for value in walked]
        self.operands: list[tuple[int, ...]] = [
            tuple(self.places[x] for x in value.operands) for value in self.order
        ]
        self.names: dict[str, object] = dict(names or {})
        everything = [*self.order, *mentioned_by(self.order)]
        if flat:
            wanted = set(everything)
            self.names = {name: x for name, x in held(self.names) if x in wanted}
        self.own_names: dict[Value, str] = {}
        if parameters:
            self._name_parameters()
        self.called: dict[Value, str] = given_names(everything, self.names)
        self.given: frozenset[Value] = frozenset(self.called)
        add_names(self.order, self.called)

    def __reduce__(self) -> tuple[Callable[..., Graph], tuple[Value, dict[str, object]]]:
        make = partial(Graph, engine_order=self.engine_order)
        return make, (self.root, self.names)  # calls of modules hold weak references

    def check_unchanged(self) -> None:
        """A ValueError if the data of the graph was changed after the forward pass.

        Such a graph can still be differentiated, since it keeps its local derivatives. It cannot be
        explained: its numbers do not follow from one another any more.

        >>> x = Value(2.0)
        >>> y = x * 3
        >>> x.data = 5.0
        >>> Graph(y).check_unchanged()
        Traceback (most recent call last):
            ...
        ValueError: the data of a graph was changed after its forward pass, so that 5 × 3 = 6: ...
        """
        for value in self.order:
            operation = value.operation
            if operation is None or isinstance(operation, ByHand):
                continue
            data = operation.forward(*(operand._data for operand in value.operands))
            flipped = isinstance(operation, Choice) and not operation.condition.unchanged()
            if flipped or (data != value._data and data == data):
                raise ValueError(
                    "the data of a graph was changed after its forward pass, so that "
                    f"{self.arithmetic(value)} = {number(value._data)}: "
                    "explain a step before the parameters are updated, or compute it again"
                )

    # --- In words -------------------------------------------------------------------------------

    def formula(self, value: Value) -> str:
        """How an interior value was computed, with names: ``a × b``."""
        return spell(term_of(value, names_of(self.called)))

    def arithmetic(self, value: Value) -> str:
        """The same with numbers: ``2 × −3``."""
        return spell(term_of(value, numbers_of(self.places)))

    def rules(self, value: Value) -> list[str]:
        """Its local derivatives, one for each operand: ``b`` and ``a``."""
        operation = value.operation
        if operation is None:
            return []
        if isinstance(operation, Choice):
            return [spell(rule_of(operation, names_of(self.called)))]
        return derivative_in_words(operation, self.called[value], self.uses(value))

    def uses(self, value: Value) -> list[str]:
        """What its operands are called; one that it is computed from twice, by its uses: b × b has
        two, and the derivative by each is the other one.

        >>> b = Value(3.0, "b")
        >>> square = Graph(b * b)
        >>> square.uses(square.root), square.rules(square.root)
        (['b⁽¹⁾', 'b⁽²⁾'], ['b⁽²⁾', 'b⁽¹⁾'])
        """
        return numbered([self.called[operand] for operand in value.operands], value.operands)

    def short(self, place: int, around: int) -> str:
        """The name of a value, from inside of so many boxes: in that of its own neuron, w[1] says
        as much as layers[0].neurons[3].w[1]; in that of a layer, the neuron has to be said."""
        name = self.called[self.order[place]]
        if not around:
            return name
        own = self.own_names.get(self.order[place], name)
        if f".{name}".rstrip("′").endswith(f".{own}"):  # it may have the variable of its model
            name = own
        parts = name.split(".")
        return ".".join(parts[min(around, len(parts)) - 1 :])

    # --- Modules --------------------------------------------------------------------------------

    @cached_property
    def calls(self) -> list[Calls]:
        """For each value the calls of modules around it, from the outside in.

        Found backwards from the outputs of calls: what an output was computed from is inside of the
        call, up to the inputs of that call. What several calls use is in what they have in common.
        """
        paths: dict[Value, Calls] = {}
        inputs: dict[ModuleCall, set[Value]] = {}
        for value in reversed(self.order):
            around = paths.get(value, ())
            returned_by = reversed(getattr(value, "_scope", ()))
            paths[value] = path = (*around, *(call for call in returned_by if call not in around))
            for call in path:
                if call not in inputs:
                    inputs[call] = set(call.inputs)
            for operand in value.operands:
                outside = tuple(call for call in path if operand not in inputs[call])
                known = paths.get(operand)
                paths[operand] = outside if known is None else common(known, outside)
        return [paths[value] for value in self.order]

    @cached_property
    def paths(self) -> list[Boxes]:
        """For each value the boxes around it, from the outside in: one for each call of a module.

        A module that was called from two others, or twice, has a box for each.
        """
        inside = Counter(path[: i + 1] for path in self.calls for i in range(len(path)))
        modules = _modules(path[-1] for path in inside)
        names = {
            (id(around), id(module)): name
            for around in modules.values()
            for name, module in around.named_modules()
        }
        summaries = {key: _summary(module) for key, module in modules.items()}
        boxes: dict[Calls, Box] = {}
        for path, values in inside.items():
            around, module = [None, *(call.module() for call in path)][-2:]
            name = names.get((id(around), id(module)), "")
            summary = summaries.get(id(module), "a module")  # the graph may have outlived it
            boxes[path] = Box(len(boxes), name, summary, values)
        return [tuple(boxes[path[: i + 1]] for i in range(len(path))) for path in self.calls]

    def _name_parameters(self) -> None:
        """Add the parameters of the modules that were called to the variables."""
        for module in _modules(path[0] for path in self.calls if path).values():
            for name, parameter in module.named_parameters():
                unique = name
                while unique in self.names and self.names[unique] is not parameter:
                    unique += "′"  # two models may both have a layers[0]
                self.names[unique] = parameter
                self.own_names[parameter] = name


def _modules(calls: Iterable[ModuleCall]) -> dict[int, Module]:
    """The modules that were called, by id, but for those that the graph has outlived."""
    modules = (call.module() for call in calls)
    return {id(module): module for module in modules if module is not None}


def _summary(module: Module) -> str:
    return f"{module.describe()}, {counted(len(module.parameters()), 'parameter')}"


def numbered(names: Sequence[str], things: Sequence[object]) -> list[str]:
    """Names of things, with the number of the use where a thing comes up more than once."""
    times, seen = Counter(things), Counter[object]()
    found = []
    for name, thing in zip(names, things, strict=True):
        seen[thing] += 1
        found.append(f"{name}⁽{superscript(str(seen[thing]))}⁾" if times[thing] > 1 else name)
    return found


def counted(count: int, thing: str) -> str:
    """So many of a thing.

    >>> counted(1, "value"), counted(1000, "value")
    ('1 value', '1,000 values')
    """
    return f"{count:,} {thing}{'s' * (count != 1)}"


# --- How much of it a picture can show ------------------------------------------------------------


def open_levels(
    paths: Sequence[Boxes],
    operands: Sequence[Sequence[int]],
    inside: Iterable[int] | None = None,
    least: int = 0,
) -> int:
    """How many levels of boxes can be open in a picture that can still be read, and `least` if no
    more can: one with neither too many things nor too many edges.

    paths: the boxes around each value.
    inside: the places of the values to be shown; all, if None.
    """
    places = range(len(paths)) if inside is None else dict.fromkeys(inside)
    for level in range(max(len(paths[place]) for place in places), least, -1):
        shown = {place: thing_at(place, paths[place], level) for place in places}
        edges = {
            (shown[operand], thing)
            for place, thing in shown.items()
            for operand in operands[place]
            if operand in shown
        }
        if len(set(shown.values())) <= COLLAPSE_ABOVE and len(edges) <= MOST_EDGES:
            return level
    return least


def detours(shown: Mapping[int, Thing], operands: Sequence[Sequence[int]]) -> int:
    """How many ranks the edges of a picture reach over, beyond the next: many are a tangle."""
    edges = list(links(shown, operands, shown))
    return sum(spans(edges)) - len(edges)


def thing_at(place: int, path: Boxes, level: int) -> Thing:
    """What stands for a value where so many levels of boxes are open: itself, or a folded box."""
    return path[level] if len(path) > level else place


def nest(paths: Iterable[tuple[Thing, ...]]) -> Members:
    """What stands directly in each box, and, under None, in none: in the order of the paths.

    paths: things that are to be seen, each after the open boxes around it.
    """
    members: Members = {None: {}}
    for path in paths:
        for around, thing in zip((None, *path), path, strict=False):
            members.setdefault(around, {})[thing] = None
    return members


def links(
    shown: Mapping[int, Thing], operands: Sequence[Sequence[int]], inside: Container[int]
) -> Iterator[Link]:
    """The edges of a picture: one for each use of a value, one in all between a box and another.

    shown: what is to be seen of each value, or of a neighbour outside.
    inside: the places of the values that are in the picture: edges touch one of them.
    """
    drawn: set[tuple[Thing, Thing]] = set()
    for place, head in shown.items():
        for use, operand in enumerate(operands[place]):
            tail = shown.get(operand)
            if tail is None or tail == head or not (place in inside or operand in inside):
                continue
            if isinstance(tail, int) and isinstance(head, int):
                yield tail, head, use
            elif (tail, head) not in drawn:
                drawn.add((tail, head))
                yield tail, head, None


def depths(edges: Iterable[Link]) -> dict[Thing, int]:
    """How many results stand one behind the other before each thing, and with it."""
    depth: dict[Thing, int] = {}
    for tail, head, _ in edges:
        depth[head] = max(depth.get(head, 0), depth.setdefault(tail, 0) + 1)
    return depth


def side_by_side(members: Members, depth: Mapping[Thing, int]) -> dict[Thing | None, list[Row]]:
    """In each box, and under None in none, what boxes stand side by side, such as the neurons of a
    layer, in the order in which they are met; and what is computed first in each of them, which is
    the box itself, if that is folded."""

    def key(thing: Thing) -> float:
        return depth.get(thing, 0) or math.inf  # leaves may stand anywhere before their users

    def first(thing: Thing) -> Thing:
        return min(map(first, members[thing]), key=key) if thing in members else thing

    found: dict[Thing | None, list[Row]] = {}
    for around, things in members.items():
        boxes = sorted((x for x in things if isinstance(x, Box)), key=lambda x: x.identifier)
        groups: dict[float, Row] = {}
        for box in boxes:
            groups.setdefault(key(first(box)), {})[box] = first(box)
        found[around] = [row for row in groups.values() if len(row) > 1]
    return found


def spans(edges: Sequence[Link]) -> list[int]:
    """How many ranks each edge reaches over, if results stand behind their operands.

    Graphviz does its work rank by rank: their sum is what a picture costs it.

    >>> spans([(0, 1, 0), (0, 2, 0), (1, 2, 1), (3, 2, 2)])  # 3 moves to where it is used
    [1, 2, 1, 1]
    """
    rank = depths(edges)
    heads: dict[Thing, list[Thing]] = {}
    for tail, head, _ in edges:
        heads.setdefault(tail, []).append(head)
    entering = Counter(head for _, head, _ in edges)
    for thing in sorted(heads, key=rank.__getitem__, reverse=True):
        if entering[thing] <= len(heads[thing]):
            rank[thing] = max(rank[thing], min(rank[head] for head in heads[thing]) - 1)
    return [max(1, abs(rank[head] - rank[tail])) for tail, head, _ in edges]


def common(a: tuple[T, ...], b: tuple[T, ...]) -> tuple[T, ...]:
    """What two paths have in common, from their beginning."""
    same = 0
    while same < min(len(a), len(b)) and a[same] is b[same]:
        same += 1
    return a[:same]
