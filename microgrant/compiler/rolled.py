"""A program as loops: what it computes again and again, found in its straight line.

With this module you can

- find the loops of a program:     once, row, after = rolled(job)

A recorded network is thousands of instructions, but few formulas: each neuron of a layer computes
the same one of other operands. What is found, in this order:

- grids: the means of products, which are the gradients of weights; many of them share factors;
- sums: of products and of other terms, from a length on at which a loop pays;
- cones: a register, with all that is computed for it alone, is one formula;
- groups: equal formulas that do not wait for one another become one `Call`, a loop.

No sum is made in another order than the program has it, but for the means of gradients: the mean of
a sum is made of the terms of all rows. So a forward pass rounds as the engine does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .program import BOOLEAN, LEAVES, ROW, Job, Register

__all__ = ["Call", "Cone", "Grid", "Instance", "Sum", "gathered", "repetitive", "rolled"]

SHORTEST = 4  # terms of a sum: what is shorter is part of a formula
LONGEST = 256  # terms, and positions of a grid: so not all of a long chain is kept for its sum
LARGEST = 40  # instructions of a cone
COMMON = 32  # a constant is part of formulas if it is one of so many that are used, or more
KERNEL = 10  # instructions: what the loop around a formula costs, when it is compiled
REPEATED = 4  # how often a program has to repeat itself to be written as loops
FUSED = frozenset({"add", "sub", "mul"})  # what may be fused in the backward pass


Factors: TypeAlias = Sequence[Register]


class Cone(NamedTuple):
    """A formula: instructions, the last of which is its result.

    steps: each an operation, whether it may be fused, and operands: an integer from 0 on is an
        earlier step, -1 and below a hole, and text is a constant.
    holes: what each of them takes: "r" is a number of each row, "p" one that is the same for all;
        in capitals they are truths.
    """

    steps: tuple[tuple[Any, ...], ...]
    holes: str


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
    uses: Counter[int] = Counter()
    wanted = {x.index for x in job.outputs}
    for x in job.registers:
        if x.operation in LEAVES:
            continue
        for o in x.operands:
            uses[o.index] += 1
            if o.stage != x.stage and x.operation != "mean":
                wanted.add(o.index)
    constants = {x.index: uses[x.index] for x in job.registers if x.operation == "constant"}
    total = sum(constants.values())
    common = {index for index, count in constants.items() if count * COMMON >= total}
    return tuple(Stage(job, registers, uses, wanted, common).calls() for registers in job.stages())


def repetitive(stages: Iterable[Calls]) -> bool:
    """Whether the loops are so much less text than the program that it is worth to have them."""
    calls = [call for calls in stages for call in calls]
    kernels = {call.kernel for call in calls if not isinstance(call.kernel, Grid)}
    text = sum(KERNEL + len(x.steps) if isinstance(x, Cone) else KERNEL for x in kernels)
    return REPEATED * text < sum(map(size, calls))


def size(call: Call) -> int:
    """How many instructions a call stands for."""
    kernel = call.kernel
    if isinstance(kernel, Cone):
        return len(kernel.steps) * len(call.instances)
    if isinstance(kernel, Sum):
        return sum(len(x.operands) + len(x.others) for x in call.instances)
    return 2 * len(kernel.rows) * len(kernel.columns) * len(kernel.rows[0])


class Stage:
    """The loops of the instructions of one stage.

    uses: how often each register is an operand, by its index.
    wanted: the registers whose numbers other stages need, or who runs the program.
    common: the constants that are part of formulas.
    """

    def __init__(
        self,
        job: Job,
        registers: Sequence[Register],
        uses: Counter[int],
        wanted: set[int],
        common: set[int],
    ) -> None:
        self.program, self.forward = job.program, job.program.forward
        self.means = [x for x in registers if x.operation == "mean"]
        self.registers = [x for x in registers if x.operation != "mean"]
        self.uses, self.common = uses, common
        self.here = {x.index for x in self.registers}
        self.rows = any(x.stage == ROW for x in self.registers)
        self.places = wanted & self.here  # whose numbers are kept, to be used in other loops
        self.inside: set[int] = set()  # what grids and sums compute on their way
        self.sums: dict[int, tuple[Sum, Instance]] = {}
        self.levels: dict[int, int] = {}

    def calls(self) -> Calls:
        """All loops, in an order in which they can run."""
        grids = self.grids()
        self.find_sums()
        groups: dict[tuple[int, Cone | Sum], list[Instance]] = {}
        for kernel, instance in self.formulas():
            level = self.level((*instance.operands, *instance.others))
            self.levels[instance.register.index] = level
            groups.setdefault((level, kernel), []).append(instance)
        found = [(level, Call(kernel, all_)) for (level, kernel), all_ in groups.items()]
        for grid in grids:
            factors = (x for line in (*grid.rows, *grid.columns) for x in line)
            found.append((self.level(factors), Call(grid, [])))
        return [call for _, call in sorted(found, key=lambda entry: entry[0])]

    def level(self, operands: Iterable[Register]) -> int:
        """How many loops have to be run before one with these operands."""
        levels = self.levels
        return 1 + max((levels.get(x.index, 0) for x in operands), default=0)

    def keep(self, operands: Iterable[Register]) -> None:
        """Have these numbers kept."""
        self.places.update(x.index for x in operands if x.index in self.here)

    def passing(self, x: Register, operation: str, fused: bool) -> bool:
        """Whether a register is of this operation, and needed in one place only."""
        index = x.index
        return (
            x.operation == operation
            and self.uses[index] == 1
            and index in self.here
            and index not in self.places
            and (index >= self.forward) == fused
        )

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
        found: list[tuple[Register, ...]] = []
        waiting = [x]
        while waiting:
            x = waiting.pop()
            if self.passing(x, "add", fused=True) and all(o.stage == ROW for o in x.operands):
                waiting += reversed(x.operands)
            elif self.passing(x, "mul", fused=True) and all(o.stage == ROW for o in x.operands):
                found.append(x.operands)
            else:
                found.append((self.program.constant(1.0), x))
                continue
            self.inside.add(x.index)
        return found

    # --- Sums -----------------------------------------------------------------------------------

    def find_sums(self) -> None:
        """Take the sums that are long enough out of the instructions."""
        seen: set[int] = set()
        for x in reversed(self.registers):
            if x.operation == "add" and x.index not in seen and x.index not in self.inside:
                adds, terms = self.chain(x)
                seen.update(add.index for add in adds)
                if len(terms) >= SHORTEST:
                    self.cut(adds, terms)

    def chain(self, x: Register) -> tuple[list[Register], list[Register]]:
        """The additions that lead to a sum, and its terms: one more than additions."""
        adds = [x]
        terms: list[Register] = []
        fused = x.index >= self.forward
        while True:
            left, right = x.operands
            if self.passing(left, "add", fused):
                x, term = left, right
            elif self.passing(right, "add", fused):
                x, term = right, left
            else:
                return adds[::-1], [left, right, *reversed(terms)]
            adds.append(x)
            terms.append(term)

    def cut(self, adds: Sequence[Register], terms: Sequence[Register]) -> None:
        """A sum for each run of terms of a kind."""
        fused = adds[0].index >= self.forward
        kinds = [self.kind_of_term(term, fused) for term in terms]
        start = 0
        while start < len(terms):
            end = start + 1
            while end < len(terms) and kinds[end] == kinds[start] and end - start < LONGEST:
                end += 1
            if end - start >= SHORTEST and kinds[start] != "p":
                self.sum(kinds[start], fused, start, end, adds, terms)
            start = end

    def kind_of_term(self, term: Register, fused: bool) -> str:
        if self.passing(term, "mul", fused):
            left, right = map(self.kind, term.operands)
            return "rr" if left == right else "pr"
        return self.kind(term)

    def sum(
        self,
        kind: str,
        fused: bool,
        start: int,
        end: int,
        adds: Sequence[Register],
        terms: Sequence[Register],
    ) -> None:
        """Make one loop of the terms from start to end, on top of what comes before them."""
        before = [self.program.constant(-0.0), terms[0], *adds][start]  # -0 changes no number
        result, here = adds[end - 2], terms[start:end]
        self.inside.update(x.index for x in adds[max(start - 1, 0) : end - 2])
        others: list[Register] = []
        if len(kind) == 2:
            self.inside.update(x.index for x in here)
            pairs = [
                x.operands if self.kind(x.operands[0]) == kind[0] else x.operands[::-1]
                for x in here
            ]
            here, others = ([pair[side] for pair in pairs] for side in (0, 1))
        self.keep((before, result, *here, *others))
        kernel = Sum(self.kind(before), kind, fused and len(kind) == 2)
        self.sums[result.index] = kernel, Instance(result, [before, *here], others)

    # --- Cones ----------------------------------------------------------------------------------

    def kind(self, x: Register) -> str:
        """What a hole for a register takes: see `Cone`."""
        if x.stage == ROW or not self.rows:
            return "R" if x.operation in BOOLEAN else "r"
        return "P" if x.operation in BOOLEAN else "p"

    def formulas(self) -> list[tuple[Cone | Sum, Instance]]:
        """What is computed of what, in the order of the program."""
        roots = self.roots()
        return [
            self.sums[x.index] if x.index in self.sums else self.cone(x, roots)
            for x in self.registers
            if roots.get(x.index) == x.index
        ]

    def roots(self) -> dict[int, int]:
        """For each register the one in whose formula it stands: its own, or that of all its users.

        Those with users in several formulas are kept, and so have one of their own.
        """
        roots: dict[int, int] = {}
        sizes: Counter[int] = Counter()
        for x in reversed(self.registers):
            index = x.index
            if index in self.inside:
                continue
            root = roots.get(index, index)
            if index in self.places or sizes[root] >= LARGEST:
                root = index
            roots[index] = root
            sizes[root] += 1
            if index in self.sums:
                continue
            for operand in x.operands:
                if roots.setdefault(operand.index, root) != root:
                    self.places.add(operand.index)
        return roots

    def cone(self, root: Register, roots: dict[int, int]) -> tuple[Cone, Instance]:
        """The formula of a register. Its holes are numbered in the order in which they come up."""
        members = self.members(root, roots)
        holes: dict[int, int] = {}
        operands: list[Register] = []
        places = {x.index: place for place, x in enumerate(members)}
        steps = []
        for x in members:
            step: list[Any] = [x.operation, x.index >= self.forward and x.operation in FUSED]
            for o in x.operands:
                if o.index in self.common:
                    step.append(repr(o.operands[0]))
                elif o.index in places:
                    step.append(places[o.index])
                else:
                    if o.index not in holes:
                        operands.append(o)
                        holes[o.index] = -len(operands)
                    step.append(holes[o.index])
            steps.append(tuple(step))
        kernel = Cone(tuple(steps), "".join(map(self.kind, operands)))
        return kernel, Instance(root, operands)

    def members(self, root: Register, roots: dict[int, int]) -> list[Register]:
        """The registers of a formula; operands come before results, and in their order."""
        found: dict[int, Register] = {}
        waiting = [root]
        while waiting:
            x = waiting[-1]
            if x.index in found:
                waiting.pop()
                continue
            open_ = [
                o
                for o in x.operands
                if o.index not in found
                and roots.get(o.index) == root.index
                and o.index in self.here
            ]
            if open_:
                waiting += reversed(open_)
            else:
                found[x.index] = waiting.pop()
        return list(found.values())
