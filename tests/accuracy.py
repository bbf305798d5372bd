"""How exact every operation and its derivatives are, beside mpmath: the tables that README sums up.

With this program you can

- print the worst errors:            python tests/accuracy.py
- draw more points:                  python tests/accuracy.py --points 20000

The first table has the worst error of values and of first derivatives over random points, in units
of the last place (ulp): eagerly, and as native code. The second has the worst relative error of
values and of first to third derivatives, eagerly, by the kind of the point. All of it is held to
bounds, and compiled programs to the eager numbers, by `tests/ops/test_derivatives.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import mpmath
from exact import EXACT, true

from microgrant import Value, apply, compile, grad
from microgrant.ops import OPERATIONS, Operation, clip, elu, leaky_relu, of_many, power

inf, nan = math.inf, math.nan
Point = tuple[float, ...]
Path = tuple[int, ...]
"""By which operand to differentiate, and then by which."""

EXPONENTS = (-9, -8, -7, -6, -5, -4, -3, -2, -1, -0.5, -0.3, 0, 0.1, 0.5, 1, 1.5, 2, 2.5)
EXPONENTS += (3, 4, 5, 6, 7, 8, 9)
BOUNDS = ((-1, 2), (0, 1), (-inf, 1))
ENTRIES: list[Operation] = [
    *OPERATIONS.values(),
    *map(power, EXPONENTS),
    *(clip(low, high) for low, high in BOUNDS),
    leaky_relu(0.01),
    elu(1.0),
    elu(1.5),
    of_many("maximum", 3),
    of_many("minimum", 3),
]
REGULAR, BEGINS, FAR, OUTSIDE = KINDS = "regular", "a case begins", "tiny, huge", "outside"
LARGEST, SMALLEST = 1.7976931348623157e308, 5e-324
# What is smaller may have lost digits below the normal numbers on its way.
LEAST = 1e-300
# What is larger may have been inf on its way.
MOST = 1e290


def below(x: float) -> float:
    return math.nextafter(x, -inf)


def above(x: float) -> float:
    return math.nextafter(x, inf)


# --- Where to look ------------------------------------------------------------------------------

ROOT = math.sqrt(0.5)
HALF = math.atanh(ROOT)
BEGINNINGS: dict[str, list[Any]] = {
    "relu": [0.0, -0.0, SMALLEST, -SMALLEST],
    "abs": [0.0, -0.0, SMALLEST, -SMALLEST],
    "sqrt": [0.0],
    "log": [0.0, 1.0, below(1.0), above(1.0)],
    "log1p": [-1.0, above(-1.0), 0.0, 1e-16],
    "tanh": [0.0, HALF, -HALF, below(HALF), above(HALF)],
    "sigmoid": [0.0, 1.0, below(1.0), -1.0, below(-1.0)],
    "softplus": [0.0, 1.0, below(1.0), -1.0, below(-1.0)],
    "div": [(1.0, 0.0), (-2.0, 0.0)],
    "log2": [0.0, 1.0, below(1.0), above(1.0)],
    "log10": [0.0, 1.0, below(1.0), above(1.0)],
    "asin": [0.0, 1.0, -1.0, below(1.0), ROOT, above(ROOT)],
    "acos": [0.0, 1.0, -1.0, below(1.0), ROOT, above(ROOT)],
    "acosh": [above(1.0)],
    "atanh": [0.0, 1.0, -1.0, below(1.0), ROOT, above(ROOT)],
    "atan2": [(0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, -0.0)],
    "hypot": [(0.0, 2.0), (-2.0, 0.0)],
    "normal_cdf": [0.0, -1.0, above(-1.0)],
    "gelu": [0.0, -1.0, above(-1.0)],
    "sign": [0.0],
    "floor": [0.0, 1.0, below(1.0), -1.0],
    "leaky_relu": [0.0, SMALLEST, -SMALLEST],
    "elu": [0.0, SMALLEST, -SMALLEST],
    "maximum": [(1.0, 1.0), (0.0, -0.0), (-2.0, below(-2.0)), (1.0, above(1.0)), (inf, inf)],
    "minimum": [(1.0, 1.0), (0.0, -0.0), (-2.0, below(-2.0)), (1.0, above(1.0)), (inf, inf)],
    "pow": [
        *((0.0, b) for b in (3.5, 3.0, 2.5, 2.0, 1.5, 1.0, 0.5, 0.25, 0.0, -0.5, -1.0, -1.5, -2.0)),
        *product((3.0, 0.5, 1.0, 1e-8, 1e8), (0.0, 1.0, 2.0, 0.5, 0.6)),
        *product((-2.0, -1.5, -1.0), (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)),
        *((1.0, b) for b in (-2.0, 2.5, 1e-300)),
    ],
}
SIZES = (
    1e-320,
    1e-300,
    1e-160,
    1e-20,
    1e-9,
    20.0,
    40.0,
    300.0,
    700.0,
    740.0,
    1e5,
    1e20,
    1e160,
    1e300,
)
BASES = (1e-300, 1e-100, 1e-20, 0.5, 1.0000001, 2.0, 1e20, 1e100, 1e300)
POWERS = (
    1e-300,
    -1e-300,
    1e-20,
    0.1,
    0.49,
    0.51,
    1 - 1e-9,
    1 + 1e-9,
    -0.3,
    -1.0,
    2.0,
    700.0,
    -700.0,
)
BEYOND: dict[str, list[Any]] = {
    "log": [-1.0, -1e-300, -inf],
    "log1p": [-2.0, below(-1.0), -inf],
    "sqrt": [-1.0, -1e-300, -inf],
    "log2": [-1.0, -1e-300, -inf],
    "log10": [-1.0, -1e-300, -inf],
    "tan": [inf, -inf],
    "asin": [above(1.0), -2.0, inf],
    "acos": [above(1.0), -2.0, inf],
    "acosh": [below(1.0), 0.0, -1.0, -2.0, -1e16, -inf],
    "atanh": [above(1.0), -2.0, inf],
    "mod": [(nan, 1.0), (1.0, nan), (1.0, 0.0), (inf, 2.0)],
    "sin": [inf],
    "cos": [-inf],
    "pow": [(-2.0, 0.5), (-1e-300, -0.5), (nan, 1.5), (2.0, nan), (-2.0, nan), (-2.0, 1e-17)],
}
# Their derivatives pass through 0, and close to that no relative error is promised. Of these two,
# already the first does, here:
ZEROS = {"gelu": -0.7517915247, "silu": -1.2784645428}
CROSSING = ("atan2", "hypot", *ZEROS)
# Sums of products of their operands: derivatives of these are finite, whatever the operands are.
POLYNOMIALS = ("add", "sub", "mul", "div", "neg")


def polynomial(entry: Operation) -> bool:
    whole = entry.name == "power" and entry.constants[0] in range(10)
    return entry.name in POLYNOMIALS or whole


def points(entry: Operation, kind: str) -> list[Point]:
    """Where to look at an operation: points of a kind."""
    if kind == REGULAR:
        rng = random.Random(entry.name)
        return [tuple(rng.uniform(*x) for x in entry.domain) for _ in range(8)]
    if entry.name not in EXACT or (kind == OUTSIDE and polynomial(entry)):
        return []
    if kind == OUTSIDE:
        alone = [(nan, *[1.0] * (entry.arity - 1)), (*[1.0] * (entry.arity - 1), nan)]
        return as_points(
            BEYOND.get(entry.name, alone)
            if entry.name == "pow"
            else [*BEYOND.get(entry.name, []), *alone]
        )
    if kind == BEGINS:
        if entry.name == "power":
            n = entry.constants[0]
            return as_points([0.0, 1.0, -2.0, -1.0] if n == int(n) else [0.0, 1.0])
        if entry.name == "clip":
            ends = [x for x in entry.constants if math.isfinite(x)]
            return as_points([y for x in ends for y in (below(x), x, above(x))])
        if entry.arity > 2:
            corners = product((1.0, 2.0), repeat=entry.arity)
            return [*corners, tuple(-0.0 if i else 0.0 for i in range(entry.arity))]
        return as_points(BEGINNINGS.get(entry.name, [0.0] if entry.arity == 1 else [(0.0, 2.0)]))
    if entry.name == "pow":
        return [*product(BASES, POWERS)]
    sizes = [s * x for x in SIZES for s in (1, -1)]
    if entry.arity > 1:
        return [*product(sizes[2:-1:5], repeat=min(entry.arity, 2))] if entry.arity == 2 else []
    sizes += [30.0, -30.0]
    return [(x,) for x in sizes if not mpmath.isnan(true(entry, (0,), (x,)))]


def as_points(given: Sequence[Any]) -> list[Point]:
    return [x if isinstance(x, tuple) else (x,) for x in given]


# --- What is computed there ---------------------------------------------------------------------


def paths(arity: int) -> Iterator[Path]:
    return (path for order in range(4) for path in product(range(arity), repeat=order))


def derivatives(entry: Operation, operands: Sequence[Value]) -> dict[Path, Value]:
    """The value of an operation, and all its derivatives to the third: recorded."""
    found = {(): apply(entry, *operands)}
    for path in paths(entry.arity):
        if len(path) < 3:
            for place, x in enumerate(grad(found[path], operands, create_graph=True)):
                found[(*path, place)] = x
    return found


def true_by(entry: Operation, path: Path, point: Point) -> Any:
    """The true derivative along a path."""
    return true(entry, tuple(path.count(place) for place in range(entry.arity)), point)


def error(computed: float, exact: Any, least: float = LEAST) -> float:
    """Relative to the truth, or to `least`; inf where the kind of number is another."""
    if mpmath.isnan(exact):
        return 0.0 if computed != computed else inf
    if abs(exact) > LARGEST:
        return 0.0 if computed == math.copysign(inf, mpmath.sign(exact)) else inf
    if not math.isfinite(computed):
        same_sign = computed == math.copysign(inf, mpmath.sign(exact))
        return 0.0 if abs(exact) > MOST and same_sign else inf
    return float(abs(mpmath.mpf(computed) - exact) / max(abs(exact), least))


def in_ulps(computed: float, exact: Any) -> float:
    """In units of the last place of the truth; 0 where that is nearly no normal number, or none."""
    if mpmath.isnan(exact) or not LEAST <= abs(exact) <= LARGEST:
        return 0.0
    if not math.isfinite(computed):
        return inf
    return float(abs(mpmath.mpf(computed) - exact) / math.ulp(float(exact)))


def worst_errors(entry: Operation, kind: str) -> list[tuple[float, Any]]:
    """For each order the worst relative error, and where it is."""
    worst: list[tuple[float, Any]] = [(0.0, None)] * 4
    for point in points(entry, kind):
        for path, x in derivatives(entry, [Value(y) for y in point]).items():
            if len(path) > 1 and not representable(entry, point):
                continue
            exact = true_by(entry, path, point)
            if vanishes(entry, path, point):
                continue
            least = 0.1 if entry.name in CROSSING and kind == REGULAR else LEAST
            found = error(x.data, exact, least), (point, path, x.data)
            if entry.name == "pow" and point[0] == 0 and mpmath.isinf(exact) and x.data != x.data:
                continue  # 0 to the power of b, again by b: inf, or nan where it is 0·inf
            worst[len(path)] = max(worst[len(path)], found, key=lambda pair: pair[0])
    return worst


def vanishes(entry: Operation, path: Path, point: Point) -> bool:
    """Whether a derivative passes through 0 there, so that all of its digits are rounding."""
    if entry.name == "normal_cdf":
        return len(path) == 3 and abs(abs(point[0]) - 1) < 1e-6
    if entry.name == "silu":
        return len(path) == 3 and abs(point[0]) < 1e-6
    return entry.name == "atan2" and len(path) > 1 and abs(point[0]) == abs(point[1])


def representable(entry: Operation, point: Point) -> bool:
    """Whether what it is made of on the way to the third derivative are normal numbers."""
    if entry.name in ("atan2", "hypot", "mod"):  # there are cubes of the numbers
        return all(1e-90 < abs(x) < 1e90 for x in point)
    if entry.name != "pow" or point[0] == 0 or point[0] != point[0]:
        return True
    value = abs(entry.forward(*point))
    return 1e-100 <= abs(point[0]) <= 1e100 and (1 / MOST <= value <= MOST or value != value)


# --- Units of the last place --------------------------------------------------------------------


def drawn(entry: Operation, count: int) -> list[Point]:
    """Random points: of the domain, and of every size at which it still makes something of them."""
    rng = random.Random(f"{entry!r} in ulps")
    found: list[Point] = []
    while len(found) < count:
        if len(found) % 2:
            point = tuple(rng.uniform(*x) for x in entry.domain)
        else:
            point = tuple(rng.choice((1, -1)) * 2.0 ** rng.uniform(-60, 10) for _ in entry.domain)
            if entry.name == "pow":
                point = 2.0 ** rng.uniform(-1000, 1000), point[1]
            if mpmath.isnan(true(entry, (0,) * entry.arity, point)):
                point = tuple(map(abs, point))
        if entry.name not in ZEROS or abs(point[0] - ZEROS[entry.name]) > 0.25:
            found.append(point)
    return found


def worst_ulps(entry: Operation, count: int) -> dict[str, float]:
    """The worst of value and derivative, eagerly and, if there is llvmlite, natively."""
    found: dict[str, float] = {}
    leaves = [Value(0.7) for _ in entry.domain]
    steps: dict[str, Any] = {"eager": lambda point: eagerly(entry, point)}
    with contextlib.suppress(ImportError):
        steps["native"] = compile(apply(entry, *leaves), [], leaves, target="native").value_and_grad
    for point in drawn(entry, count):
        exact = [true_by(entry, path, point) for path in paths(entry.arity) if len(path) < 2]
        for way, step in steps.items():
            value, partials = step(point)
            for what, computed, truths in (
                ("value", [value], exact[:1]),
                ("derivative", partials, exact[1:]),
            ):
                for x, t in zip(computed, truths, strict=True):
                    key = f"{way} {what}"
                    found[key] = max(found.get(key, 0.0), in_ulps(float(x), t))
    return found


def eagerly(entry: Operation, point: Point) -> tuple[float, Sequence[float]]:
    result = apply(entry, *map(Value, point))
    return result.data, result.partials


# --- Tables -------------------------------------------------------------------------------------


def title(entry: Operation) -> str:
    if entry.name == "power":
        return f"x{entry.symbol}"
    return (
        entry.symbol
        if entry.name == "clip"
        else f"{entry.name} of {entry.arity}"
        if entry.arity > 2
        else entry.name
    )


def print_ulps(count: int) -> None:
    ways = [f"{way} {what}" for way in ("eager", "native") for what in ("value", "derivative")]
    print(f"| worst error in ulp, {count:,} points each |", " | ".join(ways), "|")
    print("|---" * 5 + "|")
    for entry in ENTRIES:
        found = worst_ulps(entry, count)
        print(f"| {title(entry)} |", " | ".join(f"{found.get(way, nan):.2f}" for way in ways), "|")


def print_orders() -> None:
    heads = [
        f"{'value' if order == 0 else '′' * order} {kind}" for kind in KINDS for order in range(4)
    ]
    print("| worst relative error |", " | ".join(heads), "|")
    print("|---" * 17 + "|")
    for entry in ENTRIES:
        cells = []
        for kind in KINDS:
            asked = bool(points(entry, kind))
            cells += [
                "" if not asked else "0" if e == 0 else "wrong" if e == inf else f"{e:.0e}"
                for e, _ in worst_errors(entry, kind)
            ]
        print(f"| {title(entry)} |", " | ".join(cells), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=2000, help="random points for each operation")
    count = parser.parse_args().points
    print_ulps(count)
    print()
    print_orders()


if __name__ == "__main__":
    main()
