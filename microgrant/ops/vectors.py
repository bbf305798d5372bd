"""exp, expm1, log and log1p, made of plain arithmetic: what native code runs on whole vectors.

The mathematical library of a processor's system takes one number at a time. Written as below, in
an algebra `m` that is passed in, the same few operations run on eight numbers at once, and on
plain floats for the tests. Beyond arithmetic, comparisons and `m.where`, the algebra offers what
the layout of a float (IEEE 754) gives almost for nothing:

- ``m.round(x)``: the nearest whole number, for |x| < 2⁵¹;
- ``m.power_of_two(k)``: 2ᵏ for a whole number k from −1022 to 1023;
- ``m.exponent(x)`` and ``m.mantissa(x)``: x = mantissa · 2^exponent with 1 ≤ mantissa < 2, for a
  positive normal x.

The methods are those of W. J. Cody and W. Waite, "Software Manual for the Elementary Functions",
Prentice-Hall 1980: reduce the argument exactly, sum a short series, put the exponent back. The
results are within a few units of the last place; `tests/ops/test_vectors.py` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["exp", "expm1", "log", "log1p"]

# ln 2 in two parts; the first has its last 21 bits at zero, so that k·LN2_HIGH is exact.
LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
SMALLEST_NORMAL = 2.0**-1022

# exp(r) - 1 = r + r²/2! + …, to r¹³: the rest is below 4e-18 for |r| ≤ ln(2)/2.
EXPONENTIAL = [1 / math.factorial(n) for n in range(1, 14)]
# log((1 + s)/(1 - s)) = 2s + 2s³/3 + 2s⁵/5 + …: what follows the 2s, divided by s.
LOGARITHM = [2 / n for n in range(3, 23, 2)]


def series(coefficients: Sequence[float], x: Any) -> Any:
    """c₀x + c₁x² + c₂x³ + …, by Horner's rule."""
    total = coefficients[-1] * x
    for coefficient in reversed(coefficients[:-1]):
        total = (coefficient + total) * x
    return total


def exponential_parts(m: Any, x: Any) -> tuple[Any, Any, Any]:
    """exp(r) - 1 and two powers of two, so that exp(x) is (1 + the first) times both."""
    x = m.where(x < -800.0, -800.0, m.where(x > 800.0, 800.0, x))  # 0 or inf from there on
    k = m.round(x * (1 / math.log(2)))
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    half = m.round(k * 0.5)  # 2ᵏ itself may be too large for a float, or too small
    return series(EXPONENTIAL, r), m.power_of_two(half), m.power_of_two(k - half)


def exp(m: Any, x: Any) -> Any:
    """e to the power of x."""
    p, scale, again = exponential_parts(m, x)
    return (1.0 + p) * scale * again


def expm1(m: Any, x: Any) -> Any:
    """exp(x) - 1, accurate near 0."""
    p, scale, again = exponential_parts(m, x)
    power = scale * again
    large = (1.0 + p) * scale * again - 1.0
    small = m.where(x == 0, x, p * power + (power - 1.0))  # of -0, it is -0
    return m.where(m.abs(x) < 1.0, small, large)


def log(m: Any, x: Any) -> Any:
    """The natural logarithm."""
    subnormal = x < SMALLEST_NORMAL
    normal = m.where(subnormal, x * 2.0**54, x)
    k = m.exponent(normal) - m.where(subnormal, 54.0, 0.0)
    mantissa = m.mantissa(normal)
    large = mantissa > math.sqrt(2)
    k = k + m.where(large, 1.0, 0.0)
    f = m.where(large, mantissa * 0.5, mantissa) - 1.0
    s = f / (2.0 + f)
    finite = k * LN2_HIGH + (f - (s * (f - series(LOGARITHM, s * s)) - k * LN2_LOW))
    defined = m.where(x == math.inf, math.inf, m.where(x > 0, finite, math.nan))
    return m.where(x == 0, -math.inf, defined)


def log1p(m: Any, x: Any) -> Any:
    """log(1 + x), accurate near 0; `m.log` is the logarithm."""
    u = 1.0 + x
    lost = x - (u - 1.0)  # what rounding took away; log(u + lost) is log(u) + lost/u
    near = m.log(u)
    return m.where(m.abs(lost) > 0, near + m.div(lost, u), m.where(x == 0, x, near))
