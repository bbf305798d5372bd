"""The engine: a `Value` records the arithmetic done on it, and `backward` differentiates it.

With this module you can

- compute with Values as with numbers:       loss = (w * x + b - y) ** 2
- differentiate the result:                  loss.backward(); print(w.grad)
- see how a number came about:               loss.operation, loss.operands, loss.partials
- walk the graph, operands before results:   topological_order(loss)

A graph is the record of a step that happened. Each node keeps its operands in order, and the local
derivatives as they were at the forward pass: changing `.data` later does not change the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ..ops.table import DETACH, FLOATS, OPERATIONS, Operation
from .arguments import RealNumber, as_number, shown, unboxed
from .arithmetic import Arithmetic, is_operand
from .by_hand import added, record_by_hand
from .conditions import Choice, Condition, reach_branches
from .freeing import free_in_turn
from .habits import GRAD, refuse
from .modes import check_gradients, inside, open_blocks, watch
from .node import NO_GRADIENT

__all__ = ["NO_GRADIENT", "Value", "as_value", "topological_order"]

ADD, MUL = OPERATIONS["add"], OPERATIONS["mul"]
new = object.__new__  # without __init__, which looks at what a user gave


class Value(Arithmetic["Value"]):
    """One number, and the record of how it was computed.

    data: the number, a float.
    grad: the derivative of the value that `backward` was called on, with respect to this one;
        0.0 before that.
    label: a name for drawings.
    operation: the entry of the table of operations that made this; None for a leaf.
    operands, partials: what it was applied to, and the derivatives with respect to that.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> c = a * b + a
    >>> c.backward()
    >>> c, a.grad, b.grad
    (Value(data=-4.0, grad=1.0), -2.0, 2.0)

    Comparisons are by data, and give a `Condition`, which is true or false; but ``a == b`` asks
    whether two Values are one and the same. What was computed by hand is recorded as in micrograd,
    ``Value(data, (a, b), "+")``, or as in microgpt: see `microgrant.engine.by_hand`. NumPy's
    functions are recorded too, ``np.exp(a)``: see `microgrant.engine.ufuncs`.
    """

    # Two operands stand in two slots: a tuple would be one object more for the garbage collector to
    # look at, which took half of a step's time. Else `_right` is a tuple, of all but the first.
    __slots__ = (
        "__dict__", "__weakref__",  # for what you note on a Value, and what few have: a label
        "_data", "_grad", "_left", "_left_partial", "_right", "_right_partial", "operation",
    )  # fmt: skip

    def __init__(
        self, data: RealNumber, _children: str | Sequence[Value] = (),
        _op: str | Sequence[float] = "", label: str = "",
    ) -> None:  # fmt: skip
        if isinstance(_children, str):  # Value(2.0, "a")
            label, _children = _children, ()
        self._data: float = data if data.__class__ is float else as_number(data)
        self._grad: float = NO_GRADIENT
        if label.__class__ is not str or label:
            self.label = label
        self.operation: Operation | None = None
        self._left: Value | None = None
        self._right: Any = ()
        if _children.__class__ is not tuple or _children:
            record_by_hand(self, _children, _op)

    @property
    def data(self) -> float:
        """The number. Assigning to it does not change what has been recorded from it."""
        return self._data

    @data.setter
    def data(self, number: RealNumber) -> None:
        self._data = number if number.__class__ is float else as_number(number)

    @property
    def grad(self) -> float:
        """The gradient; it reads as 0.0 where there is none yet, and None says that there is none.

        The engine itself goes to `_grad`, and to `_data`: it knows what is in them.
        """
        return self._grad

    @grad.setter
    def grad(self, gradient: RealNumber | None) -> None:
        if gradient.__class__ is float:
            self._grad = gradient
        else:
            none = gradient is None or gradient is NO_GRADIENT
            self._grad = NO_GRADIENT if none else as_number(gradient)

    @property
    def operands(self) -> tuple[Value, ...]:
        """The Values that this was computed from, in order: ``a * a`` has two."""
        left, right = self._left, self._right
        if left is None:
            return ()
        return (left, *right) if right.__class__ is tuple else (left, right)

    @property
    def partials(self) -> tuple[float, ...]:
        """The derivatives of this with respect to each operand, as they were when it was made."""
        if self._left is None:
            return ()
        left, right = self._left_partial, self._right_partial
        if left is None:
            return added(self, 1.0)
        return (left, *right) if right.__class__ is tuple else (left, right)

    _prev = _children = operands  # what micrograd and microgpt call them
    _local_grads = partials

    # --- Forward: compute, and record -----------------------------------------------------------
    # Spelled out, five times as fast as by `_apply`. The others are a line each in what we inherit.

    def __add__(self, other: Number) -> Value:
        if other.__class__ is not Value:
            if not is_operand(other):
                return NotImplemented
            other = as_value(other)
        if open_blocks:  # of no_grad() or detect_anomaly()
            return self._apply(ADD, self, other)
        out = new(Value)
        out._data, out._grad = self._data + other._data, NO_GRADIENT
        out.operation, out._left, out._right = ADD, self, other
        out._left_partial = out._right_partial = 1.0
        return out

    def __mul__(self, other: Number) -> Value:
        if other.__class__ is not Value:
            if not is_operand(other):
                return NotImplemented
            other = as_value(other)
        if open_blocks:
            return self._apply(MUL, self, other)
        out = new(Value)
        out._data, out._grad = self._data * other._data, NO_GRADIENT
        out.operation, out._left, out._right = MUL, self, other
        out._left_partial, out._right_partial = other._data, self._data
        return out

    def __radd__(self, other: Number) -> Value:
        return as_value(other) + self if is_operand(other) else NotImplemented

    def __rmul__(self, other: Number) -> Value:
        return as_value(other) * self if is_operand(other) else NotImplemented

    @staticmethod
    def _apply(operation: Operation, *operands: Number) -> Value:
        """The Value of an operation: computed, and recorded."""
        values = tuple([x if x.__class__ is Value else as_value(x) for x in operands])
        numbers = [value._data for value in values]
        data = operation.forward(*numbers)
        out = new(Value)
        out._data, out._grad = data, NO_GRADIENT
        if open_blocks:
            unrecorded = inside("no_grad")
            out = Value(data) if unrecorded else out
            watch(out, operation, values, where=False)
            if unrecorded:
                return out
        out._record(operation, values, operation.partials(FLOATS, data, *numbers))
        return out

    @property
    def _constant(self) -> bool:
        """Whether an operator made this leaf of a number, such as the 2 of 2 * x."""
        return self._right is None

    def _record(self, operation: Operation, operands: Any, partials: Any) -> None:
        """Note what this was computed by, and from what: tuples; of None, if only a `_backward` of
        somebody's own knows the partials."""
        self.operation, self._left, self._left_partial = operation, operands[0], partials[0]
        if len(operands) == 2 and partials[0] is not None:
            self._right, self._right_partial = operands[1], partials[1]
        else:
            self._right, self._right_partial = operands[1:], partials[1:]

    # --- Backward: the chain rule ---------------------------------------------------------------

    def backward(
        self, grad: RealNumber = 1.0, retain_graph: bool = True, create_graph: bool = False
    ) -> None:
        """Add d(self)/d(leaf), times `grad`, to the `.grad` of every leaf that self depends on.

        The gradients of interior nodes are computed anew. Those of leaves accumulate, as in
        PyTorch: set them back with ``module.zero_grad()`` between two steps. A graph is kept, to be
        walked again, whatever `retain_graph` says; for `create_graph` there is `grad`.
        """
        if create_graph:
            refuse("backward", {"create_graph": True}, GRAD)
        seed = as_number(grad)
        if open_blocks and inside("detect_anomaly"):
            check_gradients(topological_order(self), seed)
        results, earlier = self._set_back()
        self._grad += seed
        try:
            for node in reversed(results):  # each result hands its gradient on to its operands
                left, right, upstream = node._left, node._right, node._grad
                if right.__class__ is not tuple:
                    left._grad += node._left_partial * upstream  # type: ignore[union-attr]
                    right._grad += node._right_partial * upstream
                elif node.operation is DETACH:
                    pass  # not 0 times the upstream, which may be inf
                elif node._left_partial is None:  # computed by hand
                    node._backward()
                else:
                    left._grad += node._left_partial * upstream  # type: ignore[union-attr]
                    if right:
                        for operand, partial in zip(right, node._right_partial, strict=True):
                            operand._grad += partial * upstream
        finally:
            for leaf, gradient in earlier:  # in one addition: a second pass doubles it exactly
                leaf._grad += gradient

    def zero_grad(self) -> None:
        """Forget the gradient of this Value, and of no other."""
        self.grad = NO_GRADIENT

    def _set_back(self) -> tuple[list[Value], list[tuple[Value, float]]]:
        """Set all gradients to 0; return the results in topological order, and what leaves had."""
        zero = float("0")  # a new object, unlike 0.0: a node that holds it has been visited
        results: list[Value] = []
        earlier: list[tuple[Value, float]] = []
        choices: list[Choice] = []
        stack: list[Value | None] = [self]
        while stack:
            node = stack.pop()
            if node is None:  # marks that all operands of the node below it are in place
                results.append(stack.pop())  # type: ignore[arg-type]
                continue
            if node._grad is not zero:
                if node._left is not None:
                    stack.append(node)
                    stack.append(None)
                    if node._right.__class__ is tuple:
                        stack.extend(reversed(node._right))
                        if node.operation.__class__ is Choice:
                            choices.append(node.operation)
                    else:
                        stack.append(node._right)
                    stack.append(node._left)
                elif node._grad:
                    earlier.append((node, node._grad))
                node._grad = zero
        reach_branches(choices, zero)
        return results, earlier


free_in_turn(Value, "operation", "_left", "_right")
free_in_turn(Condition, "left", "right")

Number: TypeAlias = Value | RealNumber
"""What an operator takes."""


def topological_order(*roots: Value) -> list[Value]:
    """All that the roots depend on, and the roots: operands before results, and left before right.

    >>> a, b = Value(1.0, "a"), Value(2.0, "b")
    >>> c = a * b + a
    >>> [node.label or node.operation.name for node in topological_order(c)]
    ['a', 'b', 'mul', 'add']
    """
    for root in (roots := tuple(map(unboxed, roots))):
        if not isinstance(root, Value):
            raise TypeError(
                f"topological_order needs Values, but got {shown(root)}: of a list of them, "
                "topological_order(*values)"
            )
    order: list[Value] = []
    visited: set[Value] = set()
    stack: list[Value | None] = list(reversed(roots))
    while stack:
        node = stack.pop()
        if node is None:  # as in `_set_back`, but with a set: this touches no gradient
            order.append(stack.pop())  # type: ignore[arg-type]
            continue
        if node not in visited:
            visited.add(node)
            stack += (node, None, *reversed(node.operands))
    return order


def as_value(x: Number, constant: bool = True) -> Value:
    """The Value itself, which may stand in an array without dimensions; or a new leaf that holds
    the number: a constant of the program, or else one as if the user had made it."""
    if isinstance(x, Value):
        return x
    try:
        value = Value(x)
    except TypeError:
        if isinstance(held := unboxed(x), Value):
            return held
        raise
    if constant:
        value._right = None
    return value
