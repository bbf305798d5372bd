"""Instructions that stand for several: what makes the program of a chain of tanh short.

With this module you can

- write the program of a graph for native code:   program = NativeProgram(PRIMITIVES)
- see what an operation is made of:               recipe(OPERATIONS["tanh"], PRIMITIVES)

To a processor, tanh is some forty instructions. Few of their numbers are needed again: the result,
and the exponential, which its derivative takes, too. Each of these is one instruction of a program,
a `Macro`, and all the others are written out where machine code is made.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..ops.table import OPERATIONS, Operation, is_own
from .program import BOOLEAN, FUSED, Instruction, Macro, Program, Register, needed
from .sums import SumProgram

__all__ = ["NativeProgram", "Recipe", "recipe"]

SHORTEST = 4  # instructions: an operation that is made of fewer needs no macro
# What two formulas need is computed in both, if that takes no longer than so many instructions.
TWICE = 8
LONG = 20  # instructions: as long as others than these take
COSTS = dict.fromkeys((*BOOLEAN, *FUSED, "neg", "abs", "where", "copysign", "round", "floor"), 1)
COSTS |= {"div": 6, "sqrt": 6}


class Recipe(NamedTuple):
    """An operation and its derivatives, as macros.

    steps: each a macro and what it takes, as places: those of the operands come first, and then
        there is one for each step.
    results: the place of the result, and for each operand that of the partial derivative, or a
        number.
    """

    steps: tuple[tuple[Macro, tuple[int, ...]], ...]
    results: tuple[int | float, ...]


class NativeProgram(SumProgram):
    """A program in which operations that take many instructions are macros."""

    primitives: frozenset[str]

    def expanded(self, operation: Instruction, *operands: Register) -> Register:
        """A macro, or an operation by its macros, if it has some; else as its native rule says."""
        entry = OPERATIONS.get(operation, operation) if isinstance(operation, str) else operation
        found = self._followed(entry, operands, derivatives=False)
        return found[0] if found else super().expanded(operation, *operands)

    def partials(self, operation: Operation, out: Register, *operands: Register) -> tuple[Any, ...]:
        """The partial derivatives, from the numbers that the result was made of."""
        found = self._followed(operation, operands, derivatives=True)
        return tuple(found[1:]) if found else super().partials(operation, out, *operands)

    def _followed(
        self, operation: Instruction, operands: Sequence[Register], derivatives: bool
    ) -> list[Any]:
        """What a recipe gives for operands; nothing if there is none for them."""
        made = recipe(operation, self.primitives) if isinstance(operation, Operation) else None
        if made is None:
            return []
        for x in operands:  # what is known, or the same for all rows, is computed apart
            if x.operation == "constant" or x.stage != operands[0].stage:
                return []
        places = [*operands]
        for macro, taken in made.steps:
            places.append(self.emit(macro, *[places[i] for i in taken]))
            if len(places) > made.results[0] and not derivatives:
                return places[-1:]
        return [places[x] if isinstance(x, int) else x for x in made.results]


@lru_cache(maxsize=512)
def recipe(operation: Operation, primitives: frozenset[str]) -> Recipe | None:
    """How an operation is made of macros; None for one that takes few instructions.

    Of tanh, the macros are exp(-|2x|), the result, and its slope; x has the place 0:

    >>> from microgrant.compiler.llvm import PRIMITIVES
    >>> exponential, result, slope = recipe(OPERATIONS["tanh"], PRIMITIVES).steps
    >>> [operation for operation, *_ in exponential[0].steps], exponential[1]
    (['mul', 'abs', 'neg', 'exp'], (0,))
    >>> result[1], slope[1]  # both take x and the exponential
    ((0, 1), (0, 1))
    """
    if operation.name in primitives or not callable(operation.native) or is_own(operation):
        return None
    program = Program(primitives)
    operands = [program.leaf("input", place) for place in range(operation.arity)]
    out = program.expanded(operation, *operands)
    if sum(not x.leaf for x in needed([out])) < SHORTEST:
        return None
    program.forward = len(program.registers)
    partials = operation.partials(program.algebra, out, *operands)
    results = [out, *(x if isinstance(x, Register) else program.constant(x) for x in partials)]
    places = {x.index: place for place, x in enumerate(operands)}
    kept = formulas(results)
    places |= {x.index: len(operands) + i for i, x in enumerate(kept)}
    steps = []
    for x in kept:
        written, holes = formula(x, places)
        steps.append((Macro(written), tuple(places[hole] for hole in holes)))
    found = (x.operands[0] if x.operation == "constant" else places[x.index] for x in results)
    return Recipe(tuple(steps), tuple(found))


def formulas(results: Sequence[Register]) -> list[Register]:
    """The results, and what several of their formulas need and would take long to compute again."""
    order, wanted = needed(results), {x.index for x in results}
    users: dict[int, set[int]] = {x.index: set() for x in order}
    kept = set(wanted)
    for x in reversed(order):
        index = x.index
        if len(users[index]) > 1 and x.operation not in BOOLEAN:
            kept.add(index)
        for o in () if x.leaf else x.operands:
            users[o.index] |= {index} if index in kept else users[index]
    costs: dict[int, int] = {}
    for x in order:
        cost = COSTS.get(str(x.operation), LONG)
        cost += 0 if x.leaf else sum(costs[o.index] for o in x.operands)
        if x.index not in wanted and cost <= TWICE:
            kept.discard(x.index)
        costs[x.index] = 0 if x.leaf or x.index in kept else cost
    return [x for x in order if x.index in kept and not x.leaf]


def formula(root: Register, kept: Container[int]) -> tuple[tuple[Any, ...], list[int]]:
    """The steps that compute a register of those which are kept, and the indices of these."""
    steps: list[tuple[Any, ...]] = []
    holes: list[int] = []
    places: dict[int, int | str] = {}
    forward = root.program.forward

    def place(x: Register) -> int | str:
        index = x.index
        if index not in places:
            if x.operation == "constant":
                places[index] = repr(x.operands[0])
            elif index in kept and x is not root:
                holes.append(index)
                places[index] = -len(holes)
            else:
                fused = index >= forward and x.operation in FUSED
                steps.append((x.operation, fused, *map(place, x.operands)))
                places[index] = len(steps) - 1
        return places[index]

    place(root)
    return tuple(steps), holes
