"""How a page tells what optimisers do, and how it computes it.

With this module you can

- spell the optimisers that a page offers:     found = spell_optimizers(optimizer, root)
- make a script of their functions:            javascript(found)

The rules are those of `microgrant.views.updates`: run on terms, they are JavaScript.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...engine.value import Value
from ...ops.table import PRODUCT
from ...ops.words import TERMS, Term, spell
from ...optim import SGD, Adam, Optimizer
from ..formulas import worded
from ..latex import LATEX_SYMBOLS, latex_name
from ..style import clean
from ..updates import SYMBOLS, Rule, rules_of, settings_of
from .spelling import NUMBERS, templates

__all__ = ["SpelledOptimizer", "javascript", "spell_optimizers"]

NAME = "\ue000"  # stands for the name of a parameter in a formula
ANY = [Value(0.0)]
OFFERED: dict[str, Optimizer] = {
    "SGD": SGD(ANY, 0.1),
    "SGD with momentum": SGD(ANY, 0.1, momentum=0.9),
    "Adam": Adam(ANY, 0.1),
}


@dataclass(frozen=True)
class SpelledOptimizer:
    """An optimiser that a page can run.

    words: its name, its settings, what it remembers, and how its rules are written.
    functions: its rules in JavaScript.
    """

    words: dict[str, Any]
    functions: list[str]


def spell_optimizers(optimizer: Optimizer | None, root: str) -> list[SpelledOptimizer]:
    """The optimisers that a page offers, and before them its own, if its rules are known.

    root: what the output of the graph is called.
    """
    own = {} if optimizer is None else {_name(optimizer): optimizer}
    known = own | {name: x for name, x in OFFERED.items() if name not in own}
    return [_spelled(name, x, root) for name, x in known.items() if rules_of(x)]


def javascript(optimizers: Sequence[SpelledOptimizer]) -> str:
    """The functions of the rules, as the player begins."""
    lists = ",\n".join(f"  [{', '.join(each.functions)}]" for each in optimizers)
    return f"const RULES = [\n{lists}\n];\n"


def _name(optimizer: Optimizer) -> str:
    name = type(optimizer).__name__
    return f"{name} with momentum" if getattr(optimizer, "momentum", 0) else name


def _spelled(name: str, optimizer: Optimizer, root: str) -> SpelledOptimizer:
    names = SYMBOLS | {"parameter": NAME, "gradient": f"∂{root}/∂{NAME}"}
    rules, functions = [], []
    for rule in rules_of(optimizer) or []:
        rules.append(_words(rule, names))
        functions.append(_function(rule))
        if rule.sets == "gradient":
            names["gradient"] = "g"
    words = {
        "name": name,
        "settings": settings_of(optimizer),
        "memory": list(optimizer.MEMORY),
        "rules": rules,
    }
    return SpelledOptimizer(words, functions)


def _words(rule: Rule, names: dict[str, str]) -> dict[str, Any]:
    """A rule with names, and with holes in place of numbers."""
    after = {"gradient": "g", "parameter": NAME}.get(rule.sets, names[rule.sets])
    formula = rule.term(TERMS, *(worded(names[operand]) for operand in rule.operands))
    in_latex = rule.term(TERMS, *(_in_latex(names[operand]) for operand in rule.operands))
    return {
        "sets": rule.sets,
        "name": after,
        "operands": rule.operands,
        "formula": clean(spell(formula)),
        "latex": [_in_latex(after).operation, spell(in_latex, "latex")],
        "numbers": [
            text
            for [text] in templates(
                lambda holes: [spell(rule.term(TERMS, *holes))], len(rule.operands), NUMBERS
            )
        ],
    }


def _in_latex(name: str) -> Term:
    if name.startswith("∂"):
        root, _, _ = name.rpartition("/")
        over = latex_name(root.removeprefix("∂"))
        return Term(rf"\frac{{\partial {over}}}{{\partial {NAME}}}", (), PRODUCT)
    return Term(LATEX_SYMBOLS.get(name, name))


def _function(rule: Rule) -> str:
    names = [f"x{i}" for i in range(len(rule.operands))]
    return f"({', '.join(names)}) => {spell(rule.term(TERMS, *map(Term, names)), 'javascript')}"
