"""Networks built of `Value`s: neurons, layers, images, sequences, and modules of your own.

With this package you can

- make a network:                model = MLP(2, [16, 16, 1])
- run it on one example:         score = model([0.5, -1.0])
- change all that it has learned: for p in model.parameters(): p.data -= 0.01 * p.grad
- put modules in a row:          Sequential(Conv2d(1, 4, 3), ReLU(), MaxPool2d(2), Flatten(),
                                            Linear(36, 10))
- read a sequence:               states = RNN(2, 8)(sequence)
- drop units in training only:   Dropout(0.5); model.eval(); model.train()
- write a module of your own:    subclass `Module`; keep Values, modules and lists of them in
                                 attributes, and define `forward` (or `__call__`)

Signatures, and the random numbers drawn from a given ``random.seed``, are those of micrograd.
"""

from typing import TYPE_CHECKING

from ..engine.derivatives import detach
from ..engine.habits import elsewhere
from .activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    Elementwise,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from .images import Conv2d, Flatten, MaxPool2d, MeanPool2d
from .module import Module, ModuleCall, Noise
from .neurons import INITS, MLP, Layer, Linear, Neuron, Sequential
from .noise import Dropout, noise_in
from .sequences import RNN, RNNCell

__all__ = ["ACTIVATIONS", "ELU", "GELU", "INITS", "MLP", "RNN", "Conv2d", "Dropout"]
__all__ += ["Elementwise", "Flatten", "Identity", "Layer", "LeakyReLU", "Linear", "MaxPool2d"]
__all__ += ["MeanPool2d", "Module", "ModuleCall", "Neuron", "Noise", "RNNCell", "ReLU"]
__all__ += ["Sequential", "SiLU", "Sigmoid", "Tanh", "detach", "noise_in"]

if not TYPE_CHECKING:  # there, it is an error anyway
    __getattr__ = elsewhere(__name__)
