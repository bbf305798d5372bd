"""Decisions: comparisons that remember what was compared, and choices that stay in the graph."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import itertools
import json
import math
import operator
import pickle
import random
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest

from microgrant import (
    AnomalyError,
    Value,
    apply,
    compile as compile_step,
    define,
    detect_anomaly,
    draw,
    explain,
    grad,
    gradcheck,
    no_grad,
    topological_order,
    where,
)
from microgrant.compiler import DecisionWarning
from microgrant.engine import (
    NO_GRADIENT,
    RELATIONS,
    VALUES,
    Choice,
    Condition,
    conditions,
    whole_order,
)
from microgrant.nn import Module
from microgrant.ops import OPERATIONS, clip, power
from microgrant.optim import Adam
from microgrant.views import record
from microgrant.views.player.document import page

NUMBERS = [1.0, 2.0, -math.inf, math.inf, math.nan, 0.0, -0.0]
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
every_relation = pytest.mark.parametrize("relation", RELATIONS)


def here() -> str:
    """The line of the caller, as decisions are noted."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"{__file__}, line {frame.f_back.f_lineno}"


def decided_at(x: Any) -> str | None:
    return getattr(x, "_decided_at", None)


def choice_of(value: Value) -> Choice:
    assert isinstance(value.operation, Choice)
    return value.operation


def with_data(root: Value, changes: Mapping[Value, float]) -> float:
    """What a graph computes for other leaves, when every condition is asked anew.

    It is what a compiler is to make of the record.
    """
    known: dict[int, Any] = {}
    for x in whole_order(root):
        if isinstance(x, Condition):
            operands = [known.get(id(o), o) for o in x.operands]
            connectives = {"and": operator.and_, "or": operator.or_, "not": operator.not_}
            known[id(x)] = (RELATIONS | connectives)[x.relation](*operands)
        elif x.operation is None:
            known[id(x)] = changes.get(x, x.data)
        elif isinstance(x.operation, Choice):
            choice = x.operation
            taken = choice.if_true if known[id(choice.condition)] else choice.if_false
            known[id(x)] = known[id(taken)]
        else:
            known[id(x)] = x.operation.forward(*(known[id(o)] for o in x._prev))
    result: float = known[id(root)]
    return result


def same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


# --- The truth, as a bool has it ------------------------------------------------------------------


@every_relation
def test_a_comparison_is_true_when_that_of_the_numbers_is(relation: str) -> None:
    compare = RELATIONS[relation]
    for a, b in itertools.product(NUMBERS, repeat=2):
        x, y = Value(a), Value(b)
        cases: list[tuple[Any, tuple[Any, Any], str]] = [
            (compare(x, b), (x, b), relation),
            (compare(a, y), (y, a), MIRRORED[relation]),
        ]
        if relation not in ("==", "!="):
            cases.append((compare(x, y), (x, y), relation))
        for condition, operands, asked in cases:
            assert type(condition) is Condition
            assert condition.truth is compare(a, b)
            assert condition.relation == asked
            assert all(o is wanted for o, wanted in zip(condition.operands, operands, strict=True))


def test_a_condition_looks_like_a_truth() -> None:
    x = Value(2.0)
    for condition, truth in ((x > 1, True), (x < 1, False)):
        assert (repr(condition), str(condition), f"{condition}") == (str(truth),) * 3
        assert f"{condition:d} {condition:>3}" == f"{truth:d} {truth:>3}"
        assert "%d %s" % (condition, condition) == "%d %s" % (truth, truth)  # noqa: UP031
        assert hash(condition) == hash(truth)
        assert condition == truth
        assert condition == int(truth)
        assert condition != (not truth)
        assert json.loads(json.dumps([bool(condition)])) == [truth]
        assert {True: "yes", False: "no"}[condition] == ("yes" if truth else "no")
    assert sum(x > y for y in (0, 1, 2, 3)) == 2
    assert [x > 1, x < 1, x == 2].count(True) == 2


@pytest.mark.parametrize("number", [1, True, 10**400, Fraction(1, 3), 0.5], ids=repr)
def test_a_number_is_compared_as_it_is(number: float) -> None:
    condition = Value(1.0) >= number
    assert condition.truth is (number <= 1.0)
    assert condition.right is number


@every_relation
def test_a_condition_is_compared_as_1_or_0(relation: str) -> None:
    compare, x = RELATIONS[relation], Value(1.0)
    for truth in (True, False):
        condition = compare(x, Value(2.0) > (1 if truth else 3))
        assert condition.truth is compare(1.0, float(truth))
        assert type(condition.right) is float


def test_what_cannot_be_compared_is_left_to_the_other_side() -> None:
    x = Value(1.0)
    assert x.__eq__("a") is x.__lt__(None) is x.__ge__(1j) is NotImplemented  # type: ignore[operator]
    assert (x == "a") is False
    with pytest.raises(TypeError, match="not supported between"):
        x < None  # type: ignore[operator]  # noqa: B015


# --- Several conditions ---------------------------------------------------------------------------

OF_TWO: dict[str, tuple[Callable[[Any, Any], Any], Callable[[bool, bool], bool]]] = {
    "and": (operator.and_, operator.and_),
    "or": (operator.or_, operator.or_),
    "xor": (operator.xor, operator.xor),
    "equal": (operator.eq, operator.eq),
    "different": (operator.ne, operator.ne),
}


@pytest.mark.parametrize("name", OF_TWO)
@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_conditions_combine_without_a_decision(name: str, a: bool, b: bool) -> None:
    combine, expected = OF_TWO[name]
    x, y = Value(1.0 if a else -1.0), Value(1.0 if b else -1.0)
    for other in (y > 0, b):
        combined = combine(x > 0, other)
        assert type(combined) is Condition
        assert combined.truth is expected(a, b)
        inverted = ~combined
        assert (inverted.relation, inverted.operands) == ("not", (combined,))
        assert inverted.truth is not combined.truth
        both = [x, y] if other is not b else [x]
        assert {*combined.values()} == {*both}
        for changed in itertools.product((-1.0, 1.0), repeat=2):
            numbers = dict(zip((x, y), changed, strict=True))
            asked = with_data(where(combined, 1.0, 0.0), numbers)
            second = changed[1] > 0 if other is not b else b
            assert asked == expected(changed[0] > 0, second)
    assert decided_at(x) is decided_at(y) is None


def test_and_or_keep_their_operands() -> None:
    x = Value(2.0)
    a, b = x > 1, x < 1
    for combined, relation in ((a & b, "and"), (a | b, "or")):
        assert combined.relation == relation
        assert combined.left is a
        assert combined.right is b
    assert (~a).left is a
    assert (~a).right is None
    assert (a & True).right is True
    for combined, truth in (
        (True & a, True),
        (True & b, False),
        (False | b, False),
        (True ^ a, False),
    ):
        assert type(combined) is Condition
        assert combined.truth is truth


def test_beside_numbers_a_condition_is_a_number() -> None:
    truth = Value(2.0) > 1
    for result, expected in ((truth + 1, 2), (3 - truth, 2), (truth - 3, -2), (truth * 5, 5)):
        assert type(result) is int
        assert result == expected
    assert 1.5 * truth == 1.5
    assert (truth == 2) is False
    assert (truth != 2.0) is True
    assert ["no", "yes"][truth] == "yes"  # type: ignore[call-overload]
    for wrong in (
        lambda: truth & "a",
        lambda: truth & 3,
        lambda: truth | "a",
        lambda: truth ^ "a",
        lambda: truth + "a",
    ):
        with pytest.raises(TypeError):
            wrong()


# --- Decisions are noted --------------------------------------------------------------------------


def decide(condition: Any) -> str:
    if condition:
        pass
    return here()


DECISIONS: dict[str, Callable[[Value, Value], object]] = {
    "if": lambda x, y: 1 if x > 0 else 0,
    "value": lambda x, y: 1 if x else 0,
    "not": lambda x, y: not (x > 2),
    "and": lambda x, y: x > 0 and 1,
    "or": lambda x, y: x < 0 or 1,
    "chain": lambda x, y: 0 < x < 5,
    "bool": lambda x, y: bool(x != 1),
    "max": lambda x, y: max(x, y),
    "sorted": lambda x, y: sorted([x, y]),
    "all": lambda x, y: all([x > 0, y > 0]),
    "float": lambda x, y: float(x > 0),
    "product": lambda x, y: (x > 0) * y,
    "sum": lambda x, y: y - (x > 0),
    "power": lambda x, y: y ** (x > 0),
    "compared": lambda x, y: y == (x > 0),
    "compared, left": lambda x, y: (x > 0) == y,
    "leaf": lambda x, y: Value(x > 0),
    "clip": lambda x, y: y.clip(x < 0, 5),
    "math": lambda x, y: math.sqrt(x > 0),
    "combined": lambda x, y: bool((y > 0) & ~(x > 0)),
    "exclusive": lambda x, y: bool((x > 0) ^ (y < 0)),
    "count": lambda x, y: sum(v > 0 for v in (x, y)),
    "int": lambda x, y: int(x > 0),
    "index": lambda x, y: (y, 1.0)[x > 0],  # type: ignore[call-overload]
    "array": lambda x, y: (x > 0) * 1.5,
    "number": lambda x, y: (x > 0) == 1,
}


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_is_noted_on_what_was_compared(name: str) -> None:
    x, y = Value(2.0), Value(3.0)
    unrelated = x * y
    DECISIONS[name](x, y)
    line = DECISIONS[name].__code__.co_firstlineno
    assert decided_at(x) == f"{__file__}, line {line}"
    assert decided_at(unrelated) is None


SILENT: dict[str, Callable[[Value, Value], object]] = {
    "nothing": lambda x, y: [x > 0, x == 2],
    "same": lambda x, y: [x == y, x != y, x in [y, x], [x] == [y], [y, x].index(x)],
    "truth": lambda x, y: (x > 0).truth,
    "print": lambda x, y: f"{x > 0} {x > 0!r} {x > 0:d}",
    "hash": lambda x, y: hash(x > 0),
    "combine": lambda x, y: ~((x > 0) & (y > 0)) | (x >= y) ^ (x > 0),
    "equal": lambda x, y: (x > 0) == (y > 0),
    "where": lambda x, y: where(x > 0, x, y),
    "truth of a value": lambda x, y: where(x, x, y),
    "data": lambda x, y: x.data > 0 and max(x.data, y.data),
    "graph": lambda x, y: (x.relu() + abs(y) + x.maximum(y)).clip(0, 1).backward(),
    "grad": lambda x, y: grad(x**y, [x, y], create_graph=True),
    "twice": lambda x, y: grad(
        grad(x.relu() * x.relu() + x**3 * y.maximum(x), x, create_graph=True), y, create_graph=True
    ),
    "copy": lambda x, y: copy.deepcopy([x, y, {x: y}]),
    "pickle": lambda x, y: pickle.loads(pickle.dumps([x * y, where(x > y, x, y)])),
    "sets": lambda x, y: ({x, y} - {x}, {x: 1}[x], x is y),
    "order": lambda x, y: topological_order(where(x > y, x, y)),
    "module": lambda x, y: Twice()(x),
    "check": lambda x, y: gradcheck(lambda a, b: where(a > b, a, b) * a, [x, y], order=2),
    "explain": lambda x, y: explain(where(x > y, x, y) * y, {"a": x}).latex(),
    "draw": lambda x, y: draw(where(x > y, x, y) * y, {"a": x}).source,
}


class Twice(Module):
    def forward(self, x: Value) -> Value:
        return x + x


@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_decision_is_not_noted(name: str) -> None:
    x, y = Value(2.0, "x"), Value(3.0, "y")
    product = x * y
    SILENT[name](x, y)
    assert [decided_at(v) for v in (x, y, product)] == [None, None, None]


def test_a_decision_is_noted_on_everything_below_and_nothing_above() -> None:
    x, y, z = (Value(float(i)) for i in range(3))
    below = (x * 2 + y).tanh() * x
    above, beside = below * z, y * z
    line = decide(below > 0).replace(here().rpartition(" ")[2], "")
    noted = topological_order(below)
    texts = {decided_at(node) for node in noted}
    assert len(texts) == 1
    (text,) = texts
    assert text is not None
    assert text.startswith(line.rpartition(" ")[0])
    assert all(decided_at(node) == text for node in noted)
    assert [decided_at(node) for node in (above, beside, z)] == [None, None, None]


def test_both_sides_and_all_parts_are_noted() -> None:
    a, b, c, d = values = [Value(float(i)) for i in range(4)]
    decide((a * 1 > b * 1) & ~((c == 0) | (d < 2)))
    assert all(decided_at(v) for v in values)


def test_the_first_decision_stays() -> None:
    x, y = Value(1.0), Value(2.0)
    first = decide(x > 0)
    if x * y > 1:
        pass
    second = decided_at(y)
    assert decided_at(x) != second
    assert decided_at(x) is not None
    assert first.startswith(__file__)


def test_a_decision_sees_through_a_choice() -> None:
    x, a, b = Value(1.0), Value(2.0), Value(3.0)
    decide(where(x > 0, a * 2, b * 2) + 1 > 0)
    assert all(decided_at(v) for v in (x, a, b))


def test_a_decision_inside_of_the_package_names_the_line_of_the_user() -> None:
    folded = define("folded", abs, lambda m, out, x: (1.0 if x > 0 else -1.0,))
    rule = "lambda m, out, x: (1.0 if x > 0"
    x = Value(2.0)
    grad(folded(x) * x, x, create_graph=True)
    text = decided_at(x)
    assert text is not None
    path, _, number = text.rpartition(", line ")
    assert path == __file__
    assert rule in inspect.getsource(inspect.getmodule(here)).splitlines()[int(number) - 1]  # type: ignore[arg-type]


def test_the_walk_visits_each_value_once(monkeypatch: pytest.MonkeyPatch) -> None:
    visited: list[Any] = []

    def counting(x: Any) -> tuple[Any, ...]:
        visited.append(x)
        return original(x)

    original = conditions.sources
    monkeypatch.setattr(conditions, "sources", counting)
    n = 500
    x = total = Value(1.0)
    alive = x > 0
    for _ in range(n):
        total = total + x
        alive = alive & (total > 0)
        if alive:  # asks for all that was compared so far
            total = total * 1.0
        if total > 3:
            total = total * 1.0
    values = [v for v in visited if isinstance(v, Value)]
    noted = {v for v in topological_order(total) if hasattr(v, "_decided_at")}
    # The leaf is noted again when it is compared itself, and not by way of a sum.
    assert len(values) - 1 <= len(set(values)) == len(noted)
    assert set(values) == noted
    assert len(visited) - len(values) <= 5 * n  # conditions: a few for each decision


def test_a_decision_on_a_deep_graph() -> None:
    x = y = Value(1.0)
    condition = x > 0
    for i in range(20_000):
        y = y + x if i % 2 else where(y > 0, y, x)
        condition = (condition & (y > 0)) | (y < 0)
    assert condition
    assert decided_at(x) == decided_at(y)
    assert decided_at(x) is not None


# --- a == b ---------------------------------------------------------------------------------------


def test_values_are_equal_if_they_are_the_same() -> None:
    a, b = Value(1.0, "a"), Value(1.0, "b")
    assert (a == a, a != a, a == b, a != b) == (True, False, False, True)
    assert repr([a == a, a == b]) == "[True, False]"
    seen = [b, a]
    assert a in seen
    assert seen.index(a) == 1
    seen.remove(a)
    assert len(seen) == 1
    assert seen[0] is b
    assert (a.data == b.data, (a == 1).truth, (b == 1.0).truth) == (True, True, True)
    assert Value(math.nan) != math.nan


def test_a_choice_between_values_that_are_the_same_is_refused() -> None:
    a, b = Value(1.0), Value(1.0)
    advice = r"a == b asks whether .* one and the same.*\(a <= b\) & \(a >= b\).*a\.data == b\.data"
    for wrong in (
        lambda: where(a == b, 1.0, 2.0),
        lambda: where(a != b, 1.0, 2.0),
        lambda: where(~(a == b), 1.0, 2.0),
        lambda: (a == b) & (a > 0),
        lambda: (a > 0) | (a != b),
        lambda: (a == b) ^ True,
        lambda: where((a > 0) == (a == b), 1.0, 2.0),
        lambda: (a > 0) != (a == b),
        lambda: (a == b) == (a > 0),
    ):
        with pytest.raises(TypeError, match=advice):
            wrong()
    assert where((a <= b) & (a >= b), 3.0, 4.0).data == 3.0


def test_a_rule_that_asks_whether_values_are_the_same_is_refused() -> None:
    def half_at_a_tie(m: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
        return m.where(a == b, 0.5, 1.0) * 1.0, 0.0

    larger = define("larger", max, half_at_a_tie, arity=2)
    a, b = Value(1.0), Value(1.0)
    assert grad(larger(a, b), a) == 0.5
    with pytest.raises(TypeError, match="one and the same"):
        grad(larger(a, b), a, create_graph=True)


# --- where ----------------------------------------------------------------------------------------


def test_what_was_not_taken_has_the_gradient_0() -> None:
    x, a, b, c = Value(-1.0), Value(0.0), Value(3.0), Value(5.0)
    outside, compared = Value(1.0), Value(2.0)
    y = where(x > 0, where(compared > b, (a / a).log() * c, b), c * c) + x
    for times in (1, 2):
        y.backward()
        assert (a.grad, b.grad, c.grad, x.grad) == (0.0, 0.0, 10.0 * times, times)
        assert a.grad is not NO_GRADIENT
        assert b.grad is not NO_GRADIENT
    assert outside.grad is NO_GRADIENT
    assert compared.grad is NO_GRADIENT  # a comparison hands nothing on, whichever way it goes


def test_what_was_not_taken_keeps_the_gradient_that_it_had() -> None:
    a, b = Value(2.0), Value(3.0)
    (a * b).backward()
    where(a > 0, a, b * b).backward()
    assert (a.grad, b.grad) == (4.0, 2.0)


def test_a_branch_that_was_not_taken_is_walked_through_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visited: list[Value] = []

    def counting(x: Value) -> tuple[Value, ...]:
        visited.append(x)
        return original(x)

    original = conditions.branches
    monkeypatch.setattr(conditions, "branches", counting)
    x = y = Value(2.0)
    for _ in range(10):
        y = y + y  # 1024 ways lead to x
    where(x < 0, y, 1.0).backward()
    assert len(visited) == 11
    assert {*visited} == {*topological_order(y)}


def test_an_optimiser_moves_what_was_not_taken() -> None:
    """As PyTorch does with its dense zeros, and as a compiled step does."""
    x, y = Value(-1.0, "x"), Value(1.0, "y")

    def trained(compiled: bool) -> list[float]:
        a, b = Value(0.5, "a"), Value(0.5, "b")
        optimizer = Adam([a, b], 0.1)
        loss = (where(x > 0, a * x, b * x) - y) ** 2
        step = compile_step(loss, [x, y], [a, b], target="python")
        for number in (1.0, -1.0, -2.0):
            if compiled:
                step([[number, 1.0]])
            else:
                error = where(Value(number) > 0, a * number, b * number) - 1.0
                (error**2).backward()
            optimizer.step()
            optimizer.zero_grad()
        return [a.data, b.data]

    assert trained(compiled=True) == pytest.approx(trained(compiled=False), rel=1e-12)


def test_a_deep_branch_that_was_not_taken() -> None:
    x, a = Value(1.0), Value(2.0)
    deep = a
    for _ in range(50_000):
        deep = deep + a
    where(x > 0, x, deep).backward()
    assert a.grad is not NO_GRADIENT


def test_a_plain_truth_gives_the_branch_itself() -> None:
    x, y = Value(2.0), Value(3.0)
    assert where(True, x, y) is where(1, x, y) is where(0.5, x, y) is x
    assert where(False, x, y) is where(0, x, y) is where(0.0, x, y) is y
    constant = where(False, x, 5)
    assert (constant.data, constant.operation) == (5.0, None)
    assert constant._constant


@pytest.mark.parametrize("wrong", [[False, True], (), "a", None, {}, 1j, [True]], ids=repr)
def test_what_is_no_truth_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"where chooses by a comparison .* but got"):
        where(wrong, 1.0, 2.0)


@pytest.mark.parametrize("at", [2.0, -2.0, 0.0, math.nan])
def test_a_condition_is_recorded(at: float) -> None:
    x, a, b = Value(at), Value(3.0), Value(4.0)
    condition = x > 0
    y = where(condition, a, b)
    taken, other = (a, b) if at > 0 else (b, a)
    choice = choice_of(y)
    assert type(y) is Value
    assert (y.data, y._op, y.partials) == (taken.data, "where", (1.0,))
    assert y._prev[0] is taken is choice.taken
    assert len(y._prev) == 1
    assert choice.condition is condition
    assert choice.if_true is a
    assert choice.if_false is b
    assert topological_order(y) == [taken, y]
    assert vars(y) == {}
    y.backward()
    assert taken.grad == y.grad == 1.0
    assert x.grad is NO_GRADIENT
    assert other.grad == 0.0
    assert other.grad is not NO_GRADIENT
    assert grad(y, [x, a, b]) == [0.0, float(at > 0), float(not at > 0)]


def test_an_entry_of_its_own_kind() -> None:
    choice = choice_of(where(Value(1.0) > 0, 2.0, 3.0))
    assert (choice.name, choice.symbol, choice.arity, choice.constants) == ("where", "where", 1, ())
    assert choice.forward(7.0) == 7.0
    assert choice.partials(None, 7.0, 7.0) == (1.0,)
    assert repr(choice) == "<operation where>"
    with pytest.raises(AttributeError):
        choice.condition = None  # type: ignore[misc,assignment]
    with pytest.raises(AttributeError):
        choice.if_true = None  # type: ignore[misc]


def test_the_gradient_never_touches_the_other_branch() -> None:
    x = Value(0.0)
    y = where(x > 0, x.log() / x, 0.0) + where(x <= 0, x * 2, x.log())
    y.backward()
    assert (y.data, x.grad) == (0.0, 2.0)
    assert with_data(y, {x: 1.0}) == 0.0
    assert grad(y, x, create_graph=True).data == 2.0


def test_numbers_become_constants() -> None:
    x = Value(2.0)
    choice = choice_of(where(x > 0, 1, 0.0))
    assert [type(b.data) for b in (choice.if_true, choice.if_false)] == [float, float]
    assert all(b._constant for b in (choice.if_true, choice.if_false))
    with pytest.raises(TypeError, match="expected one real number"):
        where(x > 0, x, "a")  # type: ignore[arg-type]


def test_a_value_as_condition_means_that_it_is_not_zero() -> None:
    for at in (0.0, -0.0, 0.5, math.nan):
        x = Value(at)
        y = where(x, 1.0, 2.0)
        condition = choice_of(y).condition
        assert (condition.relation, condition.operands) == ("!=", (x, 0))
        assert y.data == (1.0 if at else 2.0)
        assert decided_at(x) is None


def test_both_branches_may_be_one() -> None:
    x, a = Value(-1.0), Value(3.0)
    y = where(x > 0, a, a) * where(x > 0, x, x)
    y.backward()
    assert (a.grad, x.grad) == (-1.0, 3.0)


def test_a_subclass_of_value_is_a_branch() -> None:
    class Weight(Value):
        pass

    w = Weight(2.0)
    y = where(w > 0, w, 0.0)
    assert type(y) is Value
    assert y._prev[0] is w
    assert type(w < Value(3.0)) is type(Value(3.0) > w) is Condition


@pytest.mark.parametrize(
    "combine",
    [
        lambda x, y: (x > 0) & y < 1,
        lambda x, y: x > 0 & y < 1,
        lambda x, y: x | y,
        lambda x, y: x ^ True,
        lambda x, y: ~x,
    ],
)
def test_comparisons_need_parentheses(combine: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"parentheses, as in \(x > 0\) & \(y < 1\)"):
        combine(Value(1.0), Value(2.0))


def test_inside_no_grad_nothing_is_recorded() -> None:
    x = Value(2.0)
    with no_grad():
        y = where(x > 0, x, 0.0)
    assert (y.data, y._prev, y.operation) == (2.0, (), None)
    assert y is not x


def test_where_passes_a_nan_on_and_is_not_blamed_for_it() -> None:
    x = Value(-1.0, "x")
    with detect_anomaly():
        assert math.isnan(where(x > 0, 1.0, math.nan).data)
        line = here()
        y = where(x < 0, x, 0.0)
        with pytest.raises(AnomalyError) as caught:
            (y * math.inf).backward()
        assert "mul" in str(caught.value)
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        y.backward(math.inf)
    path, _, number = line.rpartition(" ")
    assert f"made by {path} {int(number) + 1}" in str(caught.value)


def random_choice(x: Sequence[Value], depth: int, rng: random.Random) -> Value:
    """A smooth program, or a choice between two."""
    if depth == 0:
        a, b = rng.sample(x, 2)
        return rng.choice((lambda: a * b, lambda: a.tanh() + b, lambda: a - 2 * b, lambda: a * a))()
    conditions = [rng.choice(x) > rng.choice((*x, 0.3)), rng.choice(x) <= rng.choice((*x, -0.5))]
    combined = rng.choice((operator.and_, operator.or_, operator.xor, lambda a, b: ~b))
    branches = [random_choice(x, depth - 1, rng) for _ in range(2)]
    return where(combined(*conditions), *branches) * rng.choice(x) + branches[0]


@pytest.mark.parametrize("seed", range(30))
def test_the_record_holds_the_program_for_any_numbers(seed: int) -> None:
    def program(x: Sequence[Value]) -> Value:
        return random_choice(x, 4, random.Random(seed))

    rng = random.Random(seed)
    x = [Value(rng.uniform(-1, 1)) for _ in range(3)]
    y = program(x)
    assert gradcheck(lambda *values: program(values), x)
    for _ in range(20):
        numbers = [rng.uniform(-1, 1) for _ in x]
        assert (
            with_data(y, dict(zip(x, numbers, strict=True)))
            == program([Value(n) for n in numbers]).data
        )
    assert not any(hasattr(node, "_decided_at") for node in whole_order(y))


def test_the_whole_order() -> None:
    x, a, b = Value(1.0, "x"), Value(2.0, "a"), Value(3.0, "b")
    condition = (x > 0) & (a * 2 > 0)
    y = where(condition, a, b.exp()) + x
    order = whole_order(y)
    place = {id(node): i for i, node in enumerate(order)}
    assert len(place) == len(order) == 11
    assert all(place[id(s)] < place[id(n)] for n in order for s in conditions.sources(n))
    assert [node for node in topological_order(y) if id(node) not in place] == []
    plain = a * b + (a - b).exp()
    assert all(m is n for m, n in zip(whole_order(plain), topological_order(plain), strict=True))


# --- Derivatives of derivatives -------------------------------------------------------------------

RULES = [*OPERATIONS.values(), power(0.0), power(1.0), power(2.0), power(3.0), clip(-0.5, 0.5)]


@pytest.mark.parametrize("operation", RULES, ids=repr)
def test_a_recorded_derivative_holds_for_any_numbers(operation: Any) -> None:
    """Beyond a kink as well: relu′ is recorded as a choice, and not as the 0 or 1 of the moment."""
    points = (-1.5, -0.5, -0.0, 0.0, 0.5, 1.5, math.nan)
    for at in itertools.product(points, repeat=operation.arity):
        x = [Value(number) for number in at]
        derivatives = grad(apply(operation, *x), x, create_graph=True)
        assert not any(hasattr(v, "_decided_at") for v in x)
        for numbers in itertools.product(points, repeat=operation.arity):
            right = grad(apply(operation, *(leaves := [Value(n) for n in numbers])), leaves)
            for derivative, expected in zip(derivatives, right, strict=True):
                found = with_data(derivative, dict(zip(x, numbers, strict=True)))
                if math.isnan(numbers[0]) and numbers[1:] in ((0.0,), (-0.0,)):
                    continue  # of nan to the power of 0, which is 1, further derivatives are nan
                assert found == pytest.approx(expected, rel=1e-15, nan_ok=True), (at, numbers)


def test_relu_is_a_choice_among_constants_when_differentiated() -> None:
    x = Value(2.0)
    slope = grad(x.relu(), x, create_graph=True)
    (choice,) = (choice_of(v) for v in topological_order(slope) if isinstance(v.operation, Choice))
    assert (choice.condition.relation, choice.condition.left, choice.taken.data) == (">", x, 1.0)
    assert grad(slope, x) == 0.0


def test_a_number_that_is_chosen_for_good_needs_no_node() -> None:
    assert VALUES.where(True, 1.0, Value(2.0)) == 1.0
    assert type(VALUES.where(False, Value(2.0), 1.0)) is float
    x = Value(2.0)
    assert len(topological_order(grad(x + x, x, create_graph=True))) == 2


def test_a_derivative_through_a_choice_follows_the_branch_taken_and_says_so() -> None:
    x, a = Value(2.0), Value(3.0)
    y = where(x > 0, a * a, a)
    slope = grad(y, a, create_graph=True)
    line = here().replace("line ", "line ").rpartition(" ")
    assert slope.data == 6.0
    assert grad(slope, a) == 2.0
    assert decided_at(x) == f"{line[0]} {int(line[2]) - 1}"
    assert decided_at(a) is None


def test_a_choice_between_constants_decides_nothing() -> None:
    x = Value(2.0)
    step = where(x > 0, where(x > 1, 3.0, 2.0), 0.0)
    slope = grad(step * x, x, create_graph=True)
    assert slope.data == 3.0
    assert decided_at(x) is None
    assert with_data(slope, {x: 0.5}) == 2.0


def test_a_choice_among_choices_decides_if_one_of_them_is_no_constant() -> None:
    x, z = Value(2.0), Value(1.0)
    inner = where(x > 1, 3.0, x * 2)
    slope = grad(where(z > 0, inner, 0.0) * x, x, create_graph=True)
    assert slope.data == 3.0
    assert decided_at(z) is not None


def test_a_choice_that_would_now_be_another_is_no_longer_differentiated() -> None:
    x, a = Value(2.0), Value(3.0)
    y = where((x > 0) & (a > 0), a, 0.0)
    x.data = -2.0
    with pytest.raises(ValueError, match="changed after the forward pass"):
        grad(y, a, create_graph=True)
    assert grad(y, a) == 1.0
    x.data = 5.0
    assert grad(y, a, create_graph=True).data == 1.0


# --- Copies ---------------------------------------------------------------------------------------


def check_twin(y: Value, twin: Value) -> None:
    """The same record over other nodes."""
    originals, copies = whole_order(y), whole_order(twin)
    assert not {*map(id, originals)} & {*map(id, copies)}
    places = [{id(x): i for i, x in enumerate(order)} for order in (originals, copies)]
    for x, other in zip(originals, copies, strict=True):
        assert type(x) is type(other)
        if isinstance(x, Condition):
            assert (x.truth, x.relation) == (other.truth, other.relation)
            assert len(x.operands) == len(other.operands)
        else:
            assert same(x.data, other.data)
            assert (x.label, x._op) == (other.label, other._op)
            assert all(map(same, x.partials, other.partials))
            assert x._constant == other._constant
            assert decided_at(x) == decided_at(other)
        assert [places[0][id(s)] for s in conditions.sources(x)] == [
            places[1][id(s)] for s in conditions.sources(other)
        ]


def test_a_shallow_copy_chooses_between_the_same() -> None:
    x, a = Value(1.0), Value(2.0)
    y = where(x > 0, a, 0.0)
    twin = copy.copy(y)
    assert twin is not y
    assert twin._prev[0] is choice_of(twin).if_true is a
    assert choice_of(twin).condition is choice_of(y).condition


WAYS: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy} | {
    f"pickle {protocol}": lambda x, p=protocol: pickle.loads(pickle.dumps(x, p))  # type: ignore[misc]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@every_way
def test_a_copy_has_both_branches_and_the_condition(way: Callable[[Any], Any]) -> None:
    x, a, b = Value(1.0, "x"), Value(2.0, "a"), Value(0.5, "b")
    condition = (x * a > b) & ~(x == 3) & True
    y = where(condition, a.exp(), (b - 1).log()) + where(~condition, 1.0, x)
    decide(b > 0)
    twin = way(y)
    check_twin(y, twin)
    choices = [choice_of(n) for n in topological_order(twin) if isinstance(n.operation, Choice)]
    assert choices[1].condition.left is choices[0].condition  # what was shared is shared
    y.backward()
    twin.backward()
    leaf = next(n for n in topological_order(twin) if n.label == "a")
    assert leaf.grad == a.grad


@every_way
def test_copies_are_made_together(way: Callable[[Any], Any]) -> None:
    x, a = Value(1.0), Value(2.0)
    condition = x > 0
    y, z = where(condition, a, 0.0), where(condition, 0.0, a * x)
    for order in itertools.permutations((condition, x, y, z, a)):
        names = dict(zip(map(id, order), way(order), strict=True))
        twin_of_x, twin_of_y, twin_of_z = (names[id(v)] for v in (x, y, z))
        twin = names[id(condition)]
        assert (twin.truth, twin.relation, twin.operands) == (True, ">", (twin_of_x, 0))
        assert twin.left is twin_of_x
        assert choice_of(twin_of_y).condition is choice_of(twin_of_z).condition is twin
        assert choice_of(twin_of_y).if_true is names[id(a)]
        assert choice_of(twin_of_z).if_false._prev == (names[id(a)], twin_of_x)


@every_way
def test_a_copy_of_random_choices(way: Callable[[Any], Any]) -> None:
    for seed in range(10):
        x = [Value(float(i)) for i in range(3)]
        y = random_choice(x, 3, random.Random(seed))
        check_twin(y, way(y))


@every_way
@pytest.mark.parametrize("many", [1_500, pytest.param(5_000, marks=pytest.mark.campaign)])
def test_a_deep_copy_goes_as_deep_as_there_is(way: Callable[[Any], Any], many: int) -> None:
    x = y = Value(1.0)
    alive = x > 0
    for i in range(many):
        alive = alive & (y > -i)
        y = where(alive, y + x, y * 2) if i % 2 else where(y < 0, 0.0, y)
    twin, twin_of_alive = way((y, alive))
    assert twin.data == y.data
    assert twin_of_alive.truth
    assert len(whole_order(twin)) == len(whole_order(y))
    twin.backward()
    alone = way(alive)
    assert len(whole_order(alone)) == len(whole_order(alive))


def test_a_copy_of_a_choice_and_of_a_condition() -> None:
    x, a = Value(1.0), Value(2.0)
    choice = choice_of(where(x > 0, a, x))
    for twin in (copy.deepcopy(choice), pickle.loads(pickle.dumps(choice))):
        assert twin.condition.left is twin.if_false is not x
        assert (twin.if_true.data, twin.taken) == (2.0, twin.if_true)
    condition = x > 0
    assert copy.copy(condition) is condition
    twin = copy.deepcopy(condition)
    assert twin.left is not x
    assert copy.copy(choice) is choice


def test_a_copy_keeps_the_decision() -> None:
    x = Value(1.0)
    y = x * 2
    if y > 1:
        y = y + 1
    for way in WAYS.values():
        twin = way(y)
        product = twin._prev[0]
        assert decided_at(product) == decided_at(x) is not None
        assert decided_at(product._prev[0]) == decided_at(x)
        assert decided_at(twin) is None


def test_choices_and_conditions_give_memory_back() -> None:
    gc.collect()
    gc.disable()
    try:
        x = Value(1.0)
        y = where((x > 0) & (x < 2), x * 2, x.exp())
        if y > 0:
            y = y * 1.0
        gone = weakref.ref(choice_of(y._prev[0]))
        copies = [copy.deepcopy(y), pickle.loads(pickle.dumps(y))]
        del y, copies
        assert gone() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- What people see ------------------------------------------------------------------------------


def test_a_choice_in_the_table() -> None:
    x, a = Value(2.0, "x"), Value(3.0, "a")
    y = where(x > 0, a, 0)
    step = explain(y, {"y": y})
    assert step.line(2) == "y = where(x > 0, a, 0) = where(2 > 0, 3, 0) = 3"
    assert step.line(4) == "a.grad: 0 + upstream 1 × ∂y/∂a (= 1 if x > 0 else 0) 1 = 0 + 1 → 1"
    assert step.gradients == {"a": 1.0}
    node = step.nodes[-1]
    assert (node.operation, node.symbol, node.operands) == ("where", "where", (0,))
    other = explain(where(x < 0, 0.0, a))
    assert "∂v1/∂a (= 0 if x < 0 else 1) 1" in other.line(4)


def test_what_is_compared_comes_before_the_choice() -> None:
    x, a = Value(2.0, "x"), Value(3.0, "a")
    root = where(x * 2 > 0, 1.0, 0.0) * a + x * x
    twice = choice_of(root._prev[0]._prev[0]).condition.left
    root = root * twice
    assert [node.name for node in record(root).nodes] == [
        *("x", "2", "v1", "1", "v2", "a", "v3", "v4", "v5", "v6")
    ]
    assert len(record(root).nodes) == len(topological_order(root))
    assert "v1 = x × 2" in str(explain(root))
    assert 'tooltip="v2 = where(v1 > 0, 1, 0): data' in draw(root).source


@pytest.mark.parametrize(
    ("make", "formula", "arithmetic"),
    [
        (lambda x, a: where(x <= a, a, x), "where(x ≤ a, a, x)", "where(2 ≤ 3, 3, 2)"),
        (lambda x, a: where(x != 2, a, x), "where(x ≠ 2, a, x)", "where(2 ≠ 2, 3, 2)"),
        (
            lambda x, a: where((x > 0) & ~(a == 1), a, x),
            "where(x > 0 and not (a = 1), a, x)",
            "where(2 > 0 and not (3 = 1), 3, 2)",
        ),
        (
            lambda x, a: where((x > 0) & (x > 1) & (a > 2) | (a < 0), a, x),
            "where((x > 0 and x > 1 and a > 2) or a < 0, a, x)",
            "where((2 > 0 and 2 > 1 and 3 > 2) or 3 < 0, 3, 2)",
        ),
        (
            lambda x, a: where((x > 0) & ((x > 1) | True), a, x),
            "where(x > 0 and (x > 1 or 1), a, x)",
            "where(2 > 0 and (2 > 1 or 1), 3, 2)",
        ),
        (
            lambda x, a: where(x * 2 > -1, a, a.log() - x),
            "where(x × 2 > −1, a, log(a) − x)",
            "where(2 × 2 > −1, 3, log(3) − 2)",
        ),
        (
            lambda x, a: where(x > 0, a, where(x < -1, 0.0, math.nan)),
            "where(x > 0, a, where(x < −1, 0, nan))",
            "where(2 > 0, 3, where(2 < −1, 0, nan))",
        ),
        (lambda x, a: where(Value(5.0) > 4, a, x), "where(5 > 4, a, x)", "where(5 > 4, 3, 2)"),
    ],
)
def test_a_choice_spelled_out(make: Callable[..., Value], formula: str, arithmetic: str) -> None:
    step = record(make(Value(2.0, "x"), Value(3.0, "a")))
    assert f" = {formula} = {arithmetic} = " in step.line(len(step.nodes))


def test_what_is_compared_is_called_by_its_variable() -> None:
    x, a, b = Value(2.0), Value(3.0), Value(4.0)
    y = where(x > 0, a, b)
    assert "where(x > 0, a, b)" in explain(y, locals()).line(2)
    assert "y = where(x > 0, a, b): data" in draw(y, locals()).source
    assert "where(2 > 0, x1, 4)" in explain(y).line(2)


def test_a_long_condition_is_cut_short() -> None:
    x, a = Value(2.0, "x"), Value(3.0, "a")
    condition = functools.reduce(operator.and_, (x > -i for i in range(5_000)))
    line = explain(where(condition, a, 0)).line(2)
    assert line.startswith("v1 = where(… and x > −")
    assert "x > −4999, a, 0)" in line
    assert len(line) < 1_000
    for _ in range(60):
        condition = condition & condition
    nested = a
    for i in range(5_000):
        nested = where(condition, a, where(x > i, nested * 2, nested))
    assert len(explain(nested).line(2)) < 1_000
    assert len(explain(where(~condition, a, nested)).line(2)) < 100_000


def test_a_choice_in_latex() -> None:
    x, a = Value(2.0, "x1"), Value(3.0, "a")
    y = where((x >= 0) & ~(a != 1) | (x < a), a, 0)
    latex = explain(y, {"y": y}).latex()
    condition = r"\left({0} \ge 0 \land \lnot \left({1} \ne 1\right)\right) \lor {0} < {1}"
    for words, taken in ((condition.format("x_{1}", "a"), "a"), (condition.format(2, 3), "3")):
        cases = rf"\begin{{cases}} {taken} & {words} \\ 0 & \text{{otherwise}} \end{{cases}}"
        assert cases in latex
    words = condition.format("x_{1}", "a")
    assert rf"\cdot \begin{{cases}} 1 & {words} \\ 0 & \text{{otherwise}} \end{{cases}}" in latex


def test_a_choice_in_a_drawing() -> None:
    x, a = Value(2.0, "x"), Value(3.0, "a")
    y = where(x > 0, a * 2, x)
    y.backward()
    for style in ("node", "circuit"):
        source = draw(y, style=style).source
        assert "where" in source
        assert "v2 = where(x > 0, v1, x): data = 6.0" in source
        assert "∂v2/∂v1 = 1 if x > 0 else 0 = 1; × upstream 1 = contribution 1" in source
        assert 'class="value where"' in source


def test_a_choice_that_would_now_be_another_is_not_explained() -> None:
    x, a = Value(2.0, "x"), Value(3.0, "a")
    step = explain(where(~(x > 0), 0.0, a))
    x.data = -2.0
    with pytest.raises(ValueError, match=re.escape("where(not (−2 > 0), 0, 3) = 3")):
        explain(step.root)
    x.data = 1.0
    assert "where(not (1 > 0), 0, 3) = 3" in explain(step.root).line(2)


def page_data(root: Value) -> Any:
    found = re.search(r'id="step-data">(.*?)</script>', page(root), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


LIVE: dict[str, tuple[Callable[[Value, Value], Value], bool]] = {
    "a number": (lambda x, a: where(x > 0, a * x, 0.0), True),
    "the other is taken": (lambda x, a: where(x < 0, 1.0, a), True),
    "a leaf of its own": (lambda x, a: where(x > 0, x, Value(2.0, "b")), True),
    "numbers inside": (lambda x, a: where(x > 0, 1.0, where(x <= 0, 0.0, math.nan)) * x, True),
    "combined": (lambda x, a: where((x > 0) & ~(a == 1) | True, x * a, 0.0), True),
    "a leaf decides": (lambda x, a: where(Value(3.0) > 0, x, 0.0), True),
    "computed": (lambda x, a: where(x > 0, a, x * a), False),
    "on the page": (lambda x, a: where(x > 0, a, x) * x, False),
    "the same": (lambda x, a: where(x > 0, a, a), False),
    "inside": (lambda x, a: where(x > 0, a, where(x > 1, a, 0.0)), False),
    "decided elsewhere": (lambda x, a: where(x * a > 0, a, 0.0), False),
    "too long": (
        lambda x, a: where(functools.reduce(operator.and_, (x > i for i in range(99))), a, 0.0),
        False,
    ),
}


@pytest.mark.parametrize("name", LIVE)
def test_a_page_recomputes_a_choice_if_it_holds_all_that_follows(name: str) -> None:
    make, live = LIVE[name]
    root = make(Value(2.0, "x"), Value(3.0, "a"))
    operations = page_data(root)["operations"]
    chosen = [operation for operation in operations if operation.get("choice")]
    assert chosen
    assert all(operation["live"] is live for operation in chosen)
    assert all("live" in operation for operation in operations)


def test_what_reached_a_parameter_by_way_of_a_result_is_no_decision_on_it() -> None:
    w, x = Value(0.5, "w"), Value(2.0, "x")
    decide((w * x - 1.0) ** 2 < 0.1)  # an earlier loss
    fresh = Value(0.0)
    compile_step(w * fresh, inputs=[fresh], parameters=[w], target="python")  # no warning
    decide(w > 0)
    with pytest.warns(DecisionWarning, match=decided_at(w)):
        compile_step(w * fresh, inputs=[fresh], parameters=[w], target="python")
