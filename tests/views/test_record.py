"""The record of a step: its table, its events, its arithmetic, its names and its mistakes."""

from __future__ import annotations

import html
import math
import re
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from graphs import MICROGRANT, random_program, run

from microgrant import Value, define, explain, topological_order, where
from microgrant.engine import NO_GRADIENT
from microgrant.nn import MLP, Module, Neuron
from microgrant.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from microgrant.views import MISTAKES, Contribution, Forward, Given, Record, Seed, Update, record
from microgrant.views.graph import Graph
from microgrant.views.naming import LARGEST_SEARCHED
from microgrant.views.player import page

GRAPHS = range(200)


def random_graph(seed: int) -> Value:
    """The root of a random program, its leaves labelled x0, x1, …"""
    program = random_program(seed)
    leaves = [Value(x, f"x{i}") for i, x in enumerate(program.leaves)]
    root: Value = run(program, leaves, MICROGRANT)[-1]
    return root


def bits(x: float) -> bytes:
    return struct.pack("<d", x)


def contributions(step: Record) -> list[Contribution]:
    return [event for event in step if isinstance(event, Contribution)]


def final_gradients(step: Record) -> list[float]:
    """What each node has in the end, by its place."""
    gradients = [0.0] * len(step.nodes)
    for event in step:
        if isinstance(event, Seed):
            gradients[event.node] = event.value
        elif isinstance(event, Contribution):
            gradients[event.operand] = event.after
    return gradients


def names_of(root: Value, names: dict[str, Any] | None = None) -> list[str]:
    graph = Graph(root, names, parameters=False)
    return [graph.called[value] for value in graph.order]


# --- The table ----------------------------------------------------------------------------------

NEURON = """\
given
  w1 = −3
  x1 = 2
  w2 = 1
  x2 = 0
  b  ≈ 6.881

forward pass
  v1 = w1 × x1 = −3 × 2       = −6
  v2 = w2 × x2 = 1 × 0        = 0
  v3 = v1 + v2 = −6 + 0       = −6
  n  = v3 + b  ≈ −6 + 6.881   ≈ 0.8814
  o  = tanh(n) ≈ tanh(0.8814) ≈ 0.7071

backward pass
  o.grad:  1   (the seed)
  n.grad:  0 + upstream 1   × ∂o/∂n (= 1 − o²) 0.5 = 0 + 0.5  → 0.5
  v3.grad: 0 + upstream 0.5 × ∂n/∂v3           1   = 0 + 0.5  → 0.5
  b.grad:  0 + upstream 0.5 × ∂n/∂b            1   = 0 + 0.5  → 0.5
  v1.grad: 0 + upstream 0.5 × ∂v3/∂v1          1   = 0 + 0.5  → 0.5
  v2.grad: 0 + upstream 0.5 × ∂v3/∂v2          1   = 0 + 0.5  → 0.5
  w2.grad: 0 + upstream 0.5 × ∂v2/∂w2 (= x2)   0   = 0 + 0    → 0
  x2.grad: 0 + upstream 0.5 × ∂v2/∂x2 (= w2)   1   = 0 + 0.5  → 0.5
  w1.grad: 0 + upstream 0.5 × ∂v1/∂w1 (= x1)   2   = 0 + 1    → 1
  x1.grad: 0 + upstream 0.5 × ∂v1/∂x1 (= w1)   −3  = 0 + −1.5 → −1.5

gradients
  ∂o/∂w1 = 1
  ∂o/∂x1 = −1.5
  ∂o/∂w2 = 0
  ∂o/∂x2 = 0.5
  ∂o/∂b  = 0.5"""


def test_the_table_of_a_neuron() -> None:
    w1, x1, w2, x2 = Value(-3.0), Value(2.0), Value(1.0), Value(0.0)
    b = Value(6.8813735870195432, label="b")
    n = w1 * x1 + w2 * x2 + b
    o = n.tanh()
    step = record(o, {"w1": w1, "x1": x1, "w2": w2, "x2": x2, "n": n, "o": o})
    assert str(step) == NEURON


def test_a_value_used_twice_has_two_rows() -> None:
    """And each of its two uses in x·x has the other one as its derivative."""
    x = Value(3.0, label="x")
    s = x * x
    y = s / x
    assert str(record(y, {"s": s, "y": y})).splitlines()[7:] == [
        "backward pass",
        "  y.grad: 1    (the seed)",
        "  s.grad: 0 +  upstream 1      × ∂y/∂s (= 1 / x)    0.3333 ≈ 0 + 0.3333 → 0.3333",
        "  x.grad: 0 +  upstream 1      × ∂y/∂x (= −(y / x)) −1     = 0 + −1     → −1",
        "  x.grad: −1 + upstream 0.3333 × ∂s/∂x⁽¹⁾ (= x⁽²⁾)  3      ≈ −1 + 1     → 0",
        "  x.grad: 0 +  upstream 0.3333 × ∂s/∂x⁽²⁾ (= x⁽¹⁾)  3      ≈ 0 + 1      → 1",
        "",
        "gradients",
        "  ∂y/∂x = 1",
    ]


def test_a_dead_relu_passes_on_zeros_without_a_sign() -> None:
    x = Value(-2.0, label="x")
    y = x.relu() * -3.0
    y.label = "y"
    table = str(record(y))
    assert "y  = v1 × −3 = 0 × −3   = 0" in table
    assert "x.grad:  0 + upstream −3 × ∂v1/∂x (= 1 if x > 0 else 0) 0  = 0 + 0  → 0" in table
    assert "−0" not in table


def test_constants_are_used_and_not_asked_for() -> None:
    x = Value(2.0, label="x")
    step = record(3.0 * x + 1.0)
    table = str(step)
    assert "v1 = 3 × x  = 3 × 2 = 6" in table
    assert "3.grad" not in table
    assert "∂v2/∂1" not in table
    assert step.line(6) == "(constant 1).grad: 0 + upstream 1 × ∂v2/∂1 1 = 0 + 1 → 1"
    assert step.gradients == {"x": 3.0}
    assert [(node.name, node.constant) for node in step.nodes] == [
        ("3", True),
        ("x", False),
        ("v1", False),
        ("1", True),
        ("v2", False),
    ]


def test_a_step_of_one_value() -> None:
    assert str(record(Value(3.0, label="x"))) == (
        "given\n  x = 3\n\nbackward pass\n  x.grad: 1 (the seed)\n\ngradients\n  ∂x/∂x = 1"
    )
    assert record(Value(3.0, label="x")).gradients == {"x": 1.0}
    assert str(record(Value(3.0))).startswith("given\n  x1 = 3\n")


def test_columns_stand_under_one_another() -> None:
    for seed in GRAPHS:
        for part in str(record(random_graph(seed))).split("\n\n"):
            title, *rows = part.splitlines()
            assert title in ("given", "forward pass", "backward pass", "gradients")
            if title == "backward pass":
                rows = rows[1:]  # the seed has no arithmetic
            assert len({row.index("→") for row in rows if "→" in row}) <= 1
            signs = {re.search(" [=≈] ", row) for row in rows if title != "backward pass"}
            assert len({sign.start() for sign in signs if sign}) <= 1


HOSTILE = ["a\nb", "a\r\nb", "a\x00b", "a\x0bb\x0cc", "a\x1b[31mb", "a\x85b", "a\u2028b\u2029c"]


@pytest.mark.parametrize("label", [*HOSTILE, "a\ud800b"], ids=ascii)
def test_a_label_cannot_break_a_row_or_a_terminal(label: str) -> None:
    x = Value(2.0, label=label)
    table = str(record(x * x))
    assert len(table.splitlines()) == len(str(record(Value(2.0, "x") ** 2)).splitlines()) + 1
    assert not [c for c in table if c != "\n" and unicodedata.category(c) in ("Cc", "Cs")]
    assert table.encode()
    assert "a�" in table


# --- Events -------------------------------------------------------------------------------------


def test_a_record_is_a_sequence_of_events() -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    step = record(a * b)
    assert len(step) == 5
    assert [type(event) for event in step] == [Given, Forward, Seed] + [Contribution] * 2
    assert step[0] == Given(nodes=(0, 1))
    assert step[1] == Forward(node=2, arithmetic="2 × −3")
    assert step[2] == Seed(node=2, value=1.0)
    assert step[-1] == Contribution(
        node=2, place=1, operand=1, upstream=1.0, local=2.0, contribution=2.0, before=0.0, after=2.0
    )
    assert step[3:] == tuple(contributions(step))


def test_what_a_node_of_the_record_holds() -> None:
    x = Value(2.0, label="x")
    y = (x**3).clip(0, 5)
    leaf, cube, clipped = record(y, {"y": y}).nodes
    assert (leaf.name, leaf.value, leaf.operation, leaf.symbol) == ("x", 2.0, "", "")
    assert (leaf.operands, leaf.formula, leaf.rules, leaf.constants) == ((), "", (), ())
    assert (cube.name, cube.value, cube.operation, cube.symbol) == ("v1", 8.0, "power", "**3")
    assert (cube.operands, cube.formula, cube.rules) == ((0,), "x³", ("3 × x²",))
    assert cube.constants == (3.0,)
    assert (clipped.name, clipped.value, clipped.constants) == ("y", 5.0, (0.0, 5.0))
    assert clipped.rules == ("0 if v1 < 0 else 0 if v1 > 5 else 1",)


def test_all_leaves_are_given_at_once_and_each_result_is_an_event_operands_first() -> None:
    for seed in GRAPHS:
        step = record(random_graph(seed))
        forward = [event.node for event in step if isinstance(event, Forward)]
        leaves = [place for place, node in enumerate(step.nodes) if not node.operation]
        assert step[0] == Given(tuple(leaves))
        assert forward == [place for place, node in enumerate(step.nodes) if node.operation]
        assert [type(event) for event in step[1 : len(forward) + 1]] == [Forward] * len(forward)
        for place, node in enumerate(step.nodes):
            assert all(operand < place for operand in node.operands)


def test_backward_is_one_event_for_each_use_results_first() -> None:
    for seed in GRAPHS:
        step = record(random_graph(seed))
        seeds = [event for event in step if isinstance(event, Seed)]
        assert seeds == [Seed(len(step.nodes) - 1, 1.0)]
        uses = [
            (place, use, operand)
            for place, node in reversed(list(enumerate(step.nodes)))
            for use, operand in enumerate(node.operands)
        ]
        assert [(e.node, e.place, e.operand) for e in contributions(step)] == uses


def test_a_square_of_itself_has_two_events() -> None:
    a = Value(3.0, label="a")
    first, second = contributions(record(a * a))
    assert (first.place, first.operand, first.local, first.after) == (0, 0, 3.0, 3.0)
    assert (second.place, second.operand, second.local, second.after) == (1, 0, 3.0, 6.0)


@pytest.mark.parametrize("mistake", [None, *MISTAKES])
def test_the_arithmetic_of_every_contribution_holds(mistake: str | None) -> None:
    graphs = (Value(1.5, "a") * 2, *map(random_graph, range(40)))
    for step in (record(root, mistake=mistake) for root in graphs if small(root)):
        gradients: dict[int, float] = {}
        last = {event.operand: event for event in contributions(step)}
        for event in contributions(step):
            assert bits(event.contribution) == bits(event.upstream * event.local)
            added = 0.0 if mistake == "overwrite" else event.before
            # What `backward` adds up in another order, it may round otherwise.
            rounds = mistake in (None, "no_zero_grad") and event is last[event.operand]
            small_change = 1e-14 * max(abs(event.before), abs(event.contribution)) * rounds
            right = pytest.approx(added + event.contribution, rel=0, abs=small_change)
            assert event.after == right
            assert event.before == gradients.get(event.operand, event.before)
            assert event.operand == step.nodes[event.node].operands[event.place]
            gradients[event.operand] = event.after


def small(root: Value) -> bool:
    """Whether naive recursion, which walks every path, comes to an end soon."""
    paths: dict[Value, int] = {}
    for node in topological_order(root):
        paths[node] = 1 + sum(paths[operand] for operand in node._prev)
    return paths[root] < 20_000


def test_upstream_is_complete_when_it_is_passed_on() -> None:
    for seed in GRAPHS:
        step = record(random_graph(seed))
        gradients = final_gradients(step)
        for event in contributions(step):
            assert bits(event.upstream) == bits(gradients[event.node])


def test_gradients_are_those_of_backward_bit_for_bit() -> None:
    for seed in GRAPHS:
        root = random_graph(seed)
        step = record(root)
        root.backward()
        order = Graph(root).order
        assert [*map(bits, final_gradients(step))] == [bits(node.grad) for node in order]
        assert step.gradients == {node.label: node.grad for node in order if node.label}


def test_no_gradient_is_read_or_written() -> None:
    root = random_graph(7)
    order = topological_order(root)
    for place, node in enumerate(order[::2]):
        node.grad = float(place)
    before = [node.grad for node in order]
    for mistake in (None, "overwrite", "no_zero_grad"):
        step = record(root, mistake=mistake)
        assert all(node.grad is grad for node, grad in zip(order, before, strict=True))
    assert sum(node.grad is NO_GRADIENT for node in order) == len(order) // 2
    assert step.gradients != {node.label: node.grad for node in order if node.label}


def test_the_step_is_the_one_that_happened() -> None:
    """A number changed afterwards changes nothing of the local derivatives."""
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    product = a * b
    b.data = 100.0
    assert record(product).gradients == {"a": -3.0, "b": 2.0}


def test_a_deep_graph() -> None:
    x = Value(1.0, label="x")
    y = x
    for _ in range(20_000):
        y = y + x
    step = record(y)
    assert len(step) == 1 + 20_000 + 1 + 40_000
    assert step.gradients == {"x": 20_001.0}


def test_an_operation_of_ones_own() -> None:
    double = define("double", lambda x: 2 * x, lambda m, out, x: (2.0,), symbol="⊕")
    curve = define(
        "curve", lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * math.exp(-x * x),)
    )
    x = Value(0.5, label="x")
    y = double(x)
    z = curve(y)
    step = record(z, {"y": y, "z": z})
    assert [node.formula for node in step.nodes] == ["", "double(x)", "curve(y)"]
    # The rule of curve works on numbers only, and so has no words.
    assert [node.rules for node in step.nodes] == [(), ("2",), ("∂curve/∂y",)]
    assert step.nodes[1].symbol == "⊕"
    assert step.gradients == {"x": pytest.approx(-4 * math.exp(-1))}


def test_an_operation_of_three_operands() -> None:
    fused = define("fused", lambda a, b, c: a * b + c, lambda m, out, a, b, c: (b, a, 1.0), arity=3)
    a, b, c = Value(2.0, "a"), Value(-3.0, "b"), Value(10.0, "c")
    step = record(fused(a, b, c))
    assert step.nodes[-1].rules == ("b", "a", "1")
    assert [event.place for event in contributions(step)] == [0, 1, 2]
    assert step.gradients == {"a": -3.0, "b": 2.0, "c": 1.0}


# --- Mistakes -----------------------------------------------------------------------------------


def doubled_twice() -> tuple[Value, dict[str, Value]]:
    a = Value(2.0)
    b = a + a
    c = b + b
    return c, {"a": a, "b": b, "c": c}


@pytest.mark.parametrize(
    ("mistake", "gradient"),
    [(None, 4.0), ("no_topological_order", 8.0), ("overwrite", 1.0), ("no_zero_grad", 8.0)],
)
def test_a_classic_mistake(mistake: str | None, gradient: float) -> None:
    root, names = doubled_twice()
    step = record(root, names, mistake)
    assert step.mistake == mistake
    assert step.gradients == {"a": gradient}
    root.backward()
    assert names["a"].grad == 4.0


def test_overwriting_forgets_the_first_use() -> None:
    x = Value(3.0, label="x")
    y = x * 5.0 + x * 7.0
    assert record(y).gradients == {"x": 12.0}
    step = record(y, mistake="overwrite")
    to_x = [e for e in contributions(step) if step.nodes[e.operand].name == "x"]
    assert [event.contribution for event in to_x] == [7.0, 5.0]
    assert step.gradients == {"x": 5.0}
    assert "0 +" not in str(step)
    # Where every value is used once, there is nothing to forget.
    neuron = (Value(2.0, "w") * Value(3.0, "x")).tanh()
    assert record(neuron, mistake="overwrite").gradients == record(neuron).gradients


def test_naive_recursion_passes_a_gradient_on_before_it_is_complete() -> None:
    root, names = doubled_twice()
    step = record(root, names, "no_topological_order")
    visits = Counter(event.node for event in contributions(step) if event.place == 0)
    assert visits == {2: 1, 1: 2}  # b once for each of its two uses
    tree = (Value(2.0, "w") * Value(3.0, "x")).tanh() + Value(1.0, "b")
    assert record(tree, mistake="no_topological_order").gradients == record(tree).gradients


def test_naive_recursion_over_too_many_paths() -> None:
    x = Value(1.0)
    for _ in range(40):
        x = x + x
    with pytest.raises(ValueError, match="once for every path to it: take a smaller graph"):
        record(x, mistake="no_topological_order")


def test_without_zero_grad_an_earlier_step_is_added() -> None:
    for seed in range(20):
        root = random_graph(seed)
        right = record(root).gradients
        twice = record(root, mistake="no_zero_grad").gradients
        root.backward()
        root.backward()
        leaves = {node.label: node.grad for node in topological_order(root) if node.label}
        assert twice == pytest.approx(leaves, rel=1e-12)
        assert twice == pytest.approx({name: 2 * x for name, x in right.items()}, rel=1e-9)


def test_an_unknown_mistake() -> None:
    with pytest.raises(ValueError, match=r"one of overwrite, no_topological_order, .*'other'"):
        record(Value(1.0), mistake="other")


# --- Names --------------------------------------------------------------------------------------


def test_a_label_comes_before_a_variable() -> None:
    a = Value(1.0, label="label")
    b = Value(2.0)
    total = a + b
    assert names_of(total, {"a": a, "b": b, "total": total}) == ["label", "b", "total"]


def test_names_are_those_of_locals() -> None:
    a, b = Value(1.0), Value(2.0)
    c = a + b
    named = names_of(c * 2, locals())
    assert named == ["a", "b", "c", "2", "v1"]


def test_names_inside_of_lists_and_dictionaries() -> None:
    x = [Value(1.0), (Value(2.0), {"k": Value(3.0), 4: Value(4.0)})]
    total = x[0] + x[1][0] + x[1][1]["k"] + x[1][1][4]
    named = names_of(total, {"x": x, "total": total})
    assert named == ["x[0]", "x[1][0]", "v1", "x[1][1]['k']", "v2", "x[1][1][4]", "total"]


def test_a_variable_comes_before_an_element_of_a_list() -> None:
    a = Value(1.0)
    values = [a, Value(2.0)]
    assert names_of(values[0] + values[1], {"values": values, "a": a}) == ["a", "values[1]", "v1"]


def test_names_of_parameters() -> None:
    model = MLP(1, [1, 1])
    out = model([Value(1.0, label="x")])
    neurons = [f"layers[{i}].neurons[0]" for i in range(2)]
    parameters = {f"{neuron}.{part}" for neuron in neurons for part in ("w[0]", "b")}
    for path, names in [("model", {"model": model}), ("nets[0]", {"nets": [model]})]:
        named = names_of(out, names)
        assert {f"{path}.{name}" for name in parameters} < set(named)
        assert named[:2] == ["x", f"{path}.layers[0].neurons[0].b"]


def test_a_class_is_not_searched() -> None:
    assert names_of(Value(1.0), {"Neuron": Neuron, "Module": Module}) == ["x1"]


def test_a_list_that_holds_itself_is_searched_once() -> None:
    loop: list[Any] = [Value(1.0)]
    loop.append(loop)
    assert names_of(loop[0] * loop[0], {"loop": loop}) == ["loop[0]", "v1"]


def test_data_is_not_searched() -> None:
    many = [Value(0.0) for _ in range(LARGEST_SEARCHED + 1)]
    assert names_of(many[0] + many[-1], {"many": many}) == ["x1", "x2", "v1"]
    assert names_of(many[0] + many[1], {"many": many[:-1]}) == ["many[0]", "many[1]", "v1"]


def test_a_private_variable_names_nothing() -> None:
    a = Value(1.5)
    assert names_of(a * a, {"_": a, "_a": a}) == ["x1", "v1"]
    assert names_of(a * a, {"_": a, "a": a}) == ["a", "v1"]


def test_two_of_one_name_are_told_apart() -> None:
    x, y, z = Value(1.0, label="w"), Value(2.0, label="w"), Value(3.0)
    assert names_of(x * y + z, {"w": z}) == ["w", "w′2", "v1", "w′3", "v2"]
    taken = Value(1.0, label="w′2") + (Value(2.0, label="w") + Value(3.0, label="w"))
    assert names_of(taken) == ["w′2", "w", "w′3", "v1", "v2"]


def test_names_that_are_made_up_skip_those_that_are_taken() -> None:
    a = Value(1.0, label="v1")
    b = (a + 1.0) * a
    assert names_of(b, {"v3": Value(0.0)}) == ["v1", "1", "v2", "v3"]
    assert names_of(b, {"v2": b}) == ["v1", "1", "v3", "v2"]


def test_no_two_values_have_one_name_unless_they_are_constants() -> None:
    for seed in range(50):
        root = random_graph(seed)
        order = topological_order(root)
        order[len(order) // 2].label = "v3"
        order[len(order) // 3].label = "x0"
        nodes = record(root).nodes
        names = [node.name for node in nodes if not node.constant]
        assert len(set(names)) == len(names)


def test_a_label_that_looks_like_a_constant() -> None:
    x = Value(3.0, label="2")
    step = record(x * 2.0)
    assert step.gradients == {"2": 2.0}
    assert [node.constant for node in step.nodes] == [False, True, False]


def test_constants_are_called_by_their_number() -> None:
    total = 1.0 / (3.0 + Value(5.0, "x")) + math.inf - 2.0
    constants = [name for name in names_of(total) if name[0] not in "vx"]
    assert constants == ["1", "3", "inf", "2"]


def test_what_goes_in_without_a_name_is_no_constant() -> None:
    x = Value(2.0)
    step = record(x * x * 3.0)
    assert step.gradients == {"x1": 12.0}
    assert [node.constant for node in step.nodes] == [False, False, True, False]


def test_a_state_that_there_is_not() -> None:
    step = record(Value(1.0, "x").exp())
    assert step.state(0) == ([None, None], [None, None])
    for number in (-1, 5):
        with pytest.raises(IndexError, match=f"the steps are numbered 0 to 4, but got {number}"):
            step.state(number)


def test_a_line_has_the_number_of_the_step_on_the_page() -> None:
    x, a = Value(2.0, "x"), Value(3.0, "a")
    step = explain((x * a).exp())
    rows = re.findall(r'href="#step=(\d+)">.*?<td>(.*?)</td>', page(step.root))
    assert [(int(number), html.unescape(line)) for number, line in rows] == [
        (number, step.line(number)) for number in range(1, len(step) + 1)
    ]
    for number in (0, len(step) + 1):
        with pytest.raises(IndexError, match="the steps are numbered 1 to 7, but got"):
            step.line(number)


def test_a_line_lists_as_much_of_what_is_given_as_can_be_read() -> None:
    leaves = [Value(float(i), f"x{i}") for i in range(30)]
    total = sum(leaves, Value(-1.0, "start"))
    assert record(total).line(1).endswith("x12 = 12, and 17 more")
    assert record(leaves[1] * 2.0).line(1) == "given: x1 = 1"
    assert record(Value(1.0, "x" * 200).exp()).line(1) == "given: and 1 more"
    assert record(where(leaves[1] > 0, 2.0, 3.0)).line(1) == "given: constants"
    assert str(record(total)).split("\n\n")[0].count("\n  x") == 30  # the table has them all


@pytest.mark.parametrize("names", [[1.0], ("x",), 3])
def test_names_that_are_no_dictionary(names: Any) -> None:
    with pytest.raises(TypeError, match="names is a dictionary of variables"):
        record(Value(1.0), names)


def test_the_same_label_many_times_is_quick_to_tell_apart() -> None:
    total = sum((Value(1.0, "x") for _ in range(20_000)), Value(0.0, "start"))
    names = names_of(total)
    assert "x" in names
    assert "x′20000" in names
    assert len(set(names)) == len(names)


# --- The third phase ------------------------------------------------------------------------------

OPTIMIZERS: list[Callable[[list[Value]], Optimizer]] = [
    lambda p: SGD(p, 0.1),
    lambda p: SGD(p, 0.1, weight_decay=0.01),
    lambda p: SGD(p, 0.1, momentum=0.9),
    lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda p: Adam(p, 0.1),
    lambda p: Adam(p, 0.1, betas=(0.8, 0.99), weight_decay=0.1),
    lambda p: AdamW(p, 0.1),
    lambda p: RMSprop(p, 0.1),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_an_update_is_what_the_optimizer_does(make: Callable[[list[Value]], Optimizer]) -> None:
    """To the bit, step after step; and what its equations tell is the same but for rounding."""
    w, x, b = Value(-3.0, "w"), Value(2.0, "x"), Value(0.5, "b")
    optimizer = make([w, b])
    for _ in range(5):
        loss = (w * x + b).tanh() ** 2
        before = [w.data, b.data], optimizer.state()
        step = explain(loss, optimizer=optimizer)
        assert ([w.data, b.data], optimizer.state()) == before  # it only looks
        updates = [event for event in step if isinstance(event, Update)]
        assert [step.nodes[update.node].name for update in updates] == ["w", "b"]
        loss.backward()
        assert [update.gradient for update in updates] == [w.grad, b.grad]
        optimizer.step()
        optimizer.zero_grad()
        assert [update.after for update in updates] == [w.data, b.data]
        for update in updates:
            told = update.equations[-1].value if update.equations else update.after
            assert told == pytest.approx(update.after, rel=1e-12)
            assert step.state(len(step))[0][update.node] == update.after
            assert step.line(len(step) - 1).startswith("w ← ") or len(update.equations) > 1


def test_an_update_is_told_in_numbers() -> None:
    w, x = Value(-3.0, "w"), Value(2.0, "x")
    loss = w * x
    loss.label = "L"
    step = explain(loss, optimizer=SGD([w], 0.1, momentum=0.9))
    assert step.line(len(step)) == (
        "v ← β × v + ∂L/∂w = 0.9 × 0 + 2 = 2; w ← w − η × v = −3 − 0.1 × 2 = −3.2"
    )
    assert str(step).endswith(
        "update\n  v ← β × v + ∂L/∂w = 0.9 × 0 + 2  = 2\n  w ← w − η × v     = −3 − 0.1 × 2 = −3.2"
    )
    assert r"w &\leftarrow w - \eta \cdot v = -3 - 0.1 \cdot 2 = -3.2" in step.latex()
    last = step.to_dict()["events"][-1]
    assert last["kind"] == "update"
    assert (last["before"], last["after"]) == (-3.0, -3.2)


def test_a_mistake_reaches_the_update() -> None:
    a = Value(2.0, "a")
    step = explain(a * 3 + a, optimizer=SGD([a], 0.1), mistake="overwrite")
    assert isinstance(step[-1], Update)
    assert step[-1].gradient == step.gradients["a"] != 4.0


def test_only_what_is_in_the_graph_is_updated() -> None:
    w, other = Value(1.0, "w"), Value(1.0, "other")
    step = explain(w * 2, optimizer=SGD([w, other], 0.1))
    assert sum(isinstance(event, Update) for event in step) == 1
    with pytest.raises(TypeError, match="optimizer is an optimizer, such as SGD"):
        explain(w * 2, optimizer=0.1)  # type: ignore[arg-type]
