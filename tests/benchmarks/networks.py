"""The networks that `native.py` measures: one scalar program, and the rows that it is run over.

With this module you can

- describe a network:          moons = Network((2, 16, 16, 1))
- draw its parameters:         moons.parameters()
- record the loss of one row:  moons.loss(parameters, x, y), over the scalars of any engine
- make rows:                   half_moon_rows(100), random_rows(100, 16), XOR_ROWS
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eager import half_moons

Row = list[float]
"""The inputs of one example and, last, what the network is to answer."""


def by_method(name: str, z: Any) -> Any:
    """A function of one operand, as the `Value`s of microgrant and micrograd spell it."""
    return getattr(z, name)()


@dataclass(frozen=True)
class Network:
    """A multi-layer perceptron with one output, and the loss that it is trained by.

    sizes: how many inputs, and how many neurons in each layer.
    hidden, output: the activations: "relu", "tanh", "sigmoid" or "linear".
    error: "hinge", which is relu(1 - y*score), or "half square", which is (score - y)**2 / 2.
    """

    sizes: tuple[int, ...]
    hidden: str = "relu"
    output: str = "linear"
    error: str = "hinge"

    def __str__(self) -> str:
        shape = "-".join(map(str, self.sizes))
        output = "" if self.output == "linear" else f", {self.output} output"
        return f"{shape} {self.hidden}{output}, {self.error} loss"

    def layers(self) -> Iterator[tuple[int, int, str]]:
        """For each layer: its inputs, its neurons, its activation."""
        for place, (nin, nout) in enumerate(itertools.pairwise(self.sizes)):
            yield nin, nout, self.output if place == len(self.sizes) - 2 else self.hidden

    @property
    def size(self) -> int:
        """How many parameters it has."""
        return sum((nin + 1) * nout for nin, nout, _ in self.layers())

    def parameters(self) -> list[float]:
        """Random ones, in the order of `nn.MLP`: for each neuron its weights, then its bias."""
        draw = random.Random(1337)
        return [draw.uniform(-1, 1) for _ in range(self.size)]

    def loss(
        self,
        parameters: Sequence[Any],
        x: Sequence[Any],
        y: Any,
        call: Callable[[str, Any], Any] = by_method,
    ) -> Any:
        """The loss of one row. The scalars are any engine's; `call` applies its functions."""
        take = iter(parameters)
        for nin, nout, activation in self.layers():
            outputs = []
            for _ in range(nout):
                products = [w * xi for w, xi in zip(itertools.islice(take, nin), x, strict=True)]
                total = sum(products, next(take))
                outputs.append(total if activation == "linear" else call(activation, total))
            x = outputs
        (score,) = x
        return call("relu", 1 - y * score) if self.error == "hinge" else 0.5 * (score - y) ** 2


XOR_ROWS: list[Row] = [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]


def half_moon_rows(count: int) -> list[Row]:
    """Points of two half-moons, and which of them (−1 or 1) each belongs to."""
    return [[*x, float(side)] for x, side in half_moons(count)]


def random_rows(count: int, inputs: int) -> list[Row]:
    """Inputs and an answer, all drawn from [-1, 1)."""
    draw = random.Random(7)
    return [[draw.uniform(-1, 1) for _ in range(inputs + 1)] for _ in range(count)]
