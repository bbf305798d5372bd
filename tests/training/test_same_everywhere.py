"""Many kinds of models, trained eagerly, by Python and natively: the same, or it is said.

Each kind is one where the three have differed, or might. What is held to be the same are the
parameters after the training, to 1e-9, and which of them have moved at all.
"""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from microgrant import TargetWarning, Value, define, where
from microgrant.engine import NO_GRADIENT, detach
from microgrant.losses import binary_cross_entropy, cross_entropy, l2, mean_squared_error
from microgrant.nn import (
    MLP,
    RNN,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    MaxPool2d,
    Module,
    Neuron,
    Sequential,
)
from microgrant.optim import SGD, Adam, Optimizer
from microgrant.training import DecisionError, fit, predict

NUMBERS = random.Random(8)
XS = [[NUMBERS.uniform(-1, 1), NUMBERS.uniform(-1, 1)] for _ in range(14)]
CURVE = [math.sin(2 * a) - b * b for a, b in XS]
SIDES = [int(a + b > 0.2) for a, b in XS]
PLACES = [NUMBERS.choice([0, 1, 2, 3]) for _ in XS]
SLOPE = [i / 13 for i in range(14)]

OPTIMIZERS: dict[str, Callable[[list[Value]], Optimizer]] = {
    "momentum and decay": lambda ps: SGD(ps, 0.05, momentum=0.9, weight_decay=0.01),
    "Adam": lambda ps: Adam(ps, 0.02),
    "Adam with decay": lambda ps: Adam(ps, 0.02, weight_decay=0.01),
}


class Model(Module):
    """A function of x and of parts, which are modules, Values, and lists of them."""

    def __init__(self, function: Callable[[Any, Any], Any], **parts: Any) -> None:
        vars(self).update(parts)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def line() -> Neuron:
    return Neuron(2, activation="linear")


@dataclass
class Kind:
    """A way to make a model, and how it is trained.

    frozen: how many of its first parameters the optimiser does not hold.
    same: whether it can be compiled, to the end.
    """

    make: Callable[[], Any]
    ys: Sequence[Any] = tuple(CURVE)
    xs: Sequence[Any] = tuple(XS)
    loss: Callable[[Any, Any], Value] = mean_squared_error
    settings: dict[str, Any] = field(default_factory=lambda: {"epochs": 5, "batch_size": 3})
    frozen: int = 0
    same: bool = True
    target: str = "native"


def seldom(model: Any, x: Any) -> Any:
    return where(x[0] > 0.6, model.high(x), model.low(x))


def nested(model: Any, x: Any) -> Any:
    inner = where(x[1] > 0.5, model.a(x) * model.never, model.b(x).exp())
    return where(x[0] > 0.3, inner, where(x[0] < -5, model.never, model.c(x)))


def compared(model: Any, x: Any) -> Any:
    """One parameter is compared alone, one is out of reach, and one counts for nothing."""
    return where(x[0] > model.bound, model.a(x), model.b(x)) + 0.0 * model.nothing


def looked_up(model: Any, x: Any) -> Any:
    found = Value(0.0)
    for i, entry in enumerate(model.table):
        found = where(x == i, entry, found)
    return found * model.scale


def late(model: Any, x: Any) -> Any:
    """The cap is reached when the weight has grown, and for large x only."""
    y = model.w * x
    return y if y.data < 1 else Value(1.0)


def own() -> Callable[..., Value]:
    return define("bump", lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * out,))


def dropping() -> Module:
    layers = [Layer(2, 3, activation="tanh"), Dropout(0.6), Layer(3, 2), Dropout(0.5), line()]
    return Sequential(*layers)


def image() -> list[list[list[float]]]:
    return [[[NUMBERS.uniform(-1, 1) for _ in range(4)] for _ in range(4)]]


IMAGES = [image() for _ in range(7)]
SEQUENCES = [[[NUMBERS.uniform(-1, 1)] for _ in range(4)] for _ in range(7)]

KINDS: dict[str, Kind] = {
    "plain": Kind(lambda: MLP(2, [3, 1], activation="tanh")),
    "dropout": Kind(dropping, SIDES, loss=binary_cross_entropy),
    "dropout of inputs": Kind(lambda: Sequential(Dropout(0.8), line())),
    "where": Kind(lambda: Model(seldom, high=line(), low=line())),
    "where in where": Kind(
        lambda: Model(nested, a=line(), b=line(), c=line(), never=Value(0.5)),
    ),
    "compared, unused, times 0": Kind(
        lambda: Model(
            compared, a=line(), b=line(), bound=Value(0.1), nothing=Value(2.0), unused=Value(3.0)
        ),
    ),
    "frozen": Kind(lambda: MLP(2, [3, 1], activation="tanh"), frozen=9),
    "frozen in a branch": Kind(lambda: Model(seldom, high=line(), low=line()), frozen=3),
    "shared": Kind(lambda: Model(lambda m, x: m.a([m.a(x), m.a(x).tanh()]), a=line())),
    "lookup": Kind(
        lambda: Model(looked_up, table=[Value(0.1 * i) for i in range(6)], scale=Value(1.0)),
        xs=PLACES,
    ),
    "recurrent, cut": Kind(
        lambda: Model(lambda m, x: m.last(m.rnn(x)[-1]), rnn=RNN(1, 2, truncate=2), last=line()),
        CURVE[:7],
        SEQUENCES,
    ),
    "convolution": Kind(
        lambda: Sequential(Conv2d(1, 2, 3, activation="relu"), Flatten(), Layer(8, 3)),
        [i % 3 for i in range(7)],
        IMAGES,
        cross_entropy,
    ),
    "pooling": Kind(
        lambda: Sequential(MaxPool2d(2), Flatten(), Layer(4, 1, nonlin=False)), CURVE[:7], IMAGES
    ),
    "detach": Kind(lambda: Model(lambda m, x: m.a(x) * detach(m.b(x)), a=line(), b=line())),
    "penalty": Kind(
        line,
        settings={
            "epochs": 5,
            "batch_size": 3,
            "penalty": lambda ps: l2(ps) + where(ps[0] > 0, ps[0], ps[1] * ps[2]),
        },
    ),
    "clipped, with validation": Kind(
        lambda: Model(seldom, high=line(), low=line()),
        settings={"epochs": 8, "batch_size": 2, "clip": 0.1, "validation": 0.3, "patience": 3},
    ),
    "an operation of one's own": Kind(
        lambda: Model(lambda m, x: m.bump(m.a(x)), a=line(), bump=own()), target="python"
    ),
    "decided by .data": Kind(
        lambda: Model(
            lambda m, x: m.high(x) if x[0].data > 0 else m.low(x), high=line(), low=line()
        ),
        same=False,
    ),
    "looked up by .data": Kind(
        lambda: Model(lambda m, x: m.table[int(x.data)] * 1.0, table=[Value(0.1)] * 4), xs=PLACES
    ),
    "looked up by .data, apart": Kind(
        lambda: Model(lambda m, x: m.table[int(x.data)] * x, table=list(map(Value, range(4)))),
        xs=PLACES,
        same=False,
    ),
    "skipped by .data": Kind(
        # No number tells: only that a parameter has the gradient 0 for some, and none for others.
        lambda: Model(
            lambda m, x: m.a * x + 0.0 * m.b if x.data else m.a * x, a=Value(1.0), b=Value(0.5)
        ),
        [2 * x for x in SLOPE],
        SLOPE,
        same=False,
    ),
    "decided late by .data": Kind(
        lambda: Model(late, w=Value(0.1)),
        [min(1.0, 3 * x) for x in SLOPE],
        SLOPE,
        settings={"epochs": 120},
        same=False,
    ),
    "decided late by .data, in batches": Kind(
        lambda: Model(lambda m, x: late(m, x) + m.b, w=Value(0.8), b=Value(0.0)),
        [min(1.0, 3 * x) for x in SLOPE],
        SLOPE,
        settings={"epochs": 40, "batch_size": 5, "validation": 0.2, "patience": 30},
        same=False,
    ),
}


@dataclass
class Outcome:
    parameters: list[float]
    losses: list[float]
    target: str
    said: list[str]


def outcome(kind: Kind, target: str, optimizer: Any) -> Outcome:
    """Train a model of a kind. Nothing that is not trained may have changed, gradients included."""
    random.seed(11)
    model = kind.make()
    parameters = model.parameters()
    held, frozen = parameters[kind.frozen :], parameters[: kind.frozen]
    for place, p in enumerate(frozen):
        p.grad = 7.0 + place
    before = [(p.data, p.grad) for p in frozen]
    settings = {"optimizer": optimizer(held), "target": target, "progress": False} | kind.settings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            history = fit(model, kind.loss, (list(kind.xs), list(kind.ys)), **settings)
            said = []
        except DecisionError as error:
            history, said = error.history, [str(error)]
        except ValueError as error:
            return Outcome([], [], "", [str(error)])
    assert [(p.data, p.grad) for p in frozen] == before
    assert all(p.grad is NO_GRADIENT for p in held)
    said += [str(w.message) for w in caught]
    return Outcome([p.data for p in parameters], history.loss, history.target, said)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", KINDS)
def test_all_targets_train_the_same_or_say_so(name: str, optimizer: str) -> None:
    kind = KINDS[name]
    eager, auto, python, native = (
        outcome(kind, target, OPTIMIZERS[optimizer])
        for target in ("eager", "auto", "python", "native")
    )
    assert eager.said == []
    assert auto.parameters == pytest.approx(eager.parameters, rel=1e-9, abs=1e-9)
    assert auto.losses == pytest.approx(eager.losses, rel=1e-9, abs=1e-9)
    if not kind.same:
        assert auto.target == "eager"
        [said] = auto.said
        assert said.startswith("this model runs without being compiled")
        for insisted in (python, native):
            [said] = insisted.said
            assert "compiled: " in said
            # As far as it came, it is right.
            count = len(insisted.losses)
            assert insisted.losses == pytest.approx(eager.losses[:count], rel=1e-9, abs=1e-9)
        return
    assert auto.target == kind.target
    for other in (python, native) if kind.target == "native" else (python,):
        assert other.said == []
        assert other.parameters == pytest.approx(eager.parameters, rel=1e-9, abs=1e-9)
        assert other.losses == pytest.approx(eager.losses, rel=1e-9, abs=1e-9)


# --- Decisions that begin to matter -------------------------------------------------------------

CAPPED = [min(1.0, 3 * x) for x in SLOPE]


def capped(w: float = 0.1) -> Model:
    return Model(late, w=Value(w))


def run(model: Any, **settings: Any) -> Any:
    given = {"epochs": 120, "optimizer": lambda ps: SGD(ps, 0.05, momentum=0.5)} | settings
    return fit(model, mean_squared_error, (SLOPE, CAPPED), progress=False, **given)


def test_a_decision_that_begins_to_matter_is_warned_of() -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    with pytest.warns(TargetWarning) as said:
        run(capped())
    [warning] = said
    assert warning.filename == __file__
    assert "without being compiled, once more from epoch" in str(warning.message)
    assert "where Python gives" in str(warning.message)


@pytest.mark.filterwarnings("ignore::microgrant.TargetWarning")
@pytest.mark.parametrize("epochs", [1, 5, 30, 60])
def test_what_was_compiled_at_first_is_resumed_as_if_it_had_never_been(epochs: int) -> None:
    whole, parts = capped(), capped()
    expected = run(whole, target="eager")
    first = run(parts, epochs=epochs)
    history = run(parts, resume=json.loads(json.dumps(first.state)))
    assert history.loss == pytest.approx(expected.loss, rel=1e-9)
    assert parts.w.data == pytest.approx(whole.w.data, rel=1e-9)


def test_after_an_error_one_can_go_on() -> None:
    whole, parts = capped(), capped()
    expected = run(whole, target="eager")
    with pytest.raises(
        DecisionError, match=r"after \d+ steps, on \d examples, .* goes on"
    ) as error:
        run(parts, target="native")
    history = error.value.history
    assert 1 < len(history) < 120
    assert history.state["parameters"] == [parts.w.data]
    with pytest.warns(TargetWarning):
        history = run(parts, resume=history)
    assert history.loss == pytest.approx(expected.loss, rel=1e-9)


@pytest.mark.parametrize("target", ["auto", "native"])
def test_ctrl_c_leaves_what_python_would_have_computed(target: str) -> None:
    """The training is stopped before anybody had a look, when the decision matters already."""
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    hidden = False

    def unread(model: Any, x: Any) -> Any:
        y = model.w * x
        return Value(1.0) if hidden and not y._data < 1 else y  # a way that is not noted

    def stop(step: int) -> float:
        nonlocal hidden
        hidden = step >= 40
        if step == 60:
            raise KeyboardInterrupt
        return 0.05

    model, twin = Model(unread, w=Value(0.1)), Model(unread, w=Value(0.1))
    with pytest.warns(TargetWarning, match="once more from epoch 33 on: after 60 steps"):
        history = run(model, schedule=stop, target=target)
    assert history.interrupted
    assert history.note == "interrupted in epoch 61"
    hidden = False
    expected = run(twin, epochs=32, target="eager")
    assert history.loss == pytest.approx(expected.loss, rel=1e-9)
    assert model.w.data == pytest.approx(twin.w.data, rel=1e-9)


@pytest.mark.filterwarnings("ignore::microgrant.TargetWarning")
def test_epochs_that_come_once_more_are_told_once_more() -> None:
    """And what was decided on those that did not count, counts for nothing."""
    told: dict[str, list[int]] = {}
    stop_at = 20

    def watch(target: str) -> Callable[[Any], Any]:
        def on_epoch(history: Any) -> bool:
            told[target].append(len(history))
            return not (history.target == "native" and len(history) == stop_at)

        told[target] = []
        return on_epoch

    whole, parts = capped(0.5), capped(0.5)
    expected = run(whole, target="eager", on_epoch=watch("eager"))
    history = run(parts, on_epoch=watch("auto"))
    assert told["eager"] == [*range(1, 121)]
    back = next(i for i, (a, b) in enumerate(pairwise(told["auto"]), 1) if b <= a)
    first, again = told["auto"][:back], told["auto"][back:]
    assert first == [*range(1, len(first) + 1)]
    assert again == [*range(again[0], 121)]
    assert len(first) >= again[0] > 1
    assert history.note == ""
    assert history.loss == pytest.approx(expected.loss, rel=1e-9)
    with pytest.raises(DecisionError) as error:
        run(capped(0.5), target="native", on_epoch=watch("native"))
    assert told["native"] == first
    assert len(error.value.history) == again[0] - 1


@pytest.mark.filterwarnings("ignore::microgrant.TargetWarning")
def test_an_error_leaves_what_python_would_have_computed() -> None:
    def on_epoch(history: Any) -> None:
        if len(history) == 25:  # when it matters, and nobody had a look
            raise KeyError("mine")

    model, twin = capped(), capped()
    with pytest.raises(KeyError) as error:
        run(model, on_epoch=on_epoch)
    history = error.value.history  # type: ignore[attr-defined]
    assert 1 < len(history) < 25
    expected = run(twin, epochs=len(history), target="eager")
    assert history.loss == pytest.approx(expected.loss, rel=1e-9)
    assert model.w.data == pytest.approx(twin.w.data, rel=1e-9)


def test_what_python_would_have_kept_from_diverging_does_not_diverge() -> None:
    def guarded(model: Any, x: Any) -> Any:
        y = model.w * x - 0.5
        return y.log() if y._data > 0 else model.w * 1.0  # as above

    xs, ys = [1.0, 1.5, 2.0], [-4.0, -4.0, -4.0]
    settings: dict[str, Any] = {"epochs": 40, "optimizer": lambda ps: SGD(ps, 0.1)}
    models = [Model(guarded, w=Value(0.9)) for _ in range(2)]
    expected = fit(models[0], mean_squared_error, (xs, ys), target="eager", **settings)
    with pytest.warns(TargetWarning, match="the compiled graph of the first gives nan"):
        history = fit(models[1], mean_squared_error, (xs, ys), **settings)
    assert history.loss == pytest.approx(expected.loss, rel=1e-9)


def test_what_has_converged_is_no_disagreement() -> None:
    """Where nothing but rounding is left, it may be another rounding."""
    xs = [[NUMBERS.uniform(-9, 9) for _ in range(3)] for _ in range(20)]
    ys = [3 * a - 2 * b + 0.1 * c + 100 for a, b, c in xs]
    model = Neuron(3, activation="linear")
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            history = fit(
                model,
                mean_squared_error,
                (xs, ys),
                epochs=2_000,
                optimizer=lambda ps: SGD(ps, 0.01),
            )
        assert history.target == "native"
    assert history.loss[-1] < 1e-20


def test_the_largest_output_is_among_what_a_prediction_is_compared_on() -> None:
    xs = [NUMBERS.uniform(0, 1) for _ in range(150)]
    xs[77] = 1.5
    w = Value(1.0)

    def model(x: Value) -> Value:
        y = w * x
        return y if y.data < 1.2 else Value(1.2)

    with pytest.warns(TargetWarning, match="gives .* where Python gives 1.2"):
        outputs = predict(model, xs)
    assert list(outputs) == [min(x, 1.2) for x in xs]


# --- Gradients of others ------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["eager", "python", "native"])
def test_gradients_of_what_is_not_trained_are_left_alone(target: str) -> None:
    """Of a frozen parameter, of what a function holds, of what only some examples choose."""
    table = [Value(0.5), Value(0.25), Value(2.0), Value(1.0)]
    outer, factor = Value(3.0), Value(0.5)
    others = [*table, outer, factor]
    for place, value in enumerate(others[1:]):
        value.grad = float(place)
    before = [value.grad for value in others]
    neuron = Neuron(1, activation="linear")

    def model(x: Value) -> Value:
        entry = where(x > 1, where(x > 2, table[3], table[2]), where(x > 0, table[1], table[0]))
        return neuron([x]) * entry + outer * 0.5

    fit(
        model,
        lambda output, y: (output - y) ** 2 * factor,
        (PLACES, CURVE),
        optimizer=SGD([neuron.w[0]]),
        penalty=lambda ps: ps[0] * outer,
        epochs=3,
        batch_size=4,
        target=target,
    )
    predict(model, PLACES, target=target)
    assert [value.grad for value in others] == before
    assert others[0].grad is NO_GRADIENT
    assert neuron.b.grad is NO_GRADIENT
