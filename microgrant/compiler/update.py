"""The rule of an optimiser as LLVM IR: how flat lists of parameters follow their gradients.

With this module you can

- write the text:      text = translate_update(optimizer, width)

It defines ``train``, which takes steps over batches of rows: it has a compiled program run over a
batch, then it clips the norm of the gradients, and updates the parameters. It returns three times
the number of steps that it took, plus 0, 1 or 2 if then the loss, the norm of the gradients or a
parameter was not finite.

`Optimizer.rule`, which moves one parameter in Python, is run on registers for that, and becomes
instructions for as many parameters at once as a vector has lanes. Nothing is fused: each result is
that of Python.

Parameters that are not to be moved stand between those that are; hence the *spans*, pairs of a
first place and a length.
"""

from __future__ import annotations

from collections.abc import Callable

from ..optim import Optimizer
from .llvm import (
    ATTRIBUTES,
    PRIMITIVES,
    Kind,
    broadcast,
    called_by,
    called_function,
    declarations,
    instructions,
)
from .program import Program, Register, needed

__all__ = ["translate_update"]

# A function for one stretch of parameters, which adds something up over them.
STRETCH = """define internal double @{name}.{kind.suffix}(
{arguments}, i64 %begin, i64 %end) #0 {{
start:
{before}
br label %head
head:
%i = phi i64 [%begin, %start], [%next, %body]
%sum = phi {kind.number} [{zero}, %start], [%added, %body]
%next = add i64 %i, {kind.width}
%more = icmp sle i64 %next, %end
br i1 %more, label %body, label %finish
body:
{body}
br label %head
finish:
{total}
ret double %total
}}"""

ARGUMENTS = (
    "ptr noalias %parameters, ptr noalias %gradients, ptr noalias %remembered, i64 %stride, "
    "ptr noalias %coefficients, double %x"
)

# The same over all spans: whole vectors first, and then what is left of a span one by one.
SPANS = """define internal double @{name}(
{arguments}, ptr %spans, i64 %count) #0 {{
start:
br label %head
head:
%span = phi i64 [0, %start], [%next, %body]
%sum = phi double [0.0, %start], [%added, %body]
%c = phi ptr [%coefficients, %start], [%c1, %body]
%more = icmp slt i64 %span, %count
br i1 %more, label %body, label %finish
body:
%pair = shl i64 %span, 1
%beginp = getelementptr i64, ptr %spans, i64 %pair
%lengthp = getelementptr i64, ptr %beginp, i64 1
%begin = load i64, ptr %beginp
%length = load i64, ptr %lengthp
%p = getelementptr double, ptr %parameters, i64 %begin
%g = getelementptr double, ptr %gradients, i64 %begin
%r = getelementptr double, ptr %remembered, i64 %begin
%vectors = and i64 %length, -{width}
%one = call double @{name}.{vector}({passed}, i64 0, i64 %vectors)
%two = call double @{name}.f64({passed}, i64 %vectors, i64 %length)
%both = fadd double %one, %two
%added = fadd double %sum, %both
%c1 = getelementptr double, ptr %c, i64 {coefficients}
%next = add i64 %span, 1
br label %head
finish:
ret double %sum
}}"""
PASSED = "ptr %p, ptr %g, ptr %r, i64 %stride, ptr %c, double %x"

# If it is to be the same batch %again, the rows are those of one. What tells whether a number is
# finite: x − x is 0, or nan.
TRAIN = """%arguments = type {{ptr, ptr, ptr, ptr, ptr, i64}}

define i64 @train(
ptr %run, ptr %at, ptr %learned, i64 %leaves, i64 %stride, ptr %rows, i64 %columns,
ptr %sizes, i1 %again, i64 %steps, ptr %out, ptr %spans, i64 %count, ptr %coefficients, ptr %losses,
double %clip) #0 {{
start:
%remembered = getelementptr double, ptr %learned, i64 %leaves
%gradients = getelementptr double, ptr %out, i64 1
%ready = icmp eq ptr %run, null
%clips = fcmp ogt double %clip, 0.0
%perstep = mul i64 %count, {coefficients}
br label %head
head:
%step = phi i64 [0, %start], [%next, %moved]
%done = phi i64 [0, %start], [%after, %moved]
%more = icmp slt i64 %step, %steps
br i1 %more, label %batch, label %finish
batch:
%sizep = getelementptr i64, ptr %sizes, i64 %step
%many = load i64, ptr %sizep
br i1 %ready, label %computed, label %compute
compute:
%numbers = mul i64 %done, %columns
%first = getelementptr double, ptr %rows, i64 %numbers
%rowsp = getelementptr %arguments, ptr %at, i64 0, i32 3
%manyp = getelementptr %arguments, ptr %at, i64 0, i32 5
store ptr %first, ptr %rowsp
store i64 %many, ptr %manyp
call void %run(ptr %at)
br label %computed
computed:
%loss = load double, ptr %out
%lossp = getelementptr double, ptr %losses, i64 %step
store double %loss, ptr %lossp
%lossd = fsub double %loss, %loss
%lossfinite = fcmp oeq double %lossd, 0.0
%number = mul i64 %step, %perstep
%c = getelementptr double, ptr %coefficients, i64 %number
br i1 %lossfinite, label %known, label %finish
known:
br i1 %clips, label %measure, label %move
measure:
%squares = call double @squares({passed}, double 1.0, {spans})
%root = call double @llvm.sqrt.f64(double %squares)
%rootd = fsub double %root, %root
%rootfinite = fcmp oeq double %rootd, 0.0
br i1 %rootfinite, label %measured, label %scaled
scaled:
%small = call double @squares({passed}, double {tiny}, {spans})
%smallroot = call double @llvm.sqrt.f64(double %small)
%scaledroot = fmul double %smallroot, {huge}
%scaledd = fsub double %scaledroot, %scaledroot
%scaledfinite = fcmp oeq double %scaledd, 0.0
br i1 %scaledfinite, label %measured, label %finish
measured:
%norm = phi double [%root, %measure], [%scaledroot, %scaled]
%more1 = fadd double %norm, {almost_nothing}
%factor = fdiv double %clip, %more1
%shorter = fcmp olt double %factor, 1.0
br i1 %shorter, label %shorten, label %move
shorten:
%shortened = call double @shorten({passed}, double %factor, {spans})
br label %move
move:
%differences = call double @move({passed}, double 0.0, {spans})
%finite = fcmp oeq double %differences, 0.0
br i1 %finite, label %moved, label %finish
moved:
%next = add i64 %step, 1
%ahead = select i1 %again, i64 0, i64 %many
%after = add i64 %done, %ahead
br label %head
finish:
%why = phi i64 [0, %head], [0, %computed], [1, %scaled], [2, %move]
%three = mul i64 %step, 3
%result = add i64 %three, %why
ret i64 %result
}}"""
SCALE = 2.0**600  # no square of a finite number over it overflows


def translate_update(optimizer: Optimizer, width: int) -> str:
    """The text of ``train`` for an optimiser with the settings that it has.

    A TypeError or AttributeError comes from a rule of a user's own that runs on numbers only.
    """
    one, some = Kind(1), Kind(width)
    rule = _Recorded(optimizer)
    passed = "ptr %learned, ptr %gradients, ptr %remembered, i64 %stride, ptr %c"
    train = TRAIN.format(
        coefficients=len(rule.coefficients),
        passed=passed,
        spans="ptr %spans, i64 %count",
        tiny=one.constant(1 / SCALE),
        huge=one.constant(SCALE),
        almost_nothing=one.constant(1e-6),
    )
    called = called_by(
        (x.operation, kind.width) for x in needed(rule.results) for kind in (one, some)
    )
    functions = [
        _function(name, kind, lines, rule)
        for name, lines in (("squares", _squares), ("shorten", _shorten), ("move", rule.move))
        for kind in (one, some)
    ]
    over_spans = [
        SPANS.format(
            name=name,
            arguments=ARGUMENTS,
            width=width,
            vector=some.suffix,
            passed=PASSED,
            coefficients=len(rule.coefficients),
        )
        for name in ("squares", "shorten", "move")
    ]
    return "\n\n".join(
        [
            *declarations(width),
            f"declare double @llvm.vector.reduce.fadd.{some.suffix}(double, {some.number})",
            *(called_function(name, lanes) for name, lanes in sorted(called)),
            *functions,
            *over_spans,
            train,
            ATTRIBUTES.format(bits=64 * width),
        ]
    )


class _Recorded:
    """The rule of an optimiser, run on registers."""

    def __init__(self, optimizer: Optimizer) -> None:
        program = Program(PRIMITIVES)
        count = len(optimizer._names())
        self.coefficients = [
            program.leaf("parameter", i) for i in range(len(optimizer.coefficients(1.0)))
        ]
        p, gradient, *remembered = self.given = [program.leaf("input", i) for i in range(2 + count)]
        moved = optimizer.rule(program.algebra, *self.coefficients)
        after, kept = moved(p, gradient, tuple(remembered))
        if len(kept) != count:
            raise ValueError("a rule remembers what has no name")  # Python's step says it at length
        self.results: list[Register] = [
            x if isinstance(x, Register) else program.constant(x) for x in (after, *kept)
        ]

    def move(self, kind: Kind) -> list[str]:
        """A parameter, and what is remembered of it, one step on."""
        t = kind.number
        names = {x.index: f"%b{i}" for i, x in enumerate(self.coefficients)}
        places = ["%parameters", "%gradients", *(f"%at{i}" for i in range(2, len(self.given)))]
        lines: list[str] = []
        for i, place in enumerate(places[2:]):
            lines += [
                f"%by{i} = mul i64 %stride, {i}",
                f"{place} = getelementptr double, ptr %remembered, i64 %by{i}",
            ]
        for i, (place, x) in enumerate(zip(places, self.given, strict=True)):
            lines += [
                f"%place{i} = getelementptr double, ptr {place}, i64 %i",
                f"%given{i} = load {t}, ptr %place{i}, align 8",
            ]
            names[x.index] = f"%given{i}"
        lines += instructions(kind, self.results, names, fused=False)
        targets = [0, *range(2, len(self.given))]
        for i, x in zip(targets, self.results, strict=True):
            if x is not self.given[i]:
                lines.append(f"store {t} {names[x.index]}, ptr %place{i}, align 8")
        p = names[self.results[0].index]
        return [
            *lines,
            f"%difference = fsub {t} {p}, {p}",
            f"%added = fadd {t} %sum, %difference",
        ]


def _gradient(kind: Kind) -> list[str]:
    return [
        "%gp = getelementptr double, ptr %gradients, i64 %i",
        f"%g = load {kind.number}, ptr %gp, align 8",
        f"%scaled = fmul {kind.number} %g, %bx",
    ]


def _squares(kind: Kind) -> list[str]:
    """The sum of the squares of all gradients times x."""
    t = kind.number
    return [
        *_gradient(kind),
        f"%square = fmul {t} %scaled, %scaled",
        f"%added = fadd {t} %sum, %square",
    ]


def _shorten(kind: Kind) -> list[str]:
    """All gradients, times x."""
    t = kind.number
    return [
        *_gradient(kind),
        f"store {t} %scaled, ptr %gp, align 8",
        f"%added = fadd {t} %sum, {kind.constant(0.0)}",
    ]


def _function(name: str, kind: Kind, lines: Callable[[Kind], list[str]], rule: _Recorded) -> str:
    """The function of a stretch; what is the same for all of its parameters is loaded before."""
    before = broadcast(kind, "%bx", "%x")
    for i in range(len(rule.coefficients)):
        before += [
            f"%cp{i} = getelementptr double, ptr %coefficients, i64 {i}",
            f"%s{i} = load double, ptr %cp{i}",
            *broadcast(kind, f"%b{i}", f"%s{i}"),
        ]
    t = kind.number
    reduced = f"call double @llvm.vector.reduce.fadd.{kind.suffix}(double 0.0, {t} %sum)"
    return STRETCH.format(
        name=name,
        kind=kind,
        arguments=ARGUMENTS,
        before="\n".join(before),
        zero=kind.constant(0.0),
        body="\n".join(lines(kind)),
        total=f"%total = {reduced if kind.width > 1 else 'bitcast double %sum to double'}",
    )
