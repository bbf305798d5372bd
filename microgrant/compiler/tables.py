"""Numbers on their way into a compiled program, and out of it.

With this module you can

- make one table of any rows:       table(rows, ["x", "y"])  # lists, arrays, pandas, polars
- make one list of any numbers:     flat(numbers, 337, "parameters")

What comes out are arrays of NumPy where it is installed, and of the standard library's `array`
where it is not. A ValueError or TypeError says which row is not as it should be.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias

from ..engine.arguments import as_number, is_table, listed, shown

__all__ = ["Buffer", "address", "as_lists", "as_rows", "empty", "flat", "table", "take"]

Buffer: TypeAlias = Any
"""Floats in one piece: an ndarray of NumPy's, or an array of the standard library's."""


addressof, char_in = ctypes.addressof, ctypes.c_char.from_buffer  # small steps feel each look-up


@lru_cache(maxsize=1)
def numpy() -> Any:
    """NumPy, if it is installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


@lru_cache(maxsize=1)
def double() -> Any:
    """NumPy's type of a float."""
    return numpy().dtype(float)


def empty(count: int) -> Buffer:
    """Room for numbers."""
    np = numpy()
    return array("d", bytes(8 * count)) if np is None else np.empty(count)


def address(buffer: Buffer) -> int:
    """Where the numbers stand in memory."""
    try:
        return addressof(char_in(buffer))
    except (TypeError, ValueError):  # an array that is read only, or that has no numbers
        if buffer.__class__ is array:
            return buffer.buffer_info()[0]
        return int(buffer.ctypes.data)


def flat(numbers: Any, count: int, what: str) -> Buffer:
    """`count` numbers, from any list or array of them."""
    buffer = as_array(numbers)
    if buffer is None:
        given = listed(numbers, f"{what} is a list of numbers, but got")
        buffer = array("d", map(as_number, given))
    elif buffer.ndim != 1:
        raise ValueError(f"{what} is a flat list of numbers, but its shape is {buffer.shape}")
    if len(buffer) != count:
        raise ValueError(f"{what} is to hold {count} numbers, but got {len(buffer)}")
    return buffer


def table(rows: Any, columns: Sequence[str]) -> tuple[Buffer, int]:
    """The numbers of all rows in one piece, one row after the other, and how many rows there are.

    >>> table([[1, 2], [3, 4]], ["x", "y"])[1]
    2
    >>> table([[1, 2], [3]], ["x", "y"])
    Traceback (most recent call last):
        ...
    ValueError: a row holds 2 numbers (x, y), but row 1 holds 1
    """
    buffer = as_array(rows)
    if buffer is not None and (buffer.ndim != 2 or buffer.shape[1] != len(columns)):
        raise ValueError(
            f"rows is a table of {listing(columns)} in each row, but its shape is {buffer.shape}"
        )
    given = listed(rows, "rows is a list of rows, but got") if buffer is None else buffer
    if not len(given):
        raise ValueError("rows is empty: there is nothing to take the mean of")
    if buffer is not None:
        return buffer, len(buffer)
    if {*map(type, given)} <= {list, tuple} and {*map(len, given)} == {len(columns)}:
        with suppress(TypeError, OverflowError):  # which one it is, `checked` finds out
            return array("d", chain.from_iterable(given)), len(given)
    return array("d", chain.from_iterable(checked(given, columns))), len(given)


def take(rows: Any, places: Sequence[int]) -> Any:
    """Some rows of an array or a list."""
    return [rows[i] for i in places] if isinstance(rows, list) else rows[places]


def as_lists(buffer: Buffer, rows: int) -> list[list[float]]:
    """A table as a list of lists."""
    numbers = buffer.ravel().tolist() if hasattr(buffer, "ravel") else buffer.tolist()
    width = len(numbers) // rows
    return [numbers[row * width : (row + 1) * width] for row in range(rows)]


def as_rows(buffer: Buffer, rows: int) -> Any:
    """A table: of NumPy's with two dimensions, or a list of lists."""
    return as_lists(buffer, rows) if buffer.__class__ is array else buffer.reshape(rows, -1)


def as_array(x: Any) -> Any:
    """x in one piece, if it is an array of NumPy's, a tensor, or another thing of that kind."""
    np = numpy()
    if np is None:
        return None
    if x.__class__ is np.ndarray and x.dtype is double() and x.flags.carray:
        return x  # as it mostly is; what follows would take longer than a small step
    if not (hasattr(x, "__array__") or isinstance(x, memoryview)):
        return None
    if hasattr(x, "to_list"):  # a column of a table
        return None
    if is_table(x):  # where all is well, all at once, and else entry by entry
        kinds = {str(kind).lower().rstrip("0123456789") for kind in x.dtypes}
        if kinds <= {"float", "int", "uint", "bool", "boolean"}:
            with suppress(TypeError, ValueError):  # of an entry that is missing; or it becomes nan
                numbers = np.asarray(x, np.float64, order="C")
                return None if np.isnan(numbers).any() else numbers
        return None
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise ValueError("some numbers of the array are masked: fill them in or leave them out")
    try:
        numbers = np.asarray(x.detach() if hasattr(x, "detach") else x)  # a tensor with a graph
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"expected an array of numbers, but got {shown(x)}: {error}") from None
    kind = numbers.dtype.kind
    if kind == "O":
        return None  # it may hold numbers of any kind: they are looked at one by one
    if kind not in "fiub":
        raise TypeError(f"expected real numbers, but got an array of {numbers.dtype}")
    return np.require(numbers, np.float64, ["C", "ALIGNED"])


def checked(rows: list[Any], columns: Sequence[str]) -> Iterable[list[float]]:
    """The rows one by one: the first that is not as it should be is an error."""
    for place, row in enumerate(rows):
        numbers = listed(row, f"a row is a list of {listing(columns)}, but got")
        if len(numbers) != len(columns):
            raise ValueError(
                f"a row holds {listing(columns)}, but row {place} holds {len(numbers)}"
            )
        try:
            yield [as_number(x) for x in numbers]
        except TypeError as error:
            raise TypeError(f"row {place}: {error}") from None


def listing(columns: Sequence[str]) -> str:
    count = f"{len(columns)} number{'s' * (len(columns) != 1)}"
    return f"{count} ({', '.join(columns)})" if any(columns) and len(columns) <= 8 else count
