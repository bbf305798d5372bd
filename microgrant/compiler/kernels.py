"""The loops of a program as LLVM IR: short text, and long tables.

With this module you can

- write the text and its tables:      text, layout = translate_rolled(job, rolled(job), width)

Each formula is written once, as a function that runs over its instances: a kernel. Which operands
an instance has, and which kernels are called, and in what order, stands in a table of integers:
where the numbers are, in bytes. So a network of any depth is as little text as one layer of it.

A block of rows are several vectors, whose lanes are rows. A table is read once for all of them.
Each vector of a block has a workspace of its own, where a register has the same place.

A row that is alone in its block would leave all lanes idle but one. Where weights are shared, as by
the positions of a sequence, sums and grids have other kernels for it, whose lanes are sums. They
rely on all lanes of a number being the same, that of the one row; and leave them so.

The arithmetic is that of `microgrant.compiler.llvm`.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

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

    def entry(self, table: str, place: int | str) -> str:
        """A number of a table."""
        at = self.let(f"getelementptr i32, ptr {table}, i64 {place}")
        return self.let(f"sext i32 {self.let(f'load i32, ptr {at}')} to i64")

    def list_at(self, place: str) -> str:
        """The address of a list in the table."""
        return self.let(f"getelementptr i32, ptr %table, i64 {place}")

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

    An instance: how many terms there are, where the table lists them, and the distance between the
    scalars by which they are multiplied; and for each sum of the tile its place, that of its start,
    and that of its first scalar, or where its other factors are listed.

    most: how many vectors are summed up at once, where there are as many.
    """

    def __init__(self, form: Sum, tile: int, most: int, kind: Kind, stride: int) -> None:
        super().__init__(kind, stride)
        self.form, self.tile = form, tile
        self.fused = " contract" if form.fused else ""
        self.begin()
        self.terms_in_all, listed, self.distance = (self.entry("%here", x) for x in range(3))
        self.outs, self.starts, self.others = (
            [self.entry("%here", 3 + 3 * k + place) for k in range(tile)] for place in range(3)
        )
        self.listed = self.list_at(listed)
        if form.terms == "pr":
            self.others = [self.at("%scalars", first) for first in self.others]
        elif form.terms == "rr":
            self.others = [self.list_at(other) for other in self.others]
        if form.start == "p":
            self.starts = [self.splat(self.at("%scalars", start)) for start in self.starts]
        left, base, before = "%used", "%vectors", "instance"
        for n in [most, 1] if most > 1 else [1]:
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
            f"%o{n}n = add i64 %o{n}, {self.distance}",
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
        t, terms = self.kind.number, self.next_of(self.listed, n)
        for k, other in enumerate(self.others):
            if self.form.terms == "pr":
                others = [self.splat(self.at(other, f"%o{n}"))] * n
            elif self.form.terms == "rr":
                others = self.next_of(other, n)
            for v, term in enumerate(terms):
                if self.form.terms != "r":
                    term = self.let(f"fmul{self.fused} {t} {others[v]}, {term}")
                self.add(f"%n{n}.{k}.{v} = fadd{self.fused} {t} %s{n}.{k}.{v}, {term}")

    def next_of(self, listed: str, n: int) -> list[str]:
        """What the next entry of a list stands for, in n vectors."""
        base = self.at(f"%base{n}", self.entry(listed, f"%j{n}"))
        return [self.load(base, v * self.stride) for v in range(n)]


class LoneSumKernel(Code):
    """A tile of sums for one row alone: the lanes of so many vectors are sums.

    An instance: how many terms there are, and where the table lists them; where the starts of the
    sums stand side by side; where their first scalars do, and the distance to the next ones; and
    the places of the sums.

    copied: whether the scalars were copied to the workspace, to stand side by side.
    """

    def __init__(self, form: Sum, vectors: int, copied: bool, kind: Kind, stride: int) -> None:
        super().__init__(kind, stride)
        t, w, fused = kind.number, kind.width, " contract" if form.fused else ""
        self.begin()
        terms_in_all, first, starts, scalars, step = (self.entry("%here", x) for x in range(5))
        listed = self.list_at(first)
        base = self.at("%vectors" if copied else "%scalars", scalars)
        started = self.at("%vectors", starts)
        begun = [self.load(started, 8 * w * v) for v in range(vectors)]
        self.add(
            "br label %loop",
            "loop:",
            "%j = phi i64 [0, %instance], [%j1, %loop]",
            "%o = phi i64 [0, %instance], [%o1, %loop]",
        )
        for v, start in enumerate(begun):
            self.add(f"%s{v} = phi {t} [{start}, %instance], [%n{v}, %loop]")
        term = self.load("%vectors", self.entry(listed, "%j"))
        others = self.at(base, "%o")
        for v in range(vectors):
            other = self.let(f"load {t}, ptr {self.at(others, 8 * w * v)}, align 8")
            product = self.let(f"fmul{fused} {t} {other}, {term}")
            self.add(f"%n{v} = fadd{fused} {t} %s{v}, {product}")
        self.add(
            "%j1 = add i64 %j, 1",
            f"%o1 = add i64 %o, {step}",
            f"%further = icmp slt i64 %j1, {terms_in_all}",
            "br i1 %further, label %loop, label %done",
            "done:",
        )
        for place in range(vectors * w):
            v, lane = divmod(place, w)
            lanes = ", ".join([f"i32 {lane}"] * w)
            total = self.let(f"shufflevector {t} %n{v}, {t} poison, <{w} x i32> <{lanes}>")
            self.store(total, "%vectors", self.entry("%here", 5 + place))
        self.add("br label %next")
        self.close(5 + vectors * w)


def copying_kernel(name: str, offset: int) -> str:
    """Copies scalars to the workspace; an instance is where one stands."""
    return (
        f"define internal void @{name}({ARGUMENTS}) #0 {{\n"
        f"%to = getelementptr i8, ptr %vectors, i64 {offset}\n"
        "call void @gather(ptr %to, ptr %scalars, ptr %table, i64 %at, i64 %count)\nret void\n}"
    )


class GridKernel(Code):
    """A tile of a grid: the products of factors are added to sums over the rows.

    An instance: how many positions there are, where the sums are, the distance between two rows of
    them; and for each position the factors of the rows, and those of the columns.

    The lanes of the last vector that hold no row are left out. The others are added up in the end,
    so that all sums are as few bytes as can be.
    """

    def __init__(self, rows: int, kind: Kind, stride: int) -> None:
        super().__init__(kind, stride)
        self.rows, self.columns = rows, kind.width
        self.cells = self.names_of_cells()
        self.begin()
        self.lines[1:1] = self.beginning()
        positions, sums, distance = (self.entry("%here", place) for place in range(3))
        factors = rows + self.columns
        self.add(
            "%factors = getelementptr i32, ptr %here, i64 3",
            "br label %position",
            "position:",
            "%k = phi i64 [0, %instance], [%k1, %positiondone]",
            "%factor = phi ptr [%factors, %instance], [%factor1, %positiondone]",
        )
        self.phis("a", "[zeroinitializer, %instance], [%d{0}, %positiondone]")
        self.position([self.entry("%factor", place) for place in range(factors)])
        self.add(
            "%k1 = add i64 %k, 1",
            f"%factor1 = getelementptr i32, ptr %factor, i64 {factors}",
            f"%further = icmp slt i64 %k1, {positions}",
            "br i1 %further, label %position, label %stored",
            "stored:",
        )
        to = self.at("%sums", sums)
        for r in range(rows):
            total, old = self.total(r), self.load(to, 0)
            self.store(self.let(f"fadd {kind.number} {old}, {total}"), to, 0)
            to = self.at(to, distance)
        self.add("br label %next")
        self.close(0, "%factor1")

    def names_of_cells(self) -> list[str]:
        """The sums that are kept while the positions are gone through."""
        return [f"{r}.{c}" for c in range(self.columns) for r in range(self.rows)]

    def beginning(self) -> list[str]:
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

    def position(self, offsets: list[str]) -> None:
        """Go through the vectors, and through the part of the last one."""
        self.add(
            "br label %head",
            "head:",
            "%v = phi i64 [0, %position], [%v1, %vector]",
            "%base = phi ptr [%vectors, %position], [%base1, %vector]",
        )
        self.phis("b", "[%a{0}, %position], [%c{0}, %vector]")
        self.add("%more = icmp slt i64 %v, %full", "br i1 %more, label %vector, label %rest")
        self.add("vector:")
        self.products([self.load("%base", offset) for offset in offsets], "b", "c")
        self.add(
            "%v1 = add i64 %v, 1",
            f"%base1 = getelementptr i8, ptr %base, i64 {self.stride}",
            "br label %head",
            "rest:",
            "br i1 %some, label %masked, label %positiondone",
            "masked:",
        )
        mask = f"select <{self.kind.width} x i1> %mask, {self.kind.number}"
        loaded = [self.load("%last", offset) for offset in offsets]
        # 0 times 0 in lanes that hold no row
        loaded = [self.let(f"{mask} {x}, {self.kind.number} zeroinitializer") for x in loaded]
        self.products(loaded, "b", "f")
        self.add("br label %positiondone", "positiondone:")
        self.phis("d", "[%b{0}, %rest], [%f{0}, %masked]")

    def products(self, factors: list[str], before: str, after: str) -> None:
        """Add to each sum the product of its factors: of a row, and of a column."""
        t = self.kind.number
        pairs = [(row, column) for column in factors[self.rows :] for row in factors[: self.rows]]
        for x, (row, column) in zip(self.cells, pairs, strict=True):
            product = self.let(f"fmul contract {t} {row}, {column}")
            self.add(f"%{after}{x} = fadd contract {t} %{before}{x}, {product}")

    def total(self, row: int) -> str:
        """What is to be added to the sums of a row: the lanes of each, added up."""
        vectors = [f"%d{row}.{c}" for c in range(self.columns)]
        lines, total = lanes_added(self.kind.width, vectors, f"%x{row}")
        self.add(*lines)
        return total


class LoneGridKernel(GridKernel):
    """A tile of a grid for one row alone: the lanes of a sum are columns."""

    def names_of_cells(self) -> list[str]:
        return [str(r) for r in range(self.rows)]

    def beginning(self) -> list[str]:
        return []

    def position(self, offsets: list[str]) -> None:
        """Take a lane of each column, all of which are the one row."""
        t, w = self.kind.number, self.kind.width
        loaded = [self.load("%vectors", offset) for offset in offsets]
        factors, (column, *others) = loaded[: self.rows], loaded[self.rows :]
        for lane, other in enumerate(others, 1):
            mask = ", ".join(f"i32 {x + w * (x == lane)}" for x in range(w))
            column = self.let(f"shufflevector {t} {column}, {t} {other}, <{w} x i32> <{mask}>")
        self.products([*factors, column], "a", "d")
        self.add("br label %positiondone", "positiondone:")

    def total(self, row: int) -> str:
        return f"%d{row}"


class Tables:
    """The text of the kernels that are needed, and the table that they run over."""

    def __init__(self, job: Job, stages: Sequence[list[Call]], width: int) -> None:
        self.job, self.width, self.stages = job, width, stages
        self.table = array("i")
        self.kernels: dict[tuple[Any, ...], int] = {}
        self.lists: dict[tuple[int, ...], int] = {}
        self.packed: list[int] = []
        self.packs: dict[Indices, int] = {}  # where some of these stand together
        self.copied: list[int] = []  # scalars, for one row alone
        self.copies: dict[Indices, int] = {}  # where some of these stand together
        self.uses = Counter(
            first_scalars(x)
            for call in stages[ROW]
            if isinstance(call.kernel, Sum) and call.kernel.terms == "pr"
            for x in call.instances
        )
        self.merged: list[int] = []  # two places each: of parts of a sum
        self.one, self.nothing = job.program.constant(1.0), job.program.constant(-0.0)
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

    def copy(self, offsets: tuple[int, ...]) -> int:
        """Where in the workspace scalars stand side by side, for one row alone."""
        if offsets not in self.copies:
            self.copies[offsets] = self.vectors * self.stride + 8 * len(self.copied)
            self.copied += offsets
        return self.copies[offsets]

    def line(self, offsets: tuple[int, ...]) -> tuple[int, int]:
        """Where scalars begin, and the distance between them; they are copied if they are not in a
        line."""
        first, step = offsets[0], offsets[1] - offsets[0]
        if step and offsets == tuple(range(first, first + len(offsets) * step, step)):
            return first, step
        if offsets not in self.packs:
            self.packs[offsets] = 8 * (self.scalars + len(self.packed))
            self.packed += offsets
        return self.packs[offsets], 8

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
        if self.copied:
            line = self.kernel("copy", True), self.written(self.copied), len(self.copied)
            stages[ROW][1].insert(0, line)
        offset = self.vector if job.per_row else self.scalar
        listed = self.written([offset[x.index] for x in job.outputs])
        halves = array("i", array("d", [x.operands[0] for x in self.constants]).tobytes())
        constants, packed = self.written(halves), self.written(self.packed)
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
            count=len(self.packed),
        )
        merge = MERGE.format(listed=self.written(self.merged), count=len(self.merged) // 2)
        results = GATHER.format(to="%out", listed=listed, count=len(job.outputs))
        ending = [merge, after] if job.per_row else [merge, after, results]
        outputs = len(job.outputs) if job.per_row else 0
        layout = Layout(
            width,
            self.scalars + len(self.packed),
            self.vectors * self.stride // (8 * width) + -(-len(self.copied) // width),
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
