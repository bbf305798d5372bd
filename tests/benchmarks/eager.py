"""How fast graphs are built and differentiated: microgrant beside two other scalar engines.

With this program you can

- compare them all:                python tests/benchmarks/eager.py
- see in seconds that it works:    python tests/benchmarks/eager.py --quick
- take more samples:               python tests/benchmarks/eager.py --repeat 21

The others are micrograd 0.1.0, from PyPI, and the slots-and-tuples `Value` of `slots_value.py`.
Each task is one program, run over each engine's Value. First all engines must have computed the
same numbers; then they are timed in alternation, in one process, with Python's garbage collector
on, as Python sets it, and off.

A sample is several steps in a row. What an engine leaves to the garbage collector (both of the
others leave each step's whole graph, in a cycle of references) is collected at its own expense
when the collector is on. Between samples, outside of the time measured, all garbage is collected.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import itertools
import math
import platform
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial as bind
from typing import Any, TypeAlias

import slots_value

import microgrant
from microgrant import nn

Maker: TypeAlias = Callable[[float], Any]
"""An engine, as the programs below see it: the class of its Values."""


# --- The programs that are run over each engine -------------------------------------------------


class Training:
    """A program that takes steps: `loss` records a graph, the rest is the same for all."""

    rate = 0.1
    parameters: list[Any]

    def loss(self) -> Any:
        raise NotImplementedError

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = 0.0

    def step(self) -> Any:
        loss = self.loss()
        self.zero_grad()
        loss.backward()
        for parameter in self.parameters:
            parameter.data -= self.rate * parameter.grad
        return loss


class Moons(Training):
    """micrograd's demo: tell two half-moons apart by the hinge loss, with weight decay."""

    def __init__(self, value: Maker, rows: int, width: int = 16) -> None:
        draw = random.Random(1337)
        self.layers = [
            [([value(draw.uniform(-1, 1)) for _ in range(nin)], value(0.0)) for _ in range(nout)]
            for nin, nout in itertools.pairwise([2, width, width, 1])
        ]
        self.parameters = [p for layer in self.layers for w, b in layer for p in (*w, b)]
        self.value, self.examples = value, half_moons(rows)

    def score(self, x: list[Any]) -> Any:
        for layer in self.layers:
            x = [sum((wi * xi for wi, xi in zip(w, x, strict=True)), b) for w, b in layer]
            if layer is not self.layers[-1]:
                x = [xi.relu() for xi in x]
        return x[0]

    def loss(self) -> Any:
        inputs = [list(map(self.value, x)) for x, _ in self.examples]
        scores = map(self.score, inputs)
        losses = [
            (1 + -yi * score).relu() for (_, yi), score in zip(self.examples, scores, strict=True)
        ]
        data_loss = sum(losses) * (1.0 / len(losses))
        return data_loss + 1e-4 * sum(p * p for p in self.parameters)


class MoonsByModule(Moons):
    """The same with microgrant's own `nn.MLP`."""

    def __init__(self, rows: int, width: int = 16) -> None:
        super().__init__(microgrant.Value, rows, width)
        self.model = nn.MLP(2, [width, width, 1])
        for mine, given in zip(self.model.parameters(), self.parameters, strict=True):
            mine.data = given.data
        self.parameters = self.model.parameters()

    def score(self, x: list[Any]) -> Any:
        return self.model(x)

    def zero_grad(self) -> None:
        self.model.zero_grad()


class TinyGPT(Training):
    """One block of a transformer that learns to continue a sequence of letters, as microgpt does.

    Embeddings of letter and place, RMSNorm, causal attention, an MLP with squared ReLU, softmax,
    and the mean negative log likelihood of the next letter.
    """

    letters, width, heads = 27, 16, 2

    def __init__(self, value: Maker, length: int) -> None:
        draw = random.Random(42)
        self.sequence = [draw.randrange(self.letters) for _ in range(length + 1)]

        def matrix(rows: int, columns: int) -> list[list[Any]]:
            return [[value(draw.gauss(0, 0.3)) for _ in range(columns)] for _ in range(rows)]

        wide = 4 * self.width
        self.letter, self.place = matrix(self.letters, self.width), matrix(length, self.width)
        self.query, self.key, self.content, self.mix = (
            matrix(self.width, self.width) for _ in range(4)
        )
        self.widen, self.narrow = matrix(wide, self.width), matrix(self.width, wide)
        self.head = matrix(self.letters, self.width)
        matrices = (self.letter, self.place, self.query, self.key, self.content, self.mix,
                    self.widen, self.narrow, self.head)  # fmt: skip
        self.parameters = [p for rows in matrices for row in rows for p in row]

    def attend(
        self, query: list[Any], keys: list[list[Any]], contents: list[list[Any]]
    ) -> Iterator[Any]:
        """Each head's mean of the contents so far, weighted by how well its query fits the keys."""
        size = self.width // self.heads
        for start in range(0, self.width, size):
            part = slice(start, start + size)
            weights = softmax([dot(query[part], key[part]) / size**0.5 for key in keys])
            for column in zip(*(content[part] for content in contents), strict=True):
                yield dot(weights, column)

    def loss(self) -> Any:
        keys: list[list[Any]] = []
        contents: list[list[Any]] = []
        losses = []
        for i, (letter, following) in enumerate(itertools.pairwise(self.sequence)):
            x = normalised(added(self.letter[letter], self.place[i]))
            seen = normalised(x)
            keys.append(times(self.key, seen))
            contents.append(times(self.content, seen))
            heard = list(self.attend(times(self.query, seen), keys, contents))
            x = added(x, times(self.mix, heard))
            hidden = [h.relu() ** 2 for h in times(self.widen, normalised(x))]
            x = added(x, times(self.narrow, hidden))
            losses.append(-softmax(times(self.head, x))[following].log())
        return sum(losses) * (1.0 / len(losses))


class Chain(Training):
    """x = x * a + b, again and again: as deep as it is long."""

    rate = 1e-9  # keeps a below 1, and the numbers finite

    def __init__(self, value: Maker, links: int) -> None:
        self.value, self.links = value, links
        self.parameters = [value(0.999), value(0.002)]

    def loss(self) -> Any:
        a, b = self.parameters
        x = self.value(1.0)
        for _ in range(self.links):
            x = x * a + b
        return x


def half_moons(rows: int) -> list[tuple[tuple[float, float], int]]:
    """Points of two interleaved half circles, with noise, and the half (−1 or 1) of each."""
    draw = random.Random(7)
    examples = []
    for row in range(rows):
        angle, side = draw.uniform(0, math.pi), 1 if row % 2 else -1
        x = math.cos(angle) if side < 0 else 1 - math.cos(angle)
        y = math.sin(angle) if side < 0 else 0.5 - math.sin(angle)
        examples.append(((x + draw.gauss(0, 0.1), y + draw.gauss(0, 0.1)), side))
    return examples


def dot(xs: Sequence[Any], ys: Sequence[Any]) -> Any:
    return sum(x * y for x, y in zip(xs, ys, strict=True))


def times(matrix: list[list[Any]], x: list[Any]) -> list[Any]:
    return [dot(row, x) for row in matrix]


def added(xs: list[Any], ys: list[Any]) -> list[Any]:
    return [x + y for x, y in zip(xs, ys, strict=True)]


def normalised(x: list[Any]) -> list[Any]:
    """x, scaled so that the mean of its squares is 1."""
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def softmax(scores: list[Any]) -> list[Any]:
    largest = max(score.data for score in scores)
    powers = [(score - largest).exp() for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


# --- What is compared ---------------------------------------------------------------------------


@dataclass
class Task:
    """A table: its title, how many steps make a sample, and what stands in each row."""

    title: str
    steps: int
    rows: dict[str, Callable[[], Training]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def engines() -> tuple[dict[str, Maker], list[str]]:
    """The class of Values of each engine, by name, microgrant first; and what is to be said."""
    found: dict[str, Maker] = {
        "microgrant": microgrant.Value,
        "slots and tuples": slots_value.Value,
    }
    try:
        from micrograd.engine import Value
    except ImportError:
        return found, ["micrograd is left out: pip install micrograd==0.1.0 brings it in"]
    found[f"micrograd {importlib.metadata.version('micrograd')}"] = Value
    return found, []


def tasks(values: dict[str, Maker], quick: bool) -> list[Task]:
    rows, length, links = (20, 3, 5_000) if quick else (100, 8, 100_000)
    steps = 2 if quick else 3

    moons = Task(f"Moons: MLP 2-16-16-1, {rows} rows, hinge loss, L2, SGD", steps)
    gpt = Task(
        f"Tiny GPT: one block, width {TinyGPT.width}, {TinyGPT.heads} heads, {length} letters, SGD",
        steps,
    )
    short = Task("Short chain: x = x*a + b, 300 links", 50 * steps)
    deep = Task(f"Deep chain: x = x*a + b, {links:,} links", 1)
    for name, value in values.items():
        moons.rows[name] = bind(Moons, value, rows)
        if value is microgrant.Value:
            moons.rows["microgrant, nn.MLP"] = bind(MoonsByModule, rows)
        if hasattr(value, "exp") and hasattr(value, "log"):
            gpt.rows[name] = bind(TinyGPT, value, length)
        else:
            gpt.notes.append(f"{name} is left out: its Value has no exp or no log")
        short.rows[name] = bind(Chain, value, 300)
        try:
            Chain(value, links).step()
        except RecursionError:
            deep.notes.append(f"{name} is left out: it was tried, and raised a RecursionError")
        else:
            deep.rows[name] = bind(Chain, value, links)
    return [moons, gpt, short, deep]


# --- Measurements -------------------------------------------------------------------------------


def largest_difference(task: Task) -> tuple[int, float]:
    """How many numbers (the loss, each gradient) were compared, and how far they differ at most.

    The difference is relative. The steps compared are the second ones, so that the first update
    is compared as well.
    """
    reference: list[float] = []
    largest = 0.0
    for make in task.rows.values():
        training = make()
        training.step()
        loss = training.step()
        found = [loss.data, *(p.grad for p in training.parameters)]
        reference = reference or found
        for x, y in zip(reference, found, strict=True):
            largest = max(largest, abs(x - y) / max(abs(x), abs(y)) if x != y else 0.0)
        if not all(map(math.isfinite, found)):
            largest = math.nan
    return len(reference), largest


def memory(make: Callable[[], Training]) -> tuple[int, float, float]:
    """Nodes of the graph, bytes per node after a step, and at the step's peak."""
    gc.collect()
    tracemalloc.start()
    training = make()
    loss = training.step()
    peak = tracemalloc.get_traced_memory()[1]
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    nodes = count_nodes(loss)
    return nodes, held / nodes, peak / nodes


def count_nodes(root: Any) -> int:
    seen, waiting = {id(root)}, [root]
    while waiting:
        node = waiting.pop()
        for operand in node._children if isinstance(node, slots_value.Value) else node._prev:
            if id(operand) not in seen:
                seen.add(id(operand))
                waiting.append(operand)
    return len(seen)


def seconds_per_step(task: Task, repeat: int, collector: bool) -> dict[str, float]:
    """The median over `repeat` samples of each row, taken in turn."""
    trainings = {name: make() for name, make in task.rows.items()}
    samples: dict[str, list[float]] = {name: [] for name in trainings}
    for _ in range(repeat):
        for name, training in trainings.items():
            gc.collect()
            if not collector:
                gc.disable()
            start = time.perf_counter()
            for _ in range(task.steps):
                training.step()
            samples[name].append((time.perf_counter() - start) / task.steps)
            gc.enable()
    return {name: statistics.median(times) for name, times in samples.items()}


def report(task: Task, repeat: int) -> None:
    print(f"\n{task.title}")
    compared, difference = largest_difference(task)
    if not difference <= 1e-9:
        raise SystemExit(f"the engines disagree: relative differences go up to {difference:.1g}")
    if len(task.rows) > 1:
        closely = f"to within {difference:.1g}" if difference else "exactly"
        print(f"the loss and all gradients ({compared:,} numbers) agree {closely}")
    for note in task.notes:
        print(note)
    on, off = (seconds_per_step(task, repeat, collector) for collector in (True, False))
    print(f"{'':20}{'':8}{'bytes/node':>12}{'collector on':>28}{'collector off':>28}")
    header = f"{'ms/step':>10}{'nodes/s':>12}{'ratio':>6}"
    print(f"{'':20}{'nodes':>8}{'kept':>6}{'peak':>6}{header}{header}")
    for name, make in task.rows.items():
        nodes, kept, peak = memory(make)
        line = f"{name:20}{nodes:8}{kept:6.0f}{peak:6.0f}"
        for times in (on, off):
            seconds = times[name]
            ratio = seconds / times["microgrant"]
            line += f"{seconds * 1e3:10.2f}{nodes / seconds:12,.0f}{ratio:6.2f}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Build and differentiate the same graphs with microgrant and two others.",
    )
    parser.add_argument(
        "--repeat", type=int, metavar="N", help="samples of each row (default: 5; 2 if quick)"
    )
    parser.add_argument("--quick", action="store_true", help="small graphs and few samples")
    options = parser.parse_args()
    repeat = (2 if options.quick else 5) if options.repeat is None else options.repeat
    if repeat < 1:
        parser.error(f"--repeat takes a whole number from 1 on, but got {repeat}")

    values, remarks = engines()
    print(f"Python {platform.python_version()}, {platform.machine()}; medians of {repeat} samples")
    print(f"collector on: with Python's thresholds, {gc.get_threshold()}")
    print("ratio: this row's time over that of microgrant's first row")
    print("bytes/node: kept after a step with its graph, and at the peak of the step")
    for remark in remarks:
        print(remark)
    for task in tasks(values, options.quick):
        report(task, repeat)


if __name__ == "__main__":
    main()
