"""Many derivatives at once, and no `.grad` touched: gradients of functions, Jacobians, Hessians.

With this module you can

- have value and gradient of a function:    value, gradient = value_and_grad(f)(0.5, -1.0)
- differentiate many by many:               jacobian([y, z], [a, b])
- have all second derivatives:              hessian(loss, [a, b])
- or their sum along one direction:         hvp(loss, [a, b], [1.0, 0.0])

The last three take Values, and the Values that these were recorded from; or a function, and the
numbers to record it at: ``hessian(lambda a, b: (a * b).exp(), [0.5, -1.0])``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from functools import reduce
from typing import Any, TypeAlias

from . import modes
from .arguments import RealNumber, as_list, as_number, shown, unboxed
from .derivatives import grad
from .value import Number, Value

__all__ = ["hessian", "hvp", "jacobian", "value_and_grad"]

One: TypeAlias = Value | Callable[..., Value]
Many: TypeAlias = Value | Sequence[Value] | Callable[..., Value | Sequence[Value]]


def value_and_grad(f: Callable[..., Value]) -> Callable[..., tuple[float, Any]]:
    """A function of numbers that returns the value of f, and its gradient.

    f: takes one Value for each number, or a list of Values for a list of numbers, and returns one.

    The gradient has the form of the argument: a number for a number, a list for a list; of several
    arguments it is a list of these.

    >>> value_and_grad(lambda x: x**3)(2.0)
    (8.0, 12.0)
    >>> value_and_grad(lambda w, b: w[0] * w[1] + b)([2.0, 3.0], 4.0)
    (10.0, [[3.0, 2.0], 1.0])
    """
    if not callable(f):
        raise TypeError(
            f"value_and_grad takes a function, but got {shown(f)}: "
            "of a recorded Value, grad(y, xs) is the gradient, and y.data the value"
        )

    def at(*arguments: Number | Collection[Number]) -> tuple[float, Any]:
        if not arguments:
            raise TypeError("the function of value_and_grad needs a number to be differentiated at")
        leaves = [_leaves(x) for x in arguments]
        output = _one("value_and_grad", _call("value_and_grad", f, leaves))
        found = iter(grad(output, [leaf for x in leaves for leaf in _listed(x)]))
        form = [[next(found) for _ in x] if isinstance(x, list) else next(found) for x in leaves]
        return output.data, form[0] if len(form) == 1 else form

    return at


def jacobian(outputs: Many, inputs: Collection[Number] = ()) -> list[list[float]]:
    """The derivatives of each output, in a row, by each input: one backward pass for each output.

    outputs: one Value or several; or a function of as many Values as there are inputs.
    inputs: the Values that the outputs were recorded from; numbers, for a function.

    >>> a, b = Value(2.0), Value(3.0)
    >>> jacobian([a * b, a + b], [a, b])
    [[3.0, 2.0], [1.0, 1.0]]
    >>> jacobian(lambda a, b: [a * b, a + b], [2.0, 3.0])
    [[3.0, 2.0], [1.0, 1.0]]
    """
    recorded, leaves = _recorded("jacobian", outputs, inputs)
    return [grad(_one("jacobian", y), leaves) for y in _listed(recorded)]


def hessian(output: One, inputs: Collection[Number] = ()) -> list[list[float]]:
    """All second derivatives of one output: the Jacobian of its gradient, n backward passes.

    output: one Value; or a function of as many Values as there are inputs.
    inputs: the Values that the output was recorded from; numbers, for a function.

    >>> a, b = Value(2.0), Value(3.0)
    >>> hessian(a * a * b, [a, b])
    [[6.0, 4.0], [4.0, 0.0]]
    >>> hessian(lambda a, b: a * a * b, [2.0, 3.0])
    [[6.0, 4.0], [4.0, 0.0]]
    """
    gradient, leaves = _gradient("hessian", output, inputs)
    return jacobian(gradient, leaves)


def hvp(output: One, inputs: Collection[Number], vector: Collection[RealNumber]) -> list[float]:
    """The product of the Hessian and a vector: about a dozen gradients, however many inputs.

    It is the gradient of vector·gradient, and needs no Hessian (Pearlmutter 1994).

    output, inputs: as for `hessian`.
    vector: a number for each input.

    >>> a, b = Value(2.0), Value(3.0)
    >>> hvp(a * a * b, [a, b], [1.0, -1.0])
    [2.0, 4.0]
    """
    gradient, leaves = _gradient("hvp", output, inputs)
    along = as_list(vector)
    if along is None or len(along) != len(leaves):
        raise ValueError(
            f"the vector is to be a list with a number for each of the {len(leaves)} inputs, "
            f"but got {shown(vector)}"
        )
    terms = [slope * as_number(x) for slope, x in zip(gradient, along, strict=True)]
    return grad(reduce(operator.add, terms), leaves)


# --- What was given: recorded already, or a function to record ----------------------------------


def _gradient(
    name: str, output: One, inputs: Collection[Number]
) -> tuple[list[Value], list[Value]]:
    """The gradient of one output, recorded, and what it is by."""
    recorded, leaves = _recorded(name, output, inputs)
    _refuse_no_grad(name)
    return grad(_one(name, recorded), leaves, create_graph=True), leaves


def _recorded(name: str, outputs: Many, inputs: Collection[Number]) -> tuple[Any, list[Value]]:
    """The outputs, of a function too, and what they are to be differentiated by."""
    given = as_list(inputs)
    if not given:
        raise TypeError(
            f"the inputs of {name} are a list that is not empty, as in {name}(f, [2.0, 3.0]) or "
            f"{name}(y, [a, b]), not {shown(inputs)}"
        )
    if callable(outputs):
        leaves = _leaves(inputs)
        return _call(name, outputs, leaves), leaves
    leaves = list(map(unboxed, given))
    for x in leaves:
        if not isinstance(x, Value):
            raise TypeError(
                f"the inputs of {name} are the Values that the outputs were recorded from, but got "
                f"{shown(x)}: to differentiate at numbers, give the function"
            )
    return outputs, leaves


def _one(name: str, output: object) -> Value:
    output = unboxed(output)
    if not isinstance(output, Value):
        raise TypeError(
            f"{name} needs a Value, or a function that returns one, but got {shown(output)}"
        )
    return output


def _call(name: str, f: Callable[..., Any], leaves: Sequence[Any]) -> Any:
    _refuse_no_grad(name)
    return f(*leaves)


def _refuse_no_grad(name: str) -> None:
    """What is not recorded would have the derivative 0, without a word."""
    if modes.open_blocks and modes.inside("no_grad"):
        raise ValueError(
            f"{name} differentiates what it records, but inside of no_grad() nothing is recorded: "
            "call it outside"
        )


def _listed(x: Any) -> list[Any]:
    found = as_list(x)
    return [x] if found is None else found


def _leaves(x: Any) -> Any:
    """A new Value for a number, or for each of a list; of a Value, only the number is wanted."""
    found = as_list(x)
    return _leaf(x) if found is None else list(map(_leaf, found))


def _leaf(x: Any) -> Value:
    x = unboxed(x)
    return Value(x.data if isinstance(x, Value) else x)
