"""What everybody who walks through a graph may ask of a node of it.

With this module you can

- write a function for whatever is walked:     def names(order: Sequence[Node]) -> list[str]: ...

A `Value` is a node. What stands below `microgrant.engine.value` knows no more of it than this.
"""

from __future__ import annotations

from typing import Protocol

from ..ops.table import Operation

__all__ = ["Node"]


class Node(Protocol):
    """A number, and the record of how it was computed; see `Value`."""

    grad: float
    label: str
    operation: Operation | None
    _decided_at: str
    _made_at: str

    @property
    def data(self) -> float:
        """The number."""

    @property
    def operands(self) -> tuple[Node, ...]:
        """What it was computed from."""

    @property
    def partials(self) -> tuple[float, ...]:
        """Its local derivatives."""
