"""Arithmetic as one types it, made into a graph of `Value`s.

With this package you can

- compute an expression, and differentiate it:  evaluate("tanh(w*x + b)", {"w": 2, "x": 1, "b": 0})
- name what comes in between:                   evaluate("h = w*x; (h - y)**2", {"w": 2, …})
- ask which values it needs:                    names("tanh(w*x + b)") is ["w", "x", "b"]
- tell a person what is wrong with it, in one line that points at the place: `ExpressionError`

The language is a part of Python's: numbers, names, ``+ - * / % **``, parentheses, the functions of
the table (`FUNCTIONS`), ``clip(x, 0, 1)``, comparisons with ``and``, ``or``, ``not`` to choose by,
as in ``where(0 < x < 1, a, b)``, lists for ``softmax([a, b])[0]``, and statements ``h = …`` before
the last line. It computes what Python does with Values. The parser is our own, so that a text from
a stranger can do no more than arithmetic.
"""

from .errors import ExpressionError
from .evaluation import evaluate, in_one_line, names, number_of, with_a_name
from .functions import CALLED, FUNCTIONS
from .parser import MAX_DEPTH, MAX_LENGTH
from .program import MAX_NODES

__all__ = ["CALLED", "FUNCTIONS", "MAX_DEPTH", "MAX_LENGTH", "MAX_NODES", "ExpressionError"]
__all__ += ["evaluate", "in_one_line", "names", "number_of", "with_a_name"]
