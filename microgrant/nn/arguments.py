"""What people pass to modules, as what modules compute with; and a word where it does not fit.

With this module you can

- take the inputs of neurons:      values = inputs_of(layer, x, layer.nin)
- take one of a few words:         one_of("init", "he", INITS)
- see lists where an array stood:  lists(array)
- see the rows of a table:         by_rows(frame)
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

from ..engine.arguments import shown
from ..engine.conditions import Condition
from ..engine.value import Value

__all__ = ["as_leaf", "by_rows", "inputs_of", "lists", "one_of"]


def lists(x: Any) -> Any:
    """Of an array or a table, nested lists; all else as it is."""
    x = by_rows(x)
    return x.tolist() if hasattr(x, "tolist") else x


def by_rows(x: Any) -> Any:
    """A table, such as those of pandas, as an array: to iterate over the table itself gives its
    columns, or their names. All else as it is."""
    is_table = hasattr(x, "__array__") and not hasattr(x, "tolist")
    return x.__array__() if is_table and not isinstance(x, Condition) else x


def as_leaf(x: Any) -> Value:
    """The Value itself, or a new one that holds the number."""
    return x if isinstance(x, Value) else Value(x)


def inputs_of(module: object, x: Any, width: int, what: str = "input") -> list[Value]:
    """The inputs as Values, one for each: a plain number becomes one leaf, used by all neurons."""
    kind = type(module).__name__
    if isinstance(x, (Value, numbers.Real)):
        x = [x]  # what a layer of one neuron returns
    try:
        given = list(x if isinstance(x, list) else by_rows(x))
    except TypeError:
        raise TypeError(f"the {kind} takes a list of numbers, but got {shown(x)}") from None
    if len(given) != width:
        expected = f"the {kind} takes {width} {what}{'s' * (width != 1)}"
        nested = any(isinstance(lists(each), (list, tuple)) for each in given)
        advice = ", lists themselves: Flatten() makes one list of them" * nested
        raise ValueError(f"{expected}, but got {len(given)}{advice}")
    return [each if isinstance(each, Value) else Value(each) for each in given]


def one_of(name: str, given: str, known: Iterable[str]) -> str:
    """What was given, if it is known; else a ValueError that lists what is."""
    if given not in tuple(known):
        raise ValueError(f"the {name} is one of {', '.join(known)}, but got {given!r}")
    return given
