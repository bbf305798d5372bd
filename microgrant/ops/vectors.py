"""exp, log, erf and the like, made of plain arithmetic: what native code runs on whole vectors.

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

from .rules import BELL, bell

__all__ = ["atan2", "erf", "erfc", "exp", "expm1", "log", "log1p", "tanh"]

# ln 2 in two parts; the first has its last 21 bits at zero, so that k·LN2_HIGH is exact.
LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
SMALLEST_NORMAL = 2.0**-1022

# exp(r) - 1 = r + r²/2! + …, to r¹³: the rest is below 4e-18 for |r| ≤ ln(2)/2.
EXPONENTIAL = [1 / math.factorial(n) for n in range(1, 14)]
# log((1 + s)/(1 - s)) = 2s + 2s³/3 + 2s⁵/5 + …: what follows the 2s, divided by s.
LOGARITHM = [2 / n for n in range(3, 23, 2)]
# atan(t) = t - t³/3 + t⁵/5 - …: what follows the t, divided by t; enough for |t| < 0.24.
ARC_TANGENT = [(-1) ** n / (2 * n + 1) for n in range(1, 14)]
# erf(x) = BELL·(x - x³/(1!·3) + x⁵/(2!·5) - …): what follows the x, divided by x.
ERROR = [(-1) ** n * BELL / (math.factorial(n) * (2 * n + 1)) for n in range(1, 20)]
# tanh(x)/x - 1 for |x| < 0.55 as a polynomial of x²: what goes through the truth at the 11 zeros of
# a Chebyshev polynomial, as the tests compute it anew.
TANGENT = [
    -0.3333333333333333,
    0.13333333333332714,
    -0.053968253967434016,
    0.021869488493666944,
    -0.008863234397814355,
    0.003592110378689024,
    -0.001455661830100716,
    0.0005889360520074057,
    -0.0002346347410887237,
    8.511313685577672e-05,
    -2.060276537636634e-05,
]
# exp(x²)·erfc(x)·(x + 3.75) for x from 0.5 on, as a polynomial of s = (x - 4.75)/(x + 3.75): what
# goes through the truth at the 22 zeros of a Chebyshev polynomial (the tests compute it anew).
ERROR_TAIL = [
    0.9885730112871022,
    -0.7095511499301855,
    0.4549617451976568,
    -0.25822130200539756,
    0.12785795948030285,
    -0.053920948788775874,
    0.018532746791811255,
    -0.004696152212565724,
    0.0005940425388060751,
    0.0001312243476621401,
    -8.73469138468725e-05,
    1.3221092502456711e-05,
    4.676680939579066e-06,
    -2.314884578637014e-06,
    -3.561598096214172e-08,
    2.5657953651009287e-07,
    -3.125537379936241e-08,
    -2.6213576232886252e-08,
    5.470565561961033e-09,
    2.5583530933937288e-09,
    -4.781370550417004e-10,
    -1.790639798420797e-10,
]
# Angles in two parts, as above: of a tangent of 1/2, and an eighth, a quarter and half of a turn.
ATAN_HALF = 0.4636476090008061, 2.2698777452961687e-17
EIGHTH, QUARTER, HALF = (
    (math.pi * part, 1.2246467991473532e-16 * part) for part in (0.25, 0.5, 1.0)
)


def series(coefficients: Sequence[float], x: Any) -> Any:
    """c₀x + c₁x² + c₂x³ + …, of three terms or more.

    By Horner's rule, for every other term: so a processor can work on two sums at the same time.
    """
    first, *others = coefficients
    square = x * x
    return first * x + square * (horner(others[::2], square) + x * horner(others[1::2], square))


def horner(coefficients: Sequence[float], x: Any) -> Any:
    """c₀ + c₁x + c₂x² + …"""
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + total * x
    return total


def exponential_parts(m: Any, x: Any) -> tuple[Any, Any, Any]:
    """exp(r) - 1 and two powers of two, so that exp(x) is (1 + the first) times both."""
    x = m.where(x < -800.0, -800.0, x)  # 0 from there on
    x = m.where(x > 800.0, 800.0, x)  # inf from there on
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


def tanh(m: Any, x: Any) -> Any:
    """The hyperbolic tangent. Its slope takes the same exponential and the same quotient."""
    a = m.abs(x)
    e = m.exp(-m.abs(2.0 * x))
    far = (1.0 - e) * m.div(1.0, 1.0 + e)
    return m.copysign(m.where(a < 0.55, a + a * series(TANGENT, a * a), far), x)


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


def atan2(m: Any, y: Any, x: Any) -> Any:
    """The angle of the point (x, y), from -π to π."""
    a, b = m.abs(y), m.abs(x)
    steep = a > b
    small, large = m.where(steep, b, a), m.where(steep, a, b)
    scale = m.where(large > 1e300, 2.0**-64, m.where(large < 1e-200, 2.0**64, 1.0))
    # (0, 0) and what is infinite have the angles of (1, 0) and (1, 1).
    edge = ((small == 0) & (large == 0)) | ((small <= math.inf) & (large == math.inf))
    small = m.where(edge, m.where(small == math.inf, 1.0, 0.0), small * scale)
    large = m.where(edge, 1.0, large * scale)
    # It is not far from one of three directions: those of the slopes 0, 1/2 and 1.
    second, third = small > 0.236 * large, small > 0.72 * large
    slope = m.where(third, 1.0, m.where(second, 0.5, 0.0))
    t = m.div(small - slope * large, large + slope * small)
    high, low = (
        m.where(third, eighth, m.where(second, half, 0.0))
        for eighth, half in zip(EIGHTH, ATAN_HALF, strict=True)
    )
    low = low + t * series(ARC_TANGENT, t * t)
    for mirrored, (turn, rest) in ((steep, QUARTER), (m.copysign(1.0, x) < 0, HALF)):
        high = m.where(mirrored, turn - high, high)
        t, low = m.where(mirrored, -t, t), m.where(mirrored, rest - low, low)
    return m.copysign(high + (t + low), y)


def erf(m: Any, x: Any) -> Any:
    """The error function: by its Taylor series near 0, and else by what `erfc` leaves."""
    near = x * (BELL + series(ERROR, x * x))
    far = 1.0 - m.erfc(m.abs(x))
    return m.where(m.abs(x) < 1.0, near, m.where(x < 0, -far, far))


def erfc(m: Any, x: Any) -> Any:
    """1 - erf(x), accurate also where that is nearly 1: exp(-x²) times a smooth function, of which
    Chebyshev's polynomials make one of (x - 4.75)/(x + 3.75), as in J. L. Schonfelder, "Chebyshev
    expansions for the error and related functions", Mathematics of Computation 32, 1978."""
    a = m.abs(x)
    a = m.where(a > 40.0, 40.0, a)  # 0 from there on
    inverse = m.div(1.0, a + 3.75)
    s = (a - 4.75) * inverse
    smooth = (ERROR_TAIL[0] + series(ERROR_TAIL[1:], s)) * inverse
    tail = bell(m, a, 1.0) * smooth
    within = 1.0 - x * (BELL + series(ERROR, x * x))
    return m.where(a < 0.5, within, m.where(x < 0, 2.0 - tail, tail))
