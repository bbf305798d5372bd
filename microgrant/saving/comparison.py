"""Whether a model that was made again is the same one, in all that it holds.

With this module you can

- ask where two models differ:     difference(model, twin) -> "p is 0.5 here, and 0.25 there"

Left out are labels and gradients, the mode, noise that was drawn, and outputs that a call left
behind in an attribute that a new module has not yet. A list may stand for a tuple: a file knows
lists only.
"""

from __future__ import annotations

import pickle
import types
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

from ..engine.arguments import shown
from ..engine.value import Value
from ..nn import Module, Noise

__all__ = ["difference"]

NOTHING = object()  # where one of two has something, and the other has not


def difference(model: Module, twin: Module) -> str | None:
    """What is not the same in two models, and where; None if all is.

    >>> from microgrant.nn import Dropout
    >>> difference(Dropout(0.5), Dropout(0.5))
    >>> difference(Dropout(0.5), Dropout(0.25))
    'p is 0.5 here, and 0.25 there'
    """
    waiting: list[tuple[str, Any, Any]] = [("", model, twin)]
    seen: dict[tuple[int, int], Any] = {}  # with the things, so that no id comes up once more
    while waiting:
        path, x, y = waiting.pop()
        if x is y or (id(x), id(y)) in seen or (y == [] and _is_noise(x)):
            continue
        seen[id(x), id(y)] = x, y
        name = path.lstrip(".") or "it"
        if not _alike(x, y):
            return f"{name} is {_words(x)} here, and {_words(y)} there"
        ones, others = dict(_parts(x)), dict(_parts(y))
        if [*ones] != [*others] and {*ones} == {*others}:  # parameters are told by their order
            return f"{name} holds its parts in another order"
        for more in reversed({**ones, **others}):
            one, other = ones.get(more, NOTHING), others.get(more, NOTHING)
            if not (other is NOTHING and more[0] == "." and _is_output(one)):
                waiting.append((path + more, one, other))
    return None


def _parts(x: Any) -> Iterator[tuple[str, Any]]:
    """What a thing holds, by what is to be added to its path."""
    if isinstance(x, Module):
        yield from ((f".{name}", item) for name, item in vars(x).items() if name != "training")
    elif isinstance(x, Value):
        yield from ((f".operands[{i}]", operand) for i, operand in enumerate(x.operands))
    elif type(x) in (list, tuple):
        yield from ((f"[{i}]", item) for i, item in enumerate(x))
    elif type(x) is dict:
        yield from ((f"[{key!r}]", item) for key, item in x.items())
    elif isinstance(x, types.FunctionType):
        cells = zip(x.__code__.co_freevars, x.__closure__ or (), strict=True)
        yield from ((f".{name}", cell.cell_contents) for name, cell in cells)
        yield ".__defaults__", (x.__defaults__, x.__kwdefaults__)
    elif isinstance(x, types.MethodType):
        yield ".__func__", x.__func__
        yield ".__self__", x.__self__


def _alike(x: Any, y: Any) -> bool:
    """Whether two things are the same, but for their parts."""
    if isinstance(x, Real) and isinstance(y, Real):
        return _digits(x) == _digits(y)
    if type(x) is not type(y):
        return {type(x), type(y)} == {list, tuple}
    if isinstance(x, Value):
        return _digits(x.data) == _digits(y.data) and _saved(x.operation) == _saved(y.operation)
    if isinstance(x, types.FunctionType):
        return bool(x.__code__ == y.__code__)
    if isinstance(x, (Module, types.MethodType)) or type(x) in (list, tuple, dict):
        return True
    return _saved(x) == _saved(y)


def _saved(x: Any) -> bytes | None:
    """A thing as pickle saves it; of one that it does not save, its class is all that is known."""
    try:
        return pickle.dumps(x)
    except Exception:  # of whatever class it may be
        return None


def _digits(x: Any) -> tuple[bool, int | str]:
    """A number, told apart to the last bit; 2 is not 2.0, nor is it True."""
    return isinstance(x, bool), int(x) if isinstance(x, Integral) else float(x).hex()


def _is_noise(x: Any) -> bool:
    """Whether x is what a `Dropout` keeps of its last call."""
    return type(x) is list and all(isinstance(item, Noise) for item in x)


def _is_output(x: Any) -> bool:
    """Whether x is what a call computed, or lists of that."""
    if isinstance(x, (list, tuple, dict)):
        return all(map(_is_output, x.values() if isinstance(x, dict) else x))
    return isinstance(x, Noise) or (isinstance(x, Value) and bool(x.operands))


def _words(x: Any) -> str:
    if x is NOTHING:
        return "missing"
    if isinstance(x, (list, tuple, dict)):
        return f"a {type(x).__name__} of {len(x)}"
    return repr(x)[:60] if x is None or isinstance(x, (Real, str)) else shown(x)
