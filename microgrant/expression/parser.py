"""The parser: from the text of an expression to its program.

With this module you can

- read a text:      parser = Parser("h = 2*x; h + 1"); parser.program.steps

It is Dijkstra's shunting-yard method: an operator waits on a stack until the next one binds no
tighter, and what leaves the stack forms a list of steps in postfix order (``a b +``). Nothing
recurses, so no text is too deep for Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from ..engine.arguments import shown
from ..engine.conditions import RELATIONS
from ..ops.table import POWER
from .errors import short
from .functions import NAMES, no_function, usage
from .program import LOGIC, NEG, Program
from .tokens import SIGNS, Token, tokens

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "Parser"]

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 200  # parentheses inside one another

OR, AND, NOT, COMPARISON = range(-4, 0)  # what binds less tightly than any operation of the table
BINDING = {"or": OR, "and": AND, "not": NOT, **dict.fromkeys(RELATIONS, COMPARISON)}
BINDING |= {sign: operation.precedence for sign, operation in SIGNS.items()}

OPERAND = "expected a number, a name or '('"
NO_IF = "an expression has no 'if': write where(x > 0, a, b) for a if x > 0 else b"
NO_TARGET = (
    "'=' stands after one name, at the beginning of a statement, as in h = a * b; to compare, "
    "write x == 2 with a number, or a >= b and a <= b with two names"
)


class _Sign(NamedTuple):
    """An operator that waits for the end of its right operand."""

    word: str
    binding: int
    position: int


@dataclass(slots=True)
class _Group:
    """A parenthesis that waits to be closed, or, as the first of all, a whole statement."""

    opening: str = ""  # "(" or "[", or "of" for a [ that takes one out of a list
    function: str = ""  # its name; empty where the parenthesis only groups
    position: int = 0
    arguments: int = 1
    signs: list[_Sign] = field(default_factory=list)


class Parser:
    """Reads a text.

    program: what it says.
    line_ends: where the end of a line ends a statement.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"an expression is a text, such as 'a * b + c', but got {shown(text)}")
        self.program = Program(text)
        self.error = self.program.error
        self.line_ends: list[int] = []
        self._groups = [_Group()]
        self._previous = Token("start", "", 0)
        self._target: Token | None = None  # of this statement: the name to which it assigns
        self._update: Token | None = None  # its *=, which stands for * and =
        self._start = 0
        self._has_result = False  # whether a statement without a name was read
        if len(text) > MAX_LENGTH:
            raise self.error(
                f"an expression has at most {MAX_LENGTH:,} characters, but this one {len(text):,}",
                MAX_LENGTH,
            )
        self._read(text)

    # --- Statements -----------------------------------------------------------------------------

    def _read(self, text: str) -> None:
        expects_operand = True
        for token in tokens(text):
            goes_on = len(self._groups) > 1 or (expects_operand and self._previous.kind != "=")
            if token.kind == "\n" and goes_on:
                continue
            if token.kind in (";", "\n") and not expects_operand:
                self._end_statement()
                self.line_ends += [token.position] * (token.kind == "\n")
                expects_operand = True
            elif expects_operand:
                if self._begins:
                    self._begin_statement(token)
                expects_operand = self._operand(token)
            else:
                expects_operand = self._operator(token)
            self._previous = token
        if self._previous.kind == "start":
            raise self.error("the expression is empty: write one such as a * b + c", 0)
        if not self._begins:
            if expects_operand:
                raise self.error(f"{OPERAND}, but the expression ends", len(text))
            self._end_statement()
        if self._target:
            self.program.name(self._target.text, self._target.position)
        self.program.end()

    @property
    def _begins(self) -> bool:
        """Whether a statement begins with the next token."""
        return self._previous.kind in ("start", ";", "\n")

    def _begin_statement(self, token: Token) -> None:
        if self._has_result:
            raise self.error(
                "only the last statement computes the result: give this one a name, as in h = …, "
                "or put it in parentheses if it goes on in the next line",
                self._start,
            )
        self._target = self._update = None
        self._start = token.position

    def _end_statement(self) -> None:
        self._settle()
        group = self._groups[-1]
        if len(self._groups) > 1:
            opening = "(" if group.opening == "(" else "["
            at = self.program.text.index(opening, group.position)
            raise self.error(f"this '{opening}' is never closed", at)
        if self._update:
            self.program.operate(SIGNS[self._update.text[:-1]], self._update.position)
        if self._target:
            self.program.assign(self._target.text, self._target.position)
        else:
            self._has_result = True

    # --- Tokens ---------------------------------------------------------------------------------

    def _operand(self, token: Token) -> bool:
        """Read a token where an operand may begin; True if an operand is still to come."""
        kind, word, position = token
        if kind == "number":
            number = float(word)
            if math.isinf(number):
                raise self.error(f"{short(word)} is too large for a float (1.8e308)", position)
            self.program.constant(number, position)
            return False
        if kind == "name":
            if word in NAMES:
                raise self.error(f"{word} is a function: write {usage(word)}", position)
            self.program.name(word, position)
            return False
        if kind == "target":
            if not self._begins:
                raise self.error(self._no_target, self.program.text.index("=", position))
            if word in NAMES:
                raise self.error(f"{word} is a function: choose another name", position)
            self._target = token
        elif kind == "=" and self._previous.kind == "target":
            if word != "=":
                self.program.name(self._previous.text, self._previous.position)
                self._update = token
        elif kind == "call":
            if word not in NAMES:
                raise self.error(no_function(word), position)
            self._open("(", position, word)
        elif kind in ("(", "["):
            self._open(kind, position)
        elif kind == "-":
            self._wait("-x", NEG.precedence, position)
        elif kind == "not":
            self._wait("not", NOT, position)
        elif kind == ")" and self._previous.kind == "call":
            self._groups[-1].arguments = 0
            self._close(token)
            return False
        elif kind in ("if", "else"):
            raise self.error(NO_IF, position)
        elif kind != "+":
            came = "the line ends" if kind == "\n" else f"got '{word}'"
            raise self.error(f"{OPERAND}, but {came}", position)
        return True

    def _operator(self, token: Token) -> bool:
        """Read a token where an operand has ended; True if another operand is to come."""
        kind, position = token.kind, token.position
        if kind in BINDING and kind != "not":
            binding = BINDING[kind]
            # A power waits, since 2**3**2 is 2**(3**2), and so does 0 < x in 0 < x < 1.
            self._settle(binding + (binding in (POWER, COMPARISON)))
            self._wait(kind, binding, position)
        elif kind == ",":
            self._settle()
            group = self._groups[-1]
            if not group.function and group.opening != "[":
                raise self.error(
                    "',' stands only between the arguments of a function, or in a list; between "
                    "statements stands ';'",
                    position,
                )
            group.arguments += 1
        elif kind == "[":
            if not self.program.ends_in_a_list:
                raise self.error("'[' takes one out of a list, and this is none", position)
            self._open("of", position)
        elif kind in (")", "]"):
            self._close(token)
            return False
        else:
            raise self.error(self._no_operator(token), position)
        return True

    def _no_operator(self, token: Token) -> str:
        """What to say of a token that stands behind an operand, and is no operator."""
        kind, word, position = token
        if kind in ("if", "else"):
            return NO_IF
        if kind == "=":
            return self._no_target
        if kind == "target":
            return "a statement begins here: put a ';' before it"
        _, before, start = self._previous
        if self._previous.kind == "number" and start + len(before) == position:
            if word.startswith("_"):
                return "write the number without '_'"
            if word.startswith("."):
                return "a number has only one decimal point"
        return f"expected an operator before '{short(word)}': to multiply, write '*'"

    @property
    def _no_target(self) -> str:
        """What to say of an '=' where no statement begins."""
        group = self._groups[-1]
        compares = group.function == "where" and group.arguments == 1
        if not group.function or compares:
            return NO_TARGET
        return f"arguments have no names here, only places: write {usage(group.function)}"

    def _open(self, opening: str, position: int, function: str = "") -> None:
        if len(self._groups) > MAX_DEPTH:
            raise self.error(
                f"parentheses stand more than {MAX_DEPTH} deep inside one another", position
            )
        self._groups.append(_Group(opening, function, position))

    def _wait(self, word: str, binding: int, position: int) -> None:
        self._groups[-1].signs.append(_Sign(word, binding, position))

    def _close(self, token: Token) -> None:
        self._settle()
        group = self._groups[-1]
        opening = "(" if token.kind == ")" else "["
        if len(self._groups) == 1:
            raise self.error(f"no '{opening}' is open for this '{token.kind}'", token.position)
        if (group.opening == "(") != (opening == "("):
            other = "]" if opening == "(" else ")"
            raise self.error(f"expected '{other}' before this '{token.kind}'", token.position)
        self._groups.pop()
        if group.function:
            self.program.call(group.function, group.arguments, group.position)
        elif group.opening == "[":
            self.program.list_of(group.arguments, group.position)
        elif group.opening == "of":
            self.program.take_one(group.position)

    def _settle(self, binding: int = OR) -> None:
        """Turn the signs that wait in this parenthesis into steps, down to one that binds less."""
        signs = self._groups[-1].signs
        while signs and signs[-1].binding >= binding:
            word, _, position = signs.pop()
            if word in LOGIC:
                self.program.join(word, position)
            elif word in RELATIONS:
                words, places = [word], [position]
                while signs and signs[-1].word in RELATIONS:
                    word, _, position = signs.pop()
                    words.insert(0, word)
                    places.insert(0, position)
                self.program.compare(words, places)
            else:
                self.program.operate(SIGNS.get(word, NEG), position)
