"""Random programs, reproducible from a seed, that run in microgrant, in PyTorch and in mpmath.

With this module you can

- draw a program:            program = random_program(seed=7, operations=ARITHMETIC)
- run it on any numbers:     root = run(program, leaves, MICROGRANT)
- have its gradient:         differentiate(program) -> forward values, gradients, scales
- ask how far rounding may carry a gradient: `absolute_adjoints`
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import microgrant
from microgrant.engine import Value, topological_order
from microgrant.ops import FLOATS, OPERATIONS

Spelling = Mapping[str, Callable[..., Any]]

ARITHMETIC = ("add", "sub", "mul", "div", "neg", "relu", "abs", "maximum", "minimum")

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "mod": operator.mod,
    "pow": operator.pow,
    "abs": abs,
}

# Where an operation may be used. An oracle can say something about a gradient only where the
# problem is well conditioned: so nothing is divided by almost nothing, and nothing explodes.
SAFE: dict[str, Callable[..., bool]] = {
    "add": lambda a, b: True,
    "sub": lambda a, b: True,
    "mul": lambda a, b: True,
    "div": lambda a, b: abs(b) > 0.2,
    "neg": lambda x: True,
    "pow": lambda a, b: 0.2 < a < 5 and abs(b) < 3,
    "exp": lambda x: abs(x) < 3,
    # Off the jump, where rounding would decide.
    "mod": lambda a, b: abs(b) > 0.2 and 0.01 < abs(a / b) % 1 < 0.99 and abs(a / b) < 50,
    "log": lambda x: x > 0.2,
    "log2": lambda x: x > 0.2,
    "log10": lambda x: x > 0.2,
    "exp2": lambda x: abs(x) < 3,
    "log1p": lambda x: x > -0.8,
    "expm1": lambda x: abs(x) < 3,
    "sqrt": lambda x: x > 0.2,
    "sin": lambda x: True,
    "cos": lambda x: True,
    "tan": lambda x: abs(FLOATS.cos(x)) > 0.3,
    "asin": lambda x: abs(x) < 0.9,
    "acos": lambda x: abs(x) < 0.9,
    "atan": lambda x: True,
    "atan2": lambda a, b: FLOATS.hypot(a, b) > 0.2 and (b > 0 or abs(a) > 1e-6),
    "sinh": lambda x: abs(x) < 3,
    "cosh": lambda x: abs(x) < 3,
    "asinh": lambda x: True,
    "acosh": lambda x: x > 1.2,
    "atanh": lambda x: abs(x) < 0.9,
    "erf": lambda x: abs(x) < 3,
    "erfc": lambda x: abs(x) < 3,
    "normal_cdf": lambda x: abs(x) < 3,
    "gelu": lambda x: abs(x) < 3,
    "silu": lambda x: True,
    "hypot": lambda a, b: FLOATS.hypot(a, b) > 0.2,
    "sign": lambda x: abs(x) > 1e-6,
    "floor": lambda x: 0.01 < x % 1 < 0.99,
    "tanh": lambda x: True,
    "sigmoid": lambda x: True,
    "softplus": lambda x: True,
    # Off the kink, unless exactly on it: a tie of a value with itself is a tie in any precision.
    "relu": lambda x: abs(x) > 1e-6,
    "abs": lambda x: abs(x) > 1e-6,
    "maximum": lambda a, b: a is b or abs(a - b) > 1e-6,
    "minimum": lambda a, b: a is b or abs(a - b) > 1e-6,
}
LARGEST = 50.0


@dataclass(frozen=True)
class Program:
    """Straight-line arithmetic. The slots are the leaves, the constants, then one per line."""

    seed: int
    leaves: tuple[float, ...]
    constants: tuple[float, ...]
    lines: tuple[tuple[str, tuple[int, ...]], ...]

    def __repr__(self) -> str:
        """As a program to paste, so that a failing case can be looked at."""
        names = [f"x{i}" for i in range(len(self.leaves))] + list(map(repr, self.constants))
        text = [f"seed {self.seed}: {', '.join(names)} = {self.leaves}"]
        for place, (name, operands) in enumerate(self.lines):
            text.append(f"v{place} = {name}({', '.join(names[i] for i in operands)})")
            names.append(f"v{place}")
        return "\n".join(text)


def random_program(seed: int, operations: Sequence[str] = tuple(SAFE)) -> Program:
    """A program of 5 to 60 operations; its last line depends on every leaf and on every line."""
    rng = random.Random(seed)
    binary = [name for name in operations if arity_of(name) == 2]
    length = rng.randint(5, 59)
    leaves = [rng.uniform(-3, 3) for _ in range(rng.randint(1, 6))]
    constants = [rng.choice((2.0, 0.5, -1.0, rng.uniform(-3, 3))) for _ in range(2)]
    slots = leaves + constants
    not_leaves = range(len(leaves), len(slots))
    unused = list(range(len(leaves)))  # what no line has used yet
    lines: list[tuple[str, tuple[int, ...]]] = []
    while len(lines) < length or len(unused) > 1:
        if len(lines) + len(unused) > length:  # time to bring the loose ends together
            name = rng.choice(binary)
            operands = tuple(rng.sample(unused, 2))
        else:
            name = rng.choice(operations)
            operands = tuple(
                rng.choice(unused) if rng.random() < 0.4 else rng.randrange(len(slots))
                for _ in range(arity_of(name))
            )
        numbers = [slots[i] for i in operands]
        if all(i in not_leaves for i in operands) or not SAFE[name](*numbers):
            continue
        result = getattr(FLOATS, name)(*numbers)
        if abs(result) < LARGEST:
            unused = [i for i in unused if i not in operands] + [len(slots)]
            slots.append(result)
            lines.append((name, operands))
    return Program(seed, tuple(leaves), tuple(constants), tuple(lines))


def arity_of(name: str) -> int:
    """How many operands an operation of the table takes."""
    return OPERATIONS[name].arity


def run(program: Program, leaves: Sequence[Any], spelling: Spelling) -> list[Any]:
    """The results of all lines, computed from `leaves` by the operations of `spelling`."""
    slots = [*leaves, *program.constants]
    for name, operands in program.lines:
        slots.append(spelling[name](*(slots[i] for i in operands)))
    return slots[len(leaves) + len(program.constants) :]


MICROGRANT: dict[str, Callable[..., Any]] = {
    name: OPERATORS.get(name) or getattr(microgrant, name) for name in SAFE
}


def torch_spelling(torch: Any) -> Spelling:
    """The operations in PyTorch, on float64 scalars."""

    def tensor(x: Any) -> Any:
        return x if isinstance(x, torch.Tensor) else torch.tensor(x, dtype=torch.float64)

    unary = "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan asin acos atan sinh cosh tanh"
    unary += " asinh acosh atanh erf erfc sigmoid relu sign floor"
    return OPERATORS | {
        **{name: getattr(torch, name) for name in unary.split()},
        **{name: getattr(torch.nn.functional, name) for name in ("gelu", "silu")},
        "normal_cdf": torch.special.ndtr,
        "mod": lambda a, b: torch.remainder(tensor(a), tensor(b)),
        "atan2": lambda a, b: torch.atan2(tensor(a), tensor(b)),
        "hypot": lambda a, b: torch.hypot(tensor(a), tensor(b)),
        # Its softplus is x itself from a threshold of 20 on, which is wrong by 2e-9 there.
        "softplus": lambda x: torch.nn.functional.softplus(x, threshold=700),
        # float / tensor is computed as float * (1 / tensor), with two roundings.
        "div": lambda a, b: tensor(a) / tensor(b),
        "maximum": lambda a, b: torch.maximum(tensor(a), tensor(b)),
        "minimum": lambda a, b: torch.minimum(tensor(a), tensor(b)),
    }


def mpmath_spelling(mpmath: Any) -> Spelling:
    """The operations in mpmath, at whatever precision it works in."""
    unary = "exp expm1 log log1p log10 sqrt sin cos tan asin acos atan atan2 sinh cosh tanh"
    unary += " asinh acosh atanh erf erfc hypot floor sign"
    return OPERATORS | {
        **{name: getattr(mpmath, name) for name in unary.split()},
        "pow": mpmath.power,
        "log2": lambda x: mpmath.log(x, 2),
        "exp2": lambda x: mpmath.power(2, x),
        "normal_cdf": lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
        "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
        "silu": lambda x: x / (1 + mpmath.exp(-x)),
        "mod": lambda a, b: a - b * mpmath.floor(a / b),
        "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
        "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
        "relu": lambda x: max(x, mpmath.mpf(0)),
        "maximum": max,
        "minimum": min,
    }


def differentiate(program: Program) -> SimpleNamespace:
    """The program in microgrant: `data` of every line, and `grads` and `scales` of the leaves."""
    leaves = [Value(x) for x in program.leaves]
    values = run(program, leaves, MICROGRANT)
    values[-1].backward()
    adjoints = absolute_adjoints(values[-1])
    return SimpleNamespace(
        data=[value.data for value in values],
        grads=[leaf.grad for leaf in leaves],
        scales=[adjoints.get(leaf, 0.0) for leaf in leaves],
    )


def absolute_adjoints(root: Value) -> dict[Value, float]:
    """For each node the sum over all paths of the product of |local derivatives|.

    However contributions cancel, they were rounded at this size.
    """
    adjoints = {root: 1.0}
    for node in reversed(topological_order(root)):
        for operand, partial in zip(node._prev, node.partials, strict=True):
            adjoints[operand] = adjoints.get(operand, 0.0) + abs(partial) * adjoints[node]
    return adjoints
