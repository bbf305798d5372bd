"""Models in files of the format ONNX, which many programs run.

With this module you can

- run a model wherever ONNX runs:          to_onnx(model, "model.onnx")
- say of what shape its inputs are:        to_onnx(model, "digits.onnx", (1, 8, 8))
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path

from ..engine.arguments import shown
from ..engine.modes import no_grad
from ..engine.value import Value
from ..extras import imported
from ..files import write_file
from ..nn import Dropout, Layer, Module, Neuron, RNNCell
from .kinds import parts_of
from .onnx_graph import OnnxGraph
from .onnx_layers import outputs
from .onnx_program import nested

__all__ = ["to_onnx"]


def to_onnx(model: Module, path: str | os.PathLike[str], *shapes: Sequence[int]) -> Path:
    """Write a file in the format ONNX, and return its path. Needs the package onnx.

    shapes: of each thing that the model is called with, for one example: (2,) for two numbers,
        (1, 8, 8) for an image of one channel, (20, 3) for a sequence of 20 steps, () for a number.
        Layers of neurons know it.

    The model is written as it is in `eval` mode. Its input is called x (or x0, x1, … of several),
    its output y, all of them of type double: with the package onnxruntime,

        session = onnxruntime.InferenceSession("model.onnx")
        [outputs] = session.run(None, {"x": numpy.array(rows)})

    Each neuron has its own activation. A module of your own, or one of ours that you changed by
    hand, is written as it is recorded: an operation for each scalar. That is for small modules.
    What Python decides meanwhile stays decided, as in `compile`: a `DecisionWarning` says so where
    it can be seen, and a ValueError where other numbers prove it.

    A TypeError or ValueError says what about the model or the shapes does not fit, an OSError why
    the file cannot be written.
    """
    if not isinstance(model, Module):
        raise TypeError(f"to_onnx needs a Module, but got {shown(model)}")
    for shape in shapes:
        if not isinstance(shape, (tuple, list)) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"a shape is a tuple of whole numbers from 1 on, but got {shape!r}")
    graph = OnnxGraph(imported("onnx", "microgrant[export]"))
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
