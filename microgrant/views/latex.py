"""A step on a slide: its equations, as LaTeX sets them.

With this module you can

- write the equations of a step:   align(graph, record_of(graph))
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..engine.conditions import Choice
from ..ops.numbers import equals
from ..ops.table import CALL, OPERATIONS, PRODUCT, Operation
from ..ops.words import TERMS, Operand, Term, derivative_terms, spell
from ..optim import Optimizer
from .events import Contribution, Event, Given, Record, Seed, Update
from .formulas import names_of, numeral, rule_of, term_of
from .graph import Graph
from .style import clean
from .updates import SYMBOLS, rules_of

__all__ = ["LATEX_SYMBOLS", "align", "factor", "latex_name", "local_derivatives"]

MUL = OPERATIONS["mul"]
SIGNS = {"=": "=", "≈": r"\approx"}
LEAVES = 5  # in a line
LATEX_TEXT = {character: "\\" + character for character in "_%&#${}"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
"""How LaTeX writes the characters that it would otherwise obey."""
LATEX_SYMBOLS = {"η": r"\eta", "β": r"\beta", "λ": r"\lambda", "ε": r"\varepsilon"}
LATEX_SYMBOLS |= {"β₁": r"\beta_1", "β₂": r"\beta_2", "m̂": r"\hat m", "ŝ": r"\hat s"}


def align(graph: Graph, step: Record, optimizer: Optimizer | None = None) -> str:
    r"""The step as an ``align*`` environment of LaTeX's amsmath.

    >>> from microgrant import Value
    >>> from microgrant.views.events import record_of
    >>> graph = Graph(Value(2.0, "x").exp())
    >>> print(align(graph, record_of(graph)))
    \begin{align*}
      x &= 2 \\
      v_{1} &= e^{x} = e^{2} \approx 7.389 \\
      \frac{\partial v_{1}}{\partial v_{1}} &= 1 \\
      \frac{\partial v_{1}}{\partial x} &= \frac{\partial v_{1}}{\partial v_{1}} ...
    \end{align*}
    """
    slide = _Slide(graph, step, optimizer)
    lines = [*slide.given(), *filter(None, map(slide.line, step.events[1:]))]
    body = " \\\\\n  ".join(lines)
    return f"\\begin{{align*}}\n  {body}\n\\end{{align*}}"


class _Slide:
    """Writes one event after the other."""

    def __init__(self, graph: Graph, step: Record, optimizer: Optimizer | None) -> None:
        self.rules = (rules_of(optimizer) if optimizer else None) or []
        self.graph, self.step = graph, step
        self.named = {value: latex_name(name) for value, name in graph.called.items()}
        self.names = [self.named[value] for value in graph.order]
        self.gradients = [_fraction(self.names[-1], name) for name in self.names]
        self.amounts = {x: node.value for x, node in zip(graph.order, step.nodes, strict=True)}
        self.reached: set[int] = set()  # the places that a gradient has come to

    def given(self) -> Iterator[str]:
        """The leaves, several in a line; of constants, the formulas have the numbers."""
        leaves = [
            (name, f"{SIGNS[equals(node.value)]} {spell(node.value, 'latex')}")
            for name, node in zip(self.names, self.step.nodes, strict=True)
            if not (node.operation or node.constant)
        ]
        for i in range(0, len(leaves), LEAVES):
            (name, value), *rest = leaves[i : i + LEAVES]
            yield f"{name} &{value}" + "".join(rf" \qquad {x} {y}" for x, y in rest)

    def line(self, event: Event) -> str:
        """Empty for constants, whose gradients nobody asks for."""
        if isinstance(event, Given):
            return ""
        node = self.step.nodes[event.node]
        if isinstance(event, Update):
            return self._update(event)
        if isinstance(event, Seed):
            return f"{self.gradients[event.node]} &= 1"
        if isinstance(event, Contribution):
            return "" if self.step.about_constant(event) else self._contribution(event)
        value = self.graph.order[event.node]
        terms = term_of(value, names_of(self.named)), term_of(value, self.amounts.get)
        numbers = [self.step.nodes[operand].value for operand in node.operands]
        return f"{self.names[event.node]} &= {_equal(*terms, node.value, numbers=numbers)}"

    def _contribution(self, event: Contribution) -> str:
        local = self._local_derivatives(event.node)[event.place]
        product = Term(MUL, (Term(self.gradients[event.node]), local))
        numbers = Term(MUL, (event.upstream, event.local))
        begun = event.operand in self.reached or event.before != 0
        adds = begun and self.step.mistake != "overwrite"
        self.reached.add(event.operand)
        sign = r"\mathrel{+}=" if adds else "="
        total = rf" \quad\to\quad {spell(event.after, 'latex')}" if adds else ""
        factors = (event.upstream, event.local)
        equation = _equal(product, numbers, event.contribution, numbers=factors)
        return f"{self.gradients[event.operand]} &{sign} {equation}{total}"

    def _update(self, event: Update) -> str:
        name = self.names[event.node]
        names = SYMBOLS | {"parameter": name, "gradient": self.gradients[event.node]}
        names = {key: LATEX_SYMBOLS.get(symbol, symbol) for key, symbol in names.items()}
        lines = []
        for rule, told in zip(self.rules, event.equations, strict=True):
            formula = rule.term(TERMS, *(_named(names[x]) for x in rule.operands))
            arithmetic = rule.term(TERMS, *(numeral(x, "latex") for x in told.numbers))
            if rule.sets == "gradient":
                names["gradient"] = "g"
            equal = _equal(formula, arithmetic, told.value, told.numbers)
            lines.append(rf"{names[rule.sets]} &\leftarrow {equal}")
        lines = lines or [rf"{name} &\leftarrow {spell(event.after, 'latex')}"]
        return " \\\\\n  ".join(lines)

    def _local_derivatives(self, place: int) -> list[Operand]:
        operation = self.graph.order[place].operation
        if operation is None:
            return []
        if isinstance(operation, Choice):
            return [rule_of(operation, names_of(self.named))]
        operands = [self.names[operand] for operand in self.graph.operands[place]]
        return local_derivatives(operation, self.names[place], operands)


def local_derivatives(operation: Operation, out: str, operands: Sequence[str]) -> list[Operand]:
    """Those of an operation on names, to be spelled."""
    try:
        return derivative_terms(operation, out, operands)
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return [Term(_fraction(out, name)) for name in operands]


def factor(term: Operand) -> str:
    r"""A term as it stands behind a dot: ``\left(1 - x\right)``."""
    return spell(Term(MUL, (Term(""), term)), "latex").partition(r"\cdot ")[2]


def _named(name: str) -> Term:
    return Term(name, (), PRODUCT if name.startswith(r"\frac") else CALL)


def _fraction(of: str, by: str) -> str:
    return rf"\frac{{\partial {of}}}{{\partial {by}}}"


def _equal(names: Operand, arithmetic: Operand, result: float, numbers: Sequence[float]) -> str:
    """A formula with names, the same with `numbers`, and what comes out."""
    formula, filled_in, outcome = (spell(term, "latex") for term in (names, arithmetic, result))
    first, second = SIGNS[equals(*numbers)], SIGNS[equals(*numbers, result)]
    return f"{formula} {first} {filled_in} {second} {outcome}"


def latex_name(name: str) -> str:
    """A name in mathematics: w1 becomes w with an index, a longer one is set upright."""
    if re.fullmatch(r"[A-Za-z]|−?[0-9.]+", name):
        return name.replace("−", "-")
    if match := re.fullmatch(r"([A-Za-z])_?([0-9]+)", name):
        return f"{match[1]}_{{{match[2]}}}"
    return r"\text{" + "".join(LATEX_TEXT.get(c, c) for c in clean(name)) + "}"
