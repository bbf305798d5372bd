"""Macros: an operation is the numbers that are needed again, and computes what its rules say."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from test_ops import bits, every_entry, points

from microgrant import Value, apply, compile, define
from microgrant.compiler import machine
from microgrant.compiler.llvm import PRIMITIVES
from microgrant.compiler.macros import NativeProgram, recipe
from microgrant.compiler.program import Macro, Register, needed, spelled
from microgrant.compiler.sums import SumProgram
from microgrant.engine import whole_order
from microgrant.ops import OPERATIONS, Operation
from microgrant.ops.table import elu

inf, nan = math.inf, math.nan
own = define("own", math.tanh, lambda m, out, x: (1.0 - out * out,))
CORNERS = (-inf, -800.0, -1.5, -0.3, -0.0, 0.0, 0.3, 1.0, 800.0, inf, nan)


def registers_of(loss: Value, inputs: list[Value]) -> list[Register]:
    """What a native step computes: the loss, and the gradients of its inputs."""
    program, order = NativeProgram(PRIMITIVES), whole_order(loss)
    program.record(order, inputs, [], [loss])
    gradients = program.differentiate({loss: program.constant(1.0)}, order, inputs)
    wanted = [program.register_of(loss), *(x for x in gradients if x is not None)]
    return [x for x in needed(wanted) if not x.leaf]


def computed(registers: list[Register]) -> Counter[str]:
    """How often each operation of a processor is computed."""
    return Counter(str(name) for x in registers for name in spelled(x.operation))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu"])
def test_value_and_derivative_share_what_takes_long(name: str) -> None:
    x = Value(0.5)
    assert computed(registers_of(apply(OPERATIONS[name], x), [x]))["exp"] == 1


def test_a_chain_is_few_instructions_for_each_link() -> None:
    w, b, x = Value(0.5), Value(0.1), Value(0.3)
    y = x
    for _ in range(100):
        y = (y * w + b).tanh()
    # A product, a sum, an exponential, the result, its slope, and two products on the way back.
    assert len(registers_of(y, [x])) == 7 * 100 - 1  # the first of which has 1 for a factor


def test_short_operations_and_those_of_ones_own_have_no_recipe() -> None:
    one_of_its_own = own(Value(1.0)).operation
    for operation in (*map(OPERATIONS.get, ("add", "exp", "relu", "abs")), one_of_its_own):
        assert operation is not None
        assert recipe(operation, PRIMITIVES) is None
    tanh = OPERATIONS["tanh"]
    assert recipe(tanh, PRIMITIVES) is recipe(tanh, PRIMITIVES)
    assert recipe(tanh, PRIMITIVES) is not None
    assert recipe(elu(1.0), PRIMITIVES) is None


def test_what_is_the_same_for_all_rows_stays_apart() -> None:
    x, w = Value(0.5), Value(0.25)
    for y in (apply(OPERATIONS["hypot"], x, w), apply(OPERATIONS["hypot"], x, Value(2.0))):
        program = NativeProgram(PRIMITIVES)
        program.record(whole_order(y), [x], [w], [y])
        assert not any(isinstance(r.operation, Macro) for r in program.registers)
    both = [Value(0.5), Value(0.25)]
    assert any(
        isinstance(r.operation, Macro)
        for r in registers_of(apply(OPERATIONS["hypot"], *both), both)
    )


@every_entry
@pytest.mark.parametrize("loops", [False, True])
def test_a_macro_computes_what_it_stands_for(
    entry: Operation, loops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    monkeypatch.setattr(machine, "repetitive", lambda stages: loops)
    x, w = ([Value(1.0) for _ in entry.domain] for _ in range(2))
    loss = apply(entry, *(a * b for a, b in zip(x, w, strict=True)))
    with_macros = compile(loss, x, w, target="native")
    monkeypatch.setattr(machine.NativeMachine, "program", SumProgram)
    without = compile(loss, x, w, target="native")
    for row in [*points(entry), *((a, b)[: entry.arity] for a in CORNERS for b in CORNERS)]:
        (value, slopes), (expected, others) = (
            step.value_and_grad([1.0] * entry.arity, [row]) for step in (with_macros, without)
        )
        assert bits(value) == bits(expected), row
        assert list(slopes) == pytest.approx(list(others), rel=1e-14, nan_ok=True), row
