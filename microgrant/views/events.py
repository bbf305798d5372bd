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

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import TypeAlias, overload

from ..engine.arguments import one_of, whole_number
from ..engine.by_hand import local_derivatives
from ..engine.value import Value
from ..ops.numbers import equals, number
from ..ops.table import DETACH, FLOATS
from ..ops.words import TERMS, spell
from ..optim import Optimizer
from .formulas import numeral, worded
from .graph import Graph, numbered
from .style import clean
from .updates import SYMBOLS, Rule, moved, rules_of, settings_of

__all__ = ["MISTAKES", "Contribution", "Event", "Forward", "Given", "Node", "Record", "Seed"]
__all__ += ["record", "record_of", "written"]

MISTAKES = {
    "overwrite": "= in place of +=: each contribution overwrites the one before",
    "no_topological_order": "naive recursion: a gradient is passed on before it is complete",
    "no_zero_grad": "the gradients of an earlier, equal step were not set back to zero",
}
"""The classic mistakes that `record` can make on purpose, and what each of them does."""

MOST_GIVEN = 100  # characters of leaves that a line lists

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
class Given:
    """The step begins: the leaves are there, at the places `nodes`."""

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Forward:
    """The forward pass computes the node at place `node`.

    arithmetic: with numbers, ``2 × −3``.
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


@dataclass(frozen=True)
class Equation:
    """A line of what an optimiser does: ``name ← formula = arithmetic = value``."""

    name: str
    formula: str
    arithmetic: str
    value: float
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Update:
    """An optimiser takes the parameter `node` from `before` to `after`, since this is its gradient.

    equations: how; of an optimiser of the user's own nothing is known but the result.
    """

    node: int
    gradient: float
    before: float
    after: float
    equations: tuple[Equation, ...]


Event: TypeAlias = Given | Forward | Seed | Contribution | Update


@dataclass(frozen=True, eq=False)
class Record(Sequence[Event]):
    """One step: its nodes, operands before results, and its events: what is given, then forward,
    and then backward.

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

    @property
    def gradients(self) -> dict[str, float]:
        """The derivative of the root with respect to each named leaf, by name."""
        _, gradients = self.state(len(self))
        return {
            node.name: 0.0 if gradient is None else gradient
            for node, gradient in zip(self.nodes, gradients, strict=True)
            if not node.operation and not node.constant
        }

    def state(self, step: int) -> tuple[list[float | None], list[float | None]]:
        """The values and the gradients, node by node, after a step of the page: they are numbered
        from 1, and after 0 nothing has happened.

        None stands for a value that is not computed yet, or a gradient that is not reached yet.

        >>> a, b = Value(2.0, label="a"), Value(3.0, label="b")
        >>> record(a * b).state(3)  # a and b, then the product, then the seed
        ([2.0, 3.0, 6.0], [None, None, 1.0])
        """
        self._check_step(step, 0)
        values: list[float | None] = [None] * len(self.nodes)
        gradients: list[float | None] = [None] * len(self.nodes)
        if self.mistake == "no_zero_grad":
            for event in reversed(self.events):
                if isinstance(event, Contribution) and not self.nodes[event.operand].operation:
                    gradients[event.operand] = event.before
        for event in self.events[:step]:
            if isinstance(event, Given):
                for node in event.nodes:
                    values[node] = self.nodes[node].value
            elif isinstance(event, Forward):
                values[event.node] = self.nodes[event.node].value
            elif isinstance(event, Seed):
                gradients[event.node] = event.value
            elif isinstance(event, Update):
                values[event.node] = event.after
            else:
                gradients[event.operand] = event.after
        return values, gradients

    def __str__(self) -> str:
        """The step as a table, to be followed with a pencil."""
        root = self.nodes[-1].name
        given = [[name, equals(x), number(x)] for name, x in self._given()]
        parts: dict[str, list[list[str]]] = {"given": given, "forward pass": []}
        parts["backward pass"] = []
        updated: list[list[str]] = []
        for event in self.events[1:]:
            if isinstance(event, Forward):
                parts["forward pass"].append(self._row(event))
            elif isinstance(event, Update):
                updated += self._updated(event)
            elif not self.about_constant(event):
                parts["backward pass"].append(self._row(event))
        parts["gradients"] = [
            [f"∂{root}/∂{name}", equals(x), number(x)] for name, x in self.gradients.items()
        ]
        parts["update"] = updated
        return "\n\n".join(f"{title}\n{_aligned(rows)}" for title, rows in parts.items() if rows)

    def about_constant(self, event: Event) -> bool:
        """Whether an event is about the gradient of a constant, which nobody asks for."""
        return isinstance(event, Contribution) and self.nodes[event.operand].constant

    def line(self, step: int) -> str:
        """A step of the page as a line, ``d = a × b = 2 × −3 = −6``; they are numbered from 1."""
        self._check_step(step, 1)
        return clean(" ".join(filter(None, self._row(self.events[step - 1]))))

    def _check_step(self, step: int, first: int) -> None:
        step = whole_number("a step", step, None)
        if not first <= step <= len(self):
            raise IndexError(f"the steps are numbered {first} to {len(self)}, but got {step}")

    def _given(self) -> list[tuple[str, float]]:
        """The leaves, but for constants, and their values."""
        leaves = (node for node in self.nodes if not (node.operation or node.constant))
        return [(node.name, node.value) for node in leaves]

    def _row(self, event: Event) -> list[str]:
        """An event as the cells of a table."""
        if isinstance(event, Given):
            leaves = [f"{name} {equals(x)} {number(x)}" for name, x in self._given()]
            ends = [*accumulate(map(len, leaves))]
            shown = [x for x, end in zip(leaves, ends, strict=True) if end <= MOST_GIVEN]
            if len(shown) < len(leaves):
                shown.append(f"and {len(leaves) - len(shown)} more")
            return ["given:", ", ".join(shown) or "constants"]
        node = self.nodes[event.node]
        if isinstance(event, Forward):
            numbers = [self.nodes[operand].value for operand in node.operands]
            filled_in, result = equals(*numbers), equals(*numbers, node.value)
            arithmetic = event.arithmetic
            return [node.name, "=", node.formula, filled_in, arithmetic, result, number(node.value)]
        if isinstance(event, Seed):
            return [f"{node.name}.grad:", number(event.value), "(the seed)"]
        if isinstance(event, Update):
            return ["; ".join(" ".join(line) for line in self._updated(event))]
        operand, rule = self.nodes[event.operand].name, node.rules[event.place]
        if self.about_constant(event):  # 1.1.grad would be taken for a name
            operand = f"(constant {operand})"
        names = [self.nodes[x].name for x in node.operands]
        use = numbered(names, node.operands)[event.place]
        local, contribution = number(event.local), number(event.contribution)
        meaning = "" if rule == local else f" (= {rule})"
        before = "" if self.mistake == "overwrite" else f"{number(event.before)} +"
        derivative = f"∂{node.name}/∂{use}{meaning}"
        product = [f"upstream {number(event.upstream)}", "×", derivative, local]
        total = [f"{before} {contribution}".lstrip(), "→", number(event.after)]
        share = equals(event.before, event.upstream, event.local, event.contribution)
        return [f"{operand}.grad:", before, *product, share, *total]

    def _updated(self, event: Update) -> list[list[str]]:
        """What an optimiser does to a parameter, each line as the cells of a table."""
        rows = []
        for line in event.equations:
            first, second = equals(*line.numbers), equals(*line.numbers, line.value)
            arithmetic = [line.formula, first, line.arithmetic, second, number(line.value)]
            rows.append([line.name, "←", *arithmetic])
        return rows or [[self.nodes[event.node].name, "←", number(event.after)]]


def written(event: Event) -> tuple[int, ...]:
    """The places of the nodes whose value or gradient an event sets."""
    if isinstance(event, Given):
        return event.nodes
    return (event.operand if isinstance(event, Contribution) else event.node,)


def record(
    root: Value, names: Mapping[str, object] | None = None, mistake: str | None = None
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
    return record_of(Graph(root, names, parameters=False), mistake)


def record_of(
    graph: Graph, mistake: str | None = None, optimizer: Optimizer | None = None
) -> Record:
    """`record`, for a graph that is ordered and named already."""
    if mistake is not None:
        one_of("mistake", mistake, MISTAKES)
    nodes = tuple(_node(graph, value) for value in graph.order)
    leaves = tuple(place for place, node in enumerate(nodes) if not node.operation)
    events: list[Event] = [Given(leaves)]
    events += (
        Forward(place, graph.arithmetic(value))
        for place, value in enumerate(graph.order)
        if value.operation
    )
    events.append(Seed(len(nodes) - 1, 1.0))
    gradients = _differentiated(graph)
    earlier = [0.0] * len(nodes)
    if mistake == "no_zero_grad":
        earlier = [0.0 if node.operation else x for node, x in zip(nodes, gradients, strict=True)]
    final = [x + y for x, y in zip(earlier, gradients, strict=True)]
    events += _contributions(graph, earlier, final, mistake)  # and brings `earlier` up to date
    if optimizer is not None:
        events += _updates(graph, optimizer, earlier)
    return Record(nodes, tuple(events), mistake)


def _node(graph: Graph, value: Value) -> Node:
    operation, name = value.operation, graph.called[value]
    if operation is None:
        constant = value._constant and not value.label and name == number(value._data)
        return Node(name, value._data, "", "", (), (), "", (), constant)
    entry = operation.name, operation.symbol, operation.constants
    operands, rules = graph.operands[graph.places[value]], tuple(graph.rules(value))
    return Node(name, value._data, *entry, operands, graph.formula(value), rules, constant=False)


def _differentiated(graph: Graph) -> list[float]:
    """The gradients, to the bit, since they are added up in the order in which `backward` does."""
    gradients = [0.0] * len(graph.order)
    gradients[-1] = 1.0
    for node in reversed(graph.engine_order):
        shares = _shares(graph.order[node], gradients[node])
        for target, (_, contribution) in zip(graph.operands[node], shares, strict=True):
            gradients[target] += contribution
    return gradients


def _shares(value: Value, upstream: float) -> list[tuple[float, float]]:
    """For each operand the local derivative, and what is handed on to it: nothing by `detach`."""
    stops = value.operation is DETACH
    partials = local_derivatives(value, upstream)
    return [(local, 0.0 if stops else local * upstream) for local in partials]


def _contributions(
    graph: Graph, gradients: list[float], final: list[float], mistake: str | None
) -> Iterator[Contribution]:
    """The backward pass from the root.

    gradients: what it begins with, and keeps up to date.
    final: what becomes of them without a mistake. Told in another order than it was added up in, a
        sum may be rounded otherwise in the last digit: so the last contribution ends with this.
    """
    gradients[-1] = 1.0
    order: Iterator[int] = reversed(range(len(graph.order)))
    if mistake == "no_topological_order":
        order = _naive_order(graph)
    wrong = mistake in ("overwrite", "no_topological_order")
    left = Counter(target for operands in graph.operands for target in operands)
    for count, node in enumerate(order):
        if count > MOST_EVENTS:
            raise ValueError(
                f"without a topological order this step takes more than {MOST_EVENTS:,} visits, "
                "since each node is visited once for every path to it: take a smaller graph"
            )
        upstream = gradients[node]
        shares = _shares(graph.order[node], upstream)
        for place, target in enumerate(graph.operands[node]):
            (local, contribution), before = shares[place], gradients[target]
            after = contribution if mistake == "overwrite" else before + contribution
            left[target] -= 1
            if not (wrong or left[target]):
                after = final[target]
            gradients[target] = after
            yield Contribution(node, place, target, upstream, local, contribution, before, after)


def _updates(graph: Graph, optimizer: Optimizer, gradients: Sequence[float]) -> Iterator[Update]:
    """What an optimiser makes of the gradients, parameter by parameter."""
    reached = {
        value: gradient
        for value, gradient in zip(graph.order, gradients, strict=True)
        if value.operation is None
    }
    rules = rules_of(optimizer) or []
    settings = settings_of(optimizer) if rules else {}
    for value, after, memory in moved(optimizer, reached):
        before, gradient = value.data, reached[value]
        numbers = settings | memory | {"parameter": before, "gradient": gradient}
        name = graph.called[value]
        gradient_name = f"∂{graph.called[graph.root]}/∂{name}"
        names = SYMBOLS | {"parameter": name, "gradient": gradient_name}
        equations = tuple(_equation(rule, names, numbers) for rule in rules)
        yield Update(graph.places[value], gradient, before, after, equations)


def _equation(rule: Rule, names: dict[str, str], numbers: dict[str, float]) -> Equation:
    """A rule, followed with names and with numbers; both are brought up to date."""
    given = tuple(numbers[operand] for operand in rule.operands)
    formula = rule.term(TERMS, *(worded(names[operand]) for operand in rule.operands))
    arithmetic = rule.term(TERMS, *map(numeral, given))
    numbers[rule.sets] = value = rule.term(FLOATS, *given)
    if rule.sets == "gradient":
        names["gradient"] = "g"  # it is not ∂L/∂w any more
    return Equation(names[rule.sets], spell(formula), spell(arithmetic), value, given)


def _naive_order(graph: Graph) -> Iterator[int]:
    """What "differentiate, then recurse into each operand" visits: a node once for every path."""
    stack = [len(graph.order) - 1]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(graph.operands[node]))


def _aligned(rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell; a cell with a control character cannot break a line."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip_longest(*rows, fillvalue="")]
    lines = [" ".join(map(_padded, row, widths)).rstrip() for row in rows]
    return "\n".join(f"  {line}" for line in lines)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """How wide a text is: a hat stands above its letter."""
    return len(text) - sum(map(bool, map(unicodedata.combining, text)))
