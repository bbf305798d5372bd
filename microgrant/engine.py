"""The engine: a `Value` records the arithmetic done on it, and `backward` differentiates it.

With this module you can

- compute with Values as with numbers:       loss = (w * x + b - y) ** 2
- differentiate the result:                  loss.backward(); print(w.grad)
- differentiate without touching `.grad`:    grad(loss, [w, b])
- differentiate derivatives again:           grad(loss, [w, b], create_graph=True)
- record nothing for a while:                with no_grad(): ...
- find the first nan or inf:                 with detect_anomaly(): ...
- add an operation of your own:              define("gaussian", forward, partials)

A graph is the record of a step that happened. Each node keeps its operands in order, and the local
derivatives as they were at the forward pass: changing `.data` later does not change the record.
`backward` clears the gradients of interior nodes and adds to those of leaves.
"""

from __future__ import annotations

import copy
import math
import numbers
import operator
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial as bind
from types import SimpleNamespace
from typing import Any, TypeAlias, overload

from .ops import FAMILIES, FLOATS, OPERATIONS, Operation, Rule, clip, power

__all__ = [
    "AnomalyError",
    "Value",
    "apply",
    "define",
    "detect_anomaly",
    "grad",
    "no_grad",
    "topological_order",
    "where",
]

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
    by data; as keys of a dictionary, and in a set, two Values are two.
    """

    # Operands and local derivatives stand in slots of their own, not in tuples: each tuple is one
    # more object for Python's garbage collector to walk through, which took half of a step's time.
    # An operation of three or more operands keeps the others as tuples in the right-hand slots.
    __slots__ = (
        "_data",
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
        if label.__class__ is not str:
            raise TypeError(f"a label is text, but got {_shown(label)}")
        self._data: float = data if data.__class__ is float else as_number(data)
        self.grad: float = NO_GRADIENT
        self.label: str = label
        self._operation: Operation | None = None
        self._left: Value | None = None
        self._right: Any = None
        self._left_partial: float
        self._right_partial: Any
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
        if _modes:
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
        if _modes:
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
        if _modes and _inside("detect_anomaly"):
            _check_gradients(order, seed)
        # What leaves hold from earlier passes is set aside and added at the end, in one addition:
        # so a second pass doubles a gradient exactly, whatever the rounding.
        earlier = []
        for node in order:
            if node._operation is not None:
                node.grad = 0.0
            elif node.grad is not NO_GRADIENT:
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

    def __lt__(self, other: Number) -> bool:
        return _compare(operator.lt, self, other)

    def __le__(self, other: Number) -> bool:
        return _compare(operator.le, self, other)

    def __gt__(self, other: Number) -> bool:
        return _compare(operator.gt, self, other)

    def __ge__(self, other: Number) -> bool:
        return _compare(operator.ge, self, other)

    def __eq__(self, other: object) -> bool:
        return _compare(operator.eq, self, other)

    def __ne__(self, other: object) -> bool:
        return _compare(operator.ne, self, other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return self._data != 0

    def __repr__(self) -> str:
        return f"Value(data={self._data}, grad={self.grad})"

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else repr(self)

    def __copy__(self) -> Value:
        """Another node with the same operands and the same record."""
        return _copied(self, lambda operand: operand)

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        """A copy of the whole graph below this node, without recursion."""
        fresh = []
        for node in topological_order(self):
            if id(node) not in memo:
                memo[id(node)] = _copied(node, lambda operand: memo[id(operand)])
                fresh.append(node)
        for node in fresh:  # once every operand has its copy, so that this cannot go deep
            if hasattr(node, "_scope"):
                memo[id(node)]._scope = copy.deepcopy(node._scope, memo)
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
    if len(operands) != operation.arity:
        raise TypeError(
            f"{operation.name} takes {operation.arity} operand{'s' * (operation.arity != 1)}, "
            f"but got {len(operands)}"
        )
    values = [x if x.__class__ is Value else _as_value(x) for x in operands]
    numbers = [value._data for value in values]
    data = operation.forward(*numbers)
    made_at = _check_value(operation, values, data) if _modes and _inside("detect_anomaly") else ""
    if _modes and _inside("no_grad"):
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
    if isinstance(x, (float, int)):
        return Value(x)
    builtin = type(x).__module__ == "builtins"
    if builtin or isinstance(x, numbers.Number) or getattr(x, "ndim", None) == 0:
        return Value(x)  # a number of NumPy's; or else a TypeError that says what to do
    return NotImplemented


def _as_value(x: Number) -> Value:
    return x if isinstance(x, Value) else Value(x)


def as_number(x: object) -> float:
    """x as a float, if it is one real number; a TypeError that says what to do if it is not."""
    if isinstance(x, (float, int, numbers.Real)):
        try:
            return float(x)
        except OverflowError:
            raise OverflowError(
                "the integer is too large for a float, whose largest is 1.8e308: "
                "scale it down, or pass math.inf"
            ) from None
    if getattr(x, "ndim", None) == 0 and hasattr(x, "item"):  # a scalar of NumPy or PyTorch
        return as_number(x.item())
    if isinstance(x, Value):
        advice = "use the Value itself, or its .data for a number that is cut from the graph"
    elif isinstance(x, (list, tuple)) or hasattr(x, "ndim"):
        advice = "make one Value for each number: [Value(x) for x in data]"
    elif isinstance(x, str):
        advice = "float(text) makes a number of a text"
    elif isinstance(x, complex):
        advice = "take its .real or .imag"
    elif x is None:
        advice = "is a `return` missing where it comes from?"
    else:
        advice = "float(x) may make a number of it"
    raise TypeError(f"expected one real number, but got {_shown(x)}: {advice}")


def _shown(x: object) -> str:
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 40 else text[:40] + '…'}"


def _compare(relation: Callable[[Any, Any], bool], left: Value, right: object) -> bool:
    if isinstance(right, Value):
        return relation(left._data, right._data)
    if isinstance(right, numbers.Real):
        return relation(left._data, right)
    return NotImplemented  # type: ignore[no-any-return]


def _copied(node: Value, copy_of: Callable[[Value], Value]) -> Value:
    """The same record, over other operands."""
    out = new(Value)
    out._data, out.grad, out.label = node._data, node.grad, node.label
    if node._operation is None:
        out._operation = out._left = out._right = None
    else:
        out._record(node._operation, list(map(copy_of, node._prev)), node._partials)
    return out


def where(condition: object, if_true: Number, if_false: Number) -> Value:
    """One of two values; only the one that is taken becomes part of the graph.

    So ``where(x > 0, x.log(), 0.0)`` has the derivative 0, and not nan, at x = 0.

    >>> x = Value(0.0)
    >>> y = where(x > 0, x.log(), 0.0)
    >>> grad(y, [x])
    [0.0]
    """
    return _as_value(if_true if condition else if_false)


def define(
    name: str,
    forward: Callable[..., float],
    partials: Rule,
    *,
    domain: Sequence[tuple[float, float]] | None = None,
    symbol: str = "",
    arity: int = 1,
    spelling: Mapping[str, str] | None = None,
) -> Callable[..., Value]:
    """An operation of your own: a function of Values that is recorded, drawn and differentiated.

    forward: its value, from `arity` floats to a float.
    partials: its rule: ``partials(m, out, *operands)`` returns a tuple with one partial derivative
        for each operand. Written with plain operators and the functions of ``m`` (m.exp, m.where,
        m.div, and the others of the table), it also serves derivatives of derivatives and the
        words under a drawing; written with `math` it serves floats only.
    domain: for each operand an interval at which it is smooth; by default -3 to 3.
    symbol: its sign in a drawing, if that is not its name.
    spelling: its value in "text", "python", "latex" and "javascript", such as "exp(-{0}²)"; with
        JavaScript, the page of a step can recompute it.

    `gradcheck` checks it. The chain rule itself is as in Griewank and Walther, "Evaluating
    Derivatives", 2nd edition, SIAM 2008, section 3.2.

    >>> import math
    >>> gaussian = define("gaussian", lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * out,))
    >>> x = Value(0.5)
    >>> y = gaussian(x)
    >>> y.backward()
    >>> print(f"{y:.4f} {x.grad:.4f}")
    0.7788 -0.7788
    """
    if not name.isidentifier():
        raise ValueError(f"the name of an operation is a Python identifier, but got {name!r}")
    if name in OPERATIONS or name in FAMILIES:
        raise ValueError(f"the table has an operation {name!r} already: choose another name")

    if arity < 1:
        raise ValueError(f"an operation has at least one operand, but arity is {arity}")

    def checked_forward(*operands: float) -> float:
        return as_number(forward(*operands))

    def checked_partials(m: Any, out: Any, *operands: Any) -> tuple[Any, ...]:
        rule = partials(m, out, *operands)
        if not isinstance(rule, tuple) or len(rule) != len(operands):
            raise ValueError(
                f"the partials of {name} are to be a tuple of {len(operands)}, "
                f"one for each operand, but they are {rule!r}"
            )
        return tuple(map(as_number, rule)) if m is FLOATS else rule

    intervals = ((-3.0, 3.0),) * arity if domain is None else tuple(domain)
    operation = Operation(
        name, checked_forward, checked_partials, intervals, symbol, None, spelling or {}
    )

    def function(*operands: Number) -> Value:
        return apply(operation, *operands)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The operation {name}, recorded in the graph."
    return function


# --- Derivatives as results -----------------------------------------------------------------------

VALUES = SimpleNamespace(
    where=lambda condition, yes, no: yes if condition else no,
    **{name: bind(apply, operation) for name, operation in OPERATIONS.items()}
    | {"pow": lambda base, exponent: _as_value(base) ** exponent},
)
"""The algebra of Values: what a rule finds in ``m`` for derivatives of derivatives."""


@overload
def grad(y: Value, xs: Value) -> float: ...
@overload
def grad(y: Value, xs: Sequence[Value]) -> list[float]: ...
@overload
def grad(y: Value, xs: Value, create_graph: bool) -> Any: ...
@overload
def grad(y: Value, xs: Sequence[Value], create_graph: bool) -> list[Any]: ...
def grad(y: Value, xs: Value | Sequence[Value], create_graph: bool = False) -> Any:
    """dy/dx for one x or for a list of them; no `.grad` is touched.

    With `create_graph` the derivatives are Values with graphs of their own, and can be
    differentiated again, to any order. Where y does not depend on x, the derivative is 0.

    >>> x = Value(2.0)
    >>> y = x**3
    >>> grad(y, x)
    12.0
    >>> first = grad(y, x, create_graph=True)
    >>> second = grad(first, x, create_graph=True)
    >>> second.data, grad(second, x)
    (12.0, 6.0)
    """
    wanted = [xs] if isinstance(xs, Value) else list(xs)
    for name, value in [("y", y), *(("xs", x) for x in wanted)]:
        if not isinstance(value, Value):
            raise TypeError(f"grad needs Values, but {name} is or holds {_shown(value)}")
    order = topological_order(y)
    if create_graph:
        gradients = _gradients(order, Value(1.0), _differentiable_partials)
        found = [gradients.get(x, 0.0) for x in wanted]
        results = [x if isinstance(x, Value) else Value(x) for x in found]
    else:
        if _modes and _inside("detect_anomaly"):
            _check_gradients(order, 1.0)
        gradients = _gradients(order, 1.0)
        results = [gradients.get(x, 0.0) for x in wanted]
    return results[0] if isinstance(xs, Value) else results


def _recorded_partials(node: Value, operation: Operation) -> Sequence[float]:
    return node._partials


def _differentiable_partials(node: Value, operation: Operation) -> Sequence[Number]:
    """The local derivatives again, this time as Values: the same rule, in another algebra."""
    try:
        partials = operation.partials(VALUES, node, *node._prev)
    except TypeError as error:
        raise TypeError(
            f"the partials of {operation.name} work on floats only ({error}): for derivatives of "
            "derivatives, write them with the functions of m, as m.exp(x) instead of math.exp(x)"
        ) from error
    for partial, recorded in zip(partials, node._partials, strict=True):
        if partial != recorded and recorded == recorded:
            raise ValueError(
                f"the .data of an operand of {node!r} was changed after the forward pass: "
                "record the graph again before asking for derivatives with create_graph=True"
            )
    return partials


def _gradients(
    order: list[Value],
    seed: Any,
    partials_of: Callable[[Value, Operation], Sequence[Any]] = _recorded_partials,
) -> dict[Value, Any]:
    """The derivatives of the last of `order`: the chain rule again, kept outside of the graph."""
    gradients: dict[Value, Any] = {order[-1]: seed}
    for node in reversed(order):
        operation = node._operation
        if operation is None or node not in gradients:
            continue
        upstream = gradients[node]
        for operand, partial in zip(node._prev, partials_of(node, operation), strict=True):
            unchanged = partial.__class__ is float and partial == 1.0  # needs no node in the graph
            contribution = upstream if unchanged else partial * upstream
            known = gradients.get(operand)
            gradients[operand] = contribution if known is None else known + contribution
    return gradients


# --- Modes ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Block:
    """A ``with`` block. It is open or closed for everybody: a generator may enter it in one thread
    and leave it in another, or after blocks that began later."""

    mode: str
    open: bool = True


_blocks: ContextVar[tuple[_Block, ...]] = ContextVar("blocks", default=())
# How many blocks are open, in all threads. While it is 0, an operation need not look for those of
# its own thread, which takes longer than adding two numbers.
_modes = 0
_lock = threading.Lock()


@contextmanager
def _mode(mode: str) -> Iterator[None]:
    global _modes
    block = _Block(mode)
    _blocks.set((*(other for other in _blocks.get() if other.open), block))
    with _lock:
        _modes += 1
    try:
        yield
    finally:
        block.open = False
        with _lock:
            _modes -= 1


def _inside(mode: str) -> bool:
    return any(block.open and block.mode == mode for block in _blocks.get())


def no_grad() -> AbstractContextManager[None]:
    """Inside ``with no_grad():``, operations compute values and record nothing.

    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.data, y._prev
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

    >>> with detect_anomaly():
    ...     y = Value(0.0, label="x").log()
    Traceback (most recent call last):
        ...
    microgrant.engine.AnomalyError: log(x = 0.0) is -inf, made by <doctest ...>, line 2
    """
    return _mode("detect_anomaly")


def _check_value(operation: Operation, operands: Sequence[Value], data: float) -> str:
    """The line of the user's program that applies an operation; an error for a nan or an inf."""
    frame = sys._getframe(1)
    package = __name__.rpartition(".")[0] + "."
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(package):
        frame = frame.f_back
    made_at = f"{frame.f_code.co_filename}, line {frame.f_lineno}"
    if not math.isfinite(data):
        call = f"{operation.name}({', '.join(map(_named, operands))})"
        raise AnomalyError(f"{call} is {data}, made by {made_at}")
    return made_at


def _check_gradients(order: list[Value], seed: float) -> None:
    """Raise for the first contribution or sum that is nan or inf, before `backward` begins."""
    gradients = _gradients(order, seed)
    for node in reversed(order):
        upstream, operands = gradients.get(node, 0.0), node._prev
        made = f", made by {node._made_at}" if hasattr(node, "_made_at") else ""
        if not math.isfinite(upstream):
            raise AnomalyError(f"the gradient of {_described(node)} adds up to {upstream}{made}")
        for operand, partial in zip(operands, node._partials, strict=True):
            if not math.isfinite(partial * upstream):
                raise AnomalyError(
                    f"the gradient of {_described(node)} with respect to {_named(operand)} is "
                    f"upstream {upstream} × local {partial} = {partial * upstream}{made}"
                )


def _described(node: Value) -> str:
    if node._operation is None:
        return _named(node)
    return f"{node._operation.name}({', '.join(map(_named, node._prev))})"


def _named(node: Value) -> str:
    return f"{node.label} = {node._data}" if node.label else f"{node._data}"
