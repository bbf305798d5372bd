"""Models in files: what is saved is what is loaded, and a file that is wrong does no harm."""

from __future__ import annotations

import copy
import errno
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from microgrant import Value
from microgrant.extras import in_browser
from microgrant.files import write_file
from microgrant.losses import binary_cross_entropy
from microgrant.nn import (
    ELU,
    GELU,
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
from microgrant.optim import Adam
from microgrant.saving import ModelFileError, load, load_extra, save
from microgrant.saving.blueprint import OWN
from microgrant.saving.models import LARGEST
from microgrant.training import fit

UNUSUAL = [math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, sys.float_info.max, 0.1, 1 / 3, 1e23]


class Line(Module):
    def __init__(self, slope: float = 0.0, unit: str = "°C") -> None:
        self.slope, self.unit, self.start = slope, unit, Value(0.5)

    def forward(self, x: Any) -> Value:
        return self.slope * x + self.start


class Leaky(Module):
    """An activation of one's own, with a parameter."""

    def __init__(self, slope: float = 0.5) -> None:
        self.slope, self.learned = slope, Value(0.125)

    def forward(self, x: Value) -> Value:
        return x.relu() - (-x).relu() * (self.slope + self.learned)


def set_by_hand(rnn: RNN) -> RNN:
    rnn.cell.neurons[1].activation = "relu"
    return rnn


class Tied(Module):
    """Weights that stand in several places: in a list, a tuple, a dictionary, another module."""

    def __init__(self, nin: int) -> None:
        if nin > 1000:  # which nobody but a spoilt file asks for
            raise ValueError(f"nin is at most 1000, but got {nin}")
        self.nin = nin
        self.first, self.second = Layer(nin, 1), Layer(nin, 1)
        self.pair = (self.first.neurons[0].b, Value(1.0))
        self.named = {"start": Value(2.0), "w": self.first.neurons[0].w}
        self.parent = self  # it comes to no harm that a module knows itself

    def forward(self, x: Any) -> Any:
        return self.first(x) + self.second(x) * self.pair[1]


MODULES: dict[str, Callable[[], Module]] = {
    "Neuron": lambda: Neuron(3, nonlin=False, init="he", nout=5),
    "Layer": lambda: Layer(3, 2, activation="sigmoid", init="xavier"),
    "one": lambda: Layer(2, 1),
    "several activations": lambda: MLP(2, [3, 2, 1], ["tanh", Value.relu, Leaky()]),
    "of each neuron": lambda: Layer(1, 3, activation=["tanh", "linear", Leaky(0.25)]),
    "of channels": lambda: Conv2d(1, 2, 2, activation=["tanh", "relu"]),
    "set by hand": lambda: set_by_hand(RNN(1, 2)),
    "PyTorch's way": lambda: Sequential(Linear(2, 3, "he"), ReLU(), Tanh(), Linear(3, 1)),
    "activations with settings": lambda: MLP(1, [2, 2, 1], ["gelu", LeakyReLU(0.2), ELU(1.5)]),
    "bends": lambda: Sequential(GELU(), SiLU()),
    "one's own": lambda: Sequential(Elementwise(Leaky()), Sigmoid(), Identity()),
    "MLP": lambda: MLP(2, [3, 1], activation="tanh", init="xavier"),
    "Conv2d": lambda: Conv2d(2, 3, 2, stride=2, padding=1, activation="relu"),
    "Flatten": Flatten,
    "MaxPool2d": lambda: MaxPool2d(2),
    "MeanPool2d": lambda: MeanPool2d(3),
    "Dropout": lambda: Dropout(0.25),
    "RNNCell": lambda: RNNCell(2, 3, activation="sigmoid"),
    "RNN": lambda: RNN(1, 2, truncate=4, activation="relu"),
    "Sequential": lambda: Sequential(Conv2d(1, 2, 3), MaxPool2d(2), Flatten(), Layer(8, 2)),
    "empty": Sequential,
    "nested": lambda: Sequential(Layer(2, 2), Sequential(Dropout(0.5), Sequential(Layer(2, 1)))),
    "Line": lambda: Line(-0.0),
    "Tied": lambda: Tied(2),
}
OF_ONE_S_OWN = [Line, Tied, Leaky]
every_module = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


def contents(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def numbers(model: Module) -> list[str]:
    """What a model has learned, told apart to the last bit."""
    return [f"{path} {p.data.hex()}" for path, p in model.named_parameters()]


def changed(path: Path, **entries: Any) -> Path:
    """The file with some of its entries replaced."""
    path.write_text(json.dumps({**contents(path), **entries}), encoding="utf-8")
    return path


# --- What is saved is what is loaded ------------------------------------------------------------


@every_module
def test_every_module_comes_back(make: Callable[[], Module], tmp_path: Path) -> None:
    model, path = make(), tmp_path / "model.json"
    for p, number in zip(model.parameters(), UNUSUAL * 10, strict=False):
        p.data = number
    save(model, path)
    twin = load(path, modules=OF_ONE_S_OWN)
    assert type(twin) is type(model)
    assert repr(twin) == repr(model)
    assert numbers(twin) == numbers(model)
    assert {*twin.parameters()}.isdisjoint(model.parameters())
    again = tmp_path / "again.json"
    save(twin, again)
    assert again.read_bytes() == path.read_bytes()


def test_all_of_nn_is_among_them() -> None:
    made = [make() for make in MODULES.values()]
    inside = [module for model in made for _, module in model.named_modules()]
    assert {type(module).__name__ for module in made + inside} >= {*OWN}


@every_module
def test_the_paths_are_those_of_named_parameters(
    make: Callable[[], Module], tmp_path: Path
) -> None:
    save(make(), tmp_path / "model.json")
    weights = contents(tmp_path / "model.json")["weights"]
    once = [path for path, x in weights.items() if not isinstance(x, dict)]
    assert once == [path for path, _ in make().named_parameters()]


@given(st.lists(st.floats(), min_size=3, max_size=3))
def test_every_float_comes_back(given: list[float]) -> None:
    model = Neuron(2)
    for p, number in zip(model.parameters(), given, strict=True):
        p.data = number
    with tempfile.TemporaryDirectory() as folder:
        save(model, f"{folder}/model.json", extra=given)
        assert numbers(load(f"{folder}/model.json")) == numbers(model)
        found = [*map(float.hex, load_extra(f"{folder}/model.json"))]
        assert found == [*map(float.hex, given)]


def test_the_file_is_the_json_that_is_documented(tmp_path: Path) -> None:
    model, path = MLP(1, [1]), tmp_path / "model.json"
    weight, bias = model.parameters()
    weight.data, bias.data = 0.1, math.nan
    save(model, path, extra=[-math.inf])
    assert path.read_text(encoding="ascii") == (
        "{\n"
        ' "format": "microgrant model",\n'
        ' "version": 1,\n'
        ' "model": {"$module": "MLP", "settings": {"nin": 1, "nouts": [1], "activation": "relu", '
        '"init": "uniform"}},\n'
        ' "training": {"": true},\n'
        ' "weights": {\n'
        '  "layers[0].neurons[0].w[0]": 0.1,\n'
        '  "layers[0].neurons[0].b": {"$float": "nan"}\n'
        " },\n"
        ' "extra": [{"$float": "-inf"}]\n'
        "}\n"
    )
    assert "NaN" not in json.dumps(contents(path), allow_nan=False)


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(
        '{"version": 1, "weights": {"b": 1, "w[0]": -2e0}, "extra": null, "training": {"": false},'
        ' "model": {"settings": {"nin": 1, "nonlin": false, "activation": "linear", "nout": 1,'
        ' "init": "he"}, "$module": "Neuron"}, "format": "microgrant model"}\n\n'
    )
    neuron = load(path)
    assert (neuron([3.0]).data, neuron.training) == (-5.0, False)


def test_a_shared_layer_stays_shared(tmp_path: Path) -> None:
    layer = Layer(2, 2)
    save(Sequential(layer, Dropout(0.5), layer), tmp_path / "model.json")
    twin = load(tmp_path / "model.json")
    first, _, second = twin.modules
    assert len(twin.parameters()) == 6
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert one is other


def test_single_weights_stay_shared(tmp_path: Path) -> None:
    model = Tied(2)
    model.second.neurons[0].w[1] = model.first.neurons[0].w[0]  # the constructor does not do that
    model.named["start"] = model.pair[1]
    save(model, tmp_path / "model.json")
    twin = load(tmp_path / "model.json", modules=[Tied])
    assert twin.second.neurons[0].w[1] is twin.first.neurons[0].w[0]
    assert twin.second.neurons[0].w[0] is not twin.first.neurons[0].w[0]
    assert twin.named["start"] is twin.pair[1]
    assert twin.named["w"] is twin.first.neurons[0].w
    assert twin.pair[0] is twin.first.neurons[0].b
    assert numbers(twin) == numbers(model)


def test_the_mode_stays_what_it_is(tmp_path: Path) -> None:
    model = Sequential(Layer(1, 2), Sequential(Dropout(0.5), Layer(2, 1))).eval()
    model.modules[1].modules[0].train()
    save(model, tmp_path / "model.json")
    assert contents(tmp_path / "model.json")["training"] == {
        "": False,
        "modules[1].modules[0]": True,
    }
    twin = load(tmp_path / "model.json")
    modes = [module.training for _, module in twin.named_modules()]
    assert modes == [module.training for _, module in model.named_modules()]
    assert modes.count(True) == 1


@pytest.mark.parametrize(
    "extra",
    [
        None,
        [1, -2.5, True, "text", "\ud800 \u0000 “”", None, {}, []],
        {"loss": [0.5, math.inf], "": {"a": {"b": -math.inf}}, "float": "nan"},
        10**300,
    ],
)
def test_what_is_kept_with_a_model_comes_back(extra: Any, tmp_path: Path) -> None:
    save(Neuron(1), tmp_path / "model.json", extra=extra)
    assert load_extra(tmp_path / "model.json") == extra


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    model = Layer(numpy.int64(2), numpy.int32(1))
    extra = {"epoch": numpy.int64(3), "loss": numpy.float32(0.5), "pair": (1, numpy.float64(2))}
    save(model, tmp_path / "model.json", extra=extra)
    assert load_extra(tmp_path / "model.json") == {"epoch": 3, "loss": 0.5, "pair": [1, 2.0]}


def test_a_training_goes_on_from_a_file(tmp_path: Path) -> None:
    def train(model: Module, epochs: int, state: Any = None) -> Any:
        return fit(
            model,
            binary_cross_entropy,
            ([[0, 0], [0, 1], [1, 0], [1, 1]] * 3, [0, 1, 1, 0] * 3),
            epochs=epochs,
            batch_size=4,
            optimizer=lambda ps: Adam(ps, 0.1),
            validation=0.25,
            seed=7,
            target="eager",
            progress=False,
            resume=state,
        )

    def fresh() -> Module:
        random.seed(5)
        return Sequential(Layer(2, 4, activation="tanh"), Dropout(0.25), Layer(4, 1, nonlin=False))

    whole, first = fresh(), fresh()
    expected = train(whole, 6)
    save(first, tmp_path / "half.json", extra=train(first, 3).state)
    second = load(tmp_path / "half.json")
    found = train(second, 6, load_extra(tmp_path / "half.json"))
    assert numbers(second) == numbers(whole) != numbers(first)
    assert (found.loss, found.validation_loss) == (expected.loss, expected.validation_loss)


def test_random_numbers_are_left_alone(tmp_path: Path) -> None:
    model = MLP(2, [3, 1])
    random.seed(1)
    expected = random.random()
    random.seed(1)
    save(model, tmp_path / "model.json")
    load(tmp_path / "model.json")
    with pytest.raises(ModelFileError):
        load(changed(tmp_path / "model.json", weights={}))
    assert random.random() == expected


# --- What cannot be saved -----------------------------------------------------------------------


class Forgetful(Module):
    def __init__(self, size: int) -> None:
        self.weights = [Value(0.0) for _ in range(size)]


class Grown(Module):
    def __init__(self) -> None:
        self.w = Value(1.0)


def grown() -> Module:
    model = Grown()
    model.b = Value(2.0)  # type: ignore[attr-defined]
    return model


def with_sigmoid() -> Module:
    model = MLP(2, [3, 1])
    model.layers[-1].neurons[0].activation = "sigmoid"
    return model


def hollow() -> Module:
    model = Layer(2, 1)
    model.neurons.clear()
    return model


def namesake() -> type[Module]:
    return type("Layer", (Module,), {"settings": lambda self: {}})


def circle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def deep() -> Module:
    model: Module = Flatten()
    for _ in range(40):
        model = Sequential(model)
    return model


UNSAVABLE: list[tuple[Any, Any, type[Exception], str]] = [
    (Value(1.0), None, TypeError, "save needs a Module, but got Value"),
    (Forgetful(2), None, TypeError, "does not tell its setting 'size'"),
    (Line(Value(1.0)), None, TypeError, r"Line.settings\(\)\['slope'\] is to be plain data"),
    (grown(), None, ValueError, "Grown could not be loaded again: the Grown has no weight 'b'"),
    (
        with_sigmoid(),
        None,
        ValueError,
        "the MLP would be loaded as another one: "
        r"layers\[1\].neurons\[0\].activation is 'sigmoid' here, and 'linear' there",
    ),
    (
        MLP(2, [3, 1], lambda x: x * x),
        None,
        TypeError,
        r"Elementwise.settings\(\)\['function'\] is to be plain data .* but is function .*: of a "
        "function, a file can keep nothing. A Module of your own in its place can be kept",
    ),
    (Elementwise(Value.sin), None, TypeError, "of a function, a file can keep nothing"),
    (hollow(), None, TypeError, r"Layer.settings\(\) does not return them: list index out of"),
    (namesake()(), None, ValueError, "two classes of modules are called Layer"),
    (deep(), None, ValueError, "nested more than 100 deep"),
    (Flatten(), {1: 2}, ValueError, "a key of extra is to be a text without a [$], but is 1"),
    (Flatten(), {"$a": 2}, ValueError, "but is '[$]a'"),
    (Flatten(), [{"a": 1j}], TypeError, r"extra\[0\]\['a'\] is to be plain data .*complex"),
    (Flatten(), Flatten(), TypeError, "extra is to be plain data"),
    (Flatten(), circle(), ValueError, "contains itself"),
    (Flatten(), 10**400, ValueError, "an integer of 400 digits or more"),
    (Flatten(), "a" * LARGEST, ValueError, "is too large: 67,108,864 can be loaded"),
]


@pytest.mark.parametrize(
    ("model", "extra", "error", "says"), UNSAVABLE, ids=[case[-1] for case in UNSAVABLE]
)
def test_what_cannot_be_saved_is_said(
    model: Any, extra: Any, error: type[Exception], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.json"
    path.write_text("the old file")
    with pytest.raises(error, match=says):
        save(model, path, extra=extra)
    assert path.read_text() == "the old file"
    assert [*tmp_path.iterdir()] == [path]


def test_modules_are_classes_with_names_of_their_own(tmp_path: Path) -> None:
    save(Line(), tmp_path / "line.json")
    with pytest.raises(TypeError, match="modules lists classes of modules, but got Line"):
        load(tmp_path / "line.json", modules=[Line()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="two classes of modules are called Layer"):
        load(tmp_path / "line.json", modules=[namesake()])


# --- Files that are wrong -----------------------------------------------------------------------


def setting(**settings: Any) -> Callable[[Any], None]:
    return lambda file: file["model"]["settings"].update(settings)


def entry(**entries: Any) -> Callable[[Any], None]:
    return lambda file: file.update(entries)


def weight(x: Any) -> Callable[[Any], None]:
    return lambda file: file["weights"].update({"layers[0].neurons[0].b": x})


def module(name: str, **settings: Any) -> Callable[[Any], None]:
    return entry(model={"$module": name, "settings": settings})


BIAS, MILLIARD = "layers[0].neurons[0].b", 10**9
WRONG: list[tuple[Callable[[Any], None], str]] = [
    (entry(format="another model"), 'this is no model file: it lacks "format": "microgrant model"'),
    (entry(version=2), "it is of version 2, and only 1 is known here"),
    (entry(version=True), "it is of version True"),
    (lambda file: file.pop("training"), "it lacks 'training': the entries are format, version"),
    (entry(author="me"), "it has 'author': the entries are"),
    (entry(weights=[]), "weights are numbers by path, but there is list"),
    (entry(training=True), "training is true or false by path, but there is bool True"),
    (entry(training={"": 1}), "training is true or false by path"),
    (entry(training={}), "'training' does not fit what is made of it"),
    (entry(training={"": True, "layers[7]": False}), "'training' does not fit"),
    (entry(training={"": True, "layers[0]": True}), "'training' does not fit"),
    (entry(model=[1]), r"the model is to be a \$module, but there is list"),
    (entry(model={"$module": "MLP"}), "a module has [$]module and settings"),
    (entry(model={"$module": "MLP", "settings": {}, "x": 1}), "a module has [$]module and setting"),
    (entry(model={"$module": ["MLP"], "settings": {}}), r"no class of modules is known as \['MLP'"),
    (module("os.system", command="true"), "no class of modules is known as 'os.system'"),
    (module("Module"), "no class of modules is known as 'Module'"),
    (module("Value", data=1.0), "no class of modules is known as 'Value'"),
    (module("__import__"), "no class of modules is known"),
    (module("Flatten"), r"the Flatten has no weight 'layers\[0\]"),
    (module("Flatten", size=1), "these settings make no Flatten: .*takes no arguments"),
    (module("Sequential"), "these settings make no Sequential"),
    (module("Sequential", modules=[1]), "these settings make no Sequential: .*got int 1"),
    (module("Sequential", modules={}), "the Sequential has no weight"),
    (setting(nin=3), "there are 13 weights, fewer than a MLP of these settings has"),
    (setting(nin=1), r"the MLP has no weight 'layers\[0\].neurons\[0\].w\[1\]'"),
    (setting(nin=MILLIARD), "fewer than a MLP of these settings"),
    (setting(nouts=[MILLIARD, MILLIARD]), "fewer than a MLP of these settings"),
    (
        setting(nouts=[MILLIARD, -MILLIARD]),
        "nouts is a whole number from 1 on, but there is int -1",
    ),
    (setting(nouts=[3.0, 1]), "nouts is a whole number from 1 on, but there is float 3.0"),
    (setting(nouts=[]), "these settings make no MLP"),
    (setting(nouts=3), "these settings make no MLP"),
    (setting(nin="2"), "nin is a whole number from 1 on, but there is str '2'"),
    (setting(nin=True), "nin is a whole number from 1 on, but there is bool True"),
    (setting(nin=None), "nin is a whole number from 1 on"),
    (setting(activation="step"), "these settings make no MLP: the activation is one of relu"),
    (setting(init={"$module": "Flatten", "settings": {}}), "these settings make no MLP"),
    (setting(width=3), "these settings make no MLP: .*unexpected keyword"),
    (setting(activation=["relu"]), "these settings make no MLP: of 2 layers each has an act"),
    (setting(activation=["relu", ["relu"]]), "these settings make no MLP: the activation is one"),
    (module("Elementwise", function="relu"), "these settings make no Elementwise: an activation"),
    (module("Linear", nin=1, nout=MILLIARD), "fewer than a Linear"),
    (module("Neuron", nin=MILLIARD), "fewer than a Neuron"),
    (module("Layer", nin=1, nout=MILLIARD), "fewer than a Layer"),
    (module("Conv2d", channels_in=1, channels_out=1, kernel_size=MILLIARD), "fewer than a Conv2d"),
    (
        module("Conv2d", channels_in=[0], channels_out=1, kernel_size=9),
        "channels_in is a whole num",
    ),
    (module("RNN", nin=1, nhidden=MILLIARD), "fewer than a RNN"),
    (module("RNNCell", nin=MILLIARD, nhidden=1), "fewer than a RNNCell"),
    (
        lambda file: file["weights"].update(c=file["weights"].pop(BIAS)),
        r"the weight layers\[0\].neurons\[0\].b of the MLP is missing",
    ),
    (lambda file: file["weights"].pop(BIAS), "there are 12 weights, fewer than a MLP of these"),
    (lambda file: file["weights"].update(c=1.0), "the MLP has no weight 'c'"),
    (weight("0.5"), "there is to be a number, but there is str '0.5'"),
    (weight(None), "there is to be a number, but there is NoneType None"),
    (weight(True), "there is to be a number, but there is bool True"),
    (weight([0.5]), "there is to be a number, but there is list"),
    (weight({"$float": "1.5"}), "there is to be a number"),
    (weight({"$float": ["nan"]}), "there is to be a number"),
    (weight({"$float": "nan", "x": 1}), "there is to be a number"),
    (weight(10**309), "there is to be a number, but there is int 1000"),
    (weight(2**1024 - 1), "there is to be a number"),
    (weight(2**63 + 1), "'weights' does not fit what is made of it"),
    (weight({"$same": "nowhere"}), "is the same as 'nowhere', which is missing"),
    (weight({"$same": BIAS}), "'weights' does not fit what is made of it"),
    (weight({"$same": ["b"]}), "is the same as"),
    (
        entry(extra={"$module": "Flatten", "settings": {}}),
        "a key '[$]module', which has no meaning",
    ),
    (entry(extra={"$same": "b"}), "a key '[$]same', which has no meaning"),
    (entry(extra=[{"$float": 1}]), "there is to be a number"),
]


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The weights that were drawn: how much was built."""
    drawn: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: drawn.append(low) or 0.0)
    return drawn


@pytest.mark.parametrize(("spoil", "says"), WRONG, ids=[says[:50] for _, says in WRONG])
def test_a_wrong_file_is_one_error(
    spoil: Callable[[Any], None], says: str, tmp_path: Path, draws: list[float]
) -> None:
    path = tmp_path / "model.json"
    save(MLP(2, [3, 1]), path)
    file = contents(path)
    spoil(file)
    path.write_text(json.dumps(file))
    draws.clear()
    with pytest.raises(ModelFileError, match=says) as caught:
        load(path)
    assert len(draws) <= len(file["weights"])
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 300


TEXTS: list[tuple[bytes, str]] = [
    (b"", "this is no JSON, or not all of it: Expecting value in line 1, column 1"),
    (b"\x80\x04\x95", "this is no UTF-8 text, at byte 0"),  # a pickle
    (
        b'{"format": "microgrant model", "version": 1',
        "not all of it: Expecting ',' delimiter in li",
    ),
    (b'{"format": "microgrant model', "Unterminated string"),
    (b'{"format": "a", "format": "b"}', "the key 'format' is there twice"),
    (b'[{"a": {"b": 1, "b": 1}}]', "the key 'b' is there twice"),
    (b"[]", 'this is no model file: it lacks "format"'),
    (b"null", "this is no model file"),
    (b'{"format": NaN}', 'NaN is no JSON: write {"[$]float": "nan"}'),
    (b"[-Infinity]", 'write {"[$]float": "-inf"}'),
    (b"[1e999]", "1e999 is too large for a float"),
    (b"1" * 401, "the number 11111111111111111111… has 401 characters"),
    (b"0." + b"1" * 10**6, "has 1000002 characters"),
    (b"-" + b"1" * 10**6, "has 1000001 characters"),
    (b"[" * 101, "this is nested more than 100 deep"),
    (b"[" * 10**6, "this is nested more than 100 deep"),
    (b'{"a":' * 10**5, "this is nested more than 100 deep"),
    (rb'["\\", "\"", ' + b"[" * 10**5, "this is nested more than 100 deep"),
    (rb'["\"' + b"[" * 10**5 + b'"]', "this is no model file"),  # brackets in a text do no harm
    (b'["' + b"\\" * 10**6, "this is no JSON"),
    (b'["' + b'\\"' * 10**6, "this is no JSON"),
    (b'["' + b'\\""' * 10**5, "this is no JSON"),
    ("\ufeff{}".encode(), "Unexpected UTF-8 BOM"),
    (b'"\x01"', "Invalid control character"),
    (b"{}{}", "Extra data"),
]


@pytest.mark.parametrize(("text", "says"), TEXTS, ids=[says for _, says in TEXTS])
def test_wrong_text_is_one_error(text: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(text)
    for reader in (load, load_extra):
        with pytest.raises(ModelFileError, match=says):
            reader(path)


@pytest.mark.skipif(in_browser(), reason="a browser's files are all in memory")
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole, which takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="no model file more than 67,108,864"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_absurd_sizes_take_no_memory(tmp_path: Path) -> None:
    save(MLP(2, [3, 1]), tmp_path / "model.json")
    file = contents(tmp_path / "model.json")
    file["model"]["settings"] |= {"nin": MILLIARD, "nouts": [MILLIARD, MILLIARD]}
    (tmp_path / "model.json").write_text(json.dumps(file))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            load(tmp_path / "model.json")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # which nobody writes to: to open it would take forever
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ModelFileError, match="this is not a file"):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.json")


# --- Files that were spoilt at random -----------------------------------------------------------

JUNK: list[Any] = [None, True, False, 0, 1, -1, 2, 3, MILLIARD, 10**30, 0.5, -0.0, 1e308, "", "nan"]
JUNK += ["relu", "tanh", "MLP", "Line", "\ud800", "b", [], [[]], [1, 2], {}, {"": True}, "a" * 999]
JUNK += [{"$float": "nan"}, {"$float": "inf"}, {"$same": "b"}, {"$same": BIAS}, {"$x": 1}]
JUNK += [{"$module": "Flatten", "settings": {}}, {"$module": "Line", "settings": {}}]
JUNK += [{"$module": "Sequential", "settings": {"modules": []}}]


def spoilt_bytes(good: bytes, chance: random.Random) -> bytes:
    data = bytearray(good)
    kind = chance.randrange(5)
    if kind == 0:
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del data[chance.randrange(len(data)) :]
    else:
        at, size = chance.randrange(len(data)), chance.randint(1, 60)
        other = chance.randrange(len(data))
        piece = (
            data[other : other + size] if kind == 2 else bytes(chance.choices(b'[]{}",:019.', k=9))
        )
        data[at : at + (0 if kind == 3 else size)] = piece if chance.random() < 0.8 else b""
    return bytes(data)


def places_in(x: Any) -> Iterator[tuple[Any, Any]]:
    """Each list or dictionary inside, with each index or key."""
    for key in range(len(x)) if isinstance(x, list) else [*x]:
        yield x, key
        if isinstance(x[key], (list, dict)):
            yield from places_in(x[key])


def spoilt_json(good: bytes, chance: random.Random) -> bytes:
    file = json.loads(good)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        place, key = chance.choice([*places_in(file)])
        kind = chance.randrange(5)
        if kind == 0:
            del place[key]
        elif kind == 1:
            other, which = chance.choice([*places_in(file)])
            place[key] = json.loads(json.dumps(other[which]))
        elif kind == 2 and isinstance(place, dict):
            place[chance.choice([str(x) for x in JUNK if not isinstance(x, dict)])] = place.pop(key)
        else:
            place[key] = copy.deepcopy(chance.choice(JUNK))
        if not file:
            break
    return json.dumps(file).encode()


def spoil(files: list[bytes], count: int, seed: str, path: Path) -> Counter[str]:
    """Load so many spoilt files: each is the one error, or a model that is what the file says."""
    chance, outcomes = random.Random(seed), Counter[str]()
    for _ in range(count):
        data = chance.choice([spoilt_bytes, spoilt_json])(chance.choice(files), chance)
        path.write_bytes(data)
        try:
            model, extra = load(path, modules=OF_ONE_S_OWN), load_extra(path)
        except ModelFileError:
            outcomes["error"] += 1
            continue
        outcomes["model"] += 1
        again = path.with_name("again.json")
        save(model, again, extra=extra)
        assert contents(again) == json.loads(data)
        assert numbers(load(again, modules=OF_ONE_S_OWN)) == numbers(model)
    return outcomes


@contextmanager
def swift_files() -> Iterator[None]:
    """Writing without waiting for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def good_files(tmp_path: Path) -> list[bytes]:
    found = []
    for make in MODULES.values():
        save(make(), tmp_path / "good.json", extra={"loss": [1.0, math.nan], "epoch": 3})
        found.append((tmp_path / "good.json").read_bytes())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.campaign)])
def test_many_spoilt_files(count: int, tmp_path: Path) -> None:
    with swift_files():
        outcomes = spoil(good_files(tmp_path), count, "suite", tmp_path / "model.json")
    assert outcomes["error"] > 0.7 * count
    assert outcomes["model"] > 0.03 * count  # another number, mode, activation, …


@pytest.mark.campaign
def test_100_000_spoilt_files(tmp_path: Path) -> None:
    slowest = 0.0
    with swift_files():
        files = good_files(tmp_path)
        save(MLP(2, [16, 16, 1]), tmp_path / "good.json", extra=[math.inf] * 500)
        files.append((tmp_path / "good.json").read_bytes())
        for seed in range(100_000):
            began = time.process_time()
            spoil(files, 1, f"campaign {seed}", tmp_path / "model.json")
            slowest = max(slowest, time.process_time() - began)
    print(f"the slowest took {slowest * 1000:.0f} ms")
    assert slowest < 5  # nothing hangs


# --- Saving that fails --------------------------------------------------------------------------


def test_a_killed_save_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    assert sum(kill(tmp_path, 30).values()) == 30


@pytest.mark.campaign
def test_1000_killed_saves(tmp_path: Path) -> None:
    outcomes = kill(tmp_path, 1000)
    print(dict(outcomes))
    assert {"new", "old, and a hidden file"} <= {*outcomes}  # killed after, or within


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from microgrant.nn import MLP
from microgrant.saving import load, save

folder, count = Path(sys.argv[1]), int(sys.argv[2])
path, chance = folder / "model.json", random.Random(3)
model, extra = MLP(2, [4, 1]), [chance.random() for _ in range(3_000)]
save(model, path, extra=extra)
old = path.read_bytes()
for _ in range(count):
    model.parameters()[0].data += 1
    save(model, folder / "reference", extra=extra)
    new = (folder / "reference").read_bytes()
    pid = os.fork()
    if pid == 0:
        save(model, path, extra=extra)
        signal.pause()
    while not any(name.startswith(".model.json.") for name in os.listdir(folder)):
        if path.read_bytes() == new or os.waitpid(pid, os.WNOHANG)[0]:
            break
    time.sleep(chance.choice([0, 0, chance.uniform(0, 0.01)]))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    found = path.read_bytes()
    outcome = "old" if found == old else "new" if found == new else "half"
    assert load(path).nin == 2
    for hidden in folder.glob(".model.json.*"):
        outcome += ", and a hidden file"
        hidden.unlink()
    print(outcome)
    old = found
"""


def kill(folder: Path, count: int) -> Counter[str]:
    """Kill so many processes while they save, and tell what was there afterwards."""
    finished = subprocess.run(
        [sys.executable, "-c", KILLER, str(folder), str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = Counter(finished.stdout.splitlines())
    assert not any("half" in outcome for outcome in outcomes)
    return outcomes


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """A file with a model, which is still there, and alone, after the test."""
    path = tmp_path / "model.json"
    save(Neuron(1), path, extra="old")
    before = path.read_bytes()
    yield path
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_file(
    step: str, problem: BaseException, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise problem

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(problem)) as caught:
        save(Neuron(1), old)
    if isinstance(problem, OSError):
        assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left: {str(old)!r}"


def test_a_full_disk_leaves_the_old_file(old: Path) -> None:
    resource = pytest.importorskip("resource", reason="this machine limits no files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # room for so many bytes
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            save(Neuron(1), old, extra="a" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(old)


def test_a_folder_that_may_not_be_changed_leaves_the_old_file() -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        save(Neuron(1), path)
        before = path.read_bytes()
        Path(folder).chmod(0o555)
        root = os.geteuid() == 0  # who may change everything
        if root:
            os.seteuid(nobody)
        try:
            with pytest.raises(PermissionError) as caught:
                save(Neuron(2), path)
            assert type(load(path)) is Neuron
        finally:
            if root:
                os.seteuid(0)
            Path(folder).chmod(0o755)
        assert caught.value.filename == str(path)
        assert path.read_bytes() == before
        assert [*Path(folder).iterdir()] == [path]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        save(Neuron(1), tmp_path / "no" / "model.json")
    assert caught.value.filename == str(tmp_path / "no" / "model.json")


@pytest.mark.parametrize("link", ["to a file", "to nothing"])
def test_a_link_stays_a_link(link: str, tmp_path: Path) -> None:
    target, path = tmp_path / "real.json", tmp_path / "link.json"
    if link == "to a file":
        save(Neuron(1), target)
    path.symlink_to(target)
    save(Neuron(2), path)
    assert load(target).nin == 2
    assert path.is_symlink()


@pytest.mark.skipif(in_browser(), reason="a browser's files have no masks")
def test_the_permissions_stay_what_they_are(tmp_path: Path) -> None:
    path, mask = tmp_path / "model.json", os.umask(0o027)
    try:
        save(Neuron(1), path)
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o604)
        save(Neuron(1), path)
        assert path.stat().st_mode & 0o777 == 0o604
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a file that could be replaced"):
        save(Neuron(1), tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path, b"")
    assert [*tmp_path.iterdir()] == [tmp_path / "pipe"]
    assert (tmp_path / "pipe").is_fifo()
