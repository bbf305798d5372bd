"""A program as arithmetic of whole arrays, for NumPy and JAX: a layer is a product of matrices.

With this module you can

- have a program as a function of arrays:    outputs = Arrays(job)(np, words, parameters, rows)

What `microgrant.compiler.rolled` has found becomes arrays: equal formulas are computed at once, and
sums of products as products of matrices. A number that is the same for all rows stands in an array
of one dimension; those of rows stand in a table, with a line for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple, TypeAlias, TypeVar

from .listing import line_of
from .program import Job, Register
from .rolled import Calls, Cone, Grid, Instance, Sum, gathered, rolled, size
from .tables import numpy

__all__ = ["NAMES", "Arrays", "Words", "shared_words"]

Array: TypeAlias = Any
Words: TypeAlias = Mapping[Any, Callable[..., Array]]
"""What computes the operations of a program, element by element; and of several matrices,

- "products": for each row, the sums of each left line times each right one: bik, bjk -> bij;
- "totals": the same, summed over all rows: nbik, nbjk -> bij.
"""

# What NumPy and JAX call the operations that both of them compute by themselves.
ALIKE = "abs exp log log1p expm1 sqrt sin cos tan sinh cosh tanh log2 log10 exp2 hypot floor"
NAMES = {name: name for name in f"{ALIKE} where copysign fmod round".split()}
NAMES |= {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative"}
NAMES |= {"pow": "power", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}
NAMES |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
NAMES |= {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
NAMES |= {"==": "equal", "!=": "not_equal"}
NAMES |= {"and": "logical_and", "or": "logical_or", "not": "logical_not"}


def shared_words(np: Any) -> dict[str, Callable[..., Array]]:
    """The functions of NumPy, or of that of JAX, for `NAMES`, and for the layout of a float."""
    return {operation: getattr(np, name) for operation, name in NAMES.items()} | {
        "exponent": lambda x: np.frexp(x)[1] - 1.0,
        "mantissa": lambda x: np.frexp(x)[0] * 2.0,
        "power_of_two": lambda k: np.ldexp(1.0, k.astype("int32")),
    }


Place: TypeAlias = tuple[int, int]
"""An array, and which of its numbers."""
Thing = TypeVar("Thing")

PARAMETERS, ROWS, CONSTANTS = range(3)  # the arrays that are there from the start


class Taken(NamedTuple):
    """Numbers out of arrays, side by side.

    pieces: arrays, each with what is taken of it: a slice, or a list of places.
    order: where each number stands among what was taken; None, if all are in order.
    """

    pieces: Sequence[tuple[int, Any]]
    order: Any

    def of(self, np: Any, arrays: Sequence[Array]) -> Array:
        """The numbers; in each row, if some of them differ from row to row."""
        parts = [arrays[array][..., places] for array, places in self.pieces]
        if len(parts) == 1:
            [joined] = parts
        else:
            if len({part.ndim for part in parts}) > 1:  # some are the same for all rows
                rows = max((part.shape[:-1] for part in parts), key=len)
                parts = [of_rows(np, part, rows, 1) for part in parts]
            joined = np.concatenate(parts, axis=-1)
        return joined if self.order is None else joined[..., self.order]


class Formulas(NamedTuple):
    """The formula of a cone, of several operands for each of its holes."""

    kernel: Cone
    holes: Sequence[Taken]

    def of(self, np: Any, words: Words, arrays: Sequence[Array]) -> Array:
        """Their results."""
        holes, results = [hole.of(np, arrays) for hole in self.holes], list[Array]()
        for operation, _, *operands in self.kernel.steps:
            given = [
                float(x) if isinstance(x, str) else results[x] if x >= 0 else holes[-1 - x]
                for x in operands
            ]
            results.append(words[operation](*given))
        return results[-1]


class Totals(NamedTuple):
    """Sums of equally many terms, and what each begins with.

    number: how many sums there are.
    """

    start: Taken
    terms: Taken
    number: int

    def of(self, np: Any, words: Words, arrays: Sequence[Array]) -> Array:
        """The sums."""
        terms = in_lines(self.terms.of(np, arrays), self.number, -1)
        return self.start.of(np, arrays) + terms.sum(-1, initial=-0.0)  # which changes no number


class Products(NamedTuple):
    """Products of matrices, and what each number of them begins with.

    left, right: the factors of both sides, one matrix after the other, line by line.
    shape: how many products there are, and how many lines a matrix has on the left and the right.
    start: None where sums over all rows are wanted.
    """

    left: Taken
    right: Taken
    shape: tuple[int, int, int]
    start: Taken | None

    def of(self, np: Any, words: Words, arrays: Sequence[Array]) -> Array:
        """The sums of each product, line by line."""
        number, *lines = self.shape
        sides = [
            in_lines(side.of(np, arrays), number, count, -1)
            for side, count in zip((self.left, self.right), lines, strict=True)
        ]
        if self.start is not None:
            sums = words["products"](*sides)
            return self.start.of(np, arrays) + sums.reshape(*sums.shape[:-3], -1)
        rows = (len(arrays[ROWS]),)
        return words["totals"](*(of_rows(np, side, rows, 3) for side in sides)).ravel()


Step: TypeAlias = Formulas | Totals | Products


class Arrays:
    """A program whose numbers are arrays.

    It is called with NumPy or that of JAX, with the words for its operations, and with arrays of
    the parameters and the rows, and returns the outputs: of each row, if they are wanted so.

    size: how many instructions of the program a step stands for, on average.
    width: how many numbers a step computes for each row, on average.
    """

    def __init__(self, job: Job) -> None:
        self.per_row = job.per_row
        self.constants: list[float] = []
        self.stages: list[list[Step]] = []
        self.places: dict[int, Place] = {}
        once, row, after = rolled(job)
        parts = [(self.loops, once), (self.loops, row), (self.means, row), (self.loops, after)]
        for compute, calls in parts:
            self.stages.append([])
            compute(calls)
        self.outputs = self.taken(job.outputs)
        steps = sum(map(len, self.stages))
        self.size = sum(map(size, (*once, *row, *after))) / max(1, steps)
        first = CONSTANTS + 1 + len(self.stages[0])
        arrays = range(first, first + len(self.stages[1]))
        numbers = sum(array in arrays for array, _ in self.places.values())
        self.width = numbers / max(1, len(arrays))
        self.places.clear()

    def __call__(
        self, np: Any, words: Words, parameters: Array, rows: Array, block: int | None = None
    ) -> Array:
        """The outputs, in one array.

        block: of how many rows there are numbers at the same time; by default, of all.
        """
        once, row, means, after = self.stages

        def run(steps: Sequence[Step], arrays: list[Array]) -> list[Array]:
            for step in steps:
                arrays.append(step.of(np, words, arrays))
            return arrays

        def outputs(arrays: Sequence[Array]) -> Array:
            return self.outputs.of(np, arrays).astype(parameters.dtype)

        arrays = run(once, [parameters, rows, np.asarray(self.constants, parameters.dtype)])
        block, found = block or len(rows), []
        for start in range(0, len(rows), block):
            some = rows[start : start + block]
            here = run(row, [parameters, some, *arrays[CONSTANTS:]])
            if self.per_row:
                found.append(of_rows(np, outputs(here), (len(some),), 1))
            else:
                found.append(run(means, here)[len(arrays) + len(row) :])
        if self.per_row:
            return np.concatenate(found)
        arrays += [None] * len(row)  # of single rows: it is not needed any more
        arrays += [reduce(add, sums) / len(rows) for sums in zip(*found, strict=True)]
        return outputs(run(after, arrays))

    # --- What is computed, in order -------------------------------------------------------------

    def add(self, step: Step, results: Sequence[Register]) -> list[Place]:
        """Append a step, and note where its results will stand."""
        array = CONSTANTS + 1 + sum(map(len, self.stages))
        self.stages[-1].append(step)
        places = [(array, place) for place in range(len(results))]
        self.places.update(zip((x.index for x in results), places, strict=True))
        return places

    def loops(self, calls: Calls) -> None:
        """All of a stage but means."""
        for call in calls:
            if isinstance(call.kernel, Cone):
                self.formulas(call.kernel, call.instances)
            elif isinstance(call.kernel, Sum):
                compute = self.products if call.instances[0].others else self.totals
                compute(call.instances)

    def formulas(self, kernel: Cone, instances: Sequence[Instance]) -> None:
        """A group of equal formulas."""
        holes = zip(*(x.operands for x in instances), strict=True)
        step = Formulas(kernel, [self.shared(operands) for operands in holes])
        self.add(step, [x.register for x in instances])

    def totals(self, instances: Sequence[Instance]) -> None:
        """Sums of terms: those of equally many at once."""
        for same in alike(instances, lambda x: len(x.operands)):
            start = self.shared([x.operands[0] for x in same])
            terms = self.taken([term for x in same for term in x.operands[1:]])
            self.add(Totals(start, terms, len(same)), [x.register for x in same])

    def products(self, instances: Sequence[Instance]) -> None:
        """Sums of products: as products of matrices, where factors are shared."""
        starts = {x.register.index: x.operands[0] for x in instances}
        for grids in alike(
            gathered((x.register, x.others, x.operands[1:]) for x in instances), shape
        ):
            results = registers(grids)
            start = self.shared([starts[x.index] for x in results])
            self.add(self.matrices(grids, start), results)

    def means(self, calls: Calls) -> None:
        """Sums over all rows. A long one is in several grids: it is the total of its parts."""
        grids = [call.kernel for call in calls if isinstance(call.kernel, Grid)]
        parts: dict[int, list[Place]] = {}
        of_index = {x.index: x for x in registers(grids)}
        for same in alike(grids, shape):
            results = registers(same)
            for x, place in zip(results, self.add(self.matrices(same, None), results), strict=True):
                parts.setdefault(x.index, []).append(place)
        long = [index for index, places in parts.items() if len(places) > 1]
        for these in alike(long, lambda index: len(parts[index])):
            start = picked([parts[index][0] for index in these])
            rest = picked([place for index in these for place in parts[index][1:]])
            self.add(Totals(start, rest, len(these)), [of_index[index] for index in these])

    def matrices(self, grids: Sequence[Grid], start: Taken | None) -> Products:
        """Grids of one shape."""
        rows, columns, _ = shape(grids[0])
        return Products(
            self.taken([x for grid in grids for line in grid.rows for x in line]),
            self.taken([x for grid in grids for line in grid.columns for x in line]),
            (len(grids), rows, columns),
            start,
        )

    def taken(self, numbers: Sequence[Register]) -> Taken:
        """Numbers from where they stand."""
        return picked([self.place(x) for x in numbers])

    def place(self, x: Register) -> Place:
        """Where a number stands."""
        if x.index not in self.places:  # a leaf
            if x.operation == "constant":
                self.places[x.index] = CONSTANTS, len(self.constants)
                self.constants.append(x.operands[0])
            else:
                kind = PARAMETERS if x.operation == "parameter" else ROWS
                self.places[x.index] = kind, x.operands[0]
        return self.places[x.index]

    def shared(self, numbers: Sequence[Register]) -> Taken:
        """The same, but a number that all take is taken once."""
        one = len({x.index for x in numbers}) == 1
        return self.taken(numbers[:1] if one else numbers)


def registers(grids: Iterable[Grid]) -> list[Register]:
    """What is computed by grids, row by row."""
    return [x for grid in grids for line in grid.means for x in line]


def shape(grid: Grid) -> tuple[int, int, int]:
    """How many rows, columns and positions a grid has."""
    return len(grid.rows), len(grid.columns), len(grid.rows[0])


def alike(things: Iterable[Thing], kind: Callable[[Thing], Hashable]) -> Iterable[list[Thing]]:
    """The things of each kind."""
    found: dict[Hashable, list[Thing]] = {}
    for thing in things:
        found.setdefault(kind(thing), []).append(thing)
    return found.values()


def picked(places: Sequence[Place]) -> Taken:
    """How to take what stands at these places."""
    if not places:
        return Taken([(CONSTANTS, slice(0))], None)
    positions: dict[int, list[int]] = {}
    for position, (array, _) in enumerate(places):
        positions.setdefault(array, []).append(position)
    pieces = [(array, index([places[i][1] for i in here])) for array, here in positions.items()]
    found = [position for here in positions.values() for position in here]
    return Taken(pieces, None if found == sorted(found) else numpy().argsort(found))


def index(places: list[int]) -> Any:
    """What an array is asked for: a slice, where places are at equal distances."""
    if line := line_of(places):
        first, step = line
        end = first + step * len(places)
        return slice(first, None if end < 0 else end, step)
    return numpy().array(places)


def of_rows(np: Any, numbers: Array, rows: tuple[int, ...], dimensions: int) -> Array:
    """Numbers of these rows, or those that are the same for all of them; of each row, so many
    dimensions."""
    if numbers.ndim == len(rows) + dimensions:
        return numbers  # a look costs less than to broadcast
    return np.broadcast_to(numbers, (*rows, *numbers.shape))


def in_lines(numbers: Array, *shape: int) -> Array:
    """Numbers that stand side by side, in an array of this shape instead."""
    return numbers.reshape(*numbers.shape[:-1], *shape)
