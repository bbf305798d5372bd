"""How a page writes operations, and how it computes them.

With this module you can

- spell the operations of a graph:     spelling = spell_operations(graph)
- make a script of their functions:    javascript(spelling.functions)

The page writes sentences with names and numbers that Python does not know yet: a constant can be
given another number, and a name is cut short inside of its module. So a formula is spelled with
holes in place of its operands, as `microgrant.ops.words` spells it with names. The page fills them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ...engine.conditions import Choice, Condition, sources
from ...engine.value import Value
from ...ops.table import CALL, DETACH, OPERATIONS, POWER, PRODUCT, Operation, is_own
from ...ops.words import Operand, Term, derivative, forward, spell
from ..formulas import (
    MOST_WRITTEN_OUT,
    OperandOf,
    derivative_in_words,
    names_of,
    numbers_of,
    rule_of,
    term_of,
)
from ..graph import Graph
from ..latex import factor, latex_name, local_derivatives
from ..style import clean

__all__ = ["NUMBERS", "Spelling", "javascript", "spell_operations", "templates"]

OUT = "\uf8ff"  # stands for the result in a template
MOST_DECIDING = 8  # values in the condition of a `where` that its page makes anew

# What fills a hole may need parentheses: as a name if it begins with a minus sign; as a number also
# if it has an exponent of ten, and then it binds as a power does.
NAMES = (("", CALL), ("−", CALL))
NUMBERS = (("", CALL), ("−", PRODUCT), ("", POWER))
NAMES_IN_LATEX = (("", CALL), ("-", CALL))
NUMBERS_IN_LATEX = (("", CALL), ("-", PRODUCT), ("", PRODUCT))
MOST_FORMED = 4  # operands; with more, all are written as if they needed no parentheses


@dataclass
class Spelling:
    """The operations of a graph.

    operation: for each value the number of its operation; −1 for a leaf.
    words: how each operation is written.
    functions: how JavaScript computes each operation; None if it cannot.
    mentions: for the place of each `where`, the places of the values that decide it.
    """

    operation: list[int] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    functions: list[str | None] = field(default_factory=list)
    mentions: dict[int, list[int]] = field(default_factory=dict)


def spell_operations(graph: Graph) -> Spelling:
    """How a page writes and computes the operations of a graph, in the order of the step."""
    numbers: dict[Operation, int] = {}
    spelling = Spelling()
    for place, value in enumerate(graph.order):
        operation = value.operation
        if operation is None:
            spelling.operation.append(-1)
            continue
        spelling.operation.append(numbers.setdefault(operation, len(numbers)))
        deciding = None
        if isinstance(operation, Choice):
            deciding = _what_decides(operation, graph.places)
            spelling.mentions[place] = [graph.places[x] for x in (deciding or ())[1:]]
        if len(spelling.words) < len(numbers):
            words, function = (
                _choice(value, deciding, graph)
                if isinstance(operation, Choice)
                else _operation(operation)
            )
            spelling.words.append(words)
            spelling.functions.append(function)
    return spelling


def javascript(functions: Iterable[str | None]) -> str:
    """The functions of all operations. They stand in a script of their own, so that one of the
    user's that JavaScript cannot read does not take the player with it."""
    written = ",\n".join(f"  {each or 'null'}" for each in functions)
    return f'"use strict";\nwindow.operations = [\n{written}\n];\n'


# --- In words -------------------------------------------------------------------------------------


def _operation(operation: Operation) -> tuple[dict[str, Any], str | None]:
    """An operation of the table, of a family or of the user's: its words and its function."""

    def formula(holes: list[Term]) -> list[str]:
        return [spell(Term(operation, tuple(holes)))]

    def formula_in_latex(holes: list[Term]) -> list[str]:
        return [spell(Term(operation, tuple(holes)), "latex")]

    def rules(holes: list[Term]) -> list[str]:
        return derivative_in_words(operation, OUT, [str(hole.operation) for hole in holes])

    def rules_in_latex(holes: list[Term]) -> list[str]:
        names = [str(hole.operation) for hole in holes]
        return list(map(factor, local_derivatives(operation, OUT, names)))

    function = _function(operation)
    words = {
        "symbol": clean(operation.symbol),
        "formula": [text for [text] in templates(formula, operation.arity, NAMES)],
        "numbers": [text for [text] in templates(formula, operation.arity, NUMBERS)],
        "rules": templates(rules, operation.arity, NAMES),
        "latex": {
            "formula": [x for [x] in templates(formula_in_latex, operation.arity, NAMES_IN_LATEX)],
            "numbers": [
                x for [x] in templates(formula_in_latex, operation.arity, NUMBERS_IN_LATEX)
            ],
            "rules": templates(rules_in_latex, operation.arity, NAMES_IN_LATEX),
        },
        "own": is_own(operation),
        "stops": operation is DETACH,
        "live": function is not None,
    }
    return words, function


def templates(
    write: Callable[[list[Term]], list[str]], arity: int, forms: Sequence[tuple[str, int]]
) -> list[list[str]]:
    """What is written with holes: once, if their forms make no difference; or else once for each
    combination of forms, in the order of `product`."""
    found = []
    for combination in product(forms if arity <= MOST_FORMED else forms[:1], repeat=arity):
        holes = [Term(begin + _hole(i), (), binds) for i, (begin, binds) in enumerate(combination)]
        texts = [clean(text) for text in write(holes)]
        for i, hole in enumerate(holes):  # the minus sign belongs to what will fill the hole
            texts = [text.replace(str(hole.operation), _hole(i)) for text in texts]
        found.append(texts)
    return found[:1] if all(each == found[0] for each in found) else found


def _hole(place: int) -> str:
    """What stands for an operand in a template."""
    return chr(0xE000 + place)


def _choice(
    value: Value, deciding: Sequence[Value] | None, graph: Graph
) -> tuple[dict[str, Any], str | None]:
    """A `where`: its words, and its function if it chooses anew when values change.

    deciding: the branch taken and what decides; None if the page cannot show what follows.
    """
    choice: Any = value.operation
    holes = {x: Term(_hole(i)) for i, x in enumerate(deciding or ())}
    known = names_of(graph.called)

    def named(x: Value) -> Operand | None:
        return holes.get(x) or known(x)

    def named_in_latex(x: Value) -> Operand | None:
        return holes.get(x) or (Term(latex_name(graph.called[x])) if x in graph.called else None)

    numbers: OperandOf = holes.get if holes else numbers_of(graph.places)
    words = {
        "symbol": choice.symbol,
        "own": False,
        "live": deciding is not None,
        "choice": True,
        "formula": [clean(spell(term_of(value, named)))],
        "numbers": [clean(spell(term_of(value, numbers)))],
        "rules": [[clean(spell(rule_of(choice, named)))]],
        "latex": {
            "formula": [clean(spell(term_of(value, named_in_latex), "latex"))],
            "numbers": [clean(spell(term_of(value, numbers), "latex"))],
            "rules": [[clean(factor(rule_of(choice, named_in_latex)))]],
        },
    }
    if deciding is None:
        return words, None
    arguments = {x: Term(f"x{i}") for i, x in enumerate(deciding)}
    result = spell(term_of(value, arguments.get), "javascript")
    partial = spell(rule_of(choice, arguments.get), "javascript")
    return words, _object(len(deciding), result, [partial])


def _what_decides(choice: Choice, places: Container[Value]) -> list[Value] | None:
    """The branch taken, and the values on the page that decide whether it is.

    None if the other branch is more than a number: the page has no edge for the gradient that would
    flow along it. None too if what decides is computed from values, and is not on the page.
    """
    found = {choice.taken: None}
    waiting: list[Any] = [choice.condition]
    waiting.append(choice.if_false if choice.condition.truth else choice.if_true)
    for _ in range(MOST_WRITTEN_OUT):
        if not waiting:
            return list(found) if len(found) <= MOST_DECIDING else None
        x = waiting.pop()
        if isinstance(x, Condition):
            compared = sources(x)
            waiting += (each for each in compared if isinstance(each, Condition))
            values = [each for each in compared if isinstance(each, Value)]
            if any(each not in places and each.operation is not None for each in values):
                return None
            found |= dict.fromkeys(each for each in values if each in places)
        elif x in places:
            return None
        elif isinstance(x.operation, Choice):
            waiting += sources(x)
        elif x.operation is not None:
            return None
    return None


# --- In JavaScript --------------------------------------------------------------------------------


def _function(operation: Operation) -> str | None:
    """The operation as an object of JavaScript; None if it has no spelling there."""
    if "javascript" not in operation.spelling and operation is not OPERATIONS.get(operation.name):
        return None
    names = [f"x{i}" for i in range(operation.arity)]
    try:
        value = forward(operation, names, "javascript")
        partials = derivative(operation, "out", names, "javascript", textbook=False)
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return None
    return _object(operation.arity, value, partials)


def _object(arity: int, value: str, partials: Sequence[str]) -> str | None:
    arguments = ", ".join(f"x{i}" for i in range(arity))
    text = (
        f"{{forward: ({arguments}) => {value}, "
        f"partials: (out, {arguments}) => [{', '.join(partials)}]}}"
    )
    return None if "</" in text or "<!--" in text else clean(text)
