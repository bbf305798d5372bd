"""Expressions as one types them, computed with their graphs.

With this module you can

- compute one:                    evaluate("tanh(w*x + b)", {"w": 2, "x": 1, "b": 0})
- ask which values it needs:      names("tanh(w*x + b)") is ["w", "x", "b"]
- read a number as one types it:  number_of("-1/3")
- have a text for a title:        in_one_line("h = a*b\\nh + 1") is "h = a*b; h + 1"
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from difflib import get_close_matches
from typing import Any

from ..engine.arguments import shown
from ..engine.value import Number, Value, as_value
from .errors import ExpressionError, listed, short
from .parser import Parser
from .program import Program, Step, Store

__all__ = ["evaluate", "in_one_line", "names", "number_of", "with_a_name"]

KNOWN_NUMBERS = {"e": math.e, "pi": math.pi}
HINTS = {"e": " (write exp(x) for e to the x)", "pi": f" (give pi={math.pi})"}


def names(text: str) -> list[str]:
    """The names of an expression that need a value, in the order in which they first appear.

    Raises an `ExpressionError` where the text is not an expression.

    >>> names("tanh(w1*x1 + w2*x2 + b) * w1")
    ['w1', 'x1', 'w2', 'x2', 'b']
    >>> names("h = tanh(w*x); (h - y)**2")
    ['w', 'x', 'y']
    """
    return list(Parser(text).program.places)


def evaluate(text: str, values: Mapping[str, Number]) -> Value:
    """The value of an expression, with its graph: one leaf for each name and each constant.

    A number given for a name becomes a `Value` labelled with the name; a `Value` is used as it is.
    Each operation that is written down is one node, except that a sign in front of a number belongs
    to the number, and so does a number as exponent to its power: ``x**-2`` has one operand.

    Statements, ``name = …``, come before the expression, separated by ``;`` or the ends of lines;
    each labels what it computes, and a number that is given a name is a leaf. The last statement
    may be one too.

    Raises an `ExpressionError` where the text is not an expression, and for values that are missing
    or that it does not use; a TypeError for a value that is not a number.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> loss = evaluate("h = a*b + 10; h**2", {"a": a, "b": b})
    >>> loss.backward()
    >>> loss.data, a.grad, b.grad, loss.operands[0].label
    (16.0, -24.0, 16.0, 'h')
    >>> evaluate("rate * time", {"rate": 3.0, "tme": 2.0})
    Traceback (most recent call last):
        ...
    microgrant.expression.errors.ExpressionError: column 8, after "rate *": no value is given ...
    """
    program = Parser(text).program
    if not isinstance(values, Mapping):
        raise TypeError(f"values is a dictionary of numbers by name, but got {shown(values)}")
    _check_values(program, values)
    known: dict[str, Any] = {
        name: given if isinstance(given := values[name], Value) else Value(given, name)
        for name in program.places
    }
    leaves, stack = {x: name for name, x in known.items()}, list[Any]()
    for step in program.steps:
        if isinstance(step, Store):
            known[step.name] = _named(stack.pop(), step.name, leaves)
        elif isinstance(step, Step):
            operands = stack[-step.takes :]
            del stack[-step.takes :]
            stack.append(step.run(*operands))
        else:
            stack.append(known[step] if isinstance(step, str) else as_value(step))
    result: Value = stack.pop()
    return result


def with_a_name(root: Value, taken: Container[str]) -> Value:
    """The value of an expression, to be shown: where it has no label, it is called "out", or
    "result" if that name is taken."""
    root.label = root.label or ("out" if "out" not in taken else "result")
    return root


def number_of(text: str) -> float:
    """A number as one types it: with arithmetic, but without names other than pi and e.

    Raises an `ExpressionError` for all else.

    >>> number_of("-0.5"), number_of("1/4"), number_of("inf"), number_of("sin(pi/6)") < 0.5
    (-0.5, 0.25, inf, True)
    """
    try:
        return float(text.replace("−", "-"))
    except ValueError:
        if not text.strip():
            raise ExpressionError(
                "expected a number, such as -0.5 or 1/3, but got nothing", text
            ) from None
        known = {name: KNOWN_NUMBERS[name] for name in names(text) if name in KNOWN_NUMBERS}
        return evaluate(text, known).data


def in_one_line(text: str) -> str:
    """The text of an expression without the ends of its lines; a ';' stands for one that ends a
    statement.

    >>> in_one_line("h = (a +\\n  b)\\nh**2\\n")
    'h = (a + b); h**2'
    """
    signs = list(text)
    for position in Parser(text).line_ends:
        signs[position] = "; "
    return " ".join("".join(signs).split()).removesuffix(";")


def _named(x: Any, name: str, leaves: Mapping[Value, str]) -> Any:
    """What a statement has computed, with its name as a label where it has none yet, and where
    that is not the name of what was given."""
    if name in leaves.values():
        return x
    if isinstance(x, list):
        each = enumerate(x)
        return [y if y._constant else _named(y, f"{name}[{i}]", leaves) for i, y in each]
    if isinstance(x, Value):
        if x._constant:
            return Value(x._data, name)
        if not x.label and x not in leaves:
            x.label = name
    return x


def _check_values(program: Program, values: Mapping[str, Number]) -> None:
    missing = [name for name in program.places if name not in values]
    unused = []
    for name in values:
        if name in program.scope and name not in program.places:
            unused.append(f"'{short(name)}', which it computes")
        elif name not in program.places:
            close = get_close_matches(name, missing or program.places, n=1)
            hint = f" (did you mean {short(close[0])}?)" if close else ""
            unused.append(f"'{short(name)}'{hint}")
    complaints = []
    if missing:
        hint = HINTS.get(missing[0], "") if len(missing) == 1 else ""
        if missing[0] in program.scope:
            hint = " (it is computed only later)"
        complaints.append(f"no value is given for {listed([*map(short, missing)])}{hint}")
    if unused:
        complaints.append(f"the expression does not use {listed(unused, room=80)}")
    if complaints:
        position = program.places[missing[0]] if missing else None
        raise ExpressionError(", and ".join(complaints), program.text, position)
