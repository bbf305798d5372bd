"""The operations: one entry in a table holds everything that the project knows of one of them.

With this package you can

- compute an operation on floats, as IEEE 754 has it: ``OPERATIONS["log"].forward(0.0)`` is -inf;
- run the rule of its derivative on floats, on Values or on text: `Operation.partials`;
- make those that carry constants: ``power(3)``, ``clip(0, 1)``, ``leaky_relu(0.01)``, ``elu(1)``;
- make those that take any number of operands: ``of_many("maximum", 3)``.
"""

from .table import FLOATS, OPERATIONS, Operation, Rule, clip, elu, leaky_relu, of_many, power

__all__ = ["FLOATS", "OPERATIONS", "Operation", "Rule", "clip", "elu", "leaky_relu", "of_many"]
__all__ += ["power"]
