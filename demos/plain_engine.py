"""An autograd engine without tricks: the whole of backpropagation, to be read in seven minutes.

A `Value` is a number that remembers which numbers it was computed from, and how much it moves when
each of them moves a little. That is all that `backward` needs.

>>> a, b = Value(2.0), Value(-3.0)
>>> c = a * b + a  # a is used twice
>>> c.backward()
>>> c.data, a.grad, b.grad
(-4.0, -2.0, 2.0)

The engine of microgrant (microgrant/engine/value.py) keeps the same record and computes the same
numbers, to the last bit: a test holds the two together. It is faster, and knows more operations.
"""

from __future__ import annotations

import math

inf, nan = math.inf, math.nan


class Value:
    """A number, what it was computed from, and its derivative by each of those."""

    def __init__(
        self, data: float, operands: tuple[Value, ...] = (), partials: tuple[float, ...] = ()
    ) -> None:
        self.data = float(data)
        self.grad = 0.0
        self.operands = operands  # in order; a + a has two
        self.partials = partials  # d self / d operand, as it was when this was computed

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    # --- Each operation computes its number, and the derivative by each operand -----------------

    def __add__(self, other: Value | float) -> Value:
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __sub__(self, other: Value | float) -> Value:
        other = as_value(other)
        return Value(self.data - other.data, (self, other), (1.0, -1.0))

    def __mul__(self, other: Value | float) -> Value:
        other = as_value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __truediv__(self, other: Value | float) -> Value:
        other = as_value(other)
        out = divide(self.data, other.data)
        return Value(out, (self, other), (divide(1.0, other.data), -divide(out, other.data)))

    def __pow__(self, exponent: float) -> Value:
        slope = exponent * power(self.data, exponent - 1) if exponent else 0.0
        return Value(power(self.data, exponent), (self,), (slope,))

    def __neg__(self) -> Value:
        return Value(-self.data, (self,), (-1.0,))

    def __radd__(self, other: float) -> Value:
        return as_value(other) + self

    def __rsub__(self, other: float) -> Value:
        return as_value(other) - self

    def __rmul__(self, other: float) -> Value:
        return as_value(other) * self

    def __rtruediv__(self, other: float) -> Value:
        return as_value(other) / self

    def exp(self) -> Value:
        out = exp(self.data)
        return Value(out, (self,), (out,))

    def log(self) -> Value:
        x = self.data
        out = math.log(x) if x > 0 else -inf if x == 0 else nan
        return Value(out, (self,), (divide(1.0, x) if x >= 0 else nan,))

    def tanh(self) -> Value:
        x = self.data  # the derivative is 1 − tanh², in a form that keeps its digits for large x
        return Value(math.tanh(x), (self,), (4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x),))

    def relu(self) -> Value:
        x = self.data
        slope = 1.0 if x > 0 else 0.0 if x <= 0 else nan
        return Value(0.0 if x < 0 else x, (self,), (slope,))

    # --- The chain rule -------------------------------------------------------------------------

    def backward(self) -> None:
        """Add d(self)/d(leaf) to the `.grad` of every leaf; other gradients are computed anew."""
        order = topological_order(self)
        earlier = [(node, node.grad) for node in order if not node.operands]
        for node in order:
            node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):  # a gradient is complete before it is passed on
            for operand, partial in zip(node.operands, node.partials, strict=True):
                operand.grad += partial * node.grad
        for leaf, gradient in earlier:
            leaf.grad += gradient


def topological_order(root: Value) -> list[Value]:
    """Everything that root was computed from, and root: operands before their results."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, operands_are_in_order = stack.pop()
        if operands_are_in_order:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(node.operands))
    return order


def as_value(x: Value | float) -> Value:
    return x if isinstance(x, Value) else Value(x)


# --- Where Python raises an error, and the standard for floating-point numbers has an answer ----


def divide(a: float, b: float) -> float:
    if b == 0:
        return nan if a == 0 or a != a else math.copysign(inf, a) * math.copysign(1.0, b)
    return a / b


def exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return inf


def power(x: float, exponent: float) -> float:
    try:
        return math.pow(x, exponent)
    except (OverflowError, ValueError):  # too large; one by zero; the root of a negative number
        if x < 0 and exponent % 1 != 0:
            return nan
        return math.copysign(inf, x) if exponent % 2 == 1 else inf


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)); below 0 in the form whose exponential is small."""
    return 1.0 / (1.0 + exp(-x)) if x >= 0 else exp(x) / (1.0 + exp(x))
