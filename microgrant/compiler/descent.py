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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, groupby
from typing import Any, TypeAlias

from ..engine.arguments import as_number
from ..engine.modes import inside
from ..engine.value import NO_GRADIENT
from ..optim import SGD, Adam, AdamW, Optimizer, RMSprop, clip_gradients
from .machine import CALL_WORK, Frame, NativeMachine, host
from .tables import Buffer, address, empty, take
from .update import translate_update

__all__ = ["Batches", "Descent", "Losses", "Steps", "checked_clip", "descent_of", "shuffled"]


Taken: TypeAlias = "tuple[Any, list[float], str]"
"""What was learned by some steps, the mean loss of each, and why there was no next one."""


@dataclass(frozen=True)
class Steps:
    """Steps that are to be taken in one go.

    rows: of one batch after the other.
    again: whether it is the rows of one batch, and the same for all steps.
    sizes: how many rows the batch of each step has.
    rates: the learning rate of each step.
    first: the number of the first of them, counted from the first epoch on.
    """

    rows: Any
    again: bool
    sizes: Sequence[int]
    rates: Sequence[float]
    first: int

    def batches(self) -> Iterator[tuple[int, Any]]:
        """The number of each step, and its rows."""
        begin = 0
        for number, size in enumerate(self.sizes, self.first):
            yield number, self.rows[begin : begin + size]
            begin += 0 if self.again else size


StepOf: TypeAlias = Callable[[Any, int], float]
"""Adds the gradient of the mean loss over rows to each `.grad`; it is given its number as well."""

Laid: TypeAlias = Callable[[Steps], Buffer]
"""The table that steps read."""

IN_PYTHON = 200  # instructions: as long as it takes to put a row in its place, or to draw a number
STEPS = 2_000  # in one call: each takes Python some microseconds to prepare
INDEPENDENT = "the loss does not depend on any parameter: was the .data of a Value taken?"
NOT_FINITE = ("the loss is {}", "the gradient is nan or infinite", "a parameter is nan or infinite")


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
        """All parameters of the optimiser as they are now, and all that is kept in it."""
        kept = {name: unshared(x) for name, x in vars(self.optimizer).items()}
        return [p._data for p in self.optimizer.parameters], kept

    def write(self, learned: Any) -> None:
        """Have parameters, gradients and optimiser say what was learned last: here, they do."""

    def put(self, learned: Any) -> None:
        """Make parameters and optimiser what they were when this was learned."""
        parameters, kept = learned
        held = vars(self.optimizer)
        held.update({name: unshared(x) for name, x in kept.items()})
        for name in held.keys() - kept:
            del held[name]
        for p, number in zip(self.optimizer.parameters, parameters, strict=True):
            p.data = number

    def rates(
        self, learned: Any, steps: Sequence[int], rate: Callable[[int], float], found: list[float]
    ) -> None:
        """Ask for the learning rates of steps, one after the other."""
        for step in steps:
            self.set_rate(rate(step))
            found.append(self.optimizer.learning_rate)

    def set_rate(self, rate: float) -> None:
        """Have the optimiser look at a learning rate, unless it is the very one that it has."""
        if rate is not self.optimizer._learning_rate:
            self.optimizer.learning_rate = rate

    def run(self, learned: Any, steps: Steps) -> Taken:
        """Take the steps: as many as `at_once` says."""
        optimizer = self.optimizer
        optimizer.zero_grad()
        loss = self.step(steps.rows, steps.first)
        if steps.first == 0 and all(p._grad is NO_GRADIENT for p in optimizer.parameters):
            # Later, a loss that reaches its goal may do without: of a hinge, nothing is left.
            raise ValueError(INDEPENDENT)
        if not math.isfinite(loss):
            return learned, [], NOT_FINITE[0].format(loss)
        if self.clip is not None:
            try:
                clip_gradients(optimizer.parameters, self.clip)
            except ValueError:
                return learned, [], NOT_FINITE[1]
        optimizer.step()
        if not all(math.isfinite(p._data) for p in optimizer.parameters):
            return learned, [], NOT_FINITE[2]
        return self.learned(), [loss], ""


def unshared(x: Any) -> Any:
    """The same, but another list: what an optimiser remembers is changed in place."""
    return x[:] if isinstance(x, list) else x


@dataclass(frozen=True)
class Learned:
    """What a native training has learned.

    before: what `Descent` calls learned, as it was when somebody looked last.
    numbers: the leaves of the step, and then what is remembered of each of its parameters.
    spans: stretches of parameters that are moved and have taken equally many steps: where each
        begins, how long it is, and how many steps they were.
    taken: how many steps have been taken since somebody looked.
    learning_rate: of the last of them.
    gradients: of the last of them, after the loss.
    """

    before: Any
    numbers: Buffer
    spans: list[tuple[int, int, float]]
    taken: int
    learning_rate: float
    gradients: Buffer | None = None


class NativeDescent(Descent):
    """Steps in native code, many in one call.

    program: a compiled `Step`, with its machine, leaves and parameters.
    train: the function `train` for the optimiser.
    laid_out: makes the table that the program reads.
    draws: how many random numbers that takes for each row.
    """

    def __init__(
        self,
        program: Any,
        train: Callable[..., int],
        laid_out: Laid,
        draws: int,
        step: StepOf,
        optimizer: Optimizer,
        clip: float | None,
    ) -> None:
        super().__init__(step, optimizer, clip)
        self.program, self.train, self.laid_out, self.draws = program, train, laid_out, draws
        self.machine: NativeMachine = program._run
        self.frame = Frame(self.machine)
        self.width = len(program._parameters)
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
        moved = {i for _, i in self.places}
        self.still = [p for i, p in enumerate(optimizer.parameters) if i not in moved]
        self.coefficients = array("d")

    def at_once(self, size: int) -> int:
        """As many as take some hundredths of a second."""
        work = self.machine.layout.instructions + IN_PYTHON * (1 + self.draws)
        return max(1, min(STEPS, CALL_WORK // (size * work)))

    def learned(self) -> Learned:
        """The parameters as they are now, and what the optimiser remembers of them."""
        optimizer = self.optimizer
        leaves = [x._data for x in self.program.leaves]
        remembered: list[Any] = [(0.0,) * len(optimizer._remembered[0])] * self.width
        for place, i in self.places:
            remembered[place] = optimizer._remembered[i]
        numbers = empty(len(leaves) + len(remembered[0]) * self.width)
        numbers[:] = array("d", chain(leaves, *zip(*remembered, strict=True)))
        spans = []
        # Neighbours are as far behind their place in the list as those before them.
        counted = [(place - n, optimizer._steps[i]) for n, (place, i) in enumerate(self.places)]
        first = 0
        for (behind, count), alike in groupby(counted):
            length = len(list(alike))
            spans.append((first + behind, length, count))
            first += length
        return Learned(super().learned(), numbers, spans, 0, optimizer.learning_rate)

    def write(self, learned: Learned) -> None:
        """Write parameters, their gradients, and what the optimiser remembers of them."""
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
        if learned.gradients is not None:
            gradients = learned.gradients.tolist()
            for place, i in self.places:
                optimizer.parameters[i]._grad = gradients[place + 1]

    def put(self, learned: Learned) -> None:
        """Make parameters and optimiser what they were when this was learned."""
        super().put(learned.before)
        self.write(learned)

    def rates(
        self,
        learned: Learned,
        steps: Sequence[int],
        rate: Callable[[int], float],
        found: list[float],
    ) -> None:
        """Ask for the learning rates of steps, and for the coefficients of the optimiser."""
        self.coefficients = array("d")
        counts = dict.fromkeys(count for *_, count in learned.spans)
        for number, step in enumerate(steps, learned.taken + 1):
            self.set_rate(rate(step))
            of_count = {x: self.optimizer.coefficients(x + number) for x in counts}
            for *_, count in learned.spans:
                self.coefficients.extend(of_count[count])
            found.append(self.optimizer.learning_rate)

    def run(self, learned: Learned, steps: Steps) -> Taken:
        """Take the steps, in one call of native code."""
        if not all(math.isfinite(p._data) for p in self.still):
            return learned, [], NOT_FINITE[2]
        table = self.laid_out(steps)
        table = table if isinstance(table, array) else table.reshape(-1)
        numbers, losses = copied(learned.numbers), array("d", bytes(8 * len(steps.rates)))
        again = steps.again and not self.draws
        take_steps = partial(self._take, learned, numbers, table, again, steps, losses)
        done, why, out = take_steps(len(steps.rates))
        what = ""
        if done < len(steps.rates):
            what = NOT_FINITE[why].format(losses[done])
            if why == len(NOT_FINITE) - 1:  # it has moved: once more, as far as all was well
                numbers[:] = learned.numbers
                take_steps(done)
        rate = steps.rates[done - 1] if done else learned.learning_rate
        taken = Learned(
            learned.before,
            numbers,
            learned.spans,
            learned.taken + done,
            rate,
            out if done else None,
        )
        self.optimizer.learning_rate = steps.rates[min(done, len(steps.rates) - 1)]
        return taken, losses[:done].tolist(), what

    def _take(
        self,
        learned: Learned,
        numbers: Buffer,
        table: Buffer,
        again: bool,
        steps: Steps,
        losses: Buffer,
        many: int,
    ) -> tuple[int, int, Buffer]:
        """Change the numbers by so many steps; how many there were, until something was not finite,
        what that was, and the loss and the gradients of the last."""
        machine, columns = self.machine, len(self.program._inputs)
        spans = array("q", [x for begin, length, _ in learned.spans for x in (begin, length)])
        sizes, out = array("q", steps.sizes), empty(machine.outputs)
        per_step = len(self.coefficients) // len(steps.rates)
        self.frame.parameters, self.frame.out = address(numbers), address(out)

        def train(run: int | None, first: int, many: int) -> tuple[int, int]:
            result = self.train(
                run,
                self.frame.at,
                address(numbers),
                len(self.program.leaves),
                self.width,
                address(table),
                columns,
                address(sizes) + 8 * first,
                again,
                many,
                address(out),
                address(spans),
                len(learned.spans),
                address(self.coefficients) + 8 * first * per_step,
                address(losses) + 8 * first,
                self.clip or 0.0,
            )
            return divmod(result, len(NOT_FINITE))

        if machine.segments(max(steps.sizes)) == 1:
            return *train(machine.run_address, 0, many), out
        begin = 0
        for step, size in enumerate(steps.sizes[:many]):  # each on all cores, as it is large
            some = table[begin * columns : (begin + size) * columns]
            out[:] = machine.run(numbers[: len(self.program.leaves)], some, size)
            done, why = train(None, step, 1)
            if not done:
                return step, why, out
            begin += 0 if again else size
        return many, 0, out


def descent_of(
    program: Any,
    laid_out: Laid,
    draws: int,
    step: StepOf,
    optimizer: Optimizer,
    clip: float | None,
) -> Descent:
    """What takes steps best: native code, if the program is native and the optimiser has a rule.

    `detect_anomaly` looks at each step, and Python takes them then.
    """
    if isinstance(program._run, NativeMachine) and not inside("detect_anomaly"):
        train = native_update(optimizer)
        if train is not None:
            return NativeDescent(program, train, laid_out, draws, step, optimizer, clip)
    return Descent(step, optimizer, clip)


class Batches:
    """Rows, and how a training goes through them.

    size: of a batch; all rows are one by default. The last batch may be smaller.
    seed: of the order of the rows, another one in each epoch; None leaves them as they are.
    """

    def __init__(self, rows: Any, size: int | None, seed: int | None) -> None:
        self.rows, self.count, self.seed = rows, len(rows), seed
        self.size = min(size or self.count, self.count)
        self.per_epoch = -(-self.count // self.size)
        self.latest: tuple[int, list[int]] = -1, []

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
        rate: the learning rate of a step; it may be asked for long before the step.
        note: gets what was learned, and the losses, each time that some steps are done.
        """
        again = self.per_epoch == 1
        while steps:
            some = steps[: descent.at_once(self.size)]
            rates: list[float] = []
            try:
                descent.rates(learned, some, rate, rates)
            finally:  # the steps before a rate that could not be had are taken, whatever it was
                if rates:
                    some = some[: len(rates)]
                    sizes = [self.rows_of(step) for step in some]
                    taken = Steps(self._rows(some, sum(sizes)), again, sizes, rates, some[0])
                    learned, losses, what = descent.run(learned, taken)
                    note(learned, losses, taken)
            if what:
                return what
            steps = steps[len(some) :]
        return ""

    def _rows(self, steps: range, count: int) -> Any:
        """The rows of some steps, in the order of each epoch; `count` of them."""
        if self.per_epoch == 1:
            return self.rows
        first, batch = divmod(steps[0], self.per_epoch)
        orders = [self._order(epoch) for epoch in range(first, steps[-1] // self.per_epoch + 1)]
        begin = batch * self.size
        return take(self.rows, [*chain(*orders)][begin : begin + count])

    def _order(self, epoch: int) -> list[int]:
        """The order of an epoch; that of the latest is kept for its other steps."""
        if self.seed is None:
            return list(range(self.count))
        latest, order = self.latest
        if epoch != latest:
            order = shuffled(self.count, f"{self.seed} order {epoch}")
            self.latest = epoch, order
        return order

    def means(self, losses: list[float]) -> Losses:
        """Of the losses of all steps, the mean of each epoch."""
        totals = [0.0] * (len(losses) // self.per_epoch)
        for step, loss in enumerate(losses):
            totals[step // self.per_epoch] += loss * self.rows_of(step)
        return Losses([total / self.count for total in totals], losses)


class Losses(list[float]):
    """The mean loss of each epoch.

    steps: that of each step.
    """

    def __init__(self, epochs: Iterable[float], steps: list[float]) -> None:
        super().__init__(epochs)
        self.steps = steps


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


def native_update(optimizer: Optimizer) -> Callable[..., int] | None:
    """The function ``train`` for an optimiser with the settings that it has now; None if it has no
    rule, or one that cannot become native code."""
    if type(optimizer).step is not Optimizer.step or "step" in vars(optimizer):
        return None
    kind: Any = type(optimizer)
    if kind in (SGD, Adam, AdamW, RMSprop):
        settings = tuple(getattr(optimizer, name) for name in kind.SETTINGS[1:])
        return update_of_ours(kind, settings, host().width)
    # Of somebody's own, what it looks at is not known: its rule is asked each time, and twice, as
    # it may look at the learning rate, or change something.
    kept, texts = dict(vars(optimizer)), set()
    try:
        for rate in (0.5, 0.25):
            vars(optimizer)["_learning_rate"] = rate
            texts.add(translate_update(optimizer, host().width))
        function = compiled_update(texts.pop()) if len(texts) == 1 else None
    except Exception:  # it is for numbers only, or takes a comparison for one
        return None
    finally:
        vars(optimizer)["_learning_rate"] = kept["_learning_rate"]
        pure = all(vars(optimizer)[name] is x for name, x in kept.items())
        vars(optimizer).update(kept)
    return function if pure else None


@lru_cache(maxsize=64)
def update_of_ours(kind: Any, settings: tuple[Any, ...], width: int) -> Callable[..., int]:
    """The same for one of our optimisers, whose rule looks at its settings only."""
    optimizer = object.__new__(kind)
    vars(optimizer).update(zip(kind.SETTINGS[1:], settings, strict=True), _learning_rate=1.0)
    return compiled_update(translate_update(optimizer, width))


@lru_cache(maxsize=64)
def compiled_update(text: str) -> Callable[..., int]:
    """The function ``train`` of a text."""
    engine = host().engine(text)
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    arguments: list[Any] = [pointer] * 3 + [number] * 2 + [pointer, number, pointer]
    arguments += [ctypes.c_bool, number, pointer, pointer, number, pointer, pointer]
    prototype = ctypes.CFUNCTYPE(number, *arguments, ctypes.c_double)
    function = prototype(engine.get_function_address("train"))
    function.engine = engine  # type: ignore[attr-defined]  # which it lives in
    return function


def copied(numbers: Buffer) -> Buffer:
    """Other memory, with the same numbers in it."""
    return numbers[:] if isinstance(numbers, array) else numbers.copy()
