"""What people pass in, as what we compute with; and a word where it does not fit.

With this module you can

- take one real number, of whatever library:     def f(x: RealNumber): as_number(x)
- take a list, an array or a table, by rows:     as_list(x), listed(x, "xs is a list, but got")
- take a Value out of an array that is one:      unboxed(x)
- take a whole number that is large enough:      whole_number("epochs", epochs)
- take one of a few words:                       one_of("theme", theme, ("light", "dark"))
- show in a message what came:                   f"expected a Value, but got {shown(x)}"
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, Protocol, SupportsFloat, SupportsIndex, TypeGuard

from .conditions import Condition, is_node

__all__ = ["RealNumber", "as_label", "as_list", "as_number", "checked_column"]
__all__ += ["is_decimal", "is_table", "listed", "one_of", "shown", "unboxed", "whole_number"]


class RealNumber(Protocol):
    """What `as_number` takes, for type checkers: a number of Python's, NumPy's or others'."""

    def __float__(self) -> float: ...

    def __hash__(self) -> int: ...  # which an array has not


def as_number(x: object, name: str = "") -> float:
    """x as a float, if it is one real number; a TypeError that says what to do if it is not.

    name: what it is, for the message, if that does not go without saying.
    """
    if isinstance(x, (float, int, numbers.Real, Condition)) or is_decimal(x):
        try:
            return float(x)
        except OverflowError:
            raise OverflowError(
                "the integer is too large for a float, whose largest is 1.8e308: "
                "scale it down, or pass math.inf"
            ) from None
    scalar = getattr(x, "ndim", None) == 0 and hasattr(x, "item")  # of NumPy or PyTorch
    if scalar and not isinstance(x, numbers.Complex):
        return as_number(x.item(), name)  # type: ignore[attr-defined]
    if isinstance(x, numbers.Complex):
        advice = "take its .real or .imag"
    elif hasattr(x, "backward"):  # a Value, or another library's
        advice = "use the Value itself, or its .data for a number that is cut from the graph"
    elif isinstance(x, (list, tuple)) or hasattr(x, "ndim"):
        advice = "make one Value for each number: [Value(x) for x in data]"
    elif x is None:
        advice = "is an entry missing, or a `return` where it comes from?"
    elif type(x).__name__ in ("NAType", "NaTType"):  # of pandas
        advice = "an entry is missing: fill it in, or leave its row out"
    else:
        advice = _advice(x)
    wanted = f"{name} is to be one real number" if name else "expected one real number"
    raise TypeError(f"{wanted}, but got {shown(x)}: {advice}")


def is_decimal(x: object) -> TypeGuard[SupportsFloat]:
    """Whether x is a `decimal.Decimal`, as databases have it: a Number, and none of the others."""
    return isinstance(x, numbers.Number) and not isinstance(x, numbers.Complex)


COUNTED = {"total_seconds": "seconds", "timestamp": "seconds", "toordinal": "days"}
"""Methods of times, and what each of them counts."""


def _advice(x: Any) -> str:
    """How to have a number of what is none."""
    for method, unit in COUNTED.items():
        if hasattr(x, method):
            return f"x.{method}() counts its {unit}"
    with suppress(Exception):
        float(x)
        return f"float({'text' if isinstance(x, str) else 'x'}) makes a number of it"
    if isinstance(x, str):
        return "if it names a class, classes.index(text) is a number of it"
    return "take a number out of it"


def unboxed(x: Any) -> Any:
    """What an array without dimensions holds, such as np.where(v > 0, v, w); all else as it is."""
    return x.item() if getattr(x, "ndim", 1) == 0 and hasattr(x, "item") else x


def as_list(x: Any) -> list[Any] | None:
    """A list, a tuple, an array, or a table by its rows, as a list; None for a number, and for all
    else. What it holds are Python's numbers, and so whole numbers stay whole.

    A table of pandas or polars holds numbers (or Values); a TypeError names the column that has
    another entry.

    >>> as_list((1, 2.5)), as_list(3), as_list("text")
    ([1, 2.5], None, None)
    """
    if isinstance(x, (list, tuple)):
        return list(x)
    if isinstance(x, (float, int, str, bytes, bytearray, Condition)) or getattr(x, "ndim", 1) == 0:
        return None
    if is_table(x):
        # To iterate over a table of pandas gives the names of its columns, over one of polars them.
        columns = getattr(x, "iloc", x)
        entries = [
            checked_column(columns[:, i].to_list(), name) for i, name in enumerate(x.columns)
        ]
        return list(zip(*entries, strict=True))
    if hasattr(x, "to_list"):  # a column of one of them
        return list(x.to_list())
    if hasattr(x, "__array__") and not hasattr(x, "tolist"):
        x = x.__array__()
    if getattr(getattr(x, "dtype", None), "kind", "") in ("m", "M"):
        # Times, of which tolist() makes whole numbers.
        raise TypeError(f"expected real numbers, but got an array of {x.dtype}")
    if hasattr(x, "tolist"):
        return list(x.tolist())
    return list(x) if isinstance(x, Sequence) else None


def is_table(x: Any) -> bool:
    """Whether x is a table of pandas or polars, or of a library that takes after them."""
    by_place = hasattr(x, "iloc") or hasattr(x, "rows")
    return by_place and hasattr(x, "__array__") and hasattr(x, "columns")


def checked_column(entries: list[Any], name: object) -> list[Any]:
    """The entries of a column of a table, if all of them are numbers."""
    if not {*map(type, entries)} <= {float, int, bool}:
        for place, x in enumerate(entries):
            try:
                _ = is_node(x) or as_number(x)
            except TypeError as error:
                raise TypeError(f"column {name!r}, row {place}: {error}") from None
    return entries


def listed(x: Any, what: str) -> list[Any]:
    """What can be iterated over in an order, as a list; else a TypeError: what was wanted, and what
    came instead."""
    if (found := as_list(x)) is not None:
        return found
    no_list = isinstance(x, (str, bytes, bytearray, Set, Mapping)) or getattr(x, "ndim", 1) == 0
    if no_list or not isinstance(x, Iterable):
        raise TypeError(f"{what} {shown(x)}")
    return list(x)


def as_label(label: object) -> str:
    """A label, if it is text; a TypeError if it is not."""
    if not isinstance(label, str):
        raise TypeError(f"a label is text, but got {shown(label)}")
    return label


def shown(x: object) -> str:
    """A thing as an error message shows it: its type, and the beginning of it."""
    text = " ".join(repr(x).split())
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


def one_of(name: str, given: Any, known: Iterable[str]) -> str:
    """What was given, if it is known; else a ValueError that lists what is."""
    if not isinstance(given, str) or given not in tuple(known):  # an array is equal to none
        raise ValueError(f"{name} is one of {', '.join(known)}, but got {given!r}")
    return str(given)
