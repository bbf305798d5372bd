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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .engine import Value, topological_order
from .symbolic import Term, derivative, number, spell

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LARGEST_SEARCHED = 10_000  # a longer list is data, not a place where names come from

__all__ = ["Contribution", "Forward", "Node", "Record", "Seed", "name_values", "record"]


@dataclass(frozen=True)
class Node:
    """A value of the graph. `operands` are the places of its operands in `Record.nodes`."""

    name: str
    value: float
    operation: str
    operands: tuple[int, ...]
    constant: bool


@dataclass(frozen=True)
class Forward:
    """The forward pass computes (or is given) the node at place `node`.

    formula: with names, ``a × b``; empty for a leaf.
    arithmetic: with numbers, ``2 × −3``; empty for a leaf.
    """

    node: int
    formula: str
    arithmetic: str


@dataclass(frozen=True)
class Seed:
    """The backward pass begins: the gradient of the root with respect to itself is `value`."""

    node: int
    value: float


@dataclass(frozen=True)
class Contribution:
    """The backward pass follows one edge, from the result `node` to its operand number `place`.

    upstream × local = contribution, which takes the operand's gradient from `before` to `after`.

    rule: the local derivative in words, ``1 − out²`` with the nodes' names in it.
    """

    node: int
    place: int
    operand: int
    upstream: float
    local: float
    contribution: float
    before: float
    after: float
    rule: str


Event = Forward | Seed | Contribution


@dataclass(frozen=True)
class Record(Sequence[Event]):
    """One step: its nodes, operands before results, and its events, forward and then backward."""

    nodes: tuple[Node, ...]
    events: tuple[Event, ...]

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
            if self.nodes[place].name in found:
                found[self.nodes[place].name] = value
        return found

    def __str__(self) -> str:
        """The step as a table, to be followed with a pencil."""
        root = self.nodes[-1].name
        given = [e for e in self.events if isinstance(e, Forward) and not e.formula]
        computed = [e for e in self.events if isinstance(e, Forward) and e.formula]
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

    def _forward_row(self, event: Forward) -> list[str]:
        node = self.nodes[event.node]
        if not event.formula:
            return [node.name, "=", number(node.value)]
        return [node.name, "=", event.formula, "=", event.arithmetic, "=", number(node.value)]

    def _backward_row(self, event: Seed | Contribution) -> list[str]:
        if isinstance(event, Seed):
            return [f"{self.nodes[event.node].name}.grad:", number(event.value), "", "(the seed)"]
        out, operand = self.nodes[event.node].name, self.nodes[event.operand].name
        before, after = number(event.before), number(event.after)
        meaning = "" if event.rule == number(event.local) else f" (= {event.rule})"
        return [
            f"{operand}.grad:",
            before,
            "+",
            f"upstream {number(event.upstream)}",
            "×",
            f"∂{out}/∂{operand}{meaning}",
            number(event.local),
            "=",
            f"{before} + {number(event.contribution)}",
            "→",
            after,
        ]


def record(root: Value, names: Mapping[str, Any] | None = None) -> Record:
    """The record of the step that computed `root`, with the backward pass from it.

    names: variables and what they hold, such as ``locals()``: Values without a label take the
        name of the variable that holds them. What is still without a name is called v1, v2, …

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
    order = topological_order(root)
    places = {value: place for place, value in enumerate(order)}
    called = name_values(order, names)
    nodes: list[Node] = []
    events: list[Event] = []
    for place, value in enumerate(order):
        operation = value._operation
        operands = tuple(places[operand] for operand in value._prev)
        constant = operation is None and not value.label and called[value] == number(value._data)
        nodes.append(Node(called[value], value._data, value._op, operands, constant))
        if operation is None:
            events.append(Forward(place, "", ""))
        else:
            operand_names = tuple(Term(called[operand]) for operand in value._prev)
            numbers = tuple(operand._data for operand in value._prev)
            formula, arithmetic = (Term(operation, x) for x in (operand_names, numbers))
            events.append(Forward(place, spell(formula), spell(arithmetic)))
    events += _backward_events(order, places, called)
    return Record(tuple(nodes), tuple(events))


def _backward_events(
    order: list[Value], places: dict[Value, int], called: dict[Value, str]
) -> Iterator[Seed | Contribution]:
    gradients = dict.fromkeys(order, 0.0)
    gradients[order[-1]] = 1.0
    yield Seed(len(order) - 1, 1.0)
    for value in reversed(order):
        if value._operation is None:
            continue
        upstream = gradients[value]
        rules = rules_of(value, called)
        for place, operand in enumerate(value._prev):
            local, before = value._partials[place], gradients[operand]
            contribution = local * upstream
            gradients[operand] = before + contribution
            yield Contribution(
                places[value],
                place,
                places[operand],
                upstream,
                local,
                contribution,
                before,
                gradients[operand],
                rules[place],
            )


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
            called[value] = _different(name, taken)
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
    return called


def _different(name: str, taken: set[str]) -> str:
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
    rows = [
        [re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "�", cell) for cell in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in _columns(rows)]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines.append("  " + " ".join(cells).rstrip())
    return "\n".join(lines)


def _columns(rows: list[list[str]]) -> Iterator[list[str]]:
    for place in range(max(map(len, rows))):
        yield [row[place] for row in rows if place < len(row)]
