"""A model that runs over rows of numbers: eagerly, or compiled.

With this module you can

- say what is to be run:         task = Task(model, form, loss, parameters)
- have what runs it best:        runner = runner_for(task, rows, "auto")
- run a step over some rows:     mean_loss = runner.step(rows, seed="step 7")
- see how good the model is:     mean_loss, outputs = runner.evaluate(rows)

`fit` and `predict` stand on it. A compiled model has shown on a few examples that it computes what
Python does, and `fit` asks it again; where it does not, Python does it. The numbers are the same.
"""

from __future__ import annotations

import math
import random
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

from ..compiler import tables
from ..compiler.descent import Descent, Steps, descent_of
from ..compiler.step import DecisionWarning, Predictor, Step, compile
from ..compiler.targets import TargetWarning, checked_target
from ..engine.arguments import as_list, shown, unboxed
from ..engine.conditions import Choice, Condition, sources, whole_order
from ..engine.modes import no_grad, warn
from ..engine.value import NO_GRADIENT, Value, as_value
from ..nn import Module, Noise, noise_in
from ..nn.module import values_in
from ..optim import Optimizer
from .examples import Examples, Form, Rows, Shape, arranged, flattened, shape_of

__all__ = ["CompiledRunner", "EagerRunner", "Loss", "Model", "Penalty", "Programs", "Runner"]
__all__ += ["Task", "disagreement", "gradients_kept", "in_mode", "laid_out", "leaves_of"]
__all__ += ["runner_for"]

Model: TypeAlias = Callable[[Any], Any]
Loss: TypeAlias = Callable[[Any, Any], Value]
Penalty: TypeAlias = Callable[[Sequence[Value]], Value]
Programs: TypeAlias = Sequence[tuple[list[Any], Any]]
"""What was compiled, each with the outline of its graph."""

PROBES, CLOSE = 5, 1e-9  # examples on which a compiled model has to agree with Python, and how far
COLUMNS = 4  # of an example's numbers, whose extremes are among these
FEW = 16  # how many of the smallest targets, and of the largest, a loss has a look at


@contextmanager
def seeded(seed: str) -> Iterator[None]:
    """Inside, `random` draws what the seed says; outside, it goes on as if nothing had happened."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def in_mode(model: Model, training: bool) -> Iterator[None]:
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
    model: Model, loss: Loss, examples: Examples, held: Examples | None
) -> tuple[Form, list[list[float]], list[list[float]], list[Value]]:
    """The form of the examples, their rows, and the rows of those for validation; and the leaves
    that the model was found to be made of, by a look at a few of them."""
    xs, ys = examples
    form = Form.of(xs[0])
    [row] = form.rows(xs[:1])
    with seeded("first look"):
        outputs = model(form.arranged(list(map(Value, row)))[0])
        form = Form.of(xs[0], ys[0], len(as_list(outputs) or [outputs]))
        rows = form.rows(xs, ys)
        held_rows = form.rows(*held, "validation ") if held else []
        results = seen_by(loss, outputs, form, rows, held_rows)
        for i in sorted(spread(rows)):
            results.append(model(form.arranged(list(map(Value, rows[i])))[0]))
    own = model.parameters() if isinstance(model, Module) else []
    return form, rows, held_rows, own + leaves_of([outputs, results])


def seen_by(
    loss: Loss, outputs: Any, form: Form, rows: list[list[float]], held: list[list[float]]
) -> list[Any]:
    """What a loss makes of some of the targets; an error that it raises says of which.

    In a compiled step a target is a Value, which a loss takes as it comes. Let it see some of the
    numbers: if there is one that it would not have, the smallest or the largest is, or its sum.
    """
    targets = [tuple(row[math.prod(form.x) :]) for row in rows + held]
    different = sorted({*targets})
    measures: list[Callable[[Sequence[float]], float]] = [sum]
    measures += map(itemgetter, range(len(targets[0])))
    extreme = [most(different, key=x) for x in measures for most in (min, max)]
    results: list[Any] = []
    refused: list[tuple[int, Exception]] = []
    for target in dict.fromkeys(different[:FEW] + different[-FEW:] + extreme):
        try:
            results.append(loss(outputs, arranged([*target], form.y or ())))
        except AttributeError:  # a loss of one's own may ask for what a Value has
            pass
        except (TypeError, ValueError) as error:
            refused.append((targets.index(target), error))
    if refused:
        place, first = min(refused, key=lambda each: each[0])
        if results or len({str(error) for _, error in refused}) > 1:  # it is about that target
            validation = place >= len(rows)
            name = f"{'validation ' * validation}ys[{place - len(rows) * validation}]"
            said = re.sub(r"\btargets(?=\[)", name, str(first))
            first.args = (said if name in said else f"{name}: {said}",)
        raise first
    return results


def leaves_of(results: Any) -> list[Value]:
    """The leaves that the Values in nested lists depend on."""
    order = whole_order(*values_in(results))
    return [x for x in order if isinstance(x, Value) and x.operation is None]


@dataclass(frozen=True)
class Task:
    """What a model is run for, one example after the other.

    loss: of the outputs and the target of one example; None where only outputs are wanted.
    parameters: what a step differentiates by; empty where there are no steps.
    penalty: of the parameters; a step adds it to the mean loss.
    outputs: whether outputs are wanted at all.
    evaluated: whether `evaluate` is going to be called at all.
    """

    model: Model
    form: Form
    loss: Loss | None = None
    parameters: Sequence[Value] = ()
    penalty: Penalty | None = None
    outputs: bool = True
    evaluated: bool = True

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

    def penalty_now(self) -> Value | None:
        """The penalty as the parameters are now, if there is one."""
        if self.penalty is None:
            return None
        return checked_loss(self.penalty(self.parameters), "the penalty")


class EagerRunner:
    """Runs a task as Python does: one example after the other, each with a graph of its own."""

    target = "eager"

    def __init__(self, task: Task) -> None:
        self.task, self.programs = task, ()

    def prepared(self, rows: list[list[float]]) -> Rows:
        """The rows as they run fastest."""
        return rows

    def descent(self, optimizer: Optimizer, clip: float | None, seed: int) -> Descent:
        """What takes the steps of a training; what is drawn on the way, the seed says."""
        return Descent(lambda rows, n: self.step(rows, noise(seed, n)), optimizer, clip)

    def step(self, rows: Rows, seed: str) -> float:
        """The mean loss over the rows, and the penalty; their gradient is added to each `.grad`.

        seed: of what the model draws on the way, by the module `random`.
        """
        total = 0.0
        with seeded(seed):
            for row in rows:
                loss, _ = self.task.one(list(map(Value, row)))
                loss.backward(1 / len(rows))
                total += loss.data
        penalty = self.task.penalty_now()
        if penalty is None:
            return total / len(rows)
        penalty.backward()
        return total / len(rows) + penalty.data

    def evaluate(self, rows: Rows) -> tuple[float, Any]:
        """The mean loss over the rows, without the penalty; and the outputs for each of them."""
        with no_grad(), in_mode(self.task.model, training=False):
            results = [self.task.one(list(map(Value, row))) for row in rows]
        outputs = [arranged([x.data for x in values], shape) for _, (values, shape) in results]
        return sum(loss.data for loss, _ in results) / len(results), outputs


class CompiledRunner:
    """Runs the compiled graph of one example over many rows at once.

    The noise of `Dropout` is among the inputs of the graph: the very numbers that the model would
    draw eagerly, row after row.

    earlier: programs of another runner. What is recorded is recorded anew, and where it is the very
        graph that one of them was compiled of, that one does.
    """

    def __init__(self, task: Task, row: list[float], target: str, earlier: Programs = ()) -> None:
        self.task, self._wanted, self._earlier = task, target, earlier
        self.programs: list[tuple[list[Any], Any]] = []
        leaves = dict(enumerate(map(Value, row)))
        if task.parameters:
            self._compile_step(leaves)
        if task.evaluated:
            self._compile_evaluation(leaves)
        self.target = (self._step if task.parameters else self._predict).target

    def _compiled(self, outputs: Value | list[Value], inputs: list[Value]) -> Any:
        parameters = self.task.parameters
        graph = [self._wanted, type(outputs), *outline(values_in(outputs), inputs, parameters)]
        same = [program for known, program in self._earlier if known == graph]
        program = same[0] if same else compile(outputs, inputs, parameters, target=self._wanted)
        self.programs.append((graph, program))
        return program

    def _compile_evaluation(self, leaves: dict[int, Value]) -> None:
        with in_mode(self.task.model, training=False):
            loss, (values, self._shape) = self.task.one(list(leaves.values()))
        roots = [loss, *values]
        self._columns, inputs = in_graph(roots, leaves)
        self._predict: Predictor = self._compiled(roots, inputs)

    def _compile_step(self, leaves: dict[int, Value]) -> None:
        with seeded("recording"):
            first = Noise().number + 1
            loss, _ = self.task.one(list(leaves.values()))
            self._draws = Noise().number - first
        penalty = self.task.penalty_now()
        if penalty is not None:
            loss = loss + penalty
        noise = {len(leaves) + x.number - first: x for x in noise_in(loss)}
        self._step_columns, inputs = in_graph([loss], leaves | noise)
        self._step: Step = self._compiled(loss, inputs)

    def prepared(self, rows: list[list[float]]) -> Rows:
        """An array, where NumPy is installed."""
        numpy = tables.numpy()
        return rows if numpy is None else numpy.array(rows)

    def descent(self, optimizer: Optimizer, clip: float | None, seed: int) -> Descent:
        """The same; in native code, if that can be."""

        def laid_out(steps: Steps) -> tables.Buffer:
            if not self._draws:
                return self._step._rows(columns_of(steps.rows, self._step_columns))[0]
            batches = [self._laid_out(rows, noise(seed, n)) for n, rows in steps.batches()]
            numpy = tables.numpy()
            rows = [*chain(*batches)] if numpy is None else numpy.vstack(batches)
            return self._step._rows(rows)[0]

        def step(rows: Rows, number: int) -> float:
            return self.step(rows, noise(seed, number))

        return descent_of(self._step, laid_out, self._draws, step, optimizer, clip)

    def step(self, rows: Rows, seed: str) -> float:
        """The same, in one call of compiled code."""
        return self._step(self._laid_out(rows, seed))

    def _laid_out(self, rows: Rows, seed: str) -> Rows:
        """The columns that the step reads, and what is drawn for it."""
        if self._draws:
            draw = random.Random(seed).random
            rows = beside(rows, [[draw() for _ in range(self._draws)] for _ in rows])
        return columns_of(rows, self._step_columns)

    def evaluate(self, rows: Rows) -> tuple[float, Any]:
        """The same, in one call of compiled code; the outputs are an array, if NumPy is there."""
        results = self._predict(columns_of(rows, self._columns))
        mean = float(sum(row[0] for row in results) / len(results))
        if isinstance(results, list):
            return mean, [arranged(row[1:], self._shape) for row in results]
        return mean, results[:, 1:].reshape(len(results), *self._shape)


Runner: TypeAlias = EagerRunner | CompiledRunner


def runner_for(task: Task, rows: list[list[float]], target: str, earlier: Programs = ()) -> Runner:
    """What runs this task best: its compiled graph, where that computes what Python computes.

    earlier: what was compiled before, to be used where nothing has changed.

    Where it does not, a warning says why, and Python runs it; unless `target` insists on "native"
    or "python": then it is a ValueError.
    """
    eager = EagerRunner(task)
    if checked_target(target, "eager") == "eager":
        return eager
    for p in task.parameters:  # what was decided on them before now did not shape what comes
        if hasattr(p, "_decided_at"):
            del p._decided_at
    reason = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            compiled = CompiledRunner(task, rows[0], target, earlier)
            reason = disagreement(compiled, rows)
        except ValueError as error:
            reason = str(error)
    said = {str(w.message): w.category for w in caught}  # each of them once
    decisions = [text for text, category in said.items() if category is DecisionWarning]
    reason = (decisions or [reason])[0]
    if reason and target != "auto":
        raise ValueError(f"this model cannot be compiled: {reason}")
    if reason:
        said = {f"this model runs without being compiled: {reason}": TargetWarning}
    for text, category in said.items():
        warn(text, category)
    return eager if reason else compiled


def disagreement(compiled: CompiledRunner, rows: list[list[float]]) -> str:
    """Where a compiled model differs from Python on a few examples, in a sentence; nothing if they
    agree.

    They are from all over the rows, and extreme ones, where a threshold is passed first. Python may
    decide by numbers in ways that no graph shows: by their `.data`, by a counter, by random numbers
    of its own.
    """
    probes = [rows[i] for i in sorted(spread(rows) | extremes(rows))]
    expected, computed = (all_numbers(x, probes) for x in (EagerRunner(compiled.task), compiled))
    # What nearly cancels, as errors do at the end of a training, is rounding and no more.
    parameters = (p.data for p in compiled.task.parameters)
    numbers = (abs(x) for x in chain(expected, parameters, *probes) if math.isfinite(x))
    scale = max(numbers, default=0.0)
    for right, other in zip(expected, computed, strict=True):
        if (right is NO_GRADIENT) != (other is NO_GRADIENT) or not close(right, other, scale):
            right_, other_ = map(in_words, (right, other))
            return (
                f"on {len(probes)} examples, the compiled graph of the first gives {other_} where "
                f"Python gives {right_}. Does the model decide by .data, or draw random numbers of "
                "its own?"
            )
    return ""


def spread(rows: list[list[float]]) -> set[int]:
    """A few places, from the first to the last."""
    return {i * (len(rows) - 1) // (PROBES - 1) for i in range(PROBES)}


def extremes(rows: list[list[float]]) -> set[int]:
    """Where each of the first few numbers of an example, and the last, is smallest and largest."""
    places = {*range(min(COLUMNS, len(rows[0]))), len(rows[0]) - 1}
    columns = ([(row[i], place) for place, row in enumerate(rows)] for i in sorted(places))
    return {place for column in columns for _, place in (min(column), max(column))}


def all_numbers(runner: Runner, rows: list[list[float]]) -> list[float]:
    """All that a runner computes: losses, gradients, outputs."""
    task, prepared = runner.task, runner.prepared(rows)
    numbers: list[float] = []
    if task.parameters:
        for p in task.parameters:
            p.grad = NO_GRADIENT
        numbers = [runner.step(prepared, "probe"), *(p.grad for p in task.parameters)]
        for p in task.parameters:
            p.grad = NO_GRADIENT
    if task.evaluated:
        loss, outputs = runner.evaluate(prepared)
        numbers.append(loss)
        if task.outputs:
            numbers += flattened(outputs, shape_of(outputs, "outputs")) or ()
    return numbers


def close(right: float, other: float, scale: float) -> bool:
    # Where inf or nan come up, a compiled step may give one for the other.
    neither = not math.isfinite(right) and not math.isfinite(other)
    return neither or math.isclose(right, other, rel_tol=CLOSE, abs_tol=CLOSE * scale)


def in_words(gradient: float) -> str:
    return "no gradient" if gradient is NO_GRADIENT else f"{gradient:.6g}"


@contextmanager
def gradients_kept(leaves: Iterable[Value]) -> Iterator[None]:
    """Inside, steps may add to these gradients; outside, they are as they were."""
    before = [(leaf, leaf.grad) for leaf in leaves]
    try:
        yield
    finally:
        for leaf, gradient in before:
            leaf.grad = gradient


def outline(
    roots: Sequence[Value], inputs: Sequence[Value], parameters: Sequence[Value]
) -> list[Any]:
    """All that a program depends on of a graph: equal, where `compile` would make the same of it.

    Constants are in it as numbers; other leaves by their ids, which stay theirs for as long as the
    program keeps them: their numbers are read at each call.
    """
    order = whole_order(*roots)
    places = {id(x): place for place, x in enumerate(order)}
    named = {id(x): f"input {i}" for i, x in enumerate(inputs)}
    named |= {id(x): f"parameter {id(x)}" for x in parameters}
    rows: list[Any] = [[places[id(x)] for x in roots]]
    for x in order:
        if isinstance(x, Condition):
            what: Any = x.relation, [repr(o) for o in x.operands if id(o) not in places]
        elif x.operation is None:
            what = named.get(id(x)) or (x._data.hex() if x._constant else id(x))
        else:
            what = "where" if isinstance(x.operation, Choice) else x.operation
        rows.append((what, [places[id(o)] for o in sources(x)], getattr(x, "_decided_at", None)))
    return rows


def noise(seed: int, step: int) -> str:
    """The seed of what is drawn in a step."""
    return f"{seed} noise {step}"


# --- Columns ------------------------------------------------------------------------------------


def in_graph(roots: list[Value], columns: dict[int, Value]) -> tuple[list[int], list[Value]]:
    """Those columns, and their leaves, on which the roots depend: `compile` takes no others."""
    graph = set(map(id, whole_order(*roots)))
    used = {i: leaf for i, leaf in columns.items() if id(leaf) in graph}
    if not used:
        raise ValueError("what it computes does not depend on the data")
    return list(used), list(used.values())


def columns_of(rows: Rows, columns: list[int]) -> Rows:
    if len(columns) == len(rows[0]):
        return rows
    if isinstance(rows, list):
        return [[row[i] for i in columns] for row in rows]
    return rows[:, columns]


def beside(rows: Rows, others: list[list[float]]) -> Rows:
    if isinstance(rows, list):
        return [[*row, *other] for row, other in zip(rows, others, strict=True)]
    return tables.numpy().hstack([rows, others])


def checked_loss(loss: object, what: str) -> Value:
    loss = unboxed(loss)
    if not isinstance(loss, Value):
        raise TypeError(f"{what} is to be a Value, but got {shown(loss)}")
    return loss
