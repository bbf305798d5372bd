"""Optimisers: how parameters follow their gradients downhill.

With this module you can

- take a step:                   optimizer = SGD(model.parameters(), learning_rate=0.1)
                                 loss.backward(); optimizer.step(); optimizer.zero_grad()
- let the learning rate change:  optimizer.learning_rate = cosine(0.1, 0.0, steps=1000)(step)
- keep steps within bounds:      clip_gradients(model.parameters(), max_norm=1.0)
- stop, and go on later:         state = optimizer.state(); …; optimizer.load_state(state)
- have one of your own:          a subclass of Optimizer, with its rule

A step is that of PyTorch's optimiser of the same name. A parameter that no backward pass has
reached since `zero_grad` is left as it is, with all that is remembered of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeAlias

from .engine.arguments import RealNumber, as_number, shown, whole_number
from .engine.habits import Missing, Refused, refuse
from .engine.value import NO_GRADIENT, Value
from .ops.table import FLOATS, clip

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "Schedule", "clip_gradient_values"]
__all__ += ["clip_gradients", "constant", "cosine", "linear", "step_decay", "warm_up"]

Schedule: TypeAlias = Callable[[int], float]
"""A learning rate for each step; steps are numbered from 0."""

Rule: TypeAlias = Callable[[Any, Any, tuple[Any, ...]], tuple[Any, tuple[Any, ...]]]
"""How a parameter moves; see `Optimizer.rule`."""

RATE = "the learning rate is called learning_rate here"
HABITS = dict.fromkeys(("lr", "eta", "step_size"), RATE)
HABITS |= dict.fromkeys(("beta1", "beta2", "beta_1", "beta_2"), "betas=(0.9, 0.999) has both")
HABITS |= {"epsilon": "it is called eps here", "rho": "it is called alpha here"}
"""Settings of other libraries' optimisers, with what they are called here."""


class Optimizer:
    """What optimisers share; an optimiser of your own is a subclass that defines `rule`.

    parameters: the Values that it changes, leaves all of them.
    learning_rate: the length of a step; it may be set anew at any time.

    `rule` moves one parameter, as `SGD.rule` does: then it runs in native code as well (see
    `microgrant.compiler.Step.train`). One that looks at several of them at once defines `step`.
    `SETTINGS` names the arguments of its constructor, and `MEMORY` what is remembered of each
    parameter, with the lowest number that it can be: both are part of its `state`.

    A TypeError or ValueError says which parameter or setting is wrong, and how.

    >>> class SignSGD(Optimizer):
    ...     def rule(self, m, rate):
    ...         return lambda p, gradient, remembered: (p - rate * m.sign(gradient), remembered)
    >>> w = Value(1.0)
    >>> w.grad = -5.0
    >>> SignSGD([w], learning_rate=0.25).step()
    >>> w.data
    1.25
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay")
    # What is remembered for each parameter, from 0 on, and the lowest number that it can be: of
    # "steps", which are counted for `coefficients`, and of what `rule` hands on from step to step.
    MEMORY: ClassVar[Mapping[str, float]] = {}

    if not TYPE_CHECKING:
        lr = Refused(RATE)
        param_groups = Missing(f"there is one group of parameters, and {RATE}")
        state_dict = Missing("it is called state here")
        load_state_dict = Missing("it is called load_state here")

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: RealNumber,
        weight_decay: RealNumber = 0.0,
        **habits: NoReturn,
    ) -> None:
        refuse(type(self).__name__, habits, HABITS)
        self.parameters: list[Value] = _leaves(parameters)
        self.learning_rate = learning_rate
        self.weight_decay: float = _setting("weight_decay", weight_decay)
        self._steps = [0.0] * len(self.parameters)
        self._remembered = [(0.0,) * len(self._names())] * len(self.parameters)

    @classmethod
    def _names(cls) -> list[str]:
        """What `rule` hands on from step to step."""
        return [name for name in cls.MEMORY if name != "steps"]

    @property
    def _memory(self) -> dict[str, list[float]]:
        """What is remembered: for each of its names, a number for each parameter."""
        columns = iter(zip(*self._remembered, strict=True))
        return {
            name: self._steps[:] if name == "steps" else [*next(columns)] for name in self.MEMORY
        }

    @_memory.setter
    def _memory(self, memory: Mapping[str, Sequence[float]]) -> None:
        self._steps = [*memory.get("steps", self._steps)]
        columns = [memory[name] for name in self._names()]
        self._remembered = [*zip(*columns, strict=True)] or self._remembered

    @property
    def learning_rate(self) -> float:
        """The length of a step: a finite number, not negative."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: RealNumber) -> None:
        if callable(rate):
            raise TypeError(
                "the learning rate is a number: of a schedule, set it before each step, as in "
                "optimizer.learning_rate = schedule(step), or hand the schedule to fit"
            )
        self._learning_rate = _setting("learning_rate", rate)

    def step(self) -> None:
        """Change the `.data` of every parameter by its `.grad`."""
        steps, remembered = self._steps, self._remembered
        named = len(self._names())
        latest, rule = 0.0, self.rule(FLOATS, *self.coefficients(1.0))
        for i, p in enumerate(self.parameters):
            gradient = p._grad
            if gradient is NO_GRADIENT:
                continue
            steps[i] = step = steps[i] + 1.0
            if step != latest:  # the same for all, unless a backward pass has left some out
                latest, rule = step, self.rule(FLOATS, *self.coefficients(step))
            moved, kept = rule(p._data, gradient, remembered[i])
            if len(kept) != named:
                raise ValueError(self._nameless(len(kept)))
            p._data, remembered[i] = moved, kept

    def _nameless(self, kept: int) -> str:
        kind, named = type(self).__name__, len(self._names())
        return (
            f"the rule of {kind} remembers {kept} numbers of a parameter, and MEMORY names {named}"
            ': give each a name and its lowest number, as in MEMORY = {"velocity": -math.inf}'
        )

    def coefficients(self, step: float) -> tuple[float, ...]:
        """The numbers that `rule` gets: the same for all parameters in the step of that number,
        counted from 1."""
        return (self.learning_rate,)

    def rule(self, m: Any, *coefficients: Any) -> Rule:
        """A function of a parameter, its gradient, and a tuple of what is remembered of it: it
        returns the parameter after a step, and what is to be remembered from then on. The tuple has
        a number for each name in `MEMORY`, at first 0.

        It is written as the rules of `microgrant.ops` are, with operators and with the functions of
        the algebra `m`, and runs on numbers and on the registers of a compiled program. It may look
        at settings, which are numbers, with `if`; of what it is given, `m.where` decides. It
        changes nothing, and has the learning rate from the `coefficients`; else Python runs it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define rule(), or step()")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters: call it between two steps.

        set_to_none: False sets them to 0 instead, and a step then moves by what it remembers.
        """
        for parameter in self.parameters:
            parameter._grad = NO_GRADIENT if set_to_none else 0.0

    def state(self) -> dict[str, Any]:
        """The settings, and what is remembered of each parameter: plain data, ready for JSON.

        >>> optimizer = SGD([Value(1.0)], momentum=0.9)
        >>> optimizer.state()["settings"]["momentum"], optimizer.state()["memory"]
        (0.9, {'velocity': [0.0]})
        """
        return {
            "optimizer": type(self).__name__,
            "settings": {name: getattr(self, name) for name in self.SETTINGS},
            "memory": self._memory,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where another optimiser of the same kind stood: its next step is our next step.

        The `.data` of the parameters is not part of the state. A ValueError says what about it
        does not fit; then nothing was changed.
        """
        kind, n = type(self).__name__, len(self.parameters)
        expected = {"settings": {*self.SETTINGS}, "memory": {*self.MEMORY}}
        given = dict(state) if isinstance(state, Mapping) else {}
        names = {key: {*x} for key, x in given.items() if isinstance(x, Mapping)}
        if given.get("optimizer") != kind or names != expected:
            raise ValueError(f"this is not what the state() of {kind} gives: {shown(state)}")
        try:
            restored = type(self)(self.parameters, **given["settings"])
        except (TypeError, OverflowError) as error:
            raise ValueError(f"a setting in the state of {kind} is wrong: {error}") from error
        for name, lowest in self.MEMORY.items():
            numbers = given["memory"][name]
            good = isinstance(numbers, list) and len(numbers) == n
            if not good or not all(isinstance(x, float) and not x < lowest for x in numbers):
                raise ValueError(
                    f"the state's {name} is to be a list of {n} floats from {lowest} on, one for "
                    f"each parameter, but got {shown(numbers)}"
                )
        restored._memory = given["memory"]
        vars(self).update(vars(restored))


class SGD(Optimizer):
    """Gradient descent, with momentum and weight decay: p ← p − learning_rate·velocity.

    momentum: how much of its velocity a parameter keeps: velocity ← momentum·velocity + gradient
        (Polyak 1964; the learning rate is outside of the velocity, as in PyTorch).
    nesterov: look ahead, to gradient + momentum·velocity (Nesterov 1983, in the form of Sutskever,
        Martens, Dahl and Hinton 2013).
    weight_decay: adds weight_decay·p to the gradient, as a penalty of ½·weight_decay·p² would.

    >>> x = Value(3.0)
    >>> optimizer = SGD([x], learning_rate=0.1)
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     ((x - 1) ** 2).backward()
    ...     optimizer.step()
    >>> print(f"{x:.3f}")
    1.000
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ("learning_rate", "momentum", "nesterov", "weight_decay")
    MEMORY: ClassVar[Mapping[str, float]] = {"velocity": -math.inf}

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: RealNumber = 0.01,
        momentum: RealNumber = 0.0,
        nesterov: bool = False,
        weight_decay: RealNumber = 0.0,
        **habits: NoReturn,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, **habits)
        self.momentum = _setting("momentum", momentum, below=1.0)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum, but momentum is 0: 0.9 is a common choice")

    def rule(self, m: Any, *coefficients: Any) -> Rule:
        """Downhill, with what the parameter has of its velocity."""
        [rate] = coefficients
        momentum, nesterov, decay = self.momentum, self.nesterov, self.weight_decay

        def moved(p: Any, gradient: Any, remembered: Any) -> tuple[Any, Any]:
            direction = gradient + decay * p if decay else gradient
            if momentum:
                [velocity] = remembered
                remembered = [velocity] = (momentum * velocity + direction,)
                direction = direction + momentum * velocity if nesterov else velocity
            return p - rate * direction, remembered

        return moved


class Adam(Optimizer):
    """Steps of about the learning rate, whatever the scale of a gradient (Kingma and Ba 2015).

    betas: how much of their past the running means of the gradient and of its square keep.
    eps: keeps the step bounded where all gradients so far were about 0.
    weight_decay: adds weight_decay·p to the gradient; `AdamW` takes it off the parameter instead.

    >>> x = Value(3.0)
    >>> optimizer = Adam([x], learning_rate=0.1)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     ((x - 1) ** 2).backward()
    ...     optimizer.step()
    >>> print(f"{x:.3f}")
    1.000
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ("learning_rate", "betas", "eps", "weight_decay")
    MEMORY: ClassVar[Mapping[str, float]] = {"steps": 0.0, "mean": -math.inf, "square": 0.0}
    DECOUPLED: ClassVar[bool] = False  # whether weight decay stays out of the gradient

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: RealNumber = 0.001,
        betas: tuple[RealNumber, RealNumber] = (0.9, 0.999),
        eps: RealNumber = 1e-8,
        weight_decay: RealNumber = 0.0,
        **habits: NoReturn,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, **habits)
        try:
            first, second = betas
        except (TypeError, ValueError):
            wanted = "betas are two numbers, such as (0.9, 0.999)"
            raise ValueError(f"{wanted}, but got {shown(betas)}") from None
        self.betas = _setting("betas[0]", first, 1.0), _setting("betas[1]", second, 1.0)
        self.eps = _eps(self, eps)

    def coefficients(self, step: float) -> tuple[float, ...]:
        """The learning rate over what the mean is too small by, as it began at 0; the root of that
        of the squares; and what weight decay of its own leaves of a parameter."""
        beta1, beta2 = self.betas
        rate = self.learning_rate
        root = math.sqrt(1 - beta2**step)
        return rate / (1 - beta1**step), root, 1 - rate * self.weight_decay

    def rule(self, m: Any, *coefficients: Any) -> Rule:
        """By the mean of the gradient over the root of the mean of its square."""
        (beta1, beta2), eps, decay = self.betas, self.eps, self.weight_decay
        fresh1, fresh2, decoupled = 1 - beta1, 1 - beta2, self.DECOUPLED
        length, root, kept = coefficients
        sqrt = math.sqrt if m is FLOATS else m.sqrt  # of what is never negative: a shorter way

        def moved(p: Any, gradient: Any, remembered: Any) -> tuple[Any, Any]:
            mean, square = remembered
            if decoupled:
                p = p * kept
            elif decay:
                gradient = gradient + decay * p
            mean = beta1 * mean + fresh1 * gradient
            square = beta2 * square + fresh2 * gradient * gradient
            return p - length * mean / (sqrt(square) / root + eps), (mean, square)

        return moved


class AdamW(Adam):
    """Adam whose weight decay is its own: p ← p − learning_rate·weight_decay·p, and Adam's step.

    So parameters decay alike, whatever the scale of their gradients (Loshchilov and Hutter 2019).

    >>> x = Value(1.0)
    >>> x.grad = 0.0
    >>> AdamW([x], learning_rate=0.1, weight_decay=0.5).step()
    >>> x.data
    0.95
    """

    DECOUPLED: ClassVar[bool] = True

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: RealNumber = 0.001,
        betas: tuple[RealNumber, RealNumber] = (0.9, 0.999),
        eps: RealNumber = 1e-8,
        weight_decay: RealNumber = 0.01,
        **habits: NoReturn,
    ) -> None:
        super().__init__(parameters, learning_rate, betas, eps, weight_decay, **habits)


class RMSprop(Optimizer):
    """Gradients over their running root mean square (Tieleman and Hinton 2012, lecture 6.5).

    alpha: how much of its past the running mean of the squares keeps.
    eps: keeps the step bounded where all gradients so far were about 0.
    momentum: how much of its velocity a parameter keeps, as in `SGD`.
    centered: divide by the standard deviation instead (Graves 2013). Where rounding makes the
        variance negative, it is 0 here; in PyTorch the parameter becomes nan.
    weight_decay: adds weight_decay·p to the gradient.

    >>> x = Value(3.0)
    >>> optimizer = RMSprop([x], learning_rate=0.1)
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     ((x - 1) ** 2).backward()
    ...     optimizer.step()
    >>> print(f"{x:.3f}")
    1.000
    """

    SETTINGS: ClassVar[tuple[str, ...]] = (
        "learning_rate",
        "alpha",
        "eps",
        "momentum",
        "centered",
        "weight_decay",
    )
    MEMORY: ClassVar[Mapping[str, float]] = {
        "square": 0.0,
        "mean": -math.inf,
        "velocity": -math.inf,
    }

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: RealNumber = 0.01,
        alpha: RealNumber = 0.99,
        eps: RealNumber = 1e-8,
        momentum: RealNumber = 0.0,
        centered: bool = False,
        weight_decay: RealNumber = 0.0,
        **habits: NoReturn,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, **habits)
        self.alpha = _setting("alpha", alpha, below=1.0)
        self.eps = _eps(self, eps)
        self.momentum = _setting("momentum", momentum, below=1.0)
        self.centered = bool(centered)

    def rule(self, m: Any, *coefficients: Any) -> Rule:
        """By the gradient over the root of the mean of its square."""
        [rate] = coefficients
        alpha, eps, momentum = self.alpha, self.eps, self.momentum
        fresh, centered, decay = 1 - alpha, self.centered, self.weight_decay

        def moved(p: Any, gradient: Any, remembered: Any) -> tuple[Any, Any]:
            square, mean, velocity = remembered
            if decay:
                gradient = gradient + decay * p
            square = variance = alpha * square + fresh * gradient * gradient
            if centered:
                mean = alpha * mean + fresh * gradient
                variance = square - mean * mean
                variance = m.where(variance < 0, 0.0, variance)
            change = gradient / (m.sqrt(variance) + eps)
            if momentum:
                velocity = change = momentum * velocity + change
            return p - rate * change, (square, mean, velocity)

        return moved


def clip_gradients(parameters: Iterable[Value], max_norm: RealNumber) -> float:
    """Scale all gradients by one factor, so that their norm is at most `max_norm`; the norm before.

    The norm is the Euclidean norm of all gradients together (Pascanu, Mikolov and Bengio 2013);
    the factor is PyTorch's, max_norm/(norm + 1e-6). A ValueError says so when the norm is nan or
    infinite: then no factor helps, and every gradient is left as it is.

    >>> x, y = Value(3.0), Value(4.0)
    >>> (x * y).backward()
    >>> clip_gradients([x, y], max_norm=1.0), round(x.grad, 3), round(y.grad, 3)
    (5.0, 0.8, 0.6)
    """
    max_norm = _bound("max_norm", max_norm)
    reached = _gradients(parameters)
    norm = math.hypot(*reached.values())  # which scales, so that no square overflows
    if not math.isfinite(norm):
        raise ValueError(
            f"the norm of the gradients is {norm}, and cannot be clipped: record the step inside "
            "`with detect_anomaly():` to see where nan or inf comes up, or lower the learning rate"
        )
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for parameter, gradient in reached.items():
            parameter.grad = gradient * factor
    return norm


def clip_gradient_values(parameters: Iterable[Value], max_value: RealNumber) -> None:
    """Bring each gradient into the interval from −max_value to max_value; nan stays nan.

    >>> x = Value(3.0)
    >>> (x**2).backward()
    >>> clip_gradient_values([x], max_value=1.0)
    >>> x.grad
    1.0
    """
    max_value = _bound("max_value", max_value)
    clipped = clip(-max_value, max_value).forward
    for parameter, gradient in _gradients(parameters).items():
        parameter.grad = clipped(gradient)


# --- Schedules: the learning rate as a function of the step's number, from 0 on -----------------


def constant(rate: float) -> Schedule:
    """Always the same.

    >>> constant(0.1)(1000)
    0.1
    """
    rate = as_number(rate, "rate")
    return lambda step: rate


def linear(start: float, end: float, steps: int) -> Schedule:
    """In a straight line from `start` at step 0 to `end` at step `steps`, and `end` from then on.

    >>> [linear(1.0, 0.0, steps=4)(step) for step in (0, 1, 2, 4, 9)]
    [1.0, 0.75, 0.5, 0.0, 0.0]
    """
    start, end = as_number(start, "start"), as_number(end, "end")
    steps = whole_number("steps", steps)
    return lambda step: _between(start, end, min(step / steps, 1.0))


def cosine(start: float, end: float, steps: int) -> Schedule:
    """Along half a cosine, gently at both ends (Loshchilov and Hutter 2017, without restarts).

    >>> [round(cosine(1.0, 0.0, steps=4)(step), 3) for step in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    start, end = as_number(start, "start"), as_number(end, "end")
    steps = whole_number("steps", steps)
    return lambda step: _between(start, end, (1 - math.cos(math.pi * min(step / steps, 1.0))) / 2)


def step_decay(start: float, factor: float, every: int) -> Schedule:
    """Times `factor` after every `every` steps.

    >>> [step_decay(1.0, 0.5, every=10)(step) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """
    start, factor = as_number(start, "start"), as_number(factor, "factor")
    every = whole_number("every", every)
    return lambda step: start * factor ** (step // every)


def warm_up(steps: int, schedule: Schedule) -> Schedule:
    """For `steps` steps up to where `schedule` starts, and then `schedule` from its beginning.

    >>> [warm_up(3, linear(1.0, 0.0, steps=4))(step) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    steps = whole_number("steps", steps)
    if not callable(schedule):
        raise TypeError(
            f"warm_up leads to a schedule, such as constant(0.1), not {shown(schedule)}"
        )
    return lambda step: (
        schedule(step - steps) if step >= steps else schedule(0) * ((step + 1) / (steps + 1))
    )


def _between(start: float, end: float, fraction: float) -> float:
    return (1 - fraction) * start + fraction * end


# --- What was given, checked --------------------------------------------------------------------


def checked_schedule(schedule: Any) -> Schedule:
    """A schedule, or a TypeError."""
    if not callable(schedule):
        raise TypeError(
            "schedule is a function of the number of the step, as those in microgrant.optim, but "
            f"got {shown(schedule)}"
        )
    return schedule  # type: ignore[no-any-return]


def checked_optimizer(optimizer: object) -> Optimizer:
    """An optimiser, or a TypeError."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            "optimizer is an Optimizer, such as Adam(model.parameters(), 0.01), but got "
            f"{shown(optimizer)}"
        )
    return optimizer


def _leaves(parameters: Iterable[Value]) -> list[Value]:
    """The parameters as a list of leaves, each of them once."""
    try:
        leaves = list(parameters)
    except TypeError:
        raise TypeError(
            f"parameters are a list of Values, such as model.parameters(), but got "
            f"{shown(parameters)}"
        ) from None
    if not leaves:
        raise ValueError("there are no parameters: the list is empty")
    seen: set[Value] = set()
    for i, parameter in enumerate(leaves):
        if not isinstance(parameter, Value):
            raise TypeError(f"parameters are Values, but parameters[{i}] is {shown(parameter)}")
        if parameter.operation is not None:
            raise ValueError(
                f"parameters[{i}], {parameter!r}, is the result of an operation "
                f"({parameter._op}): give the leaves that it was computed from"
            )
        if parameter in seen:
            raise ValueError(f"parameters[{i}], {parameter!r}, is there twice: give it once")
        seen.add(parameter)
    return leaves


def _gradients(parameters: Iterable[Value]) -> dict[Value, float]:
    """The gradients of those parameters that a backward pass has reached."""
    return {p: p._grad for p in _leaves(parameters) if p._grad is not NO_GRADIENT}


def _setting(name: str, number: RealNumber, below: float = math.inf) -> float:
    number = as_number(number, name)
    if not 0 <= number < below:
        limit = "" if below == math.inf else f" below {below:g}"
        raise ValueError(f"{name} is a finite number from 0 on{limit}, but got {number}")
    return number


def _eps(optimizer: Optimizer, eps: RealNumber) -> float:
    eps = _setting("eps", eps)
    if not eps:
        kind = type(optimizer).__name__
        raise ValueError(f"eps is what keeps {kind} from dividing by 0: give it more than 0")
    return eps


def _bound(name: str, number: RealNumber) -> float:
    number = as_number(number, name)
    if not number >= 0:
        raise ValueError(f"{name} is a number from 0 on, but got {number}")
    return number
