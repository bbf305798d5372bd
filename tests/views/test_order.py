"""The order in which a step is told: as one would compute it by hand, and the same backwards."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from microgrant import Value, explain, topological_order, where
from microgrant.nn import MLP, RNN, Conv2d, Flatten, Layer, MaxPool2d, Module, Sequential
from microgrant.views import Contribution, record
from microgrant.views.graph import Graph
from tests.graphs import MICROGRANT, random_program, run


def values(names: str) -> list[Value]:
    return [Value(0.5 + place / 8, name) for place, name in enumerate(names.split())]


def told(root: Value, names: dict[str, Any] | None = None) -> list[str]:
    """The formulas of what is computed, in order."""
    return [node.formula for node in record(root, names).nodes if node.operation]


a, b, c, d, e, f, x, y = values("a b c d e f x y")


@pytest.mark.parametrize(
    ("root", "steps"),
    [
        ((a * b + c) ** 2, "a × b, v1 + c, v2²"),
        ((a * x + b * y + c).tanh(), "a × x, b × y, v1 + v2, v3 + c, tanh(v4)"),
        (a + b * c, "b × c, a + v1"),
        # A function or a bracket of one step waits for its turn, and one of more does not.
        (a * b + c * (d + e), "a × b, d + e, c × v2, v1 + v3"),
        (a * b + (c * d + e) * f, "c × d, v1 + e, a × b, v2 × f, v3 + v4"),
        (a * b + (c * d).tanh(), "c × d, tanh(v1), a × b, v3 + v2"),
        (a * b - c.tanh(), "a × b, tanh(c), v1 − v2"),
        (x**2 + 3.0 * x * y, "x², 3 × x, v2 × y, v1 + v3"),
        (1.0 / (1.0 + (-(a * x + b)).exp()), "a × x, v1 + b, −v2, exp(v3), 1 + v4, 1 / v5"),
        (a * b + c * d * e, "a × b, c × d, v2 × e, v1 + v3"),
        (a / b - (c - d * e), "d × e, c − v1, a / b, v3 − v2"),
        (a * b + where(c > 0, d * e, f), "d × e, where(c > 0, v1, f), a × b, v3 + v2"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_an_expression(root: Value, steps: str) -> None:
    assert ", ".join(told(root)) == steps


def test_what_is_used_twice_is_computed_once_and_first() -> None:
    scale = (a * x + b).exp()
    total = c * d + scale * e + scale
    assert told(total, {"scale": scale})[:3] == ["a × x", "v1 + b", "exp(v2)"]
    residual = a * x * 2.0
    assert told((residual + (b * residual).tanh()) * c) == [
        *["a × x", "v1 × 2", "b × v2", "tanh(v3)", "v2 + v4", "v5 × c"],
    ]


def by_hand(h: Value) -> Value:
    return Value(math.tanh(h.data), (h,), (1 - math.tanh(h.data) ** 2,))


@pytest.mark.parametrize(
    "activation", [Value.tanh, lambda h: h, by_hand], ids=["tanh", "linear", "by hand"]
)
def test_time_steps_by_hand(activation: Callable[[Value], Value]) -> None:
    w, u, h = values("w u h0")
    names: dict[str, Value] = {}
    for t, now in enumerate(values("x1 x2 x3"), 1):
        names[f"s{t}"] = h = w * now + u * h
        names[f"h{t}"] = h = activation(h)
    steps = [step for step in told(h, names) if "×" in step]
    inner = "s" if names["s1"] is names["h1"] else "h"
    assert steps == [
        *["w × x1", "u × h0", "w × x2", f"u × {inner}1", "w × x3", f"u × {inner}2"],
    ]


def test_layers_by_hand() -> None:
    """Without a module to be seen: all of a layer, and then the next one."""
    names: dict[str, Any] = {"x": values("x0 x1"), "one": [], "two": []}
    v, w = values("v0 v1"), [values("w00 w01"), values("w10 w11")]
    names["one"] = [(row[0] * x + row[1] * y).tanh() for row in w]
    names["two"] = [(v[0] * names["one"][i] + v[1] * names["one"][1 - i]).relu() for i in range(2)]
    loss = (names["two"][0] * a + names["two"][1] * b - c) ** 2
    named = [node.name for node in record(loss, names).nodes if node.name[:3] in ("one", "two")]
    assert named == ["one[0]", "one[1]", "two[0]", "two[1]"]


def test_rows_of_a_loss_come_one_after_the_other() -> None:
    random.seed(1)
    model = MLP(2, [2, 1])
    rows = [(values(f"p{i} q{i}"), Value(1.0, f"y{i}")) for i in range(3)]
    losses = [(1.0 - target * model(row)).relu() for row, target in rows]
    names = {"losses": losses, "model": model}
    steps = told(sum(losses, Value(0.0, "start")) / 3.0, names)
    found = [name for step in steps for name in step.split() if name[0] in "pqy"]
    once = [name for name, _ in groupby(found, key=lambda name: name[1])]
    assert once == ["0", "1", "2"]
    assert steps[-4:-1] == ["start + losses[0]", "v49 + losses[1]", "v50 + losses[2]"]


# --- Modules --------------------------------------------------------------------------------------


def walk(root: Value, backwards: bool = False) -> list[str]:
    """The boxes in which something is computed, or passed on, in order."""
    graph = Graph(root)
    places = [place for place, value in enumerate(graph.order) if value.operation]
    if backwards:
        events = [event for event in record(root) if isinstance(event, Contribution)]
        places = [event.node for event in events]
    names = [".".join(filter(None, (box.name for box in graph.paths[place]))) for place in places]
    return [name for name, _ in groupby(names)]


def test_layer_by_layer_and_in_it_neuron_by_neuron() -> None:
    model = MLP(2, [4, 4, 1])
    neurons = [f"layers[{i}].neurons[{j}]" for i in range(2) for j in range(4)]
    neurons.append("layers[2].neurons[0]")
    out = model(values("x1 x2"))
    assert walk(out) == neurons
    assert walk(out, backwards=True) == neurons[::-1]
    first = next(node for node in explain(out).nodes if node.operation)
    assert first.formula == "layers[0].neurons[0].w[0] × x1"


def test_linear_layers_too() -> None:
    model = Sequential(Layer(2, 2, nonlin=False), Layer(2, 2, nonlin=False))
    neurons = [f"modules[{i}].neurons[{j}]" for i in range(2) for j in range(2)]
    assert walk(sum(model(values("x1 x2")), Value(0.0))) == [*neurons, ""]


def test_time_steps_of_a_network() -> None:
    model = RNN(1, 2)
    inputs = values("x1 x2 x3")
    neurons = [f"cell.neurons[{i}]" for _ in inputs for i in range(2)]
    last = model(inputs)[-1]
    assert walk(last[0] + last[1]) == [*neurons, ""]
    names = [node.name for node in explain(last[0] + last[1]).nodes if node.name[0] == "x"]
    assert names == ["x1", "x2", "x3"]


def test_an_image_goes_through_one_layer_after_the_other() -> None:
    """What is pooled uses the outputs of the convolution in another order than they are told in."""
    random.seed(3)
    model = Sequential(Conv2d(1, 1, 3), MaxPool2d(2), Flatten(), Layer(4, 1))
    image = [[Value(random.random(), f"i{row}{column}") for column in range(6)] for row in range(6)]
    steps = explain(model([image])).nodes
    symbols = [node.symbol for node in steps if node.symbol in ("maximum", "ReLU", "relu")]
    assert len({node.symbol for node in steps}) == 5, symbols
    first = [step for step in told(model([image]), {"model": model}) if ".w[0] ×" in step]
    corners = [step.split()[-1] for step in first if "modules[0]" in step]
    assert corners == [f"i{row}{column}" for row in range(4) for column in range(4)]
    assert walk(model([image])) == ["modules[0].neurons[0]", "modules[1]", "modules[3].neurons[0]"]


def test_a_module_that_keeps_what_it_made_before() -> None:
    """What seems to be inside of a call was there before it: the order is one, all the same."""

    class Echo(Module):
        def forward(self, given: Value) -> Value:
            before, self.kept = self.kept, given.exp()
            return before

    echo = Echo()
    echo.kept = x.tanh()
    out = echo(echo.kept * 2.0) + echo(a) * echo.kept
    check_order(out)


# --- Any graph ------------------------------------------------------------------------------------


def check_order(root: Value) -> None:
    graph = Graph(root)
    assert set(graph.order) == set(topological_order(root))
    assert len(graph.order) == len(set(graph.order))
    assert graph.order[-1] is root
    for place, operands in enumerate(graph.operands):
        assert all(operand < place for operand in operands)
    assert [graph.order[place] for place in graph.engine_order] == topological_order(root)


@pytest.mark.parametrize("seed", range(100))
def test_it_is_a_topological_order(seed: int) -> None:
    program = random_program(seed)
    check_order(run(program, [Value(x) for x in program.leaves], MICROGRANT)[-1])


def losses_of(model: MLP) -> Value:
    rows = [[random.uniform(-1, 1) for _ in range(2)] for _ in range(10)]
    return sum(((1.0 - model(row)) ** 2 for row in rows), Value(0.0)) / 10.0


def last_state(model: RNN) -> Value:
    return sum(model([random.uniform(-1, 1) for _ in range(6)])[-1], Value(0.0))


@pytest.mark.parametrize(
    ("make", "use"),
    [(lambda: MLP(2, [4, 4, 1], "tanh"), losses_of), (lambda: RNN(1, 3), last_state)],
    ids=["MLP", "RNN"],
)
def test_gradients_are_those_of_backward_to_the_bit(
    make: Callable[[], Any], use: Callable[[Any], Value]
) -> None:
    """Although they are told in another order, in which a sum may be rounded otherwise."""
    random.seed(2)
    model = make()
    root = use(model)
    step = explain(root)
    root.backward()
    _, gradients = step.state(len(step))
    assert gradients == [value.grad for value in step.graph.order]
    for event in step:
        if isinstance(event, Contribution):
            assert event.upstream == step.graph.order[event.node].grad
            assert event.contribution == event.upstream * event.local


def chain(kind: str, length: int) -> Value:
    now, kept = Value(0.5, "x"), Value(0.25, "y")
    for _ in range(length):
        kept = kept + 1.0
    for _ in range(length):
        now = {
            "left": lambda now=now: now + x,
            "right": lambda now=now: x + now * x,
            "twice": lambda now=now: now + now,
            "far": lambda now=now: (now + kept).tanh(),
            "where": lambda now=now: where(now > 0, now * x, now + x),
        }[kind]()
    return now


@pytest.mark.parametrize("kind", ["left", "right", "twice", "far", "where"])
def test_a_long_chain(kind: str) -> None:
    check_order(chain(kind, 5_000 if kind == "where" else 20_000))
