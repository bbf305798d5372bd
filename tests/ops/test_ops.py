"""Every entry of the table of operations, in every algebra and every spelling.

The tests are made from the table. An entry that is added without a spelling, a domain, a method or
a reference to compare with fails here.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import operator
import pickle
import random
import re
import struct
from collections.abc import Callable
from typing import Any

import pytest
from graphs import OPERATORS, mpmath_spelling

import microgrant
from microgrant import Value, apply, grad, no_grad, topological_order
from microgrant.engine import VALUES
from microgrant.ops import (
    FLOATS,
    OPERATIONS,
    Operation,
    clip,
    elu,
    leaky_relu,
    of_many,
    power,
    table,
    words,
)

mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")

EXPONENTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 2.5)
BOUNDS = ((-1.0, 2.0), (0.0, 1.0), (-math.inf, 1.0))
ENTRIES = [
    *OPERATIONS.values(),
    *(power(n) for n in EXPONENTS),
    *(clip(low, high) for low, high in BOUNDS),
    leaky_relu(0.01),
    elu(1.5),
]
UNIT = 2.0**-53
POINTS = 20

# How mpmath computes what the table computes.
REFERENCES: dict[str, Callable[..., Any]] = {
    **mpmath_spelling(mpmath),
    "power": lambda x, n: mpmath.power(x, n),
    "clip": lambda x, low, high: max(low, min(high, x)),
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "elu": lambda x, alpha: x if x > 0 else alpha * mpmath.expm1(x),
}

# How one writes an operation on Values: the method or function of the same name, unless given.
WRITTEN: dict[str, Callable[..., Value]] = OPERATORS | {"power": operator.pow}

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=repr)


def points(entry: Operation, count: int = POINTS) -> list[tuple[float, ...]]:
    """Random points of the domain, and its ends."""
    rng = random.Random(entry.name)
    drawn = [tuple(rng.uniform(*interval) for interval in entry.domain) for _ in range(count)]
    return [*zip(*entry.domain, strict=True), *drawn]


def reference(entry: Operation) -> Callable[..., Any]:
    compute = REFERENCES[entry.name]
    return lambda *operands: compute(*operands, *map(mpmath.mpf, entry.constants))


def true_partial(entry: Operation, point: tuple[float, ...], orders: tuple[int, ...]) -> Any:
    exact = tuple(map(mpmath.mpf, point))
    return mpmath.diff(reference(entry), exact, orders)


def assert_close(computed: float, true: Any, ulps: float, least: float = 0.0) -> None:
    error = abs(mpmath.mpf(computed) - true)
    assert error <= ulps * UNIT * max(abs(true), least), f"{computed!r} instead of {true}"


def unit_vectors(size: int) -> list[tuple[int, ...]]:
    return [tuple(int(i == place) for i in range(size)) for place in range(size)]


def bits(x: Any) -> bytes:
    """The bits of a number; all nans are one."""
    number = x.data if isinstance(x, Value) else float(x)
    return struct.pack("<d", number) if number == number else b"nan"


# --- What an entry consists of ------------------------------------------------------------------


@every_entry
def test_entry_has_a_domain_for_each_operand(entry: Operation) -> None:
    assert entry.arity == len(inspect.signature(entry.forward).parameters)
    for low, high in entry.domain:
        assert math.isfinite(low)
        assert math.isfinite(high)
        assert low < high


@every_entry
@pytest.mark.parametrize("target", words.TARGETS)
def test_entry_has_a_spelling_in_every_target(entry: Operation, target: str) -> None:
    names = ["first", "second", "third"][: entry.arity]
    spelled = words.forward(entry, names, target)
    assert sorted(set(re.findall("first|second|third", spelled))) == sorted(names)
    assert spelled not in names
    for text in [
        spelled,
        *words.derivative(entry, "out", names, target),
        *words.derivative(entry, "out", names, target, textbook=False),
    ]:
        assert text.strip()
        assert "object at" not in text
        assert text.count("{") == text.count("}")
        assert target == "latex" or "{" not in text
        assert text.count("(") == text.count(")")
        assert text.count(r"\left") == text.count(r"\right")


@every_entry
def test_entry_has_a_sign(entry: Operation) -> None:
    assert entry.symbol.strip()


def test_signs_are_told_apart() -> None:
    assert len({entry.symbol for entry in ENTRIES}) == len(ENTRIES)


@every_entry
def test_an_entry_is_its_own_copy(entry: Operation) -> None:
    assert copy.copy(entry) is copy.deepcopy(entry) is entry
    # Of a family only the latest are remembered: the one of that name and these constants *now*.
    entry = table.FAMILIES[entry.name](*entry.constants) if entry.constants else entry
    assert pickle.loads(pickle.dumps(entry)) is entry


# --- On floats ----------------------------------------------------------------------------------


@every_entry
def test_forward_is_right_to_a_few_units_in_the_last_place(entry: Operation) -> None:
    with mpmath.workdps(50):
        for point in points(entry):
            true = reference(entry)(*map(mpmath.mpf, point))
            assert_close(entry.forward(*point), true, ulps=4)


@every_entry
def test_partials_are_right_to_a_few_units_in_the_last_place(entry: Operation) -> None:
    with mpmath.workdps(50):
        for point in points(entry):
            partials = entry.partials(FLOATS, entry.forward(*point), *point)
            assert len(partials) == entry.arity
            for partial, orders in zip(partials, unit_vectors(entry.arity), strict=True):
                # Some derivatives pass through 0, where no relative error is promised.
                least = 0.1 if entry.name in ("gelu", "silu") else 1e-3
                assert_close(partial, true_partial(entry, point, orders), ulps=10, least=least)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.domain == ((-3.0, 3.0),)], ids=repr)
@pytest.mark.parametrize("x", [-40.0, -20.0, 20.0, 40.0])
def test_derivatives_are_right_far_from_zero(entry: Operation, x: float) -> None:
    """Where tanh has rounded to 1, its derivative is still to have all of its digits."""
    with mpmath.workdps(50):
        out = entry.forward(x)
        assert_close(out, reference(entry)(mpmath.mpf(x)), ulps=4)
        (partial,) = entry.partials(FLOATS, out, x)
        assert_close(partial, true_partial(entry, (x,), (1,)), ulps=10)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.textbook], ids=repr)
def test_textbook_rule_equals_the_computing_rule(entry: Operation) -> None:
    for point in points(entry):
        out = entry.forward(*point)
        computed = entry.partials(FLOATS, out, *point)
        assert entry.textbook(FLOATS, out, *point) == pytest.approx(computed, rel=1e-13)


PIECEWISE = [
    *(e for e in ENTRIES if e.name in ("relu", "abs", "maximum", "minimum", "clip")),
    *(of_many(name, 3) for name in ("maximum", "minimum")),
]


@pytest.mark.parametrize("entry", PIECEWISE, ids=repr)
def test_textbook_rule_has_the_cases_of_the_computing_rule(entry: Operation) -> None:
    assert entry.textbook is not None
    for point in itertools.product((-2.0, -1.0, 0.0, 1.0, 2.0, 3.0), repeat=entry.arity):
        out = entry.forward(*point)
        computed = entry.partials(FLOATS, out, *point)
        assert entry.textbook(FLOATS, out, *point) == computed, point


# --- On Values ----------------------------------------------------------------------------------


@every_entry
def test_rule_gives_the_same_bits_on_values(entry: Operation) -> None:
    special = (-math.inf, -2.0, -0.0, 0.0, 1.0, 1e-320, 710.0, math.inf, math.nan)
    corners = [(a, b)[: entry.arity] for a in special for b in special]
    for point in [*points(entry), *corners]:
        out = entry.forward(*point)
        on_floats = entry.partials(FLOATS, out, *point)
        on_values = entry.partials(VALUES, apply(entry, *point), *map(Value, point))
        assert [*map(bits, on_values)] == [*map(bits, on_floats)], point


def test_both_algebras_have_the_same_functions() -> None:
    assert set(vars(FLOATS)) == set(vars(VALUES)) == set(vars(words.TERMS))
    assert set(vars(FLOATS)) == {*OPERATIONS, "where", "alike"}


@every_entry
def test_a_method_or_an_operator_reaches_it(entry: Operation) -> None:
    written = WRITTEN.get(entry.name) or getattr(Value, entry.name, None)
    written = written or getattr(microgrant, entry.name)
    point = points(entry)[0]
    operands = [Value(x) for x in point]
    result = written(*operands, *entry.constants)
    made = result.operation
    assert (made.name, made.constants) == (entry.name, entry.constants)
    assert all(a is b for a, b in zip(result._prev, operands, strict=True))
    assert result.data == entry.forward(*point)
    assert result.partials == tuple(entry.partials(FLOATS, result.data, *point))
    with no_grad():
        outside = written(*operands, *entry.constants)
    assert bits(outside) == bits(result)
    assert outside._prev == ()


@every_entry
def test_second_and_third_derivatives(entry: Operation) -> None:
    with mpmath.workdps(50):
        for point in points(entry, count=3)[2:]:
            operands = [Value(x) for x in point]
            first = grad(apply(entry, *operands), operands, create_graph=True)
            for i, once in enumerate(unit_vectors(entry.arity)):
                second = grad(first[i], operands, create_graph=True)
                for j, twice in enumerate(unit_vectors(entry.arity)):
                    orders = tuple(map(operator.add, once, twice))
                    true = true_partial(entry, point, orders)
                    assert second[j].data == pytest.approx(float(true), rel=1e-10, abs=1e-11)
                    third = grad(second[j], operands)
                    for k, thrice in enumerate(unit_vectors(entry.arity)):
                        true = true_partial(entry, point, tuple(map(operator.add, orders, thrice)))
                        assert third[k] == pytest.approx(float(true), rel=1e-9, abs=1e-10)


# --- On text ------------------------------------------------------------------------------------


@every_entry
@pytest.mark.parametrize("textbook", [False, True], ids=["computing", "textbook"])
def test_the_python_spelling_computes_the_same(entry: Operation, textbook: bool) -> None:
    functions = {
        **vars(FLOATS),
        "clip": lambda x, low, high: clip(low, high).forward(x),
        "leaky_relu": lambda x, slope: leaky_relu(slope).forward(x),
        "elu": lambda x, alpha: elu(alpha).forward(x),
        "inf": math.inf,
        "nan": math.nan,
    }
    names = ["a", "b", "c"][: entry.arity]
    rule = entry.textbook if textbook and entry.textbook else entry.partials
    spelled = words.derivative(entry, "out", names, "python", textbook)
    for point in points(entry, count=5):
        numbers = dict(zip(names, point, strict=True))
        out = entry.forward(*point)
        assert eval(words.forward(entry, names, "python"), functions, numbers) == out
        partials = [eval(text, functions, {**numbers, "out": out}) for text in spelled]
        assert [*map(bits, partials)] == [*map(bits, rule(FLOATS, out, *point))]


# --- The operations that value.py spells out ------------------------------------------------------


def odd_floats(count: int) -> list[float]:
    """Numbers of every size and kind, from any 64 bits."""
    rng = random.Random(2024)
    special = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -1e-310, 1.8e308, 1.0, -1.0]
    random_bits = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(count)]
    return special + random_bits + [rng.gauss(0, 1) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "operate"), [("add", operator.add), ("mul", operator.mul)], ids=["add", "mul"]
)
def test_a_hot_operation_is_that_of_the_table(name: str, operate: Callable[..., Value]) -> None:
    entry, numbers = OPERATIONS[name], odd_floats(40)
    for a in numbers:
        for b in numbers:
            left, right = Value(a, "left"), Value(b, "right")
            hot, table = operate(left, right), apply(entry, left, right)
            assert bits(hot) == bits(table)
            assert [*map(bits, hot.partials)] == [*map(bits, table.partials)]
            assert hot.operation is table.operation is entry
            assert hot._prev[0] is left
            assert hot._prev[1] is right
            assert (hot.grad, hot.label, hot._op) == (table.grad, table.label, table._op)
            assert all(partial.__class__ is float for partial in hot.partials)


# --- Constants of operations --------------------------------------------------------------------


def test_an_operation_with_one_constant_is_made_once() -> None:
    assert power(2.0) is power(2.0)
    assert clip(0.0, 1.0) is clip(0.0, 1.0)
    assert (Value(3.0) ** 2).operation is power(2.0)


def test_a_constant_exponent_stays_one_in_derivatives() -> None:
    x = Value(3.0)
    slope = grad(x**4, x, create_graph=True)
    assert [node._op for node in topological_order(slope) if node._op] == ["**3", "*", "*"]


def test_minus_zero_as_an_exponent_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it comes first, and is not found among those that are made."""
    monkeypatch.setattr(table, "_power", table._power.__wrapped__)
    assert (power(-0.0).symbol, repr(power(-0.0).constants)) == ("**0", "(0.0,)")


def test_constants_are_floats() -> None:
    assert repr(power(2).constants + clip(-1, 2).constants + clip(0, 3).constants) == (
        "(2.0, -1.0, 2.0, 0.0, 3.0)"
    )


def test_exponents_and_bounds_show_in_the_sign() -> None:
    x = Value(2.0)
    assert [(x**n)._op for n in (2, -1, 0.5)] == ["**2", "**-1", "**0.5"]
    assert x.clip(0, 1)._op == "clip 0, 1"
