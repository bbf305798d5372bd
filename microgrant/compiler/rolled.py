"""A program as loops: what it computes again and again, found in its straight line.

With this module you can

- find the loops of a program:     once, row, after = rolled(job)

A recorded network is thousands of instructions, but few formulas: each neuron of a layer computes
the same one of other operands. What is found, in this order:

- grids: the means of products, which are the gradients of weights; many of them share factors;
- sums, which are instructions already;
- cones: a register, with all that is computed for it alone, is one formula;
- groups: equal formulas that do not wait for one another become one `Call`, a loop.

No sum is made in another order than the program has it, but for the means of gradients: the mean of
a sum is made of the terms of all rows. So a forward pass rounds as the engine does, but for
functions such as exp, which native code has of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .program import (
    BOOLEAN,
    FUSED,
    LEAVES,
    ROW,
    SUMS,
    Job,
    Macro,
    Register,
    length,
    spelled,
    terms_of,
)
from .sums import LONGEST

__all__ = ["Call", "Cone", "Grid", "Instance", "Sum", "gathered", "repetitive", "rolled"]

LARGEST = 40  # instructions of a cone
COMMON = 32  # a constant is part of formulas if it is one of so many that are used, or more
KERNEL = 10  # instructions: what the loop around a formula costs, when it is compiled
REPEATED = 4  # how often a program has to repeat itself to be written as loops

Factors: TypeAlias = Sequence[Register]


class Cone(NamedTuple):
    """A formula: instructions, the last of which is its result.

    steps: as those of a `Macro`; what it takes fills holes.
    holes: what each of them takes: "r" is a number of each row, "p" one that is the same for all;
        in capitals they are truths.
    """

    steps: tuple[tuple[Any, ...], ...]
    holes: str

    @property
    def length(self) -> int:
        """How many instructions it has."""
        return sum(len(spelled(step[0])) for step in self.steps)


class Sum(NamedTuple):
    """A sum of any number of terms, in their order.

    start: what it begins with, "r" or "p" as in a `Cone`.
    terms: the kind of its terms: "r", or products, "rr" or "pr".
    fused: whether products may be added without being rounded.
    """

    start: str
    terms: str
    fused: bool


class Grid(NamedTuple):
    """Means of products: of each row's factors with each column's, position by position.

    rows, columns: the factors, as many in each as there are positions.
    means: their registers, row by row.
    """

    rows: list[Factors]
    columns: list[Factors]
    means: list[list[Register]]


class Instance(NamedTuple):
    """One turn of a loop: the register that it computes, and what it takes.

    operands: what fills the holes of a cone; of a sum its start and then its terms, or the first
        factor of each.
    others: of a sum of products, the second factors.
    """

    register: Register
    operands: Sequence[Register]
    others: Sequence[Register] = ()


@dataclass
class Call:
    """A loop: what is computed, and of what. A grid is a call of its own."""

    kernel: Cone | Sum | Grid
    instances: list[Instance]


Calls: TypeAlias = list[Call]
Indices: TypeAlias = tuple[int, ...]
Product: TypeAlias = tuple[Register, Factors, Factors]
"""A sum of products: its register, and the factors of both sides."""


def indices(registers: Iterable[Register]) -> Indices:
    return tuple([x.index for x in registers])


def gathered(products: Iterable[Product]) -> list[Grid]:
    """Sums of products by the factors that they share: each grid has all of its rows' with all of
    its columns'."""
    # Registers are told apart by their indices: `==` of them is an instruction.
    lines: dict[Indices, dict[Indices, Register]] = {}
    factors: dict[Indices, Factors] = {}
    for register, row, column in products:
        key, place = indices(row), indices(column)
        factors[key], factors[place] = row, column
        while place in lines.setdefault(key, {}):
            key += (-1,)  # two sums of the same: in another order, or on top of something else
            factors[key] = row
        lines[key][place] = register
    by_columns: dict[tuple[Any, ...], Grid] = {}
    for key, entries in lines.items():
        ordered = sorted(entries)
        grid = by_columns.setdefault(
            (len(factors[key]), *ordered), Grid([], [factors[place] for place in ordered], [])
        )
        grid.rows.append(factors[key])
        grid.means.append([entries[place] for place in ordered])
    return list(by_columns.values())


def rolled(job: Job) -> tuple[Calls, ...]:
    """The loops that run once, for each row, and after the rows."""
    parts = Parts(job)
    return tuple(Stage(parts, registers).calls() for registers in job.stages)


class Parts:
    """What all stages share. Of each register something is noted at its index.

    uses: how often it is an operand.
    wanted: whether other stages need its number, or who runs the program.
    common: the constants that are part of formulas, as text.
    kernels: those found so far: equal ones are one and the same, and are told apart by `id`.
    """

    def __init__(self, job: Job) -> None:
        program = job.program
        self.forward = program.forward
        self.one, self.nothing = program.constant(1.0), program.constant(-0.0)
        self.count = len(program.registers)  # there will be no others
        self.uses = uses = [0] * self.count
        self.wanted = wanted = bytearray(self.count)
        self.kernels: dict[Cone | Sum, Cone | Sum] = {}
        for x in job.outputs:
            wanted[x.index] = True
        constants = []
        for x in job.registers:
            if x.operation in LEAVES:
                if x.operation == "constant":
                    constants.append(x)
                continue
            stage = x.stage if x.operation != "mean" else ROW
            for o in x.operands:
                uses[o.index] += 1
                if o.stage != stage:
                    wanted[o.index] = True
        total = sum(uses[x.index] for x in constants)
        self.common = {
            x.index: repr(x.operands[0]) for x in constants if uses[x.index] * COMMON >= total
        }

    def kernel(self, kernel: Cone | Sum) -> Cone | Sum:
        """A kernel, or the one that is equal to it."""
        return self.kernels.setdefault(kernel, kernel)


def repetitive(stages: Iterable[Calls]) -> bool:
    """Whether the loops are so much less text than the program that it is worth to have them."""
    calls = [call for calls in stages for call in calls]
    kernels = {id(call.kernel): call.kernel for call in calls if not isinstance(call.kernel, Grid)}
    lengths = {key: x.length if isinstance(x, Cone) else 0 for key, x in kernels.items()}
    text = sum(KERNEL + length for length in lengths.values())
    return REPEATED * text < sum(
        lengths.get(id(x.kernel), 0) * len(x.instances) or size(x) for x in calls
    )


def size(call: Call) -> int:
    """How many instructions a sum or a grid stands for."""
    kernel = call.kernel
    if not isinstance(kernel, Grid):
        return sum(len(x.operands) + len(x.others) for x in call.instances)
    return 2 * len(kernel.rows) * len(kernel.columns) * len(kernel.rows[0])


class Stage:
    """The loops of the instructions of one stage. Of each register something is noted at its index.

    here: whether it is computed in this stage.
    places: whether its number is kept, to be used in other loops.
    single: whether it is needed in one place only, and not kept.
    inside: whether grids or sums compute it on their way.
    """

    def __init__(self, parts: Parts, registers: Sequence[Register]) -> None:
        self.parts, self.forward, self.common = parts, parts.forward, parts.common
        self.means = [x for x in registers if x.operation == "mean"]
        self.registers = [x for x in registers if x.operation != "mean"]
        self.rows = any(x.stage == ROW for x in self.registers)
        count, uses = parts.count, parts.uses
        self.here, self.single, self.inside = bytearray(count), bytearray(count), bytearray(count)
        self.places = bytearray(parts.wanted)
        for x in self.registers:
            index = x.index
            self.here[index] = True
            self.single[index] = uses[index] == 1 and not parts.wanted[index]
        self.sums: dict[int, tuple[Cone | Sum, Instance]] = {}
        self.roots = [-1] * count  # in whose formula it stands
        self.levels = [0] * count  # how many loops have to be run before it is there

    def calls(self) -> Calls:
        """All loops, in an order in which they can run."""
        grids = self.grids()
        self.find_sums()
        groups: dict[tuple[int, int], Call] = {}
        for kernel, instance in self.formulas():
            level = self.level((*instance.operands, *instance.others))
            self.levels[instance.register.index] = level
            key = level, id(kernel)
            if key not in groups:
                groups[key] = Call(kernel, [])
            groups[key].instances.append(instance)
        found = [(level, call) for (level, _), call in groups.items()]
        for grid in grids:
            factors = [x for line in (*grid.rows, *grid.columns) for x in line]
            found.append((self.level(factors), Call(grid, [])))
        return [call for _, call in sorted(found, key=lambda entry: entry[0])]

    def level(self, operands: Sequence[Register]) -> int:
        """How many loops have to be run before one with these operands."""
        levels = self.levels
        return 1 + max([levels[x.index] for x in operands], default=0)

    def keep(self, operands: Iterable[Register]) -> None:
        """Have these numbers kept."""
        places, single = self.places, self.single
        for x in operands:
            index = x.index
            places[index], single[index] = True, False

    # --- Grids ----------------------------------------------------------------------------------

    def grids(self) -> list[Grid]:
        """The means, by the factors that they share."""
        products = []
        for mean in self.means:
            pairs = self.pairs(mean.operands[0])
            for start in range(0, len(pairs), LONGEST):
                column, row = zip(*pairs[start : start + LONGEST], strict=True)
                products.append((mean, row, column))
        grids = gathered(products)
        for grid in grids:
            self.keep(x for line in (*grid.rows, *grid.columns) for x in line)
        return grids

    def pairs(self, x: Register) -> list[tuple[Register, ...]]:
        """The terms of what a mean is taken of, as products: of a gradient, all terms."""
        single, inside, forward = self.single, self.inside, self.forward
        found: list[tuple[Register, ...]] = []
        waiting = [x]
        while waiting:
            x = waiting.pop()
            index = x.index
            if single[index] and index >= forward and x.operation in ("sum_r", "sum_rr"):
                inside[index] = True
                start, firsts, others = terms_of(x)
                if start is not self.parts.nothing:
                    waiting.append(start)
                ones = [self.parts.one] * len(firsts)
                found += zip(firsts if others else ones, others or firsts, strict=True)
                continue
            if single[index] and index >= forward and x.operation in ("add", "mul"):
                left, right = x.operands
                if left.stage == right.stage == ROW:
                    inside[index] = True
                    if x.operation == "add":
                        waiting += (right, left)
                    else:
                        found.append(x.operands)
                    continue
            found.append((self.parts.one, x))
        return found

    # --- Sums -----------------------------------------------------------------------------------

    def find_sums(self) -> None:
        """Take the sums out of the instructions."""
        for x in self.registers:
            if x.operation in SUMS and not self.inside[x.index]:
                self.keep((x, *x.operands))
                start, firsts, others = terms_of(x)
                form = SUMS[str(x.operation)]
                fused = x.index >= self.forward and len(form) == 2
                kernel = self.parts.kernel(Sum(self.kind(start), form, fused))
                self.sums[x.index] = kernel, Instance(x, [start, *firsts], others)

    # --- Cones ----------------------------------------------------------------------------------

    def kind(self, x: Register) -> str:
        """What a hole for a register takes: see `Cone`."""
        if x.stage == ROW or not self.rows:
            return "R" if x.operation in BOOLEAN else "r"
        return "P" if x.operation in BOOLEAN else "p"

    def formulas(self) -> Iterator[tuple[Cone | Sum, Instance]]:
        """What is computed of what, in the order of the program."""
        self.find_roots()
        for x in self.registers:
            if self.roots[x.index] == x.index:
                yield self.sums.get(x.index) or self.cone(x)

    def find_roots(self) -> None:
        """Note for each register in whose formula it stands: its own, or that of all its users.

        Those with users in several formulas are kept, and so have one of their own.
        """
        roots, sizes = self.roots, [0] * self.parts.count
        inside, places, sums = self.inside, self.places, self.sums
        for x in reversed(self.registers):
            index = x.index
            if inside[index]:
                continue
            root = roots[index]
            size = length(x)
            if root < 0 or places[index] or sizes[root] + size > LARGEST:
                root = roots[index] = index
            sizes[root] += size
            if index in sums:
                continue
            for operand in x.operands:
                before = roots[operand.index]
                if before < 0:
                    roots[operand.index] = root
                elif before != root:
                    places[operand.index] = True

    def cone(self, root: Register) -> tuple[Cone | Sum, Instance]:
        """The formula of a register."""
        formula = Formula(self, root)
        kernel = Cone(tuple(formula.steps), "".join(map(self.kind, formula.operands)))
        return self.parts.kernel(kernel), Instance(root, formula.operands)


class Formula:
    """The steps of a formula, and what fills its holes, in the order in which they come up."""

    __slots__ = ("operands", "places", "root", "stage", "steps")

    def __init__(self, stage: Stage, root: Register) -> None:
        self.stage, self.root = stage, root.index
        self.steps: list[tuple[Any, ...]] = []
        self.operands: list[Register] = []
        self.places: dict[int, int | str] = {}
        self.place(root)

    def place(self, x: Register) -> int:
        """The place of the step that computes a register, after those of its operands."""
        stage, places, operands = self.stage, self.places, self.operands
        operation = x.operation
        fused = operation in FUSED or operation.__class__ is Macro
        step: list[Any] = [operation, fused and x.index >= stage.forward]
        for o in x.operands:
            index = o.index
            place = places.get(index)
            if place is None:
                if stage.roots[index] == self.root and stage.here[index]:
                    place = self.place(o)  # no deeper than a formula may be large
                elif index in stage.common:
                    place = stage.common[index]
                else:
                    operands.append(o)
                    place = -len(operands)
                places[index] = place
            step.append(place)
        self.steps.append(tuple(step))
        return len(self.steps) - 1
