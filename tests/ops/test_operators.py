"""One list of Python's operators serves all that is recorded: Values, terms, and registers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from microgrant import Value
from microgrant.compiler.program import Register
from microgrant.ops import OPERATIONS
from microgrant.ops.operators import Operators
from microgrant.ops.words import Term


class Asked(Operators[Any, Any, Any]):
    """Returns what it is asked for."""

    def _operate(self, operation: str, *operands: Any) -> Any:
        return operation, *operands

    _compare = _operate


BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
}
UNARY: dict[str, Callable[[Any], Any]] = {"neg": operator.neg, "abs": abs}
RELATIONS = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}  # mirrored
FUNCTIONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
SPELLED_OUT = {"__add__", "__radd__", "__mul__", "__rmul__"}  # in Value, because it is worth it


@pytest.mark.parametrize("name", BINARY)
def test_an_operator_of_two_keeps_its_operands_in_order(name: str) -> None:
    x, y = Asked(), Asked()
    assert name in OPERATIONS
    for left, right in ((x, y), (x, 2.0), (2.0, x)):
        asked, *operands = BINARY[name](left, right)
        assert asked == name
        assert operands[0] is left
        assert operands[1] is right


@pytest.mark.parametrize("name", UNARY)
def test_an_operator_of_one(name: str) -> None:
    x = Asked()
    asked, operand = UNARY[name](x)
    assert asked == name
    assert operand is x
    assert OPERATIONS[name].arity == 1


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_relation_is_asked_of_its_left_side(relation: str) -> None:
    x, y = Asked(), Asked()
    for left, right, wanted in (
        (x, y, relation),
        (x, 2.0, relation),
        (2.0, x, RELATIONS[relation]),
    ):
        asked, *operands = FUNCTIONS[relation](left, right)
        assert asked == wanted
        assert operands[0] is (x if left == 2.0 and isinstance(left, float) else left)


@pytest.mark.parametrize("kind", [Value, Term, Register])
def test_nobody_spells_an_operator_again(kind: type) -> None:
    for name, inherited in vars(Operators).items():
        if name.startswith("__") and callable(inherited) and name not in ("__hash__", "__init__"):
            own = getattr(kind, name) is not inherited
            assert own == (kind is Value and name in SPELLED_OUT), name
