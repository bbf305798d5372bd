"""Steps as functions for JAX: jitted, mapped, differentiated, shared out, they are ours to 1e-12.

JAX leaves threads behind, which a program that forks must not have: so these tests have a process
of their own. Much is compiled at once there, as XLA takes its time. It has two devices, both of
them this processor.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import random
import re
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_edge_cases import POINTS
from test_native import (
    CHOICES,
    ENTRIES,
    LEAST,
    assert_close,
    compiled_step,
    line_step,
    points,
    random_case,
    some_rows,
    true_line,
)

import microgrant
from microgrant import Step, Value, apply, compile, define, grad, where
from microgrant.losses import mean_squared_error
from microgrant.nn import MLP, RNN, Conv2d, MaxPool2d
from microgrant.ops import FLOATS, elu, leaky_relu
from microgrant.ops.table import DETACH
from microgrant.training import fit

inf, nan = math.inf, math.nan
ROOT = Path(__file__).parents[2]
LEAST_NORMAL = 1e-307  # of what is smaller, XLA makes 0 on a processor


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    """A process that runs tests by their names."""
    paths = [ROOT, ROOT / "tests", ROOT / "tests/ops", ROOT / "tests/compiler"]
    settings = {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", "import test_jax; test_jax.serve()"],
        env=os.environ | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def serve() -> None:
    """Run the tests whose names come in, and say of each what went wrong."""
    for name in sys.stdin:
        try:
            globals()[name.strip()].there()
            said = ""
        except BaseException:
            said = traceback.format_exc()
        print(json.dumps(said), flush=True)


def in_a_process(test: Callable[[], None]) -> Callable[[subprocess.Popen[str]], None]:
    """Run a test in that process."""

    def run(process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        print(test.__name__, file=process.stdin, flush=True)
        said = json.loads(process.stdout.readline())
        assert not said, said[-3000:]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.there = test  # type: ignore[attr-defined]
    return pytest.mark.slow(run)


@pytest.fixture(autouse=True)
def jax_is_installed(runs_here: Callable[[str], None]) -> None:
    runs_here("jax")


def assert_equal(found: Iterable[Any], true: Iterable[float], context: object = None) -> None:
    for computed, exact in zip(found, true, strict=True):
        scale = None if abs(exact) > 1e-290 or exact != exact else 1e-290
        assert_close(float(computed), exact, scale, context)


# --- Every operation ------------------------------------------------------------------------------

ALL = [*ENTRIES, leaky_relu(0.01), elu(1.5), DETACH]


@in_a_process
def test_every_operation_at_every_edge() -> None:
    """Its value, and its derivatives by parameters and by rows: jitted, and mapped over points."""
    import jax
    import numpy as np

    functions, given = [], []
    for entry in ALL:
        inputs, parameters = ([Value(x) for _ in entry.domain] for x in (0.3, -0.0))
        sums = [x + p for x, p in zip(inputs, parameters, strict=True)]
        functions.append(compile(apply(entry, *sums), inputs, parameters, target="jax").function)
        edges = [p for p in points(entry) if not any(0 < abs(x) < LEAST_NORMAL for x in p)]
        given.append(np.array(edges))

    @jax.jit
    def all_at_once(tables: Sequence[Any]) -> list[Any]:
        return [
            jax.vmap(jax.value_and_grad(function, (0, 1)), (None, 0))(
                np.full(table.shape[1], -0.0), table[:, None, :]
            )
            for function, table in zip(functions, tables, strict=True)
        ]

    found = jax.device_get(all_at_once(given))  # into NumPy, which is quick with single numbers
    for entry, table, results in zip(ALL, given, found, strict=True):
        values, (by_parameters, by_rows) = results
        for place, point in enumerate(table.tolist()):
            value = entry.forward(*point)
            partials = entry.partials(FLOATS, value, *point)
            assert_equal([values[place]], [value], (entry, point))
            if value == 0:
                sign = math.copysign(1.0, values[place])
                assert sign == math.copysign(1.0, value), (entry, point)
            assert_equal(by_parameters[place], partials, (entry, point))
            assert_equal(by_rows[place, 0], partials, (entry, point))


@in_a_process
def test_the_table_of_edges() -> None:
    """Recorded elsewhere, and so on the other branch of a choice, outputs have the edge as well."""
    import jax
    import numpy as np

    leaves = [[Value(0.25 + i) for i in range(len(point))] for _, _, point, *_ in POINTS]
    results = [function(*x) for (_, function, *_), x in zip(POINTS, leaves, strict=True)]
    flat = [x for each in leaves for x in each]
    point = np.array([x for _, _, point, *_ in POINTS for x in point])
    outputs = compile(results, [], flat, target="jax").function
    [found], pull_back = jax.vjp(outputs, point)
    assert_equal(found.tolist(), [value for *_, value, _ in POINTS])
    [gradient] = pull_back(np.ones((1, len(POINTS))))
    assert_equal(gradient.tolist(), [x for *_, derivatives in POINTS for x in derivatives])


@in_a_process
def test_what_xla_would_compute_otherwise() -> None:
    """It knows rules of logarithms and fractions that do not hold for all floats."""
    import numpy as np

    x = Value(0.5)
    functions: list[Callable[[Value], Value]] = [
        lambda x: (x**1.5).log(),
        lambda x: (x**0.3).log(),
        lambda x: (2.0**x).log(),
        lambda x: microgrant.log2(microgrant.exp2(x)),
        lambda x: x.exp().log(),
        lambda x: x.exp() * (-x).exp(),
        lambda x: 1.0 / x / x * 1e-200,
        lambda x: (x / 1e200) / 1e200,
    ]
    rows = [[y] for y in (0.5, -0.5, -2.0, 1e-200, 1e200, 800.0, -800.0, 1e-8)]
    f = compile([function(x) for function in functions], [x], target="jax").function
    found = f(np.zeros(0), np.array(rows)).tolist()
    for [y], numbers in zip(rows, found, strict=True):
        assert_equal(numbers, [function(Value(y)).data for function in functions], y)


@in_a_process
def test_each_row_takes_its_own_branch() -> None:
    """What a row does not take has no part in its derivatives, though it may be nan."""
    import jax
    import numpy as np

    rows = np.array([[x] for x in (0.0, -0.0, 0.5, -0.5, 2.0, -2.0, 1.0, -7.0, nan, inf)])
    cases = [(name, f) for name, f in CHOICES if "thousand" not in name]
    steps = [
        compiled_step(function, [0.5], [(0.75, -2.0)[place % 2]], "jax").function
        for place, (_, function) in enumerate(cases)
    ]

    @jax.jit
    def all_at_once(w: Any) -> list[Any]:
        derived = (jax.value_and_grad(step, (0, 1)) for step in steps)
        return [jax.vmap(f, (None, 0))(w, rows[:, None, :]) for f in derived]

    for w in (0.5, -1.0):
        found_for_w = jax.device_get(all_at_once(np.array([w])))
        for (name, function), results in zip(cases, found_for_w, strict=True):
            values, (by_w, by_x) = results
            for place, [x] in enumerate(rows.tolist()):
                leaves = [Value(w), Value(x)]
                y = function(*leaves)
                found = values[place], by_w[place, 0], by_x[place, 0, 0]
                assert_equal(found, [y.data, *grad(y, leaves)], (name, w, x))


# --- Networks -------------------------------------------------------------------------------------


def flat(x: Any) -> list[Value]:
    return [y for each in x for y in flat(each)] if isinstance(x, list) else [x]


def networks() -> dict[str, Callable[[], SimpleNamespace]]:
    """Losses of one example: their inputs, the last of which is a target, and their parameters."""

    def given(inputs: Any, score: Any, *models: Any) -> SimpleNamespace:
        y = Value(0.5, "y")
        return SimpleNamespace(
            score=score,
            inputs=[*flat(inputs), y],
            loss=(score - y) ** 2,
            parameters=[p for model in models for p in model.parameters()],
        )

    def mlp() -> SimpleNamespace:
        model, x = MLP(2, [16, 16, 1]), [Value(0.1), Value(0.2)]
        return given(x, model(x), model)

    def convolution() -> SimpleNamespace:
        image = [[[Value(0.1) for _ in range(6)] for _ in range(6)]]
        filters, last = Conv2d(1, 3, 3, activation="tanh"), MLP(12, [1])
        return given(image, last(flat(MaxPool2d(2)(filters(image)))), filters, last)

    def recurrent() -> SimpleNamespace:
        sequence = [[Value(0.1), Value(0.2)] for _ in range(3)]
        cell, last = RNN(2, 4), MLP(4, [1], activation="gelu")
        return given(sequence, last(cell(sequence)[-1]), cell, last)

    return {"MLP": mlp, "convolution": convolution, "RNN": recurrent}


@in_a_process
def test_networks() -> None:
    """Mean loss and gradients over rows, and of each row; outputs, and a loss written in JAX."""
    import jax
    import numpy as np

    for name, make in networks().items():
        random.seed(1)
        given = make()
        numbers = np.array([p.data for p in given.parameters])
        rows = np.random.default_rng(1).normal(size=(9, len(given.inputs)))
        native = compile(given.loss, given.inputs, given.parameters)
        loss, gradient = native.value_and_grad(numbers, rows)
        f = compile(given.loss, given.inputs, given.parameters, target="jax").function
        scores = compile([given.score], given.inputs[:-1], given.parameters, target="jax").function

        def ours(parameters: Any, rows: Any, scores: Any = scores) -> Any:
            return ((scores(parameters, rows[:, :-1])[:, 0] - rows[:, -1]) ** 2).mean()

        @jax.jit
        def all_at_once(parameters: Any, rows: Any, f: Any = f, scores: Any = scores) -> Any:
            return (
                f(parameters, rows),
                scores(parameters, rows[:, :-1])[:, 0],
                jax.vmap(jax.grad(f), (None, 0))(parameters, rows[:, None, :]),
                jax.value_and_grad(f, (0, 1))(parameters, rows),
                jax.value_and_grad(ours, (0, 1))(parameters, rows),
            )

        mean, outputs, each, *both = jax.device_get(all_at_once(numbers, rows))
        predict = compile(given.score, given.inputs[:-1])
        assert_equal([mean, *outputs], [loss, *predict(rows[:, :-1])], name)
        least = 1e-12 * abs(gradient).max()
        for row, found in zip(rows, each, strict=True):
            assert abs(found - native.value_and_grad(numbers, [row])[1]).max() < least, name
        by_inputs = compile(given.loss, given.parameters, given.inputs)  # the other way round
        true = [by_inputs.value_and_grad(row, [numbers])[1] / len(rows) for row in rows]
        for found_loss, (by_parameters, by_rows) in both:
            assert_equal([found_loss], [loss], name)
            assert abs(by_parameters - gradient).max() < least, name
            assert abs(by_rows - true).max() < least, name


@in_a_process
def test_shards_over_two_devices() -> None:
    """A batch over devices: each has its rows, and the mean is that of all of them."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    assert len(jax.devices()) == 2
    random.seed(1)
    given = networks()["MLP"]()
    numbers = np.array([p.data for p in given.parameters])
    rows = np.random.default_rng(1).normal(size=(64, len(given.inputs)))
    mesh = Mesh(jax.devices(), ("rows",))
    whole = jax.device_put(numbers, NamedSharding(mesh, PartitionSpec()))
    split = NamedSharding(mesh, PartitionSpec("rows"))
    shards = jax.device_put(rows, split)
    f = compile(given.loss, given.inputs, given.parameters, target="jax").function
    both = jax.jit(jax.value_and_grad(f))
    assert "all-reduce" in both.lower(whole, shards).compile().as_text()
    loss, gradient = both(whole, shards)
    native = compile(given.loss, given.inputs, given.parameters)
    true, true_gradient = native.value_and_grad(numbers, rows)
    assert_equal([loss], [true])
    assert abs(gradient - true_gradient).max() < 1e-12 * abs(true_gradient).max()

    scores = compile([given.score], given.inputs[:-1], given.parameters, target="jax").function
    found = jax.jit(scores)(whole, jax.device_put(rows[:, :-1], split))
    assert found.sharding.is_equivalent_to(split, found.ndim)
    assert_equal(found[:, 0].tolist(), compile(given.score, given.inputs[:-1])(rows[:, :-1]))


@in_a_process
def test_random_graphs() -> None:
    import jax
    import numpy as np

    cases = [random_case(seed, rows=4) for seed in range(4)]
    inputs, parameters = ([x for case in cases for x in vars(case)[k]] for k in INPUTS)
    rows = np.hstack([case.rows for case in cases])
    total = sum((case.root for case in cases[1:]), cases[0].root)
    f = compile(total, inputs, parameters, target="jax").function
    start = np.array([p.data for p in parameters])
    loss, gradient = jax.jit(jax.value_and_grad(f))(start, rows)
    true = sum(eager.data for case in cases for eager in case.eager) / 4
    assert_close(float(loss), true, max(1.0, abs(true)))
    found = iter(gradient.tolist())
    for case in cases:
        for place in case.places:
            true, scale = (sum(vars(x)[k][place] for x in case.eager) / 4 for k in GRADIENTS)
            assert_close(next(found), true, max(LEAST, scale), case.program)


INPUTS, GRADIENTS = ("inputs", "parameters"), ("grads", "scales")


# --- Functions ------------------------------------------------------------------------------------


@in_a_process
def test_derivatives_of_all_kinds() -> None:
    """Forward as well, and of second order at smooth points."""
    import jax
    import numpy as np

    random.seed(2)
    model, x = MLP(2, [3, 1], activation="tanh"), [Value(0.5), Value(-1.0)]
    parameters = model.parameters()
    loss = model(x) ** 2
    numbers, rows = np.array([p.data for p in parameters]), np.array([[0.5, -1.0]])
    f = compile(loss, x, parameters, target="jax").function
    _, change = jax.jvp(f, (numbers, rows), (2 * numbers, 3 * rows))
    by_parameters, by_rows = jax.grad(f, (0, 1))(numbers, rows)
    true = 2 * by_parameters @ numbers + 3 * (by_rows * rows).sum()
    assert float(change) == pytest.approx(float(true), rel=1e-12)
    hessian = np.array(microgrant.hessian(loss, parameters))
    assert abs(jax.jit(jax.hessian(f))(numbers, rows) - hessian).max() < 1e-12
    assert abs(jax.jacrev(jax.grad(f))(numbers, rows) - hessian).max() < 1e-12

    # The slope by a parameter is inf, and nobody asked for it.
    w = Value(0.0)
    f = compile(w.sqrt() + x[0], x[:1], [w], target="jax").function
    zero, row = np.zeros(1), np.array([[2.0]])
    assert jax.jvp(lambda row: f(zero, row), (row,), (row,)) == (2.0, 2.0)
    assert jax.grad(f, (0, 1))(zero, row) == (inf, 1.0)


@in_a_process
def test_outputs_of_all_kinds() -> None:
    """Inputs, parameters, constants and conditions, some of them twice; and one alone is flat."""
    import jax
    import numpy as np

    w, v, x, y = (Value(0.5 + i) for i in range(4))
    product = w * x
    outputs = [product, x, w, Value(7.0), product, where(x > y, v.log(), v * w), w * v]
    f = compile(outputs, [x, y], [w, v], target="jax").function
    given = np.array([2.0, -3.0]), np.array([[-1.0, 0.0], [-4.0, 1.0]])  # whose log is nan
    found, pull_back = jax.vjp(f, *given)
    assert found.tolist() == [[-2, -1, 2, 7, -2, -6, -6], [-8, -4, 2, 7, -8, -6, -6]]
    by_parameters, by_rows = pull_back(np.ones((2, 7)))
    assert by_parameters.tolist() == [2 * -1 + 2 * -4 + 2 + 2 * -3 + 2 * -3, 4 * 2]
    assert by_rows.tolist() == [[5, 0], [5, 0]]
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(f, given, given)
    alone = compile(w * x, [x], target="jax").function
    assert alone([], [[2.0], [3.0]]).tolist() == [1.0, 1.5]
    assert jax.grad(lambda rows: alone(np.zeros(0), rows).sum())(np.ones((2, 1))).tolist() == [
        [0.5],
        [0.5],
    ]
    constant = compile([w, w * v], [], [w, v], target="jax").function
    assert constant(np.array([2.0, 3.0])).tolist() == [[2.0, 6.0]]


@in_a_process
def test_numbers_are_of_the_precision_that_is_given() -> None:
    import jax
    import numpy as np

    x, y = Value(0.5), Value(1.0)
    w = Value(2.0)
    far = [microgrant.gelu(w * x), microgrant.normal_cdf(x), x.relu() + abs(y), x % 3.0, x.tanh()]
    f = compile([*far, where(x > y, 1.0, 0.0)], [x, y], [w], target="jax").function
    rows = [[-30.0, 1.0], [-7.0, 2.0], [1.5, 1.0], [40.0, -3.0]]
    exact = f(np.ones(1), np.array(rows))
    assert exact.dtype == "float64"
    small = f(np.ones(1, "float32"), np.array(rows, "float32"))
    assert small.dtype == "float32"
    assert abs(small - exact).max() < 1e-5
    step = compile(sum(far), [x, y], [w], target="jax")
    both = jax.value_and_grad(step.function)
    loss, gradient = both(np.ones(1, "float32"), np.array(rows, "float32"))
    assert (loss.dtype, gradient.dtype) == ("float32", "float32")
    assert abs(gradient - both(np.ones(1), np.array(rows))[1]).max() < 1e-5
    whole, _ = both(np.ones(1), np.array(rows).astype(int))
    assert whole.dtype == "float64"
    f = compile([where(x > y, 1.0, 0.0)], [x, y], target="jax").function
    assert f(np.ones(0, "float32"), np.array(rows, "float32")).dtype == "float32"
    f = compile(w * 2.0, [], [w], target="jax").function
    assert f(np.ones(1, "float32")).dtype == "float32"

    jax.config.update("jax_enable_x64", False)
    try:
        given, step = line_step("jax")
        table = some_rows(5)
        true, true_gradient = true_line(0.5, -1.0, table)
        assert step(table) == pytest.approx(true, rel=1e-13)  # in 64 bits all the same
        assert [given.w.grad, given.b.grad] == pytest.approx(true_gradient, rel=1e-13)
        assert not jax.config.jax_enable_x64
        assert step.function(jax.numpy.ones(2), jax.numpy.ones((2, 2))).dtype == "float32"
    finally:
        jax.config.update("jax_enable_x64", True)


@in_a_process
def test_a_step_reads_its_leaves_at_each_call_and_a_function_when_it_is_made() -> None:
    import numpy as np

    given, step = line_step("jax")
    assert isinstance(step, Step)
    rows = some_rows(3)
    for w in (0.5, 2.0):
        given.w.data, given.w.grad, given.b.grad = w, 0.0, 0.0
        loss, gradient = true_line(w, -1.0, rows)
        assert step(rows) == pytest.approx(loss, rel=1e-13)
        assert [given.w.grad, given.b.grad] == pytest.approx(gradient, rel=1e-13)
        assert step.value(rows) == pytest.approx(loss, rel=1e-13)
    for count in (1, 2, 17):  # any number of rows
        rows = some_rows(count)
        loss, gradient = true_line(2.0, 3.0, rows)
        found = step.value_and_grad([2.0, 3.0], rows)
        assert [found[0], *found[1]] == pytest.approx([loss, *gradient], rel=1e-13)
        found[1][0] = 7.0  # an array of one's own

    w, other = Value(2.0), Value(4.0)
    step = compile(w * other, [], [w], target="jax")
    f = step.function
    other.data = 5.0
    assert step.leaves == [w, other]
    assert (step(), w.grad) == (10.0, 5.0)
    assert f(np.array([2.0])) == 8.0
    assert step.function(np.array([2.0])) == 10.0


@in_a_process
def test_a_training_is_that_of_another_target() -> None:
    found = []
    for target in ("jax", "python"):
        random.seed(5)
        model = MLP(2, [2, 1])
        xs, ys = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [1.0, 1.0, 0.0]
        history = fit(model, mean_squared_error, (xs, ys), epochs=3, batch_size=2, target=target)
        assert history.target == target
        found.append([*history.loss, *(p.data for p in model.parameters())])
    assert_equal(*found)


@in_a_process
def test_words_for_the_layout_of_a_float() -> None:
    import jax

    from microgrant.compiler.xla import words

    for x in (1.0, 0.75, 3.1, 2.0**-1000, 1e300):
        mantissa, exponent = math.frexp(x)
        number = jax.numpy.array(x)
        assert words()["mantissa"](number) == 2 * mantissa
        assert words()["exponent"](number) == exponent - 1
    for k in (-1022.0, -3.0, 0.0, 1023.0):
        assert words()["power_of_two"](jax.numpy.array(k)) == 2.0**k


# --- What is said ---------------------------------------------------------------------------------


@in_a_process
def test_what_does_not_fit_is_said() -> None:
    import numpy as np

    given, step = line_step("jax")
    f = step.function
    mistakes = [
        (np.ones(3), np.ones((2, 2)), r"a flat array of 2 numbers, but its shape is \(3,\)"),
        (np.ones(2), np.ones(2), r"a table of 2 numbers \(x, y\) in each row, but its shape is"),
        (np.ones(2), np.ones((0, 2)), r"its shape is \(0, 2\)"),
        (np.ones(2), None, r"its shape is \(1, 0\)"),
    ]
    for parameters, rows, words in mistakes:
        with pytest.raises(ValueError, match=words):
            f(parameters, rows)
    with pytest.raises(TypeError, match="expected real numbers, but got an array of complex"):
        f(np.ones(2), np.ones((2, 2)) * 1j)
    cube = define("cube", lambda x: x * x * x, lambda m, out, x: (3.0 * x * x,))
    with pytest.raises(ValueError, match="your own operation 'cube' is written in Python"):
        compile(cube(given.w), [], [given.w], target="jax")


def test_what_is_compiled_for_something_else_has_no_function() -> None:
    given, step = line_step("python")
    words = "compiled for 'python' has no function for JAX: compile it with target=\"jax\""
    for compiled in (step, compile(given.w * given.x, [given.x], target="python")):
        with pytest.raises(AttributeError, match=re.escape(words)):
            compiled.function  # noqa: B018


def test_what_brings_jax_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=re.escape("`pip install 'microgrant[jax]'` brings it")):
        line_step("jax")


@in_a_process
def test_the_examples_print_what_they_say() -> None:
    """That of the docstring, and that of the README."""
    from test_readme import blocks, run_snippet

    _, _, example = (inspect.getdoc(Step.function) or "").partition("::\n\n")
    assert run_snippet(textwrap.dedent(example), {}) >= 2
    [snippet] = [x for x in blocks("python") if "import jax" in x]
    assert run_snippet(snippet, {}) >= 2
