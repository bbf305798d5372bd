"""Run a rule of the table on names instead of numbers, and write the result down.

With this module you can

- ask for a derivative in words: ``derivative("tanh", "out", ["x"])[0]`` is ``1 − out²``;
- have the same in LaTeX, Python or JavaScript: ``derivative(..., target="latex")``;
- spell a forward value: ``forward("mul", ["a", "b"])`` is ``a × b``;
- have the functions that its JavaScript calls: ``lacking_in_javascript("erf(x)")``;
- write a number as drawings and tables do: ``number(-0.70710678)`` is ``−0.7071`` (it stands in
  `microgrant.ops.numbers`).

A `Term` is an expression under construction: arithmetic on it makes larger terms, so any rule of
`microgrant.ops` runs on it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TypeAlias

from .numbers import number
from .operators import Operators
from .table import CALL, FLOATS, NEGATION, OPERATIONS, POWER, PRODUCT, SUM, Operation, power

__all__ = ["TARGETS", "TERMS", "Term", "derivative", "forward", "lacking_in_javascript", "number"]
__all__ += ["spell", "spelled"]

TARGETS = ("text", "python", "latex", "javascript")
CASES, LOGIC, COMPARISON = -2, -1, 0  # bind looser than a sum


@dataclass(frozen=True, eq=False)
class Term(Operators["Term | float", "Term", "Term"]):
    """A name, or an operation on terms and numbers. `spell` writes it.

    binding: how tightly a name binds: one that will be replaced by a number binds as that does.
    """

    operation: Operation | str
    operands: tuple[Operand, ...] = ()
    binding: int = CALL

    def _operate(self, operation: str, *operands: Operand) -> Term:
        if operation == "pow":
            return _pow(*operands)
        if operation == "mul" and operands[0] is operands[1]:
            return Term(power(2.0), (self,))  # out·out is written out²
        return Term(OPERATIONS[operation], operands)

    def _compare(self, relation: str, left: Operand, right: Operand) -> Term:
        return Term(relation, (left, right))

    def __and__(self, other: Term) -> Term:
        return Term("and", (self, other))

    def __or__(self, other: Term) -> Term:
        return Term("or", (self, other))


Operand: TypeAlias = Term | float


def _maker(operation: Operation) -> Callable[..., Term]:
    return lambda *operands: Term(operation, operands)


def _pow(base: Operand, exponent: Operand) -> Term:
    """A power whose exponent is a number is spelled with that number: x³ and not x^3."""
    if isinstance(exponent, Term):
        return Term(OPERATIONS["pow"], (base, exponent))
    return Term(power(float(exponent)), (base,))


def _where(condition: Operand, yes: Operand, no: Operand) -> Term:
    return Term("where", (condition, yes, no))


TERMS = SimpleNamespace(
    **{name: _maker(operation) for name, operation in OPERATIONS.items()}
    | {"where": _where, "alike": _where, "pow": _pow}
)
"""The algebra of terms: the functions that a rule finds in ``m`` when it runs on names."""


def forward(operation: Operation | str, names: Sequence[str], target: str = "text") -> str:
    """The value of an operation, written with the names of its operands.

    >>> forward("mul", ["a", "b"]), forward("tanh", ["n"], target="latex")
    ('a × b', '\\\\tanh\\\\left(n\\\\right)')
    """
    return spell(Term(_entry(operation), tuple(map(Term, names))), target)


def derivative(
    operation: Operation | str,
    out: str,
    names: Sequence[str],
    target: str = "text",
    textbook: bool = True,
) -> list[str]:
    """The partial derivatives of an operation, one for each operand, in words.

    `out` names its value, `names` its operands. The form that lectures print is given, unless
    `textbook` is False: then it is the one that the engine computes with.

    >>> derivative("mul", "c", ["a", "b"])
    ['b', 'a']
    >>> derivative("tanh", "out", ["x"])
    ['1 − out²']
    >>> derivative("tanh", "out", ["x"], textbook=False)
    ['4 × sigmoid(2 × x) × sigmoid(−2 × x)']
    >>> derivative("relu", "out", ["x"])
    ['1 if x > 0 else 0']
    """
    return [spell(term, target) for term in derivative_terms(operation, out, names, textbook)]


def derivative_terms(
    operation: Operation | str, out: str, names: Sequence[str], textbook: bool = True
) -> list[Operand]:
    """What `derivative` spells: terms, to be made part of larger ones."""
    entry = _entry(operation)
    rule = entry.textbook if textbook and entry.textbook else entry.partials
    return list(rule(TERMS, Term(out), *map(Term, names)))


def lacking_in_javascript(text: str) -> str:
    """The functions that a text in JavaScript calls and JavaScript does not have, written down.

    >>> lacking_in_javascript("Math.tanh(x)")
    ''
    >>> "function erfc(x)" in lacking_in_javascript("0.5 * erfc(x)")
    True
    """
    if "erf" not in text:
        return ""
    from importlib.resources import files  # here, as it takes a while to load

    return files(__package__).joinpath("special.js").read_text(encoding="utf-8")


def spell(term: Operand, target: str = "text") -> str:
    """A term as a string, in one of `TARGETS`.

    A ValueError says which operation of the table JavaScript has no word for; elsewhere, one
    without a spelling is written as a call.
    """
    return spelled(term, target)[0]


def spelled(term: Operand, target: str = "text") -> tuple[str, int]:
    """The string of a term, and how tightly it binds."""
    if not isinstance(term, Term):
        return _constant(float(term), target)
    operation = term.operation
    name = operation.name if isinstance(operation, Operation) else operation
    if isinstance(operation, Operation):
        template, binding = _template(operation, target), operation.precedence
        if target == "javascript" and binding == POWER:
            binding = CALL  # spelled as a call of Math.pow
    elif not term.operands:
        return name, term.binding
    elif name == "where":
        template, binding = WHERE[target], CALL if target == "latex" else CASES
    elif name == "not":
        template, binding = f"{SIGNS[target]['not']}{{0}}", NEGATION
    else:
        places = [f"{{{i}}}" for i in range(len(term.operands))]
        template = f" {SIGNS[target].get(name, name)} ".join(places)
        binding = LOGIC if name in ("and", "or") else COMPARISON
    call = template.startswith(f"{name}(")  # sets its operands apart by itself
    written = []
    for place, operand in enumerate(term.operands):
        text, tight = spelled(operand, target)
        if not call and _needs_parentheses(name, place, binding, text, tight, target):
            text = rf"\left({text}\right)" if target == "latex" else f"({text})"
        written.append(text)
    if operation == "not":
        binding = COMPARISON
    elif target == "latex":
        binding = LATEX_RESULTS.get(name, binding)
    return template.format(*written), binding


LATEX_WORDS = {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\text{nan}"}
WHERE = {
    "text": "{1} if {0} else {2}",
    "python": "{1} if {0} else {2}",
    "javascript": "{0} ? {1} : {2}",
    "latex": r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
}
# How tightly LaTeX's spelling binds where it is seen from outside: eˣ and fractions.
LATEX_RESULTS = {"exp": POWER, "div": POWER}
SIGNS = {
    "text": {">=": "≥", "<=": "≤", "==": "=", "!=": "≠", "not": "not "},
    "python": {"not": "not "},
    "latex": {">=": r"\ge", "<=": r"\le", "==": "=", "!=": r"\ne"}
    | {"and": r"\land", "or": r"\lor", "not": r"\lnot "},
    "javascript": {"==": "===", "!=": "!==", "and": "&&", "or": "||", "not": "!"},
}

CHOICE = Operation(
    name="where",
    forward=FLOATS.where,
    partials=lambda m, out, c, yes, no: (0.0, m.where(c, 1.0, 0.0), m.where(c, 0.0, 1.0)),
    domain=((-3.0, 3.0),) * 3,
    spelling={"latex": WHERE["latex"], "javascript": "({0} ? {1} : {2})"},
)
"""A `where` of the user's, on the condition and both branches, as it is spelled."""


def _template(operation: Operation, target: str) -> str:
    if target in operation.spelling:
        return operation.spelling[target]
    if target == "javascript" and OPERATIONS.get(operation.name) is operation:
        raise ValueError(
            f"JavaScript has no word for the operation {operation.name!r}: add "
            "javascript= to the spelling in its row of the table"
        )
    places = ", ".join(f"{{{i}}}" for i in range(operation.arity))
    name = rf"\operatorname{{{{{operation.name}}}}}" if target == "latex" else operation.name
    return f"{name}({places})"


def _needs_parentheses(
    name: str, place: int, binding: int, text: str, tight: int, target: str
) -> bool:
    # 2 − −3 is written 2 − (−3); in LaTeX, sums and products ask for it as well.
    set_off = ("add", "sub", "mul") if target == "latex" else ("sub",)
    if place == 1 and name in set_off and text.startswith(("−", "-")):
        return True
    if binding == CALL:
        return target == "javascript" and tight < CALL  # a call may be spelled with ? and :
    if binding == CASES:  # "1 if x > 0 else (…)" reads well without parentheses at the end
        return tight == CASES and place != 2
    if target == "latex" and (name == "div" or (binding == POWER and place == 1)):
        return False  # a fraction's bar is its parentheses, and so is the height of an exponent
    # For people a + (b + c) is a + b + c; a program would round it differently.
    in_any_order = target in ("text", "latex") and name not in ("sub", "div")
    if binding in (SUM, PRODUCT) and (place == 0 or in_any_order):
        return tight < binding
    return tight <= binding


def _constant(value: float, target: str) -> tuple[str, int]:
    if target == "python":
        return repr(value), CALL if value >= 0 else PRODUCT
    if target == "javascript":
        text = repr(value).replace("inf", "Infinity").replace("nan", "NaN")
        return (text, CALL) if value >= 0 else (f"({text})", CALL)
    text = number(value)
    binding = PRODUCT if value < 0 else POWER if "e" in text else CALL
    if target == "text":
        return text, binding
    digits, e, exponent = text.replace("−", "-").partition("e")
    if e:
        return rf"{digits} \cdot 10^{{{exponent}}}", PRODUCT
    return LATEX_WORDS.get(digits, digits), binding


def _entry(operation: Operation | str) -> Operation:
    return OPERATIONS[operation] if isinstance(operation, str) else operation
