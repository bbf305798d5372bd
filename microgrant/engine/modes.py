"""Modes of recording: nothing at all, or with a check for the first nan or inf.

With this module you can

- record nothing for a while:        with no_grad(): ...
- find where a nan or inf comes up:  with detect_anomaly(): ...

A mode holds for the thread that is inside of its block, and for nobody else.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from functools import wraps
from inspect import (
    CO_ASYNC_GENERATOR,
    CO_GENERATOR,
    isasyncgenfunction,
    iscoroutinefunction,
    isgeneratorfunction,
)
from types import FrameType
from typing import Any, TypeVar, cast, overload

from ..ops.table import DETACH, Operation
from .node import Node

__all__ = ["AnomalyError", "detect_anomaly", "no_grad"]

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

# A frame is ours if its file lies anywhere in the package, the folder above this one.
PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
CARRIERS = {"numpy", "pandas", "polars", "scipy"}  # whose arrays and tables may hold Values


class _Block:
    """A ``with`` block. It is open or closed for everybody: a generator may enter it in one thread
    and leave it in another, or after blocks that began later.

    generator: the frame of the generator that the block stands in, if it stands in one.
    ends: by id, what a nan or inf has gone into, and which went nowhere from there.
    """

    def __init__(self, mode: str, generator: FrameType | None) -> None:
        self.mode, self.generator = mode, generator
        self.ends: dict[int, Node] = {}

    def holds(self) -> bool:
        """Whether it is open, and no generator's that waits: its consumer is not inside."""
        return self in open_blocks and (self.generator is None or self.generator.f_back is not None)


_entered: ContextVar[tuple[_Block, ...]] = ContextVar("entered", default=())
open_blocks: list[_Block] = []
"""The blocks that are open, in all threads. While there is none, an operation need not look for
those of its own thread, which takes longer than adding two numbers."""


class Mode:
    """What `no_grad` and `detect_anomaly` return: for a ``with`` statement, or as a decorator."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._blocks: list[_Block] = []

    def __enter__(self) -> None:
        block = _Block(self._mode, _generators_frame())
        _entered.set((*(other for other in _entered.get() if other in open_blocks), block))
        open_blocks.append(block)
        self._blocks.append(block)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # That of this thread: one `no_grad()` may be entered in several, and again within itself.
        own = [block for block in _entered.get() if block in self._blocks]
        block = own[-1] if own else self._blocks[-1]
        self._blocks.remove(block)
        open_blocks.remove(block)
        anomaly = _first(block.ends.values()) if block.ends else ""
        block.generator, block.ends = None, {}  # the context may refer to it for longer
        if kind is None and anomaly:
            raise AnomalyError(anomaly)

    def __call__(self, function: F) -> F:
        """The function, each call of which is such a block; of a generator, each of its runs."""
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"{self._mode} is for a block or a function, but got {function!r}")

        @wraps(function)
        def in_block(*args: Any, **named: Any) -> Any:
            with Mode(self._mode):
                return function(*args, **named)

        @wraps(function)
        def generator_in_block(*args: Any, **named: Any) -> Any:
            with Mode(self._mode):
                return (yield from function(*args, **named))

        @wraps(function)
        async def coroutine_in_block(*args: Any, **named: Any) -> Any:
            with Mode(self._mode):
                return await function(*args, **named)

        @wraps(function)
        async def async_generator_in_block(*args: Any, **named: Any) -> Any:
            with Mode(self._mode):
                async for x in function(*args, **named):
                    yield x

        kinds: dict[Callable[[object], bool], Any] = {
            isgeneratorfunction: generator_in_block,
            iscoroutinefunction: coroutine_in_block,
            isasyncgenfunction: async_generator_in_block,
        }
        made = next((each for is_one, each in kinds.items() if is_one(function)), in_block)
        return cast(F, made)


def _generators_frame() -> FrameType | None:
    """The generator that a ``with`` statement stands in; not one that is itself made a block by
    `contextlib.contextmanager`, which waits so that others are inside."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        makes_block = frame.f_code.co_flags & CO_GENERATOR and _is_contextlibs(frame.f_back)
        if not (makes_block or _is_contextlibs(frame)):
            break
        frame = frame.f_back
    return frame if frame.f_code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) else None


def _is_contextlibs(frame: FrameType) -> bool:
    return frame.f_code.co_filename == contextlib.__file__


def _around(mode: str) -> Iterator[_Block]:
    """The blocks of a mode that this thread is inside of, from the inmost out."""
    return (x for x in reversed(_entered.get()) if x.mode == mode and x.holds())


def inside(mode: str) -> bool:
    """Whether this thread is inside of a block of a mode."""
    return any(True for _ in _around(mode))


def recording(function: Callable[..., R], *arguments: Any) -> R:
    """What a function returns that has to record, also inside of ``with no_grad():``."""
    context = copy_context()
    context.run(_entered.set, tuple(x for x in _entered.get() if x.mode != "no_grad"))
    return context.run(function, *arguments)


@overload
def no_grad() -> Mode: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: F | None = None) -> Mode | F:
    """Inside ``with no_grad():``, operations compute values and record nothing.

    Above a function, ``@no_grad()`` or ``@no_grad`` makes each call such a block. A generator that
    waits inside of one lets its consumer record, unless `contextlib.contextmanager` makes a block
    of it.

    >>> from microgrant import Value
    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.data, y.operands
    (9.0, ())
    """
    block = Mode("no_grad")
    return block if function is None else block(function)


class AnomalyError(FloatingPointError):
    """A nan or an inf came up inside ``with detect_anomaly():``."""


@overload
def detect_anomaly() -> Mode: ...
@overload
def detect_anomaly(function: F) -> F: ...
def detect_anomaly(function: F | None = None) -> Mode | F:
    """Inside ``with detect_anomaly():``, the first nan or inf raises an `AnomalyError`.

    It names the operation, its operands, and the line of your program that made the node, in the
    forward pass and in `backward`. It is raised by a `backward` or `grad` that would go through the
    node, or else at the end of the block: what only a branch depends on that no `where` took is in
    order. No gradient is touched when `backward` raises. It costs time: use it to find a mistake,
    not to train.

    >>> from microgrant import Value, where
    >>> x = Value(0.0, label="x")
    >>> with detect_anomaly():
    ...     y = where(x > 0, x.log(), 0.0) * 2
    ...     z = x.log() * 2
    Traceback (most recent call last):
        ...
    microgrant.engine.modes.AnomalyError: log(x = 0.0) is -inf, made by <doctest ...>, line 3
    """
    block = Mode("detect_anomaly")
    return block if function is None else block(function)


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


def watch(result: Node, operation: Operation, operands: Sequence[Node], where: bool) -> None:
    """Note, inside of `detect_anomaly`, by which line a result was made, and from which nan or inf.

    where: whether it only passes one of its operands on.
    """
    block = next(_around("detect_anomaly"), None)
    if block is None:
        return
    result._made_at = users_line()
    anomaly = min((x._anomaly for x in operands if x._anomaly), default=None)
    if anomaly is None and not where and not math.isfinite(result.data):
        call = f"{operation.name}({', '.join(map(_named, operands))})"
        anomaly = next(_count), f"{call} is {result.data}, made by {result._made_at}"
    if anomaly:
        result._anomaly = anomaly
        excuse(operands)
        block.ends[id(result)] = result


_count = itertools.count()


def _first(nodes: Iterable[Node]) -> str:
    return min(node._anomaly for node in nodes if node._anomaly)[1]


def excuse(nodes: Iterable[object]) -> None:
    """No nan or inf ends at these nodes: it goes on from there, or a `where` did not take it."""
    for node in nodes:
        for block in _around("detect_anomaly"):
            block.ends.pop(id(node), None)


def check_gradients(order: Sequence[Node], seed: float) -> None:
    """Go through the backward pass on the side: an error for the first nan or inf in it, or in the
    forward pass before."""
    if any(node._anomaly for node in order):
        excuse(order)
        raise AnomalyError(_first(order))
    gradients = dict.fromkeys(order, 0.0)
    gradients[order[-1]] = seed
    for node in reversed(order):
        if node.operation is DETACH:
            continue
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
