"""Activations: what neurons make of their sums, and modules that make it of any numbers.

With this module you can

- see what there is:             list(ACTIVATIONS)
- give one to neurons:           Layer(2, 3, activation="tanh"); Neuron(2, activation=Value.sin)
- put one in a row of modules:   Sequential(Linear(2, 8), Tanh(), Linear(8, 1))

The exports read their words for an activation here, so that one more is a single class, and its
place in `ACTIVATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from ..engine import functions
from ..engine.arguments import RealNumber, as_number, one_of, shown
from ..engine.functions import elu, gelu, leaky_relu, silu
from ..engine.habits import KEYWORDS, refuse
from ..engine.value import Value
from .arguments import each_number
from .module import Module

__all__ = ["ACTIVATIONS", "ELU", "GELU", "Activation", "Activations", "Elementwise", "Function"]
__all__ += ["Identity", "LeakyReLU", "ReLU", "SiLU", "Sigmoid", "Tanh", "activation_for"]
__all__ += ["function_for", "kept", "one_each"]

Function: TypeAlias = Callable[[Value], Value]


class Activation(Module):
    """A function of one number as a module, which takes nested lists of them as well.

    name: what a neuron calls it, as in ``Neuron(2, activation="relu")``.
    word: what a neuron is called that has it: a TanhNeuron.
    torch: its class in `torch.nn`, made with the same arguments; None if there is none.
    onnx: its operator in ONNX; None where there is none, or few versions of onnxruntime have it for
        doubles: then the export records what it does.
    function: of a Value.
    """

    name = word = ""
    torch: str | None = None
    onnx: str | None = None
    function: Function

    def forward(self, x: Any) -> Any:
        """The function of a number, or of each number in lists."""
        return each_number(self._checked, x)

    def _checked(self, x: Value) -> Value:
        result = self.function(x)
        if not isinstance(result, Value):
            raise TypeError(f"the activation {self} is to return a Value, but got {shown(result)}")
        return result

    def __repr__(self) -> str:
        return self.describe()


class ReLU(Activation):
    """What is above 0, and 0 elsewhere."""

    name, word, torch, onnx = "relu", "ReLU", "ReLU", "Relu"
    function = staticmethod(Value.relu)


class Tanh(Activation):
    """The hyperbolic tangent.

    >>> Tanh()([0.0, [1.0]])
    [Value(data=0.0, grad=0.0), [Value(data=0.7615941559557649, grad=0.0)]]
    """

    name, word, torch, onnx = "tanh", "Tanh", "Tanh", "Tanh"
    function = staticmethod(Value.tanh)


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), the logistic function."""

    name, word, torch, onnx = "sigmoid", "Sigmoid", "Sigmoid", "Sigmoid"
    function = staticmethod(Value.sigmoid)


class Identity(Activation):
    """Nothing: a neuron that has it is linear."""

    name, word, torch, onnx = "linear", "Linear", "Identity", "Identity"
    function = staticmethod(lambda x: x)


class LeakyReLU(Activation):
    """What is above 0, and `slope` times what is below."""

    name, word, torch = "leaky_relu", "LeakyReLU", "LeakyReLU"
    _words = "LeakyReLU {self.slope:g}"

    def __init__(self, slope: RealNumber = 0.01, **habits: NoReturn) -> None:
        refuse("LeakyReLU", habits, KEYWORDS)
        self.slope = as_number(slope)

    def function(self, x: Value) -> Value:
        """Of a Value."""
        return leaky_relu(x, self.slope)


class ELU(Activation):
    """What is above 0, and alpha·(exp(x) − 1) below."""

    name, word, torch = "elu", "ELU", "ELU"
    _words = "ELU {self.alpha:g}"

    def __init__(self, alpha: RealNumber = 1.0) -> None:
        self.alpha = as_number(alpha)

    def function(self, x: Value) -> Value:
        """Of a Value."""
        return elu(x, self.alpha)


class GELU(Activation):
    """x times the probability that a normal random number is below x."""

    name, word, torch = "gelu", "GELU", "GELU"
    function = staticmethod(gelu)


class SiLU(Activation):
    """x·sigmoid(x), also known as swish."""

    name, word, torch = "silu", "SiLU", "SiLU"
    function = staticmethod(silu)


class Elementwise(Activation):
    """A function of your own, of a Value or of each Value in lists: ``Elementwise(Value.sin)``.

    It cannot be saved, as functions are no data; a `Module` in place of the function can.

    >>> Elementwise(lambda x: x * x)([2.0, 3.0])
    [Value(data=4.0, grad=0.0), Value(data=9.0, grad=0.0)]
    """

    def __init__(self, function: Function) -> None:
        if not callable(function) or isinstance(function, type):
            advice = ": make one of it, as in Tanh()" * isinstance(function, type)
            raise TypeError(
                f"an activation is a function of a Value, but got {shown(function)}{advice}"
            )
        self.function = function
        self.word = self.describe().capitalize()

    def describe(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__).strip("<>")


_ALL = ReLU(), Tanh(), Sigmoid(), Identity(), LeakyReLU(), ELU(), GELU(), SiLU()
ACTIVATIONS: dict[str, Activation] = {x.name: x for x in _ALL}
"""By the name that a neuron is given."""

Activations: TypeAlias = str | Function | Sequence[str | Function]
"""One for all, by its name or as a function of a Value; or a list with one for each."""


def activation_for(given: object) -> Activation:
    """The activation of a name, or of a function; a ValueError for a name that is not there.

    >>> activation_for("exp")
    Traceback (most recent call last):
        ...
    ValueError: the activation is one of relu, tanh, sigmoid, linear... but got 'exp'
    """
    if isinstance(given, Activation):
        return given
    if callable(given):
        known = [
            x for name, x in ACTIVATIONS.items()
            if given is x.function or given is getattr(functions, name, None)
        ]  # fmt: skip
        return type(known[0])() if known else Elementwise(given)
    return ACTIVATIONS[one_of("the activation", given, ACTIVATIONS)]


def function_for(given: object) -> Function:
    """The function of an activation, by the shortest way where it has a name: each neuron asks."""
    if isinstance(given, str) and given in ACTIVATIONS:
        return ACTIVATIONS[given].function
    return activation_for(given).forward


def kept(given: object) -> str | Activation:
    """What a neuron keeps of the activation that it is given: its name, or a module."""
    found = activation_for(given)
    return given if isinstance(given, str) else found


def one_each(given: Activations, count: int, what: str) -> list[str | Activation]:
    """What each of so many neurons, or layers, keeps; all the same, if there is one for all."""
    if not isinstance(given, (list, tuple)):
        return [kept(given)] * count
    if len(given) != count:
        raise ValueError(f"of {count} {what} each has an activation, but the list has {len(given)}")
    return [kept(x) for x in given]
