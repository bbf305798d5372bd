"""Every operation and its derivatives, to the third, against mpmath: at points of every kind.

`exact` says what is true, `accuracy` where to look and how wrong we are; the numbers that are held
to bounds here are those of its tables. Compiled programs are held to the eager numbers.
"""

from __future__ import annotations

import copy
import math
import operator
import os
import pickle
import platform
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial as bind
from itertools import product
from pathlib import Path

import pytest

mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")

from accuracy import (  # noqa: E402
    ENTRIES,
    KINDS,
    OUTSIDE,
    REGULAR,
    derivatives,
    error,
    paths,
    points,
    title,
    worst_errors,
    worst_ulps,
)
from exact import form, mixed, true  # noqa: E402

import microgrant  # noqa: E402
from microgrant import DecisionWarning, Value, compile, explain, grad, where  # noqa: E402
from microgrant.compiler.targets import MACHINES  # noqa: E402
from microgrant.ops import FLOATS, OPERATIONS, Operation, clip, of_many, power  # noqa: E402
from microgrant.ops.words import derivative, forward  # noqa: E402

inf, nan = math.inf, math.nan
TARGETS = [target for target in MACHINES if target != "jax"]  # see `test_jax`
README = Path(__file__).parents[2] / "README.md"
# The worst relative errors of values and of derivatives of each order. Powers of numbers that are
# nearly too small or too large for a float lose a little more.
BOUNDS = (4e-16, 8e-16, 4e-15, 5e-14)
OF_POWERS = (4e-16, 1e-13, 1e-13, 1e-13)

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=title)
every_kind = pytest.mark.parametrize("kind", KINDS)


# --- What is true -------------------------------------------------------------------------------


@every_entry
def test_the_truth_is_what_mpmath_differentiates(entry: Operation) -> None:
    value = bind(form(entry), (0,) * entry.arity)
    for point in points(entry, REGULAR)[:2]:
        with mpmath.workdps(60):
            exact = tuple(map(mpmath.mpf, point))
            for order in (1, 2, 3):
                for orders in mixed(order, entry.arity):
                    found = mpmath.diff(lambda *x: value(*x, *entry.constants), exact, orders)
                    assert abs(found - true(entry, orders, point)) < 1e-12 * max(1, abs(found))


# --- Every order, at every kind of point --------------------------------------------------------


@every_kind
@every_entry
def test_derivatives_of_every_order(entry: Operation, kind: str) -> None:
    bounds = OF_POWERS if kind == "tiny, huge" and entry.name in ("pow", "power") else BOUNDS
    for (found, place), bound in zip(worst_errors(entry, kind), bounds, strict=True):
        assert found <= bound, place


@every_entry
def test_the_rule_that_is_differentiated_is_the_one_that_computes(entry: Operation) -> None:
    if entry.further is None:
        return
    for point in (point for kind in KINDS for point in points(entry, kind)):
        out = entry.forward(*point)
        computed = entry.partials(FLOATS, out, *point)
        for x, y in zip(computed, entry.further(FLOATS, out, *point), strict=True):
            assert x == pytest.approx(y, rel=1e-13, abs=1e-300, nan_ok=True), point


@pytest.mark.parametrize("target", TARGETS)
@every_entry
def test_compiled_derivatives_are_the_eager_ones(
    entry: Operation, target: str, runs_here: Callable[[str], None]
) -> None:
    """All of them at all points in one program, which knows none of the numbers."""
    runs_here(target)
    given = [point for kind in KINDS for point in points(entry, kind)]
    # Of a ** b there are many. By chance, since every second one may be the positive one.
    given = random.Random(entry.name).sample(given, min(len(given), 30))
    leaves = [[Value(x) for x in point] for point in given]
    results = [x for operands in leaves for x in derivatives(entry, operands).values()]
    inputs = [x for operands in leaves for x in operands]
    with warnings.catch_warnings():
        # Each point was recorded with its own branches, which of these are different functions.
        differ = entry.name in ("pow", "log", "log1p", "log2", "log10")
        warnings.simplefilter("ignore" if differ else "error", DecisionWarning)
        computed = compile(results, inputs, target=target)([[x.data for x in inputs]])
    places = [(point, path) for point in given for path in paths(entry.arity)]
    for place, eager, found in zip(places, results, map(float, computed[0]), strict=True):
        if abs(eager.data) > 1e-290 or eager.data != eager.data:
            exact = mpmath.mpf(eager.data) if math.isfinite(eager.data) else eager.data
            assert error(found, exact) < 1e-12, (place, eager.data, found)
        else:
            assert abs(found - eager.data) <= 1e-290, (place, eager.data, found)


# --- What was wrong once ------------------------------------------------------------------------


def test_a_power_by_both_of_its_operands() -> None:
    a, b = Value(3.0), Value(0.0)
    by_a, by_b = grad(a**b, [a, b], create_graph=True)
    assert grad(by_a, b) == grad(by_b, a) == 1 / 3
    assert grad(by_a, a) == 0.0
    assert grad(by_b, b) == pytest.approx(math.log(3) ** 2, rel=1e-15)


@pytest.mark.parametrize(
    ("b", "mixed"),
    [(0.25, -inf), (0.5, -inf), (1.0, -inf), (1.5, 0.0), (2.0, 0.0), (-0.5, inf), (-1.0, inf)],
)
def test_the_mixed_derivative_of_a_power_at_0(b: float, mixed: float) -> None:
    """The limit of a^(b−1)·(1 + b·ln a), though its parts are infinite, and of both signs."""
    operands = [Value(0.0), Value(b)]
    by_a, by_b = grad(operator.pow(*operands), operands, create_graph=True)
    assert grad(by_a, operands[1]) == grad(by_b, operands[0]) == mixed


SELVES: list[tuple[Callable[[object], object], float]] = [
    (lambda x: x ** (x - 3), 3.0),
    (lambda x: x**x, 1.0),
    (lambda x: (x - 1) ** (x - 2), 2.0),
    (lambda x: x ** (x * (x - 1)), 1.0),
]


@pytest.mark.parametrize(("function", "point"), SELVES)
def test_powers_of_oneself(function: Callable[[object], object], point: float) -> None:
    x = Value(point)
    derivative = function(x)
    with mpmath.workdps(60):
        for order in range(1, 6):
            derivative = grad(derivative, x, create_graph=True)
            exact = mpmath.diff(function, mpmath.mpf(point), order)
            assert derivative.data == pytest.approx(float(exact), rel=1e-13, abs=1e-12), order


@every_entry
def test_what_is_nan_stays_nan(entry: Operation) -> None:
    """Outside of the domain, and at nan: no derivative of a nan is a number."""
    for point in points(entry, OUTSIDE):
        found = derivatives(entry, [Value(x) for x in point])
        assert all(x.data != x.data for path, x in found.items() if path), point


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_share_evenly(name: str) -> None:
    sign = 1.0 if name == "maximum" else -1.0
    for count in (2, 3, 4, 9):
        for ties in range(1, count + 1):
            operands = [Value(sign * (2.0 if i < ties else i / count)) for i in range(count)]
            result = getattr(operands[0], name)(*operands[1:])
            assert result.data == sign * 2.0
            assert result.partials == (1 / ties,) * ties + (0.0,) * (count - ties)
            result.backward()
            assert [x.grad for x in operands] == list(result.partials)
        operands[-1].data = nan
        assert all(x != x for x in getattr(operands[0], name)(*operands[1:]).partials)
    x = Value(1.0)
    assert getattr(x, name)(x, 1).partials == (1 / 3,) * 3


def test_a_cache_does_not_take_one_zero_for_the_other() -> None:
    for low in (-0.0, 0.0, -0.0):
        assert math.copysign(1, Value(-1.0).clip(low, 1).data) == math.copysign(1, low)
        assert math.copysign(1, Value(2.0).clip(-1, low).data) == math.copysign(1, low)
    assert power(-0.0) is power(0.0)
    assert clip(-0.0, 1) is clip(-0.0, 1) is not clip(0.0, 1)


def test_an_operation_of_many_is_made_once() -> None:
    """Also when it has been saved."""
    for name in ("maximum", "minimum"):
        assert of_many(name, 2) is OPERATIONS[name]
        for count in (2, 3, 5):
            operation = of_many(name, count)
            assert operation is of_many(name, count) is pickle.loads(pickle.dumps(operation))
        x = Value(2.0)
        result = getattr(x, name)(3.0, x * 2)
        for twin in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
            assert twin.operation is result.operation
            assert (twin.data, twin.partials) == (result.data, result.partials)


def test_an_operation_of_many_in_words() -> None:
    x, y, z = (Value(1.0, name) for name in "xyz")
    step = explain(x.maximum(y, z))
    assert step.line(2) == "v1 = maximum(x, y, z) = maximum(1, 1, 1) = 1"
    assert derivative(of_many("minimum", 3), "out", ["x", "y", "z"])[1] == (
        "1 / ((1 if x ≤ out else 0) + (1 if y ≤ out else 0) + (1 if z ≤ out else 0)) "
        "if y ≤ out else 0"
    )
    assert derivative(of_many("minimum", 5), "out", list("vwxyz"))[1] == "1 if w ≤ out else 0"
    assert forward(of_many("maximum", 3), "abc", "latex") == r"\max\left(a, b, c\right)"
    page = step._page()
    assert "[x0, x1, x2].reduce((a, b) => (b > a || b !== b ? b : a))" in page


def test_further_derivatives_are_no_decisions() -> None:
    """What a rule chooses between is one function, so a step of derivatives warns of nothing."""
    x = Value(0.25)
    for function in (Value.tanh, Value.sigmoid, Value.softplus, Value.relu, abs, lambda x: x**0.3):
        for point in (0.25, 3.0):
            x = Value(point)
            second = grad(grad(function(x), x, create_graph=True), x, create_graph=True)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                predict = compile(second + x, [x], target="python")
            for number in (0.01, 1.0, 2.0, 7.0):
                y = Value(number)
                eager = grad(grad(function(y), y, create_graph=True), y)
                assert float(predict([[number]])[0]) == pytest.approx(eager + number, rel=1e-9)


@pytest.mark.parametrize("target", TARGETS)
def test_compiled_zeros_have_the_eager_signs(target: str, runs_here: Callable[[str], None]) -> None:
    runs_here(target)

    def results(x: Value, y: Value) -> list[Value]:
        return [x.maximum(y), x.minimum(y), x.relu(), x.clip(-0.0, 1), x.clip(-1, 0.0)]

    inputs = [Value(1.0), Value(1.0)]
    predict = compile(results(*inputs), inputs, target=target)
    for a, b in product((0.0, -0.0), repeat=2):
        eager = [math.copysign(1, x.data) for x in results(Value(a), Value(b))]
        assert [math.copysign(1, x) for x in predict([[a, b]])[0]] == eager, (a, b)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("exponent", [0.5, -0.5])
def test_compiled_roots_of_minus_zero_and_minus_inf(
    exponent: float, target: str, runs_here: Callable[[str], None]
) -> None:
    runs_here(target)
    x = Value(4.0)
    computed = compile(x**exponent, [x], target=target)([[y] for y in (-0.0, 0.0, -inf, inf)])
    eager = [(Value(y) ** exponent).data for y in (-0.0, 0.0, -inf, inf)]
    assert [float(y).hex() for y in computed] == [y.hex() for y in eager]


WHOLE = [2**53 + 1, 2**60 + 1, 3**40, 10**400, -(2**53) - 1, -(10**400), 2**53]
RELATIONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("whole", WHOLE, ids=lambda n: str(n)[:20])
def test_whole_numbers_beyond_floats_are_compared_as_they_are(
    whole: int, target: str, runs_here: Callable[[str], None]
) -> None:
    runs_here(target)
    near = float(max(min(whole, 2**1023), -(2**1023)))
    given = [near, math.nextafter(near, inf), math.nextafter(near, -inf), inf, -inf, nan, 0.0]
    x = Value(0.0)
    choices = [where(relation(x, whole), 1.0, 0.0) for relation in RELATIONS]
    rows = compile(choices, [x], target=target)([[y] for y in given])
    for number, row in zip(given, rows, strict=True):
        eager = [float(relation(number, whole)) for relation in RELATIONS]
        assert [*map(float, row)] == eager, number


# --- Units of the last place --------------------------------------------------------------------


def promised() -> dict[str, list[float]]:
    """The table of README: for each operation the worst value and derivative, eager and native."""
    text = README.read_text(encoding="utf-8")
    table = re.search(r"\| worst error, in ulp \|.*?\n\n", text, re.DOTALL)
    assert table is not None
    found = {}
    for line in table[0].splitlines()[2:]:
        names, *numbers = (cell.strip() for cell in line.strip("|").split("|"))
        for name in names.replace("`", "").split(", "):
            found[name] = list(map(float, numbers))
    return found


def promise_for(entry: Operation) -> list[float]:
    kind, found = entry.name, promised()
    if kind == "power":
        whole = entry.constants[0].is_integer()
        kind = next(
            name
            for name in (title(entry), "other whole powers" if whole else "other powers")
            if name in found
        )
    assert kind in found, f"README.md has no row for {kind}: `python tests/accuracy.py` measures it"
    return found[kind]


@every_entry
def test_the_worst_errors_are_as_promised(entry: Operation) -> None:
    """On the C library that they were measured with; another may lose one unit more."""
    margin = 0.0 if platform.libc_ver()[0] == "glibc" else 1.0
    measured = worst_ulps(entry, 150)
    ways = ("eager value", "eager derivative", "native value", "native derivative")
    for way, bound in zip(ways, promise_for(entry), strict=True):
        assert measured.get(way, 0.0) <= bound + margin, way


@pytest.mark.campaign
def test_the_command_prints_its_tables() -> None:
    command = [sys.executable, str(README.parent / "tests" / "accuracy.py"), "--points", "2"]
    environment = os.environ | {"PYTHONPATH": str(Path(microgrant.__file__).parents[1])}
    finished = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, encoding="utf-8"
    )
    ulps, orders = finished.stdout.split("\n\n")
    assert len(ulps.strip().splitlines()) == len(orders.strip().splitlines()) == 2 + len(ENTRIES)
    assert "wrong" not in orders
