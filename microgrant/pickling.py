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
import threading
import weakref
from collections.abc import Callable
from typing import Any

from .engine import Value, new, topological_order

__all__ = ["FlatGraph"]


class _Session:
    """What a pickle in progress has laid flat so far: the home of each interior node."""

    def __init__(self) -> None:
        self.visited: set[Value] = set()
        self.homes: dict[Value, tuple[weakref.ref[FlatGraph], int]] = {}

    def home(self, value: Value) -> tuple[FlatGraph, int] | None:
        """The graph that holds an interior node, and the place of the node in it."""
        reference, place = self.homes.get(value, (None, 0))
        graph = reference() if reference else None
        return (graph, place) if graph else None

    def lay_flat(self, value: Value) -> tuple[FlatGraph, int]:
        """A graph of all that is new below an interior node, and the place of the node in it."""
        graph = FlatGraph(value, self)
        reference = weakref.ref(graph)
        self.homes |= {node: (reference, place) for place, node in enumerate(graph.nodes)}
        return graph, len(graph.nodes) - 1


class FlatGraph:
    """The interior nodes below a root that are new to a session, in topological order.

    foundation: what they rest on: leaves, and nodes of the session's earlier graphs.
    """

    def __init__(self, root: Value, session: _Session) -> None:
        # So a session lives for as long as pickle holds one of its graphs, which is until the end.
        self.session = session
        order = topological_order(root, visited=session.visited)
        self.nodes = [node for node in order if node._operation is not None]
        fresh = set(self.nodes)
        operands = (operand for node in self.nodes for operand in node._prev)
        self.foundation = list(dict.fromkeys(x for x in operands if x not in fresh))

    def node(self, place: int) -> Value:
        """The interior node at a place."""
        return self.nodes[place]

    def __getstate__(self) -> tuple[list[Value], list[tuple[Any, ...]]]:
        places = {node: place for place, node in enumerate(self.foundation + self.nodes)}
        rows = []
        for node in self.nodes:
            operands = [places[operand] for operand in node._prev]
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


_thread = threading.local()


def _session(value: Value) -> _Session:
    """The session of the pickle that is in progress in this thread, or a new one."""
    reference = getattr(_thread, "session", None)
    session: _Session | None = reference() if reference else None
    # A second pickle may have outlived the one that held the graph of this value.
    if session is None or (value in session.visited and session.home(value) is None):
        session = _Session()
        _thread.session = weakref.ref(session)
    return session


def _leaf(data: float, grad: float, label: str, constant: bool) -> Value:
    leaf = Value(data)
    leaf.grad, leaf.label = grad, label
    if constant:
        leaf._constant = True
    return leaf


def _reduce(value: Value) -> tuple[Callable[..., Value], tuple[Any, ...]]:
    if value._operation is None:
        return _leaf, (value._data, value.grad, value.label, hasattr(value, "_constant"))
    session = _session(value)
    return FlatGraph.node, session.home(value) or session.lay_flat(value)


copyreg.pickle(Value, _reduce)
