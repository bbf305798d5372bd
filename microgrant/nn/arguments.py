"""What people pass to modules, as what modules compute with; and a word where it does not fit.

With this module you can

- take the inputs of neurons:      values = inputs_of(layer, x, layer.nin)
- see lists where an array stood:  lists(array)
- compute with each number:        each_number(Value.tanh, [0.5, [1.0]])
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

from ..engine.arguments import as_list, listed, unboxed
from ..engine.value import Value, as_value

__all__ = ["as_leaf", "each_number", "inputs_of", "lists"]


def lists(x: Any) -> Any:
    """Of a list, a tuple, an array or a table, nested lists; what an array without dimensions
    holds; all else as it is."""
    found = None if isinstance(x, Value) else as_list(x)
    return unboxed(x) if found is None else found


def each_number(function: Callable[[Value], Any], x: Any) -> Any:
    """The function of a number, as a Value; of nested lists, lists of that."""
    x = lists(x)
    if isinstance(x, list):
        return [each_number(function, element) for element in x]
    return function(as_leaf(x))


def as_leaf(x: Any) -> Value:
    """The Value itself, or a new one that holds the number."""
    return as_value(x, constant=False)


def inputs_of(module: object, x: Any, width: int, what: str = "input") -> list[Value]:
    """The inputs as Values, one for each: a plain number becomes one leaf, used by all neurons."""
    kind = type(module).__name__
    if isinstance(x, list):
        given = x
    elif isinstance(x, (Value, numbers.Number)) or getattr(x, "ndim", None) == 0:
        given = [x]  # what a layer of one neuron returns
    else:
        given = listed(x, f"the {kind} takes a list of numbers, but got")
    advice = ""
    try:
        values = [each if isinstance(each, Value) else as_leaf(each) for each in given]
    except TypeError:
        if all(as_list(each) is None for each in given):
            raise
        advice = (
            ", lists themselves: Flatten() makes one list of them, and of many examples each is a "
            "call of its own, as in [model(x) for x in xs]"
        )
    if advice or len(given) != width:
        expected = f"the {kind} takes {width} {what}{'s' * (width != 1)}"
        raise ValueError(f"{expected}, but got {len(given)}{advice}")
    return values
