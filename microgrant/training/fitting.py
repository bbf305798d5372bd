"""Training: the loop that every introduction draws, from examples to a model that has learned.

With this module you can

- train:                     history = fit(model, cross_entropy, (xs, ys), epochs=20, batch_size=32)
- stop when it is time:      fit(…, validation=0.2, patience=10), or Ctrl-C
- look on, and stop it:      fit(…, on_epoch=lambda history: history.loss[-1] > 0.01)
- go on where it stopped:    fit(…, resume=history), or history.state out of a file
- use what was learned:      outputs = predict(model, xs)

The graph of one example is recorded and compiled (see `microgrant.compiler`), and then runs over
all examples. A model that cannot be compiled is run by Python, with the same numbers, only slower.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, NoReturn, TypeAlias

from ..compiler import tables
from ..compiler.descent import Batches, Steps, checked_clip, shuffled
from ..compiler.targets import TargetWarning
from ..engine.arguments import as_number, shown, whole_number
from ..engine.habits import refuse
from ..engine.modes import inside, recording, warn
from ..engine.value import Value
from ..extras import imported
from ..nn import Module
from ..optim import SGD, Optimizer, Schedule, constant
from .examples import Examples, Form, Rows, examples, pair
from .history import COLUMNS, History, checked_state
from .runners import (
    CompiledRunner,
    EagerRunner,
    Loss,
    Model,
    Penalty,
    Runner,
    Task,
    disagreement,
    gradients_kept,
    in_mode,
    laid_out,
    leaves_of,
    runner_for,
)

__all__ = ["DecisionError", "DivergenceError", "fit", "predict"]

OptimizerOf: TypeAlias = Callable[[list[Value]], Optimizer]
OnEpoch: TypeAlias = Callable[[History], object]
Metric: TypeAlias = Callable[[Any, Any], float]
State: TypeAlias = Mapping[str, Any]

WORTH_COMPILING = 100  # inputs to predict; fewer are done before the compiler is
# After which epochs what is compiled is compared with Python: at first often, as that is when a
# model changes most, and then seldom: one example takes Python as long as a few native epochs.
CHECKS: set[int] = {1, 2, *(4 * 8**i for i in range(20))}
FUNCTIONS = {
    "model": "a Module or a function of one input",
    "loss": "a function of outputs and a target, such as losses.cross_entropy",
    "penalty": "a function of the parameters, such as lambda ps: 1e-4 * l2(ps)",
    "schedule": "a function of the number of the step, as those in microgrant.optim",
    "metric": "a function of outputs and targets, such as accuracy",
    "on_epoch": "a function of the history so far, such as print",
}


# What other libraries call the settings of a training.
HABITS = {
    "lr": "it is called learning_rate here",
    "n_epochs": "it is called epochs here",
    "max_iter": "it is called epochs here",
    "callbacks": "on_epoch=function is called after each epoch",
    "validation_data": "it is called validation here, a pair (xs, ys)",
    "validation_split": "it is called validation here, a fraction or a pair",
    "criterion": "it is the second argument, the loss",
    "verbose": "it is called progress here",
    "shuffle": "examples are shuffled in each epoch, as seed says",
}


class DivergenceError(FloatingPointError):
    """The loss, a gradient or a parameter became nan or infinite.

    history: of the epochs before.
    """

    history: History


class DecisionError(ValueError):
    """A decision of Python's began to matter while a model was trained that was to be compiled.

    history: of the epochs as long as it did not; the parameters are those after these.
    """

    history: History


def fit(
    model: Model,
    loss: Loss,
    data: tuple[Any, Any],
    *,
    epochs: int = 100,
    batch_size: int | None = None,
    optimizer: Optimizer | OptimizerOf = SGD,
    learning_rate: float | None = None,
    schedule: Schedule | None = None,
    penalty: Penalty | None = None,
    clip: float | None = None,
    validation: float | tuple[Any, Any] | None = None,
    patience: int | None = None,
    metric: Metric | None = None,
    on_epoch: OnEpoch | None = None,
    seed: int = 0,
    target: str = "auto",
    progress: bool | None = None,
    resume: State | History | None = None,
    **habits: NoReturn,
) -> History:
    """Train a model on examples: forward, loss, backward, update, and again.

    model: a function of one example x, a `Module` as a rule.
    loss: a function of the outputs and the target of one example, as in `microgrant.losses`.
    data: a pair (xs, ys) with as many inputs as targets, as lists, arrays, or tables of pandas or
        polars, whose rows are lists. An input is a number, a list, or nested lists such as an
        image. So is a target; where it is a whole number and the model has several outputs, it is
        the number of the right class, and the loss gets it as a list of probabilities: of class 1
        of three, [0.0, 1.0, 0.0].
    epochs: how often to go through all examples.
    batch_size: how many examples make one step; by default all of them. They are shuffled anew in
        each epoch; the last batch may be smaller.
    optimizer: ``Adam(model.parameters(), 0.01)``, or a function that makes one of the parameters.
        Only the parameters that it holds are trained.
    learning_rate: that of the optimiser, where it is made here: of SGD, of a class such as
        ``optimizer=Adam``, of what a function makes. An `Optimizer` that is given has one already,
        and a schedule says them all: a ValueError. By default, it is what the optimiser begins
        with, or what it was where a training is resumed.
    schedule: the learning rate of each step, counted in updates from 0 on. It is a function of that
        number alone: it may be asked for many steps before they are taken.
    penalty: of the parameters, added to the mean loss: ``lambda ps: 1e-4 * l2(ps)``.
    clip: the largest norm of all gradients together; see `clip_gradients`.
    validation: a pair (xs, ys) of other examples, or which fraction of the data is kept apart.
    patience: stop when the validation loss has not become lower for so many epochs, and put the
        parameters back to what they were when it was lowest.
    metric: a function of all outputs and targets, such as `accuracy`; it is noted after each epoch
        for the validation data, or for the data if there are none.
    on_epoch: a function of the history so far, called after each epoch. False stops the training.
        What it changes counts: in the optimiser (``optimizer.learning_rate``), in the model, and in
        what a loss or a penalty looks at; for that, the graph of an example is recorded after each
        epoch, and compiled where it is another one. The next epoch is in training mode, whatever
        mode it left the model in. Where the training goes back, epochs come once more.
    seed: of all that is drawn: the order of examples, what is kept apart, what `Dropout` drops.
        (The first weights were drawn when the model was made.)
    target: what is to run: "eager", or one of those of `compile`, such as "native" or "auto". The
        numbers are the same.
    progress: a bar on stderr, by tqdm (the extra `lessons`): True for always, False for never;
        by default where tqdm is installed, and not before two seconds have gone by.
    resume: the history of a training that was stopped, or its `state`, to go on from there as if it
        had never been. All else is to be as it was; `epochs` counts from the beginning. A history
        knows what was compiled: where the graph is the same, that is used once more.

    Ctrl-C ends the training after the last complete step, and the history so far is returned, with
    `interrupted` set. A `DivergenceError` says so when the loss is nan or infinite: then the
    parameters are those of the last step after which all of them were finite. In both cases, with
    `patience`, they are those of the lowest validation loss. Any other error on the way, as in a
    metric or in `on_epoch`, leaves all as it was after the last complete step; and each carries the
    `history` until then.

    A model may decide by the `.data` of a Value, which no graph shows. So what is compiled is
    compared with Python on a few examples, those with the smallest and the largest numbers among
    them: at the beginning, after epochs 1, 2, 4, 32, 256 and so on, and at the end. Where they
    differ, a `TargetWarning` says so, and Python goes on from where they last agreed; where
    "native" or "python" was asked for, a `DecisionError` does. A decision that matters only in
    between, or for other examples, is not seen: `where` decides in the graph, for all of them.

    The parameters that are trained are left without a gradient; all others keep what they had.

    A ValueError or TypeError says what about the examples or the settings does not fit.

    >>> from microgrant import Value
    >>> from microgrant.losses import mean_squared_error
    >>> from microgrant.nn import Neuron
    >>> line = Neuron(1, activation="linear")
    >>> line.w[0].data = 0.0
    >>> xs, ys = [0, 1, 2, 3], [1, 3, 5, 7]
    >>> fit(line, mean_squared_error, (xs, ys), epochs=100, learning_rate=0.1)
    epoch      loss  learning rate
        1        21            0.1
       10  3.236e−4            0.1
       ...
      100  5.195e−9             0.1
    >>> print(f"{line.w[0]:.3f} {line.b:.3f}")
    2.000 1.000
    """
    refuse("fit", habits, HABITS)
    if inside("no_grad"):
        raise ValueError("fit records what it trains: call it outside of `with no_grad()`")
    _check_functions(
        model=model, loss=loss, penalty=penalty, schedule=schedule, metric=metric, on_epoch=on_epoch
    )
    settings = _Settings(
        epochs, batch_size, learning_rate, schedule, clip, patience, metric, on_epoch, seed
    )
    train, held = _divided(data, validation, settings.seed)
    if settings.patience and held is None:
        raise ValueError("patience watches the validation loss: give validation=0.2, or a pair")
    learner = _optimizer(model, optimizer, learning_rate)
    with in_mode(model, training=True):
        form, rows, held_rows, leaves = laid_out(model, loss, train, held)
        outputs = metric is not None
        evaluated = outputs or held is not None
        task = Task(model, form, loss, learner.parameters, penalty, outputs, evaluated)
        course = _Course(settings, rows, held_rows, (held or train)[1], learner)
        if resume is not None:
            course.resume(resume.state if isinstance(resume, History) else resume)
        earlier = resume._programs if isinstance(resume, History) else ()
        leaves += leaves_of(task.penalty_now())
        with gradients_kept({*leaves} - {*learner.parameters}):
            runner = runner_for(task, rows + held_rows, target, earlier)
            return course.run(runner, target, progress)


@dataclass
class _Settings:
    """How a training is to go; the arguments of `fit` of these names, checked."""

    epochs: int
    batch_size: int | None
    learning_rate: float | None
    schedule: Schedule | None
    clip: float | None
    patience: int | None
    metric: Metric | None
    on_epoch: OnEpoch | None
    seed: int

    def __post_init__(self) -> None:
        self.seed = whole_number("seed", self.seed, least=None)
        self.epochs = whole_number("epochs", self.epochs)
        if self.patience is not None:
            self.patience = whole_number("patience", self.patience)
        self.clip = checked_clip(self.clip)
        if self.batch_size is not None:
            self.batch_size = whole_number("batch_size", self.batch_size)
        if self.schedule is not None and self.learning_rate is not None:
            raise ValueError("a schedule says each learning rate: leave out learning_rate")


@dataclass
class _Course:
    """A training under way, on rows of numbers.

    fixed: what may not change when the training is resumed.
    held: the rows for validation; none, if there is none.
    columns: what is noted of each epoch; only the epochs that are complete count.
    done: all else that is to be known after the last complete step. It is replaced as a whole and
        never changed in itself, so that it is right whenever Ctrl-C comes. What is drawn at random
        depends on the number of the epoch or step: no generator has a state that would count.
    agreed: what was done when the runner was last seen to compute what Python does.
    stopped: whether `on_epoch` stopped it.
    """

    settings: _Settings
    rows: Rows
    held: Rows
    targets: list[Any]
    optimizer: Optimizer
    bar: Any = None
    stopped: bool = False

    def __post_init__(self) -> None:
        metric = self.settings.metric
        self.batches = Batches(self.rows, self.settings.batch_size, self.settings.seed)
        self.fixed = {
            "seed": self.settings.seed,
            "parameters": len(self.optimizer.parameters),
            "examples": self.batches.count,
            "batch_size": self.batches.size,
            "validation": len(self.held),
            "metric": None if metric is None else getattr(metric, "__name__", "?"),
        }
        self.columns: dict[str, list[float]] = {name: [] for name in COLUMNS}
        self.done: dict[str, Any] = {
            "epoch": 0,  # how many are complete
            "batch": 0,  # how many steps are, in the epoch under way; and the total of their losses
            "total": 0.0,
            "learned": None,  # as `microgrant.compiler.descent` has it; and its learning rate
            "rate": 0.0,
            "best": None,  # the lowest validation loss, its epoch, and the parameters then
        }

    def resume(self, state: State) -> None:
        """Go on from the state of another course, or say why that cannot be."""
        state = checked_state(state)
        for name, now in self.fixed.items():
            if (then := state["fixed"].get(name)) != now:
                raise ValueError(
                    f"to be resumed is a training with {name} = {then!r}, but here it is {now!r}"
                )
        self.optimizer.load_state(state["optimizer"])
        # The columns are to grow, and those of the state are not ours.
        self.columns = {name: [*state["history"][name]] for name in COLUMNS}
        self._put(state["parameters"])
        if self.settings.learning_rate is not None:
            self.optimizer.learning_rate = self.settings.learning_rate
        self.done = {name: state[name] for name in self.done if name in state}

    def run(self, runner: Runner, target: str, progress: bool | None) -> History:
        """The epochs that are left; `runner` computes what Python does, as the parameters are."""
        self.target = target
        self._run_by(runner)
        self.agreed = self.done
        note, interrupted = "", False
        try:
            with _bar(progress, self._steps(self.settings.epochs), self._steps()) as self.bar:
                while not self._ended() or self._went_back():
                    try:
                        self._advance()
                    except DivergenceError:
                        if not self._went_back():
                            raise
                    if self.done["epoch"] in CHECKS and not self._ended():
                        self._went_back()
            if self.stopped:
                note = f"stopped by on_epoch after epoch {self.done['epoch']}"
            elif self.done["epoch"] < self.settings.epochs:
                note = f"stopped: no lower validation loss for {self.settings.patience} epochs"
        except KeyboardInterrupt:
            note, interrupted = f"interrupted in epoch {self.done['epoch'] + 1}", True
            with suppress(KeyboardInterrupt):  # again: then nothing is checked
                self._went_back(stopped=True)
        except Exception as error:
            if not isinstance(error, (DivergenceError, DecisionError)):  # of somebody's own code
                with suppress(Exception, KeyboardInterrupt):
                    self._went_back(stopped=True)
            what = "diverged" if isinstance(error, DivergenceError) else "stopped"
            history = self._finished(f"{what} in epoch {self.done['epoch'] + 1}", False)
            error.history = history  # type: ignore[attr-defined]
            raise
        return self._finished(note, interrupted)

    def _run_by(self, runner: Runner) -> None:
        """From now on, this one runs."""
        self.runner = runner
        self.batches.rows, self.prepared_held = map(runner.prepared, (self.rows, self.held))
        self._set_out()

    def _set_out(self) -> None:
        """From what parameters and optimiser are now."""
        settings = self.settings
        self.descent = self.runner.descent(self.optimizer, settings.clip, settings.seed)
        learned = self.descent.learned()
        self.done = self.done | {"learned": learned, "rate": self.optimizer.learning_rate}

    def _ended(self) -> bool:
        """Whether all epochs are complete, or patience is at an end, or `on_epoch` stopped it."""
        epoch, best, patience = self.done["epoch"], self.done["best"], self.settings.patience
        tired = patience and best and epoch - best["epoch"] >= patience
        return bool(epoch >= self.settings.epochs or tired or self.stopped)

    def _went_back(self, stopped: bool = False) -> bool:
        """Whether the runner no longer computes what Python does: then all is as it was when it
        did, and Python goes on from there; unless a target was insisted on, and nobody stopped.
        """
        if not isinstance(self.runner, CompiledRunner):
            return False
        self.descent.put(self.done["learned"])
        reason = disagreement(self.runner, self.rows + self.held)
        if not reason:
            self.agreed = self.done
            return False
        reason = f"after {self._steps()} steps, {reason}"
        self.done = self.agreed
        epoch = self.done["epoch"]
        self.descent.put(self.done["learned"])
        self.columns = {name: column[:epoch] for name, column in self.columns.items()}
        if self.bar is not None:
            self.bar.update(self._steps() - self.bar.n)
        if self.target != "auto" and not stopped:
            raise DecisionError(
                f"this model can no longer be compiled: {reason} After {self._steps()} steps it "
                'could: target="auto" with resume=error.history goes on from there'
            )
        begin = f"once more from epoch {epoch + 1} on"
        warn(f"this model runs without being compiled, {begin}: {reason}", TargetWarning)
        self._run_by(EagerRunner(self.runner.task))
        return True

    def _finished(self, note: str, interrupted: bool) -> History:
        """The history; the model is left as it was after the last complete step, or at its best."""
        best = self.done["best"]
        self.descent.put(self.done["learned"])
        self.optimizer.zero_grad()
        back = self.settings.patience and best is not None
        if back:
            note += f"{'; ' * bool(note)}the parameters are those of epoch {best['epoch']}"
        history = self._history(note, interrupted)
        if back:
            self._put(best["parameters"])
        return history

    def _history(self, note: str = "", interrupted: bool = False) -> History:
        """The history so far; parameters and optimiser are as they were learned last."""
        columns = {name: column[: self.done["epoch"]] for name, column in self.columns.items()}
        done = {name: x for name, x in self.done.items() if name not in ("learned", "rate")}
        learned = {"parameters": self._parameters(), "optimizer": self.optimizer.state()}
        state = {"fixed": self.fixed, **done, **learned, "history": columns}
        return History(state, note, interrupted, self.runner.target, self.runner.programs)

    def _advance(self) -> None:
        """The steps up to where somebody looks; and then, how good is the model?"""
        settings, done = self.settings, dict(self.done)
        watched = bool(self.held or settings.metric or settings.on_epoch)
        if done["batch"] == self.batches.per_epoch and not watched:  # it was, before it was resumed
            self._count(done)
            self.done = done
            return
        epoch = done["epoch"]
        ends = [epoch + 1] if watched else [*CHECKS, settings.epochs]
        end = min(each for each in ends if each > epoch)
        steps = range(self._steps(), self._steps(end))
        rate = settings.schedule or constant(self.optimizer.learning_rate)
        note = partial(self._note, watched)
        if what := self.batches.run(self.descent, self.done["learned"], steps, rate, note):
            raise self._diverged(what)
        if watched:
            self.descent.write(self.done["learned"])
            best = self._measured()
            if settings.metric is not None:
                self._look()
            done = dict(self.done)
            self._count(done)
            self.done = done | {"best": best}
        if settings.on_epoch is not None:
            answer = settings.on_epoch(self._history())
            self._look()
            # NumPy has a False of its own; another 0, or an empty list, is no answer.
            self.stopped = type(answer).__name__ in ("bool", "bool_") and not answer
            self._renew()

    def _note(self, watched: bool, learned: Any, losses: list[float], steps: Steps) -> None:
        """Steps are done, and epochs; one that is watched is complete when it was measured."""
        done = self.done | {"learned": learned}
        for loss, size, rate in zip(losses, steps.sizes, steps.rates, strict=False):
            done["total"] += loss * size
            done["batch"] += 1
            done["rate"] = rate
            if done["batch"] == self.batches.per_epoch and not watched:
                self._count(done)
        self.done = done
        if self.bar is not None and losses:
            self.bar.update(len(losses))
            self.bar.set_postfix(loss=f"{losses[-1]:.4g}", refresh=False)

    def _count(self, done: dict[str, Any]) -> None:
        """An epoch is complete."""
        done["epoch"] += 1
        self.columns["loss"].append(done["total"] / self.batches.count)
        self.columns["learning_rate"].append(done["rate"])
        done |= {"batch": 0, "total": 0.0}

    def _look(self) -> None:
        """Go on from what somebody else's function has left: it may have changed anything."""
        if not all(map(math.isfinite, self._parameters())):
            raise self._diverged("a parameter is nan or infinite")
        self._set_out()

    def _renew(self) -> None:
        """Go on with the model as it is now: `on_epoch` may have changed more than parameters."""
        task, runner = self.runner.task, self.runner
        if isinstance(task.model, Module):
            task.model.train()
        if self._ended() or not isinstance(runner, CompiledRunner):
            return
        with warnings.catch_warnings(), suppress(ValueError):
            warnings.simplefilter("ignore")  # `runner_for` compiles it again, and says so then
            now = CompiledRunner(task, self.rows[0], self.target, runner.programs).programs
            if [graph for graph, _ in now] == [graph for graph, _ in runner.programs]:
                return
        self._run_by(runner_for(task, self.rows + self.held, self.target, runner.programs))
        self.agreed = self.done

    def _measured(self) -> dict[str, Any] | None:
        """Note the validation loss and the metric after an epoch; the best of the epochs so far."""
        best: dict[str, Any] | None = self.done["best"]
        metric = self.settings.metric
        if not self.held and metric is None:
            return best
        rows = self.prepared_held if self.held else self.batches.rows
        loss, outputs = self.runner.evaluate(rows)
        if metric is not None:
            self.columns["metric"].append(as_number(metric(outputs, self.targets)))
        if not self.held:
            return best
        if not math.isfinite(loss):
            raise self._diverged(f"the validation loss is {loss}")
        self.columns["validation_loss"].append(loss)
        if best is None or loss < best["loss"]:
            epoch = self.done["epoch"] + 1
            best = {"loss": loss, "epoch": epoch, "parameters": self._parameters()}
        return best

    def _diverged(self, what: str) -> DivergenceError:
        rate = self.optimizer.learning_rate
        at = f"{what} in epoch {self.done['epoch'] + 1}, at a learning rate of {rate:g}"
        bad = next((i for i, row in enumerate(self.rows) if not all(map(math.isfinite, row))), None)
        if bad is not None:
            return DivergenceError(f"{at}: there is a nan or inf in example {bad}")
        return DivergenceError(
            f"{at}: a lower learning rate or clip=1.0 may help, and `with detect_anomaly():` shows "
            "where it comes up"
        )

    def _parameters(self) -> list[float]:
        return [p._data for p in self.optimizer.parameters]

    def _put(self, numbers: Sequence[float]) -> None:
        for p, number in zip(self.optimizer.parameters, numbers, strict=True):
            p.data = number

    def _steps(self, epochs: int | None = None) -> int:
        """How many steps are complete; or will be, after so many epochs."""
        if epochs is None:
            return int(self._steps(self.done["epoch"]) + self.done["batch"])
        return epochs * self.batches.per_epoch


def predict(model: Model, xs: Any, *, target: str = "auto") -> Any:
    """The outputs of a model for many inputs, in `eval` mode: an entry for each.

    An array where NumPy is installed, else a list. The model is compiled where there are enough
    inputs for that to pay; `target` is as in `fit`. To predict again and again, compile once. What
    is compiled has to agree with Python on five inputs from first to last, and on extreme ones;
    else Python runs, and a warning says so.

    >>> from microgrant.nn import MLP
    >>> model = MLP(2, [3, 1])
    >>> outputs = predict(model, [[0.5, -1.0], [2.0, 0.0]])
    >>> len(outputs), abs(float(outputs[0]) - model([0.5, -1.0]).data) < 1e-12
    (2, True)
    """
    xs = examples(xs, "xs")
    form = Form.of(xs[0])
    rows = form.rows(xs)
    if target == "auto" and len(rows) < WORTH_COMPILING:
        target = "eager"
    runner = recording(runner_for, Task(model, form), rows, target)
    outputs = runner.evaluate(runner.prepared(rows))[1]
    numpy = tables.numpy()
    return outputs if numpy is None else numpy.asarray(outputs)


# --- What was given, checked and laid out -------------------------------------------------------


def _check_functions(**given: object) -> None:
    """What may be left out is None; else it is an error, as is all that cannot be called."""
    for name, function in given.items():
        left_out = function is None and name not in ("model", "loss")
        if not left_out and not callable(function):
            raise TypeError(f"the {name} is {FUNCTIONS[name]}, but got {shown(function)}")


def _divided(data: Any, validation: Any, seed: int) -> tuple[Examples, Examples | None]:
    """The examples to train on, and those for validation, if there are to be any."""
    xs, ys = pair(data)
    if validation is None:
        return (xs, ys), None
    if not isinstance(validation, Real):
        return (xs, ys), pair(validation, "validation")
    fraction = float(validation)
    if not 0 < fraction < 1:
        raise ValueError(f"validation is a fraction between 0 and 1, or a pair, but got {fraction}")
    count = round(fraction * len(xs))
    if not 0 < count < len(xs):
        raise ValueError(
            f"validation={fraction:g} of {len(xs)} examples is {count}: that leaves no examples "
            f"to {'train on' if count else 'validate with'}"
        )
    order = shuffled(len(xs), f"{seed} validation")
    train, held = (
        (tables.take(xs, places), tables.take(ys, places))
        for places in (sorted(order[count:]), sorted(order[:count]))
    )
    return train, held


def _optimizer(
    model: Model, optimizer: Optimizer | OptimizerOf, learning_rate: float | None
) -> Optimizer:
    """The optimiser that was given, or made of the model's parameters."""
    own = model.parameters() if isinstance(model, Module) else []
    if not isinstance(optimizer, Optimizer):
        if not own:
            raise ValueError(
                "the model has no parameters that could be trained: if it is a function of Values, "
                "name them, as in optimizer=SGD([w, b])"
            )
        make: Any = optimizer
        if isinstance(make, type) and learning_rate is not None:
            make = partial(make, learning_rate=learning_rate)
        made = make(own) if callable(make) else make
        if not isinstance(made, Optimizer):
            raise TypeError(
                "optimizer is an Optimizer, or a function that makes one of parameters, but got "
                f"{shown(made)}"
            )
        optimizer = made
        if learning_rate is not None:
            optimizer.learning_rate = learning_rate
    elif learning_rate is not None:
        raise ValueError(
            f"the {type(optimizer).__name__} has a learning rate already: leave out learning_rate, "
            "or give the class alone, as in optimizer=Adam"
        )
    if own and not {*own} & {*optimizer.parameters}:
        raise ValueError("the optimizer has parameters, but none of this model's")
    return optimizer


def _bar(progress: bool | None, steps: int, done: int) -> AbstractContextManager[Any]:
    """A bar of tqdm's, or nothing, which is as good as one."""
    if progress is False:
        return nullcontext()
    try:
        package = imported("tqdm", "microgrant[lessons]")
    except ImportError:
        if progress:
            raise
        return nullcontext()
    tqdm: Callable[..., AbstractContextManager[Any]] = package.tqdm
    return tqdm(total=steps, initial=done, unit="step", delay=0 if progress else 2)
