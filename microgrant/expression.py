"""Arithmetic as one types it, made into a graph of `Value`s.

With this module you can

- compute an expression, and differentiate it:  evaluate("tanh(w*x + b)", {"w": 2, "x": 1, "b": 0})
- ask which values it needs:                    names("tanh(w*x + b)") is ["w", "x", "b"]
- tell a person what is wrong with it, in one line that points at the place: `ExpressionError`

The language is Python's arithmetic and nothing else: numbers, names, ``+ - * / % **``, parentheses,
and the functions of the table (`FUNCTIONS`), with Python's precedence. The parser is our own, so
that a text from a stranger can do no more than arithmetic.

It is Dijkstra's shunting-yard method: an operator waits on a stack until the next one binds no
tighter, and what leaves the stack forms a list of steps in postfix order (``a b +``). Neither half
recurses, so no text is too deep for Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import accumulate, takewhile
from typing import NamedTuple, TypeAlias

from .engine.arguments import shown
from .engine.derivatives import apply
from .engine.value import Number, Value, as_value
from .ops.table import (
    CALL,
    MANY,
    NEGATION,
    OPERATIONS,
    POWER,
    Operation,
    elu,
    leaky_relu,
    of_many,
    power,
)

__all__ = ["FUNCTIONS", "MAX_DEPTH", "MAX_LENGTH", "MAX_NODES"]
__all__ += ["ExpressionError", "evaluate", "names"]

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 200  # parentheses inside one another
MAX_NODES = 2_000  # nodes of the graph

NEG, POW = OPERATIONS["neg"], OPERATIONS["pow"]

FUNCTIONS: dict[str, Operation] = {
    word: operation
    for operation in OPERATIONS.values()
    if operation.precedence == CALL
    for word in (operation.name, operation.symbol)  # maximum, and also max
} | {"ln": OPERATIONS["log"], "leaky_relu": leaky_relu(0.01), "elu": elu(1.0)}
"""What can be called in an expression, by name: the operations that are not written with a sign."""

CALLED = [word for word, operation in FUNCTIONS.items() if word == operation.name]
"""The same, each by one of its names."""

SIGNS = {
    operation.symbol: operation
    for operation in OPERATIONS.values()
    if operation.precedence not in (CALL, NEGATION)
}
NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
OPENING = re.compile(r"\s*\(")

KNOWN_NUMBERS = {"e": " (write exp(x) for e to the x)", "pi": " (give pi=3.141592653589793)"}

# What lectures, and our own drawings, write instead of a sign of this language.
INSTEAD = {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "√": "sqrt()", "|": "abs()"}
INSTEAD |= {"[": "(", "{": "(", "]": ")", "}": ")"}
INSTEAD |= dict.fromkeys("^⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "**")

# What other languages and lectures call a function, and how it is written here.
MEANT = {
    "arcsin": "asin(x)", "arccos": "acos(x)", "arctan": "atan(x)", "arctan2": "atan2(y, x)",
    "arcsinh": "asinh(x)", "arccosh": "acosh(x)", "arctanh": "atanh(x)", "arctg": "atan(x)",
    "arsinh": "asinh(x)", "arcosh": "acosh(x)", "artanh": "atanh(x)", "tg": "tan(x)",
    "sh": "sinh(x)", "ch": "cosh(x)", "th": "tanh(x)", "cot": "cos(x) / sin(x)",
    "sec": "1 / cos(x)", "csc": "1 / sin(x)", "sinus": "sin(x)", "cosinus": "cos(x)",
    "lg": "log10(x)", "ld": "log2(x)", "lb": "log2(x)", "logit": "log(x / (1 - x))",
    "pow10": "10 ** x", "pow2": "2 ** x", "power": "a ** b", "sqr": "x ** 2", "square": "x ** 2",
    "cube": "x ** 3", "cbrt": "sign(x) * abs(x) ** (1 / 3)", "root": "x ** (1 / n)",
    "reciprocal": "1 / x", "inv": "1 / x", "fabs": "abs(x)", "absolute": "abs(x)",
    "sgn": "sign(x)", "signum": "sign(x)",
    "ceil": "-floor(-x)", "round": "floor(x + 0.5)", "step": "(sign(x) + 1) / 2",
    "heaviside": "(sign(x) + 1) / 2", "logistic": "sigmoid(x)", "expit": "sigmoid(x)",
    "sig": "sigmoid(x)", "lrelu": "leaky_relu(x)", "swish": "silu(x)", "rectifier": "relu(x)",
    "relu6": "min(max(x, 0), 6)", "softsign": "x / (1 + abs(x))", "clip": "min(max(x, a), b)",
    "clamp": "min(max(x, a), b)", "gaussian": "exp(-x ** 2)", "exp10": "10 ** x",
    "tangent": "tan(x)", "cosine": "cos(x)", "sine": "sin(x)", "ctg": "cos(x) / sin(x)",
    "coth": "1 / tanh(x)", "sech": "1 / cosh(x)", "csch": "1 / sinh(x)", "sinc": "sin(x) / x",
    "acot": "atan(1 / x)", "arccot": "atan(1 / x)", "sigm": "sigmoid(x)", "mod": "a % b",
    "fmod": "a - b * sign(a / b) * floor(abs(a / b))", "remainder": "a % b",
    "trunc": "sign(x) * floor(abs(x))", "int": "sign(x) * floor(abs(x))", "celu": "elu(x)",
    "selu": "1.0507 * (relu(x) + 1.6733 * elu(min(x, 0)))", "rrelu": "leaky_relu(x)",
    "erfcx": "exp(x ** 2) * erfc(x)", "amin": "min(a, b)", "amax": "max(a, b)",
    "powm1": "a ** b - 1",
}  # fmt: skip
# The same of what takes a list, written out for two or three numbers.
OF_LISTS = {
    "softmax": "exp(a) / (exp(a) + exp(b))",
    "logsoftmax": "a - log(exp(a) + exp(b))",
    "logsumexp": "log(exp(a) + exp(b))",
    "sum": "a + b + c",
    "prod": "a * b * c",
    "mean": "(a + b + c) / 3",
    "average": "(a + b + c) / 3",
    "norm": "sqrt(a ** 2 + b ** 2)",
    "dot": "a * x + b * y",
    "mse": "((a - x) ** 2 + (b - y) ** 2) / 2",
}
# Names of something else, which are near to ours in letters only.
OTHERS = {"erfi", "exp1", "expi", "expn", "long", "real", "sort"}
LOGARITHM = re.compile(r"log([3-9]|[1-9][0-9]{1,2})")  # to any base


class ExpressionError(ValueError):
    """An expression that cannot be computed; ``str(error)`` is one line for a terminal.

    message: what is wrong, without the place.
    text: the whole expression.
    position: where, counted from 0 (the line that people read counts columns from 1); None where
        the text is in order and the values given for it are not.

    >>> evaluate("2 * (x +", {"x": 1.0})
    Traceback (most recent call last):
        ...
    microgrant.expression.ExpressionError: column 9, after "2 * (x +": expected a number, ...
    """

    def __init__(self, message: str, text: str, position: int | None = None) -> None:
        super().__init__(message, text, position)
        self.message, self.text, self.position = message, text, position

    def __str__(self) -> str:
        if self.position is None:
            return self.message
        # Only the end is shown, so only the end is escaped.
        before = _escaped(self.text[: self.position].rstrip()[-25:])
        if len(before) > 24:
            before = "…" + before[-23:]
        after = f', after "{before}"' if before else ""
        return f"column {self.position + 1}{after}: {self.message}"


def names(text: str) -> list[str]:
    """The variables of an expression, in the order in which they first appear.

    Raises an `ExpressionError` where the text is not an expression.

    >>> names("tanh(w1*x1 + w2*x2 + b) * w1")
    ['w1', 'x1', 'w2', 'x2', 'b']
    """
    return list(_Parser(text).places)


def evaluate(text: str, values: Mapping[str, Number]) -> Value:
    """The value of an expression, with its graph: one leaf for each variable and each constant.

    A number given for a variable becomes a `Value` labelled with the name; a `Value` is used as it
    is. Each operation that is written down is one node, except that a sign in front of a number
    belongs to the number, and so does a number as exponent to its power: ``x**-2`` has one operand.

    Raises an `ExpressionError` where the text is not an expression, and for values that are missing
    or that it does not use; a TypeError for a value that is not a number.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> loss = evaluate("(a*b + 10)**2", {"a": a, "b": b})
    >>> loss.backward()
    >>> loss.data, a.grad, b.grad
    (16.0, -24.0, 16.0)
    >>> evaluate("rate * time", {"rate": 3.0, "tme": 2.0})
    Traceback (most recent call last):
        ...
    microgrant.expression.ExpressionError: column 8, after "rate *": no value is given for ...
    """
    parser = _Parser(text)
    if not isinstance(values, Mapping):
        raise TypeError(f"values is a dictionary of numbers by name, but got {shown(values)}")
    _check_values(parser, values)
    leaves = {
        name: given if isinstance(given := values[name], Value) else Value(given, name)
        for name in parser.places
    }
    stack: list[Value] = []
    for step in parser.steps:
        if isinstance(step, Operation):
            operands = [stack.pop() for _ in range(step.arity)]
            stack.append(apply(step, *reversed(operands)))
        elif isinstance(step, str):
            stack.append(leaves[step])
        else:
            stack.append(as_value(step))
    return stack.pop()


def _check_values(parser: _Parser, values: Mapping[str, Number]) -> None:
    missing = [name for name in parser.places if name not in values]
    unused = []
    for name in values:
        if name not in parser.places:
            close = get_close_matches(name, missing or parser.places, n=1)
            hint = f" (did you mean {_short(close[0])}?)" if close else ""
            unused.append(f"'{_short(name)}'{hint}")
    complaints = []
    if missing:
        hint = KNOWN_NUMBERS.get(missing[0], "") if len(missing) == 1 else ""
        listed = _listed([_short(name) for name in missing])
        complaints.append(f"no value is given for {listed}{hint}")
    if unused:
        complaints.append(f"the expression does not use {_listed(unused, room=80)}")
    if complaints:
        position = parser.places[missing[0]] if missing else None
        raise ExpressionError(", and ".join(complaints), parser.text, position)


# --- From text to tokens --------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str  # "number", "name", "call" (a name and its parenthesis), or else the sign itself
    text: str
    position: int


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        start, first = position, text[position]
        if first.isspace():
            position += 1
        elif number := NUMBER.match(text, start):
            position = number.end()
            yield _Token("number", number[0], start)
        elif first.isidentifier():
            name = "".join(takewhile(_continues_name, text[start:]))
            opening = OPENING.match(text, start + len(name))
            position = opening.end() if opening else start + len(name)
            yield _Token("call" if opening else "name", name, start)
        elif first in SIGNS or first in "(),":
            sign = "**" if text.startswith("**", start) else first
            position += len(sign)
            yield _Token(sign, sign, start)
        else:
            raise ExpressionError(_unknown(first), text, start)


def _continues_name(character: str) -> bool:
    # Python would take the whole of a·b for one name.
    return f"_{character}".isidentifier() and character not in INSTEAD


def _unknown(character: str) -> str:
    if character in INSTEAD:
        return f"write '{INSTEAD[character]}' instead of '{character}'"
    if character == "=":
        return "'=' has no place in an expression: values are given apart from it, as in x=2"
    signs = " ".join(SIGNS)
    return f"'{_short(character)}' has no place among numbers, names, functions, {signs} and ( )"


# --- From tokens to steps -------------------------------------------------------------------------

_Step: TypeAlias = float | str | Operation
"""One step of a postfix program: take a constant, take a variable, or operate on what was taken."""


@dataclass(slots=True)
class _Group:
    """A parenthesis that waits to be closed, or, as the first of all, the whole text.

    signs: the operators in it that wait for the end of their right operands, with their positions.
    """

    function: str = ""  # its name; empty where the parenthesis only groups
    position: int = 0
    arguments: int = 1
    signs: list[tuple[Operation, int]] = field(default_factory=list)


class _Parser:
    """Reads a text: `steps` is the program, `places` says where each variable first appears."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"an expression is a text, such as 'a * b + c', but got {shown(text)}")
        self.text = text
        self.steps: list[_Step] = []
        self.places: dict[str, int] = {}
        self.groups = [_Group()]
        self.previous = _Token("start", "", 0)
        self.nodes = 0
        if len(text) > MAX_LENGTH:
            raise self.error(
                f"an expression has at most {MAX_LENGTH:,} characters, but this one {len(text):,}",
                MAX_LENGTH,
            )
        expects_operand = True
        for token in _tokens(text):
            expects_operand = self.operand(token) if expects_operand else self.operator(token)
            self.previous = token
        if self.previous.kind == "start":
            raise self.error("the expression is empty: write one such as a * b + c", 0)
        if expects_operand:
            raise self.error("expected a number, a name or '(', but the expression ends", len(text))
        self.settle()
        if len(self.groups) > 1:
            raise self.error("this '(' is never closed", text.index("(", self.groups[-1].position))

    def error(self, message: str, position: int) -> ExpressionError:
        return ExpressionError(message, self.text, position)

    def operand(self, token: _Token) -> bool:
        """Read a token where an operand may begin; True if an operand is still to come."""
        kind, word, position = token
        if kind == "number":
            number = float(word)
            if math.isinf(number):
                raise self.error(f"{_short(word)} is too large for a float (1.8e308)", position)
            self.add(number, position)
            return False
        if kind == "name":
            if word in FUNCTIONS:
                usage = f"{word}({', '.join('abc'[: FUNCTIONS[word].arity])})"
                raise self.error(f"{word} is a function: write {usage}", position)
            self.nodes -= word in self.places  # each variable is one leaf, however often it is used
            self.places.setdefault(word, position)
            self.add(word, position)
            return False
        if kind == "call":
            if word not in FUNCTIONS:
                raise self.error(_no_function(word), position)
            self.open(word, position)
        elif kind == "(":
            self.open("", position)
        elif kind == "-":
            self.groups[-1].signs.append((NEG, position))
        elif kind == ")" and self.previous.kind == "call":
            self.groups[-1].arguments = 0
            self.close(position)
        elif kind != "+":
            raise self.error(f"expected a number, a name or '(', but got '{word}'", position)
        return True

    def operator(self, token: _Token) -> bool:
        """Read a token where an operand has ended; True if another operand is to come."""
        kind, word, position = token
        if kind in SIGNS:
            binding = SIGNS[kind].precedence
            self.settle(binding + (binding == POWER))  # a power waits: 2**3**2 is 2**(3**2)
            self.groups[-1].signs.append((SIGNS[kind], position))
            return True
        if kind == ")":
            self.close(position)
            return False
        if kind == ",":
            self.settle()
            if not self.groups[-1].function:
                raise self.error("',' stands only between the arguments of a function", position)
            self.groups[-1].arguments += 1
            return True
        _, before, start = self.previous
        if self.previous.kind == "number" and start + len(before) == position:
            if word.startswith("_"):
                raise self.error("write the number without '_'", position)
            if word.startswith("."):
                raise self.error("a number has only one decimal point", position)
        raise self.error(
            f"expected an operator before '{_short(word)}': to multiply, write '*'", position
        )

    def open(self, function: str, position: int) -> None:
        if len(self.groups) > MAX_DEPTH:
            raise self.error(
                f"parentheses stand more than {MAX_DEPTH} deep inside one another", position
            )
        self.groups.append(_Group(function, position))

    def close(self, position: int) -> None:
        self.settle()
        if len(self.groups) == 1:
            raise self.error("no '(' is open for this ')'", position)
        group = self.groups.pop()
        if name := group.function:
            operation, given = FUNCTIONS[name], group.arguments
            wanted, more = operation.arity, operation.name in MANY
            if given < wanted or (given > wanted and not more):
                words = f"{wanted} argument{'s' * (wanted != 1)}{' or more' * more}"
                raise self.error(f"{name} takes {words}, but got {given}", group.position)
            self.add(of_many(operation.name, given) if more else operation, group.position)

    def settle(self, binding: int = 0) -> None:
        """Turn the signs that wait in this parenthesis into steps, down to one that binds less."""
        signs = self.groups[-1].signs
        while signs and signs[-1][0].precedence >= binding:
            operation, position = signs.pop()
            # The last step is a constant only if that constant is the whole operand.
            operand = self.steps[-1]
            if isinstance(operand, float) and operation is NEG:
                self.steps[-1] = -operand
            elif isinstance(operand, float) and operation is POW:
                self.steps[-1] = power(operand)
            else:
                self.add(operation, position)

    def add(self, step: _Step, position: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.error(
                f"the graph would have more than {MAX_NODES:,} nodes: build one so large in Python",
                position,
            )
        self.steps.append(step)


def _no_function(name: str) -> str:
    if name in OPERATIONS:
        written = OPERATIONS[name].spelling["python"].format("a", "b")
        return f"{name} is written with its sign: {written}"
    wrong, plain = f"'{_short(name)}' is not a function", _plain(name)
    if base := LOGARITHM.fullmatch(plain):
        return f"{wrong}: write log(x) / log({base[1]})"
    elsewhere = [word for word in (*MEANT, *OF_LISTS) if word == plain or len(word) > 4]
    near = [word for word in (*FUNCTIONS, *elsewhere) if _is_near(plain, _plain(word))]
    # MIN is min, and only then near to sin; tahn has the letters of tanh, and not of tan.
    best = min(
        near if plain not in OTHERS else (),
        key=lambda word: (_plain(word) != plain, word in elsewhere, sorted(word) != sorted(plain)),
        default="",
    )
    if best in MEANT:
        return f"{wrong}: write {MEANT[best]}"
    if best in OF_LISTS:
        return f"{wrong}: an expression has no lists, so write it out, {OF_LISTS[best]}"
    if best:
        return f"{wrong}: did you mean {best}?"
    return f"{wrong} (to multiply, write *); there are {_listed(CALLED)}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _is_near(name: str, word: str) -> bool:
    """Whether one is the other, or the other with a slip; a short name is near to everything."""
    slip = len(name) > 3 and name[0] == word[0] and _with_a_slip(name) & _with_a_slip(word)
    return name == word or bool(slip)


def _with_a_slip(word: str) -> set[str]:
    """The word, and what is left of it without one letter.

    Two words have one of these in common if a letter too many, too few, wrong or at another place
    is all that is between them. By other measures, softmax is near to max.
    """
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


# --- Words for people -----------------------------------------------------------------------------


def _escaped(text: str) -> str:
    """Text on one line: what would move the cursor, or hide, is written as Python escapes it."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _short(text: str) -> str:
    shown = _escaped(text[:21])
    return shown if len(shown) <= 20 else shown[:19] + "…"


def _listed(words: Sequence[str], room: int = 100) -> str:
    """Words as a sentence lists them; those that do not fit into the line are counted."""
    lengths = accumulate(len(word) + 2 for word in words)
    fitting = sum(length <= room for length in lengths)
    shown = list(words[:fitting])
    if fitting < len(words):
        shown.append(f"{len(words) - fitting} more")
    *others, last = shown
    return f"{', '.join(others)} and {last}" if others else last
