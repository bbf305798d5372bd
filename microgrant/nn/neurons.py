"""Neurons, layers and networks of them, built of `Value`s.

With this module you can

- make a network:                 model = MLP(2, [16, 16, 1])
- run it on one example:          score = model([0.5, -1.0])
- change all that it has learned: for p in model.parameters(): p.data -= 0.01 * p.grad
- put modules in a row:           Sequential(Linear(4, 8), ReLU(), Dropout(0.5), Linear(8, 1))

Signatures, and the random numbers drawn from a given ``random.seed``, are those of micrograd.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any, NoReturn

from ..engine.arguments import one_of, shown, whole_number
from ..engine.habits import KEYWORDS, refuse
from ..engine.value import Number, Value
from .activations import Activations, Function, activation_for, function_for, kept, one_each
from .arguments import inputs_of
from .module import Module, OneOrMany

__all__ = ["INITS", "MLP", "Layer", "Linear", "Neuron", "Neurons", "Sequential"]

INITS: dict[str, Callable[[int, int], float]] = {
    "uniform": lambda nin, nout: 1.0,
    "xavier": lambda nin, nout: math.sqrt(6 / (nin + nout)),
    "he": lambda nin, nout: math.sqrt(6 / nin),
}
"""Initialisations by name: how far from 0 weights can begin. They are uniform, and biases are 0.

"uniform" is micrograd's. "xavier" has the variance 2/(nin + nout) and suits tanh (Glorot and Bengio
2010, equation 16); "he" has 2/nin and suits ReLU (He, Zhang, Ren and Sun 2015, equation 10, who
take a normal distribution).
"""


class Neuron(Module):
    """One neuron: the activation of ``b + w[0]*x[0] + w[1]*x[1] + …``.

    nin: how many inputs it has.
    nonlin: False for no activation, whatever `activation` says.
    activation: one of `ACTIVATIONS`, such as "tanh"; or a function of a Value, such as
        ``lambda x: x.sin()``.
    init: how the weights begin, one of `INITS`; the bias begins at 0.
    nout: how many neurons share its inputs, for "xavier".

    A ValueError says so when a call brings another number of inputs.

    >>> random.seed(1337)
    >>> neuron = Neuron(2)
    >>> neuron, neuron([1.0, -2.0]).data
    (ReLUNeuron(2), 0.102443419482938)
    """

    _words = "Neuron {self.nin}→1 {self.activation}"

    def __init__(
        self, nin: int, nonlin: bool = True, activation: str | Function = "relu",
        init: str = "uniform", nout: int = 1,
    ) -> None:  # fmt: skip
        self.nin, self.nout = whole_number("nin", nin), whole_number("nout", nout)
        self.nonlin, self.init = bool(nonlin), one_of("the init", init, INITS)
        chosen = kept(activation)
        self.activation: str | Function = chosen if nonlin else "linear"
        bound = INITS[init](self.nin, self.nout)
        self.w = [Value(random.uniform(-bound, bound)) for _ in range(self.nin)]
        self.b = Value(0.0)

    def forward(self, x: Iterable[Number]) -> Value:
        """The activation of the weighted sum."""
        total = self.b
        for w, value in zip(self.w, inputs_of(self, x, len(self.w)), strict=True):
            total = total + w * value
        return function_for(self.activation)(total)

    def __repr__(self) -> str:
        return f"{activation_for(self.activation).word}Neuron({self.nin})"


class Neurons(Module):
    """What layers of `neurons` have in common, whatever each of these is shown."""

    neurons: list[Neuron]

    @property
    def activation(self) -> str | Function | list[str | Function]:
        """That of the neurons; a list of them where they differ."""
        found = [neuron.activation for neuron in self.neurons]
        return found[0] if all(x == found[0] for x in found) else found


class Layer(Neurons):
    """`nout` neurons that look at the same `nin` inputs; the other arguments are `Neuron`'s.

    activation: as in a `Neuron`; or a list with one for each.

    A call returns the list of their outputs, or the only one if there is only one.

    >>> Layer(3, 2, activation="tanh")
    Layer of [TanhNeuron(3), TanhNeuron(3)]
    """

    _words = "Layer {self.nin}→{self.nout}"

    def __init__(
        self, nin: int, nout: int, nonlin: bool = True, activation: Activations = "relu",
        init: str = "uniform",
    ) -> None:  # fmt: skip
        self.nin, self.nout = whole_number("nin", nin), whole_number("nout", nout)
        self.nonlin, self.init = bool(nonlin), init
        each = one_each(activation, self.nout, "neurons")
        self.neurons = [Neuron(nin, nonlin, x, init, nout) for x in each]

    def forward(self, x: Iterable[Number]) -> OneOrMany:
        """The outputs of all neurons; without the list around it if there is one."""
        inputs = inputs_of(self, x, self.nin)
        outputs = [neuron(inputs) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(str, self.neurons))}]"


class Linear(Layer):
    """A `Layer` without activation, as PyTorch has it.

    >>> Linear(3, 2)
    Layer of [LinearNeuron(3), LinearNeuron(3)]
    """

    def __init__(self, nin: int, nout: int, init: str = "uniform", **habits: NoReturn) -> None:
        refuse("Linear", habits, KEYWORDS)
        super().__init__(nin, nout, nonlin=False, init=init)


class Sequential(Module):
    """Modules in a row: each gets what the one before it returns.

    >>> Sequential(Layer(4, 2), Layer(2, 1, nonlin=False))
    Sequential of [Layer of [ReLUNeuron(4), ReLUNeuron(4)], Layer of [LinearNeuron(2)]]
    """

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            if not isinstance(module, Module):
                advice = ": Elementwise(function) is a module" * callable(module)
                if isinstance(module, type):
                    advice = f": make one of it, as in {module.__name__}(…)"
                elif isinstance(module, (list, tuple)):
                    advice = ": Sequential(*modules) takes them out of a list"
                raise TypeError(f"a Sequential is made of modules, but got {shown(module)}{advice}")
        self.modules = list(modules)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Sequential:
        """A new row of the modules in `settings`, which are used as they are."""
        return cls(*settings["modules"])

    def forward(self, x: Any) -> Any:
        """What the last module returns."""
        return reduce(lambda outputs, module: module(outputs), self.modules, x)

    def __repr__(self) -> str:
        return f"Sequential of [{', '.join(map(str, self.modules))}]"


class MLP(Module):
    """A multi-layer perceptron: layers of `nouts[0]`, `nouts[1]`, … neurons, the last one linear.

    activation: as in a `Neuron`; or a list with one for each layer, the last one among them.

    >>> model = MLP(2, [16, 16, 1])
    >>> len(model.parameters())
    337
    >>> model([1.0, 2.0, 3.0])
    Traceback (most recent call last):
        ...
    ValueError: the MLP takes 2 inputs, but got 3
    """

    def __init__(
        self, nin: int, nouts: Iterable[int], activation: Activations = "relu",
        init: str = "uniform",
    ) -> None:  # fmt: skip
        try:
            sizes = [nin, *nouts]
        except TypeError:
            raise TypeError(f"nouts lists the width of each layer, but got {nouts!r}") from None
        if len(sizes) == 1:
            raise ValueError("an MLP needs the width of at least one layer, but nouts is empty")
        last, listed = len(sizes) - 2, isinstance(activation, (list, tuple))
        each = one_each(activation, last + 1, "layers")
        self.layers = [
            Layer(sizes[i], sizes[i + 1], listed or i != last, x, init) for i, x in enumerate(each)
        ]
        self.nin, self.nouts = self.layers[0].nin, [layer.nout for layer in self.layers]
        self._activation, self.init = each if listed else each[0], init

    @property
    def activation(self) -> Activations:
        """What it was made with; each neuron has its own."""
        return self._activation

    def forward(self, x: Iterable[Number]) -> OneOrMany:
        """The outputs of the last layer."""
        outputs: Any = inputs_of(self, x, self.nin)
        for layer in self.layers:
            outputs = layer(outputs)
        return outputs

    def describe(self) -> str:
        """The widths of its layers."""
        return f"MLP {'→'.join(map(str, [self.nin, *self.nouts]))}"

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}]"
