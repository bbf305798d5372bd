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
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .engine import Value, topological_order
from .symbolic import Term, derivative, number, spell

# What would break a line of the table, or turn it around.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LARGEST_SEARCHED = 10_000  # a longer list is data, not a place where names come from

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


@dataclass(frozen=True)
class Record(Sequence[Event]):
    """One step: its nodes, operands before results, and its events, forward and then backward.

    mistake: the mistake that the backward pass makes, or None.
    """

    nodes: tuple[Node, ...]
    events: tuple[Event, ...]
    mistake: str | None = None

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, place: Any) -> Any:
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

        None stands for a value that is not computed yet, or a gradient that is not reached yet.

        >>> a, b = Value(2.0, label="a"), Value(3.0, label="b")
        >>> record(a * b).state(3)  # a, b and the product are there, and the seed
        ([2.0, 3.0, 6.0], [None, None, 1.0])
        """
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
        return _CONTROL.sub("\ufffd", " ".join(filter(None, row)))

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
        name of the variable that holds them. What is still without a name is called v1, v2, …
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
    order = topological_order(root)
    places = {value: place for place, value in enumerate(order)}
    called = name_values(order, names)
    nodes = tuple(_node(value, places, called) for value in order)
    events: list[Event] = []
    for place, value in enumerate(order):
        operation, numbers = value._operation, tuple(operand._data for operand in value._prev)
        events.append(Forward(place, spell(Term(operation, numbers)) if operation else ""))
    events.append(Seed(len(order) - 1, 1.0))
    before = [0.0] * len(order)
    if mistake == "no_zero_grad":
        right = record(root, names)
        for event in right.events:
            if isinstance(event, Contribution) and not nodes[event.operand].operation:
                before[event.operand] = event.after
    events += _contributions(order, places, before, mistake)
    return Record(nodes, tuple(events), mistake)


def _node(value: Value, places: Mapping[Value, int], called: Mapping[Value, str]) -> Node:
    operation, name = value._operation, called[value]
    if operation is None:
        constant = not value.label and name == number(value._data)
        return Node(name, value._data, "", "", (), (), "", (), constant)
    return Node(
        name,
        value._data,
        operation.name,
        operation.symbol,
        operation.constants,
        tuple(places[operand] for operand in value._prev),
        spell(Term(operation, tuple(Term(called[operand]) for operand in value._prev))),
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
            local, target = value._partials[place], places[operand]
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
    operation, operands = value._operation, value._prev
    if operation is None:
        return []
    names = [called[operand] for operand in operands]
    try:
        return derivative(operation, called[value], names)
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return [f"∂{operation.name}/∂{name}" for name in names]


def name_values(order: Sequence[Value], names: Mapping[str, Any] | None = None) -> dict[Value, str]:
    """A name for each Value of a graph, all different.

    Its label, or the variable in `names` that holds it (at any depth of lists and modules), or its
    number if it is a constant, or else v1, v2, … in topological order.

    >>> x = Value(3.0)
    >>> y = x * 2 + 1
    >>> list(name_values(topological_order(y), {"x": x, "y": y}).values())
    ['x', '2', 'v1', '1', 'y']
    """
    wanted = set(order)
    called: dict[Value, str] = {}
    taken: set[str] = set()

    def call(value: Value, name: str) -> None:
        if value in wanted and value not in called:
            called[value] = different(name, taken)
            taken.add(called[value])

    for value in order:
        if value.label:
            call(value, str(value.label))
    for name, value in _held(names or {}):
        call(value, name)
    counter = 0
    for value in order:
        if value in called:
            continue
        if value._operation is None:
            called[value] = number(value._data)  # constants need not differ
            continue
        counter += 1
        while f"v{counter}" in taken:
            counter += 1
        call(value, f"v{counter}")
    return {value: called[value] for value in order}


def different(name: str, taken: Container[str]) -> str:
    """The name, with a number behind a prime if it is taken: ``w′2``."""
    if name not in taken:
        return name
    again = 2
    while f"{name}′{again}" in taken:
        again += 1
    return f"{name}′{again}"


def _held(names: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """The Values in variables, then those in the lists, dictionaries and modules there."""
    seen: set[int] = set()
    waiting = deque((name, x) for name, x in names.items() if not name.startswith("_"))
    while waiting:
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
    if hasattr(x, "named_parameters") and not isinstance(x, type):
        return [(f".{name}", value) for name, value in x.named_parameters()]
    return ()


def _aligned(rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell; a cell with a control character cannot break a line."""
    rows = [[_CONTROL.sub("\ufffd", cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in _columns(rows)]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines.append("  " + " ".join(cells).rstrip())
    return "\n".join(lines)


def _columns(rows: list[list[str]]) -> Iterator[list[str]]:
    for place in range(max(map(len, rows))):
        yield [row[place] for row in rows if place < len(row)]
