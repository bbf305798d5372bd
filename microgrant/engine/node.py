"""What everybody who walks through a graph may ask of a node of it.

With this module you can

- write a function for whatever is walked:     def names(order: Sequence[Node]) -> list[str]: ...
- see whether backward has been at a node:     node.grad is not NO_GRADIENT

A `Value` is a node. What stands below `microgrant.engine.value` knows no more of it than this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..ops.table import Operation
from .habits import Missing

__all__ = ["NO_GRADIENT", "Node"]


class _NoGradient(float):
    """A zero that can be told apart, by `is`, from a gradient that was computed to be zero."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "NO_GRADIENT"  # saved and copied as this very object

    zero_ = Missing("v.zero_grad() sets it back, and model.zero_grad() those of all parameters")


_NoGradient.__name__ = "float"  # to users it is one

NO_GRADIENT = _NoGradient(0.0)
"""The gradient of a Value which no backward pass has reached yet. It reads as 0.0."""


class Node(Protocol):
    """A number, and the record of how it was computed; see `Value`."""

    grad: float
    operation: Operation | None
    _decided_at: str
    _grad: float  # what `grad` reads, without the call of a property
    _made_at: str
    _anomaly: tuple[int, str] | None

    def _record(self, operation: Operation, operands: Any, partials: Any) -> None:
        """Note what it was computed by, and from what."""

    @property
    def _constant(self) -> bool:
        """Whether an operator made it of a number."""

    @property
    def _backward(self) -> Callable[[], Any]:
        """What hands its gradient on."""

    @property
    def label(self) -> str:
        """A name for drawings."""

    @property
    def data(self) -> float:
        """The number."""

    @property
    def operands(self) -> tuple[Node, ...]:
        """What it was computed from."""

    @property
    def partials(self) -> tuple[float, ...]:
        """Its local derivatives."""
