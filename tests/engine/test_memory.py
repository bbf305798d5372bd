"""Memory goes back at once, with the garbage collector off, and a node is small."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from microgrant import Value, grad, no_grad
from microgrant.engine.freeing import free_in_turn
from microgrant.nn import MLP, Module


@contextmanager
def memory() -> Iterator[Callable[[], int]]:
    """How many bytes were taken since the beginning and not given back: a function.

    Inside, nothing is collected, and whenever one asks there is to be no garbage. (A collection
    also empties the lists in which Python keeps small tuples for later, which are no leak.)
    """

    def taken() -> int:
        assert gc.collect() == 0
        return tracemalloc.get_traced_memory()[0] - before

    gc.collect()
    gc.disable()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield taken
    finally:
        tracemalloc.stop()
        gc.enable()


def training_step(model: Callable[[list[float]], Value], parameters: list[Value]) -> None:
    x = [random.uniform(-1, 1), random.uniform(-1, 1)]
    loss = (1 - model(x)).relu() + 1e-4 * sum(p * p for p in parameters)
    for p in parameters:
        p.grad = 0.0
    loss.backward()
    for p in parameters:
        p.data -= 0.01 * p.grad


def assert_steps_keep_memory_flat(sizes: list[int], steps: int) -> None:
    random.seed(1)
    model = MLP(2, sizes)
    parameters = model.parameters()
    training_step(model, parameters)
    with memory() as taken:
        for _ in range(steps):
            training_step(model, parameters)
        assert taken() < 100_000


@pytest.mark.slow
def test_1000_steps_keep_memory_flat() -> None:
    assert_steps_keep_memory_flat([4, 4, 1], steps=1_000)


@pytest.mark.campaign
def test_10_000_steps_keep_memory_flat() -> None:
    assert_steps_keep_memory_flat([8, 8, 1], steps=10_000)


def test_derivatives_of_derivatives_give_memory_back() -> None:
    x = Value(0.5)
    with memory() as taken:
        for _ in range(100):
            derivative = (x.tanh() * x).exp()
            for _ in range(3):
                derivative = grad(derivative, x, create_graph=True)
            del derivative
        assert taken() < 10_000


def test_predictions_give_memory_back() -> None:
    model = MLP(2, [4, 1])
    with memory() as taken:
        for _ in range(100):
            with no_grad():
                model([1.0, 2.0])
        assert taken() < 10_000


class Remembering(Module):
    def __init__(self) -> None:
        self.inner = MLP(2, [3, 1])

    def forward(self, x: list[float]) -> Value:
        self.output = self.inner(x)
        return self.output


def test_a_module_that_keeps_its_output_makes_no_cycle() -> None:
    with memory() as taken:
        for _ in range(50):
            module = Remembering()
            for _ in range(3):
                module([1.0, 2.0]).backward()
        del module
        assert taken() < 10_000


@pytest.mark.slow
def test_a_node_takes_at_most_300_bytes() -> None:
    nodes = 100_000
    x = Value(0.5)
    with memory() as taken:
        y = x
        for _ in range(nodes // 4):
            y = (y * x + x).tanh() - x
        assert taken() / nodes < 300
        y.backward()
        assert taken() / nodes < 300
        del y
        assert taken() < 10_000


def test_a_network_takes_at_most_300_bytes_a_node() -> None:
    random.seed(1)
    model = MLP(2, [16, 16, 1])
    with memory() as taken:
        losses = [(1 - model([random.random(), random.random()])).relu() for _ in range(20)]
        total = sum(losses)
        total.backward()
        # In a row: a product and a sum for each weight, an activation for each hidden neuron; two
        # inputs; a difference and a ReLU with its constant 1; and a term of the total.
        nodes = 20 * (2 * (2 * 16 + 16 * 16 + 16) + 32 + 2 + 3 + 1)
        assert taken() / nodes < 300
        del losses, total
        assert taken() < 10_000


def test_in_a_browser_one_node_is_freed_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "emscripten")

    class Link:
        def __init__(self, held: Any) -> None:
            self.held = held

    free_in_turn(Link)
    free, depth, deepest, freed = Link.__del__, 0, 0, 0  # type: ignore[attr-defined]

    def counted(link: Link) -> None:
        nonlocal depth, deepest, freed
        depth, freed = depth + 1, freed + 1
        deepest = max(depth, deepest)
        free(link)
        depth -= 1

    Link.__del__ = counted  # type: ignore[attr-defined]
    chain = None
    for _ in range(1000):
        chain = Link([chain, (chain,)])
    del chain
    assert (freed, deepest) == (1000, 2)  # the first one waits for all others
