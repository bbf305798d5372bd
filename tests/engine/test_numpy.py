"""Values beside NumPy: in its arrays, in its functions, and beside its numbers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import pytest

from microgrant import (
    Value,
    apply,
    compile,
    draw,
    explain,
    grad,
    gradcheck,
    jacobian,
    topological_order,
    value_and_grad,
    where,
)
from microgrant.compiler import DecisionWarning
from microgrant.engine import Condition, detach
from microgrant.losses import cross_entropy, l2, mean_squared_error
from microgrant.nn import MLP, Conv2d, Flatten, Module, Neuron
from microgrant.ops import OPERATIONS
from microgrant.optim import SGD
from microgrant.training import classify, fit

np = pytest.importorskip("numpy", reason="NumPy is not installed")

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
every_operator = pytest.mark.parametrize("operate", ARITHMETIC, ids=lambda f: f.__name__)


def decided_at(x: Any) -> str:
    return str(getattr(x, "_decided_at", ""))


def line_of(text: str) -> str:
    """Where the first line of this file stands that has such a text, as decisions are noted."""
    with open(__file__, encoding="utf-8") as file:
        [first, *_] = [place for place, line in enumerate(file, 1) if text in line]
    return f"{__file__}, line {first}"


# --- Numbers and arrays -------------------------------------------------------------------------


@every_operator
@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "int64", "uint8", "bool_"])
def test_numbers_on_both_sides(operate: Callable[..., Any], kind: str) -> None:
    x, number = Value(3.0), getattr(np, kind)(1)
    for result in (operate(x, number), operate(number, x), operate(x, np.array(1.0))):
        assert type(result) is Value
        assert x in result.operands
    assert operate(x, number).data == operate(3.0, 1.0)
    assert operate(number, x).data == operate(1.0, 3.0)


@pytest.mark.parametrize("kind", ["longdouble", "float16", "uint8"])
def test_numbers_of_any_length_on_both_sides(kind: str) -> None:
    number, x = getattr(np, kind)(3), Value(2.0)
    for result in (number * x, x * number, (np.array([number]) * x)[0], number - x + 5.0):
        assert result.data == 6.0
    assert bool(number > x)
    with pytest.raises(TypeError, match=r"take its \.real or \.imag"):
        _ = np.clongdouble(1) * x


@every_operator
def test_arrays_on_both_sides(operate: Callable[..., Any]) -> None:
    x, array = Value(3.0), np.array([[1.0, 2.0], [0.5, 4.0]])
    for result, expected in (
        (operate(x, array), operate(3.0, array)),
        (operate(array, x), operate(array, 3.0)),
    ):
        assert result.shape == array.shape
        assert all(type(value) is Value and x in value.operands for value in result.flat)
        assert [value.data for value in result.flat] == expected.ravel().tolist()


def test_arrays_of_values_compute_as_arrays_do() -> None:
    w = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]])
    x = np.array([5.0, 6.0])
    y = (w @ x).sum() + w.mean()
    y.backward()
    assert y.data == 17.0 + 39.0 + 2.5
    assert [value.grad for value in w.flat] == [5.25, 6.25, 5.25, 6.25]


def test_spread_is_differentiated() -> None:
    numbers = [1.0, 4.0, -2.0]
    for function in (np.var, np.std, np.mean, np.linalg.norm, np.median):
        values = np.array([Value(x) for x in numbers])
        y = function(values)
        assert y.data == pytest.approx(float(function(numbers)), rel=1e-15)
        assert gradcheck(lambda *xs, f=function: f(np.array(xs)), numbers)
    assert np.vdot(values, values).data == 21.0


def test_arrays_are_no_numbers() -> None:
    with pytest.raises(TypeError, match="make one Value for each number"):
        Value(np.array([1.0, 2.0]))
    with pytest.raises(TypeError, match=r"take its .real or .imag"):
        Value(np.complex128(1j))
    assert Value(np.array(2.5)).data == Value(np.float32(2.5)).data == 2.5


# --- Comparisons --------------------------------------------------------------------------------


def test_comparisons() -> None:
    x = Value(2.0)
    assert x < np.float64(3)
    assert np.float64(3) > x
    assert x == np.int64(2)
    assert not Value(0.1) == np.float32(0.1)  # noqa: SIM201
    assert Value(0.1) < np.float32(0.1)
    assert not Value(2.0**53) >= np.int64(2**53 + 1)
    assert (x < np.array([1.0, 3.0])).tolist() == [False, True]
    assert (np.array([1.0, 2.0]) == x).tolist() == [False, True]
    assert (np.array([Value(2.0), x]) == x).tolist() == [False, True]


def test_a_comparison_with_a_number_decides_nothing() -> None:
    x = Value(2.0)
    for condition in (x > np.float64(1), np.float64(1) < x, np.greater(x, 1), np.less(1.0, x)):
        assert type(condition) is Condition
        assert condition.truth
    assert not decided_at(x)


def test_arrays_are_compared_element_by_element() -> None:
    x, y = Value(-1.0), Value(2.0)
    for result in (np.array([x, y]) > 0, np.array([-1.0, 2.0]) > Value(0.0), np.less([3, 1], y)):
        assert result.dtype == bool
        assert sorted(result.tolist()) == [False, True]
    assert (y > np.array([1.0, 3.0])).tolist() == [True, False]
    assert decided_at(x)


def test_an_array_of_conditions_is_a_mask() -> None:
    values = [Value(1.0), Value(-1.0), Value(2.0)]
    mask = np.array([v > 0 for v in values])
    assert mask.dtype == bool
    assert np.arange(3)[mask].tolist() == [0, 2]
    assert np.where(values[0] > 0, 5, 6) == 5
    assert decided_at(values[0])


def test_a_truth_of_numpy_is_plain() -> None:
    assert where(np.bool_(True), 1.0, 2.0).data == 1.0
    assert where(np.array(0.0) > 0, 1.0, 2.0).data == 2.0
    with pytest.raises(TypeError, match="where chooses by a comparison"):
        where(np.array([True, False]), 1.0, 2.0)


# --- An array without dimensions ----------------------------------------------------------------


def boxed(value: Value) -> Any:
    """The Value in an array without dimensions, as NumPy returns it."""
    box = np.squeeze(np.array([value]))
    assert type(box) is np.ndarray
    assert box.item() is value
    return box


@every_operator
def test_a_boxed_value_computes_on_both_sides(operate: Callable[..., Any]) -> None:
    a, b = Value(2.0), Value(3.0)
    for left, right in ((boxed(a), b), (a, boxed(b)), (boxed(a), boxed(b))):
        result = operate(left, right)
        assert result.operands == (a, b)
        assert result.data == operate(2.0, 3.0)


def test_a_boxed_value_is_compared_as_the_value() -> None:
    a, b = Value(2.0), Value(3.0)
    for condition in (a < boxed(b), boxed(a) < b, b > boxed(a)):
        assert type(condition) is Condition
        assert condition.truth
    assert (a == boxed(a), a == boxed(Value(2.0)), a != boxed(a)) == (1, 0, 0)
    assert not decided_at(a)


def test_what_numpy_returns_goes_on_being_computed_with() -> None:
    for x, slope in ((2.0, 1.0), (-2.0, 0.1)):
        v = Value(x)
        leaky = np.where(v > 0, v, 0.1 * v)
        assert grad(sum([leaky, leaky]), v) == 2 * slope
        assert grad(np.polyval([1, 2, 3], v), v) == 2 * x + 2
        assert grad(np.tensordot(np.array([v, v]), np.array([v, v]), 1), v) == 4 * x


A_FUNCTION: dict[str, Callable[[Any], Any]] = {
    "apply": lambda x: apply(OPERATIONS["tanh"], x),
    "maximum": lambda x: Value(0.25).maximum(x, 0.125),
    "detach": lambda x: detach(x) + x,
    "branch": lambda x: where(Value(1.0) > 0, x, 0.0),
    "condition": lambda x: where(x, x, 1.0),
    "loss": lambda x: mean_squared_error(x, 1.0),
    "target": lambda x: mean_squared_error([Value(1.0), x], [x, 2.0]),
    "class": lambda x: cross_entropy([x, 0.0], boxed(1)),
    "penalty": lambda x: l2([x]),
    "neuron": lambda x: LINE([x]),
    "number": lambda x: LINE(x),
    "network": lambda x: NETWORK([x, x]),
    "flatten": lambda x: Flatten()([x, [x]])[0] * 2,
    "image": lambda x: CONVOLUTION([[[x]]])[0][0][0],
}
LINE, NETWORK, CONVOLUTION = Neuron(1, activation="tanh"), MLP(2, [2, 1], "tanh"), Conv2d(1, 1, 1)


@pytest.mark.parametrize("name", A_FUNCTION)
def test_a_boxed_value_is_the_value(name: str) -> None:
    function, x = A_FUNCTION[name], Value(0.5)
    expected, result = function(x), function(boxed(x))
    assert result.data == expected.data
    assert grad(boxed(result), boxed(x)) == grad(expected, x) != 0.0
    assert grad(result, [boxed(x)]) == grad(expected, [x])


def test_a_boxed_value_is_a_root() -> None:
    x = Value(0.5, "x")
    y = x * x
    assert topological_order(boxed(y)) == [x, y]
    assert draw(boxed(y)).source == draw(y).source
    assert explain(boxed(y)).gradients == {"x": 1.0}
    assert compile(boxed(y), inputs=[boxed(x)])([[3.0]]).tolist() == [9.0]
    assert compile([boxed(y)], inputs=[x])([[3.0]]).tolist() == [[9.0]]
    assert compile(boxed(y), [], parameters=[boxed(x)])() == 0.25
    assert gradcheck(lambda v: boxed(v * v), [0.5])
    assert value_and_grad(lambda v: boxed(v * v))(boxed(x)) == (0.25, 1.0)
    assert jacobian([boxed(y)], [boxed(x)]) == [[1.0]]
    assert classify([boxed(y), boxed(-y)]) == [1, 0]


def test_a_module_may_return_a_boxed_value() -> None:
    class Boxing(Module):
        def __init__(self) -> None:
            self.w = Value(1.0)

        def forward(self, x: Any) -> Any:
            return boxed(self.w * x)

    model = Boxing()
    inputs, outputs = [1.0, 2.0], [3.0, 6.0]
    [call] = model(2.0).item()._scope
    assert call.module() is model
    history = fit(
        model,
        lambda output, y: boxed((output - y) ** 2),
        (inputs, outputs),
        epochs=60,
        optimizer=lambda ps: SGD(ps, 0.2),
    )
    assert history.target == "native"
    assert model.w.data == pytest.approx(3.0)


# --- Functions ----------------------------------------------------------------------------------

# NumPy's name, that of the table, and a point at which both are defined.
FUNCTIONS = [
    *((name, name, 0.5) for name in ("exp", "exp2", "expm1", "log", "log10", "log1p", "log2")),
    *((name, name, 0.5) for name in ("sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")),
    *(("absolute", "abs", -0.5), ("fabs", "abs", -0.5), ("negative", "neg", 0.5)),
    ("floor", "floor", 1.5),
    *(("arcsin", "asin", 0.5), ("arccos", "acos", 0.5), ("arctan", "atan", 0.5)),
    *(("arcsinh", "asinh", 0.5), ("arccosh", "acosh", 1.5), ("arctanh", "atanh", 0.5)),
]
OF_ONE = [pytest.param(*each, id=each[0]) for each in FUNCTIONS]
OF_TWO = [
    *(("add", "add"), ("subtract", "sub"), ("multiply", "mul"), ("divide", "div")),
    *(("true_divide", "div"), ("power", "pow"), ("maximum", "maximum"), ("minimum", "minimum")),
    *(("arctan2", "atan2"), ("hypot", "hypot"), ("remainder", "mod"), ("mod", "mod")),
]


@pytest.mark.parametrize(("name", "operation", "at"), OF_ONE)
def test_functions_are_recorded(name: str, operation: str, at: float) -> None:
    function, x = getattr(np, name), Value(at)
    y = function(x)
    assert y.operation is OPERATIONS[operation]
    assert y.operands == (x,)
    assert y.data == pytest.approx(float(function(at)), rel=1e-15)
    (in_array,) = function(np.array([x]))
    assert (in_array.data, in_array.operation) == (y.data, y.operation)
    assert function(boxed(x)).operation is y.operation


@pytest.mark.parametrize(("name", "operation"), OF_TWO)
def test_functions_of_two_are_recorded(name: str, operation: str) -> None:
    function, a, b = getattr(np, name), Value(2.0), Value(1.5)
    expected = float(function(2.0, 1.5))
    for y in (function(a, b), function(a, boxed(b)), function(np.array([a]), b)[0]):
        assert y.operation is OPERATIONS[operation]
        assert y.operands == (a, b)
        assert y.data == pytest.approx(expected, rel=1e-15)
    for y in (function(a, 1.5), function(2.0, b), function(np.float32(2.0), b), function(a, 1.5)):
        assert y.data == pytest.approx(expected, rel=1e-15)
        assert {a, b} & {*y.operands}
    column = function([[1.0], [2.0]], b)
    assert column.shape == (2, 1)
    assert [y.data for y in column.flat] == pytest.approx(function([1.0, 2.0], 1.5))
    assert not decided_at(a)
    assert not decided_at(b)


def test_what_is_there_for_numpy_alone_is_not_shown() -> None:
    x = Value(0.5)
    assert not hasattr(Value, "arctan")
    with pytest.raises(AttributeError, match=r"^'Value' object has no attribute 'arctam'"):
        _ = x.arctam  # type: ignore[attr-defined]
    assert not [name for name in dir(x) if name.startswith("arc") or name in ("fabs", "conjugate")]


@pytest.mark.parametrize("name", ["cbrt", "isnan", "rint", "floor_divide", "spacing", "fmax"])
def test_what_is_not_recorded_is_refused_in_words(name: str) -> None:
    function = getattr(np, name)
    message = rf"np.{name} of a Value is not recorded: np.{name}\(v.data\) is .* add, .* exp,"
    with pytest.raises(TypeError, match=message):
        function(*[Value(0.5)] * function.nin)


def test_functions_of_ones_own_for_arrays() -> None:
    x = Value(0.5)
    doubled = np.frompyfunc(lambda v: v + v, 1, 1)
    assert doubled(x).data == 1.0
    assert [y.data for y in np.vectorize(lambda v: v * v)(np.array([x, x]))] == [0.25, 0.25]


def test_a_sum_of_one_value_is_that_value() -> None:
    x = Value(0.5)
    for function in (np.sum, np.mean, np.max, np.prod, np.add.reduce, np.maximum.reduce):
        assert function(x).data == 0.5
        assert grad(function(x), x) == 1.0
    assert [y.data for y in np.multiply.outer(x, [1.0, 2.0])] == [0.5, 1.0]


def test_results_are_written_into_arrays_and_not_into_values() -> None:
    x, room = Value(0.5), np.empty(2, object)
    assert np.multiply(x, [1.0, 2.0], out=room) is room
    assert [y.data for y in room] == [0.5, 1.0]
    room += x
    assert [y.data for y in room] == [1.0, 1.5]
    np.add.at(room, [0], x)
    assert [y.data for y in room] == [1.5, 1.5]
    for call in (lambda: np.add(x, 1.0, out=x), lambda: np.add.at(x, (), 1.0)):
        with pytest.raises(TypeError, match=r"cannot write the result of np\.add into a Value"):
            call()
    floats = np.ones(2)
    with pytest.raises(TypeError, match="Cannot cast"):
        floats += x


def test_other_arguments_of_a_function_are_numpys() -> None:
    x, room = Value(0.5), np.array([1.0, 2.0], object)
    np.exp(np.array([x, x]), out=room, where=[True, False])
    assert (room[0].data, room[1]) == (math.exp(0.5), 2.0)
    np.maximum(x, [0.25, 0.75], out=room, where=[False, True])
    assert room[1].data == 0.75


def test_clip_is_recorded() -> None:
    x, low = Value(-2.0), Value(0.25)
    y = np.clip(x, 0, 1)
    assert (y.data, y.operation.name, y.operation.constants) == (0.0, "clip", (0.0, 1.0))
    assert np.clip(x, None, 1).operation.constants == (-math.inf, 1.0)
    with pytest.raises(TypeError, match="clip writes into no array"):
        x.clip(0, 1, out=np.empty(1, object))
    y = np.clip(x, low, 1)  # between Values
    assert (y.data, grad(y, [x, low])) == (0.25, [0.0, 1.0])
    assert [y.data for y in np.clip(np.array([x, Value(0.5)]), low, 1)] == [0.25, 0.5]
    assert not decided_at(x)
    assert not decided_at(low)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: np.maximum(np.array([a]), np.array([b])),
        lambda a, b: np.where(a > 0, a, b),
        lambda a, b: np.sort(np.array([a, b]))[:1],
    ],
    ids=["maximum", "where", "sort"],
)
def test_an_input_that_numpy_decided_against_is_not_called_useless(
    function: Callable[[Value, Value], Any],
) -> None:
    a, b = Value(1.0, "a"), Value(2.0, "b")
    outputs = function(a, b)
    with pytest.raises(ValueError, match=r"the graph does not contain inputs\[.\]") as caught:
        compile(outputs, [a, b])
    assert f"A decision was made on Values ({decided_at(a)})" in str(caught.value)
    assert f"{__file__}, line " in decided_at(a)
    with pytest.raises(ValueError, match=r"leave it out$"):
        compile(Value(1.0) * 2, [Value(1.0)])


def test_a_decision_on_an_array_without_dimensions_is_told_with_item() -> None:
    v = Value(1.0)
    z = np.squeeze(np.array([v * 1.0]))
    y = v * 2 if z > 0 else v
    with pytest.warns(DecisionWarning, match=r"without dimensions its \.item\(\)"):
        compile(y, [v])
    v = Value(1.0)
    z = np.squeeze(np.array([v * 1.0])).item()
    assert compile(where(z > 0, v * 2, v), [v])([[-1.0], [1.0]]).tolist() == [-1.0, 2.0]


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (lambda array: np.clip(array, 0, 1)[0], "np.clip(array, 0, 1)[0]"),
        (lambda array: np.maximum(array, [1.0, 1.0])[1], "np.maximum(array, [1.0, 1.0])[1]"),
        (lambda array: np.where(array > 0, array, 0.1 * array)[0], "np.where(array > 0,"),
        (lambda array: np.sort(array)[1], "np.sort(array)[1]"),
        (lambda array: array.max(), "array.max()"),
    ],
    ids=["clip", "maximum", "where", "sort", "max"],
)
def test_what_numpy_decides_is_the_users_line(function: Callable[..., Any], line: str) -> None:
    a, b = Value(0.5), Value(2.0)
    y = function(np.array([a, b])) * 1.0
    assert decided_at(a) == line_of(line)
    with pytest.warns(DecisionWarning) as said:
        compile(y, inputs=[x for x in (a, b) if x in y.operands])
    assert line_of(line) in str(said[0].message)
    assert said[0].filename == __file__
