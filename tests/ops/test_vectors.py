"""What native code has in place of the C library, against mpmath with 60 digits.

They run twice: on plain floats, in an algebra written down here, and as machine code. `BOUNDS` says
how far from the truth a result may be, in units of the last place, and has little to spare: over
30,000 points and more, drawn as below, the largest errors were 1.01 for exp (0.95 on floats, where
products and sums are not fused), 1.81 for expm1, 0.79 for log, 1.20 for log1p, 1.89 for tanh, and
1.69 for atan2; over 7,500, 1.59 for erf and 6.25 for erfc.
"""

from __future__ import annotations

import itertools
import math
import random
import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import microgrant
from microgrant import Value, compile
from microgrant.ops import OPERATIONS, vectors

mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")

inf, nan = math.inf, math.nan
BOUNDS = {"exp": 1.25, "expm1": 2.0, "log": 1.0, "log1p": 1.5, "erf": 1.75, "erfc": 6.5}
BOUNDS["tanh"] = 2.0
BOUND_OF_ATAN2 = 1.75
# What the points are to come near, so that the bounds mean something.
SMALL = {"log": 1e-15}
LARGE = {"log": 700.0, "log1p": 700.0, "erf": 1.0 - 1e-15, "erfc": 2.0 - 1e-15, "tanh": 0.999}
LARGEST = 1.7976931348623157e308
SMALLEST_NORMAL, SMALLEST = 2.0**-1022, 2.0**-1074
LAST, FIRST = 709.782712893384, -745.1332191019411  # exp is finite, and not 0, from FIRST to LAST

every_function = pytest.mark.parametrize("name", BOUNDS)


def bits(x: float) -> int:
    return int.from_bytes(struct.pack(">d", x), "big")


def number(pattern: int) -> float:
    return float(struct.unpack(">d", pattern.to_bytes(8, "big"))[0])


# The algebra of `vectors` on floats, with nothing but their layout: sign, exponent, fraction.
ALGEBRA = SimpleNamespace(
    where=lambda condition, yes, no: yes if condition else no,
    abs=abs,
    copysign=math.copysign,
    div=OPERATIONS["div"].forward,
    round=lambda x: float(round(x)) if math.isfinite(x) else x,
    power_of_two=lambda k: number(((int(k) + 1023) & 0x7FF) << 52) if math.isfinite(k) else nan,
    exponent=lambda x: float((bits(x) >> 52) - 1023),
    mantissa=lambda x: number(bits(x) & ((1 << 52) - 1) | 1023 << 52),
    log=lambda x: vectors.log(ALGEBRA, x),
    exp=lambda x: vectors.exp(ALGEBRA, x),
    erfc=lambda x: vectors.erfc(ALGEBRA, x),
    floor=OPERATIONS["floor"].forward,
)


def on_floats(name: str, points: list[float]) -> list[float]:
    function = getattr(vectors, name)
    return [function(ALGEBRA, x) for x in points]


def natively(name: str, points: list[float]) -> list[float]:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    x = Value(0.5)
    predict = compile(getattr(microgrant, name)(x), [x], target="native")
    return list(map(float, predict([[point] for point in points])))


WAYS: dict[str, Callable[[str, list[float]], list[float]]] = {
    "floats": on_floats,
    "native": natively,
}
every_way = pytest.mark.parametrize("way", WAYS)


def points(name: str, count: int = 1_000) -> list[float]:
    """Of every size that the function makes something of, and close to where it is delicate."""
    if name.startswith("erf"):
        return [*error_points(count)]
    exponential = name.startswith("exp") or name == "tanh"
    drawn = [*(exponential_points if exponential else logarithm_points)(count)]
    if name == "log1p":
        rng = random.Random(name)
        near = [sign * 2.0 ** -rng.uniform(0, 1074) for _ in range(count) for sign in (1, -1)]
        drawn = [x for x in (*drawn, *(x - 1 for x in drawn), *near) if x > -1]
    return drawn


def exponential_points(count: int) -> Iterator[float]:
    rng = random.Random("exp")
    half = math.log(2) / 2  # where the next power of two takes over
    for _ in range(count):
        yield rng.uniform(FIRST, LAST)
        yield rng.uniform(FIRST, math.log(SMALLEST_NORMAL))  # to where results are subnormal
        yield rng.uniform(-1.1, 1.1)
        yield rng.choice((-1, 1)) * 2.0 ** rng.uniform(-1074, 9)
        yield rng.choice((-1, 1)) * 2.0 ** rng.uniform(-8, 1)
        yield rng.randrange(-2140, 2048) * half * (1 + rng.uniform(-1e-15, 1e-15))
    for x in (1.0, half, 2 * half, LAST, FIRST):
        yield from (x, math.nextafter(x, 0.0), -x, math.nextafter(-x, 0.0))


def logarithm_points(count: int) -> Iterator[float]:
    rng = random.Random("log")
    for _ in range(count):
        yield 2.0 ** rng.uniform(-1074, 1024)
        yield 2.0 ** rng.uniform(-1074, -1022)  # subnormal
        yield rng.uniform(0.5, 2.0)
        yield 1 + 2.0 ** -rng.uniform(0, 52)
        yield 1 - 2.0 ** -rng.uniform(1, 53)
        yield 2.0 ** rng.randrange(-1074, 1024)
        yield math.sqrt(2) * 2.0 ** rng.randrange(-1022, 1023)  # where the exponent is put up
    yield from (LARGEST, SMALLEST_NORMAL, math.nextafter(SMALLEST_NORMAL, 0), SMALLEST)


def error_points(count: int) -> Iterator[float]:
    rng = random.Random("erf")
    for _ in range(count):
        yield rng.uniform(-6.5, 28.0)
        yield rng.uniform(-1.1, 1.1)  # where one series begins, and another
        yield rng.uniform(0.45, 3.0)
        yield rng.choice((-1, 1)) * 2.0 ** rng.uniform(-1074, 6)
        yield rng.randrange(200) / 16 + 1 / 32 + rng.uniform(-1e-12, 1e-12)
    for x in (0.5, 1.0, 6.0, 26.5, 27.2, 40.0):
        yield from (x, math.nextafter(x, 0.0), -x, math.nextafter(-x, 0.0))


def unit_of_the_last_place(true: Any) -> Any:
    _, exponent = mpmath.frexp(true)
    return mpmath.mpf(2) ** max(exponent - 53, -1074)


@every_function
@every_way
def test_results_are_right_to_a_few_units_of_the_last_place(name: str, way: str) -> None:
    with mpmath.workdps(60):
        true_function = getattr(mpmath, name)
        given = points(name)
        for x, computed in zip(given, WAYS[way](name, given), strict=True):
            true = true_function(mpmath.mpf(x))
            if abs(true) <= LARGEST:
                error = abs(mpmath.mpf(computed) - true) / unit_of_the_last_place(true)
                assert error <= BOUNDS[name], f"{name}({x!r}) is {computed!r}"
            else:
                assert computed == inf, f"{name}({x!r})"


@every_function
def test_points_are_of_every_kind(name: str) -> None:
    """So that the bounds mean something."""
    given = points(name)
    results = [abs(OPERATIONS[name].forward(x)) for x in given]
    assert any(abs(x) < SMALLEST_NORMAL for x in given)
    assert min(results) < SMALL.get(name, SMALLEST_NORMAL)
    assert max(results) > LARGE.get(name, 1e308)


# name, argument, result: to the bit, and with the sign of zero
EDGES = [
    *(("exp", x, 1.0) for x in (0.0, -0.0, SMALLEST, -SMALLEST, 1e-17, -1e-17)),
    *(("exp", x, inf) for x in (inf, math.nextafter(LAST, inf), 710.0, 1e4, LARGEST)),
    *(("exp", x, 0.0) for x in (-inf, math.nextafter(FIRST, -inf), -746.0, -1e4, -LARGEST)),
    ("exp", FIRST, SMALLEST),
    ("exp", nan, nan),
    *(("expm1", x, x) for x in (0.0, -0.0, SMALLEST, -SMALLEST, 1e-300, -1e-300, 1e-17, -1e-17)),
    *(("expm1", x, inf) for x in (inf, math.nextafter(LAST, inf), 710.0, 1e4, LARGEST)),
    *(("expm1", x, -1.0) for x in (-inf, -38.0, -746.0, -1e4, -LARGEST)),
    ("expm1", nan, nan),
    *(("log", x, -inf) for x in (0.0, -0.0)),
    *(("log", x, nan) for x in (-SMALLEST, -1.0, -LARGEST, -inf, nan)),
    ("log", 1.0, 0.0),
    ("log", inf, inf),
    ("log", 2.0, math.log(2.0)),
    ("log", SMALLEST, -744.4400719213812),
    *(("log1p", x, x) for x in (0.0, -0.0, SMALLEST, -SMALLEST, 1e-300, -1e-300, 1e-17, -1e-17)),
    *(("log1p", x, nan) for x in (math.nextafter(-1.0, -2.0), -2.0, -LARGEST, -inf, nan)),
    ("log1p", -1.0, -inf),
    ("log1p", inf, inf),
    ("log1p", LARGEST, math.log(LARGEST)),
    *(("erf", x, x) for x in (0.0, -0.0, nan)),
    *(("erf", x, 1.0) for x in (6.0, 30.0, LARGEST, inf)),
    *(("erf", x, -1.0) for x in (-6.0, -30.0, -LARGEST, -inf)),
    *(("erfc", x, 1.0) for x in (0.0, -0.0, SMALLEST, -SMALLEST, 1e-17)),
    *(("erfc", x, 0.0) for x in (27.3, 40.0, 1e4, LARGEST, inf)),
    *(("erfc", x, 2.0) for x in (-6.0, -40.0, -LARGEST, -inf)),
    ("erfc", nan, nan),
    *(("tanh", x, x) for x in (0.0, -0.0, SMALLEST, -SMALLEST, 1e-300, -1e-300, 1e-17, nan)),
    *(("tanh", x, math.copysign(1.0, x)) for x in (20.0, -20.0, 400.0, -1e4, LARGEST, inf, -inf)),
]


@every_way
def test_the_edges(way: str) -> None:
    for name in BOUNDS:
        given = [(x, true) for function, x, true in EDGES if function == name]
        results = WAYS[way](name, [x for x, _ in given])
        for (x, true), computed in zip(given, results, strict=True):
            assert computed.hex() == float(true).hex(), f"{name}({x!r})"


@every_function
def test_the_table_agrees_at_the_edges(name: str) -> None:
    """What the engine computes there, with Python's math module."""
    for function, x, true in EDGES:
        if function == name:
            assert OPERATIONS[name].forward(x).hex() == float(true).hex(), x


def angles(way: str, points: list[tuple[float, float]]) -> list[float]:
    """Of pairs y, x."""
    if way == "floats":
        return [vectors.atan2(ALGEBRA, *point) for point in points]
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    inputs = [Value(0.5), Value(1.0)]
    predict = compile(microgrant.atan2(*inputs), inputs, target="native")
    return list(map(float, predict(points)))


@every_way
def test_angles_are_right_to_a_few_units_of_the_last_place(way: str) -> None:
    rng = random.Random("angles")
    slopes = (0.236, 0.72, 1.0, 1 / 0.72, 1 / 0.236)  # where another direction is nearer
    points = [(rng.uniform(-3, 3), rng.uniform(-3, 3)) for _ in range(2_000)]
    points += [(2.0 ** rng.uniform(-900, 900), -(2.0 ** rng.uniform(-900, 900))) for _ in points]
    for slope in slopes * 100:
        x = rng.uniform(-1, 1) * 2.0 ** rng.uniform(-1000, 1000)
        points.append((x * slope * (1 + rng.uniform(-1e-14, 1e-14)), x))
    with mpmath.workdps(60):
        for point, computed in zip(points, angles(way, points), strict=True):
            true = mpmath.atan2(*map(mpmath.mpf, point))
            error = abs(mpmath.mpf(computed) - true) / unit_of_the_last_place(true)
            assert error <= BOUND_OF_ATAN2, point


@every_way
def test_the_edges_of_angles(way: str) -> None:
    """To the bit, as the C library has them, and with the signs of zeros."""
    edges = (0.0, 1.0, SMALLEST, LARGEST, inf, nan)
    points = [*itertools.product([*edges, *(-x for x in edges)], repeat=2)]
    for (y, x), computed in zip(points, angles(way, points), strict=True):
        assert computed.hex() == math.atan2(y, x).hex(), (y, x)


def zeros_of_chebyshev(count: int) -> list[Any]:
    return [mpmath.cos(mpmath.pi * (i + mpmath.mpf(0.5)) / count) for i in range(count)]


def through(places: list[Any], truths: list[Any]) -> list[float]:
    """The coefficients of the polynomial that has these values there."""
    powers = mpmath.matrix([[s**k for k in range(len(places))] for s in places])
    return [*map(float, mpmath.lu_solve(powers, mpmath.matrix(truths)))]


def test_the_polynomial_of_the_error_function() -> None:
    """Through the truth at the zeros of a Chebyshev polynomial, as is said where it stands."""
    with mpmath.workdps(60):
        zeros = zeros_of_chebyshev(len(vectors.ERROR_TAIL))
        places = [(4.75 + 3.75 * s) / (1 - s) for s in zeros]
        truths = [mpmath.exp(x * x) * mpmath.erfc(x) * (x + 3.75) for x in places]
        assert through(zeros, truths) == vectors.ERROR_TAIL


def test_the_polynomial_of_the_hyperbolic_tangent() -> None:
    with mpmath.workdps(60):
        zeros = zeros_of_chebyshev(len(vectors.TANGENT))
        squares = [mpmath.mpf("0.55") ** 2 * (1 + s) / 2 for s in zeros]
        roots = [mpmath.sqrt(square) for square in squares]
        truths = [(mpmath.tanh(x) / x - 1) / (x * x) for x in roots]
        assert through(squares, truths) == vectors.TANGENT


def test_a_sum_of_powers() -> None:
    assert vectors.series([1.0, 2.0, 3.0], 10.0) == 10.0 + 200.0 + 3000.0
    assert vectors.series([1.0, 2.0, 3.0, 4.0, 5.0], 10.0) == 543_210.0


def test_the_constants() -> None:
    with mpmath.workdps(60):
        high, low = mpmath.mpf(vectors.LN2_HIGH), mpmath.mpf(vectors.LN2_LOW)
        assert abs(high + low - mpmath.log(2)) < mpmath.mpf(2) ** -86
    for k in (1, 1023, -1074, 2099):  # k·LN2_HIGH is exact, as its last bits are 0
        assert mpmath.mpf(vectors.LN2_HIGH) * k == mpmath.mpf(vectors.LN2_HIGH * k)
