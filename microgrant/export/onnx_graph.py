"""A graph of ONNX under construction.

With this module you can

- name an input:                 x = graph.input("x", (2,))
- append operations:             name = graph.add("MatMul", x.name, graph.constant(weights, 2, 3))
- have the file:                 data = graph.finished(Tensor(name, (3,)))

Everything in it is an array of doubles, whose first axis is that of the rows, or a constant.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["OnnxGraph", "Tensor"]

OPSET, IR_VERSION = 17, 8  # of 2022: what is written can be run almost everywhere


@dataclass(frozen=True)
class Tensor:
    """An array in the graph: its name, and the shape of the nested lists that each row stands for.

    A single number has the shape (), and an axis of length 1 in the array.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers there are in each row."""
        return math.prod(self.shape)


class OnnxGraph:
    """Operations in the order in which they run."""

    def __init__(self, onnx: Any) -> None:
        self.onnx, self.helper, self.types = onnx, onnx.helper, onnx.TensorProto
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.constants: dict[tuple[Any, ...], Any] = {}

    def input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """An input of the graph, which has rows."""
        self.inputs.append(self._described(name, shape))
        return Tensor(name, shape)

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """The name of what an operation computes."""
        return self.add_many(operation, 1, *inputs, **attributes)[0]

    def add_many(self, operation: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """The names of the several things that an operation computes."""
        first = len(self.nodes)
        names = [f"{operation.lower()}_{first}_{i}" for i in range(count)]
        self.nodes.append(self.helper.make_node(operation, inputs, names, **attributes))
        return names

    def constant(self, numbers: Sequence[float], *shape: int) -> str:
        """The name of an array of known numbers: integers, if the first of them is one."""
        code = "q" if isinstance(numbers[0], int) else "d"
        key = (code, array(code, numbers).tobytes(), shape)  # which tells -0.0 from 0.0
        if key not in self.constants:
            kind = self.types.INT64 if code == "q" else self.types.DOUBLE
            name = f"constant_{len(self.constants)}"
            self.constants[key] = self.helper.make_tensor(name, kind, shape, numbers)
        return str(self.constants[key].name)

    def reshaped(self, name: str, *shape: int) -> str:
        """An array with the numbers of each row in another shape."""
        return self.add("Reshape", name, self.constant([0, *shape], len(shape) + 1))

    def finished(self, output: Tensor) -> bytes:
        """The file, with this output, after the checks that ONNX has for files."""
        self.nodes.append(self.helper.make_node("Identity", [output.name], ["y"]))
        graph = self.helper.make_graph(
            self.nodes,
            "microgrant",
            self.inputs,
            [self._described("y", output.shape)],
            [*self.constants.values()],
        )
        model = self.helper.make_model(
            graph,
            opset_imports=[self.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="microgrant",
        )
        self.onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _described(self, name: str, shape: tuple[int, ...]) -> Any:
        dimensions = ["n", *(shape or (1,))]
        return self.helper.make_tensor_value_info(name, self.types.DOUBLE, dimensions)
