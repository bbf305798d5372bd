"""Layers for sequences: a recurrent network, unrolled step by step.

With this module you can

- read a sequence:                 states = RNN(2, 8)(sequence)
- take a single step:              h = RNNCell(2, 8)(x, h)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..engine.arguments import shown, whole_number
from ..engine.derivatives import detach
from ..engine.value import Number, Value, as_value
from .activations import Activations, one_each
from .arguments import inputs_of
from .module import Module
from .neurons import Neuron, Neurons

__all__ = ["RNN", "RNNCell"]


class RNNCell(Neurons):
    """A step of a simple recurrent network (Elman 1990): neurons that see the input, and all that
    they said in the step before. The first `nin` weights of each are for the input.

    >>> cell = RNNCell(2, 3)
    >>> h = cell([0.5, -1.0], h=[0.0, 0.0, 0.0])
    >>> cell, len(cell([0.1, 0.2], h))
    (<RNNCell 2→3 tanh>, 3)
    """

    _words = "RNNCell {self.nin}→{self.nhidden} {self.activation}"

    def __init__(
        self, nin: int, nhidden: int, activation: Activations = "tanh", init: str = "uniform"
    ) -> None:
        self.nin, self.nhidden = whole_number("nin", nin), whole_number("nhidden", nhidden)
        self.init, both = init, self.nin + self.nhidden
        each = one_each(activation, self.nhidden, "neurons")
        self.neurons = [Neuron(both, True, x, init, nhidden) for x in each]

    def forward(self, x: Iterable[Number], h: Iterable[Number]) -> list[Value]:
        """What the neurons say: the h of the next step."""
        seen = inputs_of(self, x, self.nin) + inputs_of(self, h, self.nhidden, "hidden number")
        return [neuron(seen) for neuron in self.neurons]


class RNN(Module):
    """A recurrent network: one `RNNCell`, unrolled over a sequence; further arguments go to that.

    truncate: after how many steps the gradient is cut, by `detach`, again and again; None for
        never. The outputs stay the same. (For what is lost, see Williams and Peng 1990.)

    >>> states = RNN(1, 4)([0.5, -1.0, 2.0])
    >>> len(states), len(states[-1])  # for each of 3 inputs, 4 hidden numbers
    (3, 4)
    """

    _words = "RNN {self.cell.nin}→{self.cell.nhidden} {self.cell.activation}"

    def __init__(self, nin: int, nhidden: int, truncate: int | None = None, **kwargs: Any) -> None:
        self.cell = RNNCell(nin, nhidden, **kwargs)
        self.truncate = None if truncate is None else whole_number("truncate", truncate)

    @property
    def activation(self) -> Any:
        """That of its cell."""
        return self.cell.activation

    def settings(self) -> dict[str, Any]:
        """Those of its cell, and `truncate`."""
        return {**self.cell.settings(), "truncate": self.truncate}

    def forward(
        self, sequence: Iterable[Any], h: Iterable[Number] | None = None
    ) -> list[list[Value]]:
        """The hidden numbers after each input; h is what they begin with, or else they are 0."""
        try:
            inputs = list(sequence)
        except TypeError:
            raise TypeError(f"the RNN takes a list of inputs, but got {shown(sequence)}") from None
        if not inputs:
            raise ValueError("the RNN takes a sequence of one input or more, but it is empty")
        states: list[list[Value]] = []
        now = [as_value(0.0) for _ in range(self.cell.nhidden)] if h is None else h
        for t, x in enumerate(inputs):
            if t and self.truncate and t % self.truncate == 0:
                now = [detach(number) for number in now]
            now = self.cell(x, now)
            states.append(now)
        return states
