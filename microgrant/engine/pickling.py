"""Save graphs of `Value`s with pickle, however deep they are.

There is nothing to call here: after ``import microgrant``, ``pickle.dumps(loss)`` works, and so do
lists of Values and models. What is shared stays shared: in ``pickle.dumps([d, loss])`` the d of the
copy is the d that its loss was computed from. Not saved is which call of a module made a Value.
An operation of your own (`define`) is saved by the names of its functions: they have to stand at
the top of a module, or there is a `pickle.PicklingError`.

Pickle follows references by recursion, and a graph is deeper than Python's stack. So a graph is
laid flat into a `FlatGraph` before pickle sees it, and each of its nodes is saved as a place in it.
"""

from __future__ import annotations

import copyreg
import threading
import weakref
from typing import Any, TypeAlias

from .conditions import Condition, sources, whole_order
from .copying import filled, flat, notes_of
from .value import Value, new

__all__ = ["FlatGraph"]

Walked: TypeAlias = Value | Condition


class _Session:
    """What a pickle in progress has laid flat so far: the home of each interior node, by id."""

    def __init__(self) -> None:
        self.visited: dict[int, Walked] = {}
        self.homes: dict[int, tuple[weakref.ref[FlatGraph], int]] = {}

    def home(self, node: Walked) -> tuple[FlatGraph, int] | None:
        """The graph that holds an interior node, and the place of the node in it."""
        reference, place = self.homes.get(id(node), (None, 0))
        graph = reference() if reference else None
        return (graph, place) if graph else None

    def lay_flat(self, node: Walked) -> tuple[FlatGraph, int]:
        """A graph of all that is new below an interior node, and the place of the node in it."""
        graph = FlatGraph(node, self)
        reference = weakref.ref(graph)
        self.homes |= {id(node): (reference, place) for place, node in enumerate(graph.nodes)}
        return graph, len(graph.nodes) - 1


class FlatGraph:
    """The interior nodes below a root that are new to a session, in topological order; with them,
    the conditions of recorded choices, and what these compared or did not take.

    foundation: what they rest on: leaves, and nodes of the session's earlier graphs.
    """

    def __init__(self, root: Walked, session: _Session) -> None:
        # So a session lives for as long as pickle holds one of its graphs, which is until the end.
        self.session = session
        order = whole_order(root, visited=session.visited)
        self.nodes: list[Walked] = [node for node in order if not _is_leaf(node)]
        fresh = set(map(id, self.nodes))
        below = {id(x): x for node in self.nodes for x in sources(node) if id(x) not in fresh}
        self.foundation: list[Walked] = list(below.values())

    def node(self, place: int) -> Walked:
        """The interior node at a place."""
        if not hasattr(self, "nodes"):  # being read: a note of its own nodes refers to this one
            return self._blanks().setdefault(place, new(Value))
        return self.nodes[place]

    def _blanks(self) -> dict[int, Value]:
        blanks: dict[int, Value] = vars(self).setdefault("blanks", {})
        return blanks

    def __getstate__(self) -> tuple[list[Walked], list[tuple[Any, ...]], dict[int, dict[str, Any]]]:
        places = {id(node): place for place, node in enumerate(self.foundation + self.nodes)}
        # A number that was compared is no node; in a list, it is told apart from a place.
        rows = [flat(node, lambda x: places.get(id(x), [x])) for node in self.nodes]
        notes = {place: _notes(node) for place, node in enumerate(self.nodes) if _notes(node)}
        return self.foundation, rows, notes

    def __setstate__(
        self, state: tuple[list[Walked], list[tuple[Any, ...]], dict[int, dict[str, Any]]]
    ) -> None:
        self.foundation, rows, notes = state
        known = list(self.foundation)
        blanks = self._blanks()
        for place, row in enumerate(rows):
            blank = blanks.get(place, new(Value))
            known.append(filled(blank, row, lambda x: x[0] if isinstance(x, list) else known[x]))
        self.nodes = known[len(self.foundation) :]
        for place, own in notes.items():
            notes_of(self.nodes[place]).update(own)


def _notes(node: Walked) -> dict[str, Any]:
    """The attributes to be saved: which call of a module made a Value is not."""
    return {name: x for name, x in notes_of(node).items() if name != "_scope"}


def _is_leaf(node: Walked) -> bool:
    return isinstance(node, Value) and node.operation is None


_thread = threading.local()


def _session(node: Walked) -> _Session:
    """The session of the pickle that is in progress in this thread, or a new one."""
    reference = getattr(_thread, "session", None)
    session: _Session | None = reference() if reference else None
    # A second pickle may have outlived the one that held the graph of this node.
    if session is None or (id(node) in session.visited and session.home(node) is None):
        session = _Session()
        _thread.session = weakref.ref(session)
    return session


def _leaf(*row: Any) -> Value:
    leaf: Value = filled(new(Value), row, lambda x: x)
    return leaf


def _reduce(node: Walked) -> tuple[Any, ...]:
    if _is_leaf(node):
        return _leaf, flat(node, lambda x: x), _notes(node) or None
    session = _session(node)
    return FlatGraph.node, session.home(node) or session.lay_flat(node)


copyreg.pickle(Value, _reduce)
copyreg.pickle(Condition, _reduce)
