"""Dropout, whose noise is an input of the graph like any other.

With this module you can

- drop units in training only:     Dropout(0.5); model.eval(); model.train()
- find the noise in a graph:       compile(loss, inputs=[*x, y, *noise_in(loss)], …)
"""

from __future__ import annotations

from typing import Any

from ..engine.arguments import RealNumber, as_number
from ..engine.conditions import whole_order
from ..engine.derivatives import where
from ..engine.value import Value
from .arguments import each_number
from .module import Module, Noise, values_in

__all__ = ["Dropout", "noise_in"]


def noise_in(*values: Any) -> list[Noise]:
    """All `Noise` that went into Values, or lists of them, in the order in which it was drawn.

    List it among the inputs of `compile`, and each row brings noise of its own.

    >>> from microgrant import Value, compile
    >>> x = Value(1.0)
    >>> y = Dropout(0.5)(x)
    >>> predict = compile(y, inputs=[x, *noise_in(y)])
    >>> [float(y) for y in predict([[3.0, 0.49], [4.0, 0.5]])]  # is the noise below 0.5?
    [0.0, 8.0]
    """
    found = [x for x in whole_order(*values_in(values)) if isinstance(x, Noise)]
    return sorted(found, key=lambda noise: noise.number)


class Dropout(Module):
    """In training, each number is 0 with probability p, and divided by 1 − p otherwise.

    So no unit can rely on another one, and the mean stays the same (Srivastava, Hinton, Krizhevsky,
    Sutskever and Salakhutdinov 2014). After `eval` all numbers pass unchanged.

    noise: what the last call drew: one `Noise` for each number, dropped if that is below p.

    >>> import random
    >>> random.seed(0)
    >>> dropout = Dropout(0.5)
    >>> [x.data for x in dropout([1.0, 2.0, 3.0])], dropout.eval()([1.0, 2.0, 3.0])
    ([2.0, 4.0, 0.0], [1.0, 2.0, 3.0])
    """

    _words = "Dropout {self.p:g}"

    def __init__(self, p: RealNumber) -> None:
        self.p: float = as_number(p, "p")
        if not 0 <= self.p < 1:
            raise ValueError(f"p, the probability to be dropped, is in [0, 1), but got {p!r}")
        self.noise: list[Noise] = []

    def forward(self, x: Any) -> Any:
        """The number, or the lists of them, that were given, with some of them dropped."""
        self.noise = []
        return each_number(self._thinned, x) if self.training and self.p else x

    def _thinned(self, x: Value) -> Value:
        self.noise.append(Noise())
        return where(self.noise[-1] >= self.p, x / (1 - self.p), 0.0)
