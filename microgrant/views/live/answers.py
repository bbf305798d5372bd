"""What the live page asks, and what it is told.

With this module you can

- answer a request:        answer({"expression": "a*b", "values": {"a": "2", "b": "1/3"}})["page"]
- draw a link for phones:  answer({"link": "https://example.org/live/#e=a*b"})["qr"]

Request and answer are what JSON can hold, so that it does not matter what is between the two: a
server on the same machine, or a worker in the same browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, cycle
from typing import Any

from ...expression import (
    ExpressionError,
    evaluate,
    in_one_line,
    names,
    number_of,
    with_a_name,
)
from ..player import page

__all__ = ["answer"]

# For names that have no value yet: so an expression that has just been called out is walked through
# at once. No two are alike, or nobody could tell which factor is which.
STARTS = ("0.5", "3", "-1", "2", "1.5", "-2")


def answer(request: object) -> dict[str, Any]:
    """The page that walks through an expression, or what is wrong with it.

    request: {"expression": text, "values": {name: text}}. Values of names that the expression does
        not have are passed over; a name without a value gets one.

    In the answer are "values", by name in the order of the expression, and "page", or else "error":
    its "message", the name whose value it is about as "field", or None for the expression, and the
    "position" in there or None.

    The request {"link": text} is answered with its "qr" code, as the address of an image: an empty
    one if segno is not installed, or if the link is too long.

    A ValueError says what a request is.

    >>> answer({"expression": "a*b", "values": {"a": "1/3"}})["values"]
    {'a': '1/3', 'b': '0.5'}
    >>> answer({"expression": "2*(a", "values": {}})["error"]
    {'message': "this '(' is never closed", 'field': None, 'position': 2}
    """
    match request:
        case {"expression": str(expression), "values": dict(values)} if _are_texts(values):
            return _walk(expression, values)
        case {"link": str(link)}:
            return {"qr": _qr(link)}
    raise ValueError('a request is {"expression": text, "values": {name: text}} or {"link": text}')


def _are_texts(values: Mapping[str, object]) -> bool:
    return all(isinstance(x, str) for x in values.values())


def _walk(expression: str, given: Mapping[str, str]) -> dict[str, Any]:
    try:
        values = _values(names(expression), given)
    except ExpressionError as error:
        return {"error": _told(error)}
    numbers = {}
    for name, text in values.items():
        try:
            numbers[name] = number_of(text)
        except ExpressionError as error:
            return {"values": values, "error": _told(error, name)}
    try:
        root = with_a_name(evaluate(expression, numbers), values)
        return {"values": values, "page": page(root, title=in_one_line(expression))}
    except ValueError as error:  # of the expression, or its graph is too large
        return {"values": values, "error": _told(error)}


def _values(wanted: list[str], given: Mapping[str, str]) -> dict[str, str]:
    known = {name: text for name in wanted if (text := given.get(name, "").strip())}
    starts = chain((x for x in STARTS if x not in known.values()), cycle(STARTS))
    return {name: known.get(name) or next(starts) for name in wanted}


def _qr(link: str) -> str:
    try:
        import segno
    except ImportError:
        return ""
    try:
        return str(segno.make_qr(link).svg_data_uri(scale=4, light="white"))
    except segno.DataOverflowError:
        return ""


def _told(error: ValueError, field: str | None = None) -> dict[str, Any]:
    if isinstance(error, ExpressionError):
        return {"message": error.message, "field": field, "position": error.position}
    return {"message": str(error), "field": field, "position": None}
