"""The table of operations: one entry holds everything that the project knows of one of them.

With this module you can

- compute an operation on floats, as IEEE 754 has it: ``OPERATIONS["log"].forward(0.0)`` is -inf;
- run the rule of its derivative on floats, on `Value`s or on text: `Operation.partials`;
- make the two operations that carry a constant: ``power(3)`` and ``clip(0, 1)``;
- make those that take any number of operands: ``of_many("maximum", 3)``.

A rule is called as ``partials(m, out, *operands)`` and returns one partial derivative for each
operand. It is written with plain operators, and with the functions of ``m``, the *algebra* that the
rule runs in: `FLOATS` below for numbers, another one for `Value`s (`microgrant.engine`), a third
for text (`microgrant.ops.words`). So each derivative stands in this file once. Beside operations an
algebra has `where(condition, yes, no)`, and `alike`, which is `where` between two forms of one
function. Where the form that computes well is not the one that textbooks print, the entry has a
second, `textbook`, which is shown to people; where its own derivative would lose digits, another,
`further`, for derivatives of derivatives. The tests hold them against each other.
"""

from __future__ import annotations

import math
import operator
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from functools import partial as bind
from types import SimpleNamespace
from typing import Any, TypeAlias

from . import vectors
from .numbers import number

__all__ = ["FLOATS", "MANY", "OPERATIONS", "Operation", "Rule", "clip", "of_many", "power"]

inf, nan = math.inf, math.nan

Rule: TypeAlias = Callable[..., tuple[Any, ...]]
"""``partials(m, out, *operands)``: one partial derivative for each operand."""

# How tightly an operation binds when it is spelled, from loose to tight.
SUM, PRODUCT, NEGATION, POWER, CALL = range(1, 6)


@dataclass(frozen=True, eq=False)
class Operation:
    """One entry of the table.

    name: what it is called: the key of `OPERATIONS`, and the function of an algebra.
    forward: its value, from floats to a float. Total: it answers where IEEE 754 has an answer.
    partials: the rule of its partial derivatives, one for each operand.
    domain: for each operand an interval of points at which it is smooth, for tests to draw from.
    symbol: its sign in a drawing and in ``Value._op``; the name, unless given.
    textbook: the rule as a lecture writes it, where that differs from `partials`.
    further: the rule that is itself differentiated, where `partials` would lose digits by that.
    spelling: how a target ("text", "python", "latex", "javascript") writes its value, with ``{0}``
        and ``{1}`` for the operands; in text and Python a missing one is spelled as a call.
    native: how a processor computes it: an instruction of LLVM's, or a rule ``(m, *operands)`` that
        makes it of such.
    precedence: how tightly that spelling binds.
    constants: the constants of an operation that carries some, as `power(3)` carries 3.
    """

    name: str
    forward: Callable[..., float]
    partials: Rule
    domain: tuple[tuple[float, float], ...] = ((-3.0, 3.0),)
    symbol: str = ""
    textbook: Rule | None = None
    further: Rule | None = None
    spelling: Mapping[str, str] = field(default_factory=dict)
    precedence: int = CALL
    constants: tuple[float, ...] = ()
    native: str | Callable[..., Any] = ""

    def __post_init__(self) -> None:
        if not self.symbol:
            object.__setattr__(self, "symbol", self.name)

    @property
    def arity(self) -> int:
        """How many operands it takes."""
        return len(self.domain)

    def __repr__(self) -> str:
        constants = ", ".join(map(repr, self.constants))
        return f"<operation {self.name}({constants})>" if constants else f"<operation {self.name}>"

    def __copy__(self) -> Operation:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation:
        return self

    def __reduce__(self) -> tuple[Callable[..., Operation], tuple[Any, ...]]:
        """An operation is saved by its name: functions cannot be saved, and need not be."""
        if self.name in MANY:
            return of_many, (self.name, self.arity)
        if self.name in FAMILIES:
            return FAMILIES[self.name], self.constants
        if OPERATIONS.get(self.name) is not self:
            raise pickle.PicklingError(
                f"the operation {self.name!r} is one of your own, and pickle cannot find it by "
                "name: save the data of the leaves, and record the graph again"
            )
        return lookup, (self.name,)


# --- Forward functions, total where Python's math module raises -------------------------------


def divide(a: float, b: float) -> float:
    try:
        return a / b
    except ZeroDivisionError:
        return nan if a == 0 or a != a else math.copysign(inf, a) * math.copysign(1.0, b)


def raise_to(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        magnitude = inf
    except ValueError:  # zero to a negative power, or a negative base to a fraction
        magnitude = inf if a == 0 else nan
    odd = math.isfinite(b) and abs(math.fmod(b, 2)) == 1
    negative = odd and math.copysign(1.0, a) < 0
    return -magnitude if negative else magnitude


def exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return inf


def expm1(x: float) -> float:
    try:
        return math.expm1(x)
    except OverflowError:
        return inf


def log(x: float) -> float:
    return math.log(x) if x > 0 else -inf if x == 0 else nan


def log1p(x: float) -> float:
    return math.log1p(x) if x > -1 else -inf if x == -1 else nan


def sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else nan


def sin(x: float) -> float:
    return math.sin(x) if math.isfinite(x) else nan


def cos(x: float) -> float:
    return math.cos(x) if math.isfinite(x) else nan


def sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = exp(x)  # written with the exponential that cannot overflow
    return e / (1.0 + e)


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x))) if x == x else nan


def relu(x: float) -> float:
    return 0.0 if x < 0 else x  # nan is not below 0, and stays


def maximum(a: float, b: float) -> float:
    return b if b > a or b != b else a


def minimum(a: float, b: float) -> float:
    return b if b < a or b != b else a


# --- Parts of rules: derivatives with cases ---------------------------------------------------
# What is left in the end is nan, which is neither above nor below. There the result is nan, and
# `out` says so in derivatives of every order.


def step(m: Any, x: Any, out: Any) -> Any:
    return m.alike(x > 0, 1.0, m.alike(x <= 0, 0.0, out))


def sign(m: Any, x: Any, out: Any) -> Any:
    return m.alike(x > 0, 1.0, m.alike(x < 0, -1.0, m.alike(x == 0, 0.0, out)))


def share(m: Any, a: Any, b: Any, out: Any) -> Any:
    """What the larger operand gets: all, nothing, or half at a tie."""
    return m.alike(a > b, 1.0, m.alike(a < b, 0.0, m.alike(a <= b, 0.5, out)))


def textbook_share(m: Any, a: Any, b: Any) -> Any:
    return m.where(a > b, 1.0, m.where(a < b, 0.0, 0.5))


def not_negative(m: Any, x: Any, out: Any) -> Any:
    """x itself, where a logarithm has a derivative, or else the logarithm, nan."""
    return m.where(x >= 0, x, out)


def tanh_slope(m: Any, out: Any, x: Any) -> Any:
    # 1 - out² loses every digit where out has rounded to 1.
    return 4.0 * m.sigmoid(2.0 * x) * m.sigmoid(-2.0 * x)


def further_tanh(m: Any, out: Any, x: Any) -> tuple[Any]:
    # Near 0, the derivative of that is a difference which loses the digits of -2x.
    square = out * out
    return (m.alike(square < 0.5, 1.0 - square, tanh_slope(m, out, x)),)


def further_sigmoid(m: Any, out: Any, x: Any) -> tuple[Any]:
    half = m.tanh(0.5 * x)  # out is (1 + half) / 2
    square = half * half
    return (m.alike(square < 0.5, 0.25 - 0.25 * square, out * m.sigmoid(-x)),)


def power_rule(m: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    # Below 0.5, b - 1 is rounded, which shows where the base is very large or small.
    extreme = (a == 0) | (m.abs(a) == inf) | (b == -inf)
    plain = (b >= 0.5) | (extreme & (out <= inf))
    by_a = m.alike(plain, b * m.pow(a, b - 1), m.div(b * out, a))
    # Where the function is flat, 0·a⁻¹ and out·log(0) would be nan.
    return m.where(b == 0, 0.0, by_a), m.where((a == 0) & (b >= 0), 0.0, out * m.log(a))


def further_power(m: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    zero = a == 0
    # 0ᵇ·log(0) is 0·inf. Near 0, -log(a) grows without end, but more slowly than any power of 1/a:
    # a power in its place, small enough, has the limits of all further derivatives.
    by_b = m.where(zero & (b > 0), -m.pow(a, b * (1 - 2.0**-40)), out * m.log(a))
    # Of the b in b·0ᵇ⁻¹, which is 0 or inf, only the sign counts; inf - inf must not come of it.
    # And the slope of a root at 0 is inf, as that of 0ᵇ⁻¹ is by b, from 1 on.
    times = m.where(zero & (b < 2), m.where(b > 0, 1.0, -1.0), b)
    by_a = m.where(zero & (b == 1), b - m.sqrt(b - 1), times) * m.pow(a, b - 1)
    # At (0, 0) both are 0, as in PyTorch; what follows from there is inf or nan.
    origin = zero & (b == 0)
    by_a = m.alike(out <= inf, by_a, out)  # nan, also where b - 1 is rounded to a whole number
    return m.where(origin, m.sqrt(b) * out, by_a), m.where(origin, m.sqrt(a + b), by_b)


# --- Forward functions for whole vectors, which cannot branch ---------------------------------


def native_sigmoid(m: Any, x: Any) -> Any:
    e = m.exp(-m.abs(x))
    upper = m.div(1.0, 1.0 + e)
    return m.where(x >= 0, upper, e * upper)


def native_softplus(m: Any, x: Any) -> Any:
    return m.where(x > 0, x, 0.0) + m.log1p(m.exp(-m.abs(x)))


def native_tanh(m: Any, x: Any) -> Any:
    t = m.expm1(-2.0 * m.abs(x))
    return m.copysign(m.div(t, t + 2.0), x)


def native_power(m: Any, x: Any, exponent: float) -> Any:
    """By multiplication where that rounds twice or less, and by the square root for halves."""
    if exponent in (-1, -2):
        return native_power(m, m.div(1.0, x), -exponent)
    if exponent == -0.5:
        return m.div(1.0, native_power(m, x, 0.5))
    if exponent == 0.5:  # the power of -0 is 0, and that of -inf is inf
        return m.where(x == -inf, inf, m.sqrt(x + 0.0))
    if exponent in (1, 2, 3, 4):
        square = x * x
        return (x, square, square * x, square * square)[int(exponent) - 1]
    return m.pow(x, exponent)


# --- The table --------------------------------------------------------------------------------

TINY = 0.05  # keeps sample points off a kink or a pole
ANY, POSITIVE, LEFT, RIGHT = (-3.0, 3.0), (TINY, 3.0), (-3.0, -TINY), (TINY, 3.0)


def _spelled(
    *, latex: str, text: str = "", python: str = "", javascript: str = ""
) -> dict[str, str]:
    """How each target writes an operation: in text and Python as a call, unless given; in
    JavaScript as in Python, where nothing else is said."""
    given = {"text": text, "python": python, "latex": latex, "javascript": javascript or python}
    return {target: template for target, template in given.items() if template}


_TABLE = (
    Operation(
        name="add",
        symbol="+",
        forward=lambda a, b: a + b,
        partials=lambda m, out, a, b: (1.0, 1.0),
        domain=(ANY, ANY),
        spelling=_spelled(text="{0} + {1}", python="{0} + {1}", latex="{0} + {1}"),
        precedence=SUM,
        native="fadd",
    ),
    Operation(
        name="sub",
        symbol="-",
        forward=lambda a, b: a - b,
        partials=lambda m, out, a, b: (1.0, -1.0),
        domain=(ANY, ANY),
        spelling=_spelled(text="{0} − {1}", python="{0} - {1}", latex="{0} - {1}"),
        precedence=SUM,
        native="fsub",
    ),
    Operation(
        name="mul",
        symbol="*",
        forward=lambda a, b: a * b,
        partials=lambda m, out, a, b: (b, a),
        domain=(ANY, ANY),
        spelling=_spelled(text="{0} × {1}", python="{0} * {1}", latex=r"{0} \cdot {1}"),
        precedence=PRODUCT,
        native="fmul",
    ),
    Operation(
        name="div",
        symbol="/",
        forward=divide,
        partials=lambda m, out, a, b: (m.div(1.0, b), -m.div(out, b)),
        domain=(ANY, RIGHT),
        spelling=_spelled(text="{0} / {1}", python="{0} / {1}", latex=r"\frac{{{0}}}{{{1}}}"),
        precedence=PRODUCT,
        native="fdiv",
    ),
    Operation(
        name="neg",
        forward=lambda x: -x,
        partials=lambda m, out, x: (-1.0,),
        spelling=_spelled(text="−{0}", python="-{0}", latex="-{0}"),
        precedence=NEGATION,
        native="fneg",
    ),
    Operation(
        name="pow",
        symbol="**",
        forward=raise_to,
        partials=power_rule,
        textbook=lambda m, out, a, b: (b * m.pow(a, b - 1), out * m.log(a)),
        further=further_power,
        domain=(POSITIVE, ANY),
        spelling=_spelled(
            text="{0}^{1}",
            python="{0} ** {1}",
            latex="{{{0}}}^{{{1}}}",
            # It differs from C, and so from us, in what 1 and -1 to the power of nan and inf are.
            javascript="({0} === 1 || ({0} === -1 && Math.abs({1}) === Infinity)"
            " ? 1 : Math.pow({0}, {1}))",
        ),
        precedence=POWER,
        native="llvm.pow",
    ),
    Operation(
        name="exp",
        forward=exp,
        partials=lambda m, out, x: (out,),
        spelling=_spelled(latex="e^{{{0}}}", javascript="Math.exp({0})"),
        native=vectors.exp,
    ),
    Operation(
        name="log",
        forward=log,
        partials=lambda m, out, x: (m.div(1.0, not_negative(m, x, out)),),
        textbook=lambda m, out, x: (m.div(1.0, x),),
        domain=(POSITIVE,),
        spelling=_spelled(latex=r"\ln\left({0}\right)", javascript="Math.log({0})"),
        native=vectors.log,
    ),
    Operation(
        name="log1p",
        forward=log1p,
        partials=lambda m, out, x: (m.div(1.0, not_negative(m, 1.0 + x, out)),),
        textbook=lambda m, out, x: (m.div(1.0, 1.0 + x),),
        domain=((-0.9, 3.0),),
        spelling=_spelled(latex=r"\ln\left(1 + {0}\right)", javascript="Math.log1p({0})"),
        native=vectors.log1p,
    ),
    Operation(
        name="expm1",
        forward=expm1,
        partials=lambda m, out, x: (m.exp(x),),
        textbook=lambda m, out, x: (out + 1.0,),
        spelling=_spelled(latex=r"\left(e^{{{0}}} - 1\right)", javascript="Math.expm1({0})"),
        native=vectors.expm1,
    ),
    Operation(
        name="sqrt",
        forward=sqrt,
        partials=lambda m, out, x: (m.div(0.5, out),),
        textbook=lambda m, out, x: (m.div(1.0, 2.0 * out),),
        domain=(POSITIVE,),
        spelling=_spelled(latex=r"\sqrt{{{0}}}", javascript="Math.sqrt({0})"),
        native="llvm.sqrt",
    ),
    Operation(
        name="sin",
        forward=sin,
        partials=lambda m, out, x: (m.cos(x),),
        spelling=_spelled(latex=r"\sin\left({0}\right)", javascript="Math.sin({0})"),
        native="llvm.sin",
    ),
    Operation(
        name="cos",
        forward=cos,
        partials=lambda m, out, x: (-m.sin(x),),
        spelling=_spelled(latex=r"\cos\left({0}\right)", javascript="Math.cos({0})"),
        native="llvm.cos",
    ),
    # tanh′ = 1 − out² and σ′ = out·(1 − out) lose every digit where out has rounded to 1.
    Operation(
        name="tanh",
        forward=math.tanh,
        partials=lambda m, out, x: (4.0 * m.sigmoid(2.0 * x) * m.sigmoid(-2.0 * x),),
        textbook=lambda m, out, x: (1.0 - out * out,),
        further=further_tanh,
        spelling=_spelled(latex=r"\tanh\left({0}\right)", javascript="Math.tanh({0})"),
        native=native_tanh,
    ),
    Operation(
        name="sigmoid",
        forward=sigmoid,
        partials=lambda m, out, x: (out * m.sigmoid(-x),),
        textbook=lambda m, out, x: (out * (1.0 - out),),
        further=further_sigmoid,
        spelling=_spelled(
            latex=r"\sigma\left({0}\right)",
            javascript="({0} >= 0 ? 1 / (1 + Math.exp(-{0}))"
            " : Math.exp({0}) / (1 + Math.exp({0})))",
        ),
        native=native_sigmoid,
    ),
    Operation(
        name="softplus",
        forward=softplus,
        partials=lambda m, out, x: (m.sigmoid(x),),
        spelling=_spelled(
            latex=r"\ln\left(1 + e^{{{0}}}\right)",
            javascript="(({0} > 0 ? {0} : 0) + Math.log1p(Math.exp(-Math.abs({0}))))",
        ),
        native=native_softplus,
    ),
    Operation(
        name="relu",
        symbol="ReLU",
        forward=relu,
        partials=lambda m, out, x: (step(m, x, out),),
        textbook=lambda m, out, x: (m.where(x > 0, 1.0, 0.0),),
        domain=(RIGHT,),
        spelling=_spelled(
            latex=r"\operatorname{{ReLU}}\left({0}\right)", javascript="({0} < 0 ? 0 : {0})"
        ),
        native=lambda m, x: m.where(x < 0, 0.0, x),
    ),
    Operation(
        name="abs",
        forward=abs,
        partials=lambda m, out, x: (sign(m, x, out),),
        textbook=lambda m, out, x: (m.where(x > 0, 1.0, m.where(x < 0, -1.0, 0.0)),),
        domain=(LEFT,),
        spelling=_spelled(
            text="|{0}|", python="abs({0})", latex=r"\left|{0}\right|", javascript="Math.abs({0})"
        ),
        native="llvm.fabs",
    ),
    Operation(
        name="maximum",
        symbol="max",
        forward=maximum,
        partials=lambda m, out, a, b: (share(m, a, b, out), share(m, b, a, out)),
        textbook=lambda m, out, a, b: (textbook_share(m, a, b), textbook_share(m, b, a)),
        domain=(LEFT, RIGHT),
        spelling=_spelled(
            latex=r"\max\left({0}, {1}\right)",
            javascript="({1} > {0} || {1} !== {1} ? {1} : {0})",
        ),
        native=lambda m, a, b: m.where((b > a) | (b != b), b, a),
    ),
    Operation(
        name="minimum",
        symbol="min",
        forward=minimum,
        partials=lambda m, out, a, b: (share(m, b, a, out), share(m, a, b, out)),
        textbook=lambda m, out, a, b: (textbook_share(m, b, a), textbook_share(m, a, b)),
        domain=(LEFT, RIGHT),
        spelling=_spelled(
            latex=r"\min\left({0}, {1}\right)",
            javascript="({1} < {0} || {1} !== {1} ? {1} : {0})",
        ),
        native=lambda m, a, b: m.where((b < a) | (b != b), b, a),
    ),
)

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _TABLE}
"""The operations without constants, by name."""


def lookup(name: str) -> Operation:
    """An entry of the table by its name; a KeyError for a name that it does not have."""
    return OPERATIONS[name]


def power(exponent: float) -> Operation:
    """x ** exponent, for a constant exponent.

    >>> power(3.0).forward(2.0), power(3.0).partials(FLOATS, 8.0, 2.0)
    (8.0, (12.0,))
    """
    return _power(float(exponent) + 0.0)  # the power of -0 is that of 0: one operation


@lru_cache(maxsize=1024)
def _power(exponent: float) -> Operation:
    lower = exponent - 1
    rounded = lower + 1 != exponent and math.isfinite(exponent)

    def plain(m: Any, out: Any, x: Any) -> tuple[Any]:
        return (exponent * m.pow(x, lower),)

    def partials(m: Any, out: Any, x: Any) -> tuple[Any]:
        if exponent == 0:
            return (0.0,)  # at 0 as well, where 0·0⁻¹ would be nan
        if exponent == 1:
            return (1.0,)
        if exponent == 2:
            return (2.0 * x,)
        if not rounded:
            return plain(m, out, x)
        lost = (x == 0) | (m.abs(x) == inf)
        return (m.alike(lost, exponent * m.pow(x, lower), m.div(exponent * out, x)),)

    shown = number(exponent)
    javascript = f"Math.pow({{0}}, {_javascript(exponent)})"
    if not math.isfinite(exponent):
        javascript = OPERATIONS["pow"].spelling["javascript"].format("{0}", _javascript(exponent))
    spelling = _spelled(
        text="{0}" + _superscript(shown),
        python=f"{{0}} ** {exponent!r}",
        latex=f"{{{{{{0}}}}}}^{{{{{_latex(exponent)}}}}}",
        javascript=javascript,
    )
    return Operation(
        name="power",
        symbol=f"**{repr(exponent).removesuffix('.0')}",
        forward=lambda x: raise_to(x, exponent),
        partials=partials,
        textbook=plain if rounded else None,
        further=plain if rounded else None,
        domain=(POSITIVE,),
        spelling=spelling,
        precedence=POWER,
        constants=(exponent,),
        native=lambda m, x: native_power(m, x, exponent),
    )


READABLE = 4  # operands of which one can read how they share
MANY = {"maximum": (">", operator.ge, operator.lt), "minimum": ("<", operator.le, operator.gt)}
"""The operations that take any number of operands: for each the sign that says which of two it
chooses, and the relations to the result of those that are chosen, and of the others."""


@lru_cache(maxsize=256)
def of_many(name: str, count: int) -> Operation:
    """The operation of `MANY` with this name for so many operands; that for two is the table's.

    All that are equal to the result get equal shares.

    >>> of_many("maximum", 3).partials(FLOATS, 2.0, 2.0, 1.0, 2.0)
    (0.5, 0.0, 0.5)
    """
    two, (sign, chosen, left) = OPERATIONS[name], MANY[name]
    if count == 2:
        return two

    def shared(m: Any, out: Any, operands: Sequence[Any], rest: Sequence[Any]) -> tuple[Any, ...]:
        most = [chosen(x, out) for x in operands]
        share = m.div(1.0, reduce(operator.add, [m.alike(each, 1.0, 0.0) for each in most]))
        return tuple(map(m.alike, most, [share] * count, rest))

    def partials(m: Any, out: Any, *operands: Any) -> tuple[Any, ...]:
        return shared(m, out, operands, [m.alike(left(x, out), 0.0, out) for x in operands])

    def textbook(m: Any, out: Any, *operands: Any) -> tuple[Any, ...]:
        if count <= READABLE:
            return shared(m, out, operands, [0.0] * count)
        return tuple(m.alike(chosen(x, out), 1.0, 0.0) for x in operands)  # where there is no tie

    places = [f"{{{place}}}" for place in range(count)]
    listed = ", ".join(places)
    return Operation(
        name=name,
        symbol=two.symbol,
        forward=lambda *numbers: reduce(two.forward, numbers),
        partials=partials,
        textbook=textbook,
        domain=(*[LEFT] * (count - 1), RIGHT),
        spelling=_spelled(
            latex=rf"\{two.symbol}\left({listed}\right)",
            python=reduce(lambda a, b: f"{name}({a}, {b})", places),
            javascript=f"[{listed}].reduce((a, b) => (b {sign} a || b !== b ? b : a))",
        ),
        native=lambda m, *operands: reduce(getattr(m, name), operands),
    )


def clip(low: float, high: float) -> Operation:
    """x kept between two constants; the derivative is 1 from bound to bound, both included.

    >>> clip(0.0, 1.0).forward(1.5), clip(0.0, 1.0).partials(FLOATS, 1.0, 1.0)
    (1.0, (1.0,))
    """
    low, high = float(low), float(high)
    if low and high:
        return _clip(low, high)
    # 0.0 and -0.0 are one key, and two bounds: the signs tell them apart.
    return _clip(low, high, math.copysign(1.0, low), math.copysign(1.0, high))


@lru_cache(maxsize=1024)
def _clip(low: float, high: float, *signs: float) -> Operation:
    def forward(x: float) -> float:
        return low if x < low else high if x > high else x

    def partials(m: Any, out: Any, x: Any) -> tuple[Any]:
        return (m.alike(x < low, 0.0, m.alike(x > high, 0.0, m.alike(x <= high, 1.0, out))),)

    def textbook(m: Any, out: Any, x: Any) -> tuple[Any]:
        return (m.where(x < low, 0.0, m.where(x > high, 0.0, 1.0)),)

    text, latex = (f"{write(low)}, {write(high)}" for write in (number, _latex))
    low_, high_ = _javascript(low), _javascript(high)
    margin = TINY * (high - low) if math.isfinite(high - low) else TINY
    return Operation(
        name="clip",
        symbol=f"clip {text}",
        forward=forward,
        partials=partials,
        textbook=textbook,
        domain=((max(low, -3.0) + margin, min(high, 3.0) - margin),),
        spelling=_spelled(
            text=f"clip({{0}}, {text})",
            python=f"clip({{0}}, {low!r}, {high!r})",
            latex=rf"\operatorname{{{{clip}}}}\left({{0}}, {latex}\right)",
            javascript=f"({{0}} < {low_} ? {low_} : {{0}} > {high_} ? {high_} : {{0}})",
        ),
        constants=(low, high),
        native=lambda m, x: m.where(x < low, low, m.where(x > high, high, x)),
    )


def detach() -> Operation:
    """x itself, taken for a constant: no gradient flows back through it.

    It has no place in the table: on purpose, its derivative is not that of its value.

    >>> detach().forward(3.0), detach().partials(FLOATS, 3.0, 3.0)
    (3.0, (0.0,))
    """
    return _DETACH


_DETACH = Operation(
    name="detach",
    forward=lambda x: x,
    partials=lambda m, out, x: (0.0,),
    spelling={"javascript": "({0})"},
    native=lambda m, x: x,
)

FAMILIES: dict[str, Callable[..., Operation]] = {
    "power": power,
    "clip": clip,
    "detach": detach,
    **{name: bind(of_many, name) for name in MANY},
}
"""What makes the operations that do not stand in the table, by their names."""


def _latex(constant: float) -> str:
    return number(constant).replace("−", "-").replace("inf", r"\infty")


def _javascript(constant: float) -> str:
    text = repr(constant).removesuffix(".0")
    return text.replace("inf", "Infinity").replace("nan", "NaN")


def _superscript(exponent: str) -> str:
    if set(exponent) <= set("−0123456789"):
        return exponent.translate(str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "^" + exponent


FLOATS = SimpleNamespace(
    where=lambda condition, yes, no: yes if condition else no,
    alike=lambda condition, yes, no: yes if condition else no,
    **{operation.name: operation.forward for operation in _TABLE},
)
"""The algebra of numbers: the functions that a rule finds in ``m`` when it runs on floats."""
