"""Parts of the table's rules: derivatives that have cases, and forward functions for vectors.

There is nothing to call here. Each is written in an algebra ``m``, as `microgrant.ops.table` says,
and so serves floats, Values, words and the registers of a program.
"""

from __future__ import annotations

import math
from typing import Any

__all__: list[str] = []

inf = math.inf
LN_2, HALF_OF_E, ROOT_OF_HALF = math.log(2), math.e / 2, math.sqrt(0.5)
BELL, NORMAL_BELL = 2 / math.sqrt(math.pi), 1 / math.sqrt(2 * math.pi)
"""What makes probabilities of exp(-x²) and of exp(-x²/2)."""

# --- Parts of rules: derivatives with cases ---------------------------------------------------
# What is left in the end is nan, which is neither above nor below. There the result is nan, and
# `out` says so in derivatives of every order.


def step(m: Any, x: Any, out: Any) -> Any:
    return m.alike(x > 0, 1.0, m.alike(x <= 0, 0.0, out))


def sign(m: Any, x: Any, out: Any) -> Any:
    return m.alike(x > 0, 1.0, m.alike(x < 0, -1.0, m.alike(x == 0, 0.0, out)))


def share(m: Any, a: Any, b: Any, out: Any) -> Any:
    """What the larger operand gets: all, nothing, or half at a tie."""
    return m.alike(a > b, 1.0, m.alike(a < b, 0.0, m.alike(a <= b, 0.5, out)))


def plain_share(m: Any, a: Any, b: Any) -> Any:
    return m.where(a > b, 1.0, m.where(a < b, 0.0, 0.5))


def not_negative(m: Any, x: Any, out: Any) -> Any:
    """x itself, where a logarithm has a derivative, or else the logarithm, nan."""
    return m.where(x >= 0, x, out)


def tanh_slope(m: Any, x: Any) -> Any:
    # 1 - out² loses every digit where out has rounded to 1.
    return 4.0 * m.sigmoid(2.0 * x) * m.sigmoid(-2.0 * x)


def further_tanh(m: Any, out: Any, x: Any) -> tuple[Any]:
    # Near 0, the derivative of that is a difference which loses the digits of -2x.
    square = out * out
    return (m.alike(square < 0.5, 1.0 - square, tanh_slope(m, x)),)


def further_sigmoid(m: Any, out: Any, x: Any) -> tuple[Any]:
    half = m.tanh(0.5 * x)  # out is (1 + half) / 2
    square = half * half
    return (m.alike(square < 0.5, 0.25 - 0.25 * square, out * m.sigmoid(-x)),)


def power_rule(m: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    # Below 0.5, b - 1 is rounded, which shows where the base is very large or small.
    extreme = (a == 0) | (m.abs(a) == inf) | (b == -inf)
    plain = (b >= 0.5) | (extreme & (out <= inf))
    by_a = m.alike(plain, b * m.pow(a, b - 1), m.div(b * out, a))
    # Where the function is flat, 0·a⁻¹ and out·log(0) would be nan.
    return m.where(b == 0, 0.0, by_a), m.where((a == 0) & (b >= 0), 0.0, out * m.log(a))


def further_power(m: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    zero = a == 0
    # 0ᵇ·log(0) is 0·inf. Near 0, -log(a) grows without end, but more slowly than any power of 1/a:
    # a power in its place, small enough, has the limits of all further derivatives.
    by_b = m.where(zero & (b > 0), -m.pow(a, b * (1 - 2.0**-40)), out * m.log(a))
    # Of the b in b·0ᵇ⁻¹, which is 0 or inf, only the sign counts; inf - inf must not come of it.
    # And the slope of a root at 0 is inf, as that of 0ᵇ⁻¹ is by b, from 1 on.
    times = m.where(zero & (b < 2), m.where(b > 0, 1.0, -1.0), b)
    by_a = m.where(zero & (b == 1), b - m.sqrt(b - 1), times) * m.pow(a, b - 1)
    # At (0, 0) both are 0, as in PyTorch; what follows from there is inf or nan.
    origin = zero & (b == 0)
    by_a = m.alike(out <= inf, by_a, out)  # nan, also where b - 1 is rounded to a whole number
    return m.where(origin, m.sqrt(b) * out, by_a), m.where(origin, m.sqrt(a + b), by_b)


def flat(m: Any, x: Any, out: Any) -> Any:
    """The slope of steps: 0."""
    return m.alike(x <= inf, 0.0, out)


def quotient(m: Any, a: Any, b: Any, out: Any) -> Any:
    """The whole number of times that b was taken from a, to leave `out`."""
    times = m.floor(m.div(a - out, b) + 0.5)  # of a / b itself, rounding may make one more
    return m.alike(m.abs(out) == inf, -1.0, times)


def acosh_slope(m: Any, x: Any, out: Any) -> Any:
    root = m.alike(x > 1, m.sqrt(x - 1.0) * m.sqrt(x + 1.0), m.sqrt(x * x - 1.0))
    return m.alike(x >= 1, m.div(1.0, root), out)


def lean(m: Any, a: Any, b: Any, length: Any) -> Any:
    """What a side adds to the length of a diagonal, as it grows; nothing where that is 0."""
    # Of a/length, the derivative by the longer side is a difference which loses all digits.
    steep = m.div(b, a)
    along = m.div(sign(m, a, length), m.sqrt(1.0 + steep * steep))
    across = m.alike(length > 0, m.div(a, length), 0.0 * length)
    return m.alike(m.abs(b) < m.abs(a), along, across)


def turning(m: Any, a: Any, r: Any, out: Any) -> Any:
    """a/r², how fast an angle turns at a distance r; 0 at the centre, where it has no direction."""
    return m.alike((r > 0) & (r < inf), m.div(m.div(a, r), r), 0.0 * out)


def one_minus_square(m: Any, x: Any) -> Any:
    # Each keeps digits, its own or those of its derivative, where the other loses them.
    square = x * x
    return m.alike((square < 0.5) | (square >= 1), 1.0 - square, (1.0 - x) * (1.0 + x))


def bell(m: Any, x: Any, sharpness: float) -> Any:
    """exp(-sharpness·x²), without the rounding of x²: exp makes x² times as much of it."""
    near = 0.0625 * m.floor(16.0 * x + 0.5)  # of few digits: its square is exact
    rest = (x - near) * (x + near)
    return m.exp(-sharpness * near * near) * m.exp(-sharpness * rest)


def normal_density(m: Any, x: Any) -> Any:
    return m.alike(m.abs(x) >= 40.0, 0.0, NORMAL_BELL * bell(m, x, 0.5))


def gelu_slope(m: Any, x: Any, out: Any) -> Any:
    slope = m.normal_cdf(x) + x * normal_density(m, x)
    return m.alike(m.abs(x) < 40.0, slope, step(m, x, out))


def silu_slope(m: Any, x: Any, out: Any) -> Any:
    slope = m.sigmoid(x) * (1.0 + x * m.sigmoid(-x))
    return m.alike(m.abs(x) < 800.0, slope, step(m, x, out))


# --- Forward functions for whole vectors, which cannot branch ---------------------------------


def native_sigmoid(m: Any, x: Any) -> Any:
    e = m.exp(-m.abs(x))
    upper = m.div(1.0, 1.0 + e)
    return m.where(x >= 0, upper, e * upper)


def native_softplus(m: Any, x: Any) -> Any:
    return m.where(x > 0, x, 0.0) + m.log1p(m.exp(-m.abs(x)))


def native_power(m: Any, x: Any, exponent: float) -> Any:
    """By multiplication where that rounds twice or less, and by the square root for halves."""
    if exponent in (-1, -2):
        return native_power(m, m.div(1.0, x), -exponent)
    if exponent == -0.5:
        return m.div(1.0, native_power(m, x, 0.5))
    if exponent == 0.5:  # the power of -0 is 0, and that of -inf is inf
        return m.where(x == -inf, inf, m.sqrt(m.where(x == 0, 0.0, x)))
    if exponent in (1, 2, 3, 4):
        square = x * x
        return (x, square, square * x, square * square)[int(exponent) - 1]
    return m.pow(x, exponent)


def normal_cdf(m: Any, x: Any) -> Any:
    z = -ROOT_OF_HALF * x
    tail = m.erfc(z)
    # Far out, erfc makes x² times as much of the rounding of z: the bells take it back.
    exact = tail * m.div(bell(m, x, 0.5), bell(m, z, 1.0))
    return 0.5 * m.where((x < -1.0) & (x > -37.5), exact, tail)


def gelu(m: Any, x: Any) -> Any:
    return m.where(x < -40.0, -0.0, x * m.normal_cdf(x))


def silu(m: Any, x: Any) -> Any:
    return m.where(x < -800.0, -0.0, x * m.sigmoid(x))


def native_sign(m: Any, x: Any) -> Any:
    return m.where(x > 0, 1.0, m.where(x < 0, -1.0, m.where(x <= 0, 0.0, x)))


def native_modulo(m: Any, a: Any, b: Any) -> Any:
    rest = m.fmod(a, b)  # which has the sign of a
    other = ((rest < 0) & (b > 0)) | ((rest > 0) & (b < 0))
    return m.where(rest == 0, m.where(b < 0, -0.0, 0.0), m.where(other, rest + b, rest))


def native_hypot(m: Any, a: Any, b: Any) -> Any:
    a, b = m.abs(a), m.abs(b)
    large, small = m.where(a > b, a, b), m.where(a > b, b, a)
    ratio = m.div(small, large)  # the squares themselves may be too large for a float
    length = m.where(large > 0, large * m.sqrt(1.0 + ratio * ratio), a + b)
    return m.where((a == inf) | (b == inf), inf, length)


def half_exp(m: Any, x: Any) -> Any:
    """exp(x)/2, for x from 0 on: also where exp(x) is too large for a float."""
    return HALF_OF_E * m.exp(x - 1.0)


def native_sinh(m: Any, x: Any) -> Any:
    half, t = half_exp(m, m.abs(x)), m.expm1(x)
    far = half - m.div(0.25, half)
    near = 0.5 * (t + m.div(t, t + 1.0))
    return m.where(m.abs(x) < 1.0, near, m.where(x < 0, -far, far))


def native_cosh(m: Any, x: Any) -> Any:
    half = half_exp(m, m.abs(x))
    return half + m.div(0.25, half)


def native_asinh(m: Any, x: Any) -> Any:
    a = m.abs(x)
    near = m.log1p(a + m.div(a * a, 1.0 + m.sqrt(1.0 + a * a)))
    return odd(m, x, m.where(a > 2.0**28, m.log(a) + LN_2, near))


def native_acosh(m: Any, x: Any) -> Any:
    t = x - 1.0
    near = m.log1p(t + m.sqrt(t * (t + 2.0)))
    return m.where(x < 1, math.nan, m.where(x > 2.0**28, m.log(x) + LN_2, near))


def native_atanh(m: Any, x: Any) -> Any:
    a = m.abs(x)
    return odd(m, x, 0.5 * m.log1p(m.div(2.0 * a, 1.0 - a)))


def odd(m: Any, x: Any, above: Any) -> Any:
    """An odd function, from what it is of |x|."""
    return m.where(x == 0, x, m.where(x < 0, -above, above))
