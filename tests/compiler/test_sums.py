"""Long sums as instructions: which Values are part of one, and that it is made in their order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import reduce

import pytest
from test_ops import bits

from microgrant import DecisionWarning, Value, compile, where
from microgrant.compiler.program import ONCE, ROW, SUMS, Register, terms_of
from microgrant.compiler.sums import LONGEST, SumProgram
from microgrant.engine import whole_order
from microgrant.nn import MLP
from microgrant.ops import OPERATIONS

inf = math.inf
TARGETS = ["python", "native", "numpy"]


def added(terms: list[Value]) -> Value:
    return reduce(lambda a, b: a + b, terms)


def program_of(
    *roots: Value, inputs: list[Value], parameters: list[Value], gradient: bool = False
) -> tuple[SumProgram, list[Register]]:
    """The program of a graph, and the sums in it."""
    program, order = SumProgram(frozenset(OPERATIONS)), whole_order(*roots)
    program.record(order, inputs, parameters, roots)
    if gradient:
        program.differentiate({roots[0]: program.constant(1.0)}, order, parameters)
    return program, [x for x in program.registers if x.operation in SUMS]


def values(count: int, label: str = "") -> list[Value]:
    return [Value(math.sin(7 * i + 1), f"{label}{i}" if label else "") for i in range(count)]


# --- What is part of a sum ------------------------------------------------------------------------


def test_a_layer_is_as_many_instructions_as_neurons() -> None:
    model, x = MLP(30, [20, 1]), values(30)
    program, sums = program_of(model(x), inputs=x, parameters=model.parameters())
    assert [(x.operation, len(terms_of(x)[1])) for x in sums] == [("sum_pr", 30)] * 20 + [
        ("sum_pr", 20)
    ]
    computed = [x for x in program.registers if not x.leaf]
    assert len(computed) < 5 * 20  # of 1,300 recorded Values


def test_the_gradient_of_what_many_products_take_is_a_sum() -> None:
    model, x = MLP(3, [4, 20, 1]), values(3)
    _, sums = program_of(model(x), inputs=x, parameters=model.parameters(), gradient=True)
    backward = [x for x in sums if x.index > sums[-5].index]
    assert [(x.operation, len(terms_of(x)[1])) for x in backward] == [("sum_pr", 20)] * 4


def test_kinds_of_terms() -> None:
    x, w = values(20), values(20)
    inputs = {"inputs": x, "parameters": w}
    for terms, kinds in [
        (x, ["r"]),
        ([a * b for a, b in zip(x, w, strict=True)], ["pr"]),
        ([a * b for a, b in zip(w, x, strict=True)], ["pr"]),
        ([a * a for a in x], ["rr"]),
        ([2 * a for a in x], ["pr"]),
        ([*x[:5], *(a * a for a in x[5:12])], ["r", "rr"]),
        ([w[0], *x], ["r"]),
        (x[:3], []),
    ]:
        _, sums = program_of(added(terms), **inputs)
        assert [SUMS[str(x.operation)] for x in sums] == kinds
    # What is the same for all rows is computed once, and added as one number.
    program, sums = program_of(added([*(a * a for a in w), *x]), **inputs)
    assert [(x.operation, x.stage) for x in sums] == [("sum_r", ROW)]
    assert sum(x.operation == "mul" and x.stage == ONCE for x in program.registers) == 20
    _, sums = program_of(added([a * a for a in w]), **inputs)
    assert [(x.operation, x.stage) for x in sums] == [("sum_rr", ONCE)]


def test_what_is_asked_for_is_no_mere_part() -> None:
    x = values(12)
    parts = added(x[:6])
    whole = added([parts, *x[6:]])
    for roots, lengths in [
        ((whole,), [12]),
        ((whole, parts), [6, 7]),
        ((whole * parts,), [6, 7]),
        ((where(parts > 0, whole, x[0]),), [6, 7]),
    ]:
        program, sums = program_of(*roots, inputs=x, parameters=[])
        assert [len(terms_of(x)[1]) for x in sums] == lengths
        assert all(isinstance(program.register_of(root), Register) for root in roots)
    parts.label = "parts"
    program, sums = program_of(whole, inputs=x, parameters=[])
    assert [x.name for x in sums] == ["parts", ""]
    decided = added(values(6))
    sign = 1.0 if decided > 0 else -1.0
    with pytest.warns(DecisionWarning, match="test_sums"):
        compile(added([decided, *x]) * sign, inputs=[*x, *leaves_of(decided)])


# --- That it is the same sum ----------------------------------------------------------------------


def left(terms: list[Value]) -> Value:
    return added(terms)


def right(terms: list[Value]) -> Value:
    return reduce(lambda b, a: a + b, reversed(terms))


def both_ways(terms: list[Value]) -> Value:
    total, *others = terms
    for place, x in enumerate(others):
        total = total + x if place % 3 else x + total
    return total


def halves(terms: list[Value]) -> Value:
    middle = len(terms) // 2
    return halves(terms[:middle]) + halves(terms[middle:]) if middle else terms[0]


def of_all_kinds(seed: int, count: int) -> tuple[list[Value], list[Value], list[Value]]:
    """Terms, and the inputs and the parameters that they are made of: runs of any length."""
    draw = random.Random(seed)
    x, w = ([Value(draw.gauss(0, 1)) for _ in range(6)] for _ in range(2))
    makers: list[Callable[[], Value]] = [
        lambda: draw.choice(x),
        lambda: draw.choice(w),
        lambda: draw.choice(x) * draw.choice(w),
        lambda: draw.choice(w) * draw.choice(x),
        lambda: draw.choice(x) * draw.choice(x),
        lambda: draw.choice(w) * draw.choice(w),
        lambda: draw.choice(x) * draw.choice([1.0, -1.0, 0.5, 3.0]),
        lambda: Value(draw.gauss(0, 1)),
        lambda: draw.choice(x).relu() * draw.choice(w),
        lambda: where(draw.choice(x) > 0, draw.choice(x), draw.choice(w) * draw.choice(x)),
    ]
    terms = [w[0]]
    while len(terms) < count:
        make = draw.choice(makers)
        terms += [make() * (10.0 ** draw.choice([0, 0, 5])) for _ in range(draw.choice([1, 3, 9]))]
        terms += [make() for _ in range(draw.choice([0, 2, 8]))]
    return terms, x, w


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [left, right, both_ways, halves])
@pytest.mark.parametrize(("count", "seeds"), [(5, 4), (40, 3), (2 * LONGEST, 1)])
def test_it_is_the_sum_of_the_engine(
    target: str, shape: Callable[[list[Value]], Value], count: int, seeds: int
) -> None:
    pytest.importorskip({"native": "llvmlite"}.get(target, "microgrant"))
    pytest.importorskip({"numpy": "numpy"}.get(target, "microgrant"))
    for seed in range(seeds):
        terms, x, w = of_all_kinds(seed, count)
        total = shape(terms)
        inputs, parameters = ([v for v in vs if v in set(leaves_of(total))] for vs in (x, w))
        row = [v.data for v in inputs]
        [found] = compile(total, inputs=inputs, target=target)([row])
        if target == "numpy":
            assert found == pytest.approx(total.data, rel=1e-12)
        else:
            assert bits(found) == bits(total.data), seed
        loss = total.tanh()
        loss.backward()
        expected = [v.grad for v in parameters]
        step = compile(loss, inputs, parameters, target=target)
        _, gradient = step.value_and_grad([v.data for v in parameters], [row])
        assert list(gradient) == pytest.approx(expected, rel=1e-11, abs=1e-13), seed


def leaves_of(root: Value) -> list[Value]:
    return [x for x in whole_order(root) if isinstance(x, Value) and x.operation is None]


@pytest.mark.parametrize("target", ["python", "native"])
def test_zeros_keep_their_sign_and_what_is_infinite_stays_so(target: str) -> None:
    pytest.importorskip({"native": "llvmlite"}.get(target, "microgrant"))
    x, w = values(6), values(6)
    for total in (added(x), added([a * b for a, b in zip(x, w, strict=True)])):
        inputs = [v for v in (*x, *w) if v in set(leaves_of(total))]
        predict = compile(total, inputs=inputs, target=target)
        ones = [1.0] * (len(inputs) - 6)
        for row in ([-0.0] * 6, [0.0] * 6, [-0.0] * 5 + [0.0], [inf] + [0.0] * 5, [inf, -inf] * 3):
            [found] = predict([[*row, *ones]])
            expected = reduce(lambda a, b: a + b, row)
            assert bits(found) == bits(expected) or (found != found and expected != expected), row


def test_a_long_sum_is_printed_in_lines() -> None:
    x, w = values(9, "x"), values(9, "w")
    total = added([a * b for a, b in zip(w, x, strict=True)])
    source = compile(total, inputs=[*x, *w], target="python").source
    forward = [
        line.strip() for line in source.split("\n") if "results.append" in line or " v" in line
    ]
    assert forward == [
        "v1 = w0 * x0 + w1 * x1 + w2 * x2",
        "v2 = v1 + w3 * x3 + w4 * x4 + w5 * x5",
        "v3 = v2 + w6 * x6 + w7 * x7 + w8 * x8",
        "results.append([v3])",
    ]
