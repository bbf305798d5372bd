"""The operations on floats, total: where Python's math module raises, they have IEEE 754's answer.

There is nothing to call here: the table has them, as ``OPERATIONS["log"].forward``.
"""

from __future__ import annotations

import math

__all__: list[str] = []

inf, nan = math.inf, math.nan


def divide(a: float, b: float) -> float:
    try:
        return a / b
    except ZeroDivisionError:
        return nan if a == 0 or a != a else math.copysign(inf, a) * math.copysign(1.0, b)


def raise_to(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        magnitude = inf
    except ValueError:  # zero to a negative power, or a negative base to a fraction
        magnitude = inf if a == 0 else nan
    odd = math.isfinite(b) and abs(math.fmod(b, 2)) == 1
    negative = odd and math.copysign(1.0, a) < 0
    return -magnitude if negative else magnitude


def exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return inf


def expm1(x: float) -> float:
    try:
        return math.expm1(x)
    except OverflowError:
        return inf


def log(x: float) -> float:
    return math.log(x) if x > 0 else -inf if x == 0 else nan


def log1p(x: float) -> float:
    return math.log1p(x) if x > -1 else -inf if x == -1 else nan


def sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else nan


def sin(x: float) -> float:
    return math.sin(x) if math.isfinite(x) else nan


def cos(x: float) -> float:
    return math.cos(x) if math.isfinite(x) else nan


def sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = exp(x)  # written with the exponential that cannot overflow
    return e / (1.0 + e)


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x))) if x == x else nan


def relu(x: float) -> float:
    return 0.0 if x < 0 else x  # nan is not below 0, and stays


def maximum(a: float, b: float) -> float:
    return b if b > a or b != b else a


def minimum(a: float, b: float) -> float:
    return b if b < a or b != b else a


def sign(x: float) -> float:
    return math.copysign(1.0, x) if x < 0 or x > 0 else x + 0.0  # of -0 it is 0


def floor(x: float) -> float:
    return float(math.floor(x)) if x and math.isfinite(x) else x


def modulo(a: float, b: float) -> float:
    return a % b if b else nan


def tan(x: float) -> float:
    return math.tan(x) if math.isfinite(x) else nan


def asin(x: float) -> float:
    return math.asin(x) if abs(x) <= 1 else nan


def acos(x: float) -> float:
    return math.acos(x) if abs(x) <= 1 else nan


def sinh(x: float) -> float:
    try:
        return math.sinh(x)
    except OverflowError:
        return math.copysign(inf, x)


def cosh(x: float) -> float:
    try:
        return math.cosh(x)
    except OverflowError:
        return inf


def acosh(x: float) -> float:
    return math.acosh(x) if x >= 1 else nan


def atanh(x: float) -> float:
    return math.atanh(x) if abs(x) < 1 else math.copysign(inf, x) if abs(x) == 1 else nan


def log2(x: float) -> float:
    return math.log2(x) if x > 0 else -inf if x == 0 else nan


def log10(x: float) -> float:
    return math.log10(x) if x > 0 else -inf if x == 0 else nan


def exp2(x: float) -> float:
    return raise_to(2.0, x)
