"""What makes a `Value` a good Python number: its operators, comparisons, functions and copies.

There is nothing to call here. Each method is one line, and names the operation of the table that it
stands for; so do the operators, in `microgrant.ops.operators`. What becomes of it is said in
`microgrant.engine.value`.
"""

from __future__ import annotations

import math
import numbers
from functools import partial as bind
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ..ops.operators import Operators
from ..ops.table import DETACH, OPERATIONS, Operation, clip, of_many, power
from .arguments import RealNumber, as_label, as_number, is_decimal, unboxed
from .by_hand import Function, function_of, give_function, hand_on
from .conditions import Condition, Sameness, compare
from .copying import copied, deep_copy
from .habits import Habits
from .node import Node
from .ufuncs import Ufuncs

__all__ = ["Arithmetic", "is_operand"]

V = TypeVar("V", bound=Node)  # Value itself, which stands on this module


class Arithmetic(Ufuncs, Habits, Operators["V | RealNumber", "V", Condition], Generic[V]):
    """What a `Value` inherits."""

    __slots__ = ()
    data: float
    grad: float
    operation: Operation | None
    _label = ""  # until it is given one
    # What others note on a Value; not set until they do.
    _decided_at: str  # the line of an `if`, or the like, that depended on this
    _made_at: str  # the line that made this node, inside detect_anomaly()
    # Inside detect_anomaly(), the first nan or inf on the way to this: its number, and text.
    _anomaly: tuple[int, str] | None = None
    _scope: tuple[Any, ...]  # the calls of modules that returned this node

    @staticmethod
    def _apply(operation: Operation, *operands: Any) -> V:
        """The Value of an operation, recorded."""
        raise NotImplementedError

    def _operate(self, operation: str, *operands: Any) -> V:
        for x in operands:
            if x.__class__ is not self.__class__ and not is_operand(x):
                return NotImplemented  # type: ignore[no-any-return]
        if operation == "pow" and not isinstance(exponent := unboxed(operands[1]), Arithmetic):
            # A constant exponent belongs to the operation; a Value as exponent is an operand.
            return self._apply(power(as_number(exponent)), operands[0])
        return self._apply(OPERATIONS[operation], *operands)

    def _compare(self, relation: str, left: Any, right: Any) -> Any:
        if not isinstance(right, Arithmetic) and right.__class__ not in (float, int):
            right = unboxed(right)  # NumPy would compare in the precision of its own number
        if relation in ("==", "!=") and isinstance(right, Arithmetic):
            return Sameness((left is right) == (relation == "=="))
        if isinstance(right, Condition):
            right = float(right)
        elif not isinstance(right, (Arithmetic, float, int, numbers.Real)):
            if not is_decimal(right):
                return NotImplemented
            right = float(right)
        return compare(relation, left, right)

    def __pos__(self: V) -> V:
        return self

    def __bool__(self) -> bool:
        return bool(self != 0)

    def exp(self) -> V:
        """e to the power of this."""
        return self._apply(OPERATIONS["exp"], self)

    def log(self) -> V:
        """The natural logarithm; -inf at 0, nan below."""
        return self._apply(OPERATIONS["log"], self)

    def log1p(self) -> V:
        """log(1 + this), accurate near 0."""
        return self._apply(OPERATIONS["log1p"], self)

    def expm1(self) -> V:
        """exp(this) - 1, accurate near 0."""
        return self._apply(OPERATIONS["expm1"], self)

    def sqrt(self) -> V:
        """The square root; nan below 0."""
        return self._apply(OPERATIONS["sqrt"], self)

    def sin(self) -> V:
        """The sine, of radians."""
        return self._apply(OPERATIONS["sin"], self)

    def cos(self) -> V:
        """The cosine, of radians."""
        return self._apply(OPERATIONS["cos"], self)

    def tanh(self) -> V:
        """The hyperbolic tangent."""
        return self._apply(OPERATIONS["tanh"], self)

    def sigmoid(self) -> V:
        """1 / (1 + exp(-this)), the logistic function."""
        return self._apply(OPERATIONS["sigmoid"], self)

    def relu(self) -> V:
        """The larger of this and 0; its derivative at 0 is 0."""
        return self._apply(OPERATIONS["relu"], self)

    def softplus(self) -> V:
        """log(1 + exp(this)), which never overflows: the smooth relative of ReLU."""
        return self._apply(OPERATIONS["softplus"], self)

    def maximum(self, *others: V | RealNumber) -> V:
        """The largest of this and others; those that tie share the gradient evenly."""
        return self._apply(of_many("maximum", 1 + len(others)), self, *others)

    def minimum(self, *others: V | RealNumber) -> V:
        """The smallest of this and others; those that tie share the gradient evenly."""
        return self._apply(of_many("minimum", 1 + len(others)), self, *others)

    def clip(
        self, low: RealNumber | None = None, high: RealNumber | None = None, *, out: None = None
    ) -> V:
        """This, kept between two numbers; the derivative is 1 from bound to bound.

        None is no bound. (`out` is what np.clip passes on, which is None.)
        """
        if out is not None:
            raise TypeError("clip writes into no array: use what it returns")
        low = -math.inf if low is None else as_number(low)
        high = math.inf if high is None else as_number(high)
        return self._apply(clip(low, high), self)

    def item(self) -> float:
        """The number, as PyTorch calls `data`."""
        return self.data

    def detach(self) -> V:
        """The same number, through which no gradient flows back, as by `engine.detach`."""
        return self._apply(DETACH, self)

    @property
    def label(self) -> str:
        """A name for drawings; the empty text, or None given for it, is none."""
        return self._label

    @label.setter
    def label(self: Any, text: str | None) -> None:  # Any: a Value has room for notes
        self._label = "" if text is None else as_label(text)

    @property
    def _op(self) -> str:
        """What micrograd calls the sign of the operation; the empty text for a leaf."""
        return "" if self.operation is None else self.operation.symbol

    @property
    def _backward(self: V) -> Function:
        """What adds this gradient, times each partial, to those of the operands, as in micrograd.

        One of your own can be put in its place; then `backward` calls that.
        """
        return function_of(self) or bind(hand_on, self, self.operands, self.partials)

    @_backward.setter
    def _backward(self: V, function: Function) -> None:
        give_function(self, function)

    if not TYPE_CHECKING:  # so that math.exp(v) is an error there as well

        def __float__(self) -> NoReturn:
            """An error: a plain number would lose the gradient in silence: ``math.exp(v)``."""
            raise TypeError(
                "a Value is no plain number, and made one it would lose its gradient: use its own "
                "functions, as v.exp() for math.exp(v), or v.data for the number "
                "([v.data for v in values] of a list)"
            )

        __int__ = __index__ = __trunc__ = __ceil__ = __float__
        as_integer_ratio = __float__  # what `statistics` and `fractions` ask for

        def __round__(self, digits: int | None = None) -> NoReturn:
            self.__float__()

        def __floor__(self) -> V:
            """The largest whole number below, recorded: np.floor of an array asks for it."""
            return self._apply(OPERATIONS["floor"], self)

        def __and__(self, other: object = None) -> NoReturn:
            """An error: in ``(x > 0) & y < 1`` it is (x > 0) & y that comes first."""
            raise TypeError(
                "&, |, ^ and ~ are for comparisons, and not for Values: each comparison needs "
                "parentheses, as in (x > 0) & (y < 1)"
            )

        def __floordiv__(self, other: object = None) -> NoReturn:
            """An error: it would be an operation of its own, whose derivative is 0."""
            raise TypeError(
                "// and divmod are not recorded: write microgrant.floor(a / b), and a % b for the "
                "remainder"
            )

        __rfloordiv__ = __divmod__ = __rdivmod__ = __floordiv__
        __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = __and__

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __copy__(self: V) -> V:
        """Another node with the same operands and the same record."""
        twin: V = copied(self, lambda operand: operand)
        return twin

    def __deepcopy__(self: V, memo: dict[int, Any]) -> V:
        """A copy of the whole graph below this node, without recursion."""
        twin: V = deep_copy(self, memo)
        return twin


def is_operand(x: object) -> bool:
    """Whether x is a Value or a number; not if it is of another library that can combine itself.

    What is neither, and of Python's own, is let through, for `as_number` to say what to do.
    """
    if isinstance(x, (Arithmetic, float, int, Condition)):
        return True
    builtin = type(x).__module__ == "builtins"
    return builtin or isinstance(x, numbers.Number) or getattr(x, "ndim", None) == 0
