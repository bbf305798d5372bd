"""The page's JavaScript without a page: numbers, recomputing and sentences are Python's."""

from __future__ import annotations

import json
import math
import random
import re
import struct
from collections.abc import Callable
from importlib.resources import files
from itertools import product
from typing import Any, TypeAlias

import pytest

from microgrant import Value, define, explain
from microgrant.ops.numbers import number
from microgrant.views import MISTAKES, Contribution, Forward, Given, Record, Seed, record
from microgrant.views.graph import Graph
from microgrant.views.player import page
from microgrant.views.player.document import PLAYER, bare
from tests.graphs import random_program
from tests.views.test_player import (
    NUMBERS,
    chosen,
    doubled,
    network,
    neuron,
    program_root,
    read,
    same,
)

FOLDER = files("microgrant.views.player")
PURE = ("numbers.js", "recompute.js", "training.js", "sentences.js")

Runner: TypeAlias = Callable[..., Any]


def source(name: str) -> str:
    return FOLDER.joinpath(name).read_text(encoding="utf-8")


@pytest.fixture
def javascript(returned: Callable[[str], Any]) -> Runner:
    """Runs the body of a function after the files that know no page; gives back what it returns.

    What it is given, and returns, is what JSON can write.
    """
    library = "\n".join(map(source, PURE))

    def run(body: str, given: Any = None) -> Any:
        return returned(f'"use strict";\n{library}\nconst given = {json.dumps(given)};\n{body}')

    return run


# `given` holds what a page brings along; `told` runs the step and says all that is known of it.
GRAPH = """
(0, eval)("globalThis.window ??= globalThis;" + given.operations);
const graph = readGraph(JSON.parse(given.data), window.operations);
const told = (changes = [], mistake = null) => {
  const step = run(graph, new Map(changes.map(([i, x]) => [i, Number(x)])), mistake);
  const text = (x) => (x === null ? null : String(x));
  const numbers = ["upstream", "local", "contribution", "before", "after"];
  return {
    values: step.values.map(String),
    gradients: step.gradients.map(String),
    events: step.events.map((event) => [
      event.kind, event.node ?? null, event.operand ?? null, numbers.map((key) => text(event[key])),
    ]),
    reached: [0, ...step.events.map((_, i) => i + 1)].map((when) =>
      graph.names.map((_, i) => text(gradientAt(graph, step, i, when)))),
    lines: step.events.map((_, i) => plain(sentence(graph, step, i + 1))),
  };
};
"""


def graph_of(root: Value, **rest: Any) -> dict[str, Any]:
    """What a page brings along about its graph, for `GRAPH`."""
    document = page(root)
    data = re.search('<script type="application/json" id="step-data">(.*)</script>', document)
    operations = re.search("<script>(.*?window.operations.*?)</script>", document, re.DOTALL)
    assert data
    assert operations
    return {"data": data[1], "operations": operations[1]} | rest


def as_javascript(x: float) -> str:
    return str(x).replace("inf", "Infinity").replace("nan", "NaN")


# --- The files ------------------------------------------------------------------------------------


def test_every_file_is_joined_and_says_what_it_is_for() -> None:
    scripts = sorted(x.name for x in FOLDER.iterdir() if x.name.endswith(".js"))
    assert sorted(PLAYER) == scripts
    assert PLAYER[: len(PURE)] == PURE
    assert all(source(name).startswith("/* ") for name in PLAYER)


def test_the_page_holds_one_program() -> None:
    document = page(neuron())
    assert all(document.count(bare(source(name))) == 1 for name in PLAYER)
    assert document.count("<script") == 3  # data, operations, the player
    assert document.count("'sha256-") == 5  # three style sheets, operations, the player


@pytest.mark.parametrize("name", PURE)
def test_what_computes_and_speaks_knows_no_page(name: str) -> None:
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", source(name), flags=re.DOTALL)
    assert not re.findall(r"\b(?:document|window|state|at|location|localStorage)\b[.(]", code)


# --- Numbers --------------------------------------------------------------------------------------


def many_numbers() -> list[float]:
    rng = random.Random(2)
    found = [float(x) for x in NUMBERS]
    found += [rng.uniform(-10, 10) * 10 ** rng.randint(-12, 12) for _ in range(3000)]
    found += [rng.randint(0, 2**24) / 2 ** rng.randint(0, 12) for _ in range(3000)]  # many ties
    found += [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(3000)]  # of any size
    return found


def test_numbers_are_printed_as_in_python(javascript: Runner) -> None:
    numbers = many_numbers()
    given = list(map(as_javascript, numbers))
    written = javascript("return given.map((x) => number(Number(x)))", given)
    assert written == list(map(number, numbers))


def test_all_digits_come_back_when_they_are_typed(javascript: Runner) -> None:
    numbers = [x for x in many_numbers() if x == x]
    given = list(map(as_javascript, numbers))
    written = javascript("return given.map((x) => full(Number(x)))", given)
    assert not any("-" in text for text in written)
    assert [float(text.replace("−", "-")) for text in written] == numbers
    assert list(map(read, javascript("return given.map(typed).map(String)", written))) == numbers
    assert javascript("return [full(NaN), String(typed('nan')), full(-0)]") == ["nan", "NaN", "−0"]


REFUSED = {
    "1,000": "Thousands or decimals?",
    "1.000,5": "Thousands or decimals?",
    "1e999": "beyond the largest number",
    "two": "Write a number",
    "": "Write a number",
    "1/0": "Write a number",
}


def test_what_is_no_number_is_refused_with_a_reason(javascript: Runner) -> None:
    refused = javascript("return given.map((x) => [typed(x), refusal(x)])", list(REFUSED))
    for (value, said), reason in zip(refused, REFUSED.values(), strict=True):
        assert value is None
        assert reason in said


# --- A quiz ---------------------------------------------------------------------------------------


def test_a_guess_is_read_as_people_type(javascript: Runner) -> None:
    texts = ["1.5", "1,5", "-6", "−6", "+6", " 1e-3 ", "1e−3", "1/3", "-1,5/2", "0,125", "∞", "-∞"]
    texts += ["inf", "nan", ",5"]
    numbers = [1.5, 1.5, -6, -6, 6, 1e-3, 1e-3, 1 / 3, -0.75, 0.125, math.inf, -math.inf]
    numbers += [math.inf, math.nan, 0.5]
    read_as = [read(x) for x in javascript("return given.map(typed).map(String)", texts)]
    assert all(map(same, read_as, numbers)), read_as
    assert (
        javascript("return given.map(typed)", ["0,000,000", "1,125", "∞∞", "−", "/2"]) == [None] * 5
    )


QUIZ = GRAPH + source("quiz.js") + "const step = run(graph, new Map(), given.mistake);"


def test_what_is_right_in_a_quiz(javascript: Runner) -> None:
    a, b = Value(0.1, label="a"), Value(0.2, label="b")
    rest = a + b - 0.3  # by hand 0, in binary 5.6e-17
    large = (Value(100.04, label="c") * 7).log()
    root = rest * large + (Value(math.inf, label="d") - 1) * 0.0
    step = record(root)
    asked = [event for event in step if not isinstance(event, Given)]
    code = QUIZ + "return given.guesses.map(([at, x]) => judged(graph, step, at, typed(x)))"
    right = []
    for count in range(2, len(asked) + 2):
        event = step.events[count - 1]
        forward = isinstance(event, Forward)
        result = step.nodes[event.node].value if forward else getattr(event, "after", 1.0)
        right += [(count, number(result))]
        if result and math.isfinite(result):
            right += [(count, number(result * 1.009))]
    assert javascript(code, graph_of(root, guesses=right)) == [""] * len(right)
    wrong = [(count, "−12345") for count, _ in right]
    assert all(javascript(code, graph_of(root, guesses=wrong)))
    small = [isinstance(x, Forward) and 0 < step.nodes[x.node].value < 1e-9 for x in step]
    place = small.index(True) + 1
    assert javascript(code, graph_of(root, guesses=[(place, "0"), (place, "0.1")])) == [
        "",
        "Wrong: it is not 0.1.",
    ]


@pytest.mark.parametrize("mistake", [None, *MISTAKES])
@pytest.mark.parametrize("seed", range(4))
def test_every_step_can_be_asked_and_hinted_at(
    javascript: Runner, seed: int, mistake: str | None
) -> None:
    root = program_root(random_program(seed))
    code = (
        QUIZ
        + """
return step.events.slice(1).map((event, i) => [
  judged(graph, step, i + 2, typed(number(event.after ?? step.values[event.node]))),
  judged(graph, step, i + 2, 12345.678), hint(graph, step, i + 2)]);"""
    )
    for right, wrong, hint in javascript(code, graph_of(root, mistake=mistake)):
        assert right == ""
        assert wrong.startswith("Wrong: ")
        assert re.search(r"(\.|\?)$", hint)
        assert not re.search("[\ue000-\uf8ff]|undefined|null", hint)


def test_an_operation_misspelled_in_javascript_is_not_believed(javascript: Runner) -> None:
    cube = define(
        "cube",
        lambda x: x**3,
        lambda m, out, x: (3 * x * x,),
        spelling={"javascript": "{0} * {0}"},
    )
    code = QUIZ + "return given.guesses.map((x) => judged(graph, step, 2, x))"
    told = javascript(code, graph_of(cube(Value(3.0, label="x")), guesses=[27, 9]))
    assert told == ["", "Wrong: it is not 9."]


def test_a_wrong_guess_is_told_why(javascript: Runner) -> None:
    code = (
        QUIZ
        + "return given.guesses.map((x) => judged(graph, step, graph.forwardSteps + 3, typed(x)))"
    )
    guesses = ["2", "-2", "1", "9", "inf", "nan"]
    told = javascript(code, graph_of(doubled(), guesses=guesses))
    assert told == [
        "",
        "Wrong: look at the sign.",
        "Wrong: that much arrives, and 1 was there before.",
        "Wrong: it is not 9.",
        "Wrong: it is not inf.",
        "Wrong: it is not nan.",
    ]


def test_hints(javascript: Runner) -> None:
    code = QUIZ + "return step.events.slice(1).map((_, i) => hint(graph, step, i + 2))"
    told = javascript(code, graph_of(neuron()))
    assert told[:4] == [
        "2 × −3 is negative, its size from 1 to 10.",
        "0 × 1 is neither positive nor negative.",
        "−6 + 0 is negative, its size from 1 to 10.",
        "−6 + 6.881 is positive, its size from 0.1 to 1.",
    ]
    assert told[5:8] == [
        "How fast does o change with o itself?",
        "tanh: the derivative by v4 is 1 − o² = 0.5. So 1 × 0.5, added to 0.",
        "+ copies the gradient: the derivative by v3 is 1. So 0.5 × 1, added to 0.",
    ]
    assert "× swaps: the derivative by x1 is w1 = −3. So 0.5 × −3, added to 0." in told
    x = Value(3.0, label="x")
    told = javascript(code, graph_of(-(x**2 - 1) + x**-0.5))
    for begin in (
        "^2: the derivative by x is 2 × x = 6. So −1 × 6, ",
        "^−0.5: the derivative by x ",
    ):
        assert any(hint.startswith(begin) for hint in told)
    assert sum("turns the sign: the derivative by " in hint for hint in told) == 2
    told = javascript(code, graph_of(doubled(), mistake="overwrite"))
    assert told[-1].endswith("So 1 × 1, in place of what was there.")


def test_a_count_at_the_end(javascript: Runner) -> None:
    code = source("quiz.js") + "return given.map(([outcomes, n]) => tally(outcomes, n))"
    given = [
        [["first"] * 7 + ["hint"] * 2 + ["later"] + ["shown"] * 2, 12],
        [["first"], 1],
        [["shown"], 3],
    ]
    assert javascript(code, given) == [
        "7 of 12 right at the first try, 2 with a hint, 1 at a later try, 2 shown.",
        "1 of 1 right at the first try.",
        "0 of 3 right at the first try, 1 shown, 2 left out.",
    ]


# --- The step, computed and told ------------------------------------------------------------------

LATEX = (
    GRAPH
    + """
const step = run(graph, new Map(given.changes.map(([i, x]) => [i, Number(x)])), given.mistake);
return step.events.map((_, i) => latex(graph, step, i + 1));
"""
)


def check_latex(javascript: Runner, page: Value, root: Value, mistake: str | None = None) -> None:
    """The equations of a page in which the values of `root` are set, are those of Python."""
    step = explain(root, mistake=mistake)
    changes = [
        (place, as_javascript(node.value))
        for place, node in enumerate(step.nodes)
        if not node.operation
    ]
    lines = javascript(LATEX, graph_of(page, changes=changes, mistake=mistake))
    told = [
        line
        for line, event in zip(lines, step, strict=True)
        if isinstance(event, Seed)
        or (isinstance(event, Contribution) and not step.about_constant(event))
        or (isinstance(event, Forward) and step.nodes[event.node].operation)
    ]
    right = [line.strip().removesuffix(r" \\") for line in step.latex().splitlines()[1:-1]]
    assert told == [line.replace(" &", " ", 1) for line in right[-len(told) :]]


@pytest.mark.parametrize("mistake", [None, *MISTAKES])
def test_latex_is_that_of_python(javascript: Runner, mistake: str | None) -> None:
    for make in (neuron, doubled, lambda: chosen(2.0), lambda: chosen(-1.5)):
        check_latex(javascript, make(), make(), mistake)


@pytest.mark.parametrize("seed", range(3))
def test_latex_of_random_graphs(javascript: Runner, seed: int) -> None:
    program = random_program(seed)
    check_latex(javascript, program_root(program), program_root(program))
    leaves = [-1e-5 * x if i % 2 else 3e7 * x for i, x in enumerate(program.leaves)]
    check_latex(javascript, program_root(program), program_root(program, leaves))


TOLD = GRAPH + "return given.cases.map((each) => told(...each));"


def check_told(told: dict[str, Any], step: Record) -> None:
    """Every number and every word is the record's."""
    values = [node.value for node in step.nodes]
    assert all(map(same, map(read, told["values"]), values))
    assert told["lines"] == [step.line(count) for count in range(1, len(step) + 1)]
    for (kind, node, operand, numbers), event in zip(told["events"], step, strict=True):
        assert (kind == "backward") == isinstance(event, Contribution)
        assert node == (None if isinstance(event, Given) else event.node)
        if isinstance(event, Contribution):
            assert operand == event.operand
            right = (event.upstream, event.local, event.contribution, event.before, event.after)
            assert all(map(same, map(read, numbers), right))
    for when, reached in enumerate(told["reached"]):
        assert all(map(same, map(read, reached), step.state(when)[1])), when


def check_every_mistake(javascript: Runner, root: Value) -> None:
    given = graph_of(root, cases=[[[], None], *([[], mistake] for mistake in MISTAKES)])
    names = dict(zip(json.loads(given["data"])["names"], Graph(root).order, strict=True))
    for told, mistake in zip(javascript(TOLD, given), (None, *MISTAKES), strict=True):
        check_told(told, record(root, names, mistake))


def detached() -> Value:
    """What arrives at the detached is infinite, and nothing of it may go on."""
    x, y = Value(0.0, "x"), Value(2.0, "y")
    return x.detach().sqrt() + x * y


def called_detach() -> Value:
    """An operation of one's own that only has the symbol of ours."""
    half = define("half", lambda x: x / 2, lambda m, out, x: (0.5,), symbol="detach")
    x = Value(3.0, "x")
    return half(x) * x


@pytest.mark.parametrize("make", [neuron, doubled, detached, called_detach, lambda: network(3, 1)])
def test_steps(javascript: Runner, make: Callable[[], Value]) -> None:
    check_every_mistake(javascript, make())


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs(javascript: Runner, seed: int) -> None:
    check_every_mistake(javascript, program_root(random_program(seed)))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 200))
def test_more_random_graphs(javascript: Runner, seed: int) -> None:
    check_every_mistake(javascript, program_root(random_program(seed)))


@pytest.mark.parametrize("seed", range(20, 30))
def test_other_values(javascript: Runner, seed: int) -> None:
    program = random_program(seed)
    rng = random.Random(seed)
    leaves = [x + rng.uniform(-0.05, 0.05) for x in program.leaves]
    given = graph_of(program_root(program))
    names = json.loads(given["data"])["names"]
    changes = [[names.index(f"x{i}"), x] for i, x in enumerate(leaves) if f"x{i}" in names]
    mistakes = (None, *MISTAKES)
    given["cases"] = [[changes, mistake] for mistake in mistakes]
    for told, mistake in zip(javascript(TOLD, given), mistakes, strict=True):
        step = record(program_root(program, leaves), mistake=mistake)
        values, gradients = step.state(len(step))
        assert all(same(read(x), y, 1.0) for x, y in zip(told["values"], values, strict=True))
        reached = told["reached"][-1]
        assert all(same(read(x), y, 1.0) for x, y in zip(reached, gradients, strict=True))


@pytest.mark.parametrize("begin", [2.0, -1.5])
def test_choices_are_made_anew(javascript: Runner, begin: float) -> None:
    given = graph_of(chosen(begin))
    names = json.loads(given["data"])["names"]
    cases = [(2.0, 3.0), (-1.5, 3.0), (-0.5, 3.0), (-3.0, 3.0), (2.0, 4.0), (math.inf, 1.0)]
    given["cases"] = [
        [[[names.index("x"), as_javascript(x)], [names.index("a"), a]]] for x, a in cases
    ]
    for told, (x, a) in zip(javascript(TOLD, given), cases, strict=True):
        right = record(chosen(x, a))
        assert same(read(told["values"][-1]), right.nodes[-1].value, 1.0)
        gradient = read(told["gradients"][names.index("x")])
        assert same(gradient, right.gradients["x"], 1.0), (x, a)


def test_parentheses_are_those_of_the_record(javascript: Runner) -> None:
    """Around numbers with a sign and with an exponent of ten, and names that are such numbers."""

    def root(x: float, y: float) -> Value:
        a, b = Value(x, label="a"), Value(y, label="b")
        powers = a**2 + a**3 * b - b / a + (-a) - (-b) + a**b + 1e-5 * (1e-5**b)
        return powers + b * -2e-6 - (a - -3.0) / -7.0

    given = graph_of(root(1.0, 1.0))
    names = json.loads(given["data"])["names"]
    cases = list(product((1e-5, -1e-5, 2e7, -2e7, 1e300, 3.0, -3.0), (1e-4, -1e6, 2.0, -2.0)))
    given["cases"] = [[[[names.index("a"), x], [names.index("b"), y]]] for x, y in cases]
    for told, case in zip(javascript(TOLD, given), cases, strict=True):
        step = record(root(*case))
        assert told["lines"] == [step.line(count) for count in range(1, len(step) + 1)]


def test_an_operation_of_nine_operands(javascript: Runner) -> None:
    nine = define("nine", lambda *x: sum(x), lambda m, out, *x: (out - x[1],) * 9, arity=9)
    check_every_mistake(javascript, nine(*(Value(float(i)) for i in range(9))))


def test_naive_recursion_over_many_paths_comes_to_an_end(javascript: Runner) -> None:
    x = Value(1.0, label="x")
    for _ in range(40):
        x = x + x
    body = "return run(graph, new Map(), 'no_topological_order')"
    assert javascript(GRAPH + body, graph_of(x)) is None


@pytest.mark.parametrize("power", [2, 6])
def test_a_nudge_measures_the_derivative(javascript: Runner, power: int) -> None:
    given = graph_of(neuron(), h=10.0**-power)
    body = """
    const right = run(graph, new Map(), null);
    return nudge(graph, new Map(), right, graph.names.indexOf("w1"), given.h);
    """
    found = javascript(GRAPH + body, given)
    assert found["before"] == pytest.approx(neuron().data, rel=1e-12)
    assert found["gradient"] == record(neuron()).gradients["w1"]
    assert found["quotient"] == pytest.approx(found["gradient"], abs=3 * given["h"])


def test_what_comes_of_a_mistake_is_told(javascript: Runner) -> None:
    notes = {
        (None, 0, 1): "Switch a mistake on",
        ("overwrite", None, 1): "hidden while you predict",
        ("overwrite", 1, 3): "Wrong: 1 of 3",
        ("no_zero_grad", 0, 1): "0 anyway",
        ("overwrite", 0, 1): "what is overwritten was 0",
        ("no_topological_order", 0, 1): "computed and then used twice",
    }
    body = GRAPH + "return given.cases.map((each) => mistakeNote(graph, ...each))"
    told = javascript(body, graph_of(doubled(), cases=list(notes)))
    assert all(words in note for note, words in zip(told, notes.values(), strict=True))
    (told,) = javascript(body, graph_of(neuron(), cases=[["overwrite", 0, 5]]))
    assert "used twice, and here there is none" in told
