"""What every operation and its derivatives, up to the third, truly are: closed forms, in mpmath.

With this module you can

- have a true number:      true(OPERATIONS["tanh"], (1,), (1e-20,)), in the precision of mpmath
- have all of an order:    for orders in mixed(2, arity=2)

`orders` says how often to differentiate by each operand. The forms are those of a table of
derivatives and not our rules: `tests/ops/test_derivatives.py` holds them against mpmath's own
numerical differentiation, which has to do for an operation without a form. Where a case of an
operation begins they say the limit from the side on which it is defined, or what PyTorch has at a
kink; outside of the domain all is nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import reduce
from itertools import product
from typing import Any

import mpmath
from graphs import mpmath_spelling
from mpmath import mpf
from mpmath.libmp import to_rational

from microgrant.ops import Operation

__all__ = ["EXACT", "mixed", "true"]

Orders = tuple[int, ...]


def mixed(order: int, arity: int) -> Iterator[Orders]:
    """Every way to differentiate so often, by so many operands."""
    return (x for x in product(range(order + 1), repeat=arity) if sum(x) == order)


def true(entry: Operation, orders: Orders, point: Sequence[float]) -> Any:
    """The true derivative of an operation, so often by each operand; of order 0, its value."""
    if any(x != x for x in point):
        return mpmath.nan
    with mpmath.workdps(60):
        return form(entry)(orders, *map(mpf, point), *map(mpf, entry.constants))


def form(entry: Operation) -> Callable[..., Any]:
    """Its closed form; of an operation without one, what mpmath differentiates."""
    value = mpmath_spelling(mpmath).get(entry.name)
    return EXACT.get(entry.name) or (lambda orders, *x: mpmath.diff(value, x, orders))


def falling(x: Any, count: int) -> list[Any]:
    """x(x − 1)…, of so many factors, and its derivatives by x."""
    coefficients = [mpf(1)]  # from the highest power down
    for i in range(count):
        longer = [*coefficients, mpf(0)]
        coefficients = [a - i * b for a, b in zip(longer, [mpf(0), *coefficients], strict=True)]
    found = []
    while coefficients:
        found.append(reduce(lambda total, c: total * x + c, coefficients))  # Horner's rule
        degree = len(coefficients) - 1
        coefficients = [(degree - k) * c for k, c in enumerate(coefficients[:-1])]
    return [*found, mpf(0), mpf(0), mpf(0), mpf(0)]


def _pow(orders: Orders, a: Any, b: Any) -> Any:
    by_a, by_b = orders
    if a == 0:
        return _pow_at_0(by_a, by_b, b)
    if a < 0:
        if b != mpmath.floor(b) or by_b:
            return mpmath.nan
        return falling(b, by_a)[0] * (-1) ** int(b - by_a) * mpmath.power(-a, b - by_a)
    parts = falling(b, by_a)
    total = mpmath.fsum(
        math.comb(by_b, k) * parts[k] * mpmath.log(a) ** (by_b - k) for k in range(by_b + 1)
    )
    return total * mpmath.power(a, b - by_a)


def _pow_at_0(by_a: int, by_b: int, b: Any) -> Any:
    """The limit from a > 0; but at (0, 0) the first derivatives are both 0, as in PyTorch."""
    if b > by_a or (b, by_a, by_b) == (0, 0, 1):
        return mpf(0)
    for k, part in enumerate(falling(b, by_a)[: by_b + 1]):
        if part:  # the factor of the highest power of log(a)
            if b == by_a and k == by_b:
                return math.comb(by_b, k) * part
            return mpmath.sign(part) * (-1) ** (by_b - k) * mpmath.inf
    return mpf(0)


def _power(orders: Orders, x: Any, n: Any) -> Any:
    if mpmath.isnan(n):
        return mpmath.nan
    return _pow((*orders, 0), x, n)


def _log(orders: Orders, x: Any) -> Any:
    (n,) = orders
    if x < 0:
        return mpmath.nan
    if x == 0:
        return (-1) ** (n + 1) * mpmath.inf
    return mpmath.log(x) if n == 0 else (-1) ** (n - 1) * math.factorial(n - 1) / x**n


def _log1p(orders: Orders, x: Any) -> Any:
    return mpmath.log1p(x) if orders == (0,) and x > -1 else _log(orders, exactly_1_plus(x))


def exactly_1_plus(x: Any) -> Any:
    return mpmath.fadd(1, x, exact=True)


def _sqrt(orders: Orders, x: Any) -> Any:
    return mpmath.nan if x < 0 else _pow((*orders, 0), x, mpf(1) / 2)


def _div(orders: Orders, a: Any, b: Any) -> Any:
    by_a, by_b = orders
    above = a if by_a == 0 else mpf(by_a == 1)
    if b == 0:  # the limit from b > 0
        return mpmath.sign(above) * (-1) ** by_b * mpmath.inf if above else mpf(0)
    return above * (-1) ** by_b * math.factorial(by_b) / b ** (1 + by_b)


def _tanh(orders: Orders, x: Any) -> Any:
    t, s = mpmath.tanh(x), mpmath.sech(x) ** 2
    return (t, s, -2 * t * s, s * (6 * t**2 - 2))[orders[0]]


def _sigmoid(orders: Orders, x: Any) -> Any:
    above, below = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
    slope = above * below
    return (above, slope, -slope * mpmath.tanh(x / 2), slope * (1 - 6 * slope))[orders[0]]


def _softplus(orders: Orders, x: Any) -> Any:
    (n,) = orders
    return mpmath.log1p(mpmath.exp(x)) if n == 0 else _sigmoid((n - 1,), x)


def _polynomial(*derivatives: Callable[..., Any]) -> Callable[..., Any]:
    """From a function and its first derivatives, by its operand; the others are 0."""

    def compute(orders: Orders, x: Any) -> Any:
        (n,) = orders
        return mpf(derivatives[n](x)) if n < len(derivatives) else mpf(0)

    return compute


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    """The largest, or the smallest, of several: those that are equal share the slope."""

    def compute(orders: Orders, *operands: Any) -> Any:
        result = choose(operands)
        if sum(orders) != 1:
            return mpf(0) if any(orders) else result
        ties = operands.count(result)
        return mpf(1) / ties if operands[orders.index(1)] == result else mpf(0)

    return compute


def _clip(orders: Orders, x: Any, low: Any, high: Any) -> Any:
    (n,) = orders
    return min(max(x, low), high) if n == 0 else mpf(n == 1 and low <= x <= high)


def _in_turn(*derivatives: Callable[..., Any]) -> Callable[..., Any]:
    """From a function and its first three derivatives, by its operand."""
    return lambda orders, x: derivatives[orders[0]](x)


def _arc(
    function: Callable[..., Any], constant: int, square: int, power: float, sign: int = 1
) -> Callable[..., Any]:
    """Of an inverse function: its slope is ±uᵖ, where u is ±1 ± x²."""

    def compute(orders: Orders, x: Any) -> Any:
        (n,) = orders
        u, p = constant + square * x * x, mpf(power)
        if u < 0 or (function is mpmath.acosh and x < 1):
            return mpmath.nan
        if n == 0:
            return function(x)
        inner = u + 2 * square * (p - 1) * x * x
        factor = sign * (1, 2 * square * p * x, 2 * square * p * inner)[n - 1]
        return factor * u ** (p - n + 1) if u else mpmath.sign(factor) * mpmath.inf

    return compute


def _mod(orders: Orders, a: Any, b: Any) -> Any:
    if b == 0 or mpmath.isinf(a):
        return mpmath.nan
    # However many digits it takes.
    times, rest = divmod(*(Fraction(*to_rational(x._mpf_)) for x in (a, b)))
    value = mpf(rest.numerator) / rest.denominator
    return {(0, 0): value, (1, 0): mpf(1), (0, 1): mpf(-times)}.get(orders, mpf(0))


def _atan2(orders: Orders, y: Any, x: Any) -> Any:
    """The imaginary part of the derivatives of log(x + iy)."""
    n = sum(orders)
    if n == 0:
        return mpmath.atan2(y, x)
    if x == y == 0:
        return mpf(0)
    z = (-1) ** (n - 1) * math.factorial(n - 1) / mpmath.mpc(x, y) ** n
    return (z * mpmath.mpc(0, 1) ** orders[0]).imag


def _hypot(orders: Orders, a: Any, b: Any) -> Any:
    if orders[0] < orders[1]:
        return _hypot(orders[::-1], b, a)
    r = mpmath.hypot(a, b)
    if r == 0 or orders == (0, 0):
        return r
    return {
        (1, 0): lambda: a / r,
        (1, 1): lambda: -a * b / r**3,
        (2, 0): lambda: b**2 / r**3,
        (2, 1): lambda: b * (2 * a**2 - b**2) / r**5,
        (3, 0): lambda: -3 * a * b**2 / r**5,
    }[orders]()


def erfc(x: Any) -> Any:
    return mpmath.erfc(x) if abs(x) < 1e4 else mpf(2 * (x < 0))  # it overflows in mpmath


def _erf(orders: Orders, x: Any) -> Any:
    bell = 2 * mpmath.exp(-x * x) / mpmath.sqrt(mpmath.pi)
    return (mpmath.erf(x), bell, -2 * x * bell, (4 * x * x - 2) * bell)[orders[0]]


def _normal_cdf(orders: Orders, x: Any) -> Any:
    bell = mpmath.npdf(x)
    return (erfc(-x / mpmath.sqrt(2)) / 2, bell, -x * bell, (x * x - 1) * bell)[orders[0]]


def _gelu(orders: Orders, x: Any) -> Any:
    below, bell = _normal_cdf((0,), x), mpmath.npdf(x)
    return (x * below, below + x * bell, (2 - x * x) * bell, (x**3 - 4 * x) * bell)[orders[0]]


def _silu(orders: Orders, x: Any) -> Any:
    (n,) = orders
    return x * _sigmoid(orders, x) + (n * _sigmoid((n - 1,), x) if n else 0)


EXACT: dict[str, Callable[..., Any]] = {
    "add": lambda orders, a, b: mpf(sum(orders) == 1) if any(orders) else a + b,
    "sub": lambda orders, a, b: (
        mpf({(1, 0): 1, (0, 1): -1}.get(orders, 0)) if any(orders) else a - b
    ),
    "mul": lambda orders, a, b: {(0, 0): a * b, (1, 0): b, (0, 1): a, (1, 1): mpf(1)}.get(
        orders, mpf(0)
    ),
    "div": _div,
    "neg": _polynomial(lambda x: -x, lambda x: -1),
    "pow": _pow,
    "exp": lambda orders, x: mpmath.exp(x),
    "log": _log,
    "log1p": _log1p,
    "expm1": lambda orders, x: mpmath.exp(x) if any(orders) else mpmath.expm1(x),
    "sqrt": _sqrt,
    "sin": lambda orders, x: (mpmath.sin(x), mpmath.cos(x), -mpmath.sin(x), -mpmath.cos(x))[
        orders[0]
    ],
    "cos": lambda orders, x: (mpmath.cos(x), -mpmath.sin(x), -mpmath.cos(x), mpmath.sin(x))[
        orders[0]
    ],
    "log2": lambda orders, x: _log(orders, x) / mpmath.log(2),
    "log10": lambda orders, x: _log(orders, x) / mpmath.log(10),
    "exp2": lambda orders, x: mpmath.power(2, x) * mpmath.log(2) ** orders[0],
    "tan": _in_turn(
        mpmath.tan,
        lambda x: mpmath.sec(x) ** 2,
        lambda x: 2 * mpmath.tan(x) * mpmath.sec(x) ** 2,
        lambda x: (2 + 6 * mpmath.tan(x) ** 2) * mpmath.sec(x) ** 2,
    ),
    "asin": _arc(mpmath.asin, 1, -1, -0.5),
    "acos": _arc(mpmath.acos, 1, -1, -0.5, sign=-1),
    "atan": _arc(mpmath.atan, 1, 1, -1),
    "atan2": _atan2,
    "sinh": _in_turn(mpmath.sinh, mpmath.cosh, mpmath.sinh, mpmath.cosh),
    "cosh": _in_turn(mpmath.cosh, mpmath.sinh, mpmath.cosh, mpmath.sinh),
    "asinh": _arc(mpmath.asinh, 1, 1, -0.5),
    "acosh": _arc(mpmath.acosh, -1, 1, -0.5),
    "atanh": _arc(mpmath.atanh, 1, -1, -1),
    "erf": _erf,
    "erfc": lambda orders, x: -_erf(orders, x) if any(orders) else erfc(x),
    "normal_cdf": _normal_cdf,
    "gelu": _gelu,
    "silu": _silu,
    "hypot": _hypot,
    "mod": _mod,
    "sign": _polynomial(mpmath.sign),
    "floor": _polynomial(mpmath.floor),
    "leaky_relu": lambda orders, x, slope: (1 if x > 0 else slope) * mpf((x, 1, 0, 0)[orders[0]]),
    "elu": lambda orders, x, alpha: (
        mpf((x, 1, 0, 0)[orders[0]])
        if x > 0
        else alpha * (mpmath.exp(x) if any(orders) else mpmath.expm1(x))
    ),
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "relu": _polynomial(lambda x: max(x, mpf(0)), lambda x: x > 0),
    "abs": _polynomial(abs, mpmath.sign),
    "maximum": _extreme(max),
    "minimum": _extreme(min),
    "power": _power,
    "clip": _clip,
}
"""The true value or derivative of operations: from orders, operands and constants."""
