"""Freeing long chains of nodes in a browser, one node after the other.

Python frees what only a freed object held while it frees that object, and knows how deep it may go.
As WebAssembly it does not, since it cannot see the browser's stack: where some thousand objects
hold each other in a row, be they tuples, the whole program ends. So there, and only there,

- let nodes be freed in turn:     free_in_turn(Value, "operation", "_left", "_right")
"""

from __future__ import annotations

from typing import Any

from ..extras import in_browser

__all__ = ["free_in_turn"]

_waiting: list[object] = []  # what freed nodes held; not empty while one of them sees to it


def free_in_turn(kind: Any, *slots: str) -> None:
    """As an object of a class is freed, let what it held wait until that is done.

    slots: those that refer to other nodes; all that stands in its `__dict__` waits, too.
    """

    def free(node: Any) -> None:
        first = not _waiting
        for slot in slots:
            _waiting.append(getattr(node, slot, None))  # a node that was refused has none of them
            setattr(node, slot, None)
        if notes := getattr(node, "__dict__", None):
            _waiting.append(dict(notes))
            notes.clear()
        if first:
            _waiting.insert(0, None)  # the last to be taken out, when there is nothing to free
            while _waiting:
                _waiting.pop()

    if in_browser():
        kind.__del__ = free
