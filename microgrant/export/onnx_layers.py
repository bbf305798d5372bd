"""The modules of `microgrant.nn` as operations of ONNX on whole arrays.

With this module you can

- append what a model computes:          y = outputs(graph, model, x)

Convolutions and pools are written as they are defined: what the windows show is gathered, and seen
by neurons. (onnxruntime has no operation of its own for images in double precision.) What is no
module of `microgrant.nn` is written by `microgrant.export.onnx_program`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from .. import nn
from ..nn.activations import Activation
from ..nn.images import Image, padded, windows
from .kinds import KNOWN, activations_of, is_known, parts_of, rule_for
from .onnx_graph import OnnxGraph, Tensor
from .onnx_program import nested, recorded

__all__ = ["outputs"]


def outputs(graph: OnnxGraph, module: nn.Module, *inputs: Tensor) -> Tensor:
    """What a module returns."""
    parts = parts_of(module)
    if parts is None:
        return (rule_for(module, RULES) or recorded)(graph, module, *inputs)
    [x] = inputs
    for part in parts:
        x = outputs(graph, part, x)
    return x


def _neuron(graph: OnnxGraph, module: nn.Neuron, x: Tensor) -> Tensor:
    return Tensor(_seen_by(graph, [module], x.name), ())


def _layer(graph: OnnxGraph, module: nn.Layer, x: Tensor) -> Tensor:
    count = len(module.neurons)
    return Tensor(_seen_by(graph, module.neurons, x.name), () if count == 1 else (count,))


def _seen_by(graph: OnnxGraph, neurons: Sequence[nn.Neuron], x: str) -> str:
    """What neurons make of the numbers along the last axis."""
    return _activated(graph, neurons, _weighed(graph, neurons, x, 0, len(neurons[0].w)))


def _weighed(graph: OnnxGraph, neurons: Sequence[nn.Neuron], x: str, start: int, stop: int) -> str:
    """The sums for the inputs from `start` to `stop`; those from 0 on with the biases."""
    weights = [neuron.w[i].data for i in range(start, stop) for neuron in neurons]
    total = graph.add("MatMul", x, graph.constant(weights, stop - start, len(neurons)))
    if start:
        return total
    biases = graph.constant([neuron.b.data for neuron in neurons], len(neurons))
    return graph.add("Add", total, biases)


def _activated(graph: OnnxGraph, neurons: Sequence[nn.Neuron], x: str) -> str:
    """Each number along the last axis after the activation of its neuron."""
    activations = activations_of(neurons)
    several = len(activations) > 1
    columns = graph.add_many("Split", len(activations), x, axis=-1) if several else [x]
    pairs = zip(activations, columns, strict=True)
    said = [_each_number(graph, activation, column) for activation, column in pairs]
    return graph.add("Concat", *said, axis=-1) if several else said[0]


def _each_number(graph: OnnxGraph, activation: Activation, x: str) -> str:
    """What an activation makes of each number; it is recorded, if ONNX has no word for it."""
    if activation.onnx and is_known(activation):
        return x if activation.onnx == "Identity" else graph.add(activation.onnx, x)
    column = graph.add("Reshape", x, graph.constant([-1, 1], 2))
    said = recorded(graph, activation, Tensor(column, ()))
    return graph.add("Reshape", said.name, graph.add("Shape", x))


def _activation(graph: OnnxGraph, module: Activation, x: Tensor) -> Tensor:
    return Tensor(_each_number(graph, module, x.name), x.shape)


def _flatten(graph: OnnxGraph, module: nn.Flatten, x: Tensor) -> Tensor:
    return Tensor(graph.reshaped(x.name, -1), (x.size,))


def _dropout(graph: OnnxGraph, module: nn.Dropout, x: Tensor) -> Tensor:
    return recorded(graph, module, x) if module.training else x


def _convolution(graph: OnnxGraph, module: nn.Conv2d, x: Tensor) -> Tensor:
    seen = windows(module, _places(x, module.padding), module.kernel_size, module.stride)
    image = graph.reshaped(x.name, -1)
    if module.padding:  # all of it is the same zero, behind the last number
        image = graph.add("Pad", image, graph.constant([0, 0, 0, 1], 4))
    gathered = _gathered(graph, image, [places for row in seen for places in row])
    channels = graph.add("Transpose", _seen_by(graph, module.neurons, gathered), perm=[0, 2, 1])
    shape = len(module.neurons), len(seen), len(seen[0])
    return Tensor(graph.reshaped(channels, *shape), shape)


def _pool(graph: OnnxGraph, module: nn.MaxPool2d | nn.MeanPool2d, x: Tensor) -> Tensor:
    """A number for each window, and all of them at once: first, second … of what they show."""
    channels = [windows(module, [rows], module.size, module.size) for rows in _places(x)]
    image = graph.reshaped(x.name, -1)
    all_places = [places for rows in channels for row in rows for places in row]
    seen = [_gathered(graph, image, [places]) for places in zip(*all_places, strict=True)]
    # Not by what reduces an axis: onnxruntime's loses a nan on its way to the largest.
    if isinstance(module, nn.MaxPool2d):
        said = graph.add("Max", *seen)
    else:
        said = graph.add("Div", graph.add("Sum", *seen), graph.constant([float(len(seen))], 1))
    shape = x.shape[0], len(channels[0]), len(channels[0][0])
    return Tensor(graph.reshaped(said, *shape), shape)


def _places(x: Tensor, padding: int = 0) -> Image[int]:
    """An image of places in the image laid flat; that of padding is behind the last."""
    return padded(nested(x.shape, itertools.count().__next__), padding, x.size)


def _gathered(graph: OnnxGraph, x: str, places: Sequence[Sequence[int]]) -> str:
    """Of each row, the numbers in these places."""
    flat = [place for window in places for place in window]
    return graph.add("Gather", x, graph.constant(flat, len(places), len(places[0])), axis=1)


def _cell(graph: OnnxGraph, module: nn.RNNCell, x: Tensor, h: Tensor) -> Tensor:
    both = graph.add("Concat", x.name, h.name, axis=1)
    return Tensor(_seen_by(graph, module.neurons, both), (module.nhidden,))


def _recurrent(graph: OnnxGraph, module: nn.RNN, x: Tensor, h: Tensor | None = None) -> Tensor:
    cell, steps = module.cell, x.shape[0]
    neurons, nin, both = cell.neurons, cell.nin, cell.nin + cell.nhidden
    # What the inputs add does not depend on what was said before: it is computed in one go.
    added = _weighed(graph, neurons, graph.reshaped(x.name, steps, nin), 0, nin)
    said = None if h is None else graph.reshaped(h.name, 1, cell.nhidden)
    states = []
    for step in range(steps):
        total = graph.add("Gather", added, graph.constant([step], 1), axis=1)
        if said is not None:
            total = graph.add("Add", total, _weighed(graph, neurons, said, nin, both))
        said = _activated(graph, neurons, total)
        states.append(said)
    return Tensor(graph.add("Concat", *states, axis=1), (steps, cell.nhidden))


RULES: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Neuron: _neuron,
    nn.Layer: _layer,
    nn.Flatten: _flatten,
    nn.Dropout: _dropout,
    nn.Conv2d: _convolution,
    nn.MaxPool2d: _pool,
    nn.MeanPool2d: _pool,
    nn.RNNCell: _cell,
    nn.RNN: _recurrent,
    **dict.fromkeys(KNOWN, _activation),
}
