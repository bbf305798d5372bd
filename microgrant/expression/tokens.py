"""From the text of an expression to tokens: numbers, names and signs.

With this module you can

- go through a text:      for token in tokens("h = 2*x"): token.kind, token.text, token.position

An `ExpressionError` points at the first character that begins none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from ..engine.conditions import RELATIONS
from ..ops.table import CALL, NEGATION, OPERATIONS, Operation
from .errors import ExpressionError, short

__all__ = ["SIGNS", "Token", "tokens"]

SIGNS: dict[str, Operation] = {
    operation.symbol: operation
    for operation in OPERATIONS.values()
    if operation.precedence not in (CALL, NEGATION)
}
"""The operations that are written with a sign between two operands, by that sign."""

KEYWORDS = ("and", "or", "not", "if", "else")
NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
OPENING = re.compile(r"[^\S\r\n]*\(")  # what follows a name that is called
ASSIGNED = re.compile(r"[^\S\r\n]*(\*\*|[-+*/%])?=(?![=<>])")  # what follows a name in a = 2
ALL_SIGNS = {*SIGNS, *RELATIONS, *"=(),;[]\n"}

# What lectures, other languages and our own drawings write instead of a sign of this language.
INSTEAD = {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "√": "sqrt()", "|": "abs()"}
INSTEAD |= {"{": "(", "}": ")", "≤": "<=", "≥": ">=", "≠": "!=", "=<": "<=", "=>": ">="}
INSTEAD |= {"<>": "!=", ":=": "=", "←": "=", "&": "and", "&&": "and", "||": "or", "~": "not"}
INSTEAD |= {"?": "where(x > 0, a, b)", "!": "not", "∧": "and", "∨": "or", "¬": "not"}
INSTEAD |= dict.fromkeys("^⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "**")


class Token(NamedTuple):
    """A number, a name or a sign.

    kind: "number", "name", "call" (a name and its parenthesis), "target" (a name to which is
        assigned), "=" (also with an operation, as "+="), or else the sign or the keyword itself.
    """

    kind: str
    text: str
    position: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text. The end of a line is one; other spaces only stand between them.

    >>> [token.kind for token in tokens("h = exp(2)")]
    ['target', '=', 'call', 'number', ')']
    """
    position = 0
    while position < len(text):
        start, first = position, text[position]
        pair = text[start : start + 2]
        if first in "\r\n":
            position += 1
            yield Token("\n", "\n", start)
        elif first.isspace():
            position += 1
        elif number := NUMBER.match(text, start):
            position = number.end()
            yield Token("number", number[0], start)
        elif first.isidentifier():
            name = "".join(takewhile(_continues_name, text[start:]))
            position = start + len(name)
            if name in KEYWORDS:
                yield Token(name, name, start)
            elif opening := OPENING.match(text, position):
                position = opening.end()
                yield Token("call", name, start)
            elif assigned := ASSIGNED.match(text, position):
                yield Token("target", name, start)
                position = assigned.end()
                sign = assigned[0].strip()
                yield Token("=", sign, position - len(sign))
            else:
                yield Token("name", name, start)
        elif pair in ALL_SIGNS or (first in ALL_SIGNS and pair not in INSTEAD):
            sign = pair if pair in ALL_SIGNS else first
            position += len(sign)
            yield Token(sign, sign, start)
        else:
            raise ExpressionError(_unknown(pair if pair in INSTEAD else first), text, start)


def _continues_name(character: str) -> bool:
    # Python would take the whole of a·b for one name.
    return f"_{character}".isidentifier() and character not in INSTEAD


def _unknown(sign: str) -> str:
    if sign in INSTEAD:
        return f"write '{INSTEAD[sign]}' instead of '{sign}'"
    signs = " ".join(SIGNS)
    return f"'{short(sign)}' has no place among numbers, names, functions, {signs} and ( )"
