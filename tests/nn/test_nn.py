"""Neurons, layers, networks, and modules that users write."""

from __future__ import annotations

import copy
import functools
import gc
import math
import random
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import microgrant
from microgrant import define
from microgrant.engine import NO_GRADIENT, Value, topological_order
from microgrant.extras import in_browser
from microgrant.nn import (
    ACTIVATIONS,
    MLP,
    RNN,
    Conv2d,
    Elementwise,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    Module,
    Neuron,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)

# --- Parameters ---------------------------------------------------------------------------------


def test_names_of_parameters() -> None:
    names = [name for name, _ in MLP(2, [2, 1]).named_parameters()]
    assert names == [
        "layers[0].neurons[0].w[0]",
        "layers[0].neurons[0].w[1]",
        "layers[0].neurons[0].b",
        "layers[0].neurons[1].w[0]",
        "layers[0].neurons[1].w[1]",
        "layers[0].neurons[1].b",
        "layers[1].neurons[0].w[0]",
        "layers[1].neurons[0].w[1]",
        "layers[1].neurons[0].b",
    ]
    deep = dict(MLP(2, [4, 4]).named_parameters())
    assert "layers[0].neurons[3].w[1]" in deep


def test_a_name_leads_to_its_parameter() -> None:
    model = MLP(2, [3, 1])
    for name, parameter in model.named_parameters():
        assert eval(f"model.{name}", {"model": model}) is parameter


def test_parameters_stand_in_the_order_of_their_names() -> None:
    model = MLP(2, [3, 1])
    named = [p for _, p in model.named_parameters()]
    assert all(a is b for a, b in zip(model.parameters(), named, strict=True))
    assert len(model.parameters()) == 3 * 3 + 4


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("state_dict", "microgrant.saving.save"),
        ("fit", "microgrant.training.fit"),
        ("to", "no devices"),
        ("bogus", "$"),
    ],
)
def test_what_modules_of_other_libraries_have_gets_advice(name: str, advice: str) -> None:
    model = MLP(2, [1])
    with pytest.raises(AttributeError, match=f"^'MLP' object has no attribute '{name}'.*{advice}"):
        getattr(model, name)
    assert not hasattr(model, name)
    setattr(model, name, 1)  # a module of one's own may have it
    assert getattr(model, name) == 1


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: Linear(2, 3, bias=False), "to keep it at 0, give the optimiser all other"),
        (lambda: LeakyReLU(negative_slope=0.2), "it is called slope here"),
        (lambda: Linear(in_features=2, out_features=3), "'nin' and 'nout'"),
        (lambda: Linear(2, 3, bogus=1), "unexpected keyword argument 'bogus'$"),
    ],
)
def test_arguments_of_pytorchs_layers_get_advice(make: Callable[[], Any], advice: str) -> None:
    with pytest.raises(TypeError, match=advice):
        make()


def test_advice_on_arguments_is_no_setting() -> None:
    assert Linear(2, 3).settings() == {"nin": 2, "nout": 3, "init": "uniform"}
    assert LeakyReLU(0.5).settings() == {"slope": 0.5}


@pytest.mark.parametrize("examples", [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0]] * 3])
def test_a_table_of_examples_is_not_an_input(examples: Any) -> None:
    with pytest.raises(ValueError, match=r"as in \[model\(x\) for x in xs\]"):
        MLP(2, [1])(examples)


def test_zero_grad_forgets_gradients() -> None:
    model, x = MLP(2, [3, 1]), Value(1.0)
    model([x, 2.0]).backward()
    model.zero_grad()
    assert all(p.grad is NO_GRADIENT for p in model.parameters())
    assert x.grad is not NO_GRADIENT


class Shared(Module):
    def __init__(self) -> None:
        self.first = Neuron(2)
        self.again = self.first
        self.scale = Value(2.0)
        self.table = {"scale": self.scale, "shift": Value(3.0), 7: [Value(4.0)]}
        self.pair = (self.scale, Neuron(1))
        self.name = "shared"


def test_shared_parameters_are_listed_once() -> None:
    names = [name for name, _ in Shared().named_parameters()]
    assert names == [
        "first.w[0]",
        "first.w[1]",
        "first.b",
        "scale",
        "table['shift']",
        "table[7][0]",
        "pair[1].w[0]",
        "pair[1].b",
    ]


class Child(Module):
    def __init__(self, parent: Module) -> None:
        self.parent = parent
        self.weight = Value(2.0)

    def forward(self, x: Any) -> Value:
        return self.weight * x


class Parent(Module):
    def __init__(self) -> None:
        self.child = Child(self)
        self.bias = Value(1.0)

    def forward(self, x: Any) -> Value:
        return self.child(x) + self.bias


def test_a_module_that_refers_to_its_parent() -> None:
    parent = Parent()
    names = [name for name, _ in parent.named_parameters()]
    assert names == ["child.weight", "bias"]
    assert parent(3.0).data == 7.0


class Remembering(Module):
    """Keeps what it computed, as one does to look at activations later."""

    def __init__(self) -> None:
        self.layer = Layer(2, 2)

    def forward(self, x: Any) -> list[Value]:
        self.outputs = self.layer(x)
        return self.outputs


def test_an_output_that_a_module_keeps_is_no_parameter() -> None:
    module = Remembering()
    outputs = module([1.0, 2.0])
    outputs[0].backward()
    assert len(module.parameters()) == 6
    module.zero_grad()
    assert outputs[0].grad == 1.0


def test_an_output_that_a_module_keeps_makes_no_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        module = Remembering()
        module([1.0, 2.0])
        gone = weakref.ref(module)
        del module
        assert gone() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- Modules that users write -------------------------------------------------------------------


class InTheMannerOfMicrograd(Module):
    def __init__(self) -> None:
        self.w = [Value(1.0), Value(2.0)]
        self.b = Value(3.0)

    def __call__(self, x: Any) -> Value:
        return sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]


class WithForward(Module):
    def __init__(self) -> None:
        self.inner = InTheMannerOfMicrograd()

    def forward(self, x: Any, slope: float) -> tuple[Value, Value]:
        score = self.inner(x)
        return score * slope, score


def test_a_module_with_a_call_of_its_own() -> None:
    module = InTheMannerOfMicrograd()
    y = module([4.0, 5.0])
    y.backward()
    assert (y.data, [p.grad for p in module.parameters()]) == (17.0, [4.0, 5.0, 1.0])
    module.zero_grad()
    assert {p.grad for p in module.parameters()} == {0.0}


def test_a_module_with_forward() -> None:
    module = WithForward()
    scaled, score = module([4.0, 5.0], 2.0)
    assert (scaled.data, score.data) == (34.0, 17.0)
    assert [name for name, _ in module.named_parameters()] == [
        "inner.w[0]",
        "inner.w[1]",
        "inner.b",
    ]


def test_a_module_that_returns_its_input() -> None:
    class Identity(Module):
        def forward(self, x: Any) -> Any:
            return x

    x = Value(1.0)
    assert Identity()(x) is x
    assert Identity()("anything") == "anything"


def test_a_module_without_forward() -> None:
    class Nothing(Module):
        pass

    assert Nothing().parameters() == []
    with pytest.raises(NotImplementedError, match=r"Nothing does not define forward\(\)"):
        Nothing()(1.0)


# --- What the built-in modules compute ----------------------------------------------------------

ACTIVATION_VALUES = {
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "linear": lambda x: x,
    "leaky_relu": lambda x: max(x, 0.01 * x),
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def test_every_activation_is_tested() -> None:
    assert set(ACTIVATION_VALUES) == set(ACTIVATIONS)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [-2.0, 0.5])
def test_activations_by_name(activation: str, bias: float) -> None:
    neuron = Neuron(2, activation=activation)
    for parameter, number in zip(neuron.parameters(), (0.25, -0.5, bias), strict=True):
        parameter.data = number
    total = bias + 0.25 * 3.0 - 0.5 * 1.0
    expected = ACTIVATION_VALUES[activation](total)
    assert neuron([3.0, 1.0]).data == pytest.approx(expected, rel=1e-15)
    linear = Neuron(2, nonlin=False, activation=activation)
    assert repr(linear) == "LinearNeuron(2)"


@pytest.mark.parametrize("activation", [x for x in ACTIVATIONS if x != "linear"])
def test_a_function_of_microgrants_is_the_activation_of_its_name(activation: str) -> None:
    neuron = Neuron(2, activation=getattr(microgrant, activation))
    assert repr(neuron) == repr(Neuron(2, activation=activation))


def test_activations_reach_layers_and_networks() -> None:
    assert repr(Layer(2, 1, activation="sigmoid")) == "Layer of [SigmoidNeuron(2)]"
    assert repr(MLP(2, [2, 1], activation="tanh")) == (
        "MLP of [Layer of [TanhNeuron(2), TanhNeuron(2)], Layer of [LinearNeuron(2)]]"
    )


@pytest.mark.parametrize("activation", ["step", "", None, 3, "ReLU"], ids=repr)
def test_an_activation_that_does_not_exist(activation: Any) -> None:
    for make in (lambda: Neuron(2, activation=activation), lambda: MLP(2, [1], activation)):
        with pytest.raises(ValueError, match=r"is one of relu, tanh, sigmoid, linear.* but got"):
            make()


def test_an_activation_set_by_hand_is_one_of_the_table() -> None:
    neuron = Neuron(1)
    neuron.activation = "tanh"
    assert neuron([2.0]).data == math.tanh(neuron.w[0].data * 2.0)
    assert repr(neuron) == "TanhNeuron(1)"
    neuron.activation = "exp"  # an operation, but none that a library would know for a layer
    with pytest.raises(ValueError, match=r"is one of relu, tanh, sigmoid, linear.* but got 'exp'"):
        neuron([2.0])


def test_an_activation_is_a_function_of_a_value() -> None:
    bump = define("bump", lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * out,))
    for given, word, expected in (
        (lambda x: x.sin(), "Lambda", math.sin),
        (Value.softplus, "Softplus", lambda x: math.log1p(math.exp(x))),
        (bump, "Bump", lambda x: math.exp(-x * x)),
        (Elementwise(Value.exp), "Exp", math.exp),
        (functools.partial(Value.maximum, Value(0.25)), "Partial", lambda x: max(x, 0.25)),
        (Value.tanh, "Tanh", math.tanh),
        (Tanh(), "Tanh", math.tanh),
    ):
        neuron = Neuron(1, activation=given)
        x = Value(0.75)
        y = neuron(x)
        y.backward()
        total, h = neuron.w[0].data * 0.75, 1e-6
        assert y.data == pytest.approx(expected(total), rel=1e-15)
        slope = (expected(total + h) - expected(total - h)) / (2 * h)
        assert neuron.b.grad == pytest.approx(slope, rel=1e-6, abs=1e-9)
        assert repr(neuron) == f"{word}Neuron(1)"
        neuron.activation = given  # by hand it may be bare
        assert neuron(x).data == y.data
    assert Neuron(1, activation=Value.sin).describe() == "Neuron 1→1 sin"


def test_an_activation_may_have_parameters() -> None:
    class Leaky(Module):
        def __init__(self) -> None:
            self.slope = Value(0.125)

        def forward(self, x: Value) -> Value:
            return x.relu() - self.slope * (-x).relu()

    model = MLP(1, [2, 2, 1], activation=Leaky())
    assert sum(p.data == 0.125 for p in model.parameters()) == 1  # all neurons share it
    assert repr(model.layers[0]) == "Layer of [LeakyNeuron(1), LeakyNeuron(1)]"
    neuron = Neuron(1, activation=Leaky())
    neuron.w[0].data = -2.0
    neuron(3.0).backward()
    assert [p.grad for p in neuron.parameters()] == [-6.0, 0.375, 0.125]


def test_one_activation_for_each_layer_or_neuron() -> None:
    random.seed(7)
    model = MLP(2, [2, 1, 2], activation=["tanh", Value.sin, "sigmoid"])
    random.seed(7)
    twin = MLP(2, [2, 1, 2])
    assert [p.data for p in model.parameters()] == [p.data for p in twin.parameters()]
    assert repr(model) == (
        "MLP of [Layer of [TanhNeuron(2), TanhNeuron(2)], Layer of [SinNeuron(2)], "
        "Layer of [SigmoidNeuron(1), SigmoidNeuron(1)]]"
    )
    layer = Layer(1, 2, activation=("relu", "linear"))
    assert repr(layer) == "Layer of [ReLUNeuron(1), LinearNeuron(1)]"
    assert layer.activation == ["relu", "linear"]
    for made in (layer, model, RNN(1, 2)):
        with pytest.raises(AttributeError):  # which would change nothing
            made.activation = "tanh"  # type: ignore[misc]
    assert RNN(1, 2, activation="relu").activation == "relu"
    with pytest.raises(ValueError, match="of 3 layers each has an activation, but the list has 2"):
        MLP(2, [2, 1, 2], activation=["tanh", "tanh"])
    with pytest.raises(
        ValueError, match="of 2 channels each has an activation, but the list has 1"
    ):
        Conv2d(1, 2, 2, activation=["tanh"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda x: x.data, "activation lambda is to return a Value, but got float"),
        (math.tanh, "Value"),
        (lambda x: None, "but got NoneType None"),
    ],
    ids=["data", "math", "nothing"],
)
def test_a_function_of_numbers_is_no_activation(given: Any, says: str) -> None:
    for module in (Neuron(1, activation=given), Elementwise(given)):
        with pytest.raises(TypeError, match=says):
            module([1.0])


@pytest.mark.parametrize("given", [Tanh, Value, float])
def test_a_class_is_no_activation(given: Any) -> None:
    for make in (Neuron, MLP):
        with pytest.raises(TypeError, match=r"but got type .*: make one of it, as in Tanh\(\)"):
            make(1, *[[1]] * (make is MLP), activation=given)


def test_modules_as_in_pytorch() -> None:
    random.seed(3)
    model = Sequential(Linear(2, 3), Tanh(), Linear(3, 1))
    random.seed(3)
    twin = MLP(2, [3, 1], activation="tanh")
    assert model([0.5, -1.0]).data == twin([0.5, -1.0]).data
    assert repr(model) == (
        "Sequential of [Layer of [LinearNeuron(2), LinearNeuron(2), LinearNeuron(2)], Tanh, "
        "Layer of [LinearNeuron(3)]]"
    )
    assert ReLU()(-1.0).data == 0.0
    nested = Sigmoid()([[0.0, 1.0], [Value(-1.0)]])
    assert [[x.data for x in row] for row in nested] == [
        [0.5, pytest.approx(1 / (1 + math.exp(-1)))],
        [pytest.approx(1 / (1 + math.e))],
    ]
    x = Value(2.0)
    assert Identity()([x])[0] is x


def test_printing_is_that_of_micrograd() -> None:
    assert repr(Neuron(3)) == "ReLUNeuron(3)"
    assert repr(Neuron(3, nonlin=False)) == "LinearNeuron(3)"
    assert repr(Layer(3, 2)) == "Layer of [ReLUNeuron(3), ReLUNeuron(3)]"
    assert str(MLP(3, [2, 1])) == (
        "MLP of [Layer of [ReLUNeuron(3), ReLUNeuron(3)], Layer of [LinearNeuron(2)]]"
    )


@pytest.mark.parametrize("module", [Neuron(2), Layer(2, 3), MLP(2, [3, 1])], ids=repr)
@pytest.mark.parametrize("inputs", [0, 1, 3])
def test_a_wrong_width(module: Module, inputs: int) -> None:
    kind = type(module).__name__
    with pytest.raises(ValueError, match=f"the {kind} takes 2 inputs, but got {inputs}$"):
        module([1.0] * inputs)


def test_a_wrong_width_of_one() -> None:
    with pytest.raises(ValueError, match="the Neuron takes 1 input, but got 2"):
        Neuron(1)([1.0, 2.0])


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2", None], ids=repr)
def test_a_wrong_size(size: Any) -> None:
    for make in (lambda: Neuron(size), lambda: Layer(2, size), lambda: MLP(size, [1])):
        with pytest.raises(ValueError, match="is a whole number from 1 on, but got"):
            make()


def test_sizes_of_numpy() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    assert repr(Neuron(numpy.int64(2))) == "ReLUNeuron(2)"


@pytest.mark.parametrize("make", [list, tuple, iter], ids=lambda f: f.__name__)
def test_inputs_of_every_kind(make: Any) -> None:
    random.seed(1)
    model = MLP(2, [3, 1])
    expected = model([Value(1.0), Value(2.0)]).data
    assert model(make([1.0, 2.0])).data == expected
    assert model(make([1, Value(2.0)])).data == expected


def test_rows_of_numpy() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    random.seed(1)
    model = MLP(2, [3, 1])
    expected = [model(row).data for row in ([1.0, 2.0], [3.0, 4.0])]
    for kind in ("float64", "float32", "int64"):
        rows = numpy.array([[1, 2], [3, 4]], dtype=kind)
        assert [model(row).data for row in rows] == expected


def test_one_number_is_one_input() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    neuron = Neuron(1, nonlin=False)
    expected = neuron([2.0]).data
    for x in (2.0, 2, Value(2.0), numpy.float64(2), numpy.float32(2), numpy.int64(2)):
        assert neuron(x).data == expected


@pytest.mark.parametrize("x", [None, "ab", ["a", "b"], [None, 1.0], 1j], ids=repr)
def test_inputs_that_are_no_numbers(x: Any) -> None:
    for module in (Neuron(2), Layer(2, 3), MLP(2, [3, 1])):
        with pytest.raises(TypeError, match="but got"):
            module(x)


def test_a_number_is_one_leaf_for_all_neurons() -> None:
    random.seed(1)
    order = topological_order(*Layer(2, 5)([1.0, 2.0]))
    leaves = [node for node in order if not node._prev]
    assert len(leaves) == 2 + 5 * 3


def test_a_layer_of_one_neuron_returns_a_value_and_feeds_the_next() -> None:
    model = MLP(2, [1, 1, 2])
    assert type(Layer(2, 1)([1.0, 2.0])) is Value
    first, second = model([1.0, 2.0])
    (first + second).backward()
    assert {type(first), type(second)} == {Value}
    assert model.layers[2].neurons[0].b.grad == 1.0


def test_the_last_layer_is_linear() -> None:
    random.seed(1)
    model = MLP(2, [3, 2])
    assert [[n.nonlin for n in layer.neurons] for layer in model.layers] == [
        [True] * 3,
        [False] * 2,
    ]


def test_sizes_of_a_network_in_a_tuple() -> None:
    assert len(MLP(2, (3, 1)).parameters()) == 13


# --- What a review found --------------------------------------------------------------------------


def test_a_module_that_returns_its_input_makes_no_cycle() -> None:
    class Identity(Module):
        def forward(self, x: Value) -> Value:
            return x

    gc.collect()
    gc.disable()
    try:
        y = Identity()(Value(1.0) * 2.0)
        assert not hasattr(y, "_scope")
        del y
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_forward_takes_keywords() -> None:
    class Scaled(Module):
        def forward(self, x: Value, *, scale: float) -> Value:
            return x * scale

    assert Scaled()(Value(2.0), scale=3.0).data == 6.0


@pytest.mark.skipif(in_browser(), reason="Python in a browser frees no objects so deep")
def test_modules_nested_deeply() -> None:
    class Nest(Module):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

    nest: Any = Value(1.0)
    for _ in range(3_000):
        nest = Nest(nest)
    assert len(nest.parameters()) == 1


def test_a_copy_of_a_loss_and_its_model_belong_together() -> None:
    model = MLP(1, [2, 1])
    loss = model([1.0])
    loss_copy, model_copy = copy.deepcopy((loss, model))
    assert loss_copy._scope[-1].module() is model_copy


@pytest.mark.parametrize("nouts", [3, None])
def test_widths_that_are_no_list(nouts: Any) -> None:
    with pytest.raises(TypeError, match="nouts lists the width of each layer, but got"):
        MLP(2, nouts)
