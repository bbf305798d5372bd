"""The table of operations: one entry holds everything that the project knows of one of them.

With this module you can

- compute an operation on floats, as IEEE 754 has it: ``OPERATIONS["log"].forward(0.0)`` is -inf;
- run the rule of its derivative on floats, on `Value`s or on text: `Operation.partials`;
- make those that carry constants: ``power(3)``, ``clip(0, 1)``, ``leaky_relu(0.01)``, ``elu(1)``;
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
from functools import lru_cache, partial as bind, reduce
from types import SimpleNamespace
from typing import Any, TypeAlias

from . import functions, rules, vectors
from .numbers import number, superscript

__all__ = ["FLOATS", "MANY", "OPERATIONS", "Operation", "Rule", "clip", "elu", "leaky_relu"]
__all__ += ["of_many", "power"]

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


def _called(latex: str, javascript: str, operands: int = 1) -> dict[str, str]:
    """How an operation is written that is a call everywhere."""
    listed = ", ".join(f"{{{i}}}" for i in range(operands))
    return _spelled(latex=rf"{latex}\left({listed}\right)", javascript=f"{javascript}({listed})")


# In JavaScript: like `functions.sigmoid`, with the exponential that cannot overflow.
_SIGMOID = "({0} >= 0 ? 1 / (1 + Math.exp(-{0})) : Math.exp({0}) / (1 + Math.exp({0})))"

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
        forward=functions.divide,
        partials=lambda m, out, a, b: (m.div(1.0, b), -m.div(out, b)),
        domain=(ANY, RIGHT),
        spelling=_spelled(text="{0} / {1}", python="{0} / {1}", latex=r"\frac{{{0}}}{{{1}}}"),
        precedence=PRODUCT,
        native="fdiv",
    ),
    Operation(
        name="mod",
        symbol="%",
        forward=functions.modulo,
        partials=lambda m, out, a, b: (
            m.alike(out <= inf, 1.0, out),
            -rules.quotient(m, a, b, out),
        ),
        textbook=lambda m, out, a, b: (1.0, -m.floor(m.div(a, b))),
        domain=((1.3, 1.7), (0.9, 1.2)),
        spelling=_spelled(
            text="{0} % {1}",
            python="{0} % {1}",
            latex=r"{0} \bmod {1}",
            # Its own % has the sign of what is divided.
            javascript="({1} === 0 ? NaN : {0} % {1} === 0 ? ({1} < 0 ? -0 : 0)"
            " : {0} % {1} < 0 === {1} < 0 ? {0} % {1} : {0} % {1} + {1})",
        ),
        precedence=PRODUCT,
        native=rules.native_modulo,
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
        forward=functions.raise_to,
        partials=rules.power_rule,
        textbook=lambda m, out, a, b: (b * m.pow(a, b - 1), out * m.log(a)),
        further=rules.further_power,
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
        forward=functions.exp,
        partials=lambda m, out, x: (out,),
        spelling=_spelled(latex="e^{{{0}}}", javascript="Math.exp({0})"),
        native=vectors.exp,
    ),
    Operation(
        name="log",
        forward=functions.log,
        partials=lambda m, out, x: (m.div(1.0, rules.not_negative(m, x, out)),),
        textbook=lambda m, out, x: (m.div(1.0, x),),
        domain=(POSITIVE,),
        spelling=_called(r"\ln", "Math.log"),
        native=vectors.log,
    ),
    Operation(
        name="log1p",
        forward=functions.log1p,
        partials=lambda m, out, x: (m.div(1.0, rules.not_negative(m, 1.0 + x, out)),),
        textbook=lambda m, out, x: (m.div(1.0, 1.0 + x),),
        domain=((-0.9, 3.0),),
        spelling=_spelled(latex=r"\ln\left(1 + {0}\right)", javascript="Math.log1p({0})"),
        native=vectors.log1p,
    ),
    Operation(
        name="expm1",
        forward=functions.expm1,
        partials=lambda m, out, x: (m.exp(x),),
        textbook=lambda m, out, x: (out + 1.0,),
        spelling=_spelled(latex=r"\left(e^{{{0}}} - 1\right)", javascript="Math.expm1({0})"),
        native=vectors.expm1,
    ),
    Operation(
        name="sqrt",
        forward=functions.sqrt,
        partials=lambda m, out, x: (m.div(0.5, out),),
        textbook=lambda m, out, x: (m.div(1.0, 2.0 * out),),
        domain=(POSITIVE,),
        spelling=_spelled(latex=r"\sqrt{{{0}}}", javascript="Math.sqrt({0})"),
        native="llvm.sqrt",
    ),
    Operation(
        name="sin",
        forward=functions.sin,
        partials=lambda m, out, x: (m.cos(x),),
        spelling=_called(r"\sin", "Math.sin"),
        native="llvm.sin",
    ),
    Operation(
        name="cos",
        forward=functions.cos,
        partials=lambda m, out, x: (-m.sin(x),),
        spelling=_called(r"\cos", "Math.cos"),
        native="llvm.cos",
    ),
    Operation(
        name="log2",
        forward=functions.log2,
        partials=lambda m, out, x: (m.div(1 / math.log(2), rules.not_negative(m, x, out)),),
        textbook=lambda m, out, x: (m.div(1.0, x * math.log(2)),),
        domain=(POSITIVE,),
        spelling=_called(r"\log_{{2}}", "Math.log2"),
        native="llvm.log2",
    ),
    Operation(
        name="log10",
        forward=functions.log10,
        partials=lambda m, out, x: (m.div(1 / math.log(10), rules.not_negative(m, x, out)),),
        textbook=lambda m, out, x: (m.div(1.0, x * math.log(10)),),
        domain=(POSITIVE,),
        spelling=_called(r"\log_{{10}}", "Math.log10"),
        native="llvm.log10",
    ),
    Operation(
        name="exp2",
        forward=functions.exp2,
        partials=lambda m, out, x: (out * math.log(2),),
        spelling=_spelled(latex="2^{{{0}}}", javascript="Math.pow(2, {0})"),
        native="llvm.exp2",
    ),
    Operation(
        name="tan",
        forward=functions.tan,
        partials=lambda m, out, x: (1.0 + out * out,),
        domain=((-1.4, 1.4),),
        spelling=_called(r"\tan", "Math.tan"),
        native=lambda m, x: m.div(m.sin(x), m.cos(x)),
    ),
    Operation(
        name="asin",
        forward=functions.asin,
        partials=lambda m, out, x: (m.div(1.0, m.sqrt(rules.one_minus_square(m, x))),),
        textbook=lambda m, out, x: (m.div(1.0, m.sqrt(1.0 - x * x)),),
        domain=((-0.95, 0.95),),
        spelling=_called(r"\arcsin", "Math.asin"),
        native=lambda m, x: m.atan2(x, m.sqrt((1.0 - x) * (1.0 + x))),
    ),
    Operation(
        name="acos",
        forward=functions.acos,
        partials=lambda m, out, x: (m.div(-1.0, m.sqrt(rules.one_minus_square(m, x))),),
        textbook=lambda m, out, x: (m.div(-1.0, m.sqrt(1.0 - x * x)),),
        domain=((-0.95, 0.95),),
        spelling=_called(r"\arccos", "Math.acos"),
        native=lambda m, x: m.atan2(m.sqrt((1.0 - x) * (1.0 + x)), x),
    ),
    Operation(
        name="atan",
        forward=math.atan,
        partials=lambda m, out, x: (m.div(1.0, 1.0 + x * x),),
        spelling=_called(r"\arctan", "Math.atan"),
        native=lambda m, x: m.atan2(x, 1.0),
    ),
    Operation(
        name="atan2",
        forward=math.atan2,
        partials=lambda m, out, y, x: (
            rules.turning(m, x, m.hypot(x, y), out),
            -rules.turning(m, y, m.hypot(x, y), out),
        ),
        textbook=lambda m, out, y, x: (m.div(x, x * x + y * y), -m.div(y, x * x + y * y)),
        domain=(ANY, RIGHT),
        spelling=_called(r"\operatorname{{atan2}}", "Math.atan2", operands=2),
        native=vectors.atan2,
    ),
    Operation(
        name="sinh",
        forward=functions.sinh,
        partials=lambda m, out, x: (m.cosh(x),),
        spelling=_called(r"\sinh", "Math.sinh"),
        native=rules.native_sinh,
    ),
    Operation(
        name="cosh",
        forward=functions.cosh,
        partials=lambda m, out, x: (m.sinh(x),),
        spelling=_called(r"\cosh", "Math.cosh"),
        native=rules.native_cosh,
    ),
    # tanh′ = 1 − out² and σ′ = out·(1 − out) lose every digit where out has rounded to 1.
    Operation(
        name="tanh",
        forward=math.tanh,
        partials=lambda m, out, x: (rules.tanh_slope(m, x),),
        textbook=lambda m, out, x: (1.0 - out * out,),
        further=rules.further_tanh,
        spelling=_called(r"\tanh", "Math.tanh"),
        native=vectors.tanh,
    ),
    Operation(
        name="asinh",
        forward=math.asinh,
        partials=lambda m, out, x: (m.div(1.0, m.hypot(1.0, x)),),
        textbook=lambda m, out, x: (m.div(1.0, m.sqrt(1.0 + x * x)),),
        spelling=_called(r"\operatorname{{arsinh}}", "Math.asinh"),
        native=rules.native_asinh,
    ),
    Operation(
        name="acosh",
        forward=functions.acosh,
        partials=lambda m, out, x: (rules.acosh_slope(m, x, out),),
        textbook=lambda m, out, x: (m.div(1.0, m.sqrt(x * x - 1.0)),),
        domain=((1.1, 3.0),),
        spelling=_called(r"\operatorname{{arcosh}}", "Math.acosh"),
        native=rules.native_acosh,
    ),
    Operation(
        name="atanh",
        forward=functions.atanh,
        partials=lambda m, out, x: (
            m.alike(m.abs(x) <= 1, m.div(1.0, rules.one_minus_square(m, x)), out),
        ),
        textbook=lambda m, out, x: (m.div(1.0, 1.0 - x * x),),
        domain=((-0.95, 0.95),),
        spelling=_called(r"\operatorname{{artanh}}", "Math.atanh"),
        native=rules.native_atanh,
    ),
    Operation(
        name="erf",
        forward=math.erf,
        partials=lambda m, out, x: (
            m.alike(m.abs(x) >= 40, 0.0, rules.BELL * rules.bell(m, x, 1.0)),
        ),
        textbook=lambda m, out, x: (rules.BELL * m.exp(-(x * x)),),
        domain=((-2.0, 2.0),),
        spelling=_called(r"\operatorname{{erf}}", "erf"),
        native=vectors.erf,
    ),
    Operation(
        name="erfc",
        forward=math.erfc,
        partials=lambda m, out, x: (
            m.alike(m.abs(x) >= 40, -0.0, -rules.BELL * rules.bell(m, x, 1.0)),
        ),
        textbook=lambda m, out, x: (-rules.BELL * m.exp(-(x * x)),),
        domain=((-2.0, 2.0),),
        spelling=_called(r"\operatorname{{erfc}}", "erfc"),
        native=vectors.erfc,
    ),
    Operation(
        name="sigmoid",
        forward=functions.sigmoid,
        partials=lambda m, out, x: (out * m.sigmoid(-x),),
        textbook=lambda m, out, x: (out * (1.0 - out),),
        further=rules.further_sigmoid,
        spelling=_spelled(
            latex=r"\sigma\left({0}\right)",
            javascript=_SIGMOID,
        ),
        native=rules.native_sigmoid,
    ),
    Operation(
        name="softplus",
        forward=functions.softplus,
        partials=lambda m, out, x: (m.sigmoid(x),),
        spelling=_spelled(
            latex=r"\ln\left(1 + e^{{{0}}}\right)",
            javascript="(({0} > 0 ? {0} : 0) + Math.log1p(Math.exp(-Math.abs({0}))))",
        ),
        native=rules.native_softplus,
    ),
    Operation(
        name="relu",
        symbol="ReLU",
        forward=functions.relu,
        partials=lambda m, out, x: (rules.step(m, x, out),),
        textbook=lambda m, out, x: (m.where(x > 0, 1.0, 0.0),),
        domain=(RIGHT,),
        spelling=_spelled(
            latex=r"\operatorname{{ReLU}}\left({0}\right)", javascript="({0} < 0 ? 0 : {0})"
        ),
        native=lambda m, x: m.where(x < 0, 0.0, x),
    ),
    Operation(
        name="normal_cdf",
        symbol="Φ",
        forward=lambda x: rules.normal_cdf(FLOATS, x),
        partials=lambda m, out, x: (rules.normal_density(m, x),),
        textbook=lambda m, out, x: (rules.NORMAL_BELL * m.exp(-0.5 * (x * x)),),
        domain=((-2.0, 2.0),),
        spelling=_spelled(
            latex=r"\Phi\left({0}\right)",
            javascript=f"(0.5 * erfc({-rules.ROOT_OF_HALF!r} * {{0}}))",
        ),
        native=rules.normal_cdf,
    ),
    Operation(
        name="gelu",
        symbol="GELU",
        forward=lambda x: rules.gelu(FLOATS, x),
        partials=lambda m, out, x: (rules.gelu_slope(m, x, out),),
        textbook=lambda m, out, x: (
            m.normal_cdf(x) + rules.NORMAL_BELL * x * m.exp(-0.5 * (x * x)),
        ),
        domain=((-2.0, 2.0),),
        spelling=_spelled(
            latex=r"\operatorname{{GELU}}\left({0}\right)",
            javascript=f"({{0}} < -40 ? -0 : {{0}} * 0.5 * erfc({-rules.ROOT_OF_HALF!r} * {{0}}))",
        ),
        native=rules.gelu,
    ),
    Operation(
        name="silu",
        symbol="SiLU",
        forward=lambda x: rules.silu(FLOATS, x),
        partials=lambda m, out, x: (rules.silu_slope(m, x, out),),
        textbook=lambda m, out, x: (m.sigmoid(x) * (1.0 + x * (1.0 - m.sigmoid(x))),),
        spelling=_spelled(
            latex=r"\operatorname{{SiLU}}\left({0}\right)",
            javascript=f"({{0}} < -800 ? -0 : {{0}} * {_SIGMOID})",
        ),
        native=rules.silu,
    ),
    Operation(
        name="abs",
        forward=abs,
        partials=lambda m, out, x: (rules.sign(m, x, out),),
        textbook=lambda m, out, x: (m.where(x > 0, 1.0, m.where(x < 0, -1.0, 0.0)),),
        domain=(LEFT,),
        spelling=_spelled(
            text="|{0}|", python="abs({0})", latex=r"\left|{0}\right|", javascript="Math.abs({0})"
        ),
        native="llvm.fabs",
    ),
    Operation(
        name="sign",
        forward=functions.sign,
        partials=lambda m, out, x: (rules.flat(m, x, out),),
        textbook=lambda m, out, x: (0.0,),
        domain=(LEFT,),
        spelling=_spelled(
            latex=r"\operatorname{{sign}}\left({0}\right)", javascript="(Math.sign({0}) + 0)"
        ),
        native=rules.native_sign,
    ),
    Operation(
        name="floor",
        forward=functions.floor,
        partials=lambda m, out, x: (rules.flat(m, x, out),),
        textbook=lambda m, out, x: (0.0,),
        domain=((0.05, 0.95),),
        spelling=_spelled(latex=r"\left\lfloor {0} \right\rfloor", javascript="Math.floor({0})"),
        native="llvm.floor",
    ),
    Operation(
        name="hypot",
        forward=lambda a, b: math.hypot(a, b),
        partials=lambda m, out, a, b: (rules.lean(m, a, b, out), rules.lean(m, b, a, out)),
        textbook=lambda m, out, a, b: (m.div(a, out), m.div(b, out)),
        domain=(LEFT, RIGHT),
        spelling=_called(r"\operatorname{{hypot}}", "Math.hypot", operands=2),
        native=rules.native_hypot,
    ),
    Operation(
        name="maximum",
        symbol="max",
        forward=functions.maximum,
        partials=lambda m, out, a, b: (rules.share(m, a, b, out), rules.share(m, b, a, out)),
        textbook=lambda m, out, a, b: (
            rules.plain_share(m, a, b),
            rules.plain_share(m, b, a),
        ),
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
        forward=functions.minimum,
        partials=lambda m, out, a, b: (rules.share(m, b, a, out), rules.share(m, a, b, out)),
        textbook=lambda m, out, a, b: (
            rules.plain_share(m, b, a),
            rules.plain_share(m, a, b),
        ),
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
        text="{0}" + superscript(shown),
        python=f"{{0}} ** {exponent!r}",
        latex=f"{{{{{{0}}}}}}^{{{{{_latex(exponent)}}}}}",
        javascript=javascript,
    )
    return Operation(
        name="power",
        symbol=f"**{repr(exponent).removesuffix('.0')}",
        forward=lambda x: functions.raise_to(x, exponent),
        partials=partials,
        textbook=plain if rounded else None,
        further=plain if rounded else None,
        domain=(POSITIVE,),
        spelling=spelling,
        precedence=POWER,
        constants=(exponent,),
        native=lambda m, x: rules.native_power(m, x, exponent),
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

    A ValueError says so where low is not below high, nor equal to it.

    >>> clip(0.0, 1.0).forward(1.5), clip(0.0, 1.0).partials(FLOATS, 1.0, 1.0)
    (1.0, (1.0,))
    """
    low, high = float(low), float(high)
    if not low <= high:
        raise ValueError(f"clip needs low <= high, but got low={low} and high={high}")
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


def leaky_relu(slope: float) -> Operation:
    """x above 0, and `slope` times x below.

    >>> leaky_relu(0.01).forward(-2.0), leaky_relu(0.01).partials(FLOATS, -0.02, -2.0)
    (-0.02, (0.01,))
    """
    return _leaky_relu(float(slope) + 0.0)


@lru_cache(maxsize=256)
def _leaky_relu(slope: float) -> Operation:
    return Operation(
        name="leaky_relu",
        symbol="LeakyReLU" if slope == 0.01 else f"LeakyReLU {number(slope)}",
        forward=lambda x: x if x > 0 or x != x else slope * x,
        partials=lambda m, out, x: (m.alike(x > 0, 1.0, m.alike(x <= 0, slope, out)),),
        textbook=lambda m, out, x: (m.where(x > 0, 1.0, slope),),
        domain=(LEFT,),
        spelling=_spelled(
            text=f"leaky_relu({{0}}, {number(slope)})",
            python=f"leaky_relu({{0}}, {slope!r})",
            latex=rf"\operatorname{{{{LeakyReLU}}}}\left({{0}}, {_latex(slope)}\right)",
            javascript=f"({{0}} > 0 ? {{0}} : {_javascript(slope)} * {{0}})",
        ),
        constants=(slope,),
        native=lambda m, x: m.where(x > 0, x, slope * x),
    )


def elu(alpha: float) -> Operation:
    """x above 0, and alpha·(exp(x) − 1) below.

    >>> elu(1.0).forward(2.0), elu(1.0).partials(FLOATS, 2.0, 2.0)
    (2.0, (1.0,))
    """
    return _elu(float(alpha) + 0.0)


@lru_cache(maxsize=256)
def _elu(alpha: float) -> Operation:
    return Operation(
        name="elu",
        symbol="ELU" if alpha == 1 else f"ELU {number(alpha)}",
        forward=lambda x: x if x > 0 else alpha * functions.expm1(x),
        partials=lambda m, out, x: (m.alike(x > 0, 1.0, alpha * m.exp(x)),),
        textbook=lambda m, out, x: (m.where(x > 0, 1.0, out + alpha),),
        domain=(LEFT,),
        spelling=_spelled(
            text=f"elu({{0}}, {number(alpha)})",
            python=f"elu({{0}}, {alpha!r})",
            latex=rf"\operatorname{{{{ELU}}}}\left({{0}}, {_latex(alpha)}\right)",
            javascript=f"({{0}} > 0 ? {{0}} : {_javascript(alpha)} * Math.expm1({{0}}))",
        ),
        constants=(alpha,),
        native=lambda m, x: m.where(x > 0, x, alpha * m.expm1(x)),
    )


DETACH: Operation = Operation(
    name="detach",
    forward=lambda x: x,
    partials=lambda m, out, x: (0.0,),
    spelling={"javascript": "({0})"},
    native=lambda m, x: x,
)
"""x itself, taken for a constant: no gradient flows back through it.

That is not 0 times the upstream, which may be inf: what applies the chain rule asks for this.
It has no place in the table: on purpose, its derivative is not that of its value.

>>> DETACH.forward(3.0), DETACH.partials(FLOATS, 3.0, 3.0)
(3.0, (0.0,))
"""


def detach() -> Operation:
    """`DETACH`: the only one of its family, which pickle finds by this."""
    return DETACH


FAMILIES: dict[str, Callable[..., Operation]] = {
    "power": power,
    "clip": clip,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "detach": detach,
    **{name: bind(of_many, name) for name in MANY},
}
"""What makes the operations that do not stand in the table, by their names."""


def is_own(operation: Operation) -> bool:
    """Whether an operation is one of the user's own: by `define`, or computed by hand.

    >>> is_own(OPERATIONS["tanh"]), is_own(clip(0.0, 1.0))
    (False, False)
    """
    of_family = operation.name in FAMILIES and operation.__class__ is Operation
    return not of_family and operation is not OPERATIONS.get(operation.name)


def _latex(constant: float) -> str:
    return number(constant).replace("−", "-").replace("inf", r"\infty")


def _javascript(constant: float) -> str:
    text = repr(constant).removesuffix(".0")
    return text.replace("inf", "Infinity").replace("nan", "NaN")


FLOATS: SimpleNamespace = SimpleNamespace(
    where=lambda condition, yes, no: yes if condition else no,
    alike=lambda condition, yes, no: yes if condition else no,
    **{operation.name: operation.forward for operation in _TABLE},
)
"""The algebra of numbers: the functions that a rule finds in ``m`` when it runs on floats."""
