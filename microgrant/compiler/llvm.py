"""A program as LLVM IR, in a straight line: the text from which llvmlite makes native code.

With this module you can

- write the text:      text, layout = translate(job, width)

Each scalar of the recorded graph becomes one vector register whose lanes are rows: the program of
one example runs over 2, 4 or 8 of them at once. What is the same for all rows stays a scalar. The
instructions are cut into functions of a few hundred, since compilers take more than twice as long
for a function of twice the size; numbers that outlive their function are kept in a workspace.
What repeats itself is shorter as the loops of `microgrant.compiler.loops`, which are made of the
same instructions.

The arithmetic is that of IEEE 754, without any of the liberties called fast-math. Only in the
backward pass may a product be added without being rounded first (a fused multiply-add): a gradient
is never compared with anything, so that nothing can turn on the difference.

LLVM: Lattner and Adve, "LLVM: A compilation framework for lifelong program analysis and
transformation", CGO 2004; https://llvm.org/docs/LangRef.html describes the text.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..ops.table import OPERATIONS
from .program import (
    BOOLEAN,
    ONCE,
    ROW,
    SUMS,
    Instruction,
    Job,
    Macro,
    Program,
    Register,
    length,
    needed,
    spelled,
)
from .tables import Buffer

__all__ = ["ALIGNMENT", "PRIMITIVES", "Layout", "translate"]

INSTRUCTIONS = {
    name: operation.native
    for name, operation in OPERATIONS.items()
    if operation.native and isinstance(operation.native, str)
} | {"round": "llvm.rint", "copysign": "llvm.copysign", "fmod": "frem"}
# Made of other operations like the rest, but called: their text is long. Some call others in turn.
CALLED: dict[str, tuple[str, ...]] = {
    "atan2": (),
    "erf": ("erfc", "exp"),
    "erfc": ("exp",),
    "exp": (),
    "expm1": (),
    "log": (),
    "log1p": ("log",),
}
PRIMITIVES = frozenset({*INSTRUCTIONS, *CALLED})
TWO_OPERANDS = ("llvm.pow", "llvm.copysign")
ALIGNMENT = 64  # of the memory, in bytes: the size of the longest vectors
# Instructions in a function: long ones run a little faster, but take more than their share of time
# to compile.
SHORT, LONG, LARGE_PROGRAM = 200, 2_000, 5_000
FAST = frozenset({"fadd", "fsub", "fmul"})  # what may be fused

ORDERED = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "une"}

# Adding it to a small whole number leaves that number in the last bits of the sum.
ALIGN = 1.5 * 2.0**52
ONE_BITS, FRACTION_BITS, ALIGN_BITS = 0x3FF << 52, (1 << 52) - 1, 0x433 << 52

MEMORY = (
    "ptr noalias %parameters, ptr noalias %scalars, ptr noalias %vectors, ptr noalias %sums, "
    "ptr noalias %table"
)
PASSED = "ptr %parameters, ptr %scalars, ptr %vectors, ptr %sums, ptr %table"


@dataclass(frozen=True)
class Layout:
    """How much memory a translated program needs: so many scalars, vectors and sums of vectors.

    width: how many numbers a vector holds.
    instructions: how many instructions it has.
    table: what it looks up: a list of integers.
    """

    width: int
    scalars: int
    vectors: int
    sums: int
    instructions: int
    table: Buffer = field(default_factory=lambda: array("i"))

    @property
    def first_vector(self) -> int:
        """Where the vectors begin, in bytes: after the scalars, and aligned."""
        return -(-8 * self.scalars // ALIGNMENT) * ALIGNMENT

    @property
    def first_sum(self) -> int:
        """Where the sums begin, in bytes: after the vectors, and aligned."""
        return self.first_vector + -(-8 * self.width * self.vectors // ALIGNMENT) * ALIGNMENT

    @property
    def bytes_of_sums(self) -> int:
        """How many bytes the sums take."""
        return 8 * self.width * self.sums


class Kind:
    """Scalars, or vectors of them: how a type is spelled."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.suffix = f"v{width}f64" if width > 1 else "f64"
        self.number, self.whole, self.truth = (
            f"<{width} x {scalar}>" if width > 1 else scalar for scalar in ("double", "i64", "i1")
        )

    def constant(self, number: float) -> str:
        return self.repeated("double", "0x" + struct.pack(">d", number).hex().upper())

    def bits(self, pattern: int) -> str:
        return self.repeated("i64", str(pattern))

    def repeated(self, scalar: str, text: str) -> str:
        return text if self.width == 1 else f"splat ({scalar} {text})"


def instruction(
    kind: Kind, operation: Instruction, out: str, operands: Sequence[str], fused: bool
) -> Iterator[str]:
    """The lines that compute the result of an operation, under the name `out`."""
    t = kind.number
    if isinstance(operation, Macro):
        names = [f"{out}.{place}" for place in range(len(operation.steps) - 1)]
        yield from formula(kind, operation.steps, [*names, out], operands, fused)
    elif operation in SUMS:
        yield from added(kind, out, operands, products=len(SUMS[operation]) == 2, fused=fused)
    elif operation in ORDERED:
        yield f"{out} = fcmp {ORDERED[operation]} {t} {operands[0]}, {operands[1]}"
    elif operation in ("and", "or"):
        yield f"{out} = {operation} {kind.truth} {operands[0]}, {operands[1]}"
    elif operation == "not":
        yield f"{out} = xor {kind.truth} {operands[0]}, {kind.repeated('i1', 'true')}"
    elif operation == "where":
        condition, yes, no = operands
        yield f"{out} = select {kind.truth} {condition}, {t} {yes}, {t} {no}"
    elif operation in PRIMITIVES:
        native = INSTRUCTIONS.get(operation, operation)
        if operation in CALLED or native.startswith("llvm."):
            arguments = ", ".join(f"{t} {x}" for x in operands)
            yield f"{out} = call {t} @{native}.{kind.suffix}({arguments})"
        else:
            flag = " contract" if fused and native in FAST else ""
            yield f"{out} = {native}{flag} {t} {', '.join(operands)}"
    else:
        yield from layout_of_float(kind, str(operation), out, operands[0])


def formula(
    kind: Kind,
    steps: Sequence[tuple[Any, ...]],
    names: Sequence[str],
    operands: Sequence[str],
    fused: bool = True,
) -> Iterator[str]:
    """The lines of steps as a `Macro` has them, under these names."""

    def text(operand: int | str) -> str:
        if isinstance(operand, str):
            return kind.constant(float(operand))
        return names[operand] if operand >= 0 else operands[-1 - operand]

    for name, (operation, may, *taken) in zip(names, steps, strict=True):
        yield from instruction(kind, operation, name, list(map(text, taken)), fused and may)


def added(
    kind: Kind, out: str, operands: Sequence[str], products: bool, fused: bool
) -> Iterator[str]:
    """The lines of a sum."""
    t, flag = kind.number, " contract" if fused else ""
    total, *terms = operands
    count = len(terms) // 2 if products else len(terms)
    for place, term in enumerate(terms[:count]):
        if products:
            yield f"{out}.p{place} = fmul{flag} {t} {term}, {terms[count + place]}"
            term = f"{out}.p{place}"
        name = out if place == count - 1 else f"{out}.{place}"
        yield f"{name} = fadd{flag} {t} {total}, {term}"
        total = name


def layout_of_float(kind: Kind, operation: str, out: str, x: str) -> Iterator[str]:
    """What `microgrant.ops.vectors` asks of the bits of a float."""
    t, i = kind.number, kind.whole
    if operation == "power_of_two":
        yield f"{out}a = fadd {t} {x}, {kind.constant(ALIGN)}"
        yield f"{out}b = bitcast {t} {out}a to {i}"
        yield f"{out}c = shl {i} {out}b, {kind.bits(52)}"
        yield f"{out}d = add {i} {out}c, {kind.bits(ONE_BITS)}"
    elif operation == "exponent":
        yield f"{out}a = bitcast {t} {x} to {i}"
        yield f"{out}b = lshr {i} {out}a, {kind.bits(52)}"
        yield f"{out}c = or {i} {out}b, {kind.bits(ALIGN_BITS)}"
        yield f"{out}e = bitcast {i} {out}c to {t}"
        yield f"{out} = fsub {t} {out}e, {kind.constant(2.0**52 + 1023)}"
        return
    elif operation == "mantissa":
        yield f"{out}a = bitcast {t} {x} to {i}"
        yield f"{out}b = and {i} {out}a, {kind.bits(FRACTION_BITS)}"
        yield f"{out}d = or {i} {out}b, {kind.bits(ONE_BITS)}"
    else:
        raise NotImplementedError(f"native code for the operation {operation!r}")
    yield f"{out} = bitcast {i} {out}d to {t}"


@lru_cache(maxsize=64)
def called_function(name: str, width: int) -> str:
    """The text of exp and its like, from the same rule that the table has for them.

    Its constants are in memory, from where an instruction takes its operand; as part of the text
    each would be copied into a register first.
    """
    kind = Kind(width)
    t, table = kind.number, f"@{name}.constants.{kind.suffix}"
    program = Program(PRIMITIVES)
    operands = [program.leaf("parameter", place) for place in range(OPERATIONS[name].arity)]
    result = program.expanded(name, *operands)
    given = ", ".join(f"{t} %x{x.index}" for x in operands)
    lines = [f"define internal {t} @{name}.{kind.suffix}({given}) #0 {{"]
    names = {x.index: f"%x{x.index}" for x in operands}
    constants: list[str] = []
    for register in needed([result]):
        if register.operation == "constant":
            out = names[register.index] = f"%r{register.index}"
            lines.append(f"{out}p = getelementptr {t}, ptr {table}, i64 {len(constants)}")
            lines.append(f"{out} = load {t}, ptr {out}p")
            constants.append(f"{t} {kind.constant(register.operands[0])}")
    lines += instructions(kind, [result], names, fused=True)
    lines += [f"ret {t} {names[result.index]}", "}"]
    listed = f"{table} = internal constant [{len(constants)} x {t}] [{', '.join(constants)}]"
    return "\n".join([listed, *lines])


def instructions(
    kind: Kind, results: Sequence[Register], names: dict[int, str], fused: bool
) -> list[str]:
    """The lines that compute registers of other ones, whose names are known; theirs come to it."""
    lines: list[str] = []
    for register in needed(results):
        if register.index in names:
            continue
        if register.operation == "constant":
            names[register.index] = kind.constant(register.operands[0])
        else:
            names[register.index] = f"%r{register.index}"
            used = [names[o.index] for o in register.operands]
            lines += instruction(kind, register.operation, names[register.index], used, fused)
    return lines


def broadcast(kind: Kind, name: str, scalar: str) -> list[str]:
    """The lines that make a vector of one number."""
    t = kind.number
    if kind.width == 1:  # another name for it: to cast a number to what it is does nothing
        return [f"{name} = bitcast double {scalar} to double"]
    return [
        f"{name}i = insertelement {t} poison, double {scalar}, i64 0",
        f"{name} = shufflevector {t} {name}i, {t} poison, <{kind.width} x i32> zeroinitializer",
    ]


def lanes_below(width: int, count: str) -> list[str]:
    """The lines that make %mask: true for so many lanes, and false for those after them."""
    t, lanes = f"<{width} x i64>", ", ".join(f"i64 {lane}" for lane in range(width))
    return [
        f"%mask1 = insertelement {t} poison, i64 {count}, i64 0",
        f"%masks = shufflevector {t} %mask1, {t} poison, <{width} x i32> zeroinitializer",
        f"%mask = icmp ult {t} <{lanes}>, %masks",
    ]


def called_by(computed: Iterable[tuple[Instruction, int]]) -> set[tuple[str, int]]:
    """Which of the functions in `CALLED` there have to be, of what width."""
    found = {(name, width) for x, width in computed for name in spelled(x) if name in CALLED}
    return found | {(other, width) for name, width in found for other in CALLED[name]}


class Part:
    """A function under construction, all of it on vectors or all on scalars."""

    def __init__(self, writer: Writer, name: str, kind: Kind) -> None:
        self.writer, self.name, self.kind = writer, name, kind
        self.lines: list[str] = []
        self.names: dict[int, str] = {}

    def use(self, register: Register) -> str:
        """The text of an operand: a constant, a name known in this part, or one loaded now."""
        if register.operation == "constant":
            return self.kind.constant(register.operands[0])
        if register.index not in self.names:
            self.names[register.index] = self.loaded(register)
        return self.names[register.index]

    def loaded(self, register: Register) -> str:
        name, lines = f"%r{register.index}", self.lines
        boolean = register.operation in BOOLEAN
        number = f"{name}n" if boolean else name
        if register.stage == ROW:
            slot = self.writer.vector_slot[register.index]
            lines.append(f"{number}p = getelementptr {self.kind.number}, ptr %vectors, i64 {slot}")
            lines.append(f"{number} = load {self.kind.number}, ptr {number}p")
        else:
            array, slot = self.writer.scalar_place(register)
            lines.append(f"{number}p = getelementptr double, ptr %{array}, i64 {slot}")
            if self.kind.width == 1:
                lines.append(f"{number} = load double, ptr {number}p")
            else:
                lines.append(f"{number}s = load double, ptr {number}p, !invariant.load !0")
                lines += broadcast(self.kind, number, f"{number}s")
        if boolean:
            zero = self.kind.constant(0.0)
            lines.append(f"{name} = fcmp une {self.kind.number} {number}, {zero}")
        return name

    def compute(self, register: Register, fused: bool) -> None:
        operands, name = [self.use(x) for x in register.operands], f"%r{register.index}"
        self.lines += instruction(self.kind, register.operation, name, operands, fused)
        self.names[register.index] = name

    def store(self, register: Register, array: str, slot: int, tag: str) -> None:
        """Keep a number for later parts, or hand it out."""
        t, text = self.kind.number, self.use(register)
        if register.operation in BOOLEAN:
            one, zero = self.kind.constant(1.0), self.kind.constant(0.0)
            self.lines.append(f"{tag}n = select {self.kind.truth} {text}, {t} {one}, {t} {zero}")
            text = f"{tag}n"
        self.lines.append(f"{tag}p = getelementptr {t}, ptr %{array}, i64 {slot}")
        self.lines.append(f"store {t} {text}, ptr {tag}p")

    def add_to_sum(self, register: Register, slot: int) -> None:
        """Add the lanes that hold a row to the sum of a mean.

        Those that hold none add 0. To leave their sums alone would be a masked store, which is slow
        on processors without AVX-512.
        """
        t, tag, text = self.kind.number, f"%m{slot}", self.use(register.operands[0])
        self.lines += [
            f"{tag}x = select {self.kind.truth} %mask, {t} {text}, {t} {self.kind.constant(0.0)}",
            f"{tag}p = getelementptr {t}, ptr %sums, i64 {slot}",
            f"{tag}o = load {t}, ptr {tag}p",
            f"{tag}s = fadd contract {t} {tag}o, {tag}x",
            f"store {t} {tag}s, ptr {tag}p",
        ]

    def text(self) -> str:
        head = []
        if self.kind.width > 1:
            head = lanes_below(self.kind.width, "%count")
        body = "\n".join([*head, *self.lines])
        return (
            f"define internal void @{self.name}({MEMORY}, ptr noalias %out, i64 %count) #0 {{\n"
            f"{body}\nret void\n}}"
        )


class Writer:
    """The whole text: parts for each stage, and the functions that run them over the rows."""

    def __init__(self, job: Job, width: int) -> None:
        self.job, self.forward, self.outputs = job, job.program.forward, job.outputs
        self.inputs, self.per_row = job.inputs, job.per_row
        self.scalar, self.vector = Kind(1), Kind(width)
        used = job.registers
        self.computed = [x for x in used if not x.leaf]
        # Means stand first among the scalars, so that a loop can fill them in.
        self.means = [x.index for x in used if x.operation == "mean"]
        self.scalar_slot = {index: slot for slot, index in enumerate(self.means)}
        self.sums = -(-len(self.means) // width) * width  # in whole vectors; the last may idle
        self.scalars = self.sums
        # Inputs stand first among the vectors, and the results of a row follow them.
        self.vector_slot = {x.index: x.operands[0] for x in used if x.operation == "input"}
        self.vectors = job.inputs + (len(job.outputs) if job.per_row else 0)
        self.free: list[int] = []
        self.table = array("i")  # where the results of a row are, in bytes
        self.part_size = LONG if job.instructions < LARGE_PROGRAM else SHORT
        self.crossing = {
            operand.index
            for x in self.computed
            if x.stage != ONCE
            for operand in x.operands
            if operand.stage != ROW
        } | {x.index for x in job.outputs}

    def scalar_place(self, register: Register) -> tuple[str, int]:
        """The array, and the place in it, of a number that is the same for all rows."""
        if register.operation == "parameter":
            return "parameters", register.operands[0]
        if register.index not in self.scalar_slot:
            self.scalar_slot[register.index] = self.scalars
            self.scalars += 1
        return "scalars", self.scalar_slot[register.index]

    def stage(self, name: str, kind: Kind, registers: Sequence[Register]) -> list[Part]:
        """The parts of one stage: cut where they are full, and before the backward pass."""
        first = bisect_left([x.index for x in registers], self.forward)
        cuts = [
            cut
            for half in (registers[:first], registers[first:])
            for cut in pieces(half, self.part_size)
        ]
        last_use = {
            operand.index: place
            for place, cut in enumerate(cuts)
            for register in cut
            for operand in register.operands
        }
        ending: dict[int, list[int]] = {}
        parts = []
        for place, cut in enumerate(cuts):
            part = Part(self, f"{name}{place}", kind)
            for register in cut:
                if register.operation == "mean":
                    part.add_to_sum(register, self.scalar_slot[register.index])
                    continue
                part.compute(register, fused=register.index >= self.forward)
                last = last_use.get(register.index, -1)
                if kind is self.vector and last > place:
                    slot = self.free_vector()
                    self.vector_slot[register.index] = slot
                    ending.setdefault(last, []).append(slot)
                    part.store(register, "vectors", slot, f"%k{register.index}")
                elif kind is self.scalar and (last > place or register.index in self.crossing):
                    part.store(register, *self.scalar_place(register), f"%k{register.index}")
            if self.per_row and kind is self.vector:
                here = {register.index for register in cut}
                self.results(part, [x for x in enumerate(self.outputs) if x[1].index in here])
            parts.append(part)
            self.free += ending.pop(place, [])
        return parts

    def called(self) -> set[tuple[str, int]]:
        """Which of the functions in `CALLED` there have to be, for scalars and for vectors."""
        return called_by(
            (x.operation, self.vector.width if x.stage == ROW else 1) for x in self.computed
        )

    def free_vector(self) -> int:
        """A place of the workspace that nothing needs any more, or a new one."""
        if self.free:
            return self.free.pop()
        self.vectors += 1
        return self.vectors - 1

    def results(self, part: Part, outputs: Iterable[tuple[int, Register]]) -> None:
        """Hand out results; those of rows by way of the workspace."""
        array, first = ("vectors", self.inputs) if self.per_row else ("out", 0)
        for place, register in outputs:
            part.store(register, array, first + place, f"%o{place}")

    def handing_out(self) -> list[Part]:
        """The parts that hand out what no row computes."""
        kind = self.vector if self.per_row else self.scalar
        left = [
            (place, x)
            for place, x in enumerate(self.outputs)
            if not self.per_row or x.leaf or x.stage != ROW
        ]
        parts = []
        for start in range(0, len(left), self.part_size):
            part = Part(self, f"result{start}", kind)
            self.results(part, left[start : start + self.part_size])
            parts.append(part)
        return parts

    def text(self) -> str:
        """The functions, but for `RUN`."""
        kinds = (self.scalar, self.vector, self.scalar)
        once, row, after = map(self.stage, ("once", "row", "after"), kinds, self.job.stages)
        (row if self.per_row else after).extend(self.handing_out())
        width, size = self.vector.width, 8 * self.vector.width
        if self.per_row:
            places = range(self.inputs, self.inputs + len(self.outputs))
            self.table.extend(size * place for place in places)
        return "\n\n".join(
            [
                *declarations(width),
                *(called_function(name, lanes) for name, lanes in sorted(self.called())),
                *(part.text() for part in (*once, *row, *after)),
                before_function(calls(once)),
                loop_function(
                    width,
                    1,
                    size * self.vectors,
                    self.inputs,
                    len(self.table),
                    0,
                    calls(row, "%count"),
                ),
                after_function(width, self.sums, calls(after)),
            ]
        )


def pieces(registers: Sequence[Register], size: int) -> Iterator[list[Register]]:
    """The registers in lists that stand for so many instructions, or a few more."""
    piece, count = list[Register](), 0
    for x in registers:
        piece.append(x)
        count += length(x)
        if count >= size:
            yield piece
            piece, count = [], 0
    if piece:
        yield piece


def calls(parts: Sequence[Part], count: str = "0") -> str:
    return "\n".join(f"call void @{part.name}({PASSED}, ptr %out, i64 {count})" for part in parts)


def before_function(calls: str) -> str:
    """The function that computes what is the same for all rows."""
    return f"define void @before({MEMORY}, ptr noalias %out) #0 {{\n{calls}\nret void\n}}"


def loop_function(
    width: int, vectors: int, stride: int, columns: int, outputs: int, listed: int, calls: str
) -> str:
    """The function that runs over the rows from %begin to %end, a block of them at once.

    vectors: how many there are in a block; `stride`: from one to the next, in bytes.
    outputs: how many there are of each row; where they are, the table says from `listed` on.
    """
    vector = Kind(width).number
    rows: list[str] = []
    gather: list[str] = []
    for lane in range(width):
        # Lanes beyond the last row compute the last one again, and are left out of the sums.
        rows += [
            f"%i{lane} = add i64 %therow, {lane}",
            f"%c{lane} = icmp slt i64 %i{lane}, %end",
            f"%j{lane} = select i1 %c{lane}, i64 %i{lane}, i64 %last",
            f"%q{lane} = mul i64 %j{lane}, {columns}",
            f"%x{lane} = getelementptr double, ptr %rows, i64 %q{lane}",
        ]
        before = "poison" if lane == 0 else f"%g{lane - 1}"
        gather += [
            f"%a{lane} = getelementptr double, ptr %x{lane}, i64 %column",
            f"%l{lane} = load double, ptr %a{lane}",
            f"%g{lane} = insertelement {vector} {before}, double %l{lane}, i64 {lane}",
        ]
    scattering = SCATTER.format(width=width, stride=stride, outputs=outputs, listed=listed)
    return LOOP.format(
        memory=MEMORY,
        rows="\n".join(rows),
        gather="\n".join(gather),
        vector=vector,
        width=width,
        block=vectors * width,
        stride=stride,
        columns=columns,
        last=f"%g{width - 1}",
        calls=calls,
        scatter=scattering if outputs else "",
    )


def lanes_added(width: int, vectors: Sequence[str], name: str = "%x") -> tuple[list[str], str]:
    """The lines that make a vector of the totals of as many vectors as it has lanes; its name.

    Neighbours are added, then their neighbours, until there is one number of each vector. Two
    vectors share one as soon as half of its lanes will do.
    """
    t, totals, distance = Kind(width).number, list(vectors), 1
    lines: list[str] = []
    while len(totals) > 1:
        own = [lane + width * bool(lane & distance) for lane in range(width)]  # of x, or of y
        masks = [
            ", ".join(f"i32 {lane}" for lane in side) for side in (own, [x ^ distance for x in own])
        ]
        added = []
        for x, y in zip(totals[::2], totals[1::2], strict=True):
            total = f"{name}.{len(lines)}"
            for part, mask in zip("lr", masks, strict=True):
                lines.append(
                    f"{total}{part} = shufflevector {t} {x}, {t} {y}, <{width} x i32> <{mask}>"
                )
            lines.append(f"{total} = fadd {t} {total}l, {total}r")
            added.append(total)
        totals, distance = added, 2 * distance
    return lines, totals[0]


def after_function(width: int, sums: int, calls: str, lanes: bool = True) -> str:
    """The function that divides the sums by the number of rows, and does what is left.

    lanes: whether each sum still is a vector, whose lanes are to be added up.
    """
    t = Kind(width).number
    starts, loads = [], []
    for k in range(width if lanes else 1):
        starts.append(f"%v{k} = phi {t} [zeroinitializer, %head], [%w{k}, %adding]")
        loads += [
            f"%o{k} = add i64 %offset1, {k}",
            f"%p{k} = getelementptr {t if lanes else 'double'}, ptr %sums, i64 %o{k}",
            f"%u{k} = load {t}, ptr %p{k}",
            f"%w{k} = fadd {t} %v{k}, %u{k}",
        ]
    adding, total = lanes_added(width, [f"%v{k}" for k in range(len(starts))])
    return END.format(
        memory=MEMORY,
        vector=t,
        width=width,
        starts="\n".join(starts),
        loads="\n".join(loads),
        adding="\n".join(adding),
        total=total,
        sums=sums,
        calls=calls,
    )


# For each block of rows: gather the columns into vectors, run the parts, scatter the results, if
# there are any of each row.
LOOP = """define void @loop(
{memory}, ptr noalias %rows, i64 %begin, i64 %end, ptr noalias %out) #0 {{
start:
%last = sub i64 %end, 1
br label %head
head:
%row = phi i64 [%begin, %start], [%following, %next]
%more = icmp slt i64 %row, %end
br i1 %more, label %block, label %finish
block:
%left = sub i64 %end, %row
%whole = icmp sgt i64 %left, {block}
%count = select i1 %whole, i64 {block}, i64 %left
%count1 = add i64 %count, {width}
%count2 = sub i64 %count1, 1
%used = udiv i64 %count2, {width}
br label %fill
fill:
%v = phi i64 [0, %block], [%v1, %filled]
%offset = mul i64 %v, {stride}
%workspace = getelementptr i8, ptr %vectors, i64 %offset
%rowsbefore = mul i64 %v, {width}
%therow = add i64 %row, %rowsbefore
{rows}
br label %gather
gather:
%column = phi i64 [0, %fill], [%nextcolumn, %fetch]
%morecolumns = icmp slt i64 %column, {columns}
br i1 %morecolumns, label %fetch, label %filled
fetch:
{gather}
%place = getelementptr {vector}, ptr %workspace, i64 %column
store {vector} {last}, ptr %place
%nextcolumn = add i64 %column, 1
br label %gather
filled:
%v1 = add i64 %v, 1
%morevectors = icmp slt i64 %v1, %used
br i1 %morevectors, label %fill, label %compute
compute:
{calls}
{scatter}br label %next
next:
%following = add i64 %row, {block}
br label %head
finish:
ret void
}}"""

SCATTER = """br label %scatter
scatter:
%done = phi i64 [0, %compute], [%done1, %copied]
%moredone = icmp slt i64 %done, %count
br i1 %moredone, label %results, label %scattered
results:
%itsvector = udiv i64 %done, {width}
%itslane = urem i64 %done, {width}
%itsoffset = mul i64 %itsvector, {stride}
%itsvectors = getelementptr i8, ptr %vectors, i64 %itsoffset
%numbers = getelementptr double, ptr %itsvectors, i64 %itslane
%itsrow = add i64 %row, %done
%target = mul i64 %itsrow, {outputs}
%targets = getelementptr double, ptr %out, i64 %target
%listed = getelementptr i32, ptr %table, i64 {listed}
br label %result
result:
%output = phi i64 [0, %results], [%nextoutput, %copy]
%moreoutputs = icmp slt i64 %output, {outputs}
br i1 %moreoutputs, label %copy, label %copied
copy:
%entry = getelementptr i32, ptr %listed, i64 %output
%from32 = load i32, ptr %entry
%from64 = sext i32 %from32 to i64
%from = getelementptr i8, ptr %numbers, i64 %from64
%number = load double, ptr %from
%to = getelementptr double, ptr %targets, i64 %output
store double %number, ptr %to
%nextoutput = add i64 %output, 1
br label %result
copied:
%done1 = add i64 %done, 1
br label %scatter
scattered:
"""

END = """define void @after({memory}, i64 %segments, double %n, ptr noalias %out) #0 {{
start:
%n1 = insertelement {vector} poison, double %n, i64 0
%ns = shufflevector {vector} %n1, {vector} poison, <{width} x i32> zeroinitializer
br label %head
head:
%mean = phi i64 [0, %start], [%following, %done]
%more = icmp slt i64 %mean, {sums}
br i1 %more, label %add, label %finish
add:
%segment = phi i64 [0, %head], [%nextsegment, %adding]
{starts}
%moresegments = icmp slt i64 %segment, %segments
br i1 %moresegments, label %adding, label %done
adding:
%offset = mul i64 %segment, {sums}
%offset1 = add i64 %offset, %mean
{loads}
%nextsegment = add i64 %segment, 1
br label %add
done:
{adding}
%quotient = fdiv {vector} {total}, %ns
%to = getelementptr double, ptr %scalars, i64 %mean
store {vector} %quotient, ptr %to
%following = add i64 %mean, {width}
br label %head
finish:
{calls}
ret void
}}"""


RUN = """declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

%arguments = type {{ptr, ptr, ptr, ptr, ptr, i64}}

define void @run(ptr %at) #0 {{
%given = load %arguments, ptr %at
%memory = extractvalue %arguments %given, 0
%table = extractvalue %arguments %given, 1
%parameters = extractvalue %arguments %given, 2
%rows = extractvalue %arguments %given, 3
%out = extractvalue %arguments %given, 4
%n = extractvalue %arguments %given, 5
%scalars = getelementptr i8, ptr %memory, i64 0
%vectors = getelementptr i8, ptr %memory, i64 {first_vector}
%sums = getelementptr i8, ptr %memory, i64 {first_sum}
call void @llvm.memset.p0.i64(ptr align 64 %sums, i8 0, i64 {bytes_of_sums}, i1 false)
call void @before({passed}, ptr %out)
call void @loop({passed}, ptr %rows, i64 0, i64 %n, ptr %out)
%number = sitofp i64 %n to double
call void @after({passed}, i64 1, double %number, ptr %out)
ret void
}}"""

# Of vectors as wide as the processor has them; and what `!invariant.load` refers to.
ATTRIBUTES = """attributes #0 = {{
nounwind "min-legal-vector-width"="{bits}" "prefer-vector-width"="{bits}" }}
!0 = !{{}}"""


def declarations(width: int) -> Iterator[str]:
    """The functions of LLVM's own that may be called."""
    for kind in (Kind(1), Kind(width)):
        t = kind.number
        for native in INSTRUCTIONS.values():
            if native.startswith("llvm."):
                operands = ", ".join([t] * (2 if native in TWO_OPERANDS else 1))
                yield f"declare {t} @{native}.{kind.suffix}({operands})"


def translate(job: Job, width: int) -> tuple[str, Layout]:
    """The text of a program, and the memory that it needs.

    It defines ``before``, which computes what is the same for all rows; ``loop``, which runs over
    rows; ``after``, which makes means of their sums and hands out the outputs; and ``run``, which
    does all three. With `per_row` the outputs are those of each row.
    """
    writer = Writer(job, width)
    text = writer.text()
    layout = Layout(
        width, writer.scalars, writer.vectors, writer.sums, job.instructions, writer.table
    )
    return f"{text}\n\n{run_function(layout)}", layout


def run_function(layout: Layout) -> str:
    """The function that runs before, through, and after the rows. Its arguments are in memory: to
    pass them one by one takes Python longer."""
    text = RUN.format(
        first_vector=layout.first_vector,
        first_sum=layout.first_sum,
        bytes_of_sums=layout.bytes_of_sums,
        passed=PASSED,
    )
    return f"{text}\n\n{ATTRIBUTES.format(bits=64 * layout.width)}"
