"""A graph as statements: what they say is what it computes, and each part of them is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from microgrant import Value, where
from microgrant.nn import MLP
from microgrant.views.graph import Graph
from microgrant.views.statements import CLOSE, Parts, plain, statements, title_of

PYTHON = str.maketrans({"×": "*", "−": "-", "²": "**2", "³": "**3"})


def told(root: Value) -> list[str]:
    graph, names = named(root)
    return [f"{names[place]} = {plain(parts)}" for place, parts in statements(graph, names)]


def named(root: Value) -> tuple[Graph, list[str]]:
    graph = Graph(root)
    return graph, [graph.called[value] for value in graph.order]


def arithmetic(rng: random.Random) -> Value:
    """Some operations on each other's results, as one would write them with signs and brackets."""
    values = [Value(rng.uniform(0.5, 2.0), name) for name in "abc"]
    for _ in range(rng.randint(1, 12)):
        x, y = rng.choice(values[-3:]), rng.choice(values)
        values.append(
            rng.choice([x + y, x - y, x * y, x / (y * y + 1), -x, x**2, x.tanh(), x - 1e-7, 2 - x])
        )
    return values[-1]


@pytest.mark.parametrize("seed", range(200))
def test_they_compute_what_the_graph_computes(seed: int) -> None:
    root = arithmetic(random.Random(seed))
    graph, names = named(root)
    known = {name: x.data for name, x in zip(names, graph.order, strict=True) if not x.operation}
    for place, parts in statements(graph, names):
        text = plain(parts).translate(PYTHON)
        known[names[place]] = eval(text, {"tanh": math.tanh}, known)
    assert known[names[-1]] == pytest.approx(root.data, rel=1e-6)


@pytest.mark.parametrize("seed", range(50))
def test_each_part_is_what_one_value_is_computed_from(seed: int) -> None:
    graph, names = named(arithmetic(random.Random(seed)))
    begun: list[int] = []
    for place, parts in statements(graph, names):
        assert parts[0] == place
        assert parts[-1] == CLOSE
        begun += inside_of(parts, graph)
    computed = [place for place, value in enumerate(graph.order) if value.operation]
    assert set(computed) <= set(begun)


def inside_of(parts: Parts, graph: Graph) -> list[int]:
    """The places in a statement: each stands within one that is computed from it."""
    around: list[int] = []
    found = []
    for part in parts:
        if part == CLOSE:
            around.pop()
        elif isinstance(part, int):
            assert not around or part in graph.operands[around[-1]]
            around.append(part)
            found.append(part)
    assert not around
    return found


def test_what_is_used_twice_is_said_once() -> None:
    x, y = Value(0.5, "x"), Value(1.0, "y")
    p = x.sigmoid()
    p.label = "p"
    loss = -(y * p.log() + (1 - y) * (1 - p).log())
    assert told(loss) == [
        "p = sigmoid(x)",
        "v8 = −(y × log(p) + (1 − y) × log(1 − p))",
    ]


def test_what_has_a_name_is_said_apart() -> None:
    w, x, y = Value(0.5, "w"), Value(1.0, "x"), Value(2.0, "y")
    h = (w * x).tanh()
    h.label = "h"
    assert told((h - y) ** 2) == ["h = tanh(w × x)", "v3 = (h − y)²"]


def test_a_module_says_what_each_neuron_returns() -> None:
    model = MLP(2, [2, 1], activation="tanh")
    *hidden, last = told(model([Value(1.0, "a"), Value(2.0, "b")]))
    assert len(hidden) == 2
    assert all(" = tanh(" in each for each in hidden)
    assert last.count("×") == 2


def test_what_a_where_compares_is_not_marked_as_its_operand() -> None:
    """Nor what the branch that is not taken is made of."""
    for data, text in ((2.0, "where(x > 0, [x], 0.1 × x)"), (-2.0, "where(x > 0, x, [0.1 × x])")):
        x = Value(data, "x")
        graph = Graph(where(x > 0, x, 0.1 * x))
        names = [graph.called[value] for value in graph.order]
        [(_, [_, *parts, _])] = statements(graph, names)
        inner = graph.places[graph.root.operands[0]]
        marked, depth = "", 0
        for part in parts:
            if isinstance(part, str):
                marked += part
            elif part == inner:
                marked, depth = marked + "[", 1
            elif depth:
                depth += 1 if part != CLOSE else -1
                marked += "]" * (depth == 0)
        assert marked == text


@pytest.mark.parametrize("count", [3, 200, 5_000])
def test_a_long_sum_is_several_statements(count: int) -> None:
    total = sum([Value(1.0, f"term{i}") for i in range(count)], Value(0.0, "start"))
    lines = told(total)
    assert max(map(len, lines)) < 250
    assert sum(line.count("term") for line in lines) == count


@pytest.mark.parametrize(
    ("make", "title"),
    [
        (lambda a, b: (a * b + 10) ** 2, "(a × b + 10)²"),
        (lambda a, b: where(a > 0, a, b), "where(a > 0, a, b)"),
        (lambda a, b: a, "a"),
        (lambda a, b: (lambda d: d * d)(a + b), "v1 = a + b; v1 × v1"),
        (
            lambda a, b: sum([a * b + i for i in range(40)], a),
            "v117 + a × b + 37 + a × b + 38 + a × b + 39",
        ),
    ],
)
def test_the_title_says_what_is_computed(make: Callable[[Value, Value], Value], title: str) -> None:
    root = make(Value(2.0, "a"), Value(-3.0, "b"))
    assert title_of(Graph(root)) == title
    if root.operation:
        assert title_of(Graph(root, {"loss": root})) == "loss"
