"""What kind of module a module is, for those who write it down for another library.

With this module you can

- look a module up in a table:             rule_for(module, rules), parts_of(module)
- know what all neurons of a layer do:     activation_of(layer.neurons)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..nn import MLP, Module, Neuron, Sequential

__all__ = ["activation_of", "parts_of", "rule_for"]

Rule = TypeVar("Rule")


def rule_for(module: Module, rules: Mapping[type[Module], Rule]) -> Rule | None:
    """The rule for the class of a module; for a class of one's own, if it keeps that `forward`."""
    if type(module).__call__ is not Module.__call__:
        return None
    for kind, rule in rules.items():
        if isinstance(module, kind) and getattr(module.forward, "__func__", None) is kind.forward:
            return rule
    return None


def parts_of(module: Module) -> list[Module] | None:
    """The modules that a module puts in a row, if that is what it does."""
    name = rule_for(module, {Sequential: "modules", MLP: "layers"})
    return None if name is None else list(getattr(module, name))


def activation_of(neurons: Sequence[Neuron]) -> str:
    """The name of the activation that neurons have in common; a ValueError if they differ."""
    names = list(dict.fromkeys(neuron.activation for neuron in neurons))
    if len(names) > 1:
        raise ValueError(
            f"the neurons of one layer have the activations {' and '.join(map(repr, names))}: to "
            "be exported, all of them need the same"
        )
    return names[0]
