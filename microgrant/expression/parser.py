"""The parser: from the text of an expression to a program in postfix form.

With this module you can

- read a text:      program = Parser("h = 2*x; h + 1"); program.steps, list(program.places)

It is Dijkstra's shunting-yard method: an operator waits on a stack until the next one binds no
tighter, and what leaves the stack forms a list of steps in postfix order (``a b +``). Nothing
recurses, so no text is too deep for Python. Beside the steps it keeps what will lie on their stack:
so all that is wrong with a text is found here, and has a place.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial as bind, reduce
from typing import Any, NamedTuple, TypeAlias

from ..engine.arguments import shown
from ..engine.conditions import RELATIONS
from ..engine.derivatives import apply, where
from ..engine.value import Value
from ..ops.table import MANY, OPERATIONS, POWER, Operation, of_many, power
from .errors import ExpressionError, short
from .functions import FAMILIES, FUNCTIONS, NAMES, OF_A_LIST, no_function, usage
from .tokens import SIGNS, Token, tokens

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "MAX_NODES", "Parser", "Step", "Store"]

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 200  # parentheses inside one another
MAX_NODES = 2_000  # nodes of the graph
NODES_OF_A_SOFTMAX = 6  # at most, for each number in its list

NEG, POW = OPERATIONS["neg"], OPERATIONS["pow"]
OR, AND, NOT, COMPARISON = range(-4, 0)  # what binds less tightly than any operation of the table
LOGIC: dict[str, tuple[int, Callable[..., Any]]] = {
    "or": (OR, operator.or_),
    "and": (AND, operator.and_),
    "not": (NOT, operator.invert),
}
OPERAND = "expected a number, a name or '('"
NO_IF = "an expression has no 'if': write where(x > 0, a, b) for a if x > 0 else b"
NO_TARGET = (
    "'=' stands after one name, at the beginning of a statement, as in h = a * b; to compare, "
    "write '=='"
)
NO_NUMBER = {
    "condition": "true or false is no number: where(x > 0, 1, 0) makes one of it",
    "list": "a list is no number: [0] behind it takes its first; to group, write '(' and ')'",
}


class Step(NamedTuple):
    """Takes operands off the stack, and puts there what `run` makes of them."""

    takes: int
    run: Callable[..., Any]


class Store(NamedTuple):
    """Takes what lies on the stack, and keeps it under a name."""

    name: str


AnyStep: TypeAlias = float | str | Step | Store
"""A step: put a constant on the stack, put there what has a name, compute, or give a name."""


class _Operand(NamedTuple):
    """What will lie on the stack.

    kind: "constant", a number as it is written; "number", one that is computed or has a name;
        "condition" or "list".
    size: of a list, how many numbers it holds.
    """

    kind: str
    position: int
    size: int = 0


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


@dataclass(slots=True)
class _Assigned:
    """A name that a statement has given, and what it stands for."""

    operand: _Operand
    position: int
    used: bool = False


class Parser:
    """Reads a text.

    steps: the program, which leaves the result on the stack.
    places: the names that need a value, and where each first appears.
    scope: the names that statements give.
    line_ends: where the end of a line ends a statement.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"an expression is a text, such as 'a * b + c', but got {shown(text)}")
        self.text = text
        self.steps: list[AnyStep] = []
        self.places: dict[str, int] = {}
        self.scope: dict[str, _Assigned] = {}
        self.line_ends: list[int] = []
        self._assigned: list[_Assigned] = []  # also what lost its name to another
        self._stack: list[_Operand] = []
        self._groups = [_Group()]
        self._previous = Token("start", "", 0)
        self._target: Token | None = None  # of this statement: the name to which it assigns
        self._update: Token | None = None  # its *=, which stands for * and =
        self._start = 0
        self._nodes = 0
        if len(text) > MAX_LENGTH:
            raise self.error(
                f"an expression has at most {MAX_LENGTH:,} characters, but this one {len(text):,}",
                MAX_LENGTH,
            )
        self._read()

    def error(self, message: str, position: int) -> ExpressionError:
        """An error that points at a place of the text."""
        return ExpressionError(message, self.text, position)

    # --- Statements -----------------------------------------------------------------------------

    def _read(self) -> None:
        expects_operand = True
        for token in tokens(self.text):
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
                raise self.error(f"{OPERAND}, but the expression ends", len(self.text))
            self._end_statement()
        self._end()

    @property
    def _begins(self) -> bool:
        """Whether a statement begins with the next token."""
        return self._previous.kind in ("start", ";", "\n")

    def _begin_statement(self, token: Token) -> None:
        if self._stack:
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
            at = self.text.index(opening, group.position)
            raise self.error(f"this '{opening}' is never closed", at)
        if self._target is None:
            return
        if self._update:
            self._operate(SIGNS[self._update.text[:-1]], self._update.position)
        operand, (_, name, position) = self._stack.pop(), self._target
        if operand.kind == "constant":
            operand = operand._replace(kind="number")
        self.scope[name] = _Assigned(operand, position)
        self._assigned.append(self.scope[name])
        self.steps.append(Store(name))

    def _end(self) -> None:
        if self._target:
            self._name(self._target.text, self._target.position)
        (result,) = self._stack
        if result.kind in NO_NUMBER:
            raise self.error(NO_NUMBER[result.kind], result.position)
        for assigned in self._assigned:
            if not assigned.used:
                raise self.error(
                    "this is computed and never used: use it, or leave it out", assigned.position
                )

    # --- Tokens ---------------------------------------------------------------------------------

    def _operand(self, token: Token) -> bool:
        """Read a token where an operand may begin; True if an operand is still to come."""
        kind, word, position = token
        if kind == "number":
            number = float(word)
            if math.isinf(number):
                raise self.error(f"{short(word)} is too large for a float (1.8e308)", position)
            self._add(number, "constant", position)
            return False
        if kind == "name":
            if word in NAMES:
                raise self.error(f"{word} is a function: write {usage(word)}", position)
            self._name(word, position)
            return False
        if kind == "target":
            if not self._begins:
                raise self.error(NO_TARGET, self.text.index("=", position))
            if word in NAMES:
                raise self.error(f"{word} is a function: choose another name", position)
            self._target = token
        elif kind == "=" and self._previous.kind == "target":
            if word != "=":
                self._name(self._previous.text, self._previous.position)
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
        if kind in SIGNS:
            binding = SIGNS[kind].precedence
            self._settle(binding + (binding == POWER))  # a power waits: 2**3**2 is 2**(3**2)
            self._wait(kind, binding, position)
        elif kind in RELATIONS:
            self._settle(COMPARISON + 1)  # 0 < x < 1 waits as a whole
            self._wait(kind, COMPARISON, position)
        elif kind in ("and", "or"):
            self._settle(LOGIC[kind][0])
            self._wait(kind, LOGIC[kind][0], position)
        elif kind == ",":
            self._settle()
            group = self._groups[-1]
            if not group.function and group.opening != "[":
                raise self.error(
                    "',' stands only between the arguments of a function, or in a list", position
                )
            group.arguments += 1
        elif kind == "[":
            if self._stack[-1].kind != "list":
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
        if kind in ("=", "target"):
            return NO_TARGET if kind == "=" else "a statement begins here: put a ';' before it"
        _, before, start = self._previous
        if self._previous.kind == "number" and start + len(before) == position:
            if word.startswith("_"):
                return "write the number without '_'"
            if word.startswith("."):
                return "a number has only one decimal point"
        return f"expected an operator before '{short(word)}': to multiply, write '*'"

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
            self._call(group.function, group.arguments, group.position)
        elif group.opening == "[":
            self._numbers(group.arguments)
            self._add(Step(group.arguments, _list), "list", group.position, size=group.arguments)
        elif group.opening == "of":
            self._take_one(group.position)

    # --- Steps ----------------------------------------------------------------------------------

    def _settle(self, binding: int = OR) -> None:
        """Turn the signs that wait in this parenthesis into steps, down to one that binds less."""
        signs = self._groups[-1].signs
        while signs and signs[-1].binding >= binding:
            sign = signs.pop()
            if sign.word in RELATIONS:
                chain = [sign]
                while signs and signs[-1].word in RELATIONS:
                    chain.append(signs.pop())
                self._compare(chain[::-1])
            elif sign.word in LOGIC:
                self._join(sign)
            else:
                self._operate(SIGNS.get(sign.word, NEG), sign.position)

    def _operate(self, operation: Operation, position: int) -> None:
        self._numbers(operation.arity)
        constant = self.steps[-1]
        if self._stack[-1].kind == "constant" and isinstance(constant, float):
            if operation is NEG:
                self.steps[-1] = -constant
                return
            if operation is POW:
                self._drop_constants(1)
                operation = power(constant)
        self._add(Step(operation.arity, bind(apply, operation)), "number", position)

    def _compare(self, signs: list[_Sign]) -> None:
        operands = self._numbers(len(signs) + 1)
        for sign, left, right in zip(signs, operands, operands[1:], strict=False):
            if sign.word in ("==", "!=") and "constant" not in (left.kind, right.kind):
                joined = "a >= b and a <= b" if sign.word == "==" else "a > b or a < b"
                raise self.error(
                    f"'{sign.word}' asks whether two Values are one and the same: to compare "
                    f"their numbers, write {joined}",
                    sign.position,
                )
        words = [sign.word for sign in signs]
        self._add(Step(len(operands), bind(_compared, words)), "condition", signs[0].position)

    def _join(self, sign: _Sign) -> None:
        takes = 1 if sign.word == "not" else 2
        for operand in self._stack[-takes:]:
            if operand.kind != "condition":
                raise self.error(
                    f"'{sign.word}' is for comparisons, as in not x > 0, or x > 0 and x < 1",
                    operand.position,
                )
        self._add(Step(takes, LOGIC[sign.word][1]), "condition", sign.position)

    def _call(self, name: str, given: int, position: int) -> None:
        if name in OF_A_LIST:
            self._call_of_a_list(name, given, position)
        elif name in FAMILIES and (name not in FUNCTIONS or given > 1):
            self._call_with_constants(name, given, position)
        elif name == "where":
            self._check_count(name, given, 3, position)
            self._numbers(2)
            if self._stack[-3].kind == "list":
                raise self.error(f"where chooses by a comparison: {usage(name)}", position)
            self._add(Step(3, where), "number", position)
        else:
            operation = FUNCTIONS[name]
            if operation.name in MANY and given > operation.arity:
                operation = of_many(operation.name, given)
            self._check_count(name, given, operation.arity, position)
            self._operate(operation, position)

    def _check_count(self, name: str, given: int, wanted: int, position: int) -> None:
        if given != wanted:
            more = name in FUNCTIONS and FUNCTIONS[name].name in MANY
            words = f"{wanted} argument{'s' * (wanted != 1)}{' or more' * more}"
            raise self.error(f"{name} takes {words}, but got {given}", position)

    def _call_of_a_list(self, name: str, given: int, position: int) -> None:
        size = self._stack[-1].size if given == 1 else 0
        if not size:
            raise self.error(f"{name} takes a list: write {usage(name)}", position)
        self._nodes += NODES_OF_A_SOFTMAX * size
        kind = "number" if name == "logsumexp" else "list"
        self._add(Step(1, OF_A_LIST[name]), kind, position, size=size)

    def _call_with_constants(self, name: str, given: int, position: int) -> None:
        family, count = FAMILIES[name]
        self._check_count(name, given, 1 + count, position)
        self._numbers(1 + count)
        if any(operand.kind != "constant" for operand in self._stack[-count:]):
            raise self.error(
                f"{name} takes numbers that are written out, as in "
                f"{name}(x, {', '.join(('0.1', '1')[:count])})",
                position,
            )
        try:
            operation = family(*self._drop_constants(count))
        except ValueError as error:
            raise self.error(str(error), position) from None
        self._operate(operation, position)

    def _take_one(self, position: int) -> None:
        (_, _, size), (kind, *_) = self._stack[-2:]
        (place,) = self._drop_constants(1)
        if kind != "constant" or not place.is_integer() or not -size <= place < size:
            raise self.error(
                f"the list holds {size}: one of them is [0], [1] and so on to [{size - 1}]",
                position,
            )
        self._add(Step(1, operator.itemgetter(int(place))), "number", position)

    def _name(self, name: str, position: int) -> None:
        if name in self.scope:
            self.scope[name].used = True
            self.steps.append(name)
            self._stack.append(self.scope[name].operand._replace(position=position))
            return
        self._nodes -= name in self.places  # each variable is one leaf, however often it is used
        self.places.setdefault(name, position)
        self._add(name, "number", position)

    def _add(self, step: AnyStep, kind: str, position: int, size: int = 0) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self.error(
                f"the graph would have more than {MAX_NODES:,} nodes: build one so large in Python",
                position,
            )
        if isinstance(step, Step):
            del self._stack[-step.takes :]
        self.steps.append(step)
        self._stack.append(_Operand(kind, position, size))

    def _numbers(self, count: int) -> list[_Operand]:
        """The last operands, if they are numbers."""
        operands = self._stack[-count:]
        for operand in operands:
            if operand.kind in NO_NUMBER:
                raise self.error(NO_NUMBER[operand.kind], operand.position)
        return operands

    def _drop_constants(self, count: int) -> list[Any]:
        """Take the last operands, which are constants, out of the program again."""
        dropped = self.steps[-count:]
        del self.steps[-count:], self._stack[-count:]
        self._nodes -= count
        return dropped


def _list(*operands: Value) -> list[Value]:
    return list(operands)


def _compared(relations: list[str], *operands: Value) -> Any:
    """The condition that each operand is in its relation with the next."""
    found = []
    for relation, left, right in zip(relations, operands, operands[1:], strict=False):
        # As in Python, a Value is compared with the number, and not with a node that holds it.
        number = right._data if right._constant else right
        of = left._data if left._constant and not right._constant else left
        found.append(RELATIONS[relation](of, number))
    return reduce(operator.and_, found)
