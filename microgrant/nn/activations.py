"""The activations that neurons can have: one row says what each library calls it.

With this module you can

- see what there is:             list(ACTIVATIONS)
- look one up:                   activation_named("tanh").torch

An activation is an operation of the table. The exports read their words for it here as well, so
that one more is a single row.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ops.table import OPERATIONS, Operation
from .arguments import one_of

__all__ = ["ACTIVATIONS", "Activation", "activation_named"]


@dataclass(frozen=True)
class Activation:
    """What there is to know of an activation.

    operation: what it computes; None of a linear neuron, which leaves its sum as it is.
    word: what a neuron is called that has it: a TanhNeuron.
    torch: the class of `torch.nn`; nothing if there is nothing to be done.
    onnx: the operator of ONNX; the same.
    """

    operation: Operation | None
    word: str
    torch: str
    onnx: str


ACTIVATIONS = {
    "relu": Activation(OPERATIONS["relu"], word="ReLU", torch="ReLU", onnx="Relu"),
    "tanh": Activation(OPERATIONS["tanh"], word="Tanh", torch="Tanh", onnx="Tanh"),
    "sigmoid": Activation(OPERATIONS["sigmoid"], word="Sigmoid", torch="Sigmoid", onnx="Sigmoid"),
    "linear": Activation(None, word="Linear", torch="", onnx=""),
}
"""By the name that a neuron is given."""


def activation_named(name: str) -> Activation:
    """The row of an activation; a ValueError for a name that the table does not have.

    >>> activation_named("exp")
    Traceback (most recent call last):
        ...
    ValueError: the activation is one of relu, tanh, sigmoid, linear, but got 'exp'
    """
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]
