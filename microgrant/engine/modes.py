"""Modes of recording: nothing at all, or with a check for the first nan or inf.

With this module you can

- record nothing for a while:        with no_grad(): ...
- find where a nan or inf comes up:  with detect_anomaly(): ...

A mode holds for the thread that is inside of its block, and for nobody else.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType

from ..ops.table import Operation
from .node import Node

__all__ = ["AnomalyError", "detect_anomaly", "no_grad"]


# A frame is ours if its file lies anywhere in the package, the folder above this one.
PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
CARRIERS = {"numpy", "pandas", "polars", "scipy"}  # whose arrays and tables may hold Values


@dataclass(frozen=True, eq=False)
class _Block:
    """A ``with`` block. It is open or closed for everybody: a generator may enter it in one thread
    and leave it in another, or after blocks that began later."""

    mode: str


_entered: ContextVar[tuple[_Block, ...]] = ContextVar("entered", default=())
open_blocks: list[_Block] = []
"""The blocks that are open, in all threads. While there is none, an operation need not look for
those of its own thread, which takes longer than adding two numbers."""


@contextmanager
def _mode(mode: str) -> Iterator[None]:
    block = _Block(mode)
    _entered.set((*(other for other in _entered.get() if other in open_blocks), block))
    open_blocks.append(block)
    try:
        yield
    finally:
        open_blocks.remove(block)


def inside(mode: str) -> bool:
    """Whether this thread is inside of a block of a mode."""
    return any(block.mode == mode and block in open_blocks for block in _entered.get())


def no_grad() -> AbstractContextManager[None]:
    """Inside ``with no_grad():``, operations compute values and record nothing.

    >>> from microgrant import Value
    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.data, y.operands
    (9.0, ())
    """
    return _mode("no_grad")


class AnomalyError(FloatingPointError):
    """A nan or an inf came up inside ``with detect_anomaly():``."""


def detect_anomaly() -> AbstractContextManager[None]:
    """Inside ``with detect_anomaly():``, the first nan or inf raises an `AnomalyError`.

    It names the operation, its operands, and the line of your program that made the node, in the
    forward pass and in `backward`. No gradient is touched when `backward` raises. It costs time:
    use it to find a mistake, not to train.

    >>> from microgrant import Value
    >>> with detect_anomaly():
    ...     y = Value(0.0, label="x").log()
    Traceback (most recent call last):
        ...
    microgrant.engine.modes.AnomalyError: log(x = 0.0) is -inf, made by <doctest ...>, line 2
    """
    return _mode("detect_anomaly")


def _users_frame() -> tuple[FrameType, int]:
    """Where the user's program called this package, and how many calls that is above this one."""
    level, frame = 0, sys._getframe(0)
    while frame.f_back is not None and not _is_users(frame):
        level, frame = level + 1, frame.f_back
    return frame, level


def _is_users(frame: FrameType) -> bool:
    library = str(frame.f_globals.get("__name__")).partition(".")[0]
    return not frame.f_code.co_filename.startswith(PACKAGE) and library not in CARRIERS


def users_line() -> str:
    """The line of the user's program that called this package: "file, line N"."""
    frame, _ = _users_frame()
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def warn(message: str, category: type[Warning]) -> None:
    """Warn, pointing at the line of the user's program that called this package."""
    _, level = _users_frame()
    warnings.warn(message, category, stacklevel=level)


def check_value(operation: Operation, operands: Sequence[Node], data: float) -> str:
    """The line of the user's program that applies an operation; an error for a nan or an inf."""
    made_at = users_line()
    if not math.isfinite(data):
        call = f"{operation.name}({', '.join(map(_named, operands))})"
        raise AnomalyError(f"{call} is {data}, made by {made_at}")
    return made_at


def check_gradients(order: Sequence[Node], seed: float) -> None:
    """Go through the backward pass on the side: an error for the first nan or inf in it."""
    gradients = dict.fromkeys(order, 0.0)
    gradients[order[-1]] = seed
    for node in reversed(order):
        upstream = gradients[node]
        made = f", made by {node._made_at}" if hasattr(node, "_made_at") else ""
        if not math.isfinite(upstream):
            raise AnomalyError(f"the gradient of {_described(node)} adds up to {upstream}{made}")
        for operand, partial in zip(node.operands, node.partials, strict=True):
            contribution = partial * upstream
            if not math.isfinite(contribution):
                raise AnomalyError(
                    f"the gradient of {_described(node)} with respect to {_named(operand)} is "
                    f"upstream {upstream} × local {partial} = {contribution}{made}"
                )
            gradients[operand] += contribution


def _described(node: Node) -> str:
    if node.operation is None:
        return _named(node)
    return f"{node.operation.name}({', '.join(map(_named, node.operands))})"


def _named(node: Node) -> str:
    return f"{node.label} = {node.data}" if node.label else f"{node.data}"
