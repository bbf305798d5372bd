"""What people pass in, as what we compute with; and a word where it does not fit.

With this module you can

- take one real number, of whatever library:     def f(x: RealNumber): as_number(x)
- take a whole number that is large enough:      whole_number("epochs", epochs)
- show in a message what came:                   f"expected a Value, but got {shown(x)}"
- import what is an extra:                       torch = imported("torch", "torch")
"""

from __future__ import annotations

import importlib
import numbers
import operator
from contextlib import suppress
from typing import Any, Protocol, SupportsIndex

from .conditions import Condition

__all__ = ["RealNumber", "as_label", "as_number", "imported", "shown", "whole_number"]


class RealNumber(Protocol):
    """What `as_number` takes, for type checkers: a number of Python's, NumPy's or others'."""

    def __float__(self) -> float: ...

    def __hash__(self) -> int: ...  # which an array has not


def as_number(x: object) -> float:
    """x as a float, if it is one real number; a TypeError that says what to do if it is not."""
    if isinstance(x, (float, int, numbers.Real, Condition)):
        try:
            return float(x)
        except OverflowError:
            raise OverflowError(
                "the integer is too large for a float, whose largest is 1.8e308: "
                "scale it down, or pass math.inf"
            ) from None
    if getattr(x, "ndim", None) == 0 and hasattr(x, "item"):  # a scalar of NumPy or PyTorch
        return as_number(x.item())
    if hasattr(x, "backward"):  # a Value, or another library's
        advice = "use the Value itself, or its .data for a number that is cut from the graph"
    elif isinstance(x, (list, tuple)) or hasattr(x, "ndim"):
        advice = "make one Value for each number: [Value(x) for x in data]"
    elif isinstance(x, str):
        advice = "float(text) makes a number of a text"
    elif isinstance(x, complex):
        advice = "take its .real or .imag"
    elif x is None:
        advice = "is a `return` missing where it comes from?"
    else:
        advice = "float(x) may make a number of it"
    raise TypeError(f"expected one real number, but got {shown(x)}: {advice}")


def as_label(label: object) -> str:
    """A label, if it is text; a TypeError if it is not."""
    if not isinstance(label, str):
        raise TypeError(f"a label is text, but got {shown(label)}")
    return label


def shown(x: object) -> str:
    """A thing as an error message shows it: its type, and the beginning of it."""
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 40 else text[:40] + '…'}"


def whole_number(name: str, number: object, least: int | None = 1) -> int:
    """A whole number from `least` on, of any type that is one; else a ValueError that names it.

    >>> whole_number("epochs", 3)
    3
    >>> whole_number("epochs", 2.5)
    Traceback (most recent call last):
        ...
    ValueError: epochs is a whole number from 1 on, but got 2.5
    """
    if isinstance(number, SupportsIndex) and not isinstance(number, bool):
        with suppress(TypeError):  # an array has the method too
            whole = operator.index(number)
            if least is None or whole >= least:
                return whole
    limit = "" if least is None else f" from {least} on"
    raise ValueError(f"{name} is a whole number{limit}, but got {number!r}")


def imported(name: str, install: str) -> Any:
    """A package that is not needed until now; an ImportError says what brings it.

    >>> imported("nothing_at_all", "microgrant[lessons]")
    Traceback (most recent call last):
        ...
    ImportError: nothing_at_all is not installed: `pip install 'microgrant[lessons]'` brings it
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"{name} is not installed: `pip install '{install}'` brings it") from None
