"""Check derivatives by nudging: does the gradient agree with what the function does?

With this module you can

- check a function of Values:              gradcheck(lambda a, b: (a * b).tanh(), [0.5, -1.0])
- check an operation of your own:          gradcheck(gaussian, [0.5])
- check derivatives of derivatives too:    gradcheck(f, inputs, order=2)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ..ops.table import is_own
from .arguments import as_number, shown, unboxed, whole_number
from .conditions import Choice
from .derivatives import grad
from .value import Number, Value, topological_order

__all__ = ["GradientError", "gradcheck", "numerical_derivative"]


class GradientError(ValueError):
    """A gradient does not agree with the function that it is said to be the gradient of."""


def gradcheck(
    f: Callable[..., Value],
    inputs: Iterable[Number],
    *,
    tolerance: float = 1e-6,
    order: int = 1,
) -> bool:
    """True if the engine's derivatives of f at `inputs` agree with numerical ones.

    f: takes as many Values as there are inputs, and returns one Value. It is called many times.
    tolerance: the largest difference allowed, relative to the derivative or to 1, if larger.
    order: 2 also checks the derivatives of each derivative, and so on.

    A `GradientError` names the argument, both derivatives and their difference; and whose the
    derivative is, the engine's, or that of a rule of your own.

    >>> gradcheck(lambda a, b: (a * b).tanh(), [0.5, -1.0], order=2)
    True
    >>> from microgrant import define
    >>> wrong = define("wrong", lambda x: x * x, lambda m, out, x: (x,))
    >>> gradcheck(wrong, [3.0])
    Traceback (most recent call last):
        ...
    microgrant.engine.checking.GradientError: d wrong / d argument 0 at (3.0): your rule says ...
    """
    if not callable(f):
        raise TypeError(f"gradcheck needs a function of Values, but got {shown(f)}")
    tolerance, order = as_number(tolerance, "tolerance"), whole_number("order", order)
    try:
        given = list(inputs)
    except TypeError:
        given = []
    if not given:
        raise TypeError(f"inputs lists a number for each argument of f, but got {shown(inputs)}")
    points = [x.data if isinstance(x, Value) else as_number(x) for x in given]
    name = getattr(f, "__name__", "f")
    operations = (node.operation for node in topological_order(_result(f, points)))
    rules = [x for x in operations if x is not None and not isinstance(x, Choice)]
    who = "your rule" if any(map(is_own, rules)) else "the engine"
    _check(f, "f" if name == "<lambda>" else name, who, points, tolerance, order)
    return True


def _check(
    f: Callable[..., Value], name: str, who: str, points: list[float], tolerance: float, order: int
) -> None:
    def value(*numbers: float) -> float:
        return _result(f, numbers).data

    leaves = [Value(x) for x in points]
    analytic = grad(_result(f, leaves), leaves)
    for i, exact in enumerate(analytic):
        estimate, error = numerical_derivative(value, points, i)
        difference = abs(exact - estimate)
        if not difference <= tolerance * max(1.0, abs(exact)) + error:
            at = ", ".join(map(repr, points))
            raise GradientError(
                f"d {name} / d argument {i} at ({at}): {who} says {exact!r}, "
                f"nudging the argument says {estimate!r}, which differs by {difference:.3g}. "
                "Either a derivative is wrong, or the function has a kink or a jump there"
            )
        if order > 1:
            derivative = f"(d {name} / d argument {i})"
            _check(_derivative(f, i), derivative, who, points, tolerance, order - 1)


def _result(f: Callable[..., Value], numbers: Sequence[float | Value]) -> Value:
    result = unboxed(f(*(x if isinstance(x, Value) else Value(x) for x in numbers)))
    if not isinstance(result, Value):
        raise TypeError(
            f"gradcheck needs a function that returns one Value, but it returned {shown(result)}"
        )
    return result


def _derivative(f: Callable[..., Value], i: int) -> Callable[..., Value]:
    def derivative(*values: Value) -> Value:
        result: Value = grad(_result(f, values), values[i], create_graph=True)
        return result

    return derivative


def numerical_derivative(
    f: Callable[..., float], point: Sequence[float], i: int
) -> tuple[float, float]:
    """df/dx[i] at a point by central differences, and an estimate of its error.

    Differences over shrinking steps are extrapolated to a step of 0, and the best entry of the
    table is kept: C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Advances in
    Engineering Software 4 (1982) 75-76.

    >>> slope, error = numerical_derivative(lambda x: x**3, [2.0], 0)
    >>> abs(slope - 12.0) < 1e-9
    True
    """

    def difference(h: float) -> float:
        above, below = list(point), list(point)
        above[i] += h
        below[i] -= h
        return (f(*above) - f(*below)) / (above[i] - below[i])

    h = 0.05 * max(1.0, abs(point[i]))
    best, best_error = math.nan, math.inf
    previous: list[float] = []
    for _ in range(25):
        row, factor = [difference(h)], 1.0
        for older in previous:
            factor *= 4.0  # the next term of the error shrinks with the square of the step
            row.append((row[-1] * factor - older) / (factor - 1.0))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - older))
            if error < best_error:
                best, best_error = row[-1], error
        previous, h = row, h / 2.0
    return best, best_error
