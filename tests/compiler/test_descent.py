"""Whole steps in native code: to the bit those of Python, whatever stops them.

The truth is the loop that an introduction would write: zero_grad, the compiled step, the clipping,
the step of the optimiser.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from interrupts import after_ctrl_c

from microgrant import Value, compile, detect_anomaly, where
from microgrant.compiler import descent as descent_module, machine, tables
from microgrant.compiler.descent import Descent, NativeDescent, shuffled
from microgrant.nn import MLP
from microgrant.optim import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    Schedule,
    clip_gradients,
    cosine,
)

pytest.importorskip("llvmlite", reason="llvmlite is not installed")

inf, nan = math.inf, math.nan
ROWS = [[math.sin(7 * i), math.cos(5 * i), math.sin(3 * i)] for i in range(23)]


class Lion(Optimizer):
    """A rule of one's own: the sign of a mean (Chen and others 2023)."""

    MEMORY = {"mean": -inf}  # noqa: RUF012

    def __init__(self, parameters: Any, learning_rate: float = 0.01) -> None:
        super().__init__(parameters, learning_rate)
        self.betas = [0.9, 0.99]  # which cannot be looked up in a dictionary

    def rule(self, m: Any, *coefficients: Any) -> Any:
        [rate], (first, second) = coefficients, self.betas

        def moved(p: Any, gradient: Any, remembered: Any) -> tuple[Any, Any]:
            [mean] = remembered
            update = m.sign(first * mean + (1 - first) * gradient)
            return p - rate * update, (second * mean + (1 - second) * gradient,)

        return moved


class Bounded(SGD):
    """One that decides by what it is given."""

    def rule(self, m: Any, *coefficients: Any) -> Any:
        [rate] = coefficients

        def moved(p: Any, gradient: Any, remembered: Any) -> tuple[Any, Any]:
            change = m.where(m.abs(gradient) > 1, m.sqrt(m.abs(gradient)), gradient)
            return p - rate * change, remembered

        return moved


class ByHand(SGD):
    """One that looks at numbers, as a rule should not."""

    def rule(self, m: Any, *coefficients: Any) -> Any:
        [rate] = coefficients
        return lambda p, gradient, remembered: (p - rate * math.tanh(gradient), remembered)


class Whole(SGD):
    """One that defines `step`."""

    def step(self) -> None:
        super().step()


OPTIMIZERS: dict[str, Callable[[list[Value]], Optimizer]] = {
    "SGD": lambda ps: SGD(ps, 0.05),
    "momentum": lambda ps: SGD(ps, 0.05, momentum=0.9),
    "nesterov": lambda ps: SGD(ps, 0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda ps: Adam(ps, 0.05),
    "Adam, weight decay": lambda ps: Adam(ps, 0.05, betas=(0.85, 0.99), weight_decay=0.1),
    "AdamW": lambda ps: AdamW(ps, 0.05, weight_decay=0.1),
    "RMSprop": lambda ps: RMSprop(ps, 0.01),
    "RMSprop, centered": lambda ps: RMSprop(ps, 0.01, momentum=0.5, centered=True),
    "a rule of one's own": Lion,
    "a rule that decides": lambda ps: Bounded(ps, 0.05),
}
NOT_NATIVE: dict[str, Callable[[list[Value]], Optimizer]] = {
    "a rule for numbers": lambda ps: ByHand(ps, 0.05),
    "a step of one's own": lambda ps: Whole(ps, 0.05),
}


def network(target: str = "native") -> SimpleNamespace:
    """A small network whose loss is compiled; it has 37 parameters, no multiple of a vector."""
    random.seed(3)
    model = MLP(2, [4, 4, 1], activation="tanh")
    x, y, scale = [Value(0.0), Value(0.0)], Value(0.0), Value(1.5, "scale")
    loss = (scale * model(x) - y) ** 2
    parameters = model.parameters()
    step = compile(loss, [*x, y], parameters, target=target)
    return SimpleNamespace(step=step, parameters=parameters, scale=scale)


def by_hand(
    net: SimpleNamespace,
    optimizer: Optimizer,
    epochs: int,
    size: int,
    rows: list[list[float]] = ROWS,
    schedule: Schedule | None = None,
    clip: float | None = None,
    seed: int | None = 0,
    steps: list[float] | None = None,
) -> list[float]:
    """The same training, as an introduction writes it; `steps` gets the loss of each step."""
    losses, number = [], 0
    for epoch in range(epochs):
        order, total = list(range(len(rows))), 0.0
        if size < len(rows) and seed is not None:
            random.Random(f"{seed} order {epoch}").shuffle(order)
        for begin in range(0, len(rows), size):
            batch = [rows[i] for i in order[begin : begin + size]]
            if schedule is not None:
                optimizer.learning_rate = schedule(number)
            optimizer.zero_grad()
            loss = net.step(batch)
            total += loss * len(batch)
            if steps is not None:
                steps.append(loss)
            if clip is not None:
                clip_gradients(optimizer.parameters, clip)
            optimizer.step()
            number += 1
        losses.append(total / len(rows))
    optimizer.zero_grad()
    return losses


def numbers(net: SimpleNamespace, optimizer: Optimizer) -> Any:
    gradients = [repr(p.grad) for p in net.parameters]
    return [p.data for p in net.parameters], gradients, optimizer.state()


def both(
    make: Callable[[list[Value]], Optimizer], trained: Callable[..., Any], target: str = "native"
) -> list[Any]:
    """What comes of a training by `train`, and by hand."""
    results = []
    for way in (lambda net, *given, **more: net.step.train(ROWS, *given, **more), by_hand):
        net = network(target)
        optimizer = make(net.parameters)
        losses = trained(way, net, optimizer)
        results.append((losses, *numbers(net, optimizer)))
    return results


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of descent that are made."""
    made: list[str] = []

    def noted(kind: type[Descent]) -> Any:
        def make(*given: Any) -> Descent:
            descent = kind(*given)
            made.append(kind.__name__)
            return descent

        return make

    for kind in (NativeDescent, Descent):
        monkeypatch.setattr(descent_module, kind.__name__, noted(kind))
    return made


@pytest.fixture(params=[2, 4, 8])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Vectors of so many numbers, whatever the processor has."""
    monkeypatch.setattr(machine.host(), "width", request.param)
    return int(request.param)


# --- The numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 23, 7, 1])
@pytest.mark.parametrize("name", [*OPTIMIZERS, *NOT_NATIVE])
def test_the_numbers_are_those_of_python(name: str, size: int | None, taken: list[str]) -> None:
    def trained(way: Any, net: Any, optimizer: Optimizer) -> list[float]:
        if way is by_hand:
            return by_hand(net, optimizer, 9, size or 23, seed=5)
        return way(net, optimizer, epochs=9, batch_size=size, seed=5)

    natively, python = both((OPTIMIZERS | NOT_NATIVE)[name], trained)
    assert natively == python
    assert taken == ["Descent" if name in NOT_NATIVE else "NativeDescent"]
    assert natively[0][-1] != natively[0][0]


@pytest.mark.parametrize("name", ["nesterov", "AdamW", "RMSprop, centered", "a rule that decides"])
@pytest.mark.usefixtures("width")
def test_vectors_of_every_width(name: str) -> None:
    natively, python = both(OPTIMIZERS[name], trained_for(6, 5))
    assert natively == python


@pytest.mark.parametrize("target", ["python", "native"])
def test_a_schedule(target: str) -> None:
    schedule = cosine(0.05, 0.001, steps=30)
    natively, python = both(OPTIMIZERS["Adam"], trained_for(9, 7, schedule=schedule), target)
    assert natively == python
    assert natively[-1]["settings"]["learning_rate"] == schedule(9 * 4 - 1)


@pytest.mark.parametrize("target", ["python", "native"])
def test_rows_as_they_stand_and_the_losses_of_all_steps(target: str) -> None:
    expected: list[float] = []
    net = network(target)
    epochs = by_hand(net, Adam(net.parameters), 3, 7, seed=None, steps=expected)
    net = network(target)
    losses = net.step.train(ROWS, Adam(net.parameters), epochs=3, batch_size=7, seed=None)
    assert losses == epochs
    assert losses.steps == expected
    assert len(expected) == 3 * 4


@pytest.mark.parametrize("clip", [1e-3, 0.5, 2.0, 1e9])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_clipped(name: str, clip: float) -> None:
    """A norm is summed up in another order, and so it may differ by rounding."""
    natively, python = both(OPTIMIZERS[name], trained_for(25, 7, clip=clip))
    assert natively[0] == pytest.approx(python[0], rel=1e-12)
    assert natively[1] == pytest.approx(python[1], rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e160, 1e300])
def test_no_square_of_a_gradient_overflows(scale: float) -> None:
    found = []
    for native in (True, False):
        w, x = Value(0.5), Value(0.0)
        step, optimizer = compile(w * x, [x], [w]), SGD([w], 1.0)
        if native:
            step.train([[scale]], optimizer, clip=0.25)
        else:
            step([[scale]])
            clip_gradients([w], 0.25)
            optimizer.step()
        found.append(w.data)
    assert found[0] == pytest.approx(found[1], rel=1e-12, abs=1e-150)


def trained_for(epochs: int, size: int, **more: Any) -> Callable[..., list[float]]:
    def trained(way: Any, net: Any, optimizer: Optimizer) -> list[float]:
        if way is by_hand:
            return by_hand(net, optimizer, epochs, size, **more)
        return way(net, optimizer, epochs=epochs, batch_size=size, **more)

    return trained


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_epoch_after_the_other(name: str) -> None:
    """What an optimiser remembers goes on from one training to the next, in Python and back."""

    def trained(way: Any, net: Any, optimizer: Optimizer) -> list[float]:
        losses = []
        for part in range(6):
            if way is by_hand or part % 3 == 2:
                losses += by_hand(net, optimizer, 1, 9)
            else:
                losses += way(net, optimizer, batch_size=9)
            if part == 3:
                net.parameters[5].data += 0.25  # somebody changes a parameter
                net.scale.data -= 0.125  # and a leaf that is none
        return losses

    natively, python = both(OPTIMIZERS[name], trained)
    assert natively == python


@pytest.mark.parametrize("name", ["momentum", "Adam", "AdamW", "a rule of one's own"])
def test_only_some_parameters_are_moved(name: str) -> None:
    """In another order than that of the step, one of them in no graph, and with other counts."""

    def make(parameters: list[Value]) -> Optimizer:
        some = [p for i, p in enumerate(parameters) if i % 7 < 4]
        return OPTIMIZERS[name]([*reversed(some), Value(9.0)])

    def trained(way: Any, net: Any, optimizer: Optimizer) -> list[float]:
        for i in (0, 5, 6):
            optimizer.parameters[i].grad = 0.5
        optimizer.step()  # so these have taken one step more
        for p in net.parameters:
            p.grad = 0.125
        before = [p.grad for p in net.parameters if p not in {*optimizer.parameters}]
        losses = trained_for(7, 9)(way, net, optimizer)
        if way is by_hand:  # which adds to the gradients of those that are not moved
            others = [p for p in net.parameters if p not in {*optimizer.parameters}]
            for p, gradient in zip(others, before, strict=True):
                p.grad = gradient
        return losses

    natively, python = both(make, trained)
    assert natively == python
    assert natively[2].count("0.125") > 10


def test_what_the_loss_does_not_depend_on_stays() -> None:
    """Not even weight decay moves it, as no gradient has reached it."""
    w, v, other, x = Value(0.5), Value(0.25), Value(3.0), Value(0.0)
    loss = (w * x + where(v > 0, 1.0, 2.0)) ** 2
    step = compile(loss, [x], [v, w, other], target="native")
    optimizer = AdamW([v, w, other], 0.1, weight_decay=0.5)
    step.train([[1.0], [2.0]], optimizer, epochs=5)
    assert (v.data, other.data) == (0.25, 3.0)
    assert w.data != 0.5
    assert optimizer.state()["memory"]["steps"] == [0.0, 5.0, 0.0]


def test_many_rows_are_shared_out_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large batches run on all cores, and the sums are those of a call."""
    monkeypatch.setattr(machine, "SEGMENT_WORK", 200)
    rows = [[math.sin(i), math.cos(3 * i), math.sin(5 * i)] for i in range(150)]
    found = []
    for natively in (True, False):
        net = network()
        optimizer = Adam(net.parameters, 0.05)
        assert net.step._run.segments(64) > 1
        if natively:
            losses = net.step.train(rows, optimizer, epochs=3, batch_size=64)
        else:
            losses = by_hand(net, optimizer, 3, 64, rows)
        found.append((losses, *numbers(net, optimizer)))
    assert found[0] == found[1]


def test_no_inputs() -> None:
    w = Value(3.0)
    step = compile((w - 1) ** 2, parameters=[w], target="native")
    losses = step.train(None, SGD([w], 0.25), epochs=3)
    assert losses == [4.0, 1.0, 0.25]
    assert w.data == 1.25


@pytest.mark.usefixtures("no_numpy")
def test_without_numpy() -> None:
    natively, python = both(OPTIMIZERS["Adam"], trained_for(4, 7))
    assert natively == python


@pytest.fixture
def no_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "numpy", lambda: None)


def test_the_order_is_that_of_random_shuffle() -> None:
    for count in (1, 2, 3, 7, 8, 9, 100):
        order = list(range(count))
        random.Random("seed").shuffle(order)
        assert shuffled(count, "seed") == order


# --- Rules that native code does not have, or not always ------------------------------------------


class Counting(SGD):
    """A rule that is not pure."""

    def rule(self, m: Any, *coefficients: Any) -> Any:
        self.asked = getattr(self, "asked", 0) + 1
        [rate], factor = coefficients, 1 + self.asked % 2
        return lambda p, gradient, remembered: (p - factor * rate * gradient, remembered)


class Peeking(SGD):
    """A rule that has the learning rate from elsewhere."""

    def rule(self, m: Any, *coefficients: Any) -> Any:
        rate = self.learning_rate
        return lambda p, gradient, remembered: (p - rate * gradient, remembered)


class Failing(SGD):
    """A rule that does not have it that it is asked for anything but numbers."""

    def rule(self, m: Any, *coefficients: Any) -> Any:
        if not isinstance(coefficients[0], float):
            raise ValueError("numbers only")
        return super().rule(m, *coefficients)


FACTOR = 1.0


class Looking(SGD):
    """A rule that looks at what may change: a global, and something that it keeps."""

    def rule(self, m: Any, *coefficients: Any) -> Any:
        [rate], factor = coefficients, FACTOR * self.kept.factor
        return lambda p, gradient, remembered: (p - factor * rate * gradient, remembered)


class Comparing(SGD):
    """A rule that takes a comparison for a number."""

    def rule(self, m: Any, *coefficients: Any) -> Any:
        [rate] = coefficients
        return lambda p, gradient, remembered: (p - rate * gradient * (gradient > 0), remembered)


@pytest.mark.parametrize("kind", [Counting, Peeking, Failing, Comparing])
def test_a_rule_that_is_none_is_left_to_python(kind: Any, taken: list[str]) -> None:
    natively, python = both(lambda ps: kind(ps, 0.05), trained_for(4, 9))
    assert natively == python
    assert taken == ["Descent"]


@pytest.mark.parametrize("target", ["native", "python"])
def test_what_a_rule_remembers_has_a_name(target: str) -> None:
    """Else it would be missing in the optimiser's state."""

    class Nameless(Optimizer):
        def rule(self, m: Any, *coefficients: Any) -> Any:
            return lambda p, gradient, remembered: (p - gradient, (gradient,))

    net = network(target)
    before = [p.data for p in net.parameters]
    with pytest.raises(ValueError, match="remembers 1 numbers of a parameter, and MEMORY names 0"):
        net.step.train(ROWS, Nameless(net.parameters, 0.1), epochs=3)
    assert [p.data for p in net.parameters] == before


def test_what_a_rule_looks_at_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(parameters: list[Value]) -> Optimizer:
        optimizer: Any = Looking(parameters, 0.01)
        optimizer.kept = SimpleNamespace(factor=1.0)
        return optimizer  # type: ignore[no-any-return]

    def trained(way: Any, net: Any, optimizer: Any) -> list[float]:
        losses = []
        for factor, other in ((1.0, 1.0), (3.0, 1.0), (3.0, 0.5)):
            monkeypatch.setitem(globals(), "FACTOR", factor)
            optimizer.kept.factor = other
            losses += trained_for(2, 9)(way, net, optimizer)
        return losses

    natively, python = both(make, trained)
    assert natively == python


def test_a_step_of_one_optimizer_alone(taken: list[str]) -> None:
    """Somebody looks on, by a `step` of an instance."""
    net, count = network(), 0
    optimizer: Any = SGD(net.parameters, 0.05)
    step = optimizer.step

    def counted() -> None:
        nonlocal count
        count += 1
        step()

    optimizer.step = counted
    net.step.train(ROWS, optimizer, epochs=3)
    assert (count, taken) == (3, ["Descent"])


@pytest.mark.parametrize("target", ["native", "python"])
def test_optimizers_keep_what_is_theirs(target: str) -> None:
    class Counted(SGD):
        def __init__(self, parameters: Any, speed: float) -> None:
            super().__init__(parameters, speed)
            self.count, self.steps_taken = 0, [0]

        def step(self) -> None:
            super().step()
            self.count += 1
            self.steps_taken.append(self.count)

    net = network(target)
    optimizer = Counted(net.parameters, speed=0.05)
    net.step.train(ROWS, optimizer, epochs=5)
    assert (optimizer.count, optimizer.steps_taken) == (5, [0, 1, 2, 3, 4, 5])
    with pytest.raises(KeyError):
        net.step.train(ROWS, optimizer, epochs=9, schedule={0: 0.1, 1: 0.1, 2: 0.1}.__getitem__)
    assert (optimizer.count, optimizer.steps_taken[-1]) == (8, 8)
    net.parameters[0].data = inf
    with pytest.raises(FloatingPointError):
        net.step.train(ROWS, optimizer, epochs=2)
    assert (optimizer.count, optimizer.steps_taken[-1]) == (8, 8)


@pytest.mark.parametrize("target", ["native", "python"])
def test_a_schedule_may_look_at_the_learning_rate(target: str) -> None:
    net = network(target)
    optimizer = SGD(net.parameters, 0.5)
    rates = []

    def slower(step: int) -> float:
        rates.append(optimizer.learning_rate)
        return optimizer.learning_rate * 0.5

    net.step.train(ROWS, optimizer, epochs=6, schedule=slower)
    assert rates == [0.5 * 0.5**step for step in range(6)]
    assert optimizer.learning_rate == 0.5**7


@pytest.mark.parametrize("target", ["native", "python"])
def test_what_is_not_held_does_not_count(target: str) -> None:
    """Only the norm of what is moved is clipped: an infinite gradient of something else is not."""
    w, v, x = Value(0.0), Value(0.0), Value(0.0)
    step = compile(w * x + v**0.5, [x], [w, v], target=target)
    with pytest.raises(FloatingPointError, match="a parameter is nan or infinite in step 1,"):
        step.train([[1.0]], SGD([w], 1e308), epochs=5, clip=10.0)
    assert w.data == -1e308


@pytest.mark.parametrize("target", ["native", "python"])
def test_what_is_held_counts(target: str) -> None:
    """A parameter of the optimiser's that no gradient reaches is to be finite as well."""
    net = network(target)
    with pytest.raises(FloatingPointError, match="a parameter is nan or infinite in step 0,"):
        net.step.train(ROWS, SGD([*net.parameters, Value(inf)], 0.1), epochs=3)


def test_a_norm_that_overflows() -> None:
    a, b, x = Value(0.0), Value(0.0), Value(0.0)
    step = compile(a * x + b * x, [x], [a, b])
    with pytest.raises(FloatingPointError, match="the gradient is nan or infinite in step 0,"):
        step.train([[1.7e308]], SGD([a, b], 0.1), epochs=2, clip=1.0)
    assert (a.data, b.data) == (0.0, 0.0)


def test_interrupted_while_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was half written is written once more."""
    write, calls = NativeDescent.write, 0

    def interrupted(descent: NativeDescent, learned: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            net.parameters[0].data = 99.0
            raise KeyboardInterrupt
        write(descent, learned)

    monkeypatch.setattr(NativeDescent, "write", interrupted)
    net, twin = network(), network()
    optimizer, other = Adam(net.parameters), Adam(twin.parameters)
    with pytest.raises(KeyboardInterrupt):
        net.step.train(ROWS, optimizer, epochs=5)
    by_hand(twin, other, 5, 23)
    assert numbers(net, optimizer) == numbers(twin, other)


# --- What stops it ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["native", "python"])
@pytest.mark.parametrize(
    ("rate", "clip", "rows", "what"),
    [
        (0.5, None, [[1.0], [1.0], [inf], [1.0]], "the loss is -?inf in step 2,"),
        (0.5, None, [[1.0], [nan], [1.0], [1.0]], "the loss is nan in step 1,"),
        (1e308, None, [[1e-3], [1e-4], [10.0], [1.0]], "a parameter is nan or infinite in step 2,"),
        (0.5, 1.0, [[1.0], [0.0], [1.0]], "the gradient is nan or infinite in step 1,"),
    ],
)
def test_it_stops_before_what_is_not_finite(
    rate: float, clip: float | None, rows: list[list[float]], what: str, target: str
) -> None:
    """The parameters are those after the last step that was well, and so is the optimiser."""
    seed = next(
        s
        for s in range(999)
        if descent_module.shuffled(len(rows), f"{s} order 0") == [*range(len(rows))]
    )
    found = []
    for count in (len(rows), int(what.split("step ")[1][:-1])):
        w, x = Value(1.0), Value(0.0)
        loss = w * x if clip is None else x + where(x > 0, w, w * 0.0 + (w * w * 0.0) ** 0.5)
        step = compile(loss, [x], [w], target=target)
        optimizer = SGD([w], rate, momentum=0.5)
        if count == len(rows):
            with pytest.raises(FloatingPointError, match=what):
                step.train(rows, optimizer, batch_size=1, clip=clip, seed=seed)
        else:
            for row in rows[:count]:
                optimizer.zero_grad()
                step([row])
                if clip is not None:
                    clip_gradients([w], clip)
                optimizer.step()
        found.append((w.data, optimizer.state()["memory"]))
    assert found[0] == found[1]


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, StopIteration, ValueError])
@pytest.mark.parametrize("target", ["native", "python"])
def test_an_error_in_a_schedule_loses_no_step(error: type[BaseException], target: str) -> None:
    def schedule(step: int) -> float:
        if step == 13 and error is ValueError:
            return -0.05  # which no learning rate is
        if step == 13:
            raise error("mine")
        return 0.05

    net, twin = network(target), network(target)
    optimizer, other = Adam(net.parameters), Adam(twin.parameters)
    with pytest.raises(error, match=r"mine|learning_rate is a finite number from 0 on"):
        net.step.train(ROWS, optimizer, epochs=20, batch_size=23, schedule=schedule)
    by_hand(twin, other, 13, 23, schedule=schedule)
    assert numbers(net, optimizer) == numbers(twin, other)


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have ignored
from microgrant import Value, compile
from microgrant.optim import Adam
w, x = Value(3.0), Value(0.0)
step, optimizer = compile((w * x - x) ** 2, [x], [w], target=sys.argv[1]), Adam([w], 1e-9)
rows = [[0.1 * i] for i in range(50)]
step.train(rows, optimizer, batch_size=10)  # all is compiled
print("ready", flush=True)
try:
    step.train(rows, optimizer, epochs=10**9, batch_size=10)
except KeyboardInterrupt:
    [count] = optimizer.state()["memory"]["steps"]
    print(count > 5, w.data < 3.0, optimizer.state()["memory"]["mean"][0] > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("target", ["native", "python"])
def test_ctrl_c(target: str) -> None:
    printed = after_ctrl_c(PROGRAM, target, wait=0.7)
    assert printed == "True True True\n"


def test_detect_anomaly_looks_at_each_step(taken: list[str]) -> None:
    net = network()
    with detect_anomaly():
        net.step.train(ROWS, Adam(net.parameters), epochs=2)
    assert taken == ["Descent"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"optimizer": Adam}, TypeError, "optimizer is an Optimizer, such as Adam"),
        ({"optimizer": SGD([Value(1.0)])}, ValueError, "none that this was compiled for"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 1.5}, ValueError, "batch_size"),
        ({"clip": 0.0}, ValueError, "clip is a number above 0"),
        ({"rows": []}, ValueError, "rows is empty"),
        ({"rows": [[1.0]]}, ValueError, "a row holds 3 numbers"),
        ({"schedule": lambda step: -1.0}, ValueError, "learning_rate"),
        ({"schedule": 0.0}, TypeError, "schedule is a function of the number of the step"),
        ({"seed": 0.5}, ValueError, "seed is a whole number"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], error: type[Exception], said: str) -> None:
    net = network()
    before = [p.data for p in net.parameters]
    settings = {"rows": ROWS, "optimizer": Adam(net.parameters)} | given
    with pytest.raises(error, match=said):
        net.step.train(settings.pop("rows"), settings.pop("optimizer"), **settings)
    assert [p.data for p in net.parameters] == before
