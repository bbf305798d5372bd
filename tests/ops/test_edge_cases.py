"""The edges: where numbers are zero, infinite or nan, and where micrograd goes wrong.

The first table says what value and what derivatives an operation has at a special point, which
follow IEEE 754 and the conventions of PyTorch where the two leave a choice. The second holds
programs that micrograd 0.1.0 runs with a wrong result; here the right one is asked for.
"""

from __future__ import annotations

import copy
import gc
import math
import operator
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import microgrant
from microgrant import Value, grad, where
from microgrant.nn import MLP

inf, nan = math.inf, math.nan
E40, ROOT = math.exp(-40.0), math.sqrt(0.5)


def clip01(x: Value) -> Value:
    return x.clip(0.0, 1.0)


def log_where_positive(x: Value) -> Value:
    return where(x > 0, x.log(), 0.0)


def raised(n: float) -> Callable[[Value], Value]:
    return lambda x: x**n


# name, function, point, value, derivatives
POINTS: list[tuple[str, Callable[..., Value], tuple[float, ...], float, tuple[float, ...]]] = [
    ("abs @ 0", abs, (0.0,), 0.0, (0.0,)),
    ("relu @ 0", Value.relu, (0.0,), 0.0, (0.0,)),
    ("maximum at a tie", Value.maximum, (2.0, 2.0), 2.0, (0.5, 0.5)),
    ("minimum at a tie", Value.minimum, (2.0, 2.0), 2.0, (0.5, 0.5)),
    ("maximum(nan, 1)", Value.maximum, (nan, 1.0), nan, (nan, nan)),
    ("maximum(1, nan)", Value.maximum, (1.0, nan), nan, (nan, nan)),
    ("minimum(nan, 1)", Value.minimum, (nan, 1.0), nan, (nan, nan)),
    ("minimum(1, nan)", Value.minimum, (1.0, nan), nan, (nan, nan)),
    ("clip at the lower bound", clip01, (0.0,), 0.0, (1.0,)),
    ("clip at the upper bound", clip01, (1.0,), 1.0, (1.0,)),
    ("sqrt @ 0", Value.sqrt, (0.0,), 0.0, (inf,)),
    ("sqrt @ -1", Value.sqrt, (-1.0,), nan, (nan,)),
    ("log @ 0", Value.log, (0.0,), -inf, (inf,)),
    ("log @ -1", Value.log, (-1.0,), nan, (nan,)),
    ("x**0 @ 0", raised(0), (0.0,), 1.0, (0.0,)),
    ("x**0.0 @ 0", raised(0.0), (0.0,), 1.0, (0.0,)),
    ("x**.5 @ 0", raised(0.5), (0.0,), 0.0, (inf,)),
    ("x**.3 @ inf", raised(0.3), (inf,), inf, (0.0,)),
    ("x**1 @ 0", raised(1), (0.0,), 0.0, (1.0,)),
    ("x**2 @ 0", raised(2), (0.0,), 0.0, (0.0,)),
    ("x**-1 @ 0", raised(-1), (0.0,), inf, (-inf,)),
    ("a**b @ (0, 0)", operator.pow, (0.0, 0.0), 1.0, (0.0, 0.0)),
    ("a**b @ (0, 2)", operator.pow, (0.0, 2.0), 0.0, (0.0, 0.0)),
    ("a**b @ (0, -1)", operator.pow, (0.0, -1.0), inf, (-inf, -inf)),
    ("a**b @ (inf, .3)", operator.pow, (inf, 0.3), inf, (0.0, inf)),
    ("a**b @ (-.5, -inf)", operator.pow, (-0.5, -inf), inf, (-inf, nan)),
    ("a**b @ (-2, 2)", operator.pow, (-2.0, 2.0), 4.0, (-4.0, nan)),
    ("(-2)**.5, a constant", raised(0.5), (-2.0,), nan, (nan,)),
    ("(-2)**.5, a Value", operator.pow, (-2.0, 0.5), nan, (nan, nan)),
    ("1/0", operator.truediv, (1.0, 0.0), inf, (inf, -inf)),
    ("a/b, both 1e-200", operator.truediv, (1e-200, 1e-200), 1.0, (1e200, -1e200)),
    ("relu(nan)", Value.relu, (nan,), nan, (nan,)),
    ("abs(nan)", abs, (nan,), nan, (nan,)),
    ("where(x>0, log x, 0) @ 0", log_where_positive, (0.0,), 0.0, (0.0,)),
    ("tanh @ 20", Value.tanh, (20.0,), 1.0, (4 * E40 / (1 + E40) ** 2,)),
    ("tanh @ -20", Value.tanh, (-20.0,), -1.0, (4 * E40 / (1 + E40) ** 2,)),
    ("sigmoid @ 40", Value.sigmoid, (40.0,), 1.0, (E40 / (1 + E40) ** 2,)),
    ("sigmoid @ -40", Value.sigmoid, (-40.0,), E40, (E40 / (1 + E40) ** 2,)),
    ("softplus @ 25", Value.softplus, (25.0,), 25.000000000013888, (1 - math.exp(-25.0),)),
    ("exp @ 710", Value.exp, (710.0,), inf, (inf,)),
]


@pytest.mark.parametrize(
    ("function", "point", "value", "derivatives"),
    [row[1:] for row in POINTS],
    ids=[row[0] for row in POINTS],
)
def test_value_and_derivatives_at_an_edge(
    function: Callable[..., Value],
    point: tuple[float, ...],
    value: float,
    derivatives: tuple[float, ...],
) -> None:
    operands = [Value(x) for x in point]
    result = function(*operands)
    assert result.data == pytest.approx(value, rel=1e-15, abs=0.0, nan_ok=True)
    assert grad(result, operands) == pytest.approx(derivatives, rel=4e-16, abs=0.0, nan_ok=True)
    result.backward()
    assert [x.grad for x in operands] == pytest.approx(derivatives, rel=4e-16, abs=0.0, nan_ok=True)


# The functions beyond those, where there is something to choose or to get wrong. Value and
# derivatives: ours, and as measured on PyTorch 2.13 and on JAX 0.10 (float64); "same" as ours.
# At kinks and jumps we follow PyTorch, as above; where a limit exists, we have the limit; and what
# is nan has derivatives that are nan.
Measured = tuple[float, ...] | str
CORNERS: list[tuple[str, tuple[float, ...], tuple[float, ...], Measured, Measured]] = [
    ("tan", (inf,), (nan, nan), "same", "same"),
    ("asin", (1.0,), (math.pi / 2, inf), "same", "same"),
    ("asin", (2.0,), (nan, nan), "same", "same"),
    ("acos", (1.0,), (0.0, -inf), "same", "same"),
    ("acos", (-1.0,), (math.pi, -inf), "same", "same"),
    ("atan", (-inf,), (-math.pi / 2, 0.0), "same", "same"),
    ("atan2", (0.0, 0.0), (0.0, 0.0, 0.0), "same", (0.0, nan, nan)),
    ("atan2", (0.0, -0.0), (math.pi, 0.0, 0.0), "same", (math.pi, nan, nan)),
    ("atan2", (-0.0, -1.0), (-math.pi, -1.0, 0.0), "same", "same"),
    ("atan2", (1.0, inf), (0.0, 0.0, 0.0), (0.0, nan, 0.0), (0.0, nan, 0.0)),
    ("atan2", (inf, inf), (math.pi / 4, 0.0, 0.0), (math.pi / 4, nan, nan),
     (math.pi / 4, nan, nan)),
    ("atan2", (1e-200, 1e-200), (math.pi / 4, 5e199, -5e199), (math.pi / 4, 0.0, 0.0),
     (math.pi / 4, inf, -inf)),
    ("sinh", (711.0,), (inf, inf), "same", "same"),
    ("sinh", (-710.3,), (math.sinh(-710.3), math.cosh(710.3)), "same", "same"),
    ("cosh", (-711.0,), (inf, -inf), "same", "same"),
    ("asinh", (-1e200,), (math.asinh(-1e200), 1e-200), (math.asinh(-1e200), 0.0),
     (math.asinh(-1e200), 0.0)),
    ("acosh", (1.0,), (0.0, inf), "same", "same"),
    ("acosh", (0.5,), (nan, nan), "same", "same"),
    ("acosh", (-inf,), (nan, nan), (nan, 0.0), (nan, 0.0)),
    ("atanh", (-1.0,), (-inf, inf), "same", "same"),
    ("atanh", (2.0,), (nan, nan), (nan, -1 / 3), (nan, -1 / 3)),
    ("erf", (30.0,), (1.0, 0.0), "same", "same"),
    ("erfc", (26.0,), (5.663192408856143e-296, -2.9470349932662693e-294), "same", "same"),
    ("erfc", (inf,), (0.0, 0.0), "same", "same"),
    ("log2", (0.0,), (-inf, inf), "same", "same"),
    ("log2", (8.0,), (3.0, 0.18033688011112042), "same", (2.9999999999999996, 0.18033688011112042)),
    ("log2", (-1.0,), (nan, nan), (nan, -1.4426950408889634), (nan, -1.4426950408889634)),
    ("log10", (1000.0,), (3.0, 0.0004342944819032518), "same", "same"),
    ("log10", (-inf,), (nan, nan), (nan, 0.0), (nan, 0.0)),
    ("exp2", (1024.0,), (inf, inf), "same", (1.7976931348622732e308, 1.2460659279417542e308)),
    ("exp2", (-1080.0,), (0.0, 0.0), "same", "same"),
    ("hypot", (0.0, 0.0), (0.0, 0.0, 0.0), (0.0, nan, nan), (0.0, 0.5, 0.5)),
    ("hypot", (inf, 1.0), (inf, 1.0, 0.0), (inf, nan, 0.0), (inf, nan, nan)),
    ("hypot", (inf, nan), (inf, nan, nan), "same", "same"),
    ("hypot", (1e-200, 1e-200), (1.414213562373095e-200, ROOT, ROOT), "same",
     (1.414213562373095e-200, -inf, -inf)),
    ("sign", (0.0,), (0.0, 0.0), "same", "same"),
    ("sign", (nan,), (nan, nan), (0.0, 0.0), (nan, 0.0)),
    ("floor", (3.0,), (3.0, 0.0), "same", "same"),
    ("floor", (-0.5,), (-1.0, 0.0), "same", "same"),
    ("floor", (-inf,), (-inf, 0.0), "same", "same"),
    ("floor", (nan,), (nan, nan), (nan, 0.0), (nan, 0.0)),
    ("mod", (-5.5, 2.0), (0.5, 1.0, 3.0), "same", "same"),
    ("mod", (6.0, 2.0), (0.0, 1.0, -3.0), "same", "same"),
    ("mod", (1.0, 0.0), (nan, nan, nan), (nan, 1.0, -inf), (nan, 1.0, -inf)),
    ("mod", (-1.0, inf), (inf, 1.0, 1.0), "same", "same"),
    ("mod", (3.0, 0.1), (0.09999999999999984, 1.0, -29.0), "same",
     (0.09999999999999984, 1.0, -30.0)),
    ("leaky_relu", (0.0,), (0.0, 0.01), "same", (0.0, 1.0)),
    ("leaky_relu", (nan,), (nan, nan), (nan, 0.01), (nan, 0.01)),
    ("elu", (0.0,), (0.0, 1.0), "same", "same"),
    ("elu", (-inf,), (-1.0, 0.0), "same", "same"),
    ("gelu", (inf,), (inf, 1.0), (inf, nan), (inf, nan)),
    ("gelu", (-inf,), (0.0, 0.0), (nan, nan), (nan, nan)),
    ("silu", (inf,), (inf, 1.0), (inf, nan), (inf, nan)),
    ("silu", (-inf,), (0.0, 0.0), (nan, nan), (nan, nan)),
]  # fmt: skip
every_corner = pytest.mark.parametrize(
    ("name", "point", "ours", "torchs"),
    [row[:4] for row in CORNERS],
    ids=[f"{row[0]} @ {', '.join(map(repr, row[1]))}" for row in CORNERS],
)


@every_corner
def test_a_corner_is_as_written_down(
    name: str, point: tuple[float, ...], ours: tuple[float, ...], torchs: Measured
) -> None:
    operands = [Value(x) for x in point]
    result = operator.mod(*operands) if name == "mod" else getattr(microgrant, name)(*operands)
    found = result.data, *grad(result, operands)
    assert found == pytest.approx(ours, rel=1e-15, abs=0.0, nan_ok=True)


@every_corner
def test_a_corner_of_pytorch_is_as_written_down(
    name: str, point: tuple[float, ...], ours: tuple[float, ...], torchs: Measured
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    function = getattr(torch, {"mod": "remainder"}.get(name, name), None)
    function = function or getattr(torch.nn.functional, name)
    operands = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point]
    result = function(*operands)
    result.backward()
    found = result.item(), *(x.grad.item() for x in operands)
    expected = ours if isinstance(torchs, str) else torchs
    assert found == pytest.approx(expected, rel=1e-14, abs=0.0, nan_ok=True)


# Where Python's own arithmetic raises, or answers otherwise.
IEEE: list[tuple[str, Callable[[], Value], float]] = [
    ("exp(710)", lambda: Value(710.0).exp(), inf),
    ("exp(-inf)", lambda: Value(-inf).exp(), 0.0),
    ("expm1(710)", lambda: Value(710.0).expm1(), inf),
    ("10.0**400", lambda: Value(10.0) ** 400, inf),
    ("10.0**400, a Value", lambda: Value(10.0) ** Value(400.0), inf),
    ("10.0**400, on the right", lambda: 10.0 ** Value(400.0), inf),
    ("(-10.0)**401", lambda: Value(-10.0) ** 401, -inf),
    ("log(0)", lambda: Value(0.0).log(), -inf),
    ("log(-0.0)", lambda: Value(-0.0).log(), -inf),
    ("log(-inf)", lambda: Value(-inf).log(), nan),
    ("log1p(-1)", lambda: Value(-1.0).log1p(), -inf),
    ("log1p(-2)", lambda: Value(-2.0).log1p(), nan),
    ("sin(inf)", lambda: Value(inf).sin(), nan),
    ("cos(-inf)", lambda: Value(-inf).cos(), nan),
    ("sqrt(-inf)", lambda: Value(-inf).sqrt(), nan),
    ("pow(0, -1)", lambda: pow(Value(0.0), -1), inf),
    ("pow(-0.0, -1)", lambda: pow(Value(-0.0), -1), -inf),
    ("pow(-0.0, -2)", lambda: pow(Value(-0.0), -2), inf),
    ("0.0**-1, on the right", lambda: 0.0 ** Value(-1.0), inf),
    ("1/0", lambda: Value(1.0) / 0, inf),
    ("1/0, on the right", lambda: 1 / Value(0.0), inf),
    ("1/-0.0", lambda: Value(1.0) / -0.0, -inf),
    ("-1/0", lambda: Value(-1.0) / 0, -inf),
    ("0/0", lambda: Value(0.0) / 0, nan),
    ("nan/0", lambda: Value(nan) / 0, nan),
    ("inf/0", lambda: Value(inf) / 0, inf),
    ("(-2.0)**.5", lambda: Value(-2.0) ** 0.5, nan),
    ("(-2.0)**.5, on the right", lambda: (-2.0) ** Value(0.5), nan),
    ("inf - inf", lambda: Value(inf) - inf, nan),
    ("max(nan, 1)", lambda: Value(nan).maximum(1), nan),
    ("max(1, nan)", lambda: Value(1.0).maximum(nan), nan),
    ("max(0.0, -0.0), the first", lambda: Value(0.0).maximum(-0.0), 0.0),
    ("max(-0.0, 0.0), the first", lambda: Value(-0.0).maximum(0.0), -0.0),
    ("min(0.0, -0.0), the first", lambda: Value(0.0).minimum(-0.0), 0.0),
    ("min(-0.0, 0.0), the first", lambda: Value(-0.0).minimum(0.0), -0.0),
    ("relu(-0.0)", lambda: Value(-0.0).relu(), -0.0),
    ("clip(nan)", lambda: Value(nan).clip(0, 1), nan),
    ("sigmoid(-800)", lambda: Value(-800.0).sigmoid(), 0.0),
    ("sigmoid(800)", lambda: Value(800.0).sigmoid(), 1.0),
    ("softplus(-800)", lambda: Value(-800.0).softplus(), 0.0),
    ("softplus(800)", lambda: Value(800.0).softplus(), 800.0),
    ("tanh(inf)", lambda: Value(inf).tanh(), 1.0),
    ("cosh(711)", lambda: microgrant.cosh(711.0), inf),
    ("acosh(0)", lambda: microgrant.acosh(0.0), nan),
    ("asin(-0.0)", lambda: microgrant.asin(-0.0), -0.0),
    ("atanh(-1)", lambda: microgrant.atanh(-1.0), -inf),
    ("log2(0)", lambda: microgrant.log2(0.0), -inf),
    ("exp2(1024)", lambda: microgrant.exp2(1024.0), inf),
    ("floor(-0.0)", lambda: microgrant.floor(-0.0), -0.0),
    ("floor(inf)", lambda: microgrant.floor(inf), inf),
    ("sign(-0.0)", lambda: microgrant.sign(-0.0), 0.0),
    ("1 % 0", lambda: Value(1.0) % 0, nan),
    ("inf % 2", lambda: Value(inf) % 2, nan),
    ("-6 % 2, a zero of the divisor's sign", lambda: -6 % Value(2.0), 0.0),
    ("6 % -2, a zero of the divisor's sign", lambda: 6 % Value(-2.0), -0.0),
    ("gelu(-inf)", lambda: microgrant.gelu(-inf), -0.0),
]


@pytest.mark.parametrize(
    ("compute", "value"), [row[1:] for row in IEEE], ids=[row[0] for row in IEEE]
)
def test_ieee_754_has_an_answer_where_python_raises(
    compute: Callable[[], Value], value: float
) -> None:
    result = compute().data
    assert result.__class__ is float
    assert result == pytest.approx(value, rel=1e-15, abs=0.0, nan_ok=True)
    assert math.copysign(1.0, result) == math.copysign(1.0, value) or result != result


# --- What micrograd gets wrong ------------------------------------------------------------------


def trunk() -> tuple[Value, Value]:
    """A leaf, and a value of it with an interior node on the way: d(loss)/d(leaf) is 24."""
    x = Value(3.0)
    double = x + x
    return x, double * double


def test_a_second_backward_through_a_shared_interior_node() -> None:
    x, loss = trunk()
    loss.backward()
    assert x.grad == 24.0
    loss.backward()
    assert x.grad == 48.0


def test_a_second_backward_with_the_leaves_zeroed_in_between() -> None:
    x, loss = trunk()
    loss.backward()
    x.grad = 0.0
    loss.backward()
    assert x.grad == 24.0


def test_two_losses_that_share_a_trunk() -> None:
    x = Value(3.0)
    double = x + x
    first, second = double + 1, double * double
    first.backward()
    assert x.grad == 2.0
    second.backward()
    assert x.grad == 26.0


def test_backward_twice_on_a_leaf() -> None:
    x = Value(3.0)
    x.backward()
    x.backward()
    assert x.grad == 2.0


def test_data_of_a_leaf_changed_between_forward_and_backward() -> None:
    x = Value(3.0)
    y = x * x
    x.data = 100.0
    y.backward()
    assert x.grad == 6.0


PROGRAM = """
import random
from microgrant.engine import Value
rng = random.Random(1)
x, total = Value(rng.random()), Value(0.0)
for _ in range(200):
    y = x * rng.random() + x.sin() * x
    total = total + y * y / (y + rng.random())
total.backward()
print(x.grad.hex())
"""


@pytest.mark.parametrize("batches", [1, pytest.param(5, marks=pytest.mark.campaign)])
def test_the_same_program_in_many_processes_has_one_gradient(batches: int) -> None:
    gradients = set()
    for batch in range(batches):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, "PYTHONHASHSEED": str(4 * batch + i)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for i in range(4)
        ]
        for process in running:
            printed, _ = process.communicate()
            assert process.returncode == 0
            gradients.add(printed)
    assert len(gradients) == 1


def test_backward_of_a_deep_copy() -> None:
    x = Value(3.0, label="x")
    y = copy.deepcopy(x * x)
    y.backward()
    (x_of_copy, _) = y._prev
    assert (x_of_copy.grad, x_of_copy.label) == (6.0, "x")
    assert x.grad == 0.0


def test_division_of_large_numbers() -> None:
    a, b = Value(1e200), Value(1e200)
    (a / b).backward()
    assert (a.grad, b.grad) == (1e-200, -1e-200)


def test_division_rounds_once() -> None:
    assert (Value(49.0) / 49).data == 1.0


def test_a_chain_of_993_additions() -> None:
    x = y = Value(1.0)
    for _ in range(993):
        y = y + 1.0
    y.backward()
    assert (y.data, x.grad) == (994.0, 1.0)


def test_a_sum_of_2000_terms() -> None:
    terms = [Value(1.0) for _ in range(2000)]
    total = sum(terms)
    total.backward()
    assert total.data == 2000.0
    assert {term.grad for term in terms} == {1.0}


def test_a_neuron_of_1200_inputs() -> None:
    model = MLP(1200, [1])
    model([1.0] * 1200).backward()
    assert {p.grad for p in model.parameters()} == {1.0}


@pytest.mark.parametrize(
    ("compute", "value"),
    [
        (lambda: pow(Value(0.0), 0), 1.0),
        (lambda: 1 / Value(0.0), inf),
        (lambda: Value(10.0) ** 400, inf),
    ],
    ids=["pow(0., 0)", "1/0", "10.**400"],
)
def test_arithmetic_never_raises(compute: Callable[[], Value], value: float) -> None:
    result = compute()
    result.backward()
    assert result.data == value


def test_a_value_as_exponent() -> None:
    base, exponent = Value(2.0), Value(3.0)
    (base**exponent).backward()
    assert (base.grad, exponent.grad) == (12.0, pytest.approx(8 * math.log(2), rel=1e-15))


def test_a_number_to_the_power_of_a_value() -> None:
    x = Value(3.0)
    y = 2**x
    y.backward()
    assert (y.data, x.grad) == (8.0, pytest.approx(8 * math.log(2), rel=1e-15))


def test_a_numpy_integer_as_exponent() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    x = Value(3.0)
    y = x ** numpy.int64(2)
    y.backward()
    assert (y.data, x.grad, y._op) == (9.0, 6.0, "**2")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Value("a"),
        lambda: Value("a") + "b",
        lambda: Value(1.0) + "b",
        lambda: Value(None),
        lambda: Value(Value(1.0)),
    ],
    ids=["Value('a')", "Value('a') + 'b'", "Value(1.0) + 'b'", "Value(None)", "Value(Value(1.))"],
)
def test_only_numbers_are_accepted(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="expected one real number, but got"):
        make()


def test_a_value_times_an_array_is_an_array_of_values() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    x = Value(3.0)
    products = x * numpy.array([1.0, 2.0])
    assert isinstance(products, numpy.ndarray)
    assert [type(product) for product in products] == [Value, Value]
    products.sum().backward()
    assert x.grad == 3.0


def test_pickle_of_a_leaf() -> None:
    leaf = Value(3.0, label="x")
    leaf.grad = 2.0
    loaded = pickle.loads(pickle.dumps(leaf))
    assert (loaded.data, loaded.grad, loaded.label, loaded._prev) == (3.0, 2.0, "x", ())


def test_steps_leave_nothing_for_the_garbage_collector() -> None:
    random.seed(1)
    model = MLP(3, [8, 8, 1])
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            loss = (1 - model([0.5, -1.0, 2.0])) ** 2
            model.zero_grad()
            loss.backward()
            for p in model.parameters():
                p.data -= 0.01 * p.grad
        del loss, p
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("inputs", [[], [1.0], [1.0, 2.0, 3.0]], ids=len)
def test_a_wrong_number_of_inputs(inputs: list[float]) -> None:
    with pytest.raises(ValueError, match=rf"the MLP takes 2 inputs, but got {len(inputs)}"):
        MLP(2, [3, 1])(inputs)
