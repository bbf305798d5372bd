"""What people write who come from PyTorch, JAX or Keras, and what it is called here.

There is nothing to call here. With this module a class can say

- what an attribute is called here:     state_dict = Missing("save(model, path) writes it")
- and that setting it does nothing:     lr = Refused("it is called learning_rate here")
- what an argument is called here:      refuse("SGD", habits, HABITS)
- and a module, what it has not:        __getattr__ = elsewhere(__name__)

`hasattr` says that there is no such attribute. A `__getattr__` would do that too, but for a class
that has one Python looks up every attribute more slowly: a step of a network took half as long
again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

__all__ = ["Habits", "Missing", "Refused", "elsewhere", "refuse"]


class Missing:
    """An attribute that is not there: who asks for it is told what to write instead."""

    def __init__(self, advice: str) -> None:
        self.advice = advice

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, thing: object, owner: type) -> NoReturn:
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self.name!r}: "
            + self.advice.format(name=self.name)
        )


class Refused(Missing):
    """An attribute that is not there, and which to set would do nothing, without a word."""

    def __set__(self, thing: object, value: object) -> NoReturn:
        self.__get__(thing, type(thing))


def refuse(function: str, given: Mapping[str, object], advice: Mapping[str, str]) -> None:
    """A TypeError, if keywords were given that the function does not have; in Python's words, and
    with a word about the first of them, where there is one.

    >>> refuse("SGD", {"lr": 0.1}, {"lr": "it is called learning_rate here"})
    Traceback (most recent call last):
        ...
    TypeError: SGD() got an unexpected keyword argument 'lr': it is called learning_rate here
    """
    for name in given:
        more = f": {advice[name]}" if name in advice else ""
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{more}")


def elsewhere(module: str) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module, which knows what PyTorch's of that name has."""

    def missing(name: str) -> NoReturn:
        more = f": {TORCH[name]}" if name in TORCH else ""
        message = f"module {module!r} has no attribute {name!r}{more}"
        # With these two, Python proposes what is spelled nearly the same.
        raise AttributeError(message, name=name, obj=sys.modules[module])

    return missing


NUMBER = "it is one number of Python's, v.data, and v.item() is the same"
SCALAR = "a Value is one number, and has no shape: lists of Values stand for vectors"
DEVICE = "there are no devices; microgrant.compile makes native code of a graph"
ALWAYS = (
    "a gradient is computed for all that a result depends on. To keep a parameter as it is, leave "
    "it out of those of the optimiser; to keep its gradient out of a result, use v.detach()"
)
FUNCTION = "it is a function of microgrant, as in microgrant.{name}(v)"
SUM = "a Value is one number: of a list of them it is sum(values), or sum(values) / len(values)"


class Habits:
    """What a `Value` is asked for by who takes it for a tensor."""

    __slots__ = ()

    if not TYPE_CHECKING:  # there, it is an error anyway
        numpy = Missing(NUMBER)
        tolist = Missing(NUMBER)
        T = Missing(SCALAR)
        shape = Missing(SCALAR)
        size = Missing(SCALAR)
        view = Missing(SCALAR)
        reshape = Missing(SCALAR)
        device = Missing(DEVICE)
        to = Missing(DEVICE)
        cpu = Missing(DEVICE)
        cuda = Missing(DEVICE)
        requires_grad = Refused(ALWAYS)
        requires_grad_ = Missing(ALWAYS)
        retain_grad = Missing("every Value of a graph keeps its gradient")
        grad_fn = Missing("v.operation and v.operands say what it was computed by, and from what")
        is_leaf = Missing("of a leaf, v.operation is None")
        clone = Missing("copy.copy(v) is another node with the same record, +v is v itself")
        sum = Missing(SUM)
        mean = Missing(SUM)
        pow = Missing("it is written v ** n")
        square = Missing("it is written v ** 2")
        abs = Missing("it is written abs(v)")
        mul = Missing("it is written v * w")
        dtype = Missing("the data of a Value are a float of Python's, of 64 bits")
        acos = Missing(FUNCTION)
        acosh = Missing(FUNCTION)
        asin = Missing(FUNCTION)
        asinh = Missing(FUNCTION)
        atan = Missing(FUNCTION)
        atan2 = Missing(FUNCTION)
        atanh = Missing(FUNCTION)
        elu = Missing(FUNCTION)
        erf = Missing(FUNCTION)
        erfc = Missing(FUNCTION)
        floor = Missing(FUNCTION)
        gelu = Missing(FUNCTION)
        leaky_relu = Missing(FUNCTION)
        sign = Missing(FUNCTION)
        silu = Missing(FUNCTION)
        clamp = Missing("it is called clip here")
        softmax = Missing("it is a function of a list: microgrant.softmax(values)")

        def __dir__(self) -> list[str]:
            """Without what is not there: this is what editors propose."""
            return [x for x in object.__dir__(self) if x not in vars(Habits) or x[:2] == "__"]


GRAD: Mapping[str, str] = {
    "retain_graph": "a graph is always kept, and backward may be called again",
    "create_graph": "grad(y, xs, create_graph=True) makes derivatives that can be differentiated",
    "allow_unused": "where y does not depend on x, the derivative is 0",
    "grad_outputs": "multiply y by it, and differentiate the product",
}
"""Arguments of PyTorch's `backward` and `grad`, with what to do here."""

KEYWORDS: Mapping[str, str] = {
    "approximate": "it is computed exactly, by erf",
    "bias": "a neuron has one, neuron.b: to keep it at 0, give the optimiser all other parameters",
    "dim": "a list of Values has only one dimension",
    "negative_slope": "it is called slope here",
}
"""Arguments of PyTorch's layers and functions, with what to do here."""

LOSS = "losses are functions here: microgrant.losses."
TORCH: Mapping[str, str] = {
    "tensor": "one number is Value(2.0), and lists of Values stand for vectors",
    "BCEWithLogitsLoss": f"{LOSS}binary_cross_entropy",
    "CrossEntropyLoss": f"{LOSS}cross_entropy",
    "MSELoss": f"{LOSS}mean_squared_error",
    "Softmax": "it is a function of a list: microgrant.softmax(values)",
    "LogSoftmax": "it is a function of a list: microgrant.log_softmax(values)",
}
"""What PyTorch has in its modules, with what to write here."""
