"""Random graphs against two oracles: PyTorch in float64, and mpmath with 50 digits.

PyTorch tells that another engine computes the same numbers; mpmath, which is asked for function
values only and differentiates them numerically, tells that they are right.
"""

from __future__ import annotations

from typing import Any

import pytest
from graphs import (
    ARITHMETIC,
    MICROGRANT,
    SAFE,
    differentiate,
    mpmath_spelling,
    random_program,
    run,
    torch_spelling,
)

from microgrant.engine import Value, topological_order
from microgrant.ops import OPERATIONS

UNIT = 2.0**-53  # the largest relative error of one rounding
BATCH = 500


def batches(graphs: int, start: int = 0) -> list[range]:
    return [range(seed, seed + BATCH) for seed in range(start, start + graphs, BATCH)]


def mostly_campaign(graphs: int) -> list[Any]:
    """All of these graphs, of which every run sees the first batch."""
    first, *others = batches(graphs)
    return [first, *(pytest.param(seeds, marks=pytest.mark.campaign) for seeds in others)]


def campaign(graphs: int) -> list[range]:
    """Seeds that the default run does not see."""
    return batches(graphs, start=10**6)


def assert_agrees_with_torch(seeds: range, arithmetic: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    spelling = torch_spelling(torch)
    for seed in seeds:
        program = random_program(seed, ARITHMETIC if arithmetic else tuple(SAFE))
        ours = differentiate(program)
        leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in program.leaves]
        theirs = run(program, leaves, spelling)
        theirs[-1].backward()
        if arithmetic:
            assert [x.hex() for x in ours.data] == [x.item().hex() for x in theirs], program
        else:
            data = [x.item() for x in theirs]
            assert ours.data == pytest.approx(data, rel=1e-9, abs=1e-12), program
        for gradient, scale, leaf in zip(ours.grads, ours.scales, leaves, strict=True):
            error = abs(gradient - leaf.grad.item())
            if arithmetic:
                assert error <= 8 * UNIT * scale, program
            else:
                assert error <= 1e-9 * max(1.0, abs(gradient)), program


def assert_agrees_with_mpmath(seeds: range, arithmetic: bool) -> None:
    mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")
    spelling = mpmath_spelling(mpmath)
    with mpmath.workdps(50):
        nudge = mpmath.mpf(10) ** -17  # leaves a relative error of about 1e-34
        for seed in seeds:
            program = random_program(seed, ARITHMETIC if arithmetic else tuple(SAFE))
            ours = differentiate(program)
            exact = run(program, [mpmath.mpf(x) for x in program.leaves], spelling)
            for computed, true in zip(ours.data, exact, strict=True):
                assert abs(computed - true) <= 1e-12 * max(1, abs(true)), program
            for place, gradient in enumerate(ours.grads):
                above, below = (
                    [mpmath.mpf(x) + h * (i == place) for i, x in enumerate(program.leaves)]
                    for h in (nudge, -nudge)
                )
                rise = run(program, above, spelling)[-1] - run(program, below, spelling)[-1]
                true = rise / (2 * nudge)
                assert abs(gradient - true) <= 1e-9 * max(1, abs(true)), program


@pytest.mark.slow
@pytest.mark.parametrize("seeds", mostly_campaign(5_000), ids=str)
@pytest.mark.parametrize("arithmetic", [True, False], ids=["arithmetic", "all"])
def test_torch_agrees(seeds: range, arithmetic: bool) -> None:
    assert_agrees_with_torch(seeds, arithmetic)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", mostly_campaign(1_000), ids=str)
@pytest.mark.parametrize("arithmetic", [True, False], ids=["arithmetic", "all"])
def test_mpmath_agrees(seeds: range, arithmetic: bool) -> None:
    assert_agrees_with_mpmath(seeds, arithmetic)


@pytest.mark.campaign
@pytest.mark.parametrize("seeds", campaign(50_000), ids=str)
@pytest.mark.parametrize("arithmetic", [True, False], ids=["arithmetic", "all"])
def test_torch_agrees_on_100_000_graphs(seeds: range, arithmetic: bool) -> None:
    assert_agrees_with_torch(seeds, arithmetic)


@pytest.mark.campaign
@pytest.mark.parametrize("seeds", campaign(10_000), ids=str)
@pytest.mark.parametrize("arithmetic", [True, False], ids=["arithmetic", "all"])
def test_mpmath_agrees_on_20_000_graphs(seeds: range, arithmetic: bool) -> None:
    assert_agrees_with_mpmath(seeds, arithmetic)


def test_graphs_use_every_operation_of_the_table() -> None:
    assert set(SAFE) == set(OPERATIONS)
    used = {name for seed in range(100) for name, _ in random_program(seed).lines}
    assert used == set(OPERATIONS)


def test_graphs_have_5_to_60_operations_and_are_reproducible() -> None:
    sizes = set()
    for seed in range(300):
        program = random_program(seed)
        assert program == random_program(seed)
        leaves = [Value(x) for x in program.leaves]
        order = topological_order(run(program, leaves, MICROGRANT)[-1])
        assert set(leaves) <= set(order)
        sizes.add(sum(node.operation is not None for node in order))
    assert min(sizes) == 5
    assert 55 <= max(sizes) <= 60
