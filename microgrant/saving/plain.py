"""Plain data as JSON, and back: exact, bounded, and with one error for all that can be wrong.

With this module you can

- bring data into the words of JSON:       plain({"loss": [0.5, nan]}, "extra")
- read JSON that nobody vouches for:       parsed(data)
- bring what was read back:                restored(parsed(data))

Plain data are numbers, texts, None, and lists and dictionaries of them. A number is written in the
fewest digits that mean that very float; nan, inf and -inf, for which JSON has no word, are written
{"$float": "nan"}. Keys that begin with "$" are kept for such marks.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NoReturn

from ..engine.arguments import shown

__all__ = ["DEEPEST", "ModelFileError", "as_float", "parsed", "plain", "plain_number", "restored"]

DEEPEST = 100  # brackets in each other
LONGEST = 400  # characters of a number; the largest float has 309 digits
UNUSUAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class ModelFileError(ValueError):
    """What a file holds is no model, or none that can be made here."""


def plain(
    x: Any,
    place: str,
    special: Callable[[Any, int], dict[str, Any] | None] = lambda x, depth: None,
    depth: int = 1,
) -> Any:
    """A thing in the words of JSON.

    place: what it is, for the error message.
    special: is asked, with the depth, for the words for what is not plain.
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
        return plain_number(float(x))
    if isinstance(x, (list, tuple)):
        return [plain(item, f"{place}[{i}]", special, depth + 1) for i, item in enumerate(x)]
    if isinstance(x, Mapping):
        for key in x:
            if not isinstance(key, str) or key.startswith("$"):
                raise ValueError(
                    f"a key of {place} is to be a text without a $, but is {key!r:.60}"
                )
        return {key: plain(x[key], f"{place}[{key!r}]", special, depth + 1) for key in x}
    words = special(x, depth)
    if words is None:
        raise TypeError(
            f"{place} is to be plain data (numbers, texts, None, lists and dictionaries of them), "
            f"but is {shown(x)}"
        )
    return words


def plain_number(x: float) -> Any:
    """A float, or the mark of one that JSON has no word for."""
    return x if math.isfinite(x) else {"$float": repr(x)}


def restored(x: Any, special: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """What was brought into the words of JSON; `special` makes what has the mark of a module.

    A `ModelFileError` says which words mean nothing.
    """
    if isinstance(x, list):
        return [restored(item, special) for item in x]
    if not isinstance(x, dict):
        return x
    if "$float" in x:
        return as_float(x)
    if "$module" in x and special:
        return special(x)
    for key in x:
        if key.startswith("$"):
            raise ModelFileError(f"there is a key {key!r:.60}, which has no meaning there")
    return {key: restored(item, special) for key, item in x.items()}


def as_float(x: Any) -> float:
    """A number that was brought into the words of JSON; a `ModelFileError` if it is none."""
    if type(x) in (int, float) and abs(x) <= sys.float_info.max:
        return float(x)
    if isinstance(x, dict) and [*x] == ["$float"] and x["$float"] in [*UNUSUAL]:
        return UNUSUAL[x["$float"]]
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
    except UnicodeDecodeError as error:
        raise ModelFileError(f"this is no UTF-8 text, at byte {error.start}") from None
    _check_depth(text)
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ModelFileError(f"this is no JSON, or not all of it: {error.msg} in {where}") from None


def _check_depth(text: str) -> None:
    """Beforehand, because the parser recurses."""
    depth = 0
    outside = re.sub('"[^"]*"', "", text.replace(r"\\", "").replace(r"\"", ""))
    for bracket in re.finditer(r"[][{}]", outside):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEEPEST:
            raise ModelFileError(f"this is nested more than {DEEPEST} deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, x in pairs:
        if key in entries:
            raise ModelFileError(f"the key {key!r:.60} is there twice")
        entries[key] = x
    return entries


def _integer(digits: str) -> int:
    return int(_bounded(digits))


def _float(digits: str) -> float:
    number = float(_bounded(digits))
    if math.isinf(number):
        raise ModelFileError(f"{digits[:40]} is too large for a float")
    return number


def _bounded(digits: str) -> str:
    if len(digits) > LONGEST:
        raise ModelFileError(f"the number {digits[:20]}… has {len(digits)} characters")
    return digits


def _constant(name: str) -> NoReturn:
    sign = name.replace("Infinity", "inf").replace("NaN", "nan")
    raise ModelFileError(f'{name} is no JSON: write {{"$float": "{sign}"}}')
