"""Programs as loops: the same numbers, on every width of vectors, for every number of rows.

The truth is the Python target, whose straight lines `test_native` holds against the engine. What
is looked at besides is what loops are for: that text and time do not grow with a network.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from test_native import random_case, some_rows

from microgrant import Value, compile, define, where
from microgrant.compiler import listing, loops as native_loops, machine
from microgrant.compiler.llvm import PRIMITIVES
from microgrant.compiler.macros import NativeProgram
from microgrant.compiler.program import ROW, Job
from microgrant.compiler.rolled import Call, Grid, Sum, repetitive, rolled
from microgrant.engine import whole_order
from microgrant.losses import cross_entropy, l2
from microgrant.nn import MLP, RNN, Conv2d, Flatten, Layer, Sequential

pytest.importorskip("llvmlite", reason="llvmlite is not installed")

inf = math.inf
COUNTS = (1, 2, 3, 7, 8, 9, 31, 33, 63, 64, 65, 100, 131)


@pytest.fixture(params=[2, 4, 8])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Vectors of so many numbers, whatever the processor has."""
    monkeypatch.setattr(machine.host(), "width", request.param)
    return int(request.param)


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write loops for programs of any size."""
    monkeypatch.setattr(machine, "repetitive", lambda stages: True)


def recorded(function: Callable[[list[Value]], Value], inputs: int, model: Any) -> SimpleNamespace:
    """The graph of a loss of one example."""
    leaves = [Value(0.1 * i - 0.3) for i in range(inputs)]
    return SimpleNamespace(loss=function(leaves), inputs=leaves, parameters=model.parameters())


def network(*sizes: int, activation: str = "relu") -> SimpleNamespace:
    random.seed(5)
    model = MLP(sizes[0], sizes[1:], activation=activation)
    return recorded(lambda x: (model(x[:-1]) - x[-1]) ** 2, sizes[0] + 1, model)


def recurrent() -> SimpleNamespace:
    random.seed(6)
    cell, last = RNN(1, 6), Layer(6, 1)
    model = Sequential(cell, last)

    def loss(x: list[Value]) -> Value:
        score = last(cell([[value] for value in x[:-1]])[-1])
        return (score - x[-1]) ** 2

    return recorded(loss, 7, model)


def convolution() -> SimpleNamespace:
    random.seed(7)
    model = Sequential(Conv2d(1, 4, 3, activation="relu"), Flatten(), Layer(36, 3, nonlin=False))

    def loss(x: list[Value]) -> Value:
        image = [[x[5 * row : 5 * row + 5] for row in range(5)]]
        return cross_entropy(model(image), 1)

    return recorded(loss, 25, model)


def sequence() -> SimpleNamespace:
    """Positions that share weights, and are mixed by what they find at those before them."""
    random.seed(8)
    first, last = Layer(3, 19), Layer(19, 5, nonlin=False)
    model = Sequential(first, last)

    def loss(x: list[Value]) -> Value:
        found = [last(first(x[3 * t : 3 * t + 3])) for t in range(6)]
        fits = [
            [sum(a * b for a, b in zip(xs, ys, strict=True)).tanh() for ys in found[: t + 1]]
            for t, xs in enumerate(found)
        ]
        mixed = [
            sum(a * b for a, b in zip(weights, column, strict=False))
            for weights in fits
            for column in zip(*found, strict=True)
        ]
        return sum(x * x for x in mixed)

    return recorded(loss, 18, model)


def penalised() -> SimpleNamespace:
    """What is computed once for all rows, and after them, has loops as well."""
    given = network(3, 8, 8, 1, activation="tanh")
    given.loss = given.loss + 0.1 * l2(given.parameters)
    return given


def choosing() -> SimpleNamespace:
    """Conditions that are needed in several places, of rows and of parameters."""
    given = network(3, 8, 1)
    x, y, *_ = given.inputs
    ps = given.parameters
    pieces = [where((x > p) & (y < 0.5) | (q > 0), p * x, q.exp() * y) for p, q in pairwise(ps)]
    given.loss = given.loss + sum(pieces) / len(pieces)
    return given


def shifted() -> SimpleNamespace:
    """Gradients that are a sum of what is the same for all rows and of what is not."""
    x, b, p = [Value(0.1 * i) for i in range(40)], [Value(0.2) for _ in range(40)], Value(0.7)
    differences = [b_ - x_ for b_, x_ in zip(b, x, strict=True)]
    loss = sum(p * r + r * r for r in differences)
    return SimpleNamespace(loss=loss, inputs=x, parameters=[*b, p])


def starting() -> SimpleNamespace:
    """Sums of gradients that begin with a number of their own."""
    random.seed(1)
    rows = [[Value(random.uniform(-1, 1)) for _ in range(6)] for _ in range(8)]
    factors, x = (
        [Value(random.uniform(-1, 1)) for _ in range(8)],
        [Value(0.1 * i) for i in range(8)],
    )
    loss = Value(0.0)
    for row, factor, x_ in zip(rows, factors, x, strict=True):
        v = x_ * factor
        a = v + x[0]
        for weight in row[:-1]:
            loss = loss + (weight * v).tanh()
        loss = loss + a + (row[-1] * a).tanh()
    return SimpleNamespace(loss=loss, inputs=x, parameters=[*chain(*rows), *factors])


def residual() -> SimpleNamespace:
    random.seed(2)
    model = Sequential(*(Layer(8, 8) for _ in range(3)))

    def loss(x: list[Value]) -> Value:
        for layer in model.modules:
            x = [a + b for a, b in zip(x, layer(x), strict=True)]
        return sum(a * a for a in x)

    return recorded(loss, 8, model)


def grouped() -> SimpleNamespace:
    """Sums over the weights of each neuron: once for all rows, and after them."""
    random.seed(3)
    layer = Layer(8, 8)
    weights = layer.parameters()

    def loss(x: list[Value]) -> Value:
        norms = [sum(w * w for w in weights[i : i + 9]) + 1e-3 for i in range(0, 72, 9)]
        return sum(a * a for a in layer(x)) + 0.01 * sum(norm.sqrt() for norm in norms)

    return recorded(loss, 8, layer)


def mixed() -> SimpleNamespace:
    """A formula of numbers that stand one by one, and of such that stand in lists."""
    random.seed(4)
    model = MLP(8, [12, 1])

    def loss(x: list[Value]) -> Value:
        s = [x[0].tanh(), x[1].exp(), x[2] * x[3] * x[3], x[4].sigmoid() + x[5]]
        turned = ((s[i] * x[i] - s[(i + 1) % 4]).tanh() for i in range(4))
        return sum(turned) + model(x) ** 2

    return recorded(loss, 8, model)


GRAPHS = {
    "a network": lambda: network(5, 9, 11, 1),
    "with tanh": lambda: network(4, 8, 8, 1, activation="tanh"),
    "recurrent": recurrent,
    "a convolution": convolution,
    "a sequence": sequence,
    "penalised": penalised,
    "choosing": choosing,
    "a shift": shifted,
    "sums with a start": starting,
    "residual": residual,
    "grouped": grouped,
    "mixed": mixed,
}


def assert_same(found: Sequence[float], true: Sequence[float], context: object = None) -> None:
    scale = max(map(abs, true))
    assert list(found) == pytest.approx(list(true), rel=1e-12, abs=1e-13 * scale), context


@pytest.mark.parametrize("name", GRAPHS)
def test_loops_compute_what_the_straight_line_does(name: str, width: int, loops: None) -> None:
    given = GRAPHS[name]()
    start = [p.data for p in given.parameters]
    steps = [
        compile(given.loss, given.inputs, given.parameters, target=target)
        for target in ("native", "python")
    ]
    predictors = [
        compile([given.loss, given.parameters[0]], given.inputs, target=target)
        for target in ("native", "python")
    ]
    rng = random.Random(name)
    rows = [[rng.uniform(-1, 1) for _ in given.inputs] for _ in range(max(COUNTS))]
    for count in COUNTS:
        (loss, gradient), (true, partials) = (s.value_and_grad(start, rows[:count]) for s in steps)
        assert_same([loss, *gradient], [true, *partials], count)
        found, expected = (predict(rows[:count]) for predict in predictors)
        assert_same([*chain(*found)], [*chain(*expected)], count)


@pytest.mark.parametrize("name", ["recurrent", "a convolution", "a sequence"])
def test_one_row_alone_is_computed_by_other_loops_to_the_same_bits(
    name: str, width: int, loops: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, draw = GRAPHS[name](), random.Random(name)
    start = [draw.uniform(-1, 1) for _ in given.parameters]
    rows = [[draw.uniform(-1, 1) for _ in given.inputs] for _ in range(64)]
    steps, lengths = [], []
    for uses in (10**9, native_loops.SHARED):
        monkeypatch.setattr(native_loops, "SHARED", uses)
        steps.append(compile(given.loss, given.inputs, given.parameters, target="native"))
        lengths.append(len(machine.native_text(job_of(given), width)[0]))
    assert lengths[0] < lengths[1]
    for some in (rows[:1], [*rows, rows[0]]):  # the last of many is alone in its block
        (loss, gradient), (same, partials) = (step.value_and_grad(start, some) for step in steps)
        assert [loss, *gradient] == [same, *partials]


def test_a_network_that_shares_no_weights_has_no_loops_for_one_row_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = []
    for uses in (10**9, native_loops.SHARED):
        monkeypatch.setattr(native_loops, "SHARED", uses)
        texts.append(machine.native_text(job_of(network(5, 9, 11, 1)), 4)[0])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_random_graphs_as_loops(seed: int, width: int, loops: None) -> None:
    cases = [random_case(seed + place, 19) for place in range(6)]
    total = sum((case.root for case in cases[1:]), cases[0].root)
    inputs, parameters = ([x for case in cases for x in vars(case)[key]] for key in INPUTS)
    rows = [[*chain(*parts)] for parts in zip(*(case.rows for case in cases), strict=True)]
    native, python = (
        compile(total, inputs, parameters, target=target).value_and_grad(
            [p.data for p in parameters], rows
        )
        for target in ("native", "python")
    )
    scale = max(1.0, *(abs(x) for x in python[1] if math.isfinite(x)))
    assert [native[0], *native[1]] == pytest.approx(
        [python[0], *python[1]], rel=1e-11, abs=1e-13 * scale, nan_ok=True
    )


INPUTS = ("inputs", "parameters")


def test_lanes_without_a_row_add_nothing(width: int, loops: None) -> None:
    """They compute the last row again: inf of it must not become nan."""
    inputs, weights = ([Value(0.5) for _ in range(6)] for _ in range(2))
    products = [w * x.exp() for w, x in zip(weights, inputs, strict=True)]
    step = compile(sum(products[1:], products[0]), inputs, weights, target="native")
    for count in range(1, 2 * width + 2):
        loss, gradient = step.value_and_grad([0.5] * 6, [[0.0] * 6] * (count - 1) + [[800.0] * 6])
        assert [loss, *gradient] == [inf] * 7, count
        loss, gradient = step.value_and_grad([0.5] * 6, [[0.0] * 6] * count)
        assert [loss, *gradient] == [3.0, *[1.0] * 6], count


# --- What is found --------------------------------------------------------------------------------


def job_of(given: SimpleNamespace) -> Job:
    program, order = NativeProgram(PRIMITIVES), whole_order(given.loss)
    program.record(order, given.inputs, given.parameters)
    loss = program.mean(program.register_of(given.loss))
    gradients = program.differentiate({given.loss: program.constant(1.0)}, order, given.parameters)
    outputs = [loss, *(gradient for gradient in gradients if gradient is not None)]
    return Job(program, outputs, len(given.inputs), len(given.parameters), False)


def loops_of(given: SimpleNamespace) -> list[Call]:
    return rolled(job_of(given))[ROW]


def test_a_wider_network_is_no_more_loops() -> None:
    narrow, wide = (loops_of(network(16, width, width, 1)) for width in (16, 48))
    assert len(narrow) == len(wide) < 20
    assert narrow[0].kernel == wide[0].kernel


def test_gradients_of_the_weights_of_a_layer_are_one_grid() -> None:
    grids = [x.kernel for x in loops_of(network(6, 12, 20, 1)) if isinstance(x.kernel, Grid)]
    sizes = {(len(grid.rows), len(grid.columns)) for grid in grids}
    assert sizes == {(1, 1), (1, 21), (20, 13), (12, 7)}  # the loss, and layers with their biases


def test_a_convolution_shares_its_grid_among_positions() -> None:
    grids = [x.kernel for x in loops_of(convolution()) if isinstance(x.kernel, Grid)]
    sizes = {(len(grid.rows), len(grid.columns), len(grid.rows[0])) for grid in grids}
    assert (4, 10, 9) in sizes  # channels, weights and the bias, positions of the kernel


def test_neurons_of_a_layer_are_instances_of_one_sum() -> None:
    sums = [x for x in loops_of(network(6, 12, 20, 1)) if isinstance(x.kernel, Sum)]
    assert [len(x.instances) for x in sums] == [12, 20, 1, 12]  # forward, and backward
    assert [x.kernel.fused for x in sums if isinstance(x.kernel, Sum)] == [False] * 3 + [True]


def programs() -> Iterator[tuple[SimpleNamespace, bool]]:
    """Graphs, and whether they are worth loops."""
    yield network(2, 2, 1), False
    yield network(16, 32, 1), True
    yield recurrent(), True
    w, x = Value(0.5), Value(0.25)
    y = w * x
    for _ in range(500):
        y = (y * 0.5 + w).tanh()
    yield SimpleNamespace(loss=y, inputs=[x], parameters=[w]), True
    case = random_case(3, 1)
    yield SimpleNamespace(loss=case.root, inputs=case.inputs, parameters=case.parameters), False


def test_what_does_not_repeat_itself_stays_a_straight_line() -> None:
    for given, worth in programs():
        job = job_of(given)
        assert repetitive(rolled(job)) == worth
        text, _ = machine.native_text(job, 4)
        assert ("@row0" in text) != worth


def test_the_text_of_a_network_does_not_grow_with_it() -> None:
    texts = [machine.native_text(job_of(network(8, width, width, 1)), 4)[0] for width in (16, 48)]
    assert len(texts[1]) < 1.05 * len(texts[0])


def test_places_are_used_again() -> None:
    w, x = Value(0.5), Value(0.25)
    y = w * x
    for _ in range(2_000):
        y = y * 0.5 + w.tanh()
    job = job_of(SimpleNamespace(loss=y, inputs=[x], parameters=[w]))
    _, layout = machine.native_text(job, 4)
    assert layout.instructions > 4_000
    assert layout.vectors < 8 * 30  # the gradient is the same for all rows: nothing is kept


@pytest.mark.parametrize("cache", [0, 10_000])
def test_large_workspaces_make_small_blocks(cache: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = network(4, 16, 16, 1)
    rows = [[math.sin(7 * i + j) for j in range(5)] for i in range(150)]
    start = [p.data for p in given.parameters]
    results, sizes = [], []
    for bytes_at_hand in (1_000_000, cache):
        monkeypatch.setattr(native_loops, "CACHE", bytes_at_hand)
        step = compile(given.loss, given.inputs, given.parameters, target="native")
        loss, gradient = step.value_and_grad(start, rows)
        results.append([loss, *gradient])
        sizes.append(machine.native_text(job_of(given), 4)[1].vectors)
    assert sizes[1] < sizes[0]
    assert_same(*results)


def test_a_program_is_written_the_same_each_time() -> None:
    first, second = (machine.native_text(job_of(network(6, 12, 12, 1)), 4) for _ in range(2))
    assert first == second


def test_rows_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rows are cut for threads: where, makes no difference but that of rounding."""
    given = network(2, 16, 16, 1)
    step = compile(given.loss, given.inputs, given.parameters, target="native")
    start, rows = [p.data for p in given.parameters], some_rows(1_001)
    rows = [[*row, 0.5] for row in rows]
    whole = step.value_and_grad(start, rows)
    monkeypatch.setattr(machine, "SEGMENT_WORK", 1)
    results = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        loss, gradient = step.value_and_grad(start, rows)
        results.append([loss, *gradient])
    assert results[0] == results[1] == results[2]
    assert_same(results[0], [whole[0], *whole[1]])


# --- The source -----------------------------------------------------------------------------------

LAYER = """\
from operator import mul

from microgrant.ops import FLOATS as m

relu = m.relu


def dot(total, xs, ys):
    for x, y in zip(xs, ys):
        total += x * y
    return total


def run(parameters, rows):
    w1 = [parameters[7 * j : 7 * j + 6] for j in range(16)]
    sums = [0.0] * 130
    for start in range(0, len(rows), 64):
        ds1 = []
        xs1 = []
        ds2 = []
        xs2 = []
        for row in rows[start : start + 64]:
            # forward
            v1 = [dot(parameters[7 * j + 6], w1[j], row[0 : 6]) for j in range(16)]
            v2 = [relu(v1[j]) for j in range(16)]
            v3 = dot(parameters[128], parameters[112 : 128], v2)
            v4 = v3 - row[6]
            v5 = v4 * v4
            # backward
            d_v4 = 2.0 * v4
            d_v1 = [(1.0 if v1[j] > 0.0 else 0.0 if v1[j] <= 0.0 else v2[j]) * \
(parameters[j + 112] * d_v4) for j in range(16)]
            sums[0] += v5
            ds1.append([d_v4])
            xs1.append([*v2, 1.0])
            ds2.append(d_v1)
            xs2.append([*row[0 : 6], 1.0])
        columns1 = [*zip(*xs1)]
        for j, d in enumerate(zip(*ds1)):
            for i, x in enumerate(columns1):
                sums[i + j + 113] += sum(map(mul, d, x))
        columns2 = [*zip(*xs2)]
        for j, d in enumerate(zip(*ds2)):
            for i, x in enumerate(columns2):
                sums[7 * j + i + 1] += sum(map(mul, d, x))
    number_of_rows = len(rows)
    means = [total / number_of_rows for total in sums]
    return means
"""


def test_the_source_of_a_layer_is_a_few_lines() -> None:
    given = network(6, 16, 1)
    step = compile(given.loss, given.inputs, given.parameters, target="python")
    assert step.source == LAYER


@pytest.mark.parametrize("name", GRAPHS)
def test_the_source_computes_what_runs(name: str) -> None:
    """Loops that are read, and the straight line that Python runs."""
    given = GRAPHS[name]()
    start = [p.data for p in given.parameters]
    rng = random.Random(name)
    rows = [[rng.uniform(-1, 1) for _ in given.inputs] for _ in range(70)]
    step = compile(given.loss, given.inputs, given.parameters, target="python")
    names: dict[str, Any] = {}
    exec(step.source, names)
    assert " in range(" in step.source
    loss, gradient = step.value_and_grad(start, rows)
    assert_same(names["run"](start, rows), [loss, *gradient])
    outputs = [given.loss, *given.parameters[:2], given.loss * given.parameters[0]]
    predict = compile(outputs, given.inputs, target="python")
    exec(predict.source, names)
    leaves = [x.data for x in predict.leaves]
    assert_same([*chain(*names["run"](leaves, rows))], [*chain(*predict(rows))])


@pytest.mark.parametrize("name", GRAPHS)
def test_javascript_has_the_loops_as_well(name: str, runs_here: Callable[[str], None]) -> None:
    runs_here("javascript")
    given = GRAPHS[name]()
    start = [p.data for p in given.parameters]
    rng = random.Random(name)
    rows = [[rng.uniform(-1, 1) for _ in given.inputs] for _ in range(70)]
    results = []
    for target in ("javascript", "python"):
        step = compile(given.loss, given.inputs, given.parameters, target=target)
        loss, gradient = step.value_and_grad(start, rows)
        results.append([loss, *gradient])
    assert (
        "for (let j = 0; j < "
        in compile(given.loss, given.inputs, given.parameters, target="javascript").source
    )
    assert_same(*results)


@pytest.mark.parametrize("word", ["sum", "range", "map", "row", "j", "sums", "Array", "dot"])
def test_a_name_may_be_a_word_that_loops_need(word: str, runs_here: Callable[[str], None]) -> None:
    """That of a Value, and of an operation of the user's own."""
    runs_here("javascript")
    random.seed(8)
    model, x = MLP(6, [16, 1]), [Value(0.1 * i) for i in range(6)]
    own = define(
        word, lambda a: a * a, lambda m, out, a: (2.0 * a,), spelling={"javascript": "({0} * {0})"}
    )
    y = model(x)
    y.label = word
    start, rows = [p.data for p in model.parameters()], [[0.1 * i for i in range(6)]]
    steps = [
        compile((own(y) - 1) ** 2, x, model.parameters(), target=target)
        for target in ("python", "javascript")
    ]
    (loss, gradient), found = (step.value_and_grad(start, rows) for step in steps)
    assert_same([found[0], *found[1]], [loss, *gradient])
    [called] = re.findall("^# (.*): of your own$", steps[0].source, re.MULTILINE)
    names: dict[str, Any] = {called: lambda a: a * a}
    exec(steps[0].source, names)
    assert_same(names["run"](start, rows), [loss, *gradient])


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_random_graphs_as_a_source_of_loops(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "repetitive", bool)
    cases = [random_case(seed + place, 9) for place in range(6)]
    total = sum((case.root for case in cases[1:]), cases[0].root)
    inputs, parameters = ([x for case in cases for x in vars(case)[key]] for key in INPUTS)
    rows = [[*chain(*parts)] for parts in zip(*(case.rows for case in cases), strict=True)]
    step = compile(total, inputs, parameters, target="python")
    names: dict[str, Any] = {}
    exec(step.source, names)
    start = [p.data for p in parameters]
    loss, gradient = step.value_and_grad(start, rows)
    scale = max(1.0, *(abs(x) for x in gradient if math.isfinite(x)))
    found = names["run"](start, rows)
    assert found == pytest.approx([loss, *gradient], rel=1e-11, abs=1e-13 * scale, nan_ok=True)
