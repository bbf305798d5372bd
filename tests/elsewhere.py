"""A program for tests: a step, and a search, in other processes; it prints what came back.

``python tests/elsewhere.py WHERE``, with processes, joblib or dask for WHERE: in a process of its
own, because what these start outlives a test. With ctrl-c, it is a search that waits for that.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

from microgrant import Step, Value, compile, define
from microgrant.compiler import machine
from microgrant.losses import mean_squared_error
from microgrant.nn import MLP
from microgrant.optim import Adam
from microgrant.training import History, fit, search


def softsign(x: float) -> float:
    return x / (1 + abs(x))


def of_softsign(m: Any, out: Any, x: Any) -> tuple[Any]:
    return ((1 - m.abs(out)) ** 2,)


def recorded() -> tuple[Step, list[float], list[list[float]]]:
    """A step with an operation of our own in it, its numbers, and rows."""
    random.seed(7)
    model = MLP(2, [8, 1], activation="tanh")
    x, y = [Value(0.5), Value(-0.25)], Value(1.0)
    loss = (define("softsign", softsign, of_softsign)(model(x)) - y) ** 2
    step = compile(loss, [*x, y], model.parameters(), target="python")
    rows = [[random.gauss(0, 1) for _ in range(3)] for _ in range(40)]
    return step, [p.data for p in step.parameters], rows


def parts_of(rows: list[list[float]]) -> list[list[list[float]]]:
    return [rows[:5], rows[5:20], rows[20:32], rows[32:]]


def train(rate: float, width: int) -> History:
    if width == 5:
        raise ValueError("too odd")
    random.seed(1)
    xs = [i / 10 for i in range(20)]
    return fit(
        MLP(1, [width, 1], activation="tanh"), mean_squared_error, (xs, [x * x for x in xs]),
        epochs=5, batch_size=4, optimizer=Adam, learning_rate=rate, progress=False,
    )  # fmt: skip


SPACE = {"rate": [0.1, 0.01, 0.001], "width": [3, 4, 5]}


def ending(x: int) -> int:
    if x == 2:
        os._exit(1)
    return x


def count_programs() -> None:
    """From now on, count what this process compiles."""
    init = machine.PythonMachine.__init__

    def counting(self: Any, job: Any) -> None:
        os.environ["COMPILED"] = str(int(os.environ.get("COMPILED", 0)) + 1)
        init(self, job)

    machine.PythonMachine.__init__ = counting  # type: ignore[method-assign]


def compiled() -> int:
    return int(os.environ.get("COMPILED", 0))


def spawning(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def message_of(*arguments: Any, **settings: Any) -> str:
    try:
        return repr(search(*arguments, **settings))
    except RuntimeError as error:
        return str(error)


def in_processes() -> dict[str, Any]:
    step, numbers, rows = recorded()
    with ExitStack() as stack:
        pools = [stack.enter_context(spawning(1)) for _ in range(4)]
        sent = [
            (pool.submit(os.getpid), pool.submit(step.value_and_grad, numbers, part))
            for pool, part in zip(pools, parts_of(rows), strict=True)
        ]
        results = [(pid.result(), *future.result()) for pid, future in sent]
        return {
            "processes": len({pid for pid, *_ in results}),
            "parts": [[loss, *gradient] for _, loss, gradient in results],
            "search": repr(search(train, SPACE, executor=pools[0])),
            "lambda": message_of(lambda x: x, {"x": [1, 2]}, executor=pools[0]),
            "broken": message_of(ending, {"x": [0, 1, 2, 3]}, executor=pools[0]),
        }


def by_joblib() -> dict[str, Any]:
    from joblib import Parallel, delayed

    step, numbers, rows = recorded()
    with Parallel(n_jobs=2) as parallel:
        results = parallel(delayed(step.value_and_grad)(numbers, part) for part in parts_of(rows))
    return {"parts": [[loss, *gradient] for loss, gradient in results]}


def by_dask() -> dict[str, Any]:
    from distributed import Client, LocalCluster

    step, numbers, rows = recorded()
    settings = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(**settings) as cluster, Client(cluster) as client:
        client.run(count_programs)
        results = client.gather(
            [client.submit(step.value_and_grad, numbers, part) for part in parts_of(rows)]
        )
        each = [client.submit(step.value, [row], pure=False) for row in rows]
        there = client.scatter(step, broadcast=True)
        once = [client.submit(Step.value, there, [row], pure=False) for row in rows]
        return {
            "parts": [[loss, *gradient] for loss, gradient in results],
            "alike": client.gather(each) == client.gather(once),
            "compiled": client.run(compiled),
            "search": repr(search(train, SPACE, executor=client)),
            "search again": repr(search(train, SPACE, executor=client.get_executor())),
        }


def waiting(x: int) -> int:
    if x:
        print("begun", flush=True)
        time.sleep(60)
    return x


class Telling(ProcessPoolExecutor):
    """Says when the first result is there: a process goes on to the next trial before that."""

    sent = 0

    def submit(self, *task: Any, **more: Any) -> Any:
        future = super().submit(*task, **more)
        if not self.sent:
            future.add_done_callback(lambda _: print("arrived", flush=True))
        self.sent += 1
        return future


def until_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have ignored
    with Telling(1, mp_context=get_context("spawn")) as pool:
        print(search(waiting, {"x": range(5)}, executor=pool), flush=True)


WHERE = {"processes": in_processes, "joblib": by_joblib, "dask": by_dask}

if __name__ == "__main__":
    if sys.argv[1] == "ctrl-c":
        until_ctrl_c()
    else:
        print(json.dumps(WHERE[sys.argv[1]](), default=float))
