"""The third phase of a step: each parameter follows its gradient downhill.

With this module you can

- ask how an optimiser moves a parameter:    rules = rules_of(Adam(parameters))
- follow it with names or with numbers:      rule.term(TERMS, names), rule.term(FLOATS, numbers)
- see what it would do, and leave it alone:  moved(optimizer, gradients)

A `Rule` is written once, and runs on numbers, and on names, as the rules of `microgrant.ops` do: so
what is told is what is computed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..engine.value import NO_GRADIENT, Value
from ..optim import SGD, Adam, AdamW, Optimizer

__all__ = ["SYMBOLS", "Rule", "copied", "moved", "rules_of", "settings_of"]

SYMBOLS = {
    "learning_rate": "η",
    "momentum": "β",
    "beta1": "β₁",
    "beta2": "β₂",
    "weight_decay": "λ",
    "eps": "ε",
    "velocity": "v",
    "mean": "m",
    "square": "s",
    "steps": "t",
    "direction": "d",
    "fair_mean": "m̂",
    "fair_square": "ŝ",
}
"""What stands for the settings of optimisers, and for what they remember, in formulas; "parameter"
and "gradient" go by the name of the parameter."""


@dataclass(frozen=True)
class Rule:
    """One line of what an optimiser does to a parameter: ``sets`` ← of ``operands``.

    term: computes it, in the algebra of terms or of numbers, which is the first argument.
    """

    sets: str
    operands: tuple[str, ...]
    term: Callable[..., Any]


def rules_of(optimizer: Optimizer) -> list[Rule] | None:
    """What an optimiser does to a parameter, line by line; None if it is not known.

    >>> [rule.sets for rule in rules_of(SGD([Value(1.0)], 0.1, momentum=0.9))]
    ['velocity', 'parameter']
    """
    write = {SGD: _sgd, Adam: _adam, AdamW: _adam}.get(type(optimizer))
    return None if write is None else write(optimizer)


def _sgd(optimizer: Any) -> list[Rule]:
    rules, direction = _decayed(optimizer), "gradient"
    if optimizer.momentum:
        operands = ("momentum", "velocity", "gradient")
        rules.append(Rule("velocity", operands, lambda m, keep, v, g: keep * v + g))
        direction = "velocity"
    if optimizer.nesterov:
        operands = ("gradient", "momentum", "velocity")
        rules.append(Rule("direction", operands, lambda m, g, keep, v: g + keep * v))
        direction = "direction"
    operands = ("parameter", "learning_rate", direction)
    return [*rules, Rule("parameter", operands, lambda m, w, rate, d: w - rate * d)]


def _adam(optimizer: Any) -> list[Rule]:
    decoupled = optimizer.DECOUPLED and optimizer.weight_decay
    rules = [] if decoupled else _decayed(optimizer)
    if decoupled:
        operands = ("parameter", "learning_rate", "weight_decay")
        rules.append(Rule("parameter", operands, lambda m, w, rate, decay: w - rate * decay * w))
    return [
        *rules,
        Rule("steps", ("steps",), lambda m, t: t + 1.0),
        Rule("mean", ("beta1", "mean", "gradient"), lambda m, b, x, g: b * x + (1 - b) * g),
        Rule(
            "square", ("beta2", "square", "gradient"), lambda m, b, x, g: b * x + (1 - b) * (g * g)
        ),
        Rule("fair_mean", ("mean", "beta1", "steps"), lambda m, x, b, t: x / (1 - b**t)),
        Rule("fair_square", ("square", "beta2", "steps"), lambda m, x, b, t: x / (1 - b**t)),
        Rule(
            "parameter",
            ("parameter", "learning_rate", "fair_mean", "fair_square", "eps"),
            lambda m, w, rate, x, s, eps: w - rate * x / (m.sqrt(s) + eps),
        ),
    ]


def _decayed(optimizer: Optimizer) -> list[Rule]:
    """The penalty, which is added to the gradient."""
    operands = ("gradient", "weight_decay", "parameter")
    rule = Rule("gradient", operands, lambda m, g, decay, w: g + decay * w)
    return [rule] if optimizer.weight_decay else []


def settings_of(optimizer: Optimizer) -> dict[str, float]:
    """The numbers that its rules ask for."""
    found = {name: getattr(optimizer, name) for name in optimizer.SETTINGS}
    found |= dict(zip(("beta1", "beta2"), found.pop("betas", ()), strict=False))
    return {name: float(x) for name, x in found.items()}


def copied(optimizer: Optimizer, parameters: Sequence[Value]) -> Optimizer:
    """An optimizer like this one, with other parameters in place of its own, wherever one of the
    user's own may keep them."""
    own = optimizer.parameters
    memo: dict[int, Any] = {id(x): y for x, y in zip(own, parameters, strict=True)}
    return copy.deepcopy(optimizer, memo)


def moved(
    optimizer: Optimizer, gradients: Mapping[Value, float]
) -> list[tuple[Value, float, dict[str, float]]]:
    """Each parameter that has one of the gradients, with its number after a step of the optimiser,
    and with what was remembered of it before; nothing is changed.

    >>> w = Value(1.0)
    >>> [(_, after, memory)] = moved(SGD([w], 0.1), {w: 2.0})
    >>> after, w.data, memory
    (0.8, 1.0, {'velocity': 0.0})
    """
    stand_ins = [Value(parameter.data) for parameter in optimizer.parameters]
    twin = copied(optimizer, stand_ins)
    for parameter, stand_in in zip(optimizer.parameters, stand_ins, strict=True):
        stand_in._grad = gradients.get(parameter, NO_GRADIENT)
    twin.step()
    return [
        (parameter, stand_in.data, {key: x[i] for key, x in optimizer._memory.items()})
        for i, (parameter, stand_in) in enumerate(zip(optimizer.parameters, stand_ins, strict=True))
        if parameter in gradients
    ]
