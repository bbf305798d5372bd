"""Neurons, layers and networks of them, built of `Value`s.

With this module you can

- make a network:                model = MLP(2, [16, 16, 1])
- run it on one example:         score = model([0.5, -1.0])
- change all that it has learned: for p in model.parameters(): p.data -= 0.01 * p.grad
- put modules in a row:          Sequential(Conv2d(1, 4, 3, activation="relu"), MaxPool2d(2),
                                            Flatten(), Layer(36, 10, activation="linear"))
- read a sequence:               states = RNN(2, 8)(sequence)
- drop units in training only:   Dropout(0.5); model.eval(); model.train()
- write a module of your own:    subclass `Module`; keep Values, modules and lists of them in
                                 attributes, and define `forward` (or `__call__`)

Signatures, and the random numbers drawn from a given ``random.seed``, are those of micrograd.
"""

from __future__ import annotations

import math
import numbers
import operator
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, SupportsIndex, TypeAlias

from . import ops
from .conditions import whole_order
from .derivatives import where
from .engine import Number, Value, apply, as_number, as_value, shown
from .module import Module, ModuleCall, Noise, lists

__all__ = ["ACTIVATIONS", "INITS", "MLP", "Layer", "Module", "ModuleCall", "Neuron", "Sequential"]
__all__ += ["RNN", "Conv2d", "Dropout", "Flatten", "MaxPool2d", "MeanPool2d", "Noise", "RNNCell"]
__all__ += ["detach", "noise_in"]

ACTIVATIONS = ("relu", "tanh", "sigmoid", "linear")

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

Image: TypeAlias = "list[list[list[Value]]]"


# --- Networks of neurons ------------------------------------------------------------------------


class Neuron(Module):
    """One neuron: the activation of ``b + w[0]*x[0] + w[1]*x[1] + …``.

    nin: how many inputs it has.
    nonlin: False for no activation, whatever `activation` says.
    activation: "relu", "tanh", "sigmoid" or "linear".
    init: how the weights begin, one of `INITS`; the bias begins at 0.
    nout: how many neurons share its inputs, for "xavier".

    A ValueError says so when a call brings another number of inputs.

    >>> random.seed(1337)
    >>> neuron = Neuron(2)
    >>> neuron, neuron([1.0, -2.0]).data
    (ReLUNeuron(2), 0.102443419482938)
    """

    _words = "Neuron {nin}→1 {activation}"

    def __init__(
        self, nin: int, nonlin: bool = True, activation: str = "relu", init: str = "uniform",
        nout: int = 1,
    ) -> None:  # fmt: skip
        self.nin, self.nout = _size("nin", nin), _size("nout", nout)
        self.nonlin, self.init = bool(nonlin), _one_of("init", init, INITS)
        activation = _one_of("activation", activation, ACTIVATIONS)
        self.activation = activation if nonlin else "linear"
        bound = INITS[init](self.nin, self.nout)
        self.w = [Value(random.uniform(-bound, bound)) for _ in range(self.nin)]
        self.b = Value(0.0)

    def forward(self, x: Sequence[Number]) -> Value:
        """The activation of the weighted sum."""
        total = self.b
        for w, value in zip(self.w, _inputs(self, x, len(self.w)), strict=True):
            total = total + w * value
        return total if self.activation == "linear" else getattr(total, self.activation)()

    def __repr__(self) -> str:
        name = {"relu": "ReLU"}.get(self.activation, self.activation.capitalize())
        return f"{name}Neuron({self.nin})"


class Layer(Module):
    """`nout` neurons that look at the same `nin` inputs; the other arguments are `Neuron`'s.

    A call returns the list of their outputs, or the only one if there is only one.

    >>> Layer(3, 2, activation="tanh")
    Layer of [TanhNeuron(3), TanhNeuron(3)]
    """

    _words = "Layer {nin}→{nout}"

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.nin, self.nout = _size("nin", nin), _size("nout", nout)
        self.neurons = [Neuron(nin, nout=nout, **kwargs) for _ in range(self.nout)]

    def settings(self) -> dict[str, Any]:
        """Those of each neuron, `nout` among them."""
        return self.neurons[0].settings()

    def forward(self, x: Sequence[Number]) -> Any:
        """The outputs of all neurons; without the list around it if there is one."""
        inputs = _inputs(self, x, self.nin)
        outputs = [neuron(inputs) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(str, self.neurons))}]"


class Sequential(Module):
    """Modules in a row: each gets what the one before it returns.

    >>> Sequential(Layer(4, 2), Dropout(0.5), Layer(2, 1, nonlin=False))
    Sequential of [Layer of [ReLUNeuron(4), ReLUNeuron(4)], <Dropout 0.5>, Layer of ...]
    """

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"a Sequential is made of modules, but got {shown(module)}")
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

    >>> model = MLP(2, [16, 16, 1])
    >>> len(model.parameters())
    337
    >>> model([1.0, 2.0, 3.0])
    Traceback (most recent call last):
        ...
    ValueError: the MLP takes 2 inputs, but got 3
    """

    def __init__(
        self, nin: int, nouts: Sequence[int], activation: str = "relu", init: str = "uniform"
    ) -> None:
        try:
            sizes = [nin, *nouts]
        except TypeError:
            raise TypeError(f"nouts lists the width of each layer, but got {nouts!r}") from None
        if len(sizes) == 1:
            raise ValueError("an MLP needs the width of at least one layer, but nouts is empty")
        last = len(sizes) - 2
        self.layers = [
            Layer(sizes[i], sizes[i + 1], nonlin=i != last, activation=activation, init=init)
            for i in range(last + 1)
        ]
        self.nin, self.nouts = self.layers[0].nin, [layer.nout for layer in self.layers]
        self.activation, self.init = activation, init

    def forward(self, x: Sequence[Number]) -> Any:
        """The outputs of the last layer."""
        outputs: Any = _inputs(self, x, self.nin)
        for layer in self.layers:
            outputs = layer(outputs)
        return outputs

    def describe(self) -> str:
        """The widths of its layers."""
        return f"MLP {'→'.join(map(str, [self.nin, *self.nouts]))}"

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}]"


# --- Images: lists [channel][row][column] -------------------------------------------------------


class Flatten(Module):
    """The numbers of an image, or of other nested lists, in one list.

    >>> Flatten()([[[1.0, 2.0]], [[3.0, 4.0]]])[2]
    Value(data=3.0, grad=0.0)
    """

    def forward(self, x: Any) -> list[Value]:
        """Each number as a Value, in the order in which the lists are printed."""
        x = lists(x)
        if not isinstance(x, (list, tuple)):
            return [_value(x)]
        return [value for element in x for value in self.forward(element)]


class Conv2d(Module):
    """A convolution: each neuron sees an image through a window, from wherever the window fits.

    kernel_size: how many rows and columns of each channel a window shows.
    stride: by how much it is moved at a time.
    padding: how many rows and columns of zeros are put around the image.
    activation, init: as in a `Neuron`.

    The inputs of a neuron are what the window shows, channel by channel and row by row. What it
    says from everywhere is one channel of the image that is returned.

    >>> conv = Conv2d(1, 4, 3, padding=1, activation="relu")
    >>> image = conv([[[0.0] * 8] * 8])  # an image of one channel, 8×8
    >>> conv, len(image), len(image[0]), len(image[0][0])
    (<Conv2d 1→4 3×3 stride 1 padding 1 relu>, 4, 8, 8)
    """

    _words = (
        "Conv2d {channels_in}→{channels_out} {kernel_size}×{kernel_size} "
        "stride {stride} padding {padding} {activation}"
    )

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int, stride: int = 1,
        padding: int = 0, activation: str = "linear", init: str = "uniform",
    ) -> None:  # fmt: skip
        self.channels_in = _size("channels_in", channels_in)
        self.channels_out = _size("channels_out", channels_out)
        self.kernel_size = _size("kernel_size", kernel_size)
        self.stride, self.padding = _size("stride", stride), _size("padding", padding, least=0)
        self.activation, self.init = activation, init
        nin, nout = (n * self.kernel_size**2 for n in (self.channels_in, self.channels_out))
        self.neurons = [Neuron(nin, True, activation, init, nout) for _ in range(channels_out)]

    def forward(self, x: Any) -> Image:
        """One channel from each neuron."""
        image = _image(self, x, self.channels_in, self.padding)
        windows = _windows(self, image, self.kernel_size, self.stride)
        return [[[neuron(seen) for seen in row] for row in windows] for neuron in self.neurons]


class _Pool2d(Module):
    pool: Callable[[list[Value]], Value]

    def __init__(self, size: int) -> None:
        self.size = _size("size", size)

    def forward(self, x: Any) -> Image:
        """One number for each window, channel by channel."""
        each = (_windows(self, [rows], self.size, self.size) for rows in _image(self, x))
        return [[[self.pool(seen) for seen in row] for row in windows] for windows in each]


class MaxPool2d(_Pool2d):
    """The largest number in each window of size×size; windows lie side by side, channel by channel.

    Rows and columns that are left over at the end do not count. Of two equal numbers, each gets
    half of the gradient; PyTorch gives it to the first.

    >>> MaxPool2d(2)([[[1.0, 2.0], [4.0, 3.0]]])
    [[[Value(data=4.0, grad=0.0)]]]
    """

    _words = "MaxPool2d {size}×{size}"
    pool = staticmethod(partial(reduce, Value.maximum))


class MeanPool2d(_Pool2d):
    """The mean of each window of size×size; windows lie as those of `MaxPool2d` do.

    >>> MeanPool2d(2)([[[1.0, 2.0], [4.0, 3.0]]])
    [[[Value(data=2.5, grad=0.0)]]]
    """

    _words = "MeanPool2d {size}×{size}"
    pool = staticmethod(lambda values: reduce(operator.add, values) / len(values))


# --- Noise --------------------------------------------------------------------------------------


def noise_in(*values: Value) -> list[Noise]:
    """All `Noise` that went into Values, in the order in which it was drawn.

    List it among the inputs of `compile`, and each row brings noise of its own.

    >>> from microgrant import compile
    >>> x = Value(1.0)
    >>> y = Dropout(0.5)(x)
    >>> predict = compile(y, inputs=[x, *noise_in(y)])
    >>> [float(y) for y in predict([[3.0, 0.49], [4.0, 0.5]])]  # is the noise below 0.5?
    [0.0, 8.0]
    """
    found = [x for x in whole_order(*values) if isinstance(x, Noise)]
    return sorted(found, key=lambda noise: noise.number)


class Dropout(Module):
    """In training, each number is 0 with probability p, and divided by 1 − p otherwise.

    So no unit can rely on another one, and the mean stays the same (Srivastava, Hinton, Krizhevsky,
    Sutskever and Salakhutdinov 2014). After `eval` all numbers pass unchanged.

    noise: what the last call drew: one `Noise` for each number, dropped if that is below p.

    >>> random.seed(0)
    >>> dropout = Dropout(0.5)
    >>> [x.data for x in dropout([1.0, 2.0, 3.0])], dropout.eval()([1.0, 2.0, 3.0])
    ([2.0, 4.0, 0.0], [1.0, 2.0, 3.0])
    """

    _words = "Dropout {p:g}"

    def __init__(self, p: float) -> None:
        self.p = as_number(p)
        if not 0 <= self.p < 1:
            raise ValueError(f"p, the probability to be dropped, is in [0, 1), but got {p!r}")
        self.noise: list[Noise] = []

    def forward(self, x: Any) -> Any:
        """The number, or the lists of them, that were given, with some of them dropped."""
        self.noise = []
        return self._thinned(x) if self.training and self.p else x

    def _thinned(self, x: Any) -> Any:
        x = lists(x)
        if isinstance(x, (list, tuple)):
            return [self._thinned(element) for element in x]
        self.noise.append(Noise())
        return where(self.noise[-1] >= self.p, _value(x) / (1 - self.p), 0.0)


# --- Sequences ----------------------------------------------------------------------------------


class RNNCell(Module):
    """A step of a simple recurrent network (Elman 1990): neurons that see the input, and all that
    they said in the step before. The first `nin` weights of each are for the input.

    >>> cell = RNNCell(2, 3)
    >>> h = cell([0.5, -1.0], h=[0.0, 0.0, 0.0])
    >>> cell, len(cell([0.1, 0.2], h))
    (<RNNCell 2→3 tanh>, 3)
    """

    _words = "RNNCell {nin}→{nhidden} {activation}"

    def __init__(
        self, nin: int, nhidden: int, activation: str = "tanh", init: str = "uniform"
    ) -> None:
        self.nin, self.nhidden = _size("nin", nin), _size("nhidden", nhidden)
        self.activation, self.init = activation, init
        both = self.nin + self.nhidden
        self.neurons = [Neuron(both, True, activation, init, nhidden) for _ in range(nhidden)]

    def forward(self, x: Sequence[Number], h: Sequence[Number]) -> list[Value]:
        """What the neurons say: the h of the next step."""
        seen = _inputs(self, x, self.nin) + _inputs(self, h, self.nhidden, "hidden number")
        return [neuron(seen) for neuron in self.neurons]


class RNN(Module):
    """A recurrent network: one `RNNCell`, unrolled over a sequence; further arguments go to that.

    truncate: after how many steps the gradient is cut, by `detach`, again and again; None for
        never. The outputs stay the same. (For what is lost, see Williams and Peng 1990.)

    >>> states = RNN(1, 4)([0.5, -1.0, 2.0])
    >>> len(states), len(states[-1])  # for each of 3 inputs, 4 hidden numbers
    (3, 4)
    """

    _words = "RNN {cell.nin}→{cell.nhidden} {cell.activation}"

    def __init__(self, nin: int, nhidden: int, truncate: int | None = None, **kwargs: Any) -> None:
        self.cell = RNNCell(nin, nhidden, **kwargs)
        self.truncate = None if truncate is None else _size("truncate", truncate)

    def settings(self) -> dict[str, Any]:
        """Those of its cell, and `truncate`."""
        return {**self.cell.settings(), "truncate": self.truncate}

    def forward(
        self, sequence: Iterable[Any], h: Sequence[Number] | None = None
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


def detach(value: Number) -> Value:
    """The same number, but no gradient flows back through it.

    For a loss that depends on a number without pulling at what that was computed from. It is
    recorded, so that a compiled step computes the number anew; of ``Value(x.data)`` it would not.

    >>> x = Value(3.0)
    >>> y = x * detach(x)
    >>> y.backward()
    >>> y.data, x.grad
    (9.0, 3.0)
    """
    return apply(ops.detach(), value)


# --- What was given -----------------------------------------------------------------------------


def _value(x: Any) -> Value:
    return x if isinstance(x, Value) else Value(x)


def _inputs(module: Module, x: Any, width: int, what: str = "input") -> list[Value]:
    """The inputs as Values, one for each: a plain number becomes one leaf, used by all neurons."""
    kind = type(module).__name__
    if isinstance(x, (Value, numbers.Real)):
        x = [x]  # what a layer of one neuron returns
    try:
        given = list(x)
    except TypeError:
        raise TypeError(f"the {kind} takes a list of numbers, but got {shown(x)}") from None
    if len(given) != width:
        expected = f"the {kind} takes {width} {what}{'s' * (width != 1)}"
        nested = any(isinstance(lists(each), (list, tuple)) for each in given)
        advice = ", lists themselves: Flatten() makes one list of them" * nested
        raise ValueError(f"{expected}, but got {len(given)}{advice}")
    return [each if isinstance(each, Value) else Value(each) for each in given]


def _image(module: Module, x: Any, channels: int | None = None, padding: int = 0) -> Image:
    """The numbers of an image as Values, with zeros around it."""
    kind, image = type(module).__name__, lists(x)
    try:
        sizes = {(len(rows), len(row)) for rows in image for row in rows or [[]]}
    except TypeError:
        raise TypeError(
            f"the {kind} takes an image as lists [channel][row][column], but got {shown(x)}: of "
            "rows alone, [rows] makes an image of one channel"
        ) from None
    if channels not in (None, len(image)):
        many = "s" * (channels != 1)
        raise ValueError(f"the {kind} takes {channels} channel{many}, but got {len(image)}")
    if len(sizes) != 1:
        found = " and ".join(f"{height}×{width}" for height, width in sorted(sizes)) or "no rows"
        raise ValueError(f"all channels of an image are of one size, but the {kind} got {found}")
    [(_, width)] = sizes
    zero = as_value(0.0)
    side, above = [zero] * padding, [[zero] * (width + 2 * padding)] * padding
    return [
        [*above, *([*side, *map(_value, row), *side] for row in rows), *above] for rows in image
    ]


def _windows(module: Module, image: Image, size: int, stride: int) -> Image:
    """For each place of a window: what it shows of all channels, in one list."""
    height, width = len(image[0]), len(image[0][0]) if image[0] else 0
    if min(height, width) < size:
        raise ValueError(
            f"the {type(module).__name__} looks through a window of {size}×{size}, which is larger "
            f"than the image of {height}×{width}"
        )
    return [
        [
            [x for rows in image for row in rows[top : top + size] for x in row[left : left + size]]
            for left in range(0, width - size + 1, stride)
        ]
        for top in range(0, height - size + 1, stride)
    ]


def _one_of(name: str, given: str, known: Iterable[str]) -> str:
    if given not in tuple(known):
        raise ValueError(f"the {name} is one of {', '.join(known)}, but got {given!r}")
    return given


def _size(name: str, size: SupportsIndex, least: int = 1) -> int:
    whole = operator.index(size) if hasattr(size, "__index__") else least - 1
    if isinstance(size, bool) or whole < least:
        raise ValueError(f"{name} is a whole number from {least} on, but got {size!r}")
    return whole
