"""A step on a slide: its equations, as LaTeX sets them.

With this module you can

- write the equations of a step:   align(graph, record_of(graph))
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..engine.conditions import Choice
from ..ops.table import OPERATIONS, Operation
from ..ops.words import Operand, Term, derivative_terms, spell
from .events import Forward, Record, Seed
from .formulas import names_of, rule_of, term_of
from .graph import Graph
from .style import clean

__all__ = ["align"]

MUL = OPERATIONS["mul"]
LATEX_TEXT = {character: "\\" + character for character in "_%&#${}"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
"""How LaTeX writes the characters that it would otherwise obey."""


def align(graph: Graph, step: Record) -> str:
    r"""The step as an ``align*`` environment of LaTeX's amsmath.

    >>> from microgrant import Value
    >>> from microgrant.views.events import record_of
    >>> graph = Graph(Value(2.0, "x").exp())
    >>> print(align(graph, record_of(graph)))
    \begin{align*}
      v_{1} &= e^{x} = e^{2} = 7.389 \\
      \frac{\partial v_{1}}{\partial v_{1}} &= 1 \\
      \frac{\partial v_{1}}{\partial x} &= \frac{\partial v_{1}}{\partial v_{1}} ...
    \end{align*}
    """
    order, nodes = graph.order, step.nodes
    word = names_of({value: _latex_name(name) for value, name in graph.called.items()})
    amount = {value: node.value for value, node in zip(order, nodes, strict=True)}.get
    names = [_latex_name(node.name) for node in nodes]
    gradients = [rf"\frac{{\partial {names[-1]}}}{{\partial {name}}}" for name in names]
    lines = []
    reached: set[int] = set()
    for event in step.events:
        node, operation = nodes[event.node], order[event.node].operation
        operands = [names[place] for place in node.operands]
        if isinstance(event, Seed):
            lines.append(f"{gradients[event.node]} &= 1")
        elif operation is None:
            continue
        elif isinstance(event, Forward):
            formula, arithmetic = (term_of(order[event.node], x) for x in (word, amount))
            lines.append(f"{names[event.node]} &= {_equal(formula, arithmetic, node.value)}")
        elif not nodes[event.operand].constant:
            local = (
                [rule_of(operation, word)]
                if isinstance(operation, Choice)
                else _local(operation, names[event.node], operands)
            )
            product = Term(MUL, (Term(gradients[event.node]), local[event.place]))
            numbers = Term(MUL, (event.upstream, event.local))
            begun = event.operand in reached or event.before != 0
            adds = begun and step.mistake != "overwrite"
            sign = r"\mathrel{+}=" if adds else "="
            total = rf" \quad\to\quad {spell(event.after, 'latex')}" if adds else ""
            equation = _equal(product, numbers, event.contribution)
            lines.append(f"{gradients[event.operand]} &{sign} {equation}{total}")
            reached.add(event.operand)
    body = " \\\\\n  ".join(lines)
    return f"\\begin{{align*}}\n  {body}\n\\end{{align*}}"


def _local(operation: Operation, out: str, names: Sequence[str]) -> list[Operand]:
    try:
        return derivative_terms(operation, out, names)
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return [Term(rf"\frac{{\partial {out}}}{{\partial {name}}}") for name in names]


def _equal(*terms: Operand) -> str:
    return " = ".join(spell(term, "latex") for term in terms)


def _latex_name(name: str) -> str:
    """A name in mathematics: w1 becomes w with an index, a longer one is set upright."""
    if re.fullmatch(r"[A-Za-z]|−?[0-9.]+", name):
        return name.replace("−", "-")
    if match := re.fullmatch(r"([A-Za-z])_?([0-9]+)", name):
        return f"{match[1]}_{{{match[2]}}}"
    return r"\text{" + "".join(LATEX_TEXT.get(c, c) for c in clean(name)) + "}"
