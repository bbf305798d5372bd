"""Whole steps of training: forward, backward and update, in native code from the first to the last.

With this module you can

- have what takes the steps:       descent = descent_of(step, optimizer, None, …)
- take steps over batches:         what = Batches(rows, 32, seed).run(descent, learned, …)
- hand out what was learned:       descent.put(learned)

`Step.train` and `microgrant.training.fit` stand on it. What a training has learned is one thing,
replaced as a whole and never changed in itself: whenever Ctrl-C comes, the last one is complete.

The native steps are those of Python: the same compiled loss, and the same `Optimizer.rule`, run on
registers instead of numbers, for several parameters at once. So the numbers are the same to the
last bit; only a norm that is clipped is summed up in another order.
"""

from __future__ import annotations

import ctypes
import math
import random
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, groupby
from typing import Any, TypeAlias

from ..engine.arguments import as_number
from ..engine.modes import inside
from ..engine.value import NO_GRADIENT
from ..optim import Optimizer, clip_gradients
from .machine import CALL_WORK, NativeMachine, Workspace, host
from .tables import Buffer, address, empty
from .update import translate_update

__all__ = ["Batches", "Descent", "checked_clip", "descent_of", "shuffled", "take"]


Taken: TypeAlias = "tuple[Any, list[float], str]"
"""What was learned by some steps, the mean loss of each, and why there was no next one."""
Laid: TypeAlias = Callable[[Any, int, Sequence[int]], tuple[Buffer, int]]
"""The table that steps read, and how many rows it has; of rows, a batch's size, and the numbers of
the steps."""

INDEPENDENT = "the loss does not depend on any parameter: was the .data of a Value taken?"


class Descent:
    """Steps as Python takes them.

    step: adds the gradient of the mean loss over rows to each `.grad`; it gets its number as well.
    clip: the largest norm of all gradients together, or None.
    """

    def __init__(
        self, step: Callable[[Any, int], float], optimizer: Optimizer, clip: float | None
    ) -> None:
        self.step, self.optimizer, self.clip = step, optimizer, clip

    def at_once(self, size: int) -> int:
        """How many steps over batches of that size may be one, for somebody who presses Ctrl-C."""
        return 1

    def learned(self) -> Any:
        """The parameters as they are now, and what the optimiser remembers of them."""
        return [p._data for p in self.optimizer.parameters], self.optimizer.state()

    def write(self, learned: Any) -> None:
        """Have the parameters and the optimiser say so what was learned last: they do."""

    def put(self, learned: Any) -> None:
        """Make parameters and optimiser what they were when this was learned."""
        parameters, state = learned
        for p, number in zip(self.optimizer.parameters, parameters, strict=True):
            p.data = number
        self.optimizer.load_state(state)

    def run(
        self, learned: Any, rows: Any, size: int, rates: Sequence[float], steps: Sequence[int]
    ) -> Taken:
        """Steps over one batch of rows after the other, each with its learning rate and number; if
        there are rows for one batch only, all of them over that one.

        size: of a batch; the last one may be smaller.
        """
        [rate], [number], optimizer = rates, steps, self.optimizer
        optimizer.zero_grad()
        optimizer.learning_rate = rate
        loss = self.step(rows, number)
        if number == 0 and all(p._grad is NO_GRADIENT for p in optimizer.parameters):
            # Later, a loss that reaches its goal may do without: of a hinge, nothing is left.
            raise ValueError(INDEPENDENT)
        if not math.isfinite(loss):
            return learned, [], f"the loss is {loss}"
        if self.clip is not None:
            try:
                clip_gradients(optimizer.parameters, self.clip)
            except ValueError:
                return learned, [], "the gradient is nan or infinite"
        optimizer.step()
        if not all(math.isfinite(p._data) for p in optimizer.parameters):
            return learned, [], "a parameter is nan or infinite"
        return self.learned(), [loss], ""


@dataclass(frozen=True)
class Learned:
    """What a native training has learned.

    numbers: the leaves of the step, and then what is remembered of each of its parameters.
    spans: stretches of parameters that are moved and have taken equally many steps: where each
        begins, how long it is, and how many steps they were.
    taken: how many steps have been taken since.
    learning_rate: of the last of them.
    gradients: of the last of them, after the loss.
    """

    numbers: Buffer
    spans: list[tuple[int, int, float]]
    taken: int
    learning_rate: float
    gradients: Buffer | None = None


class NativeDescent(Descent):
    """Steps in native code, many in one call.

    program: a compiled `Step`, with its machine, leaves and parameters.
    laid_out: makes the table that the program reads of some rows.
    """

    def __init__(
        self, program: Any, optimizer: Optimizer, clip: float | None, laid_out: Laid
    ) -> None:
        super().__init__(program, optimizer, clip)
        self.program, self.laid_out = program, laid_out
        self.machine: NativeMachine = program._run
        self.space = Workspace(self.machine.layout, 1)
        held = {p: i for i, p in enumerate(optimizer.parameters)}
        self.places = [
            (place, held[p])
            for place, p in enumerate(program._parameters)
            if p in held and p not in program._out_of_reach
        ]
        if not self.places:
            raise ValueError(INDEPENDENT)
        self.train = native_update(optimizer)

    def at_once(self, size: int) -> int:
        """As many as take some hundredths of a second."""
        return max(1, CALL_WORK // (self.machine.layout.instructions * size))

    def learned(self) -> Learned:
        """The parameters as they are now, and what the optimiser remembers of them."""
        optimizer = self.optimizer
        self.train = native_update(optimizer)  # its settings, too, may be others now
        leaves = [x._data for x in self.program.leaves]
        columns = [[0.0] * len(self.program._parameters) for _ in optimizer._remembered[0]]
        for place, i in self.places:
            for column, number in zip(columns, optimizer._remembered[i], strict=True):
                column[place] = number
        counted = [(place - k, optimizer._steps[i]) for k, (place, i) in enumerate(self.places)]
        spans, first = [], 0
        for (offset, count), stretch in groupby(counted):
            length = len(list(stretch))
            spans.append((first + offset, length, count))
            first += length
        numbers = empty(len(leaves) + sum(map(len, columns)))
        numbers[:] = array("d", [*leaves, *chain.from_iterable(columns)])
        return Learned(numbers, spans, 0, optimizer.learning_rate)

    def write(self, learned: Learned) -> None:
        """Write into the parameters and the optimiser what was learned last."""
        self.put(learned)
        if learned.gradients is not None:
            gradients = learned.gradients.tolist()
            for place, i in self.places:
                self.optimizer.parameters[i]._grad = gradients[place + 1]

    def put(self, learned: Learned) -> None:
        """Make parameters and optimiser what they were when this was learned."""
        optimizer, width = self.optimizer, len(self.program._parameters)
        numbers = learned.numbers.tolist()
        memory = numbers[len(self.program.leaves) :]
        columns = [memory[begin : begin + width] for begin in range(0, len(memory), width)]
        remembered = list(zip(*columns, strict=True)) or [()] * width
        counts = chain.from_iterable([count] * length for _, length, count in learned.spans)
        for (place, i), count in zip(self.places, counts, strict=True):
            optimizer.parameters[i]._data = numbers[place]
            optimizer._remembered[i] = remembered[place]
            optimizer._steps[i] = count + learned.taken
        optimizer.learning_rate = learned.learning_rate

    def run(
        self,
        learned: Learned,
        rows: Any,
        size: int,
        rates: Sequence[float],
        steps: Sequence[int],
    ) -> Taken:
        """The same, in one call of native code."""
        table, count = self.laid_out(rows, size, steps)
        table = table if isinstance(table, array) else table.reshape(-1)
        numbers, losses = copied(learned.numbers), array("d", bytes(8 * len(rates)))
        take_steps = partial(self._steps, learned, numbers, table, count, size, losses)
        done, out = take_steps(rates)
        what = ""
        if done < len(rates):
            self.optimizer.learning_rate = rates[done]
            if not math.isfinite(losses[done]):
                what = f"the loss is {losses[done]}"
            elif self.clip is not None and not all(map(math.isfinite, out)):
                what = "the gradient is nan or infinite"
            else:  # then it has moved: once more, as far as it was well
                what = "a parameter is nan or infinite"
                numbers[:] = learned.numbers
                take_steps(rates[:done])
        rate = rates[done - 1] if done else learned.learning_rate
        taken = Learned(numbers, learned.spans, learned.taken + done, rate, out)
        return taken, losses[:done].tolist(), what

    def _steps(
        self,
        learned: Learned,
        numbers: Buffer,
        table: Buffer,
        count: int,
        size: int,
        losses: Buffer,
        rates: Sequence[float],
    ) -> tuple[int, Buffer]:
        """Change the numbers by steps over so many rows; how many there were, until something was
        not finite, and the loss and the gradients of the last."""
        spans = array("q", [x for begin, length, _ in learned.spans for x in (begin, length)])
        coefficients, out = self._coefficients(learned, rates), empty(self.machine.outputs)
        leaves, moved = len(self.program.leaves), len(self.program._parameters)
        columns, clip = len(self.program._inputs), 0.0 if self.clip is None else self.clip
        per_step = len(coefficients) // max(1, len(rates))
        memory, lookup = self.space.start, self.machine.table
        p, x, to, at, c, loss = map(address, (numbers, table, out, spans, coefficients, losses))
        known = p, leaves, moved, x, columns
        if self.machine.segments(size) == 1:
            done = self.train(
                self.machine.run_address, memory, lookup, *known, count, size, len(rates),
                to, at, len(learned.spans), c, loss, clip,
            )  # fmt: skip
            return done, out
        for step in range(len(rates)):  # each on all cores, as it is large
            begin = step * size if count > size else 0
            some = table[begin * columns : (begin + size) * columns]
            out[:] = self.machine.run(numbers, some, len(some) // columns)
            if not self.train(
                None, memory, lookup, *known, 1, 1, 1,
                to, at, len(learned.spans), c + 8 * step * per_step, loss + 8 * step, clip,
            ):  # fmt: skip
                return step, out
        return len(rates), out

    def _coefficients(self, learned: Learned, rates: Sequence[float]) -> Buffer:
        """Those of each step and each span, as the optimiser says."""
        optimizer, found = self.optimizer, array("d")
        for step, rate in enumerate(rates, learned.taken + 1):
            if rate != optimizer.learning_rate:
                optimizer.learning_rate = rate
            for _, _, count in learned.spans:
                found.extend(optimizer.coefficients(count + step))
        return found


def descent_of(
    program: Any,
    optimizer: Optimizer,
    clip: float | None,
    step: Callable[[Any, int], float],
    laid_out: Laid,
) -> Descent:
    """What takes steps best: native code, if the program is native and the optimiser has a rule.

    `detect_anomaly` looks at each step, and Python takes them then.
    """
    ruled = type(optimizer).step is Optimizer.step
    if ruled and isinstance(program._run, NativeMachine) and not inside("detect_anomaly"):
        # A rule of somebody's own may be for numbers only.
        with suppress(AttributeError, NotImplementedError, TypeError):
            return NativeDescent(program, optimizer, clip, laid_out)
    return Descent(step, optimizer, clip)


class Batches:
    """Rows, and how a training goes through them.

    size: of a batch; all rows are one by default. The last batch may be smaller.
    seed: of the order of the rows, another one in each epoch.
    """

    def __init__(self, rows: Any, size: int | None, seed: int) -> None:
        self.rows, self.count, self.seed = rows, len(rows), seed
        self.size = min(size or self.count, self.count)
        self.per_epoch = -(-self.count // self.size)

    def rows_of(self, step: int) -> int:
        """How many rows the batch of a step has."""
        first = step % self.per_epoch * self.size
        return min(self.size, self.count - first)

    def run(
        self,
        descent: Descent,
        learned: Any,
        steps: range,
        rate: Callable[[int], float],
        note: Callable[[Any, list[float], list[float]], None],
    ) -> str:
        """Take steps, as many at once as may be; why the last one could not be taken, or nothing.

        steps: their numbers, counted from the first epoch on.
        rate: the learning rate of a step; it is asked for before the step, maybe long before it.
        note: gets what was learned, the losses and the rates, each time that some steps are done.
        """
        whole = self.per_epoch == 1  # then the steps of many epochs may be taken at once
        while steps:
            epoch, batch = divmod(steps[0], self.per_epoch)
            many = descent.at_once(self.size)
            some = steps[: many if whole else min(many, self.per_epoch - batch)]
            rates, failure = as_far_as_it_goes(rate, some)
            if rates:
                rows = self.rows
                if not whole:
                    order = shuffled(self.count, f"{self.seed} order {epoch}")
                    rows = take(rows, order[batch * self.size : (batch + len(rates)) * self.size])
                learned, losses, what = descent.run(learned, rows, self.size, rates, some)
                note(learned, losses, rates)
                if what:
                    return what
            if failure is not None:
                raise failure
            steps = steps[len(some) :]
        return ""

    def means(self, losses: Sequence[float]) -> list[float]:
        """Of the losses of all steps, the mean of each epoch."""
        totals = [0.0] * (len(losses) // self.per_epoch)
        for step, loss in enumerate(losses):
            totals[step // self.per_epoch] += loss * self.rows_of(step)
        return [total / self.count for total in totals]


def as_far_as_it_goes(
    rate: Callable[[int], float], steps: Sequence[int]
) -> tuple[list[float], BaseException | None]:
    """The learning rates of steps, and what went wrong then: those before it are to be taken."""
    rates: list[float] = []
    try:
        for step in steps:
            rates.append(rate(step))
    except BaseException as error:
        return rates, error
    return rates, None


def checked_clip(clip: Any) -> float | None:
    """The largest norm that gradients may have, or None; else an error."""
    if clip is None:
        return None
    number = as_number(clip, "clip")
    if not number > 0:
        raise ValueError(f"clip is a number above 0, but got {clip!r}")
    return number


def shuffled(count: int, seed: str) -> list[int]:
    """The places from 0 on, in an order that the seed says: that of `random.shuffle`.

    It is written out, as an epoch of a small network takes no longer than `random.shuffle` would.
    (Knuth, "The Art of Computer Programming", vol. 2, 3.4.2, algorithm P.)
    """
    order, draw = list(range(count)), random.Random(seed).getrandbits
    for last in range(count - 1, 0, -1):
        bits = (last + 1).bit_length()
        other = draw(bits)
        while other > last:
            other = draw(bits)
        order[last], order[other] = order[other], order[last]
    return order


def take(rows: Any, places: Sequence[int]) -> Any:
    """Some of the rows."""
    return [rows[i] for i in places] if isinstance(rows, list) else rows[places]


def native_update(optimizer: Optimizer) -> Callable[..., int]:
    """The function ``train`` for an optimiser with the settings that it has now."""
    changing = ("parameters", "_learning_rate", "_steps", "_remembered")
    settings = tuple((name, x) for name, x in vars(optimizer).items() if name not in changing)
    kind: Any = type(optimizer)
    try:
        return compiled_update(kind, settings)
    except TypeError:  # of somebody's own setting that cannot be looked up, such as a list
        return compiled_update.__wrapped__(kind, settings)


@lru_cache(maxsize=64)
def compiled_update(
    kind: type[Optimizer], settings: tuple[tuple[str, Any], ...]
) -> Callable[..., int]:
    """The same, for each kind and its settings once."""
    optimizer = object.__new__(kind)
    vars(optimizer).update(settings, _learning_rate=1.0)
    engine = host().engine(translate_update(optimizer, host().width))
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    before = [pointer] * 4 + [number] * 2 + [pointer] + [number] * 4
    after = [pointer, pointer, number, pointer, pointer, ctypes.c_double]
    function = ctypes.CFUNCTYPE(number, *before, *after)(engine.get_function_address("train"))
    function.engine = engine  # type: ignore[attr-defined]  # which it lives in
    return function


def copied(numbers: Buffer) -> Buffer:
    """Other memory, with the same numbers in it."""
    return numbers[:] if isinstance(numbers, array) else numbers.copy()
