"""Modes, settings, initialisations; convolution, pooling, dropout and recurrence."""

from __future__ import annotations

import copy
import gc
import importlib
import json
import math
import pickle
import random
import statistics
from collections.abc import Callable
from typing import Any

import pytest

import microgrant
from microgrant import Value, draw, grad, no_grad
from microgrant.engine import NO_GRADIENT, topological_order, whole_order
from microgrant.nn import (
    ELU,
    GELU,
    INITS,
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
    Noise,
    ReLU,
    RNNCell,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
    detach,
    noise_in,
)

NUMBERS = random.Random(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(1)


@pytest.fixture
def torch(lacking: Callable[[str], Any]) -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError:
        return lacking("PyTorch is not installed")


def numbers(*shape: int) -> Any:
    """Nested lists of random numbers."""
    if not shape:
        return NUMBERS.gauss(0, 1)
    return [numbers(*shape[1:]) for _ in range(shape[0])]


def values(x: Any) -> Any:
    """Nested lists of leaves that hold these numbers."""
    return [values(each) for each in x] if isinstance(x, list) else Value(x)


def data(x: Any) -> Any:
    return [data(each) for each in x] if isinstance(x, list) else x.data


def gradients(x: Any) -> Any:
    return [gradients(each) for each in x] if isinstance(x, list) else x.grad


def flat(x: Any) -> list[Any]:
    return [y for each in x for y in flat(each)] if isinstance(x, (list, tuple)) else [x]


def weighted(outputs: Any) -> Value:
    """One Value that depends on each output in a way of its own."""
    return sum((math.sin(i) * y for i, y in enumerate(flat(outputs), start=1)), Value(0.0))


def weighted_tensor(torch: Any, outputs: Any) -> Any:
    """The same for a tensor."""
    weights = [math.sin(i) for i in range(1, outputs.numel() + 1)]
    return (outputs.flatten() * torch.tensor(weights, dtype=torch.float64)).sum()


def close(ours: Any, tensor: Any, tolerance: float = 1e-12) -> None:
    assert list(tensor.shape) in ([], shape(ours))
    expected = tensor.flatten().tolist()
    assert flat(ours) == pytest.approx(expected, rel=tolerance, abs=tolerance)


def shape(x: Any) -> list[int]:
    """The lengths of nested lists, or those of the first of them."""
    return [len(x), *shape(x[0])] if isinstance(x, list) else []


def images(*shape: int) -> Any:
    return values(numbers(*shape))


def model_for_images() -> Sequential:
    return Sequential(
        Conv2d(1, 2, 3, padding=1, activation="relu"),
        MaxPool2d(2),
        Conv2d(2, 1, 2, activation="tanh"),
        MeanPool2d(1),
        Flatten(),
        Dropout(0.5),
        Layer(1, 2, nonlin=False),
    )


# One of each, with inputs for it.
LAYERS: dict[str, tuple[Callable[[], Module], Callable[[], Any]]] = {
    "Neuron": (lambda: Neuron(3, activation="tanh", init="xavier"), lambda: images(3)),
    "Layer": (lambda: Layer(3, 2, activation=["sigmoid", "relu"]), lambda: images(3)),
    "Linear": (lambda: Linear(3, 2), lambda: images(3)),
    "ReLU": (ReLU, lambda: images(2, 3)),
    "Tanh": (Tanh, lambda: images(2, 3)),
    "Sigmoid": (Sigmoid, lambda: images(2, 3)),
    "LeakyReLU": (lambda: LeakyReLU(0.25), lambda: images(2, 3)),
    "ELU": (lambda: ELU(1.5), lambda: images(2, 3)),
    "GELU": (GELU, lambda: images(2, 3)),
    "SiLU": (SiLU, lambda: images(2, 3)),
    "Identity": (Identity, lambda: images(2, 3)),
    "Elementwise": (lambda: Elementwise(Value.sin), lambda: images(2, 3)),
    "MLP": (lambda: MLP(3, [4, 2], init="he"), lambda: images(3)),
    "Flatten": (Flatten, lambda: images(2, 2, 3)),
    "Conv2d": (lambda: Conv2d(2, 3, 2, 2, 1, "relu", init="he"), lambda: images(2, 3, 4)),
    "MaxPool2d": (lambda: MaxPool2d(2), lambda: images(2, 4, 5)),
    "MeanPool2d": (lambda: MeanPool2d(2), lambda: images(2, 4, 5)),
    "Dropout": (lambda: Dropout(0.25), lambda: images(2, 4)),
    "RNNCell": (
        lambda: Cell(2, 3, activation="sigmoid", init="xavier"),
        lambda: [images(2), images(3)],
    ),
    "RNN": (lambda: RNN(2, 3, truncate=2), lambda: images(5, 2)),
    "Sequential": (model_for_images, lambda: images(1, 4, 4)),
}


class Cell(RNNCell):
    """A cell that takes both of its inputs in one list."""

    def forward(self, both: Any) -> list[Value]:  # type: ignore[override]
        return super().forward(*both)


every_layer = pytest.mark.parametrize("name", LAYERS)


def made(name: str) -> tuple[Module, Any]:
    module, inputs = LAYERS[name]
    return module(), inputs()


def test_every_layer_is_tested() -> None:
    public = {
        name for name in microgrant.nn.__all__ if isinstance(getattr(microgrant.nn, name), type)
    }
    layers = {name for name in public if issubclass(getattr(microgrant.nn, name), Module)}
    assert layers - {"Module"} == set(LAYERS)


# --- What holds for each of them ----------------------------------------------------------------


@every_layer
@pytest.mark.parametrize("target", ["native", "numpy", "python"])
def test_compiled_is_eager(name: str, target: Any, runs_here: Callable[[str], None]) -> None:
    runs_here(target)
    module, inputs = made(name)
    parameters = module.parameters()
    outputs = module(inputs)
    loss = weighted(outputs)
    graph = {id(x) for x in whole_order(loss)}
    leaves = [x for x in flat(inputs) if id(x) in graph]  # what a pool leaves over is in no graph
    noise = noise_in(loss)
    columns = [*leaves, *noise]
    rows = [[NUMBERS.gauss(0, 1) for _ in leaves] for _ in range(7)]
    random.seed(5)
    for row in rows:
        row += [random.random() for _ in noise]
    predict = microgrant.compile(flat(outputs), columns, parameters, target=target)
    random.seed(5)  # so each call draws the noise of its row
    expected, expected_losses = [], []
    module.zero_grad()
    for row in rows:
        for leaf, number in zip(leaves, row, strict=False):
            leaf.data = number
        outputs = module(inputs)
        expected += flat(data(outputs))
        expected_losses.append(weighted(outputs))
        expected_losses[-1].backward()
    predicted = predict(rows)
    found = flat(predicted if isinstance(predicted, list) else predicted.tolist())
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    if not parameters:
        return
    mean = [p.grad / len(rows) for p in parameters]
    module.zero_grad()
    step = microgrant.compile(loss, columns, parameters, target=target)
    mean_loss = step(rows)
    losses = [x.data for x in expected_losses]
    assert mean_loss == pytest.approx(statistics.fmean(losses), rel=1e-12, abs=1e-12)
    assert [p.grad for p in parameters] == pytest.approx(mean, rel=1e-10, abs=1e-12)


@every_layer
def test_each_is_made_again_of_its_settings(name: str) -> None:
    module, inputs = made(name)
    settings = module.settings()
    if name not in ("Sequential", "Elementwise"):  # which hold modules, or a function
        settings = json.loads(json.dumps(settings))
    again = type(module).from_settings(settings)
    assert again.settings() == settings
    assert repr(again) == repr(module)
    assert [n for n, _ in again.named_parameters()] == [n for n, _ in module.named_parameters()]
    for old, fresh in zip(module.parameters(), again.parameters(), strict=True):
        fresh.data = old.data
    random.seed(2)
    expected = data(module(inputs))
    random.seed(2)
    assert data(again(inputs)) == expected


@every_layer
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(name: str, copied: Callable[[Any], Any]) -> None:
    module, inputs = made(name)
    module(inputs)  # some keep things of their last call
    other, other_inputs = copied((module, inputs))
    names = [name for name, _ in module.named_parameters()]
    assert [name for name, _ in other.named_parameters()] == names
    assert not {*map(id, module.parameters())} & {*map(id, other.parameters())}
    random.seed(2)
    loss = weighted(module(inputs))
    random.seed(2)
    other_loss = weighted(other(other_inputs))
    assert other_loss.data == loss.data
    loss.backward()
    other_loss.backward()
    assert [p.grad for p in other.parameters()] == [p.grad for p in module.parameters()]


@every_layer
def test_graphs_are_copied(name: str) -> None:
    module, inputs = made(name)
    loss = weighted(module(inputs))
    for copied in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        copied.backward()
        assert copied.data == loss.data
        found = [x for x in topological_order(copied) if x.operation is None]
        loss.backward()
        expected = [x for x in topological_order(loss) if x.operation is None]
        assert [x.grad for x in found] == [x.grad for x in expected]
        assert [x.data for x in noise_in(copied)] == [x.data for x in noise_in(loss)]
        for x in expected:
            x.grad = NO_GRADIENT


@every_layer
def test_a_drawing_has_its_cluster(name: str) -> None:
    module, inputs = made(name)
    outputs = flat(module(inputs))
    source = draw(sum(outputs, Value(0.0)), collapse=False).source
    clusters = [line for line in source.splitlines() if "cluster_m" in line]
    if name in ("Flatten", "Identity"):  # computes nothing, so there is nothing to draw
        assert not clusters
    else:
        assert clusters
        assert f"<{module.describe()}, {len(module.parameters())} parameter" in source


def test_each_call_has_a_cluster_of_its_own() -> None:
    rnn, conv = RNN(1, 2), Conv2d(1, 2, 2)
    states = rnn([0.5, 1.0, -1.0])
    source = draw(weighted(states), collapse=False).source
    assert source.count("<cell · RNNCell 1→2 tanh, 8 parameters>") == 3
    assert source.count("<neurons[1] · Neuron 3→1 tanh, 4 parameters>") == 3
    outputs = conv([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    source = draw(weighted(outputs), collapse=False).source
    assert source.count("<Conv2d 1→2 2×2 stride 1 padding 0 linear, 10 parameters>") == 1
    assert source.count("<neurons[0] · Neuron 4→1 linear, 5 parameters>") == 2


@every_layer
def test_no_cycles(name: str) -> None:
    module, inputs = made(name)
    gc.collect()
    gc.disable()
    try:
        weighted(module(inputs)).backward()
        module.zero_grad()
        del module, inputs
        assert gc.collect() == 0
    finally:
        gc.enable()


@every_layer
def test_numbers_and_arrays_as_inputs(name: str) -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    module, inputs = made(name)
    random.seed(2)
    expected = data(module(inputs))
    forms: list[Any] = [data(inputs)]
    if name != "RNNCell":  # whose two inputs have no common shape
        forms += [numpy.array(data(inputs)), numpy.array(inputs, dtype=object)]
    for form in forms:
        random.seed(2)
        assert data(module(form)) == expected


# --- Modes and settings -------------------------------------------------------------------------


def test_training_and_use() -> None:
    model = Sequential(MLP(1, [2, 1]), Sequential(Dropout(0.5)))
    everything = [model, *(module for _, module in model.named_modules())]
    assert len(everything) == 1 + 1 + 2 + 3 + 1 + 1
    assert all(module.training for module in everything)
    assert model.eval() is model
    assert not any(module.training for module in everything)
    assert model.train() is model
    assert all(module.training for module in everything)
    assert model.train(False) is model
    assert not any(module.training for module in everything)
    assert Dropout(0.5).training


def test_modes_reach_modules_in_lists_and_shared_ones() -> None:
    class Twice(Module):
        def __init__(self) -> None:
            self.first = Dropout(0.5)
            self.table = {"again": [self.first], "other": (Dropout(0.1),)}

    model = Twice().eval()
    assert [m.training for _, m in model.named_modules()] == [False, False]


def test_settings_of_a_module_of_ones_own() -> None:
    class Scaled(Module):
        def __init__(self, scale: float, inner: Module | None = None) -> None:
            self.scale, self.inner = scale, inner
            self.weight = Value(scale)

    settings = Scaled(2.0, Neuron(1)).settings()
    assert settings["scale"] == 2.0
    assert repr(settings["inner"]) == "ReLUNeuron(1)"
    assert repr(Scaled.from_settings(settings)) == "<Scaled>"


def test_settings_that_are_not_kept() -> None:
    class Silent(Module):
        def __init__(self, width: int, *, depth: int = 1) -> None:
            self.width = width

    with pytest.raises(
        TypeError, match="Silent does not tell its setting 'depth': keep that in an"
    ):
        Silent(3).settings()


def test_settings_as_they_are_documented() -> None:
    assert Layer(2, 3, nonlin=False).settings() == {
        "nin": 2, "nonlin": False, "activation": "linear", "init": "uniform", "nout": 3,
    }  # fmt: skip
    assert MLP(2, (3, 1)).settings()["nouts"] == [3, 1]
    assert RNN(2, 3).settings() == {
        "nin": 2, "nhidden": 3, "activation": "tanh", "init": "uniform", "truncate": None,
    }  # fmt: skip
    row = Sequential(Flatten(), Layer(1, 1))
    assert row.settings() == {"modules": row.modules}


def test_printing() -> None:
    assert repr(Conv2d(1, 4, 3, stride=2)) == "<Conv2d 1→4 3×3 stride 2 padding 0 linear>"
    assert repr(MeanPool2d(2)) == "<MeanPool2d 2×2>"
    assert repr(Dropout(0.25)) == "<Dropout 0.25>"
    assert repr(RNNCell(1, 2, "relu")) == "<RNNCell 1→2 relu>"
    assert repr(RNN(1, 2, 5)) == "<RNN 1→2 tanh>"
    assert repr(Sequential(Flatten(), Neuron(1))) == "Sequential of [<Flatten>, ReLUNeuron(1)]"


NAMES = {
    "Conv2d": (
        lambda: Conv2d(2, 2, 1),
        [f"neurons[{i}].{name}" for i in range(2) for name in ("w[0]", "w[1]", "b")],
    ),
    "RNNCell": (lambda: RNNCell(1, 1), ["neurons[0].w[0]", "neurons[0].w[1]", "neurons[0].b"]),
    "RNN": (
        lambda: RNN(1, 1),
        ["cell.neurons[0].w[0]", "cell.neurons[0].w[1]", "cell.neurons[0].b"],
    ),
    "Dropout": (lambda: Dropout(0.5), []),
    "MaxPool2d": (lambda: MaxPool2d(2), []),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_parameters(name: str) -> None:
    make, expected = NAMES[name]
    assert [path for path, _ in make().named_parameters()] == expected


# --- Initialisations ----------------------------------------------------------------------------


def test_the_default_draws_what_micrograd_draws() -> None:
    for make, count in (
        (lambda: Conv2d(2, 1, 3), 18),
        (lambda: RNNCell(2, 1), 3),
        (lambda: Layer(4, 1), 4),
        (lambda: MLP(4, [1]), 4),
    ):
        random.seed(3)
        module = make()
        random.seed(3)
        expected = [random.uniform(-1, 1) for _ in range(count)] + [0.0]
        assert [p.data for p in module.parameters()] == expected


VARIANCES = {
    "uniform": lambda nin, nout: 1 / 3,
    "xavier": lambda nin, nout: 2 / (nin + nout),
    "he": lambda nin, nout: 2 / nin,
}


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize(
    ("make", "nin", "nout"),
    [
        (lambda init: Layer(50, 200, init=init), 50, 200),
        (lambda init: MLP(200, [50], init=init), 200, 50),
        (lambda init: Conv2d(4, 12, 15, init=init), 4 * 225, 12 * 225),
        (lambda init: RNNCell(30, 90, init=init), 120, 90),
        (lambda init: RNN(30, 90, init=init), 120, 90),
        (lambda init: Neuron(10_000, init=init), 10_000, 1),
    ],
    ids=["Layer", "MLP", "Conv2d", "RNNCell", "RNN", "Neuron"],
)
def test_variances(make: Callable[[str], Module], init: str, nin: int, nout: int) -> None:
    parameters = make(init).named_parameters()
    drawn, biases = [], []
    for name, parameter in parameters:
        (biases if name.endswith("b") else drawn).append(parameter.data)
    variance = VARIANCES[init](nin, nout)
    assert set(biases) == {0.0}
    # Of n numbers drawn uniformly, the mean square differs by √(0.8/n) of itself, give or take.
    assert statistics.fmean(x * x for x in drawn) == pytest.approx(
        variance, rel=4 * math.sqrt(0.8 / len(drawn))
    )
    assert abs(statistics.fmean(drawn)) < 4 * math.sqrt(variance / len(drawn))
    assert 0.97 * math.sqrt(3 * variance) < max(map(abs, drawn)) <= math.sqrt(3 * variance)


@pytest.mark.parametrize("init", ["glorot", "", None, 3, ["he"]], ids=repr)
def test_an_initialisation_that_does_not_exist(init: Any) -> None:
    for make in (
        Neuron,
        lambda n, init: Layer(n, 2, init=init),
        lambda n, init: MLP(n, [2], init=init),
    ):
        with pytest.raises(ValueError, match="the init is one of uniform, xavier, he, but got"):
            make(2, init=init)


# --- Modules in a row, and calls ----------------------------------------------------------------


def test_modules_in_a_row() -> None:
    first, second = Layer(2, 3), Layer(3, 1, nonlin=False)
    model = Sequential(first, second)
    x = [0.5, -1.5]
    assert model(x).data == second(first(x)).data
    assert [name for name, _ in model.named_parameters()][:4] == [
        "modules[0].neurons[0].w[0]",
        "modules[0].neurons[0].w[1]",
        "modules[0].neurons[0].b",
        "modules[0].neurons[1].w[0]",
    ]
    assert Sequential()(x) is x


def test_a_module_that_is_there_twice() -> None:
    layer = Layer(2, 2)
    model = Sequential(layer, layer)
    assert len(model.parameters()) == 6
    x = [Value(0.5), Value(0.25)]
    weighted(model(x)).backward()
    assert layer.neurons[0].w[0].grad == grad(weighted(layer(layer(x))), layer.neurons[0].w[0])


@pytest.mark.parametrize("wrong", [[Layer(1, 1)], "Layer", Layer, None], ids=repr)
def test_a_row_of_something_else(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a Sequential is made of modules, but got"):
        Sequential(wrong)


def test_a_list_that_grows_by_its_own_output() -> None:
    layer, history = Layer(1, 2), [Value(1.0)]
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            history += layer(history[-1:])
        assert [len(x._scope[-1].inputs) for x in history[1:]] == [1] * 6
        del history, layer
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_output_that_is_returned_twice_is_noted_once() -> None:
    class Both(Module):
        def forward(self, x: Value) -> Any:
            y = x * 2
            return {"ignored": y}, [y, (y,)], x, None

    module, x = Both(), Value(1.0) * 1.0
    _, (y, _), given, _ = module(x)
    assert len(y._scope) == 1
    assert given is x
    assert not hasattr(x, "_scope")


# --- Images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels_in", [1, 3])
@pytest.mark.parametrize("channels_out", [1, 2])
@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [
    (1, 1, 0), (3, 1, 0), (3, 2, 1), (2, 3, 2), (5, 1, 0), (4, 2, 3),
])  # fmt: skip
def test_convolution_is_that_of_pytorch(
    torch: Any, channels_in: int, channels_out: int, kernel_size: int, stride: int, padding: int
) -> None:
    conv = Conv2d(channels_in, channels_out, kernel_size, stride, padding)
    theirs = torch.nn.Conv2d(
        channels_in, channels_out, kernel_size, stride, padding, dtype=torch.float64
    )
    bias = numbers(channels_out)
    with torch.no_grad():
        for o, neuron in enumerate(conv.neurons):
            neuron.b.data = bias[o]
            theirs.bias[o] = bias[o]
            weights = torch.tensor(data(neuron.w), dtype=torch.float64)
            theirs.weight[o] = weights.reshape(theirs.weight[o].shape)
    x = numbers(channels_in, 5, 6)
    image, tensor = values(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    outputs, expected = conv(image), theirs(tensor)
    close(data(outputs), expected)
    weighted(outputs).backward()
    weighted_tensor(torch, expected).backward()
    close(gradients(image), tensor.grad)
    for o, neuron in enumerate(conv.neurons):
        close(gradients(neuron.w), theirs.weight.grad[o].flatten())
        close(neuron.b.grad, theirs.bias.grad[o])


@pytest.mark.parametrize(("ours", "theirs"), [(MaxPool2d, "MaxPool2d"), (MeanPool2d, "AvgPool2d")])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pooling_is_that_of_pytorch(torch: Any, ours: Any, theirs: str, size: int) -> None:
    x = numbers(2, 5, 7)
    image, tensor = values(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    outputs, expected = ours(size)(image), getattr(torch.nn, theirs)(size)(tensor)
    close(data(outputs), expected)
    weighted(outputs).backward()
    weighted_tensor(torch, expected).backward()
    close(gradients(image), tensor.grad)


def test_ties_share() -> None:
    for row, share in (([0.0, 1.0], 1 / 3), ([1.0, 1.0], 0.25), ([0.5, -0.0], 0.5)):
        image = values([[[1.0, 1.0], row]])
        [[[largest]]] = MaxPool2d(2)(image)
        largest.backward()
        shares = [[share, share], [share * (x == 1) for x in row]]
        assert (largest.data, gradients(image)) == (1.0, [shares])


def test_the_window_of_a_neuron() -> None:
    conv = Conv2d(2, 1, 2)
    [neuron] = conv.neurons
    for place, w in enumerate(neuron.w):
        w.data = 10.0**-place
    image = [[[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]], [[5.0, 6.0, 0.0], [7.0, 8.0, 0.0]]]
    [[[first, _]]] = conv(image)
    assert f"{first:.7f}" == "1.2345678"


def test_a_number_of_an_image_is_one_leaf() -> None:
    outputs = Conv2d(1, 2, 2, padding=1)([[[1.0, 2.0], [3.0, 4.0]]])
    leaves = [x for x in topological_order(*flat(outputs)) if x.operation is None]
    assert len(leaves) == 4 + 1 + 2 * 5  # with one zero for all of the padding


def test_flat_lists() -> None:
    inner = Value(2.0)
    flattened = Flatten()([[1.0, [inner]], (3.0,), []])
    assert (data(flattened), flattened[1] is inner) == ([1.0, 2.0, 3.0], True)
    assert data(Flatten()(4.0)) == [4.0]


IMAGES = [
    ([[[0.0] * 3] * 3] * 2, ValueError, "the Conv2d takes 1 channel, but got 2"),
    ([], ValueError, "the Conv2d takes 1 channel, but got 0"),
    ([[0.0] * 3] * 3, TypeError, r"an image as lists \[channel\]\[row\]\[column\], but got list"),
    ([0.0] * 3, TypeError, "as lists"),
    (0.0, TypeError, "as lists .*, but got float 0.0"),
    (Value(0.0), TypeError, "as lists"),
    (None, TypeError, "as lists"),
    ([[[0.0, 0.0], [0.0]]], ValueError, "one size, but the Conv2d got 2×1 and 2×2"),
    ([[]], ValueError, "window of 3×3, which is larger than the image of 0×0"),
    ([[[0.0, 0.0]] * 2], ValueError, "window of 3×3, which is larger than the image of 2×2"),
    ([[[0.0] * 2] * 4], ValueError, "larger than the image of 4×2"),
    ([[["a"] * 3] * 3], TypeError, "expected one real number, but got str 'a'"),
]


@pytest.mark.parametrize(("image", "kind", "message"), IMAGES)
def test_what_is_no_image(image: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Conv2d(1, 2, 3)(image)


def test_images_of_several_sizes() -> None:
    for image in ([[[0.0] * 2] * 2, [[0.0] * 3] * 2], [[[0.0] * 2] * 2, []]):
        for module in (Conv2d(2, 1, 1), MaxPool2d(1)):
            with pytest.raises(ValueError, match="all channels of an image are of one size, but"):
                module(image)
    with pytest.raises(ValueError, match="of one size, but the MaxPool2d got no rows"):
        MaxPool2d(1)([])
    with pytest.raises(ValueError, match="the MaxPool2d looks through a window of 3×3"):
        MaxPool2d(3)([[[0.0] * 2] * 2])


def test_padding_makes_room() -> None:
    assert len(Conv2d(1, 1, 4, padding=1)([[[0.0] * 2] * 2])[0]) == 1


def test_an_image_for_a_layer_is_to_be_flattened() -> None:
    image = [[[0.0] * 4] * 4]
    with pytest.raises(
        ValueError, match=r"takes 16 inputs, but got 1, lists .*: Flatten\(\) makes"
    ):
        Layer(16, 2)(image)
    assert len(Layer(16, 2)(Flatten()(image))) == 2


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2", None, (2, 2)], ids=repr)
def test_sizes_that_are_none(size: Any) -> None:
    for make in (
        lambda: Conv2d(size, 1, 1),
        lambda: Conv2d(1, size, 1),
        lambda: Conv2d(1, 1, size),
        lambda: Conv2d(1, 1, 1, stride=size),
        lambda: MaxPool2d(size),
        lambda: MeanPool2d(size),
        lambda: RNNCell(size, 1),
        lambda: RNN(1, size),
        lambda: RNN(1, 1, truncate=size or 0),
    ):
        with pytest.raises(ValueError, match="is a whole number from 1 on, but got"):
            make()
    if size != 0:
        with pytest.raises(ValueError, match="padding is a whole number from 0 on, but got"):
            Conv2d(1, 1, 1, padding=size)


# --- Dropout ------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean() -> None:
    outputs = data(Dropout(0.3)([1.0] * 20_000))
    assert set(outputs) == {0.0, 1 / 0.7}
    # The number that is dropped has a standard deviation of √(n·p·(1 - p)).
    assert abs(outputs.count(0.0) - 6_000) < 4 * math.sqrt(20_000 * 0.21)
    assert statistics.fmean(outputs) == pytest.approx(1.0, abs=4 * math.sqrt(0.3 / 0.7 / 20_000))


def test_dropout_is_off_in_use() -> None:
    dropout = Dropout(0.5)
    x = [Value(1.0), [Value(2.0)]]
    assert dropout.eval()(x) is x
    assert dropout.noise == []
    assert Dropout(0)(x) is x
    dropped = dropout.train()(x)
    assert dropped is not x
    assert len(dropout.noise) == 2


def test_dropout_draws_from_the_seed_anew_at_each_call() -> None:
    dropout, x = Dropout(0.5), [1.0] * 50
    random.seed(7)
    first, second = data(dropout(x)), data(dropout(x))
    random.seed(7)
    assert data(dropout(x)) == first
    assert first != second
    random.seed(7)
    assert [noise.data for noise in dropout.noise] == [random.random() for _ in x]


def test_the_gradient_goes_where_the_number_went() -> None:
    x = [Value(3.0) for _ in range(20)]
    outputs = Dropout(0.5)(x)
    sum(outputs, Value(0.0)).backward()
    assert {(y.data, each.grad) for y, each in zip(outputs, x, strict=True)} == {
        (0.0, 0.0),
        (6.0, 2.0),
    }


@pytest.mark.parametrize("p", [-0.1, 1, 1.0, 2, math.nan, math.inf, True])
def test_a_probability_that_is_none(p: float) -> None:
    with pytest.raises(
        ValueError, match=r"p, the probability to be dropped, is in \[0, 1\), but got"
    ):
        Dropout(p)


def test_noise_is_no_parameter() -> None:
    model = Sequential(Layer(2, 3), Dropout(0.5))
    model([1.0, 2.0])
    assert [name for name, _ in model.named_children()] == ["modules[0]", "modules[1]"]
    assert [name for name, _ in model.modules[1].named_children()] == [
        f"noise[{i}]" for i in range(3)
    ]
    assert len(model.parameters()) == 9
    model.zero_grad()


def test_noise_is_found_in_the_order_in_which_it_was_drawn() -> None:
    dropout, x = Dropout(0.5), Value(1.0)
    first, second = dropout(x), dropout([x, x])
    drawn = dropout.noise
    found = noise_in(second[1] + second[0], first)
    assert found[1:] == drawn
    assert len(found) == 3
    assert all(isinstance(noise, Noise) for noise in found)
    assert noise_in(x) == noise_in() == []
    assert noise_in(second) == noise_in(*second)  # what a module returns, as it is
    with no_grad():
        assert noise_in(dropout(x)) == []


def test_each_row_has_a_mask_of_its_own() -> None:
    x = [Value(1.0) for _ in range(40)]
    outputs = Dropout(0.5)(x)
    noise = noise_in(*outputs)
    predict = microgrant.compile(outputs, [*x, *noise])
    rows = [[1.0] * 40 + [random.random() for _ in noise] for _ in range(2)]
    first, second = predict(rows).tolist()
    assert first != second
    for row, masked in zip(rows, (first, second), strict=True):
        assert masked == [2.0 if number >= 0.5 else 0.0 for number in row[40:]]


def test_noise_is_copied_and_saved_as_noise() -> None:
    noise = Noise()
    for copied in (copy.copy(noise), copy.deepcopy(noise), pickle.loads(pickle.dumps(noise))):
        assert type(copied) is Noise
        assert (copied.data, copied.label, copied.number) == (noise.data, "noise", noise.number)


# --- Recurrence ---------------------------------------------------------------------------------


def recurrent(torch: Any, nin: int, nhidden: int, activation: str, **more: Any) -> tuple[RNN, Any]:
    """A network of ours and one of PyTorch's with the same weights."""
    ours = RNN(nin, nhidden, activation=activation, init="xavier", **more)
    theirs = torch.nn.RNN(nin, nhidden, nonlinearity=activation, dtype=torch.float64)
    w = torch.tensor([data(neuron.w) for neuron in ours.cell.neurons], dtype=torch.float64)
    with torch.no_grad():
        for neuron in ours.cell.neurons:
            neuron.b.data = NUMBERS.gauss(0, 0.1)
        theirs.weight_ih_l0.copy_(w[:, :nin])
        theirs.weight_hh_l0.copy_(w[:, nin:])
        bias = [neuron.b.data for neuron in ours.cell.neurons]
        theirs.bias_ih_l0.copy_(torch.tensor(bias, dtype=torch.float64))
        theirs.bias_hh_l0.zero_()
    return ours, theirs


def weights_agree(ours: RNN, theirs: Any, nin: int) -> None:
    w = [gradients(neuron.w) for neuron in ours.cell.neurons]
    close([row[:nin] for row in w], theirs.weight_ih_l0.grad, 1e-10)
    close([row[nin:] for row in w], theirs.weight_hh_l0.grad, 1e-10)
    close([neuron.b.grad for neuron in ours.cell.neurons], theirs.bias_ih_l0.grad, 1e-10)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("nin", "nhidden"), [(2, 3), (1, 1)])
def test_gradients_through_50_steps_are_those_of_pytorch(
    torch: Any, activation: str, nin: int, nhidden: int
) -> None:
    ours, theirs = recurrent(torch, nin, nhidden, activation)
    x, h0 = numbers(50, nin), numbers(nhidden)
    inputs, start = values(x), values(h0)
    states = ours(inputs, start)
    x_, h_ = (torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in (x, [h0]))
    expected, _ = theirs(x_, h_)
    close(data(states), expected)
    weighted(states).backward()
    weighted_tensor(torch, expected).backward()
    weights_agree(ours, theirs, nin)
    close(gradients(inputs), x_.grad, 1e-10)
    close(gradients(start), h_.grad[0], 1e-10)


@pytest.mark.parametrize("every", [1, 7, 50, 60])
def test_truncated_gradients_are_those_of_pytorch_detached(torch: Any, every: int) -> None:
    ours, theirs = recurrent(torch, 2, 3, "tanh", truncate=every)
    x, h0 = numbers(50, 2), numbers(3)
    inputs, start = values(x), values(h0)
    states = ours(inputs, start)
    x_, h_ = (torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in (x, [h0]))
    h, expected = h_, []
    for t in range(0, 50, every):
        out, h = theirs(x_[t : t + every], h)
        h = h.detach()
        expected.append(out)
    expected = torch.cat(expected)
    close(data(states), expected)
    weighted(states).backward()
    weighted_tensor(torch, expected).backward()
    weights_agree(ours, theirs, 2)
    close(gradients(inputs), x_.grad, 1e-10)
    close(gradients(start), h_.grad[0], 1e-10)


def test_truncation_changes_gradients_and_nothing_else() -> None:
    cut, whole = RNN(1, 2, truncate=3), RNN(1, 2)
    for ours, other in zip(cut.parameters(), whole.parameters(), strict=True):
        ours.data = other.data
    x, y = values(numbers(8)), values(numbers(8))
    for leaf, other in zip(y, x, strict=True):
        leaf.data = other.data
    states, expected = cut(x), whole(y)
    assert data(states) == data(expected)
    weighted(states[-1]).backward()
    weighted(expected[-1]).backward()
    assert [leaf.grad != 0 for leaf in x] == [False] * 6 + [True] * 2
    assert all(leaf.grad != 0 for leaf in y)
    assert gradients(x[6:]) == gradients(y[6:])


def test_states_go_on_where_they_stopped() -> None:
    rnn, x = RNN(2, 3), numbers(6, 2)
    states = rnn(x)
    half = rnn(x[:3])
    assert data(half + rnn(iter(x[3:]), half[-1])) == data(states)
    assert data(rnn.cell(x[0], [0.0] * 3)) == data(states[0])


def test_sequences_of_plain_numbers() -> None:
    rnn = RNN(1, 1)
    assert data(rnn([0.5, -1.0])) == data(rnn([[0.5], [-1.0]]))
    assert data(rnn([0.5], h=0.25)) == data(rnn([0.5], h=[0.25]))


def test_a_long_sequence() -> None:
    rnn = RNN(1, 1)
    rnn.cell.neurons[0].w[1].data = 1.0
    states = rnn([0.0] * 5_000)
    [last] = states[-1]
    last.backward()
    copied = copy.deepcopy(last)
    copied.backward()
    assert copied.data == last.data


@pytest.mark.parametrize(
    ("sequence", "h", "kind", "message"),
    [
        ([], None, ValueError, "the RNN takes a sequence of one input or more, but it is empty"),
        (3.0, None, TypeError, "the RNN takes a list of inputs, but got float 3.0"),
        (None, None, TypeError, "the RNN takes a list of inputs, but got NoneType None"),
        ([[1.0, 2.0], [1.0]], None, ValueError, "the RNNCell takes 2 inputs, but got 1"),
        ([1.0], None, ValueError, "the RNNCell takes 2 inputs, but got 1"),
        ([[1.0, "a"]], None, TypeError, "expected one real number, but got str 'a'"),
        ([[1.0, 2.0]], [0.0], ValueError, "the RNNCell takes 3 hidden numbers, but got 1"),
        ([[1.0, 2.0]], "abc", TypeError, "takes a list of numbers, but got str 'abc'"),
    ],
)
def test_what_is_no_sequence(sequence: Any, h: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        RNN(2, 3)(sequence, h)


# --- detach -------------------------------------------------------------------------------------


def test_what_is_detached_passes_nothing_on_however_much_comes() -> None:
    """Not 0 times the upstream, which is inf where a root or a logarithm begins."""
    for build in (
        lambda x: detach(x).sqrt() + x,
        lambda x: 1 / detach(x) + x,
        lambda x: detach(x) * math.inf + x,
    ):
        x = Value(0.0, "x")
        y = build(x)
        y.backward()
        assert x.grad == microgrant.grad(y, x) == 1.0
        for target in ("python", "auto"):
            step = microgrant.compile(y, [], [x], target=target)
            assert [*map(float, step.value_and_grad([0.0])[1])] == [1.0]
        assert microgrant.explain(y).gradients == {"x": 1.0}
        x.grad = y.grad = 0.0
        for node in microgrant.topological_order(y):
            node.grad = 0.0
        y.grad = 1.0
        for node in reversed(microgrant.topological_order(y)):
            node._backward()
        assert x.grad == 1.0


def test_detach() -> None:
    x = Value(3.0)
    y = detach(x * 2) * x
    assert y.data == 18.0
    assert grad(y, x) == 6.0
    assert grad(grad(y, x, create_graph=True), x) == 0.0
    assert detach(2.0).data == 2.0
    with pytest.raises(TypeError, match="expected one real number"):
        detach("2")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["native", "numpy", "python"])
def test_detach_is_live_in_a_compiled_step(target: Any, runs_here: Callable[[str], None]) -> None:
    runs_here(target)
    w, x = Value(1.0), Value(2.0)
    step = microgrant.compile(w * detach(w * x), [x], [w], target=target)
    assert step([[3.0], [5.0]]) == 4.0
    assert w.grad == 4.0


def test_detach_is_drawn_explained_copied_and_saved() -> None:
    x = Value(3.0, "x")
    y = detach(x) * x
    y.backward()
    assert "detach" in draw(y).source
    assert "detach(x)" in str(microgrant.explain(y))
    for copied in (copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        [leaf] = [node for node in topological_order(copied) if not node._prev]
        copied.backward()
        assert (copied.data, leaf.grad) == (9.0, 6.0)  # what it had, and 3 more
    with pytest.raises(ValueError, match="has an operation 'detach' already"):
        microgrant.define("detach", lambda x: x, lambda m, out, x: (0.0,))
