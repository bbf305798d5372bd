"""The program of any module as operations of ONNX.

With this module you can

- append what a module computes:         y = recorded(graph, module, x)

The module is recorded, as for `microgrant.compile`, and its program is written down scalar by
scalar. Each scalar is a column: its numbers for all rows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from ..compiler.program import ROW, Instruction, Program, Register, needed
from ..compiler.step import Predictor, compile
from ..engine.arguments import shown
from ..engine.conditions import whole_order
from ..engine.modes import no_grad
from ..engine.value import Value, as_value
from ..nn import Module
from ..ops.table import Operation
from .onnx_graph import OnnxGraph, Tensor

__all__ = ["nested", "recorded"]

EXAMPLES, FAR = 5, 1e-9  # how often what is recorded is tried, and how close it is to come
ALIKE = "add sub mul div neg abs pow exp log sqrt sin tanh floor where and or not"
WORDS = {name: name.capitalize() for name in ALIKE.split()} | {"fmod": "Mod"}
WORDS |= {"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual", "==": "Equal"}
"""What ONNX calls an operation. The others of the table are made of these, as in native code."""


def expm1(m: Any, x: Any) -> Any:
    return m.tanh(0.5 * x) * (m.exp(x) + 1.0)


def cos(m: Any, x: Any) -> Any:
    half = m.sin(0.5 * x)
    return 1.0 - 2.0 * half * half


def copysign(m: Any, x: Any, sign: Any) -> Any:
    below = (sign < 0) | (m.div(1.0, sign) < 0)  # or it is -0
    return m.where(below, -m.abs(x), m.abs(x))


# Those that native code makes of the digits of a number, or asks the processor for. ONNX does have
# a cosine, but few versions of onnxruntime have it for doubles.
SPELLED: dict[str, Callable[..., Any]] = {
    "expm1": expm1,
    "cos": cos,
    "copysign": copysign,
    "exp2": lambda m, x: m.pow(2.0, x),
    "log2": lambda m, x: m.log(x) * (1 / math.log(2)),
    "log10": lambda m, x: m.log(x) * (1 / math.log(10)),
}


class OnnxProgram(Program):
    """A program in the words of ONNX."""

    def apply(self, operation: Operation, *operands: Any) -> Register:
        """Any operation; a power is one of ONNX's own, whatever its exponent."""
        if operation.name == "power":
            return self.emit("pow", *operands, *operation.constants)
        return super().apply(operation, *operands)

    def expanded(self, operation: Instruction, *operands: Register) -> Register:
        """An operation made of others."""
        spelled = SPELLED.get(str(operation))
        if spelled is None:
            return super().expanded(operation, *operands)
        result: Register = spelled(self._native, *operands)
        return result


def recorded(graph: OnnxGraph, module: Module, *inputs: Tensor) -> Tensor:
    """What a module returns.

    A ValueError or TypeError says what it does that cannot be written down; so does `compile`. What
    was recorded is tried on some numbers before it is believed.
    """
    columns: dict[Value, str] = {}
    given = []
    for x in inputs:
        scalars = graph.add_many("Split", x.size, graph.reshaped(x.name, -1), axis=1)
        leaves = [Value(0.0) for _ in scalars]
        columns |= zip(leaves, scalars, strict=True)
        given.append(nested(x.shape, iter(leaves).__next__))
    results, shape = _flat(module, module(*given))
    outputs = [as_value(x) for x in results]
    order = whole_order(*outputs)
    taken = {id(x) for x in order}
    places = [place for place, x in enumerate(columns) if id(x) in taken]
    used = [x for x in columns if id(x) in taken]
    if not used:
        raise ValueError(
            f"what the {type(module).__name__} returns does not depend on what it is given: was "
            "the .data of a Value taken?"
        )
    predict = compile(outputs, inputs=used, target="python")  # which refuses, and warns, as well
    _check(module, predict, [x.shape for x in inputs], places)
    program = OnnxProgram(WORDS)
    program.record(order, used, ())
    wanted = [program.register_of(x) for x in outputs]
    names = _written(graph, needed(wanted), [columns[x] for x in used])
    rows = graph.add("Shape", columns[used[0]])
    said = [
        names[x.index] if x.stage == ROW else graph.add("Expand", names[x.index], rows)
        for x in wanted
    ]
    together = graph.add("Concat", *said, axis=1)
    return Tensor(graph.reshaped(together, *(shape or (1,))), shape)


def _check(
    module: Module, predict: Predictor, shapes: Sequence[Sequence[int]], used: Sequence[int]
) -> None:
    """A ValueError if a module computes otherwise than recorded, for other numbers than zeros."""
    draw = random.Random("some inputs").gauss
    for _ in range(EXAMPLES):
        row = [draw(0.0, 1.0) for shape in shapes for _ in range(math.prod(shape))]
        values = map(Value, row)
        try:
            with no_grad():
                outputs = module(*(nested(shape, values.__next__) for shape in shapes))
        except (ArithmeticError, ValueError):
            continue  # not every module takes all numbers
        expected = [as_value(x).data for x in _flat(module, outputs)[0]]
        [found] = predict([[row[place] for place in used]])
        if len(found) != len(expected) or not all(map(_close, found, expected)):
            raise ValueError(
                f"the {type(module).__name__} does not compute the same for all numbers, or not "
                "each time: what Python decided, drew, remembered, or computed with the .data of "
                "Values, would stay what it was for zeros. Use where(condition, a, b) and Values"
            )


def _close(found: float, expected: float) -> bool:
    # Where inf or nan come up, a compiled step may give one for the other.
    return not math.isfinite(expected) or math.isclose(found, expected, rel_tol=FAR, abs_tol=FAR)


def nested(shape: Sequence[int], make: Callable[[], Any]) -> Any:
    """Lists of a shape, filled with what is made."""
    return [nested(shape[1:], make) for _ in range(shape[0])] if shape else make()


def _written(
    graph: OnnxGraph, registers: Sequence[Register], inputs: Sequence[str]
) -> dict[int, str]:
    """The names of the columns for all registers, by their indices."""
    names: dict[int, str] = {}
    for register in registers:
        operation, operands = register.operation, register.operands
        if operation == "input":
            name = inputs[operands[0]]
        elif operation == "constant":
            name = graph.constant([float(operands[0])], 1, 1)
        elif operation == "!=":
            name = graph.add("Not", graph.add("Equal", *(names[x.index] for x in operands)))
        elif operation in WORDS:
            options = {"fmod": 1} if operation == "fmod" else {}
            name = graph.add(WORDS[operation], *(names[x.index] for x in operands), **options)
        elif isinstance(operation, Operation):
            raise TypeError(f"ONNX does not have your own operation {operation.name!r}")
        else:
            raise TypeError(
                f"ONNX has no word for the operation {operation!r}: add it to WORDS in "
                "microgrant/export/onnx_program.py, or to SPELLED there what it is made of"
            )
        names[register.index] = name
    return names


def _flat(module: Module, x: Any) -> tuple[list[Any], tuple[int, ...]]:
    """What is in nested lists, and their shape."""
    if not isinstance(x, (list, tuple)):
        return [x], ()
    parts = [_flat(module, element) for element in x]
    shapes = {shape for _, shape in parts}
    if len(shapes) != 1:
        raise ValueError(
            f"the {type(module).__name__} is to return a Value, or lists of equal length of them, "
            f"but returns {shown(x)}"
        )
    return [element for flat, _ in parts for element in flat], (len(x), *shapes.pop())
