"""Steps run by NumPy: networks and blocks of rows, and when "auto" takes it.

What holds for every target, each operation at each edge above all, `test_native` asks of NumPy too.
"""

from __future__ import annotations

import math
import random
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from test_jax import networks
from test_native import line_step, some_rows

from microgrant import TargetWarning, Value, compile, define, tanh
from microgrant.compiler import machine
from microgrant.compiler.by_numpy import BLOCK, NumpyMachine, products, totals, words
from microgrant.losses import mean_squared_error
from microgrant.nn import MLP
from microgrant.training import fit

np = pytest.importorskip("numpy", reason="NumPy is not installed")


def network(*sizes: int) -> tuple[Value, list[Value], list[Value]]:
    """The loss of one example, its inputs and its parameters."""
    random.seed(3)
    model, inputs = MLP(sizes[0], sizes[1:], activation="tanh"), [Value(0.5) for _ in range(3)]
    return (model(inputs[:-1]) - inputs[-1]) ** 2, inputs, model.parameters()


@pytest.mark.parametrize("kind", networks())
@pytest.mark.parametrize("count", [1, 9])
def test_networks(kind: str, count: int) -> None:
    """Products of matrices, of images and of sequences: loss, gradients and outputs of each row."""
    random.seed(1)
    given = networks()[kind]()
    rows = np.random.default_rng(1).normal(size=(count, len(given.inputs)))
    numbers = [p.data for p in given.parameters]
    loss, gradient, outputs = [], [], []
    for target in ("python", "numpy"):
        step = compile(given.loss, given.inputs, given.parameters, target=target)
        mean, slopes = step.value_and_grad(numbers, rows)
        loss.append(mean)
        gradient.append(slopes)
        outputs.append(compile(given.score, given.inputs[:-1], target=target)(rows[:, :-1]))
        assert step.value(rows) == pytest.approx(mean, rel=1e-12)
    assert loss[1] == pytest.approx(loss[0], rel=1e-12)
    assert abs(gradient[1] - gradient[0]).max() < 1e-12 * abs(gradient[0]).max()
    assert abs(outputs[1] - outputs[0]).max() < 1e-12 * abs(outputs[0]).max()


@pytest.mark.parametrize("of_rows", [(False, False), (False, True), (True, False), (True, True)])
def test_products_and_totals_of_matrices(of_rows: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(1)
    left, right = (
        rng.normal(size=(*(7,) * rows, 2, lines, 5))
        for rows, lines in zip(of_rows, (3, 4), strict=True)
    )
    true = np.einsum("...bik,...bjk->...bij", left, right)
    assert products(left, right) == pytest.approx(true, rel=1e-13, abs=1e-14)
    if all(of_rows):
        assert totals(left, right) == pytest.approx(true.sum(0), rel=1e-13, abs=1e-13)


def test_words_for_the_layout_of_a_float() -> None:
    for x in (1.0, 0.75, 3.1, 2.0**-1000, 1e300):
        mantissa, exponent = math.frexp(x)
        assert words()["mantissa"](np.array(x)) == 2 * mantissa
        assert words()["exponent"](np.array(x)) == exponent - 1
    for k in (-1022.0, -3.0, 0.0, 1023.0):
        assert words()["power_of_two"](np.array(k)) == 2.0**k


def test_a_sum_of_minus_zeros_is_one_if_its_terms_are_no_products() -> None:
    """Of products it is 0.0, as of every product of matrices."""
    inputs = [Value(float(i)) for i in range(6)]
    terms = [x * y for x, y in pairwise(inputs)]
    sums = [sum(inputs[1:], inputs[0]), sum(terms, -0.0)]
    predict = compile(sums, inputs, target="numpy")
    rows = [[-0.0] * 6, [0.0, -0.0] * 3, [1.0] * 6]
    assert [[str(x) for x in row] for row in predict(rows)] == [
        ["-0.0", "0.0"],
        ["0.0", "0.0"],
        ["6.0", "5.0"],
    ]


# --- Blocks of rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 10, 11])
def test_rows_in_blocks(block: int) -> None:
    """Once, of rows, and after them: a penalty is there as well, and a gradient by way of it."""
    loss, inputs, parameters = network(2, 4, 1)
    scale = parameters[0].exp()
    loss = loss * scale + sum(p * p for p in parameters) * tanh(parameters[1])
    whole = compile(loss, inputs, parameters, target="numpy")
    predict = compile([loss, scale, inputs[0]], inputs, target="numpy")
    rows = np.random.default_rng(2).normal(size=(10, 3))
    numbers = [p.data for p in parameters]
    (mean, gradient), outputs = whole.value_and_grad(numbers, rows), predict(rows)
    for compiled in (whole, predict):
        assert isinstance(compiled._run, NumpyMachine)
        assert compiled._run.block > len(rows)
        compiled._run.block = block
    assert whole.value_and_grad(numbers, rows)[0] == pytest.approx(mean, rel=1e-14)
    assert whole.value_and_grad(numbers, rows)[1] == pytest.approx(gradient, rel=1e-13)
    assert predict(rows).tolist() == outputs.tolist()


def test_memory_is_that_of_a_block() -> None:
    """However many rows there are."""
    loss, inputs, parameters = network(2, 16, 16, 1)
    step = compile(loss, inputs, parameters, target="numpy")
    peaks = []
    for blocks in (2, 20):
        rows = np.ones((blocks * step._run.block, 3))  # type: ignore[attr-defined]
        step(rows)
        tracemalloc.start()
        step(rows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 8 * BLOCK
    assert peaks[1] < 1.5 * peaks[0]


# --- What "auto" takes ----------------------------------------------------------------------------


@pytest.fixture
def without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError

    monkeypatch.setattr(machine, "host", missing)


def chain() -> tuple[Value, list[Value], list[Value]]:
    """One formula again and again, of which each waits for the last."""
    w, x = Value(0.5), Value(0.25)
    total = w * x
    for _ in range(300):
        total = (total + x).tanh()
    return total, [x], [w]


@pytest.mark.usefixtures("without_llvmlite")
@pytest.mark.parametrize(
    ("make", "target", "words"),
    [
        (lambda: network(2, 16, 16, 1), "numpy", "by NumPy"),
        (lambda: network(2, 2, 1), "python", "as Python"),
        (chain, "python", "as Python"),
    ],
    ids=["a network", "a tiny one", "a chain"],
)
def test_auto_takes_numpy_where_it_pays(
    make: Callable[[], tuple[Value, list[Value], list[Value]]], target: str, words: str
) -> None:
    loss, inputs, parameters = make()
    with pytest.warns(TargetWarning, match=f"llvmlite is not installed, so this runs {words}: "):
        step = compile(loss, inputs, parameters)
    assert step.target == target
    rows = np.random.default_rng(1).normal(size=(5, len(inputs)))
    for numbers in ([p.data for p in parameters], [0.01] * len(parameters)):
        python = compile(loss, inputs, parameters, target="python")
        true, true_gradient = python.value_and_grad(numbers, rows)
        found, gradient = step.value_and_grad(numbers, rows)
        assert found == pytest.approx(true, rel=1e-12)
        assert abs(gradient - true_gradient).max() <= 1e-12 * abs(true_gradient).max()


@pytest.mark.usefixtures("without_llvmlite")
def test_a_model_is_trained_by_numpy() -> None:
    found = []
    for target in ("auto", "python"):
        random.seed(5)
        model = MLP(2, [16, 16, 1])
        xs = [[math.sin(i), math.cos(3 * i)] for i in range(20)]
        ys = [x * y for x, y in xs]
        settings: Any = {"epochs": 3, "batch_size": 8, "validation": 0.2, "target": target}
        if target == "auto":
            with pytest.warns(TargetWarning, match="runs by NumPy"):
                history = fit(model, mean_squared_error, (xs, ys), **settings)
            assert history.target == "numpy"
        else:
            history = fit(model, mean_squared_error, (xs, ys), **settings)
        found.append([*history.loss, *(p.data for p in model.parameters())])
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_what_numpy_cannot_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cube = define("cube", lambda x: x * x * x, lambda m, out, x: (3.0 * x * x,))
    w = Value(2.0)
    with pytest.raises(ValueError, match="your own operation 'cube' is written in Python"):
        compile(cube(w), [], [w], target="numpy")
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match="numpy is not installed: `pip install 'numpy'` brings"):
        line_step("numpy")


def test_results_are_arrays_of_ones_own() -> None:
    """Also where a parameter, or a constant, is all that comes out."""
    _, step = line_step("numpy")
    numbers = np.array([0.5, -1.0])
    expected = step.value_and_grad(numbers, some_rows(3))[1].tolist()
    w, v = Value(2.0), Value(3.0)
    alone = compile(w, [], [w], target="numpy")
    both = compile([w, v, Value(7.0) + 1.0], [], [w, v], target="numpy")
    for result in (step.value_and_grad(numbers, some_rows(3))[1], alone.value_and_grad([2.0])[1]):
        result[:] = 9.0
    both()[:] = 9.0
    assert both().tolist() == [[2.0, 3.0, 8.0]]
    assert alone.value_and_grad([2.0])[1].tolist() == [1.0]
    assert step.value_and_grad(numbers, some_rows(3))[1].tolist() == expected
    assert numbers.tolist() == [0.5, -1.0]
