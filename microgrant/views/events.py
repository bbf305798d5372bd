"""The record of one step of backpropagation: what happened, in order, in numbers and words.

With this module you can

- read a step off a graph:       step = record(loss)
- print it as a table:           print(step)
- go through its events:         for event in step: ...
- look a gradient up:            step.gradients["w1"]

A record is computed from what the graph has recorded. No `.grad` is read or written: the backward
pass is replayed from zero.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias, overload

from ..engine.conditions import Choice, Condition, whole_order
from ..engine.value import Value, topological_order
from ..nn import Module
from ..ops.words import CHOICE, TERMS, Operand, Term, derivative, number, spell

# What would break a line of the table, or turn it around.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MOST_SEARCHED = 100_000  # things looked at for names, in all
LARGEST_SEARCHED = 10_000  # a longer list is data, not a place where names come from
MOST_WRITTEN_OUT = 12  # operations, in what a `where` compares or does not take

__all__ = [
    "MISTAKES",
    "Contribution",
    "Event",
    "Forward",
    "Node",
    "Record",
    "Seed",
    "name_values",
    "record",
]


MISTAKES = {
    "overwrite": "= in place of +=: each contribution overwrites the one before",
    "no_topological_order": "naive recursion: a gradient is passed on before it is complete",
    "no_zero_grad": "the gradients of an earlier, equal step were not set back to zero",
}
"""The classic mistakes that `record` can make on purpose, and what each of them does."""

MOST_EVENTS = 100_000  # naive recursion visits a node once for every path to it


@dataclass(frozen=True)
class Node:
    """A value of the graph.

    name: its label, its variable, its number if it is a constant, or v1, v2, …
    value: its number.
    operation: the name of its operation in the table; empty for a leaf.
    symbol: the sign of its operation; empty for a leaf.
    constants: those of the operation, as the 3 of a³.
    operands: the places of its operands in `Record.nodes`, in order, with multiplicity.
    formula: how it was computed, with names: ``a × b``; empty for a leaf.
    rules: its local derivatives in words, one for each operand: ``1 − out²`` with names in it.
    constant: whether it is a number that was written into the program, without a name.
    """

    name: str
    value: float
    operation: str
    symbol: str
    constants: tuple[float, ...]
    operands: tuple[int, ...]
    formula: str
    rules: tuple[str, ...]
    constant: bool


@dataclass(frozen=True)
class Forward:
    """The forward pass computes the node at place `node`, or is given it if it is a leaf.

    arithmetic: with numbers, ``2 × −3``; empty for a leaf.
    """

    node: int
    arithmetic: str


@dataclass(frozen=True)
class Seed:
    """The backward pass begins: the gradient of the root with respect to itself is `value`."""

    node: int
    value: float


@dataclass(frozen=True)
class Contribution:
    """The backward pass follows one edge, from the result `node` to its operand number `place`.

    upstream × local = contribution, which takes the gradient of `operand` from `before` to `after`.
    """

    node: int
    place: int
    operand: int
    upstream: float
    local: float
    contribution: float
    before: float
    after: float


Event: TypeAlias = Forward | Seed | Contribution


@dataclass(frozen=True, eq=False)
class Record(Sequence[Event]):
    """One step: its nodes, operands before results, and its events, forward and then backward.

    mistake: the mistake that the backward pass makes, or None.
    """

    nodes: tuple[Node, ...]
    events: tuple[Event, ...]
    mistake: str | None = None

    def __len__(self) -> int:
        return len(self.events)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        return self.events[place]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    @property
    def gradients(self) -> dict[str, float]:
        """The derivative of the root with respect to each named leaf, by name."""
        found: dict[str, float] = {}
        for node in self.nodes:
            if not node.operation and not node.constant:
                found[node.name] = 0.0
        for event in self.events:
            if isinstance(event, Seed):
                place, value = event.node, event.value
            elif isinstance(event, Contribution):
                place, value = event.operand, event.after
            else:
                continue
            node = self.nodes[place]
            if not node.operation and not node.constant:
                found[node.name] = value
        return found

    def state(self, step: int) -> tuple[list[float | None], list[float | None]]:
        """The values and the gradients, node by node, after event number `step` (from 0).

        None stands for a value that is not computed yet, or a gradient that is not reached yet;
        -1 is before the first event.

        >>> a, b = Value(2.0, label="a"), Value(3.0, label="b")
        >>> record(a * b).state(3)  # a, b and the product are there, and the seed
        ([2.0, 3.0, 6.0], [None, None, 1.0])
        """
        if not -1 <= step < len(self.events):
            raise IndexError(f"the step has {len(self.events)} events, but got number {step}")
        values: list[float | None] = [None] * len(self.nodes)
        gradients: list[float | None] = [None] * len(self.nodes)
        if self.mistake == "no_zero_grad":
            for event in reversed(self.events):
                if isinstance(event, Contribution) and not self.nodes[event.operand].operation:
                    gradients[event.operand] = event.before
        for event in self.events[: step + 1]:
            if isinstance(event, Forward):
                values[event.node] = self.nodes[event.node].value
            elif isinstance(event, Seed):
                gradients[event.node] = event.value
            else:
                gradients[event.operand] = event.after
        return values, gradients

    def __str__(self) -> str:
        """The step as a table, to be followed with a pencil."""
        root = self.nodes[-1].name
        given = [e for e in self.events if isinstance(e, Forward) and not e.arithmetic]
        computed = [e for e in self.events if isinstance(e, Forward) and e.arithmetic]
        backward = [e for e in self.events if not isinstance(e, Forward) and self._concerns(e)]
        gradients = [[f"∂{root}/∂{name}", "=", number(x)] for name, x in self.gradients.items()]
        parts = [
            ("given", [self._forward_row(e) for e in given if not self.nodes[e.node].constant]),
            ("forward pass", [self._forward_row(e) for e in computed]),
            ("backward pass", [self._backward_row(e) for e in backward]),
            ("gradients", gradients),
        ]
        return "\n\n".join(f"{title}\n{_aligned(rows)}" for title, rows in parts if rows)

    def _concerns(self, event: Seed | Contribution) -> bool:
        """Constants have gradients too, but nobody asks for them."""
        return isinstance(event, Seed) or not self.nodes[event.operand].constant

    def line(self, step: int) -> str:
        """One event as a line: ``d = a × b = 2 × −3 = −6``."""
        event = self.events[step]
        row = self._forward_row(event) if isinstance(event, Forward) else self._backward_row(event)
        return clean(" ".join(filter(None, row)))

    def _forward_row(self, event: Forward) -> list[str]:
        node = self.nodes[event.node]
        if not node.formula:
            return [node.name, "=", number(node.value)]
        return [node.name, "=", node.formula, "=", event.arithmetic, "=", number(node.value)]

    def _backward_row(self, event: Seed | Contribution) -> list[str]:
        if isinstance(event, Seed):
            return [f"{self.nodes[event.node].name}.grad:", number(event.value), "(the seed)"]
        out, operand = self.nodes[event.node].name, self.nodes[event.operand].name
        before, contribution = number(event.before), number(event.contribution)
        rule = self.nodes[event.node].rules[event.place]
        meaning = "" if rule == number(event.local) else f" (= {rule})"
        keeps = self.mistake != "overwrite"
        return [
            f"{operand}.grad:",
            f"{before} +" if keeps else "",
            f"upstream {number(event.upstream)}",
            "×",
            f"∂{out}/∂{operand}{meaning}",
            number(event.local),
            "=",
            f"{before} + {contribution}" if keeps else contribution,
            "→",
            number(event.after),
        ]


def record(
    root: Value, names: Mapping[str, Any] | None = None, mistake: str | None = None
) -> Record:
    """The record of the step that computed `root`, with the backward pass from it.

    names: variables and what they hold, such as ``locals()``: Values without a label take the
        name of the variable that holds them. What has no name is called x1, x2, … if it goes in,
        and v1, v2, … if it is computed.
    mistake: one of `MISTAKES`, to see what becomes of the gradients.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> d = a * b
    >>> print(record(d, names={"d": d}))
    given
      a = 2
      b = −3
    <BLANKLINE>
    forward pass
      d = a × b = 2 × −3 = −6
    <BLANKLINE>
    backward pass
      d.grad: 1   (the seed)
      a.grad: 0 + upstream 1 × ∂d/∂a (= b) −3 = 0 + −3 → −3
      b.grad: 0 + upstream 1 × ∂d/∂b (= a) 2  = 0 + 2  → 2
    <BLANKLINE>
    gradients
      ∂d/∂a = −3
      ∂d/∂b = 2
    """
    if mistake is not None and mistake not in MISTAKES:
        raise ValueError(f"mistake is one of {', '.join(MISTAKES)}, but got {mistake!r}")
    order = order_of(root)
    places = {value: place for place, value in enumerate(order)}
    called = name_values(order, names)
    nodes = tuple(_node(value, places, called) for value in order)
    events: list[Event] = []
    for place, value in enumerate(order):
        arithmetic = spell(term_of(value, numbers_of(places))) if value.operation else ""
        events.append(Forward(place, arithmetic))
    events.append(Seed(len(order) - 1, 1.0))
    before = [0.0] * len(order)
    if mistake == "no_zero_grad":
        right = record(root, names)
        for event in right.events:
            if isinstance(event, Contribution) and not nodes[event.operand].operation:
                before[event.operand] = event.after
    events += _contributions(order, places, before, mistake)
    return Record(nodes, tuple(events), mistake)


def order_of(root: Value) -> list[Value]:
    """`topological_order`, in which a `where` also comes after what its condition compared.

    >>> from microgrant import where
    >>> x = Value(2.0, "x")
    >>> [value.label or value._op for value in order_of(where(x > 0, 1.0, 0.0) * x)]
    ['x', '', 'where', '*']
    """
    order = topological_order(root)
    if not any(isinstance(value.operation, Choice) for value in order):
        return order
    inside = set(order)
    return [x for x in whole_order(root) if isinstance(x, Value) and x in inside]


def check_unchanged(order: Sequence[Value]) -> None:
    """A ValueError if the data of a graph was changed after the forward pass.

    Such a graph can still be differentiated, since it keeps its local derivatives. It cannot be
    explained: its numbers do not follow from one another any more.

    >>> x = Value(2.0)
    >>> y = x * 3
    >>> x.data = 5.0
    >>> check_unchanged(topological_order(y))
    Traceback (most recent call last):
        ...
    ValueError: the data of a graph was changed after its forward pass, so that 5 × 3 = 6: ...
    """
    places = set(order)
    for value in order:
        operation = value.operation
        if operation is None:
            continue
        data = operation.forward(*(operand._data for operand in value._prev))
        flipped = isinstance(operation, Choice) and not operation.condition.unchanged()
        if flipped or (data != value._data and data == data):
            arithmetic = f"{spell(term_of(value, numbers_of(places)))} = {number(value._data)}"
            raise ValueError(
                f"the data of a graph was changed after its forward pass, so that {arithmetic}: "
                "explain a step before the parameters are updated, or compute it again"
            )


def held_by(names: Mapping[str, Any] | None, order: Sequence[Value]) -> dict[str, Value]:
    """Of all that variables hold, the Values of one graph: nothing else is to be kept alive.

    >>> x = Value(2.0)
    >>> held_by({"x": x, "data": [1.0] * 10}, [x])
    {'x': Value(data=2.0, grad=0.0)}
    """
    wanted = {*order, *_mentioned(order)}
    return {name: value for name, value in _held(names or {}) if value in wanted}


# --- How a node was computed ----------------------------------------------------------------------

OperandOf: TypeAlias = "Callable[[Value], Operand | None]"


def term_of(value: Value, operand_of: OperandOf) -> Term:
    """How an interior node was computed, as a term over names or numbers.

    operand_of: the name or number that stands for a Value. What a `where` compares or does not take
        need not be in the graph: where None stands for such a Value, it is written out.

    >>> from microgrant import where
    >>> x, a = Value(2.0, "x"), Value(3.0, "a")
    >>> y = where(x > 0, a, x * 0.1)
    >>> spell(term_of(y, names_of(name_values(topological_order(y)))))
    'where(x > 0, a, x × 0.1)'
    """
    return _Writer(operand_of).term(value)


def rule_of(choice: Choice, operand_of: OperandOf) -> Operand:
    """The derivative of a `where` with respect to the branch taken: 1 for as long as it is."""
    condition = _Writer(operand_of).part(choice.condition)
    branches = CHOICE.partials(TERMS, Term(""), condition, Term(""), Term(""))[1:]
    rule: Operand = branches[0 if choice.condition.truth else 1]
    return rule


def names_of(called: Mapping[Value, str]) -> OperandOf:
    """For `term_of`: names."""
    return lambda value: Term(called[value]) if value in called else None


def numbers_of(graph: Container[Value]) -> OperandOf:
    """For `term_of`: the data of what is in the graph."""
    return lambda value: value._data if value in graph else None


class _Writer:
    """Writes terms, and stops writing out before they are too long to be read."""

    def __init__(self, operand_of: OperandOf) -> None:
        self.operand_of = operand_of
        self.room = MOST_WRITTEN_OUT

    def term(self, value: Value) -> Term:
        operation = value.operation
        if isinstance(operation, Choice):
            parts = (operation.condition, operation.if_true, operation.if_false)
            return Term(CHOICE, tuple(map(self.part, parts)))
        if operation is None:
            raise ValueError(f"{value!r} was given, and not computed")
        return Term(operation, tuple(map(self.part, value._prev)))

    def part(self, x: Value | Condition | float) -> Operand:
        if isinstance(x, Condition):
            return self.condition(x)
        if not isinstance(x, Value):
            return float(x)
        known = self.operand_of(x)
        if known is not None:
            return known
        if x.operation is None or not self.room:
            return x._data
        self.room -= 1
        return self.term(x)

    def condition(self, condition: Condition) -> Term:
        if not self.room:
            return Term("…")
        self.room -= 1
        relation, operands = condition.relation, list(condition.operands)

        def goes_on() -> bool:  # of (a and b) and c, the parentheses say nothing
            return relation in ("and", "or") and operands[0].relation == relation

        while goes_on() and len(operands) < self.room:
            operands[:1] = operands[0].operands
        first = Term("…") if goes_on() else self.part(operands[0])
        return Term(relation, (first, *map(self.part, operands[1:])))


def _mentioned(order: Sequence[Value]) -> list[Value]:
    """The Values outside of a graph that conditions and branches not taken were computed from."""
    if not any(isinstance(value.operation, Choice) for value in order):
        return []
    inside = set(order)
    return [x for x in whole_order(*order) if isinstance(x, Value) and x not in inside]


def _node(value: Value, places: Mapping[Value, int], called: Mapping[Value, str]) -> Node:
    operation, name = value.operation, called[value]
    if operation is None:
        constant = hasattr(value, "_constant") and not value.label and name == number(value._data)
        return Node(name, value._data, "", "", (), (), "", (), constant)
    return Node(
        name,
        value._data,
        operation.name,
        operation.symbol,
        operation.constants,
        tuple(places[operand] for operand in value._prev),
        spell(term_of(value, names_of(called))),
        tuple(rules_of(value, called)),
        constant=False,
    )


def _contributions(
    order: Sequence[Value],
    places: Mapping[Value, int],
    gradients: list[float],
    mistake: str | None,
) -> Iterator[Contribution]:
    """The backward pass from the last of `order`; `gradients` is what it begins with."""
    gradients[-1] = 1.0
    naive = mistake == "no_topological_order"
    for count, value in enumerate(_naive_order(order[-1]) if naive else reversed(order)):
        if count > MOST_EVENTS:
            raise ValueError(
                f"without a topological order this step takes more than {MOST_EVENTS:,} visits, "
                "since each node is visited once for every path to it: take a smaller graph"
            )
        node = places[value]
        upstream = gradients[node]
        for place, operand in enumerate(value._prev):
            local, target = value.partials[place], places[operand]
            before, contribution = gradients[target], local * upstream
            after = contribution if mistake == "overwrite" else before + contribution
            gradients[target] = after
            yield Contribution(node, place, target, upstream, local, contribution, before, after)


def _naive_order(root: Value) -> Iterator[Value]:
    """What "differentiate, then recurse into each operand" visits: a node once for every path."""
    stack = [root]
    while stack:
        value = stack.pop()
        yield value
        stack.extend(reversed(value._prev))


def rules_of(value: Value, called: Mapping[Value, str]) -> list[str]:
    """The local derivatives of an interior node in words, one for each operand."""
    operation, operands = value.operation, value._prev
    if operation is None:
        return []
    if isinstance(operation, Choice):
        return [spell(rule_of(operation, names_of(called)))]
    names = [called[operand] for operand in operands]
    try:
        return derivative(operation, called[value], names)
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return [f"∂{operation.name}/∂{name}" for name in names]


def name_values(order: Sequence[Value], names: Mapping[str, Any] | None = None) -> dict[Value, str]:
    """A name for each Value of a graph, all different; and those that the user has given to what a
    `where` compared or did not take.

    What `given_names` knows; or its number if it is a constant of the program; or else x1, x2, …
    for what goes in and v1, v2, … for what is computed.

    >>> x = Value(3.0)
    >>> y = x * 2 + 1
    >>> list(name_values(topological_order(y), {"y": y}).values())
    ['x1', '2', 'v1', '1', 'y']
    """
    mentioned = _mentioned(order)
    called = given_names([*order, *mentioned], names)
    taken = set(called.values())
    counts = {"x": 0, "v": 0}
    for value in order:
        if value in called:
            continue
        if hasattr(value, "_constant"):
            called[value] = number(value._data)  # constants need not differ
            continue
        letter = "x" if value.operation is None else "v"
        counts[letter] += 1
        while f"{letter}{counts[letter]}" in taken:
            counts[letter] += 1
        called[value] = f"{letter}{counts[letter]}"
    return {value: called[value] for value in (*order, *mentioned) if value in called}


def given_names(order: Sequence[Value], names: Mapping[str, Any] | None = None) -> dict[Value, str]:
    """The names that the user has given: labels, and variables in `names` that hold a Value (or a
    list, a dictionary or a module in which it is, at any depth). A name given twice gets a number.

    >>> x = Value(3.0)
    >>> list(given_names(topological_order(x * 2), {"inputs": [x]}).values())
    ['inputs[0]']
    """
    if names is not None and not isinstance(names, Mapping):
        raise TypeError(
            f"names is a dictionary of variables, such as locals(), but got {type(names).__name__}"
        )
    wanted = set(order)
    called: dict[Value, str] = {}
    times: dict[str, int] = {}
    labelled = ((str(value.label), value) for value in order if value.label)
    for name, value in chain(labelled, _held(names or {})):
        if value in wanted and value not in called:
            called[value] = different(name, times)
    return called


def different(name: str, times: dict[str, int]) -> str:
    """The name, or ``name′2`` and so on for a further thing with that name.

    times: how often each name has come up; it is kept up to date.

    >>> times = {}
    >>> different("w", times), different("w", times)
    ('w', 'w′2')
    """
    while True:
        times[name] = count = times.get(name, 0) + 1
        if count == 1:
            return name
        if f"{name}′{count}" not in times:
            times[f"{name}′{count}"] = 1
            return f"{name}′{count}"


def _held(names: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """The Values in variables, then those in the lists, dictionaries and modules there."""
    seen: set[int] = set()
    waiting = deque((str(name), x) for name, x in names.items() if not str(name).startswith("_"))
    for _ in range(MOST_SEARCHED):
        if not waiting:
            return
        name, x = waiting.popleft()
        if isinstance(x, Value):
            yield name, x
        elif id(x) not in seen:
            seen.add(id(x))
            waiting.extend((f"{name}{rest}", inner) for rest, inner in _inside(x))


def _inside(x: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(x, (list, tuple)) and len(x) <= LARGEST_SEARCHED:
        return [(f"[{i}]", element) for i, element in enumerate(x)]
    if isinstance(x, dict) and len(x) <= LARGEST_SEARCHED:
        return [(f"[{key!r}]", element) for key, element in x.items()]
    if isinstance(x, Module):
        return [(f".{name}", value) for name, value in x.named_parameters()]
    return ()


def clean(text: str) -> str:
    """Text in which nothing breaks a line, turns it around, or cannot be written.

    >>> clean("a\\nb")
    'a�b'
    """
    return _CONTROL.sub("\ufffd", text)


def _aligned(rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell; a cell with a control character cannot break a line."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in _columns(rows)]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines.append("  " + " ".join(cells).rstrip())
    return "\n".join(lines)


def _columns(rows: list[list[str]]) -> Iterator[list[str]]:
    for place in range(max(map(len, rows))):
        yield [row[place] for row in rows if place < len(row)]
