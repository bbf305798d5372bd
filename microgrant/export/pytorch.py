"""Models as modules of PyTorch's, with the same weights.

With this module you can

- go on in PyTorch:                        network = to_torch(model)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import nn
from ..engine.arguments import shown
from ..engine.value import Value
from ..extras import imported
from ..nn.activations import Activation
from .kinds import KNOWN, activations_of, is_known, parts_of, rule_for

__all__ = ["to_torch"]


def to_torch(model: nn.Module) -> Any:
    """A module of PyTorch's that computes the same, with the same weights, ready to be trained.

    Each layer becomes PyTorch's layer of that kind, and several of them a `torch.nn.Sequential`, in
    the mode that they are in. A `Layer` takes an array (n, inputs), and a `Conv2d` images (n,
    channel, row, column), as they do there. An `RNN` takes sequences (n, step, input), and returns
    the hidden numbers after each step.

        network = to_torch(model)
        outputs = network(torch.tensor(rows, dtype=torch.float64))

    Where neurons of a layer have several activations, so has the layer there. A module of your own
    is asked for its counterpart, if it has a method `to_torch`; or else a TypeError says that there
    is none, as of one of ours whose code was replaced. A ValueError says so if single weights are
    shared, since PyTorch only shares whole layers. At ties, `torch.nn.MaxPool2d` gives the gradient
    to the first.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"to_torch needs a Module, but got {shown(model)}")
    writer = _TorchWriter(imported("torch", "torch"))
    layers = writer.layers(model)
    network = layers[0] if len(layers) == 1 else writer.nn.Sequential(*layers)
    network.training = model.training
    return network


class _TorchWriter:
    """Makes PyTorch's layers; of a module that stands in two places, the same in both."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.nn = torch, torch.nn
        self.made: dict[int, list[Any]] = {}
        self.written: set[Value] = set()

    def layers(self, module: nn.Module) -> list[Any]:
        """The layers that compute, one after the other, what a module does."""
        if id(module) in self.made:
            return self.made[id(module)]
        if hasattr(module, "to_torch"):
            layers = [module.to_torch()]
        elif (parts := parts_of(module)) is not None:
            layers = [layer for part in parts for layer in self.layers(part)]
        elif rule := rule_for(module, TORCH):
            layers = [layer.train(module.training) for layer in rule(self, module)]
        else:
            name, like_this = type(module).__name__, " like this one" * (type(module) in TORCH)
            raise TypeError(
                f"PyTorch has no {name}{like_this}: define a method to_torch() in that class, "
                "which returns a torch.nn.Module that computes the same"
            )
        self.made[id(module)] = layers
        return layers

    def layer(self, kind: Any, weights: dict[str, list[Value]], *sizes: int, **options: Any) -> Any:
        """A layer of a kind, with the weights that its parameters are to have, by name."""
        layer = kind(*sizes, device="meta", dtype=self.torch.float64, **options)
        layer.to_empty(device="cpu")  # hence no random number of PyTorch's was drawn
        with self.torch.no_grad():
            for name, values in weights.items():
                parameter = getattr(layer, name)
                parameter.copy_(self.numbers(values).reshape(parameter.shape))
        return layer

    def numbers(self, values: list[Value]) -> Any:
        """A tensor of weights, each of which is written for the first time."""
        for value in values:
            if value in self.written:
                raise ValueError(
                    "a weight stands in two layers, which PyTorch cannot share: it shares layers"
                )
            self.written.add(value)
        return self.torch.tensor([value.data for value in values], dtype=self.torch.float64)

    def neurons(self, neurons: Sequence[nn.Neuron], kind: Any, *sizes: int, **options: Any) -> Any:
        """A layer of neurons, and that of their activation, unless they are linear."""
        weights = {"weight": [w for x in neurons for w in x.w], "bias": [x.b for x in neurons]}
        layer = self.layer(kind, weights, *sizes, len(neurons), **options)
        activations = [self.activation(x) for x in activations_of(neurons)]
        if len(activations) == 1:
            return [layer] if type(activations[0]) is self.nn.Identity else [layer, *activations]
        # Of a number for each neuron, or of a channel of rows and columns, with a batch or without.
        return [layer, self.each(activations, -3 if kind is self.nn.Conv2d else -1)]

    def activation(self, module: Activation) -> Any:
        """PyTorch's activation of that kind; one of your own is asked for its counterpart."""
        if module.torch and is_known(module):
            return getattr(self.nn, module.torch)(*module.settings().values())
        own = module.function if isinstance(module, nn.Elementwise) else module
        if hasattr(own, "to_torch"):
            return own.to_torch()
        raise TypeError(
            f"PyTorch has no activation {module!r}: a Module of your own with a method to_torch(), "
            "which returns a torch.nn.Module that computes the same, can be one"
        )

    def each(self, activations: list[Any], axis: int) -> Any:
        """A layer that has an activation for each neuron, along an axis."""
        torch = self.torch

        class Activations(torch.nn.ModuleList):  # type: ignore[misc, name-defined]
            def forward(self, sums: Any) -> Any:
                columns = sums.split(1, dim=axis)
                return torch.cat([f(x) for f, x in zip(self, columns, strict=True)], dim=axis)

        return Activations(activations)

    def recurrent(self, cell: nn.RNNCell, kind: Any, suffix: str, **options: Any) -> Any:
        """A layer of the neurons of a cell; of PyTorch's two biases, the second is not used."""
        words = [x.torch if is_known(x) else None for x in activations_of(cell.neurons)]
        if words not in (["Tanh"], ["ReLU"]):
            names = " and ".join(dict.fromkeys(repr(str(x.activation)) for x in cell.neurons))
            raise TypeError(
                f"PyTorch has no {type(cell).__name__} with the activation {names}: only with tanh "
                "or with relu in all of its neurons"
            )
        weights = {
            f"weight_ih{suffix}": [w for x in cell.neurons for w in x.w[: cell.nin]],
            f"weight_hh{suffix}": [w for x in cell.neurons for w in x.w[cell.nin :]],
            f"bias_ih{suffix}": [x.b for x in cell.neurons],
            f"bias_hh{suffix}": [Value(0.0) for _ in cell.neurons],
        }
        sizes = cell.nin, cell.nhidden
        layer = self.layer(kind, weights, *sizes, nonlinearity=str(words[0]).lower(), **options)
        getattr(layer, f"bias_hh{suffix}").requires_grad_(False)
        return layer

    def rnn(self, module: nn.RNN) -> Any:
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


TORCH: dict[type[nn.Module], Callable[[_TorchWriter, Any], list[Any]]] = {
    nn.Neuron: lambda to, x: to.neurons([x], to.nn.Linear, len(x.w)),
    nn.Layer: lambda to, x: to.neurons(x.neurons, to.nn.Linear, x.nin),
    nn.Conv2d: lambda to, x: to.neurons(
        x.neurons, to.nn.Conv2d, x.channels_in, kernel_size=x.kernel_size,
        stride=x.stride, padding=x.padding,
    ),
    nn.MaxPool2d: lambda to, x: [to.nn.MaxPool2d(x.size)],
    nn.MeanPool2d: lambda to, x: [to.nn.AvgPool2d(x.size)],
    nn.Flatten: lambda to, x: [to.nn.Flatten()],
    nn.Dropout: lambda to, x: [to.nn.Dropout(x.p)],
    nn.RNNCell: lambda to, x: [to.recurrent(x, to.nn.RNNCell, "")],
    nn.RNN: lambda to, x: [to.rnn(x)],
    **dict.fromkeys(KNOWN, lambda to, x: [to.activation(x)]),
}  # fmt: skip
"""How each module becomes layers of PyTorch's."""
