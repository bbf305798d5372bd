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
from typing import Any

from .conditions import Choice, Condition, Walked, sources, whole_order

__all__ = ["copied", "deep_copy", "filled", "flat"]


def flat(node: Walked, reference: Callable[[Any], Any]) -> tuple[Any, ...]:
    """What is to be known of a Value or a `Condition`: plain data, and references to other nodes.

    reference: what stands in the row for a node that this one refers to.
    """
    if isinstance(node, Condition):
        return node.truth, node.relation, list(map(reference, node.operands))
    choice = isinstance(node.operation, Choice)
    operation = list(map(reference, sources(node))) if choice else node.operation
    operands = list(map(reference, node.operands))
    notes = hasattr(node, "_constant"), getattr(node, "_decided_at", "")
    return node.data, node.grad, node.label, operation, operands, node.partials, *notes


def filled(blank: Any, row: tuple[Any, ...], resolve: Callable[[Any], Any]) -> Any:
    """The node that a row describes. blank: a new Value, not initialised, if it is to be one.

    resolve: the node that a reference of the row stands for.
    """
    if len(row) == 3:
        truth, relation, operands = row
        return Condition(truth, relation, *map(resolve, operands))
    data, grad, label, operation, operands, partials, constant, decided_at = row
    if isinstance(operation, list):
        operation = Choice(*map(resolve, operation))
    if operation is None:
        blank._data, blank.operation, blank._left, blank._right = data, None, None, ()
    else:
        blank._record(data, operation, tuple(map(resolve, operands)), partials)
    blank.grad, blank.label = grad, label
    if constant:
        blank._constant = True
    if decided_at:
        blank._decided_at = decided_at
    return blank


def copied(node: Walked, copy_of: Callable[[Any], Any]) -> Any:
    """The same record, over other operands."""
    twin = filled(object.__new__(node.__class__), flat(node, copy_of), lambda x: x)
    if hasattr(node, "__dict__"):  # a subclass may hold more
        vars(twin).update(vars(node))
    return twin


def deep_copy(root: Walked, memo: dict[int, Any]) -> Any:
    """A copy of the whole graph below a Value; `memo` is that of `copy.deepcopy`."""

    def copy_of(x: Any) -> Any:
        return memo.get(id(x), x)  # a number that was compared has no copy

    fresh = whole_order(root, visited=memo)
    for node in fresh:
        memo[id(node)] = copied(node, copy_of)
    for node in fresh:  # once every operand has its copy, so that this cannot go deep
        if hasattr(node, "_scope"):
            memo[id(node)]._scope = copy.deepcopy(node._scope, memo)
        if hasattr(node, "__dict__"):
            vars(memo[id(node)]).update(copy.deepcopy(vars(node), memo))
    return memo[id(root)]
