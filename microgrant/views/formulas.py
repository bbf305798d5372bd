"""How a node of a graph was computed: as a formula over names, numbers, or whatever is asked for.

With this module you can

- write a node with names:         spell(term_of(value, names_of(called)))
- write it with its numbers:       spell(term_of(value, numbers_of(graph)))
- write its local derivatives:     derivative_in_words(value.operation, "out", ["a", "b"])
- make a term of a name or number:  worded("∂L/∂w"), numeral(-2.0)

What a `where` compared, and the branch that it did not take, need not be in the graph: a formula
writes it out, as far as that can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TypeAlias

from ..engine.conditions import Choice, Condition
from ..engine.value import Value
from ..ops.table import CALL, POWER, PRODUCT, Operation
from ..ops.words import CHOICE, TERMS, Operand, Term, derivative, spelled

__all__ = ["MOST_WRITTEN_OUT", "OperandOf", "derivative_in_words", "names_of", "numbers_of"]
__all__ += ["numeral", "rule_of", "term_of", "worded"]

MOST_WRITTEN_OUT = 12  # operations, in what a `where` compares or does not take

OperandOf: TypeAlias = Callable[[Value], Operand | None]


def term_of(value: Value, operand_of: OperandOf, taken: Operand | None = None) -> Term:
    """How an interior node was computed, as a term over names or numbers.

    operand_of: the name or number that stands for a Value. What a `where` compares or does not take
        need not be in the graph: where None stands for such a Value, it is written out.
    taken: what stands for the branch that a `where` takes, if not the same as elsewhere.

    >>> from microgrant import where
    >>> from microgrant.ops.words import spell
    >>> x, a = Value(2.0, "x"), Value(3.0, "a")
    >>> y = where(x > 0, a, x * 0.1)
    >>> spell(term_of(y, names_of({x: "x", a: "a"})))
    'where(x > 0, a, x × 0.1)'
    """
    return _Writer(operand_of).term(value, taken)


def rule_of(choice: Choice, operand_of: OperandOf) -> Operand:
    """The derivative of a `where` with respect to the branch taken: 1 for as long as it is."""
    condition = _Writer(operand_of).part(choice.condition)
    branches = CHOICE.partials(TERMS, Term(""), condition, Term(""), Term(""))[1:]
    rule: Operand = branches[0 if choice.condition.truth else 1]
    return rule


def names_of(called: Mapping[Value, str]) -> OperandOf:
    """For `term_of`: names."""
    return lambda value: Term(called[value]) if value in called else None


def numbers_of(graph: Container[Value]) -> OperandOf:
    """For `term_of`: the data of what is in the graph."""
    return lambda value: value._data if value in graph else None


def worded(text: str) -> Term:
    """A name as a term. It may be a number or a derivative, and binds as such: −2 and ∂L/∂w as a
    product, 1e−4 as a power."""
    scientific = re.fullmatch(r"[\d.]+e.*", text)
    return Term(text, (), PRODUCT if text[:1] in "−∂" else POWER if scientific else CALL)


def numeral(value: float, target: str = "text") -> Term:
    """A number as a term that is not reckoned up with others."""
    text, binding = spelled(value, target)
    return Term(text, (), binding)


class _Writer:
    """Writes terms, and stops writing out before they are too long to be read."""

    def __init__(self, operand_of: OperandOf) -> None:
        self.operand_of = operand_of
        self.room = MOST_WRITTEN_OUT

    def term(self, value: Value, taken: Operand | None = None) -> Term:
        operation = value.operation
        if isinstance(operation, Choice):
            parts = list(map(self.part, (operation.condition, *operation.branches)))
            if taken is not None:
                parts[1 if operation.condition.truth else 2] = taken
            return Term(CHOICE, tuple(parts))
        if operation is None:
            raise ValueError(f"{value!r} was given, and not computed")
        return Term(operation, tuple(map(self.part, value.operands)))

    def part(self, x: Value | Condition | float) -> Operand:
        if isinstance(x, Condition):
            return self.condition(x)
        if not isinstance(x, Value):
            try:
                return float(x)
            except OverflowError:  # an integer that no float can hold
                return Term(f"{str(x)[:9]}…")
        known = self.operand_of(x)
        if known is not None:
            return known
        if x.operation is None or not self.room:
            return x._data
        self.room -= 1
        return self.term(x)

    def condition(self, condition: Condition) -> Term:
        if not self.room:
            return Term("…")
        self.room -= 1
        relation, operands = condition.relation, list(condition.operands)

        def goes_on() -> bool:  # of (a and b) and c, the parentheses say nothing
            return relation in ("and", "or") and operands[0].relation == relation

        while goes_on() and len(operands) < self.room:
            operands[:1] = operands[0].operands
        first = Term("…") if goes_on() else self.part(operands[0])
        return Term(relation, (first, *map(self.part, operands[1:])))


def derivative_in_words(operation: Operation, out: str, names: Sequence[str]) -> list[str]:
    """`derivative`, and signs for it where a rule of the user's works on floats only."""
    try:
        return derivative(operation, out, names)
    except (TypeError, AttributeError):
        return [f"∂{operation.symbol}/∂{name}" for name in names]
