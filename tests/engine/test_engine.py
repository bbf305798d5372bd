"""What a graph promises: it is the record of a step that happened.

In the order of the engine: recording, `backward`, `grad`, the modes, operations of one's own,
being a good Python number beside NumPy, copying and saving, and a million nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import inspect
import math
import operator
import pickle
import random
import statistics
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from graphs import MICROGRANT, random_program, run

import microgrant
from microgrant import (
    AnomalyError,
    GradientError,
    Value,
    apply,
    compile,
    define,
    detect_anomaly,
    explain,
    expression,
    gelu,
    grad,
    gradcheck,
    hessian,
    jacobian,
    leaky_relu,
    log_softmax,
    logsumexp,
    no_grad,
    softmax,
    topological_order,
    where,
)
from microgrant.engine import NO_GRADIENT, modes
from microgrant.extras import in_browser
from microgrant.losses import cross_entropy
from microgrant.nn import MLP, Neuron
from microgrant.ops import OPERATIONS

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
every_operator = pytest.mark.parametrize("operate", ARITHMETIC, ids=lambda f: f.__name__)


def random_graph(seed: int) -> tuple[list[Value], list[Value]]:
    """The leaves of a random graph, and the results of all its lines; the last is the root."""
    program = random_program(seed)
    leaves = [Value(x) for x in program.leaves]
    return leaves, run(program, leaves, MICROGRANT)


# --- Recording ----------------------------------------------------------------------------------


def test_a_node_keeps_its_operands_in_order_and_with_multiplicity() -> None:
    a, b = Value(2.0), Value(3.0)
    difference = b - a
    assert difference._prev[0] is b
    assert difference._prev[1] is a
    assert difference.partials == (1.0, -1.0)
    square = a * a
    assert len(square._prev) == 2
    assert square._prev[0] is square._prev[1] is a
    square.backward()
    assert a.grad == 4.0


def test_difference_and_quotient_are_one_node_each() -> None:
    a, b = Value(2.0), Value(3.0)
    assert len(topological_order(a - b)) == len(topological_order(a / b)) == 3
    assert [(a - b)._op, (a / b)._op, (-a)._op] == ["-", "/", "neg"]


def test_a_plain_number_becomes_a_leaf() -> None:
    x = Value(2.0)
    for result in (3 - x, x - 3):
        constant = next(operand for operand in result._prev if operand is not x)
        assert (constant.data, constant._prev, constant._op) == (3.0, (), "")


def test_local_derivatives_are_those_of_the_forward_pass() -> None:
    a, b = Value(2.0), Value(3.0)
    product = a * b
    result = product.tanh() + product
    partials = [node.partials for node in topological_order(result)]
    a.data, b.data, product.data = 100.0, -100.0, 7.0
    assert [node.partials for node in topological_order(result)] == partials
    result.backward()
    slope = 1 + 1 / math.cosh(6.0) ** 2
    assert (a.grad, b.grad) == pytest.approx((3 * slope, 2 * slope), rel=1e-15)


def test_where_records_the_branch_taken_only() -> None:
    x, y = Value(2.0), Value(3.0)
    assert where(True, x, y) is x
    assert where(False, x, 5.0).data == 5.0
    larger = where(x > y, x, y)
    assert (larger._op, larger.data, topological_order(larger)) == ("where", 3.0, [y, larger])


def test_topological_order_puts_operands_first_and_each_value_once() -> None:
    for seed in range(50):
        _, values = random_graph(seed)
        order = topological_order(values[-1])
        place = {node: i for i, node in enumerate(order)}
        assert len(place) == len(order)
        for node in order:
            assert all(place[operand] < place[node] for operand in node._prev)


def test_topological_order_depends_on_the_program_alone() -> None:
    def shape(seed: int) -> list[tuple[str, list[int]]]:
        _, values = random_graph(seed)
        order = topological_order(values[-1])
        return [(node._op, [order.index(x) for x in node._prev]) for node in order]

    assert [shape(seed) for seed in range(20)] == [shape(seed) for seed in range(20)]


def test_topological_order_of_several_roots() -> None:
    a, b = Value(1.0, "a"), Value(2.0, "b")
    total, product = a + b, a * b
    names = [node.label or node._op for node in topological_order(total, product, a)]
    assert names == ["a", "b", "+", "*"]
    assert topological_order() == []


@pytest.mark.parametrize("text", [3, 2.5, b"x", ["x"]], ids=repr)
def test_a_label_is_text(text: Any) -> None:
    with pytest.raises(TypeError, match="a label is text, but got"):
        Value(1.0, label=text)
    x = Value(1.0, "x")
    with pytest.raises(TypeError, match="a label is text, but got"):
        x.label = text
    assert x.label == "x"


def test_a_subclass_of_value_is_a_value_everywhere() -> None:
    class Weight(Value):
        pass

    w = Weight(2.0)
    y = 3 * w + w * w + w.exp()
    y.backward()
    assert w.grad == 3 + 4 + math.exp(2.0)
    output = Neuron(1, nonlin=False)([w])
    assert w in topological_order(output)


# --- Backward -----------------------------------------------------------------------------------


def test_leaves_accumulate_and_interior_nodes_start_from_zero() -> None:
    x = Value(2.0)
    square = x * x
    cube = square * x
    cube.backward()
    assert (x.grad, square.grad, cube.grad) == (12.0, 2.0, 1.0)
    cube.backward()
    assert (x.grad, square.grad, cube.grad) == (24.0, 2.0, 1.0)
    square.backward()
    assert (x.grad, square.grad, cube.grad) == (28.0, 1.0, 1.0)


def test_a_second_pass_doubles_the_leaves_exactly() -> None:
    for seed in range(300):
        leaves, values = random_graph(seed)
        values[-1].backward()
        once = [leaf.grad for leaf in leaves]
        interior = [value.grad for value in values]
        values[-1].backward()
        assert [leaf.grad for leaf in leaves] == [2 * g for g in once]
        assert [value.grad for value in values] == interior


def test_a_second_pass_doubles_a_sum_that_rounds() -> None:
    x = Value(0.0)
    y = x * 0.1 + x * 0.2 + x * 0.3 + x * 1e16 + x * 0.7
    y.backward()
    once = x.grad
    y.backward()
    assert x.grad == 2 * once


def test_a_seed_for_backward() -> None:
    x = Value(3.0)
    y = x * x
    y.backward(grad=0.5)
    assert (x.grad, y.grad) == (3.0, 0.5)
    y.backward(2)
    assert (x.grad, y.grad) == (15.0, 2.0)


def test_backward_on_a_leaf() -> None:
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0
    x.backward(grad=2.5)
    assert x.grad == 3.5


@pytest.mark.parametrize("seed", ["a", None, 1j, Value(1.0), [1.0]], ids=repr)
def test_a_seed_is_a_number(seed: Any) -> None:
    x = Value(3.0)
    with pytest.raises(TypeError, match="expected one real number"):
        (x * x).backward(seed)
    assert x.grad is NO_GRADIENT


def test_no_gradient_is_told_apart_from_zero() -> None:
    dead, unused = Value(-1.0), Value(1.0)
    y = dead.relu()
    assert dead.grad is y.grad is unused.grad is NO_GRADIENT
    assert (dead.grad, repr(dead)) == (0.0, "Value(data=-1.0, grad=0.0)")
    y.backward()
    assert dead.grad == 0.0
    assert dead.grad is not NO_GRADIENT
    assert unused.grad is NO_GRADIENT


def test_an_untouched_gradient_serves_in_an_update() -> None:
    p = Value(2.0)
    p.data -= 0.1 * p.grad
    assert p.data == 2.0
    assert type(p.data) is float


def test_gradients_set_to_zero_by_hand() -> None:
    x = Value(3.0)
    y = x * x
    for zero in (0, 0.0, NO_GRADIENT):
        x.grad = zero
        y.backward()
        assert x.grad == 6.0
        assert type(x.grad) is float


def test_a_chain_of_backward_passes_over_a_shared_trunk_adds_up() -> None:
    for seed in range(50):
        leaves, values = random_graph(seed)
        roots = values[-3:]
        separate = [grad(root, leaves) for root in roots]
        for root in roots:
            root.backward()
        for leaf, *gradients in zip(leaves, *separate, strict=True):
            assert leaf.grad == pytest.approx(sum(gradients), rel=1e-15)


# --- Derivatives as results ---------------------------------------------------------------------


def test_grad_agrees_with_backward_and_touches_no_grad() -> None:
    for seed in range(100):
        leaves, values = random_graph(seed)
        everything = topological_order(values[-1])
        for create_graph in (False, True):
            gradients = grad(values[-1], leaves, create_graph=create_graph)
            assert all(node.grad is NO_GRADIENT for node in everything)
            copied, root = copy.deepcopy((leaves, values[-1]))
            root.backward()
            numbers = [float(f"{g:.17g}") for g in gradients]
            right = [leaf.grad for leaf in copied]
            # A rule that is to be differentiated again may be another, and round otherwise.
            assert numbers == (pytest.approx(right, rel=1e-12) if create_graph else right)


def test_grad_of_one_of_a_list_and_of_interior_nodes() -> None:
    x, unused = Value(3.0), Value(1.0)
    square = x * x
    y = square * square
    assert grad(y, x) == 108.0
    assert grad(y, [x, square, y, unused, x]) == [108.0, 18.0, 1.0, 0.0, 108.0]
    assert grad(y, (x,)) == [108.0]
    assert grad(y, []) == []


def test_grad_with_create_graph_returns_values() -> None:
    x, unused = Value(3.0), Value(1.0)
    gradients = grad(x**3, [x, unused], create_graph=True)
    assert [type(g) for g in gradients] == [Value, Value]
    assert [g.data for g in gradients] == [27.0, 0.0]
    gradients[0].backward()
    assert x.grad == 18.0


@pytest.mark.parametrize(
    "call",
    [lambda: grad(1.0, Value(1.0)), lambda: grad(Value(1.0), [1.0]), lambda: grad(None, [])],
    ids=["y", "xs", "None"],
)
def test_grad_needs_values(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"grad needs Values, but (y|xs) is or holds"):
        call()


@pytest.mark.parametrize(
    ("function", "name", "at"),
    [
        (Value.tanh, "tanh(x)", 0.0),
        (Value.tanh, "tanh(x)", 0.5),
        (Value.sigmoid, "1 / (1 + exp(-x))", 0.3),
        (Value.log, "log(x)", 0.7),
        (Value.softplus, "log(1 + exp(x))", -0.4),
        (lambda x: x**x, "x ** x", 1.3),
        (lambda x: x**7, "x ** 7", -1.1),
        (lambda x: x.sin() * x.exp(), "sin(x) * exp(x)", 0.8),
        (lambda x: x.sqrt() / (1 + x * x), "sqrt(x) / (1 + x * x)", 0.9),
        (lambda x: (2 - x.cos()).log1p() - x.expm1(), "log(3 - cos(x)) - exp(x) + 1", 0.6),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_derivatives_to_the_fifth_order(
    function: Callable[[Value], Value], name: str, at: float
) -> None:
    mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")
    x = Value(at)
    derivative = function(x)
    with mpmath.workdps(50):
        for order in range(1, 6):
            derivative = grad(derivative, x, create_graph=True)
            true = mpmath.diff(lambda z: eval(name, vars(mpmath) | {"x": z}), mpmath.mpf(at), order)
            assert derivative.data == pytest.approx(float(true), rel=1e-11, abs=1e-11)


def test_create_graph_after_data_was_changed() -> None:
    x = Value(0.5)
    y = x.tanh() * x
    x.data = 0.6
    with pytest.raises(ValueError, match="changed after the forward pass: record the graph again"):
        grad(y, x, create_graph=True)
    assert grad(y, x) == pytest.approx(math.tanh(0.5) + 0.5 / math.cosh(0.5) ** 2, rel=1e-15)
    x.data = 0.5
    assert grad(y, x, create_graph=True).data == pytest.approx(grad(y, x), rel=1e-15)


def test_create_graph_where_a_local_derivative_is_nan() -> None:
    x = Value(-1.0)
    assert math.isnan(grad(x.log(), x, create_graph=True).data)


# --- Modes --------------------------------------------------------------------------------------


def records() -> bool:
    x = Value(1.0)
    recorded = {bool((x + x)._prev), bool((x * x)._prev), bool(x.exp()._prev), bool((x**2)._prev)}
    assert len(recorded) == 1
    return recorded.pop()


def test_no_grad_computes_and_records_nothing() -> None:
    x = Value(3.0)
    with no_grad():
        y = x * x + x.exp() / 2
        assert not records()
    assert records()
    assert (y.data, y._prev, y._op) == (9 + math.exp(3.0) / 2, (), "")
    y.backward()
    assert x.grad is NO_GRADIENT


def test_no_grad_nests_and_ends_with_an_exception() -> None:
    with no_grad():
        with no_grad():
            assert not records()
        assert not records()
        with pytest.raises(KeyError), no_grad():
            raise KeyError
        assert not records()
    assert records()


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def predict(x: Value) -> Value:
        return x * x

    for function in (predict, no_grad(lambda x: x * x)):  # with parentheses and without
        assert function(Value(3.0))._prev == ()
        assert records()
    with pytest.raises(TypeError, match="no_grad is for a block or a function, but got True"):
        no_grad(True)  # type: ignore[type-var]


def test_backward_inside_no_grad() -> None:
    x = Value(3.0)
    y = x * x
    with no_grad():
        y.backward()
    assert x.grad == 6.0


def test_no_grad_looks_for_no_anomaly() -> None:
    x = Value(0.0)
    infinite = x.log() * 0
    with no_grad():
        assert math.isnan((x.log() * 0).data)
        infinite.backward()
        assert math.isnan(grad(infinite, x))
    assert math.isnan(x.grad)


def test_no_grad_of_one_thread_is_not_that_of_another() -> None:
    entered, leave = threading.Event(), threading.Event()
    seen = []

    def predict() -> None:
        with no_grad():
            entered.set()
            leave.wait(10)
            seen.append(records())
        seen.append(records())

    thread = threading.Thread(target=predict)
    thread.start()
    assert entered.wait(10)
    seen.append(records())
    leave.set()
    thread.join()
    assert seen == [True, False, True]


def test_a_thread_started_inside_no_grad_records() -> None:
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(records()))
        thread.start()
        thread.join()
    assert seen == [True]


def pause_inside_no_grad() -> Generator[bool, None, None]:
    with no_grad():
        yield records()


def test_a_generator_that_runs_to_its_end_leaves_no_trace() -> None:
    assert list(pause_inside_no_grad()) == [False]
    assert records()


def test_a_generator_that_waits_inside_no_grad_lets_its_consumer_record() -> None:
    def predictions(count: int) -> Generator[bool, None, None]:
        with no_grad():
            for _ in range(count):
                yield records() or any(pause_inside_no_grad())

    def body() -> None:
        for recorded in predictions(2):
            assert not recorded
            assert records()
            with no_grad():
                assert not records()
        abandoned = predictions(2)
        next(abandoned)
        with pytest.raises(AnomalyError), detect_anomaly():
            Value(0.0).log()
        del abandoned
        assert not modes.open_blocks

    contextvars.copy_context().run(body)


def test_a_context_manager_made_of_a_generator_is_a_block() -> None:
    @contextlib.contextmanager
    def evaluation() -> Generator[None, None, None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(no_grad())
            yield

    def batches() -> Generator[bool, None, None]:
        with evaluation():
            yield records()

    with evaluation():
        assert not records()
    for recorded in batches():
        assert not recorded
        assert records()


def test_no_grad_as_a_decorator_of_a_generator() -> None:
    @no_grad()
    def predictions() -> Generator[bool, str, str]:
        sent = yield records()
        assert not records()
        return sent

    started = predictions()
    assert next(started) is False
    assert records()
    with pytest.raises(StopIteration) as ended:
        started.send("sent")
    assert ended.value.value == "sent"


def test_detect_anomaly_as_a_decorator() -> None:
    for decorate in (detect_anomaly, detect_anomaly()):
        with pytest.raises(microgrant.AnomalyError, match=r"log\(0.0\) is -inf"):
            decorate(lambda: Value(0.0).log())()


@pytest.mark.skipif(in_browser(), reason="a browser's loop runs already")
def test_no_grad_as_a_decorator_of_coroutines() -> None:
    @no_grad
    async def coroutine() -> bool:
        await asyncio.sleep(0)
        return records()

    @no_grad()
    async def generator() -> AsyncGenerator[bool, None]:
        yield records()

    async def body() -> list[bool]:
        return [await coroutine(), *[x async for x in generator()], records()]

    assert asyncio.run(body()) == [False, False, True]
    with pytest.raises(TypeError, match="no_grad is for a block or a function, but got <class"):
        no_grad(Neuron)


@pytest.mark.skipif(in_browser(), reason="a browser's loop runs already")
def test_an_asynchronous_generator_that_waits_inside_no_grad_lets_its_consumer_record() -> None:
    async def batches() -> AsyncGenerator[bool, None]:
        with no_grad():
            yield records()
            yield records()

    async def body() -> list[tuple[bool, bool]]:
        return [(inside, records()) async for inside in batches()]

    assert asyncio.run(body()) == [(False, True), (False, True)]


def test_one_block_serves_several_threads() -> None:
    block, entered, left = no_grad(), threading.Event(), threading.Event()
    found = []

    def other() -> None:
        with block:
            entered.set()
            left.wait(10)
            found.append(records())

    thread = threading.Thread(target=other)
    with block:
        thread.start()
        entered.wait(10)
        with block:
            assert not records()
        assert not records()
    assert records()
    left.set()
    thread.join()
    assert found == [False]
    assert not modes.open_blocks


def test_blocks_that_end_out_of_order_leave_no_trace() -> None:
    def body() -> None:
        paused = pause_inside_no_grad()
        next(paused)
        with no_grad():
            paused.close()
            assert not records()
        assert records()
        with detect_anomaly():
            assert records()

    contextvars.copy_context().run(body)  # so that a failure stays in this test


def test_a_block_that_ends_in_another_thread_leaves_no_trace() -> None:
    def body() -> None:
        paused = pause_inside_no_grad()
        next(paused)
        errors: list[BaseException] = []

        def close() -> None:
            try:
                paused.close()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=close)
        thread.start()
        thread.join()
        assert errors == []
        with detect_anomaly():
            assert records()

    contextvars.copy_context().run(body)


def here() -> int:
    """The line of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_an_anomaly_of_the_forward_pass_names_everything() -> None:
    x = Value(0.0, label="x")
    line = here() + 2
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        x.log()
    assert str(caught.value) == f"log(x = 0.0) is -inf, made by {__file__}, line {line}"


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        (lambda x: x * 2e308, r"mul\(x = 2.0, inf\) is inf"),
        (lambda x: x + math.nan, r"add\(x = 2.0, nan\) is nan"),
        (lambda x: 1 / (x - 2), r"div\(1.0, 0.0\) is inf"),
        (lambda x: (-x) ** 0.5, r"power\(-2.0\) is nan"),
        (lambda x: x * Value(1e308, "y"), r"mul\(x = 2.0, y = 1e\+308\) is inf"),
        (lambda x: Value(1e308) + Value(1e308), r"add\(1e\+308, 1e\+308\) is inf"),
    ],
    ids=["mul", "nan", "div", "pow", "two names", "no names"],
)
def test_anomalies_name_the_operation_and_its_operands(
    compute: Callable[[Value], Value], words: str
) -> None:
    with pytest.raises(AnomalyError, match=words), detect_anomaly():
        compute(Value(2.0, label="x"))


def test_an_anomaly_inside_a_module_names_the_line_of_the_user() -> None:
    model = MLP(2, [3, 1])
    line = here() + 2
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        model([math.inf, 1.0])
    assert f"made by {__file__}, line {line}" in str(caught.value)


def test_an_anomaly_of_the_backward_pass_names_everything_and_touches_no_gradient() -> None:
    x, y = Value(0.0, label="x"), Value(1.0, label="y")
    earlier = x * 3 + y
    earlier.backward()
    with detect_anomaly():
        line = here() + 1
        root = x.sqrt()
        product = root * y
        with pytest.raises(AnomalyError) as caught:
            product.backward()
        with pytest.raises(AnomalyError) as of_grad:
            grad(product, x)
        assert str(of_grad.value) == str(caught.value)
    assert str(caught.value) == (
        "the gradient of sqrt(x = 0.0) with respect to x = 0.0 is "
        f"upstream 1.0 × local inf = inf, made by {__file__}, line {line}"
    )
    assert (x.grad, y.grad) == (3.0, 1.0)
    assert root.grad is product.grad is NO_GRADIENT


def test_a_gradient_whose_sum_overflows() -> None:
    x = Value(0.0, label="x")
    y = x * 1e308 + x * 1e308
    with detect_anomaly(), pytest.raises(AnomalyError, match=r"x = 0\.0 adds up to inf"):
        y.backward()
    assert x.grad is NO_GRADIENT


def test_a_graph_made_before_the_block_is_checked_too() -> None:
    y = Value(0.0, label="x").sqrt()
    with detect_anomaly(), pytest.raises(AnomalyError, match=r"sqrt\(x = 0.0\)"):
        y.backward()


def test_detect_anomaly_sees_values_that_are_not_recorded() -> None:
    with pytest.raises(AnomalyError, match=r"log\(0.0\) is -inf"), detect_anomaly(), no_grad():
        Value(0.0).log()


def test_the_branch_that_no_where_takes_may_be_infinite() -> None:
    x, y = Value(0.0, label="x"), Value(2.0, label="y")
    with detect_anomaly():
        loss = where(x > 0, x.log() * y + 1, y * y) * 3
        loss.backward()
        assert grad(loss, [x, y]) == [0.0, 12.0]
        for truth in (x.data > 0, False, 0):  # a choice that is not recorded
            assert where(truth, 1 / x, y) is y
        with no_grad():
            assert where(x > 0, x.log() * y, y).data == 2.0
        inner = where(x > 0, where(x > 1, x.log(), 1 / x) + 1, 0.0)
        assert inner.data == 0.0


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda x, z: where(x > 0, z, 0.0) + z,  # by another way
        lambda x, z: where(x > 0, 0.0, z),  # the branch that is taken
        lambda x, z: where(x > 0, 0.0, z).relu(),  # finite again
        lambda x, z: z * 0,
        lambda x, z: z,
    ],
)
def test_an_anomaly_that_is_used_is_told(
    use: Callable[[Value, Value], Value], backward: bool
) -> None:
    x = Value(0.0, label="x")
    lines = []

    def program() -> None:
        with detect_anomaly():
            lines.append(here() + 1)
            result = use(x, x.log())
            1 / x  # a later one is not told
            if backward:
                result.backward()
                lines.append(here())  # it does not get here

    with pytest.raises(AnomalyError) as caught:
        program()
    [line] = lines
    assert str(caught.value) == f"log(x = 0.0) is -inf, made by {__file__}, line {line}"
    assert x.grad is NO_GRADIENT


def test_a_block_that_is_over_keeps_no_values() -> None:
    made = []

    def program() -> None:
        with detect_anomaly():
            made.append(weakref.ref(Value(0.0).log()))

    with pytest.raises(AnomalyError):
        program()
    assert made[0]() is None


def test_an_anomaly_that_was_told_is_told_once() -> None:
    x = Value(0.0)
    with detect_anomaly():
        with pytest.raises(AnomalyError):
            (x.log() * 2).backward()
        (x * 2).backward()
    with pytest.raises(KeyError), detect_anomaly():  # an error of the program's own goes first
        raise KeyError(x.log())


def test_detect_anomaly_lets_finite_steps_pass_and_ends() -> None:
    with detect_anomaly():
        for seed in range(20):
            leaves, values = random_graph(seed)
            values[-1].backward()
            checked = [leaf.grad for leaf in leaves]
            assert checked == grad(values[-1], leaves)
    assert Value(0.0).log().data == -math.inf
    assert issubclass(AnomalyError, FloatingPointError)


# --- Operations of one's own --------------------------------------------------------------------

gaussian = define("gaussian", lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * out,))
hypotenuse = define(
    "hypotenuse",
    math.hypot,
    lambda m, out, a, b: (a / out, b / out),
    arity=2,
    symbol="hyp",
)
fused = define("fused", lambda a, b, c: a * b + c, lambda m, out, a, b, c: (b, a, 1.0), arity=3)
loose = define("loose", lambda x: math.sin(x), lambda m, out, x: (math.cos(x),))


def test_an_operation_of_one_operand() -> None:
    x = Value(0.5)
    y = gaussian(x)
    y.backward()
    assert (y.data, y._op, y._prev) == (math.exp(-0.25), "gaussian", (x,))
    assert x.grad == -math.exp(-0.25)
    assert gaussian.__name__ == gaussian.__qualname__ == "gaussian"
    assert "gaussian" in (gaussian.__doc__ or "")


def test_an_operation_of_two_operands() -> None:
    a = Value(3.0)
    y = hypotenuse(a, 4)
    y.backward()
    assert (y.data, y._op, a.grad) == (5.0, "hyp", 0.6)


def test_an_operation_of_three_operands() -> None:
    a, b, c = Value(2.0), Value(3.0), Value(4.0)
    y = fused(a, b, c)
    assert (y.data, y._prev, y.partials) == (10.0, (a, b, c), (3.0, 2.0, 1.0))
    assert topological_order(y) == [a, b, c, y]
    y.backward()
    y.backward()
    assert (a.grad, b.grad, c.grad) == (6.0, 4.0, 2.0)
    assert grad(y, [c, b, a]) == [1.0, 2.0, 3.0]


def test_each_of_three_operands_gets_its_partial_times_the_gradient() -> None:
    a, b, c = Value(2.0), Value(3.0), Value(4.0)
    y = fused(a, b, c)
    (y * 5).backward()
    assert (a.grad, b.grad, c.grad) == (15.0, 10.0, 5.0)
    y._backward()
    assert (a.grad, b.grad, c.grad) == (30.0, 20.0, 10.0)


def test_what_three_operands_were_computed_from_is_reached() -> None:
    a = Value(2.0)
    y = fused(a * 1, a * 2, a * 3)  # 2a² + 3a
    for times in (1, 2):
        y.backward()
        assert a.grad == 11.0 * times
        assert [operand.grad for operand in y.operands] == [4.0, 2.0, 1.0]


def test_an_operation_of_three_operands_that_are_one() -> None:
    x = Value(3.0)
    y = fused(x, x, x)
    assert len(y._prev) == 3
    y.backward()
    assert x.grad == 7.0
    twin_of_x, twin = copy.deepcopy((x, y))
    assert all(operand is twin_of_x for operand in twin._prev)
    twin.backward()
    assert twin_of_x.grad == 14.0
    assert grad(grad(y, x, create_graph=True), x) == 2.0


def test_an_operation_of_ones_own_differentiates_to_any_order() -> None:
    x = Value(0.5)
    first = grad(gaussian(x), x, create_graph=True)
    second = grad(first, x, create_graph=True)
    out = math.exp(-0.25)
    assert second.data == pytest.approx((4 * 0.25 - 2) * out, rel=1e-15)
    assert grad(second, x) == pytest.approx((12 * 0.5 - 8 * 0.125) * out, rel=1e-15)


def test_a_rule_written_with_math_serves_first_derivatives_only() -> None:
    x = Value(0.5)
    y = loose(x)
    assert grad(y, x) == math.cos(0.5)
    with pytest.raises(TypeError, match=r"partials of loose work on floats only .* as m.exp\(x\)"):
        grad(y, x, create_graph=True)


def test_a_wrong_number_of_operands() -> None:
    say = r"gaussian takes 1 operand, but got 2: say define\(…, arity=2\)"
    with pytest.raises(TypeError, match=say):
        gaussian(1.0, 2.0)
    with pytest.raises(TypeError, match="gaussian takes 1 operand, but got 0"):
        gaussian()
    with pytest.raises(TypeError, match="hypotenuse takes 2 operands, but got 3"):
        hypotenuse(1.0, 2.0, 3.0)
    with pytest.raises(TypeError, match="fused takes 3 operands, but got 0"):
        fused()
    with pytest.raises(TypeError, match="mul takes 2 operands, but got 1"):
        apply(OPERATIONS["mul"], 1.0)


@pytest.mark.parametrize(
    "partials",
    [(), (1.0, 2.0), 1.0, [1.0], None],
    ids=repr,
)
def test_a_wrong_number_of_partials(partials: Any) -> None:
    wrong = define("wrong", lambda x: x, lambda m, out, x: partials)
    with pytest.raises(ValueError, match="partials of wrong are to be a tuple of 1"):
        wrong(2.0)


@pytest.mark.parametrize("result", [None, "1.5", 1j, [1.0]], ids=repr)
def test_results_that_are_no_numbers(result: Any) -> None:
    forward = define("forward", lambda x: result, lambda m, out, x: (1.0,))
    with pytest.raises(TypeError, match="expected one real number, but got"):
        forward(2.0)
    partials = define("partials", lambda x: x, lambda m, out, x: (result,))
    with pytest.raises(TypeError, match="expected one real number, but got"):
        partials(2.0)


@pytest.mark.parametrize("name", [*OPERATIONS, "power", "clip"])
def test_a_name_that_the_table_has_already(name: str) -> None:
    with pytest.raises(ValueError, match=f"has an operation '{name}' already"):
        define(name, lambda x: x, lambda m, out, x: (1.0,))


@pytest.mark.parametrize("name", ["", "two words", "1st", "a-b", "<b>", 3, None], ids=repr)
def test_a_name_that_is_no_name(name: Any) -> None:
    with pytest.raises(ValueError, match="is a Python identifier, but got"):
        define(name, lambda x: x, lambda m, out, x: (1.0,))


@pytest.mark.parametrize("arity", [0, -1])
def test_an_operation_has_an_operand(arity: int) -> None:
    with pytest.raises(ValueError, match="arity"):
        define("nothing", lambda: 1.0, lambda m, out: (), arity=arity)


# --- Being a good Python number -----------------------------------------------------------------


class Scalar:
    """A number of a library that knows nothing of numbers.Number, as a tensor of PyTorch's is."""

    ndim = 0

    def __init__(self, number: float) -> None:
        self.item = lambda: number


@every_operator
@pytest.mark.parametrize("number", [2, 2.0, True], ids=repr)
def test_plain_numbers_on_both_sides(operate: Callable[..., Any], number: float) -> None:
    x = Value(3.0)
    assert operate(x, number).data == operate(3.0, number)
    assert operate(number, x).data == operate(number, 3.0)


@every_operator
@pytest.mark.parametrize("number", [Fraction(1, 2), Scalar(0.5)], ids=lambda x: type(x).__name__)
def test_numbers_of_other_libraries_on_both_sides(operate: Callable[..., Any], number: Any) -> None:
    x = Value(3.0)
    assert operate(x, number).data == operate(3.0, 0.5)
    assert operate(number, x).data == operate(0.5, 3.0)


WRONG = ["a", "", None, 1j, [1.0], (1.0,), {}, object()]


@every_operator
@pytest.mark.parametrize("wrong", WRONG, ids=lambda x: type(x).__name__)
def test_what_is_no_number_is_refused_on_both_sides(
    operate: Callable[..., Any], wrong: object
) -> None:
    x = Value(3.0)
    sentence = rf"expected one real number, but got {type(wrong).__name__} .*: \w+"
    with pytest.raises(TypeError, match=sentence):
        operate(x, wrong)
    with pytest.raises(TypeError, match=sentence):
        operate(wrong, x)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("2.5", "float(text) makes a number of it"),
        (None, "is an entry missing, or a `return` where it comes from?"),
        (1j, "take its .real or .imag"),
        ([1.0], "make one Value for each number: [Value(x) for x in data]"),
        (Value(1.0), "use the Value itself"),
        ("a", "if it names a class, classes.index(text) is a number of it"),
        (date(2020, 1, 1), "x.toordinal() counts its days"),
        (datetime(2020, 1, 1), "x.timestamp() counts its seconds"),
        (timedelta(1), "x.total_seconds() counts its seconds"),
        (b"2.5", "float(x) makes a number of it"),
        (object(), "take a number out of it"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_advice_for_what_is_no_number(wrong: Any, advice: str) -> None:
    x = Value(3.0)
    for call in (
        lambda: Value(wrong),
        lambda: setattr(x, "data", wrong),
        lambda: x.backward(wrong),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert advice in str(caught.value)
    assert x.data == 3.0


def test_an_integer_that_no_float_can_hold() -> None:
    with pytest.raises(OverflowError, match="too large for a float"):
        Value(10**400)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_maximum_and_minimum_take_numbers(name: str) -> None:
    x = Value(3.0)
    assert getattr(x, name)(2).data == (3.0 if name == "maximum" else 2.0)
    with pytest.raises(TypeError, match="expected one real number"):
        getattr(x, name)("a")


def test_a_bound_of_clip_may_be_left_out_or_be_both() -> None:
    x = Value(0.5)
    assert [x.clip(low=1.0).data, x.clip(None, 0.25).data, x.clip().data] == [1.0, 0.25, 0.5]
    assert x.clip(2, 2).data == 2.0


@pytest.mark.parametrize("bounds", [(1, 0), (math.nan, 1), (0, math.nan)], ids=repr)
def test_bounds_of_clip_are_in_order(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="clip needs low <= high"):
        Value(0.5).clip(*bounds)


@pytest.mark.parametrize(
    "compare",
    [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne],
    ids=lambda f: f.__name__,
)
def test_comparisons_are_by_data(compare: Callable[..., Any]) -> None:
    numbers = [1.0, 2.0, -math.inf, math.nan, 0.0, -0.0]
    for a in numbers:
        for b in numbers:
            expected = compare(a, b)
            if compare not in (operator.eq, operator.ne):
                assert compare(Value(a), Value(b)).truth is expected
            assert compare(Value(a), b).truth is expected
            assert compare(a, Value(b)).truth is expected
    assert compare(Value(2.0), 3).truth is compare(2, 3)
    assert compare(Value(2.0), 10**400).truth is compare(2, 10**400)


def test_comparisons_with_what_is_no_number() -> None:
    assert (Value(1.0) == "a") is False
    assert (Value(1.0) != None) is True  # noqa: E711
    with pytest.raises(TypeError, match="not supported between instances of 'Value' and 'str'"):
        assert Value(1.0) < "a"


def test_values_sort() -> None:
    values = [Value(3.0), Value(1.0), Value(2.0)]
    assert [v.data for v in sorted(values)] == [1.0, 2.0, 3.0]
    assert max(values) is values[0]
    assert min(values) is values[1]


def test_equal_values_are_two_in_a_set() -> None:
    a, b = Value(1.0), Value(1.0)
    assert len({a, b, a}) == 2
    assert {a: "a", b: "b"}[a] == "a"


def test_a_sign_that_changes_nothing_records_nothing() -> None:
    x = Value(3.0)
    assert +x is x


def test_truth() -> None:
    assert [bool(Value(x)) for x in (0.0, -0.0, 0.5, math.nan)] == [False, False, True, True]


def numpy_array(*given: Any, **named: Any) -> Any:
    return pytest.importorskip("numpy", reason="NumPy is not installed").array(*given, **named)


PLAIN_NUMBERS: dict[str, Callable[[Any], object]] = {
    "float": float,
    "int": int,
    "complex": complex,
    "math.exp": math.exp,
    "math.isnan": math.isnan,
    "math.ceil": math.ceil,
    "math.fsum": lambda v: math.fsum([v, v]),
    "round": round,
    "round to digits": lambda v: round(v, 2),
    "%": lambda v: "%.4f" % v,  # noqa: UP031
    "choices": lambda v: random.choices("ab", weights=[v, v]),  # type: ignore[list-item]
    "mean": lambda v: statistics.mean([v, v]),  # type: ignore[type-var]
    "range": range,  # type: ignore[dict-item]
    "index": lambda v: [1, 2, 3][v],  # type: ignore[call-overload]
    **({} if in_browser() else {"sleep": time.sleep}),  # a browser's has words of its own
    "numpy": lambda v: numpy_array([v], dtype=float),
}


@pytest.mark.parametrize("name", PLAIN_NUMBERS)
def test_a_value_is_no_plain_number(name: str) -> None:
    with pytest.raises(TypeError, match=r"as v.exp\(\) for math.exp\(v\), or v.data for"):
        PLAIN_NUMBERS[name](Value(2.0))


def test_a_plot_of_values_says_what_to_do() -> None:
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    axes = figure.Figure().subplots()
    ys = [Value(1.0), Value(2.0)]
    for plot in (axes.plot, lambda ys: axes.scatter([1, 2], ys), lambda ys: axes.bar("ab", ys)):
        with pytest.raises(TypeError, match=r"or v.data for the number"):
            plot(ys)


def test_whole_numbers_of_python_are_not_made_of_a_value() -> None:
    """What asks for one may say so in its own words: "%d" does."""
    with pytest.raises(TypeError, match="a real number is required, not Value"):
        "%d" % Value(2.0)  # noqa: UP031
    with pytest.raises(TypeError, match="target of cross_entropy is a class"):
        cross_entropy([Value(1.0), Value(2.0)], Value(1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda y, x: y.backward(create_graph=True), "grad(y, xs, create_graph=True)"),
        (lambda y, x: grad(y, [x], retain_graph=True), "a graph is always kept"),
        (lambda y, x: grad(lambda x: x * x)(3.0), "value_and_grad(f)(3.0)"),
        (lambda y, x: grad(lambda x: x * x, argnums=0), "value_and_grad(f)(3.0)"),
        (lambda y, x: grad(y, [x], allow_unused=True), "the derivative is 0"),
        (lambda y, x: grad(y), "but xs is NoneType None"),
        (
            lambda y, x: softmax([x, y], dim=0),
            "softmax() got an unexpected keyword argument 'dim': a",
        ),
        (lambda y, x: log_softmax([x, y], dim=0), "has only one dimension"),
        (lambda y, x: logsumexp([x, y], dim=0), "has only one dimension"),
        (lambda y, x: leaky_relu(x, negative_slope=0.2), "it is called slope here"),
        (lambda y, x: gelu(x, approximate="tanh"), "computed exactly"),
        (lambda y, x: hessian(lambda a: a * a)(3.0), "as in hessian(f, [2.0, 3.0])"),
        (lambda y, x: jacobian(lambda a: a * a)(3.0), "as in jacobian(f, [2.0, 3.0])"),
        (lambda y, x: y.backward(bogus=1), "backward() got an unexpected keyword argument 'bogus'"),
    ],
)
def test_arguments_of_other_libraries_get_advice(
    call: Callable[[Value, Value], object], advice: str
) -> None:
    x = Value(3.0)
    with pytest.raises(TypeError) as caught:
        call(x * x, x)
    assert advice in str(caught.value)
    assert x.grad is NO_GRADIENT


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("numpy", "v.data"),
        ("T", "has no shape"),
        ("shape", "has no shape"),
        ("cpu", "no devices"),
        ("requires_grad", "leave it out of those of the optimiser"),
        ("requires_grad_", "leave it out of those of the optimiser"),
        ("mean", "sum(values) / len(values)"),
        ("pow", "v ** n"),
        ("grad_fn", "v.operation"),
    ],
)
def test_attributes_of_a_tensor_get_advice(name: str, advice: str) -> None:
    v = Value(1.0)
    with pytest.raises(AttributeError) as caught:
        getattr(v, name)
    assert str(caught.value).startswith(f"'Value' object has no attribute '{name}': ")
    assert advice in str(caught.value)
    assert not hasattr(v, name)
    assert not hasattr(Value, name)
    assert name not in dir(v)


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        (microgrant, "tensor", "Value(2.0)"),
        (microgrant.nn, "MSELoss", "microgrant.losses.mean_squared_error"),
        (microgrant.nn, "CrossEntropyLoss", "microgrant.losses.cross_entropy"),
        (microgrant.nn, "Softmax", "microgrant.softmax(values)"),
        (microgrant.nn, "bogus", ""),
    ],
)
def test_what_modules_of_pytorch_have_gets_advice(module: Any, name: str, advice: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    expected = f"module {module.__name__!r} has no attribute {name!r}"
    assert str(caught.value).startswith(expected + ": " * bool(advice))
    assert advice in str(caught.value)
    assert not hasattr(module, name)


def test_a_gradient_is_a_number_and_no_tensor() -> None:
    x = Value(3.0)
    with pytest.raises(AttributeError, match=r"^'float' object .* 'zero_': v\.zero_grad\(\)"):
        x.grad.zero_()  # type: ignore[attr-defined]
    assert type(x.grad).__name__ == "float"
    assert pickle.loads(pickle.dumps(x.grad)) is NO_GRADIENT


def test_whole_quotients_are_written_with_floor() -> None:
    x = Value(7.5)
    for call in (
        lambda: x // 2,  # type: ignore[operator]
        lambda: 2 // x,  # type: ignore[operator]
        lambda: divmod(x, 2),  # type: ignore[call-overload]
        lambda: divmod(2, x),  # type: ignore[call-overload]
    ):
        with pytest.raises(TypeError, match=r"write microgrant\.floor\(a / b\), and a % b for"):
            call()
    y = pow(x, 2, 5.0)
    assert (y.data, y.operation.symbol, grad(y, x)) == (1.25, "%", 15.0)


def test_decimals_are_numbers() -> None:
    x, half = Value(Decimal("1.5")), Decimal("0.5")
    assert (x.data, (x * half).data, (half - x).data, (x**half).data) == (1.5, 0.75, -1.0, 1.5**0.5)
    assert x > half
    assert half < x
    assert (x > half).operands == (x, 0.5)
    assert where(half, 1.0, 2.0).data == 1.0
    neuron = Neuron(1)
    assert neuron(half).data == neuron(0.5).data


def test_what_is_set_in_vain_is_refused() -> None:
    """It would have been kept as a note, and the parameter trained on."""
    v = Value(1.0)
    with pytest.raises(AttributeError, match="leave it out of those of the optimiser"):
        v.requires_grad = False  # type: ignore[attr-defined]
    v.note = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"^'Value' object has no attribute 'foo'$"):
        v.foo  # type: ignore[attr-defined]  # noqa: B018


def test_what_works_as_in_pytorch() -> None:
    x = Value(3.0)
    loss = x * x.detach()
    loss.backward()
    assert (loss.item(), type(loss.item()), x.grad) == (9.0, float, 3.0)
    x.zero_grad()
    assert x.grad is NO_GRADIENT
    loss.backward(retain_graph=True)
    assert x.grad == 3.0
    assert loss.grad == 1.0


def test_printing() -> None:
    x = Value(2)
    assert repr(x) == str(x) == f"{x}" == "Value(data=2.0, grad=0.0)"
    (x * 3).backward()
    assert repr(x) == "Value(data=2.0, grad=3.0)"
    assert (f"{x:.3f}", f"{x:+.1e}", f"{x:>6}") == ("2.000", "+2.0e+00", "   2.0")
    with pytest.raises(ValueError, match="format"):
        f"{x:s}"


@pytest.mark.parametrize("function", [math.exp, math.tanh, float, int, round, complex])
def test_no_gradient_is_lost_in_a_function_of_floats(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        function(Value(1.0))


# --- Copies -------------------------------------------------------------------------------------


def test_a_shallow_copy_has_the_same_operands_and_record() -> None:
    x = Value(3.0, label="x")
    y = x * x
    y.label = "y"
    y.backward()
    twin = copy.copy(y)
    assert twin is not y
    assert (twin.data, twin.grad, twin.label, twin._op) == (9.0, 1.0, "y", "*")
    assert all(operand is x for operand in twin._prev)
    twin.backward()
    assert x.grad == 12.0
    assert copy.copy(x)._prev == ()


def test_a_deep_copy_keeps_what_is_shared() -> None:
    x = Value(3.0, label="x")
    d = x * x
    loss = d + x
    loss.backward()
    unreached = Value(1.0)
    copied = copy.deepcopy({"d": d, "loss": loss, "again": [loss, x], "unreached": unreached})
    assert copied["again"][0] is copied["loss"]
    assert copied["loss"]._prev[0] is copied["d"]
    twin = copied["again"][1]
    assert copied["d"]._prev[0] is copied["d"]._prev[1] is copied["loss"]._prev[1] is twin
    assert (twin.data, twin.grad, twin.label) == (3.0, 7.0, "x")
    assert copied["unreached"].grad is NO_GRADIENT
    copied["loss"].backward()
    assert (twin.grad, x.grad) == (14.0, 7.0)


def test_a_deep_copy_of_a_random_graph_is_the_same_graph() -> None:
    for seed in range(50):
        leaves, values = random_graph(seed)
        copies, root = copy.deepcopy((leaves, values[-1]))
        originals, copied = topological_order(values[-1]), topological_order(root)
        assert not set(originals) & set(copied)
        for node, twin in zip(originals, copied, strict=True):
            assert (twin.data, twin._op, twin.partials) == (node.data, node._op, node.partials)
        assert grad(root, copies) == grad(values[-1], leaves)


def test_a_deep_copy_of_a_model_is_a_model_of_its_own() -> None:
    model = MLP(2, [3, 1])
    output = model([1.0, 2.0])
    twin, twin_of_output = copy.deepcopy((model, output))
    twin_of_output.backward()
    assert any(p.grad for p in twin.parameters())
    assert all(p.grad is NO_GRADIENT for p in model.parameters())
    assert twin([1.0, 2.0]).data == output.data


# --- Pickle -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_what_is_shared(protocol: int) -> None:
    x = Value(3.0, label="x")
    d = (x * x).clip(0, 100)
    loss = d**3 + x
    loss.backward()
    for together in ([d, loss, x], [loss, d, x], [x, loss, d]):
        loaded = pickle.loads(pickle.dumps(together, protocol))
        by_name = {id(old): new for old, new in zip(together, loaded, strict=True)}
        new_x, new_d, new_loss = by_name[id(x)], by_name[id(d)], by_name[id(loss)]
        assert new_loss._prev[0]._prev[0] is new_d
        assert new_loss._prev[1] is new_d._prev[0]._prev[0] is new_x
        assert (new_x.grad, new_x.label, new_d.grad) == (x.grad, "x", d.grad)
        originals, copies = topological_order(loss), topological_order(new_loss)
        for node, copied in zip(originals, copies, strict=True):
            assert copied.operation is node.operation
            assert (copied.data, copied.partials) == (node.data, node.partials)
        assert grad(new_loss, new_x) == grad(loss, x)


def test_pickle_keeps_an_unreached_gradient() -> None:
    x, y = pickle.loads(pickle.dumps([Value(math.nan), Value(1.0) * 2]))
    assert x.grad is y.grad is NO_GRADIENT
    assert math.isnan(x.data)


def test_pickle_of_a_model() -> None:
    model = MLP(2, [3, 1], activation="tanh")
    output = model([1.0, 2.0])
    output.backward()
    loaded, loaded_output = pickle.loads(pickle.dumps((model, output)))
    assert repr(loaded) == repr(model)
    for (name, p), (loaded_name, q) in zip(
        model.named_parameters(), loaded.named_parameters(), strict=True
    ):
        assert (name, p.data, p.grad) == (loaded_name, q.data, q.grad)
    assert loaded([1.0, 2.0]).data == output.data
    loaded_output.backward()
    assert [q.grad for q in loaded.parameters()] == [2 * p.grad for p in model.parameters()]


def test_pickle_refuses_an_operation_whose_functions_have_no_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.endswith("cloudpickle")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(pickle.PicklingError, match="'gaussian' is one of your own"):
        pickle.dumps(gaussian(0.5) + 1)


@pytest.mark.slow
def test_pickle_of_a_deep_chain() -> None:
    x = y = Value(1.0)
    for _ in range(100_000):
        y = y + x
    loaded = pickle.loads(pickle.dumps(y))
    loaded.backward()
    leaf = loaded._prev[1]
    assert (loaded.data, leaf.grad, x.grad) == (100_001.0, 100_001.0, 0.0)


def test_pickle_of_all_results_is_no_larger_than_of_the_last() -> None:
    values = [Value(1.0)]
    for _ in range(300):
        values.append(values[-1] * 1.5)
    assert len(pickle.dumps(values)) < 10 * len(pickle.dumps(values[-1]))
    loaded = pickle.loads(pickle.dumps(values))
    assert all(new._prev[0] is old for old, new in pairwise(loaded))


def test_pickle_is_read_by_a_program_that_imports_nothing() -> None:
    program = "import pickle, sys; y = pickle.load(sys.stdin.buffer); y.backward(); print(y._prev)"
    x = Value(3.0)
    finished = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(x * x),
        capture_output=True,
        check=True,
    )
    assert finished.stdout.decode().count("Value(data=3.0, grad=6.0)") == 2


# --- A million, and every time a tenth of it, which is as deep as recursion would never go -------

MANY = [100_000, pytest.param(1_000_000, marks=pytest.mark.campaign)]


@pytest.mark.slow
@pytest.mark.parametrize("many", MANY)
def test_a_chain_and_a_fan_out_of_a_million(many: int) -> None:
    assert sys.getrecursionlimit() <= 1000
    x = y = Value(1.0)
    for _ in range(many):
        y = y + x
    y.backward()
    assert (y.data, x.grad) == (many + 1, many + 1)
    twin_of_x, twin = copy.deepcopy((x, y))
    del y
    assert repr(twin) == f"Value(data={many + 1.0}, grad=1.0)"
    assert grad(twin, twin_of_x) == many + 1
    del twin
    assert twin_of_x.data == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("many", MANY)
def test_a_sum_of_a_million_terms(many: int) -> None:
    terms = [Value(1.0) for _ in range(many)]
    total = sum(terms)
    total.backward()
    assert total.data == many
    assert all(term.grad == 1.0 for term in terms)
    twin = copy.deepcopy(total)
    del total, terms
    assert len(topological_order(twin)) == 2 * many + 1


@pytest.mark.slow
def test_a_network_of_10_000_layers() -> None:
    random.seed(1)
    model = MLP(1, [1] * 10_000, activation="tanh")
    output = model([1.0])
    output.backward()
    assert model.parameters()[-1].grad == 1.0
    twin = copy.deepcopy(output)
    assert twin.data == output.data
    del output, twin
    assert len(model.parameters()) == 20_000


def test_names_that_micrograd_keeps_in_its_engine() -> None:
    assert microgrant.Value is sys.modules["microgrant.engine"].Value


# --- Found by trying to break it ----------------------------------------------------------------


def test_a_gradient_of_none_is_no_gradient() -> None:
    x = Value(2.0)
    x.grad = None  # what PyTorch sets gradients back to
    assert x.grad is NO_GRADIENT
    (x * x).backward()
    assert x.grad == 4.0
    x.grad = None
    x.data -= 0.1 * x.grad
    assert (x.data, repr(x)) == (2.0, "Value(data=2.0, grad=0.0)")
    x.grad += 1
    assert x.grad == 1.0


@pytest.mark.parametrize("number", [3, True, Fraction(3, 2)])
def test_a_gradient_is_a_float(number: Any) -> None:
    x = Value(1.0)
    x.grad = number
    assert type(x.grad) is float
    assert x.grad == number


@pytest.mark.parametrize("wrong", ["0", [0.0], Value(0.0)], ids=repr)
def test_a_gradient_that_is_no_number_is_an_error(wrong: Any) -> None:
    x = Value(1.0)
    x.grad = 2.0
    with pytest.raises(TypeError, match="expected one real number, but got"):
        x.grad = wrong
    assert x.grad == 2.0


def test_a_subclass_of_str_is_a_label() -> None:
    class Name(str):
        __slots__ = ()

    assert Value(1.0, Name("a")).label == "a"


def test_a_copy_of_a_subclass_keeps_its_class_and_attributes() -> None:
    class Weight(Value):
        pass

    w = Weight(2.0)
    w.note = [1]  # type: ignore[attr-defined]
    for twin in (copy.copy(w), copy.deepcopy(w)):
        assert type(twin) is Weight
        assert twin.data == 2.0
        assert twin.note == [1]  # type: ignore[attr-defined]
    assert copy.deepcopy(w).note is not w.note  # type: ignore[attr-defined]


class Named(Value):
    __slots__ = ("__secret", "name")

    def __init__(self, data: float, name: Any) -> None:
        super().__init__(data)
        self.name, self.__secret = name, name

    def secret(self) -> Any:
        return self.__secret


class Counted(Named):
    __slots__ = ("count", "never_set")


def test_copies_of_a_subclass_keep_its_slots() -> None:
    w = Counted(2.0, ["w"])
    w.count = [w, 1]
    twins = [copy.copy(w), copy.deepcopy(w), pickle.loads(pickle.dumps(w))]
    twins += [copy.deepcopy(w * w).operands[0], pickle.loads(pickle.dumps(w * w)).operands[0]]
    for twin in twins:
        assert type(twin) is Counted
        assert (twin.data, twin.name, twin.secret()) == (2.0, ["w"], ["w"])
        assert not hasattr(twin, "never_set")
    assert twins[0].count[0] is w
    for twin in twins[1:]:
        assert twin.count[0] is twin
        assert twin.name is not w.name
        assert twin.name is twin.secret()


def test_the_domain_has_an_interval_for_each_operand() -> None:
    with pytest.raises(ValueError, match="arity is 2 and the domain has 1"):
        define(
            "lopsided", lambda a, b: a, lambda m, out, a, b: (1.0, 0.0), arity=2, domain=[(0, 1)]
        )
    ratio = define(
        "ratio", lambda a, b: a / b, lambda m, out, a, b: (1 / b, -out / b), domain=[(1, 2), (1, 2)]
    )
    assert ratio(3.0, 2.0).data == 1.5


def test_a_changed_sign_is_noticed_by_create_graph() -> None:
    x = Value(2.0)
    y = x**3
    x.data = -2.0
    with pytest.raises(ValueError, match="changed after the forward pass"):
        grad(y, x, create_graph=True)


def test_zeros_keep_their_sign_as_in_pytorch() -> None:
    assert math.copysign(1.0, Value(-0.0).relu().data) == -1.0
    assert math.copysign(1.0, Value(0.0).maximum(-0.0).data) == 1.0
    assert math.copysign(1.0, Value(-0.0).minimum(0.0).data) == -1.0


def test_whole_numbers_do_not_poison_the_table() -> None:
    from microgrant.ops import clip, power

    assert type(apply(clip(0, 1), Value(-3.0)).data) is float
    assert type(apply(power(0), Value(2.0)).data) is float
    assert repr(Value(-3.0).clip(0, 1)) == "Value(data=0.0, grad=0.0)"


def test_a_label_of_none_is_no_label() -> None:
    x = Value(1.0, "x")
    y = x * 2.0
    x.label = None
    assert Value(1.0, label=None).label == ""  # type: ignore[arg-type]
    assert (x.label, pickle.loads(pickle.dumps(x)).label) == ("", "")
    predict = compile(y, inputs=[x])
    assert "x1" in explain(y).gradients
    assert float(predict([[2.0]])[0]) == 4.0
    assert predict.source


def test_constants_are_told_from_what_goes_in() -> None:
    x = Value(2.0)
    y = 3 * x
    constant = y._prev[0]
    assert constant._constant
    assert not x._constant
    for twin in (copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert [node._constant for node in twin._prev] == [True, False]


def test_gradcheck_takes_arrays() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed")
    assert gradcheck(lambda a, b: a * b, np.array([0.5, -1.0]))
    assert gradcheck(lambda a, b: a * b, np.array([Value(0.5), 2.0]), order=2)


def test_gradcheck_says_whose_derivative_is_wrong() -> None:
    wrong = define("wrong", lambda x: x * x, lambda m, out, x: (x,))

    def by_hand(x: Value) -> Value:
        return Value(x.data**2, (x,), (x.data,))

    for f, who in (
        (wrong, "your rule"),
        (lambda x: wrong(x.tanh()), "your rule"),
        (by_hand, "your rule"),
        (lambda x: (x - 3).relu(), "the engine"),  # at its kink
        (lambda x: where(x > 3, 1.0, 0.0) * x**2 + 0 * x.clip(0, 9), "the engine"),
    ):
        with pytest.raises(GradientError, match=rf"at \(3\.0\): {who} says "):
            gradcheck(f, [3.0])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: grad(Value(1.0), 5),  # type: ignore[call-overload]
        lambda: topological_order(5),  # type: ignore[arg-type]
        lambda: apply("tanh", Value(1.0)),  # type: ignore[arg-type]
        lambda: gradcheck(lambda x: x, 0.5),  # type: ignore[arg-type]
        lambda: gradcheck(lambda: Value(1.0), []),
        lambda: gradcheck(None, [1.0]),  # type: ignore[arg-type]
        lambda: gradcheck(lambda x: x, [1.0], tolerance=None),  # type: ignore[arg-type]
        lambda: define("f", None, lambda m, out, x: (1.0,)),  # type: ignore[arg-type]
        lambda: define("f", abs, None),  # type: ignore[arg-type]
        lambda: define("f", abs, lambda m, out, x: (1.0,), symbol=3),  # type: ignore[arg-type]
        lambda: define("f", abs, lambda m, out, x: (1.0,), spelling=3),  # type: ignore[arg-type]
        lambda: expression.evaluate(3, {}),  # type: ignore[arg-type]
        lambda: expression.evaluate("a", [1]),  # type: ignore[arg-type]
        lambda: define("f", abs, lambda m, out, x: (1.0,), domain=3),  # type: ignore[arg-type]
        lambda: define("f", abs, lambda m, out, x: (1.0,), domain=[3]),  # type: ignore[list-item]
    ],
)
def test_a_wrong_type_is_told_in_our_words(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"but (got|xs is)"):
        wrong()
