"""Two models are the same, or it is said where they differ."""

from __future__ import annotations

import collections
import functools
import math
import operator
import random
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from microgrant import Value
from microgrant.nn import MLP, Dropout, Layer, Module, Noise, Sequential
from microgrant.saving.comparison import difference


class Holder(Module):
    """A module that holds one thing."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def method(self) -> None:
        """Which is held by some."""

    def other(self) -> None:
        """Which is held by others."""


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


class Point(NamedTuple):
    x: float
    y: float


def adder(x: Any) -> Callable[[Any], Any]:
    return lambda y: x + y


def circle(x: Any) -> list[Any]:
    items = [x]
    items.append(items)
    return items


def chain(length: int, end: Any) -> Any:
    for _ in range(length):
        end = [end]
    return end


def own_method(name: str) -> Module:
    holder = Holder(None)
    holder.held = getattr(holder, name)
    return holder


def generator(seed: int) -> random.Random:
    return random.Random(seed)


SAME: list[Callable[[], Any]] = [
    lambda: math.nan,
    lambda: 10**400,
    lambda: Fraction(1, 3),
    lambda: "text",
    lambda: (b"bytes", 1j, range(3), {1, 2}, frozenset("ab"), None, ...),
    lambda: {"a": [Value(1.0), {"b": (Value(2.0) * 3).tanh() + 1}]},
    lambda: [math.sin, Value.tanh, math, Module, operator.itemgetter(1)],
    lambda: adder(adder(3.0)),
    lambda: functools.partial(pow, exp=2),
    lambda: collections.deque([1.0, 2.0], maxlen=3),
    lambda: collections.defaultdict(list, a=[1.0]),
    lambda: [Slotted(1.0), Point(1.0, 2.0)],
    lambda: generator(3),
    lambda: threading.Lock(),  # nobody knows what is in it
    lambda: circle(1.0),
    lambda: chain(2_000, 1.0),
    lambda: Dropout(0.5),
]


@pytest.mark.parametrize("make", SAME)
def test_what_is_made_alike_is_the_same(make: Callable[[], Any]) -> None:
    assert difference(Holder(make()), Holder(make())) is None


DIFFERENT: list[tuple[Any, Any, str]] = [
    (1.0, 2.0, "held is 1.0 here, and 2.0 there"),
    (0.0, -0.0, "held is 0.0 here, and -0.0 there"),
    (1, 1.0, "held is 1 here, and 1.0 there"),
    (1, True, "held is 1 here, and True there"),
    (math.nan, 0.0, "held is nan here"),
    (2**53 + 1, 2**53, "held is 9007199254740993 here"),
    ("a", None, "held is 'a' here, and None there"),
    ([1.0], [1.0, 2.0], r"held\[1\] is missing here, and 2.0 there"),
    ([1.0, 2.0], [1.0], r"held\[1\] is 2.0 here, and missing there"),
    ([1.0], {0: 1.0}, "held is a list of 1 here, and a dict of 1 there"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "held holds its parts in another order"),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, r"held\['a'\]\['b'\] is 1 here, and 2 there"),
    ({1, 2}, {1, 3}, "held is set"),
    (Point(1.0, 2.0), (1.0, 2.0), "held is a Point of 2 here, and a tuple of 2 there"),
    (Value(1.0), Value(2.0), "held is Value"),
    (Value(1.0), Noise(), "held is Value .* and Noise"),
    ([Noise()], [1.0], r"held\[0\] is Noise .* here, and 1.0 there"),
    ([Value(1.0) * 2], [], r"held\[0\] is Value .* here, and missing there"),
    (Value(1.0) * 2, Value(0.5) * 4, r"held.operands\[0\] is Value"),
    (Value(4.0) * 2, Value(4.0) + 4, "held is Value"),
    (math.sin, math.cos, "held is builtin_function_or_method"),
    (Layer, MLP, "held is type"),
    (lambda x: x, lambda x: x * 2, "held is function"),
    (adder(1.0), adder(2.0), "held.x is 1.0 here, and 2.0 there"),
    (lambda x=1: x, lambda x=2: x, "held is function|__defaults__"),
    (functools.partial(pow, exp=2), functools.partial(pow, exp=3), "held is partial"),
    (collections.deque([1.0]), collections.deque([2.0]), "held is deque"),
    (Slotted(1.0), Slotted(2.0), "held is Slotted"),
    (generator(3), generator(4), "held .* here"),
    (circle(1.0), circle(2.0), r"held\[0\] is 1.0 here"),
    (chain(2_000, 1.0), chain(2_000, 2.0), "is 1.0 here, and 2.0 there"),
    (iter(()), (x for x in ()), "held is tuple_iterator .* here, and generator"),
    (Sequential(Dropout(0.5)), Sequential(Dropout(0.25)), r"held.modules\[0\].p is 0.5 here"),
    (Layer(1, 1), MLP(1, [1]), "held is Layer"),
]


@pytest.mark.parametrize(("x", "y", "says"), DIFFERENT, ids=[case[-1] for case in DIFFERENT])
def test_what_differs_is_said(x: Any, y: Any, says: str) -> None:
    found = difference(Holder(x), Holder(y))
    with pytest.raises(ValueError, match=says):
        raise ValueError(found)


def test_methods_of_its_own_are_told_apart() -> None:
    assert difference(own_method("method"), own_method("method")) is None
    found = difference(own_method("method"), own_method("other"))
    assert found is not None
    assert found.startswith("held.__func__ is function")


def test_what_a_call_leaves_behind_is_left_out() -> None:
    model = Holder(0.5)
    model.outputs = [Value(1.0) * 2]  # type: ignore[attr-defined]
    assert difference(model, Holder(0.5)) is None
    model.outputs = [Value(1.0)]  # type: ignore[attr-defined]
    assert difference(model, Holder(0.5)) == "outputs is a list of 1 here, and missing there"
    dropout = Dropout(0.5)
    dropout([1.0, 2.0])
    assert len(dropout.noise) == 2
    assert difference(dropout, Dropout(0.5)) is None


def test_the_mode_is_left_out() -> None:
    assert difference(Sequential(Dropout(0.5)).eval(), Sequential(Dropout(0.5))) is None
