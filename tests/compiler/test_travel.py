"""Steps travel: pickled as their graph, and compiled where they are called, once for all copies."""

from __future__ import annotations

import copy
import gc
import importlib.util
import json
import os
import pickle
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import elsewhere
import pytest

from microgrant import DecisionWarning, TargetWarning, Value, compile, define, where
from microgrant.compiler import landing, machine
from microgrant.compiler.targets import MACHINES
from microgrant.nn import Dropout, Neuron
from microgrant.nn.noise import noise_in
from microgrant.optim import SGD
from microgrant.training import search

ROWS = [[0.5, 1.0], [-1.0, 0.25], [2.0, -3.0]]


def sent(x: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(x, protocol))


def line(target: str = "python") -> SimpleNamespace:
    w, b, x, y = (
        Value(data, label) for data, label in ((0.5, "w"), (-0.25, "b"), (0, "x"), (0, "y"))
    )
    other = Value(2.0, "other")
    score = where(x > 0, w * x, other * w) + b
    step = compile((score - y) ** 2, [x, y], [w, b], target=target)
    predict = compile(score, [x], target=target)
    return SimpleNamespace(w=w, b=b, other=other, score=score, x=x, step=step, predict=predict)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The programs for Python that are compiled from here on; those before are forgotten."""
    landing.known.clear()
    landing.latest.clear()
    made: list[Any] = []
    init = machine.PythonMachine.__init__

    def noting(self: Any, job: Any) -> None:
        made.append(job)
        init(self, job)

    monkeypatch.setattr(machine.PythonMachine, "__init__", noting)
    return made


# --- To other processes ---------------------------------------------------------------------------

NEEDS = {"joblib": "joblib", "dask": "distributed"}


@pytest.mark.slow
@pytest.mark.parametrize("where", elsewhere.WHERE)
def test_elsewhere_the_gradient_and_the_search_are_the_same(
    where: str, lacking: Callable[[str], NoReturn]
) -> None:
    if where in NEEDS and not importlib.util.find_spec(NEEDS[where]):
        lacking(f"{NEEDS[where]} is not installed")
    command = [sys.executable, "-W", "ignore", elsewhere.__file__, where]
    root = str(Path(elsewhere.__file__).parents[1])
    finished = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        check=True,
        timeout=100,
    )
    found = json.loads(finished.stdout)
    step, numbers, rows = elsewhere.recorded()
    parts = elsewhere.parts_of(rows)
    for part, result in zip(parts, found["parts"], strict=True):
        loss, gradient = step.value_and_grad(numbers, part)
        assert result == pytest.approx([loss, *gradient], rel=1e-12, abs=1e-12)
    loss, gradient = step.value_and_grad(numbers, rows)
    columns = zip(*found["parts"], strict=True)
    means = [sum(map(lambda x, part: x * len(part), c, parts)) / len(rows) for c in columns]
    assert means == pytest.approx([loss, *gradient], rel=1e-12, abs=1e-12)
    table = repr(search(elsewhere.train, elsewhere.SPACE))
    assert table.count("too odd") == 3
    assert {found.get("search", table), found.get("search again", table)} == {table}
    if where == "processes":
        assert found["processes"] == 4
        assert found["lambda"].startswith("no trial came back from the executor. For other proc")
        assert "local object" in found["lambda"]
        assert [row.split()[:2] for row in found["broken"].splitlines()[1:]] == [
            *(["0", "0"], ["1", "1"], ["2", "nan"], ["3", "nan"])
        ]
        assert found["broken"].count("  BrokenProcessPool: ") == 2
    if where == "dask":
        assert found["alike"]
        # Both workers had dozens of copies: each compiled forward and backward, and forward alone.
        assert set(found["compiled"].values()) == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_while_a_thread_compiles_does_not_wait_for_it() -> None:
    program = """if True:
        import os, pickle, threading
        from microgrant import Value, compile
        from microgrant.compiler import landing
        w = Value(3.0)
        text = pickle.dumps(compile(w * w, parameters=[w], target="python"))
        begun, ended = threading.Event(), threading.Event()
        threading.Thread(
            target=lambda: landing.landed((b"", ""), lambda: begun.set() or ended.wait(60))
        ).start()
        begun.wait()
        child = os.fork()
        if not child:
            os._exit(int(pickle.loads(text).value()))
        status = os.waitpid(child, 0)[1]
        ended.set()
        print(os.waitstatus_to_exitcode(status))
        os._exit(0)
    """
    command = [sys.executable, "-W", "ignore", "-u", "-c", program]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=50)
    assert finished.stdout.strip() == "9"


# --- What arrives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", MACHINES)
def test_what_arrives_computes_the_same(target: str, runs_here: Callable[[str], None]) -> None:
    runs_here(target)
    given = line(target)
    expected = given.step.value_and_grad([1.5, 0.5], ROWS)
    scores = list(given.predict([[x] for x, _ in ROWS]))
    source = given.step.source
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1) if target == "python" else (4,):
        step, predict = sent((given.step, given.predict), protocol)
        landing.known.clear()
        assert predict.parameters == [] == given.predict.parameters
        loss, gradient = step.value_and_grad([1.5, 0.5], ROWS)
        assert (loss, list(gradient)) == (expected[0], list(expected[1]))
        assert list(predict([[x] for x, _ in ROWS])) == scores
        assert (step.target, step.source) == (target, source)


def test_what_arrives_needs_nothing_of_what_was_sent() -> None:
    text = pickle.dumps(line().step)
    gc.collect()
    landing.known.clear()
    step = pickle.loads(text)
    assert step.value(ROWS) == line().step.value(ROWS)
    assert [x.label for x in step.leaves] == ["w", "b", "other"]


def test_in_one_pickle_with_its_model_it_stays_the_step_of_that_model() -> None:
    random.seed(3)
    model, y = Neuron(2, activation="tanh"), Value(0.0)
    x = [Value(0.0), Value(0.0)]
    step = compile((model(x) - y) ** 2, [*x, y], model.parameters())
    rows = [[0.5, -1.0, 2.0], [1.0, 0.0, -1.0]]
    for order in (1, -1):
        pair = dict(sent([("model", model), ("step", step)][::order]))
        parameters = list(pair["model"].parameters())
        assert pair["step"].parameters == parameters  # the very same: that is what == asks
        assert pair["step"](rows) == step(rows)
        assert [p.grad for p in parameters] == [p.grad for p in model.parameters()]
        model.zero_grad()
        assert parameters[0].grad != 0.0


def test_a_step_alone_brings_its_parameters() -> None:
    given = line()
    step = sent(given.step)
    optimizer = SGD(step.parameters, learning_rate=0.1)
    losses = []
    for _ in range(3):
        losses.append(step(ROWS))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[0] > losses[-1]
    assert [p.label for p in step.parameters] == ["w", "b"]
    assert (given.w.data, given.w.grad) == (0.5, 0.0)


@pytest.mark.parametrize("target", ["native", "python"])
def test_it_is_trained_where_it_lands(target: str, runs_here: Callable[[str], None]) -> None:
    runs_here(target)
    given = line(target)
    step = sent(given.step)
    landing.known.clear()
    losses = [
        each.train(ROWS, SGD(each.parameters, learning_rate=0.1), epochs=20, batch_size=2)
        for each in (given.step, step)
    ]
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]
    assert [p.data for p in step.parameters] == [given.w.data, given.b.data]
    assert given.step.value(ROWS) == step.value(ROWS)


def test_other_leaves_are_read_where_it_lands() -> None:
    given = line()
    given.other.data = 4.0
    step = sent(given.step)
    assert step.value(ROWS) == given.step.value(ROWS)
    step.leaves[-1].data = 2.0
    assert step.value(ROWS) == line().step.value(ROWS) != given.step.value(ROWS)


def test_a_parameter_out_of_reach_gets_no_gradient_there_either() -> None:
    w, unused, x = Value(2.0), Value(1.0), Value(0.0)
    step = compile(w * x, [x], [w, unused], target="python")
    for forget in (False, True):
        there = sent(step)
        if forget:
            landing.known.clear()
        there([[3.0]])
        assert [repr(p.grad) for p in there.parameters] == ["3.0", repr(unused.grad)]
        assert there.parameters[1].grad is unused.grad


def test_noise_stays_an_input() -> None:
    x, w = Value(1.0), Value(2.0)
    y = Dropout(0.5)(x * w)
    step = sent(compile(y, [x, *noise_in(y)], [w], target="python"))
    assert step.value([[3.0, 0.25]]) == 0.0
    assert step.value([[3.0, 0.75]]) == 12.0


def test_a_copy_is_a_step_on_the_same_values_and_a_deep_one_on_its_own() -> None:
    given = line()
    shallow, deep = copy.copy(given.step), copy.deepcopy(given.step)
    loss = given.step(ROWS)
    assert (shallow(ROWS), deep(ROWS)) == (loss, loss)
    assert shallow.parameters == [given.w, given.b]
    assert given.w.grad == 2 * deep.parameters[0].grad
    deep.parameters[0].data = 7.0
    assert given.w.data == 0.5
    assert given.step.value(ROWS) == shallow.value(ROWS) != deep.value(ROWS)


def test_what_one_notes_on_a_step_comes_along() -> None:
    given = line()
    given.step.note = [given.w]
    step = sent(given.step)
    assert step.note == [step.parameters[0]]


def test_a_loss_may_refer_to_its_step() -> None:
    given = line()
    given.score.predict = given.predict
    score = sent(given.score)
    assert score.predict([[1.0]])[0] == given.predict([[1.0]])[0]


def test_a_deep_graph_travels() -> None:
    w = y = Value(1.0)
    for _ in range(20_000):
        y = y + w
    step = compile(y, parameters=[w])
    twin = sent(step)
    assert (twin(), twin.parameters[0].grad) == (step(), w.grad) == (20_001.0, 20_001.0)


def cube(x: float) -> float:
    return x**3


def of_cube(m: Any, out: Any, x: Any) -> tuple[Any]:
    return (3 * x * x,)


def test_an_operation_of_ones_own_travels_by_the_names_of_its_functions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w = Value(2.0)
    cubed = define("cube", cube, of_cube, spelling={"python": "{0}**3"})
    original = compile(cubed(w) * w + cubed(w), parameters=[w], target="python")
    step = sent(original)
    landing.known.clear()
    assert (step(), step.parameters[0].grad) == (24.0, 44.0)
    assert step.source == original.source
    for name in [name for name in sys.modules if name.endswith("cloudpickle")]:
        monkeypatch.delitem(sys.modules, name)
    nameless = define("nameless", lambda x: x, lambda m, out, x: (1.0,))
    step = compile(nameless(w), parameters=[w], target="python")
    with pytest.raises(
        pickle.PicklingError, match=r"'nameless' is one of your own, and .* with def"
    ):
        pickle.dumps(step)


def test_cloudpickle_takes_any_function_of_ones_own() -> None:
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    w = Value(2.0)
    square = define("square", lambda x: x * x, lambda m, out, x: (2 * x,))
    step = pickle.loads(cloudpickle.dumps(compile(square(w), parameters=[w], target="python")))
    landing.known.clear()
    assert (step(), step.parameters[0].grad) == (4.0, 4.0)


# --- Compiled where it is called ------------------------------------------------------------------


def test_it_is_compiled_when_it_is_called_and_once_for_all_copies(programs: list[Any]) -> None:
    text = pickle.dumps(line().step)
    gc.collect()
    assert len(programs) == 2  # the step, and the predictor beside it
    copies = [pickle.loads(text) for _ in range(10)]
    assert repr(copies[0]) == "<Step of 2 inputs, 2 parameters, target 'python'>"
    handed_on = sent(sent(copies))
    assert len(programs) == 2
    losses = {step(ROWS) for step in copies + handed_on}
    assert len(losses) == 1
    assert len(programs) == 3
    assert {step.value(ROWS) for step in copies + handed_on} == losses
    assert len(programs) == 4
    del copies, handed_on
    gc.collect()
    assert {pickle.loads(text)(ROWS)} == losses  # as the next task has it, once the last is over
    assert len(programs) == 4


def test_where_the_step_is_alive_its_copies_compile_nothing(programs: list[Any]) -> None:
    given = line()
    twin = sent(given.step)
    twin(ROWS)
    assert twin.value(ROWS) == given.step.value(ROWS)
    assert len(programs) == 3  # the step, the predictor, and the loss without its gradient


def test_two_steps_of_one_graph_are_told_apart(programs: list[Any]) -> None:
    given = line()
    other = compile(given.score, [given.x], [given.b, given.w], target="python")
    first, second = sent((given.step, other))
    landing.known.clear()
    assert first.value([[1.0, 0.0]]) == 0.0625
    assert list(second.value_and_grad([0.0, 3.0], [[1.0]])[1]) == [1.0, 1.0]


def test_few_programs_are_kept(programs: list[Any]) -> None:
    for _ in range(30):
        sent(line().step).value(ROWS)
    gc.collect()
    assert len(landing.known) <= landing.latest.maxlen


def test_of_several_threads_one_compiles(programs: list[Any]) -> None:
    text = pickle.dumps(line().step)
    gc.collect()
    before, losses = len(programs), []
    start = threading.Barrier(8)

    def work() -> None:
        step = pickle.loads(text)
        start.wait()
        losses.append(step(ROWS))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(losses) == 8
    assert len({*losses}) == 1
    assert len(programs) == before + 1


def test_a_decision_is_warned_of_once(programs: list[Any]) -> None:
    w, x = Value(1.0), Value(2.0)
    y = w * x if x > 0 else w
    with pytest.warns(DecisionWarning):
        step = compile(y, [x], [w], target="python")
    text = pickle.dumps(step)
    del step
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step = pickle.loads(text)
        assert step([[3.0]]) == 3.0
    with pytest.warns(DecisionWarning):  # its values remember
        compile(step._roots[0], step._inputs, step.parameters, target="python")
    assert len(programs) == 3


def test_auto_is_decided_where_it_lands(
    monkeypatch: pytest.MonkeyPatch, programs: list[Any], runs_here: Callable[[str], None]
) -> None:
    runs_here("native")
    w = Value(2.0)
    step = compile(w * w, parameters=[w])
    assert step.target == "native"
    text = pickle.dumps(step)
    del step
    gc.collect()

    def missing() -> None:
        raise ImportError

    monkeypatch.setattr(machine, "host", missing)
    twin = pickle.loads(text)
    assert repr(twin).endswith("target 'auto'>")
    with pytest.warns(TargetWarning, match="llvmlite is not installed"):
        assert twin() == 4.0
    assert twin.target == "python"
    assert repr(twin).endswith("target 'python'>")
    assert len(programs) == 1
