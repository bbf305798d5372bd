"""The straight-line program of a graph: what is folded, shared, pruned, and computed once.

The programs are looked at as instructions. That they compute the right numbers is what
`test_native` shows; here, whatever is left out of a program is shown to make no difference.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from choices import carry_out, random_choices
from test_ops import ENTRIES, bits, every_entry, odd_floats, points

from microgrant import Value, apply, compile, define, grad, where
from microgrant.compiler import llvm
from microgrant.compiler.program import (
    AFTER,
    LAYOUT,
    LEAVES,
    ONCE,
    ROW,
    Job,
    Program,
    Register,
    needed,
)
from microgrant.compiler.targets import MACHINES
from microgrant.engine import NO_GRADIENT, RELATIONS, whole_order
from microgrant.nn import MLP
from microgrant.ops import OPERATIONS, Operation

inf, nan = math.inf, math.nan
PRIMITIVES = {name: kind.primitives for name, kind in MACHINES.items()}

RUN_HERE = [target for target in PRIMITIVES if target != "jax"]  # see `test_jax`
every_target = pytest.mark.parametrize("target", PRIMITIVES)


def written(
    root: Value,
    inputs: Sequence[Value] = (),
    parameters: Sequence[Value] | None = None,
    target: str = "python",
) -> SimpleNamespace:
    """The program of a graph, and its outputs: the root, or the mean of it and the gradients."""
    program, order = Program(PRIMITIVES[target]), whole_order(root)
    program.record(order, inputs, parameters or ())
    result = program.register_of(root)
    gradients: list[Register | None] = []
    if parameters is not None:
        result = program.mean(result)
        gradients = program.differentiate({root: program.constant(1.0)}, order, parameters)
    outputs = [result, *(gradient for gradient in gradients if gradient is not None)]
    return SimpleNamespace(
        program=program,
        result=result,
        gradients=gradients,
        outputs=outputs,
        registers=needed(outputs),
        found=program.register_of,
    )


def operations(registers: Sequence[Register]) -> list[str]:
    """What is computed, in order."""
    return [str(x.operation) for x in registers if not x.leaf]


def steps_of(root: Value, *inputs: Value) -> list[str]:
    """What the program of a graph of inputs computes."""
    return operations(written(root, inputs).registers)


def leaves(*names: str) -> list[Value]:
    return [Value(0.25 + place, name) for place, name in enumerate(names)]


# --- Folding --------------------------------------------------------------------------------------


@every_entry
@every_target
def test_what_is_known_is_computed_at_once(entry: Operation, target: str) -> None:
    """By the table's own function: with the bits that the engine has."""
    special = (-inf, -2.0, -0.0, 0.0, 1.0, 1e-320, 710.0, inf, nan)
    corners = [(a, b)[: entry.arity] for a in special for b in special]
    for point in [*points(entry), *corners]:
        root = apply(entry, *map(Value, point))
        folded = written(root, target=target).result
        assert folded.operation == "constant"
        assert bits(folded.operands[0]) == bits(root), point


def test_conditions_of_constants_are_known() -> None:
    a, b, c, x = Value(1.0), Value(2.0), Value(nan), Value(3.0)
    for condition, taken in [
        (a < b, True),
        (a >= b, False),
        (c <= c, False),
        (c == 1, False),
        (c != 1, True),
        (~(a < b), False),
        ((a < b) & (b < 2), False),
        ((a < b) | (b < 2), True),
        ((a < b) ^ (b < 3), False),
        ((a < b) & True, True),
    ]:
        assert condition.truth == taken
        expected = written(x.sin() if taken else x.cos(), [x]).result.operation
        assert steps_of(where(condition, x.sin(), x.cos()), x) == [expected]


def test_half_known_conditions_are_what_is_left() -> None:
    x, one = Value(3.0), Value(1.0)
    for condition, left in [
        ((x > 0) & (one > 0), [">", "where"]),
        ((one > 0) & (x > 0), [">", "where"]),
        ((x > 0) | (one < 0), [">", "where"]),
        ((x > 0) & (one < 0), ["cos"]),
        ((one > 0) | (x > 0), ["sin"]),
    ]:
        computed = steps_of(where(condition, x.sin(), x.cos()), x)
        assert [name for name in computed if len(left) == 1 or name not in ("sin", "cos")] == left


def negated(x: Value) -> Value:
    return -x


# An expression of x, and what is computed of it.
SIMPLER: list[tuple[str, Callable[[Value], Value], list[str]]] = [
    ("x * 1", lambda x: x * 1, []),
    ("1 * x", lambda x: 1 * x, []),
    ("x * -1", lambda x: x * -1, ["neg"]),
    ("-1 * x", lambda x: -1 * x, ["neg"]),
    ("x / 1", lambda x: x / 1, []),
    ("x / 4", lambda x: x / 4, ["mul"]),
    ("x / -0.5", lambda x: x / -0.5, ["mul"]),
    ("x / 2**900", lambda x: x / 2.0**900, ["mul"]),
    ("x - 0", lambda x: x - 0.0, []),
    ("a negation twice", lambda x: -negated(x), []),
    ("|-x|", lambda x: abs(-x), ["abs"]),
    ("a negation three times", lambda x: negated(-negated(x)), ["neg"]),
    ("x ** 1", lambda x: x**1, []),
    ("2x > 0", lambda x: where(2 * x > 0, x, 1.0), [">", "where"]),
    ("-1.5x > 0", lambda x: where(x * -1.5 > 0, x, 1.0), ["<", "where"]),
    ("-2x <= 0", lambda x: where(-2 * x <= 0, x, 1.0), [">=", "where"]),
]

# What looks as if it could be left out, but differs for some x: -0.0, inf, nan, or large or small.
NOT_SIMPLER: list[tuple[str, Callable[[Value], Value]]] = [
    ("x + 0", lambda x: x + 0.0),
    ("x - -0", lambda x: x - -0.0),
    ("0 - x", lambda x: 0.0 - x),
    ("x * 0", lambda x: x * 0.0),
    ("0 / x", lambda x: 0.0 / x),
    ("x - x", lambda x: x - x),
    ("x / x", lambda x: x / x),
    ("x / 3", lambda x: x / 3),
    ("x / inf", lambda x: x / inf),
    ("x / 0", lambda x: x / 0.0),
    ("x / nan", lambda x: x / nan),
    ("x / a subnormal", lambda x: x / 2.0**-1074),
    ("x / 2**1023", lambda x: x / 2.0**1023),
    ("x * nan", lambda x: x * nan),
    ("max(x, x)", lambda x: x.maximum(x)),
    ("(x + 1) - 1", lambda x: (x + 1) - 1),
    ("(x * 3) / 3", lambda x: (x * 3) / 3),
    ("log(exp(x))", lambda x: x.exp().log()),
    ("sqrt(x²)", lambda x: (x**2).sqrt()),
    ("1 / (1 / x)", lambda x: 1 / (1 / x)),
    ("x / 2 > 0", lambda x: where(x / 2 > 0, x, 1.0)),
    ("x * inf >= 0", lambda x: where(x * inf >= 0, x, 1.0)),
    ("x * nan <= 0", lambda x: where(x * nan <= 0, x, 1.0)),
    ("x * 0 >= 0", lambda x: where(x * 0 >= 0, x, 1.0)),
    ("2x > 1", lambda x: where(2 * x > 1, x, 1.0)),
]


@pytest.mark.parametrize(
    ("function", "computed"), [row[1:] for row in SIMPLER], ids=[row[0] for row in SIMPLER]
)
def test_what_needs_no_instruction(function: Callable[[Value], Value], computed: list[str]) -> None:
    x = Value(0.5)
    assert steps_of(function(x), x) == computed


@pytest.mark.parametrize(
    "function",
    [function for _, function, *_ in (*SIMPLER, *NOT_SIMPLER)],
    ids=[name for name, *_ in (*SIMPLER, *NOT_SIMPLER)],
)
def test_what_is_made_simpler_is_the_same_for_every_number(
    function: Callable[[Value], Value],
) -> None:
    x = Value(0.5)
    predict = compile(function(x), [x], target="python")
    numbers = odd_floats(300)
    eager = [function(Value(number)).data for number in numbers]
    for number, computed, true in zip(
        numbers, predict([[x] for x in numbers]).tolist(), eager, strict=True
    ):
        assert bits(computed) == bits(true), number


# --- Sharing --------------------------------------------------------------------------------------


def test_what_was_computed_before_is_used_again() -> None:
    a, b = leaves("a", "b")
    assert steps_of((a + b) * (a + b), a, b) == ["add", "mul"]
    assert steps_of((a + b) * (b + a), a, b) == ["add", "mul"]
    assert steps_of((a * b) + (b * a), a, b) == ["mul", "add"]
    assert steps_of((a - b) * (b - a), a, b) == ["sub", "sub", "mul"]
    assert steps_of((a / b) * (b / a), a, b) == ["div", "div", "mul"]
    assert steps_of(a.tanh() + a.tanh(), a, b) == ["tanh", "add"]
    assert steps_of(a**2 + a * a, a, b) == ["mul", "add"]
    assert steps_of(where(a > b, a, b) + where(a > b, a, b), a, b) == [">", "where", "add"]
    assert steps_of(a.clip(0, 1) + a.clip(0, 2), a).count("<") == 1


def test_zeros_of_two_signs_are_two_constants() -> None:
    x = Value(1.0)
    assert steps_of((x + 0.0) * (x + -0.0), x) == ["add", "add", "mul"]
    assert steps_of((x + nan) * (x + nan), x) == ["add", "mul"]


def test_the_backward_pass_uses_the_forward_pass() -> None:
    w, x = leaves("w", "x")
    assert operations(written((w * x).exp(), [x], [w]).registers).count("exp") == 1
    assert operations(written((w * x).sqrt(), [x], [w]).registers).count("sqrt") == 1
    assert operations(written(1 / (w * x), [x], [w]).registers).count("div") == 2


@pytest.mark.parametrize("function", [Value.tanh, Value.sigmoid])
def test_a_function_and_its_slope_take_one_exponential(function: Callable[[Value], Value]) -> None:
    w, x = leaves("w", "x")
    computed = operations(written(function(w * x), [x], [w], "native").registers)
    assert [computed.count(name) for name in ("expm1", "exp", "div")] == [0, 1, 1]


def test_a_sum_of_gradients_is_made_once() -> None:
    """x + x + x: the gradients are added where they meet, not where they part."""
    w, x = leaves("w", "x")
    y = (w * x).tanh()
    program = written(y * y + y, [x], [w])
    assert operations(program.registers).count("sigmoid") == 2


# --- Pruning --------------------------------------------------------------------------------------


def test_inputs_and_constants_get_no_gradient() -> None:
    w, x, c = leaves("w", "x", "c")
    features = (x.exp() * c).tanh()
    program = written(w * features.sin(), [x], [w])
    backward = [x for x in program.registers if x.index >= program.program.forward]
    assert operations(backward) == ["mean"]
    assert program.found(features).operation == "tanh"


def test_a_parameter_out_of_reach_has_none() -> None:
    w, x, gone, beside = leaves("w", "x", "gone", "beside")
    program = written(where(beside > 0, w * x, w), [x], [gone, w, beside])
    assert [gradient is None for gradient in program.gradients] == [True, False, True]


def test_what_no_output_needs_is_left_out() -> None:
    """The value of a linear loss needs not be computed for its gradient."""
    w, x = leaves("w", "x")
    program = written(w * x.exp() + (w * 3).sin(), [x], [w])
    [gradient] = program.gradients
    assert "sin" not in operations(needed([gradient]))
    assert "sin" in operations(needed([program.result]))
    assert "cos" not in operations(needed([program.result]))


def test_operands_come_before_results() -> None:
    for seed in range(20):
        program = random_choices(seed)
        values = [Value(x) for x in program.leaves]
        root = carry_out(program, values)[-1]
        registers = written(root, values[1:], values[:1]).registers
        places = {register.index: place for place, register in enumerate(registers)}
        assert [x.index for x in registers] == sorted(places)
        for place, register in enumerate(registers):
            if not register.leaf:
                assert all(places[operand.index] < place for operand in register.operands)


# --- Stages ---------------------------------------------------------------------------------------


def test_what_depends_on_no_input_is_computed_once() -> None:
    w, v, x = leaves("w", "v", "x")
    scale = (w * v).exp()
    loss = (scale * x).tanh() + scale.log()
    program = written(loss, [x], [w, v])
    assert program.found(scale).stage == ONCE
    assert program.found(loss).stage == ROW
    assert program.result.stage == AFTER
    once = [x for x in program.registers if x.stage == ONCE]
    assert set(operations(once)) >= {"mul", "exp", "log"}
    assert "tanh" not in operations(once)
    row = operations([x for x in program.registers if x.stage == ROW])
    assert not {"exp", "log"} & set(row)


def test_gradients_leave_the_rows_as_early_as_they_can() -> None:
    """d loss/d scale is summed over the rows; d scale/d w and the like are applied once."""
    w, v, x = leaves("w", "v", "x")
    scale = (w * v + w).exp()
    program = written((scale * x).tanh(), [x], [w, v])
    means = [x for x in program.registers if x.operation == "mean"]
    assert len(means) == 2  # of the loss, and of the gradient of the scale
    assert {gradient.stage for gradient in program.gradients} == {AFTER}


def test_the_mean_of_what_is_the_same_for_all_rows() -> None:
    w, x = leaves("w", "x")
    program = written((w * w).exp(), [], [w])
    assert "mean" not in operations(program.registers)
    assert {x.stage for x in program.registers} == {ONCE}
    assert program.program.mean(program.result) is program.result
    program = written((w * x), [x], [w])
    assert program.program.mean(program.result) is program.result


@every_target
def test_a_mean_is_the_only_way_out_of_a_row(target: str) -> None:
    """In random graphs, with choices on some rows only."""
    means = 0
    for seed in range(150):
        program = random_choices(seed)
        values = [Value(x) for x in program.leaves]
        root = carry_out(program, values)[-1]
        for cut in range(1, len(values)):
            compiled = written(root, values[cut:], values[:cut], target)
            assert {x.stage for x in compiled.outputs} <= {ONCE, AFTER}
            for register in compiled.registers:
                if register.operation == "mean":
                    means += 1
                    assert (register.stage, register.operands[0].stage) == (AFTER, ROW)
                elif not register.leaf:
                    stages = {operand.stage for operand in register.operands}
                    assert register.stage == max(stages)
                    assert not {ROW, AFTER} <= stages
    assert means > 1_000


# --- What a target computes -----------------------------------------------------------------------


@every_target
def test_a_target_is_given_what_it_computes(target: str) -> None:
    allowed = {*PRIMITIVES[target], *RELATIONS, *LEAVES, "where", "and", "or", "not", "mean"}
    for entry in ENTRIES:
        values = [Value(0.5 + i) for i in range(entry.arity)]
        registers = written(apply(entry, *values), (), values, target).registers
        assert {x.operation for x in registers} <= allowed, entry


@pytest.mark.parametrize("name", llvm.CALLED)
def test_what_native_code_calls_is_made_of_instructions(name: str) -> None:
    program = Program(llvm.PRIMITIVES)
    places = range(OPERATIONS[name].arity)
    operands = [program.leaf("parameter", place) for place in places]
    registers = needed([program.expanded(name, *operands)])
    allowed = {*llvm.INSTRUCTIONS, *llvm.CALLED, *LAYOUT, *RELATIONS, *LEAVES}
    assert {x.operation for x in registers} <= allowed | {"where", "and", "or", "not"}
    assert name not in operations(registers)


@pytest.mark.parametrize("name", OPERATIONS)
@every_target
def test_every_operation_has_a_word_in_every_target(name: str, target: str) -> None:
    rule = target in ("native", "numpy", "jax") and callable(OPERATIONS[name].native)
    assert name in PRIMITIVES[target] or rule


@pytest.mark.parametrize("exponent", [-8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("target", RUN_HERE)
def test_whole_powers(exponent: int, target: str, runs_here: Callable[[str], None]) -> None:
    """Products where two roundings do, and else what the system computes."""
    runs_here(target)
    x = Value(0.5)
    steps = operations(written(x**exponent, [x], target=target).registers)
    products = {1: 0, 2: 1, 3: 2, 4: 2}.get(abs(exponent), 0)
    if exponent in (-2, -1, 1, 2, 3, 4):
        assert steps == ["div"] * (exponent < 0) + ["mul"] * products
    else:
        assert steps == ["pow"]
    predict = compile(x**exponent, [x], target=target)
    given = [*odd_floats(300), *(random.Random(exponent).uniform(-9, 9) for _ in range(300))]
    for number, found in zip(given, predict([[y] for y in given]).tolist(), strict=True):
        true = (Value(number) ** exponent).data
        assert found == pytest.approx(true, rel=4e-16, abs=5e-324, nan_ok=True), number
        assert math.copysign(1.0, found) == math.copysign(1.0, true) or true != true, number


def test_powers_with_known_exponents() -> None:
    x = Value(0.5)
    assert steps_of(x**0.5, x).count("sqrt") == 1
    assert "pow" not in steps_of(x**-0.5, x)
    assert steps_of(x**9, x) == steps_of(x**2.5, x) == ["pow"]
    w = Value(2.0)
    backward = written(x**w, [w], [x])  # an exponent that is an input is not known
    assert operations(backward.registers).count("pow") == 2
    cube = written(x ** Value(3.0), [], [x])  # but that of a constant leaf is
    assert operations(needed(cube.gradients)).count("pow") == 0


# --- Registers ------------------------------------------------------------------------------------


def registers() -> tuple[Program, Register, Register]:
    program = Program(PRIMITIVES["python"])
    return program, program.leaf("parameter", 0, "a"), program.leaf("input", 0, "b")


def test_arithmetic_on_registers_appends_instructions() -> None:
    program, a, b = registers()
    computed = {
        "add": [a + b, 2 + a, a + 2.0],
        "sub": [a - b, 2 - a],
        "mul": [a * b, 3 * a],
        "div": [a / b, 1 / a],
        "pow": [a**b, 2**a],
        "neg": [-a],
        "abs": [abs(a)],
        "<": [a < b],
        "<=": [a <= b],
        ">": [a > b],
        ">=": [a >= 1],
        "==": [a == b],
        "!=": [a != b],
        "or": [(a < b) | (a > b)],
        "and": [(a < b) & (a > b)],
        "not": [~(a < b)],
    }
    for operation, found in computed.items():
        assert [x.operation for x in found] == [operation] * len(found)
    assert [x.operation for x in (a < b, 2 + a, a**b)] == ["<", "add", "pow"]
    assert program.registers[0] is a
    assert (a.leaf, (a + b).leaf, program.constant(1.0).leaf) == (True, False, True)
    assert ((a + b).stage, a.stage, b.stage) == (ROW, ONCE, ROW)
    assert [x.name for x in ((2 + a).operands[0], a)] == ["", "a"]


def test_operands_keep_their_sides() -> None:
    program, a, b = registers()
    for made, operands in [
        (a - b, (a, b)),
        (2 - a, (program.constant(2.0), a)),
        (1 / b, (program.constant(1.0), b)),
        (2**b, (program.constant(2.0), b)),
        (b < a, (b, a)),
        (a > 3, (a, program.constant(3.0))),
    ]:
        assert all(x is y for x, y in zip(made.operands, operands, strict=True))


def test_a_rule_cannot_decide_by_if() -> None:
    _, a, b = registers()
    for decide in (bool, lambda x: 1 if x else 0, lambda x: x and 1, lambda x: not x):
        with pytest.raises(TypeError, match=r"decides with m\.where\(condition, yes, no\)"):
            decide(a > b)


def test_every_rule_runs_on_registers() -> None:
    """And gives as many partial derivatives as there are operands."""
    for entry in ENTRIES:
        program = Program(PRIMITIVES["python"])
        operands = [program.leaf("parameter", i) for i in range(entry.arity)]
        out = program.apply(entry, *operands)
        partials = entry.partials(program.algebra, out, *operands)
        assert len(partials) == entry.arity
        assert all(isinstance(x, (Register, float)) for x in partials)


# --- Operations of one's own ----------------------------------------------------------------------


def test_a_rule_of_ones_own_becomes_instructions_if_it_can() -> None:
    w, x = leaves("w", "x")
    square = define("square_of", lambda x: x * x, lambda m, out, x: (2 * x,))
    program = written(square(w * x), [x], [w])
    own = [r.operation for r in program.registers if isinstance(r.operation, Operation)]
    assert [operation.name for operation in own] == ["square_of"]
    floats_only = define("floats_only", lambda x: x * x, lambda m, out, x: (math.fabs(2.0) * +x,))
    assert floats_only(w).partials == (0.5,)
    sine = define("sine_of", lambda x: math.sin(x), lambda m, out, x: (math.cos(x),))
    program = written(sine(w * x), [x], [w])
    own = [r.operation for r in program.registers if isinstance(r.operation, Operation)]
    assert [operation.name for operation in own] == ["sine_of", "sine_of_partial_0"]
    out, point = math.sin(0.3), 0.3
    assert own[1].forward(out, point) == math.cos(point)
    assert own[1].arity == 2


def test_an_operation_of_ones_own_on_constants_is_known() -> None:
    x = Value(0.5)
    sine = define("sine_of", lambda x: math.sin(x), lambda m, out, x: (m.cos(x),))
    assert steps_of(x * sine(Value(2.0)), x) == ["mul"]


# --- Names ----------------------------------------------------------------------------------------


def test_registers_are_named_by_labels() -> None:
    w, x = leaves("w", "x")
    y = w * x
    y.label = "y"
    z = y.tanh() + 1
    program = written(z * z, [x], [w])
    assert [program.found(v).name for v in (w, x, y, z)] == ["w", "x", "y", ""]
    [gradient] = program.gradients
    assert gradient.gradient_of is program.found(w)
    of_y = [r for r in program.registers if r.gradient_of is program.found(y)]
    assert len(of_y) == 1
    assert of_y[0].stage == ROW


def test_what_the_forward_pass_computed_is_nobodys_gradient() -> None:
    """In a product, the gradient of each factor is the other one."""
    a, b = leaves("a", "b")
    program = written((a + 1) * (b + 1), [], [a, b])
    forward = [x for x in program.registers if x.index < program.program.forward]
    assert all(x.gradient_of is None for x in forward)
    assert compile((a + 1) * (b + 1), [], [a, b], target="python")() == 1.25 * 2.25
    assert (a.grad, b.grad) == (2.25, 1.25)


# --- The text of native code ----------------------------------------------------------------------


def translated(root: Value, inputs: Sequence[Value], parameters: Sequence[Value]) -> Any:
    program = written(root, inputs, parameters, "native")
    job = Job(program.program, program.outputs, len(inputs), len(parameters), False)
    return llvm.translate(job, 4)


def test_a_small_program_is_one_function() -> None:
    w, x = leaves("w", "x")
    text, layout = translated((w * x).relu(), [x], [w])
    assert text.count("define internal void @row") == 2  # forward, and backward
    assert (layout.width, layout.sums) == (4, 4)  # two sums, in a whole vector
    assert layout.instructions == len(
        [x for x in written((w * x).relu(), [x], [w], "native").registers if not x.leaf]
    )


def test_a_large_program_is_cut_and_its_places_are_used_again() -> None:
    w, x = leaves("w", "x")
    y = w * x
    for _ in range(3_000):
        y = (y * 0.5 + w).tanh()
    text, layout = translated(y, [x], [w])
    parts = text.count("define internal void @row")
    assert parts > 10
    bodies = text.split("define internal void @row")[1:]
    assert max(body.split("ret void")[0].count("\n") for body in bodies) < 10 * llvm.SHORT
    assert layout.instructions > 40_000
    # The backward pass needs the value of each of 3,000 steps again; but nothing else is kept.
    assert 3_000 < layout.vectors < 9_500


def test_a_chain_needs_few_places() -> None:
    w, x = leaves("w", "x")
    y = w * x
    for _ in range(5_000):
        y = y * 0.5 + w
    text, layout = translated(y, [x], [w])
    assert text.count("define internal void @row") > 10
    assert layout.vectors < 20


def test_memory_is_aligned() -> None:
    for width in (2, 4, 8):
        for scalars in (0, 1, 7, 8, 9, 1000):
            layout = llvm.Layout(width, scalars, vectors=3, sums=5, instructions=1)
            assert layout.first_vector >= 8 * scalars
            assert layout.first_vector % llvm.ALIGNMENT == 0
            assert 0 <= layout.first_sum - layout.first_vector - 8 * width * 3 < llvm.ALIGNMENT
            # What the text says of it; each segment has sums of its own, in whole vectors.
            assert layout.first_sum % llvm.ALIGNMENT == 0
            assert layout.bytes_of_sums == 8 * width * 5


def test_exp_and_its_like_are_there_when_they_are_called() -> None:
    x = Value(0.5)
    for function, called in [
        (x.exp(), {"exp"}),
        (x.tanh(), {"exp"}),
        (x.log1p(), {"log", "log1p"}),
        (x.softplus(), {"exp", "log", "log1p"}),
        (x * 2, set()),
    ]:
        text, _ = translated(function, [x], [Value(1.0)])
        for name in llvm.CALLED:
            assert (f"@{name}.v4f64(" in text) == (name in called)


def test_only_gradients_are_fused() -> None:
    """A forward pass rounds as the engine does, so that choices fall as they do there."""
    w, x = leaves("w", "x")
    text, _ = translated(where(w * x + 1 > 0, w * x, w), [x], [w])
    forward, backward = text.split("define internal void @row")[1:3]
    assert "fmul" in forward
    assert "contract" not in forward.replace("fadd contract", "", 1)
    assert "contract" in backward
    assert " fast" not in text


def test_a_network_as_a_program() -> None:
    model = MLP(3, [4, 1])
    inputs = leaves("a", "b", "c")
    loss = (1 - model(inputs)).relu()
    program = written(loss, inputs, model.parameters())
    assert all(gradient is not None for gradient in program.gradients)
    computed = operations(program.registers)
    assert computed.count("relu") == 4 + 1
    assert computed.count("mean") == 1 + len(model.parameters())


def test_graphs_of_derivatives_are_programs() -> None:
    x = Value(0.5, "x")
    slope = grad((x**3).softplus(), x, create_graph=True)
    program = written(slope, [], [x])
    assert program.found(slope).stage == ONCE
    assert "softplus" not in operations(needed(program.gradients))  # its rule has no use for it
    assert x.grad is NO_GRADIENT
