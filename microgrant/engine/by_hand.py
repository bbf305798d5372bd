"""Results that somebody else computed, as programs written for micrograd and microgpt record them.

There is nothing to call here. With `Value` such a program can

- say what a result was computed from:     out = Value(math.exp(x.data), (x,), "exp")
- and how its gradient is handed on:       out._backward = f, where f adds to x.grad
- or give the local derivatives at once:   Value(a.data * b.data, (a, b), (b.data, a.data))
- walk by hand:                            loss.grad = 1.0; loss._backward()

Such a result is drawn, explained and differentiated by `backward`. But how to compute it anew, and
its derivatives, is not known: that takes an operation of one's own, which `define` makes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial as bind
from typing import Any, NoReturn, TypeAlias

from ..ops.table import DETACH, SUM, Operation
from .arguments import as_number, shown
from .conditions import is_node
from .modes import inside, watch
from .node import Node

__all__ = ["ByHand", "Function", "added", "function_of", "give_function", "hand_on"]
__all__ += ["local_derivatives", "record_by_hand"]

Function: TypeAlias = Callable[[], Any]

ADVICE = (
    "a result was computed by hand ({}), and how is not known: for compile() and grad(), make an "
    'operation of it with define("name", forward, partials), and apply that'
)


@dataclass(frozen=True, eq=False, init=False, repr=False, kw_only=True)
class ByHand(Operation):
    """The operation of one result that was computed by hand.

    function: its `_backward`, which adds to the gradients of the operands; `nothing` where nobody
        has given one, and None where the local derivatives were given.
    """

    function: Function | None

    def __init__(self, sign: str, arity: int, function: Function | None = None) -> None:
        places = [f"{{{place}}}" for place in range(arity)]
        written = sign.replace("{", "{{").replace("}", "}}")
        text, latex = f"{written}({', '.join(places)})", rf"\circ\left({', '.join(places)}\right)"
        if sign.isidentifier():
            word = sign.replace("_", r"\_")
            latex = rf"\operatorname{{{{{word}}}}}" + latex.removeprefix(r"\circ")
        elif arity == 2:
            text, latex = f" {written} ".join(places), r" \circ ".join(places)
        refuse = bind(_refuse, sign)  # no method of its own, which would refer back to it
        super().__init__(
            name=sign if sign.isidentifier() else "by_hand",
            forward=refuse,
            partials=refuse,
            domain=((-3.0, 3.0),) * arity,
            symbol=sign,
            spelling={"text": text, "latex": latex},
            precedence=SUM,
        )
        object.__setattr__(self, "function", function)

    @property
    def advice(self) -> str:
        """Why it can be neither compiled nor differentiated but once, and what to do."""
        return ADVICE.format(self.symbol)

    def check_copied(self) -> None:
        """A TypeError, if a copy of the result would not be one."""
        if self.function not in (None, nothing):
            raise TypeError(
                f"a result computed by hand ({self.symbol}) cannot be copied or saved: its "
                "`_backward` is a function of the program's own, which would go on adding to the "
                "gradients of the original"
            )

    def __reduce__(self) -> tuple[Callable[..., ByHand], tuple[Any, ...]]:
        self.check_copied()
        if self.function is None:
            return _given, (self.symbol, self.arity)
        return ByHand, (self.symbol, self.arity, nothing)


@lru_cache(maxsize=256)
def _given(sign: str, arity: int) -> ByHand:
    """The operation of all results whose local derivatives were given: it knows nothing of them."""
    return ByHand(sign, arity)


def _refuse(sign: str, *_: object) -> NoReturn:
    raise TypeError(ADVICE.format(sign))


def record_by_hand(result: Node, operands: Any, how: Any) -> None:
    """Note what a result was computed from, and by what: a sign, or the local derivatives."""
    if not isinstance(operands, (tuple, list)) or not all(map(is_node, operands)):
        raise TypeError(
            "the second thing that a Value is given is its label, a text, or the tuple of Values "
            f"that it was computed from, as in Value(5.0, (a, b), '+'), but got {shown(operands)}"
        )
    many = len(operands)
    partials: tuple[float | None, ...]
    if isinstance(how, str):
        operation, partials = ByHand(how or "·", many, nothing), (None,) * many
    elif isinstance(how, (tuple, list)) and len(how) == many:
        operation, partials = _given("·", many), tuple(map(as_number, how))
    else:
        raise TypeError(
            "the third thing that a Value is given is the sign of its operation, a text, or the "
            f"tuple of its local derivatives, here {many}, but got {shown(how)}"
        )
    watch(result, operation, operands, where=False)
    if operands and not inside("no_grad"):
        result._record(operation, tuple(operands), partials)


def nothing() -> None:
    """The `_backward` of a result of which nobody has said how it hands its gradient on."""


def function_of(result: Node) -> Function | None:
    """The `_backward` that was given to a result, if one was."""
    operation = result.operation
    return operation.function if isinstance(operation, ByHand) else None


def give_function(result: Node, function: Function) -> None:
    """Have `backward` call a function of somebody's own for this result.

    A leaf has nothing to hand on: there, nobody calls it.
    """
    if not callable(function):
        raise TypeError(f"a _backward is a function without arguments, but got {shown(function)}")
    if function_of(result):
        object.__setattr__(result.operation, "function", function)
    elif result.operation is not None:
        operands = result.operands
        operation = ByHand(result.operation.symbol, len(operands), function)
        result._record(operation, operands, (None,) * len(operands))


def hand_on(result: Node, operands: tuple[Node, ...], partials: tuple[float, ...]) -> None:
    """The chain rule for one result: add its gradient, times each partial, to the operand's."""
    if result.operation is not DETACH:
        for operand, partial in zip(operands, partials, strict=True):
            operand._grad += partial * result._grad


def added(result: Node, upstream: float) -> tuple[float, ...]:
    """What the `_backward` of a result adds to the gradient of each operand, for one of its own.

    It is tried, and then all gradients are put back. What it adds to an operand that was used twice
    counts for the first use.
    """
    nodes = [*dict.fromkeys((*result.operands, result))]
    before = [node.grad for node in nodes]
    try:
        for node in nodes:
            node.grad = 0.0
        result.grad = upstream
        result._backward()
        gradients = {node: float(node.grad) for node in nodes}
    finally:
        for node, gradient in zip(nodes, before, strict=True):
            node.grad = gradient
    return tuple(gradients.pop(operand, 0.0) for operand in result.operands)


def local_derivatives(result: Node, upstream: float) -> tuple[float, ...]:
    """The `partials` of a result, as the gradient `upstream` meets them: a `_backward` of one's
    own need not add in proportion to it."""
    if function_of(result) is None or upstream == 0 or not math.isfinite(upstream):
        return result.partials
    return tuple(contribution / upstream for contribution in added(result, upstream))
