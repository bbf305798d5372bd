"""The loops of a program as LLVM IR: short text, and long tables.

With this module you can

- write the text and its tables:      text, layout = translate_rolled(job, rolled(job), width)

Each formula is written once, as a function that runs over its instances: a kernel. Which operands
an instance has, and which kernels are called, and in what order, stands in a table of integers:
where the numbers are, in bytes. So a network of any depth is as little text as one layer of it.

A block of rows are several vectors, whose lanes are rows. A table is read once for all of them.
Each vector of a block has a workspace of its own, where a register has the same place.

The arithmetic is that of `microgrant.compiler.llvm`.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any

from .llvm import (
    CALLED,
    Kind,
    Layout,
    after_function,
    before_function,
    called_function,
    declarations,
    instruction,
    lanes_added,
    loop_function,
    run_function,
)
from .program import BOOLEAN, ROW, Job, Register, spelled
from .rolled import Call, Cone, Grid, Instance, Sum

__all__ = ["translate_rolled"]

BLOCK = 64  # rows that are gone through at once, or fewer, if their numbers are more than
CACHE = 1_000_000  # bytes, which processors have close at hand
# Sums that share the terms which they load: so many at once, and for what is left. Each has so many
# vectors, and all of them stay in the registers of a processor: it has 16, or twice as many.
TILES = {6: 2, 4: 2, 1: 4}
# The tiles of a grid: with 4 × 3 or, for vectors of 8, 4 × 6 of them, all sums stay there as well.
ROWS, COLUMNS = (4, 2, 1), {2: (3, 2, 1), 4: (3, 2, 1), 8: (6, 2, 1)}
LINE = 64  # bytes that come together from memory

ARGUMENTS = (
    "ptr noalias %scalars, ptr noalias %vectors, ptr noalias %sums, ptr noalias %table, "
    "i64 %at, i64 %count, i64 %used, i64 %rows"
)
SAME = "ptr %scalars, ptr %vectors, ptr %sums, ptr %table"


class Code:
    """The lines of a function."""

    def __init__(self, kind: Kind, stride: int) -> None:
        self.kind, self.stride = kind, stride
        self.lines: list[str] = []

    def add(self, *lines: str) -> None:
        self.lines += lines

    def let(self, expression: str) -> str:
        """A new name for what an expression computes."""
        name = f"%t{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        return name

    def entry(self, table: str, place: int) -> str:
        """A number of a table."""
        at = self.let(f"getelementptr i32, ptr {table}, i64 {place}")
        return self.let(f"sext i32 {self.let(f'load i32, ptr {at}')} to i64")

    def at(self, base: str, offset: str | int) -> str:
        """An address so many bytes further."""
        return self.let(f"getelementptr i8, ptr {base}, i64 {offset}")

    def load(self, base: str, offset: str | int) -> str:
        """A vector from the workspace, or a scalar where there are no others."""
        return self.let(f"load {self.kind.number}, ptr {self.at(base, offset)}")

    def store(self, text: str, base: str, offset: str | int) -> None:
        self.add(f"store {self.kind.number} {text}, ptr {self.at(base, offset)}")

    def splat(self, address: str) -> str:
        """The scalar of an address, in all lanes."""
        t, width = self.kind.number, self.kind.width
        scalar = self.let(f"load double, ptr {address}")
        if width == 1:
            return scalar
        one = self.let(f"insertelement {t} poison, double {scalar}, i64 0")
        return self.let(f"shufflevector {t} {one}, {t} poison, <{width} x i32> zeroinitializer")

    def truth(self, number: str) -> str:
        zero = self.kind.constant(0.0)
        return self.let(f"fcmp une {self.kind.number} {number}, {zero}")

    def number(self, truth: str) -> str:
        one, zero = self.kind.constant(1.0), self.kind.constant(0.0)
        t = self.kind.number
        return self.let(f"select {self.kind.truth} {truth}, {t} {one}, {t} {zero}")

    def computed(self, operation: Any, operands: Sequence[str], fused: bool) -> str:
        name = f"%t{len(self.lines)}"
        self.add(*instruction(self.kind, operation, name, operands, fused))
        return name

    def function(self, name: str) -> str:
        body = "\n".join(self.lines)
        return f"define internal void @{name}({ARGUMENTS}) #0 {{\n{body}\n}}"

    def begin(self) -> None:
        """Begin to go through the instances."""
        self.add(
            "start:",
            "%first = getelementptr i32, ptr %table, i64 %at",
            "br label %instance",
            "instance:",
            "%i = phi i64 [0, %start], [%i1, %next]",
            "%here = phi ptr [%first, %start], [%there, %next]",
        )

    def close(self, size: int, here: str = "%here") -> None:
        """Go on to the next instance, whose entries follow."""
        self.add(
            "next:",
            f"%there = getelementptr i32, ptr {here}, i64 {size}",
            "%i1 = add i64 %i, 1",
            "%others = icmp slt i64 %i1, %count",
            "br i1 %others, label %instance, label %end",
            "end:",
            "ret void",
        )


def cone_kernel(name: str, cone: Cone, kind: Kind, stride: int) -> str:
    """A formula; an instance is the place of its result, and then those of its holes."""
    code = Code(kind, stride)
    code.begin()
    out = code.entry("%here", 0)
    offsets = [code.entry("%here", 1 + hole) for hole in range(len(cone.holes))]
    filled = [
        code.splat(code.at("%scalars", offset)) if hole in "pP" else ""
        for hole, offset in zip(cone.holes, offsets, strict=True)
    ]
    code.add(
        "br label %vector",
        "vector:",
        "%v = phi i64 [0, %instance], [%v1, %vector]",
        "%base = phi ptr [%vectors, %instance], [%base1, %vector]",
    )
    for place, hole in enumerate(cone.holes):
        number = filled[place] or code.load("%base", offsets[place])
        filled[place] = code.truth(number) if hole in "PR" else number
    results: list[str] = []

    def text(operand: int | str) -> str:
        if isinstance(operand, str):
            return kind.constant(float(operand))
        return results[operand] if operand >= 0 else filled[-1 - operand]

    for operation, fused, *operands in cone.steps:
        results.append(code.computed(operation, list(map(text, operands)), fused))
    result = results[-1] if results else filled[0]
    if cone.steps and cone.steps[-1][0] in BOOLEAN:
        result = code.number(result)
    code.store(result, "%base", out)
    code.add(
        f"%base1 = getelementptr i8, ptr %base, i64 {stride}",
        "%v1 = add i64 %v, 1",
        "%more = icmp slt i64 %v1, %used",
        "br i1 %more, label %vector, label %next",
    )
    code.close(1 + len(cone.holes))
    return code.function(name)


class SumKernel(Code):
    """A sum, or a tile of sums with the same terms by other factors.

    An instance: how many terms there are, and where the table lists them; for products of scalars
    the distance between these, else where the other factors are listed; and for each sum of the
    tile its place, that of its start, and that of its first scalar.
    """

    def __init__(self, form: Sum, tile: int, kind: Kind, stride: int) -> None:
        super().__init__(kind, stride)
        self.form, self.tile = form, tile
        self.fused = " contract" if form.fused else ""
        self.begin()
        self.terms_in_all, first, self.second = (self.entry("%here", place) for place in range(3))
        self.outs, self.starts, scalars = (
            [self.entry("%here", 3 + 3 * k + place) for k in range(tile)] for place in range(3)
        )
        self.lists = [
            self.let(f"getelementptr i32, ptr %table, i64 {x}") for x in (first, self.second)
        ]
        self.scalars = [self.at("%scalars", x) for x in scalars] if form.terms == "pr" else []
        if form.start == "p":
            self.starts = [self.splat(self.at("%scalars", start)) for start in self.starts]
        left, base, before = "%used", "%vectors", "instance"
        for n in [1] if kind.width == 1 else [TILES[tile], 1]:
            self.chunks(n, left, base, before)
            left, base, before = f"%left{n}", f"%base{n}", f"rest{n}"
        self.add("br label %next")
        self.close(3 + 3 * tile)

    def chunks(self, n: int, left: str, base: str, before: str) -> None:
        """Sum up n vectors at once, while there are as many left."""
        t = self.kind.number
        self.add(
            f"br label %head{n}",
            f"head{n}:",
            f"%left{n} = phi i64 [{left}, %{before}], [%less{n}, %done{n}]",
            f"%base{n} = phi ptr [{base}, %{before}], [%base{n}n, %done{n}]",
            f"%enough{n} = icmp sge i64 %left{n}, {n}",
            f"br i1 %enough{n}, label %chunk{n}, label %rest{n}",
            f"chunk{n}:",
        )
        cells = [(k, v) for k in range(self.tile) for v in range(n)]
        starts = self.starts
        if self.form.start == "r":
            starts = [self.at(f"%base{n}", start) for start in starts]
        begun = [
            self.load(starts[k], v * self.stride) if self.form.start == "r" else starts[k]
            for k, v in cells
        ]
        self.add(
            f"br label %loop{n}",
            f"loop{n}:",
            f"%j{n} = phi i64 [0, %chunk{n}], [%j{n}n, %loop{n}]",
            f"%o{n} = phi i64 [0, %chunk{n}], [%o{n}n, %loop{n}]",
        )
        for (k, v), start in zip(cells, begun, strict=True):
            self.add(f"%s{n}.{k}.{v} = phi {t} [{start}, %chunk{n}], [%n{n}.{k}.{v}, %loop{n}]")
        self.terms(n)
        self.add(
            f"%j{n}n = add i64 %j{n}, 1",
            f"%o{n}n = add i64 %o{n}, {self.second}",
            f"%further{n} = icmp slt i64 %j{n}n, {self.terms_in_all}",
            f"br i1 %further{n}, label %loop{n}, label %done{n}",
            f"done{n}:",
        )
        outs = [self.at(f"%base{n}", out) for out in self.outs]
        for k, v in cells:
            self.store(f"%n{n}.{k}.{v}", outs[k], v * self.stride)
        self.add(
            f"%less{n} = sub i64 %left{n}, {n}",
            f"%base{n}n = getelementptr i8, ptr %base{n}, i64 {n * self.stride}",
            f"br label %head{n}",
            f"rest{n}:",
        )

    def terms(self, n: int) -> None:
        """Add a term to each sum, in n vectors."""
        t, terms = self.kind.number, self.next_of(0, n)
        others = self.next_of(1, n) if self.form.terms == "rr" else []
        for k in range(self.tile):
            if self.scalars:
                others = [self.splat(self.at(self.scalars[k], f"%o{n}"))] * n
            for v, term in enumerate(terms):
                if others:
                    term = self.let(f"fmul{self.fused} {t} {others[v]}, {term}")
                self.add(f"%n{n}.{k}.{v} = fadd{self.fused} {t} %s{n}.{k}.{v}, {term}")

    def next_of(self, place: int, n: int) -> list[str]:
        """What the next entry of a list stands for, in n vectors."""
        entry = self.let(f"getelementptr i32, ptr {self.lists[place]}, i64 %j{n}")
        offset = self.let(f"sext i32 {self.let(f'load i32, ptr {entry}')} to i64")
        base = self.at(f"%base{n}", offset)
        return [self.load(base, v * self.stride) for v in range(n)]


class GridKernel(Code):
    """A tile of a grid: the products of factors are added to sums over the rows.

    An instance: how many positions there are, where the sums are, and for each position the
    factors. The lanes of the last vector that hold no row are left out. The others are added up in
    the end, so that all sums are as few bytes as can be.
    """

    def __init__(self, rows: int, columns: int, kind: Kind, stride: int) -> None:
        super().__init__(kind, stride)
        self.rows, self.factors = rows, rows + columns
        self.cells = [f"{r}.{c}" for r in range(rows) for c in range(columns)]
        self.begin()
        self.lines[1:1] = self.mask()
        positions, sums = self.entry("%here", 0), self.entry("%here", 1)
        self.add(
            "%pairs = getelementptr i32, ptr %here, i64 2",
            "br label %position",
            "position:",
            "%k = phi i64 [0, %instance], [%k1, %positiondone]",
            "%pair = phi ptr [%pairs, %instance], [%pair1, %positiondone]",
        )
        self.phis("a", "[zeroinitializer, %instance], [%d{0}, %positiondone]")
        self.position()
        self.add(
            "%k1 = add i64 %k, 1",
            f"%pair1 = getelementptr i32, ptr %pair, i64 {self.factors}",
            f"%further = icmp slt i64 %k1, {positions}",
            "br i1 %further, label %position, label %stored",
            "stored:",
        )
        self.add_to(sums)
        self.add("br label %next")
        self.close(0, "%pair1")

    def mask(self) -> list[str]:
        """The lines that say how many vectors are full, and which lanes of the last one count."""
        w = self.kind.width
        lanes = ", ".join(f"i64 {lane}" for lane in range(w))
        return [
            f"%full = udiv i64 %rows, {w}",
            f"%partial = urem i64 %rows, {w}",
            f"%partial1 = insertelement <{w} x i64> poison, i64 %partial, i64 0",
            f"%partials = shufflevector <{w} x i64> %partial1, <{w} x i64> poison, "
            f"<{w} x i32> zeroinitializer",
            f"%mask = icmp ult <{w} x i64> <{lanes}>, %partials",
            "%some = icmp ne i64 %partial, 0",
            f"%lastoffset = mul i64 %full, {self.stride}",
            "%last = getelementptr i8, ptr %vectors, i64 %lastoffset",
        ]

    def phis(self, name: str, sources: str) -> None:
        """A name for each of the sums, by the way that led here."""
        self.add(*(f"%{name}{x} = phi {self.kind.number} {sources.format(x)}" for x in self.cells))

    def position(self) -> None:
        """Go through the vectors, and through the part of the last one."""
        offsets = [self.entry("%pair", place) for place in range(self.factors)]
        self.add(
            "br label %head",
            "head:",
            "%v = phi i64 [0, %position], [%v1, %vector]",
            "%base = phi ptr [%vectors, %position], [%base1, %vector]",
        )
        self.phis("b", "[%a{0}, %position], [%c{0}, %vector]")
        self.add("%more = icmp slt i64 %v, %full", "br i1 %more, label %vector, label %rest")
        self.add("vector:")
        self.products("%base", offsets, "c")
        self.add(
            "%v1 = add i64 %v, 1",
            f"%base1 = getelementptr i8, ptr %base, i64 {self.stride}",
            "br label %head",
            "rest:",
            "br i1 %some, label %masked, label %positiondone",
            "masked:",
        )
        self.products("%last", offsets, "f", masked=True)
        self.add("br label %positiondone", "positiondone:")
        self.phis("d", "[%b{0}, %rest], [%f{0}, %masked]")

    def products(self, base: str, offsets: Sequence[str], name: str, masked: bool = False) -> None:
        """Add to each sum the product of its factors; 0 times 0 in lanes that hold no row."""
        t, w = self.kind.number, self.kind.width
        loaded = [self.load(base, offset) for offset in offsets]
        if masked:
            loaded = [
                self.let(f"select <{w} x i1> %mask, {t} {x}, {t} zeroinitializer") for x in loaded
            ]
        pairs = [(row, column) for row in loaded[: self.rows] for column in loaded[self.rows :]]
        for x, (row, column) in zip(self.cells, pairs, strict=True):
            product = self.let(f"fmul contract {t} {row}, {column}")
            self.add(f"%{name}{x} = fadd contract {t} %b{x}, {product}")

    def add_to(self, sums: str) -> None:
        """Add up the lanes of each sum, and add that to what is in memory."""
        t, w = self.kind.number, self.kind.width
        to = self.at("%sums", sums)
        for start in range(0, len(self.cells), w):
            vectors = [f"%d{x}" for x in self.cells[start : start + w]]
            vectors += ["zeroinitializer"] * (w - len(vectors))
            lines, total = lanes_added(w, vectors, f"%x{start}")
            self.add(*lines)
            old = self.load(to, 8 * start)
            self.store(self.let(f"fadd {t} {old}, {total}"), to, 8 * start)


class Tables:
    """The text of the kernels that are needed, and the table that they run over."""

    def __init__(self, job: Job, stages: Sequence[list[Call]], width: int) -> None:
        self.job, self.width, self.stages = job, width, stages
        self.table = array("i")
        self.kernels: dict[tuple[Any, ...], int] = {}
        self.lists: dict[tuple[int, ...], int] = {}
        self.packed: list[int] = []
        self.merged: list[int] = []  # two places each: of parts of a sum
        self.one, self.nothing = job.program.constant(1.0), job.program.constant(-0.0)
        row = stages[ROW]
        given = (
            [self.one, *(x for x in job.outputs if x.stage != ROW)] if job.per_row else [self.one]
        )
        copies = [Instance(x, [x]) for x in {x.index: x for x in given}.values()]
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
            for tile in self.tiles_of(call.kernel) if isinstance(call.kernel, Grid) else ():
                means = [mean for line in tile.means for mean in line]
                for place, mean in enumerate(means, self.sums):
                    if self.scalar[mean.index] is None:
                        self.scalar[mean.index] = 8 * place
                    else:
                        self.merged += (self.scalar[mean.index], 8 * place)
                self.sums += -(-len(means) // self.width) * self.width  # the last may be idle
        self.first_parameter = self.sums
        self.first_constant = self.sums + self.job.parameters
        for x in self.job.registers:
            if x.operation == "parameter":
                self.scalar[x.index] = 8 * (self.first_parameter + x.operands[0])
        known = (self.one, self.nothing, *self.job.registers)
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

    def listed(self, entries: tuple[int, ...]) -> int:
        """Where a list stands; equal ones are there once."""
        if entries not in self.lists:
            self.lists[entries] = self.written(entries)
        return self.lists[entries]

    def stage(self, calls: Sequence[Call], rows: bool) -> list[tuple[int, int, int]]:
        """For each call its kernel, where its instances stand, and how many they are."""
        lines = []
        for call in calls:
            kernel = call.kernel
            if isinstance(kernel, Cone):
                at = self.written(self.entries(kernel, call.instances, rows))
                lines.append((self.kernel(kernel, rows), at, len(call.instances)))
            elif isinstance(kernel, Sum):
                lines += self.sums_of(kernel, call.instances, rows)
            else:
                lines += self.tiles(kernel)
        return lines

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

    def sums_of(
        self, form: Sum, instances: Sequence[Instance], rows: bool
    ) -> list[tuple[int, int, int]]:
        """The instances of a sum: tiles of those with the same terms, and then the others."""
        tiles: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}
        offset, offset_of_start = self.offsets("r", rows), self.offsets(form.start, rows)
        for register, (start, *terms), others in instances:
            first, second = 0, 0
            if form.terms == "pr":
                first, second = self.line([self.scalar[x.index] for x in terms])
                terms = list(others)
            elif others:
                second = self.listed(tuple([offset[x.index] for x in others]))
            listed = self.listed(tuple([offset[x.index] for x in terms]))
            places = offset[register.index], offset_of_start[start.index], first
            tiles.setdefault((len(terms), listed, second), []).append(places)
        found: dict[int, list[tuple[int, ...]]] = {tile: [] for tile in TILES}
        for key, sums in tiles.items():
            for begin, tile in cut(len(sums), (*TILES,) if form.terms == "pr" and rows else (1,)):
                found[tile].append((*key, *(x for s in sums[begin : begin + tile] for x in s)))
        return [
            (
                self.kernel(form, tile, rows),
                self.written(x for entry in entries for x in entry),
                len(entries),
            )
            for tile, entries in found.items()
            if entries
        ]

    def line(self, offsets: list[int]) -> tuple[int, int]:
        """Where scalars begin, and the distance between them; they are copied if they are not in a
        line."""
        first, step = offsets[0], offsets[1] - offsets[0]
        if step and offsets == list(range(first, first + len(offsets) * step, step)):
            return first, step
        at = self.scalars + len(self.packed)
        self.packed += offsets
        return 8 * at, 8

    def tiles_of(self, grid: Grid) -> Iterator[Grid]:
        """The tiles of a grid: each is a small grid."""
        for r, rows in cut(len(grid.rows), ROWS):
            for c, columns in cut(len(grid.columns), COLUMNS[self.width]):
                yield Grid(
                    grid.rows[r : r + rows],
                    grid.columns[c : c + columns],
                    [line[c : c + columns] for line in grid.means[r : r + rows]],
                )

    def tiles(self, grid: Grid) -> Iterator[tuple[int, int, int]]:
        """The instances of a grid: its tiles, by their sizes."""
        found: dict[tuple[int, int], list[list[int]]] = {}
        for tile in self.tiles_of(grid):
            entries = [len(grid.rows[0]), self.cell]
            cells = len(tile.rows) * len(tile.columns)
            self.cell += 8 * self.width * -(-cells // self.width)
            for position in zip(*tile.rows, *tile.columns, strict=True):
                entries += [self.vector[x.index] for x in position]
            found.setdefault((len(tile.rows), len(tile.columns)), []).append(entries)
        for size, tiles in found.items():
            at = self.written(x for entries in tiles for x in entries)
            yield self.kernel(*size, True), at, len(tiles)

    # --- The text -------------------------------------------------------------------------------

    def text(self) -> tuple[str, Layout]:
        """The functions, and what memory they need."""
        job, width = self.job, self.width
        self.cell = 0  # where the next sum of a tile is
        lines = [self.stage(calls, place == ROW) for place, calls in enumerate(self.stages)]
        offset = self.vector if job.per_row else self.scalar
        listed = self.written([offset[x.index] for x in job.outputs])
        halves = array("i", array("d", [x.operands[0] for x in self.constants]).tobytes())
        constants, packed = self.written(halves), self.written(self.packed)
        once, row, after = (
            CALLS.format(
                numbers="%vectors" if place == ROW else "%scalars",
                at=self.written(x for line in stage for x in line),
                count=len(stage),
                used="%used" if place == ROW else 1,
                rows="%count" if place == ROW else 1,
            )
            for place, stage in enumerate(lines)
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
            count=len(self.packed),
        )
        merge = MERGE.format(listed=self.written(self.merged), count=len(self.merged) // 2)
        results = GATHER.format(to="%out", listed=listed, count=len(job.outputs))
        ending = [merge, after] if job.per_row else [merge, after, results]
        outputs = len(job.outputs) if job.per_row else 0
        layout = Layout(
            width,
            self.scalars + len(self.packed),
            self.vectors * self.stride // (8 * width),
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
        if isinstance(kernel, Sum):
            return SumKernel(kernel, details[0], kind, self.stride).function(name)
        return GridKernel(kernel, details[0], kind, self.stride).function(name)

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
        found = {
            (name, self.width if rows else 1)
            for kernel, *_, rows in self.kernels
            if isinstance(kernel, Cone)
            for step in kernel.steps
            for name in spelled(step[0])
            if name in CALLED
        }
        return found | {(other, width) for name, width in found for other in CALLED[name]}


def translate_rolled(job: Job, stages: Sequence[list[Call]], width: int) -> tuple[str, Layout]:
    """The text of a program as loops, and the memory that it needs: as `llvm.translate` gives."""
    return Tables(job, stages, width).text()


def taken(call: Call) -> list[Register]:
    """What a call takes."""
    if isinstance(call.kernel, Grid):
        return [x for line in (*call.kernel.rows, *call.kernel.columns) for x in line]
    return [o for _, operands, others in call.instances for o in (*operands, *others)]


def cut(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each piece of a line begins, and its size: large ones, and small ones in the end."""
    start = 0
    for size in sizes:
        while count - start >= size:
            yield start, size
            start += size


CALLS = """call void @calls(
ptr %scalars, ptr {numbers}, ptr %sums, ptr %table, i64 {at}, i64 {count}, i64 {used}, i64 {rows})
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
