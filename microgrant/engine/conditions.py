"""What a comparison of `Value`s knows, and how a graph keeps a choice between two branches.

With this module you can

- see what was compared:            condition = x > 0; condition.relation, condition.operands
- combine without deciding:         ~(x > 0), (x > 0) & (y < 1), (x > 0) | (y < 1)
- walk all that a graph refers to:  whole_order(loss)

A graph is the record of one step, with the numbers of that step. A choice by `where` is part of the
record, and so what is compiled from it can choose anew for other numbers. An `if` is not: it was
decided once, by Python, and the graph does not show it. So it is noted, on all that the decision
depended on, in which line of the program that was.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias

from ..ops.table import Operation
from . import modes
from .node import NO_GRADIENT, Node

__all__ = ["RELATIONS", "Choice", "Condition", "Sameness", "whole_order"]

RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
"""The relations in which a comparison can find a Value and another, or a number."""


class Condition:
    """The truth of a comparison, as a bool has it, and what was compared.

    relation: one of `RELATIONS`; or "and", "or", "not" of other conditions.
    left, right: what it relates: a Value, and a Value or a number; or a condition, and a condition
        or a bool. The right of "not" is None.

    ``&``, ``|``, ``^``, ``~`` and ``==`` make conditions of conditions. To ask for the truth, as
    `if`, `and`, `not`, `max` and `sorted` do, or to take it for a number, 1 or 0, is a decision,
    and is noted on the Values; `truth` asks in silence.

    >>> from microgrant import Value
    >>> x = Value(2.0, label="x")
    >>> condition = (x > 0) & ~(x == 1)
    >>> condition, condition.relation, condition.left.operands
    (True, 'and', (Value(data=2.0, grad=0.0), 0))
    """

    __slots__ = ("_decided_at", "left", "relation", "right", "truth")

    def __init__(self, truth: bool, relation: str, left: Any, right: Any = None) -> None:
        """The truth is handed over, since only who compares has the numbers at hand."""
        self.truth: bool = bool(truth)  # NumPy has a bool of its own
        self.relation: str = relation
        self.left: Any = left
        self.right: Any = right
        self._decided_at: str  # as in a Value: the line that made a decision on this, if one did

    @property
    def operands(self) -> tuple[Any, ...]:
        """`left` and `right`; of "not", `left` alone."""
        return (self.left,) if self.right is None else (self.left, self.right)

    def values(self) -> list[Any]:
        """The Values that are compared, at any depth, each of them once."""
        return [x for x in self._with_operands() if not isinstance(x, Condition)]

    def unchanged(self) -> bool:
        """Whether it would come out the same with the data as they are now."""
        conditions = (x for x in self._with_operands() if isinstance(x, Condition))
        return all(
            compare(x.relation, x.left, x.right).truth == x.truth
            for x in conditions
            if x.relation in RELATIONS
        )

    def _with_operands(self) -> Iterable[Any]:
        """It, the conditions in it, and the Values that they compare."""
        found: dict[int, Any] = {}
        stack: list[Any] = [self]
        while stack:
            x = stack.pop()
            if id(x) not in found:
                found[id(x)] = x
                stack.extend(reversed(sources(x)) if isinstance(x, Condition) else ())
        return found.values()

    def over(self, copy_of: Callable[[Any], Any]) -> Condition:
        """The same condition on other operands; a number is its own copy."""
        return Condition(self.truth, self.relation, *map(copy_of, self.operands))

    def __copy__(self) -> Condition:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        for value in self.values():
            copy.deepcopy(value, memo)
        for condition in whole_order(self, visited=memo):  # all that has no copy yet
            memo[id(condition)] = condition.over(lambda x: memo.get(id(x), x))
        return memo[id(self)]

    # --- Asking for the truth: a decision -------------------------------------------------------

    def __bool__(self) -> bool:
        note_decision(self)
        return self.truth

    def __index__(self) -> int:
        return int(bool(self))

    def __float__(self) -> float:
        return float(bool(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """For NumPy: an array of conditions is one of bools."""
        import numpy  # it is what asks

        return numpy.array(bool(self), dtype=dtype)

    def __add__(self, other: Any) -> Any:
        return int(self) + other

    def __radd__(self, other: Any) -> Any:
        return other + int(self)

    def __sub__(self, other: Any) -> Any:
        return int(self) - other

    def __rsub__(self, other: Any) -> Any:
        return other - int(self)

    def __mul__(self, other: Any) -> Any:
        return int(self) * other

    def __rmul__(self, other: Any) -> Any:
        return other * int(self)

    # --- Conditions of conditions: no decision --------------------------------------------------

    def __invert__(self) -> Condition:
        return Condition(not self.truth, "not", self)

    def __and__(self, other: Any) -> Condition:
        if not isinstance(other, (Condition, bool)):
            return NotImplemented
        return Condition(self.truth and _truth(other), "and", self, other)

    def __or__(self, other: Any) -> Condition:
        if not isinstance(other, (Condition, bool)):
            return NotImplemented
        return Condition(self.truth or _truth(other), "or", self, other)

    def __xor__(self, other: Any) -> Condition:
        if not isinstance(other, (Condition, bool)):
            return NotImplemented
        return (self | other) & ~(self & other)

    __rand__: Callable[[Condition, Any], Condition] = __and__
    __ror__: Callable[[Condition, Any], Condition] = __or__
    __rxor__: Callable[[Condition, Any], Condition] = __xor__

    def __eq__(self, other: object) -> Any:
        if isinstance(other, Sameness):
            return other._refuse()
        return ~(self ^ other) if isinstance(other, (Condition, bool)) else int(self) == other

    def __ne__(self, other: object) -> Any:
        if isinstance(other, Sameness):
            return other._refuse()
        return self ^ other if isinstance(other, (Condition, bool)) else int(self) != other

    def __hash__(self) -> int:
        return hash(self.truth)

    def __repr__(self) -> str:
        return repr(self.truth)

    def __format__(self, spec: str) -> str:
        return format(self.truth, spec)


class Sameness(int):
    """Whether two Values are one and the same, as ``a == b`` asks: 1 or 0, shown as a bool.

    It says nothing of their data, and the graph does not keep it: to let it choose is a TypeError.
    """

    ADVICE = (
        "a == b asks whether two Values are one and the same, as in micrograd. Compare their data "
        "by (a <= b) & (a >= b), which is recorded, or by a.data == b.data, which is decided now"
    )

    def _refuse(self, other: object = None) -> NoReturn:
        raise TypeError(self.ADVICE)

    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = _refuse

    def __repr__(self) -> str:
        return repr(bool(self))


Walked: TypeAlias = Node | Condition
"""What a graph is made of, where its choices are walked through as well."""


def compare(relation: str, left: Node, right: Any) -> Condition:
    """The condition that a Value is in a relation with another, or with a number."""
    number = right.data if is_node(right) else right
    return Condition(RELATIONS[relation](left.data, number), relation, left, right)


def _truth(x: Condition | bool) -> bool:
    return x.truth if isinstance(x, Condition) else x


@dataclass(frozen=True, eq=False, init=False, repr=False, kw_only=True)
class Choice(Operation):
    """The operation of one `where` that was recorded: it passes on the branch that was taken.

    condition: what decided.
    if_true, if_false: both branches; the one that was taken is the operand of the Value as well.
    alike: whether they are two forms of one function, so that it makes no difference.
    """

    condition: Condition
    if_true: Any  # Values, which stand on this module
    if_false: Any

    # What all choices have in common stands in the class: a graph may hold many of them.
    alike = False
    name = symbol = "where"
    forward = staticmethod(lambda taken: taken)
    partials = staticmethod(lambda m, out, taken: (1.0,))
    spelling = MappingProxyType({})

    def __init__(self, condition: Condition, if_true: Any, if_false: Any) -> None:
        for name, x in (("condition", condition), ("if_true", if_true), ("if_false", if_false)):
            object.__setattr__(self, name, x)

    @property
    def branches(self) -> tuple[Any, Any]:
        """`if_true` and `if_false`."""
        return self.if_true, self.if_false

    @property
    def taken(self) -> Any:
        """The branch that the step went through."""
        return self.if_true if self.condition.truth else self.if_false

    def over(self, copy_of: Callable[[Any], Any]) -> Choice:
        """The same choice between other Values."""
        return Choice(*map(copy_of, (self.condition, *self.branches)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Choice:
        return self.over(lambda x: copy.deepcopy(x, memo))

    def __reduce__(self) -> tuple[Callable[..., Choice], tuple[Any, ...]]:
        return Choice, (self.condition, *self.branches)


def is_node(x: object) -> bool:
    """Whether x is a Value, and no number; NumPy's numbers have a `data` too."""
    return hasattr(x, "partials")


# --- Walking ------------------------------------------------------------------------------------


def sources(x: Walked) -> tuple[Any, ...]:
    """The Values and conditions that a Value or a condition refers to."""
    if isinstance(x, Condition):
        return tuple(o for o in x.operands if isinstance(o, Condition) or is_node(o))
    operation = x.operation
    if isinstance(operation, Choice):
        return (operation.condition, *operation.branches)
    return x.operands


def branches(value: Any) -> tuple[Any, ...]:
    """What a Value may pass a gradient on to: of a `where`, both branches."""
    operation = value.operation
    return operation.branches if isinstance(operation, Choice) else value.operands


def whole_order(*roots: Walked, visited: dict[int, Any] | None = None) -> list[Any]:
    """Every Value and every `Condition` that the roots refer to, and the roots: operands first.

    It is `topological_order`, with the conditions of recorded choices, what they compared, and the
    branches that were not taken. `visited`, with what it holds by id, is left out and added to.

    >>> from microgrant import Value, where
    >>> x, a = Value(2.0, "x"), Value(3.0, "a")
    >>> whole_order(where(x > 0, a, 0.0))  # x, the comparison, both branches, the result
    [Value(data=2.0, grad=0.0), True, Value(data=3.0, grad=0.0), ..., Value(data=3.0, grad=0.0)]
    """
    order: list[Any] = []
    visited = {} if visited is None else visited
    stack: list[Any] = list(reversed(roots))
    while stack:
        x = stack.pop()
        if x is None:  # marks that all that the thing below it refers to is in place
            order.append(stack.pop())
        elif id(x) not in visited:  # not the thing itself: conditions are equal when both are true
            visited[id(x)] = x
            if found := sources(x):
                stack += (x, None, *reversed(found))
            else:
                order.append(x)
    return order


def reach_branches(choices: Iterable[Choice], visited: float) -> None:
    """Give the gradient 0 to the leaves of branches that were not taken, if they have none.

    So a parameter that the loss depends on has a gradient, whichever way its `where` went.

    visited: what the nodes have for a gradient that are reached anyhow.
    """
    stack = [branch for choice in choices for branch in choice.branches]
    seen: set[Any] = set()
    while stack:
        node = stack.pop()
        if node._grad is visited or node in seen:
            continue
        seen.add(node)
        if node.operation is None and node._grad is NO_GRADIENT:
            node._grad = 0.0
        stack += branches(node)


class Through(str):
    """The line of a decision on something that was computed from a leaf, and not on the leaf."""

    __slots__ = ()


def note_decision(condition: Condition) -> None:
    """Note on all that a condition depends on which line of the user's program decides on it.

    What is noted already is not walked through again: in all, each Value is visited once.
    """
    line = ""
    stack = [(x, True) for x in sources(condition)]
    while stack:
        x, compared = stack.pop()
        known = getattr(x, "_decided_at", None)
        if known is None or (compared and isinstance(known, Through)):
            line = line or modes.users_line()
            further = sources(x)
            x._decided_at = line if compared or further else Through(line)
            stack.extend((each, isinstance(x, Condition)) for each in further)
