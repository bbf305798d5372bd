"""Training: eager as compiled, stopped and resumed, and what goes wrong said in plain words."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import functools
import gc
import json
import math
import os
import pickle
import random
import sys
import textwrap
import warnings
import weakref
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from interrupts import after_ctrl_c

from microgrant import TargetWarning, Value, compile, define, no_grad, where
from microgrant.compiler import machine, tables
from microgrant.engine import NO_GRADIENT
from microgrant.extras import in_browser
from microgrant.losses import (
    binary_cross_entropy,
    cross_entropy,
    half_squared_error,
    hinge,
    l1,
    l2,
    mean_squared_error,
)
from microgrant.nn import (
    MLP,
    RNN,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    Module,
    Neuron,
    Sequential,
)
from microgrant.optim import SGD, Adam, Optimizer, cosine, step_decay
from microgrant.training import DivergenceError, History, accuracy, fit, predict, runners
from microgrant.training.history import COLUMNS, checked_state

NUMBERS = random.Random(5)
XS = [[NUMBERS.uniform(-1, 1), NUMBERS.uniform(-1, 1)] for _ in range(23)]
CURVE = [math.sin(2 * a) - b * b for a, b in XS]
PAIRS = [[a * b, a - b] for a, b in XS]
SIDES = [int(a + b * b > 0.2) for a, b in XS]
SIGNS = [2 * side - 1 for side in SIDES]
CORNERS = [(a > 0) + (b > 0.3) for a, b in XS]


def network(
    nouts: Sequence[int] = (5, 1), dropout: float = 0.0, activation: str = "tanh", seed: int = 3
) -> Module:
    random.seed(seed)
    if not dropout:
        return MLP(2, nouts, activation=activation)
    *hidden, last = nouts
    layers: list[Module] = []
    for nin, nout in zip([2, *hidden], hidden, strict=False):
        layers += [Layer(nin, nout, activation=activation), Dropout(dropout)]
    return Sequential(*layers, Layer(hidden[-1], last, nonlin=False))


def columns(history: History) -> dict[str, list[float]]:
    return {name: getattr(history, name) for name in COLUMNS}


def data_of(model: Any) -> list[float]:
    return [p.data for p in model.parameters()]


def exactly(model: Any, history: History) -> dict[str, Any]:
    """All that two trainings may have in common."""
    return {"parameters": data_of(model), "note": history.note, **columns(history)}


# --- Eager as compiled --------------------------------------------------------------------------

TASKS: dict[str, tuple[Callable[[], Module], Any, list[Any]]] = {
    "regression": (network, mean_squared_error, CURVE),
    "two outputs": (lambda: network((5, 2)), half_squared_error, PAIRS),
    "binary": (network, binary_cross_entropy, SIDES),
    "hinge": (lambda: network((5, 1), activation="relu"), hinge, SIGNS),
    "classes": (lambda: network((5, 3)), cross_entropy, CORNERS),
    "classes, squared": (lambda: network((5, 3)), mean_squared_error, CORNERS),
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "minibatches": {"batch_size": 5},
    "momentum": {"optimizer": lambda ps: SGD(ps, 0.05, momentum=0.9), "batch_size": 8},
    "nesterov": {"optimizer": lambda ps: SGD(ps, 0.05, momentum=0.9, nesterov=True)},
    "adam": {"optimizer": lambda ps: Adam(ps, 0.02), "batch_size": 10},
    "decay": {"optimizer": lambda ps: SGD(ps, 0.1, weight_decay=0.01)},
    "l2": {"penalty": lambda ps: 1e-3 * l2(ps), "batch_size": 7},
    "l1": {"penalty": lambda ps: 1e-3 * l1(ps)},
    "clip": {"clip": 0.1},
    "schedule": {"schedule": cosine(0.2, 0.01, steps=20), "batch_size": 12},
    "validation": {"validation": 0.3, "batch_size": 4, "metric": lambda outputs, ys: len(outputs)},
    "validation pair": {"validation": (XS[:5], CURVE[:5])},
}


def both(make: Callable[[], Any], loss: Any, ys: Any, xs: Any = XS, **ways: Any) -> History:
    """The history of a compiled training, once it is that of the eager one."""
    found = []
    for target in ("eager", "javascript" if in_browser() else "native", "python"):
        model = make()
        settings: dict[str, Any] = {"epochs": 6, "optimizer": lambda ps: SGD(ps, 0.1)} | ways
        history = fit(model, loss, (xs, ys), target=target, **settings)
        assert history.target == target
        found.append((columns(history), data_of(model)))
    eager, *compiled = found
    for other in compiled:
        for name in COLUMNS:
            assert other[0][name] == pytest.approx(eager[0][name], rel=1e-9, abs=1e-9)
        assert other[1] == pytest.approx(eager[1], rel=1e-9, abs=1e-9)
    return history


@pytest.mark.parametrize("task", TASKS)
def test_each_task_trains_the_same(task: str) -> None:
    make, loss, ys = TASKS[task]
    history = both(make, loss, ys, batch_size=6)
    assert len(history) == 6
    assert history.loss[-1] < history.loss[0]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_trains_the_same(way: str) -> None:
    both(network, mean_squared_error, CURVE, **WAYS[way])


@pytest.mark.parametrize("batch_size", [None, 5])
def test_dropout_drops_the_same(batch_size: int | None) -> None:
    history = both(
        lambda: network((6, 4, 1), dropout=0.3),
        binary_cross_entropy,
        SIDES,
        batch_size=batch_size,
        validation=0.25,
    )
    assert len(set(history.loss)) == len(history.loss)


class Unused(Module):
    """Draws noise that its outputs do not depend on, before and after the noise that they do."""

    def __init__(self) -> None:
        random.seed(1)
        self.first, self.dropout, self.last = Dropout(0.5), Dropout(0.4), Dropout(0.2)
        self.layer = Layer(2, 1, nonlin=False)

    def forward(self, x: Any) -> Any:
        self.first(x)
        y = self.layer(self.dropout(x))
        self.last([y, y, y])
        return y


def test_noise_that_goes_nowhere_is_drawn_all_the_same() -> None:
    both(Unused, mean_squared_error, CURVE, batch_size=6)


def test_images_train_the_same() -> None:
    generator = random.Random(2)
    images = [[[[generator.random() for _ in range(5)] for _ in range(5)]] for _ in range(8)]

    def make() -> Module:
        random.seed(4)
        return Sequential(Conv2d(1, 2, 3, activation="tanh"), Flatten(), Layer(18, 3, nonlin=False))

    both(make, cross_entropy, [i % 3 for i in range(8)], images, batch_size=3, epochs=3)


class Reader(Module):
    """Says something about each step of a sequence."""

    def __init__(self) -> None:
        random.seed(6)
        self.rnn, self.layer = RNN(1, 3), Layer(3, 2, nonlin=False)

    def forward(self, sequence: Any) -> Any:
        return [self.layer(state) for state in self.rnn(sequence)]


def test_sequences_train_the_same() -> None:
    """Both x and y are lists of lists here."""
    generator = random.Random(2)
    xs = [[[generator.gauss(0, 1)] for _ in range(4)] for _ in range(6)]
    ys = [[[x[0], x[0] ** 2] for x in sequence] for sequence in xs]

    def loss(outputs: Any, targets: Any) -> Value:
        pairs = zip(outputs, targets, strict=True)
        return sum((mean_squared_error(*pair) for pair in pairs), Value(0.0))

    both(Reader, loss, ys, xs, epochs=3, batch_size=4)
    outputs = predict(Reader(), xs)
    assert [[len(row) for row in each] for each in outputs] == [[2] * 4] * 6


def test_a_function_of_values_is_a_model() -> None:
    def make() -> Any:
        w, b = Value(0.5), Value(0.0)

        def line(x: Value) -> Value:
            return w * x + b

        line.parameters = lambda: [w, b]  # type: ignore[attr-defined]
        return line

    for target in ("eager", "native"):
        line = make()
        history = fit(
            line,
            mean_squared_error,
            ([0, 1, 2], [1, 3, 5]),
            optimizer=SGD(line.parameters(), 0.2),
            target=target,
        )
        assert data_of(line) == pytest.approx([2, 1], abs=1e-3)
        assert history.loss[-1] < 1e-6


def test_an_input_that_is_not_used_is_no_hindrance() -> None:
    class Half(Module):
        def __init__(self) -> None:
            random.seed(1)
            self.neuron = Neuron(1, activation="linear")

        def forward(self, x: Any) -> Any:
            return self.neuron(x[1])

    both(Half, mean_squared_error, CURVE)
    assert predict(Half(), XS, target="native") == pytest.approx(
        [Half()(x).data for x in XS], rel=1e-12
    )


def test_arrays_are_data_like_lists() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    found = []
    for xs, ys in ((XS, CORNERS), (numpy.array(XS), numpy.array(CORNERS))):
        model = network((4, 3))
        found.append(exactly(model, fit(model, cross_entropy, (xs, ys), epochs=3)))
    assert found[0] == found[1]


@pytest.mark.parametrize("target", ["eager", "native", "python"])
def test_it_works_without_numpy(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpy", reason="NumPy is not installed")
    found = []
    for absent in (False, True):
        if absent:
            monkeypatch.setattr(tables, "numpy", lambda: None)
        model = network((4, 2), dropout=0.2)
        history = fit(
            model,
            half_squared_error,
            (XS, PAIRS),
            epochs=3,
            batch_size=6,
            validation=0.2,
            metric=lambda outputs, ys: sum(map(sum, outputs)),
            target=target,
        )
        predicted = predict(model, XS, target=target)
        assert isinstance(predicted, list) == absent
        found.append((exactly(model, history), [[float(x) for x in row] for row in predicted]))
    for name in COLUMNS:
        assert found[0][0][name] == pytest.approx(found[1][0][name], rel=1e-12)
    for first, second in zip(found[0][1], found[1][1], strict=True):
        assert first == pytest.approx(second, rel=1e-12)


def test_only_what_the_optimizer_holds_is_trained() -> None:
    model = network()
    before = data_of(model)
    fit(model, mean_squared_error, (XS, CURVE), optimizer=SGD(model.parameters()[-2:]), epochs=3)
    changed = [a != b for a, b in zip(before, data_of(model), strict=True)]
    assert changed == [False] * (len(before) - 2) + [True] * 2


def test_gradients_and_mode_are_left_clean() -> None:
    model = network((3, 1), dropout=0.5)
    model.eval()
    model.modules[0].training = True  # type: ignore[attr-defined]
    modes = [module.training for _, module in model.named_modules()]
    state = random.getstate()
    for target in ("eager", "native"):
        fit(model, mean_squared_error, (XS, CURVE), epochs=2, validation=0.2, target=target)
        predict(model, XS, target=target)
        assert [module.training for _, module in model.named_modules()] == modes
        assert random.getstate() == state
        assert all(p.grad is NO_GRADIENT for p in model.parameters())


def test_the_metric_sees_outputs_and_targets() -> None:
    seen = []

    def metric(outputs: Any, targets: Any) -> float:
        seen.append((len(outputs), list(targets)))
        return accuracy(outputs, targets)

    model = network((8, 3))
    history = fit(model, cross_entropy, (XS, CORNERS), epochs=2, metric=metric)
    assert seen == [(23, CORNERS)] * 2
    assert history.metric[-1] == accuracy(predict(model, XS), CORNERS)
    seen.clear()
    pair = (XS[:4], CORNERS[:4])
    fit(model, cross_entropy, (XS, CORNERS), epochs=1, metric=metric, validation=pair)
    assert seen == [(4, CORNERS[:4])]


def test_the_penalty_is_in_the_loss_and_not_in_the_validation_loss() -> None:
    for target in ("eager", "native"):
        model = network()
        size = sum(p.data**2 for p in model.parameters())
        plain = sum((model(x).data - y) ** 2 for x, y in zip(XS, CURVE, strict=True)) / len(XS)
        history = fit(
            model,
            mean_squared_error,
            (XS, CURVE),
            optimizer=lambda ps: SGD(ps, 0.0),
            penalty=lambda ps: 0.5 * l2(ps),
            validation=(XS, CURVE),
            epochs=1,
            target=target,
        )
        assert history.loss == pytest.approx([plain + 0.5 * size], rel=1e-12)
        assert history.validation_loss == pytest.approx([plain], rel=1e-12)


# --- What cannot be compiled --------------------------------------------------------------------


class Deciding(Module):
    """Decides by the number itself, which no graph shows."""

    def __init__(self) -> None:
        random.seed(2)
        self.low, self.high = Neuron(2, activation="linear"), Neuron(2, activation="linear")

    def forward(self, x: Any) -> Any:
        return self.high(x) if x[0].data > 0 else self.low(x)


class Comparing(Deciding):
    """Decides by a comparison of Values, which is noted."""

    def forward(self, x: Any) -> Any:
        return self.high(x) if x[0] > 0 else self.low(x)


class Shaky(Deciding):
    """Draws random numbers of its own."""

    def forward(self, x: Any) -> Any:
        return self.high(x) * random.uniform(0.5, 1.5)


class AlwaysDropping(Deciding):
    """Is not interested in the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = Dropout(0.5)

    def forward(self, x: Any) -> Any:
        self.dropout.training = True
        return self.high(self.dropout(x))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Deciding, r"on \d+ examples, the compiled graph of the first gives .* where Python gives"),
        (Comparing, r"a decision was made on Values of this graph \(.*test_training.py, line \d+"),
        (Shaky, r"on \d+ examples, .* or draw random numbers of its own\?"),
        (AlwaysDropping, "noise"),
    ],
)
def test_what_cannot_be_compiled_runs_eagerly_and_says_so_once(make: Any, why: str) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    model, twin = make(), make()
    with pytest.warns(TargetWarning) as said:
        history = fit(
            model, mean_squared_error, (XS, CURVE), epochs=3, validation=0.3, batch_size=4
        )
    assert len(said) == 1
    assert said[0].filename == __file__
    assert str(said[0].message).startswith("this model runs without being compiled: ")
    with pytest.raises(ValueError, match=why):
        fit(make(), mean_squared_error, (XS, CURVE), epochs=1, validation=0.3, target="native")
    other = fit(
        twin,
        mean_squared_error,
        (XS, CURVE),
        epochs=3,
        validation=0.3,
        batch_size=4,
        target="eager",
    )
    assert history.target == other.target == "eager"
    assert history.loss == other.loss
    assert data_of(model) == data_of(twin)


def test_a_recorded_choice_stays_compiled() -> None:
    class Choosing(Deciding):
        def forward(self, x: Any) -> Any:
            return where(x[0] > 0, self.high(x), self.low(x))

    both(Choosing, mean_squared_error, CURVE, batch_size=6)


def test_an_operation_of_ones_own_runs_as_python() -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    bump = define("bump", lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * out,))

    class Bumpy(Deciding):
        def forward(self, x: Any) -> Any:
            return bump(self.high(x))

    with pytest.warns(TargetWarning, match="'bump' is written in Python") as said:
        history = fit(Bumpy(), mean_squared_error, (XS, CURVE), epochs=2, validation=0.2)
    assert len(said) == 1
    assert history.target == "python"
    with pytest.raises(ValueError, match="'bump'"):
        fit(Bumpy(), mean_squared_error, (XS, CURVE), target="native")


def test_a_mistake_in_the_model_is_not_taken_for_something_else() -> None:
    class Wrong(Deciding):
        def forward(self, x: Any) -> Any:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit(Wrong(), mean_squared_error, (XS, CURVE))


# --- Seeds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["eager", "native"])
def test_the_seed_decides_all_that_is_drawn(target: str) -> None:
    def run(seed: int, **settings: Any) -> dict[str, Any]:
        model = network((4, 1), dropout=0.2)
        history = fit(
            model, mean_squared_error, (XS, CURVE), epochs=2, seed=seed, target=target, **settings
        )
        return exactly(model, history)

    for settings in ({}, {"batch_size": 5}, {"validation": 0.3}):
        first = run(1, **settings)
        random.random()  # what is drawn elsewhere does not matter
        assert run(1, **settings) == first
        assert run(2, **settings) != first


def test_minibatches_are_shuffled_anew_in_each_epoch() -> None:
    seen: list[float] = []

    def loss(output: Value, y: Value) -> Value:
        if isinstance(y, Value):
            seen.append(y.data)
        return (output - y) ** 2

    fit(network(), loss, (XS, CURVE), epochs=3, batch_size=4, target="eager")
    epochs = [seen[i : i + 23] for i in range(0, 69, 23)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(CURVE)] * 3
    assert len({tuple(epoch) for epoch in [*epochs, CURVE]}) == 4


def test_validation_keeps_examples_apart() -> None:
    trained = set()

    def loss(output: Value, y: Value) -> Value:
        if isinstance(y, Value) and (output - y).operation:  # not inside of no_grad
            trained.add(y.data)
        return (output - y) ** 2

    seen: list[Any] = []
    fit(
        network(),
        loss,
        (XS, CURVE),
        epochs=2,
        validation=0.3,
        metric=lambda outputs, ys: seen.append(ys) or 0.0,  # type: ignore[func-returns-value]
        target="eager",
    )
    assert len(seen[0]) == 7
    assert trained == {*CURVE} - {*seen[0]}


# --- Stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["eager", "native"])
def test_patience_puts_the_best_parameters_back(target: str) -> None:
    """A wild optimiser makes the validation loss go up and down."""
    model = network()
    after: list[list[float]] = []

    def watch(outputs: Any, ys: Any) -> float:
        after.append(data_of(model))
        return 0.0

    history = fit(
        model,
        mean_squared_error,
        (XS, CURVE),
        epochs=200,
        batch_size=3,
        optimizer=lambda ps: SGD(ps, 0.3),
        validation=0.3,
        patience=4,
        metric=watch,
        target=target,
    )
    best = history.best_epoch
    assert best is not None
    assert 1 < best < 196
    assert len(history) == best + 4
    assert history.validation_loss[best - 1] == min(history.validation_loss)
    assert data_of(model) == after[best - 1] != after[-1]
    assert history.note == (
        f"stopped: no lower validation loss for 4 epochs; the parameters are those of epoch {best}"
    )
    assert not history.interrupted


def test_without_patience_the_last_parameters_are_kept() -> None:
    model = network()
    wild = {"batch_size": 3, "optimizer": lambda ps: SGD(ps, 0.3), "validation": 0.3}
    history = fit(model, mean_squared_error, (XS, CURVE), epochs=30, **wild)  # type: ignore[arg-type]
    assert history.best_epoch != 30
    assert len(history) == 30
    assert history.state["parameters"] == data_of(model)
    assert history.note == ""


class Countdown:
    """Presses Ctrl-C when it has been called so many times; 0 for never."""

    def __init__(self, calls: int = 0) -> None:
        self.calls = calls

    def __call__(self) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise KeyboardInterrupt


IN_THE_STEP = Countdown()


class Interrupted(Adam):
    """Its steps can be interrupted when half of the parameters are changed."""

    def step(self) -> None:
        before = [p.data for p in self.parameters]
        super().step()
        after = [p.data for p in self.parameters]
        for p, number in zip(self.parameters[::2], before[::2], strict=True):
            p.data = number
        IN_THE_STEP()
        for p, number in zip(self.parameters, after, strict=True):
            p.data = number


def trained(target: str, calls: int = 0, where: str = "", **more: Any) -> tuple[Module, History]:
    """A training with all that there is, interrupted somewhere."""
    count = Countdown(calls)
    schedule = step_decay(0.05, 0.9, every=3)

    def metric(outputs: Any, targets: Any) -> float:
        if where == "metric":
            count()
        return accuracy(outputs, targets)

    def watched(step: int) -> float:
        if where == "schedule":
            count()
        return schedule(step)

    def loss(outputs: Any, targets: Any) -> Value:
        if where == "loss":
            count()
        return cross_entropy(outputs, targets)

    model = network((4, 3), dropout=0.2, seed=more.pop("model_seed", 3))
    IN_THE_STEP.calls = calls if where == "step" else 0
    settings: dict[str, Any] = {"epochs": 5} | more
    history = fit(
        model,
        loss,
        (XS, CORNERS),
        batch_size=5,
        optimizer=lambda ps: Interrupted(ps, 0.05),
        schedule=watched,
        penalty=lambda ps: 1e-3 * l2(ps),
        clip=1.0,
        validation=0.2,
        patience=4,
        metric=metric,
        seed=9,
        target=target,
        **settings,
    )
    return model, history


@functools.cache
def uninterrupted(target: str) -> Any:
    return exactly(*trained(target))


@pytest.mark.parametrize(
    ("target", "where", "calls"),
    [
        *[("native", "step", calls) for calls in range(1, 21)],
        *[("native", "schedule", calls) for calls in (1, 2, 5, 20)],
        *[("native", "metric", calls) for calls in (1, 2, 5)],
        *[("eager", "loss", calls) for calls in (10, 60, 71, 100)],
        *[("eager", "step", calls) for calls in (1, 4, 5, 13)],
        ("python", "step", 7),
    ],
)
def test_interrupted_and_resumed_is_as_if_it_had_never_been(
    target: str, where: str, calls: int
) -> None:
    whole = uninterrupted(target)
    model, history = trained(target, calls, where)
    assert history.interrupted
    assert history.note.startswith(f"interrupted in epoch {len(history) + 1}")
    if not history.validation_loss:
        assert data_of(model) == history.state["parameters"]
    for name, column in columns(history).items():
        assert column == whole[name][: len(history)]
    saved = json.loads(json.dumps(history.state, allow_nan=False))
    # Another model of the same architecture, as in another process.
    model, again = trained(target, model_seed=77, resume=saved)
    assert exactly(model, again) == whole
    assert not again.interrupted
    assert saved == json.loads(json.dumps(history.state))  # the state was not touched


def test_an_interrupted_step_is_undone() -> None:
    """Without early stopping, the parameters are those after the steps that were complete."""
    found = []
    for calls in (0, 8):
        model = network()
        IN_THE_STEP.calls = calls
        history = fit(
            model, mean_squared_error, (XS, CURVE), epochs=10 if calls else 7, optimizer=Interrupted
        )
        assert history.interrupted == bool(calls)
        found.append({**exactly(model, history), "note": ""})
    assert found[0] == found[1]


def test_an_interrupt_before_the_first_step_is_nothing_to_keep() -> None:
    def loss(output: Value, y: Value) -> Value:
        raise KeyboardInterrupt

    model = network()
    before, state = data_of(model), random.getstate()
    with pytest.raises(KeyboardInterrupt):
        fit(model, loss, (XS, CURVE))
    assert data_of(model) == before
    assert random.getstate() == state


PROGRAM = """
import json, random, signal, sys
from microgrant.losses import mean_squared_error
from microgrant.nn import MLP
from microgrant.optim import Adam
from microgrant.training import fit

# Whoever started the tests may have Ctrl-C ignored, as a shell has for a job in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
target = sys.argv[1]
generator = random.Random(1)
xs = [[generator.gauss(0, 1), generator.gauss(0, 1)] for _ in range(40)]
ys = [a * b for a, b in xs]

def schedule(step):
    if step == (60 if target == "eager" else 6000):  # natively, a schedule is asked well ahead
        print("ready", flush=True)
    return 0.01

def run(epochs, resume=None):
    random.seed(1)
    model = MLP(2, [4, 1])
    history = fit(model, mean_squared_error, (xs, ys), epochs=epochs, batch_size=8, optimizer=Adam,
                  schedule=schedule, target=target, resume=resume)
    return history, [p.data for p in model.parameters()]

stopped, parameters = run(10**9)
epochs = len(stopped) + 2
resumed, after = run(epochs, json.loads(json.dumps(stopped.state)))
whole, expected = run(epochs)
print(stopped.interrupted, len(stopped) >= 12, parameters == stopped.state["parameters"],
      stopped.loss == whole.loss[:-2], resumed.loss == whole.loss, after == expected)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("target", ["native", "eager"])
def test_ctrl_c_keeps_what_was_learned(target: str) -> None:
    printed = after_ctrl_c(PROGRAM, target)
    assert printed.split("\n")[-2] == "True " * 5 + "True"


def test_an_ended_training_can_be_prolonged() -> None:
    model = network()
    settings: dict[str, Any] = {"batch_size": 6, "optimizer": lambda ps: SGD(ps, 0.1, momentum=0.5)}
    history = fit(model, mean_squared_error, (XS, CURVE), epochs=4, **settings)
    fit(model, mean_squared_error, (XS, CURVE), epochs=7, resume=history.state, **settings)
    twin = network()
    fit(twin, mean_squared_error, (XS, CURVE), epochs=7, **settings)
    assert data_of(model) == data_of(twin)
    again = fit(model, mean_squared_error, (XS, CURVE), epochs=2, resume=history.state, **settings)
    assert columns(again) == columns(history)


def test_a_training_that_ran_out_of_patience_stays_ended() -> None:
    settings: dict[str, Any] = {"optimizer": lambda ps: SGD(ps, 0.3), "validation": 0.3}
    settings |= {"epochs": 100, "batch_size": 3}
    history = fit(network(), mean_squared_error, (XS, CURVE), patience=3, **settings)
    model = network()
    again = fit(
        model, mean_squared_error, (XS, CURVE), patience=3, resume=history.state, **settings
    )
    assert columns(again) == columns(history)
    assert again.note == history.note
    more = fit(
        model, mean_squared_error, (XS, CURVE), patience=20, resume=history.state, **settings
    )
    assert len(more) > len(history)


def a_state(**more: Any) -> Any:
    history = fit(network(), mean_squared_error, (XS, CURVE), epochs=2, **more)
    return json.loads(json.dumps(history.state))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 4}, "to be resumed is a training with seed = 0, but here it is 4"),
        ({"batch_size": 5}, "with batch_size = 23, but here it is 5"),
        ({"validation": (XS[:2], CURVE[:2])}, "with validation = 0, but here it is 2"),
        ({"metric": accuracy}, "with metric = None, but here it is 'accuracy'"),
        ({"optimizer": Adam}, r"not what the state\(\) of Adam gives"),
    ],
)
def test_only_the_same_training_is_resumed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(network(), mean_squared_error, (XS, CURVE), resume=a_state(), **settings)
    with pytest.raises(ValueError, match="with parameters = 21, but here it is 17"):
        fit(network((4, 1)), mean_squared_error, (XS, CURVE), resume=a_state())


def broken_states() -> list[Any]:
    """A state with one thing missing or changed, at any depth."""
    state = a_state(validation=0.2, batch_size=6)

    def variants(x: Any) -> list[Any]:
        if isinstance(x, dict):
            return [
                *({k: v for k, v in x.items() if k != name} for name in x),
                *({**x, name: other} for name, inner in x.items() for other in variants(inner)),
            ]
        others: list[Any] = ["text", [1], {}, -1, 0.5] + ([] if x is None else [None])
        if isinstance(x, list):
            others += [x[1:], [*x, 0.5], [*x[1:], "0.5"], [*x[1:], 1]] if x else []
        return [other for other in others if type(other) is not type(x) or other != x]

    return [*variants(state), None, [], "state", 3]


def test_a_broken_state_is_one_clear_error() -> None:
    settings: dict[str, Any] = {"validation": 0.2, "batch_size": 6, "epochs": 1, "target": "eager"}
    state = a_state(validation=0.2, batch_size=6)
    assert checked_state(state) == state
    refused = 0
    for broken in broken_states():
        try:
            checked_state(broken)
            fit(network(), mean_squared_error, (XS, CURVE), resume=broken, **settings)
        except ValueError:
            refused += 1
        # Anything else than a ValueError is an error here; and some numbers are as good as others.
    assert refused > 0.9 * len(broken_states())


# --- Looking on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["eager", "native"])
def test_on_epoch_sees_the_history_so_far(target: str) -> None:
    model, seen = network(), []
    settings: dict[str, Any] = {"batch_size": 6, "validation": 0.2, "target": target}

    def on_epoch(history: History) -> None:
        assert history.state["parameters"] == data_of(model)
        assert model.training
        seen.append(history)

    history = fit(model, mean_squared_error, (XS, CURVE), epochs=5, on_epoch=on_epoch, **settings)
    assert [columns(x) for x in seen] == [
        {name: column[:n] for name, column in columns(history).items()} for n in range(1, 6)
    ]
    assert history.target == seen[0].target == target
    again = network(seed=8)  # each of them can be resumed
    more = fit(again, mean_squared_error, (XS, CURVE), epochs=5, resume=seen[2], **settings)
    assert exactly(again, more) == exactly(model, history)


@pytest.mark.parametrize("validation", [None, 0.2])
def test_on_epoch_can_stop(validation: float | None) -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    patience = 50 if validation else None
    for no in (False, numpy.False_):
        for answer in (True, None, 0, [], 0.0, numpy.True_):
            answers = iter([answer, answer, no])
            history = fit(
                network(),
                mean_squared_error,
                (XS, CURVE),
                on_epoch=lambda history, answers=answers: next(answers),
                validation=validation,
                patience=patience,
                target="eager",
            )
            assert len(history) == 3
            best = f"; the parameters are those of epoch {history.best_epoch}" * bool(validation)
            assert history.note == f"stopped by on_epoch after epoch 3{best}"
            assert not history.interrupted
    more = fit(network(), mean_squared_error, (XS, CURVE), epochs=4, resume=history.state,
               validation=validation, target="eager")  # fmt: skip
    assert (len(more), more.note) == (4, "")


@pytest.mark.parametrize("target", ["eager", "native"])
@pytest.mark.parametrize("where", ["on_epoch", "metric", "schedule", "step"])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, StopIteration])
def test_an_error_in_ones_own_code_loses_nothing(
    error: type[BaseException], where: str, target: str
) -> None:
    count = 0

    def due(place: str) -> None:
        nonlocal count
        if place == where:
            count += 1
            if count == 8:
                raise error("mine")

    class Own(Adam):
        def step(self) -> None:
            super().step()
            due("step")

    settings: dict[str, Any] = {
        "epochs": 10,
        "batch_size": 12,  # two steps in each
        "optimizer": lambda ps: Own(ps, 0.05),
        "schedule": lambda step: due("schedule") or 0.05 - step * 1e-3,
        "metric": lambda outputs, ys: due("metric") or float(len(ys)),
        "on_epoch": lambda history: due("on_epoch"),
        "target": target,
    }
    model = network()
    if error is KeyboardInterrupt:
        history = fit(model, mean_squared_error, (XS, CURVE), **settings)
        assert history.interrupted
    else:
        with pytest.raises(error, match="mine") as caught:
            fit(model, mean_squared_error, (XS, CURVE), **settings)
        history = caught.value.history  # type: ignore[attr-defined]
        assert history.note == f"stopped in epoch {len(history) + 1}"
    assert len(history) == {"on_epoch": 8, "metric": 7, "schedule": 3, "step": 3}[where]
    assert history.state["parameters"] == data_of(model)
    assert all(p.grad is NO_GRADIENT for p in model.parameters())
    more = fit(model, mean_squared_error, (XS, CURVE), resume=history, **settings)
    where, twin = "", network()
    whole = fit(twin, mean_squared_error, (XS, CURVE), **settings)
    assert exactly(model, more) == exactly(twin, whole)


def test_what_on_epoch_changes_counts() -> None:
    """A smaller rate when the loss does not fall, and weights that are kept within bounds."""
    found = []
    for target in ("eager", "native"):
        model = network()
        optimizer = SGD(model.parameters(), 4.0)

        def on_epoch(history: History, model: Any = model, optimizer: Any = optimizer) -> None:
            if len(history) > 1 and history.loss[-1] > history.loss[-2]:
                optimizer.learning_rate /= 2
            for p in model.parameters():
                p.data = min(max(p.data, -0.5), 0.5)

        history = fit(
            model, mean_squared_error, (XS, CURVE), epochs=20, optimizer=optimizer,
            on_epoch=on_epoch, target=target,
        )  # fmt: skip
        assert max(map(abs, data_of(model))) == 0.5
        assert history.state["parameters"] == data_of(model)
        assert history.learning_rate[0] > history.learning_rate[-1]
        assert optimizer.learning_rate <= history.learning_rate[-1]
        found.append(exactly(model, history))
    assert found[0]["parameters"] == pytest.approx(found[1]["parameters"], rel=1e-9)
    assert found[0]["learning_rate"] == found[1]["learning_rate"]


def test_what_on_epoch_changes_elsewhere_counts_as_well() -> None:
    """What a penalty looks at, what an activation is, and the mode: in which it is of no matter."""
    found = []
    for target in ("eager", "auto"):
        random.seed(3)
        bend = LeakyReLU(0.1)
        model = Sequential(Linear(2, 4), bend, Dropout(0.25), Linear(4, 1))
        strength = [0.0]

        def on_epoch(
            history: History, model: Any = model, bend: Any = bend, strength: Any = strength
        ) -> None:
            strength[0] = 0.5 if 3 <= len(history) < 6 else 0.0
            bend.slope = 0.1 if len(history) < 5 else 0.3
            model.eval()

        history = fit(
            model, mean_squared_error, (XS, CURVE), epochs=12, learning_rate=0.05, target=target,
            on_epoch=on_epoch, penalty=lambda ps, strength=strength: strength[0] * l2(ps),
        )  # fmt: skip
        found.append((history.loss, data_of(model)))
        assert model.training
    assert history.target != "eager"
    for eager, compiled in zip(*found, strict=True):
        assert eager == pytest.approx(compiled, rel=1e-9)


def test_a_decision_that_on_epoch_switches_on_is_seen() -> None:
    class Gated(Module):
        def __init__(self) -> None:
            self.w, self.gated = Value(0.5), False

        def forward(self, x: Any) -> Value:
            y = self.w * x
            if self.gated and y > 0.6:
                y = y * 5
            return y

    found = []
    for target in ("eager", "auto"):
        model = Gated()

        def on_epoch(history: History, model: Any = model) -> None:
            model.gated = len(history) >= 3

        warned = pytest.warns(TargetWarning) if target == "auto" else contextlib.nullcontext()
        with warned:
            history = fit(
                model, mean_squared_error, ([1.0, 2.0, -1.0], [1.0, 2.0, 3.0]), epochs=6,
                learning_rate=0.01, on_epoch=on_epoch, target=target,
            )  # fmt: skip
        found.append(history.loss)
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_predictions_see_the_context_that_they_are_made_in() -> None:
    factor: contextvars.ContextVar[float] = contextvars.ContextVar("factor", default=1.0)

    def body() -> None:
        factor.set(5.0)
        with no_grad():
            outputs = predict(lambda x: Value(2.0) * x * factor.get(), [1.0] * 200)
        assert {*map(float, outputs)} == {10.0}

    contextvars.copy_context().run(body)


def test_no_grad_around_a_training_and_around_predictions() -> None:
    model = network()
    expected = predict(model, XS * 50)
    with no_grad():
        assert [*map(float, predict(model, XS * 50))] == [*map(float, expected)]
        with pytest.raises(ValueError, match=r"call it outside of `with no_grad\(\)`"):
            fit(model, mean_squared_error, (XS, CURVE), epochs=1)


def test_a_nan_that_on_epoch_leaves_is_an_error() -> None:
    model = network()

    def on_epoch(history: History) -> None:
        if len(history) == 2:
            model.parameters()[0].data = math.nan

    with pytest.raises(DivergenceError, match="a parameter is nan or infinite"):
        fit(model, mean_squared_error, (XS, CURVE), epochs=4, on_epoch=on_epoch)
    assert all(map(math.isfinite, data_of(model)))


# --- Learning rates -----------------------------------------------------------------------------


class Strict(SGD):
    """Which has no learning rate of its own."""

    def __init__(self, parameters: Any, learning_rate: float, **more: Any) -> None:
        super().__init__(parameters, learning_rate, **more)


@pytest.mark.parametrize(
    ("optimizer", "same"),
    [
        (SGD, lambda ps: SGD(ps, 0.3)),
        (Adam, lambda ps: Adam(ps, 0.3)),
        (Strict, lambda ps: Strict(ps, 0.3)),
        (functools.partial(SGD, momentum=0.5), lambda ps: SGD(ps, 0.3, momentum=0.5)),
        (lambda ps: SGD(ps[:5], 7.0), lambda ps: SGD(ps[:5], 0.3)),
    ],
)
def test_a_learning_rate(optimizer: Any, same: Any) -> None:
    given: list[dict[str, Any]] = [
        {"optimizer": optimizer, "learning_rate": 0.3}, {"optimizer": same},
    ]  # fmt: skip
    given += [{"learning_rate": 0.3}] * (optimizer is SGD)
    found = []
    for settings in given:
        model = network()
        history = fit(model, mean_squared_error, (XS, CURVE), epochs=3, target="eager", **settings)
        assert history.learning_rate == [0.3] * 3
        found.append(exactly(model, history))
    assert all(x == found[0] for x in found)


def test_a_training_goes_on_with_another_learning_rate() -> None:
    settings: dict[str, Any] = {"optimizer": Adam, "target": "eager"}
    model = network()
    history = fit(model, mean_squared_error, (XS, CURVE), epochs=2, learning_rate=0.1, **settings)
    plain, slower = network(), network()
    more = fit(plain, mean_squared_error, (XS, CURVE), epochs=4, resume=history, **settings)
    assert more.learning_rate == [0.1] * 4
    more = fit(
        slower, mean_squared_error, (XS, CURVE), epochs=4, resume=history, learning_rate=0.01,
        **settings,
    )  # fmt: skip
    assert more.learning_rate == [0.1, 0.1, 0.01, 0.01]
    assert more.state["optimizer"]["settings"]["learning_rate"] == 0.01
    # Adam's memory goes on.
    first, second = (x.state["optimizer"]["memory"]["steps"][0] for x in (history, more))
    assert (first, second) == (2.0, 4.0)
    same = fit(
        slower, mean_squared_error, (XS, CURVE), epochs=2, resume=history, learning_rate=0.01,
        **settings,
    )  # fmt: skip
    assert same.state["optimizer"]["settings"]["learning_rate"] == 0.01


# --- Going on without compiling again -----------------------------------------------------------


class Scaled(Module):
    """With all that may change in a model, besides its parameters."""

    def __init__(self) -> None:
        self.network = network((4, 1), dropout=0.2)
        self.factor, self.frozen, self.bound = 1.0, Value(0.5), 10.0

    def forward(self, x: Any) -> Any:
        y = self.network(x)
        capped = where(y > self.bound, y * self.frozen, y)
        return capped * self.factor + self.frozen * 0.1


def grow(model: Any) -> None:
    model.network.modules.insert(2, Layer(4, 4, activation="linear"))


SETTINGS: dict[str, Any] = {"batch_size": 8, "validation": 0.2}
# How many of the two programs, of a step and of a validation, are to be compiled anew.
CHANGES: dict[str, tuple[Callable[[Any], Any], int]] = {
    "nothing": (lambda model: None, 0),
    "a parameter": (lambda model: setattr(model.network.parameters()[0], "data", 3.0), 0),
    "a mode": (lambda model: model.eval(), 0),
    "a label": (lambda model: setattr(model.frozen, "label", "frozen"), 0),
    "a number": (lambda model: setattr(model, "factor", 2.0), 2),
    "a number that shows in no example": (lambda model: setattr(model, "bound", 0.9), 2),
    "a frozen number": (lambda model: setattr(model.frozen, "data", 2.0), 0),
    "another frozen Value": (lambda model: setattr(model, "frozen", Value(0.5)), 2),
    "p": (lambda model: setattr(model.network.modules[1], "p", 0.3), 1),
    "an activation": (
        lambda model: setattr(model.network.modules[0].neurons[1], "activation", "relu"), 2
    ),
    "a layer more": (grow, 2),
    "the code": (lambda model: setattr(model, "forward", lambda x: model.network(x)), 2),
}  # fmt: skip


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was compiled."""
    made: list[Any] = []

    def counted(outputs: Any, *arguments: Any, **named: Any) -> Any:
        made.append(outputs)
        return compile(outputs, *arguments, **named)

    monkeypatch.setattr(runners, "compile", counted)
    return made


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_compiled_is_used_again_where_nothing_changed(
    change: str, compilations: list[Any]
) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    found = []
    for way in ("the history", "its state"):
        model = Scaled()
        held = model.network.parameters()

        def run(way: str, model: Any = model, held: Any = held, **more: Any) -> History:
            return fit(
                model, mean_squared_error, (XS, CURVE), optimizer=Adam(held), **SETTINGS, **more
            )

        first = run(way, epochs=2)
        assert len(compilations) == 2  # a step, and a validation
        CHANGES[change][0](model)
        compilations.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = run(way, epochs=4, resume=first if way == "the history" else first.state)
        assert len(compilations) == (CHANGES[change][1] if way == "the history" else 2)
        assert again.target == "native"
        compilations.clear()
        found.append(exactly(model, again))
    assert found[0] == found[1]


def test_another_loss_penalty_or_target_is_compiled_anew(compilations: list[Any]) -> None:
    model = network((3, 1))
    first = fit(model, mean_squared_error, (XS, CURVE), epochs=2)
    for settings, count in (
        ({}, 0),
        ({"loss": lambda output, y: (output - y) ** 2}, 0),  # the same graph
        ({"loss": lambda output, y: abs(output - y)}, 1),
        ({"penalty": lambda ps: 1e-3 * l2(ps)}, 1),
        ({"target": "python"}, 1),
        ({"validation": (XS, CURVE)}, None),
        ({"model": network((3, 1))}, 1),
    ):
        compilations.clear()
        given: dict[str, Any] = {"model": model, "loss": mean_squared_error} | settings
        if count is None:
            with pytest.raises(ValueError, match="with validation = 0, but here it is 23"):
                fit(given.pop("model"), given.pop("loss"), (XS, CURVE), resume=first, **given)
            continue
        fit(given.pop("model"), given.pop("loss"), (XS, CURVE), epochs=3, resume=first, **given)
        assert len(compilations) == count, settings


def test_a_step_is_not_taken_for_a_prediction() -> None:
    """Without dropout and a penalty, they are of the same graph."""
    model = network((3, 1))
    settings: dict[str, Any] = {"validation": (XS[:4], CURVE[:4])}
    history = None
    for epochs in (1, 2, 3):
        history = fit(
            model, mean_squared_error, (XS, CURVE), epochs=epochs, resume=history, **settings
        )
    twin = network((3, 1))
    whole = fit(twin, mean_squared_error, (XS, CURVE), epochs=3, **settings)
    assert exactly(model, history) == exactly(twin, whole)


def test_a_decision_that_came_up_in_between_is_seen(compilations: list[Any]) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    model: Any = Deciding()
    model.forward = lambda x: model.high(x)
    first = fit(model, mean_squared_error, (XS, CURVE), epochs=2)
    assert first.target == "native"
    model.forward = lambda x: model.high(x) if x[0].data < 0.99 else model.low(x)
    XS_, CURVE_ = [*XS[:-1], [1.0, 0.0]], CURVE  # noqa: N806
    with pytest.warns(TargetWarning, match="this model runs without being compiled"):
        again = fit(model, mean_squared_error, (XS_, CURVE_), epochs=3, resume=first)
    assert again.target == "eager"
    model.forward = lambda x: model.high(x) if x[0] < 5 else model.low(x)  # the same way for all
    with pytest.warns(TargetWarning, match="a decision was made on Values of this graph"):
        fit(model, mean_squared_error, (XS, CURVE), epochs=3, resume=first)


def test_what_was_compiled_goes_with_its_history(compilations: list[Any]) -> None:
    model = network((3, 1))
    history = fit(model, mean_squared_error, (XS, CURVE), epochs=2)
    expected = fit(model, mean_squared_error, (XS, CURVE), epochs=4, resume=history)
    assert len(compilations) == 1
    for copied in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        twin = copied(history)
        assert columns(twin) == columns(history)
        again = fit(model, mean_squared_error, (XS, CURVE), epochs=4, resume=twin)
        assert again.loss == expected.loss
    assert len(compilations) == 4
    program = weakref.ref(history._programs[0][1])
    del history, twin, again, expected
    gc.collect()
    assert program() is None


# --- When numbers grow out of bounds ------------------------------------------------------------


@pytest.mark.parametrize("target", ["eager", "native"])
def test_a_loss_that_grows_out_of_bounds_is_an_error(target: str) -> None:
    model = network(activation="relu")
    with pytest.raises(
        DivergenceError, match=r"in epoch \d+, at a learning rate of 1e\+20: "
    ) as it:
        fit(
            model,
            mean_squared_error,
            (XS, CURVE),
            optimizer=lambda ps: SGD(ps, 1e20),
            target=target,
        )
    assert isinstance(it.value, FloatingPointError)
    assert all(map(math.isfinite, data_of(model)))
    assert it.value.history.state["parameters"] == data_of(model)
    assert it.value.history.note == f"diverged in epoch {len(it.value.history) + 1}"


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_not_finite_is_an_error_even_in_the_last_step(
    clip: float | None,
) -> None:
    """The loss is 0, and its derivative infinite."""
    model = Neuron(1, activation="linear")
    model.w[0].data = 0.0
    with pytest.raises(DivergenceError, match=r"a parameter is|the gradient is"):
        fit(
            model,
            lambda output, y: (output * output).sqrt(),
            ([1.0], [0.0]),
            epochs=1,
            clip=clip,
            target="eager",
        )
    assert data_of(model) == [0.0, 0.0]


def test_with_patience_a_divergence_leaves_the_best_parameters() -> None:
    model = network()
    rates = [0.1, 0.1, 0.1, 1e300, 1e300, 1e300]
    with pytest.raises(DivergenceError) as it:
        fit(
            model,
            mean_squared_error,
            (XS, CURVE),
            schedule=lambda step: rates[step],
            validation=0.2,
            patience=5,
            epochs=6,
        )
    state = it.value.history.state
    assert state["best"]["epoch"] <= 3
    assert state["best"]["parameters"] == data_of(model) != state["parameters"]


def test_a_validation_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(DivergenceError, match="the validation loss is inf in epoch 1"):
        fit(network(), mean_squared_error, (XS, CURVE), validation=([[0.0, 0.0]], [1e200]))


def test_a_nan_among_the_examples_is_named() -> None:
    xs = [*XS[:4], [0.5, math.nan], *XS[5:]]
    with pytest.raises(DivergenceError, match=r"epoch 1.*: there is a nan or inf in example 4$"):
        fit(network(), mean_squared_error, (xs, CURVE))


# --- The history --------------------------------------------------------------------------------


def history_of(epochs: int, best: int = 0, note: str = "", metric: bool = False) -> History:
    losses = [1 / epoch for epoch in range(1, epochs + 1)]
    state = {
        "fixed": {"metric": "accuracy" if metric else None},
        "history": {
            "loss": losses,
            "validation_loss": [abs(e - best) + 0.5 for e in range(1, epochs + 1)] if best else [],
            "metric": [0.25 * (e > 3) for e in range(epochs)] if metric else [],
            "learning_rate": [0.1] * epochs,
        },
    }
    return History(state, note)


def test_a_short_history_is_shown_whole() -> None:
    assert repr(history_of(3)) == textwrap.dedent("""\
        epoch    loss  learning rate
            1       1            0.1
            2     0.5            0.1
            3  0.3333            0.1""")


def test_a_long_history_is_shown_in_round_numbers() -> None:
    history = history_of(437, best=123, note="stopped: because", metric=True)
    assert str(history) == textwrap.dedent("""\
        epoch      loss  validation  accuracy  learning rate
            1         1       122.5         0            0.1
           50      0.02        73.5      0.25            0.1
          100      0.01        23.5      0.25            0.1
          123   0.00813         0.5      0.25            0.1  best
          150  0.006667        27.5      0.25            0.1
          200     0.005        77.5      0.25            0.1
          250     0.004       127.5      0.25            0.1
          300  0.003333       177.5      0.25            0.1
          350  0.002857       227.5      0.25            0.1
          400    0.0025       277.5      0.25            0.1
          437  0.002288       314.5      0.25            0.1
        stopped: because""")


def test_a_history_of_nothing_says_so() -> None:
    assert repr(history_of(0)) == "no epoch is complete"
    assert repr(history_of(0, note="interrupted in epoch 1")) == "interrupted in epoch 1"
    assert history_of(0).best_epoch is None


@pytest.mark.parametrize("epochs", [1, 9, 10, 11, 12, 20, 21, 99, 100, 101, 5000, 12345])
def test_the_table_is_small(epochs: int) -> None:
    lines = repr(history_of(epochs, best=(epochs + 1) // 2)).split("\n")
    assert min(epochs, 6) + 1 <= len(lines) <= 14
    assert len({len(line.removesuffix("  best")) for line in lines}) == 1
    assert lines[1].split()[0] == "1"
    assert lines[-1].split()[0] == str(epochs)


def test_a_history_is_a_table_of_equally_long_columns() -> None:
    numbers = history_of(4, best=2, metric=True)
    assert numbers.to_dict() == {
        "epoch": [1, 2, 3, 4],
        "loss": [1.0, 0.5, 1 / 3, 0.25],
        "validation_loss": [1.5, 0.5, 1.5, 2.5],
        "metric": [0.0, 0.0, 0.0, 0.0],
        "learning_rate": [0.1] * 4,
    }
    assert [*history_of(3).to_dict()] == ["epoch", "loss", "learning_rate"]
    assert {*map(len, history_of(0).to_dict().values())} == {0}
    numbers.to_dict()["loss"].clear()
    assert len(numbers) == 4
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    history = fit(network(), mean_squared_error, (XS, CURVE), epochs=3, validation=0.2)
    frame = pandas.DataFrame(history.to_dict())
    assert [*frame.columns] == ["epoch", "loss", "validation_loss", "learning_rate"]
    assert frame["validation_loss"].tolist() == history.validation_loss
    assert frame["epoch"].tolist() == [1, 2, 3]


def test_a_history_plots_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = history_of(30, best=7).plot()
    training, validation, best = axes.get_lines()
    assert list(training.get_xdata()) == list(range(1, 31))
    assert list(training.get_ydata()) == history_of(30).loss
    assert validation.get_ydata()[6] == 0.5
    assert best.get_xdata()[0] == 7
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        *("training", "validation", "best")
    ]
    assert history_of(3).plot(axes) is axes
    pyplot.close("all")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"matplotlib is not installed: `pip install"):
        history_of(3).plot()


# --- Progress -----------------------------------------------------------------------------------


def test_progress_goes_to_stderr_and_only_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    for progress, shown in ((False, False), (None, False), (True, True)):
        fit(network(), mean_squared_error, (XS, CURVE), epochs=3, batch_size=12, progress=progress)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert ("6/6" in captured.err) == shown
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fit(network(), mean_squared_error, (XS, CURVE), epochs=3)
    with pytest.raises(ImportError, match="tqdm is not installed: `pip install"):
        fit(network(), mean_squared_error, (XS, CURVE), epochs=3, progress=True)


# --- Prediction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 5, 150])
@pytest.mark.parametrize("target", ["auto", "eager", "native", "python"])
def test_predict_gives_what_the_model_gives(count: int, target: str) -> None:
    pytest.importorskip("numpy", reason="NumPy is not installed")
    generator = random.Random(1)
    xs = [[generator.gauss(0, 1), generator.gauss(0, 1)] for _ in range(count)]
    for nouts in ((4, 1), (4, 3)):
        model = network(nouts, dropout=0.5)
        outputs = predict(model, xs, target=target)
        assert model.training
        model.eval()
        expected: Any = [model(x) for x in xs]
        if nouts[-1] == 1:
            assert outputs.shape == (count,)
            assert outputs == pytest.approx([x.data for x in expected], rel=1e-12)
        else:
            assert outputs.shape == (count, 3)
            flat = [x.data for row in expected for x in row]
            assert outputs.ravel() == pytest.approx(flat, rel=1e-12)


def test_predict_follows_the_model() -> None:
    model = network()
    first = predict(model, XS, target="native")
    for p in model.parameters():
        p.data *= 2
    second = predict(model, XS, target="native")
    assert list(first) != list(second)
    assert second == pytest.approx([model(x).data for x in XS], rel=1e-12)


# --- What was given -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (([], []), ValueError, "^there are no examples: xs is empty$"),
        ((XS, []), ValueError, "^there are no examples: ys is empty$"),
        (XS, TypeError, r"^data is a pair \(xs, ys\) of inputs and targets, but got list"),
        (7, TypeError, r"^data is a pair \(xs, ys\) .* got int 7$"),
        ((XS, CURVE[:-1]), ValueError, "there are 23 inputs and 22 targets$"),
        ((XS, 3.0), TypeError, "^ys is a list with one entry for each example, not float 3.0"),
        ((XS, "text"), TypeError, "^ys is a list with one entry for each example, not str"),
        (
            ([[1, 2], [1, 2, 3]], [0, 1]),
            ValueError,
            r"^xs\[0\] holds 2 .* xs\[1\] holds 3 numbers$",
        ),
        (([[1, 2], 3], [0, 1]), ValueError, r"^xs\[0\] holds 2 .*, but xs\[1\] is a number$"),
        (([[1, 2], [[1], [2]]], [0, 1]), ValueError, r"but xs\[1\] holds 2 × 1 numbers$"),
        (([[], []], [0, 1]), ValueError, r"^xs\[0\] is empty"),
        (([[1, 2], [1, "a"]], [0, 1]), TypeError, r"^xs\[1\]: expected one real number, but"),
        (([[1, 2], [1, None]], [0, 1]), TypeError, r"^xs\[1\]: expected one real number, but"),
        (([[1, 2]], ["a"]), TypeError, r"^ys\[0\]: expected one real number, but got str 'a'"),
        (([[1, 2, 3]], [0]), ValueError, "^the MLP takes 2 inputs, but got 3$"),
        (([1, 2, 3], [1, 2, 3]), ValueError, "^the MLP takes 2 inputs, but got 1$"),
        (({1: 2}, [1]), TypeError, "^xs is a list with one entry for each example, not dict"),
    ],
)
def test_examples_that_do_not_fit(data: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        fit(network(), mean_squared_error, data)


def test_images_that_are_ragged() -> None:
    images = [[[1, 2], [3, 4]], [[1, 2], [3]]]
    with pytest.raises(ValueError, match=r"2 × 2 numbers, but xs\[1\] has lists of different len"):
        fit(Sequential(Flatten(), Layer(4, 1)), mean_squared_error, (images, [0, 1]))


@pytest.mark.parametrize(
    ("loss", "ys", "error", "message"),
    [
        (cross_entropy, [0, 1, 3], ValueError, r"numbered 0 to 2, but ys\[2\] is 3$"),
        (cross_entropy, [0, -1, 2], ValueError, r"numbered 0 to 2, but ys\[1\] is -1$"),
        (cross_entropy, [0, 1.0, 2], TypeError, r"but ys\[1\] is float 1.0: all targets are whole"),
        (cross_entropy, [0.0, 1.0, 2.0], TypeError, "is a class, as a whole number, .* float"),
        (cross_entropy, [[1, 0, 0], [0, 2, 0], [0, 0, 1]], ValueError, "numbers from 0 to 1"),
        (mean_squared_error, [None, None, None], TypeError, r"ys\[0\]: expected one real number"),
        (mean_squared_error, [[1, 2], [3, 4], [5, 6]], ValueError, "one target, but got 3 and 2"),
    ],
)
def test_targets_that_do_not_fit(loss: Any, ys: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        fit(network((4, 3)), loss, (XS[:3], ys))


def test_a_loss_sees_some_of_the_numbers_though_it_is_compiled() -> None:
    with pytest.raises(ValueError, match="hinge needs targets of -1 and 1, but got 0"):
        fit(network(), hinge, (XS, SIDES))
    with pytest.raises(ValueError, match="needs targets from 0 to 1, but got -1"):
        fit(network(), binary_cross_entropy, (XS, SIGNS))
    many = [i / 22 for i in range(22)]
    with pytest.raises(ValueError, match=r"needs targets from 0 to 1, but got 1\.5"):
        fit(network(), binary_cross_entropy, (XS, [*many, 1.5]))
    with pytest.raises(ValueError, match="needs targets from 0 to 1, but got 2"):
        fit(network(), binary_cross_entropy, (XS, SIDES), validation=(XS[:1], [2]))


@pytest.mark.parametrize("place", [0, 17, 30])
@pytest.mark.parametrize(
    ("loss", "right", "wrong"),
    [(binary_cross_entropy, 0.5, 1.5), (binary_cross_entropy, 1, -1), (hinge, 1, 0)],
)
def test_the_one_target_that_a_loss_refuses_is_named(
    loss: Any, right: float, wrong: float, place: int
) -> None:
    ys = [right] * 31
    ys[place] = wrong
    xs = [[0.1, 0.2]] * 31
    with pytest.raises(ValueError, match=rf"^ys\[{place}\]: .* but got {wrong}"):
        fit(network(), loss, (xs, ys))
    with pytest.raises(ValueError, match=rf"^validation ys\[{place}\]: .* but got {wrong}"):
        fit(network(), loss, (xs, [right] * 31), validation=(xs, ys))


@pytest.mark.parametrize(
    ("loss", "wrong", "message"),
    [
        (binary_cross_entropy, [0.5, 0, 1.5], r"from 0 to 1, but ys\[250\]\[2\] is 1\.5$"),
        (cross_entropy, [0.5, -0.5, 1], r"from 0 to 1, but ys\[250\]\[1\] is -0\.5$"),
        (cross_entropy, [0.5, 0.5, 1], r"^ys\[250\]: .* add up to 2$"),
    ],
)
def test_the_one_number_of_a_target_that_a_loss_refuses_is_named(
    loss: Any, wrong: list[float], message: str
) -> None:
    ys = [[0.5, i / 1000, 0.5 - i / 1000] for i in range(300)]
    ys[250] = wrong
    with pytest.raises(ValueError, match=message):
        fit(network((4, 3)), loss, ([[0.1, 0.2]] * 300, ys))


def test_a_target_is_named_for_what_a_loss_says_of_it_and_not_of_all() -> None:
    with pytest.raises(
        ValueError, match=r"^ys\[0\]: hinge needs targets of -1 and 1, but got 0\.5"
    ):
        fit(network(), hinge, (XS[:2], [0.5, 1.5]))

    def mistaken(outputs: Any, target: Any) -> Any:
        raise ValueError("a mistake of one's own")

    with pytest.raises(ValueError, match=r"^a mistake of one's own"):
        fit(network(), mistaken, (XS[:2], [0.5, 1.5]))


def no_value(output: Value, y: Value) -> Any:
    return [output]


MODEL = network()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"loss": "mse"}, TypeError, "the loss is a function of outputs and a target, such as"),
        ({"loss": no_value}, TypeError, "the loss of one example is to be a Value, but got list"),
        ({"model": 3}, TypeError, "the model is a Module or a function of one input, but got int"),
        ({"penalty": lambda ps: 0.0}, TypeError, "the penalty is to be a Value, but got float"),
        ({"epochs": 0}, ValueError, "epochs is a whole number from 1 on, but got 0"),
        ({"epochs": 1.5}, ValueError, "epochs is a whole number from 1 on, but got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size is a whole number from 1 on, but got 0"),
        ({"batch_size": True}, ValueError, "batch_size is a whole number from 1 on, but got True"),
        ({"patience": 3}, ValueError, "patience watches the validation loss: give validation=0.2"),
        ({"patience": 0, "validation": 0.2}, ValueError, "patience is a whole number from 1 on"),
        ({"seed": "a"}, ValueError, "seed is a whole number, but got 'a'"),
        ({"clip": 0.0}, ValueError, "clip is a number above 0, but got 0.0"),
        ({"validation": 1.5}, ValueError, "a fraction between 0 and 1, or a pair, but got 1.5"),
        ({"validation": 0}, ValueError, "a fraction between 0 and 1, or a pair, but got 0"),
        ({"validation": 0.01}, ValueError, "0.01 of 23 examples is 0: .* no examples to validate"),
        ({"validation": 0.99}, ValueError, "0.99 of 23 examples is 23: .* no examples to train on"),
        ({"validation": "all"}, TypeError, r"validation is a pair \(xs, ys\)"),
        ({"validation": (XS, [])}, ValueError, "validation ys is empty"),
        (
            {"validation": ([[1.0]], [1.0])},
            ValueError,
            r"^xs\[0\] holds 2 numbers, but validation xs\[0\] holds 1 number$",
        ),
        ({"target": "gpu"}, ValueError, '"numpy", "python", "javascript", "jax" or "eager"'),
        (
            {"learning_rate": -0.1},
            ValueError,
            "learning_rate is a finite number from 0 on, but got",
        ),
        ({"learning_rate": "fast"}, TypeError, "learning_rate is to be one real number"),
        (
            {"learning_rate": 0.1, "schedule": cosine(0.1, 0.0, 9)},
            ValueError,
            "a schedule says each learning rate: leave out learning_rate",
        ),
        (
            {"learning_rate": 0.1, "model": MODEL, "optimizer": SGD(MODEL.parameters())},
            ValueError,
            "the SGD has a learning rate already: leave out learning_rate, or give the class alone",
        ),
        ({"optimizer": 0.1}, TypeError, "optimizer is an Optimizer, or a function .* float 0.1"),
        ({"optimizer": lambda ps: 0.1}, TypeError, "optimizer is an Optimizer, or a function"),
        (
            {"optimizer": SGD(MODEL.parameters())},
            ValueError,
            "the optimizer has parameters, but none of this model's",
        ),
        ({"model": lambda x: Value(1.0)}, ValueError, "the model has no parameters that could be"),
        ({"resume": 3}, ValueError, "this is not the state of a history: int 3"),
    ],
)
@pytest.mark.parametrize("target", ["auto", "eager"])
def test_settings_that_do_not_fit(
    settings: dict[str, Any], error: Any, message: str, target: str
) -> None:
    given: dict[str, Any] = {"model": network(), "loss": mean_squared_error, "target": target}
    given |= settings
    with pytest.raises(error, match=message):
        fit(given.pop("model"), given.pop("loss"), (XS, CURVE), **given)


@pytest.mark.parametrize("target", ["native", "eager"])
def test_a_loss_that_does_not_depend_on_the_model_is_an_error(target: str) -> None:
    with pytest.raises(ValueError, match="the loss does not depend on any parameter: was the"):
        fit(network(), lambda output, y: (y - 1) ** 2, (XS, CURVE), target=target, epochs=1)


def test_predict_says_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^there are no examples: xs is empty$"):
        predict(MODEL, [])
    with pytest.raises(ValueError, match=r"xs\[0\] holds 2 numbers, but xs\[1\] holds 1 number$"):
        predict(MODEL, [[1, 2], [1]])
    with pytest.raises(ValueError, match="the MLP takes 2 inputs, but got 3"):
        predict(MODEL, [[1, 2, 3]])


# --- Learning -----------------------------------------------------------------------------------


def test_it_learns_xor() -> None:
    random.seed(1)
    model = MLP(2, [4, 1], activation="tanh")
    xs, ys = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    history = fit(
        model, binary_cross_entropy, (xs, ys), epochs=300, optimizer=lambda ps: Adam(ps, 0.05)
    )
    assert history.loss[-1] < 0.05
    assert accuracy(predict(model, xs), ys) == 1.0


def test_the_default_is_plain_gradient_descent_on_all_examples() -> None:
    model, twin = network(), network()
    fit(model, mean_squared_error, (XS, CURVE), epochs=3, target="eager")
    optimizer: Optimizer = SGD(twin.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        for x, y in zip(XS, CURVE, strict=True):
            mean_squared_error(twin(x), y).backward(1 / len(XS))
        optimizer.step()
    assert data_of(model) == data_of(twin)


def test_it_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(network(), mean_squared_error, (XS, CURVE), epochs=2)
    assert capsys.readouterr() == ("", "")


def test_without_llvmlite_it_runs_as_python_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent() -> Any:
        raise ImportError

    monkeypatch.setattr(machine, "host", absent)
    with pytest.warns(TargetWarning, match="llvmlite is not installed") as said:
        history = fit(network(), mean_squared_error, (XS, CURVE), epochs=2, validation=0.2)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert history.target == "python"


def test_outputs_of_different_lengths_are_refused() -> None:
    class Ragged(Deciding):
        def forward(self, x: Any) -> Any:
            return [[self.low(x)], [self.low(x), self.high(x)]]

    with pytest.raises(ValueError, match="the outputs are lists of different lengths"):
        predict(Ragged(), XS)


def test_a_model_that_does_not_look_at_its_input_predicts_all_the_same() -> None:
    class Stubborn(Deciding):
        def forward(self, x: Any) -> Any:
            return self.low.b + 1.0

    with pytest.warns(TargetWarning, match="what it computes does not depend on the data"):
        assert list(predict(Stubborn(), XS * 5)) == [1.0] * 115


def test_times_are_no_numbers() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    with pytest.raises(
        TypeError, match=r"expected real numbers, but got an array of datetime64\[ns"
    ):
        predict(Neuron(1), numpy.array(["2020-01-01"], "datetime64[ns]"))


@pytest.mark.parametrize("name", ["penalty", "schedule", "metric", "on_epoch"])
def test_a_number_is_no_function(name: str) -> None:
    settings: dict[str, Any] = {name: 0.1}
    with pytest.raises(TypeError, match=f"the {name} is a function of .*, but got float 0.1"):
        fit(network(), mean_squared_error, (XS, CURVE), epochs=1, **settings)


def test_a_history_can_be_resumed_as_it_is() -> None:
    whole, parts = network(), network()
    fit(whole, mean_squared_error, (XS, CURVE), epochs=3, target="eager")
    first = fit(parts, mean_squared_error, (XS, CURVE), epochs=2, target="eager")
    fit(parts, mean_squared_error, (XS, CURVE), epochs=3, target="eager", resume=first)
    assert [p.data for p in parts.parameters()] == [p.data for p in whole.parameters()]


def test_an_array_is_no_number_of_epochs() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    for epochs in (numpy.array([1, 2]), numpy.array(1.5)):
        with pytest.raises(ValueError, match="epochs is a whole number from 1 on, but got array"):
            fit(network(), mean_squared_error, (XS, CURVE), epochs=epochs)
    epochs = numpy.array(2)
    assert len(fit(network(), mean_squared_error, (XS, CURVE), epochs=epochs, target="eager")) == 2


# --- Whole steps in native code -------------------------------------------------------------------


class Tripled(Optimizer):
    """One with an attribute that is no setting."""

    factor = 1.0

    def step(self) -> None:
        """Three times as far, if it was told so."""
        for p in self.parameters:
            p.data -= self.factor * self.learning_rate * p.grad


@pytest.mark.parametrize("target", ["eager", "native"])
def test_an_optimizer_keeps_its_attributes(target: str) -> None:
    losses = []
    for factor, rate in ((3.0, 0.01), (1.0, 0.03)):
        model = network()
        optimizer = Tripled(model.parameters(), rate)
        optimizer.factor = factor
        fitted = fit(
            model, mean_squared_error, (XS, CURVE), epochs=6, optimizer=optimizer, target=target
        )
        assert optimizer.factor == factor
        losses.append(fitted.loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


@pytest.mark.parametrize("target", ["eager", "native"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_undoes_what_on_epoch_has_changed(error: type[BaseException], target: str) -> None:
    model, beside = network(), Value(5.0)
    optimizer = SGD([*model.parameters(), beside], 0.01, momentum=0.5)

    def change(history: History) -> None:
        if len(history) == 3:
            optimizer.momentum, beside.data = 0.9, 99.0
            raise error("mine")

    with contextlib.suppress(RuntimeError):
        fit(
            model, mean_squared_error, (XS, CURVE), epochs=6, optimizer=optimizer,
            on_epoch=change, target=target,
        )  # fmt: skip
    assert (optimizer.momentum, beside.data) == (0.5, 5.0)


@pytest.mark.parametrize("target", ["eager", "native"])
def test_what_on_epoch_changes_of_the_optimizer_counts(target: str) -> None:
    model = network()
    optimizer = SGD(model.parameters(), 0.01)

    def change(history: History) -> None:
        optimizer.momentum, optimizer.weight_decay = 0.5, 0.25 * len(history)

    fitted = fit(
        model, mean_squared_error, (XS, CURVE), epochs=6, batch_size=9, optimizer=optimizer,
        on_epoch=change, target=target,
    )  # fmt: skip
    twin = network()
    other, history = SGD(twin.parameters(), 0.01), None
    for epoch in range(6):
        history = fit(
            twin, mean_squared_error, (XS, CURVE), epochs=epoch + 1, batch_size=9,
            optimizer=other, target="eager", resume=history,
        )  # fmt: skip
        state = history.state
        state["optimizer"]["settings"] |= {"momentum": 0.5, "weight_decay": 0.25 * (epoch + 1)}
    assert fitted.loss == pytest.approx(history.loss, rel=1e-9)


def test_an_epoch_whose_steps_are_all_done_is_counted() -> None:
    """So a state may be, which Ctrl-C left between the last step of an epoch and its end."""
    settings: dict[str, Any] = {"batch_size": 12, "target": "native"}
    whole = fit(network(), mean_squared_error, (XS, CURVE), epochs=4, **settings)
    model = network()
    state = fit(model, mean_squared_error, (XS, CURVE), epochs=2, **settings).state
    state |= {"epoch": 1, "batch": 2, "total": state["history"]["loss"][1] * len(XS)}
    state["history"] = {name: column[:1] for name, column in state["history"].items()}
    again = fit(model, mean_squared_error, (XS, CURVE), epochs=4, resume=state, **settings)
    assert again.loss == pytest.approx(whole.loss, rel=1e-12)


def test_history_holds_floats_whatever_a_schedule_returns() -> None:
    for rate in (0, Fraction(1, 100)):
        history = fit(
            network(), mean_squared_error, (XS, CURVE), epochs=3, schedule=lambda step, x=rate: x
        )
        assert {*map(type, history.learning_rate)} == {float}
        json.dumps(history.state)
