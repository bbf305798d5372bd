"""What is exported to PyTorch and to ONNX computes what the model computes."""

from __future__ import annotations

import importlib
import math
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from microgrant import DecisionWarning, Value, define
from microgrant.engine import apply, where
from microgrant.export import to_onnx, to_torch
from microgrant.losses import mean_squared_error
from microgrant.nn import (
    ACTIVATIONS,
    ELU,
    MLP,
    RNN,
    Conv2d,
    Dropout,
    Elementwise,
    Flatten,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    MeanPool2d,
    Module,
    Neuron,
    ReLU,
    RNNCell,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from microgrant.ops import OPERATIONS

Shape = tuple[int, ...]


@pytest.fixture
def package(lacking: Callable[[str], NoReturn]) -> Callable[[str], Any]:
    """Import a package, or skip the test for want of it."""

    def package(name: str) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a package warns of when it is imported
                return importlib.import_module(name)
        except ImportError:
            lacking(f"{name} is not installed")

    return package


def nested(shape: Shape, make: Callable[[], Any]) -> Any:
    return [nested(shape[1:], make) for _ in range(shape[0])] if shape else make()


def drawn(*shape: int) -> Any:
    return nested(shape, lambda: random.gauss(0, 1))


def numbers(x: Any) -> Any:
    """Nested lists of Values as nested lists of numbers; a single one as a row of one."""
    return [x.data] if isinstance(x, Value) else _numbers(x)


def _numbers(x: Any) -> Any:
    return [_numbers(y) for y in x] if isinstance(x, list) else getattr(x, "data", x)


def flat(x: Any) -> list[float]:
    return [z for y in x for z in flat(y)] if isinstance(x, list) else [x]


def close(found: Any, expected: Any) -> bool:
    """Whether nested lists of numbers are the same, to 1e-12; nan is nan."""
    assert nested_shape(found) == nested_shape(expected)
    return flat(found) == pytest.approx(flat(expected), rel=1e-12, abs=1e-12, nan_ok=True)


def nested_shape(x: Any) -> Shape:
    return (len(x), *nested_shape(x[0])) if isinstance(x, list) else ()


class Line(Module):
    """A module of one's own, on a single number."""

    def __init__(self) -> None:
        self.slope, self.start = Value(2.5), Value(-0.5)

    def forward(self, x: Any) -> Value:
        return self.slope * x + self.start


class Residual(Module):
    """A module of one's own with others inside."""

    def __init__(self, width: int) -> None:
        self.inner = Sequential(Layer(width, width, activation="tanh"), Dropout(0.5))

    def forward(self, x: Sequence[Any]) -> list[Value]:
        return [a + b for a, b in zip(x, self.inner(x), strict=True)]


class LastState(Module):
    def __init__(self) -> None:
        self.rnn, self.out = RNN(2, 3), Layer(3, 2, nonlin=False)

    def forward(self, sequence: Any) -> Any:
        return self.out(self.rnn(sequence)[-1])


class Wider(MLP):
    """A class of one's own that computes what its base class does."""

    def __init__(self) -> None:
        super().__init__(2, [5, 3], activation="sigmoid")


def shared() -> Module:
    layer = Layer(3, 3, activation="tanh")
    return Sequential(layer, layer, Dropout(0.5), layer)


# Modules that PyTorch has as well, with the shapes of what they take.
BOTH: dict[str, tuple[Callable[[], Module], list[Shape]]] = {
    "Neuron": (lambda: Neuron(3, activation="tanh"), [(3,)]),
    "linear neuron": (lambda: Neuron(1, nonlin=False), [(1,)]),
    "Layer": (lambda: Layer(3, 2, activation="sigmoid"), [(3,)]),
    "layer of one": (lambda: Layer(3, 1), [(3,)]),
    "MLP": (lambda: MLP(2, [4, 3, 1]), [(2,)]),
    "MLP of one layer": (lambda: MLP(2, [3]), [(2,)]),
    "MLP through one": (lambda: MLP(2, [1, 1, 3], activation="tanh"), [(2,)]),
    "subclass": (Wider, [(2,)]),
    "Flatten": (Flatten, [(2, 3, 2)]),
    "Dropout": (lambda: Dropout(0.5).eval(), [(4,)]),
    "Conv2d": (lambda: Conv2d(2, 3, 2, activation="relu"), [(2, 4, 5)]),
    "stride, padding": (lambda: Conv2d(1, 2, 3, stride=2, padding=1), [(1, 5, 6)]),
    "all padding": (lambda: Conv2d(2, 1, 2, stride=3, padding=2, activation="tanh"), [(2, 3, 3)]),
    "MaxPool2d": (lambda: MaxPool2d(2), [(3, 5, 4)]),
    "MeanPool2d": (lambda: MeanPool2d(3), [(2, 7, 6)]),
    "RNNCell": (lambda: RNNCell(2, 3), [(2,), (3,)]),
    "RNN": (lambda: RNN(2, 3, activation="relu"), [(5, 2)]),
    "truncated RNN": (lambda: RNN(1, 2, truncate=2), [(5, 1)]),
    "RNN of one step": (lambda: RNN(1, 1), [(1, 1)]),
    "Sequential": (lambda: Sequential(Layer(2, 3), Sequential(Layer(3, 1)), Layer(1, 2)), [(2,)]),
    "empty": (Sequential, [(2,)]),
    "shared": (lambda: shared().eval(), [(3,)]),
    "network for images": (
        lambda: Sequential(
            Conv2d(1, 3, 3, padding=1, activation="relu", init="he"),
            MaxPool2d(2),
            Conv2d(3, 4, 2, activation="tanh"),
            MeanPool2d(2),
            Flatten(),
            Dropout(0.5),
            MLP(4, [6, 3], activation="sigmoid"),
        ).eval(),
        [(1, 7, 6)],
    ),
    "PyTorch's way": (
        lambda: Sequential(Linear(2, 3), ReLU(), Linear(3, 3), Sigmoid(), Identity(), Tanh()),
        [(2,)],
    ),
    "activations with settings": (
        lambda: Sequential(
            Linear(2, 3), LeakyReLU(0.2), ELU(1.5), MLP(3, [2, 2], ["gelu", SiLU()])
        ),
        [(2,)],
    ),
    "activations of images": (lambda: Sequential(Conv2d(1, 2, 2), Tanh(), ReLU()), [(1, 3, 3)]),
    "several activations": (lambda: MLP(2, [3, 2, 2], ["tanh", Value.relu, Sigmoid()]), [(2,)]),
    "network for sequences": (
        lambda: Sequential(RNN(2, 3), Flatten(), Layer(12, 1, nonlin=False)),
        [(4, 2)],
    ),
}
# And those that only ONNX can have.
RECORDED: dict[str, tuple[Callable[[], Module], list[Shape]]] = {
    "Line": (Line, [()]),
    "Residual": (lambda: Residual(3).eval(), [(3,)]),
    "LastState": (LastState, [(4, 2)]),
    "in a row": (lambda: Sequential(Layer(2, 3), Residual(3), Layer(3, 1), Line()).eval(), [(2,)]),
    "RNNCell": (lambda: RNNCell(2, 3, activation="sigmoid"), [(2,), (3,)]),
    "linear RNN": (lambda: RNN(2, 3, activation="linear"), [(3, 2)]),
    "RNN from a state": (lambda: RNN(2, 3), [(3, 2), (3,)]),
    "a function as activation": (lambda: MLP(2, [3, 2], lambda x: x.sin() + x), [(2,)]),
    "in a layer of one": (lambda: Layer(2, 1, activation=Value.exp), [(2,)]),
    "in a Conv2d": (
        lambda: Conv2d(1, 3, 2, padding=1, activation=["tanh", Value.cos, Value.cos]),
        [(1, 3, 4)],
    ),
    "in an RNN": (lambda: RNN(2, 3, activation=lambda x: where(x > 0, x, x / 8)), [(3, 2)]),
    "with a parameter": (lambda: Layer(2, 3, activation=Line()), [(2,)]),
    "in a Sequential": (lambda: Sequential(Conv2d(1, 2, 2), Elementwise(Value.sin)), [(1, 3, 3)]),
    "numbers in a row": (lambda: RNN(1, 2), [(4,)]),
}


def examples(shapes: list[Shape], count: int = 6) -> list[list[Any]]:
    """What a model is called with, for so many examples."""
    return [[drawn(*shape) for shape in shapes] for _ in range(count)]


def batches(rows: list[list[Any]]) -> list[Any]:
    """The same for all examples at once: a list for each thing that the model is called with."""
    return [[x if isinstance(x, list) else [x] for x in xs] for xs in zip(*rows, strict=True)]


# --- PyTorch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_pytorch_computes_the_same(name: str, package: Callable[[str], Any]) -> None:
    torch = package("torch")
    random.seed(1)
    make, shapes = BOTH[name]
    model, rows = make(), examples(shapes)
    network = to_torch(model)
    inputs = [torch.tensor(batch, dtype=torch.float64) for batch in batches(rows)]
    outputs = network(*inputs)
    assert outputs.dtype == torch.float64
    assert close(outputs.tolist(), [numbers(model(*row)) for row in rows])
    learnable = [p for p in network.parameters() if p.requires_grad]
    assert sum(p.numel() for p in learnable) == len(model.parameters())
    assert network.training == model.training


@pytest.mark.parametrize("name", [name for name in BOTH if BOTH[name][0]().parameters()])
def test_pytorch_has_the_same_gradients(name: str, package: Callable[[str], Any]) -> None:
    torch = package("torch")
    random.seed(2)
    make, shapes = BOTH[name]
    model, rows = make(), examples(shapes, count=3)
    network = to_torch(model)
    inputs = [torch.tensor(batch, dtype=torch.float64) for batch in batches(rows)]
    outputs = network(*inputs)
    weights = torch.randn(outputs.shape, dtype=torch.float64)
    (outputs * weights).sum().backward()
    for row, factors in zip(rows, weights.tolist(), strict=True):
        results = model(*row)
        values = flat_values(results)
        sum(f * x for f, x in zip(flat(factors), values, strict=True)).backward()
    theirs = [x for p in network.parameters() if p.requires_grad for x in p.grad.flatten().tolist()]
    assert sorted(theirs) == pytest.approx(sorted(p.grad for p in model.parameters()), abs=1e-10)


def flat_values(x: Any) -> list[Value]:
    return [z for y in x for z in flat_values(y)] if isinstance(x, list) else [x]


def test_pytorch_gets_the_layers_of_a_textbook(package: Callable[[str], Any]) -> None:
    package("torch")
    make, _ = BOTH["network for images"]
    assert [type(layer).__name__ for layer in to_torch(make())] == [
        *("Conv2d", "ReLU", "MaxPool2d", "Conv2d", "Tanh", "AvgPool2d", "Flatten", "Dropout"),
        *("Linear", "Sigmoid", "Linear"),
    ]
    assert type(to_torch(Layer(2, 1, nonlin=False))).__name__ == "Linear"


@pytest.mark.slow
def test_pytorch_trains_what_it_gets(package: Callable[[str], Any]) -> None:
    torch = package("torch")
    random.seed(3)
    model = MLP(2, [4, 1], activation="tanh")
    network, rows, targets = to_torch(model), [drawn(2) for _ in range(5)], drawn(5)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(10):
        optimizer.zero_grad()
        inputs = torch.tensor(rows, dtype=torch.float64)
        expected = torch.tensor(targets, dtype=torch.float64).reshape(-1, 1)
        torch.nn.functional.mse_loss(network(inputs), expected).backward()
        optimizer.step()
        model.zero_grad()
        mean_squared_error([model(row) for row in rows], targets).backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
    assert close(network(inputs).tolist(), [[model(row).data] for row in rows])


def test_pytorch_keeps_the_modes(package: Callable[[str], Any]) -> None:
    package("torch")
    model = Sequential(Dropout(0.5), Layer(2, 2), Dropout(0.25))
    model.modules[0].eval()
    first, _, _, last = to_torch(model)
    assert (first.training, last.training) == (False, True)
    assert (first.p, last.p) == (0.5, 0.25)
    assert not any(layer.training for layer in to_torch(model.eval()))


def test_pytorch_shares_whole_layers(package: Callable[[str], Any]) -> None:
    package("torch")
    network = to_torch(shared())
    assert network[0] is network[2] is network[5]
    assert len([*network.parameters()]) == 2


def test_pytorch_cannot_share_single_weights(package: Callable[[str], Any]) -> None:
    package("torch")
    model = Sequential(Layer(2, 2), Layer(2, 2))
    model.modules[1].neurons[0].b = model.modules[0].neurons[1].w[0]
    with pytest.raises(ValueError, match="a weight stands in two layers"):
        to_torch(model)


def test_pytorch_s_random_numbers_are_left_alone(package: Callable[[str], Any]) -> None:
    torch = package("torch")
    torch.manual_seed(1)
    expected = torch.rand(3).tolist()
    torch.manual_seed(1)
    to_torch(BOTH["network for images"][0]())
    to_torch(RNN(2, 3))
    assert torch.rand(3).tolist() == expected


def test_a_module_of_ones_own_can_know_its_counterpart(package: Callable[[str], Any]) -> None:
    torch = package("torch")

    class Doubled(Line):
        def to_torch(self) -> Any:
            layer = torch.nn.Linear(1, 1, dtype=torch.float64)
            torch.nn.init.constant_(layer.weight, self.slope.data)
            torch.nn.init.constant_(layer.bias, self.start.data)
            return layer

    layer = to_torch(Layer(2, 1, activation=Doubled()))
    assert [type(each).__name__ for each in layer] == ["Linear", "Linear"]
    network = to_torch(Sequential(Layer(2, 1), Doubled()))
    assert [type(layer).__name__ for layer in network] == ["Linear", "ReLU", "Linear"]
    assert network(torch.zeros(1, 2, dtype=torch.float64)).tolist() == [[-0.5]]

    class Quiet(Sequential):
        def to_torch(self) -> Any:
            return torch.nn.Identity()

    assert type(to_torch(Quiet(Layer(2, 2)))) is torch.nn.Identity


class Loud(MLP):
    def forward(self, x: Any) -> Any:
        return [2 * y for y in super().forward(x)]


class Always(Dropout):
    """Drops units in use as well, as one does to see how sure a network is."""

    def eval(self) -> Always:
        return self.train()


class Called(MLP):
    def __call__(self, x: Any) -> Any:
        return [2 * y for y in super().__call__(x)]


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        (Line(), TypeError, "PyTorch has no Line: define a method to_torch"),
        (Sequential(Layer(2, 2), Residual(2)), TypeError, "PyTorch has no Residual"),
        (Loud(2, [2]), TypeError, "PyTorch has no Loud"),
        (Called(2, [2]), TypeError, "PyTorch has no Called"),
        (Always(0.5), TypeError, "PyTorch has no Always"),
        (RNN(1, 2, activation="sigmoid"), TypeError, "no RNNCell with the activation 'sigmoid'"),
        (RNN(1, 2, activation=["tanh", Value.sin]), TypeError, "activation 'tanh' and 'sin': only"),
        (MLP(2, [2, 1], lambda x: x.sin()), TypeError, "PyTorch has no activation lambda: a Mod"),
        (Conv2d(1, 1, 2, activation=Value.sin), TypeError, "PyTorch has no activation sin: a Mod"),
        (Layer(1, 2, activation=["tanh", Value.sin]), TypeError, "no activation sin: a Module"),
        (Elementwise(Value.sin), TypeError, "PyTorch has no Elementwise: define a method to_tor"),
        (Value(1.0), TypeError, "to_torch needs a Module, but got Value"),
    ],
    ids=str,
)
def test_what_pytorch_does_not_have_is_said(
    model: Any, error: type[Exception], says: str, package: Callable[[str], Any]
) -> None:
    package("torch")
    with pytest.raises(error, match=says):
        to_torch(model)


# --- ONNX ---------------------------------------------------------------------------------------


@pytest.fixture
def run(package: Callable[[str], Any], tmp_path: Path) -> Callable[..., list[Any]]:
    """Export a model, and run the file on rows: lists of what the model is called with."""
    package("onnx")
    onnxruntime, numpy = package("onnxruntime"), package("numpy")

    def run(model: Module, shapes: list[Shape], rows: list[list[Any]]) -> Any:
        path = to_onnx(model, tmp_path / "model.onnx", *shapes)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [x.name for x in session.get_inputs()]
        arrays = [numpy.array(batch, dtype=numpy.float64) for batch in batches(rows)]
        [outputs] = session.run(["y"], dict(zip(names, arrays, strict=True)))
        assert outputs.dtype == numpy.float64
        return outputs.tolist()

    return run


CASES = {**BOTH, **{f"own {name}": case for name, case in RECORDED.items()}}


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_computes_the_same(name: str, run: Callable[..., Any]) -> None:
    random.seed(4)
    make, shapes = CASES[name]
    model, rows = make(), examples(shapes)
    assert close(run(model, shapes, rows), [numbers(model(*row)) for row in rows])
    assert close(run(model, shapes, rows[:1]), [numbers(model(*rows[0]))])


@pytest.mark.parametrize("name", ["Neuron", "MLP", "Sequential", "shared", "RNNCell"])
def test_layers_of_neurons_know_their_shapes(name: str, run: Callable[..., Any]) -> None:
    make, shapes = BOTH[name]
    model, rows = Sequential(Dropout(0.5), make()) if name == "Neuron" else make(), examples(shapes)
    found = run(model, [], rows)
    model.eval()
    assert close(found, [numbers(model(*row)) for row in rows])


def test_a_model_is_written_as_it_is_in_eval_mode(run: Callable[..., Any]) -> None:
    model = Sequential(Layer(2, 3), Dropout(0.5), Residual(3), Layer(3, 1))
    rows = examples([(2,)])
    state = random.getstate()
    found = run(model, [(2,)], rows)
    assert all(module.training for _, module in model.named_modules())
    assert random.getstate() == state
    model.eval()
    assert close(found, [numbers(model(*row)) for row in rows])


UNUSUAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 1e-9, -1e-9, 1e-20, 3.7, -3.7, 30.0, -40.0, 700.0]
UNUSUAL += [-700.0, 800.0, -800.0, 1e16, -1e16, 1e300, 5e-324, math.inf, -math.inf, math.nan]


class Applied(Module):
    """A function of Values as a module."""

    def __init__(self, function: Callable[..., Value], arity: int) -> None:
        self.function, self.arity = function, arity

    def forward(self, xs: Any) -> Any:
        return self.function(*(x if isinstance(x, Value) else Value(x) for x in xs[: self.arity]))


FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    **{name: (lambda *xs, op=op: apply(op, *xs), op.arity) for name, op in OPERATIONS.items()},
    **{f"power {p}": (lambda x, p=p: x**p, 1) for p in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.5, 8, 9)},
    "maximum of four": (lambda x, y: x.maximum(y, 0.5, x * y), 2),
    "minimum of three": (lambda x, y: x.minimum(y, -0.25), 2),
    "clip": (lambda x: x.clip(-0.75, 2.5), 1),
    "comparisons with what is no float": (lambda x: where(x < 2**53 + 1, x, x * 2), 1),
    "a constant": (lambda x: [x, Value(3.0), 4.0, Value(2.0) * 3], 1),
    "the same twice": (lambda x: [x, x * 2, x, x * 2], 1),
    "where": (lambda x, y: where(x > y, x * y, y - x), 2),
    "==": (lambda x, y: where(x - y == 0, 1.0, x), 2),
    "!=": (lambda x, y: where(x - y != 0, 1.0, x), 2),
    "<= >=": (lambda x, y: [where(x <= y, x, 0.0), where(x >= 0.5, y, 0.0)], 2),
    "and or not": (lambda x, y: where((x > 0) & ~(y > 1) | (x < -1), x, y), 2),
    "conditions compared": (lambda x, y: where((x > 0) != (y > 0), x, y), 2),
    "a condition and its truth": (lambda x, y: where((x > 0) == True, x, y), 2),  # noqa: E712
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_operation_is_written(name: str, run: Callable[..., Any]) -> None:
    function, arity = FUNCTIONS[name]
    model = Applied(function, arity)
    random.seed(5)
    pairs = [[x, y] for x in UNUSUAL for y in (UNUSUAL if arity == 2 else [1.0])]
    pairs += [drawn(2) for _ in range(50)]
    if name in ("sin", "cos", "tan"):  # whose huge arguments each library reduces as well as it can
        pairs = [[x, y] for x, y in pairs if not abs(x) > 1e6 or math.isinf(x)]
    expected = [numbers(model(pair)) for pair in pairs]
    found = run(model, [(2,)], [[pair] for pair in pairs])
    assert close(found, expected)


def test_small_numbers_keep_their_digits(run: Callable[..., Any]) -> None:
    """exp(x) - 1 and log(1 + x) near 0 would be noise, were they written like that."""
    model = Applied(lambda x, y: [x.expm1(), x.log1p(), x.tanh(), (-50 + x).softplus()], 2)
    rows = [[[x, 0.0]] for x in (1e-15, -3e-10, 2e-5, 0.3)]
    for found, row in zip(run(model, [(2,)], rows), rows, strict=True):
        assert found == pytest.approx(numbers(model(*row)), rel=1e-12, abs=0)


def test_nan_passes_through_pools_and_layers(run: Callable[..., Any]) -> None:
    model = Sequential(MaxPool2d(2), Flatten(), Layer(2, 2), Layer(2, 2, activation="sigmoid"))
    image = [[[1.0, math.nan, 3.0, 4.0], [0.0, 1.0, 2.0, -math.inf]]]
    assert close(run(model, [(1, 2, 4)], [[image]]), [numbers(model(image))])


@pytest.mark.parametrize(
    "activation",
    [lambda x: x if x.data > 0 else x / 8, lambda x: x * random.random()],
    ids=["decided", "drawn"],
)
def test_an_activation_that_decides_is_not_written(
    activation: Any, package: Callable[[str], Any], tmp_path: Path
) -> None:
    package("onnx")
    with pytest.raises(ValueError, match="the Elementwise does not compute the same for all numb"):
        to_onnx(MLP(2, [2, 1], activation=activation), tmp_path / "model.onnx")
    assert [*tmp_path.iterdir()] == []


def test_an_activation_is_one_operation_on_an_array(
    package: Callable[[str], Any], tmp_path: Path
) -> None:
    onnx = package("onnx")
    path = to_onnx(MLP(2, [50, 1], activation=lambda x: x.sin() * x), tmp_path / "model.onnx")
    names = [node.op_type for node in onnx.load(path).graph.node]
    assert names.count("Sin") == 1
    assert len(names) < 20


def test_decisions_of_python_are_warned_of(run: Callable[..., Any]) -> None:
    model = Applied(lambda x, y: x * y if x > y else y * x, 2)
    with pytest.warns(DecisionWarning, match="a decision was made"):
        run(model, [(2,)], [[[1.0, 2.0]]])


class Counting(Module):
    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: Any) -> Value:
        self.calls += 1
        return x[0] * self.calls


@pytest.mark.parametrize(
    "model",
    [
        Applied(lambda x, y: x if x.data > y.data else y, 2),
        Applied(lambda x, y: x * y.data, 2),
        Applied(lambda x, y: x * random.random(), 2),
        Counting(),
        Sequential(Layer(2, 2, activation="tanh"), Applied(lambda x, y: x + max(y.data, 0), 2)),
    ],
    ids=["decided", "taken out", "drawn", "remembered", "inside"],
)
def test_what_would_stay_as_it_was_recorded_is_said(
    model: Module, package: Callable[[str], Any], tmp_path: Path
) -> None:
    package("onnx")
    with pytest.raises(ValueError, match="does not compute the same for all numbers, or not each"):
        to_onnx(model, tmp_path / "model.onnx", (2,))
    assert [*tmp_path.iterdir()] == []


class Hiding(Sequential):
    def named_children(self) -> Iterator[tuple[str, Value | Module]]:
        return iter(())


@pytest.mark.parametrize("model", [Always(0.5), Hiding(Dropout(0.5))], ids=["Always", "Hiding"])
def test_noise_is_not_written_down(
    model: Module, package: Callable[[str], Any], tmp_path: Path
) -> None:
    package("onnx")
    with pytest.raises(ValueError, match="the graph holds random numbers that Dropout drew"):
        to_onnx(model, tmp_path / "model.onnx", (2,))
    assert [*tmp_path.iterdir()] == []


def test_what_is_given_is_described(package: Callable[[str], Any], tmp_path: Path) -> None:
    onnx = package("onnx")
    path = to_onnx(RNNCell(2, 3), str(tmp_path / "cell.onnx"))
    assert path == tmp_path / "cell.onnx"
    graph = onnx.load(path).graph
    described = {
        x.name: [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
        for x in (*graph.input, *graph.output)
    }
    assert described == {"x0": ["n", 2], "x1": ["n", 3], "y": ["n", 3]}
    assert [x.name for x in onnx.load(to_onnx(MLP(1, [1]), path)).graph.input] == ["x"]


def test_a_file_is_the_same_each_time(package: Callable[[str], Any], tmp_path: Path) -> None:
    package("onnx")
    model = BOTH["network for images"][0]()
    first = to_onnx(model, tmp_path / "a.onnx", (1, 7, 6)).read_bytes()
    assert to_onnx(model, tmp_path / "b.onnx", [1, 7, 6]).read_bytes() == first


class Deaf(Module):
    def forward(self, x: Any) -> Value:
        return Value(x[0].data)


class Ragged(Module):
    def forward(self, x: Any) -> Any:
        return [x[0], [x[0], x[1]]]


class Own(Module):
    def __init__(self) -> None:
        self.function = define("doubled", lambda x: 2 * x, lambda m, out, x: (2.0,))

    def forward(self, x: Any) -> Any:
        return self.function(x[0])


UNFIT: list[tuple[Any, list[Any], type[Exception], str]] = [
    (Value(1.0), [], TypeError, "to_onnx needs a Module, but got Value"),
    (MLP(2, [1]), [(3,)], ValueError, "the MLP takes 2 inputs, but got 3"),
    (MLP(2, [1]), [(2, 2)], ValueError, "takes 2 inputs, but got 2, lists|takes one list of"),
    (Conv2d(2, 1, 2), [], ValueError, "the Conv2d does not tell the shape of its inputs: give it"),
    (Sequential(Flatten(), Layer(4, 1)), [], ValueError, "the Sequential does not tell the shape"),
    (Line(), [], ValueError, "the Line does not tell the shape"),
    (Sequential(), [], ValueError, "the Sequential does not tell the shape"),
    (Conv2d(2, 1, 2), [(1, 4, 4)], ValueError, "the Conv2d takes 2 channels, but got 1"),
    (MaxPool2d(3), [(1, 2, 4)], ValueError, "a window of 3×3, which is larger than the image"),
    (RNN(2, 1), [(3, 1)], ValueError, "the RNNCell takes 2 inputs, but got 1"),
    (MLP(2, [1]), [2], ValueError, "a shape is a tuple of whole numbers from 1 on, but got 2"),
    (MLP(2, [1]), [(2.0,)], ValueError, r"but got \(2.0,\)"),
    (MLP(2, [1]), [(0,)], ValueError, r"but got \(0,\)"),
    (Deaf(), [(2,)], ValueError, "what the Deaf returns does not depend on what it is given"),
    (Ragged(), [(2,)], ValueError, "the Ragged is to return a Value, or lists of equal length"),
    (Own(), [(2,)], TypeError, "ONNX does not have your own operation 'doubled'"),
]


@pytest.mark.parametrize(
    ("model", "shapes", "error", "says"), UNFIT, ids=[case[-1] for case in UNFIT]
)
def test_what_cannot_be_written_is_said(
    model: Any,
    shapes: list[Any],
    error: type[Exception],
    says: str,
    package: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    package("onnx")
    with pytest.raises(error, match=says):
        to_onnx(model, tmp_path / "model.onnx", *shapes)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("model", "shape"), [(Layer(2, 2), (2,)), (Conv2d(1, 1, 2), (1, 2, 2))], ids=["Layer", "Conv2d"]
)
def test_an_activation_that_is_not_known_is_said(
    model: Any, shape: Shape, package: Callable[[str], Any], tmp_path: Path
) -> None:
    for neuron in model.neurons:
        neuron.activation = "exp"
    says = "the activation is one of relu, tanh, sigmoid, linear.* but got 'exp'"
    package("onnx")
    with pytest.raises(ValueError, match=says):
        to_onnx(model, tmp_path / "model.onnx", shape)
    assert [*tmp_path.iterdir()] == []
    package("torch")
    with pytest.raises(ValueError, match=says):
        to_torch(model)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_exported(
    name: str, run: Callable[..., Any], package: Callable[[str], Any]
) -> None:
    torch = package("torch")
    random.seed(6)
    module = type(ACTIVATIONS[name])()
    for model in (Layer(3, 2, activation=name), Sequential(Linear(3, 2), module), module):
        rows = examples([(3,)])
        expected = [numbers(model(*row)) for row in rows]
        assert close(run(model, [(3,)], rows), expected)
        inputs = torch.tensor([row[0] for row in rows], dtype=torch.float64)
        assert close(to_torch(model)(inputs).tolist(), expected)


# --- Packages that are not there ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call", "command"),
    [
        ("torch", "to_torch(MLP(2, [1]))", "pip install 'torch'"),
        ("onnx", "to_onnx(MLP(2, [1]), 'model.onnx')", "pip install 'microgrant[export]'"),
    ],
)
def test_a_missing_package_is_one_line(name: str, call: str, command: str) -> None:
    program = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from microgrant.export import to_onnx, to_torch\n"
        "from microgrant.nn import MLP\n"
        f"try:\n    {call}\nexcept ImportError as error:\n    print(error)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert finished.stdout == f"{name} is not installed: `{command}` brings it\n"


def test_nothing_is_imported_before_it_is_needed() -> None:
    program = "import sys, microgrant.export, microgrant.saving; print(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"torch", "onnx", "onnxruntime", "numpy", "graphviz"} & {*finished.stdout.split()}
