"""Copies of graphs, however deep: a node is taken apart into a row, and put together elsewhere.

With this module you can

- copy all that a node depends on:     deep_copy(loss, memo)
- take a node apart:                   row = flat(node, place_of)
- put it together:                     filled(blank, row, nodes.__getitem__)

`copy.deepcopy` and pickle follow references by recursion, and a graph is deeper than Python's
stack; so `Value` copies its graph with this, and `microgrant.engine.pickling` saves the rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from itertools import takewhile
from types import MemberDescriptorType
from typing import Any

from .by_hand import ByHand
from .conditions import Choice, Condition, Walked, sources, whole_order

__all__ = ["copied", "deep_copy", "filled", "flat", "notes_of"]


def flat(node: Walked, reference: Callable[[Any], Any]) -> tuple[Any, ...]:
    """What is to be known of a Value or a `Condition`: plain data, and references to other nodes.

    reference: what stands in the row for a node that this one refers to.
    """
    if isinstance(node, Condition):
        return node.truth, node.relation, list(map(reference, node.operands))
    if isinstance(node.operation, ByHand):
        node.operation.check_copied()
    choice = isinstance(node.operation, Choice)
    operation = list(map(reference, sources(node))) if choice else node.operation
    operands = list(map(reference, node.operands))
    return node.data, node.grad, operation, operands, node.partials, node._constant


def notes_of(node: Walked) -> dict[str, Any]:
    """The attributes of its own that a Value has: ours, and those of a user's."""
    return {} if isinstance(node, Condition) else vars(node)


def slots_of(node: Walked) -> dict[str, Any]:
    """What stands in the slots that a user's subclass of `Value` has."""
    kind: Any = node.__class__
    names = own_slots(kind)
    return {name: getattr(node, name) for name in names if hasattr(node, name)}


@lru_cache(maxsize=256)
def own_slots(kind: Any) -> tuple[str, ...]:
    """The slots that a subclass of `Value` has besides those of a Value."""
    if issubclass(kind, Condition):
        return ()
    subclasses = takewhile(lambda each: "_record" not in vars(each), kind.__mro__)
    slots = (item for each in subclasses for item in vars(each).items())
    return tuple(name for name, slot in slots if isinstance(slot, MemberDescriptorType))


def filled(blank: Any, row: tuple[Any, ...], resolve: Callable[[Any], Any]) -> Any:
    """The node that a row describes. blank: a new Value, not initialised, if it is to be one.

    resolve: the node that a reference of the row stands for.
    """
    if len(row) == 3:
        truth, relation, operands = row
        return Condition(truth, relation, *map(resolve, operands))
    data, grad, operation, operands, partials, constant = row
    if isinstance(operation, list):
        operation = Choice(*map(resolve, operation))
    blank._data, blank.grad = data, grad
    blank.operation, blank._left, blank._right = None, None, None if constant else ()
    if operation is not None:
        blank._record(operation, tuple(map(resolve, operands)), partials)
    return blank


def copied(node: Walked, copy_of: Callable[[Any], Any]) -> Any:
    """The same record, over other operands."""
    twin = filled(object.__new__(node.__class__), flat(node, copy_of), lambda x: x)
    notes_of(twin).update(notes_of(node))
    for name, x in slots_of(node).items():
        setattr(twin, name, x)
    return twin


def deep_copy(root: Walked, memo: dict[int, Any]) -> Any:
    """A copy of the whole graph below a Value; `memo` is that of `copy.deepcopy`."""

    def copy_of(x: Any) -> Any:
        return memo.get(id(x), x)  # a number that was compared has no copy

    fresh = whole_order(root, visited=memo)
    for node in fresh:
        memo[id(node)] = copied(node, copy_of)
    for node in fresh:  # once every operand has its copy, so that this cannot go deep
        if notes := notes_of(node):
            notes_of(memo[id(node)]).update(copy.deepcopy(notes, memo))
        twin = memo[id(node)]
        for name, x in slots_of(node).items():
            setattr(twin, name, copy.deepcopy(x, memo))
    return memo[id(root)]
