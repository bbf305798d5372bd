"""Splits, what is right and wrong, and searches; scikit-learn counts the same."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import elsewhere
import pytest
from hypothesis import given, settings, strategies as st

from microgrant import Value
from microgrant.losses import mean_squared_error
from microgrant.nn import Neuron
from microgrant.ops.numbers import aligned
from microgrant.optim import SGD
from microgrant.training import (
    History,
    Search,
    Trial,
    accuracy,
    classify,
    confusion,
    fit,
    search,
    split,
)

# --- Splits -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(10, 200),
    st.sampled_from([(0.6, 0.2, 0.2), (0.5, 0.5), (0.8, 0.2), (1 / 3, 1 / 3, 1 / 3), (1.0,)]),
    st.integers(0, 5),
    st.booleans(),
)
def test_each_example_is_in_one_part(
    count: int, fractions: tuple[float, ...], seed: int, stratified: bool
) -> None:
    xs = [f"example {i}" for i in range(count)]
    parts = split(xs, [i % 2 for i in range(count)], fractions, seed=seed, stratified=stratified)
    assert sorted(x for part, _ in parts for x in part) == sorted(xs)
    for (part, ys), fraction in zip(parts, fractions, strict=True):
        assert len(part) == pytest.approx(fraction * count, abs=2)
        assert [int(x.split()[1]) % 2 for x in part] == ys


def test_stratified_parts_have_their_share_of_each_class() -> None:
    ys = [0] * 70 + [1] * 20 + [2] * 10
    random.Random(1).shuffle(ys)
    for part, fraction in zip(
        split(range(100), ys, (0.5, 0.3, 0.2), stratified=True), (0.5, 0.3, 0.2), strict=True
    ):
        assert Counter(part[1]) == {0: 70 * fraction, 1: 20 * fraction, 2: 10 * fraction}


def test_the_seed_decides_the_split() -> None:
    state = random.getstate()
    first = split(range(50), range(50))
    assert split(range(50), range(50), seed=0) == first != split(range(50), range(50), seed=1)
    assert random.getstate() == state


def test_parts_of_arrays_are_arrays() -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    xs, ys = numpy.arange(40.0).reshape(10, 2, 2), numpy.arange(10)
    for part, labels in split(xs, ys, (0.7, 0.3), seed=3):
        assert part.shape[1:] == (2, 2)
        assert labels.dtype == ys.dtype
        assert (part == xs[labels]).all()
    with pytest.raises(TypeError, match="xs is a list with one entry for each example, not ndarr"):
        split(numpy.array(3), [1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], [1], (0.5, 0.5)), ValueError, "there are 2 inputs and 1 targets"),
        (([], [], (0.5, 0.5)), ValueError, "xs is empty"),
        (([1, 2], [1, 2], (0.5, 0.6)), ValueError, "above 0 that add up to 1, but got"),
        (([1, 2], [1, 2], (1.5, -0.5)), ValueError, "above 0 that add up to 1, but got"),
        (([1, 2], [1, 2], (0.9, 0.1)), ValueError, "0.1 of 2 examples is none: part 1 would be"),
        (([1, 2], [1, 2], ("a",)), TypeError, "expected one real number, but got str"),
        (([1, 2], [1, 2], 0.8), ValueError, "above 0 that add up to 1, but got 0.8"),
    ],
)
def test_splits_that_cannot_be(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        split(*arguments)
    if len(arguments[0]) == 2:
        with pytest.raises(TypeError, match=r"a class is a whole number, but ys\[1\] is float 0.5"):
            split([1, 2], [1, 0.5], (0.5, 0.5), stratified=True)


# --- Right and wrong ----------------------------------------------------------------------------


@pytest.mark.slow
@settings(deadline=None)  # the first case imports scikit-learn
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50))
def test_it_counts_like_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    right, guessed = [list(column) for column in zip(*pairs, strict=True)]
    found = confusion(guessed, right)
    assert found.labels == sorted({*right, *guessed})
    expected = metrics.confusion_matrix(right, guessed, labels=range(5))
    assert found.counts == [[expected[i][j] for j in found.labels] for i in found.labels]
    assert sum(map(sum, found.counts)) == len(pairs)
    assert accuracy(guessed, right) == metrics.accuracy_score(right, guessed)


@pytest.mark.parametrize(
    ("outputs", "targets", "threshold", "expected"),
    [
        ([0.3, -0.1, 2.0, 0.0], [1, 0, 0, 0], 0.0, 0.75),  # logits
        ([0.3, 0.7, 0.5], [0, 1, 0], 0.5, 1.0),  # probabilities
        ([0.3, -0.1, 2.0], [1, -1, -1], 0.0, 2 / 3),  # scores
        ([True, False, True], [1, -1, -1], 0.0, 2 / 3),
        ([True, False, True], [1, 0, 0], 0.0, 2 / 3),
        ([1, 0, 7], [1, 0, 6], 0.0, 2 / 3),  # classes
        ([[1.0, 2.0], [3.0, 1.0]], [1, 1], 0.0, 0.5),  # of several, the largest
        ([[1.0, 2.0], [3.0, 1.0]], [[0, 1], [0, 1]], 0.0, 0.5),
        ([[1.0, 2.0, 2.0]], [1], 0.0, 1.0),  # the first of equals
        ([[0.5], [-0.5]], [1, 0], 0.0, 1.0),  # a list of one number is that number
        ([Value(0.5), Value(-0.5)], [1.0, 0.0], 0.0, 1.0),
        ([[Value(0.5), Value(0.7)]], [1], 0.0, 1.0),
        ([math.inf, -math.inf], [1, -1], 0.0, 1.0),
    ],
)
def test_outputs_stand_for_classes(
    outputs: Any, targets: Any, threshold: float, expected: float
) -> None:
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    assert accuracy(outputs, targets, threshold) == pytest.approx(expected)
    if "Value" not in repr(outputs):
        arrays = numpy.array(outputs), numpy.array(targets)
        assert accuracy(*arrays, threshold) == pytest.approx(expected)
        assert confusion(*arrays, threshold) == confusion(outputs, targets, threshold)


def test_classify_names_the_classes() -> None:
    assert classify([0.2, 0.9], threshold=0.5, negative=-1) == [-1, 1]
    assert classify([[1, 5, 2], [7, 0, 0]]) == [1, 0]


def test_a_confusion_prints_as_a_table() -> None:
    found = confusion([3] * 12 + [0, 0, 10], [3] * 11 + [0, 0, 10, 10])
    assert repr(found) == textwrap.dedent("""\
        true \\ predicted  0   3  10
                       0  1   1   0
                       3  0  11   0
                      10  1   0   1""")


@pytest.mark.parametrize(
    ("outputs", "targets", "error", "message"),
    [
        ([], [], ValueError, "outputs is empty"),
        ([1, 2], [1], ValueError, "there are 2 outputs and 1 targets"),
        ([0.5], [0.5], TypeError, r"a class is a whole number, but targets\[0\] is float 0.5"),
        ([0.5], ["cat"], TypeError, r"a class is a whole number, but targets\[0\] is str 'cat'"),
        ([0.5, 1.0], [1, 2], ValueError, "tells two classes apart, 0 and 1, but .* target of 2"),
        ([0.5, 1.0], [-1, 0], ValueError, "tells two classes apart, -1 and 1, but .* target of 0"),
        ([math.nan], [1], ValueError, r"outputs\[0\] is nan, which stands for no class"),
        ([[1.0, math.nan]], [1], ValueError, r"outputs\[0\] is nan, which stands for no class"),
        (["a"], [1], TypeError, "expected one real number, but got str 'a'"),
        (0.5, [1], TypeError, "outputs is a list with one entry for each example"),
    ],
)
def test_what_cannot_be_counted(outputs: Any, targets: Any, error: Any, message: str) -> None:
    for count in (accuracy, confusion):
        with pytest.raises(error, match=message):
            count(outputs, targets)


# --- Settings compared --------------------------------------------------------------------------

SPACE: dict[str, Any] = {"rate": [0.1, 0.5, 0.2], "width": (4, 8)}


def scored(rate: float, width: int) -> float:
    return abs(rate - 0.25) + width / 100


def test_a_grid_tries_all_combinations() -> None:
    tried: list[dict[str, Any]] = []
    found = search(lambda **settings: tried.append(settings) or scored(**settings), SPACE)
    assert tried == [{"rate": r, "width": w} for r in (0.1, 0.5, 0.2) for w in (4, 8)]
    assert [trial.score for trial in found.trials] == sorted(scored(**each) for each in tried)
    assert found.best == {"rate": 0.2, "width": 4}
    assert not found.interrupted


def test_a_search_prints_as_a_table() -> None:
    def train(rate: float, width: int) -> float:
        if width == 8:
            raise ValueError("too wide")
        return scored(rate, width)

    assert repr(search(train, {"rate": [0.1, 0.2], "width": [4, 8]})) == textwrap.dedent("""\
        rate  width  score
         0.2      4   0.09
         0.1      4   0.19
         0.1      8    nan  ValueError: too wide
         0.2      8    nan  ValueError: too wide""")


def test_a_random_search_draws_by_its_seed() -> None:
    space = {**SPACE, "rate": lambda generator: 10 ** generator.uniform(-3, 0)}
    state = random.getstate()
    first = search(scored, space, trials=8, seed=1)
    assert repr(search(scored, space, trials=8, seed=1)) == repr(first)
    assert repr(search(scored, space, trials=8, seed=2)) != repr(first)
    assert random.getstate() == state
    assert len({trial.settings["rate"] for trial in first.trials}) == 8
    assert all(1e-3 <= trial.settings["rate"] <= 1 for trial in first.trials)
    assert {trial.settings["width"] for trial in first.trials} == {4, 8}


@pytest.mark.parametrize("trials", [1, 4, 6, 100])
def test_a_random_search_of_lists_repeats_nothing(trials: int) -> None:
    found = search(scored, SPACE, trials=trials, seed=5)
    different = {tuple(trial.settings.values()) for trial in found.trials}
    assert len(different) == len(found.trials) == min(trials, 6)


def test_the_largest_score_can_be_the_best() -> None:
    assert search(lambda x: x, {"x": [1, 3, 2]}, maximize=True).best == {"x": 3}
    assert search(lambda x: x, {"x": [1, 3, 2]}).best == {"x": 1}
    found = search(lambda x: [1.0, math.nan, math.inf][x], {"x": [0, 1, 2]}, maximize=True)
    assert [trial.settings["x"] for trial in found.trials] == [2, 0, 1]


def fitted(rate: float, **settings: Any) -> History:
    neuron = Neuron(1, activation="linear")
    neuron.w[0].data = 0.0
    xs = [0.0, 1.0, 2.0, 3.0]
    return fit(
        neuron,
        mean_squared_error,
        (xs, [2 * x for x in xs]),
        epochs=20,
        optimizer=lambda ps: SGD(ps, rate),
        **settings,
    )


def test_a_history_counts_by_its_loss() -> None:
    found = search(fitted, {"rate": [1e-3, 0.1, 1e9]})
    assert found.best == {"rate": 0.1}
    assert found.trials[0].score == fitted(0.1).loss[-1]
    assert math.isnan(found.trials[2].score)
    assert found.trials[2].note.startswith("DivergenceError: the loss is")
    pair = ([5.0, 6.0], [10.0, 12.0])
    validated = search(lambda rate: fitted(rate, validation=pair), {"rate": [0.01]})
    assert validated.trials[0].score == min(fitted(0.01, validation=pair).validation_loss)


def test_a_history_counts_by_its_metric_when_that_is_maximized() -> None:
    def metric(outputs: Any, targets: Any) -> float:
        return -abs(outputs[0] - 0.3)

    found = search(lambda rate: fitted(rate, metric=metric), {"rate": [0.05]}, maximize=True)
    assert found.trials[0].score == max(fitted(0.05, metric=metric).metric)
    with pytest.raises(ValueError, match="maximize needs a metric: give fit a metric=accuracy"):
        search(fitted, {"rate": [0.05]}, maximize=True)


def test_ctrl_c_ends_the_search_and_keeps_its_trials() -> None:
    def train(x: int) -> float:
        if x == 2:
            raise KeyboardInterrupt
        return x

    found = search(train, {"x": [1, 0, 2, 3]})
    assert found.interrupted
    assert repr(found) == "x  score\n0      0\n1      1\ninterrupted"


def test_ctrl_c_in_a_training_ends_the_whole_search() -> None:
    def train(rate: float) -> History:
        def schedule(step: int) -> float:
            if step == 3 and rate == 0.1:
                raise KeyboardInterrupt
            return rate

        return fitted(rate, schedule=schedule)

    found = search(train, {"rate": [0.01, 0.1, 0.05]})
    assert found.interrupted
    assert {trial.settings["rate"]: trial.note for trial in found.trials} == {
        0.01: "",
        0.1: "interrupted",
    }


# By an executor; tests/compiler/test_travel.py has other processes, and Dask.


def test_threads_have_the_same_table() -> None:
    before = search(elsewhere.train, elsewhere.SPACE)
    with ThreadPoolExecutor(4) as pool:
        found = search(elsewhere.train, elsewhere.SPACE, executor=pool)
    assert repr(found) == repr(before)
    assert found.best == before.best
    assert [trial.score for trial in found.trials[:6]] == [t.score for t in before.trials[:6]]


def test_ties_stay_in_the_order_in_which_they_were_begun() -> None:
    def train(x: int) -> float:
        return 1.0

    with ThreadPoolExecutor(8) as pool:
        found = search(train, {"x": range(50)}, executor=pool)
    assert [trial.settings["x"] for trial in found.trials] == [*range(50)]


@pytest.mark.parametrize("by_signal", [False, True])
def test_ctrl_c_begins_no_other_trial_and_keeps_those_that_are_done(
    by_signal: bool, request: pytest.FixtureRequest
) -> None:
    begun, ended = [], threading.Event()

    def train(x: int) -> float:
        begun.append(x)
        if x == 2 and not by_signal:
            raise KeyboardInterrupt
        if x >= 2:
            if by_signal:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            ended.wait(60)
        return x

    if by_signal and not hasattr(signal, "pthread_kill"):
        pytest.skip("this system has no signals for threads")
    # Whoever started the tests may have Ctrl-C ignored, as a shell has for a job in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with ThreadPoolExecutor(1) as pool:
        found = search(train, {"x": [1, 0, 2, 3, 4]}, executor=pool)
        ended.set()
    assert found.interrupted
    assert repr(found) == "x  score\n0      0\n1      1\ninterrupted"
    assert 4 not in begun


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no groups of processes")
def test_ctrl_c_in_a_terminal_reaches_the_processes_of_an_executor() -> None:
    command = [sys.executable, "-W", "ignore", elsewhere.__file__, "ctrl-c"]
    root = str(Path(elsewhere.__file__).parents[1])
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where a process says that it was interrupted
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert sorted(process.stdout.readline() for _ in range(2)) == ["arrived\n", "begun\n"]
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=50)
    assert printed == "x  score\n0      0\ninterrupted\n"  # and no other has begun
    assert process.returncode == 0


def test_threads_that_wait_for_their_turn_have_not_begun() -> None:
    begun = []

    def train(x: int) -> int:
        begun.append(x)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(8) as pool:
        assert search(train, {"x": range(8)}, executor=pool).interrupted
    assert len(begun) == 1


def test_ctrl_c_in_a_training_ends_the_search_of_an_executor() -> None:
    ended = threading.Event()

    def train(x: int) -> float | History:
        def schedule(step: int) -> float:
            if step == 3:
                raise KeyboardInterrupt
            return 0.1

        return [lambda: 7.0, lambda: fitted(0.1, schedule=schedule), lambda: ended.wait(60)][x]()

    with ThreadPoolExecutor(1) as pool:
        found = search(train, {"x": [0, 1, 2, 2]}, executor=pool)
        ended.set()
    assert found.interrupted
    notes = {trial.settings["x"]: trial.note for trial in found.trials}
    assert notes == {0: "", 1: "interrupted"}


class Losing:
    """An executor that runs what it is given at once, and loses the first of it."""

    def __init__(self, lost: int) -> None:
        self.lost = lost

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        self.lost -= 1
        if self.lost >= 1:
            raise OSError("no way")
        future: Future[Any] = Future()
        if self.lost == 0:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_result(function(*arguments))
        return future


def test_what_an_executor_loses_is_noted() -> None:
    found = search(lambda x: x, {"x": [1, 2, 3]}, executor=Losing(2))
    assert [(t.settings["x"], t.note) for t in found.trials] == [
        (3, ""),
        (1, "OSError: no way"),
        (2, "CancelledError: "),
    ]
    assert not found.interrupted
    for lost, first in ((1, "CancelledError"), (2, "OSError: no way"), (3, "OSError: no way")):
        with pytest.raises(RuntimeError, match=f"no trial came back .*__main__.*{first}"):
            search(lambda x: x, {"x": [1, 2][:lost]}, executor=Losing(lost))


def test_a_training_without_a_score_is_an_error_of_an_executor_too() -> None:
    with pytest.raises(TypeError, match="missing, or a `return` where it comes"):
        search(lambda x: None, {"x": [1, 2]}, executor=Losing(0))


def test_a_training_of_no_epoch_has_no_score() -> None:
    def schedule(step: int) -> float:
        raise KeyboardInterrupt

    found = search(lambda rate: fitted(rate, schedule=schedule), {"rate": [0.1, 0.2]})
    assert repr(found) == "rate  score\n 0.1    nan  interrupted\ninterrupted"


@pytest.mark.parametrize(
    ("train", "space", "settings", "error", "message"),
    [
        (scored, {}, {}, TypeError, "space names the settings and their choices, but got dict {}"),
        (scored, [1], {}, TypeError, "space names the settings and their choices, but got list"),
        (
            scored,
            {"rate": 0.1, "width": [1]},
            {},
            TypeError,
            "rate needs a list of choices, but got",
        ),
        (scored, {"rate": [], "width": [1]}, {}, ValueError, "rate needs at least one choice"),
        (scored, {"rate": [1], "depth": [1]}, {}, TypeError, "does not take the settings rate, de"),
        (scored, {"rate": [1]}, {}, TypeError, "does not take the settings rate: missing"),
        (scored, {"rate": len, "width": [1]}, {}, ValueError, "rate is drawn at random: how many"),
        (scored, SPACE, {"trials": 0}, ValueError, "trials is a whole number from 1 on, but got 0"),
        (scored, SPACE, {"executor": 4}, TypeError, "executor is a concurrent.* but got int 4"),
        (lambda x: None, {"x": [1]}, {}, TypeError, "missing, or a `return` where it comes"),
    ],
)
def test_searches_that_cannot_be(
    train: Any, space: Any, settings: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        search(train, space, **settings)


def test_there_is_no_best_of_nothing() -> None:
    with pytest.raises(ValueError, match="no trial came to an end: it broke"):
        _ = Search([Trial({"x": 1}, math.nan, "it broke")], False, False).best
    with pytest.raises(ValueError, match=r"no trial came to an end$"):
        _ = Search([], False, True).best
    assert repr(Search([], False, True)) == "score\ninterrupted"


def test_columns_are_aligned() -> None:
    assert aligned([]) == ""
    assert aligned([["a"], ["bc"], ["d", "more than there is above"]]) == (
        " a\nbc\n d  more than there is above"
    )
