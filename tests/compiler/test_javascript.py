"""Steps compiled for pages: their JavaScript computes what Python does, and stands on its own.

Many programs are run in one go, by Node or in Chromium. To call a step from Python takes Node.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import shutil
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
from graphs import differentiate, random_program
from test_edge_cases import POINTS
from test_native import (
    CHOICES,
    ENTRIES,
    LABELS,
    LEAST,
    assert_close,
    line_step,
    mean_step,
    neuron,
    points,
    random_case,
)

from microgrant import Predictor, Step, Value, apply, compile, define
from microgrant.compiler.source import KEYWORDS
from microgrant.extras import in_browser
from microgrant.losses import mean_squared_error
from microgrant.nn import MLP
from microgrant.ops import FLOATS, elu, leaky_relu
from microgrant.ops.table import DETACH
from microgrant.training import fit
from tests.graphs import MICROGRANT, run
from tests.views.conftest import chromium  # noqa: F401  (where there is no Node)

nan = math.nan

Rows: TypeAlias = Sequence[Sequence[float]]
Call: TypeAlias = tuple[Sequence[float], Rows]
"""What a program is called with: parameters and rows."""
Run: TypeAlias = Callable[[Sequence[str], Sequence[Sequence[Call]]], list[list[list[float]]]]

# What JSON cannot write comes as text.
HARNESS = """
const written = (x) => Object.is(x, -0) ? "-0" : String(x);
return sources.map((source, i) => {
  const run = new Function(`"use strict"; ${source} return run;`)();
  return calls[i].map((call) => run(...call).flat().map(written));
});
"""


@pytest.fixture
def run_all(returned: Callable[[str], Any]) -> Run:
    """What programs return for each of their calls, in one list of numbers."""

    def run_all(sources: Sequence[str], calls: Sequence[Sequence[Call]]) -> list[list[list[float]]]:
        # nan, inf and -0.0 are written as JavaScript does.
        given = f"const sources = {json.dumps(sources)}, calls = {json.dumps(calls)};"
        results = returned(given + HARNESS)
        return [
            [[float(x.replace("Infinity", "inf")) for x in numbers] for numbers in of_program]
            for of_program in results
        ]

    return run_all


def source_of(
    outputs: Any, inputs: Sequence[Value] = (), parameters: Sequence[Value] | None = None
) -> str:
    """What a page would bring along: nothing in it ends a script, or is a comment of HTML's."""
    made: Step | Predictor = compile(outputs, inputs, parameters, target="javascript")  # type: ignore[call-overload]
    assert made.target == "javascript"
    assert not re.search("</|<!--|-->", made.source)
    return made.source


# --- Every operation ------------------------------------------------------------------------------

ALL = [*ENTRIES, leaky_relu(0.01), elu(1.5), DETACH]


def test_every_operation_at_every_edge(run_all: Run) -> None:
    """Its value, and its derivatives: by an input, and by a parameter, which is known sooner."""
    sources, calls = [], []
    for entry in ALL:
        inputs, parameters = ([Value(x) for _ in entry.domain] for x in (0.3, -0.0))
        # x + -0.0 is x, whatever x is: so each input has a parameter that gets its gradient.
        sums = [x + p for x, p in zip(inputs, parameters, strict=True)]
        sources.append(source_of(apply(entry, *sums), inputs, parameters))
        sources.append(source_of(apply(entry, *parameters), [], parameters))
        sources.append(source_of([apply(entry, *inputs)], inputs))
        calls.append([([-0.0] * entry.arity, [point]) for point in points(entry)])
        calls.append([(point, [[]]) for point in points(entry)])
        calls.append([([], points(entry))])
    results = iter(run_all(sources, calls))
    for entry in ALL:
        by_input, by_parameter, [predicted] = itertools.islice(results, 3)
        for point, x, y, z in zip(points(entry), by_input, by_parameter, predicted, strict=True):
            value = entry.forward(*point)
            true = (value, *entry.partials(FLOATS, value, *point))
            for numbers in (x, y, [z, *true[1:]]):
                for computed, exact in zip(numbers, true, strict=True):
                    assert_close(computed, exact, context=(entry, point))
            if value == 0:
                assert math.copysign(1.0, z) == math.copysign(1.0, value), (entry, point)


def test_the_table_of_edges(run_all: Run) -> None:
    """Recorded elsewhere, and so on the other branch of a choice, a step has the edge as well."""
    sources = []
    for _, function, point, *_ in POINTS:
        leaves = [Value(0.25 + i) for i in range(len(point))]
        sources.append(source_of(function(*leaves), [], leaves))
    results = run_all(sources, [[(point, [[]])] for _, _, point, *_ in POINTS])
    for (name, _, _, *true), [numbers] in zip(POINTS, results, strict=True):
        value, derivatives = true
        for computed, exact in zip(numbers, (value, *derivatives), strict=True):
            assert_close(computed, exact, context=name)


def test_each_row_takes_its_own_branch(run_all: Run) -> None:
    rows = [[x] for x in (0.0, -0.0, 0.5, -0.5, 0.75, 2.0, -2.0, 1.0, -1.0, 5.0, -7.0, nan)]
    cases = list(itertools.product(CHOICES, (0.75, -2.0)))
    sources = []
    for (_, function), recorded_at in cases:
        w, x = Value(0.5, "w"), Value(recorded_at, "x")
        sources.append(source_of(function(w, x), [x], [w]))
    calls = [([w], [row]) for w in (0.5, -1.0) for row in rows]
    results = run_all(sources, [calls] * len(sources))
    for ((name, function), _), found in zip(cases, results, strict=True):
        for call, (loss, gradient) in zip(calls, found, strict=True):
            mean, [partial] = mean_step(function, *call)
            assert_close(loss, mean, context=(name, call))
            assert_close(gradient, partial, context=(name, call))


# --- Random graphs, and a training ----------------------------------------------------------------


@pytest.mark.slow
def test_500_random_graphs(run_all: Run) -> None:
    """Every second leaf is an input."""
    programs = [random_program(seed) for seed in range(500)]
    sources, calls = [], []
    for program in programs:
        leaves = [Value(x) for x in program.leaves]
        root = run(program, leaves, MICROGRANT)[-1]
        sources.append(source_of(root, leaves[1::2], leaves[::2]))
        calls.append([(program.leaves[::2], [program.leaves[1::2]])])
    for program, [[loss, *gradient]] in zip(programs, run_all(sources, calls), strict=True):
        eager = differentiate(program)
        assert_close(loss, eager.data[-1], max(1.0, abs(eager.data[-1])), program)
        truth = zip(gradient, eager.grads[::2], eager.scales[::2], strict=True)
        for computed, partial, scale in truth:
            assert_close(computed, partial, max(LEAST, scale), program)


def test_random_graphs_that_choose_in_every_row(run_all: Run) -> None:
    cases = [random_case(seed, rows=4) for seed in range(60)]
    sources = [source_of(case.root, case.inputs, case.parameters) for case in cases]
    sources += [source_of([x.root, x.root * 2.0], x.inputs, x.parameters) for x in cases]
    calls = [[([p.data for p in case.parameters], case.rows)] for case in cases]
    results = iter(run_all(sources, calls * 2))
    for case, [[loss, *gradient]] in zip(cases, itertools.islice(results, len(cases)), strict=True):
        mean, scale = (sum(f(x.data) for x in case.eager) / 4 for f in (float, abs))
        assert_close(loss, mean, max(1.0, scale), case.program)
        for place, computed in zip(case.places, gradient, strict=True):
            mean = sum(x.grads[place] for x in case.eager) / 4
            scale = sum(x.scales[place] for x in case.eager) / 4
            assert_close(computed, mean, max(LEAST, scale), case.program)
    for case, [predicted] in zip(cases, results, strict=True):
        true = [x for eager in case.eager for x in (eager.data, 2.0 * eager.data)]
        for computed, exact in zip(predicted, true, strict=True):
            assert_close(computed, exact, max(1.0, abs(exact)), case.program)


TRAINING = """
const train = new Function(`"use strict"; ${source} return run;`)();
for (let update = 0; update < updates; update++) {
  const start = update * size % rows.length;
  const [loss, ...gradients] = train(parameters, rows.slice(start, start + size));
  gradients.forEach((gradient, i) => { parameters[i] -= rate * gradient; });
}
return parameters;
"""
XOR = [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize("size", [4, 2])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sigmoid"])
def test_xor_after_1000_updates(activation: str, size: int, returned: Callable[[str], Any]) -> None:
    """By plain gradient descent there and here: over all rows, or over batches of two."""
    random.seed(3)
    model = MLP(2, [2, 1], activation=activation)
    inputs = [Value(0.0), Value(0.0), Value(0.0)]
    loss = (model(inputs[:2]) - inputs[2]) ** 2
    start = [p.data for p in model.parameters()]
    given = {"source": source_of(loss, inputs, model.parameters()), "parameters": start}
    given |= {"rows": XOR, "size": size, "rate": 0.1, "updates": 1_000}
    names = ", ".join(given)
    found = returned(f"const {{{names}}} = {json.dumps(given)};{TRAINING}")
    step = compile(loss, inputs, model.parameters(), target="python")
    for update in range(1_000):
        begin = update * size % 4
        _, gradient = step.value_and_grad(start, XOR[begin : begin + size])
        start = [x - 0.1 * dx for x, dx in zip(start, gradient.tolist(), strict=True)]
    assert found == pytest.approx(start, rel=1e-12, abs=1e-12)
    assert found != pytest.approx([p.data for p in model.parameters()], rel=0.01)


# --- The text -------------------------------------------------------------------------------------

NEURON = """\
const sigmoid = (x0) => (x0 >= 0 ? 1 / (1 + Math.exp(-x0)) : Math.exp(x0) / (1 + Math.exp(x0)));
const tanh = (x0) => Math.tanh(x0);

function run(parameters, rows) {
    const [w1, w2, b] = parameters;
    let sum_loss = 0;
    let sum_d_b = 0;
    let sum_d_w2 = 0;
    let sum_d_w1 = 0;
    for (const [x1, x2, y] of rows) {
        // forward
        const a = w1 * x1 + w2 * x2 + b;
        const out = tanh(a);
        const v1 = out - y;
        sum_loss += v1 * v1;
        // backward
        const d_v1 = 2.0 * v1;
        const v2 = 4.0 * sigmoid(2.0 * a) * sigmoid((-2.0) * a);
        const d_a = v2 * d_v1;
        sum_d_b += d_a;
        sum_d_w2 += x2 * d_a;
        sum_d_w1 += x1 * d_a;
    }
    const number_of_rows = rows.length;
    const loss = sum_loss / number_of_rows;
    const d_b = sum_d_b / number_of_rows;
    const d_w2 = sum_d_w2 / number_of_rows;
    const d_w1 = sum_d_w1 / number_of_rows;
    return [loss, d_w1, d_w2, d_b];
}
"""


def test_the_source_of_a_neuron() -> None:
    given = neuron()
    assert source_of(given.loss, given.inputs, given.parameters) == NEURON


def test_the_source_of_a_predictor() -> None:
    w, unused, x = Value(2.0, "w"), Value(0.0, "unused"), Value(3.0, "x")
    assert source_of([w * x, x], [x], [unused, w]) == (
        "function run(parameters, rows) {\n"
        "    const [, w] = parameters;\n"
        "    const results = [];\n"
        "    for (const [x] of rows) {\n"
        "        const v1 = w * x;\n"
        "        results.push([v1, x]);\n"
        "    }\n"
        "    return results;\n"
        "}\n"
    )


def test_what_javascript_lacks_comes_along_where_it_is_called() -> None:
    x = Value(0.5)
    for name in ("erf", "erfc", "gelu", "normal_cdf"):
        assert source_of(MICROGRANT[name](x), [x]).count("function erfc(x)") == 1
    assert "erf" not in source_of(x.tanh(), [x])


def test_labels_may_be_anything(run_all: Run) -> None:
    """Words of the language among them, and the names of what the text calls."""
    labels = [
        *LABELS,
        *KEYWORDS.split(),
        "Math",
        "Number",
        "exp",
        "erf",
        "async",
        "of",
        "constructor",
    ]
    leaves = [Value(1.0 + i / 100, label) for i, label in enumerate(labels)]
    inputs = [Value(0.5, label) for label in labels]
    total = Value(0.0)
    for w, x in zip(leaves, inputs, strict=True):
        term = (w * x).tanh()
        term.label = w.label
        total = total * term + w / (x + 1.0)
    row, start = [x.data for x in inputs], [w.data for w in leaves]
    expected = compile(total, inputs, leaves, target="python").value_and_grad(start, [row])
    [[[loss, *gradient]]] = run_all([source_of(total, inputs, leaves)], [[(start, [row])]])
    assert loss == pytest.approx(expected[0], rel=1e-12)
    assert gradient == pytest.approx(expected[1].tolist(), rel=1e-12)


# --- Operations of one's own ----------------------------------------------------------------------


def cube(x: Value, spelling: dict[str, str], rule: Any = lambda m, out, x: (3.0 * x * x,)) -> Value:
    return define("cube", lambda x: x * x * x, rule, spelling=spelling)(x)


def test_an_operation_of_ones_own_is_its_spelling(run_all: Run) -> None:
    w, x = Value(2.0, "cube"), Value(3.0, "x")
    loss = cube(w * x, {"javascript": "{0} * {0} * {0}"})
    source = source_of(loss, [x], [w])
    assert "const cube = (x0) => x0 * x0 * x0;" in source
    assert run_all([source], [[([2.0], [[3.0], [1.0]])]]) == [[[(216.0 + 8.0) / 2, (324 + 12) / 2]]]


def float_rule(m: Any, out: float, x: float) -> tuple[float]:
    return (3.0 * math.pow(x, 2.0),)


@pytest.mark.parametrize(
    ("spelling", "rule", "which"),
    [({}, None, "'cube'"), ({"javascript": "{0} ** 3"}, float_rule, "'cube_partial_0'")],
)
def test_an_operation_of_ones_own_needs_one(
    spelling: dict[str, str], rule: Any, which: str
) -> None:
    w = Value(2.0, "w")
    loss = cube(w, spelling, rule) if rule else cube(w, spelling)
    words = f'your own operation {which} is written in Python, without "javascript" in its spelling'
    with pytest.raises(ValueError, match=words):
        compile(loss, [], [w], target="javascript")


# --- Called from Python ---------------------------------------------------------------------------


def test_a_step_runs_here_by_node(runs_here: Callable[[str], None]) -> None:
    runs_here("javascript")
    given, step = line_step("javascript")
    mean = step([[2.0, 1.0], [0.0, -1.0]])
    assert (mean, given.w.grad, given.b.grad) == (0.5, -2.0, -1.0)
    predict = compile([given.w / given.x, given.x], given.inputs[:1], target="javascript")
    rows = [[*map(float, row)] for row in predict([[-0.0], [nan], [4.0]])]
    assert str(rows) == "[[-inf, -0.0], [nan, nan], [0.125, 4.0]]"


def test_a_training_runs_here_by_node(runs_here: Callable[[str], None]) -> None:
    runs_here("javascript")
    found = []
    for target in ("javascript", "python"):
        random.seed(5)
        model = MLP(2, [2, 1])
        data = [row[:2] for row in XOR], [row[2] for row in XOR]
        history = fit(model, mean_squared_error, data, epochs=2, target=target)
        assert history.target == target
        found.append([p.data for p in model.parameters()])
    assert found[0] == pytest.approx(found[1], rel=1e-12)


@pytest.mark.skipif(in_browser(), reason="a browser needs no Node")
def test_without_node_there_is_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    _, step = line_step("javascript")
    assert step.source.startswith("function run(parameters, rows) {")
    with pytest.raises(FileNotFoundError, match="Node, which runs JavaScript here, is not install"):
        step([[1.0, 2.0]])
