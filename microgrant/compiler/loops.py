"""The loops of a program as LLVM IR: short text, and long tables.

With this module you can

- write the text and its tables:      text, layout = translate_rolled(job, rolled(job), width)

Each formula is written once, as a kernel: see `microgrant.compiler.kernels`. Which operands an
instance has, and which kernels are called, and in what order, stands in a table of integers: where
the numbers are, in bytes. So a network of any depth is as little text as one layer of it.

For a row that is alone in its block there is a second list of calls, where weights are shared, as
by the positions of a sequence.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

from .kernels import (
    ARGUMENTS,
    Code,
    GridKernel,
    LoneGridKernel,
    LoneSumKernel,
    SumKernel,
    cone_kernel,
    copying_kernel,
)
from .llvm import (
    Kind,
    Layout,
    after_function,
    before_function,
    called_by,
    called_function,
    declarations,
    loop_function,
    run_function,
)
from .program import ROW, Job, Register
from .rolled import Call, Cone, Grid, Indices, Instance, Sum

__all__ = ["translate_rolled"]

BLOCK = 64  # rows that are gone through at once, or fewer, if their numbers are more than
CACHE = 1_000_000  # bytes, which processors have close at hand
# Sums that share the terms which they load: so many at once, and for what is left. Each has so many
# vectors, and all of them stay in the registers of a processor: it has 16, or twice as many.
TILES = {6: 2, 4: 2, 1: 4}
TILES_OF = {"pr": (6, 4, 1), "rr": (4, 1), "r": (1,)}  # by the kind of the terms
# The tiles of a grid have as many columns as a vector has lanes, and so many rows. All of their
# sums stay there as well: they are 12 or, of vectors of 8, 24.
ROWS = {2: (6, 2, 1), 4: (3, 2, 1), 8: (3, 2, 1)}
# For one row alone: the vectors of a tile of sums, and the rows of a tile of a grid.
LONE_SUMS, LONE_ROWS = (4, 1), (8, 1)
SHARED = 4  # uses of a weight: to have it copied for one row alone pays from so many on
LINE = 64  # bytes that come together from memory

T = TypeVar("T")
Lines: TypeAlias = list[tuple[int, int, int]]
"""For each call its kernel, where its instances stand, and how many they are."""
Found: TypeAlias = dict[tuple[Any, ...], list[Indices]]
"""The entries of the instances of each kernel."""
Groups: TypeAlias = dict[Indices, list[Indices]]
"""Entries of `SumKernel`: those that sums of a tile have in common, and of each its own."""

SAME = "ptr %scalars, ptr %vectors, ptr %sums, ptr %table"


class Copies:
    """Scalars that are copied, to stand side by side.

    offsets: where they come from, in bytes, one after the other.
    """

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.places: dict[Indices, int] = {}

    def place(self, line: Indices) -> int:
        """Where a line of them begins, in bytes; equal lines are there once."""
        if line not in self.places:
            self.places[line] = 8 * len(self.offsets)
            self.offsets += line
        return self.places[line]


class Tables:
    """The text of the kernels that are needed, and the table that they run over."""

    def __init__(self, job: Job, stages: Sequence[list[Call]], width: int) -> None:
        self.job, self.width, self.stages = job, width, stages
        self.table = array("i")
        self.kernels: dict[tuple[Any, ...], int] = {}
        self.lists: dict[tuple[int, ...], int] = {}
        self.packed, self.copied = Copies(), Copies()  # for all rows, and for one row alone
        self.uses = Counter(
            first_scalars(x)
            for call in stages[ROW]
            if isinstance(call.kernel, Sum) and call.kernel.terms == "pr"
            for x in call.instances
        )
        self.merged: list[int] = []  # two places each: of parts of a sum
        self.one = job.program.constant(1.0)
        row = stages[ROW]
        given = (
            [self.one, *(x for x in job.outputs if x.stage != ROW)] if job.per_row else [self.one]
        )
        copies = [Instance(x, [x]) for x in {x.index: x for x in given}.values()]
        row = [
            Call(laid(call.kernel, width), []) if isinstance(call.kernel, Grid) else call
            for call in row
        ]
        self.stages = [stages[0], [Call(Cone((), "p"), copies), *row], stages[2]]
        # Where each register stands, in bytes: among what is the same for all rows, and in the
        # workspace of a row. What has no place there is no number, and so in no table.
        self.count = len(job.program.registers)
        self.scalar: list[Any] = [None] * self.count
        self.vector: list[Any] = [None] * self.count
        for x in job.registers:
            if x.operation == "input":
                self.vector[x.index] = 8 * width * x.operands[0]
        self.place_scalars()
        self.place_vectors()

    # --- Where the numbers are ------------------------------------------------------------------

    def place_scalars(self) -> None:
        """Give each number that is the same for all rows a place: first of all, means."""
        once, row, after_rows = self.stages
        self.sums = 0
        for call in row:
            if not isinstance(call.kernel, Grid):
                continue
            for line in call.kernel.means:
                for place, mean in enumerate(line, self.sums):
                    if self.scalar[mean.index] is None:
                        self.scalar[mean.index] = 8 * place
                    else:
                        self.merged += (self.scalar[mean.index], 8 * place)
                self.sums += self.distance(call.kernel) // 8
        self.first_parameter = self.sums
        self.first_constant = self.sums + self.job.parameters
        for x in self.job.registers:
            if x.operation == "parameter":
                self.scalar[x.index] = 8 * (self.first_parameter + x.operands[0])
        known = (self.one, *self.job.registers)
        self.constants = [*{x.index: x for x in known if x.operation == "constant"}.values()]
        computed = [x.register for call in (*once, *after_rows) for x in call.instances]
        for place, x in enumerate((*self.constants, *computed), self.first_constant):
            self.scalar[x.index] = 8 * place
        self.scalars = self.first_constant + len(self.constants) + len(computed)

    def place_vectors(self) -> None:
        """Give each number of a row a place in the workspace, or one that is needed no more."""
        calls = self.stages[ROW]
        size, last = 8 * self.width, [0] * self.count  # the last call that needs a number
        for place, call in enumerate(calls):
            for x in call.instances:
                last[x.register.index] = place
            for o in taken(call):
                last[o.index] = place
        for o in (self.one, *(self.job.outputs if self.job.per_row else ())):
            last[o.index] = len(calls)
        ending = defaultdict[int, list[int]](list)
        count, free = self.job.inputs, list[int]()
        for place, call in enumerate(calls):
            for x in call.instances:
                if free:
                    slot = heappop(free)
                else:
                    slot, count = count, count + 1
                index = x.register.index
                self.vector[index] = size * slot
                ending[last[index]].append(slot)
            for slot in ending.pop(place, ()):
                heappush(free, slot)
        lines = -(-8 * self.width * count // LINE)
        self.stride = (lines | 1) * LINE  # odd, so that vectors do not compete in the cache
        self.vectors = min(BLOCK // self.width, max(1, CACHE // self.stride // 2) * 2)

    # --- The table ------------------------------------------------------------------------------

    def written(self, entries: Iterable[int]) -> int:
        """Where these entries begin, now that they are in the table."""
        at = len(self.table)
        self.table.extend(entries)
        return at

    def listed(self, entries: Indices) -> int:
        """Where a list stands; equal ones are there once."""
        if entries not in self.lists:
            self.lists[entries] = self.written(entries)
        return self.lists[entries]

    def stage(self, calls: Sequence[Call], rows: bool) -> tuple[Lines, Lines]:
        """The lines of all calls; and those for one row alone."""
        found = [self.lines_of(call, rows) for call in calls]
        return [*chain(*(lines for lines, _ in found))], [*chain(*(lone for _, lone in found))]

    def lines_of(self, call: Call, rows: bool) -> tuple[Lines, Lines]:
        """The lines of a call; and those for one row alone."""
        kernel = call.kernel
        if isinstance(kernel, Grid):
            return self.grid(kernel)
        if isinstance(kernel, Sum):
            return self.sums_of(kernel, call.instances, rows)
        at = self.written(self.entries(kernel, call.instances, rows))
        lines = [(self.kernel(kernel, rows), at, len(call.instances))]
        return lines, lines

    def lines(self, found: Found) -> Lines:
        """A line for each kernel."""
        return [
            (self.kernel(*key), self.written(chain(*instances)), len(instances))
            for key, instances in found.items()
        ]

    def kernel(self, *key: Any) -> int:
        """The number of a kernel."""
        return self.kernels.setdefault(key, len(self.kernels))

    def offsets(self, kind: str, rows: bool) -> list[int]:
        """Where numbers of a kind stand."""
        return self.vector if rows and kind in "rR" else self.scalar

    def entries(self, cone: Cone, instances: Sequence[Instance], rows: bool) -> list[int]:
        """The instances of a cone."""
        out, offsets = self.offsets("r", rows), [self.offsets(kind, rows) for kind in cone.holes]
        entries = []
        for register, operands, _ in instances:
            entries.append(out[register.index])
            for offset, o in zip(offsets, operands, strict=True):
                entries.append(offset[o.index])
        return entries

    def sums_of(self, form: Sum, instances: Sequence[Instance], rows: bool) -> tuple[Lines, Lines]:
        """The instances of a sum, and those for one row alone."""
        common, shared = list[Instance](), list[Instance]()
        alike = rows and form.start == "p" and form.terms == "pr"
        for x in instances:
            (shared if alike and self.uses[first_scalars(x)] >= SHARED else common).append(x)
        lines = self.tiles_of_sums(form, self.groups(form, common, rows), rows)
        groups = self.groups(form, shared, rows)
        return (
            [*lines, *self.tiles_of_sums(form, groups, rows)],
            [*lines, *self.lone_sums(form, groups)],
        )

    def groups(self, form: Sum, instances: Sequence[Instance], rows: bool) -> Groups:
        """Sums by what they have in common."""
        groups: Groups = {}
        offset, offset_of_start = self.offsets("r", rows), self.offsets(form.start, rows)
        factors = self.factors(form, instances, offset)
        for x, (listed, other, distance) in zip(instances, factors, strict=True):
            start, *terms = x.operands
            own = offset[x.register.index], offset_of_start[start.index], other
            groups.setdefault((len(terms), listed, distance), []).append(own)
        return groups

    def factors(
        self, form: Sum, instances: Sequence[Instance], offset: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """For each sum where its terms are listed; and its scalars, or where others are listed."""
        if form.terms == "pr":
            return [
                (
                    self.listed(tuple([offset[o.index] for o in others])),
                    *self.line(tuple([self.scalar[o.index] for o in operands[1:]])),
                )
                for _, operands, others in instances
            ]
        lists = [
            [
                self.listed(tuple([offset[o.index] for o in line]))
                for line in (operands[1:], others)
                if line
            ]
            for _, operands, others in instances
        ]
        often = Counter(chain(*lists))
        # Of two lists, the one that more sums have comes first: it is what a tile shares.
        ordered = (sorted(pair, key=often.__getitem__, reverse=True) for pair in lists)
        return [(first, other[0] if other else 0, 0) for first, *other in ordered]

    def tiles_of_sums(self, form: Sum, groups: Groups, rows: bool) -> Lines:
        """Tiles of sums with the same terms, and then what is left of them."""
        sizes = TILES_OF[form.terms] if rows else (1,)
        found: Found = {}
        for common, sums in groups.items():
            for begin, tile in cut(len(sums), sizes):
                most = min(TILES[tile], self.vectors) if rows else 1
                own = chain(*sums[begin : begin + tile])
                found.setdefault((SumKernel, form, tile, most, rows), []).append((*common, *own))
        return self.lines(found)

    def lone_sums(self, form: Sum, groups: Groups) -> Lines:
        """The same for one row alone."""
        w, found = self.width, Found()
        for (terms, listed, distance), group in groups.items():
            sums = sorted(group, key=itemgetter(2))  # often their scalars are side by side
            for begin, vectors in cut(-(-len(sums) // w), LONE_SUMS):
                tile = filled(sums[w * begin : w * (begin + vectors)], w * vectors)
                outs, starts, firsts = zip(*tile, strict=True)
                copied = firsts != tuple(range(firsts[0], firsts[0] + 8 * len(tile), 8))
                scalars = firsts[0], distance
                if copied:
                    lines = range(0, terms * distance, distance)
                    scalars = self.copy(tuple(x + y for x in lines for y in firsts)), 8 * len(tile)
                entries = terms, listed, self.copy(starts), *scalars, *outs
                found.setdefault((LoneSumKernel, form, vectors, copied, True), []).append(entries)
        return self.lines(found)

    def copy(self, offsets: Indices) -> int:
        """Where in the workspace scalars stand side by side, for one row alone."""
        return self.vectors * self.stride + self.copied.place(offsets)

    def line(self, offsets: Indices) -> tuple[int, int]:
        """Where scalars begin, and the distance between them; they are copied if they are not in a
        line."""
        first, step = offsets[0], offsets[1] - offsets[0]
        if step and offsets == tuple(range(first, first + len(offsets) * step, step)):
            return first, step
        return 8 * self.scalars + self.packed.place(offsets), 8

    def grid(self, grid: Grid) -> tuple[Lines, Lines]:
        """The instances of a grid, and those for one row alone."""
        lines = self.tiles(GridKernel, grid, ROWS[self.width])
        shared = len(grid.rows[0]) >= SHARED
        lone = self.tiles(LoneGridKernel, grid, LONE_ROWS) if shared else lines
        self.cell += self.distance(grid) * len(grid.rows)
        return lines, lone

    def distance(self, grid: Grid) -> int:
        """The bytes from one row of sums to the next: the last columns may be idle."""
        return 8 * self.width * -(-len(grid.columns) // self.width)

    def tiles(self, kernel: type[GridKernel], grid: Grid, sizes: Sequence[int]) -> Lines:
        """The tiles of a grid, by how many rows they have."""
        width, distance, found = self.width, self.distance(grid), Found()
        for c in range(0, len(grid.columns), width):
            columns = filled(grid.columns[c : c + width], width)
            for r, size in cut(len(grid.rows), sizes):
                sums = self.cell + r * distance + 8 * c
                positions = zip(*grid.rows[r : r + size], *columns, strict=True)
                factors = [self.vector[x.index] for position in positions for x in position]
                entries = len(grid.rows[0]), sums, distance, *factors
                found.setdefault((kernel, size, True), []).append(entries)
        return self.lines(found)

    # --- The text -------------------------------------------------------------------------------

    def text(self) -> tuple[str, Layout]:
        """The functions, and what memory they need."""
        job, width = self.job, self.width
        self.cell = 0  # where the next sum of a tile is
        stages = [self.stage(calls, place == ROW) for place, calls in enumerate(self.stages)]
        if copied := self.copied.offsets:
            line = self.kernel("copy", True), self.written(copied), len(copied)
            stages[ROW][1].insert(0, line)
        offset = self.vector if job.per_row else self.scalar
        listed = self.written([offset[x.index] for x in job.outputs])
        halves = array("i", array("d", [x.operands[0] for x in self.constants]).tobytes())
        constants, packed = self.written(halves), self.written(self.packed.offsets)
        once, row, after = (
            CALLS.format(
                at=self.written(chain(*lines)),
                count=len(lines),
                lone_at=self.written(chain(*lone)),
                lone_count=len(lone),
                numbers="%vectors" if place == ROW else "%scalars",
                used="%used" if place == ROW else 1,
                rows="%count" if place == ROW else 1,
            )
            for place, (lines, lone) in enumerate(stages)
        )
        before = BEFORE.format(
            parameters=8 * self.first_parameter,
            bytes_of_parameters=8 * job.parameters,
            constants=8 * self.first_constant,
            bytes_of_constants=8 * len(self.constants),
            at=constants,
            calls=once,
            packed=8 * self.scalars,
            listed=packed,
            count=len(self.packed.offsets),
        )
        merge = MERGE.format(listed=self.written(self.merged), count=len(self.merged) // 2)
        results = GATHER.format(to="%out", listed=listed, count=len(job.outputs))
        ending = [merge, after] if job.per_row else [merge, after, results]
        outputs = len(job.outputs) if job.per_row else 0
        layout = Layout(
            width,
            self.scalars + len(self.packed.offsets),
            self.vectors * self.stride // (8 * width) + -(-len(copied) // width),
            self.sums // width,
            job.instructions,
            self.table,
        )
        text = [
            *declarations(width),
            *(called_function(name, lanes) for name, lanes in sorted(self.called())),
            *(self.kernel_text(place, *key) for key, place in self.kernels.items()),
            self.dispatch(),
            COPY,
            before_function(before),
            loop_function(width, self.vectors, self.stride, job.inputs, outputs, listed, row),
            after_function(width, self.sums, "\n".join(ending), lanes=False),
            run_function(layout),
        ]
        return "\n\n".join(text), layout

    def kernel_text(self, place: int, kernel: Any, *details: Any) -> str:
        """The text of a kernel, by what `kernel` was told of it."""
        name, kind = f"k{place}", Kind(self.width if details[-1] else 1)
        if isinstance(kernel, Cone):
            return cone_kernel(name, kernel, kind, self.stride)
        if kernel == "copy":
            return copying_kernel(name, self.vectors * self.stride)
        code: Code = kernel(*details[:-1], kind, self.stride)
        return code.function(name)

    def dispatch(self) -> str:
        """The function that goes through calls."""
        places = range(len(self.kernels))
        return DISPATCH.format(
            arguments=ARGUMENTS,
            cases=" ".join(f"i32 {place}, label %k{place}" for place in places),
            calls="\n".join(
                f"k{place}:\ncall void @k{place}({SAME}, i64 %itsat, i64 %itscount, i64 %used, "
                "i64 %rows)\nbr label %next"
                for place in places
            ),
        )

    def called(self) -> set[tuple[str, int]]:
        """Which of the functions in `CALLED` there have to be, for scalars and for vectors."""
        return called_by(
            (operation, self.width if rows else 1)
            for kernel, *_, rows in self.kernels
            if isinstance(kernel, Cone)
            for operation, *_ in kernel.steps
        )


def translate_rolled(job: Job, stages: Sequence[list[Call]], width: int) -> tuple[str, Layout]:
    """The text of a program as loops, and the memory that it needs: as `llvm.translate` gives."""
    return Tables(job, stages, width).text()


def taken(call: Call) -> list[Register]:
    """What a call takes."""
    if isinstance(call.kernel, Grid):
        return [x for line in (*call.kernel.rows, *call.kernel.columns) for x in line]
    return [o for _, operands, others in call.instances for o in (*operands, *others)]


def first_scalars(x: Instance) -> tuple[int, int]:
    """What tells the weights of a sum from those of other ones."""
    return x.operands[1].index, x.operands[2].index


def laid(grid: Grid, width: int) -> Grid:
    """A grid, or the same with columns for rows if that leaves fewer lanes idle."""
    rows, columns = len(grid.rows), len(grid.columns)
    if -columns % width * rows <= -rows % width * columns:
        return grid
    return Grid(grid.columns, grid.rows, [list(line) for line in zip(*grid.means, strict=True)])


def filled(xs: Sequence[T], count: int) -> list[T]:
    """So many: the last one again where there are no others."""
    return [*xs, *[xs[-1]] * (count - len(xs))]


def cut(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each piece of a line begins, and its size: large ones, and small ones in the end."""
    start = 0
    for size in sizes:
        while count - start >= size:
            yield start, size
            start += size


CALLS = """%lone = icmp eq i64 {rows}, 1
%linesat = select i1 %lone, i64 {lone_at}, i64 {at}
%lines = select i1 %lone, i64 {lone_count}, i64 {count}
call void @calls(ptr %scalars, ptr {numbers}, ptr %sums, ptr %table,
i64 %linesat, i64 %lines, i64 {used}, i64 {rows})
"""

# A line for each call: its kernel, where its instances are, and how many.
DISPATCH = """define internal void @calls({arguments}) #0 {{
start:
%first = getelementptr i32, ptr %table, i64 %at
br label %head
head:
%i = phi i64 [0, %start], [%i1, %next]
%more = icmp slt i64 %i, %count
br i1 %more, label %line, label %end
line:
%place = mul i64 %i, 3
%kernelat = getelementptr i32, ptr %first, i64 %place
%kernel = load i32, ptr %kernelat
%atat = getelementptr i32, ptr %kernelat, i64 1
%itsat32 = load i32, ptr %atat
%itsat = sext i32 %itsat32 to i64
%countat = getelementptr i32, ptr %kernelat, i64 2
%itscount32 = load i32, ptr %countat
%itscount = sext i32 %itscount32 to i64
switch i32 %kernel, label %next [{cases}]
{calls}
next:
%i1 = add i64 %i, 1
br label %head
end:
ret void
}}"""

BEFORE = """%parametersto = getelementptr i8, ptr %scalars, i64 {parameters}
call void @llvm.memcpy.p0.p0.i64(
ptr %parametersto, ptr %parameters, i64 {bytes_of_parameters}, i1 false)
%constantsto = getelementptr i8, ptr %scalars, i64 {constants}
%constants = getelementptr i32, ptr %table, i64 {at}
call void @llvm.memcpy.p0.p0.i64(
ptr %constantsto, ptr %constants, i64 {bytes_of_constants}, i1 false)
{calls}
%packed = getelementptr i8, ptr %scalars, i64 {packed}
""" + (
    GATHER := """call void @gather(ptr {to}, ptr %scalars, ptr %table, i64 {listed}, i64 {count})
"""
).replace("{to}", "%packed")

MERGE = """call void @merge(ptr %scalars, ptr %table, i64 {listed}, i64 {count})"""

COPY = """declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define internal void @gather(ptr %to, ptr %scalars, ptr %table, i64 %listed, i64 %count) #0 {
start:
%list = getelementptr i32, ptr %table, i64 %listed
br label %head
head:
%i = phi i64 [0, %start], [%i1, %copy]
%more = icmp slt i64 %i, %count
br i1 %more, label %copy, label %end
copy:
%entry = getelementptr i32, ptr %list, i64 %i
%offset32 = load i32, ptr %entry
%offset = sext i32 %offset32 to i64
%from = getelementptr i8, ptr %scalars, i64 %offset
%number = load double, ptr %from
%out = getelementptr double, ptr %to, i64 %i
store double %number, ptr %out
%i1 = add i64 %i, 1
br label %head
end:
ret void
}

define internal void @merge(ptr %scalars, ptr %table, i64 %listed, i64 %count) #0 {
start:
%list = getelementptr i32, ptr %table, i64 %listed
br label %head
head:
%i = phi i64 [0, %start], [%i1, %add]
%pair = phi ptr [%list, %start], [%pair1, %add]
%more = icmp slt i64 %i, %count
br i1 %more, label %add, label %end
add:
%first = load i32, ptr %pair
%secondat = getelementptr i32, ptr %pair, i64 1
%second = load i32, ptr %secondat
%first64 = sext i32 %first to i64
%second64 = sext i32 %second to i64
%to = getelementptr i8, ptr %scalars, i64 %first64
%from = getelementptr i8, ptr %scalars, i64 %second64
%a = load double, ptr %to
%b = load double, ptr %from
%sum = fadd double %a, %b
store double %sum, ptr %to
%i1 = add i64 %i, 1
%pair1 = getelementptr i32, ptr %pair, i64 2
br label %head
end:
ret void
}"""
