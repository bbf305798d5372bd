"""What kind of module a module is, for those who write it down for another library.

With this module you can

- look a module up in a table:             rule_for(module, rules), parts_of(module)
- know what each neuron of a layer does:   activations_of(layer.neurons)

A module is of a kind if it computes by the code of that class alone, and what it holds is what that
code expects. If it has code of its own, from a subclass or by hand, it is of no kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import getattr_static
from typing import Any, TypeVar

from ..engine.value import Value
from ..nn import (
    MLP,
    RNN,
    Conv2d,
    Dropout,
    Layer,
    MaxPool2d,
    MeanPool2d,
    Module,
    Neuron,
    RNNCell,
    Sequential,
)
from ..nn.activations import ACTIVATIONS, Activation, activation_for

__all__ = ["KNOWN", "activations_of", "is_known", "parts_of", "rule_for"]

Rule = TypeVar("Rule")

KNOWN: dict[type[Module], Activation] = {type(x): x for x in ACTIVATIONS.values()}
"""The activations of the table, by their classes."""


def rule_for(module: Module, rules: Mapping[type[Module], Rule]) -> Rule | None:
    """The rule for the kind of a module, if it is of one."""
    return next((rule for kind, rule in rules.items() if _is_of(module, kind)), None)


def parts_of(module: Module) -> list[Module] | None:
    """The modules that a module puts in a row, if that is what it does."""
    name = rule_for(module, {Sequential: "modules", MLP: "layers"})
    return None if name is None else list(getattr(module, name))


def activations_of(neurons: Sequence[Neuron]) -> list[Activation]:
    """The activation of each neuron; only one, if all have the same."""
    found = [activation_for(neuron.activation) for neuron in neurons]
    return found if any(x is not found[0] for x in found) else found[:1]


def is_known(activation: Activation) -> bool:
    """Whether it is one of the table, with no code of its own: then its words are right."""
    return rule_for(activation, KNOWN) is not None


def _is_of(module: Any, kind: type[Module]) -> bool:
    """Whether no class and no attribute replaces what a kind computes by, and numbers fit."""
    if not isinstance(module, kind):
        return False
    helpers = {name for name in {*dir(kind)} - {*dir(Module)} if name[:2] != "__"}
    code = {"forward", "__call__", "__getattribute__", "train", "eval", "training", *helpers}
    kept = (getattr_static(type(module), name) is getattr_static(kind, name) for name in code)
    try:
        return not (code - {"training"}) & vars(module).keys() and all(kept) and _fits(module)
    except (AttributeError, TypeError):  # what its code expects was taken away
        return False


def _fits(x: Any) -> bool:
    """Whether a module holds what its code expects. Attributes can be changed, or taken away."""
    if isinstance(x, Neuron):
        # A subclass of Value may compute otherwise, and what was computed is no weight.
        return _listed(x.w) and all(type(w) is Value and not w.operands for w in (*x.w, x.b))
    if isinstance(x, Layer):
        return _are_neurons(x.neurons, x.nin)
    if isinstance(x, Conv2d):
        whole = _whole(x.channels_in, x.kernel_size, x.stride, x.padding + 1)
        return whole and _are_neurons(x.neurons, x.channels_in * x.kernel_size**2)
    if isinstance(x, RNNCell):
        return len(x.neurons) == x.nhidden and _are_neurons(x.neurons, x.nin + x.nhidden)
    if isinstance(x, RNN):
        return _is_of(x.cell, RNNCell) and (x.truncate is None or _whole(x.truncate))
    if isinstance(x, MLP):
        widths = [x.nin, *(len(layer.neurons) for layer in x.layers)]
        fit = (layer.nin == width for layer, width in zip(x.layers, widths, strict=False))
        return _listed(x.layers) and all(fit)
    if isinstance(x, Sequential):
        return not x.modules or _listed(x.modules)
    if isinstance(x, (MaxPool2d, MeanPool2d)):
        return _whole(x.size)
    return not isinstance(x, Dropout) or 0 <= x.p < 1


def _are_neurons(neurons: Sequence[Any], nin: int) -> bool:
    return _listed(neurons) and all(_is_of(x, Neuron) and len(x.w) == nin for x in neurons)


def _listed(x: Any) -> bool:
    return type(x) in (list, tuple) and len(x) > 0


def _whole(*numbers: object) -> bool:
    return all(type(x) is int and x > 0 for x in numbers)
