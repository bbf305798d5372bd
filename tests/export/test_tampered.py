"""Models that were changed by hand: what is saved or exported is the same, or it is refused."""

from __future__ import annotations

import functools
import importlib
import random
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

import microgrant
from microgrant import Value, nn
from microgrant.export import to_onnx, to_torch
from microgrant.nn import (
    MLP,
    RNN,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    MaxPool2d,
    MeanPool2d,
    Module,
    Neuron,
    Noise,
    ReLU,
    Sequential,
    Tanh,
)
from microgrant.saving import load, save

Shape = tuple[int, ...]


class Doubled(Neuron):
    def forward(self, x: Any) -> Value:
        return 2 * super().forward(x)


class Clipped(Neuron):
    """The same for small numbers, so that a few examples show nothing."""

    def __call__(self, x: Any) -> Any:
        return super().__call__(x).clip(-30.0, 30.0)


class Smallest(MaxPool2d):
    @staticmethod
    def pool(values: list[Value]) -> Value:
        return functools.reduce(Value.minimum, values)


class Backwards(Flatten):
    def forward(self, x: Any) -> list[Value]:
        return super().forward(x)[::-1]


class Two(Layer):
    """Whose attributes are not what they were given."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return found[::-1] if name == "neurons" else found


class Louder(Tanh):
    """Which has the words of its base for something else."""

    def forward(self, x: Any) -> Any:
        y = super().forward(x)
        return [3 * each for each in y] if isinstance(y, list) else 3 * y


class First(list[Any]):
    """A list that is shorter than it says."""

    def __iter__(self) -> Any:
        return iter(self[:2])


class Cubed(Value):
    def __mul__(self, other: Any) -> Value:
        return super().__mul__(other) ** 3


class Own(Module):
    """All that one may keep in a module, besides parameters."""

    def __init__(self, scale: float = 2.0) -> None:
        self.scale, self.offset = scale, 0.5
        self.w, self.table = Value(1.5), {"a": [0.5, -0.5]}
        self.function: Callable[[Any], Any] = lambda x: x * self.scale
        self.last: Any = None

    def forward(self, x: Any) -> Any:
        y = sum((a * b for a, b in zip(x, self.table["a"], strict=False)), self.w)
        return self.function(y) + self.offset


class Named(MLP):
    """A class of one's own that computes what its base does."""

    hint = "for two numbers"

    def describe(self) -> str:
        return "mine"

    def save(self) -> None:
        """A method that nothing of the base knows."""


def put(path: str, x: Any) -> Callable[[Any], None]:
    """The change that puts something in a place: "layers[0].neurons[1].activation"."""
    return lambda model: exec(f"model.{path} = x", {"model": model, "x": x})


def run(line: str) -> Callable[[Any], None]:
    return lambda model: exec(f"model.{line}", {"model": model, "Value": Value, "First": First})


def keep_output(model: Any) -> None:
    model.last = model.w * 2


IMAGE = (2, 5, 5)

# Each: a model, what is done to it, the shape of its input, and what becomes of it in a file, in
# ONNX and in PyTorch: "=" for the same, "-" for a refusal.
CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Shape, str]] = {
    "an activation": (lambda: Layer(3, 3), put("neurons[1].activation", "tanh"), (3,), "==="),
    "a linear one": (lambda: Layer(3, 2), put("neurons[1].activation", "linear"), (3,), "==="),
    "that of all": (lambda: Neuron(3), put("activation", "tanh"), (3,), "==="),
    "of the last": (
        lambda: MLP(2, [3, 1]), put("layers[-1].neurons[0].activation", "sigmoid"), (2,), "-=="
    ),
    "nonlin only": (lambda: Layer(3, 2), put("neurons[0].nonlin", False), (3,), "-=="),
    "of a channel": (
        lambda: Conv2d(2, 3, 2, activation="relu"), put("neurons[2].activation", "tanh"), IMAGE,
        "===",
    ),
    "in a cell": (lambda: RNN(2, 3), put("cell.neurons[1].activation", "relu"), (4, 2), "==-"),
    "of a whole cell": (
        lambda: RNN(2, 1), put("cell.neurons[0].activation", "relu"), (4, 2), "==="
    ),
    "word of an MLP": (lambda: MLP(2, [3, 1]), put("_activation", "tanh"), (2,), "-=="),
    "a function as activation": (
        lambda: Layer(3, 2), put("neurons[1].activation", lambda x: x.sin()), (3,), "-=-"
    ),
    "a module of its own": (
        lambda: MLP(3, [2, 2]), put("layers[0].neurons[1].activation", Louder()), (3,), "-=-"
    ),
    "a changed module": (lambda: Sequential(Tanh()), put("modules[0].onnx", "Relu"), (3,), "-=-"),
    "a subclass of one": (
        lambda: Layer(3, 2, activation=Louder()), lambda model: None, (3,), "==-"
    ),
    "and in a cell": (lambda: RNN(2, 2, activation=Louder()), lambda model: None, (3, 2), "==-"),
    "one in a row": (lambda: Sequential(Louder(), ReLU()), lambda model: None, (3,), "==-"),
    "another function": (
        lambda: Layer(3, 2, activation=Tanh()),
        put("neurons[0].activation.function", lambda x: x * 2), (3,), "-=-",
    ),
    "a Neuron's subclass": (lambda: Layer(3, 2), put("neurons[0]", Doubled(3)), (3,), "-=-"),
    "one like it": (lambda: Layer(3, 2), put("neurons[0]", Clipped(3)), (3,), "-=-"),
    "one in a Conv2d": (lambda: Conv2d(2, 2, 2), put("neurons[1]", Doubled(8)), IMAGE, "-=-"),
    "one in an RNN": (lambda: RNN(2, 2), put("cell.neurons[1]", Doubled(4)), (3, 2), "-=-"),
    "its class": (lambda: Layer(3, 2), put("neurons[0].__class__", Doubled), (3,), "-=-"),
    "a forward": (lambda: Layer(3, 2), put("forward", lambda x: [x[0] * 2]), (3,), "-=-"),
    "a neuron's forward": (
        lambda: MLP(3, [2, 1]), put("layers[0].neurons[0].forward", lambda x: x[0] * 3), (3,), "-=-"
    ),
    "a cell's forward": (
        lambda: RNN(2, 2), put("cell.forward", lambda x, h: [x[0] + h[0], x[1]]), (3, 2), "-=-"
    ),
    "a pool's subclass": (lambda: Smallest(2), lambda model: None, IMAGE, "==-"),
    "one inside": (lambda: Sequential(MaxPool2d(2)), put("modules[0]", Smallest(2)), IMAGE, "==-"),
    "a pool": (lambda: MaxPool2d(2), put("pool", lambda seen: seen[0] * 2), IMAGE, "-=-"),
    "a size": (lambda: MeanPool2d(2), put("size", 3), IMAGE, "==="),
    "a pruned layer": (lambda: Layer(3, 3), run("neurons.pop()"), (3,), "-=="),
    "pruned to one": (lambda: Layer(3, 2), run("neurons.pop(0)"), (3,), "-=="),
    "pruned to none": (lambda: Layer(3, 1), run("neurons.pop()"), (3,), "---"),
    "a pruned Conv2d": (lambda: Conv2d(2, 3, 2), run("neurons.pop(1)"), IMAGE, "-=="),
    "a pruned cell": (lambda: RNN(2, 3), run("cell.neurons.pop()"), (3, 2), "---"),
    "a grown layer": (
        lambda: Layer(3, 1), lambda model: model.neurons.append(Neuron(3)), (3,), "-=="
    ),
    "a word for its size": (lambda: Layer(3, 2), put("nout", 5), (3,), "-=="),
    "a pruned neuron": (lambda: Neuron(3), run("w.pop()"), (2,), "-=="),
    "one of a layer": (lambda: Layer(3, 2), run("neurons[1].w.pop()"), (3,), "---"),
    "nin": (lambda: Layer(3, 2), put("nin", 2), (2,), "---"),
    "nin of an MLP": (lambda: MLP(3, [2]), put("nin", 2), (2,), "---"),
    "a neuron's nin": (lambda: Layer(3, 2), put("neurons[1].nin", 2), (3,), "-=="),
    "a stride": (lambda: Conv2d(2, 2, 2), put("stride", 2), IMAGE, "==="),
    "padding": (lambda: Conv2d(2, 2, 2), put("padding", 1), IMAGE, "==="),
    "negative padding": (lambda: Conv2d(2, 2, 2), put("padding", -1), IMAGE, "-=-"),
    "a kernel": (lambda: Conv2d(2, 2, 2), put("kernel_size", 3), IMAGE, "---"),
    "truncate": (lambda: RNN(2, 2), put("truncate", 2), (5, 2), "==="),
    "truncate below 0": (lambda: RNN(2, 2), put("truncate", -2), (5, 2), "-=-"),
    "a layer more": (
        lambda: MLP(2, [3]), lambda model: model.layers.append(Layer(3, 2)), (2,), "-=="
    ),
    "a layer less": (lambda: MLP(2, [3, 1]), run("layers.pop()"), (2,), "-=="),
    "no layer": (lambda: MLP(2, [3]), run("layers.pop()"), (2,), "-=-"),
    "another layer": (
        lambda: MLP(2, [3]), put("layers[0]", Layer(2, 3, activation="tanh")), (2,), "-=="
    ),
    "a function": (
        lambda: Sequential(Layer(2, 2)), lambda model: model.modules.append(lambda x: x[0] * 2),
        (2,), "-=-",
    ),
    "a row": (lambda: Sequential(Layer(2, 2)), put("modules", (Layer(2, 1),)), (2,), "==="),
    "p": (lambda: Dropout(0.5), put("p", 0.25), (2,), "==="),
    "p of 2": (lambda: Dropout(0.5), put("p", 2.0), (2,), "-=-"),
    "a number for a weight": (lambda: Layer(3, 2), put("neurons[0].w[1]", 0.5), (3,), "-=-"),
    "no bias": (lambda: Layer(3, 2), put("neurons[0].b", 0.0), (3,), "-=-"),
    "noise for a bias": (lambda: Layer(3, 2), put("neurons[0].b", Noise()), (3,), "---"),
    "a computed weight": (lambda: Neuron(2), put("w[0]", Value(2.0) * Value(0.25)), (2,), "-=-"),
    "a Value's subclass": (lambda: Neuron(2), put("w[0]", Cubed(0.5)), (2,), "-=-"),
    "a shared weight": (lambda: Neuron(2), run("w.__setitem__(0, model.w[1])"), (2,), "==-"),
    "a shared neuron": (
        lambda: Layer(2, 2), run("neurons.__setitem__(0, model.neurons[1])"), (2,), "==-"
    ),
    "neurons in a tuple": (lambda: Layer(2, 2), run("neurons = (*model.neurons,)"), (2,), "==="),
    "one's own list": (lambda: Layer(2, 3), run("neurons = First(model.neurons)"), (2,), "-=-"),
    "turned round": (lambda: Layer(2, 2), run("neurons.reverse()"), (2,), "==="),
    "Flatten": (lambda: Sequential(Backwards(), Layer(4, 1)), lambda model: None, (2, 2), "==-"),
    "attributes that differ": (lambda: Two(2, 2), lambda model: None, (2,), "==-"),
    "nothing that matters": (lambda: Named(2, [2]), lambda model: None, (2,), "==="),
    "init": (lambda: MLP(2, [2]), put("init", "he"), (2,), "-=="),
    "a setting": (Own, put("scale", 3.0), (2,), "==-"),
    "no setting": (Own, put("offset", 3.0), (2,), "-=-"),
    "in a table": (Own, put("table['a'][1]", 3.0), (2,), "-=-"),
    "more in a table": (Own, put("table['b']", 3.0), (2,), "-=-"),
    "a function of its own": (Own, put("function", lambda x: x * 7), (2,), "-=-"),
    "an attribute more": (Own, put("more", 7), (2,), "-=-"),
    "an output": (Own, keep_output, (2,), "-=-"),
    "an output more": (Own, put("more", [Value(1.0) * 2]), (2,), "==-"),
    "noise in a table": (Own, lambda model: model.table["a"].append(Noise()), (3,), "---"),
    "an object": (Own, put("last", types.SimpleNamespace(a=1)), (2,), "-=-"),
}  # fmt: skip


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


def in_a_file(model: Module, rows: list[Any], package: Any, folder: Path) -> list[Any]:
    save(model, folder / "model.json")
    inside = {type(module) for _, module in model.named_modules()} | {type(model)}
    twin = load(folder / "model.json", modules=[x for x in inside if not hasattr(nn, x.__name__)])
    return [numbers(twin(row)) for row in rows]


def in_onnx(model: Module, rows: list[Any], package: Any, folder: Path) -> list[Any]:
    package("onnx")
    onnxruntime, numpy = package("onnxruntime"), package("numpy")
    inputs = numpy.array(rows)
    path = to_onnx(model, folder / "model.onnx", inputs.shape[1:])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(["y"], {"x": inputs})[0].tolist()
    return found


def in_pytorch(model: Module, rows: list[Any], package: Any, folder: Path) -> list[Any]:
    torch = package("torch")
    found: list[Any] = to_torch(model)(torch.tensor(rows, dtype=torch.float64)).tolist()
    return found


def numbers(x: Any) -> Any:
    """Nested lists of numbers; a single one as a row of one."""
    return [*map(_numbers, x)] if isinstance(x, list) else [x.data]


def _numbers(x: Any) -> Any:
    return [*map(_numbers, x)] if isinstance(x, list) else getattr(x, "data", x)


def nested(shape: Shape) -> Any:
    return [nested(shape[1:]) for _ in range(shape[0])] if shape else random.gauss(0, 1)


def flat(x: Any) -> list[float]:
    return [z for y in x for z in flat(y)] if isinstance(x, list) else [x]


@pytest.mark.parametrize("way", [in_a_file, in_onnx, in_pytorch])
@pytest.mark.parametrize("name", CASES)
def test_a_changed_model_is_the_same_elsewhere_or_refused(
    name: str, way: Callable[..., list[Any]], package: Callable[[str], Any], tmp_path: Path
) -> None:
    make, change, shape, outcomes = CASES[name]
    random.seed(f"{name} {way.__name__}")
    model = make().eval()
    for p in model.parameters():
        p.data = random.uniform(-1, 1)
    change(model)
    outcome = outcomes[[in_a_file, in_onnx, in_pytorch].index(way)]
    rows = [nested(shape) for _ in range(5)]
    if outcome == "-":
        with pytest.raises((ValueError, TypeError)) as caught:
            way(model, rows, package, tmp_path)
        where = caught.traceback[-1].path
        assert Path(microgrant.__file__).parent in Path(where).parents, caught.value
        assert [*tmp_path.iterdir()] == []
    else:
        expected = [numbers(model(row)) for row in rows]
        found = way(model, rows, package, tmp_path)
        assert str(found).count("[") == str(expected).count("[")
        assert flat(found) == pytest.approx(flat(expected), rel=1e-12, abs=1e-12)
