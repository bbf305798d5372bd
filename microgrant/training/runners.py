"""A model that runs over rows of numbers: eagerly, or compiled.

With this module you can

- have what runs it best:        runner = runner_for(Eager(model, form, loss, parameters), rows)
- run a step over some rows:     mean_loss = runner.step(rows, seed="step 7")
- see how good the model is:     mean_loss, outputs = runner.evaluate(rows)

`fit` and `predict` stand on it. A compiled model has shown on a few examples that it computes what
Python does; where it does not, Python does it. The numbers are the same.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ..compiler import tables
from ..compiler.step import DecisionWarning, Predictor, Step, compile
from ..compiler.targets import TargetWarning
from ..engine.arguments import shown
from ..engine.conditions import whole_order
from ..engine.modes import no_grad, warn
from ..engine.value import NO_GRADIENT, Value, as_value
from ..nn import Module, Noise, noise_in
from .examples import Form, Rows, Shape, arranged, as_list, flattened, shape_of

__all__ = ["Compiled", "Eager", "drawing", "in_mode", "laid_out", "runner_for"]

PROBES = 5  # examples on which a compiled model has to agree with Python
FEW = 16  # how many of the smallest targets, and of the largest, a loss has a look at


@contextmanager
def drawing(seed: str) -> Iterator[None]:
    """Inside, `random` draws what the seed says; outside, it goes on as if nothing had happened."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def in_mode(model: Any, training: bool) -> Iterator[None]:
    """Inside, the model is in that mode; outside, each module in the mode in which it was."""
    if not isinstance(model, Module):
        yield
        return
    modules = [model, *(module for _, module in model.named_modules())]
    before = [module.training for module in modules]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.training = mode


def laid_out(
    model: Callable[[Any], Any],
    loss: Callable[[Any, Any], Any],
    xs: list[Any],
    ys: list[Any],
    held: Any,
) -> tuple[Form, list[list[float]], list[list[float]]]:
    """The form of the examples, their rows, and the rows of those for validation."""
    form = Form.of(xs[0])
    [row] = form.rows(xs[:1])
    with no_grad(), drawing("first look"):
        outputs = model(form.arranged(list(map(Value, row)))[0])
        form = Form.of(xs[0], ys[0], len(as_list(outputs) or [outputs]))
        rows = form.rows(xs, ys)
        held_rows = form.rows(held[0], held[1], "validation ") if held else []
        # In a compiled step a target is a Value, which a loss takes as it comes. Let it see some of
        # the numbers: if there is one that it would not have, the smallest or the largest is.
        different = sorted({tuple(row[math.prod(form.x) :]) for row in rows + held_rows})
        for target in different[:FEW] + different[FEW:][-FEW:]:
            with suppress(AttributeError):  # a loss of one's own may ask for what a Value has
                loss(outputs, arranged([*target], form.y or ()))
    return form, rows, held_rows


class Eager:
    """Runs a model as Python does: one example after the other, each with a graph of its own.

    loss: of the outputs and the target of one example; None where only outputs are wanted.
    parameters: what a step differentiates by; empty where there are no steps.
    penalty: of the parameters; a step adds it to the mean loss.
    outputs: whether outputs are wanted at all.
    """

    target = "eager"

    def __init__(
        self,
        model: Callable[[Any], Any],
        form: Form,
        loss: Callable[[Any, Any], Any] | None = None,
        parameters: Sequence[Value] = (),
        penalty: Callable[[Sequence[Value]], Any] | None = None,
        outputs: bool = True,
    ) -> None:
        self.model, self.form, self.loss = model, form, loss
        self.parameters, self.penalty, self.outputs = parameters, penalty, outputs

    def prepared(self, rows: list[list[float]]) -> Rows:
        """The rows as they run fastest."""
        return rows

    def step(self, rows: Rows, seed: str) -> float:
        """The mean loss over the rows, and the penalty; their gradient is added to each `.grad`.

        seed: of what the model draws on the way, by the module `random`.
        """
        total = 0.0
        with drawing(seed):
            for row in rows:
                loss, _ = self.one(list(map(Value, row)))
                loss.backward(1 / len(rows))
                total += loss.data
        if self.penalty is None:
            return total / len(rows)
        penalty = checked_loss(self.penalty(self.parameters), "the penalty")
        penalty.backward()
        return total / len(rows) + penalty.data

    def evaluate(self, rows: Rows) -> tuple[float, Any]:
        """The mean loss over the rows, without the penalty; and the outputs for each of them."""
        with no_grad(), in_mode(self.model, training=False):
            found = [self.one(list(map(Value, row))) for row in rows]
        outputs = [arranged([x.data for x in values], shape) for _, (values, shape) in found]
        return sum(loss.data for loss, _ in found) / len(found), outputs

    def one(self, row: list[Value]) -> tuple[Value, tuple[list[Value], Shape]]:
        """The loss for one example, 0 if there is none; its outputs one by one, and their shape."""
        x, y = self.form.arranged(row)
        outputs = self.model(x)
        loss = Value(0.0)
        if self.loss is not None:
            loss = checked_loss(self.loss(outputs, y), "the loss of one example")
        if not self.outputs:
            return loss, ([], (0,))
        shape = shape_of(outputs, "the list of outputs")
        values = flattened(outputs, shape)
        if values is None:
            raise ValueError(f"the outputs are lists of different lengths: {shown(outputs)}")
        return loss, ([as_value(x) for x in values], shape)


class Compiled(Eager):
    """Runs the compiled graph of one example over many rows at once.

    The noise of `Dropout` is among the inputs of the graph: the very numbers that the model would
    draw eagerly, row after row.
    """

    def __init__(self, eager: Eager, row: list[float], target: Any) -> None:
        vars(self).update(vars(eager))
        leaves = list(map(Value, row))
        self._draws = 0
        if self.parameters:
            with drawing("recording"):
                first = Noise().number + 1
                loss, _ = self.one(leaves)
                self._draws = Noise().number - first
            if self.penalty is not None:
                loss = loss + checked_loss(self.penalty(self.parameters), "the penalty")
            noise = {len(row) + x.number - first: x for x in noise_in(loss)}
            self._step_columns, inputs = in_graph([loss], {**dict(enumerate(leaves)), **noise})
            self._step: Step = compile(loss, inputs, self.parameters, target=target)
        with in_mode(self.model, training=False):
            loss, (values, self._shape) = self.one(leaves)
        roots = values if self.loss is None else [loss, *values]
        self._columns, inputs = in_graph(roots, dict(enumerate(leaves)))
        self._predict: Predictor = compile(roots, inputs, self.parameters, target=target)
        self.target = self._predict.target

    def prepared(self, rows: list[list[float]]) -> Rows:
        """An array, where NumPy is installed."""
        numpy = tables.numpy()
        return rows if numpy is None else numpy.array(rows)

    def step(self, rows: Rows, seed: str) -> float:
        """The same, in one call of compiled code."""
        if self._draws:
            draw = random.Random(seed).random
            rows = beside(rows, [[draw() for _ in range(self._draws)] for _ in rows])
        return self._step(columns_of(rows, self._step_columns))

    def evaluate(self, rows: Rows) -> tuple[float, Any]:
        """The same, in one call of compiled code; the outputs are an array, if NumPy is there."""
        found = self._predict(columns_of(rows, self._columns))
        first = 0 if self.loss is None else 1
        mean = sum(row[0] for row in found) / len(found) if first else 0.0
        if isinstance(found, list):
            return mean, [arranged(row[first:], self._shape) for row in found]
        return float(mean), found[:, first:].reshape(len(found), *self._shape)


def runner_for(eager: Eager, rows: list[list[float]], target: str) -> Eager:
    """What runs this model best: its compiled graph, where that computes what Python computes.

    Where it does not, a warning says why, and Python runs it; unless `target` insists on "native"
    or "python": then it is a ValueError.
    """
    if target not in ("auto", "native", "python", "eager"):
        raise ValueError(f'the target is "auto", "native", "python" or "eager", but got {target!r}')
    if target == "eager":
        return eager
    for p in eager.parameters:  # what was decided on them before now did not shape what comes
        if hasattr(p, "_decided_at"):
            del p._decided_at
    runner, reason = eager, ""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            runner = Compiled(eager, rows[0], target)
            reason = disagreement(eager, runner, rows)
        except ValueError as error:
            reason = str(error)
    said = {str(w.message): w.category for w in found}  # each of them once
    decisions = [text for text, category in said.items() if category is DecisionWarning]
    reason = (decisions or [reason])[0]
    if reason and target != "auto":
        raise ValueError(f"this model cannot be compiled: {reason}")
    if reason:
        runner, said = eager, {f"this model runs without being compiled: {reason}": TargetWarning}
    for text, category in said.items():
        warn(text, category)
    return runner


def disagreement(eager: Eager, compiled: Eager, rows: list[list[float]]) -> str:
    """Where the two differ on a few examples, in a sentence; nothing if they agree.

    Python may decide by numbers in ways that no graph shows: by their `.data`, by a counter, by
    random numbers of its own.
    """
    places = sorted({i * (len(rows) - 1) // (PROBES - 1) for i in range(PROBES)})
    probes = [rows[i] for i in places]
    found = [seen(runner, runner.prepared(probes)) for runner in (eager, compiled)]
    scale = max((abs(x) for x in found[0] if math.isfinite(x)), default=0.0)
    for right, other in zip(*found, strict=True):
        both_nan = right != right and other != other
        if not both_nan and not math.isclose(right, other, rel_tol=1e-9, abs_tol=1e-9 * scale):
            return (
                f"on {len(probes)} examples, the compiled graph of the first gives {other:.6g} "
                f"where Python gives {right:.6g}. Does the model decide by .data, or draw random "
                "numbers of its own?"
            )
    return ""


def seen(runner: Eager, rows: Rows) -> list[float]:
    """All that a runner finds: losses, gradients, outputs."""
    for p in runner.parameters:
        p.grad = NO_GRADIENT
    found = [runner.step(rows, "probe")] if runner.parameters else []
    found += [p.grad for p in runner.parameters]
    for p in runner.parameters:
        p.grad = NO_GRADIENT
    loss, outputs = runner.evaluate(rows)
    if runner.outputs:
        found += flattened(outputs, shape_of(outputs, "outputs")) or ()
    return [*found, loss]


# --- Columns ------------------------------------------------------------------------------------


def in_graph(roots: list[Value], columns: dict[int, Value]) -> tuple[list[int], list[Value]]:
    """Those columns, and their leaves, on which the roots depend: `compile` takes no others."""
    graph = set(map(id, whole_order(*roots)))
    found = {i: leaf for i, leaf in columns.items() if id(leaf) in graph}
    if not found:
        raise ValueError("what it computes does not depend on the data")
    return list(found), list(found.values())


def columns_of(rows: Rows, columns: list[int]) -> Rows:
    if len(columns) == len(rows[0]):
        return rows
    return (
        [[row[i] for i in columns] for row in rows] if isinstance(rows, list) else rows[:, columns]
    )


def beside(rows: Rows, others: list[list[float]]) -> Rows:
    if isinstance(rows, list):
        return [[*row, *other] for row, other in zip(rows, others, strict=True)]
    numpy = tables.numpy()
    return numpy.hstack([rows, others])


def checked_loss(loss: Any, what: str) -> Value:
    if not isinstance(loss, Value):
        raise TypeError(f"{what} is to be a Value, but got {shown(loss)}")
    return loss
