"""The functions of the table, to be called on a Value or on a number: ``microgrant.atan(x)``.

With this module you can

- have an angle, or the way back:      atan2(y, x), tan(angle)
- have a length:                       hypot(x, y)
- bend what neurons say:               gelu(x), silu(x), elu(x), leaky_relu(x)
- round, with a gradient of 0:         floor(x), sign(x)

Each makes one node of the graph. What a number beyond its domain gives is what IEEE 754 says, as in
PyTorch: ``asin(2.0)`` is nan. Those that are methods too (``x.exp()``) stand here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from ..ops.table import OPERATIONS, elu as elu_of, leaky_relu as leaky_relu_of
from .arguments import RealNumber, as_number
from .derivatives import apply
from .habits import KEYWORDS, refuse
from .value import Number, Value, as_value

__all__ = ["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "elu"]
__all__ += ["erf", "erfc", "exp", "exp2", "expm1", "floor", "gelu", "hypot", "leaky_relu", "log"]
__all__ += ["log1p", "log2", "log10", "maximum", "minimum", "normal_cdf", "relu", "sigmoid"]
__all__ += ["sign", "silu", "sin", "sinh", "softplus", "sqrt", "tan", "tanh"]


def _function(name: str) -> Callable[[Number], Value]:
    """That of an operation for which there is a method, which has a word on it."""

    def function(x: Number) -> Value:
        return apply(OPERATIONS[name], x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = getattr(Value, name).__doc__
    return function


exp, expm1, log, log1p, sqrt = map(_function, ("exp", "expm1", "log", "log1p", "sqrt"))
sin, cos, tanh = map(_function, ("sin", "cos", "tanh"))
sigmoid, relu, softplus = map(_function, ("sigmoid", "relu", "softplus"))


def maximum(x: Number, *others: Number) -> Value:
    """The largest of x and others; those that tie share the gradient evenly."""
    return as_value(x).maximum(*others)


def minimum(x: Number, *others: Number) -> Value:
    """The smallest of x and others; those that tie share the gradient evenly."""
    return as_value(x).minimum(*others)


def exp2(x: Number) -> Value:
    """2 to the power of x."""
    return apply(OPERATIONS["exp2"], x)


def log2(x: Number) -> Value:
    """The logarithm to the base 2; -inf at 0, nan below.

    >>> log2(8.0)
    Value(data=3.0, grad=0.0)
    """
    return apply(OPERATIONS["log2"], x)


def log10(x: Number) -> Value:
    """The logarithm to the base 10; -inf at 0, nan below.

    >>> log10(1000.0)
    Value(data=3.0, grad=0.0)
    """
    return apply(OPERATIONS["log10"], x)


def tan(x: Number) -> Value:
    """The tangent, of radians."""
    return apply(OPERATIONS["tan"], x)


def asin(x: Number) -> Value:
    """The angle from -π/2 to π/2 whose sine is x; nan beyond -1 and 1."""
    return apply(OPERATIONS["asin"], x)


def acos(x: Number) -> Value:
    """The angle from 0 to π whose cosine is x; nan beyond -1 and 1."""
    return apply(OPERATIONS["acos"], x)


def atan(x: Number) -> Value:
    """The angle from -π/2 to π/2 whose tangent is x.

    >>> x = Value(1.0)
    >>> y = 4 * atan(x)
    >>> y.backward()
    >>> print(f"{y:.4f}", x.grad)
    3.1416 2.0
    """
    return apply(OPERATIONS["atan"], x)


def atan2(y: Number, x: Number) -> Value:
    """The angle of the point (x, y), from -π to π. At (0, 0) both derivatives are 0.

    >>> print(f"{atan2(1.0, -1.0):.4f}")
    2.3562
    """
    return apply(OPERATIONS["atan2"], y, x)


def sinh(x: Number) -> Value:
    """The hyperbolic sine, (exp(x) - exp(-x))/2."""
    return apply(OPERATIONS["sinh"], x)


def cosh(x: Number) -> Value:
    """The hyperbolic cosine, (exp(x) + exp(-x))/2."""
    return apply(OPERATIONS["cosh"], x)


def asinh(x: Number) -> Value:
    """The number whose hyperbolic sine is x."""
    return apply(OPERATIONS["asinh"], x)


def acosh(x: Number) -> Value:
    """The number from 0 on whose hyperbolic cosine is x; nan below 1."""
    return apply(OPERATIONS["acosh"], x)


def atanh(x: Number) -> Value:
    """The number whose hyperbolic tangent is x; nan beyond -1 and 1."""
    return apply(OPERATIONS["atanh"], x)


def erf(x: Number) -> Value:
    """The error function, 2/√π times the integral of exp(-t²) from 0 to x."""
    return apply(OPERATIONS["erf"], x)


def erfc(x: Number) -> Value:
    """1 - erf(x), with all of its digits where that is nearly 0."""
    return apply(OPERATIONS["erfc"], x)


def hypot(a: Number, b: Number) -> Value:
    """√(a² + b²), however large or small. At (0, 0) both derivatives are 0, as those of abs.

    >>> hypot(3.0, 4.0), hypot(1e200, 0.0)
    (Value(data=5.0, grad=0.0), Value(data=1e+200, grad=0.0))
    """
    return apply(OPERATIONS["hypot"], a, b)


def sign(x: Number) -> Value:
    """1 above 0, -1 below, and 0 at 0; its derivative is 0."""
    return apply(OPERATIONS["sign"], x)


def floor(x: Number) -> Value:
    """The largest whole number that is not above x; its derivative is 0."""
    return apply(OPERATIONS["floor"], x)


def normal_cdf(x: Number) -> Value:
    """The probability that a normal random number is below x, of mean 0 and variance 1.

    >>> print(f"{normal_cdf(0.0):.4f} {normal_cdf(-1.96):.4f}")
    0.5000 0.0250
    """
    return apply(OPERATIONS["normal_cdf"], x)


def gelu(x: Number, **habits: NoReturn) -> Value:
    """x·normal_cdf(x), a ReLU with a soft bend (Hendrycks and Gimpel 2016).

    >>> print(f"{gelu(-1.0):.4f} {gelu(2.0):.4f}")
    -0.1587 1.9545
    """
    refuse("gelu", habits, KEYWORDS)
    return apply(OPERATIONS["gelu"], x)


def silu(x: Number) -> Value:
    """x·sigmoid(x), also known as swish (Elfwing, Uchibe and Doya 2018)."""
    return apply(OPERATIONS["silu"], x)


def elu(x: Number, alpha: RealNumber = 1.0) -> Value:
    """x above 0, and alpha·(exp(x) - 1) below (Clevert, Unterthiner and Hochreiter 2016)."""
    return apply(elu_of(as_number(alpha)), x)


def leaky_relu(x: Number, slope: RealNumber = 0.01, **habits: NoReturn) -> Value:
    """x above 0, and slope·x below, so that no neuron dies (Maas, Hannun and Ng 2013).

    >>> leaky_relu(-3.0), leaky_relu(-3.0, slope=0.5)
    (Value(data=-0.03, grad=0.0), Value(data=-1.5, grad=0.0))
    """
    refuse("leaky_relu", habits, KEYWORDS)
    return apply(leaky_relu_of(as_number(slope)), x)
