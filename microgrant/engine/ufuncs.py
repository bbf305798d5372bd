"""NumPy's functions of Values: recorded like all others.

With Values and NumPy you can

- call its functions by their names:     np.exp(v), np.hypot(a, b), np.maximum(v, 0.0)
- compute with arrays of Values:         A * v, np.sqrt(A), np.std(A), np.maximum(A, v)

There is nothing to call here: NumPy asks a Value that it is given what to do (`__array_ufunc__`).
Of an array it sees no Values but objects, and looks for a method of its function's name on each.
Where it has no need of one and compares, for ``np.maximum(A, B)``, ``np.clip(A, 0, 1)``,
``np.sign(A)``, ``A.max()`` and ``np.where(A > 0, A, 0.1 * A)``, it decides, once and for all, as an
`if` does: for what is to be compiled, go through the arrays, ``[a.maximum(b) for a, b in
zip(A, B)]``.

Type checkers know the functions of one Value only. NumPy's stubs refuse those of two, and np.clip:
there, write ``a.maximum(b)``, ``microgrant.hypot(a, b)`` and ``v.clip(0, 1)``.

An array without dimensions, such as ``np.where(v > 0, v, w)`` returns, is taken for the Value that
it holds, wherever one is wanted; ``.item()`` takes it out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache, partial as bind
from numbers import Number
from typing import TYPE_CHECKING, Any

from ..ops.table import OPERATIONS
from .arguments import as_number, unboxed

__all__ = ["Ufuncs"]

Apply = Callable[..., Any]

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "remainder": operator.mod,
    "power": operator.pow,
    "negative": operator.neg,
    "positive": operator.pos,
    "absolute": abs,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
}
"""What NumPy does with each object of an array by an operator of Python's."""
# Other functions of NumPy's that do with objects what is right for Values.
OF_OBJECTS = {"square", "reciprocal", "conjugate", "matmul", "logical_and", "logical_or"}
OF_OBJECTS |= {"logical_not", "logical_xor"}


class Named:
    """A method that is there for NumPy alone: an operation of the table under NumPy's name."""

    def __init__(self, operation: str = "") -> None:
        self._its_name = operation

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.operation = name, OPERATIONS[self._its_name or name]

    def __get__(self, value: Any, owner: type) -> Callable[..., Any]:
        if value is None:
            raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}")
        return bind(value._apply, self.operation, value)


class Ufuncs:
    """What NumPy asks a `Value` for."""

    __slots__ = ()

    # No `__getattr__`, which would make Python look up every attribute more slowly.
    if not TYPE_CHECKING:  # in programs, they are functions: microgrant.atan(v), np.arctan(v)
        arccos = Named("acos")
        arccosh = Named("acosh")
        arcsin = Named("asin")
        arcsinh = Named("asinh")
        arctan = Named("atan")
        arctan2 = Named("atan2")
        arctanh = Named("atanh")
        cosh = Named()
        exp2 = Named()
        expit = Named("sigmoid")  # of SciPy
        fabs = Named("abs")
        hypot = Named()
        log10 = Named()
        log2 = Named()
        sinh = Named()
        tan = Named()

        def conjugate(self):
            """Of a real number, it is the number itself: np.var and np.std ask for it."""
            return self

        def __dir__(self) -> list[str]:
            """Without what is there for NumPy alone: this is what editors propose."""
            return [x for x in super().__dir__() if x not in vars(Ufuncs) or x[:2] == "__"]

    def __array_ufunc__(self: Any, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        """What NumPy does with a Value: ``np.exp(v)``, ``np.maximum(a, b)``, an array times v."""
        if method == "__call__" and not settings:
            numbers = [x if isinstance(x, Ufuncs) else _plain(x) for x in inputs]
            function = _of_numbers(ufunc, self._apply)
            if function and all(isinstance(x, (Ufuncs, float, int)) for x in numbers):
                return function(*numbers)
        into = (*settings.get("out", ()), *inputs[: method == "at"])
        if any(isinstance(x, Ufuncs) for x in into):
            raise TypeError(
                f"NumPy cannot write the result of np.{ufunc.__name__} into a Value, which is the "
                f"record of what was computed: use what np.{ufunc.__name__} returns"
            )
        held = [_boxed(x) if isinstance(x, Ufuncs) else x for x in inputs]
        return getattr(_of_objects(ufunc, self._apply), method)(*held, **settings)


NAMES = {name: x for name, x in vars(Ufuncs).items() if isinstance(x, Named)}


def _plain(x: Any) -> Any:
    """A number of NumPy's as one of Python's, however many bits it has; all else as it is."""
    x = unboxed(x)
    return as_number(x) if isinstance(x, Number) else x


def _boxed(value: Ufuncs) -> Any:
    """An array without dimensions that holds the Value, of which NumPy asks nothing."""
    import numpy  # it is what asks

    box = numpy.empty((), object)
    box[()] = value
    return box


@lru_cache(maxsize=256)
def _of_numbers(ufunc: Any, apply: Apply) -> Callable[..., Any] | None:
    """What a function of NumPy's is to do with Values, if that is known."""
    name = ufunc.__name__
    if name in OPERATORS:
        return OPERATORS[name]
    if name == "clip":  # between Values; between numbers, it is Value.clip that np.clip calls
        largest, smallest = OPERATIONS["maximum"], OPERATIONS["minimum"]
        return lambda x, low, high: apply(smallest, apply(largest, x, low), high)
    operation = NAMES[name].operation if name in NAMES else OPERATIONS.get(name)
    return None if operation is None else bind(apply, operation)


@lru_cache(maxsize=256)
def _of_objects(ufunc: Any, apply: Apply) -> Any:
    """A function of NumPy's that does the same with each object of an array."""
    import numpy

    name = ufunc.__name__
    of_python = not set("".join(ufunc.types)) - set("O->")  # made by np.frompyfunc
    if name in OPERATORS or name in OF_OBJECTS or of_python:
        return ufunc
    function = _of_numbers(ufunc, apply)
    if function is None:
        known = {*OPERATORS, *OF_OBJECTS, *OPERATIONS, *NAMES}
        of_numpy = {getattr(getattr(numpy, x, None), "__name__", None) for x in known}
        there = ", ".join(sorted(known & of_numpy))  # without further names of the same
        raise TypeError(
            f"np.{name} of a Value is not recorded: np.{name}(v.data) is that of its number, cut "
            f"from the graph, or write it with what is: {there}"
        )
    return numpy.frompyfunc(function, ufunc.nin, 1)
