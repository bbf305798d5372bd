"""The engine to read first, demos/plain_engine.py: its numbers are ours, to the last bit."""

from __future__ import annotations

import doctest
import importlib.util
import itertools
import math
import operator
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from graphs import MICROGRANT, OPERATORS, Program, random_program, run

from microgrant.engine import Value, topological_order

FILE = Path(__file__).parents[2] / "demos" / "plain_engine.py"


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_engine", FILE)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


plain = module()

OPERATIONS = ("add", "sub", "mul", "div", "neg", "exp", "log", "tanh", "relu")
PLAIN: dict[str, Callable[..., Any]] = {
    name: OPERATORS.get(name) or operator.methodcaller(name) for name in OPERATIONS
}
EXPONENTS = (0, 1, 2, 3, -1, -2, -3, 0.5, -0.5, 2.5, 1e3, math.inf, -math.inf, math.nan)
EDGES = (0.0, -0.0, 1.0, -1.0, 0.3, -2.0, 3.0, 40.0, -40.0, 800.0, -800.0, 1e200, -1e200, 5e-324)
EDGES += (math.inf, -math.inf, math.nan)


def test_examples_in_its_docstrings() -> None:
    failed, attempted = doctest.testmod(plain)
    assert attempted
    assert not failed


def shown(nodes: list[Any]) -> list[tuple[str, str]]:
    return [(node.data.hex(), node.grad.hex()) for node in nodes]


def assert_same(ours: Value, theirs: Any) -> None:
    """The same graph in the same order, with the same numbers."""
    order, plain_order = topological_order(ours), plain.topological_order(theirs)
    place = {node: i for i, node in enumerate(order)}
    plain_place = {node: i for i, node in enumerate(plain_order)}
    assert [[place[x] for x in node._prev] for node in order] == [
        [plain_place[x] for x in node.operands] for node in plain_order
    ]
    assert shown(order) == shown(plain_order)


def both(program: Program) -> tuple[list[Value], list[Any]]:
    """The results of all lines, in either engine."""
    return (
        run(program, [Value(x) for x in program.leaves], MICROGRANT),
        run(program, [plain.Value(x) for x in program.leaves], PLAIN),
    )


@pytest.mark.parametrize(
    "seeds", [range(300), pytest.param(range(300, 5_000), marks=pytest.mark.campaign)], ids=str
)
def test_random_graphs(seeds: range) -> None:
    for seed in seeds:
        ours, theirs = both(random_program(seed, OPERATIONS))
        # A line on the way, all, all again, and the line again: they share what it was made from.
        middle = len(ours) // 2
        for line in (middle, -1, -1, middle):
            ours[line].backward()
            theirs[line].backward()
            assert_same(ours[-1], theirs[-1])
        ours[middle].data = theirs[middle].data = 7.0  # which changes nothing that was recorded
        ours[-1].backward()
        theirs[-1].backward()
        assert_same(ours[-1], theirs[-1])


def test_the_edges_of_every_operation() -> None:
    functions = {name: (MICROGRANT[name], PLAIN[name]) for name in OPERATIONS}
    for name, (ours, theirs) in functions.items():
        arity = 2 if name in ("add", "sub", "mul", "div") else 1
        for numbers in itertools.product(EDGES, repeat=arity):
            out, plain_out = ours(*map(Value, numbers)), theirs(*map(plain.Value, numbers))
            out.backward()
            plain_out.backward()
            assert shown(topological_order(out)) == shown(plain.topological_order(plain_out)), (
                f"{name}{numbers}"
            )


def test_the_edges_of_powers() -> None:
    for x, exponent in itertools.product(EDGES, EXPONENTS):
        out, plain_out = Value(x) ** exponent, plain.Value(x) ** exponent
        out.backward()
        plain_out.backward()
        assert shown(topological_order(out)) == shown(plain.topological_order(plain_out)), (
            f"{x} ** {exponent}"
        )


def test_numbers_on_the_left() -> None:
    for operate in (operator.add, operator.sub, operator.mul, operator.truediv):
        ours, theirs = operate(3.0, Value(0.7)), operate(3.0, plain.Value(0.7))
        ours.backward()
        theirs.backward()
        assert_same(ours, theirs)


def test_a_leaf_is_its_own_derivative() -> None:
    ours, theirs = Value(2.0), plain.Value(2.0)
    for _ in range(2):
        ours.backward()
        theirs.backward()
    assert ours.grad == theirs.grad == 2.0


def test_a_deep_chain_needs_no_recursion() -> None:
    x = y = plain.Value(1.0)
    for _ in range(20_000):
        y = y + x
    y.backward()
    assert x.grad == 20_001.0
