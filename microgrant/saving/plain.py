"""Plain data as JSON, and back: exact, bounded, and with one error for all that can be wrong.

With this module you can

- bring data into the words of JSON:       plain({"loss": [0.5, nan]}, "extra")
- read JSON that nobody vouches for:       parsed(data)
- bring what was read back:                restored(parsed(data))

Plain data are numbers, texts, None, and lists and dictionaries of them. A number is written in the
fewest digits that mean that very float; nan, inf and -inf, for which JSON has no word, are written
{"$float": "nan"}, and a module, where there may be one, {"$module": "Layer", "settings": …}. Keys
that begin with "$" are kept for such marks.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from itertools import accumulate
from numbers import Integral, Real
from typing import Any, NoReturn

from ..engine.arguments import shown
from ..nn import Module

__all__ = ["ModelFileError", "add_kind", "as_float", "parsed", "plain", "restored"]

DEEPEST = 100  # brackets in each other
LONGEST = 400  # characters of a number; the largest float has 309 digits


class ModelFileError(ValueError):
    """What a file holds is no model, or none that can be made here."""


def add_kind(kind: type[Module], kinds: dict[str, type[Module]]) -> str:
    """Note a class under its name, which is returned; a ValueError if another one has that name."""
    if not (isinstance(kind, type) and issubclass(kind, Module)):
        raise TypeError(f"modules lists classes of modules, but got {shown(kind)}")
    name = kind.__name__
    if kinds.setdefault(name, kind) is not kind:
        raise ValueError(f"two classes of modules are called {name}: rename one of them")
    return name


def plain(x: Any, place: str, kinds: dict[str, type[Module]] | None = None, depth: int = 1) -> Any:
    """A thing in the words of JSON.

    place: what it is, for the error message.
    kinds: notes the classes of modules, by name; without it, a module has no words.
    depth: how many brackets there are around it.

    A TypeError or ValueError says what has no words, and in which place.

    >>> plain({"loss": (0.5, math.nan)}, "extra")
    {'loss': [0.5, {'$float': 'nan'}]}
    """
    if depth >= DEEPEST:
        raise ValueError(f"{place[:60]}… is nested more than {DEEPEST} deep, or contains itself")
    if x is None or isinstance(x, (bool, str)):
        return x
    if isinstance(x, Integral):
        if abs(int(x)) >= 10 ** (LONGEST - 1):
            raise ValueError(f"{place} is an integer of {LONGEST} digits or more")
        return int(x)
    if isinstance(x, Real):
        return float(x) if math.isfinite(x) else {"$float": repr(float(x))}
    if isinstance(x, (list, tuple)):
        return [plain(item, f"{place}[{i}]", kinds, depth + 1) for i, item in enumerate(x)]
    if isinstance(x, Mapping):
        for key in x:
            if not isinstance(key, str) or key.startswith("$"):
                raise ValueError(
                    f"a key of {place} is to be a text without a $, but is {key!r:.60}"
                )
        return {key: plain(x[key], f"{place}[{key!r}]", kinds, depth + 1) for key in x}
    if isinstance(x, Module) and kinds is not None:
        name = add_kind(type(x), kinds)
        try:
            settings = x.settings()
        except Exception as error:  # whatever a module may raise, whose parts may be taken away
            raise TypeError(f"{name}.settings() does not return them: {error}") from error
        settings = plain(settings, f"{name}.settings()", kinds, depth + 1)
        return {"$module": name, "settings": settings}
    advice = (
        ": of a function, a file can keep nothing. A Module of your own in its place can be kept"
    )
    raise TypeError(
        f"{place} is to be plain data (numbers, texts, None, lists and dictionaries of them), "
        f"but is {shown(x)}{advice * callable(x)}"
    )


def restored(x: Any, module: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """What was brought into the words of JSON; `module` makes what is marked as a module.

    A `ModelFileError` says which words mean nothing.
    """
    if isinstance(x, list):
        return [restored(item, module) for item in x]
    if not isinstance(x, dict):
        return x
    if "$float" in x:
        return as_float(x)
    if "$module" in x and module:
        return module(x)
    for key in x:
        if key.startswith("$"):
            raise ModelFileError(f"there is a key {key!r:.60}, which has no meaning there")
    return {key: restored(item, module) for key, item in x.items()}


def as_float(x: Any) -> float:
    """A number that was brought into the words of JSON; a `ModelFileError` if it is none."""
    if type(x) in (int, float) and abs(x) <= sys.float_info.max:
        return float(x)
    if x in ({"$float": "nan"}, {"$float": "inf"}, {"$float": "-inf"}):
        return float(x["$float"])
    raise ModelFileError(f"there is to be a number, but there is {shown(x)}")


def parsed(data: bytes) -> Any:
    """What JSON text says. A `ModelFileError` says why it is no such text, or beyond all bounds.

    >>> parsed(b'{"loss": [0.5, NaN]}')
    Traceback (most recent call last):
        ...
    microgrant.saving.plain.ModelFileError: NaN is no JSON: write {"$float": "nan"}
    """
    try:
        text = data.decode()
        _check_depth(text)
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise ModelFileError(f"this is no UTF-8 text, at byte {error.start}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ModelFileError(f"this is no JSON, or not all of it: {error.msg} in {where}") from None


def _check_depth(text: str) -> None:
    """Beforehand, because the parser recurses."""
    outside = re.sub('"[^"]*"', "", text.replace(r"\\", "").replace(r"\"", ""))
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[][{}]", outside))
    if any(depth > DEEPEST for depth in accumulate(steps)):
        raise ModelFileError(f"this is nested more than {DEEPEST} deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, x in pairs:
        if key in entries:
            raise ModelFileError(f"the key {key!r:.60} is there twice")
        entries[key] = x
    return entries


def _number(digits: str) -> float:
    if len(digits) > LONGEST:
        raise ModelFileError(f"the number {digits[:20]}… has {len(digits)} characters")
    number = int(digits) if digits.lstrip("-").isdigit() else float(digits)
    if abs(number) == math.inf:
        raise ModelFileError(f"{digits[:40]} is too large for a float")
    return number


def _constant(name: str) -> NoReturn:
    sign = name.replace("Infinity", "inf").replace("NaN", "nan")
    raise ModelFileError(f'{name} is no JSON: write {{"$float": "{sign}"}}')
