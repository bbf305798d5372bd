"""Neurons, layers and networks of them, built of `Value`s.

With this module you can

- make a network:                model = MLP(2, [16, 16, 1])
- run it on one example:         score = model([0.5, -1.0])
- change all that it has learned: for p in model.parameters(): p.data -= 0.01 * p.grad
- write a module of your own:    subclass `Module`; keep Values, modules and lists of them in
                                 attributes, and define `forward` (or `__call__`)

Signatures, and the random numbers drawn from a given ``random.seed``, are those of micrograd.
"""

from __future__ import annotations

import copy
import numbers
import operator
import random
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

from .engine import NO_GRADIENT, Number, Value, shown

__all__ = ["ACTIVATIONS", "MLP", "Layer", "Module", "ModuleCall", "Neuron"]

ACTIVATIONS = ("relu", "tanh", "sigmoid", "linear")


@dataclass(slots=True, eq=False)
class ModuleCall:
    """One call of a module: drawings make a cluster of what came between inputs and outputs."""

    module: weakref.ref[Module]  # weak, so that a module may keep its own outputs without a cycle
    inputs: tuple[Any, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> ModuleCall:
        module = copy.deepcopy(self.module(), memo)
        reference = self.module if module is None else weakref.ref(module)
        return ModuleCall(reference, copy.deepcopy(self.inputs, memo))


class Module:
    """What has parameters: the Values kept in its attributes, at any depth.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.start = Value(2.0), Value(1.0)
    ...
    ...     def forward(self, x):
    ...         return self.slope * x + self.start
    >>> line = Line()
    >>> line(3.0), [name for name, _ in line.named_parameters()]
    (Value(data=7.0, grad=0.0), ['slope', 'start'])
    """

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """`forward`, noting in the Values returned which call of which module they came out of."""
        outputs = self.forward(*inputs, **named)
        call = ModuleCall(weakref.ref(self), (*inputs, *named.values()))
        for output in outputs if isinstance(outputs, (list, tuple)) else (outputs,):
            if isinstance(output, Value) and output._operation and not _given(output, call.inputs):
                output._scope = (*getattr(output, "_scope", ()), call)  # from the inside out
        return outputs

    def _no_forward(self, *inputs: Any, **named: Any) -> Any:
        """What the module computes; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    # Declared like this, a subclass may give it whatever parameters it needs.
    forward: Callable[..., Any] = _no_forward

    def named_children(self) -> Iterator[tuple[str, Value | Module]]:
        """The Values and modules that stand directly in attributes, or in lists there."""
        for name, attribute in vars(self).items():
            yield from _named(name, attribute)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Each module inside this one once, at any depth, with its path."""
        for name, child in _walk(self):
            if isinstance(child, Module):
                yield name, child

    def describe(self) -> str:
        """A few words for a drawing; a subclass may say more, as `Layer` does."""
        return type(self).__name__

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Each parameter once, with its path: ``layers[0].neurons[3].w[1]``.

        >>> [name for name, _ in MLP(1, [2]).named_parameters()][:3]
        ['layers[0].neurons[0].w[0]', 'layers[0].neurons[0].b', 'layers[0].neurons[1].w[0]']
        """
        for name, child in _walk(self):
            # An output that a module keeps is no parameter.
            if isinstance(child, Value) and child._operation is None:
                yield name, child

    def parameters(self) -> list[Value]:
        """Each parameter once, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters: call it between two steps."""
        for parameter in self.parameters():
            parameter.grad = NO_GRADIENT


def _named(name: str, x: object) -> Iterator[tuple[str, Value | Module]]:
    if isinstance(x, (Value, Module)):
        yield name, x
    elif isinstance(x, (list, tuple)):
        for i, element in enumerate(x):
            yield from _named(f"{name}[{i}]", element)
    elif isinstance(x, dict):
        for key, element in x.items():
            yield from _named(f"{name}[{key!r}]", element)


def _walk(module: Module) -> Iterator[tuple[str, Value | Module]]:
    seen = {id(module)}
    waiting = list(module.named_children())[::-1]
    while waiting:
        path, child = waiting.pop()
        if id(child) in seen:  # shared weights, or a module that knows its parent
            continue
        seen.add(id(child))
        yield path, child
        if isinstance(child, Module):
            inner = [(f"{path}.{name}", x) for name, x in child.named_children()]
            waiting += inner[::-1]


def _given(output: Value, inputs: tuple[Any, ...]) -> bool:
    """Whether a module returned what it was given: then it made nothing that a drawing could show,
    and noting the call would make the Value refer to itself."""
    return any(
        x is output or (isinstance(x, (list, tuple)) and id(output) in map(id, x)) for x in inputs
    )


class Neuron(Module):
    """One neuron: the activation of ``b + w[0]*x[0] + w[1]*x[1] + …``.

    nin: how many inputs it has. The weights begin uniform in [-1, 1), the bias at 0.
    nonlin: False for no activation, whatever `activation` says.
    activation: "relu", "tanh", "sigmoid" or "linear".

    A ValueError says so when a call brings another number of inputs.

    >>> random.seed(1337)
    >>> neuron = Neuron(2)
    >>> neuron, neuron([1.0, -2.0]).data
    (ReLUNeuron(2), 0.102443419482938)
    """

    def __init__(self, nin: int, nonlin: bool = True, activation: str = "relu") -> None:
        nin = _size("nin", nin)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"the activation is one of {', '.join(ACTIVATIONS)}, but got {activation!r}"
            )
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0.0)
        self.nonlin = nonlin
        self.activation = activation if nonlin else "linear"

    def forward(self, x: Sequence[Number]) -> Value:
        """The activation of the weighted sum."""
        total = self.b
        for w, value in zip(self.w, _inputs(self, x, len(self.w)), strict=True):
            total = total + w * value
        return total if self.activation == "linear" else getattr(total, self.activation)()

    def describe(self) -> str:
        """Its number of inputs and its activation."""
        return f"Neuron {len(self.w)}→1 {self.activation}"

    def __repr__(self) -> str:
        name = {"relu": "ReLU"}.get(self.activation, self.activation.capitalize())
        return f"{name}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons that look at the same `nin` inputs; the other arguments are `Neuron`'s.

    A call returns the list of their outputs, or the only one if there is only one.

    >>> Layer(3, 2, activation="tanh")
    Layer of [TanhNeuron(3), TanhNeuron(3)]
    """

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(_size("nout", nout))]

    def forward(self, x: Sequence[Number]) -> Any:
        """The outputs of all neurons; without the list around it if there is one."""
        inputs = _inputs(self, x, len(self.neurons[0].w))
        outputs = [neuron(inputs) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs

    def describe(self) -> str:
        """Its numbers of inputs and outputs."""
        return f"Layer {len(self.neurons[0].w)}→{len(self.neurons)}"

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(str, self.neurons))}]"


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

    def __init__(self, nin: int, nouts: Sequence[int], activation: str = "relu") -> None:
        try:
            sizes = [nin, *nouts]
        except TypeError:
            raise TypeError(f"nouts lists the width of each layer, but got {nouts!r}") from None
        if len(sizes) == 1:
            raise ValueError("an MLP needs the width of at least one layer, but nouts is empty")
        self.layers = [
            Layer(sizes[i], sizes[i + 1], nonlin=i != len(sizes) - 2, activation=activation)
            for i in range(len(sizes) - 1)
        ]

    def forward(self, x: Sequence[Number]) -> Any:
        """The outputs of the last layer."""
        outputs: Any = _inputs(self, x, len(self.layers[0].neurons[0].w))
        for layer in self.layers:
            outputs = layer(outputs)
        return outputs

    def describe(self) -> str:
        """The widths of its layers."""
        widths = [len(self.layers[0].neurons[0].w), *(len(layer.neurons) for layer in self.layers)]
        return f"MLP {'→'.join(map(str, widths))}"

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}]"


def _inputs(module: Module, x: Any, width: int) -> list[Value]:
    """The inputs as Values, one for each: a plain number becomes one leaf, used by all neurons."""
    kind = type(module).__name__
    if isinstance(x, (Value, numbers.Real)):
        x = [x]  # what a layer of one neuron returns
    try:
        given = list(x)
    except TypeError:
        raise TypeError(f"the {kind} takes a list of numbers, but got {shown(x)}") from None
    if len(given) != width:
        raise ValueError(
            f"the {kind} takes {width} input{'s' * (width != 1)}, but got {len(given)}"
        )
    return [each if isinstance(each, Value) else Value(each) for each in given]


def _size(name: str, size: SupportsIndex) -> int:
    whole = operator.index(size) if hasattr(size, "__index__") else 0
    if isinstance(size, bool) or whole < 1:
        raise ValueError(f"{name} is a whole number from 1 on, but got {size!r}")
    return whole
