"""Examples as rows of numbers, and rows as examples again.

With this module you can

- take a pair of lists apart:        xs, ys = pair((xs, ys))
- know the form of an example:       form = Form.of(xs[0], ys[0])
- lay examples flat:                 rows = form.rows(xs, ys)
- make an example of a row:          x, y = form.arranged(rows[0])

An example is a number, a list of numbers, or nested lists such as an image; arrays do as well, and
so do the rows of a table. All have the shape of the first; a ValueError or TypeError says which one
has not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

from ..engine.arguments import as_list, as_number, checked_column, listed, shown

__all__ = ["Examples", "Form", "Rows", "Shape", "arranged", "examples", "flattened", "pair"]
__all__ += ["shape_of", "single"]

Examples: TypeAlias = tuple[list[Any], list[Any]]
"""Inputs and targets, equally many."""
Shape: TypeAlias = tuple[int, ...]
Rows: TypeAlias = Any
"""A list of lists of floats, or an array of two dimensions."""


@dataclass(frozen=True)
class Form:
    """What all examples have in common.

    x, y: the shapes of an input and of its target: () for a number, (3,) for a list of three, …;
        y is None where there are no targets.
    classes: how many there are, where a target is the number of the right class; else 0. Such a
        target becomes a list with 1.0 at the right place, and y is (classes,).

    >>> form = Form(x=(2, 2), y=())
    >>> form.arranged([1, 2, 3, 4, 5])
    ([[1, 2], [3, 4]], 5)
    """

    x: Shape
    y: Shape | None = None
    classes: int = 0

    @classmethod
    def of(cls, x: Any, y: Any = None, outputs: int = 1) -> Form:
        """The form of an example: one output or more decide what a whole number as target is."""
        shape = shape_of(x, "xs[0]")
        if outputs > 1 and isinstance(single(y), Integral):
            return cls(shape, (outputs,), outputs)
        return cls(shape, None if y is None else shape_of(y, "ys[0]"))

    def arranged(self, row: list[Any]) -> tuple[Any, Any]:
        """The input and the target of which a row is made."""
        width = math.prod(self.x)
        y = None if self.y is None else arranged(row[width:], self.y)
        return arranged(row[:width], self.x), y

    def rows(self, xs: list[Any], ys: list[Any] | None = None, name: str = "") -> list[list[float]]:
        """Each example as a row of numbers, or an error that says which does not fit."""
        left = [numbers(x, self.x, f"{name}xs", i) for i, x in enumerate(xs)]
        if ys is None or self.y is None:
            return left
        right = [self._target(y, f"{name}ys", i) for i, y in enumerate(ys)]
        return [a + b for a, b in zip(left, right, strict=True)]

    def _target(self, y: object, name: str, place: int) -> list[float]:
        if not self.classes:
            return numbers(y, self.y or (), name, place)
        y = single(y)
        if not isinstance(y, Integral):
            raise TypeError(
                f"{name}[0] is the number of a class, but {name}[{place}] is {shown(y)}: all "
                "targets are whole numbers, or none of them"
            )
        if not 0 <= int(y) < self.classes:
            raise ValueError(
                f"the model has {self.classes} outputs, and so the classes are numbered 0 to "
                f"{self.classes - 1}, but {name}[{place}] is {y}"
            )
        return [float(y == i) for i in range(self.classes)]


def examples(given: object, name: str) -> list[Any]:
    """A list of examples that is not empty."""
    try:
        found = as_list(given)
        label = getattr(given, "name", None) if hasattr(given, "to_list") else None
        if found and label not in (None, "") and as_list(found[0]) is None:
            checked_column(found, label)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    if found is None:
        found = listed(given, f"{name} is a list with one entry for each example, not")
    if not found:
        raise ValueError(f"there are no examples: {name} is empty")
    return found


def pair(data: object, name: str = "data") -> Examples:
    """Inputs and targets, equally many."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"{name} is a pair (xs, ys) of inputs and targets, but got {shown(data)}")
    prefix = "" if name == "data" else f"{name} "
    xs, ys = examples(data[0], f"{prefix}xs"), examples(data[1], f"{prefix}ys")
    if ys[0] is None:  # which would stand for examples without targets
        raise TypeError(f"{prefix}ys[0]: expected one real number, but got None")
    if len(xs) != len(ys):
        raise ValueError(
            f"{name} is a pair (xs, ys) with one target for each input, but there are {len(xs)} "
            f"inputs and {len(ys)} targets"
        )
    return xs, ys


def single(x: Any) -> Any:
    """The only entry of a list, such as a row of a table with one column; all else as it is."""
    found = as_list(x)
    return found[0] if found and len(found) == 1 else x


def shape_of(x: object, name: str) -> Shape:
    """How long lists in lists are, from the outside in; a number has the shape ()."""
    shape: Shape = ()
    while (inner := as_list(x)) is not None:
        if not inner:
            raise ValueError(f"{name} is empty: an example holds one number or more")
        shape, x = (*shape, len(inner)), inner[0]
    return shape


def flattened(x: object, shape: Shape) -> list[Any] | None:
    """What stands in nested lists of a shape; None if they are of another.

    >>> flattened([[1, 2], [3, 4]], (2, 2)), flattened([[1, 2], [3]], (2, 2))
    ([1, 2, 3, 4], None)
    """
    layer = [x]
    for size in shape:
        lists = [as_list(part) for part in layer]
        if any(part is None or len(part) != size for part in lists):
            return None
        layer = [inner for part in lists for inner in part or ()]
    return layer


def numbers(x: object, shape: Shape, name: str, place: int) -> list[float]:
    """The numbers of one example, which has the shape of the first."""
    flat = flattened(x, shape)
    if flat is None or any(as_list(number) is not None for number in flat):
        other = shape_of(x, f"{name}[{place}]")
        what = "has lists of different lengths" if other == shape else described(other)
        raise ValueError(f"{name.split()[-1]}[0] {described(shape)}, but {name}[{place}] {what}")
    try:
        return [as_number(number) for number in flat]
    except TypeError as error:
        raise TypeError(f"{name}[{place}]: {error}") from None


def described(shape: Shape) -> str:
    if not shape:
        return "is a number"
    return f"holds {' × '.join(map(str, shape))} number{'s' * (shape != (1,))}"


def arranged(flat: list[Any], shape: Shape) -> Any:
    """Nested lists of a shape; of the shape (), the only number itself.

    >>> arranged([1, 2, 3, 4], (2, 2))
    [[1, 2], [3, 4]]
    """
    for size in reversed(shape[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat if shape else flat[0]
