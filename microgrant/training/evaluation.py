"""How good is a model? Data kept for the test, what is right and wrong, and settings compared.

With this module you can

- keep data for the test:       train, validation, test = split(xs, ys)
- count what is right:          accuracy(outputs, ys)
- see what is taken for what:   print(confusion(outputs, ys))
- compare settings:             print(search(train, {"learning_rate": [0.1, 0.01]}))
- the same in several processes:  search(train, space, executor=ProcessPoolExecutor())
"""

from __future__ import annotations

import inspect
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial as bind
from numbers import Integral, Number
from typing import Any

from ..engine.arguments import as_list, as_number, shown, unboxed, whole_number
from ..engine.value import Value
from ..ops.numbers import aligned, number
from .examples import examples, pair, single
from .history import History
from .trials import Outcome, ends_all, outcome, run_by

__all__ = ["Confusion", "Search", "Trial", "accuracy", "classify", "confusion", "search", "split"]


def split(
    xs: Any,
    ys: Any,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    *,
    seed: int = 0,
    stratified: bool = False,
) -> list[tuple[Any, Any]]:
    """Examples in parts, at random: a pair (xs, ys) for each fraction.

    stratified: each part gets its fraction of each class, to within one example.

    Of arrays, the parts are arrays, and of tables, tables. A ValueError says so when a part would
    be empty.

    >>> train, test = split([0, 1, 2, 3, 4], [0, 1, 4, 9, 16], fractions=(0.8, 0.2))
    >>> train, test
    (([0, 1, 2, 4], [0, 1, 4, 16]), ([3], [9]))
    """
    # What can be divided as it is may hold other things than numbers.
    listed_xs, listed_ys = pair([range(len(x)) if _is_array(x) else x for x in (xs, ys)])
    classes = examples(ys, "ys") if stratified else listed_ys
    shares = [as_number(f) for f in as_list(fractions) or [fractions]]
    if not all(f > 0 for f in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-9):
        raise ValueError(f"fractions are numbers above 0 that add up to 1, but got {fractions}")
    groups: dict[int, list[int]] = {}
    for place, y in enumerate(classes):
        groups.setdefault(class_of(y, f"ys[{place}]") if stratified else 0, []).append(place)
    parts: list[list[int]] = [[] for _ in shares]
    generator = random.Random(seed)
    for _, places in sorted(groups.items()):
        generator.shuffle(places)
        bounds = [round(sum(shares[:i]) * len(places)) for i in range(len(shares) + 1)]
        for part, start, end in zip(parts, bounds, bounds[1:], strict=False):
            part += places[start:end]
    if [] in parts:
        empty = parts.index([])
        raise ValueError(
            f"{shares[empty]:g} of {len(listed_xs)} examples is none: part {empty} would be empty"
        )
    chosen = map(sorted, parts)
    return [(_some(xs, listed_xs, part), _some(ys, listed_ys, part)) for part in chosen]


def _is_array(x: object) -> bool:
    return hasattr(x, "__array__") and getattr(x, "ndim", 1) > 0


def _some(given: Any, listed: list[Any], places: list[int]) -> Any:
    if _is_array(given):
        return getattr(given, "iloc", given)[places]  # a table of pandas, or an array
    return [listed[i] for i in places]


# --- Right and wrong ----------------------------------------------------------------------------


def classify(outputs: Any, threshold: float = 0.0, negative: int = 0) -> list[int]:
    """The class that each output stands for.

    outputs: for each example a list with a number for each class, of which the largest decides; or
        one number, a score, which is for class 1 above `threshold` and for `negative` elsewhere. A
        whole number (of Python's or NumPy's whole kinds) is a class already.
    threshold: 0 for logits and scores; for probabilities, as a sigmoid gives them, 0.5.

    >>> classify([[0.1, 2.0, -1.0], [3.0, 0.0, 0.0]]), classify([0.3, -0.2]), classify([2, 0])
    ([1, 0], [1, 0], [2, 0])
    """
    listed = examples(outputs, "outputs")
    return [_class(x, threshold, negative, f"outputs[{i}]") for i, x in enumerate(listed)]


def accuracy(outputs: Any, targets: Any, threshold: float = 0.0) -> float:
    """Which fraction of the examples is in its right class.

    outputs, threshold: as for `classify`.
    targets: classes as whole numbers; of two classes also as -1 and 1; or lists such as [0, 1, 0].

    >>> accuracy([[0.1, 2.0], [3.0, 0.0], [1.0, 2.0]], [1, 0, 0])
    0.6666666666666666
    >>> accuracy([0.7, -2.0], [1, -1])
    1.0
    """
    predicted, right = _classes(outputs, targets, threshold)
    return sum(guess == y for guess, y in zip(predicted, right, strict=True)) / len(right)


def confusion(outputs: Any, targets: Any, threshold: float = 0.0) -> Confusion:
    """How often each class is taken for each; the arguments are those of `accuracy`.

    >>> confusion([[0.1, 2.0], [3.0, 0.0], [1.0, 2.0]], [1, 0, 0])
    true \\ predicted  0  1
                    0  1  1
                    1  0  1
    """
    predicted, right = _classes(outputs, targets, threshold)
    labels = sorted({*predicted, *right})
    times = Counter(zip(right, predicted, strict=True))
    return Confusion(labels, [[times[true, guess] for guess in labels] for true in labels])


@dataclass(frozen=True, repr=False)
class Confusion:
    """How often each class is taken for each; `confusion` makes it.

    labels: the classes.
    counts: ``counts[i][j]`` examples of class labels[i] were taken for labels[j].
    """

    labels: list[int]
    counts: list[list[int]]

    def __repr__(self) -> str:
        lines = [["true \\ predicted", *map(str, self.labels)]]
        for label, counts in zip(self.labels, self.counts, strict=True):
            lines.append([str(label), *map(str, counts)])
        return aligned(lines)


def _classes(outputs: Any, targets: Any, threshold: float) -> tuple[list[int], list[int]]:
    """The class of each output, and the right one."""
    given, wanted = examples(outputs, "outputs"), examples(targets, "targets")
    if len(given) != len(wanted):
        raise ValueError(
            f"there are {len(given)} outputs and {len(wanted)} targets: one for each is needed"
        )
    right = [class_of(y, f"targets[{i}]") for i, y in enumerate(wanted)]
    negative = -1 if -1 in right else 0
    others = [y for y in right if y not in (negative, 1)]
    scores = [x for x in given if not isinstance(x, Integral) and len(as_list(x) or [x]) == 1]
    if others and scores:
        raise ValueError(
            f"one score for each example tells two classes apart, {negative} and 1, but there is a "
            f"target of {others[0]}; if the outputs are classes, make them whole numbers"
        )
    return classify(given, threshold, negative), right


def _class(output: Any, threshold: float, negative: int, name: str) -> int:
    if isinstance(output, Integral) and not isinstance(output, bool):
        return int(output)
    scores = [_number(x) for x in as_list(output) or [output]]
    if any(map(math.isnan, scores)):
        raise ValueError(f"{name} is nan, which stands for no class")
    if len(scores) > 1:
        return scores.index(max(scores))
    return 1 if scores[0] > threshold else negative


def _number(x: Any) -> float:
    x = unboxed(x)
    return x.data if isinstance(x, Value) else as_number(x)


def class_of(target: object, name: str) -> int:
    """The class that a target stands for."""
    target = single(target)
    numbers = as_list(target)
    if numbers:
        return int(numbers.index(max(numbers)))
    if isinstance(target, Number) and as_number(target, name).is_integer():
        return int(as_number(target))
    raise TypeError(f"a class is a whole number, but {name} is {shown(target)}")


# --- Settings compared --------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One training with certain settings.

    score: what it came to; nan if it came to nothing.
    note: why it failed, or that it was interrupted.
    """

    settings: dict[str, Any]
    score: float
    note: str = ""


class Search:
    """What came of a search: the trials, the best first and the failed last; `search` makes it.

    interrupted: whether Ctrl-C ended it before its last trial.
    """

    def __init__(self, trials: Sequence[Trial], maximize: bool, interrupted: bool) -> None:
        sign = -1 if maximize else 1
        self.trials: list[Trial] = sorted(
            trials, key=lambda t: math.inf if math.isnan(t.score) else sign * t.score
        )
        self.interrupted = interrupted

    @property
    def best(self) -> dict[str, Any]:
        """The settings of the best trial; a ValueError if none came to an end."""
        if not self.trials or math.isnan(self.trials[0].score):
            why = f": {self.trials[0].note}" if self.trials else ""
            raise ValueError(f"no trial came to an end{why}")
        return self.trials[0].settings

    def __repr__(self) -> str:
        names = list(self.trials[0].settings) if self.trials else []
        lines = [[*names, "score"]]
        for trial in self.trials:
            texts = [number(x) if isinstance(x, float) else str(x) for x in trial.settings.values()]
            lines.append([*texts, number(trial.score), *filter(None, [trial.note])])
        return aligned(lines) + "\ninterrupted" * self.interrupted


def search(
    train: Callable[..., float | History],
    space: Mapping[str, Any],
    *,
    trials: int | None = None,
    seed: int = 0,
    maximize: bool = False,
    executor: Any = None,
) -> Search:
    """Train with many settings, to see which are best.

    train: a function of the settings, by name. It returns a score; or a `History`, whose score is
        its lowest validation loss (its last loss, without validation), or with `maximize` the
        highest number of its metric.
    space: for each setting a list of choices; or, where `trials` are given, a function that draws
        it with a `random.Random`: ``lambda r: 10 ** r.uniform(-3, 0)``.
    trials: how many settings to draw, no two of them the same where all are lists; by default all
        combinations are tried (a grid).
    maximize: whether a higher score is better; for a loss it is not.
    executor: what runs the trials at the same time: a `concurrent.futures.ProcessPoolExecutor`, or
        another of its kind, or a Client of Dask's. `train` is then a function at the top of a
        module. The table is the same if each training seeds what it draws at random. Threads of
        one process take turns, as they share what `random` draws.

    A trial that raises an exception, or whose process ends, is noted as failed. Ctrl-C ends the
    search, and keeps the trials that are done; an executor is to begin no other.

    >>> search(lambda x, y: (x - 1) ** 2 + y, {"x": [0, 1, 2], "y": [0.5, 0.25]}, trials=3)
    x     y  score
    1  0.25   0.25
    2  0.25   1.25
    0   0.5    1.5
    """
    settings = _settings(space, trials, seed)
    try:
        inspect.signature(train).bind(**settings[0])
    except TypeError as error:
        raise TypeError(f"train does not take the settings {', '.join(space)}: {error}") from None
    if hasattr(executor, "get_executor"):  # Dask's own futures take two trainings alike for one
        executor = executor.get_executor()
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(
            "executor is a concurrent.futures.ProcessPoolExecutor, or another of its kind, but "
            f"got {shown(executor)}"
        )
    trial = bind(outcome, train, maximize)
    outcomes: dict[int, Outcome] = {}
    interrupted = False
    try:
        if executor is not None:
            run_by(executor, trial, settings, outcomes)
        else:
            for place, chosen in enumerate(settings):
                outcomes[place] = trial(chosen)
                if ends_all(outcomes[place]):
                    break
    except KeyboardInterrupt:
        interrupted = True
    done = []
    for place, found in sorted(outcomes.items()):
        if isinstance(found, Exception):
            raise found
        done.append(Trial(settings[place], *found))
    return Search(done, maximize, interrupted or any(map(ends_all, outcomes.values())))


def _settings(space: Mapping[str, Any], trials: int | None, seed: int) -> list[dict[str, Any]]:
    """The settings to try: all combinations of the choices, or as many as there are trials."""
    if not isinstance(space, Mapping) or not space:
        raise TypeError(f"space names the settings and their choices, but got {shown(space)}")
    if trials is not None:
        trials = whole_number("trials", trials)
    drawn = [name for name, choices in space.items() if callable(choices)]
    if drawn and trials is None:
        raise ValueError(f"{drawn[0]} is drawn at random: how many trials are to be made?")
    listed = {name: _choices(name, x) for name, x in space.items() if name not in drawn}
    generator = random.Random(seed)
    combinations = range(math.prod(map(len, listed.values())))
    if trials is None:
        places: Sequence[int] = combinations
    elif drawn:
        places = [generator.choice(combinations) for _ in range(trials)]
    else:
        places = generator.sample(combinations, min(trials, len(combinations)))
    return [_combination(space, listed, place, generator) for place in places]


def _choices(name: str, given: object) -> list[Any]:
    """The choices for a setting, as a list."""
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise TypeError(f"{name} needs a list of choices, but got {shown(given)}")
    choices = list(given)
    if not choices:
        raise ValueError(f"{name} needs at least one choice, but its list is empty")
    return choices


def _combination(
    space: Mapping[str, Any], listed: Mapping[str, list[Any]], place: int, generator: random.Random
) -> dict[str, Any]:
    """The settings at a place among all combinations: the last setting changes first."""
    chosen = {}
    for name in reversed(list(space)):
        if name in listed:
            place, digit = divmod(place, len(listed[name]))
            chosen[name] = listed[name][digit]
        else:
            chosen[name] = space[name](generator)
    return {name: chosen[name] for name in space}
