"""Compiled steps: what they compute, what they take, and what they refuse.

The truth is what the engine does: a graph is recorded anew for each row, and values and gradients
are averaged. Every operation of the table, random graphs with choices in them, and the edges of
floating-point arithmetic are held against it, on both targets. The other tests are about rows and
errors, threads and processes, and programs that would be silently wrong if nobody looked.
"""

from __future__ import annotations

import copy
import gc
import inspect
import itertools
import json
import math
import os
import random
import struct
import subprocess
import sys
import threading
import warnings
import weakref
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from choices import carry_out, decisions, eagerly, random_choices, rows_for
from test_edge_cases import POINTS

import microgrant
from microgrant import (
    DecisionWarning,
    Predictor,
    Step,
    TargetWarning,
    Value,
    apply,
    compile,
    define,
    grad,
    no_grad,
    where,
)
from microgrant.compiler import llvm, machine
from microgrant.compiler.targets import MACHINES
from microgrant.engine import NO_GRADIENT, detach
from microgrant.nn import MLP
from microgrant.ops import FLOATS, OPERATIONS, Operation, clip, of_many, power

inf, nan = math.inf, math.nan
# Not JavaScript, whose every call starts a process: `test_javascript` makes a few calls of many.
# Nor JAX, which compiles for each new number of rows, and has a process of its own: `test_jax`.
TARGETS = tuple(name for name in MACHINES if name not in ("javascript", "jax"))
EXPONENTS = (0, 1, 2, 3, 4, 7, 8, 9, 100, -1, -2, -3, -8, -9, 0.5, -0.5, 2.5, -0.3, inf, -inf, nan)
BOUNDS = ((-1, 2), (0, 1), (-0.0, 1), (-inf, 1), (0, inf), (0, 0))
ENTRIES = [
    *OPERATIONS.values(),
    *map(power, EXPONENTS),
    *(clip(low, high) for low, high in BOUNDS),
    of_many("maximum", 3),
    of_many("minimum", 3),
]
SPECIAL = (
    *(0.0, -0.0, inf, -inf, nan, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 20.0, -20.0, 40.0),
    *(5e-324, -5e-324, 1e-310, 2.3e-308, 1e-200, -1e-200, 1e-20, 1e200, 1.7e308, -1.7e308),
    *(709.7, 709.8, -708.0, -740.0, -746.0, 1 - 2**-53, 1 + 2**-52, -1 + 2**-53, math.pi, -1e5),
)

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=repr)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, runs_here: Callable[[str], None]) -> str:
    runs_here(request.param)
    return str(request.param)


@pytest.fixture
def np() -> Any:
    return pytest.importorskip("numpy", reason="NumPy is not installed")


def assert_close(
    computed: float, true: float, scale: float | None = None, context: object = None
) -> None:
    """Equal to 1e-12 of a scale, which is the number itself unless given; nan is like nan."""
    if true != true or math.isinf(true):
        assert computed == true or (computed != computed and true != true), context
    else:
        # A number below all normal ones has no twelve digits.
        margin = 1e-12 * (abs(true) if scale is None else scale) + 1e-322
        assert abs(computed - true) <= margin, (computed, true, context)


def mean_step(
    function: Callable[..., Value], parameters: Sequence[float], rows: Sequence[Sequence[float]]
) -> tuple[float, list[float]]:
    """The mean of function(*parameters, *row), and its gradient: recorded for each row anew."""
    total, gradients = 0.0, [0.0] * len(parameters)
    for row in rows:
        leaves = [Value(x) for x in parameters]
        result = function(*leaves, *map(Value, row))
        total += result.data
        for place, partial in enumerate(grad(result, leaves)):
            gradients[place] += partial
    return total / len(rows), [x / len(rows) for x in gradients]


def compiled_step(
    function: Callable[..., Value], parameters: Sequence[float], row: Sequence[float], target: str
) -> Step:
    """The step of function(*parameters, *row), recorded at this row."""
    leaves, inputs = [Value(x) for x in parameters], [Value(x) for x in row]
    return compile(function(*leaves, *inputs), inputs, leaves, target=target)


def line() -> SimpleNamespace:
    """The squared error of a line: two parameters, two inputs."""
    w, b, x, y = Value(0.5, "w"), Value(-1.0, "b"), Value(2.0, "x"), Value(1.0, "y")
    loss = (w * x + b - y) ** 2
    return SimpleNamespace(w=w, b=b, x=x, y=y, loss=loss, inputs=[x, y], parameters=[w, b])


def line_step(target: str = "python") -> tuple[SimpleNamespace, Step]:
    given = line()
    return given, compile(given.loss, given.inputs, given.parameters, target=target)


def true_line(w: float, b: float, rows: Iterable[Sequence[float]]) -> tuple[float, list[float]]:
    rows = [tuple(map(float, row)) for row in rows]
    return mean_step(lambda w, b, x, y: (w * x + b - y) ** 2, [w, b], rows)


# --- Every operation ------------------------------------------------------------------------------


def points(entry: Operation) -> list[tuple[float, ...]]:
    """Every edge, in all combinations; points of the domain; and any bits."""
    rng = random.Random(entry.name)
    edges = SPECIAL[: {1: None, 2: 20}.get(entry.arity, 9)]
    return [
        *itertools.product(edges, repeat=entry.arity),
        *zip(*entry.domain, strict=True),
        *(tuple(rng.uniform(*interval) for interval in entry.domain) for _ in range(20)),
        *(tuple(rng.gauss(0, 10) for _ in entry.domain) for _ in range(20)),
        *(struct.unpack(f"<{entry.arity}d", rng.randbytes(8 * entry.arity)) for _ in range(40)),
    ]


@every_entry
def test_entry_has_a_native_spelling(entry: Operation) -> None:
    assert entry.native
    if isinstance(entry.native, str):
        assert llvm.INSTRUCTIONS[entry.name] == entry.native
    else:
        inspect.signature(entry.native).bind(*"m", *entry.domain)


@every_entry
def test_every_operation_at_every_edge(entry: Operation, target: str) -> None:
    inputs = [Value(0.3) for _ in entry.domain]
    parameters = [Value(-0.0) for _ in entry.domain]
    # x + -0.0 is x, whatever x is: so each input has a parameter that gets its gradient.
    step = compile(
        apply(entry, *(x + p for x, p in zip(inputs, parameters, strict=True))),
        inputs,
        parameters,
        target=target,
    )
    once = compile(apply(entry, *parameters), [], parameters, target=target)
    predict = compile(apply(entry, *inputs), inputs, target=target)
    given = points(entry)
    for point, predicted in zip(given, predict(given).tolist(), strict=True):
        value = entry.forward(*point)
        partials = entry.partials(FLOATS, value, *point)
        assert_close(predicted, value, context=point)
        if value == 0:
            assert math.copysign(1.0, predicted) == math.copysign(1.0, value), point
        for loss, gradient in (
            step.value_and_grad([-0.0] * entry.arity, [point]),
            once.value_and_grad(point),
        ):
            assert_close(loss, value, context=point)
            for computed, true in zip(gradient.tolist(), partials, strict=True):
                assert_close(computed, true, context=point)


@pytest.mark.parametrize(
    ("function", "point", "value", "derivatives"),
    [row[1:] for row in POINTS],
    ids=[row[0] for row in POINTS],
)
def test_the_table_of_edges(
    function: Callable[..., Value],
    point: tuple[float, ...],
    value: float,
    derivatives: tuple[float, ...],
    target: str,
) -> None:
    """Recorded elsewhere, and so on the other branch of a choice, a step has the edge as well."""
    leaves = [Value(0.25 + i) for i in range(len(point))]
    step = compile(function(*leaves), [], leaves, target=target)
    computed, gradient = step.value_and_grad(point)
    assert_close(computed, value)
    for partial, true in zip(gradient.tolist(), derivatives, strict=True):
        assert_close(partial, true)


def test_derivatives_of_every_operation_as_outputs(target: str) -> None:
    """The rules in the algebra of Values, compiled: where they choose, each row chooses anew."""
    for entry in ENTRIES:
        inputs = [Value(0.3 + i) for i in range(entry.arity)]
        result = apply(entry, *inputs)
        predict = compile([result, *grad(result, inputs, create_graph=True)], inputs, target=target)
        given = points(entry)[::7]
        for point, row in zip(given, predict(given), strict=True):
            value = entry.forward(*point)
            if entry.name in ("pow", "power") and 0 < abs(point[0]) < sys.float_info.min:
                continue  # a power on the way to further derivatives may be too large for a float
            for computed, true in zip(
                row, (value, *entry.partials(FLOATS, value, *point)), strict=True
            ):
                assert_close(float(computed), true, context=(entry, point))


# --- Random graphs --------------------------------------------------------------------------------


def random_case(seed: int, rows: int) -> SimpleNamespace:
    """A random graph, some of its leaves as inputs, and what each of its rows is worth."""
    rng = random.Random(seed)
    program = random_choices(seed)
    places = range(len(program.leaves))
    inputs = sorted(rng.sample(places, rng.randint(1, len(places) - 1)))
    parameters = [i for i in places if i not in inputs]
    leaves = [Value(x) for x in program.leaves]
    table = rows_for(program, inputs, rows)
    return SimpleNamespace(
        program=program,
        root=carry_out(program, leaves)[-1],
        inputs=[leaves[i] for i in inputs],
        parameters=[leaves[i] for i in parameters],
        places=parameters,
        rows=[[row[i] for i in inputs] for row in table],
        eager=[eagerly(program, row) for row in table],
    )


def assert_random_graphs_agree(seeds: range, rows: int) -> None:
    """Several graphs at once, as one step; and if they are few, as one predictor."""
    cases = [random_case(seed, rows) for seed in seeds]
    inputs = [x for case in cases for x in case.inputs]
    parameters = [x for case in cases for x in case.parameters]
    table = [list(itertools.chain(*parts)) for parts in zip(*(c.rows for c in cases), strict=True)]
    total = cases[0].root
    for case in cases[1:]:
        total = total + case.root
    for target in TARGETS:
        step = compile(total, inputs, parameters, target=target)
        loss, gradient = step.value_and_grad([p.data for p in parameters], table)
        gradients = iter(gradient.tolist())
        for case in cases:
            for i in case.places:
                true = sum(eager.grads[i] for eager in case.eager) / rows
                scale = sum(eager.scales[i] for eager in case.eager) / rows
                assert_close(next(gradients), true, max(LEAST, scale), (target, case.program))
        true = sum(eager.data for case in cases for eager in case.eager) / rows
        scale = sum(abs(eager.data) for case in cases for eager in case.eager) / rows
        assert_close(loss, true, max(1.0, scale), target)
        if len(cases) <= FEW:
            predict = compile([case.root for case in cases], inputs, parameters, target=target)
            for place, row in enumerate(predict(table)):
                for predicted, case in zip(row, cases, strict=True):
                    data = case.eager[place].data
                    assert_close(predicted, data, max(1.0, abs(data)), case.program)


# Programs of all sizes, on any number of rows: so many graphs in one program, so many rows.
SIZES = ((1, 1), (3, 20), (6, 3), (15, 5), (25, 4))
TOGETHER = sum(graphs for graphs, _ in SIZES)
FEW = 3
# A derivative that is almost 0 by cancellation has no twelve digits, however it is computed.
LEAST = 0.01


@pytest.mark.parametrize("start", range(0, 5 * TOGETHER, TOGETHER))
def test_random_graphs(start: int) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    for graphs, rows in SIZES:
        assert_random_graphs_agree(range(start, start + graphs), rows)
        start += graphs


@pytest.mark.campaign
@pytest.mark.parametrize(
    "start", [*range(5 * TOGETHER, 1_000, TOGETHER), *range(10**6, 10**6 + 10_000, TOGETHER)]
)
def test_10_000_random_graphs(start: int) -> None:
    test_random_graphs(start)


def test_random_graphs_choose_differently_from_row_to_row() -> None:
    both = 0
    for seed in range(40):
        case = random_case(seed, 9)
        inputs = [place for place in range(len(case.program.leaves)) if place not in case.places]
        taken = {
            choice
            for row in rows_for(case.program, inputs, 9)
            for choice in decisions(case.program, row)
        }
        both += len(taken) - len({place for place, _ in taken})
    assert both >= 20


# --- Choices --------------------------------------------------------------------------------------


def many_conditions(w: Value, x: Value) -> Value:
    condition = x > -3
    for i in range(1000):
        condition = condition & (x < 3 + i)
    return where(condition & condition, w * x, w)


def nested_choices(w: Value, x: Value) -> Value:
    return where(x > 0, where(x > w, x * w, w.exp()), where(x < -w, w / x, x * x * w))


# name, function of w and x: each is run for w = 0.5 and w = -1, over rows at all kinds of x.
CHOICES: list[tuple[str, Callable[[Value, Value], Value]]] = [
    ("one branch is nan", lambda w, x: where(x > 0, (w * x).log(), w * x)),
    ("one derivative is inf", lambda w, x: where(x > 0, (w * x).sqrt(), 0.0)),
    ("a branch of parameters alone", lambda w, x: where(x > 0, w.exp(), 0.0)),
    ("a branch of parameters that is nan", lambda w, x: where(x > 1e300, w.log(), x * w)),
    ("a branch of inputs alone", lambda w, x: where(x > 0, x.sin(), w)),
    ("both branches the same", lambda w, x: where(x > 0, w * 2.0, w * 2.0) ** 2 + x),
    ("one Value for both branches", lambda w, x: where(x > 0, w, w) * x),
    ("numbers alone", lambda w, x: where(x > 0, 1.0, 2.0) * w),
    ("a branch used elsewhere", lambda w, x: (e := (w * x).exp()) * where(x > 0, e, 1.0)),
    ("nested", nested_choices),
    ("a choice in a condition", lambda w, x: where(where(x > 0, w, x) > 0.25, w * x, w)),
    ("between two Values", lambda w, x: where(x > w, x - w, w - x)),
    ("equal", lambda w, x: where(x == 0, w, w * x)),
    ("not equal", lambda w, x: where(x != 0, w / x, w)),
    ("at most, at least", lambda w, x: where((x <= 0) & (x >= 0), w, w * x)),
    ("a Value as a condition", lambda w, x: where(x, w / x, w)),
    ("not", lambda w, x: where(~(x > 0), w * x, w)),
    ("or", lambda w, x: where((x > 1) | (x < -1), w * x, w)),
    ("either", lambda w, x: where((x > 0) ^ (x > 1), w * x, w)),
    ("conditions compared", lambda w, x: where((x > 0) == (w > 0), w * x, w)),
    ("conditions that differ", lambda w, x: where((x > 0) != (w > 0), w * x, w)),
    ("and True", lambda w, x: where((x > 0) & True, w * x, w)),
    ("or False", lambda w, x: where((x > 0) | False, w * x, w)),
    ("and False", lambda w, x: where((x > 0) & False, w * x, w)),
    ("on parameters alone", lambda w, x: where(w > 0, w * x, x - w)),
    ("on a constant leaf", lambda w, x: where(Value(2.0) > 1, w * x, w)),
    ("whole numbers and fractions", lambda w, x: where((x < 2) & (x > Fraction(-1, 2)), w, w * x)),
    ("a whole number beyond floats", lambda w, x: where(x < 10**400, w * x, w)),
    ("a thousand conditions", many_conditions),
    ("relu and its like", lambda w, x: (w * x).relu() + abs(x - w) + x.maximum(w) * w.minimum(x)),
    ("clip", lambda w, x: (w * x).clip(-1.0, 1.0) * w),
]


@pytest.mark.parametrize("function", [f for _, f in CHOICES], ids=[name for name, _ in CHOICES])
def test_each_row_takes_its_own_branch(
    function: Callable[[Value, Value], Value], target: str
) -> None:
    rows = [[x] for x in (0.0, -0.0, 0.5, -0.5, 0.75, 2.0, -2.0, 1.0, -1.0, 5.0, -7.0, nan, inf)]
    for recorded_at in (0.75, -2.0):
        step = compiled_step(function, [0.5], [recorded_at], target)
        for w in (0.5, -1.0):
            for row in rows:
                loss, gradient = mean_step(function, [w], [row])
                computed, [partial] = step.value_and_grad([w], [row])
                assert_close(computed, loss, context=(w, row))
                assert_close(partial, gradient[0], context=(w, row))
            finite = [row for row in rows[:-2] if math.isfinite(mean_step(function, [w], [row])[0])]
            loss, gradient = mean_step(function, [w], finite)
            computed, [partial] = step.value_and_grad([w], finite)
            assert_close(computed, loss, max(1.0, abs(loss)))
            assert_close(partial, gradient[0], max(1.0, abs(gradient[0])))


def test_a_branch_that_no_row_takes_has_no_part(target: str) -> None:
    """Not even a parameter's own nan gets out of it."""
    step = compiled_step(lambda w, v, x: where(x > 0, w.log(), v * x), [0.5, 2.0], [1.0], target)
    loss, gradient = step.value_and_grad([-1.0, 2.0], [[-1.0], [-3.0]])
    assert (loss, gradient.tolist()) == (-4.0, [0.0, -2.0])


def test_choices_on_a_path_shared_with_other_rows(target: str) -> None:
    """A row that is nan spoils the mean, and not the others' branches."""
    step = compiled_step(lambda w, x: where(x > 0, w * x, 0.0), [2.0], [1.0], target)
    assert step.value_and_grad([inf], [[1.0], [0.0], [nan]])[0] == inf
    loss, [partial] = step.value_and_grad([nan], [[1.0], [-1.0]])
    assert math.isnan(loss)
    assert partial == 0.5


# --- Rows -----------------------------------------------------------------------------------------


def some_rows(count: int) -> list[list[float]]:
    rng = random.Random(count)
    return [[rng.gauss(0, 1), rng.gauss(0, 1)] for _ in range(count)]


def width() -> int:
    """How many rows native code works on at once."""
    try:
        return machine.host().width
    except ImportError:
        return 4


COUNTS: dict[str, Callable[[int], int]] = {
    "one": lambda width: 1,
    "one less than a vector": lambda width: width - 1,
    "a vector": lambda width: width,
    "one more": lambda width: width + 1,
    "some": lambda width: 17,
    "many": lambda width: 1000,
}


@pytest.mark.parametrize("count_of", COUNTS.values(), ids=COUNTS)
def test_any_number_of_rows(count_of: Callable[[int], int], target: str) -> None:
    count = count_of(width())
    given, step = line_step(target)
    predict = compile([given.loss, given.w * given.x], given.inputs, target=target)
    rows = some_rows(count)
    loss, gradient = true_line(0.5, -1.0, rows)
    computed, gradients = step.value_and_grad([0.5, -1.0], rows)
    assert computed == pytest.approx(loss, rel=1e-12)
    assert gradients.tolist() == pytest.approx(gradient, rel=1e-11)
    assert step(rows) == computed
    assert [given.w.grad, given.b.grad] == gradients.tolist()
    assert step.value(rows) == pytest.approx(loss, rel=1e-12)
    predicted = predict(rows)
    assert len(predicted) == count
    for (x, y), row in zip(rows, predicted, strict=True):
        assert list(row) == pytest.approx([(0.5 * x - 1 - y) ** 2, 0.5 * x], rel=1e-12)


ROWS = ((1.0, 2.0), (3.0, -4.0), (0.0, 1.0))


def objects_of_numpy(np: Any) -> dict[str, Any]:
    floats = np.array(ROWS)
    wide = np.zeros((6, 4))
    wide[::2, ::2] = floats
    frozen = floats.copy()
    frozen.flags.writeable = False
    shifted = np.frombuffer(b"-" + floats.tobytes(), np.uint8)[1:].view(np.float64).reshape(3, 2)
    return {
        "float64": floats,
        "float32": floats.astype(np.float32),
        "float16": floats.astype(np.float16),
        "long double": floats.astype(np.longdouble),
        "int64": floats.astype(np.int64),
        "int8": floats.astype(np.int8),
        "objects": floats.astype(object),
        "the other byte order": floats.astype(">f8"),
        "Fortran order": np.asfortranarray(floats),
        "every other row and column": wide[::2, ::2],
        "transposed": np.array(list(zip(*ROWS, strict=True))).T,
        "upside down": floats[::-1][::-1],
        "read-only": frozen,
        "not aligned": shifted,
        "a list of arrays": list(floats),
        "numbers of NumPy's": [[np.float32(x), np.int8(y)] for x, y in ROWS],
        "arrays without dimensions": [[np.array(x), np.array(y)] for x, y in ROWS],
        "a memoryview": memoryview(floats),
        "masked, but nothing is": np.ma.masked_array(floats),
    }


def objects_of_python() -> dict[str, Any]:
    return {
        "lists": [list(row) for row in ROWS],
        "tuples": ROWS,
        "whole numbers": [[int(x), int(y)] for x, y in ROWS],
        "fractions and decimals": [[Fraction(x), Decimal(y)] for x, y in ROWS],
        "a generator": (row for row in ROWS),
        "generators": ((x for x in row) for row in ROWS),
        "arrays": [array("d", row) for row in ROWS],
        "floats among lists": [[1, 2.0], (3, -4), array("f", [0, 1])],
        "a zip": zip(*zip(*ROWS, strict=True), strict=True),
    }


def assert_rows_are_taken(kinds: dict[str, Any], target: str) -> None:
    given, step = line_step(target)
    loss, gradient = true_line(0.5, -1.0, ROWS)
    for kind, rows in kinds.items():
        given.w.grad = given.b.grad = 0.0
        assert step(rows) == pytest.approx(loss, rel=1e-12), kind
        assert [given.w.grad, given.b.grad] == pytest.approx(gradient, rel=1e-12), kind


def test_rows_of_python(target: str) -> None:
    assert_rows_are_taken(objects_of_python(), target)


def test_rows_of_numpy(np: Any, target: str) -> None:
    assert_rows_are_taken(objects_of_numpy(np), target)


def test_parameters_of_numpy(np: Any, target: str) -> None:
    _, step = line_step(target)
    tables = objects_of_numpy(np)
    del tables["a memoryview"]  # it knows no rows
    for kind, table in tables.items():
        loss, gradient = step.value_and_grad(table[1], ROWS)
        expected, exact = true_line(*ROWS[1], ROWS)
        assert loss == pytest.approx(expected, rel=1e-12), kind
        assert gradient.tolist() == pytest.approx(exact, rel=1e-12), kind


def test_rows_of_bools(np: Any, target: str) -> None:
    _, step = line_step(target)
    rows = [[True, False], [True, True]]
    assert step.value(rows) == step.value(np.array(rows)) == true_line(0.5, -1.0, rows)[0]


def test_rows_of_pytorch(target: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    floats = torch.tensor(ROWS, dtype=torch.float64)
    kinds = {
        "float64": floats,
        "float32": floats.float(),
        "int32": floats.int(),
        "with a graph": (floats * torch.ones(2, dtype=torch.float64, requires_grad=True)),
        "a list of tensors": list(floats),
        "transposed": floats.T.contiguous().T,
    }
    assert_rows_are_taken(kinds, target)
    _, step = line_step(target)
    _, gradient = step.value_and_grad(torch.tensor([0.5, -1.0], requires_grad=True), floats)
    assert gradient.tolist() == pytest.approx(true_line(0.5, -1.0, ROWS)[1], rel=1e-12)


def test_rows_are_not_changed(np: Any, target: str) -> None:
    _, step = line_step(target)
    rows, parameters = np.array(ROWS), np.array([0.5, -1.0])
    step.value_and_grad(parameters, rows)
    assert rows.tolist() == [list(row) for row in ROWS]
    assert parameters.tolist() == [0.5, -1.0]


# What is given, the type of the error, and its words.
BAD_ROWS: list[tuple[str, Callable[[Any], Any], type[Exception], str]] = [
    ("no rows", lambda np: [], ValueError, "rows is empty"),
    ("nothing", lambda np: None, TypeError, "rows is missing: a table of 2 columns"),
    ("a number", lambda np: 5, TypeError, "rows is a list of rows, but got int 5"),
    ("text", lambda np: "ab", TypeError, "rows is a list of rows, but got str 'ab'"),
    ("a Value", lambda np: Value(1.0), TypeError, "rows is a list of rows, but got Value"),
    ("numbers", lambda np: [1, 2], TypeError, r"a list of 2 numbers \(x, y\), but got int"),
    ("too narrow", lambda np: [[1]], ValueError, r"2 numbers \(x, y\), but row 0 holds 1"),
    ("too wide", lambda np: [[1, 2], [1, 2, 3]], ValueError, "but row 1 holds 3"),
    ("ragged", lambda np: [[1, 2, 3], [1]], ValueError, "but row 0 holds 3"),
    ("an empty row", lambda np: [[1, 2], []], ValueError, "but row 1 holds 0"),
    ("rows of text", lambda np: ["ab"], TypeError, "a row is a list of .* but got str 'ab'"),
    ("rows of bytes", lambda np: [b"ab"], TypeError, "but got bytes b'ab'"),
    ("rows without order", lambda np: [{1.0, 2.0}], TypeError, "but got set"),
    ("rows of names", lambda np: [{"x": 1, "y": 2}], TypeError, "but got dict"),
    ("None", lambda np: [[1, None]], TypeError, "row 0: expected one real .* NoneType"),
    ("texts", lambda np: [[1, 2], ["1", "2"]], TypeError, "row 1: .* but got str '1'"),
    ("Values", lambda np: [[Value(1.0), 2]], TypeError, "row 0: .* but got Value"),
    ("complex", lambda np: [[1j, 2]], TypeError, "row 0: .* but got complex 1j"),
    ("lists in rows", lambda np: [[[1], 2]], TypeError, "row 0: .* but got list"),
    ("a huge number", lambda np: [[10**400, 2]], OverflowError, "too large for a float"),
    ("no rows of an array", lambda np: np.ones((0, 2)), ValueError, "rows is empty"),
    ("a wide array", lambda np: np.ones((4, 3)), ValueError, r"2 numbers \(x, y\) .* \(4, 3\)"),
    ("a flat array", lambda np: np.ones(2), ValueError, r"its shape is \(2,\)"),
    ("a deep array", lambda np: np.ones((2, 2, 2)), ValueError, r"its shape is \(2, 2, 2\)"),
    ("an array of no dimensions", lambda np: np.array(1.0), ValueError, r"its shape is \(\)"),
    ("a complex array", lambda np: np.ones((1, 2), complex), TypeError, "real numbers, .* complex"),
    ("an array of text", lambda np: np.array([["a", "b"]]), TypeError, "real numbers, but got"),
    ("an array of dates", lambda np: np.zeros((1, 2), "M8[D]"), TypeError, "real numbers, but got"),
    (
        "an array of Values",
        lambda np: np.array([[Value(1.0), Value(2.0)]], dtype=object),
        TypeError,
        "row 0: .* but got Value",
    ),
    (
        "a masked array",
        lambda np: np.ma.masked_array([[1.0, 2.0]], [[True, False]]),
        ValueError,
        "masked",
    ),
]


@pytest.mark.parametrize(
    ("make", "error", "words"), [row[1:] for row in BAD_ROWS], ids=[row[0] for row in BAD_ROWS]
)
def test_bad_rows_lose_nothing(
    make: Callable[[Any], Any], error: type[Exception], words: str, np: Any
) -> None:
    given, step = line_step()
    predict = compile(given.loss, given.inputs, target="python")
    step(ROWS)
    before = [given.w.grad, given.b.grad]
    for run in (step, step.value, lambda rows: step.value_and_grad([1, 2], rows), predict):
        with pytest.raises(error, match=words):
            run(make(np))
    assert [given.w.grad, given.b.grad] == before
    assert step(ROWS) == pytest.approx(true_line(0.5, -1.0, ROWS)[0], rel=1e-12)


def test_columns_without_names_are_counted() -> None:
    w, inputs = Value(1.0), [Value(1.0) for _ in range(3)]
    step = compile(w * sum(inputs), inputs, [w], target="python")
    with pytest.raises(ValueError, match="a row holds 3 numbers, but row 0 holds 2"):
        step([[1, 2]])


GOOD_PARAMETERS: list[Callable[[Any], Any]] = [
    lambda np: [0.5, -1],
    lambda np: (0.5, -1),
    lambda np: (x for x in (0.5, -1.0)),
    lambda np: array("d", [0.5, -1]),
    lambda np: np.array([0.5, -1]),
    lambda np: np.array([0.5, -1], np.float32),
    lambda np: np.array([0.5, 7, -1, 7])[::2],
    lambda np: np.array([0.5, -1], object),
    lambda np: [np.float32(0.5), Fraction(-1)],
]


@pytest.mark.parametrize("make", GOOD_PARAMETERS, ids=range(len(GOOD_PARAMETERS)))
def test_flat_parameters(make: Callable[[Any], Any], np: Any, target: str) -> None:
    _, step = line_step(target)
    loss, gradient = step.value_and_grad(make(np), ROWS)
    true, partials = true_line(0.5, -1.0, ROWS)
    assert loss == pytest.approx(true, rel=1e-12)
    assert gradient.tolist() == pytest.approx(partials, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda np: [1.0], ValueError, "parameters is to hold 2 numbers, but got 1"),
        (lambda np: np.ones(3), ValueError, "parameters is to hold 2 numbers, but got 3"),
        (lambda np: np.ones((2, 1)), ValueError, r"a flat list of numbers, .* \(2, 1\)"),
        (lambda np: np.array(1.0), ValueError, r"a flat list of numbers, .* \(\)"),
        (lambda np: None, TypeError, "parameters is a list of numbers, but got NoneType"),
        (lambda np: 1.0, TypeError, "parameters is a list of numbers, but got float"),
        (lambda np: "ab", TypeError, "parameters is a list of numbers, but got str"),
        (lambda np: {1.0, 2.0}, TypeError, "parameters is a list of numbers, but got set"),
        (lambda np: ["1", "2"], TypeError, "expected one real number, but got str '1'"),
        (lambda np: [Value(1.0), 2.0], TypeError, "expected one real number, but got Value"),
        (lambda np: np.ones(2, complex), TypeError, "real numbers, but got"),
    ],
    ids=range(11),
)
def test_bad_flat_parameters(
    make: Callable[[Any], Any], error: type[Exception], words: str, np: Any
) -> None:
    _, step = line_step()
    with pytest.raises(error, match=words):
        step.value_and_grad(make(np), ROWS)


def test_without_inputs_there_are_no_rows(target: str) -> None:
    w, v = Value(3.0), Value(2.0)
    step = compile(w * w * v, parameters=[w, v], target=target)
    assert step() == step.value() == 18.0
    assert [w.grad, v.grad] == [12.0, 9.0]
    loss, gradient = step.value_and_grad([1.0, 5.0])
    assert (loss, gradient.tolist()) == (5.0, [10.0, 1.0])
    assert compile(w * v, target=target)().tolist() == [6.0]
    for run in (step, step.value, compile(w * v, target=target)):
        with pytest.raises(TypeError, match="compiled without inputs, so it takes no rows"):
            run([[1.0]])


# --- Many rows, threads, processes ----------------------------------------------------------------


def network(sizes: Sequence[int], activation: str = "tanh") -> SimpleNamespace:
    random.seed(7)
    model = MLP(sizes[0], list(sizes[1:]))
    x, y = [Value(0.1 * i) for i in range(sizes[0])], Value(1.0)
    score = model(x)
    loss = (1 - y * (score.tanh() if activation == "tanh" else score)).relu()
    return SimpleNamespace(
        model=model, loss=loss, score=score, inputs=[*x, y], parameters=model.parameters()
    )


def test_the_number_of_cores_does_not_matter(np: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it matter much in how many pieces the rows are added up."""
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    net = network([3, 8, 1])
    step = compile(net.loss, net.inputs, net.parameters, target="native")
    predict = compile([net.score, net.loss], net.inputs, net.parameters, target="native")
    start = [p.data for p in net.parameters]
    table = np.random.default_rng(3).normal(size=(100_003, 4))
    for count, work in ((100_003, machine.SEGMENT_WORK), (1_003, 1_000), (33, 1), (5, 1), (1, 1)):
        rows = table[:count]
        monkeypatch.setattr(machine, "CALL_WORK", 50 * work)  # several calls for a segment
        monkeypatch.setattr(machine, "SEGMENT_WORK", 10**12)
        loss, gradient = step.value_and_grad(start, rows)
        predicted = predict(rows)
        monkeypatch.setattr(machine, "SEGMENT_WORK", work)
        found = set()
        for cores in (1, 2, 3, 64):
            monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
            in_pieces, gradients = step.value_and_grad(start, rows)
            assert in_pieces == pytest.approx(loss, rel=1e-12)
            assert gradients.tolist() == pytest.approx(gradient.tolist(), rel=1e-11, abs=1e-13)
            assert np.array_equal(predict(rows), predicted)
            found.add((in_pieces, *gradients.tolist()))
        assert len(found) == 1


def test_threads_of_one_run_share_no_memory_that_they_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    monkeypatch.setattr(machine, "SEGMENT_WORK", 1)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    _, step = line_step("native")
    run, pieces = step._run, []
    loop, both_at_work = run.loop, threading.Barrier(2, timeout=30)

    def noted(*arguments: int) -> None:
        *_, vectors, sums, _, _, begin, end, _ = arguments
        thread = threading.get_ident()
        if thread not in {other for other, *_ in pieces}:
            both_at_work.wait()
        pieces.append((thread, vectors, sums, begin, end))
        loop(*arguments)

    monkeypatch.setattr(run, "loop", noted)
    rows = some_rows(100)
    loss, _ = step.value_and_grad([0.5, -1.0], rows)
    assert loss == pytest.approx(true_line(0.5, -1.0, rows)[0], rel=1e-12)
    threads = {thread for thread, *_ in pieces}
    assert len(threads) == len({vectors for _, vectors, *_ in pieces}) == 2
    assert len({sums for _, _, sums, *_ in pieces}) == len(pieces) > 2
    covered = [row for *_, begin, end in pieces for row in range(begin, end)]
    assert sorted(covered) == list(range(100))


INTERRUPTED = """
import os, signal, threading, time
import microgrant.compiler.machine as machine
from microgrant import Value, compile

signal.signal(signal.SIGINT, signal.default_int_handler)
w, x = Value(0.5), Value(0.0)
y = x
for _ in range(100):
    y = (w * y).tanh()
step = compile(y, [x], [w], target="native")
few = [[0.1 * i] for i in range(100)]
right = step.value(few)
rows = memoryview(bytes(8 * 20_000_000)).cast("d").cast("B").cast("d", [20_000_000, 1])
pressed = []


def press():
    pressed.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)


threading.Timer(0.2, press).start()
try:
    step(rows)
except KeyboardInterrupt:
    print(time.perf_counter() - pressed[0], step.value(few) == right, w.grad)
else:
    print("it was over")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 2])
def test_ctrl_c_is_heard_during_a_run(np: Any, cores: int) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    program = INTERRUPTED.replace("pressed = []", f"pressed = []; machine.cores = lambda: {cores}")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not done.stderr
    heard_after, works_on, gradient = done.stdout.split()
    assert float(heard_after) < 0.5  # the whole run takes ten times as long
    assert (works_on, gradient) == ("True", "0.0")


@pytest.mark.parametrize("segment_work", [10**12, 100_000], ids=["one go", "pieces"])
def test_several_threads_at_once(
    segment_work: int, target: str, np: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with parameters and rows of its own: the results are those of one after the other."""
    monkeypatch.setattr(machine, "SEGMENT_WORK", segment_work)
    monkeypatch.setattr(machine, "cores", lambda: 3)
    net = network([2, 8, 1])
    step = compile(net.loss, net.inputs, net.parameters, target=target)
    predict = compile(net.score, net.inputs[:2], target=target)
    rng = np.random.default_rng(5)
    rows = 10_000 if target == "native" else 30  # enough for one to run into the other
    jobs = [
        (rng.normal(size=len(net.parameters)), rng.normal(size=(rows + i, 3))) for i in range(40)
    ]

    def work(job: tuple[Any, Any]) -> tuple[Any, ...]:
        parameters, rows = job
        loss, gradient = step.value_and_grad(parameters, rows)
        return loss, gradient.tolist(), predict(rows[:, :2]).tolist()

    one_by_one = list(map(work, jobs))
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, jobs)) == one_by_one


def test_results_are_not_overwritten_by_the_next(target: str) -> None:
    given, step = line_step(target)
    predict = compile(given.w * given.x, [given.x], target=target)
    _, first = step.value_and_grad([0.5, -1.0], ROWS)
    predicted = predict([[1.0], [2.0]])
    before = first.tolist()
    step.value_and_grad([9.0, 9.0], ROWS)
    predict([[7.0], [8.0]])
    assert first.tolist() == before
    assert predicted.tolist() == [0.5, 1.0]


def test_a_step_of_another_thread(target: str) -> None:
    made: list[tuple[SimpleNamespace, Step]] = []
    maker = threading.Thread(target=lambda: made.append(line_step(target)))
    maker.start()
    maker.join()
    [(_, step)] = made
    assert step(ROWS) == pytest.approx(true_line(0.5, -1.0, ROWS)[0], rel=1e-12)


FORK = """
import os, sys
from microgrant import Value, compile
from microgrant.compiler import machine
machine.SEGMENT_WORK = 1_000
machine.cores = lambda: 2
w, x = Value(0.5), Value(1.0)
step = compile((w * x).tanh() ** 2, [x], [w], target="native")
rows = [[i / 1000] for i in range(1000)]
loss, gradient = step.value_and_grad([0.5], rows)
for _ in range(3):
    child = os.fork()
    if child == 0:
        there = step.value_and_grad([0.5], rows)
        again = compile((w * x).tanh() ** 2, [x], [w], target="native").value_and_grad([0.5], rows)
        same = [(x, *g) for x, g in (there, again)] == 2 * [(loss, *gradient)]
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
print(step.value_and_grad([0.5], rows)[0] == loss)
"""


def run_alone(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, that finds this package."""
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(microgrant.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_step_works_after_a_fork() -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    finished = run_alone(FORK, "-W", "ignore::DeprecationWarning")  # "fork may deadlock"
    assert (finished.stdout.split(), finished.stderr) == (["0", "0", "0", "True"], "")


# --- Never silently wrong -------------------------------------------------------------------------


def test_the_names_of_what_is_compiled() -> None:
    given = line()
    assert isinstance(compile(given.loss, given.inputs, given.parameters), Step)
    assert isinstance(compile(given.loss, given.inputs), Predictor)
    assert isinstance(compile([given.loss], given.inputs, given.parameters), Predictor)


def test_mistakes_in_what_is_to_be_compiled() -> None:
    given = line()
    w, b, x, y, loss = given.w, given.b, given.x, given.y, given.loss
    two = (w * 2)._prev[1]
    # outputs, inputs, parameters, the type of the error, its words
    mistakes: list[tuple[Any, Any, Any, type[Exception], str]] = [
        (loss, [x, y, Value(1.0, "z")], [w], ValueError, r"does not contain inputs\[2\] \(z\)"),
        (
            loss,
            [Value(1.0)],
            [w],
            ValueError,
            r"not contain inputs\[0\]: is it the very",
        ),
        (loss, [x, loss], [w], ValueError, r"inputs\[1\] was computed by power: give the leaves"),
        (loss, [x], [w, w * x], ValueError, r"parameters\[1\] was computed by mul"),
        (loss, [x, y, x], [w], ValueError, r"inputs\[2\] \(x\) is listed twice"),
        (loss, [x], [w, b, w], ValueError, r"parameters\[2\] \(w\) is listed twice"),
        (loss, [x, w], [w, b], ValueError, r"inputs\[1\] \(w\) is among the parameters as well"),
        (w * two, [], [two], ValueError, r"parameters\[0\] is a constant of the graph"),
        (w * two, [two], [w], ValueError, r"inputs\[0\] is a constant of the graph"),
        (loss, x, [w], TypeError, r"inputs is a list of Values, such as \[x, y\], but got Value"),
        (loss, [x], w, TypeError, r"such as model\.parameters\(\), but got Value"),
        (loss, 1, [w], TypeError, r"inputs is a list .*, but got int 1"),
        (
            loss,
            ["x"],
            [w],
            TypeError,
            r"inputs is a list of Values, .*, but inputs\[0\] is str 'x'",
        ),
        (loss, [x], [0.5], TypeError, r"parameters\[0\] is float 0.5"),
        (loss, [x], [], ValueError, "parameters is empty, so there is nothing to train"),
        (loss, [x], [Value(0.5)], ValueError, "the graph contains none of the parameters"),
        (3.0, [x], None, TypeError, "needs a Value or a list of Values, but got float 3.0"),
        (None, [x], [w], TypeError, "needs a Value or a list of Values, but got NoneType"),
        ([], [x], None, ValueError, "at least one Value, but outputs is empty"),
        ([loss, 1.0], [x], None, TypeError, r"needs Values, but outputs\[1\] is float 1.0"),
    ]
    for outputs, inputs, parameters, error, words in mistakes:
        with pytest.raises(error, match=words):
            compile(outputs, inputs, parameters)
    known = '"auto", "native", "numpy", "python", "javascript" or "jax", but got \'c\''
    with pytest.raises(ValueError, match=known):
        compile(loss, given.inputs, given.parameters, target="c")  # type: ignore[call-overload]


def test_arrays_of_what_is_to_be_compiled(np: Any, target: str) -> None:
    w, b, x = Value(2.0), Value(1.0), Value(3.0)
    outputs, parameters = np.array([w * x, b * x]), np.array([w, b])
    predict = microgrant.compile(outputs, np.array([x]), parameters, target=target)
    assert np.asarray(predict([[5.0]])).tolist() == [[10.0, 5.0]]
    step = microgrant.compile((w * x + b) ** 2, np.array([x]), parameters, target=target)
    assert (step([[1.0]]), w.grad, b.grad) == (9.0, 6.0, 6.0)


def test_a_copy_of_an_input_is_another_value() -> None:
    given = line()
    with pytest.raises(ValueError, match=r"does not contain inputs\[0\] \(x\)"):
        compile(given.loss, [copy.copy(given.x)], given.parameters)


def test_a_graph_that_was_not_recorded() -> None:
    given = line()
    with no_grad():
        loss = given.w * given.x
    with pytest.raises(ValueError, match=r"does not contain inputs\[0\]"):
        compile(loss, [given.x], [given.w])


@pytest.mark.parametrize(("old", "new"), [(2.0, 3.0), (0.0, -0.0), (nan, 1.0), (1.0, nan)], ids=str)
def test_a_leaf_is_read_at_each_call(target: str, old: float, new: float) -> None:
    """Be it neither input nor parameter; and it gets no gradient."""
    w, x, c = Value(0.5, "w"), Value(1.0, "x"), Value(old, "c")
    step = compile(w * x / c, [x], [w], target=target)
    predict = compile(w * x / c, [x], target=target)
    for number in (old, new, 4.0):
        c.data, w.data, w.grad = number, 0.5, 0.0
        fresh = w * x / c
        fresh.backward()
        expected = repr((fresh.data, w.grad))
        w.grad = c.grad = 0.0
        assert repr((step([[1.0]]), w.grad)) == expected
        assert repr((step.value([[1.0]]), w.grad)) == expected
        w.data = 0.25  # which is not what value_and_grad is given
        loss, gradient = step.value_and_grad([0.5], [[1.0]])
        assert repr((loss, float(gradient[0]))) == expected
        w.data = 0.5
        assert repr(float(predict([[1.0]])[0])) == repr(fresh.data)
        w.data = 0.75
        assert repr(float(predict([[1.0]])[0])) == repr((w * x / c).data)
        assert c.grad == 0.0
    assert step.leaves == [w, c]
    assert predict.leaves == [w, c]


def test_a_leaf_of_a_condition_is_read_at_each_call(target: str) -> None:
    w, x, bound = Value(0.5, "w"), Value(1.0, "x"), Value(2.0, "bound")
    step = compile(where(x > bound, w * x, w), [x], [w], target=target)
    assert step([[1.5]]) == 0.5
    bound.data = 0.0
    assert step([[1.5]]) == 0.75


def test_numbers_of_a_program_stay_what_they_were(target: str) -> None:
    w, x = Value(0.5, "w"), Value(1.0, "x")
    out = 2 * w * x + 3
    predict = compile(out, [x], target=target)
    assert predict.leaves == [w]


def test_the_source_has_the_numbers_of_now() -> None:
    w, x, c = Value(0.5, "w"), Value(1.0, "x"), Value(2.5, "c")
    step = compile(w * x + c, [x], [w], target="python")
    assert "w * x + 2.5" in step.source
    c.data = 4.5
    assert "w * x + 4.5" in step.source


def test_a_predictor_made_before_training_predicts_with_what_was_learned(target: str) -> None:
    random.seed(1)
    model = MLP(2, [3, 1], activation="tanh")
    x, y = [Value(0.0), Value(0.0)], Value(0.0)
    predict = compile(model(x), x, target=target)
    step = compile((model(x) - y) ** 2, [*x, y], model.parameters(), target=target)
    before = list(predict([[1.0, -1.0]]))
    step([[1.0, -1.0, 5.0]])
    for p in model.parameters():
        p.data -= 0.1 * p.grad
    after = float(predict([[1.0, -1.0]])[0])
    assert after == pytest.approx(model([1.0, -1.0]).data, rel=1e-12)
    assert after != before[0]


def test_the_data_of_inputs_and_parameters_may_change(target: str) -> None:
    given, step = line_step(target)
    given.x.data, given.y.data, given.w.data = 100.0, nan, 2.0
    assert step(ROWS) == pytest.approx(true_line(2.0, -1.0, ROWS)[0], rel=1e-12)
    assert (given.x.grad, given.x.data) == (0.0, 100.0)


def test_data_at_the_time_of_compiling_is_what_counts(target: str) -> None:
    w, c = Value(2.0), Value(3.0)
    loss = w * c
    c.data = 5.0
    assert compile(loss, [], [w], target=target)() == 10.0
    assert w.grad == 5.0


# --- Decisions ------------------------------------------------------------------------------------


def decided_at(word: str) -> str:
    """The line of this file that ends in a comment with this word, as a warning names it."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [place] = [i for i, text in enumerate(lines, 1) if text.endswith(f"# {word}")]
    return rf"a decision was made on Values of this graph \(.*test_native\.py, line {place}\)"


def by_an_if(w: Value, x: Value) -> Value:
    if x > 0:  # if
        return w * x
    return w


def by_a_conditional_expression(w: Value, x: Value) -> Value:
    return w * (x if x * w > 0 else 1)  # conditional


def by_a_temporary(w: Value, x: Value) -> Value:
    if (x * 3 - 1).tanh() > 0.1:  # temporary
        return w * 2 * x
    return w * x


def by_max(w: Value, x: Value) -> Value:
    return w * max(x, w)  # max


def by_sorting(w: Value, x: Value) -> Value:
    low, high = sorted([x, w])  # sorting
    return low - high


def by_truth(w: Value, x: Value) -> Value:
    return x and w * x  # truth


def by_not(w: Value, x: Value) -> Value:
    return w * x if not x < 1 else w  # not


def by_a_loop(w: Value, x: Value) -> Value:
    y = x
    while y < 10:  # loop
        y = y * 2 + w * w + 1
    return y


def by_a_parameter(w: Value, x: Value) -> Value:
    return x if w > 5 else w * x  # parameter


def by_a_choice(w: Value, x: Value) -> Value:
    if where(w > 0, x, 0.0) > 0:  # choice
        return w * x
    return w + x


DECISIONS = {
    "if": by_an_if,
    "conditional": by_a_conditional_expression,
    "temporary": by_a_temporary,
    "max": by_max,
    "sorting": by_sorting,
    "truth": by_truth,
    "not": by_not,
    "loop": by_a_loop,
    "parameter": by_a_parameter,
    "choice": by_a_choice,
}


@pytest.mark.parametrize("word", DECISIONS)
def test_a_decision_of_python_is_told(word: str) -> None:
    w, x = Value(0.5, "w"), Value(2.0, "x")
    loss = DECISIONS[word](w, x)
    with pytest.warns(DecisionWarning, match=decided_at(word)) as told:
        compile(loss, [x], [w], target="python")
    assert [Path(warning.filename) for warning in told] == [Path(__file__)]
    assert "where(condition, a, b)" in str(told[0].message)
    with pytest.warns(DecisionWarning, match=decided_at(word)):
        compile([loss], [x], [w], target="python")


def test_all_decisions_are_told_at_once() -> None:
    w, x, y = Value(0.5), Value(2.0), Value(3.0)
    loss = by_an_if(w, x) + by_a_parameter(w, y)
    with pytest.warns(DecisionWarning, match="line [0-9]+; .*line [0-9]+"):
        compile(loss, [x, y], [w], target="python")


def count_warnings(work: Callable[[], Any]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        work()
    return told


def test_a_decision_is_told_once(target: str) -> None:
    w, x = Value(0.5, "w"), Value(2.0, "x")
    loss = by_an_if(w, x)

    def work() -> None:
        step = compile(loss, [x], [w], target=target)
        step([[1.0]])
        step.value([[1.0]])
        assert "def run" in step.source

    assert [warning.category for warning in count_warnings(work)] == [DecisionWarning]


def test_decisions_of_the_graph_are_no_decisions_of_python(target: str) -> None:
    w, x = Value(0.5, "w"), Value(2.0, "x")
    loss = (w * x).relu() + x.maximum(w) + w.minimum(x) + abs(x - w) + (x * w).clip(-1, 1)
    # The rules of derivatives choose by `where` as well.
    loss = loss + grad(loss, x, create_graph=True) ** 2 + where((x > 0) | ~(x >= w), x, w)
    assert count_warnings(lambda: compile(loss, [x], [w], target=target)) == []


def test_decisions_on_what_stays_are_fine() -> None:
    w, x = Value(0.5, "w"), Value(2.0, "x")
    other = Value(1.0)
    assert other < 2
    assert (x.data > 1) is True
    assert count_warnings(lambda: compile(w * x * 3.0, [x], [w], target="python")) == []


def test_a_decision_on_a_leaf_that_may_change_is_told() -> None:
    w, x, c = Value(0.5, "w"), Value(2.0, "x"), Value(3.0, "c")
    scale = c * 2 if c > 1 else c  # leaf
    with pytest.warns(DecisionWarning, match=decided_at("leaf")):
        compile(w * x * scale, [x], [w], target="python")


def test_a_decision_on_another_graph_is_no_matter() -> None:
    w, x = Value(0.5, "w"), Value(2.0, "x")
    loss = w * x
    assert bool(loss * 2 > 0)  # it depends on w and x, and so is told
    told = count_warnings(lambda: compile(loss, [x], [w], target="python"))
    assert [warning.category for warning in told] == [DecisionWarning]
    stranger = Value(1.0) * 2
    assert bool(stranger > 0)
    u, v = Value(0.5), Value(2.0)
    assert count_warnings(lambda: compile(u * v, [v], [u], target="python")) == []


def test_derivatives_that_follow_one_branch_are_told() -> None:
    w, x = Value(0.5, "w"), Value(2.0, "x")
    slope = grad(where(x > 0, w * x * x, w), x, create_graph=True)
    with pytest.warns(DecisionWarning, match="a decision was made on Values of this graph"):
        compile(slope**2, [x], [w], target="python")


# --- Without llvmlite, without NumPy --------------------------------------------------------------


WITHOUT = """
import json, sys, warnings
for name in {blocked!r}:
    sys.modules[name] = None
from microgrant import Value, compile
w, b, x = Value(0.5, "w"), Value(1.0, "b"), Value(2.0, "x")
loss = (w * x + b).tanh() ** 2
for _ in range(3):
    step = compile(loss, inputs=[x], parameters=[w, b])
rows = [[1.0], [2], (3.0,)]
mean = step(rows)
_, gradient = step.value_and_grad([0.5, 1.0], rows)
warnings.simplefilter("error")
predict = compile([w * x, w], [x], [w], target="python")
single = compile(w * x, [x], target="python")
try:
    compile(loss, [x], [w], target="native")
except ImportError as error:
    said = str(error)
print(json.dumps([step.target, mean, step.value(rows), [w.grad, b.grad], gradient.tolist(),
    [list(row) for row in predict(rows)], single(rows).tolist(), type(gradient).__module__, said]))
"""


@pytest.mark.parametrize("blocked", [["llvmlite"], ["llvmlite", "numpy"]], ids=" and ".join)
def test_without_what_is_optional(blocked: list[str]) -> None:
    finished = run_alone(WITHOUT.format(blocked=blocked))
    assert finished.returncode == 0, finished.stderr
    target, mean, value, grads, gradient, pairs, single, module, said = json.loads(finished.stdout)
    loss, true = mean_step(
        lambda w, b, x: (w * x + b).tanh() ** 2, [0.5, 1.0], [[1.0], [2.0], [3.0]]
    )
    assert target == "python"
    assert [mean, value] == pytest.approx([loss, loss], rel=1e-12)
    assert grads == gradient == pytest.approx(true, rel=1e-12)
    assert (pairs, single) == ([[0.5, 0.5], [1.0, 0.5], [1.5, 0.5]], [0.5, 1.0, 1.5])
    assert module == ("array" if "numpy" in blocked else "numpy")
    hint = "`pip install 'microgrant[native]'` brings it"
    assert said == f"native code needs llvmlite: {hint}"
    told = finished.stderr.splitlines()[0]
    assert finished.stderr.count("TargetWarning") == 1  # though compiled three times
    assert told == (
        f"<string>:9: TargetWarning: llvmlite is not installed, so this runs as Python: {hint}"
    )


@pytest.mark.parametrize("target", [x for x in TARGETS if x != "numpy"], indirect=True)
def test_rows_without_numpy(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setattr(microgrant.compiler.tables, "numpy", lambda: None)
    assert_rows_are_taken(objects_of_python(), target)
    given, step = line_step(target)
    _, gradient = step.value_and_grad([0.5, -1.0], ROWS)
    assert isinstance(gradient, array)
    predicted = compile([given.loss, given.w], given.inputs, target=target)(ROWS)
    assert [len(row) for row in predicted] == [2, 2, 2]
    assert isinstance(compile(given.loss, given.inputs, target=target)(ROWS), array)


# --- Operations of one's own ----------------------------------------------------------------------


def gaussian_rule(m: Any, out: Any, x: Any) -> tuple[Any, ...]:
    return (-2 * x * out,)


def rule_of_math(m: Any, out: Any, x: Any) -> tuple[Any, ...]:
    return (-2 * x * math.exp(-x * x),)


def rule_with_an_if(m: Any, out: Any, x: Any) -> tuple[Any, ...]:
    if x > 0:
        return (-2 * x * out,)
    return (out * x * -2,)


def rule_of_methods(m: Any, out: Any, x: Any) -> tuple[Any, ...]:
    return (-2 * x * out if not x.is_integer() else -2 * float(x) * out,)


def rule_of_the_table(m: Any, out: Any, x: Any) -> tuple[Any, ...]:
    return (m.where(x > 0, -2 * x, 2 * -x) * m.exp(-(x**2)),)


@pytest.mark.parametrize(
    "rule", [gaussian_rule, rule_of_math, rule_with_an_if, rule_of_methods, rule_of_the_table]
)
def test_an_operation_of_ones_own(rule: Callable[..., tuple[Any, ...]]) -> None:
    gaussian = define("gaussian", lambda x: math.exp(-x * x), rule)

    def function(w: Value, x: Value) -> Value:
        return gaussian(w * x) * gaussian(w) + gaussian(x)

    leaves = [Value(0.5, "w"), Value(0.25, "x")]
    loss = function(*leaves)
    made: list[Step] = []

    def work() -> None:
        made.append(compile(loss, leaves[1:], leaves[:1]))
        made[0].value([[1.0]])

    [told] = count_warnings(work)
    assert (told.category, Path(told.filename)) == (TargetWarning, Path(__file__))
    assert str(told.message) == (
        "your own operation 'gaussian' is written in Python, so this runs as Python"
    )
    [step] = made
    assert step.target == "python"
    rows = [[-1.0], [0.0], [0.25], [2.0]]
    true, [partial] = mean_step(function, [0.5], rows)
    computed, [gradient] = step.value_and_grad([0.5], rows)
    assert computed == pytest.approx(true, rel=1e-12)
    assert gradient == pytest.approx(partial, rel=1e-12)
    with pytest.raises(ValueError, match="your own operation 'gaussian' is written in Python"):
        compile(loss, leaves[1:], leaves[:1], target="native")


def test_operations_of_ones_own_may_have_any_name() -> None:
    """Two of one name, and names that the source uses itself."""
    names = [
        *("own", "own", "run", "rows", "w", "x", "v1", "d_w", "loss", "sum_loss", "results", "inf"),
        *("number_of_rows", "parameters", "len", "m", "where", "round", "_", "p1"),
    ]
    w, x = Value(2.0, "w"), Value(3.0, "x")
    loss = w * x
    for factor, name in enumerate(names, 1):
        times = define(name, lambda a, k=factor: k * a, lambda m, out, a, k=factor: (float(k),))
        loss = loss + times(w * x) + w
    total = sum(range(1, len(names) + 1)) + 1
    step = compile(loss, [x], [w], target="python")
    computed, [gradient] = step.value_and_grad([2.0], [[3.0], [5.0]])
    assert computed == 8.0 * total + 2.0 * len(names)
    assert gradient == 4.0 * total + len(names)


def test_an_operation_of_three_operands_and_on_constants() -> None:
    fma = define("fma", lambda a, b, c: a * b + c, lambda m, out, a, b, c: (b, a, 1.0), arity=3)

    def function(w: Value, v: Value, x: Value) -> Value:
        return fma(w, x, v) * fma(Value(2.0), 3.0, Value(1.0)) + fma(w, w, w)

    step = compiled_step(function, [0.5, 2.0], [1.0], "python")
    true, partials = mean_step(function, [0.5, 2.0], [[3.0], [-1.0]])
    computed, gradient = step.value_and_grad([0.5, 2.0], [[3.0], [-1.0]])
    assert computed == pytest.approx(true, rel=1e-12)
    assert gradient.tolist() == pytest.approx(partials, rel=1e-12)


def test_an_error_in_a_rule_of_ones_own_is_the_users() -> None:
    def rule(m: Any, out: Any, x: Any) -> tuple[Any, ...]:
        if isinstance(x, float) and x > 100:
            raise ValueError("too far out")
        return (math.cos(x),)

    sine = define("sine", lambda x: math.sin(x), rule)
    w = Value(1.0)
    step = compile(sine(w), [], [w], target="python")
    assert step.value_and_grad([2.0])[1].tolist() == [math.cos(2.0)]
    with pytest.raises(ValueError, match="too far out"):
        step.value_and_grad([101.0])


# --- The source -----------------------------------------------------------------------------------


NEURON = """\
from microgrant.ops import FLOATS as m

sigmoid, tanh = m.sigmoid, m.tanh


def run(parameters, rows):
    w1, w2, b = parameters
    sum_loss = 0.0
    sum_d_b = 0.0
    sum_d_w2 = 0.0
    sum_d_w1 = 0.0
    for x1, x2, y in rows:
        # forward
        a = w1 * x1 + w2 * x2 + b
        out = tanh(a)
        v1 = out - y
        sum_loss += v1 * v1
        # backward
        d_v1 = 2.0 * v1
        v2 = 4.0 * sigmoid(2.0 * a) * sigmoid(-2.0 * a)
        d_a = v2 * d_v1
        sum_d_b += d_a
        sum_d_w2 += x2 * d_a
        sum_d_w1 += x1 * d_a
    number_of_rows = len(rows)
    loss = sum_loss / number_of_rows
    d_b = sum_d_b / number_of_rows
    d_w2 = sum_d_w2 / number_of_rows
    d_w1 = sum_d_w1 / number_of_rows
    return [loss, d_w1, d_w2, d_b]
"""


def neuron() -> SimpleNamespace:
    w1, w2, b = Value(0.5, "w1"), Value(-0.25, "w2"), Value(0.1, "b")
    x1, x2, y = Value(1.0, "x1"), Value(2.0, "x2"), Value(1.0, "y")
    a = w1 * x1 + w2 * x2 + b
    a.label = "a"
    out = a.tanh()
    out.label = "out"
    return SimpleNamespace(out=out, loss=(out - y) ** 2, inputs=[x1, x2, y], parameters=[w1, w2, b])


def test_the_source_of_a_neuron(target: str) -> None:
    given = neuron()
    step = compile(given.loss, given.inputs, given.parameters, target=target)
    assert step.source == NEURON


def test_the_source_of_a_predictor() -> None:
    given = neuron()
    predict = compile([given.out], given.inputs[:2], given.parameters, target="python")
    assert predict.source == (
        "from microgrant.ops import FLOATS as m\n"
        "\n"
        "tanh = m.tanh\n"
        "\n"
        "\n"
        "def run(parameters, rows):\n"
        "    w1, w2, b = parameters\n"
        "    results = []\n"
        "    for x1, x2 in rows:\n"
        "        a = w1 * x1 + w2 * x2 + b\n"
        "        out = tanh(a)\n"
        "        results.append([out])\n"
        "    return results\n"
    )


def test_the_source_runs_on_its_own(tmp_path: Path) -> None:
    """Written to a file, and imported by another program."""
    rng = random.Random(11)
    sources, expected = [], []
    for seed in range(6):
        case = random_case(seed, rows=4)
        step = compile(case.root, case.inputs, case.parameters, target="python")
        start = [p.data for p in case.parameters]
        loss, gradient = step.value_and_grad(start, case.rows)
        sources.append((step.source, start, case.rows))
        expected.append([loss, *gradient.tolist()])
    predict = compile([case.root, case.root * 2], case.inputs, case.parameters, target="python")
    sources.append((predict.source, start, case.rows))
    expected.append([list(row) for row in predict(case.rows)])
    rng.shuffle(sources[0][2])
    for place, (text, *arguments) in enumerate(sources):
        (tmp_path / f"source{place}.py").write_text(text, encoding="utf-8")
        (tmp_path / f"source{place}.json").write_text(json.dumps(arguments), encoding="utf-8")
    program = (
        f"import sys, json, importlib; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"for i in range({len(sources)}):\n"
        f"    arguments = json.load(open({str(tmp_path)!r} + f'/source{{i}}.json'))\n"
        "    print(json.dumps(importlib.import_module(f'source{i}').run(*arguments)))\n"
    )
    finished = run_alone(program)
    assert finished.stderr == ""
    found = [json.loads(text) for text in finished.stdout.splitlines()]
    assert found[1:] == expected[1:]
    assert found[0] == pytest.approx(expected[0], rel=1e-12)  # its rows in another order


LABELS = [
    *("len", "_", "__", "___", "__debug__", "inf", "nan", "m", "run", "rows", "results", "loss"),
    *("parameters", "number_of_rows", "sum_loss", "sum_d_w", "d_w", "d_x", "d_d_x", "v1", "p1"),
    *("x1", "tanh", "div", "sigmoid", "own", "where"),
    *("lambda", "None", "match", "print", "FLOATS", "", "w[0]", "two words", "1st", "µ", "μ", "ﬁ"),
    *("fi", "x", "x", "\U0001d422\U0001d41f", "naïve", "layers[0].w", "a'b\n", "#", '"""'),
]


def test_labels_may_be_anything(target: str) -> None:
    """Names of the source are never mixed up, and no label is code."""
    rng = random.Random(4)
    parameters = [Value(rng.uniform(0.5, 1), label) for label in LABELS]
    inputs = [Value(rng.uniform(0.5, 1), label) for label in LABELS]
    unused = [Value(1e9, label) for label in LABELS]

    def function(*leaves: Value) -> Value:
        total = Value(0.0)
        for label, w, x in zip(LABELS, leaves[: len(LABELS)], leaves[len(LABELS) :], strict=True):
            term = (w * x).tanh()
            term.label = label
            total = total * term + w / (x + 1)
        return total

    step = compile(function(*parameters, *inputs), inputs, [*unused, *parameters], target=target)
    rows = [[rng.uniform(0.5, 1) for _ in inputs] for _ in range(3)]
    start = [p.data for p in parameters]
    true, partials = mean_step(function, start, rows)
    computed, gradient = step.value_and_grad([*(u.data for u in unused), *start], rows)
    assert computed == pytest.approx(true, rel=1e-12)
    assert gradient.tolist()[: len(LABELS)] == [0.0] * len(LABELS)
    assert gradient.tolist()[len(LABELS) :] == pytest.approx(partials, rel=1e-12)
    names: dict[str, Any] = {}
    exec(step.source, names)
    assert names["run"]([*(u.data for u in unused), *start], rows)[0] == pytest.approx(true)


# --- Steps ----------------------------------------------------------------------------------------


def test_gradients_accumulate(target: str) -> None:
    given, step = line_step(target)
    _, once = true_line(0.5, -1.0, ROWS)
    step(ROWS)
    step(ROWS)
    assert [given.w.grad, given.b.grad] == pytest.approx([2 * x for x in once], rel=1e-12)
    given.w.grad, given.b.grad = None, 10.0  # None is what PyTorch sets gradients back to
    step(ROWS)
    assert [given.w.grad, given.b.grad] == pytest.approx([once[0], once[1] + 10.0], rel=1e-12)


def test_gradients_of_inputs_and_results_are_left_alone(target: str) -> None:
    given, step = line_step(target)
    given.loss.backward()
    before = [v.grad for v in microgrant.topological_order(given.loss)]
    given.w.grad = given.b.grad = 0.0
    step(ROWS)
    step.value_and_grad([1.0, 2.0], ROWS)
    after = [v.grad for v in microgrant.topological_order(given.loss)]
    changed = [a != b for a, b in zip(before, after, strict=True)]
    assert changed.count(True) == 2
    assert given.loss.data == pytest.approx(1.0)


def test_a_parameter_out_of_reach_gets_no_gradient(target: str) -> None:
    w, x, unused, beside, gone = (Value(float(i), f"p{i}") for i in range(1, 6))
    loss = w * x + where(beside > 0, 1.0, 2.0)
    gone * 2  # in a graph of its own
    given = [unused, w, beside, gone]
    step = compile(loss, [x], given, target=target)
    step([[3.0], [4.0]])
    assert w.grad == 3.5
    for p in (unused, beside, gone):
        assert p.grad is NO_GRADIENT
    assert step.value_and_grad([1.0, 2.0, 3.0, 4.0], [[3.0]])[1].tolist() == [0.0, 3.0, 0.0, 0.0]
    assert step.value_and_grad([1.0, 2.0, -3.0, 4.0], [[3.0]])[0] == 8.0
    unused.grad = 5.0
    gone.grad = None
    step([[3.0]])
    assert unused.grad == 5.0
    assert gone.grad is NO_GRADIENT


@pytest.mark.parametrize("seed", range(40))
def test_what_has_a_gradient_has_one_eagerly_too(seed: int) -> None:
    """Whether there is one does not depend on which branches the rows took, nor on zeros."""
    rng = random.Random(seed)
    program = random_choices(seed)
    inputs = sorted(rng.sample(range(len(program.leaves)), len(program.leaves) // 2))
    rows = rows_for(program, inputs, 2)
    compared, detached, nothing, gone, never, twice = more = [Value(float(i)) for i in range(6)]
    parameters = [Value(x) for x in program.leaves]

    def recorded(leaves: Sequence[Value]) -> Value:
        *_, early, late = carry_out(program, leaves)
        gone * 2  # in a graph of its own
        inner = where(late > 1e9, never * early, detach(detached) * late)
        return (
            where(compared > early, inner, late) + nothing * 0.0 + where(late >= late, twice, twice)
        )

    def with_gradient() -> list[bool]:
        found = [p.grad is not NO_GRADIENT for p in [*parameters, *more]]
        for p in [*parameters, *more]:
            p.grad = NO_GRADIENT
        return found

    for row in rows:
        leaves = [Value(row[i]) if i in inputs else p for i, p in enumerate(parameters)]
        recorded(leaves).backward()
    eager = with_gradient()
    assert eager[-6:] == [False, True, True, False, True, True]
    held = [p for i, p in enumerate(parameters) if i not in inputs]
    for target in TARGETS:
        columns = [Value(row[i]) for i in inputs]
        given = iter(columns)
        leaves = [next(given) if i in inputs else p for i, p in enumerate(parameters)]
        step = compile(recorded(leaves), columns, [*held, *more], target=target)
        step([[row[i] for i in inputs] for row in rows])
        assert with_gradient() == eager


def test_a_gradient_of_zero_is_a_gradient(target: str) -> None:
    w, x = Value(1.0), Value(-1.0)
    step = compile((w * x).relu(), [x], [w], target=target)
    step([[-1.0]])
    assert w.grad == 0.0
    assert w.grad is not NO_GRADIENT


def test_value_and_grad_touches_no_value(target: str) -> None:
    given, step = line_step(target)
    _, gradient = step.value_and_grad([3.0, 4.0], ROWS)
    assert gradient.tolist() == pytest.approx(true_line(3.0, 4.0, ROWS)[1], rel=1e-12)
    step.value(ROWS)
    assert [given.w.data, given.b.data] == [0.5, -1.0]
    assert given.w.grad is given.b.grad is NO_GRADIENT


def test_what_is_compiled_may_be_a_leaf(target: str) -> None:
    w, x = Value(3.0), Value(2.0)
    step = compile(w, [], [w], target=target)
    assert (step(), w.grad, step.value()) == (3.0, 1.0, 3.0)
    assert compile(x, [x], target=target)([[4.0], [6.0]]).tolist() == [4.0, 6.0]
    assert compile(Value(7.0), target=target)().tolist() == [7.0]


def test_an_input_may_turn_out_not_to_matter(target: str) -> None:
    w, x = Value(3.0), Value(2.0)
    chosen = where(Value(1.0) > 0, w * w, x)
    step = compile(chosen, [x], [w], target=target)
    assert (step([[nan], [1.0]]), w.grad) == (9.0, 6.0)
    assert compile(chosen, [x], [w], target=target).value_and_grad([2.0], [[nan]])[0] == 4.0
    both = compile([chosen, w], [x], [w], target=target)([[nan]] * 3)
    assert [[*row] for row in both] == [[9.0, 3.0]] * 3


def test_a_loss_without_inputs_in_part(target: str) -> None:
    """Regularisation: the mean over the rows of what is the same for all of them is itself."""

    def function(w: Value, v: Value, x: Value, y: Value) -> Value:
        return (w * x + v - y) ** 2 + 0.1 * (w * w + v.exp()) + (w * v).tanh() * x

    step = compiled_step(function, [0.5, 0.25], [1.0, 2.0], target)
    true, partials = mean_step(function, [0.5, 0.25], ROWS)
    computed, gradient = step.value_and_grad([0.5, 0.25], ROWS)
    assert computed == pytest.approx(true, rel=1e-12)
    assert gradient.tolist() == pytest.approx(partials, rel=1e-12)


def test_nan_and_inf_of_one_row_reach_the_mean(target: str) -> None:
    _, step = line_step(target)
    for bad in (nan, inf, -inf):
        loss, gradient = step.value_and_grad([0.5, -1.0], [[1.0, 2.0], [bad, 1.0], [0.0, 1.0]])
        true, partials = true_line(0.5, -1.0, [[1.0, 2.0], [bad, 1.0], [0.0, 1.0]])
        assert_close(loss, true)
        for computed, partial in zip(gradient.tolist(), partials, strict=True):
            assert_close(computed, partial)


def test_a_gradient_that_is_not_finite_stays_so(target: str) -> None:
    """At 0 the slope of the root is inf, and a row of 0 makes it nan in the engine."""
    step = compiled_step(lambda w, x: w.sqrt() * x, [1.0], [1.0], target)
    for rows in ([[0.0]], [[1.0]], [[0.0], [1.0]], [[1.0], [-1.0]]):
        assert not math.isfinite(mean_step(lambda w, x: w.sqrt() * x, [0.0], rows)[1][0])
        assert not math.isfinite(step.value_and_grad([0.0], rows)[1][0])


def test_a_network_learns_as_it_does_eagerly(target: str) -> None:
    rows = [[0.0, 0.0, -1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, -1.0]]
    compiled, eager = network([2, 4, 1]), network([2, 4, 1])
    first = 0.0
    step = compile(compiled.loss, compiled.inputs, compiled.parameters, target=target)
    for _ in range(20):
        mean_loss = step(rows)
        losses = [(1 - y * eager.model([a, b]).tanh()).relu() for a, b, y in rows]
        mean = sum(losses) / len(losses)
        mean.backward()
        assert mean_loss == pytest.approx(mean.data, rel=1e-12)
        for net in (compiled, eager):
            for p in net.parameters:
                p.data -= 0.3 * p.grad
                p.grad = 0.0
        first = first or mean_loss
    found, expected = ([p.data for p in net.parameters] for net in (compiled, eager))
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-13)
    assert mean_loss < first


def test_what_is_listed_may_be_any_iterable(target: str) -> None:
    given = line()
    step = compile(given.loss, iter(given.inputs), (p for p in given.parameters), target=target)
    assert step(ROWS) == pytest.approx(true_line(0.5, -1.0, ROWS)[0], rel=1e-12)
    assert (given.w.grad, given.b.grad) != (0.0, 0.0)
    predict = compile((x for x in (given.loss, given.w)), tuple(given.inputs), target=target)
    assert [len(row) for row in predict(ROWS)] == [2, 2, 2]
    assert compile(given.loss, dict.fromkeys(given.inputs), target=target)(ROWS).tolist()


def test_auto_is_native_where_llvmlite_is_installed() -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    given = line()
    assert compile(given.loss, given.inputs, given.parameters).target == "native"
    assert compile(given.loss, given.inputs).target == "native"
    assert compile(given.loss, given.inputs, target="python").target == "python"


# --- Predictors -----------------------------------------------------------------------------------


def test_the_shape_of_what_is_predicted(np: Any, target: str) -> None:
    given = line()
    outputs = [given.w * given.x, given.b, given.x, Value(7.0), given.y, given.x]
    expected = [[0.5 * x, -1.0, x, 7.0, y, x] for x, y in ROWS]
    many = compile(outputs, given.inputs, given.parameters, target=target)
    assert many(ROWS).shape == (3, 6)
    assert many(ROWS).tolist() == expected
    assert many(ROWS[:1]).shape == (1, 6)
    one_in_a_list = compile([outputs[0]], [given.x], target=target)([[1.0], [2.0]])
    assert (one_in_a_list.shape, one_in_a_list.tolist()) == ((2, 1), [[0.5], [1.0]])
    single = compile(outputs[0], [given.x], target=target)([[1.0], [2.0]])
    assert (single.shape, single.tolist()) == ((2,), [0.5, 1.0])
    twice = compile([given.loss, given.loss], given.inputs, target=target)
    assert [row[0] == row[1] for row in twice(ROWS).tolist()] == [True] * 3
    without_rows = compile([given.w * given.b, given.w], target=target)()
    assert (without_rows.shape, without_rows.tolist()) == ((1, 2), [[-0.5, 0.5]])


def test_a_predictor_reads_its_parameters_at_each_call(target: str) -> None:
    given = line()
    predict = compile([given.w * given.x + given.b], [given.x], given.parameters, target=target)
    assert [row[0] for row in predict([[2.0], [4.0]])] == [0.0, 1.0]
    given.w.data, given.b.data = 3.0, 1.0
    assert [row[0] for row in predict([[2.0], [4.0]])] == [7.0, 13.0]
    assert given.w.grad is NO_GRADIENT


def test_many_outputs(target: str) -> None:
    x, w = Value(1.0), Value(2.0)
    outputs = [x * (i + 1) + w for i in range(500)] + [Value(float(i)) for i in range(300)]
    predict = compile(outputs, [x], [w], target=target)
    for number, row in zip((1.0, -3.0, 0.5), predict([[1.0], [-3.0], [0.5]]), strict=True):
        assert list(row) == [*(number * (i + 1) + 2.0 for i in range(500)), *map(float, range(300))]


# --- Second derivatives ---------------------------------------------------------------------------


def gradient_penalty(w: Value, v: Value, x: Value, y: Value) -> Value:
    loss = ((w * x).tanh() * v - y) ** 2 + abs(w * x) + (x * v).relu() + (x * x + 1).log() * w
    return loss + 0.1 * grad(loss, x, create_graph=True) ** 2


def test_a_penalty_on_a_gradient(target: str) -> None:
    step = compiled_step(gradient_penalty, [0.5, -0.75], [1.0, 2.0], target)
    rows = [[0.5, 1.0], [-2.0, 0.0], [1.0, 3.0], [0.0, 0.0]]
    true, partials = mean_step(gradient_penalty, [0.5, -0.75], rows)
    computed, gradient = step.value_and_grad([0.5, -0.75], rows)
    assert computed == pytest.approx(true, rel=1e-12)
    assert gradient.tolist() == pytest.approx(partials, rel=1e-11)


def test_a_hessian_as_a_predictor(target: str) -> None:
    x = [Value(0.5), Value(-1.0)]

    def hessian(a: Value, b: Value) -> list[Value]:
        first = grad((a * b).exp() + a**3 * b.sin(), [a, b], create_graph=True)
        return [second for f in first for second in grad(f, [a, b], create_graph=True)]

    predict = compile(hessian(*x), x, target=target)
    for row, found in zip(ROWS, predict(ROWS), strict=True):
        true = [second.data for second in hessian(*map(Value, row))]
        assert list(found) == pytest.approx(true, rel=1e-12, abs=1e-14)


# --- Large graphs ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_chain_of_20_000_operations(target: str) -> None:
    def chain(p: Value, x: Value) -> Value:
        y = x * p
        for _ in range(10_000):
            y = y * 0.9999 + p
        return y

    step = compiled_step(chain, [1.5], [0.5], target)
    rows = [[0.5], [-0.25], [3.0]]
    true, [partial] = mean_step(chain, [1.5], rows)
    loss, [computed] = step.value_and_grad([1.5], rows)
    assert loss == pytest.approx(true, rel=1e-12)
    assert computed == pytest.approx(partial, rel=1e-12)


@pytest.mark.campaign
def test_a_network_of_15_000_nodes(target: str) -> None:
    net = network([16, 64, 64, 1], "linear")
    step = compile(net.loss, net.inputs, net.parameters, target=target)
    rng = random.Random(8)
    rows = [[*(rng.gauss(0, 1) for _ in range(16)), rng.choice((-1.0, 1.0))] for _ in range(5)]
    start = [p.data for p in net.parameters]
    loss, gradient = step.value_and_grad(start, rows)
    losses = [(1 - row[-1] * net.model(row[:-1])).relu() for row in rows]
    mean = sum(losses) / len(losses)
    assert loss == pytest.approx(mean.data, rel=1e-12)
    assert gradient.tolist() == pytest.approx(grad(mean, net.parameters), rel=1e-11, abs=1e-14)


# --- Memory ---------------------------------------------------------------------------------------


def test_steps_leave_no_memory_behind(target: str) -> None:
    """A step goes at once when nobody holds it, and its machine code and its graph with it."""
    gc.collect()
    gc.disable()
    try:
        gone: list[weakref.ref[Any]] = []
        for i in range(50 if target == "python" else 10):
            given, step = line_step(target)
            step(ROWS)
            step.value(ROWS)
            gone.append(weakref.ref(step))
            # A Value has no weak references; its subclass does.
            gone.append(weakref.ref(step._run))
            if i % 5 == 0:
                gone.append(weakref.ref(getattr(step._run, "engine", step)))
            del given, step
        assert [x() for x in gone] == [None] * len(gone)
    finally:
        gc.enable()


def test_a_compiled_graph_is_let_go_with_its_step(target: str) -> None:
    gc.collect()
    gc.disable()
    try:
        w, x = Value(1.0), Value(2.0)
        step = compile((w * x).tanh(), [x], [w], target=target)
        step([[1.0]])
        gone = [weakref.ref(w), weakref.ref(x)]
        del w, x, step
        assert [x() for x in gone] == [None, None]
    finally:
        gc.enable()
