"""How fast a compiled step is: microgrant beside C, NumPy, PyTorch, JAX, CasADi and ddx-ad.

With this program you can

- compare them all:                python tests/benchmarks/native.py
- see in seconds that it works:    python tests/benchmarks/native.py --quick
- run one of the tasks:            python tests/benchmarks/native.py --only moons
- take more samples:               python tests/benchmarks/native.py --repeat 21
- leave JAX its threads:           python tests/benchmarks/native.py --jax-as-it-comes

A task is a step of training: the mean loss over some rows, and its gradient. First all who take
part must have computed the same numbers; then they are timed in alternation, in one process and,
where the system lets a process choose, on one core. `networks.py` has the work, and `peers.py`
those who do it. Who cannot is left out, with the reason.

Everybody has parameters and rows in the form that suits it best, and may leave the gradient in
that form. JAX is told to work in the thread that calls it: on one core that is its fastest way.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache, partial as bind
from pathlib import Path
from typing import Any

from networks import XOR_ROWS, Network, half_moon_rows, random_rows
from peers import (
    BETAS,
    EPS,
    JAX_SETTINGS,
    PARTICIPANTS,
    RATE,
    Differentiable,
    LeftOutError,
    Ready,
    Work,
    adam_in_jax,
    adam_in_torch,
    as_floats,
    compiled,
    in_jax,
    in_torch,
    load,
    recorded,
    refuse_what_takes_too_long,
    set_up_jax,
    versions,
)

import microgrant
from microgrant.losses import cross_entropy, hinge, mean_squared_error
from microgrant.nn import MLP, RNN, Conv2d, Flatten, Layer, Sequential
from microgrant.optim import SGD, Adam, Optimizer
from microgrant.training import fit

ALL_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

SAMPLE = 0.02
"""Seconds: a step that is shorter is repeated until a sample lasts about as long."""

BUDGET = 10.0
"""Seconds: who has spent as many on its samples takes no more of them."""

CLOSE = 1e-9
"""How far two results may differ, relative to the largest number of the gradient (or the loss)."""


# --- Measurements ---------------------------------------------------------------------------------


@dataclass
class Entry:
    """One row of a table: a participant that is ready, and what was measured of it."""

    name: str
    ready: Ready
    seconds_to_prepare: float
    result: tuple[float, list[float]]
    calls: int = 1  # in each sample
    samples: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """The mean of some calls in a row. Garbage that they leave is collected at their cost."""
        step = self.ready.step
        gc.collect()
        start = time.perf_counter()
        for _ in range(self.calls):
            step()
        self.samples.append((time.perf_counter() - start) / self.calls)

    @property
    def spent(self) -> float:
        return sum(self.samples) * self.calls

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def least(self) -> float:
        """What others on the machine disturb the least."""
        return min(self.samples)


@dataclass
class Task:
    """A table: its title, how each participant gets ready, and what times are divided by."""

    title: str
    prepare: Mapping[str, Callable[[], Ready]]
    unit: str = "step"
    units_in_a_step: int = 1


def on_network(title: str, network: Network, rows: list[list[float]]) -> Task:
    work = Work(network, rows)
    return Task(
        f"{title}: {network}, {len(rows):,} rows",
        {name: bind(participant, work) for name, participant in PARTICIPANTS.items()},
    )


def enter(name: str, prepare: Callable[[], Ready]) -> Entry:
    """Prepare a participant, and let it take its first step, at which some still compile."""
    start = time.perf_counter()
    ready = prepare()
    result, spent = ready.step(), time.perf_counter() - start
    return Entry(name, ready, spent, (0.0, []) if ready.read is None else ready.read(result))


def difference(found: tuple[float, list[float]], expected: tuple[float, list[float]]) -> float:
    """How far a loss and a gradient differ from others: nan or inf where they cannot be told."""
    (loss, gradient), (expected_loss, expected_gradient) = found, expected
    if len(gradient) != len(expected_gradient):
        return math.inf
    largest = max(map(abs, expected_gradient))
    differences = [abs(g - e) / largest for g, e in zip(gradient, expected_gradient, strict=True)]
    differences.append(abs(loss - expected_loss) / abs(expected_loss))
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def check(entries: list[Entry]) -> None:
    """Say how closely all results agree; end the program where they do not."""
    first, *others = (entry for entry in entries if entry.ready.read is not None)
    largest = 0.0
    for other in others:
        off = difference(other.result, first.result)
        if not off <= CLOSE:
            raise SystemExit(f"{other.name} and {first.name} disagree: by {off:.1g}, relative")
        largest = max(largest, off)
    if others:
        count = 1 + len(first.result[1])
        what = "parameters" if "Adam" in first.name else "gradients"
        print(f"the loss and all {what} ({count:,} numbers) agree to within {largest:.1g}")


def measure(entries: list[Entry], repeat: int, cores_of: dict[str, int] | None = None) -> None:
    """`repeat` samples of each, taken in turn; fewer of those that are slow.

    cores_of: how many cores each may use; by default what the process uses anyway.
    """
    gc.collect()
    gc.freeze()  # what the others hold is not to slow down whose garbage is collected
    for turn in range(repeat + 1):
        for entry in entries:
            if len(entry.samples) >= repeat or entry.spent > BUDGET:
                continue
            with cores(cores_of[entry.name]) if cores_of else nullcontext():
                entry.sample()
            if turn == 0 and entry.median < SAMPLE:  # that was to learn how long a step takes
                entry.calls = 1 + int(SAMPLE / entry.median)
                entry.samples.clear()
    gc.unfreeze()


def report(task: Task, repeat: int) -> None:
    print(f"\n{task.title}")
    entries = []
    for name, prepare in task.prepare.items():
        try:
            entries.append(enter(name, prepare))
        except LeftOutError as reason:
            print(f"{name} is left out: {reason}")
    if not entries:
        return
    check(entries)
    measure(entries, repeat)
    print(
        f"{'':34}{'prepare s':>11}{'median µs':>14}{'least':>14}{'ratio':>10}{'of least':>10}"
        f"{'samples':>9}   per {task.unit}"
    )
    first = entries[0]
    for entry in entries:
        median, least = (x / task.units_in_a_step * 1e6 for x in (entry.median, entry.least))
        print(
            f"{entry.name:34}{entry.seconds_to_prepare:11.3f}{median:14,.2f}{least:14,.2f}"
            f"{entry.median / first.median:10,.2f}{entry.least / first.least:10,.2f}"
            f"{len(entry.samples):9}"
        )


def megabytes() -> float:
    """The most memory that this process had so far; nan where the system does not say."""
    try:
        import resource
    except ImportError:
        return math.nan
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The power of x that y grows with: the slope of a line through the logarithms."""
    return statistics.linear_regression([*map(math.log, xs)], [*map(math.log, ys)]).slope


# --- Tasks ----------------------------------------------------------------------------------------


def moons(quick: bool, repeat: int) -> None:
    """The step of micrograd's demo."""
    rows = half_moon_rows(20 if quick else 100)
    report(on_network("Moons", Network((2, 4, 1) if quick else (2, 16, 16, 1)), rows), repeat)


def tanh(quick: bool, repeat: int) -> None:
    """The same with an activation that is a function of the C library."""
    network = Network((2, 4, 1) if quick else (2, 16, 16, 1), hidden="tanh")
    report(on_network("Moons with tanh", network, half_moon_rows(20 if quick else 100)), repeat)


def wide(quick: bool, repeat: int) -> None:
    """A graph of 15,830 nodes, over few rows and many."""
    network = Network((4, 6, 6, 1) if quick else (16, 64, 64, 1), error="half square")
    for count in (20, 60) if quick else (100, 10_000):
        report(on_network("Wide", network, random_rows(count, network.sizes[0])), repeat)


def wider(quick: bool, repeat: int) -> None:
    """A graph of 59,554 nodes: a layer of it does not fit into the fastest memory."""
    network = Network((4, 6, 6, 1) if quick else (16, 132, 132, 1), error="half square")
    rows = random_rows(20 if quick else 1_000, network.sizes[0])
    report(on_network("Wider", network, rows), repeat)


def xor(quick: bool, repeat: int) -> None:
    """So little work that calling is what takes time."""
    network = Network((2, 2, 1), hidden="sigmoid", output="sigmoid", error="half square")
    report(on_network("XOR", network, XOR_ROWS), repeat)


def training(quick: bool, repeat: int) -> None:
    """Whole steps with Adam: forward, backward and update, again and again."""
    networks = {
        "Moons": Network((2, 4, 1) if quick else (2, 16, 16, 1)),
        "Wide": Network((4, 6, 1) if quick else (16, 64, 64, 1), error="half square"),
    }
    for title, network in networks.items():
        rows = half_moon_rows(100) if title == "Moons" else random_rows(100, network.sizes[0])
        work = Work(network, rows)
        whole_steps(
            f"{title}: {network}, {len(rows)} rows",
            bind(compiled, work, "native"),
            rows,
            bind(in_jax, work),
            bind(in_torch, work),
            quick,
            repeat,
        )


def whole_steps(
    title: str,
    step_and_parameters: Callable[[], tuple[Any, list[microgrant.Value]]],
    rows: list[list[float]],
    jax: Callable[[], Differentiable],
    torch: Callable[[], Differentiable],
    quick: bool,
    repeat: int,
) -> None:
    """A table of whole steps, beside those that leave the update to Python, or leave it out."""
    steps = 3 if quick else 500

    def prepared(
        way: Callable[[Any, Any, Adam], Callable[[], float | None]], read: bool = True
    ) -> Ready:
        step, parameters = step_and_parameters()
        table = load("numpy").array(rows)
        train = way(step, table, Adam(parameters, RATE, BETAS, EPS))
        now = lambda loss: (loss, [p.data for p in parameters])  # noqa: E731
        return Ready(train, now if read else None)

    def natively(step: Any, table: Any, optimizer: Adam) -> Callable[[], float]:
        return lambda: step.train(table, optimizer, epochs=steps)[-1]

    def in_python(step: Any, table: Any, optimizer: Adam) -> Callable[[], float]:
        def train() -> float:
            for _ in range(steps):
                optimizer.zero_grad()
                loss = step(table)
                optimizer.step()
            return loss  # type: ignore[no-any-return]

        return train

    def without_update(step: Any, table: Any, optimizer: Adam) -> Callable[[], None]:
        flat = load("numpy").array([p.data for p in optimizer.parameters])

        def repeated() -> None:
            for _ in range(steps):
                step.value_and_grad(flat, table)

        return repeated

    prepare: dict[str, Callable[[], Ready]] = {
        "step.train(rows, Adam(…))": bind(prepared, natively),
        "value_and_grad alone": bind(prepared, without_update, read=False),
        "step(rows), and Adam in Python": bind(prepared, in_python),
        "JAX jit, with the update": lambda: adam_in_jax(jax(), steps),
        "PyTorch, fused Adam": lambda: adam_in_torch(torch(), steps),
    }
    report(Task(f"Whole steps. {title}", prepare, units_in_a_step=steps), repeat)


def fitting(quick: bool, repeat: int) -> None:
    """What `fit` takes for a step, beside the kernel alone; and for a training from its start."""
    few, many = (2, 12) if quick else (40, 2_040)
    xs, ys = [row[:2] for row in half_moon_rows(100)], [row[2] for row in half_moon_rows(100)]

    def fitted(epochs: int, optimizer: type[Optimizer]) -> float:
        random.seed(1337)
        model = MLP(2, [16, 16, 1])
        start = time.perf_counter()
        fit(model, hinge, (xs, ys), epochs=epochs, batch_size=10, optimizer=optimizer)
        return time.perf_counter() - start

    ready = PARTICIPANTS["microgrant, native"](Work(Network((2, 16, 16, 1)), half_moon_rows(10)))
    print("\nfit: 2-16-16-1 relu, hinge loss, 100 rows in batches of 10")
    print(f"{'':34}{'least µs':>14}   per step")
    entry = Entry("value_and_grad of 10 rows alone", ready, 0.0, (0.0, []))
    measure([entry], repeat)
    print(f"{entry.name:34}{entry.least * 1e6:14,.2f}")
    for kind in (SGD, Adam):
        times = [(fitted(few, kind), fitted(many, kind)) for _ in range(repeat)]
        least = min(long for _, long in times) - min(short for short, _ in times)
        print(f"{'fit, ' + kind.__name__:34}{least / (many - few) / 10 * 1e6:14,.2f}")

    def xor_fitted() -> float:
        random.seed(1337)
        start = time.perf_counter()
        rows = [row[:2] for row in XOR_ROWS], [row[2] for row in XOR_ROWS]
        fit(MLP(2, [4, 1]), mean_squared_error, rows, epochs=100 if quick else 10_000)
        return time.perf_counter() - start

    least = min(xor_fitted() for _ in range(repeat))
    print(f"{'fit, XOR, all its epochs':34}{least:14.3f} s")


def the_microgpt() -> Any:
    """demos/microgpt.py."""
    folder = str(Path(__file__).parents[2] / "demos")
    if folder not in sys.path:
        sys.path.append(folder)
    return load("microgpt")


def gpt(quick: bool, repeat: int) -> None:
    """The GPT of demos/microgpt.py, by batches of documents."""
    microgpt = the_microgpt()
    documents = microgpt.that_fit(microgpt.read_documents(microgpt.NAMES), 3 if quick else 16)
    size = {"positions": 3, "width": 4, "heads": 2} if quick else {}
    model = microgpt.GPT(microgpt.alphabet(documents), **size)
    parameters = model.parameters()
    numbers = [p.data for p in parameters]
    nodes = len(microgrant.topological_order(model.loss([*map(microgrant.Value, model.row(""))])))

    @lru_cache
    def step_for(target: str) -> Any:
        try:
            return microgpt.compiled_step(model, target)
        except ImportError as error:
            raise LeftOutError(str(error)) from None

    def on_arrays(target: str, rows: list[list[float]]) -> Ready:
        array = load("numpy").array if target == "native" else list
        flat, table, step = array(numbers), array(rows), step_for(target)
        if target == "python":
            refuse_what_takes_too_long(bind(step.value_and_grad, flat), rows)
        return Ready(lambda: step.value_and_grad(flat, table), lambda result: as_floats(*result))

    def eagerly(rows: list[list[float]]) -> Ready:
        step = microgpt.eager_step(model)
        refuse_what_takes_too_long(step, rows)

        def once() -> float:
            for p in parameters:
                p.grad = 0.0
            return step(rows)  # type: ignore[no-any-return]

        return Ready(once, lambda loss: (loss, [p.grad for p in parameters]))

    def for_jax(rows: list[list[float]]) -> Differentiable:
        array = set_up_jax().numpy.array
        return Differentiable(bind(gpt_in_jax, model), array(numbers), array(rows), list)

    def for_torch(rows: list[list[float]]) -> Differentiable:
        torch, at, leaves = load("torch"), 0, []
        for height, width in gpt_shapes(model):
            part = torch.tensor(numbers[at : at + height * width], dtype=torch.float64)
            leaves.append(part.reshape(height, width).requires_grad_())
            at += height * width
        table = torch.tensor(rows, dtype=torch.float64)
        flat = lambda tensors: torch.cat([t.flatten() for t in tensors]).tolist()  # noqa: E731
        return Differentiable(bind(gpt_in_torch, model), leaves, table, flat)

    def in_jax(rows: list[list[float]]) -> Ready:
        jax, it = set_up_jax(), for_jax(rows)
        value_and_grad = jax.jit(jax.value_and_grad(it.loss))
        return Ready(
            lambda: jax.block_until_ready(value_and_grad(it.parameters, it.rows)),
            lambda result: as_floats(result[0], result[1].tolist()),
        )

    def afresh() -> tuple[Any, Any]:
        for p, number in zip(parameters, numbers, strict=True):
            p.data = number
        return step_for("native"), parameters

    for count in (1, 2) if quick else (1, 8, 32):
        rows = [*map(model.row, documents[:count])]
        prepare: dict[str, Callable[[], Ready]] = {
            "microgrant, native": bind(on_arrays, "native", rows),
            "microgrant, NumPy": bind(on_arrays, "numpy", rows),
            "microgrant, Python": bind(on_arrays, "python", rows),
            "JAX jit": bind(in_jax, rows),
            "microgrant, eager": bind(eagerly, rows),
        }
        title = f"microgpt: {nodes:,} nodes, {len(parameters):,} parameters, documents: {count}"
        report(Task(title, prepare, unit="document", units_in_a_step=count), repeat)
        whole_steps(title, afresh, rows, bind(for_jax, rows), bind(for_torch, rows), quick, repeat)
        afresh()


def gpt_shapes(model: Any) -> list[tuple[int, int]]:
    """The matrices of demos/microgpt.py, in the order of its parameters."""
    letters, positions, width = len(model.letters), model.positions, len(model.place[0])
    block = [*[(width, width)] * 4, (4 * width, width), (width, 4 * width)]
    return [(letters, width), (positions, width), (letters, width), *block * len(model.blocks)]


def gpt_in_jax(model: Any, flat: Any, rows: Any) -> Any:
    jax, jnp = load("jax"), load("jax.numpy")
    matrices, at = [], 0
    for height, width in gpt_shapes(model):
        matrices.append(flat[at : at + height * width].reshape(height, width))
        at += height * width
    seen = jnp.tril(jnp.ones((model.positions, model.positions), bool))
    words = {"softmax": jax.nn.softmax, "log_softmax": jax.nn.log_softmax, "relu": jax.nn.relu}
    return gpt_loss(model, matrices, rows, seen, jnp, words)


def gpt_in_torch(model: Any, matrices: Any, rows: Any) -> Any:
    torch = load("torch")
    seen = torch.tril(torch.ones((model.positions, model.positions), dtype=torch.bool))
    words = {
        "softmax": lambda x: torch.softmax(x, -1),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "relu": torch.relu,
    }
    return gpt_loss(model, matrices, rows, seen, torch, words)


def gpt_loss(
    model: Any,
    matrices: Sequence[Any],
    rows: Any,
    seen: Any,
    library: Any,
    words: Mapping[str, Callable[[Any], Any]],
) -> Any:
    """The mean loss of documents, as one writes the model of demos/microgpt.py for arrays."""
    positions, letters = model.positions, len(model.letters)
    embedding, place, head, *blocks = matrices
    width = place.shape[1]
    heads = len(model.blocks[0].attention.heads) if model.blocks else 1

    def norm(x: Any) -> Any:
        return x / library.sqrt((x * x).mean(-1) + 1e-5)[..., None]

    one_hots = rows[:, :-positions].reshape(-1, positions + 1, letters)
    x = norm(one_hots[:, :-1] @ embedding + place)
    for first in range(0, len(blocks), 6):
        *attention, out, up, down = blocks[first : first + 6]
        query, key, content = (
            (norm(x) @ matrix.T).reshape(-1, positions, heads, width // heads)
            for matrix in attention
        )
        scores = library.einsum("nthd,nshd->nhts", query, key) * (width // heads) ** -0.5
        weights = words["softmax"](library.where(seen, scores, -library.inf))
        found = library.einsum("nhts,nshd->nthd", weights, content).reshape(-1, positions, width)
        x = x + found @ out.T
        x = x + words["relu"](norm(x) @ up.T) @ down.T
    surprise = -(words["log_softmax"](x @ head.T) * one_hots[:, 1:]).sum(-1)
    return (rows[:, -positions:] * surprise).sum(-1).mean()


def convolution(quick: bool, repeat: int) -> None:
    """Filters that go over an image, and a layer on what they find."""
    side, channels = (4, 2) if quick else (8, 8)
    model = Sequential(
        Conv2d(1, channels, 3, activation="relu"),
        Flatten(),
        Layer(channels * (side - 2) ** 2, 10, nonlin=False),
    )

    def loss(x: list[Any]) -> Any:
        return cross_entropy(model([[x[side * r : side * (r + 1)] for r in range(side)]]), 3)

    on_model("Convolution", model, loss, side * side, quick, repeat)


def recurrent(quick: bool, repeat: int) -> None:
    """A cell that goes along a sequence."""
    steps, size = (3, 2) if quick else (16, 16)
    cell, last = RNN(1, size), Layer(size, 1, nonlin=False)

    def loss(x: list[Any]) -> Any:
        return (last(cell([[value] for value in x])[-1]) - 0.5) ** 2

    on_model("RNN", Sequential(cell, last), loss, steps, quick, repeat)


def irregular(quick: bool, repeat: int) -> None:
    """A random graph, in which nothing is like anything else."""
    draw = random.Random(3)
    leaves = [microgrant.Value(draw.uniform(-1, 1)) for _ in range(100)]

    def loss(x: list[Any]) -> Any:
        pool = [*x, *leaves]
        for _ in range(100 if quick else 3_000):
            a, b = draw.choice(pool[-300:]), draw.choice(pool)
            pool.append(draw.choice([a + b, a * b, a - b, a.tanh(), a.relu(), a.maximum(b)]))
        return sum((value.tanh() for value in pool[-60:]), sum(value * value for value in x))

    on_model("Irregular", leaves, loss, 8, quick, repeat)


def on_model(
    title: str,
    model: Any,
    loss: Callable[[list[Any]], Any],
    inputs: int,
    quick: bool,
    repeat: int,
) -> None:
    """Measure a model for which nobody else has a program, over some rows."""
    x = [microgrant.Value(0.1) for _ in range(inputs)]
    root = loss(x)
    reached = {id(value) for value in microgrant.topological_order(root)}
    parameters = model if isinstance(model, list) else model.parameters()
    parameters = [p for p in parameters if id(p) in reached]
    rows = [row[:inputs] for row in random_rows(10 if quick else 100, inputs)]

    def prepared(target: str) -> Ready:
        try:
            step = microgrant.compile(root, x, parameters, target=target)
        except ImportError as error:
            raise LeftOutError(str(error)) from None
        array = load("numpy").array if target == "native" else list
        flat, table = array([p.data for p in parameters]), array(rows)
        return Ready(lambda: step.value_and_grad(flat, table), lambda found: as_floats(*found))

    prepare = {f"microgrant, {target}": bind(prepared, target) for target in ("native", "python")}
    title = f"{title}: {len(reached):,} nodes, {len(parameters):,} parameters, {len(rows)} rows"
    report(Task(title, prepare), repeat)


def by_nodes(quick: bool, repeat: int) -> None:
    """How the time to compile, and the time of a step, grow with the graph."""
    widths, count = ((4, 8), 20) if quick else ((12, 24, 44, 64, 96, 132, 560), 100)
    print(f"\nNodes: 16-w-w-1 relu, half square loss, {count} rows, native")
    sizes, compiling, stepping = [], [], []
    print(
        f"{'w':>6}{'nodes':>10}{'prepare s':>12}{'MB so far':>12}{'µs/step':>14}"
        f"{'ns/node and row':>18}"
    )
    for width in widths:
        work = Work(Network((16, width, width, 1), error="half square"), random_rows(count, 16))
        entry = enter("native", bind(PARTICIPANTS["microgrant, native"], work))
        measure([entry], repeat)
        sizes.append(len(microgrant.topological_order(recorded(work)[0])))
        compiling.append(entry.seconds_to_prepare)
        stepping.append(entry.median)
        print(
            f"{width:6}{sizes[-1]:10,}{compiling[-1]:12.3f}{megabytes():12,.0f}"
            f"{stepping[-1] * 1e6:14,.1f}"
            f"{stepping[-1] / sizes[-1] / count * 1e9:18.3f}"
        )
    # Of the largest two: what small ones take is mostly the same for all.
    power = exponent(sizes[-2:], compiling[-2:])
    print(f"the time to prepare grows with nodes to the power of {power:.2f}, in the end")
    print(f"the time of a step grows with nodes to the power of {exponent(sizes, stepping):.2f}")


def compiling(quick: bool, repeat: int) -> None:
    """What it takes to compile, once a graph is recorded."""
    print("\nCompiling: seconds of the processor's time, native")
    print(f"{'':40}{'nodes':>10}{'least':>10}{'MB so far':>12}")
    links, letters = (30, 3) if quick else (30_000, 8)
    graphs: dict[str, Callable[[], tuple[Any, list[Any], list[Any]]]] = {
        "XOR, 2-2-1": lambda: recorded(Work(Network((2, 2, 1)), XOR_ROWS)),
        "moons, 2-16-16-1": lambda: recorded(Work(Network((2, 16, 16, 1)), half_moon_rows(10))),
        "16-64-64-1": lambda: recorded(Work(Network((16, 64, 64, 1)), random_rows(10, 16))),
        f"{links:,} times tanh(v*w + b)": lambda: chain_of(links),
        f"the GPT, {letters} positions": lambda: gpt_of(letters),
        **({} if quick else {"the GPT, 16 positions": lambda: gpt_of(16)}),
    }
    for name, make in graphs.items():
        times = []
        for _ in range(min(repeat, 3)):
            root, inputs, parameters = make()
            start = time.process_time()
            try:
                microgrant.compile(root, inputs, parameters, target="native")
            except ImportError as error:
                print(f"left out: {error}")
                return
            times.append(time.process_time() - start)
        nodes = len(microgrant.topological_order(root))
        print(f"{name:40}{nodes:10,}{min(times):10.3f}{megabytes():12,.0f}")


def chain_of(links: int) -> tuple[Any, list[Any], list[Any]]:
    """A chain, each link of which is a product, a sum and tanh."""
    x, w, b = (microgrant.Value(number) for number in (0.3, 0.5, 0.1))
    v = x
    for _ in range(links):
        v = (v * w + b).tanh()
    return v, [x], [w, b]


def gpt_of(positions: int) -> tuple[Any, list[Any], list[Any]]:
    """The graph of demos/microgpt.py, for so many letters."""
    microgpt = the_microgpt()
    names = microgpt.that_fit(microgpt.read_documents(microgpt.NAMES), positions)
    model = microgpt.GPT(microgpt.alphabet(names), positions=positions)
    row = [microgrant.Value(x) for x in model.row("")]
    return model.loss(row), row, model.parameters()


def by_rows(quick: bool, repeat: int) -> None:
    """How the time of a step grows with rows, on one core and on two."""
    counts = [20, 60] if quick else [100, 1_000, 10_000, 100_000]
    tables = {Network((2, 4, 1) if quick else (2, 16, 16, 1)): counts}
    if not quick:
        tables[Network((16, 64, 64, 1), error="half square")] = counts[:-1]
    for network, counts in tables.items():
        grow(network, counts, repeat)


def grow(network: Network, counts: Sequence[int], repeat: int) -> None:
    print(f"\nRows: {network}, native")
    available = {"1 core": 1, "2 cores": 2} if len(ALL_CORES) > 1 else {"as it comes": 1}
    print(f"{'rows':>8}" + "".join(f"{'µs, ' + name:>18}" for name in available) + f"{'ratio':>8}")
    medians = []
    for count in counts:
        ready = PARTICIPANTS["microgrant, native"](
            Work(network, random_rows(count, network.sizes[0]))
        )
        entries = [Entry(name, ready, 0.0, (0.0, [])) for name in available]
        measure(entries, repeat, available)
        times = [entry.median for entry in entries]
        medians.append(times[0])
        print(
            f"{count:8,}"
            + "".join(f"{time * 1e6:18,.1f}" for time in times)
            + f"{times[0] / times[-1]:8.2f}"
        )
    print(f"the first of them grows with rows to the power of {exponent(counts, medians):.2f}")


TASKS = {
    "moons": moons,
    "tanh": tanh,
    "wide": wide,
    "wider": wider,
    "xor": xor,
    "training": training,
    "fit": fitting,
    "gpt": gpt,
    "convolution": convolution,
    "recurrent": recurrent,
    "irregular": irregular,
    "compiling": compiling,
    "nodes": by_nodes,
    "rows": by_rows,
}


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Run on so many cores, where the system lets a process choose."""
    if not ALL_CORES:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ALL_CORES[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Take the same steps of training with microgrant, compiled, and with others.",
    )
    parser.add_argument(
        "--repeat", type=int, metavar="N", help="samples of each row (default: 9; 2 if quick)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny networks and few samples")
    parser.add_argument("--only", choices=TASKS, metavar="TASK", help=f"one of {', '.join(TASKS)}")
    parser.add_argument(
        "--jax-as-it-comes", action="store_true", help="leave JAX its threads, and all cores"
    )
    options = parser.parse_args()
    repeat = (2 if options.quick else 9) if options.repeat is None else options.repeat
    if repeat < 1:
        parser.error(f"--repeat takes a whole number from 1 on, but got {repeat}")

    for library in ("OMP", "OPENBLAS", "MKL"):  # before NumPy is imported, which looks at them
        os.environ[f"{library}_NUM_THREADS"] = "1"
    print(f"Python {platform.python_version()}, {platform.machine()}; {', '.join(versions())}")
    print(f"{repeat} samples in turn, fewer where a step takes seconds")
    print("prepare: to build, trace or compile, and a first step; ratio: to the first row")
    if hasattr(os, "getloadavg"):
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    if options.jax_as_it_comes:
        del JAX_SETTINGS["jax_cpu_enable_async_dispatch"]
    with cores(len(ALL_CORES) if options.jax_as_it_comes else 1):
        for name, task in TASKS.items():
            if options.only in (None, name):
                try:
                    task(options.quick, repeat)
                except LeftOutError as reason:
                    print(f"{name} is left out: {reason}")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
