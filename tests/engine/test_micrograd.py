"""Code written for micrograd and for microgpt runs here after changing its import.

micrograd itself stands beside it where it is installed. Its numbers from one such run are recorded
too, so that the comparison is made everywhere.
"""

from __future__ import annotations

import importlib
import math
import random
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from microgrant.engine import Value
from microgrant.nn import MLP, Layer, Neuron

# --- The example of micrograd's README ----------------------------------------------------------


def test_the_readme_example() -> None:
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


# --- Its test file ------------------------------------------------------------------------------


def test_sanity_check() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def compute(x: Any) -> Any:
        z = 2 * x + 2 + x
        q = z.relu() + z * x
        h = (z * z).relu()
        return h + q + q * x

    x = Value(-4.0)
    y = compute(x)
    y.backward()
    xt = torch.tensor([-4.0], dtype=torch.float64, requires_grad=True)
    yt = compute(xt)
    yt.backward()
    assert y.data == yt.data.item()
    assert x.grad == xt.grad.item()


def test_more_ops() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def compute(a: Any, b: Any) -> Any:
        c = a + b
        d = a * b + b**3
        c = c + c + 1
        c = c + 1 + c + (-a)
        d = d + d * 2 + (b + a).relu()
        d = d + 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        return g + 10.0 / f

    a, b = Value(-4.0), Value(2.0)
    g = compute(a, b)
    g.backward()
    at, bt = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (-4.0, 2.0))
    gt = compute(at, bt)
    gt.backward()
    assert g.data == pytest.approx(gt.data.item(), rel=1e-15)
    assert a.grad == pytest.approx(at.grad.item(), rel=1e-15)
    assert b.grad == pytest.approx(bt.grad.item(), rel=1e-15)


# --- Its notebook that draws --------------------------------------------------------------------


def trace(root: Any) -> tuple[set[Any], set[tuple[Any, Any]]]:
    nodes, edges = set(), set()

    def build(v: Any) -> None:
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def draw_dot(root: Any, format: str = "svg", rankdir: str = "LR") -> Any:
    graphviz = pytest.importorskip("graphviz", reason="graphviz is not installed")
    nodes, edges = trace(root)
    dot = graphviz.Digraph(format=format, graph_attr={"rankdir": rankdir})
    for n in nodes:
        label = "{ data %.4f | grad %.4f }" % (n.data, n.grad)  # noqa: UP031
        dot.node(name=str(id(n)), label=label, shape="record")
        if n._op:
            dot.node(name=str(id(n)) + n._op, label=n._op)
            dot.edge(str(id(n)) + n._op, str(id(n)))
    for n1, n2 in edges:
        dot.edge(str(id(n1)), str(id(n2)) + n2._op)
    return dot


def test_the_notebook_that_draws() -> None:
    random.seed(1337)
    n = Neuron(2)
    x = [Value(1.0), Value(-2.0)]
    y = n(x)
    y.backward()
    source = draw_dot(y).source
    nodes, edges = trace(y)
    assert len(nodes) == 5 + 5  # two inputs, two weights, a bias; two *, two +, a ReLU
    assert len(edges) == 9
    assert source.count("shape=record") == 10
    assert source.count("->") == 9 + 5
    assert sorted(node._op for node in nodes if node._op) == ["*", "*", "+", "+", "ReLU"]
    assert "{ data 1.0000 | grad" in source


def test_operations_are_labelled_as_in_micrograd() -> None:
    x = Value(2.0)
    assert [(x + 1)._op, (x * 2)._op, (x**3)._op, (x**-1)._op, x.relu()._op, x._op] == [
        "+", "*", "**3", "**-1", "ReLU", "",
    ]  # fmt: skip


# --- Its notebook that trains -------------------------------------------------------------------


def two_moons(count: int) -> tuple[list[list[float]], list[int]]:
    """Two half circles, each around an end of the other, with some noise."""
    rng = random.Random(7)
    points, labels = [], []
    for i in range(count):
        angle, label = math.pi * rng.random(), 2 * (i % 2) - 1
        x, y = math.cos(angle), math.sin(angle)
        if label == 1:
            x, y = 1 - x, 0.5 - y
        points.append([x + rng.gauss(0, 0.1), y + rng.gauss(0, 0.1)])
        labels.append(label)
    return points, labels


STEPS, ROWS = 5, 20


def train_on_moons(package: str, numpy: ModuleType | None = None) -> list[float]:
    """The loop of the notebook, in micrograd or here; the loss of each step."""
    value = importlib.import_module(f"{package}.engine").Value
    random.seed(1337)
    model = importlib.import_module(f"{package}.nn").MLP(2, [16, 16, 1])
    points, labels = two_moons(ROWS)
    X, y = (numpy.array(points), numpy.array(labels)) if numpy else (points, labels)  # noqa: N806

    def loss() -> tuple[Any, float]:
        inputs = [list(map(value, row)) for row in X]
        scores = list(map(model, inputs))
        losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        alpha = 1e-4
        reg_loss = alpha * sum(p * p for p in model.parameters())
        right = [(yi > 0) == (score.data > 0) for yi, score in zip(y, scores, strict=True)]
        return data_loss + reg_loss, sum(right) / len(right)

    seen = []
    for k in range(STEPS):
        total_loss, _ = loss()
        model.zero_grad()
        total_loss.backward()
        learning_rate = 1.0 - 0.9 * k / 100
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        seen.append(total_loss.data)
    return seen


# The losses of the same steps in micrograd 0.1.0, on Python 3.11.
RECORDED = [
    0.9045966322804675,
    1.0638814567793478,
    0.6923357263430687,
    0.5655265853915765,
    0.9228333217659259,
]


def test_moons_give_the_losses_recorded_from_micrograd() -> None:
    assert train_on_moons("microgrant") == pytest.approx(RECORDED, rel=1e-12)


@pytest.mark.slow
def test_moons_give_the_losses_of_micrograd() -> None:
    pytest.importorskip("micrograd", reason="micrograd is not installed")
    theirs = train_on_moons("micrograd")
    assert theirs == pytest.approx(RECORDED, rel=1e-12)
    assert train_on_moons("microgrant") == pytest.approx(theirs, rel=1e-12)


def test_moons_as_numpy_arrays() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    assert train_on_moons("microgrant", numpy) == pytest.approx(RECORDED, rel=1e-12)


# --- The same parameters ------------------------------------------------------------------------


def test_parameters_of_a_seed_are_those_of_micrograd() -> None:
    random.seed(1337)
    model = MLP(3, [4, 2])
    random.seed(1337)
    expected: list[float] = []
    for inputs, outputs in ((3, 4), (4, 2)):
        for _ in range(outputs):
            expected += [random.uniform(-1, 1) for _ in range(inputs)] + [0.0]
    assert [p.data for p in model.parameters()] == expected


def test_parameters_and_names_of_micrograd_itself() -> None:
    theirs = pytest.importorskip("micrograd.nn", reason="micrograd is not installed")
    for make in (
        lambda nn: nn.Neuron(3),
        lambda nn: nn.Neuron(3, nonlin=False),
        lambda nn: nn.Layer(2, 3, nonlin=True),
        lambda nn: nn.MLP(2, [3, 3, 1]),
    ):
        random.seed(5)
        original = make(theirs)
        random.seed(5)
        ours = make(importlib.import_module("microgrant.nn"))
        assert repr(ours) == repr(original)
        assert [p.data for p in ours.parameters()] == [p.data for p in original.parameters()]


def test_the_parts_that_people_reach_into() -> None:
    random.seed(1)
    neuron, layer, model = Neuron(2), Layer(2, 3), MLP(2, [3, 1])
    assert len(neuron.w) == 2
    assert neuron.b.data == 0.0
    assert neuron.nonlin is True
    assert len(layer.neurons) == 3
    assert [len(part.neurons) for part in model.layers] == [3, 1]
    assert model.layers[0].neurons[0].w[1] is model.parameters()[1]


# --- Code written for microgpt ------------------------------------------------------------------


class Bare:
    """A Value in the manner of microgpt: slots, operands and local derivatives in tuples."""

    __slots__ = ("children", "data", "grad", "locals")

    def __init__(self, data: float, children: tuple = (), local_grads: tuple = ()) -> None:
        self.data, self.grad, self.children, self.locals = data, 0, children, local_grads

    def __add__(self, other: Any) -> Bare:
        other = other if isinstance(other, Bare) else Bare(other)
        return Bare(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other: Any) -> Bare:
        other = other if isinstance(other, Bare) else Bare(other)
        return Bare(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other: float) -> Bare:
        return Bare(self.data**other, (self,), (other * self.data ** (other - 1),))

    def log(self) -> Bare:
        return Bare(math.log(self.data), (self,), (1 / self.data,))

    def exp(self) -> Bare:
        return Bare(math.exp(self.data), (self,), (math.exp(self.data),))

    def relu(self) -> Bare:
        return Bare(max(0, self.data), (self,), (float(self.data > 0),))

    def __neg__(self) -> Bare:
        return self * -1

    def __radd__(self, other: float) -> Bare:
        return self + other

    def __sub__(self, other: Any) -> Bare:
        return self + (-other)

    def __rmul__(self, other: float) -> Bare:
        return self * other

    def __truediv__(self, other: Any) -> Bare:
        return self * other**-1

    def backward(self) -> None:
        order, seen = [], set()

        def visit(node: Bare) -> None:
            if node not in seen:
                seen.add(node)
                for child in node.children:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1
        for node in reversed(order):
            for child, local in zip(node.children, node.locals, strict=True):
                child.grad += local * node.grad


def train_a_language_model(value: Any) -> tuple[list[float], list[float]]:
    """Two steps of a tiny model with attention over the tokens before; losses, and gradients."""
    rng = random.Random(42)
    size, vocabulary = 4, 5

    def matrix(rows: int, columns: int) -> list[list[Any]]:
        return [[value(rng.gauss(0, 0.4)) for _ in range(columns)] for _ in range(rows)]

    names = {"tokens": vocabulary, "places": 6, "q": size, "k": size, "v": size, "up": 8}
    weights = {name: matrix(rows, size) for name, rows in names.items()}
    weights["down"] = matrix(size, 8)
    weights["out"] = matrix(vocabulary, size)
    parameters = [p for rows in weights.values() for row in rows for p in row]
    momentum, squares = [0.0] * len(parameters), [0.0] * len(parameters)

    def linear(x: list[Any], w: list[list[Any]]) -> list[Any]:
        return [sum(wi * xi for wi, xi in zip(row, x, strict=True)) for row in w]

    def softmax(logits: list[Any]) -> list[Any]:
        largest = max(logit.data for logit in logits)
        exponentials = [(logit - largest).exp() for logit in logits]
        total = sum(exponentials)
        return [e / total for e in exponentials]

    def normalised(x: list[Any]) -> list[Any]:
        scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
        return [xi * scale for xi in x]

    def step(tokens: list[int]) -> Any:
        keys, values, losses = [], [], []
        for place, (token, target) in enumerate(pairwise(tokens)):
            pairs = zip(weights["tokens"][token], weights["places"][place], strict=True)
            x = normalised([t + p for t, p in pairs])
            query = linear(x, weights["q"])
            keys.append(linear(x, weights["k"]))
            values.append(linear(x, weights["v"]))
            scores = [sum(q * k for q, k in zip(query, key, strict=True)) / 2.0 for key in keys]
            shares = softmax(scores)
            looked_up = [
                sum(share * v[i] for share, v in zip(shares, values, strict=True))
                for i in range(size)
            ]
            x = [a + b for a, b in zip(x, looked_up, strict=True)]
            hidden = [h.relu() for h in linear(normalised(x), weights["up"])]
            x = [a + b for a, b in zip(x, linear(hidden, weights["down"]), strict=True)]
            losses.append(-softmax(linear(x, weights["out"]))[target].log())
        return (1 / len(losses)) * sum(losses)

    seen = []
    for number, tokens in enumerate(([0, 3, 1, 4, 0], [0, 2, 2, 1, 0]), start=1):
        loss = step(tokens)
        loss.backward()
        seen.append(loss.data)
        gradients = [p.grad for p in parameters]
        for i, p in enumerate(parameters):
            momentum[i] = 0.85 * momentum[i] + 0.15 * p.grad
            squares[i] = 0.99 * squares[i] + 0.01 * p.grad**2
            corrected = momentum[i] / (1 - 0.85**number), squares[i] / (1 - 0.99**number)
            p.data -= 0.01 * (1 - number / 3) * corrected[0] / (corrected[1] ** 0.5 + 1e-8)
            p.grad = 0
    return seen, gradients


def test_a_language_model_written_for_microgpt() -> None:
    losses, gradients = train_a_language_model(Value)
    bare_losses, bare_gradients = train_a_language_model(Bare)
    assert losses == pytest.approx(bare_losses, rel=1e-13)
    assert gradients == pytest.approx(bare_gradients, rel=1e-9, abs=1e-12)
    assert losses[0] > 0.5
    assert sum(g != 0 for g in gradients) > 50
