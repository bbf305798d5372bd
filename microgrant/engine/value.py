"""The engine: a `Value` records the arithmetic done on it, and `backward` differentiates it.

With this module you can

- compute with Values as with numbers:       loss = (w * x + b - y) ** 2
- differentiate the result:                  loss.backward(); print(w.grad)
- walk the graph, operands before results:   topological_order(loss)
- apply any operation of the table:          apply(OPERATIONS["tanh"], x)

A graph is the record of a step that happened. Each node keeps its operands in order, and the local
derivatives as they were at the forward pass: changing `.data` later does not change the record.
`backward` clears the gradients of interior nodes and adds to those of leaves.
"""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..ops.table import FLOATS, OPERATIONS, Operation, clip, power
from . import modes
from .arguments import as_number, shown
from .conditions import Choice, Condition, compare, whole_order

__all__ = ["NO_GRADIENT", "Value", "apply", "topological_order"]

ADD, SUB, MUL, DIV, NEG, POW = (
    OPERATIONS[name] for name in ("add", "sub", "mul", "div", "neg", "pow")
)
Number: TypeAlias = "Value | float"


class _NoGradient(float):
    """A zero that can be told apart, by `is`, from a gradient that was computed to be zero."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "NO_GRADIENT"  # saved and copied as this very object


NO_GRADIENT = _NoGradient(0.0)
"""The gradient of a Value which no backward pass has reached yet. It reads as 0.0."""

new = object.__new__


class Value:
    """One number, and the record of how it was computed.

    data: the number, a float.
    grad: the derivative of the value that `backward` was called on, with respect to this one;
        0.0 before that.
    label: a name for drawings.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> c = a * b + a
    >>> c.backward()
    >>> c, a.grad, b.grad
    (Value(data=-4.0, grad=1.0), -2.0, 2.0)

    A TypeError says what to do when `data` is not a real number. Comparisons (``==`` too) are
    by data, and give a `Condition`, which is true or false; as keys of a dictionary, and in a set,
    two Values are two.
    """

    # Operands and local derivatives stand in slots of their own, not in tuples: each tuple is one
    # more object for Python's garbage collector to walk through, which took half of a step's time.
    # An operation of three or more operands keeps the others as tuples in the right-hand slots.
    __slots__ = (
        "_constant",  # set on a number that an operator made a leaf of, such as the 2 of 2 * x
        "_data",
        "_decided_at",  # the line of an `if`, or the like, that depended on this; else not set
        "_left",
        "_left_partial",
        "_made_at",  # the line that made this node; set inside detect_anomaly() only
        "_operation",
        "_right",
        "_right_partial",
        "_scope",  # the call of a module that returned this node; set by microgrant.nn only
        "grad",
        "label",
    )

    def __init__(self, data: float, label: str = "") -> None:
        if not isinstance(label, str):
            raise TypeError(f"a label is text, but got {shown(label)}")
        self._data: float = data if data.__class__ is float else as_number(data)
        self.grad: float = NO_GRADIENT
        self.label: str = label
        self._operation: Operation | None = None
        self._left: Value | None = None
        self._right: Any = None
        self._left_partial: float
        self._right_partial: Any
        self._constant: bool
        self._decided_at: str
        self._made_at: str
        self._scope: tuple[Any, ...]

    @property
    def data(self) -> float:
        """The number. Assigning to it does not change what has been recorded from it."""
        return self._data

    @data.setter
    def data(self, number: float) -> None:
        self._data = as_number(number)

    # --- The two operations that networks are made of, spelled out because it is worth it -------

    def __add__(self, other: Number) -> Value:
        if other.__class__ is not Value:
            other = _operand(other)
            if other is NotImplemented:
                return NotImplemented
        if modes.open_blocks:
            return apply(ADD, self, other)
        out = new(Value)
        out._data = self._data + other._data
        out.grad = NO_GRADIENT
        out.label = ""
        out._operation = ADD
        out._left = self
        out._right = other
        out._left_partial = 1.0
        out._right_partial = 1.0
        return out

    def __mul__(self, other: Number) -> Value:
        if other.__class__ is not Value:
            other = _operand(other)
            if other is NotImplemented:
                return NotImplemented
        if modes.open_blocks:
            return apply(MUL, self, other)
        out = new(Value)
        left, right = self._data, other._data
        out._data = left * right
        out.grad = NO_GRADIENT
        out.label = ""
        out._operation = MUL
        out._left = self
        out._right = other
        out._left_partial = right
        out._right_partial = left
        return out

    # --- All other operations: a line each ------------------------------------------------------

    def __sub__(self, other: Number) -> Value:
        return _binary(SUB, self, other)

    def __truediv__(self, other: Number) -> Value:
        return _binary(DIV, self, other)

    def __pow__(self, other: Number) -> Value:
        """A constant exponent belongs to the operation; a Value as exponent is an operand."""
        if isinstance(other, Value):
            return _binary(POW, self, other)
        exponent = _operand(other)
        if exponent is NotImplemented:
            return NotImplemented
        return apply(power(exponent._data), self)

    def __radd__(self, other: float) -> Value:
        left = _operand(other)
        return NotImplemented if left is NotImplemented else left + self

    def __rsub__(self, other: float) -> Value:
        return _binary(SUB, other, self)

    def __rmul__(self, other: float) -> Value:
        left = _operand(other)
        return NotImplemented if left is NotImplemented else left * self

    def __rtruediv__(self, other: float) -> Value:
        return _binary(DIV, other, self)

    def __rpow__(self, other: float) -> Value:
        return _binary(POW, other, self)

    def __neg__(self) -> Value:
        return apply(NEG, self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return apply(OPERATIONS["abs"], self)

    def exp(self) -> Value:
        """e to the power of this."""
        return apply(OPERATIONS["exp"], self)

    def log(self) -> Value:
        """The natural logarithm; -inf at 0, nan below."""
        return apply(OPERATIONS["log"], self)

    def log1p(self) -> Value:
        """log(1 + this), accurate near 0."""
        return apply(OPERATIONS["log1p"], self)

    def expm1(self) -> Value:
        """exp(this) - 1, accurate near 0."""
        return apply(OPERATIONS["expm1"], self)

    def sqrt(self) -> Value:
        """The square root; nan below 0."""
        return apply(OPERATIONS["sqrt"], self)

    def sin(self) -> Value:
        """The sine, of radians."""
        return apply(OPERATIONS["sin"], self)

    def cos(self) -> Value:
        """The cosine, of radians."""
        return apply(OPERATIONS["cos"], self)

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return apply(OPERATIONS["tanh"], self)

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-this)), the logistic function."""
        return apply(OPERATIONS["sigmoid"], self)

    def relu(self) -> Value:
        """The larger of this and 0; its derivative at 0 is 0."""
        return apply(OPERATIONS["relu"], self)

    def softplus(self) -> Value:
        """log(1 + exp(this)), which never overflows: the smooth relative of ReLU."""
        return apply(OPERATIONS["softplus"], self)

    def maximum(self, other: Number) -> Value:
        """The larger of two; at a tie each gets half of the gradient."""
        return apply(OPERATIONS["maximum"], self, other)

    def minimum(self, other: Number) -> Value:
        """The smaller of two; at a tie each gets half of the gradient."""
        return apply(OPERATIONS["minimum"], self, other)

    def clip(self, low: float = -math.inf, high: float = math.inf) -> Value:
        """This, kept between two numbers; the derivative is 1 from bound to bound."""
        low, high = as_number(low), as_number(high)
        if not low <= high:
            raise ValueError(f"clip needs low <= high, but got low={low} and high={high}")
        return apply(clip(low, high), self)

    # --- The chain rule -------------------------------------------------------------------------

    def backward(self, grad: float = 1.0) -> None:
        """Add d(self)/d(leaf), times `grad`, to the `.grad` of every leaf that self depends on.

        The gradients of interior nodes are computed anew. Those of leaves accumulate, as in
        PyTorch: set them back with ``module.zero_grad()`` between two steps.
        """
        seed = as_number(grad)
        order = topological_order(self)
        if modes.open_blocks and modes.inside("detect_anomaly"):
            modes.check_gradients(order, seed)
        # What leaves hold from earlier passes is set aside and added at the end, in one addition:
        # so a second pass doubles a gradient exactly, whatever the rounding.
        earlier = []
        for node in order:
            if node._operation is not None:
                node.grad = 0.0
            elif node.grad is not NO_GRADIENT:
                if node.grad is not None:  # None is what PyTorch sets gradients back to
                    earlier.append((node, node.grad))
                node.grad = NO_GRADIENT
        self.grad += seed
        for node in reversed(order):
            left, right, upstream = node._left, node._right, node.grad
            if left is None:
                continue  # a leaf
            left.grad += node._left_partial * upstream
            if right is None:
                continue  # one operand
            if right.__class__ is not tuple:
                right.grad += node._right_partial * upstream
            else:
                for operand, partial in zip(right, node._right_partial, strict=True):
                    operand.grad += partial * upstream
        for leaf, gradient in earlier:
            leaf.grad += gradient

    def _record(
        self, operation: Operation, operands: Sequence[Value], partials: Sequence[float]
    ) -> None:
        """Note how this came about: to be called once, on a node just made."""
        self._operation = operation
        self._left, self._left_partial = operands[0], partials[0]
        if len(operands) == 1:
            self._right = None
        elif len(operands) == 2:
            self._right, self._right_partial = operands[1], partials[1]
        else:
            self._right, self._right_partial = tuple(operands[1:]), tuple(partials[1:])

    # --- What a node remembers ------------------------------------------------------------------

    @property
    def _prev(self) -> tuple[Value, ...]:
        """The operands, in order: ``a * a`` has two."""
        if self._left is None:
            return ()
        if self._right is None:
            return (self._left,)
        if isinstance(self._right, tuple):
            return (self._left, *self._right)
        return (self._left, self._right)

    @property
    def _partials(self) -> tuple[float, ...]:
        """The local derivatives, one for each operand, as they were at the forward pass."""
        if self._left is None:
            return ()
        if self._right is None:
            return (self._left_partial,)
        if isinstance(self._right_partial, tuple):
            return (self._left_partial, *self._right_partial)
        return (self._left_partial, self._right_partial)

    @property
    def _op(self) -> str:
        """The sign of the operation that made this, or the empty text for a leaf."""
        return "" if self._operation is None else self._operation.symbol

    # --- Being a good Python number -------------------------------------------------------------
    # There is no __float__: math.exp(v) is to be an error, and not a gradient lost in silence.

    def __lt__(self, other: Number) -> Condition:
        return _compare("<", self, other)

    def __le__(self, other: Number) -> Condition:
        return _compare("<=", self, other)

    def __gt__(self, other: Number) -> Condition:
        return _compare(">", self, other)

    def __ge__(self, other: Number) -> Condition:
        return _compare(">=", self, other)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return _compare("==", self, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return _compare("!=", self, other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __repr__(self) -> str:
        return f"Value(data={self._data}, grad={self.grad})"

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else repr(self)

    def __copy__(self) -> Value:
        """Another node with the same operands and the same record."""
        twin: Value = _copied(self, lambda operand: operand)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        """A copy of the whole graph below this node, without recursion."""

        def copy_of(x: Any) -> Any:
            return memo.get(id(x), x)  # a number that was compared has no copy

        fresh = whole_order(self, visited=memo)
        for node in fresh:
            memo[id(node)] = _copied(node, copy_of)
        for node in fresh:  # once every operand has its copy, so that this cannot go deep
            if hasattr(node, "_scope"):
                memo[id(node)]._scope = copy.deepcopy(node._scope, memo)
            if isinstance(node, Value) and hasattr(node, "__dict__"):  # a subclass may hold more
                vars(memo[id(node)]).update(copy.deepcopy(vars(node), memo))
        result: Value = memo[id(self)]
        return result


def topological_order(*roots: Value, visited: set[Value] | None = None) -> list[Value]:
    """Every Value that the roots depend on, and the roots: operands before their results.

    Depth first, left operand before right, without recursion: the order depends on the program
    alone, and no graph is too deep. What is in `visited` is left out, with all that is below it;
    what is found is added to it.

    >>> a, b = Value(1.0, "a"), Value(2.0, "b")
    >>> c = a * b + a
    >>> [node.label or node._op for node in topological_order(c)]
    ['a', 'b', '*', '+']
    """
    for root in roots:
        if not isinstance(root, Value):
            raise TypeError(f"topological_order needs Values, but got {shown(root)}")
    order: list[Value] = []
    visited = set() if visited is None else visited
    stack: list[Value | None] = list(reversed(roots))
    while stack:
        node = stack.pop()
        if node is None:  # marks that all operands of the node below it are in place
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in visited:
            visited.add(node)
            left, right = node._left, node._right
            if left is None:
                order.append(node)
                continue
            stack.append(node)
            stack.append(None)
            if right.__class__ is tuple:
                stack.extend(reversed(right))
            elif right is not None:
                stack.append(right)
            stack.append(left)
    return order


# --- Recording an operation ---------------------------------------------------------------------


def apply(operation: Operation, *operands: Number) -> Value:
    """The Value of any operation of the table, or of your own, recorded like the others.

    >>> from microgrant.ops import OPERATIONS
    >>> apply(OPERATIONS["mul"], Value(2.0), 3.0)
    Value(data=6.0, grad=0.0)
    """
    if not isinstance(operation, Operation):
        raise TypeError(
            f"apply needs an operation, such as OPERATIONS['tanh'], but got {shown(operation)}"
        )
    if len(operands) != operation.arity:
        raise TypeError(
            f"{operation.name} takes {operation.arity} operand{'s' * (operation.arity != 1)}, "
            f"but got {len(operands)}"
        )
    values = [x if x.__class__ is Value else as_value(x) for x in operands]
    numbers = [value._data for value in values]
    data = operation.forward(*numbers)
    made_at = (
        modes.check_value(operation, values, data)
        if modes.open_blocks and modes.inside("detect_anomaly")
        else ""
    )
    if modes.open_blocks and modes.inside("no_grad"):
        return Value(data)
    out = new(Value)
    out._data = data
    out.grad = NO_GRADIENT
    out.label = ""
    out._record(operation, values, operation.partials(FLOATS, data, *numbers))
    if made_at:
        out._made_at = made_at
    return out


def _binary(operation: Operation, left: Number, right: Number) -> Value:
    """`apply` for an operator: an array on either side gets the chance to answer."""
    left, right = _operand(left), _operand(right)
    if left is NotImplemented or right is NotImplemented:
        return NotImplemented  # type: ignore[no-any-return]
    return apply(operation, left, right)


def _operand(x: Number) -> Value:
    """x as an operand; NotImplemented for what another library knows how to combine."""
    if isinstance(x, Value):
        return x
    if isinstance(x, (float, int, Condition)):
        return as_value(x)
    builtin = type(x).__module__ == "builtins"
    if builtin or isinstance(x, numbers.Number) or getattr(x, "ndim", None) == 0:
        return as_value(x)  # a number of NumPy's; or else a TypeError that says what to do
    return NotImplemented


def as_value(x: Number) -> Value:
    """The Value itself, or a new leaf that holds the number: a constant of the program."""
    if isinstance(x, Value):
        return x
    constant = Value(x)
    constant._constant = True
    return constant


def _compare(relation: str, left: Value, right: object) -> Condition:
    if isinstance(right, Condition):
        right = float(right)
    elif not isinstance(right, (Value, numbers.Real)):
        return NotImplemented  # type: ignore[no-any-return]
    return compare(relation, left, right)


def _copied(node: Any, copy_of: Callable[[Any], Any]) -> Any:
    """The same record, over other operands."""
    if isinstance(node, Condition):
        return node.over(copy_of)
    out = new(node.__class__)
    out._data, out.grad, out.label = node._data, node.grad, node.label
    if hasattr(node, "__dict__"):
        vars(out).update(vars(node))
    if node._operation is None:
        out._operation = out._left = out._right = None
        if hasattr(node, "_constant"):
            out._constant = True
    else:
        operation = node._operation
        if isinstance(operation, Choice):
            operation = operation.over(copy_of)
        out._record(operation, list(map(copy_of, node._prev)), node._partials)
    if hasattr(node, "_decided_at"):
        out._decided_at = node._decided_at
    return out
