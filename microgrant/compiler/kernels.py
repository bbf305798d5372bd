"""The formulas, sums and grids of a program as functions in LLVM IR, each of which is a loop.

With this module you can

- write the text of one:      cone_kernel("k0", cone, Kind(4), stride), SumKernel(…).function("k1")

A kernel runs over its instances. Where the numbers of an instance stand, in bytes, it reads in a
table of integers, which `microgrant.compiler.loops` writes: so a kernel serves all neurons of all
layers.

A block of rows are several vectors, whose lanes are rows. A table is read once for all of them.
Each vector of a block has a workspace of its own, where a register has the same place.

A row that is alone in its block would leave all lanes idle but one. So sums and grids have other
kernels for it, whose lanes are sums. They rely on all lanes of a number being the same, that of the
one row; and leave them so.

The arithmetic is that of `microgrant.compiler.llvm`.
"""

from __future__ import annotations

from .llvm import Kind, broadcast, formula, lanes_added, lanes_below
from .program import BOOLEAN
from .rolled import Cone, Sum

__all__ = ["ARGUMENTS", "Code", "GridKernel", "LoneGridKernel", "LoneSumKernel", "SumKernel"]
__all__ += ["cone_kernel", "copying_kernel"]

ARGUMENTS = (
    "ptr noalias %scalars, ptr noalias %vectors, ptr noalias %sums, ptr noalias %table, "
    "i64 %at, i64 %count, i64 %used, i64 %rows"
)


class Code:
    """The lines of a function."""

    def __init__(self, kind: Kind, stride: int) -> None:
        self.kind, self.stride = kind, stride
        self.lines: list[str] = []

    def add(self, *lines: str) -> None:
        """Append lines."""
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
        """Write a vector, or a scalar, to the workspace."""
        self.add(f"store {self.kind.number} {text}, ptr {self.at(base, offset)}")

    def splat(self, address: str) -> str:
        """The scalar of an address, in all lanes."""
        scalar = self.let(f"load double, ptr {address}")
        if self.kind.width == 1:
            return scalar
        name = f"%t{len(self.lines)}"
        self.add(*broadcast(self.kind, name, scalar))
        return name

    def truth(self, number: str) -> str:
        """A number of the workspace as a truth."""
        zero = self.kind.constant(0.0)
        return self.let(f"fcmp une {self.kind.number} {number}, {zero}")

    def number(self, truth: str) -> str:
        """A truth as a number: 1 or 0."""
        one, zero = self.kind.constant(1.0), self.kind.constant(0.0)
        t = self.kind.number
        return self.let(f"select {self.kind.truth} {truth}, {t} {one}, {t} {zero}")

    def function(self, name: str) -> str:
        """The text of the whole function."""
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
    names = [f"%s{place}" for place in range(len(cone.steps))]
    code.add(*formula(kind, cone.steps, names, filled))
    result = names[-1] if names else filled[0]
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
        return [
            f"%full = udiv i64 %rows, {w}",
            f"%partial = urem i64 %rows, {w}",
            *lanes_below(w, "%partial"),
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
        """As of a grid: a vector for each row of the tile."""
        return [str(r) for r in range(self.rows)]

    def beginning(self) -> list[str]:
        """As of a grid: there is nothing to leave out."""
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
        """As of a grid: lanes are not to be added up."""
        return f"%d{row}"
