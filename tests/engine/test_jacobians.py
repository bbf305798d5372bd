"""Gradients of functions, Jacobians, Hessians and their products, against mpmath and PyTorch."""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

from microgrant import Value, grad, hessian, hvp, jacobian, no_grad, value_and_grad
from microgrant.engine import jacobians, where
from microgrant.nn import MLP

POINTS = [[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]]


def curved(a: Any, b: Any, c: Any) -> Any:
    """Of Values, or of tensors: every second derivative is another."""
    return (a * b).tanh() * c.exp() + (a - c).sigmoid() * b**3 + (a * a + 1).log() / (c * c + 2)


def several(a: Any, b: Any, c: Any) -> Any:
    return [curved(a, b, c), (a * c).sin(), b * b]


def recorded(point: list[float]) -> list[Value]:
    return [Value(x) for x in point]


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


def assert_rows(found: list[list[float]], expected: list[list[float]]) -> None:
    assert len(found) == len(expected)
    for row, right in zip(found, expected, strict=True):
        assert row == near(right)


@pytest.mark.parametrize("point", POINTS)
def test_torch_has_the_same(point: list[float]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensors = tuple(torch.tensor(x, dtype=torch.float64) for x in point)
    functional, vector = torch.autograd.functional, [0.3, -2.0, 1.1]

    def rows(found: Any) -> list[list[float]]:
        return [[x.item() for x in row] for row in found]

    second = rows(functional.hessian(curved, tensors))
    first = rows(functional.jacobian(lambda *xs: tuple(several(*xs)), tensors))
    along = functional.hvp(curved, tensors, tuple(torch.tensor(vector, dtype=torch.float64)))[1]
    leaves = recorded(point)
    for of, outputs, inputs in (
        (curved, several, point),
        (curved(*leaves), several(*leaves), leaves),
    ):
        assert_rows(hessian(of, inputs), second)  # type: ignore[arg-type]
        assert_rows(jacobian(outputs, inputs), first)  # type: ignore[arg-type]
        found = hvp(of, inputs, vector)  # type: ignore[arg-type]
        assert found == near([x.item() for x in along])
    assert all(leaf.grad is jacobians_untouched for leaf in leaves)
    value, gradient = value_and_grad(curved)(*point)
    assert value == near(curved(*tensors).item())
    assert gradient == near(first[0])


jacobians_untouched = Value(0.0).grad


@pytest.mark.parametrize("point", POINTS)
def test_mpmath_has_the_same_second_derivatives(point: list[float]) -> None:
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed")

    def exact(a: Any, b: Any, c: Any) -> Any:
        middle = b**3 / (1 + mp.exp(c - a))
        return mp.tanh(a * b) * mp.exp(c) + middle + mp.log(a * a + 1) / (c * c + 2)

    with mp.workdps(60):
        for i, row in enumerate(hessian(curved, point)):
            for j, found in enumerate(row):
                order = [(k == i) + (k == j) for k in range(3)]
                assert abs(found - mp.diff(exact, tuple(map(mp.mpf, point)), order)) < 1e-13


def test_a_product_is_that_of_the_hessian() -> None:
    """Of a network by all of its parameters, and as many directions as it has."""
    random.seed(4)
    model = MLP(2, [3, 1], activation="tanh")
    parameters = model.parameters()
    loss = (model([0.5, -1.0]) - 2.0) ** 2
    rows = hessian(loss, parameters)
    for j in range(len(parameters)):
        unit = [float(i == j) for i in range(len(parameters))]
        assert hvp(loss, parameters, unit) == near([row[j] for row in rows])
        assert rows[j] == near([row[j] for row in rows])
    vector = [random.gauss(0, 1) for _ in parameters]
    expected = [math.fsum(x * v for x, v in zip(row, vector, strict=True)) for row in rows]
    assert hvp(loss, parameters, vector) == near(expected)


def passes(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]) -> list[bool]:
    """The gradients that are taken meanwhile: of each, whether it is recorded."""
    taken: list[bool] = []

    def counted(y: Value, xs: Any, create_graph: bool = False) -> Any:
        taken.append(create_graph)
        return grad(y, xs, create_graph=create_graph)

    monkeypatch.setattr(jacobians, "grad", counted)
    make()
    return taken


def test_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = recorded([0.1 * i for i in range(1, 21)])
    y = sum((x * z).exp() for x, z in itertools.pairwise(leaves))
    assert isinstance(y, Value)
    assert passes(monkeypatch, lambda: hvp(y, leaves, [1.0] * 20)) == [True, False]
    assert passes(monkeypatch, lambda: hessian(y, leaves)) == [True] + [False] * 20
    assert passes(monkeypatch, lambda: jacobian([y, y * 2, y * 3], leaves)) == [False] * 3
    assert passes(monkeypatch, lambda: value_and_grad(lambda *xs: xs[0])(*leaves)) == [False]


def test_the_gradient_has_the_form_of_what_was_given() -> None:
    assert value_and_grad(lambda x: x * x)(3) == (9.0, 6.0)
    assert value_and_grad(lambda x, y: x * y)(3.0, 4.0) == (12.0, [4.0, 3.0])
    assert value_and_grad(lambda xs: xs[0] * xs[1])([3.0, 4.0]) == (12.0, [4.0, 3.0])
    assert value_and_grad(lambda xs: xs[0] * 2)((3.0,)) == (6.0, [2.0])
    assert value_and_grad(lambda x, ys: x * ys[1])(3.0, [4.0, 5.0]) == (15.0, [5.0, [0.0, 3.0]])
    x = Value(3.0)
    assert value_and_grad(lambda x: x * x)(x) == (9.0, 6.0)
    assert x.grad is jacobians_untouched


def test_arrays() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed")
    assert value_and_grad(lambda xs: xs[0] * xs[1])(np.array([3.0, 4.0])) == (12.0, [4.0, 3.0])
    assert value_and_grad(lambda x: x * x)(np.float64(3.0)) == (9.0, 6.0)
    assert value_and_grad(lambda x: x * x)(np.array(3.0)) == (9.0, 6.0)
    assert hessian(lambda a, b: a * b, np.array([3.0, 4.0])) == [[0.0, 1.0], [1.0, 0.0]]
    assert hvp(lambda a, b: a * b, [3.0, 4.0], np.array([1.0, 0.0])) == [0.0, 1.0]
    leaves = np.array(recorded([3.0, 4.0]))
    assert jacobian(leaves * 2, leaves) == [[2.0, 0.0], [0.0, 2.0]]


def test_what_does_not_depend_has_the_derivative_0() -> None:
    a, b = recorded([2.0, 3.0])
    assert jacobian([a * 2, Value(1.0)], [a, b]) == [[2.0, 0.0], [0.0, 0.0]]
    assert jacobian(a, [a]) == [[1.0]]
    assert hessian(a + b, [a, b]) == [[0.0, 0.0], [0.0, 0.0]]
    assert hvp(a + b, [a, b], [1.0, 1.0]) == [0.0, 0.0]
    assert jacobian([], [a]) == []


def test_a_choice_is_followed() -> None:
    def f(x: Value) -> Value:
        return where(x > 0, x**3, x**2)

    assert hessian(f, [2.0]) == [[12.0]]
    assert hessian(f, [-2.0]) == [[2.0]]


def test_nothing_recurses() -> None:
    depth = 2 * sys.getrecursionlimit()

    def chain(x: Value) -> Value:
        for _ in range(depth):
            x = x * 1.0001
        return x * x

    factor = 1.0001**depth
    assert hvp(chain, [1.0], [1.0]) == pytest.approx([2 * factor**2], rel=1e-9)
    assert len(hvp(lambda *xs: xs[0] * xs[-1], [1.0] * depth, [1.0] * depth)) == depth


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda a: value_and_grad(a * a), TypeError, r"takes a function, .* grad\(y, xs\)"),
        (lambda a: value_and_grad(lambda: a)(), TypeError, "needs a number to be differentiated"),
        (lambda a: value_and_grad(lambda x: 3.0)(1.0), TypeError, "needs a Value, .* float 3.0"),
        (lambda a: value_and_grad(lambda x: [x])(1.0), TypeError, "needs a Value, .* got list"),
        (lambda a: value_and_grad(lambda x: x)("1"), TypeError, "one real number, but got str"),
        (lambda a: value_and_grad(lambda x: x)(None), TypeError, "one real number, but got None"),
        (
            lambda a: jacobian(lambda x: [x, 1.0], [1.0]),
            TypeError,
            "jacobian needs a Value, .* 1.0",
        ),
        (lambda a: jacobian(3.0, [a]), TypeError, "jacobian needs a Value, .* got float 3.0"),
        (lambda a: jacobian(a * a, [2.0]), TypeError, "inputs of jacobian .* give the function"),
        (lambda a: jacobian(a * a, a), TypeError, "inputs of jacobian are a list .* not Value"),
        (lambda a: jacobian(a * a, []), TypeError, "inputs of jacobian are a list that is not emp"),
        (lambda a: hessian(lambda x: x * x, 2.0), TypeError, "inputs of hessian are a list"),
        (lambda a: hessian([a * a], [a]), TypeError, "hessian needs a Value, .* but got list"),
        (lambda a: hessian(lambda x: [x], [1.0]), TypeError, "hessian needs a Value, .* got list"),
        (lambda a: hvp(a * a, [a], 1.0), ValueError, "a number for each of the 1 inputs, .* float"),
        (lambda a: hvp(a * a, [a], [1.0, 2.0]), ValueError, "a number for each of the 1 inputs"),
        (lambda a: hvp(a * a, [a], ["1"]), TypeError, "expected one real number, but got str"),
        (lambda a: hvp(a * a, [a], [a]), TypeError, "expected one real number, but got Value"),
    ],
)
def test_what_is_refused(
    make: Callable[[Value], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(Value(2.0))


def test_nothing_is_recorded_without_gradients() -> None:
    """Where the derivative would be 0, without a word."""
    a = Value(2.0)
    y = a**3
    makes: list[Callable[[], Any]] = [
        lambda: value_and_grad(lambda x: x * x)(2.0),
        lambda: jacobian(lambda x: x * x, [2.0]),
        lambda: hessian(y, [a]),
        lambda: hvp(y, [a], [1.0]),
    ]
    with no_grad():
        for make in makes:
            with pytest.raises(ValueError, match=r"inside of no_grad\(\) nothing is recorded"):
                make()
        assert jacobian(y, [a]) == [[12.0]]  # which was recorded before
