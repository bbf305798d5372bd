"""Losses: how far outputs are from their targets, as one Value to call `backward` on.

With this module you can

- fit numbers:                  mean_squared_error(outputs, targets), half_squared_error(…)
- tell two classes apart:       binary_cross_entropy(logits, targets), hinge(scores, targets)
- tell many classes apart:      cross_entropy(logits, target)
- keep the parameters small:    loss + 1e-4 * l2(model.parameters())
- have what it stands on:       softmax(logits), log_softmax(logits), logsumexp(logits)

Outputs and targets are a number or a Value each, or lists of equal length. A ValueError or a
TypeError says what does not fit; but a target that is a Value is not looked at, since in a compiled
step it stands for the targets to come. nan and inf go through as in IEEE 754.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import reduce
from typing import Any, NoReturn, SupportsIndex, TypeAlias

from .engine.arguments import as_number, listed, shown, unboxed
from .engine.derivatives import detach
from .engine.habits import KEYWORDS, refuse
from .engine.value import Number, Value, as_value

__all__ = ["binary_cross_entropy", "cross_entropy", "half_squared_error", "hinge", "l1", "l2"]
__all__ += ["log_softmax", "logsumexp", "mean_squared_error", "softmax"]

Numbers: TypeAlias = Number | Iterable[Number]


def mean_squared_error(outputs: Numbers, targets: Numbers) -> Value:
    """The mean of (output − target)².

    >>> mean_squared_error([Value(1.0), Value(2.0)], [0.0, 4.0])
    Value(data=2.5, grad=0.0)
    """
    return _mean([(output - target) ** 2 for output, target in _pairs(outputs, targets)])


def half_squared_error(outputs: Numbers, targets: Numbers) -> Value:
    """The sum, not the mean, of ½·(target − output)²: its derivative is output − target.

    This is the error of Rumelhart, Hinton and Williams 1986, and of most textbooks.

    >>> half_squared_error([Value(1.0), Value(2.0)], [0.0, 4.0])
    Value(data=2.5, grad=0.0)
    """
    return _sum([(target - output) ** 2 for output, target in _pairs(outputs, targets)]) * 0.5


def binary_cross_entropy(logits: Numbers, targets: Numbers) -> Value:
    """The mean of −t·log σ(z) − (1 − t)·log(1 − σ(z)), for logits z and targets t from 0 to 1.

    A logit is what a sigmoid σ makes a probability of: give the outputs of a linear last layer.
    The derivative by each of n logits is (σ(z) − t)/n.

    >>> logit = Value(-1000.0)
    >>> loss = binary_cross_entropy(logit, 1)
    >>> loss.backward()
    >>> loss, logit.grad
    (Value(data=1000.0, grad=1.0), -1.0)
    """
    pairs = _pairs(logits, targets)
    for place, (_, target) in enumerate(pairs):
        if not isinstance(target, Value) and not 0 <= target <= 1:
            wrong = _in_its_place(target, place, pairs)
            raise ValueError(f"binary_cross_entropy needs targets from 0 to 1, but {wrong}")
    return _mean([_binary_cross_entropy(z, t) for z, t in pairs])


def _binary_cross_entropy(logit: Value, target: Value | float) -> Value:
    # −log σ(z) is softplus(−z), which cannot overflow. The shorter softplus(z) − t·z would lose
    # every digit of a small loss and of its derivative.
    if not isinstance(target, Value) and target in (0, 1):  # one of the two terms is nothing
        return (-logit if target else logit).softplus()
    return target * (-logit).softplus() + (1 - target) * logit.softplus()


def cross_entropy(logits: Iterable[Number], target: SupportsIndex | Iterable[Number]) -> Value:
    """−Σ t·log softmax(z), for one example: a logit z for each class, and which class is right.

    target: the number of the right class, from 0 on; or a list with the probability t of each
        class, such as [0, 1, 0]. In a compiled step it is such a list, of Values.

    The derivative by a logit is softmax(z) − t. The probabilities themselves are `softmax(logits)`.

    >>> logits = [Value(1000.0), Value(0.0), Value(1000.0)]
    >>> loss = cross_entropy(logits, 0)
    >>> loss.backward()
    >>> print(f"{loss:.4f}", [z.grad for z in logits])
    0.6931 [-0.5, 0.0, 0.5]
    """
    values = _each("logits", logits, as_value)
    if len(values) < 2:
        raise ValueError(
            f"cross_entropy needs two or more logits, one for each class, but got {len(values)}: "
            "for one logit there is binary_cross_entropy"
        )
    right = _class_or_probabilities(target, len(values))
    shifted = _shifted(values)
    log_total = _log_total(shifted)
    if isinstance(right, int):
        return log_total - shifted[right]
    terms = zip(right, shifted, strict=True)
    return _sum([t * (log_total - z) for t, z in terms if isinstance(t, Value) or t != 0])


def hinge(scores: Numbers, targets: Numbers) -> Value:
    """The mean of max(0, 1 − target·score), for targets of −1 and 1 (Cortes and Vapnik 1995).

    It is 0 where every score has the sign of its target and is at least 1 in size.

    >>> hinge([Value(0.5), Value(-3.0)], [1, -1])
    Value(data=0.25, grad=0.0)
    """
    pairs = _pairs(scores, targets)
    for place, (_, target) in enumerate(pairs):
        if not isinstance(target, Value) and target not in (-1, 1):
            raise ValueError(
                f"hinge needs targets of -1 and 1, but {_in_its_place(target, place, pairs)}: of "
                "0 and 1, "
                "2 * target - 1 makes them"
            )
    return _mean([(1 - target * score).relu() for score, target in pairs])


def l2(parameters: Iterable[Value]) -> Value:
    """The sum of the squares: ``weight * l2(…)`` pulls each p towards 0 by 2·weight·p.

    >>> l2([Value(3.0), Value(-4.0)])
    Value(data=25.0, grad=0.0)
    """
    return _sum([p**2 for p in _each("parameters", parameters, as_value)])


def l1(parameters: Iterable[Value]) -> Value:
    """The sum of the magnitudes: ``weight * l1(…)`` pulls by `weight`, all the way to 0.

    >>> l1([Value(3.0), Value(-4.0)])
    Value(data=7.0, grad=0.0)
    """
    return _sum([abs(p) for p in _each("parameters", parameters, as_value)])


# --- Softmax ------------------------------------------------------------------------------------
# For numbers of any size: with the largest taken off, no exponential overflows. The graph records
# that, so that a compiled step does it as well. No gradient flows back into the largest: what would
# add up to 0 anyhow, but for its rounding. (Folding a + softplus(b - a) over the numbers takes a
# quarter fewer operations, and loses every digit of a small probability.)


def softmax(logits: Iterable[Number], **habits: NoReturn) -> list[Value]:
    """exp(z)/Σ exp(z) for each logit z: probabilities, which add up to 1 (Bridle 1990).

    Of −inf it is 0. All are nan if all logits are −inf, or one is inf or nan, as in PyTorch.

    >>> [p.data for p in softmax([Value(1000.0), 0.0, Value(1000.0)])]
    [0.5, 0.0, 0.5]
    """
    refuse("softmax", habits, KEYWORDS)
    powers = [z.exp() for z in _shifted(_values(logits))]
    total = _sum(powers)
    return [power / total for power in powers]


def log_softmax(logits: Iterable[Number], **habits: NoReturn) -> list[Value]:
    """log softmax(z) for each logit z: finite also where the probability is too small for a float.

    Of −inf it is −inf. All are nan if all logits are −inf, or one is inf or nan, as in PyTorch.

    >>> [x.data for x in log_softmax([Value(1000.0), 0.0])]
    [0.0, -1000.0]
    """
    refuse("log_softmax", habits, KEYWORDS)
    shifted = _shifted(_values(logits))
    log_total = _log_total(shifted)
    return [z - log_total for z in shifted]


def logsumexp(logits: Iterable[Number], **habits: NoReturn) -> Value:
    """log Σ exp(z), a maximum with its corners rounded: its derivatives are softmax(logits).

    All −inf make −inf, and inf makes inf; its derivative by these is nan, as in PyTorch.

    >>> x, y = Value(1000.0), Value(1000.0)
    >>> total = logsumexp([x, y])
    >>> total.backward()
    >>> print(f"{total:.4f}", x.grad, y.grad)
    1000.6931 0.5 0.5
    """
    refuse("logsumexp", habits, KEYWORDS)
    values = _values(logits)
    # Of two infinities, the difference would be nan.
    largest = _largest(values).clip(-sys.float_info.max, sys.float_info.max)
    return _log_total([z - largest for z in values]) + largest


def _values(logits: Iterable[Number]) -> list[Value]:
    wanted = "logits are a list, with a number or a Value for each class, but got"
    if _is_single(logits):
        raise TypeError(f"{wanted} {shown(logits)}")
    return _each("logits", listed(logits, wanted), as_value)


def _largest(values: list[Value]) -> Value:
    return detach(reduce(Value.maximum, values))


def _shifted(values: list[Value]) -> list[Value]:
    largest = _largest(values)
    return [z - largest for z in values]


def _log_total(shifted: list[Value]) -> Value:
    return _sum([z.exp() for z in shifted]).log()


# --- Sums, and what was given, checked ----------------------------------------------------------


def _sum(terms: list[Value]) -> Value:
    return reduce(operator.add, terms)  # the builtin would begin with a node for 0 + …


def _mean(terms: list[Value]) -> Value:
    total = _sum(terms)
    return total if len(terms) == 1 else total / len(terms)


def _is_single(given: Any) -> bool:
    return isinstance(given, (Value, numbers.Number)) or getattr(given, "ndim", None) == 0


def _each(name: str, given: Any, convert: Callable[[Any], Any]) -> list[Any]:
    """What was given, converted, as a list that is not empty: of one, if it is no list."""
    if _is_single(given):
        return [convert(unboxed(given))]
    found = listed(given, f"{name} are numbers, Values or a list, but got")
    if not found:
        raise ValueError(f"there are no {name}: the list is empty")
    converted: list[Any] = []
    try:
        for x in found:
            converted.append(convert(unboxed(x)))
    except TypeError as error:
        raise TypeError(f"{name}[{len(converted)}]: {error}") from None
    return converted


def _value_or_number(x: Any) -> Value | float:
    return x if isinstance(x, Value) else as_number(x)


def _pairs(outputs: Numbers, targets: Numbers) -> list[tuple[Value, Value | float]]:
    """Each output as a Value, with its target."""
    of, to = _each("outputs", outputs, as_value), _each("targets", targets, _value_or_number)
    if len(of) != len(to):
        raise ValueError(f"each output needs one target, but got {len(of)} and {len(to)}")
    return list(zip(of, to, strict=True))


def _in_its_place(target: float, place: int, pairs: list[Any]) -> str:
    """A target that does not fit, as a message has it; with its place, where there are several."""
    return f"targets[{place}] is {target}" if len(pairs) > 1 else f"got {target}"


def _class_or_probabilities(target: Any, classes: int) -> int | list[Value | float]:
    """The number of a class, or a probability for each class."""
    target = unboxed(target)
    with suppress(TypeError):  # which is what a list, an array or a float is to this
        right = operator.index(target)
        if not 0 <= right < classes:
            raise ValueError(f"the classes are numbered 0 to {classes - 1}, but got class {right}")
        return right
    if _is_single(target):
        raise TypeError(
            "the target of cross_entropy is a class, as a whole number, or a list with a "
            f"probability for each class, but got {shown(target)}"
        )
    weights = _each("targets", target, _value_or_number)
    if len(weights) != classes:
        raise ValueError(
            f"each of the {classes} classes needs one probability, but got {len(weights)}"
        )
    for place, t in enumerate(weights):
        if not isinstance(t, Value) and not 0 <= t <= 1:
            raise ValueError(f"probabilities are numbers from 0 to 1, but targets[{place}] is {t}")
    plain = [t for t in weights if not isinstance(t, Value)]
    total = math.fsum(plain)
    if len(plain) == classes and not math.isclose(total, 1, abs_tol=1e-6):
        raise ValueError(f"the probabilities are to add up to 1, but they add up to {total:.7g}")
    return weights
