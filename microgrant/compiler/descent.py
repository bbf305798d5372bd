"""Whole steps of training: forward, backward and update, in native code from the first to the last.

With this module you can

- have what takes the steps:       descent = descent_of(step, …, optimizer, clip)
- take steps over batches:         what = Batches(rows, 32, seed).run(descent, learned, …)
- hand out what was learned:       descent.put(learned)

`Step.train` and `microgrant.training.fit` stand on it. What a training has learned is one thing,
replaced as a whole and never changed in itself: whenever Ctrl-C comes, the last one is complete.

The native steps are those of Python: the same compiled loss, and the same `Optimizer.rule`, run on
registers instead of numbers, for several parameters at once. So the numbers are the same to the
last bit, as far as a rule is made of arithmetic and roots; only a norm that is clipped is summed up
in another order.
"""

from __future__ import annotations

import ctypes
import math
import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, groupby, pairwise
from typing import Any, TypeAlias

from ..engine.arguments import as_number
from ..engine.modes import inside
from ..engine.value import NO_GRADIENT
from ..optim import Optimizer, checked_rate, clip_gradients
from .machine import CALL_WORK, Frame, NativeMachine, host
from .tables import Buffer, address, empty
from .update import translate_update

__all__ = ["Batches", "Descent", "Steps", "checked_clip", "descent_of", "shuffled", "take"]


Taken: TypeAlias = "tuple[Any, list[float], str]"
"""What was learned by some steps, the mean loss of each, and why there was no next one."""


@dataclass(frozen=True)
class Steps:
    """Steps that are to be taken in one go.

    rows: of one batch after the other; or those of one batch, if it is the same for all steps.
    sizes: how many rows the batch of each step has.
    rates: the learning rate of each step.
    first: the number of the first of them, counted from the first epoch on.
    """

    rows: Any
    sizes: Sequence[int]
    rates: Sequence[float]
    first: int

    def batches(self) -> Iterator[tuple[int, Any]]:
        """The number of each step, and its rows."""
        again, begin = len(self.rows) == self.sizes[0], 0
        for number, size in enumerate(self.sizes, self.first):
            yield number, self.rows[begin : begin + size]
            begin += 0 if again else size


StepOf: TypeAlias = Callable[[Any, int], float]
"""Adds the gradient of the mean loss over rows to each `.grad`; it is given its number as well."""

Laid: TypeAlias = Callable[[Steps], tuple[Buffer, int]]
"""The table that steps read, and how many rows it has."""

STEPS = 10_000  # in one call: that of the smallest network, and what is prepared for it
INDEPENDENT = "the loss does not depend on any parameter: was the .data of a Value taken?"


class Descent:
    """Steps as Python takes them.

    clip: the largest norm of all gradients together, or None.
    """

    def __init__(self, step: StepOf, optimizer: Optimizer, clip: float | None) -> None:
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

    def run(self, learned: Any, steps: Steps) -> Taken:
        """Take the steps: as many as `at_once` says."""
        optimizer = self.optimizer
        optimizer.zero_grad()
        [optimizer.learning_rate] = steps.rates
        loss = self.step(steps.rows, steps.first)
        if steps.first == 0 and all(p._grad is NO_GRADIENT for p in optimizer.parameters):
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
        self, program: Any, laid_out: Laid, step: StepOf, optimizer: Optimizer, clip: float | None
    ) -> None:
        super().__init__(step, optimizer, clip)
        self.program, self.laid_out = program, laid_out
        self.machine: NativeMachine = program._run
        self.frame = Frame(self.machine)
        # By their ids, as a Value hashes itself in Python.
        held = {id(p): i for i, p in enumerate(optimizer.parameters)}
        beyond = {id(p) for p in program._out_of_reach}
        self.places = [
            (place, held[key])
            for place, key in enumerate(map(id, program._parameters))
            if key in held and key not in beyond
        ]
        if not self.places:
            raise ValueError(INDEPENDENT)
        moved = [place for place, _ in self.places]
        ends = [a for a, b in pairwise([*moved, -1]) if b != a + 1]
        begins = [b for a, b in pairwise([-2, *moved]) if b != a + 1]
        self.stretches = [(a, b + 1) for a, b in zip(begins, ends, strict=True)]
        self.width = len(program._parameters)
        self.train = native_update(optimizer)

    def at_once(self, size: int) -> int:
        """As many as take some hundredths of a second."""
        return max(1, min(STEPS, CALL_WORK // (self.machine.layout.instructions * size)))

    def learned(self) -> Learned:
        """The parameters as they are now, and what the optimiser remembers of them."""
        optimizer = self.optimizer
        self.train = native_update(optimizer)  # its settings, too, may be others now
        leaves = [x._data for x in self.program.leaves]
        remembered: list[Any] = [(0.0,) * len(optimizer._remembered[0])] * self.width
        counts = [0.0] * self.width
        for place, i in self.places:
            remembered[place], counts[place] = optimizer._remembered[i], optimizer._steps[i]
        spans = []
        for begin, end in self.stretches:
            for count, alike in groupby(counts[begin:end]):  # a single one, as a rule
                length = len(list(alike))
                spans.append((begin, length, count))
                begin += length
        numbers = empty(len(leaves) + len(remembered[0]) * self.width)
        numbers[:] = array("d", chain(leaves, *zip(*remembered, strict=True)))
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
        optimizer, numbers = self.optimizer, learned.numbers.tolist()
        memory = numbers[len(self.program.leaves) :]
        columns = [memory[i : i + self.width] for i in range(0, len(memory), self.width)]
        remembered = list(zip(*columns, strict=True)) or [()] * self.width
        counts = [0.0] * self.width
        for begin, length, count in learned.spans:
            counts[begin : begin + length] = [count + learned.taken] * length
        for place, i in self.places:
            optimizer.parameters[i]._data = numbers[place]
            optimizer._remembered[i], optimizer._steps[i] = remembered[place], counts[place]
        optimizer.learning_rate = learned.learning_rate

    def run(self, learned: Learned, steps: Steps) -> Taken:
        """Take the steps, in one call of native code."""
        table, count = self.laid_out(steps)
        table = table if isinstance(table, array) else table.reshape(-1)
        numbers, losses = copied(learned.numbers), array("d", bytes(8 * len(steps.rates)))
        take_steps = partial(self._take, learned, numbers, table, count, steps, losses)
        done, out = take_steps(len(steps.rates))
        what = ""
        if done < len(steps.rates):
            self.optimizer.learning_rate = steps.rates[done]
            if not math.isfinite(losses[done]):
                what = f"the loss is {losses[done]}"
            elif self.clip is not None and not all(map(math.isfinite, out)):
                what = "the gradient is nan or infinite"
            else:  # then it has moved: once more, as far as it was well
                what = "a parameter is nan or infinite"
                numbers[:] = learned.numbers
                take_steps(done)
        rate = steps.rates[done - 1] if done else learned.learning_rate
        taken = Learned(numbers, learned.spans, learned.taken + done, rate, out)
        return taken, losses[:done].tolist(), what

    def _take(
        self,
        learned: Learned,
        numbers: Buffer,
        table: Buffer,
        count: int,
        steps: Steps,
        losses: Buffer,
        many: int,
    ) -> tuple[int, Buffer]:
        """Change the numbers by so many steps; how many there were, until something was not finite,
        and the loss and the gradients of the last."""
        machine, columns = self.machine, len(self.program._inputs)
        spans = array("q", [x for begin, length, _ in learned.spans for x in (begin, length)])
        sizes, out = array("q", steps.sizes), empty(machine.outputs)
        coefficients = self._coefficients(learned, steps.rates)
        per_step = len(coefficients) // len(steps.rates)
        again = count == steps.sizes[0]
        self.frame.parameters, self.frame.out = address(numbers), address(out)

        def train(run: int | None, first: int, many: int) -> int:
            return self.train(
                run,
                self.frame.at,
                address(numbers),
                len(self.program.leaves),
                len(self.program._parameters),
                address(table),
                columns,
                address(sizes) + 8 * first,
                again,
                many,
                address(out),
                address(spans),
                len(learned.spans),
                address(coefficients) + 8 * first * per_step,
                address(losses) + 8 * first,
                self.clip or 0.0,
            )

        if machine.segments(max(steps.sizes)) == 1:
            return train(machine.run_address, 0, many), out
        begin = 0
        for step, size in enumerate(steps.sizes[:many]):  # each on all cores, as it is large
            some = table[begin * columns : (begin + size) * columns]
            out[:] = machine.run(numbers[: len(self.program.leaves)], some, size)
            if not train(None, step, 1):
                return step, out
            begin += 0 if again else size
        return many, out

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
    program: Any, laid_out: Laid, step: StepOf, optimizer: Optimizer, clip: float | None
) -> Descent:
    """What takes steps best: native code, if the program is native and the optimiser has a rule.

    `detect_anomaly` looks at each step, and Python takes them then.
    """
    ruled = type(optimizer).step is Optimizer.step
    if ruled and isinstance(program._run, NativeMachine) and not inside("detect_anomaly"):
        # A rule of somebody's own may be for numbers only.
        with suppress(AttributeError, NotImplementedError, TypeError):
            return NativeDescent(program, laid_out, step, optimizer, clip)
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
        note: Callable[[Any, list[float], Steps], None],
    ) -> str:
        """Take steps, as many at once as may be; why the last one could not be taken, or nothing.

        steps: their numbers, counted from the first epoch on.
        rate: the learning rate of a step; it is asked for before the step, maybe long before it.
        note: gets what was learned, and the losses, each time that some steps are done.
        """
        while steps:
            some = steps[: descent.at_once(self.size)]
            rates, failure = as_far_as_it_goes(rate, some)
            if rates:
                some = some[: len(rates)]
                sizes = [self.rows_of(step) for step in some]
                taken = Steps(self._rows(some, sum(sizes)), sizes, rates, some[0])
                learned, losses, what = descent.run(learned, taken)
                note(learned, losses, taken)
                if what:
                    return what
            if failure is not None:
                raise failure
            steps = steps[len(some) :]
        return ""

    def _rows(self, steps: range, count: int) -> Any:
        """The rows of some steps, in the order of each epoch; `count` of them."""
        if self.per_epoch == 1:
            return self.rows
        first, begin = divmod(steps[0], self.per_epoch)
        epochs = range(first, steps[-1] // self.per_epoch + 1)
        orders = [shuffled(self.count, f"{self.seed} order {epoch}") for epoch in epochs]
        begin *= self.size
        return take(self.rows, [*chain(*orders)][begin : begin + count])

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
            rates.append(checked_rate(rate(step)))
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
    plain = all(isinstance(x, (int, float, str, tuple)) for _, x in settings)
    if not plain:  # somebody's own, which may change in itself
        return compiled_update.__wrapped__(kind, settings, host().width)
    return compiled_update(kind, settings, host().width)


@lru_cache(maxsize=64)
def compiled_update(
    kind: type[Optimizer], settings: tuple[tuple[str, Any], ...], width: int
) -> Callable[..., int]:
    """The same, for each kind and its settings once."""
    optimizer = object.__new__(kind)
    vars(optimizer).update(settings, _learning_rate=1.0)
    engine = host().engine(translate_update(optimizer, width))
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    before: list[Any] = [pointer] * 3 + [number] * 2 + [pointer, number, pointer]
    after: list[Any] = [
        ctypes.c_bool,
        number,
        pointer,
        pointer,
        number,
        pointer,
        pointer,
        ctypes.c_double,
    ]
    function = ctypes.CFUNCTYPE(number, *before, *after)(engine.get_function_address("train"))
    function.engine = engine  # type: ignore[attr-defined]  # which it lives in
    return function


def copied(numbers: Buffer) -> Buffer:
    """Other memory, with the same numbers in it."""
    return numbers[:] if isinstance(numbers, array) else numbers.copy()
