"""The lab in demos/: right answers pass, and what is wrong or missing in others is told."""

from __future__ import annotations

import doctest
import importlib.util
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from microgrant import Value

DEMOS = Path(__file__).parents[2] / "demos"


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("exercises", DEMOS / "exercises.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


exercises = module()
LAST = len(exercises.EXERCISES)


# --- Solutions: they stand here, so that they do not lie about in demos/ --------------------------


def chain_rule(w: float, x: float, b: float) -> tuple[float, float, float]:
    t = math.tanh(w * x + b)
    inner = 2 * t * (1 - t * t)
    return inner * x, inner * w, inner


def neuron(xs: list[float], ws: list[float], b: float) -> float:
    return 1 / (1 + math.exp(-b - weighted(xs, ws)))


def weighted(xs: list[float], ws: list[float]) -> float:
    return sum(x * w for x, w in zip(xs, ws, strict=True))


def neuron_backward(
    xs: list[float], ws: list[float], out: float, upstream: float
) -> tuple[list[float], list[float], float]:
    delta = upstream * out * (1 - out)
    return [delta * w for w in ws], [delta * x for x in xs], delta


def recursive_order(root: Value) -> list[Value]:
    order, seen = [], set()

    def visit(node: Value) -> None:
        if node not in seen:
            seen.add(node)
            for operand in node._prev:
                visit(operand)
            order.append(node)

    visit(root)
    return order


def order_without_recursion(root: Value) -> list[Value]:
    order, seen, waiting = [], set(), [(root, False)]
    while waiting:
        node, finished = waiting.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            waiting += [(operand, False) for operand in node._prev]
    return order


def softmax_gradients(logits: list[float], target: int) -> list[float]:
    powers = [math.exp(z - max(logits)) for z in logits]
    return [power / sum(powers) - (i == target) for i, power in enumerate(powers)]


def momentum_step(
    ps: list[float], gs: list[float], vs: list[float], rate: float, keep: float
) -> tuple[list[float], list[float]]:
    vs = [keep * v + g for v, g in zip(vs, gs, strict=True)]
    return [p - rate * v for p, v in zip(ps, vs, strict=True)], vs


def through_time(w: float, xs: list[float]) -> float:
    hs = [0.0]
    for x in xs:
        hs.append(w * hs[-1] + x)
    gradient, upstream = 0.0, 1.0
    for h in reversed(hs[:-1]):
        gradient += upstream * h
        upstream *= w
    return gradient


def five(**changed: Any) -> dict[str, Any]:
    """The operations as the notebook has them, with some of them changed."""
    return {
        "gaussian": (lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * out,)),
        "softsign": (lambda x: x / (1 + abs(x)), lambda m, out, x: (1 / (1 + abs(x)) ** 2,)),
        "ratio": (lambda a, b: a / b, lambda m, out, a, b: (1 / b, -out)),
        "logistic": (lambda x: 1 / (1 + math.exp(-x)), lambda m, out, x: (out * (1 - out),)),
        "average": (lambda a, b: (a + b) / 2, lambda m, out, a, b: (0.5, 0.5)),
    } | changed


def ratio(rule: Callable[..., Any]) -> dict[str, Any]:
    return five(ratio=(lambda a, b: a / b, rule))


SOLUTIONS: dict[int, Any] = {
    1: lambda m, out, x: (3 * x**2 - 2,),
    2: lambda m, out, a, b: (a / out, b / out),
    3: chain_rule,
    4: neuron,
    5: neuron_backward,
    6: order_without_recursion,
    7: softmax_gradients,
    8: momentum_step,
    9: ratio(lambda m, out, a, b: (1 / b, -out / b)),
    10: through_time,
}


@pytest.mark.parametrize("number", range(1, LAST + 1))
def test_solution_is_right(number: int) -> None:
    assert str(exercises.verdict(number, SOLUTIONS[number])) == f"{number}. right"


def test_lists_arrays_and_numpy_numbers_are_taken() -> None:
    np = pytest.importorskip("numpy")
    for number in (5, 7, 8):
        answer = SOLUTIONS[number]

        def arrays(*args: Any, answer: Any = answer) -> Any:
            found = answer(*args)
            return tuple(map(np.array, found)) if isinstance(found, tuple) else np.array(found)

        assert exercises.verdict(number, arrays).state == "right"


def test_order_by_recursion_is_right_with_a_remark() -> None:
    found = exercises.verdict(6, recursive_order)
    assert found.state == "right"
    assert "too deep for Python's recursion" in found.message


# --- Classic mistakes, and the words that each of them gets ---------------------------------------


def with_tanh(w: float, x: float, b: float) -> tuple[float, float, float]:
    slope = 1 - math.tanh(w * x + b) ** 2
    return slope * x, slope * w, slope


def without_tanh(w: float, x: float, b: float) -> tuple[float, float, float]:
    outer = 2 * math.tanh(w * x + b)
    return outer * x, outer * w, outer


def swapped(w: float, x: float, b: float) -> tuple[float, float, float]:
    right = chain_rule(w, x, b)
    return right[1], right[0], right[2]


def preorder(root: Value) -> list[Value]:
    """Results before operands, turned round: it works for trees."""
    order, seen = [], set()

    def visit(node: Value) -> None:
        if node not in seen:
            seen.add(node)
            order.append(node)
            for operand in node._prev:
                visit(operand)

    visit(root)
    return order[::-1]


def every_path(root: Value) -> list[Value]:
    return [x for operand in root._prev for x in every_path(operand)] + [root]


def compared_data(root: Value) -> list[Value]:
    order: list[Value] = []

    def visit(node: Value) -> None:
        if node.data not in [other.data for other in order]:
            for operand in node._prev:
                visit(operand)
            order.append(node)

    visit(root)
    return order


def plain_softmax(logits: list[float], target: int) -> list[float]:
    return [g + (i == target) for i, g in enumerate(softmax_gradients(logits, target))]


def overflowing(logits: list[float], target: int) -> list[float]:
    powers = [math.exp(z) for z in logits]
    return [power / sum(powers) - (i == target) for i, power in enumerate(powers)]


def uphill(ps: Any, gs: Any, vs: Any, rate: float, keep: float) -> Any:
    new, vs = momentum_step(ps, gs, vs, rate, keep)
    return [2 * p - q for p, q in zip(ps, new, strict=True)], vs


def averaged(ps: Any, gs: Any, vs: Any, rate: float, keep: float) -> Any:
    return momentum_step(ps, [(1 - keep) * g for g in gs], vs, rate, keep)


def rate_inside(ps: Any, gs: Any, vs: Any, rate: float, keep: float) -> Any:
    new, vs = momentum_step(ps, gs, vs, rate, keep)
    return new, [rate * v for v in vs]


MISTAKES: list[tuple[int, Any, list[str]]] = [
    (1, lambda m, out, x: (3 * x**2,),
     ["d wiggle / d argument 0 at (0.5): your rule says 0.75, nudging the argument says -1.25"]),
    (1, lambda m, out, x: 3 * x**2 - 2, ["to be a tuple of 1", "with a comma"]),
    (1, lambda m, out, x: (1, 2), ["to be a tuple of 1"]),
    (1, lambda x: (3 * x**2 - 2,), ["TypeError", "3 were given"]),
    (1, lambda m, out, x: (x / (x - 0.5),), ["ZeroDivisionError: "]),
    (2, lambda m, out, a, b: (b / out, a / out), ["d distance / d argument 0 at (3.0, 4.0)"]),
    (2, lambda m, out, a, b: (a / out, 2 * b), ["d distance / d argument 1 at (3.0, 4.0)"]),
    (3, with_tanh, ["dy/dw at w=0.5, x=2, b=-0.25: you say", "Has the square been"]),
    (3, without_tanh, ["Has the tanh been differentiated?"]),
    (3, swapped, ["The derivatives of a product swap"]),
    (3, lambda w, x, b: (1.0, 2.0), ["3 numbers are to be returned: dy/dw, dy/dx, dy/db"]),
    (3, lambda w, x, b: (Value(w), x, b), ["plain number, but it is a Value"]),
    (3, lambda w, x, b: "no idea", ["a list is to be returned, but it is 'no idea'"]),
    (4, lambda xs, ws, b: b + weighted(xs, ws), ["What is left is the sigmoid"]),
    (4, lambda xs, ws, b: neuron(xs, ws, 0.0), ["The bias is missing"]),
    (5, lambda xs, ws, out, up: neuron_backward(xs, ws, out, 1.0), ["upstream, is missing"]),
    (5, lambda xs, ws, out, up: neuron_backward(ws, xs, out, up), ["dxs and dws are swapped"]),
    (5, lambda xs, ws, out, up: ([up * w for w in ws], [up * x for x in xs], up),
     ["The sigmoid's derivative, out·(1 − out), is missing"]),
    (5, lambda xs, ws, out, up: ([0.0], [0.0], 0.0), ["dxs and dws have 2 numbers each"]),
    (5, lambda xs, ws, out, up: ([0.0], [0.0]), ["3 things are to be returned: dxs, dws, db"]),
    (6, preorder, ["in the graph of d, c stands before its operand b", "becomes", "right is"]),
    (6, every_path, ["in the graph of c, a stands 4 times", "The gradient of a becomes"]),
    (6, compared_data, ["b is missing", "Did you compare their .data?"]),
    (6, lambda root: [root], ["a is missing"]),
    (6, lambda root: [*order_without_recursion(root), 3], ["a list of nodes, but 3 is in it"]),
    (6, lambda root: [*order_without_recursion(root), Value(0.0)], ["1 nodes in it of another"]),
    (7, plain_softmax, ["logits[1] at logits=[1.0, 2.0, 0.5], target=1", "1 is to be taken off"]),
    (7, lambda z, t: [-g for g in softmax_gradients(z, t)], ["the other way round"]),
    (7, overflowing, ["right for small logits", "OverflowError", "take the largest off"]),
    (8, lambda p, g, v, rate, keep: momentum_step(p, g, [0, 0], rate, keep),
     ["parameters[0] at step 2", "without momentum"]),
    (8, uphill, ["That goes uphill"]),
    (8, averaged, ["parameters[0] at step 1", "and not by 1 − momentum"]),
    (8, rate_inside, ["velocities[0] at step 1", "The learning rate belongs outside"]),
    (8, lambda p, g, v, rate, keep: (momentum_step(p, g, v, rate, keep)[0], v),
     ["as they are after the step"]),
    (9, ratio(lambda m, out, a, b: (1 / b, out / b)), ["d ratio / d argument 1 at (0.5, 2.0)"]),
    (9, ratio(lambda m, out, a, b: (-1 / b, -out / b)), ["d ratio / d argument 0"]),
    (9, five(gaussian=(math.exp, lambda m, out, x: (out,))), ["the value of gaussian was changed"]),
    (9, five(average=(lambda a, b: (a + b) / 2, lambda m, out, a, b: (1, 1))), ["d average /"]),
    (9, {}, ["the dictionary of all five"]),
    (9, 5, ["the dictionary of all five"]),
    (10, lambda w, xs: sum(w * x for x in xs), ["dh/dw at w=0.5, xs=[1.0, 2.0]: you say 1.5"]),
    (10, lambda w, xs: [through_time(w, xs)], ["dh/dw is to be a number, but it is ["]),
    (10, 1.5, ["the answer is a function, but got 1.5"]),
]  # fmt: skip


@pytest.mark.parametrize(("number", "answer", "words"), MISTAKES)
def test_mistake_is_told(number: int, answer: Any, words: list[str]) -> None:
    found = exercises.verdict(number, answer)
    assert found.state == "not right"
    for word in words:
        assert word in found.message
    assert "\n" not in found.message


def last_step_only(w: float, xs: list[float]) -> float:
    return through_time(w, xs) if len(xs) == 2 else _states(w, xs)[-2]


def without_the_way_back(w: float, xs: list[float]) -> float:
    return sum(_states(w, xs)[:-1])


def _states(w: float, xs: list[float]) -> list[float]:
    hs = [0.0]
    for x in xs:
        hs.append(w * hs[-1] + x)
    return hs


def test_contributions_through_time_that_are_left_out() -> None:
    assert "what the last step contributes" in exercises.verdict(10, last_step_only).message
    assert "has to pass through all later" in exercises.verdict(10, without_the_way_back).message


def test_error_in_an_answer_is_told_with_its_line() -> None:
    def broken(xs: list[float], ws: list[float], b: float) -> float:
        return xs[10]

    found = exercises.verdict(4, broken)
    line = broken.__code__.co_firstlineno + 1
    assert found.message == f"line {line}, return xs[10]: IndexError: list index out of range"


# --- Nothing filled in --------------------------------------------------------------------------


def raises_not_implemented(*args: Any) -> Any:
    raise NotImplementedError


EMPTY: list[Any] = [
    None,
    ...,
    lambda *args: ...,
    lambda *args: None,
    lambda *args: (..., ...),
    lambda *args: [],
    raises_not_implemented,
]


@pytest.mark.parametrize("number", [n for n in range(1, LAST + 1) if n != 9])
def test_empty_answer_is_not_yet(number: int) -> None:
    for answer in EMPTY:
        assert exercises.verdict(number, answer).state == "not yet"


def test_what_is_missing_is_said() -> None:
    assert "is a `return` missing?" in exercises.verdict(3, lambda w, x, b: None).message
    assert "some of it" in exercises.verdict(3, lambda w, x, b: (1.0, ..., ...)).message
    assert "one rule is still wrong" in exercises.verdict(9, five()).message


def test_no_such_exercise() -> None:
    with pytest.raises(ValueError, match="numbered 1 to 10, but got 11"):
        exercises.verdict(LAST + 1, neuron)


def test_report_keeps_the_latest_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.VERDICTS.clear()
    exercises.check(4, None)
    exercises.check(4, neuron)
    exercises.check(3, with_tanh)
    exercises.report()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["4. not yet", "4. right"]
    assert len(lines) == 3 + LAST + 1
    assert [line.split()[-1] for line in lines[3:7]] == ["yet", "yet", "right", "right"]
    assert "not right" in lines[5]
    assert lines[-1] == f"1 of {LAST} are right"


def test_docstrings() -> None:
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(exercises, optionflags=options).failed == 0


# --- The notebook and the guide -----------------------------------------------------------------


def test_notebook_asks_each_exercise_and_answers_none() -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    cells = nbformat.read(DEMOS / "09_exercises.ipynb", as_version=4).cells
    titles = re.findall(r"^## (\d+)\. (.*)$", "\n".join(c.source for c in cells), re.MULTILINE)
    assert [int(number) for number, _ in titles] == list(range(1, LAST + 1))
    assert [title for _, title in titles] == [each.title for each in exercises.EXERCISES]
    printed = [
        output.text
        for cell in cells
        if cell.cell_type == "code" and "check(" in cell.source
        for output in cell.outputs
    ]
    assert len(printed) == LAST
    assert all("not yet" in text for text in printed)


def test_links_of_the_guide_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (DEMOS / "README.md").read_text(encoding="utf-8"))
    assert links
    missing = [x for x in links if "://" not in x and not (DEMOS / x).exists()]
    assert not missing
