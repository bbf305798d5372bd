"""Save graphs of `Value`s with pickle, however deep they are.

There is nothing to call here: after ``import microgrant``, ``pickle.dumps(loss)`` works, and so do
lists of Values and models. What is shared stays shared: in ``pickle.dumps([d, loss])`` the d of the
copy is the d that its loss was computed from. Not saved is which call of a module made a Value.
An operation of your own (`define`) raises `pickle.PicklingError`, since functions have no data.

Pickle follows references by recursion, and a graph is deeper than Python's stack. So a graph is
laid flat into a `FlatGraph` before pickle sees it, and each of its nodes is saved as a place in it.
"""

from __future__ import annotations

import copyreg
import weakref
from collections.abc import Callable
from typing import Any

from .engine import Value, new, topological_order

__all__ = ["FlatGraph"]

# The flat graphs that some pickle in progress holds. Pickle keeps what it has saved until it is
# done, and then they vanish from here.
_in_progress: weakref.WeakSet[FlatGraph] = weakref.WeakSet()


class FlatGraph:
    """The interior nodes below a root, in topological order, and what they rest on."""

    def __init__(self, root: Value) -> None:
        graphs = list(_in_progress)
        order = topological_order(root)
        known = {
            node for node in order if node._operation is None or _holder(node, graphs) is not None
        }
        self.foundation = [node for node in order if node in known]
        self.nodes = [node for node in order if node not in known]
        self.places = {node: place for place, node in enumerate(self.nodes)}
        _in_progress.add(self)

    def node(self, place: int) -> Value:
        """The interior node at a place."""
        return self.nodes[place]

    def __getstate__(self) -> tuple[list[Value], list[tuple[Any, ...]]]:
        index = {node: i for i, node in enumerate(self.foundation + self.nodes)}
        rows = []
        for node in self.nodes:
            operands = [index[operand] for operand in node._prev]
            record = node._operation, operands, node._partials
            rows.append((node._data, node.grad, node.label, *record))
        return self.foundation, rows

    def __setstate__(self, state: tuple[list[Value], list[tuple[Any, ...]]]) -> None:
        self.foundation, rows = state
        known = list(self.foundation)
        for data, grad, label, operation, operands, partials in rows:
            node = new(Value)
            node._data, node.grad, node.label = data, grad, label
            node._record(operation, [known[i] for i in operands], partials)
            known.append(node)
        self.nodes = known[len(self.foundation) :]
        self.places = {node: place for place, node in enumerate(self.nodes)}


def _holder(node: Value, graphs: list[FlatGraph]) -> FlatGraph | None:
    return next((graph for graph in graphs if node in graph.places), None)


def _leaf(data: float, grad: float, label: str) -> Value:
    leaf = Value(data, label)
    leaf.grad = grad
    return leaf


def _reduce(value: Value) -> tuple[Callable[..., Value], tuple[Any, ...]]:
    if value._operation is None:
        return _leaf, (value._data, value.grad, value.label)
    graph = _holder(value, list(_in_progress)) or FlatGraph(value)
    return FlatGraph.node, (graph, graph.places[value])


copyreg.pickle(Value, _reduce)
