"""Results that a program computes by hand, as programs for micrograd and microgpt do; and what else
such programs do with a Value: walk, note attributes on it, refer to it weakly."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from microgrant import (
    AnomalyError,
    TargetWarning,
    Value,
    compile,
    detect_anomaly,
    draw,
    explain,
    grad,
    no_grad,
    topological_order,
    where,
)
from microgrant.engine.by_hand import local_derivatives, nothing
from microgrant.losses import mean_squared_error
from microgrant.nn import Neuron
from microgrant.optim import SGD
from microgrant.training import fit
from microgrant.views.player.document import page


def exp(x: Value) -> Value:
    """An operation as the lecture adds it."""
    out = Value(math.exp(x.data), (x,), "exp")

    def _backward() -> None:
        x.grad += out.data * out.grad

    out._backward = _backward
    return out


def times(a: Value, b: Value) -> Value:
    """The same of two operands, and with a label."""
    out = Value(a.data * b.data, (a, b), "*", label="product")

    def _backward() -> None:
        a.grad += b.data * out.grad
        b.grad += a.data * out.grad

    out._backward = _backward
    return out


def product(a: Value, b: Value) -> Value:
    """As microgpt writes it."""
    return Value(a.data * b.data, (a, b), (b.data, a.data))


# --- What is recorded -----------------------------------------------------------------------------


def test_a_result_keeps_its_operands_and_its_sign() -> None:
    a, b = Value(2.0, "a"), Value(3.0, "b")
    out = times(a, b)
    assert (out.data, out.label, out._op, out.grad) == (6.0, "product", "*", 0.0)
    assert out.operands == out._prev == out._children == (a, b)
    assert out.partials == (3.0, 2.0)
    assert topological_order(out) == [a, b, out]


def test_the_names_of_arguments_are_those_of_micrograd() -> None:
    a = Value(2.0)
    for out in (
        Value(4.0, (a, a), "+", "sum"),
        Value(4.0, _children=(a, a), _op="+", label="sum"),
        Value(data=4.0, _children=[a, a], _op="+", label="sum"),
    ):
        assert (out.data, out._op, out.label, len(out._prev)) == (4.0, "+", "sum", 2)
    assert [Value(1.0, "x").label, Value(1.0, label="x").label, Value(1.0, ()).label] == [
        "x",
        "x",
        "",
    ]
    assert Value(1.0, "x").operation is Value(1.0, (), "").operation is None
    assert Value(1.0, [], "constant").operation is None
    assert Value(1.0, (a,))._op == "·"


def test_local_derivatives_are_recorded_as_they_are_given() -> None:
    a, b = Value(2.0), Value(3.0)
    out = product(a, b)
    assert (out._op, out.partials) == ("·", (3.0, 2.0))
    assert grad(out * a, [a, b]) == [12.0, 4.0]
    (out * a).backward()
    assert (a.grad, b.grad) == (12.0, 4.0)
    many = Value(6.0, [a, b, a], [1, 1, 1])
    assert grad(many, [a, b]) == [2.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((2.0, 5), "a text, or the tuple of Values .* but got int 5"),
        ((2.0, None), "a text, or the tuple of Values .* but got NoneType None"),
        ((2.0, Value(1.0), "exp"), "tuple of Values .* but got Value Value"),
        ((2.0, (1.0,), "exp"), r"tuple of Values .* but got tuple \(1.0,\)"),
        ((2.0, {Value(1.0)}, "exp"), "tuple of Values .* but got set"),
        ((2.0, (Value(1.0),), 3.0), "sign of its operation, a text, or the tuple .* got float 3.0"),
        ((2.0, (Value(1.0),), (3.0, 4.0)), r"here 1, but got tuple \(3.0, 4.0\)"),
        ((2.0, (Value(1.0),), ("a",)), "expected one real number, but got str 'a'"),
        ((2.0, (), "", 5), "a label is text, but got int 5"),
    ],
)
def test_what_cannot_be_recorded_is_named(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Value(*arguments)


# --- Backward -------------------------------------------------------------------------------------


def test_backward_calls_what_was_put_there() -> None:
    x, w = Value(0.5), Value(2.0)
    y = exp(x) * w + times(x, w)
    y.backward()
    assert x.grad == pytest.approx(2 * math.exp(0.5) + 2, rel=1e-15)
    assert w.grad == pytest.approx(math.exp(0.5) + 0.5, rel=1e-15)


def test_leaves_add_up_and_results_begin_anew() -> None:
    x = Value(0.5)
    trunk = exp(x)
    (trunk * 2).backward()
    (trunk * 3).backward()
    assert trunk.grad == 3.0
    assert x.grad == pytest.approx(5 * math.exp(0.5), rel=1e-15)


def test_what_hands_nothing_on_has_no_gradient_to_give() -> None:
    x = Value(0.5)
    y = Value(1.0, (x,), "step") + x
    y.backward()
    assert x.grad == 1.0


def test_a_backward_of_ones_own_takes_the_place_of_ours() -> None:
    a, b = Value(2.0), Value(3.0)
    for out in (a * b, a**2, where(a > 0, a, b), a.maximum(b)):
        out.label, operands = "out", out.operands
        calls: list[Value] = []
        out._backward = lambda out=out, calls=calls: calls.append(out)
        (out * 2).backward()
        assert len(calls) == 1
        assert calls[0] is out
        assert (out.grad, out.label, out.operands) == (2.0, "out", operands)
    assert (a.grad, b.grad) == (0.0, 0.0)


def test_a_leaf_hands_nothing_on() -> None:
    x = Value(2.0, "x")
    x.grad = 1.0
    x._backward()
    assert x.grad == 1.0
    x._backward = lambda: None  # as constructors of micrograd's kind say it
    (x * 3).backward()
    assert x.grad == 4.0
    with pytest.raises(TypeError, match="a function without arguments, but got NoneType None"):
        (x * 3)._backward = None  # type: ignore[assignment]


def test_a_backward_can_be_wrapped() -> None:
    for make in (lambda a: a * 3, lambda a: where(a > 0, a * 3, a), exp, lambda a: product(a, a)):
        a = Value(2.0)
        out, plain = make(a), make(twin := Value(2.0))
        seen: list[float] = []
        original = out._backward

        def logged(out: Value = out, original: Any = original, seen: list[float] = seen) -> None:
            seen.append(out.grad)
            original()

        out._backward = logged
        out.backward()
        plain.backward()
        assert seen == [1.0]
        assert a.grad == twin.grad


def test_gradients_are_kept_when_a_backward_raises() -> None:
    w = Value(2.0)
    w.grad = 5.0
    out = Value(2.0, (w,), "broken")

    def _backward() -> None:
        raise RuntimeError("on purpose")

    out._backward = _backward
    with pytest.raises(RuntimeError, match="on purpose"):
        out.backward()
    assert w.grad == 5.0


def test_without_recording_there_is_nothing_to_hand_on() -> None:
    with no_grad():
        y = exp(Value(1.0))
    assert (y.data, y.operands) == (math.e, ())


def test_the_first_nan_is_found_in_what_was_computed_by_hand() -> None:
    x = Value(-1.0, "x")
    with (
        pytest.raises(AnomalyError, match=r"log\(x = -1.0\) is nan, made by"),
        detect_anomaly(),
    ):
        Value(math.nan, (x,), "log")
    assert math.isnan(Value(math.nan, (x,), "log").data)


# --- By hand, node after node ---------------------------------------------------------------------


def test_the_walk_of_the_lecture() -> None:
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    x1w1, x2w2 = x1 * w1, x2 * w2
    total = x1w1 + x2w2
    n = total + b
    n.label = "n"
    o = n.tanh()
    o.grad = 1.0
    for node in (o, n, b, total, x1w1, x2w2):
        node._backward()
    assert [x1.grad, w1.grad, x2.grad, w2.grad] == pytest.approx([-1.5, 1.0, 0.5, 0.0], abs=1e-9)
    assert (b.grad, n.grad) == pytest.approx((0.5, 0.5), abs=1e-9)


def test_a_topological_walk_by_hand_is_backward() -> None:
    def graph() -> tuple[Value, list[Value]]:
        a, b = Value(2.0), Value(-3.0)
        c = exp(a * 0.1) + a.maximum(b) ** 2 + where(a > b, a * b, 0.0)
        return c.tanh() + product(a, c), [a, b, c]

    root, values = graph()
    root.backward()
    twin, by_hand = graph()
    topo: list[Value] = []
    visited = []

    def build(v: Value) -> None:
        if v not in visited:
            visited.append(v)
            for child in v._prev:
                build(child)
            topo.append(v)

    build(twin)
    twin.grad = 1.0
    for node in reversed(topo):
        node._backward()
    assert len(topo) == len(topological_order(twin))
    assert [v.grad for v in by_hand] == [v.grad for v in values]


def test_a_trace_with_lists_finds_every_node() -> None:
    x = [Value(1.0), Value(1.0), Value(1.0)]  # equal numbers, and yet three
    total = sum((w * 1.0 for w in x), Value(1.0))
    nodes: list[Any] = []
    edges: list[Any] = []

    def trace(v: Value) -> None:
        if v not in nodes:
            nodes.append(v)
            for child in v._prev:
                edges.append((child, v))
                trace(child)

    trace(total)
    assert len(nodes) == len(topological_order(total)) == 13
    assert len(edges) == 12
    assert [nodes.index(node) for node in nodes] == list(range(13))
    nodes.remove(total)
    assert total not in nodes


class Wider(Value):
    """A subclass that adds operations by hand."""

    def sinh(self) -> Wider:
        out = Wider(math.sinh(self.data), (self,), "sinh")

        def _backward() -> None:
            self.grad += math.cosh(self.data) * out.grad

        out._backward = _backward
        return out


def test_a_subclass_adds_operations() -> None:
    x = Wider(0.5, label="x")
    y = x.sinh().sinh() * x + 1
    y.backward()
    sinh = math.sinh(0.5)
    slope = math.cosh(sinh) * math.cosh(0.5) * 0.5 + math.sinh(sinh)
    assert x.grad == pytest.approx(slope, rel=1e-15)
    assert "sinh" in draw(y).source


# --- Drawn and explained --------------------------------------------------------------------------


def test_it_is_drawn_and_explained() -> None:
    x, w = Value(0.5, "x"), Value(2.0, "w")
    y = times(exp(x), w)
    y.backward()
    source = draw(y).source
    assert all(sign in source for sign in ("exp", "*", "product"))
    step = explain(y)
    table = " ".join(str(step).split())
    assert "v1 = exp(x) = exp(0.5) ≈ 1.649 product = v1 * w ≈ 1.649 * 2 ≈ 3.297" in table
    assert "x.grad: 0 + upstream 2 × ∂v1/∂x (= ∂exp/∂x) 1.649 ≈ 0 + 3.297 → 3.297" in table
    assert r"\circ" in step.latex()
    assert json.loads(step.to_json())["gradients"]["x"] == pytest.approx(2 * math.exp(0.5))
    assert "v1 = exp(x) = exp(0.5) ≈ 1.649" in page(y)
    assert x.grad == pytest.approx(2 * math.exp(0.5))


def test_local_derivatives_are_explained_without_a_name() -> None:
    a, b = Value(2.0, "a"), Value(3.0, "b")
    table = " ".join(str(explain(product(a, b))).split())
    assert "v1 = a · b = 2 · 3 = 6" in table
    assert "a.grad: 0 + upstream 1 × ∂v1/∂a (= ∂·/∂a) 3 = 0 + 3 → 3" in table


def test_what_is_explained_is_what_was_added() -> None:
    """A `_backward` may bound what it hands on: then it is not in proportion to the gradient."""
    x = Value(3.0, "x")
    bounded = Value(3.0, (x,), "bounded")

    def _backward() -> None:
        x.grad += max(-1.0, min(1.0, bounded.grad))

    bounded._backward = _backward
    y = bounded * 5
    y.backward()
    assert x.grad == 1.0
    step = explain(y)
    assert step.gradients == {"x": 1.0}
    assert "upstream 5 × ∂v1/∂x (= ∂bounded/∂x) 0.2 = 0 + 1 → 1" in str(step)
    assert " 0.2 × 5 " in draw(y).source
    bounded.grad = math.inf
    assert " 1 × inf " in draw(bounded).source
    bounded.grad = 5.0
    assert (x.grad, bounded.grad) == (1.0, 5.0)  # nobody's gradient was touched


def test_of_what_the_table_computes_the_local_derivatives_are_the_recorded_ones() -> None:
    y = Value(3.0) * 1e200
    assert local_derivatives(y, 1e200) == y.partials == (1e200, 3.0)


def test_an_operand_used_twice_counts_once() -> None:
    x = Value(3.0, "x")
    square = Value(9.0, (x, x), "*")

    def _backward() -> None:
        x.grad += 2 * x.data * square.grad

    square._backward = _backward
    assert square.partials == (6.0, 0.0)
    assert explain(square).gradients == {"x": 6.0}


def test_it_is_written_as_a_call_or_with_the_sign_between() -> None:
    a, b = Value(2.0, "a"), Value(3.0, "b")
    for sign, operands, text, latex in (
        ("pow", (a, b), "pow(a, b) = pow(2, 3)", r"\operatorname{pow}\left(a, b\right)"),
        ("my_op", (a,), "my_op(a) = my_op(2)", r"\operatorname{my\_op}\left(a\right)"),
        ("^", (a, b), "a ^ b = 2 ^ 3", r"a \circ b"),
        ("!", (a,), "!(a) = !(2)", r"\circ\left(a\right)"),
        ("}", (a, b), "a } b = 2 } 3", r"a \circ b"),
    ):
        step = explain(Value(8.0, operands, sign))
        assert f"v1 = {text} = 8" in " ".join(str(step).split())
        assert f"&= {latex} = " in step.latex()


@pytest.mark.parametrize("sign", ["{0}", "%", "a b", "\\", "<b>", "$", "∘", "my_op", "}{"])
def test_any_sign_can_be_drawn_and_explained(sign: str) -> None:
    for out in (Value(1.0, (Value(2.0), Value(3.0)), sign), Value(1.0, (Value(2.0),), sign)):
        assert out._op == sign
        assert explain(out).latex()
        assert sign in str(explain(out))
        assert draw(out).pipe("svg")


# --- What needs a rule refuses --------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda x: grad(exp(x), x),
        lambda x: grad(exp(x) * x, [x], create_graph=True),
        lambda x: grad(product(x, x), x, create_graph=True),
        lambda x: compile(exp(x) * x, inputs=[x]),
        lambda x: compile(product(x, x), inputs=[x]),
        lambda x: compile(Value(1.0, (x,), "step"), inputs=[], parameters=[x]),
    ],
)
def test_what_needs_a_rule_names_define(use: Callable[[Value], object]) -> None:
    with pytest.raises(
        ValueError, match=r"computed by hand .* define\(.name., forward, partials\)"
    ):
        use(Value(0.5))


def test_a_model_with_it_is_trained_by_python() -> None:
    neuron = Neuron(1, activation="linear")

    def model(x: Value) -> Value:
        return exp(neuron([x]))

    xs, ys = [0.0, 0.5, 1.0], [1.0, math.exp(0.5), math.e]
    with pytest.warns(TargetWarning, match="without being compiled: a result was computed by hand"):
        history = fit(
            model, mean_squared_error, (xs, ys), epochs=200, optimizer=SGD(neuron.parameters(), 0.1)
        )
    assert history.loss[-1] < 1e-4


@pytest.mark.parametrize("save", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_function_of_the_program_is_not_copied(save: Callable[[Value], Any]) -> None:
    with pytest.raises(
        TypeError, match=r"cannot be copied or saved: its `_backward` is a function"
    ):
        save(exp(Value(0.5)))


def test_local_derivatives_are_copied_and_saved() -> None:
    x = Value(0.5)
    y = product(x, x) * 2
    for twin in (copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        leaf = topological_order(twin)[0]
        twin.backward()
        assert leaf.grad == 2.0
        assert twin.operands[0]._op == "·"
    assert x.grad == 0.0


# --- Attributes, and weak references --------------------------------------------------------------


def test_a_value_takes_attributes() -> None:
    p: Any = Value(2.0)
    p.m = p.v = 0.0
    node = p * 3
    setattr(node, "_color", "red")  # noqa: B010
    assert (p.m, p.v, node._color) == (0.0, 0.0, "red")
    with pytest.raises(AttributeError):
        p.w  # noqa: B018


def test_attributes_are_copied_and_saved() -> None:
    p: Any = Value(2.0)
    node = p * 3
    root = node + 1
    p.m, p.twin, node.users = 0.5, p, [root, node]
    for twin in (copy.deepcopy(root), pickle.loads(pickle.dumps(root))):
        inner = twin.operands[0]
        leaf = inner.operands[0]
        assert leaf.m == 0.5
        assert leaf.twin is leaf
        assert inner.users[0] is twin
        assert inner.users[1] is inner
    shallow = copy.copy(p)
    assert (shallow.m, shallow.twin is p) == (0.5, True)


def test_what_was_computed_by_hand_is_let_go_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        x = Value(0.5)
        gone = [weakref.ref(y) for y in (product(x, x), Value(1.0, (x,), "step"))]
        y = product(x, x) * 2
        named = exp(x)
        gone += [weakref.ref(y), weakref.ref(named.operation)]
        named._backward = nothing  # without the cycle that the function of the program closes
        del y, named
        assert [reference() for reference in gone] == [None] * 4
    finally:
        gc.enable()


def test_a_value_can_be_referred_to_weakly() -> None:
    leaf = Value(2.0)
    node = leaf * 3
    references = [weakref.ref(leaf), weakref.ref(node)]
    seen = weakref.WeakKeyDictionary({leaf: 1})
    assert references[0]() is leaf
    assert seen[leaf] == 1
    del leaf, node
    assert [reference() for reference in references] == [None, None]
    assert not seen


def test_what_a_node_costs() -> None:
    """128 bytes and a float, as before it took attributes; and at most 16 for these."""
    program = """
import tracemalloc
from microgrant import Value
x = Value(1.0)
warm = [x + x for _ in range(100)]
tracemalloc.start()
nodes = [None] * 10_000
before = tracemalloc.get_traced_memory()[0]
for i in range(len(nodes)):
    nodes[i] = x + x
print((tracemalloc.get_traced_memory()[0] - before) / len(nodes))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 128 + 24 + 17
