"""What can be called in an expression, and what to write for what cannot.

With this module you can

- look up what a name calls:        FUNCTIONS["max"], FAMILIES["clip"], OF_A_LIST["softmax"]
- say how a function is written:    usage("atan2") is "atan2(a, b)"
- answer a name that is none:       no_function("arctan") says to write atan(x)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..losses import log_softmax, logsumexp, softmax
from ..ops.table import CALL, OPERATIONS, Operation, clip, elu, leaky_relu
from .errors import listed, short

__all__ = ["CALLED", "FAMILIES", "FUNCTIONS", "MEANT", "NAMES", "OF_A_LIST", "WRITTEN_OUT"]
__all__ += ["no_function", "usage"]

FUNCTIONS: dict[str, Operation] = {
    word: operation
    for operation in OPERATIONS.values()
    if operation.precedence == CALL
    for word in (operation.name, operation.symbol)  # maximum, and also max
} | {"ln": OPERATIONS["log"], "leaky_relu": leaky_relu(0.01), "elu": elu(1.0)}
"""The functions of numbers, by name: the operations that are not written with a sign."""

FAMILIES: dict[str, tuple[Callable[..., Operation], int]] = {
    "clip": (clip, 2),
    "leaky_relu": (leaky_relu, 1),
    "elu": (elu, 1),
}
"""What makes an operation of constants, the last arguments of a call, and how many these are."""

OF_A_LIST: dict[str, Callable[..., Any]] = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
}
"""The functions of a list of numbers."""

NAMES = (*FUNCTIONS, "where", "clip", *OF_A_LIST)
"""The names of all functions."""

CALLED = [word for word in NAMES if word not in FUNCTIONS or word == FUNCTIONS[word].name]
"""The same, each by one of its names."""

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
    "relu6": "min(max(x, 0), 6)", "softsign": "x / (1 + abs(x))", "clamp": "clip(x, 0, 1)",
    "clip_by_value": "clip(x, 0, 1)", "gaussian": "exp(-x ** 2)", "exp10": "10 ** x",
    "cross_entropy": "-log_softmax([a, b])[0]", "ifelse": "where(x > 0, a, b)",
    "iif": "where(x > 0, a, b)",
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
WRITTEN_OUT = {
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


def usage(name: str) -> str:
    """How a function is written.

    >>> usage("atan2"), usage("where"), usage("softmax")
    ('atan2(a, b)', 'where(x > 0, a, b)', 'softmax([a, b])')
    """
    if name in FUNCTIONS:
        return f"{name}({', '.join('abc'[: FUNCTIONS[name].arity])})"
    return {"where": "where(x > 0, a, b)", "clip": "clip(x, 0, 1)"}.get(name, f"{name}([a, b])")


def no_function(name: str) -> str:
    """What to say to who calls a name that is no function.

    >>> no_function("arctan")
    "'arctan' is not a function: write atan(x)"
    """
    if name in OPERATIONS:
        written = OPERATIONS[name].spelling["python"].format("a", "b")
        return f"{name} is written with its sign: {written}"
    wrong, plain = f"'{short(name)}' is not a function", _plain(name)
    if base := LOGARITHM.fullmatch(plain):
        return f"{wrong}: write log(x) / log({base[1]})"
    elsewhere = [word for word in (*MEANT, *WRITTEN_OUT) if word == plain or len(word) > 4]
    near = [word for word in (*NAMES, *elsewhere) if _is_near(plain, _plain(word))]
    # MIN is min, and only then near to sin; tahn has the letters of tanh, and not of tan.
    best = min(
        near if plain not in OTHERS else (),
        key=lambda word: (_plain(word) != plain, word in elsewhere, sorted(word) != sorted(plain)),
        default="",
    )
    if best in MEANT:
        return f"{wrong}: write {MEANT[best]}"
    if best in WRITTEN_OUT:
        return f"{wrong}: write it out, {WRITTEN_OUT[best]}"
    if best:
        return f"{wrong}: did you mean {best}?"
    return f"{wrong} (to multiply, write *); there are {listed(CALLED, room=60)}"


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
