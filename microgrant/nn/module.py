"""What has parameters: the base of networks, of their layers, and of modules of your own.

With this module you can

- write a module:                subclass `Module`; keep Values, modules and lists of them in
                                 attributes, and define `forward`
- find what is in it:            model.named_parameters(), model.named_modules()
- switch its mode:               model.train(), model.eval()

A call of a module leaves a note in what it returns, so that drawings can put a box around it.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import random
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from ..engine.habits import ALWAYS, DEVICE, Missing
from ..engine.value import NO_GRADIENT, Value
from .arguments import lists

__all__ = ["Module", "ModuleCall", "Noise", "OneOrMany"]

AModule = TypeVar("AModule", bound="Module")
Returned = TypeVar("Returned", covariant=True)

# What a layer returns: a Value if it has one neuron, or else a list of them. Only who made the
# layer knows which, so a type checker is told that it is both: `model(x).relu()` and `model(x)[0]`
# are right, `model(x).rellu()` is not. Any lets `score = score.tanh()` follow `score = model(x)`.
if TYPE_CHECKING:

    class ValueAndList(Value, list[Value]):  # type: ignore[misc]
        """There is none: no class can be both."""

    OneOrMany: TypeAlias = ValueAndList | Any
else:
    OneOrMany = Value | list[Value]


class _HasForward(Protocol[Returned]):
    """So that the call of a module returns, to a type checker, what its own `forward` does."""

    @property
    def forward(self) -> Callable[..., Returned]: ...


class Noise(Value):
    """A random number, uniform in [0, 1): a leaf, and no parameter. It is the `number`-th drawn."""

    _count = itertools.count()

    def __init__(self) -> None:
        super().__init__(random.random(), "noise")
        self.number: int = next(self._count)


@dataclass(slots=True, eq=False)
class ModuleCall:
    """One call of a module: drawings make a cluster of what came between inputs and outputs."""

    module: weakref.ref[Module]  # weak, so that a module may keep its own outputs without a cycle
    inputs: tuple[Value, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> ModuleCall:
        module = copy.deepcopy(self.module(), memo)
        reference = self.module if module is None else weakref.ref(module)
        return ModuleCall(reference, copy.deepcopy(self.inputs, memo))


class Module:
    """What has parameters: the Values kept in its attributes, at any depth.

    training: whether it is being trained; `train` and `eval` say so, and `Dropout` asks.

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

    training: bool = True
    _words = ""  # for `describe`, with attributes of `self` in {}

    if not TYPE_CHECKING:
        state_dict = Missing("microgrant.saving.save(model, path) writes a model")
        load_state_dict = Missing("microgrant.saving.load(path) makes the model that was saved")
        save = Missing("microgrant.saving.save(model, path) writes a model")
        fit = Missing("microgrant.training.fit(model, loss, (xs, ys)) trains a model")
        predict = Missing("microgrant.training.predict(model, xs) has its outputs, model(x) one")
        compile = Missing("microgrant.compile(outputs, inputs=x) compiles what it computed")
        to = Missing(DEVICE)
        cpu = Missing(DEVICE)
        cuda = Missing(DEVICE)
        modules = Missing("it is called named_modules here, and gives the names too")
        children = Missing("it is called named_children here, and gives the names too")
        requires_grad_ = Missing(ALWAYS)
        summary = Missing("print(model) says what it is, microgrant.draw(model(x)) shows it")

    def __call__(self: _HasForward[Returned], *inputs: Any, **named: Any) -> Returned:
        """`forward`, noting in the Values returned which call of which module they came out of."""
        # As they are before the call: a list of inputs may get its output appended to it.
        given = [value for x in (*inputs, *named.values()) for value in values_in(x)]
        outputs = self.forward(*inputs, **named)
        module: Any = self
        call, noted = ModuleCall(weakref.ref(module), tuple(given)), set(given)
        for output in values_in(outputs):
            # What was given was not made here, and the note would make it refer to itself.
            if output.operation and output not in noted:
                noted.add(output)
                output._scope = (*getattr(output, "_scope", ()), call)  # from the inside out
        return outputs

    def _no_forward(self, *inputs: Any, **named: Any) -> Any:
        """What the module computes; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    # Declared like this, a subclass may give it whatever parameters it needs.
    forward: Callable[..., Any] = _no_forward

    def train(self: AModule, mode: bool = True) -> AModule:
        """Set `training` here and in all modules inside; returns the module itself."""
        self.training = bool(mode)
        for _, module in self.named_modules():
            module.training = self.training
        return self

    def eval(self: AModule) -> AModule:
        """``train(False)``: from now on the module is used."""
        return self.train(False)

    def settings(self) -> dict[str, Any]:
        """The arguments that make a module of the same architecture, by name: plain data, modules.

        They are looked up in the attributes of the same names. A module that keeps them elsewhere
        defines `settings`; and `from_settings`, if its constructor takes no keywords.

        >>> from microgrant.nn import MLP
        >>> MLP(2, [3, 1], activation="tanh").settings()
        {'nin': 2, 'nouts': [3, 1], 'activation': 'tanh', 'init': 'uniform'}
        """
        try:
            known = inspect.signature(type(self)).parameters.items()
            # What is a NoReturn takes nothing.
            return {name: getattr(self, name) for name, x in known if x.annotation != "NoReturn"}
        except AttributeError as error:
            raise TypeError(
                f"{type(self).__name__} does not tell its setting {error.name!r}: keep that in an "
                "attribute of the same name, or define settings()"
            ) from None

    @classmethod
    def from_settings(cls: type[AModule], settings: Mapping[str, Any]) -> AModule:
        """A new module with the `settings` of another, and with parameters drawn anew."""
        return cls(**settings)

    def named_children(self) -> Iterator[tuple[str, Value | Module]]:
        """The Values and modules that stand directly in attributes, or in lists there."""
        for name, attribute in vars(self).items():
            yield from _named(name, attribute)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Each module inside this one once, at any depth, with its path."""
        for name, child in _walk(self):
            if isinstance(child, Module):
                yield name, child

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Each parameter once, with its path: ``layers[0].neurons[3].w[1]``.

        >>> from microgrant.nn import MLP
        >>> [name for name, _ in MLP(1, [2]).named_parameters()][:3]
        ['layers[0].neurons[0].w[0]', 'layers[0].neurons[0].b', 'layers[0].neurons[1].w[0]']
        """
        for name, child in _walk(self):
            # An output that a module keeps is no parameter, nor is noise.
            if isinstance(child, Value) and not (child.operation or isinstance(child, Noise)):
                yield name, child

    def parameters(self) -> list[Value]:
        """Each parameter once, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters: call it between two steps.

        set_to_none: False sets them to 0 instead, as if a backward pass had found that.
        """
        for parameter in self.parameters():
            parameter._grad = NO_GRADIENT if set_to_none else 0.0

    def describe(self) -> str:
        """A few words for a drawing; a subclass may say more than its name, as `Layer` does."""
        return self._words.format(self=self) or type(self).__name__

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


def _named(name: str, x: object) -> Iterator[tuple[str, Value | Module]]:
    if isinstance(x, (Value, Module)):
        yield name, x
    elif isinstance(x, (list, tuple, dict)):
        for key, element in x.items() if isinstance(x, dict) else enumerate(x):
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


def values_in(x: Any) -> Sequence[Value]:
    """The Values in nested lists, tuples and arrays."""
    x = lists(x)
    if isinstance(x, Value):
        return [x]
    if not isinstance(x, list):
        return []
    if set(map(type, x)) == {Value}:  # as it mostly is, and then they need no looking at one by one
        return x
    return [value for element in x for value in values_in(element)]
