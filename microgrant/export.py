"""Models for other libraries: the road for those who outgrow scalars.

With this module you can

- go on in PyTorch:                        network = to_torch(model)
- run a model wherever ONNX runs:          to_onnx(model, "model.onnx")
- say of what shape its inputs are:        to_onnx(model, "digits.onnx", (1, 8, 8))

Both compute what the model computes, in double precision and for many examples at once: arrays have
an axis more, in front, for the rows. A model that returns a single number, such as a `Layer` of one
neuron, gives a column: an array of the shape (n, 1).
"""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .engine import Value, shown
from .files import write_file
from .modes import no_grad
from .nn import (
    RNN,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    MaxPool2d,
    MeanPool2d,
    Module,
    Neuron,
    RNNCell,
)
from .onnx_graph import OnnxGraph
from .onnx_layers import outputs, parts_of, rule_for
from .onnx_program import nested

__all__ = ["to_onnx", "to_torch"]


def to_onnx(model: Module, path: str | os.PathLike[str], *shapes: Sequence[int]) -> Path:
    """Write a file in the format ONNX, and return its path. Needs the package onnx.

    shapes: of each thing that the model is called with, for one example: (2,) for two numbers,
        (1, 8, 8) for an image of one channel, (20, 3) for a sequence of 20 steps, () for a number.
        Layers of neurons know it.

    The model is written as it is in `eval` mode. Its input is called x (or x0, x1, … of several),
    its output y, all of them of type double: with the package onnxruntime,

        session = onnxruntime.InferenceSession("model.onnx")
        [outputs] = session.run(None, {"x": numpy.array(rows)})

    What is in a module of your own is written as it is recorded: an operation for each scalar. So
    it is with `compile`: what Python decided meanwhile stays decided. That is for small modules.

    A TypeError or ValueError says what about the model or the shapes does not fit, an OSError why
    the file cannot be written.
    """
    if not isinstance(model, Module):
        raise TypeError(f"to_onnx needs a Module, but got {shown(model)}")
    for shape in shapes:
        if not isinstance(shape, (tuple, list)) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"a shape is a tuple of whole numbers from 1 on, but got {shape!r}")
    graph = OnnxGraph(needed("onnx", "microgrant[export]"))
    model = copy.deepcopy(model).eval()
    chosen = [tuple(shape) for shape in shapes] or own_shapes(model)
    with no_grad():  # what does not fit is said in the words of the model
        model(*(nested(shape, lambda: Value(0.0)) for shape in chosen))
    names = ["x"] if len(chosen) == 1 else [f"x{i}" for i in range(len(chosen))]
    inputs = [graph.input(name, shape) for name, shape in zip(names, chosen, strict=True)]
    write_file(Path(path), graph.finished(outputs(graph, model, *inputs)))
    return Path(path)


def own_shapes(model: Module) -> list[tuple[int, ...]]:
    """The shapes of what a model takes, if its first layer tells them."""
    if isinstance(model, RNNCell):
        return [(model.nin,), (model.nhidden,)]
    first = model
    while parts := [part for part in parts_of(first) or () if not isinstance(part, Dropout)]:
        first = parts[0]
    if isinstance(first, (Neuron, Layer)):
        return [(first.nin,)]
    raise ValueError(
        f"the {type(model).__name__} does not tell the shape of its inputs: give it, as in "
        "to_onnx(model, path, (1, 8, 8)) for images of one channel, 8×8"
    )


def to_torch(model: Module) -> Any:
    """A module of PyTorch's that computes the same, with the same weights, ready to be trained.

    Each layer becomes PyTorch's layer of that kind, and several of them a `torch.nn.Sequential`, in
    the mode that they are in. A `Layer` takes an array (n, inputs), and a `Conv2d` images (n,
    channel, row, column), as they do there. An `RNN` takes sequences (n, step, input), and returns
    the hidden numbers after each step.

        network = to_torch(model)
        outputs = network(torch.tensor(rows, dtype=torch.float64))

    A module of your own is asked for its counterpart, if it has a method `to_torch`; or else a
    TypeError says that there is none. A ValueError says so if single weights are shared, since
    PyTorch only shares whole layers. At ties, `torch.nn.MaxPool2d` gives the gradient to the first.
    """
    if not isinstance(model, Module):
        raise TypeError(f"to_torch needs a Module, but got {shown(model)}")
    writer = _TorchWriter(needed("torch", "torch"))
    layers = writer.layers(model)
    network = layers[0] if len(layers) == 1 else writer.nn.Sequential(*layers)
    network.training = model.training
    return network


def needed(name: str, install: str) -> Any:
    """A package that is not needed until now."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"{name} is not installed: `pip install '{install}'` brings it") from None


class _TorchWriter:
    """Makes PyTorch's layers; of a module that stands in two places, the same in both."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.nn = torch, torch.nn
        self.made: dict[int, list[Any]] = {}
        self.written: set[Value] = set()

    def layers(self, module: Module) -> list[Any]:
        """The layers that compute, one after the other, what a module does."""
        parts = None if hasattr(module, "to_torch") else parts_of(module)
        if parts is not None:
            return [layer for part in parts for layer in self.layers(part)]
        if id(module) not in self.made:
            rule = rule_for(module, TORCH)
            if hasattr(module, "to_torch"):
                layers = [module.to_torch()]
            elif rule is not None:
                layers = [layer.train(module.training) for layer in rule(self, module)]
            else:
                raise TypeError(
                    f"PyTorch has no {type(module).__name__}: define a method to_torch() in that "
                    "class, which returns a torch.nn.Module that computes the same"
                )
            self.made[id(module)] = layers
        return self.made[id(module)]

    def layer(self, kind: Any, *sizes: int, **parameters: Any) -> Any:
        """A layer of a kind, with the weights that its parameters are to have, by name."""
        named = {name: x for name, x in parameters.items() if not isinstance(x, list)}
        layer = kind(*sizes, device="meta", dtype=self.torch.float64, **named)
        layer.to_empty(device="cpu")  # hence no random number of PyTorch's was drawn
        with self.torch.no_grad():
            for name, values in parameters.items():
                if isinstance(values, list):
                    parameter = getattr(layer, name)
                    parameter.copy_(self.numbers(values).reshape(parameter.shape))
        return layer

    def numbers(self, values: Iterable[Value]) -> Any:
        """A tensor of weights, each of which is written for the first time."""
        values = list(values)
        for value in values:
            if value in self.written:
                raise ValueError(
                    "a weight stands in two layers, which PyTorch cannot share: it shares layers"
                )
            self.written.add(value)
        return self.torch.tensor([value.data for value in values], dtype=self.torch.float64)

    def activation(self, name: str) -> list[Any]:
        """The layer for an activation; none if it is linear."""
        names = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}
        return [getattr(self.nn, names[name])()] if name in names else []

    def neurons(self, neurons: Sequence[Neuron], kind: Any, *sizes: int, **options: Any) -> Any:
        """A layer of neurons, and that of their activation."""
        weight, bias = [w for x in neurons for w in x.w], [x.b for x in neurons]
        layer = self.layer(kind, *sizes, weight=weight, bias=bias, **options)
        return [layer, *self.activation(neurons[0].activation)]

    def recurrent(self, cell: RNNCell, kind: Any, suffix: str, **options: Any) -> Any:
        """A layer of the neurons of a cell; of PyTorch's two biases, the second is not used."""
        if cell.activation not in ("tanh", "relu"):
            raise TypeError(
                f"PyTorch has no {type(cell).__name__} with the activation {cell.activation!r}: "
                "only with tanh and relu"
            )
        weights = {
            f"weight_ih{suffix}": [w for x in cell.neurons for w in x.w[: cell.nin]],
            f"weight_hh{suffix}": [w for x in cell.neurons for w in x.w[cell.nin :]],
            f"bias_ih{suffix}": [x.b for x in cell.neurons],
            f"bias_hh{suffix}": [Value(0.0) for _ in cell.neurons],
        }
        options["nonlinearity"] = cell.activation
        layer = self.layer(kind, cell.nin, cell.nhidden, **weights, **options)
        getattr(layer, f"bias_hh{suffix}").requires_grad_(False)
        return layer

    def rnn(self, module: RNN) -> Any:
        """PyTorch's RNN, but it returns the states alone, and cuts gradients where ours does."""
        torch, every = self.torch, module.truncate

        class States(torch.nn.RNN):  # type: ignore[misc, name-defined]
            def forward(self, sequence: Any, h: Any = None) -> Any:
                states = []
                for steps in sequence.split(every or sequence.shape[1], dim=1):
                    after, h = super().forward(steps, h)
                    states.append(after)
                    h = h.detach()
                return torch.cat(states, dim=1)

        return self.recurrent(module.cell, States, "_l0", batch_first=True)


TORCH: dict[type[Module], Callable[[_TorchWriter, Any], list[Any]]] = {
    Neuron: lambda to, x: to.neurons([x], to.nn.Linear, x.nin, 1),
    Layer: lambda to, x: to.neurons(x.neurons, to.nn.Linear, x.nin, x.nout),
    Conv2d: lambda to, x: to.neurons(
        x.neurons, to.nn.Conv2d, x.channels_in, x.channels_out, x.kernel_size,
        stride=x.stride, padding=x.padding,
    ),
    MaxPool2d: lambda to, x: [to.nn.MaxPool2d(x.size)],
    MeanPool2d: lambda to, x: [to.nn.AvgPool2d(x.size)],
    Flatten: lambda to, x: [to.nn.Flatten()],
    Dropout: lambda to, x: [to.nn.Dropout(x.p)],
    RNNCell: lambda to, x: [to.recurrent(x, to.nn.RNNCell, "")],
    RNN: lambda to, x: [to.rnn(x)],
}  # fmt: skip
"""How each module becomes layers of PyTorch's."""
